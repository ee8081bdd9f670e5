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
//! Specifications: [DSSE 1.0.2](https://github.com/secure-systems-lab/dsse), [in-toto Statement
//! v1](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), RFC 8785 (for digests of sub-objects
//! only), RFC 8032 (Ed25519), RFC 5958 and RFC 7914 (key files), RFC 3161 (timestamps).

pub mod bundle;
pub mod challenge;
mod derive;
mod digest;
mod document;
pub mod envelope;
pub mod evidence_tar;
mod identity;
pub mod key;
pub mod policy;
mod session;
pub mod statement;
pub mod strict_json;
pub mod timestamp;
pub mod trust;
pub mod verify;
pub mod write;

pub(crate) use derive::assurance;
pub use derive::{DeriveError, Derived, HOST_ITEM, RECORDS_ITEM, derive, rederive};
pub use digest::{Digest, Hasher};
pub use document::{DocumentError, MAX_DOCUMENT_BYTES};
pub use identity::{identity, part_subjects};
pub use session::{Claims, SessionError, SessionStart, own_binary_sha256};
