//! Signed reports of a recorded machine: written once, verified by others, and forged in every way.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value as Json;
use yanji::attest::envelope::Envelope;
use yanji::attest::key::{Key, PublicKey};
use yanji::attest::statement::{Statement, part_subject, session_id};
use yanji::policy::Verdict;

use super::{Place, Ran, change};
use crate::support::RecordedMachine;

const FILES: [&str; 4] = ["report.dsse.json", "report.json", "evidence.tar", "signer.pub"];

/// The files of one report, made once for all tests.
pub struct Signed {
    files: Vec<(&'static str, Vec<u8>)>,
    certified: String,
}

/// A recorded server with a module that has no serial number, certified with a key of its own.
pub fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let place = Place::new();
        place.archive(&server());
        place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
        let ran =
            certify(&place, "report", &["--key", "seller.pem", "--condition", "used", "--disclose", "fan replaced"]);
        let read = |name: &str| fs::read(place.path("report").join(name)).unwrap();
        let files = FILES.map(|name| (name, read(name))).to_vec();
        assert_eq!(listed(&place.path("report")).len(), FILES.len(), "nothing is left of the run itself");
        Signed { files, certified: ran.exits(3).stdout }
    })
}

fn server() -> RecordedMachine {
    RecordedMachine::server().with(|machine| machine.dimms[3].serial = "Not Specified".to_owned())
}

fn certify(place: &Place, out: &str, more: &[&str]) -> Ran {
    place.run(["certify", "--host", "host.tar.zst", "--out", out].iter().chain(more))
}

impl Signed {
    fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// A place in which the report lies in `report`, and the seller's public key in `seller.pub`.
    pub fn place(&self) -> Place {
        let place = Place::new();
        fs::create_dir(place.path("report")).unwrap();
        for (name, content) in &self.files {
            fs::write(place.path("report").join(name), content).unwrap();
        }
        fs::write(place.path("seller.pub"), self.file("signer.pub")).unwrap();
        place
    }

    fn statement(&self) -> Statement {
        let envelope = Envelope::parse(self.file("report.dsse.json")).unwrap();
        serde_json::from_slice(&envelope.payload).unwrap()
    }
}

fn verify(place: &Place, more: &[&str]) -> Ran {
    place.run(["verify", "report", "--key", "seller.pub"].iter().chain(more))
}

/// Exit code 4 with a failure that says what was looked at, what was expected and what was there.
#[track_caller]
fn assert_refused(place: &Place, arguments: &[&str], classes: &[&str]) -> Json {
    let ran = place.run(["verify", "--format", "json"].iter().chain(arguments)).exits(4);
    let json = ran.json();
    let report = &json["reports"][0];
    assert_eq!(report["valid"], false);
    assert_eq!(report["judgement"], Json::Null);
    assert_eq!(report["proven"], serde_json::json!([]));
    let failures = report["failures"].as_array().unwrap();
    assert!(!failures.is_empty());
    for failure in failures {
        assert!(classes.contains(&failure["class"].as_str().unwrap()), "{failure}");
        for field in ["what", "expected", "observed"] {
            assert_ne!(failure[field].as_str().unwrap(), "", "{failure}");
        }
    }
    assert_eq!(json["totals"]["invalid"], 1);
    report.clone()
}

/// Signs a changed statement with another key that the verifier trusts; `session` binds the session to that key too.
fn forge(place: &Place, session: bool, change: impl FnOnce(&mut Statement)) {
    place.run(["key", "gen", "--out", "forger.pem", "--no-passphrase"]).exits(0);
    let key = Key::load(&place.path("forger.pem"), None).unwrap();
    let mut statement = signed().statement();
    change(&mut statement);
    let predicate = &mut statement.predicate;
    if session {
        let (keyid, tool) = (key.public().keyid(), predicate.tool.binary_sha256);
        predicate.session.s0 = session_id(predicate.challenge.as_ref(), &keyid, &tool, &predicate.session.started_at);
    }
    let envelope = Envelope::sign(statement.to_json().unwrap(), &key).to_json();
    fs::write(place.path("report/report.dsse.json"), envelope).unwrap();
}

#[test]
fn a_report_is_written_and_verified_with_what_it_does_not_prove() {
    let signed = signed();
    for file in FILES {
        assert!(signed.certified.contains(&format!("report/{file}\n")), "{}", signed.certified);
        assert!(!signed.file(file).is_empty());
    }
    assert!(signed.certified.contains("Verdict: undecided"), "{}", signed.certified);
    let place = signed.place();
    let ran = verify(&place, &[]).exits(3);
    for expected in [
        "report: valid\n",
        "  NOT proven\n    - that any machine was looked at: the evidence is recorded\n",
        "    - that the parts are genuine",
        "    - that the report is fresh",
        "    - condition: used\n    - disclosed: fan replaced\n",
        "  Verdict: undecided\n    - the evidence is recorded",
        "dimm.serial-blank on dimm:P1-DIMMD1 needs a person to look",
    ] {
        assert!(ran.stdout.contains(expected), "{expected:?} is not in {}", ran.stdout);
    }
    let json = verify(&place, &["--format", "json"]).exits(3).json();
    let report = &json["reports"][0];
    assert_eq!(report["valid"], true);
    assert_eq!(report["judgement"]["verdict"], "undecided");
    assert_eq!(report["reportId"], signed.statement().predicate.report_id);
    assert!(report["notProven"].as_array().unwrap().len() >= 4, "{report}");
    assert_eq!(
        json["totals"],
        serde_json::json!({"reports": 1, "invalid": 0, "accepted": 0, "rejected": 0, "undecided": 1, "unreadable": 0})
    );
}

#[test]
fn many_reports_are_verified_at_once_and_the_worst_decides() {
    let place = signed().place();
    let copy = fs::read(place.path("report/report.dsse.json")).unwrap();
    fs::create_dir(place.path("other")).unwrap();
    fs::write(place.path("other/report.dsse.json"), &copy[1..]).unwrap();
    let ran = place.run(["verify", "report", "other", "--key", "seller.pub"]).exits(4);
    assert!(ran.stdout.contains("valid    undecided L1  report\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("INVALID  E_FORMAT (envelope)  other\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("2 reports: 0 accepted, 0 rejected, 1 undecided, 1 invalid\n"), "{}", ran.stdout);
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let place = signed().place();
    for (name, samples, classes) in [
        ("report.dsse.json", 60, &["E_FORMAT", "E_SIGNATURE", "E_UNTRUSTED_SIGNER"][..]),
        ("evidence.tar", 24, &["E_EVIDENCE"][..]),
    ] {
        let path = place.path("report").join(name);
        let genuine = fs::read(&path).unwrap();
        for sample in 0..samples {
            let offset = sample * (genuine.len() - 1) / (samples - 1);
            let mut changed = genuine.clone();
            changed[offset] ^= 1 << (sample % 7);
            fs::write(&path, changed).unwrap();
            assert_refused(&place, &["report", "--key", "seller.pub"], classes);
        }
        for length in [0, 1, genuine.len() / 2, genuine.len() - 1] {
            fs::write(&path, &genuine[..length]).unwrap();
            assert_refused(&place, &["report", "--key", "seller.pub"], classes);
        }
        fs::write(&path, genuine).unwrap();
    }
    verify(&place, &[]).exits(3);
}

#[test]
fn without_its_container_a_report_is_verified_from_what_it_holds_inline_or_not_at_all() {
    let place = signed().place();
    fs::remove_file(place.path("report/evidence.tar")).unwrap();
    if signed().statement().predicate.evidence.iter().all(|item| item.inline.is_some()) {
        let ran = verify(&place, &[]).exits(3);
        assert!(ran.stdout.contains("that evidence.tar is unchanged: it was not given"), "{}", ran.stdout);
    }
    forge(&place, true, |statement| statement.predicate.evidence[0].inline = None);
    let report = assert_refused(&place, &["report", "--key", "forger.pem.pub"], &["E_EVIDENCE"]);
    assert_eq!(report["failures"][0]["observed"], "no evidence.tar was given");
}

#[test]
fn evidence_of_another_report_is_refused() {
    let place = signed().place();
    place.archive(&RecordedMachine::server());
    certify(&place, "other", &[]).exits(3);
    fs::copy(place.path("other/evidence.tar"), place.path("report/evidence.tar")).unwrap();
    assert_refused(&place, &["report", "--key", "seller.pub"], &["E_EVIDENCE"]);
}

#[test]
fn a_key_that_did_not_sign_proves_nothing_and_a_hint_says_how_to_get_the_right_one() {
    let place = signed().place();
    place.run(["key", "gen", "--out", "other.pem", "--no-passphrase"]).exits(0);
    let ran = place.run(["verify", "report", "--key", "other.pem.pub"]).exits(4);
    assert!(ran.stdout.contains("E_UNTRUSTED_SIGNER"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: ask the signer for the public key"), "{}", ran.stderr);
    // The key that lies beside the report is never taken by itself.
    place.run(["verify", "report"]).exits(4);
    fs::create_dir_all(place.path("config/yanji")).unwrap();
    let shown = place.run(["key", "show", "seller.pub"]).exits(0).stdout;
    let hex = shown.lines().find_map(|line| line.strip_prefix("hex")).unwrap().trim();
    let json = place.run(["key", "show", "seller.pub", "--format", "json"]).exits(0).json();
    assert_eq!((json["hex"].as_str(), &json["privateKey"]), (Some(hex), &serde_json::Value::Null), "{json}");
    assert!(shown.ends_with(json["pem"].as_str().unwrap()) && shown.contains(json["keyid"].as_str().unwrap()));
    fs::write(place.path("config/yanji/trusted_keys"), format!("seller-inc {hex}\n")).unwrap();
    let ran = place.run(["verify", "report"]).exits(3);
    assert!(ran.stdout.contains("seller-inc"), "{}", ran.stdout);
}

#[test]
fn other_signatures_show_what_comes_out_differently_and_their_verdict_counts() {
    let place = signed().place();
    let folder = place.signatures();
    let version = fs::read_to_string(folder.join("set.toml")).unwrap();
    fs::write(folder.join("set.toml"), version.replace("\"20", "\"30")).unwrap();
    let ran = verify(&place, &["--signatures", "signatures"]).exits(3);
    assert!(ran.stdout.contains("another signature set was used"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("Otherwise with these signatures"), "{}", ran.stdout);

    change(&folder.join("dimm/serial-blank.toml"), "severity = \"high\"", "severity = \"critical\"");
    change(&folder.join("dimm/serial-blank.toml"), "confidence = \"medium\"", "confidence = \"high\"");
    let ran = verify(&place, &["--signatures", "signatures"]).exits(1);
    let (_, differences) = ran.stdout.split_once("  Otherwise with these signatures\n").unwrap();
    assert!(differences.contains("check \"dimm.serial-blank\" of \"dimm:P1-DIMMD1\": signed "), "{differences}");
    assert!(differences.contains("    - verdict: signed "), "{differences}");
    assert!(differences.contains("  Verdict: rejected\n    - dimm.serial-blank on dimm:P1-DIMMD1\n"), "{differences}");
    let json = verify(&place, &["--signatures", "signatures", "--format", "json"]).exits(1).json();
    let report = &json["reports"][0];
    assert_eq!(report["valid"], true);
    assert_eq!(report["judgement"]["verdict"], "rejected");
    assert_eq!(report["differences"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn a_trusted_key_cannot_sign_what_does_not_follow_from_the_evidence() {
    let place = signed().place();
    let refused = |classes: &[&str]| assert_refused(&place, &["report", "--key", "forger.pem.pub"], classes);
    let accepted = |statement: &mut Statement| {
        statement.predicate.verdict.result = Verdict::Accepted;
        statement.predicate.verdict.reasons.clear();
    };
    let again = |session: bool, change: &dyn Fn(&mut Statement)| {
        for file in ["forger.pem", "forger.pem.pub"] {
            _ = fs::remove_file(place.path(file));
        }
        forge(&place, session, change);
    };
    again(true, &|_| {});
    place.run(["verify", "report", "--key", "forger.pem.pub"]).exits(3);
    again(true, &accepted);
    assert_eq!(refused(&["E_VERDICT_MISMATCH"])["failures"][0]["what"], "verdict");
    // The session belongs to the key that was there at its start.
    again(false, &|_| {});
    refused(&["E_EVIDENCE"]);
    // A recording passed off as a live machine has another verdict, so the whole of it must be forged.
    again(true, &|statement| statement.predicate.origin = yanji::evidence::Origin::Live);
    refused(&["E_VERDICT_MISMATCH"]);
    again(true, &|statement| {
        statement.predicate.checks.retain(|check| check.id != "dimm.serial-blank");
    });
    refused(&["E_VERDICT_MISMATCH"]);
    again(true, &|statement| statement.subject.push(part_subject("system-serial", "S1")));
    refused(&["E_VERDICT_MISMATCH", "E_EVIDENCE"]);
    again(true, &|statement| {
        let hwid = statement.subject.iter().position(|subject| subject.name.starts_with("hwid:")).unwrap();
        statement.subject.remove(hwid);
    });
    refused(&["E_VERDICT_MISMATCH", "E_EVIDENCE"]);
    again(true, &|statement| {
        statement.predicate.identity["system"] = "S1".into();
    });
    refused(&["E_VERDICT_MISMATCH", "E_EVIDENCE"]);
}

#[test]
fn envelopes_that_are_read_in_two_ways_are_refused() {
    let place = signed().place();
    let path = place.path("report/report.dsse.json");
    let genuine = fs::read_to_string(&path).unwrap();
    for changed in [
        genuine.replacen('{', "{\"payloadType\":\"text/plain\",", 1),
        genuine.replacen('{', "{\"payload\":\"e30=\",", 1),
        format!("{genuine}{genuine}"),
        format!("\u{feff}{genuine}"),
    ] {
        fs::write(&path, changed).unwrap();
        assert_refused(&place, &["report", "--key", "seller.pub"], &["E_FORMAT"]);
    }
    File::create(&path).unwrap().set_len(100 << 20).unwrap();
    assert_refused(&place, &["report", "--key", "seller.pub"], &["E_FORMAT"]);
}

#[test]
fn a_challenge_of_the_buyer_is_bound_into_the_session() {
    let place = Place::new();
    place.archive(&server());
    let challenge = "5a".repeat(32);
    fs::write(place.path("challenge"), format!("{challenge}\n")).unwrap();
    certify(&place, "report", &["--challenge", "challenge"]).exits(3);
    let statement: Json = serde_json::from_slice(&fs::read(place.path("report/report.json")).unwrap()).unwrap();
    assert_eq!(statement["predicate"]["challenge"]["source"], "buyer");
    let ran = place.run(["verify", "report"]).exits(3);
    assert!(ran.stdout.contains("it was not compared with any"), "{}", ran.stdout);
    assert!(ran.stdout.contains("that the report is fresh"), "{}", ran.stdout);
    fs::write(place.path("challenge"), &challenge[1..]).unwrap();
    let ran = certify(&place, "other", &["--challenge", "challenge"]).exits(2);
    assert!(ran.stderr.contains("or 32 random bytes: openssl"), "{}", ran.stderr);
    assert!(!place.path("other").exists());
}

#[test]
fn a_folder_with_a_report_or_a_run_that_was_cut_off_is_left_alone() {
    let place = signed().place();
    place.archive(&server());
    let before = fs::read(place.path("report/report.dsse.json")).unwrap();
    let ran = certify(&place, "report", &[]).exits(2);
    assert!(
        ran.stderr.contains("a report is never overwritten") && ran.stderr.contains("hint: choose another --out"),
        "{}",
        ran.stderr
    );
    assert!(!place.path("data").exists(), "a key was made for nothing");
    assert!(fs::read(place.path("report/report.dsse.json")).unwrap() == before);
    fs::create_dir_all(place.path("cut/.unfinished")).unwrap();
    let ran = certify(&place, "cut", &[]).exits(2);
    assert!(ran.stderr.contains("hint: go on with --resume, or remove it: cut/.unfinished"), "{}", ran.stderr);
    let ran = place.run(["certify", "--resume", "--out", "nothing"]).exits(2);
    assert!(ran.stderr.contains("hint: leave --resume out to start one"), "{}", ran.stderr);
}

#[test]
fn a_private_key_that_others_can_read_is_refused() {
    let place = Place::new();
    place.archive(&server());
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    fs::set_permissions(place.path("seller.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = certify(&place, "report", &["--key", "seller.pem"]).exits(2);
    assert!(ran.stderr.contains("chmod"), "{}", ran.stderr);
    assert!(!place.path("report").exists(), "what was begun for nothing is left behind");
    fs::set_permissions(place.path("seller.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    certify(&place, "report", &["--key", "seller.pem"]).exits(3);
}

/// A small filesystem of its own, gone with the value.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(folder: &'a Path, options: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: mounting a tmpfs needs root");
        None
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0).status();
    }
}

fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn nothing_half_written_is_left_where_there_is_no_room() {
    let place = Place::new();
    place.archive(&server());
    fs::write(place.path("file"), "").unwrap();
    let ran = certify(&place, "file/report", &[]).exits(2);
    assert!(ran.stderr.contains("cannot write into file/report") && ran.stderr.contains("hint: "), "{}", ran.stderr);

    let full = place.path("full");
    let Some(mounted) = Mounted::new(&full, "size=48k") else { return };
    let ran = certify(&place, "full", &[]);
    assert!(matches!(ran.code, 2 | 5), "{}: {}", ran.code, ran.stderr);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert_eq!(listed(&full), Vec::<String>::new());
    let ran = place.run(["capture", "--host", "host.tar.zst", "-o", "full/again.tar.zst"]);
    assert!(ran.code == 0 || (ran.code == 2 && !full.join("again.tar.zst").exists()), "{}", ran.stderr);
    drop(mounted);

    let Some(_mounted) = Mounted::new(&full, "size=4m,ro") else { return };
    let ran = certify(&place, "full/report", &[]).exits(2);
    assert!(ran.stderr.contains("Read-only file system") && ran.stderr.contains("hint: "), "{}", ran.stderr);
}

/// What the page's own program says of its envelope, with that key; as a browser runs it, but for the window.
const BROWSER: &str = r#"
const page = require("fs").readFileSync(process.argv[1], "utf8");
const element = (id) => page.match(new RegExp(`<script[^>]* id="${id}">([^]*?)</script>`))[1];
(0, eval)(element("program"));
const envelope = JSON.parse(element("envelope"));
check(envelope, process.argv[2]).then(console.log, (error) => console.log("not checked: " + error.message));
"#;

#[test]
fn a_browser_checks_the_signature_with_a_key_that_is_typed_in() {
    let place = signed().place();
    let node = |page: &str, key: &str| {
        let ran = Command::new("node").args(["-e", BROWSER, &place.path(page).to_string_lossy(), key]).output().ok()?;
        Some(String::from_utf8(ran.stdout).unwrap())
    };
    place.run(["export", "report", "--html", "page.html"]).exits(0);
    let pem = fs::read_to_string(place.path("seller.pub")).unwrap();
    let Some(said) = node("page.html", &pem) else {
        println!("skipped: no node");
        return;
    };
    assert_eq!(said, "valid: this key signed the statement below\n");
    let hex = PublicKey::from_pem(&pem).unwrap().to_hex();
    assert!(node("page.html", &hex).unwrap().starts_with("valid"));
    for (key, words) in [("ab".repeat(32), ""), (String::new(), "not checked: this is no public key")] {
        let said = node("page.html", &key).unwrap();
        assert!(!said.starts_with("valid") && said.contains(words), "{said}");
    }
    // Another payload under the same signatures.
    let path = place.path("report/report.dsse.json");
    let mut envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    let at = envelope.payload.len() / 2;
    envelope.payload[at] ^= 1;
    fs::write(&path, envelope.to_json()).unwrap();
    place.run(["export", "report", "--html", "other.html"]).exits(0);
    assert_eq!(node("other.html", &pem).unwrap(), "INVALID: this key did not sign the statement below\n");
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(!page.contains(&hex) && !page.contains("http://") && !page.contains("https://"));
}

#[test]
fn an_export_overwrites_nothing_and_writes_all_of_its_files_or_none() {
    let place = signed().place();
    let report = fs::read(place.path("report/report.dsse.json")).unwrap();
    for options in [&["--pae"][..], &["--signature"], &["--sigstore", "-o"]] {
        let ran = place
            .run(["export", "report", "--html", "page.html"].iter().chain(options).chain(&["report/report.dsse.json"]));
        let ran = ran.exits(2);
        assert!(ran.stderr.contains("exists already, and nothing is overwritten\nhint: "), "{}", ran.stderr);
        assert!(!place.path("page.html").exists());
    }
    assert!(fs::read(place.path("report/report.dsse.json")).unwrap() == report);
    let ran = place.run(["export", "report", "--pae", "x.bin", "--signature", "x.bin"]).exits(2);
    assert!(ran.stderr.contains("x.bin would be written twice") && !place.path("x.bin").exists(), "{}", ran.stderr);
    let mut twice = Envelope::parse(&report).unwrap();
    twice.signatures.push(twice.signatures[0].clone());
    fs::write(place.path("twice.dsse.json"), twice.to_json()).unwrap();
    let ran = place.run(["export", "twice.dsse.json", "--html", "page.html", "--signature", "s.bin"]).exits(2);
    assert!(ran.stderr.contains("would be written twice") && !place.path("page.html").exists(), "{}", ran.stderr);
    place.run(["export", "report", "--html", "page.html", "--pae", "pae.bin"]).exits(0);
    place.run(["export", "report", "--html", "page.html"]).exits(2);
}
