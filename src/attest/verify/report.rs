//! What a verification found.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use super::{ClaimLevel, Failure, FailureClass, MAX_LISTED, SigningTime, TpmProof, time};
use crate::attest::Digest;
use crate::attest::document::{Document, Kind};
use crate::attest::envelope::{EnvelopeError, ForeignSignature, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Signature};
use crate::attest::statement::{Assurance, Contradiction, Statement};
use crate::ledger::Shared;
use crate::policy::{Judgement, Verdict};

/// What was established or not. Most sentences are the same for each of thousands of reports.
pub type Sentence = Cow<'static, str>;

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

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Digest of the envelope, unless it is too large to be one.
    pub envelope_sha256: Option<Digest>,
    /// Digest of the signed bytes, once a trusted key's signature over them has been checked.
    pub statement_sha256: Option<Digest>,
    /// The statement, once a trusted key's signature over it has been checked. It may still have failed later.
    pub statement: Option<Statement>,
    /// Another document than a report, once the same was done.
    pub document: Option<Document>,
    /// Trusted keys that signed, each once.
    pub signers: Vec<Signer>,
    /// Key ids of signatures that were not checked, since their keys are not known.
    pub unknown_signers: Vec<Digest>,
    /// All signatures of the envelope, checked or not.
    #[serde(skip)]
    pub signatures: Vec<Signature>,
    /// Signatures of other kinds, which nothing here checks.
    #[serde(skip)]
    pub foreign_signatures: Vec<ForeignSignature>,
    /// When the signatures of [`Self::signers`] had been made at the latest, in the words of authorities that are believed.
    pub signing_times: Vec<SigningTime>,
    /// Undamaged timestamps by authorities that nobody said to believe. They prove nothing.
    pub unknown_authorities: usize,
    /// Undamaged timestamps over signatures that were not checked. They prove nothing: anybody can make such a signature.
    pub unchecked_timestamps: usize,
    /// How the evidence was checked, once it was.
    pub evidence: Option<EvidenceSource>,
    /// The level that was established; `None` when anything failed.
    pub assurance: Option<Assurance>,
    /// What comes out differently with the signature set of today.
    pub differences: Vec<Difference>,
    /// What it shares with earlier reports of a [`super::Batch`]. Duplicates that are certain are failures too; the others need a
    /// person.
    pub shared: Shared,
    /// Why the report is not valid. Empty for a valid one.
    pub failures: Vec<Failure>,
    /// What is neither right nor wrong as long as something is missing. A report with any is indeterminate: at most
    /// undecided.
    pub indeterminate: Vec<Failure>,
    /// What should be known, and says nothing against the report.
    pub warnings: Vec<Failure>,
    /// What each claim of a valid report rests on.
    pub claims: Vec<ClaimLevel>,
    /// What the TPM of the machine proves; `None` where none signed anything.
    pub tpm: Option<TpmProof>,
    /// What was established, a sentence each.
    pub proven: Vec<Sentence>,
    /// What was not, a sentence each.
    pub not_proven: Vec<Sentence>,
}

impl Report {
    /// Whether nothing failed. A valid report may well say that the machine is rejected.
    pub fn is_valid(&self) -> bool {
        self.failures.is_empty()
    }

    /// What was signed, as far as it got that far.
    pub fn kind(&self) -> Option<Kind> {
        match &self.document {
            Some(document) => Some(document.kind()),
            None => self.statement.as_ref().map(|_| Kind::Report),
        }
    }

    /// The verdict of a valid document whose signer alone answers for it ([`Document::verdict`]). Nothing is accepted while
    /// something is open.
    pub fn document_verdict(&self) -> Option<Verdict> {
        let verdict = self.document.as_ref().filter(|_| self.is_valid())?.verdict()?;
        let is_open = verdict == Verdict::Accepted && !self.indeterminate.is_empty();
        Some(if is_open { Verdict::Undecided } else { verdict })
    }

    /// What to make of the report, now that it was compared with others: nothing of one that is not valid, and no acceptance
    /// of one about which something is open.
    pub fn judge(&self, judgement: Option<Judgement>) -> Option<Judgement> {
        let mut judgement = judgement.filter(|_| self.is_valid())?;
        let mut open = Vec::new();
        // Another version of the tool or of the signatures may read them otherwise; whose report this is, is open until then.
        for what in ["identity", "subjects"] {
            if self.differences.iter().any(|difference| difference.what.split(' ').next() == Some(what)) {
                open.push(format!("{what}: what is signed is not what this version and these signatures read"));
            }
        }
        for Failure { class, what, expected, observed } in &self.indeterminate {
            open.push(format!("{class}: {what} is {observed}, not {expected}"));
        }
        if !open.is_empty() && judgement.verdict == Verdict::Accepted {
            judgement.verdict = Verdict::Undecided;
        }
        judgement.reasons.extend(open);
        Some(judgement)
    }

    /// The class of the first failure.
    pub fn class(&self) -> Option<FailureClass> {
        self.failures.first().map(|failure| failure.class)
    }

    /// When a key's signature had been made at the latest; `None` when no believed authority saw it.
    pub fn signed_before(&self, keyid: &Digest) -> Option<Timestamp> {
        time::earliest(&self.signing_times, keyid)
    }

    /// The report on an envelope that [`crate::attest::envelope::read`] refused.
    pub fn unreadable(error: &EnvelopeError) -> Self {
        let mut report = Self::empty();
        report.fail_envelope(error);
        report
    }

    pub(super) fn empty() -> Self {
        Self {
            envelope_sha256: None,
            statement_sha256: None,
            statement: None,
            document: None,
            signers: Vec::new(),
            unknown_signers: Vec::new(),
            signatures: Vec::new(),
            foreign_signatures: Vec::new(),
            signing_times: Vec::new(),
            unknown_authorities: 0,
            unchecked_timestamps: 0,
            evidence: None,
            assurance: None,
            differences: Vec::new(),
            shared: Shared::default(),
            failures: Vec::new(),
            indeterminate: Vec::new(),
            warnings: Vec::new(),
            claims: Vec::new(),
            tpm: None,
            proven: Vec::new(),
            not_proven: Vec::new(),
        }
    }

    /// Takes back what seemed established before something failed.
    pub(in crate::attest) fn establish_nothing(&mut self) {
        self.assurance = None;
        self.claims.clear();
        self.proven.clear();
        self.not_proven.clear();
    }

    pub(super) fn fail_envelope(&mut self, error: &EnvelopeError) {
        let expected = format!("a DSSE envelope of at most {MAX_ENVELOPE_BYTES} bytes holding {PAYLOAD_TYPE}");
        self.fail(FailureClass::Format, "envelope", &expected, &error.to_string());
    }

    /// Fails over what contradicts the rest of the document.
    pub(super) fn fail_contradictions(&mut self, found: Vec<Contradiction>) {
        for Contradiction { what, expected, observed } in found.into_iter().take(MAX_LISTED) {
            self.fail(FailureClass::Evidence, &what, &expected, &observed);
        }
    }

    pub(super) fn fail(&mut self, class: FailureClass, what: &str, expected: &str, observed: &str) {
        self.failures.push(Failure::new(class, what, expected, observed));
    }
}
