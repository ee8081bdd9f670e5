//! An inspection as JSON, with a view of its GPUs, modules, processors and drives that a program can read without knowing the names of facts.
//!
//! `yanji inspect` and `yanji screen` print the same document. What is not known is `null`, whatever the reason; the
//! evidence in the same document has the reason.

use schemars::JsonSchema;
use serde::Serialize;

use super::host_views::{CpuView, DimmView, DriveView};
use crate::attest::{self, statement::Assurance};
use crate::evidence::{FactPath, Origin, Part, Reading, Value};
use crate::inspection::Inspection;
use crate::rule::{Check, Confidence, Outcome, Severity, Signatures, Witness};

/// What `--format json` prints for one machine or file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document<'a> {
    /// The file that it was read from; none for a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Formats that were found in the file, joined by `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Where the evidence came from.
    pub origin: Origin,
    /// How much the evidence rests on. What is imported rests on whoever sent it: L0.
    pub assurance: Assurance,
    /// What a person should know about the reading itself.
    pub notes: Vec<String>,
    /// Every GPU.
    pub gpus: Vec<GpuView>,
    /// Every memory module.
    pub dimms: Vec<DimmView>,
    /// Every processor.
    pub cpus: Vec<CpuView>,
    /// Every drive.
    pub drives: Vec<DriveView>,
    /// Every rule that fires, on any part.
    pub findings: Vec<FiredRule>,
    /// Every rule that could not look, on any part.
    pub inconclusive: Vec<BlindRule>,
    /// The whole inspection.
    #[serde(flatten)]
    pub inspection: &'a Inspection,
}

/// A rule that fired on a part.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FiredRule {
    /// Id of the rule.
    pub rule: String,
    /// Id of the part.
    pub part: String,
    /// How bad it is when the rule is right.
    pub severity: Severity,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// What the rule says.
    pub title: String,
    /// The facts that made it fire.
    pub witnesses: Vec<Witness>,
}

/// A rule that could not look at a part.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BlindRule {
    /// Id of the rule.
    pub rule: String,
    /// Id of the part.
    pub part: String,
    /// The facts that it needs.
    pub missing: Vec<FactPath>,
}

/// One fan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Fan {
    /// Intended speed, percent of the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_percent: Option<i64>,
    /// Speed, revolutions a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_rpm: Option<i64>,
}

/// What is known of one GPU, the most telling source first. `null` is not known.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct GpuView {
    /// Id of the part in the evidence.
    pub part: String,
    /// Product name.
    pub name: Option<String>,
    /// Brand.
    pub brand: Option<String>,
    /// Architecture.
    pub architecture: Option<String>,
    /// Device and vendor id as nvidia-smi prints them: `0x268410DE`.
    pub pci_device_id: Option<String>,
    /// Subsystem id and vendor id as nvidia-smi prints them: `0x16F310DE`.
    pub pci_subsystem_id: Option<String>,
    /// Vendor and device id: `10de:2684`.
    pub pci_device: Option<String>,
    /// Subsystem vendor and subsystem id: `10de:16f3`.
    pub pci_subsystem: Option<String>,
    /// `domain:bus:device.function`.
    pub pci_address: Option<String>,
    /// PCI class code.
    pub pci_class: Option<String>,
    /// VBIOS version.
    pub vbios_version: Option<String>,
    /// Memory, reserved part included.
    pub memory_total_mib: Option<i64>,
    /// Memory that the driver and the firmware keep.
    pub memory_reserved_mib: Option<i64>,
    /// Memory for programs, as CUDA counts it.
    pub cuda_memory_mib: Option<i64>,
    /// Size of the aperture onto the memory (BAR 1).
    pub bar1_total_mib: Option<i64>,
    /// Largest size that this aperture can have.
    pub bar1_max_mib: Option<i64>,
    /// Board serial number.
    pub serial: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
    /// Per-device identifier.
    pub pdi: Option<String>,
    /// Board part number.
    pub board_part_number: Option<String>,
    /// GPU part number.
    pub gpu_part_number: Option<String>,
    /// Version of the InfoROM image.
    pub inforom_image: Option<String>,
    /// Power limit after a reset.
    pub power_limit_default_watts: Option<f64>,
    /// Lowest power limit that can be set.
    pub power_limit_min_watts: Option<f64>,
    /// Highest power limit that can be set.
    pub power_limit_max_watts: Option<f64>,
    /// Lowest of all power limits in force.
    pub power_limit_enforced_watts: Option<f64>,
    /// Power limit that was asked for.
    pub power_limit_current_watts: Option<f64>,
    /// Each fan that is known of; empty where the card has none that it controls.
    pub fans: Option<Vec<Fan>>,
    /// Number of fans.
    pub fan_count: Option<i64>,
    /// Whether ECC is on.
    pub ecc_enabled: Option<bool>,
    /// Whether the GPU is partitioned.
    pub mig_enabled: Option<bool>,
    /// Streaming multiprocessors.
    pub sm_count: Option<i64>,
    /// CUDA cores.
    pub cuda_cores: Option<i64>,
    /// Width of the memory bus.
    pub bus_width_bits: Option<i64>,
    /// Highest memory clock.
    pub memory_clock_mhz: Option<i64>,
    /// Highest graphics clock.
    pub graphics_clock_mhz: Option<i64>,
    /// CUDA compute capability.
    pub compute_capability: Option<String>,
    /// Size of the second-level cache.
    pub l2_cache_bytes: Option<i64>,
    /// NVLinks that the GPU has.
    pub nvlinks: Option<i64>,
    /// NVLinks that are up.
    pub nvlinks_active: Option<i64>,
    /// Highest PCI Express generation of the link.
    pub pcie_max_generation: Option<i64>,
    /// Most lanes of the link.
    pub pcie_max_width: Option<i64>,
    /// Lanes of the link now.
    pub pcie_current_width: Option<i64>,
    /// Whether the driver lost the GPU.
    pub lost: Option<bool>,
    /// Version of the driver.
    pub driver_version: Option<String>,
    /// Newest CUDA version that the driver can.
    pub cuda_version: Option<String>,
    /// Chip SKU in the VBIOS image.
    pub chip_sku: Option<String>,
    /// Project and SKU in the VBIOS image.
    pub project: Option<String>,
    /// Build date of the VBIOS image.
    pub build_date: Option<String>,
    /// Build number of the VBIOS image.
    pub build_number: Option<i64>,
    /// Build GUID of the VBIOS image.
    pub build_guid: Option<String>,
    /// Text that the VBIOS shows at the start.
    pub sign_on: Option<String>,
    /// Subsystem vendor and subsystem id that the VBIOS sets: `1043:864b`.
    pub ifr_subsystem: Option<String>,
    /// Rules that fire on it.
    pub findings: Vec<FiredRule>,
    /// Rules that could not look at it.
    pub inconclusive: Vec<BlindRule>,
}

impl<'a> Document<'a> {
    /// The document of an inspected machine.
    pub fn new(inspection: &'a Inspection, signatures: &Signatures) -> Self {
        let findings: Vec<FiredRule> = inspection.checks.iter().filter_map(|check| fired(check, signatures)).collect();
        let inconclusive: Vec<BlindRule> = inspection.checks.iter().filter_map(blind).collect();
        let evidence = &inspection.evidence;
        let driver = evidence.scope("driver").next();
        let fired = |part: &Part| findings.iter().filter(|it| it.part == part.id).cloned().collect();
        let blind = |part: &Part| inconclusive.iter().filter(|it| it.part == part.id).cloned().collect();
        let gpu = |part| GpuView { findings: fired(part), inconclusive: blind(part), ..GpuView::new(part, driver) };
        let dimm = |part| DimmView { findings: fired(part), inconclusive: blind(part), ..DimmView::new(part) };
        let cpu = |part| CpuView { findings: fired(part), inconclusive: blind(part), ..CpuView::new(part) };
        let drive = |part| DriveView { findings: fired(part), inconclusive: blind(part), ..DriveView::new(part) };
        let (gpus, dimms) = (evidence.scope("gpu").map(gpu).collect(), evidence.scope("dimm").map(dimm).collect());
        let (cpus, drives) = (evidence.scope("cpu").map(cpu).collect(), evidence.scope("drive").map(drive).collect());
        Self {
            file: None,
            format: None,
            origin: evidence.origin,
            assurance: attest::assurance(&inspection.checks),
            notes: Vec::new(),
            gpus,
            dimms,
            cpus,
            drives,
            findings,
            inconclusive,
            inspection,
        }
    }
}

fn fired(check: &Check, signatures: &Signatures) -> Option<FiredRule> {
    let Outcome::Fires(finding) = &check.outcome else { return None };
    Some(FiredRule {
        rule: check.id.clone(),
        part: check.part.clone(),
        severity: finding.severity,
        confidence: finding.confidence,
        title: signatures.rule(&check.id).map_or_else(String::new, |rule| rule.title.clone()),
        witnesses: finding.witnesses.clone(),
    })
}

fn blind(check: &Check) -> Option<BlindRule> {
    let Outcome::Inconclusive { missing } = &check.outcome else { return None };
    Some(BlindRule { rule: check.id.clone(), part: check.part.clone(), missing: missing.clone() })
}

impl GpuView {
    fn new(part: &Part, driver: Option<&Part>) -> Self {
        let text = |paths: &[&str]| paths.iter().find_map(|path| part.text(path)).map(str::to_owned);
        let integer = |paths: &[&str]| paths.iter().find_map(|path| part.integer(path));
        let flag = |path: &str| part.reading(path).and_then(Reading::known).and_then(Value::as_bool);
        let watts = |path: &str| part.integer(path).map(|milliwatts| milliwatts as f64 / 1000.0);
        let of_driver = |path: &str| driver.and_then(|driver| driver.text(path)).map(str::to_owned);
        // Both ids of a pair come from the same source.
        let pair = |pairs: &[(&str, &str)]| {
            pairs.iter().find_map(|(vendor, device)| Some((hex(part.text(vendor)?)?, hex(part.text(device)?)?)))
        };
        let device = pair(&[
            ("gpu.nvml.pci.vendor_id", "gpu.nvml.pci.device_id"),
            ("gpu.pci.vendor_id", "gpu.pci.device_id"),
            ("gpu.vbios.pci.vendor_id", "gpu.vbios.pci.device_id"),
        ]);
        let subsystem = pair(&[
            ("gpu.nvml.pci.subsystem_vendor_id", "gpu.nvml.pci.subsystem_device_id"),
            ("gpu.pci.subsystem_vendor_id", "gpu.pci.subsystem_device_id"),
        ]);
        let ifr = pair(&[("gpu.vbios.ifr.subsystem_vendor_id", "gpu.vbios.ifr.subsystem_device_id")]);
        let as_printed = |(vendor, device): (u16, u16)| format!("0x{device:04X}{vendor:04X}");
        let as_pair = |(vendor, device): (u16, u16)| format!("{vendor:04x}:{device:04x}");
        let mib = |bytes: i64| bytes >> 20;
        // The aperture onto the memory is the largest of the regions.
        let largest_bar = || match part.reading("gpu.pci.bar_bytes").and_then(Reading::known) {
            Some(Value::List(sizes)) => sizes.iter().filter_map(Value::as_integer).max(),
            _ => None,
        };
        Self {
            part: part.id.clone(),
            name: text(&["gpu.nvml.name", "gpu.procfs.model", "gpu.cuda.name", "gpu.pci.device_name"]),
            brand: text(&["gpu.nvml.brand"]),
            architecture: text(&["gpu.nvml.architecture"]),
            pci_device_id: device.map(as_printed),
            pci_subsystem_id: subsystem.map(as_printed),
            pci_device: device.map(as_pair),
            pci_subsystem: subsystem.map(as_pair),
            pci_address: text(&["gpu.nvml.pci.address", "gpu.procfs.address", "gpu.cuda.address"])
                .or_else(|| part.id.strip_prefix("gpu:").filter(|id| id.contains(':')).map(str::to_owned)),
            pci_class: text(&["gpu.pci.class"]),
            vbios_version: text(&["gpu.nvml.vbios_version", "gpu.procfs.vbios_version", "gpu.vbios.version"]),
            memory_total_mib: integer(&["gpu.nvml.memory.total_mib"]),
            memory_reserved_mib: integer(&["gpu.nvml.memory.reserved_mib"]),
            cuda_memory_mib: integer(&["gpu.cuda.memory_mib"]),
            bar1_total_mib: integer(&["gpu.nvml.bar1_total_mib"])
                .or_else(|| part.integer("gpu.pci.rebar_current_bytes").or_else(largest_bar).map(mib)),
            bar1_max_mib: part.integer("gpu.pci.rebar_max_bytes").map(mib),
            serial: text(&["gpu.nvml.serial"]),
            uuid: text(&["gpu.nvml.uuid", "gpu.procfs.uuid"]),
            pdi: text(&["gpu.nvml.pdi"]),
            board_part_number: text(&["gpu.nvml.board_part_number"]),
            gpu_part_number: text(&["gpu.nvml.gpu_part_number"]),
            inforom_image: text(&["gpu.nvml.inforom.image", "gpu.vbios.inforom_image"]),
            power_limit_default_watts: watts("gpu.nvml.power.default_limit_milliwatts"),
            power_limit_min_watts: watts("gpu.nvml.power.min_limit_milliwatts"),
            power_limit_max_watts: watts("gpu.nvml.power.max_limit_milliwatts"),
            power_limit_enforced_watts: watts("gpu.nvml.power.enforced_limit_milliwatts"),
            power_limit_current_watts: watts("gpu.nvml.power.current_limit_milliwatts"),
            fans: fans(part),
            fan_count: integer(&["gpu.nvml.fan.count"]),
            ecc_enabled: flag("gpu.nvml.ecc.enabled").or_else(|| flag("gpu.cuda.ecc")),
            mig_enabled: flag("gpu.nvml.mig.enabled"),
            sm_count: integer(&["gpu.cuda.sm_count"]),
            cuda_cores: integer(&["gpu.cuda.cores", "gpu.nvml.cores"]),
            bus_width_bits: integer(&["gpu.cuda.bus_width_bits", "gpu.nvml.bus_width_bits"]),
            memory_clock_mhz: integer(&["gpu.nvml.clock.max_memory_mhz", "gpu.cuda.memory_clock_mhz"]),
            graphics_clock_mhz: integer(&["gpu.nvml.clock.max_graphics_mhz", "gpu.cuda.clock_mhz"]),
            compute_capability: text(&["gpu.nvml.compute_capability", "gpu.cuda.compute_capability"]),
            l2_cache_bytes: integer(&["gpu.cuda.l2_cache_bytes"]),
            nvlinks: integer(&["gpu.nvml.nvlink.links"]),
            nvlinks_active: integer(&["gpu.nvml.nvlink.active"]),
            pcie_max_generation: integer(&["gpu.nvml.pcie.max_generation"]),
            pcie_max_width: integer(&["gpu.pci.link.max_width", "gpu.nvml.pcie.max_width"]),
            pcie_current_width: integer(&["gpu.pci.link.current_width", "gpu.nvml.pcie.current_width"]),
            lost: flag("gpu.nvml.lost"),
            driver_version: of_driver("driver.nvml.driver_version").or_else(|| of_driver("driver.kernel.version")),
            cuda_version: of_driver("driver.nvml.cuda_version"),
            chip_sku: text(&["gpu.vbios.chip_sku"]),
            project: text(&["gpu.vbios.project"]),
            build_date: text(&["gpu.vbios.build_date"]),
            build_number: integer(&["gpu.vbios.build_number"]),
            build_guid: text(&["gpu.vbios.build_guid"]),
            sign_on: text(&["gpu.vbios.sign_on"]),
            ifr_subsystem: ifr.map(as_pair),
            findings: Vec::new(),
            inconclusive: Vec::new(),
        }
    }
}

/// `0x10de`
fn hex(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The fans by percent and by revolutions. A driver that says that there is no speed to be had says that the card has no
/// fan of its own; where it could not say, nothing is known.
fn fans(part: &Part) -> Option<Vec<Fan>> {
    const PERCENT: &str = "gpu.nvml.fan.speed_percent";
    let list = |path: &str| match part.reading(path).and_then(Reading::known) {
        Some(Value::List(values)) => values.iter().map(Value::as_integer).collect(),
        _ => Vec::new(),
    };
    let (percent, rpm): (Vec<Option<i64>>, Vec<Option<i64>>) = (list(PERCENT), list("gpu.nvml.fan.speed_rpm"));
    let count = part.integer("gpu.nvml.fan.count").and_then(|count| usize::try_from(count).ok()).map(|it| it.min(64));
    let seen = percent.len().max(rpm.len());
    let none = matches!(part.reading(PERCENT), Some(Reading::Unsupported | Reading::Absent));
    if seen == 0 && !none && count != Some(0) {
        return None;
    }
    let at = |list: &[Option<i64>], index: usize| list.get(index).copied().flatten();
    Some((0..seen).map(|index| Fan { speed_percent: at(&percent, index), speed_rpm: at(&rpm, index) }).collect())
}
