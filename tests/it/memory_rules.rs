//! Rules about memory modules over whole machines: SPD, SMBIOS and management controller as facts set by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;
use yanji::evidence::{Evidence, EvidenceBuilder, Origin, Part, Reading, Value};
use yanji::inspection::{self, Inspection};
use yanji::policy::Verdict;
use yanji::rule::{Finding, Outcome, Severity, Signatures};

const ABSENT: Reading = Reading::Absent;

/// A module as its facts; a test says only what it varies.
#[derive(Clone)]
struct Module {
    id: String,
    facts: BTreeMap<String, Reading>,
}

impl Module {
    fn new(slot: usize) -> Self {
        Self { id: format!("dimm:P1-DIMM{}1", (b'A' + slot as u8) as char), facts: BTreeMap::new() }
    }

    fn with(mut self, facts: &[(&str, &str)]) -> Self {
        self.facts.extend(facts.iter().map(|(path, text)| ((*path).to_owned(), Reading::from(*text))));
        self
    }

    fn number(mut self, path: &str, number: i64) -> Self {
        self.facts.insert(path.to_owned(), Reading::from(number));
        self
    }

    fn set(mut self, path: &str, reading: impl Into<Reading>) -> Self {
        self.facts.insert(path.to_owned(), reading.into());
        self
    }

    /// What a board of Supermicro says of a Samsung module of 64 GiB.
    fn smbios(slot: usize) -> Self {
        Self::new(slot)
            .with(&[
                ("dimm.smbios.locator", "P1-DIMMA1"),
                ("dimm.smbios.type", "DDR4"),
                ("dimm.smbios.manufacturer", "Samsung"),
                ("dimm.smbios.part_number", "M393A8G40CB4-CWE    "),
                ("dimm.smbios.serial", &serial(slot)),
                ("dimm.smbios.asset_tag", "P1-DIMMA1_AssetTag (date:23/07)"),
            ])
            .number("dimm.smbios.size_bytes", 64 << 30)
            .number("dimm.smbios.speed_mts", 3200)
            .number("dimm.smbios.ranks", 2)
    }

    /// The same module with its SPD.
    fn samsung(slot: usize) -> Self {
        Self::smbios(slot).with_spd(slot)
    }

    fn with_spd(self, slot: usize) -> Self {
        let serial = serial(slot);
        self.with(&[
            ("dimm.spd.dram_type", "DDR4"),
            ("dimm.spd.module_type", "RDIMM"),
            ("dimm.spd.module_maker", "Samsung"),
            ("dimm.spd.module_maker_id", "80CE"),
            ("dimm.spd.dram_maker", "Samsung"),
            ("dimm.spd.dram_maker_id", "80CE"),
            ("dimm.spd.part_number", "M393A8G40CB4-CWE"),
            ("dimm.spd.serial", &serial),
            ("dimm.spd.module_id", &format!("80CE042307{serial}")),
            ("dimm.spd.date", "2023-W07"),
            ("dimm.spd.date_bytes", "2307"),
            ("dimm.spd.location", "0x04"),
            ("dimm.spd.lot", "K12W000"),
            ("dimm.spd.lot_maker", "Samsung"),
            ("dimm.spd.long_serial", &format!("K12W000307{serial}")),
        ])
        .number("dimm.spd.capacity_mib", 65_536)
        .number("dimm.spd.ranks", 2)
        .number("dimm.spd.die_density_mbit", 16_384)
        .number("dimm.spd.device_width_bits", 4)
        .number("dimm.spd.bus_width_bits", 64)
        .number("dimm.spd.ecc_bits", 8)
        .number("dimm.spd.speed_mts", 3200)
        .number("dimm.spd.tfaw_ps", 10_000)
        .number("dimm.spd.trrd_s_ps", 2_500)
        .number("dimm.spd.trrd_l_ps", 4_900)
        .set("dimm.spd.page_alias", false)
        .set("dimm.spd.stable", true)
        .set("dimm.spd.addressing_fits", true)
        .set("dimm.spd.crc_bad", Vec::<String>::new())
        .set("dimm.spd.parity_bad", Vec::<String>::new())
        .set("dimm.spd.unknown_makers", Vec::<String>::new())
        .set("dimm.spd.profiles", Vec::<String>::new())
        .set("dimm.spd.oem_mark", ABSENT)
        .set("dimm.spd.error_log_entries", ABSENT)
    }

    /// Another serial number, wherever one module tells its own.
    fn serial_number(self, serial: &str) -> Self {
        let id = format!("80CE042307{serial}");
        self.with(&[
            ("dimm.smbios.serial", serial),
            ("dimm.spd.serial", serial),
            ("dimm.spd.module_id", &id),
            ("dimm.spd.long_serial", &format!("K12W000307{serial}")),
        ])
    }

    /// The proven fake of the public collections: SK hynix modules of 4 Gbit and 2133 MT/s, reflashed to 3200.
    fn hot_grizzly(slot: usize) -> Self {
        Self::samsung(slot)
            .with(&[
                ("dimm.smbios.manufacturer", "Unknown"),
                ("dimm.smbios.part_number", "HOT GRIZZLY"),
                ("dimm.smbios.serial", "7406B741"),
                ("dimm.smbios.asset_tag", "P1-DIMMA1_AssetTag (date:25/37)"),
                ("dimm.spd.module_maker_id", "14F7"),
                ("dimm.spd.dram_maker_id", "14F7"),
                ("dimm.spd.part_number", "HOT GRIZZLY"),
                ("dimm.spd.serial", "7406B741"),
                ("dimm.spd.module_id", "14F70F25377406B741"),
                ("dimm.spd.date", "2025-W37"),
                ("dimm.spd.date_bytes", "2537"),
                ("dimm.spd.location", "0x0F"),
                ("dimm.spd.lot", "DPAJ6TP001"),
                ("dimm.spd.lot_maker", "Micron"),
            ])
            .set("dimm.spd.module_maker", ABSENT)
            .set("dimm.spd.dram_maker", ABSENT)
            .set("dimm.spd.long_serial", ABSENT)
            .set("dimm.spd.parity_bad", vec!["module maker 14F7".to_owned(), "DRAM maker 14F7".to_owned()])
            .set("dimm.spd.unknown_makers", vec!["module maker 14F7".to_owned(), "DRAM maker 14F7".to_owned()])
            .number("dimm.smbios.size_bytes", 16 << 30)
            .number("dimm.spd.capacity_mib", 16_384)
            .number("dimm.spd.die_density_mbit", 4_096)
            .number("dimm.spd.tfaw_ps", 21_000)
            .number("dimm.spd.trrd_s_ps", 3_000)
    }
}

/// Serials of one lot, at unequal distances.
fn serial(slot: usize) -> String {
    format!("{:08X}", 0x4448_ecfbu32 + (slot * slot * 37 + slot * 14) as u32)
}

fn evidence(modules: &[Module]) -> Evidence {
    let mut builder = EvidenceBuilder::new(Origin::Live);
    builder.part("platform", "platform").fact("platform.smbios.system_manufacturer", "Supermicro", "smbios type 1");
    builder.part("memory", "memory").fact("memory.smbios.populated", modules.len(), "smbios type 17").fact(
        "memory.smbios.installed_bytes",
        (modules.len() as i64) << 36,
        "smbios type 17",
    );
    for module in modules {
        let mut part = builder.part("dimm", &module.id);
        for (path, reading) in &module.facts {
            let source = if path.starts_with("dimm.spd.") { "eeprom" } else { "smbios type 17" };
            part.fact(path, reading.clone(), source);
        }
    }
    builder.finish()
}

fn assess(modules: &[Module]) -> Inspection {
    static SIGNATURES: LazyLock<Signatures> = LazyLock::new(|| {
        let mut signatures = Signatures::embedded().unwrap();
        signatures.policy.required.retain(|rule| rule.starts_with("dimm."));
        signatures
    });
    inspection::assess(evidence(modules), &SIGNATURES)
}

fn four() -> Vec<Module> {
    (0..4).map(Module::samsung).collect()
}

fn findings(inspection: &Inspection) -> Vec<(&str, &str, &Finding)> {
    let of_memory = |check: &&yanji::rule::Check| check.id.starts_with("dimm.") || check.id.starts_with("memory.");
    let checks = inspection.checks.iter().filter(of_memory);
    checks
        .filter_map(|check| match &check.outcome {
            Outcome::Fires(finding) => Some((check.id.as_str(), check.part.as_str(), finding)),
            _ => None,
        })
        .collect()
}

fn firing(inspection: &Inspection) -> BTreeSet<&str> {
    findings(inspection).into_iter().map(|(id, ..)| id).collect()
}

#[track_caller]
fn expect(inspection: &Inspection, rules: &[&str]) {
    assert_eq!(firing(inspection), rules.iter().copied().collect::<BTreeSet<_>>(), "{:#?}", findings(inspection));
}

#[track_caller]
fn list(inspection: &Inspection, part: usize, path: &str) -> Vec<String> {
    match dimm(inspection, part).reading(path) {
        Some(Reading::Known(Value::List(items))) => items.iter().map(Value::to_string).collect(),
        other => panic!("{path}: {other:?}"),
    }
}

fn dimm(inspection: &Inspection, part: usize) -> &Part {
    inspection.evidence.scope("dimm").nth(part).unwrap()
}

#[test]
fn genuine_modules_are_clear_with_and_without_a_readable_spd() {
    let inspection = assess(&four());
    expect(&inspection, &[]);
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:#?}", inspection.judgement);
    for rule in ["dimm.part-geometry", "dimm.timing", "dimm.spd-smbios-differ", "dimm.id-duplicate", "memory.spd-sum"] {
        let checks = inspection.checks.iter().filter(|check| check.id == rule);
        assert!(checks.clone().count() > 0);
        assert!(checks.clone().all(|check| check.outcome == Outcome::Clear), "{:#?}", checks.collect::<Vec<_>>());
    }
    assert_eq!(dimm(&inspection, 0).text("dimm.maker"), Some("Samsung"));
    assert_eq!(dimm(&inspection, 0).text("dimm.part.die"), Some("C"));
    assert_eq!(dimm(&inspection, 0).integer("dimm.part.ranks"), Some(2));

    // Most servers hide the SPD: what could not be looked at is open, and it makes no verdict worse.
    let hidden: Vec<Module> = (0..4).map(Module::smbios).collect();
    let inspection = assess(&hidden);
    expect(&inspection, &[]);
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:#?}", inspection.judgement);
    for rule in ["dimm.page-alias", "dimm.part-geometry", "dimm.timing", "dimm.spd-crc", "dimm.foreign-dram"] {
        let mut checks = inspection.checks.iter().filter(|check| check.id == rule);
        assert!(checks.all(|check| matches!(check.outcome, Outcome::Inconclusive { .. })), "{rule}");
    }
    // An SPD that belongs to no slot that SMBIOS knows has all it needs for the rules that must not stay open.
    let lone = Module { id: "dimm:spd-0-0050".to_owned(), ..Module::new(0).with_spd(9) };
    let inspection = assess(&[hidden, vec![lone]].concat());
    expect(&inspection, &[]);
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:#?}", inspection.judgement);
}

#[test]
fn two_clones_of_one_module_name_each_other() {
    let mut modules = four();
    modules[3] = modules[3].clone().serial_number(&serial(1));
    let inspection = assess(&modules);
    expect(&inspection, &["dimm.id-duplicate", "dimm.serial-duplicate"]);
    assert_eq!(list(&inspection, 1, "dimm.same_module_as"), ["dimm:P1-DIMMD1"]);
    assert_eq!(list(&inspection, 3, "dimm.same_module_as"), ["dimm:P1-DIMMB1"]);
    assert!(list(&inspection, 0, "dimm.same_module_as").is_empty());
    assert_eq!(inspection.judgement.verdict, Verdict::Rejected);

    // Without the SPD it is a serial that repeats: a person has to look, nobody is accused.
    let mut modules: Vec<Module> = (0..4).map(Module::smbios).collect();
    modules[3] = modules[3].clone().with(&[("dimm.smbios.serial", &serial(1))]);
    let inspection = assess(&modules);
    expect(&inspection, &["dimm.serial-duplicate"]);
    assert_eq!(inspection.judgement.verdict, Verdict::Undecided);
    // One number on modules of two makers is chance.
    modules[3] = modules[3].clone().with(&[("dimm.smbios.manufacturer", "Micron Technology")]);
    assert!(!firing(&assess(&modules)).contains("dimm.serial-duplicate"));
    // The controller's list tells it as well.
    let told = |slot, serial: &str| Module::smbios(slot).with(&[("dimm.bmc.serial", serial)]);
    let inspection = assess(&[told(0, &serial(0)), told(1, &serial(0))]);
    assert!(firing(&inspection).contains("dimm.serial-duplicate"));
}

#[test]
fn hot_grizzly_is_rejected_by_what_its_maker_could_not_hide() {
    let mut modules = four();
    modules[2] = Module::hot_grizzly(2);
    let inspection = assess(&modules);
    let rules = ["dimm.density-speed", "dimm.jep106-parity", "dimm.jep106-unknown", "dimm.kit-mixed", "dimm.timing"];
    expect(&inspection, &[&rules[..], &["memory.spd-sum"]].concat());
    assert_eq!(inspection.judgement.verdict, Verdict::Rejected);
    assert!(inspection.judgement.reasons[0].contains("together on dimm:P1-DIMMC1"), "{:?}", inspection.judgement);
    assert_eq!(list(&inspection, 2, "dimm.timing_off").len(), 2);
    // With the number of the module that it was, the description does not fit the number either.
    modules[2] = modules[2].clone().with(&[("dimm.spd.part_number", "HMA42GR7MFR4N-TF")]);
    let inspection = assess(&modules);
    assert!(firing(&inspection).is_superset(&BTreeSet::from(["dimm.part-geometry", "dimm.part-maker"])));
    assert_eq!(list(&inspection, 2, "dimm.part_differs_from_spd"), ["speed_mts 3200, part number 2133"]);
    assert_eq!(list(&inspection, 2, "dimm.maker_of_part_differs"), ["part number of SK hynix, maker JEP106 id 14F7"]);
}

#[test]
fn a_serial_that_somebody_typed_in_is_no_serial() {
    for typed in ["AABBCCDD", "00000000", "FFFFFFFF", "12345678", "11111111"] {
        let mut modules = four();
        modules[1] = modules[1].clone().serial_number(typed);
        expect(&assess(&modules), &["dimm.serial-blank"]);
        let mut hidden: Vec<Module> = (0..4).map(Module::smbios).collect();
        hidden[1] = hidden[1].clone().with(&[("dimm.smbios.serial", typed)]);
        expect(&assess(&hidden), &["dimm.serial-blank"]);
    }
    // Blank serials are no clones of each other.
    let blank: Vec<Module> = (0..4).map(|slot| Module::samsung(slot).serial_number("00000000")).collect();
    expect(&assess(&blank), &["dimm.serial-blank"]);
    // The hand-edited module of the public collections also kept odd timings.
    let edited = Module::samsung(0)
        .serial_number("AABBCCDD")
        .number("dimm.spd.speed_mts", 3200)
        .number("dimm.spd.tfaw_ps", 30_000)
        .number("dimm.spd.trrd_s_ps", 5_299);
    expect(&assess(&[edited]), &["dimm.serial-blank", "dimm.timing"]);
    // A module whose SPD has a serial has one, whatever firmware passes on.
    let filler = Module::samsung(0).with(&[("dimm.smbios.serial", "Not Specified")]);
    expect(&assess(&[filler, Module::samsung(1)]), &[]);
}

#[test]
fn firmware_that_passes_no_serial_on_leaves_the_rule_open() {
    for filler in ["Not Specified", "--", "SerNum0", "4242", "XXXXXXXX"] {
        let modules: Vec<Module> =
            (0..4).map(|slot| Module::smbios(slot).with(&[("dimm.smbios.serial", filler)])).collect();
        let inspection = assess(&modules);
        expect(&inspection, &[]);
        // What could not be looked at is not fine.
        assert_eq!(inspection.judgement.verdict, Verdict::Undecided, "{filler}");
    }
    // It passes those of the others on: then one that is missing stands out.
    let mut modules: Vec<Module> = (0..4).map(Module::smbios).collect();
    modules[2] = modules[2].clone().with(&[("dimm.smbios.serial", "Not Specified")]);
    expect(&assess(&modules), &["dimm.serial-blank"]);
    modules[2] = modules[2].clone().set("dimm.smbios.serial", ABSENT);
    expect(&assess(&modules), &["dimm.serial-blank"]);
}

#[test]
fn the_date_that_a_server_maker_prints_as_serial_is_found_and_rejects_nothing() {
    let modules: Vec<Module> = (0..4)
        .map(|slot| {
            Module::smbios(slot)
                .with(&[
                    ("dimm.smbios.type", "DDR3"),
                    ("dimm.smbios.manufacturer", "0000"),
                    ("dimm.smbios.part_number", "D3ES12082XH12AA"),
                    ("dimm.smbios.serial", "160412A2"),
                    ("dimm.smbios.asset_tag", "9876543210"),
                ])
                .number("dimm.smbios.size_bytes", 8 << 30)
        })
        .collect();
    let inspection = assess(&modules);
    expect(&inspection, &["dimm.serial-duplicate"]);
    assert_eq!(list(&inspection, 0, "dimm.serial_same_as").len(), 3);
    assert_eq!(inspection.judgement.verdict, Verdict::Undecided);
    // Where the SPDs can be read and differ, firmware made the serials up.
    let modules: Vec<Module> =
        (0..4).map(|slot| Module::samsung(slot).with(&[("dimm.smbios.serial", "160412A2")])).collect();
    assert!(!firing(&assess(&modules)).contains("dimm.serial-duplicate"));
}

#[test]
fn a_page_that_repeats_another_voids_everything_but_itself() {
    // What the trap looks like: all that is read of the upper half is wrong.
    let trapped = |slot, path: &str, value: bool| {
        Module::hot_grizzly(slot)
            .with(&[
                ("dimm.spd.module_maker_id", "3010"),
                ("dimm.spd.serial", "00206200"),
                ("dimm.spd.module_id", "301000000000206200"),
            ])
            .set("dimm.spd.crc_bad", vec!["0-125".to_owned()])
            .set("dimm.spd.addressing_fits", false)
            .with(&[("dimm.smbios.part_number", "M393A8G40CB4-CWE"), ("dimm.smbios.serial", &serial(slot))])
            .with(&[("dimm.smbios.manufacturer", "Samsung")])
            .number("dimm.smbios.size_bytes", 64 << 30)
            .set(path, value)
    };
    for (path, value, rule) in
        [("dimm.spd.page_alias", true, "dimm.page-alias"), ("dimm.spd.stable", false, "dimm.unstable")]
    {
        let modules: Vec<Module> = (0..4).map(|slot| trapped(slot, path, value)).collect();
        let inspection = assess(&modules);
        expect(&inspection, &[rule]);
        for check in inspection.checks.iter().filter(|check| check.id.starts_with("dimm.") && check.id != rule) {
            let from_spd = !["smbios", "serial-", "kit-mixed", "alias", "unstable", "claim"]
                .iter()
                .any(|it| check.id.contains(it));
            if from_spd && check.id != "dimm.error-log" {
                assert!(matches!(check.outcome, Outcome::Inconclusive { .. }), "{check:?}");
            }
        }
        let differs = dimm(&inspection, 0).reading("dimm.part_differs_from_spd");
        assert!(matches!(differs, Some(Reading::Failed(_))), "{differs:?}");
        // SMBIOS is still read.
        assert_eq!(dimm(&inspection, 0).text("dimm.serial"), Some(serial(0).as_str()));
        assert_eq!(inspection.judgement.verdict, Verdict::Accepted);
    }
}

#[test]
fn habits_of_firmware_are_no_differences() {
    let serial = serial(0);
    let number = u32::from_str_radix(&serial, 16).unwrap();
    let habits: &[&[(&str, &str)]] = &[
        &[("dimm.smbios.manufacturer", "80CE80B380CE")],
        &[("dimm.smbios.manufacturer", "00CE00B300CE")],
        &[("dimm.smbios.manufacturer", "0x80CE000080CE")],
        &[("dimm.smbios.manufacturer", "CE00000000000000")],
        &[("dimm.smbios.manufacturer", "Samsung            ")],
        &[("dimm.smbios.manufacturer", "HP     "), ("dimm.smbios.part_number", "809083-091")],
        &[("dimm.smbios.manufacturer", "HPE"), ("dimm.smbios.part_number", "P03053-0A1")],
        &[("dimm.smbios.manufacturer", "Not Specified"), ("dimm.smbios.part_number", "NOT AVAILABLE")],
        &[("dimm.smbios.part_number", "M393A8G40CB4-CWEBY"), ("dimm.smbios.asset_tag", "02202261")],
        &[("dimm.smbios.part_number", "M393A8G40CB4-C")],
        &[("dimm.smbios.part_number", "UCS-MR-X64G2RW")],
        &[("dimm.smbios.serial", &serial.to_lowercase())],
        &[("dimm.smbios.serial", &format!("0x{serial}"))],
        &[("dimm.smbios.serial", &format!("{:08X}", number.swap_bytes()))],
        &[("dimm.smbios.serial", &number.to_string())],
        &[("dimm.smbios.serial", &format!("80CE042307{serial}"))],
        &[("dimm.smbios.serial", &format!("K12W000307{serial}"))],
        &[("dimm.smbios.serial", "SerNum0")],
        &[("dimm.smbios.serial", "S0ABX5")],
        &[("dimm.smbios.type", "OUT OF SPEC")],
    ];
    for habit in habits {
        let module = Module::samsung(0).with(habit);
        let inspection = assess(&[module, Module::samsung(1).with(habit).serial_number(&self::serial(1))]);
        expect(&inspection, &[]);
        assert!(list(&inspection, 0, "dimm.spd_smbios_differ").is_empty(), "{habit:?}");
    }
    // Micron leaves letters out, and firmware puts them back.
    let micron = |slot| {
        Module::samsung(slot).with(&[
            ("dimm.smbios.manufacturer", "002C00B3002C"),
            ("dimm.smbios.part_number", "MTA36ASF8G72PZ-3G2E1"),
            ("dimm.spd.part_number", "36ASF8G72PZ-3G2E1"),
            ("dimm.spd.module_maker_id", "802C"),
            ("dimm.spd.dram_maker_id", "802C"),
            ("dimm.spd.lot", "JAABHMX007"),
            ("dimm.spd.lot_maker", "Micron"),
        ])
    };
    expect(&assess(&[micron(0), micron(1)]), &[]);
}

#[test]
fn what_changed_between_module_and_firmware_is_named_with_both_values() {
    for (path, text, field) in [
        ("dimm.smbios.serial", "13371337", "serial: SPD 4448ECFB, SMBIOS 13371337"),
        ("dimm.smbios.serial", "80CE04230713371337", "serial: SPD 4448ECFB, SMBIOS 80CE04230713371337"),
        ("dimm.smbios.part_number", "M393A4K40DB3-CWE", "part: SPD M393A8G40CB4-CWE, SMBIOS M393A4K40DB3-CWE"),
        ("dimm.smbios.part_number", "HMAA8GR7CJR4N-XN", "part: SPD M393A8G40CB4-CWE, SMBIOS HMAA8GR7CJR4N-XN"),
        ("dimm.smbios.manufacturer", "Kingston", "maker: SPD Samsung, SMBIOS Kingston"),
        ("dimm.smbios.asset_tag", "DIMMA1_AssetTag (date:19/07)", "date: SPD 2307, SMBIOS 1907"),
    ] {
        let inspection = assess(&[Module::samsung(0).with(&[(path, text)])]);
        assert!(firing(&inspection).contains("dimm.spd-smbios-differ"), "{path} {text}");
        assert_eq!(list(&inspection, 0, "dimm.spd_smbios_differ"), [field]);
        assert_eq!(inspection.judgement.verdict, Verdict::Rejected);
        let finding = findings(&inspection).into_iter().find(|(id, ..)| *id == "dimm.spd-smbios-differ").unwrap().2;
        assert_eq!(finding.witnesses[0].source, "eeprom, smbios type 17");
    }
    let inspection = assess(&[Module::samsung(0).number("dimm.smbios.size_bytes", 32 << 30)]);
    assert_eq!(list(&inspection, 0, "dimm.spd_smbios_differ"), ["size_mib: SPD 65536, SMBIOS 32768"]);
    // Samsung's long serial shows an SPD serial that was changed since.
    let inspection = assess(&[Module::samsung(0).with(&[("dimm.smbios.serial", "K12W000307AAAA0001")])]);
    assert!(firing(&inspection).is_superset(&BTreeSet::from(["dimm.maker-trace", "dimm.spd-smbios-differ"])));
    // The controller alone is less sure.
    let inspection = assess(&[Module::samsung(0).with(&[("dimm.bmc.serial", "13371337")])]);
    expect(&inspection, &["dimm.bmc-differ"]);
    assert_eq!(inspection.judgement.verdict, Verdict::Undecided);
}

#[test]
fn a_module_that_contradicts_itself_is_rejected_by_one_rule_each() {
    let cases: [(Module, &str); 6] = [
        (Module::samsung(0).set("dimm.spd.addressing_fits", false), "dimm.density-bits"),
        (Module::samsung(0).with(&[("dimm.spd.dram_maker_id", "802C")]), "dimm.foreign-dram"),
        (Module::samsung(0).number("dimm.spd.device_width_bits", 8), "dimm.part-geometry"),
        (
            Module::samsung(0).number("dimm.spd.capacity_mib", 16_384).number("dimm.smbios.size_bytes", 16 << 30),
            "dimm.part-geometry",
        ),
        (
            Module::samsung(0).with(&[
                ("dimm.spd.module_maker_id", "0198"),
                ("dimm.spd.dram_maker_id", "80CE"),
                ("dimm.smbios.manufacturer", "Kingston"),
            ]),
            "dimm.part-maker",
        ),
        (Module::samsung(0).with(&[("dimm.spd.serial", "42B2BF08")]), "dimm.spd-smbios-differ"),
    ];
    for (module, rule) in cases {
        let inspection = assess(&[module]);
        assert!(firing(&inspection).contains(rule), "{rule}: {:?}", firing(&inspection));
        assert_eq!(inspection.judgement.verdict, Verdict::Rejected, "{rule}");
    }
    let suspects: [(Module, &str); 4] = [
        (Module::samsung(0).set("dimm.spd.crc_bad", vec!["128-253".to_owned()]), "dimm.spd-crc"),
        (Module::samsung(0).with(&[("dimm.spd.lot_maker", "Micron")]), "dimm.maker-trace"),
        (
            Module::samsung(0).with(&[("dimm.spd.oem_mark", "HPE"), ("dimm.spd.oem_part", "P03053-0A1")]),
            "dimm.oem-mark",
        ),
        (Module::samsung(0).number("dimm.spd.trrd_l_ps", 6_400), "dimm.timing"),
    ];
    for (module, rule) in suspects {
        let inspection = assess(&[module]);
        expect(&inspection, &[rule]);
        assert_eq!(inspection.judgement.verdict, Verdict::Undecided, "{rule}");
    }
    for (bytes, fires) in
        [("2307", false), ("231D", true), ("2300", true), ("0907", true), ("4112", true), ("0000", false)]
    {
        let inspection = assess(&[Module::samsung(0).with(&[("dimm.spd.date_bytes", bytes)])]);
        assert_eq!(firing(&inspection).contains("dimm.date"), fires, "{bytes}");
    }
}

#[test]
fn rules_keep_off_what_they_are_not_about() {
    // A player's module: tuned timings and a profile.
    let tuned = Module::samsung(0)
        .with(&[("dimm.spd.module_type", "UDIMM"), ("dimm.spd.part_number", "KF432C16BB/16")])
        .with(&[("dimm.spd.module_maker_id", "0198"), ("dimm.spd.dram_maker_id", "802C")])
        .with(&[("dimm.smbios.part_number", "KF432C16BB/16"), ("dimm.smbios.manufacturer", "Kingston")])
        .set("dimm.spd.profiles", vec!["XMP".to_owned()])
        .number("dimm.spd.ecc_bits", 0)
        .number("dimm.spd.trrd_s_ps", 2_000);
    expect(&assess(&[tuned]), &[]);
    // An HPE module in HPE's own server.
    let mut evidence = evidence(&[Module::samsung(0).with(&[("dimm.spd.oem_mark", "HPE")])]);
    for fact in evidence.parts[0].facts.values_mut() {
        fact.reading = Reading::from("Hewlett Packard Enterprise");
    }
    let inspection = inspection::assess(evidence, &Signatures::embedded().unwrap());
    assert!(!firing(&inspection).contains("dimm.oem-mark"));
    // A board that runs the module slower than it could.
    expect(&assess(&[Module::samsung(0).number("dimm.smbios.speed_mts", 2933)]), &[]);
    // A DRAM id that nobody programmed.
    expect(&assess(&[Module::samsung(0).with(&[("dimm.spd.dram_maker_id", "0000")])]), &[]);
}

#[test]
fn serials_that_were_counted_up_are_noticed_where_dates_say_otherwise() {
    let counted = |slot: usize, week: usize| {
        Module::samsung(slot)
            .serial_number(&format!("{:08X}", 0x4448_ed00 + slot))
            .with(&[("dimm.spd.date", &*format!("2023-W{week:02}"))])
            .with(&[("dimm.smbios.asset_tag", "none")])
    };
    let run: Vec<Module> = (0..4).map(|slot| counted(slot, 7 + slot * 3)).collect();
    let inspection = assess(&run);
    expect(&inspection, &["dimm.serial-run"]);
    assert_eq!(list(&inspection, 0, "dimm.serial_run").len(), 3);
    // One batch, and one that runs over a Sunday.
    let batch: Vec<Module> = (0..4).map(|slot| counted(slot, 7)).collect();
    expect(&assess(&batch), &[]);
    let batch: Vec<Module> = (0..4).map(|slot| counted(slot, 7 + slot / 2)).collect();
    expect(&assess(&batch), &[]);
    // Printed whole by firmware, without an SPD.
    let printed: Vec<Module> = (0..4)
        .map(|slot| {
            let id = format!("80CE0423{:02}{:08X}", 10 + slot * 5, 0x4448_ed00 + slot);
            Module::smbios(slot).with(&[("dimm.smbios.serial", &id)])
        })
        .collect();
    expect(&assess(&printed), &["dimm.serial-run"]);
}

#[test]
fn a_mixed_kit_is_worth_a_note_and_no_more() {
    // 47 modules of die F, one of die E.
    let micron = |slot: usize, number: &str| {
        let module = Module::smbios(slot).with(&[
            ("dimm.smbios.manufacturer", "Micron"),
            ("dimm.smbios.part_number", number),
            ("dimm.smbios.serial", &format!("{:08X}", 0x2f00_1000 + slot * slot)),
        ]);
        Module { id: format!("dimm:{slot}"), ..module }
    };
    let kit: Vec<Module> =
        (0..48).map(|slot| micron(slot, if slot == 17 { "36ASF8G72PZ-3G2E1" } else { "36ASF8G72PZ-3G2F1" })).collect();
    let inspection = assess(&kit);
    expect(&inspection, &["dimm.kit-mixed"]);
    assert_eq!(list(&inspection, 17, "dimm.differs_in"), ["part", "die"]);
    assert!(findings(&inspection).iter().all(|(_, _, finding)| finding.severity <= Severity::Low));
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted);
    // Two makers, and two sizes.
    let mut kit: Vec<Module> = (0..4).map(Module::smbios).collect();
    kit[3] = micron(3, "36ASF4G72PZ-3G2E1").number("dimm.smbios.size_bytes", 32 << 30);
    kit[3] = kit[3].clone().with(&[("dimm.smbios.part_number", "36ASF4G72PZ-3G2J3")]);
    let inspection = assess(&kit);
    assert!(findings(&inspection).iter().all(|(_, _, finding)| finding.severity <= Severity::Low));
    assert_eq!(list(&inspection, 3, "dimm.differs_in"), ["maker", "part", "size", "die"]);
}

/// A file or folder beside the checkout, or a word that it was not there.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no {}", path.display());
    None
}

/// Rows of a table with a line of names.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<String> = lines.next().unwrap().split('\t').map(str::to_owned).collect();
    lines.map(|line| names.iter().cloned().zip(line.split('\t').map(str::to_owned)).collect()).collect()
}

#[test]
fn observed_part_numbers_say_what_their_modules_are() {
    let Some(path) = shared("reference/dimm_pn_observed.tsv") else { return };
    let rows = rows(&path);
    let modules: Vec<Module> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            let module = Module::new(0)
                .with(&[("dimm.smbios.part_number", &row["part_number"])])
                .number("dimm.smbios.size_bytes", row["capacity_mib"].parse::<i64>().unwrap() << 20);
            Module { id: format!("dimm:{index}"), ..module }
        })
        .collect();
    let inspection = assess(&modules);
    let (mut matched, mut agree, mut ranks, mut speeds, mut widths) = (0, 0, 0, 0, 0);
    let mut differ = Vec::new();
    for (part, row) in inspection.evidence.scope("dimm").zip(&rows) {
        let number = |path: &str| part.integer(path).map(|number| number.to_string());
        matched += usize::from(part.text("dimm.part.maker").is_some());
        match number("dimm.part.capacity_mib") {
            Some(mib) if mib == row["capacity_mib"] => agree += 1,
            Some(_) => differ.push(row["part_number"].clone()),
            None => {}
        }
        ranks += usize::from(number("dimm.part.ranks").as_ref() == Some(&row["rank"]));
        widths += usize::from(number("dimm.part.device_width_bits").is_some());
        let usual: i64 = row["usual_speed_mts"].parse().unwrap();
        speeds += usize::from(part.integer("dimm.part.speed_mts").is_some_and(|mts| (mts - usual).abs() <= 8));
    }
    println!(
        "{} numbers: {matched} match a grammar, capacity agrees on {agree}, ranks on {ranks}, usual speed on {speeds}; \
         width told by {widths}; capacity differs on {differ:?}",
        rows.len()
    );
    assert_eq!((rows.len(), matched, agree), (252, 251, 249));
    assert_eq!(differ, ["HMA82GU7MFR8N-VKC", "M391A1G43BB1-CRCB1"]);
    assert!(ranks >= 247 && widths == 251 && speeds >= 240);
    let fires = inspection
        .checks
        .iter()
        .filter(|check| check.id == "dimm.part-geometry-smbios" && matches!(check.outcome, Outcome::Fires(_)));
    assert_eq!(fires.count(), 2);
}

/// The public SPD images by the facts that other decoders gave. `None` for what is no module of DDR4 or DDR5.
fn module_of_manifest(row: &BTreeMap<String, String>) -> Option<Module> {
    let kind = row["dram_type"].split(' ').next()?;
    if !matches!(kind, "DDR4" | "DDR5") || row["capacity_mib"].is_empty() {
        return None;
    }
    let number = |name: &str| row[name].trim_start_matches('X').split(' ').next()?.parse::<i64>().ok();
    let module_type = row["module_type"].replace("SODIMM", "SO-DIMM");
    let mut module = Module { id: format!("dimm:{}", row["file"]), ..Module::new(0) }.with(&[
        ("dimm.spd.dram_type", kind),
        ("dimm.spd.module_type", &module_type),
        ("dimm.spd.part_number", &row["part_number"]),
    ]);
    for (path, name) in [
        ("dimm.spd.capacity_mib", "capacity_mib"),
        ("dimm.spd.ranks", "ranks"),
        ("dimm.spd.device_width_bits", "device_width"),
        ("dimm.spd.speed_mts", "speed_mts"),
    ] {
        module = module.number(path, number(name)?);
    }
    for (path, name) in [
        ("dimm.spd.module_maker", "module_maker"),
        ("dimm.spd.dram_maker", "dram_maker"),
        ("dimm.spd.date", "date"),
        ("dimm.spd.location", "location"),
    ] {
        if !row[name].is_empty() && !row[name].starts_with("Undefined") && !row[name].starts_with("unknown") {
            module = module.with(&[(path, &row[name])]);
        }
    }
    if let Some(serial) = row["serial"].strip_prefix("0x") {
        module = module.with(&[("dimm.spd.serial", serial)]);
    }
    // The timings are not in the manifest.
    if kind == "DDR4" {
        let bytes = fs::read(shared("corpus/spd")?.join(&row["file"])).ok()?;
        let time = |medium: usize, fine: usize| i64::from(bytes[medium]) * 125 + i64::from(bytes[fine] as i8);
        module = module
            .number("dimm.spd.tfaw_ps", (i64::from(bytes[36] & 15) << 8 | i64::from(bytes[37])) * 125)
            .number("dimm.spd.trrd_s_ps", time(38, 119))
            .number("dimm.spd.trrd_l_ps", time(39, 118))
            .number("dimm.spd.ecc_bits", i64::from(bytes[13] >> 3 & 3) * 8)
            .number("dimm.spd.die_density_mbit", 256 << (bytes[4] & 7))
            .with(&[("dimm.spd.date_bytes", &hex::encode(&bytes[323..325]))]);
    }
    Some(module)
}

#[test]
fn no_genuine_spd_of_the_public_collections_is_accused() {
    let Some(manifest) = shared("corpus/spd/MANIFEST.tsv") else { return };
    let mut read = 0;
    let mut serious: Vec<String> = Vec::new();
    for module in rows(&manifest).iter().filter_map(module_of_manifest) {
        read += 1;
        let inspection = assess(std::slice::from_ref(&module));
        let found: BTreeSet<&str> = findings(&inspection)
            .into_iter()
            .filter(|(id, _, finding)| id.starts_with("dimm.") && finding.severity >= Severity::High)
            .map(|(id, ..)| id)
            .collect();
        if !found.is_empty() {
            serious.push(format!("{}: {found:?}", module.id));
        }
    }
    println!("{read} images, findings of severity high or above: {serious:#?}");
    assert!(read >= 40);
    let edited = |name: &str| {
        // The fake, the edited one, tables of soldered memory and samples without a serial.
        ["HOTGRIZZLY", "lv_DDR4_Hynix", "dimm:cb_", "dimm:ed_", "dimm:ld_"].iter().any(|known| name.contains(known))
    };
    assert!(
        serious.iter().any(|it| it.contains("HOTGRIZZLY") && it.contains("timing") && it.contains("density-speed"))
    );
    assert!(serious.iter().any(|it| it.contains("lv_DDR4_Hynix") && it.contains("serial-blank")));
    for found in &serious {
        assert!(edited(found), "{found}");
        if ["dimm:cb_", "dimm:ed_", "dimm:ld_"].iter().any(|known| found.contains(known)) {
            assert!(found.ends_with("{\"dimm.serial-blank\"}"), "{found}");
        }
    }
}

#[test]
fn the_tables_are_what_the_script_makes_of_the_reference_files() {
    let Some(reference) = shared("reference") else { return };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let script = here.join("packaging/tables/dimm_tables.py");
    let status = Command::new("python3").arg(script).arg(&reference).arg(out.path()).status().unwrap();
    assert!(status.success());
    let mut made = 0;
    for entry in fs::read_dir(out.path()).unwrap() {
        let entry = entry.unwrap();
        let kept = here.join("signatures/parts/dimm").join(entry.file_name());
        assert_eq!(fs::read(entry.path()).unwrap(), fs::read(&kept).unwrap(), "{}", kept.display());
        made += 1;
    }
    assert_eq!(made, 7);
}

#[test]
fn every_pattern_of_the_tables_compiles() {
    let signatures = Signatures::embedded().unwrap();
    let mut patterns = 0;
    for table in ["dimm/part-grammars", "dimm/part-shapes"] {
        for (name, record) in signatures.tables.records(table) {
            let pattern = record.text("pattern").unwrap();
            assert!(regex_lite::Regex::new(pattern).is_ok(), "{name}: {pattern}");
            patterns += 1;
        }
    }
    assert_eq!(patterns, 13);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_comparison_panic(
        texts in proptest::collection::vec("\\PC{0,24}|[0-9A-Fx]{0,20}|M393A8G4[0-9A-Zé]{0,12}|[A-Z]{0,3}é(\\(|/|-W|:|\\)){0,4}[0-9é]{0,4}", 16),
    ) {
        let paths = [
            "dimm.smbios.manufacturer", "dimm.smbios.part_number", "dimm.smbios.serial", "dimm.smbios.asset_tag",
            "dimm.smbios.module_maker_id", "dimm.spd.module_maker_id", "dimm.spd.dram_maker_id", "dimm.spd.part_number",
            "dimm.spd.serial", "dimm.spd.module_id", "dimm.spd.date", "dimm.spd.date_bytes", "dimm.spd.long_serial",
            "dimm.spd.oem_mark", "dimm.bmc.serial", "dimm.bmc.part_number",
        ];
        let module = |slot| paths.iter().zip(&texts).fold(Module::samsung(slot), |module, (path, text)| {
            module.with(&[(path, text.as_str())])
        });
        _ = assess(&[module(0), module(1), Module::samsung(2), module(3), module(4)]);
    }
}
