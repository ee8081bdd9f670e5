//! Processors compared with each other.

use super::{add, missing_like};
use crate::evidence::{Evidence, Reading};

/// Differences between the packages of a machine, and numbers that two of them share.
pub(super) fn mixed_cpus(evidence: &mut Evidence) {
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
