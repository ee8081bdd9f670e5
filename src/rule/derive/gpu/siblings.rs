//! The GPUs of one machine held against each other.

use std::collections::BTreeMap;

use super::{Facts, Gpu, first_reason, integer, is_placeholder, known, text};
use crate::evidence::{Origin, Reading, Value};
use crate::rule::tables::Tables;

/// What GPUs of one kind have in common, with the words for it.
const FIELDS: [(&str, &str); 9] = [
    ("VBIOS version", "gpu.nvml.vbios_version"),
    ("board part number", "gpu.nvml.board_part_number"),
    ("GPU part number", "gpu.nvml.gpu_part_number"),
    ("InfoROM image", "gpu.nvml.inforom.image"),
    ("memory", "gpu.nvml.memory.total_mib"),
    ("highest power limit", "gpu.nvml.power.max_limit_milliwatts"),
    ("default power limit", "gpu.nvml.power.default_limit_milliwatts"),
    ("highest graphics clock", "gpu.nvml.clock.max_graphics_mhz"),
    ("highest memory clock", "gpu.nvml.clock.max_memory_mhz"),
];
const SERIAL: &str = "gpu.nvml.serial";
const PDI: &str = "gpu.nvml.pdi";

pub(super) fn compare(gpu: &Gpu<'_>, all: &[Gpu<'_>], origin: Origin, tables: &Tables, facts: &mut Facts) {
    let others = || all.iter().filter(|other| other.part.id != gpu.part.id);
    let ids = |found: Vec<&Gpu<'_>>| known(found.iter().map(|gpu| gpu.part.id.clone()).collect::<Vec<_>>());
    // A publisher who removed the UUIDs touched the serial numbers too.
    let scrubbed = all.iter().filter_map(|gpu| gpu.uuid.known()).any(|uuid| is_placeholder(uuid, tables));

    let pdi = text(gpu.part, PDI).into_known().filter(|pdi| !is_placeholder(pdi, tables));
    let uuid = gpu.uuid.clone().and_then(|uuid| super::usable(uuid, tables));
    let same = uuid.and_then(|uuid| {
        let same = |other: &&Gpu<'_>| {
            other.uuid.known() == Some(&uuid) || pdi.as_deref().is_some_and(|pdi| other.part.text(PDI) == Some(pdi))
        };
        ids(others().filter(same).collect())
    });
    facts.insert("gpu.same_uuid_as", same);

    let on_purpose = gpu.baseline.as_ref().is_some_and(|baseline| baseline.is("shared_serial"))
        || gpu.flag("gpu.nvml.multi_gpu_board") == Some(true);
    let serial = text(gpu.part, SERIAL).and_then(|serial| super::usable(serial, tables)).and_then(|serial| {
        let same: Vec<&Gpu<'_>> = others().filter(|other| other.part.text(SERIAL) == Some(&serial)).collect();
        match same.is_empty() {
            false if scrubbed => Reading::Failed("identities were removed from this capture".to_owned()),
            _ => ids(same),
        }
    });
    facts.insert("gpu.same_serial_as", if on_purpose { Reading::Absent } else { serial });
    facts.insert("gpu.identity_blank", identity_blank(gpu, scrubbed || origin == Origin::Imported, tables));

    let alike: Vec<&Gpu<'_>> =
        all.iter().filter(|other| gpu.device_id.known().is_some() && other.device_id == gpu.device_id).collect();
    facts.insert("gpu.differs_in", differs_in(gpu, &alike));
    let other_vbios = match (alike.len(), &gpu.vbios_version) {
        (0 | 1, _) => Reading::Absent,
        (_, Reading::Known(own)) => {
            let other = |other: &&&Gpu<'_>| {
                other.subsystem == gpu.subsystem && other.vbios_version.known().is_some_and(|version| version != own)
            };
            ids(alike.iter().filter(other).copied().collect())
        }
        (_, unread) => unread.clone().value(),
    };
    facts.insert("gpu.other_vbios_on", other_vbios);

    let sxm = |gpu: &Gpu<'_>| gpu.form_factor.as_deref() == Some("sxm");
    let modules = all.iter().filter(|gpu| sxm(gpu)).count();
    facts.insert("gpu.sxm_modules", known(modules));
    let same_module = if sxm(gpu) {
        integer(gpu.part, "gpu.nvml.module_id").and_then(|module| {
            let same = |other: &&Gpu<'_>| sxm(other) && other.part.integer("gpu.nvml.module_id") == Some(module);
            ids(others().filter(same).collect())
        })
    } else {
        Reading::Absent
    };
    facts.insert("gpu.same_module_as", same_module);
}

/// Which of serial and board part number are blank. What the publisher of a capture removed is not known.
fn identity_blank(gpu: &Gpu<'_>, removed: bool, tables: &Tables) -> Reading {
    let mut blank = Vec::new();
    for (words, path) in [("serial number", SERIAL), ("board part number", "gpu.nvml.board_part_number")] {
        match gpu.part.reading(path) {
            Some(Reading::Absent) => blank.push(words.to_owned()),
            Some(Reading::Known(Value::Text(text))) if !is_placeholder(text, tables) => {}
            Some(Reading::Known(_)) if removed => return Reading::Failed(format!("the {words} was removed")),
            Some(Reading::Known(_)) => blank.push(words.to_owned()),
            _ => return first_reason(gpu.part, &[path]),
        }
    }
    known(blank)
}

/// Fields in which the GPU differs from most others of its device id; from all, where there is no majority.
fn differs_in(gpu: &Gpu<'_>, alike: &[&Gpu<'_>]) -> Reading {
    if gpu.device_id.known().is_none() {
        return gpu.device_id.clone().value();
    }
    if alike.len() < 2 {
        return Reading::Absent;
    }
    let value = |gpu: &Gpu<'_>, path: &str| {
        let value = gpu.part.reading(path)?.known()?;
        Some(value.to_string().to_ascii_uppercase())
    };
    let (mut differing, mut compared) = (Vec::new(), false);
    for (words, path) in FIELDS {
        let Some(own) = value(gpu, path) else { continue };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for other in alike.iter().filter_map(|other| value(other, path)) {
            *counts.entry(other).or_default() += 1;
        }
        compared |= counts.values().sum::<usize>() > 1;
        let most = counts.values().copied().max().unwrap_or_default();
        let majority = counts.values().filter(|count| **count == most).count() == 1;
        if counts.len() > 1 && (!majority || counts[&own] < most) {
            differing.push(words.to_owned());
        }
    }
    if let Reading::Known(own) = &gpu.subsystem {
        let most = alike.iter().filter(|other| other.subsystem.known() == Some(own)).count();
        compared = true;
        if alike.iter().filter(|other| other.subsystem.known().is_some()).count() > 2 * most {
            differing.push("subsystem".to_owned());
        }
    }
    if compared { known(differing) } else { first_reason(gpu.part, &["gpu.nvml.vbios_version"]) }
}
