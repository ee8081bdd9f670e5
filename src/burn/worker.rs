//! What runs in a child process: one workload, told by one line on standard input, telling by lines on standard
//! output.
//!
//! ```text
//! supervisor ─ Assignment (one JSON line) ─► worker
//!            ◄─ Message (JSON lines: started, progress every 250 ms, errors, finished) ─
//!            ─ any further line, or end of input: stop ─►
//! ```

use std::io::{self, BufRead, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::cpu::{self, CpuError};
use super::memory::{self, MemoryError};
use yanji_loops::Width;

/// Longest line that either side accepts.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;

/// One logical CPU and the NUMA node that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuPlace {
    /// Logical CPU number.
    pub cpu: u32,
    /// NUMA node; 0 where the kernel names none.
    pub node: u32,
}

/// What a worker process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "workload", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Workload {
    /// Patterns over host memory.
    Memory {
        /// Bytes to map.
        bytes: u64,
        /// Seconds between writing and reading again in the retention pass.
        retention_seconds: u64,
    },
    /// Arithmetic with known answers on every CPU.
    Cpu,
}

/// Everything that a worker has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// What to run.
    pub workload: Workload,
    /// Where.
    pub cpus: Vec<CpuPlace>,
    /// For how long.
    pub seconds: u64,
    /// Chooses the pseudo-random patterns.
    pub seed: u32,
    /// Process id of the supervisor: a worker whose parent is another one already has lost it.
    pub supervisor: u32,
}

/// What a memory worker has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryCounters {
    /// Bytes that were written and then verified at least once.
    pub tested_bytes: u64,
    /// Bytes written by all passes.
    pub written_bytes: u64,
    /// Bytes verified by all passes.
    pub verified_bytes: u64,
    /// Bytes verified by passes that ended; the numerator of the verifying rate.
    pub timed_verified_bytes: u64,
    /// Milliseconds of those passes, retention holds excluded.
    pub timed_milliseconds: u64,
    /// Passes that ended.
    pub passes: u64,
    /// Words that did not hold what was written.
    pub errors: u64,
}

/// What a CPU worker has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCounters {
    /// Blocks whose fold was compared with the known answer.
    pub checked_blocks: u64,
    /// Those of them that were fused multiply-adds.
    pub fma_blocks: u64,
    /// Thread time of those, in milliseconds.
    pub fma_milliseconds: u64,
    /// Blocks with a wrong fold.
    pub errors: u64,
    /// CPUs that were to be loaded.
    pub cpus: u64,
    /// CPUs that have finished at least one block of each loop.
    pub cpus_checked: u64,
}

/// What a worker has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Counters {
    /// Of a memory worker.
    Memory(MemoryCounters),
    /// Of a CPU worker.
    Cpu(CpuCounters),
}

/// A line of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum Message {
    /// The workload is set up.
    Started {
        /// Instructions that it uses.
        width: Width,
        /// Memory worker: bytes mapped.
        mapped_bytes: Option<u64>,
        /// Memory worker: whether the pages can't be swapped out.
        locked: Option<bool>,
        /// Why not.
        lock_error: Option<String>,
    },
    /// Alive.
    Progress {
        /// So far.
        counters: Counters,
        /// What it is at, in a word or two.
        stage: String,
        /// The CPU whose thread has stood still longest, and for how many seconds.
        stalled: Option<(u32, u64)>,
    },
    /// A wrong word in memory.
    MemoryError(MemoryError),
    /// A wrong result.
    CpuError(CpuError),
    /// The workload could not run.
    Failed {
        /// Why.
        reason: String,
    },
    /// The end, in time or stopped.
    Finished {
        /// All of it.
        counters: Counters,
    },
}

/// Deadline, stop flag and voice of a workload.
pub(super) struct Control<'a> {
    start: Instant,
    deadline: Instant,
    stop: &'a AtomicBool,
    output: Mutex<&'a mut (dyn Write + Send)>,
}

impl<'a> Control<'a> {
    pub(super) fn new(seconds: Duration, stop: &'a AtomicBool, output: &'a mut (dyn Write + Send)) -> Self {
        let start = Instant::now();
        Self { start, deadline: start + seconds, stop, output: Mutex::new(output) }
    }

    /// Whether the workload has to end.
    pub(super) fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// Time left; zero when stopped.
    pub(super) fn remaining(&self) -> Duration {
        if self.stop.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The instant at which this part of the time is over.
    pub(super) fn fraction(&self, percent: u32) -> Instant {
        self.start + (self.deadline - self.start) * percent / 100
    }

    /// Sends a line. A supervisor that is gone is noticed on standard input.
    pub(super) fn send(&self, message: &Message) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut output = match self.output.lock() {
            Ok(output) => output,
            Err(poisoned) => poisoned.into_inner(),
        };
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }

    /// Sends a sign of life.
    pub(super) fn progress(&self, counters: Counters, stage: &str, stalled: Option<(u32, u64)>) {
        self.send(&Message::Progress { counters, stage: stage.to_owned(), stalled });
    }
}

/// Binds the calling thread to one CPU.
pub(super) fn pin(cpu: u32) -> io::Result<()> {
    let cpu = cpu as usize;
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The body of the hidden `worker` command: reads its assignment from standard input, runs it, and ends when it is
/// done, when it is told to, or with the supervisor.
pub fn run_worker() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    input.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)?;
    drop(input);
    let assignment: Assignment = serde_json::from_str(&line).map_err(io::Error::other)?;

    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != i32::try_from(assignment.supervisor).ok() {
        return Err(io::Error::other("the supervisor is gone"));
    }
    // When memory runs out, this process has to go rather than a service of the machine.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");

    static STOP: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        // A line, the end of input and an error all mean the same.
        let _ = io::stdin().lock().read(&mut [0; 1]);
        STOP.store(true, Ordering::Relaxed);
    });
    let mut output = io::stdout();
    let control = Control::new(Duration::from_secs(assignment.seconds), &STOP, &mut output);
    let result = match assignment.workload {
        Workload::Memory { bytes, retention_seconds } => {
            let retention = Duration::from_secs(retention_seconds);
            memory::run(bytes, retention, assignment.seed, &assignment.cpus, &control)
        }
        Workload::Cpu => Ok(cpu::run(&assignment.cpus, &control)),
    };
    control.send(&match result {
        Ok(counters) => Message::Finished { counters },
        Err(error) => Message::Failed { reason: error.to_string() },
    });
    Ok(())
}
