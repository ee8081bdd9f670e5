//! NVIDIA GPUs: one identity out of all sources, held against the tables, the other sources, the other GPUs of the
//! machine, and the claim.

mod baseline;
mod burn;
mod claim;
mod facts;
mod siblings;
mod sources;

use std::collections::BTreeMap;

use super::super::tables::Tables;
use super::{PLACEHOLDER_IDS, add, missing_like};
use crate::evidence::{Evidence, Fact, FactDef, FactPath, Part, Reading, Value};

/// The facts of all steps.
pub(super) const FACTS: &[FactDef] =
    &FactDef::joined::<{ facts::FACTS.len() + burn::FACTS.len() }>(facts::FACTS, burn::FACTS);

use baseline::Baseline;

const VENDOR: &str = "0x10de";
/// What only an NVIDIA GPU has.
const NVIDIA_PREFIXES: [&str; 8] =
    ["gpu.nvml.", "gpu.procfs.", "gpu.cuda.", "gpu.boot0.", "gpu.bar0.", "gpu.vbios.", "gpu.claim.", "gpu.burn."];

type Facts = BTreeMap<&'static str, Reading>;

/// Adds the derived facts to every GPU of NVIDIA; to others only the vendor.
pub(super) fn derive(evidence: &mut Evidence, tables: &Tables) {
    let gpus: Vec<Gpu<'_>> =
        evidence.scope("gpu").filter(|part| is_nvidia(part)).map(|part| Gpu::of(part, tables)).collect();
    let mut derived: BTreeMap<String, Facts> = BTreeMap::new();
    for gpu in &gpus {
        let mut facts = Facts::new();
        gpu.identity(&mut facts);
        gpu.baseline(tables, &mut facts);
        sources::compare(gpu, evidence, tables, &mut facts);
        siblings::compare(gpu, &gpus, evidence.origin, tables, &mut facts);
        claim::compare(gpu, &gpus, tables, &mut facts);
        burn::compare(gpu, &gpus, evidence, tables, &mut facts);
        derived.insert(gpu.part.id.clone(), facts);
    }
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "gpu") {
        let vendor = vendor(part);
        add(part, "gpu.vendor", vendor);
        // The burn-in is made for NVIDIA's.
        add(part, "gpu.burned.tested", known(false));
        for (path, reading) in derived.remove(&part.id).unwrap_or_default() {
            match input_of(path, part) {
                Some(source) => _ = part.facts.insert(FactPath::new(path), Fact { reading, source }),
                None => add(part, path, reading),
            }
        }
    }
}

/// Where a derived fact comes from, for those that findings about memory show: the buyer has to see who said so.
fn input_of(path: &str, part: &Part) -> Option<String> {
    let said =
        |path: &str| part.facts.get(path).filter(|fact| fact.reading.known().is_some()).map(|fact| fact.source.clone());
    let memory = || said("gpu.nvml.memory.total_mib").or_else(|| said("gpu.cuda.memory_mib"));
    match path {
        "gpu.memory_mib" | "gpu.memory_permille" => memory(),
        "gpu.rebar_permille" => Some(format!("{}, {}", said("gpu.pci.rebar_max_bytes")?, memory()?)),
        _ if path.starts_with("gpu.baseline.") => Some("signatures/parts/gpu".to_owned()),
        _ => None,
    }
}

/// Whether any source says that the part is a GPU of NVIDIA.
pub(crate) fn is_nvidia(part: &Part) -> bool {
    // What NVIDIA's driver claims as its own is judged as such, whatever the bus says of it: the two contradict each other.
    part.text("gpu.pci.vendor_id") == Some(VENDOR) || known_below(part, &NVIDIA_PREFIXES)
}

fn vendor(part: &Part) -> Reading {
    if is_nvidia(part) {
        return known("nvidia");
    }
    text(part, "gpu.pci.vendor_id").map(|id| match id.as_str() {
        "0x1002" => "amd".into(),
        "0x8086" => "intel".into(),
        _ => id.into(),
    })
}

/// A GPU of NVIDIA with what the other steps need of it.
struct Gpu<'a> {
    part: &'a Part,
    device_id: Reading<String>,
    subsystem: Reading<String>,
    name: Reading<String>,
    vbios_version: Reading<String>,
    uuid: Reading<String>,
    memory_mib: Reading<i64>,
    is_virtual: Reading<bool>,
    baseline: Option<Baseline<'a>>,
    /// `sxm`, `pcie`, `module`, `laptop`.
    form_factor: Option<String>,
}

impl<'a> Gpu<'a> {
    fn of(part: &'a Part, tables: &'a Tables) -> Self {
        let name = first(part, &["gpu.nvml.name", "gpu.procfs.model", "gpu.cuda.name", "gpu.burn.cuda.name"]);
        let vbios_version = first(part, &["gpu.nvml.vbios_version", "gpu.procfs.vbios_version", "gpu.vbios.version"])
            .and_then(|version| usable(version, tables))
            .map(|version| version.to_ascii_uppercase());
        let uuid = first(part, &["gpu.nvml.uuid", "gpu.procfs.uuid"]).map(|uuid| uuid.to_ascii_lowercase());
        let memory_mib = integer(part, "gpu.nvml.memory.total_mib");
        let memory_mib = match memory_mib {
            Reading::Known(_) => memory_mib,
            // In a partitioned GPU, CUDA sees a partition.
            other => match integer(part, "gpu.cuda.memory_mib") {
                _ if part.reading("gpu.nvml.mig.enabled") == Some(&Reading::Known(true.into())) => Reading::Unsupported,
                Reading::Known(memory) => Reading::Known(memory),
                _ => other,
            },
        };
        let device_id = device_id(part);
        let subsystem = subsystem(part);
        let baseline = match &device_id {
            Reading::Known(id) => Baseline::by_device(id, subsystem.known(), tables),
            _ => name.known().and_then(|name| Baseline::by_name(name, tables)),
        };
        let by_board = device_id.known().zip(subsystem.known()).and_then(|(device, subsystem)| {
            tables.record("gpu/form-factors", &format!("{device} {subsystem}"))?.text("form_factor")
        });
        let form_factor = by_board.map(str::to_owned).or_else(|| baseline.as_ref()?.text("form_factor"));
        let is_virtual = is_virtual(part, &name, first(part, &["gpu.nvml.vbios_version", "gpu.procfs.vbios_version"]));
        Self { part, device_id, subsystem, name, vbios_version, uuid, memory_mib, is_virtual, baseline, form_factor }
    }

    fn flag(&self, path: &str) -> Option<bool> {
        self.part.reading(path)?.known()?.as_bool()
    }

    fn mig(&self) -> bool {
        self.flag("gpu.nvml.mig.enabled") == Some(true)
    }

    fn identity(&self, facts: &mut Facts) {
        facts.insert("gpu.device_id", self.device_id.clone().value());
        facts.insert("gpu.subsystem", self.subsystem.clone().value());
        facts.insert("gpu.virtual", self.is_virtual.clone().value());
        facts.insert("gpu.memory_mib", self.memory_mib.clone().value());
        let part_id = text(self.part, "gpu.nvml.gpu_part_number").and_then(|number| {
            let mut fields = number.split('-');
            let (id, sku, revision) = (fields.next().unwrap_or(""), fields.next(), fields.next());
            let printed_so = sku.is_some_and(|sku| sku.len() == 3) && revision.is_some() && fields.next().is_none();
            // Drivers up to 460 print the board's part number under this label.
            if printed_so && id.len() == 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                Reading::Known(format!("0x{}", id.to_ascii_lowercase()))
            } else {
                Reading::Absent
            }
        });
        facts.insert("gpu.part_device_id", part_id.value());
        facts
            .insert("gpu.board_project", text(self.part, "gpu.nvml.board_part_number").and_then(board_project).value());
        let image = first(self.part, &["gpu.nvml.inforom.image", "gpu.vbios.inforom_image"]);
        let project = image.and_then(|image| {
            let project = image.split('.').next().unwrap_or_default().to_owned();
            // GeForce boards and TITAN V share generic images.
            if project.starts_with("G00") || project.is_empty() { Reading::Absent } else { Reading::Known(project) }
        });
        facts.insert("gpu.inforom_project", project.value());
        self.preproduction(facts);
        let fan = self.part.reading("gpu.nvml.fan.speed_percent");
        let fastest = match fan.and_then(Reading::known) {
            Some(Value::List(speeds)) => Reading::or_absent(speeds.iter().filter_map(Value::as_integer).max()),
            _ => missing_as(self.part, "gpu.nvml.fan.speed_percent"),
        };
        facts.insert("gpu.fan_percent", fastest.value());
        let fans = integer(self.part, "gpu.nvml.fan.count");
        let blower_claimed = self.part.text("gpu.claim.cooler").map(|cooler| cooler == "blower");
        let signs = match (fans.known(), blower_claimed) {
            (None, None) => fans.value(),
            (fans, claimed) => {
                let one_fan = (fans == Some(&1)).then_some("one fan");
                let claimed = (claimed == Some(true)).then_some("sold with a blower");
                known(one_fan.into_iter().chain(claimed).collect::<Vec<_>>())
            }
        };
        facts.insert("gpu.blower_signs", signs);
        let sum = |paths: [&str; 2]| match (self.part.integer(paths[0]), self.part.integer(paths[1])) {
            (Some(a), Some(b)) => Reading::Known(a + b),
            (None, _) => missing_as(self.part, paths[0]),
            (_, None) => missing_as(self.part, paths[1]),
        };
        let retired = sum(["gpu.nvml.retired_pages.single_bit", "gpu.nvml.retired_pages.double_bit"]);
        let remapped = sum(["gpu.nvml.remapped_rows.corrected", "gpu.nvml.remapped_rows.uncorrected"]);
        self.health(&retired, &remapped, facts);
    }

    /// Board part numbers of bare boards and release candidates, and device ids that were never sold.
    fn preproduction(&self, facts: &mut Facts) {
        let number = self.part.text("gpu.nvml.board_part_number");
        let mut signs = Vec::new();
        if let Some(number) = number
            && (number.starts_with("699-") || number.rsplit('-').next().is_some_and(|last| last.starts_with("RC")))
        {
            signs.push(format!("board part number {number}"));
        }
        if let Some(baseline) = self.baseline.as_ref().filter(|baseline| baseline.is("preproduction")) {
            signs.push(format!("device id of {}", baseline.text("name").unwrap_or_default()));
        }
        let looked = number.is_some() || self.baseline.is_some();
        let reason = || first_reason(self.part, &["gpu.pci.device_id", "gpu.nvml.board_part_number"]);
        facts.insert("gpu.preproduction_signs", if looked { known(signs) } else { reason() });
    }

    /// What the board's own counters say: memory that cannot be repaired any more, repairs that wait, and wear.
    fn health(&self, retired: &Reading<i64>, remapped: &Reading<i64>, facts: &mut Facts) {
        /// Rows that can be remapped at all, and pages that can be retired (NVIDIA GPU Memory Error Management).
        const MAX_REMAPPED: i64 = 512;
        const MAX_RETIRED: i64 = 60;
        let (mut failures, mut pending, mut wear) = (Vec::new(), Vec::new(), Vec::new());
        let mut looked = [false; 3];
        let mut flag = |path: &str, words: &str, list: &mut Vec<String>, step: usize| {
            if let Some(set) = self.flag(path) {
                looked[step] = true;
                if set {
                    list.push(words.to_owned());
                }
            }
        };
        flag("gpu.nvml.remapped_rows.failed", "a row could not be remapped", &mut failures, 0);
        flag("gpu.nvml.sram.threshold_exceeded", "SRAM errors are above the limit for replacement", &mut failures, 0);
        flag("gpu.nvml.remapped_rows.pending", "rows wait to be remapped", &mut pending, 1);
        flag("gpu.nvml.retired_pages.pending", "pages wait to be retired", &mut pending, 1);
        flag("gpu.nvml.repair.channel_pending", "a memory channel waits for repair", &mut pending, 1);
        flag("gpu.nvml.repair.tpc_pending", "a TPC waits for repair", &mut pending, 1);
        if let Some(banks) = self.part.integer("gpu.nvml.remap_histogram.none") {
            looked[0] = true;
            if banks > 0 {
                failures.push(format!("{banks} memory banks without a spare row"));
            }
        }
        for (count, limit, words) in
            [(remapped, MAX_REMAPPED, "rows are remapped"), (retired, MAX_RETIRED, "pages are retired")]
        {
            if let Reading::Known(count) = count {
                (looked[0], looked[2]) = (true, true);
                if *count >= limit {
                    failures.push(format!("{count} {words}"));
                }
                if *count > 0 {
                    wear.push(format!("{count} {words}"));
                }
            }
        }
        for (path, words) in [
            ("gpu.nvml.ecc.aggregate.corrected", "corrected memory errors"),
            ("gpu.nvml.ecc.aggregate.uncorrected", "uncorrected memory errors"),
        ] {
            if let Some(count) = self.part.integer(path) {
                looked[2] = true;
                if count > 0 {
                    wear.push(format!("{count} {words}"));
                }
            }
        }
        let reason = |paths: &[&str]| first_reason(self.part, paths);
        let rows = "gpu.nvml.remapped_rows.failed";
        let pages = "gpu.nvml.retired_pages.single_bit";
        let list = |looked: bool, list: Vec<String>, reason: Reading| {
            if looked { Reading::Known(list.into()) } else { reason }
        };
        facts.insert("gpu.memory_failures", list(looked[0], failures, reason(&[rows, pages])));
        facts
            .insert("gpu.memory_pending", list(looked[1], pending, reason(&["gpu.nvml.remapped_rows.pending", pages])));
        facts.insert("gpu.wear", list(looked[2], wear, reason(&["gpu.nvml.ecc.aggregate.uncorrected", rows, pages])));
    }
}

/// Configuration space first, since it is the chip's own; then the driver; the VBIOS image only by itself, since it may be
/// another board's.
fn device_id(part: &Part) -> Reading<String> {
    let id = |vendor: &str, device: &str| {
        if part.text(vendor).is_some_and(|id| id != VENDOR) {
            return Reading::Failed(format!("{vendor} is not NVIDIA's"));
        }
        text(part, device).and_then(|id| match id.as_str() {
            "0x0000" | "0xffff" => Reading::Failed(format!("{device} is a placeholder")),
            _ => Reading::Known(id),
        })
    };
    let pci = id("gpu.pci.vendor_id", "gpu.pci.device_id");
    let nvml = id("gpu.nvml.pci.vendor_id", "gpu.nvml.pci.device_id");
    let alone = !known_below(part, &["gpu.pci.", "gpu.nvml.", "gpu.procfs.", "gpu.cuda."]);
    match (pci, nvml) {
        (Reading::Known(id), _) | (_, Reading::Known(id)) => Reading::Known(id),
        _ if alone && known_below(part, &["gpu.vbios."]) => {
            first(part, &["gpu.vbios.pci.device_id", "gpu.vbios.bit.device_id"])
        }
        (pci, nvml) => {
            if part.reading("gpu.pci.device_id").is_some() {
                pci
            } else {
                nvml
            }
        }
    }
}

fn pair(part: &Part, vendor: &str, device: &str) -> Reading<String> {
    let short = |id: String| id.trim_start_matches("0x").to_owned();
    match (text(part, vendor).map(short), text(part, device).map(short)) {
        (Reading::Known(vendor), Reading::Known(device)) => Reading::Known(format!("{vendor}:{device}")),
        (Reading::Known(_), missing) | (missing, _) => missing,
    }
}

fn subsystem(part: &Part) -> Reading<String> {
    let pci = pair(part, "gpu.pci.subsystem_vendor_id", "gpu.pci.subsystem_device_id");
    let nvml = pair(part, "gpu.nvml.pci.subsystem_vendor_id", "gpu.nvml.pci.subsystem_device_id");
    match (pci, nvml) {
        (Reading::Known(id), _) | (_, Reading::Known(id)) => Reading::Known(id),
        (pci, nvml) => {
            if known_below(part, &["gpu.pci.", "gpu.nvml."]) || part.reading("gpu.pci.device_id").is_some() {
                if part.reading("gpu.pci.subsystem_device_id").is_some() { pci } else { nvml }
            } else {
                pair(part, "gpu.vbios.ifr.subsystem_vendor_id", "gpu.vbios.ifr.subsystem_device_id")
            }
        }
    }
}

/// A virtual GPU has no VBIOS of its own, and its name ends in a profile: `GRID P4-1Q`, `NVIDIA A40-48Q`.
fn is_virtual(part: &Part, name: &Reading<String>, vbios: Reading<String>) -> Reading<bool> {
    if part.text("gpu.nvml.virtualization") == Some("vgpu") || vbios.known().is_some_and(|it| it == "00.00.00.00.00") {
        return Reading::Known(true);
    }
    let profile = |name: &String| {
        let last = name.rsplit('-').next().unwrap_or_default();
        let letter = last.strip_suffix(['Q', 'B', 'C', 'A']);
        name.starts_with("GRID ") || (last != name && letter.is_some_and(|it| it.parse::<u32>().is_ok()))
    };
    if name.known().is_some_and(profile) {
        return Reading::Known(true);
    }
    let seen = name.known().is_some()
        || vbios.known().is_some()
        || part.text("gpu.nvml.virtualization").is_some()
        || part.text("gpu.pci.vendor_id").is_some()
        || known_below(part, &["gpu.vbios.", "gpu.nvml.", "gpu.cuda."]);
    if seen { Reading::Known(false) } else { vbios.and_then(|_| Reading::Absent) }
}

/// `692-2G520-0200-000` is project G520: the digit before it is the class of the board.
fn board_project(number: String) -> Reading<String> {
    let field = number.split('-').nth(1).unwrap_or_default();
    match field.get(1..) {
        Some(project) if project.len() == 4 && project.bytes().any(|byte| byte != b'0') => {
            Reading::Known(project.to_owned())
        }
        _ => Reading::Failed(format!("{number} names no project")),
    }
}

fn known(value: impl Into<Value>) -> Reading {
    Reading::Known(value.into())
}

fn missing_as<T>(part: &Part, path: &str) -> Reading<T> {
    missing_like(part, path).and_then(|_| Reading::Absent)
}

fn text(part: &Part, path: &str) -> Reading<String> {
    part.text(path).map_or_else(|| missing_as(part, path), |text| Reading::Known(text.to_owned()))
}

fn integer(part: &Part, path: &str) -> Reading<i64> {
    part.integer(path).map_or_else(|| missing_as(part, path), Reading::Known)
}

/// The first known text, else why there is none.
fn first(part: &Part, paths: &[&str]) -> Reading<String> {
    let found = paths.iter().find_map(|path| part.text(path));
    found.map_or_else(|| first_reason(part, paths), |text| Reading::Known(text.to_owned()))
}

fn first_reason<T>(part: &Part, paths: &[&str]) -> Reading<T> {
    let path = paths.iter().find(|path| part.reading(path).is_some_and(|reading| reading.known().is_none()));
    missing_as(part, path.or(paths.first()).copied().unwrap_or_default())
}

fn known_below(part: &Part, prefixes: &[&str]) -> bool {
    part.facts.iter().any(|(path, fact)| {
        fact.reading.known().is_some() && prefixes.iter().any(|prefix| path.as_str().starts_with(prefix))
    })
}

fn is_placeholder(text: &str, tables: &Tables) -> bool {
    tables.get(PLACEHOLDER_IDS).is_none_or(|table| table.has(text))
}

/// A text that stands for one that was removed says nothing.
fn usable(text: String, tables: &Tables) -> Reading<String> {
    if is_placeholder(&text, tables) {
        Reading::Failed(format!("{text} is a placeholder"))
    } else {
        Reading::Known(text)
    }
}
