//! Copies and fills.

use std::ffi::{c_uchar, c_uint, c_ushort, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::functions;
use crate::cuda::failure::{Failure, INVALID_VALUE, PEER_ACCESS_UNSUPPORTED};
use crate::cuda::runtime::{Runtime, runtime};
use crate::cuda::stream::{Stream, Ticket};
use crate::cuda::work;

/// An address that has to be a GPU's, or page-locked memory of the host.
fn on_device(runtime: &Runtime, address: u64, bytes: u64) -> Result<(), Failure> {
    let known = match runtime.owner(address) {
        Some(card) => card.holds(address, bytes),
        None => runtime.host(address).is_some_and(|(_, it)| address + bytes <= it.end),
    };
    if known || bytes == 0 { Ok(()) } else { Err(INVALID_VALUE) }
}

fn submit(runtime: &'static Runtime, stream: &Arc<Stream>, to: u64, from: u64, bytes: u64) -> Ticket {
    let card = Arc::clone(&stream.card);
    // SAFETY: GPU addresses were checked, the caller answers for those of the host until the copy is done.
    runtime.submit(stream, Box::new(move |time| unsafe { work::copy(runtime, &card, to, from, bytes, time) }))
}

/// What a copy left behind.
fn finish(stream: &Stream, ticket: &Ticket) -> Result<(), Failure> {
    ticket.wait();
    match stream.card.sticky.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(Failure(error)),
    }
}

fn copy(to: u64, from: u64, bytes: usize) -> Result<(), Failure> {
    let runtime = runtime()?;
    let stream = runtime.stream(0)?;
    finish(&stream, &submit(runtime, &stream, to, from, bytes as u64))
}

/// As the driver does with memory that is not page-locked: what goes to the GPU is copied first, what comes from it is
/// waited for.
fn copy_async(to: u64, from: u64, bytes: usize, stream: usize) -> Result<(), Failure> {
    let runtime = runtime()?;
    let stream = runtime.stream(stream)?;
    let known = |address: u64| runtime.owner(address).is_some() || runtime.host(address).is_some();
    if !known(from) {
        // SAFETY: the caller answers for its memory for the duration of the call.
        let staged = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec();
        let card = Arc::clone(&stream.card);
        let job = move |time: &mut f64| {
            // SAFETY: the copy is as long, and the target was checked.
            unsafe { work::copy(runtime, &card, to, staged.as_ptr() as u64, bytes as u64, time) }
        };
        runtime.submit(&stream, Box::new(job));
        return Ok(());
    }
    let ticket = submit(runtime, &stream, to, from, bytes as u64);
    if known(to) { Ok(()) } else { finish(&stream, &ticket) }
}

fn fill(to: u64, value: u32, width: u32, count: usize, stream: Option<usize>) -> Result<(), Failure> {
    let runtime = runtime()?;
    if !to.is_multiple_of(u64::from(width)) {
        return Err(INVALID_VALUE);
    }
    on_device(runtime, to, count as u64 * u64::from(width))?;
    let waits = stream.is_none();
    let stream = runtime.stream(stream.unwrap_or(0))?;
    let card = Arc::clone(&stream.card);
    // SAFETY: checked above.
    let job = move |time: &mut f64| unsafe { work::fill(&card, to, value, width, count as u64, time) };
    let ticket = runtime.submit(&stream, Box::new(job));
    if waits { finish(&stream, &ticket) } else { Ok(()) }
}

fn peer(to: u64, to_context: usize, from: u64, from_context: usize, bytes: usize) -> Result<(), Failure> {
    let runtime = runtime()?;
    let cards = (runtime.context_of(to_context)?, runtime.context_of(from_context)?);
    if !runtime.cards[cards.0].holds(to, bytes as u64) || !runtime.cards[cards.1].holds(from, bytes as u64) {
        return Err(INVALID_VALUE);
    }
    for index in [cards.0, cards.1] {
        match runtime.cards[index].sticky.load(Ordering::Relaxed) {
            0 => {}
            _ => return Err(PEER_ACCESS_UNSUPPORTED),
        }
    }
    Ok(())
}

functions! {
    fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) {
        on_device(runtime()?, to, bytes as u64)?;
        copy(to, from as u64, bytes)
    }
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) {
        on_device(runtime()?, from, bytes as u64)?;
        copy(to as u64, from, bytes)
    }
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        on_device(runtime()?, to, bytes as u64)?;
        on_device(runtime()?, from, bytes as u64)?;
        copy(to, from, bytes)
    }
    fn cuMemcpy(to: u64, from: u64, bytes: usize) { copy(to, from, bytes) }
    fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: usize) {
        on_device(runtime()?, to, bytes as u64)?;
        copy_async(to, from as u64, bytes, stream)
    }
    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: usize) {
        on_device(runtime()?, from, bytes as u64)?;
        copy_async(to as u64, from, bytes, stream)
    }
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) {
        on_device(runtime()?, to, bytes as u64)?;
        on_device(runtime()?, from, bytes as u64)?;
        copy_async(to, from, bytes, stream)
    }
    fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: usize) { copy_async(to, from, bytes, stream) }
    fn cuMemcpyPeer(to: u64, to_context: usize, from: u64, from_context: usize, bytes: usize) {
        peer(to, to_context, from, from_context, bytes)?;
        copy(to, from, bytes)
    }
    fn cuMemcpyPeerAsync(to: u64, to_context: usize, from: u64, from_context: usize, bytes: usize, stream: usize) {
        peer(to, to_context, from, from_context, bytes)?;
        copy_async(to, from, bytes, stream)
    }
    fn cuMemsetD8_v2(to: u64, value: c_uchar, count: usize) { fill(to, value.into(), 1, count, None) }
    fn cuMemsetD16_v2(to: u64, value: c_ushort, count: usize) { fill(to, value.into(), 2, count, None) }
    fn cuMemsetD32_v2(to: u64, value: c_uint, count: usize) { fill(to, value, 4, count, None) }
    fn cuMemsetD8Async(to: u64, value: c_uchar, count: usize, stream: usize) {
        fill(to, value.into(), 1, count, Some(stream))
    }
    fn cuMemsetD16Async(to: u64, value: c_ushort, count: usize, stream: usize) {
        fill(to, value.into(), 2, count, Some(stream))
    }
    fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: usize) { fill(to, value, 4, count, Some(stream)) }
}
