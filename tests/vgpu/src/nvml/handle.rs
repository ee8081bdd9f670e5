//! Device handles: addresses into a table that nobody reads, so that a made-up handle is recognised without following it.

use std::sync::Arc;

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::driver::{INVALID_ARGUMENT, Refusal, running};
use crate::rig::{MAX_GPUS, VirtualGpu};

/// The GPU itself and its partitions.
const HANDLES_A_GPU: usize = 8;

static TABLE: [[u8; HANDLES_A_GPU]; MAX_GPUS] = [[0; HANDLES_A_GPU]; MAX_GPUS];

/// The handle of a GPU, or of its partition from 1 on.
pub fn of(index: usize, partition: usize) -> Option<nvmlDevice_t> {
    let entry = TABLE.get(index)?.get(partition)?;
    Some(std::ptr::from_ref(entry).cast_mut().cast())
}

/// Position of the GPU, and partition from 1 on or 0 for the GPU itself.
pub fn position(device: nvmlDevice_t) -> Result<(usize, usize), Refusal> {
    let offset = device.addr().wrapping_sub(TABLE.as_ptr().addr());
    if offset < MAX_GPUS * HANDLES_A_GPU {
        Ok((offset / HANDLES_A_GPU, offset % HANDLES_A_GPU))
    } else {
        Err(INVALID_ARGUMENT)
    }
}

/// The GPU that a call is about.
pub fn gpu(function: &'static str, device: nvmlDevice_t) -> Result<Arc<VirtualGpu>, Refusal> {
    let driver = running()?;
    driver.gpu(function, position(device)?.0)
}
