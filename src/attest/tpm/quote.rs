//! What a TPM signs when it quotes its registers or attests its time: TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12).
//!
//! ```text
//! u32 magic ff544347 │ u16 type │ TPM2B qualifiedSigner │ TPM2B extraData
//! u64 clock │ u32 resetCount │ u32 restartCount │ u8 safe │ u64 firmwareVersion
//! 8018: u32 count, each: u16 hash, u8 size, bitmap of registers │ TPM2B pcrDigest
//! 8019: u64 time │ the clock again │ u64 firmwareVersion
//! ```

use super::wire::{Reader, WireError};
use crate::attest::{Digest, Hasher};

/// TPM_GENERATED_VALUE: no restricted key signs foreign bytes that begin with it.
pub const MAGIC: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
pub const TYPE_QUOTE: u16 = 0x8018;
/// TPM_ST_ATTEST_TIME.
pub const TYPE_TIME: u16 = 0x8019;
/// Banks in a selection; TPMs have at most four or five.
const MAX_SELECTIONS: u32 = 16;
/// Bytes of the bitmap of a selection; 3 are 24 registers.
const MAX_BITMAP_BYTES: u8 = 8;

/// The clock of a TPM at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Time during which the TPM had power, over all boots, in milliseconds.
    pub clock_ms: u64,
    /// TPM resets: boots of the machine.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// Whether no larger value of the clock may have been reported before.
    pub safe: bool,
}

/// What a TPM attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What whoever asked for it wanted to be contained.
    pub extra_data: Vec<u8>,
    /// When it was made.
    pub clock: Clock,
    /// Version of the TPM's firmware, in the vendor's own layout.
    pub firmware_version: u64,
    /// Of what.
    pub said: Said,
}

/// Of what a TPM made an attestation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Its registers.
    Quote {
        /// Registers by hash algorithm (TPM_ALG_ID), in the order in which their values were hashed.
        selection: Vec<(u16, Vec<u32>)>,
        /// Digest of the values of those registers.
        pcr_digest: Vec<u8>,
    },
    /// Its time.
    Time {
        /// Milliseconds since it was powered on. Unlike the clock, nobody can set it.
        time_ms: u64,
    },
}

/// Why bytes are no attestation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Cut off, too long, or of another version.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Not made by a TPM.
    #[error("begins with {0:08x}, not with ff544347")]
    Magic(u32),
    /// Another kind of attestation.
    #[error("is an attestation of type {0:04x}, neither a quote (8018) nor a time (8019)")]
    Type(u16),
}

impl Attestation {
    /// Reads a TPMS_ATTEST that is a quote or a time.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestationError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32()?;
        if magic != MAGIC {
            return Err(AttestationError::Magic(magic));
        }
        let kind = reader.u16()?;
        if !matches!(kind, TYPE_QUOTE | TYPE_TIME) {
            return Err(AttestationError::Type(kind));
        }
        reader.sized()?;
        let extra_data = reader.sized()?.to_vec();
        let clock = read_clock(&mut reader)?;
        let firmware_version = reader.u64()?;
        let said = if kind == TYPE_QUOTE {
            Said::Quote { selection: read_selection(&mut reader)?, pcr_digest: reader.sized()?.to_vec() }
        } else {
            let time_ms = reader.u64()?;
            read_clock(&mut reader)?;
            reader.u64()?;
            Said::Time { time_ms }
        };
        reader.finish()?;
        Ok(Self { extra_data, clock, firmware_version, said })
    }
}

/// TPMS_CLOCK_INFO.
pub fn read_clock(reader: &mut Reader<'_>) -> Result<Clock, WireError> {
    let (clock_ms, reset_count, restart_count) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let safe = match reader.u8()? {
        0 => false,
        1 => true,
        other => return Err(WireError::Unsupported { field: "safe", value: other.into() }),
    };
    Ok(Clock { clock_ms, reset_count, restart_count, safe })
}

/// TPML_PCR_SELECTION.
pub fn read_selection(reader: &mut Reader<'_>) -> Result<Vec<(u16, Vec<u32>)>, WireError> {
    let count = reader.u32()?;
    if count > MAX_SELECTIONS {
        return Err(WireError::Unsupported { field: "count of selections", value: count });
    }
    let mut selection = Vec::new();
    for _ in 0..count {
        let hash = reader.u16()?;
        let size = reader.u8()?;
        if size > MAX_BITMAP_BYTES {
            return Err(WireError::Unsupported { field: "sizeofSelect", value: size.into() });
        }
        let mut registers = Vec::new();
        for (byte, first) in reader.bytes(size.into())?.iter().zip((0u32..).step_by(8)) {
            registers.extend((0..8).filter(|bit| byte >> bit & 1 == 1).map(|bit| first + bit));
        }
        selection.push((hash, registers));
    }
    Ok(selection)
}

/// What a quote has as its digest; the values in the order of their registers.
pub fn pcr_digest<'a>(values: impl IntoIterator<Item = &'a [u8; 32]>) -> Digest {
    let mut hasher = Hasher::new();
    values.into_iter().for_each(|value| hasher.update(value));
    hasher.finish()
}
