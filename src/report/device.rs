//! What devices signed of themselves, for a person.

use super::style::{Style, Tone};
use super::verification::{failure_lines, lines};
use super::{Table, for_terminal, plural};
use crate::attest::device::{Device, Steps};
use crate::attest::verify::Failure;
use crate::parse::spdm;

/// A device and what became of its verification.
#[derive(Debug, Clone, Copy)]
pub struct DeviceRow<'a> {
    /// Where its evidence came from.
    pub source: &'a str,
    /// The device.
    pub device: &'a Device,
    /// Each step.
    pub steps: &'a Steps,
    /// The root that its chain leads to.
    pub root: Option<&'a str>,
    /// Whether the nonce that it was held against came with the evidence, and so says nothing about when.
    pub own_nonce: bool,
}

/// Every device with its certificates, then what failed and what is not proven.
pub fn devices_plain(
    devices: &[DeviceRow<'_>],
    failures: &[Failure],
    warnings: &[Failure],
    not_proven: &[String],
    style: Style,
) -> String {
    let mut text = String::new();
    for row in devices {
        let heading = format!("{}: {}", for_terminal(row.source, style), for_terminal(&row.device.label(), style));
        text += &format!("{}\n{}\n", style.paint(Tone::Heading, &heading), fields(row, style).render());
    }
    text += &failure_lines(failures, Tone::Bad, "", style);
    text += &failure_lines(warnings, Tone::Warning, "", style);
    text += &lines("NOT proven", not_proven, style);
    let valid = failures.is_empty();
    let (tone, word) = if valid { (Tone::Good, "valid") } else { (Tone::Bad, "INVALID") };
    let (devices, failures) = (plural(devices.len(), "device"), plural(failures.len(), "failure"));
    text + &format!("{devices}, {failures}: {}\n", style.paint(tone, word))
}

fn fields(row: &DeviceRow<'_>, style: Style) -> Table {
    let DeviceRow { device, steps, root, own_nonce, .. } = row;
    let report = &device.report;
    let mut table = Table::new(&["field", "value"]);
    let mut add = |field: &str, value: Option<String>| {
        table.row([field.to_owned(), value.map_or_else(|| "-".to_owned(), |value| for_terminal(&value, style))]);
    };
    let text = |kind: u16| report.text(kind).map(str::to_owned);
    add("chip", device.chain.chip().map(str::to_owned));
    add("architecture", device.architecture().map(str::to_owned));
    add("VBIOS", report.vbios_version());
    add("driver", text(spdm::DRIVER_VERSION));
    add(
        "project",
        text(spdm::PROJECT).map(|project| format!("{project}-{}", text(spdm::PROJECT_SKU).unwrap_or_default())),
    );
    add("chip SKU", text(spdm::CHIP_SKU));
    add("board id", report.board_id().map(|id| format!("{id:#06x}")));
    add("firmware id", report.field(spdm::FWID).map(hex::encode));
    add("nonce", Some(hex::encode(report.nonce)));
    add("measurements", Some(report.measurements.len().to_string()));
    for (name, list) in [("switches", device.switches()), ("GPUs", device.gpus())] {
        if let Some(list) = list {
            add(name, Some(list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
        }
    }
    for certificate in &device.chain.certificates {
        let valid = format!("{} to {}", certificate.not_before, certificate.not_after);
        add("certificate", Some(format!("{}, serial {}, {valid}", certificate.subject, certificate.serial)));
    }
    add("root", root.map(str::to_owned));
    let word = |step: Option<bool>| match step {
        Some(true) => "ok",
        Some(false) => "FAILS",
        None => "not looked at",
    };
    for (name, step) in [
        ("chain", steps.chain),
        ("validity", steps.validity),
        ("revocation", steps.revocation),
        ("signature", steps.signature),
        ("nonce matches", steps.nonce),
        ("firmware matches", steps.firmware),
        ("identity", steps.identity),
    ] {
        let whose = if *own_nonce && name == "nonce matches" && step.is_some() { ", the file's own" } else { "" };
        add(name, Some(format!("{}{whose}", word(step))));
    }
    table
}
