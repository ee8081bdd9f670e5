//! Small signed statements beside reports: a challenge, a trust policy.
//!
//! Each is a DSSE envelope over an in-toto Statement v1, like a report, so that the same outside verifiers read it. The
//! predicate is read strictly; unknown fields beside it are ignored, as in-toto demands.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Digest;
use super::envelope::{self, Envelope, EnvelopeError};
use super::key::{Key, PublicKey};
use super::statement::{DigestSet, STATEMENT_TYPE, Subject};
use super::strict_json::{self, StrictJsonError};

/// The largest document that is read.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// Why bytes are not the document that was expected. No signature is checked before this.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`MAX_DOCUMENT_BYTES`].
    #[error("has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a statement with that predicate.
    #[error("the signed statement {0}")]
    Statement(StrictJsonError),
    /// A statement of another type.
    #[error("{what} is {observed:?} and not {expected:?}")]
    Type {
        /// `_type` or `predicateType`.
        what: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        observed: String,
    },
    /// Not exactly one subject of that name.
    #[error("the statement is not about one subject {0:?}")]
    Subject(&'static str),
}

/// A statement about one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Statement<P> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

/// What kind of statement it is, and what it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Type of the predicate.
    pub predicate_type: &'static str,
    /// Name of the only subject.
    pub subject: &'static str,
}

/// A document as it was found: anybody may have signed it.
#[derive(Debug, Clone)]
pub(super) struct Opened<P> {
    /// The envelope.
    pub envelope: Envelope,
    /// Digest of the subject.
    pub subject: Digest,
    /// What is said about it.
    pub predicate: P,
}

/// Signs a statement about the one subject of that kind.
pub(super) fn sign<P: Serialize>(
    kind: Kind,
    subject: Digest,
    predicate: P,
    key: &Key,
) -> Result<Envelope, serde_json::Error> {
    let statement = Statement {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject { name: kind.subject.to_owned(), digest: DigestSet { sha256: subject } }],
        predicate_type: kind.predicate_type.to_owned(),
        predicate,
    };
    Ok(Envelope::sign(serde_json::to_vec(&statement)?, key))
}

/// Reads a document of that kind. No signature is checked.
pub(super) fn open<P: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<Opened<P>, DocumentError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge);
    }
    let envelope = Envelope::parse(bytes)?;
    // The type first: of another kind of statement nothing else is known.
    #[derive(Deserialize)]
    struct Types {
        #[serde(rename = "_type")]
        statement_type: String,
        #[serde(rename = "predicateType")]
        predicate_type: String,
    }
    let types: Types =
        strict_json::from_slice(&envelope.payload, MAX_DOCUMENT_BYTES).map_err(DocumentError::Statement)?;
    for (what, expected, observed) in
        [("_type", STATEMENT_TYPE, types.statement_type), ("predicateType", kind.predicate_type, types.predicate_type)]
    {
        if observed != expected {
            return Err(DocumentError::Type { what, expected, observed: observed.chars().take(80).collect() });
        }
    }
    let statement: Statement<P> =
        strict_json::from_slice(&envelope.payload, MAX_DOCUMENT_BYTES).map_err(DocumentError::Statement)?;
    let subject = match statement.subject.as_slice() {
        [only] if only.name == kind.subject => only.digest.sha256,
        _ => return Err(DocumentError::Subject(kind.subject)),
    };
    Ok(Opened { envelope, subject, predicate: statement.predicate })
}

/// Those of `keys` that signed the envelope, each once. `Err` with the key id when a signature names one of them and is not
/// by it.
pub(super) fn signers(envelope: &Envelope, keys: &[PublicKey]) -> Result<Vec<PublicKey>, Digest> {
    let message = envelope::pae(&envelope.payload);
    let mut signers = Vec::new();
    for signature in &envelope.signatures {
        let Some(key) = keys.iter().find(|key| key.keyid() == signature.keyid) else { continue };
        if !key.verify(&message, &signature.bytes) {
            return Err(signature.keyid);
        }
        if !signers.contains(key) {
            signers.push(*key);
        }
    }
    Ok(signers)
}
