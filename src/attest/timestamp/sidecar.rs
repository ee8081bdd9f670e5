//! The file beside the envelope.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::attest::strict_json::{self, StrictJsonError};

/// What the name of the file ends in.
const ENDING: &str = ".timestamps.json";
/// The most timestamps of one report: two for each signature that an envelope may hold.
pub const MAX_TIMESTAMPS: usize = 128;
/// The largest file that is read.
pub const MAX_SIDECAR_BYTES: usize = 6 << 20;

/// Where the timestamps of an envelope are: `report.timestamps.json` beside `report.dsse.json`, `receipt.timestamps.json` beside
/// `receipt.json`.
pub fn beside(envelope: &Path) -> PathBuf {
    let name = envelope.file_name().unwrap_or_default();
    let text = name.to_string_lossy();
    let stem = [".dsse.json", ".json"].into_iter().find_map(|ending| text.strip_suffix(ending));
    let mut file = stem.map_or_else(|| name.to_owned(), OsString::from);
    file.push(ENDING);
    envelope.with_file_name(file)
}

/// Why a file holds no timestamps.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// Not JSON, or not a list of timestamps.
    #[error("the file {0}")]
    Json(StrictJsonError),
    /// None, or too many.
    #[error("the file holds {0} timestamps; 1 to {MAX_TIMESTAMPS} are accepted")]
    Count(usize),
    /// A response that is not base64.
    #[error("response {number} is not base64: {why}")]
    Base64 {
        /// Counted from 1.
        number: usize,
        /// What is wrong, and where.
        why: String,
    },
}

/// Responses of time-stamping authorities to one report's signatures. Which signature each is about, it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sidecar {
    /// TimeStampResp (RFC 3161, section 2.4.2) in DER.
    pub responses: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    timestamps: Vec<WireTimestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTimestamp {
    response: String,
}

impl Sidecar {
    /// Reads the file. No token is checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, SidecarError> {
        let wire: Wire = strict_json::from_slice(bytes, MAX_SIDECAR_BYTES).map_err(SidecarError::Json)?;
        if wire.timestamps.is_empty() || wire.timestamps.len() > MAX_TIMESTAMPS {
            return Err(SidecarError::Count(wire.timestamps.len()));
        }
        let responses = wire.timestamps.iter().enumerate().map(|(index, timestamp)| {
            let decoded = STANDARD.decode(&timestamp.response);
            decoded.map_err(|error| SidecarError::Base64 { number: index + 1, why: error.to_string() })
        });
        Ok(Self { responses: responses.collect::<Result<_, _>>()? })
    }

    /// The file: `{"timestamps":[{"response":BASE64}]}`.
    pub fn to_json(&self) -> String {
        let timestamps = self.responses.iter().map(|response| WireTimestamp { response: STANDARD.encode(response) });
        // Strings only: there is nothing that JSON could not hold.
        serde_json::to_string(&Wire { timestamps: timestamps.collect() }).unwrap_or_default() + "\n"
    }
}
