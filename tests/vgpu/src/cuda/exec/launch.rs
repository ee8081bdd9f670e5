//! A launch: its blocks over the threads of this processor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;

use super::block;
use super::memory::{Caches, View};
use super::program::Program;

/// Why a launch stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// An address that is no memory.
    IllegalAddress,
    /// An address that is not a multiple of what is read there.
    Misaligned,
    /// `trap`.
    Trapped,
    /// Threads wait for threads that never come. A real GPU would wait with them.
    Deadlock,
    /// The driver wanted it.
    Stopped,
}

/// A trap and where it happened.
#[derive(Debug, Clone)]
pub struct Stop {
    pub trap: Trap,
    pub what: String,
}

/// What the time model has to know of the chip. Rates are for a multiprocessor and clock.
#[derive(Debug, Clone)]
pub struct Chip {
    pub multiprocessors: u32,
    /// Threads on a multiprocessor at once.
    pub threads: u32,
    pub clock_mhz: f64,
    /// Lanes by class: integer, single, double, half, special, memory, control, fused.
    pub lanes: [f64; 8],
    /// FP16 products with sums in single precision.
    pub tensor: f64,
    /// FP64 products in the tensor cores.
    pub tensor_double: f64,
    /// 8-bit integer products.
    pub tensor_integer: f64,
    pub l1_bytes: u64,
    pub l2_bytes: u64,
}

/// A launch.
pub struct Launch<'a> {
    pub program: &'a Program,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub params: &'a [u8],
    pub dynamic_shared: u32,
    pub view: &'a View,
    pub chip: &'a Chip,
    /// `%globaltimer` when it starts.
    pub start_nanoseconds: u64,
    /// Number of the launch.
    pub id: u32,
    /// A multiprocessor that computes wrongly, in one of so many instructions, and how many there were.
    pub bad_multiprocessor: Option<(Option<u32>, u64, &'a AtomicU64)>,
    /// Caches of the GPU, for launches of at most one warp for each multiprocessor.
    pub caches: &'a Mutex<Caches>,
    pub stop: &'a AtomicBool,
}

/// What a launch did.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Cycles that each multiprocessor was busy.
    pub cycles: Vec<f64>,
    pub device_bytes: u64,
    /// Bytes that count more, since they are in a slow region: already multiplied.
    pub slow_bytes: f64,
    /// Bytes of host memory.
    pub host_bytes: u64,
    pub instructions: u64,
    /// Instructions of the tensor cores.
    pub matrices: u64,
}

impl Launch<'_> {
    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|&it| u64::from(it)).product()
    }

    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Blocks that a multiprocessor holds at once.
    pub fn resident(&self) -> f64 {
        let each = self.blocks().div_ceil(u64::from(self.chip.multiprocessors.max(1)));
        (each as f64).min(f64::from((self.chip.threads / self.threads().max(1)).clamp(1, 32)))
    }
}

/// Runs it to its end.
pub fn run(launch: &Launch<'_>) -> Result<Outcome, Stop> {
    let blocks = launch.blocks();
    let start = block::common(launch)?;
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let work = || -> Result<Outcome, Stop> {
        let mut outcome =
            Outcome { cycles: vec![0.0; launch.chip.multiprocessors.max(1) as usize], ..Outcome::default() };
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= blocks || failed.load(Ordering::Relaxed) {
                return Ok(outcome);
            }
            if let Err(stop) = block::run(launch, &start, index, &mut outcome) {
                failed.store(true, Ordering::Relaxed);
                return Err(stop);
            }
        }
    };
    let workers =
        thread::available_parallelism().map_or(1, usize::from).min(usize::try_from(blocks).unwrap_or(usize::MAX));
    let results: Vec<Result<Outcome, Stop>> = if workers <= 1 {
        vec![work()]
    } else {
        thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let join = |handle: thread::ScopedJoinHandle<'_, _>| {
                handle
                    .join()
                    .unwrap_or_else(|_| Err(Stop { trap: Trap::Trapped, what: "the executor panicked".into() }))
            };
            handles.into_iter().map(join).collect()
        })
    };
    let mut total = Outcome { cycles: vec![0.0; launch.chip.multiprocessors.max(1) as usize], ..Outcome::default() };
    for result in results {
        let part = result?;
        total.cycles.iter_mut().zip(&part.cycles).for_each(|(sum, cycles)| *sum += cycles);
        total.device_bytes += part.device_bytes;
        total.slow_bytes += part.slow_bytes;
        total.host_bytes += part.host_bytes;
        total.instructions += part.instructions;
        total.matrices += part.matrices;
    }
    Ok(total)
}

/// Number of the launch, for `%gridid`.
pub fn next_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
