//! GPUs and other accelerators, as PCI shows them. Builds on what the PCI collector found and reads nothing itself.

use super::pci::function_facts;
use super::{Collector, stand_in};
use crate::evidence::Kind::{Integer, List, Text};
use crate::evidence::{EvidenceBuilder, FactDef, Part};
use crate::host::Host;

const FACTS: &[FactDef] = &{
    const GPU: [FactDef; 22] = function_facts!("gpu.pci.");
    const ACCELERATOR: [FactDef; 22] = function_facts!("accelerator.pci.");
    FactDef::joined::<{ GPU.len() + ACCELERATOR.len() }>(&GPU, &ACCELERATOR)
};

/// Vendors of display controllers that compute. A baseboard management controller's VGA (ASPEED, Matrox, …) and a
/// virtual machine's are not among them.
const GPU_VENDORS: &[&str] = &["0x10de", "0x1002", "0x8086", "0x1ed5", "0x9999"];
/// ATI chips that servers carried as management VGA: Rage XL, ES1000, Radeon 7000.
const MANAGEMENT_VGA: &[(&str, &str)] = &[("0x1002", "0x4752"), ("0x1002", "0x515e"), ("0x1002", "0x5159")];
/// Vendors that make accelerators only, whatever class theirs report.
const ACCELERATOR_VENDORS: &[&str] = &[
    "0x1d95", "0x1da3", "0x1de0", "0x1e0d", "0x1e36", "0x1e52", "0x1e60", "0x1ed2", "0x1eff", "0x1f82", "0x1f9d",
    "0x209f",
];
/// AWS Inferentia and Trainium share a vendor id with network and storage functions.
const ACCELERATOR_DEVICES: &[(&str, &str)] =
    &[("0x1d0f", "0x7064"), ("0x1d0f", "0x7164"), ("0x1d0f", "0x7264"), ("0x1d0f", "0x7364")];
const BRIDGE_CLASS: &str = "0x06";

pub(super) struct Accelerators;

impl Collector for Accelerators {
    fn id(&self) -> &'static str {
        "accelerator"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, _host: &dyn Host, out: &mut EvidenceBuilder) {
        let found: Vec<(&str, String, Part)> = out
            .so_far()
            .scope("pci")
            .filter_map(|part| {
                let text = |path| part.text(path).unwrap_or_default();
                let address = part.id.strip_prefix("pci:")?;
                let scope = scope(address, text("pci.vendor_id"), text("pci.device_id"), text("pci.class"))?;
                Some((scope, format!("{scope}:{address}"), part.clone()))
            })
            .collect();
        let platform = out.so_far().part("platform");
        if let Some(counted) = platform.and_then(|part| part.reading("platform.pci_functions")).cloned() {
            for scope in ["gpu", "accelerator"] {
                stand_in(out, scope, FACTS, &counted, super::pci::DEVICES);
            }
        }
        for (scope, id, function) in found {
            let mut part = out.part(scope, &id);
            for (path, fact) in function.facts {
                part.fact(&format!("{scope}.{path}"), fact.reading, fact.source);
            }
        }
    }
}

fn scope(address: &str, vendor: &str, device: &str, class: &str) -> Option<&'static str> {
    let display = class.starts_with("0x03");
    if display && GPU_VENDORS.contains(&vendor) && !MANAGEMENT_VGA.contains(&(vendor, device)) {
        // Intel's integrated graphics sit on the root bus of the first domain.
        let integrated = vendor == "0x8086" && address.starts_with("0000:00:");
        return (!integrated).then_some("gpu");
    }
    let accelerator = class.starts_with("0x12")
        || ACCELERATOR_VENDORS.contains(&vendor) && !class.starts_with(BRIDGE_CLASS)
        || ACCELERATOR_DEVICES.contains(&(vendor, device));
    accelerator.then_some("accelerator")
}
