//! NVSwitches: what NSCQ says of each, and what each signs of itself.

use super::super::{reason, stand_in};
use super::nvml::Nvml;
use super::{NVIDIA, attestation, facts};
use crate::attest::Digest;
use crate::evidence::{EvidenceBuilder, Part, Reading};
use crate::parse::nscq;

const SCOPE: &str = "nvswitch";
const SOURCE: &str = "NSCQ";
/// How the pci.ids database names them: `GH100 [H100 NVSwitch]`.
const NAME: &str = "NVSwitch";

/// Adds the switches that NSCQ lists. One part stands for those that only PCI shows.
pub(super) fn add(nvml: &Nvml, out: &mut EvidenceBuilder) {
    let listed = nvml.answers().and_then(nscq::switches);
    for switch in listed.known().into_iter().flatten() {
        let digest = |bytes: &Reading<Vec<u8>>| bytes.as_ref().map(|bytes| Digest::of(bytes).to_string());
        let mut part = out.part(SCOPE, &format!("{SCOPE}:{}", switch.uuid));
        part.fact("nvswitch.nscq.uuid", switch.uuid.as_str(), SOURCE)
            .fact("nvswitch.nscq.architecture", switch.architecture.clone(), SOURCE)
            .fact("nvswitch.nscq.certificate_sha256", digest(&switch.attestation.chain), SOURCE)
            .fact("nvswitch.nscq.report_sha256", digest(&switch.attestation.report), SOURCE);
        attestation::add_switch(switch, &mut part);
    }
    let on_bus = out.so_far().scope("pci").filter(|function| is_switch(function)).count();
    let unread = match &listed {
        Reading::Known(switches) if switches.len() < on_bus => {
            Reading::Failed(format!("{on_bus} on the PCI bus, and NSCQ lists {}", switches.len()))
        }
        Reading::Known(_) => Reading::Known(()),
        // A machine without switches needs no library for them.
        _ if on_bus == 0 => Reading::Absent,
        other => reason(other),
    };
    stand_in(out, SCOPE, facts::SWITCH, &unread, SOURCE);
}

fn is_switch(function: &Part) -> bool {
    function.text("pci.vendor_id") == Some(NVIDIA)
        && function.text("pci.device_name").is_some_and(|name| name.contains(NAME))
}
