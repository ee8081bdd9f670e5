//! Exit codes, in one place.

use std::process::ExitCode;

use yanji::policy::Verdict;

/// What `--help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
  0  accepted, or the command did what it was asked
  1  rejected
  2  usage: the command line, a configuration or an input file is wrong
  3  undecided: the policy needs something that could not be assessed
  4  attestation invalid: a report, or the policy or challenge that it is held against
  5  the tool itself failed";

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Accepted, or done.
    Success = 0,
    /// The verdict is rejected.
    Rejected = 1,
    /// Something that the user gave is wrong.
    Usage = 2,
    /// The verdict is undecided.
    Undecided = 3,
    /// A report, trust policy or challenge is not what its signature says.
    AttestationInvalid = 4,
    /// The tool failed.
    ToolFailed = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Success,
            Verdict::Rejected => Self::Rejected,
            Verdict::Undecided => Self::Undecided,
        }
    }
}
