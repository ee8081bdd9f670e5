//! Facts of a VBIOS: from the image itself, as the kernel, a tool or the seller gave it, and from what nvflash lists.

use super::facts;
use crate::collect::fill;
use crate::evidence::{PartBuilder, Reading};
use crate::parse::nvflash::{Adapter, PciIds};
use crate::parse::vbios::{self, ChainEnd, CodeType, Vbios};

/// Every fact of an image, below `gpu.vbios.`. Bytes that are no VBIOS make each of them `Failed`.
pub(crate) fn add(part: &mut PartBuilder<'_>, image: &[u8], source: &str) {
    match vbios::parse(image) {
        Ok(vbios) => add_image(part, &vbios, source),
        Err(error) => fill(part, facts::GPU, "gpu.vbios.", &Reading::Failed(error.to_string()), source),
    }
}

fn add_image(part: &mut PartBuilder<'_>, vbios: &Vbios, source: &str) {
    let info = &vbios.info;
    let (vendor, device) = vbios.pci_ids().unzip();
    part.fact("gpu.vbios.size_bytes", vbios.size_bytes, source)
        .fact("gpu.vbios.sha256", vbios.sha256.clone(), source)
        .fact("gpu.vbios.signed_sha256", there(vbios, vbios.signed_sha256.clone()), source)
        .fact("gpu.vbios.version", there(vbios, info.version.clone()), source)
        .fact("gpu.vbios.build_date", there(vbios, info.build_date.clone()), source)
        .fact("gpu.vbios.build_number", there(vbios, info.build_number), source)
        .fact("gpu.vbios.build_guid", there(vbios, info.build_guid.clone().filter(|guid| !zeros(guid))), source)
        .fact("gpu.vbios.pci.vendor_id", there(vbios, vendor.map(id)), source)
        .fact("gpu.vbios.pci.device_id", there(vbios, device.filter(|&it| it != 0).map(id)), source)
        .fact("gpu.vbios.bit.device_id", there(vbios, info.device_id.map(id)), source)
        .fact("gpu.vbios.chip_sku", there(vbios, info.chip_sku.clone()), source)
        .fact("gpu.vbios.project", there(vbios, info.project.clone()), source)
        .fact("gpu.vbios.board", there(vbios, info.board_id.map(id)), source)
        .fact("gpu.vbios.sign_on", there(vbios, info.sign_on.clone()), source);

    // The kernel reads no InfoROM, and many a file was cut before it.
    let inforom = vbios.inforom_version.clone().map_or(Reading::Unsupported, Reading::Known);
    part.fact("gpu.vbios.inforom_image", inforom, source);
    // A file that starts with its first image has lost its header, or is of a time before there was one.
    let header = vbios.ifr.as_ref().map_or(Reading::Unsupported, Reading::Known);
    let subsystem = header.as_ref().and_then(|header| header.subsystem.map_or(Reading::Unsupported, Reading::Known));
    let subsystem = subsystem.and_then(|ids| if ids == (0, 0) { Reading::Absent } else { Reading::Known(ids) });
    part.fact("gpu.vbios.ifr.version", header.map(|header| u32::from(header.version)), source)
        .fact("gpu.vbios.ifr.subsystem_vendor_id", subsystem.as_ref().map(|ids| id(ids.0)), source)
        .fact("gpu.vbios.ifr.subsystem_device_id", subsystem.map(|ids| id(ids.1)), source);

    let images = vbios.images.iter();
    let listed: Vec<String> =
        images.clone().map(|it| format!("{} {:#x} {}", it.code_type, it.offset, it.length_bytes)).collect();
    let bad: Vec<String> = images
        .filter(|image| !image.inforom)
        .filter_map(|image| Some((image, image.checksum.filter(|&sum| sum != 0)?)))
        .map(|(image, sum)| format!("{} {:#x} {sum:#04x}", image.code_type, image.offset))
        .collect();
    let whole = matches!(vbios.end, ChainEnd::Last | ChainEnd::Stripped);
    let bad = if bad.is_empty() && !whole { there(vbios, None) } else { Reading::Known(bad) };
    let has = |code_type, absent: Reading<bool>| if vbios.has(code_type) { Reading::Known(true) } else { absent };
    let seen = if whole { Reading::Known(false) } else { there(vbios, None) };
    let fwsec = match vbios.end {
        // The card's own images are not in such a file.
        ChainEnd::Stripped => Reading::Unsupported,
        _ => seen.clone(),
    };
    part.fact("gpu.vbios.images", listed, source)
        .fact("gpu.vbios.bad_checksums", bad, source)
        .fact("gpu.vbios.efi", has(CodeType::EFI, seen), source)
        .fact("gpu.vbios.fwsec", has(CodeType::FWSEC, fwsec), source)
        .fact("gpu.vbios.chain_end", vbios.end.as_str(), source)
        .fact("gpu.vbios.truncated", vbios.truncated(), source);
}

/// What nvflash said of one card: its image below `gpu.vbios.`, and what it shows on the bus below `gpu.pci.` where the
/// text names the card. What was not printed makes no fact, so that another source can tell it.
pub(crate) fn add_nvflash(part: &mut PartBuilder<'_>, adapter: &Adapter, source: &str) {
    let Adapter { image, replacement, pci, .. } = adapter;
    let mut fact = |path: &str, value: Option<String>| {
        if let Some(value) = value {
            part.fact(path, value, source);
        }
    };
    // After a flash the card has the new image, which is for the subsystem that it will show then.
    let written = replacement.as_ref();
    fact("gpu.vbios.version", written.map(|it| it.version.clone()).or(image.version.clone()));
    let ifr = written.map(|it| (it.ids.subsystem_vendor, it.ids.subsystem_device)).or(image.ifr_subsystem);
    let (ifr_vendor, ifr_device) = ifr.filter(|&ids| ids != (0, 0)).unzip();
    fact("gpu.vbios.ifr.subsystem_vendor_id", ifr_vendor.map(id));
    fact("gpu.vbios.ifr.subsystem_device_id", ifr_device.map(id));
    fact("gpu.vbios.pci.vendor_id", written.map(|it| it.ids.vendor).or(image.vendor_id).map(id));
    fact("gpu.vbios.pci.device_id", written.map(|it| it.ids.device).or(image.device_id).map(id));
    // The listing is that of the image before it was replaced.
    if written.is_none() {
        fact("gpu.vbios.build_date", image.build_date.clone());
        fact("gpu.vbios.build_guid", image.build_guid.clone().filter(|guid| !zeros(guid)));
        fact("gpu.vbios.chip_sku", image.chip_sku.clone());
        fact("gpu.vbios.project", image.project.clone());
        fact("gpu.vbios.board", image.board_id.map(id));
        fact("gpu.vbios.sign_on", image.sign_on.clone());
    }
    fact("gpu.vbios.inforom_image", image.inforom_version.clone());
    if let Some(PciIds { vendor, device, subsystem_vendor, subsystem_device }) = *pci {
        let subsystem =
            ((subsystem_vendor, subsystem_device) != (0, 0)).then_some((subsystem_vendor, subsystem_device));
        part.fact("gpu.pci.vendor_id", id(vendor), source)
            .fact("gpu.pci.device_id", id(device), source)
            .fact("gpu.pci.subsystem_vendor_id", subsystem.map(|ids| id(ids.0)), source)
            .fact("gpu.pci.subsystem_device_id", subsystem.map(|ids| id(ids.1)), source);
    }
    if let Some(number) = image.build_number.filter(|_| written.is_none()) {
        part.fact("gpu.vbios.build_number", number, source);
    }
    if written.is_some() || !adapter.mismatches.is_empty() {
        part.fact("gpu.vbios.flash_mismatches", adapter.mismatches.clone(), source);
    }
}

/// A field of the image. Where it is missing from a file that is cut or damaged, nobody knows whether there is one.
fn there<T>(vbios: &Vbios, value: Option<T>) -> Reading<T> {
    match (value, vbios.end) {
        (Some(value), _) => Reading::Known(value),
        (None, ChainEnd::Last | ChainEnd::Stripped) => Reading::Absent,
        (None, ChainEnd::Truncated) => Reading::Failed("the image is cut".to_owned()),
        (None, ChainEnd::Broken) => Reading::Failed("the chain of images is broken".to_owned()),
    }
}

fn id(id: u16) -> String {
    format!("{id:#06x}")
}

/// An id that the builder left out.
fn zeros(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
#[path = "../../../tests/it/support/vbios.rs"]
#[allow(dead_code, missing_docs, reason = "the builder that the integration tests use, too")]
mod image;

#[cfg(test)]
mod tests {
    use super::image::VbiosImage;
    use super::*;
    use crate::evidence::{EvidenceBuilder, Origin, Part};
    use crate::parse::nvflash;

    fn part_of(fill: impl FnOnce(&mut PartBuilder<'_>)) -> Part {
        let mut out = EvidenceBuilder::new(Origin::Imported);
        fill(&mut out.part("gpu", "gpu:0"));
        let part = out.finish().parts.remove(0);
        for (path, fact) in &part.facts {
            if path.as_str().starts_with("gpu.pci.") {
                continue;
            }
            let def = facts::GPU.iter().find(|def| def.path == path.as_str()).unwrap_or_else(|| panic!("{path}"));
            if let Reading::Known(value) = &fact.reading {
                assert_eq!(value.kind(), def.kind, "{path}");
            }
        }
        part
    }

    fn of_image(bytes: &[u8]) -> Part {
        let part = part_of(|part| add(part, bytes, "card.rom"));
        // What only nvflash tells is left to it.
        let untold = "gpu.vbios.flash_mismatches";
        for def in facts::GPU.iter().filter(|def| def.path.starts_with("gpu.vbios.") && def.path != untold) {
            assert!(part.reading(def.path).is_some(), "{}", def.path);
        }
        part
    }

    fn shown(part: &Part, path: &str) -> String {
        match part.reading(path) {
            Some(Reading::Known(value)) => value.to_string(),
            Some(other) => other.state().to_owned(),
            None => "no fact".to_owned(),
        }
    }

    #[track_caller]
    fn assert_facts(part: &Part, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(shown(part, &format!("gpu.{name}")), *value, "{name}");
        }
    }

    #[test]
    fn facts_of_an_image() {
        let image = VbiosImage { checksum: 9, ..VbiosImage::rtx3080() };
        assert_facts(
            &of_image(&image.build()),
            &[
                ("vbios.version", "94.02.42.40.66"),
                ("vbios.build_number", "29236791"),
                ("vbios.pci.vendor_id", "0x10de"),
                ("vbios.pci.device_id", "0x2206"),
                ("vbios.bit.device_id", "absent"),
                ("vbios.ifr.version", "3"),
                ("vbios.ifr.subsystem_vendor_id", "0x1043"),
                ("vbios.ifr.subsystem_device_id", "0x87b0"),
                ("vbios.board", "0x023f"),
                ("vbios.inforom_image", "G001.0000.03.03"),
                (
                    "vbios.images",
                    "0x00 0x1600 4096, 0x03 0x2600 2048, 0xe0 0x2e00 1536, 0xe0 0x3400 3072, 0x70 0x4000 2048",
                ),
                // The image with the InfoROM has a wrong sum as well.
                ("vbios.bad_checksums", "0x00 0x1600 0x09"),
                ("vbios.efi", "true"),
                ("vbios.fwsec", "true"),
                ("vbios.chain_end", "last"),
                ("vbios.truncated", "false"),
            ],
        );
    }

    #[test]
    fn what_the_kernel_does_not_read_is_not_said_to_be_missing() {
        let image = VbiosImage {
            ifr_version: None,
            fwsec: false,
            inforom: None,
            build_guid: [0; 16],
            subsystem: (0, 0),
            ..VbiosImage::rtx3080()
        };
        let mut whole = image.build();
        // The EFI image's extension says that the card's own images follow.
        whole[4096 + 0x19a] = 0;
        let part = of_image(&whole);
        let expected = [
            ("vbios.ifr.version", "unsupported"),
            ("vbios.ifr.subsystem_device_id", "unsupported"),
            ("vbios.build_guid", "absent"),
            ("vbios.inforom_image", "unsupported"),
            ("vbios.efi", "true"),
            ("vbios.fwsec", "unsupported"),
            ("vbios.chain_end", "stripped"),
            ("vbios.truncated", "false"),
        ];
        assert_facts(&part, &expected);
        assert_eq!(shown(&part, "gpu.vbios.signed_sha256").len(), 64);

        let part = of_image(&whole[..2048]);
        let expected = [
            ("vbios.efi", "failed"),
            ("vbios.fwsec", "failed"),
            ("vbios.bad_checksums", "failed"),
            ("vbios.signed_sha256", "failed"),
            ("vbios.truncated", "true"),
            ("vbios.version", "94.02.42.40.66"),
        ];
        assert_facts(&part, &expected);

        let blank = VbiosImage { subsystem: (0, 0), ..VbiosImage::rtx3080() };
        assert_facts(&of_image(&blank.build()), &[("vbios.ifr.subsystem_vendor_id", "absent")]);
    }

    #[test]
    fn bytes_that_are_no_image_fail_every_fact() {
        let part = part_of(|part| add(part, &[0xff; 4096], "rom"));
        let declared = facts::GPU.iter().filter(|def| def.path.starts_with("gpu.vbios.")).count();
        assert_eq!(part.facts.len(), declared);
        for fact in part.facts.values() {
            let Reading::Failed(why) = &fact.reading else { panic!("{fact:?}") };
            assert!(why.contains("every byte is 0xff"), "{why}");
        }
    }

    #[test]
    fn facts_of_an_nvflash_listing() {
        let listing = "<1> GeForce RTX 3080     (10DE,2206,1043,87B0) S:00,B:0F,D:00,F:00\n\
            Build GUID : 36762E5D66904B30A099C58D53966BF5\nBuild Number : 29236791\n\
            IFR Subsystem ID : 1043-87B0\nVersion : 94.02.42.40.66\nChip SKU : N/A\n\
            InfoROM Version : G001.0000.03.03\n";
        let [card] = nvflash::parse(listing).try_into().unwrap();
        assert_facts(
            &part_of(|part| add_nvflash(part, &card, "nvflash.txt")),
            &[
                ("vbios.version", "94.02.42.40.66"),
                ("vbios.build_number", "29236791"),
                ("vbios.build_guid", "36762E5D66904B30A099C58D53966BF5"),
                ("vbios.ifr.subsystem_device_id", "0x87b0"),
                ("vbios.inforom_image", "G001.0000.03.03"),
                ("vbios.chip_sku", "no fact"),
                ("vbios.sha256", "no fact"),
                ("vbios.flash_mismatches", "no fact"),
                ("pci.vendor_id", "0x10de"),
                ("pci.device_id", "0x2206"),
                ("pci.subsystem_vendor_id", "0x1043"),
                ("pci.subsystem_device_id", "0x87b0"),
            ],
        );
    }

    #[test]
    fn facts_of_a_flash_are_of_the_card_before_and_the_image_after() {
        let transcript = "Overriding the PCI Subsystem ID mismatch.\n\
            Current      - Version:86.02.46.00.0A ID:10DE:1B07:0000:0000\n\
            Replace with - Version:86.02.46.00.0B ID:10DE:1B07:19DA:3474\n";
        let [card] = nvflash::parse(transcript).try_into().unwrap();
        assert_facts(
            &part_of(|part| add_nvflash(part, &card, "nvflash.txt")),
            &[
                ("vbios.version", "86.02.46.00.0B"),
                ("vbios.pci.device_id", "0x1b07"),
                ("vbios.ifr.subsystem_vendor_id", "0x19da"),
                ("vbios.flash_mismatches", "PCI Subsystem ID"),
                ("pci.device_id", "0x1b07"),
                ("pci.subsystem_vendor_id", "absent"),
            ],
        );
    }
}
