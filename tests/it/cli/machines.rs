//! Whole machines: the healthy one, the one that gives nothing away, and the healthy one with any single file lost.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use yanji::evidence::{Origin, Reading};
use yanji::host::{BrokenHost, Capture, RecordedHost};
use yanji::inspection::{self, Inspection};
use yanji::policy::Verdict;
use yanji::rule::{Outcome, Severity, Signatures};

use super::{Place, inspect_as_live};
use crate::support::RecordedMachine;

/// The server with fewer cores and less memory: the same files, but not a thousand of a kind.
fn small_server() -> RecordedMachine {
    RecordedMachine::server().with(|machine| {
        machine.cpus.iter_mut().for_each(|cpu| cpu.cores = 2);
        machine.dimms.iter_mut().for_each(|dimm| dimm.size_bytes = 1 << 30);
        machine.meminfo_bytes = Some((16 << 30) - (16 << 24));
        machine.edac_bytes = Some(16 << 30);
    })
}

/// Every path of a capture that has content, and every link.
fn paths(capture: &Capture) -> (Vec<String>, Vec<String>) {
    let mut archive = Vec::new();
    capture.write(&mut archive).unwrap();
    let unpacked = zstd::stream::decode_all(&archive[..]).unwrap();
    let mut archive = tar::Archive::new(&unpacked[..]);
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        match format!("/{}", entry.path().unwrap().display()).as_str() {
            "/yanji/index.json" => {
                let index: serde_json::Value = serde_json::from_reader(entry).unwrap();
                links.extend(index["links"].as_object().unwrap().keys().cloned());
            }
            path => files.push(path.to_owned()),
        }
    }
    (files, links)
}

fn worst(inspection: &Inspection) -> Option<Severity> {
    let severity = |outcome: &Outcome| match outcome {
        Outcome::Fires(finding) => Some(finding.severity),
        _ => None,
    };
    inspection.checks.iter().filter_map(|check| severity(&check.outcome)).max()
}

#[test]
fn a_healthy_server_is_accepted_when_it_is_live_and_undecided_when_it_is_a_recording() {
    let machine = RecordedMachine::server();
    let inspection = inspect_as_live(&machine.host(), &Signatures::embedded().unwrap());
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:#?}", inspection.judgement);
    assert!(inspection.judgement.reasons.is_empty());
    assert!(worst(&inspection) <= Some(Severity::Info));

    let place = Place::new();
    let ran = place.run(["inspect", "--host", place.archive(&machine)]).exits(3);
    assert!(ran.stdout.contains("evidence recorded"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(
            "Verdict: undecided (policy default)\n  - the evidence is recorded, and policy default accepts live only\n"
        ),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.lines().last().unwrap().ends_with(" not checkable"), "{}", ran.stdout);
    // What the hidden SPD leaves open is one line here, and each rule on each module in the document.
    let line =
        " rules could not be checked on dimm:P1-DIMMA1 to dimm:P2-DIMMH1 (16 parts): dimm.spd is not observable here: ";
    assert!(ran.stdout.contains(line) && !ran.stdout.contains("dimm.spd-crc"), "{}", ran.stdout);
    // Nobody asked the controller, which is another story.
    assert!(ran.stdout.contains("\n  dimm.bmc-differ "), "{}", ran.stdout);
    let json = place.run(["inspect", "--host", "host.tar.zst", "--format", "json"]).exits(3).json();
    let open = json["dimms"].as_array().unwrap().iter().map(|dimm| dimm["inconclusive"].as_array().unwrap().len());
    assert!(open.clone().all(|open| open >= 16), "{:?}", open.collect::<Vec<_>>());
    assert_eq!(json["judgement"]["verdict"], "undecided");
    // What the driver says of the GPU is not in the recording.
    let reasons = json["judgement"]["reasons"].as_array().unwrap();
    assert!(reasons[1..].iter().all(|reason| reason.as_str().unwrap().starts_with("gpu.")), "{reasons:?}");
    assert_eq!(json["judgement"]["counts"]["firing"], 0);
}

#[test]
fn a_machine_that_gives_nothing_away_is_undecided() {
    let signatures = Signatures::embedded().unwrap();
    let machine = small_server();
    let denied = paths(&machine.capture()).0.iter().fold(machine, |machine, path| machine.deny(path));
    let denied = ["/sys/bus/pci/devices", "/sys/class/net", "/sys/block", "/sys/devices/system/memory"]
        .iter()
        .fold(denied, |machine, path| machine.deny(path));
    for inspection in
        [inspect_as_live(&denied.host(), &signatures), inspection::inspect(&BrokenHost::new(Origin::Live), &signatures)]
    {
        assert_eq!(inspection.judgement.verdict, Verdict::Undecided);
        assert!(inspection.judgement.counts.not_checkable > 10, "{:?}", inspection.judgement.counts);
        assert_eq!(inspection.judgement.counts.firing, 0);
        assert!(!inspection.judgement.reasons.is_empty());
    }
    let place = Place::new();
    let ran = place.run(["inspect", "--host", place.archive(&denied)]).exits(3);
    assert!(ran.stdout.contains("Running as root would add "), "{}", ran.stdout);
    assert!(!ran.stdout.ends_with(" 0 not checkable\n"), "{}", ran.stdout);
}

/// Rule and part of every check that the policy counts on.
fn relied_upon(inspection: &Inspection, signatures: &Signatures) -> BTreeSet<(String, String)> {
    let policy = &signatures.policy;
    let rules: Vec<&String> = policy.required.iter().chain(&policy.required_where_present).collect();
    let clear = inspection.checks.iter().filter(|check| check.outcome == Outcome::Clear && rules.contains(&&check.id));
    clear.map(|check| (check.id.clone(), check.part.clone())).collect()
}

#[test]
fn no_single_lost_or_garbled_answer_gets_a_server_accepted_without_what_the_policy_requires() {
    let signatures = Signatures::embedded().unwrap();
    let machine = small_server();
    let healthy = inspect_as_live(&machine.host(), &signatures);
    assert_eq!(healthy.judgement.verdict, Verdict::Accepted, "{:#?}", healthy.judgement);
    let needed = relied_upon(&healthy, &signatures);
    let garbage: Vec<u8> = (0..997u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (paths, links) = paths(&machine.capture());
    assert!(links.len() > 10, "{}", links.len());
    assert!(paths.len() > 80, "{}", paths.len());
    let folders: BTreeSet<&str> =
        paths.iter().flat_map(|path| path.match_indices('/').skip(1).map(|(end, _)| &path[..end])).collect();
    let lost = folders.into_iter().chain(links.iter().map(String::as_str));
    let lost = lost.map(|path| (path, "refused", machine.clone().deny(path)));
    let garbled = paths.iter().flat_map(|path| {
        [
            (path.as_str(), "denied", machine.clone().deny(path)),
            (path, "garbled", machine.clone().file(path, garbage.clone())),
            (path, "zeroed", machine.clone().file(path, vec![0; 1 << 20])),
            (path, "emptied", machine.clone().file(path, "")),
            (path, "removed", machine.clone().remove(path)),
        ]
    });
    let mut wrong = Vec::new();
    let mut undecided = 0;
    for (path, how, changed) in lost.chain(garbled) {
        {
            let inspection = inspect_as_live(&changed.host(), &signatures);
            if inspection.judgement.verdict != Verdict::Accepted {
                undecided += 1;
                continue;
            }
            // A part that got another name is still looked at, so rules are counted and parts are not compared.
            let seen = relied_upon(&inspection, &signatures);
            let count =
                |checks: &BTreeSet<(String, String)>, rule: &str| checks.iter().filter(|check| check.0 == rule).count();
            let lost: BTreeSet<&str> = needed
                .iter()
                .map(|(rule, _)| rule.as_str())
                .filter(|rule| count(&seen, rule) < count(&needed, rule))
                .collect();
            let fired = |rule: &&str| {
                let mut checks = inspection.checks.iter().filter(|check| check.id == **rule);
                checks.any(|check| matches!(check.outcome, Outcome::Fires(_)))
            };
            let lost: Vec<&str> = lost.into_iter().filter(|rule| !fired(rule)).collect();
            if !lost.is_empty() {
                wrong.push(format!("{path} {how}: accepted without {lost:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(undecided > 20, "{undecided}");
}

/// Rule by rule: how it ended on which parts.
fn outcomes(inspection: &Inspection, signatures: &Signatures) -> String {
    let mut text = String::new();
    for rule in &signatures.rules {
        let mut statuses: Vec<(&str, Vec<&str>)> = Vec::new();
        for check in inspection.checks.iter().filter(|check| check.id == rule.id) {
            let status = match check.outcome {
                Outcome::Clear => "clear",
                Outcome::Fires(_) => "FIRES",
                Outcome::Inconclusive { .. } => "inconclusive",
                Outcome::NotApplicable => "n/a",
            };
            match statuses.iter_mut().find(|(other, _)| *other == status) {
                Some((_, parts)) => parts.push(&check.part),
                None => statuses.push((status, vec![&check.part])),
            }
        }
        let shown: Vec<String> = statuses
            .iter()
            .map(|(status, parts)| match parts.as_slice() {
                [first, .., last] if parts.len() > 4 => format!("{status} {first} … {last} ({})", parts.len()),
                _ => format!("{status} {}", parts.join(" ")),
            })
            .collect();
        let shown = if shown.is_empty() { "no part".to_owned() } else { shown.join("; ") };
        writeln!(text, "{}: {shown}", rule.id).unwrap();
    }
    let judgement = &inspection.judgement;
    writeln!(text, "verdict if live: {}", judgement.verdict).unwrap();
    for reason in &judgement.reasons {
        writeln!(text, "- {reason}").unwrap();
    }
    text
}

#[test]
fn every_rule_on_every_recorded_machine() {
    let signatures = Signatures::embedded().unwrap();
    for (name, machine) in [
        ("server", RecordedMachine::server()),
        ("server-under-hypervisor", RecordedMachine::server().under_hypervisor("KVMKVMKVM")),
        ("server-unprivileged", RecordedMachine::server().unprivileged()),
        ("empty", RecordedMachine::empty()),
    ] {
        let inspection = inspect_as_live(&machine.host(), &signatures);
        insta::assert_snapshot!(name, outcomes(&inspection, &signatures));
    }
}

#[test]
fn a_capture_is_inspected_elsewhere_with_the_same_facts() {
    let place = Place::new();
    RecordedMachine::server().write(&place.path("machine"));
    for archive in ["a.tar.zst", "b.tar.zst"] {
        let ran = place.run(["capture", "--host", "machine", "-o", archive]).exits(0);
        assert!(ran.stdout.starts_with(archive) && ran.stdout.contains("It holds serial numbers"), "{}", ran.stdout);
    }
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(read("a.tar.zst") == read("b.tar.zst"), "two captures of one machine differ");
    let facts = |host: &str| place.run(["inspect", "--format", "json", "--host", host]).exits(3).json();
    let (folder, archive) = (facts("machine"), facts("a.tar.zst"));
    assert_eq!(folder["evidence"], archive["evidence"]);
    assert_eq!(folder["checks"], archive["checks"]);
    assert!(folder["evidence"]["parts"].as_array().unwrap().len() > 20);
}

#[test]
fn this_machine_is_captured_and_inspected_again() {
    let place = Place::new();
    let captured = place.run(["capture", "--format", "json"]).exits(0).json();
    assert!(captured["files"].as_u64().unwrap() > 0);
    assert_eq!(captured["path"], "host.tar.zst");
    let live = place.run(["inspect", "--format", "json"]);
    assert!([0, 1, 3].contains(&live.code), "{}", live.stderr);
    let replayed = place.run(["inspect", "--format", "json", "--host", "host.tar.zst"]);
    assert!([1, 3].contains(&replayed.code), "{}", replayed.stderr);
    let (live, replayed) = (live.json(), replayed.json());
    assert_eq!(live["evidence"]["origin"], "live");
    assert_eq!(replayed["evidence"]["origin"], "recorded");
    let statuses = |inspection: &serde_json::Value| -> Vec<String> {
        let checks = inspection["checks"].as_array().unwrap();
        checks.iter().map(|check| format!("{} {} {}", check["id"], check["part"], check["status"])).collect()
    };
    assert_eq!(statuses(&live), statuses(&replayed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_in_random_files_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..600)),
            1..12,
        ),
    ) {
        let signatures = Signatures::embedded().unwrap();
        let mut capture: Capture = small_server().capture();
        let (paths, _) = paths(&capture);
        for (index, content) in changes {
            capture.insert(paths[index.index(paths.len())].as_str(), content);
        }
        let inspection = inspect_as_live(&RecordedHost::from(capture), &signatures);
        for part in &inspection.evidence.parts {
            for fact in part.facts.values() {
                if let Reading::Failed(reason) = &fact.reading {
                    prop_assert!(!reason.is_empty());
                }
            }
        }
    }
}
