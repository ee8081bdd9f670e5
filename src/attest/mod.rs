//! What is signed, by whom, and how somebody else checks it.
//!
//! ```text
//! items ─► evidence_tar ─► Statement ─► Envelope (DSSE, Ed25519) ─► verify ─► Report
//! ```
//!
//! A report is a folder of `report.dsse.json` (the signed envelope), `evidence.tar` (the raw evidence that it names by
//! digest), `report.json` (the statement again, for reading) and `signer.pub`; later also `report.timestamps.json` (when it
//! was signed, in the words of a third party). The statement for reading and the public key are no evidence: the key that
//! counts is the one that the verifier already had.
//!
//! Other documents are about a report and name it by the digest of its envelope: a buyer's receipt ([`acceptance`]), a
//! withdrawal ([`void`], [`withdrawal`]), a certificate for the public ([`certificate`]), and the next report of the same unit
//! ([`statement::Previous`]). [`history`] puts them in order.
//! Around it: a [`challenge`] that a report has to contain, so that it cannot be an old one, and a trust [`policy`] that says
//! whose signatures count for what. Both are signed statements like a report.
//!
//! Specifications: [DSSE 1.0.2](https://github.com/secure-systems-lab/dsse), [in-toto Statement
//! v1](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), RFC 8785 (for digests of sub-objects
//! only), RFC 8032 (Ed25519), RFC 5958 and RFC 7914 (key files), RFC 3161 (timestamps).

pub mod acceptance;
pub mod bundle;
pub mod certificate;
pub mod challenge;
mod derive;
pub mod device;
pub mod document;
pub mod drift;
pub mod envelope;
pub mod evidence_tar;
pub mod history;
mod identity;
pub mod key;
pub mod page;
pub mod policy;
pub mod redact;
mod session;
mod signed;
pub mod statement;
pub mod timestamp;
pub mod tpm;
pub mod trust;
pub mod verify;
pub mod void;
pub mod withdrawal;
pub mod write;

pub(crate) use derive::assurance;
pub use derive::{DeriveError, Derived, HOST_ITEM, RECORDS_ITEM, derive, rederive};
pub use identity::{identity, part_subjects};
pub use session::{Claims, SessionError, SessionStart, own_binary_sha256};
pub use signed::{DocumentError, MAX_DOCUMENT_BYTES};
pub use yanji_format::{Digest, Hasher, strict_json};
