//! What follows from a chain of records.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::gpu::{self, GpuSummary};
use super::profile::Profile;
use super::records::{FORMAT, Line, Load, MAX_LINE_BYTES, Outcome, Record, RecordError, hash};
use super::telemetry::{Counts, Growth, Sample};
use super::worker::{Counters, CpuCounters, MemoryCounters};
use crate::evidence::Reading;

/// Points of each series that a summary keeps; with more, every second one is dropped.
const MAX_POINTS: usize = 512;
/// Findings that a summary keeps in full; all are counted.
const MAX_FINDINGS: usize = 256;
/// GPUs of one machine.
const MAX_GPUS: usize = 256;
/// What a run may leave of its time: too little for another phase.
const MAX_UNUSED_MS: u64 = 10_000;

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

/// Reads a chain of records and says what follows from it. A last line without its newline is torn, and counts as not
/// written ([`Summary::torn_bytes`]); anything else that is not right is an error.
pub fn replay(bytes: &[u8]) -> Result<Summary, RecordError> {
    let mut replay = Replay::default();
    let mut rest = bytes;
    loop {
        let window = &rest[..rest.len().min(MAX_LINE_BYTES + 1)];
        match window.iter().position(|&byte| byte == b'\n') {
            Some(length) => {
                replay.line(&rest[..length])?;
                rest = &rest[length + 1..];
            }
            None if rest.len() > MAX_LINE_BYTES => return Err(RecordError::TooLong { line: replay.lines + 1 }),
            None => break,
        }
    }
    let mut summary = replay.summary.ok_or(RecordError::Empty)?;
    summary.torn_bytes = rest.len() as u64;
    Ok(summary)
}

/// Follows a chain line by line.
#[derive(Debug, Default)]
pub(super) struct Replay {
    lines: u64,
    summary: Option<Summary>,
    /// The phase that runs: its number, load and latest counters.
    phase: Option<(u32, Load, Option<Counters>)>,
    /// Totals of the phases that have ended.
    ended: (MemoryCounters, CpuCounters),
    /// Errors that were told one by one in the phase that runs: a worker may die before it counts them.
    told: u64,
    stride: u64,
    samples: u64,
}

impl Replay {
    /// What follows from the lines so far; `None` before the first.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Takes the next line, without its newline.
    pub(super) fn line(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let line = self.lines + 1;
        if bytes.len() > MAX_LINE_BYTES {
            return Err(RecordError::TooLong { line });
        }
        let parsed: Line =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Syntax { line, reason: error.to_string() })?;
        if parsed.seq != self.lines {
            return Err(RecordError::Sequence { line, expected: self.lines, found: parsed.seq });
        }
        let order = |reason| RecordError::Order { line, reason };
        match &mut self.summary {
            None => self.summary = Some(start(&parsed).map_err(order)?),
            Some(summary) => {
                if parsed.prev != summary.head {
                    return Err(RecordError::Chain { line });
                }
                if parsed.elapsed_ms < summary.active_ms {
                    return Err(order("the active time runs backwards"));
                }
                if summary.finished {
                    return Err(order("the run had ended"));
                }
            }
        }
        self.take(&parsed).map_err(order)?;
        self.lines += 1;
        let lines = self.lines;
        if let Some(summary) = &mut self.summary {
            summary.head = hash(bytes);
            summary.records = lines;
            summary.active_ms = parsed.elapsed_ms;
            summary.ended_at = parsed.at;
        }
        Ok(())
    }

    fn take(&mut self, line: &Line) -> Result<(), &'static str> {
        let Some(summary) = &mut self.summary else { return Ok(()) };
        let running = self.phase.as_ref().map(|(phase, ..)| *phase);
        match &line.record {
            Record::Start { .. } if line.seq > 0 => return Err("a second start"),
            Record::Start { .. } | Record::Sensors { .. } => {}
            Record::Resume { boot_id, .. } => {
                self.close();
                let Some(summary) = &mut self.summary else { return Ok(()) };
                summary.boot_id = boot_id.clone();
                summary.resumes += 1;
                summary.interrupted = false;
                for growth in [
                    &mut summary.corrected,
                    &mut summary.uncorrected,
                    &mut summary.dimms,
                    &mut summary.machine_checks,
                    &mut summary.throttle,
                ] {
                    growth.open_session();
                }
                summary.gpus.values_mut().for_each(GpuSummary::close);
            }
            Record::Sample(sample) => self.sample(line.elapsed_ms, sample),
            Record::PhaseStart { phase, load, .. } => {
                if running.is_some() {
                    return Err("a phase starts inside of another");
                }
                if *phase != summary.phases {
                    return Err("phases are not in order");
                }
                summary.phases += 1;
                phases(summary, *load).started += 1;
                self.phase = Some((*phase, *load, None));
            }
            Record::WorkerStarted { phase, locked, .. } => {
                if running != Some(*phase) {
                    return Err("it belongs to a phase that does not run");
                }
                if let Some(locked) = locked {
                    summary.memory_locked = Some(summary.memory_locked.unwrap_or(true) && *locked);
                }
            }
            Record::Checkpoint { phase, counters } => {
                if *phase != running {
                    return Err("it belongs to a phase that does not run");
                }
                self.count(*counters)?;
            }
            Record::MemoryError { phase, .. } | Record::CpuError { phase, .. } => {
                if running != Some(*phase) {
                    return Err("it belongs to a phase that does not run");
                }
                if let Record::CpuError { error, .. } = &line.record {
                    summary.bad_cpus.insert(error.cpu);
                }
                found(summary, line);
                self.told += 1;
                self.count(None)?;
            }
            Record::PhaseEnd { phase, outcome, counters } => {
                if running != Some(*phase) {
                    return Err("a phase ends that does not run");
                }
                self.count(*counters)?;
                let load = self.phase.as_ref().map(|(_, load, _)| *load);
                self.close();
                let (Some(summary), Some(load)) = (&mut self.summary, load) else { return Ok(()) };
                summary.phases_ended += 1;
                let (failure, bad) = match outcome {
                    Outcome::Finished => {
                        phases(summary, load).finished += 1;
                        (None, false)
                    }
                    Outcome::Stopped => (Some("it was interrupted".to_owned()), false),
                    Outcome::Failed { reason } => {
                        phases(summary, load).refused += 1;
                        (Some(reason.clone()), true)
                    }
                    Outcome::WorkerCrashed { signal, .. } => {
                        summary.workers_crashed += 1;
                        let how = signal.map_or(String::new(), |signal| format!(" of signal {signal}"));
                        (Some(format!("its worker died{how}")), true)
                    }
                    Outcome::WorkerHung { seconds, .. } => {
                        summary.workers_hung += 1;
                        (Some(format!("its worker made no progress for {seconds} s")), true)
                    }
                };
                if failure.is_some() {
                    phases(summary, load).failure = failure;
                }
                if bad {
                    found(summary, line);
                }
            }
            Record::Gpus { addresses } => {
                if summary.profile.gpu.is_none() || addresses.len() > MAX_GPUS {
                    return Err("GPUs that were not to be tested");
                }
                for address in addresses {
                    summary.gpus.entry(address.clone()).or_default();
                }
            }
            record => self.gpu(line, record)?,
        }
        Ok(())
    }

    /// A record about one GPU, or about the run as a whole.
    fn gpu(&mut self, line: &Line, record: &Record) -> Result<(), &'static str> {
        let Some(summary) = &mut self.summary else { return Ok(()) };
        match gpu::apply(&mut summary.gpus, line.elapsed_ms, record)? {
            None => return self.whole(line, record),
            Some(true) => found(summary, line),
            Some(false) => {}
        }
        Ok(())
    }

    fn whole(&mut self, line: &Line, record: &Record) -> Result<(), &'static str> {
        let Some(summary) = &mut self.summary else { return Ok(()) };
        match record {
            Record::ClockJump { seconds } => {
                summary.clock_jump_seconds = summary.clock_jump_seconds.saturating_add(seconds.unsigned_abs());
            }
            Record::Interrupted => summary.interrupted = true,
            Record::Finish { completed } => {
                if self.phase.is_some() || summary.gpus.values().any(GpuSummary::is_running) {
                    return Err("the run ends inside of a phase");
                }
                // A record may say what it likes: the time has to be used where it is to be, and each load must have had
                // most of its phases.
                let planned_ms = summary.profile.duration_seconds.saturating_mul(1000);
                let used =
                    summary.profile.is_brief() || line.elapsed_ms >= planned_ms - MAX_UNUSED_MS.min(planned_ms / 2);
                let had = |wanted: bool, phases: &Phases| {
                    !wanted || phases.started > 0 && phases.refused.saturating_mul(10) <= phases.started
                };
                let tested =
                    summary.profile.memory.is_some() || summary.profile.cpu.is_some() || !summary.gpus.is_empty();
                let loads = tested
                    && had(summary.profile.memory.is_some(), &summary.memory_phases)
                    && had(summary.profile.cpu.is_some(), &summary.cpu_phases)
                    && summary.gpus.values().all(|gpu| gpu.assessed().is_ok());
                (summary.finished, summary.completed) = (true, *completed && used && loads);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the latest counters of the phase that runs into the totals.
    fn count(&mut self, latest: Option<Counters>) -> Result<(), &'static str> {
        let Some((_, load, counters)) = &mut self.phase else { return Ok(()) };
        match (*load, latest) {
            (_, None) | (Load::Memory, Some(Counters::Memory(_))) | (Load::Cpu, Some(Counters::Cpu(_))) => {}
            _ => return Err("counters of another load"),
        }
        if latest.is_some() {
            *counters = latest;
        }
        let Some(summary) = &mut self.summary else { return Ok(()) };
        let (memory, cpu) = &self.ended;
        match *load {
            Load::Memory => {
                let now = match counters {
                    Some(Counters::Memory(now)) => *now,
                    _ => MemoryCounters::default(),
                };
                summary.memory = MemoryCounters {
                    tested_bytes: memory.tested_bytes.max(now.tested_bytes),
                    written_bytes: memory.written_bytes.saturating_add(now.written_bytes),
                    verified_bytes: memory.verified_bytes.saturating_add(now.verified_bytes),
                    timed_verified_bytes: memory.timed_verified_bytes.saturating_add(now.timed_verified_bytes),
                    timed_milliseconds: memory.timed_milliseconds.saturating_add(now.timed_milliseconds),
                    passes: memory.passes.saturating_add(now.passes),
                    errors: memory.errors.saturating_add(now.errors.max(self.told)),
                };
            }
            Load::Cpu => {
                let now = match counters {
                    Some(Counters::Cpu(now)) => *now,
                    _ => CpuCounters::default(),
                };
                summary.cpu = CpuCounters {
                    checked_blocks: cpu.checked_blocks.saturating_add(now.checked_blocks),
                    fma_blocks: cpu.fma_blocks.saturating_add(now.fma_blocks),
                    fma_milliseconds: cpu.fma_milliseconds.saturating_add(now.fma_milliseconds),
                    errors: cpu.errors.saturating_add(now.errors.max(self.told)),
                    cpus: cpu.cpus.max(now.cpus),
                    cpus_checked: cpu.cpus_checked.max(now.cpus_checked),
                };
            }
        }
        Ok(())
    }

    /// The phase that runs, if any, has ended, well or with its session.
    fn close(&mut self) {
        if let Some(summary) = &self.summary {
            self.ended = (summary.memory, summary.cpu);
        }
        (self.phase, self.told) = (None, 0);
    }

    fn sample(&mut self, elapsed_ms: u64, sample: &Sample) {
        let Some(summary) = &mut self.summary else { return };
        summary.corrected.add(&sample.corrected);
        summary.uncorrected.add(&sample.uncorrected);
        summary.dimms.add(&sample.dimms);
        summary.throttle.add(&sample.throttle);
        let machine_checks = sample.machine_checks.as_ref().map(|count| BTreeMap::from([("MCE".to_owned(), *count)]));
        summary.machine_checks.add(&machine_checks);
        let hottest = sample.temperatures.as_ref().and_then(|_| match sample.hottest() {
            Some(hottest) => Reading::Known(hottest),
            None => Reading::Failed("no sensor answered".to_owned()),
        });
        summary.hottest_millicelsius = match (&summary.hottest_millicelsius, hottest) {
            (Reading::Known(before), Reading::Known(now)) => Reading::Known(now.max(*before)),
            (Reading::Known(before), _) => Reading::Known(*before),
            (_, now) => now,
        };
        let point = Point {
            elapsed_ms,
            hottest_millicelsius: sample.hottest(),
            mean_khz: sample.frequencies.known().map(|rates| rates.mean_khz),
            errors: summary.errors(),
        };
        if self.samples.is_multiple_of(self.stride.max(1)) {
            summary.series.push(point);
        }
        self.samples += 1;
        if summary.series.len() > MAX_POINTS {
            let mut index = 0;
            summary.series.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = self.stride.max(1) * 2;
        }
    }
}

fn phases(summary: &mut Summary, load: Load) -> &mut Phases {
    match load {
        Load::Memory => &mut summary.memory_phases,
        Load::Cpu => &mut summary.cpu_phases,
    }
}

fn found(summary: &mut Summary, line: &Line) {
    if summary.findings.len() < MAX_FINDINGS {
        let (seq, elapsed_ms, record) = (line.seq, line.elapsed_ms, line.record.clone());
        summary.findings.push(FoundAt { seq, elapsed_ms, record });
    }
}

fn start(line: &Line) -> Result<Summary, &'static str> {
    let Record::Start { format, tool_version, profile, seed, memory_total_bytes, cpus, boot_id } = &line.record else {
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
    Ok(Summary {
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

/// DIMMs whose counters have grown, for a record that is about to be written.
pub(super) fn grown(counts: Reading<Counts>) -> Reading<Vec<String>> {
    counts.map(|counts| counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect())
}
