//! Certificates for the public: nothing that is hidden shows anywhere, and who has the salts can still tell.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;
use yanji::attest::certificate::{Certificate, Salts};
use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::Statement;
use yanji::attest::{Digest, identity};
use yanji::evidence::Value;

use super::{Place, Ran};
use crate::support::RecordedMachine;

/// A report on a machine whose seller names a serial number in words.
fn start(machine: &RecordedMachine) -> Place {
    let place = Place::new();
    place.archive(machine);
    place.run(["key", "gen", "--no-passphrase", "--out", "seller.pem"]).exits(0);
    let words = format!("module {} was replaced", machine.dimms[2].serial.to_lowercase());
    // As labels print them.
    let wwid = machine.drives[0].wwid.trim_start_matches("eui.").trim_start_matches("naa.");
    let ppin = machine.cpus[0].ppin.as_deref().unwrap_or_default().trim_start_matches("0x");
    let bare = format!("drive {wwid} and processor {ppin} were replaced");
    let args = ["certify", "--host", "host.tar.zst", "--out", "report", "--key", "seller.pem", "--disclose"];
    place.run(args.iter().chain(&[words.as_str(), "--disclose", &bare, "--disclose", "a fan was replaced"])).exits(3);
    place
}

fn redact(place: &Place, hide: &str, out: &str) -> Ran {
    place.run(["redact", "report", "--hide", hide, "-o", out, "--key", "seller.pem"])
}

fn verify(place: &Place, more: &[&str]) -> Ran {
    place.run(["verify", "public", "--key", "seller.pem.pub"].iter().chain(more))
}

/// Whatever identifies one unit in the evidence, by words that this test knows itself.
fn secrets(machine: &RecordedMachine) -> Vec<String> {
    let evidence = yanji::collect::collect(&machine.host());
    let words = ["serial", "uuid", "mac", "wwid", "wwn", "ppin", "pdi", "eui64", "nguid", "asset_tag"];
    let mut found = Vec::new();
    for part in &evidence.parts {
        for (path, fact) in &part.facts {
            let last = path.as_str().rsplit('.').next().unwrap();
            let names = words
                .iter()
                .any(|word| last == *word || last.ends_with(&format!("_{word}")) || last.starts_with("serial"));
            if let (true, Some(Value::Text(text))) =
                (names || path.as_str() == "dimm.spd.module_id", fact.reading.known())
            {
                found.push(text.clone());
            }
        }
    }
    found
        .retain(|text| text.len() >= 6 && !text.contains("Default") && !text.contains("filled") && !text.contains(' '));
    found.sort();
    found.dedup();
    found
}

#[test]
fn no_hidden_value_is_anywhere_in_the_public_file() {
    let machine = RecordedMachine::gpu_server();
    let place = start(&machine);
    let secrets = secrets(&machine);
    for known in [
        &machine.serial,
        &machine.board_serial,
        &machine.dimms[5].serial,
        &machine.drives[0].serial,
        &machine.nics[0].mac,
        &machine.drives[0].wwid,
        &machine.nvidia.as_ref().unwrap().gpus[0].uuid,
        machine.cpus[0].ppin.as_ref().unwrap(),
    ] {
        assert!(secrets.contains(known), "{known} is not among {secrets:?}");
    }
    assert!(secrets.len() > 25, "{secrets:?}");
    let ran = redact(&place, "serials", "public").exits(0);
    assert!(
        ran.stdout.contains("public/certificate.dsse.json") && ran.stdout.contains("public.private-salts.json"),
        "{}",
        ran.stdout
    );
    // Whoever publishes the folder publishes the certificate alone.
    let published: Vec<_> =
        fs::read_dir(place.path("public")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(published, ["certificate.dsse.json"]);
    let mode = fs::metadata(place.path("public.private-salts.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let bytes = fs::read(place.path("public/certificate.dsse.json")).unwrap();
    let payload = Envelope::parse(&bytes).unwrap().payload;
    let letters =
        |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase() };
    for shown in [String::from_utf8(bytes).unwrap(), String::from_utf8(payload.clone()).unwrap()] {
        for secret in &secrets {
            assert!(!shown.to_uppercase().contains(&secret.to_uppercase()), "{secret} shows");
            assert!(!letters(&shown).contains(&letters(secret)), "{secret} shows");
            let bare = ["0x", "GPU-", "eui.", "naa."].iter().find_map(|prefix| secret.strip_prefix(prefix));
            assert!(bare.is_none_or(|bare| !letters(&shown).contains(&letters(bare))), "{secret} shows");
        }
    }
    let statement: Statement<Certificate> = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement.predicate.disclosures, ["[hidden]", "[hidden]", "a fan was replaced"]);
    assert!(statement.predicate.checks.len() > 100);
    // The report's own digest of the unit would let anybody try serial numbers out.
    let report: Statement = serde_json::from_slice(
        &Envelope::parse(&fs::read(place.path("report/report.dsse.json")).unwrap()).unwrap().payload,
    )
    .unwrap();
    let unit = report.subject_sha256("unit").unwrap();
    assert_eq!(report.predicate.identity, identity(&yanji::collect::collect(&machine.host())));
    assert!(!String::from_utf8(payload).unwrap().contains(&unit.to_string()));
    for subject in report.subject.iter().filter(|subject| subject.name.starts_with("hwid:")) {
        assert!(statement.subject.iter().all(|other| other.digest != subject.digest));
    }

    let ran = verify(&place, &[]).exits(3);
    for words in
        ["evidence withheld", "hidden values are", "Verdict of the report: undecided", "the evidence is recorded"]
    {
        assert!(ran.stdout.contains(words), "{words:?} is not in {}", ran.stdout);
    }
    place.run(["history", "public", "report", "--key", "seller.pem.pub"]).exits(3);
    redact(&place, "serials", "public").exits(2);
    // Nor are the salts of a certificate that was moved away overwritten.
    fs::remove_dir_all(place.path("public")).unwrap();
    let ran = redact(&place, "serials", "public/").exits(2);
    assert!(ran.stderr.contains("public.private-salts.json exists already"), "{}", ran.stderr);
    assert!(redact(&place, "serials", ".").exits(2).stderr.contains("hint: name the folder"));
    redact(&place, "serials", "deep/second/").exits(0);
    assert!(place.path("deep/second.private-salts.json").exists());
}

#[test]
fn the_salts_show_what_is_hidden_and_wrong_ones_do_not() {
    let machine = RecordedMachine::server();
    let place = start(&machine);
    redact(&place, "serials,platform.smbios.system_product", "public").exits(0);
    let salts = "public.private-salts.json";
    assert!(verify(&place, &[]).exits(3).stdout.contains(" hidden values are"));
    let ran = verify(&place, &["--reveal", salts]).exits(3);
    assert!(!ran.stdout.contains(" hidden values are"), "{}", ran.stdout);
    let serial = &machine.dimms[4].serial;
    assert!(ran.stdout.contains(&format!("/dimms/4/smbios.serial hides \"{serial}\"")), "{}", ran.stdout);
    assert!(ran.stdout.contains("/system/0/smbios.system_product hides \"SYS-421GE-TNRT\""), "{}", ran.stdout);

    // Whoever gets the salts without the values can check what is printed on the label.
    let private: Salts = Salts::parse(&fs::read(place.path(salts)).unwrap()).unwrap();
    let mut bare = private.clone();
    bare.salts.values_mut().for_each(|salt| salt.value = None);
    fs::write(place.path("bare.json"), serde_json::to_string(&bare).unwrap()).unwrap();
    assert!(!fs::read_to_string(place.path("bare.json")).unwrap().contains(serial.as_str()));
    let ran = verify(&place, &["--reveal", "bare.json", "--known", serial, "--known", &machine.board_serial]).exits(3);
    assert!(
        ran.stdout.contains(&format!("\"{serial}\" is what is hidden at /dimms/4/smbios.serial")),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("/boards/0/serial"), "{}", ran.stdout);
    // As another tool spells it.
    let (small, mac) = (serial.to_lowercase(), machine.nics[0].mac.to_uppercase());
    let ran = verify(&place, &["--reveal", "bare.json", "--known", &small, "--known", &mac]).exits(3);
    assert!(
        ran.stdout.contains(&format!("\"{serial}\" is what is hidden at /dimms/4/smbios.serial"))
            && ran.stdout.contains(&format!("\"{}\" is what is hidden at /nics/0/", machine.nics[0].mac)),
        "{}",
        ran.stdout
    );
    let ran = verify(&place, &["--reveal", "bare.json", "--known", "80CE0123155A17C3E9"]).exits(4);
    assert!(ran.stdout.contains("E_EVIDENCE known value"), "{}", ran.stdout);

    let refused = |change: &dyn Fn(&mut Salts)| {
        let mut wrong = private.clone();
        change(&mut wrong);
        fs::write(place.path("wrong.json"), serde_json::to_string(&wrong).unwrap()).unwrap();
        let json = verify(&place, &["--reveal", "wrong.json", "--format", "json"]).exits(4).json();
        assert_eq!(json["reports"][0]["failures"][0]["class"], "E_EVIDENCE", "{json}");
        assert_eq!(json["reports"][0]["proven"], Json::Array(vec![]), "{json}");
    };
    let place_of = "/dimms/4/smbios.serial";
    refused(&|it| it.salts.get_mut(place_of).unwrap().value = Some(Json::from("80CE0123155A17C3E9")));
    refused(&|it| it.salts.get_mut(place_of).unwrap().salt = Digest::of(b"other"));
    refused(&|it| it.certificate = Digest::of(b"other"));
    refused(&|it| {
        let moved = it.salts.remove(place_of).unwrap();
        it.salts.insert("/dimms/5/smbios.serial".to_owned(), moved);
    });
    fs::write(place.path("nonsense.json"), "{}").unwrap();
    verify(&place, &["--reveal", "nonsense.json"]).exits(2);
    let report = ["verify", "report", "--key", "seller.pem.pub", "--reveal", salts];
    assert!(place.run(report).exits(2).stderr.contains("report is no certificate"));
    let json = place.run(report.iter().chain(&["public", "--format", "json"])).exits(2).json();
    assert!(json["reports"][0]["error"].as_str().unwrap().contains("is no certificate"), "{json}");
    assert_eq!(json["reports"][1]["failures"], Json::Array(vec![]), "{json}");
    // What is wrong with its signature comes first.
    let genuine = fs::read(place.path("public/certificate.dsse.json")).unwrap();
    let mut damaged = Envelope::parse(&genuine).unwrap();
    damaged.signatures[0].bytes[7] ^= 1;
    fs::write(place.path("public/certificate.dsse.json"), damaged.to_json()).unwrap();
    let json = verify(&place, &["--reveal", salts, "--format", "json"]).exits(4).json();
    assert_eq!(json["reports"][0]["failures"][0]["class"], "E_SIGNATURE", "{json}");
    fs::write(place.path("public/certificate.dsse.json"), genuine).unwrap();
    verify(&place, &["--known", serial]).exits(2);

    // Two certificates of one report hide the same values under other digests.
    redact(&place, "serials", "second").exits(0);
    let hidden = |folder: &str| {
        let bytes = fs::read(place.path(folder).join("certificate.dsse.json")).unwrap();
        let statement: Statement<Certificate> =
            serde_json::from_slice(&Envelope::parse(&bytes).unwrap().payload).unwrap();
        statement.predicate.hidden()
    };
    let (one, two) = (hidden("public"), hidden("second"));
    assert!(two.len() > 20 && two.iter().all(|(path, digest)| one[path] != *digest));
}

#[test]
fn a_certificate_answers_no_challenge_and_is_held_against_the_minimums() {
    let place = start(&RecordedMachine::server());
    place.run(["challenge", "new", "--for", "PO-1", "-o", "c.json"]).exits(0);
    place.run(["certify", "--host", "host.tar.zst", "--out", "answer", "--key", "seller.pem", "--challenge", "c.json"]);
    place.run(["redact", "answer", "--hide", "serials", "-o", "public", "--key", "seller.pem"]).exits(0);
    let json = verify(&place, &["--challenge", "c.json", "--format", "json"]).exits(3).json();
    assert_eq!(json["reports"][0]["indeterminate"][0]["class"], "E_REPLAY", "{json}");
    // The challenge is still there to be answered.
    place.run(["verify", "answer", "--key", "seller.pem.pub", "--challenge", "c.json"]).exits(3);

    place.run(["trust", "init", "--name", "buyer"]).exits(0);
    place.run(["trust", "add", "seller", "--public", "seller.pem.pub", "--role", "seller"]).exits(0);
    let by_policy = |minimum: &str| {
        let path = place.path("trust.toml");
        let policy = yanji::attest::policy::bump_version(&fs::read_to_string(&path).unwrap()).unwrap();
        let before = policy.split("\n[minimum]").next().unwrap();
        fs::write(&path, format!("{before}\n[minimum]\n{minimum}\n")).unwrap();
        place.run(["trust", "sign"]).exits(0);
        place.run(["verify", "public", "--trust", "trust.toml"])
    };
    let ran = by_policy("assurance = \"L2\"").exits(4);
    assert!(ran.stdout.contains("E_POLICY assurance of the report"), "{}", ran.stdout);
    let ran = by_policy("tool = \"0.1.0\"").exits(3);
    assert!(
        ran.stdout.contains("that the report reaches what policy \"buyer\" asks for: version of the tool"),
        "{}",
        ran.stdout
    );
    let ran = place.run(["verify", "public", "--trust", "trust.toml", "--format", "csv"]).exits(3);
    assert!(ran.stdout.contains("\"true\",\"\",\"undecided\""), "{}", ran.stdout);
}

#[test]
fn a_certificate_is_made_from_a_report_that_verifies_and_read_strictly() {
    let place = start(&RecordedMachine::server());
    let ran = redact(&place, "serials,drive.nonsense", "public").exits(2);
    assert!(ran.stderr.contains("drive.nonsense"), "{}", ran.stderr);
    place.run(["redact", "report", "-o", "public", "--key", "seller.pem"]).exits(2);
    let tar = fs::read(place.path("report/evidence.tar")).unwrap();
    fs::write(place.path("report/evidence.tar"), &tar[..1024]).unwrap();
    redact(&place, "serials", "public").exits(4);
    assert!(!place.path("public").exists());
    fs::write(place.path("report/evidence.tar"), tar).unwrap();
    redact(&place, "serials", "public").exits(0);

    let path = place.path("public/certificate.dsse.json");
    let genuine = fs::read(&path).unwrap();
    let payload = String::from_utf8(Envelope::parse(&genuine).unwrap().payload).unwrap();
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    for (from, to, class) in [
        ("\"Supermicro\"", "\"Dell Inc.\"", "E_EVIDENCE"),
        ("\"name\":\"report\"", "\"name\":\"other\"", "E_EVIDENCE"),
        ("\"issuedAt\":\"2", "\"issuedAt\":\"x", "E_EVIDENCE"),
        ("\"status\":\"clear\"", "\"status\":\"fine\"", "E_EVIDENCE"),
        ("\"hides\":", "\"shows\":[],\"hides\":", "E_FORMAT"),
        ("hw-certificate/v1", "hw-certificate/v9", "E_FORMAT"),
    ] {
        assert!(payload.contains(from), "{from}");
        let forged = Envelope::sign(payload.replacen(from, to, 1).into_bytes(), &key).to_json();
        fs::write(&path, forged).unwrap();
        let json = verify(&place, &["--format", "json"]).exits(4).json();
        assert_eq!(json["reports"][0]["failures"][0]["class"], class, "{json}");
    }
    // A signer who certifies something else than the report says.
    let better = payload.replacen("\"result\":\"undecided\"", "\"result\":\"accepted\"", 1);
    fs::write(&path, Envelope::sign(better.into_bytes(), &key).to_json()).unwrap();
    let ran = verify(&place, &[]).exits(3);
    assert!(ran.stdout.contains("Verdict of the report: accepted"), "{}", ran.stdout);
    let ran = place.run(["history", "public", "report", "--key", "seller.pem.pub"]).exits(4);
    assert!(ran.stdout.contains("E_VERDICT_MISMATCH verdict"), "{}", ran.stdout);
}
