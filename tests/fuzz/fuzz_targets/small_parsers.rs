//! Every parser of one file: configuration space, CPUID dump, NVMe Identify, smartctl, Redfish and FRU, a chip's registers, text of procfs
//! and sysfs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::evidence::Reading;
use yanji::parse::{
    cpuid, cpuinfo, ipmi_fru, meminfo, nvidia_version, nvme_cli, nvme_identify, nvme_smart_log, pci_config, pmc_boot,
    proc_information, redfish, smartctl, smartctl_text,
};

fuzz_target!(|input: &[u8]| {
    if let Reading::Known(config) = pci_config::ConfigSpace::new(input) {
        let _ = (config.class(), config.subsystem(), config.link_capability(), config.link_status());
        let _ = (config.slot_number(), config.serial_number(), config.resizable_bar());
    }
    if let Some(dump) = cpuid::Dump::parse(input) {
        let _ = (dump.vendor(), dump.brand(), dump.signature(), dump.hypervisor(), dump.hypervisor_vendor());
    }
    let _ = (nvme_identify::controller(input), nvme_identify::namespace(input), smartctl::parse(input));
    let _ = (nvme_smart_log::health(input), nvme_smart_log::self_tests(input), smartctl::offers_farm(input));
    if let Ok(json) = serde_json::from_slice(input) {
        nvme_cli::read(&json);
    }
    let _ = (redfish::page(input), redfish::module(input), redfish::processor(input), redfish::identity(input));
    if let Some(&[a, b, c, d]) = input.first_chunk() {
        let register = u32::from_le_bytes([a, b, c, d]);
        let _ = (pmc_boot::chip(register), pmc_boot::real(register));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = (cpuinfo::parse(text), meminfo::total_bytes(text), pci_config::bar_bytes(text));
        let _ = (smartctl_text::recognise(text), smartctl_text::parse(text));
        let _ = (nvidia_version::parse(text), proc_information::parse(text), ipmi_fru::modules(text));
    }
});
