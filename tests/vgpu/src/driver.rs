//! A rig while it runs: counts the calls, changes values and fails as the rig says.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper_sys::bindings as sys;

use crate::attest::Signer;
use crate::rig::{Change, DriverFacts, Effect, Fault, Gpu, Rig, Source, VirtualGpu, When};

/// An NVML error that is not success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub sys::nvmlReturn_t);

pub const UNINITIALIZED: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
pub const INVALID_ARGUMENT: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
pub const NOT_SUPPORTED: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
pub const NOT_FOUND: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
pub const INSUFFICIENT_SIZE: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
pub const DRIVER_NOT_LOADED: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED);
pub const CORRUPTED_INFOROM: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_CORRUPTED_INFOROM);
pub const GPU_IS_LOST: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST);
pub const VERSION_MISMATCH: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
pub const UNKNOWN: Refusal = Refusal(sys::nvmlReturn_enum_NVML_ERROR_UNKNOWN);

/// The rig of this process, between `nvmlInit` and `nvmlShutdown`.
static RUNNING: RwLock<Option<(Arc<Driver>, u32)>> = RwLock::new(None);

/// A rig that runs.
pub struct Driver {
    facts: DriverFacts,
    gpus: Vec<Slot>,
    faults: Vec<Fault>,
    /// Without faults and changes there is nothing to count, and calls are as cheap as they can be.
    counts: bool,
    calls: Mutex<HashMap<(Option<usize>, &'static str), u64>>,
    started: Instant,
}

/// A GPU that NVML lists.
struct Slot {
    /// Position in the rig, which faults and changes go by.
    ordinal: usize,
    state: Mutex<State>,
    lost: AtomicBool,
}

struct State {
    now: Arc<VirtualGpu>,
    pending: Vec<Change>,
}

/// Reads the rig that `VGPU_RIG` names. Called again, it only counts.
pub fn start() -> Result<(), Refusal> {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, users)) = running.as_mut() {
        *users += 1;
        return Ok(());
    }
    let path = std::env::var_os("VGPU_RIG").map(PathBuf::from).ok_or(DRIVER_NOT_LOADED)?;
    let mut rig = Rig::load(&path).map_err(|error| {
        eprintln!("vgpu: {error:#}");
        DRIVER_NOT_LOADED
    })?;
    for (ordinal, gpu) in rig.gpus.iter_mut().enumerate() {
        let own = &mut gpu.gpu.confidential_compute;
        if own.attest {
            own.signer = path.parent().and_then(|folder| Signer::load(folder, ordinal).ok());
        }
    }
    if let Some(error) = rig.driver.init_error {
        return Err(Refusal(error));
    }
    let driver = Driver::new(rig);
    driver.enter("nvmlInit_v2", None)?;
    *running = Some((Arc::new(driver), 1));
    Ok(())
}

/// Ends it with the last user.
pub fn stop() -> Result<(), Refusal> {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    match running.as_mut() {
        None => return Err(UNINITIALIZED),
        Some((_, users)) if *users > 1 => *users -= 1,
        Some(_) => *running = None,
    }
    Ok(())
}

/// The rig that runs.
pub fn running() -> Result<Arc<Driver>, Refusal> {
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    running.as_ref().map(|(driver, _)| Arc::clone(driver)).ok_or(UNINITIALIZED)
}

impl Driver {
    fn new(rig: Rig) -> Self {
        let slots = rig.gpus.into_iter().enumerate().filter(|(_, it)| it.gpu.seen_by.contains(&Source::Nvml));
        let gpus: Vec<Slot> = slots
            .map(|(ordinal, gpu)| {
                let pending = rig.changes.iter().filter(|it| it.gpu.is_none_or(|gpu| gpu == ordinal)).cloned();
                let state = State { now: Arc::new(gpu), pending: pending.collect() };
                Slot { ordinal, state: Mutex::new(state), lost: AtomicBool::new(false) }
            })
            .collect();
        Self {
            counts: !rig.faults.is_empty() || !rig.changes.is_empty(),
            facts: rig.driver,
            gpus,
            faults: rig.faults,
            calls: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// Waits as a driver's call does: in the kernel, with the processor. Sleeping is too coarse for that.
    fn take_time(&self) {
        let end = Duration::from_micros(self.facts.call_microseconds);
        let begun = Instant::now();
        while !end.is_zero() && begun.elapsed() < end {
            std::hint::spin_loop();
        }
    }

    /// What the driver says of itself.
    pub fn facts(&self) -> &DriverFacts {
        &self.facts
    }

    /// GPUs that NVML lists.
    pub fn count(&self) -> usize {
        self.gpus.len()
    }

    /// What the CUDA half shares of a GPU.
    pub fn record(&self, index: usize) -> Option<&'static crate::load::Record> {
        Some(crate::load::record(self.gpus.get(index)?.ordinal))
    }

    /// A GPU as it is now, for another GPU's call: neither counted nor failed.
    pub fn peek(&self, index: usize) -> Option<Arc<VirtualGpu>> {
        Some(Arc::clone(&lock(&self.gpus.get(index)?.state).now))
    }

    /// A GPU as it answers a call of that function: counted, changed and failed as the rig says.
    pub fn gpu(&self, function: &'static str, index: usize) -> Result<Arc<VirtualGpu>, Refusal> {
        let slot = self.gpus.get(index).ok_or(INVALID_ARGUMENT)?;
        self.enter(function, Some(slot))?;
        let mut state = lock(&slot.state);
        if !state.pending.is_empty() {
            let (due, pending) = std::mem::take(&mut state.pending)
                .into_iter()
                .partition(|change| self.is_due(&change.when(), function, Some(slot.ordinal)));
            state.pending = pending;
            let due: Vec<Change> = due;
            for change in due {
                // The rig was checked when it was read; two changes can still contradict each other.
                let changed = state.now.changed(&change.field, &change.value).map_err(|_| UNKNOWN)?;
                state.now = Arc::new(changed);
            }
        }
        let now = Arc::clone(&state.now);
        drop(state);
        let record = crate::load::record(slot.ordinal);
        if record.lost.load(Ordering::Relaxed) != 0 {
            return Err(GPU_IS_LOST);
        }
        // What CUDA does to it in this or in another process.
        if record.is_used() {
            return Ok(Arc::new(VirtualGpu { gpu: record.shown(&now.gpu), table: toml::Table::new() }));
        }
        Ok(now)
    }

    /// A call without a GPU.
    pub fn call(&self, function: &'static str) -> Result<(), Refusal> {
        self.enter(function, None)
    }

    fn enter(&self, function: &'static str, slot: Option<&Slot>) -> Result<(), Refusal> {
        self.take_time();
        if !self.counts {
            return Ok(());
        }
        let ordinal = slot.map(|it| it.ordinal);
        *lock(&self.calls).entry((ordinal, function)).or_default() += 1;
        if slot.is_some_and(|it| it.lost.load(Ordering::Relaxed)) {
            return Err(GPU_IS_LOST);
        }
        for fault in &self.faults {
            let concerns = fault.gpu.is_none_or(|gpu| ordinal == Some(gpu))
                && fault.call.as_ref().is_none_or(|call| call == function);
            if !concerns || !self.is_due(&fault.when(), function, ordinal) {
                continue;
            }
            match fault.effect {
                Effect::Hang => loop {
                    thread::sleep(Duration::from_secs(3600));
                },
                Effect::Error(error) => return Err(Refusal(error)),
                Effect::Lost => {
                    if let Some(slot) = slot {
                        slot.lost.store(true, Ordering::Relaxed);
                        return Err(GPU_IS_LOST);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether it begins with this call, which is counted already.
    fn is_due(&self, when: &When, function: &'static str, ordinal: Option<usize>) -> bool {
        if when.after_calls.is_none() && when.after_ms.is_none() {
            return when.call.as_ref().is_none_or(|call| call == function);
        }
        let late = when.after_ms.is_some_and(|after| self.started.elapsed() >= Duration::from_millis(after));
        let many = when.after_calls.is_some_and(|after| {
            let calls = lock(&self.calls);
            let counted = |(gpu, name): &(Option<usize>, &'static str)| {
                *gpu == ordinal && when.call.as_ref().is_none_or(|call| call == name)
            };
            calls.iter().filter(|(key, _)| counted(key)).map(|(_, count)| count).sum::<u64>() > after
        });
        late || many
    }
}

impl VirtualGpu {
    /// What it says.
    pub fn says(&self) -> &Gpu {
        &self.gpu
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
