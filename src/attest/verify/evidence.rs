//! Whether the evidence is the evidence that was signed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use super::{EvidenceSource, Failure, FailureClass, MAX_LISTED, Report};
use crate::attest::Digest;
use crate::attest::derive::RECORDS_ITEM;
use crate::attest::evidence_tar::{self, Container};
use crate::attest::statement::{EvidenceItem, Inline, Statement};

/// The most that is kept of one report's evidence for the re-evaluation, the smallest items first. The others are only
/// hashed.
pub const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The most records of a burn-in that are kept beside that: a week on a large machine makes some 100 MB.
pub const MAX_RECORDS_BYTES: u64 = 1 << 30;

/// The checked evidence of one report.
#[derive(Debug, Default)]
pub struct EvidenceItems<'a> {
    kept: BTreeMap<String, Cow<'a, [u8]>>,
}

impl EvidenceItems<'_> {
    /// The bytes of an item, whose digest has been checked. `None` for an item that does not exist and for one that was
    /// only hashed, since it and the smaller ones have more than [`MAX_KEPT_BYTES`].
    pub fn get(&self, id: &str) -> Option<&[u8]> {
        self.kept.get(id).map(AsRef::as_ref)
    }

    /// The kept items.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.kept.iter().map(|(id, bytes)| (id.as_str(), bytes.as_ref()))
    }
}

/// Gives the items whose digests are right.
pub(super) fn check<'a>(
    statement: &'a Statement,
    tar: Option<impl Read>,
    report: &mut Report,
) -> Option<EvidenceItems<'a>> {
    let listed = &statement.predicate.evidence;
    let Some(tar) = tar else {
        let stripped: Vec<_> = listed.iter().filter(|item| item.inline.is_none()).collect();
        for item in stripped.iter().take(MAX_LISTED) {
            let expected = format!("{} bytes, {}", item.bytes, item.sha256);
            report.fail(FailureClass::Evidence, &format!("item {:?}", item.id), &expected, "no evidence.tar was given");
        }
        if !stripped.is_empty() {
            return None;
        }
        report.evidence = Some(EvidenceSource::Inline);
        let kept = listed.iter().filter_map(|item| {
            let Inline(bytes) = item.inline.as_ref()?;
            Some((item.id.clone(), Cow::Borrowed(bytes.as_slice())))
        });
        return Some(EvidenceItems { kept: kept.collect() });
    };

    let by_id: BTreeMap<&str, _> = listed.iter().map(|item| (item.id.as_str(), item)).collect();
    let expected_bytes = listed.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
    let kept = (expected_bytes > MAX_KEPT_BYTES).then(|| kept_ids(listed));
    let keep = |id: &str, bytes: u64| {
        kept.as_ref().is_none_or(|kept| kept.contains(id)) && by_id.get(id).is_some_and(|item| item.bytes == bytes)
    };
    let container = match evidence_tar::read(tar, expected_bytes, keep) {
        Ok(container) => container,
        Err(error) => {
            let observed = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            let expected = "a whole container as this tool writes it";
            report.fail(FailureClass::Evidence, "evidence.tar", expected, &observed);
            return None;
        }
    };
    compare_items(statement, &by_id, &container, report);
    if !report.is_valid() {
        return None;
    }
    report.evidence = Some(EvidenceSource::Container);
    let kept = container.items.into_iter().filter_map(|item| Some((item.id, Cow::Owned(item.content?))));
    Some(EvidenceItems { kept: kept.collect() })
}

/// The items to keep: the smallest first, so that a long log never displaces what else there is, and the records of a
/// burn-in, without which no long one could be verified.
fn kept_ids(listed: &[EvidenceItem]) -> HashSet<&str> {
    let mut by_size: Vec<_> = listed.iter().map(|item| (item.bytes, item.id.as_str())).collect();
    by_size.sort_unstable();
    let records = by_size.iter().copied().find(|(bytes, id)| *id == RECORDS_ITEM && *bytes <= MAX_RECORDS_BYTES);
    let mut left = MAX_KEPT_BYTES;
    let small = by_size.into_iter().map_while(|(bytes, id)| {
        left = left.checked_sub(bytes)?;
        Some(id)
    });
    small.chain(records.map(|(_, id)| id)).collect()
}

fn compare_items(
    statement: &Statement,
    by_id: &BTreeMap<&str, &EvidenceItem>,
    container: &Container,
    report: &mut Report,
) {
    let mut failures = Vec::new();
    let mut fail = |what: String, expected: &str, observed: &str| {
        if failures.len() < MAX_LISTED {
            failures.push(Failure::new(FailureClass::Evidence, &what, expected, observed));
        }
    };
    let describe = |bytes: u64, sha256: Digest| format!("{bytes} bytes, {sha256}");
    for found in &container.items {
        let observed = || describe(found.bytes, found.sha256);
        match by_id.get(found.id.as_str()) {
            None => fail(format!("item {:?}", found.id), "nothing: the statement does not list it", &observed()),
            Some(listed) => {
                if (listed.bytes, listed.sha256) != (found.bytes, found.sha256) {
                    fail(format!("item {:?}", found.id), &describe(listed.bytes, listed.sha256), &observed());
                }
            }
        }
    }
    let in_container = |id: &str| container.items.binary_search_by(|found| found.id.as_str().cmp(id)).is_ok();
    for listed in statement.predicate.evidence.iter().filter(|listed| !in_container(&listed.id)) {
        fail(format!("item {:?}", listed.id), &describe(listed.bytes, listed.sha256), "missing in evidence.tar");
    }
    let expected = statement.evidence_sha256();
    if expected != Some(container.sha256) {
        let expected = expected.map_or_else(|| "a subject".to_owned(), |sha256| sha256.to_string());
        fail("evidence.tar".to_owned(), &expected, &container.sha256.to_string());
    }
    report.failures.append(&mut failures);
}
