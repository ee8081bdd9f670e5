//! The chip's own name for itself: registers `PMC_BOOT_0` and `PMC_BOOT_1` at the start of BAR 0, which no firmware and no
//! driver sets. Needs root.

use crate::evidence::{PartBuilder, Reading};
use crate::host::{Host, Query};
use crate::parse::pmc_boot;

/// Adds `gpu.boot0.*`.
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
    part.fact("gpu.boot0.raw", boot0.clone().map(|boot0| format!("{boot0:#010x}")), &*source).fact(
        "gpu.boot0.chip",
        boot0.and_then(pmc_boot::chip),
        source,
    );
}
