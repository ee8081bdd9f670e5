//! JSON of `smartctl -j -x` and `smartctl -j -l farm` (smartmontools 7.0 and later, JSON format version 1; the FARM log
//! since 7.4).
//!
//! Units: NVMe data units are 512,000 bytes (NVM Express Base Specification 2.0, 5.16.1.3); ATA device statistics count
//! logical sectors (ACS-4, 9.5.4); SCSI error counter logs print 10^9 bytes; the FARM log counts writing in seconds a
//! head.

use serde_json::Value as Json;

use super::drive_report::DriveReport;
use super::farm;
use crate::evidence::Reading;

/// Bytes of an NVMe data unit.
pub const NVME_DATA_UNIT_BYTES: u64 = 512_000;
/// Attributes and statistics that are looked at; a drive has 30 of each.
const MAX_ENTRIES: usize = 1024;
/// Results of self-tests that a SCSI drive keeps (SPC-5, 7.3.14).
const SCSI_SELF_TESTS: usize = 20;

const TEXTS: &[(&str, &[&str])] = &[
    ("drive.smart.model", &["/model_name", "/scsi_model_name"]),
    ("drive.smart.serial", &["/serial_number"]),
    ("drive.smart.firmware", &["/firmware_version", "/scsi_revision", "/revision"]),
    ("drive.smart.form_factor", &["/form_factor/name"]),
];

const NUMBERS: &[(&str, &[&str])] = &[
    ("drive.smart.power_on_hours", &["/power_on_time/hours", "/nvme_smart_health_information_log/power_on_hours"]),
    (
        "drive.smart.power_cycles",
        &[
            "/power_cycle_count",
            "/nvme_smart_health_information_log/power_cycles",
            "/scsi_start_stop_cycle_counter/accumulated_start_stop_cycles",
        ],
    ),
    (
        "drive.smart.percentage_used",
        &[
            "/nvme_smart_health_information_log/percentage_used",
            "/scsi_percentage_used_endurance_indicator",
            "/endurance_used/current_percent",
        ],
    ),
    ("drive.smart.capacity_bytes", &["/user_capacity/bytes", "/nvme_total_capacity", "/nvme_namespaces/0/size/bytes"]),
    ("drive.smart.logical_sector_bytes", &["/logical_block_size", "/nvme_namespaces/0/formatted_lba_size"]),
    ("drive.smart.physical_sector_bytes", &["/physical_block_size"]),
    ("drive.smart.rotation_rpm", &["/rotation_rate"]),
    ("drive.smart.start_stops", &["/scsi_start_stop_cycle_counter/accumulated_start_stop_cycles"]),
    ("drive.smart.load_cycles", &["/scsi_start_stop_cycle_counter/accumulated_load_unload_cycles"]),
    ("drive.smart.reallocated", &["/scsi_grown_defect_list"]),
    ("drive.smart.pending", &["/scsi_pending_defects/count"]),
    ("drive.smart.uncorrectable", &["/scsi_error_counter_log/read/total_uncorrected_errors"]),
    ("drive.smart.non_medium_errors", &["/scsi_non_medium_errors/count", "/non_medium_error_count"]),
    ("drive.smart.data_units_written", &["/nvme_smart_health_information_log/data_units_written"]),
    ("drive.smart.data_units_read", &["/nvme_smart_health_information_log/data_units_read"]),
    ("drive.smart.available_spare_percent", &["/nvme_smart_health_information_log/available_spare"]),
    ("drive.smart.spare_threshold_percent", &["/nvme_smart_health_information_log/available_spare_threshold"]),
    ("drive.smart.media_errors", &["/nvme_smart_health_information_log/media_errors"]),
    ("drive.smart.unsafe_shutdowns", &["/nvme_smart_health_information_log/unsafe_shutdowns"]),
    ("drive.smart.error_log_entries", &["/nvme_smart_health_information_log/num_err_log_entries"]),
    ("drive.smart.critical_warning", &["/nvme_smart_health_information_log/critical_warning"]),
    ("drive.smart.controller_busy_minutes", &["/nvme_smart_health_information_log/controller_busy_time"]),
];

/// Reads the output. `Denied` when smartctl was not allowed to open the drive; `Failed` with its message when it could
/// not, or when this is not its JSON.
pub fn parse(output: &[u8]) -> Reading<DriveReport> {
    match serde_json::from_slice(output) {
        Ok(json) => report(&json),
        Err(error) => Reading::Failed(format!("not the JSON of smartctl: {error}")),
    }
}

/// Whether this is a document that smartctl made.
pub fn recognise(json: &Json) -> bool {
    ["smartctl", "device", "seagate_farm_log"].iter().any(|name| json.get(name).is_some_and(Json::is_object))
}

/// Reads one document. Readings as [`parse`] gives them.
pub fn report(json: &Json) -> Reading<DriveReport> {
    if !recognise(json) {
        return Reading::Failed("not the JSON of smartctl".to_owned());
    }
    // Bit 0: the command line; bit 1: the drive could not be opened.
    let status = json.pointer("/smartctl/exit_status").and_then(Json::as_u64).unwrap_or(0);
    let names = ["model_name", "scsi_model_name", "seagate_farm_log"];
    if status & 0b11 != 0 && names.iter().all(|name| json.get(name).is_none()) {
        let messages = json.pointer("/smartctl/messages").and_then(Json::as_array);
        let why = messages
            .and_then(|messages| messages.iter().find_map(|message| message.get("string")?.as_str()))
            .unwrap_or("smartctl could not open the drive");
        let refused = why.contains("Permission denied") || why.contains("Operation not permitted");
        return if refused { Reading::Denied } else { Reading::Failed(why.chars().take(200).collect()) };
    }
    let mut report = DriveReport::of(device(json));
    identity(json, &mut report);
    for (path, pointers) in NUMBERS {
        if let Some(reading) = pointers.iter().find_map(|pointer| number(json.pointer(pointer)?)) {
            report.number(path, reading);
        }
    }
    if let Some(passed) = json.pointer("/smart_status/passed").and_then(Json::as_bool) {
        report.set("drive.smart.passed", Reading::Known(passed.into()));
    }
    if let Some(units) = report.integer("drive.smart.data_units_written") {
        report.written(units, NVME_DATA_UNIT_BYTES);
    }
    ata(json, &mut report);
    if let Some(percent) = report.integer("drive.statistics.endurance_used_percent") {
        report.number("drive.smart.percentage_used", Reading::Known(percent));
    }
    scsi(json, &mut report);
    nvme(json, &mut report);
    if let Some(log) = json.get("seagate_farm_log") {
        farm::json(log, &mut report);
    }
    Reading::Known(report)
}

/// Whether the drive has a FARM log that this document does not hold: smartctl 7.4 and later say so.
pub fn offers_farm(output: &[u8]) -> bool {
    let json: Option<Json> = serde_json::from_slice(output).ok();
    json.is_some_and(|json| json.pointer("/seagate_farm_log/supported").and_then(Json::as_bool) == Some(true))
}

/// The device's name without folder; behind a RAID controller, its number there.
fn device(json: &Json) -> Option<String> {
    let kind = json.pointer("/device/type").and_then(Json::as_str).unwrap_or_default();
    let name = json.pointer("/device/name").and_then(Json::as_str)?;
    let behind = kind.split('+').find(|it| it.contains(','));
    let name = behind.unwrap_or_else(|| name.rsplit('/').next().unwrap_or(name));
    (!name.is_empty() && name.len() <= 64).then(|| name.to_owned())
}

fn identity(json: &Json, report: &mut DriveReport) {
    let version = json.pointer("/smartctl/version").and_then(Json::as_array);
    let version: Option<Vec<String>> =
        version.and_then(|numbers| numbers.iter().take(4).map(|it| Some(it.as_u64()?.to_string())).collect());
    report.text("drive.smart.tool_version", &version.unwrap_or_default().join("."));
    for (path, pointers) in TEXTS {
        let found = pointers.iter().find_map(|pointer| json.pointer(pointer)?.as_str());
        report.text(path, found.unwrap_or_default());
    }
    let scsi = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().trim();
    for (vendor, product) in [("scsi_vendor", "scsi_product"), ("vendor", "product")] {
        report.text("drive.smart.model", &format!("{} {}", scsi(vendor), scsi(product)));
    }
    let protocol = json.pointer("/device/protocol").and_then(Json::as_str).unwrap_or_default();
    let sas = json.pointer("/scsi_transport_protocol/name").and_then(Json::as_str);
    let sas = sas.is_some_and(|name| name.starts_with("SAS"));
    report.text("drive.smart.protocol", if protocol == "SCSI" && sas { "SAS" } else { protocol });
    let field = |name: &str| json.pointer(&format!("/wwn/{name}")).and_then(Json::as_u64);
    if let (Some(naa), Some(oui)) = (field("naa"), field("oui")) {
        report.wwn(naa, oui, field("id"));
    } else if let Some(id) = json.get("logical_unit_id").and_then(Json::as_str) {
        wwn_of_text(id, report);
    }
}

/// A world-wide name in one piece: `0x5000c500a277a7cb`.
pub(super) fn wwn_of_text(text: &str, report: &mut DriveReport) {
    let digits = text.trim().trim_start_matches("0x");
    if let (16, Ok(number)) = (digits.len(), u64::from_str_radix(digits, 16)) {
        report.wwn(number >> 60, number >> 36 & 0xff_ffff, Some(number & 0xf_ffff_ffff));
    }
}

/// A number, also one in quotes. `None` where the field is null; `Failed` where it is something else.
pub(super) fn number(json: &Json) -> Option<Reading<u64>> {
    let found = match json {
        Json::Null => return None,
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Some(found.map_or_else(|| Reading::Failed("not a whole number".to_owned()), Reading::Known))
}

fn entries<'a>(json: &'a Json, pointer: &str) -> impl Iterator<Item = &'a Json> {
    json.pointer(pointer).and_then(Json::as_array).into_iter().flatten().take(MAX_ENTRIES)
}

fn ata(json: &Json, report: &mut DriveReport) {
    let sector_bytes = json.get("logical_block_size").and_then(Json::as_u64).unwrap_or(512);
    // The statistics come first: where both count sectors, theirs are standardised.
    for page in entries(json, "/ata_device_statistics/pages") {
        for entry in entries(page, "/table") {
            let flag = |name: &str| entry.pointer(&format!("/flags/{name}")).and_then(Json::as_bool);
            let name = entry.get("name").and_then(Json::as_str);
            let value = entry.get("value").and_then(Json::as_u64);
            if let (Some(name), Some(value), true) = (name, value, flag("valid") != Some(false)) {
                report.statistic(name, value, flag("normalized") == Some(true), sector_bytes);
            }
        }
    }
    for attribute in entries(json, "/ata_smart_attributes/table") {
        let Some(id) = attribute.get("id").and_then(Json::as_u64) else { continue };
        let name = attribute.get("name").and_then(Json::as_str).unwrap_or_default();
        let value = attribute.pointer("/raw/value").and_then(Json::as_u64).map(|value| value.to_string());
        let text = attribute.pointer("/raw/string").and_then(Json::as_str);
        let Some(raw) = text.or(value.as_deref()) else { continue };
        report.attribute(id, name, raw, sector_bytes);
    }
    let mut tests: Option<Vec<u64>> = None;
    let mut errors: Option<(u64, Vec<u64>)> = None;
    for log in ["extended", "standard", "summary"] {
        if let Some(found) = json.pointer(&format!("/ata_smart_self_test_log/{log}")) {
            tests.get_or_insert_default().extend(hours(found, "/lifetime_hours"));
        }
        if let Some(found) = json.pointer(&format!("/ata_smart_error_log/{log}")) {
            let (count, listed) = errors.get_or_insert_default();
            *count = (*count).max(found.get("count").and_then(Json::as_u64).unwrap_or(0));
            listed.extend(hours(found, "/lifetime_hours"));
        }
    }
    if let Some(tests) = tests {
        report.self_tests(&tests);
    }
    if let Some((count, listed)) = errors {
        report.error_log(count, &listed);
    }
}

/// The hours in the table of a log.
fn hours(log: &Json, pointer: &str) -> Vec<u64> {
    entries(log, "/table").filter_map(|entry| entry.pointer(pointer)?.as_u64()).collect()
}

fn scsi(json: &Json, report: &mut DriveReport) {
    let gigabytes = json.pointer("/scsi_error_counter_log/write/gigabytes_processed");
    let gigabytes = gigabytes.and_then(|it| it.as_str().and_then(|text| text.parse().ok()).or_else(|| it.as_f64()));
    if let Some(gigabytes) = gigabytes.filter(|it| (0.0..1e9).contains(it)) {
        report.written((gigabytes * 1e9) as u64, 1);
    }
    let made = |name: &str| {
        let field = json.pointer(&format!("/scsi_start_stop_cycle_counter/{name}_of_manufacture"))?;
        field.as_str().filter(|text| !text.is_empty() && text.len() <= 4)
    };
    if let (Some(year), Some(week)) = (made("year"), made("week")) {
        report.text("drive.smart.manufactured", &format!("{year}-W{week}"));
    }
    let tests: Vec<&Json> = (0..SCSI_SELF_TESTS).filter_map(|it| json.get(format!("scsi_self_test_{it}"))).collect();
    if !tests.is_empty() {
        let hours: Vec<u64> = tests.iter().filter_map(|test| test.pointer("/power_on_time/hours")?.as_u64()).collect();
        report.self_tests(&hours);
    }
}

fn nvme(json: &Json, report: &mut DriveReport) {
    for (path, name) in [("drive.nvme.vendor_id", "id"), ("drive.nvme.subsystem_vendor_id", "subsystem_id")] {
        let id = json.pointer(&format!("/nvme_pci_vendor/{name}")).and_then(Json::as_u64);
        if let Some(id) = id.filter(|id| *id <= 0xffff) {
            report.text(path, &format!("{id:#06x}"));
        }
    }
    if let Some(oui) = json.get("nvme_ieee_oui_identifier").and_then(Json::as_u64).filter(|it| *it <= 0xff_ffff) {
        report.text("drive.nvme.ieee_oui", &format!("{oui:06x}"));
    }
    let eui = |name: &str| json.pointer(&format!("/nvme_namespaces/0/eui64/{name}")).and_then(Json::as_u64);
    if let (Some(oui), Some(id)) = (eui("oui"), eui("ext_id")) {
        report.text("drive.nvme.eui64", &format!("{oui:06x}{id:010x}"));
    }
    if let Some(log) = json.get("nvme_self_test_log").filter(|log| log.is_object()) {
        report.self_tests(&hours(log, "/power_on_hours"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refusal_is_told_from_failure() {
        let refused = br#"{"smartctl":{"exit_status":2,"messages":[{"string":"Smartctl open device: /dev/sda failed: Permission denied"}]}}"#;
        assert_eq!(parse(refused), Reading::Denied);
        let failed = br#"{"smartctl":{"exit_status":1,"messages":[{"string":"/dev/sdb: Unknown USB bridge"}]}}"#;
        assert!(matches!(parse(failed), Reading::Failed(why) if why.contains("USB bridge")));
        assert!(matches!(parse(b"smartctl 7.4"), Reading::Failed(_)));
        assert!(matches!(parse(b"{}"), Reading::Failed(_)));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in any::<Vec<u8>>(), value in "[0-9]{1,25}|null|\"x\"|\\[\\]|\\{\\}|-1|1e400") {
            let _ = (parse(&bytes), offers_farm(&bytes));
            let json = format!(
                r#"{{"smartctl":{{"version":{value},"exit_status":{value}}},"model_name":{value},
                "power_on_time":{{"hours":{value}}},"logical_block_size":{value},"wwn":{{"naa":{value},"oui":{value},"id":{value}}},
                "nvme_smart_health_information_log":{{"data_units_written":{value}}},
                "ata_smart_attributes":{{"table":[{value},{{"id":{value},"name":"Head_Flying_Hours","raw":{{"value":{value}}}}}]}},
                "ata_smart_self_test_log":{{"extended":{{"table":[{{"lifetime_hours":{value}}}]}}}},
                "ata_device_statistics":{{"pages":[{{"table":[{value},{{"name":"Logical Sectors Written","value":{value}}}]}}]}},
                "scsi_error_counter_log":{{"write":{{"gigabytes_processed":{value}}}}},
                "seagate_farm_log":{{"page_1_drive_information":{{"poh":{value}}}}}}}"#
            );
            parse(json.as_bytes());
        }
    }
}
