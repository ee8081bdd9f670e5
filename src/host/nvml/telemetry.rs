//! What NVML says of GPUs under load, ten times a second, in a child process of its own.
//!
//! ```text
//! supervisor ─ TelemetryAssignment (one JSON line) ─► yanji gpu-telemetry ─ dlopen ─► libnvidia-ml.so.1
//!            ◄─ GpuSample (JSON lines, one for each GPU and turn) ─
//! ```

#![allow(unsafe_code)]
#![allow(non_upper_case_globals, reason = "the bindings keep the names of NVIDIA's header")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::time::{Duration, Instant};

use nvml_wrapper_sys::bindings::*;
use serde::{Deserialize, Serialize};

use super::library;
use super::reader::{Get, Symbol, room, version};

const NVML: &str = "libnvidia-ml.so.1";
const MAX_ASSIGNMENT_BYTES: u64 = 1 << 16;
/// Ten samples a second.
const PERIOD: Duration = Duration::from_millis(100);
/// Calls that cost more, and change less.
const SLOW_PERIOD: Duration = Duration::from_secs(1);
const MAX_LINKS: u32 = 18;
const MAX_FANS: u32 = 8;
/// `nvmlEventTypeXidCriticalError` of nvml.h.
const XID_EVENT: u64 = 8;
/// XIDs taken in one turn.
const MAX_EVENTS: usize = 16;

/// Which GPUs to watch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryAssignment {
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// PCI addresses.
    pub gpus: Vec<String>,
}

/// One look at a GPU. What NVML did not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpuSample {
    /// PCI address, as asked for.
    pub gpu: String,
    /// Why NVML tells nothing of it.
    pub failure: Option<String>,
    /// Whether NVML said that the GPU is lost or needs a reset.
    pub lost: bool,
    /// Power drawn, milliwatts.
    pub power_milliwatts: Option<u64>,
    /// Power limit in force, milliwatts.
    pub power_limit_milliwatts: Option<u64>,
    /// Degrees Celsius.
    pub gpu_celsius: Option<u64>,
    /// Degrees Celsius.
    pub memory_celsius: Option<u64>,
    /// Temperature from which clocks are held down, degrees Celsius.
    pub slowdown_celsius: Option<u64>,
    /// Distance to it, degrees Celsius.
    pub margin_celsius: Option<i64>,
    /// SM clock, MHz.
    pub sm_mhz: Option<u64>,
    /// Memory clock, MHz.
    pub memory_mhz: Option<u64>,
    /// Fastest fan, percent.
    pub fan_percent: Option<u64>,
    /// Time with a kernel running, percent.
    pub utilisation_percent: Option<u64>,
    /// `nvmlClocksEventReason*`, bit by bit.
    pub throttle_reasons: Option<u64>,
    /// PCIe generation now.
    pub link_generation: Option<u64>,
    /// PCIe lanes now.
    pub link_width: Option<u64>,
    /// Counters that only grow, by name: `ecc.corrected`, `ecc.uncorrected`, `remap.rows`, `pcie.replays`, `nvlink.errors`.
    pub counters: BTreeMap<String, u64>,
    /// XIDs since the last look.
    pub xids: Vec<u64>,
}

/// The body of the hidden `gpu-telemetry` command. Ends when nobody listens any more, or with the supervisor.
pub fn run_telemetry() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_ASSIGNMENT_BYTES).read_line(&mut line)?;
    let assignment: TelemetryAssignment = serde_json::from_str(&line).map_err(io::Error::other)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != i32::try_from(assignment.supervisor).ok() {
        return Err(io::Error::other("the supervisor is gone"));
    }
    // A library that prints must not do so between the lines.
    let mut output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    let library = library::load(NVML).map_err(io::Error::other)?;
    // SAFETY: the signatures are those of NVIDIA's header; a library that calls itself NVML and has others can only
    // break this process.
    let lib = unsafe { NvmlLib::from_library(library) }.map_err(io::Error::other)?;
    let init = lib.nvmlInit_v2.as_ref().map_err(|_| io::Error::other("NVML has no nvmlInit_v2"))?;
    // SAFETY: takes nothing.
    let code = unsafe { init() };
    if code != nvmlReturn_enum_NVML_SUCCESS {
        return Err(io::Error::other(format!("nvmlInit_v2 gives error {code}")));
    }
    let mut watched: Vec<Watched<'_>> = assignment.gpus.iter().map(|gpu| Watched::find(&lib, gpu)).collect();
    let events = Events::new(&lib, &watched);
    let mut next = Instant::now();
    loop {
        for (handle, xid) in events.iter().flat_map(Events::take) {
            if let Some(gpu) = watched.iter_mut().find(|gpu| gpu.handle == Some(handle)) {
                gpu.xids.push(xid);
            }
        }
        for gpu in &mut watched {
            let mut line = serde_json::to_vec(&gpu.sample())?;
            line.push(b'\n');
            output.write_all(&line)?;
        }
        next += PERIOD;
        match next.checked_duration_since(Instant::now()) {
            Some(rest) => std::thread::sleep(rest),
            // Calls that take longer than a turn do not pile up.
            None => next = Instant::now(),
        }
    }
}

struct Watched<'a> {
    lib: &'a NvmlLib,
    gpu: String,
    handle: Option<nvmlDevice_t>,
    failure: Option<String>,
    slow: GpuSample,
    slow_at: Option<Instant>,
    xids: Vec<u64>,
}

/// What a call gave: its value, or `None`; an error that the GPU is gone is kept.
struct Looker<'a> {
    lib: &'a NvmlLib,
    handle: nvmlDevice_t,
    lost: bool,
}

impl Looker<'_> {
    fn check(&mut self, code: nvmlReturn_t) -> Option<()> {
        let gone = [nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST, nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED];
        self.lost |= gone.contains(&code);
        (code == nvmlReturn_enum_NVML_SUCCESS).then_some(())
    }

    fn get<T: Copy + Into<u64>>(&mut self, symbol: &Symbol<Get<T>>) -> Option<u64> {
        let get = symbol.as_ref().ok()?;
        // SAFETY: the handle is the library's own; it stores one integer.
        let (code, room) = unsafe {
            let mut room = room::<T>();
            (get(self.handle, &mut room.value), room)
        };
        self.check(code)?;
        Some(room.value.into())
    }

    fn of<A, T: Copy + Into<u64>>(
        &mut self,
        symbol: &Symbol<unsafe extern "C" fn(nvmlDevice_t, A, *mut T) -> nvmlReturn_t>,
        argument: A,
    ) -> Option<u64> {
        let get = symbol.as_ref().ok()?;
        // SAFETY: the handle is the library's own; it stores one integer.
        let (code, room) = unsafe {
            let mut room = room::<T>();
            (get(self.handle, argument, &mut room.value), room)
        };
        self.check(code)?;
        Some(room.value.into())
    }

    fn field(&mut self, id: u32) -> Option<u64> {
        let get = self.lib.nvmlDeviceGetFieldValues.as_ref().ok()?;
        // SAFETY: a plain C structure; the call fills one of them.
        let (code, room) = unsafe {
            let mut room = room::<nvmlFieldValue_t>();
            room.value.fieldId = id;
            (get(self.handle, 1, &mut room.value), room)
        };
        self.check(code)?;
        self.check(room.value.nvmlReturn)?;
        // SAFETY: every member of the union starts at the same place, and this one is an unsigned integer.
        Some(u64::from(unsafe { room.value.value.uiVal }))
    }
}

impl<'a> Watched<'a> {
    fn find(lib: &'a NvmlLib, gpu: &str) -> Self {
        let find = || {
            let name = CString::new(gpu).map_err(|error| error.to_string())?;
            let symbol = &lib.nvmlDeviceGetHandleByPciBusId_v2;
            let get = symbol.as_ref().map_err(|_| "NVML has no nvmlDeviceGetHandleByPciBusId_v2".to_owned())?;
            let mut handle = std::ptr::null_mut();
            // SAFETY: a text that ends in a NUL; it stores one pointer.
            match unsafe { get(name.as_ptr(), &mut handle) } {
                nvmlReturn_enum_NVML_SUCCESS => Ok(handle),
                code => Err(format!("NVML does not know the GPU: error {code}")),
            }
        };
        let (handle, failure) = match find() {
            Ok(handle) => (Some(handle), None),
            Err(why) => (None, Some(why)),
        };
        let slow = GpuSample::default();
        Self { lib, gpu: gpu.to_owned(), handle, failure, slow, slow_at: None, xids: Vec::new() }
    }

    fn sample(&mut self) -> GpuSample {
        let Some(handle) = self.handle else {
            return GpuSample { gpu: self.gpu.clone(), failure: self.failure.clone(), ..GpuSample::default() };
        };
        let lib = self.lib;
        let mut look = Looker { lib, handle, lost: false };
        if self.slow_at.is_none_or(|at| at.elapsed() >= SLOW_PERIOD) {
            self.slow_at = Some(Instant::now());
            self.slow = slow(&mut look);
        }
        let reasons = look.get(&lib.nvmlDeviceGetCurrentClocksEventReasons);
        let mut sample = GpuSample {
            gpu: self.gpu.clone(),
            power_milliwatts: look.get(&lib.nvmlDeviceGetPowerUsage),
            gpu_celsius: look.of(&lib.nvmlDeviceGetTemperature, 0),
            memory_celsius: look.field(field_id::NVML_FI_DEV_MEMORY_TEMP).filter(|&celsius| celsius > 0),
            sm_mhz: look.of(&lib.nvmlDeviceGetClockInfo, 1),
            memory_mhz: look.of(&lib.nvmlDeviceGetClockInfo, 2),
            throttle_reasons: reasons.or_else(|| look.get(&lib.nvmlDeviceGetCurrentClocksThrottleReasons)),
            link_generation: look.get(&lib.nvmlDeviceGetCurrPcieLinkGeneration),
            link_width: look.get(&lib.nvmlDeviceGetCurrPcieLinkWidth),
            xids: std::mem::take(&mut self.xids),
            ..self.slow.clone()
        };
        if let Ok(get) = &lib.nvmlDeviceGetUtilizationRates {
            let mut rates = nvmlUtilization_t { gpu: 0, memory: 0 };
            // SAFETY: the handle is the library's own; it stores two integers.
            let code = unsafe { get(handle, &mut rates) };
            sample.utilisation_percent = look.check(code).map(|()| rates.gpu.into());
        }
        sample.lost = look.lost;
        sample
    }
}

/// What is asked for once a second.
fn slow(look: &mut Looker<'_>) -> GpuSample {
    let lib = look.lib;
    let mut counters = BTreeMap::new();
    for (name, kind) in [("ecc.corrected", 0), ("ecc.uncorrected", 1)] {
        if let Ok(get) = &lib.nvmlDeviceGetTotalEccErrors {
            let mut count = 0;
            // SAFETY: the handle is the library's own; it stores one integer. 0: since the last reset.
            let code = unsafe { get(look.handle, kind, 0, &mut count) };
            counters.extend(look.check(code).map(|()| (name.to_owned(), count)));
        }
    }
    if let Ok(get) = &lib.nvmlDeviceGetRemappedRows {
        let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
        // SAFETY: the handle is the library's own; it stores four integers.
        let code = unsafe { get(look.handle, &mut corrected, &mut uncorrected, &mut pending, &mut failed) };
        let rows = u64::from(corrected) + u64::from(uncorrected) + u64::from(pending);
        counters.extend(look.check(code).map(|()| ("remap.rows".to_owned(), rows)));
    }
    if !counters.contains_key("remap.rows") {
        let pages = [0, 1].map(|cause| retired_pages(look, cause));
        counters.extend(pages.into_iter().sum::<Option<u64>>().map(|pages| ("remap.rows".to_owned(), pages)));
    }
    counters.extend(look.get(&lib.nvmlDeviceGetPcieReplayCounter).map(|count| ("pcie.replays".to_owned(), count)));
    let mut links = None;
    if let Ok(get) = &lib.nvmlDeviceGetNvLinkErrorCounter {
        for (link, counter) in (0..MAX_LINKS).flat_map(|link| (0..4).map(move |counter| (link, counter))) {
            let mut count = 0;
            // SAFETY: the handle is the library's own; it stores one integer.
            let code = unsafe { get(look.handle, link, counter, &mut count) };
            // One that is down does not answer, and the ones behind it do.
            if look.check(code).is_some() {
                links = Some(links.unwrap_or(0u64).saturating_add(count));
            }
        }
    }
    counters.extend(links.map(|count| ("nvlink.errors".to_owned(), count)));
    let fans = look.get(&lib.nvmlDeviceGetNumFans).unwrap_or(0).min(MAX_FANS.into()) as u32;
    let margin = lib.nvmlDeviceGetMarginTemperature.as_ref().ok().and_then(|get| {
        // SAFETY: a plain C structure, as large as its version says.
        let (code, room) = unsafe {
            let mut room = room::<nvmlMarginTemperature_t>();
            room.value.version = version::<nvmlMarginTemperature_t>(1);
            (get(look.handle, &mut room.value), room)
        };
        look.check(code)?;
        Some(i64::from(room.value.marginTemperature))
    });
    GpuSample {
        power_limit_milliwatts: look.get(&lib.nvmlDeviceGetEnforcedPowerLimit),
        // NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        slowdown_celsius: look.of(&lib.nvmlDeviceGetTemperatureThreshold, 1),
        margin_celsius: margin,
        fan_percent: (0..fans).filter_map(|fan| look.of(&lib.nvmlDeviceGetFanSpeed_v2, fan)).max(),
        counters,
        ..GpuSample::default()
    }
}

/// Pages that were retired for a cause: what chips before Ampere do instead of remapping rows.
fn retired_pages(look: &mut Looker<'_>, cause: nvmlPageRetirementCause_t) -> Option<u64> {
    let get = look.lib.nvmlDeviceGetRetiredPages.as_ref().ok()?;
    let mut count = 0;
    // SAFETY: the handle is the library's own; with a count of 0 it stores the number of pages only.
    match unsafe { get(look.handle, cause, &mut count, std::ptr::null_mut()) } {
        nvmlReturn_enum_NVML_SUCCESS | nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE => Some(count.into()),
        code => look.check(code).map(|()| 0),
    }
}

/// XIDs as the driver tells them.
struct Events<'a> {
    lib: &'a NvmlLib,
    set: nvmlEventSet_t,
}

impl<'a> Events<'a> {
    /// `None` where the driver has no events; nothing else depends on them.
    fn new(lib: &'a NvmlLib, watched: &[Watched<'_>]) -> Option<Self> {
        let create = lib.nvmlEventSetCreate.as_ref().ok()?;
        let register = lib.nvmlDeviceRegisterEvents.as_ref().ok()?;
        let mut set = std::ptr::null_mut();
        // SAFETY: it stores one pointer.
        if unsafe { create(&mut set) } != nvmlReturn_enum_NVML_SUCCESS {
            return None;
        }
        for handle in watched.iter().filter_map(|gpu| gpu.handle) {
            // SAFETY: both are the library's own.
            unsafe { register(handle, XID_EVENT, set) };
        }
        Some(Self { lib, set })
    }

    fn take(&self) -> Vec<(nvmlDevice_t, u64)> {
        let Ok(wait) = &self.lib.nvmlEventSetWait_v2 else { return Vec::new() };
        let mut taken = Vec::new();
        while taken.len() < MAX_EVENTS {
            // SAFETY: the set is the library's own; a plain C structure, which the call fills. It does not wait.
            let (code, room) = unsafe {
                let mut room = room::<nvmlEventData_t>();
                (wait(self.set, &mut room.value, 0), room)
            };
            if code != nvmlReturn_enum_NVML_SUCCESS {
                break;
            }
            if room.value.eventType == XID_EVENT {
                taken.push((room.value.device, room.value.eventData));
            }
        }
        taken
    }
}
