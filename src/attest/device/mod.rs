//! What NVIDIA's GPUs (Hopper and later) and NVSwitches sign of themselves: a measurement report and the certificates
//! of the key that signed it.
//!
//! ```text
//! report + PEM chain ─► Device::decode ─► Device::verify (one device) ─► compare (duplicates, topology) ─► Failure
//! ```
//!
//! [`Device::verify`] establishes that the chip which the certificate names signed the report over the nonce. It does not
//! establish that the firmware is good: the measurements are only read, since their references are NVIDIA's and online.
//! Neither does it look revocation up; serial numbers that are known to be revoked can be given.

mod chain;
mod evidence;
mod file;
mod fleet;
mod nonce;
mod roots;

use std::collections::BTreeSet;

use jiff::Timestamp;
use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use serde::Serialize;

pub use chain::{Certificate, Chain, ChainError, DeviceKind, Fault, MAX_CHAIN_BYTES, Pdi, SerialNumber};
pub(crate) use chain::{describe_refusal, is_between};
pub use evidence::{DeviceEvidence, Format, Via};
pub use file::{Entry, EvidenceFile, FileError, MAX_FILE_BYTES, read};
pub use fleet::{Fleet, Unsigned, compare};
pub use nonce::{DeviceNonce, Phase};
pub use roots::{NVIDIA_DEVICE_IDENTITY_SHA256, Root, RootError, Roots};

use crate::attest::verify::{Failure, FailureClass};
use crate::parse::spdm::{self, NONCE_BYTES, Report, SpdmError};

/// Bytes of a PDI in a list.
const PDI_BYTES: usize = 8;
/// GPUs in the list of a switch; behind them is a byte for each port.
const SWITCH_GPUS: usize = 8;

/// The evidence of one device, decoded and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it measured.
    pub report: Report,
    /// Who vouches for its key.
    pub chain: Chain,
    signed: Vec<u8>,
}

/// What a device's evidence is held against.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Authorities that count.
    pub roots: &'a Roots,
    /// When the certificates have to be valid.
    pub at: Timestamp,
    /// Serial numbers of revoked certificates.
    pub revoked: &'a [SerialNumber],
    /// What the device was asked to sign; `None` where nobody knows.
    pub nonce: Option<[u8; NONCE_BYTES]>,
}

/// What became of each step; `None` was not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// Every certificate is signed by the next, up to a root.
    pub chain: Option<bool>,
    /// Every certificate is valid at the time.
    pub validity: Option<bool>,
    /// No certificate is among the revoked ones.
    pub revocation: Option<bool>,
    /// The device's key signed the report.
    pub signature: Option<bool>,
    /// The report is over the nonce.
    pub nonce: Option<bool>,
    /// The key belongs to the firmware that the report names.
    pub firmware: Option<bool>,
    /// The certificate names a device, and the report no other one.
    pub identity: Option<bool>,
}

/// What the verification of one device found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Each step.
    pub steps: Steps,
    /// The root that the chain leads to.
    pub root: Option<Root>,
    /// What failed.
    pub failures: Vec<Failure>,
}

impl Verification {
    /// Whether the device's own signature, over that nonce, under a root that counts, has been verified.
    pub fn is_proven(&self) -> bool {
        self.failures.is_empty() && self.steps.nonce == Some(true)
    }
}

impl Device {
    /// Reads a report and a PEM chain.
    pub fn decode(report: &[u8], chain: &[u8]) -> Result<Self, Failure> {
        let chain = Chain::parse(chain).map_err(|error| {
            let class = match error {
                ChainError::TooLarge(_) | ChainError::TooMany => FailureClass::Format,
                _ => FailureClass::DeviceChain,
            };
            Failure::new(class, "certificate chain", "X.509 certificates in PEM", &error.to_string())
        })?;
        let parsed = spdm::parse(report).map_err(|error| {
            let class = match error {
                SpdmError::TooLarge(_) => FailureClass::Format,
                _ => FailureClass::DeviceChain,
            };
            let expected = "an SPDM 1.1 request and response for measurements";
            Failure::new(class, "report", expected, &error.to_string())
        })?;
        let signed = report[..parsed.signed_bytes].to_vec();
        Ok(Self { report: parsed, chain, signed })
    }

    /// Which device the certificate names.
    pub fn identity(&self) -> Option<(DeviceKind, Pdi)> {
        self.chain.device()
    }

    /// Architecture of the chip, in the words of NVIDIA's tools; `None` of a chip that is not known.
    pub fn architecture(&self) -> Option<&'static str> {
        let chip = self.chain.chip()?;
        [("GH1", "HOPPER"), ("GB1", "BLACKWELL"), ("GB2", "BLACKWELL"), ("LS_10", "LS10"), ("LS10", "LS10")]
            .into_iter()
            .find(|(prefix, _)| chip.starts_with(prefix))
            .map(|(_, architecture)| architecture)
    }

    /// `gpu 0x2921ce551e4eeda3`.
    pub fn label(&self) -> String {
        match self.identity() {
            Some((kind, pdi)) => format!("{kind} {pdi}"),
            None => "device without an id".to_owned(),
        }
    }

    /// PDIs of the switches at a GPU's links; `None` where the report has no such list.
    pub fn switches(&self) -> Option<BTreeSet<Pdi>> {
        let list = self.report.field(spdm::DEVICE_PDI).filter(|_| self.is(DeviceKind::Gpu))?;
        Some(pdis(list).map(Pdi::reversed).collect())
    }

    /// PDIs of the GPUs at a switch; `None` where the report has no such list.
    pub fn gpus(&self) -> Option<BTreeSet<Pdi>> {
        let list = self.report.field(spdm::SWITCH_GPU_PDIS).filter(|_| self.is(DeviceKind::Switch))?;
        Some(pdis(list.get(..SWITCH_GPUS * PDI_BYTES)?).collect())
    }

    /// Whether the key of the first certificate signed the report, whoever vouches for that key.
    pub fn is_signed(&self) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.chain.leaf().public_key);
        key.verify(&self.signed, &self.report.signature).is_ok()
    }

    fn is(&self, kind: DeviceKind) -> bool {
        self.identity().is_some_and(|(own, _)| own == kind)
    }

    /// Verifies chain, signature, nonce and identity. Looks at everything, whatever fails.
    pub fn verify(&self, terms: &Terms<'_>) -> Verification {
        let mut found = Verification::default();
        let label = self.label();
        let mut fail = |class, what: &str, expected: &str, observed: &str| {
            found.failures.push(Failure::new(class, &format!("{label}: {what}"), expected, observed));
        };
        let mut fault = |result: Result<(), Fault>| match result {
            Ok(()) => Some(true),
            Err(fault) => {
                fail(FailureClass::DeviceChain, fault.what, &fault.expected, &fault.observed);
                Some(false)
            }
        };
        let root = self.chain.check_signatures(terms.roots);
        let anchor = root.as_ref().ok().copied();
        found.root = anchor.cloned();
        let chain = fault(root.map(|_| ()));
        let validity = fault(self.chain.check_validity(anchor, terms.at));
        let revocation =
            if terms.revoked.is_empty() { None } else { fault(self.chain.check_revocation(anchor, terms.revoked)) };

        let signature = self.is_signed();
        if !signature {
            let expected = format!("a signature by the key of certificate {}", self.chain.leaf().serial);
            fail(FailureClass::DeviceChain, "signature", &expected, "a signature over other bytes, or by another key");
        }
        let nonce = terms.nonce.map(|nonce| {
            let is_same = nonce == self.report.nonce;
            if !is_same {
                fail(FailureClass::Nonce, "nonce", &hex::encode(nonce), &hex::encode(self.report.nonce));
            }
            is_same
        });
        let firmware = self.report.field(spdm::FWID).map(|fwid| {
            let is_same = self.chain.names_firmware(fwid);
            if !is_same {
                let expected = format!("firmware {} in the certificate", hex::encode(fwid));
                fail(FailureClass::DeviceChain, "firmware", &expected, "a key that other firmware made");
            }
            is_same
        });
        let conflict = match self.identity() {
            None => Some(("a GPU or a switch with its PDI".to_owned(), self.chain.certificates[1].subject.clone())),
            Some((DeviceKind::Switch, pdi)) => self.report.field(spdm::DEVICE_PDI).and_then(|own| {
                (own != pdi.0.as_slice()).then(|| (format!("{pdi} in the report"), format!("0x{}", hex::encode(own))))
            }),
            Some((DeviceKind::Gpu, _)) => None,
        };
        if let Some((expected, observed)) = &conflict {
            fail(FailureClass::IdentityConflict, "identity", expected, observed);
        }
        found.steps = Steps {
            chain,
            validity,
            revocation,
            signature: Some(signature),
            nonce,
            firmware,
            identity: Some(conflict.is_none()),
        };
        found
    }

    /// There are no references for what devices measure of their firmware; this says so of one.
    pub fn unknown_measurements(&self) -> Failure {
        let version = self.report.vbios_version();
        let expected =
            format!("reference measurements for VBIOS {}", version.as_deref().unwrap_or("of unknown version"));
        let count = self.report.measurements.len();
        let what = format!("{}: measurements", self.label());
        let observed = format!("no references; {count} measurements were read and compared with nothing");
        Failure::new(FailureClass::MeasurementUnknown, &what, &expected, &observed)
    }
}

/// The entries of a list, without its fillers.
fn pdis(list: &[u8]) -> impl Iterator<Item = Pdi> {
    let (entries, _) = list.as_chunks::<PDI_BYTES>();
    entries.iter().copied().filter(|pdi| *pdi != [0xff; PDI_BYTES] && *pdi != [0; PDI_BYTES]).map(Pdi)
}
