//! GPUs in a burn: one worker process a GPU under the supervisor of the host's burn, all of them together.
//!
//! ```text
//! supervisor ─ Assignment (one JSON line) ─► gpu-worker ─ dlopen ─► libcuda.so
//!            ◄─ Message (JSON lines: the step that begins and its deadline, results, errors, signs of life) ─
//!            ◄─ PeerMessage (before the workers start) ─ gpu-peers ─ dlopen ─► libcuda.so
//!            ◄─ samples ten times a second ─ gpu-telemetry ─ dlopen ─► libnvidia-ml.so.1
//! ```
//!
//! A worker that is silent for longer than its step may take is killed and reported; the others go on. Kernels are checked
//! by known answers before their results count.

mod aggregate;
mod answers;
mod bandwidth;
mod card;
mod compute;
mod cuda;
mod facts;
mod fingerprint;
mod fleet;
mod kernels;
mod measure;
mod memory;
mod message;
mod peers;
mod pulse;
mod replay;
mod summary;
mod worker;

pub use aggregate::{Throttle, Window};
pub use facts::FACTS as GPU_FACTS;
pub use fleet::GpuProgress;
pub use measure::{Distribution, Measurement, NumberType, Quantity, Unit};
pub use message::{
    Assignment, ComputeError, Counters, Identity, KernelForm, KernelTest, MemoryError, Message, Missing, Outcome,
    SmLatencies, Step,
};
pub use peers::{MissingCopies, PeerCopies, run_gpu_peers};
pub use summary::{GpuSummary, Series, Telemetry, Totals};
pub use worker::run_gpu_worker;

pub(super) use facts::add_evidence;
pub(super) use fleet::{Fleet, addresses};
pub(super) use peers::measure as measure_peers;
pub(super) use replay::apply;
