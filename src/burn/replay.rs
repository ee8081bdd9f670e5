//! What follows from a chain of records.

use std::collections::BTreeMap;

use super::gpu::{self, GpuSummary};
use super::records::{Line, Load, MAX_LINE_BYTES, Outcome, Record, RecordError, hash};
use super::summary::{FoundAt, Phases, Point, Summary};
use super::telemetry::{Counts, Sample};
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
            None => self.summary = Some(Summary::start(&parsed).map_err(order)?),
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

/// DIMMs whose counters have grown, for a record that is about to be written.
pub(super) fn grown(counts: Reading<Counts>) -> Reading<Vec<String>> {
    counts.map(|counts| counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect())
}
