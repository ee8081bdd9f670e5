//! `certify` on the machine that runs the tests, with a burn-in of a few seconds.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use yanji::attest::envelope::Envelope;
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::statement::Statement;
use yanji::attest::{self, Digest};
use yanji::burn;
use yanji::claim::Order;
use yanji::evidence::Origin;
use yanji::rule::Signatures;

use super::{Place, Ran};
use crate::support::RecordedMachine;

/// A burn-in that is over in a moment.
pub const TINY_PROFILE: &str = "\
name = \"tiny\"
duration_seconds = 2
telemetry_interval_seconds = 1

[memory]
max_bytes = 8388608
phase_seconds = 1
retention_seconds = 0

[cpu]
phase_seconds = 1
";

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("tiny.toml"), TINY_PROFILE).unwrap();
    let long = TINY_PROFILE.replace("duration_seconds = 2", "duration_seconds = 8");
    fs::write(place.path("longer.toml"), long).unwrap();
    place
}

fn start(place: &Place, profile: &str) -> Child {
    let mut command = place.command(["certify", "--out", "report", "--profile", profile]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the burn-in has a worker at work.
fn wait_for_worker(place: &Place) {
    let records = place.path("report/.unfinished").join(burn::FILE_NAME);
    let begun = Instant::now();
    while !fs::read_to_string(&records).is_ok_and(|text| text.contains("worker-started")) {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

fn finish(child: Child) -> Ran {
    Ran::from(child.wait_with_output().unwrap())
}

fn statement(place: &Place, folder: &str) -> Statement {
    let envelope = fs::read(place.path(folder).join("report.dsse.json")).unwrap();
    serde_json::from_slice(&Envelope::parse(&envelope).unwrap().payload).unwrap()
}

/// The items of a report's container.
fn items(place: &Place, folder: &str) -> Vec<Item> {
    let statement = statement(place, folder);
    let bytes = statement.predicate.evidence.iter().map(|item| item.bytes).sum();
    let tar = fs::File::open(place.path(folder).join("evidence.tar")).unwrap();
    let container = evidence_tar::read(tar, bytes, |_, _| true).unwrap();
    container
        .items
        .into_iter()
        .map(|found| {
            let listed = statement.predicate.evidence.iter().find(|item| item.id == found.id).unwrap();
            Item {
                id: found.id,
                media_type: listed.media_type.clone(),
                content: Content::Bytes(found.content.unwrap()),
            }
        })
        .collect()
}

#[test]
fn a_burn_in_is_signed_and_comes_out_the_same_for_the_verifier() {
    let place = place();
    let inspected = place.run(["inspect"]).code;
    let ran = place.run(["certify", "--out", "report", "--profile", "tiny.toml"]);
    // The burn-in may find the machine throttled or too busy; it never makes a verdict better.
    assert!(ran.code == inspected || ran.code == 3, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("notice: made a signing key for this machine"), "{}", ran.stderr);
    let verified = place.run(["verify", "report"]).exits(ran.code);
    assert!(verified.stdout.contains("this machine's own key only"), "{}", verified.stdout);
    assert!(verified.stdout.contains("all ") && verified.stdout.contains(" checks follow from the evidence"));

    let first = statement(&place, "report");
    let burnin = first.predicate.burnin.as_ref().unwrap();
    assert_eq!(burnin.profile, "tiny");
    assert!(first.predicate.session.chain_head.is_some());
    let records = items(&place, "report").into_iter().find(|item| item.id == "burn/records.jsonl").unwrap();
    let Content::Bytes(records) = records.content else { panic!() };
    let summary = burn::replay(&records).unwrap();
    assert_eq!(summary.genesis, first.predicate.session.s0.to_string());
    assert_eq!(Some(summary.head), first.predicate.session.chain_head.map(|head| head.to_string()));

    let again = place.run(["certify", "--out", "report", "--profile", "tiny.toml"]).exits(2);
    assert!(again.stderr.contains("a report is never overwritten"), "{}", again.stderr);

    // The records of another run of the same signer, spliced into an otherwise perfect report.
    let second = place.run(["certify", "--out", "other", "--profile", "tiny.toml"]);
    assert!(second.code == inspected || second.code == 3, "{}", second.stderr);
    let other = items(&place, "other").into_iter().find(|item| item.id == "burn/records.jsonl").unwrap();
    let spliced: Vec<Item> = items(&place, "report")
        .into_iter()
        .map(|item| if item.id == other.id { other.clone() } else { item })
        .collect();
    let mut tar = Vec::new();
    let written = evidence_tar::write(spliced, &mut tar).unwrap();
    fs::write(place.path("report/evidence.tar"), &tar).unwrap();
    place.run(["verify", "report"]).exits(4);
    let key = Key::load(&place.path("data/yanji/key.pem"), None).unwrap();
    let mut forged = first.clone();
    forged.set_evidence(written);
    let theirs = statement(&place, "other").predicate;
    let mut refused = |change: &dyn Fn(&mut Statement), class: &str| {
        change(&mut forged);
        let envelope = Envelope::sign(forged.to_json().unwrap(), &key).to_json();
        fs::write(place.path("report/report.dsse.json"), envelope).unwrap();
        let json = place.run(["verify", "report", "--format", "json"]).exits(4).json();
        assert_eq!(json["reports"][0]["failures"][0]["class"], class, "{json}");
    };
    refused(&|_| {}, "E_EVIDENCE");
    refused(&|statement| statement.predicate.burnin = theirs.burnin.clone(), "E_EVIDENCE");
    refused(&|statement| statement.predicate.session.chain_head = theirs.session.chain_head, "E_EVIDENCE");
}

#[test]
fn a_virtual_driver_cannot_be_signed_as_live() {
    let place = Place::new();
    let mut machine = RecordedMachine::gpu_server();
    let nvidia = machine.nvidia.as_mut().unwrap();
    nvidia.simulated = true;
    let archive = place.archive(&machine);
    place.run(["certify", "--out", "report", "--host", archive]).exits(3);
    let honest = statement(&place, "report");
    assert_eq!(honest.predicate.origin, Origin::Simulated);
    place.run(["verify", "report"]).exits(3);

    let mut capture = Vec::new();
    machine.capture().write(&mut capture).unwrap();
    let signatures = Signatures::embedded().unwrap();
    let derived =
        attest::derive(&capture, None, Origin::Live, &honest.predicate.session.s0, &Order::default(), &signatures)
            .unwrap();
    assert_eq!(derived.inspection.evidence.origin, Origin::Simulated);

    let key = Key::load(&place.path("data/yanji/key.pem"), None).unwrap();
    for origin in [Origin::Live, Origin::Recorded] {
        let mut forged = honest.clone();
        forged.predicate.origin = origin;
        let envelope = Envelope::sign(forged.to_json().unwrap(), &key).to_json();
        fs::write(place.path("report/report.dsse.json"), envelope).unwrap();
        let json = place.run(["verify", "report", "--format", "json"]).exits(4).json();
        let failure = &json["reports"][0]["failures"][0];
        assert_eq!(failure["class"], "E_VERDICT_MISMATCH", "{json}");
        assert_eq!((&failure["what"], &failure["expected"]), (&"origin".into(), &"simulated".into()), "{failure}");
    }
}

#[test]
fn a_run_that_is_killed_goes_on_with_resume() {
    let place = place();
    let mut child = start(&place, "longer.toml");
    wait_for_worker(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    let session = || fs::read(place.path("report/.unfinished/session.json")).unwrap();
    let begun: Json = serde_json::from_slice(&session()).unwrap();
    assert!(!place.path("report/report.dsse.json").exists());

    let ran = place.run(["certify", "--out", "report"]).exits(2);
    assert!(ran.stderr.contains("hint: go on with --resume"), "{}", ran.stderr);
    let ran = place.run(["certify", "--out", "report", "--resume"]);
    assert!(matches!(ran.code, 0 | 1 | 3), "{}\n{}", ran.stdout, ran.stderr);
    let statement = statement(&place, "report");
    assert_eq!(statement.predicate.session.started_at, begun["startedAt"].as_str().unwrap());
    assert_eq!(statement.predicate.burnin.as_ref().unwrap().profile, "tiny");
    let completed = statement.predicate.checks.iter().find(|check| check.id == "burn.incomplete").unwrap();
    assert_eq!(completed.outcome, yanji::rule::Outcome::Clear);
    place.run(["verify", "report"]).exits(ran.code);
}

#[test]
fn an_interrupted_run_still_writes_its_report_and_is_undecided() {
    let place = place();
    let child = start(&place, "longer.toml");
    wait_for_worker(&place);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = finish(child).exits(3);
    assert!(ran.stdout.contains("Verdict: undecided"), "{}", ran.stdout);
    assert!(ran.stdout.contains("burn.incomplete on "), "{}", ran.stdout);
    let ran = place.run(["verify", "report"]).exits(3);
    assert!(ran.stdout.contains("burn.incomplete on "), "{}", ran.stdout);

    let ran = place.run(["certify", "--out", "report", "--resume"]);
    let resumed = statement(&place, "report").predicate;
    let completed = resumed.checks.iter().find(|check| check.id == "burn.incomplete").unwrap();
    assert_eq!(completed.outcome, yanji::rule::Outcome::Clear, "{}", ran.stderr);
    assert!(!place.path("report/.unfinished").exists());
    let earlier = fs::read_dir(place.path("report"))
        .unwrap()
        .map(|entry| format!("report/{}", entry.unwrap().file_name().to_str().unwrap()))
        .find(|name| name.contains("interrupted-"))
        .unwrap();
    // Two reports of one session, each with an id of its own.
    place.run(["verify", "report", &earlier]).exits(3);
}

#[test]
fn a_burn_in_of_another_machine_does_not_count_for_this_one() {
    let place = place();
    place.run(["certify", "--out", "report", "--profile", "tiny.toml"]);
    let s0 = statement(&place, "report").predicate.session.s0;
    let items = items(&place, "report");
    let bytes = |id: &str| match &items.iter().find(|item| item.id == id).unwrap().content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::File(_) => panic!(),
    };
    let (host, records) = (bytes(attest::HOST_ITEM), bytes(attest::RECORDS_ITEM));
    let signatures = Signatures::embedded().unwrap();
    attest::derive(&host, Some(&records), Origin::Live, &s0, &Order::default(), &signatures).unwrap();
    RecordedMachine::server().archive(&place.path("server.tar.zst"));
    let other = fs::read(place.path("server.tar.zst")).unwrap();
    let error = attest::derive(&other, Some(&records), Origin::Live, &s0, &Order::default(), &signatures).unwrap_err();
    assert!(error.to_string().contains("another machine"), "{error}");
    let error = attest::derive(&host, Some(&records), Origin::Live, &Digest::of(b""), &Order::default(), &signatures)
        .unwrap_err();
    assert!(error.to_string().contains("from this session") || error.to_string().contains("begin from"), "{error}");
}

#[test]
fn a_resumed_run_keeps_its_key() {
    let place = place();
    let mut child = start(&place, "longer.toml");
    wait_for_worker(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    let key: PathBuf = place.path("other.pem");
    place.run(["key", "gen", "--no-passphrase", "--out", key.to_str().unwrap()]).exits(0);
    let ran = place.run(["certify", "--out", "report", "--resume", "--key", "other.pem"]).exits(2);
    assert!(ran.stderr.contains("hint: give the same key with --key"), "{}", ran.stderr);
    fs::remove_file(place.path("report/.unfinished").join(burn::FILE_NAME)).unwrap();
    let ran = place.run(["certify", "--out", "report", "--resume"]).exits(2);
    assert!(ran.stderr.contains("before its burn-in began"), "{}", ran.stderr);
    fs::write(place.path("report/.unfinished/session.json"), "{}").unwrap();
    let ran = place.run(["certify", "--out", "report", "--resume"]).exits(2);
    assert!(ran.stderr.contains("session.json is damaged"), "{}", ran.stderr);
}

#[test]
fn a_report_that_could_not_be_written_is_written_with_resume_and_no_second_burn_in() {
    let place = place();
    fs::create_dir_all(place.path("report/evidence.tar")).unwrap();
    let ran = place.run(["certify", "--out", "report", "--profile", "tiny.toml"]).exits(2);
    assert!(ran.stderr.contains("hint: make room, then run again with --resume"), "{}", ran.stderr);
    assert!(!place.path("report/report.dsse.json").exists());
    let records = fs::read(place.path("report/.unfinished").join(burn::FILE_NAME)).unwrap();
    fs::remove_dir(place.path("report/evidence.tar")).unwrap();
    let ran = place.run(["certify", "--out", "report", "--resume"]);
    assert!(matches!(ran.code, 0 | 1 | 3), "{}", ran.stderr);
    place.run(["verify", "report"]).exits(ran.code);
    let kept = items(&place, "report").into_iter().find(|item| item.id == "burn/records.jsonl").unwrap();
    let Content::Bytes(kept) = kept.content else { panic!() };
    assert!(kept == records);
}
