//! What CUDA's deviceQuery, the kernel module's files, nvflash and a VBIOS image say of GPUs.

use super::machine::{Gpu, Machine};
use crate::collect::gpu::vbios;
use crate::evidence::{EvidenceBuilder, Origin, PartBuilder, Reading};
use crate::parse::pci_address;
use crate::parse::{device_query as query, nvflash, proc_information as proc};

/// `gpu.cuda.*`
pub(super) fn device_query(text: &str, machine: &mut Machine) {
    const SOURCE: &str = "deviceQuery";
    let gpus = query::parse(text).into_iter().map(|device| {
        let mut gpu = Gpu::at(device.address.clone());
        gpu.fact("gpu.cuda.name", device.name, SOURCE);
        let numbers = [
            ("gpu.cuda.memory_mib", device.memory_mib),
            ("gpu.cuda.sm_count", device.sm_count),
            ("gpu.cuda.cores", device.cores),
            ("gpu.cuda.bus_width_bits", device.bus_width_bits),
            ("gpu.cuda.clock_mhz", device.clock_mhz),
            ("gpu.cuda.memory_clock_mhz", device.memory_clock_mhz),
            ("gpu.cuda.l2_cache_bytes", device.l2_cache_bytes),
        ];
        for (path, number) in numbers {
            // Wider than any device's: damaged.
            if let Some(number) = number.filter(|number| *number < 1 << 40) {
                gpu.fact(path, number, SOURCE);
            }
        }
        for (path, text) in
            [("gpu.cuda.address", device.address), ("gpu.cuda.compute_capability", device.compute_capability)]
        {
            if let Some(text) = text {
                gpu.fact(path, text, SOURCE);
            }
        }
        if let Some(ecc) = device.ecc {
            gpu.fact("gpu.cuda.ecc", ecc, SOURCE);
        }
        gpu
    });
    machine.section(gpus.collect(), false);
}

/// `gpu.procfs.*`
pub(super) fn proc_information(text: &str, machine: &mut Machine) {
    const SOURCE: &str = "/proc/driver/nvidia/gpus/*/information";
    /// Where the driver has not started the GPU, it prints question marks.
    fn started(text: String) -> Reading<String> {
        match text.as_str() {
            _ if text.contains('?') => Reading::Failed(format!("the driver has not started the GPU: {text}")),
            "N/A" | "" => Reading::Absent,
            _ => Reading::Known(text),
        }
    }
    let gpus = proc::parse(text).into_iter().map(|information| {
        let address = information.address.as_deref().and_then(pci_address::parse);
        let mut gpu = Gpu::at(address.clone());
        gpu.matched_by_uuid(information.uuid.as_deref());
        for (path, text) in [
            ("gpu.procfs.model", information.model),
            ("gpu.procfs.uuid", information.uuid),
            ("gpu.procfs.vbios_version", information.vbios_version.map(|it| it.to_ascii_uppercase())),
            ("gpu.procfs.firmware", information.firmware),
            ("gpu.procfs.address", address),
        ] {
            if let Some(text) = text {
                gpu.fact(path, started(text), SOURCE);
            }
        }
        if let Some(Ok(minor)) = information.minor.map(|it| it.parse::<u32>()) {
            gpu.fact("gpu.procfs.minor", minor, SOURCE);
        }
        if let Some(excluded @ ("Yes" | "No")) = information.excluded.as_deref() {
            gpu.fact("gpu.procfs.excluded", excluded == "Yes", SOURCE);
        }
        gpu
    });
    machine.section(gpus.collect(), false);
}

/// Whether it begins as a VBIOS image does: an option ROM, or the init-from-ROM header.
pub(super) fn is_vbios(bytes: &[u8]) -> bool {
    bytes.len() >= 512 && (bytes.starts_with(b"NVGI") || bytes.starts_with(&[0x55, 0xaa]))
}

/// `gpu.vbios.*` of an image. It names no PCI address: beside another file it belongs to the one GPU that is known.
pub(super) fn vbios(image: &[u8], machine: &mut Machine) {
    machine.section(vec![decoded(|part| vbios::add(part, image, "VBIOS image"))], false);
}

/// `gpu.vbios.*`, and `gpu.pci.*` where a card is named.
pub(super) fn nvflash(text: &str, machine: &mut Machine) {
    let cards = nvflash::parse(text);
    let gpus = cards.iter().map(|card| decoded(|part| vbios::add_nvflash(part, card, "nvflash")));
    machine.section(gpus.collect(), false);
}

/// A GPU from the facts that a collector's decoder makes.
fn decoded(add: impl FnOnce(&mut PartBuilder<'_>)) -> Gpu {
    let mut builder = EvidenceBuilder::new(Origin::Imported);
    add(&mut builder.part("gpu", "gpu:decoded"));
    let mut gpu = Gpu::default();
    for (path, fact) in builder.finish().parts.into_iter().flat_map(|part| part.facts) {
        gpu.fact(path.as_str(), fact.reading, fact.source);
    }
    gpu
}
