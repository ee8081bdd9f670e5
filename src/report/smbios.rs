//! SMBIOS data for a person.

use super::style::{Style, Tone};
use super::{Table, binary_bytes, for_terminal};
use crate::evidence::Reading;
use crate::parse::smbios::{Inventory, MemoryDevice};

/// The system, its processors and modules, and how many structures of which kind there are.
pub fn smbios_plain(inventory: &Inventory, style: Style) -> String {
    let text = |reading: &Reading<String>| match reading {
        Reading::Known(text) => for_terminal(text, style),
        _ => "-".to_owned(),
    };
    let joined = |readings: &[&Reading<String>]| {
        let known: Vec<String> = readings.iter().filter(|it| it.known().is_some()).map(|it| text(it)).collect();
        if known.is_empty() { "-".to_owned() } else { known.join(" ") }
    };
    let number = |reading: &Reading<u64>, unit: &str| match reading {
        Reading::Known(number) => format!("{number}{unit}"),
        _ => "-".to_owned(),
    };
    let bytes = |bytes: u64| binary_bytes(i64::try_from(bytes).unwrap_or(i64::MAX));

    let mut table = Table::new(&["part", "what it says it is", "serial number"]);
    if let Some(system) = &inventory.system {
        table.row(["system".to_owned(), joined(&[&system.manufacturer, &system.product]), text(&system.serial)]);
    }
    if let Some(bios) = &inventory.bios {
        table.row(["BIOS".to_owned(), joined(&[&bios.vendor, &bios.version, &bios.release_date]), String::new()]);
    }
    for board in &inventory.boards {
        table.row(["board".to_owned(), joined(&[&board.manufacturer, &board.product]), text(&board.serial)]);
    }
    for chassis in &inventory.chassis {
        table.row(["chassis".to_owned(), joined(&[&chassis.manufacturer, &chassis.kind]), text(&chassis.serial)]);
    }
    for processor in inventory.populated_sockets() {
        let socket = format!("CPU {}", text(&processor.socket));
        let cores = number(&processor.core_count, " cores");
        table.row([socket, format!("{}, {cores}", text(&processor.version)), text(&processor.serial)]);
    }
    for psu in inventory.power_supplies.iter().filter(|psu| psu.present) {
        let name = format!("{}, {}", joined(&[&psu.manufacturer, &psu.model]), number(&psu.max_watts, " W"));
        table.row(["power supply".to_owned(), name, text(&psu.serial)]);
    }
    let version = inventory.version.map_or_else(|| "of unknown version".to_owned(), |version| version.to_string());
    let mut shown = format!("SMBIOS {version}, {} structures", inventory.structures.len());
    shown += &inventory.printed_by.map_or_else(String::new, |program| format!(", printed by {program}"));
    shown.push('\n');
    if let Some(damage) = inventory.damage {
        shown += &format!("{} the table is damaged: {damage}\n", style.paint(Tone::Warning, "note:"));
    }
    if !table.is_empty() {
        shown += &table.render();
    }

    let modules: Vec<&MemoryDevice> = inventory.modules().collect();
    let total =
        modules.iter().filter_map(|module| module.size_bytes.known()).fold(0u64, |sum, it| sum.saturating_add(*it));
    let heading =
        format!("Memory modules: {} in {} slots, {}", modules.len(), inventory.memory_devices.len(), bytes(total));
    shown += &format!("\n{}\n", style.paint(Tone::Heading, &heading));
    let mut table = Table::new(&["slot", "size", "type", "MT/s", "set", "maker", "part number", "serial number"]);
    for module in modules {
        table.row([
            joined(&[&module.bank, &module.locator]),
            module.size_bytes.known().map_or_else(|| "-".to_owned(), |size| bytes(*size)),
            text(&module.kind),
            number(&module.speed_mts, ""),
            number(&module.configured_mts, ""),
            text(&module.manufacturer),
            text(&module.part_number),
            text(&module.serial),
        ]);
    }
    shown += &if table.is_empty() { "  none\n".to_owned() } else { table.render() };

    shown += &format!("\n{}\n", style.paint(Tone::Heading, "Structures"));
    let mut counts: std::collections::BTreeMap<u8, (usize, &'static str)> = std::collections::BTreeMap::new();
    for structure in &inventory.structures {
        counts.entry(structure.kind).or_insert((0, structure.name())).0 += 1;
    }
    let mut table = Table::new(&["type", "count", "name"]);
    for (kind, (count, name)) in counts {
        table.row([kind.to_string(), count.to_string(), name.to_owned()]);
    }
    shown += &table.render();
    shown
}
