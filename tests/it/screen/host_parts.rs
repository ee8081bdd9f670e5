//! Printouts about memory modules, processors and drives: real ones against their manifests, and one machine told by
//! several programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use yanji::evidence::{Evidence, Part, Reading};
use yanji::import;
use yanji::inspection;
use yanji::parse::smbios::{self, Inventory};
use yanji::rule::{Outcome, Severity, Signatures};

use super::{assert_declared, evidence};
use crate::cli::Place;
use crate::collect::{corpus, manifest};
use crate::support::RecordedMachine;

/// dmidecode's words for a field without a value.
const NONE: &[&str] = &["", "Not Specified", "<OUT OF SPEC>", "Unknown", "None", "Unspecified", "<BAD INDEX>"];

/// `2xA; 1xB` of the values, the most frequent first, as the manifest writes it.
fn counted<'a>(values: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(if NONE.contains(&value) { String::new() } else { value.to_owned() }).or_default() += 1;
    }
    counts
}

/// The same of a manifest's cell.
fn counted_cell(cell: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    // Sizes have commas between them in some rows.
    let sizes = cell.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'x' | b',' | b';' | b' '));
    for item in cell.split(if sizes { &[',', ';'][..] } else { &[';'][..] }).map(str::trim) {
        let (count, value) = item.split_once('x').unwrap_or(("0", item));
        let value = value.trim();
        let value = if NONE.contains(&value) { "" } else { value };
        *counts.entry(value.to_owned()).or_default() += count.parse::<usize>().unwrap_or(0);
    }
    counts
}

fn read_inventory(folder: &Path, file: &str) -> Inventory {
    let table = fs::read(folder.join(file)).unwrap();
    match fs::read(folder.join(file.replace(".dmi", ".ep"))) {
        // As dmidecode --dump-bin writes it.
        Ok(mut entry) if file.ends_with(".dmi") => {
            entry.resize(0x20, 0);
            smbios::parse_file(&[entry, table].concat()).unwrap()
        }
        _ => smbios::parse_file(&table).unwrap_or_else(|error| panic!("{file}: {error}")),
    }
}

fn known(reading: &Reading<String>) -> &str {
    reading.known().map_or("", String::as_str)
}

/// A difference between the manifest and what is read that has a reason.
fn excused(file: &str, fact: &str) -> bool {
    // The manifest stops after six makers and six part numbers.
    file.starts_with("gl_sun-x2200-m2") && matches!(fact, "manufacturers" | "parts")
}

/// Not a table: its first structure is shorter than a header. dmidecode finds nothing in it either.
const NO_TABLE: &str = "sb_jeffgerlap_3_2_0.dmi";

#[test]
fn smbios_corpus_by_manifest() {
    let Some(folder) = corpus("smbios") else { return };
    let (mut texts, mut tables, mut facts, mut differing) = (0, 0, 0, Vec::new());
    for row in manifest(&folder) {
        let file = &row["file"];
        if file == NO_TABLE {
            assert!(smbios::parse_file(&fs::read(folder.join(file)).unwrap()).is_err());
            continue;
        }
        let inventory = read_inventory(&folder, file);
        if file.ends_with(".txt") {
            texts += 1
        } else {
            tables += 1
        }
        let modules: Vec<_> = inventory.modules().collect();
        let mut same = |fact: &'static str, found: String, expected: String| {
            facts += 1;
            if found != expected && !excused(file, fact) {
                differing.push(format!("{file} {fact}: {found:?}, manifest {expected:?}"));
            }
        };
        let cell = |name: &str| row[name].trim().to_owned();
        same("memory_devices", inventory.memory_devices.len().to_string(), cell("memory_devices"));
        same("populated", modules.len().to_string(), cell("populated"));
        let mib: Vec<String> = modules
            .iter()
            .map(|it| it.size_bytes.known().map_or_else(String::new, |bytes| (bytes >> 20).to_string()))
            .collect();
        let total: u64 = mib.iter().filter_map(|it| it.parse::<u64>().ok()).sum();
        same("total_mib", total.to_string(), cell("total_mib"));
        if !modules.is_empty() {
            let sizes = counted(mib.iter().map(String::as_str));
            same("sizes", format!("{sizes:?}"), format!("{:?}", counted_cell(&row["sizes"])));
            let makers = counted(modules.iter().map(|it| known(&it.manufacturer)));
            same("manufacturers", format!("{makers:?}"), format!("{:?}", counted_cell(&row["manufacturers"])));
            let parts = counted(modules.iter().map(|it| known(&it.part_number)));
            same("parts", format!("{parts:?}"), format!("{:?}", counted_cell(&row["parts"])));
        }
        // Types and speeds have no counts where all are the same.
        let set = |values: Vec<String>| {
            let mut values: Vec<String> =
                values.into_iter().filter(|it| !NONE.iter().any(|none| it.eq_ignore_ascii_case(none))).collect();
            values.sort();
            values.dedup();
            values.join(",")
        };
        let plain = |item: &str| {
            item.split_once('x').filter(|(n, _)| n.parse::<u32>().is_ok()).map_or(item, |it| it.1).to_owned()
        };
        let types = set(modules.iter().map(|it| known(&it.kind).to_uppercase()).collect());
        same("types", types, set(row["types"].split([',', ';']).map(|it| plain(it.trim()).to_uppercase()).collect()));
        let speeds = set(modules.iter().filter_map(|it| it.speed_mts.known()).map(u64::to_string).collect());
        let number = |it: &str| plain(it.trim()).split(' ').next().unwrap_or_default().to_owned();
        // Two of the texts print the speed that is set only.
        if !file.starts_with("am5_") {
            same("speeds", speeds, set(row["speeds"].split([',', ';']).map(number).collect()));
        }
        if file.ends_with(".txt") {
            let serials: Vec<&str> = modules.iter().map(|it| known(&it.serial)).filter(|it| !it.is_empty()).collect();
            same("serials_present", serials.len().to_string(), cell("serials_present"));
        }
        // The manifest's decoder writes a revision of its own for a table without one.
        let version = inventory.version.map_or_else(|| cell("smbios_version"), |it| it.to_string());
        let length = if file.ends_with(".txt") { usize::MAX } else { 2 };
        let short = |version: &str| version.split('.').take(length).collect::<Vec<_>>().join(".");
        same("smbios_version", short(&version), short(&row["smbios_version"]));
        let join = |readings: &[&Reading<String>], with: &str| {
            readings.iter().map(|it| known(it).trim()).filter(|it| !NONE.contains(it)).collect::<Vec<_>>().join(with)
        };
        let cell_join = |name: &str| {
            row[name]
                .split(" / ")
                .map(str::trim)
                .filter(|it| !NONE.contains(it) && *it != "/")
                .collect::<Vec<_>>()
                .join(" / ")
        };
        if let Some(system) = &inventory.system {
            same("system", join(&[&system.manufacturer, &system.product], " / "), cell_join("system"));
        }
        if let Some(bios) = &inventory.bios {
            same("bios", join(&[&bios.vendor, &bios.version, &bios.release_date], " "), cell("bios"));
        }
        if let Some(board) = inventory.boards.first() {
            let found = join(&[&board.manufacturer, &board.product], " / ");
            same("board", found, cell_join("board").trim_start_matches("/ ").to_owned());
        }
        let sockets: Vec<_> = inventory.populated_sockets().collect();
        let brand = sockets.first().map_or("", |it| known(&it.version));
        let (count, expected) = row["cpus"].split_once(" x ").unwrap_or(("0", ""));
        same("cpus", sockets.len().to_string(), count.to_owned());
        let expected = expected.trim();
        same(
            "cpu brand",
            brand.to_owned(),
            if NONE.contains(&expected) { brand.to_owned() } else { expected.to_owned() },
        );
    }
    println!("{texts} texts, {tables} tables, {facts} facts, {} differ", differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(texts == 85 && tables == 37);
}

#[test]
fn genuine_smbios_is_not_accused() {
    let Some(folder) = corpus("smbios") else { return };
    /// What fires: file, rule, the parts (all where there is none), and why.
    const KNOWN: &[(&str, &str, &[&str], &str)] = &[
        ("Synology", "dimm.serial-duplicate", &[], "its firmware gives all modules one serial number"),
        ("nb_", "dimm.serial-duplicate", &[], "the source replaced the serial numbers by one"),
        ("Asus-UX307LA", "dimm.serial-blank", &["dimm:ChannelA-DIMM0", "dimm:ChannelB-DIMM0"], "soldered memory"),
        (
            "Lenovo-ThinkPad-T480",
            "dimm.serial-blank",
            &["dimm:ChannelA-DIMM0"],
            "a notebook's module without a serial number",
        ),
        (
            "Lenovo-ThinkPad-W510",
            "dimm.serial-blank",
            &["dimm:DIMM 1", "dimm:DIMM 3"],
            "Crucial's notebook modules of 2010 have none",
        ),
    ];
    let signatures = Signatures::embedded().unwrap();
    let (mut files, mut accused, mut used) = (0, Vec::new(), BTreeSet::new());
    for row in manifest(&folder).iter().filter(|row| !row["file"].contains("corrupt") && row["file"] != NO_TABLE) {
        let file = &row["file"];
        let imported =
            import::import(&fs::read(folder.join(file)).unwrap()).unwrap_or_else(|error| panic!("{file}: {error}"));
        let evidence = imported.into_evidence();
        assert_declared(&evidence);
        files += 1;
        for check in inspection::assess(evidence, &signatures).checks {
            if let Outcome::Fires(finding) = &check.outcome
                && finding.severity >= Severity::High
            {
                println!("{file}: {} on {} ({:?}, {:?})", check.id, check.part, finding.severity, finding.confidence);
                let known = |(name, rule, parts, _): &&(&str, &str, &[&str], &str)| {
                    file.contains(name)
                        && check.id == *rule
                        && (parts.is_empty() || parts.contains(&check.part.as_str()))
                };
                if let Some(known) = KNOWN.iter().find(known) {
                    used.insert(known.0);
                } else {
                    accused.push(format!("{file}: {} on {}", check.id, check.part));
                }
            }
        }
    }
    println!("{files} files, {} excused", used.len());
    assert!(accused.is_empty(), "{}", accused.join("\n"));
    assert_eq!(used.len(), KNOWN.len(), "an exception that excuses nothing: {used:?}");
}

/// `dmidecode` of the test's own machine, where it is installed.
fn dmidecode(place: &Place, dump: &str) -> Option<String> {
    let ran = Command::new("dmidecode").arg("--from-dump").arg(place.path(dump)).output();
    match ran {
        Ok(ran) if ran.status.success() => Some(String::from_utf8_lossy(&ran.stdout).into_owned()),
        _ => {
            println!("skipped: no dmidecode");
            None
        }
    }
}

/// A dump as dmidecode writes it.
pub fn dump(machine: &RecordedMachine) -> Vec<u8> {
    let mut entry = b"_SM3_\0\x18\x03\x05\0\x01\0".to_vec();
    let table = machine.smbios_table();
    entry.extend_from_slice(&(table.len() as u32).to_le_bytes());
    entry.extend_from_slice(&0x20u64.to_le_bytes());
    entry[5] = 0u8.wrapping_sub(entry.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    entry.resize(0x20, 0);
    [entry, table].concat()
}

fn texts<'a>(evidence: &'a Evidence, scope: &'static str, paths: &[&str]) -> Vec<Vec<&'a str>> {
    let of = |part: &'a Part| paths.iter().map(|path| part.text(path).unwrap_or("-")).collect();
    evidence.scope(scope).map(of).collect()
}

#[test]
fn a_dump_its_printout_and_decode_say_the_same() {
    let machine = RecordedMachine::server();
    let place = Place::new();
    fs::write(place.path("dmi.bin"), dump(&machine)).unwrap();
    let json = place.run(["decode", "smbios", "dmi.bin", "--format", "json"]).exits(0).json();
    let dimms = json["dimms"].as_array().unwrap();
    assert_eq!(dimms.len(), machine.dimms.len());
    for (found, built) in dimms.iter().zip(&machine.dimms) {
        assert_eq!(found["locator"], *built.locator);
        assert_eq!(found["size_mib"], built.size_bytes >> 20);
        assert_eq!(found["type"], "DDR5");
        assert_eq!(found["speed_mts"], built.speed_mts);
        assert_eq!(found["configured_mts"], built.configured_mts);
        assert_eq!(found["manufacturer"], *built.manufacturer);
        assert_eq!(found["part_number"], *built.part_number);
        assert_eq!(found["serial"], *built.serial);
    }
    assert_eq!(json["system"]["serial"], *machine.serial);
    assert_eq!(json["structures"].as_array().unwrap().last().unwrap()["type"], 127);
    let plain = place.run(["decode", "smbios", "dmi.bin"]).exits(0).stdout;
    assert!(plain.contains(&machine.dimms[0].part_number) && plain.contains("Memory Device"), "{plain}");

    let binary = evidence(&dump(&machine));
    assert_declared(&binary);
    let Some(text) = dmidecode(&place, "dmi.bin") else { return };
    fs::write(place.path("dmi.txt"), &text).unwrap();
    let printed = evidence(text.as_bytes());
    assert_declared(&printed);
    let mut compared = 0;
    for part in &binary.parts {
        let other = printed.part(&part.id).unwrap_or_else(|| panic!("no {} in the text", part.id));
        for (path, fact) in &part.facts {
            // Whether nothing is there or nothing was said differs; a value must not.
            if let Some(value) = fact.reading.known() {
                compared += 1;
                assert_eq!(other.reading(path.as_str()).and_then(Reading::known), Some(value), "{} {path}", part.id);
            }
        }
    }
    println!("{compared} values compared");
    assert!(compared > 300, "{compared}");
    let of_text = place.run(["decode", "smbios", "dmi.txt", "--format", "json"]).exits(0).json();
    let names = |json: &Json| -> Vec<Json> {
        json["dimms"].as_array().unwrap().iter().map(|it| it["serial"].clone()).collect()
    };
    assert_eq!(names(&of_text), names(&json));
}

#[test]
fn fragments_and_several_sections() {
    let module = "Handle 0x1100, DMI type 17, 92 bytes\nMemory Device\n\tSize: 64 GB\n\tLocator: A1\n\tType: DDR5\n\
        \tManufacturer: Samsung\n\tSerial Number: --\n\tPart Number: M321R8GA0BB0-CQKZJ\n";
    let evidence = evidence(format!("# dmidecode 3.1\n{module}\n# dmidecode 3.1\n{module}").as_bytes());
    assert_eq!(texts(&evidence, "dimm", &["dimm.smbios.locator"]), [["A1"]]);
    let dimm = evidence.scope("dimm").next().unwrap();
    assert_eq!(dimm.reading("dimm.smbios.serial"), Some(&Reading::Unsupported), "hidden is not blank");
    // What a fragment does not have is not a part of the machine.
    assert_eq!(evidence.scope("board").count() + evidence.scope("chassis").count() + evidence.scope("cpu").count(), 0);
    let signatures = Signatures::embedded().unwrap();
    for check in inspection::assess(evidence, &signatures).checks {
        assert!(!matches!(check.outcome, Outcome::Fires(_)), "{} fires on {}", check.id, check.part);
    }
}

#[test]
fn the_newest_fields_of_a_module() {
    let mut device = vec![17, 0x64, 0, 0x11];
    device.resize(0x64, 0);
    let mut put = |at: usize, bytes: &[u8]| device[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x0c, &0x4000u16.to_le_bytes());
    put(0x10, &[1]);
    put(0x28, &[3]);
    put(0x29, &0b1000u16.to_le_bytes());
    put(0x2c, &[0x00, 0xce]);
    put(0x2e, &0x1234u16.to_le_bytes());
    put(0x3c, &(16u64 << 30).to_le_bytes());
    put(0x44, &[0xff; 8]);
    put(0x5c, &[0x86, 0x32, 0x11, 0x82]);
    put(0x60, &[0x80, 0xb3, 0x00, 0xff]);
    let table = [&device[..], b"A1\0\0", &[127, 4, 0, 2, 0, 0]].concat();
    let place = Place::new();
    fs::write(place.path("dmi.bin"), &table).unwrap();
    let json = place.run(["decode", "smbios", "dmi.bin", "--format", "json"]).exits(0).json();
    let dimm = &json["dimms"][0];
    assert_eq!(dimm["size_mib"], 16384);
    assert_eq!(dimm["technology"], "DRAM");
    assert_eq!(dimm["operating_modes"], serde_json::json!(["volatile memory"]));
    assert_eq!(dimm["module_maker_id"], "80CE", "with the parity bit that firmware left out");
    assert_eq!(dimm["module_product_id"], "0x1234");
    assert_eq!((&dimm["volatile_mib"], &dimm["cache_mib"]), (&Json::from(16384), &Json::Null));
    assert_eq!(dimm["pmic_id"], "8632 0x8211");
    assert_eq!(dimm["rcd_id"], "80B3");
    assert_eq!(dimm["controller_maker_id"], Json::Null);
    let dimm = evidence(&table);
    let dimm = dimm.scope("dimm").next().unwrap();
    assert_eq!(dimm.text("dimm.smbios.pmic_id"), Some("8632 0x8211"));
    // Every length of the structure: what it does not have is not made up.
    for length in 4..0x64u8 {
        let mut short = device[..usize::from(length)].to_vec();
        short[1] = length;
        let table = [&short[..], b"A1\0\0", &[127, 4, 0, 2, 0, 0]].concat();
        if let Ok(inventory) = smbios::parse_file(&table) {
            let module = &inventory.memory_devices[0];
            assert!(length >= 0x62 || module.rcd_id == Reading::Unsupported, "{length}");
        }
    }
}

#[test]
fn tables_that_lie() {
    let machine = RecordedMachine::server();
    let place = Place::new();
    let whole = dump(&machine);
    for (name, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("length", [&whole[..0x20], &[1, 0xff, 0, 0, 0, 0]].concat()),
        ("string", [&[1u8, 8, 0, 0, 9, 9, 9, 9], &b"a\0\0"[..], &[127, 4, 0, 2, 0, 0]].concat()),
        ("many", [[17u8, 0x15, 0, 0].as_slice(), &[0x40; 17], &[0, 0]].concat().repeat(10_000)),
        ("endless", [&[1u8, 8, 0, 0, 1, 1, 1, 1][..], &vec![b'x'; 4 << 20]].concat()),
    ] {
        fs::write(place.path(name), &bytes).unwrap();
        let ran = place.run(["decode", "smbios", name, "--format", "json"]);
        println!("{name}: {}", ran.stdout.len());
        if let Ok(imported) = import::import(&bytes) {
            assert_declared(&imported.into_evidence());
        }
    }
    let cut = place.run(["decode", "smbios", "cut", "--format", "json"]).exits(0).json();
    assert_ne!(cut["damage"], Json::Null);
    let many = place.run(["decode", "smbios", "many", "--format", "json"]).exits(0).json();
    assert_eq!(many["memory_devices"], 10_000);
    place.run(["decode", "smbios", "endless"]).exits(2);
    fs::File::create(place.path("large")).unwrap().set_len(100_000_000).unwrap();
    let ran = place.run(["decode", "smbios", "large"]).exits(2);
    assert!(ran.stderr.contains("larger than 16 MiB"), "{}", ran.stderr);
    fs::write(place.path("other"), "nothing of the kind").unwrap();
    let ran = place.run(["decode", "smbios", "other"]).exits(2);
    assert!(ran.stderr.contains("dmidecode --dump-bin"), "{}", ran.stderr);
}

#[test]
fn cpu_corpus_as_printouts() {
    let Some(folder) = corpus("cpu") else { return };
    let (mut texts, mut dumps) = (0, 0);
    for row in manifest(&folder) {
        let file = &row["file"];
        let content = fs::read(folder.join(file)).unwrap();
        let Ok(imported) = import::import(&content) else {
            // Itanium names its processors otherwise.
            assert!(file.contains("ia64"), "{file}");
            continue;
        };
        let evidence = imported.into_evidence();
        assert_declared(&evidence);
        let is_text = evidence.scope("cpu").any(|part| part.reading("cpu.procfs.brand").is_some());
        let source = if is_text { "procfs" } else { "cpuid" };
        if is_text {
            texts += 1
        } else {
            dumps += 1
        }
        let cpu = evidence.scope("cpu").next().unwrap_or_else(|| panic!("{file}: no processor"));
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in ["vendor", "brand"] {
            let found = cpu.text(&format!("cpu.{source}.{name}")).unwrap_or_default();
            if !row[name].is_empty() && !row[name].contains("ARM") {
                assert_eq!(squeeze(found), squeeze(&row[name]), "{file}");
            }
        }
        for name in ["family", "model", "stepping"] {
            let found = cpu.integer(&format!("cpu.{source}.{name}"));
            // The manifest's decoder leaves the extended model of family 7 out.
            if let (Ok(expected), false) =
                (row[name].parse::<i64>(), row["vendor"] == "CentaurHauls" && name == "model")
            {
                assert_eq!(found, Some(expected), "{file} {name}");
            }
        }
        if !row["microcode"].is_empty() {
            assert_eq!(cpu.text("cpu.procfs.microcode"), Some(row["microcode"].as_str()), "{file}");
        }
        if let (Ok(sockets), true) = (row["sockets"].parse::<usize>(), is_text) {
            assert_eq!(evidence.scope("cpu").count(), sockets, "{file}");
        }
    }
    println!("{texts} of /proc/cpuinfo, {dumps} CPUID dumps");
    assert!(texts > 20 && dumps > 30);
}

#[test]
fn lshw_tells_of_the_same_parts() {
    let json = r#"WARNING: you should run this program as super-user.
{"id":"srv","class":"system","claimed":true,"handle":"DMI:0001","description":"Rack Mount Chassis","product":"PowerEdge R640",
 "vendor":"Dell Inc.","serial":"ABC1234","configuration":{"chassis":"rackmount","uuid":"4C4C4544-0042-3510-8050-CAC04F4D3532"},
 "children":[{"id":"core","class":"bus","claimed":true,"handle":"DMI:0200","product":"0H28RR","vendor":"Dell Inc.","serial":".ABC1234.",
  "children":[
   {"id":"firmware","class":"memory","claimed":true,"vendor":"Dell Inc.","version":"2.8.2","date":"08/27/2020"},
   {"id":"cpu:0","class":"processor","claimed":true,"handle":"DMI:0400","product":"Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz",
    "vendor":"Intel Corp.","businfo":"cpu@0","version":"6.85.7","slot":"CPU1","capacity":4000000000,
    "configuration":{"cores":"10","enabledcores":"10","microcode":"83898371","threads":"20"}},
   {"id":"memory","class":"memory","claimed":true,"handle":"DMI:1000","description":"System Memory","units":"bytes","size":8589934592,
    "children":[
     {"id":"bank:0","class":"memory","claimed":true,"handle":"DMI:1100","description":"DIMM DDR4 Synchronous Registered (Buffered) 3200 MHz (0.3 ns)",
      "product":"9ASF1G72PZ-3G2E2","vendor":"002C0632002C","physid":"0","serial":"2A9B8C7D","slot":"A1","units":"bytes","size":8589934592,"width":64,"clock":3200000000},
     {"id":"bank:1","class":"memory","claimed":true,"handle":"DMI:1101","description":"[empty]","slot":"A2","serial":"[REMOVED]"}]},
   {"id":"nvme","class":"storage","claimed":true,"product":"SAMSUNG MZ1LB960HAJQ-00007","serial":"S435NA0M", "version":"EDA7602Q",
    "children":[{"id":"namespace:2","class":"disk","claimed":true,"logicalname":"/dev/nvme0n1","size":960197124096}]},
   {"id":"disk","class":"disk","claimed":true,"product":"ST16000NM001G-2K","logicalname":["/dev/sda"],"version":"SN02","serial":"[REMOVED]","size":16000900661248}
  ]}]}"#;
    let evidence = evidence(json.as_bytes());
    assert_declared(&evidence);
    let dimm = [
        "dimm.smbios.locator",
        "dimm.smbios.type",
        "dimm.smbios.manufacturer",
        "dimm.smbios.part_number",
        "dimm.smbios.serial",
    ];
    assert_eq!(texts(&evidence, "dimm", &dimm), [["A1", "DDR4", "002C0632002C", "9ASF1G72PZ-3G2E2", "2A9B8C7D"]]);
    let module = evidence.part("dimm:A1").unwrap();
    assert_eq!(
        (module.integer("dimm.smbios.size_bytes"), module.integer("dimm.smbios.speed_mts")),
        (Some(8 << 30), Some(3200))
    );
    assert_eq!(module.facts.values().next().unwrap().source, "lshw type 17 handle 0x1100");
    let cpu = ["cpu.procfs.brand", "cpu.procfs.signature", "cpu.procfs.microcode", "cpu.smbios.socket"];
    assert_eq!(
        texts(&evidence, "cpu", &cpu),
        [["Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz", "6-85-7", "0x5003003", "CPU1"]]
    );
    let drive = ["drive.model", "drive.serial", "drive.firmware"];
    let drives = texts(&evidence, "drive", &drive);
    assert_eq!(drives, [["SAMSUNG MZ1LB960HAJQ-00007", "S435NA0M", "EDA7602Q"], ["ST16000NM001G-2K", "-", "SN02"]]);
    assert_eq!(evidence.part("drive:sda").unwrap().reading("drive.serial"), Some(&Reading::Unsupported));
    assert_eq!(evidence.part("platform").unwrap().text("platform.smbios.system_product"), Some("PowerEdge R640"));

    // The same machine by dmidecode, where the bank is a part of the name: one module, not two with one serial number.
    let text = "Handle 0x1100, DMI type 17, 84 bytes\nMemory Device\n\tSize: 8 GB\n\tLocator: A1\n\tBank Locator: B1\n\tSerial Number: 2A9B8C7D\n\n\
                Handle 0x1109, DMI type 17, 84 bytes\nMemory Device\n\tSize: 8 GB\n\tLocator: A1\n\tBank Locator: B2\n\tSerial Number: 2A9B8C7E\n";
    let mut both = import::import(text.as_bytes()).unwrap();
    both.merge(import::import(json.as_bytes()).unwrap());
    let both = both.into_evidence();
    assert_eq!(texts(&both, "dimm", &["dimm.smbios.serial"]), [["2A9B8C7D"], ["2A9B8C7E"]]);
}

#[test]
fn decode_dimms_of_real_images() {
    let Some(folder) = corpus("spd") else { return };
    let place = Place::new();
    let rows: Vec<_> = manifest(&folder)
        .into_iter()
        .filter(|row| {
            row["decoder"] == "decode-dimms 4.3" && matches!(row["dram_type"].as_str(), "DDR3 SDRAM" | "DDR4 SDRAM")
        })
        .collect();
    let mut compared = 0;
    for row in &rows {
        let image = fs::read(folder.join(&row["file"])).unwrap();
        let lines = image.chunks(16).take(32).enumerate().map(|(index, bytes)| {
            let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{:08x}: {}\n", index * 16, bytes.join(" "))
        });
        fs::write(place.path("0-0050"), lines.collect::<String>()).unwrap();
        let Ok(ran) = Command::new("decode-dimms").arg("-x").arg(place.path("0-0050")).output() else {
            println!("skipped: no decode-dimms");
            return;
        };
        let evidence = evidence(&ran.stdout);
        assert_declared(&evidence);
        let file = &row["file"];
        let dimm = evidence.part("dimm:0").unwrap_or_else(|| panic!("{file}"));
        let text = |path: &str| dimm.text(path).unwrap_or_default().to_owned();
        let number = |path: &str| dimm.integer(path).map(|it| it.to_string()).unwrap_or_default();
        let digits = |cell: &str| cell.split(' ').next().unwrap_or_default().to_owned();
        assert_eq!(text("dimm.spd.dram_type") + " SDRAM", row["dram_type"], "{file}");
        assert_eq!(number("dimm.spd.capacity_mib"), row["capacity_mib"], "{file}");
        assert_eq!(number("dimm.spd.ranks"), row["ranks"], "{file}");
        assert_eq!(number("dimm.spd.device_width_bits"), digits(&row["device_width"]), "{file}");
        assert_eq!(number("dimm.spd.speed_mts"), digits(&row["speed_mts"]), "{file}");
        let printed = |name: &str| row[name].trim().replace("Undefined", "");
        assert_eq!(text("dimm.spd.part_number"), printed("part_number"), "{file}");
        assert_eq!(text("dimm.spd.module_maker"), printed("module_maker"), "{file}");
        assert_eq!(text("dimm.spd.dram_maker"), printed("dram_maker"), "{file}");
        assert_eq!(text("dimm.spd.date"), row["date"], "{file}");
        let serial = row["serial"].trim_start_matches("0x");
        assert_eq!(text("dimm.spd.serial"), serial, "{file}");
        compared += 1;
    }
    println!("{compared} images through decode-dimms");
    assert!(compared > 50);
}

#[test]
fn screening_reads_well() {
    let place = Place::new();
    fs::write(place.path("dmi.bin"), dump(&RecordedMachine::server())).unwrap();
    let ran = place.run(["screen", "dmi.bin"]);
    assert!(ran.stdout.starts_with("dmi.bin (smbios)"), "{}", ran.stdout);
    for heading in ["\nSystem\n", "\nProcessors\n", "\nMemory modules\n"] {
        assert!(ran.stdout.contains(heading), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("\nGPUs\n"), "a table of the firmware shows no GPUs: {}", ran.stdout);
    let json = place.run(["screen", "dmi.bin", "--format", "json"]).json();
    let machine = RecordedMachine::server();
    assert_eq!(json["dimms"].as_array().unwrap().len(), machine.dimms.len());
    assert_eq!(json["dimms"][0]["serial"], *machine.dimms[0].serial);
    assert_eq!(json["cpus"].as_array().unwrap().len(), machine.cpus.len());
    assert_eq!(json["drives"].as_array().unwrap().len(), 0);
}
