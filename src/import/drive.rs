//! Printouts of smartctl and nvme-cli: one drive or several a file.
//!
//! A drive is named as in the file (`sda`, `nvme0`), else numbered. Two outputs of one drive are taken together; two drives
//! with one serial number stay two.

use serde_json::Value as Json;

use super::machine::Machine;
use crate::evidence::Reading;
use crate::parse::drive_report::DriveReport;
use crate::parse::{nvme_cli, plain_text, smartctl, smartctl_text};

/// JSON documents that are read of one file.
const MAX_DOCUMENTS: usize = 1024;
/// Places that look like the start of a document and are none.
const MAX_MISSES: usize = 16;
/// Drives that are kept of one file.
const MAX_DRIVES: usize = 1024;

/// Whether JSON of smartctl is in the text.
pub(super) fn is_smartctl_json(text: &str) -> bool {
    let marks = ["\"smartctl\"", "\"smart_status\"", "\"seagate_farm_log\""];
    marks.iter().any(|mark| plain_text::has(text, mark)) && documents(text).iter().any(smartctl::recognise)
}

/// Whether JSON of nvme-cli is in the text.
pub(super) fn is_nvme_cli(text: &str) -> bool {
    let marks = ["\"data_units_written\"", "\"vid\"", "\"Devices\""];
    marks.iter().any(|mark| plain_text::has(text, mark)) && documents(text).iter().any(is_nvme_document)
}

fn is_nvme_document(json: &Json) -> bool {
    !smartctl::recognise(json) && nvme_cli::read(json).is_some_and(|(_, drives)| !drives.is_empty())
}

/// Reads JSON of `smartctl -j`.
pub(super) fn smartctl_json(text: &str, machine: &mut Machine) {
    let mut drives = Drives::default();
    for json in documents(text).iter().filter(|json| smartctl::recognise(json)) {
        match smartctl::report(json) {
            Reading::Known(report) => drives.add(report, "smartctl -j"),
            Reading::Denied => machine.note("smartctl was not allowed to open a drive: run it as root"),
            Reading::Failed(why) => machine.note(format!("smartctl could not read a drive: {why}")),
            Reading::Absent | Reading::Unsupported => {}
        }
    }
    drives.finish(machine);
}

/// Reads text of smartctl.
pub(super) fn smartctl_text(text: &str, machine: &mut Machine) {
    let mut drives = Drives::default();
    for report in smartctl_text::parse(text) {
        drives.keep(report, "smartctl");
    }
    drives.finish(machine);
}

/// Reads JSON of nvme-cli.
pub(super) fn nvme_cli(text: &str, machine: &mut Machine) {
    let mut drives = Drives::default();
    for json in documents(text).iter().filter(|json| is_nvme_document(json)) {
        let (source, reports) = nvme_cli::read(json).unwrap_or_default();
        for report in reports {
            drives.add(report, source);
        }
    }
    drives.finish(machine);
}

/// The JSON documents in a text, one behind the other, with prompts and other lines in between.
fn documents(text: &str) -> Vec<Json> {
    let (mut found, mut misses) = (Vec::new(), 0);
    let mut rest = text;
    while found.len() < MAX_DOCUMENTS && misses < MAX_MISSES {
        let Some(start) = line_start(rest) else { break };
        rest = &rest[start..];
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Json>();
        match stream.next() {
            Some(Ok(Json::Array(items))) => {
                found.extend(items.into_iter().take(MAX_DOCUMENTS));
                rest = &rest[stream.byte_offset()..];
            }
            Some(Ok(json)) => {
                found.push(json);
                rest = &rest[stream.byte_offset()..];
            }
            _ => {
                misses += 1;
                rest = &rest[1..];
            }
        }
    }
    found
}

/// Where the next line begins with a brace or bracket; a document may also begin right behind another one.
fn line_start(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start();
        if inner.starts_with(['{', '[']) {
            return Some(offset + (line.len() - inner.len()));
        }
        offset += line.len();
    }
    None
}

/// The drives of a file, in its order, each with what printed it first.
#[derive(Default)]
struct Drives(Vec<(DriveReport, &'static str)>);

impl Drives {
    /// Adds one output, which may be about a drive that is there already.
    fn add(&mut self, mut report: DriveReport, source: &'static str) {
        // The namespace's disk and the controller are one drive.
        let controller = |name: String| match name.strip_prefix("nvme").and_then(|rest| rest.split_once('n')) {
            Some((number, _)) if number.bytes().all(|it| it.is_ascii_digit()) => format!("nvme{number}"),
            _ => name,
        };
        report.device = report.device.take().map(controller);
        let only = self.0.len() == 1;
        let same = self.0.iter_mut().find(|(known, _)| match (&known.device, &report.device) {
            (Some(one), Some(other)) if one == other => agree(known, &report, "drive.smart.serial"),
            (Some(_), Some(_)) => two_paths(known, &report),
            _ => only && complete_each_other(known, &report),
        });
        match same {
            Some((known, _)) => known.absorb(report),
            None => self.keep(report, source),
        }
    }

    fn keep(&mut self, report: DriveReport, source: &'static str) {
        if self.0.len() < MAX_DRIVES && !report.is_empty() {
            self.0.push((report, source));
        }
    }

    fn finish(self, machine: &mut Machine) {
        let mut taken: Vec<String> = Vec::new();
        for (index, (mut report, source)) in self.0.into_iter().enumerate() {
            let name = report.device.take().unwrap_or_else(|| index.to_string());
            let mut id = format!("drive:{name}");
            if taken.contains(&id) {
                id = format!("drive:{name}#{index}");
            }
            report.add_identity();
            for (path, reading) in report.into_facts() {
                machine.part("drive", &id, path, reading, source);
            }
            taken.push(id);
        }
    }
}

/// Whether both say the same, where both say something.
fn agree(one: &DriveReport, other: &DriveReport, path: &str) -> bool {
    match (one.known_text(path), other.known_text(path)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// A SAS drive has two ports, and the kernel a disk for each: one serial number and one world-wide name.
fn two_paths(one: &DriveReport, other: &DriveReport) -> bool {
    let same = |path: &str| one.known_text(path).is_some() && one.known_text(path) == other.known_text(path);
    one.known_text("drive.smart.protocol") == Some("SAS") && same("drive.smart.serial") && same("drive.smart.wwn")
}

/// Whether one of them identifies the drive and the other only counts: `nvme id-ctrl` and `nvme smart-log`.
fn complete_each_other(one: &DriveReport, other: &DriveReport) -> bool {
    let overlap = |path: &str| one.get(path).is_some() && other.get(path).is_some();
    let protocol = "drive.smart.protocol";
    one.known_text(protocol) == other.known_text(protocol)
        && agree(one, other, "drive.smart.serial")
        && !(overlap("drive.smart.power_on_hours"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_between_other_lines() {
        let text = "# smartctl -j -a /dev/sda\n{\"a\": 1}{\"b\": 2}\n# nvme list\n  {\n\"c\": [3]\n}\n[{\"d\": 4}, 5]\n{ broken\n";
        let found = documents(text);
        assert_eq!(found.len(), 5, "{found:?}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\{|\\}|\\[|\\]|\n|\"smartctl\"|\"device\"|:|,|[ -~]|\\PC){0,200}") {
            documents(&text);
            let mut machine = Machine::default();
            smartctl_json(&text, &mut machine);
            nvme_cli(&text, &mut machine);
            smartctl_text(&text, &mut machine);
        }
    }
}
