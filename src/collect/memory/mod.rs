//! Memory: how much there is by every count, and each module.
//!
//! Reads SMBIOS types 16, 17 and 19 (root only), the memory controllers' own driver (`/sys/devices/system/edac/mc/`),
//! `/proc/meminfo`, the sysinfo library's total, the memory blocks in `/sys/devices/system/memory/`, and the modules' own
//! EEPROMs: where a kernel driver shows them, and else as far as an SMBus gives them without a write.

mod facts;
pub(crate) mod pairing;
mod smbus;
pub(crate) mod spd;

use std::collections::BTreeMap;

use super::{Collector, SMBIOS_TABLE, fill, reason, smbios_source, smbios_table, smbios_whole};
use crate::evidence::Kind::{Integer, Text};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading, stand_in_id};
use crate::host::{Host, Query};
use crate::parse::meminfo;
use crate::parse::smbios::{Inventory, MemoryDevice};

/// Memory type 1Fh of type 17 (DSP0134, 7.18.2).
const NON_VOLATILE: &str = "logical non-volatile device";

const TOTALS: &[FactDef] = &[
    FactDef::new("memory.smbios.installed_bytes", Integer, "sum of the modules' sizes (DSP0134, 7.18)"),
    FactDef::new("memory.smbios.maximum_bytes", Integer, "most that the system memory arrays can hold (DSP0134, 7.17)"),
    FactDef::new("memory.smbios.mapped_devices", Integer, "modules that have a mapped address (DSP0134, 7.21)"),
    FactDef::new("memory.smbios.mapped_bytes", Integer, "sum of the mapped address ranges (DSP0134, 7.20)"),
    FactDef::new("memory.smbios.slots", Integer, "slots of the system memory arrays (DSP0134, 7.17)"),
    FactDef::new("memory.smbios.populated", Integer, "slots with a module (DSP0134, 7.18)"),
    FactDef::new(
        "memory.smbios.error_correction",
        Text,
        "error correction of the first system memory array (DSP0134, 7.17.3)",
    ),
    FactDef::new("memory.edac.total_bytes", Integer, "memory that the memory controllers' driver counts, in bytes"),
    FactDef::new("memory.edac.corrected_errors", Integer, "corrected errors since the driver was loaded"),
    FactDef::new("memory.edac.uncorrected_errors", Integer, "uncorrected errors since the driver was loaded"),
    FactDef::new("memory.meminfo.total_bytes", Integer, "MemTotal: memory that the kernel manages, in bytes"),
    FactDef::new("memory.sysinfo.total_bytes", Integer, "total memory as the sysinfo library counts it, in bytes"),
    FactDef::new(
        "memory.spd.images",
        Integer,
        "modules whose EEPROM was read, at least its first page; its source says why where none was",
    ),
    FactDef::new("memory.blocks.total_bytes", Integer, "memory blocks that the kernel knows, in bytes"),
];

const FACTS: &[FactDef] = &FactDef::joined::<{ TOTALS.len() + DIMM.len() }>(TOTALS, DIMM);

const DIMM: &[FactDef] =
    &FactDef::joined::<{ facts::SMBIOS.len() + SPD_AND_BELOW.len() }>(facts::SMBIOS, SPD_AND_BELOW);

const SPD_AND_BELOW: &[FactDef] =
    &FactDef::joined::<{ facts::SPD.len() + BMC_AND_CLAIM.len() }>(facts::SPD, BMC_AND_CLAIM);

const BMC_AND_CLAIM: &[FactDef] =
    &FactDef::joined::<{ facts::BMC.len() + facts::CLAIM.len() }>(facts::BMC, facts::CLAIM);

pub(super) struct Memory;

impl Collector for Memory {
    fn id(&self) -> &'static str {
        "memory"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        match smbios_table(host) {
            Reading::Known(inventory) => from_inventory(&inventory, out),
            other => {
                let why = reason(&other);
                fill(&mut out.part("memory", "memory"), FACTS, "memory.smbios.", &why, SMBIOS_TABLE);
                fill(&mut out.part("dimm", &stand_in_id("dimm")), FACTS, "dimm.smbios.", &why, SMBIOS_TABLE);
            }
        }
        spd::collect(host, out);
        let mut part = out.part("memory", "memory");
        edac(host, &mut part);
        let total = host.read("/proc/meminfo").and_then(|bytes| {
            let total = meminfo::total_bytes(&String::from_utf8_lossy(&bytes));
            total.map_or_else(|| Reading::Failed("no total in it".to_owned()), Reading::Known)
        });
        part.fact("memory.meminfo.total_bytes", total, "/proc/meminfo")
            .fact("memory.sysinfo.total_bytes", host.ask(&Query::TotalMemory).number(), "sysinfo")
            .fact("memory.blocks.total_bytes", blocks(host), "/sys/devices/system/memory");
    }
}

/// What SMBIOS types 16, 17, 19 and 20 say.
pub(super) fn from_inventory(inventory: &Inventory, out: &mut EvidenceBuilder) {
    totals(inventory, &mut out.part("memory", "memory"));
    modules(inventory, out);
}

fn totals(inventory: &Inventory, part: &mut PartBuilder<'_>) {
    let arrays: Vec<_> = inventory.memory_arrays.iter().filter(|array| array.system_memory).collect();
    // Persistent memory is a drive to the kernel, unless somebody set it up as memory.
    let is_memory = |module: &&MemoryDevice| module.kind.known().is_none_or(|kind| kind.as_str() != NON_VOLATILE);
    let modules: Vec<&MemoryDevice> = inventory.modules().filter(is_memory).collect();
    let printed = inventory.printed_by.is_some();
    // Sums over the slots of a printout that has no slots, or not all of them, would be wrong.
    let of_slots = |value: Reading<u64>| match value {
        _ if printed && inventory.memory_devices.is_empty() => Reading::Unsupported,
        _ if printed && inventory.lacks_slots() => Reading::Failed("not all slots are in it".to_owned()),
        value => inventory.whole(value),
    };
    let installed = if modules.is_empty() {
        Reading::Absent
    } else {
        sum(modules.iter().map(|module| match &module.size_bytes {
            Reading::Absent => Reading::Failed("the size of a module is unknown".to_owned()),
            size => size.clone(),
        }))
    };
    let of_arrays = |value: Reading<u64>| inventory.whole(if arrays.is_empty() { Reading::Absent } else { value });
    let mapped_devices = inventory.mapped_devices.len() as u64;
    let mapped = if inventory.mapped_bytes.is_empty() {
        Reading::Absent
    } else {
        sum(inventory.mapped_bytes.iter().copied().map(Reading::Known))
    };
    let source = |kind| smbios_source(inventory, kind, None);
    part.fact("memory.smbios.installed_bytes", of_slots(installed), source(17))
        .fact(
            "memory.smbios.maximum_bytes",
            of_arrays(sum(arrays.iter().map(|array| array.maximum_bytes.clone()))),
            source(16),
        )
        .fact(
            "memory.smbios.mapped_devices",
            inventory.whole(if mapped_devices == 0 { Reading::Absent } else { Reading::Known(mapped_devices) }),
            smbios_whole(inventory),
        )
        .fact("memory.smbios.mapped_bytes", inventory.whole(mapped), source(19))
        .fact("memory.smbios.slots", of_arrays(sum(arrays.iter().map(|array| array.slots.clone()))), source(16))
        .fact("memory.smbios.populated", of_slots(Reading::Known(modules.len() as u64)), source(17))
        .fact(
            "memory.smbios.error_correction",
            inventory.whole(arrays.first().map_or(Reading::Absent, |array| array.error_correction.clone())),
            source(16),
        );
}

/// The sum, or the first reason why there is none.
fn sum(values: impl Iterator<Item = Reading<u64>>) -> Reading<u64> {
    let mut total = 0u64;
    for value in values {
        match value {
            Reading::Known(value) => match total.checked_add(value) {
                Some(sum) => total = sum,
                None => return Reading::Failed("more than a number holds".to_owned()),
            },
            other => return other,
        }
    }
    Reading::Known(total)
}

fn modules(inventory: &Inventory, out: &mut EvidenceBuilder) {
    if inventory.damage.is_some() {
        let why = inventory.missing();
        fill(&mut out.part("dimm", &stand_in_id("dimm")), FACTS, "dimm.smbios.", &why, smbios_whole(inventory));
    }
    for (id, module) in unique_ids(inventory.modules().collect()) {
        let source = smbios_source(inventory, 17, module.handle);
        out.part("dimm", &id)
            .fact("dimm.smbios.locator", module.locator.clone(), &*source)
            .fact("dimm.smbios.bank", module.bank.clone(), &*source)
            .fact("dimm.smbios.size_bytes", module.size_bytes.clone(), &*source)
            .fact("dimm.smbios.type", module.kind.clone(), &*source)
            .fact("dimm.smbios.form_factor", module.form_factor.clone(), &*source)
            .fact("dimm.smbios.speed_mts", module.speed_mts.clone(), &*source)
            .fact("dimm.smbios.configured_mts", module.configured_mts.clone(), &*source)
            .fact("dimm.smbios.manufacturer", module.manufacturer.clone(), &*source)
            .fact("dimm.smbios.part_number", module.part_number.clone(), &*source)
            .fact("dimm.smbios.serial", module.serial.clone(), &*source)
            .fact("dimm.smbios.asset_tag", module.asset_tag.clone(), &*source)
            .fact("dimm.smbios.ranks", module.ranks.clone(), &*source)
            .fact("dimm.smbios.total_width_bits", module.total_width_bits.clone(), &*source)
            .fact("dimm.smbios.data_width_bits", module.data_width_bits.clone(), &*source)
            .fact("dimm.smbios.technology", module.technology.clone(), &*source)
            .fact("dimm.smbios.operating_modes", module.operating_modes.clone(), &*source)
            .fact("dimm.smbios.firmware", module.firmware.clone(), &*source)
            .fact("dimm.smbios.module_maker_id", module.module_maker_id.clone(), &*source)
            .fact("dimm.smbios.module_product_id", module.module_product_id.clone(), &*source)
            .fact("dimm.smbios.controller_maker_id", module.controller_maker_id.clone(), &*source)
            .fact("dimm.smbios.controller_product_id", module.controller_product_id.clone(), &*source)
            .fact("dimm.smbios.nonvolatile_bytes", module.nonvolatile_bytes.clone(), &*source)
            .fact("dimm.smbios.volatile_bytes", module.volatile_bytes.clone(), &*source)
            .fact("dimm.smbios.cache_bytes", module.cache_bytes.clone(), &*source)
            .fact("dimm.smbios.logical_bytes", module.logical_bytes.clone(), &*source)
            .fact("dimm.smbios.pmic_id", module.pmic_id.clone(), &*source)
            .fact("dimm.smbios.rcd_id", module.rcd_id.clone(), &*source);
    }
}

/// `dimm:<locator>`; where a board prints one locator several times, the bank is added, and at last a number.
fn unique_ids(modules: Vec<&MemoryDevice>) -> Vec<(String, &MemoryDevice)> {
    /// A locator is a few letters; a longer one is not an id.
    const MAX_CHARACTERS: usize = 64;
    let shorten = |text: &String| text.chars().take(MAX_CHARACTERS).collect::<String>();
    let locator = |module: &MemoryDevice| {
        let nameless = || module.handle.map_or_else(|| "module".to_owned(), |handle| format!("handle-{handle:#06x}"));
        module.locator.known().map_or_else(nameless, shorten)
    };
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for module in &modules {
        *count.entry(locator(module)).or_default() += 1;
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    modules
        .into_iter()
        .map(|module| {
            let mut id = format!("dimm:{}", locator(module));
            if count.get(&locator(module)).is_some_and(|&count| count > 1)
                && let Some(bank) = module.bank.known()
            {
                id = format!("{id}/{}", shorten(bank));
            }
            let times = taken.entry(id.clone()).or_default();
            *times += 1;
            if *times > 1 {
                id = format!("{id}#{times}");
            }
            (id, module)
        })
        .collect()
}

fn edac(host: &dyn Host, part: &mut PartBuilder<'_>) {
    const CONTROLLERS: &str = "/sys/devices/system/edac/mc";
    let controllers = host.list(CONTROLLERS).and_then(|names| {
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| name.strip_prefix("mc").is_some_and(|rest| rest.parse::<u32>().is_ok()))
            .take(1024)
            .collect();
        if names.is_empty() { Reading::Absent } else { Reading::Known(names) }
    });
    for (fact, file, factor) in [
        ("memory.edac.total_bytes", "size_mb", 1u64 << 20),
        ("memory.edac.corrected_errors", "ce_count", 1),
        ("memory.edac.uncorrected_errors", "ue_count", 1),
    ] {
        let total = controllers.as_ref().and_then(|names| {
            sum(names.iter().map(|name| {
                host.read(&format!("{CONTROLLERS}/{name}/{file}")).number().and_then(|number| {
                    number
                        .checked_mul(factor)
                        .map_or_else(|| Reading::Failed("more than a number holds".to_owned()), Reading::Known)
                })
            }))
        });
        part.fact(fact, total, format!("{CONTROLLERS}/mc*/{file}"));
    }
}

fn blocks(host: &dyn Host) -> Reading<u64> {
    const FOLDER: &str = "/sys/devices/system/memory";
    let size = super::read_text(host, &format!("{FOLDER}/block_size_bytes")).and_then(|text| {
        u64::from_str_radix(&text, 16).map_or_else(|_| Reading::Failed("not a block size".to_owned()), Reading::Known)
    });
    size.and_then(|size| {
        host.list(FOLDER).and_then(|names| {
            let is_block = |name: &&String| name.strip_prefix("memory").is_some_and(|it| it.parse::<u64>().is_ok());
            let blocks = names.iter().filter(is_block).count() as u64;
            size.checked_mul(blocks)
                .map_or_else(|| Reading::Failed("more than a number holds".to_owned()), Reading::Known)
        })
    })
}
