//! From what nvidia-smi prints to `gpu.nvml.*` and `driver.nvml.*`.
//!
//! One table says which labels of which printout mean which fact: [`FIELDS`]. Labels are compared without case, blanks
//! and punctuation, so `FB Memory Usage/Total` and `fb_memory_usage/total` are the same label.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::machine::{Gpu, Machine};
use super::nvidia_smi_value::{As, convert, number, state};
use crate::evidence::Reading;
use crate::parse::nvidia_smi::{self as smi, Log, nvlink};
use crate::parse::pci_address;

/// A fact, the labels that it is printed under, and how its value reads.
struct Field {
    fact: &'static str,
    /// Labels of the text, the XML, the CSV and the table, reduced by [`reduce`].
    labels: &'static [&'static str],
    how: As,
}

const fn field(fact: &'static str, how: As, labels: &'static [&'static str]) -> Field {
    Field { fact, labels, how }
}

const FIELDS: &[Field] = &[
    field("gpu.nvml.name", As::Text, &["productname", "name", "gpuname"]),
    field("gpu.nvml.brand", As::Text, &["productbrand"]),
    field("gpu.nvml.architecture", As::Text, &["productarchitecture"]),
    field("gpu.nvml.uuid", As::Text, &["gpuuuid", "uuid"]),
    field("gpu.nvml.serial", As::Identity, &["serialnumber", "serial", "gpuserial"]),
    field("gpu.nvml.pdi", As::Text, &["gpupdi", "pdi"]),
    field("gpu.nvml.board_part_number", As::Identity, &["boardpartnumber"]),
    field("gpu.nvml.board_id", As::Text, &["boardid"]),
    field("gpu.nvml.multi_gpu_board", As::Flag, &["multigpuboard"]),
    field("gpu.nvml.vbios_version", As::Upper, &["vbiosversion"]),
    field("gpu.nvml.compute_capability", As::Text, &["computecap"]),
    field("gpu.nvml.minor", As::Count, &["minornumber"]),
    field("gpu.nvml.module_id", As::Count, &["moduleid", "gpumoduleid"]),
    field(
        "gpu.nvml.inforom.image",
        As::Text,
        &["inforomversion/imageversion", "inforomversion/imgversion", "inforomimg", "inforomimage", "imageversion"],
    ),
    field("gpu.nvml.inforom.oem", As::Text, &["inforomversion/oemobject", "inforomoem", "oemobject"]),
    field("gpu.nvml.inforom.ecc", As::Text, &["inforomversion/eccobject", "inforomecc", "eccobject"]),
    field(
        "gpu.nvml.inforom.power",
        As::Text,
        &["inforomversion/powermanagementobject", "inforomversion/pwrobject", "inforompwr", "inforompower"],
    ),
    field("gpu.nvml.inforom.valid", As::Flag, &["inforomchecksumvalidation"]),
    field("gpu.nvml.memory.total_mib", As::Mebibytes, &["fbmemoryusage/total", "memorytotal", "memoryusage/total"]),
    field("gpu.nvml.memory.reserved_mib", As::Mebibytes, &["fbmemoryusage/reserved", "memoryreserved"]),
    field("gpu.nvml.memory.used_mib", As::Mebibytes, &["fbmemoryusage/used", "memoryused", "memoryusage/used"]),
    field("gpu.nvml.bar1_total_mib", As::Mebibytes, &["bar1memoryusage/total"]),
    field(
        "gpu.nvml.clock.graphics_mhz",
        As::Megahertz,
        &["clocks/graphics", "clocks/graphicsclock", "clockscurrentgraphics", "clocksgr"],
    ),
    field("gpu.nvml.clock.sm_mhz", As::Megahertz, &["clocks/sm", "clocks/smclock", "clockscurrentsm", "clockssm"]),
    field(
        "gpu.nvml.clock.memory_mhz",
        As::Megahertz,
        &["clocks/memory", "clocks/memclock", "clockscurrentmemory", "clocksmem"],
    ),
    field(
        "gpu.nvml.clock.video_mhz",
        As::Megahertz,
        &["clocks/video", "clocks/videoclock", "clockscurrentvideo", "clocksvideo"],
    ),
    field(
        "gpu.nvml.clock.max_graphics_mhz",
        As::Megahertz,
        &["maxclocks/graphics", "maxclocks/graphicsclock", "clocksmaxgraphics", "clocksmaxgr"],
    ),
    field("gpu.nvml.clock.max_sm_mhz", As::Megahertz, &["maxclocks/sm", "maxclocks/smclock", "clocksmaxsm"]),
    field(
        "gpu.nvml.clock.max_memory_mhz",
        As::Megahertz,
        &["maxclocks/memory", "maxclocks/memclock", "clocksmaxmemory", "clocksmaxmem"],
    ),
    field("gpu.nvml.clock.max_video_mhz", As::Megahertz, &["maxclocks/video", "maxclocks/videoclock"]),
    field("gpu.nvml.performance_state", As::Text, &["performancestate", "pstate", "perf"]),
    field(
        "gpu.nvml.power.draw_milliwatts",
        As::Milliwatts,
        &[
            "gpupowerreadings/powerdraw",
            "gpupowerreadings/averagepowerdraw",
            "gpupowerreadings/instantaneouspowerdraw",
            "gpupowerreadings/instantpowerdraw",
            "powerreadings/powerdraw",
            "powerdraw",
            "pwrusage",
        ],
    ),
    field(
        "gpu.nvml.power.min_limit_milliwatts",
        As::Milliwatts,
        &["gpupowerreadings/minpowerlimit", "powerreadings/minpowerlimit", "powerminlimit"],
    ),
    field(
        "gpu.nvml.power.max_limit_milliwatts",
        As::Milliwatts,
        &["gpupowerreadings/maxpowerlimit", "powerreadings/maxpowerlimit", "powermaxlimit"],
    ),
    field(
        "gpu.nvml.power.default_limit_milliwatts",
        As::Milliwatts,
        &[
            "gpupowerreadings/defaultpowerlimit",
            "gpupowerreadings/gpuceilingpowerlimit/defaultpowerlimit",
            "powerreadings/defaultpowerlimit",
            "powerdefaultlimit",
        ],
    ),
    // What the text of drivers before 525 called "Power Limit" is "Requested Power Limit" since, and "Enforced" is
    // "Current".
    field(
        "gpu.nvml.power.current_limit_milliwatts",
        As::Milliwatts,
        &[
            "gpupowerreadings/requestedpowerlimit",
            "gpupowerreadings/gpuceilingpowerlimit/requestedpowerlimit",
            "powerreadings/powerlimit",
            "powerlimit",
        ],
    ),
    field(
        "gpu.nvml.power.enforced_limit_milliwatts",
        As::Milliwatts,
        &[
            "gpupowerreadings/currentpowerlimit",
            "gpupowerreadings/gpuceilingpowerlimit/currentpowerlimit",
            "powerreadings/enforcedpowerlimit",
            "enforcedpowerlimit",
            "pwrcap",
        ],
    ),
    field(
        "gpu.nvml.temperature.gpu_celsius",
        As::Celsius,
        &["temperature/gpucurrenttemp", "temperature/gputemp", "temperaturegpu", "temp"],
    ),
    field(
        "gpu.nvml.temperature.memory_celsius",
        As::Celsius,
        &["temperature/memorycurrenttemp", "temperature/memorytemp", "temperaturememory"],
    ),
    field(
        "gpu.nvml.temperature.shutdown_celsius",
        As::Celsius,
        &["temperature/gpushutdowntemp", "temperature/gputempmaxthreshold"],
    ),
    field(
        "gpu.nvml.temperature.slowdown_celsius",
        As::Celsius,
        &["temperature/gpuslowdowntemp", "temperature/gputempslowthreshold"],
    ),
    field(
        "gpu.nvml.temperature.gpu_max_celsius",
        As::Celsius,
        &["temperature/gpumaxoperatingtemp", "temperature/gputempmaxgputhreshold"],
    ),
    field(
        "gpu.nvml.temperature.memory_max_celsius",
        As::Celsius,
        &["temperature/memorymaxoperatingtemp", "temperature/gputempmaxmemthreshold"],
    ),
    field("gpu.nvml.fan.speed_percent", As::PercentList, &["fanspeed", "fan"]),
    field("gpu.nvml.ecc.enabled", As::Flag, &["eccmode/current", "eccmode/currentecc", "eccmodecurrent"]),
    field("gpu.nvml.ecc.pending", As::Flag, &["eccmode/pending", "eccmode/pendingecc", "eccmodepending"]),
    field(
        "gpu.nvml.ecc.volatile.corrected",
        As::Count,
        &["eccerrors/volatile/singlebit/total", "eccerrorscorrectedvolatiletotal"],
    ),
    field(
        "gpu.nvml.ecc.volatile.uncorrected",
        As::Count,
        &["eccerrors/volatile/doublebit/total", "eccerrorsuncorrectedvolatiletotal"],
    ),
    field(
        "gpu.nvml.ecc.aggregate.corrected",
        As::Count,
        &["eccerrors/aggregate/singlebit/total", "eccerrorscorrectedaggregatetotal"],
    ),
    field(
        "gpu.nvml.ecc.aggregate.uncorrected",
        As::Count,
        &["eccerrors/aggregate/doublebit/total", "eccerrorsuncorrectedaggregatetotal"],
    ),
    field(
        "gpu.nvml.sram.threshold_exceeded",
        As::Flag,
        &["eccerrors/aggregate/sramthresholdexceeded", "eccerrorsuncorrectedaggregatesramthresholdexceeded"],
    ),
    field(
        "gpu.nvml.retired_pages.single_bit",
        As::Count,
        &[
            "retiredpages/singlebitecc",
            "retiredpages/multiplesinglebitretirement/retiredcount",
            "retiredpagessinglebitecccount",
        ],
    ),
    field(
        "gpu.nvml.retired_pages.double_bit",
        As::Count,
        &["retiredpages/doublebitecc", "retiredpages/doublebitretirement/retiredcount", "retiredpagesdoublebitcount"],
    ),
    field(
        "gpu.nvml.retired_pages.pending",
        As::Flag,
        &[
            "retiredpages/pendingpageblacklist",
            "retiredpages/pending",
            "retiredpages/pendingretirement",
            "retiredpagespending",
        ],
    ),
    field(
        "gpu.nvml.remapped_rows.corrected",
        As::Count,
        &["remappedrows/correctableerror", "remappedrows/remappedrowcorr", "remappedrowscorrectable"],
    ),
    field(
        "gpu.nvml.remapped_rows.uncorrected",
        As::Count,
        &["remappedrows/uncorrectableerror", "remappedrows/remappedrowunc", "remappedrowsuncorrectable"],
    ),
    field(
        "gpu.nvml.remapped_rows.pending",
        As::Flag,
        &["remappedrows/pending", "remappedrows/remappedrowpending", "remappedrowspending"],
    ),
    field(
        "gpu.nvml.remapped_rows.failed",
        As::Flag,
        &["remappedrows/remappingfailureoccurred", "remappedrows/remappedrowfailure", "remappedrowsfailure"],
    ),
    field(
        "gpu.nvml.remap_histogram.max",
        As::Count,
        &[
            "remappedrows/bankremapavailabilityhistogram/max",
            "remappedrows/rowremapperhistogram/rowremapperhistogrammax",
            "remappedrowshistogrammax",
        ],
    ),
    field(
        "gpu.nvml.remap_histogram.high",
        As::Count,
        &[
            "remappedrows/bankremapavailabilityhistogram/high",
            "remappedrows/rowremapperhistogram/rowremapperhistogramhigh",
            "remappedrowshistogramhigh",
        ],
    ),
    field(
        "gpu.nvml.remap_histogram.partial",
        As::Count,
        &[
            "remappedrows/bankremapavailabilityhistogram/partial",
            "remappedrows/rowremapperhistogram/rowremapperhistogrampartial",
            "remappedrowshistogrampartial",
        ],
    ),
    field(
        "gpu.nvml.remap_histogram.low",
        As::Count,
        &[
            "remappedrows/bankremapavailabilityhistogram/low",
            "remappedrows/rowremapperhistogram/rowremapperhistogramlow",
            "remappedrowshistogramlow",
        ],
    ),
    field(
        "gpu.nvml.remap_histogram.none",
        As::Count,
        &[
            "remappedrows/bankremapavailabilityhistogram/none",
            "remappedrows/rowremapperhistogram/rowremapperhistogramnone",
            "remappedrowshistogramnone",
        ],
    ),
    field("gpu.nvml.repair.channel_pending", As::Flag, &["eccerrors/channelrepairpending"]),
    field("gpu.nvml.repair.tpc_pending", As::Flag, &["eccerrors/tpcrepairpending"]),
    field(
        "gpu.nvml.pcie.current_generation",
        As::Count,
        &[
            "pci/gpulinkinfo/pciegeneration/current",
            "pci/pcigpulinkinfo/pciegen/currentlinkgen",
            "pcielinkgencurrent",
            "pcielinkgengpucurrent",
        ],
    ),
    field(
        "gpu.nvml.pcie.max_generation",
        As::Count,
        &["pci/gpulinkinfo/pciegeneration/max", "pci/pcigpulinkinfo/pciegen/maxlinkgen", "pcielinkgenmax"],
    ),
    field(
        "gpu.nvml.pcie.current_width",
        As::Count,
        &[
            "pci/gpulinkinfo/linkwidth/current",
            "pci/pcigpulinkinfo/linkwidths/currentlinkwidth",
            "pcielinkwidthcurrent",
        ],
    ),
    field(
        "gpu.nvml.pcie.max_width",
        As::Count,
        &["pci/gpulinkinfo/linkwidth/max", "pci/pcigpulinkinfo/linkwidths/maxlinkwidth", "pcielinkwidthmax"],
    ),
    field("gpu.nvml.pcie.replays", As::Count, &["pci/replayssincereset", "pci/replaycounter"]),
    field("gpu.nvml.fabric.state", As::Word, &["fabric/state", "fabricstate"]),
    field("gpu.nvml.fabric.status", As::Success, &["fabric/status", "fabricstatus"]),
    field("gpu.nvml.fabric.cluster_uuid", As::Text, &["fabric/clusteruuid", "fabricclusteruuid"]),
    field("gpu.nvml.fabric.clique_id", As::Count, &["fabric/cliqueid", "fabriccliqueid"]),
    field(
        "gpu.nvml.platform.chassis_serial",
        As::Identity,
        &["platforminfo/chassisserialnumber", "platforminfo/rackserialnumber", "platformchassisserialnumber"],
    ),
    field(
        "gpu.nvml.platform.slot_number",
        As::Count,
        &["platforminfo/slotnumber", "platforminfo/chassisphysicalslotnumber", "platformslotnumber"],
    ),
    field(
        "gpu.nvml.platform.tray_index",
        As::Count,
        &["platforminfo/trayindex", "platforminfo/computeslotindex", "platformtrayindex"],
    ),
    field("gpu.nvml.platform.module_id", As::Count, &["platforminfo/moduleid", "platformmoduleid"]),
    field("gpu.nvml.gsp_firmware", As::Text, &["gspfirmwareversion"]),
    field("gpu.nvml.mig.enabled", As::Flag, &["migmode/current", "migmode/currentmig", "migmodecurrent", "migm"]),
    field("gpu.nvml.mig.pending", As::Flag, &["migmode/pending", "migmode/pendingmig", "migmodepending"]),
    field("gpu.nvml.virtualization", As::Virtualization, &["gpuvirtualizationmode/virtualizationmode"]),
    field("gpu.nvml.persistence", As::Flag, &["persistencemode", "persistencem"]),
    field("gpu.nvml.compute_mode", As::Word, &["computemode"]),
];

/// Groups that are printed as one "N/A" instead of with their labels.
const GROUPS: &[(&str, &str)] = &[
    ("remappedrows", "gpu.nvml.remapped_rows."),
    ("remappedrows", "gpu.nvml.remap_histogram."),
    ("remappedrows/rowremapperhistogram", "gpu.nvml.remap_histogram."),
    ("retiredpages", "gpu.nvml.retired_pages."),
];

fn by_label() -> &'static HashMap<&'static str, &'static Field> {
    static TABLE: OnceLock<HashMap<&str, &Field>> = OnceLock::new();
    TABLE
        .get_or_init(|| FIELDS.iter().flat_map(|field| field.labels.iter().map(move |label| (*label, field))).collect())
}

/// A label without case, blanks and punctuation; the slashes between headings stay.
fn reduce(path: &str, reduced: &mut String) {
    reduced.clear();
    let kept = path.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '/');
    reduced.extend(kept.map(|it| it.to_ascii_lowercase()));
}

/// `nvidia-smi -q` as text.
pub(super) fn text(text: &str, machine: &mut Machine) {
    add(smi::text::parse(text), "nvidia-smi -q", machine);
}

/// `nvidia-smi -q -x`.
pub(super) fn xml(text: &str, machine: &mut Machine) {
    add(smi::xml::parse(text), "nvidia-smi -q -x", machine);
}

/// `nvidia-smi --query-gpu`.
pub(super) fn csv(text: &str, machine: &mut Machine) {
    add(smi::csv::parse(text), "nvidia-smi --query-gpu", machine);
}

/// The table of `nvidia-smi`.
pub(super) fn table(text: &str, machine: &mut Machine) {
    add(smi::table::parse(text), "nvidia-smi", machine);
}

/// `nvidia-smi nvlink -s` and `-L`.
pub(super) fn nvlink(text: &str, machine: &mut Machine) {
    add(nvlink::parse(text), "nvidia-smi nvlink -s", machine);
}

fn add(log: Log, command: &str, machine: &mut Machine) {
    if log.truncated {
        machine.note(format!("{command} is cut or damaged: read up to there"));
    }
    if log.too_many {
        machine.note(format!("{command} lists more than {} GPUs: the rest is left out", smi::MAX_GPUS));
    }
    for (path, text) in [
        ("driver.nvml.driver_version", &log.driver_version),
        ("driver.nvml.version", &log.nvml_version),
        ("driver.nvml.cuda_version", &log.cuda_version),
    ] {
        if let Some(text) = text {
            machine.driver(path, state(text, false).map(str::to_owned), command);
        }
    }
    if let Some(attached) = log.attached.filter(|count| *count < 1 << 20) {
        machine.driver("driver.nvml.device_count", attached, command);
        if attached > log.gpus.len() as u64 {
            machine.note(format!("{command} lists {} of {attached} GPUs that the driver has", log.gpus.len()));
        }
    }
    // A log with times lists the same GPUs over and over.
    let repeats = log.gpus.first().is_some_and(|gpu| gpu.value("timestamp").is_some());
    let ordered = log.attached == Some(log.gpus.len() as u64);
    let mut section: Vec<Gpu> = Vec::new();
    for (position, printed) in log.gpus.iter().enumerate() {
        // A number that comes again begins another printout.
        if printed.index.is_some() && section.iter().any(|gpu| gpu.index == printed.index) {
            machine.section(std::mem::take(&mut section), repeats);
        }
        let mut gpu = one(printed, command);
        gpu.index = printed.index.or(ordered.then_some(position as u64));
        section.push(gpu);
    }
    machine.section(section, repeats);
}

fn one(printed: &smi::Gpu, command: &str) -> Gpu {
    let mut gpu = Gpu::default();
    let table = by_label();
    let source = |path: &str| format!("{command}: {}", path.replace('/', ", "));
    let mut address = printed.address.clone();
    let mut counters = Counters::default();
    let mut throttle: Option<Vec<String>> = None;
    let mut partitions = 0u64;
    let mut lost = false;
    let mut label = String::new();
    for field in &printed.fields {
        reduce(&field.path, &mut label);
        lost |= is_lost(&field.value);
        if let Some(known) = table.get(label.as_str()) {
            gpu.fact(known.fact, convert(known.how, &field.value), source(&field.path));
            continue;
        }
        counters.add(&label, field, &source);
        match label.as_str() {
            "gpupartnumber" => part_number(&mut gpu, &field.value, &source(&field.path)),
            "pci/busid" | "pci/pcibusid" | "pcibusid" | "gpubusid" | "busid" => {
                address = address.or_else(|| Some(field.value.clone()));
            }
            "pci/deviceid" | "pci/pcideviceid" | "pcideviceid" | "deviceid" => {
                ids(&mut gpu, &field.value, ["gpu.nvml.pci.vendor_id", "gpu.nvml.pci.device_id"], &source(&field.path))
            }
            "pci/subsystemid" | "pci/pcisubsystemid" | "pcisubdeviceid" | "subsystemid" => ids(
                &mut gpu,
                &field.value,
                ["gpu.nvml.pci.subsystem_vendor_id", "gpu.nvml.pci.subsystem_device_id"],
                &source(&field.path),
            ),
            // The table's ECC column: a number of errors, or why there is none.
            "volatileuncorrecc" => ecc_column(&mut gpu, &field.value, &source(&field.path)),
            "devicehandle" => lost = true,
            "inforomwarning" => gpu.fact("gpu.nvml.inforom.valid", false, source(&field.path)),
            "migdevice/index" | "migdevices/migdevice/index" => partitions += 1,
            _ => {
                if let Some(reason) = throttle_reason(&label, &field.path) {
                    let active = throttle.get_or_insert_default();
                    if field.value == "Active" {
                        active.push(reason);
                    }
                }
                for (_, prefix) in GROUPS.iter().filter(|(group, _)| *group == label) {
                    if let Err(reading) = whole_group(&field.value) {
                        for field in FIELDS.iter().filter(|field| field.fact.starts_with(prefix)) {
                            gpu.fact(field.fact, reading.clone(), format!("{command}: {label}"));
                        }
                    }
                }
            }
        }
    }
    counters.finish(&mut gpu, command);
    links(&mut gpu, printed, command);
    if let Some(active) = throttle {
        gpu.fact("gpu.nvml.clock.throttle_reasons", active, format!("{command}: clocks event reasons"));
    }
    if partitions > 0 {
        gpu.fact("gpu.nvml.mig.devices", partitions, format!("{command}: MIG devices"));
    }
    if let Some(index) = printed.index {
        gpu.fact("gpu.nvml.index", index, command);
    }
    gpu.address = address.as_deref().and_then(pci_address::parse);
    if let Some(address) = gpu.address.clone() {
        gpu.fact("gpu.nvml.pci.address", address, command);
    }
    if lost {
        gpu.fact("gpu.nvml.lost", true, command);
    }
    let uuid =
        printed.fields.iter().find(|field| matches!(field.path.as_str(), "GPU UUID" | "UUID" | "uuid" | "gpu_uuid"));
    gpu.matched_by_uuid(uuid.map(|field| field.value.as_str()));
    gpu
}

fn is_lost(value: &str) -> bool {
    value.contains("GPU is lost") || value.contains("GPU requires reset")
}

/// The reading of a group that is printed as one value; a group that is there has labels below it.
fn whole_group(value: &str) -> Result<(), Reading> {
    match state(value, false) {
        Reading::Known(_) => Ok(()),
        other => Err(other.map(str::to_owned).value()),
    }
}

/// `233010DE`, with or without `0x`: device id and vendor id.
fn ids(gpu: &mut Gpu, value: &str, paths: [&str; 2], source: &str) {
    let reading = state(value, false).and_then(|text| {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        match u32::from_str_radix(digits, 16) {
            Ok(0) => Reading::Absent,
            Ok(u32::MAX) => Reading::Failed("all ones".to_owned()),
            Ok(both) if digits.len() == 8 => Reading::Known(both),
            _ => Reading::Failed(format!("not two ids: {}", text.escape_debug())),
        }
    });
    let hex = |id: u32| format!("{:#06x}", id & 0xffff);
    gpu.fact(paths[0], reading.as_ref().map(|both| hex(*both)), source);
    gpu.fact(paths[1], reading.map(|both| hex(both >> 16)), source);
}

/// Drivers 390 to 460 printed the board's part number under this label. The form tells which it is: `2330-885-A1` begins
/// with a PCI device id, `900-2G133-0000-000` is a board's.
fn part_number(gpu: &mut Gpu, value: &str, source: &str) {
    let groups: Vec<usize> = value.split('-').map(str::len).collect();
    let board = groups == [3, 5, 4, 3];
    let path = if board { "gpu.nvml.board_part_number" } else { "gpu.nvml.gpu_part_number" };
    gpu.fact(path, convert(As::Identity, value), source);
}

fn ecc_column(gpu: &mut Gpu, value: &str, source: &str) {
    const ENABLED: &str = "gpu.nvml.ecc.enabled";
    const ERRORS: &str = "gpu.nvml.ecc.volatile.uncorrected";
    match value.parse::<u64>() {
        Ok(errors) => {
            gpu.fact(ENABLED, true, source);
            gpu.fact(ERRORS, errors, source);
        }
        Err(_) => gpu.fact(ENABLED, convert(As::Flag, value), source),
    }
}

/// The reason that a label below the throttle reasons names: `sw-power-cap`.
fn throttle_reason(label: &str, path: &str) -> Option<String> {
    const GROUPS: [&str; 2] = ["clockseventreason", "clocksthrottlereason"];
    if !GROUPS.iter().any(|group| label.starts_with(group)) || label.contains("counters") {
        return None;
    }
    let last = path.rsplit(['/', '.']).next()?.to_ascii_lowercase().replace([' ', '_'], "-");
    let mut reason = last.as_str();
    for prefix in ["clocks-event-reason-", "clocks-throttle-reason-", "gpu-"] {
        reason = reason.strip_prefix(prefix).unwrap_or(reason);
    }
    (!matches!(reason, "supported" | "active" | "clocks-event-reasons" | "clocks-throttle-reasons"))
        .then(|| reason.to_owned())
}

/// Error counters by location, which newer drivers print without a total.
#[derive(Default)]
struct Counters {
    /// Sums by fact; `None` where nothing was counted.
    sums: HashMap<&'static str, u64>,
    not_zero: Option<Vec<String>>,
    unread: Option<(Reading, String)>,
}

impl Counters {
    fn add(&mut self, label: &str, field: &smi::Field, source: &impl Fn(&str) -> String) {
        let Some(counter) = Counter::of(label) else { return };
        match state(&field.value, false) {
            Reading::Known(text) => {
                let Some(count) = number(text).and_then(|it| u64::try_from(it).ok()).filter(|it| *it < 1 << 53) else {
                    return;
                };
                let not_zero = self.not_zero.get_or_insert_default();
                if count > 0 {
                    not_zero.push(format!("{} {} {} {count}", counter.since, counter.kind, counter.location));
                }
                for fact in counter.sums {
                    let sum = self.sums.entry(fact).or_default();
                    *sum = sum.saturating_add(count).min(1 << 53);
                }
            }
            other => {
                self.unread.get_or_insert((other.map(str::to_owned).value(), source(&field.path)));
            }
        }
    }

    fn finish(self, gpu: &mut Gpu, command: &str) {
        for (fact, sum) in self.sums {
            gpu.fact(fact, sum, format!("{command}: sum of the ECC errors by location"));
        }
        match (self.not_zero, self.unread) {
            (Some(not_zero), _) => {
                gpu.fact("gpu.nvml.ecc.by_location", not_zero, format!("{command}: ECC errors by location"));
            }
            (None, Some((reading, source))) => gpu.fact("gpu.nvml.ecc.by_location", reading, source),
            (None, None) => {}
        }
    }
}

struct Counter {
    since: &'static str,
    kind: &'static str,
    location: String,
    /// The facts that it is part of, unless a total is printed.
    sums: Vec<&'static str>,
}

impl Counter {
    /// `eccerrors/aggregate/sramuncorrectableparity`, `eccerrors/volatile/doublebit/l2cache`,
    /// `eccerrorscorrectedvolatilel2cache`.
    fn of(label: &str) -> Option<Self> {
        let rest = label.strip_prefix("eccerrors")?;
        let (rest, mut kind) = match (rest.strip_prefix("corrected"), rest.strip_prefix("uncorrected")) {
            (Some(rest), _) => (rest, Some("corrected")),
            (_, Some(rest)) => (rest, Some("uncorrected")),
            _ => (rest.strip_prefix('/')?, None),
        };
        let since = ["volatile", "aggregate"].into_iter().find(|since| rest.starts_with(since))?;
        let mut rest = rest[since.len()..].trim_start_matches('/');
        let mut whole = false;
        for (prefix, is) in [("singlebit/", "corrected"), ("doublebit/", "uncorrected")] {
            if let Some(below) = rest.strip_prefix(prefix) {
                (rest, kind) = (below, Some(is));
            }
        }
        let location = match rest {
            "sramcorrectable" => ("sram", "corrected"),
            "sramuncorrectable" => ("sram", "uncorrected"),
            "sramuncorrectableparity" => ("sram-parity", "uncorrected"),
            "sramuncorrectablesecded" => ("sram-sec-ded", "uncorrected"),
            "dramcorrectable" => ("dram", "corrected"),
            "dramuncorrectable" => ("dram", "uncorrected"),
            other => {
                whole = true;
                let location = match other {
                    "devicememory" => "device-memory",
                    "registerfile" => "register-file",
                    "l1cache" => "l1-cache",
                    "l2cache" => "l2-cache",
                    "texturememory" => "texture-memory",
                    "textureshared" | "textureshm" => "texture-shared",
                    "cbu" => "cbu",
                    "dram" => "dram",
                    "sram" => "sram",
                    "sramparity" => "sram-parity",
                    "sramsecded" => "sram-sec-ded",
                    _ => return None,
                };
                (location, kind?)
            }
        };
        let (location, kind) = location;
        let mut sums = Vec::new();
        // Where each location is listed by itself there is a total as well.
        if !whole {
            sums.push(match (since, kind) {
                ("volatile", "corrected") => "gpu.nvml.ecc.volatile.corrected",
                ("volatile", _) => "gpu.nvml.ecc.volatile.uncorrected",
                (_, "corrected") => "gpu.nvml.ecc.aggregate.corrected",
                _ => "gpu.nvml.ecc.aggregate.uncorrected",
            });
        }
        if since == "aggregate" && kind == "uncorrected" && location.starts_with("sram") {
            // Of "SRAM" and its two halves, which no driver prints both, or of the halves.
            if !whole || location != "sram" {
                sums.push("gpu.nvml.sram.aggregate_uncorrected");
            }
        }
        Some(Self { since, kind, location: location.to_owned(), sums })
    }
}

/// `Link 3: <inactive>`
fn links(gpu: &mut Gpu, printed: &smi::Gpu, command: &str) {
    let mut inactive: Vec<u64> = Vec::new();
    let mut links = 0u64;
    for field in &printed.fields {
        if let Some(Ok(link)) = field.path.strip_prefix(nvlink::LINK).map(str::parse) {
            links += 1;
            if field.value.contains("inactive") {
                inactive.push(link);
            }
        }
    }
    if links > 0 {
        gpu.fact("gpu.nvml.nvlink.links", links, command);
        gpu.fact("gpu.nvml.nvlink.active", links - inactive.len() as u64, command);
        gpu.fact("gpu.nvml.nvlink.inactive", inactive, command);
    } else if printed.value(nvlink::ALL_INACTIVE).is_some() {
        gpu.fact("gpu.nvml.nvlink.active", 0u64, command);
    }
}
