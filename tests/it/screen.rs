//! Tests of `yanji screen`: what is read of a seller's files, and what is said of them.

mod bad_input;
mod corpus;
mod host_parts;
pub mod printout;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value as Json;
use yanji::evidence::{Evidence, Kind, Origin, Reading, Value};
use yanji::import;
use yanji::inspection::{self, fact_catalogue};
use yanji::policy::Verdict;
use yanji::report::{Document, GpuView};
use yanji::rule::Signatures;

use crate::cli::Place;
pub use host_parts::dump;
use printout::Card;

fn evidence(bytes: &[u8]) -> Evidence {
    import::import(bytes).unwrap_or_else(|error| panic!("{error}")).into_evidence()
}

/// The GPUs as the JSON has them.
fn gpus(bytes: &[u8]) -> Vec<GpuView> {
    let signatures = Signatures::embedded().unwrap();
    let inspection = inspection::assess(evidence(bytes), &signatures);
    assert_ne!(inspection.judgement.verdict, Verdict::Accepted);
    Document::new(&inspection, &signatures).gpus
}

/// Every fact is declared, with the kind that it has.
#[track_caller]
fn assert_declared(evidence: &Evidence) {
    assert_eq!(evidence.origin, Origin::Imported);
    let declared: BTreeMap<&str, Kind> = fact_catalogue().map(|fact| (fact.path, fact.kind)).collect();
    for part in &evidence.parts {
        for (path, fact) in &part.facts {
            let kind = declared.get(path.as_str()).unwrap_or_else(|| panic!("{path} is not declared"));
            assert!(!fact.source.is_empty(), "{path}");
            let fits = match fact.reading.known() {
                Some(Value::Bool(_)) => *kind == Kind::Bool,
                Some(Value::Integer(_)) => *kind == Kind::Integer,
                Some(Value::Text(_)) => *kind == Kind::Text,
                Some(Value::List(_)) => *kind == Kind::List,
                None => true,
            };
            assert!(fits, "{path} = {:?} is not {kind:?}", fact.reading);
        }
    }
}

#[test]
fn every_layout_of_one_card_says_the_same() {
    let card = Card::h100();
    let text = card.text(41);
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let latin1 = [b"Ger\xe4t \xfcbergeben:\r\n".to_vec(), text.replace('\n', "\r\n").into_bytes()].concat();
    let quoted: String = text.lines().map(|line| format!("> {line}\n")).collect();
    let sectioned = format!(
        "root@node:~# nvidia-smi -q\n{text}\nroot@node:~# nvidia-smi -q\n{}\n# nvidia-smi\n{}\n{}",
        card.text(54),
        card.table(),
        card.csv()
    );
    for (layout, bytes) in [
        ("41 columns", text.clone().into_bytes()),
        ("54 columns", card.text(54).into_bytes()),
        ("XML", card.xml().into_bytes()),
        ("UTF-8 mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("UTF-16", utf16),
        ("Latin-1 and CRLF around", latin1),
        ("quoted", quoted.into_bytes()),
        ("several sections", sectioned.into_bytes()),
    ] {
        assert_declared(&evidence(&bytes));
        let found = gpus(&bytes);
        assert_eq!(found.len(), 1, "{layout}");
        let gpu = &found[0];
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| panic!("{layout}"));
        assert_eq!(gpu.part, "gpu:0000:17:00.0", "{layout}");
        assert_eq!(text(&gpu.name), card.name, "{layout}");
        assert_eq!(text(&gpu.serial), card.serial, "{layout}");
        assert_eq!(text(&gpu.uuid), card.uuid, "{layout}");
        assert_eq!(text(&gpu.vbios_version), card.vbios, "{layout}");
        assert_eq!(text(&gpu.pci_device_id), "0x233010DE", "{layout}");
        assert_eq!(text(&gpu.pci_subsystem), "10de:16c1", "{layout}");
        assert_eq!(gpu.memory_total_mib, Some(81559), "{layout}");
        assert_eq!(gpu.power_limit_max_watts, Some(700.5), "{layout}");
        assert_eq!((gpu.fans.as_deref(), gpu.fan_count), (Some(&[][..]), None), "{layout}");
        assert_eq!(text(&gpu.driver_version), "535.54.03", "{layout}");
    }
}

#[test]
fn partitions_old_labels_and_reasons() {
    let mut card = Card::h100();
    card.mig_slice_mib = Some(9856);
    for bytes in [card.text(41), card.xml()] {
        let gpu = gpus(bytes.as_bytes()).remove(0);
        assert_eq!((gpu.memory_total_mib, gpu.mig_enabled), (Some(81559), Some(true)), "{bytes}");
        let evidence = evidence(bytes.as_bytes());
        assert_eq!(evidence.parts[0].integer("gpu.nvml.mig.devices"), Some(1));
    }
    // Drivers 390 to 460 had one label for both part numbers.
    let old = Card { board_part: None, gpu_part: "900-2G133-0000-000".to_owned(), ..Card::h100() };
    for bytes in [old.text(41), old.xml()] {
        let gpu = gpus(bytes.as_bytes()).remove(0);
        assert_eq!((gpu.board_part_number.as_deref(), gpu.gpu_part_number), (Some("900-2G133-0000-000"), None));
    }
    let reading = |value: &str, path: &str| {
        let card = Card { serial: value.to_owned(), memory: value.to_owned(), fan: value.to_owned(), ..Card::h100() };
        evidence(card.text(41).as_bytes()).parts[0].reading(path).cloned()
    };
    const SERIAL: &str = "gpu.nvml.serial";
    const MEMORY: &str = "gpu.nvml.memory.total_mib";
    assert_eq!(reading("N/A", SERIAL), Some(Reading::Absent));
    assert_eq!(reading("[N/A]", MEMORY), Some(Reading::Unsupported));
    assert_eq!(reading("Insufficient Permissions", MEMORY), Some(Reading::Denied));
    assert_eq!(reading("Unknown Error", MEMORY), Some(Reading::Failed("Unknown Error".to_owned())));
    assert_eq!(reading("17592186044415 MiB", MEMORY).map(|it| it.state()), Some("failed"));
    assert_eq!(reading("GPU is lost", "gpu.nvml.lost"), Some(Reading::Known(true.into())));
    // What could not be read is no card without fans.
    let lost = Card { fan: "GPU is lost".to_owned(), ..Card::h100() };
    assert_eq!(gpus(lost.text(41).as_bytes())[0].fans, None);
}

#[test]
fn values_that_change_between_two_printouts_are_told() {
    let first = Card::h100();
    let second = Card { serial: "1650000000002".to_owned(), ..Card::h100() };
    let evidence = evidence(format!("{}{}", first.text(41), second.text(41)).as_bytes());
    let expected = Value::List(vec!["gpu.nvml.serial".into()]);
    assert_eq!(evidence.parts[0].reading("gpu.nvml.unstable"), Some(&Reading::Known(expected)));
    assert_eq!(evidence.parts[0].text("gpu.nvml.serial"), Some("1650000000001"));
}

#[test]
fn listings_without_addresses_are_matched_by_number_only_where_that_is_safe() {
    let nvlink = |uuid: &str| {
        (0..2).fold(String::new(), |text, index| {
            text + &format!(
                "GPU {index}: NVIDIA H100 80GB HBM3 (UUID: {uuid})\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n"
            )
        })
    };
    let masked = "GPU-00000000-0000-0000-0000-000000000000";
    let cards: String = ["00000000:17:00.0", "00000000:3B:00.0"]
        .map(|address| Card { address: address.to_owned(), uuid: masked.to_owned(), ..Card::h100() }.text_of(41, 2))
        .concat();
    let found = gpus((cards + &nvlink(masked)).as_bytes());
    assert_eq!(found.iter().map(|gpu| gpu.part.as_str()).collect::<Vec<_>>(), ["gpu:0000:17:00.0", "gpu:0000:3b:00.0"]);
    assert_eq!((found[1].nvlinks, found[1].nvlinks_active), (Some(2), Some(1)));
    // Two cards with one UUID stay two.
    let twice = "GPU-34bf77d1-c686-6821-79a8-32d326c5039c";
    assert_eq!(gpus(nvlink(twice).as_bytes()).len(), 2);
}

#[test]
fn lspci_shows_what_the_bus_says() {
    let dump: String = (0..4096 / 16)
        .map(|row| {
            let bytes: String =
                crate::support::PciFunction::h100("0000:17:00.0", "0000:16:00.0", 0x48b0_2d00_0000_0001).config()
                    [row * 16..row * 16 + 16]
                    .iter()
                    .map(|byte| format!(" {byte:02x}"))
                    .collect();
            format!("{:02x}:{bytes}\n", row * 16)
        })
        .collect();
    let text = format!(
        "00:1f.0 ISA bridge [0601]: Intel Corporation Device [8086:a1c8]\n\
         17:00.1 Audio device [0403]: NVIDIA Corporation Device [10de:22ba] (rev a1)\n\
         17:00.0 3D-Steuerung [0302]: NVIDIA Corporation GH100 [10de:2331] (rev a1)\n{dump}"
    );
    let evidence = evidence(text.as_bytes());
    assert_declared(&evidence);
    let gpu = &evidence.parts[0];
    assert_eq!((evidence.parts.len(), gpu.id.as_str()), (1, "gpu:0000:17:00.0"));
    assert_eq!(gpu.text("gpu.pci.device_id"), Some("0x2331"));
    assert_eq!(gpu.integer("gpu.pci.link.max_width"), Some(16));
    assert_eq!(gpu.text("gpu.pci.serial_number"), Some("48-b0-2d-00-00-00-00-01"));
    assert!(gpu.integer("gpu.pci.rebar_max_bytes").is_some());
    // Without privileges the capabilities are refused, and nothing is made up.
    let refused = "17:00.0 3D controller: NVIDIA Corporation Device 2330 (rev a1)\n\tCapabilities: <access denied>\n";
    let refused = self::evidence(refused.as_bytes());
    assert_eq!(refused.parts[0].reading("gpu.pci.link.max_width"), Some(&Reading::Denied));
    assert_eq!(refused.parts[0].text("gpu.pci.device_id"), Some("0x2330"));
}

#[test]
fn the_command_screens_each_file_and_tells_which_it_cannot() {
    let place = Place::new();
    fs::write(place.path("card.txt"), Card::h100().text(41)).unwrap();
    fs::write(place.path("card.xml"), Card::h100().xml()).unwrap();
    fs::write(place.path("poem.txt"), "roses are red\n").unwrap();
    let ran = place.run(["screen", "card.txt"]).exits(3);
    for expected in [
        "card.txt (nvidia-smi-q)\n",
        "evidence imported, assurance L0",
        "gpu:0000:17:00.0  NVIDIA H100 80GB HBM3  10de:2330  10de:16c1  81559 MiB  700 W",
        "  ask the seller for: nvidia-smi -q; lspci -nnvvv as root\n",
        "Verdict: undecided (policy default)\n  - the evidence is imported, and policy default accepts live only\n",
    ] {
        assert!(ran.stdout.contains(expected), "{expected} is not in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("cpu."), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().unwrap().ends_with(" not checkable"), "{}", ran.stdout);

    let ran = place.run(["screen", "card.txt", "poem.txt", "missing.txt", "card.xml"]).exits(2);
    assert!(ran.stderr.contains("error: cannot screen poem.txt\n  caused by: not a format"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: cannot screen missing.txt\n"), "{}", ran.stderr);
    assert_eq!(
        ran.stderr.matches("hint: yanji screen reads what these print: nvidia-smi").count(),
        1,
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.matches("Verdict: ").count(), 2, "{}", ran.stdout);

    let ran = place.run(["screen", "--format", "json", "card.txt", "poem.txt", "card.xml"]).exits(2);
    let lines: Vec<Json> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (shared, lines) = lines.split_last().unwrap();
    assert_eq!(
        lines.iter().map(|line| line["file"].as_str().unwrap()).collect::<Vec<_>>(),
        ["card.txt", "poem.txt", "card.xml"]
    );
    // One card in two files that don't say whose they are: two machines were said to be meant.
    assert_eq!(shared["duplicates"][0]["fact"], "gpu.nvml.uuid");
    assert_eq!(
        (&shared["duplicates"][0]["confidence"], &shared["again"]),
        (&"medium".into(), &Json::Array(Vec::new()))
    );
    assert!(lines[1]["error"].as_str().unwrap().contains("not a format"), "{}", lines[1]);
    let folder = place.run(["screen", "--format", "json", "."]).exits(2);
    assert_eq!(folder.stdout.lines().count(), 4, "{}", folder.stdout);
    // Nothing in a file gets past the terminal's guard.
    let hostile = Card { name: "RTX\u{9b}2J \u{202e}4090".to_owned(), ..Card::h100() };
    fs::write(place.path("hostile.txt"), hostile.text(41)).unwrap();
    for format in ["plain", "json"] {
        let ran = place.run(["screen", "--format", format, "hostile.txt"]).exits(3);
        assert!(!ran.stdout.contains(['\u{9b}', '\u{202e}']), "{}", ran.stdout);
    }
}

#[test]
fn both_commands_print_the_same_json() {
    let place = Place::new();
    fs::write(place.path("card.txt"), Card::h100().text(41)).unwrap();
    let screened = place.run(["screen", "--format", "json", "card.txt"]).exits(3).json();
    assert_eq!((&screened["origin"], &screened["assurance"]), (&"imported".into(), &"L0".into()));
    assert_eq!((&screened["file"], &screened["format"]), (&"card.txt".into(), &"nvidia-smi-q".into()));
    let gpu = &screened["gpus"][0];
    assert_eq!(gpu["pci_subsystem_id"], "0x16C110DE");
    assert_eq!(gpu["power_limit_max_watts"], 700.5);
    assert_eq!((&gpu["pdi"], &gpu["chip_sku"], &gpu["sm_count"]), (&Json::Null, &Json::Null, &Json::Null));
    assert_eq!(gpu["fans"], Json::Array(Vec::new()));
    let blind = gpu["inconclusive"].as_array().unwrap();
    assert!(!blind.is_empty() && blind.iter().all(|it| it["part"] == gpu["part"] && it["missing"][0].is_string()));
    assert_eq!(screened["judgement"]["counts"]["notCheckable"], screened["inconclusive"].as_array().unwrap().len());

    let mut machine = crate::support::RecordedMachine::server();
    machine.dimms[3].serial = machine.dimms[2].serial.clone();
    let archive = place.archive(&machine);
    let inspected = place.run(["inspect", "--host", archive, "--format", "json"]);
    let inspected = inspected.json();
    let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut expected = keys(&screened);
    expected.retain(|key| !matches!(key.as_str(), "file" | "format"));
    assert_eq!(keys(&inspected), expected);
    assert_eq!(keys(&inspected["gpus"][0]), keys(gpu));
    assert_eq!(inspected["gpus"][0]["pci_device"], "10de:2331");
    let finding =
        inspected["findings"].as_array().unwrap().iter().find(|it| it["rule"] == "dimm.serial-duplicate").unwrap();
    for key in ["part", "severity", "confidence", "title", "witnesses"] {
        assert!(!finding[key].is_null(), "{key} is not in {finding}");
    }
    assert_eq!(inspected["judgement"]["counts"]["firing"], inspected["findings"].as_array().unwrap().len());
}

#[test]
fn standard_input_and_one_machine_in_several_files() {
    let place = Place::new();
    let card = Card::h100();
    let mut child = place
        .command(["screen", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(card.csv().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let json: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["file"], &json["gpus"][0]["memory_total_mib"]), (&"-".into(), &81559.into()));

    // Anonymous on one side: matched because each file has one card. At another address: another card.
    let query = "Device 0: \"NVIDIA H100 80GB HBM3\"\n  CUDA Capability Major/Minor version number:    9.0\n  (132) Multiprocessors, (128) CUDA Cores/MP: 16896 CUDA Cores\n";
    fs::write(place.path("q.txt"), card.text(41)).unwrap();
    fs::write(place.path("cuda.txt"), query).unwrap();
    fs::write(place.path("lspci.txt"), "3b:00.0 3D controller [0302]: NVIDIA Corporation GH100 [10de:2330] (rev a1)\n")
        .unwrap();
    let one = place.run(["screen", "--same-machine", "--format", "json", "q.txt", "cuda.txt"]).exits(3).json();
    assert_eq!(one["gpus"].as_array().unwrap().len(), 1);
    assert_eq!((&one["gpus"][0]["sm_count"], &one["gpus"][0]["serial"]), (&132.into(), &card.serial.as_str().into()));
    assert_eq!(one["format"], "nvidia-smi-q+device-query");
    let two = place.run(["screen", "--same-machine", "--format", "json", "q.txt", "lspci.txt"]).exits(3).json();
    assert_eq!(two["gpus"].as_array().unwrap().len(), 2);
}
