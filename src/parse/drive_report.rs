//! What a drive says of itself, whichever program asked it: the facts below `drive.`, by their names.
//!
//! The parsers of smartctl, nvme-cli and NVMe log pages all end here, so that one drive that was asked in several ways
//! has one list of facts.

use std::collections::BTreeMap;

use crate::evidence::{MAX_TEXT_BYTES, Reading, Value};

/// Entries of a log that are kept.
const MAX_LOG_ENTRIES: usize = 64;
/// Largest number that a fact's integer holds.
const MAX_EXACT: u64 = 1 << 53;
/// Thirty-four years: no counter of hours goes further.
pub const MAX_HOURS: u64 = 300_000;
const GIGABYTE: u64 = 1_000_000_000;
const GIBIBYTE: u64 = 1 << 30;
/// Identifier that smartctl's exporters put into world-wide names that they hide.
const HIDDEN_WWN_ID: u64 = 1_234_567_890;

/// Facts of one drive, as far as they were printed. What was printed and makes no sense is `Failed`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DriveReport {
    /// Device name as in the output: `sda`, `nvme0`, `megaraid,3`.
    pub device: Option<String>,
    values: BTreeMap<&'static str, Reading>,
}

impl DriveReport {
    /// An empty report about a device of that name.
    pub fn of(device: Option<String>) -> Self {
        Self { device, ..Self::default() }
    }

    /// Records a number that was printed. The first known value stays.
    pub fn number(&mut self, path: &'static str, number: impl Into<Reading<u64>>) {
        self.set(path, exact(number.into()));
    }

    /// Records text, unless it is empty. The first known value stays.
    pub fn text(&mut self, path: &'static str, text: &str) {
        match text.trim() {
            "" => {}
            text if text.len() > MAX_TEXT_BYTES => {
                let why = format!("text of {} bytes is longer than any field", text.len());
                self.set(path, Reading::Failed(why));
            }
            text => self.set(path, Reading::Known(text.into())),
        }
    }

    /// Records a value or the reason why there is none. The first known value stays; before one is known, the first
    /// reason.
    pub fn set(&mut self, path: &'static str, reading: Reading) {
        match self.values.get(path) {
            Some(own) if own.known().is_some() || reading.known().is_none() => {}
            _ => _ = self.values.insert(path, reading),
        }
    }

    /// What is known under a name; `None` where nothing was printed.
    pub fn get(&self, path: &str) -> Option<&Reading> {
        self.values.get(path)
    }

    /// A known number.
    pub fn integer(&self, path: &str) -> Option<u64> {
        self.get(path)?.known()?.as_integer().and_then(|number| u64::try_from(number).ok())
    }

    /// A known text.
    pub fn known_text(&self, path: &str) -> Option<&str> {
        self.get(path)?.known()?.as_text()
    }

    /// Takes over what another output says of the same drive. The first known value stays.
    pub fn absorb(&mut self, other: Self) {
        self.device = self.device.take().or(other.device);
        for (path, reading) in other.values {
            self.set(path, reading);
        }
    }

    /// All facts.
    pub fn into_facts(self) -> impl Iterator<Item = (&'static str, Reading)> {
        self.values.into_iter()
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// World-wide name, `naa.5000c500a277a7cb`, from its three fields. `id` is `None` where it was hidden.
    pub fn wwn(&mut self, naa: u64, oui: u64, id: Option<u64>) {
        // SPC-5 7.8.6.5: the other formats are no names of a drive, and printouts that hide one fill in 0x1234567890abcdef.
        if !matches!(naa, 2 | 3 | 5 | 6) || oui > 0xff_ffff {
            return self.set("drive.smart.wwn", Reading::Failed("not a world-wide name".to_owned()));
        }
        self.text("drive.smart.wwn_oui", &format!("{oui:06x}"));
        match id.filter(|id| *id != HIDDEN_WWN_ID && *id <= 0xf_ffff_ffff) {
            Some(id) => self.text("drive.smart.wwn", &format!("naa.{naa:x}{oui:06x}{id:09x}")),
            None => self.set("drive.smart.wwn", hidden_reading()),
        }
    }

    /// Bytes that the host has written, and the same in 10^9 bytes, which fits where the bytes don't.
    pub fn written(&mut self, count: u64, unit_bytes: u64) {
        let bytes = u128::from(count) * u128::from(unit_bytes);
        let gigabytes = u64::try_from(bytes / u128::from(GIGABYTE));
        self.number(
            "drive.smart.written_bytes",
            u64::try_from(bytes)
                .map_or_else(|_| Reading::Failed("more bytes than a number holds".to_owned()), Reading::Known),
        );
        if let Ok(gigabytes) = gigabytes {
            self.number("drive.smart.written_gigabytes", Reading::Known(gigabytes));
        }
    }

    /// Hours at which self-tests ran.
    pub fn self_tests(&mut self, hours: &[u64]) {
        self.log("drive.selftest.count", "drive.selftest.max_hours", hours.len() as u64, hours);
        let kept: Vec<u64> = hours.iter().copied().filter(|it| *it < MAX_EXACT).take(MAX_LOG_ENTRIES).collect();
        self.set("drive.selftest.hours", Reading::Known(kept.into()));
    }

    /// Errors that the drive logged, and the hours of those that are listed.
    pub fn error_log(&mut self, count: u64, hours: &[u64]) {
        self.log("drive.error_log.count", "drive.error_log.max_hours", count, hours);
    }

    fn log(&mut self, count_path: &'static str, max_path: &'static str, count: u64, hours: &[u64]) {
        self.number(count_path, Reading::Known(count));
        match hours.iter().max() {
            Some(&max) => self.number(max_path, Reading::Known(max)),
            None => self.set(max_path, Reading::Absent),
        }
    }

    /// One ATA attribute. `raw` is the raw value as smartctl words it (`122811 (109 12 0)`, `46922h+54m+18.974s`).
    pub fn attribute(&mut self, id: u64, name: &str, raw: &str, sector_bytes: u64) {
        let Some(value) = leading_number(raw) else { return };
        let known = Reading::Known(value);
        match id {
            4 => self.number("drive.smart.start_stops", known),
            5 => self.number("drive.smart.reallocated", known),
            9 => self.number("drive.smart.power_on_hours", Reading::Known(hours_of_composite(value).unwrap_or(value))),
            12 => self.number("drive.smart.power_cycles", known),
            187 => self.number("drive.smart.reported_uncorrectable", known),
            193 => self.number("drive.smart.load_cycles", known),
            197 => self.number("drive.smart.pending", known),
            198 => self.number("drive.smart.uncorrectable", known),
            240 => {
                self.text("drive.smart.head_flying_raw", raw);
                if !name.starts_with("Head_Flying") {
                    return;
                }
                let hours = hours_of_composite(value).map_or_else(
                    || Reading::Failed(format!("{value} is more hours than a drive can have")),
                    Reading::Known,
                );
                self.number("drive.smart.head_flying_hours", hours);
            }
            _ => {}
        }
        if id == 241 {
            self.number("drive.smart.attribute_241_raw", Reading::Known(value));
        }
        match name {
            "Total_LBAs_Written" => self.written(value, sector_bytes),
            "Host_Writes_32MiB" => self.written(value, 32 << 20),
            "Lifetime_Writes_GiB" | "Total_Writes_GiB" | "Host_Writes_GiB" => self.written(value, GIBIBYTE),
            _ => {}
        }
    }

    /// One value of the ATA device statistics log. `normalised`: the drive says that it is no plain count.
    pub fn statistic(&mut self, name: &str, value: u64, normalised: bool, sector_bytes: u64) {
        let path = match name {
            "Power-on Hours" => "drive.statistics.power_on_hours",
            "Lifetime Power-On Resets" => "drive.statistics.power_on_resets",
            "Logical Sectors Written" => "drive.statistics.written_sectors",
            "Spindle Motor Power-on Hours" => "drive.statistics.spindle_hours",
            "Head Flying Hours" => "drive.statistics.head_flying_hours",
            "Head Load Events" => "drive.statistics.head_load_events",
            "Number of Reallocated Logical Sectors" => "drive.statistics.reallocated",
            "Percentage Used Endurance Indicator" => "drive.statistics.endurance_used_percent",
            _ => return,
        };
        let hours = path.ends_with("_hours");
        let reading = if normalised && hours {
            Reading::Failed("a normalised value, not a count of hours".to_owned())
        } else if hours && value > MAX_HOURS {
            Reading::Failed(format!("{value} is more hours than a drive can have"))
        } else {
            Reading::Known(value)
        };
        if path == "drive.statistics.written_sectors" {
            self.written(value, sector_bytes);
        }
        self.number(path, reading);
    }

    /// The facts that the kernel gives of a drive that is here, from what the output says: for a drive that only the
    /// output knows. Hidden serial numbers are neither a value nor blank.
    pub fn add_identity(&mut self) {
        for (path, from) in [
            ("drive.model", "drive.smart.model"),
            ("drive.firmware", "drive.smart.firmware"),
            ("drive.serial", "drive.smart.serial"),
            ("drive.serial", "drive.farm.serial"),
            ("drive.wwid", "drive.smart.wwn"),
            ("drive.wwid", "drive.farm.wwn"),
            ("drive.size_bytes", "drive.smart.capacity_bytes"),
        ] {
            let reading = match self.get(from) {
                Some(Reading::Known(Value::Text(text))) if is_hidden(text) => hidden_reading(),
                Some(reading) => reading.clone(),
                None => continue,
            };
            self.set(path, reading);
        }
        if let Some(rpm) = self.integer("drive.smart.rotation_rpm") {
            self.set("drive.rotational", Reading::Known((rpm > 0).into()));
        }
        let transport = match self.known_text("drive.smart.protocol") {
            Some("ATA") => Some("sata"),
            Some("NVMe") => Some("nvme"),
            Some("SAS") => Some("sas"),
            Some("SCSI") => Some("scsi"),
            _ => None,
        };
        if let Some(transport) = transport {
            self.text("drive.transport", transport);
        }
    }
}

/// Why a field that somebody blacked out has no value.
pub fn hidden_reading() -> Reading {
    Reading::Failed("hidden by whoever made the output".to_owned())
}

/// Whether a text stands for one that was blacked out, wholly or in part: `REDACTED`, `--`, `9RK1XXXX`.
pub fn is_hidden(text: &str) -> bool {
    const WORDS: [&str; 4] = ["REDACTED", "HIDDEN", "MASKED", "REMOVED"];
    let text = text.trim().to_ascii_uppercase();
    let masked = |letter: char| text.contains(&letter.to_string().repeat(4));
    (!text.is_empty() && text.bytes().all(|byte| matches!(byte, b'-' | b'*' | b'X' | b'#' | b'?' | b'.')))
        || WORDS.iter().any(|word| text.contains(word))
        || ['X', '*', '#'].into_iter().any(masked)
}

/// The number at the start of a text, as smartctl prints numbers: with separators of thousands, with a unit behind it.
/// `82447h+25m+07.123s` gives 82447.
pub fn leading_number(text: &str) -> Option<u64> {
    let mut number: Option<u64> = None;
    let mut characters = text.trim_start().chars().peekable();
    while let Some(character) = characters.next() {
        match character.to_digit(10) {
            Some(digit) => number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?),
            None => {
                let separator = matches!(character, ',' | '.' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}' | '\u{fffd}');
                if !separator || number.is_none() || !characters.peek().is_some_and(char::is_ascii_digit) {
                    break;
                }
            }
        }
    }
    number
}

/// Hours of a raw value of 48 bits, of which the upper ones may hold minutes or other counters: Seagate keeps hours in the
/// lower 32 or 24 bits. `None` where no reading of it gives an age that a drive can have.
fn hours_of_composite(raw: u64) -> Option<u64> {
    [raw, raw & 0xffff_ffff, raw & 0xff_ffff].into_iter().find(|hours| *hours <= MAX_HOURS)
}

/// The reading of an integer fact: what is wider than any JSON reader keeps is `Failed`.
fn exact(reading: Reading<u64>) -> Reading {
    reading.and_then(|number| match number {
        0..=MAX_EXACT => Reading::Known(number.into()),
        wide => Reading::Failed(format!("{wide:#x} is more than 2^53")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_smartctl_words_them() {
        for (text, number) in [
            ("12,000,138,625,024 bytes [12.0 TB]", Some(12_000_138_625_024)),
            ("9 h+12m", Some(9)),
            ("46922h+54m+18.974s", Some(46_922)),
            ("122811 (109 12 0)", Some(122_811)),
            ("2%", Some(2)),
            ("-", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(leading_number(text), number, "{text}");
        }
    }

    #[test]
    fn composite_raw_values() {
        let hours = |raw: &str| {
            let mut report = DriveReport::default();
            report.attribute(240, "Head_Flying_Hours", raw, 512);
            report.get("drive.smart.head_flying_hours").cloned().unwrap()
        };
        assert_eq!(hours("119898307157947"), Reading::Known(122_811_u64.into()));
        assert_eq!(hours("3170 (36 68 0)"), Reading::Known(3170_u64.into()));
        assert!(matches!(hours("281474976710655"), Reading::Failed(_)));
    }

    #[test]
    fn blacked_out_texts() {
        for text in ["REDACTED", "--", "XXXXXXXXXXXX", "9RK1XXXX", "Z1Z5DWJK0000XXXXXXXX", "****1234", "5 000c50 ****"]
        {
            assert!(is_hidden(text), "{text}");
        }
        for text in ["", "ZC11KLR7", "S3YZNB0KB00864E", "0", "yes", "WXXX1"] {
            assert!(!is_hidden(text), "{text}");
        }
    }
}
