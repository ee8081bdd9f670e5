//! What `dmidecode` prints, of any version: blocks of `Name: value` lines, each below a line with the handle and one with
//! the name of the structure. `-q` leaves the handles out; people send single blocks too.
//!
//! ```text
//! Handle 0x1100, DMI type 17, 92 bytes
//! Memory Device
//! <tab>Size: 64 GB
//! ```
//!
//! The words are those of `dmidecode.c`. What a version did not know yet it prints as `<OUT OF SPEC>`: that is
//! [`Reading::Unsupported`], and so is what somebody took out of the text. `Not Specified` is an empty field.

use std::collections::BTreeMap;

use super::{
    Bios, Board, Chassis, Inventory, MemoryArray, MemoryDevice, PowerSupply, Processor, Structure, System, Version,
    jep106_id,
};
use crate::evidence::{Reading, Value};
use crate::parse::cpuid::Signature;

/// Blocks that are read. The largest servers have about 1,500 structures.
const MAX_BLOCKS: usize = 16_384;
/// Lines that are read of one block.
const MAX_FIELDS: usize = 256;

/// Names of the blocks that are read.
const TITLES: &[(&str, u8)] = &[
    ("BIOS Information", 0),
    ("System Information", 1),
    ("Base Board Information", 2),
    ("Chassis Information", 3),
    ("Processor Information", 4),
    ("Physical Memory Array", 16),
    ("Memory Device", 17),
    ("Memory Array Mapped Address", 19),
    ("Memory Device Mapped Address", 20),
    ("System Power Supply", 39),
];

/// Whether there is a block that is read.
pub fn recognise(text: &str) -> bool {
    let mut lines = text.lines().map(unquoted).peekable();
    while let Some(line) = lines.next() {
        if handle_line(line).is_some() {
            return true;
        }
        // Without a handle, the name alone is no sign: a field of the block has to follow.
        if title(line).is_some() && lines.peek().is_some_and(|next| is_indented(next) && field(next).is_some()) {
            return true;
        }
    }
    false
}

/// Reads every block. Where a text has several printouts, a structure that comes again says the same.
pub fn parse(text: &str) -> Inventory {
    let mut inventory = Inventory { printed_by: Some("dmidecode"), ..Inventory::default() };
    for line in text.lines() {
        let line = unquoted(line).trim();
        if inventory.version.is_none() {
            inventory.version = version(line);
        }
        if inventory.damage.is_none() {
            inventory.damage = damage(line);
        }
    }
    let mut seen: BTreeMap<(Option<u8>, u16), ()> = BTreeMap::new();
    for block in blocks(text) {
        if let Some(handle) = block.handle
            && seen.insert((block.kind, handle), ()).is_some()
        {
            continue;
        }
        let Some(kind) = block.kind else { continue };
        inventory.structures.push(Structure { kind, handle: block.handle, length_bytes: block.length_bytes });
        add(&mut inventory, kind, &block);
    }
    inventory
}

fn version(line: &str) -> Option<Version> {
    let words = line.strip_prefix("SMBIOS ")?.strip_suffix(" present.")?;
    let mut numbers = words.split('.').map(|number| number.parse::<u8>().ok());
    Some(Version { major: numbers.next()??, minor: numbers.next()??, revision: numbers.next().flatten() })
}

fn damage(line: &str) -> Option<&'static str> {
    const SIGNS: &[(&str, &str)] = &[
        ("Wrong DMI structures count", "fewer structures than the entry point announces"),
        ("DMI table is broken", "a structure is shorter than its header"),
        ("<TRUNCATED>", "ends inside a structure"),
        ("Table is unreachable", "the table could not be read"),
    ];
    SIGNS.iter().find(|(sign, _)| line.contains(sign)).map(|(_, damage)| *damage)
}

/// A line without the mark of a quotation.
fn unquoted(line: &str) -> &str {
    let bare = line.trim_start_matches("> ");
    bare.strip_prefix('>').unwrap_or(bare)
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

/// Handle, type and length: `Handle 0x1100, DMI type 17, 92 bytes`, with a full stop in old versions.
fn handle_line(line: &str) -> Option<(u16, u8, Option<u8>)> {
    let rest = line.trim().strip_prefix("Handle")?.trim_end_matches('.');
    let mut words = rest.strip_prefix([',', ' '])?.split([',', ' ']).filter(|word| !word.is_empty());
    let handle = u16::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    if (words.next()?, words.next()?) != ("DMI", "type") {
        return None;
    }
    let kind = words.next()?.parse().ok()?;
    Some((handle, kind, words.next().and_then(|bytes| bytes.parse().ok())))
}

fn title(line: &str) -> Option<u8> {
    let line = line.trim();
    TITLES.iter().find(|(name, _)| *name == line).map(|(_, kind)| *kind)
}

fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().split_once(':')?;
    Some((name.trim_end(), value.trim()))
}

/// One structure as printed.
#[derive(Default)]
struct Block<'a> {
    kind: Option<u8>,
    handle: Option<u16>,
    length_bytes: Option<u8>,
    fields: Vec<(&'a str, &'a str)>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    // Whether lines are fields of the last block.
    let mut open = false;
    let mut blank = false;
    for line in text.lines().map(unquoted) {
        if line.trim().is_empty() {
            blank = true;
            continue;
        }
        if let Some((handle, kind, length_bytes)) = handle_line(line) {
            open = blocks.len() < MAX_BLOCKS;
            if open {
                blocks.push(Block { kind: Some(kind), handle: Some(handle), length_bytes, fields: Vec::new() });
            }
        } else if let Some(kind) = title(line) {
            // The name below a handle adds nothing.
            let named = open && blocks.last().is_some_and(|it| it.handle.is_some() && it.fields.is_empty());
            if !named {
                open = blocks.len() < MAX_BLOCKS;
                if open {
                    blocks.push(Block { kind: Some(kind), ..Block::default() });
                }
            }
        } else if !is_indented(line) && (blank || (field(line).is_none() && without_handle(&blocks))) {
            // Another name, a prompt, another program's output.
            open = open && !blank && !without_handle(&blocks);
        } else if open
            && let Some(block) = blocks.last_mut()
            && let Some((name, value)) = field(line)
            && block.fields.len() < MAX_FIELDS
            && !block.fields.iter().any(|(known, _)| *known == name)
        {
            block.fields.push((name, value));
        }
        blank = false;
    }
    blocks
}

fn without_handle(blocks: &[Block<'_>]) -> bool {
    blocks.last().is_some_and(|block| block.handle.is_none())
}

fn add(inventory: &mut Inventory, kind: u8, block: &Block<'_>) {
    let handle = block.handle;
    match kind {
        0 if inventory.bios.is_none() => {
            inventory.bios = Some(Bios {
                handle,
                vendor: block.text("Vendor"),
                version: block.text("Version"),
                release_date: block.text("Release Date"),
            });
        }
        1 if inventory.system.is_none() => {
            inventory.system = Some(System {
                handle,
                manufacturer: block.text("Manufacturer"),
                product: block.text("Product Name"),
                version: block.text("Version"),
                serial: block.text("Serial Number"),
                uuid: block.word("UUID").and_then(|uuid| uuid_of(&uuid)),
                sku: block.text("SKU Number"),
            });
        }
        2 => inventory.boards.push(Board {
            handle,
            manufacturer: block.text("Manufacturer"),
            product: block.text("Product Name"),
            version: block.text("Version"),
            serial: block.text("Serial Number"),
            asset_tag: block.text("Asset Tag"),
        }),
        3 => inventory.chassis.push(Chassis {
            handle,
            manufacturer: block.text("Manufacturer"),
            kind: block.word("Type"),
            serial: block.text("Serial Number"),
        }),
        4 if block.get("Type").is_none_or(|kind| kind == "Central Processor") => {
            inventory.processors.push(Processor {
                handle,
                populated: block.get("Status").is_none_or(|status| !status.starts_with("Unpopulated")),
                socket: block.text("Socket Designation"),
                manufacturer: block.text("Manufacturer"),
                version: block.text("Version"),
                signature: block.signature(),
                core_count: block.number("Core Count", &[]),
                thread_count: block.number("Thread Count", &[]),
                serial: block.text("Serial Number"),
                part_number: block.text("Part Number"),
                max_speed_mhz: block.number("Max Speed", &["MHz"]),
            });
        }
        16 => inventory.memory_arrays.push(MemoryArray {
            handle,
            system_memory: block.get("Use").is_none_or(|kind| kind == "System Memory"),
            error_correction: block.word("Error Correction Type").map(|words| match words.as_str() {
                "None" => "none".to_owned(),
                "Parity" => "parity".to_owned(),
                "Single-bit ECC" => "single-bit ECC".to_owned(),
                "Multi-bit ECC" => "multi-bit ECC".to_owned(),
                _ => words,
            }),
            maximum_bytes: block.size("Maximum Capacity"),
            slots: block.number("Number Of Devices", &[]),
        }),
        17 => inventory.memory_devices.push(memory_device(block)),
        19 => inventory.mapped_bytes.extend(block.size("Range Size").into_known()),
        20 => inventory.mapped_devices.extend(block.get("Physical Device Handle").and_then(hexadecimal)),
        39 => inventory.power_supplies.push(PowerSupply {
            handle,
            present: block.get("Status").is_none_or(|status| status != "Not Present"),
            name: block.text("Name"),
            manufacturer: block.text("Manufacturer"),
            serial: block.text("Serial Number"),
            model: block.text("Model Part Number"),
            max_watts: block.number("Max Power Capacity", &["W"]),
        }),
        _ => {}
    }
}

fn memory_device(block: &Block<'_>) -> MemoryDevice {
    /// Since 3.6 the words are MT/s; before, MHz, and before 2.5 the cycle time behind them.
    const SPEED: &[&str] = &["MT/s", "MHz"];
    let speed = |names: [&str; 2]| {
        let name = names.into_iter().find(|name| block.get(name).is_some()).unwrap_or(names[0]);
        block.number(name, SPEED)
    };
    let none = block.get("Size").is_none_or(|size| size == "No Module Installed" || size == "Not Installed");
    MemoryDevice {
        handle: block.handle,
        array: block.get("Array Handle").and_then(hexadecimal),
        populated: !none,
        size_bytes: if none { Reading::Absent } else { block.size("Size") },
        locator: block.text("Locator"),
        bank: block.text("Bank Locator"),
        kind: block.word("Type").map(|kind| match kind.as_str() {
            "DDR2 FB-DIMM" => kind,
            _ => kind.to_uppercase(),
        }),
        form_factor: block.word("Form Factor").map(|form| match form.as_str() {
            "Chip" | "Die" | "Proprietary Card" => form.to_lowercase(),
            "Row Of Chips" => "row of chips".to_owned(),
            _ => form,
        }),
        speed_mts: speed(["Speed", "Max Speed"]),
        configured_mts: speed(["Configured Memory Speed", "Configured Clock Speed"]),
        manufacturer: block.text("Manufacturer"),
        part_number: block.text("Part Number"),
        serial: block.text("Serial Number"),
        asset_tag: block.text("Asset Tag"),
        ranks: block.number("Rank", &[]),
        total_width_bits: block.number("Total Width", &["bits"]),
        data_width_bits: block.number("Data Width", &["bits"]),
        technology: block.word("Memory Technology"),
        operating_modes: block.word("Memory Operating Mode Capability").and_then(|modes| match modes.as_str() {
            "None" => Reading::Absent,
            modes => Reading::Known(operating_modes(modes)),
        }),
        firmware: block.text("Firmware Version"),
        module_maker_id: block.maker_id("Module Manufacturer ID"),
        module_product_id: block.product_id("Module Product ID"),
        controller_maker_id: block.maker_id("Memory Subsystem Controller Manufacturer ID"),
        controller_product_id: block.product_id("Memory Subsystem Controller Product ID"),
        nonvolatile_bytes: block.size("Non-Volatile Size"),
        volatile_bytes: block.size("Volatile Size"),
        cache_bytes: block.size("Cache Size"),
        logical_bytes: block.size("Logical Size"),
        pmic_id: block.maker_and_revision("PMIC0 Manufacturer ID", "PMIC0 Revision Number"),
        rcd_id: block.maker_and_revision("RCD Manufacturer ID", "RCD Revision Number"),
    }
}

/// The modes are words with spaces, and spaces between them.
fn operating_modes(text: &str) -> Vec<String> {
    const MODES: &[&str] = &[
        "Other",
        "Unknown",
        "Volatile memory",
        "Byte-accessible persistent memory",
        "Block-accessible persistent memory",
    ];
    MODES.iter().filter(|mode| text.contains(*mode)).map(|mode| mode.to_lowercase()).collect()
}

fn hexadecimal(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn uuid_of(text: &str) -> Reading<String> {
    let uuid = text.to_ascii_lowercase();
    let digits: String = uuid.chars().filter(|it| *it != '-').collect();
    match digits.as_str() {
        "notsettable" | "notpresent" | "not settable" | "not present" => Reading::Absent,
        digits if digits.len() != 32 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) => {
            Reading::Failed("not a UUID".to_owned())
        }
        _ => Reading::Known(uuid),
    }
}

/// Whether somebody took the value out of the text: `--`, `[REMOVED]`, `<filter>`.
pub(crate) fn is_taken_out(value: &str) -> bool {
    let dashes = value.len() > 1 && value.bytes().all(|it| it == b'-');
    let words = value.trim_matches(['[', ']', '<', '>', '(', ')', '*']).to_ascii_lowercase();
    let marked = words.len() < value.len();
    dashes || marked && matches!(&*words, "removed" | "redacted" | "hidden" | "masked" | "filter" | "filtered")
}

/// `64 GB`, which dmidecode counts in powers of two, newer versions as `64 GiB`.
fn size_of(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let shift = match unit {
        "bytes" | "byte" => 0,
        "kB" | "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        "PB" | "PiB" => 50,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl Block<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A string of the table. `Unknown` in it is the firmware's own word.
    fn text(&self, name: &str) -> Reading<String> {
        let Some(value) = self.get(name) else { return Reading::Unsupported };
        match value {
            "" | "Not Specified" => Reading::Absent,
            "<BAD INDEX>" => Reading::Failed("the string is not in the structure".to_owned()),
            value if is_taken_out(value) => Reading::Unsupported,
            value => match Value::text_from_bytes(value.as_bytes()) {
                Ok(text) if text.is_empty() => Reading::Absent,
                Ok(text) => Reading::Known(text),
                Err(length) => Reading::Failed(format!("string of {length} bytes")),
            },
        }
    }

    /// A word that dmidecode has for a number.
    fn word(&self, name: &str) -> Reading<String> {
        self.text(name).and_then(|word| match word.as_str() {
            "Unknown" => Reading::Absent,
            word if word.contains("<OUT OF SPEC>") => Reading::Unsupported,
            "Other" => Reading::Known("other".to_owned()),
            _ => Reading::Known(word),
        })
    }

    /// A number, with one of the units where there are any.
    fn number(&self, name: &str, units: &[&str]) -> Reading<u64> {
        self.word(name).and_then(|text| {
            let mut words = text.split_ascii_whitespace();
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            match number {
                Some(0) => Reading::Absent,
                Some(number) if units.is_empty() || words.next().is_some_and(|unit| units.contains(&unit)) => {
                    Reading::Known(number)
                }
                _ => Reading::Failed(format!("not a number with its unit: {text:.40}")),
            }
        })
    }

    fn size(&self, name: &str) -> Reading<u64> {
        self.word(name).and_then(|text| match text.as_str() {
            "None" => Reading::Known(0),
            text => size_of(text).map_or_else(|| Reading::Failed(format!("not a size: {text:.40}")), Reading::Known),
        })
    }

    /// `Bank 1, Hex 0x2C`
    fn maker_id(&self, name: &str) -> Reading<String> {
        self.word(name).and_then(|text| {
            let parts = text.strip_prefix("Bank ").and_then(|rest| rest.split_once(", Hex 0x"));
            let id = parts.and_then(|(bank, code)| {
                let bank = bank.parse::<u8>().ok()?.checked_sub(1)?;
                Some((bank, u8::from_str_radix(code, 16).ok()?))
            });
            id.map_or_else(|| Reading::Failed("not a maker's id".to_owned()), |(bank, code)| jep106_id(bank, code))
        })
    }

    fn product_id(&self, name: &str) -> Reading<String> {
        self.word(name).map(|id| id.to_ascii_lowercase())
    }

    fn maker_and_revision(&self, maker: &str, revision: &str) -> Reading<String> {
        let revision = self.word(revision).into_known().filter(|it| it.starts_with("0x"));
        self.maker_id(maker)
            .map(|id| revision.map_or_else(|| id.clone(), |it| format!("{id} {}", it.to_ascii_lowercase())))
    }

    /// From the bytes of the Processor ID. dmidecode says of an ARM processor whose it is, not of which family.
    fn signature(&self) -> Reading<Signature> {
        let arm = self.get("Signature").is_some_and(|it| !it.contains("Family"))
            || self.get("Family").is_some_and(|it| it.starts_with("ARM"));
        let Some(id) = self.get("ID").filter(|_| !arm) else { return Reading::Unsupported };
        if is_taken_out(id) {
            return Reading::Unsupported;
        }
        let mut bytes = id.split_ascii_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok());
        let mut next = || bytes.next().flatten();
        match (next(), next(), next(), next()) {
            (Some(a), Some(b), Some(c), Some(d)) => match u32::from_le_bytes([a, b, c, d]) {
                0 | u32::MAX => Reading::Absent,
                eax => Reading::Known(Signature::from_eax(eax)),
            },
            _ => Reading::Failed("not a processor id".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODULE: &str = "Handle 0x1100, DMI type 17, 92 bytes\nMemory Device\n\tTotal Width: 80 bits\n\tSize: 64 GB\n\
        \tForm Factor: DIMM\n\tLocator: A1\n\tBank Locator: Not Specified\n\tType: <OUT OF SPEC>\n\tSpeed: 667 MHz (1.5 ns)\n\
        \tManufacturer: Unknown\n\tSerial Number: --\n\tRank: Unknown\n\tModule Manufacturer ID: Bank 3, Hex 0x9E\n";

    #[test]
    fn every_habit_of_a_module() {
        for text in [
            MODULE.to_owned(),
            MODULE.replace("Handle 0x1100, DMI type 17, 92 bytes\n", ""),
            MODULE.replace('\n', "\r\n"),
            MODULE.replace('\t', "    "),
            MODULE.replace('\t', ""),
            MODULE.lines().map(|line| format!("> {line}\n")).collect(),
            format!("# dmidecode 3.1\n{MODULE}\n\n# dmidecode 3.1\n{MODULE}\nSerial Number: of another program\n"),
        ] {
            // A name alone, without indentation below it, is not recognised, but it can be read.
            assert!(recognise(&text) || !text.contains("Handle"), "{text}");
            let inventory = parse(&text);
            assert_eq!(inventory.memory_devices.len(), 1, "{text}");
            let module = &inventory.memory_devices[0];
            assert!(module.populated);
            assert_eq!(module.size_bytes, Reading::Known(64 << 30), "{text}");
            assert_eq!(module.locator, Reading::Known("A1".to_owned()));
            assert_eq!(module.bank, Reading::Absent);
            assert_eq!(module.kind, Reading::Unsupported);
            assert_eq!(module.speed_mts, Reading::Known(667));
            assert_eq!(module.manufacturer, Reading::Known("Unknown".to_owned()));
            assert_eq!((&module.serial, &module.part_number), (&Reading::Unsupported, &Reading::Unsupported));
            assert_eq!(module.ranks, Reading::Absent);
            assert_eq!(module.module_maker_id, Reading::Known("029E".to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_printout_is_not_taken_for_one() {
        for text in
            ["", "Memory Device", "Handle 0x1100", "the Memory Device\nis broken: yes", "Handle with care, DMI type x"]
        {
            assert!(!recognise(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            text in "(Handle 0x0011, DMI type (4|17|16|19|20), 9 bytes\n|Memory Device\n|\t(Size|Speed|ID|Type): |GB|[ -~]|\n|\\PC){0,80}"
        ) {
            recognise(&text);
            parse(&text);
        }
    }
}
