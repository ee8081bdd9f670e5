//! What the modules are most of the time, and how much memory different sources count.

use std::collections::BTreeMap;

use super::super::{add, missing_like};
use super::{integer, void};
use crate::evidence::{Evidence, Part, Reading, Value};

/// Fields in which a module differs from most others. Where SMBIOS does not tell, the SPD does.
pub(super) fn mixed_dimms(evidence: &mut Evidence) {
    const FIELDS: [(&str, &str, &str); 5] = [
        ("maker", "dimm.smbios.manufacturer", "dimm.spd.module_maker"),
        ("part", "dimm.smbios.part_number", "dimm.spd.part_number"),
        ("size", "dimm.smbios.size_bytes", "dimm.spd.capacity_mib"),
        ("speed", "dimm.smbios.speed_mts", "dimm.spd.speed_mts"),
        ("die", "dimm.part.die", "dimm.part.die"),
    ];
    let known = |part: &Part, path: &str| part.reading(path).and_then(Reading::known).map(Value::to_string);
    let told = |path: &str| evidence.scope("dimm").any(|part| known(part, path).is_some());
    // One source for all modules, so that no two ways of writing are compared.
    let paths = FIELDS.map(|(_, smbios, spd)| if told(smbios) { smbios } else { spd });
    let value = |part: &Part, path: &str| known(part, path);
    let usual: Vec<Option<String>> = paths
        .iter()
        .map(|path| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for text in evidence.scope("dimm").filter_map(|part| value(part, path)) {
                *counts.entry(text).or_default() += 1;
            }
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text)
        })
        .collect();
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "dimm") {
        let known: Vec<Option<String>> = paths.iter().map(|path| value(part, path)).collect();
        let reading = if known.iter().all(Option::is_none) {
            missing_like(part, paths[2])
        } else {
            let differing: Vec<String> = FIELDS
                .iter()
                .zip(known.iter().zip(&usual))
                .filter(|(_, (own, usual))| own.is_some() && own != usual)
                .map(|((name, ..), _)| (*name).to_owned())
                .collect();
            Reading::Known(differing.into())
        };
        add(part, "dimm.differs_in", reading);
    }
}

/// What different sources count, in percent of each other.
pub(super) fn memory_shares(evidence: &mut Evidence) {
    let by_spd = spd_sum(evidence);
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
        let installed = integer(part, installed);
        let share = by_spd.clone().and_then(|mib| {
            installed.and_then(|bytes| match bytes >> 20 {
                1.. => Reading::Known((mib as f64 * 100.0 / (bytes >> 20) as f64).round() as i64),
                _ => Reading::Failed("no memory is installed, says SMBIOS".to_owned()),
            })
        });
        add(part, "memory.spd_share_percent", share.value());
    }
}

/// The capacity of all modules by their SPDs, in MiB: known when every module that SMBIOS lists has one that was read.
fn spd_sum(evidence: &Evidence) -> Reading<i64> {
    let populated =
        evidence.scope("memory").next().map_or(Reading::Unsupported, |part| integer(part, "memory.smbios.populated"));
    let (mut read, mut sum) = (0, 0i64);
    for part in evidence.scope("dimm") {
        if let Some(why) = void(part) {
            return Reading::Failed(format!("{}: {why}", part.id));
        }
        if let Reading::Known(mib) = integer(part, "dimm.spd.capacity_mib") {
            read += 1;
            sum = sum.saturating_add(mib);
        }
    }
    populated.and_then(|populated| match read {
        0 => Reading::Unsupported,
        _ if read == populated => Reading::Known(sum),
        _ => Reading::Failed(format!("{read} of {populated} SPDs were read")),
    })
}
