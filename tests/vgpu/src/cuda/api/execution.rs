//! Launches and occupancy.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::Ordering;

use super::{functions, put};
use crate::cuda::failure::{Failure, INVALID_VALUE, LAUNCH_OUT_OF_RESOURCES, NOT_SUPPORTED};
use crate::cuda::runtime::{Function, runtime};
use crate::cuda::work::{self, Request};

/// `CUlaunchConfig` of cuda.h.
#[repr(C)]
struct LaunchConfig {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared_bytes: c_uint,
    stream: usize,
    attributes: *const c_void,
    count: c_uint,
}

/// The parameters of a launch, copied as it happens.
unsafe fn params(function: &Function, each: *const *const u8, extra: *const *const c_void) -> Result<Vec<u8>, Failure> {
    let program = &function.program;
    let mut bytes = vec![0; program.param_bytes as usize];
    // SAFETY: the caller gives a pointer for each parameter, or a buffer with all of them and its size.
    unsafe {
        if !each.is_null() {
            for (index, &(at, size)) in program.params.iter().enumerate() {
                let from = each.add(index).read_unaligned();
                if from.is_null() {
                    return Err(INVALID_VALUE);
                }
                std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr().add(at as usize), size as usize);
            }
        } else if !extra.is_null() {
            let (mut buffer, mut size) = (std::ptr::null::<u8>(), 0);
            let mut at = 0;
            loop {
                let key = extra.add(at).read_unaligned() as usize;
                match key {
                    // CU_LAUNCH_PARAM_END, _BUFFER_POINTER, _BUFFER_SIZE.
                    0 => break,
                    1 => buffer = extra.add(at + 1).read_unaligned().cast(),
                    2 => size = extra.add(at + 1).read_unaligned().cast::<usize>().read_unaligned(),
                    _ => return Err(INVALID_VALUE),
                }
                at += 2;
            }
            if buffer.is_null() || size < bytes.len() {
                return Err(INVALID_VALUE);
            }
            std::ptr::copy_nonoverlapping(buffer, bytes.as_mut_ptr(), bytes.len());
        } else if !program.params.is_empty() {
            return Err(INVALID_VALUE);
        }
    }
    Ok(bytes)
}

unsafe fn launch(
    function: usize,
    config: (&[c_uint; 3], &[c_uint; 3], c_uint, usize),
    each: *const *const u8,
    extra: *const *const c_void,
) -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.current()?;
    let function = runtime.functions.get(function)?;
    let (grid, block, shared, stream) = config;
    let stream = runtime.stream(stream)?;
    let threads: u64 = block.iter().map(|&it| u64::from(it)).product();
    let empty = grid.contains(&0) || block.contains(&0);
    let too_large = threads > 1024 || block[2] > 64 || grid[1] > 65535 || grid[2] > 65535 || grid[0] > i32::MAX as u32;
    if empty || too_large {
        return Err(INVALID_VALUE);
    }
    if shared as usize > function.max_dynamic_shared.load(Ordering::Relaxed) {
        return Err(INVALID_VALUE);
    }
    if threads > u64::from(function.program.max_threads) {
        return Err(LAUNCH_OUT_OF_RESOURCES);
    }
    // SAFETY: the caller's.
    let params = unsafe { params(&function, each, extra)? };
    let request =
        Request { program: function.program.clone(), grid: *grid, block: *block, dynamic_shared: shared, params };
    let card = stream.card.clone();
    runtime.submit(&stream, Box::new(move |time| work::launch(runtime, &card, &request, time)));
    Ok(())
}

/// Blocks of a kernel that a multiprocessor holds at once: by threads, by registers and by shared memory.
fn occupancy(function: usize, threads: c_int, dynamic: usize) -> Result<c_int, Failure> {
    let function = runtime()?.functions.get(function)?;
    if threads <= 0 || threads > 1024 {
        return Err(INVALID_VALUE);
    }
    let gpu = &function.card.gpu;
    let chip = gpu.chip(gpu.boost_mhz());
    let warps = (threads as u32).div_ceil(32);
    let by_registers = 65536 / (function.program.registers.max(16).next_multiple_of(8) * 32 * warps);
    let [major, minor] = gpu.compute_capability;
    let shared = function.program.shared_bytes as usize + dynamic + 1024;
    let by_shared = (super::device::shared_limit(major, minor) as usize + 1024) / shared;
    Ok((chip.threads / (warps * 32)).min(by_registers).min(by_shared as u32).min(32) as c_int)
}

type SharedOfBlock = Option<extern "C" fn(c_int) -> usize>;

fn best(function: usize, dynamic: usize, limit: c_int, of_block: SharedOfBlock) -> Result<(c_int, c_int), Failure> {
    let runtime = runtime()?;
    let it = runtime.functions.get(function)?;
    let most = if limit > 0 { limit.min(1024) } else { 1024 }.min(it.program.max_threads as c_int);
    let shared = |threads: c_int| of_block.map_or(dynamic, |of_block| of_block(threads));
    let mut best = (0, 32);
    let mut threads = most / 32 * 32;
    while threads > 0 {
        let resident = occupancy(function, threads, shared(threads))? * threads;
        if resident > best.0 {
            best = (resident, threads);
        }
        threads -= 32;
    }
    let multiprocessors = it.card.gpu.multiprocessors() as c_int;
    Ok((best.0 / best.1 * multiprocessors, best.1))
}

functions! {
    fn cuLaunchKernel(
        function: usize, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: usize, params: *const *const u8, extra: *const *const c_void,
    ) {
        launch(function, (&[grid_x, grid_y, grid_z], &[block_x, block_y, block_z], shared, stream), params, extra)
    }
    fn cuLaunchKernelEx(
        config: *const LaunchConfig, function: usize, params: *const *const u8, extra: *const *const c_void,
    ) {
        if config.is_null() {
            return Err(INVALID_VALUE);
        }
        let config = &*config;
        launch(function, (&config.grid, &config.block, config.shared_bytes, config.stream), params, extra)
    }
    fn cuLaunchCooperativeKernel(
        _function: usize, _grid_x: c_uint, _grid_y: c_uint, _grid_z: c_uint, _block_x: c_uint, _block_y: c_uint,
        _block_z: c_uint, _shared: c_uint, _stream: usize, _params: *const *const u8,
    ) {
        // All blocks would have to run at once.
        Err(NOT_SUPPORTED)
    }
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut c_int, function: usize, threads: c_int, dynamic: usize) {
        put(blocks, occupancy(function, threads, dynamic)?)
    }
    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut c_int, function: usize, threads: c_int, dynamic: usize, _flags: c_uint,
    ) {
        put(blocks, occupancy(function, threads, dynamic)?)
    }
    fn cuOccupancyMaxPotentialBlockSize(
        grid: *mut c_int, block: *mut c_int, function: usize, of_block: SharedOfBlock, dynamic: usize, limit: c_int,
    ) {
        let (blocks, threads) = best(function, dynamic, limit, of_block)?;
        put(grid, blocks)?;
        put(block, threads)
    }
    fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: *mut c_int, block: *mut c_int, function: usize, of_block: SharedOfBlock, dynamic: usize, limit: c_int,
        _flags: c_uint,
    ) {
        let (blocks, threads) = best(function, dynamic, limit, of_block)?;
        put(grid, blocks)?;
        put(block, threads)
    }
    fn cuOccupancyAvailableDynamicSMemPerBlock(bytes: *mut usize, function: usize, blocks: c_int, _threads: c_int) {
        let function = runtime()?.functions.get(function)?;
        let [major, minor] = function.card.gpu.compute_capability;
        let each = super::device::shared_limit(major, minor) / blocks.max(1);
        put(bytes, (each as usize).saturating_sub(function.program.shared_bytes as usize))
    }
}
