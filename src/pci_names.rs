//! Names of PCI vendors, devices and classes: the pci.ids database, as the pci-ids crate had it when this was built.
//!
//! It lies in the binary in pieces, and a machine needs few of them: those with the vendors that made its parts.

use std::sync::{LazyLock, OnceLock};

use crate::packed::{Pieces, unpack};

/// Each is named by its first key. `packaging/build.rs` says what keys look like.
static PIECES: Pieces = &include!(concat!(env!("OUT_DIR"), "/pci_names.rs"));

type Names = Vec<(&'static str, &'static str)>;

static UNPACKED: LazyLock<Vec<OnceLock<Names>>> = LazyLock::new(|| PIECES.iter().map(|_| OnceLock::new()).collect());

/// Name of a vendor.
pub fn vendor(vendor: u16) -> Option<&'static str> {
    name(&vendor_key(vendor))
}

/// Name of a vendor's device.
pub fn device(vendor: u16, device: u16) -> Option<&'static str> {
    name(&format!("{vendor:04x}{device:04x}"))
}

/// Name of a subclass, or else of its base class.
pub fn class(base: u8, sub: u8) -> Option<&'static str> {
    name(&format!("C{base:02x}{sub:02x}")).or_else(|| name(&format!("C{base:02x}")))
}

/// The vendor with that name, if there is exactly one.
pub fn vendor_named(name: &str) -> Option<u16> {
    only(all().filter(|(key, it)| key.len() == 4 && *it == name))
}

/// The device of a vendor with that name, if there is exactly one.
pub fn device_named(vendor: u16, name: &str) -> Option<u16> {
    let vendor = vendor_key(vendor);
    only(all().filter_map(|(key, it)| Some((key.strip_prefix(&*vendor)?, it))).filter(|(_, it)| *it == name))
}

fn vendor_key(vendor: u16) -> String {
    format!("{vendor:04x}")
}

fn name(key: &str) -> Option<&'static str> {
    let piece = PIECES.partition_point(|(first, _)| *first <= key).checked_sub(1)?;
    let names = names(piece);
    let index = names.binary_search_by_key(&key, |(key, _)| key).ok()?;
    Some(names[index].1)
}

/// The id of the only entry. Classes have none of four digits.
fn only(mut entries: impl Iterator<Item = (&'static str, &'static str)>) -> Option<u16> {
    let (id, _) = entries.next()?;
    entries.next().is_none().then(|| u16::from_str_radix(id, 16).ok()).flatten()
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    (0..PIECES.len()).flat_map(|piece| names(piece).iter().copied())
}

/// What a piece holds, sorted by key.
fn names(piece: usize) -> &'static Names {
    UNPACKED[piece].get_or_init(|| {
        let text = unpack(PIECES[piece].1).and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
        let text: &'static str = text.leak();
        text.lines().filter_map(|line| line.split_once('\t')).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_database_is_found() {
        let mut devices = 0;
        for known in pci_ids::Vendors::iter() {
            assert_eq!(vendor(known.id()), Some(known.name()));
            for of_vendor in known.devices() {
                let first = pci_ids::Device::from_vid_pid(known.id(), of_vendor.id()).unwrap();
                assert_eq!(device(known.id(), of_vendor.id()), Some(first.name()));
                devices += 1;
            }
        }
        assert!(devices > 15_000, "{devices}");
        for known in pci_ids::Classes::iter() {
            assert_eq!(class(known.id(), 0xfe), Some(known.name()));
            known.subclasses().for_each(|sub| assert_eq!(class(known.id(), sub.id()), Some(sub.name())));
        }
    }

    #[test]
    fn names_and_ids_that_nobody_has() {
        assert_eq!((vendor(0xffff), vendor(0)), (Some("Illegal Vendor ID"), None));
        assert_eq!(device(0x10de, 0xffff), None);
        assert_eq!(class(0x77, 0x77), None);
        assert_eq!(vendor_named("NVIDIA Corporation"), Some(0x10de));
        assert_eq!(vendor_named("NVIDIA"), None);
        assert_eq!(device_named(0x10de, "GH100 [H100 SXM5 80GB]"), Some(0x2330));
        // Two devices have that name.
        assert_eq!(device_named(0x10de, "NV5 [Riva TNT2]"), None);
    }
}
