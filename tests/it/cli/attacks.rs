//! What a dishonest seller can do, and the test in which it fails.
//!
//! A report that fails ends with exit code 4. What ends with 3 is valid and undecided: it is no proof of a lie.
//!
//! | Attack | Class (exit code) | Test |
//! |---|---|---|
//! | edit the payload, flip any byte | whatever the byte is in (4) | `cli::reports::a_changed_byte_anywhere_is_found`, `attest::every_flipped_byte_of_an_envelope_fails` |
//! | forge: sign with another key, under a trusted name | `E_UNTRUSTED_SIGNER`, `E_SIGNATURE` (4) | [`a_forged_signature`] |
//! | one signature counted twice | `E_THRESHOLD` (4) | [`one_signature_twice_is_one_signer`] |
//! | a key for receipts signs a report | `E_UNTRUSTED_SIGNER` (4) | `cli::custody::every_command_that_verifies_goes_by_the_policy_and_by_timestamps` |
//! | a report that was taken back | `E_REVOKED` (4) | `cli::custody::a_report_that_its_signer_took_back_is_no_report_to_any_command` |
//! | the same, with signatures left out, added or in another order | `E_REVOKED` (4) | `cli::custody::a_withdrawal_holds_whatever_becomes_of_the_signatures` |
//! | replay: an old report, or a second one, for a challenge | `E_REPLAY` (4) | [`a_replayed_report_does_not_answer_a_new_challenge`], [`a_challenge_has_one_answer`] |
//! | another machine's evidence spliced in | `E_EVIDENCE` (4) | `cli::reports::evidence_of_another_report_is_refused`, `cli::certify::a_burn_in_of_another_machine_does_not_count_for_this_one` |
//! | another GPU's evidence spliced in, or one GPU signs for another | `E_NONCE` (4) | `cli::device_attacks::attack_evidence_of_another_session_spliced_in`, `cli::device_attacks::attack_one_gpu_signs_for_another` |
//! | a relayed genuine GPU | `E_NONCE`, `E_IDENTITY_CONFLICT` (4) | `cli::device_attacks::attack_a_relayed_genuine_gpu`, `cli::device_attacks::attack_the_end_is_signed_by_another_chip` |
//! | the same, asked live with the right nonce | undecided, `E_IDENTITY_CONFLICT` (3) | `cli::device_attacks::attack_a_gpu_of_another_board_that_signs_through_a_relay` |
//! | a forged device chain, or a revoked device | `E_DEVICE_CHAIN` (4) | `cli::device_attacks::attack_a_forged_chain`, `cli::device_attacks::attack_a_gpu_that_was_revoked` |
//! | a fake NVML: the shim tells of another GPU than the one that signs | `E_IDENTITY_CONFLICT` (4) | `cli::device_attacks::attack_a_gpu_that_is_not_the_one_that_nvml_tells_of`, `cli::device_attacks::attack_a_chip_whose_registers_name_another_than_nvml_does` |
//! | a fake NVML by library path, where no GPU signs | a finding (3) | [`a_driver_library_that_somebody_put_in_front`] |
//! | a fake NVML, or another library, by `LD_PRELOAD` | `E_POLICY`, open (3) | [`a_library_that_was_preloaded`] |
//! | a virtual driver signed as live | `E_VERDICT_MISMATCH` (4) | `cli::certify::a_virtual_driver_cannot_be_signed_as_live` |
//! | cloned serial numbers | `E_DUPLICATE` (4), a serial number alone (3) | `duplicates::a_part_in_two_reports_is_named_with_both` |
//! | one chip as two GPUs, or in two machines; one TPM in two machines | `E_DUPLICATE` (4) | `cli::device_attacks::attack_one_chip_as_two_gpus`, `cli::device_attacks::attack_one_chip_in_two_machines`, `duplicates::one_tpm_or_one_challenge_in_two_machines` |
//! | a short burn-in with a long claim, or edited records | `E_VERDICT_MISMATCH`, `E_EVIDENCE` (4) | [`a_short_burn_in_with_a_long_claim`] |
//! | the same, with a TPM that its holder commands | `E_TPM_CLOCK`, `E_TPM_NONCE` (4) | `cli::tpm::a_software_tpm_is_asked_and_believed_as_far_as_it_goes`, `tpm::a_short_burn_in_with_a_long_claim`, `tpm::the_clock_that_its_owner_set_forward_does_not_count` |
//! | a software TPM passed off as hardware | L0, or `E_TPM_KEY` (4) | `cli::tpm::a_secret_that_only_the_tpm_can_read_ties_its_key_to_its_vendors_certificate`, `tpm::a_software_tpm_passed_off_as_hardware` |
//! | quotes replayed, swapped, edited, of another key or boot | `E_TPM_…` (4) | `tpm::quotes_that_were_replayed_swapped_edited_or_are_anothers`, `tpm::a_tpm_that_was_reset_between_its_quotes` |
//! | a patched tool | not proven (3) | [`a_patched_tool_is_not_proven_to_be_the_right_one`] |
//! | back-dating | `E_STALE`, `E_TIME` (4) | [`a_report_from_before_its_challenge_or_from_after_its_end`], `cli::custody::every_command_that_verifies_goes_by_the_policy_and_by_timestamps` |
//! | the same, by a timestamp over a signature that somebody added | not proven (3) | `attest::timestamps::a_timestamp_over_a_signature_that_nobody_checked_tells_no_time` |
//! | a challenge that the seller issued itself | not proven (3) | `cli::challenge::a_challenge_of_the_seller_s_own_bounds_nothing` |
//! | an owner's key of a policy, after its time | `E_POLICY` (4) | `cli::trust::an_owner_signs_in_the_time_of_its_key_only` |
//! | a signed verdict that the evidence contradicts | `E_VERDICT_MISMATCH` (4) | `cli::reports::a_trusted_key_cannot_sign_what_does_not_follow_from_the_evidence` |
//! | evidence stripped | `E_EVIDENCE`, of devices `E_DEVICE_CHAIN` (4) | `cli::reports::without_its_container_a_report_is_verified_from_what_it_holds_inline_or_not_at_all`, `cli::device_attacks::attack_evidence_stripped` |
//! | an old signature set | `E_POLICY` (4) | [`an_old_signature_set`] |
//! | signature-set downgrade: old rules under a new version | `E_POLICY` (4) | [`a_signature_set_downgrade`] |
//! | a signature set named twice, or under another version | `E_EVIDENCE`, `E_VERDICT_MISMATCH` (4) | [`a_signature_set_under_two_names`] |
//! | a policy older than one seen | `E_POLICY` (4) | [`a_policy_older_than_one_seen`] |
//! | a subject list that omits a part of the evidence | `E_VERDICT_MISMATCH` (4) | [`a_subject_list_that_omits_a_part`] |
//! | the same, under another version of the tool or of the signatures | undecided (3) | [`a_subject_list_of_another_version`] |
//! | a key under which anybody can sign | refused where it is read (2) | `cli::trust::a_key_under_which_anybody_can_sign_is_refused` |
//! | serial numbers that look like others | `W_LOOKALIKE` (3) | [`a_serial_number_that_only_looks_like_another`] |
//! | a tar with two entries of one name | `E_EVIDENCE` (4) | [`a_tar_with_two_entries_of_one_name`], `attest::the_container_has_plain_sorted_files_only` |

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use yanji::attest::Digest;
use yanji::attest::challenge::Issued;
use yanji::attest::envelope::Envelope;
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::statement::{LoadedLibrary, Statement, Subject, part_subject, session_id, subject, unit_subject};

use super::certify::TINY_PROFILE;
use super::{Place, Ran};
use crate::support::RecordedMachine;

/// A recorded server, and the key of whoever offers it.
pub fn seller() -> Place {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    place
}

/// A challenge of this machine, or of `--key`.
pub fn issue(place: &Place, file: &str, more: &[&str]) {
    let purpose: &[&str] = if more.contains(&"--for") { &[] } else { &["--for", "PO-1"] };
    place.run(["challenge", "new", "-o", file].iter().chain(purpose).chain(more)).exits(0);
}

/// Exit code 4, and the first failure is of that class.
#[track_caller]
pub fn assert_refused(place: &Place, arguments: &[&str], class: &str) -> Json {
    let ran = place.run(["verify", "--format", "json"].iter().chain(arguments)).exits(4);
    let report = &ran.json()["reports"][0];
    let failure = &report["failures"][0];
    assert_eq!(failure["class"], class, "{report:#}");
    for field in ["what", "expected", "observed"] {
        assert_ne!(failure[field].as_str().unwrap(), "", "{failure}");
    }
    assert_ne!(failure["expected"], failure["observed"]);
    assert_eq!((&report["claims"], &report["proven"]), (&Json::Array(vec![]), &Json::Array(vec![])));
    failure.clone()
}

impl Place {
    /// The recorded server as the seller certifies it.
    pub fn certify(&self, out: &str, more: &[&str]) {
        let arguments = ["certify", "--host", "host.tar.zst", "--key", "seller.pem", "--out", out];
        self.run(arguments.iter().chain(more)).exits(3);
    }

    fn statement(&self, report: &str) -> Statement {
        let envelope = fs::read(self.path(report).join("report.dsse.json")).unwrap();
        serde_json::from_slice(&Envelope::parse(&envelope).unwrap().payload).unwrap()
    }

    pub fn predicate(&self, report: &str) -> Json {
        serde_json::to_value(self.statement(report).predicate).unwrap()
    }

    /// Changes a statement as its own signer can: the session stays bound to its key.
    pub fn resign(&self, report: &str, change: impl FnOnce(&mut Statement)) {
        let mut statement = self.statement(report);
        change(&mut statement);
        let key = Key::load(&self.path("seller.pem"), None).unwrap();
        let predicate = &mut statement.predicate;
        predicate.session.s0 = session_id(
            predicate.challenge.as_ref(),
            &key.public().keyid(),
            &predicate.tool.binary_sha256,
            &predicate.session.started_at,
        );
        let envelope = Envelope::sign(statement.to_json().unwrap(), &key).to_json();
        fs::write(self.path(report).join("report.dsse.json"), envelope).unwrap();
    }

    /// A new policy `trust.toml` of this machine in which the seller may certify, with lines of its table `minimum`.
    pub fn policy(&self, minimum: &[&str]) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("policy {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        for file in ["trust.toml", "trust.toml.dsse.json"] {
            _ = fs::remove_file(self.path(file));
        }
        self.run(["trust", "init", "--name", &name]).exits(0);
        self.run(["trust", "add", "seller", "--public", "seller.pem.pub", "--role", "seller"]).exits(0);
        if !minimum.is_empty() {
            self.edit_policy(&format!("[minimum]\n{}", minimum.join("\n")));
        }
    }

    /// Adds to the policy by hand, raises its version and signs it.
    pub fn edit_policy(&self, addition: &str) {
        let path = self.path("trust.toml");
        let text = fs::read_to_string(&path).unwrap();
        let version = text.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().parse::<u64>().unwrap();
        let text = text.replace(&format!("version = {version}"), &format!("version = {}", version + 1));
        fs::write(&path, format!("{text}\n{addition}\n")).unwrap();
        self.run(["trust", "sign"]).exits(0);
    }
}

const OWN: [&str; 5] = ["report", "--key", "seller.pem.pub", "--challenge", "c.json"];
const TRUST: [&str; 3] = ["report", "--trust", "trust.toml"];

#[test]
fn a_forged_signature() {
    let place = seller();
    place.certify("report", &[]);
    let path = place.path("report/report.dsse.json");
    let genuine = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    place.run(["key", "gen", "--out", "stranger.pem", "--no-passphrase"]).exits(0);
    let stranger = Key::load(&place.path("stranger.pem"), None).unwrap();
    let mut forged = Envelope::sign(genuine.payload.clone(), &stranger);
    fs::write(&path, forged.to_json()).unwrap();
    let verify = ["report", "--key", "seller.pem.pub"];
    assert_refused(&place, &verify, "E_UNTRUSTED_SIGNER");
    // Under the seller's name.
    forged.signatures[0].keyid = genuine.signatures[0].keyid;
    fs::write(&path, forged.to_json()).unwrap();
    assert_refused(&place, &verify, "E_SIGNATURE");
    // The seller's own signature, of another report.
    place.certify("other", &[]);
    let other = Envelope::parse(&fs::read(place.path("other/report.dsse.json")).unwrap()).unwrap();
    forged.signatures = other.signatures;
    fs::write(&path, forged.to_json()).unwrap();
    assert_refused(&place, &verify, "E_SIGNATURE");
}

#[test]
fn a_driver_library_that_somebody_put_in_front() {
    let place = seller();
    let mut machine = RecordedMachine::gpu_server();
    machine.nvidia.as_mut().unwrap().library_path = "/tmp/x/libnvidia-ml.so.1".to_owned();
    place.archive(&machine);
    place.certify("report", &[]);
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("driver.library-foreign on driver:nvidia needs a person to look"), "{}", ran.stdout);
    // Whoever makes the report claim another path contradicts the evidence, and without a device that signs, what the library
    // said stays at the lowest level but where another source says the same.
    place.resign("report", |statement| {
        statement.predicate.checks.retain(|check| check.id != "driver.library-foreign");
    });
    assert_refused(&place, &["report", "--key", "seller.pem.pub"], "E_VERDICT_MISMATCH");
}

#[test]
fn one_signature_twice_is_one_signer() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    place.run(["key", "gen", "--out", "second.pem", "--no-passphrase"]).exits(0);
    place.run(["trust", "add", "second", "--public", "second.pem.pub", "--role", "seller"]).exits(0);
    place.edit_policy("[threshold]\nseller = 2");
    let path = place.path("report/report.dsse.json");
    let mut envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    envelope.signatures.push(envelope.signatures[0].clone());
    fs::write(&path, envelope.to_json()).unwrap();
    let failure = assert_refused(&place, &TRUST, "E_THRESHOLD");
    assert_eq!(failure["expected"], "2 different keys");
    assert_eq!(failure["observed"], "1: [\"seller\"]");
    let second = Key::load(&place.path("second.pem"), None).unwrap();
    envelope.signatures[1] = Envelope::sign(envelope.payload.clone(), &second).signatures.remove(0);
    fs::write(&path, envelope.to_json()).unwrap();
    let ran = place.run(["verify"].iter().chain(&TRUST)).exits(3);
    assert!(ran.stdout.contains("L1 vouched for by seller, second: 2 different keys"), "{}", ran.stdout);
    // The policy cannot be made to count one key under two names.
    let text = fs::read_to_string(place.path("trust.toml")).unwrap();
    let hex = |name: &str| {
        let shown = place.run(["key", "show", name]).exits(0).stdout;
        shown.lines().find_map(|line| line.strip_prefix("hex")).unwrap().trim().to_owned()
    };
    fs::write(place.path("trust.toml"), text.replace(&hex("second.pem.pub"), &hex("seller.pem.pub"))).unwrap();
    let ran = place.run(["trust", "sign"]).exits(2);
    assert!(ran.stderr.contains("is the key of \"seller\""), "{}", ran.stderr);
}

#[test]
fn a_replayed_report_does_not_answer_a_new_challenge() {
    let place = seller();
    issue(&place, "old.json", &[]);
    issue(&place, "c.json", &[]);
    place.certify("report", &["--challenge", "old.json"]);
    let failure = assert_refused(&place, &OWN, "E_REPLAY");
    assert_eq!(failure["what"], "challenge.value");
    fs::remove_dir_all(place.path("report")).unwrap();
    place.certify("report", &[]);
    assert_eq!(assert_refused(&place, &OWN, "E_REPLAY")["observed"], "the report answers no challenge");
    // The right bytes, without the issuer's word about them, and for another order.
    fs::remove_dir_all(place.path("report")).unwrap();
    place.certify("report", &["--challenge", "c.json"]);
    let genuine = fs::read(place.path("report/report.dsse.json")).unwrap();
    place.resign("report", |statement| statement.predicate.challenge.as_mut().unwrap().issuer = None);
    assert_eq!(assert_refused(&place, &OWN, "E_REPLAY")["what"], "challenge.issuer");
    fs::write(place.path("report/report.dsse.json"), &genuine).unwrap();
    place.resign("report", |statement| {
        statement.predicate.challenge.as_mut().unwrap().purpose = Some("PO-2".to_owned());
    });
    let failure = assert_refused(&place, &OWN, "E_REPLAY");
    assert_eq!((failure["expected"].as_str(), failure["observed"].as_str()), (Some("PO-1"), Some("PO-2")));
    fs::write(place.path("report/report.dsse.json"), &genuine).unwrap();
    place.run(["verify"].iter().chain(&OWN)).exits(3);
}

#[test]
fn a_challenge_has_one_answer() {
    let place = seller();
    issue(&place, "c.json", &[]);
    place.certify("report", &["--challenge", "c.json"]);
    place.certify("other", &["--challenge", "c.json"]);
    place.run(["verify"].iter().chain(&OWN)).exits(3);
    place.run(["verify"].iter().chain(&OWN)).exits(3);
    let other = ["other", "--key", "seller.pem.pub", "--challenge", "c.json"];
    let failure = assert_refused(&place, &other, "E_REPLAY");
    assert_eq!(failure["what"], "answers to the challenge");
    // In one run too, and a report that is refused answers nothing.
    fs::remove_dir_all(place.path("state")).unwrap();
    place.run(["key", "gen", "--out", "stranger.pem", "--no-passphrase"]).exits(0);
    place.run(["verify", "other", "--key", "stranger.pem.pub", "--challenge", "c.json"]).exits(4);
    let ran = place.run(["verify", "report", "other", "--key", "seller.pem.pub", "--challenge", "c.json"]).exits(4);
    assert!(ran.stdout.contains("INVALID  E_REPLAY (answers to the challenge)  other\n"), "{}", ran.stdout);
    place.run(["verify"].iter().chain(&OWN)).exits(3);
}

#[test]
fn a_report_from_before_its_challenge_or_from_after_its_end() {
    let place = seller();
    issue(&place, "c.json", &[]);
    place.certify("report", &["--challenge", "c.json"]);
    let genuine = fs::read(place.path("report/report.dsse.json")).unwrap();
    let days = |days: i64| Timestamp::now().checked_add(SignedDuration::from_hours(24 * days)).unwrap().to_string();
    for (start, end) in [(-1, 0), (8, 9)] {
        fs::write(place.path("report/report.dsse.json"), &genuine).unwrap();
        place.resign("report", |statement| {
            statement.predicate.session.started_at = days(start);
            statement.predicate.session.ended_at = days(end);
        });
        let failure = assert_refused(&place, &OWN, "E_STALE");
        assert_eq!(failure["what"], "session.startedAt");
        assert!(failure["expected"].as_str().unwrap().ends_with("give or take 10 minutes"), "{failure}");
    }
    // Without a challenge nothing bounds it but the reader's own clock.
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("indeterminate: E_TIME session.endedAt"), "{}", ran.stdout);

    // What the issuer says of its own times counts, and not what the report says of them.
    let key = Key::load(&place.path("data/yanji/key.pem"), None).unwrap();
    let issued = Issued {
        value: [7; 32],
        purpose: "PO-1".to_owned(),
        issued_at: "2025-01-01T00:00:00Z".parse().unwrap(),
        expires_at: "2025-01-08T00:00:00Z".parse().unwrap(),
        credential: None,
    };
    fs::write(place.path("c.json"), issued.sign(&key).unwrap().to_json()).unwrap();
    fs::write(place.path("report/report.dsse.json"), &genuine).unwrap();
    place.resign("report", |statement| {
        let challenge = statement.predicate.challenge.as_mut().unwrap();
        challenge.value = [7; 32];
    });
    assert_refused(&place, &OWN, "E_REPLAY");
}

#[test]
fn a_short_burn_in_with_a_long_claim() {
    let place = seller();
    fs::write(place.path("tiny.toml"), TINY_PROFILE).unwrap();
    let ran = place.run(["certify", "--out", "report", "--profile", "tiny.toml", "--key", "seller.pem"]);
    assert!(matches!(ran.code, 0 | 1 | 3), "{}", ran.stderr);
    let genuine = place.statement("report");
    let verify = ["report", "--key", "seller.pem.pub"];
    // The claim alone.
    place.resign("report", |statement| statement.predicate.burnin.as_mut().unwrap().profile = "24h".to_owned());
    let failure = assert_refused(&place, &verify, "E_VERDICT_MISMATCH");
    assert_eq!((&failure["expected"], &failure["observed"]), (&"tiny".into(), &"24h".into()), "{failure}");

    // What belongs to the records, each alone.
    type Change = fn(&mut Statement);
    let changes: [(&str, Change); 5] = [
        ("session.chainHead", |it| it.predicate.session.chain_head = Some(Digest::of(b"x"))),
        ("session.bootId", |it| it.predicate.session.boot_id = Some("1b4e28ba-2fa1-11d2-883f-0016d3cca427".to_owned())),
        ("burnin.records.sha256", |it| it.predicate.burnin.as_mut().unwrap().records.sha256 = Digest::of(b"x")),
        ("burnin.records.count", |it| it.predicate.burnin.as_mut().unwrap().records.count += 1),
        ("burnin.records.sha256", |it| it.predicate.burnin = None),
    ];
    for (what, change) in changes {
        place.resign("report", |statement| {
            *statement = genuine.clone();
            change(statement);
        });
        let failure = assert_refused(&place, &verify, "E_EVIDENCE");
        assert_eq!(failure["what"], what, "{failure}");
        assert!(!failure.to_string().contains("Some("), "{failure}");
    }

    // The records say 24 hours as well: their chain does not hold any more. And a machine that cannot be unpacked.
    let bytes: u64 = genuine.predicate.evidence.iter().map(|item| item.bytes).sum();
    let tar = fs::read(place.path("report/evidence.tar")).unwrap();
    let longer = |content: Vec<u8>| {
        let text = String::from_utf8(content).unwrap();
        let long = text.replacen("\"duration_seconds\":2", "\"duration_seconds\":86400", 1);
        assert_ne!(text, long);
        long.into_bytes()
    };
    type Edit<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;
    let edits: [(&str, Edit<'_>); 3] = [
        (yanji::attest::RECORDS_ITEM, &longer),
        (yanji::attest::RECORDS_ITEM, &|_| Vec::new()),
        (yanji::attest::HOST_ITEM, &|content| content[..content.len() / 2].to_vec()),
    ];
    for (id, edit) in edits {
        let container = evidence_tar::read(&tar[..], bytes, |_, _| true).unwrap();
        let items = container.items.into_iter().map(|found| {
            let content = found.content.unwrap();
            let content = Content::Bytes(if found.id == id { edit(content) } else { content });
            Item { id: found.id, media_type: "application/octet-stream".to_owned(), content }
        });
        let mut tar = Vec::new();
        let written = evidence_tar::write(items.collect(), &mut tar).unwrap();
        let records = written.items.iter().find(|item| item.id == yanji::attest::RECORDS_ITEM).unwrap().sha256;
        fs::write(place.path("report/evidence.tar"), tar).unwrap();
        place.resign("report", |statement| {
            *statement = genuine.clone();
            statement.set_evidence(written);
            statement.predicate.burnin.as_mut().unwrap().records.sha256 = records;
        });
        assert_eq!(assert_refused(&place, &verify, "E_EVIDENCE")["what"], id);
    }
}

#[test]
fn a_patched_tool_is_not_proven_to_be_the_right_one() {
    let place = seller();
    place.certify("report", &[]);
    place.resign("report", |statement| statement.predicate.tool.binary_sha256 = Digest::of(b"patched"));
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    let (_, not_proven) = ran.stdout.split_once("  NOT proven\n").unwrap();
    assert!(not_proven.contains("that the tool and the system which made it were unmodified"), "{not_proven}");
    let patched =
        format!("L0 made by yanji {} ({:.16}…)", env!("CARGO_PKG_VERSION"), Digest::of(b"patched").to_string());
    assert!(ran.stdout.contains(&patched), "{}", ran.stdout);
}

#[test]
fn a_library_that_was_preloaded() {
    let place = seller();
    let shim = place.path("shim.so");
    fs::write(place.path("shim.c"), "int nvmlInit_v2(void) { return 0; }\n").unwrap();
    let args =
        ["-shared", "-fPIC", "-o", shim.to_str().unwrap(), place.path("shim.c").to_str().unwrap()].map(str::to_owned);
    assert!(std::process::Command::new("gcc").args(args).status().unwrap().success());
    let certify = ["certify", "--host", "host.tar.zst", "--key", "seller.pem", "--out", "report"];
    Ran::from(place.command(certify).env("LD_PRELOAD", &shim).output().unwrap()).exits(3);
    let listed = &place.predicate("report")["tool"]["loadedLibs"];
    let found = listed.as_array().unwrap().iter().find(|it| it["path"] == shim.to_str().unwrap()).unwrap();
    assert_eq!(found["sha256"], Digest::of(&fs::read(&shim).unwrap()).to_string());
    let json = place.run(["verify", "report", "--key", "seller.pem.pub", "--format", "json"]).exits(3).json();
    let open = &json["reports"][0]["indeterminate"][0];
    assert_eq!((&open["class"], &open["observed"]), (&"E_POLICY".into(), &shim.to_str().unwrap().into()), "{json:#}");
    // Without it there is none of which that could be said.
    place.certify("honest", &[]);
    let json = place.run(["verify", "honest", "--key", "seller.pem.pub", "--format", "json"]).exits(3).json();
    assert_eq!(json["reports"][0]["indeterminate"], Json::Array(vec![]), "{json:#}");
    assert!(place.predicate("honest")["tool"]["loadedLibs"].to_string().contains("libc.so"));
    // A tool that could not look says so, and nobody takes that for a look.
    let unread = "that nobody put a library in front of those of the system";
    assert!(!json["reports"][0]["notProven"].to_string().contains(unread), "{json:#}");
    place.resign("honest", |statement| {
        let libraries = &mut statement.predicate.tool.loaded_libs;
        libraries.truncate(1);
        (libraries[0].path, libraries[0].sha256) = (LoadedLibrary::LIST.to_owned(), None);
    });
    let json = place.run(["verify", "honest", "--key", "seller.pem.pub", "--format", "json"]).exits(3).json();
    assert!(json["reports"][0]["notProven"].to_string().contains(unread), "{json:#}");
}

/// Makes the seller's rules blind for the module without a serial number.
fn blind_rules(place: &Place, version: Option<&str>) {
    place.archive(&RecordedMachine::server().with(|machine| machine.dimms[3].serial = "Not Specified".to_owned()));
    let folder = place.signatures();
    fs::remove_file(folder.join("dimm/serial-blank.toml")).unwrap();
    let policy = fs::read_to_string(folder.join("policy.toml")).unwrap();
    let kept: Vec<&str> = policy.lines().filter(|line| !line.contains("dimm.serial-blank")).collect();
    fs::write(folder.join("policy.toml"), kept.join("\n")).unwrap();
    if let Some(version) = version {
        fs::write(folder.join("set.toml"), format!("version = \"{version}\"\n")).unwrap();
    }
    place.certify("report", &["--signatures", "signatures"]);
}

#[test]
fn an_old_signature_set() {
    let place = seller();
    blind_rules(&place, Some("2024.1"));
    // The rules of today look at the same evidence, and their verdict counts.
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("another signature set was used to re-evaluate it"), "{}", ran.stdout);
    assert!(ran.stdout.contains("dimm.serial-blank on dimm:P1-DIMMD1 needs a person to look"), "{}", ran.stdout);
    place.policy(&["signature_set = \"2026.11.1\""]);
    let failure = assert_refused(&place, &TRUST, "E_POLICY");
    assert_eq!(
        (failure["expected"].as_str(), failure["observed"].as_str()),
        (Some("2026.11.1 or later"), Some("2024.1"))
    );
}

#[test]
fn a_signature_set_downgrade() {
    let place = seller();
    // The version of today over rules that were left out.
    blind_rules(&place, None);
    let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
    assert!(ran.stdout.contains("E_POLICY content of signature set 20"), "{}", ran.stdout);
    assert!(ran.stdout.contains("dimm.serial-blank on dimm:P1-DIMMD1 needs a person to look"), "{}", ran.stdout);
    place.policy(&["signature_set = \"2026.11.1\""]);
    let failure = assert_refused(&place, &TRUST, "E_POLICY");
    assert!(failure["what"].as_str().unwrap().starts_with("content of signature set 20"), "{failure}");
    // A version that cannot be compared is none.
    place.resign("report", |statement| statement.predicate.databases[0].version = "2026.12.1-rc".to_owned());
    assert_eq!(assert_refused(&place, &TRUST, "E_POLICY")["observed"], "2026.12.1-rc");
}

#[test]
fn a_signature_set_under_two_names() {
    let place = seller();
    place.certify("report", &[]);
    let genuine = place.statement("report");
    let trusted = ["report", "--key", "seller.pem.pub"];
    // The first one of the name would be held against a policy, and the other one against the rules.
    place.resign("report", |statement| {
        let databases = &mut statement.predicate.databases;
        databases.insert(0, databases[0].clone());
        databases[0].version = "2099.1.1".to_owned();
    });
    let failure = assert_refused(&place, &trusted, "E_EVIDENCE");
    assert_eq!((&failure["what"], &failure["observed"]), (&"databases".into(), &"\"signatures\" twice".into()));
    place.resign("report", |statement| {
        *statement = genuine.clone();
        statement.predicate.databases[0].version = "2099.1.1".to_owned();
    });
    let failure = assert_refused(&place, &trusted, "E_VERDICT_MISMATCH");
    assert_eq!(failure["what"], "version of the database \"signatures\"");
    assert_eq!(failure["expected"].as_str(), Some(genuine.predicate.databases[0].version.as_str()));
    assert_eq!(failure["observed"], "2099.1.1");
}

#[test]
fn a_policy_older_than_one_seen() {
    let place = seller();
    place.certify("report", &[]);
    place.policy(&[]);
    let files = ["trust.toml", "trust.toml.dsse.json"];
    let before = files.map(|file| fs::read(place.path(file)).unwrap());
    place.run(["trust", "revoke", "seller", "--reason", "sold fakes"]).exits(0);
    assert_refused(&place, &TRUST, "E_REVOKED");
    // The one before, signed by the same owner.
    for (file, content) in files.iter().zip(&before) {
        fs::write(place.path(file), content).unwrap();
    }
    let ran = place.run(["verify"].iter().chain(&TRUST)).exits(4);
    assert!(ran.stderr.contains("E_POLICY: version of the policy: expected version 3 ("), "{}", ran.stderr);
    assert!(ran.stderr.contains("observed version 2 ("), "{}", ran.stderr);
    // The same version with another content is none that was seen.
    fs::remove_dir_all(place.path("state")).unwrap();
    place.run(["verify"].iter().chain(&TRUST)).exits(3);
    let text = fs::read_to_string(place.path("trust.toml")).unwrap();
    fs::write(place.path("trust.toml"), format!("{text}# another\n")).unwrap();
    let ran = place.run(["trust", "sign"]).exits(2);
    assert!(ran.stderr.contains("hint: write version = 3 into it"), "{}", ran.stderr);
}

#[test]
fn a_subject_list_that_omits_a_part() {
    let place = seller();
    place.certify("report", &[]);
    let genuine = place.statement("report");
    let parts: Vec<usize> =
        (0..genuine.subject.len()).filter(|index| genuine.subject[*index].name.starts_with("hwid:")).collect();
    assert!(parts.len() > 4);
    let text = |subject: &Subject| format!("{}, {}", subject.name, subject.digest.sha256);
    for at in [parts[0], parts[parts.len() / 2], parts[parts.len() - 1]] {
        place.resign("report", |statement| {
            *statement = genuine.clone();
            statement.subject.remove(at);
        });
        let failure = assert_refused(&place, &["report", "--key", "seller.pem.pub"], "E_VERDICT_MISMATCH");
        assert_eq!((&failure["what"], &failure["observed"]), (&"subjects".into(), &"no such subject".into()));
        assert_eq!(failure["expected"], text(&genuine.subject[at]), "{failure}");
    }
    // Nor may there be one of something that nobody looked at.
    let better = subject("a better machine", Digest::of(b"x"));
    place.resign("report", |statement| {
        *statement = genuine.clone();
        statement.subject.push(better.clone());
    });
    let failure = assert_refused(&place, &["report", "--key", "seller.pem.pub"], "E_VERDICT_MISMATCH");
    assert_eq!((&failure["expected"], &failure["observed"]), (&"no such subject".into(), &text(&better).into()));
}

#[test]
fn a_subject_list_of_another_version() {
    let place = seller();
    place.certify("report", &[]);
    let genuine = place.statement("report");
    let differences = || {
        let json = place.run(["verify", "report", "--key", "seller.pem.pub", "--format", "json"]).exits(3).json();
        json["reports"][0]["differences"].as_array().unwrap().clone()
    };
    place.resign("report", |statement| statement.predicate.tool.version = "0.0.1".to_owned());
    assert_eq!(differences(), [] as [Json; 0]);
    let changes: [fn(&mut Statement); 2] = [
        |statement| statement.subject.retain(|subject| !subject.name.starts_with("hwid:")),
        |statement| statement.subject.push(subject("a better machine", Digest::of(b"x"))),
    ];
    for change in changes {
        place.resign("report", |statement| {
            *statement = genuine.clone();
            statement.predicate.tool.version = "0.0.1".to_owned();
            change(statement);
        });
        let differences = differences();
        assert_eq!(differences[0]["what"], "subjects", "{differences:?}");
        assert!(differences[0].to_string().contains("no such subject"), "{differences:?}");
    }

    // Signatures that came later know another filler: what nobody forged is open until somebody looks.
    place.resign("report", |statement| *statement = genuine.clone());
    let blank = place.signatures().join("parts/blank-identities.toml");
    let known = fs::read_to_string(&blank).unwrap();
    let serial = &RecordedMachine::server().chassis_serial;
    fs::write(&blank, known.replacen("values = [", &format!("values = [\n  {serial:?},"), 1)).unwrap();
    let newer = ["report", "--key", "seller.pem.pub", "--signatures", "signatures", "--format", "json"];
    let json = place.run(["verify"].iter().chain(&newer)).exits(3).json();
    let report = &json["reports"][0];
    assert_eq!((&report["valid"], &report["differences"][0]["what"]), (&true.into(), &"subjects".into()), "{report:#}");
    assert!(report["differences"][0]["signed"].as_str().unwrap().starts_with("hwid:chassis-serial:"), "{report:#}");
    assert!(report["judgement"]["reasons"].to_string().contains("subjects: what is signed is not"), "{report:#}");
    // The same version reads the same identity, whatever the signatures are.
    place.resign("report", |statement| statement.predicate.identity["system"][0]["smbios.system_serial"] = "S1".into());
    place.resign("report", |statement| {
        let unit = unit_subject(&statement.predicate.identity).unwrap();
        statement.subject[0] = unit;
    });
    let failure = assert_refused(&place, &newer[..5], "E_VERDICT_MISMATCH");
    assert_eq!(failure["what"], "identity /system/0/smbios.system_serial");
    assert_eq!(failure["observed"], "\"S1\"");
}

#[test]
fn every_gpu_is_a_subject() {
    let place = seller();
    place.certify("report", &[]);
    let statement = place.statement("report");
    let gpus = &RecordedMachine::server().nvidia.unwrap().gpus;
    for gpu in gpus {
        assert!(statement.subject.contains(&part_subject("nvidia-uuid", &gpu.uuid)), "{:?}", statement.subject);
    }
    let named = |id_type: &str| {
        let prefix = format!("hwid:{id_type}:");
        statement.subject.iter().filter(|subject| subject.name.starts_with(&prefix)).count()
    };
    assert_eq!(named("nvidia-uuid"), gpus.len());
    place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
}

#[test]
fn a_serial_number_that_only_looks_like_another() {
    let place = seller();
    place.certify("real", &[]);
    let real = RecordedMachine::server().dimms[0].serial.clone();
    let (first, rest) = real.split_at(1);
    for (fake, shown) in [
        // A letter of another script, and one without width.
        (format!("{first}\u{410}{rest}"), format!("{first}\\u{{410}}{rest}")),
        (format!("{first}\u{200b}{rest}"), format!("{first}\\u{{200b}}{rest}")),
    ] {
        let mut machine = RecordedMachine::server();
        machine.dimms[0].serial = fake;
        place.archive(&machine);
        place.certify("report", &[]);
        let ran = place.run(["verify", "report", "--key", "seller.pem.pub"]).exits(3);
        assert!(ran.stdout.contains("  W_LOOKALIKE smbios.serial of dimm:"), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("    observed: {shown}\n")), "{}", ran.stdout);
        let subjects = |report: &str| place.statement(report).subject;
        let missing = subjects("real").into_iter().filter(|it| !subjects("report").contains(it)).count();
        assert!(missing >= 2, "the unit and the module are others");
        fs::remove_dir_all(place.path("report")).unwrap();
    }
}

#[test]
fn a_tar_with_two_entries_of_one_name() {
    let place = seller();
    place.certify("report", &[]);
    let path = place.path("report/evidence.tar");
    let tar = fs::read(&path).unwrap();
    let entries = &tar[..tar.len() - 1024];
    let doubled = [entries, entries, &[0; 1024]].concat();
    fs::write(&path, &doubled).unwrap();
    // Signed as it is: no reader may take the first entry where another takes the last.
    place.resign("report", |statement| {
        let sha256 = Digest::of(&doubled);
        for subject in statement.subject.iter_mut().filter(|subject| subject.name == "evidence.tar") {
            subject.digest.sha256 = sha256;
        }
    });
    let failure = assert_refused(&place, &["report", "--key", "seller.pem.pub"], "E_EVIDENCE");
    assert!(failure["observed"].as_str().unwrap().contains("is there twice"), "{failure}");
}
