//! The header in front of a VBIOS: registers that the chip sets by itself before any code runs (init from ROM), among
//! them the subsystem ids of the card.
//!
//! ```text
//! 00h "NVGI"
//! 04h dword: version in bits 15:8, size of the fixed part in bits 30:16
//! 08h dword: size of all of it in bits 19:0
//! 0Ch subsystem vendor id, word      0Eh subsystem id, word
//!
//! where the images start
//! version 1, 2   dword at 4 behind the fixed part
//! version 3      dword behind all of it = offset of the flash status; 4096 behind that the ROM directory:
//!                00h "RFRD"          08h dword: where the images start
//! ```
//!
//! Source: `s_romImgFindPciHeader_TU102` in NVIDIA's open kernel modules.

use super::{dword, word};

/// An init-from-ROM header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ifr {
    /// Where in the file it is; anything but 0 is a copy behind the images.
    pub offset: usize,
    /// Version.
    pub version: u8,
    /// Subsystem vendor id and subsystem id that the card shows on the bus; `None` in a version that is not known.
    pub subsystem: Option<(u16, u16)>,
    /// Where the ROM directory is, counted from the header; version 3 only.
    pub directory_offset: Option<usize>,
    /// Where the header says that the images start, counted from the header.
    pub image_offset: Option<usize>,
    /// Bytes up to which a file must go to tell where the images start.
    needed_bytes: usize,
}

/// Offset of the ROM directory behind the flash status.
const DIRECTORY_BEHIND_STATUS: usize = 4096;
/// The fixed part up to the subsystem id.
const FIXED_BYTES_MIN: usize = 16;

impl Ifr {
    /// The header at that place of the file.
    pub(super) fn at(file: &[u8], offset: usize) -> Option<Self> {
        let header = file.get(offset..).filter(|header| header.starts_with(b"NVGI"))?;
        let first = dword(header, 4)?;
        let version = (first >> 8) as u8;
        let fixed_bytes = (first >> 16 & 0x7fff) as usize;
        let total_bytes = (dword(header, 8)? & 0xf_ffff) as usize;
        let subsystem = (word(header, 0xc)?, word(header, 0xe)?);
        if fixed_bytes < FIXED_BYTES_MIN || total_bytes < fixed_bytes {
            return None;
        }
        let mut found = Self {
            offset,
            version,
            subsystem: Some(subsystem),
            directory_offset: None,
            image_offset: None,
            needed_bytes: 0,
        };
        let at = |offset: usize| dword(header, offset).map(|offset| offset as usize);
        match version {
            1 | 2 => {
                found.needed_bytes = fixed_bytes + 8;
                found.image_offset = at(fixed_bytes + 4);
            }
            3 => {
                let directory = at(total_bytes).map(|status| status.saturating_add(DIRECTORY_BEHIND_STATUS));
                found.needed_bytes = directory.unwrap_or(total_bytes).saturating_add(12);
                let there = |&at: &usize| header.get(at..).is_some_and(|bytes| bytes.starts_with(b"RFRD"));
                found.directory_offset = directory.filter(there);
                found.image_offset = found.directory_offset.and_then(|directory| at(directory + 8));
            }
            _ => found.subsystem = None,
        }
        Some(found)
    }

    /// The first copy of a header at a multiple of 512 bytes from `from` on: some cards keep a second copy of everything
    /// behind the first, and files whose start was cut off for a virtual machine still have it.
    pub(super) fn find_copy(file: &[u8], from: usize) -> Option<Self> {
        let first = from.max(1).next_multiple_of(512);
        (first..file.len()).step_by(512).filter_map(|offset| Self::at(file, offset)).find(Self::is_known)
    }

    /// Whether the layout of this version is known.
    pub(super) fn is_known(&self) -> bool {
        self.subsystem.is_some()
    }

    /// Whether what leads to the images, or their first header, lies behind the end of a file of that many bytes.
    pub(super) fn points_behind(&self, length: usize) -> bool {
        let needed = self.image_offset.map_or(self.needed_bytes, |images| images.saturating_add(0x1a));
        needed > length
    }
}
