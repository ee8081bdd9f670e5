//! Many reports, compared with each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;

use super::{
    EvidenceItems, Expectations, Failure, FailureClass, MAX_LISTED, Rederived, Report, Signed, challenge,
    verify_and_sight,
};
use crate::attest::Digest;
use crate::attest::statement::Statement;
use crate::ledger::{Duplicate, Incomplete, Ledger, Place, Sighting};

/// Compares many reports and remembers digests of each, so that one report id with two contents is noticed, and one part in
/// two machines.
#[derive(Debug, Default)]
pub struct Batch {
    seen: HashMap<Digest, Digest>,
    /// The first valid answer to the challenge that is expected.
    answer: Option<Digest>,
    ledger: Ledger,
    /// The worst that each report shares with others. A copy is no better.
    duplicates: HashMap<Digest, Duplicate>,
}

/// A report that was verified alone and not yet compared with others.
#[derive(Debug)]
pub struct Verified {
    /// What was found. The statement in it is without the bytes of its evidence, of which a batch could hold thousands.
    pub report: Report,
    sighting: Option<Sighting>,
    /// Whether it is an answer to the one challenge that is expected.
    answers: bool,
}

impl Verified {
    /// [`super::verify`], which many threads may do at once.
    pub fn new<'a>(
        signed: impl Into<Signed<'a>>,
        evidence: Option<impl Read>,
        expectations: &Expectations,
        rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, Failure>,
    ) -> Self {
        let (mut report, sighting) = verify_and_sight(signed.into(), evidence, expectations, rederive);
        for item in report.statement.iter_mut().flat_map(|statement| &mut statement.predicate.evidence) {
            item.inline = None;
        }
        Self { report, sighting, answers: expectations.challenge.is_some() }
    }
}

impl From<Report> for Verified {
    /// A report of which nothing more is known.
    fn from(report: Report) -> Self {
        Self { report, sighting: None, answers: false }
    }
}

impl Batch {
    /// Compares with every valid report before it. Two reports about one machine are no failure, and neither is one that comes
    /// twice: it shares with others the worst that it shared the first time. `name` is what later failures call the report. Which
    /// of two reports is the duplicate depends on nothing but the order in which they are added.
    pub fn add(&mut self, name: &str, verified: Verified) -> Report {
        let Verified { mut report, sighting, answers } = verified;
        let (true, Some(statement), Some(content)) = (report.is_valid(), &report.statement, report.statement_sha256)
        else {
            return report;
        };
        if answers {
            match self.answer {
                Some(first) if first != content => report.failures.push(challenge::answered_before(&first, &content)),
                _ => self.answer = Some(content),
            }
        }
        let report_id = statement.predicate.report_id.clone();
        match self.seen.entry(Digest::of(report_id.as_bytes())) {
            Entry::Vacant(entry) => _ = entry.insert(content),
            Entry::Occupied(entry) if *entry.get() == content => {
                if let Some(worst) = self.duplicates.get(&content) {
                    let second = Place { document: name.to_owned(), part: worst.second.part.clone() };
                    report.shared.duplicates.push(Duplicate { second, ..worst.clone() });
                }
                tell_duplicates(&mut report);
                return report;
            }
            Entry::Occupied(entry) => {
                let expected = format!("the statement {} seen before", entry.get());
                let what = format!("report id {report_id:?}");
                report.fail(FailureClass::Duplicate, &what, &expected, &format!("the statement {content}"));
            }
        }
        report.shared = sighting.map(|sighting| self.ledger.add(name, sighting)).unwrap_or_default();
        if let Some(worst) = report.shared.duplicates.iter().max_by_key(|it| (it.is_certain(), it.severity)) {
            self.duplicates.insert(content, worst.clone());
        }
        tell_duplicates(&mut report);
        report
    }

    /// Ends the comparison.
    ///
    /// # Errors
    ///
    /// As of [`Ledger::finish`].
    pub fn finish(self) -> Result<(), Incomplete> {
        self.ledger.finish()
    }
}

/// Fails over what is certain to be in two machines.
fn tell_duplicates(report: &mut Report) {
    let certain: Vec<Duplicate> = report.shared.duplicates.iter().filter(|it| it.is_certain()).cloned().collect();
    for duplicate in certain.iter().take(MAX_LISTED) {
        let what = format!("{} {} of {}", duplicate.fact, duplicate.id, duplicate.second.part);
        let observed = format!("{} in {}, another machine, has it too", duplicate.first.part, duplicate.first.document);
        report.fail(FailureClass::Duplicate, &what, "an id that no other unit has", &observed);
    }
    if !report.is_valid() {
        report.establish_nothing();
    }
}
