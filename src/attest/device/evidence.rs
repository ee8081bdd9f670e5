//! Evidence of devices as a statement carries it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceNonce, Phase};
use crate::attest::Digest;
use crate::attest::statement::Inline;
use crate::evidence::Reading;
use crate::parse::nvml_attestation::{Attestation, address};
use crate::parse::{nscq, nvml};

/// What one device signed of itself at one end of the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceEvidence {
    /// Its format.
    #[serde(rename = "type")]
    pub format: Format,
    /// Who was asked.
    pub via: Via,
    /// At which end of the session.
    pub phase: Phase,
    /// Id of the part that it is about.
    pub part: String,
    /// What the device was asked to sign: [`DeviceNonce::of`] this session, phase and part.
    pub nonce: Digest,
    /// The signed report.
    pub report: Inline,
    /// The certificate chain in PEM.
    pub cert_chain: Inline,
}

/// Format of a device's evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// An SPDM 1.1 measurement report as NVIDIA's GPUs and switches make it.
    #[serde(rename = "nvidia-spdm-1.1")]
    NvidiaSpdm,
}

/// Which interface gave the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// NVML on the machine.
    Nvml,
    /// NSCQ on the machine, for NVSwitches.
    Nscq,
}

impl DeviceEvidence {
    /// The evidence of every GPU and NVSwitch that gave a report, from what NVML and NSCQ answered ([`crate::host::Query::Nvml`]).
    pub fn from_nvml(answers: &Reading<Vec<u8>>, nonce: &DeviceNonce) -> Vec<Self> {
        let Reading::Known(lines) = answers else { return Vec::new() };
        let answers = nvml::parse(lines);
        let gpus = answers.devices().filter_map(|(_, device)| {
            Self::new(Via::Nvml, address(&device.first).into_known()?, Attestation::of(&device.first), nonce)
        });
        let switches = nscq::switches(&answers).into_known().unwrap_or_default();
        let switches =
            switches.into_iter().filter_map(|switch| Self::new(Via::Nscq, switch.uuid, switch.attestation, nonce));
        gpus.chain(switches).collect()
    }

    /// `place` is what the nonce is made for: a GPU's address, a switch's UUID.
    fn new(via: Via, place: String, attestation: Attestation, nonce: &DeviceNonce) -> Option<Self> {
        Some(Self {
            format: Format::NvidiaSpdm,
            via,
            phase: nonce.phase,
            nonce: Digest::from_bytes(nonce.of(&place)),
            part: match via {
                Via::Nvml => format!("gpu:{place}"),
                Via::Nscq => format!("nvswitch:{place}"),
            },
            report: Inline(attestation.report.into_known()?),
            cert_chain: Inline(attestation.chain.into_known()?),
        })
    }
}
