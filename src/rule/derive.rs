//! Facts that no single read gives: comparisons over the whole machine. They are made here so that the rules about them
//! stay data.

use std::collections::BTreeMap;

use super::tables::Tables;
use crate::evidence::{Evidence, Fact, FactDef, FactPath, Kind, Part, Reading, Role, Value};

/// The table of texts that firmware prints where there is no serial number.
pub const BLANK_IDENTITIES: &str = "blank-identities";

/// Every fact that [`derive()`] adds. Those under `part.` are added to parts of every kind.
pub const FACTS: &[FactDef] = &[
    FactDef::new("part.scope", Kind::Text, "kind of the part"),
    FactDef::new("part.same_unit_id_as", Kind::List, "parts that carry a serial number or other unit id of this one"),
    FactDef::new("part.shared_unit_ids", Kind::List, "the ids that they share, as the parts print them"),
    FactDef::new("cpu.family_model", Kind::Text, "CPUID family and model, decimal: `6-85`"),
    FactDef::new("cpu.differs_from", Kind::List, "packages whose CPUID signature, brand or microcode differs"),
    FactDef::new("cpu.ppin_same_as", Kind::List, "packages that have the same protected processor inventory number"),
    FactDef::new(
        "dimm.differs_in",
        Kind::List,
        "fields in which the module differs from most others: maker, part, size, speed",
    ),
    FactDef::new(
        "memory.kernel_share_percent",
        Kind::Integer,
        "memory that the kernel manages, percent of the sum of the modules",
    ),
    FactDef::new(
        "memory.edac_share_percent",
        Kind::Integer,
        "memory that EDAC sees, percent of the sum of the modules",
    ),
    FactDef::new("memory.sysinfo_share_percent", Kind::Integer, "memory that sysinfo counts, percent of /proc/meminfo"),
];

const SOURCE: &str = "derived from the facts of all parts";

/// Adds the derived facts to every part. `unit_ids` are the facts whose [`Role`] is [`Role::UnitId`].
pub fn derive<'a>(evidence: &mut Evidence, facts: impl Iterator<Item = &'a FactDef>, tables: &Tables) {
    let unit_ids: Vec<&str> = facts.filter(|fact| fact.role == Role::UnitId).map(|fact| fact.path).collect();
    shared_unit_ids(evidence, &unit_ids, tables);
    mixed_cpus(evidence);
    mixed_dimms(evidence);
    memory_shares(evidence);
    for part in &mut evidence.parts {
        let scope = part.scope.clone();
        add(part, "part.scope", Reading::Known(scope.into()));
    }
}

fn add(part: &mut Part, path: &str, reading: Reading) {
    part.facts.insert(FactPath::new(path), Fact { reading, source: SOURCE.to_owned() });
}

/// Letters and digits only: firmware pads and groups serials differently.
fn normalise_id(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// A serial that several parts of one enclosure share on purpose: firmware copies the system's to chassis and board.
fn same_enclosure(a: &Part, b: &Part) -> bool {
    let enclosure = |part: &Part| matches!(part.scope.as_str(), "platform" | "chassis" | "board");
    enclosure(a) && enclosure(b) && a.scope != b.scope
}

fn shared_unit_ids(evidence: &mut Evidence, unit_ids: &[&str], tables: &Tables) {
    let blank = tables.get(BLANK_IDENTITIES);
    let mut holders: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for (index, part) in evidence.parts.iter().enumerate() {
        for path in unit_ids {
            let Some(text) = part.text(path) else { continue };
            let id = normalise_id(text);
            if id.is_empty() || blank.is_none_or(|table| table.has(text)) {
                continue;
            }
            let parts = holders.entry(id).or_default();
            if parts.iter().all(|(other, _)| *other != index) {
                parts.push((index, text.to_owned()));
            }
        }
    }
    let mut shared: Vec<(Vec<String>, Vec<String>)> = vec![Default::default(); evidence.parts.len()];
    for parts in holders.values() {
        for (index, text) in parts {
            for (other, _) in parts {
                let (this, that) = (&evidence.parts[*index], &evidence.parts[*other]);
                if other != index && !same_enclosure(this, that) {
                    let (others, ids) = &mut shared[*index];
                    if !others.contains(&that.id) {
                        others.push(that.id.clone());
                    }
                    if !ids.contains(text) {
                        ids.push(text.clone());
                    }
                }
            }
        }
    }
    for (part, (others, ids)) in evidence.parts.iter_mut().zip(shared) {
        let readings: Vec<&Reading> = unit_ids.iter().filter_map(|path| part.reading(path)).collect();
        let legible = unit_ids.iter().filter_map(|path| part.text(path));
        let has_id = blank.is_some_and(|table| legible.clone().any(|text| !table.has(text)));
        // Without a legible id there is nothing to compare, and why there is none decides what can be said.
        let reason = readings.iter().find(|reading| reading.known().is_none()).map(|reading| (*reading).clone());
        let (others, ids) = match (has_id, reason) {
            (true, _) => (Reading::Known(others.into()), Reading::Known(ids.into())),
            (false, Some(reason)) => (reason.clone(), reason),
            (false, None) => (Reading::Absent, Reading::Absent),
        };
        add(part, "part.same_unit_id_as", others);
        add(part, "part.shared_unit_ids", ids);
    }
}

fn mixed_cpus(evidence: &mut Evidence) {
    const PPIN: &str = "cpu.sysfs.ppin";
    const FIELDS: [&str; 3] = ["cpu.cpuid.signature", "cpu.cpuid.brand", "cpu.procfs.microcode"];
    let cpus: Vec<(String, [Option<String>; 3])> = evidence
        .scope("cpu")
        .map(|part| (part.id.clone(), FIELDS.map(|field| part.text(field).map(str::to_owned))))
        .collect();
    let ppins: Vec<(String, String)> =
        evidence.scope("cpu").filter_map(|part| Some((part.id.clone(), part.text(PPIN)?.to_owned()))).collect();
    let legible = cpus.iter().all(|(_, fields)| fields[0].is_some() && fields[1].is_some());
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "cpu") {
        let own = cpus.iter().find(|(id, _)| *id == part.id).map(|(_, fields)| fields);
        let differing: Vec<String> =
            cpus.iter().filter(|(_, fields)| own.is_some_and(|own| own != fields)).map(|(id, _)| id.clone()).collect();
        let reading = if legible { Reading::Known(differing.into()) } else { missing_like(part, FIELDS[0]) };
        add(part, "cpu.differs_from", reading);
        let family_model = match (part.integer("cpu.cpuid.family"), part.integer("cpu.cpuid.model")) {
            (Some(family), Some(model)) => Reading::Known(format!("{family}-{model}").into()),
            _ => missing_like(part, "cpu.cpuid.family"),
        };
        add(part, "cpu.family_model", family_model);
        let same_ppin = match part.text(PPIN) {
            Some(own) => {
                let others = ppins.iter().filter(|(id, ppin)| *id != part.id && ppin == own);
                Reading::Known(others.map(|(id, _)| id.clone()).collect::<Vec<_>>().into())
            }
            None => missing_like(part, PPIN),
        };
        add(part, "cpu.ppin_same_as", same_ppin);
    }
}

fn mixed_dimms(evidence: &mut Evidence) {
    const FIELDS: [(&str, &str); 4] = [
        ("maker", "dimm.smbios.manufacturer"),
        ("part", "dimm.smbios.part_number"),
        ("size", "dimm.smbios.size_bytes"),
        ("speed", "dimm.smbios.speed_mts"),
    ];
    let value = |part: &Part, path: &str| part.reading(path).and_then(Reading::known).map(Value::to_string);
    let usual: Vec<Option<String>> = FIELDS
        .iter()
        .map(|(_, path)| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for text in evidence.scope("dimm").filter_map(|part| value(part, path)) {
                *counts.entry(text).or_default() += 1;
            }
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text)
        })
        .collect();
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "dimm") {
        let known: Vec<Option<String>> = FIELDS.iter().map(|(_, path)| value(part, path)).collect();
        let reading = if known.iter().all(Option::is_none) {
            missing_like(part, FIELDS[2].1)
        } else {
            let differing: Vec<String> = FIELDS
                .iter()
                .zip(known.iter().zip(&usual))
                .filter(|(_, (own, usual))| own.is_some() && own != usual)
                .map(|((name, _), _)| (*name).to_owned())
                .collect();
            Reading::Known(differing.into())
        };
        add(part, "dimm.differs_in", reading);
    }
}

fn memory_shares(evidence: &mut Evidence) {
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "memory") {
        let installed = "memory.smbios.installed_bytes";
        let meminfo = "memory.meminfo.total_bytes";
        // MemTotal leaves out what the kernel reserved at boot; the memory blocks don't.
        let kernel =
            if part.integer("memory.blocks.total_bytes").is_some() { "memory.blocks.total_bytes" } else { meminfo };
        for (path, counted, whole) in [
            ("memory.kernel_share_percent", kernel, installed),
            ("memory.edac_share_percent", "memory.edac.total_bytes", installed),
            ("memory.sysinfo_share_percent", "memory.sysinfo.total_bytes", meminfo),
        ] {
            let reading = match (part.integer(counted), part.integer(whole)) {
                (Some(counted), Some(whole)) if whole > 0 => {
                    Reading::Known(((counted as f64 * 100.0 / whole as f64).round() as i64).into())
                }
                (Some(_), Some(_)) => Reading::Failed("no memory is installed, says the other source".to_owned()),
                (Some(_), None) => missing_like(part, whole),
                (None, _) => missing_like(part, counted),
            };
            add(part, path, reading);
        }
    }
}

/// The reason why a fact has no value, for another that needs it.
fn missing_like(part: &Part, path: &str) -> Reading {
    match part.reading(path) {
        Some(Reading::Known(_)) | None => Reading::Failed(format!("{path} has no usable value")),
        Some(reason) => reason.clone(),
    }
}
