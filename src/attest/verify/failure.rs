//! What failed.

use serde::Serialize;

use super::shorten;

/// In which step a verification failed, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum FailureClass {
    /// Not a report.
    #[serde(rename = "E_FORMAT")]
    Format,
    /// A signature that its key did not make over these bytes.
    #[serde(rename = "E_SIGNATURE")]
    Signature,
    /// No signature by a trusted key.
    #[serde(rename = "E_UNTRUSTED_SIGNER")]
    UntrustedSigner,
    /// Signed by a key that was revoked, or taken back by its own signer.
    #[serde(rename = "E_REVOKED")]
    Revoked,
    /// Fewer keys of a role signed than the trust policy asks for.
    #[serde(rename = "E_THRESHOLD")]
    Threshold,
    /// A timestamp token that is not valid, or times that exclude each other.
    #[serde(rename = "E_TIME")]
    Time,
    /// The answer to another challenge than the one that was issued, or a second answer to it.
    #[serde(rename = "E_REPLAY")]
    Replay,
    /// Older than the challenge or the trust policy allows.
    #[serde(rename = "E_STALE")]
    Stale,
    /// The evidence is not the evidence that was signed.
    #[serde(rename = "E_EVIDENCE")]
    Evidence,
    /// A device's certificate chain or signature that is not valid.
    #[serde(rename = "E_DEVICE_CHAIN")]
    DeviceChain,
    /// A device signed another nonce than the one of this session.
    #[serde(rename = "E_NONCE")]
    Nonce,
    /// A device signed another identity than the one that is reported of it.
    #[serde(rename = "E_IDENTITY_CONFLICT")]
    IdentityConflict,
    /// A quote that is none, or that its key did not sign.
    #[serde(rename = "E_TPM_QUOTE")]
    TpmQuote,
    /// An attestation or endorsement key that is not vouched for as claimed.
    #[serde(rename = "E_TPM_KEY")]
    TpmKey,
    /// A quote over another nonce than the one of this session.
    #[serde(rename = "E_TPM_NONCE")]
    TpmNonce,
    /// Registers that do not give the quoted digest, or an event log that does not lead to them.
    #[serde(rename = "E_TPM_PCR")]
    TpmPcr,
    /// The clock of the TPM does not confirm the time that is claimed.
    #[serde(rename = "E_TPM_CLOCK")]
    TpmClock,
    /// The system that ran is none that the trust policy allows.
    #[serde(rename = "E_IMAGE_UNKNOWN")]
    ImageUnknown,
    /// The verdict does not follow from the evidence.
    #[serde(rename = "E_VERDICT_MISMATCH")]
    VerdictMismatch,
    /// One report id with two contents, or one part in two machines.
    #[serde(rename = "E_DUPLICATE")]
    Duplicate,
    /// The unit is not what it was when it was certified.
    #[serde(rename = "E_DRIFT")]
    Drift,
    /// Less than the trust policy asks for.
    #[serde(rename = "E_POLICY")]
    Policy,
    /// A warning: there is no reference for what a device measured of its firmware.
    #[serde(rename = "W_MEASUREMENT_UNKNOWN")]
    MeasurementUnknown,
    /// A warning: an identity that looks like another one to a person.
    #[serde(rename = "W_LOOKALIKE")]
    Lookalike,
}

impl FailureClass {
    /// The name in reports: `E_FORMAT`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Format => "E_FORMAT",
            Self::Signature => "E_SIGNATURE",
            Self::UntrustedSigner => "E_UNTRUSTED_SIGNER",
            Self::Revoked => "E_REVOKED",
            Self::Threshold => "E_THRESHOLD",
            Self::Time => "E_TIME",
            Self::Replay => "E_REPLAY",
            Self::Stale => "E_STALE",
            Self::Evidence => "E_EVIDENCE",
            Self::DeviceChain => "E_DEVICE_CHAIN",
            Self::Nonce => "E_NONCE",
            Self::IdentityConflict => "E_IDENTITY_CONFLICT",
            Self::TpmQuote => "E_TPM_QUOTE",
            Self::TpmKey => "E_TPM_KEY",
            Self::TpmNonce => "E_TPM_NONCE",
            Self::TpmPcr => "E_TPM_PCR",
            Self::TpmClock => "E_TPM_CLOCK",
            Self::ImageUnknown => "E_IMAGE_UNKNOWN",
            Self::VerdictMismatch => "E_VERDICT_MISMATCH",
            Self::Duplicate => "E_DUPLICATE",
            Self::Drift => "E_DRIFT",
            Self::Policy => "E_POLICY",
            Self::MeasurementUnknown => "W_MEASUREMENT_UNKNOWN",
            Self::Lookalike => "W_LOOKALIKE",
        }
    }
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What failed, with what was expected and what was there. Texts may come from the report and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In which step.
    pub class: FailureClass,
    /// What was looked at.
    pub what: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
}

impl Failure {
    /// A failure; long values are cut.
    pub fn new(class: FailureClass, what: &str, expected: &str, observed: &str) -> Self {
        Self { class, what: shorten(what), expected: shorten(expected), observed: shorten(observed) }
    }
}
