//! Streams and events.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{functions, put};
use crate::cuda::card::lock;
use crate::cuda::failure::{Failure, INVALID_HANDLE, NOT_READY};
use crate::cuda::runtime::{Runtime, runtime};
use crate::cuda::stream::{Event, Stream};

/// Flag of streams and events.
const NON_BLOCKING: c_uint = 1;
const DISABLE_TIMING: c_uint = 2;

fn create(stream: *mut usize, flags: c_uint) -> Result<(), Failure> {
    let runtime = runtime()?;
    let made = Stream::new(runtime.current()?, flags & NON_BLOCKING == 0);
    // SAFETY: the caller of cuStreamCreate answers for its pointer.
    unsafe { put(stream, runtime.streams.add(made)) }
}

/// A context that failed tells it with every call.
fn sound(stream: &Stream) -> Result<(), Failure> {
    match stream.card.sticky.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(Failure(error)),
    }
}

fn record(event: usize, stream: usize) -> Result<(), Failure> {
    let runtime = runtime()?;
    let event = runtime.events.get(event)?;
    event.record(runtime.stream(stream)?.as_ref());
    Ok(())
}

fn elapsed(start: usize, end: usize) -> Result<f32, Failure> {
    let runtime = runtime()?;
    runtime.current()?;
    let (start, end) = (runtime.events.get(start)?, runtime.events.get(end)?);
    for event in [&start, &end] {
        if !event.has_time {
            return Err(INVALID_HANDLE);
        }
        if !event.ticket().ok_or(INVALID_HANDLE)?.is_done() {
            return Err(NOT_READY);
        }
    }
    Ok(((end.time() - start.time()) / 1e6) as f32)
}

/// The context's error goes before an event's.
fn check(runtime: &Runtime) -> Result<(), Failure> {
    runtime.current().map(|_| ())
}

functions! {
    fn cuStreamCreate(stream: *mut usize, flags: c_uint) { create(stream, flags) }
    fn cuStreamCreateWithPriority(stream: *mut usize, flags: c_uint, _priority: c_int) { create(stream, flags) }
    fn cuStreamDestroy_v2(stream: usize) { runtime()?.streams.remove(stream).map(|_| ()) }
    fn cuStreamSynchronize(stream: usize) {
        let stream = runtime()?.stream(stream)?;
        stream.tail().wait();
        sound(&stream)
    }
    fn cuStreamQuery(stream: usize) {
        let stream = runtime()?.stream(stream)?;
        sound(&stream)?;
        if stream.tail().is_done() { Ok(()) } else { Err(NOT_READY) }
    }
    fn cuStreamWaitEvent(stream: usize, event: usize, _flags: c_uint) {
        let runtime = runtime()?;
        let event = runtime.events.get(event)?;
        let stream = runtime.stream(stream)?;
        // An event that was never recorded is no reason to wait.
        if let Some(ticket) = event.ticket() {
            let clock = event.clock();
            stream.submit(Box::new(move |time| {
                ticket.wait();
                *time = time.max(*lock(&clock));
            }));
        }
        Ok(())
    }
    fn cuStreamGetPriority(stream: usize, priority: *mut c_int) {
        runtime()?.stream(stream)?;
        put(priority, 0)
    }
    fn cuStreamGetFlags(stream: usize, flags: *mut c_uint) {
        put(flags, u32::from(!runtime()?.stream(stream)?.is_blocking))
    }
    fn cuStreamGetCtx(stream: usize, context: *mut usize) {
        let runtime = runtime()?;
        let stream = runtime.stream(stream)?;
        let index = runtime.cards.iter().position(|it| Arc::ptr_eq(it, &stream.card)).ok_or(INVALID_HANDLE)?;
        put(context, Runtime::context_handle(index))
    }
    fn cuStreamIsCapturing(stream: usize, status: *mut c_uint) {
        runtime()?.stream(stream)?;
        put(status, 0)
    }
    fn cuLaunchHostFunc(stream: usize, function: extern "C" fn(*mut c_void), data: usize) {
        let runtime = runtime()?;
        let stream = runtime.stream(stream)?;
        runtime.submit(&stream, Box::new(move |_| function(data as *mut c_void)));
        Ok(())
    }
    fn cuEventCreate(event: *mut usize, flags: c_uint) {
        let runtime = runtime()?;
        check(runtime)?;
        put(event, runtime.events.add(Event::new(flags & DISABLE_TIMING == 0)))
    }
    fn cuEventDestroy_v2(event: usize) { runtime()?.events.remove(event).map(|_| ()) }
    fn cuEventRecord(event: usize, stream: usize) { record(event, stream) }
    fn cuEventRecordWithFlags(event: usize, stream: usize, _flags: c_uint) { record(event, stream) }
    fn cuEventQuery(event: usize) {
        let runtime = runtime()?;
        check(runtime)?;
        if runtime.events.get(event)?.ticket().is_none_or(|it| it.is_done()) { Ok(()) } else { Err(NOT_READY) }
    }
    fn cuEventSynchronize(event: usize) {
        let runtime = runtime()?;
        if let Some(ticket) = runtime.events.get(event)?.ticket() {
            ticket.wait();
        }
        check(runtime)
    }
    fn cuEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) { put(milliseconds, elapsed(start, end)?) }
    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) { put(milliseconds, elapsed(start, end)?) }
}
