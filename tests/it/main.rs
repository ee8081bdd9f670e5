//! The one integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod attest;
mod bmc;
mod burn;
mod caps;
mod cli;
mod collect;
mod device;
mod drives;
mod duplicates;
mod fuzz_seeds;
mod gpu_burn;
mod gpu_burn_faults;
mod gpu_burn_peers;
mod gpu_burn_pulse;
mod gpu_burn_rigs;
mod gpu_burn_rules;
mod gpu_rigs;
mod gpu_rules;
mod gpu_script;
mod memory_rules;
mod nvml;
mod rules;
mod screen;
mod spd;
mod support;
mod tpm;
mod vbios;
