//! The library as a program finds it: loaded with dlopen, read with nvml-wrapper and through its raw functions.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(non_upper_case_globals, reason = "constants of the bindings in patterns")]

use std::ffi::{CStr, c_char, c_uint};
use std::fs;
use std::mem::zeroed;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nvml_wrapper::bitmasks::InitFlags;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, InfoRom, MemoryError, MemoryLocation, PerformanceState, RetirementCause, TemperatureSensor,
    TemperatureThreshold,
};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::*;
use vgpu::launch::Machine;
use vgpu::rig::{Gpu, Location, Rig, Text};

/// The environment of the process belongs to one driver at a time.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

/// A machine whose rig is the one that `nvmlInit` reads.
struct Running {
    machine: Machine,
    _environment: MutexGuard<'static, ()>,
}

impl Running {
    fn of(machine: Machine) -> Self {
        let environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: all tests that load the library hold the lock, and nothing else here reads the environment meanwhile.
        unsafe { std::env::set_var("VGPU_RIG", machine.rig_file()) };
        Self { machine, _environment: environment }
    }

    fn shipped(name: &str) -> Self {
        Self::of(Machine::new(&rigs().join(name).with_extension("toml")).unwrap())
    }

    fn text(text: &str) -> Self {
        Self::of(Machine::of(&format!("title = \"\"\nabout = \"\"\nexpect.genuine = true\n{text}")).unwrap())
    }

    fn nvml(&self) -> Result<Nvml, NvmlError> {
        Nvml::builder().lib_path(self.machine.library().as_os_str()).init()
    }

    fn rig(&self) -> &Rig {
        self.machine.rig()
    }
}

fn rigs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rigs")
}

/// What was answered; `None` where it is not supported, or the function is missing as the rig says.
#[track_caller]
fn answered<T>(answer: Result<T, NvmlError>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

fn plain(text: &Option<Text>) -> Option<String> {
    text.as_ref().map(|it| it.plain().unwrap().to_owned())
}

/// Every value of a GPU against the rig.
fn compare(rig: &Rig, nvml: &Nvml, index: usize, device: &Device<'_>, gpu: &Gpu) {
    let missing = |name: &str| rig.driver.missing.iter().any(|it| it == name);
    /// Compares, unless the rig's driver lacks the function.
    macro_rules! same {
        ($function:ident, $answer:expr, $expected:expr) => {
            let expected = if missing(stringify!($function)) { None } else { $expected };
            assert_eq!(answered($answer), expected, "{} on GPU {index}", stringify!($function));
        };
    }
    same!(nvmlDeviceGetName, device.name(), Some(gpu.name.plain().unwrap().to_owned()));
    same!(nvmlDeviceGetBrand, device.brand().map(|it| it.as_c()), Some(gpu.brand as u32));
    same!(nvmlDeviceGetArchitecture, device.architecture().map(|it| it.as_c()), Some(gpu.architecture as u32));
    same!(
        nvmlDeviceGetCudaComputeCapability,
        device.cuda_compute_capability().map(|it| [it.major, it.minor]),
        Some(gpu.compute_capability)
    );
    same!(nvmlDeviceGetUUID, device.uuid(), plain(&gpu.uuid));
    same!(nvmlDeviceGetSerial, device.serial(), plain(&gpu.serial));
    same!(nvmlDeviceGetBoardPartNumber, device.board_part_number(), plain(&gpu.board_part_number));
    same!(nvmlDeviceGetVbiosVersion, device.vbios_version(), plain(&gpu.vbios_version));
    same!(nvmlDeviceGetGspFirmwareVersion, device.gsp_firmware_version(), plain(&gpu.gsp_firmware));
    same!(nvmlDeviceGetBoardId, device.board_id(), Some(u32::from(gpu.pci.address.bus) << 8));
    same!(nvmlDeviceGetMultiGpuBoard, device.is_multi_gpu_board(), Some(gpu.multi_gpu_board));
    same!(nvmlDeviceGetNumGpuCores, device.num_cores(), gpu.cores);
    same!(nvmlDeviceGetMemoryBusWidth, device.memory_bus_width(), gpu.bus_width_bits);
    same!(nvmlDeviceGetMinorNumber, device.minor_number(), Some(index as u32));
    same!(nvmlDeviceGetIndex, device.index(), Some(index as u32));
    same!(nvmlDeviceGetPersistenceMode, device.is_in_persistent_mode(), Some(gpu.persistence));

    let pci = device.pci_info().unwrap();
    assert_eq!(pci.bus_id.to_lowercase(), format!("0000{}", gpu.pci.address));
    assert_eq!(pci.pci_device_id, u32::from(gpu.pci.device_id) << 16 | 0x10de);
    let subsystem = u32::from(gpu.pci.subsystem_device_id) << 16 | u32::from(gpu.pci.subsystem_vendor_id);
    assert_eq!(pci.pci_sub_system_id, Some(subsystem));
    assert_eq!(nvml.device_by_pci_bus_id(pci.bus_id).unwrap().index().unwrap(), index as u32);

    same!(nvmlDeviceGetInforomImageVersion, device.info_rom_image_version(), plain(&gpu.inforom.image));
    same!(nvmlDeviceGetInforomConfigurationChecksum, device.config_checksum(), gpu.inforom.checksum);
    match gpu.inforom.valid {
        Some(true) => device.validate_info_rom().unwrap(),
        Some(false) => assert!(matches!(device.validate_info_rom(), Err(NvmlError::CorruptedInfoROM))),
        None => assert!(matches!(device.validate_info_rom(), Err(NvmlError::NotSupported))),
    }

    same!(
        nvmlDeviceGetMemoryInfo_v2,
        device.memory_info().map(|it| [it.total, it.reserved, it.used].map(|bytes| bytes >> 20)),
        Some([gpu.memory.total_mib, gpu.memory.reserved_mib, gpu.memory.used_mib])
    );
    same!(nvmlDeviceGetBAR1MemoryInfo, device.bar1_memory_info().map(|it| it.total >> 20), gpu.memory.bar1_mib);
    same!(nvmlDeviceGetClockInfo, device.clock_info(Clock::Graphics), gpu.clocks.graphics_mhz);
    same!(nvmlDeviceGetClockInfo, device.clock_info(Clock::Memory), gpu.clocks.memory_mhz);
    same!(nvmlDeviceGetMaxClockInfo, device.max_clock_info(Clock::SM), gpu.max_clocks.sm_mhz);
    same!(nvmlDeviceGetMaxClockInfo, device.max_clock_info(Clock::Video), gpu.max_clocks.video_mhz);
    same!(
        nvmlDeviceGetPerformanceState,
        device.performance_state(),
        gpu.performance_state.map(|it| PerformanceState::try_from(it).unwrap())
    );
    same!(
        nvmlDeviceGetCurrentClocksThrottleReasons,
        device.current_throttle_reasons().map(|it| it.bits()),
        gpu.throttle_reasons
    );

    let power = &gpu.power;
    same!(nvmlDeviceGetPowerUsage, device.power_usage(), power.draw_milliwatts);
    same!(
        nvmlDeviceGetPowerManagementDefaultLimit,
        device.power_management_limit_default(),
        power.default_limit_milliwatts
    );
    same!(nvmlDeviceGetEnforcedPowerLimit, device.enforced_power_limit(), power.default_limit_milliwatts);
    same!(
        nvmlDeviceGetPowerManagementLimitConstraints,
        device.power_management_limit_constraints().map(|it| (it.min_limit, it.max_limit)),
        power.min_limit_milliwatts.zip(power.max_limit_milliwatts)
    );
    same!(nvmlDeviceGetTotalEnergyConsumption, device.total_energy_consumption(), power.energy_millijoules);

    let temperature = &gpu.temperature;
    same!(nvmlDeviceGetTemperature, device.temperature(TemperatureSensor::Gpu), temperature.gpu_celsius);
    for (threshold, celsius) in [
        (TemperatureThreshold::Shutdown, temperature.shutdown_celsius),
        (TemperatureThreshold::Slowdown, temperature.slowdown_celsius),
        (TemperatureThreshold::GpuMax, temperature.gpu_max_celsius),
        (TemperatureThreshold::MemoryMax, temperature.memory_max_celsius),
    ] {
        same!(nvmlDeviceGetTemperatureThreshold, device.temperature_threshold(threshold), celsius);
    }

    let fans = &gpu.fans.percent;
    same!(nvmlDeviceGetNumFans, device.num_fans(), Some(fans.len() as u32).filter(|&it| it > 0));
    for (fan, percent) in fans.iter().enumerate() {
        same!(nvmlDeviceGetFanSpeed_v2, device.fan_speed(fan as u32), Some(*percent));
        same!(nvmlDeviceGetFanSpeedRPM, device.fan_speed_rpm(fan as u32), gpu.fans.rpm.get(fan).copied());
    }
    same!(nvmlDeviceGetMinMaxFanSpeed, device.min_max_fan_speed(), gpu.fans.limits_percent.map(<(u32, u32)>::from));

    let ecc = gpu.ecc.as_ref();
    same!(nvmlDeviceGetEccMode, device.is_ecc_enabled().map(|it| it.currently_enabled), ecc.map(|it| it.enabled));
    let on = ecc.filter(|it| it.enabled);
    same!(
        nvmlDeviceGetTotalEccErrors,
        device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Aggregate),
        on.map(|it| it.aggregate_uncorrected.values().sum())
    );
    let dram = device.memory_error_counter(MemoryError::Corrected, EccCounter::Aggregate, MemoryLocation::Device);
    same!(
        nvmlDeviceGetMemoryErrorCounter,
        dram,
        on.map(|it| it.aggregate_corrected.get(&Location::Dram).copied().unwrap_or(0))
    );
    same!(
        nvmlDeviceGetRetiredPages,
        device.retired_pages(RetirementCause::DoubleBitEccError).map(|it| it.len()),
        gpu.retired_pages.as_ref().map(|it| it.double_bit.len())
    );

    same!(
        nvmlDeviceGetCurrPcieLinkGeneration,
        device.current_pcie_link_gen(),
        Some(gpu.pcie.current_generation.into())
    );
    same!(nvmlDeviceGetMaxPcieLinkWidth, device.max_pcie_link_width(), Some(gpu.pcie.max_width.into()));
    same!(nvmlDeviceGetPcieReplayCounter, device.pcie_replay_counter(), Some(gpu.pcie.replays));
    let nvlink = gpu.nvlink.as_ref();
    for link in 0..18 {
        let exists = nvlink.filter(|it| link < it.links);
        let up = exists.map(|it| !it.inactive.contains(&link));
        same!(nvmlDeviceGetNvLinkState, device.link_wrapper_for(link).is_active(), up);
        let version = exists.filter(|_| up == Some(true)).map(|it| it.version);
        same!(nvmlDeviceGetNvLinkVersion, device.link_wrapper_for(link).version(), version);
    }
    same!(nvmlDeviceGetMigMode, device.mig_mode().map(|it| it.current == 1), gpu.mig.as_ref().map(|it| it.enabled));
    compare_raw(rig, nvml, device, gpu);
    compare_fields(nvml, device, gpu);
}

/// What nvml-wrapper has no method for.
fn compare_raw(rig: &Rig, nvml: &Nvml, device: &Device<'_>, gpu: &Gpu) {
    let library = nvml.lib();
    let missing = |name: &str| rig.driver.missing.iter().any(|it| it == name);
    macro_rules! call {
        ($name:ident($($argument:expr),*)) => {
            match &library.$name {
                Err(_) => {
                    assert!(missing(stringify!($name)), "{}", stringify!($name));
                    None
                }
                Ok(function) => {
                    assert!(!missing(stringify!($name)), "{}", stringify!($name));
                    // SAFETY: the handle is NVML's, the pointers lead to this function's own variables.
                    match unsafe { function(device.handle(), $($argument),*) } {
                        nvmlReturn_enum_NVML_SUCCESS => Some(()),
                        nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED => None,
                        error => panic!("{}: {error}", stringify!($name)),
                    }
                }
            }
        };
    }
    /// A structure with its version set.
    macro_rules! versioned {
        ($type:ty, $version:literal) => {{
            // SAFETY: plain numbers.
            let mut it: $type = unsafe { zeroed() };
            it.version = size_of::<$type>() as u32 | $version << 24;
            it
        }};
    }
    let [mut corrected, mut uncorrected, mut pending, mut failed] = [u32::MAX; 4];
    let rows = call!(nvmlDeviceGetRemappedRows(&mut corrected, &mut uncorrected, &mut pending, &mut failed));
    let expected = gpu.remapped_rows.as_ref();
    assert_eq!(
        rows.map(|()| (corrected, uncorrected, pending == 1, failed == 1)),
        expected.map(|it| (it.corrected, it.uncorrected, it.pending, it.failed))
    );
    // SAFETY: plain numbers.
    let mut histogram: nvmlRowRemapperHistogramValues_t = unsafe { zeroed() };
    let answer = call!(nvmlDeviceGetRowRemapperHistogram(&mut histogram));
    assert_eq!(
        answer.map(|()| [histogram.max, histogram.high, histogram.partial, histogram.low, histogram.none]),
        expected.and_then(|it| it.histogram)
    );
    let mut module = u32::MAX;
    let answer = call!(nvmlDeviceGetModuleId(&mut module));
    let known = |name: &str| !missing(name);
    assert_eq!(answer.map(|()| module), gpu.module_id.filter(|_| known("nvmlDeviceGetModuleId")));
    let mut pdi = versioned!(nvmlPdi_t, 1);
    let expected = gpu.pdi.as_ref().filter(|_| known("nvmlDeviceGetPdi"));
    assert_eq!(call!(nvmlDeviceGetPdi(&mut pdi)).map(|()| format!("{:016x}", pdi.value)).as_ref(), expected);
    let mut sram = versioned!(nvmlEccSramErrorStatus_t, 1);
    let expected = gpu.sram.as_ref().filter(|_| known("nvmlDeviceGetSramEccErrorStatus"));
    assert_eq!(
        call!(nvmlDeviceGetSramEccErrorStatus(&mut sram))
            .map(|()| (sram.aggregateUncSecDed, sram.aggregateUncBucketL2)),
        expected.map(|it| (it.aggregate_sec_ded, it.sources[0]))
    );
    let mut fabric = versioned!(nvmlGpuFabricInfoV_t, 3);
    let expected = gpu.fabric.as_ref().filter(|_| known("nvmlDeviceGetGpuFabricInfoV"));
    assert_eq!(call!(nvmlDeviceGetGpuFabricInfoV(&mut fabric)).map(|()| fabric.state), expected.map(|it| it.state));
    let mut platform = versioned!(nvmlPlatformInfo_t, 2);
    let expected = gpu.platform.as_ref().filter(|_| known("nvmlDeviceGetPlatformInfo"));
    assert_eq!(
        call!(nvmlDeviceGetPlatformInfo(&mut platform)).map(|()| (platform.slotNumber, platform.moduleId)),
        expected.map(|it| (it.slot_number, it.module_id))
    );
    let mut repair = versioned!(nvmlRepairStatus_t, 1);
    let expected = gpu.repair.as_ref().filter(|_| known("nvmlDeviceGetRepairStatus"));
    assert_eq!(
        call!(nvmlDeviceGetRepairStatus(&mut repair)).map(|()| repair.bChannelRepairPending == 1),
        expected.map(|it| it.channel_pending)
    );
    let mut pci = versioned!(nvmlPciInfoExt_t, 1);
    let answer = call!(nvmlDeviceGetPciInfoExt(&mut pci)).map(|()| pci.baseClass << 16 | pci.subClass << 8);
    assert_eq!(answer, Some(gpu.pci.class).filter(|_| known("nvmlDeviceGetPciInfoExt")));
    let (mut timestamp, mut duration) = (0, 0);
    let expected = gpu.bbx.as_ref().filter(|_| known("nvmlDeviceGetLastBBXFlushTime"));
    let answer = call!(nvmlDeviceGetLastBBXFlushTime(&mut timestamp, &mut duration));
    assert_eq!(answer.map(|()| timestamp), expected.map(|it| it.timestamp));
}

fn compare_fields(nvml: &Nvml, device: &Device<'_>, gpu: &Gpu) {
    let ids = [
        field_id::NVML_FI_DEV_MEMORY_TEMP,
        field_id::NVML_FI_DEV_NVLINK_LINK_COUNT,
        field_id::NVML_FI_DEV_REMAPPED_UNC,
    ];
    let answers = device.field_values_for(&ids.map(FieldId)).unwrap();
    let values: Vec<Option<i64>> = answers
        .into_iter()
        .map(|answer| match answered(answer.and_then(|it| it.value))? {
            SampleValue::U32(value) => Some(value.into()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        gpu.temperature.memory_celsius.map(i64::from),
        Some(gpu.nvlink.as_ref().map_or(0, |it| it.links.into())),
        gpu.remapped_rows.as_ref().map(|it| it.uncorrected.into()),
    ];
    assert_eq!(values, expected);

    // A signed value, which nvml-wrapper has no type for.
    // SAFETY: plain numbers.
    let mut value: nvmlFieldValue_t = unsafe { zeroed() };
    value.fieldId = field_id::NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT;
    // SAFETY: one value, as said.
    let result = unsafe { nvml.lib().nvmlDeviceGetFieldValues.as_ref().unwrap()(device.handle(), 1, &mut value) };
    assert_eq!(result, 0);
    // SAFETY: all variants of the union are plain numbers.
    let celsius = (value.nvmlReturn == 0).then_some(unsafe { value.value.siVal });
    assert_eq!(celsius, gpu.temperature.limits_celsius.map(|it| it[0]));
}

#[test]
fn every_shipped_rig_is_served_as_it_says() {
    let mut served = 0;
    for entry in fs::read_dir(rigs()).unwrap() {
        let path = entry.unwrap().path();
        let running = Running::of(Machine::new(&path).unwrap());
        let rig = running.rig();
        // What these do is the matter of the tests below.
        let changes = !rig.changes.is_empty() || !rig.faults.is_empty() || rig.driver.init_error.is_some();
        if changes || rig.nvml_gpus().any(|it| it.gpu.name.plain().is_none()) {
            continue;
        }
        let nvml = running.nvml().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(nvml.sys_driver_version().unwrap(), rig.driver.version.plain().unwrap());
        assert_eq!(nvml.sys_cuda_driver_version().unwrap(), rig.driver.cuda_version);
        assert_eq!(nvml.device_count().unwrap() as usize, rig.nvml_gpus().count());
        for (index, it) in rig.nvml_gpus().enumerate() {
            let device = nvml.device_by_index(index as u32).unwrap();
            compare(rig, &nvml, index, &device, &it.gpu);
        }
        served += 1;
    }
    assert!(served >= 30, "{served}");
}

#[test]
fn all_functions_are_there_but_those_that_an_old_driver_lacks() {
    let running = Running::shipped("fault-old-driver");
    // SAFETY: loading runs no code of the library, and nothing of it is called.
    let library = unsafe { libloading::Library::new(running.machine.library()) }.unwrap();
    let missing = &running.rig().driver.missing;
    for name in vgpu::function_names().chain(["yanji_virtual_driver"]) {
        // SAFETY: only looked for.
        let found = unsafe { library.get::<unsafe extern "C" fn() -> nvmlReturn_t>(name.as_bytes()) }.is_ok();
        assert_eq!(found, !missing.iter().any(|it| it == name), "{name}");
    }
}

#[test]
fn the_abi_refuses_what_nvml_refuses() {
    let running = Running::text("[[gpu]]\nlike = \"h100-sxm\"\nplatform = { chassis_serial = \"1\" }");
    // SAFETY: loading runs no code of the library.
    let library = unsafe { NvmlLib::new(running.machine.library()) }.unwrap();
    // SAFETY: every pointer leads to a variable of this test, or is null, which the library has to refuse.
    unsafe {
        let get_count = library.nvmlDeviceGetCount_v2.as_ref().unwrap();
        let mut count = 0;
        assert_eq!(get_count(&mut count), nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
        assert_eq!(library.nvmlShutdown.as_ref().unwrap()(), nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
        assert_eq!(library.nvmlInit_v2.as_ref().unwrap()(), 0);
        assert_eq!(library.nvmlInitWithFlags.as_ref().unwrap()(InitFlags::NO_GPUS.bits()), 0);
        assert_eq!(get_count(null_mut()), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
        let by_index = library.nvmlDeviceGetHandleByIndex_v2.as_ref().unwrap();
        let mut device: nvmlDevice_t = null_mut();
        assert_eq!(by_index(1, &mut device), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
        assert_eq!(by_index(0, &mut device), 0);

        let name = library.nvmlDeviceGetName.as_ref().unwrap();
        let mut buffer = [0x55 as c_char; 96];
        let length = "NVIDIA H100 80GB HBM3".len() as c_uint;
        assert_eq!(name(device, buffer.as_mut_ptr(), length), nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
        assert_eq!(buffer, [0x55 as c_char; 96]);
        assert_eq!(name(device, buffer.as_mut_ptr(), length + 1), 0);
        assert_eq!(CStr::from_ptr(buffer.as_ptr()).to_str().unwrap(), "NVIDIA H100 80GB HBM3");
        assert_eq!(buffer[length as usize + 1], 0x55, "nothing is written behind the NUL");
        assert_eq!(name(device, null_mut(), 96), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
        for made_up in [null_mut(), 0x1234 as nvmlDevice_t] {
            assert_eq!(name(made_up, buffer.as_mut_ptr(), 96), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
        }

        // A structure's version is its size and its number; neither may be another one.
        let memory = library.nvmlDeviceGetMemoryInfo_v2.as_ref().unwrap();
        let mut info: nvmlMemory_v2_t = zeroed();
        for version in [0, 40, 40 | 1 << 24, 48 | 2 << 24] {
            info.version = version;
            assert_eq!(memory(device, &mut info), nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "{version:#x}");
            assert_eq!(info.total, 0);
        }
        info.version = 40 | 2 << 24;
        assert_eq!(memory(device, &mut info), 0);
        assert_eq!(info.total, 81559 << 20);
        let fabric = library.nvmlDeviceGetGpuFabricInfoV.as_ref().unwrap();
        let mut info: nvmlGpuFabricInfo_v3_t = zeroed();
        for (version, result) in [
            (size_of::<nvmlGpuFabricInfo_v2_t>() as u32 | 2 << 24, 0),
            (size_of::<nvmlGpuFabricInfo_v3_t>() as u32 | 3 << 24, 0),
            (
                size_of::<nvmlGpuFabricInfo_v3_t>() as u32 | 2 << 24,
                nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
            ),
        ] {
            info.version = version;
            assert_eq!(fabric(device, &mut info), result, "{version:#x}");
        }

        // Whatever writes is not supported, and says so with arguments of any number.
        let set = library.nvmlDeviceSetPowerManagementLimit.as_ref().unwrap();
        assert_eq!(set(device, 100_000), nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
        let state = library.nvmlDeviceGetNvLinkState.as_ref().unwrap();
        let mut active = 0;
        assert_eq!(state(device, 18, &mut active), nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);

        let shutdown = library.nvmlShutdown.as_ref().unwrap();
        assert_eq!((shutdown(), get_count(&mut count)), (0, 0), "the first of two users");
        assert_eq!((shutdown(), get_count(&mut count)), (0, nvmlReturn_enum_NVML_ERROR_UNINITIALIZED));
    }
}

#[test]
fn structures_have_the_sizes_of_nvml_h() {
    let sizes = [
        (size_of::<nvmlPciInfo_t>(), 68),
        (size_of::<nvmlPciInfoExt_v1_t>(), 64),
        (size_of::<nvmlMemory_v2_t>(), 40),
        (size_of::<nvmlBAR1Memory_t>(), 24),
        (size_of::<nvmlFanSpeedInfo_v1_t>(), 12),
        (size_of::<nvmlGpuFabricInfo_v2_t>(), 36),
        (size_of::<nvmlGpuFabricInfo_v3_t>(), 40),
        (size_of::<nvmlPlatformInfo_v2_t>(), 44),
        (size_of::<nvmlEccSramErrorStatus_v1_t>(), 104),
        (size_of::<nvmlRowRemapperHistogramValues_t>(), 20),
        (size_of::<nvmlPdi_v1_t>(), 16),
        (size_of::<nvmlRepairStatus_v1_t>(), 12),
        (size_of::<nvmlFieldValue_t>(), 40),
        (size_of::<nvmlConfComputeGpuCertificate_t>(), 9224),
    ];
    for (index, (size, expected)) in sizes.into_iter().enumerate() {
        assert_eq!(size, expected, "structure {index}");
    }
}

#[test]
fn a_call_that_hangs_hangs_alone() {
    let running = Running::shipped("fault-hang");
    // The hanging thread keeps the library for the rest of the process.
    let nvml: &'static Nvml = Box::leak(Box::new(running.nvml().unwrap()));
    let (done, waits) = mpsc::channel();
    thread::spawn(move || {
        let usage = nvml.device_by_index(2).and_then(|it| it.power_usage());
        let _ = done.send(usage.is_ok());
    });
    assert!(waits.recv_timeout(Duration::from_millis(300)).is_err(), "it came back");
    for index in [0, 1, 3] {
        assert_eq!(nvml.device_by_index(index).unwrap().power_usage().unwrap(), 100_890);
    }
    assert_eq!(
        nvml.device_by_index(2).unwrap().fan_speed(0).unwrap_err().to_string(),
        NvmlError::NotSupported.to_string()
    );
}

#[test]
fn a_lost_gpu_stays_lost_and_alone() {
    let running = Running::shipped("fault-lost-gpu");
    let nvml = running.nvml().unwrap();
    let device = nvml.device_by_index(1).unwrap();
    for call in 2..=10 {
        assert!(device.uuid().is_ok(), "call {call}");
    }
    assert!(matches!(device.uuid(), Err(NvmlError::GpuLost)));
    assert!(matches!(device.power_usage(), Err(NvmlError::GpuLost)));
    assert!(matches!(nvml.device_by_index(1), Err(NvmlError::GpuLost)));
    assert!(nvml.device_by_index(2).unwrap().uuid().is_ok());
}

#[test]
fn calls_fail_with_the_error_of_the_rig() {
    let running = Running::shipped("fault-denied");
    let nvml = running.nvml().unwrap();
    assert!(matches!(nvml.device_by_index(0).unwrap().validate_info_rom(), Err(NvmlError::NoPermission)));
    drop((nvml, running));
    let running = Running::shipped("fault-init");
    assert!(matches!(running.nvml(), Err(NvmlError::LibRmVersionMismatch)));
}

#[test]
fn there_may_be_no_gpu_or_sixty_four() {
    let running = Running::shipped("fault-no-gpus");
    let nvml = running.nvml().unwrap();
    assert_eq!(nvml.device_count().unwrap(), 0);
    assert!(matches!(nvml.device_by_index(0), Err(NvmlError::InvalidArg)));
    drop((nvml, running));
    let running = Running::shipped("fault-64-gpus");
    let nvml = running.nvml().unwrap();
    let uuids: std::collections::HashSet<String> =
        (0..64).map(|index| nvml.device_by_index(index).unwrap().uuid().unwrap()).collect();
    assert_eq!(uuids.len(), 64);
    let sixty_five = "title = \"\"\nabout = \"\"\nexpect.genuine = true\n[[gpu]]\nlike = \"l40s\"\ncount = 65";
    assert!(Rig::parse(sixty_five).is_err());
}

#[test]
fn hostile_strings_come_as_they_are_and_never_behind_the_buffer() {
    let running = Running::shipped("fault-hostile-strings");
    let nvml = running.nvml().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    let mut buffer = [0x55u8; 100];
    // SAFETY: the buffer is longer than it is said to be.
    let result =
        unsafe { nvml.lib().nvmlDeviceGetName.as_ref().unwrap()(device.handle(), buffer.as_mut_ptr().cast(), 96) };
    assert_eq!(result, 0);
    assert!(buffer.starts_with(b"\xff\xfeA\x1b[31m\xff\xfe"));
    assert!(!buffer[..96].contains(&0) && buffer[96..] == [0x55; 4], "no NUL, and nothing behind");
    // 4 KiB do not fit into any buffer that nvml.h names.
    assert!(matches!(device.serial(), Err(NvmlError::InsufficientSize(_))));
    assert_eq!(device.uuid().unwrap(), "GPU-\n\r", "what follows a NUL is not part of it");
    assert!(matches!(device.info_rom_version(InfoRom::OEM), Err(NvmlError::Utf8Error(_))));
    assert!(device.vbios_version().unwrap().contains('\u{1b}'));
}

#[test]
fn values_change_between_reads_by_calls_and_by_time() {
    let running = Running::shipped("fault-unstable");
    let nvml = running.nvml().unwrap();
    let [first, second] = [0, 1].map(|index| nvml.device_by_index(index).unwrap());
    let reads = [second.uuid().unwrap(), second.uuid().unwrap(), second.uuid().unwrap()];
    assert!(reads[0] != reads[1] && reads[1] == reads[2], "{reads:?}");
    assert_eq!(first.uuid().unwrap(), first.uuid().unwrap());
    assert_eq!(second.memory_info().unwrap().total >> 20, 81559);
    assert_eq!(second.memory_info().unwrap().total >> 20, 163_118);
    drop(nvml);
    drop(running);

    let running = Running::text(
        "[[gpu]]\nlike = \"h100-sxm\"\n[[change]]\nafter_ms = 200\nfield = \"temperature.gpu_celsius\"\nvalue = 91",
    );
    let nvml = running.nvml().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 30);
    thread::sleep(Duration::from_millis(250));
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 91);
}

#[test]
fn partitions_have_handles_of_their_own() {
    let running = Running::text("[[gpu]]\nlike = \"h100-sxm\"\nmig = { enabled = true, devices = 2 }");
    let nvml = running.nvml().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    let partition = device.mig_device_by_index(1).unwrap();
    assert!(partition.mig_is_mig_device_handle().unwrap() && !device.mig_is_mig_device_handle().unwrap());
    assert!(partition.uuid().unwrap().starts_with("MIG-00000002-"));
    assert_eq!(partition.mig_parent_device().unwrap().uuid().unwrap(), device.uuid().unwrap());
    assert!(matches!(device.mig_device_by_index(2), Err(NvmlError::NotFound)));
}

#[test]
fn a_rig_that_is_wrong_is_refused_with_its_place() {
    let head = "title = \"\"\nabout = \"\"\nexpect.genuine = true\n";
    for (text, says) in [
        ("[[gpu]]\nlike = \"h101\"", "no profile h101"),
        ("[[gpu]]\nlike = \"h100-sxm\"\nserail = \"1\"", "serail"),
        ("[[gpu]]\nlike = \"h100-sxm\"\nunset = [\"fans\"]", "no fans"),
        ("[[gpu]]\nlike = \"h100-sxm\"\ncount = 20", "bus"),
        ("[driver]\nmissing = [\"nvmlDeviceGetSoul\"]", "nvmlDeviceGetSoul"),
        ("[[gpu]]\nlike = \"h100-sxm\"\n[[change]]\nfield = \"power.draw\"\nvalue = 1", "power.draw"),
        ("[[gpu]]\nlike = \"h100-sxm\"\n[[fault]]\ngpu = 1\neffect = \"hang\"", "no GPU"),
        ("[[gpu]]\nlike = \"h100-sxm\"\n[[fault]]\neffect.error = 0", "success"),
    ] {
        let error = format!("{:#}", Rig::parse(&format!("{head}{text}")).unwrap_err());
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn the_launcher_gives_arguments_surroundings_and_the_exit_code_and_leaves_nothing() {
    let script = "test -e $LD_LIBRARY_PATH/libnvidia-ml.so.1 && echo $YANJI_ROOT && ls $YANJI_ROOT && exit 7";
    let ran = Command::new(env!("CARGO_BIN_EXE_vgpu"))
        .args(["rtx-4090-48gb-x8", "--", "-c", script])
        .env("VGPU_YANJI", "/bin/sh")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    let stdout = String::from_utf8(ran.stdout).unwrap();
    let mut lines = stdout.lines();
    let root = PathBuf::from(lines.next().unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), ["proc", "sys"]);
    assert!(!root.parent().unwrap().exists());

    let ran = Command::new(env!("CARGO_BIN_EXE_vgpu")).args(["no-such-rig"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8(ran.stderr).unwrap().contains("no-such-rig"));
}
