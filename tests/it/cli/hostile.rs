//! Texts from devices are hostile: nothing that they hold may reach a terminal as anything but text.

use std::fs;

use super::{Place, Ran};
use crate::support::RecordedMachine;

const ESCAPES: &str = "\x1b[2J\x1b]0;owned\x07\x1b[31m\u{9b}5m";
const HTML: &str = "</td><script>alert(1)</script>";
const FORMULA: &str = "=cmd|' /C calc'!A0";
const BIDI: &str = "gpj\u{202e}exe\u{2066}\u{200b}\u{feff}";

fn hostile_server() -> RecordedMachine {
    let long = "L".repeat(4096);
    RecordedMachine::server()
        .with(|machine| {
            machine.manufacturer = format!("Super{ESCAPES}micro");
            machine.product = format!("SYS\nVerdict: accepted\r\n{HTML}");
            machine.board_serial = FORMULA.to_owned();
            machine.dimms[0].serial = format!("{ESCAPES}A1");
            machine.dimms[1].serial = format!("line\none\ttwo\r{BIDI}");
            machine.dimms[2].serial = HTML.to_owned();
            machine.dimms[3].serial = FORMULA.to_owned();
            machine.dimms[4].serial = long.clone();
            machine.dimms[5].serial = long;
            machine.dimms[6].locator = format!("{ESCAPES}\nP9");
            machine.dimms[7].part_number = BIDI.to_owned();
            machine.drives[0].model = "\x1b[2Jfine\nVerdict: accepted".to_owned();
            machine.nics[0].firmware = ESCAPES.to_owned();
            each_brand(machine, &format!("{ESCAPES}{BIDI}"));
        })
        .file("/sys/class/dmi/id/product_serial", vec![b'S'; 1 << 20])
        .file("/sys/class/dmi/id/board_serial", [0xff, 0xfe, 0x1b, b'[', b'0', b'm'])
}

fn each_brand(machine: &mut RecordedMachine, brand: &str) {
    for cpu in &mut machine.cpus {
        cpu.brand = brand.chars().take(20).collect();
    }
}

#[track_caller]
fn assert_harmless(text: &str) {
    let bad = text.chars().find(|character| {
        character.is_control() && *character != '\n'
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    });
    assert_eq!(bad, None, "{text:?}");
}

fn inspect(place: &Place, arguments: &[&str], locale: &str) -> Ran {
    let mut command = place.command(["inspect", "--host", "host.tar.zst"]);
    Ran::from(command.args(arguments).env("LC_ALL", locale).output().unwrap())
}

#[test]
fn no_text_of_a_device_controls_the_terminal() {
    let place = Place::new();
    place.archive(&hostile_server());
    for locale in ["C.UTF-8", "C", ""] {
        let ran = inspect(&place, &[], locale).exits(3);
        assert_harmless(&ran.stdout);
        assert_harmless(&ran.stderr);
        assert!(ran.stdout.contains("\\u{1b}[2J"), "{}", ran.stdout);
        assert!(ran.stdout.contains(HTML) && ran.stdout.contains(FORMULA), "{}", ran.stdout);
        assert!(ran.stdout.contains("L[3896 more]"), "{}", ran.stdout);
        assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("Verdict: ")).count(), 1, "{}", ran.stdout);
        assert!(ran.stdout.len() < 64 << 10, "{}", ran.stdout.len());
        if locale != "C.UTF-8" {
            assert!(ran.stdout.is_ascii(), "{}", ran.stdout);
        }
    }
}

#[test]
fn names_in_a_recording_are_hostile_too() {
    let place = Place::new();
    place.archive(&hostile_server().with(|machine| {
        machine.nics[0].name = "\x1b[2Jeth0\n".to_owned();
        machine.drives[0].name = "nvme\x1b]0;x\x07n1".to_owned();
        machine.drives[0].smartctl = false;
    }));
    for arguments in [vec![], vec!["-v"], vec!["-vv"]] {
        let ran = inspect(&place, &arguments, "C.UTF-8").exits(3);
        assert_harmless(&ran.stdout);
        assert_harmless(&ran.stderr);
        assert!(ran.stdout.contains("nic:\\u{1b}[2Jeth0\\n"), "{}", ran.stdout);
    }
    let mut archive = tar::Builder::new(fs::File::create(place.path("bad.tar")).unwrap());
    for _ in 0..2 {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive.append_data(&mut header, "sys/\x1b[31mx\u{202e}", &[][..]).unwrap();
    }
    archive.into_inner().unwrap();
    let ran = place.run(["inspect", "--host", "bad.tar"]).exits(2);
    assert_harmless(&ran.stderr);
    assert!(ran.stderr.contains("caused by: "), "{}", ran.stderr);
}

#[test]
fn json_keeps_the_text_of_a_device_as_it_is() {
    let place = Place::new();
    place.archive(&hostile_server());
    let ran = inspect(&place, &["--format", "json"], "C.UTF-8").exits(3);
    assert!(!ran.stdout.chars().any(|character| character.is_control() && character != '\n'), "raw control character");
    let json = ran.json();
    let parts = json["evidence"]["parts"].as_array().unwrap();
    let serials: Vec<&str> =
        parts.iter().filter_map(|part| part["facts"]["dimm.smbios.serial"]["reading"]["known"].as_str()).collect();
    assert_eq!(serials.len(), 16, "{}", parts.iter().find(|part| part["scope"] == "dimm").unwrap());
    for text in [format!("{ESCAPES}A1"), format!("line\none\ttwo\r{BIDI}"), HTML.to_owned(), FORMULA.to_owned()] {
        assert!(serials.contains(&text.as_str()), "{text:?} is not in {serials:?}");
    }
}

/// Columns that a text takes on a terminal: East Asian wide characters take two.
fn columns(text: &str) -> usize {
    text.chars().map(|character| if ('\u{1100}'..='\u{ffdc}').contains(&character) { 2 } else { 1 }).sum()
}

#[test]
fn columns_align_under_wide_characters_and_a_console_without_unicode_gets_ascii() {
    let place = Place::new();
    place.archive(&RecordedMachine::server().with(|machine| {
        machine.dimms[0].manufacturer = "三星电子".to_owned();
        machine.dimms[0].serial = "序列号零零零一".to_owned();
        machine.dimms[1].manufacturer = "サムスン".to_owned();
    }));
    let ran = inspect(&place, &[], "C.UTF-8").exits(3);
    let heading = ran.stdout.lines().find(|line| line.contains("serial number")).unwrap();
    let start = columns(heading.split("serial number").next().unwrap());
    let modules: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("  dimm:P")).collect();
    assert_eq!(modules.len(), 16);
    assert!(modules[0].contains("三星电子") && modules[1].contains("サムスン"), "{}", ran.stdout);
    for module in modules {
        let serial = module.split("  ").filter(|cell| !cell.trim().is_empty()).last().unwrap().trim();
        let before = module.rsplit_once(serial).unwrap().0;
        assert_eq!(columns(before), start, "{}", ran.stdout);
    }
    let ran = inspect(&place, &[], "C").exits(3);
    assert!(ran.stdout.is_ascii() && ran.stdout.contains("\\u{4e09}\\u{661f}"), "{}", ran.stdout);
    for arguments in [["rules", "list"], ["rules", "facts"], ["rules", "lint"]] {
        let ran = Ran::from(place.command(arguments).env("LC_ALL", "C").output().unwrap()).exits(0);
        assert!(ran.stdout.is_ascii(), "{}", ran.stdout);
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    for arguments in [vec!["inspect", "--host", "host.tar.zst"], vec!["rules", "explain", "cpu.mixed"]] {
        for no_colour in [None, Some("1")] {
            let mut command = place.command(&arguments);
            command.env("TERM", "xterm-256color").envs(no_colour.map(|value| ("NO_COLOR", value)));
            assert!(!Ran::from(command.output().unwrap()).stdout.contains('\x1b'));
        }
    }
    let on_a_terminal = |no_colour: Option<&str>| {
        let mut command = std::process::Command::new("script");
        let yanji = format!("'{}' inspect --host host.tar.zst", super::YANJI);
        command.args(["-qec", &yanji, "/dev/null"]).current_dir(place.path("."));
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        command.envs(no_colour.map(|value| ("NO_COLOR", value)));
        command.stdin(std::process::Stdio::null()).output().map(|output| output.stdout)
    };
    let (Ok(coloured), Ok(plain)) = (on_a_terminal(None), on_a_terminal(Some("1"))) else {
        eprintln!("skipped: no script(1) to make a terminal with");
        return;
    };
    assert!(coloured.windows(2).any(|bytes| bytes == b"\x1b["), "{}", String::from_utf8_lossy(&coloured));
    assert!(!plain.contains(&0x1b), "{}", String::from_utf8_lossy(&plain));
}
