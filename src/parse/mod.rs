//! Pure parsers: bytes or text in, structures out. No I/O, no panics, no unbounded sizes.

pub mod cpuid;
pub mod cpuinfo;
pub mod decode_dimms;
pub mod device_query;
pub mod jep106;
pub mod lshw;
pub mod lspci;
pub mod meminfo;
pub mod nvflash;
pub mod nvidia_smi;
pub mod nvidia_version;
pub mod nvme_identify;
pub mod nvml;
pub mod pci_address;
pub mod pci_config;
pub mod plain_text;
pub mod pmc_boot;
pub mod proc_information;
pub mod smartctl;
pub mod smbios;
pub mod spd;
pub mod vbios;
