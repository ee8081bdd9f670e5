//! The CUDA half: `libcuda.so.1` over an interpreter of PTX.

pub mod exec;
pub mod ptx;
