//! What NVML says of the driver and of each GPU. Needs no privilege, except for SRAM error counters.
//!
//! Units: NVML has memory in bytes, power in milliwatts, clocks in MHz.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::{fill, reason};
use super::facts;
use crate::attest::Digest;
use crate::evidence::{EvidenceBuilder, PartBuilder, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::nvml::{self, Answers, Calls, Device, json_number, member_text, named};
use crate::parse::nvml_attestation::{Attestation, address, pci_address};

const SOURCE: &str = "NVML";
const PREFIX: &str = "gpu.nvml.";
const MIB: u64 = 1 << 20;

/// Texts that are facts as they are.
const TEXTS: &[(&str, &str)] = &[
    ("gpu.nvml.name", "nvmlDeviceGetName"),
    ("gpu.nvml.uuid", "nvmlDeviceGetUUID"),
    ("gpu.nvml.inforom.image", "nvmlDeviceGetInforomImageVersion"),
    ("gpu.nvml.gsp_firmware", "nvmlDeviceGetGspFirmwareVersion"),
];

/// Fact, call, arguments, member of the structure, and what NVML's number is divided by.
type Number = (&'static str, &'static str, &'static [u64], &'static str, u64);

const NUMBERS: &[Number] = &[
    ("cores", "nvmlDeviceGetNumGpuCores", &[], "", 1),
    ("bus_width_bits", "nvmlDeviceGetMemoryBusWidth", &[], "", 1),
    ("minor", "nvmlDeviceGetMinorNumber", &[], "", 1),
    ("module_id", "nvmlDeviceGetModuleId", &[], "", 1),
    ("memory.reserved_mib", "nvmlDeviceGetMemoryInfo_v2", &[], "reserved", MIB),
    ("bar1_total_mib", "nvmlDeviceGetBAR1MemoryInfo", &[], "total", MIB),
    ("clock.graphics_mhz", "nvmlDeviceGetClockInfo", &[0], "", 1),
    ("clock.sm_mhz", "nvmlDeviceGetClockInfo", &[1], "", 1),
    ("clock.memory_mhz", "nvmlDeviceGetClockInfo", &[2], "", 1),
    ("clock.video_mhz", "nvmlDeviceGetClockInfo", &[3], "", 1),
    ("clock.max_graphics_mhz", "nvmlDeviceGetMaxClockInfo", &[0], "", 1),
    ("clock.max_sm_mhz", "nvmlDeviceGetMaxClockInfo", &[1], "", 1),
    ("clock.max_memory_mhz", "nvmlDeviceGetMaxClockInfo", &[2], "", 1),
    ("clock.max_video_mhz", "nvmlDeviceGetMaxClockInfo", &[3], "", 1),
    ("power.draw_milliwatts", "nvmlDeviceGetPowerUsage", &[], "", 1),
    ("power.min_limit_milliwatts", "nvmlDeviceGetPowerManagementLimitConstraints", &[], "min", 1),
    ("power.max_limit_milliwatts", "nvmlDeviceGetPowerManagementLimitConstraints", &[], "max", 1),
    ("power.default_limit_milliwatts", "nvmlDeviceGetPowerManagementDefaultLimit", &[], "", 1),
    ("power.current_limit_milliwatts", "nvmlDeviceGetPowerManagementLimit", &[], "", 1),
    ("power.enforced_limit_milliwatts", "nvmlDeviceGetEnforcedPowerLimit", &[], "", 1),
    ("energy_millijoules", "nvmlDeviceGetTotalEnergyConsumption", &[], "", 1),
    ("temperature.gpu_celsius", "nvmlDeviceGetTemperature", &[0], "", 1),
    ("temperature.memory_celsius", "nvmlDeviceGetFieldValues", &[MEMORY_TEMPERATURE], "", 1),
    ("temperature.shutdown_celsius", "nvmlDeviceGetTemperatureThreshold", &[0], "", 1),
    ("temperature.slowdown_celsius", "nvmlDeviceGetTemperatureThreshold", &[1], "", 1),
    ("temperature.memory_max_celsius", "nvmlDeviceGetTemperatureThreshold", &[2], "", 1),
    ("temperature.gpu_max_celsius", "nvmlDeviceGetTemperatureThreshold", &[3], "", 1),
    ("fan.count", "nvmlDeviceGetNumFans", &[], "", 1),
    ("ecc.volatile.corrected", "nvmlDeviceGetTotalEccErrors", &[0, 0], "", 1),
    ("ecc.volatile.uncorrected", "nvmlDeviceGetTotalEccErrors", &[1, 0], "", 1),
    ("ecc.aggregate.corrected", "nvmlDeviceGetTotalEccErrors", &[0, 1], "", 1),
    ("ecc.aggregate.uncorrected", "nvmlDeviceGetTotalEccErrors", &[1, 1], "", 1),
    ("retired_pages.single_bit", "nvmlDeviceGetRetiredPages", &[0], "", 1),
    ("retired_pages.double_bit", "nvmlDeviceGetRetiredPages", &[1], "", 1),
    ("remapped_rows.corrected", "nvmlDeviceGetRemappedRows", &[], "corrected", 1),
    ("remapped_rows.uncorrected", "nvmlDeviceGetRemappedRows", &[], "uncorrected", 1),
    ("remap_histogram.max", "nvmlDeviceGetRowRemapperHistogram", &[], "max", 1),
    ("remap_histogram.high", "nvmlDeviceGetRowRemapperHistogram", &[], "high", 1),
    ("remap_histogram.partial", "nvmlDeviceGetRowRemapperHistogram", &[], "partial", 1),
    ("remap_histogram.low", "nvmlDeviceGetRowRemapperHistogram", &[], "low", 1),
    ("remap_histogram.none", "nvmlDeviceGetRowRemapperHistogram", &[], "none", 1),
    ("pcie.current_generation", "nvmlDeviceGetCurrPcieLinkGeneration", &[], "", 1),
    ("pcie.current_width", "nvmlDeviceGetCurrPcieLinkWidth", &[], "", 1),
    ("pcie.max_generation", "nvmlDeviceGetMaxPcieLinkGeneration", &[], "", 1),
    ("pcie.max_width", "nvmlDeviceGetMaxPcieLinkWidth", &[], "", 1),
    ("pcie.replays", "nvmlDeviceGetPcieReplayCounter", &[], "", 1),
    ("platform.slot_number", "nvmlDeviceGetPlatformInfo", &[], "slotNumber", 1),
    ("platform.tray_index", "nvmlDeviceGetPlatformInfo", &[], "trayIndex", 1),
    ("platform.module_id", "nvmlDeviceGetPlatformInfo", &[], "moduleId", 1),
];

/// Fact, call and member of the structure.
const BOOLS: &[(&str, &str, &str)] = &[
    ("multi_gpu_board", "nvmlDeviceGetMultiGpuBoard", ""),
    ("ecc.enabled", "nvmlDeviceGetEccMode", "current"),
    ("ecc.pending", "nvmlDeviceGetEccMode", "pending"),
    ("sram.threshold_exceeded", "nvmlDeviceGetSramEccErrorStatus", "bThresholdExceeded"),
    ("retired_pages.pending", "nvmlDeviceGetRetiredPagesPendingStatus", ""),
    ("remapped_rows.pending", "nvmlDeviceGetRemappedRows", "pending"),
    ("remapped_rows.failed", "nvmlDeviceGetRemappedRows", "failed"),
    ("repair.channel_pending", "nvmlDeviceGetRepairStatus", "channel"),
    ("repair.tpc_pending", "nvmlDeviceGetRepairStatus", "tpc"),
    ("mig.enabled", "nvmlDeviceGetMigMode", "current"),
    ("mig.pending", "nvmlDeviceGetMigMode", "pending"),
    ("persistence", "nvmlDeviceGetPersistenceMode", ""),
];

/// Fact, call, and the names of the values.
const NAMED: &[(&str, &str, &[&str])] = &[
    ("brand", "nvmlDeviceGetBrand", nvml::BRANDS),
    ("architecture", "nvmlDeviceGetArchitecture", nvml::ARCHITECTURES),
    ("virtualization", "nvmlDeviceGetVirtualizationMode", nvml::VIRTUALIZATION_MODES),
    ("compute_mode", "nvmlDeviceGetComputeMode", nvml::COMPUTE_MODES),
];

/// Fans that are asked about.
const MAX_FANS: u64 = 16;
/// `NVML_FI_DEV_MEMORY_TEMP`.
const MEMORY_TEMPERATURE: u64 = 82;
/// `NVML_FI_DEV_NVLINK_LINK_COUNT`.
const LINK_COUNT: u64 = 91;

/// What NVML answered, or why it did not.
pub(super) struct Nvml {
    answers: Reading<Answers>,
}

impl Nvml {
    pub(super) fn ask(host: &dyn Host) -> Self {
        Self { answers: host.ask(&Query::Nvml).map(|lines| nvml::parse(&lines)) }
    }

    /// All that it answered.
    pub(super) fn answers(&self) -> Reading<&Answers> {
        self.answers.as_ref()
    }

    /// Whether it is certain that the machine has no NVML.
    pub(super) fn is_missing(&self) -> bool {
        match &self.answers {
            Reading::Known(answers) => answers.no_library(),
            other => matches!(other, Reading::Unsupported | Reading::Absent),
        }
    }

    /// Adds `driver.nvml.*` and `driver.cuda.*`.
    pub(super) fn add_driver(&self, part: &mut PartBuilder<'_>) {
        let Reading::Known(answers) = &self.answers else {
            for prefix in ["driver.nvml.", "driver.cuda."] {
                fill(part, facts::DRIVER, prefix, &reason(&self.answers), SOURCE);
            }
            return;
        };
        let system = answers.system();
        let text = |call: &str| answers.initialised().and_then(|()| system.text(call));
        let number = |call: &str, member: &str| answers.initialised().and_then(|()| system.number(call, &[], member));
        let (driver, version) = ("nvmlSystemGetDriverVersion", "nvmlSystemGetNVMLVersion");
        let (cuda, confidential) = ("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetConfComputeState");
        part.fact("driver.nvml.driver_version", text(driver), driver)
            .fact("driver.nvml.version", text(version), version)
            .fact(
                "driver.nvml.cuda_version",
                number(cuda, "").map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
                cuda,
            )
            .fact("driver.nvml.device_count", answers.device_count(), "nvmlDeviceGetCount_v2")
            .fact(
                "driver.nvml.confidential_compute",
                number(confidential, "ccFeature").map(|on| if on == 0 { "off" } else { "on" }),
                confidential,
            )
            .fact("driver.nvml.gave_up", answers.gave_up(), SOURCE);
        let simulated = match answers.loaded() {
            Reading::Known(()) => system.get("dlsym yanji_virtual_driver", &[]).and_then(json_bool),
            Reading::Unsupported => Reading::Absent,
            other => reason(&other),
        };
        part.fact("driver.nvml.simulated", simulated, "yanji_virtual_driver");
        for (scope, file) in [("nvml", nvml::NVML_LIBRARY), ("cuda", nvml::CUDA_LIBRARY)] {
            let library = answers.library(file);
            for member in ["path", "sha256", "build_id"] {
                let text = library.as_ref().and_then(|library| member_text(library, member));
                part.fact(&format!("driver.{scope}.library_{member}"), text, file);
            }
        }
    }

    /// Adds `gpu.nvml.*` to the NVIDIA GPUs at those addresses, and to GPUs that only NVML has.
    pub(super) fn add_gpus(&self, known: &[String], out: &mut EvidenceBuilder) {
        let counted = self.answers.as_ref().and_then(Answers::device_count);
        let (Reading::Known(answers), Reading::Known(count)) = (&self.answers, &counted) else {
            for address in known {
                fill(&mut out.part("gpu", &format!("gpu:{address}")), facts::GPU, PREFIX, &reason(&counted), SOURCE);
            }
            return;
        };
        let addresses: BTreeMap<u32, String> = answers
            .devices()
            .filter_map(|(number, device)| Some((number, address(&device.first).into_known()?)))
            .collect();
        for (number, device) in answers.devices() {
            let id = addresses.get(&number).map_or_else(|| format!("gpu:{number}"), |it| format!("gpu:{it}"));
            add(number, device, &addresses, &mut out.part("gpu", &id));
        }
        let unlisted: Reading<Value> = if addresses.len() as u64 == *count {
            Reading::Absent
        } else {
            Reading::Failed("NVML lists GPUs whose address could not be read".to_owned())
        };
        for address in known.iter().filter(|address| addresses.values().all(|listed| listed != *address)) {
            fill(&mut out.part("gpu", &format!("gpu:{address}")), facts::GPU, PREFIX, &unlisted, SOURCE);
        }
    }
}

/// Adds all facts of one GPU.
fn add(number: u32, device: &Device, addresses: &BTreeMap<u32, String>, part: &mut PartBuilder<'_>) {
    let calls = &device.first;
    let handle = "nvmlDeviceGetHandleByIndex_v2";
    part.fact("gpu.nvml.index", number, handle);
    let lost =
        if calls.lost() || device.second.lost() { Reading::Known(true) } else { calls.get(handle, &[]).map(|_| false) };
    part.fact("gpu.nvml.lost", lost, SOURCE);
    if let other @ (Reading::Absent | Reading::Denied | Reading::Unsupported | Reading::Failed(_)) =
        calls.get(handle, &[])
    {
        fill(part, facts::GPU, PREFIX, &reason(&other), handle);
        return;
    }
    part.fact("gpu.nvml.unstable", unstable(device), SOURCE);
    for (path, call) in TEXTS {
        part.fact(path, calls.text(call), *call);
    }
    for (path, call, args, member, unit) in NUMBERS {
        let number = calls.number(call, args, member).map(|number| number / unit);
        part.fact(&format!("{PREFIX}{path}"), number, *call);
    }
    for (path, call, member) in BOOLS {
        part.fact(&format!("{PREFIX}{path}"), calls.number(call, &[], member).map(|number| number != 0), *call);
    }
    for (path, call, names) in NAMED {
        let name = calls.number(call, &[], "").and_then(|value| named(value, names));
        part.fact(&format!("{PREFIX}{path}"), name, *call);
    }
    identity(calls, part);
    inforom(calls, part);
    state(calls, part);
    fans(calls, part);
    memory_errors(calls, part);
    links(calls, part);
    peers(number, calls, addresses, part);
    platform(calls, part);
    confidential(calls, part);
    // Everything that NVML has no call for.
    fill(part, facts::GPU, PREFIX, &Reading::Unsupported, SOURCE);
}

/// Low and high half of a PCI id register.
fn ids(calls: &Calls, member: &str) -> [Reading<String>; 2] {
    let register = calls.number("nvmlDeviceGetPciInfo_v3", &[], member);
    [0, 16].map(|shift| register.clone().map(|ids| format!("{:#06x}", ids >> shift & 0xffff)))
}

/// Serial number and board part number: NVML says "not supported" of boards that have none.
fn board_text(calls: &Calls, call: &str) -> Reading<String> {
    match (calls.text(call), calls.is_lacking(call)) {
        (Reading::Unsupported, false) => Reading::Absent,
        (other, _) => other,
    }
}

/// The facts that are read twice.
fn identity_facts(calls: &Calls) -> Vec<(&'static str, Reading<Value>, &'static str)> {
    let pci = "nvmlDeviceGetPciInfo_v3";
    let memory = calls.either("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo");
    let [vendor, device] = ids(calls, "pciDeviceId");
    let [subsystem_vendor, subsystem_device] = ids(calls, "pciSubSystemId");
    let (serial, board) = ("nvmlDeviceGetSerial", "nvmlDeviceGetBoardPartNumber");
    let vbios = "nvmlDeviceGetVbiosVersion";
    vec![
        ("gpu.nvml.name", calls.text("nvmlDeviceGetName").value(), "nvmlDeviceGetName"),
        ("gpu.nvml.uuid", calls.text("nvmlDeviceGetUUID").value(), "nvmlDeviceGetUUID"),
        ("gpu.nvml.serial", board_text(calls, serial).value(), serial),
        ("gpu.nvml.board_part_number", board_text(calls, board).value(), board),
        ("gpu.nvml.vbios_version", calls.text(vbios).map(|text| text.to_ascii_uppercase()).value(), vbios),
        ("gpu.nvml.pci.address", address(calls).value(), pci),
        ("gpu.nvml.pci.vendor_id", vendor.value(), pci),
        ("gpu.nvml.pci.device_id", device.value(), pci),
        ("gpu.nvml.pci.subsystem_vendor_id", subsystem_vendor.value(), pci),
        ("gpu.nvml.pci.subsystem_device_id", subsystem_device.value(), pci),
        ("gpu.nvml.memory.total_mib", calls.number(memory, &[], "total").map(|bytes| bytes / MIB).value(), memory),
    ]
}

/// Facts whose two readings differ. A second reading that did not come is no proof that nothing changed.
fn unstable(device: &Device) -> Reading<Vec<String>> {
    let mut changed = Vec::new();
    let mut unread = None;
    for (first, second) in identity_facts(&device.first).iter().zip(identity_facts(&device.second)) {
        match (&first.1, second.1) {
            (Reading::Known(one), Reading::Known(two)) if *one != two => changed.push(first.0.to_owned()),
            (Reading::Known(_), Reading::Known(_)) => {}
            (one, two) if one.state() == two.state() => {}
            (_, other) => unread = unread.or(Some(other)),
        }
    }
    match unread {
        Some(Reading::Failed(why)) if changed.is_empty() => Reading::Failed(why),
        Some(other) if changed.is_empty() => Reading::Failed(format!("the second reading was {}", other.state())),
        _ => Reading::Known(changed),
    }
}

fn identity(calls: &Calls, part: &mut PartBuilder<'_>) {
    for (path, reading, call) in identity_facts(calls) {
        part.fact(path, reading, call);
    }
    let memory = calls.either("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo");
    let hexadecimal = |call: &str, digits: usize| {
        calls.number(call, &[], "").map(|number| format!("{number:#0width$x}", width = digits + 2))
    };
    let (pdi, board) = ("nvmlDeviceGetPdi", "nvmlDeviceGetBoardId");
    let compute = "nvmlDeviceGetCudaComputeCapability";
    let capability = calls.get(compute, &[]).and_then(|it| {
        let minor = json_number(it, "minor");
        json_number(it, "major").and_then(|major| minor.map(|minor| format!("{major}.{minor}")))
    });
    part.fact("gpu.nvml.memory.used_mib", calls.number(memory, &[], "used").map(|bytes| bytes / MIB), memory)
        .fact("gpu.nvml.pdi", hexadecimal(pdi, 16), pdi)
        .fact("gpu.nvml.board_id", hexadecimal(board, 1), board)
        .fact("gpu.nvml.compute_capability", capability, compute);
}

fn inforom(calls: &Calls, part: &mut PartBuilder<'_>) {
    let call = "nvmlDeviceGetInforomVersion";
    for (object, path) in [(0, "oem"), (1, "ecc"), (2, "power")] {
        part.fact(&format!("gpu.nvml.inforom.{path}"), calls.text_of(call, &[object]), call);
    }
    let call = "nvmlDeviceValidateInforom";
    let valid = if calls.inforom_corrupted(call) { Reading::Known(false) } else { calls.get(call, &[]).map(|_| true) };
    part.fact("gpu.nvml.inforom.valid", valid, call);
    let call = "nvmlDeviceGetInforomConfigurationChecksum";
    part.fact("gpu.nvml.inforom.checksum", calls.number(call, &[], "").map(|sum| format!("{sum:#010x}")), call);
}

fn state(calls: &Calls, part: &mut PartBuilder<'_>) {
    let call = calls.either("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons");
    let reasons = calls.number(call, &[], "").map(|bits| {
        let set = (0..64).filter(|bit| bits >> bit & 1 != 0);
        let name = |bit: u64| match nvml::THROTTLE_REASONS.get(bit as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("{:#x}", 1u64 << bit),
        };
        set.map(name).collect::<Vec<_>>()
    });
    part.fact("gpu.nvml.clock.throttle_reasons", reasons, call);
    let call = "nvmlDeviceGetPerformanceState";
    let state = calls.number(call, &[], "").and_then(|state| match state {
        0..=15 => Reading::Known(format!("P{state}")),
        // NVML_PSTATE_UNKNOWN
        32 => Reading::Unsupported,
        _ => Reading::Failed(format!("state {state} has no name here")),
    });
    part.fact("gpu.nvml.performance_state", state, call);
    let call = "nvmlDeviceGetLastBBXFlushTime";
    part.fact("gpu.nvml.bbx_flush_time", calls.number(call, &[], "timestamp").and_then(time), call);
    let call = "nvmlDeviceGetMigDeviceHandleByIndex";
    let partitions = calls.number("nvmlDeviceGetMigMode", &[], "current").and_then(|enabled| match enabled {
        0 => Reading::Known(0),
        // How many were asked about is known of a GPU that was read to its end only.
        _ => calls
            .get("end", &[])
            .map(|_| calls.all(call).filter(|(_, found)| matches!(found, Reading::Known(_))).count()),
    });
    part.fact("gpu.nvml.mig.devices", partitions, call);
}

/// NVML does not say in which unit it counts from 1970; a time of this century tells.
fn time(timestamp: u64) -> Reading<String> {
    let mut seconds = timestamp;
    while seconds > 100_000_000_000 {
        seconds /= 1000;
    }
    if seconds == 0 {
        return Reading::Absent;
    }
    match jiff::Timestamp::from_second(seconds as i64) {
        Ok(time) => Reading::Known(time.to_string()),
        Err(_) => Reading::Failed(format!("{timestamp} is no time")),
    }
}

fn fans(calls: &Calls, part: &mut PartBuilder<'_>) {
    let count = "nvmlDeviceGetNumFans";
    let fans = calls.number(count, &[], "");
    for (path, call) in [
        ("gpu.nvml.fan.speed_percent", "nvmlDeviceGetFanSpeed_v2"),
        ("gpu.nvml.fan.speed_rpm", "nvmlDeviceGetFanSpeedRPM"),
    ] {
        let speeds =
            fans.clone().and_then(|count| numbers((0..count.min(MAX_FANS)).map(|fan| calls.get(call, &[fan]))));
        part.fact(path, speeds, call);
    }
    let call = "nvmlDeviceGetMinMaxFanSpeed";
    for (path, member) in [("gpu.nvml.fan.min_percent", "min"), ("gpu.nvml.fan.max_percent", "max")] {
        let limit = match fans {
            Reading::Known(1..) => calls.number(call, &[], member),
            Reading::Known(_) => Reading::Absent,
            ref other => reason(other),
        };
        part.fact(path, limit, call);
    }
}

/// All numbers, or the first reason why there is none.
fn numbers<'a>(readings: impl Iterator<Item = Reading<&'a Json>>) -> Reading<Vec<u64>> {
    let mut numbers = Vec::new();
    for reading in readings {
        match reading.and_then(|value| json_number(value, "")) {
            Reading::Known(number) => numbers.push(number),
            other => return reason(&other),
        }
    }
    Reading::Known(numbers)
}

fn memory_errors(calls: &Calls, part: &mut PartBuilder<'_>) {
    let call = "nvmlDeviceGetMemoryErrorCounter";
    let mut counters = Vec::new();
    let (mut answered, mut failed) = (false, None);
    let locations = (0..).zip(nvml::MEMORY_LOCATIONS);
    let kinds = [("volatile", 0, "corrected", 0), ("volatile", 0, "uncorrected", 1)]
        .into_iter()
        .chain([("aggregate", 1, "corrected", 0), ("aggregate", 1, "uncorrected", 1)]);
    for (counter_name, counter, kind_name, kind) in kinds {
        for (location, location_name) in locations.clone() {
            match calls.number(call, &[kind, counter, location], "") {
                Reading::Known(count) => {
                    answered = true;
                    if count > 0 {
                        counters.push(format!("{counter_name} {kind_name} {location_name} {count}"));
                    }
                }
                // Each chip has some of the locations.
                Reading::Unsupported => {}
                other => failed = failed.or(Some(other)),
            }
        }
    }
    let by_location = match failed {
        Some(other) => reason(&other),
        None if answered => Reading::Known(counters),
        None => Reading::Unsupported,
    };
    part.fact("gpu.nvml.ecc.by_location", by_location, call);
    let call = "nvmlDeviceGetSramEccErrorStatus";
    let sum = calls
        .number(call, &[], "aggregateUncParity")
        .and_then(|parity| calls.number(call, &[], "aggregateUncSecDed").map(|sec_ded| parity.saturating_add(sec_ded)));
    part.fact("gpu.nvml.sram.aggregate_uncorrected", sum, call);
}

fn links(calls: &Calls, part: &mut PartBuilder<'_>) {
    let call = "nvmlDeviceGetNvLinkState";
    let states: Vec<(u64, Reading<u64>)> = calls
        .all(call)
        .filter_map(|(args, state)| Some((*args.first()?, state.and_then(|it| json_number(it, "")))))
        .collect();
    // Links that the chip does not have, at the end of the list or between others.
    let existing: Vec<&(u64, Reading<u64>)> = states
        .iter()
        .filter(|(_, state)| !matches!(state, Reading::Unsupported) && !is_invalid_argument(state))
        .collect();
    let unread = existing.iter().find(|(_, state)| !matches!(state, Reading::Known(_)));
    let gap = states.iter().zip(0..).any(|((link, _), expected)| *link != expected);
    let seen: Reading<()> = match (unread, states.first()) {
        _ if gap => Reading::Failed("answers are missing".to_owned()),
        (Some((_, other)), _) => reason(other),
        (None, Some((_, first))) if existing.is_empty() => {
            reason(&first.clone().and_then(|_| Reading::<u64>::Unsupported))
        }
        (None, Some(_)) => Reading::Known(()),
        (None, None) => calls.get(call, &[0]).map(|_| ()),
    };
    let with = |up: bool| existing.iter().filter(move |(_, state)| *state == Reading::Known(u64::from(up)));
    let counted = calls.number("nvmlDeviceGetFieldValues", &[LINK_COUNT], "");
    let (count, source) = match counted {
        Reading::Known(count) => (Reading::Known(count), "nvmlDeviceGetFieldValues"),
        _ => (seen.clone().map(|()| existing.len() as u64), call),
    };
    // Links that come later were not asked about.
    let seen = seen.and_then(|()| calls.get("end", &[]).map(|_| ()));
    let count = if source == call { seen.clone().and_then(|()| count) } else { count };
    // A GPU without links has none that is down.
    let seen = if count == Reading::Known(0) { Reading::Known(()) } else { seen };
    part.fact("gpu.nvml.nvlink.links", count, source)
        .fact("gpu.nvml.nvlink.active", seen.clone().map(|()| with(true).count()), call)
        .fact(
            "gpu.nvml.nvlink.inactive",
            seen.clone().map(|()| with(false).map(|(link, _)| *link).collect::<Vec<_>>()),
            call,
        );
    let call = "nvmlDeviceGetNvLinkVersion";
    let versions = seen.clone().and_then(|()| {
        texts(existing.iter().map(|(link, _)| {
            calls.number(call, &[*link], "").and_then(|version| named(version, nvml::NVLINK_VERSIONS))
        }))
    });
    part.fact("gpu.nvml.nvlink.versions", versions, call);
    let call = "nvmlDeviceGetNvLinkRemotePciInfo_v2";
    let remotes =
        seen.clone().and_then(|()| texts(with(true).map(|(link, _)| calls.get(call, &[*link]).and_then(pci_address))));
    part.fact("gpu.nvml.nvlink.remotes", remotes, call);
    let call = "nvmlDeviceGetNvLinkErrorCounter";
    let counters = existing.iter().flat_map(|(link, _)| (0..4).map(|counter| calls.get(call, &[*link, counter])));
    let errors = seen.and_then(|()| numbers(counters));
    part.fact("gpu.nvml.nvlink.errors", errors.map(|counts| counts.into_iter().fold(0, u64::saturating_add)), call);
}

fn is_invalid_argument<T>(reading: &Reading<T>) -> bool {
    matches!(reading, Reading::Failed(why) if why == "NVML_ERROR_INVALID_ARGUMENT")
}

/// All texts, or the first reason why there is none.
fn texts(readings: impl Iterator<Item = Reading<String>>) -> Reading<Vec<String>> {
    let mut texts = Vec::new();
    for reading in readings {
        match reading {
            Reading::Known(text) => texts.push(text),
            other => return reason(&other),
        }
    }
    Reading::Known(texts)
}

fn peers(number: u32, calls: &Calls, addresses: &BTreeMap<u32, String>, part: &mut PartBuilder<'_>) {
    let call = "nvmlDeviceGetP2PStatus";
    let others = addresses.iter().filter(|(other, _)| **other != number);
    let states = texts(others.map(|(other, address)| {
        let state = calls.number(call, &[u64::from(*other), 0], "");
        state.and_then(|state| named(state, nvml::P2P_STATES)).map(|state| format!("{address} {state}"))
    }));
    let states = if addresses.len() > nvml::MAX_P2P_DEVICES {
        Reading::Failed(format!("not asked of more than {} GPUs", nvml::MAX_P2P_DEVICES))
    } else {
        states
    };
    part.fact("gpu.nvml.p2p", states, call);
}

fn platform(calls: &Calls, part: &mut PartBuilder<'_>) {
    let call = calls.either("nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetGpuFabricInfoV 2");
    let source = "nvmlDeviceGetGpuFabricInfoV";
    let state = calls.number(call, &[], "state").and_then(|state| named(state, nvml::FABRIC_STATES));
    let completed = state.as_ref().and_then(|state| match state.as_str() {
        "completed" => Reading::Known(()),
        // Nothing was registered anywhere.
        _ => Reading::Absent,
    });
    let member = |name: &'static str| completed.clone().and_then(|()| calls.number(call, &[], name));
    let status = member("status").map(|code| match code {
        0 => "ok".to_owned(),
        code => nvml::error_name(code as u32),
    });
    let cluster = completed.clone().and_then(|()| calls.get(call, &[])).and_then(|it| member_text(it, "clusterUuid"));
    let cluster = cluster.and_then(|digits| match digits.len() {
        32 if digits.bytes().all(|digit| digit == b'0') => Reading::Absent,
        32 if digits.is_ascii() => {
            Reading::Known([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
        }
        _ => Reading::Failed("not a UUID".to_owned()),
    });
    part.fact("gpu.nvml.fabric.state", state, source)
        .fact("gpu.nvml.fabric.status", status, source)
        .fact("gpu.nvml.fabric.cluster_uuid", cluster, source)
        .fact("gpu.nvml.fabric.clique_id", member("cliqueId"), source);
    let call = "nvmlDeviceGetPlatformInfo";
    let serial = calls.get(call, &[]).and_then(|it| member_text(it, "chassisSerialNumber"));
    part.fact("gpu.nvml.platform.chassis_serial", serial, call);
}

/// Digests of what the GPU gave for attestation, and what that says.
fn confidential(calls: &Calls, part: &mut PartBuilder<'_>) {
    let attestation = Attestation::of(calls);
    let digest = |bytes: &Reading<Vec<u8>>| bytes.as_ref().map(|bytes| Digest::of(bytes).to_string());
    let (certificate, report) =
        ("nvmlDeviceGetConfComputeGpuCertificate", "nvmlDeviceGetConfComputeGpuAttestationReport");
    part.fact("gpu.nvml.confidential_compute.certificate_sha256", digest(&attestation.chain), certificate).fact(
        "gpu.nvml.confidential_compute.report_sha256",
        digest(&attestation.report),
        report,
    );
    let architecture = calls.number("nvmlDeviceGetArchitecture", &[], "");
    super::attestation::add(&attestation, &architecture, part);
}

fn json_bool(value: &Json) -> Reading<bool> {
    value.as_bool().map_or_else(|| Reading::Failed("neither true nor false".to_owned()), Reading::Known)
}
