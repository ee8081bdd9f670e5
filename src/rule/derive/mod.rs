//! Facts that no single read gives: comparisons over the whole machine. They are made here so that the rules about them
//! stay data.

mod cpu;
mod drive;
mod gpu;
mod memory;
mod platform;

use std::collections::BTreeMap;

use super::tables::Tables;
use crate::claim;
use crate::evidence::{Evidence, Fact, FactDef, FactPath, Kind, Part, Reading, Role};

pub(crate) use gpu::is_nvidia;

/// The table of texts that firmware prints where there is no serial number.
pub const BLANK_IDENTITIES: &str = "blank-identities";
/// The table of ids that stand for one that the publisher of a capture removed.
pub const PLACEHOLDER_IDS: &str = "gpu/placeholder-ids";

/// Every fact that [`derive()`] adds. Those under `part.` are added to parts of every kind.
pub const FACTS: &[FactDef] = &FactDef::joined::<{ HOST.len() + gpu::FACTS.len() }>(HOST, gpu::FACTS);

const HOST: &[FactDef] = &FactDef::joined::<{ GENERAL.len() + PARTS.len() }>(GENERAL, PARTS);

const PARTS: &[FactDef] = &FactDef::joined::<{ memory::FACTS.len() + drive::FACTS.len() }>(memory::FACTS, drive::FACTS);

const GENERAL: &[FactDef] = &[
    FactDef::new("part.scope", Kind::Text, "kind of the part"),
    FactDef::new("part.same_unit_id_as", Kind::List, "parts that carry a serial number or other unit id of this one"),
    FactDef::new("part.shared_unit_ids", Kind::List, "the ids that they share, as the parts print them"),
    FactDef::new("cpu.brand", Kind::Text, "brand text: of CPUID, else of /proc/cpuinfo"),
    FactDef::new("cpu.signature", Kind::Text, "family, model and stepping, decimal: of CPUID, else of /proc/cpuinfo"),
    FactDef::new(
        "cpu.hypervisor",
        Kind::Bool,
        "whether a hypervisor stands in between: of CPUID, else of /proc/cpuinfo",
    ),
    FactDef::new("cpu.ppin", Kind::Text, "protected processor inventory number: of sysfs, else of the register"),
    FactDef::new("cpu.family_model", Kind::Text, "CPUID family and model, decimal: `6-85`"),
    FactDef::new("cpu.differs_from", Kind::List, "packages whose CPUID signature, brand or microcode differs"),
    FactDef::new("cpu.ppin_same_as", Kind::List, "packages that have the same protected processor inventory number"),
    FactDef::new("cpu.bmc_differ", Kind::List, "what the management controller tells otherwise than the processor"),
    FactDef::new("platform.bmc_differ", Kind::List, "what the management controller tells otherwise than firmware"),
];

const SOURCE: &str = "derived from the facts of all parts";

/// Adds the derived facts to every part. `unit_ids` are the facts whose [`Role`] is [`Role::UnitId`].
pub fn derive<'a>(evidence: &mut Evidence, facts: impl Iterator<Item = &'a FactDef>, tables: &Tables) {
    let unit_ids: Vec<&str> = facts.filter(|fact| fact.role == Role::UnitId).map(|fact| fact.path).collect();
    shared_unit_ids(evidence, &unit_ids, tables);
    cpu::mixed_cpus(evidence);
    platform::bmc_differ(evidence, tables);
    memory::derive(evidence, tables);
    drive::derive(evidence, tables);
    gpu::derive(evidence, tables);
    nothing_claimed(evidence);
    for part in &mut evidence.parts {
        let scope = part.scope.clone();
        add(part, "part.scope", Reading::Known(scope.into()));
    }
}

fn add(part: &mut Part, path: &str, reading: Reading) {
    part.facts.insert(FactPath::new(path), Fact { reading, source: SOURCE.to_owned() });
}

/// Letters and digits only: firmware pads and groups serials differently. What lies beyond ASCII stays, though it may be
/// invisible: an id that only looks like another one is not that one.
pub(crate) fn normalise_id(text: &str) -> String {
    let kept = |letter: &char| letter.is_ascii_alphanumeric() || !letter.is_ascii();
    text.chars().filter(kept).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// A serial that several parts of one enclosure share on purpose: firmware copies the system's to chassis and board.
fn same_enclosure(a: &Part, b: &Part) -> bool {
    let enclosure = |part: &Part| matches!(part.scope.as_str(), "platform" | "chassis" | "board");
    enclosure(a) && enclosure(b) && a.scope != b.scope
}

fn shared_unit_ids(evidence: &mut Evidence, unit_ids: &[&str], tables: &Tables) {
    let blank = tables.get(BLANK_IDENTITIES);
    let mut holders: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    let mut has_id = vec![false; evidence.parts.len()];
    for (index, part) in evidence.parts.iter().enumerate() {
        for path in unit_ids {
            let Some(text) = part.text(path) else { continue };
            if blank.is_none_or(|table| table.has(text)) {
                continue;
            }
            has_id[index] = true;
            let id = normalise_id(text);
            if id.is_empty() {
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
    for ((part, (others, ids)), has_id) in evidence.parts.iter_mut().zip(shared).zip(has_id) {
        // Without a legible id there is nothing to compare, and why there is none decides what can be said.
        let mut readings = unit_ids.iter().filter_map(|path| part.reading(path));
        let reason = readings.find(|reading| reading.known().is_none()).cloned();
        let (others, ids) = match (has_id, reason) {
            (true, _) => (Reading::Known(others.into()), Reading::Known(ids.into())),
            (false, Some(reason)) => (reason.clone(), reason),
            (false, None) => (Reading::Absent, Reading::Absent),
        };
        add(part, "part.same_unit_id_as", others);
        add(part, "part.shared_unit_ids", ids);
    }
}

/// Where nothing was claimed of a part, its facts about claims are absent, and not unknown.
fn nothing_claimed(evidence: &mut Evidence) {
    let facts = claim::FACTS.iter().map(|fact| fact.path).chain(["dimm.claim.text", "dimm.claim.condition"]);
    let facts: Vec<(&str, &str)> = facts.filter_map(|path| Some((path.split('.').next()?, path))).collect();
    for part in &mut evidence.parts {
        for (scope, path) in &facts {
            if part.scope == *scope && part.reading(path).is_none() {
                add(part, path, Reading::Absent);
            }
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
