//! Who a machine says it is, as it is signed.

use serde_json::{Map, Value, json};

use super::statement::{Subject, part_subject};
use crate::evidence::{Evidence, FactDef, Part, Reading, Role};
use crate::rule::{BLANK_IDENTITIES, PLACEHOLDER_IDS, Tables};

/// Kinds of parts in the identity: name in the statement, scope, and the facts that say who the part is.
const KINDS: &[(&str, &str, &[&str])] = &[
    (
        "system",
        "platform",
        &[
            "platform.smbios.system_manufacturer",
            "platform.smbios.system_product",
            "platform.smbios.system_serial",
            "platform.smbios.system_uuid",
            "platform.smbios.bios_version",
            "platform.dmi.system_serial",
            "platform.dmi.system_uuid",
            "platform.dmi.board_serial",
            "platform.dmi.chassis_serial",
            "platform.hypervisor.vendor",
        ],
    ),
    ("boards", "board", &["board.manufacturer", "board.product", "board.serial"]),
    ("chassis", "chassis", &["chassis.manufacturer", "chassis.kind", "chassis.serial"]),
    ("powerSupplies", "psu", &["psu.manufacturer", "psu.model", "psu.serial"]),
    ("cpus", "cpu", &["cpu.cpuid.brand", "cpu.cpuid.signature", "cpu.sysfs.ppin", "cpu.smbios.serial"]),
    (
        "dimms",
        "dimm",
        &[
            "dimm.smbios.manufacturer",
            "dimm.smbios.part_number",
            "dimm.smbios.serial",
            "dimm.smbios.size_bytes",
            "dimm.spd.module_id",
            "dimm.spd.part_number",
        ],
    ),
    ("drives", "drive", &["drive.model", "drive.serial", "drive.wwid", "drive.firmware", "drive.size_bytes"]),
    ("nics", "nic", &["nic.permanent_mac", "nic.vendor_id", "nic.device_id", "nic.firmware"]),
    (
        "gpus",
        "gpu",
        &[
            "gpu.pci.vendor_id",
            "gpu.pci.device_id",
            "gpu.pci.subsystem_vendor_id",
            "gpu.pci.subsystem_device_id",
            "gpu.pci.serial_number",
            "gpu.nvml.uuid",
            "gpu.nvml.serial",
            "gpu.nvml.pdi",
            "gpu.bar0.pdi",
            "gpu.nvml.vbios_version",
            "gpu.procfs.uuid",
        ],
    ),
    ("nvswitches", "nvswitch", &["nvswitch.nscq.uuid", "nvswitch.nscq.architecture", "nvswitch.attestation.pdi"]),
    ("accelerators", "accelerator", &["accelerator.pci.vendor_id", "accelerator.pci.device_id"]),
];

/// The kind of part's scope: `drive` of `drives`.
pub(super) fn scope_of(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(name, ..)| *name == kind).map(|(_, scope, _)| *scope)
}

/// Whether a name in the identity, or the last word of a fact's path, is that of an id that its maker gives to one unit.
pub(super) fn names_unit(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    UNIT_IDS.iter().any(|id| last.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with('_')))
        || name.ends_with("spd.module_id")
}

/// Last words of the names of unit ids.
const UNIT_IDS: [&str; 13] = [
    "serial",
    "serial_number",
    "uuid",
    "ppin",
    "mac",
    "wwid",
    "wwn",
    "pdi",
    "eui64",
    "nguid",
    "asset_tag",
    "oem_part",
    "boot_id",
];

/// The identity of a machine: an object of lists by kind of part. Each part has its `id`, its known facts, and under
/// `unknown` the state of those that have no value, so that a machine that hid its serial number does not look like
/// one that has none.
pub fn identity(evidence: &Evidence) -> Value {
    let mut identity = Map::new();
    for (name, scope, paths) in KINDS {
        let parts: Vec<Value> = evidence.scope(scope).map(|part| describe(part, paths)).collect();
        identity.insert((*name).to_owned(), parts.into());
    }
    identity.into()
}

fn describe(part: &Part, paths: &[&str]) -> Value {
    let mut facts = Map::from_iter([("id".to_owned(), json!(part.id))]);
    let mut unknown = Map::new();
    for path in paths {
        let name = path.strip_prefix(&part.scope).unwrap_or(path).trim_start_matches('.').to_owned();
        match part.reading(path) {
            Some(Reading::Known(value)) => _ = facts.insert(name, json!(value)),
            Some(Reading::Absent) | None => {}
            Some(other) => _ = unknown.insert(name, json!(other.state())),
        }
    }
    if !unknown.is_empty() {
        facts.insert("unknown".to_owned(), unknown.into());
    }
    facts.into()
}

/// Ids of GPUs and NVSwitches that two reports are matched by too, and the types of their subjects. They are no unit ids to the
/// rules, which have checks of their own for them.
const NVIDIA_IDS: [(&str, &str); 3] =
    [("gpu.nvml.uuid", "nvidia-uuid"), ("gpu.nvml.pdi", "nvidia-pdi"), ("nvswitch.attestation.pdi", "nvidia-pdi")];

/// One subject for every id that a maker gave to one unit only, so that two reports about one part can be matched.
/// Fillers name nothing and are left out.
pub fn part_subjects<'a>(
    evidence: &Evidence,
    facts: impl Iterator<Item = &'a FactDef>,
    tables: &Tables,
) -> Vec<Subject> {
    let unit_ids = facts.filter(|fact| fact.role == Role::UnitId).map(|fact| (fact.path, fact.path.replace('.', "-")));
    let unit_ids = unit_ids.map(|(path, id_type)| (path, id_type, &[BLANK_IDENTITIES][..]));
    let nvidia_ids =
        NVIDIA_IDS.map(|(path, id_type)| (path, id_type.to_owned(), &[BLANK_IDENTITIES, PLACEHOLDER_IDS][..]));
    let ids: Vec<(&str, String, &[&str])> = unit_ids.chain(nvidia_ids).collect();
    // A set without such a table cannot tell what is a filler.
    let is_filler =
        |text: &str, fillers: &[&str]| fillers.iter().any(|name| tables.get(name).is_none_or(|table| table.has(text)));
    let mut subjects: Vec<Subject> = Vec::new();
    for part in &evidence.parts {
        for (path, id_type, fillers) in &ids {
            let Some(text) = part.text(path).filter(|text| !is_filler(text, fillers)) else { continue };
            let subject = part_subject(id_type, text);
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{EvidenceBuilder, Origin};
    use crate::inspection::fact_catalogue;
    use crate::rule::Signatures;

    #[test]
    fn a_gpu_is_a_subject_by_each_id_that_names_it() {
        const UUID: &str = "GPU-5e8f1a2b-3c4d-5e6f-7081-92a3b4c5d6e7";
        const PDI: &str = "0x4917e5a9bae974c7";
        let mut out = EvidenceBuilder::new(Origin::Recorded);
        let mut gpu = |id: &str, uuid: Reading<&str>, pdi: Reading<&str>| {
            let mut part = out.part("gpu", id);
            part.fact("gpu.nvml.uuid", uuid, "test").fact("gpu.nvml.pdi", pdi, "test");
        };
        gpu("gpu:0", Reading::Known(UUID), Reading::Known(PDI));
        // What stands for an id that was removed, and what could not be read, names nothing.
        gpu("gpu:1", Reading::Known("GPU-00000000-0000-0000-0000-000000000000"), Reading::Known("0x0000000000000000"));
        gpu("gpu:2", Reading::Known("[redacted]"), Reading::Absent);
        let subjects = part_subjects(&out.finish(), fact_catalogue(), &Signatures::embedded().unwrap().tables);
        assert_eq!(subjects, [part_subject("nvidia-uuid", UUID), part_subject("nvidia-pdi", PDI)]);
    }
}
