//! The executor: blocks over the processor's threads, warps of a block in turn, the 32 lanes of a warp at once.

#![allow(clippy::needless_range_loop, reason = "a lane is a place in several registers")]

mod block;
mod collective;
pub mod convert;
pub mod float;
pub mod int;
pub mod lanes;
mod launch;
mod memory;
pub mod mma;
pub mod number;
mod odd;
pub mod program;
mod warp;

pub use launch::{Chip, Launch, Outcome, Stop, Trap, next_id, run};
pub use memory::{Caches, MemoryFaults, Range, View};
