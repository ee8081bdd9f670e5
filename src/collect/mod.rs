//! One collector per kind of part. Each reads through [`Host`] and never aborts: what goes wrong is a reading.

mod accelerator;
mod bmc;
pub(crate) mod cpu;
pub(crate) mod gpu;
pub(crate) mod memory;
mod nic;
mod pci;
mod platform;
mod storage;

use std::collections::BTreeSet;

use crate::evidence::{Evidence, EvidenceBuilder, FactDef, Kind, Origin, PartBuilder, Reading, Value, stand_in_id};
use crate::host::{Host, Query};
use crate::parse::smbios::{self, Inventory};

/// Learns the facts of one kind of part.
pub trait Collector: Sync {
    /// Short name, the module's: `cpu`, `memory`.
    fn id(&self) -> &'static str;

    /// Every fact that it can make. Rules may name no other.
    fn facts(&self) -> &'static [FactDef];

    /// Reads the machine and adds parts and facts.
    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder);
}

/// All collectors, in the order in which they run. Network cards and accelerators build on what PCI found. GPUs are last,
/// since NVML answers from another process meanwhile.
pub const COLLECTORS: &[&dyn Collector] = &[
    &platform::Platform,
    &cpu::Cpu,
    &memory::Memory,
    &bmc::Bmc,
    &pci::Pci,
    &accelerator::Accelerators,
    &storage::Storage,
    &nic::Nics,
    &gpu::Gpus,
];

/// Runs every collector. A number too large for [`Value::Integer`] is `Failed`, so that a fact keeps its declared kind.
/// Where the NVIDIA driver says that it is a virtual one, all evidence is simulated, also in a replay.
pub fn collect(host: &dyn Host) -> Evidence {
    host.begin(&Query::Nvml);
    let mut out = EvidenceBuilder::new(host.origin());
    for collector in COLLECTORS {
        tracing::info!("collecting: {}", collector.id());
        collector.collect(host, &mut out);
    }
    let simulated = gpu::is_simulated(&out);
    let mut evidence = out.finish();
    if simulated {
        evidence.origin = Origin::Simulated;
    }
    keep_kinds(&mut evidence);
    evidence
}

/// Makes a number too large for [`Value::Integer`] `Failed`, so that a fact keeps its declared kind.
pub(crate) fn keep_kinds(evidence: &mut Evidence) {
    let numbers: BTreeSet<&str> = COLLECTORS
        .iter()
        .flat_map(|collector| collector.facts())
        .filter(|fact| fact.kind == Kind::Integer)
        .map(|fact| fact.path)
        .collect();
    for (path, fact) in evidence.parts.iter_mut().flat_map(|part| &mut part.facts) {
        if let Reading::Known(Value::Text(wide)) = &fact.reading
            && numbers.contains(path.as_str())
        {
            fact.reading = Reading::Failed(format!("{wide} is more than 2^53"));
        }
    }
}

const SMBIOS_TABLE: &str = "/sys/firmware/dmi/tables/DMI";
const SMBIOS_ENTRY_POINT: &str = "/sys/firmware/dmi/tables/smbios_entry_point";

/// How the source of a fact begins that this platform hides from the system; the reason follows.
pub(crate) const NOT_OBSERVABLE: &str = "not observable here: ";

/// The SMBIOS table. Only root may read it. Without the entry point the table is still of use.
fn smbios_table(host: &dyn Host) -> Reading<Inventory> {
    let table = match host.read(SMBIOS_TABLE) {
        // A machine without the table has serial numbers all the same; it has no way to tell them.
        Reading::Absent => Reading::Unsupported,
        other => other,
    };
    let entry_point = host.read(SMBIOS_ENTRY_POINT).into_known();
    table.and_then(|table| {
        let table = smbios::Table::parse(&table, entry_point.as_deref());
        match table.damage {
            Some(damage) if table.is_empty() => Reading::Failed(format!("the table cannot be decoded: {damage}")),
            _ => Reading::Known(table.inventory()),
        }
    })
}

/// Adds what SMBIOS says to the parts that it tells of: for a table or printout that somebody sent.
pub(crate) fn add_smbios(inventory: &Inventory, out: &mut EvidenceBuilder) {
    platform::from_inventory(inventory, out);
    cpu::from_inventory(inventory, out);
    memory::from_inventory(inventory, out);
}

/// Source of the facts over a whole table.
fn smbios_whole(inventory: &Inventory) -> &'static str {
    inventory.printed_by.unwrap_or(SMBIOS_TABLE)
}

/// Source of the facts of one SMBIOS structure: `smbios type 17 handle 0x1100`.
fn smbios_source(inventory: &Inventory, kind: u8, handle: Option<u16>) -> String {
    let who = inventory.printed_by.unwrap_or("smbios");
    let handle = handle.map_or_else(String::new, |handle| format!(" handle {handle:#06x}"));
    format!("{who} type {kind}{handle}")
}

/// The reason of a reading that has no value, for facts of another type. A known one gives `Absent`.
fn reason<T, U>(reading: &Reading<T>) -> Reading<U> {
    reading.as_ref().and_then(|_| Reading::Absent)
}

/// Gives every declared fact below `prefix` that the part does not have yet the same reading: the source that would
/// have told them could not be read.
fn fill(part: &mut PartBuilder<'_>, facts: &[FactDef], prefix: &str, reading: &Reading<Value>, source: &str) {
    for fact in facts.iter().filter(|fact| fact.path.starts_with(prefix)) {
        part.fact(fact.path, reading.clone(), source);
    }
}

/// Where the parts of a kind could not be counted, one part stands for them: rules about such parts must not find nothing
/// wrong because they found no part.
fn stand_in<T>(out: &mut EvidenceBuilder, scope: &str, facts: &[FactDef], counted: &Reading<T>, source: &str) {
    if !matches!(counted, Reading::Known(_) | Reading::Absent) {
        fill(&mut out.part(scope, &stand_in_id(scope)), facts, &format!("{scope}."), &reason(counted), source);
    }
}

/// The text of a file; see [`Reading::text`].
fn read_text(host: &dyn Host, path: &str) -> Reading<String> {
    host.read(path).text()
}

/// Last segment of a path.
fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The CPUs in a kernel CPU list, `0-3,8`. `None` where it is not one, or names more than any machine has.
fn cpu_list(text: &str) -> Option<Vec<u32>> {
    const MAX_CPUS: usize = 1 << 16;
    let mut cpus = Vec::new();
    for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || cpus.len() + (last - first) as usize >= MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}
