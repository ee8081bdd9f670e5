//! From outcomes to a verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of an inspection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that the policy needs was looked at, and nothing speaks against the machine.
    Accepted,
    /// Something does.
    Rejected,
    /// The policy needs something that could not be assessed.
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
