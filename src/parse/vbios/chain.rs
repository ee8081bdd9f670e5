//! The chain of images. The byte tables are in the parent module.

use std::fmt;

use super::{dword, inforom, word};

/// Images are counted in this many bytes.
const BLOCK_BYTES: usize = 512;
/// A card has two to six.
const MAX_IMAGES: usize = 64;
/// A PCI data structure up to the indicator.
const PCIR_BYTES: usize = 0x16;

/// One image of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where in the file it starts.
    pub offset: usize,
    /// Its length, as it says, in bytes; it may reach behind the end of the file.
    pub length_bytes: usize,
    /// What is in it.
    pub code_type: CodeType,
    /// PCI vendor id that it is for.
    pub vendor_id: u16,
    /// PCI device id that it is for; 0 or a generic id of the chip in EFI and firmware-security images.
    pub device_id: u16,
    /// PCI class code, 24 bits.
    pub class: u32,
    /// Sum of all its bytes modulo 256, which shall be 0; `None` where the file ends before the image does.
    pub checksum: Option<u8>,
    /// Whether it holds the InfoROM, which the running card writes without mending the checksum.
    pub inforom: bool,
    /// Whether it says that no image follows.
    pub last: bool,
    /// Whether it tells system firmware that no image follows.
    pub pci_last: bool,
}

/// What is in an image (PCI Firmware Specification 3.3, 5.1.2; NVIDIA's own from its open kernel modules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeType(pub u8);

impl CodeType {
    /// Code for a PC's BIOS.
    pub const LEGACY: Self = Self(0x00);
    /// An EFI driver.
    pub const EFI: Self = Self(0x03);
    /// NVIDIA's data for the system's firmware; one of them holds the InfoROM.
    pub const NBSI: Self = Self(0x70);
    /// Code that the chip's security processor runs.
    pub const FWSEC: Self = Self(0xe0);

    /// One word: `legacy`, `efi`, `nbsi`, `fwsec`, `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LEGACY => "legacy",
            Self::EFI => "efi",
            Self::NBSI => "nbsi",
            Self::FWSEC => "fwsec",
            _ => "other",
        }
    }

    pub(super) fn signed(self) -> bool {
        matches!(self, Self::LEGACY | Self::EFI | Self::FWSEC)
    }
}

impl fmt::Display for CodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// How a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainEnd {
    /// With the image that says so.
    Last,
    /// Behind the last image that system firmware sees; the card's own ones that should follow are not in the file.
    Stripped,
    /// With the file, inside an image or where another one should start.
    Truncated,
    /// With something that is no image, or with an image of no length.
    Broken,
}

impl ChainEnd {
    /// One word: `last`, `stripped`, `truncated`, `broken`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Stripped => "stripped",
            Self::Truncated => "truncated",
            Self::Broken => "broken",
        }
    }
}

impl Image {
    /// The image at that place of the file.
    pub(super) fn at(file: &[u8], offset: usize) -> Option<Self> {
        let image = file.get(offset..)?;
        if !matches!(word(image, 0)?, 0xaa55 | 0x4e56 | 0xbb77) {
            return None;
        }
        let at = usize::from(word(image, 0x18)?);
        let pcir = image.get(at..).filter(|pcir| pcir.len() >= PCIR_BYTES)?;
        if !matches!(pcir.get(..4)?, b"PCIR" | b"NPDS" | b"RGIS") {
            return None;
        }
        let pci_last = pcir.get(0x15)? & 0x80 != 0;
        let (mut blocks, mut last) = (word(pcir, 0x10)?, pci_last);
        let extension = (at + usize::from(word(pcir, 0xa)?)).next_multiple_of(16);
        if let Some(npde) = image.get(extension..).filter(|npde| npde.starts_with(b"NPDE")) {
            let size = word(npde, 6).unwrap_or(0);
            if let Some(own) = word(npde, 8).filter(|_| size >= 0xa) {
                blocks = own;
            }
            if let Some(own) = npde.get(0xa).filter(|_| size >= 0xb) {
                last = own & 0x80 != 0;
            }
        }
        let length_bytes = usize::from(blocks) * BLOCK_BYTES;
        let code_type = CodeType(*pcir.get(0x14)?);
        let whole = image.get(..length_bytes);
        let found = image.get(..length_bytes.min(image.len())).unwrap_or_default();
        Some(Self {
            offset,
            length_bytes,
            code_type,
            vendor_id: word(pcir, 4)?,
            device_id: word(pcir, 6)?,
            class: dword(pcir, 0xc)? >> 8,
            checksum: whole.map(|bytes| bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))),
            inforom: code_type == CodeType::NBSI && inforom::is_in(found),
            last,
            pci_last,
        })
    }

    /// Its bytes, as far as the file has them.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let end = self.offset.saturating_add(self.length_bytes).min(file.len());
        file.get(self.offset..end).unwrap_or_default()
    }
}

/// The first place where an option ROM starts.
pub(super) fn find(file: &[u8]) -> Option<usize> {
    (0..file.len())
        .step_by(BLOCK_BYTES)
        .find(|&offset| word(file, offset) == Some(0xaa55) && Image::at(file, offset).is_some())
}

/// Whether an image starts there whose PCI data structure lies behind the end of the file.
pub(super) fn header_cut(file: &[u8], offset: usize) -> bool {
    let Some(image) = file.get(offset..) else { return false };
    let signature = matches!(word(image, 0), Some(0xaa55 | 0x4e56 | 0xbb77));
    signature && word(image, 0x18).is_none_or(|at| usize::from(at) + PCIR_BYTES > image.len())
}

/// All images from that place on. No length is negative, so the chain only goes forward.
pub(super) fn walk(file: &[u8], start: usize) -> (Vec<Image>, ChainEnd) {
    let mut images: Vec<Image> = Vec::new();
    let mut at = start;
    loop {
        let Some(image) = Image::at(file, at) else {
            let end = if header_cut(file, at) {
                ChainEnd::Truncated
            } else if images.last().is_some_and(|image| image.pci_last) {
                ChainEnd::Stripped
            } else if at < file.len() {
                ChainEnd::Broken
            } else {
                ChainEnd::Truncated
            };
            return (images, end);
        };
        let end = if image.checksum.is_none() {
            Some(ChainEnd::Truncated)
        } else if image.length_bytes == 0 || images.len() == MAX_IMAGES {
            Some(ChainEnd::Broken)
        } else {
            image.last.then_some(ChainEnd::Last)
        };
        at = at.saturating_add(image.length_bytes);
        images.push(image);
        if let Some(end) = end {
            return (images, end);
        }
    }
}
