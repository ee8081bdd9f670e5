//! An inspection for a person.

use std::collections::BTreeMap;

use super::blind::blind;
use super::host_views::{CpuView, DimmView, DriveView};
use super::measurements::measurements_plain;
use super::screening::{Document, GpuView};
use super::style::{Style, Tone};
use super::table::Table;
use super::{binary_bytes, for_terminal, value_plain};
use crate::burn::gpu::{GpuSummary, Quantity};
use crate::burn::{Ending, Summary};
use crate::evidence::{Evidence, Part, Reading, Value};
use crate::inspection::Inspection;
use crate::policy::{Counts, Verdict};
use crate::rule::{Check, Finding, Outcome, Severity, Signatures};

/// The facts that a table shows of a part, by scope, first the ones that say what it is.
const SHOWN: &[(&str, &[&str])] = &[
    (
        "platform",
        &["platform.smbios.system_manufacturer", "platform.smbios.system_product", "platform.hypervisor.vendor"],
    ),
    ("board", &["board.manufacturer", "board.product"]),
    ("chassis", &["chassis.manufacturer", "chassis.kind"]),
    ("psu", &["psu.manufacturer", "psu.model"]),
    ("cpu", &["cpu.cpuid.brand", "cpu.procfs.brand", "cpu.cpuid.signature"]),
    ("memory", &["memory.smbios.installed_bytes", "memory.meminfo.total_bytes"]),
    ("dimm", &["dimm.smbios.size_bytes", "dimm.smbios.type", "dimm.smbios.manufacturer", "dimm.smbios.part_number"]),
    ("drive", &["drive.model", "drive.firmware", "drive.size_bytes"]),
    ("nic", &["nic.model_name", "nic.mac", "nic.driver"]),
    ("gpu", &["gpu.nvml.name", "gpu.pci.device_name", "gpu.memory_mib"]),
    ("nvswitch", &["nvswitch.nscq.architecture", "nvswitch.attestation.vbios_version"]),
    ("accelerator", &["accelerator.pci.vendor_name", "accelerator.pci.device_name"]),
];

/// The facts that name the unit, by scope.
const SERIALS: &[(&str, &str)] = &[
    ("platform", "platform.smbios.system_serial"),
    ("board", "board.serial"),
    ("chassis", "chassis.serial"),
    ("psu", "psu.serial"),
    ("cpu", "cpu.sysfs.ppin"),
    ("dimm", "dimm.smbios.serial"),
    ("drive", "drive.serial"),
    ("nic", "nic.permanent_mac"),
    ("gpu", "gpu.nvml.serial"),
    ("nvswitch", "nvswitch.nscq.uuid"),
];

/// Everything that an inspection found, for a terminal. The last line counts clear, firing and not checkable.
pub fn inspection_plain(inspection: &Inspection, signatures: &Signatures, style: Style) -> String {
    let id = &inspection.signatures;
    let mut text = format!(
        "yanji {}, signatures {} ({}), evidence {}\n",
        inspection.tool_version,
        id.version,
        &id.sha256[..16.min(id.sha256.len())],
        inspection.evidence.origin
    );
    text += &section("Parts", &parts(&inspection.evidence, style), style);
    text += &section("Behaviour of the GPUs", &behaviour(&inspection.evidence, style), style);
    text += &section("Findings", &findings(&inspection.checks, signatures, style), style);
    text += &section("Not checkable", &blind(&inspection.checks, &inspection.evidence, style), style);
    text += &privilege(inspection);
    text += &verdict(inspection, style);
    text
}

/// What was found in one file that a seller sent. A screenshot lacks most of a machine, so what could not be checked is
/// counted by the facts that would settle most.
pub fn screening_plain(
    file: &str,
    format: &str,
    notes: &[String],
    inspection: &Inspection,
    signatures: &Signatures,
    style: Style,
) -> String {
    let id = &inspection.signatures;
    let mut text = format!(
        "{} ({format})\nyanji {}, signatures {} ({}), evidence {}, assurance L0: whoever sent it can have edited it\n",
        style.paint(Tone::Heading, &for_terminal(file, style)),
        inspection.tool_version,
        id.version,
        &id.sha256[..16.min(id.sha256.len())],
        inspection.evidence.origin
    );
    for note in notes {
        text += &format!("note: {}\n", for_terminal(note, style));
    }
    let document = Document::new(inspection, signatures);
    let hosts = [
        ("System", system(&inspection.evidence, style)),
        ("Processors", processors(&document.cpus, style)),
        ("Memory modules", modules(&document.dimms, style)),
        ("Drives", drives(&document.drives, style)),
    ];
    // A file about something else is not expected to show GPUs.
    if !document.gpus.is_empty() || hosts.iter().all(|(_, body)| body.is_empty()) {
        text += &section("GPUs", &gpus(&document.gpus, style), style);
    }
    for (heading, body) in &hosts {
        text += &section(heading, body, style);
    }
    text += &section("Findings", &findings(&inspection.checks, signatures, style), style);
    text += &section("Not checkable", &most_wanted(&inspection.checks), style);
    text += &verdict(inspection, style);
    text
}

fn shown(text: &Option<String>, style: Style) -> String {
    text.as_ref().map_or_else(|| "-".to_owned(), |text| for_terminal(text, style))
}

fn counted(number: Option<i64>, unit: &str) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number}{unit}"))
}

fn gpus(gpus: &[GpuView], style: Style) -> String {
    let mut table = Table::new(&["part", "name", "device", "subsystem", "memory", "power", "VBIOS", "serial number"]);
    for gpu in gpus {
        let watts = gpu.power_limit_default_watts.or(gpu.power_limit_enforced_watts);
        table.row([
            for_terminal(&gpu.part, style),
            shown(&gpu.name, style),
            shown(&gpu.pci_device, style),
            shown(&gpu.pci_subsystem, style),
            counted(gpu.memory_total_mib, " MiB"),
            watts.map_or_else(|| "-".to_owned(), |watts| format!("{watts} W")),
            shown(&gpu.vbios_version, style),
            shown(&gpu.serial, style),
        ]);
    }
    if table.is_empty() { "  none could be seen\n".to_owned() } else { table.render() }
}

/// What firmware says of the machine around the parts.
fn system(evidence: &Evidence, style: Style) -> String {
    const SCOPES: [&str; 4] = ["platform", "board", "chassis", "psu"];
    let mut table = Table::new(&["part", "what it says it is", "serial number"]);
    for part in evidence.parts.iter().filter(|part| SCOPES.contains(&part.scope.as_str())) {
        let paths = SHOWN.iter().find(|(scope, _)| *scope == part.scope).map_or(&[][..], |(_, paths)| paths);
        let known = |path: &str| part.reading(path).and_then(Reading::known).is_some();
        let number = SERIALS.iter().find(|(scope, _)| *scope == part.scope);
        if paths.iter().any(|path| known(path)) || number.is_some_and(|(_, path)| known(path)) {
            table.row([for_terminal(&part.id, style), summary(part, paths, style), serial(part, style)]);
        }
    }
    if table.is_empty() { String::new() } else { table.render() }
}

fn processors(cpus: &[CpuView], style: Style) -> String {
    let mut table = Table::new(&["part", "socket", "brand", "signature", "cores", "microcode"]);
    for cpu in cpus {
        table.row([
            for_terminal(&cpu.part, style),
            shown(&cpu.socket, style),
            shown(&cpu.brand, style),
            shown(&cpu.signature, style),
            counted(cpu.cores, ""),
            shown(&cpu.microcode, style),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

fn modules(dimms: &[DimmView], style: Style) -> String {
    let mut table = Table::new(&["part", "size", "type", "MT/s", "set", "maker", "part number", "serial number"]);
    for dimm in dimms {
        table.row([
            for_terminal(&dimm.part, style),
            counted(dimm.size_mib, " MiB"),
            shown(&dimm.r#type, style),
            counted(dimm.speed_mts, ""),
            counted(dimm.configured_mts, ""),
            shown(&dimm.manufacturer, style),
            shown(&dimm.part_number, style),
            shown(&dimm.serial, style),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

fn drives(drives: &[DriveView], style: Style) -> String {
    let mut table = Table::new(&["part", "model", "firmware", "size", "hours", "cycles", "used", "serial number"]);
    for drive in drives {
        table.row([
            for_terminal(&drive.part, style),
            shown(&drive.model, style),
            shown(&drive.firmware, style),
            drive.size_bytes.map_or_else(|| "-".to_owned(), binary_bytes),
            counted(drive.power_on_hours, ""),
            counted(drive.power_cycles, ""),
            counted(drive.percentage_used, " %"),
            shown(&drive.serial, style),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

/// What shows the facts that begin so.
const ASK: &[(&str, &str)] = &[
    ("gpu.nvml.", "nvidia-smi -q"),
    ("gpu.pci.", "lspci -nnvvv as root"),
    ("gpu.vbios.", "the VBIOS image"),
    ("gpu.cuda.", "deviceQuery of the CUDA samples"),
    ("gpu.procfs.", "/proc/driver/nvidia/gpus/*/information"),
    ("dimm.smbios.", "dmidecode as root"),
    ("dimm.spd.", "decode-dimms as root"),
    ("cpu.cpuid.", "/proc/cpuinfo"),
    ("cpu.procfs.", "/proc/cpuinfo"),
];

/// The facts that most checks wait for.
fn most_wanted(checks: &[Check]) -> String {
    const SHOWN: usize = 6;
    let mut wanted: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut open = 0;
    for check in checks {
        if let Outcome::Inconclusive { missing } = &check.outcome {
            open += 1;
            for fact in missing {
                *wanted.entry(fact.as_str()).or_default() += 1;
            }
        }
    }
    if open == 0 {
        return String::new();
    }
    let mut wanted: Vec<(&str, usize)> = wanted.into_iter().collect();
    wanted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = wanted.len().saturating_sub(SHOWN);
    let mut names: Vec<String> = wanted.iter().take(SHOWN).map(|(fact, _)| (*fact).to_owned()).collect();
    if more > 0 {
        names.push(format!("{more} more facts"));
    }
    let mut text = format!("  {open} checks need what the file does not show: {}\n", names.join(", "));
    let ask = ASK.iter().filter(|(prefix, _)| wanted.iter().any(|(fact, _)| fact.starts_with(prefix)));
    let mut ask: Vec<&str> = ask.map(|(_, what)| *what).collect();
    ask.dedup();
    if !ask.is_empty() {
        text += &format!("  ask the seller for: {}\n", ask.join("; "));
    }
    text
}

fn section(heading: &str, body: &str, style: Style) -> String {
    if body.is_empty() { String::new() } else { format!("\n{}\n{body}", style.paint(Tone::Heading, heading)) }
}

fn parts(evidence: &Evidence, style: Style) -> String {
    let mut table = Table::new(&["part", "what it says it is", "serial number"]);
    let mut pci_functions = 0;
    for part in &evidence.parts {
        match SHOWN.iter().find(|(scope, _)| *scope == part.scope) {
            Some((_, paths)) => {
                table.row([for_terminal(&part.id, style), summary(part, paths, style), serial(part, style)]);
            }
            None if part.scope == "pci" => pci_functions += 1,
            None => {}
        }
    }
    if pci_functions > 0 {
        table.row(["pci".to_owned(), format!("{pci_functions} functions"), String::new()]);
    }
    if table.is_empty() { "  nothing could be seen\n".to_owned() } else { table.render() }
}

fn summary(part: &Part, paths: &[&str], style: Style) -> String {
    let mut words: Vec<String> = Vec::new();
    for path in paths {
        if let Some(Reading::Known(value)) = part.reading(path) {
            let word = value_plain(path, value, style);
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
    }
    if words.is_empty() {
        let reason = paths.iter().find_map(|path| part.reading(path)).map_or("nothing known", Reading::state);
        return format!("({reason})");
    }
    words.join(" ")
}

fn serial(part: &Part, style: Style) -> String {
    let path = SERIALS.iter().find(|(scope, _)| *scope == part.scope).map(|(_, path)| *path);
    match path.and_then(|path| part.reading(path)) {
        Some(Reading::Known(value)) => for_terminal(&value.to_string(), style),
        Some(Reading::Absent) | None => String::new(),
        Some(other) => format!("({})", other.state()),
    }
}

fn findings(checks: &[Check], signatures: &Signatures, style: Style) -> String {
    let mut firing: Vec<(&Check, &Finding)> = checks
        .iter()
        .filter_map(|check| match &check.outcome {
            Outcome::Fires(finding) => Some((check, finding)),
            _ => None,
        })
        .collect();
    firing.sort_by_key(|(_, finding)| std::cmp::Reverse((finding.severity, finding.confidence)));
    // The same rule on many parts is one story: it is told once, with each part's facts.
    let mut told: Vec<&str> = Vec::new();
    let mut text = String::new();
    for (check, finding) in &firing {
        if told.contains(&check.id.as_str()) {
            continue;
        }
        told.push(&check.id);
        let tone = if finding.severity >= Severity::High { Tone::Bad } else { Tone::Warning };
        let label = format!("{:?}", finding.severity).to_uppercase();
        let rule = signatures.rule(&check.id);
        let title = rule.map_or("", |rule| rule.title.as_str());
        text += &format!("  {} {}: {title}\n", style.paint(tone, &label), check.id);
        // Eight cards of one kind show the same facts: those are told once, too.
        let mut shown: Vec<(String, Vec<&str>)> = Vec::new();
        for (other, finding) in firing.iter().filter(|(other, _)| other.id == check.id) {
            let facts = witnesses(finding, style);
            match shown.iter_mut().find(|(known, _)| *known == facts) {
                Some((_, parts)) => parts.push(&other.part),
                None => shown.push((facts, vec![&other.part])),
            }
        }
        for (facts, parts) in shown {
            text += &format!("    {}\n{facts}", for_terminal(&parts.join(", "), style));
        }
        if let Some(rule) = rule {
            text += &format!("    innocent when: {}\n    next: {}\n", rule.innocent.join("; "), rule.next);
        }
    }
    text
}

fn witnesses(finding: &Finding, style: Style) -> String {
    let mut text = String::new();
    for witness in &finding.witnesses {
        let found = match &witness.found {
            Reading::Known(value) => value_plain(witness.fact.as_str(), value, style),
            other => other.state().to_owned(),
        };
        text += &format!("      {}: found {found}", witness.fact);
        if !witness.expected.is_empty() {
            text += &format!(", expected {}", for_terminal(&witness.expected, style));
        }
        text += &format!(" [{}]\n", for_terminal(&witness.source, style));
    }
    text
}

fn privilege(inspection: &Inspection) -> String {
    let denied = inspection.denied();
    if denied.facts.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = denied.facts.iter().take(6).map(ToString::to_string).collect();
    if denied.facts.len() > names.len() {
        names.push(format!("{} more", denied.facts.len() - names.len()));
    }
    format!(
        "\nRunning as root would add {} facts ({}); {} checks stay open without them.\n",
        denied.facts.len(),
        names.join(", "),
        denied.checks
    )
}

fn verdict(inspection: &Inspection, style: Style) -> String {
    let judgement = &inspection.judgement;
    let tone = match judgement.verdict {
        Verdict::Accepted => Tone::Good,
        Verdict::Rejected => Tone::Bad,
        Verdict::Undecided => Tone::Warning,
    };
    let mut text =
        format!("\nVerdict: {} (policy {})\n", style.paint(tone, &judgement.verdict.to_string()), inspection.policy);
    for reason in &judgement.reasons {
        text += &format!("  - {}\n", for_terminal(reason, style));
    }
    text + &counts_line(judgement.counts)
}

/// A burn-in by itself: its facts, what they mean, and the count. The verdict over the machine is not its to give.
pub fn burn_plain(summary: &Summary, inspection: &Inspection, signatures: &Signatures, style: Style) -> String {
    let mut table = Table::new(&["fact", "value"]);
    for part in &inspection.evidence.parts {
        for (path, fact) in part.facts.iter().filter(|(path, _)| path.as_str().starts_with("burn.")) {
            let value = match &fact.reading {
                Reading::Known(value) => value_plain(path.as_str(), value, style),
                Reading::Failed(reason) => format!("(failed: {})", for_terminal(reason, style)),
                other => format!("({})", other.state()),
            };
            table.row([path.to_string(), value]);
        }
    }
    let mut text = section("Burn-in", &table.render(), style);
    text += &gpus_burned_plain(&inspection.evidence, &summary.gpus, style);
    text += &section("Behaviour of the GPUs", &behaviour(&inspection.evidence, style), style);
    // Without the machine around it, only the rules about the burn-in can say something.
    let of_burn = |check: &&Check| check.id.starts_with("burn.") || check.id.starts_with("gpu.burn-");
    let checks: Vec<Check> = inspection.checks.iter().filter(of_burn).cloned().collect();
    text += &section("Findings", &findings(&checks, signatures, style), style);
    text += &section("Not checkable", &blind(&checks, &inspection.evidence, style), style);
    let ending = match summary.ending() {
        Ending::Clean => style.paint(Tone::Good, "complete, and nothing was found"),
        Ending::ErrorsFound => style.paint(Tone::Bad, "errors found"),
        Ending::Undecided => style.paint(Tone::Warning, "undecided"),
    };
    text += &format!("\nResult: {ending} ({} records, chain head {})\n", summary.records, summary.head);
    text + &counts_line(Counts::of(&checks))
}

/// What a burn says of each GPU: its facts, and then what was measured and how.
pub fn gpus_burned_plain(evidence: &Evidence, gpus: &BTreeMap<String, GpuSummary>, style: Style) -> String {
    let mut text = String::new();
    for part in evidence.scope("gpu") {
        let title = format!("GPU {}", for_terminal(part.id.trim_start_matches("gpu:"), style));
        if let Some(table) = gpu_burn(part, style) {
            text += &section(&title, &table, style);
        }
    }
    text + &measurements_plain(gpus, style)
}

/// What each burned GPU says it is and was sold as, and what it behaves like.
fn behaviour(evidence: &Evidence, style: Style) -> String {
    let mut text = String::new();
    for part in evidence.scope("gpu") {
        let Some(like) = part.reading("gpu.burned.behaves_like") else { continue };
        let like = match like {
            Reading::Known(value) => for_terminal(&value.to_string(), style),
            Reading::Failed(reason) => format!("not known ({})", for_terminal(reason, style)),
            other => format!("not known ({})", other.state()),
        };
        text += &format!("  {}\n", for_terminal(&part.id, style));
        let says = ["gpu.nvml.name", "gpu.burn.cuda.name"].iter().find_map(|path| part.text(path));
        for (label, words) in [("says it is", says), ("sold as", part.text("gpu.claim.text"))] {
            if let Some(words) = words {
                text += &format!("    {label}: {}\n", for_terminal(words, style));
            }
        }
        text += &format!("    behaves like: {like}\n");
    }
    text
}

/// What the burn of a GPU says, as a table; `None` where there was none.
fn gpu_burn(part: &Part, style: Style) -> Option<String> {
    let mut table = Table::new(&["fact", "value"]);
    let mut any = false;
    // The measurements have a table of their own.
    let measured = |path: &str| Quantity::ALL.iter().any(|quantity| quantity.fact() == path);
    for (path, fact) in &part.facts {
        let Some(name) = path.as_str().strip_prefix("gpu.burn.") else { continue };
        any = true;
        if measured(path.as_str()) {
            continue;
        }
        let values = match &fact.reading {
            Reading::Known(Value::List(items)) if items.is_empty() => vec!["none".to_owned()],
            // Sentences have a row each.
            Reading::Known(Value::List(items)) if items.iter().any(|item| item.to_string().contains(' ')) => {
                items.iter().map(|item| for_terminal(&item.to_string(), style)).collect()
            }
            Reading::Known(value) => vec![value_plain(path.as_str(), value, style)],
            Reading::Failed(reason) => vec![format!("(not measured: {})", for_terminal(reason, style))],
            other => vec![format!("({})", other.state())],
        };
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        names.zip(values).for_each(|(name, value)| table.row([name.to_owned(), value]));
    }
    any.then(|| table.render())
}

/// The last line of every report.
pub fn counts_line(counts: Counts) -> String {
    format!("{} clear, {} firing, {} not checkable\n", counts.clear, counts.firing, counts.not_checkable)
}
