//! What the EEPROM of a memory module says.

use super::Input;
use super::machine::Machine;
use crate::collect::memory::spd as collected;
use crate::evidence::{EvidenceBuilder, Origin};
use crate::parse::spd;

/// The image in a hexadecimal dump.
pub(super) fn spd_dump(text: Option<&str>) -> Option<Vec<u8>> {
    spd::from_text(text?).filter(|image| spd::recognise(image))
}

/// `dimm.spd.*` of one module. It names no slot; see [`Machine::module`].
pub(super) fn spd(input: &Input<'_>, machine: &mut Machine) {
    let dump = spd_dump(input.text());
    let image = dump.as_deref().unwrap_or(input.bytes);
    let mut builder = EvidenceBuilder::new(Origin::Imported);
    collected::add(&mut builder.part("dimm", "dimm:image"), image, "SPD image");
    machine.module(builder.finish().parts.into_iter().flat_map(|part| part.facts).collect());
}
