//! The only state of a run: a chain of JSON lines.
//!
//! ```text
//! {"seq":0,"prev":"<genesis>","at":"2026-01-02T03:04:05Z","elapsed_ms":0,"kind":"start",…}
//! {"seq":1,"prev":"<SHA-256 of the line above, without its newline>","at":…,"elapsed_ms":…,"kind":…,…}
//! ```
//!
//! The genesis is 32 bytes of the caller's choice, so that whoever knows the hash of the last line (the head) and the
//! number of lines can check that nothing was changed, left out or added. What follows from a chain is
//! [`replay`](super::replay())'s to say.

use serde::{Deserialize, Serialize};

use super::cpu::CpuError;
use super::gpu;
use super::memory::MemoryError;
use super::profile::Profile;
use super::telemetry::Sample;
use super::worker::Counters;
use crate::evidence::Reading;
use yanji_loops::Width;

/// Version of the layout.
pub const FORMAT: u32 = 1;
/// Longest line, newline excluded.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// One line of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// 0, 1, 2 …
    pub seq: u64,
    /// SHA-256 of the line before, as it stands, in hexadecimal; the genesis in the first.
    pub prev: String,
    /// Wall clock, RFC 3339.
    pub at: String,
    /// Active time of the run so far, by a clock that does not jump.
    pub elapsed_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// What a phase runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Host memory.
    Memory,
    /// CPUs.
    Cpu,
}

impl Load {
    /// The word used in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// In time.
    Finished,
    /// The run was interrupted.
    Stopped,
    /// The workload could not be set up.
    Failed {
        /// Why.
        reason: String,
    },
    /// The worker died.
    WorkerCrashed {
        /// Number of the signal that ended it.
        signal: Option<i32>,
        /// Its exit status, if it ended by itself.
        status: Option<i32>,
        /// The start of what it wrote to standard error.
        stderr: String,
    },
    /// The worker was alive and got nowhere, and was killed.
    WorkerHung {
        /// Seconds without progress.
        seconds: u64,
        /// The CPU whose thread stood still, where the worker could still tell.
        cpu: Option<u32>,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a few records live at a time, and each becomes a line at once")]
pub enum Record {
    /// The first line.
    Start {
        /// Version of this layout.
        format: u32,
        /// Version of the tool.
        tool_version: String,
        /// What is to be run.
        profile: Profile,
        /// Chooses the pseudo-random patterns.
        seed: u32,
        /// Memory of the machine.
        memory_total_bytes: Reading<u64>,
        /// CPUs that are loaded.
        cpus: u32,
        /// Names the boot; from the kernel.
        boot_id: Reading<String>,
    },
    /// Another process goes on.
    Resume {
        /// Names the boot; from the kernel.
        boot_id: Reading<String>,
        /// Bytes of a torn last line, dropped.
        dropped_bytes: u64,
    },
    /// Names of the temperature sensors of the session's samples.
    Sensors {
        /// As the chips give them.
        temperatures: Vec<String>,
    },
    /// Telemetry.
    Sample(Sample),
    /// A workload is started.
    PhaseStart {
        /// 0, 1, 2 …
        phase: u32,
        /// Which.
        load: Load,
        /// For how long.
        seconds: u64,
        /// Memory: bytes to test.
        bytes: Option<u64>,
        /// Memory: bytes that could be had.
        available_bytes: Option<Reading<u64>>,
    },
    /// Its worker is set up.
    WorkerStarted {
        /// Phase.
        phase: u32,
        /// Process id.
        pid: u32,
        /// Instructions that it uses.
        width: Width,
        /// Memory: whether the pages can't be swapped out.
        locked: Option<bool>,
        /// Memory: why not.
        lock_error: Option<String>,
    },
    /// How far the worker is.
    Checkpoint {
        /// Phase, when one runs.
        phase: Option<u32>,
        /// So far in this phase.
        counters: Option<Counters>,
    },
    /// A wrong word in memory.
    MemoryError {
        /// Phase.
        phase: u32,
        /// Where, and what.
        #[serde(flatten)]
        error: MemoryError,
        /// DIMMs whose EDAC counters have grown in this run.
        suspect_dimms: Reading<Vec<String>>,
    },
    /// A core that calculated wrongly.
    CpuError {
        /// Phase.
        phase: u32,
        /// Which, and what.
        #[serde(flatten)]
        error: CpuError,
    },
    /// The end of a phase.
    PhaseEnd {
        /// Phase.
        phase: u32,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// All of it, as far as the worker told.
        counters: Option<Counters>,
    },
    /// The GPUs that the session tests.
    Gpus {
        /// PCI addresses.
        addresses: Vec<String>,
    },
    /// Copies between the GPUs of the session.
    GpuPeers {
        /// Ordered pairs.
        copies: Vec<gpu::PeerCopies>,
        /// Pairs that could not be measured.
        #[serde(default)]
        missing: Vec<gpu::MissingCopies>,
        /// Why there are no more.
        failure: Option<String>,
    },
    /// The worker of a GPU is started.
    GpuStart {
        /// PCI address.
        gpu: String,
        /// Process id.
        pid: u32,
    },
    /// What the CUDA driver says of a GPU.
    GpuIdentity {
        /// PCI address.
        gpu: String,
        /// All of it.
        identity: gpu::Identity,
    },
    /// A kernel was tested by known answers.
    GpuKernel {
        /// PCI address.
        gpu: String,
        /// Which, and how.
        test: gpu::KernelTest,
    },
    /// A result.
    GpuMeasurement {
        /// PCI address.
        gpu: String,
        /// Of what.
        measurement: gpu::Measurement,
    },
    /// How far each SM of a GPU is from each region of its memory. Experimental: never judged.
    GpuLatencies {
        /// PCI address.
        gpu: String,
        /// A row for each SM that answered.
        rows: Vec<gpu::SmLatencies>,
    },
    /// Something that could not be measured.
    GpuMissing {
        /// PCI address.
        gpu: String,
        /// What, and why.
        missing: gpu::Missing,
    },
    /// A step of a GPU's burn has ended.
    GpuStep {
        /// PCI address.
        gpu: String,
        /// Which.
        step: gpu::Step,
        /// So far in this session.
        counters: gpu::Counters,
    },
    /// A wrong vector in a GPU's memory.
    GpuMemoryError {
        /// PCI address.
        gpu: String,
        /// Where, and what.
        error: gpu::MemoryError,
    },
    /// An SM that calculated wrongly.
    GpuComputeError {
        /// PCI address.
        gpu: String,
        /// Which, and what.
        error: gpu::ComputeError,
    },
    /// Telemetry of a GPU over an interval, and how far its worker is.
    GpuSample {
        /// PCI address.
        gpu: String,
        /// What its worker runs.
        step: Option<gpu::Step>,
        /// So far in this session.
        counters: Option<gpu::Counters>,
        /// What NVML said.
        telemetry: Reading<gpu::Window>,
    },
    /// The end of a GPU's burn in this session.
    GpuEnd {
        /// PCI address.
        gpu: String,
        /// How.
        #[serde(flatten)]
        outcome: gpu::Outcome,
        /// The step that ran.
        last_step: Option<gpu::Step>,
        /// All of it, as far as the worker told.
        counters: Option<gpu::Counters>,
    },
    /// The wall clock was set, or the machine was suspended.
    ClockJump {
        /// How far it moved against the clock that does not jump.
        seconds: i64,
    },
    /// Asked to stop before the time was used.
    Interrupted,
    /// The last line.
    Finish {
        /// Whether every workload of the profile ran until the time was used.
        completed: bool,
    },
}

/// Why a chain of records is refused. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing there, or nothing but a torn first line.
    #[error("there are no records")]
    Empty,
    /// Longer than any record.
    #[error("line {line} is longer than {MAX_LINE_BYTES} bytes")]
    TooLong {
        /// Line number.
        line: u64,
    },
    /// Not a record.
    #[error("line {line} is not a record: {reason}")]
    Syntax {
        /// Line number.
        line: u64,
        /// What the reader says.
        reason: String,
    },
    /// A line was left out, added or moved.
    #[error("line {line} has sequence number {found} instead of {expected}")]
    Sequence {
        /// Line number.
        line: u64,
        /// What follows.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The line before was changed.
    #[error("line {line} does not follow from the line before it: the chain is broken")]
    Chain {
        /// Line number.
        line: u64,
    },
    /// A record that can't come at this place.
    #[error("line {line} makes no sense there: {reason}")]
    Order {
        /// Line number.
        line: u64,
        /// Why.
        reason: &'static str,
    },
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}
