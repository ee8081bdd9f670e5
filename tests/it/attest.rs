//! Signed reports: made, written, changed in every way that an attacker has, and checked by others.

mod timestamps;

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use yanji::attest::certificate::Salts;
use yanji::attest::challenge::SignedChallenge;
use yanji::attest::document::Document;
use yanji::attest::envelope::{self, Envelope};
use yanji::attest::evidence_tar::{self, Content, Item, TarError};
use yanji::attest::key::{self, Key, KeyError, Locations, PublicKey};
use yanji::attest::policy::TrustPolicy;
use yanji::attest::statement::{
    Assurance, BurnIn, Challenge, ChallengeSource, Database, PREDICATE_TYPE, PolicyRef, Predicate, Records,
    STATEMENT_TYPE, Session, SignedVerdict, Statement, Tool, part_subject, session_id,
};
use yanji::attest::trust::{OWN_KEY_NAME, TrustedKeys};
use yanji::attest::verify::{
    Batch, EvidenceItems, EvidenceSource, Expectations, Failure, FailureClass, MAX_KEPT_BYTES, Rederived, Report,
    Verified, verify,
};
use yanji::attest::write::{self, WriteError};
use yanji::attest::{Digest, strict_json};
use yanji::claim::Order;
use yanji::evidence::{Origin, Reading};
use yanji::policy;
use yanji::rule::{Check, Outcome};

const STARTED: &str = "2026-03-01T10:00:00Z";

struct Signed {
    key: Key,
    expectations: Expectations,
    statement: Statement,
    envelope: Vec<u8>,
    tar: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Signed {
    fn new(items: Vec<Item>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::create(&folder.path().join("key.pem"), None).unwrap();
        let expectations = Expectations::new(
            TrustedKeys::from_public_keys([("seller".to_owned(), *key.public())]),
            Timestamp::UNIX_EPOCH,
        );
        let mut tar = Vec::new();
        let written = evidence_tar::write(items, &mut tar).unwrap();
        let mut statement = statement(&key, "report-1");
        statement.set_evidence(written);
        let envelope = sign(&statement, &key);
        Self { key, expectations, statement, envelope, tar, _folder: folder }
    }

    /// The same report with a change in the statement, signed again.
    fn with(&self, change: impl FnOnce(&mut Statement)) -> Vec<u8> {
        let mut statement = self.statement.clone();
        change(&mut statement);
        sign(&statement, &self.key)
    }

    fn verify(&self, envelope: &[u8], tar: &[u8]) -> Report {
        verify(envelope, Some(tar), &self.expectations, &mut agree)
    }
}

fn sign(statement: &Statement, key: &Key) -> Vec<u8> {
    Envelope::sign(statement.to_json().unwrap(), key).to_json().into_bytes()
}

/// A signed report and its evidence.
pub fn report() -> (Vec<u8>, Vec<u8>) {
    let signed = Signed::new(small_items());
    (signed.envelope, signed.tar)
}

fn small_items() -> Vec<Item> {
    vec![item("host.tar.zst", b"host"), item("burn/records.jsonl", b"{}\n")]
}

fn item(id: &str, bytes: &[u8]) -> Item {
    Item { id: id.to_owned(), media_type: "application/octet-stream".to_owned(), content: Content::Bytes(bytes.into()) }
}

fn statement(key: &Key, report_id: &str) -> Statement {
    let tool = Tool {
        version: "0.1.0".to_owned(),
        binary_sha256: Digest::of(b"tool"),
        git_commit: None,
        loaded_libs: Vec::new(),
    };
    let challenge = Challenge::unsigned([7; 32], ChallengeSource::Buyer);
    let predicate = Predicate {
        report_id: report_id.to_owned(),
        previous: None,
        session: Session {
            s0: session_id(Some(&challenge), &key.public().keyid(), &tool.binary_sha256, STARTED),
            started_at: STARTED.to_owned(),
            ended_at: "2026-03-01T11:00:00Z".to_owned(),
            boot_id: None,
            chain_head: Some(Digest::of(b"head")),
        },
        challenge: Some(challenge),
        tool,
        databases: vec![Database {
            name: "signatures".to_owned(),
            version: "1".to_owned(),
            sha256: Digest::of(b"rules"),
        }],
        origin: Origin::Live,
        policy: PolicyRef { name: "default".to_owned(), sha256: Digest::of(b"policy") },
        identity: json!({"system": {"serial": "S1"}, "cpus": []}),
        platform: None,
        burnin: Some(BurnIn {
            profile: "quick".to_owned(),
            seed: "0xffffffffffffffff".to_owned(),
            records: Records { sha256: Digest::of(b"{}\n"), count: u64::MAX },
        }),
        condition: None,
        disclosures: vec!["fan replaced".to_owned()],
        claims: Default::default(),
        device_evidence: Vec::new(),
        evidence: Vec::new(),
        checks: vec![check("cpu.model", Outcome::Clear), check("cpu.cores", Outcome::NotApplicable)],
        verdict: SignedVerdict { result: policy::Verdict::Accepted, assurance: Assurance::L1, reasons: Vec::new() },
    };
    Statement::new(predicate, vec![part_subject("system-serial", "S1")]).unwrap()
}

fn check(id: &str, outcome: Outcome) -> Check {
    Check { id: id.to_owned(), part: "cpu:0".to_owned(), outcome }
}

/// A re-evaluation that comes to what was signed.
fn agree(statement: &Statement, _: &EvidenceItems<'_>) -> Result<Rederived, Failure> {
    Ok(Rederived {
        checks: statement.predicate.checks.clone(),
        verdict: statement.predicate.verdict.clone(),
        identity: Some(statement.predicate.identity.clone()),
        subjects: None,
        same_signatures: true,
        signatures: None,
        burn: None,
        sighting: Default::default(),
        evidence: None,
    })
}

#[track_caller]
fn assert_class(report: &Report, class: FailureClass) {
    assert_eq!(report.class(), Some(class), "{:#?}", report.failures);
    assert_eq!(report.assurance, None);
    assert!(report.proven.is_empty());
}

#[test]
fn a_genuine_report_verifies_and_says_what_it_does_not_prove() {
    let signed = Signed::new(small_items());
    let mut seen = Vec::new();
    let report = verify(&signed.envelope, Some(&signed.tar[..]), &signed.expectations, &mut |statement, items| {
        seen = items.iter().map(|(id, bytes)| (id.to_owned(), bytes.to_vec())).collect();
        agree(statement, items)
    });
    assert!(report.is_valid(), "{:#?}", report.failures);
    assert_eq!(report.statement.as_ref(), Some(&signed.statement));
    assert_eq!(report.evidence, Some(EvidenceSource::Container));
    assert_eq!(report.assurance, Some(Assurance::L1));
    assert_eq!(report.signers.len(), 1);
    assert_eq!(report.signers[0].name, "seller");
    let expected = [("burn/records.jsonl", &b"{}\n"[..]), ("host.tar.zst", b"host")];
    assert_eq!(seen, expected.map(|(id, bytes)| (id.to_owned(), bytes.to_vec())));
    let not_proven = report.not_proven.join("\n");
    for words in ["no hardware root", "challenge", "no trusted clock", "unmodified"] {
        assert!(not_proven.contains(words), "{not_proven}");
    }

    let inline = verify(&signed.envelope, None::<io::Empty>, &signed.expectations, &mut agree);
    assert!(inline.is_valid());
    assert_eq!(inline.evidence, Some(EvidenceSource::Inline));
    assert!(inline.not_proven.iter().any(|line| line.contains("evidence.tar is unchanged: it was not given")));

    let recorded = signed.with(|statement| statement.predicate.origin = Origin::Recorded);
    let recorded = signed.verify(&recorded, &signed.tar);
    assert!(recorded.not_proven[0].contains("the evidence is recorded"));
}

#[test]
fn every_flipped_byte_of_an_envelope_fails() {
    let signed = Signed::new(vec![item("host.tar.zst", b"host")]);
    let genuine = Envelope::parse(&signed.envelope).unwrap();
    let text = std::str::from_utf8(&signed.envelope).unwrap();
    let payload = 12..text.find("\",\"payloadType\"").unwrap();
    let sig = text.find("\"sig\":\"").unwrap() + 7..text.rfind("==").unwrap();
    // 6 turns `+` into `-`, and 112 `/` into `_`.
    for at in 0..signed.envelope.len() {
        let masks = if payload.contains(&at) {
            vec![1, 255, 6, 112]
        } else if sig.contains(&at) {
            vec![1, 2, 4, 8, 16, 32, 64, 128, 255, 6, 112]
        } else {
            (1..=255).collect()
        };
        for mask in masks {
            let mut changed = signed.envelope.clone();
            changed[at] ^= mask;
            let report = signed.verify(&changed, &signed.tar);
            if report.is_valid() {
                // The one change that DSSE makes no difference of: the only character that tells the alphabets apart.
                assert!(matches!((text.as_bytes()[at], changed[at]), (b'+', b'-') | (b'/', b'_')), "byte {at}");
                assert_eq!(Envelope::parse(&changed).unwrap(), genuine);
            } else {
                use FailureClass::{Format, Signature, UntrustedSigner};
                assert!(matches!(report.class(), Some(Format | Signature | UntrustedSigner)), "byte {at}");
                assert!(report.statement.is_none());
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_the_evidence_fails() {
    let signed = Signed::new(vec![item("host.tar.zst", b"host")]);
    for at in 0..signed.tar.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = signed.tar.clone();
            changed[at] ^= mask;
            assert_class(&signed.verify(&signed.envelope, &changed), FailureClass::Evidence);
        }
    }
}

#[test]
fn base64_of_both_alphabets_is_read_and_nothing_else() {
    let signed = Signed::new(small_items());
    let text = String::from_utf8(signed.envelope.clone()).unwrap();
    let url_safe =
        text.replace('+', "-").replace('/', "_").replace("application_vnd.in-toto-json", envelope::PAYLOAD_TYPE);
    let unpadded = text.replace('=', "");
    for variant in [&url_safe, &unpadded, &url_safe.replace('=', "")] {
        let report = signed.verify(variant.as_bytes(), &signed.tar);
        assert!(report.is_valid(), "{:#?}", report.failures);
    }
    let sig_at = text.find("\"sig\":\"").unwrap() + 7;
    let last = text.rfind("==").unwrap();
    for (range, with) in
        [(sig_at..sig_at + 2, "+_"), (sig_at..sig_at + 1, "!"), (last + 1..last + 2, ""), (12..12, "\\n")]
    {
        let mut changed = text.clone();
        changed.replace_range(range, with);
        let report = signed.verify(changed.as_bytes(), &signed.tar);
        assert_class(&report, FailureClass::Format);
    }
}

#[test]
fn fields_of_the_envelope() {
    let signed = Signed::new(small_items());
    let text = String::from_utf8(signed.envelope.clone()).unwrap();
    let verify = |text: &str| signed.verify(text.as_bytes(), &signed.tar);
    // DSSE: consumers must ignore unrecognised fields.
    assert!(verify(&text.replacen('{', "{\"extra\":[1],", 1)).is_valid());
    for changed in [
        text.replacen('{', "{\"payload\":\"\",", 1),
        text.replace("\"keyid\":", "\"keyid\":\"\",\"keyid\":"),
        text.replace("\"keyid\":", "\"key\":"),
        text.replace("in-toto+json", "in-toto+cbor"),
        text.replace("\"signatures\":[", "\"signatures\":[],\"more\":["),
        format!("{text}{text}"),
        text.replace('}', ""),
        "\u{feff}".to_owned() + &text,
    ] {
        assert_class(&verify(&changed), FailureClass::Format);
    }
}

#[test]
fn the_statement_is_read_strictly() {
    let signed = Signed::new(small_items());
    let text = String::from_utf8(signed.statement.to_json().unwrap()).unwrap();
    let sign = |text: String| Envelope::sign(text.into_bytes(), &signed.key).to_json().into_bytes();
    // in-toto: consumers must ignore unrecognised fields of the statement.
    assert!(signed.verify(&sign(text.replacen('{', "{\"extra\":1,", 1)), &signed.tar).is_valid());
    for (from, to) in [
        ("\"reportId\":", "\"reportID\":1,\"reportId\":"),
        ("\"reportId\":", "\"reportId\":\"other\",\"reportId\":"),
        (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1"),
        (PREDICATE_TYPE, "https://yanji.example/hw-authenticity/v2"),
        ("\"origin\":\"live\"", "\"origin\":\"real\""),
        ("\"version\":\"0.1.0\"", "\"version\":1"),
        ("\"18446744073709551615\"", "18446744073709551615"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_class(&signed.verify(&sign(text.replacen(from, to, 1)), &signed.tar), FailureClass::Format);
    }
}

#[test]
fn what_few_reports_have_is_read_as_strictly() {
    let key = Signed::new(small_items());
    let tables = yanji::rule::Signatures::embedded().unwrap().tables;
    let mut report = key.statement.clone();
    report.predicate.claims = Order::parse("32x 64GB DDR5-5600 RDIMM new; 2x Xeon Platinum 8480+", &tables).unwrap();
    let digest = Digest::of(b"");
    let mut json = serde_json::to_value(&report).unwrap();
    json["predicate"]["platform"] = json!({"tpm": {
        "manufacturer": "IFX", "firmware": "1.2", "akPub": "AA==", "akBinding": {"kind": "self"},
        "quotes": [{"phase": "start", "attest": "", "sig": "", "bank": "sha256", "pcrs": {"0": digest, "11": digest}}],
    }});
    json["predicate"]["deviceEvidence"] = json!([{
        "type": "nvidia-spdm-1.1", "via": "nvml", "phase": "end", "part": "gpu:0000:3b:00.0", "nonce": digest,
        "report": "AA==", "certChain": "",
    }]);
    let text = json.to_string();
    let Ok(Document::Report(read)) = Document::read(text.as_bytes()) else { panic!("{text}") };
    assert_eq!(*read, strict_json::from_slice::<Statement>(text.as_bytes(), 1 << 20).unwrap());
    assert_eq!(serde_json::to_value(&*read).unwrap(), json);

    json["predicate"]["platform"] = serde_json::Value::Null;
    assert!(Document::read(json.to_string().as_bytes()).is_ok());
    for (from, to) in [
        ("\"claims\":{", "\"claims\":{\"other\":1,"),
        ("\"claims\":{", "\"claims\":null,\"disclosures\":{"),
        ("\"dimms\":[{", "\"dimms\":[{\"other\":1,"),
        ("\"count\":32", "\"count\":32,\"count\":32"),
        ("\"pcrs\":{\"0\":", "\"pcrs\":{\"00\":"),
        ("\"pcrs\":{\"0\":", "\"pcrs\":{\"11\":"),
        ("\"kind\":\"self\"", "\"kind\":\"self\",\"kind\":\"self\""),
        ("\"kind\":\"self\"", "\"kind\":\"self\",\"chain\":[]"),
        ("\"manufacturer\":", "\"maker\":\"\",\"manufacturer\":"),
        ("\"deviceEvidence\":[", "\"deviceEvidence\":[null,"),
        ("\"via\":\"nvml\"", "\"via\":\"nvml\",\"via\":\"nvml\""),
        ("\"via\":\"nvml\"", "\"via\":\"nvml\",\"other\":0"),
        ("\"report\":\"AA==\"", "\"report\":\"AB==\""),
    ] {
        assert!(text.contains(from), "{from}");
        let refused = Document::read(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(refused.observed.contains(" at line 1 column "), "{to}: {}", refused.observed);
    }
}

#[test]
fn a_statement_that_contradicts_itself_fails() {
    let signed = Signed::new(small_items());
    let changes: [fn(&mut Statement); 8] = [
        |statement| statement.predicate.identity = json!({"system": {"serial": "S2"}}),
        |statement| statement.subject.clear(),
        |statement| statement.subject.push(statement.subject[0].clone()),
        |statement| statement.predicate.session.started_at = "2026-03-01T10:00:01Z".to_owned(),
        |statement| statement.predicate.session.ended_at = "2025-03-01T10:00:00Z".to_owned(),
        |statement| statement.predicate.challenge = None,
        |statement| statement.predicate.evidence.push(statement.predicate.evidence[0].clone()),
        |statement| statement.predicate.evidence[0].inline.as_mut().unwrap().0.push(0),
    ];
    for change in changes {
        let report = signed.verify(&signed.with(change), &signed.tar);
        assert_class(&report, FailureClass::Evidence);
        let failure = &report.failures[0];
        assert_ne!(failure.expected, failure.observed);
    }
}

#[test]
fn only_trusted_signatures_count_and_each_key_once() {
    let signed = Signed::new(small_items());
    let stranger = Signed::new(small_items());
    let report = verify(&signed.envelope, Some(&signed.tar[..]), &stranger.expectations, &mut agree);
    assert_class(&report, FailureClass::UntrustedSigner);
    assert!(report.failures[0].observed.contains(&signed.key.public().keyid().to_string()));
    assert_class(
        &verify(&signed.envelope, Some(&signed.tar[..]), &Expectations::default(), &mut agree),
        FailureClass::UntrustedSigner,
    );

    let genuine = Envelope::parse(&signed.envelope).unwrap();
    let mut twice = genuine.clone();
    twice.signatures.push(genuine.signatures[0].clone());
    let report = signed.verify(twice.to_json().as_bytes(), &signed.tar);
    assert!(report.is_valid());
    assert_eq!(report.signers.len(), 1);

    // A stranger's signature under the seller's name, alone and beside the genuine one.
    let mut forged = Envelope::sign(genuine.payload.clone(), &stranger.key);
    forged.signatures[0].keyid = signed.key.public().keyid();
    assert_class(&signed.verify(forged.to_json().as_bytes(), &signed.tar), FailureClass::Signature);
    forged.signatures.push(genuine.signatures[0].clone());
    assert_class(&signed.verify(forged.to_json().as_bytes(), &signed.tar), FailureClass::Signature);

    // A stranger's own signature beside it is neither checked nor counted.
    let mut both = genuine;
    both.signatures.extend(Envelope::sign(both.payload.clone(), &stranger.key).signatures);
    let report = signed.verify(both.to_json().as_bytes(), &signed.tar);
    assert!(report.is_valid());
    assert_eq!((report.signers.len(), report.unknown_signers.len()), (1, 1));
    both.signatures.resize(envelope::MAX_SIGNATURES + 1, both.signatures[0].clone());
    assert_class(&signed.verify(both.to_json().as_bytes(), &signed.tar), FailureClass::Format);
}

#[test]
fn evidence_that_was_stripped_added_to_or_cut() {
    let large = vec![b'x'; evidence_tar::MAX_INLINE_BYTES as usize + 1];
    let items = || [small_items(), vec![item("large.bin", &large)]].concat();
    let signed = Signed::new(items());
    assert!(signed.verify(&signed.envelope, &signed.tar).is_valid());
    assert!(signed.statement.predicate.evidence[1].inline.is_some());
    assert!(signed.statement.predicate.evidence[2].inline.is_none());

    let stripped = verify(&signed.envelope, None::<io::Empty>, &signed.expectations, &mut agree);
    assert_class(&stripped, FailureClass::Evidence);
    assert_eq!(stripped.failures.len(), 1);
    assert!(stripped.failures[0].what.contains("large.bin"));

    let tar_of = |items: Vec<Item>| {
        let mut tar = Vec::new();
        evidence_tar::write(items, &mut tar).unwrap();
        tar
    };
    let extra = signed.verify(&signed.envelope, &tar_of([items(), vec![item("more", b"")]].concat()));
    assert_class(&extra, FailureClass::Evidence);
    assert!(extra.failures[0].what.contains("more"));
    let missing = signed.verify(&signed.envelope, &tar_of(small_items()));
    assert_class(&missing, FailureClass::Evidence);
    assert_eq!(missing.failures[0].observed, "missing in evidence.tar");
    for length in [0, 1, 511, 512, 700, 1024, signed.tar.len() / 2, signed.tar.len() - 512, signed.tar.len() - 1] {
        let cut = signed.verify(&signed.envelope, &signed.tar[..length]);
        assert_class(&cut, FailureClass::Evidence);
        assert!(cut.failures[0].observed.contains("cut off"), "{:?}", cut.failures);
    }
    let longer = signed.verify(&signed.envelope, &[&signed.tar[..], &[0]].concat());
    assert!(longer.failures[0].observed.contains("unexpected bytes"));
}

#[test]
fn the_container_has_plain_sorted_files_only() {
    let entry = |name: &str, kind: tar::EntryType, link: &str| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let read = |parts: &[Vec<u8>]| {
        let tar = [parts.concat(), vec![0; 1024]].concat();
        evidence_tar::read(&tar[..], 0, |_, _| true)
    };
    let file = |name: &str| entry(name, tar::EntryType::Regular, "");
    assert_eq!(read(&[file("a"), file("b/c")]).unwrap().items.len(), 2);
    assert!(matches!(read(&[file("a"), file("a")]), Err(TarError::Order(_))));
    assert!(matches!(read(&[file("b"), file("a")]), Err(TarError::Order(_))));
    for name in ["../a", "/a", "a/../b", "./a", "a//b", "a b", "ä", ""] {
        assert!(matches!(read(&[file(name)]), Err(TarError::Header { at: 0 })), "{name}");
    }
    use tar::EntryType as Kind;
    for kind in [Kind::Symlink, Kind::Link, Kind::Char, Kind::Block, Kind::Fifo, Kind::Directory, Kind::GNULongName] {
        assert!(matches!(read(&[entry("a", kind, "/etc/passwd")]), Err(TarError::Header { at: 0 })), "{kind:?}");
    }
    let many: Vec<_> = (0..=evidence_tar::MAX_ITEMS).map(|number| file(&format!("{number:06}"))).collect();
    assert!(matches!(read(&many), Err(TarError::TooLarge)));
}

#[test]
fn containers_are_reproducible_and_other_tools_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let content: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    let from_file = Item { content: Content::File(path.clone()), ..item("b.bin", b"") };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let first = evidence_tar::write(vec![from_file, item("a", b"a")], &mut one).unwrap();
    let second = evidence_tar::write(vec![item("a", b"a"), item("b.bin", &content)], &mut two).unwrap();
    assert!(one == two && first == second);
    assert_eq!(first.sha256, Digest::of(&one));
    assert_eq!(first.items[1].sha256, Digest::of(&content));
    // With and without the second thread.
    for expected_bytes in [0, u64::MAX] {
        let read = evidence_tar::read(&one[..], expected_bytes, |_, bytes| bytes < MAX_KEPT_BYTES).unwrap();
        assert_eq!((read.sha256, read.bytes), (first.sha256, first.bytes));
        assert!(read.items[1].content.as_ref() == Some(&content));
    }
    fs::write(folder.path().join("evidence.tar"), &one).unwrap();
    let listed = Command::new("tar").arg("-tf").arg(folder.path().join("evidence.tar")).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "a\nb.bin\n");

    let fails = |item: Item| evidence_tar::write(vec![item], io::sink()).unwrap_err();
    assert!(matches!(fails(item("../a", b"")), TarError::Id(_)));
    assert!(matches!(fails(item(&"x".repeat(101), b"")), TarError::Id(_)));
    let missing = Item { content: Content::File(folder.path().join("none")), ..item("a", b"") };
    assert!(matches!(fails(missing), TarError::Item { .. }));
    let twice = evidence_tar::write(vec![item("a", b""), item("a", b"")], io::sink());
    assert!(matches!(twice, Err(TarError::Order(_))));
}

#[test]
fn a_verdict_that_the_evidence_contradicts_fails() {
    let signed = Signed::new(small_items());
    let with = |rederived: &dyn Fn(&Statement) -> Result<Rederived, Failure>| {
        verify(&signed.envelope, Some(&signed.tar[..]), &signed.expectations, &mut |statement, _| rederived(statement))
    };
    let agreed = |statement: &Statement| agree(statement, &EvidenceItems::default());

    let fires = Outcome::Inconclusive { missing: vec![yanji::evidence::FactPath::new("cpu.cpuid.brand")] };
    let other = |same_signatures| {
        let fires = fires.clone();
        move |statement: &Statement| {
            let mut rederived = agreed(statement)?;
            rederived.checks[0].outcome = fires.clone();
            rederived.checks.push(check("cpu.new", Outcome::Clear));
            rederived.verdict.result = policy::Verdict::Undecided;
            rederived.same_signatures = same_signatures;
            Ok(rederived)
        }
    };
    let report = with(&other(true));
    assert_class(&report, FailureClass::VerdictMismatch);
    assert_eq!(report.failures.len(), 3);
    assert!(report.failures[0].observed.contains("accepted"));
    assert!(report.failures[1].what.contains("cpu.model"));
    assert!(report.failures[1].expected.contains("cpu.cpuid.brand"));
    assert!(report.failures[1].observed.contains("clear"));
    assert_eq!(report.failures[2].observed, "no such check");

    let report = with(&other(false));
    assert!(report.is_valid());
    assert_eq!(report.differences.len(), 3);
    assert!(report.not_proven.iter().any(|line| line.contains("another signature set")));

    let reordered = with(&|statement| {
        let mut rederived = agreed(statement)?;
        rederived.checks.reverse();
        Ok(rederived)
    });
    assert_class(&reordered, FailureClass::VerdictMismatch);
    let spliced = with(&|statement| {
        let identity = Some(json!({"system": {"serial": "S2"}, "cpus": []}));
        Ok(Rederived { identity, ..agreed(statement)? })
    });
    assert_class(&spliced, FailureClass::VerdictMismatch);
    let Failure { what, expected, observed, .. } = &spliced.failures[0];
    assert_eq!((&**what, &**expected, &**observed), ("identity /system/serial", "\"S2\"", "\"S1\""));
    let damaged = || Failure::new(FailureClass::Evidence, "host.tar.zst", "a recorded machine", "its index is damaged");
    let report = with(&|_| Err(damaged()));
    assert_class(&report, FailureClass::Evidence);
    assert_eq!(report.failures, [damaged()]);

    // More than is listed is counted.
    let many = with(&|statement| {
        let checks = (0..30).map(|number| check(&format!("cpu.{number}"), Outcome::Clear)).collect();
        Ok(Rederived { checks, same_signatures: false, ..agreed(statement)? })
    });
    let last = many.differences.last().unwrap();
    assert_eq!((&*last.what, &*last.signed), ("12 more differences", "2 checks in all"));
    assert_eq!(last.now, "30 checks in all");

    let boast = signed.with(|statement| statement.predicate.verdict.assurance = Assurance::L2);
    assert_class(&signed.verify(&boast, &signed.tar), FailureClass::VerdictMismatch);
}

#[test]
fn one_report_id_with_two_contents_is_noticed() {
    let signed = Signed::new(small_items());
    let other = signed.with(|statement| statement.predicate.disclosures.clear());
    let third = signed.with(|statement| statement.predicate.report_id = "report-2".to_owned());
    let mut batch = Batch::default();
    let mut verify = |envelope: &[u8]| {
        batch.add("report", Verified::new(envelope, Some(&signed.tar[..]), &signed.expectations, &mut agree))
    };
    assert!(verify(&signed.envelope).is_valid());
    assert!(verify(&signed.envelope).is_valid());
    let duplicate = verify(&other);
    assert_eq!(duplicate.class(), Some(FailureClass::Duplicate));
    assert_eq!(duplicate.assurance, None);
    assert!(verify(&third).is_valid());
}

#[test]
fn a_hundred_mebibytes_are_refused_without_reading_them_all() {
    let mut input = io::repeat(b'[').take(100 << 20);
    assert_class(&Report::unreadable(&envelope::read(&mut input).unwrap_err()), FailureClass::Format);
    assert!(input.limit() >= 35 << 20);
    let signed = Signed::new(small_items());
    assert_class(&signed.verify(&vec![b'['; 100 << 20], &signed.tar), FailureClass::Format);
}

#[test]
fn private_key_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/key.pem");
    let key = Key::create(&path, None).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert!(matches!(Key::create(&path, None), Err(KeyError::Exists(_))));
    assert_eq!(Key::load(&path, None).unwrap().public(), key.public());
    assert_eq!(PublicKey::load(&key::public_path(&path)).unwrap(), *key.public());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);

    for exposed in [0o644, 0o640, 0o620, 0o604, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(exposed)).unwrap();
        let error = Key::load(&path, None).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { .. }));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Key::load(&path, None).is_ok());

    let secret = fs::read_to_string(&path).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{key:?}").contains(&secret[20..]));
    let private = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    for (name, content) in [("empty", ""), ("text", "hello"), ("public", &key.public().to_pem())] {
        let error = Key::load(&private(name, content.as_bytes()), None).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
    }
    let damaged = fs::read_to_string(&path).unwrap().replace(&secret, &secret[..40]);
    let error = Key::load(&private("damaged", damaged.as_bytes()), None).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret[20..40]));
    let large = Key::load(&private("large", &vec![b'x'; 20_000]), None);
    assert!(matches!(large, Err(KeyError::TooLarge { .. })));
    assert!(matches!(Key::load(folder.path(), None), Err(KeyError::NotAFile(_))));
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(matches!(Key::load(&fifo, None), Err(KeyError::NotAFile(_))));
    assert!(matches!(Key::create(Path::new("/proc/key.pem"), None), Err(KeyError::Io { .. })));
}

#[test]
fn own_key_and_trust() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations {
        data: folder.path().join("data/yanji"),
        config: folder.path().to_owned(),
        state: folder.path().join("state"),
    };
    assert!(TrustedKeys::load(&locations).unwrap().is_empty());
    let (key, created) = locations.load_or_create_own_key(None).unwrap();
    assert!(created);
    let (again, created) = locations.load_or_create_own_key(None).unwrap();
    assert!(!created && again.public() == key.public());

    let seller = PublicKey::from_bytes([7; 32]);
    fs::write(locations.trusted_keys(), format!("seller {}\n", seller.to_hex())).unwrap();
    let trusted = TrustedKeys::load(&locations).unwrap();
    assert_eq!(trusted.len(), 2);
    assert_eq!(trusted.get(&key.public().keyid()).unwrap().name, OWN_KEY_NAME);
    assert_eq!(trusted.get(&seller.keyid()).unwrap().name, "seller");

    for path in [locations.trusted_keys(), locations.own_public_key()] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(TrustedKeys::load(&locations).unwrap_err().to_string().contains("chmod go-w"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::write(locations.trusted_keys(), "\nseller 12z4\n").unwrap();
    let error = TrustedKeys::load(&locations).unwrap_err().to_string();
    assert!(error.contains("line 2, column 10"), "{error}");
}

#[test]
fn a_written_report_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::create(&folder.path().join("key.pem"), None).unwrap();
    let expectations =
        Expectations::new(TrustedKeys::from_public_keys([("seller".to_owned(), *key.public())]), Timestamp::UNIX_EPOCH);
    let report = folder.path().join("report");
    let written = write::write(&report, statement(&key, "r"), small_items(), &key).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(&report).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["evidence.tar", "report.dsse.json", "report.json", "signer.pub"]);
    assert_eq!(written.files.last().unwrap(), &report.join("report.dsse.json"));
    let envelope = fs::read(report.join("report.dsse.json")).unwrap();
    assert_eq!(written.envelope_sha256, Digest::of(&envelope));
    let tar = fs::File::open(report.join("evidence.tar")).unwrap();
    assert!(verify(&envelope, Some(tar), &expectations, &mut agree).is_valid());
    let readable: Statement = serde_json::from_slice(&fs::read(report.join("report.json")).unwrap()).unwrap();
    assert_eq!(readable, written.statement);
    assert!(matches!(write::write(&report, statement(&key, "r"), small_items(), &key), Err(WriteError::Exists(_))));

    let other = Key::create(&folder.path().join("other.pem"), None).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    let foreign = write::write(&elsewhere, statement(&key, "r"), small_items(), &other);
    assert!(matches!(foreign, Err(WriteError::Contradiction { .. })));
    let missing = Item { content: Content::File(folder.path().join("none")), ..item("a", b"") };
    assert!(matches!(
        write::write(&elsewhere, statement(&key, "r"), vec![missing], &key),
        Err(WriteError::Evidence { .. })
    ));
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(matches!(
        write::write(Path::new("/proc/self"), statement(&key, "r"), small_items(), &key),
        Err(WriteError::Io { .. })
    ));
}

#[test]
fn a_full_or_read_only_disk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::create(&folder.path().join("key.pem"), None).unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    let large = || vec![item("large.bin", &vec![1; 300 << 10])];
    for (options, items, words) in [
        ("size=256k", large(), "No space left"),
        // Room for the evidence, but not for the rest.
        ("size=308k", large(), "No space left"),
        ("ro", small_items(), "Read-only"),
    ] {
        if !mount(options) {
            skipped("cannot mount a small file system");
            return;
        }
        let error = write::write(&disk, statement(&key, "r"), items, &key).unwrap_err();
        let left = fs::read_dir(&disk).unwrap().count();
        assert!(Command::new("umount").arg(&disk).status().unwrap().success());
        let mut text = error.to_string();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            text.push_str(&format!(": {source}"));
            cause = source;
        }
        assert!(text.contains(words), "{options}: {text}");
        assert_eq!(left, 0, "{options}");
    }
}

/// Past the capture of the test harness: a test that did not look must not look like one that passed.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

fn run_with_input(command: &mut Command, input: &[u8]) -> (bool, String) {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input is judged by what it prints.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_verifies_the_signature_and_reads_the_keys() {
    if Command::new("openssl").arg("version").output().is_err() {
        skipped("no openssl");
        return;
    }
    let signed = Signed::new(small_items());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let parsed = Envelope::parse(&signed.envelope).unwrap();
    fs::write(path("signer.pub"), signed.key.public().to_pem()).unwrap();
    fs::write(path("s.sig"), parsed.signatures[0].bytes).unwrap();
    fs::write(path("pae.bin"), envelope::pae(&parsed.payload)).unwrap();
    let verify = || {
        let args = "pkeyutl -verify -pubin -inkey signer.pub -rawin -in pae.bin -sigfile s.sig";
        run_with_input(Command::new("openssl").args(args.split(' ')).current_dir(folder.path()), b"")
    };
    let (ok, text) = verify();
    assert!(ok && text.contains("Signature Verified Successfully"), "{text}");
    fs::write(path("pae.bin"), envelope::pae(&[&parsed.payload[..], b" "].concat())).unwrap();
    assert!(!verify().0);

    for (name, passphrase) in [("plain.pem", None), ("encrypted.pem", Some("correct horse"))] {
        let key = Key::create(&path(name), passphrase.map(str::as_bytes)).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["pkey", "-pubout", "-passin", "pass:correct horse", "-in"]).arg(path(name));
        let (ok, text) = run_with_input(&mut openssl, b"");
        assert!(ok, "{text}");
        assert_eq!(text, key.public().to_pem());
    }
    let encrypted = path("encrypted.pem");
    assert!(fs::read_to_string(&encrypted).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(Key::load(&encrypted, Some(b"correct horse")).is_ok());
    assert!(matches!(Key::load(&encrypted, None), Err(KeyError::PassphraseNeeded(_))));
    assert!(matches!(Key::load(&encrypted, Some(b"wrong")), Err(KeyError::WrongPassphrase(_))));

    let made = path("made-by-openssl.pem");
    assert!(
        run_with_input(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&made), b"").0
    );
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Key::load(&made, None).is_ok());
}

#[test]
fn securesystemslib_verifies_the_envelope_and_refuses_a_tampered_one() {
    let python = std::env::var("YANJI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !run_with_input(Command::new(&python).args(["-c", "import securesystemslib, cryptography"]), b"").0 {
        skipped("no securesystemslib");
        return;
    }
    const SCRIPT: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
key = SSlibKey.from_crypto(load_pem_public_key(open(sys.argv[1], "rb").read()))
assert key.keyid == sys.argv[2], key.keyid
print(len(Envelope.from_dict(json.load(sys.stdin)).verify([key], 1)), "verified")
"#;
    let signed = Signed::new(small_items());
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join("signer.pub");
    fs::write(&public, signed.key.public().to_pem()).unwrap();
    let keyid = signed.key.public().keyid().to_string();
    let verify =
        |envelope: &[u8]| run_with_input(Command::new(&python).args(["-c", SCRIPT]).arg(&public).arg(&keyid), envelope);
    let (ok, text) = verify(&signed.envelope);
    assert!(ok && text.contains("1 verified"), "{text}");
    let mut tampered = Envelope::parse(&signed.envelope).unwrap();
    tampered.payload[20] ^= 1;
    let (ok, text) = verify(tampered.to_json().as_bytes());
    assert!(!ok && text.contains("Found: 0, Expected 1"), "{text}");

    if run_with_input(Command::new(&python).args(["-c", "import in_toto_attestation"]), b"").0 {
        const VALIDATE: &str = r#"
import sys
from google.protobuf.json_format import Parse
import in_toto_attestation.v1.statement_pb2 as pb
from in_toto_attestation.v1.statement import Statement
Statement.copy_from_pb(Parse(sys.stdin.read(), pb.Statement())).validate()
"#;
        let (ok, text) =
            run_with_input(Command::new(&python).args(["-c", VALIDATE]), &signed.statement.to_json().unwrap());
        assert!(ok, "{text}");
    } else {
        skipped("no in-toto-attestation");
    }
}

#[test]
fn the_key_command() {
    let folder = tempfile::tempdir().unwrap();
    let yanji = |args: &[&str], passphrase: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yanji"));
        command.args(args).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path().join("data"));
        command.env_remove("YANJI_PASSPHRASE");
        if let Some(passphrase) = passphrase {
            command.env("YANJI_PASSPHRASE", passphrase);
        }
        run_with_input(&mut command, b"")
    };
    let (ok, made) = yanji(&["key", "gen", "--no-passphrase"], None);
    assert!(ok, "{made}");
    assert!(made.contains("data/yanji/key.pem\n") && made.contains("BEGIN PUBLIC KEY"));
    assert!(!made.contains("PRIVATE KEY"));
    assert_eq!(yanji(&["key", "show"], None), (true, made));
    let (ok, text) = yanji(&["key", "gen", "--no-passphrase"], None);
    assert!(!ok && text.contains("exists already"), "{text}");

    let (ok, text) = yanji(&["key", "gen", "--out", "env.pem"], Some("secret"));
    assert!(ok, "{text}");
    assert!(Key::load(&folder.path().join("env.pem"), Some(b"secret")).is_ok());
    fs::write(folder.path().join("phrase"), "from a file\nsecond line\n").unwrap();
    assert!(yanji(&["key", "gen", "--out", "file.pem", "--passphrase-file", "phrase"], None).0);
    assert!(Key::load(&folder.path().join("file.pem"), Some(b"from a file")).is_ok());
    let (ok, text) = yanji(&["key", "show", "file.pem"], None);
    assert!(ok && text.contains("notice: file.pem.pub was not compared with it: "), "{text}");
    assert!(yanji(&["key", "gen", "--out", "other.pem", "--no-passphrase"], None).0);
    fs::copy(folder.path().join("file.pem.pub"), folder.path().join("other.pem.pub")).unwrap();
    let (ok, text) = yanji(&["key", "show", "other.pem"], None);
    assert!(!ok && text.contains("other.pem.pub is no public half of other.pem: expected key "), "{text}");
    let (ok, text) = yanji(&["key", "gen", "--out", "empty.pem"], Some(""));
    assert!(!ok && text.contains("--no-passphrase"), "{text}");

    fs::remove_file(folder.path().join("env.pem.pub")).unwrap();
    assert!(yanji(&["key", "show", "env.pem"], Some("secret")).0);
    let (ok, text) = yanji(&["key", "show", "env.pem"], Some("guess"));
    assert!(!ok && text.contains("does not open"), "{text}");
    assert!(!yanji(&["key", "show", "phrase"], None).0);
}

#[test]
fn readings_in_checks_survive() {
    // The signed form of a check must come back as the very same value, or a genuine report would not verify.
    use yanji::rule::{Confidence, Finding, Severity, Witness};
    let finding = |found| {
        Outcome::Fires(Finding {
            severity: Severity::High,
            confidence: Confidence::VeryHigh,
            witnesses: vec![Witness {
                fact: yanji::evidence::FactPath::new("cpu.cores"),
                expected: "8".to_owned(),
                found,
                source: "cpuid".to_owned(),
            }],
        })
    };
    let signed = Signed::new(small_items());
    let envelope = signed.with(|statement| {
        statement.predicate.checks = vec![
            check("a", finding(Reading::Known(vec![1u64, 2].into()))),
            check("b", finding(Reading::Absent)),
            check("c", finding(Reading::Failed("x\u{0}\u{1b}[31m".to_owned()))),
        ];
    });
    assert!(signed.verify(&envelope, &signed.tar).is_valid());
}

proptest! {
    #[test]
    fn readers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = Envelope::parse(&bytes);
        let _ = strict_json::check(&bytes, 1 << 20);
        let _ = evidence_tar::read(&bytes[..], 0, |_, _| true);
        let _ = Document::read(&bytes);
        let _ = Salts::parse(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = PublicKey::from_pem(&text);
        let _ = SignedChallenge::parse(&bytes);
        let _ = TrustPolicy::parse(&bytes);
    }

    #[test]
    fn challenges_and_policies_never_panic(
        payload in "[{}\\[\\]\",:a-zA-Z0-9/.-]{0,60}",
        toml in "(name|version|expires|\\[\\[key\\]\\]|roles|\\[minimum\\]|max_age| = |\"[0-9a-z]{0,9}\"|[0-9]{1,20}|\\[|\\]|\n){0,20}",
    ) {
        let signature = envelope::Signature { keyid: Digest::of(b""), bytes: [0; 64] };
        let envelope = Envelope { payload: payload.into_bytes(), signatures: vec![signature], foreign: Vec::new() }.to_json();
        let _ = SignedChallenge::parse(envelope.as_bytes());
        let _ = TrustPolicy::parse(toml.as_bytes());
        let _ = yanji::attest::policy::bump_version(&toml);
        let opened = yanji::attest::policy::open(
            toml.as_bytes(), Some(envelope.as_bytes()), &[PublicKey::from_bytes([1; 32])], None, Timestamp::UNIX_EPOCH,
        );
        prop_assert!(opened.is_err());
    }

    #[test]
    fn strict_json_never_panics_and_refuses_what_serde_refuses(text in "[\\[\\]{}\",:0-9a-e\\\\u .-]{0,40}") {
        if strict_json::check(text.as_bytes(), 1 << 20).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn a_damaged_container_never_panics(at in 0usize..4096, byte in any::<u8>(), cut in 0usize..4096) {
        let mut tar = Vec::new();
        evidence_tar::write(small_items(), &mut tar).unwrap();
        let length = tar.len();
        tar[at % length] = byte;
        tar.truncate(cut.max(1));
        let _ = evidence_tar::read(&tar[..], 0, |_, bytes| bytes < 1 << 20);
    }
}
