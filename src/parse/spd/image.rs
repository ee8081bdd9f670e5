//! Bytes of an image, each access checked.

/// The bytes that can be believed. Whatever lies behind their end is `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'a>(pub &'a [u8]);

impl<'a> Image<'a> {
    pub fn byte(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    /// Bits `high` to `low` of a byte.
    pub fn bits(self, offset: usize, high: u8, low: u8) -> Option<u8> {
        let mask = (1u16 << (high - low + 1)) - 1;
        self.byte(offset).map(|byte| (u16::from(byte >> low) & mask) as u8)
    }

    pub fn array<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }

    /// A little-endian word.
    pub fn word(self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub fn slice(self, start: usize, end: usize) -> Option<&'a [u8]> {
        self.0.get(start..end)
    }
}
