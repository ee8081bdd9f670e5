//! Pure parsers: bytes or text in, structures out. No I/O, no panics, no unbounded sizes.

pub mod cpuid;
pub mod cpuinfo;
pub mod device_query;
pub mod ipmi_fru;
pub mod lspci;
pub mod meminfo;
pub mod nvflash;
pub mod nvidia_smi;
pub mod nvidia_version;
pub mod nvme_identify;
pub mod nvml;
pub mod pci_config;
pub mod plain_text;
pub mod pmc_boot;
pub mod proc_information;
pub mod redfish;
pub mod smartctl;
pub mod smbios;
pub mod vbios;
