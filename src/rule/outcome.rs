//! What a rule says about a part.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{FactPath, Reading, SourceId};

/// How bad it is when the rule fires and is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A blemish.
    Low,
    /// Lowers the value or the trust in the part.
    Medium,
    /// The part is probably not what it was sold as, or not healthy.
    High,
    /// The part is not what it was sold as, or it is faulty.
    Critical,
}

/// How sure the rule is when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Innocent causes are common.
    Low,
    /// Innocent causes are known.
    Medium,
    /// Innocent causes are rare.
    High,
    /// No innocent cause is known.
    VeryHigh,
}

/// One fact that made a rule fire: what was expected, what was found, who said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Name of the fact.
    pub fact: FactPath,
    /// What an unremarkable part would show, in words.
    pub expected: String,
    /// What was found.
    pub found: Reading,
    /// Who said so.
    pub source: SourceId,
}

/// Why a rule fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Severity of the rule.
    pub severity: Severity,
    /// Confidence of the rule.
    pub confidence: Confidence,
    /// The facts that made it fire.
    pub witnesses: Vec<Witness>,
}

/// What a rule says about a part. "Could not look" is [`Outcome::Inconclusive`], never [`Outcome::Clear`] and never
/// [`Outcome::NotApplicable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Outcome {
    /// Looked, and nothing is wrong.
    Clear,
    /// Looked, and it is.
    Fires(Finding),
    /// Could not look: these facts have no value.
    Inconclusive {
        /// The facts that were needed.
        missing: Vec<FactPath>,
    },
    /// The rule is about another kind of part.
    NotApplicable,
}

impl Outcome {
    /// The word in reports: `clear`, `fires`, `inconclusive`, `not-applicable`.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Fires(_) => "fires",
            Self::Inconclusive { .. } => "inconclusive",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// One rule applied to one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Id of the rule.
    pub id: String,
    /// Id of the part.
    pub part: String,
    /// What the rule says.
    #[serde(flatten)]
    pub outcome: Outcome,
}
