//! The supervisor's side: a worker process for each GPU and one that watches them all, polled beside the host's own burn.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::aggregate::Collector;
use super::message::{Assignment, Counters, Message, Outcome, Step};
use super::summary::GpuSummary;
use crate::burn::process::{assign, each_line, monotonic_ns, start_of, wait};
use crate::burn::profile::GpuProfile;
use crate::burn::records::Record;
use crate::evidence::Reading;
use crate::host::Host;
use crate::host::nvml::{GpuSample, TelemetryAssignment};

const NVIDIA: &str = "0x10de";
const DEVICES: &str = "/sys/bus/pci/devices";
/// How long a worker may take to end after it was asked to, or after its last line.
const END: Duration = Duration::from_secs(5);
/// A driver tells XIDs and error counters a moment after the failure that they explain.
const AFTERMATH: Duration = Duration::from_secs(3);
/// The watching process says something ten times a second.
const TELEMETRY_DEADLINE: Duration = Duration::from_secs(15);
/// How often it is started again.
const MAX_TELEMETRY_STARTS: u32 = 3;
/// Kernels that a GPU's workers can do without before it is given up.
const MAX_AVOIDED: usize = 16;
/// Messages of one worker in one look: an errant one must not keep the others waiting.
const MAX_MESSAGES: usize = 512;

/// PCI addresses of NVIDIA's GPUs: display and 3D controllers.
pub(in crate::burn) fn addresses(host: &dyn Host) -> Vec<String> {
    let text = |address: &str, file: &str| host.read(&format!("{DEVICES}/{address}/{file}")).text().into_known();
    let is_gpu = |address: &String| {
        text(address, "vendor").as_deref() == Some(NVIDIA)
            && text(address, "class").is_some_and(|class| class.starts_with("0x03"))
            && address.ends_with(".0")
    };
    host.list(DEVICES).into_known().unwrap_or_default().into_iter().filter(is_gpu).collect()
}

/// How far a GPU is, for progress.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GpuProgress {
    /// PCI address.
    pub gpu: String,
    /// What runs.
    pub step: Option<Step>,
    /// What the worker is at.
    pub what: String,
    /// Thousandths of the unit.
    pub rate: u64,
    /// `GB/s`, `TFLOPS`, or nothing.
    pub unit: String,
    /// Degrees Celsius.
    pub celsius: Option<u64>,
    /// Milliwatts.
    pub milliwatts: Option<u64>,
    /// Errors of memory and arithmetic.
    pub errors: u64,
    /// Seconds until its time is used; a profile without turns ends sooner.
    pub eta_seconds: u64,
    /// Whether its worker has ended.
    pub ended: bool,
}

/// A child process that tells JSON lines. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Teller<T> {
    child: Child,
    /// Closed to ask it to stop.
    stdin: Option<ChildStdin>,
    lines: Receiver<Option<T>>,
    stderr: Option<JoinHandle<String>>,
}

impl<T: DeserializeOwned + Send + 'static> Teller<T> {
    /// Dies with the calling thread.
    pub(super) fn start(program: &Path, command: &str, assignment: &impl Serialize) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A variable that hides GPUs would hide what was sold.
            .env_remove("CUDA_VISIBLE_DEVICES")
            // Ctrl-C on a terminal goes to the whole foreground group, and stopping workers is the supervisor's task.
            .process_group(0)
            .spawn()?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, lines) = mpsc::sync_channel(4096);
        each_line(stdout, move |line| sender.send(serde_json::from_slice(line).ok()).is_ok());
        let stderr = start_of(stderr);
        assign(&mut stdin, assignment)?;
        Ok(Self { child, stdin, lines, stderr: Some(stderr) })
    }
}

impl<T> Teller<T> {
    /// The next line that makes sense, if it is there; an error after the last one.
    pub(super) fn next(&mut self) -> Option<Result<T, ()>> {
        loop {
            match self.lines.try_recv() {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => {}
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(Err(())),
            }
        }
    }

    fn kill(&mut self) {
        // Already gone is fine. One that is stuck in the kernel is left behind.
        let _ = self.child.kill();
        let _ = wait(&mut self.child, Duration::from_secs(1));
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One GPU.
#[derive(Debug)]
struct Gpu {
    worker: Option<Teller<Message>>,
    step: Option<Step>,
    counters: Option<Counters>,
    failure: Option<(String, bool)>,
    assignment: Assignment,
    avoid: Option<String>,
    finished: bool,
    /// Since when its worker is gone.
    closed: Option<Instant>,
    heard: Instant,
    patience: Duration,
    collector: Collector,
    no_telemetry: Option<String>,
    progress: GpuProgress,
}

/// All GPUs of a session.
#[derive(Debug)]
pub(in crate::burn) struct Fleet {
    program: PathBuf,
    gpus: BTreeMap<String, Gpu>,
    watcher: Option<Teller<GpuSample>>,
    watcher_heard: Instant,
    watcher_starts: u32,
    interval: Duration,
    watchdog: Duration,
    stopping: Option<Instant>,
    end: Instant,
}

impl Fleet {
    /// Nothing to test.
    pub(in crate::burn) fn none() -> Self {
        let now = Instant::now();
        Self {
            program: PathBuf::new(),
            gpus: BTreeMap::new(),
            watcher: None,
            watcher_heard: now,
            watcher_starts: 0,
            interval: Duration::from_secs(1),
            watchdog: Duration::from_secs(60),
            stopping: None,
            end: now,
        }
    }

    /// Starts a worker for each GPU. Gives what is to be written down.
    pub(in crate::burn) fn start(
        program: &Path,
        profile: &GpuProfile,
        [seconds, interval, watchdog]: [u64; 3],
        seed: u32,
        before: &BTreeMap<String, GpuSummary>,
        addresses: &[String],
    ) -> (Self, Vec<Record>) {
        let epoch_ns = monotonic_ns();
        let mut fleet = Self {
            program: program.to_owned(),
            interval: Duration::from_secs(interval),
            watchdog: Duration::from_secs(watchdog),
            end: Instant::now() + Duration::from_secs(seconds),
            ..Self::none()
        };
        let mut records = Vec::new();
        for address in addresses {
            let assignment = Assignment {
                gpu: address.clone(),
                seconds,
                seed,
                memory_percent: profile.share_percent,
                max_bytes: profile.max_bytes,
                patterns_seconds: profile.patterns_seconds,
                load_seconds: profile.load_seconds,
                pulse_seconds: profile.pulse_seconds,
                retention_seconds: profile.retention_seconds,
                measure_seconds: profile.measure_seconds,
                done: before.get(address).map(|gpu| gpu.done.clone()).unwrap_or_default(),
                epoch_ns,
                avoid: Vec::new(),
                supervisor: std::process::id(),
            };
            let worker = match Teller::start(program, "gpu-worker", &assignment) {
                Ok(worker) => worker,
                Err(error) => {
                    let reason = format!("cannot start {}: {error}", program.display());
                    records.push(end(address, Outcome::NotMeasured { reason }, None, None));
                    continue;
                }
            };
            records.push(Record::GpuStart { gpu: address.clone(), pid: worker.child.id() });
            let progress = GpuProgress { gpu: address.clone(), ..GpuProgress::default() };
            let gpu = Gpu {
                worker: Some(worker),
                step: None,
                counters: None,
                failure: None,
                assignment,
                avoid: None,
                finished: false,
                closed: None,
                heard: Instant::now(),
                patience: Duration::from_secs(60),
                collector: Collector::new(),
                no_telemetry: None,
                progress,
            };
            fleet.gpus.insert(address.clone(), gpu);
        }
        fleet.start_watcher();
        (fleet, records)
    }

    fn start_watcher(&mut self) {
        if self.gpus.is_empty() || self.watcher_starts >= MAX_TELEMETRY_STARTS {
            return;
        }
        self.watcher_starts += 1;
        self.watcher_heard = Instant::now();
        let gpus = self.gpus.keys().cloned().collect();
        let assignment = TelemetryAssignment { supervisor: std::process::id(), gpus };
        self.watcher = match Teller::start(&self.program, "gpu-telemetry", &assignment) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                self.no_telemetry(&format!("cannot start {}: {error}", self.program.display()));
                None
            }
        };
    }

    fn no_telemetry(&mut self, why: &str) {
        self.gpus.values_mut().for_each(|gpu| gpu.no_telemetry = Some(why.to_owned()));
    }

    /// Whether any worker still runs.
    pub(in crate::burn) fn is_running(&self) -> bool {
        self.gpus.values().any(|gpu| gpu.worker.is_some())
    }

    /// How far each is.
    pub(in crate::burn) fn progress(&self) -> Vec<GpuProgress> {
        let left = self.end.saturating_duration_since(Instant::now()).as_secs();
        let progress =
            |gpu: &Gpu| GpuProgress { eta_seconds: if gpu.progress.ended { 0 } else { left }, ..gpu.progress.clone() };
        self.gpus.values().map(progress).collect()
    }

    /// Asks all workers to stop.
    pub(in crate::burn) fn stop(&mut self) {
        self.stopping.get_or_insert_with(Instant::now);
        for worker in self.gpus.values_mut().filter_map(|gpu| gpu.worker.as_mut()) {
            worker.stdin = None;
        }
    }

    /// Takes what has arrived, without waiting for more. Gives what is to be written down.
    pub(in crate::burn) fn poll(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        self.watch();
        let limits = (self.watchdog, self.stopping, self.end);
        for (address, gpu) in &mut self.gpus {
            if gpu.worker.is_none() {
                continue;
            }
            let step = gpu.step;
            let ended = gpu.hear(address, &self.program, limits, &mut records);
            if step != gpu.step || ended.is_some() || gpu.collector.age() >= self.interval {
                // A window is that of one step.
                let telemetry = match (gpu.collector.close(), &gpu.no_telemetry) {
                    (Some(window), _) => Reading::Known(window),
                    (None, Some(why)) => Reading::Failed(why.clone()),
                    (None, None) => Reading::Failed("NVML said nothing in the interval".to_owned()),
                };
                if ended.is_none() || matches!(telemetry, Reading::Known(_)) {
                    let counters = gpu.counters.clone();
                    let at = records.iter().rposition(|record| matches!(record, Record::GpuEnd { .. }));
                    let record = Record::GpuSample { gpu: address.clone(), step, counters, telemetry };
                    records.insert(at.filter(|_| ended.is_some()).unwrap_or(records.len()), record);
                }
            }
            if let Some(mut worker) = ended {
                worker.kill();
                gpu.progress.ended = true;
            }
        }
        if !self.is_running() {
            self.watcher = None;
        }
        records
    }

    /// Gives samples to their GPUs, and starts a watcher that hangs or has died again.
    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut closed = false;
        loop {
            match watcher.lines.try_recv() {
                Ok(Some(sample)) => {
                    self.watcher_heard = Instant::now();
                    let Some(gpu) = self.gpus.get_mut(&sample.gpu) else { continue };
                    match &sample.failure {
                        Some(why) => gpu.no_telemetry = Some(why.clone()),
                        None => {
                            gpu.progress.celsius = sample.gpu_celsius;
                            gpu.progress.milliwatts = sample.power_milliwatts;
                            gpu.collector.add(sample);
                        }
                    }
                }
                Ok(None) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    closed = true;
                    break;
                }
            }
        }
        let silent = self.watcher_heard.elapsed() > TELEMETRY_DEADLINE;
        if !closed && !silent {
            return;
        }
        let why = if closed {
            let _ = wait(&mut watcher.child, Duration::from_secs(1));
            let said = watcher.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
            format!("NVML gives no telemetry: {}", said.lines().last().unwrap_or("its reader died"))
        } else {
            format!("NVML did not answer within {} s", TELEMETRY_DEADLINE.as_secs())
        };
        self.watcher = None;
        self.no_telemetry(&why);
        self.start_watcher();
    }
}

impl Gpu {
    /// Takes the worker's messages; gives the worker back when it is over.
    fn hear(
        &mut self,
        address: &str,
        program: &Path,
        (watchdog, stopping, end_at): (Duration, Option<Instant>, Instant),
        records: &mut Vec<Record>,
    ) -> Option<Teller<Message>> {
        let gpu = address.to_owned();
        let mut closed = false;
        for _ in 0..MAX_MESSAGES {
            let message = match self.worker.as_mut()?.lines.try_recv() {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    closed = true;
                    break;
                }
            };
            self.heard = Instant::now();
            self.take(&gpu, message, records);
        }
        let again = closed && stopping.is_none() && self.assignment.avoid.len() < MAX_AVOIDED;
        if let Some(kernel) = self.avoid.take().filter(|_| again) {
            self.assignment.avoid.push(kernel);
            self.assignment.seconds = end_at.saturating_duration_since(Instant::now()).as_secs();
            if let Ok(worker) = Teller::start(program, "gpu-worker", &self.assignment) {
                (self.failure, self.heard) = (None, Instant::now());
                return self.worker.replace(worker).and(None);
            }
        }
        if closed && !self.finished && self.closed.get_or_insert_with(Instant::now).elapsed() < AFTERMATH {
            return None;
        }
        let outcome = if closed {
            self.cause_of_end(stopping.is_some())
        } else {
            let silent = self.heard.elapsed();
            let late = stopping.is_some_and(|since| since.elapsed() > self.patience.max(END))
                || Instant::now().saturating_duration_since(end_at) > self.patience.max(watchdog).max(END);
            if silent < self.patience.max(watchdog) && !late {
                return None;
            }
            Outcome::WorkerHung { step: self.step, seconds: silent.as_secs() }
        };
        records.push(end(address, outcome, self.step, self.counters.clone()));
        self.worker.take()
    }

    fn take(&mut self, gpu: &str, message: Message, records: &mut Vec<Record>) {
        let gpu = gpu.to_owned();
        match message {
            Message::Step { step, what, seconds } => {
                self.step = Some(step);
                self.patience = Duration::from_secs(seconds.min(600));
                (self.progress.step, self.progress.what) = (Some(step), what);
                // The rate was that of something else.
                (self.progress.rate, self.progress.unit) = (0, String::new());
            }
            Message::Done { step, counters } => {
                self.count(&counters);
                records.push(Record::GpuStep { gpu, step, counters });
            }
            Message::Identity(identity) => records.push(Record::GpuIdentity { gpu, identity }),
            Message::Kernel(test) => records.push(Record::GpuKernel { gpu, test }),
            Message::Measured(measurement) => records.push(Record::GpuMeasurement { gpu, measurement }),
            Message::Latencies { rows } => records.push(Record::GpuLatencies { gpu, rows }),
            Message::Missing(missing) => records.push(Record::GpuMissing { gpu, missing }),
            Message::MemoryError(error) => records.push(Record::GpuMemoryError { gpu, error }),
            Message::ComputeError(error) => records.push(Record::GpuComputeError { gpu, error }),
            Message::Progress { counters, what, rate, unit } => {
                self.count(&counters);
                (self.progress.what, self.progress.rate, self.progress.unit) = (what, rate, unit);
            }
            Message::Failed { reason, lost, avoid, counters } => {
                self.count(&counters);
                self.avoid = avoid;
                self.failure = Some((reason, lost));
            }
            Message::Finished { counters } => {
                self.count(&counters);
                self.finished = true;
            }
        }
    }

    fn count(&mut self, counters: &Counters) {
        self.progress.errors = counters.memory_errors.saturating_add(counters.compute_errors);
        self.counters = Some(counters.clone());
    }

    fn cause_of_end(&mut self, stopping: bool) -> Outcome {
        let status = self.worker.as_mut().and_then(|worker| wait(&mut worker.child, END));
        match (self.failure.take(), status) {
            (Some((reason, true)), _) => Outcome::Lost { step: self.step.unwrap_or(Step::Setup), reason },
            (Some((reason, false)), _) => Outcome::NotMeasured { reason },
            (None, Some(status)) if self.finished && status.success() => {
                if stopping {
                    Outcome::Stopped
                } else {
                    Outcome::Finished
                }
            }
            (None, status) => {
                let stderr = self.worker.as_mut().and_then(|worker| worker.stderr.take()).filter(|_| status.is_some());
                Outcome::WorkerCrashed {
                    step: self.step,
                    signal: status.and_then(|status| status.signal()),
                    status: status.and_then(|status| status.code()),
                    stderr: stderr.and_then(|thread| thread.join().ok()).unwrap_or_default(),
                }
            }
        }
    }
}

fn end(address: &str, outcome: Outcome, last_step: Option<Step>, counters: Option<Counters>) -> Record {
    Record::GpuEnd { gpu: address.to_owned(), outcome, last_step, counters }
}
