//! Patterns over as much memory as could be had.
//!
//! Own-address is written over everything before anything is verified: a shorted address line shows only then. Every
//! pattern is read twice; the second read writes the next one in the same sweep. A thread on each CPU first touches
//! its own part, so that it lies on the CPU's node; in later passes the CPUs of a node take strips of all its parts as
//! they come, so that no core verifies only what it wrote itself, and none waits for a slower one.
#![allow(unsafe_code)]

mod buffer;
mod fault;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use buffer::Buffer;
pub use fault::{MemoryError, Persistence};
use yanji_loops::{BLOCK_BYTES, Mismatch, Pattern, Sweep, Width};

use super::worker::{Control, Counters, CpuPlace, MemoryCounters, Message, pin};

/// Blocks between two looks at the clock and the stop flag: 1 MiB.
const STRIP_BLOCKS: usize = 256;
/// Errors that a worker describes one by one; later ones are counted only.
const MAX_DETAILED_ERRORS: u64 = 64;
/// Share of the time that the first touch may take: as much has to be left for verifying, with some room.
const FILL_PERCENT: u32 = 40;

/// Maps, locks, fills and verifies until the deadline or a stop. Errors when the memory can't be mapped.
pub(super) fn run(
    bytes: u64,
    retention: Duration,
    seed: u32,
    cpus: &[CpuPlace],
    control: &Control,
) -> io::Result<Counters> {
    let buffer = Buffer::map(bytes as usize)?;
    let lock = buffer.lock();
    let burn = Burn::new(&buffer, cpus, control);
    control.send(&Message::Started {
        width: burn.width,
        mapped_bytes: Some(buffer.bytes() as u64),
        locked: Some(lock.is_ok()),
        lock_error: lock.err().map(|error| error.to_string()),
    });
    burn.run(retention, seed);
    Ok(Counters::Memory(burn.counters()))
}

/// The part of the buffer that one CPU touched first.
struct Region {
    start: *mut u8,
    /// Blocks that hold the first pattern; fixed after the first pass.
    blocks: AtomicUsize,
    node: u32,
}

// SAFETY: the first pass uses each region on one thread, and later ones each strip of it; passes do not overlap.
unsafe impl Sync for Region {}

/// Some blocks of a region.
struct Strip {
    start: *mut u8,
    blocks: usize,
}

/// What the CPUs of a node have to verify in a pass.
#[derive(Default)]
struct Queue {
    strips: Vec<Strip>,
    next: AtomicUsize,
}

// SAFETY: as for `Region`; `next` gives each strip to one thread.
unsafe impl Sync for Queue {}

struct Burn<'a, 'c> {
    width: Width,
    cpus: &'a [CpuPlace],
    regions: Vec<Region>,
    control: &'a Control<'c>,
    tested: AtomicU64,
    written: AtomicU64,
    verified: AtomicU64,
    timed_verified: AtomicU64,
    timed_milliseconds: AtomicU64,
    passes: AtomicU64,
    errors: AtomicU64,
}

impl<'a, 'c> Burn<'a, 'c> {
    fn new(buffer: &'a Buffer, cpus: &'a [CpuPlace], control: &'a Control<'c>) -> Self {
        let blocks = buffer.bytes() / BLOCK_BYTES;
        let bound = |index: usize| blocks * index / cpus.len().max(1);
        let regions = cpus
            .iter()
            .enumerate()
            .map(|(index, place)| Region {
                start: buffer.start().wrapping_add(bound(index) * BLOCK_BYTES),
                blocks: AtomicUsize::new(bound(index + 1) - bound(index)),
                node: place.node,
            })
            .collect();
        Self {
            width: Width::detect(),
            cpus,
            regions,
            control,
            tested: AtomicU64::new(0),
            written: AtomicU64::new(0),
            verified: AtomicU64::new(0),
            timed_verified: AtomicU64::new(0),
            timed_milliseconds: AtomicU64::new(0),
            passes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    fn counters(&self) -> MemoryCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemoryCounters {
            tested_bytes: get(&self.tested),
            written_bytes: get(&self.written),
            verified_bytes: get(&self.verified),
            timed_verified_bytes: get(&self.timed_verified),
            timed_milliseconds: get(&self.timed_milliseconds),
            passes: get(&self.passes),
            errors: get(&self.errors),
        }
    }

    fn run(&self, retention: Duration, seed: u32) {
        let mut current = Pattern::OwnAddress { invert: false };
        let start = Instant::now();
        self.pass(Sweep { old: None, new: Some(current), downwards: false });
        // The first touch is slower than any later pass.
        let mut longest = start.elapsed();
        for cycle in 0u32.. {
            for step in steps(seed.wrapping_add(cycle)) {
                // Two reads: a cell that flips when it is read, and still gives the right value then, shows at the second
                // one only (a deceptive read destructive fault).
                let enough = self.control.remaining() >= longest * 5 / 2;
                self.pass(Sweep { old: Some(current), new: None, downwards: !step.downwards });
                if !enough || self.control.remaining() < longest * 5 / 2 {
                    return;
                }
                let start = Instant::now();
                let sweep = Sweep { old: Some(current), new: Some(step.pattern), downwards: step.downwards };
                self.pass(sweep);
                longest = start.elapsed();
                current = step.pattern;
                if step.hold && self.control.remaining() > retention + longest * 3 / 2 {
                    self.hold(retention);
                }
            }
        }
    }

    /// Leaves memory alone for a while: a cell that leaks shows when it is read again.
    fn hold(&self, retention: Duration) {
        let end = Instant::now() + retention;
        while !self.control.over() && Instant::now() < end {
            self.control.progress(Counters::Memory(self.counters()), "retention", None);
            thread::sleep(Duration::from_millis(250).min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// One pass over all regions, each on one CPU, with signs of life meanwhile.
    fn pass(&self, sweep: Sweep) {
        let number = self.passes.load(Ordering::Relaxed);
        let stage = match (sweep.old, sweep.new) {
            (None, _) => "first write",
            (Some(_), None) => "verify",
            (Some(_), Some(_)) => "verify and write",
        };
        let start = Instant::now();
        let before = self.verified.load(Ordering::Relaxed);
        let working = AtomicUsize::new(self.cpus.len());
        let queues = self.queues(sweep);
        thread::scope(|scope| {
            for (place, region) in self.cpus.iter().zip(&self.regions) {
                let (working, queues) = (&working, &queues);
                scope.spawn(move || {
                    // A CPU that has gone offline leaves its thread to the scheduler.
                    let _ = pin(place.cpu);
                    match queues.get(&place.node) {
                        Some(queue) if sweep.old.is_some() => self.verify(sweep, queue, place, number),
                        _ => self.fill(sweep, region),
                    }
                    working.fetch_sub(1, Ordering::Release);
                });
            }
            let mut last = Instant::now();
            while working.load(Ordering::Acquire) > 0 {
                thread::sleep(Duration::from_millis(2));
                if last.elapsed() >= Duration::from_millis(250) {
                    last = Instant::now();
                    self.control.progress(Counters::Memory(self.counters()), stage, None);
                }
            }
        });
        if sweep.old.is_some() {
            let verified = self.verified.load(Ordering::Relaxed) - before;
            self.timed_verified.fetch_add(verified, Ordering::Relaxed);
            self.timed_milliseconds.fetch_add(start.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
        self.passes.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything that the CPUs of each node verify in a pass, strip by strip.
    fn queues(&self, sweep: Sweep) -> BTreeMap<u32, Queue> {
        let mut queues = BTreeMap::<u32, Queue>::new();
        for region in &self.regions {
            let queue = queues.entry(region.node).or_default();
            let blocks = region.blocks.load(Ordering::Relaxed);
            for first in (0..blocks).step_by(STRIP_BLOCKS) {
                let start = region.start.wrapping_add(first * BLOCK_BYTES);
                queue.strips.push(Strip { start, blocks: STRIP_BLOCKS.min(blocks - first) });
            }
        }
        if sweep.downwards {
            queues.values_mut().for_each(|queue| queue.strips.reverse());
        }
        queues
    }

    /// Touches a region for the first time, until it is full or the share of the time for that is used.
    fn fill(&self, sweep: Sweep, region: &Region) {
        let blocks = region.blocks.load(Ordering::Relaxed);
        let end = self.control.fraction(FILL_PERCENT);
        for first in (0..blocks).step_by(STRIP_BLOCKS) {
            if self.control.over() || first > 0 && Instant::now() >= end {
                region.blocks.store(first, Ordering::Relaxed);
                return;
            }
            let count = STRIP_BLOCKS.min(blocks - first);
            let start = region.start.wrapping_add(first * BLOCK_BYTES);
            // SAFETY: the strip lies inside of the region, which this thread alone fills; regions are multiples of a
            // block in an aligned buffer; the width was detected.
            unsafe { sweep.run(self.width, start, count, &mut |_| {}) };
            self.written.fetch_add((count * BLOCK_BYTES) as u64, Ordering::Relaxed);
        }
    }

    /// Takes strip after strip of the node's, so that no CPU waits for a slower one.
    fn verify(&self, sweep: Sweep, queue: &Queue, place: &CpuPlace, pass: u64) {
        while !self.control.over() {
            let Some(strip) = queue.strips.get(queue.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let mut report = |mismatch: Mismatch| {
                if let Some(old) = sweep.old {
                    self.report(mismatch, old, pass, place);
                }
            };
            // SAFETY: every strip is taken by one thread only; the rest is as in `fill`.
            unsafe { sweep.run(self.width, strip.start, strip.blocks, &mut report) };
            let bytes = (strip.blocks * BLOCK_BYTES) as u64;
            if sweep.new.is_some() {
                self.written.fetch_add(bytes, Ordering::Relaxed);
            }
            self.verified.fetch_add(bytes, Ordering::Relaxed);
            if pass == 1 {
                self.tested.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    #[cold]
    fn report(&self, mismatch: Mismatch, pattern: Pattern, pass: u64, place: &CpuPlace) {
        let known = self.errors.load(Ordering::Relaxed);
        let details = MAX_DETAILED_ERRORS.saturating_sub(known) as usize;
        // SAFETY: the block lies in the region that this thread works on.
        let (count, errors) = unsafe { fault::examine(mismatch, pattern, pass, place, details) };
        self.errors.fetch_add(count, Ordering::Relaxed);
        for error in errors {
            self.control.send(&Message::MemoryError(error));
        }
    }
}

/// One pass of a cycle.
struct Step {
    pattern: Pattern,
    downwards: bool,
    /// Whether to wait before the next pass.
    hold: bool,
}

/// A cycle of passes: address inverted, random and its inverse with a hold between, moving inversions, walking ones
/// and zeros.
fn steps(key: u32) -> impl Iterator<Item = Step> {
    let step = |pattern, downwards| Step { pattern, downwards, hold: false };
    [
        step(Pattern::OwnAddress { invert: true }, true),
        Step { pattern: Pattern::Random { key, invert: false }, downwards: false, hold: true },
        step(Pattern::Random { key, invert: true }, true),
    ]
    .into_iter()
    .chain(
        [0x00, 0xff, 0x55, 0xaa, 0x33, 0xcc]
            .into_iter()
            .enumerate()
            .map(move |(index, byte)| step(Pattern::Constant { byte }, index % 2 == 1)),
    )
    .chain(
        (0..64)
            .flat_map(move |bit| [false, true].map(|invert| step(Pattern::WalkingBit { step: bit, invert }, invert))),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A burn over 64 blocks on CPU 0 with its output.
    fn burn(act: impl FnOnce(&Burn, &Buffer)) -> (MemoryCounters, String) {
        let (stop, mut output) = (AtomicBool::new(false), Vec::new());
        let buffer = Buffer::map(64 * BLOCK_BYTES).unwrap();
        let cpus = [CpuPlace { cpu: 0, node: 0 }];
        let counters = {
            let control = Control::new(Duration::from_secs(3600), &stop, &mut output);
            let burn = Burn::new(&buffer, &cpus, &control);
            act(&burn, &buffer);
            burn.counters()
        };
        (counters, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_bit_that_flips_between_write_and_verify_is_named() {
        let mut address = 0;
        let (counters, output) = burn(|burn, buffer| {
            let pattern = Pattern::Random { key: 1, invert: false };
            burn.pass(Sweep { old: None, new: Some(pattern), downwards: false });
            let word = buffer.start().wrapping_add(17 * BLOCK_BYTES + 808).cast::<u64>();
            address = word as usize;
            // SAFETY: inside of the buffer, which nobody else uses.
            unsafe { word.write(word.read() ^ 1 << 33) };
            burn.pass(Sweep { old: Some(pattern), new: None, downwards: true });
            burn.pass(Sweep { old: Some(pattern), new: None, downwards: true });
        });
        assert_eq!(counters.errors, 1, "mended when it was found");
        assert_eq!(counters.tested_bytes, 64 * 4096);
        assert_eq!(counters.verified_bytes, 2 * 64 * 4096);
        let error = output
            .lines()
            .find_map(|line| match serde_json::from_str(line) {
                Ok(Message::MemoryError(error)) => Some(error),
                _ => None,
            })
            .expect("an error is told");
        assert_eq!(error.virtual_address, format!("{address:#018x}"));
        assert_eq!(error.xor, format!("{:#018x}", 1u64 << 33));
        assert_eq!((error.pass, error.cpu), (1, 0));
        assert_eq!(error.pattern, Pattern::Random { key: 1, invert: false });
        assert_eq!(error.persistence, Persistence::Soft);
    }

    #[test]
    fn a_flood_of_errors_is_counted_and_not_told_one_by_one() {
        let (counters, output) = burn(|burn, buffer| {
            let pattern = Pattern::Constant { byte: 0 };
            burn.pass(Sweep { old: None, new: Some(pattern), downwards: false });
            // SAFETY: the whole buffer, which nobody else uses.
            unsafe { buffer.start().write_bytes(0x80, buffer.bytes()) };
            burn.pass(Sweep { old: Some(pattern), new: None, downwards: false });
        });
        assert_eq!(counters.errors, 64 * 4096 / 8);
        let told = output.lines().filter(|line| line.contains("memory-error")).count() as u64;
        assert_eq!(told, MAX_DETAILED_ERRORS);
    }
}
