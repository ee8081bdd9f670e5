//! Folders of reports.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value as Json;

use super::reports::signed;
use super::{Place, Ran};
use crate::support::RecordedMachine;

/// A folder of reports by two sellers: good ones at several depths, two machines with one processor, a damaged one, some
/// that can't be read, and traps.
fn place() -> Place {
    let place = signed().place();
    place.run(["key", "gen", "--out", "other.pem", "--no-passphrase"]).exits(0);
    let certify = |machine: &RecordedMachine, out: &str| {
        let host = place.archive(machine);
        place.run(["certify", "--host", host, "--out", out, "--key", "other.pem"]).exits(3);
    };
    fs::create_dir_all(place.path("reports/deep/er")).unwrap();
    fs::rename(place.path("report"), place.path("reports/deep/er/a")).unwrap();
    let machine = RecordedMachine::server();
    certify(&machine, "reports/b");
    certify(&machine, "reports/b-again");
    // Another machine with the very GPU and modules of the first.
    let other = machine.with(|machine| {
        machine.uuid[15] ^= 1;
        machine.serial = "OTHER1".to_owned();
        machine.board_serial = "OTHER2".to_owned();
        machine.chassis_serial = "OTHER3".to_owned();
    });
    certify(&other, "reports/z");
    fs::create_dir_all(place.path("reports/damaged")).unwrap();
    let genuine = fs::read(place.path("reports/b/report.dsse.json")).unwrap();
    fs::write(place.path("reports/damaged/report.dsse.json"), &genuine[1..]).unwrap();
    // A pipe that nobody writes into, as envelope and as evidence.
    fs::create_dir_all(place.path("reports/pipe")).unwrap();
    fs::create_dir_all(place.path("reports/pipe2")).unwrap();
    fs::write(place.path("reports/pipe2/report.dsse.json"), &genuine).unwrap();
    for pipe in ["reports/pipe/report.dsse.json", "reports/pipe2/evidence.tar"] {
        assert!(Command::new("mkfifo").arg(place.path(pipe)).status().unwrap().success());
    }
    symlink("..", place.path("reports/deep/loop")).unwrap();
    symlink("b", place.path("reports/link")).unwrap();
    place
}

fn verify(place: &Place, more: &[&str]) -> Ran {
    place.run(["verify", "--key", "seller.pub", "--key", "other.pem.pub"].iter().chain(more))
}

#[test]
fn a_folder_is_verified_whatever_is_in_it_and_however_many_threads_do_it() {
    let place = place();
    for format in ["plain", "json", "csv"] {
        let alone = verify(&place, &["reports", "--format", format, "--jobs", "1"]).exits(4);
        for jobs in ["2", "7"] {
            let more = verify(&place, &["reports", "--format", format, "--jobs", jobs]).exits(4);
            assert_eq!(alone.stdout, more.stdout);
        }
    }
    let ran = verify(&place, &["reports"]).exits(4);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    for line in [
        "valid    undecided L1  reports/b",
        "valid    undecided L1  reports/deep/er/a",
        "INVALID  E_FORMAT (envelope)  reports/damaged",
    ] {
        assert!(lines.contains(&line), "{line:?} is not in {}", ran.stdout);
    }
    for (line, path) in [("UNREADABLE  (cannot read ", "reports/pipe"), ("UNREADABLE  (cannot read ", "reports/pipe2")]
    {
        assert!(lines.iter().any(|it| it.starts_with(line) && it.ends_with(path)), "{}", ran.stdout);
    }
    assert!(
        ran.stdout.contains("SEEN AGAIN  reports/b-again is about the same machine as reports/b "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("DUPLICATE"), "{}", ran.stdout);
    assert!(ran.stderr.contains("notice: 2 symbolic links in the folders were not followed"), "{}", ran.stderr);
    let totals = lines.last().unwrap();
    assert!(totals.starts_with("7 reports: ") && totals.ends_with(", 2 unreadable"), "{totals}");

    let json = verify(&place, &["reports", "--format", "json"]).exits(4).json();
    let paths: Vec<&str> = json["reports"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    let expected = ["b", "b-again", "damaged", "deep/er/a", "pipe", "pipe2", "z"].map(|it| format!("reports/{it}"));
    assert_eq!(paths, expected);
    assert_eq!((json["totals"]["reports"].as_u64(), json["totals"]["unreadable"].as_u64()), (Some(7), Some(2)));
    let z = &json["reports"][6];
    assert_eq!((z["valid"].as_bool(), &z["failures"][0]["class"]), (Some(false), &Json::from("E_DUPLICATE")));
    assert_eq!(json["reports"][1]["shared"]["duplicates"], Json::Array(Vec::new()));
}

/// Reads RFC 4180: quoted cells, rows that end in CRLF.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = csv.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => cell.push(other),
        }
    }
    rows
}

#[test]
fn a_spreadsheet_gets_a_row_for_each_report_and_no_formula() {
    let place = place();
    fs::create_dir_all(place.path("only")).unwrap();
    fs::rename(place.path("reports/z"), place.path("only/x")).unwrap();
    fs::write(place.path("=cmd|' , \"C\".json"), "{").unwrap();
    let ran = verify(&place, &["only", "=cmd|' , \"C\".json", "nothing", "--format", "csv"]).exits(4);
    let rows = cells(&ran.stdout);
    assert_eq!(rows.len(), 4, "{}", ran.stdout);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{}", ran.stdout);
    let cell = |row: usize, column: &str| rows[row][rows[0].iter().position(|it| it == column).unwrap()].as_str();
    assert_eq!((cell(1, "path"), cell(1, "valid"), cell(1, "verdict")), ("only/x", "true", "undecided"));
    assert_eq!((cell(1, "system_serial"), cell(1, "signers")), ("OTHER1", "other.pem.pub"));
    assert_eq!(cell(1, "unit").len(), 64);
    assert!(cell(1, "started_at").ends_with('Z'), "{}", cell(1, "started_at"));
    assert_eq!((cell(2, "path"), cell(2, "class")), ("'=cmd|' , \"C\".json", "E_FORMAT"));
    assert_eq!((cell(3, "path"), cell(3, "valid"), cell(3, "class")), ("nothing", "false", "UNREADABLE"));
    assert!(cell(3, "reasons").contains("No such file"), "{}", cell(3, "reasons"));
    place.run(["rules", "list", "--format", "csv"]).exits(2);
}

#[test]
fn a_folder_with_one_report_is_told_in_full_and_one_without_any_is_an_error() {
    let place = signed().place();
    fs::create_dir_all(place.path("up/report/interrupted-20260301T000000Z")).unwrap();
    for file in fs::read_dir(place.path("report")).unwrap().flatten() {
        fs::copy(file.path(), place.path("up/report").join(file.file_name())).unwrap();
    }
    // What was set aside beside a report that replaced it is not looked at.
    File::create(place.path("up/report/interrupted-20260301T000000Z/report.dsse.json")).unwrap();
    let ran = place.run(["verify", "up", "--key", "seller.pub"]).exits(3);
    assert!(ran.stdout.starts_with("up/report: valid\n"), "{}", ran.stdout);
    fs::create_dir(place.path("empty")).unwrap();
    let ran = place.run(["verify", "empty", "--key", "seller.pub"]).exits(2);
    assert!(ran.stderr.contains("cannot read empty/report.dsse.json"), "{}", ran.stderr);
    // A folder that came from somewhere may hold anything.
    for (kind, why) in [("-p", "not a regular file"), ("-s", "is a symbolic link, and none is followed")] {
        let path = place.path("empty/report.dsse.json");
        match kind {
            "-p" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            _ => symlink("../report/report.dsse.json", &path).unwrap(),
        }
        let ran = place.run(["verify", "empty", "--key", "seller.pub"]).exits(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        for command in [
            &["history", "empty", "--key", "seller.pub"][..],
            &["timestamp", "empty", "--request", "q.tsq"],
            &["void", "empty", "--reason", "x", "-o", "v.json", "--key", "seller.key"],
            &["export", "empty", "--pae", "pae.bin"],
        ] {
            if kind == "-p" {
                let ran = place.run(command).exits(2);
                assert!(ran.stderr.contains("not a regular file"), "{command:?}: {}", ran.stderr);
            }
        }
        fs::remove_file(path).unwrap();
    }
    let ran = place.run(["verify", "empty", "--key", "seller.pub", "--format", "json"]).exits(2);
    assert!(ran.json()["reports"][0]["error"].as_str().unwrap().contains("report.dsse.json"), "{}", ran.stdout);
    // JSON has no way to say such a name.
    let odd = place.path("up").join(OsStr::from_bytes(b"odd \xff"));
    fs::rename(place.path("up/report"), &odd).unwrap();
    let ran = place.run(["verify", "up", "--key", "seller.pub", "--format", "json", "--jobs", "100000"]).exits(3);
    assert_eq!(ran.json()["reports"][0]["path"], "up/odd \u{fffd}");
    let mut deep = place.path("deep");
    for _ in 0..40 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let ran = place.run(["verify", "deep", "report", "--key", "seller.pub", "--format", "json"]).exits(2);
    let errors: Vec<Json> = ran.json()["reports"].as_array().unwrap().iter().map(|it| it["error"].clone()).collect();
    assert!(errors[0].as_str().unwrap().contains("folders inside of each other"), "{errors:?}");
    assert_eq!(errors[1], Json::Null);
}
