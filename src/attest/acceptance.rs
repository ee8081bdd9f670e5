//! The buyer's receipt: what was certified, what came, and what the buyer makes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Digest;
use super::drift::{Change, Drift};
use super::statement::{Contradiction, Statement, UNIT_SUBJECT, subject};
use super::verify::{Failure, Report};
use crate::evidence::Origin;

/// Type of the predicate of a receipt.
pub const ACCEPTANCE_TYPE: &str = "https://yanji.example/hw-acceptance/v1";
/// Name of the subject that is the envelope of a report.
pub const REPORT_SUBJECT: &str = "report";

/// What a buyer says about a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acceptance {
    /// RFC 3339, by the clock of the machine that signed.
    pub accepted_at: String,
    /// Digest of the envelope of the seller's report.
    pub report: Digest,
    /// What the buyer saw.
    pub as_received: AsReceived,
    /// Every difference between the two. Empty where there is none.
    pub difference: Vec<Drift>,
    /// What was neither right nor wrong about the reports, and the buyer took it all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenPoint>,
    /// What the buyer makes of it.
    pub result: Acceptability,
}

/// The buyer's own look at the delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AsReceived {
    /// What kind of look.
    pub source: Look,
    /// Digest of the file: an inspection, or the envelope of a report.
    pub sha256: Digest,
    /// Where its evidence came from.
    pub origin: Origin,
    /// Who the machine said it was.
    pub identity: serde_json::Value,
}

/// Something about a report that was neither right nor wrong when the receipt was signed. Texts may come from the report and
/// are hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenPoint {
    /// Digest of the envelope of that report: the seller's, or the buyer's own.
    pub report: Digest,
    /// In which step of the verification it came up: `E_TIME`.
    pub class: String,
    /// Where.
    pub what: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub observed: String,
}

impl OpenPoint {
    /// What is indeterminate about a report.
    pub fn of(report: &Report) -> Vec<Self> {
        let Some(sha256) = report.envelope_sha256 else { return Vec::new() };
        let open = report.indeterminate.iter().map(|Failure { class, what, expected, observed }| Self {
            report: sha256,
            class: class.to_string(),
            what: what.clone(),
            expected: expected.clone(),
            observed: observed.clone(),
        });
        open.collect()
    }
}

/// A buyer's look at a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// What `yanji inspect --format json` printed. Nobody signed it.
    Inspection,
    /// A report of the buyer's own.
    Report,
}

/// What a buyer makes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptability {
    /// It is what was certified.
    Accepted,
    /// It is not quite that, or not certain to be, and the buyer takes it.
    AcceptedWithDifferences,
    /// A part is missing or another one, and the buyer does not take it.
    Refused,
}

impl Acceptability {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AcceptedWithDifferences => "accepted-with-differences",
            Self::Refused => "refused",
        }
    }

    /// What follows from the differences and from what is open; `None` where something could not be compared or is open, and
    /// nobody said that this does not matter. `take_all` says that the buyer takes what came whatever that is.
    pub fn of(difference: &[Drift], open: &[OpenPoint], take_all: bool) -> Option<Self> {
        let any = |change: fn(Change) -> bool| difference.iter().any(|it| change(it.change));
        if difference.is_empty() && open.is_empty() {
            Some(Self::Accepted)
        } else if take_all {
            Some(Self::AcceptedWithDifferences)
        } else if any(Change::is_drift) {
            Some(Self::Refused)
        } else if any(|change| change == Change::Unread) || !open.is_empty() {
            None
        } else {
            Some(Self::AcceptedWithDifferences)
        }
    }
}

impl Statement<Acceptance> {
    /// A receipt for the unit of that report.
    pub fn acceptance(unit: Digest, predicate: Acceptance) -> Self {
        let subjects = vec![subject(REPORT_SUBJECT, predicate.report), subject(UNIT_SUBJECT, unit)];
        Self::about(subjects, ACCEPTANCE_TYPE, predicate)
    }

    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let Acceptance { accepted_at, report, as_received, difference, open, result } = &self.predicate;
        let possible = match result {
            Acceptability::Accepted => difference.is_empty() && open.is_empty(),
            Acceptability::AcceptedWithDifferences => !difference.is_empty() || !open.is_empty(),
            Acceptability::Refused => difference.iter().any(|it| it.change.is_drift()),
        };
        let looked = (as_received.source == Look::Report).then_some(as_received.sha256);
        let named = |name: &str| self.subject_sha256(name).map_or_else(|| "none".to_owned(), |it| it.to_string());
        let found = [
            Contradiction::of_time("acceptedAt", accepted_at),
            Contradiction::between("subject report", report, named(REPORT_SUBJECT)),
            Contradiction::between("subjects named unit", 1, usize::from(self.subject_sha256(UNIT_SUBJECT).is_some())),
            (!possible).then(|| Contradiction {
                what: "result".to_owned(),
                expected: "what the differences and the open points leave room for".to_owned(),
                observed: format!(
                    "{} with {} differences and {} open points",
                    result.as_str(),
                    difference.len(),
                    open.len()
                ),
            }),
            open.iter().map(|it| it.report).find(|it| it != report && looked != Some(*it)).map(|other| Contradiction {
                what: "report of an open point".to_owned(),
                expected: looked.map_or_else(|| report.to_string(), |looked| format!("{report} or {looked}")),
                observed: other.to_string(),
            }),
            (!as_received.identity.is_object()).then(|| Contradiction {
                what: "asReceived.identity".to_owned(),
                expected: "an object".to_owned(),
                observed: "something else".to_owned(),
            }),
        ];
        found.into_iter().flatten().collect()
    }
}
