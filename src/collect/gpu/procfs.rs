//! What NVIDIA's kernel module says, without NVML: `/proc/driver/nvidia` and `/sys/module/nvidia`. Everybody may read it.

use std::collections::BTreeMap;

use super::super::pci::is_address;
use super::super::{fill, read_text, reason};
use super::facts;
use crate::evidence::{EvidenceBuilder, PartBuilder, Reading};
use crate::host::Host;
use crate::parse::{nvidia_version, proc_information};

const VERSION: &str = "/proc/driver/nvidia/version";
const GPUS: &str = "/proc/driver/nvidia/gpus";
const MODULE: &str = "/sys/module/nvidia";

/// Whether the kernel module is loaded.
pub(super) fn is_loaded(host: &dyn Host) -> bool {
    matches!(host.read(VERSION), Reading::Known(_))
}

/// Adds `driver.kernel.*`.
pub(super) fn add_driver(host: &dyn Host, part: &mut PartBuilder<'_>) {
    let kernel = read_text(host, VERSION).and_then(|text| {
        nvidia_version::parse(&text).map_or_else(|| Reading::Failed("no version in it".to_owned()), Reading::Known)
    });
    let flavour = |open| if open { "open" } else { "proprietary" };
    part.fact("driver.kernel.version", kernel.as_ref().map(|it| it.version.clone()), VERSION).fact(
        "driver.kernel.flavour",
        kernel.map(|it| flavour(it.open)),
        VERSION,
    );
    for (path, name) in [("driver.kernel.module_version", "version"), ("driver.kernel.srcversion", "srcversion")] {
        let file = format!("{MODULE}/{name}");
        part.fact(path, read_text(host, &file), file);
    }
}

/// Adds `gpu.procfs.*` to the GPUs at those addresses, and to GPUs that only the kernel module has.
pub(super) fn add_gpus(host: &dyn Host, known: &[String], out: &mut EvidenceBuilder) {
    // Without the module there is nobody to ask.
    let listed = match host.list(GPUS) {
        Reading::Absent => Reading::Unsupported,
        other => other,
    };
    let names = listed.known().into_iter().flatten().filter(|name| is_address(name)).take(256);
    let mut folders: BTreeMap<String, String> =
        names.map(|name| (name.to_ascii_lowercase(), format!("{GPUS}/{name}/information"))).collect();
    for address in known {
        let mut part = out.part("gpu", &format!("gpu:{address}"));
        match folders.remove(address) {
            Some(file) => add(host, &file, &mut part),
            // The module has others only: this one is bound to something else.
            None => fill(&mut part, facts::GPU, "gpu.procfs.", &reason(&listed), GPUS),
        }
    }
    for (address, file) in folders {
        add(host, &file, &mut out.part("gpu", &format!("gpu:{address}")));
    }
}

fn add(host: &dyn Host, file: &str, part: &mut PartBuilder<'_>) {
    let information = read_text(host, file).and_then(|text| {
        let first = proc_information::parse(&text).into_iter().next();
        first.map_or_else(|| Reading::Failed("no GPU in it".to_owned()), Reading::Known)
    });
    let text = |field: fn(&proc_information::Information) -> &Option<String>| {
        information.as_ref().and_then(|it| match field(it).as_deref() {
            None => Reading::Unsupported,
            Some("N/A") => Reading::Unsupported,
            Some(text) if text.contains("??") => {
                Reading::Failed("the driver has not initialised the GPU yet".to_owned())
            }
            Some(text) => Reading::Known(text.to_owned()),
        })
    };
    let or_unsupported = |value: Option<_>| value.map_or(Reading::Unsupported, Reading::Known);
    part.fact("gpu.procfs.model", text(|it| &it.model), file)
        .fact("gpu.procfs.uuid", text(|it| &it.uuid), file)
        .fact("gpu.procfs.vbios_version", text(|it| &it.vbios_version).map(|it| it.to_ascii_uppercase()), file)
        .fact("gpu.procfs.address", text(|it| &it.address).map(|it| it.to_ascii_lowercase()), file)
        .fact(
            "gpu.procfs.minor",
            information
                .as_ref()
                .and_then(|it| or_unsupported(it.minor.as_ref().and_then(|text| text.parse::<u32>().ok()))),
            file,
        )
        .fact("gpu.procfs.firmware", text(|it| &it.firmware), file)
        .fact(
            "gpu.procfs.excluded",
            information.as_ref().and_then(|it| match it.excluded.as_deref() {
                Some("Yes") => Reading::Known(true),
                Some("No") => Reading::Known(false),
                _ => Reading::Unsupported,
            }),
            file,
        );
}
