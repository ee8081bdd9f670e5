//! The EEPROM of a memory module for a person.

use super::style::{Style, Tone};
use super::{Table, binary_bytes, for_terminal};
use crate::parse::jep106::MakerId;
use crate::parse::spd::{Chip, Date, Spd};

/// What the image says, its checksums, and what there is to be wary of.
pub fn spd_plain(spd: &Spd<'_>, style: Style) -> String {
    let geometry = &spd.geometry;
    let mut table = Table::new(&["field", "value"]);
    let mut row = |field: &str, value: Option<String>| {
        table.row([field.to_owned(), value.unwrap_or_else(|| "-".to_owned())]);
    };
    let text = |text: String| for_terminal(&text, style);
    row("type", Some(format!("{} {}", spd.dram.name(), spd.module_type.unwrap_or("(module type unknown)"))));
    row("capacity", geometry.capacity_mib.map(|mib| binary_bytes((mib << 20) as i64)));
    row(
        "ranks",
        geometry.ranks.map(|ranks| match geometry.logical_ranks {
            Some(logical) if logical != u16::from(ranks) => format!("{ranks} ({logical} with the dies of a stack)"),
            _ => ranks.to_string(),
        }),
    );
    row("DRAM width", geometry.device_width_bits.map(|bits| format!("x{bits}")));
    row(
        "bus width",
        geometry.bus_width_bits.map(|bits| match geometry.ecc_bits {
            Some(0) => format!("{bits} bit"),
            Some(ecc) => format!("{bits} bit + {ecc} check bits"),
            None => format!("{bits} bit, check bits unknown"),
        }),
    );
    row(
        "die",
        geometry.die_density_mbit.map(|mbit| match geometry.dies {
            Some(dies) if dies > 1 => format!("{} Gbit, {dies} in a package", mbit as f64 / 1024.0),
            _ => format!("{} Gbit", mbit as f64 / 1024.0),
        }),
    );
    row("speed", spd.speed_mts.map(|mts| format!("{mts} MT/s")));
    let times = [spd.timing.taa_ps, spd.timing.trcd_ps, spd.timing.trp_ps, spd.timing.tras_ps];
    let times: Option<Vec<String>> = times.into_iter().map(|ps| Some(format!("{}", f64::from(ps?) / 1000.0))).collect();
    row("tAA, tRCD, tRP, tRAS", times.map(|times| format!("{} ns", times.join(", "))));
    row("module maker", spd.module_maker().map(maker));
    row("DRAM maker", spd.dram_maker().map(maker));
    row("part number", spd.part_number().filter(|part| !part.is_empty()).map(text));
    row("serial", spd.serial().map(hex::encode_upper));
    row("date", spd.date().map(|date| date.to_string()));
    row("place", spd.location().map(|place| format!("{place:#04x}")));
    row("revision", spd.revision().map(|bytes| format!("0x{}", hex::encode_upper(bytes))));
    row("module id", spd.module_id().map(hex::encode_upper));
    let chips = &spd.chips;
    let [first, second, third] = chips.pmics;
    for (name, chip) in [
        ("SPD hub", chips.hub),
        ("PMIC", first),
        ("PMIC 1", second),
        ("PMIC 2", third),
        ("register", chips.register),
        ("data buffer", chips.buffer),
    ] {
        if let Some(chip) = chip {
            row(name, Some(chip_plain(&chip)));
        }
    }
    if let Some(lot) = spd.lot() {
        let shape = lot.shape_of.map_or_else(String::new, |maker| format!(" (as {maker} writes it)"));
        row("lot", Some(format!("{}{shape}", lot.code)));
    }
    if let Some(long) = spd.samsung_long_serial() {
        row("long serial", Some(long));
    }
    if let Some(mark) = spd.oem_mark() {
        row(
            "sold in machines of",
            Some([Some(mark.oem.to_owned()), mark.part].into_iter().flatten().collect::<Vec<_>>().join(" ")),
        );
    }
    if let Some(profiles) = spd.profiles().filter(|profiles| !profiles.is_empty()) {
        row("profiles", Some(profiles.join(", ")));
    }
    if let Some(entries) = spd.error_log_entries().filter(|entries| *entries > 0) {
        row("error log", Some(format!("{entries} entries")));
    }
    for sum in spd.checksums() {
        row("checksum", Some(sum.to_string()));
    }
    row("SPD revision", spd.spd_revision_text());
    row("image", Some(format!("{} bytes", spd.size_bytes)));
    let mut shown = table.render();
    for warning in warnings(spd) {
        shown += &format!("\n{} {warning}\n", style.paint(Tone::Warning, "note:"));
    }
    shown
}

fn maker(id: MakerId) -> String {
    match id.name() {
        Some(name) => format!("{name} ({id})"),
        None if id.is_programmed() => format!("not listed ({id})"),
        None => "not programmed".to_owned(),
    }
}

fn chip_plain(chip: &Chip) -> String {
    let kind = chip.kind.map_or_else(String::new, |kind| format!(", {kind}"));
    format!("{}{kind}, revision {}.{}", maker(chip.maker), chip.revision >> 4, chip.revision & 0xf)
}

/// What a reader could take for more, or for less, than it is.
fn warnings(spd: &Spd<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |text: &str| found.push(text.to_owned());
    if spd.page_alias {
        note(
            "upper pages repeat lower ones: the reader could not switch pages. That is no fault of the module; only the \
             first page is decoded. Read it again where the SPD may be written",
        );
    }
    if spd.checksums().any(|sum| !sum.fits()) {
        note("a checksum is wrong: damaged, edited, or read badly; read it again");
    } else if spd.checksums().next().is_some() {
        note(
            "checksums do not cover maker, date, serial and part number in DDR4 and DDR5: a good one says nothing of them",
        );
    }
    if spd.geometry.addressing_fits == Some(false) {
        note("row, column and bank bits do not give the stated density");
    }
    let bad = spd.parity_bad();
    if !bad.is_empty() {
        note(&format!("wrong parity: {}", bad.join(", ")));
    }
    if matches!(spd.date(), Some(Date::Invalid(_))) {
        note("the date is no year and week; some makers write other notations");
    }
    if spd.ddimm {
        note("a differential module: place, date, serial and structure are not decoded");
    } else if !spd.dram.is_decoded() {
        note("structure and timings of this memory type are not decoded");
    } else if !spd.page_alias && spd.part_number_bytes().is_none() {
        note("the image ends before the maker's part: nothing of it was read");
    }
    found
}
