//! The VBIOS of an NVIDIA graphics card: its images, what they say of themselves, and the header in front of them.
//!
//! ```text
//! [NVGI header and, from version 3 on, a ROM directory]      see ifr.rs
//! image, image, …            each starts at a multiple of 512 bytes; the chain ends at the image with the last bit
//! [InfoROM and other data that the running card writes]
//! [a second copy of all of it]
//!
//! image (PCI Firmware Specification 3.3, 5.1; NVIDIA's additions as in its open kernel modules)
//! 00h signature, word: AA55h; NVIDIA's own images 4E56h, BB77h
//! 18h offset of the PCI data structure, word
//!
//! PCI data structure
//! 00h "PCIR"; NVIDIA's own images "NPDS", "RGIS"
//! 04h vendor id, word        06h device id, word; 0 or a generic chip id in EFI and firmware-security images
//! 0Ah length of the structure, word
//! 0Dh class code, 3 bytes
//! 10h length of the image in 512 bytes, word
//! 14h code type: 00h legacy, 03h EFI, 70h NBSI, E0h firmware security
//! 15h bit 7: last image
//!
//! NVIDIA's extension, at the next multiple of 16 behind the PCI data structure; overrides it
//! 00h "NPDE"                 06h length, word
//! 08h length of the image in 512 bytes, word
//! 0Ah bit 7: last image
//! ```
//!
//! The two last bits differ on purpose: system firmware shall stop behind the EFI image, where the PCI data structure
//! says last, while the card goes on to its own images. The kernel's `rom` file therefore ends there.

mod bit;
mod chain;
mod ifr;
mod inforom;

use thiserror::Error;

pub use bit::Info;
pub use chain::{ChainEnd, CodeType, Image};
pub use ifr::Ifr;

/// The largest file that is looked at. Flash chips of graphics cards hold up to 2 MiB.
pub const MAX_BYTES: usize = 4 << 20;

/// What a VBIOS file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vbios {
    /// Bytes of the file.
    pub size_bytes: usize,
    /// The init-from-ROM header at the start, or else the first copy of one behind the chain.
    pub ifr: Option<Ifr>,
    /// The chain of images. Empty where the header points behind the end of the file.
    pub images: Vec<Image>,
    /// How the chain ends.
    pub end: ChainEnd,
    /// What the legacy image says of itself; every field is `None` without a BIOS information table.
    pub info: Info,
    /// Version of the InfoROM's image, where the file has one: `G001.0000.03.03`.
    pub inforom_version: Option<String>,
    /// SHA-256 of all bytes, hexadecimal.
    pub sha256: String,
    /// SHA-256, hexadecimal, of the images that the chip's boot verifies: the bytes of all legacy, EFI and
    /// firmware-security images of the chain, each whole, one after the other in the order of the chain. Not hashed are
    /// the headers in front of the chain, NBSI images (one of them holds the InfoROM, which the running card writes), and
    /// all that follows the chain. `None` where the chain is not all there; a file that ends behind the EFI image, as the
    /// kernel's `rom` does, has a digest of its own, so compare like with like.
    pub signed_sha256: Option<String>,
}

impl Vbios {
    /// PCI vendor id and device id that the first image is for.
    pub fn pci_ids(&self) -> Option<(u16, u16)> {
        self.images.first().map(|image| (image.vendor_id, image.device_id))
    }

    /// Whether an image, or the chain, goes on behind the end of the file.
    pub fn truncated(&self) -> bool {
        self.end == ChainEnd::Truncated
    }

    /// Whether an image of that type is among those that were found.
    pub fn has(&self, code_type: CodeType) -> bool {
        self.images.iter().any(|image| image.code_type == code_type)
    }
}

/// Why bytes are no VBIOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VbiosError {
    /// No bytes.
    #[error("the image is empty")]
    Empty,
    /// More than any flash chip of a graphics card holds.
    #[error("{0} bytes are more than a VBIOS has ({MAX_BYTES})")]
    TooLarge(usize),
    /// The same byte all over: an erased chip, or a read that nothing answered.
    #[error("every byte is {0:#04x}, so nothing was read or the flash is erased")]
    Blank(u8),
    /// It starts as an option ROM does, and ends in the header.
    #[error("the image ends inside the header of its first part, after {0} bytes")]
    Cut(usize),
    /// Something else.
    #[error("not a VBIOS: neither an NVGI header nor an option ROM (55 AA with a PCI data structure)")]
    NotVbios,
}

/// Reads a VBIOS: what `cat rom` in a PCI function's folder of sysfs, nvflash or a flash programmer gave. A file that is
/// cut gives what is there, marked by [`Vbios::end`].
pub fn parse(bytes: &[u8]) -> Result<Vbios, VbiosError> {
    let &first = bytes.first().ok_or(VbiosError::Empty)?;
    if bytes.len() > MAX_BYTES {
        return Err(VbiosError::TooLarge(bytes.len()));
    }
    if bytes.iter().all(|&byte| byte == first) {
        return Err(VbiosError::Blank(first));
    }
    let leading = Ifr::at(bytes, 0);
    let pointed = leading.as_ref().and_then(|header| header.image_offset);
    let start = pointed.filter(|&offset| Image::at(bytes, offset).is_some()).or_else(|| chain::find(bytes));
    let (images, end) = match start {
        Some(start) => chain::walk(bytes, start),
        None => match &leading {
            Some(header) if header.is_known() && header.points_behind(bytes.len()) => (Vec::new(), ChainEnd::Truncated),
            Some(header) if header.is_known() => (Vec::new(), ChainEnd::Broken),
            _ if chain::header_cut(bytes, 0) => return Err(VbiosError::Cut(bytes.len())),
            _ => return Err(VbiosError::NotVbios),
        },
    };
    let behind = images.last().map_or(0, |image| image.offset.saturating_add(image.length_bytes));
    let known = leading.as_ref().is_some_and(Ifr::is_known);
    let copy = if known { None } else { Ifr::find_copy(bytes, behind) };
    let ifr = copy.or(leading);
    let info = images
        .iter()
        .find(|image| image.code_type == CodeType::LEGACY)
        .map_or_else(Info::default, |image| Info::of_image(image.bytes(bytes)));
    let signed_sha256 = matches!(end, ChainEnd::Last | ChainEnd::Stripped).then(|| {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for image in images.iter().filter(|image| image.code_type.signed()) {
            digest.update(image.bytes(bytes));
        }
        hex::encode(digest.finish())
    });
    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes));
    Ok(Vbios {
        size_bytes: bytes.len(),
        ifr,
        images,
        end,
        info,
        inforom_version: inforom::version(bytes),
        sha256,
        signed_sha256,
    })
}

fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|word| u16::from_le_bytes(*word))
}

fn dword(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|dword| u32::from_le_bytes(*dword))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_vbios_says_why() {
        assert_eq!(parse(&[]), Err(VbiosError::Empty));
        assert_eq!(parse(&vec![0; MAX_BYTES + 1]), Err(VbiosError::TooLarge(MAX_BYTES + 1)));
        assert_eq!(parse(&[0; 4096]), Err(VbiosError::Blank(0)));
        assert_eq!(parse(&[0xff; 4096]), Err(VbiosError::Blank(0xff)));
        assert_eq!(parse(b"MZ this is a program"), Err(VbiosError::NotVbios));
        assert_eq!(parse(b"NVGIxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), Err(VbiosError::NotVbios));
        assert_eq!(parse(&[0x55, 0xaa, 0x7b]), Err(VbiosError::Cut(3)));
    }

    /// Bytes that look like a VBIOS often enough: signatures at multiples of 16 in a field of noise.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let marks: &[&[u8]] = &[
            b"NVGI\x00\x01\x10\x00",
            b"NVGI\x00\x03\x24\x80\x40\x00\x00\x00",
            b"\x55\xaa\x01",
            b"VN",
            b"\x77\xbb",
            b"PCIR",
            b"NPDS",
            b"NPDE\x01\x01\x14\x00",
            b"RFRD",
            b"\xff\xb8BIT\x00\x00\x01\x0c\x06\x13",
            b"\x20\x00",
        ];
        let mark = (0..256usize, proptest::sample::select(marks.to_vec()));
        (proptest::collection::vec(any::<u8>(), 0..4096), proptest::collection::vec(mark, 0..24)).prop_map(
            |(mut bytes, marks)| {
                for (at, mark) in marks {
                    if let Some(place) = bytes.get_mut(at * 16..at * 16 + mark.len()) {
                        place.copy_from_slice(mark);
                    }
                }
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn never_panics(bytes in nearly()) {
            let _ = parse(&bytes);
        }
    }
}
