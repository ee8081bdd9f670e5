//! What NSCQ answered of the NVSwitches of a machine: lines of the same file as NVML's answers ([`super::nvml`]). A call is
//! named by the path that was observed, and the argument is the switch's number in the list of UUIDs.

use serde_json::Value as Json;

use super::nvml::Answers;
use super::nvml_attestation::{Attestation, base64_bytes};
use crate::evidence::Reading;

/// Name of the library.
pub const LIBRARY: &str = "libnvidia-nscq.so.2";
/// Opens the switches.
pub const OPEN: &str = "nscq_session_create";
/// UUIDs of all switches, in the form that NSCQ calls a label (`nscq_attestation_path.h`).
pub const UUIDS: &str = "/drv/nvswitch/{device}/uuid";
/// Below each switch: its architecture, `NSCQ_ARCH_*`.
pub const ARCHITECTURE: &str = "/id/arch";
/// Its certificate chain in PEM, in base64.
pub const CERTIFICATE: &str = "/config/certificate";
/// Its signed report, in base64. Not asked for without a nonce.
pub const REPORT: &str = "/config/attestation_report";
/// Switches that are asked. Boards have up to six.
pub const MAX_SWITCHES: usize = 64;

/// One switch.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// `SWX-1A2B3C4D-…`.
    pub uuid: String,
    /// `LS10`.
    pub architecture: Reading<&'static str>,
    /// What it signs of itself.
    pub attestation: Attestation,
}

/// Whether that is a UUID as NSCQ writes one. Others go into no path and no name of a part.
pub fn is_uuid(text: &str) -> bool {
    (1..64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The switches that NSCQ lists. Unsupported where the library is not there, or was never asked.
pub fn switches(answers: &Answers) -> Reading<Vec<Switch>> {
    let system = answers.system();
    let load = format!("dlopen {LIBRARY}");
    if !system.was_asked(&load) {
        return Reading::Unsupported;
    }
    let opened = system.get(&load, &[]).and_then(|_| system.get(OPEN, &[]));
    let listed = opened.and_then(|_| system.get(UUIDS, &[])).and_then(|list| match list.as_array() {
        Some(list) if list.len() <= MAX_SWITCHES => Reading::Known(list.as_slice()),
        _ => Reading::Failed(format!("not a list of up to {MAX_SWITCHES} UUIDs")),
    });
    listed.and_then(|list| {
        let uuids: Option<Vec<&str>> = list.iter().map(|uuid| uuid.as_str().filter(|uuid| is_uuid(uuid))).collect();
        match uuids {
            Some(uuids) => {
                Reading::Known(uuids.iter().zip(0..).map(|(uuid, number)| switch(answers, uuid, number)).collect())
            }
            None => Reading::Failed("NSCQ lists what is no UUID".to_owned()),
        }
    })
}

fn switch(answers: &Answers, uuid: &str, number: u64) -> Switch {
    let system = answers.system();
    let report = match system.was_asked(REPORT) {
        true => system.get(REPORT, &[number]).and_then(base64_bytes),
        // Without a nonce no report is asked for.
        false => Reading::Unsupported,
    };
    Switch {
        uuid: uuid.to_owned(),
        architecture: system.get(ARCHITECTURE, &[number]).and_then(architecture),
        attestation: Attestation { chain: system.get(CERTIFICATE, &[number]).and_then(base64_bytes), report },
    }
}

/// `NSCQ_ARCH_*` of `nscq_attestation.h`.
fn architecture(value: &Json) -> Reading<&'static str> {
    match value.as_u64() {
        Some(0) => Reading::Known("SV10"),
        Some(1) => Reading::Known("LR10"),
        Some(2) => Reading::Known("LS10"),
        _ => Reading::Failed(format!("architecture {value:.20}")),
    }
}
