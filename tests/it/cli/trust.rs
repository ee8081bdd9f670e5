//! The trust policy: made, edited, signed, handed over, and held against reports.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::policy;

use super::attacks::{assert_refused, seller};
use super::{Place, Ran, change};

const VERIFY: [&str; 3] = ["report", "--trust", "trust.toml"];

fn verify(place: &Place) -> Ran {
    place.run(["verify"].iter().chain(&VERIFY))
}

fn trust(place: &Place, arguments: &[&str]) -> Ran {
    place.run(["trust"].iter().chain(arguments))
}

/// Refused with exit code 4 and words that say what is wrong with the policy itself.
#[track_caller]
fn assert_unusable(place: &Place, words: &str) {
    let ran = verify(place).exits(4);
    assert!(ran.stderr.starts_with("error: E_POLICY: "), "{}", ran.stderr);
    assert!(ran.stderr.contains(words) && ran.stderr.contains("; observed "), "{}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    let json = place.run(["verify", "--format", "json"].iter().chain(&VERIFY)).exits(4).json();
    assert_eq!((&json["reports"], &json["totals"]["reports"]), (&serde_json::json!([]), &0.into()), "{json}");
    let Json::Object(error) = &json["error"] else { panic!("{json}") };
    assert!(ran.stderr.contains(&format!("{}; observed ", error["expected"].as_str().unwrap())), "{json}");
    assert_eq!((error["class"].as_str(), error.len()), (Some("E_POLICY"), 4), "{json}");
    let json = place.run(["history", "--format", "json"].iter().chain(&VERIFY)).exits(4).json();
    assert_eq!((&json["error"]["class"], &json["error"]["what"]), (&error["class"], &error["what"]), "{json}");
}

fn in_hours(hours: i64) -> String {
    Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap().to_string()
}

#[test]
fn a_policy_is_made_edited_and_used() {
    let place = seller();
    place.certify("report", &[]);
    let ran = trust(&place, &["init", "--name", "acme"]).exits(0);
    assert!(ran.stdout.starts_with("trust.toml: policy acme, version 1, signed by key "), "{}", ran.stdout);
    trust(&place, &["init", "--name", "more"]).exits(2);
    trust(&place, &["init", "--name", "acme", "--file", "again.toml"]).exits(2);
    // Nobody may certify yet.
    assert_refused(&place, &VERIFY, "E_UNTRUSTED_SIGNER");
    let ran = trust(&place, &["add", "seller-inc", "--public", "seller.pem.pub", "--role", "seller"]).exits(0);
    assert!(ran.stdout.contains("version 2"), "{}", ran.stdout);
    let seller = Key::load(&place.path("seller.pem"), None).unwrap().public().keyid();
    assert!(ran.stdout.ends_with(&format!("\nadded seller-inc: key {seller}\n")), "{}", ran.stdout);
    let ran = verify(&place).exits(3);
    assert!(ran.stdout.contains("\"seller-inc\""), "{}", ran.stdout);
    let ran = trust(&place, &["add", "twice", "--public", "seller.pem.pub", "--role", "witness"]).exits(2);
    assert!(ran.stderr.contains("\"twice\": is the key of \"seller-inc\"\nhint: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("then: yanji trust sign"), "{}", ran.stderr);

    let shown = trust(&place, &["show"]).exits(0).stdout;
    assert!(shown.contains("key seller-inc: seller; may sign: certify\n"), "{shown}");
    let json = trust(&place, &["show", "--format", "json"]).exits(0).json();
    assert_eq!((json["version"].as_str(), json["keys"][1]["name"].as_str()), (Some("2"), Some("seller-inc")));

    // By hand, with a comment that stays.
    change(&place.path("trust.toml"), "version = 2", "version = 3 # by hand");
    fs::write(
        place.path("trust.toml"),
        fs::read_to_string(place.path("trust.toml")).unwrap() + "\n[minimum]\nassurance = \"L2\"\n",
    )
    .unwrap();
    assert_unusable(&place, "digest of the policy");
    trust(&place, &["add", "x", "--public", &"ab".repeat(32), "--role", "buyer"]).exits(4);
    trust(&place, &["sign"]).exits(0);
    let failure = assert_refused(&place, &VERIFY, "E_POLICY");
    assert_eq!((failure["expected"].as_str(), failure["what"].as_str()), (Some("L2 or more"), Some("assurance")));
    trust(&place, &["add", "x", "--public", &"ab".repeat(32), "--role", "buyer"]).exits(0);
    assert!(fs::read_to_string(place.path("trust.toml")).unwrap().contains("version = 4 # by hand\n"));
}

#[test]
fn a_key_under_which_anybody_can_sign_is_refused() {
    let place = seller();
    place.certify("report", &[]);
    const WORDS: &str = "is no key: a point of small order, under which anybody can sign";
    fs::create_dir_all(place.path("config/yanji")).unwrap();
    place.policy(&[]);
    // The neutral element of the curve, and one of its encodings that is not canonical, with the other sign.
    for hex in [format!("01{}", "00".repeat(31)), format!("ee{}", "ff".repeat(31))] {
        fs::write(place.path("anybody.pub"), &hex).unwrap();
        let ran = place.run(["verify", "report", "--key", "anybody.pub"]).exits(2);
        assert!(ran.stderr.contains(WORDS), "{}", ran.stderr);
        let ran = trust(&place, &["add", "x", "--public", "anybody.pub", "--role", "seller"]).exits(2);
        assert!(ran.stderr.contains(WORDS), "{}", ran.stderr);
        trust(&place, &["add", "x", "--public", &hex, "--role", "seller"]).exits(2);
        fs::write(place.path("config/yanji/trusted_keys"), format!("anybody {hex}\n")).unwrap();
        let ran = place.run(["verify", "report"]).exits(2);
        assert!(ran.stderr.contains(WORDS), "{}", ran.stderr);
        fs::remove_file(place.path("config/yanji/trusted_keys")).unwrap();
        // By hand, into the policy.
        let before = fs::read_to_string(place.path("trust.toml")).unwrap();
        let key = format!("\n[[key]]\nname = \"x\"\npublic = \"{hex}\"\nroles = [\"seller\"]\n");
        fs::write(place.path("trust.toml"), before.clone() + &key).unwrap();
        let ran = trust(&place, &["sign"]).exits(2);
        assert!(ran.stderr.contains("under which anybody can sign"), "{}", ran.stderr);
        fs::write(place.path("trust.toml"), before).unwrap();
    }
}

#[test]
fn minimums_say_what_they_expected_and_what_they_saw() {
    let place = seller();
    place.certify("report", &[]);
    for (minimum, class, what) in [
        ("tool = \"99.1\"", "E_POLICY", "tool.version"),
        ("signature_set = \"2099.1\"", "E_POLICY", "version of the signature set"),
        ("assurance = \"L3\"", "E_POLICY", "assurance"),
        ("max_age = \"1ns\"", "E_STALE", "age of the report"),
    ] {
        place.policy(&[minimum]);
        let failure = assert_refused(&place, &VERIFY, class);
        assert_eq!(failure["what"], what);
    }
    place.policy(&[]);
    let pcr11 = "00".repeat(32);
    place.edit_policy(&format!("[[image]]\nname = \"live\"\nversion = \"1\"\npcr11 = \"{pcr11}\""));
    assert_eq!(assert_refused(&place, &VERIFY, "E_IMAGE_UNKNOWN")["expected"], "one of: live 1");
    place.policy(&["tool = \"0.0.9\"", "signature_set = \"2026.9\"", "assurance = \"L0\"", "max_age = \"1d\""]);
    verify(&place).exits(3);
}

#[test]
fn a_policy_that_its_owner_did_not_sign_last_is_refused() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    verify(&place).exits(3);
    let text = fs::read(place.path("trust.toml")).unwrap();
    let signature = fs::read(place.path("trust.toml.dsse.json")).unwrap();

    fs::remove_file(place.path("trust.toml.dsse.json")).unwrap();
    assert_unusable(&place, "no such file");
    fs::write(place.path("trust.toml.dsse.json"), "{}").unwrap();
    assert_unusable(&place, "a signed statement about the policy");
    let mut damaged = Envelope::parse(&signature).unwrap();
    damaged.signatures[0].bytes[7] ^= 1;
    fs::write(place.path("trust.toml.dsse.json"), damaged.to_json()).unwrap();
    assert_unusable(&place, "a signature by key");
    fs::write(place.path("trust.toml.dsse.json"), &signature).unwrap();
    verify(&place).exits(3);

    // The seller makes a policy of the same name for itself.
    let stranger = place.run(["key", "show", "seller.pem"]).exits(0).stdout;
    assert!(stranger.contains("keyid"));
    change(&place.path("trust.toml"), "version = ", "version = 9");
    fs::remove_dir_all(place.path("state")).unwrap();
    let own = place.run(["key", "show"]).exits(0).stdout;
    let hex = |shown: &str| shown.lines().find_map(|line| line.strip_prefix("hex")).unwrap().trim().to_owned();
    change(&place.path("trust.toml"), &hex(&own), &"cd".repeat(32));
    change(&place.path("trust.toml"), "roles = [\"seller\"]", "roles = [\"seller\", \"owner\"]");
    place.run(["trust", "sign", "--key", "seller.pem"]).exits(0);
    fs::remove_dir_all(place.path("state")).unwrap();
    assert_unusable(&place, "a key that is known beforehand");

    fs::write(place.path("trust.toml"), &text).unwrap();
    fs::write(place.path("trust.toml.dsse.json"), &signature).unwrap();
    verify(&place).exits(3);
    let old = String::from_utf8(text).unwrap();
    let expires = old.lines().find(|line| line.starts_with("expires")).unwrap();
    let new = old.replace(expires, "expires = \"2020-01-01T00:00:00Z\"").replace("version = ", "version = 9");
    fs::write(place.path("trust.toml"), new).unwrap();
    let ran = place.run(["trust", "sign"]).exits(0);
    assert!(ran.stderr.contains("notice: not in force yet: time of the policy"), "{}", ran.stderr);
    assert_unusable(&place, "used until 2020-01-01T00:00:00Z");

    fs::remove_file(place.path("trust.toml")).unwrap();
    assert!(verify(&place).exits(2).stderr.contains("cannot read trust.toml"));
}

#[test]
fn the_old_owner_hands_over_to_the_new_one() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    verify(&place).exits(3);
    place.run(["key", "gen", "--out", "new.pem", "--no-passphrase"]).exits(0);
    trust(&place, &["sign", "--key", "new.pem"]).exits(2);
    trust(&place, &["add", "next owner", "--public", "new.pem.pub", "--role", "owner"]).exits(0);
    // Only a policy that has been seen hands over: a machine that saw none trusts its own key alone.
    let rotated = fs::read_to_string(place.path("trust.toml")).unwrap();
    let own = rotated.find("[[key]]\nname = \"owner\"").unwrap();
    let end = own + rotated[own + 1..].find("[[key]]").unwrap() + 1;
    let rotated = rotated.replace(&rotated[own..end], "").replace("version = ", "version = 1");
    fs::write(place.path("trust.toml"), rotated).unwrap();
    trust(&place, &["sign"]).exits(0);
    verify(&place).exits(3);
    // Now the new one signs, and the old one no more.
    trust(&place, &["add", "x", "--public", &"ab".repeat(32), "--role", "buyer"]).exits(2);
    trust(&place, &["add", "x", "--public", &"ab".repeat(32), "--role", "buyer", "--key", "new.pem"]).exits(0);
    verify(&place).exits(3);
    fs::remove_dir_all(place.path("state")).unwrap();
    assert_unusable(&place, "a key that is known beforehand");
    place.run(["verify", "report", "--trust", "trust.toml", "--key", "new.pem.pub"]).exits(3);
}

#[test]
fn a_policy_that_takes_two_owners_is_in_force_with_both() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    place.run(["key", "gen", "--out", "second.pem", "--no-passphrase"]).exits(0);
    trust(&place, &["add", "second", "--public", "second.pem.pub", "--role", "owner"]).exits(0);
    let text = fs::read_to_string(place.path("trust.toml")).unwrap();
    let text = text.replace("version = ", "version = 1") + "\n[threshold]\nowner = 2\n";
    fs::write(place.path("trust.toml"), text).unwrap();
    let ran = trust(&place, &["sign"]).exits(0);
    assert!(ran.stderr.contains("not in force yet: owners who signed the policy expected 2"), "{}", ran.stderr);
    assert_unusable(&place, "2 different keys");
    trust(&place, &["sign"]).exits(0);
    assert_unusable(&place, "2 different keys");
    // The other owner's machine does not know this one's key.
    let elsewhere = place
        .command(["trust", "sign", "--key", "second.pem"])
        .envs([("XDG_DATA_HOME", place.path("data2")), ("XDG_STATE_HOME", place.path("state2"))])
        .output();
    let ran = Ran::from(elsewhere.unwrap()).exits(0);
    assert!(ran.stderr.contains("observed 1 known here, of 2 that signed\nhint: "), "{}", ran.stderr);
    trust(&place, &["sign", "--key", "second.pem"]).exits(0);
    verify(&place).exits(3);
    // One of them alone cannot lower the threshold.
    let text = fs::read_to_string(place.path("trust.toml")).unwrap();
    fs::write(place.path("trust.toml"), text.replace("version = 1", "version = 2").replace("owner = 2", "owner = 1"))
        .unwrap();
    trust(&place, &["sign"]).exits(0);
    assert_unusable(&place, "2 different keys");
}

#[test]
fn a_revoked_key_leaves_its_reports_open_or_void() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    let revoke = |at: &str| trust(&place, &["revoke", "seller", "--at", at, "--reason", "laptop stolen"]).exits(0);
    revoke(&in_hours(1));
    let ran = verify(&place).exits(3);
    assert!(ran.stdout.contains("indeterminate: E_REVOKED signature of \"seller\""), "{}", ran.stdout);
    assert!(ran.stdout.contains("expected: a trusted timestamp from before"), "{}", ran.stdout);
    let json = place.run(["verify"].iter().chain(&VERIFY).chain(&["--format", "json"])).exits(3).json();
    let reasons = json["reports"][0]["judgement"]["reasons"].to_string();
    assert!(reasons.contains("E_REVOKED"), "{reasons}");

    place.policy(&[]);
    trust(&place, &["revoke", "seller", "--at", &in_hours(-1), "--reason", "laptop stolen"]).exits(0);
    let failure = assert_refused(&place, &VERIFY, "E_REVOKED");
    assert!(failure["expected"].as_str().unwrap().contains("laptop stolen"), "{failure}");
    place.policy(&[]);
    trust(&place, &["revoke", "seller", "--reason", "never ours"]).exits(0);
    assert_refused(&place, &VERIFY, "E_REVOKED");
    assert!(trust(&place, &["show"]).exits(0).stdout.contains("REVOKED, for all time: never ours"));
    trust(&place, &["revoke", "nobody", "--reason", "x"]).exits(2);

    // A key has as many digits as its id, and means the key.
    place.policy(&[]);
    let seller = *Key::load(&place.path("seller.pem"), None).unwrap().public();
    let ran = trust(&place, &["revoke", &seller.to_hex(), "--at", &in_hours(1), "--reason", "sold"]).exits(0);
    assert!(!ran.stderr.contains("notice"), "{}", ran.stderr);
    assert!(verify(&place).exits(3).stdout.contains("indeterminate: E_REVOKED"));
    // Only an earlier time takes the place of another.
    let later = trust(&place, &["revoke", "seller", "--at", &in_hours(2), "--reason", "sold"]).exits(2);
    assert!(later.stderr.contains("only an earlier time replaces that"), "{}", later.stderr);
    trust(&place, &["revoke", "seller", "--at", &in_hours(-1), "--reason", "sold before"]).exits(0);
    assert_refused(&place, &VERIFY, "E_REVOKED");
    let stranger = "ab".repeat(32);
    let ran = trust(&place, &["revoke", &stranger, "--reason", "published"]).exits(0);
    assert!(ran.stderr.contains(&format!("notice: the policy names no key with the id {stranger}")), "{}", ran.stderr);
    let shown = trust(&place, &["show"]).exits(0).stdout;
    let line = format!("key {stranger}, which the policy does not name: REVOKED, for all time: published\n");
    assert!(shown.contains(&line) && shown.contains("    REVOKED, compromised at "), "{shown}");
}

#[test]
fn an_owner_signs_in_the_time_of_its_key_only() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    place.run(["key", "gen", "--out", "former.pem", "--no-passphrase"]).exits(0);
    let add = |name: &str, public: &str, more: &[&str]| {
        trust(&place, &[&["add", name, "--public", public, "--role", "owner"], more].concat())
    };
    let until = in_hours(-1);
    let ran = add("former", "former.pem.pub", &["--valid-until", &until]).exits(0);
    assert_eq!(ran.stderr, "");
    let ran = add("x", &"ab".repeat(32), &["--key", "former.pem"]).exits(2);
    assert!(ran.stderr.contains("signs not after") && ran.stderr.contains("; observed now it is"), "{}", ran.stderr);
    verify(&place).exits(3);

    // What the last version says of its time holds for a version without that line too.
    let limited = fs::read_to_string(place.path("trust.toml")).unwrap();
    let former = Key::load(&place.path("former.pem"), None).unwrap();
    let freed = limited.replace(&format!("valid_until = \"{until}\"\n"), "").replace("version = ", "version = 1");
    assert!(freed.len() < limited.len());
    fs::write(place.path("trust.toml"), &freed).unwrap();
    let envelope = policy::sign(freed.as_bytes(), None, &former).unwrap();
    fs::write(place.path("trust.toml.dsse.json"), envelope.to_json()).unwrap();
    assert_unusable(&place, "signs not after");
    trust(&place, &["sign", "--key", "former.pem"]).exits(2);
    // The other owner's signature counts beside it.
    trust(&place, &["sign"]).exits(0);
    verify(&place).exits(3);
    place.edit_policy("");
    // Nobody who sees a policy first would take it from an owner whom it limits itself.
    let path = place.path("trust.toml");
    change(&path, "roles = [\"owner\"]", "roles = [\"owner\"]\nvalid_from = \"2090-01-01T00:00:00Z\"");
    change(&path, "version = ", "version = 1");
    let ran = trust(&place, &["sign"]).exits(2);
    assert!(ran.stderr.contains("signs not before 2090-01-01T00:00:00Z"), "{}", ran.stderr);

    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let text = policy::template("acme", time("2028-01-01T00:00:00Z"), *former.public()).unwrap();
    let text = text + "valid_until = \"2027-01-01T00:00:00Z\"\n";
    let envelope = policy::sign(text.as_bytes(), None, &former).unwrap().to_json();
    let open = |seen: Option<&policy::SeenPolicy>, now: &str| {
        policy::open(text.as_bytes(), Some(envelope.as_bytes()), &[*former.public()], seen, time(now))
    };
    let seen = open(None, "2026-12-31T00:00:00Z").unwrap().seen();
    let late = "2027-01-02T00:00:00Z";
    assert_eq!(open(None, late).unwrap_err().observed, format!("now it is {late}"));
    // Who saw it in time knows that it was signed in time.
    open(Some(&seen), late).unwrap();

    // Which is said while there is time: here the only owner's key ends before the policy does.
    place.policy(&[]);
    let until = in_hours(1);
    change(&path, "roles = [\"owner\"]", &format!("roles = [\"owner\"]\nvalid_until = \"{until}\""));
    change(&path, "version = ", "version = 2");
    let ran = trust(&place, &["sign"]).exits(0);
    let notice = format!("notice: from {until} on only those accept this version who have seen it before: ");
    assert!(ran.stderr.starts_with(&notice) && ran.stderr.contains("hint: let owners sign"), "{}", ran.stderr);
}

#[test]
fn what_is_indeterminate_is_accepted_and_signed_by_no_command() {
    let place = seller();
    change(&place.signatures().join("policy.toml"), "origins = [\"live\"]", "origins = [\"live\", \"recorded\"]");
    let run = |args: &[&str]| place.run(args.iter().chain(&["--signatures", "signatures"]));
    run(&["certify", "--host", "host.tar.zst", "--out", "report", "--key", "seller.pem"]).exits(0);
    let looked = run(&["inspect", "--host", "host.tar.zst", "--format", "json"]).exits(0);
    fs::write(place.path("same.json"), looked.stdout).unwrap();
    place.run(["key", "gen", "--out", "buyer.pem", "--no-passphrase"]).exits(0);
    place.policy(&[]);
    let verdicts = |by: &[&str], code: i32| {
        let json = run(&[&["verify", "report", "--format", "json"], by].concat()).exits(code).json();
        let chain = run(&[&["history", "report", "--format", "json"], by].concat()).exits(code).json();
        let step = &chain["documents"][0];
        assert_eq!(step["verdict"], json["reports"][0]["judgement"]["verdict"], "{chain:#}");
        step.clone()
    };
    let genuine = fs::read(place.path("report/report.dsse.json")).unwrap();
    let refused = |by: &[&str]| {
        for command in [
            &["cosign", "report", "--key", "buyer.pem"][..],
            &["accept", "report", "--as-received", "same.json", "-o", "receipt.json", "--key", "buyer.pem"],
            &["redact", "report", "--hide", "serials", "-o", "public", "--key", "buyer.pem"],
        ] {
            let ran = run(&[command, by].concat()).exits(3);
            assert!(ran.stdout.contains("indeterminate: E_REVOKED"), "{command:?}: {}", ran.stdout);
            assert!(ran.stdout.contains("Verdict: undecided"), "{command:?}: {}", ran.stdout);
            assert!(ran.stderr.contains("hint: nothing was signed"), "{command:?}: {}", ran.stderr);
        }
        assert!(!place.path("receipt.json").exists() && !place.path("public").exists());
        assert!(fs::read(place.path("report/report.dsse.json")).unwrap() == genuine);
    };
    let by_policy = ["--trust", "trust.toml"];
    assert_eq!(verdicts(&by_policy, 0)["indeterminate"], serde_json::json!([]));
    trust(&place, &["revoke", "seller", "--at", &in_hours(1), "--reason", "laptop stolen"]).exits(0);
    assert_eq!(verdicts(&by_policy, 3)["indeterminate"][0]["class"], "E_REVOKED");
    let ran = run(&["history", "report", "--trust", "trust.toml"]).exits(3);
    assert!(ran.stdout.contains("report report: accepted, now undecided\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  indeterminate: E_REVOKED signature of \"seller\""), "{}", ran.stdout);
    refused(&by_policy);
    // A buyer may take the delivery all the same: not in silence.
    let take = ["accept", "report", "--as-received", "same.json", "-o", "taken.json", "--key", "buyer.pem"];
    let ran = run(&[&take[..], &by_policy, &["--accept-differences"]].concat()).exits(0);
    let open = "  open         E_REVOKED signature of \"seller\" of the report ";
    assert!(ran.stdout.starts_with(open), "{}", ran.stdout);
    assert!(ran.stdout.contains("Receipt: accepted-with-differences, signed by key "), "{}", ran.stdout);
    let ran = run(&["verify", "taken.json", "--key", "buyer.pem.pub"]).exits(0);
    assert!(
        ran.stdout.contains(open) && ran.stdout.contains(": expected a trusted timestamp from before "),
        "{}",
        ran.stdout
    );
    let chain = ["history", "report", "taken.json", "--key", "seller.pem.pub", "--key", "buyer.pem.pub"];
    assert!(run(&chain).exits(0).stdout.contains(open));
    fs::remove_file(place.path("taken.json")).unwrap();
    // So is what somebody else wants to be taken back.
    place.run(["void", "report", "--reason", "x", "-o", "report/disputed.json", "--key", "buyer.pem"]).exits(0);
    let by_keys = ["--key", "seller.pem.pub", "--key", "buyer.pem.pub"];
    assert_eq!(verdicts(&by_keys, 3)["disputedBy"], serde_json::json!(["report/disputed.json"]));
    refused(&["--key", "seller.pem.pub"]);
    fs::remove_file(place.path("report/disputed.json")).unwrap();
    run(&["cosign", "report", "--key", "buyer.pem", "--key", "seller.pem.pub"]).exits(0);
}

#[test]
fn a_stolen_key_spoils_no_report_that_another_key_carries() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    place.run(["key", "gen", "--out", "stolen.pem", "--no-passphrase"]).exits(0);
    trust(&place, &["add", "stolen", "--public", "stolen.pem.pub", "--role", "seller"]).exits(0);
    trust(&place, &["revoke", "stolen", "--reason", "published"]).exits(0);
    let path = place.path("report/report.dsse.json");
    let mut envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    let stolen = Key::load(&place.path("stolen.pem"), None).unwrap();
    envelope.signatures.extend(Envelope::sign(envelope.payload.clone(), &stolen).signatures);
    fs::write(&path, envelope.to_json()).unwrap();
    let ran = verify(&place).exits(3);
    assert!(ran.stdout.starts_with("report: valid\n  E_REVOKED signature of \"stolen\"\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("vouched for by seller: one key signed"), "{}", ran.stdout);
    envelope.signatures.remove(0);
    fs::write(&path, envelope.to_json()).unwrap();
    assert_refused(&place, &VERIFY, "E_REVOKED");
}

#[test]
fn a_key_counts_in_its_time_only() {
    let place = seller();
    place.certify("report", &[]);
    for (limit, value) in [("--valid-from", in_hours(1)), ("--valid-until", in_hours(-1))] {
        place.run(["trust", "init", "--name", &format!("acme {limit}")]).exits(0);
        trust(&place, &["add", "seller", "--public", "seller.pem.pub", "--role", "seller", limit, &value]).exits(0);
        let failure = assert_refused(&place, &VERIFY, "E_UNTRUSTED_SIGNER");
        assert!(failure["observed"].as_str().unwrap().contains("as the report claims"), "{failure}");
        fs::remove_file(place.path("trust.toml")).unwrap();
        fs::remove_file(place.path("trust.toml.dsse.json")).unwrap();
    }
}

#[test]
fn allowed_signers_of_openssh_become_keys() {
    let place = seller();
    place.certify("report", &[]);
    trust(&place, &["init", "--name", "acme"]).exits(0);
    let hex = fs::read_to_string(place.path("seller.pem.pub")).unwrap();
    let key = yanji::attest::key::PublicKey::from_pem(&hex).unwrap();
    let blob = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], key.as_bytes()].concat();
    let blob = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, blob);
    fs::write(
        place.path("allowed_signers"),
        format!("# team\nseller@example.com valid-after=\"20260101Z\" ssh-ed25519 {blob} laptop\nold ssh-rsa AAAA\nagain ssh-ed25519 {blob}\n"),
    )
    .unwrap();
    let ran = trust(&place, &["add", "--ssh", "allowed_signers", "--role", "seller"]).exits(0);
    assert!(ran.stderr.contains("allowed_signers, line 3: only ssh-ed25519"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the key of \"again\" is that of \"seller@example.com\" too"), "{}", ran.stderr);
    let ran = verify(&place).exits(3);
    assert!(ran.stdout.contains("\"seller@example.com\""), "{}", ran.stdout);
    fs::write(place.path("allowed_signers"), "old ssh-rsa AAAA\n").unwrap();
    trust(&place, &["add", "--ssh", "allowed_signers", "--role", "seller"]).exits(2);
}
