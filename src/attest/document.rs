//! The kinds of documents that are signed, in one table.

use serde::{Deserialize, Serialize};
use yanji_format::{ReportStatement, Unread};

use super::acceptance::{ACCEPTANCE_TYPE, Acceptability, Acceptance};
use super::certificate::{CERTIFICATE_TYPE, Certificate};
use super::envelope::MAX_ENVELOPE_BYTES;
use super::policy::Scope;
use super::statement::{Contradiction, PREDICATE_TYPE, STATEMENT_TYPE, Statement};
use super::strict_json::{self, StrictJsonError};
use super::void::{VOID_TYPE, Void};
use crate::policy::Verdict;

/// What a signed document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A report about a machine.
    Report,
    /// A buyer's receipt.
    Acceptance,
    /// Another document taken back.
    Void,
    /// What a report comes to, for the public.
    Certificate,
}

/// How the signed bytes of one kind are read.
type Reader = fn(&[u8]) -> Result<Document, StrictJsonError>;

/// Every kind: its predicate type, its name, and how it is read.
const KINDS: [(Kind, &str, &str, Reader); 4] = [
    (Kind::Report, PREDICATE_TYPE, "report", |bytes| Ok(Document::Report(Box::new(statement(bytes)?)))),
    (Kind::Acceptance, ACCEPTANCE_TYPE, "acceptance", |bytes| Ok(Document::Acceptance(Box::new(statement(bytes)?)))),
    (Kind::Void, VOID_TYPE, "void", |bytes| Ok(Document::Void(statement(bytes)?))),
    (Kind::Certificate, CERTIFICATE_TYPE, "certificate", |bytes| {
        Ok(Document::Certificate(Box::new(statement(bytes)?)))
    }),
];

/// A signed document of any kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Document {
    /// See [`Kind::Report`].
    Report(Box<Statement>),
    /// See [`Kind::Acceptance`].
    Acceptance(Box<Statement<Acceptance>>),
    /// See [`Kind::Void`].
    Void(Statement<Void>),
    /// See [`Kind::Certificate`].
    Certificate(Box<Statement<Certificate>>),
}

/// What stands before the predicate.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_type")]
    statement_type: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

impl Kind {
    /// `report`, `acceptance`, `void` or `certificate`.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, _, name, _)| name)
    }

    /// What a key has to be good for, one of these, to sign it. A withdrawal is held against the document that it names.
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Report | Self::Certificate => &[Scope::Certify],
            Self::Acceptance => &[Scope::Acceptance],
            Self::Void => &[Scope::Certify, Scope::Acceptance],
        }
    }

    /// Whether so many keys of a role have to sign it as a trust policy says of reports.
    pub fn has_threshold(self) -> bool {
        matches!(self, Self::Report | Self::Certificate)
    }
}

impl Document {
    /// Reads signed bytes by the type of predicate that they name. The error says what should be there, and what is.
    pub fn read(payload: &[u8]) -> Result<Self, Contradiction> {
        let refused = |what: &str, expected: &str, observed: String| Contradiction {
            what: what.to_owned(),
            expected: expected.to_owned(),
            observed,
        };
        let not_a_statement = |error: StrictJsonError| {
            refused("signed statement", "an in-toto statement with one of this tool's predicates", error.to_string())
        };
        // Thousands of documents in a row are reports, and large: those are not read twice. What is refused is read again, so
        // that the error says where.
        if let Some(report) = report(payload)
            && (report.statement_type.as_str(), report.predicate_type.as_str()) == (STATEMENT_TYPE, PREDICATE_TYPE)
        {
            return Ok(Self::Report(Box::new(report)));
        }
        let head: Head = strict_json::from_slice(payload, MAX_ENVELOPE_BYTES).map_err(not_a_statement)?;
        if head.statement_type != STATEMENT_TYPE {
            return Err(refused("_type", STATEMENT_TYPE, head.statement_type));
        }
        let Some((_, _, _, read)) = KINDS.iter().find(|(_, predicate_type, ..)| *predicate_type == head.predicate_type)
        else {
            let types: Vec<&str> = KINDS.iter().map(|(_, predicate_type, ..)| *predicate_type).collect();
            return Err(refused("predicateType", &types.join(" or "), head.predicate_type));
        };
        read(payload).map_err(not_a_statement)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Report(_) => Kind::Report,
            Self::Acceptance(_) => Kind::Acceptance,
            Self::Void(_) => Kind::Void,
            Self::Certificate(_) => Kind::Certificate,
        }
    }

    /// When it says that it was made, RFC 3339 unless it is wrong.
    pub fn made_at(&self) -> &str {
        match self {
            Self::Report(report) => &report.predicate.session.ended_at,
            Self::Acceptance(receipt) => &receipt.predicate.accepted_at,
            Self::Void(void) => &void.predicate.voided_at,
            Self::Certificate(certificate) => &certificate.predicate.issued_at,
        }
    }

    /// The verdict of a document whose signer alone answers for it; `None` for one that gives none, and for a report, whose
    /// verdict follows from its evidence. Nothing shows that an accepted machine was rightly accepted where the evidence is
    /// withheld.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Report(_) | Self::Void(_) => None,
            Self::Acceptance(receipt) => Some(match receipt.predicate.result {
                Acceptability::Accepted | Acceptability::AcceptedWithDifferences => Verdict::Accepted,
                Acceptability::Refused => Verdict::Rejected,
            }),
            Self::Certificate(certificate) => Some(match certificate.predicate.verdict.result {
                Verdict::Rejected => Verdict::Rejected,
                Verdict::Undecided | Verdict::Accepted => Verdict::Undecided,
            }),
        }
    }

    /// What in it contradicts the rest of it; see [`Statement::contradictions`] for a report.
    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        match self {
            Self::Report(_) => Vec::new(),
            Self::Acceptance(statement) => statement.contradictions(),
            Self::Void(statement) => statement.contradictions(),
            Self::Certificate(statement) => statement.contradictions(),
        }
    }
}

fn statement<P: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Statement<P>, StrictJsonError> {
    strict_json::from_slice(bytes, MAX_ENVELOPE_BYTES)
}

/// A report by the quick reader; `None` where there is anything wrong with it.
fn report(bytes: &[u8]) -> Option<Statement> {
    let ReportStatement { statement_type, subject, predicate_type, predicate } =
        yanji_format::read(bytes, MAX_ENVELOPE_BYTES).ok()?;
    let predicate = predicate.convert(Unread::typed, serde_json::from_value, serde_json::from_value).ok()?;
    Some(Statement { statement_type, subject, predicate_type, predicate })
}
