//! The CUDA half: `libcuda.so.1` over an interpreter of PTX.
//!
//! ```text
//! api: the functions of cuda.h ─► runtime: GPUs, contexts, handles ─► stream: a thread for each, jobs in order
//!        └─► image, ptx: text to programs                               └─► work: launches and copies, and how long they take
//!                                                                             └─► exec: the interpreter, on a card's memory
//! ```

mod api;
mod card;
pub mod exec;
mod failure;
mod image;
mod ptx;
mod runtime;
mod stream;
mod work;

#[cfg(test)]
mod tests;

pub use api::function_names;
pub use card::TIMER_SKEW_NANOSECONDS;
pub use runtime::memory_scale;
