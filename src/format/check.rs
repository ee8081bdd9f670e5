//! What a rule says about a part, and what follows from all of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{FactPath, Reading, SourceId};

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
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// Id of the rule.
    pub id: String,
    /// Id of the part.
    pub part: String,
    /// What the rule says.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Reads the fields in one go. Reports have thousands of checks, and a flattened, tagged field is put together from a list of
/// everything that nothing else claimed.
impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Status {
            Clear,
            Fires,
            Inconclusive,
            NotApplicable,
        }

        #[derive(Deserialize)]
        #[serde(rename = "Check", deny_unknown_fields)]
        struct Flat {
            id: String,
            part: String,
            status: Status,
            severity: Option<Severity>,
            confidence: Option<Confidence>,
            witnesses: Option<Vec<Witness>>,
            missing: Option<Vec<FactPath>>,
        }

        let Flat { id, part, status, severity, confidence, witnesses, missing } = Flat::deserialize(deserializer)?;
        let outcome = match (status, severity, confidence, witnesses, missing) {
            (Status::Clear, None, None, None, None) => Outcome::Clear,
            (Status::Fires, Some(severity), Some(confidence), Some(witnesses), None) => {
                Outcome::Fires(Finding { severity, confidence, witnesses })
            }
            (Status::Inconclusive, None, None, None, Some(missing)) => Outcome::Inconclusive { missing },
            (Status::NotApplicable, None, None, None, None) => Outcome::NotApplicable,
            _ => return Err(de::Error::custom("a check whose fields are not those of its status")),
        };
        Ok(Self { id, part, outcome })
    }
}

/// The result of an inspection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that the policy needs was looked at, and nothing speaks against the machine.
    Accepted,
    /// Something does.
    Rejected,
    /// The policy needs something that could not be assessed, or a person has to look.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Undecided => "undecided",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_the_fields_of_its_status_and_no_others() {
        let read = |rest: &str| serde_json::from_str::<Check>(&format!(r#"{{"id":"cpu.rule","part":"cpu:0",{rest}}}"#));
        for outcome in [
            Outcome::Clear,
            Outcome::NotApplicable,
            Outcome::Inconclusive { missing: Vec::new() },
            Outcome::Fires(Finding {
                severity: Severity::High,
                confidence: Confidence::VeryHigh,
                witnesses: Vec::new(),
            }),
        ] {
            let check = Check { id: "cpu.rule".to_owned(), part: "cpu:0".to_owned(), outcome };
            let json = serde_json::to_string(&check).unwrap();
            assert_eq!(serde_json::from_str::<Check>(&json).unwrap(), check, "{json}");
        }
        for rest in [
            r#""status":"clear","missing":[]"#,
            r#""status":"clear","other":1"#,
            r#""status":"fires","severity":"high","confidence":"low""#,
            r#""status":"inconclusive""#,
            r#""status":"perhaps""#,
            r#""severity":"high""#,
        ] {
            assert!(read(rest).is_err(), "{rest}");
        }
    }
}
