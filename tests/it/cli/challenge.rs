//! Challenges: issued by the buyer, answered by the seller, compared and remembered by the buyer.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};
use yanji::attest::challenge::{Issued, SignedChallenge};
use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::ChallengeSource;

use super::attacks::{assert_refused, issue, seller};
use super::{Place, Ran};

fn verify(place: &Place, report: &str) -> Ran {
    place.run(["verify", report, "--key", "seller.pem.pub", "--challenge", "c.json"])
}

#[test]
fn a_report_that_answers_a_challenge_is_fresh_and_says_since_when() {
    let place = seller();
    let ran = place.run(["challenge", "new", "--for", "PO-1", "--expires", "2h", "-o", "c.json"]).exits(0);
    assert!(ran.stderr.contains("notice: made a signing key"), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("c.json: challenge for \"PO-1\", open until "), "{}", ran.stdout);
    let bytes = fs::read(place.path("c.json")).unwrap();
    assert_eq!(fs::metadata(place.path("c.json")).unwrap().permissions().mode() & 0o777, 0o644);
    let payload = Envelope::parse(&bytes).unwrap().payload;
    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://yanji.example/challenge/v1");
    assert_eq!(statement["subject"][0]["name"], "challenge");
    let issued = SignedChallenge::parse(&bytes).unwrap().issued().clone();
    assert_eq!(issued.expires_at.duration_since(issued.issued_at), SignedDuration::from_hours(2));

    let again = place.run(["challenge", "new", "--for", "PO-1", "-o", "c.json"]).exits(2);
    assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
    assert_eq!(fs::read(place.path("c.json")).unwrap(), bytes);

    place.certify("report", &["--challenge", "c.json"]);
    let said = &place.predicate("report")["challenge"];
    assert_eq!(said["purpose"], "PO-1");
    assert_eq!(said["source"], "buyer");
    assert_eq!(said["issuedAt"], issued.issued_at.to_string());
    assert_eq!(said["expiresAt"], issued.expires_at.to_string());
    assert_eq!(said["value"], statement["predicate"]["value"]);

    let ran = verify(&place, "report").exits(3);
    assert!(ran.stdout.contains("the report answers the challenge for \"PO-1\""), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("L1 made after {}", issued.issued_at)), "{}", ran.stdout);
    assert!(!ran.stdout.contains("that the report is fresh"), "{}", ran.stdout);
    // The same report again is no replay.
    verify(&place, "report").exits(3);
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("NOT proven") && ran.stdout.contains("that the report is fresh"), "{}", ran.stdout);
}

#[test]
fn an_expired_challenge_or_one_from_the_future_is_not_answered() {
    let place = seller();
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    let now = Timestamp::now();
    let hours = |hours| now.checked_add(SignedDuration::from_hours(hours)).unwrap();
    for (from, until, hint) in [(-3, -1, "ask whoever issued it for a new one"), (1, 2, "set this machine's clock")] {
        let issued = Issued {
            value: [9; 32],
            purpose: "x".to_owned(),
            issued_at: hours(from),
            expires_at: hours(until),
            credential: None,
        };
        fs::write(place.path("c.json"), issued.sign(&key).unwrap().to_json()).unwrap();
        let ran = place.run(["certify", "--host", "host.tar.zst", "--out", "report", "--challenge", "c.json"]).exits(2);
        assert!(ran.stderr.contains(hint), "{}", ran.stderr);
        assert!(!place.path("report").exists());
    }
    for (arguments, words) in [
        (["--for", "", "--expires", "1d"], "a purpose has 1 to 200"),
        (["--for", "a\nb", "--expires", "1d"], "a purpose has 1 to 200"),
        (["--for", "a", "--expires", "soon"], "no duration"),
        (["--for", "a", "--expires", "9999999d"], "out of range"),
    ] {
        let ran = place.run(["challenge", "new", "-o", "new.json"].iter().chain(&arguments)).exits(2);
        assert!(ran.stderr.contains(words) || words == "out of range", "{}", ran.stderr);
        assert!(!place.path("new.json").exists());
    }
}

#[test]
fn a_challenge_counts_when_the_verifier_or_its_policy_issued_it() {
    let place = seller();
    place.run(["key", "gen", "--out", "buyer.pem", "--no-passphrase"]).exits(0);
    issue(&place, "c.json", &["--key", "buyer.pem"]);
    place.certify("report", &["--challenge", "c.json"]);
    // This machine did not issue it, and that the seller is trusted with reports is no reason.
    let ran = verify(&place, "report").exits(4);
    assert!(ran.stderr.contains("E_UNTRUSTED_SIGNER: challenge c.json: expected"), "{}", ran.stderr);
    assert!(ran.stderr.contains("auditor of the policy: no such key is known here; observed key "), "{}", ran.stderr);

    place.policy(&[]);
    place.run(["trust", "add", "buyer", "--public", "buyer.pem.pub", "--role", "seller"]).exits(0);
    let verify = || place.run(["verify", "report", "--trust", "trust.toml", "--challenge", "c.json"]);
    verify().exits(4);
    place.run(["trust", "init", "--file", "other.toml", "--name", "other"]).exits(0);
    for (name, role) in [("seller", "seller"), ("buyer", "buyer")] {
        let public = format!("{name}.pem.pub");
        place.run(["trust", "add", "--file", "other.toml", name, "--public", &public, "--role", role]).exits(0);
    }
    let verify = || place.run(["verify", "report", "--trust", "other.toml", "--challenge", "c.json"]);
    verify().exits(3);

    let mut envelope = Envelope::parse(&fs::read(place.path("c.json")).unwrap()).unwrap();
    // One second less or more.
    let seconds = envelope.payload.len() - 5;
    envelope.payload[seconds] ^= 1;
    fs::write(place.path("c.json"), envelope.to_json()).unwrap();
    let ran = verify().exits(4);
    assert!(ran.stderr.contains("E_SIGNATURE: challenge c.json"), "{}", ran.stderr);
    let by_json = ["verify", "report", "--trust", "other.toml", "--challenge", "c.json", "--format", "json"];
    let json = place.run(by_json).exits(4).json();
    assert_eq!((&json["error"]["class"], &json["reports"]), (&"E_SIGNATURE".into(), &serde_json::json!([])), "{json}");
    fs::write(place.path("c.json"), "5a".repeat(32)).unwrap();
    let ran = verify().exits(2);
    assert!(ran.stderr.contains("hint: give the file that yanji challenge new wrote"), "{}", ran.stderr);
}

#[test]
fn a_clock_that_disagrees_with_the_challenge_is_told() {
    let place = seller();
    issue(&place, "c.json", &[]);
    place.certify("report", &["--challenge", "c.json"]);
    let issued_at = SignedChallenge::parse(&fs::read(place.path("c.json")).unwrap()).unwrap().issued().issued_at;
    let before = issued_at.checked_sub(SignedDuration::from_mins(9)).unwrap().to_string();
    place.resign("report", |statement| statement.predicate.session.started_at = before);
    let ran = verify(&place, "report").exits(3);
    let told =
        format!("L1 made after {issued_at}: it contains random bytes that were not known before, and its own clock is");
    assert!(ran.stdout.contains(&format!("{told} at least 9m behind")), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("begun after {issued_at}, and its own clock is at least 9m behind")));
}

#[test]
fn a_challenge_of_the_seller_s_own_bounds_nothing() {
    let place = seller();
    place.run(["trust", "init", "--name", "both"]).exits(0);
    let add = ["trust", "add", "both", "--public", "seller.pem.pub", "--role", "seller", "--role", "buyer"];
    place.run(add).exits(0);
    issue(&place, "c.json", &["--key", "seller.pem"]);
    place.certify("report", &["--challenge", "c.json"]);
    assert_eq!(place.predicate("report")["challenge"]["source"], "self");
    let verify = || place.run(["verify", "report", "--trust", "trust.toml", "--challenge", "c.json"]).exits(3).stdout;
    let own = |stdout: &str| {
        let told = "that the report is fresh: for all that is known, whoever made it knew the challenge before";
        assert!(stdout.contains(told) && stdout.contains("the report answers the challenge"), "{stdout}");
        assert!(!stdout.contains("made after") && !stdout.contains("begun after"), "{stdout}");
    };
    own(&verify());
    // Whatever the report says of it.
    fs::remove_dir_all(place.path("state/yanji")).unwrap();
    place.resign("report", |statement| {
        statement.predicate.challenge.as_mut().unwrap().source = ChallengeSource::Auditor;
    });
    own(&verify());
    // An issuer who signs beside the seller is another one.
    issue(&place, "other.json", &[]);
    place.certify("other", &["--challenge", "other.json"]);
    let path = place.path("other/report.dsse.json");
    let mut envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    envelope.cosign(&Key::load(&place.path("data/yanji/key.pem"), None).unwrap()).unwrap();
    fs::write(&path, envelope.to_json()).unwrap();
    let keys = ["--key", "seller.pem.pub", "--key", "data/yanji/key.pem.pub"];
    let ran = place.run(["verify", "other", "--challenge", "other.json"].iter().chain(&keys)).exits(3);
    assert!(ran.stdout.contains("L1 made after") && !ran.stdout.contains("that the report is fresh"), "{}", ran.stdout);
}

#[test]
fn a_damaged_memory_is_refused_and_not_started_over() {
    let place = seller();
    issue(&place, "c.json", &[]);
    place.certify("report", &["--challenge", "c.json"]);
    verify(&place, "report").exits(3);
    let index = place.path("state/yanji/challenges");
    let whole = fs::read_to_string(&index).unwrap();
    for damage in [&whole[..whole.len() - 1], &whole[1..], "nothing\n"] {
        fs::write(&index, damage).unwrap();
        let ran = verify(&place, "report").exits(2);
        assert!(ran.stderr.contains("hint: restore it from a backup"), "{}", ran.stderr);
    }
    fs::write(&index, whole).unwrap();
    verify(&place, "report").exits(3);
    issue(&place, "other.json", &["--for", "PO-2"]);
    fs::rename(place.path("other.json"), place.path("c.json")).unwrap();
    assert_refused(&place, &["report", "--key", "seller.pem.pub", "--challenge", "c.json"], "E_REPLAY");
}
