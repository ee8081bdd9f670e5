//! Whether a report is what its signer says, as far as that can be known from the report alone.
//!
//! [`verify`] is pure: it reads the bytes that it is given, prints nothing and asks no clock. It stops at the first
//! step that fails, in this order:
//!
//! 1. `E_FORMAT`: size caps, duplicate keys, base64, the statement's own fields;
//! 2. `E_SIGNATURE`, `E_UNTRUSTED_SIGNER`: over the very bytes that are parsed after; `E_REVOKED`, `E_THRESHOLD`: the
//!    signers are those whom the trust policy wants;
//! 3. `E_TIME`: timestamps over the signatures are valid, and none is older than the session says that it is;
//! 4. `E_REPLAY`, `E_STALE`: the challenge that was issued, answered for the first time, and not too long ago;
//! 5. `E_EVIDENCE`: every item against its digest, nothing missing, nothing added, no contradiction in the statement; the recorded
//!    machine can be unpacked, and the chain of the burn-in's records is unbroken and that of this session and boot;
//! 6. `E_DEVICE_CHAIN`, `E_NONCE`, `E_IDENTITY_CONFLICT`: what devices signed of themselves;
//! 7. `E_TPM_…`, `E_IMAGE_UNKNOWN`: what a TPM signed;
//! 8. `E_VERDICT_MISMATCH`: checks and verdict follow from the evidence;
//! 9. `E_DUPLICATE`: across a [`Batch`], report ids and the ids of parts;
//! 10. `E_POLICY`: the minimums of the trust policy.
//!
//! Documents about a report ([`Document`]) have the first three steps and say themselves what they do not prove. Whether one
//! was taken back by another ([`super::withdrawal`]) is known to whoever has both.
//!
//! It establishes that the holder of a trusted key signed the statement, that the evidence is the evidence that was
//! signed, and that the verdict follows from it. It does not establish that the evidence is true: see
//! [`Report::not_proven`].

mod authenticate;
mod batch;
mod challenge;
mod claims;
mod conclude;
mod device;
mod evidence;
mod failure;
mod lookalike;
mod policy;
mod report;
mod reveal;
mod standing;
mod time;
mod tpm;
mod verdict;

pub use batch::{Batch, Verified};
pub use claims::ClaimLevel;
pub use evidence::{EvidenceItems, MAX_KEPT_BYTES, MAX_RECORDS_BYTES};
pub use failure::{Failure, FailureClass};
pub use report::{Difference, EvidenceSource, Report, Sentence, Signer};
pub use reveal::reveal;
pub use time::SigningTime;
pub use tpm::TpmProof;
pub use verdict::{MAX_ASSURANCE, Rederived};

use std::io::Read;

use jiff::Timestamp;

use super::challenge::TrustedChallenge;
use super::device::Roots;
use super::document::{Document, Kind};
use super::policy::{RootKind, TrustPolicy};
use super::statement::Statement;
use super::timestamp::Authorities;
use super::trust::TrustedKeys;
use super::{Digest, MAX_DOCUMENT_BYTES};
use crate::ledger::Sighting;

/// Failures and differences of one kind that are listed; the rest is counted.
const MAX_LISTED: usize = 20;
/// How much of a value is repeated in a failure.
const MAX_SHOWN_CHARS: usize = 400;

/// What a verifier knows beforehand and holds every report against.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Whose signatures count. With a policy: those of [`TrustPolicy::trusted_keys`].
    pub trusted: TrustedKeys,
    /// What time it is: for the age of reports, for keys and certificates whose time is over. The default, long ago, makes no
    /// report too old.
    pub now: Timestamp,
    /// Authorities that vouch for devices.
    pub device_roots: Roots,
    /// The challenge that every report must answer.
    pub challenge: Option<TrustedChallenge>,
    /// What the signers and the report must be.
    pub policy: Option<TrustPolicy>,
    /// Whose timestamps count. With a policy: the roots of its kind `tsa`.
    pub authorities: Authorities,
}

/// An envelope, and what lies beside it that tells more of its signatures.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The envelope.
    pub envelope: &'a [u8],
    /// Timestamps over its signatures ([`super::timestamp::Sidecar`]).
    pub timestamps: Option<&'a [u8]>,
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Signed<'a> {
    fn from(envelope: &'a T) -> Self {
        Self { envelope: envelope.as_ref(), timestamps: None }
    }
}

impl Expectations {
    /// Trusts those keys, and expects nothing else.
    pub fn new(trusted: TrustedKeys, now: Timestamp) -> Self {
        Self { trusted, now, ..Self::default() }
    }

    /// Expects what a policy asks for.
    pub fn of_policy(policy: TrustPolicy, now: Timestamp) -> Self {
        let of_kind = |kind| policy.roots.iter().filter(move |root| root.kind == kind);
        let authorities = Authorities::from_der(of_kind(RootKind::Tsa).map(|root| root.certificate_der.as_slice()));
        let mut device_roots = Roots::default();
        for root in of_kind(RootKind::NvidiaDeviceIdentity) {
            device_roots.add_der("trust policy", &root.certificate_der);
        }
        Self { trusted: policy.trusted_keys(), now, policy: Some(policy), authorities, device_roots, ..Self::default() }
    }
}

/// Verifies one report. `evidence` is its `evidence.tar`, if there is one; `rederive` runs collectors, rules and policy
/// again on checked evidence, and its error is why that is not possible.
///
/// Takes memory for the envelope and for the evidence items that are kept ([`MAX_KEPT_BYTES`]), never for the whole of
/// `evidence`.
pub fn verify<'a>(
    signed: impl Into<Signed<'a>>,
    evidence: Option<impl Read>,
    expectations: &Expectations,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, Failure>,
) -> Report {
    verify_and_sight(signed.into(), evidence, expectations, rederive).0
}

/// Verifies who signed a report and when, and that its evidence is the evidence that was signed; nothing of what follows from
/// that.
pub fn verify_evidence<'a>(
    signed: impl Into<Signed<'a>>,
    evidence: Option<impl Read>,
    expectations: &Expectations,
) -> Report {
    let mut report = Report::empty();
    match introduce(signed.into(), expectations, &mut report) {
        Some((Document::Report(statement), signers)) => {
            if report.is_valid() {
                report.fail_contradictions(statement.contradictions(&signers));
            }
            if report.is_valid() {
                evidence::check(&statement, evidence, &mut report);
            }
            report.statement = Some(*statement);
        }
        Some((other, _)) if report.is_valid() => {
            let observed = format!("a document of kind {}", other.kind().as_str());
            report.fail(FailureClass::Evidence, "evidence", "the evidence of a report", &observed);
        }
        _ => {}
    }
    report
}

/// What every kind of document has to pass: format, signatures, signers who count, and times that do not contradict each
/// other. Gives the document, whose signers may have failed, and the ids of all keys that the envelope names.
fn introduce(signed: Signed<'_>, expectations: &Expectations, report: &mut Report) -> Option<(Document, Vec<Digest>)> {
    let (document, signers) = authenticate::check(signed.envelope, &expectations.trusted, report)?;
    // Whoever looks for withdrawals beside a report reads no larger file.
    if document.kind() == Kind::Void && signed.envelope.len() > MAX_DOCUMENT_BYTES {
        let expected = format!("a withdrawal of at most {MAX_DOCUMENT_BYTES} bytes");
        report.fail(FailureClass::Format, "envelope", &expected, &format!("{} bytes", signed.envelope.len()));
    }
    let mut untimely = match signed.timestamps {
        Some(timestamps) => time::read(timestamps, expectations, report),
        None => Vec::new(),
    };
    if let Some(policy) = &expectations.policy {
        let times = report.signing_times.clone();
        let proven = |keyid: &Digest| time::earliest(&times, keyid);
        standing::check(document.kind(), document.made_at(), policy, &proven, expectations.now, report);
        let signers = &report.signers;
        report.signing_times.retain(|time| signers.iter().any(|signer| signer.keyid == time.keyid));
    }
    if report.is_valid() {
        report.failures.append(&mut untimely);
        time::check(document.made_at(), expectations.now, report);
    }
    Some((document, signers))
}

/// [`verify`], with the ids in a valid report.
fn verify_and_sight(
    signed: Signed<'_>,
    evidence: Option<impl Read>,
    expectations: &Expectations,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, Failure>,
) -> (Report, Option<Sighting>) {
    let (mut report, mut sighting) = (Report::empty(), None);
    let Some((document, signers)) = introduce(signed, expectations, &mut report) else { return (report, None) };
    let statement = match document {
        Document::Report(statement) => *statement,
        other => {
            conclude::conclude_document(other, expectations, &mut report);
            return (report, None);
        }
    };
    if report.is_valid() {
        challenge::check(&statement, expectations, &mut report);
    }
    if report.is_valid() {
        report.fail_contradictions(statement.contradictions(&signers));
    }
    if report.is_valid()
        && let Some(items) = evidence::check(&statement, evidence, &mut report)
        && let Some(rederived) = verdict::rederive(&statement, &items, rederive, &mut report)
        && device::check(&statement, &rederived, expectations, &mut report)
    {
        let tpm = tpm::check(&statement, &items, &rederived, expectations, &mut report);
        if report.is_valid() {
            verdict::check(&statement, &rederived, &mut report);
        }
        if report.is_valid() {
            let assurance = conclude::assurance(&statement, &rederived);
            lookalike::check(&statement, &mut report);
            policy::check(&statement, &rederived, assurance, expectations.policy.as_ref(), tpm.as_ref(), &mut report);
            if report.is_valid() {
                tpm::conclude(&statement, tpm, expectations, &mut report);
                conclude::conclude(&statement, &rederived, assurance, expectations, &mut report);
                let previous = statement.predicate.previous.as_ref().map(|previous| &previous.sha256);
                sighting = Some(match &report.envelope_sha256 {
                    Some(envelope) => rederived.sighting.of_document(envelope, previous),
                    None => rederived.sighting,
                });
            }
        }
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
