//! The one integration-test binary.

mod attest;
mod burn;
mod cli;
mod collect;
mod host;
mod rules;
mod support;
