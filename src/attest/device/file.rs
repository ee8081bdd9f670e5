//! Files that hold the evidence of devices: NVIDIA's JSON, or a report and a chain of their own.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chain::BYTE_ORDER_MARK;

use crate::attest::strict_json::{self, StrictJsonError};
use crate::parse::spdm::NONCE_BYTES;

/// The largest file: a rack's worth of devices.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// The most devices in one file.
const MAX_ENTRIES: usize = 1024;
/// SPDM 1.1, GET_MEASUREMENTS.
const REPORT_START: [u8; 2] = [0x11, 0xe0];
const PEM_START: &[u8] = b"-----BEGIN ";
/// What says that an object is a collection of wrapped messages (draft-ietf-rats-msg-wrap, 3.3).
const WRAPPER: &str = "__cmwc_t";

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvidenceFile {
    /// Devices, each with report and chain, or why it has none.
    Devices(Vec<Result<Entry, FileError>>),
    /// A report whose chain is elsewhere.
    Report(Vec<u8>),
    /// A PEM chain whose report is elsewhere.
    Chain(Vec<u8>),
}

/// One device of a JSON file. Beside report and chain it has what software said of the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The report.
    pub report: Vec<u8>,
    /// The PEM chain.
    pub chain: Vec<u8>,
    /// The nonce that it was asked for.
    pub nonce: Option<[u8; NONCE_BYTES]>,
    /// Architecture: `HOPPER`.
    pub architecture: Option<String>,
    /// Version of the VBIOS.
    pub vbios_version: Option<String>,
    /// Version of the driver.
    pub driver_version: Option<String>,
}

/// Why a file holds no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// Damaged JSON.
    #[error("{0}")]
    Json(String),
    /// More devices than a machine has.
    #[error("{0} devices are more than one file can have")]
    TooMany(usize),
    /// No device in the JSON.
    #[error("no device in it")]
    Empty,
    /// A member that is neither hexadecimal nor base64.
    #[error("its {0} is neither hexadecimal nor base64")]
    Encoding(&'static str),
    /// Hexadecimal digits that are no whole bytes.
    #[error("its {0} has an odd number of hexadecimal digits")]
    OddDigits(&'static str),
    /// A nonce of another length.
    #[error("its nonce is not one of 32 bytes")]
    Nonce,
    /// Something else.
    #[error("neither JSON, nor PEM, nor a measurement report")]
    Unknown,
}

impl From<StrictJsonError> for FileError {
    fn from(error: StrictJsonError) -> Self {
        Self::Json(error.to_string())
    }
}

/// A device as NVIDIA's tools write it (`nvattest collect-evidence`, nvtrust).
#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    arch: Option<String>,
    certificate: Text,
    evidence: Text,
    #[serde(default)]
    nonce: Option<Text>,
    #[serde(default)]
    vbios_version: Option<String>,
    #[serde(default)]
    driver_version: Option<String>,
}

/// A text, by itself or behind its media type as in a RATS conceptual message wrapper.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Wrapped([String; 2]),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Wrapped([_, text]) => text,
        }
    }
}

/// What devices lie in: `evidences` of `nvattest collect-evidence`, or `evidence_list` of a request to NVIDIA's attestation
/// service, which has nonce and architecture once for all of them.
#[derive(Deserialize)]
struct Collected {
    #[serde(alias = "evidence_list")]
    evidences: Vec<Value>,
    #[serde(default)]
    nonce: Option<Text>,
    #[serde(default)]
    arch: Option<String>,
}

/// Tells what the file is and reads it.
pub fn read(bytes: &[u8]) -> Result<EvidenceFile, FileError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(FileError::TooLarge);
    }
    if bytes.starts_with(&REPORT_START) {
        return Ok(EvidenceFile::Report(bytes.to_vec()));
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii();
    let (devices, nonce, arch) = match text.first() {
        Some(b'[') => (strict_json::from_slice(text, MAX_FILE_BYTES)?, None, None),
        Some(b'{') => {
            let one: Value = strict_json::from_slice(text, MAX_FILE_BYTES)?;
            let has = |key| one.get(key).is_some();
            if has("evidences") || has("evidence_list") {
                let Collected { evidences, nonce, arch } = shaped(one)?;
                (evidences, nonce, arch)
            } else if has(WRAPPER) && !has("evidence") {
                let nonce = one.get("nonce").cloned().map(shaped).transpose()?;
                (wrapped(one), nonce, None)
            } else {
                (vec![one], None, None)
            }
        }
        // OpenSSL prints words about a certificate in front of it.
        _ if text.windows(PEM_START.len()).any(|window| window == PEM_START) => {
            return Ok(EvidenceFile::Chain(text.to_vec()));
        }
        _ => {
            let text = std::str::from_utf8(text).map_err(|_| FileError::Unknown)?;
            return match decode(text, "text") {
                Ok(report) if report.starts_with(&REPORT_START) => Ok(EvidenceFile::Report(report)),
                Err(error @ FileError::OddDigits(_)) => Err(error),
                _ => Err(FileError::Unknown),
            };
        }
    };
    match devices.len() {
        0 => Err(FileError::Empty),
        count if count > MAX_ENTRIES => Err(FileError::TooMany(count)),
        _ => {
            let entry = |device: Value| {
                let raw: RawEntry = shaped(device)?;
                let (nonce, arch) = (raw.nonce.or_else(|| nonce.clone()), raw.arch.or_else(|| arch.clone()));
                entry(RawEntry { nonce, arch, ..raw })
            };
            Ok(EvidenceFile::Devices(devices.into_iter().map(entry).collect()))
        }
    }
}

/// The devices in a collection of wrapped messages, as NVIDIA's attestation SDK writes it: members by the names of the
/// devices, each a collection itself. What else lies in it is left alone.
fn wrapped(collection: Value) -> Vec<Value> {
    let Value::Object(members) = collection else { return Vec::new() };
    let is_device =
        |member: &Value| member.get(WRAPPER).is_some_and(|kind| kind.as_str().is_some_and(is_evidence_item));
    members.into_values().filter(is_device).collect()
}

/// `tag:nvidia.com,2026:evidence-item/v1`
fn is_evidence_item(kind: &str) -> bool {
    kind.starts_with("tag:nvidia.com,") && kind.contains(":evidence-item/")
}

/// One device that lacks something says nothing about the others.
fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, FileError> {
    serde_json::from_value(value)
        .map_err(|error| FileError::Json(format!("does not have the expected fields: {error}")))
}

fn entry(raw: RawEntry) -> Result<Entry, FileError> {
    let nonce = match &raw.nonce {
        None => None,
        Some(text) => {
            let bytes = decode(text.as_str(), "nonce").ok().and_then(|bytes| bytes.try_into().ok());
            Some(bytes.ok_or(FileError::Nonce)?)
        }
    };
    let certificate = raw.certificate.as_str().trim_start_matches('\u{feff}');
    let chain = match certificate.as_bytes().trim_ascii_start().starts_with(PEM_START) {
        true => certificate.as_bytes().to_vec(),
        false => decode(certificate, "certificate")?,
    };
    Ok(Entry {
        report: decode(raw.evidence.as_str(), "evidence")?,
        chain,
        nonce,
        architecture: raw.arch,
        vbios_version: raw.vbios_version,
        driver_version: raw.driver_version,
    })
}

/// Hexadecimal digits or base64 of either alphabet, padded or not, in one line or several. A report begins with 11h, which no
/// base64 of one does.
fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, FileError> {
    let plain: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = |alphabet| GeneralPurpose::new(alphabet, padding).decode(&plain).ok();
    let digits = plain.strip_prefix("0x").unwrap_or(&plain);
    if digits.len() % 2 == 1 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Cut somewhere. As base64 it would be nonsense.
        return Err(FileError::OddDigits(what));
    }
    let hexadecimal = hex::decode(digits).ok();
    hexadecimal.or_else(|| base64(&STANDARD)).or_else(|| base64(&URL_SAFE)).ok_or(FileError::Encoding(what))
}
