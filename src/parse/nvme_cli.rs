//! JSON of nvme-cli 1 and 2: `nvme smart-log -o json`, `nvme id-ctrl -o json` and `nvme list -o json`.

use serde_json::Value as Json;

use super::drive_report::DriveReport;
use super::smartctl::{NVME_DATA_UNIT_BYTES, number};
use crate::evidence::Reading;

/// Drives that are read of one list.
const MAX_DRIVES: usize = 512;

const HEALTH: &[(&str, &[&str])] = &[
    ("drive.smart.power_on_hours", &["power_on_hours"]),
    ("drive.smart.power_cycles", &["power_cycles"]),
    ("drive.smart.percentage_used", &["percent_used", "percentage_used"]),
    ("drive.smart.data_units_written", &["data_units_written"]),
    ("drive.smart.data_units_read", &["data_units_read"]),
    ("drive.smart.available_spare_percent", &["avail_spare", "available_spare"]),
    ("drive.smart.spare_threshold_percent", &["spare_thresh"]),
    ("drive.smart.media_errors", &["media_errors"]),
    ("drive.smart.unsafe_shutdowns", &["unsafe_shutdowns"]),
    ("drive.smart.error_log_entries", &["num_err_log_entries"]),
    ("drive.smart.controller_busy_minutes", &["controller_busy_time"]),
];

/// The drives of one document, and what printed it. `None` where it is none of the three.
pub fn read(json: &Json) -> Option<(&'static str, Vec<DriveReport>)> {
    let has = |names: &[&str]| names.iter().all(|name| json.get(name).is_some());
    if has(&["data_units_written", "power_on_hours"]) {
        Some(("nvme smart-log", vec![smart_log(json)]))
    } else if has(&["vid", "sn", "mn"]) {
        Some(("nvme id-ctrl", vec![identify(json)]))
    } else if json.get("Devices").is_some_and(Json::is_array) {
        Some(("nvme list", list(json)))
    } else {
        None
    }
}

fn smart_log(json: &Json) -> DriveReport {
    let mut report = DriveReport::default();
    report.text("drive.smart.protocol", "NVMe");
    for (path, names) in HEALTH {
        if let Some(reading) = names.iter().find_map(|name| number(json.get(name)?)) {
            report.number(path, reading);
        }
    }
    // Newer versions print the bits one by one, with their sum.
    let warning = json.get("critical_warning").map(|it| it.get("value").unwrap_or(it)).and_then(number);
    if let Some(warning) = warning {
        report.set("drive.smart.passed", warning.as_ref().map(|bits| *bits == 0).into());
        report.number("drive.smart.critical_warning", warning);
    }
    if let Some(units) = report.integer("drive.smart.data_units_written") {
        report.written(units, NVME_DATA_UNIT_BYTES);
    }
    report
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn identify(json: &Json) -> DriveReport {
    let mut report = DriveReport::default();
    report.text("drive.smart.protocol", "NVMe");
    for (paths, name) in [
        (["drive.smart.serial", "drive.nvme.serial"], "sn"),
        (["drive.smart.model", "drive.nvme.model"], "mn"),
        (["drive.smart.firmware", "drive.nvme.firmware"], "fr"),
    ] {
        for path in paths {
            report.text(path, text(json, name));
        }
    }
    for (path, name, digits) in [
        ("drive.nvme.vendor_id", "vid", 4),
        ("drive.nvme.subsystem_vendor_id", "ssvid", 4),
        ("drive.nvme.ieee_oui", "ieee", 6),
    ] {
        match json.get(name).and_then(number) {
            Some(Reading::Known(id)) if id >> (4 * digits) == 0 => {
                let prefix = if digits == 4 { "0x" } else { "" };
                report.text(path, &format!("{prefix}{id:0digits$x}"));
            }
            Some(_) => report.set(path, Reading::Failed("not an id".to_owned())),
            None => {}
        }
    }
    if let Some(bytes) = json.get("tnvmcap").and_then(number).filter(|it| it.known() != Some(&0)) {
        report.number("drive.smart.capacity_bytes", bytes);
    }
    report
}

fn list(json: &Json) -> Vec<DriveReport> {
    let items = |json: &Json, name: &str| json.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    let mut drives = Vec::new();
    for device in items(json, "Devices") {
        if device.get("DevicePath").is_some() {
            drives.push(listed(&device, text(&device, "DevicePath"), &device));
        }
        // nvme-cli 2.11 and later: hosts, subsystems, controllers, namespaces.
        for subsystem in items(&device, "Subsystems") {
            let shared = items(&subsystem, "Namespaces");
            for controller in items(&subsystem, "Controllers") {
                let own = items(&controller, "Namespaces");
                let namespace = own.first().or(shared.first()).cloned().unwrap_or_default();
                drives.push(listed(&controller, text(&controller, "Controller"), &namespace));
            }
        }
        if drives.len() >= MAX_DRIVES {
            break;
        }
    }
    drives.truncate(MAX_DRIVES);
    drives
}

fn listed(controller: &Json, device: &str, namespace: &Json) -> DriveReport {
    let name = device.rsplit('/').next().filter(|name| !name.is_empty() && name.len() <= 64);
    let mut report = DriveReport::of(name.map(str::to_owned));
    report.text("drive.smart.protocol", "NVMe");
    report.text("drive.smart.model", text(controller, "ModelNumber"));
    report.text("drive.smart.serial", text(controller, "SerialNumber"));
    report.text("drive.smart.firmware", text(controller, "Firmware"));
    for (path, name) in
        [("drive.smart.capacity_bytes", "PhysicalSize"), ("drive.smart.logical_sector_bytes", "SectorSize")]
    {
        if let Some(reading) = namespace.get(name).and_then(number) {
            report.number(path, reading);
        }
    }
    report
}
