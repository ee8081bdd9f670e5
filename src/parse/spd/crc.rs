//! Checksums over parts of an image.

use std::fmt;

use crc::{CRC_16_XMODEM, Crc, Table};

use super::image::Image;

/// Sixteen bytes a step: a DDR5 image has 510 of them.
static CRC_16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// One range of bytes, the sum that is stored for it and the one that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// First byte of the range.
    pub first: u16,
    /// Last byte of the range.
    pub last: u16,
    /// As it stands in the image.
    pub stored: u16,
    /// Of the bytes as they are.
    pub computed: u16,
    digits: usize,
}

impl Checksum {
    /// CRC-16 (polynomial 1021h, start 0) of the bytes from `first` to `last`, stored behind them, low byte first.
    pub(super) fn crc(image: Image<'_>, first: usize, last: usize) -> Option<Self> {
        Self::crc_at(image, first, last, last + 1)
    }

    pub(super) fn crc_at(image: Image<'_>, first: usize, last: usize, stored: usize) -> Option<Self> {
        let stored = image.word(stored)?;
        let computed = CRC_16.checksum(image.slice(first, last + 1)?);
        Some(Self { first: first as u16, last: last as u16, stored, computed, digits: 4 })
    }

    /// Sum of all bytes modulo 256, stored behind them (DDR, DDR2).
    pub(super) fn sum(image: Image<'_>, last: usize) -> Option<Self> {
        let stored = image.byte(last + 1)?.into();
        let computed = image.slice(0, last + 1)?.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).into();
        Some(Self { first: 0, last: last as u16, stored, computed, digits: 2 })
    }

    /// Whether both are the same.
    pub fn fits(&self) -> bool {
        self.stored == self.computed
    }

    /// `0-125`.
    pub fn range(&self) -> String {
        format!("{}-{}", self.first, self.last)
    }

    /// A sum for a person: `0xF56C`; the sum of DDR and DDR2 has two digits.
    pub fn show(&self, sum: u16) -> String {
        format!("0x{sum:0digits$X}", digits = self.digits)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [stored, computed] = [self.stored, self.computed].map(|sum| self.show(sum));
        match self.fits() {
            true => write!(f, "{}: ok ({stored})", self.range()),
            false => write!(f, "{}: stored {stored}, should be {computed}", self.range()),
        }
    }
}
