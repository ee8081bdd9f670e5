//! A virtual NVIDIA driver.
//!
//! ```text
//! rig file ─► Rig ─► tree:   sysfs and procfs of its GPUs ──────────────┐
//!              └───► launch: libnvidia-ml.so.1 in a temporary folder ───┴─► yanji, by LD_LIBRARY_PATH and YANJI_ROOT
//!                              └─► nvml: every call goes through Driver, which counts, changes and fails as the rig says
//! ```
//!
//! Built as a cdylib it is the NVML library, and the NSCQ library where the rig has NVSwitches, that the real `yanji` binary loads; nothing in that binary knows about it but
//! the symbol [`yanji_virtual_driver`], which marks the evidence as simulated. README.md describes the rig file.

pub mod attest;
mod cuda;
mod driver;
pub mod launch;
mod load;
mod nscq;
mod nvml;
pub mod rig;
mod symbols;
mod tree;

pub use cuda::{TIMER_SKEW_NANOSECONDS, function_names as cuda_function_names};
pub use nvml::{function_names, yanji_virtual_driver};
pub use rig::Rig;
pub use symbols::remove_symbols;
