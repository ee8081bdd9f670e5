//! What a TPM proves, and every way to make it seem to prove more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use yanji::attest::Digest;
use yanji::attest::envelope::Envelope;
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::policy::TrustPolicy;
use yanji::attest::statement::{Assurance, Inline, Statement, session_id};
use yanji::attest::timestamp::{Request, Sidecar};
use yanji::attest::tpm::certificate::{MAX_CERTIFICATE_BYTES, MAX_CHAIN};
use yanji::attest::tpm::event_log::{EventLog, EventLogError, extend};
use yanji::attest::tpm::image::{self, ImageError};
use yanji::attest::tpm::public_key::PublicKey;
use yanji::attest::tpm::quote::Attestation;
use yanji::attest::tpm::{EVENT_LOG_ITEM, KeyBinding, Phase, Platform, certificate, nonce};
use yanji::attest::verify::{Expectations, FailureClass, Rederived, Report, Signed, verify};
use yanji::evidence::{EvidenceBuilder, Origin, Reading};
use yanji::report;

use crate::support::tpm::{Authority, TestLog, TestTpm};
use crate::support::tsa;

const STARTED: &str = "2024-03-01T10:00:00Z";

/// A seller with a machine, its TPM, and an authority that has certified the TPM's attestation key.
struct Deal {
    key: Key,
    tpm: TestTpm,
    authority: Authority,
    _folder: tempfile::TempDir,
    log: Option<Vec<u8>>,
}

/// What the burn-in of a report claims.
#[derive(Clone, Copy)]
struct Burn {
    seconds: u64,
    resumes: u32,
}

const MINUTE: Burn = Burn { seconds: 60, resumes: 0 };

impl Deal {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::create(&folder.path().join("key.pem"), None).unwrap();
        Self { key, tpm: TestTpm::new(), authority: Authority::new("AK authority"), _folder: folder, log: None }
    }

    fn s0(&self) -> Digest {
        session_id(None, &self.key.public().keyid(), &Digest::of(b"tool"), STARTED)
    }

    fn head() -> Digest {
        Digest::of(b"head")
    }

    fn start(&self) -> Reading<yanji::host::tpm::Quoted> {
        Reading::Known(self.tpm.quoted(nonce(&self.s0(), Phase::Start, None).as_bytes()))
    }

    fn end(&self) -> Reading<yanji::host::tpm::Quoted> {
        Reading::Known(self.tpm.quoted(nonce(&self.s0(), Phase::End, Some(&Self::head())).as_bytes()))
    }

    /// Both quotes, between which the TPM is treated in some way.
    fn platform(&mut self, between: impl FnOnce(&mut TestTpm)) -> Platform {
        let mut platform = Platform::begin(self.start(), vec![self.authority.certify(&self.tpm.public())]);
        between(&mut self.tpm);
        platform.end(self.end());
        platform
    }

    /// The signed report.
    fn sign(&self, platform: Platform) -> (Vec<u8>, Vec<u8>) {
        let mut statement: Statement = serde_json::from_value(json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "unit", "digest": {"sha256": Digest::of(b"{}")}}],
            "predicateType": "https://yanji.example/hw-authenticity/v1",
            "predicate": {
                "reportId": "report-1",
                "session": {
                    "s0": self.s0(), "startedAt": STARTED, "endedAt": "2024-03-01T11:00:00Z", "chainHead": Self::head(),
                },
                "tool": {"version": "0.1.0", "binarySha256": Digest::of(b"tool")},
                "databases": [], "origin": "live", "policy": {"name": "default", "sha256": Digest::of(b"policy")},
                "identity": {}, "disclosures": [], "evidence": [], "checks": [],
                "verdict": {"result": "accepted", "assurance": "L0", "reasons": []},
            },
        }))
        .unwrap();
        statement.predicate.platform = Some(platform);
        let item = |id: &str, bytes: &[u8]| Item {
            id: id.to_owned(),
            media_type: "application/octet-stream".to_owned(),
            content: Content::Bytes(bytes.to_vec()),
        };
        let mut items = vec![item("host.tar.zst", b"host")];
        items.extend(self.log.as_deref().map(|log| item(EVENT_LOG_ITEM, log)));
        let mut tar = Vec::new();
        statement.set_evidence(evidence_tar::write(items, &mut tar).unwrap());
        (Envelope::sign(statement.to_json().unwrap(), &self.key).to_json().into_bytes(), tar)
    }

    /// The buyer's verification, under a policy with those lines.
    fn verify(&self, platform: Platform, burn: Burn, policy: &str) -> Report {
        self.verify_at(platform, burn, policy, "2024-03-02T12:00:00Z", None)
    }

    /// The same at that time, and of a report that an authority stamped.
    fn verify_at(
        &self,
        platform: Platform,
        burn: Burn,
        policy: &str,
        now: &str,
        stamped_by: Option<&tsa::Authority>,
    ) -> Report {
        let (envelope, tar) = self.sign(platform);
        let sidecar = stamped_by.map(|authority| {
            let signature = &Envelope::parse(&envelope).unwrap().signatures[0].bytes;
            let response = authority.answer(&Request::new(signature).unwrap().to_der());
            Sidecar { responses: vec![response] }.to_json().into_bytes()
        });
        let signed = Signed { envelope: &envelope, timestamps: sidecar.as_deref() };
        let text = format!(
            "name = \"buyer\"\nversion = 1\nexpires = \"2099-01-01T00:00:00Z\"\n[[key]]\nname = \"buyer\"\npublic = \"{}\"\nroles = [\"owner\"]\n[[key]]\nname = \"seller\"\npublic = \"{}\"\nroles = [\"seller\"]\n{policy}",
            "ab".repeat(32),
            self.key.public().to_hex(),
        );
        let policy = TrustPolicy::parse(text.as_bytes()).unwrap();
        let expectations = Expectations::of_policy(policy, now.parse::<Timestamp>().unwrap());
        verify(signed, Some(&tar[..]), &expectations, &mut |statement, _| {
            let mut facts = EvidenceBuilder::new(Origin::Live);
            let mut part = facts.part("burn", "burn");
            part.fact("burn.active_seconds", burn.seconds, "test").fact("burn.resumes", burn.resumes, "test");
            Ok(Rederived {
                checks: Vec::new(),
                verdict: statement.predicate.verdict.clone(),
                identity: Some(statement.predicate.identity.clone()),
                subjects: None,
                same_signatures: true,
                signatures: None,
                burn: Some("the records show a burn-in".to_owned()),
                sighting: Default::default(),
                evidence: Some(facts.finish()),
            })
        })
    }

    /// The line of a policy that pins the authority.
    fn pinned(&self) -> String {
        pin(&self.authority)
    }
}

fn pin(authority: &Authority) -> String {
    format!("[[root]]\nkind = \"tpm\"\npem = \"\"\"\n{}\"\"\"\n", authority.pem)
}

#[track_caller]
fn assert_fails(report: &Report, class: FailureClass, observed: &str) {
    assert_eq!(report.class(), Some(class), "{:#?}", report.failures);
    assert!(report.failures[0].observed.contains(observed), "{:#?}", report.failures);
    assert_ne!(report.failures[0].expected, report.failures[0].observed);
    assert!(report.proven.is_empty() && report.claims.is_empty() && report.tpm.is_none());
}

fn level(report: &Report) -> Assurance {
    report.claims.iter().find(|claim| claim.claim == "length of the burn-in").unwrap().level
}

#[test]
fn two_quotes_prove_how_long_the_burn_in_took() {
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(platform, MINUTE, &deal.pinned());
    assert!(report.is_valid() && report.indeterminate.is_empty(), "{:#?}", report);
    let proof = report.tpm.as_ref().unwrap();
    assert_eq!((proof.elapsed_ms, proof.claimed_ms), (Some(63_200), Some(60_000)));
    assert_eq!(level(&report), Assurance::L2);
    let text = report::verification_plain("report", &report, None, Default::default());
    let sentence = "signed that 63.2 s passed between start and end, in one boot; the burn-in of 60.0 s fits";
    assert!(
        text.contains(sentence) && text.contains("vouches for the key of that TPM: \"CN=AK authority\" ("),
        "{text}"
    );
    assert!(text.contains("which system ran: no image is known"), "{text}");
}

#[test]
fn a_short_burn_in_with_a_long_claim() {
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(platform, Burn { seconds: 86_400, ..MINUTE }, &deal.pinned());
    assert_fails(&report, FailureClass::TpmClock, "63.2 s");
    assert_eq!(report.failures[0].expected, "at least 86400.0 s, the active time of the burn-in");
    // Nor without anybody who vouches for the key: what the TPM says of itself contradicts the claim.
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    assert_fails(&deal.verify(platform, Burn { seconds: 86_400, ..MINUTE }, ""), FailureClass::TpmClock, "63.2 s");
}

#[test]
fn the_clock_that_its_owner_set_forward_does_not_count() {
    let mut deal = Deal::new();
    let day = Burn { seconds: 86_400, ..MINUTE };
    let platform = deal.platform(|tpm| {
        tpm.wait(60_000);
        tpm.clock_ms += 86_400_000;
    });
    assert_fails(&deal.verify(platform, day, &deal.pinned()), FailureClass::TpmClock, "60.0 s");
    // Without its time the clock is all there is, and then nothing is proven by it.
    let mut deal = Deal::new();
    deal.tpm.attests_time = false;
    let platform = deal.platform(|tpm| tpm.clock_ms += 86_500_000);
    let report = deal.verify(platform, day, &deal.pinned());
    assert!(report.is_valid());
    assert_eq!(level(&report), Assurance::L0);
    assert!(
        report.not_proven.iter().any(|line| line.contains("its owner can set forward")),
        "{:#?}",
        report.not_proven
    );
}

#[test]
fn a_slow_clock_is_no_forgery() {
    for (passed, valid, open) in
        [(60_000, true, false), (59_450, true, false), (55_000, true, true), (50_000, false, false)]
    {
        let mut deal = Deal::new();
        let platform = deal.platform(|tpm| tpm.wait(passed));
        let report = deal.verify(platform, MINUTE, &deal.pinned());
        assert_eq!((report.is_valid(), !report.indeterminate.is_empty()), (valid, open), "{passed}: {report:#?}");
        // What is less than the claim never proves it, however little it is.
        let whole = passed >= 60_000;
        assert_eq!(whole, report.claims.iter().any(|claim| claim.level == Assurance::L2), "{passed}");
        let text = report::verification_plain("report", &report, None, Default::default());
        assert_eq!(text.contains("fits"), whole, "{text}");
        if passed == 59_450 {
            let short = "59.4 s passed between start and end, in one boot, 0.6 s less than the burn-in of 60.0 s: that is within the 1 %";
            assert!(report.not_proven.iter().any(|line| line.contains(short)), "{:#?}", report.not_proven);
        }
    }
}

#[test]
fn quotes_that_were_replayed_swapped_edited_or_are_anothers() {
    type Change = fn(&mut Deal, &mut Platform);
    let tpm = |platform: &mut Platform| platform.tpm.take().unwrap();
    let attacks: [(&str, FailureClass, &str, Change); 10] = [
        ("the start quote as the end quote", FailureClass::TpmNonce, "", |_, platform| {
            let tpm = platform.tpm.as_mut().unwrap();
            tpm.quotes[1] = tpm.quotes[0].clone();
            tpm.quotes[1].phase = Phase::End;
        }),
        ("both quotes swapped", FailureClass::TpmNonce, "", |_, platform| {
            let quotes = &mut platform.tpm.as_mut().unwrap().quotes;
            quotes.swap(0, 1);
            (quotes[0].phase, quotes[1].phase) = (Phase::Start, Phase::End);
        }),
        ("the end quote of another session", FailureClass::TpmNonce, "", |deal, platform| {
            let other = nonce(&Digest::of(b"other"), Phase::End, Some(&Deal::head()));
            platform.tpm.as_mut().unwrap().quotes.pop();
            platform.end(Reading::Known(deal.tpm.quoted(other.as_bytes())));
        }),
        ("the end quote of another record chain", FailureClass::TpmNonce, "", |deal, platform| {
            let other = nonce(&deal.s0(), Phase::End, Some(&Digest::of(b"longer")));
            platform.tpm.as_mut().unwrap().quotes.pop();
            platform.end(Reading::Known(deal.tpm.quoted(other.as_bytes())));
        }),
        ("a register edited", FailureClass::TpmPcr, "", |_, platform| {
            platform.tpm.as_mut().unwrap().quotes[1].pcrs.insert(11, Digest::of(b"genuine image"));
        }),
        ("a register left out", FailureClass::TpmPcr, "", |_, platform| {
            platform.tpm.as_mut().unwrap().quotes[0].pcrs.remove(&11);
        }),
        ("a quote by another key", FailureClass::TpmQuote, "not this key's", |deal, platform| {
            let other = TestTpm::new().quoted(nonce(&deal.s0(), Phase::End, Some(&Deal::head())).as_bytes());
            let quote = &mut platform.tpm.as_mut().unwrap().quotes[1];
            (quote.attest, quote.sig) = (Inline(other.attest), Inline(other.signature));
        }),
        ("another key beside the quotes", FailureClass::TpmQuote, "not this key's", |_, platform| {
            platform.tpm.as_mut().unwrap().ak_pub = Inline(TestTpm::new().public());
        }),
        ("the clock in a quote edited", FailureClass::TpmQuote, "not this key's", |_, platform| {
            platform.tpm.as_mut().unwrap().quotes[1].attest.0[46] ^= 1;
        }),
        ("two end quotes to choose from", FailureClass::TpmQuote, "2", |deal, platform| platform.end(deal.end())),
    ];
    for (name, class, observed, change) in attacks {
        let mut deal = Deal::new();
        let mut platform = deal.platform(|tpm| tpm.wait(63_200));
        change(&mut deal, &mut platform);
        let report = deal.verify(platform, MINUTE, &deal.pinned());
        assert_eq!(report.class(), Some(class), "{name}: {:#?}", report.failures);
        assert_fails(&report, class, observed);
    }
    // The time of one phase beside the quote of another.
    let mut deal = Deal::new();
    let mut platform = deal.platform(|tpm| tpm.wait(63_200));
    let mut changed = tpm(&mut platform);
    changed.quotes[1].time = changed.quotes[0].time.clone();
    let report = deal.verify(Platform { tpm: Some(changed), ..platform }, MINUTE, &deal.pinned());
    assert_fails(&report, FailureClass::TpmNonce, "");
}

#[test]
fn a_tpm_that_was_reset_between_its_quotes() {
    for reset in [|tpm: &mut TestTpm| tpm.resets += 1, |tpm: &mut TestTpm| tpm.restarts += 1] {
        let mut deal = Deal::new();
        let platform = deal.platform(|tpm| {
            tpm.wait(63_200);
            reset(tpm);
        });
        assert_fails(&deal.verify(platform.clone(), MINUTE, &deal.pinned()), FailureClass::TpmClock, "resets and");
        // A run that was interrupted and went on after a boot is honest, and its time is not proven.
        let report = deal.verify(platform, Burn { resumes: 1, ..MINUTE }, &deal.pinned());
        assert!(report.is_valid(), "{:#?}", report.failures);
        assert_eq!((level(&report), report.tpm.as_ref().unwrap().elapsed_ms), (Assurance::L0, None));
        assert!(
            report.not_proven.iter().any(|line| line.contains("started again in between")),
            "{:#?}",
            report.not_proven
        );
    }
}

#[test]
fn a_run_that_went_on_after_a_boot_has_clocks_all_the_same() {
    const LOSS: u64 = 1 << 22;
    let day = Burn { seconds: 86_400, resumes: 1 };
    let verify = |between: &dyn Fn(&mut TestTpm)| {
        let mut deal = Deal::new();
        let platform = deal.platform(between);
        deal.verify(platform, day, &deal.pinned())
    };
    let boots = |resets: u32, passed: u64, safe: bool| {
        move |tpm: &mut TestTpm| {
            tpm.wait(passed);
            (tpm.resets, tpm.restarts, tpm.safe) = (tpm.resets + resets, 0, safe);
        }
    };
    let day_ms = 86_400_000;
    assert_fails(&verify(&|tpm| tpm.resets -= 1), FailureClass::TpmClock, "16 resets");
    assert_fails(&verify(&boots(1, 63_200, true)), FailureClass::TpmClock, "63200 ms");
    // As slow as clocks may be, and as much as two losses of power may cost: no less.
    let least = day_ms - day_ms / 100 * 15 - 2 * LOSS;
    assert_fails(&verify(&boots(2, least - 1, false)), FailureClass::TpmClock, &format!("{} ms", least - 1));
    for report in [verify(&boots(2, least, false)), verify(&boots(1, day_ms, true))] {
        assert!(report.is_valid() && report.indeterminate.is_empty(), "{report:#?}");
        assert_eq!(level(&report), Assurance::L0);
    }
    // After a loss of power a short run may end before it began, unless the clock is said to be later than ever.
    for (safe, valid) in [(false, true), (true, false)] {
        let mut deal = Deal::new();
        let platform = deal.platform(|tpm| {
            (tpm.resets, tpm.safe) = (tpm.resets + 1, safe);
            tpm.clock_ms -= 600_000;
        });
        let report = deal.verify(platform, Burn { resumes: 1, ..MINUTE }, &deal.pinned());
        assert_eq!(report.is_valid(), valid, "{report:#?}");
    }
    // Who set the time back in one boot is told by how much.
    let back = verify(&|tpm| tpm.time_ms -= 1);
    assert_fails(&back, FailureClass::TpmClock, "399999 ms");
    assert_eq!(back.failures[0].expected, "at least 400000 ms, as at the start");
}

#[test]
fn a_key_that_signs_whatever_it_is_given_is_no_attestation_key() {
    let mut deal = Deal::new();
    deal.tpm.attributes &= !(1 << 16);
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    assert_fails(&deal.verify(platform, MINUTE, &deal.pinned()), FailureClass::TpmKey, "attributes 0x00040072");
}

#[test]
fn a_software_tpm_passed_off_as_hardware() {
    let (vendor, forger) =
        (Authority::new("Infineon OPTIGA(TM) TPM 2.0 ECC CA"), Authority::new("Infineon OPTIGA(TM) TPM 2.0 ECC CA"));
    // It vouches for itself: everything that it says is L0, and whoever pins roots is told.
    let mut deal = Deal::new();
    deal.tpm.ek_certificate = Some(forger.endorse("49465800"));
    let mut platform = deal.platform(|tpm| tpm.wait(63_200));
    platform.tpm.as_mut().unwrap().ak_binding = KeyBinding::Own {};
    let report = deal.verify(platform.clone(), MINUTE, &pin(&vendor));
    assert_eq!(report.indeterminate[0].class, FailureClass::TpmKey, "{report:#?}");
    assert_eq!(level(&report), Assurance::L0);
    let report = deal.verify(platform.clone(), MINUTE, "");
    assert!(report.is_valid() && report.indeterminate.is_empty());
    assert_eq!(level(&report), Assurance::L0);
    assert!(
        report.not_proven.iter().any(|line| line.contains("a TPM that calls itself \"IFX\" may be software")),
        "{:#?}",
        report.not_proven
    );

    // With the certificate of a real TPM, which anybody can copy: nothing ties the key to it.
    platform.tpm.as_mut().unwrap().ek_cert = Some(Inline(vendor.endorse("49465800")));
    let report = deal.verify(platform.clone(), MINUTE, &pin(&vendor));
    assert!(report.is_valid() && report.indeterminate.is_empty(), "{report:#?}");
    assert_eq!(level(&report), Assurance::L0);
    assert!(report.tpm.as_ref().unwrap().root.is_none());
    assert!(report.not_proven.iter().any(|line| line.contains("nothing ties the key that signed to it")));

    // As another vendor than its own certificate says.
    platform.tpm.as_mut().unwrap().ek_cert = Some(Inline(forger.endorse("00001014")));
    let report = deal.verify(platform.clone(), MINUTE, &pin(&vendor));
    assert_fails(&report, FailureClass::TpmKey, "IFX");

    // A certificate of its key by an authority that only has the right name; by the right one, but of another key.
    let of = |certificate| KeyBinding::Certificate { chain: vec![Inline(certificate)] };
    platform.tpm.as_mut().unwrap().ek_cert = None;
    platform.tpm.as_mut().unwrap().ak_binding = of(forger.certify(&deal.tpm.public()));
    let refused = deal.verify(platform.clone(), MINUTE, &pin(&vendor));
    assert_fails(&refused, FailureClass::TpmKey, "no pinned root vouches for it: a signature that the next");
    // By one of another name: nobody says that it is forged, and nobody vouches for it.
    let open = deal.verify(platform.clone(), MINUTE, &pin(&Authority::new("another vendor")));
    assert!(open.is_valid() && level(&open) == Assurance::L0, "{open:#?}");
    assert_eq!(open.indeterminate[0].class, FailureClass::TpmKey);
    assert!(open.indeterminate[0].observed.ends_with("no path to any of these roots"), "{:?}", open.indeterminate);
    platform.tpm.as_mut().unwrap().ak_binding = of(vendor.certify(&TestTpm::new().public()));
    assert_fails(&deal.verify(platform.clone(), MINUTE, &pin(&vendor)), FailureClass::TpmKey, "one of key");
    // An endorsement certificate is none of an attestation key, whoever issued it.
    platform.tpm.as_mut().unwrap().ak_binding = of(vendor.endorse("49465800"));
    assert_fails(&deal.verify(platform.clone(), MINUTE, &pin(&vendor)), FailureClass::TpmKey, "one of key");
    platform.tpm.as_mut().unwrap().ak_binding = of(b"0\x03abc".to_vec());
    assert_fails(&deal.verify(platform, MINUTE, &pin(&vendor)), FailureClass::TpmKey, "no certificate");
}

#[test]
fn what_a_tpm_calls_itself_is_four_letters_that_nobody_vouches_for() {
    let mut deal = Deal::new();
    let mut platform = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(platform.clone(), MINUTE, &deal.pinned());
    let said = |report: &Report, name: &str| report.proven.iter().any(|line| line.starts_with(name));
    assert!(said(&report, "L2: a TPM that calls itself \"IFX\" signed that 63.2 s"), "{:#?}", report.proven);
    for name in ["IFX), genuine", "IFX\u{1b}", "ÄÖ", "IFX\n"] {
        platform.tpm.as_mut().unwrap().manufacturer = name.to_owned();
        assert_fails(&deal.verify(platform.clone(), MINUTE, &deal.pinned()), FailureClass::TpmKey, "\"");
    }
}

#[test]
fn certificates_are_judged_by_the_time_at_which_they_were_used() {
    let of = |root, key| {
        let mut deal = Deal::new();
        deal.authority = Authority::valid("AK authority", Some(root));
        let certificate = deal.authority.certify_for(&deal.tpm.public(), Some(key));
        let mut platform = Platform::begin(deal.start(), vec![certificate]);
        deal.tpm.wait(63_200);
        platform.end(deal.end());
        (deal, platform)
    };
    // The session is on the first of March, and the buyer verifies on the second.
    let [long, over, before] = [(2024, 12, 1), (2024, 3, 2), (2024, 3, 1)].map(|end| [(2024, 1, 1), end]);
    for (root, key, valid, open) in [
        (long, long, true, false),
        (long, over, true, true),
        (over, long, true, true),
        (long, before, false, false),
        (before, long, false, false),
    ] {
        let (deal, platform) = of(root, key);
        let image = "[[image]]\nname = \"yanji-live\"\nversion = \"3\"\npcr11 = \"".to_owned()
            + &hex::encode([11; 32])
            + "\"\n";
        for policy in [deal.pinned(), deal.pinned() + &image] {
            let report = deal.verify(platform.clone(), MINUTE, &policy);
            assert_eq!((report.is_valid(), !report.indeterminate.is_empty()), (valid, open), "{report:#?}");
            if !valid {
                assert_fails(
                    &report,
                    FailureClass::TpmKey,
                    "is valid from 2024-01-01T00:00:00Z to 2024-03-01T00:00:00Z",
                );
            } else {
                assert_eq!(level(&report), if open { Assurance::L0 } else { Assurance::L2 });
                assert!(
                    report.indeterminate.iter().all(|it| it.observed.contains("to 2024-03-02T00:00:00Z")),
                    "{report:#?}"
                );
            }
        }
    }
}

#[test]
fn a_trusted_clock_says_when_certificates_were_used() {
    // Neither when the session ended nor when the buyer verifies, but when the authority saw the signature.
    let mut deal = Deal::new();
    deal.authority = Authority::valid("AK authority", None);
    let certificate = deal.authority.certify_for(&deal.tpm.public(), Some([(2024, 4, 1), (2090, 1, 1)]));
    let mut platform = Platform::begin(deal.start(), vec![certificate]);
    deal.tpm.wait(63_200);
    platform.end(deal.end());
    let tsa = tsa::Authority::new();
    let root = String::from_utf8(tsa.root_pem()).unwrap();
    let policy = deal.pinned() + &format!("[[root]]\nkind = \"tsa\"\npem = \"\"\"\n{root}\"\"\"\n");
    let later = "2095-01-01T00:00:00Z";
    let stamped = deal.verify_at(platform.clone(), MINUTE, &policy, later, Some(&tsa));
    assert!(stamped.is_valid() && stamped.indeterminate.is_empty(), "{stamped:#?}");
    assert_eq!(level(&stamped), Assurance::L2);
    let alone = deal.verify_at(platform, MINUTE, &policy, later, None);
    assert_fails(&alone, FailureClass::TpmKey, "is valid from 2024-04-01T00:00:00Z");
}

#[test]
fn a_pinned_root_that_is_revoked_vouches_for_nothing() {
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let root = pkcs8::Document::from_pem(&deal.authority.pem).unwrap().1;
    let serial = certificate::serial(root.as_bytes()).unwrap();
    let revoked = format!("[[revoked_device]]\ncertificate = \"{serial}\"\nreason = \"stolen\"\n");
    assert_fails(
        &deal.verify(platform, MINUTE, &(deal.pinned() + &revoked)),
        FailureClass::TpmKey,
        "is revoked: stolen",
    );
}

#[test]
fn certificates_of_a_tpm_have_limits() {
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let with = |change: &dyn Fn(&mut yanji::attest::tpm::TpmEvidence)| {
        let mut platform = platform.clone();
        change(platform.tpm.as_mut().unwrap());
        deal.verify(platform, MINUTE, &deal.pinned())
    };
    let certificate = deal.authority.endorse("49465800");
    assert!(with(&|tpm| tpm.ek_chain = vec![Inline(certificate.clone()); MAX_CHAIN]).is_valid());
    let many = with(&|tpm| tpm.ek_chain = vec![Inline(certificate.clone()); MAX_CHAIN + 1]);
    assert_fails(&many, FailureClass::TpmKey, "and 1, of up to");
    let long = with(&|tpm| tpm.ek_chain = vec![Inline(vec![0; MAX_CERTIFICATE_BYTES + 1])]);
    assert_fails(&long, FailureClass::TpmKey, "of up to 16385 bytes");
}

#[test]
fn a_machine_without_a_tpm_says_so() {
    for (reading, words) in [(Reading::Absent, "has no TPM"), (Reading::Denied, "without more privileges")] {
        let deal = Deal::new();
        let report = deal.verify(Platform::begin(reading, Vec::new()), MINUTE, &deal.pinned());
        assert!(report.is_valid(), "{:#?}", report.failures);
        assert_eq!((report.assurance, level(&report)), (Some(Assurance::L0), Assurance::L0));
        let line = report.not_proven.iter().find(|line| line.contains("no hardware root, ")).unwrap();
        assert!(line.contains(words), "{line}");
    }
    // A stranger may leave that out, or say it without an end.
    let deal = Deal::new();
    let report = deal.verify(Platform::default(), MINUTE, &deal.pinned());
    assert!(report.not_proven.contains(&"what runs on this machine, and for how long: no hardware root".into()));
    let many = |count| Platform { tpm: None, missing: vec!["x".to_owned(); count] };
    let report = deal.verify(many(100), MINUTE, &deal.pinned());
    let lines: Vec<_> = report.not_proven.iter().filter(|line| line.starts_with("what runs on")).collect();
    assert!(lines.len() == 21 && lines[20].ends_with("80 more reasons"), "{lines:#?}");
    assert_fails(&deal.verify(many(101), MINUTE, &deal.pinned()), FailureClass::Format, "101");
    // One that vanished during the run leaves its first quote, which proves no time.
    let deal = Deal::new();
    let mut platform = Platform::begin(deal.start(), vec![deal.authority.certify(&deal.tpm.public())]);
    platform.end(Reading::Failed("no answer within 20 s".to_owned()));
    let report = deal.verify(platform, MINUTE, &deal.pinned());
    assert!(report.is_valid());
    assert_eq!(level(&report), Assurance::L0);
    assert!(
        report.not_proven.iter().any(|line| line.contains("no quote at the end: no answer")),
        "{:#?}",
        report.not_proven
    );
}

#[test]
fn the_image_that_ran_is_one_of_those_that_are_allowed() {
    let register = hex::encode([11; 32]);
    let allow = |register: &str| format!("[[image]]\nname = \"yanji-live\"\nversion = \"3\"\npcr11 = \"{register}\"\n");
    let mut deal = Deal::new();
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(platform.clone(), MINUTE, &(deal.pinned() + &allow(&register)));
    assert!(report.proven.contains(&"the genuine image yanji-live 3 ran, from start to end".into()), "{report:#?}");
    let made = report.claims.iter().find(|claim| claim.claim.starts_with("made by yanji")).unwrap();
    assert!(made.reason.ends_with("a TPM confirms that it ran in the image yanji-live 3"), "{made:?}");
    let report = deal.verify(platform.clone(), MINUTE, &(deal.pinned() + &allow(&"ab".repeat(32))));
    assert_fails(&report, FailureClass::ImageUnknown, &register);
    // Without a root the register is worth nothing, and neither is one image after another.
    let report = deal.verify(platform, MINUTE, &allow(&register));
    assert_fails(&report, FailureClass::ImageUnknown, "nothing proves which system ran: no root is pinned");
    let mut deal = Deal::new();
    let changed = deal.platform(|tpm| {
        tpm.wait(63_200);
        tpm.registers.insert(11, [12; 32]);
    });
    let both = allow(&register) + &allow(&hex::encode([12; 32])).replace("\"3\"", "\"4\"");
    let report = deal.verify(changed, MINUTE, &(deal.pinned() + &both));
    assert_fails(&report, FailureClass::ImageUnknown, "nothing proves which system ran: not the same image");
    // The same image again after a boot: what ran in between, nobody watched. Nor what ran after the only quote.
    let mut deal = Deal::new();
    let mut twice = deal.platform(|tpm| {
        tpm.wait(63_200);
        tpm.resets += 1;
    });
    let report = deal.verify(twice.clone(), Burn { resumes: 1, ..MINUTE }, &(deal.pinned() + &allow(&register)));
    assert_fails(&report, FailureClass::ImageUnknown, "nothing proves which system ran: the machine was started again");
    twice.tpm.as_mut().unwrap().quotes.pop();
    let report = deal.verify(twice, MINUTE, &(deal.pinned() + &allow(&register)));
    assert_fails(&report, FailureClass::ImageUnknown, "nothing proves which system ran: the TPM did not quote both");
    // The same image with a command line of somebody else, who may have had a shell before it; or who hides that.
    let mut deal = Deal::new();
    deal.tpm.registers.insert(12, [7; 32]);
    let handed = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(handed.clone(), MINUTE, &(deal.pinned() + &allow(&register)));
    assert_fails(&report, FailureClass::ImageUnknown, &hex::encode([7; 32]));
    assert!(deal.verify(handed, MINUTE, &deal.pinned()).is_valid());
    let mut deal = Deal::new();
    deal.tpm.registers.remove(&12);
    let hidden = deal.platform(|tpm| tpm.wait(63_200));
    let report = deal.verify(hidden.clone(), MINUTE, &(deal.pinned() + &allow(&register)));
    assert_fails(&report, FailureClass::ImageUnknown, "nothing proves which system ran: the TPM was not asked what");
    assert!(deal.verify(hidden, MINUTE, &deal.pinned()).is_valid());
}

#[test]
fn the_firmwares_log_leads_to_the_quoted_registers() {
    let digests: Vec<[u8; 32]> = (1..=4).map(|byte| *Digest::of(&[byte]).as_bytes()).collect();
    let log = || {
        let log = TestLog::new().event(0, 3, [0; 32], b"StartupLocality\0\x03");
        log.event(0, 8, digests[0], b"firmware").event(0, 4, digests[1], b"").event(
            4,
            0x8000_0003,
            digests[2],
            b"loader",
        )
    };
    let mut begin = [0; 32];
    begin[31] = 3;
    let expected =
        BTreeMap::from([(0, extend(&extend(&begin, &digests[0]), &digests[1])), (4, extend(&[0; 32], &digests[2]))]);
    let replayed = EventLog::replay(&log().0).unwrap();
    assert_eq!((replayed.events, &replayed.registers), (BTreeMap::from([(0, 2), (4, 1)]), &expected));

    let mut deal = Deal::new();
    for register in 0..=7 {
        deal.tpm
            .registers
            .entry(register)
            .and_modify(|value| *value = expected.get(&register).copied().unwrap_or([0; 32]));
    }
    let platform = deal.platform(|tpm| tpm.wait(63_200));
    let with_log = |deal: &mut Deal, log: Vec<u8>| {
        deal.log = Some(log);
        let mut platform = platform.clone();
        platform.tpm.as_mut().unwrap().event_log = Some(EVENT_LOG_ITEM.to_owned());
        deal.verify(platform, MINUTE, &deal.pinned())
    };
    let report = with_log(&mut deal, log().0);
    assert!(report.proven.iter().any(|line| line.contains("log of 3 events leads to the registers")), "{report:#?}");
    // What an event says of itself was not measured, and changes nothing; its digest does.
    let mut other_words = log().0;
    let at = other_words.windows(8).position(|window| window == b"firmware").unwrap();
    other_words[at..at + 8].copy_from_slice(b"tampered");
    assert!(with_log(&mut deal, other_words).is_valid());
    let hidden = log().event(4, 3, digests[3], b"not extended");
    assert!(with_log(&mut deal, hidden.0).is_valid());
    // What nobody quoted was held against nothing.
    let unquoted = with_log(&mut deal, log().event(8, 13, digests[3], b"").event(6, 4, digests[3], b"").0);
    assert!(unquoted.proven.iter().any(|line| line.contains("log of 3 events leads")), "{unquoted:#?}");
    assert_fails(&with_log(&mut deal, log().event(4, 4, digests[3], b"").0), FailureClass::TpmPcr, "");
    assert_fails(&with_log(&mut deal, log().event(7, 4, digests[3], b"").0), FailureClass::TpmPcr, "");
    let whole = log().0;
    assert_fails(
        &with_log(&mut deal, whole[..whole.len() - 1].to_vec()),
        FailureClass::TpmPcr,
        "ends within the event",
    );
    assert_fails(&with_log(&mut deal, b"nothing".to_vec()), FailureClass::TpmPcr, "");
    deal.log = None;
    let mut missing = platform.clone();
    missing.tpm.as_mut().unwrap().event_log = Some(EVENT_LOG_ITEM.to_owned());
    assert_fails(&deal.verify(missing, MINUTE, &deal.pinned()), FailureClass::TpmPcr, "none");
    assert_eq!(EventLog::replay(&vec![0; (4 << 20) + 1]), Err(EventLogError::TooLarge((4 << 20) + 1)));
}

/// A PE file with those sections: headers of 1,024 bytes, sections aligned to 512.
fn pe(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[..2].copy_from_slice(b"MZ");
    image[0x3c] = 0x80;
    image[0x80..0x84].copy_from_slice(b"PE\0\0");
    image[0x86] = sections.len() as u8;
    image[0x94] = 0xf0;
    let optional = 0x98;
    image[optional..optional + 2].copy_from_slice(&0x20bu16.to_le_bytes());
    image[optional + 60..optional + 64].copy_from_slice(&1024u32.to_le_bytes());
    image[optional + 108] = 16;
    for (index, (name, content)) in sections.iter().enumerate() {
        let raw = content.len().next_multiple_of(512);
        let entry = optional + 0xf0 + index * 40;
        image[entry..entry + name.len()].copy_from_slice(name.as_bytes());
        for (at, value) in [(8, content.len()), (16, raw), (20, image.len())] {
            image[entry + at..entry + at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(512), 0);
    }
    image
}

#[test]
fn an_image_is_measured_as_the_stub_and_the_firmware_measure_it() {
    let kernel = pe(&[(".text", b"kernel")]);
    let sections: [(&str, &[u8]); 5] = [
        (".text", b"stub"),
        (".initrd", b"initrd"),
        (".cmdline", b"quiet"),
        (".osrel", b"ID=yanji"),
        (".linux", &kernel),
    ];
    let uki = pe(&sections);
    let measured = image::measure(&uki, &["enter-initrd", "leave-initrd"]).unwrap();
    assert_eq!(measured.sections, [".linux", ".osrel", ".cmdline", ".initrd"]);
    let digest = |bytes: &[u8]| *Digest::of(bytes).as_bytes();
    let mut expected = [0; 32];
    for (name, content) in
        [(".linux\0", &kernel[..]), (".osrel\0", b"ID=yanji"), (".cmdline\0", b"quiet"), (".initrd\0", b"initrd")]
    {
        expected = extend(&extend(&expected, &digest(name.as_bytes())), &digest(content));
    }
    assert_eq!(measured.pcr11["stub"], Digest::from_bytes(expected));
    let after = extend(&expected, &digest(b"enter-initrd"));
    assert_eq!(measured.pcr11["enter-initrd"], Digest::from_bytes(after));
    assert_eq!(measured.pcr11["leave-initrd"], Digest::from_bytes(extend(&after, &digest(b"leave-initrd"))));

    // Signing changes the checksum, the directory entry and the end of the file, and none of that counts.
    let mut signed = uki.clone();
    signed[0x98 + 64] = 0x55;
    let certificates = 0x98 + 112 + 4 * 8;
    signed[certificates..certificates + 4].copy_from_slice(&(uki.len() as u32).to_le_bytes());
    signed[certificates + 4..certificates + 8].copy_from_slice(&16u32.to_le_bytes());
    signed.extend([0xaa; 16]);
    let again = image::measure(&signed, &[]).unwrap();
    assert_eq!(
        (again.authenticode, again.pcr4, &again.pcr11["stub"]),
        (measured.authenticode, measured.pcr4, &measured.pcr11["stub"])
    );
    assert_ne!(again.sha256, measured.sha256);
    let kernel_digest = measured.kernel_authenticode.unwrap();
    let with_kernel = extend(measured.pcr4_secure_boot.as_bytes(), kernel_digest.as_bytes());
    assert_eq!(measured.pcr4, Digest::from_bytes(with_kernel));
    assert_eq!(measured.kernel_authenticode, {
        let mut hashed = kernel.clone();
        hashed.drain(certificates..certificates + 8);
        hashed.drain(0x98 + 64..0x98 + 68);
        Some(Digest::of(&hashed))
    });
    assert_ne!(image::measure(&pe(&[(".linux", b"other")]), &[]).unwrap().pcr11["stub"], measured.pcr11["stub"]);

    // A stub leaves out what only later ones know.
    let with_stub = |version: &str, more: &str| {
        let magic = format!("#### LoaderInfo: systemd-stub {version} ####");
        image::measure(
            &pe(&[(".linux", &kernel), (".sdmagic", magic.as_bytes()), (".sbat", b"sbat,1"), (more, b"x")]),
            &[],
        )
    };
    assert_eq!(with_stub("252.39-1~deb12u2", ".ucode").unwrap().sections, [".linux"]);
    assert_eq!(with_stub("255", ".ucode").unwrap().sections, [".linux", ".sbat"]);
    assert_eq!(with_stub("257.6", ".ucode").unwrap().sections, [".linux", ".ucode", ".sbat"]);
    assert_eq!(with_stub("257.6", ".profile"), Err(ImageError::Variable(".profile".to_owned())));

    assert_eq!(image::measure(&kernel, &[]), Err(ImageError::NoSection(".linux")));
    for phases in [&["ready", "sysinit", "ready"][..], &["stub"], &[""], &["sysinit:ready"]] {
        assert!(matches!(image::measure(&uki, phases), Err(ImageError::Phase { .. })), "{phases:?}");
    }
    let twice = pe(&[(".linux", &kernel), (".cmdline", b"quiet"), (".cmdline", b"evil")]);
    assert_eq!(image::measure(&twice, &[]), Err(ImageError::Variable(".cmdline".to_owned())));
    for length in 0..uki.len() - 512 {
        if length % 97 == 0 {
            assert!(image::measure(&uki[..length], &[]).is_err(), "{length}");
        }
    }
}

proptest! {
    #[test]
    fn structures_of_a_tpm_never_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        at in 0usize..200,
        byte in any::<u8>(),
    ) {
        let (tpm, uki) = (TestTpm::new(), pe(&[(".linux", b"kernel")]));
        let quoted = tpm.quoted(&[7; 32]);
        let key = PublicKey::parse(&quoted.ak_public).unwrap();
        let log = TestLog::new().event(0, 1, [1; 32], b"event").0;
        for whole in [&quoted.attest, &quoted.signature, &quoted.ak_public, &log, &uki, &noise] {
            let mut bytes = whole.clone();
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
            _ = Attestation::parse(&bytes);
            _ = key.verify(&quoted.attest, &bytes);
            _ = PublicKey::parse(&bytes).map(|key| (key.subject_public_key_info(), key.verify(b"", &quoted.signature)));
            _ = EventLog::replay(&bytes);
            _ = image::measure(&bytes, &[]);
            _ = certificate::trim(&bytes);
            _ = certificate::manufacturer(&bytes);
        }
    }
}
