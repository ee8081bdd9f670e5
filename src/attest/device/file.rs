//! Files that hold the evidence of devices: NVIDIA's JSON, or a report and a chain of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::attest::strict_json::{self, StrictJsonError};
use crate::parse::spdm::NONCE_BYTES;

/// The largest file: a rack's worth of devices.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// The most devices in one file.
const MAX_ENTRIES: usize = 1024;

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
}

/// Why a file holds no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("{0} bytes are more than evidence can have")]
    TooLarge(usize),
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
    certificate: String,
    evidence: String,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    vbios_version: Option<String>,
}

/// What `nvattest collect-evidence` prints.
#[derive(Deserialize)]
struct Collected {
    evidences: Vec<RawEntry>,
}

/// Tells what the file is and reads it.
pub fn read(bytes: &[u8]) -> Result<EvidenceFile, FileError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(FileError::TooLarge(bytes.len()));
    }
    if bytes.starts_with(&[0x11, 0xe0]) {
        return Ok(EvidenceFile::Report(bytes.to_vec()));
    }
    let text = bytes.trim_ascii();
    let devices = match text.first() {
        Some(b'[') => strict_json::from_slice(text, MAX_FILE_BYTES)?,
        Some(b'{') => match strict_json::from_slice::<Collected>(text, MAX_FILE_BYTES) {
            Ok(collected) => collected.evidences,
            Err(_) => vec![strict_json::from_slice(text, MAX_FILE_BYTES)?],
        },
        _ if text.starts_with(b"-----BEGIN ") => return Ok(EvidenceFile::Chain(text.to_vec())),
        _ => {
            let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let digits = digits.strip_prefix(b"0x").unwrap_or(&digits);
            let report = hex::decode(digits).ok().filter(|report| !report.is_empty()).ok_or(FileError::Unknown)?;
            return Ok(EvidenceFile::Report(report));
        }
    };
    match devices.len() {
        0 => Err(FileError::Empty),
        count if count > MAX_ENTRIES => Err(FileError::TooMany(count)),
        _ => Ok(EvidenceFile::Devices(devices.into_iter().map(entry).collect())),
    }
}

fn entry(raw: RawEntry) -> Result<Entry, FileError> {
    let nonce = match &raw.nonce {
        None => None,
        Some(text) => {
            let mut nonce = [0; NONCE_BYTES];
            let digits = text.strip_prefix("0x").unwrap_or(text);
            hex::decode_to_slice(digits, &mut nonce).map_err(|_| FileError::Encoding("nonce"))?;
            Some(nonce)
        }
    };
    let chain = match raw.certificate.starts_with("-----BEGIN ") {
        true => raw.certificate.into_bytes(),
        false => bytes(&raw.certificate).ok_or(FileError::Encoding("certificate"))?,
    };
    Ok(Entry {
        report: bytes(&raw.evidence).ok_or(FileError::Encoding("evidence"))?,
        chain,
        nonce,
        architecture: raw.arch,
        vbios_version: raw.vbios_version,
    })
}

/// Hexadecimal digits or base64. A report begins with 11h, which no base64 of one does.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    hex::decode(text).or_else(|_| STANDARD.decode(text)).ok()
}
