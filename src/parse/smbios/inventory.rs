//! What SMBIOS says of a machine, decoded: from a table, or from a printout of one.
//!
//! Section numbers are those of DSP0134.

use std::collections::BTreeSet;

use super::super::cpuid::Signature;
use crate::evidence::Reading;

/// Version of the specification that a table says it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Document revision; the 64-bit entry point only.
    pub revision: Option<u8>,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.revision.map_or(Ok(()), |revision| write!(f, ".{revision}"))
    }
}

/// One structure of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure {
    /// Type.
    pub kind: u8,
    /// Handle; a printout may leave it out.
    pub handle: Option<u16>,
    /// Length of the formatted area in bytes; a printout may leave it out.
    pub length_bytes: Option<u8>,
}

impl Structure {
    /// What such structures are called (DSP0134, table 4); `OEM-specific` from 128 on.
    pub fn name(&self) -> &'static str {
        const NAMES: [&str; 47] = [
            "BIOS Information",
            "System Information",
            "Baseboard Information",
            "System Enclosure or Chassis",
            "Processor Information",
            "Memory Controller Information",
            "Memory Module Information",
            "Cache Information",
            "Port Connector Information",
            "System Slots",
            "On Board Devices Information",
            "OEM Strings",
            "System Configuration Options",
            "BIOS Language Information",
            "Group Associations",
            "System Event Log",
            "Physical Memory Array",
            "Memory Device",
            "32-Bit Memory Error Information",
            "Memory Array Mapped Address",
            "Memory Device Mapped Address",
            "Built-in Pointing Device",
            "Portable Battery",
            "System Reset",
            "Hardware Security",
            "System Power Controls",
            "Voltage Probe",
            "Cooling Device",
            "Temperature Probe",
            "Electrical Current Probe",
            "Out-of-Band Remote Access",
            "Boot Integrity Services Entry Point",
            "System Boot Information",
            "64-Bit Memory Error Information",
            "Management Device",
            "Management Device Component",
            "Management Device Threshold Data",
            "Memory Channel",
            "IPMI Device Information",
            "System Power Supply",
            "Additional Information",
            "Onboard Devices Extended Information",
            "Management Controller Host Interface",
            "TPM Device",
            "Processor Additional Information",
            "Firmware Inventory Information",
            "String Property",
        ];
        match self.kind {
            126 => "Inactive",
            127 => "End-of-Table",
            128.. => "OEM-specific",
            kind => NAMES.get(usize::from(kind)).copied().unwrap_or("unknown"),
        }
    }
}

/// What SMBIOS says of a machine.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The program that printed it; `None` for a table. A printout may be a part of one: what it lacks may be in the table
    /// all the same.
    pub printed_by: Option<&'static str>,
    /// Version that it follows; `None` without an entry point.
    pub version: Option<Version>,
    /// Why it is not complete, when it says that itself.
    pub damage: Option<&'static str>,
    /// Every structure.
    pub structures: Vec<Structure>,
    /// The BIOS, type 0.
    pub bios: Option<Bios>,
    /// The system, type 1.
    pub system: Option<System>,
    /// The boards, type 2.
    pub boards: Vec<Board>,
    /// The enclosures, type 3.
    pub chassis: Vec<Chassis>,
    /// The central processors, type 4, empty sockets included.
    pub processors: Vec<Processor>,
    /// The memory arrays, type 16.
    pub memory_arrays: Vec<MemoryArray>,
    /// The memory slots, type 17, empty ones included.
    pub memory_devices: Vec<MemoryDevice>,
    /// Bytes that each mapped address covers, type 19.
    pub mapped_bytes: Vec<u64>,
    /// Handles of the memory devices that have a mapped address, type 20.
    pub mapped_devices: BTreeSet<u16>,
    /// The power supplies, type 39.
    pub power_supplies: Vec<PowerSupply>,
}

impl Inventory {
    /// Why there is no such structure: a whole table has none, a damaged one may have lost it, and a printout may never
    /// have had it.
    pub fn missing<T>(&self) -> Reading<T> {
        match (self.damage, self.printed_by) {
            (Some(damage), _) => Reading::Failed(format!("the table is damaged: {damage}")),
            (None, Some(_)) => Reading::Unsupported,
            (None, None) => Reading::Absent,
        }
    }

    /// A number over the whole table. A damaged table has lost structures, so it gives none.
    pub fn whole<T>(&self, value: Reading<T>) -> Reading<T> {
        match value {
            Reading::Absent => self.missing(),
            _ if self.damage.is_some() => self.missing(),
            value => value,
        }
    }

    /// Whether slots that the memory arrays announce are missing, as they are from a printout that somebody cut.
    pub fn lacks_slots(&self) -> bool {
        let system = self.memory_arrays.iter().filter(|array| array.system_memory);
        let announced: u64 = system.filter_map(|array| array.slots.known()).fold(0, |sum, it| sum.saturating_add(*it));
        (self.memory_devices.len() as u64) < announced
    }

    /// The memory slots of system memory with a module in them. Old tables list the BIOS flash and video memory too.
    pub fn modules(&self) -> impl Iterator<Item = &MemoryDevice> {
        let others: Vec<u16> =
            self.memory_arrays.iter().filter(|array| !array.system_memory).filter_map(|array| array.handle).collect();
        self.memory_devices
            .iter()
            .filter(move |device| device.populated && device.array.is_none_or(|array| !others.contains(&array)))
    }

    /// The sockets with a processor in them.
    pub fn populated_sockets(&self) -> impl Iterator<Item = &Processor> {
        self.processors.iter().filter(|processor| processor.populated)
    }
}

/// BIOS Information (type 0, 7.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Bios {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Vendor (04h).
    pub vendor: Reading<String>,
    /// Version (05h).
    pub version: Reading<String>,
    /// Release date as printed, mm/dd/yyyy (08h).
    pub release_date: Reading<String>,
}

/// System Information (type 1, 7.2).
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Manufacturer (04h).
    pub manufacturer: Reading<String>,
    /// Product name (05h).
    pub product: Reading<String>,
    /// Version (06h).
    pub version: Reading<String>,
    /// Serial number (07h).
    pub serial: Reading<String>,
    /// UUID (08h) in lower case, in the byte order that the table's version prescribes (7.2.1). All bits clear or all
    /// set means none.
    pub uuid: Reading<String>,
    /// SKU number (19h).
    pub sku: Reading<String>,
}

/// Baseboard Information (type 2, 7.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Manufacturer (04h).
    pub manufacturer: Reading<String>,
    /// Product (05h).
    pub product: Reading<String>,
    /// Version (06h).
    pub version: Reading<String>,
    /// Serial number (07h).
    pub serial: Reading<String>,
    /// Asset tag (08h).
    pub asset_tag: Reading<String>,
}

/// System Enclosure or Chassis (type 3, 7.4).
#[derive(Debug, Clone, PartialEq)]
pub struct Chassis {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Manufacturer (04h).
    pub manufacturer: Reading<String>,
    /// Kind in words (05h bits 6:0): `Rack Mount Chassis`.
    pub kind: Reading<String>,
    /// Serial number (07h).
    pub serial: Reading<String>,
}

/// Processor Information (type 4, 7.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Whether a processor is in the socket (18h bit 6).
    pub populated: bool,
    /// Socket designation (04h).
    pub socket: Reading<String>,
    /// Manufacturer (07h).
    pub manufacturer: Reading<String>,
    /// Version (10h): the brand text, sometimes shortened.
    pub version: Reading<String>,
    /// Family, model and stepping from the Processor ID (08h, 7.5.3) of an x86 processor.
    pub signature: Reading<Signature>,
    /// Core count (23h, 2Ah).
    pub core_count: Reading<u64>,
    /// Thread count (25h, 2Eh).
    pub thread_count: Reading<u64>,
    /// Serial number (20h).
    pub serial: Reading<String>,
    /// Part number (22h).
    pub part_number: Reading<String>,
    /// Maximum speed that the socket supports, in MHz (14h).
    pub max_speed_mhz: Reading<u64>,
}

/// Physical Memory Array (type 16, 7.17).
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryArray {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Whether it holds system memory, not flash, video or cache (05h).
    pub system_memory: bool,
    /// Error correction in words (06h): `multi-bit ECC`.
    pub error_correction: Reading<String>,
    /// Maximum capacity in bytes (07h, 0Fh).
    pub maximum_bytes: Reading<u64>,
    /// Slots (0Dh).
    pub slots: Reading<u64>,
}

/// Memory Device (type 17, 7.18): a slot, with or without a module.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryDevice {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Handle of its array (04h).
    pub array: Option<u16>,
    /// Whether a module is in the slot (0Ch is not 0).
    pub populated: bool,
    /// Capacity in bytes (0Ch, 1Ch).
    pub size_bytes: Reading<u64>,
    /// Device locator (10h).
    pub locator: Reading<String>,
    /// Bank locator (11h).
    pub bank: Reading<String>,
    /// Memory type (12h): `DDR5`.
    pub kind: Reading<String>,
    /// Form factor (0Eh): `DIMM`.
    pub form_factor: Reading<String>,
    /// Speed that the module is capable of, in MT/s (15h, 54h).
    pub speed_mts: Reading<u64>,
    /// Speed that it is configured for, in MT/s (20h, 58h).
    pub configured_mts: Reading<u64>,
    /// Manufacturer (17h).
    pub manufacturer: Reading<String>,
    /// Part number (1Ah).
    pub part_number: Reading<String>,
    /// Serial number (18h).
    pub serial: Reading<String>,
    /// Asset tag (19h).
    pub asset_tag: Reading<String>,
    /// Ranks (1Bh bits 3:0).
    pub ranks: Reading<u64>,
    /// Width with check bits, in bits (08h).
    pub total_width_bits: Reading<u64>,
    /// Width without check bits, in bits (0Ah).
    pub data_width_bits: Reading<u64>,
    /// Memory technology in words (28h): `DRAM`.
    pub technology: Reading<String>,
    /// Operating modes that it can have, in words (29h).
    pub operating_modes: Reading<Vec<String>>,
    /// Version of its firmware (2Bh).
    pub firmware: Reading<String>,
    /// JEP106 id of the module's maker (2Ch, 7.18.8); see [`jep106_id`].
    pub module_maker_id: Reading<String>,
    /// The maker's own product id (2Eh, 7.18.9): `0x1234`.
    pub module_product_id: Reading<String>,
    /// JEP106 id of the memory subsystem controller's maker (30h, 7.18.10).
    pub controller_maker_id: Reading<String>,
    /// Product id of the memory subsystem controller (32h, 7.18.11).
    pub controller_product_id: Reading<String>,
    /// Part that keeps its content without power, in bytes (34h).
    pub nonvolatile_bytes: Reading<u64>,
    /// Part that does not, in bytes (3Ch).
    pub volatile_bytes: Reading<u64>,
    /// Part that is a cache, in bytes (44h).
    pub cache_bytes: Reading<u64>,
    /// Size of a logical device, in bytes (4Ch).
    pub logical_bytes: Reading<u64>,
    /// JEP106 id of the first PMIC's maker, and revision (5Ch, 5Eh; 3.7).
    pub pmic_id: Reading<String>,
    /// JEP106 id of the register's maker, and revision (60h, 62h; 3.7).
    pub rcd_id: Reading<String>,
}

/// System Power Supply (type 39, 7.40).
#[derive(Debug, Clone, PartialEq)]
pub struct PowerSupply {
    /// Handle of the structure; a printout may leave it out.
    pub handle: Option<u16>,
    /// Whether it is in its bay (0Eh bit 1); assumed where the table does not say.
    pub present: bool,
    /// Device name (06h).
    pub name: Reading<String>,
    /// Manufacturer (07h).
    pub manufacturer: Reading<String>,
    /// Serial number (08h).
    pub serial: Reading<String>,
    /// Model part number (0Ah).
    pub model: Reading<String>,
    /// Maximum output in watts (0Ch).
    pub max_watts: Reading<u64>,
}

/// A JEP106 id as an SPD image has it: the bank with its parity bit, then the code, 4 hexadecimal digits. Some firmware
/// leaves the parity bit out; here it is always right, so that ids compare. Zero is none.
pub fn jep106_id(bank: u8, code: u8) -> Reading<String> {
    if bank & 0x7f == 0 && code == 0 {
        return Reading::Absent;
    }
    let bank = bank & 0x7f;
    let parity = if bank.count_ones().is_multiple_of(2) { 0x80 } else { 0 };
    Reading::Known(format!("{:02X}{code:02X}", bank | parity))
}
