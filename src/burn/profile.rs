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
    /// NVIDIA GPUs, all together and beside the other loads for the whole run; left out, they are not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuProfile>,
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

/// GPUs in a profile. Capacity, bandwidth, arithmetic and identity are measured first; what is left of the time alternates
/// between the three loads below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuProfile {
    /// Share of the free memory to test, 1 to 100. With less than 97 the capacity stays unproven.
    #[serde(default = "default_gpu_share")]
    pub share_percent: u8,
    /// An upper bound in bytes.
    pub max_bytes: Option<u64>,
    /// Length of a turn of memory patterns; 0 leaves them out.
    #[serde(default = "default_gpu_patterns")]
    pub patterns_seconds: u64,
    /// Length of a turn of arithmetic at full power; 0 leaves it out.
    #[serde(default = "default_gpu_load")]
    pub load_seconds: u64,
    /// Length of a turn of the square wave of power, in phase on all GPUs; 0 leaves it out.
    #[serde(default = "default_gpu_pulse")]
    pub pulse_seconds: u64,
    /// Time between writing and reading again in the retention pass.
    #[serde(default = "default_gpu_retention")]
    pub retention_seconds: u64,
    /// About how long the measurements may take that are the better for more time: bandwidths, rates, caches. Known
    /// answers and the proof of capacity take what they need.
    #[serde(default = "default_gpu_measure")]
    pub measure_seconds: u64,
}

impl GpuProfile {
    /// Length of all turns.
    pub fn cycle_seconds(&self) -> u64 {
        self.patterns_seconds + self.load_seconds + self.pulse_seconds
    }
}

fn default_gpu_share() -> u8 {
    100
}

fn default_gpu_patterns() -> u64 {
    300
}

fn default_gpu_load() -> u64 {
    540
}

fn default_gpu_pulse() -> u64 {
    60
}

fn default_gpu_retention() -> u64 {
    30
}

fn default_gpu_measure() -> u64 {
    60
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

    /// The profile of that name: `quick` takes two minutes and tests a smaller share of the host's memory, `24h`, `72h` and
    /// `168h` alternate 50 minutes of memory with 10 minutes of CPU. All test every GPU as a whole.
    pub fn builtin(name: &str) -> Option<Self> {
        let hours = match name {
            "quick" => {
                return Some(Self {
                    name: name.to_owned(),
                    duration_seconds: 120,
                    telemetry_interval_seconds: 2,
                    watchdog_seconds: 20,
                    memory: Some(MemoryProfile {
                        share_percent: 30,
                        max_bytes: None,
                        phase_seconds: 80,
                        retention_seconds: 5,
                    }),
                    cpu: Some(CpuProfile { phase_seconds: 35 }),
                    gpu: Some(GpuProfile {
                        share_percent: default_gpu_share(),
                        max_bytes: None,
                        patterns_seconds: 10,
                        load_seconds: 20,
                        pulse_seconds: 4,
                        retention_seconds: 2,
                        measure_seconds: default_gpu_measure(),
                    }),
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
            gpu: Some(GpuProfile {
                share_percent: default_gpu_share(),
                max_bytes: None,
                patterns_seconds: default_gpu_patterns(),
                load_seconds: default_gpu_load(),
                pulse_seconds: default_gpu_pulse(),
                retention_seconds: default_gpu_retention(),
                measure_seconds: default_gpu_measure(),
            }),
        })
    }

    /// Whether it ends as soon as everything was measured once, `duration_seconds` being the most that it may take: GPUs
    /// alone, and no turns.
    pub fn is_brief(&self) -> bool {
        let brief = self.gpu.as_ref().is_some_and(|gpu| gpu.cycle_seconds() == 0);
        brief && self.memory.is_none() && self.cpu.is_none()
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
        if let Some(gpu) = &self.gpu {
            ranges.push(("gpu.share_percent", gpu.share_percent.into(), 1, 100));
            ranges.push(("gpu.patterns_seconds", gpu.patterns_seconds, 0, 86_400));
            ranges.push(("gpu.load_seconds", gpu.load_seconds, 0, 86_400));
            ranges.push(("gpu.pulse_seconds", gpu.pulse_seconds, 0, 86_400));
            ranges.push(("gpu.retention_seconds", gpu.retention_seconds, 0, 3600));
            ranges.push(("gpu.measure_seconds", gpu.measure_seconds, 1, 3600));
            ranges.push(("gpu.max_bytes", gpu.max_bytes.unwrap_or(1 << 20), 1 << 20, 1 << 50));
        }
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return invalid(format!("{field} is {value}, and must lie between {least} and {most}"));
            }
        }
        if self.memory.is_none() && self.cpu.is_none() && self.gpu.is_none() {
            return invalid("it has neither [memory] nor [cpu] nor [gpu], so there is nothing to run".to_owned());
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
        for (line, complaint) in [
            ("share_percent = 0", "gpu.share_percent is 0, and must lie between 1 and 100"),
            ("share_percent = 400", "line 4"),
            ("max_bytes = 4096", "gpu.max_bytes is 4096"),
            ("load_seconds = 86401", "gpu.load_seconds is 86401"),
            ("pulse = true", "unknown field"),
        ] {
            let text = format!("name = \"x\"\nduration_seconds = 10\n[gpu]\n{line}\n");
            let error = Profile::parse(&text, "p").unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
