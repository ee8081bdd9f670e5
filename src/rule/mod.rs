//! Signatures: rules as data, evaluated over facts with three values.

mod outcome;

pub use outcome::{Check, Confidence, Finding, Outcome, Severity, Witness};
