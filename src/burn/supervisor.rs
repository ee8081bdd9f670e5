//! Runs phase after phase, each in a worker process, and writes down what happens.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::gpu::{self, Fleet, GpuProgress};
use super::log::Log;
use super::machine;
use super::process::{Arrival, Process, signal};
use super::profile::Profile;
use super::records::{FORMAT, Line, Load, Outcome, Record};
use super::replay::grown;
use super::summary::Summary;
use super::telemetry::Sensors;
use super::worker::{Assignment, Counters, CpuPlace, Message, Workload};
use super::{BurnError, RecordError};
use crate::evidence::Reading;
use crate::host::Host;

/// A checkpoint is written at least as often.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
/// A day of progress events should still be a file of bearable size.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(900);
/// How often everything that is not a message is looked at.
const TICK: Duration = Duration::from_millis(100);
/// The wall clock may drift so far from the other one between two looks.
const CLOCK_TOLERANCE_MS: i64 = 1000;
/// Less memory than that tests nothing worth a name.
const MIN_MEMORY_BYTES: u64 = 1 << 20;
/// A rest of the time that is shorter starts no further phase.
const MIN_PHASE: Duration = Duration::from_secs(5);
/// Phases that fail one after another before the run gives up.
const MAX_FAILURES: usize = 6;
/// Window over which a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// What to run, and where to write it down.
#[derive(Debug, Clone)]
pub struct Request {
    /// Folder for the records.
    pub folder: PathBuf,
    /// The executable that understands `worker` (see [`super::run_worker`]); `None` for the one that runs.
    pub worker: Option<PathBuf>,
    /// A new run, or an earlier one.
    pub start: Start,
}

/// A new run, or an earlier one.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of it, and it lives as long as the run")]
pub enum Start {
    /// A new run.
    New {
        /// What to run.
        profile: Profile,
        /// What the chain of records starts from.
        genesis: [u8; 32],
        /// Chooses the pseudo-random patterns.
        seed: u32,
    },
    /// Goes on with the run in the folder, for the rest of its time.
    Resume,
}

/// What a run tells while it lasts. Serializes as one JSON object with a `kind`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Event<'a> {
    /// A record was written.
    Record(&'a Line),
    /// How far it is; about once a second, and not recorded.
    Progress(Progress<'a>),
}

/// How far a run is.
#[derive(Debug, Serialize)]
pub struct Progress<'a> {
    /// Always `progress`.
    pub kind: &'static str,
    /// Active time of the run.
    pub elapsed_seconds: u64,
    /// Planned time of the run.
    pub planned_seconds: u64,
    /// Time left.
    pub eta_seconds: u64,
    /// Number of the phase; none while only GPUs run.
    pub phase: Option<u32>,
    /// What it runs.
    pub load: Option<Load>,
    /// What its worker is at.
    pub stage: &'a str,
    /// Memory: bytes written and verified a second. CPU: blocks checked a second. Over the last seconds.
    pub rate: u64,
    /// Errors so far.
    pub errors: u64,
    /// Hottest sensor at the last sample, millidegrees Celsius.
    pub hottest_millicelsius: Option<i64>,
    /// How far each GPU is.
    pub gpus: Vec<GpuProgress>,
}

/// Runs a burn to its end, or until `cancel` is set. The summary comes from the records, complete or not.
///
/// Crashes and hangs of workers, errors of memory and cores, and a test that could not be set up are records. Errors
/// are what keeps the run from being written down at all.
pub fn run(
    host: &dyn Host,
    request: &Request,
    events: &mut dyn FnMut(&Event<'_>),
    cancel: &AtomicBool,
) -> Result<Summary, BurnError> {
    let worker = match &request.worker {
        Some(worker) => worker.clone(),
        None => std::env::current_exe()
            .map_err(|source| BurnError::Spawn { path: PathBuf::from("/proc/self/exe"), source })?,
    };
    let cpus = machine::cpus(host);
    let boot_id = host.read("/proc/sys/kernel/random/boot_id").text();
    let (log, first, profile, seed) = match &request.start {
        Start::New { profile, genesis, seed } => {
            profile.validate()?;
            let start = Record::Start {
                format: FORMAT,
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                profile: profile.clone(),
                seed: *seed,
                memory_total_bytes: machine::total_memory_bytes(host),
                cpus: cpus.len() as u32,
                boot_id,
            };
            (Log::create(&request.folder, genesis)?, start, profile.clone(), *seed)
        }
        Start::Resume => {
            let (log, dropped_bytes) = Log::open(&request.folder)?;
            let (profile, seed) = match log.summary() {
                Some(summary) => (summary.profile.clone(), summary.seed),
                None => return Err(BurnError::Records { path: request.folder.clone(), source: RecordError::Empty }),
            };
            (log, Record::Resume { boot_id, dropped_bytes }, profile, seed)
        }
    };
    let sensors = Sensors::find(host);
    let now = Instant::now();
    let mut run = Run {
        host,
        events,
        cancel,
        worker,
        cpus,
        seed,
        planned: Duration::from_secs(profile.duration_seconds),
        sensors,
        hottest: None,
        last_sample: now,
        last_checkpoint: now,
        clock: Clock::default(),
        fleet: Fleet::none(),
        log,
        profile,
    };
    run.record(first)?;
    run.record(Record::Sensors { temperatures: run.sensors.names() })?;
    run.sample()?;
    run.start_gpus()?;
    run.phases()?;
    match run.log.summary() {
        Some(summary) => Ok(summary.clone()),
        None => Err(BurnError::Records { path: request.folder.clone(), source: RecordError::Empty }),
    }
}

struct Run<'a> {
    host: &'a dyn Host,
    events: &'a mut dyn FnMut(&Event<'_>),
    cancel: &'a AtomicBool,
    worker: PathBuf,
    cpus: Vec<CpuPlace>,
    seed: u32,
    profile: Profile,
    planned: Duration,
    sensors: Sensors,
    hottest: Option<i64>,
    last_sample: Instant,
    last_checkpoint: Instant,
    clock: Clock,
    fleet: Fleet,
    log: Log,
}

impl Run<'_> {
    /// The GPUs' burn begins, and goes on beside everything else until the time is used.
    fn start_gpus(&mut self) -> Result<(), BurnError> {
        if self.profile.gpu.is_none() {
            return Ok(());
        }
        let addresses = gpu::addresses(self.host);
        self.record(Record::Gpus { addresses: addresses.clone() })?;
        let complete = |summary: &Summary| summary.gpus.values().all(|gpu| gpu.has_peers(summary.gpus.len()));
        let measured = self.log.summary().is_some_and(complete);
        let cancel = self.cancel;
        let peers = || gpu::measure_peers(&self.worker, &addresses, &|| cancel.load(Ordering::Relaxed));
        let records = if measured { Vec::new() } else { peers() };
        records.into_iter().try_for_each(|record| self.record(record))?;
        let Some(gpu) = &self.profile.gpu else { return Ok(()) };
        let times =
            [self.remaining().as_secs(), self.profile.telemetry_interval_seconds, self.profile.watchdog_seconds];
        let nothing = std::collections::BTreeMap::new();
        let before = self.log.summary().map_or(&nothing, |summary| &summary.gpus);
        let (fleet, records) = Fleet::start(&self.worker, gpu, times, self.seed, before, &addresses);
        self.fleet = fleet;
        records.into_iter().try_for_each(|record| self.record(record))
    }

    /// What has come from the GPUs' workers is written down.
    fn poll_gpus(&mut self) -> Result<(), BurnError> {
        if self.cancelled() {
            self.fleet.stop();
        }
        self.fleet.poll().into_iter().try_for_each(|record| self.record(record))
    }

    /// Waits for the GPUs' workers, which end with the time or when they are told to.
    fn finish_gpus(&mut self) -> Result<(), BurnError> {
        let interval = Duration::from_secs(self.profile.telemetry_interval_seconds);
        let mut shown = Instant::now();
        while self.fleet.is_running() {
            self.poll_gpus()?;
            std::thread::sleep(TICK);
            if self.last_sample.elapsed() >= interval {
                self.sample()?;
            }
            if shown.elapsed() >= PROGRESS_INTERVAL {
                shown = Instant::now();
                self.progress(None, "gpus", 0, 0);
            }
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), BurnError> {
        let line = self.log.append(record)?;
        (self.events)(&Event::Record(&line));
        Ok(())
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn remaining(&self) -> Duration {
        self.planned.saturating_sub(self.log.elapsed())
    }

    fn sample(&mut self) -> Result<(), BurnError> {
        let sample = self.sensors.sample(self.host);
        self.hottest = sample.hottest();
        self.last_sample = Instant::now();
        self.record(Record::Sample(sample))
    }

    /// Alternates the loads of the profile until the time is used. The last record of a session is `finish` or
    /// `interrupted`, after a last sample.
    fn phases(&mut self) -> Result<(), BurnError> {
        let mut loads = Vec::new();
        let of = Duration::from_secs;
        loads.extend(self.profile.memory.as_ref().map(|memory| (Load::Memory, of(memory.phase_seconds))));
        loads.extend(self.profile.cpu.as_ref().map(|cpu| (Load::Cpu, of(cpu.phase_seconds))));
        let mut failures = 0;
        let mut turn = self.log.summary().map_or(0, |summary| summary.phases_ended) as usize;
        while let Some(&(load, full)) = loads.get(turn % loads.len().max(1)) {
            if self.cancelled() {
                break;
            }
            // A load that has not had a whole phase yet must not lose its time to the others.
            let waiting: Duration = loads
                .iter()
                .filter(|(other, _)| *other != load && !self.had_phase(*other))
                .map(|(_, length)| *length)
                .sum();
            let share = self.remaining().mul_f64(full.as_secs_f64() / (full + waiting).as_secs_f64());
            let seconds = full.min(share);
            if seconds < MIN_PHASE.min(full / 2) || failures >= MAX_FAILURES {
                break;
            }
            let outcome = self.phase(load, seconds)?;
            turn += 1;
            if matches!(outcome, Outcome::Finished | Outcome::Stopped) {
                failures = 0;
            } else {
                failures += 1;
                // Whatever broke the worker gets a moment to pass.
                let end = Instant::now() + Duration::from_secs(1);
                while Instant::now() < end && !self.cancelled() {
                    std::thread::sleep(TICK);
                    self.poll_gpus()?;
                }
            }
        }
        self.finish_gpus()?;
        self.sample()?;
        if self.cancelled() {
            return self.record(Record::Interrupted);
        }
        self.record(Record::Finish { completed: failures < MAX_FAILURES })
    }

    /// Whether a phase of that load has ended in time.
    fn had_phase(&self, load: Load) -> bool {
        self.log.summary().is_some_and(|summary| match load {
            Load::Memory => summary.memory_phases.finished > 0,
            Load::Cpu => summary.cpu_phases.finished > 0,
        })
    }

    /// One phase from its start record to its end record.
    fn phase(&mut self, load: Load, length: Duration) -> Result<Outcome, BurnError> {
        let phase = self.log.summary().map_or(0, |summary| summary.phases);
        // Rounded: a phase that is a little short of its length is not cut by a whole second.
        let seconds = length.as_secs_f64().round().max(1.0) as u64;
        let (workload, available) = match (load, &self.profile.memory) {
            (Load::Memory, Some(memory)) => {
                let available = machine::available_memory_bytes(self.host);
                let share = available.known().map_or(0, |bytes| bytes / 100 * u64::from(memory.share_percent));
                let bytes = share.min(memory.max_bytes.unwrap_or(u64::MAX));
                (Workload::Memory { bytes, retention_seconds: memory.retention_seconds }, Some(available))
            }
            _ => (Workload::Cpu, None),
        };
        let bytes = match workload {
            Workload::Memory { bytes, .. } => Some(bytes),
            Workload::Cpu => None,
        };
        self.record(Record::PhaseStart { phase, load, seconds, bytes, available_bytes: available.clone() })?;
        let too_small = bytes.filter(|&bytes| bytes < MIN_MEMORY_BYTES);
        let (outcome, counters) = match (too_small, available) {
            (Some(_), Some(reading)) if reading.known().is_none() => {
                let reason = format!("available memory could not be read: {}", reading.state());
                (Outcome::Failed { reason }, None)
            }
            (Some(bytes), _) => {
                let reason = format!("{bytes} bytes of memory are too few, {MIN_MEMORY_BYTES} are the least");
                (Outcome::Failed { reason }, None)
            }
            (None, _) => {
                let assignment = Assignment {
                    workload,
                    cpus: self.cpus.clone(),
                    seconds,
                    seed: self.seed.wrapping_add(phase.wrapping_mul(0x9e37_79b9)),
                    supervisor: std::process::id(),
                };
                let process = Process::start(&self.worker, &assignment)
                    .map_err(|source| BurnError::Spawn { path: self.worker.clone(), source })?;
                self.supervise(phase, load, seconds, process)?
            }
        };
        self.sample()?;
        self.record(Record::PhaseEnd { phase, outcome: outcome.clone(), counters })?;
        Ok(outcome)
    }

    /// Follows a worker to its end.
    fn supervise(
        &mut self,
        phase: u32,
        load: Load,
        seconds: u64,
        mut process: Process,
    ) -> Result<(Outcome, Option<Counters>), BurnError> {
        let watchdog = Duration::from_secs(self.profile.watchdog_seconds);
        let mut watch = Watch::new(Duration::from_secs(seconds), watchdog);
        let mut counters = None;
        let mut rate = Rate::default();
        let (mut ended, mut failure, mut shown) = (false, None, None);
        let interval = CHECKPOINT_INTERVAL.min(Duration::from_secs(self.profile.telemetry_interval_seconds));
        loop {
            match process.next(TICK) {
                Arrival::Message(Message::Started { width, locked, lock_error, .. }) => {
                    let pid = process.pid();
                    watch.alive();
                    self.record(Record::WorkerStarted { phase, pid, width, locked, lock_error })?;
                }
                Arrival::Message(Message::Progress { counters: now, stage, stalled }) => {
                    watch.progress(counters != Some(now) || stage == "retention", stalled);
                    counters = Some(now);
                    let rate = rate.of(now);
                    if shown.is_none_or(|shown: Instant| shown.elapsed() >= PROGRESS_INTERVAL) {
                        shown = Some(Instant::now());
                        let errors = match now {
                            Counters::Memory(now) => now.errors,
                            Counters::Cpu(now) => now.errors,
                        };
                        self.progress(Some((phase, load)), &stage, rate, errors);
                    }
                }
                Arrival::Message(Message::MemoryError(error)) => {
                    watch.alive();
                    if self.last_sample.elapsed() > Duration::from_secs(1) {
                        self.sample()?;
                    }
                    let dimms = self.log.summary().map(|summary| summary.dimms.counts());
                    let suspect_dimms = grown(dimms.unwrap_or(Reading::Absent));
                    self.record(Record::MemoryError { phase, error, suspect_dimms })?;
                }
                Arrival::Message(Message::CpuError(error)) => {
                    watch.alive();
                    self.record(Record::CpuError { phase, error })?;
                }
                Arrival::Message(Message::Failed { reason }) => (ended, failure) = (true, Some(reason)),
                Arrival::Message(Message::Finished { counters: all }) => {
                    watch.alive();
                    (ended, counters) = (true, Some(all));
                }
                Arrival::Garbage | Arrival::Nothing => {}
                Arrival::Closed => break,
            }
            self.poll_gpus()?;
            if self.cancelled() {
                process.stop();
                watch.stopping();
            }
            if let Some((seconds, cpu)) = watch.hung() {
                process.kill();
                return Ok((Outcome::WorkerHung { seconds, cpu }, counters));
            }
            if self.last_sample.elapsed() >= Duration::from_secs(self.profile.telemetry_interval_seconds) {
                self.sample()?;
            }
            if self.last_checkpoint.elapsed() >= interval {
                self.last_checkpoint = Instant::now();
                self.record(Record::Checkpoint { phase: Some(phase), counters })?;
            }
            if let Some(seconds) = self.clock.look() {
                self.record(Record::ClockJump { seconds })?;
            }
        }
        let Some(status) = process.wait(watchdog.max(MIN_PHASE)) else {
            process.kill();
            return Ok((Outcome::WorkerHung { seconds: watchdog.as_secs(), cpu: None }, counters));
        };
        let outcome = match failure {
            Some(reason) => Outcome::Failed { reason },
            None if ended && status.success() && self.cancelled() => Outcome::Stopped,
            None if ended && status.success() => Outcome::Finished,
            None => Outcome::WorkerCrashed { signal: signal(status), status: status.code(), stderr: process.stderr() },
        };
        Ok((outcome, counters))
    }

    fn progress(&mut self, phase: Option<(u32, Load)>, stage: &str, rate: u64, errors: u64) {
        let before = self.log.summary().map_or(0, Summary::errors);
        let eta_seconds = self.remaining().as_secs();
        (self.events)(&Event::Progress(Progress {
            kind: "progress",
            elapsed_seconds: self.log.elapsed().as_secs(),
            planned_seconds: self.planned.as_secs(),
            eta_seconds,
            phase: phase.map(|(phase, _)| phase),
            load: phase.map(|(_, load)| load),
            stage,
            rate,
            errors: before.max(errors),
            hottest_millicelsius: self.hottest,
            gpus: self.fleet.progress(),
        }));
    }
}

/// Decides when a worker has hung.
struct Watch {
    limit: Duration,
    progressed: Instant,
    end: Instant,
    stalled: Option<(u32, u64)>,
}

impl Watch {
    fn new(length: Duration, limit: Duration) -> Self {
        Self { limit, progressed: Instant::now(), end: Instant::now() + length, stalled: None }
    }

    fn alive(&mut self) {
        self.progressed = Instant::now();
    }

    fn progress(&mut self, moved: bool, stalled: Option<(u32, u64)>) {
        if moved {
            self.alive();
        }
        self.stalled = stalled;
    }

    /// The worker was asked to stop: it has to end within the limit from the first time on.
    fn stopping(&mut self) {
        self.end = self.end.min(Instant::now());
    }

    /// Seconds without progress, and the CPU that stood still, once it is too long.
    fn hung(&self) -> Option<(u64, Option<u32>)> {
        if let Some((cpu, seconds)) = self.stalled.filter(|(_, seconds)| *seconds >= self.limit.as_secs()) {
            return Some((seconds, Some(cpu)));
        }
        let silent = self.progressed.elapsed();
        let late = Instant::now().saturating_duration_since(self.end);
        (silent >= self.limit || late >= self.limit.max(MIN_PHASE)).then_some((silent.as_secs(), None))
    }
}

/// A rate over the last seconds.
#[derive(Default)]
struct Rate {
    points: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn of(&mut self, counters: Counters) -> u64 {
        let now = Instant::now();
        let count = match counters {
            Counters::Memory(memory) => memory.written_bytes.saturating_add(memory.verified_bytes),
            Counters::Cpu(cpu) => cpu.checked_blocks,
        };
        self.points.push_back((now, count));
        while self.points.len() > 2 && self.points.front().is_some_and(|(at, _)| now - *at > RATE_WINDOW) {
            self.points.pop_front();
        }
        let Some(&(at, before)) = self.points.front() else { return 0 };
        let seconds = (now - at).as_secs_f64();
        if seconds > 0.0 { (count.saturating_sub(before) as f64 / seconds) as u64 } else { 0 }
    }
}

/// Compares the wall clock with one that does not jump.
#[derive(Debug, Default)]
struct Clock {
    /// Wall clock less the other one, in milliseconds.
    offset_ms: Option<i64>,
    start: Option<Instant>,
}

impl Clock {
    fn look(&mut self) -> Option<i64> {
        let steady = self.start.get_or_insert_with(Instant::now).elapsed();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.observe(wall, steady)
    }

    /// Seconds by which the wall clock has jumped since the last look, when it has.
    fn observe(&mut self, wall: Duration, steady: Duration) -> Option<i64> {
        let offset = wall.as_millis() as i64 - steady.as_millis() as i64;
        let jump = offset - self.offset_ms.replace(offset).unwrap_or(offset);
        // Rounded away from zero: a jump is never one of no seconds.
        (jump.abs() >= CLOCK_TOLERANCE_MS).then(|| (jump.abs() + 500) / 1000 * jump.signum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_either_way_is_seen_and_drift_is_not() {
        let mut clock = Clock::default();
        let seconds = Duration::from_secs;
        assert_eq!(clock.observe(seconds(1000), seconds(0)), None);
        assert_eq!(clock.observe(seconds(1010) + Duration::from_millis(40), seconds(10)), None);
        assert_eq!(clock.observe(seconds(4611), seconds(11)), Some(3600));
        assert_eq!(clock.observe(seconds(4612), seconds(12)), None);
        assert_eq!(clock.observe(seconds(12), seconds(13)), Some(-4601));
    }
}
