//! `nvidia-smi -q` as text.
//!
//! ```text
//! ==============NVSMI LOG==============
//! Driver Version                            : 535.183.01      labels are padded to 41 or, from driver 580 on, 54 columns
//! Attached GPUs                             : 8
//! GPU 00000000:53:00.0                                        a heading for each GPU
//!     Serial Number                         : 1655022005478
//!     FB Memory Usage                                         headings have no colon; what is below is indented
//!         Total                             : 81559 MiB
//! ```
//!
//! Extracts made by grep are read too: without headings a new GPU starts where a label that names the GPU comes again.
//! Web pages drop the indentation; a GPU without any is read with the last heading before each label.

use super::{Gpu, Log};
use crate::parse::pci_address;

/// Labels that a GPU has once. In an extract, the second one belongs to the next GPU.
const ONCE: &[&str] = &[
    "Product Name",
    "GPU UUID",
    "Serial Number",
    "VBIOS Version",
    "GPU Part Number",
    "Board Part Number",
    "Minor Number",
    "Bus Id",
    "Device Id",
];
/// Labels by which an extract without headings is recognised.
const KNOWN: &[&str] = &["GPU PDI", "Sub System Id", "Product Architecture", "Product Brand", "GPU Operation Mode"];
/// Those of [`ONCE`] that no other tool prints, and how product names begin.
const ONLY_HERE: &[&str] = &["GPU UUID", "VBIOS Version", "GPU Part Number"];
const MAKERS: &[&str] = &["NVIDIA", "Tesla", "GeForce", "Quadro", "TITAN", "GRID"];
/// Headings below which there are lists that nobody needs.
const LISTS: &[&str] = &["Supported Clocks", "Processes", "Accounted Processes"];
/// Heading of a partition, and the label that follows the last one.
const MIG_DEVICE: &str = "MIG Device";
const BEHIND_PARTITIONS: &str = "Accounting Mode";
/// Messages about one GPU, and the labels under which [`parse`] gives the rest of their line.
const MESSAGES: &[(&str, &str)] = &[
    ("unable to determine the device handle for gpu", DEVICE_HANDLE),
    ("warning: inforom is corrupted at gpu", INFOROM_WARNING),
];
/// Label of the message that the driver could not reach a GPU.
pub const DEVICE_HANDLE: &str = "Device Handle";
/// Label of the message that the InfoROM is damaged.
pub const INFOROM_WARNING: &str = "InfoROM Warning";

/// Whether the text has a printout, or lines of one.
pub fn recognise(text: &str) -> bool {
    if text.contains("NVSMI LOG") || text.lines().any(|line| heading(line).is_some() || message(line).is_some()) {
        return true;
    }
    // Other tools print serial numbers and part numbers of other things.
    let (mut known, mut of_a_gpu) = (0, false);
    for (label, value) in labels(text) {
        let only_here = KNOWN.contains(&label) || ONLY_HERE.contains(&label);
        known += usize::from(only_here || ONCE.contains(&label));
        of_a_gpu |= only_here || label == "Product Name" && MAKERS.iter().any(|maker| value.starts_with(maker));
    }
    known >= 2 && of_a_gpu
}

/// Reads one or several printouts. Lines that belong to none are passed over.
pub fn parse(text: &str) -> Log {
    let mut log = Log::default();
    let mut block: Option<Block<'_>> = None;
    let has_headings = text.lines().any(|line| heading(line).is_some());
    let mut extract = Block::default();
    for line in text.lines() {
        let line = unquoted(line);
        if let Some(address) = heading(line) {
            close(&mut log, block.replace(Block { address: Some(address), indent: indent(line), lines: Vec::new() }));
        } else if line.contains("NVSMI LOG") || ends_a_printout(line) {
            close(&mut log, block.take());
        } else if let Some(gpu) = message(line) {
            log.gpu(gpu);
        } else if let Some(block) = &mut block {
            if !line.trim().is_empty() {
                block.lines.push(line);
            }
        } else {
            if let Some((label, value)) = label(line) {
                head(&mut log, label, value);
            }
            if !has_headings && !line.trim().is_empty() {
                extract.lines.push(line);
            }
        }
    }
    close(&mut log, block);
    if !has_headings {
        split_extract(&mut log, &extract);
    }
    log
}

/// One GPU's lines.
#[derive(Default)]
struct Block<'a> {
    address: Option<&'a str>,
    indent: usize,
    lines: Vec<&'a str>,
}

fn close(log: &mut Log, block: Option<Block<'_>>) {
    let Some(block) = block else { return };
    let Some(gpu) = log.gpu(Gpu { address: block.address.map(str::to_owned), ..Gpu::default() }) else { return };
    // Where web pages took the indentation away, nothing is deeper than the heading.
    let flat = block.lines.iter().all(|line| indent(line) <= block.indent);
    let mut headings = Headings { flat, open: Vec::new() };
    for line in &block.lines {
        // What is not deeper than the heading is no part of it: a message that came in between.
        if !flat && indent(line) <= block.indent {
            continue;
        }
        match label(line) {
            Some((label, value)) => {
                if let Some(path) = headings.path(indent(line), label) {
                    gpu.add(path, value);
                }
            }
            None => headings.open(indent(line), line.trim()),
        }
    }
}

/// GPUs of an extract without headings.
fn split_extract(log: &mut Log, extract: &Block<'_>) {
    let flat = extract.lines.iter().all(|line| indent(line) == 0);
    let mut headings = Headings { flat, open: Vec::new() };
    let mut gpu = Gpu::default();
    let known = |gpu: &Gpu| gpu.fields.iter().any(|field| ONCE.contains(&field.path.as_str()));
    for line in &extract.lines {
        let Some((label, value)) = label(line) else {
            headings.open(indent(line), line.trim());
            continue;
        };
        let Some(path) = headings.path(indent(line), label) else { continue };
        // Without the headings above it, "Bus Id" has its label alone.
        let path = if ONCE.contains(&label) { label.to_owned() } else { path };
        if ONCE.contains(&label) && gpu.value(label).is_some() {
            log.gpu(std::mem::take(&mut gpu));
        }
        gpu.add(path, value);
    }
    if known(&gpu) {
        log.gpu(gpu);
    }
}

/// The headings that are open at a line.
struct Headings<'a> {
    flat: bool,
    open: Vec<(usize, &'a str)>,
}

impl<'a> Headings<'a> {
    fn open(&mut self, indent: usize, heading: &'a str) {
        self.leave(indent);
        if self.flat {
            // A partition has memory of its own, which must not be taken for the GPU's.
            self.open.truncate(usize::from(self.open.first().is_some_and(|(_, first)| *first == MIG_DEVICE)));
        }
        // No printout is nested deeper; noise is.
        if self.open.len() < 8 && heading.len() < 80 {
            self.open.push((indent, heading));
        }
    }

    fn leave(&mut self, indent: usize) {
        if !self.flat {
            while self.open.last().is_some_and(|(open, _)| *open >= indent) {
                self.open.pop();
            }
        }
    }

    /// Headings and label; `None` inside a list.
    fn path(&mut self, indent: usize, label: &str) -> Option<String> {
        self.leave(indent);
        if self.flat && (label == BEHIND_PARTITIONS || ONCE.contains(&label)) {
            self.open.clear();
        }
        if self.open.iter().any(|(_, heading)| LISTS.contains(heading)) && !ONCE.contains(&label) {
            return None;
        }
        // Without indentation nothing says where a heading ends: labels that stand alone do so everywhere.
        if self.flat && self.open.len() < 2 && (ONCE.contains(&label) || KNOWN.contains(&label)) {
            return Some(label.to_owned());
        }
        let mut path: String = self.open.iter().flat_map(|(_, heading)| [*heading, "/"]).collect();
        path.push_str(label);
        Some(path)
    }
}

/// `GPU 00000000:53:00.0`, the whole line.
fn heading(line: &str) -> Option<&str> {
    let rest = unquoted(line).trim().strip_prefix("GPU ")?.trim();
    (rest.contains('.') && pci_address::parse(rest).is_some()).then_some(rest)
}

/// Without the marks of a quoted mail or of a Markdown quotation.
fn unquoted(line: &str) -> &str {
    let mut rest = line;
    while let Some(below) = rest.strip_prefix('>') {
        rest = below.strip_prefix(' ').unwrap_or(below);
    }
    rest
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A line that only another command prints.
fn ends_a_printout(line: &str) -> bool {
    line.starts_with("+--") || line.starts_with("<?xml") || line.starts_with("########")
}

/// Label and value of a line: at least one space stands before the colon, which keeps times and addresses out. An empty
/// value ends the line.
fn label(line: &str) -> Option<(&str, &str)> {
    let at = line.match_indices(':').find_map(|(at, _)| at.checked_sub(1).filter(|at| line.as_bytes()[*at] == b' '))?;
    let value = &line[at + 2..];
    let label = line[..at].trim();
    let fits = !label.is_empty() && label.len() < 80 && (value.is_empty() || value.starts_with([' ', '\t']));
    fits.then(|| (label, value.trim()))
}

fn labels(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| label(unquoted(line)))
}

/// A line above the GPUs.
fn head(log: &mut Log, label: &str, value: &str) {
    let place = match label {
        "Driver Version" | "DRIVER version" => &mut log.driver_version,
        "CUDA Version" | "CUDA version" | "CUDA DRIVER version" => &mut log.cuda_version,
        "NVML version" => &mut log.nvml_version,
        "Attached GPUs" => {
            log.attached = log.attached.or_else(|| value.parse().ok());
            return;
        }
        _ => return,
    };
    if place.is_none() && !value.is_empty() && value.len() < 64 {
        *place = Some(value.to_owned());
    }
}

/// `Unable to determine the device handle for GPU 0000:53:00.0: GPU is lost.  Reboot the system to recover this GPU`
fn message(line: &str) -> Option<Gpu> {
    let line = line.trim_start();
    let begins = |words: &str| line.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    let (words, label) = MESSAGES.iter().find(|(words, _)| begins(words))?;
    let rest = &line[words.len()..];
    // Some drivers print a number before the address: `GPU0: 0000:53:00.0: Unknown Error`.
    let address = rest
        .split_ascii_whitespace()
        .map(|word| word.trim_end_matches(':'))
        .find(|word| word.contains('.') && pci_address::parse(word).is_some())?;
    let mut gpu = Gpu { address: Some(address.to_owned()), ..Gpu::default() };
    let text = rest.split_once(address).map_or("", |(_, text)| text.trim_start_matches(':').trim());
    gpu.add(*label, if text.is_empty() { "yes" } else { text });
    Some(gpu)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRINTOUT: &str = "\
==============NVSMI LOG==============

Driver Version                            : 535.183.01
Attached GPUs                             : 2
GPU 00000000:53:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    MIG Device
        FB Memory Usage
            Total                         : 9856 MiB
    Accounting Mode                       : Disabled
    FB Memory Usage
        Total                             : 81559 MiB
    Clocks Event Reasons
        HW Slowdown                       : Not Active
            HW Thermal Slowdown           : Active
    Supported Clocks
        Memory                            : 2619 MHz
            Graphics                      : 1980 MHz
    Processes                             : None
GPU 00000000:64:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
";

    #[test]
    fn headings_make_paths() {
        let log = parse(PRINTOUT);
        assert_eq!((log.driver_version.as_deref(), log.attached), (Some("535.183.01"), Some(2)));
        assert_eq!(log.gpus.len(), 2);
        let gpu = &log.gpus[0];
        assert_eq!(gpu.address.as_deref(), Some("00000000:53:00.0"));
        assert_eq!(gpu.value("FB Memory Usage/Total"), Some("81559 MiB"));
        assert_eq!(gpu.value("MIG Device/FB Memory Usage/Total"), Some("9856 MiB"));
        assert_eq!(gpu.value("Clocks Event Reasons/HW Thermal Slowdown"), Some("Active"));
        assert!(gpu.fields.iter().all(|field| !field.path.contains("Supported")), "{gpu:?}");
    }

    #[test]
    fn lost_indentation_quotes_and_messages_in_between() {
        let flat: String = PRINTOUT.lines().map(|line| format!("> {}\n", line.trim())).collect();
        let gpu = parse(&flat).gpus.remove(0);
        assert_eq!(gpu.value("Product Name"), Some("NVIDIA H100 80GB HBM3"));
        assert_eq!(gpu.value("FB Memory Usage/Total"), Some("81559 MiB"));
        let noisy = PRINTOUT.replace("\n    FB", "\n[ 12.3] NVRM : Xid 79\n    FB");
        assert_eq!(parse(&noisy).gpus[0].value("FB Memory Usage/Total"), Some("81559 MiB"));
    }

    #[test]
    fn extracts_are_split_where_a_label_comes_again() {
        let lines: String = (0..3)
            .map(|index| format!("    Serial Number   : 165000000000{index}\n    VBIOS Version   : 96.00.74.00.01\n"))
            .collect();
        assert!(recognise(&lines));
        let serials: Vec<_> =
            parse(&lines).gpus.iter().map(|gpu| gpu.value("Serial Number").map(str::to_owned)).collect();
        assert_eq!(serials, ["1650000000000", "1650000000001", "1650000000002"].map(|it| Some(it.to_owned())));
        assert!(recognise("Product Name : Tesla T4\nSerial Number : 1\n"));
        let fru = " Product Name          : PowerEdge\n Board Part Number     : 0X\n Serial Number : 1\n";
        assert!(!recognise(fru), "ipmitool fru prints the same labels");
        assert!(!recognise("2026-01-01 : nothing\nName : x\n"));
    }

    #[test]
    fn a_lost_gpu_is_one_too() {
        for line in [
            "Unable to determine the device handle for GPU 0000:53:00.0: GPU is lost.  Reboot the system",
            "Unable to determine the device handle for GPU0: 0000:53:00.0: Unknown Error",
        ] {
            let gpu = parse(line).gpus.remove(0);
            assert_eq!(gpu.address.as_deref(), Some("0000:53:00.0"), "{line}");
            assert!(gpu.value(DEVICE_HANDLE).is_some_and(|text| text.contains("lost") || text == "Unknown Error"));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(GPU 0000:17:00\\.0\n|>| {1,6}|FB Memory Usage|Total| : |:|\n|Serial Number|unable to determine the device handle for gpu|\\PC){0,60}") {
            recognise(&text);
            parse(&text);
        }
    }
}
