//! Tests of the VBIOS parser and of `yanji decode vbios`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use yanji::parse::nvflash;
use yanji::parse::vbios::{ChainEnd, CodeType, Vbios, VbiosError, parse};

use crate::cli::Place;
use crate::collect::{corpus, manifest};
use crate::support::vbios::{Part, VbiosImage, put};

/// Every image of the corpus with what the manifest says of it: `vbios=86.07.42.00.49; pci_device=10de:1c82; …`.
fn roms() -> Vec<(String, Vec<u8>, BTreeMap<String, String>)> {
    let Some(folder) = corpus("gpu") else { return Vec::new() };
    let rows = manifest(&folder);
    let roms: Vec<_> = rows
        .iter()
        .filter(|row| row["file"].ends_with(".rom"))
        .map(|row| {
            let facts = row["facts"].split("; ").filter_map(|fact| fact.split_once('='));
            let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (row["file"].clone(), fs::read(folder.join(&row["file"])).unwrap(), facts)
        })
        .collect();
    assert!(roms.len() >= 22, "{} images in the corpus", roms.len());
    roms
}

/// A field as the manifest writes it.
fn manifest_fact(vbios: &Vbios, name: &str) -> Option<String> {
    let info = &vbios.info;
    match name {
        "vbios" => info.version.clone(),
        "pci_device" => vbios.pci_ids().map(|(vendor, device)| format!("{vendor:04x}:{device:04x}")),
        "ifr_subsystem" => vbios.ifr.as_ref().and_then(|header| {
            let (vendor, device) = header.subsystem?;
            Some(format!("{vendor:04x}:{device:04x}@{:#x}", header.offset))
        }),
        "chip_sku" => info.chip_sku.clone(),
        "project" => info.project.clone(),
        "build_date" => info.build_date.clone(),
        "build_number" => info.build_number.map(|number| number.to_string()),
        "build_guid" => info.build_guid.clone(),
        "sign_on" => info.sign_on.clone(),
        "sha256" => Some(vbios.sha256[..16].to_owned()),
        "images" => {
            let images = vbios.images.iter().map(|image| {
                let sum = match image.checksum {
                    Some(0) => "csum0".to_owned(),
                    Some(sum) => format!("csum!{sum:#x}"),
                    None => "cut".to_owned(),
                };
                format!("{:#x}@{:#x}({},{sum})", image.code_type.0, image.offset, image.length_bytes)
            });
            Some(images.collect::<Vec<_>>().join(","))
        }
        other => panic!("the manifest has a fact {other} that this test does not know"),
    }
}

#[test]
fn corpus_images_say_what_the_manifest_says() {
    for (file, bytes, facts) in roms() {
        let vbios = parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(facts.len() >= 5, "{file}: {facts:?}");
        for (name, expected) in &facts {
            assert_eq!(manifest_fact(&vbios, name).as_ref(), Some(expected), "{name} of {file}");
        }
        // What the manifest has no subsystem of has no header.
        assert_eq!(vbios.ifr.is_some(), facts.contains_key("ifr_subsystem"), "{file}");
        // The header leads to the first image; no search was needed.
        if let Some(header) = vbios.ifr.as_ref().filter(|header| header.offset == 0) {
            assert_eq!(header.image_offset, Some(vbios.images[0].offset), "{file}");
        }
        assert!(!vbios.truncated(), "{file}");
        let stripped = vbios.end == ChainEnd::Stripped;
        assert_eq!(stripped, !vbios.has(CodeType::FWSEC) && !file.contains("mcp79"), "{file}: {:?}", vbios.end);
        assert!(vbios.signed_sha256.is_some(), "{file}");
    }
}

#[test]
fn only_edited_and_damaged_images_have_a_wrong_checksum() {
    let Some(folder) = corpus("gpu") else { return };
    for row in manifest(&folder).iter().filter(|row| row["file"].ends_with(".rom")) {
        let vbios = parse(&fs::read(folder.join(&row["file"])).unwrap()).unwrap();
        // The running card writes the InfoROM, so the sum of a genuine image with it is wrong as well.
        let wrong = vbios.images.iter().any(|image| !image.inforom && image.checksum != Some(0));
        assert_eq!(wrong, !row["label"].starts_with("genuine"), "{}: {}", row["file"], row["label"]);
    }
}

#[test]
fn the_inforom_is_found_in_and_behind_the_chain() {
    let found: BTreeMap<String, Option<String>> =
        roms().into_iter().map(|(file, bytes, _)| (file, parse(&bytes).unwrap().inforom_version)).collect();
    for (file, version) in [
        ("rom__gtx1050ti-asus.rom", Some("G001.0000.01.04")),
        ("rom__rtx3070-asus.rom", Some("G001.0000.03.03")),
        ("rom__rtx4060ti-asus-dual.rom", Some("G002.0000.00.03")),
        ("rom__gtx1080ti-evga.rom", None),
    ] {
        assert!(found.is_empty() || found[file].as_deref() == version, "{file}: {:?}", found[file]);
    }
}

#[test]
fn the_signed_digest_leaves_the_inforom_out() {
    for (file, bytes, _) in roms() {
        let whole = parse(&bytes).unwrap();
        let hashed = |vbios: &Vbios, at: usize| {
            vbios.images.iter().any(|image| {
                let signed = [CodeType::LEGACY, CodeType::EFI, CodeType::FWSEC].contains(&image.code_type);
                signed && (image.offset..image.offset + image.length_bytes).contains(&at)
            })
        };
        // The last byte of each image, of the header and of the file.
        let ends = whole.images.iter().map(|image| image.offset + image.length_bytes - 1);
        for at in ends.chain(whole.images[0].offset.checked_sub(1)).chain([bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let vbios = parse(&changed).unwrap();
            assert_eq!(vbios.signed_sha256 != whole.signed_sha256, hashed(&whole, at), "{file} at {at:#x}");
            assert_ne!(vbios.sha256, whole.sha256);
        }
    }
}

/// Cuts the image at each multiple of 512 bytes: nothing is invented, and a chain that is not all there says so.
fn assert_cuts(name: &str, bytes: &[u8]) {
    let whole = parse(bytes).unwrap();
    let end = whole.images.last().map_or(0, |image| image.offset + image.length_bytes);
    // Behind the chain there is nothing but copies.
    for length in (0..end).step_by(512).chain((end..bytes.len()).step_by(1 << 15)) {
        let cut = match parse(&bytes[..length]) {
            Ok(cut) => cut,
            Err(error) => {
                // Only where even the first header is not there.
                assert!(length <= whole.images[0].offset + 512, "{name} cut at {length:#x}: {error}");
                continue;
            }
        };
        let context = format!("{name} cut at {length:#x}: {:?}", cut.end);
        for (found, expected) in cut.images.iter().zip(&whole.images) {
            assert_eq!((found.offset, found.length_bytes), (expected.offset, expected.length_bytes), "{context}");
            let there = found.offset + found.length_bytes <= length;
            assert_eq!(found.checksum, expected.checksum.filter(|_| there), "{context}");
        }
        if length >= end {
            assert_eq!((cut.end, &cut.info), (whole.end, &whole.info), "{context}");
            continue;
        }
        // A file that ends behind the EFI image can't be told from one that the kernel read.
        let stripped = cut.end == ChainEnd::Stripped;
        assert!(cut.truncated() || stripped, "{context}");
        assert_eq!(cut.signed_sha256.is_some(), stripped, "{context}");
        if stripped {
            let last = cut.images.last().unwrap();
            assert!(last.pci_last && last.offset + last.length_bytes == length, "{context}");
        }
        let strings = |it: &Vbios| {
            let info = it.info.clone();
            [info.version, info.build_date, info.build_guid, info.chip_sku, info.project, info.sign_on]
        };
        for (found, expected) in strings(&cut).into_iter().zip(strings(&whole)) {
            assert!(found.is_none() || found == expected, "{context}: {found:?} instead of {expected:?}");
        }
    }
}

#[test]
fn an_image_that_is_cut_says_so_and_invents_nothing() {
    for version in [None, Some(1), Some(2), Some(3)] {
        let image = VbiosImage { ifr_version: version, ..VbiosImage::rtx3080() };
        assert_cuts(&format!("{version:?}"), &image.build());
    }
    for (file, bytes, _) in roms() {
        assert_cuts(&file, &bytes);
    }
}

#[test]
fn named_fields_come_back() {
    for (version, offset) in [(Some(1), 0x400), (Some(2), 0x400), (Some(3), 0x1600), (None, 0)] {
        let image = VbiosImage { ifr_version: version, ..VbiosImage::rtx3080() };
        let vbios = parse(&image.build()).unwrap();
        assert_eq!(vbios.ifr.as_ref().map(|header| header.version), version);
        if let Some(header) = &vbios.ifr {
            assert_eq!((header.offset, header.subsystem), (0, Some((0x1043, 0x87b0))));
            assert_eq!(header.image_offset, Some(offset));
            assert_eq!(header.directory_offset, (version == Some(3)).then_some(0x1400));
        }
        assert_eq!(vbios.pci_ids(), Some((0x10de, 0x2206)));
        let info = &vbios.info;
        assert_eq!(info.version.as_deref(), Some("94.02.42.40.66"));
        assert_eq!(info.build_number, Some(29_236_791));
        assert_eq!(info.build_date.as_deref(), Some("10/23/20"));
        assert_eq!(info.build_guid.as_deref(), Some("36762E5D66904B30A099C58D53966BF5"));
        assert_eq!((info.board_id, info.device_id), (Some(0x023f), None));
        assert_eq!((info.chip_sku.as_deref(), info.project.as_deref()), (Some("2000"), Some("G132-0030")));
        assert_eq!(info.sign_on.as_deref(), Some("RTX3080 VB Ver 94.02.42.40.AS07"));
        assert_eq!(info.product_name.as_deref(), Some("GPU Board"));
        let kinds: Vec<_> = vbios.images.iter().map(|image| (image.code_type.name(), image.checksum)).collect();
        assert_eq!(
            kinds,
            [("legacy", Some(0)), ("efi", Some(0)), ("fwsec", Some(0)), ("fwsec", Some(0)), ("nbsi", Some(0x80))]
        );
        assert_eq!(vbios.images[0].offset, offset);
        assert!(vbios.images[4].inforom && vbios.end == ChainEnd::Last);
    }
}

#[test]
fn an_older_information_table_has_fewer_fields() {
    let info = |internal_bytes| parse(&VbiosImage { internal_bytes, ..VbiosImage::rtx3080() }.build()).unwrap().info;
    let whole = info(0x58);
    assert!(whole.build_guid.is_some() && whole.project.is_some());
    let shorter = info(0x46);
    assert_eq!((shorter.build_guid, shorter.project), (None, whole.project));
    let oldest = info(0x17);
    assert_eq!((oldest.chip_sku, oldest.device_id, oldest.build_date), (None, None, whole.build_date));
    assert_eq!(info(0x04).version, whole.version);
}

#[test]
fn a_copy_behind_the_chain_stands_in_for_a_header_that_was_cut_off() {
    let image = VbiosImage { copy: true, ..VbiosImage::rtx3080() };
    let whole = image.build();
    assert_eq!(parse(&whole).unwrap().ifr.unwrap().offset, 0);
    let stripped = VbiosImage { ifr_version: None, ..image }.build();
    let header = parse(&stripped).unwrap().ifr.unwrap();
    assert!(header.offset > 0 && header.offset.is_multiple_of(512));
    assert_eq!((header.version, header.subsystem), (3, Some((0x1043, 0x87b0))));
}

#[test]
fn a_header_that_leads_nowhere_is_no_dead_end() {
    let image = VbiosImage { ifr_version: Some(2), ..VbiosImage::rtx3080() };
    // To itself, into the middle of an image, behind the end.
    for to in [0u32, 0x500, 0x00ff_ffff, u32::MAX] {
        let mut bytes = image.build();
        put(&mut bytes, 0x28, &to.to_le_bytes());
        let vbios = parse(&bytes).unwrap();
        assert_eq!((vbios.images.len(), vbios.images[0].offset), (5, 0x400), "{to:#x}");
    }
    // A directory that is none, an offset of the directory that overflows.
    let image = VbiosImage::rtx3080();
    for (at, bad) in [(0x1400, [0; 4]), (0x100, [0xff; 4])] {
        let mut bytes = image.build();
        put(&mut bytes, at, &bad);
        let vbios = parse(&bytes).unwrap();
        assert_eq!(vbios.images[0].offset, 0x1600);
        assert_eq!(vbios.ifr.unwrap().image_offset, None);
    }
    // A version that nobody knows keeps its number, and gives no subsystem.
    let mut bytes = image.build();
    bytes[5] = 9;
    let vbios = parse(&bytes).unwrap();
    assert_eq!(vbios.ifr.map(|header| (header.version, header.subsystem)), Some((9, None)));
    assert_eq!(vbios.images.len(), 5);
}

fn chain(parts: &[Part]) -> Vbios {
    parse(&parts.iter().flat_map(Part::build).collect::<Vec<_>>()).unwrap()
}

#[test]
fn chains_that_do_not_end_well() {
    let legacy = Part::new(0x00, 4);
    // An image of no length would be read for ever.
    let stuck = Part { blocks: 0, extension: Some((0, false)), ..Part::new(0x03, 4) };
    let vbios = chain(&[legacy.clone(), stuck.clone()]);
    assert_eq!((vbios.images.len(), vbios.end), (2, ChainEnd::Broken));
    assert_eq!(vbios.signed_sha256, None);
    let vbios = chain(&[Part { blocks: 0, extension: None, ..legacy.clone() }]);
    assert_eq!((vbios.images.len(), vbios.end), (1, ChainEnd::Broken));

    // More images than any card has.
    let vbios = chain(&vec![Part::new(0xe0, 2); 100].into_iter().fold(vec![legacy.clone()], |mut all, part| {
        all.push(part);
        all
    }));
    assert_eq!(vbios.end, ChainEnd::Broken);
    assert!(vbios.images.len() <= 65);

    // Something else where the next image should be.
    let mut bytes = legacy.build();
    bytes.extend([0xee; 2048]);
    assert_eq!(parse(&bytes).unwrap().end, ChainEnd::Broken);

    // A last bit of system firmware only.
    let last = Part { pci_last: true, ..legacy.clone() };
    assert_eq!(chain(std::slice::from_ref(&last)).end, ChainEnd::Stripped);
    let vbios = chain(&[last, Part { extension: Some((2, true)), ..Part::new(0xe0, 2) }]);
    assert_eq!((vbios.images.len(), vbios.end), (2, ChainEnd::Last));
    assert_eq!(chain(&[Part { pci_last: true, extension: None, ..legacy }]).end, ChainEnd::Last);
}

#[test]
fn the_extension_overrides_the_pci_data_structure() {
    // As notebook images do: the first length spans the chip's own images, too.
    let legacy = Part { blocks: 8, extension: Some((4, false)), ..Part::new(0x00, 4) };
    let own = Part { signature: [0x77, 0xbb], ..Part::new(0xe0, 4) };
    let efi = Part { pci_last: true, extension: None, ..Part::new(0x03, 4) };
    let vbios = chain(&[legacy, own, efi]);
    let kinds: Vec<_> = vbios.images.iter().map(|image| (image.code_type.name(), image.length_bytes)).collect();
    assert_eq!(kinds, [("legacy", 2048), ("fwsec", 2048), ("efi", 2048)]);
    assert_eq!(vbios.end, ChainEnd::Last);
}

#[test]
fn what_lies_outside_of_the_image_is_no_text_of_it() {
    let mut image = VbiosImage { ifr_version: None, ..VbiosImage::rtx3080() }.build();
    put(&mut image, 0x340, &0xfff0u16.to_le_bytes());
    let vbios = parse(&image).unwrap();
    assert_eq!((vbios.info.sign_on, vbios.info.product_name.as_deref()), (None, Some("GPU Board")));
    // An `i` table that reaches behind the image.
    let mut image = VbiosImage { ifr_version: None, ..VbiosImage::rtx3080() }.build();
    put(&mut image, 0x200 + 12 + 18 + 2, &[0xff, 0xff]);
    let vbios = parse(&image).unwrap();
    assert_eq!((vbios.info.project, vbios.info.version.as_deref()), (None, Some("94.02.42.40.66")));
}

proptest! {
    #[test]
    fn damage_never_panics(version in proptest::option::of(0..5u8), hits in proptest::collection::vec((0..24_000usize, any::<u8>()), 0..64)) {
        let mut bytes = VbiosImage { ifr_version: version, copy: true, ..VbiosImage::rtx3080() }.build();
        for (at, value) in hits {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(vbios) = parse(&bytes) {
            prop_assert!(vbios.images.len() <= 65);
        }
    }
}

#[test]
fn bytes_that_are_no_vbios_are_refused() {
    for (bytes, why) in [
        (vec![], VbiosError::Empty),
        (vec![0; 131_072], VbiosError::Blank(0)),
        (vec![0xff; 131_072], VbiosError::Blank(0xff)),
        (vec![0; (4 << 20) + 1], VbiosError::TooLarge((4 << 20) + 1)),
        (b"\x7fELF\x02\x01\x01".repeat(100), VbiosError::NotVbios),
        (b"NVGI".repeat(100), VbiosError::NotVbios),
        (b"\x55\xaa\x7b\xeb".to_vec(), VbiosError::Cut(4)),
    ] {
        assert_eq!(parse(&bytes), Err(why));
    }
}

#[test]
fn nvflash_corpus() {
    let Some(folder) = corpus("gpu") else { return };
    let listing = |name: &str| -> nvflash::Adapter {
        let text = String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned();
        let [card] = nvflash::parse(&text).try_into().unwrap_or_else(|found| panic!("{name}: {found:?}"));
        card
    };
    let card = listing("rtx2080ti__vfio-patcher-5__nvflash-version.txt");
    let image = &card.image;
    assert_eq!((image.vendor_id, image.device_id), (Some(0x10de), Some(0x1e04)));
    assert_eq!((image.subsystem_vendor_id, image.subsystem_device_id), (Some(0x10de), Some(0x12ae)));
    assert_eq!(image.ifr_subsystem, Some((0x10de, 0x12ae)));
    assert_eq!(image.version.as_deref(), Some("90.02.17.00.A3"));
    assert_eq!((image.chip_sku.as_deref(), image.project.as_deref()), (Some("300-0"), Some("G150-0031")));
    assert_eq!((image.build_number, image.board_id), (Some(25_062_997), Some(0x0050)));
    assert_eq!(image.build_guid.as_deref(), Some("52B66406B1084885B826010DFDA85DB6"));
    assert_eq!((image.build_date.as_deref(), image.modification_date.as_deref()), (Some("10/09/18"), Some("10/26/18")));
    assert_eq!(image.sign_on.as_deref(), Some("NVIDIA GeForce RTX 2080 Ti VGA BIOS V6360"));
    assert_eq!(image.inforom_version.as_deref(), Some("G001.0000.02.04"));
    assert_eq!((card.pci, card.address), (None, None));

    let card = listing("rtx3080-asus__rebar-vbios__nvflash-version.txt");
    let ids = nvflash::PciIds { vendor: 0x10de, device: 0x2206, subsystem_vendor: 0x1043, subsystem_device: 0x87b0 };
    assert_eq!((card.name.as_deref(), card.pci), (Some("GeForce RTX 3080"), Some(ids)));
    assert_eq!(card.address.as_deref(), Some("0000:0f:00.0"));
    assert_eq!(card.image.version.as_deref(), Some("94.02.42.40.66"));
    assert_eq!(card.image.build_number, Some(29_236_791));
    assert_eq!(card.image.build_guid.as_deref(), Some("36762E5D66904B30A099C58D53966BF5"));
    assert_eq!(card.image.inforom_version.as_deref(), Some("G001.0000.03.03"));
    assert_eq!((card.image.image_hash, card.image.chip_sku), (None, None));

    let card = listing("p102-100-crossflash__nvflashk-29__nvflash.txt");
    let before = nvflash::PciIds { vendor: 0x10de, device: 0x1b07, ..Default::default() };
    let after = nvflash::PciIds { subsystem_vendor: 0x19da, subsystem_device: 0x3474, ..before };
    assert_eq!((card.pci, card.image.version.as_deref()), (Some(before), Some("86.02.46.00.0A")));
    let replacement = card.replacement.unwrap();
    assert_eq!((replacement.ids, replacement.version.as_str()), (after, "86.02.46.00.0A"));
    assert_eq!(card.mismatches, ["PCI Subsystem ID"]);
}

#[test]
fn decode_prints_every_field() {
    let place = Place::new();
    let image = VbiosImage { sign_on: "\x1b[2JDUAL-RTX3080".to_owned(), checksum: 7, ..VbiosImage::rtx3080() };
    fs::write(place.path("card.rom"), image.build()).unwrap();
    let json = place.run(["decode", "vbios", "card.rom", "--format", "json"]).exits(0).json();
    let digest = |field: &str| json[field].as_str().unwrap().len();
    assert_eq!((digest("sha256"), digest("signed_sha256")), (64, 64));
    for (field, expected) in [
        ("vbios_version", json!("94.02.42.40.66")),
        ("pci_vendor_id", json!("0x10de")),
        ("pci_device_id", json!("0x2206")),
        ("bit_device_id", Json::Null),
        ("ifr_subsystem", json!("1043:87b0")),
        ("chip_sku", json!("2000")),
        ("project", json!("G132-0030")),
        ("board", json!("0x023f")),
        ("build_date", json!("10/23/20")),
        ("build_number", json!(29_236_791)),
        ("build_guid", json!("36762E5D66904B30A099C58D53966BF5")),
        ("sign_on", json!("[2JDUAL-RTX3080")),
        ("product_name", json!("GPU Board")),
        ("inforom_image", json!("G001.0000.03.03")),
        ("efi", json!(true)),
        ("fwsec", json!(true)),
        ("chain_end", json!("last")),
        ("truncated", json!(false)),
    ] {
        assert_eq!(json[field], expected, "{field}");
    }
    assert_eq!(
        json["images"][0],
        json!({
            "code_type": 0, "kind": "legacy", "offset": 0x1600, "length_bytes": 4096, "checksum": 7,
            "vendor_id": "0x10de", "device_id": "0x2206", "class": "0x030000", "inforom": false, "last": false,
        })
    );

    let plain = place.run(["decode", "vbios", "card.rom"]).exits(0).stdout;
    for expected in
        ["94.02.42.40.66", "10de:2206", "1043:87b0", "G132-0030", "0xe0 fwsec", "InfoROM", "0x07", "note: an image"]
    {
        assert!(plain.contains(expected), "{expected} is not in {plain}");
    }
    assert!(!plain.contains('\x1b'), "{plain}");

    // What is missing from a cut file is not said to be absent.
    fs::write(place.path("cut.rom"), &image.build()[..0x1600 + 512]).unwrap();
    let json = place.run(["decode", "vbios", "cut.rom", "--format", "json"]).exits(0).json();
    assert_eq!(
        (&json["truncated"], &json["signed_sha256"], &json["vbios_version"]),
        (&json!(true), &Json::Null, &Json::Null)
    );
    assert_eq!(json["images"][0]["checksum"], Json::Null);
    assert!(place.run(["decode", "vbios", "cut.rom"]).exits(0).stdout.contains("note: the file is cut"));
}

#[test]
fn decode_says_what_is_wrong_with_a_file() {
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).unwrap();
    write("zeros", &[0; 8192]);
    write("ones", &[0xff; 8192]);
    write("empty", &[]);
    write("text", b"GPU 0: NVIDIA GeForce RTX 3080");
    fs::create_dir(place.path("folder")).unwrap();
    fs::File::create(place.path("large")).unwrap().set_len((4 << 20) + 1).unwrap();
    for (file, expected) in [
        ("zeros", "every byte is 0x00"),
        ("ones", "every byte is 0xff"),
        ("empty", "the image is empty"),
        ("text", "not a VBIOS"),
        ("folder", "cannot read folder"),
        ("missing", "cannot read missing"),
        ("large", "larger than 4 MiB"),
    ] {
        for format in ["plain", "json"] {
            let ran = place.run(["decode", "vbios", file, "--format", format]).exits(2);
            assert!(ran.stderr.contains(expected) && ran.stderr.contains("hint: "), "{file}: {}", ran.stderr);
            assert_eq!(ran.stdout, "", "{file}");
        }
    }
    for arguments in [vec!["decode"], vec!["decode", "vbios"], vec!["decode", "bios", "text"]] {
        place.run(arguments).exits(2);
    }
}

/// Where the corpus is, the command prints what the parser found.
#[test]
fn decode_prints_corpus_images() {
    let place = Place::new();
    for (file, bytes, facts) in roms() {
        let path: PathBuf = place.path(&file);
        fs::write(&path, &bytes).unwrap();
        let json = place.run(["decode", "vbios", &file, "--format", "json"]).exits(0).json();
        assert_eq!(json["vbios_version"], facts["vbios"], "{file}");
        assert_eq!(json["images"].as_array().unwrap().len(), facts["images"].split("),").count(), "{file}");
    }
}
