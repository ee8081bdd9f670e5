//! What `lspci` prints of each function, with any of `-n`, `-nn`, `-k`, `-v`, `-vv`, `-vvv`, `-x`, `-xxx`, `-xxxx`.
//!
//! ```text
//! 05:00.0 VGA compatible controller [0300]: NVIDIA Corporation GA102 [GeForce RTX 3080] [10de:2206] (rev a1)
//!         Subsystem: NVIDIA Corporation GA102 [GeForce RTX 3080 20GB] [10de:146d]
//!         Region 1: Memory at 28800000000 (64-bit, prefetchable) [size=32G]              -v leaves "Region 1: " out
//!                 LnkCap: Port #0, Speed 16GT/s, Width x16, ASPM L1
//!                 LnkSta: Speed 2.5GT/s (downgraded), Width x16 (ok)
//!         Capabilities: [bb0 v1] Physical Resizable BAR
//!                 BAR 1: current size: 32GB, supported: 64MB 128MB … 32GB
//!         Kernel driver in use: nvidia
//! 00: de 10 06 22 07 04 10 00 a1 00 00 03 00 00 80 00                                    -x
//! ```
//!
//! Extracts are read too, when a line above them names an address: `### GPU 0000:17:00.0 lspci BAR`.

use super::pci_address;

/// Functions that are read of one text; a large server has about 2,000.
const MAX_FUNCTIONS: usize = 8192;
const MAX_CONFIG_BYTES: usize = 4096;

/// One function. `None`: the line is not there, or cannot be understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// `domain:bus:device.function`.
    pub address: String,
    /// Whether only a line above an extract names the function: it has no vendor, and that line says that it is a GPU.
    pub extract: bool,
    /// Name of the class: `VGA compatible controller`.
    pub class_name: Option<String>,
    /// Class and subclass: `0x0300`.
    pub class: Option<u16>,
    /// Programming interface.
    pub prog_if: Option<u8>,
    /// Vendor and device in words, ids and revision cut off.
    pub name: String,
    /// Vendor and device id.
    pub ids: Option<(u16, u16)>,
    /// Revision id.
    pub revision: Option<u8>,
    /// Subsystem in words.
    pub subsystem_name: Option<String>,
    /// Subsystem vendor and device id.
    pub subsystem: Option<(u16, u16)>,
    /// Sizes of the BARs in use, in bytes.
    pub bar_bytes: Vec<u64>,
    /// Speed in MT/s a lane and width that the link can have.
    pub link_capability: Option<(u64, u64)>,
    /// Speed and width now.
    pub link_status: Option<(u64, u64)>,
    /// Resizable BARs: current and largest size in bytes.
    pub resizable_bars: Vec<(u64, u64)>,
    /// Whether capabilities were refused for lack of privilege.
    pub capabilities_denied: bool,
    /// Physical slot.
    pub slot: Option<String>,
    /// NUMA node.
    pub numa_node: Option<u64>,
    /// Device Serial Number.
    pub serial_number: Option<String>,
    /// Driver in use.
    pub driver: Option<String>,
    /// Whether drivers are listed at all, so that no driver in use means that none is bound.
    pub drivers_listed: bool,
    /// Configuration space of the hexadecimal dump.
    pub config: Vec<u8>,
}

/// Whether the text has a function, or an extract about a GPU.
pub fn recognise(text: &str) -> bool {
    let mut extract = false;
    text.lines().any(|line| {
        extract |= extract_heading(line).is_some();
        heading(line).is_some() || (extract && line.trim_start().starts_with("Region "))
    })
}

/// Every function of the text.
pub fn parse(text: &str) -> Vec<Function> {
    let mut found: Vec<Function> = Vec::new();
    let mut virtual_bars = false;
    for line in text.lines() {
        if let Some(function) = heading(line).or_else(|| extract_heading(line)) {
            if found.len() >= MAX_FUNCTIONS {
                break;
            }
            virtual_bars = false;
            found.push(function);
        } else if let Some(function) = found.last_mut() {
            let line = line.trim();
            if line.starts_with("Capabilities:") {
                // The sizes that virtual functions may have are not those of the card.
                virtual_bars = line.contains("Virtual Resizable BAR");
            }
            if !virtual_bars || !line.starts_with("BAR ") {
                detail(function, line);
            }
        }
    }
    // An extract without any detail is a comment that names a GPU.
    found.retain(|it| !it.extract || !it.bar_bytes.is_empty() || it.link_capability.is_some());
    found
}

/// `05:00.0 VGA compatible controller [0300]: …`
fn heading(line: &str) -> Option<Function> {
    let (address, rest) = line.trim_start().split_once(' ')?;
    if !address.contains('.') || address.len() > 16 {
        return None;
    }
    let address = pci_address::parse(address)?;
    let (class, rest) = rest.split_once(": ")?;
    let mut function = Function { address, ..Function::default() };
    match class.rsplit_once(" [") {
        Some((name, code)) => {
            function.class = code.strip_suffix(']').and_then(hex16);
            function.class_name = Some(name.to_owned());
        }
        // With -n the class is a number.
        None => match hex16(class) {
            Some(code) => function.class = Some(code),
            None => function.class_name = Some(class.to_owned()),
        },
    }
    let (rest, prog_if) = cut_bracket(rest, " (prog-if ");
    function.prog_if = prog_if.and_then(|it| u8::from_str_radix(it.get(..2)?, 16).ok());
    let (rest, revision) = cut_bracket(rest, " (rev ");
    function.revision = revision.and_then(|it| u8::from_str_radix(it.get(..2)?, 16).ok());
    (function.name, function.ids) = name_and_ids(rest);
    (function.class.is_some() || function.class_name.as_ref().is_some_and(|it| is_class_name(it))).then_some(function)
}

/// What else may stand behind an address is a message of the kernel.
fn is_class_name(name: &str) -> bool {
    name.starts_with(|it: char| it.is_ascii_uppercase()) || matches!(name, "3D controller" | "2D controller")
}

/// A line of words that has an address and says GPU.
fn extract_heading(line: &str) -> Option<Function> {
    let trimmed = line.trim_start();
    if !trimmed.starts_with(['#', '=', '-', '*', '[']) && !trimmed.starts_with("GPU") {
        return None;
    }
    if line.len() > 200 || !["GPU", "gpu", "NVIDIA", "VGA"].iter().any(|word| line.contains(word)) {
        return None;
    }
    let is_address = |word: &&str| word.contains('.') && word.len() <= 16 && pci_address::parse(word).is_some();
    let word =
        line.split([' ', '\t', ',', '(', ')', '[', ']']).map(|word| word.trim_end_matches(':')).find(is_address)?;
    Some(Function { address: pci_address::parse(word)?, extract: true, ..Function::default() })
}

/// The text before a bracket, and what is in it.
fn cut_bracket<'a>(text: &'a str, opening: &str) -> (&'a str, Option<&'a str>) {
    match text.rfind(opening) {
        Some(at) => {
            let inside = &text[at + opening.len()..];
            (&text[..at], Some(inside.split(')').next().unwrap_or(inside)))
        }
        None => (text, None),
    }
}

fn hex16(text: &str) -> Option<u16> {
    (text.len() == 4).then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

/// `NVIDIA Corporation GA102 [GeForce RTX 3080] [10de:2206]`, or `10de:2206` alone.
fn name_and_ids(text: &str) -> (String, Option<(u16, u16)>) {
    let text = text.trim();
    let pair = |text: &str| text.split_once(':').and_then(|(a, b)| Some((hex16(a)?, hex16(b)?)));
    if let Some(ids) = pair(text) {
        return (String::new(), Some(ids));
    }
    match text.rsplit_once('[').and_then(|(name, ids)| Some((name, pair(ids.strip_suffix(']')?)?))) {
        Some((name, ids)) => (shorten(name.trim_end()), Some(ids)),
        None => (shorten(text), None),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(256).collect()
}

fn detail(function: &mut Function, line: &str) {
    if let Some((offset, bytes)) = dump_line(line) {
        // A dump has no gaps; what does not follow belongs to another tool.
        if offset == function.config.len() && offset + bytes.len() <= MAX_CONFIG_BYTES {
            function.config.extend(bytes);
        }
        return;
    }
    let Some((label, value)) = line.split_once(':') else {
        if function.bar_bytes.len() < 6
            && (line.starts_with("Memory at ") || line.starts_with("I/O ports at "))
            && let Some(bytes) = size_in(line)
        {
            function.bar_bytes.push(bytes);
        }
        return;
    };
    let value = value.trim();
    match label {
        "Subsystem" if function.subsystem_name.is_none() => {
            let (name, ids) = name_and_ids(value);
            function.subsystem_name = Some(name).filter(|name| !name.is_empty());
            function.subsystem = ids;
        }
        "Physical Slot" => function.slot = Some(shorten(value)),
        "NUMA node" => function.numa_node = value.parse().ok(),
        "LnkCap" if function.link_capability.is_none() => function.link_capability = link(value),
        "LnkSta" if function.link_status.is_none() => function.link_status = link(value),
        "Kernel driver in use" => {
            function.driver = Some(shorten(value));
            function.drivers_listed = true;
        }
        "Kernel modules" => function.drivers_listed = true,
        "Capabilities" => {
            function.capabilities_denied |= value.contains("access denied");
            if let Some((_, serial)) = value.split_once("Device Serial Number ") {
                function.serial_number = Some(shorten(serial.trim()));
            }
        }
        // Regions of virtual functions, further down, have no size.
        _ if label.starts_with("Region ") && function.bar_bytes.len() < 6 => {
            function.bar_bytes.extend(size_in(value));
        }
        _ if label.starts_with("BAR ") && function.resizable_bars.len() < 6 => {
            function.resizable_bars.extend(resizable(value));
        }
        _ => {}
    }
}

/// `00: de 10 84 26 …`
fn dump_line(line: &str) -> Option<(usize, Vec<u8>)> {
    let (offset, rest) = line.split_once(": ")?;
    if !(2..=3).contains(&offset.len()) {
        return None;
    }
    let offset = usize::from_str_radix(offset, 16).ok()?;
    let bytes: Option<Vec<u8>> = rest
        .split_ascii_whitespace()
        .take(17)
        .map(|byte| (byte.len() == 2).then(|| u8::from_str_radix(byte, 16).ok()).flatten())
        .collect();
    bytes.filter(|bytes| bytes.len() == 16).map(|bytes| (offset, bytes))
}

/// `… [size=32G]`
fn size_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("[size=")?;
    size(rest.split(']').next()?)
}

/// `256M`, `32GB`, `128`: bytes.
fn size(text: &str) -> Option<u64> {
    let text = text.strip_suffix('B').unwrap_or(text);
    let (digits, shift) = match text.chars().last()? {
        'K' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        'T' => (&text[..text.len() - 1], 40),
        'P' => (&text[..text.len() - 1], 50),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `current size: 32GB, supported: 64MB 128MB 32GB`
fn resizable(value: &str) -> Option<(u64, u64)> {
    let (current, supported) = value.strip_prefix("current size: ")?.split_once(", supported:")?;
    let largest = supported.split_ascii_whitespace().take(64).filter_map(size).max()?;
    Some((size(current.trim())?, largest))
}

/// `Port #0, Speed 16GT/s, Width x16, …`: MT/s and lanes.
fn link(value: &str) -> Option<(u64, u64)> {
    let speed = value.split_once("Speed ")?.1.split_once("GT/s")?.0.parse::<f64>().ok()?;
    let width = value.split_once("Width x")?.1;
    let width = &width[..width.find(|it: char| !it.is_ascii_digit()).unwrap_or(width.len())];
    let width = width.parse().ok().filter(|width| (1..=64).contains(width))?;
    (0.0..1000.0).contains(&speed).then(|| ((speed * 1000.0).round() as u64, width))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_alone_and_dumps() {
        let dump: String = (0..4)
            .map(|row| format!("{:02x}:{}\n", row * 16, (0..16).fold(String::new(), |line, _| line + " 1a")))
            .collect();
        let text = format!("0001:05:00.0 0300: 10de:2206 (rev a1)\n\tSubsystem: 10de:146d\n{dump}");
        assert!(recognise(&text));
        let function = &parse(&text)[0];
        assert_eq!(
            (function.class, function.ids, function.revision),
            (Some(0x0300), Some((0x10de, 0x2206)), Some(0xa1))
        );
        assert_eq!(function.subsystem, Some((0x10de, 0x146d)));
        assert_eq!((function.address.as_str(), function.config.len()), ("0001:05:00.0", 64));
    }

    #[test]
    fn sizes_of_virtual_functions_are_left_out() {
        let text = "19:00.0 3D controller: NVIDIA Corporation Device 2330 (rev a1)\n\
            \tRegion 0: Memory at 96200000 (32-bit, non-prefetchable)\n\tRegion 2: Memory at 1 [size=128G]\n\
            \tCapabilities: [134 v1] Physical Resizable BAR\n\t\tBAR 2: current size: 64GB, supported: 64MB 128GB\n\
            \tCapabilities: [140 v1] Virtual Resizable BAR\n\t\tBAR 1: current size: 4GB, supported: 64MB 8EB 512TB\n";
        let function = &parse(text)[0];
        assert_eq!(function.bar_bytes, [128 << 30]);
        assert_eq!(function.resizable_bars, [(64 << 30, 128 << 30)]);
        assert_eq!(function.name, "NVIDIA Corporation Device 2330");
        assert!(!recognise("[12:30.5] GPU: hello\n12:30.1 pm: lunch\n"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(05:00\\.0 VGA controller \\[0300\\]: |\\[10de:2206\\]|\\(rev |\\(prog-if | |\n|LnkCap: Speed |GT/s, Width x|Region 0: |BAR 1: current size: |\\[size=|99999999999G|00: 00|### GPU 17:00\\.0|\\PC){0,60}") {
            recognise(&text);
            parse(&text);
        }
    }
}
