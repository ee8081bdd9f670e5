//! What a person meets: help, mistakes, exit codes, pipes, and the rules.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use yanji::attest::envelope;
use yanji::attest::key::PublicKey;

use super::{Place, Ran, change};
use crate::support::RecordedMachine;

#[test]
fn help_tells_every_exit_code_and_every_command() {
    let place = Place::new();
    let help = place.run(["--help"]).exits(0).stdout;
    let table = help.split("Exit codes:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let codes: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5"]);
    for command in
        ["inspect", "screen", "capture", "burn", "certify", "verify", "decode", "key", "rules", "completions"]
    {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
        let own = place.run([command, "--help"]).exits(0).stdout;
        assert!(own.contains("Usage: yanji"), "{own}");
    }
    assert!(!help.contains("worker") && !help.contains("nvml-reader"), "{help}");
    assert!(help.contains("YANJI_ROOT"), "{help}");
    assert!(place.run(["--version"]).exits(0).stdout.starts_with("yanji "));
}

#[test]
fn a_clock_beyond_all_years_is_told() {
    let place = Place::new();
    let yanji = place.command([""; 0]);
    let mut command = Command::new("faketime");
    command.arg("9999-12-31 23:59:59").arg(yanji.get_program()).args([
        "challenge",
        "new",
        "--for",
        "x",
        "-o",
        "c.json",
    ]);
    command.current_dir(place.path("")).env("XDG_DATA_HOME", place.path("data")).env("TZ", "UTC");
    let Ok(output) = command.output() else {
        println!("skipped: no faketime");
        return;
    };
    let ran = Ran::from(output).exits(2);
    assert!(ran.stderr.contains("hint: set the clock") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn mistakes_exit_with_2_and_say_what_to_do() {
    let place = Place::new();
    fs::write(place.path("no.tar"), "not an archive").unwrap();
    fs::write(place.path("bad.toml"), "name = \"x\"\nduration_seconds = 10\n\n[memory]\nphase_secnds = 5\n").unwrap();
    fs::write(place.path("challenge"), "zz").unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    let cases: [(&[&str], &str); 16] = [
        (&[], "Usage: yanji"),
        (&["inspekt"], "unrecognized subcommand"),
        (&["inspect", "--hots", "x"], "unexpected argument"),
        (&["inspect", "--format", "xml"], "plain, json"),
        (&["verify"], "required arguments"),
        (&["inspect", "--host", "missing.tar.zst"], "hint: make one with: yanji capture"),
        (&["inspect", "--host", "no.tar"], "hint: make one with: yanji capture"),
        (&["capture", "-o", "missing/x.tar.zst"], "hint: choose another place with -o"),
        (&["verify", "missing.dsse.json"], "hint: give the report.dsse.json that yanji certify wrote"),
        (&["verify", "empty"], "hint: give the report.dsse.json that yanji certify wrote"),
        (&["verify", "no.tar", "--key", "no.tar"], "hint: yanji key show FILE prints the public half"),
        (&["burn", "--profile", "bad.toml"], "line 5, column 1"),
        (&["certify", "--profile", "nightly"], "hint: the built-in profiles are quick, 24h, 72h, 168h"),
        (&["certify", "--challenge", "challenge", "--host", "no.tar"], "caused by: "),
        (&["rules", "explain", "cpu.nothing"], "hint: yanji rules list shows them all"),
        (&["inspect", "--signatures", "missing"], "hint: signatures/README.md describes the format"),
    ];
    for (arguments, expected) in cases {
        let ran = place.run(arguments).exits(2);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    let left: Vec<_> = fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "a mistake left something behind: {left:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    for arguments in [
        vec!["rules", "facts"],
        vec!["rules", "list", "--format", "json"],
        vec!["inspect", "--host", "host.tar.zst", "--format", "json"],
        vec!["inspect", "--host", "host.tar.zst"],
    ] {
        let mut command = place.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "", "{arguments:?}");
        // Short output may be in the pipe before its reader goes; either way it is no failure of the tool.
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 3)), "{arguments:?}");
    }
}

#[test]
fn rules_are_listed_explained_and_checked() {
    let place = Place::new();
    let list = place.run(["rules", "list"]).exits(0).stdout;
    let json = place.run(["rules", "list", "--format", "json"]).exits(0).json();
    let rules = json["rules"].as_array().unwrap();
    assert!(list.ends_with(&format!("{} rules\n", rules.len())), "{list}");
    for rule in rules {
        let id = rule["id"].as_str().unwrap();
        assert!(list.contains(&format!("\n  {id} ")), "{id}");
        assert!(!rule["innocent"].as_array().unwrap().is_empty(), "{id}");
    }
    let explained = place.run(["rules", "explain", "dimm.serial-duplicate"]).exits(0).stdout;
    for heading in [
        "\nWhat it means\n",
        "\nHow bad, and how sure\n",
        "\nWhat else can cause it\n",
        "\nWhat to do\n",
        "\nReferences\n",
        "fires when\n",
    ] {
        assert!(explained.contains(heading), "{heading:?} is not in {explained}");
    }
    assert!(place.run(["rules", "lint"]).exits(0).stdout.ends_with(" rules, 0 complaints\n"));
    let facts = place.run(["rules", "facts", "--format", "json"]).exits(0).json();
    assert!(facts.as_array().unwrap().iter().any(|fact| fact["path"] == "dimm.smbios.serial"), "{}", facts[0]);
}

#[test]
fn a_typo_in_a_rule_is_shown_with_line_and_column_by_every_command() {
    let place = Place::new();
    let folder = place.signatures();
    let plain = place.run(["rules", "list", "--signatures", "signatures"]).exits(0).stdout;
    assert_eq!(plain, place.run(["rules", "list"]).exits(0).stdout);

    let file = folder.join("cpu/mixed.toml");
    change(&file, "severity = ", "severty = ");
    place.archive(&RecordedMachine::server());
    for arguments in [
        vec!["rules", "lint"],
        vec!["rules", "list"],
        vec!["inspect", "--host", "host.tar.zst"],
        vec!["certify", "--host", "host.tar.zst", "--out", "report"],
    ] {
        let arguments: Vec<&str> = arguments.into_iter().chain(["--signatures", "signatures"]).collect();
        let ran = place.run(&arguments).exits(2);
        for expected in ["signatures/cpu/mixed.toml", "line 4, column 1", "unknown field `severty`", "hint: "] {
            assert!(ran.stderr.contains(expected), "{expected} is not in {}", ran.stderr);
        }
        assert_eq!(ran.stdout, "");
    }
    assert!(!place.path("report").exists());

    change(&file, "severty = ", "severity = ");
    change(&file, "cpu.differs_from", "cpu.difers_from");
    let ran = place.run(["rules", "lint", "--signatures", "signatures"]).exits(2);
    assert!(ran.stdout.contains("cpu.mixed: ") && ran.stdout.contains("no collector makes"), "{}", ran.stdout);
}

#[test]
fn completions_are_scripts() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let Ran { stdout, .. } = place.run(["completions", shell]).exits(0);
        assert!(stdout.contains("certify") && stdout.contains("resume"), "{shell}");
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for below in ["completions", "help", "man", "schema"] {
        for entry in fs::read_dir(folder.join(below)).unwrap() {
            let entry = entry.unwrap();
            found.insert(Path::new(below).join(entry.file_name()), fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[cfg(debug_assertions)]
#[test]
fn generated_files_are_those_of_this_command_line() {
    let place = Place::new();
    place.run(["generate", "made"]).exits(0);
    let (made, kept) = (files(&place.path("made")), files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")));
    assert_eq!(made.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for (path, content) in made {
        assert!(content == kept[&path], "packaging/{} is out of date: cargo run -- generate packaging", path.display());
    }
}

#[test]
fn a_build_statement_is_signed_and_nothing_that_could_pass_for_a_report() {
    let place = Place::new();
    place.run(["key", "gen", "--out", "release.pem", "--no-passphrase"]).exits(0);
    let statement = |kind: &str, subjects: serde_json::Value| {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": kind,
            "predicate": { "buildDefinition": {}, "runDetails": {} },
        })
    };
    let file = json!([{ "name": "yanji.tar.xz", "digest": { "sha256": "ab".repeat(32) } }]);
    let provenance = "https://slsa.dev/provenance/v1";
    let good = statement(provenance, file.clone()).to_string();
    fs::write(place.path("good.json"), &good).unwrap();
    let sign = ["attest-build", "good.json", "--key", "release.pem", "-o", "good.dsse.json"];
    place.run(sign).exits(0);
    let envelope: serde_json::Value = serde_json::from_slice(&fs::read(place.path("good.dsse.json")).unwrap()).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, good.as_bytes(), "the bytes are signed as they are");
    let signature = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    let key = PublicKey::load(&place.path("release.pem.pub")).unwrap();
    assert!(key.verify(&envelope::pae(&payload), &signature));

    for (refused, why) in [
        (statement("https://yanji.example/hw-authenticity/v1", file).to_string(), "its predicate is of type"),
        (statement(provenance, json!([])).to_string(), "it is about no file"),
        (good.replacen('{', r#"{"_type":"twice","#, 1), "is no in-toto statement"),
    ] {
        fs::write(place.path("bad.json"), refused).unwrap();
        let ran = place.run(["attest-build", "bad.json", "--key", "release.pem", "-o", "bad.dsse.json"]).exits(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(!place.path("bad.dsse.json").exists());
    }
}

/// The same command where there is no terminal to ask on.
fn without_terminal(place: &Place, args: &[&str]) -> Ran {
    let own = place.command(args);
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(own.get_program()).args(own.get_args()).current_dir(place.path(""));
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ran::from(command.output().unwrap())
}

#[test]
fn a_passphrase_that_cannot_be_had_is_the_users_to_give() {
    let place = Place::new();
    fs::write(place.path("phrase"), "correct horse\n").unwrap();
    fs::write(place.path("empty"), "\n").unwrap();
    place.run(["key", "gen", "--out", "locked.pem", "--passphrase-file", "phrase"]).exits(0);
    let cases: [(&[&str], &str); 4] = [
        (&["key", "gen", "--out", "new.pem", "--passphrase-file", "nope"], "hint: give a text file whose first line"),
        (&["key", "gen", "--out", "new.pem", "--passphrase-file", "empty"], "hint: --no-passphrase makes a key"),
        (&["key", "gen", "--out", "new.pem"], "hint: give --passphrase-file FILE, set YANJI_PASSPHRASE"),
        (
            &["challenge", "new", "--for", "x", "-o", "c.json", "--key", "locked.pem"],
            "hint: set YANJI_PASSPHRASE, or run on a terminal to be asked",
        ),
    ];
    for (arguments, hint) in cases {
        let ran = without_terminal(&place, arguments).exits(2);
        assert!(ran.stderr.contains(hint), "{arguments:?}: {}", ran.stderr);
    }
    assert!(!place.path("new.pem").exists() && !place.path("c.json").exists());
    assert!(place.run(["--help"]).exits(0).stdout.contains("YANJI_PASSPHRASE"));
}

#[test]
fn a_public_key_in_the_place_of_a_private_one_is_called_that() {
    let place = Place::new();
    place.run(["key", "gen", "--out", "own.pem", "--no-passphrase"]).exits(0);
    let ran = place.run(["challenge", "new", "--for", "x", "-o", "c.json", "--key", "own.pem.pub"]).exits(2);
    assert!(ran.stderr.contains("own.pem.pub is the public half of a key"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("hint: give the private half: own.pem\n"), "{}", ran.stderr);
}
