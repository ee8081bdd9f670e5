//! What smartctl says of drives, a few of them asked at a time: `smartctl -j -x`, and `-l farm` where the drive says that
//! it has such a log.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value as Json;

use crate::evidence::{Reading, Value};
use crate::host::{Host, Query};
use crate::parse::drive_report::DriveReport;
use crate::parse::smartctl;

/// Programs that run at a time: a drive that spins up takes seconds, and they must not add up.
const PROGRAMS_AT_A_TIME: usize = 8;
/// Drives behind RAID controllers that are asked.
const MAX_HIDDEN: usize = 512;
/// First version that reads FARM logs.
const FARM_VERSION: [u64; 2] = [7, 4];

/// A drive to ask about: its path, and what smartctl needs to know to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// `/dev/sda`.
    pub path: String,
    /// `megaraid,3`, for a drive that a controller hides.
    pub kind: Option<String>,
    /// How it is attached, when the kernel says so.
    pub transport: Option<String>,
}

/// What smartctl says of one drive.
pub(super) struct Answer {
    /// The facts, or why there are none.
    pub report: Reading<DriveReport>,
    /// The command line.
    pub source: String,
    /// The reading of the FARM facts that the report lacks, and who says so.
    pub farm: (Reading<Value>, String),
}

/// Asks about each drive. The answers are in the order of the drives.
pub(super) fn ask(host: &dyn Host, targets: &[Target]) -> Vec<Answer> {
    let next = AtomicUsize::new(0);
    let mut answers: Vec<Option<Answer>> = targets.iter().map(|_| None).collect();
    let found: Vec<(usize, Answer)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..PROGRAMS_AT_A_TIME.min(targets.len()))
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while let Some((index, target)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|it| Some((it, targets.get(it)?)))
                    {
                        answers.push((index, ask_one(host, target)));
                    }
                    answers
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    for (index, answer) in found {
        answers[index] = Some(answer);
    }
    let ended = || Reading::Failed("the reading thread ended".to_owned());
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| without(ended(), "smartctl".to_owned()))).collect()
}

/// The drives that RAID controllers hide and smartctl finds. Its drive database, which takes longer to read than everything
/// else here together, would only name the bridges of USB drives, which the kernel shows anyway.
pub(super) fn hidden(host: &dyn Host) -> Vec<Target> {
    let query = command(&["--scan", "-j", "-B", "/dev/null"], &[]);
    let Reading::Known(output) = host.ask(&query) else { return Vec::new() };
    let json: Json = serde_json::from_slice(&output).unwrap_or_default();
    let devices = json.get("devices").and_then(Json::as_array).into_iter().flatten();
    devices
        .filter_map(|device| {
            let text = |name: &str| device.get(name).and_then(Json::as_str).filter(|text| text.len() <= 64);
            let kind = text("type").filter(|kind| kind.contains(','))?;
            let path = text("name").filter(|path| path.starts_with("/dev/"))?;
            Some(Target { path: path.to_owned(), kind: Some(kind.to_owned()), transport: None })
        })
        .take(MAX_HIDDEN)
        .collect()
}

fn command(options: &[&str], arguments: &[&str]) -> Query {
    let args = options.iter().chain(arguments).map(|it| (*it).to_owned()).collect();
    Query::Command { program: "smartctl".to_owned(), args }
}

fn without(reading: Reading<DriveReport>, source: String) -> Answer {
    let farm = reading.as_ref().and_then(|_| Reading::Absent);
    Answer { report: reading, farm: (farm, source.clone()), source }
}

fn ask_one(host: &dyn Host, target: &Target) -> Answer {
    let transport = target.transport.as_deref();
    if matches!(transport, Some("virtio" | "pmem" | "mmc")) {
        return without(Reading::Unsupported, format!("smartctl -j -x {}", target.path));
    }
    let mut arguments: Vec<&str> = Vec::new();
    if let Some(kind) = &target.kind {
        arguments.extend(["-d", kind]);
    }
    let run = |arguments: &[&str]| {
        let query = command(&["-j", "-x"], &[arguments, &[&*target.path]].concat());
        let output = host.ask(&query);
        (output.as_ref().and_then(|output| smartctl::parse(output)), output)
    };
    let (mut report, mut output) = run(&arguments);
    if matches!(report, Reading::Failed(_)) && transport == Some("usb") {
        // A bridge that smartctl does not know mostly speaks SCSI/ATA translation.
        let (again, other) = run(&["-d", "sat"]);
        if again.known().is_some() {
            (report, output) = (again, other);
            arguments = vec!["-d", "sat"];
        }
    }
    let line = |option: &str| {
        ["smartctl", "-j"]
            .into_iter()
            .chain(option.split(' '))
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join(" ")
            + " "
            + &target.path
    };
    let source = line("-x");
    let Reading::Known(mut known) = report else { return without(report, source) };
    if !output.known().is_some_and(|output| smartctl::offers_farm(output)) {
        let farm = farm_missing(&known);
        return Answer { report: Reading::Known(known), farm, source };
    }
    let query = command(&["-j", "-l", "farm"], &[&arguments[..], &[&*target.path]].concat());
    let farm_source = line("-l farm");
    match host.ask(&query).and_then(|output| smartctl::parse(&output)) {
        Reading::Known(farm) => {
            known.absorb(farm);
            Answer { report: Reading::Known(known), farm: (Reading::Absent, farm_source), source }
        }
        other => {
            let why = other.and_then(|_| Reading::Absent);
            Answer { report: Reading::Known(known), farm: (why, farm_source), source }
        }
    }
}

/// Why there is no FARM log: this smartctl cannot read it, or the drive has none.
fn farm_missing(report: &DriveReport) -> (Reading<Value>, String) {
    let version = report.known_text("drive.smart.tool_version").unwrap_or_default();
    let numbers: Vec<u64> = version.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.first_chunk().is_some_and(|numbers| *numbers >= FARM_VERSION) {
        (Reading::Absent, format!("smartctl {version}"))
    } else {
        (Reading::Unsupported, format!("smartctl {version}: the FARM log needs 7.4 or newer"))
    }
}
