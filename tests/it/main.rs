//! The one integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod attest;
mod burn;
mod cli;
mod collect;
mod rules;
mod screen;
mod support;
