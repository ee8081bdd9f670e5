//! What a GPU does now and what it is set to: memory, clocks, power, temperatures, fans, modes.

use std::ffi::{c_int, c_uint, c_ulonglong};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::out::{put, put_list, put_supported, put_versioned};
use crate::driver::{INVALID_ARGUMENT, NOT_SUPPORTED, Refusal};
use crate::rig::{Clocks, Gpu, Power};

const MIB: u64 = 1 << 20;

functions! {
    device fn nvmlDeviceGetMemoryInfo(memory: *mut nvmlMemory_t) |gpu| {
        let it = &gpu.memory;
        // The reserved part counts as used here.
        let used = used_mib(gpu) + it.reserved_mib;
        put(memory, nvmlMemory_t { total: it.total_mib * MIB, free: it.total_mib.saturating_sub(used) * MIB, used: used * MIB })
    }
    device fn nvmlDeviceGetMemoryInfo_v2(memory: *mut nvmlMemory_v2_t) |gpu| {
        let it = &gpu.memory;
        put_versioned(memory, 2, |version| Ok(nvmlMemory_v2_t {
            version,
            total: it.total_mib * MIB,
            reserved: it.reserved_mib * MIB,
            free: it.total_mib.saturating_sub(used_mib(gpu) + it.reserved_mib) * MIB,
            used: used_mib(gpu) * MIB,
        }))
    }
    device fn nvmlDeviceGetBAR1MemoryInfo(memory: *mut nvmlBAR1Memory_t) |gpu| {
        let total = gpu.memory.bar1_mib.map(|it| it * MIB);
        put_supported(memory, total.map(|total| nvmlBAR1Memory_t { bar1Total: total, bar1Free: total, bar1Used: 0 }))
    }
    device fn nvmlDeviceGetClockInfo(kind: nvmlClockType_t, clock: *mut c_uint) |gpu| {
        put_supported(clock, clock_of(&gpu.clocks, kind)?)
    }
    device fn nvmlDeviceGetClock(kind: nvmlClockType_t, id: nvmlClockId_t, clock: *mut c_uint) |gpu| {
        let clocks = if id == 0 { &gpu.clocks } else { &gpu.max_clocks };
        put_supported(clock, clock_of(clocks, kind)?)
    }
    device fn nvmlDeviceGetMaxClockInfo(kind: nvmlClockType_t, clock: *mut c_uint) |gpu| {
        put_supported(clock, clock_of(&gpu.max_clocks, kind)?)
    }
    device fn nvmlDeviceGetMaxCustomerBoostClock(kind: nvmlClockType_t, clock: *mut c_uint) |gpu| {
        put_supported(clock, clock_of(&gpu.max_clocks, kind)?)
    }
    device fn nvmlDeviceGetCurrentClocksEventReasons(reasons: *mut c_ulonglong) |gpu| {
        put_supported(reasons, gpu.throttle_reasons)
    }
    device fn nvmlDeviceGetCurrentClocksThrottleReasons(reasons: *mut c_ulonglong) |gpu| {
        put_supported(reasons, gpu.throttle_reasons)
    }
    device fn nvmlDeviceGetSupportedClocksEventReasons(reasons: *mut c_ulonglong) |gpu| {
        put_supported(reasons, gpu.throttle_reasons.map(|_| 0x1ff))
    }
    device fn nvmlDeviceGetSupportedClocksThrottleReasons(reasons: *mut c_ulonglong) |gpu| {
        put_supported(reasons, gpu.throttle_reasons.map(|_| 0x1ff))
    }
    device fn nvmlDeviceGetPerformanceState(state: *mut nvmlPstates_t) |gpu| {
        put_supported(state, gpu.performance_state)
    }
    device fn nvmlDeviceGetPowerState(state: *mut nvmlPstates_t) |gpu| { put_supported(state, gpu.performance_state) }
    device fn nvmlDeviceGetPowerManagementMode(mode: *mut nvmlEnableState_t) |gpu| {
        put_supported(mode, gpu.power.draw_milliwatts.map(|_| 1))
    }
    device fn nvmlDeviceGetPowerUsage(power: *mut c_uint) |gpu| { put_supported(power, gpu.power.draw_milliwatts) }
    device fn nvmlDeviceGetPowerManagementLimit(limit: *mut c_uint) |gpu| {
        put_supported(limit, current_limit(&gpu.power))
    }
    device fn nvmlDeviceGetPowerManagementDefaultLimit(limit: *mut c_uint) |gpu| {
        put_supported(limit, gpu.power.default_limit_milliwatts)
    }
    device fn nvmlDeviceGetPowerManagementLimitConstraints(lowest: *mut c_uint, highest: *mut c_uint) |gpu| {
        put_supported(lowest, gpu.power.min_limit_milliwatts)?;
        put_supported(highest, gpu.power.max_limit_milliwatts)
    }
    device fn nvmlDeviceGetEnforcedPowerLimit(limit: *mut c_uint) |gpu| {
        put_supported(limit, enforced_limit(&gpu.power))
    }
    device fn nvmlDeviceGetTotalEnergyConsumption(energy: *mut c_ulonglong) |gpu| {
        put_supported(energy, gpu.power.energy_millijoules)
    }
    device fn nvmlDeviceGetTemperature(sensor: nvmlTemperatureSensors_t, celsius: *mut c_uint) |gpu| {
        if sensor != 0 {
            return Err(INVALID_ARGUMENT);
        }
        put_supported(celsius, gpu.temperature.gpu_celsius)
    }
    device fn nvmlDeviceGetTemperatureV(temperature: *mut nvmlTemperature_t) |gpu| {
        put_versioned(temperature, 1, |version| {
            let celsius = gpu.temperature.gpu_celsius.ok_or(NOT_SUPPORTED)?;
            Ok(nvmlTemperature_v1_t { version, sensorType: 0, temperature: celsius as c_int })
        })
    }
    device fn nvmlDeviceGetTemperatureThreshold(kind: nvmlTemperatureThresholds_t, celsius: *mut c_uint) |gpu| {
        let it = &gpu.temperature;
        put_supported(celsius, match kind {
            nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SHUTDOWN => it.shutdown_celsius,
            nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN => it.slowdown_celsius,
            nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_MEM_MAX => it.memory_max_celsius,
            nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_GPU_MAX => it.gpu_max_celsius,
            _ if kind < nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_COUNT => None,
            _ => return Err(INVALID_ARGUMENT),
        })
    }
    device fn nvmlDeviceGetMarginTemperature(margin: *mut nvmlMarginTemperature_t) |gpu| {
        put_versioned(margin, 1, |version| {
            let celsius = gpu.temperature.margin_celsius.ok_or(NOT_SUPPORTED)?;
            Ok(nvmlMarginTemperature_v1_t { version, marginTemperature: celsius })
        })
    }
    device fn nvmlDeviceGetNumFans(count: *mut c_uint) |gpu| { put_supported(count, fans(gpu)) }
    device fn nvmlDeviceGetFanSpeed(percent: *mut c_uint) |gpu| { put_supported(percent, gpu.fans.percent.first().copied()) }
    device fn nvmlDeviceGetFanSpeed_v2(fan: c_uint, percent: *mut c_uint) |gpu| {
        put(percent, of_fan(gpu, fan, &gpu.fans.percent)?)
    }
    device fn nvmlDeviceGetTargetFanSpeed(fan: c_uint, percent: *mut c_uint) |gpu| {
        put(percent, of_fan(gpu, fan, &gpu.fans.percent)?)
    }
    device fn nvmlDeviceGetFanSpeedRPM(speed: *mut nvmlFanSpeedInfo_t) |gpu| {
        let fan = if speed.is_null() { 0 } else { (&raw const (*speed).fan).read_unaligned() };
        put_versioned(speed, 1, |version| {
            Ok(nvmlFanSpeedInfo_v1_t { version, fan, speed: of_fan(gpu, fan, &gpu.fans.rpm)? })
        })
    }
    device fn nvmlDeviceGetFanControlPolicy_v2(fan: c_uint, policy: *mut nvmlFanControlPolicy_t) |gpu| {
        of_fan(gpu, fan, &gpu.fans.percent)?;
        put(policy, 0)
    }
    device fn nvmlDeviceGetMinMaxFanSpeed(lowest: *mut c_uint, highest: *mut c_uint) |gpu| {
        put_supported(lowest, gpu.fans.limits_percent.map(|it| it[0]))?;
        put_supported(highest, gpu.fans.limits_percent.map(|it| it[1]))
    }
    device fn nvmlDeviceGetUtilizationRates(rates: *mut nvmlUtilization_t) |gpu| {
        put(rates, nvmlUtilization_t { gpu: gpu.utilization_percent, memory: gpu.utilization_percent / 2 })
    }
    device fn nvmlDeviceGetComputeMode(mode: *mut nvmlComputeMode_t) |gpu| { put(mode, gpu.compute_mode) }
    device fn nvmlDeviceGetPersistenceMode(mode: *mut nvmlEnableState_t) |gpu| { put(mode, gpu.persistence.into()) }
    device fn nvmlDeviceGetDisplayMode(mode: *mut nvmlEnableState_t) |_gpu| { put(mode, 0) }
    device fn nvmlDeviceGetDisplayActive(active: *mut nvmlEnableState_t) |_gpu| { put(active, 0) }
    device fn nvmlDeviceGetAccountingMode(mode: *mut nvmlEnableState_t) |_gpu| { put(mode, 0) }
    device fn nvmlDeviceGetVirtualizationMode(mode: *mut nvmlGpuVirtualizationMode_t) |gpu| {
        put(mode, gpu.virtualization)
    }
    device fn nvmlDeviceGetMigMode(current: *mut c_uint, pending: *mut c_uint) |gpu| {
        put_supported(current, gpu.mig.as_ref().map(|it| it.enabled.into()))?;
        put_supported(pending, gpu.mig.as_ref().map(|it| it.pending.into()))
    }
    device fn nvmlDeviceGetMaxMigDeviceCount(count: *mut c_uint) |gpu| {
        put(count, gpu.mig.as_ref().map_or(0, |it| it.max_devices))
    }
    device fn nvmlDeviceGetComputeRunningProcesses_v3(count: *mut c_uint, processes: *mut nvmlProcessInfo_t) |gpu| {
        let list: Vec<_> = gpu.processes.iter().map(|it| nvmlProcessInfo_t {
            pid: it.pid,
            usedGpuMemory: it.used_mib * MIB,
            gpuInstanceId: u32::MAX,
            computeInstanceId: u32::MAX,
        }).collect();
        put_list(count, processes, &list)
    }
    device fn nvmlDeviceGetGraphicsRunningProcesses_v3(count: *mut c_uint, processes: *mut nvmlProcessInfo_t) |_gpu| {
        put_list(count, processes, &[])
    }
    device fn nvmlDeviceGetMPSComputeRunningProcesses_v3(count: *mut c_uint, processes: *mut nvmlProcessInfo_t) |_gpu| {
        put_list(count, processes, &[])
    }
}

/// Memory that the driver and programs hold.
fn used_mib(gpu: &Gpu) -> u64 {
    gpu.memory.used_mib + gpu.processes.iter().map(|it| it.used_mib).sum::<u64>()
}

/// The limit that was asked for.
pub(super) fn current_limit(power: &Power) -> Option<c_uint> {
    power.current_limit_milliwatts.or(power.default_limit_milliwatts)
}

/// The lowest limit in force.
pub(super) fn enforced_limit(power: &Power) -> Option<c_uint> {
    power.enforced_limit_milliwatts.or(current_limit(power))
}

fn clock_of(clocks: &Clocks, kind: nvmlClockType_t) -> Result<Option<c_uint>, Refusal> {
    Ok(match kind {
        nvmlClockType_enum_NVML_CLOCK_GRAPHICS => clocks.graphics_mhz,
        nvmlClockType_enum_NVML_CLOCK_SM => clocks.sm_mhz,
        nvmlClockType_enum_NVML_CLOCK_MEM => clocks.memory_mhz,
        nvmlClockType_enum_NVML_CLOCK_VIDEO => clocks.video_mhz,
        _ => return Err(INVALID_ARGUMENT),
    })
}

/// Number of fans. A board without any does not support the question.
fn fans(gpu: &Gpu) -> Option<c_uint> {
    Some(gpu.fans.percent.len() as c_uint).filter(|&count| count > 0)
}

fn of_fan(gpu: &Gpu, fan: c_uint, speeds: &[u32]) -> Result<c_uint, Refusal> {
    match fans(gpu) {
        None => Err(NOT_SUPPORTED),
        Some(count) if fan >= count => Err(INVALID_ARGUMENT),
        Some(_) => speeds.get(fan as usize).copied().ok_or(NOT_SUPPORTED),
    }
}
