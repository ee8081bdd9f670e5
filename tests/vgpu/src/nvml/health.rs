//! What has worn out: ECC counters, retired pages, remapped rows, repairs.

use std::ffi::{c_uint, c_ulonglong};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::out::{put, put_list, put_supported, put_versioned};
use crate::driver::{INVALID_ARGUMENT, NOT_SUPPORTED, Refusal};
use crate::rig::{Gpu, Location};

/// All locations, at the position of their number in nvml.h.
const LOCATIONS: [Location; 8] = [
    Location::L1Cache,
    Location::L2Cache,
    Location::Dram,
    Location::RegisterFile,
    Location::TextureMemory,
    Location::TextureShm,
    Location::Cbu,
    Location::Sram,
];
/// 2026-01-01, for pages whose time nobody asked for.
const RETIRED_AT: u64 = 1_767_225_600_000_000;

functions! {
    device fn nvmlDeviceGetEccMode(current: *mut nvmlEnableState_t, pending: *mut nvmlEnableState_t) |gpu| {
        let ecc = gpu.ecc.as_ref();
        put_supported(current, ecc.map(|it| it.enabled.into()))?;
        put_supported(pending, ecc.map(|it| it.pending.unwrap_or(it.enabled).into()))
    }
    device fn nvmlDeviceGetDefaultEccMode(mode: *mut nvmlEnableState_t) |gpu| {
        put_supported(mode, gpu.ecc.as_ref().map(|_| 1))
    }
    device fn nvmlDeviceGetTotalEccErrors(
        error: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t, count: *mut c_ulonglong,
    ) |gpu| {
        let ecc = gpu.ecc.as_ref().filter(|it| it.enabled).ok_or(NOT_SUPPORTED)?;
        put(count, ecc.counters(error, counter).ok_or(INVALID_ARGUMENT)?.values().sum())
    }
    device fn nvmlDeviceGetMemoryErrorCounter(
        error: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t, location: nvmlMemoryLocation_t,
        count: *mut c_ulonglong,
    ) |gpu| {
        put(count, at(gpu, error, counter, location)?)
    }
    device fn nvmlDeviceGetDetailedEccErrors(
        error: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t, counts: *mut nvmlEccErrorCounts_t,
    ) |gpu| {
        let count = |location: Location| match at(gpu, error, counter, location as u32) {
            Err(NOT_SUPPORTED) if gpu.ecc.as_ref().is_some_and(|it| it.enabled) => Ok(0),
            other => other,
        };
        put(counts, nvmlEccErrorCounts_t {
            l1Cache: count(Location::L1Cache)?,
            l2Cache: count(Location::L2Cache)?,
            deviceMemory: count(Location::Dram)?,
            registerFile: count(Location::RegisterFile)?,
        })
    }
    device fn nvmlDeviceGetSramEccErrorStatus(status: *mut nvmlEccSramErrorStatus_t) |gpu| {
        put_versioned(status, 1, |version| {
            let it = gpu.sram.as_ref().ok_or(NOT_SUPPORTED)?;
            let [l2, sm, pcie, microcontroller, other] = it.sources;
            Ok(nvmlEccSramErrorStatus_v1_t {
                version,
                aggregateUncParity: it.aggregate_parity,
                aggregateUncSecDed: it.aggregate_sec_ded,
                aggregateCor: it.aggregate_corrected,
                volatileUncParity: it.volatile_parity,
                volatileUncSecDed: it.volatile_sec_ded,
                volatileCor: it.volatile_corrected,
                aggregateUncBucketL2: l2,
                aggregateUncBucketSm: sm,
                aggregateUncBucketPcie: pcie,
                aggregateUncBucketMcu: microcontroller,
                aggregateUncBucketOther: other,
                bThresholdExceeded: it.threshold_exceeded.into(),
            })
        })
    }
    device fn nvmlDeviceGetRetiredPages(
        cause: nvmlPageRetirementCause_t, count: *mut c_uint, addresses: *mut c_ulonglong,
    ) |gpu| {
        put_list(count, addresses, retired(gpu, cause)?)
    }
    device fn nvmlDeviceGetRetiredPages_v2(
        cause: nvmlPageRetirementCause_t, count: *mut c_uint, addresses: *mut c_ulonglong, times: *mut c_ulonglong,
    ) |gpu| {
        let pages = retired(gpu, cause)?;
        put_list(count, addresses, pages)?;
        put_list(count, times, &vec![RETIRED_AT; pages.len()])
    }
    device fn nvmlDeviceGetRetiredPagesPendingStatus(pending: *mut nvmlEnableState_t) |gpu| {
        put_supported(pending, gpu.retired_pages.as_ref().map(|it| it.pending.into()))
    }
    device fn nvmlDeviceGetRemappedRows(
        corrected: *mut c_uint, uncorrected: *mut c_uint, pending: *mut c_uint, failed: *mut c_uint,
    ) |gpu| {
        let it = gpu.remapped_rows.as_ref();
        put_supported(corrected, it.map(|it| it.corrected))?;
        put_supported(uncorrected, it.map(|it| it.uncorrected))?;
        put_supported(pending, it.map(|it| it.pending.into()))?;
        put_supported(failed, it.map(|it| it.failed.into()))
    }
    device fn nvmlDeviceGetRowRemapperHistogram(values: *mut nvmlRowRemapperHistogramValues_t) |gpu| {
        let histogram = gpu.remapped_rows.as_ref().and_then(|it| it.histogram);
        put_supported(values, histogram.map(|[max, high, partial, low, none]| {
            nvmlRowRemapperHistogramValues_t { max, high, partial, low, none }
        }))
    }
    device fn nvmlDeviceGetRepairStatus(status: *mut nvmlRepairStatus_t) |gpu| {
        put_versioned(status, 1, |version| {
            let it = gpu.repair.as_ref().ok_or(NOT_SUPPORTED)?;
            Ok(nvmlRepairStatus_v1_t {
                version,
                bChannelRepairPending: it.channel_pending.into(),
                bTpcRepairPending: it.tpc_pending.into(),
            })
        })
    }
}

/// One counter.
fn at(gpu: &Gpu, error: u32, counter: u32, location: u32) -> Result<u64, Refusal> {
    let location = *LOCATIONS.get(location as usize).ok_or(INVALID_ARGUMENT)?;
    let ecc = gpu.ecc.as_ref().filter(|it| it.enabled).ok_or(NOT_SUPPORTED)?;
    let counters = ecc.counters(error, counter).ok_or(INVALID_ARGUMENT)?;
    if !ecc.locations.contains(&location) {
        return Err(NOT_SUPPORTED);
    }
    Ok(counters.get(&location).copied().unwrap_or(0))
}

fn retired(gpu: &Gpu, cause: nvmlPageRetirementCause_t) -> Result<&[u64], Refusal> {
    let pages = gpu.retired_pages.as_ref().ok_or(NOT_SUPPORTED)?;
    match cause {
        nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS => Ok(&pages.single_bit),
        nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR => Ok(&pages.double_bit),
        _ => Err(INVALID_ARGUMENT),
    }
}
