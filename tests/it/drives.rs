//! Drives: what is read of them here and in a seller's printouts, and what the rules make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value as Json, json};
use yanji::collect::collect;
use yanji::evidence::{Evidence, EvidenceBuilder, Origin, Part, Reading};
use yanji::host::{Capture, Host, Query, RecordedHost};
use yanji::import;
use yanji::inspection::{self, Inspection, fact_catalogue};
use yanji::report::Document;
use yanji::rule::{Outcome, Severity, Signatures};

use crate::collect::{corpus, manifest};
use crate::support::{Drive, RecordedMachine};

fn assess(evidence: Evidence) -> Inspection {
    inspection::assess(evidence, &Signatures::embedded().unwrap())
}

fn screen(bytes: &[u8]) -> Inspection {
    let imported = import::import(bytes).unwrap_or_else(|error| panic!("{error}")).into_evidence();
    let declared: BTreeMap<_, _> = fact_catalogue().map(|fact| (fact.path, fact.kind)).collect();
    for (path, fact) in imported.parts.iter().flat_map(|part| &part.facts) {
        let kind = declared.get(path.as_str()).unwrap_or_else(|| panic!("{path} is not declared"));
        assert!(fact.reading.known().is_none_or(|value| value.kind() == *kind), "{path} {:?}", fact.reading);
    }
    assess(imported)
}

/// Rules about drives and processors that fire, by part.
fn firing(inspection: &Inspection) -> BTreeSet<(&str, &str)> {
    let fires = inspection.checks.iter().filter(|check| matches!(check.outcome, Outcome::Fires(_)));
    let ours = |id: &str| id.starts_with("drive.") || id.starts_with("cpu.");
    fires.map(|check| (&*check.id, &*check.part)).filter(|(id, _)| ours(id)).collect()
}

fn outcome<'a>(inspection: &'a Inspection, rule: &str, part: &str) -> &'a Outcome {
    let found = inspection.checks.iter().find(|check| check.id == rule && check.part == part);
    &found.unwrap_or_else(|| panic!("no {rule} on {part}")).outcome
}

fn show(part: &Part, path: &str) -> String {
    match part.reading(path) {
        Some(Reading::Known(value)) => value.to_string(),
        Some(other) => other.state().to_owned(),
        None => "no fact".to_owned(),
    }
}

/// A Seagate of 16 TB as smartctl 7.4 shows it.
fn exos(hours: u64) -> Json {
    json!({
        "smartctl": {"version": [7, 4], "exit_status": 0},
        "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
        "model_name": "ST16000NM001G-2KK103", "serial_number": "ZL2A1B2C", "firmware_version": "SN03",
        "wwn": {"naa": 5, "oui": 0xc50, "id": 0xc1a2b3c4u64},
        "user_capacity": {"bytes": 16_000_900_661_248u64}, "logical_block_size": 512, "rotation_rate": 7200,
        "smart_status": {"passed": true}, "power_on_time": {"hours": hours}, "power_cycle_count": 11,
    })
}

/// The FARM log of the same drive.
fn farm(hours: u64, head_seconds: [u64; 4]) -> Json {
    let heads: serde_json::Map<String, Json> = head_seconds
        .iter()
        .enumerate()
        .map(|(head, seconds)| (format!("write_workload_power_on_time_by_head_{head}"), json!(seconds)))
        .collect();
    json!({
        "page_0_log_header": {"farm_log_version": [4, 26]},
        "page_1_drive_information": {
            "serial_number": "ZL2A1B2C", "world_wide_name": "0x5000c500c1a2b3c4", "poh": hours, "spoh": hours,
            "head_flight_hours": hours, "number_of_heads": 4, "power_cycle_count": 40, "assembly_date": "2101",
        },
        "page_5_reliability_statistics": heads,
    })
}

fn with(mut json: Json, name: &str, value: Json) -> Json {
    json[name] = value;
    json
}

fn rules_of(json: &Json) -> Vec<String> {
    let inspection = screen(json.to_string().as_bytes());
    firing(&inspection).into_iter().map(|(rule, _)| rule.to_owned()).collect()
}

#[test]
fn every_fact_of_the_corpus_is_read() {
    let Some(folder) = corpus("drives") else { return };
    let (mut files, mut compared, mut formats) = (0, 0, BTreeMap::<String, usize>::new());
    for row in manifest(&folder) {
        let file = &row["file"];
        let bytes = fs::read(folder.join(file)).unwrap();
        *formats
            .entry(import::import(&bytes).unwrap_or_else(|error| panic!("{file}: {error}")).format())
            .or_default() += 1;
        let inspection = screen(&bytes);
        let drive = inspection.evidence.scope("drive").next().unwrap_or_else(|| panic!("{file}: no drive"));
        files += 1;
        let wwn: String = row["wwn"].split_whitespace().collect();
        // The exporter writes 1234567890 into what it hides; other sources leave the field out.
        let (naa, oui) = (row["wwn"].split(' ').next().unwrap_or_default(), row["wwn"].split(' ').nth(1));
        let hidden_wwn = row["wwn"].ends_with("...") || row["wwn"].ends_with("0499602d2");
        let farm = row["what"].contains("-l farm");
        for (column, path) in [
            ("model", "drive.smart.model"),
            ("serial", if farm { "drive.farm.serial" } else { "drive.smart.serial" }),
            ("firmware", "drive.smart.firmware"),
            ("capacity_bytes", "drive.smart.capacity_bytes"),
            ("power_on_hours", if farm { "drive.farm.power_on_hours" } else { "drive.smart.power_on_hours" }),
            ("power_cycles", if farm { "drive.farm.power_cycles" } else { "drive.smart.power_cycles" }),
            ("percentage_used", "drive.smart.percentage_used"),
            ("data_units_written", "drive.smart.data_units_written"),
            ("lbas_written", "drive.smart.attribute_241_raw"),
            ("head_flying_raw", if farm { "drive.farm.head_flight_raw" } else { "drive.smart.head_flying_raw" }),
            ("reallocated", "drive.smart.reallocated"),
            ("passed", "drive.smart.passed"),
        ] {
            let wanted = match (column, &*row[column]) {
                (_, "") => continue,
                ("passed", word) => (word == "True" || word == "PASSED").to_string(),
                (_, text) => text.to_owned(),
            };
            let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(squeeze(&show(drive, path)), squeeze(&wanted), "{file}: {column} is {path}");
            compared += 1;
        }
        if !wwn.is_empty() {
            assert_eq!(Some(&*show(drive, "drive.smart.wwn_oui")), oui, "{file}");
            let wanted = if hidden_wwn { "failed".to_owned() } else { format!("naa.{wwn}") };
            assert_eq!(show(drive, "drive.smart.wwn"), wanted, "{file} {naa}");
            compared += 1;
        }
        // What was blacked out is not known, and no accusation.
        if ["REDACTED", "--"].contains(&&*row["serial"]) {
            assert_eq!(show(drive, "drive.serial"), "failed", "{file}");
        }
    }
    println!("{files} files, {compared} facts compared, {formats:?}");
    assert!(files > 140 && compared > 1000);
}

#[test]
fn genuine_drives_of_the_corpus_are_not_accused() {
    // Drives that say themselves that they are failing, and those that a refurbisher named.
    const TRUE_FINDINGS: [(&str, &str); 4] = [
        ("lhs_OOS12000G_0A1B6A3EE916_excerpt.txt", "drive.recertified"),
        ("lhs_OOS20000G_42A3B15F443D_excerpt.txt", "drive.recertified"),
        ("sc_smart-fail2.json", "drive.smart-failed"),
        ("se_nvme-null-SAMSUNG_MZWLL3T2HAJQ-00005-nvme0.json", "drive.smart-failed"),
    ];
    let Some(folder) = corpus("drives") else { return };
    let (mut found, mut accused, mut lesser, mut checked) =
        (BTreeSet::new(), Vec::new(), BTreeMap::<String, Vec<String>>::new(), 0);
    for row in manifest(&folder) {
        let inspection = screen(&fs::read(folder.join(&row["file"])).unwrap());
        for check in inspection.checks.iter().filter(|check| check.id.starts_with("drive.")) {
            checked += usize::from(check.outcome == Outcome::Clear);
            let Outcome::Fires(finding) = &check.outcome else { continue };
            let known = TRUE_FINDINGS.iter().find(|(file, rule)| *file == row["file"] && *rule == check.id);
            match known {
                Some(known) => _ = found.insert(known),
                None if finding.severity >= Severity::High => accused.push((row["file"].clone(), check.clone())),
                None => lesser.entry(check.id.clone()).or_default().push(row["file"].clone()),
            }
        }
    }
    println!("{checked} clear, {} true findings, below high: {lesser:?}", found.len());
    assert!(accused.is_empty(), "{accused:#?}");
    assert_eq!(found.len(), TRUE_FINDINGS.len(), "{found:?}");
    assert!(checked > 300);
    // ST3500418AS: garbage in attribute 240.
    assert_eq!(lesser.keys().collect::<Vec<_>>(), ["drive.counters-disagree"]);
}

#[test]
fn processors_of_the_corpus() {
    let Some(folder) = corpus("cpu") else { return };
    let (mut samples, mut clear) = (0, 0);
    for row in manifest(&folder) {
        let file = &row["file"];
        let content = fs::read(folder.join(file)).unwrap();
        let mut capture = Capture::default();
        if row["what"].starts_with("CPUID") || file.ends_with("CPUID.txt") {
            let records = crate::support::CpuidRecords::from_instlatx64(&String::from_utf8_lossy(&content));
            capture.insert(Query::Cpuid { cpu: 0 }.path(), records.bytes);
        } else {
            capture.insert("/proc/cpuinfo", content);
        }
        let inspection = assess(collect(&RecordedHost::from(capture)));
        let brand = inspection.evidence.scope("cpu").next().and_then(|part| part.text("cpu.brand"));
        let findings: Vec<&str> = firing(&inspection).into_iter().map(|(rule, _)| rule).collect();
        // Some dumps have the brand in a line that is no register.
        if row["es"] == "yes" && brand.is_some() {
            assert!(findings.contains(&"cpu.engineering-sample"), "{file} {brand:?} {findings:?}");
            samples += 1;
        } else if file == "gl_rhel-6.2-vmware-2vcpus.cpuinfo" {
            assert_eq!(findings, ["cpu.brand-signature-virtual"], "{file}");
        } else {
            assert!(findings.is_empty(), "{file} {brand:?} {findings:?}");
            clear += 1;
        }
    }
    println!("{samples} engineering samples found, {clear} others without a finding");
    assert!(samples >= 8 && clear > 40);
}

#[test]
fn reset_counters_are_found() {
    let hour = 3600;
    // Heads that wrote for a part of the time, and a log that agrees.
    let honest = with(exos(14_450), "seagate_farm_log", farm(14_454, [700 * hour, 690 * hour, 650 * hour, 710 * hour]));
    assert_eq!(rules_of(&honest), Vec::<String>::new());
    let honest = screen(honest.to_string().as_bytes());
    for rule in ["drive.farm-hours", "drive.head-hours", "drive.farm-identity", "drive.wwn"] {
        assert_eq!(*outcome(&honest, rule, "drive:sda"), Outcome::Clear, "{rule}");
    }
    let drive = honest.evidence.part("drive:sda").unwrap();
    assert_eq!(show(drive, "drive.farm.head_hours"), "700, 690, 650, 710");
    assert_eq!(show(drive, "drive.wwid"), "naa.5000c500c1a2b3c4");

    let heads = [700 * hour, 690 * hour, 650 * hour, 710 * hour];
    let reset = with(exos(12), "seagate_farm_log", farm(25_013, heads));
    assert_eq!(rules_of(&reset), ["drive.counters-disagree", "drive.farm-hours", "drive.head-hours"]);
    // FARM was forged too: the heads remember.
    let forged = with(exos(12), "seagate_farm_log", farm(12, heads));
    assert_eq!(rules_of(&forged), ["drive.head-hours"]);
    // One head of four is garbage.
    let garbage = with(exos(12), "seagate_farm_log", farm(12, [0, 3600, 90_000 * hour, 3600]));
    assert_eq!(rules_of(&garbage), Vec::<String>::new());
    let other = with(with(exos(12), "serial_number", json!("ZL2A9999")), "seagate_farm_log", farm(12, [0; 4]));
    assert_eq!(rules_of(&other), ["drive.farm-identity"]);

    let log = |hours: u64| json!({"extended": {"table": [{"lifetime_hours": 3}, {"lifetime_hours": hours}]}});
    assert_eq!(rules_of(&with(exos(18), "ata_smart_self_test_log", log(31_207))), ["drive.selftest-hours"]);
    assert_eq!(rules_of(&with(exos(18), "ata_smart_self_test_log", log(18))), Vec::<String>::new());
    // After 65,536 hours the log begins again; near that nothing can be said.
    assert_eq!(rules_of(&with(exos(70_000), "ata_smart_self_test_log", log(4_464))), Vec::<String>::new());
    let near = screen(with(exos(18), "ata_smart_self_test_log", log(65_530)).to_string().as_bytes());
    assert!(matches!(outcome(&near, "drive.selftest-hours", "drive:sda"), Outcome::Inconclusive { .. }));

    // A Seagate of which nobody read the log is not clear.
    let unread = screen(exos(12).to_string().as_bytes());
    assert!(matches!(outcome(&unread, "drive.farm-hours", "drive:sda"), Outcome::Inconclusive { .. }));
}

#[test]
fn relabelled_drives_are_found() {
    let relabelled = with(exos(12), "model_name", json!("WDC  WUH721816ALE6L4"));
    assert_eq!(rules_of(&relabelled), ["drive.wwn"]);
    let zeros = with(exos(12), "wwn", json!({"naa": 5, "oui": 0, "id": 0}));
    assert_eq!(rules_of(&zeros), ["drive.wwn"]);
    assert_eq!(rules_of(&with(exos(12), "model_name", json!("OOS16000G"))), ["drive.recertified"]);
    let nvme = |model: &str, vendor: u64, used: u64, units: u64, hours: u64| {
        json!({
            "smartctl": {"version": [7, 3], "exit_status": 0}, "model_name": model, "serial_number": "S64HNT0W301234",
            "device": {"name": "/dev/nvme0n1", "type": "nvme", "protocol": "NVMe"}, "nvme_total_capacity": 3_840_755_982_336u64,
            "nvme_pci_vendor": {"id": vendor, "subsystem_id": vendor},
            "nvme_smart_health_information_log": {"percentage_used": used, "data_units_written": units, "power_on_hours": hours},
        })
    };
    let pm9a3 = "SAMSUNG MZQL23T8HCLS-00A07";
    assert_eq!(rules_of(&nvme(pm9a3, 0x144d, 3, 639_454_618, 4369)), Vec::<String>::new());
    assert_eq!(rules_of(&nvme(pm9a3, 0x1987, 3, 639_454_618, 4369)), ["drive.pci-vendor"]);
    // SanDisk's id on a drive of Western Digital.
    assert_eq!(rules_of(&nvme("WDC WDS100T2B0C", 0x15b7, 3, 39_454_618, 4369)), Vec::<String>::new());
    assert_eq!(rules_of(&nvme(pm9a3, 0x144d, 70, 1_200, 4369)), ["drive.nvme-wear"]);
    assert_eq!(rules_of(&nvme(pm9a3, 0x144d, 0, 9_000_000_000, 4369)), ["drive.nvme-wear"]);
}

#[test]
fn clones_and_two_outputs_of_one_drive() {
    let named = |device: &str, json: Json| {
        with(json, "device", json!({"name": device, "type": "sat", "protocol": "ATA"})).to_string()
    };
    let clones =
        format!("# smartctl -j -x /dev/sda\n{}\n{}\n", named("/dev/sda", exos(12)), named("/dev/sdb", exos(90)));
    let inspection = screen(clones.as_bytes());
    let found = firing(&inspection);
    assert_eq!(inspection.evidence.scope("drive").count(), 2);
    assert!(
        found.contains(&("drive.serial-duplicate", "drive:sda"))
            && found.contains(&("drive.serial-duplicate", "drive:sdb"))
    );
    // Hidden serial numbers are no duplicates.
    let hidden =
        |device: &str| named(device, with(with(exos(12), "serial_number", json!("REDACTED")), "wwn", Json::Null));
    assert!(firing(&screen(format!("{}\n{}", hidden("/dev/sda"), hidden("/dev/sdb")).as_bytes())).is_empty());
    // Two paths to a SAS drive.
    let sas = |device: &str| {
        let json = with(exos(12), "scsi_transport_protocol", json!({"name": "SAS (SPL-4)"}));
        with(json, "device", json!({"name": device, "type": "scsi", "protocol": "SCSI"})).to_string()
    };
    assert_eq!(screen(format!("{}{}", sas("/dev/sda"), sas("/dev/sdb")).as_bytes()).evidence.scope("drive").count(), 1);
    // SMART and FARM of one drive in one file.
    let farm_only = with(
        json!({"smartctl": {"version": [7, 4]}, "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"}}),
        "seagate_farm_log",
        farm(25_013, [0; 4]),
    );
    let both = format!("{}\n# smartctl -j -l farm /dev/sda\n{farm_only}", exos(12));
    assert!(firing(&screen(both.as_bytes())).contains(&("drive.farm-hours", "drive:sda")));
    // The same as text, joined with the FARM log of the corpus.
    let text = |serial: &str, hours: u64| {
        let wwn = &serial[serial.len() - 1..];
        format!(
            "smartctl 7.4 2023-08-01 r5530 [x86_64-linux] (local build)\n=== START OF INFORMATION SECTION ===\n\
             Device Model:     ST4000NM0023-1Q1103\nSerial Number:    {serial}\nLU WWN Device Id: 5 000c50 0a277a7c{wwn}\n\
             Firmware Version: TN05\nUser Capacity:    4,000,787,030,016 bytes [4.00 TB]\nRotation Rate:    7200 rpm\n\
             ATA Version is:   ACS-3\n=== START OF READ SMART DATA SECTION ===\n\
             SMART overall-health self-assessment test result: PASSED\n\
             ID# ATTRIBUTE_NAME          FLAGS    VALUE WORST THRESH FAIL RAW_VALUE\n\
             \x20 9 Power_On_Hours          -O--CK   069   069   000    -    {hours}\n\n"
        )
    };
    let two = format!("{}{}", text("ZC11KLR7", 45), text("ZC11KLR8", 46));
    assert_eq!(screen(two.as_bytes()).evidence.scope("drive").count(), 2);
    let again = format!("{}{}", text("ZC11KLR7", 45), text("ZC11KLR7", 45));
    assert_eq!(screen(again.as_bytes()).evidence.scope("drive").count(), 1);
    let Some(folder) = corpus("drives") else { return };
    let log = fs::read_to_string(folder.join("pcp_farm-root-001_sda.farm.txt")).unwrap();
    // Where that is all there is, the view has what it says.
    let signatures = Signatures::embedded().unwrap();
    let alone = screen(log.as_bytes());
    let view = Document::new(&alone, &signatures).drives.remove(0);
    assert_eq!((view.serial.as_deref(), view.power_on_hours), (Some("ZC11KLR7"), view.farm_power_on_hours));
    assert!(view.power_on_hours.is_some() && view.firmware.is_some() && view.power_cycles.is_some());
    for (text, wanted) in [
        (format!("{}{log}", text("ZC11KLR7", 45)), vec![("drive.farm-hours", "drive:0")]),
        (format!("{}{log}", text("ZC11KLR7", 49_530)), vec![]),
        (format!("{}{}{log}", text("ZC11KLR7", 45), text("ZC11KLR8", 46)), vec![("drive.farm-hours", "drive:0")]),
    ] {
        let inspection = screen(text.as_bytes());
        let found: Vec<(&str, &str)> = firing(&inspection).into_iter().collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn used_drives_sold_as_new() {
    let claimed = |json: &Json, condition: &str| {
        let mut evidence = EvidenceBuilder::from(import::import(json.to_string().as_bytes()).unwrap().into_evidence());
        evidence.part("drive", "drive:sda").fact("drive.claim.condition", condition, "claim");
        let inspection = assess(evidence.finish());
        firing(&inspection).into_iter().map(|(rule, _)| rule.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(claimed(&exos(26_600), "new"), ["drive.not-new", "drive.used-sold-as-new"]);
    assert_eq!(claimed(&exos(740), "new"), ["drive.not-new"]);
    assert_eq!(claimed(&exos(26_600), "used"), Vec::<String>::new());
    assert_eq!(claimed(&exos(12), "new"), Vec::<String>::new());
    assert_eq!(claimed(&with(exos(26_600), "model_name", json!("OOS16000G")), "refurbished"), Vec::<String>::new());
}

#[test]
fn hostile_printouts() {
    let many: Vec<Json> = (0..10_000)
        .map(|index| json!({"id": index % 256, "name": "Power_On_Hours", "raw": {"value": index, "string": index.to_string()}}))
        .collect();
    let attributes = with(exos(12), "ata_smart_attributes", json!({"table": many}));
    assert_eq!(show(&screen(attributes.to_string().as_bytes()).evidence.parts[0], "drive.smart.power_on_hours"), "12");
    for value in [json!("x"), json!([]), json!({}), json!(-1), json!(1e300), json!(true), json!(u64::MAX)] {
        let mut wrong = exos(12);
        for name in ["power_on_time", "power_cycle_count", "user_capacity", "rotation_rate", "wwn", "smart_status"] {
            wrong[name] = value.clone();
        }
        wrong["power_on_time"] = json!({"hours": value});
        wrong["seagate_farm_log"] = json!({"page_1_drive_information": {"poh": value, "spoh": value}});
        wrong["ata_device_statistics"] = json!({"pages": [{"table": [{"name": "Power-on Hours", "value": value}]}]});
        let inspection = screen(wrong.to_string().as_bytes());
        let drive = inspection.evidence.scope("drive").next().unwrap();
        assert_eq!(show(drive, "drive.smart.power_on_hours"), "failed", "{value}");
        assert_eq!(firing(&inspection), BTreeSet::new(), "{value}");
        assert!(matches!(outcome(&inspection, "drive.farm-hours", "drive:sda"), Outcome::Inconclusive { .. }));
    }
    let notes = |json: &str| import::import(json.as_bytes()).unwrap().notes().join("\n");
    let refused = r#"{"smartctl":{"exit_status":2,"messages":[{"string":"Smartctl open device: /dev/sda failed: Permission denied"}]}}"#;
    assert!(notes(refused).contains("as root"), "{}", notes(refused));
}

/// A recorded machine with these drives and no smartctl.
fn machine(drives: Vec<Drive>) -> RecordedMachine {
    RecordedMachine::empty().with(|it| it.drives = drives)
}

fn smartctl(arguments: &[&str]) -> String {
    let args = arguments.iter().map(|it| (*it).to_owned()).collect();
    Query::Command { program: "smartctl".to_owned(), args }.path()
}

fn log_page(page: u8, length: u32) -> String {
    Query::NvmeLog { controller: "nvme0".to_owned(), page, length }.path()
}

/// A machine from which a drive is gone after so many questions about it, or on which its smartctl never answers.
struct Failing {
    machine: RecordedHost,
    drive: &'static str,
    questions: usize,
    asked: AtomicUsize,
}

impl Failing {
    fn inspect(&self) -> Inspection {
        self.asked.store(0, Relaxed);
        assess(collect(self))
    }

    fn or<T>(&self, path: &str, answer: impl FnOnce() -> Reading<T>) -> Reading<T> {
        if path.contains(self.drive) && self.asked.fetch_add(1, Relaxed) >= self.questions {
            Reading::Failed("No such device (os error 19)".to_owned())
        } else {
            answer()
        }
    }
}

impl Host for Failing {
    fn origin(&self) -> Origin {
        Origin::Live
    }

    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        self.or(path, || self.machine.read(path))
    }

    fn list(&self, path: &str) -> Reading<Vec<String>> {
        self.or(path, || self.machine.list(path))
    }

    fn link(&self, path: &str) -> Reading<String> {
        self.or(path, || self.machine.link(path))
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        self.or(&query.path(), || self.machine.ask(query))
    }
}

#[test]
fn a_drive_that_vanishes_is_missing_from_then_on_and_nothing_is_made_up() {
    const HOURS: &str = "drive.smart.power_on_hours";
    let nvme = || Drive::pm9a3("nvme0n1", "0000:05:00.0");
    for (drive, one) in
        [("nvme0", Drive { smartctl: false, ..nvme() }), ("nvme0", nvme()), ("sda", Drive::exos("sda", "0000:00:17.0"))]
    {
        let id = format!("drive:{}", one.name);
        let other = Drive {
            serial: "S64HNT0W301999".to_owned(),
            wwid: "eui.36344830573019990025384100000001".to_owned(),
            ..Drive::pm9a3("nvme1n1", "0000:06:00.0")
        };
        let machine = machine(vec![one, other]).host();
        let mut host = Failing { machine, drive, questions: usize::MAX, asked: AtomicUsize::new(0) };
        let whole = host.inspect();
        assert_eq!(firing(&whole), BTreeSet::new());
        let questions = host.asked.load(Relaxed);
        assert!(questions > 5, "{questions}");
        let mut open = 0;
        for left in 0..questions {
            host.questions = left;
            let inspection = host.inspect();
            assert_eq!(firing(&inspection), BTreeSet::new(), "{left} of {questions}");
            let part = inspection.evidence.part(&id);
            for (path, fact) in part.into_iter().flat_map(|part| &part.facts) {
                let Some(known) = fact.reading.known() else { continue };
                // The kernel cuts the name of a SATA drive, which stands for what smartctl says no more.
                let before = show(whole.evidence.part(&id).unwrap(), path.as_str());
                assert!(before.starts_with(&known.to_string()), "{path} after {left}: {known}, not {before}");
            }
            open += usize::from(part.is_none_or(|part| !matches!(part.reading(HOURS), Some(Reading::Known(_)))));
            // The other one is there all the same.
            assert!(inspection.evidence.part("drive:nvme1n1").is_some());
        }
        assert!(open > 0);
    }
}

#[test]
fn nvme_drives_need_no_smartctl() {
    let bare = || machine(vec![Drive { smartctl: false, ..Drive::pm9a3("nvme0n1", "0000:05:00.0") }]);
    let mut health = vec![0u8; 512];
    (health[3], health[4], health[5]) = (100, 10, 3);
    health[48..56].copy_from_slice(&639_454_618u64.to_le_bytes());
    health[112] = 4;
    health[128..136].copy_from_slice(&4369u64.to_le_bytes());
    health[144] = 2;
    let mut tests = vec![0u8; 564];
    tests[4..].as_chunks_mut::<28>().0.iter_mut().for_each(|entry| entry[0] = 0xf);
    tests[4] = 0x10;
    tests[8..16].copy_from_slice(&48_000u64.to_le_bytes());
    let host = bare().file(&log_page(2, 512), health).file(&log_page(6, 564), tests).host();
    let inspection = assess(collect(&host));
    let drive = inspection.evidence.part("drive:nvme0n1").unwrap();
    for (path, value) in [
        ("drive.smart.power_on_hours", "4369"),
        ("drive.smart.power_cycles", "4"),
        ("drive.smart.percentage_used", "3"),
        ("drive.smart.written_gigabytes", "327400"),
        ("drive.smart.available_spare_percent", "100"),
        ("drive.smart.unsafe_shutdowns", "2"),
        ("drive.smart.media_errors", "0"),
        ("drive.smart.passed", "true"),
        ("drive.smart.serial", "unsupported"),
        ("drive.selftest.max_hours", "48000"),
        ("drive.baseline.brand", "Samsung"),
        ("drive.pci_vendor_fits_brand", "true"),
    ] {
        assert_eq!(show(drive, path), value, "{path}");
    }
    let source = &drive.facts[&yanji::evidence::FactPath::new("drive.smart.power_on_hours")].source;
    assert_eq!(source, "nvme log page 02h controller nvme0");
    assert_eq!(firing(&inspection), BTreeSet::from([("drive.selftest-hours", "drive:nvme0n1")]));

    // Refused, cut short, gone in between.
    let refused = collect(&bare().deny(&log_page(2, 512)).host());
    assert_eq!(show(refused.part("drive:nvme0n1").unwrap(), "drive.smart.power_on_hours"), "denied");
    let cut = collect(&bare().file(&log_page(2, 512), vec![0; 100]).host());
    assert_eq!(show(cut.part("drive:nvme0n1").unwrap(), "drive.smart.power_on_hours"), "failed");
    let gone = bare().remove("/sys/block/nvme0n1/size").remove("/sys/block/nvme0n1/device/serial");
    let gone = collect(
        &gone.remove(&Query::NvmeIdentify { controller: "nvme0".to_owned(), cns: 1, namespace: 0 }.path()).host(),
    );
    let gone = gone.part("drive:nvme0n1").unwrap();
    assert_eq!([show(gone, "drive.size_bytes"), show(gone, "drive.nvme.serial")], ["absent", "unsupported"]);
}

#[test]
fn a_controller_without_namespaces_is_a_drive() {
    let host = machine(vec![Drive::pm9a3("nvme0n1", "0000:05:00.0")])
        .file("/sys/class/nvme/nvme0/serial", "S64HNT0W301234\n")
        .file("/sys/class/nvme/nvme1/model", "SAMSUNG MZQL23T8HCLS-00A07              \n")
        .file("/sys/class/nvme/nvme1/serial", "S64HNT0W309999      \n")
        .file("/sys/class/nvme/nvme1/firmware_rev", "GDC5902Q\n")
        .host();
    let evidence = collect(&host);
    assert_eq!(evidence.scope("drive").map(|part| &*part.id).collect::<Vec<_>>(), ["drive:nvme0n1", "drive:nvme1"]);
    let drive = evidence.part("drive:nvme1").unwrap();
    assert_eq!(show(drive, "drive.serial"), "S64HNT0W309999");
    assert_eq!([show(drive, "drive.transport"), show(drive, "drive.size_bytes")], ["nvme", "absent"]);
}

#[test]
fn farm_is_asked_for_where_smartctl_can_read_it() {
    let bare = || machine(vec![Drive { smartctl: false, ..Drive::exos("sda", "0000:05:00.0") }]);
    let asked = smartctl(&["-j", "-x", "/dev/sda"]);
    let offer = with(exos(12), "seagate_farm_log", json!({"supported": true}));
    let answer = with(json!({"smartctl": {"version": [7, 4]}}), "seagate_farm_log", farm(25_013, [0; 4]));
    let host = bare()
        .file(&asked, offer.to_string())
        .file(&smartctl(&["-j", "-l", "farm", "/dev/sda"]), answer.to_string())
        .host();
    let inspection = assess(collect(&host));
    assert!(firing(&inspection).contains(&("drive.farm-hours", "drive:sda")), "{:?}", firing(&inspection));

    let farm_of = |json: &Json| {
        let evidence = collect(&bare().file(&asked, json.to_string()).host());
        let fact =
            &evidence.part("drive:sda").unwrap().facts[&yanji::evidence::FactPath::new("drive.farm.power_on_hours")];
        (fact.reading.state(), fact.source.clone())
    };
    let (state, source) = farm_of(&with(exos(12), "smartctl", json!({"version": [7, 3], "exit_status": 4})));
    assert_eq!((state, &*source), ("unsupported", "smartctl 7.3: the FARM log needs 7.4 or newer"));
    assert_eq!(farm_of(&exos(12)).0, "absent");
    // Offered, and then not answered.
    assert_eq!(farm_of(&offer).0, "unsupported");

    for output in ["", "smartctl: not found", "{\"smartctl\": 3}", "[]"] {
        let evidence = collect(&bare().file(&asked, output).host());
        assert_eq!(show(evidence.part("drive:sda").unwrap(), "drive.smart.power_on_hours"), "failed", "{output}");
    }
}

#[test]
fn drives_behind_a_raid_controller() {
    let scan = json!({"devices": [
        {"name": "/dev/sda", "type": "scsi", "protocol": "SCSI"},
        {"name": "/dev/bus/0", "type": "megaraid,8", "protocol": "SCSI"},
        {"name": "/dev/bus/0", "type": "megaraid,9", "protocol": "SCSI"},
    ]});
    let behind =
        with(exos(37_787), "device", json!({"name": "/dev/bus/0", "type": "sat+megaraid,8", "protocol": "ATA"}));
    let host = machine(vec![Drive { smartctl: false, ..Drive::exos("sda", "0000:05:00.0") }])
        .file(&smartctl(&["--scan", "-j", "-B", "/dev/null"]), scan.to_string())
        .file(&smartctl(&["-j", "-x", "-d", "megaraid,8", "/dev/bus/0"]), behind.to_string())
        .host();
    let evidence = collect(&host);
    assert_eq!(evidence.scope("drive").map(|part| &*part.id).collect::<Vec<_>>(), ["drive:sda", "drive:megaraid,8"]);
    let drive = evidence.part("drive:megaraid,8").unwrap();
    assert_eq!(show(drive, "drive.serial"), "ZL2A1B2C");
    assert_eq!([show(drive, "drive.transport"), show(drive, "drive.smart.power_on_hours")], ["sata", "37787"]);
}

#[test]
fn the_number_of_a_processor_is_read_from_its_register() {
    let msr = Query::Msr { cpu: 0, register: 0x4f }.path();
    let server = RecordedMachine::server().remove("/sys/devices/system/cpu/cpu0/topology/ppin");
    let host = server.file(&msr, 0x2a1b_3c4d_5e6f_7081u64.to_le_bytes().to_vec()).host();
    let inspection = assess(collect(&host));
    let cpu = inspection.evidence.part("cpu:0").unwrap();
    assert_eq!(show(cpu, "cpu.msr.ppin"), "0x2a1b3c4d5e6f7081");
    assert_eq!(show(cpu, "cpu.ppin"), "0x2a1b3c4d5e6f7081");
}
