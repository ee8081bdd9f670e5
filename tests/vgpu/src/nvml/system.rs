//! The library, the driver, and how GPUs are found.

use std::ffi::{CStr, c_char, c_int, c_uint};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::handle;
use super::out::{put, put_supported, put_text, put_versioned};
use crate::driver::{self, Driver, INVALID_ARGUMENT, NOT_FOUND, Refusal};
use crate::rig::{Address, Gpu};

/// Starts the rig.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    super::guarded(driver::start)
}

/// Starts the rig. The flags say what to do without GPUs, which is no error here.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
    super::guarded(driver::start)
}

/// Ends the rig with its last user.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    super::guarded(driver::stop)
}

/// What an error means.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    let text: &'static CStr = match result {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        14 => c"Corrupted infoROM",
        15 => c"GPU is lost",
        16 => c"GPU requires restart",
        17 => c"The operating system has blocked the request.",
        18 => c"RM has detected an NVML/RM version mismatch.",
        25 => c"Argument version mismatch",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}

functions! {
    system fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) |driver| {
        put_text(version, length, Some(&driver.facts().version))
    }
    system fn nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) |driver| {
        put_text(version, length, Some(&driver.facts().nvml_version))
    }
    system fn nvmlSystemGetCudaDriverVersion(version: *mut c_int) |driver| {
        put(version, driver.facts().cuda_version)
    }
    system fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) |driver| {
        put(version, driver.facts().cuda_version)
    }
    system fn nvmlDeviceGetCount_v2(count: *mut c_uint) |driver| {
        put(count, driver.count() as c_uint)
    }
    system fn nvmlUnitGetCount(count: *mut c_uint) |_driver| { put(count, 0) }
    system fn nvmlGetExcludedDeviceCount(count: *mut c_uint) |_driver| { put(count, 0) }
    system fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut nvmlDevice_t) |driver| {
        let index = index as usize;
        let handle = handle::of(index, 0).filter(|_| index < driver.count()).ok_or(INVALID_ARGUMENT)?;
        // A GPU that has fallen off the bus gives no handle.
        driver.gpu("nvmlDeviceGetHandleByIndex_v2", index)?;
        put(device, handle)
    }
    system fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut nvmlDevice_t) |driver| {
        let uuid = text_of(uuid)?;
        put(device, find(&driver, |gpu| gpu.uuid.as_ref().is_some_and(|it| *it.bytes() == *uuid))?)
    }
    system fn nvmlDeviceGetHandleBySerial(serial: *const c_char, device: *mut nvmlDevice_t) |driver| {
        let serial = text_of(serial)?;
        put(device, find(&driver, |gpu| gpu.serial.as_ref().is_some_and(|it| *it.bytes() == *serial))?)
    }
    system fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut nvmlDevice_t) |driver| {
        let address = parse_bus_id(text_of(bus_id)?).ok_or(INVALID_ARGUMENT)?;
        put(device, find(&driver, |gpu| gpu.pci.address == address)?)
    }
    system fn nvmlSystemGetConfComputeState(state: *mut nvmlConfComputeSystemState_t) |driver| {
        let on = driver.facts().confidential_compute.map(c_uint::from);
        put_supported(state, on.map(|on| nvmlConfComputeSystemState_t { environment: on, ccFeature: on, devToolsMode: 0 }))
    }
    system fn nvmlSystemGetConfComputeSettings(settings: *mut nvmlSystemConfComputeSettings_t) |driver| {
        put_versioned(settings, 1, |version| {
            let on = driver.facts().confidential_compute.map(c_uint::from).ok_or(driver::NOT_SUPPORTED)?;
            Ok(nvmlSystemConfComputeSettings_t { version, environment: on, ccFeature: on, devToolsMode: 0, multiGpuMode: 0 })
        })
    }
    system fn nvmlSystemGetConfComputeCapabilities(capabilities: *mut nvmlConfComputeSystemCaps_t) |driver| {
        let on = driver.facts().confidential_compute.map(c_uint::from);
        put_supported(capabilities, on.map(|on| nvmlConfComputeSystemCaps_t { cpuCaps: on, gpusCaps: on }))
    }
    system fn nvmlSystemGetConfComputeGpusReadyState(ready: *mut c_uint) |driver| {
        put_supported(ready, driver.facts().confidential_compute.map(c_uint::from))
    }
    system fn nvmlDeviceGetTopologyCommonAncestor(
        first: nvmlDevice_t, second: nvmlDevice_t, level: *mut nvmlGpuTopologyLevel_t,
    ) |driver| {
        let (first, second) = (handle::position(first)?.0, handle::position(second)?.0);
        let level_between = if first == second {
            nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL
        } else {
            nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM
        };
        driver.gpu("nvmlDeviceGetTopologyCommonAncestor", first)?;
        put(level, level_between)
    }
    system fn nvmlDeviceOnSameBoard(first: nvmlDevice_t, second: nvmlDevice_t, same: *mut c_int) |driver| {
        let (first, second) = (handle::position(first)?.0, handle::position(second)?.0);
        driver.gpu("nvmlDeviceOnSameBoard", first)?;
        put(same, c_int::from(first == second))
    }
    system fn nvmlDeviceGetP2PStatus(
        first: nvmlDevice_t, second: nvmlDevice_t, capability: nvmlGpuP2PCapsIndex_t, status: *mut nvmlGpuP2PStatus_t,
    ) |driver| {
        let (first, second) = (handle::position(first)?.0, handle::position(second)?.0);
        let gpu = driver.gpu("nvmlDeviceGetP2PStatus", first)?;
        if first == second || driver.peek(second).is_none() {
            return Err(INVALID_ARGUMENT);
        }
        let has_links = gpu.says().nvlink.is_some();
        put(status, match capability {
            nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK if !has_links => {
                nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_NOT_SUPPORTED
            }
            nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_READ..nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_UNKNOWN => {
                gpu.says().p2p as nvmlGpuP2PStatus_t
            }
            _ => return Err(INVALID_ARGUMENT),
        })
    }
    system fn nvmlDeviceIsMigDeviceHandle(device: nvmlDevice_t, is_partition: *mut c_uint) |_driver| {
        put(is_partition, c_uint::from(handle::position(device)?.1 != 0))
    }
    system fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
        partition: nvmlDevice_t, device: *mut nvmlDevice_t,
    ) |_driver| {
        match handle::position(partition)? {
            (_, 0) => Err(INVALID_ARGUMENT),
            (index, _) => put(device, handle::of(index, 0).ok_or(INVALID_ARGUMENT)?),
        }
    }
    system fn nvmlDeviceGetMigDeviceHandleByIndex(
        device: nvmlDevice_t, index: c_uint, partition: *mut nvmlDevice_t,
    ) |driver| {
        let position = handle::position(device)?.0;
        let gpu = driver.gpu("nvmlDeviceGetMigDeviceHandleByIndex", position)?;
        let mig = gpu.says().mig.as_ref().ok_or(driver::NOT_SUPPORTED)?;
        if !mig.enabled || index >= mig.devices {
            return Err(NOT_FOUND);
        }
        put(partition, handle::of(position, index as usize + 1).ok_or(NOT_FOUND)?)
    }
    system fn nvmlDeviceGetIndex(device: nvmlDevice_t, index: *mut c_uint) |driver| {
        let position = handle::position(device)?.0;
        driver.gpu("nvmlDeviceGetIndex", position)?;
        put(index, position as c_uint)
    }
    system fn nvmlDeviceGetMinorNumber(device: nvmlDevice_t, minor: *mut c_uint) |driver| {
        let position = handle::position(device)?.0;
        let gpu = driver.gpu("nvmlDeviceGetMinorNumber", position)?;
        put(minor, gpu.says().minor.unwrap_or(position as c_uint))
    }
    system fn nvmlSystemGetTopologyGpuSet(
        _cpu: c_uint, count: *mut c_uint, devices: *mut nvmlDevice_t,
    ) |driver| {
        let all: Vec<_> = (0..driver.count()).filter_map(|index| handle::of(index, 0)).collect();
        super::out::put_list(count, devices, &all)
    }
}

/// The caller's string.
///
/// # Safety
///
/// `text` is null or a string that ends with a NUL.
unsafe fn text_of<'a>(text: *const c_char) -> Result<&'a [u8], Refusal> {
    if text.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and then it ends with a NUL.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// `00000000:17:00.0` or `0000:17:00.0`, in either case.
fn parse_bus_id(text: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(text).ok()?;
    let short = if text.len() == 16 { text.strip_prefix("0000")? } else { text };
    short.parse().ok()
}

fn find(driver: &Driver, is_it: impl Fn(&Gpu) -> bool) -> Result<nvmlDevice_t, Refusal> {
    let position = (0..driver.count()).find(|&index| driver.peek(index).is_some_and(|it| is_it(it.says())));
    position.and_then(|index| handle::of(index, 0)).ok_or(NOT_FOUND)
}
