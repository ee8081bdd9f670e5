//! Events: the XIDs that the CUDA half of any process meets.

use std::ffi::{c_uint, c_ulonglong, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::handle;
use super::out::put;
use crate::driver::{Driver, INVALID_ARGUMENT, Refusal};

/// `nvmlEventTypeXidCriticalError` of nvml.h.
const XID: u64 = 8;
const TIMEOUT: Refusal = Refusal(nvmlReturn_enum_NVML_ERROR_TIMEOUT);

/// The positions of a set's GPUs, and how many XIDs of each were told or had happened before. `None` for a set that was
/// freed.
type Set = Option<Vec<(usize, u64)>>;

/// Sets by their handles, which count from 1.
static SETS: Mutex<Vec<Set>> = Mutex::new(Vec::new());

functions! {
    system fn nvmlDeviceGetSupportedEventTypes(device: nvmlDevice_t, types: *mut c_ulonglong) |driver| {
        driver.gpu("nvmlDeviceGetSupportedEventTypes", handle::position(device)?.0)?;
        put(types, XID)
    }
    system fn nvmlEventSetCreate(set: *mut nvmlEventSet_t) |_driver| {
        let mut sets = sets();
        sets.push(Some(Vec::new()));
        put(set, std::ptr::without_provenance_mut::<c_void>(sets.len()).cast())
    }
    system fn nvmlDeviceRegisterEvents(device: nvmlDevice_t, types: c_ulonglong, set: nvmlEventSet_t) |driver| {
        let position = handle::position(device)?.0;
        driver.gpu("nvmlDeviceRegisterEvents", position)?;
        if types & !XID != 0 {
            return Err(crate::driver::NOT_SUPPORTED);
        }
        let mut sets = sets();
        let gpus = find(&mut sets, set)?.as_mut().ok_or(INVALID_ARGUMENT)?;
        if types & XID != 0 && !gpus.iter().any(|(known, _)| *known == position) {
            gpus.push((position, happened(&driver, position)));
        }
        Ok(())
    }
    system fn nvmlEventSetWait_v2(set: nvmlEventSet_t, data: *mut nvmlEventData_t, timeout_ms: c_uint) |driver| {
        let end = Instant::now() + Duration::from_millis(timeout_ms.into());
        loop {
            let mut sets = sets();
            for (position, told) in find(&mut sets, set)?.as_mut().ok_or(INVALID_ARGUMENT)? {
                if happened(&driver, *position) > *told {
                    *told += 1;
                    let last = driver.record(*position).map_or(0, |it| it.xid.load(Ordering::Relaxed));
                    return put(data, nvmlEventData_t {
                        device: handle::of(*position, 0).ok_or(INVALID_ARGUMENT)?,
                        eventType: XID,
                        eventData: last,
                        gpuInstanceId: c_uint::MAX,
                        computeInstanceId: c_uint::MAX,
                    });
                }
            }
            drop(sets);
            if Instant::now() >= end {
                return Err(TIMEOUT);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    system fn nvmlEventSetFree(set: nvmlEventSet_t) |_driver| {
        *find(&mut sets(), set)? = None;
        Ok(())
    }
}

fn sets() -> MutexGuard<'static, Vec<Set>> {
    SETS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find(sets: &mut [Set], set: nvmlEventSet_t) -> Result<&mut Set, Refusal> {
    set.addr().checked_sub(1).and_then(|at| sets.get_mut(at)).ok_or(INVALID_ARGUMENT)
}

fn happened(driver: &Driver, position: usize) -> u64 {
    driver.record(position).map_or(0, |record| record.xids.load(Ordering::Relaxed))
}
