//! Recorded machines made from named fields, so that a test says only what it varies.
//!
//! ```text
//! let mut machine = RecordedMachine::server();
//! machine.dimms[3].serial = machine.dimms[2].serial.clone();
//! let evidence = yanji::collect::collect(&machine.host());
//! ```

mod nvidia;
pub mod smbios;
pub mod spd;
pub mod swtpm;
pub mod tpm;
pub mod tsa;
pub mod vbios;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use smbios::Structure;
use yanji::host::{Capture, Query, RecordedHost};

pub use nvidia::{NvidiaDriver, NvidiaGpu};

/// A machine as its parts. All fields are there to be changed.
#[derive(Debug, Clone)]
pub struct RecordedMachine {
    pub manufacturer: String,
    pub product: String,
    pub serial: String,
    pub uuid: [u8; 16],
    pub board_serial: String,
    pub chassis_serial: String,
    pub bios_version: String,
    pub cpus: Vec<Cpu>,
    pub dimms: Vec<Dimm>,
    /// Slots that are empty, beside those with a module.
    pub empty_slots: usize,
    /// `MemTotal`; less than the modules' sum by what firmware and kernel keep.
    pub meminfo_bytes: Option<u64>,
    /// Memory that the memory controllers count; `None` without their driver.
    pub edac_bytes: Option<u64>,
    pub functions: Vec<PciFunction>,
    pub drives: Vec<Drive>,
    pub nics: Vec<Nic>,
    pub psus: Vec<Psu>,
    /// What NVML and the kernel module say; `None` for a machine whose driver nobody asked.
    pub nvidia: Option<NvidiaDriver>,
    /// Vendor text of the hypervisor, 12 characters.
    pub hypervisor: Option<String>,
    pub effective_user: u32,
    files: BTreeMap<String, Vec<u8>>,
    denied: Vec<String>,
    removed: Vec<String>,
}

/// A processor in a socket.
#[derive(Debug, Clone)]
pub struct Cpu {
    pub vendor: String,
    pub brand: String,
    /// EAX of CPUID leaf 1.
    pub eax: u32,
    /// What SMBIOS says of it; the same as CPUID's on an honest machine.
    pub smbios_version: String,
    pub smbios_eax: u32,
    pub microcode: String,
    pub ppin: Option<String>,
    pub cores: u32,
    pub threads_per_core: u32,
    pub socket: String,
}

/// A memory module.
#[derive(Debug, Clone)]
pub struct Dimm {
    pub locator: String,
    pub bank: String,
    pub size_bytes: u64,
    /// Code of DSP0134 7.18.2: 0x1a DDR4, 0x22 DDR5.
    pub kind: u8,
    pub speed_mts: u16,
    pub configured_mts: u16,
    pub manufacturer: String,
    pub part_number: String,
    pub serial: String,
    pub asset_tag: String,
    pub ranks: u8,
    pub total_width_bits: u16,
    pub data_width_bits: u16,
}

/// Width and PCI Express generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    pub width: u8,
    pub generation: u8,
}

/// A PCI function with a PCI Express capability, or without one when it has no link.
#[derive(Debug, Clone)]
pub struct PciFunction {
    pub address: String,
    /// Address of the port above.
    pub port: Option<String>,
    pub vendor_id: u16,
    pub device_id: u16,
    pub subsystem: (u16, u16),
    pub class: u32,
    pub revision: u8,
    /// What the link can do and what it does.
    pub link: Option<(Lanes, Lanes)>,
    pub serial_number: Option<u64>,
    /// log2 of the set and the largest size in MiB of BAR 1.
    pub resizable_bar: Option<(u8, u8)>,
    pub bar_bytes: Vec<u64>,
    pub driver: Option<String>,
    /// Physical slot number; makes the function a root port.
    pub slot: Option<u16>,
    pub numa_node: i32,
    /// Register PMC_BOOT_0 of a NVIDIA chip; refused without privilege.
    pub boot0: Option<u32>,
    /// Option ROM; refused without privilege.
    pub rom: Option<Vec<u8>>,
}

/// A drive. NVMe when the name starts so, SATA otherwise.
#[derive(Debug, Clone)]
pub struct Drive {
    pub name: String,
    /// Address of its PCI function.
    pub address: String,
    pub model: String,
    pub serial: String,
    pub firmware: String,
    pub wwid: String,
    pub size_bytes: u64,
    pub rotational: bool,
    /// PCI vendor id in NVMe Identify.
    pub nvme_vendor_id: u16,
    pub power_on_hours: u64,
    pub power_cycles: u64,
    pub percentage_used: u64,
    pub data_units_written: u64,
    pub passed: bool,
    /// Whether smartctl is installed and answers.
    pub smartctl: bool,
}

/// A network interface.
#[derive(Debug, Clone)]
pub struct Nic {
    pub name: String,
    pub address: String,
    pub mac: String,
    /// When it differs from the address in use.
    pub permanent_mac: Option<String>,
    pub driver: String,
    pub firmware: String,
    pub speed_mbps: i64,
}

/// A power supply.
#[derive(Debug, Clone)]
pub struct Psu {
    pub manufacturer: String,
    pub model: String,
    pub serial: String,
    pub max_watts: u16,
}

impl RecordedMachine {
    /// A machine with nothing in it: no CPU, no table, no device.
    pub fn empty() -> Self {
        Self {
            manufacturer: String::new(),
            product: String::new(),
            serial: String::new(),
            uuid: [0; 16],
            board_serial: String::new(),
            chassis_serial: String::new(),
            bios_version: String::new(),
            cpus: Vec::new(),
            dimms: Vec::new(),
            empty_slots: 0,
            meminfo_bytes: None,
            edac_bytes: None,
            functions: Vec::new(),
            drives: Vec::new(),
            nics: Vec::new(),
            psus: Vec::new(),
            nvidia: None,
            hypervisor: None,
            effective_user: 0,
            files: BTreeMap::new(),
            denied: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// A plausible healthy server, read as root: 2 Xeon Platinum 8480+, 16 modules of 64 GiB, an NVMe drive, a network
    /// card and an H100 PCIe with NVIDIA's driver.
    pub fn server() -> Self {
        let installed = 16u64 << 36;
        Self {
            manufacturer: "Supermicro".to_owned(),
            product: "SYS-421GE-TNRT".to_owned(),
            serial: "S483921X3A01234".to_owned(),
            uuid: *b"\x00\x2e\x1c\x80\xa5\x31\x11\xee\x80\x00\x3c\xec\xef\x01\x02\x03",
            board_serial: "WM23AS001234".to_owned(),
            chassis_serial: "C4180FM28NB0042".to_owned(),
            bios_version: "2.1".to_owned(),
            cpus: (0..2).map(Cpu::xeon).collect(),
            dimms: (0..16).map(Dimm::ddr5).collect(),
            empty_slots: 16,
            meminfo_bytes: Some(installed - installed / 64),
            edac_bytes: Some(installed),
            functions: vec![
                PciFunction::root_port("0000:15:01.0", 3, Lanes { width: 16, generation: 5 }),
                PciFunction::h100("0000:16:00.0", "0000:15:01.0", 0x48b0_2d12_3456_0001),
                PciFunction::root_port("0000:25:01.0", 7, Lanes { width: 4, generation: 4 }),
                PciFunction::pm9a3("0000:26:00.0", "0000:25:01.0"),
                PciFunction::root_port("0000:35:01.0", 9, Lanes { width: 16, generation: 4 }),
                PciFunction::connectx6("0000:36:00.0", "0000:35:01.0"),
                PciFunction::management_vga("0000:04:00.0"),
            ],
            drives: vec![Drive::pm9a3("nvme0n1", "0000:26:00.0")],
            nics: vec![Nic {
                name: "ens9f0np0".to_owned(),
                address: "0000:36:00.0".to_owned(),
                mac: "b8:3f:d2:11:22:33".to_owned(),
                permanent_mac: None,
                driver: "mlx5_core".to_owned(),
                firmware: "22.39.1002 (MT_0000000359)".to_owned(),
                speed_mbps: 100_000,
            }],
            psus: (0..2)
                .map(|index| Psu {
                    manufacturer: "SUPERMICRO".to_owned(),
                    model: "PWS-2K08A-1R".to_owned(),
                    serial: format!("P2K8ACM30CT{:04}", 1201 + index * 7),
                    max_watts: 2000,
                })
                .collect(),
            nvidia: Some(NvidiaDriver::new(vec![NvidiaGpu::h100("0000:16:00.0")])),
            ..Self::empty()
        }
    }

    /// The same server with a chip and a VBIOS that answer.
    pub fn gpu_server() -> Self {
        let mut machine = Self::server();
        machine.functions[1].boot0 = Some(0x1800_00a1);
        let image = vbios::VbiosImage {
            device_id: 0x2331,
            subsystem: (0x10de, 0x1626),
            version: [0x96, 0x00, 0x5e, 0x00, 0x01],
            ..vbios::VbiosImage::rtx3080()
        };
        machine.functions[1].rom = Some(image.build());
        machine
    }

    /// The same machine read without privilege: no SMBIOS table, no serial number in DMI, the first 64 bytes of each
    /// configuration space, no ioctl and no smartctl.
    pub fn unprivileged(mut self) -> Self {
        self.effective_user = 1000;
        for path in [
            "/sys/firmware/dmi/tables/DMI",
            "/sys/firmware/dmi/tables/smbios_entry_point",
            "/sys/class/dmi/id/product_serial",
            "/sys/class/dmi/id/product_uuid",
            "/sys/class/dmi/id/board_serial",
            "/sys/class/dmi/id/chassis_serial",
        ] {
            self = self.deny(path);
        }
        self
    }

    /// The same machine under a hypervisor: `KVMKVMKVM`, `Microsoft Hv`.
    pub fn under_hypervisor(mut self, vendor: &str) -> Self {
        self.hypervisor = Some(vendor.to_owned());
        self
    }

    /// Sets the content of a file after everything else.
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// SPD images as the kernel shows them: eight on each bus from bus 0 on, from address 50h on; each reads the same
    /// twice. Bus 0 is there without an image as well.
    pub fn images(mut self, images: &[Vec<u8>]) -> Self {
        for (index, image) in images.iter().enumerate() {
            let path = format!("/sys/bus/i2c/devices/{}-005{}/eeprom", index / 8, index % 8);
            self = self.file(&Query::FileAgain { path: path.clone() }.path(), image.clone()).file(&path, image.clone());
        }
        for bus in 0..images.len().div_ceil(8).max(1) {
            self = self.file(&format!("/sys/bus/i2c/devices/i2c-{bus}/name"), "SMBus I801 adapter at efa0\n");
        }
        self
    }

    /// Refuses a file, a folder listing or a link.
    pub fn deny(mut self, path: &str) -> Self {
        self.denied.push(path.to_owned());
        self
    }

    /// Takes a file or a folder away.
    pub fn remove(mut self, path: &str) -> Self {
        self.removed.push(path.to_owned());
        self
    }

    /// Changes fields in the middle of a chain.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The raw answers.
    pub fn capture(&self) -> Capture {
        let mut capture = Capture::default();
        self.add_platform(&mut capture);
        self.add_cpus(&mut capture);
        self.add_memory(&mut capture);
        for function in &self.functions {
            function.add(self.effective_user == 0, &mut capture);
        }
        for (index, drive) in self.drives.iter().enumerate() {
            drive.add(index, self.effective_user == 0, &mut capture);
        }
        for nic in &self.nics {
            nic.add(&mut capture);
        }
        if let Some(nvidia) = &self.nvidia {
            nvidia.add(&mut capture);
        }
        for path in &self.removed {
            capture.remove(path);
        }
        for (path, content) in &self.files {
            capture.insert(path, content.clone());
        }
        for path in &self.denied {
            capture.deny(path);
        }
        capture
    }

    /// The machine to collect from.
    pub fn host(&self) -> RecordedHost {
        RecordedHost::from(self.capture())
    }

    /// Writes a capture archive.
    pub fn archive(&self, path: &Path) {
        self.capture().write(fs::File::create(path).unwrap()).unwrap();
    }

    /// Writes a folder laid out like the root. Links and refusals are in its index.
    pub fn write(&self, folder: &Path) {
        let mut archive = Vec::new();
        self.capture().write(&mut archive).unwrap();
        let unpacked = zstd::stream::decode_all(&archive[..]).unwrap();
        tar::Archive::new(&unpacked[..]).unpack(folder).unwrap();
    }

    fn add_platform(&self, capture: &mut Capture) {
        capture.insert(Query::EffectiveUser.path(), self.effective_user.to_string());
        capture.insert("/proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
        capture.insert("/proc/sys/kernel/random/boot_id", "1b4e28ba-2fa1-11d2-883f-0016d3cca427\n");
        if self.product.is_empty() {
            return;
        }
        let uuid = hex::encode(self.uuid);
        let uuid = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]].join("-");
        for (name, text) in [
            ("sys_vendor", &self.manufacturer),
            ("product_name", &self.product),
            ("product_serial", &self.serial),
            ("product_uuid", &uuid),
            ("bios_version", &self.bios_version),
            ("board_serial", &self.board_serial),
            ("board_name", &"X13DEG-OA".to_owned()),
            ("chassis_serial", &self.chassis_serial),
        ] {
            capture.insert(format!("/sys/class/dmi/id/{name}"), format!("{text}\n"));
        }
        let table = self.smbios_table();
        let mut entry = b"_SM3_\0\x18\x03\x05\0\x01\0".to_vec();
        entry.extend_from_slice(&(table.len() as u32).to_le_bytes());
        entry.extend_from_slice(&0x0100_0000u64.to_le_bytes());
        entry[5] = 0u8.wrapping_sub(entry.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
        capture.insert("/sys/firmware/dmi/tables/DMI", table);
        capture.insert("/sys/firmware/dmi/tables/smbios_entry_point", entry);
    }

    /// The SMBIOS structure table, version 3.5.
    pub fn smbios_table(&self) -> Vec<u8> {
        let mut table = Vec::new();
        let mut add = |structure: Structure| table.extend(structure.bytes());
        add(Structure::new(0, 0x0000, 0x1a)
            .text(0x04, "American Megatrends International, LLC.")
            .text(0x05, &self.bios_version)
            .text(0x08, "12/06/2023"));
        let mut uuid = self.uuid;
        uuid[..4].reverse();
        uuid[4..6].reverse();
        uuid[6..8].reverse();
        add(Structure::new(1, 0x0001, 0x1b)
            .text(0x04, &self.manufacturer)
            .text(0x05, &self.product)
            .text(0x06, "0123456789")
            .text(0x07, &self.serial)
            .put(0x08, &uuid)
            .text(0x19, "To be filled by O.E.M."));
        add(Structure::new(2, 0x0002, 0x0f)
            .text(0x04, &self.manufacturer)
            .text(0x05, "X13DEG-OA")
            .text(0x06, "1.02")
            .text(0x07, &self.board_serial)
            .text(0x08, "Base Board Asset Tag"));
        add(Structure::new(3, 0x0003, 0x16)
            .text(0x04, &self.manufacturer)
            .put(0x05, &[0x17])
            .text(0x07, &self.chassis_serial));
        for (index, cpu) in self.cpus.iter().enumerate() {
            add(cpu.structure(0x0040 + index as u16));
        }
        let slots = (self.dimms.len() + self.empty_slots) as u16;
        let installed: u64 = self.dimms.iter().map(|dimm| dimm.size_bytes).sum();
        if slots > 0 {
            add(Structure::new(16, 0x0050, 0x17)
                .put(0x04, &[0x03, 0x03, 0x06])
                .put(0x07, &0x8000_0000u32.to_le_bytes())
                .put(0x0b, &0xfffeu16.to_le_bytes())
                .put(0x0d, &slots.to_le_bytes())
                .put(0x0f, &(8u64 << 40).to_le_bytes()));
            add(Structure::new(19, 0x0051, 0x1f)
                .put(0x04, &[0xff; 8])
                .put(0x0c, &0x0050u16.to_le_bytes())
                .put(0x0e, &[1])
                .put(0x17, &installed.saturating_sub(1).to_le_bytes()));
        }
        for (index, dimm) in self.dimms.iter().enumerate() {
            add(dimm.structure(0x1100 + index as u16));
        }
        for index in 0..self.empty_slots {
            add(Structure::new(17, 0x1180 + index as u16, 0x64)
                .put(0x04, &0x0050u16.to_le_bytes())
                .text(0x10, &format!("empty slot {index}"))
                .text(0x17, "NO DIMM")
                .text(0x18, "NO DIMM")
                .text(0x1a, "NO DIMM"));
        }
        for (index, psu) in self.psus.iter().enumerate() {
            add(Structure::new(39, 0x2000 + index as u16, 0x16)
                .text(0x06, &format!("PWS-{}", index + 1))
                .text(0x07, &psu.manufacturer)
                .text(0x08, &psu.serial)
                .text(0x0a, &psu.model)
                .put(0x0c, &psu.max_watts.to_le_bytes())
                .put(0x0e, &0b10u16.to_le_bytes()));
        }
        add(Structure::new(127, 0xfeff, 4));
        table
    }

    fn add_cpus(&self, capture: &mut Capture) {
        let mut cpuinfo = String::new();
        let mut first = 0;
        for (package, cpu) in self.cpus.iter().enumerate() {
            let threads = cpu.cores * cpu.threads_per_core;
            let last = first + threads - 1;
            for core in 0..cpu.cores {
                let thread = first + core * cpu.threads_per_core;
                let topology = format!("/sys/devices/system/cpu/cpu{thread}/topology");
                let siblings = format!("{thread}-{}\n", thread + cpu.threads_per_core - 1);
                capture.insert(format!("{topology}/core_cpus_list"), siblings);
            }
            let topology = format!("/sys/devices/system/cpu/cpu{first}/topology");
            capture.insert(format!("{topology}/physical_package_id"), format!("{package}\n"));
            capture.insert(format!("{topology}/package_cpus_list"), format!("{first}-{last}\n"));
            match &cpu.ppin {
                Some(ppin) if self.effective_user == 0 => {
                    capture.insert(format!("{topology}/ppin"), format!("{ppin}\n"))
                }
                Some(_) => capture.deny(format!("{topology}/ppin")),
                None => {}
            }
            capture.insert(Query::Cpuid { cpu: first }.path(), cpu.cpuid(self.hypervisor.as_deref()));
            let signature = yanji::parse::cpuid::Signature::from_eax(cpu.eax);
            let hypervisor = if self.hypervisor.is_some() { " hypervisor" } else { "" };
            for thread in first..=last {
                cpuinfo.push_str(&format!(
                    "processor\t: {thread}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\n\
                     stepping\t: {}\nmicrocode\t: {}\nphysical id\t: {package}\nflags\t\t: fpu vme de{hypervisor}\n\n",
                    cpu.vendor, signature.family, signature.model, cpu.brand, signature.stepping, cpu.microcode,
                ));
            }
            first = last + 1;
        }
        if first > 0 {
            capture.insert("/sys/devices/system/cpu/online", format!("0-{}\n", first - 1));
            capture.insert("/proc/cpuinfo", cpuinfo);
        }
    }

    fn add_memory(&self, capture: &mut Capture) {
        const BLOCK_BYTES: u64 = 2 << 30;
        if let Some(bytes) = self.meminfo_bytes {
            capture.insert("/proc/meminfo", format!("MemTotal:       {} kB\nMemFree:  1 kB\n", bytes / 1024));
            capture.insert(Query::TotalMemory.path(), (bytes / 1024 * 1024).to_string());
        }
        let installed: u64 = self.dimms.iter().map(|dimm| dimm.size_bytes).sum();
        if installed > 0 {
            capture.insert("/sys/devices/system/memory/block_size_bytes", format!("{BLOCK_BYTES:x}\n"));
            for block in 0..installed / BLOCK_BYTES {
                capture.insert(format!("/sys/devices/system/memory/memory{block}/state"), "online\n");
            }
        }
        if let Some(bytes) = self.edac_bytes {
            let controllers = 4;
            for controller in 0..controllers {
                let folder = format!("/sys/devices/system/edac/mc/mc{controller}");
                capture.insert(format!("{folder}/size_mb"), format!("{}\n", (bytes >> 20) / controllers));
                capture.insert(format!("{folder}/ce_count"), "0\n");
                capture.insert(format!("{folder}/ue_count"), "0\n");
            }
        }
    }
}

impl Cpu {
    /// The Xeon Platinum 8480+ of a socket.
    pub fn xeon(socket: u32) -> Self {
        Self {
            vendor: "GenuineIntel".to_owned(),
            brand: "Intel(R) Xeon(R) Platinum 8480+".to_owned(),
            eax: 0x0008_06f8,
            smbios_version: "Intel(R) Xeon(R) Platinum 8480+".to_owned(),
            smbios_eax: 0x0008_06f8,
            microcode: "0x2b000603".to_owned(),
            ppin: Some(format!("0x{:016x}", 0x8b1d_66c2_04a3_57e1u64 + u64::from(socket) * 0x1f35)),
            cores: 56,
            threads_per_core: 2,
            socket: format!("CPU{}", socket + 1),
        }
    }

    fn structure(&self, handle: u16) -> Structure {
        Structure::new(4, handle, 0x30)
            .text(0x04, &self.socket)
            .put(0x05, &[0x03, 0xb3])
            .text(0x07, &self.vendor)
            .put(0x08, &self.smbios_eax.to_le_bytes())
            .put(0x0c, &0xbfeb_fbffu32.to_le_bytes())
            .text(0x10, &self.smbios_version)
            .put(0x14, &4000u16.to_le_bytes())
            .put(0x18, &[0x41])
            .put(0x23, &[self.cores.min(255) as u8, self.cores.min(255) as u8])
            .put(0x25, &[(self.cores * self.threads_per_core).min(255) as u8])
            .put(0x26, &0x00fcu16.to_le_bytes())
            .put(0x2a, &(self.cores as u16).to_le_bytes())
            .put(0x2c, &(self.cores as u16).to_le_bytes())
            .put(0x2e, &((self.cores * self.threads_per_core) as u16).to_le_bytes())
    }

    /// The records of [`Query::Cpuid`].
    pub fn cpuid(&self, hypervisor: Option<&str>) -> Vec<u8> {
        let mut records = CpuidRecords::default();
        let words = |text: &str, bytes: usize| -> Vec<u32> {
            let mut padded = text.as_bytes().to_vec();
            padded.resize(bytes, 0);
            padded.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
        };
        let vendor = words(&self.vendor, 12);
        records.add(0, 0, [0x20, vendor[0], vendor[2], vendor[1]]);
        let ecx = 0x7ffe_fbff | if hypervisor.is_some() { 1 << 31 } else { 0 };
        records.add(1, 0, [self.eax, 0x0080_0800, ecx, 0xbfeb_fbff]);
        if let Some(hypervisor) = hypervisor {
            let words = words(hypervisor, 12);
            records.add(0x4000_0000, 0, [0x4000_0001, words[0], words[1], words[2]]);
        }
        records.add(0x8000_0000, 0, [0x8000_0008, 0, 0, 0]);
        for (index, words) in words(&self.brand, 48).chunks(4).enumerate() {
            records.add(0x8000_0002 + index as u32, 0, words.try_into().unwrap());
        }
        records.bytes
    }
}

/// Records of [`Query::Cpuid`].
#[derive(Debug, Default)]
pub struct CpuidRecords {
    pub bytes: Vec<u8>,
}

impl CpuidRecords {
    /// Adds EAX, EBX, ECX, EDX of a leaf.
    pub fn add(&mut self, leaf: u32, subleaf: u32, registers: [u32; 4]) {
        for word in [leaf, subleaf].into_iter().chain(registers) {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Reads the text of an InstLatx64 dump: `CPUID 00000004: EAX-EBX-ECX-EDX [SL 01]`, the first CPU only.
    pub fn from_instlatx64(text: &str) -> Self {
        let mut records = Self::default();
        let mut seen = std::collections::BTreeMap::new();
        for line in text.lines() {
            let Some(rest) = line.trim().strip_prefix("CPUID ") else { continue };
            let Some((leaf, rest)) = rest.split_once(':') else { continue };
            let Ok(leaf) = u32::from_str_radix(leaf, 16) else { continue };
            let words: Vec<u32> = rest
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .split('-')
                .filter_map(|word| u32::from_str_radix(word, 16).ok())
                .collect();
            let Ok(registers) = <[u32; 4]>::try_from(words) else { continue };
            let next = seen.entry(leaf).or_insert(0);
            let subleaf = rest
                .split_once("[SL ")
                .and_then(|(_, rest)| u32::from_str_radix(rest.split_once(']')?.0.trim(), 16).ok())
                .unwrap_or(*next);
            *next += 1;
            records.add(leaf, subleaf, registers);
        }
        records
    }
}

impl Dimm {
    /// A Samsung module of 64 GiB, DDR5-4800, in one of 16 slots.
    pub fn ddr5(index: usize) -> Self {
        let (cpu, channel) = (index / 8 + 1, (b'A' + (index % 8) as u8) as char);
        Self {
            locator: format!("P{cpu}-DIMM{channel}1"),
            bank: format!("P{}_Node0_Channel{}_Dimm0", cpu - 1, index % 8),
            size_bytes: 64 << 30,
            kind: 0x22,
            speed_mts: 4800,
            configured_mts: 4800,
            manufacturer: "Samsung".to_owned(),
            part_number: "M321R8GA0BB0-CQKZJ".to_owned(),
            serial: format!("80CE012315{:08X}", 0x0346_9a1cu32.wrapping_add((index as u32).wrapping_mul(0x3b_47d5))),
            asset_tag: format!("P{cpu}-DIMM{channel}1_AssetTag (date:23/15)"),
            ranks: 2,
            total_width_bits: 80,
            data_width_bits: 64,
        }
    }

    fn structure(&self, handle: u16) -> Structure {
        let mebibytes = (self.size_bytes >> 20) as u32;
        let short = if mebibytes >= 0x7fff { 0x7fff } else { mebibytes as u16 };
        let extended = if short == 0x7fff { mebibytes } else { 0 };
        Structure::new(17, handle, 0x64)
            .put(0x04, &0x0050u16.to_le_bytes())
            .put(0x06, &0xfffeu16.to_le_bytes())
            .put(0x08, &self.total_width_bits.to_le_bytes())
            .put(0x0a, &self.data_width_bits.to_le_bytes())
            .put(0x0c, &short.to_le_bytes())
            .put(0x0e, &[0x09])
            .text(0x10, &self.locator)
            .text(0x11, &self.bank)
            .put(0x12, &[self.kind])
            .put(0x13, &0x2080u16.to_le_bytes())
            .put(0x15, &self.speed_mts.to_le_bytes())
            .text(0x17, &self.manufacturer)
            .text(0x18, &self.serial)
            .text(0x19, &self.asset_tag)
            .text(0x1a, &self.part_number)
            .put(0x1b, &[self.ranks])
            .put(0x1c, &extended.to_le_bytes())
            .put(0x20, &self.configured_mts.to_le_bytes())
    }
}

impl PciFunction {
    /// A function without driver, link or BAR.
    pub fn new(address: &str, vendor_id: u16, device_id: u16, class: u32) -> Self {
        Self {
            address: address.to_owned(),
            port: None,
            vendor_id,
            device_id,
            subsystem: (vendor_id, 0),
            class,
            revision: 0,
            link: None,
            serial_number: None,
            resizable_bar: None,
            bar_bytes: Vec::new(),
            driver: None,
            slot: None,
            numa_node: 0,
            boot0: None,
            rom: None,
        }
    }

    /// An Intel root port with a slot.
    pub fn root_port(address: &str, slot: u16, lanes: Lanes) -> Self {
        Self {
            link: Some((lanes, lanes)),
            slot: Some(slot),
            driver: Some("pcieport".to_owned()),
            ..Self::new(address, 0x8086, 0x352a, 0x060400)
        }
    }

    /// An NVIDIA H100 PCIe.
    pub fn h100(address: &str, port: &str, serial_number: u64) -> Self {
        let lanes = Lanes { width: 16, generation: 5 };
        Self {
            port: Some(port.to_owned()),
            subsystem: (0x10de, 0x1626),
            revision: 0xa1,
            link: Some((lanes, lanes)),
            serial_number: Some(serial_number),
            resizable_bar: Some((17, 17)),
            bar_bytes: vec![16 << 20, 128 << 30, 32 << 20],
            driver: Some("nvidia".to_owned()),
            ..Self::new(address, 0x10de, 0x2331, 0x030200)
        }
    }

    /// A Samsung PM9A3.
    pub fn pm9a3(address: &str, port: &str) -> Self {
        let lanes = Lanes { width: 4, generation: 4 };
        Self {
            port: Some(port.to_owned()),
            subsystem: (0x144d, 0xa813),
            link: Some((lanes, lanes)),
            bar_bytes: vec![32 << 10],
            driver: Some("nvme".to_owned()),
            ..Self::new(address, 0x144d, 0xa80a, 0x010802)
        }
    }

    /// A Mellanox ConnectX-6 Dx.
    pub fn connectx6(address: &str, port: &str) -> Self {
        let lanes = Lanes { width: 16, generation: 4 };
        Self {
            port: Some(port.to_owned()),
            subsystem: (0x15b3, 0x0083),
            link: Some((lanes, lanes)),
            bar_bytes: vec![32 << 20],
            driver: Some("mlx5_core".to_owned()),
            ..Self::new(address, 0x15b3, 0x101d, 0x020000)
        }
    }

    /// The VGA of an ASPEED management controller.
    pub fn management_vga(address: &str) -> Self {
        Self { driver: Some("ast".to_owned()), ..Self::new(address, 0x1a03, 0x2000, 0x030000) }
    }

    /// Configuration space of 4,096 bytes.
    pub fn config(&self) -> Vec<u8> {
        let mut config = vec![0; 4096];
        let mut put = |offset: usize, bytes: &[u8]| config[offset..offset + bytes.len()].copy_from_slice(bytes);
        let bridge = self.slot.is_some();
        put(0x00, &self.vendor_id.to_le_bytes());
        put(0x02, &self.device_id.to_le_bytes());
        // Bound functions decode memory accesses and are bus masters.
        put(0x04, &[if self.driver.is_some() { 0x06 } else { 0x00 }]);
        put(0x08, &(self.class << 8 | u32::from(self.revision)).to_le_bytes());
        put(0x0e, &[bridge.into()]);
        if !bridge {
            put(0x2c, &self.subsystem.0.to_le_bytes());
            put(0x2e, &self.subsystem.1.to_le_bytes());
        }
        let Some((max, now)) = self.link else { return config };
        put(0x06, &0x0010u16.to_le_bytes());
        put(0x34, &[0x40]);
        put(0x40, &[0x01, 0x60, 0x03, 0x00]);
        put(0x60, &[0x10, if bridge { 0x80 } else { 0x00 }]);
        put(0x62, &(2u16 | if bridge { 4 << 4 | 1 << 8 } else { 0 }).to_le_bytes());
        let register = |lanes: Lanes| u16::from(lanes.width) << 4 | u16::from(lanes.generation);
        put(0x6c, &u32::from(register(max)).to_le_bytes());
        put(0x72, &register(now).to_le_bytes());
        if let Some(slot) = self.slot {
            put(0x74, &(u32::from(slot) << 19).to_le_bytes());
            put(0x80, &[0x0d, 0x00, 0, 0]);
            put(0x84, &self.subsystem.0.to_le_bytes());
            put(0x86, &self.subsystem.1.to_le_bytes());
        }
        let mut extended = Vec::new();
        if let Some(number) = self.serial_number {
            extended.push((0x0003u32, number.to_le_bytes().to_vec()));
        }
        if let Some((current, largest)) = self.resizable_bar {
            let sizes = ((1u64 << (largest + 1)) - 1) as u32;
            let control = 1u32 | 1 << 5 | u32::from(current) << 8;
            extended.push((0x0015, [(sizes << 4).to_le_bytes(), control.to_le_bytes()].concat()));
        }
        let count = extended.len();
        for (index, (id, registers)) in extended.into_iter().enumerate() {
            let offset = 0x100 + index * 0x40;
            let next = if index + 1 < count { offset as u32 + 0x40 } else { 0 };
            put(offset, &(id | 1 << 16 | next << 20).to_le_bytes());
            put(offset + 4, &registers);
        }
        config
    }

    fn add(&self, privileged: bool, capture: &mut Capture) {
        let folder = format!("/sys/bus/pci/devices/{}", self.address);
        let above = self.port.as_ref().map(|port| format!("{port}/")).unwrap_or_default();
        capture.insert_link(&folder, format!("../../../devices/pci0000:00/{above}{}", self.address));
        let mut config = self.config();
        if !privileged {
            config.truncate(64);
        }
        capture.insert(format!("{folder}/config"), config);
        for (name, id) in [
            ("vendor", self.vendor_id),
            ("device", self.device_id),
            ("subsystem_vendor", self.subsystem.0),
            ("subsystem_device", self.subsystem.1),
        ] {
            capture.insert(format!("{folder}/{name}"), format!("{id:#06x}\n"));
        }
        capture.insert(format!("{folder}/class"), format!("{:#08x}\n", self.class));
        capture.insert(format!("{folder}/revision"), format!("{:#04x}\n", self.revision));
        capture.insert(format!("{folder}/numa_node"), format!("{}\n", self.numa_node));
        let mut resource = String::new();
        for index in 0..13 {
            match self.bar_bytes.get(index) {
                Some(bytes) => resource.push_str(&format!(
                    "0x{:016x} 0x{:016x} 0x{:016x}\n",
                    1u64 << 40,
                    (1u64 << 40) + bytes - 1,
                    0x14220c
                )),
                None => resource.push_str("0x0000000000000000 0x0000000000000000 0x0000000000000000\n"),
            }
        }
        capture.insert(format!("{folder}/resource"), resource);
        if let Some((max, now)) = self.link {
            for (which, lanes) in [("max", max), ("current", now)] {
                let speed = [
                    "Unknown",
                    "2.5 GT/s PCIe",
                    "5.0 GT/s PCIe",
                    "8.0 GT/s PCIe",
                    "16.0 GT/s PCIe",
                    "32.0 GT/s PCIe",
                    "64.0 GT/s PCIe",
                ];
                capture.insert(format!("{folder}/{which}_link_width"), format!("{}\n", lanes.width));
                capture.insert(
                    format!("{folder}/{which}_link_speed"),
                    format!("{}\n", speed[usize::from(lanes.generation)]),
                );
            }
        }
        let register = |offset| Query::PciRegister { address: self.address.clone(), bar: 0, offset }.path();
        let rom = Query::OptionRom { address: self.address.clone() }.path();
        match self.boot0 {
            Some(boot0) if privileged => {
                capture.insert(register(0), boot0.to_le_bytes());
                capture.insert(register(4), [0; 4]);
            }
            Some(_) => capture.deny(register(0)),
            None => {}
        }
        match &self.rom {
            Some(image) if privileged => capture.insert(rom, image.clone()),
            Some(_) => capture.deny(rom),
            None => {}
        }
        if let Some(driver) = &self.driver {
            capture.insert_link(format!("{folder}/driver"), format!("../../../../bus/pci/drivers/{driver}"));
        }
    }
}

impl Drive {
    /// A Samsung PM9A3 of 3.84 TB, nearly new.
    pub fn pm9a3(name: &str, address: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            model: "SAMSUNG MZQL23T8HCLS-00A07".to_owned(),
            serial: "S64HNT0W301234".to_owned(),
            firmware: "GDC5902Q".to_owned(),
            wwid: "eui.36344830573012340025384100000001".to_owned(),
            size_bytes: 3_840_755_982_336,
            rotational: false,
            nvme_vendor_id: 0x144d,
            power_on_hours: 6,
            power_cycles: 9,
            percentage_used: 0,
            data_units_written: 1_200,
            passed: true,
            smartctl: true,
        }
    }

    /// A Seagate Exos X16 behind SATA.
    pub fn exos(name: &str, address: &str) -> Self {
        Self {
            model: "ST16000NM001G-2KK103".to_owned(),
            serial: "ZL2A1B2C".to_owned(),
            firmware: "SN03".to_owned(),
            wwid: "naa.5000c500c1a2b3c4".to_owned(),
            size_bytes: 16_000_900_661_248,
            rotational: true,
            ..Self::pm9a3(name, address)
        }
    }

    fn is_nvme(&self) -> bool {
        self.name.starts_with("nvme")
    }

    fn add(&self, index: usize, privileged: bool, capture: &mut Capture) {
        let folder = format!("/sys/block/{}", self.name);
        let above = format!("../devices/pci0000:00/{}", self.address);
        capture.insert(format!("{folder}/size"), format!("{}\n", self.size_bytes / 512));
        capture.insert(format!("{folder}/queue/rotational"), format!("{}\n", u8::from(self.rotational)));
        if self.is_nvme() {
            let controller = format!("nvme{index}");
            capture.insert_link(&folder, format!("{above}/nvme/{controller}/{}", self.name));
            capture.insert_link(format!("{folder}/device"), format!("../../{controller}"));
            capture.insert(format!("{folder}/device/model"), format!("{:40}\n", self.model));
            capture.insert(format!("{folder}/device/serial"), format!("{:20}\n", self.serial));
            capture.insert(format!("{folder}/device/firmware_rev"), format!("{:8}\n", self.firmware));
            capture.insert(format!("{folder}/wwid"), format!("{}\n", self.wwid));
            capture.insert(format!("{folder}/nsid"), "1\n");
            let identify = |cns, namespace| Query::NvmeIdentify { controller: controller.clone(), cns, namespace };
            if privileged {
                let mut data = vec![0u8; 4096];
                data[..2].copy_from_slice(&self.nvme_vendor_id.to_le_bytes());
                data[2..4].copy_from_slice(&self.nvme_vendor_id.to_le_bytes());
                data[4..24].copy_from_slice(format!("{:20.20}", self.serial).as_bytes());
                data[24..64].copy_from_slice(format!("{:40.40}", self.model).as_bytes());
                data[64..72].copy_from_slice(format!("{:8.8}", self.firmware).as_bytes());
                capture.insert(identify(1, 0).path(), data);
                let mut data = vec![0u8; 4096];
                data[..8].copy_from_slice(&(self.size_bytes / 512).to_le_bytes());
                if let Some(Ok(id)) = self.wwid.strip_prefix("eui.").map(hex::decode) {
                    let offset = if id.len() == 16 { 104 } else { 120 };
                    data[offset..offset + id.len()].copy_from_slice(&id);
                }
                capture.insert(identify(0, 1).path(), data);
            } else {
                capture.deny(identify(1, 0).path());
                capture.deny(identify(0, 1).path());
            }
        } else {
            capture.insert_link(&folder, format!("{above}/ata1/host0/target0:0:0/0:0:0:0/block/{}", self.name));
            capture.insert_link(format!("{folder}/device"), "../../../0:0:0:0");
            capture.insert(format!("{folder}/device/model"), format!("{:16.16}\n", self.model));
            capture.insert(format!("{folder}/device/rev"), format!("{:4.4}\n", self.firmware));
            capture.insert(format!("{folder}/device/wwid"), format!("{}\n", self.wwid));
            let page = [&[0, 0x80, 0, self.serial.len() as u8], self.serial.as_bytes()].concat();
            capture.insert(format!("{folder}/device/vpd_pg80"), page);
        }
        let args = vec!["-j".to_owned(), "-x".to_owned(), format!("/dev/{}", self.name)];
        let smartctl = Query::Command { program: "smartctl".to_owned(), args };
        if self.smartctl {
            let json = if privileged { self.smartctl_json() } else { self.smartctl_refusal() };
            capture.insert(smartctl.path(), json.to_string());
        }
    }

    fn smartctl_refusal(&self) -> serde_json::Value {
        serde_json::json!({"smartctl": {"version": [7, 4], "exit_status": 2, "messages": [
            {"string": format!("Smartctl open device: /dev/{} failed: Permission denied", self.name), "severity": "error"}
        ]}})
    }

    fn smartctl_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "json_format_version": [1, 0],
            "smartctl": {"version": [7, 4], "exit_status": 0},
            "model_name": self.model,
            "serial_number": self.serial,
            "firmware_version": self.firmware,
            "logical_block_size": 512,
            "smart_status": {"passed": self.passed},
            "power_on_time": {"hours": self.power_on_hours},
            "power_cycle_count": self.power_cycles,
        });
        if self.is_nvme() {
            json["nvme_smart_health_information_log"] = serde_json::json!({
                "percentage_used": self.percentage_used,
                "data_units_written": self.data_units_written,
                "power_on_hours": self.power_on_hours,
                "power_cycles": self.power_cycles,
            });
        }
        json
    }
}

impl Nic {
    fn add(&self, capture: &mut Capture) {
        let folder = format!("/sys/class/net/{}", self.name);
        capture.insert_link(&folder, format!("../../devices/pci0000:00/{}/net/{}", self.address, self.name));
        capture.insert_link(format!("{folder}/device"), format!("../../../{}", self.address));
        capture.insert_link(format!("{folder}/device/driver"), format!("../../../../bus/pci/drivers/{}", self.driver));
        capture.insert(format!("{folder}/address"), format!("{}\n", self.mac));
        let assigned = if self.permanent_mac.is_some() { 3 } else { 0 };
        capture.insert(format!("{folder}/addr_assign_type"), format!("{assigned}\n"));
        capture.insert(format!("{folder}/operstate"), if self.speed_mbps < 0 { "down\n" } else { "up\n" });
        capture.insert(format!("{folder}/speed"), format!("{}\n", self.speed_mbps));
        let ethtool = |option: &str| Query::Command {
            program: "ethtool".to_owned(),
            args: vec![option.to_owned(), self.name.clone()],
        };
        capture.insert(
            ethtool("-i").path(),
            format!("driver: {}\nversion: 6.8.0\nfirmware-version: {}\n", self.driver, self.firmware),
        );
        let permanent = self.permanent_mac.as_ref().unwrap_or(&self.mac);
        capture.insert(ethtool("-P").path(), format!("Permanent address: {permanent}\n"));
    }
}
