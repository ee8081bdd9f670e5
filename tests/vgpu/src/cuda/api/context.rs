//! Contexts. Each GPU has one, the primary; a context that is created is that one.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::Ordering;

use super::device::peers;
use super::{functions, put};
use crate::cuda::card::{Card, lock};
use crate::cuda::failure::{
    DEVICE_UNAVAILABLE, Failure, INVALID_CONTEXT, INVALID_VALUE, OUT_OF_MEMORY, PEER_ACCESS_ALREADY_ENABLED,
    PEER_ACCESS_NOT_ENABLED, PEER_ACCESS_UNSUPPORTED,
};
use crate::cuda::runtime::{Runtime, runtime};

/// What the driver holds against a context: the compute mode, or a GPU that is gone.
fn retain(device: c_int) -> Result<usize, Failure> {
    let card = runtime()?.card(device)?;
    const PROHIBITED: u32 = 2;
    const EXCLUSIVE: u32 = 3;
    let taken = card.gpu.compute_mode == EXCLUSIVE && !card.gpu.processes.is_empty();
    if card.gpu.compute_mode == PROHIBITED || taken {
        return Err(DEVICE_UNAVAILABLE);
    }
    sound(card)?;
    if card.is_full {
        return Err(OUT_OF_MEMORY);
    }
    card.users.fetch_add(1, Ordering::Relaxed);
    Ok(Runtime::context_handle(device as usize))
}

fn sound(card: &Card) -> Result<(), Failure> {
    match card.sticky.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(Failure(error)),
    }
}

/// Waits for all streams, and tells what became of their work.
pub(super) fn drain(runtime: &Runtime, card: &Card) -> Result<(), Failure> {
    for stream in runtime.streams_of(card) {
        stream.tail().wait();
    }
    sound(card)
}

fn create(context: *mut usize, device: c_int) -> Result<(), Failure> {
    let handle = retain(device)?;
    runtime()?.push_context(device as usize);
    // SAFETY: the caller of cuCtxCreate answers for its pointer.
    unsafe { put(context, handle) }
}

functions! {
    fn cuDevicePrimaryCtxRetain(context: *mut usize, device: c_int) {
        let handle = retain(device)?;
        put(context, handle)
    }
    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        let users = &runtime()?.card(device)?.users;
        users.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1)).map_err(|_| INVALID_CONTEXT)?;
        Ok(())
    }
    fn cuDevicePrimaryCtxReset_v2(device: c_int) {
        runtime()?.card(device)?;
        Ok(())
    }
    fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, _flags: c_uint) {
        runtime()?.card(device)?;
        Ok(())
    }
    fn cuDevicePrimaryCtxGetState(device: c_int, flags: *mut c_uint, active: *mut c_int) {
        let card = runtime()?.card(device)?;
        put(flags, 0)?;
        put(active, (card.users.load(Ordering::Relaxed) > 0).into())
    }
    fn cuCtxCreate_v2(context: *mut usize, _flags: c_uint, device: c_int) { create(context, device) }
    fn cuCtxCreate_v4(context: *mut usize, _params: *const c_void, _flags: c_uint, device: c_int) {
        create(context, device)
    }
    fn cuCtxDestroy_v2(context: usize) {
        let runtime = runtime()?;
        let index = runtime.context_of(context)?;
        if runtime.context() == Some(index) {
            runtime.pop_context();
        }
        Ok(())
    }
    fn cuCtxSetCurrent(context: usize) {
        let runtime = runtime()?;
        let index = if context == 0 { None } else { Some(runtime.context_of(context)?) };
        runtime.set_context(index);
        Ok(())
    }
    fn cuCtxGetCurrent(context: *mut usize) {
        put(context, runtime()?.context().map_or(0, Runtime::context_handle))
    }
    fn cuCtxPushCurrent_v2(context: usize) {
        let runtime = runtime()?;
        runtime.push_context(runtime.context_of(context)?);
        Ok(())
    }
    fn cuCtxPopCurrent_v2(context: *mut usize) {
        let popped = runtime()?.pop_context().map_or(0, Runtime::context_handle);
        if context.is_null() { Ok(()) } else { put(context, popped) }
    }
    fn cuCtxGetDevice(device: *mut c_int) {
        put(device, runtime()?.context().ok_or(INVALID_CONTEXT)? as c_int)
    }
    fn cuCtxSynchronize() {
        let runtime = runtime()?;
        drain(runtime, runtime.current()?)
    }
    fn cuCtxGetApiVersion(_context: usize, version: *mut c_uint) { put(version, 3020) }
    fn cuCtxSetFlags(_flags: c_uint) { runtime()?.current().map(|_| ()) }
    fn cuCtxGetFlags(flags: *mut c_uint) {
        runtime()?.current()?;
        put(flags, 0)
    }
    fn cuCtxGetLimit(value: *mut usize, limit: c_uint) {
        runtime()?.current()?;
        put(value, if limit == 0 { 1024 } else { 8 << 20 })
    }
    fn cuCtxSetLimit(_limit: c_uint, _value: usize) { runtime()?.current().map(|_| ()) }
    fn cuCtxGetCacheConfig(config: *mut c_uint) {
        runtime()?.current()?;
        put(config, 0)
    }
    fn cuCtxSetCacheConfig(_config: c_uint) { runtime()?.current().map(|_| ()) }
    fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) {
        runtime()?.current()?;
        if !least.is_null() {
            put(least, 0)?;
        }
        if greatest.is_null() { Ok(()) } else { put(greatest, -5) }
    }
    fn cuCtxEnablePeerAccess(context: usize, flags: c_uint) {
        let runtime = runtime()?;
        let card = runtime.current()?;
        let peer = &runtime.cards[runtime.context_of(context)?];
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        if !peers(card, peer) {
            return Err(PEER_ACCESS_UNSUPPORTED);
        }
        if lock(&card.peers).insert(peer.ordinal) { Ok(()) } else { Err(PEER_ACCESS_ALREADY_ENABLED) }
    }
    fn cuCtxDisablePeerAccess(context: usize) {
        let runtime = runtime()?;
        let card = runtime.current()?;
        let peer = &runtime.cards[runtime.context_of(context)?];
        if lock(&card.peers).remove(&peer.ordinal) { Ok(()) } else { Err(PEER_ACCESS_NOT_ENABLED) }
    }
}
