//! `/proc/driver/nvidia/gpus/*/information`: what NVIDIA's kernel module says of a GPU, as `Name: value` lines (`nv-procfs.c`
//! of NVIDIA's open kernel modules).

/// The fields that identify a GPU; `None` where the line is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Information {
    /// Product name.
    pub model: Option<String>,
    /// UUID. Before the driver has initialised the GPU its digits are question marks.
    pub uuid: Option<String>,
    /// VBIOS version; question marks before the driver has initialised the GPU.
    pub vbios_version: Option<String>,
    /// PCI address: `0000:07:00.0`.
    pub address: Option<String>,
    /// Minor number of `/dev/nvidiaN`.
    pub minor: Option<u32>,
    /// Version of the GPU system processor's firmware, or `N/A`.
    pub firmware: Option<String>,
    /// Whether the driver leaves the GPU alone.
    pub excluded: Option<bool>,
}

/// Reads the file. Of two lines with one name the first one stays.
pub fn parse(text: &str) -> Information {
    let mut found = Information::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        let mut text = |field: fn(&mut Information) -> &mut Option<String>| {
            if !value.is_empty() {
                field(&mut found).get_or_insert_with(|| value.to_owned());
            }
        };
        match name.trim() {
            "Model" => text(|it| &mut it.model),
            "GPU UUID" => text(|it| &mut it.uuid),
            "Video BIOS" => text(|it| &mut it.vbios_version),
            "Bus Location" => text(|it| &mut it.address),
            "GPU Firmware" => text(|it| &mut it.firmware),
            "Device Minor" => found.minor = found.minor.or(value.parse().ok()),
            // Before driver 470 it was called blacklisted.
            "GPU Excluded" | "Blacklisted" => {
                found.excluded = found.excluded.or(match value {
                    "Yes" => Some(true),
                    "No" => Some(false),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields() {
        let text = "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 184\nGPU UUID: \t GPU-a1b2\nVideo BIOS: \t \
                    92.00.19.00.01\nBus Type: \t PCIe\nBus Location: \t 0000:07:00.0\nDevice Minor: \t 3\n\
                    GPU Firmware: \t N/A\nGPU Excluded:\t No\nModel: again\n";
        let found = parse(text);
        assert_eq!(found.model.as_deref(), Some("NVIDIA A100-SXM4-40GB"));
        assert_eq!(found.uuid.as_deref(), Some("GPU-a1b2"));
        assert_eq!(found.vbios_version.as_deref(), Some("92.00.19.00.01"));
        assert_eq!(found.address.as_deref(), Some("0000:07:00.0"));
        assert_eq!((found.minor, found.excluded), (Some(3), Some(false)));
        assert_eq!(found.firmware.as_deref(), Some("N/A"));
        assert_eq!(parse("Model\nDevice Minor: x\nGPU UUID:\n"), Information::default());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Model|GPU UUID|Device Minor|Blacklisted|:|\n|\\PC){0,40}") {
            parse(&text);
        }
    }
}
