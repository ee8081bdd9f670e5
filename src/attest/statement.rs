//! What is signed: an in-toto Statement v1 with this tool's predicate.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device::DeviceEvidence;
use super::evidence_tar::Written;
use super::tpm::Platform;
use super::{Digest, Hasher};
use crate::claim::Order;

pub use yanji_format::{
    Assurance, BurnIn, Challenge, ChallengeSource, Database, DigestSet, EvidenceItem, Inline, LoadedLibrary, PolicyRef,
    Previous, Records, Relation, Session, SignedVerdict, Subject, Tool,
};

/// What was seen of a machine, how, and what follows from it.
pub type Predicate = yanji_format::Predicate<Order, Platform, DeviceEvidence>;

/// `_type` of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of this tool's predicate.
pub const PREDICATE_TYPE: &str = "https://yanji.example/hw-authenticity/v1";
/// Name of the subject whose digest is that of the identity.
pub const UNIT_SUBJECT: &str = "unit";
/// Name of the subject, and of the file, that holds the raw evidence.
pub const EVIDENCE_SUBJECT: &str = "evidence.tar";

/// An in-toto Statement v1, a report's unless another predicate is named. Unknown fields beside the predicate are ignored,
/// as that specification demands; inside the predicate they are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Statement")]
pub struct Statement<P = Predicate> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about. A report is about the unit, its evidence, and the parts that have an id of their own.
    pub subject: Vec<Subject>,
    /// Which predicate it is: [`PREDICATE_TYPE`] of a report.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// Everything that is said about them.
    pub predicate: P,
}

/// Something in a statement that contradicts something else in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Where.
    pub what: String,
    /// What the rest of the statement leads to.
    pub expected: String,
    /// What is there.
    pub observed: String,
}

impl Contradiction {
    /// The two, where they differ.
    pub(super) fn between(what: &str, expected: impl ToString, observed: impl ToString) -> Option<Self> {
        let (expected, observed) = (expected.to_string(), observed.to_string());
        (expected != observed).then(|| Self { what: what.to_owned(), expected, observed })
    }

    /// A time that is none.
    pub(super) fn of_time(what: &str, text: &str) -> Option<Self> {
        let bad = text.parse::<jiff::Timestamp>().is_err();
        bad.then(|| Self { what: what.to_owned(), expected: "RFC 3339".to_owned(), observed: text.to_owned() })
    }
}

/// Why a statement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The identity is not something that RFC 8785 can serialise.
    #[error("the identity has no canonical form")]
    Canonical(#[source] serde_json::Error),
    /// The identity is not an object.
    #[error("the identity is not an object")]
    NotAnObject,
    /// Cannot be written as JSON.
    #[error("the statement cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl<P: Serialize> Statement<P> {
    /// The JSON that is signed, without white space.
    pub fn to_json(&self) -> Result<Vec<u8>, StatementError> {
        serde_json::to_vec(self).map_err(StatementError::Json)
    }
}

impl<P> Statement<P> {
    /// A statement of that type about those subjects.
    pub fn about(subject: Vec<Subject>, predicate_type: &str, predicate: P) -> Self {
        let (statement_type, predicate_type) = (STATEMENT_TYPE.to_owned(), predicate_type.to_owned());
        Self { statement_type, subject, predicate_type, predicate }
    }

    /// The digest of the only subject of that name; `None` where there is none, or more than one.
    pub fn subject_sha256(&self, name: &str) -> Option<Digest> {
        let mut named = self.subject.iter().filter(|subject| subject.name == name);
        let digest = named.next()?.digest.sha256;
        named.next().is_none().then_some(digest)
    }
}

impl Statement {
    /// A statement about the unit that `predicate.identity` describes and about those parts ([`part_subject`]). Its
    /// evidence is added by [`Self::set_evidence`].
    pub fn new(predicate: Predicate, parts: Vec<Subject>) -> Result<Self, StatementError> {
        let mut subject = vec![unit_subject(&predicate.identity)?];
        subject.extend(parts);
        Ok(Self::about(subject, PREDICATE_TYPE, predicate))
    }

    /// Names the evidence as it was written.
    pub fn set_evidence(&mut self, written: Written) {
        self.subject.retain(|subject| subject.name != EVIDENCE_SUBJECT);
        let at = self.subject.len().min(1);
        self.subject.insert(at, evidence_subject(written.sha256));
        self.predicate.evidence = written.items;
    }

    /// The subjects that are neither the unit nor its evidence: its parts, where nothing else was added.
    pub fn part_subjects(&self) -> impl Iterator<Item = &Subject> {
        self.subject.iter().filter(|subject| ![UNIT_SUBJECT, EVIDENCE_SUBJECT].contains(&subject.name.as_str()))
    }

    /// The digest of `evidence.tar`, when there is such a subject.
    pub fn evidence_sha256(&self) -> Option<Digest> {
        self.subject.iter().find(|subject| subject.name == EVIDENCE_SUBJECT).map(|subject| subject.digest.sha256)
    }

    /// What in this statement contradicts the rest of it: the unit's digest, times, the session id (of one of
    /// `signers`), databases and ids that are there twice, inline bytes that are not those of their digest.
    pub fn contradictions(&self, signers: &[Digest]) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut differ = |what: &str, expected: String, observed: String| {
            found.push(Contradiction { what: what.to_owned(), expected, observed });
        };
        let predicate = &self.predicate;
        for name in [UNIT_SUBJECT, EVIDENCE_SUBJECT] {
            let count = self.subject.iter().filter(|subject| subject.name == name).count();
            if count != 1 {
                differ(&format!("subjects named {name}"), "1".to_owned(), count.to_string());
            }
        }
        if let Some(unit) = self.subject.iter().find(|subject| subject.name == UNIT_SUBJECT) {
            let observed = unit.digest.sha256;
            match unit_subject(&predicate.identity).map(|unit| unit.digest.sha256) {
                Ok(expected) if expected == observed => {}
                Ok(expected) => differ("digest of the subject unit", expected.to_string(), observed.to_string()),
                Err(error) => differ("identity", "an object".to_owned(), error.to_string()),
            }
        }

        let session = &predicate.session;
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        match (time(&session.started_at), time(&session.ended_at)) {
            (Some(started), Some(ended)) if started <= ended => {}
            _ => differ(
                "session times",
                "RFC 3339, the end not before the start".to_owned(),
                format!("{} to {}", session.started_at, session.ended_at),
            ),
        }
        let s0 = |signer| {
            session_id(predicate.challenge.as_ref(), signer, &predicate.tool.binary_sha256, &session.started_at)
        };
        if !signers.iter().any(|signer| s0(signer) == session.s0) {
            let expected = signers.first().map_or_else(|| "a signer".to_owned(), |signer| s0(signer).to_string());
            differ("session.s0", expected, session.s0.to_string());
        }

        let mut names = BTreeSet::new();
        for database in &predicate.databases {
            if !names.insert(&database.name) {
                differ("databases", "each one once".to_owned(), format!("{:?} twice", database.name));
            }
        }
        let mut ids = BTreeSet::new();
        for item in &predicate.evidence {
            if !ids.insert(&item.id) {
                differ("evidence ids", "each one once".to_owned(), format!("{:?} twice", item.id));
            }
            if let Some(Inline(bytes)) = &item.inline {
                let observed = (bytes.len() as u64, Digest::of(bytes));
                if observed != (item.bytes, item.sha256) {
                    differ(
                        &format!("inline bytes of {:?}", item.id),
                        format!("{} bytes, {}", item.bytes, item.sha256),
                        format!("{} bytes, {}", observed.0, observed.1),
                    );
                }
            }
        }
        found
    }
}

/// The subject `unit`: SHA-256 of the identity's canonical JSON (RFC 8785).
pub fn unit_subject(identity: &serde_json::Value) -> Result<Subject, StatementError> {
    if !identity.is_object() {
        return Err(StatementError::NotAnObject);
    }
    let canonical = serde_json_canonicalizer::to_vec(identity).map_err(StatementError::Canonical)?;
    Ok(subject(UNIT_SUBJECT, Digest::of(&canonical)))
}

/// A subject by name and digest.
pub fn subject(name: &str, sha256: Digest) -> Subject {
    Subject { name: name.to_owned(), digest: DigestSet { sha256 } }
}

/// The subject `evidence.tar`.
pub fn evidence_subject(sha256: Digest) -> Subject {
    subject(EVIDENCE_SUBJECT, sha256)
}

/// The subject of one part that has an id of its own: `H("hwid/v1\0" || type || id)`, so that two reports can be
/// matched by it while the id itself stays out of the name. `id_type` is a fixed word such as `nvidia-pdi`.
pub fn part_subject(id_type: &str, id: &str) -> Subject {
    let mut hasher = Hasher::new();
    for bytes in ["hwid/v1\0", id_type, id] {
        hasher.update(bytes.as_bytes());
    }
    let sha256 = hasher.finish();
    Subject { name: format!("hwid:{id_type}:{:.16}", sha256.to_string()), digest: DigestSet { sha256 } }
}

/// The session id `s0 = H("yanji/v1/session\0" || challenge || keyid || toolSha256 || startedAt)`. Digests and the
/// challenge are 32 raw bytes each; without a challenge there are none, and the text of a time can't stand in for them.
pub fn session_id(challenge: Option<&Challenge>, keyid: &Digest, tool_sha256: &Digest, started_at: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"yanji/v1/session\0");
    if let Some(challenge) = challenge {
        hasher.update(&challenge.value);
    }
    hasher.update(keyid.as_bytes());
    hasher.update(tool_sha256.as_bytes());
    hasher.update(started_at.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_does_not_depend_on_the_order_of_keys() {
        let unit = |json: &str| unit_subject(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(unit(r#"{"b":1,"a":[2]}"#), unit(r#"{ "a": [2], "b": 1.0 }"#));
        assert_eq!(unit(r#"{"a":1}"#).digest.sha256, Digest::of(br#"{"a":1}"#));
        assert!(unit_subject(&serde_json::json!([])).is_err());
    }
}
