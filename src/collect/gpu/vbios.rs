//! VBIOS images.

use crate::evidence::PartBuilder;

/// Adds what an image says.
pub(crate) fn add(part: &mut PartBuilder<'_>, image: &[u8], source: &str) {
    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, image));
    part.fact("gpu.vbios.size_bytes", image.len(), source).fact("gpu.vbios.sha256", sha256, source);
}
