//! `/proc/driver/nvidia/gpus/*/information`, and `/proc/driver/nvidia/cards/*` of drivers before 2012.
//!
//! ```text
//! Model:           Tesla V100-SXM2-16GB
//! GPU UUID:        GPU-edfee158-11c1-52b8-0517-92f30e7fac88
//! Video BIOS:      88.00.41.00.01
//! Bus Location:    0000:06:00.0
//! Device Minor:    0
//! GPU Firmware:    535.54.03
//! GPU Excluded:    No
//! ```
//!
//! Where the driver has not started a GPU, digits are question marks.

use super::plain_text;

/// GPUs that are read of one text.
const MAX_GPUS: usize = 256;

/// One GPU as the kernel module prints it. `None`: the line is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Information {
    /// Product name.
    pub model: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
    /// VBIOS version.
    pub vbios_version: Option<String>,
    /// `domain:bus:device.function`.
    pub address: Option<String>,
    /// Minor number of `/dev/nvidiaN`.
    pub minor: Option<String>,
    /// Version of the GPU system processor's firmware.
    pub firmware: Option<String>,
    /// `Yes` where the driver leaves the GPU alone.
    pub excluded: Option<String>,
}

/// Whether the text has such a file.
pub fn recognise(text: &str) -> bool {
    plain_text::has(text, "Model") && !parse(text).is_empty()
}

/// One or several of the files, one behind the other. Each begins with the model.
pub fn parse(text: &str) -> Vec<Information> {
    let mut found: Vec<Information> = Vec::new();
    for line in text.lines() {
        let Some((label, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim();
        if label == "Model" {
            if found.len() >= MAX_GPUS {
                break;
            }
            found.push(Information { model: Some(value.to_owned()), ..Information::default() });
        }
        let Some(gpu) = found.last_mut() else { continue };
        let place = match label.trim_end() {
            "GPU UUID" => &mut gpu.uuid,
            "Video BIOS" => &mut gpu.vbios_version,
            "Bus Location" => &mut gpu.address,
            "Device Minor" => &mut gpu.minor,
            "GPU Firmware" => &mut gpu.firmware,
            "GPU Excluded" | "GPU Blacklisted" | "Blacklisted" => &mut gpu.excluded,
            _ => continue,
        };
        if place.is_none() && value.len() <= 256 {
            *place = Some(value.to_owned());
        }
    }
    // lsusb and others print a model as well; the VBIOS line makes it a GPU's.
    found.retain(|gpu| gpu.vbios_version.is_some() && gpu.model.as_ref().is_some_and(|model| model.len() <= 256));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_files_in_one_text() {
        let text = "$ cat /proc/driver/nvidia/gpus/*/information\nModel: \t\t A\nGPU UUID: \t GPU-1\r\n\
            Video BIOS: \t 88.00\nBus Location: \t 0000:06:00.0\nModel:  B\nVideo BIOS: ??.??\nModel: a disk\n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].uuid.as_deref(), found[0].address.as_deref()), (Some("GPU-1"), Some("0000:06:00.0")));
        assert_eq!((found[1].model.as_deref(), found[1].uuid.as_deref()), (Some("B"), None));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Model:|Video BIOS:|GPU UUID:| |\n|\\PC){0,60}") {
            parse(&text);
        }
    }
}
