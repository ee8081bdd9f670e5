//! What GPUs and NVSwitches are asked to sign.

use serde::{Deserialize, Serialize};

use crate::attest::{Digest, Hasher};
use crate::parse::spdm::NONCE_BYTES;

/// When in a session a device signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the burn-in.
    Start,
    /// After it.
    End,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::End => "end",
        })
    }
}

/// From what the nonce of each device is made: a report belongs to one session, one of its ends, one place and, at the end,
/// to the records of one burn-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceNonce {
    /// The session's value.
    pub s0: Digest,
    /// When.
    pub phase: Phase,
    /// Last link of the chain of records; `None` before there is one.
    pub chain_head: Option<Digest>,
}

impl DeviceNonce {
    /// `H("yanji/v1/gpu\0" || s0 || phase || place || chainHead)`: digests are 32 raw bytes each, zeros without a chain; the
    /// place is a GPU's address, `0000:3b:00.0`, or a switch's UUID, `SWX-…`.
    pub fn of(&self, place: &str) -> [u8; NONCE_BYTES] {
        let mut hasher = Hasher::new();
        hasher.update(b"yanji/v1/gpu\0");
        hasher.update(self.s0.as_bytes());
        hasher.update(self.phase.to_string().as_bytes());
        hasher.update(place.as_bytes());
        hasher.update(self.chain_head.unwrap_or(Digest::from_bytes([0; 32])).as_bytes());
        *hasher.finish().as_bytes()
    }
}
