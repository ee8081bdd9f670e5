//! `nvmlDeviceGetFieldValues`: many values in one call.

use std::ffi::c_int;

use super::functions;
use nvml_wrapper_sys::bindings::field_id::*;
use nvml_wrapper_sys::bindings::*;

use super::links;
use super::state::{current_limit, enforced_limit};
use crate::driver::{INVALID_ARGUMENT, NOT_SUPPORTED, Refusal};
use crate::rig::{Ecc, Gpu};

/// A value with its type.
enum Value {
    Unsigned(u32),
    Signed(i32),
    Long(u64),
}

functions! {
    device fn nvmlDeviceGetFieldValues(count: c_int, values: *mut nvmlFieldValue_t) |gpu| {
        let count = usize::try_from(count).ok().filter(|&it| it > 0 && !values.is_null()).ok_or(INVALID_ARGUMENT)?;
        for value in std::slice::from_raw_parts_mut(values, count) {
            value.latencyUsec = 0;
            value.timestamp = 0;
            value.value = nvmlValue_t { ullVal: 0 };
            match field(gpu, value.fieldId, value.scopeId) {
                Err(refusal) => value.nvmlReturn = refusal.0,
                Ok(answer) => {
                    value.nvmlReturn = nvmlReturn_enum_NVML_SUCCESS;
                    (value.valueType, value.value) = match answer {
                        Value::Unsigned(it) => (nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT, nvmlValue_t { uiVal: it }),
                        Value::Signed(it) => (nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT, nvmlValue_t { siVal: it }),
                        Value::Long(it) => {
                            (nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, nvmlValue_t { ullVal: it })
                        }
                    };
                }
            }
        }
        Ok(())
    }
}

fn field(gpu: &Gpu, id: u32, scope: u32) -> Result<Value, Refusal> {
    let unsigned = |it: Option<u32>| it.map(Value::Unsigned);
    let flag = |it: Option<bool>| it.map(|it| Value::Unsigned(it.into()));
    let ecc = |sum: fn(&Ecc) -> u64| gpu.ecc.as_ref().filter(|it| it.enabled).map(|it| Value::Long(sum(it)));
    let retired = gpu.retired_pages.as_ref();
    let rows = gpu.remapped_rows.as_ref();
    let link_errors = |which: usize| gpu.nvlink.as_ref().map(|it| Value::Long(it.errors[which]));
    let error_of_link = |which: usize| {
        links::links(gpu, scope).map(|it| Some(Value::Long(if scope == it.erring { it.errors[which] } else { 0 })))
    };
    let limit = |which: usize| gpu.temperature.limits_celsius.map(|it| Value::Signed(it[which]));
    let power = &gpu.power;
    let answer = match id {
        NVML_FI_DEV_ECC_CURRENT => flag(gpu.ecc.as_ref().map(|it| it.enabled)),
        NVML_FI_DEV_ECC_PENDING => flag(gpu.ecc.as_ref().map(|it| it.pending.unwrap_or(it.enabled))),
        NVML_FI_DEV_ECC_SBE_VOL_TOTAL => ecc(|it| it.volatile_corrected.values().sum()),
        NVML_FI_DEV_ECC_DBE_VOL_TOTAL => ecc(|it| it.volatile_uncorrected.values().sum()),
        NVML_FI_DEV_ECC_SBE_AGG_TOTAL => ecc(|it| it.aggregate_corrected.values().sum()),
        NVML_FI_DEV_ECC_DBE_AGG_TOTAL => ecc(|it| it.aggregate_uncorrected.values().sum()),
        NVML_FI_DEV_RETIRED_SBE => unsigned(retired.map(|it| it.single_bit.len() as u32)),
        NVML_FI_DEV_RETIRED_DBE => unsigned(retired.map(|it| it.double_bit.len() as u32)),
        NVML_FI_DEV_RETIRED_PENDING => flag(retired.map(|it| it.pending)),
        NVML_FI_DEV_REMAPPED_COR => unsigned(rows.map(|it| it.corrected)),
        NVML_FI_DEV_REMAPPED_UNC => unsigned(rows.map(|it| it.uncorrected)),
        NVML_FI_DEV_REMAPPED_PENDING => flag(rows.map(|it| it.pending)),
        NVML_FI_DEV_REMAPPED_FAILURE => flag(rows.map(|it| it.failed)),
        NVML_FI_DEV_MEMORY_TEMP => unsigned(gpu.temperature.memory_celsius),
        NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT => limit(0),
        NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT => limit(1),
        NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT => limit(2),
        NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT => limit(3),
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION => power.energy_millijoules.map(Value::Long),
        NVML_FI_DEV_POWER_AVERAGE | NVML_FI_DEV_POWER_INSTANT => unsigned(power.draw_milliwatts),
        NVML_FI_DEV_POWER_MIN_LIMIT => unsigned(power.min_limit_milliwatts),
        NVML_FI_DEV_POWER_MAX_LIMIT => unsigned(power.max_limit_milliwatts),
        NVML_FI_DEV_POWER_DEFAULT_LIMIT => unsigned(power.default_limit_milliwatts),
        NVML_FI_DEV_POWER_CURRENT_LIMIT => unsigned(enforced_limit(power)),
        NVML_FI_DEV_POWER_REQUESTED_LIMIT => unsigned(current_limit(power)),
        NVML_FI_DEV_PCIE_REPLAY_COUNTER => Some(Value::Unsigned(gpu.pcie.replays)),
        NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER => Some(Value::Unsigned(0)),
        NVML_FI_DEV_NVLINK_LINK_COUNT => Some(Value::Unsigned(gpu.nvlink.as_ref().map_or(0, |it| it.links))),
        NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL => link_errors(0),
        NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL => link_errors(1),
        NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL => link_errors(2),
        NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL => link_errors(3),
        NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL => link_errors(4),
        NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY => error_of_link(0)?,
        NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY => error_of_link(1)?,
        NVML_FI_DEV_NVLINK_ERROR_DL_CRC => error_of_link(2)?,
        NVML_FI_DEV_NVLINK_GET_STATE => {
            Some(Value::Unsigned(u32::from(!links::links(gpu, scope)?.inactive.contains(&scope))))
        }
        NVML_FI_DEV_NVLINK_GET_VERSION => Some(Value::Unsigned(links::active(gpu, scope)?.version)),
        NVML_FI_DEV_C2C_LINK_COUNT => gpu.c2c.map(|on| Value::Unsigned(on.into())),
        0 | NVML_FI_MAX.. => return Err(INVALID_ARGUMENT),
        _ => None,
    };
    answer.ok_or(NOT_SUPPORTED)
}
