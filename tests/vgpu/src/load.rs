//! What the CUDA half does to a GPU, for the NVML half of another process: a small file that both map.
//!
//! `VGPU_STATE` names the file, which the launcher makes. It holds a record of atomic numbers for each GPU of the rig.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::rig::{Gpu, MAX_GPUS};

/// A GPU counts as busy for so long after a launch.
const AFTERGLOW_NANOSECONDS: u64 = 250_000_000;

/// Pages of each cause that a board can retire.
const MAX_RETIRED_PAGES: u64 = 64;

/// Bits of `nvmlClocksEventReasons`.
const IDLE: u64 = 0x1;
const POWER_CAP: u64 = 0x4;
/// The hardware's slowdown, for the reason of the power supply's brake.
const POWER_BRAKE: u64 = 0x8 | 0x80;
const THERMAL_SLOWDOWN: u64 = 0x20;

/// The record of one GPU. Zeros are a GPU that nobody has used.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Record {
    /// When `rise` was so, in nanoseconds since 1970; 0 if never.
    at: AtomicU64,
    /// Degrees above idle, as the bits of a double.
    rise: AtomicU64,
    /// Launches that run.
    running: AtomicU64,
    /// When the last one ended.
    ended: AtomicU64,
    /// Memory in use.
    pub used_bytes: AtomicU64,
    pub corrected: AtomicU64,
    pub uncorrected: AtomicU64,
    /// Repairs of the memory after corrected errors, and after uncorrected ones.
    pub repairs: [AtomicU64; 2],
    /// Whether it fell off the bus.
    pub lost: AtomicU64,
    /// The last XID, and how many there were.
    pub xid: AtomicU64,
    pub xids: AtomicU64,
    /// Millijoules spent since the record began.
    millijoules: AtomicU64,
    /// Packets that the PCIe link sent again.
    pub replays: AtomicU64,
    /// Errors of an NVLink, in the order of `nvlink.errors`.
    pub link_errors: [AtomicU64; 5],
}

/// What a GPU is like at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    pub busy: bool,
    pub celsius_above_idle: f64,
    pub milliwatts: f64,
    pub clock_mhz: f64,
    pub reasons: u64,
}

static RECORDS: OnceLock<Option<&'static [Record]>> = OnceLock::new();

/// The record of a GPU of the rig. Without a file it is this process's own.
pub fn record(ordinal: usize) -> &'static Record {
    static OWN: [Record; MAX_GPUS] = [const {
        Record {
            at: AtomicU64::new(0),
            rise: AtomicU64::new(0),
            running: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            used_bytes: AtomicU64::new(0),
            corrected: AtomicU64::new(0),
            uncorrected: AtomicU64::new(0),
            repairs: [const { AtomicU64::new(0) }; 2],
            lost: AtomicU64::new(0),
            xid: AtomicU64::new(0),
            xids: AtomicU64::new(0),
            millijoules: AtomicU64::new(0),
            replays: AtomicU64::new(0),
            link_errors: [const { AtomicU64::new(0) }; 5],
        }
    }; MAX_GPUS];
    let shared = RECORDS.get_or_init(map);
    &shared.unwrap_or(&OWN)[ordinal % MAX_GPUS]
}

/// Bytes of the file.
pub const FILE_BYTES: u64 = (size_of::<Record>() * MAX_GPUS) as u64;

fn map() -> Option<&'static [Record]> {
    let path = std::env::var_os("VGPU_STATE")?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    if file.metadata().ok()?.len() < FILE_BYTES {
        return None;
    }
    // SAFETY: a new mapping of a file that is long enough, never unmapped; all of it is atomic numbers, for which any bits do.
    unsafe {
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        let start = mmap(std::ptr::null_mut(), FILE_BYTES as usize, flags, MapFlags::SHARED, &file, 0).ok()?;
        Some(std::slice::from_raw_parts(start.cast(), MAX_GPUS))
    }
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |it| it.as_nanos() as u64)
}

impl Record {
    /// Whether a GPU was ever used.
    pub fn is_used(&self) -> bool {
        self.at.load(Ordering::Relaxed) != 0
    }

    /// A launch begins.
    pub fn begin(&self, gpu: &Gpu) {
        self.advance(gpu);
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// A launch ends.
    pub fn end(&self, gpu: &Gpu) {
        self.advance(gpu);
        self.ended.store(now(), Ordering::Relaxed);
        let _ = self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
    }

    /// Writes down how warm it has become.
    fn advance(&self, gpu: &Gpu) {
        let at = now();
        let conditions = self.conditions(gpu);
        let before = self.at.swap(at, Ordering::Relaxed);
        self.rise.store(conditions.celsius_above_idle.to_bits(), Ordering::Relaxed);
        let seconds = if before == 0 { 0.0 } else { at.saturating_sub(before) as f64 / 1e9 };
        self.millijoules.fetch_add((conditions.milliwatts * seconds) as u64, Ordering::Relaxed);
    }

    /// What it is like now.
    pub fn conditions(&self, gpu: &Gpu) -> Conditions {
        let at = now();
        let since = self.at.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        let busy =
            self.running.load(Ordering::Relaxed) > 0 || ended != 0 && at.saturating_sub(ended) < AFTERGLOW_NANOSECONDS;
        let idle = f64::from(gpu.power.draw_milliwatts.unwrap_or(20_000));
        let limit = gpu.power.enforced_limit_milliwatts.or(gpu.power.current_limit_milliwatts);
        let limit = f64::from(limit.or(gpu.power.default_limit_milliwatts).unwrap_or(300_000));
        let demand = gpu.cuda.demand_milliwatts.map_or(0.95 * limit, f64::from);
        let mut reasons = 0;
        let mut clock_mhz = gpu.boost_mhz();
        let mut milliwatts = demand.min(limit);
        if demand > limit {
            // Power goes with about the square of the clock here.
            clock_mhz *= (limit / demand).sqrt();
            reasons |= POWER_CAP;
        }
        if gpu.cuda.power_brake {
            clock_mhz *= 0.5;
            milliwatts *= 0.6;
            reasons |= POWER_BRAKE;
        }
        let target = if busy { gpu.cuda.rise_celsius.unwrap_or(40.0) * milliwatts / limit } else { 0.0 };
        let before = f64::from_bits(self.rise.load(Ordering::Relaxed));
        let seconds = if since == 0 { 0.0 } else { at.saturating_sub(since) as f64 / 1e9 };
        let constant = gpu.cuda.thermal_seconds.unwrap_or(10.0).max(0.01);
        let celsius_above_idle = target + (before - target) * (-seconds / constant).exp();
        let celsius = f64::from(gpu.temperature.gpu_celsius.unwrap_or(30)) + celsius_above_idle;
        let hot = gpu.temperature.slowdown_celsius.or(gpu.temperature.gpu_max_celsius).unwrap_or(90);
        if celsius >= f64::from(hot) {
            clock_mhz *= 0.6;
            milliwatts *= 0.7;
            reasons |= THERMAL_SLOWDOWN;
        }
        if !busy {
            reasons = IDLE;
            milliwatts = idle;
            clock_mhz = f64::from(gpu.clocks.sm_mhz.unwrap_or(300));
        }
        Conditions { busy, celsius_above_idle, milliwatts, clock_mhz, reasons }
    }

    /// The GPU as NVML shows it meanwhile.
    pub fn shown(&self, gpu: &Gpu) -> Gpu {
        let it = self.conditions(gpu);
        let mut gpu = gpu.clone();
        let warmer = it.celsius_above_idle.round() as u32;
        let clock = it.clock_mhz as u32;
        gpu.clocks.graphics_mhz = gpu.clocks.graphics_mhz.map(|_| clock);
        gpu.clocks.sm_mhz = gpu.clocks.sm_mhz.map(|_| clock);
        gpu.power.draw_milliwatts = gpu.power.draw_milliwatts.map(|_| it.milliwatts as u32);
        gpu.power.energy_millijoules =
            gpu.power.energy_millijoules.map(|before| before + self.millijoules.load(Ordering::Relaxed));
        gpu.temperature.gpu_celsius = gpu.temperature.gpu_celsius.map(|before| before + warmer);
        gpu.temperature.memory_celsius = gpu.temperature.memory_celsius.map(|before| before + warmer);
        gpu.temperature.margin_celsius = gpu.temperature.margin_celsius.map(|before| before - warmer as i32);
        gpu.throttle_reasons = gpu.throttle_reasons.map(|_| it.reasons);
        gpu.memory.used_mib += self.used_bytes.load(Ordering::Relaxed) >> 20;
        if it.busy {
            gpu.clocks.memory_mhz = gpu.max_clocks.memory_mhz.or(gpu.clocks.memory_mhz);
            gpu.performance_state = gpu.performance_state.map(|_| 0);
            gpu.utilization_percent = 100;
            let [generation, width] = gpu.link();
            gpu.pcie.current_generation = generation;
            gpu.pcie.current_width = width;
            gpu.fans.percent.iter_mut().for_each(|it| *it = (*it).max(60));
        }
        if let Some(ecc) = &mut gpu.ecc {
            let dram = crate::rig::Location::Dram;
            let (corrected, uncorrected) =
                (self.corrected.load(Ordering::Relaxed), self.uncorrected.load(Ordering::Relaxed));
            *ecc.volatile_corrected.entry(dram).or_default() += corrected;
            *ecc.aggregate_corrected.entry(dram).or_default() += corrected;
            *ecc.volatile_uncorrected.entry(dram).or_default() += uncorrected;
            *ecc.aggregate_uncorrected.entry(dram).or_default() += uncorrected;
        }
        gpu.pcie.replays = gpu.pcie.replays.saturating_add(self.replays.load(Ordering::Relaxed) as u32);
        if let Some(links) = &mut gpu.nvlink {
            for (count, more) in links.errors.iter_mut().zip(&self.link_errors) {
                *count += more.load(Ordering::Relaxed);
            }
        }
        let [corrected, uncorrected] = [0, 1].map(|cause| self.repairs[cause].load(Ordering::Relaxed));
        if let Some(rows) = &mut gpu.remapped_rows {
            rows.corrected = rows.corrected.saturating_add(corrected as u32);
            rows.uncorrected = rows.uncorrected.saturating_add(uncorrected as u32);
        } else if let Some(pages) = &mut gpu.retired_pages {
            pages.single_bit.extend((0..corrected.min(MAX_RETIRED_PAGES)).map(|page| 0x10000 + page));
            pages.double_bit.extend((0..uncorrected.min(MAX_RETIRED_PAGES)).map(|page| 0x20000 + page));
        }
        gpu
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::rig::Rig;

    fn card(cuda: &str) -> Gpu {
        let head = "title = \"\"\nabout = \"\"\nexpect.failure = true\n";
        let text = format!("{head}[[gpu]]\nlike = \"h100-sxm\"\ncuda = {{ {cuda} }}\n");
        Rig::parse(&text).unwrap().gpus.remove(0).gpu
    }

    #[test]
    fn load_warms_and_throttles() {
        let usual = card("boost_mhz = 1980.0");
        let record = Record::default();
        assert!(!record.is_used() && record.conditions(&usual).reasons == IDLE);
        record.begin(&usual);
        let it = record.conditions(&usual);
        assert!(it.busy && it.reasons == 0 && it.clock_mhz == 1980.0 && it.milliwatts > 600_000.0, "{it:?}");
        let hungry = card("boost_mhz = 1980.0, demand_milliwatts = 1_400_000");
        let it = record.conditions(&hungry);
        assert!(it.reasons == POWER_CAP && it.milliwatts == 700_000.0 && it.clock_mhz < 1500.0, "{it:?}");
        // Warm at once, and above the slowdown temperature.
        let hot = card("boost_mhz = 1980.0, rise_celsius = 90.0, thermal_seconds = 0.01");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let it = record.conditions(&hot);
        assert!(it.reasons == THERMAL_SLOWDOWN && it.clock_mhz < 1200.0 && it.celsius_above_idle > 80.0, "{it:?}");
        let shown = record.shown(&hot);
        assert_eq!(shown.throttle_reasons, Some(THERMAL_SLOWDOWN));
        assert!(shown.temperature.gpu_celsius.unwrap() > 110 && shown.utilization_percent == 100);
    }
}
