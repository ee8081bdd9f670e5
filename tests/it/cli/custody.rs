//! Several hands: co-signatures, receipts, withdrawals, and the chain that reports and they make.

use std::fs;
use std::sync::OnceLock;

use serde_json::Value as Json;
use yanji::attest::Digest;
use yanji::attest::acceptance::{Acceptability, Acceptance};
use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::Statement;

use super::{Place, Ran};
use crate::support::RecordedMachine;

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

    let signed = cosign(&["--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
    assert!(
        signed.stdout.contains("NOT proven") && signed.stdout.ends_with("too: 2 signatures\n"),
        "{}",
        signed.stdout
    );
    let after = envelope(&place, "report/report.dsse.json");
    assert!(after.payload == before.payload && after.signatures[0] == before.signatures[0]);
    assert_eq!(after.signatures[1].keyid, key(&place, "buyer").public().keyid());
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
    let ran = place.run(["verify", "receipt.json", "--key", "buyer.pem.pub"]).exits(0);
    assert!(ran.stdout.contains("the evidence is recorded") && ran.stdout.contains(": accepted"), "{}", ran.stdout);
    place.run(["verify", "receipt.json", "--key", "stranger.pem.pub"]).exits(4);
    let again = accept(&place, "same.json", "receipt.json", &[]).exits(2);
    assert!(again.stderr.contains("nothing signed is overwritten"), "{}", again.stderr);

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
    let ran = accept(&place, "blind.json", "blind-receipt.json", &[]);
    assert!(matches!(ran.code, 3 | 4), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("not compared"), "{}", ran.stdout);
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
    certify(&place, &server, "stranger", "theirs", &[]);
    accept(&place, "theirs", "theirs.json", &[]).exits(4);
    fs::write(place.path("nonsense.json"), "{\"evidence\":{},\"evidence\":{}}").unwrap();
    accept(&place, "nonsense.json", "nonsense-receipt.json", &[]).exits(2);
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
    let changes: [fn(&mut Statement<Acceptance>); 5] = [
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
    let ran = history(&place, &["receipt.json", "delivered", "built"], &[]).exits(0);
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

    // A signature that is added later does not break the link to the report as it was.
    let cosign = ["cosign", "delivered", "--key", "seller.pem.pub", "--key", "buyer.pem"];
    place.run(cosign).exits(0);
    let json = history(&place, &["built", "delivered", "receipt.json"], &["--format", "json"]).exits(0).json();
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

    // An invalid document stays in its place, and nothing that it says counts.
    let json = history(&place, &["built", "delivered"], &["--format", "json"]).exits(0).json();
    assert_eq!(json["documents"].as_array().unwrap().len(), 2);
    fs::write(place.path("built/report.dsse.json"), "{}").unwrap();
    let ran = history(&place, &["built", "delivered", "receipt.json"], &[]).exits(4);
    assert!(ran.stdout.contains("report built: INVALID") || ran.stdout.contains("document built: INVALID"));
    let none = place.run(["certify", "--host", "host.tar.zst", "--previous", "receipt.json", "--relation", "as-built"]);
    assert!(none.exits(2).stderr.contains("is no report"));
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
    let ran = history(&place, &["report", "repaired"], &[]).exits(0);
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
    let with = |more: &[&'static str]| -> Json {
        history(&place, &[&chain[..], more].concat(), &["--format", "json"]).exits(3).json()
    };
    let step = |json: &Json, name: &str| {
        let steps = json["documents"].as_array().unwrap().clone();
        steps.into_iter().find(|step| step["name"] == name).unwrap()
    };
    let json = with(&["disputed.json"]);
    assert_eq!(step(&json, "delivered")["disputedBy"], serde_json::json!(["disputed.json"]));
    assert_eq!(step(&json, "delivered")["voidedBy"], serde_json::json!([]));

    void("delivered", "void.json", "seller").exits(0);
    let ran = place.run(["verify", "void.json", "--key", "seller.pem.pub"]).exits(0);
    assert!(ran.stdout.contains("wrong\\u{1b}[2J machine") && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    let json = with(&["void.json"]);
    assert_eq!(step(&json, "delivered")["voidedBy"], serde_json::json!(["void.json"]));
    let ran = history(&place, &[&chain[..], &["void.json"]].concat(), &[]).exits(3);
    assert!(ran.stdout.contains("report delivered: undecided  VOID\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("taken back by its signer: void.json") && !ran.stdout.contains('\u{1b}'));

    // A withdrawal can itself be taken back.
    void("void.json", "void-void.json", "seller").exits(0);
    let json = with(&["void-void.json", "void.json"]);
    assert_eq!(step(&json, "delivered")["voidedBy"], serde_json::json!([]));
    assert_eq!(step(&json, "void.json")["voidedBy"], serde_json::json!(["void-void.json"]));

    // Nobody trusts the stranger, so the withdrawal does not count.
    void("delivered", "strange.json", "stranger").exits(0);
    let ran = history(&place, &[&chain[..], &["strange.json"]].concat(), &[]).exits(4);
    assert!(ran.stdout.contains("E_UNTRUSTED_SIGNER") && !ran.stdout.contains("VOID\n"), "{}", ran.stdout);
    void("void.json", "void.json", "seller").exits(2);
    place.run(["void", "seller.pem.pub", "--reason", "x", "-o", "no.json", "--key", "seller.pem"]).exits(2);
    place.run(["void", "delivered", "--reason", " ", "-o", "no.json", "--key", "seller.pem"]).exits(2);
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
