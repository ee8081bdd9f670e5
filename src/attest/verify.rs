//! Whether a report is what its signer says, as far as that can be known from the report alone.
//!
//! [`verify`] is pure: it reads the bytes that it is given, prints nothing and asks no clock. It stops at the first
//! step that fails, in this order:
//!
//! 1. `E_FORMAT`: size caps, duplicate keys, base64, the statement's own fields;
//! 2. `E_SIGNATURE`, `E_UNTRUSTED_SIGNER`: over the very bytes that are parsed after;
//! 3. `E_EVIDENCE`: every item against its digest, nothing missing, nothing added, no contradiction in the statement;
//! 4. `E_VERDICT_MISMATCH`: checks and verdict follow from the evidence;
//! 5. `E_DUPLICATE`: across a [`Batch`], report ids and the ids of parts.
//!
//! It establishes that the holder of a trusted key signed the statement, that the evidence is the evidence that was
//! signed, and that the verdict follows from it. It does not establish that the evidence is true: see
//! [`Report::not_proven`].

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use serde::Serialize;

use super::derive::RECORDS_ITEM;
use super::envelope::{self, Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE};
use super::evidence_tar::{self, Container};
use super::statement::{
    Assurance, ChallengeSource, EvidenceItem, Inline, PREDICATE_TYPE, STATEMENT_TYPE, SignedVerdict, Statement,
};
use super::strict_json;
use super::trust::{OWN_KEY_NAME, TrustedKeys};
use super::{Digest, key::PublicKey};
use crate::evidence::Origin;
use crate::ledger::{Duplicate, Ledger, Shared, Sighting};
use crate::rule::Check;

/// The most that is kept of one report's evidence for the re-evaluation, the smallest items first. The others are only
/// hashed.
pub const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The most records of a burn-in that are kept beside that: a week on a large machine makes some 100 MB.
pub const MAX_RECORDS_BYTES: u64 = 1 << 30;
/// The highest level that this verification can establish: it checks no signature that a device made itself.
pub const MAX_ASSURANCE: Assurance = Assurance::L1;
/// Failures and differences of one kind that are listed; the rest is counted.
const MAX_LISTED: usize = 20;
/// How much of a value is repeated in a failure.
const MAX_SHOWN_CHARS: usize = 400;

/// In which step a verification failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum FailureClass {
    /// Not a report.
    #[serde(rename = "E_FORMAT")]
    Format,
    /// A signature that its key did not make over these bytes.
    #[serde(rename = "E_SIGNATURE")]
    Signature,
    /// No signature by a trusted key.
    #[serde(rename = "E_UNTRUSTED_SIGNER")]
    UntrustedSigner,
    /// The evidence is not the evidence that was signed.
    #[serde(rename = "E_EVIDENCE")]
    Evidence,
    /// The verdict does not follow from the evidence.
    #[serde(rename = "E_VERDICT_MISMATCH")]
    VerdictMismatch,
    /// One report id with two contents, or one part in two machines.
    #[serde(rename = "E_DUPLICATE")]
    Duplicate,
}

impl FailureClass {
    /// The name in reports: `E_FORMAT`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Format => "E_FORMAT",
            Self::Signature => "E_SIGNATURE",
            Self::UntrustedSigner => "E_UNTRUSTED_SIGNER",
            Self::Evidence => "E_EVIDENCE",
            Self::VerdictMismatch => "E_VERDICT_MISMATCH",
            Self::Duplicate => "E_DUPLICATE",
        }
    }
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What failed, with what was expected and what was there. Texts may come from the report and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In which step.
    pub class: FailureClass,
    /// What was looked at.
    pub what: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
}

impl Failure {
    /// A failure; long values are cut.
    pub fn new(class: FailureClass, what: &str, expected: &str, observed: &str) -> Self {
        Self { class, what: shorten(what), expected: shorten(expected), observed: shorten(observed) }
    }
}

/// A trusted key that signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The name under which it is trusted.
    pub name: String,
    /// Its id.
    pub keyid: Digest,
}

/// How the evidence was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceSource {
    /// From `evidence.tar`, whose own digest is right too.
    Container,
    /// From the statement itself, where every item is inline; `evidence.tar` was not looked at.
    Inline,
}

/// Something that comes out differently with another signature set. Not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The check or field.
    pub what: String,
    /// What was signed.
    pub signed: String,
    /// What comes out now.
    pub now: String,
}

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

/// What comes out when collectors, rules and policy run again on the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Rederived {
    /// What the rules say now.
    pub checks: Vec<Check>,
    /// What the policy makes of it.
    pub verdict: SignedVerdict,
    /// Who the machine is according to the evidence; `None` when the caller did not derive it.
    pub identity: Option<serde_json::Value>,
    /// Whether the very signature set and policy were used that the statement names. Only then must everything be equal.
    pub same_signatures: bool,
    /// What the records of a burn-in show, in a sentence; `None` without a burn-in.
    pub burn: Option<String>,
    /// The ids of the machine and of its parts, for the comparison with other reports.
    pub sighting: Sighting,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Digest of the envelope, unless it is too large to be one.
    pub envelope_sha256: Option<Digest>,
    /// Digest of the signed bytes, once a trusted key's signature over them has been checked.
    pub statement_sha256: Option<Digest>,
    /// The statement, once a trusted key's signature over it has been checked. It may still have failed later.
    pub statement: Option<Statement>,
    /// Trusted keys that signed, each once.
    pub signers: Vec<Signer>,
    /// Key ids of signatures that were not checked, since their keys are not known.
    pub unknown_signers: Vec<Digest>,
    /// How the evidence was checked, once it was.
    pub evidence: Option<EvidenceSource>,
    /// The level that was established; `None` when anything failed.
    pub assurance: Option<Assurance>,
    /// What comes out differently with the signature set of today.
    pub differences: Vec<Difference>,
    /// What it shares with earlier reports of a [`Batch`]. Duplicates that are certain are failures too; the others need a
    /// person.
    pub shared: Shared,
    /// Why the report is not valid. Empty for a valid one.
    pub failures: Vec<Failure>,
    /// What was established, a sentence each.
    pub proven: Vec<String>,
    /// What was not, a sentence each.
    pub not_proven: Vec<String>,
}

impl Report {
    /// Whether nothing failed. A valid report may well say that the machine is rejected.
    pub fn is_valid(&self) -> bool {
        self.failures.is_empty()
    }

    /// The class of the first failure.
    pub fn class(&self) -> Option<FailureClass> {
        self.failures.first().map(|failure| failure.class)
    }

    /// The report on an envelope that [`envelope::read`] refused.
    pub fn unreadable(error: &EnvelopeError) -> Self {
        let mut report = Self::empty();
        report.fail_envelope(error);
        report
    }

    fn empty() -> Self {
        Self {
            envelope_sha256: None,
            statement_sha256: None,
            statement: None,
            signers: Vec::new(),
            unknown_signers: Vec::new(),
            evidence: None,
            assurance: None,
            differences: Vec::new(),
            shared: Shared::default(),
            failures: Vec::new(),
            proven: Vec::new(),
            not_proven: Vec::new(),
        }
    }

    fn fail_envelope(&mut self, error: &EnvelopeError) {
        let expected = format!("a DSSE envelope of at most {MAX_ENVELOPE_BYTES} bytes holding {PAYLOAD_TYPE}");
        self.fail(FailureClass::Format, "envelope", &expected, &error.to_string());
    }

    fn fail(&mut self, class: FailureClass, what: &str, expected: &str, observed: &str) {
        self.failures.push(Failure::new(class, what, expected, observed));
    }
}

/// Verifies one report. `evidence` is its `evidence.tar`, if there is one; `rederive` runs collectors, rules and policy
/// again on checked evidence, and its error says why that is not possible.
///
/// Takes memory for the envelope and for the evidence items that are kept ([`MAX_KEPT_BYTES`]), never for the whole of
/// `evidence`.
pub fn verify(
    envelope_bytes: &[u8],
    evidence: Option<impl Read>,
    trusted: &TrustedKeys,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
) -> Report {
    verify_and_sight(envelope_bytes, evidence, trusted, rederive).0
}

/// [`verify`], with the ids in a valid report.
fn verify_and_sight(
    envelope_bytes: &[u8],
    evidence: Option<impl Read>,
    trusted: &TrustedKeys,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
) -> (Report, Option<Sighting>) {
    let (mut report, mut sighting) = (Report::empty(), None);
    let Some((statement, signers)) = authenticate(envelope_bytes, trusted, &mut report) else {
        return (report, None);
    };
    for found in statement.contradictions(&signers).into_iter().take(MAX_LISTED) {
        report.fail(FailureClass::Evidence, &found.what, &found.expected, &found.observed);
    }
    if report.is_valid()
        && let Some(items) = check_evidence(&statement, evidence, &mut report)
        && let Some(rederived) = check_verdict(&statement, &items, rederive, &mut report)
    {
        conclude(&statement, &rederived, &mut report);
        sighting = Some(rederived.sighting);
    }
    report.statement = Some(statement);
    (report, sighting)
}

/// Verifies many reports and remembers digests of each, so that one report id with two contents is noticed, and one part in
/// two machines.
#[derive(Debug, Default)]
pub struct Batch {
    seen: HashMap<Digest, Digest>,
    ledger: Ledger,
}

impl Batch {
    /// [`verify`], then compares with every valid report before it. The same report twice is no failure, and neither are
    /// two reports about one machine. `name` is what later failures call the report.
    pub fn verify(
        &mut self,
        name: &str,
        envelope_bytes: &[u8],
        evidence: Option<impl Read>,
        trusted: &TrustedKeys,
        rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
    ) -> Report {
        let (mut report, sighting) = verify_and_sight(envelope_bytes, evidence, trusted, rederive);
        let (true, Some(statement), Some(content)) = (report.is_valid(), &report.statement, report.statement_sha256)
        else {
            return report;
        };
        let report_id = statement.predicate.report_id.clone();
        match self.seen.entry(Digest::of(report_id.as_bytes())) {
            Entry::Vacant(entry) => _ = entry.insert(content),
            Entry::Occupied(entry) if *entry.get() == content => return report,
            Entry::Occupied(entry) => {
                let expected = format!("the statement {} seen before", entry.get());
                let what = format!("report id {report_id:?}");
                report.fail(FailureClass::Duplicate, &what, &expected, &format!("the statement {content}"));
            }
        }
        report.shared = sighting.map(|sighting| self.ledger.add(name, sighting)).unwrap_or_default();
        let certain: Vec<Duplicate> = report.shared.duplicates.iter().filter(|it| it.is_certain()).cloned().collect();
        for duplicate in certain.iter().take(MAX_LISTED) {
            let what = format!("{} {} of {}", duplicate.fact, duplicate.id, duplicate.second.part);
            let observed =
                format!("{} in {}, another machine, has it too", duplicate.first.part, duplicate.first.document);
            report.fail(FailureClass::Duplicate, &what, "an id that no other unit has", &observed);
        }
        if !report.is_valid() {
            report.assurance = None;
        }
        report
    }
}

/// Steps 1 and 2. Gives the statement and the ids of all keys that the envelope names.
fn authenticate(bytes: &[u8], trusted: &TrustedKeys, report: &mut Report) -> Option<(Statement, Vec<Digest>)> {
    if bytes.len() <= MAX_ENVELOPE_BYTES {
        report.envelope_sha256 = Some(Digest::of(bytes));
    }
    let envelope = match Envelope::parse(bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            report.fail_envelope(&error);
            return None;
        }
    };
    let message = envelope::pae(&envelope.payload);
    let mut keyids: Vec<Digest> = Vec::new();
    // By key, so that one key counts once however many signatures it made.
    let mut checked: HashMap<Digest, PublicKey> = HashMap::new();
    for signature in &envelope.signatures {
        let keyid = signature.keyid;
        if !keyids.contains(&keyid) {
            keyids.push(keyid);
        }
        let Some(signer) = trusted.get(&keyid) else {
            if !report.unknown_signers.contains(&keyid) {
                report.unknown_signers.push(keyid);
            }
            continue;
        };
        if !signer.key.verify(&message, &signature.bytes) {
            let what = format!("signature of {:?}", signer.name);
            let expected = format!("a signature by key {keyid} over these bytes");
            report.fail(FailureClass::Signature, &what, &expected, "a signature over other bytes, or a damaged one");
        } else if checked.insert(keyid, signer.key).is_none() {
            report.signers.push(Signer { name: signer.name.clone(), keyid });
        }
    }
    if report.is_valid() && report.signers.is_empty() {
        let expected = format!("a signature by one of {} trusted keys", trusted.len());
        let observed = keyids.iter().map(|id| format!("key {id}")).collect::<Vec<_>>().join(", ");
        report.fail(FailureClass::UntrustedSigner, "signers", &expected, &observed);
    }
    if !report.is_valid() {
        report.signers.clear();
        return None;
    }
    report.statement_sha256 = Some(Digest::of(&envelope.payload));
    let statement: Statement = match strict_json::from_slice(&envelope.payload, MAX_ENVELOPE_BYTES) {
        Ok(statement) => statement,
        Err(error) => {
            let expected = "an in-toto statement with this tool's predicate";
            report.fail(FailureClass::Format, "signed statement", expected, &error.to_string());
            return None;
        }
    };
    for (what, expected, observed) in [
        ("_type", STATEMENT_TYPE, &statement.statement_type),
        ("predicateType", PREDICATE_TYPE, &statement.predicate_type),
    ] {
        if observed != expected {
            report.fail(FailureClass::Format, what, expected, observed);
        }
    }
    report.is_valid().then_some((statement, keyids))
}

/// Step 3.
fn check_evidence<'a>(
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

    let by_id: HashMap<&str, _> = listed.iter().map(|item| (item.id.as_str(), item)).collect();
    let expected_bytes = listed.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
    let kept = kept_ids(listed);
    let keep = |id: &str, bytes: u64| kept.contains(id) && by_id.get(id).is_some_and(|item| item.bytes == bytes);
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
    by_id: &HashMap<&str, &EvidenceItem>,
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
        let observed = describe(found.bytes, found.sha256);
        match by_id.get(found.id.as_str()) {
            None => fail(format!("item {:?}", found.id), "nothing: the statement does not list it", &observed),
            Some(listed) => {
                let expected = describe(listed.bytes, listed.sha256);
                if expected != observed {
                    fail(format!("item {:?}", found.id), &expected, &observed);
                }
            }
        }
    }
    let in_container = |id: &str| container.items.binary_search_by(|found| found.id.as_str().cmp(id)).is_ok();
    for listed in statement.predicate.evidence.iter().filter(|listed| !in_container(&listed.id)) {
        fail(format!("item {:?}", listed.id), &describe(listed.bytes, listed.sha256), "missing in evidence.tar");
    }
    let expected = statement.evidence_sha256().map_or_else(|| "a subject".to_owned(), |sha256| sha256.to_string());
    let observed = container.sha256.to_string();
    if expected != observed {
        fail("evidence.tar".to_owned(), &expected, &observed);
    }
    report.failures.append(&mut failures);
}

/// Step 4.
fn check_verdict(
    statement: &Statement,
    items: &EvidenceItems<'_>,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
    report: &mut Report,
) -> Option<Rederived> {
    let signed = &statement.predicate;
    let rederived = match rederive(statement, items) {
        Ok(rederived) => rederived,
        Err(why) => {
            let expected = "evidence from which the checks can be derived again";
            report.fail(FailureClass::VerdictMismatch, "evidence", expected, &why);
            return None;
        }
    };
    if signed.verdict.assurance > MAX_ASSURANCE {
        report.fail(
            FailureClass::VerdictMismatch,
            "verdict.assurance",
            &format!("at most {MAX_ASSURANCE}: no device's own signature was checked"),
            &signed.verdict.assurance.to_string(),
        );
    }
    let mut differences = Vec::new();
    if let Some(identity) = rederived.identity.as_ref().filter(|identity| **identity != signed.identity) {
        differences.push(Difference {
            what: "identity".to_owned(),
            signed: signed.identity.to_string(),
            now: identity.to_string(),
        });
    }
    if signed.verdict != rederived.verdict {
        differences.push(Difference {
            what: "verdict".to_owned(),
            signed: json(&signed.verdict),
            now: json(&rederived.verdict),
        });
    }
    differences.extend(compare_checks(&signed.checks, &rederived.checks));
    if rederived.same_signatures {
        for difference in differences.iter().take(MAX_LISTED) {
            let Difference { what, signed, now } = difference;
            report.fail(FailureClass::VerdictMismatch, what, now, signed);
        }
    } else {
        let left_out = differences.len().saturating_sub(MAX_LISTED);
        differences.truncate(MAX_LISTED);
        for difference in &mut differences {
            difference.signed = shorten(&difference.signed);
            difference.now = shorten(&difference.now);
        }
        if left_out > 0 {
            let what = format!("{left_out} more differences");
            differences.push(Difference { what, signed: String::new(), now: String::new() });
        }
        report.differences = differences;
    }
    report.is_valid().then_some(rederived)
}

/// The checks that differ, in the order of the signed ones. Equal ones in another order differ as a whole.
fn compare_checks(signed: &[Check], now: &[Check]) -> Vec<Difference> {
    if signed == now {
        return Vec::new();
    }
    let name = |check: &Check| format!("check {:?} of {:?}", check.id, check.part);
    let index = |checks: &[Check]| -> BTreeMap<(String, String), Check> {
        checks.iter().map(|check| ((check.id.clone(), check.part.clone()), check.clone())).collect()
    };
    let (signed_by_name, now_by_name) = (index(signed), index(now));
    let mut differences = Vec::new();
    for (key, check) in &signed_by_name {
        let other = now_by_name.get(key);
        if other != Some(check) {
            differences.push(Difference {
                what: name(check),
                signed: json(check),
                now: other.map_or_else(|| "no such check".to_owned(), json),
            });
        }
    }
    for check in now_by_name.iter().filter(|(key, _)| !signed_by_name.contains_key(*key)).map(|(_, check)| check) {
        differences.push(Difference { what: name(check), signed: "no such check".to_owned(), now: json(check) });
    }
    if differences.is_empty() {
        differences.push(Difference {
            what: "order or repetition of the checks".to_owned(),
            signed: format!("{} checks", signed.len()),
            now: format!("{} checks", now.len()),
        });
    }
    differences
}

/// Says what all of this established and what it did not.
fn conclude(statement: &Statement, rederived: &Rederived, report: &mut Report) {
    let predicate = &statement.predicate;
    let assurance = rederived.verdict.assurance.min(predicate.verdict.assurance).min(MAX_ASSURANCE);
    report.assurance = Some(assurance);

    for signer in &report.signers {
        report.proven.push(format!("{:?} (key {}) signed exactly this statement", signer.name, signer.keyid));
    }
    let bytes = predicate.evidence.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
    let count = predicate.evidence.len();
    report.proven.push(format!("the evidence is the evidence that was signed: {count} items, {bytes} bytes"));
    if rederived.same_signatures {
        let checks = predicate.checks.len();
        report.proven.push(format!("the verdict and all {checks} checks follow from the evidence"));
    }
    report.proven.extend(rederived.burn.clone());
    report.proven.push(match assurance {
        Assurance::L0 => "L0: software on the machine says what the evidence says".to_owned(),
        _ => "L1: two or more independent paths in the evidence agree".to_owned(),
    });

    let mut not_proven = |sentence: &str| report.not_proven.push(sentence.to_owned());
    if predicate.origin != Origin::Live {
        not_proven(&format!("that any machine was looked at: the evidence is {}", predicate.origin));
    }
    if rederived.burn.is_none() {
        not_proven("that the machine survives load: the report holds no burn-in");
    }
    not_proven("that the parts are genuine: no part signed its own identity, and no hardware root was checked");
    match predicate.challenge.as_ref().map(|challenge| challenge.source) {
        Some(ChallengeSource::Buyer | ChallengeSource::Auditor) => {
            not_proven("that the challenge is one that was issued: it was not compared with any");
        }
        _ => not_proven("that the report is fresh: it answers no challenge of a third party and could be an old one"),
    }
    not_proven("when it was made: the times are the machine's own, and no trusted clock confirms them");
    not_proven("that the tool and the system which made it were unmodified: the tool described itself");
    if !rederived.same_signatures {
        not_proven("that the signed checks follow from the evidence: another signature set was used to re-evaluate it");
    }
    if report.evidence == Some(EvidenceSource::Inline) {
        not_proven("that evidence.tar is unchanged: it was not given; every item was checked inside of the statement");
    }
    if report.signers.iter().all(|signer| signer.name == OWN_KEY_NAME) {
        not_proven("that anybody but this machine vouches for it: it is signed with this machine's own key only");
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
