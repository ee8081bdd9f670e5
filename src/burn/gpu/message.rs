//! What a supervisor and a GPU worker tell each other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::measure::{Measurement, NumberType, Quantity};

/// A part of a GPU's burn. The first ones are run once, in this order; the last three in turn until the time is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Driver, context, identity, kernels.
    Setup,
    /// Known answers of every kernel.
    SelfTest,
    /// All memory that can be had.
    Allocate,
    /// Own addresses over the whole card, twice: capacity and aliasing.
    Address,
    /// Bandwidth of the memory.
    Bandwidth,
    /// Copies from and to the host.
    Transfer,
    /// Arithmetic with exact answers, and its rates.
    Compute,
    /// What chip this behaves like.
    Fingerprint,
    /// Memory under further patterns.
    Patterns,
    /// Arithmetic at full power, checked SM against SM.
    Load,
    /// A square wave of power, all GPUs in phase.
    Pulse,
}

impl Step {
    /// Those that a GPU has to have ended to have been tested.
    pub const ONCE: &[Self] = &[
        Self::Setup,
        Self::SelfTest,
        Self::Allocate,
        Self::Address,
        Self::Bandwidth,
        Self::Transfer,
        Self::Compute,
        Self::Fingerprint,
    ];

    /// The word used in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::SelfTest => "self-test",
            Self::Allocate => "allocate",
            Self::Address => "address",
            Self::Bandwidth => "bandwidth",
            Self::Transfer => "transfer",
            Self::Compute => "compute",
            Self::Fingerprint => "fingerprint",
            Self::Patterns => "patterns",
            Self::Load => "load",
            Self::Pulse => "pulse",
        }
    }

    /// Whether telemetry during it is that of a busy card.
    pub fn is_load(self) -> bool {
        matches!(self, Self::Compute | Self::Patterns | Self::Load)
    }
}

/// Everything that a GPU worker has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// PCI address: `0000:17:00.0`.
    pub gpu: String,
    /// For how long.
    pub seconds: u64,
    /// Chooses patterns and operands; the same for all GPUs.
    pub seed: u32,
    /// Share of the free memory to take.
    pub memory_percent: u8,
    /// An upper bound in bytes.
    pub max_bytes: Option<u64>,
    /// Length of a turn of memory patterns.
    pub patterns_seconds: u64,
    /// Length of a turn of arithmetic at full power.
    pub load_seconds: u64,
    /// Length of a turn of the square wave of power.
    pub pulse_seconds: u64,
    /// Seconds between writing and reading again in the retention pass.
    pub retention_seconds: u64,
    /// About how long the measurements may take that can be cut short.
    pub measure_seconds: u64,
    /// Kernels that broke the context of an earlier worker: not to be loaded again.
    pub avoid: Vec<String>,
    /// Steps that an earlier session has ended.
    pub done: BTreeSet<Step>,
    /// The host's monotonic clock, in nanoseconds, at the moment from which all GPUs count their turns.
    pub epoch_ns: u64,
    /// Process id of the supervisor: a worker whose parent is another one already has lost it.
    pub supervisor: u32,
}

/// What the CUDA driver says of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Product name.
    pub name: String,
    /// `GPU-…`.
    pub uuid: Option<String>,
    /// `0000:17:00.0`.
    pub address: String,
    /// Compute capability: `[9, 0]`.
    pub compute_capability: [u32; 2],
    /// Streaming multiprocessors.
    pub sm_count: u32,
    /// Memory for programs.
    pub memory_bytes: u64,
    /// Second-level cache.
    pub l2_bytes: Option<u64>,
    /// Highest SM clock.
    pub clock_khz: Option<u64>,
    /// Highest memory clock.
    pub memory_clock_khz: Option<u64>,
    /// Width of the memory bus.
    pub bus_width_bits: Option<u64>,
    /// `default`, `prohibited`, `exclusive-process`.
    pub compute_mode: String,
    /// Whether ECC is on.
    pub ecc: Option<bool>,
    /// What the driver speaks: 12080 for CUDA 12.8.
    pub driver_version: u32,
    /// Absent with a real driver. A virtual one tells here how many bytes each byte of its memory stands for; sizes, offsets
    /// and bandwidths of memory in the records are multiplied by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<u32>,
}

/// What of a kernel file the driver took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelForm {
    /// Machine code for the architecture.
    Fatbin,
    /// Text that the driver translated.
    Ptx,
}

/// A kernel and what its self-test said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelTest {
    /// Its name.
    pub kernel: String,
    /// The file that it comes from.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// What of it the driver took.
    pub form: KernelForm,
    /// Why its results do not count; `None` for one that gave the known answers.
    pub failure: Option<String>,
}

/// A wrong vector of 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryError {
    /// Bytes from the beginning of the memory under test, hexadecimal.
    pub offset: String,
    /// What should be there, hexadecimal, highest byte first.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// `bit`, `word`, `words` or `alias`.
    pub fault: String,
    /// For `alias`: the offset whose content was found.
    pub content_of: Option<String>,
    /// The pattern.
    pub pattern: String,
    /// The SM that read it.
    pub sm: u32,
}

/// A wrong result of an SM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeError {
    /// The kernel.
    pub kernel: String,
    /// The SM.
    pub sm: u32,
    /// Fold that is right: the known one, or that of all others.
    pub expected: String,
    /// Fold that it gave, or how many of the same results were others.
    pub found: String,
    /// Whether the right one was known beforehand.
    pub known_answer: bool,
}

/// What a GPU worker has done so far. Counts since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Memory that CUDA says the card has.
    pub total_bytes: u64,
    /// What of it was free before the test.
    pub free_bytes: u64,
    /// What of it is under test.
    pub allocated_bytes: u64,
    /// Bytes that held their own address when all were written.
    pub tested_bytes: u64,
    /// Bytes written by all passes.
    pub written_bytes: u64,
    /// Bytes verified by all passes.
    pub verified_bytes: u64,
    /// Vectors of 16 bytes that did not hold what was written.
    pub memory_errors: u64,
    /// Those that held what belongs to another address.
    pub aliased: u64,
    /// Smallest wrong offset.
    pub first_wrong: Option<u64>,
    /// Largest wrong offset.
    pub last_wrong: Option<u64>,
    /// Smallest offset with another address's content.
    pub first_aliased: Option<u64>,
    /// Bits that were wrong in any vector, hexadecimal, highest first; empty without errors.
    pub wrong_bits: String,
    /// Bits read 0 that should be 1.
    pub bits_lost: u64,
    /// Bits read 1 that should be 0.
    pub bits_gained: u64,
    /// Blocks whose result was compared.
    pub checked_blocks: u64,
    /// Blocks with a wrong result.
    pub compute_errors: u64,
    /// SMs with a wrong result.
    pub bad_sms: BTreeSet<u32>,
}

/// Clocks of a load from regions of the memory, as one SM sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmLatencies {
    /// The SM.
    pub sm: u32,
    /// Mean clocks of a load, a number for each region in the order of addresses.
    pub clocks: Vec<u64>,
}

/// Something that has no measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// Of what.
    pub quantity: Quantity,
    /// Why; `None` where the chip has no such thing.
    pub reason: Option<String>,
}

/// A line of a GPU worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum Message {
    /// A step begins, and the worker will say something within that time.
    Step {
        /// Which.
        step: Step,
        /// What it does, in a word or two.
        what: String,
        /// Longest silence.
        seconds: u64,
    },
    /// A step has ended.
    Done {
        /// Which.
        step: Step,
        /// So far.
        counters: Counters,
    },
    /// What the driver says.
    Identity(Identity),
    /// A kernel was tested.
    Kernel(KernelTest),
    /// A result.
    Measured(Measurement),
    /// How far each SM is from each region of the memory. Experimental: never judged.
    Latencies {
        /// A row for each SM that answered.
        rows: Vec<SmLatencies>,
    },
    /// Something could not be measured.
    Missing(Missing),
    /// A wrong vector in memory.
    MemoryError(MemoryError),
    /// A wrong result.
    ComputeError(ComputeError),
    /// Alive.
    Progress {
        /// So far.
        counters: Counters,
        /// What it is at.
        what: String,
        /// In the unit below, over the last launch.
        rate: u64,
        /// `GB/s` or `TFLOPS`, times 1000; empty where neither.
        unit: String,
    },
    /// The driver or the card refused to go on.
    Failed {
        /// Why.
        reason: String,
        /// Whether the driver said that the GPU is gone, or the context with it.
        lost: bool,
        /// The kernel that did it before it was validated: another worker should do without.
        avoid: Option<String>,
        /// So far.
        counters: Counters,
    },
    /// The end, in time or stopped.
    Finished {
        /// All of it.
        counters: Counters,
    },
}

/// How the burn of a GPU ended in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// In time.
    Finished,
    /// The run was interrupted.
    Stopped,
    /// It could not be set up: nothing was measured.
    NotMeasured {
        /// Why, and what would help.
        reason: String,
    },
    /// CUDA failed in the middle: the GPU is gone, or its context.
    Lost {
        /// In which step.
        step: Step,
        /// What CUDA said.
        reason: String,
    },
    /// The worker died.
    WorkerCrashed {
        /// In which step.
        step: Option<Step>,
        /// Number of the signal that ended it.
        signal: Option<i32>,
        /// Its exit status, if it ended by itself.
        status: Option<i32>,
        /// The start of what it wrote to standard error.
        stderr: String,
    },
    /// The worker said nothing for longer than its step may take, and was killed.
    WorkerHung {
        /// In which step.
        step: Option<Step>,
        /// Seconds of silence.
        seconds: u64,
    },
}

/// Number types that an architecture has in hardware.
pub(super) fn number_types(compute_capability: [u32; 2]) -> Vec<NumberType> {
    let level = compute_capability[0] * 10 + compute_capability[1];
    NumberType::ALL
        .iter()
        .copied()
        .filter(|number| match number {
            NumberType::Fp32 | NumberType::Fp64 | NumberType::Fp16 => true,
            NumberType::Int8 => level >= 75,
            NumberType::Bf16 | NumberType::Tf32 | NumberType::Fp64Tensor => level >= 80,
            NumberType::Fp8 => level >= 89,
            NumberType::Fp4 => level >= 100,
        })
        .collect()
}
