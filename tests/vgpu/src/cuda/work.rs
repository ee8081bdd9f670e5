//! What streams do: launches, copies, fills, and how long they take.
//!
//! The time model is crude and documented in README.md: a kernel takes as long as the slower of its memory traffic and of
//! its busiest multiprocessor, a copy as long as its bytes on the link.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::card::{Card, lock};
use super::exec::program::Program;
use super::exec::{self, Launch, Outcome, Range, Stop, Trap, View};
use super::failure::{ILLEGAL_ADDRESS, LAUNCH_FAILED, LAUNCH_TIMEOUT, MISALIGNED_ADDRESS};
use super::runtime::Runtime;
use crate::rig::CudaEffect;

/// From the launch to the first instruction, and from the last to the next one.
const LAUNCH_NANOSECONDS: f64 = 3_000.0;
/// Beginning and end of a copy.
const COPY_NANOSECONDS: f64 = 2_000.0;
/// Bytes a second of one NVLink, a direction.
const NVLINK_BYTES_A_SECOND: f64 = 25e9;

/// A launch as it was asked for.
pub struct Request {
    pub program: Arc<Program>,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared: u32,
    pub params: Vec<u8>,
}

/// Everything that a kernel on that card may touch.
fn view(runtime: &Runtime, card: &Card) -> View {
    let mut ranges = card.ranges(false);
    for &peer in lock(&card.peers).iter() {
        if let Some(peer) = runtime.cards.iter().find(|it| it.ordinal == peer) {
            ranges.extend(peer.ranges(true));
        }
    }
    ranges.extend(runtime.host_ranges().into_iter().map(|(start, end)| Range { start, end, remote: true }));
    ranges.sort_by_key(|it| it.start);
    View { ranges, faults: Arc::clone(&card.faults) }
}

/// Runs a launch to its end.
pub fn launch(runtime: &Runtime, card: &Card, request: &Request, time: &mut f64) {
    if card.sticky.load(Ordering::Relaxed) != 0 {
        return;
    }
    let number = card.launches.fetch_add(1, Ordering::Relaxed);
    let record = card.record();
    record.begin(&card.gpu);
    for effect in card.effects_of(number, &request.program.name) {
        match effect {
            CudaEffect::EccErrors { corrected, uncorrected } => {
                record.corrected.fetch_add(*corrected, Ordering::Relaxed);
                record.uncorrected.fetch_add(*uncorrected, Ordering::Relaxed);
            }
            CudaEffect::MemoryRepairs { corrected, uncorrected } => {
                record.repairs[0].fetch_add(*corrected, Ordering::Relaxed);
                record.repairs[1].fetch_add(*uncorrected, Ordering::Relaxed);
            }
            CudaEffect::PcieReplays { count } => {
                record.replays.fetch_add(*count, Ordering::Relaxed);
            }
            CudaEffect::NvlinkErrors { counts } => {
                for (sum, count) in record.link_errors.iter().zip(counts) {
                    sum.fetch_add(*count, Ordering::Relaxed);
                }
            }
            CudaEffect::Hang => hang(),
            CudaEffect::Slow { milliseconds } => std::thread::sleep(Duration::from_millis(*milliseconds)),
            CudaEffect::Lost => {
                record.xid.store(79, Ordering::Relaxed);
                record.xids.fetch_add(1, Ordering::Relaxed);
                record.lost.store(1, Ordering::Relaxed);
                card.sticky.store(LAUNCH_FAILED.0, Ordering::Relaxed);
            }
            CudaEffect::Xid { xid, error } => {
                record.xid.store((*xid).into(), Ordering::Relaxed);
                record.xids.fetch_add(1, Ordering::Relaxed);
                card.sticky.store(*error, Ordering::Relaxed);
            }
            _ => {}
        }
    }
    if card.sticky.load(Ordering::Relaxed) != 0 {
        record.end(&card.gpu);
        return;
    }
    let clock_mhz = record.conditions(&card.gpu).clock_mhz;
    let mut chip = card.gpu.chip(clock_mhz);
    // Caches are to the memory what they are on the card.
    chip.l1_bytes /= card.scale;
    chip.l2_bytes /= card.scale;
    let start = time.max(lock(&card.timeline).compute);
    let view = view(runtime, card);
    let timer = card.timer();
    write_down(card, request, timer);
    let launch = Launch {
        program: &request.program,
        grid: request.grid,
        block: request.block,
        params: &request.params,
        dynamic_shared: request.dynamic_shared,
        view: &view,
        chip: &chip,
        start_nanoseconds: timer,
        id: exec::next_id(),
        bad_multiprocessor: card.bad_multiprocessor(number, &request.program.name),
        caches: &card.caches,
        stop: &card.stop,
    };
    match exec::run(&launch) {
        Ok(outcome) => {
            let duration = duration(card, &outcome, clock_mhz);
            *time = start + duration;
            card.timer.fetch_max(timer + duration as u64, Ordering::Relaxed);
            let mut timeline = lock(&card.timeline);
            timeline.compute = timeline.compute.max(*time);
        }
        Err(stop) => fail(card, &stop),
    }
    record.end(&card.gpu);
}

/// What never ends.
fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Adds a line to the file that `VGPU_LAUNCHES` names: the GPU, its `%globaltimer`, the kernel, and the parameters in
/// hexadecimal as they lie in memory.
fn write_down(card: &Card, request: &Request, timer: u64) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || File::options().append(true).create(true).open(std::env::var_os("VGPU_LAUNCHES")?).ok();
    let Some(mut file) = FILE.get_or_init(open).as_ref() else { return };
    let params: String = request.params.iter().map(|byte| format!("{byte:02x}")).collect();
    // One call each: several processes write.
    let _ = file.write_all(format!("{} {timer} {} {params}\n", card.ordinal, request.program.name).as_bytes());
}

fn fail(card: &Card, stop: &Stop) {
    let error = match stop.trap {
        Trap::IllegalAddress => ILLEGAL_ADDRESS,
        Trap::Misaligned => MISALIGNED_ADDRESS,
        Trap::Trapped => LAUNCH_FAILED,
        Trap::Deadlock | Trap::Stopped => LAUNCH_TIMEOUT,
    };
    eprintln!("vgpu: GPU {}: {}", card.ordinal, stop.what);
    card.sticky.store(error.0, Ordering::Relaxed);
}

fn duration(card: &Card, outcome: &Outcome, clock_mhz: f64) -> f64 {
    let busiest = outcome.cycles.iter().copied().fold(0.0, f64::max);
    let computing = busiest * 1e3 / clock_mhz;
    let bytes = outcome.device_bytes as f64 + outcome.slow_bytes;
    let device = bytes * card.scale as f64 * 1e9 / card.gpu.bandwidth_bytes_a_second();
    let host = outcome.host_bytes as f64 * 1e9 / card.gpu.link_bytes_a_second();
    LAUNCH_NANOSECONDS + computing.max(device).max(host)
}

/// Where bytes are.
enum Place<'a> {
    Host,
    Card(&'a Card),
}

fn place(runtime: &Runtime, address: u64) -> Place<'_> {
    runtime.cards.iter().find(|it| it.owns(address)).map_or(Place::Host, |it| Place::Card(it))
}

/// Copies, in the simulated time of the link that is used. Addresses were checked when the copy was asked for.
///
/// # Safety
///
/// Both lead to as many bytes.
pub unsafe fn copy(runtime: &Runtime, card: &Card, to: u64, from: u64, bytes: u64, time: &mut f64) {
    if card.sticky.load(Ordering::Relaxed) != 0 {
        return;
    }
    let (target, source) = (place(runtime, to), place(runtime, from));
    // SAFETY: the caller's.
    unsafe {
        if let Place::Card(source) = &source {
            source.faults.settle(from, bytes);
        }
        std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize);
        if let (Place::Card(target), Place::Card(source)) = (&target, &source)
            && target.ordinal != source.ordinal
        {
            // Peer copies count from the first launch on, of which there may be none.
            for effect in source.effects_of(u64::MAX, "") {
                match effect {
                    CudaEffect::WrongPeerCopies { byte } if *byte < bytes => *((to + byte) as *mut u8) ^= 4,
                    CudaEffect::HangingPeerCopies => hang(),
                    _ => {}
                }
            }
        }
    }
    let slowed = |card: &Card, address: u64| match card.faults.slow {
        Some((start, end, factor)) => {
            let inside = end.min(address + bytes).saturating_sub(start.max(address));
            bytes as f64 + inside as f64 * (factor - 1.0)
        }
        None => bytes as f64,
    };
    let mut timeline = lock(&card.timeline);
    let (rate, amount, engine) = match (&target, &source) {
        (Place::Host, Place::Host) => (20e9, bytes as f64, &mut timeline.from_device),
        (Place::Card(it), Place::Host) => (it.gpu.link_bytes_a_second(), bytes as f64, &mut timeline.to_device),
        (Place::Host, Place::Card(it)) => (it.gpu.link_bytes_a_second(), bytes as f64, &mut timeline.from_device),
        (Place::Card(a), Place::Card(b)) if a.ordinal == b.ordinal => {
            let amount = (slowed(a, to) + slowed(a, from)) * a.scale as f64;
            (a.gpu.bandwidth_bytes_a_second(), amount, &mut timeline.compute)
        }
        (Place::Card(a), Place::Card(b)) => {
            let links = |card: &Card| card.gpu.nvlink.as_ref().map_or(0, |it| it.links - it.inactive.len() as u32);
            let fabric = f64::from(links(a).min(links(b))) * NVLINK_BYTES_A_SECOND * 0.85;
            let slower = a.gpu.link_bytes_a_second().min(b.gpu.link_bytes_a_second());
            let rate = if fabric > 0.0 { fabric } else { slower };
            (rate, bytes as f64 * card.scale as f64, &mut timeline.to_device)
        }
    };
    let start = time.max(*engine);
    *time = start + COPY_NANOSECONDS + amount * 1e9 / rate;
    *engine = *time;
}

/// Fills memory with a number of that many bytes.
///
/// # Safety
///
/// There are `count` of them.
pub unsafe fn fill(card: &Card, to: u64, value: u32, width: u32, count: u64, time: &mut f64) {
    if card.sticky.load(Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        match width {
            1 => std::slice::from_raw_parts_mut(to as *mut u8, count as usize).fill(value as u8),
            2 => std::slice::from_raw_parts_mut(to as *mut u16, count as usize).fill(value as u16),
            _ => std::slice::from_raw_parts_mut(to as *mut u32, count as usize).fill(value),
        }
    }
    let mut timeline = lock(&card.timeline);
    let start = time.max(timeline.compute);
    let bytes = (count * u64::from(width) * card.scale) as f64;
    *time = start + COPY_NANOSECONDS + bytes * 1e9 / card.gpu.bandwidth_bytes_a_second();
    timeline.compute = *time;
}
