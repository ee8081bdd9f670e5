//! Several hands: co-signatures, receipts, withdrawals, and the chain that reports and they make.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use yanji::attest::Digest;
use yanji::attest::acceptance::{Acceptability, Acceptance, OpenPoint};
use yanji::attest::envelope::{Envelope, Signature};
use yanji::attest::key::Key;
use yanji::attest::statement::Statement;
use yanji::attest::void::Void;

use super::{Place, Ran};
use crate::support::RecordedMachine;
use crate::support::tsa::Authority;

const KEYS: [&str; 4] = ["builder", "seller", "buyer", "stranger"];

/// A folder with the keys of four people and a report of the seller's, made once for all tests.
fn start() -> Place {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let place = Place::new();
        let mut names = Vec::new();
        for name in KEYS {
            place.run(["key", "gen", "--no-passphrase", "--out", &format!("{name}.pem")]).exits(0);
            names.extend([format!("{name}.pem"), format!("{name}.pem.pub")]);
        }
        certify(&place, &RecordedMachine::server(), "seller", "report", &[]);
        names.extend(["report/report.dsse.json", "report/evidence.tar"].map(str::to_owned));
        names.into_iter().map(|name| (name.clone(), fs::read(place.path(&name)).unwrap())).collect()
    });
    let place = Place::new();
    fs::create_dir(place.path("report")).unwrap();
    for (name, content) in files {
        fs::write(place.path(name), content).unwrap();
        if name.ends_with(".pem") {
            fs::set_permissions(place.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    place
}

/// Recorded machines are never accepted, so a report of one ends in 3.
fn certify(place: &Place, machine: &RecordedMachine, signer: &str, out: &str, more: &[&str]) {
    place.archive(machine);
    let key = format!("{signer}.pem");
    let args = ["certify", "--host", "host.tar.zst", "--out", out, "--key", &key];
    place.run(args.iter().chain(more)).exits(3);
}

/// What a buyer's own look prints.
fn inspect(place: &Place, machine: &RecordedMachine, name: &str) {
    place.archive(machine);
    let ran = place.run(["inspect", "--host", "host.tar.zst", "--format", "json"]);
    fs::write(place.path(name), &ran.stdout).unwrap();
}

fn accept(place: &Place, received: &str, out: &str, more: &[&str]) -> Ran {
    let args =
        ["accept", "report", "--as-received", received, "-o", out, "--key", "seller.pem.pub", "--key", "buyer.pem"];
    place.run(args.iter().chain(more))
}

fn history(place: &Place, files: &[&str], more: &[&str]) -> Ran {
    let keys = KEYS.map(|name| format!("--key={name}.pem.pub"));
    let keys: Vec<&str> = keys[..3].iter().map(String::as_str).collect();
    place.run(["history"].iter().chain(files).chain(&keys).chain(more))
}

fn envelope(place: &Place, name: &str) -> Envelope {
    Envelope::parse(&fs::read(place.path(name)).unwrap()).unwrap()
}

fn key(place: &Place, name: &str) -> Key {
    Key::load(&place.path(&format!("{name}.pem")), None).unwrap()
}

#[test]
fn a_co_signer_verifies_first_and_signs_the_same_bytes_once() {
    let place = start();
    let before = envelope(&place, "report/report.dsse.json");
    let bytes = || fs::read(place.path("report/report.dsse.json")).unwrap();
    let cosign = |more: &[&str]| place.run(["cosign", "report"].iter().chain(more));
    let unsigned = bytes();

    let refused = cosign(&["--key", "buyer.pem", "--key", "stranger.pem.pub"]).exits(4);
    assert!(refused.stdout.contains("E_UNTRUSTED_SIGNER"), "{}", refused.stdout);
    let tar = fs::read(place.path("report/evidence.tar")).unwrap();
    let mut changed = tar.clone();
    changed[700] ^= 1;
    fs::write(place.path("report/evidence.tar"), changed).unwrap();
    let refused = cosign(&["--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(4);
    assert!(refused.stdout.contains("E_EVIDENCE") && refused.stdout.contains("expected:"), "{}", refused.stdout);
    fs::write(place.path("report/evidence.tar"), tar).unwrap();
    let twice = cosign(&["--key", "seller.pem"]).exits(2);
    assert!(twice.stderr.contains("has signed already"), "{}", twice.stderr);
    let two = cosign(&["--key", "seller.pem", "--key", "buyer.pem"]).exits(2);
    assert!(two.stderr.contains("second private key"), "{}", two.stderr);
    assert!(bytes() == unsigned, "a refusal changes nothing");

    // Somebody else's tool signed it too, with a key of another kind.
    let mut foreign: Json = serde_json::from_slice(&unsigned).unwrap();
    let signature = json!({"keyid": "an \u{43e}ther", "sig": BASE64_STANDARD.encode([0x30; 71])});
    foreign["signatures"].as_array_mut().unwrap().insert(0, signature);
    fs::write(place.path("report/report.dsse.json"), foreign.to_string()).unwrap();
    let report = place.run(["verify", "report", "--key", "seller.pem.pub", "--format", "json"]).exits(3).json();
    assert!(report["reports"][0]["notProven"].to_string().contains("1 of another kind than Ed25519"), "{report}");
    let signed = cosign(&["--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
    assert!(
        signed.stdout.contains("NOT proven") && signed.stdout.ends_with("too: 2 signatures\n"),
        "{}",
        signed.stdout
    );
    let after = envelope(&place, "report/report.dsse.json");
    assert!(after.payload == before.payload && after.signatures[0] == before.signatures[0]);
    assert_eq!(after.signatures[1].keyid, key(&place, "buyer").public().keyid());
    assert_eq!((after.foreign[0].keyid.as_str(), after.foreign[0].bytes.len()), ("an \u{43e}ther", 71));
    for keys in [&["seller.pem.pub"][..], &["buyer.pem.pub"], &["seller.pem.pub", "buyer.pem.pub"]] {
        let json = place
            .run(["verify", "report", "--format", "json"].into_iter().chain(keys.iter().flat_map(|key| ["--key", key])))
            .exits(3)
            .json();
        assert_eq!(json["reports"][0]["signers"].as_array().unwrap().len(), keys.len());
    }
    cosign(&["--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(2);

    // The session belongs to the seller's key: without that signature the co-signer's alone is not enough.
    let mut stripped = after;
    stripped.signatures.remove(0);
    fs::write(place.path("report/report.dsse.json"), stripped.to_json()).unwrap();
    let refused = place.run(["verify", "report", "--key", "buyer.pem.pub"]).exits(4);
    assert!(refused.stdout.contains("session.s0"), "{}", refused.stdout);
}

#[test]
fn a_receipt_says_what_came_and_a_part_that_was_exchanged_is_drift() {
    let place = start();
    let server = RecordedMachine::server();
    inspect(&place, &server, "same.json");
    let accepted = accept(&place, "same.json", "receipt.json", &[]).exits(0);
    assert!(accepted.stdout.starts_with("Receipt: accepted, signed by key "), "{}", accepted.stdout);
    assert!(accepted.stdout.contains("NOT proven: that any machine was looked at"), "{}", accepted.stdout);
    let ran = place.run(["verify", "receipt.json", "--key", "buyer.pem.pub"]).exits(0);
    assert!(ran.stdout.contains("the evidence is recorded") && ran.stdout.contains(": accepted"), "{}", ran.stdout);
    place.run(["verify", "receipt.json", "--key", "stranger.pem.pub"]).exits(4);
    let again = accept(&place, "same.json", "receipt.json", &[]).exits(2);
    assert!(again.stderr.contains("nothing is overwritten"), "{}", again.stderr);

    let serial = server.dimms[3].serial.clone();
    let exchanged = server.clone().with(|machine| {
        machine.dimms[3].serial = "80CE0123155A17C3E9".to_owned();
        machine.drives.clear();
    });
    inspect(&place, &exchanged, "other.json");
    let ran = accept(&place, "other.json", "refusal.json", &["--format", "json"]).exits(4);
    let json = ran.json();
    assert_eq!(json["result"], "refused");
    let failures = json["failures"].as_array().unwrap();
    assert!(failures.iter().all(|failure| failure["class"] == "E_DRIFT"), "{json}");
    let module = failures.iter().find(|failure| failure["expected"] == serial.as_str()).unwrap();
    assert_eq!(module["observed"], "80CE0123155A17C3E9");
    assert!(failures.iter().any(|failure| failure["what"].as_str().unwrap().contains("missing")), "{json}");
    let ran = place.run(["verify", "refusal.json", "--key", "buyer.pem.pub"]).exits(1);
    assert!(ran.stdout.contains("refused") && ran.stdout.contains(&serial), "{}", ran.stdout);
    let taken = accept(&place, "other.json", "taken.json", &["--accept-differences"]).exits(0);
    assert!(taken.stdout.contains("Receipt: accepted-with-differences"), "{}", taken.stdout);
    place.run(["verify", "taken.json", "--key", "buyer.pem.pub"]).exits(0);

    // Modules that changed places and a firmware update are told, and refuse nothing.
    let moved = server.clone().with(|machine| {
        let (one, two) = (machine.dimms[0].serial.clone(), machine.dimms[1].serial.clone());
        (machine.dimms[0].serial, machine.dimms[1].serial) = (two, one);
        machine.drives[0].firmware = "GDC5A02Q".to_owned();
    });
    inspect(&place, &moved, "moved.json");
    let ran = accept(&place, "moved.json", "moved-receipt.json", &[]).exits(0);
    assert!(ran.stdout.contains("accepted-with-differences"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("moved ") && ran.stdout.contains("firmware: was GDC5902Q, is GDC5A02Q"),
        "{}",
        ran.stdout
    );

    // What could not be read is not the same.
    inspect(&place, &server.clone().unprivileged(), "blind.json");
    let ran = accept(&place, "blind.json", "blind-receipt.json", &[]).exits(3);
    assert!(ran.stdout.contains("  not compared psu:1 id: was psu:1 ("), "{}", ran.stdout);
    assert!(ran.stdout.contains("No receipt") && !place.path("blind-receipt.json").exists(), "{}", ran.stdout);
    let denied = server.clone().deny("/sys/devices/system/cpu/cpu0/topology/ppin");
    inspect(&place, &denied, "denied.json");
    let ran = accept(&place, "denied.json", "denied-receipt.json", &[]).exits(3);
    assert!(ran.stdout.contains("not compared") && ran.stdout.contains("No receipt"), "{}", ran.stdout);
    assert!(!place.path("denied-receipt.json").exists());

    // The buyer's look may be a report of its own, and is then verified; the seller's own report is no look.
    certify(&place, &server, "buyer", "mine", &[]);
    let ran = accept(&place, "mine", "signed-look.json", &["--format", "json"]).exits(0);
    assert_eq!(ran.json()["result"], "accepted");
    let itself = accept(&place, "report", "itself.json", &[]).exits(2);
    assert!(itself.stderr.contains("the seller's report itself"), "{}", itself.stderr);
    let mut copy = fs::read(place.path("report/report.dsse.json")).unwrap();
    copy.push(b'\n');
    fs::create_dir(place.path("its-copy")).unwrap();
    fs::write(place.path("its-copy/report.dsse.json"), copy).unwrap();
    fs::copy(place.path("report/evidence.tar"), place.path("its-copy/evidence.tar")).unwrap();
    for cosigned in [false, true] {
        if cosigned {
            place.run(["cosign", "its-copy", "--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
        }
        let itself = accept(&place, "its-copy", "itself.json", &[]).exits(2);
        assert!(itself.stderr.contains("the seller's report itself"), "{}", itself.stderr);
    }
    certify(&place, &server, "stranger", "theirs", &[]);
    accept(&place, "theirs", "theirs.json", &[]).exits(4);
    fs::write(place.path("nonsense.json"), "{\"evidence\":{},\"evidence\":{}}").unwrap();
    accept(&place, "nonsense.json", "nonsense-receipt.json", &[]).exits(2);

    // Where no SMBIOS table can be read, the kernel's copy of it says which system it is.
    let tableless = |machine: &RecordedMachine| machine.clone().remove("/sys/firmware/dmi");
    let other = server.clone().with(|machine| machine.serial = "S483921X3A09876".to_owned());
    for (machine, name, exchanged) in [(&server, "copy", false), (&other, "other-copy", true)] {
        let machine = tableless(machine);
        inspect(&place, &machine, "copy.json");
        let ran = accept(&place, "copy.json", &format!("{name}-receipt.json"), &["--accept-differences"]).exits(0);
        let told = ran.stdout.contains("dmi.system_serial: was S483921X3A01234, is S483921X3A09876");
        assert_eq!(told, exchanged, "{}", ran.stdout);
        assert!(!ran.stdout.contains("the same system"), "{}", ran.stdout);
        certify(&place, &machine, "seller", name, &[]);
    }
    let csv = place.run(["verify", "copy", "other-copy", "--key", "seller.pem.pub", "--format", "csv"]);
    assert!(csv.stdout.contains("\"S483921X3A01234\"") && csv.stdout.contains("\"S483921X3A09876\""), "{}", csv.stdout);
    let unit = |name: &str| {
        let statement: Json =
            serde_json::from_slice(&envelope(&place, &format!("{name}/report.dsse.json")).payload).unwrap();
        statement["subject"][0]["digest"]["sha256"].clone()
    };
    assert_ne!(unit("copy"), unit("other-copy"));
    // And where there is none either, that is said.
    inspect(&place, &tableless(&server).remove("/sys/class/dmi"), "nobody.json");
    let ran = accept(&place, "nobody.json", "nobody-receipt.json", &["--accept-differences"]).exits(0);
    assert!(ran.stdout.contains("NOT proven: that it is the same system"), "{}", ran.stdout);
}

#[test]
fn a_receipt_that_contradicts_itself_or_the_report_is_noticed() {
    let place = start();
    let other = RecordedMachine::server().with(|machine| machine.dimms[3].serial = "80CE0123155A17C3E9".to_owned());
    inspect(&place, &other, "other.json");
    accept(&place, "other.json", "receipt.json", &[]).exits(4);
    let receipt: Statement<Acceptance> = serde_json::from_slice(&envelope(&place, "receipt.json").payload).unwrap();
    let forge = |change: &dyn Fn(&mut Statement<Acceptance>)| {
        let mut forged = receipt.clone();
        change(&mut forged);
        let forged = Envelope::sign(forged.to_json().unwrap(), &key(&place, "buyer")).to_json();
        fs::write(place.path("forged.json"), forged).unwrap();
    };
    let changes: [fn(&mut Statement<Acceptance>); 7] = [
        |it| {
            let (class, text) = ("E_TIME".to_owned(), String::new);
            let open =
                OpenPoint { report: Digest::of(b"another"), class, what: text(), expected: text(), observed: text() };
            it.predicate.open = vec![open];
        },
        |it| {
            let (class, text) = ("E_TIME".to_owned(), String::new);
            let open =
                OpenPoint { report: it.predicate.report, class, what: text(), expected: text(), observed: text() };
            it.predicate.difference.clear();
            it.predicate.open = vec![open];
            it.predicate.result = Acceptability::Accepted;
        },
        |it| it.predicate.result = Acceptability::Accepted,
        |it| it.predicate.report = Digest::of(b"another"),
        |it| it.predicate.accepted_at = "yesterday".to_owned(),
        |it| it.subject.clear(),
        |it| it.predicate.difference.clear(),
    ];
    for change in changes {
        forge(&change);
        let ran = place.run(["verify", "forged.json", "--key", "buyer.pem.pub"]).exits(4);
        assert!(ran.stdout.contains("E_EVIDENCE"), "{}", ran.stdout);
    }
    // Well-formed by itself, and not what the two identities show.
    forge(&|it| {
        it.predicate.difference.clear();
        it.predicate.result = Acceptability::Accepted;
    });
    place.run(["verify", "forged.json", "--key", "buyer.pem.pub"]).exits(0);
    // From the future, by the one clock or by the other.
    let future = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap().to_string();
    forge(&|it| {
        it.predicate.difference.clear();
        it.predicate.result = Acceptability::Accepted;
        it.predicate.accepted_at.clone_from(&future);
    });
    let ran = place.run(["verify", "forged.json", "--key", "buyer.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("indeterminate: E_TIME acceptedAt"), "{}", ran.stdout);
    let ran = history(&place, &["forged.json", "report"], &[]).exits(4);
    assert!(ran.stdout.contains("E_VERDICT_MISMATCH differences from the report"), "{}", ran.stdout);

    let payload = serde_json::to_string(&receipt).unwrap();
    for (from, to) in [
        ("hw-acceptance/v1", "hw-acceptance/v2"),
        ("in-toto.io/Statement/v1", "in-toto.io/Statement/v0"),
        ("\"acceptedAt\":", "\"other\":1,\"acceptedAt\":"),
        ("\"acceptedAt\":", "\"acceptedAt\":\"\",\"acceptedAt\":"),
    ] {
        let unknown = Envelope::sign(payload.replacen(from, to, 1).into_bytes(), &key(&place, "buyer")).to_json();
        fs::write(place.path("unknown.json"), unknown).unwrap();
        let json = place.run(["verify", "unknown.json", "--key", "buyer.pem.pub", "--format", "json"]).exits(4).json();
        assert_eq!(json["reports"][0]["failures"][0]["class"], "E_FORMAT", "{json}");
    }
}

/// As built, as delivered with another module moved, and received.
fn chain() -> Place {
    let place = start();
    let server = RecordedMachine::server();
    certify(&place, &server, "builder", "built", &[]);
    let delivered = server.with(|machine| machine.nics[0].firmware = "22.41.1000 (MT_0000000359)".to_owned());
    let previous = ["--previous", "built", "--relation", "as-built"];
    certify(&place, &delivered, "seller", "delivered", &previous);
    inspect(&place, &delivered, "received.json");
    let args = ["accept", "delivered", "--as-received", "received.json", "-o", "receipt.json"];
    place.run(args.iter().chain(&["--key", "seller.pem.pub", "--key", "buyer.pem"])).exits(0);
    place
}

#[test]
fn the_chain_is_put_in_order_and_gaps_and_forks_are_named() {
    let place = chain();
    // A recorded machine is undecided, and so is the chain.
    let ran = history(&place, &["receipt.json", "delivered", "built"], &[]).exits(3);
    let places: Vec<usize> = [
        "1. report built",
        "2. report delivered",
        "goes on from, as built, built",
        "3. acceptance receipt.json",
        "is the receipt for delivered",
    ]
    .iter()
    .map(|words| ran.stdout.find(words).unwrap_or_else(|| panic!("{words} is not in {}", ran.stdout)))
    .collect();
    assert!(places.is_sorted(), "{}", ran.stdout);
    assert!(ran.stdout.contains("firmware: was 22.39.1002 (MT_0000000359), is 22.41.1000"), "{}", ran.stdout);
    assert!(ran.stdout.contains("signed by \"builder.pem.pub\""), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with("3 documents in 1 chains: 0 invalid, 0 disagreeing, 0 void; 0 gaps, 0 forks\n"),
        "{}",
        ran.stdout
    );
    let alone = place.run(["verify", "delivered", "--key", "seller.pem.pub"]).exits(3);
    assert!(alone.stdout.contains("since the earlier report that it names"), "{}", alone.stdout);

    let ran = history(&place, &["receipt.json", "built"], &[]).exits(3);
    let delivered = Digest::of(&fs::read(place.path("delivered/report.dsse.json")).unwrap());
    assert!(ran.stdout.contains(&format!("GAP  receipt.json is the receipt for {delivered}, which was not given")));
    assert!(ran.stdout.contains("Chain 2 of 2"), "{}", ran.stdout);

    // A receipt from before the delivery: one of the two clocks is wrong, or somebody lies.
    let mut early: Statement<Acceptance> = serde_json::from_slice(&envelope(&place, "receipt.json").payload).unwrap();
    early.predicate.accepted_at = "2026-01-01T00:00:00Z".to_owned();
    let early = Envelope::sign(early.to_json().unwrap(), &key(&place, "buyer")).to_json();
    fs::write(place.path("early.json"), early).unwrap();
    for (receipt, verdict) in [("receipt.json", "accepted"), ("early.json", "undecided")] {
        let json = history(&place, &[receipt, "delivered", "built"], &["--format", "json"]).exits(3).json();
        let step = &json["documents"][2];
        let remark = step["remarks"][0].as_str().unwrap_or_default();
        assert_eq!(
            (&step["verdict"], remark.starts_with("E_TIME: ")),
            (&verdict.into(), verdict == "undecided"),
            "{step:#}"
        );
    }

    // A signature that is added later does not break the link to the report as it was.
    let cosign = ["cosign", "delivered", "--key", "seller.pem.pub", "--key", "buyer.pem"];
    place.run(cosign).exits(0);
    let json = history(&place, &["built", "delivered", "receipt.json"], &["--format", "json"]).exits(3).json();
    assert_eq!(json["gaps"], serde_json::json!([]));
    assert_eq!(json["documents"][2]["links"][0]["name"], "delivered");
    assert_eq!(json["documents"][1]["signers"].as_array().unwrap().len(), 2);

    let previous = ["--previous", "built", "--relation", "supersedes"];
    certify(&place, &RecordedMachine::server(), "seller", "second", &previous);
    fs::copy(place.path("second/report.dsse.json"), place.path("copy.json")).unwrap();
    fs::copy(place.path("second/evidence.tar"), place.path("evidence.tar")).unwrap();
    let ran = history(&place, &["built", "second", "delivered", "copy.json"], &[]).exits(3);
    assert!(ran.stdout.contains("FORK  built is followed by delivered and second"), "{}", ran.stdout);
    assert!(ran.stdout.contains("copy.json says the same as second"), "{}", ran.stdout);
    let digest = Digest::of(&fs::read(place.path("built/report.dsse.json")).unwrap());
    let ran = history(&place, &["second", "delivered"], &[]).exits(3);
    assert!(ran.stdout.contains(&format!("FORK  {digest} is followed by delivered and second")), "{}", ran.stdout);

    // An invalid document stays in its place, and nothing that it says counts.
    let json = history(&place, &["built", "delivered"], &["--format", "json"]).exits(3).json();
    assert_eq!(json["documents"].as_array().unwrap().len(), 2);
    fs::write(place.path("built/report.dsse.json"), "{}").unwrap();
    let ran = history(&place, &["built", "delivered", "receipt.json"], &[]).exits(4);
    assert!(ran.stdout.contains("report built: INVALID") || ran.stdout.contains("document built: INVALID"));
    let none = place.run(["certify", "--host", "host.tar.zst", "--previous", "receipt.json", "--relation", "as-built"]);
    assert!(none.exits(2).stderr.contains("is no report"));
}

#[test]
fn a_damaged_copy_hides_behind_no_good_one() {
    let place = start();
    fs::create_dir(place.path("damaged")).unwrap();
    fs::copy(place.path("report/report.dsse.json"), place.path("damaged/report.dsse.json")).unwrap();
    let mut tar = fs::read(place.path("report/evidence.tar")).unwrap();
    tar[700] ^= 1;
    fs::write(place.path("damaged/evidence.tar"), tar).unwrap();
    inspect(&place, &RecordedMachine::server(), "same.json");
    accept(&place, "same.json", "receipt.json", &[]).exits(0);
    for files in [["report", "damaged", "receipt.json"], ["damaged", "report", "receipt.json"]] {
        let json = history(&place, &files, &["--format", "json"]).exits(4).json();
        let documents = json["documents"].as_array().unwrap();
        let valid = |name: &str| documents.iter().find(|step| step["name"] == name).unwrap()["valid"].as_bool();
        assert_eq!((valid("report"), valid("damaged")), (Some(true), Some(false)), "{json:#}");
        assert_eq!(json["repeated"], serde_json::json!([]), "{json:#}");
        // What is right of the two is what others name.
        let receipt = documents.iter().find(|step| step["name"] == "receipt.json").unwrap();
        assert_eq!(receipt["links"][0]["name"], "report", "{json:#}");
    }
}

#[test]
fn signatures_that_are_added_at_once_are_all_kept() {
    let place = start();
    let signers = ["builder", "buyer", "stranger"];
    let running = signers.map(|signer| {
        let key = format!("{signer}.pem");
        let mut command = place.command(["cosign", "report", "--key", &key, "--key", "seller.pem.pub"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in running {
        Ran::from(child.wait_with_output().unwrap()).exits(0);
    }
    let signatures = envelope(&place, "report/report.dsse.json").signatures;
    for signer in signers.iter().chain(&["seller"]) {
        let keyid = key(&place, signer).public().keyid();
        assert!(signatures.iter().any(|signature| signature.keyid == keyid), "{signer}");
    }
    assert_eq!(signatures.len(), 4);
}

#[test]
fn a_part_that_was_exchanged_between_two_reports_is_drift() {
    let place = start();
    let server = RecordedMachine::server();
    let previous = |relation: &'static str| ["--previous", "report", "--relation", relation];
    let other = server.with(|machine| {
        machine.nvidia.as_mut().unwrap().gpus[0].uuid = "GPU-00000000-1111-2222-3333-444455556666".to_owned()
    });
    certify(&place, &other, "seller", "delivered", &previous("as-built"));
    certify(&place, &other, "seller", "repaired", &previous("supersedes"));
    let ran = history(&place, &["report", "delivered"], &[]).exits(4);
    assert!(ran.stdout.contains("E_DRIFT gpus gpu:0000:16:00.0 exchanged: nvml.uuid"), "{}", ran.stdout);
    assert!(ran.stdout.contains("expected: GPU-5e8f1a2b-3c4d-5e6f-7081-92a3b4c5d6e7"), "{}", ran.stdout);
    // Whoever supersedes a report says that something changed.
    let ran = history(&place, &["report", "repaired"], &[]).exits(3);
    assert!(ran.stdout.contains("nvml.uuid: was GPU-5e8f1a2b"), "{}", ran.stdout);
}

#[test]
fn only_who_signed_a_document_takes_it_back() {
    let place = chain();
    let void = |file: &str, out: &str, signer: &str| {
        place.run(["void", file, "--reason", "wrong\u{1b}[2J machine", "-o", out, "--key", &format!("{signer}.pem")])
    };
    let chain = ["built", "delivered", "receipt.json"];
    let ran = void("delivered", "disputed.json", "buyer").exits(0);
    assert!(ran.stderr.contains("did not sign"), "{}", ran.stderr);
    // Nor does one whose id somebody wrote beside a signature.
    let mut named = envelope(&place, "delivered/report.dsse.json");
    named.signatures.push(Signature { keyid: key(&place, "buyer").public().keyid(), bytes: [7; 64] });
    fs::write(place.path("named.json"), named.to_json()).unwrap();
    let args = ["void", "named.json", "--reason", "x", "-o", "named-void.json", "--key", "buyer.pem"];
    let ran = place.run(args.iter().chain(&["--format", "json"])).exits(0);
    assert!(ran.json()["own"] == false && ran.stderr.contains("did not sign"), "{}{}", ran.stdout, ran.stderr);
    fs::remove_file(place.path("named-void.json")).unwrap();
    let with = |more: &[&'static str], code: i32| -> Json {
        history(&place, &[&chain[..], more].concat(), &["--format", "json"]).exits(code).json()
    };
    let step = |json: &Json, name: &str| {
        let steps = json["documents"].as_array().unwrap().clone();
        steps.into_iter().find(|step| step["name"] == name).unwrap()
    };
    let json = with(&["disputed.json"], 3);
    assert_eq!(step(&json, "delivered")["disputedBy"], serde_json::json!(["disputed.json"]));
    assert_eq!(step(&json, "delivered")["voidedBy"], serde_json::json!([]));

    void("delivered", "void.json", "seller").exits(0);
    let ran = place.run(["verify", "void.json", "--key", "seller.pem.pub"]).exits(0);
    assert!(ran.stdout.contains("wrong\\u{1b}[2J machine") && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    let json = with(&["void.json"], 4);
    let delivered = step(&json, "delivered");
    assert_eq!((&delivered["voidedBy"], &delivered["valid"]), (&serde_json::json!(["void.json"]), &false.into()));
    assert_eq!(delivered["failures"][0]["class"], "E_REVOKED");
    let ran = history(&place, &[&chain[..], &["void.json"]].concat(), &[]).exits(4);
    assert!(ran.stdout.contains("report delivered: undecided  VOID\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("0 invalid, 0 disagreeing, 1 void; 0 gaps, 0 forks\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("taken back by its signer: void.json") && !ran.stdout.contains('\u{1b}'));

    // A withdrawal can itself be taken back.
    void("void.json", "void-void.json", "seller").exits(0);
    let json = with(&["void-void.json", "void.json"], 4);
    assert_eq!(step(&json, "delivered")["voidedBy"], serde_json::json!([]));
    assert_eq!(step(&json, "void.json")["voidedBy"], serde_json::json!(["void-void.json"]));

    // Nobody trusts the stranger, so the withdrawal does not count.
    void("delivered", "strange.json", "stranger").exits(0);
    let ran = history(&place, &[&chain[..], &["strange.json"]].concat(), &[]).exits(4);
    assert!(ran.stdout.contains("E_UNTRUSTED_SIGNER"), "{}", ran.stdout);
    assert!(ran.stdout.contains("report delivered: undecided\n"), "{}", ran.stdout);
    void("void.json", "void.json", "seller").exits(2);
    place.run(["void", "seller.pem.pub", "--reason", "x", "-o", "no.json", "--key", "seller.pem"]).exits(2);
    place.run(["void", "delivered", "--reason", " ", "-o", "no.json", "--key", "seller.pem"]).exits(2);
}

#[test]
fn a_withdrawal_holds_whatever_becomes_of_the_signatures() {
    let place = start();
    place.run(["cosign", "report", "--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
    let signed = envelope(&place, "report/report.dsse.json");
    let write = |signatures: Vec<Signature>| {
        let changed = Envelope { signatures, ..signed.clone() };
        fs::write(place.path("report/report.dsse.json"), changed.to_json()).unwrap();
    };
    let keys = ["--key", "seller.pem.pub", "--key", "buyer.pem.pub", "--format", "json"];
    // As the seller gave it, before the buyer signed too.
    fs::create_dir(place.path("given")).unwrap();
    fs::copy(place.path("report/evidence.tar"), place.path("given/evidence.tar")).unwrap();
    let given = Envelope { signatures: vec![signed.signatures[0].clone()], ..signed.clone() };
    fs::write(place.path("given/report.dsse.json"), given.to_json()).unwrap();
    place.run(["void", "report", "--reason", "wrong", "-o", "buyers.json", "--key", "buyer.pem"]).exits(0);
    for copies in [["given", "report"], ["report", "given"]] {
        let json = place.run(["history", "buyers.json"].iter().chain(&copies).chain(&keys)).exits(4).json();
        let kept = json["documents"].as_array().unwrap().iter().find(|it| it["kind"] == "report").unwrap();
        assert_eq!(kept["voidedBy"], serde_json::json!(["buyers.json"]), "{copies:?}: {json:#}");
        assert_eq!(kept["signers"].as_array().unwrap().len(), 2, "{copies:?}");
    }
    fs::remove_file(place.path("buyers.json")).unwrap();
    let run = |code: i32| {
        let json = place.run(["verify", "report"].iter().chain(&keys)).exits(code).json();
        let class = json["reports"][0]["failures"][0]["class"].as_str().map(str::to_owned);
        let chain = place.run(["history", "report"].iter().chain(&keys)).exits(code).json();
        assert_eq!(chain["documents"][0]["failures"][0]["class"].as_str().map(str::to_owned), class, "{chain:#}");
        class
    };
    assert_eq!(run(3), None);
    place.run(["void", "report", "--reason", "wrong", "-o", "report/void.json", "--key", "seller.pem"]).exits(0);
    let [seller, buyer] = [0, 1].map(|index| signed.signatures[index].clone());
    let junk = Signature { keyid: Digest::of(b"nobody"), bytes: [7; 64] };
    for signatures in [
        vec![seller.clone()],
        vec![junk.clone(), seller.clone(), buyer.clone()],
        vec![buyer.clone(), seller.clone()],
        vec![junk, buyer.clone(), seller.clone()],
        vec![seller.clone(), buyer.clone()],
    ] {
        let order: Vec<Digest> = signatures.iter().map(|signature| signature.keyid).collect();
        write(signatures);
        assert_eq!(run(4).as_deref(), Some("E_REVOKED"), "{order:?}");
    }
    // One that names the envelope alone is of before, and goes on to count for that.
    let voids = Digest::of(&fs::read(place.path("report/report.dsse.json")).unwrap());
    let void = Void { voided_at: "2026-01-01T00:00:00Z".to_owned(), voids, statement: None, reason: "old".to_owned() };
    let payload = Statement::void(void).to_json().unwrap();
    assert!(!String::from_utf8(payload.clone()).unwrap().contains("\"statement\""));
    let old = Envelope::sign(payload, &key(&place, "seller")).to_json();
    fs::write(place.path("report/void.json"), old).unwrap();
    assert_eq!(run(4).as_deref(), Some("E_REVOKED"));
}

#[test]
fn a_history_is_about_the_documents_that_were_named() {
    let place = start();
    certify(&place, &RecordedMachine::server(), "seller", "other", &[]);
    let void = |file: &str, out: &str, signer: &str| {
        let key = format!("{signer}.pem");
        place.run(["void", file, "--reason", "wrong machine", "-o", out, "--key", &key]).exits(0);
    };
    let run = |code: i32| {
        let ran = history(&place, &["report"], &["--format", "json"]).exits(code);
        let names = ran.json()["documents"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
        (ran.stderr, Json::Array(names))
    };
    // Whatever is about another report, and lies here.
    void("other", "report/foreign.json", "stranger");
    void("other", "report/others.json", "seller");
    let (stderr, names) = run(3);
    assert_eq!((stderr.contains("takes a document back"), names), (false, serde_json::json!(["report"])));
    // Somebody whom nobody trusts changes nothing, nor does who takes that back.
    void("report", "report/strange.json", "stranger");
    void("report/strange.json", "report/strange-void.json", "seller");
    let (stderr, names) = run(3);
    let notice = "notice: report/strange.json takes a document back, and does not count: E_UNTRUSTED_SIGNER";
    assert!(stderr.contains(notice), "{stderr}");
    assert_eq!(names, serde_json::json!(["report"]));
    void("report", "report/void.json", "seller");
    void("report/void.json", "report/void-void.json", "seller");
    let (_, names) = run(4);
    assert_eq!(names, serde_json::json!(["report", "report/void.json", "report/void-void.json"]));
}

#[test]
fn a_report_that_its_signer_took_back_is_no_report_to_any_command() {
    let place = start();
    let void = |file: &str, out: &str, signer: &str| {
        let key = format!("{signer}.pem");
        place.run(["void", file, "--reason", "wrong machine", "-o", out, "--key", &key]).exits(0);
    };
    let verify = |files: &[&str]| {
        let keys = ["verify", "--format", "json", "--key", "seller.pem.pub", "--key", "buyer.pem.pub"];
        place.run(keys.iter().chain(files))
    };
    verify(&["report"]).exits(3);
    // Somebody else's word leaves it open, wherever the file lies.
    fs::create_dir(place.path("papers")).unwrap();
    void("report", "papers/disputed.json", "buyer");
    let json = verify(&["report", "papers/disputed.json"]).exits(3).json();
    assert_eq!(
        (&json["reports"][0]["valid"], &json["reports"][0]["judgement"]["verdict"]),
        (&true.into(), &"undecided".into())
    );
    assert_eq!(json["reports"][0]["indeterminate"][0]["class"], "E_REVOKED", "{json:#}");

    void("report", "papers/void.json", "seller");
    let json = verify(&["report", "papers/void.json"]).exits(4).json();
    let report = &json["reports"][0];
    assert_eq!((&report["valid"], &report["failures"][0]["class"]), (&false.into(), &"E_REVOKED".into()), "{json:#}");
    let observed = report["failures"][0]["observed"].as_str().unwrap();
    assert!(
        observed.starts_with("taken back by its signer on ") && observed.ends_with(": wrong machine"),
        "{observed}"
    );
    assert_eq!(
        (&report["assurance"], &report["proven"], &report["judgement"]),
        (&Json::Null, &Json::Array(vec![]), &Json::Null)
    );
    assert_eq!(json["reports"][1]["kind"], "void");

    // In the folder of the report, or anywhere in a folder that is searched, it need not be named.
    verify(&["report"]).exits(3);
    fs::copy(place.path("papers/void.json"), place.path("report/withdrawn.json")).unwrap();
    for files in [&["report"][..], &["report/report.dsse.json"]] {
        let json = verify(files).exits(4).json();
        assert_eq!(json["reports"][0]["failures"][0]["class"], "E_REVOKED", "{json:#}");
    }
    // Copies of it that somebody damaged do not hide it, whichever is read first.
    let mut damaged: Json = serde_json::from_slice(&fs::read(place.path("report/withdrawn.json")).unwrap()).unwrap();
    damaged["signatures"][0]["sig"] = Json::from("A".repeat(86) + "==");
    for name in ["report/a.json", "report/z.json"] {
        fs::write(place.path(name), damaged.to_string()).unwrap();
    }
    let json = verify(&["report/report.dsse.json"]).exits(4).json();
    assert_eq!(json["reports"][0]["failures"][0]["class"], "E_REVOKED", "{json:#}");
    for name in ["report/a.json", "report/z.json"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    inspect(&place, &RecordedMachine::server(), "same.json");
    let commands: [&[&str]; 5] = [
        &["evidence", "list", "report", "--key", "seller.pem.pub"],
        &["evidence", "get", "report", "host.tar.zst", "-o", "item", "--key", "seller.pem.pub"],
        &["cosign", "report", "--key", "buyer.pem", "--key", "seller.pem.pub"],
        &[
            "accept",
            "report",
            "--as-received",
            "same.json",
            "-o",
            "r.json",
            "--key",
            "buyer.pem",
            "--key",
            "seller.pem.pub",
        ],
        &["redact", "report", "--hide", "serials", "-o", "public", "--key", "buyer.pem", "--key", "seller.pem.pub"],
    ];
    for command in commands {
        let ran = place.run(command).exits(4);
        assert!(ran.stdout.contains("E_REVOKED"), "{command:?}: {}", ran.stdout);
    }
    assert!(!place.path("item").exists());
    let json = history(&place, &["report"], &["--format", "json"]).exits(4).json();
    assert_eq!(json["documents"][0]["voidedBy"], serde_json::json!(["report/withdrawn.json"]));
    fs::remove_file(place.path("report/withdrawn.json")).unwrap();
    fs::create_dir(place.path("all")).unwrap();
    fs::rename(place.path("report"), place.path("all/report")).unwrap();
    fs::rename(place.path("papers"), place.path("all/papers")).unwrap();
    verify(&["all"]).exits(4);
    // A signature that is added later does not save it; taking the withdrawal back does.
    fs::remove_file(place.path("all/papers/disputed.json")).unwrap();
    let moved = fs::read(place.path("all/papers/void.json")).unwrap();
    fs::remove_file(place.path("all/papers/void.json")).unwrap();
    place.run(["cosign", "all/report", "--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
    fs::write(place.path("all/papers/void.json"), moved).unwrap();
    verify(&["all"]).exits(4);
    void("all/papers/void.json", "all/papers/void-void.json", "seller");
    verify(&["all"]).exits(3);

    // Nobody trusts the stranger, and that is said.
    fs::remove_dir_all(place.path("all/papers")).unwrap();
    void("all/report", "all/strange.json", "stranger");
    let ran = verify(&["all"]).exits(3);
    assert!(
        ran.stderr.contains("notice: all/strange.json takes a document back, and does not count: E_UNTRUSTED_SIGNER"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_withdrawal_is_found_whatever_its_file_is_called_and_what_is_called_so_is_read_or_told() {
    let place = start();
    let verify =
        |files: &[&str]| place.run(["verify", "--key", "seller.pem.pub", "--format", "json"].iter().chain(files));
    let void = |out: &str| {
        place.run(["void", "report", "--reason", "wrong machine", "-o", out, "--key", "seller.pem"]).exits(0);
    };
    // Under the names that a report, its statement and a certificate have.
    for name in ["report.dsse.json", "report.json", "certificate.dsse.json"] {
        fs::create_dir(place.path("w")).unwrap();
        let file = format!("w/{name}");
        void(&file);
        for files in [&["report", "w"][..], &["w", "report"], &["report/report.dsse.json", &file]] {
            let json = verify(files).exits(4).json();
            let report = json["reports"].as_array().unwrap().iter().find(|it| it["kind"] == "report").unwrap();
            assert_eq!(report["failures"][0]["class"], "E_REVOKED", "{files:?}: {json:#}");
        }
        fs::remove_dir_all(place.path("w")).unwrap();
    }

    void("taken.json");
    let genuine = fs::read(place.path("taken.json")).unwrap();
    let padded = [&genuine[..], &[b' '; 64 << 10]].concat();
    let beside = place.path("report/void.json");
    for (content, why) in [
        (None, "it is no regular file"),
        (Some(&padded[..]), "it has more than 65536 bytes"),
        (Some(&genuine[1..]), "the envelope "),
    ] {
        match content {
            None => symlink("../taken.json", &beside).unwrap(),
            Some(content) => fs::write(&beside, content).unwrap(),
        }
        let notice = format!("notice: report/void.json is called a withdrawal, and takes nothing back: {why}");
        for files in [&["report"][..], &["report/report.dsse.json"]] {
            let ran = verify(files).exits(3);
            assert!(ran.stderr.contains(&notice), "{files:?}, {notice}: {}", ran.stderr);
        }
        fs::remove_file(&beside).unwrap();
    }
    // Nor does a large one that is named read as one that counts for nothing.
    fs::write(place.path("padded.json"), padded).unwrap();
    let json = verify(&["report", "padded.json"]).exits(4).json();
    assert_eq!(json["reports"][1]["failures"][0]["class"], "E_FORMAT", "{json:#}");
    fs::write(place.path("report/void\u{1b}[2J.json"), "{}").unwrap();
    let ran = verify(&["report"]).exits(3);
    assert!(
        ran.stderr.contains("report/void\\u{1b}[2J.json is called") && !ran.stderr.contains('\u{1b}'),
        "{}",
        ran.stderr
    );
    place.run(["void", "report", "--reason", "x", "-o", "report/\u{1b}[2J.json", "--key", "stranger.pem"]).exits(0);
    let ran = verify(&["report"]).exits(3);
    assert!(ran.stderr.contains("report/\\u{1b}[2J.json takes a document back, and does not count"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[test]
fn a_refused_delivery_decides_the_chain() {
    let place = start();
    let other = RecordedMachine::server().with(|machine| machine.dimms[3].serial = "80CE0123155A17C3E9".to_owned());
    inspect(&place, &other, "other.json");
    accept(&place, "other.json", "refusal.json", &[]).exits(4);
    let ran = history(&place, &["report", "refusal.json"], &[]).exits(1);
    assert!(ran.stdout.contains("0 invalid, 0 disagreeing"), "{}", ran.stdout);
}

/// Every command that verifies, on `report` under the policy, and the code with which it ends when the report is right.
fn commands(more: &[&'static str]) -> Vec<(Vec<&'static str>, i32)> {
    let with = |command: &[&'static str]| [command, &["--trust", "trust.toml"], more].concat();
    vec![
        (with(&["verify", "report"]), 3),
        (with(&["history", "report"]), 3),
        (with(&["evidence", "list", "report"]), 0),
        (with(&["evidence", "get", "report", "host.tar.zst", "-o", "item"]), 0),
        (with(&["redact", "report", "--hide", "serials", "-o", "public", "--key", "buyer.pem"]), 0),
        (with(&["accept", "report", "--as-received", "same.json", "-o", "receipt.json", "--key", "buyer.pem"]), 0),
        // The last, since it changes the report.
        (with(&["cosign", "report", "--key", "buyer.pem"]), 0),
    ]
}

#[test]
fn every_command_that_verifies_goes_by_the_policy_and_by_timestamps() {
    let place = start();
    place.policy(&[]);
    place.run(["trust", "add", "buyer", "--public", "buyer.pem.pub", "--role", "buyer"]).exits(0);
    inspect(&place, &RecordedMachine::server(), "same.json");
    let genuine = fs::read(place.path("report/report.dsse.json")).unwrap();
    let run = |more: &[&'static str], expected: Option<(i32, &str)>| {
        for (command, code) in commands(more) {
            let ran = place.run(&command);
            let (code, class) = expected.unwrap_or((code, ""));
            assert!(
                ran.code == code && ran.stdout.contains(class),
                "{command:?}: {}\n{}\n{}",
                ran.code,
                ran.stdout,
                ran.stderr
            );
        }
        _ = fs::remove_dir_all(place.path("public"));
        for file in ["receipt.json", "item", "public.private-salts.json"] {
            _ = fs::remove_file(place.path(file));
        }
        fs::write(place.path("report/report.dsse.json"), &genuine).unwrap();
    };
    run(&[], None);
    // A receipt takes a key for receipts, and a report none for receipts.
    accept(&place, "same.json", "buyers.json", &[]).exits(0);
    place.run(["verify", "buyers.json", "--trust", "trust.toml"]).exits(0);
    place.run(["history", "report", "buyers.json", "--trust", "trust.toml"]).exits(3);
    certify(&place, &RecordedMachine::server(), "buyer", "theirs", &[]);
    let ran = place.run(["verify", "theirs", "--trust", "trust.toml"]).exits(4);
    assert!(ran.stdout.contains("E_UNTRUSTED_SIGNER signature of \"buyer\""), "{}", ran.stdout);
    place.run(["void", "report", "--reason", "x", "-o", "buyers-void.json", "--key", "buyer.pem"]).exits(0);

    // Revoked from an hour ahead on: only a timestamp from before shows that it was signed in time.
    let authority = Authority::new();
    fs::write(place.path("tsa.pem"), authority.root_pem()).unwrap();
    let at = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap().to_string();
    place.run(["trust", "revoke", "seller", "--at", &at, "--reason", "laptop stolen"]).exits(0);
    let open = |indeterminate: bool| {
        let json =
            place.run(["verify", "report", "--trust", "trust.toml", "--tsa-root", "tsa.pem", "--format", "json"]);
        let json = json.exits(3).json();
        assert_eq!(json["reports"][0]["indeterminate"] != Json::Array(vec![]), indeterminate, "{json:#}");
    };
    open(true);
    place.run(["timestamp", "report", "--request", "q.tsq"]).exits(0);
    fs::write(place.path("a.tsr"), authority.answer(&fs::read(place.path("q.tsq")).unwrap())).unwrap();
    place.run(["timestamp", "report", "--response", "a.tsr", "--tsa-root", "tsa.pem"]).exits(0);
    open(false);
    run(&["--tsa-root", "tsa.pem"], None);
    let sidecar = fs::read(place.path("report/report.timestamps.json")).unwrap();
    fs::write(place.path("report/report.timestamps.json"), "{}").unwrap();
    run(&[], Some((4, "E_TIME")));
    fs::remove_file(place.path("report/report.timestamps.json")).unwrap();
    place.run(["trust", "revoke", "buyer", "--reason", "left"]).exits(0);
    let ran = place.run(["verify", "buyers.json", "--trust", "trust.toml"]).exits(4);
    assert!(ran.stdout.contains("E_REVOKED"), "{}", ran.stdout);
    // Nor does a withdrawal by that key count.
    let ran = place.run(["verify", "report", "--trust", "trust.toml"]).exits(3);
    assert!(
        ran.stderr.contains("buyers-void.json takes a document back, and does not count: E_REVOKED")
            || !ran.stdout.contains("disputed"),
        "{}",
        ran.stderr
    );

    place.policy(&[]);
    place.run(["trust", "revoke", "seller", "--reason", "sold fakes"]).exits(0);
    run(&[], Some((4, "E_REVOKED")));
    fs::write(place.path("report/report.timestamps.json"), sidecar).unwrap();
    run(&["--tsa-root", "tsa.pem"], Some((4, "E_REVOKED")));
}

#[test]
fn evidence_is_listed_and_given_out_once_it_is_what_was_signed() {
    let place = start();
    let evidence = |args: &[&str]| place.run(["evidence"].iter().chain(args).chain(&["--key", "seller.pem.pub"]));
    let listed = evidence(&["list", "report"]).exits(0).stdout;
    assert!(listed.contains("host.tar.zst") && listed.contains("application/zstd"), "{listed}");
    let json = evidence(&["list", "report", "--format", "json"]).exits(0).json();
    let sha256 = json["items"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(json["evidence"], "container");

    evidence(&["get", "report", "host.tar.zst", "-o", "out.bin"]).exits(0);
    let item = fs::read(place.path("out.bin")).unwrap();
    assert_eq!(Digest::of(&item).to_string(), sha256);
    let printed =
        place.command(["evidence", "get", "report", "host.tar.zst", "--key", "seller.pem.pub"]).output().unwrap();
    assert!(printed.status.success() && printed.stdout == item);
    let none = evidence(&["get", "report", "../seller.pem", "-o", "stolen"]).exits(2);
    assert!(none.stderr.contains("has no evidence item") && !place.path("stolen").exists(), "{}", none.stderr);

    // The bytes must be the signed ones before any is given out.
    let tar = fs::read(place.path("report/evidence.tar")).unwrap();
    let mut changed = tar.clone();
    changed[600] ^= 1;
    fs::write(place.path("report/evidence.tar"), changed).unwrap();
    let refused = evidence(&["get", "report", "host.tar.zst", "-o", "bad.bin"]).exits(4);
    assert!(refused.stdout.contains("E_EVIDENCE") && !place.path("bad.bin").exists(), "{}", refused.stdout);
    evidence(&["list", "report"]).exits(4);
    fs::remove_file(place.path("report/evidence.tar")).unwrap();
    evidence(&["get", "report", "host.tar.zst", "-o", "inline.bin"]).exits(0);
    assert!(fs::read(place.path("inline.bin")).unwrap() == item);
    place.run(["evidence", "list", "report", "--key", "stranger.pem.pub"]).exits(4);

    // Names that a signer chose are shown as what they are, and never become paths.
    let mut statement: Statement =
        serde_json::from_slice(&envelope(&place, "report/report.dsse.json").payload).unwrap();
    let mut hostile = statement.predicate.evidence[0].clone();
    hostile.id = "../\u{1b}[31mevil\u{202e}".to_owned();
    statement.predicate.evidence.push(hostile.clone());
    let forged = Envelope::sign(statement.to_json().unwrap(), &key(&place, "seller")).to_json();
    fs::write(place.path("report/report.dsse.json"), forged).unwrap();
    let listed = evidence(&["list", "report"]).exits(0).stdout;
    assert!(listed.contains("../\\u{1b}[31mevil\\u{202e}") && !listed.contains('\u{1b}'), "{listed}");
    evidence(&["get", "report", &hostile.id, "-o", "evil.bin"]).exits(0);
    assert!(fs::read(place.path("evil.bin")).unwrap() == item);
    let again = evidence(&["get", "report", "host.tar.zst", "-o", "report/report.dsse.json"]).exits(2);
    assert!(again.stderr.contains("report/report.dsse.json exists already"), "{}", again.stderr);
    evidence(&["list", "report"]).exits(0);
}

#[test]
fn the_same_recorded_machine_gives_the_same_evidence_twice() {
    let place = start();
    certify(&place, &RecordedMachine::server(), "seller", "again", &[]);
    let file = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(file("report/evidence.tar") == file("again/evidence.tar"));
    // Report id, times and session are of the run.
    assert!(file("report/report.dsse.json") != file("again/report.dsse.json"));
}
