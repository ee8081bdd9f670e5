//! The inner loops of the burn-in of processors and host memory.
//!
//! They are a crate of their own because of how they are compiled: for speed, where the rest of the tool is compiled for
//! size. Unless they are unrolled, their vectors go through memory.

mod arithmetic;
mod pattern;
mod sweep;
mod vector;

pub use arithmetic::{FMA_BLOCK_FLOPS, Loop, VARIANTS};
pub use pattern::Pattern;
pub use sweep::{Mismatch, Sweep};
pub use vector::{LANE_BYTES, Width};

/// Bytes that are compared before anything in them is written again; a page.
pub const BLOCK_BYTES: usize = 4096;
