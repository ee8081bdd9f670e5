//! NVIDIA GPUs: what NVML, the kernel module, a chip register and the VBIOS image say of each.

pub(crate) mod facts;
#[allow(dead_code, reason = "for the collectors and importers that get hold of an image")]
pub(crate) mod vbios;

use super::Collector;
use crate::evidence::{EvidenceBuilder, FactDef};
use crate::host::Host;

const FACTS: &[FactDef] = &{
    let mut all = [facts::GPU[0]; facts::GPU.len() + facts::DRIVER.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < facts::GPU.len() { facts::GPU[index] } else { facts::DRIVER[index - facts::GPU.len()] };
        index += 1;
    }
    all
};

/// Adds to the `gpu:` parts that PCI showed, and makes those that only the driver knows.
pub(super) struct Gpus;

impl Collector for Gpus {
    fn id(&self) -> &'static str {
        "gpu"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, _host: &dyn Host, _out: &mut EvidenceBuilder) {}
}
