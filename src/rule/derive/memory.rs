//! Memory modules compared with each other, and what counts them.

use std::collections::BTreeMap;

use super::{add, missing_like};
use crate::evidence::{Evidence, Part, Reading, Value};

/// Fields in which a module differs from most others.
pub(super) fn mixed_dimms(evidence: &mut Evidence) {
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

/// What different sources count, in percent of each other.
pub(super) fn memory_shares(evidence: &mut Evidence) {
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
