//! SMBIOS structure tables (DMTF DSP0134 3.9, System Management BIOS Reference Specification).
//!
//! ```text
//! entry point, 32 bit (5.2.1)      entry point, 64 bit (5.2.2)      structure (6.1.2, 6.1.3)
//! 00h  "_SM_"                      00h  "_SM3_"                     00h  type
//! 06h  major version               07h  major version               01h  length of the formatted area, header included
//! 07h  minor version               08h  minor version               02h  handle, word
//! 16h  table length, word          09h  revision                    04h  fields
//! 1Ch  number of structures, word  0Ch  maximum table size, dword   +len strings, each ended by 00h; 00h ends the set
//! ```
//!
//! The table is cut into structures here, with bounds checks, because the library's own walk neither stops at the
//! end-of-table structure nor tells a complete table from a damaged one. The fields of each structure are decoded by
//! the smbios-lib crate, newer ones by their offsets; strings are taken as bytes, so that one which is not UTF-8 stays readable.

pub mod dmidecode;
mod file;
mod inventory;

use std::collections::BTreeSet;

use smbioslib as lib;
use smbioslib::{SMBiosStruct, UndefinedStruct};

use super::cpuid::Signature;
use crate::evidence::{Reading, Value};

pub use file::{MAX_FILE_BYTES, NotSmbios, parse_file};
pub use inventory::{
    Bios, Board, Chassis, Inventory, MemoryArray, MemoryDevice, PowerSupply, Processor, Structure, System, Version,
    jep106_id,
};

/// Structures in one table. The largest servers have about 1,500.
const MAX_STRUCTURES: usize = 16_384;
const HEADER_BYTES: usize = 4;
const END_OF_TABLE: u8 = 127;
const NO_END: &str = "no end-of-table structure";
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A table cut into its structures.
pub struct Table {
    /// From the entry point; `None` without a valid one.
    pub version: Option<Version>,
    /// Why the table is not complete, when it is not. What came before the damage is still there.
    pub damage: Option<&'static str>,
    structures: Vec<UndefinedStruct>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("version", &self.version)
            .field("damage", &self.damage)
            .field("structures", &self.structures.len())
            .finish()
    }
}

impl Table {
    /// Cuts a structure table. Never fails: a damaged table gives the structures before the damage, and
    /// [`Table::damage`].
    pub fn parse(table: &[u8], entry_point: Option<&[u8]>) -> Self {
        let entry = entry_point.and_then(EntryPoint::parse);
        // The kernel exports exactly the table; a dump may be padded behind it.
        let length = entry.and_then(|entry| entry.table_bytes);
        let (structures, mut damage) = cut(table);
        // Before version 2.2 no structure marked the end, only the count did.
        if damage == Some(NO_END) && entry.and_then(|entry| entry.structures) == Some(structures.len()) {
            damage = None;
        }
        if damage.is_none() && entry.and_then(|entry| entry.structures).is_some_and(|count| structures.len() < count) {
            damage = Some("fewer structures than the entry point announces");
        }
        if damage.is_some() && length.is_some_and(|length| table.len() < length) {
            damage = Some("shorter than the entry point announces");
        }
        Self { version: entry.map(|entry| entry.version), damage, structures }
    }

    /// Number of structures that could be cut, the end-of-table structure included.
    pub fn len(&self) -> usize {
        self.structures.len()
    }

    /// Whether no structure could be cut.
    pub fn is_empty(&self) -> bool {
        self.structures.is_empty()
    }

    /// Everything that is decoded of it.
    pub fn inventory(&self) -> Inventory {
        let structures = self.structures.iter().map(|it| Structure {
            kind: it.header.struct_type(),
            handle: Some(*it.header.handle()),
            length_bytes: Some(it.header.length()),
        });
        Inventory {
            printed_by: None,
            version: self.version,
            damage: self.damage,
            structures: structures.collect(),
            bios: self.bios(),
            system: self.system(),
            boards: self.boards(),
            chassis: self.chassis(),
            processors: self.processors(),
            memory_arrays: self.memory_arrays(),
            memory_devices: self.memory_devices(),
            mapped_bytes: self.mapped_bytes(),
            mapped_devices: self.mapped_devices(),
            power_supplies: self.power_supplies(),
        }
    }

    fn structures<'a, T: SMBiosStruct<'a>>(&'a self) -> impl Iterator<Item = (Option<u16>, T)> {
        let wanted = |structure: &&UndefinedStruct| structure.header.struct_type() == T::STRUCT_TYPE;
        self.structures.iter().filter(wanted).map(|structure| (Some(*structure.header.handle()), T::new(structure)))
    }

    /// The BIOS, type 0.
    pub fn bios(&self) -> Option<Bios> {
        self.structures::<lib::SMBiosInformation<'_>>().next().map(|(handle, it)| Bios {
            handle,
            vendor: text(it.parts(), 0x04),
            version: text(it.parts(), 0x05),
            release_date: text(it.parts(), 0x08),
        })
    }

    /// The system, type 1.
    pub fn system(&self) -> Option<System> {
        self.structures::<lib::SMBiosSystemInformation<'_>>().next().map(|(handle, it)| System {
            handle,
            manufacturer: text(it.parts(), 0x04),
            product: text(it.parts(), 0x05),
            version: text(it.parts(), 0x06),
            serial: text(it.parts(), 0x07),
            uuid: number(it.parts().get_field_data(0x08, 0x18)).and_then(|raw| self.uuid(raw)),
            sku: text(it.parts(), 0x19),
        })
    }

    fn uuid(&self, raw: &[u8]) -> Reading<String> {
        let Ok(mut raw) = <[u8; 16]>::try_from(raw) else { return Reading::Absent };
        if raw == [0; 16] || raw == [0xff; 16] {
            return Reading::Absent;
        }
        if self.version.is_none_or(|version| (version.major, version.minor) >= (2, 6)) {
            raw[0..4].reverse();
            raw[4..6].reverse();
            raw[6..8].reverse();
        }
        let digits = hex::encode(raw);
        Reading::Known([&digits[0..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..32]].join("-"))
    }

    /// The boards, type 2.
    pub fn boards(&self) -> Vec<Board> {
        self.structures::<lib::SMBiosBaseboardInformation<'_>>()
            .map(|(handle, it)| Board {
                handle,
                manufacturer: text(it.parts(), 0x04),
                product: text(it.parts(), 0x05),
                version: text(it.parts(), 0x06),
                serial: text(it.parts(), 0x07),
                asset_tag: text(it.parts(), 0x08),
            })
            .collect()
    }

    /// The enclosures, type 3.
    pub fn chassis(&self) -> Vec<Chassis> {
        self.structures::<lib::SMBiosSystemChassisInformation<'_>>()
            .map(|(handle, it)| Chassis {
                handle,
                manufacturer: text(it.parts(), 0x04),
                kind: number(it.chassis_type()).and_then(|kind| match kind.value {
                    lib::ChassisType::Unknown => Reading::Absent,
                    lib::ChassisType::None => Reading::Known(format!("type {:#04x}", kind.raw)),
                    known => Reading::Known(spaced(&format!("{known:?}"))),
                }),
                serial: text(it.parts(), 0x07),
            })
            .collect()
    }

    /// The central processors, type 4, empty sockets included.
    pub fn processors(&self) -> Vec<Processor> {
        const CENTRAL: u8 = 0x03;
        self.structures::<lib::SMBiosProcessorInformation<'_>>()
            .filter(|(_, it)| it.parts().get_field_byte(0x05).is_none_or(|kind| kind == CENTRAL))
            .map(|(handle, it)| Processor {
                handle,
                populated: it.status().is_none_or(|status| status.socket_populated()),
                socket: text(it.parts(), 0x04),
                manufacturer: text(it.parts(), 0x07),
                version: text(it.parts(), 0x10),
                signature: signature(&it),
                core_count: count(it.parts(), 0x23, 0x2a),
                thread_count: count(it.parts(), 0x25, 0x2e),
                serial: text(it.parts(), 0x20),
                part_number: text(it.parts(), 0x22),
                max_speed_mhz: number(it.max_speed()).and_then(|speed| match speed {
                    lib::ProcessorSpeed::MHz(mhz) => Reading::Known(mhz.into()),
                    lib::ProcessorSpeed::Unknown => Reading::Absent,
                }),
            })
            .collect()
    }

    /// The memory arrays, type 16.
    pub fn memory_arrays(&self) -> Vec<MemoryArray> {
        self.structures::<lib::SMBiosPhysicalMemoryArray<'_>>()
            .map(|(handle, it)| MemoryArray {
                handle,
                system_memory: it.usage().is_none_or(|usage| matches!(usage.value, lib::MemoryArrayUse::SystemMemory)),
                error_correction: number(it.memory_error_correction()).and_then(|it| error_correction(&it.value)),
                maximum_bytes: number(it.maximum_capacity()).and_then(|capacity| match capacity {
                    lib::MaximumMemoryCapacity::Kilobytes(kilobytes) => Reading::Known(u64::from(kilobytes) * KIB),
                    lib::MaximumMemoryCapacity::SeeExtendedMaximumCapacity => number(it.extended_maximum_capacity()),
                }),
                slots: number(it.number_of_memory_devices()).map(u64::from),
            })
            .collect()
    }

    /// The memory slots, type 17, empty ones included.
    pub fn memory_devices(&self) -> Vec<MemoryDevice> {
        self.structures::<lib::SMBiosMemoryDevice<'_>>()
            .map(|(handle, it)| MemoryDevice {
                handle,
                array: it.physical_memory_array_handle().map(|handle| *handle),
                populated: !matches!(it.size(), None | Some(lib::MemorySize::NotInstalled)),
                size_bytes: size(&it),
                locator: text(it.parts(), 0x10),
                bank: text(it.parts(), 0x11),
                kind: number(it.memory_type()).and_then(|kind| memory_kind(&kind)),
                form_factor: number(it.form_factor()).and_then(|form| form_factor(&form)),
                speed_mts: speed(it.speed(), it.extended_speed()),
                configured_mts: speed(it.configured_memory_speed(), it.extended_configured_memory_speed()),
                manufacturer: text(it.parts(), 0x17),
                part_number: text(it.parts(), 0x1a),
                serial: text(it.parts(), 0x18),
                asset_tag: text(it.parts(), 0x19),
                ranks: number(it.attributes()).and_then(|attributes| match attributes & 0x0f {
                    0 => Reading::Absent,
                    ranks => Reading::Known(ranks.into()),
                }),
                total_width_bits: width(it.total_width()),
                data_width_bits: width(it.data_width()),
                technology: number(it.parts().get_field_byte(0x28)).and_then(technology),
                operating_modes: number(it.parts().get_field_word(0x29)).and_then(operating_modes),
                firmware: text(it.parts(), 0x2b),
                module_maker_id: maker_id(it.parts(), 0x2c),
                module_product_id: product_id(it.parts(), 0x2e),
                controller_maker_id: maker_id(it.parts(), 0x30),
                controller_product_id: product_id(it.parts(), 0x32),
                nonvolatile_bytes: wide_size(it.parts(), 0x34),
                volatile_bytes: wide_size(it.parts(), 0x3c),
                cache_bytes: wide_size(it.parts(), 0x44),
                logical_bytes: wide_size(it.parts(), 0x4c),
                pmic_id: maker_and_revision(it.parts(), 0x5c),
                rcd_id: maker_and_revision(it.parts(), 0x60),
            })
            .collect()
    }

    /// Bytes that each Memory Array Mapped Address (type 19, 7.20) covers.
    pub fn mapped_bytes(&self) -> Vec<u64> {
        const EXTENDED: u32 = u32::MAX;
        self.structures::<lib::SMBiosMemoryArrayMappedAddress<'_>>()
            .filter_map(|(_, it)| match (it.starting_address()?, it.ending_address()?) {
                (EXTENDED, _) => {
                    let (start, end) = (it.extended_starting_address()?, it.extended_ending_address()?);
                    end.checked_sub(start)?.checked_add(1)
                }
                (start, end) => Some((u64::from(end.checked_sub(start)?) + 1) * KIB),
            })
            .collect()
    }

    /// Handles of the memory devices that have a Memory Device Mapped Address (type 20, 7.21).
    pub fn mapped_devices(&self) -> BTreeSet<u16> {
        self.structures::<lib::SMBiosMemoryDeviceMappedAddress<'_>>()
            .filter_map(|(_, it)| it.memory_device_handle().map(|handle| *handle))
            .collect()
    }

    /// The power supplies, type 39.
    pub fn power_supplies(&self) -> Vec<PowerSupply> {
        const UNKNOWN_WATTS: u16 = 0x8000;
        self.structures::<lib::SMBiosSystemPowerSupply<'_>>()
            .map(|(handle, it)| PowerSupply {
                handle,
                present: it.power_supply_characteristics().is_none_or(|it| it.is_present()),
                name: text(it.parts(), 0x06),
                manufacturer: text(it.parts(), 0x07),
                serial: text(it.parts(), 0x08),
                model: text(it.parts(), 0x0a),
                max_watts: number(it.parts().get_field_word(0x0c)).and_then(|watts| match watts {
                    UNKNOWN_WATTS | 0 => Reading::Absent,
                    watts => Reading::Known(watts.into()),
                }),
            })
            .collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct EntryPoint {
    version: Version,
    table_bytes: Option<usize>,
    structures: Option<usize>,
}

impl EntryPoint {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |offset: usize| Some(u16::from_le_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?));
        if bytes.starts_with(b"_SM3_") {
            let version = Version { major: *bytes.get(7)?, minor: *bytes.get(8)?, revision: bytes.get(9).copied() };
            // The size is a maximum: the table may end before it.
            Some(Self { version, table_bytes: None, structures: None })
        } else if bytes.starts_with(b"_SM_") {
            let version = Version { major: *bytes.get(6)?, minor: *bytes.get(7)?, revision: None };
            Some(Self {
                version,
                table_bytes: word(0x16).map(usize::from),
                structures: word(0x1c).map(usize::from).filter(|&count| count > 0),
            })
        } else {
            None
        }
    }
}

/// The structures of a table, and why there are no more where it ends early.
fn cut(table: &[u8]) -> (Vec<UndefinedStruct>, Option<&'static str>) {
    let mut structures = Vec::new();
    let mut rest = table;
    loop {
        if rest.is_empty() {
            return (structures, Some(NO_END));
        }
        if structures.len() == MAX_STRUCTURES {
            return (structures, Some("more structures than any table has"));
        }
        let Some(&[kind, length, ..]) = rest.get(..HEADER_BYTES) else {
            return (structures, Some("ends inside a structure header"));
        };
        let length = usize::from(length);
        if length < HEADER_BYTES {
            return (structures, Some("a structure is shorter than its header"));
        }
        let Some(strings) = rest.get(length..) else {
            return (structures, Some("ends inside a structure"));
        };
        let end = strings.windows(2).position(|pair| pair == [0, 0]).map(|position| length + position + 2);
        match end {
            Some(end) => {
                structures.push(UndefinedStruct::new(&rest[..end].to_vec()));
                rest = &rest[end..];
            }
            // Some tables leave the two zeros of the last structure out.
            None if kind == END_OF_TABLE => {
                let bare = [&rest[..length], &[0, 0]].concat();
                structures.push(UndefinedStruct::new(&bare));
                rest = &[];
            }
            None => return (structures, Some("ends inside the strings of a structure")),
        }
        if kind == END_OF_TABLE {
            return (structures, None);
        }
    }
}

/// A field that an older table does not have is `Unsupported`.
fn number<T>(field: Option<T>) -> Reading<T> {
    field.map_or(Reading::Unsupported, Reading::Known)
}

fn text(parts: &UndefinedStruct, offset: usize) -> Reading<String> {
    let Some(index) = parts.get_field_byte(offset) else { return Reading::Unsupported };
    let Some(index) = usize::from(index).checked_sub(1) else { return Reading::Absent };
    match parts.strings.iter().nth(index).map(|bytes| Value::text_from_bytes(bytes)) {
        None => Reading::Failed(format!("string {} is not in the structure", index + 1)),
        Some(Err(length)) => Reading::Failed(format!("string of {length} bytes")),
        Some(Ok(text)) if text.is_empty() => Reading::Absent,
        Some(Ok(text)) => Reading::Known(text),
    }
}

fn width(bits: Option<u16>) -> Reading<u64> {
    number(bits).and_then(|bits| match bits {
        0 | u16::MAX => Reading::Absent,
        bits => Reading::Known(bits.into()),
    })
}

fn size(device: &lib::SMBiosMemoryDevice<'_>) -> Reading<u64> {
    match device.size() {
        None => Reading::Unsupported,
        Some(lib::MemorySize::NotInstalled | lib::MemorySize::Unknown) => Reading::Absent,
        Some(lib::MemorySize::Kilobytes(kilobytes)) => Reading::Known(u64::from(kilobytes) * KIB),
        Some(lib::MemorySize::Megabytes(megabytes)) => Reading::Known(u64::from(megabytes) * MIB),
        Some(lib::MemorySize::SeeExtendedSize) => match device.extended_size() {
            Some(lib::MemorySizeExtended::Megabytes(megabytes)) => Reading::Known(u64::from(megabytes) * MIB),
            _ => Reading::Failed("the extended size is missing".to_owned()),
        },
    }
}

fn speed(speed: Option<lib::MemorySpeed>, extended: Option<lib::MemorySpeedExtended>) -> Reading<u64> {
    number(speed).and_then(|speed| match (speed, extended) {
        (lib::MemorySpeed::Unknown, _) => Reading::Absent,
        (lib::MemorySpeed::MTs(mts), _) => Reading::Known(mts.into()),
        (lib::MemorySpeed::SeeExtendedSpeed, Some(lib::MemorySpeedExtended::MTs(mts))) => Reading::Known(mts.into()),
        (lib::MemorySpeed::SeeExtendedSpeed, _) => Reading::Failed("the extended speed is missing".to_owned()),
    })
}

/// Words of DSP0134 7.18.6.
fn technology(code: u8) -> Reading<String> {
    const WORDS: [&str; 6] = ["DRAM", "NVDIMM-N", "NVDIMM-F", "NVDIMM-P", "Intel Optane persistent memory", "MRDIMM"];
    match code {
        0 | 2 => Reading::Absent,
        1 => Reading::Known("other".to_owned()),
        code => Reading::Known(
            WORDS.get(usize::from(code) - 3).map_or_else(|| format!("type {code:#04x}"), |word| (*word).to_owned()),
        ),
    }
}

/// Words of DSP0134 7.18.7. Bit 0 is reserved.
fn operating_modes(bits: u16) -> Reading<Vec<String>> {
    const WORDS: [&str; 5] = [
        "other",
        "unknown",
        "volatile memory",
        "byte-accessible persistent memory",
        "block-accessible persistent memory",
    ];
    let named =
        WORDS.iter().enumerate().filter(|(index, _)| bits & 2 << index != 0).map(|(_, word)| (*word).to_owned());
    let modes: Vec<String> = named.collect();
    if modes.is_empty() { Reading::Absent } else { Reading::Known(modes) }
}

fn maker_id(parts: &UndefinedStruct, offset: usize) -> Reading<String> {
    number(parts.get_field_word(offset)).and_then(|id| {
        let [bank, code] = id.to_le_bytes();
        jep106_id(bank, code)
    })
}

fn product_id(parts: &UndefinedStruct, offset: usize) -> Reading<String> {
    number(parts.get_field_word(offset)).and_then(|id| match id {
        0 => Reading::Absent,
        id => Reading::Known(format!("{id:#06x}")),
    })
}

/// Maker's id, and the revision behind it; a revision of FFFFh is unknown, and of FF00h with it in the upper byte.
fn maker_and_revision(parts: &UndefinedStruct, offset: usize) -> Reading<String> {
    let revision = parts.get_field_word(offset + 2).filter(|revision| revision >> 8 != 0xff);
    maker_id(parts, offset).map(|id| revision.map_or_else(|| id.clone(), |revision| format!("{id} {revision:#06x}")))
}

fn wide_size(parts: &UndefinedStruct, offset: usize) -> Reading<u64> {
    number(parts.get_field_qword(offset)).and_then(|size| match size {
        u64::MAX => Reading::Absent,
        size => Reading::Known(size),
    })
}

/// A byte-wide count that points to a word where it does not suffice (7.5.6, 7.5.8).
fn count(parts: &UndefinedStruct, byte: usize, word: usize) -> Reading<u64> {
    number(parts.get_field_byte(byte)).and_then(|count| match count {
        0 => Reading::Absent,
        0xff => match parts.get_field_word(word) {
            None | Some(0) => Reading::Known(0xff),
            Some(0xffff) => Reading::Failed("reserved count".to_owned()),
            Some(count) => Reading::Known(count.into()),
        },
        count => Reading::Known(count.into()),
    })
}

/// The signature is EAX of CPUID leaf 1 for x86 processors only (7.5.3.2); an ARM one has its own ids there.
fn signature(processor: &lib::SMBiosProcessorInformation<'_>) -> Reading<Signature> {
    const ARM_64_SOC_ID: u16 = 1 << 9;
    let parts = processor.parts();
    let family = match parts.get_field_byte(0x06) {
        Some(0xfe) => parts.get_field_word(0x28).unwrap_or(0),
        family => family.unwrap_or(0).into(),
    };
    let arm = matches!(family, 0x100..=0x103 | 0x118..=0x119)
        || parts.get_field_word(0x26).is_some_and(|characteristics| characteristics & ARM_64_SOC_ID != 0);
    if arm {
        return Reading::Unsupported;
    }
    number(processor.processor_id()).and_then(|id| match u32::from_le_bytes([id[0], id[1], id[2], id[3]]) {
        0 | u32::MAX => Reading::Absent,
        eax => Reading::Known(Signature::from_eax(eax)),
    })
}

fn error_correction(kind: &lib::MemoryArrayErrorCorrection) -> Reading<String> {
    use lib::MemoryArrayErrorCorrection as Kind;
    let words = match kind {
        Kind::Unknown | Kind::None => return Reading::Absent,
        Kind::Other => "other",
        Kind::NoCorrection => "none",
        Kind::Parity => "parity",
        Kind::SingleBitEcc => "single-bit ECC",
        Kind::MultiBitEcc => "multi-bit ECC",
        Kind::Crc => "CRC",
    };
    Reading::Known(words.to_owned())
}

fn memory_kind(kind: &lib::MemoryDeviceTypeData) -> Reading<String> {
    use lib::MemoryDeviceType as Kind;
    let words = match kind.value {
        Kind::Unknown => return Reading::Absent,
        Kind::None => return Reading::Known(format!("type {:#04x}", kind.raw)),
        Kind::ThreeDram => "3DRAM".to_owned(),
        Kind::Ddr2Fbdimm => "DDR2 FB-DIMM".to_owned(),
        Kind::LogicalNonVolatileDevice => "logical non-volatile device".to_owned(),
        Kind::Other => "other".to_owned(),
        ref short => format!("{short:?}").to_uppercase(),
    };
    Reading::Known(words)
}

fn form_factor(form: &lib::MemoryFormFactorData) -> Reading<String> {
    use lib::MemoryFormFactor as Form;
    let words = match form.value {
        Form::Unknown => return Reading::Absent,
        Form::None => return Reading::Known(format!("form {:#04x}", form.raw)),
        Form::Other => "other".to_owned(),
        Form::Chip => "chip".to_owned(),
        Form::Die => "die".to_owned(),
        Form::ProprietaryCard => "proprietary card".to_owned(),
        Form::RowOfChips => "row of chips".to_owned(),
        Form::Fbdimm => "FB-DIMM".to_owned(),
        ref short => format!("{short:?}").to_uppercase(),
    };
    Reading::Known(words)
}

/// `RackMountChassis` as `Rack Mount Chassis`.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous_lower {
            words.push(' ');
        }
        previous_lower = letter.is_ascii_lowercase();
        words.push(letter);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch_everything(table: &Table) {
        let _ = format!("{table:?} {:?}", table.inventory());
    }

    #[test]
    fn a_table_that_is_cut_anywhere_is_damaged_and_gives_what_was_before() {
        let mut table = vec![1, 8, 0, 1, 1, 2, 0, 3];
        table.extend_from_slice(b"Maker\0Product\xff\0\0");
        table.extend_from_slice(&[127, 4, 0, 2, 0, 0]);
        let whole = Table::parse(&table, None);
        assert_eq!((whole.len(), whole.damage), (2, None));
        let system = whole.system().unwrap();
        assert_eq!(system.manufacturer, Reading::Known("Maker".to_owned()));
        assert_eq!(system.product, Reading::Known("Product\\xff".to_owned()));
        assert_eq!(system.version, Reading::Absent);
        assert!(matches!(system.serial, Reading::Failed(_)));
        assert_eq!(system.uuid, Reading::Unsupported);
        for length in 0..table.len() - 2 {
            let cut = Table::parse(&table[..length], None);
            assert!(cut.damage.is_some(), "{length} bytes");
            touch_everything(&cut);
        }
    }

    proptest! {
        #[test]
        fn never_panics(table in proptest::collection::vec(any::<u8>(), 0..2048), entry in any::<Vec<u8>>()) {
            touch_everything(&Table::parse(&table, Some(&entry)));
        }

        #[test]
        fn never_panics_on_structures(
            structures in proptest::collection::vec(
                (prop::sample::select(vec![0u8, 1, 2, 3, 4, 16, 17, 19, 39, 127]), 4u8..120, any::<u64>()), 0..20,
            ),
            entry in any::<[u8; 40]>(),
        ) {
            let mut table = Vec::new();
            for (kind, length, seed) in structures {
                table.extend_from_slice(&[kind, length, 0, 0]);
                table.extend((4..length).map(|index| (seed.rotate_left(index.into()) & 0xff) as u8));
                table.extend_from_slice(b"text\0\xfe\xff\0\0");
            }
            let entry = [b"_SM_", &entry[..]].concat();
            touch_everything(&Table::parse(&table, Some(&entry)));
        }
    }
}
