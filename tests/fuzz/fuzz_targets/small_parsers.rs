//! Every parser of one file: configuration space, CPUID dump, NVMe Identify, smartctl, text of procfs and sysfs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::evidence::Reading;
use yanji::parse::{cpuid, cpuinfo, meminfo, nvme_identify, pci_config, smartctl};

fuzz_target!(|input: &[u8]| {
    if let Reading::Known(config) = pci_config::ConfigSpace::new(input) {
        let _ = (config.class(), config.subsystem(), config.link_capability(), config.link_status());
        let _ = (config.slot_number(), config.serial_number(), config.resizable_bar());
    }
    if let Some(dump) = cpuid::Dump::parse(input) {
        let _ = (dump.vendor(), dump.brand(), dump.signature(), dump.hypervisor(), dump.hypervisor_vendor());
    }
    let _ = (nvme_identify::controller(input), nvme_identify::namespace(input), smartctl::parse(input));
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = (cpuinfo::parse(text), meminfo::total_bytes(text), pci_config::bar_bytes(text));
    }
});
