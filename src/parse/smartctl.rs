//! JSON of `smartctl -j -a` (smartmontools 7.0 and later, JSON format version 1).
//!
//! Units: NVMe data units are 512,000 bytes (NVM Express Base Specification 2.0, 5.16.1.3); ATA device statistics count
//! logical sectors (ACS-4, 9.5.4); SCSI error counter logs print 10^9 bytes.

use serde_json::Value as Json;

use crate::evidence::Reading;

/// What smartctl says about one drive. A field that it did not print is `Absent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Smart {
    /// Version of smartctl: `7.4`.
    pub tool_version: Reading<String>,
    /// Whether the drive itself says that it is healthy.
    pub passed: Reading<bool>,
    /// Model.
    pub model: Reading<String>,
    /// Serial number.
    pub serial: Reading<String>,
    /// Firmware revision.
    pub firmware: Reading<String>,
    /// Hours with power.
    pub power_on_hours: Reading<u64>,
    /// Times switched on.
    pub power_cycles: Reading<u64>,
    /// Part of the rated endurance that is used, in percent; may exceed 100.
    pub percentage_used: Reading<u64>,
    /// Bytes that the host has written.
    pub written_bytes: Reading<u64>,
}

/// Reads the output. `Denied` when smartctl was not allowed to open the drive; `Failed` with its message when it could
/// not, or when this is not its JSON.
pub fn parse(output: &[u8]) -> Reading<Smart> {
    let json: Json = match serde_json::from_slice(output) {
        Ok(json) => json,
        Err(error) => return Reading::Failed(format!("not the JSON of smartctl: {error}")),
    };
    if !["smartctl", "device"].iter().any(|name| json.get(name).is_some_and(Json::is_object)) {
        return Reading::Failed("not the JSON of smartctl".to_owned());
    }
    // Bit 0: the command line; bit 1: the drive could not be opened.
    let status = json.pointer("/smartctl/exit_status").and_then(Json::as_u64).unwrap_or(0);
    if status & 0b11 != 0 && json.get("model_name").is_none() && json.get("scsi_model_name").is_none() {
        let messages = json.pointer("/smartctl/messages").and_then(Json::as_array);
        let why = messages
            .and_then(|messages| messages.iter().find_map(|message| message.get("string")?.as_str()))
            .unwrap_or("smartctl could not open the drive");
        let refused = why.contains("Permission denied") || why.contains("Operation not permitted");
        return if refused { Reading::Denied } else { Reading::Failed(why.chars().take(200).collect()) };
    }
    Reading::Known(Smart {
        tool_version: Reading::or_absent(tool_version(&json)),
        passed: Reading::or_absent(json.pointer("/smart_status/passed").and_then(Json::as_bool)),
        model: text(&json, &["/model_name", "/scsi_model_name"]),
        serial: text(&json, &["/serial_number"]),
        firmware: text(&json, &["/firmware_version", "/scsi_revision", "/revision"]),
        power_on_hours: number(&json, &["/power_on_time/hours", "/nvme_smart_health_information_log/power_on_hours"]),
        power_cycles: number(
            &json,
            &[
                "/power_cycle_count",
                "/nvme_smart_health_information_log/power_cycles",
                "/scsi_start_stop_cycle_counter/accumulated_start_stop_cycles",
            ],
        ),
        percentage_used: percentage_used(&json),
        written_bytes: written_bytes(&json),
    })
}

fn percentage_used(json: &Json) -> Reading<u64> {
    let printed = number(
        json,
        &[
            "/nvme_smart_health_information_log/percentage_used",
            "/scsi_percentage_used_endurance_indicator",
            "/endurance_used/current_percent",
        ],
    );
    match printed {
        Reading::Absent => Reading::or_absent(device_statistic(json, "Percentage Used Endurance Indicator")),
        printed => printed,
    }
}

fn tool_version(json: &Json) -> Option<String> {
    let numbers = json.pointer("/smartctl/version")?.as_array()?;
    let numbers: Option<Vec<String>> = numbers.iter().take(4).map(|it| Some(it.as_u64()?.to_string())).collect();
    numbers.map(|numbers| numbers.join(".")).filter(|version| !version.is_empty())
}

fn text(json: &Json, pointers: &[&str]) -> Reading<String> {
    let found = pointers.iter().find_map(|pointer| json.pointer(pointer)?.as_str());
    match found.map(str::trim) {
        None | Some("") => Reading::Absent,
        Some(text) if text.len() > crate::evidence::MAX_TEXT_BYTES => {
            Reading::Failed(format!("text of {} bytes is longer than any field", text.len()))
        }
        Some(text) => Reading::Known(text.to_owned()),
    }
}

fn number(json: &Json, pointers: &[&str]) -> Reading<u64> {
    Reading::or_absent(pointers.iter().find_map(|pointer| json.pointer(pointer)?.as_u64()))
}

fn device_statistic(json: &Json, name: &str) -> Option<u64> {
    let pages = json.pointer("/ata_device_statistics/pages")?.as_array()?;
    let entries = pages.iter().filter_map(|page| page.get("table")?.as_array()).flatten();
    let named = |entry: &&Json| entry.get("name").and_then(Json::as_str) == Some(name);
    let valid = |entry: &&Json| entry.pointer("/flags/valid").and_then(Json::as_bool) != Some(false);
    entries.filter(named).find(valid)?.get("value")?.as_u64()
}

fn ata_attribute(json: &Json, name: &str) -> Option<u64> {
    let table = json.pointer("/ata_smart_attributes/table")?.as_array()?;
    table.iter().find(|it| it.get("name").and_then(Json::as_str) == Some(name))?.pointer("/raw/value")?.as_u64()
}

fn written_bytes(json: &Json) -> Reading<u64> {
    const NVME_DATA_UNIT_BYTES: u64 = 512_000;
    let sector_bytes = json.get("logical_block_size").and_then(Json::as_u64).unwrap_or(512);
    let found = json
        .pointer("/nvme_smart_health_information_log/data_units_written")
        .and_then(Json::as_u64)
        .map(|units| units.checked_mul(NVME_DATA_UNIT_BYTES))
        .or_else(|| device_statistic(json, "Logical Sectors Written").map(|it| it.checked_mul(sector_bytes)))
        .or_else(|| ata_attribute(json, "Total_LBAs_Written").map(|it| it.checked_mul(sector_bytes)))
        .or_else(|| scsi_gigabytes(json).map(Some));
    match found {
        None => Reading::Absent,
        Some(None) => Reading::Failed("more bytes than a number holds".to_owned()),
        Some(Some(bytes)) => Reading::Known(bytes),
    }
}

fn scsi_gigabytes(json: &Json) -> Option<u64> {
    let gigabytes = json.pointer("/scsi_error_counter_log/write/gigabytes_processed")?;
    let gigabytes = gigabytes.as_str().and_then(|text| text.parse::<f64>().ok()).or_else(|| gigabytes.as_f64())?;
    (0.0..1e9).contains(&gigabytes).then_some((gigabytes * 1e9) as u64)
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
            parse(&bytes);
            let json = format!(
                r#"{{"smartctl":{{"version":{value},"exit_status":{value}}},"model_name":{value},
                "power_on_time":{{"hours":{value}}},"logical_block_size":{value},
                "nvme_smart_health_information_log":{{"data_units_written":{value}}},
                "ata_device_statistics":{{"pages":[{{"table":[{value},{{"name":"Logical Sectors Written","value":{value}}}]}}]}},
                "scsi_error_counter_log":{{"write":{{"gigabytes_processed":{value}}}}}}}"#
            );
            parse(json.as_bytes());
        }
    }
}
