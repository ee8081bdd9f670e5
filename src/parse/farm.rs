//! Seagate's Field Access Reliability Metrics log (FARM; ATA GP log A6h, SCSI log page 3Dh/03h) as smartctl 7.4 and later
//! print it: as JSON below `seagate_farm_log`, or as lines of `name: value`.
//!
//! The writing time of each head is in seconds, also where smartctl 7.4 calls it hours. Old firmware leaves garbage in the
//! upper bits of spindle and head-flight hours, and zeros in what it does not count.

use serde_json::Value as Json;

use super::drive_report::{DriveReport, MAX_HOURS, leading_number};
use super::smartctl::number;
use crate::evidence::Reading;

/// The most heads that the log has room for.
const MAX_HEADS: usize = 24;
const SECONDS_AN_HOUR: u64 = 3600;

/// What is read: the fact, the names in JSON (ATA, then SCSI), and the names in text.
struct Field {
    path: &'static str,
    json: &'static [&'static str],
    text: &'static [&'static str],
}

const TEXTS: &[Field] = &[
    Field {
        path: "drive.farm.serial",
        json: &["/page_1_drive_information/serial_number", "/drive_information/serial_number"],
        text: &["serial number"],
    },
    Field {
        path: "drive.farm.interface",
        json: &["/page_1_drive_information/device_interface", "/drive_information/device_interface"],
        text: &["device interface"],
    },
    Field {
        path: "drive.farm.firmware",
        json: &["/page_1_drive_information/firmware_rev", "/drive_information/firmware_rev"],
        text: &["firmware rev"],
    },
    Field {
        path: "drive.farm.model",
        json: &["/page_1_drive_information/model_number", "/drive_information_continued/product_id"],
        text: &["model number", "product id"],
    },
    Field {
        path: "drive.farm.assembly_date",
        json: &[
            "/page_1_drive_information/assembly_date",
            "/page_1_drive_information/date_of_assembly",
            "/drive_information/date_of_assembly",
            "/drive_information/date_of_assembled",
        ],
        text: &["assembly date (yyww)", "date of assembly (yyww)", "date of assembly", "date of assembled"],
    },
];

const NUMBERS: &[Field] = &[
    Field {
        path: "drive.farm.power_on_hours",
        json: &["/page_1_drive_information/poh", "/drive_information/power_on_hour"],
        text: &["power on hours", "power on hour"],
    },
    Field {
        path: "drive.farm.spindle_hours",
        json: &["/page_1_drive_information/spoh"],
        text: &["spindle power on hours"],
    },
    Field {
        path: "drive.farm.head_flight_hours",
        json: &["/page_1_drive_information/head_flight_hours"],
        text: &["head flight hours"],
    },
    Field {
        path: "drive.farm.head_load_events",
        json: &["/page_1_drive_information/head_load_events", "/actuator_information_0/head_load_events"],
        text: &["head load events"],
    },
    Field {
        path: "drive.farm.power_cycles",
        json: &["/page_1_drive_information/power_cycle_count", "/drive_information/power_cycle_count"],
        text: &["power cycle count"],
    },
    Field {
        path: "drive.farm.heads",
        json: &["/page_1_drive_information/number_of_heads", "/drive_information/number_of_heads"],
        text: &["number of heads"],
    },
    Field {
        path: "drive.farm.written_sectors",
        json: &["/page_2_workload_statistics/logical_sectors_written", "/workload_statistics/logical_sectors_written"],
        text: &["logical sectors written"],
    },
    Field {
        path: "drive.farm.reallocated",
        json: &[
            "/page_3_error_statistics/number_of_reallocated_sectors",
            "/actuator_reallocation_information_0/number_of_reallocated_sectors",
        ],
        text: &["number of reallocated sectors"],
    },
];

/// What JSON calls the writing time of head `#`.
const HEADS_JSON: &[&str] = &[
    "/page_5_reliability_statistics/write_workload_power_on_time_by_head_#",
    "/head_information/write_power_on_(hrs)_#",
    "/head_information/write_power_on_(sec)_#",
    "/head_information/write_power_on_hours_#",
];
/// What text calls it.
const HEADS_TEXT: &[&str] = &[
    "write power on (hrs) by head ",
    "write power on (sec) by head ",
    "write power on (hrs) ",
    "write power on (sec) ",
];

/// Reads `seagate_farm_log`.
pub fn json(log: &Json, report: &mut DriveReport) {
    let version = ["/page_0_log_header/farm_log_version", "/log_header/farm_log_version"];
    let version = version.iter().find_map(|pointer| log.pointer(pointer)?.as_array());
    if let Some(numbers) = version {
        let numbers: Option<Vec<String>> = numbers.iter().take(2).map(|it| Some(it.as_u64()?.to_string())).collect();
        report.text("drive.farm.version", &numbers.unwrap_or_default().join("."));
    }
    for field in TEXTS {
        let found = field.json.iter().find_map(|pointer| log.pointer(pointer)?.as_str());
        report.text(field.path, found.unwrap_or_default());
    }
    for pointer in ["/page_1_drive_information/world_wide_name", "/drive_information/world_wide_name"] {
        wwn(log.pointer(pointer).and_then(Json::as_str).unwrap_or_default(), report);
    }
    for field in NUMBERS {
        if let Some(reading) = field.json.iter().find_map(|pointer| number(log.pointer(pointer)?)) {
            counted(field.path, reading, report);
        }
    }
    let seconds: Vec<u64> = (0..MAX_HEADS)
        .map_while(|head| {
            let name = |pointer: &&str| pointer.replace('#', &head.to_string());
            HEADS_JSON.iter().find_map(|pointer| log.pointer(&name(pointer))?.as_u64())
        })
        .collect();
    head_hours(&seconds, report);
}

/// The log as lines of text, fed one after the other.
#[derive(Debug, Default)]
pub struct Lines {
    head_seconds: Vec<u64>,
}

impl Lines {
    /// Whether the log begins at this line. Drives that only say that they have one don't begin it.
    pub fn begin(line: &str) -> bool {
        line.contains("Field Access Reliability Metrics log") && !line.contains("supported")
    }

    /// Reads one line of it.
    pub fn line(&mut self, line: &str, report: &mut DriveReport) {
        let Some((name, value)) = line.split_once(':') else { return };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "farm log version" {
            return report.text("drive.farm.version", value);
        }
        if name == "world wide name" {
            return wwn(value, report);
        }
        if let Some(field) = TEXTS.iter().find(|field| field.text.contains(&&*name)) {
            return report.text(field.path, value);
        }
        if let Some(field) = NUMBERS.iter().find(|field| field.text.contains(&&*name)) {
            let reading =
                leading_number(value).map_or_else(|| Reading::Failed("not a whole number".to_owned()), Reading::Known);
            return counted(field.path, reading, report);
        }
        let head = HEADS_TEXT.iter().find_map(|start| name.strip_prefix(start)?.parse::<usize>().ok());
        if let (Some(head), Some(seconds)) = (head, leading_number(value))
            && head == self.head_seconds.len()
            && head < MAX_HEADS
        {
            self.head_seconds.push(seconds);
        }
    }

    /// Ends the log.
    pub fn finish(self, report: &mut DriveReport) {
        head_hours(&self.head_seconds, report);
    }
}

fn wwn(text: &str, report: &mut DriveReport) {
    let digits = text.trim().trim_start_matches("0x").to_ascii_lowercase();
    if digits.len() == 16 && digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        report.text("drive.farm.wwn", &format!("naa.{digits}"));
    }
}

fn counted(path: &'static str, reading: Reading<u64>, report: &mut DriveReport) {
    if path == "drive.farm.head_flight_hours"
        && let Reading::Known(raw) = reading
    {
        report.number("drive.farm.head_flight_raw", Reading::Known(raw));
    }
    let reading = match reading {
        Reading::Known(hours) if path.ends_with("_hours") && hours > MAX_HOURS => {
            Reading::Failed(format!("{hours} is more hours than a drive can have"))
        }
        other => other,
    };
    report.number(path, reading);
}

/// Hours of writing, head by head. Zeros in all of them mean that the firmware does not count.
fn head_hours(seconds: &[u64], report: &mut DriveReport) {
    if seconds.is_empty() {
        return;
    }
    let reading = if seconds.iter().all(|it| *it == 0) {
        Reading::Absent
    } else {
        let hours: Vec<u64> = seconds.iter().map(|it| it / SECONDS_AN_HOUR).collect();
        if hours.iter().any(|it| *it > MAX_HOURS) {
            Reading::Failed("more hours than a drive can have".to_owned())
        } else {
            Reading::Known(hours.into())
        }
    };
    report.set("drive.farm.head_hours", reading);
}
