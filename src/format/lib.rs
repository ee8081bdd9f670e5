//! The format of reports: what they say, as JSON that means one thing to every reader.
//!
//! A crate of its own because of how it is compiled: for speed, where the rest of the tool is compiled for size. Reports are
//! verified by the thousand, each has thousands of checks, and what makes them out of JSON is compiled where it is called: here,
//! by [`read`].

mod check;
mod digest;
mod fact;
mod predicate;
mod reading;
pub mod strict_json;
mod value;

pub use check::{Check, Confidence, Finding, Outcome, Severity, Verdict, Witness};
pub use digest::{Digest, Hasher, hex_bytes};
pub use fact::{FactPath, Origin, SourceId};
pub use predicate::{
    Assurance, BurnIn, Challenge, ChallengeSource, Database, DigestSet, EvidenceItem, Inline, LoadedLibrary, PolicyRef,
    Predicate, Previous, Records, Relation, ReportStatement, Session, SignedVerdict, Subject, Tool, Unread, read,
};
pub use reading::Reading;
pub use value::{Kind, MAX_TEXT_BYTES, Value};
