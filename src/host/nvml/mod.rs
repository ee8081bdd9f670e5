//! NVML and NSCQ, read in a child process: a wedged driver hangs a call for ever, and a broken library takes the process
//! along.
//!
//! ```text
//! LiveHost ─ Assignment (one JSON line) ─► yanji nvml-reader ─ dlopen ─► libnvidia-ml.so.1, libnvidia-nscq.so.2
//!          ◄─ JSON Lines: the start of a line names the call, its end brings the answer ─
//! ```
//!
//! Two of them share the GPUs where there are processors for both: most of the time goes into waiting for the driver.
//! The lines are kept raw, units included; `parse::nvml` reads them.

mod calls;
mod library;
mod nscq;
mod reader;
mod supervisor;
mod telemetry;

use serde::{Deserialize, Serialize};

use crate::attest::device::DeviceNonce;

pub use reader::run_reader;
pub(super) use supervisor::ask;
pub use telemetry::{GpuSample, TelemetryAssignment, run_telemetry};

/// GPUs that are looked at. The largest machines have 72 in one NVLink domain, and 16 in one operating system.
const MAX_DEVICES: u32 = crate::parse::nvml::MAX_DEVICES;

/// The GPUs of one of several readers at a time: those whose number leaves `number` over when it is divided by `of`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    number: u32,
    of: u32,
}

impl Share {
    fn has(self, device: u32) -> bool {
        device.checked_rem(self.of) == Some(self.number)
    }

    fn is_first(self) -> bool {
        self.number == 0
    }
}

/// What a reader has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    /// Process id of the supervisor: a reader whose parent is another one has lost it.
    supervisor: u32,
    /// GPUs that an earlier reader has read; only the second reading of their identity is left.
    finished: Vec<u32>,
    /// GPUs on which an earlier reader hung or died: not to be touched again.
    given_up: Vec<u32>,
    /// Which GPUs are this reader's. What is not about one GPU is the first one's.
    share: Share,
    /// From what each GPU's nonce for its attestation report is made; without it none is asked for.
    nonce: Option<DeviceNonce>,
}
