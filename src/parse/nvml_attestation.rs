//! What NVML answered of one GPU's attestation: its certificate chain and its signed report.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value as Json;

use super::nvml::{Calls, json_number};
use crate::evidence::Reading;

const CERTIFICATE: &str = "nvmlDeviceGetConfComputeGpuCertificate";
const REPORT: &str = "nvmlDeviceGetConfComputeGpuAttestationReport";

/// The raw bytes that a GPU or a switch gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The certificate chain in PEM.
    pub chain: Reading<Vec<u8>>,
    /// The report; unsupported where none was asked for.
    pub report: Reading<Vec<u8>>,
}

impl Attestation {
    /// Finds both among a GPU's answers.
    pub fn of(calls: &Calls) -> Self {
        // Longer than any text that a fact may have.
        let bytes = |call: &str, member: &str| {
            calls.get(call, &[]).and_then(|it| match it.get(member) {
                None | Some(Json::Null) => Reading::Absent,
                Some(text) => base64_bytes(text),
            })
        };
        let report = match calls.was_asked(REPORT) {
            true => bytes(REPORT, "attestationReport"),
            // Without a nonce no report is asked for.
            false => Reading::Unsupported,
        };
        Self { chain: bytes(CERTIFICATE, "attestationCertChain"), report }
    }
}

/// Bytes that a line has in base64.
pub(super) fn base64_bytes(value: &Json) -> Reading<Vec<u8>> {
    match value.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()) {
        Some(bytes) => Reading::Known(bytes),
        None => Reading::Failed("not base64".to_owned()),
    }
}

/// Address of a GPU on the PCI bus: `0000:3b:00.0`.
pub fn address(calls: &Calls) -> Reading<String> {
    calls.get("nvmlDeviceGetPciInfo_v3", &[]).and_then(pci_address)
}

/// Address of a `nvmlPciInfo_t`, which has no function number: a GPU is function 0 of its device.
pub fn pci_address(info: &Json) -> Reading<String> {
    let member = |name| json_number(info, name);
    let fields = (member("domain"), member("bus"), member("device"));
    match fields {
        (Reading::Known(domain @ ..=0xffff_fffe), Reading::Known(bus @ ..=0xff), Reading::Known(device @ ..=0x1f)) => {
            Reading::Known(format!("{domain:04x}:{bus:02x}:{device:02x}.0"))
        }
        _ => Reading::Failed("not a PCI address".to_owned()),
    }
}
