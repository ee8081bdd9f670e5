//! `certify` with a TPM: swtpm, asked over TCP.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value as Json;
use yanji::attest::Digest;
use yanji::attest::envelope::Envelope;
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::policy::{Root, RootKind};
use yanji::attest::statement::{Inline, Statement};
use yanji::attest::tpm::certificate::{self, Purpose};
use yanji::attest::tpm::public_key::PublicKey;
use yanji::attest::tpm::quote::{Attestation, Said};
use yanji::attest::tpm::wire::{Reader, Writer};
use yanji::attest::tpm::{ECDSA, KeyBinding, NO_ALGORITHM, Phase, Platform, SHA256, Secret, TpmEvidence, nonce};
use yanji::evidence::Reading;
use yanji::host::tpm;

use super::Place;
use super::certify::TINY_PROFILE;
use crate::support::swtpm::Swtpm;
use crate::support::tpm::{Authority, RESTRICTED_SIGNING_KEY};

fn place(seconds: u64) -> Place {
    let place = Place::new();
    let profile = TINY_PROFILE.replace("duration_seconds = 2", &format!("duration_seconds = {seconds}"));
    fs::write(place.path("profile.toml"), profile).unwrap();
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    place
}

fn certify(place: &Place, out: &str, more: &[&str]) {
    let arguments = ["certify", "--out", out, "--profile", "profile.toml", "--key", "seller.pem"];
    let ran = place.run(arguments.iter().chain(more));
    assert!(matches!(ran.code, 0 | 1 | 3), "{}\n{}", ran.stdout, ran.stderr);
}

fn statement(place: &Place, report: &str) -> Statement {
    let envelope = fs::read(place.path(report).join("report.dsse.json")).unwrap();
    serde_json::from_slice(&Envelope::parse(&envelope).unwrap().payload).unwrap()
}

/// A policy under which the seller may certify, and that authority vouches for attestation keys.
fn policy(place: &Place, authority: &Authority) {
    place.run(["trust", "init", "--name", "buyer"]).exits(0);
    place.run(["trust", "add", "seller", "--public", "seller.pem.pub", "--role", "seller"]).exits(0);
    let path = place.path("trust.toml");
    let text = fs::read_to_string(&path).unwrap().replace("version = 2", "version = 3");
    fs::write(&path, format!("{text}\n[[root]]\nkind = \"tpm\"\npem = \"\"\"\n{}\"\"\"\n", authority.pem)).unwrap();
    place.run(["trust", "sign"]).exits(0);
}

fn verify(place: &Place, report: &str) -> Json {
    let ran = place.run(["verify", report, "--trust", "trust.toml", "--format", "json"]);
    ran.json()["reports"][0].clone()
}

/// Certifies twice: the first report shows the key that an authority then certifies.
fn vouched(place: &Place, swtpm: &Swtpm) {
    certify(place, "first", &["--tpm", &swtpm.argument()]);
    let authority = Authority::new("authority of the test");
    let public = statement(place, "first").predicate.platform.unwrap().tpm.unwrap().ak_pub;
    let der = authority.certify(&public.0);
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    fs::write(place.path("ak.pem"), pem).unwrap();
    policy(place, &authority);
    certify(place, "report", &["--tpm", &swtpm.argument(), "--tpm-certificate", "ak.pem"]);
}

#[test]
fn a_software_tpm_is_asked_and_believed_as_far_as_it_goes() {
    let Some(mut swtpm) = Swtpm::start() else { return };
    let place = place(2);
    vouched(&place, &swtpm);

    // Its own authority's certificate of the endorsement key is what a vendor's would be.
    let tpm = statement(&place, "first").predicate.platform.unwrap().tpm.unwrap();
    assert_eq!((tpm.manufacturer.as_str(), tpm.quotes.len()), ("IBM", 2));
    assert!(tpm.quotes.iter().all(|quote| quote.time.is_some()));
    // Power that goes while the key is in use counts as a guess at its password, unless the key says noDA.
    assert_eq!(PublicKey::parse(&tpm.ak_pub.0).unwrap().attributes, RESTRICTED_SIGNING_KEY | 0x400);
    let Inline(ek) = tpm.ek_cert.unwrap();
    let issuer = pkcs8::Document::from_pem(&swtpm.authority()).unwrap().1;
    let root = Root { kind: RootKind::Tpm, certificate_der: issuer.as_bytes().to_vec() };
    certificate::chain(&ek, &[], &[&root], Purpose::Endorsement, jiff::Timestamp::now()).unwrap();
    assert!(certificate::chain(&ek, &[], &[&root], Purpose::Attestation, jiff::Timestamp::now()).is_err());

    let ran = place.run(["verify", "first", "--key", "seller.pem.pub"]);
    assert!(
        ran.stdout.contains("that a TPM that calls itself \"IBM\" is hardware: no root is pinned"),
        "{}",
        ran.stdout
    );
    let ran = place.run(["verify", "report", "--trust", "trust.toml"]);
    assert!(ran.stdout.contains("vouches for the key of that TPM: \"CN=authority of the test\" ("), "{}", ran.stdout);
    let report = verify(&place, "report");
    let elapsed = report["tpm"]["elapsedMs"].as_u64().unwrap();
    assert!(elapsed >= report["tpm"]["claimedMs"].as_u64().unwrap(), "{report:#}");

    claims_a_day(&place, &swtpm);

    // The same run under another boot of the TPM, and one whose owner set its clock.
    let before = attested(&swtpm);
    swtpm.reset();
    let after = attested(&swtpm);
    assert_eq!(after.0.reset_count, before.0.reset_count + 1);
    assert!(after.1 < before.1, "{before:?} {after:?}");
    set_clock_forward(&swtpm, after.0.clock_ms + 86_400_000);
    let set = attested(&swtpm);
    assert!(set.0.clock_ms >= after.0.clock_ms + 86_400_000, "{after:?} {set:?}");
    assert!(set.1 < after.1 + 80_000_000, "{after:?} {set:?}");
    lock(&swtpm);
    attested(&swtpm);
}

/// A policy under which the seller may certify, and that PEM vouches for TPMs; with more lines.
fn pin(place: &Place, pem: &str, more: &str) {
    place.policy(&[]);
    place.edit_policy(&format!("[[root]]\nkind = \"tpm\"\npem = \"\"\"\n{}\"\"\"\n{more}", pem.trim_start()));
}

/// Certifies `out` as the answer to a challenge with a secret for the TPM of the report `first`.
fn answer(place: &Place, swtpm: &Swtpm, out: &str) {
    _ = fs::remove_file(place.path("c.json"));
    place.run(["challenge", "new", "--for", "PO-1", "--for-tpm", "first", "-o", "c.json"]).exits(0);
    certify(place, out, &["--tpm", &swtpm.argument(), "--challenge", "c.json"]);
}

fn verify_answer(place: &Place, report: &str) -> Json {
    _ = fs::remove_dir_all(place.path("state"));
    let ran = place.run(["verify", report, "--trust", "trust.toml", "--challenge", "c.json", "--format", "json"]);
    ran.json()["reports"][0].clone()
}

/// Its statement, changed and signed again by the seller.
fn resign(place: &Place, report: &str, change: impl FnOnce(&mut TpmEvidence)) {
    let mut forged = statement(place, report);
    change(forged.predicate.platform.as_mut().unwrap().tpm.as_mut().unwrap());
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    let envelope = Envelope::sign(forged.to_json().unwrap(), &key).to_json();
    fs::write(place.path(report).join("report.dsse.json"), envelope).unwrap();
}

fn tpm_of(place: &Place, report: &str) -> TpmEvidence {
    statement(place, report).predicate.platform.unwrap().tpm.unwrap()
}

#[test]
fn a_secret_that_only_the_tpm_can_read_ties_its_key_to_its_vendors_certificate() {
    let Some(swtpm) = Swtpm::start() else { return };
    let place = place(2);
    certify(&place, "first", &["--tpm", &swtpm.argument()]);
    // Not the certificate of the authority alone: nothing ties the key that signed to it.
    pin(&place, &swtpm.authority(), "");
    let report = verify(&place, "first");
    assert_eq!(report["tpm"]["root"], Json::Null);
    assert!(report["tpm"]["noRoot"].as_str().unwrap().contains("is genuine, but nothing ties"), "{report:#}");

    answer(&place, &swtpm, "report");
    let genuine = tpm_of(&place, "report");
    assert!(matches!(genuine.ak_binding, KeyBinding::Credential { .. }), "{:?}", genuine.ak_binding);
    let report = verify_answer(&place, "report");
    assert!(report["tpm"]["root"].as_str().unwrap().starts_with('"'), "{report:#}");
    let length = |report: &Json| {
        let claims = report["claims"].as_array().unwrap().clone();
        claims.into_iter().find(|claim| claim["claim"] == "length of the burn-in").unwrap()["level"].clone()
    };
    assert_eq!(length(&report), "L2");
    assert!(report["notProven"].to_string().contains("that this TPM is in the machine"), "{report:#}");
    // Without the challenge, or with one that carries no secret, it proves nothing.
    let alone = verify(&place, "report");
    assert_eq!((length(&alone), &alone["tpm"]["root"]), ("L0".into(), &Json::Null));
    assert!(alone["tpm"]["noRoot"].as_str().unwrap().contains("was not given"), "{alone:#}");

    let refuses = |change: &dyn Fn(&mut TpmEvidence), what: &str| {
        let before = fs::read(place.path("report/report.dsse.json")).unwrap();
        resign(&place, "report", change);
        let report = verify_answer(&place, "report");
        assert_eq!(report["failures"][0]["class"], "E_TPM_KEY", "{report:#}");
        assert!(report["failures"][0]["what"].as_str().unwrap().ends_with(what), "{report:#}");
        fs::write(place.path("report/report.dsse.json"), before).unwrap();
    };
    refuses(&|tpm| tpm.ak_binding = KeyBinding::Credential { secret: Secret([7; 32]) }, "digest of the secret");
    refuses(&|tpm| tpm.ek_cert = Some(Inline(Authority::new("x").endorse("00001014"))), "endorsement key");

    // Revoked by its serial number, it is nobody's.
    let serial = certificate::serial(&genuine.ek_cert.as_ref().unwrap().0).unwrap();
    let revoked = format!("[[revoked_device]]\ncertificate = \"{serial}\"\nreason = \"extracted\"");
    pin(&place, &swtpm.authority(), &revoked);
    let report = verify_answer(&place, "report");
    assert_eq!(report["failures"][0]["class"], "E_TPM_KEY", "{report:#}");
    assert!(report["failures"][0]["observed"].as_str().unwrap().ends_with("is revoked: extracted"), "{report:#}");
    pin(&place, &swtpm.authority(), "");

    // Another TPM cannot read it, and with the words of the first one its own key is another.
    let Some(other) = Swtpm::start() else { return };
    certify(&place, "theirs", &["--tpm", &other.argument(), "--challenge", "c.json"]);
    let platform = statement(&place, "theirs").predicate.platform.unwrap();
    assert!(
        platform.missing.iter().any(|why| why.starts_with("no answer to the challenge's credential")),
        "{platform:?}"
    );
    assert!(matches!(platform.tpm.unwrap().ak_binding, KeyBinding::Own {}));
    resign(&place, "theirs", |tpm| {
        (tpm.ak_binding, tpm.ek_cert) = (genuine.ak_binding.clone(), genuine.ek_cert.clone());
    });
    let report = verify_answer(&place, "theirs");
    assert_eq!(report["failures"][0]["class"], "E_TPM_KEY", "{report:#}");
    assert!(report["failures"][0]["what"].as_str().unwrap().ends_with(": attestation key"), "{report:#}");
    let none = place.run(["challenge", "new", "--for", "x", "--for-tpm", "seller.pem", "-o", "no.json"]).exits(2);
    assert!(none.stderr.contains("hint: let the seller run"), "{}", none.stderr);
}

/// What a TPM makes an endorsement key of, as the TCG EK Credential Profile 2.5 has it: kind, hash, policy, bits of AES, then
/// the bits of a modulus or a curve, and how many zeros stand for the number that the TPM fills in.
struct Template {
    kind: u16,
    hash: u16,
    /// With it a password is not enough.
    low: bool,
    policy: &'static str,
    aes_bits: u16,
    of: u16,
    zeros: usize,
}

impl Template {
    const SHA384: u16 = 0x000c;
    const POLICY_B_SHA256: &str = "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0";
    const POLICY_B_SHA384: &str =
        "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12";
    /// ECC on P-256, of the low range.
    const L_2: Self = Self {
        kind: 0x0023,
        hash: SHA256,
        low: true,
        policy: "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa",
        aes_bits: 128,
        of: 3,
        zeros: 32,
    };
    /// The same of the high range.
    const H_2: Self = Self { low: false, policy: Self::POLICY_B_SHA256, zeros: 0, ..Self::L_2 };
    /// ECC on P-384.
    const H_3: Self = Self { hash: Self::SHA384, policy: Self::POLICY_B_SHA384, aes_bits: 256, of: 4, ..Self::H_2 };
    /// RSA with 2048 bits.
    const H_1: Self = Self { kind: 0x0001, of: 2048, ..Self::H_2 };
    /// RSA with 3072 bits.
    const H_6: Self = Self { kind: 0x0001, of: 3072, ..Self::H_3 };

    /// TPMT_PUBLIC.
    fn public(&self) -> Vec<u8> {
        let (aes, cfb, zeros) = (6, 0x43, vec![0; self.zeros]);
        let attributes = if self.low { 0x0003_00b2 } else { 0x0003_00f2 };
        let policy = hex::decode(self.policy).unwrap();
        let public = Writer::new().u16(self.kind).u16(self.hash).u32(attributes).sized(&policy);
        let public = public.u16(aes).u16(self.aes_bits).u16(cfb).u16(NO_ALGORITHM).u16(self.of);
        match self.kind {
            0x0001 => public.u32(0).sized(&zeros),
            _ => public.u16(NO_ALGORITHM).sized(&zeros).sized(&zeros),
        }
        .finish()
    }
}

/// A TPM as vendors leave it: with the certificate of the key that it makes of that template. It has to read a secret.
fn a_secret_is_read_by_a_key_of(template: &Template) {
    let Some(swtpm) = Swtpm::start() else { return };
    let place = place(2);
    const ENDORSEMENT: u32 = 0x4000_000b;
    let no_secret = Writer::new().sized(&[]).sized(&[]).finish();
    let made = Writer::new().sized(&no_secret).sized(&template.public()).sized(&[]).u32(0);
    let made = run(&swtpm, 0x131, &[ENDORSEMENT], true, made);
    let handle = u32::from_be_bytes(made[..4].try_into().unwrap());
    let public = Reader::new(&made[8..]).sized().unwrap();
    run(&swtpm, 0x165, &[], false, Writer::new().u32(handle));
    let vendor = Authority::new("vendor");
    leave_certificate(&swtpm, 0x01c0_000a, &vendor.endorse_key("49424d00", public));
    certify(&place, "first", &["--tpm", &swtpm.argument()]);
    pin(&place, &vendor.pem, "");
    answer(&place, &swtpm, "report");
    let report = verify_answer(&place, "report");
    assert!(report["tpm"]["root"].as_str().is_some_and(|root| root.contains("vendor")), "{report:#}");
}

#[test]
fn a_secret_for_a_key_on_p_256_is_read_too() {
    a_secret_is_read_by_a_key_of(&Template::L_2);
}

#[test]
fn a_secret_for_a_key_of_the_high_range_is_read_too() {
    for template in [Template::H_1, Template::H_2, Template::H_3, Template::H_6] {
        a_secret_is_read_by_a_key_of(&template);
    }
}

/// Puts a certificate into an NV index; vendors leave room behind it.
fn leave_certificate(swtpm: &Swtpm, index: u32, certificate: &[u8]) {
    const OWNER_AND_HOLDER_READ_AND_WRITE: u32 = 0x0206_0006;
    let space = Writer::new().u32(index).u16(SHA256).u32(OWNER_AND_HOLDER_READ_AND_WRITE).sized(&[]);
    let space = space.u16(certificate.len() as u16 + 20).finish();
    run(swtpm, 0x12a, &[OWNER], true, Writer::new().sized(&[]).sized(&space));
    let padded = [certificate, &[0xff; 20]].concat();
    run(swtpm, 0x137, &[OWNER, index], true, Writer::new().sized(&padded).u16(0));
}

/// Clock and time in a quote.
fn attested(swtpm: &Swtpm) -> (yanji::attest::tpm::quote::Clock, u64) {
    let quoted = tpm::quote(&swtpm.address(), &[1; 32]).into_known().unwrap();
    let time = Attestation::parse(&quoted.time.unwrap().0).unwrap();
    let Said::Time { time_ms } = time.said else { panic!("{time:?}") };
    (Attestation::parse(&quoted.attest).unwrap().clock, time_ms)
}

/// TPM2_ClockSet.
fn set_clock_forward(swtpm: &Swtpm, clock_ms: u64) {
    run(swtpm, 0x128, &[OWNER], true, Writer::new().u64(clock_ms));
}

/// TPM2_DictionaryAttackParameters: no try is left, as after several hard power-offs.
fn lock(swtpm: &Swtpm) {
    const LOCKOUT: u32 = 0x4000_000a;
    run(swtpm, 0x13a, &[LOCKOUT], true, Writer::new().u32(0).u32(1000).u32(1000));
}

const OWNER: u32 = 0x4000_0001;

/// Runs a command that the tool itself never does; the first handle has an empty password. Gives what follows the header
/// of the answer.
fn run(swtpm: &Swtpm, code: u32, handles: &[u32], authorised: bool, parameters: Writer) -> Vec<u8> {
    let mut body = handles.iter().fold(Writer::new(), |body, handle| body.u32(*handle));
    if authorised {
        body = body.u32(9).u32(0x4000_0009).sized(&[]).u8(0).sized(&[]);
    }
    let body = body.bytes(&parameters.finish()).finish();
    let tag = if authorised { 0x8002 } else { 0x8001 };
    let command = Writer::new().u16(tag).u32(10 + body.len() as u32).u32(code).bytes(&body).finish();
    let mut stream = TcpStream::connect(swtpm.argument().trim_start_matches("tcp:")).unwrap();
    stream.write_all(&command).unwrap();
    let mut header = [0; 10];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[6..], [0; 4], "command {code:#x}");
    let mut answer = vec![0; u32::from_be_bytes(header[2..6].try_into().unwrap()) as usize - 10];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn the_attestation_key_that_the_vendor_certified_is_the_one_that_signs() {
    let Some(swtpm) = Swtpm::start() else { return };
    let own = tpm::quote(&swtpm.address(), &[1; 32]).into_known().unwrap();
    // As a vendor leaves it: a persistent key, and its certificate in the range for identities.
    let template = Writer::new().u16(0x0023).u16(SHA256).u32(RESTRICTED_SIGNING_KEY).sized(&[]);
    let template = template.u16(NO_ALGORITHM).u16(ECDSA).u16(SHA256).u16(3).u16(NO_ALGORITHM).sized(&[]).sized(&[]);
    let no_secret = Writer::new().sized(&[]).sized(&[]).finish();
    let made = Writer::new().sized(&no_secret).sized(&template.finish()).sized(&[]).u32(0);
    let made = run(&swtpm, 0x131, &[OWNER], true, made);
    let handle = u32::from_be_bytes(made[..4].try_into().unwrap());
    let public = Reader::new(&made[8..]).sized().unwrap();
    run(&swtpm, 0x120, &[OWNER, handle], true, Writer::new().u32(0x8108_0000));
    run(&swtpm, 0x165, &[], false, Writer::new().u32(handle));
    let machine_vendor = Authority::new("machine vendor");
    let certificate = machine_vendor.certify(public);
    leave_certificate(&swtpm, 0x01c9_0001, &certificate);

    let quoted = tpm::quote(&swtpm.address(), &[1; 32]).into_known().unwrap();
    assert_eq!((quoted.ak_public.as_slice(), quoted.ak_chain.as_slice()), (public, &[certificate][..]));
    assert_ne!(quoted.ak_public, own.ak_public);
    PublicKey::parse(public).unwrap().verify(&quoted.attest, &quoted.signature).unwrap();
    let platform = Platform::begin(Reading::Known(quoted), Vec::new());
    assert!(matches!(platform.tpm.unwrap().ak_binding, KeyBinding::IakCertificate { .. }));

    // Who knows the vendor of the TPM and not that of the machine asks for a secret, and the other way round.
    let place = place(2);
    certify(&place, "first", &["--tpm", &swtpm.argument()]);
    answer(&place, &swtpm, "report");
    let answered = tpm_of(&place, "report");
    assert!(
        matches!(answered.ak_binding, KeyBinding::IakCertificate { secret: Some(_), .. }),
        "{:?}",
        answered.ak_binding
    );
    for (pem, root) in [(swtpm.authority(), "swtpm"), (machine_vendor.pem.clone(), "machine vendor")] {
        pin(&place, &pem, "");
        let report = verify_answer(&place, "report");
        assert!(report["tpm"]["root"].as_str().is_some_and(|it| it.contains(root)), "{report:#}");
        assert!(!report["notProven"].to_string().contains("did not answer"), "{report:#}");
    }
    pin(&place, &Authority::new("somebody").pem, "");
    let report = verify_answer(&place, "report");
    assert_eq!((&report["valid"], &report["tpm"]["root"]), (&Json::Bool(true), &Json::Null), "{report:#}");
    let open: Vec<&Json> = report["indeterminate"].as_array().unwrap().iter().map(|it| &it["what"]).collect();
    assert_eq!(open, ["certificate of the attestation key", "certificate of the endorsement key"], "{report:#}");
    // A secret that is not the one of the challenge is wrong, whoever certified the key.
    resign(&place, "report", |tpm| {
        let KeyBinding::IakCertificate { secret, .. } = &mut tpm.ak_binding else { panic!() };
        *secret = Some(Secret([7; 32]));
    });
    pin(&place, &machine_vendor.pem, "");
    assert_eq!(verify_answer(&place, "report")["failures"][0]["class"], "E_TPM_KEY");
    // The vendor's key may be one that can be locked.
    lock(&swtpm);
    let locked = tpm::quote(&swtpm.address(), &[1; 32]);
    assert!(matches!(&locked, Reading::Failed(why) if why.contains("hard power-offs; wait, or unlock")), "{locked:?}");
}

#[test]
fn a_tpm_that_is_gone_at_the_end_or_has_no_sha_256_is_told_when_it_is_asked() {
    let Some(swtpm) = Swtpm::start() else { return };
    let place = place(2);
    let ran = |out: &str, address: &str| {
        place.run(["certify", "--out", out, "--profile", "profile.toml", "--key", "seller.pem", "--tpm", address])
    };
    // The way to it is open once.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let to = swtpm.argument().trim_start_matches("tcp:").to_owned();
    let way = std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        drop(listener);
        let far = TcpStream::connect(to).unwrap();
        let (mut back, mut answers) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
        _ = std::io::copy(&mut &near, &mut &far);
        _ = far.shutdown(std::net::Shutdown::Both);
    });
    let gone = ran("gone", &address);
    way.join().unwrap();
    let told = "notice: no quote at the end: no connection";
    assert!(gone.stderr.contains(told) && gone.stderr.contains("hint: the report says so"), "{}", gone.stderr);
    assert_eq!(tpm_of(&place, "gone").quotes.len(), 1);

    let Some(other) = Swtpm::with_bank("sha384") else { return };
    let none = ran("none", &other.argument());
    assert!(
        none.stderr.contains("no SHA-256 registers; switch their bank on in the firmware setup"),
        "{}",
        none.stderr
    );
}

/// The holder of the machine makes records of a day and has the TPM quote their end: only its time gives that away.
fn claims_a_day(place: &Place, swtpm: &Swtpm) {
    let mut forged = statement(place, "report");
    let tar = fs::File::open(place.path("report/evidence.tar")).unwrap();
    let bytes = forged.predicate.evidence.iter().map(|item| item.bytes).sum();
    let mut items: Vec<Item> = evidence_tar::read(tar, bytes, |_, _| true)
        .unwrap()
        .items
        .into_iter()
        .map(|found| Item {
            id: found.id,
            media_type: "application/octet-stream".to_owned(),
            content: Content::Bytes(found.content.unwrap()),
        })
        .collect();
    let records = items.iter_mut().find(|item| item.id == "burn/records.jsonl").unwrap();
    let Content::Bytes(lines) = &mut records.content else { panic!() };
    let mut chain = String::new();
    let mut head = None::<Digest>;
    let count = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    for (index, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let mut line: Json = serde_json::from_slice(line).unwrap();
        if let Some(head) = head {
            line["prev"] = head.to_string().into();
        }
        if index + 1 == count {
            line["elapsed_ms"] = (line["elapsed_ms"].as_u64().unwrap() + 86_400_000).into();
        }
        let text = line.to_string();
        head = Some(Digest::of(text.as_bytes()));
        chain += &(text + "\n");
    }
    *lines = chain.clone().into_bytes();
    let predicate = &mut forged.predicate;
    predicate.session.chain_head = head;
    predicate.burnin.as_mut().unwrap().records.sha256 = Digest::of(chain.as_bytes());
    let tpm = predicate.platform.as_mut().unwrap();
    let old = tpm.tpm.as_mut().unwrap().quotes.pop().unwrap();
    let s0 = predicate.session.s0;
    tpm.end(tpm::quote(&swtpm.address(), nonce(&s0, Phase::End, head.as_ref()).as_bytes()));
    let mut tar = Vec::new();
    forged.set_evidence(evidence_tar::write(items, &mut tar).unwrap());
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    let refused = |forged: &Statement, class: &str| {
        fs::create_dir_all(place.path("forged")).unwrap();
        fs::write(place.path("forged/evidence.tar"), &tar).unwrap();
        let envelope = Envelope::sign(forged.to_json().unwrap(), &key).to_json();
        fs::write(place.path("forged/report.dsse.json"), envelope).unwrap();
        let report = verify(place, "forged");
        assert_eq!(report["failures"][0]["class"], class, "{report:#}");
        report["failures"][0].clone()
    };
    let failure = refused(&forged, "E_TPM_CLOCK");
    assert!(failure["expected"].as_str().unwrap().starts_with("at least 864"), "{failure}");
    // Without a new quote the old one shows that other records were quoted.
    forged.predicate.platform.as_mut().unwrap().tpm.as_mut().unwrap().quotes[1] = old;
    refused(&forged, "E_TPM_NONCE");
}

#[test]
#[ignore = "takes a minute"]
fn a_quote_proves_a_burn_in_of_a_minute() {
    let Some(swtpm) = Swtpm::start() else { return };
    let place = place(60);
    vouched(&place, &swtpm);
    let report = verify(&place, "report");
    let claimed = report["tpm"]["claimedMs"].as_u64().unwrap();
    assert!(claimed >= 50_000 && report["tpm"]["elapsedMs"].as_u64().unwrap() >= claimed, "{report:#}");
    claims_a_day(&place, &swtpm);
}

#[test]
fn a_machine_without_a_tpm_or_with_a_silent_one_has_no_hardware_root() {
    let place = place(2);
    certify(&place, "none", &["--tpm", "none"]);
    let ran = place.run(["verify", "none", "--key", "seller.pem.pub"]);
    assert!(ran.stdout.contains("no hardware root, the TPM was not asked"), "{}", ran.stdout);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missing = place.path("no-such-device").display().to_string();
    for (address, words) in [
        (format!("tcp:{closed}"), "no connection"),
        (missing, "no-such-device: No such file"),
        ("/dev/null".to_owned(), ""),
    ] {
        let out = format!("report-{}", words.len());
        let arguments =
            ["certify", "--out", &out, "--profile", "profile.toml", "--key", "seller.pem", "--tpm", &address];
        let ran = place.run(arguments);
        assert!(matches!(ran.code, 0 | 1 | 3) && ran.stderr.contains("stop now and mend that"), "{}", ran.stderr);
        let platform = statement(&place, &out).predicate.platform.unwrap();
        assert!(platform.tpm.is_none() && platform.missing[0].contains(words), "{platform:?}");
    }
    for wrong in [
        "tcp:nowhere",
        "tcp:host:99999",
        "tcp:host:0",
        "tcp:host:",
        "tcp::1",
        "tcp:host:+1",
        "tcp:host:1 ",
        "/dev/tpm0 ",
    ] {
        let ran = place.run(["certify", "--out", "wrong", "--tpm", wrong]).exits(2);
        assert!(ran.stderr.contains("tcp:HOST:PORT"), "{wrong}: {}", ran.stderr);
    }
}
