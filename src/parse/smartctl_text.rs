//! Text of `smartctl -a`, `-x`, `-Hi`, `-A` and `-l farm` (smartmontools 5 to 7), one output or several behind each other.
//!
//! Each output begins with a banner (`smartctl 7.4 2023-08-01 r5530 …`). One that identifies no drive is about the drive
//! before it: `smartctl -A` behind `smartctl -Hi`.

use super::drive_report::{DriveReport, is_hidden, leading_number};
use super::{farm, plain_text, smartctl};
use crate::evidence::Reading;

/// Drives that are read of one text.
const MAX_DRIVES: usize = 512;
/// Tests and errors that are kept of one log; the largest has 21.
const MAX_LOG: usize = 256;

/// Fields of the form `name: value`, with their names in lower case.
const TEXTS: &[(&str, &[&str])] = &[
    ("drive.smart.model", &["device model", "model number"]),
    ("drive.smart.serial", &["serial number"]),
    ("drive.smart.firmware", &["firmware version", "revision"]),
    ("drive.smart.form_factor", &["form factor"]),
];
const NUMBERS: &[(&str, &[&str])] = &[
    ("drive.smart.capacity_bytes", &["user capacity", "total nvm capacity", "namespace 1 size/capacity"]),
    ("drive.smart.physical_sector_bytes", &["physical block size"]),
    ("drive.smart.logical_sector_bytes", &["logical block size", "namespace 1 formatted lba size"]),
    ("drive.smart.power_on_hours", &["power on hours", "accumulated power on time, hours", "power_on_hours"]),
    ("drive.smart.power_cycles", &["power cycles", "accumulated start-stop cycles"]),
    ("drive.smart.start_stops", &["accumulated start-stop cycles"]),
    ("drive.smart.load_cycles", &["accumulated load-unload cycles"]),
    ("drive.smart.percentage_used", &["percentage used", "percentage used endurance indicator"]),
    ("drive.smart.data_units_written", &["data units written"]),
    ("drive.smart.data_units_read", &["data units read"]),
    ("drive.smart.available_spare_percent", &["available spare"]),
    ("drive.smart.spare_threshold_percent", &["available spare threshold"]),
    ("drive.smart.media_errors", &["media and data integrity errors"]),
    ("drive.smart.unsafe_shutdowns", &["unsafe shutdowns"]),
    ("drive.smart.error_log_entries", &["error information log entries"]),
    ("drive.smart.controller_busy_minutes", &["controller busy time"]),
    ("drive.smart.reallocated", &["elements in grown defect list"]),
    ("drive.smart.non_medium_errors", &["non-medium error count"]),
];

/// Whether smartctl printed some of the text.
pub fn recognise(text: &str) -> bool {
    const MARKS: [&str; 5] = [
        "=== START OF INFORMATION SECTION ===",
        "=== START OF READ SMART DATA SECTION ===",
        "=== START OF SMART DATA SECTION ===",
        "SMART Attributes Data Structure revision number",
        "Field Access Reliability Metrics log",
    ];
    MARKS.iter().any(|mark| plain_text::has(text, mark))
}

/// The drives in the text, in its order.
pub fn parse(text: &str) -> Vec<DriveReport> {
    let mut drives: Vec<DriveReport> = Vec::new();
    let mut output = Output::default();
    let mut named: Option<String> = None;
    for line in text.lines() {
        let line = without_quote(line);
        if line.starts_with("smartctl ") && line.contains('[') || line.contains("START OF INFORMATION SECTION") {
            // The banner and the information section of one output are two marks of one beginning.
            if output.has_data {
                add(&mut drives, std::mem::take(&mut output));
            }
            if let Some(name) = named.take() {
                output.report.device = Some(name);
            }
        } else if let Some(name) = named_device(line) {
            named = Some(name);
            continue;
        }
        output.line(line);
    }
    add(&mut drives, output);
    drives
}

/// Adds an output to the drive that it is about.
fn add(drives: &mut Vec<DriveReport>, output: Output) {
    let report = output.finish();
    if report.is_empty() {
        return;
    }
    let place = match (&report.device, identity(&report)) {
        (Some(device), _) => drives.iter().position(|drive| drive.device.as_ref() == Some(device)),
        (None, Some(serial)) => drives.iter().position(|drive| same_drive(drive, &report, serial)).or_else(|| {
            // A FARM log behind one output is about that drive, even where it gives another serial number: that is what
            // a rule has to see.
            let farm_only = report.known_text("drive.smart.serial").is_none();
            let last = drives.len().checked_sub(1)?;
            (farm_only && identity_of_farm(&drives[last]).is_none()).then_some(last)
        }),
        (None, None) => drives.len().checked_sub(1),
    };
    match place {
        Some(index) => drives[index].absorb(report),
        None if drives.len() < MAX_DRIVES => drives.push(report),
        None => {}
    }
}

fn identity(report: &DriveReport) -> Option<&str> {
    report.known_text("drive.smart.serial").or_else(|| identity_of_farm(report))
}

fn identity_of_farm(report: &DriveReport) -> Option<&str> {
    report.known_text("drive.farm.serial")
}

/// Whether both outputs are of one drive: one serial number, and no two counts of hours that are more than an hour apart,
/// which two drives with one serial number would have.
fn same_drive(drive: &DriveReport, report: &DriveReport, serial: &str) -> bool {
    let hours = |report: &DriveReport| report.integer("drive.smart.power_on_hours");
    let apart = match (hours(drive), hours(report)) {
        (Some(one), Some(other)) => one.abs_diff(other) > 1,
        _ => false,
    };
    let given_once = |path: &str| match (drive.known_text(path), report.known_text(path)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    !is_hidden(serial)
        && identity(drive) == Some(serial)
        && !apart
        && ["drive.smart.model", "drive.smart.firmware", "drive.smart.wwn"].into_iter().all(given_once)
}

/// Without the marks of a quoting mail.
fn without_quote(line: &str) -> &str {
    line.trim_start_matches("> ").trim_end()
}

/// The drive that a command line names: `# smartctl -a -d megaraid,3 /dev/sda`.
fn named_device(line: &str) -> Option<String> {
    let (_, arguments) = line.split_once("smartctl ")?;
    let words: Vec<&str> = arguments.split_whitespace().take(16).collect();
    let path = words.iter().find_map(|word| word.strip_prefix("/dev/"))?;
    let behind = words.windows(2).find(|pair| pair[0] == "-d" && pair[1].contains(',')).map(|pair| pair[1]);
    let name = behind.and_then(|kind| kind.split('+').find(|it| it.contains(','))).unwrap_or(path);
    let name = name.rsplit('/').next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b',' | b'.' | b':');
    (!name.is_empty() && name.len() <= 64 && name.bytes().all(plain)).then(|| name.to_owned())
}

/// Which table the lines belong to.
#[derive(Default, PartialEq)]
enum Section {
    #[default]
    Fields,
    Attributes,
    Statistics,
    AtaSelfTests,
    ScsiSelfTests,
    NvmeSelfTests,
    Farm,
}

#[derive(Default)]
struct Output {
    report: DriveReport,
    section: Section,
    has_data: bool,
    vendor: String,
    sector_bytes: Option<u64>,
    self_tests: Option<Vec<u64>>,
    errors: Option<(u64, Vec<u64>)>,
    farm: farm::Lines,
}

impl Output {
    fn line(&mut self, line: &str) {
        if let Some(version) = line.strip_prefix("smartctl ").filter(|rest| rest.contains('[')) {
            return self.report.text("drive.smart.tool_version", version.split(' ').next().unwrap_or_default());
        }
        if let Some(section) = begins(line) {
            self.section = section;
            self.has_data = true;
            if matches!(self.section, Section::AtaSelfTests | Section::ScsiSelfTests | Section::NvmeSelfTests) {
                self.self_tests.get_or_insert_default();
            }
            return;
        }
        match self.section {
            Section::Farm => return self.farm.line(line, &mut self.report),
            Section::Attributes => self.attribute(line),
            Section::Statistics => self.statistic(line),
            Section::AtaSelfTests | Section::ScsiSelfTests | Section::NvmeSelfTests => self.self_test(line),
            Section::Fields => {}
        }
        self.field(line);
    }

    fn finish(mut self) -> DriveReport {
        self.farm.finish(&mut self.report);
        if let Some(hours) = self.self_tests {
            self.report.self_tests(&hours);
        }
        if let Some((count, hours)) = self.errors {
            self.report.error_log(count, &hours);
        }
        if let Some(percent) = self.report.integer("drive.statistics.endurance_used_percent") {
            self.report.number("drive.smart.percentage_used", Reading::Known(percent));
        }
        self.report
    }

    fn field(&mut self, line: &str) {
        if let Some(error) = line.strip_prefix("Error ").and_then(|it| it.split_once("power-on lifetime: ")) {
            if let Some(hours) = leading_number(error.1) {
                let (_, listed) = self.errors.get_or_insert_default();
                if listed.len() < MAX_LOG {
                    listed.push(hours);
                }
            }
            return;
        }
        if line.starts_with("No Errors Logged") {
            self.errors.get_or_insert_default();
        }
        // SCSI prints this one with an equals sign: `number of hours powered up = 43549.93`.
        if let Some((_, hours)) = line.split_once("number of hours powered up = ") {
            let whole = hours.split('.').next().and_then(leading_number);
            return self.number("drive.smart.power_on_hours", whole);
        }
        if let Some((_, made)) = line.split_once("Manufactured in week ")
            && let Some((week, year)) = made.split_once(" of year ")
        {
            return self.report.text("drive.smart.manufactured", &format!("{}-W{}", year.trim(), week.trim()));
        }
        if let Some(columns) = line.strip_prefix("write:") {
            // Columns: five of errors, correction runs, then 10^9 bytes and uncorrected errors.
            let gigabytes: Option<f64> = columns.split_whitespace().nth(5).and_then(|it| it.parse().ok());
            if let Some(gigabytes) = gigabytes.filter(|it| (0.0..1e9).contains(it)) {
                self.report.written((gigabytes * 1e9) as u64, 1);
            }
            return;
        }
        let Some((name, value)) = line.split_once(':') else { return };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if value.is_empty() {
            return;
        }
        self.named(&name, value);
    }

    fn named(&mut self, name: &str, value: &str) {
        self.has_data |= matches!(name, "device model" | "model number" | "product" | "serial number");
        if let Some((path, _)) = TEXTS.iter().find(|(_, names)| names.contains(&name)) {
            return self.report.text(path, value);
        }
        for (path, _) in NUMBERS.iter().filter(|(_, names)| names.contains(&name)) {
            self.number(path, leading_number(value));
        }
        match name {
            "vendor" => value.clone_into(&mut self.vendor),
            "product" => {
                let model = format!("{} {value}", self.vendor);
                self.report.text("drive.smart.model", &model);
            }
            "lu wwn device id" => self.wwn(value),
            "logical unit id" => smartctl::wwn_of_text(value, &mut self.report),
            "sector size" | "sector sizes" => {
                let logical = leading_number(value);
                let physical = value.split(", ").find(|it| it.contains("physical")).and_then(leading_number);
                self.sector_bytes = logical;
                self.number("drive.smart.logical_sector_bytes", logical);
                self.number("drive.smart.physical_sector_bytes", physical);
            }
            "rotation rate" => {
                let rpm = if value.starts_with("Solid State") { Some(0) } else { leading_number(value) };
                self.number("drive.smart.rotation_rpm", rpm);
            }
            "transport protocol" => {
                self.report.text("drive.smart.protocol", if value.starts_with("SAS") { "SAS" } else { "SCSI" });
            }
            "ata version is" => self.report.text("drive.smart.protocol", "ATA"),
            "nvme version" => self.report.text("drive.smart.protocol", "NVMe"),
            "smart overall-health self-assessment test result" | "smart health status" => {
                let passed = value.starts_with("PASSED") || value.starts_with("OK");
                self.report.set("drive.smart.passed", Reading::Known(passed.into()));
            }
            "pci vendor/subsystem id" => {
                self.report.text("drive.nvme.vendor_id", &value.to_ascii_lowercase());
                self.report.text("drive.nvme.subsystem_vendor_id", &value.to_ascii_lowercase());
            }
            "pci vendor id" => self.report.text("drive.nvme.vendor_id", &value.to_ascii_lowercase()),
            "pci vendor subsystem id" => {
                self.report.text("drive.nvme.subsystem_vendor_id", &value.to_ascii_lowercase());
            }
            "ieee oui identifier" => {
                self.report.text("drive.nvme.ieee_oui", value.trim_start_matches("0x"));
            }
            "namespace 1 ieee eui-64" => {
                self.report.text("drive.nvme.eui64", &value.split_whitespace().collect::<String>());
            }
            "critical warning" => {
                let bits = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.number("drive.smart.critical_warning", bits);
            }
            "data units written" => {
                if let Some(units) = leading_number(value) {
                    self.report.written(units, smartctl::NVME_DATA_UNIT_BYTES);
                }
            }
            "ata error count" | "device error count" => {
                self.errors.get_or_insert_default().0 = leading_number(value).unwrap_or(0);
            }
            _ => {}
        }
    }

    fn number(&mut self, path: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.report.number(path, Reading::Known(number));
        }
    }

    /// `5 000cca 316d3b469`; the last field may be hidden.
    fn wwn(&mut self, value: &str) {
        let fields: Vec<&str> = value.split_whitespace().take(4).collect();
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        if let [naa, oui, id] = fields[..]
            && let (Some(naa), Some(oui)) = (hexadecimal(naa), hexadecimal(oui))
        {
            self.report.wwn(naa, oui, hexadecimal(id));
        }
    }

    /// `ID# NAME FLAGS VALUE WORST THRESH FAIL RAW` or `ID# NAME FLAG VALUE WORST THRESH TYPE UPDATED WHEN_FAILED RAW`.
    fn attribute(&mut self, line: &str) {
        let mut rest = line.trim_start();
        let mut word = || {
            let (word, behind) = rest.split_once(char::is_whitespace)?;
            rest = behind.trim_start();
            Some(word)
        };
        let (Some(id), Some(name), Some(_flags)) = (word().and_then(|id| id.parse::<u8>().ok()), word(), word()) else {
            return;
        };
        // VALUE, WORST and THRESH.
        let _ = (word(), word(), word());
        let Some(next) = word() else { return };
        if matches!(next, "Pre-fail" | "Old_age") {
            let _ = (word(), word());
        }
        self.report.attribute(id.into(), name, rest, self.sector_bytes.unwrap_or(512));
    }

    /// `0x01  0x010  4           27938  ---  Power-on Hours`: page, offset, bytes, value, flags and name.
    fn statistic(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().take(16).collect();
        if let [page, _, _, value, flags, name @ ..] = &words[..]
            && page.starts_with("0x")
            && let Ok(value) = value.parse()
        {
            self.report.statistic(&name.join(" "), value, flags.starts_with('N'), self.sector_bytes.unwrap_or(512));
        }
    }

    fn self_test(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let hours = match self.section {
            // `# 1  Short offline  Completed without error  00%  16  -`
            Section::AtaSelfTests if line.trim_start().starts_with('#') => {
                words.iter().position(|word| word.ends_with('%')).and_then(|at| words.get(at + 1))
            }
            // `# 1  Background short  Completed  -  43549  -  [-   -    -]`: segment, hours, address.
            Section::ScsiSelfTests if line.trim_start().starts_with('#') => {
                words.iter().position(|word| word.starts_with('[')).and_then(|at| words.get(at.checked_sub(2)?))
            }
            // ` 0   Short  Completed without error  12345  -  -  -  -  -`: hours, address, namespace, segment, two codes.
            Section::NvmeSelfTests if words.first().is_some_and(|word| word.parse::<u8>().is_ok()) => {
                words.len().checked_sub(6).and_then(|at| words.get(at))
            }
            _ => None,
        };
        if let Some(hours) = hours.and_then(|word| word.parse().ok()) {
            let tests = self.self_tests.get_or_insert_default();
            if tests.len() < MAX_LOG {
                tests.push(hours);
            }
        }
    }
}

/// The section that begins at a line.
fn begins(line: &str) -> Option<Section> {
    if farm::Lines::begin(line) {
        return Some(Section::Farm);
    }
    if line.starts_with("===") || line.starts_with("General Purpose Log") || line.starts_with("SMART Error Log") {
        return Some(Section::Fields);
    }
    if line.starts_with("ID# ATTRIBUTE_NAME") {
        return Some(Section::Attributes);
    }
    if line.starts_with("Device Statistics (") {
        return Some(Section::Statistics);
    }
    let self_tests = line.contains("Self-test") && (line.contains("Log") || line.contains("log"));
    if line.starts_with("Self-test Log (NVMe") {
        Some(Section::NvmeSelfTests)
    } else if self_tests && line.starts_with("SMART Self-test log") {
        // ATA: `SMART Self-test log structure revision number 1`; SCSI has nothing behind `log`.
        Some(if line.trim_end() == "SMART Self-test log" { Section::ScsiSelfTests } else { Section::AtaSelfTests })
    } else if self_tests && line.starts_with("SMART Extended Self-test Log") {
        Some(Section::AtaSelfTests)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sas_drive() {
        let text = "smartctl 7.3 2022-02-28 r5338 [x86_64-linux] (local build)\n\
            === START OF INFORMATION SECTION ===\nVendor:               SEAGATE\nProduct:              ST3600057SS\n\
            Revision:             ES66\nUser Capacity:        600,127,266,816 bytes [600 GB]\nLogical block size:   512 bytes\n\
            Rotation Rate:        15000 rpm\nLogical Unit id:      0x5000c50068d15045\nSerial number:        6SL6Q3F2\n\
            Transport protocol:   SAS (SPL-4)\n=== START OF READ SMART DATA SECTION ===\nSMART Health Status: OK\n\
            Manufactured in week 51 of year 2013\nAccumulated start-stop cycles:  66\nElements in grown defect list: 3\n\
            Error counter log:\n\
            read:   1410362924        0         0  1410362924          0     386568.1           0\n\
            write:         0        0         0         0          0     806827.5           0\n\
            Non-medium error count:       12\n  number of hours powered up = 43549.93\n\n\
            SMART Self-test log\nNum  Test              Status                 segment  LifeTime  LBA_first_err [SK ASC ASQ]\n\
            # 1  Background short  Completed                   -   43000                 - [-   -    -]\n\
            # 2  Background long   Completed                   -      17                 - [-   -    -]\n";
        let [drive] = &parse(text)[..] else { panic!("one drive") };
        let show = |path: &str| drive.get(path).and_then(Reading::known).map(ToString::to_string).unwrap_or_default();
        for (path, value) in [
            ("drive.smart.model", "SEAGATE ST3600057SS"),
            ("drive.smart.serial", "6SL6Q3F2"),
            ("drive.smart.wwn", "naa.5000c50068d15045"),
            ("drive.smart.protocol", "SAS"),
            ("drive.smart.power_on_hours", "43549"),
            ("drive.smart.power_cycles", "66"),
            ("drive.smart.manufactured", "2013-W51"),
            ("drive.smart.reallocated", "3"),
            ("drive.smart.non_medium_errors", "12"),
            ("drive.smart.written_gigabytes", "806827"),
            ("drive.selftest.hours", "43000, 17"),
            ("drive.selftest.max_hours", "43000"),
            ("drive.smart.passed", "true"),
        ] {
            assert_eq!(show(path), value, "{path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec(
            "(smartctl 7\\.4 \\[x\\]|=== START OF INFORMATION SECTION ===|ID# ATTRIBUTE_NAME|Device Statistics \\(|SMART Self-test log|\
             SMART Extended Self-test Log|Self-test Log \\(NVMe|Seagate Field Access Reliability Metrics log|# smartctl -a /dev/sda|\
             write:|LU WWN Device Id: |# 1|  9 |0x01|Serial Number: |Error 1 power-on lifetime: |[ -~]{0,20}|\\PC{0,10})[ -~0-9%\\[]{0,40}", 0..40)) {
            parse(&lines.join("\n"));
        }
    }
}
