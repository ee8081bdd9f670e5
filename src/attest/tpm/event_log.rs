//! The firmware's log of what it measured into the registers, in the crypto-agile format (TCG PC Client Platform Firmware
//! Profile, 10.2). Numbers are little-endian.
//!
//! ```text
//! first:  u32 register │ u32 type 3 │ 20 bytes │ u32 size │ "Spec ID Event03\0" … u32 count, each: u16 hash, u16 size
//! others: u32 register │ u32 type │ u32 count, each: u16 hash, digest │ u32 size │ event
//! ```
//!
//! Nothing but the digests counts: what an event says of itself was not measured. The one type that is looked at is
//! EV_NO_ACTION, which extends no register; a log that hides an event behind it does not lead to the quoted values.

use std::collections::BTreeMap;

use super::SHA256;
use crate::attest::{Digest, Hasher};

/// The most that is read of a log; a real one has some 10 to 300 KB.
pub const MAX_LOG_BYTES: usize = 4 << 20;
/// The highest register of a PC.
const LAST_REGISTER: u32 = 23;
const EV_NO_ACTION: u32 = 3;
const SPEC_ID: &[u8] = b"Spec ID Event03\0";
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";
/// Banks that one log covers.
const MAX_BANKS: u32 = 16;

/// What a log leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// Registers of the SHA-256 bank that were extended, with their values at the end.
    pub registers: BTreeMap<u32, [u8; 32]>,
    /// How many events extended each of them.
    pub events: BTreeMap<u32, usize>,
}

/// Why bytes are no log. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// Over [`MAX_LOG_BYTES`].
    #[error("the event log has {0} bytes, more than are read")]
    TooLarge(usize),
    /// It ends within an event.
    #[error("the event log ends within the event at byte {at}")]
    Short {
        /// Where that event begins.
        at: usize,
    },
    /// Not of the crypto-agile format.
    #[error("the event log does not begin with \"Spec ID Event03\"")]
    Format,
    /// An event for a register that there is none of, or in a bank that was not announced.
    #[error("the event log has {value} as {field} at byte {at}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is there.
        value: u32,
        /// Where the event begins.
        at: usize,
    },
    /// The firmware did not measure in SHA-256.
    #[error("the event log has no SHA-256 digests")]
    NoSha256,
}

impl EventLog {
    /// Reads a whole log and extends registers as it says.
    pub fn replay(bytes: &[u8]) -> Result<Self, EventLogError> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(EventLogError::TooLarge(bytes.len()));
        }
        let mut reader = Reader { bytes, at: 0, event: 0 };
        let banks = read_header(&mut reader)?;
        if !banks.contains_key(&SHA256) {
            return Err(EventLogError::NoSha256);
        }
        let mut log = Self { registers: BTreeMap::new(), events: BTreeMap::new() };
        while reader.at < bytes.len() {
            reader.event = reader.at;
            let (register, kind, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
            if register > LAST_REGISTER {
                return Err(reader.field("register", register));
            }
            if count > MAX_BANKS {
                return Err(reader.field("count of digests", count));
            }
            let mut measured: Option<&[u8]> = None;
            for _ in 0..count {
                let hash = reader.u16()?;
                let size = *banks.get(&hash).ok_or_else(|| reader.field("hash", hash.into()))?;
                let digest = reader.take(size.into())?;
                if hash == SHA256 {
                    measured = Some(digest);
                }
            }
            let size = reader.u32()?;
            let event = reader.take(usize::try_from(size).unwrap_or(usize::MAX))?;
            if kind == EV_NO_ACTION {
                // The locality that started the TPM is where register 0 begins (Part 1, 12.2.3.3).
                if register == 0
                    && log.events.is_empty()
                    && let Some([locality, ..]) = event.strip_prefix(STARTUP_LOCALITY)
                {
                    log.registers.entry(0).or_default()[31] = *locality;
                }
                continue;
            }
            let measured = measured.ok_or(EventLogError::NoSha256)?;
            let value = log.registers.entry(register).or_default();
            *value = extend(value, measured);
            *log.events.entry(register).or_default() += 1;
        }
        Ok(log)
    }
}

/// The value of a register after one more digest.
pub fn extend(value: &[u8; 32], measured: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(value);
    hasher.update(measured);
    let digest: Digest = hasher.finish();
    *digest.as_bytes()
}

/// The size of a digest by its algorithm.
fn read_header(reader: &mut Reader<'_>) -> Result<BTreeMap<u16, u16>, EventLogError> {
    reader.u32()?;
    let kind = reader.u32()?;
    reader.take(20)?;
    let size = reader.u32()?;
    let event = reader.take(usize::try_from(size).unwrap_or(usize::MAX))?;
    let header = event.strip_prefix(SPEC_ID).filter(|_| kind == EV_NO_ACTION).ok_or(EventLogError::Format)?;
    let mut header = Reader { bytes: header, at: 0, event: 0 };
    // Platform class, version of the specification, size of a machine word.
    header.take(8)?;
    let count = header.u32()?;
    if count > MAX_BANKS {
        return Err(header.field("count of banks", count));
    }
    let mut banks = BTreeMap::new();
    for _ in 0..count {
        let (hash, size) = (header.u16()?, header.u16()?);
        if size > 64 || (hash == SHA256 && size != 32) {
            return Err(header.field("size of a digest", size.into()));
        }
        banks.insert(hash, size);
    }
    Ok(banks)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the event begins.
    event: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], EventLogError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(EventLogError::Short { at: self.event })?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn u16(&mut self) -> Result<u16, EventLogError> {
        Ok(self.take(2)?.iter().rev().fold(0, |value, byte| value << 8 | u16::from(*byte)))
    }

    fn u32(&mut self) -> Result<u32, EventLogError> {
        Ok(self.take(4)?.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn field(&self, field: &'static str, value: u32) -> EventLogError {
        EventLogError::Field { field, value, at: self.event }
    }
}
