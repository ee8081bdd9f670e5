//! What the records of a run say.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::gpu::GpuSummary;
use super::profile::Profile;
use super::records::{FORMAT, Line, Record};
use super::telemetry::Growth;
use super::worker::{CpuCounters, MemoryCounters};
use crate::evidence::Reading;

/// A point of the series that reports draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Active time.
    pub elapsed_ms: u64,
    /// Hottest sensor, millidegrees Celsius.
    pub hottest_millicelsius: Option<i64>,
    /// Mean clock rate.
    pub mean_khz: Option<u64>,
    /// Memory and CPU errors so far.
    pub errors: u64,
}

/// A record that speaks against the machine, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundAt {
    /// Sequence number of the record.
    pub seq: u64,
    /// Active time.
    pub elapsed_ms: u64,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// Totals of one load over the phases of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// Phases begun.
    pub started: u32,
    /// Phases that ended in time.
    pub finished: u32,
    /// Phases that could not be set up.
    pub refused: u32,
    /// Why the last one that failed did.
    pub failure: Option<String>,
}

/// What the records of a run say.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// What the chain starts from, in hexadecimal.
    pub genesis: String,
    /// SHA-256 of the last line, in hexadecimal.
    pub head: String,
    /// Number of lines.
    pub records: u64,
    /// Bytes after the last whole line: what a power loss left of a record.
    pub torn_bytes: u64,
    /// Version of the tool that started the run.
    pub tool_version: String,
    /// Wall clock of the first and the last record, RFC 3339.
    pub started_at: String,
    /// Wall clock of the last record.
    pub ended_at: String,
    /// What was to be run.
    pub profile: Profile,
    /// Chooses the pseudo-random patterns.
    pub seed: u32,
    /// Active time.
    pub active_ms: u64,
    /// Whether the last record ends the run.
    pub finished: bool,
    /// Whether every workload of the profile ran until the time was used.
    pub completed: bool,
    /// Whether the run stopped because it was asked to, and did not go on.
    pub interrupted: bool,
    /// The boot of the last session.
    pub boot_id: Reading<String>,
    /// How often it went on.
    pub resumes: u32,
    /// How far the wall clock jumped, all jumps added without their signs.
    pub clock_jump_seconds: u64,
    /// Memory of the machine.
    pub memory_total_bytes: Reading<u64>,
    /// CPUs that are loaded.
    pub cpus: u32,
    /// Memory phases.
    pub memory_phases: Phases,
    /// CPU phases.
    pub cpu_phases: Phases,
    /// Whether all memory under test was locked; `None` before the first worker started.
    pub memory_locked: Option<bool>,
    /// Memory totals; `tested_bytes` is that of the best phase.
    pub memory: MemoryCounters,
    /// CPU totals; `cpus_checked` is that of the best phase.
    pub cpu: CpuCounters,
    /// CPUs with a wrong result.
    pub bad_cpus: BTreeSet<u32>,
    /// Workers that died.
    pub workers_crashed: u32,
    /// Workers that got nowhere.
    pub workers_hung: u32,
    /// Corrected errors by controller.
    pub corrected: Growth,
    /// Uncorrected errors by controller.
    pub uncorrected: Growth,
    /// Errors by DIMM.
    pub dimms: Growth,
    /// Machine-check exceptions.
    pub machine_checks: Growth,
    /// Thermal throttle events.
    pub throttle: Growth,
    /// Hottest sensor over all samples, millidegrees Celsius.
    pub hottest_millicelsius: Reading<i64>,
    /// GPUs by PCI address.
    pub gpus: BTreeMap<String, GpuSummary>,
    /// The first findings: errors, and phases that did not end well.
    pub findings: Vec<FoundAt>,
    /// Series for reports.
    pub series: Vec<Point>,
    /// Phases begun.
    pub phases: u32,
    /// Phases ended.
    pub phases_ended: u32,
}

impl Summary {
    /// What the first record says.
    pub(super) fn start(line: &Line) -> Result<Self, &'static str> {
        let Record::Start { format, tool_version, profile, seed, memory_total_bytes, cpus, boot_id } = &line.record
        else {
            return Err("the first record is not a start");
        };
        if *format != FORMAT {
            return Err("its layout is another version's");
        }
        if line.prev.len() != 64 || !line.prev.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("its genesis is not 32 bytes in hexadecimal");
        }
        if profile.validate().is_err() {
            return Err("its profile is not valid");
        }
        Ok(Self {
            genesis: line.prev.clone(),
            head: String::new(),
            records: 0,
            torn_bytes: 0,
            tool_version: tool_version.clone(),
            started_at: line.at.clone(),
            ended_at: line.at.clone(),
            profile: profile.clone(),
            seed: *seed,
            active_ms: line.elapsed_ms,
            finished: false,
            completed: false,
            interrupted: false,
            boot_id: boot_id.clone(),
            resumes: 0,
            clock_jump_seconds: 0,
            memory_total_bytes: memory_total_bytes.clone(),
            cpus: *cpus,
            memory_phases: Phases::default(),
            cpu_phases: Phases::default(),
            memory_locked: None,
            memory: MemoryCounters::default(),
            cpu: CpuCounters::default(),
            bad_cpus: BTreeSet::new(),
            workers_crashed: 0,
            workers_hung: 0,
            corrected: Growth::default(),
            uncorrected: Growth::default(),
            dimms: Growth::default(),
            machine_checks: Growth::default(),
            throttle: Growth::default(),
            hottest_millicelsius: Reading::Failed("never sampled".to_owned()),
            gpus: BTreeMap::new(),
            findings: Vec::new(),
            series: Vec::new(),
            phases: 0,
            phases_ended: 0,
        })
    }

    /// DIMMs whose EDAC counters grew.
    pub fn suspect_dimms(&self) -> Reading<Vec<String>> {
        self.dimms
            .counts()
            .map(|counts| counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect())
    }

    /// Wrong words in memory and wrong results of cores.
    pub fn errors(&self) -> u64 {
        self.memory.errors + self.cpu.errors
    }

    /// What the run says about the machine as a whole.
    pub fn ending(&self) -> Ending {
        let counters = [&self.uncorrected, &self.machine_checks];
        let grown = counters.iter().any(|growth| growth.total().known().is_some_and(|&count| count > 0));
        let gpus = self.gpus.values().any(GpuSummary::has_errors);
        if self.errors() > 0 || self.workers_crashed > 0 || self.workers_hung > 0 || grown || gpus {
            Ending::ErrorsFound
        } else if !self.completed
            || self.profile.memory.is_some() && self.memory_assessed().is_err()
            || self.profile.cpu.is_some() && self.cpu_assessed().is_err()
            || self.gpus.values().any(|gpu| gpu.assessed().is_err())
        {
            Ending::Undecided
        } else {
            Ending::Clean
        }
    }

    /// Whether the memory test has looked at anything; if not, why.
    pub fn memory_assessed(&self) -> Result<(), String> {
        if self.memory.tested_bytes > 0 || self.memory.errors > 0 {
            return Ok(());
        }
        Err(unassessed("memory", self.profile.memory.is_some(), &self.memory_phases))
    }

    /// Whether every CPU has been checked; if not, why.
    pub fn cpu_assessed(&self) -> Result<(), String> {
        if self.cpu.errors > 0 || self.cpu.checked_blocks > 0 && self.cpu.cpus_checked == self.cpu.cpus {
            return Ok(());
        }
        if self.cpu.checked_blocks > 0 {
            let missing = self.cpu.cpus.saturating_sub(self.cpu.cpus_checked);
            return Err(format!("{missing} of {} CPUs checked nothing", self.cpu.cpus));
        }
        Err(unassessed("CPU", self.profile.cpu.is_some(), &self.cpu_phases))
    }
}

fn unassessed(name: &str, planned: bool, phases: &Phases) -> String {
    match (planned, &phases.failure) {
        (false, _) => format!("the profile has no {name} test"),
        (true, Some(reason)) => format!("the {name} test checked nothing: {reason}"),
        (true, None) => format!("the {name} test checked nothing"),
    }
}

/// What a run says about the machine as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Complete, and nothing was found.
    Clean,
    /// Something was found, complete or not.
    ErrorsFound,
    /// Interrupted, or something could not be assessed.
    Undecided,
}
