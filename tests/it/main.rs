//! The one integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod attest;
mod burn;
mod cli;
mod collect;
mod gpu_burn;
mod gpu_burn_rules;
mod gpu_rigs;
mod gpu_rules;
mod nvml;
mod rules;
mod screen;
mod support;
mod vbios;
