//! The InfoROM in a VBIOS file: a small file system that the running card writes, in the last NBSI image or behind the
//! chain. Only its version is read.
//!
//! ```text
//! 000h "JFFS", at a multiple of 512 bytes
//! 110h "IMG"                 118h version of the image, 16 characters: G001.0000.03.03
//! ```
//!
//! Source: the same place in images of six cards from Pascal to Ada.

use super::bit::printable;

const BLOCK_BYTES: usize = 512;

/// Whether an InfoROM starts in one of the blocks.
pub(super) fn is_in(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK_BYTES).any(|block| block.starts_with(b"JFFS"))
}

/// Version of the first InfoROM in the file.
pub(super) fn version(file: &[u8]) -> Option<String> {
    let object = |block: &'_ [u8]| Some((block.get(0x110..)?.starts_with(b"IMG"), printable(block.get(0x118..0x128)?)));
    let blocks = file.chunks(BLOCK_BYTES).filter(|block| block.starts_with(b"JFFS"));
    blocks.filter_map(object).find_map(|(named, version)| version.filter(|_| named))
}
