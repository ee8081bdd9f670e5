//! What facts are called, and where they come from.

use std::borrow::Borrow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the evidence came from. Anything but [`Origin::Live`] marks the whole report, inside the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Read from the machine that the tool ran on.
    Live,
    /// Decoded from what another tool printed.
    Imported,
    /// Replayed from a capture.
    Recorded,
    /// Made by a virtual device.
    Simulated,
}

impl Origin {
    /// The word used in reports: `live`, `imported`, `recorded`, `simulated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Imported => "imported",
            Self::Recorded => "recorded",
            Self::Simulated => "simulated",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The dotted name of a fact: scope, source or subject, field. Example: `cpu.cpuid.brand`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FactPath(String);

impl FactPath {
    /// Wraps a name as it stands; whether any collector makes it is for the linter to say.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The dotted name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FactPath {
    /// A path is looked up by its name, without a copy of it.
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which API, file or register said so. Example: `/proc/cpuinfo`, `cpuid 0x80000002`, `smbios type 17 handle 0x1100`.
pub type SourceId = String;
