//! One part in several machines: found in reports and in what sellers send, and never where one machine is seen again.

use std::fs;
use std::process::Command;

use serde_json::Value as Json;
use yanji::attest::tpm::Platform;
use yanji::collect;
use yanji::evidence::Reading;
use yanji::ledger::{Ledger, Shared, Sighting};
use yanji::rule::{Confidence, Severity, Signatures};

use crate::cli::Place;
use crate::support::RecordedMachine;
use crate::support::tpm::{Authority, TestTpm};

/// The same model of server, every part another unit.
fn other_server() -> RecordedMachine {
    RecordedMachine::server().with(|machine| {
        machine.serial = "S483921X3A09876".to_owned();
        machine.uuid[15] = 0x77;
        machine.board_serial = "WM23AS009876".to_owned();
        machine.chassis_serial = "C4180FM28NB0977".to_owned();
        for (index, dimm) in machine.dimms.iter_mut().enumerate() {
            dimm.serial = format!("80CE012318{:08X}", 0x1171_0000 + index);
        }
        for (index, cpu) in machine.cpus.iter_mut().enumerate() {
            cpu.ppin = Some(format!("0x{:016x}", 0x1c05_77aa_0000_0001u64 + index as u64 * 0x7f3));
        }
        let drive = &mut machine.drives[0];
        (drive.serial, drive.wwid) = ("S64HNT0W309876".to_owned(), "eui.36344830573098760025384100000001".to_owned());
        machine.nics[0].mac = "b8:3f:d2:44:55:66".to_owned();
        for (index, psu) in machine.psus.iter_mut().enumerate() {
            psu.serial = format!("P2K8ACM30CT{:04}", 4711 + index);
        }
        let gpu = &mut machine.nvidia.as_mut().unwrap().gpus[0];
        (gpu.uuid, gpu.serial) =
            ("GPU-5c1d2e3f-9a8b-4c7d-8e6f-0123456789cd".to_owned(), Some("1654923009876".to_owned()));
    })
}

fn shared(machines: &[&RecordedMachine]) -> Vec<Shared> {
    let tables = Signatures::embedded().unwrap().tables;
    let mut ledger = Ledger::default();
    let add = |(index, machine): (usize, &&RecordedMachine)| {
        ledger.add(&index.to_string(), Sighting::of(&collect::collect(&machine.host()), &tables))
    };
    machines.iter().enumerate().map(add).collect()
}

#[test]
fn machines_with_parts_of_their_own_share_nothing_and_each_cloned_part_is_named() {
    let (first, other) = (RecordedMachine::server(), other_server());
    assert_eq!(shared(&[&first, &other]), [Shared::default(), Shared::default()]);

    type Clone = fn(&mut RecordedMachine, &RecordedMachine);
    let cases: [(&str, &str, Severity, Confidence, Clone); 8] = [
        ("system UUID", "platform", Severity::High, Confidence::Medium, |clone, first| clone.uuid = first.uuid),
        ("board serial number", "platform", Severity::High, Confidence::Medium, |clone, first| {
            clone.board_serial = first.board_serial.clone();
        }),
        ("cpu.sysfs.ppin", "cpu:1", Severity::Critical, Confidence::VeryHigh, |clone, first| {
            clone.cpus[1].ppin = first.cpus[0].ppin.clone();
        }),
        ("gpu.nvml.uuid", "gpu:0000:16:00.0", Severity::Critical, Confidence::VeryHigh, |clone, first| {
            let uuid = &first.nvidia.as_ref().unwrap().gpus[0].uuid;
            clone.nvidia.as_mut().unwrap().gpus[0].uuid = uuid.clone();
        }),
        ("dimm.smbios.serial", "dimm:P1-DIMMB1", Severity::High, Confidence::Medium, |clone, first| {
            clone.dimms[1].serial = first.dimms[4].serial.to_lowercase();
        }),
        ("drive.serial", "drive:nvme0n1", Severity::High, Confidence::Medium, |clone, first| {
            clone.drives[0].serial = first.drives[0].serial.clone();
        }),
        ("nic.permanent_mac", "nic:ens9f0np0", Severity::High, Confidence::Medium, |clone, first| {
            clone.nics[0].mac = first.nics[0].mac.clone();
        }),
        ("gpu.nvml.serial", "gpu:0000:16:00.0", Severity::High, Confidence::Medium, |clone, first| {
            let serial = &first.nvidia.as_ref().unwrap().gpus[0].serial;
            clone.nvidia.as_mut().unwrap().gpus[0].serial = serial.clone();
        }),
    ];
    for (fact, part, severity, confidence, copy) in cases {
        let mut clone = other.clone();
        copy(&mut clone, &first);
        let found = shared(&[&first, &clone]);
        assert_eq!(found[0], Shared::default(), "{fact}");
        let [duplicate] = found[1].duplicates.as_slice() else { panic!("{fact}: {found:#?}") };
        assert_eq!((duplicate.fact.as_str(), duplicate.second.part.as_str()), (fact, part));
        assert_eq!((duplicate.severity, duplicate.confidence), (severity, confidence), "{fact}");
        assert_eq!((duplicate.first.document.as_str(), duplicate.second.document.as_str()), ("0", "1"));
        assert!(duplicate.machines_differ && found[1].again.is_empty(), "{fact}");
    }
}

#[test]
fn what_is_no_clone_is_not_called_one() {
    let first = RecordedMachine::server();
    type Change = fn(&mut RecordedMachine);
    let nothing: [(&str, Change); 4] = [
        ("fillers", |machine| {
            for dimm in &mut machine.dimms {
                dimm.serial = "Not Specified".to_owned();
            }
            machine.drives[0].serial = "0000000000".to_owned();
        }),
        ("the same serial on another part number", |machine| {
            machine.dimms[0].serial = RecordedMachine::server().dimms[0].serial.clone();
            machine.dimms[0].part_number = "HMCG94AEBRA109N".to_owned();
        }),
        ("an address that somebody assigned", |machine| {
            machine.nics[0].mac = "ba:3f:d2:11:22:33".to_owned();
        }),
        ("power supplies and chassis of one enclosure", |machine| {
            machine.chassis_serial = RecordedMachine::server().chassis_serial;
            machine.psus = RecordedMachine::server().psus;
        }),
    ];
    for (why, change) in nothing {
        let (mut a, mut b) = (first.clone(), other_server());
        if why.starts_with("fillers") || why.starts_with("an address") {
            change(&mut a);
        }
        change(&mut b);
        assert_eq!(shared(&[&a, &b])[1], Shared::default(), "{why}");
    }
    // The same machine, a year and a repair later: a new board, one module moved, one drive gone.
    let repaired = first.clone().with(|machine| {
        machine.board_serial = "WM24AS000042".to_owned();
        machine.dimms.swap(0, 5);
        machine.drives.clear();
    });
    let found = shared(&[&first, &repaired]);
    assert_eq!(found[1].duplicates, []);
    let [again] = found[1].again.as_slice() else { panic!("{found:#?}") };
    assert_eq!(again.by, ["system UUID", "system serial number", "chassis serial number"]);
    assert!(again.parts >= 18, "{}", again.parts);
}

/// Certifies a machine into a folder of that name.
fn certify(place: &Place, name: &str, machine: &RecordedMachine) {
    place.archive(machine);
    place.run(["certify", "--host", "host.tar.zst", "--out", name, "--key", "seller.pem"]).exits(3);
}

#[test]
fn a_part_in_two_reports_is_named_with_both() {
    let place = Place::new();
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    let (first, other) = (RecordedMachine::server(), other_server());
    certify(&place, "first", &first);
    certify(&place, "again", &first.clone().with(|machine| machine.dimms.truncate(8)));
    certify(&place, "other", &other);
    certify(&place, "processor", &other.clone().with(|machine| machine.cpus[0].ppin = first.cpus[1].ppin.clone()));
    certify(&place, "module", &other.clone().with(|machine| machine.dimms[2].serial = first.dimms[7].serial.clone()));
    let verify = |reports: &[&str]| {
        let arguments = ["verify", "--key", "seller.pem.pub"];
        place.run(arguments.iter().chain(reports))
    };

    let ran = verify(&["first", "other", "first"]).exits(3);
    assert!(!ran.stdout.contains("DUPLICATE") && !ran.stdout.contains("SEEN"), "{}", ran.stdout);
    let ran = verify(&["first", "again"]).exits(3);
    assert!(ran.stdout.contains("SEEN AGAIN  again is about the same machine as first"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);

    // No innocent cause is known: the second report is not valid.
    let ran = verify(&["first", "processor"]).exits(4);
    assert!(ran.stdout.contains("INVALID  E_DUPLICATE (cpu.sysfs.ppin 0x"), "{}", ran.stdout);
    assert!(ran.stdout.contains(" of cpu:0 in processor is that of cpu:1 in first\n"), "{}", ran.stdout);
    verify(&["processor", "first"]).exits(4);
    // A copy is no better.
    for name in ["processor", "module"] {
        let copied =
            Command::new("cp").args(["-r", name, &format!("{name}-copy")]).current_dir(place.path("")).status();
        assert!(copied.unwrap().success());
    }
    let json = verify(&["first", "processor", "processor-copy", "--format", "json"]).exits(4).json();
    let [_, report, copy] = json["reports"].as_array().unwrap().as_slice() else { panic!("{json:#}") };
    assert_eq!((&copy["valid"], &copy["assurance"]), (&false.into(), &Json::Null), "{copy:#}");
    assert_eq!(copy["failures"], report["failures"]);
    assert_eq!(copy["shared"]["duplicates"][0]["second"]["document"], "processor-copy");
    assert_eq!(json["totals"]["duplicates"], 2);
    let json = verify(&["first", "module", "module-copy", "--format", "json"]).exits(3).json();
    assert_eq!(json["reports"][2]["indeterminate"], json["reports"][1]["indeterminate"], "{json:#}");
    // A serial number alone: a person has to look.
    let ran = verify(&["first", "module"]).exits(3);
    assert!(ran.stdout.contains(" of dimm:P1-DIMMC1 in module is that of dimm:P1-DIMMH1 in first\n"), "{}", ran.stdout);
    let json = verify(&["first", "module", "--format", "json"]).exits(3).json();
    let report = &json["reports"][1];
    assert_eq!(report["valid"], true);
    assert_eq!(
        report["shared"]["duplicates"][0]["first"],
        serde_json::json!({"document": "first", "part": "dimm:P1-DIMMH1"})
    );
    let open = &report["indeterminate"][0];
    let serial = report["shared"]["duplicates"][0]["id"].as_str().unwrap();
    assert_eq!((&open["class"], &open["expected"]), (&"E_DUPLICATE".into(), &"in one machine only".into()), "{open}");
    assert_eq!(open["what"], format!("dimm.smbios.serial {serial} of dimm:P1-DIMMC1"));
    assert_eq!(open["observed"], "in dimm:P1-DIMMH1 of first too");
    let reasons = report["judgement"]["reasons"].to_string();
    assert!(reasons.contains("of dimm:P1-DIMMC1 is in dimm:P1-DIMMH1 of first too, not in one"), "{reasons}");
    assert_eq!(json["totals"]["duplicates"], 1);
    assert!(ran.stdout.contains("valid    undecided L1  E_DUPLICATE  module\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 with a part of an earlier one"), "{}", ran.stdout);
    let csv = verify(&["first", "module", "--format", "csv"]).exits(3).stdout;
    assert!(csv.lines().nth(2).unwrap().starts_with(r#""module","true","E_DUPLICATE","undecided","#), "{csv}");
}

#[test]
fn one_tpm_or_one_challenge_in_two_machines() {
    let place = Place::new();
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    let (first, other) = (RecordedMachine::server(), other_server());
    let verify = |reports: &[&str]| place.run(["verify", "--key", "seller.pem.pub"].iter().chain(reports));
    fs::write(place.path("challenge"), "5a".repeat(32)).unwrap();
    for (name, machine) in [("a", &first), ("again", &first), ("b", &other)] {
        place.archive(machine);
        let args =
            ["certify", "--host", "host.tar.zst", "--key", "seller.pem", "--challenge", "challenge", "--out", name];
        place.run(args).exits(3);
    }
    // One unit over time may answer twice; another machine needs whoever issued the challenge to look.
    let ran = verify(&["a", "again"]).exits(3);
    assert!(!ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);
    let json = verify(&["a", "b", "--format", "json"]).exits(3).json();
    assert_eq!(json["reports"][1]["shared"]["duplicates"][0]["fact"], "challenge", "{json:#}");

    // Three reports with the endorsement key of one TPM.
    certify(&place, "c", &first);
    certify(&place, "c-again", &first);
    certify(&place, "d", &other);
    let (tpm, vendor) = (TestTpm::new(), Authority::new("vendor"));
    let certificate = vendor.endorse("49465800");
    for name in ["c", "c-again", "d"] {
        place.resign(name, |statement| {
            let mut quoted = tpm.quoted(&[0; 32]);
            quoted.ek_certificate = Reading::Known(certificate.clone());
            let mut platform = Platform::begin(Reading::Known(quoted), Vec::new());
            platform.tpm.as_mut().unwrap().quotes.clear();
            statement.predicate.platform = Some(platform);
        });
    }
    let ran = verify(&["c", "c-again"]).exits(3);
    assert!(!ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);
    let json = verify(&["c", "d", "--format", "json"]).exits(4).json();
    let failure = &json["reports"][1]["failures"][0];
    assert_eq!(failure["class"], "E_DUPLICATE", "{json:#}");
    assert!(failure["what"].as_str().unwrap().starts_with("tpm.endorsement-key "), "{failure}");
    assert_eq!(json["reports"][0]["valid"], true);
}

#[test]
fn files_of_several_machines_are_compared_and_those_of_one_are_not() {
    let place = Place::new();
    let list = |uuid: &str| format!("GPU 0: NVIDIA H100 80GB HBM3 (UUID: {uuid})\n");
    const UUID: &str = "GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1";
    fs::write(place.path("a.txt"), list(UUID)).unwrap();
    fs::write(place.path("b.txt"), list("GPU-5c1d2e3f-9a8b-4c7d-8e6f-0123456789cd")).unwrap();
    fs::write(place.path("c.txt"), list(UUID)).unwrap();
    let ran = place.run(["screen", "a.txt", "b.txt"]).exits(3);
    assert!(!ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);
    let ran = place.run(["screen", "a.txt", "b.txt", "c.txt"]).exits(3);
    assert!(ran.stdout.contains("in c.txt is that of gpu:0 in a.txt\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--same-machine"), "{}", ran.stdout);
    let ran = place.run(["screen", "--same-machine", "a.txt", "c.txt"]).exits(3);
    assert!(!ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);
    let ran = place.run(["screen", "--format", "json", "a.txt", "b.txt", "c.txt"]).exits(3);
    let last: Json = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let [duplicate] = last["duplicates"].as_array().unwrap().as_slice() else { panic!("{last}") };
    assert_eq!((&duplicate["id"], &duplicate["machinesDiffer"]), (&UUID.into(), &false.into()));
    assert_eq!((&duplicate["first"]["document"], &duplicate["second"]["document"]), (&"a.txt".into(), &"c.txt".into()));
}
