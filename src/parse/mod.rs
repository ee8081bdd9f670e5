//! Pure parsers: bytes or text in, structures out. No I/O, no panics, no unbounded sizes.

pub mod cpuid;
pub mod cpuinfo;
pub mod meminfo;
pub mod nvflash;
pub mod nvme_identify;
pub mod pci_config;
pub mod smartctl;
pub mod smbios;
pub mod vbios;
