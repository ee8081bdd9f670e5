//! What a GPU or an NVSwitch signs of itself: `*.attestation.*`, from the report and the certificates that NVML or NSCQ gave.

use super::facts;
use crate::attest::device::{Chain, Device, Pdi, Roots};
use crate::collect::{fill, reason};
use crate::evidence::{PartBuilder, Reading};
use crate::parse::nscq::Switch;
use crate::parse::nvml_attestation::Attestation;
use crate::parse::spdm;

const SOURCE: &str = "SPDM report";
const CERTIFICATES: &str = "device certificates";
const PREFIX: &str = "gpu.attestation.";
/// `NVML_DEVICE_ARCH_HOPPER`, the first architecture whose GPUs sign anything.
const HOPPER: u64 = 9;

/// Adds the facts. `architecture` is NVML's number.
pub(super) fn add(attestation: &Attestation, architecture: &Reading<u64>, part: &mut PartBuilder<'_>) {
    // What was never able to sign has nothing to hide.
    if matches!(architecture, Reading::Known(architecture) if *architecture < HOPPER)
        && matches!(attestation.chain, Reading::Unsupported)
    {
        fill(part, facts::GPU, PREFIX, &Reading::Absent, CERTIFICATES);
        return;
    }
    match &attestation.chain {
        Reading::Known(pem) => certificates(pem, part),
        other => fill(part, facts::GPU, "gpu.attestation.chain", &reason(other), CERTIFICATES),
    }
    match (&attestation.report, &attestation.chain) {
        (Reading::Known(report), Reading::Known(chain)) => match Device::decode(report, chain) {
            Ok(device) => signed(&device, part),
            Err(failure) => fill(part, facts::GPU, PREFIX, &Reading::Failed(failure.observed), SOURCE),
        },
        (Reading::Known(_), other) | (other, _) => fill(part, facts::GPU, PREFIX, &reason(other), SOURCE),
    }
}

fn word(is_valid: bool) -> &'static str {
    if is_valid { "valid" } else { "invalid" }
}

/// What the certificates say: whether they lead to NVIDIA's root, and the device that they name.
fn read_certificates(pem: &[u8]) -> (Reading<&'static str>, Reading<Pdi>) {
    let chain = match Chain::parse(pem) {
        Ok(chain) => chain,
        Err(error) => return (Reading::Failed(error.to_string()), Reading::Failed(error.to_string())),
    };
    let pdi = match chain.device() {
        Some((_, pdi)) => Reading::Known(pdi),
        None => Reading::Failed("the certificates name no device".to_owned()),
    };
    (Reading::Known(word(chain.check_signatures(&Roots::default()).is_ok())), pdi)
}

fn certificates(pem: &[u8], part: &mut PartBuilder<'_>) {
    let (chain, pdi) = read_certificates(pem);
    part.fact("gpu.attestation.chain", chain, CERTIFICATES)
        .fact("gpu.attestation.pdi", pdi.as_ref().map(ToString::to_string), CERTIFICATES)
        .fact("gpu.attestation.pdi_reversed", pdi.map(|pdi| pdi.reversed().to_string()), CERTIFICATES);
}

fn signed(device: &Device, part: &mut PartBuilder<'_>) {
    let report = &device.report;
    let text = |kind: u16| report.text(kind).map_or(Reading::Absent, |text| Reading::Known(text.to_owned()));
    part.fact("gpu.attestation.project", text(spdm::PROJECT), SOURCE)
        .fact("gpu.attestation.project_sku", text(spdm::PROJECT_SKU), SOURCE)
        .fact("gpu.attestation.chip_sku", text(spdm::CHIP_SKU), SOURCE)
        .fact(
            "gpu.attestation.board_id",
            report.board_id().map_or(Reading::Absent, |id| Reading::Known(format!("{id:#06x}"))),
            SOURCE,
        )
        .fact("gpu.attestation.vbios_version", report.vbios_version().map_or(Reading::Absent, Reading::Known), SOURCE)
        .fact("gpu.attestation.nonce", hex::encode(report.nonce), SOURCE)
        .fact("gpu.attestation.signature", word(device.is_signed()), SOURCE);
}

/// Adds an NVSwitch.
pub(super) fn add_switch(switch: &Switch, part: &mut PartBuilder<'_>) {
    let attestation = &switch.attestation;
    // What was never able to sign has nothing to hide.
    if matches!(switch.architecture, Reading::Known("SV10" | "LR10")) && attestation.chain.known().is_none() {
        fill(part, facts::SWITCH, "nvswitch.attestation.", &Reading::Absent, CERTIFICATES);
        return;
    }
    let (chain, pdi) = match &attestation.chain {
        Reading::Known(pem) => read_certificates(pem),
        other => (reason(other), reason(other)),
    };
    part.fact("nvswitch.attestation.chain", chain, CERTIFICATES).fact(
        "nvswitch.attestation.pdi",
        pdi.map(|pdi| pdi.to_string()),
        CERTIFICATES,
    );
    let pems = attestation.report.as_ref().and_then(|report| attestation.chain.as_ref().map(|chain| (report, chain)));
    let device = pems.and_then(|(report, chain)| match Device::decode(report, chain) {
        Ok(device) => Reading::Known(device),
        Err(failure) => Reading::Failed(failure.observed),
    });
    let said = |fact: &dyn Fn(&Device) -> Option<String>| {
        device.as_ref().and_then(|device| fact(device).map_or(Reading::Absent, Reading::Known))
    };
    let gpus = device.as_ref().and_then(|device| {
        let gpus = device.gpus().map(|gpus| gpus.iter().map(ToString::to_string).collect::<Vec<_>>());
        gpus.map_or(Reading::Absent, Reading::Known)
    });
    part.fact("nvswitch.attestation.nonce", said(&|it| Some(hex::encode(it.report.nonce))), SOURCE)
        .fact("nvswitch.attestation.signature", said(&|it| Some(word(it.is_signed()).to_owned())), SOURCE)
        .fact("nvswitch.attestation.vbios_version", said(&|it| it.report.vbios_version()), SOURCE)
        .fact("nvswitch.attestation.gpus", gpus, SOURCE);
}
