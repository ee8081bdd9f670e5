//! Tests of `decode spd`, of the modules that are in a machine and of images that somebody sent.

mod corpus;
mod smbus;

use std::fs;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use yanji::collect::collect;
use yanji::evidence::{Evidence, Reading};
use yanji::host::Query;
use yanji::import::import;
use yanji::parse::spd::{self, SpdError};

use crate::cli::Place;
use crate::collect::assert_declared;
use crate::support::RecordedMachine;
use crate::support::spd::SpdImage;

fn decode(bytes: &[u8]) -> Json {
    let place = Place::new();
    let file = place.path("image.bin");
    fs::write(&file, bytes).unwrap();
    place.run(["decode", "spd", file.to_str().unwrap(), "--format", "json"]).exits(0).json()
}

/// The keys of a document as they should be; keys that are not named are not looked at.
fn assert_has(found: &Json, expected: &Json) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
}

#[test]
fn fields_of_each_generation() {
    let ddr3 = decode(&SpdImage::ddr3_rdimm().build());
    let same =
        json!({"module_type": "RDIMM", "ranks": 2, "device_width_bits": 4, "bus_width_bits": 64, "page_alias": false});
    assert_has(&ddr3, &same);
    assert_has(
        &ddr3,
        &json!({
            "dram_type": "DDR3", "capacity_mib": 16384, "ecc_bits": 8, "speed_mts": 1600, "module_maker": "Micron Technology",
            "part_number": "36KSF2G72PZ-1G6P1", "serial": "1C550A7E", "date": "2014-W22", "location": "0x0F",
            "revision": "0x5000", "module_id": "802C0F14221C550A7E", "addressing_fits": null,
        }),
    );
    let ddr4 = decode(&SpdImage::ddr4_rdimm().build());
    assert_has(&ddr4, &same);
    assert_has(
        &ddr4,
        &json!({
            "dram_type": "DDR4", "capacity_mib": 65536, "ecc_bits": 8, "speed_mts": 3200, "module_maker": "Samsung",
            "dram_maker": "Samsung", "dram_maker_id": "80CE", "part_number": "M393A8G40CB4-CWE", "serial": "1949395D",
            "date": "2023-W36", "location": "0x03", "revision": "0x00", "module_id": "80CE0323361949395D",
            "addressing_fits": true, "lot": "K12W000", "lot_maker": "Samsung", "long_serial": "K12W0003361949395D",
            "register": {"maker": "Montage Technology Group", "maker_id": "8632", "type": null, "revision": "0x41"},
        }),
    );
    assert_eq!(
        [&ddr4["timing"]["tfaw_ps"], &ddr4["timing"]["trrd_l_ps"], &ddr4["timing"]["taa_ps"]],
        [10000, 4900, 13750]
    );
    let ranges: Vec<&Json> = ddr4["crc"].as_array().unwrap().iter().map(|sum| &sum["range"]).collect();
    assert_eq!(ranges, ["0-125", "128-253"]);
    let ddr5 = decode(&SpdImage::ddr5_rdimm().build());
    assert_has(&ddr5, &same);
    assert_has(
        &ddr5,
        &json!({
            "dram_type": "DDR5", "capacity_mib": 65536, "ecc_bits": 16, "speed_mts": 4800, "serial": "42B2BF08",
            "part_number": "M321R8GA0BB0-CQKZJ", "module_id": "80CE02233142B2BF08", "addressing_fits": true,
            "hub": {"maker": "IDT", "maker_id": "80B3", "type": "SPD5118", "revision": "0x21"},
            "register": {"maker": "Montage Technology Group", "maker_id": "8632", "type": "DDR5RCD01", "revision": "0x21"},
        }),
    );
    assert_eq!((&ddr5["crc"][0]["range"], &ddr5["crc"][0]["ok"]), (&json!("0-509"), &json!(true)));
}

/// The image of an MRDIMM has the clock of its DRAM; the bus carries two ranks in turn.
#[test]
fn speed_of_multiplexed_ranks() {
    let speed = |module_type: u8, tck_ps: u32| {
        let image = SpdImage { module_type, tck_ps, ..SpdImage::ddr5_rdimm() }.build();
        spd::parse(&image).unwrap().speed_mts
    };
    assert_eq!((speed(1, 454), speed(7, 454), speed(7, 312)), (Some(4400), Some(8800), Some(12_800)));
    assert_eq!(speed(7, 227), None, "no DRAM is that fast: not its clock");
}

/// Dies of a 3D stack multiply DDR4's ranks; those of a package with several loads are its ranks; in DDR5 all count.
#[test]
fn stacks_and_densities() {
    let capacity = |image: &SpdImage| {
        let image = image.build();
        let spd = spd::parse(&image).unwrap();
        (spd.geometry.capacity_mib, spd.geometry.ranks, spd.geometry.logical_ranks, spd.geometry.addressing_fits)
    };
    let fits = Some(true);
    let stacked = SpdImage { dies: 4, stack: true, module_type: 4, ..SpdImage::ddr4_rdimm() };
    assert_eq!(capacity(&stacked), (Some(4 * 65536), Some(2), Some(8), fits));
    assert_eq!(capacity(&SpdImage { stack: false, ..stacked }), (Some(65536), Some(2), Some(2), fits));
    let ddp = SpdImage { dies: 2, ..SpdImage::ddr5_rdimm() };
    assert_eq!(capacity(&ddp), (Some(2 * 65536), Some(2), Some(2), fits));
    let odd = SpdImage { die_density_mbit: 24 << 10, device_width_bits: 8, ranks: 1, ..SpdImage::ddr5_rdimm() };
    assert_eq!(capacity(&odd), (Some(24576), Some(1), Some(1), fits));
    let wrong = SpdImage { address_bits: Some(31), ..SpdImage::ddr4_rdimm() };
    assert_eq!(capacity(&wrong).3, Some(false));
}

#[test]
fn what_is_no_image_says_why() {
    let place = Place::new();
    let file = place.path("image.bin");
    let mut errors = Vec::new();
    for bytes in [vec![], vec![7], vec![1; 127], vec![0; 512], vec![0xff; 1024], b"a text\n".repeat(40), vec![3; 65536]]
    {
        fs::write(&file, bytes).unwrap();
        let ran = place.run(["decode", "spd", file.to_str().unwrap()]).exits(2);
        errors.push(ran.stderr.lines().nth(1).unwrap().trim().to_owned());
        assert!(ran.stderr.contains("hint: ") && ran.stdout.is_empty(), "{}", ran.stderr);
    }
    assert_eq!(
        errors,
        [
            "caused by: the image is empty",
            "caused by: 1 bytes are less than the 128 of the smallest image",
            "caused by: 127 bytes are less than the 128 of the smallest image",
            "caused by: every byte is 0x00, so nothing was read or the EEPROM is blank",
            "caused by: every byte is 0xff, so nothing was read or the EEPROM is blank",
            "caused by: not an SPD image: byte 2 is 0x74, which is no memory type that is known",
            "caused by: 65536 bytes are more than the 4096 of the largest image",
        ]
    );
    assert_eq!(spd::parse(&[0; 65536]).unwrap_err(), SpdError::TooLarge(65536));
}

/// A short image gives what it has, and never a value for the rest.
#[test]
fn short_images() {
    for image in [SpdImage::ddr3_rdimm(), SpdImage::ddr4_rdimm(), SpdImage::ddr5_rdimm()].map(|image| image.build()) {
        let whole = decode(&image);
        for size in [128, 256, 512, 1024].into_iter().filter(|size| *size < image.len()) {
            let short = decode(&image[..size]);
            assert_eq!(short["dram_type"], whole["dram_type"]);
            assert_eq!(short["size_bytes"], size);
            for (key, value) in short.as_object().unwrap() {
                let same = value == &whole[key] || value.is_null() || matches!(value, Json::Array(_) | Json::Object(_));
                assert!(same || matches!(key.as_str(), "size_bytes" | "sha256"), "{key} of {size} bytes: {value}");
            }
            let has_serial = whole["dram_type"] == "DDR3";
            assert!(short["serial"].is_null() != has_serial, "{size} bytes: {}", short["serial"]);
        }
    }
    // DDR3's serial is in the first 128 bytes, the part number is not.
    let ddr3 = decode(&SpdImage::ddr3_rdimm().build()[..128]);
    assert_eq!((&ddr3["part_number"], &ddr3["crc"][0]["ok"]), (&Json::Null, &json!(true)));
}

/// Whatever a checksum covers is noticed; the rest changes nothing in the sums.
#[test]
fn every_byte_changed() {
    for (image, covered) in [
        (SpdImage::ddr4_rdimm().build(), &[0..128usize, 128..256][..]),
        (SpdImage::ddr5_rdimm().build(), &[0..256usize, 256..512][..]),
    ] {
        let mut noticed = 0;
        for at in 0..image.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = image.clone();
                changed[at] ^= flip;
                // Byte 2 and 3 can make it another kind of image, with other sums.
                let Ok(spd) = spd::parse(&changed) else {
                    assert_eq!(at, 2);
                    continue;
                };
                let _ = (spd.part_number(), spd.lot(), spd.oem_mark(), spd.module_id(), spd.error_log_entries());
                let wrong = spd.checksums().any(|sum| !sum.fits())
                    || spd.dram.name() != spd::parse(&image).unwrap().dram.name();
                assert_eq!(wrong, covered.iter().any(|range| range.contains(&at)), "byte {at} ^ {flip:#04x}");
                noticed += usize::from(wrong);
            }
        }
        assert!(noticed >= covered.iter().map(|range| range.len()).sum::<usize>() * 3 - 6);
    }
}

#[test]
fn pages_that_were_not_switched_void_the_reading() {
    let ddr5 = SpdImage::ddr5_rdimm();
    let alias = decode(&ddr5.build_aliased());
    for key in
        ["serial", "part_number", "module_maker", "module_id", "date", "capacity_mib", "ranks", "lot", "oem_mark"]
    {
        assert!(alias[key].is_null(), "{key} is {}", alias[key]);
    }
    assert_has(&alias, &json!({"page_alias": true, "dram_type": "DDR5", "speed_mts": 4800, "crc": []}));
    // The lower half may be right, and only the upper half repeat it.
    let mut half = ddr5.build();
    half.copy_within(0..512, 512);
    assert_has(&decode(&half), &json!({"page_alias": true, "serial": null}));
    let ddr4 = decode(&SpdImage::ddr4_rdimm().build_aliased());
    assert_has(&ddr4, &json!({"page_alias": true, "capacity_mib": 65536, "serial": null, "module_maker": null}));
    assert_eq!(ddr4["crc"].as_array().unwrap().len(), 2);
    for image in [SpdImage::ddr3_rdimm(), SpdImage::ddr4_rdimm(), ddr5] {
        assert_eq!(decode(&image.build())["page_alias"], false);
    }
    let imported = import(&SpdImage::ddr5_rdimm().build_aliased()).unwrap().into_evidence();
    let part = imported.part("dimm:0").unwrap();
    assert!(matches!(part.reading("dimm.spd.module_id"), Some(Reading::Failed(why)) if why.contains("repeat")));
    assert!(matches!(part.reading("dimm.spd.crc_bad"), Some(Reading::Failed(_))));
}

#[test]
fn hostile_and_odd_identity() {
    let image = SpdImage {
        part_number: b"EVIL\x1b[2J\xfe\x00\x07X".to_vec(),
        date: [0x29, 0x1d],
        module_maker: [0x14, 0xf7],
        serial: [0; 4],
        user_area: b"\x0cJ".to_vec(),
        ..SpdImage::ddr4_rdimm()
    };
    let place = Place::new();
    let file = place.path("image.bin");
    fs::write(&file, image.build()).unwrap();
    let plain = place.run(["decode", "spd", file.to_str().unwrap()]).exits(0).stdout;
    assert!(plain.contains("EVIL") && !plain.contains('\x1b') && !plain.contains('\x07'), "{plain:?}");
    assert!(plain.contains("wrong parity: module maker 14F7") && plain.contains("no year and week: 291D"), "{plain}");
    let json = decode(&image.build());
    assert_has(
        &json,
        &json!({
            "date": null, "date_bytes": "291D", "module_maker": null, "parity_bad": ["module maker 14F7"],
            "unknown_makers": ["module maker 14F7"], "serial": "00000000", "profiles": ["XMP"],
        }),
    );
    let evidence = import(&image.build()).unwrap().into_evidence();
    assert_declared(&evidence);
    // Nobody wrote a serial: many modules share these nine bytes.
    assert_eq!(evidence.part("dimm:0").unwrap().reading("dimm.spd.module_id"), Some(&Reading::Absent));
}

#[test]
fn marks_of_makers() {
    let with = |maker_area: &[u8], user_area: &[u8]| {
        decode(
            &SpdImage { maker_area: maker_area.to_vec(), user_area: user_area.to_vec(), ..SpdImage::ddr4_rdimm() }
                .build(),
        )
    };
    let hpe = with(b"TN96N6539I44\0\0\0\x01", b"HPT\0c\x02XD\0\0\0\0\0\0\0\0\0\0P030530A1\x01");
    assert_has(
        &hpe,
        &json!({"lot": "TN96N6539I44", "lot_maker": "SK hynix", "long_serial": null, "oem_mark": "HPE", "oem_part": "P03053-0A1"}),
    );
    let cisco = with(b"DPAJ6TP001", b"\0\0\0\0\0\0\x01B\x03FLM1949C821\x01\x01");
    assert_has(&cisco, &json!({"lot_maker": "Micron", "oem_mark": "Cisco", "oem_part": "FLM1949C821"}));
    assert_has(&with(b"", b""), &json!({"lot": null, "lot_maker": null, "oem_mark": null}));
    let mut log = vec![0; 64];
    log.extend_from_slice(b"_FL_");
    log.extend_from_slice(&[0x41; 40]);
    let worn = decode(&SpdImage { user_area: log, ..SpdImage::ddr5_rdimm() }.build());
    assert_eq!(worn["error_log_entries"], 2);
}

#[test]
fn dumps_as_text() {
    let image = SpdImage::ddr4_rdimm().build();
    let hexadecimal = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    let ascii: String = "................".to_owned();
    let mut xxd = String::new();
    let mut hexdump = String::new();
    let mut before: Option<&[u8]> = None;
    let mut starred = false;
    for (index, row) in image.chunks(16).enumerate() {
        let pairs = hexadecimal(row);
        xxd += &format!(
            "{:08x}: {}  {ascii}\n",
            index * 16,
            pairs.chunks(2).map(|two| two.concat()).collect::<Vec<_>>().join(" ")
        );
        if before == Some(row) {
            hexdump += if starred { "" } else { "*\n" };
            starred = true;
            continue;
        }
        (before, starred) = (Some(row), false);
        hexdump += &format!("{:08x}  {}  {}  |{ascii}|\n", index * 16, pairs[..8].join(" "), pairs[8..].join(" "));
    }
    hexdump += "00000200\n";
    let mut i2cdump = "     0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f    0123456789abcdef\n".to_owned();
    for (index, row) in image[..256].chunks(16).enumerate() {
        i2cdump += &format!("{:02x}: {}    {ascii}\n", index * 16, hexadecimal(row).join(" "));
    }
    assert_eq!(spd::from_text(&xxd), Some(image.clone()));
    assert_eq!(spd::from_text(&hexdump), Some(image.clone()));
    assert_eq!(spd::from_text(&i2cdump), Some(image[..256].to_vec()));
    assert_eq!(decode(xxd.as_bytes())["serial"], "1949395D");
    assert_eq!(import(hexdump.as_bytes()).unwrap().format(), "spd");
    for text in ["", "nothing here", "00: 12 34\n40: 56 78\n", "*\n00001000\n"] {
        assert_eq!(spd::from_text(text), None, "{text:?}");
    }
}

/// Images as the kernel shows them: bus 0, addresses 50h and on.
fn machine(images: &[Vec<u8>]) -> RecordedMachine {
    let two = |machine: &mut RecordedMachine| {
        machine.dimms.truncate(images.len().max(2));
        machine.edac_bytes = None;
        machine.meminfo_bytes = None;
    };
    RecordedMachine::server().with(two).images(images)
}

fn module(serial: [u8; 4]) -> SpdImage {
    SpdImage { serial, ..SpdImage::ddr5_rdimm() }
}

fn ids(evidence: &Evidence) -> Vec<(String, String)> {
    evidence
        .scope("dimm")
        .map(|part| (part.id.clone(), part.text("dimm.spd.serial").unwrap_or("-").to_owned()))
        .collect()
}

#[test]
fn modules_of_a_machine_with_drivers() {
    let images = [module([0x42, 0xb2, 0xbf, 0x08]).build(), module([0x04, 0xf9, 0x69, 0x29]).build()];
    let paired = machine(&images).with(|machine| {
        machine.dimms[0].serial = "80CE02233104F96929".to_owned();
        machine.dimms[1].serial = "08BFB242".to_owned();
    });
    let evidence = collect(&paired.host());
    assert_declared(&evidence);
    let slots: Vec<String> = paired.dimms.iter().map(|dimm| format!("dimm:{}", dimm.locator)).collect();
    assert_eq!(ids(&evidence), [(slots[0].clone(), "04F96929".to_owned()), (slots[1].clone(), "42B2BF08".to_owned())]);
    let part = evidence.part(&slots[0]).unwrap();
    assert_eq!(
        (part.text("dimm.spd.paired_by"), part.reading("dimm.spd.stable")),
        (Some("serial"), Some(&true.into()))
    );
    let id = hex::encode_upper(module([0x04, 0xf9, 0x69, 0x29]).module_id());
    assert_eq!(part.text("dimm.spd.module_id"), Some(&*id));
    assert_eq!(evidence.part("memory").unwrap().integer("memory.spd.images"), Some(2));

    // Clones: two images of one serial are two parts, whether SMBIOS repeats the serial or not.
    let clone = images[0].clone();
    let clones = machine(&[clone.clone(), clone.clone()]);
    let same = clones.clone().with(|machine| {
        machine.dimms.iter_mut().for_each(|dimm| dimm.serial = "42B2BF08".to_owned());
    });
    let serial = "42B2BF08".to_owned();
    let both: Vec<_> = slots.iter().map(|slot| (slot.clone(), serial.clone())).collect();
    assert_eq!(ids(&collect(&same.host())), both);
    let three = machine(&[clone.clone(), clone.clone(), clone]).with(|machine| {
        machine.dimms[0].serial = "42B2BF08".to_owned();
        machine.dimms.truncate(1);
    });
    let apart = ids(&collect(&three.host()));
    assert_eq!(apart.iter().filter(|(_, found)| *found == serial).count(), 3, "{apart:?}");
    assert!(apart.iter().any(|(id, _)| id == "dimm:spd-0-0050"), "{apart:?}");
}

#[test]
fn readings_that_fail_are_readings() {
    let good = module([0x42, 0xb2, 0xbf, 0x08]).build();
    let mut other = good.clone();
    other[517] ^= 1;
    let path = "/sys/bus/i2c/devices/0-0050/eeprom".to_owned();
    let again = Query::FileAgain { path: path.clone() }.path();
    let evidence = collect(&machine(std::slice::from_ref(&good)).file(&again, other).host());
    assert_declared(&evidence);
    let part = evidence.part("dimm:spd-0-0050").unwrap();
    assert_eq!(part.reading("dimm.spd.stable"), Some(&false.into()));
    assert_eq!(part.reading("dimm.spd.serial"), Some(&Reading::Failed("two readings differ".to_owned())));
    // SMBIOS still has its modules, and says of their images that there is none.
    assert_eq!(
        evidence.scope("dimm").filter(|part| part.reading("dimm.spd.serial") == Some(&Reading::Unsupported)).count(),
        2
    );

    let denied = collect(&machine(&[good]).deny(&path).host());
    let why = |evidence: &Evidence| {
        let part = evidence.scope("dimm").next().unwrap().clone();
        let fact = part.facts.iter().find(|(path, _)| path.as_str() == "dimm.spd.serial").unwrap().1.clone();
        (fact.reading, fact.source)
    };
    let (reading, source) = why(&denied);
    assert_eq!(reading, Reading::Denied);
    assert!(source.starts_with("not observable here: ") && source.contains("0-0050"), "{source}");
    let (reading, source) = why(&collect(&machine(&[]).host()));
    assert_eq!(reading, Reading::Unsupported);
    assert!(source.contains("SMBus I801 adapter at efa0") && source.contains("SPD write disable"), "{source}");
    let (reading, source) = why(&collect(&RecordedMachine::server().host()));
    assert_eq!(reading, Reading::Unsupported);
    assert!(source.contains("no I2C bus"), "{source}");
    // An EEPROM of something else at such an address is no module.
    let edid = [&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0][..], &[7; 120]].concat();
    assert_eq!(ids(&collect(&machine(&[edid]).host())).len(), 2);
}

#[test]
fn images_that_somebody_sent() {
    let place = Place::new();
    for (name, image) in
        [("a.bin", module([1, 2, 3, 4])), ("b.bin", module([1, 2, 3, 4])), ("c.bin", module([9, 8, 7, 6]))]
    {
        fs::write(place.path(name), image.build()).unwrap();
    }
    let mut merged = import(&module([1, 2, 3, 4]).build()).unwrap();
    merged.merge(import(&module([1, 2, 3, 4]).build()).unwrap());
    merged.merge(import(&module([9, 8, 7, 6]).build()).unwrap());
    assert_eq!(merged.format(), "spd");
    let evidence = merged.into_evidence();
    assert_declared(&evidence);
    let serials = ["01020304", "01020304", "09080706"];
    let expected: Vec<_> =
        serials.iter().enumerate().map(|(index, serial)| (format!("dimm:{index}"), (*serial).to_owned())).collect();
    assert_eq!(ids(&evidence), expected);
    place.run(
        ["screen", "--same-machine", "a.bin", "b.bin", "c.bin", "--format", "json"]
            .map(|word| if word.ends_with(".bin") { place.path(word).into_os_string() } else { word.into() }),
    );

    // A VBIOS, a table of SMBIOS and noise are none.
    let vbios = RecordedMachine::gpu_server().functions[1].rom.clone().unwrap();
    for bytes in
        [vbios, RecordedMachine::server().smbios_table(), vec![0x0c; 512], (0..=255).cycle().take(512).collect()]
    {
        assert!(!spd::recognise(&bytes), "{} bytes", bytes.len());
    }
    // A damaged image is one all the same.
    let damaged = SpdImage { damage: vec![(30, 0x55)], ..SpdImage::ddr4_rdimm() }.build();
    let evidence = import(&damaged).unwrap().into_evidence();
    let bad = evidence.part("dimm:0").unwrap().reading("dimm.spd.crc_bad").unwrap().known().unwrap().to_string();
    assert_eq!(bad, "0-125");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn never_panics(
        kind in proptest::sample::select(vec![7u8, 8, 0x0b, 0x0c, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x15, 0xf1]),
        module in any::<u8>(),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..1200),
    ) {
        if let [_, _, second, third, ..] = &mut bytes[..] {
            (*second, *third) = (kind, module);
        }
        let _ = (spd::recognise(&bytes), spd::from_text(&String::from_utf8_lossy(&bytes)));
        if let Ok(spd) = spd::parse(&bytes) {
            let _ = (spd.timing.cas_latencies(), spd.parity_bad(), spd.samsung_long_serial(), spd.profiles());
            let _ = yanji::report::spd_plain(&spd, yanji::report::Style { colour: true, unicode: true });
        }
        if let Ok(imported) = import(&bytes) {
            assert_declared(&imported.into_evidence());
        }
    }
}
