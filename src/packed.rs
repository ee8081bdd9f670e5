//! What the binary carries in compressed form. `packaging/build.rs` packs it.

use zstd::{bulk, zstd_safe};

/// Pieces by name, sorted: `include!(concat!(env!("OUT_DIR"), "/LIST.rs"))`.
pub(crate) type Pieces = &'static [(&'static str, &'static [u8])];

/// The content of a piece; `None` for bytes that the build did not make.
pub(crate) fn unpack(piece: &[u8]) -> Option<Vec<u8>> {
    let bytes = zstd_safe::get_frame_content_size(piece).ok()??;
    bulk::decompress(piece, usize::try_from(bytes).ok()?).ok()
}

/// The content of the piece with that name.
pub(crate) fn unpack_named(pieces: Pieces, name: &str) -> Option<Vec<u8>> {
    let index = pieces.binary_search_by_key(&name, |(name, _)| name).ok()?;
    unpack(pieces[index].1)
}
