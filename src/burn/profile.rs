//! What to run, and for how long.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A profile file is a page of text.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The longest burn: 30 days.
const MAX_DURATION_SECONDS: u64 = 30 * 86_400;

/// What to run, and for how long. Read from TOML, and kept in the first record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name for reports.
    pub name: String,
    /// Active time of the whole run.
    pub duration_seconds: u64,
    /// Time between two telemetry samples.
    #[serde(default = "default_telemetry")]
    pub telemetry_interval_seconds: u64,
    /// A worker that has shown no progress for so long is killed and reported.
    #[serde(default = "default_watchdog")]
    pub watchdog_seconds: u64,
    /// Host memory; left out, it is not tested.
    pub memory: Option<MemoryProfile>,
    /// CPU; left out, it is not tested.
    pub cpu: Option<CpuProfile>,
}

/// Host memory in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryProfile {
    /// Share of the available memory to test, 1 to 95.
    #[serde(default = "default_share")]
    pub share_percent: u8,
    /// An upper bound in bytes, where the share is more than is wanted.
    pub max_bytes: Option<u64>,
    /// Length of one memory phase; phases alternate with those of other workloads until the time is used.
    pub phase_seconds: u64,
    /// Time between writing and reading again in the retention pass.
    #[serde(default = "default_retention")]
    pub retention_seconds: u64,
}

/// CPU in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuProfile {
    /// Length of one CPU phase.
    pub phase_seconds: u64,
}

fn default_telemetry() -> u64 {
    10
}

fn default_watchdog() -> u64 {
    60
}

fn default_share() -> u8 {
    80
}

fn default_retention() -> u64 {
    60
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file could not be read.
    #[error("cannot read the profile {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not TOML, or not a profile. The text names line and column.
    #[error("the profile {path} is not valid at line {line}, column {column}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the reader says.
        message: String,
    },
    /// A number out of its range, or nothing to do.
    #[error("the profile {name:?} is not valid: {reason}")]
    Invalid {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Profile {
    /// Names of the profiles that need no file.
    pub const BUILTIN: &[&str] = &["quick", "24h", "72h", "168h"];

    /// The profile of that name: `quick` takes a minute and tests a smaller share, `24h`, `72h` and `168h` alternate
    /// 50 minutes of memory with 10 minutes of CPU.
    pub fn builtin(name: &str) -> Option<Self> {
        let hours = match name {
            "quick" => {
                return Some(Self {
                    name: name.to_owned(),
                    duration_seconds: 60,
                    telemetry_interval_seconds: 2,
                    watchdog_seconds: 20,
                    memory: Some(MemoryProfile {
                        share_percent: 30,
                        max_bytes: None,
                        phase_seconds: 40,
                        retention_seconds: 5,
                    }),
                    cpu: Some(CpuProfile { phase_seconds: 15 }),
                });
            }
            "24h" => 24,
            "72h" => 72,
            "168h" => 168,
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            duration_seconds: hours * 3600,
            telemetry_interval_seconds: default_telemetry(),
            watchdog_seconds: default_watchdog(),
            memory: Some(MemoryProfile {
                share_percent: default_share(),
                max_bytes: None,
                phase_seconds: 3000,
                retention_seconds: default_retention(),
            }),
            cpu: Some(CpuProfile { phase_seconds: 600 }),
        })
    }

    /// Reads a TOML file. Errors name line and column.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let read_error = |source| ProfileError::Read { path: path.display().to_string(), source };
        if fs::metadata(path).map_err(read_error)?.len() > MAX_FILE_BYTES {
            return Err(read_error(io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes"))));
        }
        Self::parse(&fs::read_to_string(path).map_err(read_error)?, &path.display().to_string())
    }

    /// Reads TOML text; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..offset).unwrap_or("");
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            ProfileError::Syntax {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        profile.validate()?;
        Ok(profile)
    }

    /// Checks every number against its range.
    pub fn validate(&self) -> Result<(), ProfileError> {
        let invalid = |reason: String| Err(ProfileError::Invalid { name: self.name.clone(), reason });
        let mut ranges = vec![
            ("duration_seconds", self.duration_seconds, 1, MAX_DURATION_SECONDS),
            ("telemetry_interval_seconds", self.telemetry_interval_seconds, 1, 3600),
            ("watchdog_seconds", self.watchdog_seconds, 1, 3600),
        ];
        if let Some(memory) = &self.memory {
            ranges.push(("memory.share_percent", memory.share_percent.into(), 1, 95));
            ranges.push(("memory.phase_seconds", memory.phase_seconds, 1, MAX_DURATION_SECONDS));
            ranges.push(("memory.retention_seconds", memory.retention_seconds, 0, 86_400));
        }
        if let Some(cpu) = &self.cpu {
            ranges.push(("cpu.phase_seconds", cpu.phase_seconds, 1, MAX_DURATION_SECONDS));
        }
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return invalid(format!("{field} is {value}, and must lie between {least} and {most}"));
            }
        }
        if self.memory.is_none() && self.cpu.is_none() {
            return invalid("it has neither [memory] nor [cpu], so there is nothing to run".to_owned());
        }
        if self.name.is_empty() || self.name.len() > 64 {
            return invalid("name must have 1 to 64 bytes".to_owned());
        }
        if Self::builtin(&self.name).is_some_and(|builtin| builtin != *self) {
            return invalid("that is the name of a built-in profile, and this is another one".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_profiles_are_valid_and_survive_toml() {
        for name in Profile::BUILTIN {
            let profile = Profile::builtin(name).unwrap();
            let text = toml::to_string(&profile).unwrap();
            assert_eq!(Profile::parse(&text, "x").unwrap(), profile);
        }
    }

    #[test]
    fn a_typo_is_named_by_line_and_column() {
        let text = "name = \"x\"\nduration_seconds = 10\n\n[memory]\nphase_seconds = 5\n  shape_percent = 5\n";
        let error = Profile::parse(text, "p.toml").unwrap_err().to_string();
        assert!(error.contains("p.toml is not valid at line 6, column 3"), "{error}");
        assert!(error.contains("shape_percent"), "{error}");
        let error = Profile::parse("name = \"x\"\nduration_seconds = 1x", "p.toml").unwrap_err().to_string();
        assert!(error.contains("line 2, column 2"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_and_nothing_to_do_are_refused() {
        let error = Profile::parse("name = \"x\"\nduration_seconds = 10\n", "p").unwrap_err().to_string();
        assert!(error.contains("nothing to run"), "{error}");
        let text = "name = \"x\"\nduration_seconds = 10\n[memory]\nphase_seconds = 5\nshare_percent = 96\n";
        let error = Profile::parse(text, "p").unwrap_err().to_string();
        assert!(error.contains("memory.share_percent is 96, and must lie between 1 and 95"), "{error}");
    }
}
