//! `yanji` tells whether the hardware in a server is what it was sold as, whether it survives a burn-in, and signs
//! what it saw so that somebody else can check it.
//!
//! ```text
//! collect ─► Evidence ──────┐
//! burn ────► Measurements ──┴─► evaluate(signatures) ─► Outcomes ─► policy ─► Verdict
//!                                         └──────────► attest ─► Statement ─► verify ─► ledger
//! report renders any stage (terminal, JSON)
//! ```
//!
//! Every stage reads and writes plain data, so each can run alone, later and elsewhere. Hardware is reached through
//! [`host::Host`] only: a recorded machine and a broken one run the very code that the real one runs. What the
//! collectors read is kept raw beside what was decoded from it, and an auditor re-runs both decode and rules on it.
//!
//! What could not be looked at is never reported as fine: a fact that has no value carries the reason
//! ([`evidence::Reading`]), and a rule that needs it is inconclusive.

pub mod attest;
pub mod burn;
pub mod claim;
pub mod collect;
pub mod evidence;
pub mod host;
pub mod import;
pub mod inspection;
pub mod ledger;
mod packed;
pub mod parse;
pub mod pci_names;
pub mod policy;
pub mod report;
pub mod rule;
pub mod whole_file;
