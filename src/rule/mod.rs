//! Signatures: rules as data, evaluated over facts with three values.
//!
//! A [`Rule`] is one TOML file; `signatures/README.md` is the format. Facts that compare several parts are made by
//! [`derive()`], so that every rule stays a table.

mod condition;
mod derive;
mod evaluate;
mod lint;
mod signatures;
mod tables;

pub use condition::{Condition, Group, Test, Truth};
pub use derive::{BLANK_IDENTITIES, FACTS, PLACEHOLDER_IDS, derive};
pub(crate) use derive::{is_nvidia, normalise_id};
pub use evaluate::evaluate;
pub use lint::{Complaint, lint};
pub use signatures::{
    Example, ExampleFact, ExampleReading, Examples, Expectation, Rule, SetId, SignatureError, Signatures,
};
pub use tables::{Pattern, Record, Table, Tables};
pub use yanji_format::{Check, Confidence, Finding, Outcome, Severity, Witness};
