//! Memory of GPUs, and memory of the host that they can reach.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;

use super::{functions, put};
use crate::cuda::failure::{Failure, INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY};
use crate::cuda::runtime::{HostMemory, Runtime, runtime};

const PAGE: usize = 4096;

fn layout(bytes: usize) -> Result<Layout, Failure> {
    Layout::from_size_align(bytes.max(1).next_multiple_of(PAGE), PAGE).map_err(|_| OUT_OF_MEMORY)
}

fn allocate_host(to: *mut *mut u8, bytes: usize) -> Result<(), Failure> {
    let runtime = runtime()?;
    let card = runtime.current()?;
    if bytes == 0 {
        return Err(INVALID_VALUE);
    }
    card.may_lock_pages()?;
    let layout = layout(bytes)?;
    // SAFETY: the layout is not empty; the caller answers for its pointer.
    unsafe {
        let start = alloc_zeroed(layout);
        if start.is_null() {
            return Err(OUT_OF_MEMORY);
        }
        put(to, start)?;
        runtime.add_host(start as u64, HostMemory { end: start as u64 + layout.size() as u64, allocated: true });
    }
    Ok(())
}

/// Waits for whatever may still use the memory, as the driver does.
fn free(runtime: &Runtime, address: u64) -> Result<(), Failure> {
    if address == 0 {
        return Ok(());
    }
    let card = runtime.owner(address).ok_or(INVALID_VALUE)?;
    for stream in runtime.streams_of(card) {
        stream.tail().wait();
    }
    if card.free(address) { Ok(()) } else { Err(INVALID_VALUE) }
}

functions! {
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let card = runtime()?.current()?;
        put(free, card.free_bytes() as usize)?;
        put(total, card.total as usize)
    }
    fn cuMemAlloc_v2(address: *mut u64, bytes: usize) {
        let card = runtime()?.current()?;
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        put(address, card.allocate(bytes as u64)?)
    }
    fn cuMemFree_v2(address: u64) {
        let runtime = runtime()?;
        runtime.current()?;
        free(runtime, address)
    }
    fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: usize) {
        let stream = runtime()?.stream(stream)?;
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        put(address, stream.card.allocate(bytes as u64)?)
    }
    fn cuMemFreeAsync(address: u64, stream: usize) {
        let runtime = runtime()?;
        let stream = runtime.stream(stream)?;
        if address == 0 || runtime.owner(address).is_none() {
            return Err(INVALID_VALUE);
        }
        let card = Arc::clone(runtime.owner(address).ok_or(INVALID_VALUE)?);
        runtime.submit(&stream, Box::new(move |_| _ = card.free(address)));
        Ok(())
    }
    fn cuMemAllocManaged(_address: *mut u64, _bytes: usize, _flags: c_uint) { Err(NOT_SUPPORTED) }
    fn cuMemGetAddressRange_v2(base: *mut u64, bytes: *mut usize, address: u64) {
        let runtime = runtime()?;
        let (start, size) = runtime.owner(address).and_then(|it| it.allocation(address)).ok_or(INVALID_VALUE)?;
        if !base.is_null() {
            put(base, start)?;
        }
        if bytes.is_null() { Ok(()) } else { put(bytes, size as usize) }
    }
    fn cuMemAllocHost_v2(to: *mut *mut u8, bytes: usize) { allocate_host(to, bytes) }
    fn cuMemHostAlloc(to: *mut *mut u8, bytes: usize, _flags: c_uint) { allocate_host(to, bytes) }
    fn cuMemFreeHost(address: *mut u8) {
        let runtime = runtime()?;
        let memory = runtime.host(address as u64).filter(|(start, it)| *start == address as u64 && it.allocated);
        let (start, memory) = memory.ok_or(INVALID_VALUE)?;
        for stream in runtime.cards.iter().flat_map(|card| runtime.streams_of(card)) {
            stream.tail().wait();
        }
        runtime.remove_host(start);
        dealloc(address, layout((memory.end - start) as usize)?);
        Ok(())
    }
    fn cuMemHostGetDevicePointer_v2(device: *mut u64, host: *mut c_void, _flags: c_uint) {
        let runtime = runtime()?;
        runtime.current()?;
        runtime.host(host as u64).ok_or(INVALID_VALUE)?;
        put(device, host as u64)
    }
    fn cuMemHostGetFlags(flags: *mut c_uint, host: *mut c_void) {
        runtime()?.host(host as u64).ok_or(INVALID_VALUE)?;
        put(flags, 2)
    }
    fn cuMemHostRegister_v2(host: *mut c_void, bytes: usize, _flags: c_uint) {
        let runtime = runtime()?;
        runtime.current()?;
        if host.is_null() || bytes == 0 {
            return Err(INVALID_VALUE);
        }
        runtime.add_host(host as u64, HostMemory { end: host as u64 + bytes as u64, allocated: false });
        Ok(())
    }
    fn cuMemHostUnregister(host: *mut c_void) {
        let runtime = runtime()?;
        let known = runtime.host(host as u64).is_some_and(|(start, it)| start == host as u64 && !it.allocated);
        if !known {
            return Err(INVALID_VALUE);
        }
        runtime.remove_host(host as u64);
        Ok(())
    }
    fn cuPointerGetAttribute(data: *mut c_void, attribute: c_uint, address: u64) {
        let runtime = runtime()?;
        let card = runtime.cards.iter().position(|it| it.owns(address));
        if card.is_none() && runtime.host(address).is_none() {
            return Err(INVALID_VALUE);
        }
        match attribute {
            // Memory type: host or device.
            2 => put(data.cast::<c_uint>(), if card.is_some() { 2 } else { 1 }),
            3 | 4 => put(data.cast::<u64>(), address),
            9 => put(data.cast::<c_int>(), card.unwrap_or(0) as c_int),
            _ => Err(INVALID_VALUE),
        }
    }
}
