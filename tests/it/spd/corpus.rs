//! Real images, held against what independent decoders say of them.

use std::fs;

use serde_json::Value as Json;

use super::decode;
use crate::collect::{corpus, manifest};

/// Facts that differ, and why the manifest's are not followed.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "cb_facebook_fbg1701_KINGSTON",
        "part_number",
        "decode-dimms stops at a byte that is no text; it is shown as \\x88",
    ),
    ("cb_facebook_fbg1701_", "date", "week and year are binary, not BCD: no date is claimed"),
    ("hi_eeprom-test-DDR1a", "date", "binary, not BCD"),
    ("rg_dump-2-dd", "date", "binary, not BCD"),
    ("il_ddr4_AQD-SD4U16GN32-SE1", "date", "the week is binary, not BCD"),
    ("mt_DDR2-GoldenEmpire-2", "location", "decode-dimms shows a letter; here every place is a number"),
];

/// A maker's name without what the decoders add to it.
fn maker(name: &str) -> String {
    let name = name.split(" (").next().unwrap();
    name.trim_end_matches(['?', '.']).to_ascii_lowercase()
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[test]
fn every_manifest_fact_is_decoded() {
    let Some(folder) = corpus("spd") else { return };
    let (mut images, mut facts, mut wrong, mut excused) = (0, 0, Vec::new(), 0);
    for row in manifest(&folder) {
        let file = &row["file"];
        let bytes = fs::read(folder.join(file)).unwrap();
        if row["dram_type"].contains("0xff") {
            assert!(yanji::parse::spd::parse(&bytes).is_err());
            continue;
        }
        let json = decode(&bytes);
        images += 1;
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let mut compare = |name: &str, wanted: String, found: String| {
            facts += 1;
            let known = |(start, fact, _): &&(&str, &str, &str)| file.starts_with(start) && *fact == name;
            match EXCEPTIONS.iter().find(known) {
                Some(_) => excused += 1,
                None if wanted == found => {}
                None => wrong.push(format!("{file}: {name} should be {wanted}, and is {found}")),
            }
        };
        for (column, key) in [("capacity_mib", "capacity_mib"), ("ranks", "ranks"), ("speed_mts", "speed_mts")] {
            if !row[column].is_empty() {
                compare(column, row[column].clone(), json[key].to_string());
            }
        }
        compare("dram_type", row["dram_type"].split(' ').next().unwrap().to_owned(), text("dram_type"));
        if !row["module_type"].is_empty() {
            let wanted = row["module_type"].split(' ').next().unwrap().replace("SODIMM", "SO-DIMM");
            compare("module_type", wanted, text("module_type"));
        }
        if !row["device_width"].is_empty() {
            let wanted: String = row["device_width"].chars().filter(char::is_ascii_digit).collect();
            compare("device_width", wanted, json["device_width_bits"].to_string());
        }
        match row["bus_width_ext"].as_str() {
            "" => {}
            "none" => compare("bus_width_ext", "0".to_owned(), json["ecc_bits"].to_string()),
            "ECC" => compare("bus_width_ext", "true".to_owned(), (json["ecc_bits"].as_i64() > Some(0)).to_string()),
            bits => compare("bus_width_ext", bits.replace(" bits", ""), json["ecc_bits"].to_string()),
        }
        for column in ["module_maker", "dram_maker"] {
            let wanted = &row[column];
            // An id that a decoder does not know may be known here; one with a wrong parity bit names nobody for certain.
            if wanted.is_empty() || ["nknown", "Undefined", "parity"].iter().any(|word| wanted.contains(word)) {
                continue;
            }
            compare(column, maker(wanted), maker(&text(column)));
        }
        let part = &row["part_number"];
        if !part.is_empty() {
            let wanted = if part == "Undefined" { String::new() } else { part.clone() };
            compare("part_number", wanted, text("part_number"));
        }
        if !row["serial"].is_empty() {
            compare("serial", row["serial"].trim_start_matches("0x").to_owned(), text("serial"));
        }
        if !row["date"].is_empty() {
            // 0000 is no date.
            let wanted = if row["date"] == "2000-W00" { String::new() } else { row["date"].clone() };
            compare("date", wanted, text("date"));
        }
        for column in ["location", "revision"] {
            if !row[column].is_empty() {
                compare(column, format!("{:?}", number(&row[column])), format!("{:?}", number(&text(column))));
            }
        }
        for (index, column) in ["crc_base", "crc_module"].into_iter().enumerate() {
            let (wanted, sum) = (&row[column], &json["crc"][index]);
            if wanted.is_empty() {
                continue;
            }
            compare(column, (!wanted.contains("Bad")).to_string(), sum["ok"].to_string());
            if let Some((range, rest)) = wanted.split_once(": ") {
                compare(column, range.to_owned(), sum["range"].as_str().unwrap().to_owned());
                if let Some((_, stored)) = rest.split_once('(') {
                    compare(
                        column,
                        stored.trim_end_matches(')').to_owned(),
                        sum["stored"].as_str().unwrap().to_owned(),
                    );
                }
            }
        }
    }
    println!("{facts} facts of {images} images compared, {excused} excused");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(images >= 110 && facts > 1300 && excused < 10, "{facts} facts of {images} images, {excused} excused");
}

#[test]
fn damage_and_traces_of_real_images() {
    let Some(folder) = corpus("spd") else { return };
    let image = |name: &str| decode(&fs::read(folder.join(name)).unwrap());
    let sums = |json: &Json| json["crc"].as_array().unwrap().iter().map(|sum| sum["ok"] == true).collect::<Vec<_>>();
    assert_eq!(sums(&image("op_ddr4_ddimm.bin")), [true, true]);
    assert_eq!(sums(&image("op_ddr5_ddimm.bin")), [true, true, true]);
    assert_eq!(sums(&image("op_ddr5_ddimm_corrupted_index_4.bin")), [false, true, true]);
    assert_eq!(sums(&image("op_ddr5_ddimm_corrupted_index_235.bin")), [true, false, true]);
    let fake = image("mx_HOTGRIZZLY_7206B741_-_Hynix_HMA42GR7MFR4N-TF_RDIMM_DDR4_SDRAM-3200_C22_2R_x_4_16GB.bin");
    assert_eq!(fake["parity_bad"], serde_json::json!(["module maker 14F7", "DRAM maker 14F7"]));
    assert_eq!((&fake["lot_maker"], &fake["die_density_mbit"]), (&"Micron".into(), &4096.into()));
    let samsung = image("ad_Samsung_M393A8G40CB4-CWE.bin");
    assert_eq!(samsung["long_serial"], "K12W0003361949395D");
    // No real image repeats its pages, and no DDR4 or DDR5 one breaks the addressing rule.
    for row in manifest(&folder) {
        if let Ok(spd) = yanji::parse::spd::parse(&fs::read(folder.join(&row["file"])).unwrap()) {
            assert!(!spd.page_alias && spd.geometry.addressing_fits != Some(false), "{}", row["file"]);
            assert!(yanji::parse::spd::recognise(&fs::read(folder.join(&row["file"])).unwrap()), "{}", row["file"]);
        }
    }
}
