//! `deviceQuery` and `deviceQueryDrv` of the CUDA samples.
//!
//! ```text
//! Device 0: "NVIDIA GH200 480GB"
//!   Total amount of global memory:                 96768 MBytes (101468602368 bytes)
//!   (132) Multiprocessors, (128) CUDA Cores/MP:    16896 CUDA Cores
//!   Device PCI Domain ID / Bus ID / location ID:   0 / 221 / 0                        decimal
//! ```

use super::plain_text;

/// Devices that are read of one text.
const MAX_DEVICES: usize = 256;

/// One device. `None`: not printed, or not a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Product name.
    pub name: String,
    /// `domain:bus:device.function`.
    pub address: Option<String>,
    /// Memory for programs, in MiB, rounded as printed.
    pub memory_mib: Option<u64>,
    /// Streaming multiprocessors.
    pub sm_count: Option<u64>,
    /// CUDA cores.
    pub cores: Option<u64>,
    /// Width of the memory bus.
    pub bus_width_bits: Option<u64>,
    /// Highest clock of the multiprocessors.
    pub clock_mhz: Option<u64>,
    /// Highest clock of the memory.
    pub memory_clock_mhz: Option<u64>,
    /// Size of the second-level cache.
    pub l2_cache_bytes: Option<u64>,
    /// Compute capability.
    pub compute_capability: Option<String>,
    /// Whether ECC is on.
    pub ecc: Option<bool>,
}

/// Whether the text has one.
pub fn recognise(text: &str) -> bool {
    plain_text::has(text, "CUDA Capability Major/Minor version number")
        && text.lines().any(|line| heading(line).is_some())
}

/// Every device of the text.
pub fn parse(text: &str) -> Vec<Device> {
    let mut found: Vec<Device> = Vec::new();
    for line in text.lines() {
        if let Some(name) = heading(line) {
            if found.len() >= MAX_DEVICES {
                break;
            }
            found.push(Device { name: name.chars().take(256).collect(), ..Device::default() });
            continue;
        }
        if let (Some(device), Some((label, value))) = (found.last_mut(), line.trim().split_once(':')) {
            field(device, label.trim_end(), value.trim());
        }
    }
    found
}

/// `Device 0: "name"`
fn heading(line: &str) -> Option<&str> {
    let (number, name) = line.trim().strip_prefix("Device ")?.split_once(": \"")?;
    number.parse::<u32>().ok()?;
    name.strip_suffix('"')
}

fn field(device: &mut Device, label: &str, value: &str) {
    let number = || leading(value);
    match label {
        "CUDA Capability Major/Minor version number" => {
            let fits = value.len() < 8 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            device.compute_capability = fits.then(|| value.to_owned()).filter(|it| !it.is_empty());
        }
        "Total amount of global memory" => device.memory_mib = number(),
        "GPU Max Clock rate" | "GPU Clock rate" | "Clock rate" => device.clock_mhz = number(),
        "Memory Clock rate" => device.memory_clock_mhz = number(),
        "Memory Bus Width" => device.bus_width_bits = number(),
        "L2 Cache Size" => device.l2_cache_bytes = number(),
        "Device has ECC support" => {
            device.ecc = match value {
                "Enabled" => Some(true),
                "Disabled" => Some(false),
                _ => None,
            }
        }
        // Older ones print bus and device only.
        "Device PCI Domain ID / Bus ID / location ID" | "Device PCI Bus ID / PCI location ID" => {
            let numbers: Option<Vec<u32>> = value.split('/').map(|it| it.trim().parse().ok()).collect();
            let (domain, bus, location) = match numbers.as_deref() {
                Some([domain, bus, location]) => (*domain, *bus, *location),
                Some([bus, location]) => (0, *bus, *location),
                _ => return,
            };
            if bus < 256 && location < 32 {
                device.address = Some(format!("{domain:04x}:{bus:02x}:{location:02x}.0"));
            }
        }
        _ if label.contains("Multiprocessors") => {
            let inside = label.strip_prefix('(').and_then(|rest| rest.split_once(')'));
            device.sm_count = inside.and_then(|(count, _)| count.trim().parse().ok());
            device.cores = number();
        }
        _ => {}
    }
}

/// The number at the beginning.
fn leading(text: &str) -> Option<u64> {
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(text in "(Device 0: \"x\"\n|Memory Bus Width:|\\( 8\\) Multiprocessors,:|Device PCI Bus ID / PCI location ID:|1 / 2|\n|\\PC){0,60}") {
            recognise(&text);
            parse(&text);
        }
    }

    #[test]
    fn older_layouts() {
        let text = "Device 0: \"GTX 680\"\n CUDA Capability Major/Minor version number:    3.0\n\
            ( 8) Multiprocessors, (192) CUDA Cores/MP:     1536 CUDA Cores\n GPU Clock rate: 1137 MHz (1.14 GHz)\n\
            Device PCI Bus ID / PCI location ID:           8 / 0\n";
        assert!(recognise(text));
        let device = &parse(text)[0];
        assert_eq!((device.sm_count, device.cores, device.clock_mhz), (Some(8), Some(1536), Some(1137)));
        assert_eq!(device.address.as_deref(), Some("0000:08:00.0"));
    }
}
