//! The burn-in: workloads under a supervisor, with telemetry, leaving a chain of records.
//!
//! ```text
//! run ─► Profile ─► phases ─► worker processes ─► Messages ─┐
//!        Sensors ─► Samples ────────────────────────────────┴─► records.jsonl ─► replay ─► Summary ─► facts
//! ```
//!
//! The records are the only state: what a run reports, what a verifier computes and where a run goes on after a power
//! loss all come from [`replay()`].

mod cpu;
mod facts;
pub mod gpu;
mod log;
mod machine;
mod memory;
mod process;
mod profile;
mod records;
mod replay;
mod summary;
mod supervisor;
mod telemetry;
mod worker;

use std::io;
use std::path::PathBuf;

pub use cpu::CpuError;
pub use facts::{FACTS, add_evidence};
pub use gpu::{GPU_FACTS, run_gpu_peers, run_gpu_worker};
pub use log::FILE_NAME;
pub use machine::available_memory_bytes;
pub use memory::{MemoryError, Persistence};
pub use profile::{CpuProfile, GpuProfile, MemoryProfile, Profile, ProfileError};
pub use records::{FORMAT, Line, Load, MAX_LINE_BYTES, Outcome, Record, RecordError};
pub use replay::replay;
pub use summary::{Ending, FoundAt, Phases, Point, Summary};
pub use supervisor::{Event, Progress, Request, Start, run};
pub use telemetry::{Counts, Frequencies, Growth, Sample, Sensors};
pub use worker::{Assignment, Counters, CpuCounters, CpuPlace, MemoryCounters, Message, Workload, run_worker};
pub use yanji_loops::{BLOCK_BYTES, FMA_BLOCK_FLOPS, Loop, Mismatch, Pattern, Sweep, Width};

/// Why a burn could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum BurnError {
    /// The folder for the records can't be used.
    #[error("cannot use {path} for the records")]
    Folder {
        /// Folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk is nearly full.
    #[error("{path} has {free_bytes} bytes free, and the records need {need_bytes}")]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// What is free.
        free_bytes: u64,
        /// What is needed.
        need_bytes: u64,
    },
    /// The folder holds the records of another run.
    #[error("{path} holds the records of an earlier burn")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes these records.
    #[error("another burn is writing {path}")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The run has ended, and there is nothing to go on with.
    #[error("the burn in {path} has ended")]
    Finished {
        /// The folder.
        path: PathBuf,
    },
    /// The records are damaged.
    #[error("the records in {path} are damaged")]
    Records {
        /// The file.
        path: PathBuf,
        /// Where, and how.
        #[source]
        source: RecordError,
    },
    /// A record could not be written. Everything before it is on disk.
    #[error("cannot write to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A worker process could not be started.
    #[error("cannot start the worker {path}")]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The profile is not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}
