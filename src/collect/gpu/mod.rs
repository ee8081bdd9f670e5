//! NVIDIA GPUs: what NVML, the kernel module, a chip register and the VBIOS image say of each; and the NVSwitches between them.

mod attestation;
mod boot0;
pub(crate) mod facts;
mod nvml;
mod nvswitch;
mod procfs;
pub(crate) mod vbios;

use super::{Collector, fill, reason};
use crate::evidence::{EvidenceBuilder, FactDef, Part, Reading};
use crate::host::{Host, Query};

const FACTS: &[FactDef] = &{
    const DRIVER: [FactDef; facts::GPU.len() + facts::DRIVER.len()] = FactDef::joined(facts::GPU, facts::DRIVER);
    FactDef::joined::<{ DRIVER.len() + facts::SWITCH.len() }>(&DRIVER, facts::SWITCH)
};

const NVIDIA: &str = "0x10de";
const DRIVER: &str = "driver:nvidia";

/// Adds to the `gpu:` parts that PCI showed, and makes those that only the driver knows.
pub(super) struct Gpus;

impl Collector for Gpus {
    fn id(&self) -> &'static str {
        "gpu"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let gpus: Vec<&Part> = out.so_far().scope("gpu").collect();
        // Where PCI could not be read, one part stands for them all.
        let uncounted = gpus.iter().any(|part| part.text("gpu.pci.vendor_id").is_none());
        let known: Vec<String> = gpus
            .iter()
            .filter(|part| part.text("gpu.pci.vendor_id") == Some(NVIDIA))
            .filter_map(|part| part.id.strip_prefix("gpu:").map(str::to_owned))
            .collect();
        let nvml = nvml::Nvml::ask(host);
        // A machine that has nothing of NVIDIA gets no part for a driver that it does not need.
        let missing = nvml.is_missing() && !procfs::is_loaded(host);
        if !known.is_empty() || uncounted || !missing {
            let mut part = out.part("driver", DRIVER);
            nvml.add_driver(&mut part);
            procfs::add_driver(host, &mut part);
        }
        nvml.add_gpus(&known, out);
        nvswitch::add(&nvml, out);
        procfs::add_gpus(host, &known, out);
        for address in &known {
            let mut part = out.part("gpu", &format!("gpu:{address}"));
            boot0::add(host, address, &mut part);
            let source = format!("/sys/bus/pci/devices/{address}/rom");
            match host.ask(&Query::OptionRom { address: address.clone() }) {
                Reading::Known(image) => vbios::add(&mut part, &image, &source),
                other => fill(&mut part, facts::GPU, "gpu.vbios.", &reason(&other), &source),
            }
        }
    }
}

/// Whether the driver said that it is a virtual one.
pub(super) fn is_simulated(out: &EvidenceBuilder) -> bool {
    let driver = out.so_far().part(DRIVER);
    driver.and_then(|part| part.reading("driver.nvml.simulated")) == Some(&Reading::Known(true.into()))
}
