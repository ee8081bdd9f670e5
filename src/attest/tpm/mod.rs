//! What a TPM 2.0 says of the system that made a report, and for how long.
//!
//! The TPM quotes its registers (PCRs) twice, before and after the burn-in, by a key that signs nothing else. Each quote
//! contains a value that binds it to the session, the second one also to the end of the burn-in's record chain, and the
//! TPM's own clock: the time between both has passed, whatever the machine's clock says. All of that is worth exactly as
//! much as what vouches for the key ([`KeyBinding`]): anybody can run a TPM in software.
//!
//! Everything here is pure; [`crate::host::tpm`] talks to the TPM, and [`super::verify`] says what is proven.

pub mod certificate;
pub mod credential;
pub mod event_log;
pub mod image;
pub mod public_key;
pub mod quote;
pub mod wire;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yanji_format::hex_bytes;

use super::statement::Inline;
use super::{Digest, Hasher};
use crate::evidence::Reading;
use crate::host::tpm::Quoted;

/// Registers that are quoted: firmware and its settings (0 to 3), what was booted (4, 5), Secure Boot (7), the unified
/// kernel image (11), what was handed to it from outside (12) and the keys of shim (14).
pub const QUOTED_REGISTERS: [u32; 10] = [0, 1, 2, 3, 4, 5, 7, 11, 12, 14];
/// Registers without which a quote is refused. Earlier versions quoted no others.
pub const REQUIRED_REGISTERS: [u32; 9] = [0, 1, 2, 3, 4, 5, 7, 11, 14];
/// The register that a unified kernel image is measured into.
pub const IMAGE_REGISTER: u32 = 11;
/// The register that systemd-stub measures a command line into that the firmware handed to it, and credentials that lay beside
/// it. Without Secure Boot such a command line takes the place of the image's own, which is in [`IMAGE_REGISTER`] all the same.
pub const HANDED_REGISTER: u32 = 12;
/// Registers that only firmware and boot loaders extend, and write all of it into the event log.
pub const FIRMWARE_REGISTERS: std::ops::RangeInclusive<u32> = 0..=7;
/// Name of the bank that is quoted.
pub const BANK: &str = "sha256";
/// Item of the evidence that holds the firmware's event log.
pub const EVENT_LOG_ITEM: &str = "tpm/event-log.bin";

/// TPM_ALG_SHA256.
pub const SHA256: u16 = 0x000b;
/// TPM_ALG_NULL.
pub const NO_ALGORITHM: u16 = 0x0010;
/// TPM_ALG_RSASSA.
pub const RSASSA: u16 = 0x0014;
/// TPM_ALG_ECDSA.
pub const ECDSA: u16 = 0x0018;

/// When a quote was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the burn-in.
    Start,
    /// After it.
    End,
}

impl Phase {
    /// The word in reports and in [`nonce`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

/// What is known of the platform's roots of trust.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// What the TPM signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmEvidence>,
    /// What could not be had, and why, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What a TPM said of itself, and what it signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TpmEvidence {
    /// The vendor, as the TPM names it: `IFX`, `STM`, `INTC`, …
    pub manufacturer: String,
    /// Version of its firmware.
    pub firmware: String,
    /// Certificate of the endorsement key, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_cert: Option<Inline>,
    /// Certificates of authorities that the TPM keeps beside it, DER.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ek_chain: Vec<Inline>,
    /// The key that signed the quotes: TPMT_PUBLIC.
    pub ak_pub: Inline,
    /// What ties that key to a TPM.
    pub ak_binding: KeyBinding,
    /// Two, unless something went wrong.
    pub quotes: Vec<SignedQuote>,
    /// The item of the evidence that holds the firmware's event log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<String>,
}

/// What ties the key that signs the quotes to a TPM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyBinding {
    /// The vendor of the machine certified it as the machine's initial attestation key; the TPM keeps the certificate.
    IakCertificate {
        /// The certificate, then those of the authorities above it, DER.
        chain: Vec<Inline>,
        /// The secret of the challenge, where it carried one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<Secret>,
    },
    /// An authority certified it after it had seen that it lives in a TPM.
    Certificate {
        /// The certificate, then those of the authorities above it, DER.
        chain: Vec<Inline>,
    },
    /// The challenge carried a secret, encrypted for the TPM's endorsement key and for this key: see [`credential`].
    Credential {
        /// The secret.
        secret: Secret,
    },
    /// Nothing: the key vouches for itself.
    #[serde(rename = "self")]
    Own {},
}

/// What a challenge encrypted to a TPM, as that TPM read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(
    /// The 32 bytes; 64 lower-case hexadecimal digits in JSON.
    #[serde(with = "hex_bytes")]
    #[schemars(with = "String")]
    pub [u8; 32],
);

impl KeyBinding {
    /// What the TPM read in the credential of the challenge.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Credential { secret } => Some(secret),
            Self::IakCertificate { secret, .. } => secret.as_ref(),
            Self::Certificate { .. } | Self::Own {} => None,
        }
    }
}

/// One quote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedQuote {
    /// When.
    pub phase: Phase,
    /// TPMS_ATTEST.
    pub attest: Inline,
    /// TPMT_SIGNATURE.
    pub sig: Inline,
    /// Which bank: [`BANK`].
    pub bank: String,
    /// The registers, whose digest is in the quote.
    pub pcrs: BTreeMap<u32, Digest>,
    /// The TPM's time, attested right after the quote. The owner of a TPM can set its clock forward, but not its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<SignedTime>,
}

/// The time of a TPM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedTime {
    /// TPMS_ATTEST over the same value as the quote.
    pub attest: Inline,
    /// TPMT_SIGNATURE.
    pub sig: Inline,
}

impl TpmEvidence {
    /// Digest of the endorsement key's public half, as certificates hold it; `None` without a certificate that can be read.
    pub fn endorsement_key(&self) -> Option<Digest> {
        let Inline(der) = self.ek_cert.as_ref()?;
        Some(Digest::of(&certificate::subject_public_key_info(der).ok()?))
    }
}

impl Platform {
    /// What the TPM gave before the burn-in. `certificates` are those that an authority issued for its attestation key, the
    /// key's own first.
    pub fn begin(start: Reading<Quoted>, certificates: Vec<Vec<u8>>) -> Self {
        let quoted = match start {
            Reading::Known(quoted) => quoted,
            other => return Self { tpm: None, missing: vec![missing(&other)] },
        };
        let inline = |chain: Vec<Vec<u8>>| chain.into_iter().map(Inline).collect::<Vec<_>>();
        let mut platform = Self::default();
        if !matches!(quoted.ek_certificate, Reading::Known(_)) {
            let state = quoted.ek_certificate.state();
            platform.missing.push(format!("the TPM's certificate of its vendor is {state}"));
        }
        let quote = SignedQuote::new(Phase::Start, &quoted);
        platform.tpm = Some(TpmEvidence {
            manufacturer: quoted.manufacturer,
            firmware: quoted.firmware,
            ek_cert: quoted.ek_certificate.into_known().map(Inline),
            ek_chain: inline(quoted.ek_chain),
            ak_pub: Inline(quoted.ak_public),
            ak_binding: match (quoted.ak_chain, certificates) {
                (own, _) if !own.is_empty() => KeyBinding::IakCertificate { chain: inline(own), secret: None },
                (_, issued) if !issued.is_empty() => KeyBinding::Certificate { chain: inline(issued) },
                _ => KeyBinding::Own {},
            },
            quotes: vec![quote],
            event_log: None,
        });
        platform
    }

    /// Adds what the TPM read in the challenge's credential. Where the vendor of the machine certified the key, both stay: a
    /// verifier may know one vendor and not the other.
    pub fn activated(&mut self, secret: Reading<[u8; 32]>) {
        let Some(tpm) = &mut self.tpm else { return };
        match secret {
            Reading::Known(answer) => match &mut tpm.ak_binding {
                KeyBinding::IakCertificate { secret, .. } => *secret = Some(Secret(answer)),
                other => *other = KeyBinding::Credential { secret: Secret(answer) },
            },
            Reading::Failed(why) => self.missing.push(format!("no answer to the challenge's credential: {why}")),
            other => self.missing.push(format!("no answer to the challenge's credential: {}", other.state())),
        }
    }

    /// Adds what the TPM gave after the burn-in.
    pub fn end(&mut self, end: Reading<Quoted>) {
        let Some(tpm) = &mut self.tpm else { return };
        match end {
            Reading::Known(quoted) if quoted.ak_public == tpm.ak_pub.0 => {
                tpm.quotes.push(SignedQuote::new(Phase::End, &quoted));
            }
            Reading::Known(_) => {
                self.missing.push("no quote at the end: another TPM answered, or it was set up anew".to_owned());
            }
            other => self.missing.push(format!("no quote at the end: {}", missing(&other))),
        }
    }
}

impl SignedQuote {
    fn new(phase: Phase, quoted: &Quoted) -> Self {
        let registers = quoted.registers.iter();
        Self {
            phase,
            attest: Inline(quoted.attest.clone()),
            sig: Inline(quoted.signature.clone()),
            bank: BANK.to_owned(),
            pcrs: registers.map(|(register, value)| (*register, Digest::from_bytes(*value))).collect(),
            time: quoted.time.clone().map(|(attest, sig)| SignedTime { attest: Inline(attest), sig: Inline(sig) }),
        }
    }
}

fn missing(reading: &Reading<Quoted>) -> String {
    match reading {
        Reading::Absent => "this machine has no TPM that the kernel knows of".to_owned(),
        Reading::Denied => "the TPM may not be used without more privileges".to_owned(),
        Reading::Unsupported => "the TPM was not asked".to_owned(),
        Reading::Failed(why) => why.clone(),
        Reading::Known(_) => String::new(),
    }
}

/// What a quote has to contain: `H("yanji/v1/tpm\0" || s0 || phase || chainHead)`. The phase is its lower-case word; without
/// a chain, and at the start, `chainHead` is 32 zero bytes.
pub fn nonce(s0: &Digest, phase: Phase, chain_head: Option<&Digest>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"yanji/v1/tpm\0");
    hasher.update(s0.as_bytes());
    hasher.update(phase.as_str().as_bytes());
    hasher.update(chain_head.map_or(&[0; 32], Digest::as_bytes).as_slice());
    hasher.finish()
}
