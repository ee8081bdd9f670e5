//! The peer of `benches/nvml.sh`: nvml-wrapper in a bare loop over the calls that an inspection makes of each GPU. Those
//! that the wrapper lacks are left out, in its favour.

use std::hint::black_box;
use std::time::Instant;

use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, InfoRom, MemoryError, MemoryLocation, P2pCapabilitiesIndex, RetirementCause, TemperatureSensor,
    TemperatureThreshold,
};
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::{Device, Nvml};

/// Counts answers and refusals alike, and keeps the optimiser away.
#[derive(Default)]
struct Calls(u64);

impl Calls {
    fn made<T>(&mut self, answer: Result<T, NvmlError>) -> Option<T> {
        self.0 += 1;
        black_box(answer).ok()
    }
}

fn main() -> Result<(), NvmlError> {
    let begun = Instant::now();
    let mut calls = Calls::default();
    // As the inspection asks for it; the wrapper's own choice is the name without a version.
    let nvml = Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init()?;
    calls.made(nvml.sys_driver_version());
    calls.made(nvml.sys_nvml_version());
    calls.made(nvml.sys_cuda_driver_version());
    let devices: Vec<Device<'_>> =
        (0..nvml.device_count()?).filter_map(|index| calls.made(nvml.device_by_index(index))).collect();
    for device in &devices {
        identity(device, &mut calls);
        everything(device, &mut calls);
        for (index, peer) in devices.iter().enumerate() {
            if device.index().ok() != Some(index as u32) {
                calls.made(device.p2p_status(peer, P2pCapabilitiesIndex::Read));
            }
        }
    }
    for device in &devices {
        identity(device, &mut calls);
    }
    println!("{} calls on {} GPUs in {:.2} ms", calls.0, devices.len(), begun.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn identity(device: &Device<'_>, calls: &mut Calls) {
    calls.made(device.name());
    calls.made(device.uuid());
    calls.made(device.serial());
    calls.made(device.board_part_number());
    calls.made(device.vbios_version());
    calls.made(device.pci_info());
    calls.made(device.memory_info());
}

fn everything(device: &Device<'_>, calls: &mut Calls) {
    calls.made(device.brand());
    calls.made(device.board_id());
    calls.made(device.is_multi_gpu_board());
    calls.made(device.architecture());
    calls.made(device.cuda_compute_capability());
    calls.made(device.num_cores());
    calls.made(device.memory_bus_width());
    calls.made(device.minor_number());
    calls.made(device.info_rom_image_version());
    for object in [InfoRom::OEM, InfoRom::ECC, InfoRom::Power] {
        calls.made(device.info_rom_version(object));
    }
    calls.made(device.validate_info_rom());
    calls.made(device.config_checksum());
    calls.made(device.bar1_memory_info());
    for clock in [Clock::Graphics, Clock::SM, Clock::Memory, Clock::Video] {
        calls.made(device.clock_info(clock));
        calls.made(device.max_clock_info(clock));
    }
    calls.made(device.current_throttle_reasons());
    calls.made(device.performance_state());
    calls.made(device.power_usage());
    calls.made(device.power_management_limit_constraints());
    calls.made(device.power_management_limit_default());
    calls.made(device.power_management_limit());
    calls.made(device.enforced_power_limit());
    calls.made(device.total_energy_consumption());
    calls.made(device.temperature(TemperatureSensor::Gpu));
    calls.made(device.field_values_for(&[FieldId(82)]));
    for threshold in [
        TemperatureThreshold::Shutdown,
        TemperatureThreshold::Slowdown,
        TemperatureThreshold::MemoryMax,
        TemperatureThreshold::GpuMax,
    ] {
        calls.made(device.temperature_threshold(threshold));
    }
    for fan in 0..calls.made(device.num_fans()).unwrap_or(0) {
        calls.made(device.fan_speed(fan));
        calls.made(device.fan_speed_rpm(fan));
        calls.made(device.min_max_fan_speed());
    }
    calls.made(device.is_ecc_enabled());
    for counter in [EccCounter::Volatile, EccCounter::Aggregate] {
        for error in [MemoryError::Corrected, MemoryError::Uncorrected] {
            calls.made(device.total_ecc_errors(error, counter));
            for location in [
                MemoryLocation::L1Cache,
                MemoryLocation::L2Cache,
                MemoryLocation::Device,
                MemoryLocation::RegisterFile,
                MemoryLocation::Texture,
                MemoryLocation::Shared,
                MemoryLocation::Cbu,
                MemoryLocation::SRAM,
            ] {
                calls.made(device.memory_error_counter(error, counter, location));
            }
        }
    }
    calls.made(device.retired_pages(RetirementCause::MultipleSingleBitEccErrors));
    calls.made(device.retired_pages(RetirementCause::DoubleBitEccError));
    calls.made(device.are_pages_pending_retired());
    calls.made(device.current_pcie_link_gen());
    calls.made(device.current_pcie_link_width());
    calls.made(device.max_pcie_link_gen());
    calls.made(device.max_pcie_link_width());
    calls.made(device.pcie_replay_counter());
    for number in 0..18 {
        let link = device.link_wrapper_for(number);
        if calls.made(link.is_active()).is_none() {
            continue;
        }
        calls.made(link.version());
        calls.made(link.remote_pci_info());
        for counter in
            [ErrorCounter::DlReplay, ErrorCounter::DlRecovery, ErrorCounter::DlCrcFlit, ErrorCounter::DlCrcData]
        {
            calls.made(link.error_counter(counter));
        }
    }
    calls.made(device.gsp_firmware_version());
    calls.made(device.mig_mode());
    calls.made(device.virtualization_mode());
    calls.made(device.is_in_persistent_mode());
    calls.made(device.compute_mode());
}
