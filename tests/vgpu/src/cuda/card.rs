//! A GPU as CUDA has it: memory, timeline, faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::exec::{Caches, MemoryFaults, Range};
use super::failure::{Failure, OUT_OF_MEMORY};
use crate::load::{Record, now, record};
use crate::rig::{CudaEffect, CudaFault, Gpu, Rig};

const MIB: u64 = 1 << 20;
/// Allocations begin at multiples of that.
const GRANULARITY: u64 = 512;
/// Memory has whole ones of these.
const PAGE: u64 = 64 << 10;
/// The timer of each GPU is so much ahead of the one before; the first one's of the host's clock.
pub const TIMER_SKEW_NANOSECONDS: u64 = 1_234_567_891;

/// A GPU.
pub struct Card {
    /// Position in the rig.
    pub ordinal: usize,
    pub gpu: Gpu,
    /// Bytes of the GPU's memory that each byte here stands for. All sizes and addresses here are in bytes of this kind.
    pub scale: u64,
    /// Memory that CUDA tells.
    pub total: u64,
    /// The first address of the memory. The first allocation begins here.
    pub base: u64,
    /// Memory that is not to be had: the context's own, and what other programs hold.
    pub kept: u64,
    allocations: Mutex<BTreeMap<u64, u64>>,
    /// Allocations so far: of the card's memory, of the host's, and modules.
    asked: [AtomicU64; 3],
    pub faults: Arc<MemoryFaults>,
    effects: Vec<CudaFault>,
    pub launches: AtomicU64,
    /// Where `%globaltimer` stood when the last launch ended, in nanoseconds since 1970.
    pub timer: AtomicU64,
    /// The error that every call gives from now on, or 0.
    pub sticky: AtomicU32,
    pub timeline: Mutex<Timeline>,
    pub caches: Mutex<Caches>,
    pub bad_instructions: AtomicU64,
    /// GPUs whose memory its kernels may touch.
    pub peers: Mutex<BTreeSet<usize>>,
    pub stop: AtomicBool,
    /// Users of the primary context.
    pub users: AtomicU32,
    /// A partition of it is all that CUDA shows.
    pub is_partition: bool,
    /// Other programs left too little memory for a context.
    pub is_full: bool,
}

/// Simulated time at which each engine is free, in nanoseconds.
#[derive(Debug, Default)]
pub struct Timeline {
    pub compute: f64,
    pub to_device: f64,
    pub from_device: f64,
}

impl Card {
    /// The GPU at that place of the rig.
    pub fn new(rig: &Rig, ordinal: usize, gpu: &Gpu, scale: u64) -> Result<Self, Failure> {
        let is_partition = gpu.mig.as_ref().is_some_and(|it| it.enabled);
        let pages = |mib: u64| (mib * MIB / scale / PAGE).max(1) * PAGE;
        let total = pages(if is_partition { gpu.cuda_mib() / 8 } else { gpu.cuda_mib() }.max(1));
        let real = gpu.cuda.real_mib.map_or(total, pages).min(total);
        let effects: Vec<CudaFault> = rig
            .cuda_faults
            .iter()
            .filter(|it| it.gpu.is_none_or(|gpu| gpu == ordinal) && it.is_here())
            .cloned()
            .collect();
        let base = reserve(total, real)?;
        let others: u64 = gpu.processes.iter().map(|it| it.used_mib * MIB / scale).sum::<u64>().min(total);
        // A context takes its share: some hundred MiB of a real card.
        let own = (total / 64).min(400 * MIB / scale) / GRANULARITY * GRANULARITY;
        Ok(Self {
            ordinal,
            gpu: gpu.clone(),
            scale,
            total,
            base,
            kept: (own + others).min(total),
            allocations: Mutex::default(),
            asked: Default::default(),
            faults: Arc::new(memory_faults(&effects, base, scale)),
            effects,
            launches: AtomicU64::new(0),
            timer: AtomicU64::new(0),
            sticky: AtomicU32::new(0),
            timeline: Mutex::default(),
            caches: Mutex::default(),
            bad_instructions: AtomicU64::new(0),
            peers: Mutex::default(),
            stop: AtomicBool::new(false),
            users: AtomicU32::new(0),
            is_partition,
            is_full: own + others > total,
        })
    }

    /// What NVML shares with it.
    pub fn record(&self) -> &'static Record {
        record(self.ordinal)
    }

    /// `%globaltimer` as a launch begins that cannot begin before the last one has ended: it goes on while nothing runs,
    /// and the timers of two GPUs do not tell the same time.
    pub fn timer(&self) -> u64 {
        let skewed = now() + (self.ordinal as u64 + 1) * TIMER_SKEW_NANOSECONDS;
        skewed.max(self.timer.load(Ordering::Relaxed))
    }

    /// Whether the host has memory for one more page-locked allocation of this GPU's context.
    pub fn may_lock_pages(&self) -> Result<(), Failure> {
        let number = self.asked[1].fetch_add(1, Ordering::Relaxed) + 1;
        let refused =
            |it: &CudaFault| matches!(it.effect, CudaEffect::OutOfHostMemory { allocation } if number >= allocation);
        if self.effects.iter().any(refused) { Err(OUT_OF_MEMORY) } else { Ok(()) }
    }

    /// Whether there is memory for one more module.
    pub fn may_load(&self) -> Result<(), Failure> {
        let number = self.asked[2].fetch_add(1, Ordering::Relaxed) + 1;
        let refused =
            |it: &CudaFault| matches!(it.effect, CudaEffect::OutOfModuleMemory { allocation } if number >= allocation);
        if self.effects.iter().any(refused) { Err(OUT_OF_MEMORY) } else { Ok(()) }
    }

    /// Takes memory for a program.
    pub fn allocate(&self, bytes: u64) -> Result<u64, Failure> {
        let number = self.asked[0].fetch_add(1, Ordering::Relaxed) + 1;
        let refused =
            |it: &CudaFault| matches!(it.effect, CudaEffect::OutOfMemory { allocation } if number >= allocation);
        let too_large = |it: &CudaFault| match it.effect {
            CudaEffect::FragmentedMemory { largest_mib } => bytes > largest_mib * MIB / self.scale,
            _ => false,
        };
        if self.effects.iter().any(|it| refused(it) || too_large(it)) {
            return Err(OUT_OF_MEMORY);
        }
        self.take(bytes)
    }

    /// Takes memory, whatever the rig says of allocations.
    pub fn take(&self, bytes: u64) -> Result<u64, Failure> {
        let size = bytes.max(1).checked_next_multiple_of(GRANULARITY).ok_or(OUT_OF_MEMORY)?;
        let mut allocations = lock(&self.allocations);
        let end = self.base + self.total - self.kept;
        let mut at = self.base;
        for (&start, &length) in allocations.iter() {
            if start - at >= size {
                break;
            }
            at = start + length;
        }
        if end.saturating_sub(at) < size {
            return Err(OUT_OF_MEMORY);
        }
        allocations.insert(at, size);
        self.record().used_bytes.fetch_add(size * self.scale, Ordering::Relaxed);
        Ok(at)
    }

    /// Gives memory back. False if it was none.
    pub fn free(&self, address: u64) -> bool {
        let freed = lock(&self.allocations).remove(&address);
        if let Some(size) = freed {
            let used = &self.record().used_bytes;
            let _ = used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| Some(it.saturating_sub(size * self.scale)));
        }
        freed.is_some()
    }

    /// Start and size of the allocation that an address is in.
    pub fn allocation(&self, address: u64) -> Option<(u64, u64)> {
        let allocations = lock(&self.allocations);
        let (&start, &size) = allocations.range(..=address).next_back()?;
        (address < start + size).then_some((start, size))
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        let used: u64 = lock(&self.allocations).values().sum();
        self.total - self.kept - used
    }

    /// Whether the addresses are in one allocation.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        self.allocation(address).is_some_and(|(start, size)| address + bytes <= start + size)
    }

    /// Whether an address is in its memory at all.
    pub fn owns(&self, address: u64) -> bool {
        address.wrapping_sub(self.base) < self.total
    }

    /// All allocations.
    pub fn ranges(&self, remote: bool) -> Vec<Range> {
        lock(&self.allocations).iter().map(|(&start, &size)| Range { start, end: start + size, remote }).collect()
    }

    /// What is wrong with the launch of that number, counted from 0, of that kernel; `""` for what is no launch.
    pub fn effects_of(&self, launch: u64, kernel: &str) -> impl Iterator<Item = &CudaEffect> {
        let concerns =
            move |it: &&CudaFault| launch >= it.after_launches && it.kernel.as_ref().is_none_or(|it| it == kernel);
        self.effects.iter().filter(concerns).map(|it| &it.effect)
    }

    /// The multiprocessor that computes a kernel wrongly, `None` for all of them, and how often.
    pub fn bad_multiprocessor(&self, launch: u64, kernel: &str) -> Option<(Option<u32>, u64, &AtomicU64)> {
        self.effects_of(launch, kernel).find_map(|it| match it {
            CudaEffect::BadMultiprocessor { multiprocessor, one_in } => {
                Some((Some(*multiprocessor), *one_in, &self.bad_instructions))
            }
            CudaEffect::WrongKernel => Some((None, 1, &self.bad_instructions)),
            _ => None,
        })
    }
}

fn memory_faults(effects: &[CudaFault], base: u64, scale: u64) -> MemoryFaults {
    let mut faults = MemoryFaults::default();
    for fault in effects {
        match fault.effect {
            CudaEffect::StuckBit { address, bit, value } => faults.stuck.push((base + address / scale, bit, value)),
            CudaEffect::FlippingBit { address, bit, one_in } => {
                faults.flips.push((base + address / scale, bit, one_in, AtomicU64::new(0)));
            }
            CudaEffect::WrongLoads { one_in } => faults.rate = Some((one_in, AtomicU64::new(0))),
            CudaEffect::SlowRegion { from, to, factor } => {
                faults.slow = Some((base + from / scale, base + to / scale, factor))
            }
            _ => {}
        }
    }
    faults
}

/// Address space for the memory that is told, over the memory that there is, again and again. Pages that nobody touches
/// cost nothing.
fn reserve(total: u64, real: u64) -> Result<u64, Failure> {
    let map = || -> rustix::io::Result<u64> {
        let file = memfd_create(c"vgpu", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, real)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new mappings, and then mappings in the place of the first, which nobody else knows yet.
        unsafe {
            let spare = 2 * MIB;
            let start = mmap_anonymous(
                std::ptr::null_mut(),
                (total + spare) as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?;
            let first = (start as u64).next_multiple_of(spare);
            let mut at = 0;
            while at < total {
                let part = real.min(total - at);
                let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::NORESERVE;
                if let Err(error) = mmap((first + at) as *mut _, part as usize, access, flags, &file, 0) {
                    let _ = munmap(start, (total + spare) as usize);
                    return Err(error);
                }
                at += part;
            }
            Ok(first)
        }
    };
    map().map_err(|error| {
        eprintln!("vgpu: no address space for {total} bytes: {error}");
        OUT_OF_MEMORY
    })
}

/// Takes a lock; what a panic left behind is as good as anything.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
