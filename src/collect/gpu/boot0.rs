//! What the chip says of itself through BAR 0, past firmware and driver: its name in `PMC_BOOT_0` and `PMC_BOOT_1`, and its
//! per-device identifier (PDI) in the fuses. Needs root.

use crate::evidence::{PartBuilder, Reading};
use crate::host::{Host, Query};
use crate::parse::pmc_boot;

/// Adds `gpu.boot0.*` and `gpu.bar0.*`.
pub(super) fn add(host: &dyn Host, address: &str, part: &mut PartBuilder<'_>) {
    let source = format!("/sys/bus/pci/devices/{address}/resource0");
    let register = |offset| {
        let answer = host.ask(&Query::PciRegister { address: address.to_owned(), bar: 0, offset });
        answer.and_then(|bytes| match <[u8; 4]>::try_from(bytes) {
            Ok(bytes) => Reading::Known(u32::from_le_bytes(bytes)),
            Err(bytes) => Reading::Failed(format!("{} bytes instead of 4", bytes.len())),
        })
    };
    let boot0 = register(0).and_then(pmc_boot::answered);
    let boot0 = boot0.and_then(|boot0| register(4).and_then(pmc_boot::real).map(|()| boot0));
    let chip = boot0.clone().and_then(pmc_boot::chip);
    let pdi = chip.clone().and_then(|chip| match pmc_boot::pdi_registers(&chip) {
        Some([low, high]) => register(low).and_then(|low| register(high).and_then(|high| pmc_boot::pdi(low, high))),
        None => Reading::Unsupported,
    });
    part.fact("gpu.boot0.raw", boot0.map(|boot0| format!("{boot0:#010x}")), &*source)
        .fact("gpu.boot0.chip", chip, &*source)
        .fact("gpu.bar0.pdi", pdi.map(|pdi| format!("{pdi:#018x}")), source);
}
