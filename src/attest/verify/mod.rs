//! Whether a report is what its signer says, as far as that can be known from the report alone.
//!
//! [`verify`] is pure: it reads the bytes that it is given, prints nothing and asks no clock. It stops at the first
//! step that fails, in this order:
//!
//! 1. `E_FORMAT`: size caps, duplicate keys, base64, the statement's own fields;
//! 2. `E_SIGNATURE`, `E_UNTRUSTED_SIGNER`: over the very bytes that are parsed after;
//! 3. `E_EVIDENCE`: every item against its digest, nothing missing, nothing added, no contradiction in the statement;
//! 4. `E_DEVICE_CHAIN`, `E_NONCE`, `E_IDENTITY_CONFLICT`: what devices signed of themselves;
//! 5. `E_VERDICT_MISMATCH`: checks and verdict follow from the evidence;
//! 6. `E_DUPLICATE`: across a [`Batch`], report ids and the ids of parts.
//!
//! Documents about a report ([`Document`]) have the first two steps and say themselves what they do not prove.
//!
//! It establishes that the holder of a trusted key signed the statement, that the evidence is the evidence that was
//! signed, and that the verdict follows from it. It does not establish that the evidence is true: see
//! [`Report::not_proven`].

mod authenticate;
mod batch;
mod conclude;
mod device;
mod evidence;
mod failure;
mod report;
mod reveal;
mod verdict;

pub use batch::Batch;
pub use evidence::{EvidenceItems, MAX_KEPT_BYTES, MAX_RECORDS_BYTES};
pub use failure::{Failure, FailureClass};
pub use report::{Claim, Difference, EvidenceSource, Report, Signer};
pub use reveal::reveal;
pub use verdict::{MAX_ASSURANCE, Rederived};

use std::io::Read;

use jiff::Timestamp;

use super::device::Roots;
use super::document::Document;
use super::statement::Statement;
use super::trust::TrustedKeys;
use crate::ledger::Sighting;

/// Failures and differences of one kind that are listed; the rest is counted.
const MAX_LISTED: usize = 20;
/// How much of a value is repeated in a failure.
const MAX_SHOWN_CHARS: usize = 400;

/// What a verifier knows beforehand and holds every report against.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Whose signatures count.
    pub trusted: TrustedKeys,
    /// The time, for what is valid for a while only.
    pub now: Timestamp,
    /// Authorities that vouch for devices.
    pub device_roots: Roots,
    /// Serial numbers of device certificates that were revoked, hexadecimal.
    pub revoked_devices: Vec<String>,
}

/// Verifies one report. `evidence` is its `evidence.tar`, if there is one; `rederive` runs collectors, rules and policy
/// again on checked evidence, and its error says why that is not possible.
///
/// Takes memory for the envelope and for the evidence items that are kept ([`MAX_KEPT_BYTES`]), never for the whole of
/// `evidence`.
pub fn verify(
    envelope_bytes: &[u8],
    evidence: Option<impl Read>,
    expectations: &Expectations,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
) -> Report {
    verify_and_sight(envelope_bytes, evidence, expectations, rederive).0
}

/// Verifies that the evidence of a report is the evidence that was signed, and nothing of what follows from it.
pub fn verify_evidence(envelope_bytes: &[u8], evidence: Option<impl Read>, expectations: &Expectations) -> Report {
    let mut report = Report::empty();
    match authenticate::check(envelope_bytes, &expectations.trusted, &mut report) {
        Some((Document::Report(statement), signers)) => {
            for found in statement.contradictions(&signers).into_iter().take(MAX_LISTED) {
                report.fail(FailureClass::Evidence, &found.what, &found.expected, &found.observed);
            }
            if report.is_valid() {
                evidence::check(&statement, evidence, &mut report);
            }
            report.statement = Some(*statement);
        }
        Some((other, _)) => {
            let kind = other.kind().as_str();
            report.fail(
                FailureClass::Evidence,
                "evidence",
                "the evidence of a report",
                &format!("a document of kind {kind}"),
            );
        }
        None => {}
    }
    report
}

/// [`verify`], with the ids in a valid report.
fn verify_and_sight(
    envelope_bytes: &[u8],
    evidence: Option<impl Read>,
    expectations: &Expectations,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, String>,
) -> (Report, Option<Sighting>) {
    let (mut report, mut sighting) = (Report::empty(), None);
    let Some((document, signers)) = authenticate::check(envelope_bytes, &expectations.trusted, &mut report) else {
        return (report, None);
    };
    let statement = match document {
        Document::Report(statement) => *statement,
        other => {
            conclude::conclude_document(other, &mut report);
            return (report, None);
        }
    };
    for found in statement.contradictions(&signers).into_iter().take(MAX_LISTED) {
        report.fail(FailureClass::Evidence, &found.what, &found.expected, &found.observed);
    }
    if report.is_valid()
        && let Some(items) = evidence::check(&statement, evidence, &mut report)
        && let Some(rederived) = verdict::rederive(&statement, &items, rederive, &mut report)
        && device::check(&statement, &rederived, expectations, &mut report)
        && verdict::check(&statement, &rederived, &mut report)
    {
        conclude::conclude(&statement, &rederived, &mut report);
        sighting = Some(rederived.sighting);
    }
    if !report.is_valid() {
        report.claims.clear();
    }
    report.statement = Some(statement);
    (report, sighting)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
