//! Processors compared with each other.

use super::{SOURCE, add, missing_like};
use crate::evidence::{Evidence, Fact, FactPath, Part, Reading};

/// What the rules are about: the answer of CPUID, or where only a text came, what the kernel printed.
const EITHER: [(&str, [&str; 2]); 4] = [
    ("cpu.brand", ["cpu.cpuid.brand", "cpu.procfs.brand"]),
    ("cpu.signature", ["cpu.cpuid.signature", "cpu.procfs.signature"]),
    ("cpu.hypervisor", ["cpu.cpuid.hypervisor", "cpu.procfs.hypervisor"]),
    ("cpu.ppin", ["cpu.sysfs.ppin", "cpu.msr.ppin"]),
];

/// Differences between the packages of a machine, and numbers that two of them share.
pub(super) fn mixed_cpus(evidence: &mut Evidence) {
    const FIELDS: [&str; 3] = ["cpu.signature", "cpu.brand", "cpu.procfs.microcode"];
    let hypervisor = evidence.scope("platform").find_map(|part| part.reading("platform.hypervisor.present")).cloned();
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "cpu") {
        for (path, sources) in EITHER {
            let fact = either(part, sources);
            part.facts.insert(FactPath::new(path), fact);
        }
        if part.reading("cpu.hypervisor").is_none_or(|reading| reading.known().is_none())
            && let Some(Reading::Known(present)) = &hypervisor
        {
            add(part, "cpu.hypervisor", Reading::Known(present.clone()));
        }
    }
    let cpus: Vec<(String, [Option<String>; 3])> = evidence
        .scope("cpu")
        .map(|part| (part.id.clone(), FIELDS.map(|field| part.text(field).map(squeeze))))
        .collect();
    let ppins: Vec<(String, String)> =
        evidence.scope("cpu").filter_map(|part| Some((part.id.clone(), part.text("cpu.ppin")?.to_owned()))).collect();
    let legible = cpus.iter().all(|(_, fields)| fields[0].is_some() && fields[1].is_some());
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "cpu") {
        let own = cpus.iter().find(|(id, _)| *id == part.id).map(|(_, fields)| fields);
        let differing: Vec<String> =
            cpus.iter().filter(|(_, fields)| own.is_some_and(|own| own != fields)).map(|(id, _)| id.clone()).collect();
        let reading = if legible { Reading::Known(differing.into()) } else { missing_like(part, FIELDS[0]) };
        add(part, "cpu.differs_from", reading);
        let family_model =
            part.text(FIELDS[0]).and_then(|signature| signature.rsplit_once('-')).map(|it| it.0.to_owned());
        let family_model = family_model.map_or_else(|| missing_like(part, FIELDS[0]), |it| Reading::Known(it.into()));
        add(part, "cpu.family_model", family_model);
        let same_ppin = match part.text("cpu.ppin") {
            Some(own) => {
                let others = ppins.iter().filter(|(id, ppin)| *id != part.id && ppin == own);
                Reading::Known(others.map(|(id, _)| id.clone()).collect::<Vec<_>>().into())
            }
            None => missing_like(part, "cpu.ppin"),
        };
        add(part, "cpu.ppin_same_as", same_ppin);
        let differ = bmc_differ(part);
        add(part, "cpu.bmc_differ", differ);
    }
}

/// What the management controller tells otherwise than the processor itself.
fn bmc_differ(part: &Part) -> Reading {
    let mut compared = false;
    let mut found = Vec::new();
    if let (Some(brand), Some(model)) = (part.text("cpu.brand"), part.text("cpu.bmc.model")) {
        let (own, told) = (model_numbers(brand), model_numbers(model));
        // Some controllers tell a family only.
        if !own.is_empty() && !told.is_empty() {
            compared = true;
            if own.iter().all(|number| !told.contains(number)) {
                found.push(format!("model: processor {brand}, controller {model}"));
            }
        }
    }
    if let (Some(own), Some(told)) = (part.text("cpu.ppin"), part.text("cpu.bmc.ppin")) {
        let plain = |text: &str| super::normalise_id(text.trim_start_matches("0x")).trim_start_matches('0').to_owned();
        compared = true;
        if plain(own) != plain(told) {
            found.push(format!("inventory number: processor {own}, controller {told}"));
        }
    }
    match part.reading("cpu.bmc.model") {
        _ if compared => Reading::Known(found.into()),
        // Nobody asked a controller.
        None => Reading::Unsupported,
        Some(_) => missing_like(part, "cpu.bmc.model"),
    }
}

/// The words of a brand text with three digits in a row or more: `8480+`, `6330`, `7763`. Speeds have a point.
fn model_numbers(brand: &str) -> Vec<String> {
    let words = brand.split(|it: char| it.is_whitespace() || matches!(it, '(' | ')' | '@' | ','));
    let digits = |word: &&str| word.as_bytes().windows(3).any(|three| three.iter().all(u8::is_ascii_digit));
    words.filter(digits).map(str::to_ascii_uppercase).collect()
}

/// The first that has a value; else why the first has none. Its source stays: a finding names who said so.
fn either(part: &Part, sources: [&str; 2]) -> Fact {
    let facts = || sources.iter().filter_map(|path| part.facts.get(*path));
    let found = facts().find(|fact| fact.reading.known().is_some()).or_else(|| facts().next());
    found.cloned().unwrap_or_else(|| Fact { reading: Reading::Unsupported, source: SOURCE.to_owned() })
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_brands() {
        for (brand, numbers) in [
            ("Intel(R) Xeon(R) Platinum 8480+", &["8480+"][..]),
            ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", &["E5-2680"]),
            ("AMD EPYC 7763 64-Core Processor", &["7763"]),
            ("AMD EPYC(TM) 9654P", &["9654P"]),
            ("Intel Xeon processor", &[]),
        ] {
            assert_eq!(model_numbers(brand), numbers, "{brand}");
        }
    }
}
