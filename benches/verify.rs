//! How fast reports are verified, beside ring and webpki doing nothing but hash the same files, items, identity and session, and
//! check the same signatures and chains; how that grows with the threads; and what memory a hundred thousand reports take.
//!
//! The re-evaluation of the evidence is left out: its closure has the signed checks at hand. `benches/batch.sh` measures it
//! with the rest, on the built binary.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use vgpu::attest::{Authority, Contents, Identity};
use webpki::ring::ECDSA_P384_SHA384;
use webpki::{EndEntityCert, KeyUsage};
use yanji::attest::Digest;
use yanji::attest::device::{Chain, DeviceEvidence, DeviceNonce, Format, Phase, Roots, Via};
use yanji::attest::envelope::{self, Envelope};
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::statement::{
    Assurance, Inline, PolicyRef, Predicate, Session, SignedVerdict, Statement, Tool, session_id,
};
use yanji::attest::trust::TrustedKeys;
use yanji::attest::verify::{Batch, EvidenceItems, Expectations, Failure, FailureClass, Rederived, Verified, verify};
use yanji::evidence::{Evidence, EvidenceBuilder, Origin};
use yanji::ledger::Sighting;
use yanji::policy;
use yanji::rule::{Check, Outcome};

/// As the tool has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVIDENCE_BYTES: u64 = 256 << 20;
const SMALL_REPORTS: usize = 10_000;
const SERVERS: usize = 24;
const GPUS: usize = 8;
const MANY_REPORTS: usize = 100_000;
const ROUNDS: usize = 5;
const STARTED: &str = "2026-03-01T10:00:00Z";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("slower than 0.70 of ring and webpki alone, or more than 200 MiB");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let key = Key::create(&folder.path().join("key.pem"), None)?;
    let trusted = TrustedKeys::from_public_keys([("bench".to_owned(), *key.public())]);
    let expectations = Expectations::new(trusted, jiff::Timestamp::now());
    println!("re-evaluation of the evidence: not included (the closure has the signed checks at hand)");

    // First, while nothing that was given back lies about in the allocator.
    let mut all_fast = flat(&key, &expectations)?;
    let reports = (0..SMALL_REPORTS)
        .map(|number| {
            let (report_id, tar, written) = small_evidence(number)?;
            Ok(Case {
                envelope: sign(&key, &report_id, written, Vec::new())?,
                tar,
                evidence: None,
                devices: Vec::new(),
            })
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    all_fast &= compare("reports", &reports, &key, &expectations)?;
    scaling(&reports, &expectations);
    drop(reports);
    all_fast &= servers(&key, &expectations)?;

    for items in [1, 4, 64] {
        all_fast &= large(folder.path(), &key, &expectations, items)?;
    }
    Ok(all_fast)
}

/// A report and its evidence, a few hundred bytes, and what else has to be checked with ring and webpki.
struct Case {
    envelope: Vec<u8>,
    tar: Vec<u8>,
    /// What the evidence shows, where devices signed.
    evidence: Option<Evidence>,
    devices: Vec<SignedByDevice>,
}

/// What a device signed: its report, and the certificates from its key to the one below the root.
struct SignedByDevice {
    report: Vec<u8>,
    key: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    anchor: TrustAnchor<'static>,
    time: UnixTime,
}

impl Case {
    fn verify(&self, expectations: &Expectations) -> Verified {
        Verified::new(&self.envelope, Some(&self.tar[..]), expectations, &mut agree)
    }
}

/// What ring hashes of a report beside the files, and what it checks the signature of.
struct Parsed {
    payload: Vec<u8>,
    /// The identity in canonical form, whose digest is that of the unit.
    unit: Vec<u8>,
    /// What the session's id is the digest of ([`session_id`]).
    session: Vec<u8>,
    item_bytes: usize,
    message: Vec<u8>,
    signature: [u8; 64],
}

impl Parsed {
    fn of(report: &Case, key: &Key) -> Result<Self, Box<dyn std::error::Error>> {
        let envelope = Envelope::parse(&report.envelope)?;
        let statement: Statement = serde_json::from_slice(&envelope.payload)?;
        let Predicate { identity, session: Session { s0, started_at, .. }, tool, evidence, .. } = &statement.predicate;
        let unit = serde_json::to_vec(identity)?;
        let (keyid, tool) = (key.public().keyid(), tool.binary_sha256);
        let session =
            [b"yanji/v1/session\0", keyid.as_bytes().as_slice(), tool.as_bytes(), started_at.as_bytes()].concat();
        if (Some(Digest::of(&unit)), Digest::of(&session)) != (statement.subject_sha256("unit"), *s0) {
            return Err("ring would hash other bytes than the verification".into());
        }
        Ok(Self {
            unit,
            session,
            item_bytes: evidence.first().map_or(0, |item| item.bytes as usize),
            message: envelope::pae(&envelope.payload),
            signature: envelope.signatures[0].bytes,
            payload: envelope.payload,
        })
    }
}

impl SignedByDevice {
    fn is_valid(&self) -> bool {
        // The last 96 bytes are the signature over the others.
        let (signed, signature) = self.report.split_at(self.report.len() - 96);
        let [leaf, issuers @ ..] = self.certificates.as_slice() else { return false };
        let anchors = std::slice::from_ref(&self.anchor);
        let usage = KeyUsage::required_if_present(&[0x67, 0x81, 0x05, 0x05, 0x04, 0x64, 0x0c]);
        let path = EndEntityCert::try_from(leaf).and_then(|leaf| {
            leaf.verify_for_usage(&[ECDSA_P384_SHA384], anchors, issuers, self.time, usage, None, None).map(|_| ())
        });
        path.is_ok() && UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.key).verify(signed, signature).is_ok()
    }
}

fn small_evidence(number: usize) -> Result<(String, Vec<u8>, evidence_tar::Written), Box<dyn std::error::Error>> {
    let content = format!("host {number}").repeat(100).into_bytes();
    let mut tar = Vec::new();
    let written = evidence_tar::write(vec![item("host.tar.zst", Content::Bytes(content))], &mut tar)?;
    Ok((format!("report-{number}"), tar, written))
}

/// Reports on one thread, beside ring and webpki alone.
fn compare(
    of: &str,
    reports: &[Case],
    key: &Key,
    expectations: &Expectations,
) -> Result<bool, Box<dyn std::error::Error>> {
    let parsed =
        reports.iter().map(|report| Parsed::of(report, key)).collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let (mut ring_best, mut ours_best) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (mut ring_time, mut ours_time) = (Duration::ZERO, Duration::ZERO);
        let mut batch = Batch::default();
        // In turns, so that a machine that is slower for a while is so for both; few at a time, so that what is at hand is in
        // the caches.
        for (reports, parsed) in reports.chunks(8).zip(parsed.chunks(8)) {
            let started = Instant::now();
            for (report, parsed) in reports.iter().zip(parsed) {
                let item = &report.tar[512..512 + parsed.item_bytes];
                // The item is in the container and inline in the statement.
                for bytes in [
                    &report.envelope,
                    &parsed.payload,
                    &report.tar,
                    item,
                    item,
                    &parsed.unit,
                    parsed.session.as_slice(),
                ] {
                    std::hint::black_box(ring::digest::digest(&SHA256, bytes));
                }
                let by_devices = report.devices.iter().all(SignedByDevice::is_valid);
                if !key.public().verify(&parsed.message, &parsed.signature) || !by_devices {
                    return Err("a genuine report did not verify".into());
                }
            }
            ring_time += started.elapsed();

            let rederived = reports.iter().zip(parsed).map(|(report, parsed)| {
                let statement = serde_json::from_slice(&parsed.payload)?;
                Ok(Rederived { evidence: report.evidence.clone(), ..repeat(&statement) })
            });
            let rederived = rederived.collect::<Result<Vec<_>, serde_json::Error>>()?;
            let started = Instant::now();
            for (report, rederived) in reports.iter().zip(rederived) {
                let mut rederived = Some(rederived);
                let mut rederive = |_: &Statement, _: &EvidenceItems<'_>| {
                    rederived.take().ok_or_else(|| Failure::new(FailureClass::Evidence, "report", "one", "none"))
                };
                let verified = Verified::new(&report.envelope, Some(&report.tar[..]), expectations, &mut rederive);
                let report = batch.add("report", verified);
                if !report.is_valid() {
                    return Err(format!("a genuine report did not verify: {:?}", report.failures).into());
                }
            }
            ours_time += started.elapsed();
        }
        ring_best = ring_best.min(ring_time.as_secs_f64());
        ours_best = ours_best.min(ours_time.as_secs_f64());
    }
    let rate = |seconds: f64| reports.len() as f64 / seconds;
    let ratio = ring_best / ours_best;
    println!(
        "{} {of} of {} + {} bytes on one thread, best of {ROUNDS}: verify {:.0} reports/s, ring and webpki alone {:.0} \
         reports/s, ratio {ratio:.2}",
        reports.len(),
        reports[0].envelope.len(),
        reports[0].tar.len(),
        rate(ours_best),
        rate(ring_best)
    );
    Ok(ratio >= 0.70)
}

/// Reports about servers whose GPUs signed at the start and at the end.
fn servers(key: &Key, expectations: &Expectations) -> Result<bool, Box<dyn std::error::Error>> {
    let authority = Authority::new("BENCH Device Identity CA")?;
    let mut device_roots = Roots::default();
    device_roots.add("bench", authority.root().as_bytes())?;
    let root = device_roots.iter().last().ok_or("no root")?;
    let anchor = webpki::anchor_from_trusted_cert(&root.certificate.der)?.to_owned();
    let expectations = Expectations { device_roots, ..expectations.clone() };
    let mut reports = Vec::new();
    for number in 0..SERVERS {
        let (report_id, tar, written) = small_evidence(number)?;
        let mut out = EvidenceBuilder::new(Origin::Live);
        let (mut signed, mut devices) = (Vec::new(), Vec::new());
        for gpu in 0..GPUS {
            let pdi = format!("{:016x}", 0x2921_ce55_0000_0000_u64 + (number * GPUS + gpu) as u64);
            let identity = Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: pdi.clone(), until_year: 9999 };
            let signer = authority.device(&identity)?;
            let chain = Chain::parse(signer.chain.as_bytes())?;
            let key_bytes = chain.leaf().public_key.clone();
            let mut certificates: Vec<_> = chain.certificates.into_iter().map(|it| it.der).collect();
            certificates.pop();
            let (address, part) = (format!("0000:{gpu:02x}:00.0"), format!("gpu:0000:{gpu:02x}:00.0"));
            out.part("gpu", &part).fact("gpu.nvml.pdi", format!("0x{pdi}"), "bench");
            for phase in [Phase::Start, Phase::End] {
                let s0 = session_id(None, &key.public().keyid(), &tool().binary_sha256, STARTED);
                let nonce = DeviceNonce { s0, phase, chain_head: None }.of(&address);
                let report = signer.report(&nonce, &Contents { measurements: 64, fields: Vec::new() })?;
                signed.push(DeviceEvidence {
                    format: Format::NvidiaSpdm,
                    via: Via::Nvml,
                    phase,
                    part: part.clone(),
                    nonce: Digest::from_bytes(nonce),
                    report: Inline(report.clone()),
                    cert_chain: Inline(signer.chain.clone().into_bytes()),
                });
                devices.push(SignedByDevice {
                    report,
                    key: key_bytes.clone(),
                    certificates: certificates.clone(),
                    anchor: anchor.clone(),
                    // Between 2020 and 9999.
                    time: UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000)),
                });
            }
        }
        let envelope = sign(key, &report_id, written, signed)?;
        reports.push(Case { envelope, tar, evidence: Some(out.finish()), devices });
    }
    compare("servers whose 8 GPUs signed twice,", &reports, key, &expectations)
}

/// The same on more threads. Says nothing on a machine that is busy with something else.
fn scaling(reports: &[Case], expectations: &Expectations) {
    let on = |threads: usize| {
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(report) = reports.get(next.fetch_add(1, Ordering::Relaxed)) {
                        std::hint::black_box(report.verify(expectations));
                    }
                });
            }
        });
        started.elapsed().as_secs_f64()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    for threads in [2, 4, 8, 16].into_iter().filter(|threads| *threads <= cores) {
        // In turns, for the reason that is given in `compare`.
        let (alone, together) = (0..ROUNDS).fold((f64::MAX, f64::MAX), |(alone, together): (f64, f64), _| {
            (alone.min(on(1)), together.min(on(threads)))
        });
        println!("{threads} threads: {:.2} times as fast as one, best of {ROUNDS} in turns", alone / together);
    }
}

/// A hundred thousand reports one after the other, each of another machine: 32 modules and 2 processors, 8 GPUs and 12 drives,
/// 86 ids of parts.
fn flat(key: &Key, expectations: &Expectations) -> Result<bool, Box<dyn std::error::Error>> {
    let tables = yanji::rule::Signatures::embedded()?.tables;
    let before = reset_peak_rss_kib()?;
    let mut batch = Batch::default();
    for number in 0..MANY_REPORTS {
        let mut tar = Vec::new();
        let written = evidence_tar::write(vec![item("host.tar.zst", Content::Bytes(vec![0; 512]))], &mut tar)?;
        let envelope = sign(key, &format!("report-{number}"), written, Vec::new())?;
        let verified = Verified::new(&envelope, Some(&tar[..]), expectations, &mut |statement, items| {
            let mut out = EvidenceBuilder::new(Origin::Live);
            let uuid = format!("4c4c4544-0042-3510-8056-{number:012x}");
            out.part("platform", "platform").fact("platform.smbios.system_uuid", uuid, "bench");
            let mut id = |scope: &str, fact: &'static str, part: usize, id: String| {
                _ = out.part(scope, &format!("{scope}:{part}")).fact(fact, id, "bench");
            };
            for part in 0..32 {
                id("dimm", "dimm.spd.module_id", part, format!("80CE01{:012X}", number * 32 + part));
                id("dimm", "dimm.smbios.serial", part, format!("{:08X}", 0x1000_0000 + number * 32 + part));
            }
            for part in 0..12 {
                id("drive", "drive.serial", part, format!("S6ZXNX{:08}", number * 12 + part));
            }
            for part in 0..8 {
                id("gpu", "gpu.nvml.uuid", part, format!("GPU-4c4c4544-0042-3510-8056-{:012x}", number * 8 + part));
            }
            for part in 0..2 {
                id("cpu", "cpu.sysfs.ppin", part, format!("{:016x}", 0x1000_0000 + number * 2 + part));
            }
            Ok(Rederived { sighting: Sighting::of(&out.finish(), &tables), ..agree(statement, items)? })
        });
        let report = batch.add(&format!("reports/{number:06}"), verified);
        if !report.is_valid() {
            return Err(format!("report {number}: {:?}", report.failures).into());
        }
    }
    let peak = peak_rss_kib()?;
    println!(
        "{MANY_REPORTS} reports of as many machines with 86 ids of parts each: RSS {} KiB before, peak {peak} KiB",
        before
    );
    Ok(peak < 200 << 10)
}

/// One report with 256 MiB of evidence, in that many items, from a file in the page cache.
fn large(
    folder: &Path,
    key: &Key,
    expectations: &Expectations,
    items: u64,
) -> Result<bool, Box<dyn std::error::Error>> {
    let item_path = folder.join("item");
    let content: Vec<u8> = (0..EVIDENCE_BYTES / items).map(|at| ((at * 0x9e37_79b9) >> 7) as u8).collect();
    std::fs::write(&item_path, &content)?;
    let tar_path = folder.join("evidence.tar");
    let list = (0..items).map(|number| item(&format!("item-{number:02}"), Content::File(item_path.clone())));
    let written = evidence_tar::write(list.collect(), File::create(&tar_path)?)?;
    let envelope = sign(key, "large", written, Vec::new())?;
    let parsed = Envelope::parse(&envelope)?;
    let message = envelope::pae(&parsed.payload);

    let mut grown_kib = 0;
    let (mut ring_best, mut ours_best, mut read_best) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        // The whole and each item: every byte of evidence twice, on one thread, already in memory.
        let tar = std::fs::read(&tar_path)?;
        let started = Instant::now();
        let mut whole = Context::new(&SHA256);
        whole.update(&tar);
        std::hint::black_box(whole.finish());
        for number in 0..items {
            let start = (number * (content.len() as u64 + 512)) as usize;
            std::hint::black_box(ring::digest::digest(&SHA256, &tar[start..start + content.len()]));
        }
        let valid = key.public().verify(&message, &parsed.signatures[0].bytes);
        ring_best = ring_best.min(started.elapsed().as_secs_f64());
        drop(tar);

        let before = reset_peak_rss_kib()?;
        let started = Instant::now();
        let report = verify(&envelope, Some(File::open(&tar_path)?), expectations, &mut agree);
        ours_best = ours_best.min(started.elapsed().as_secs_f64());
        grown_kib = peak_rss_kib()?.saturating_sub(before);
        if !valid || !report.is_valid() {
            return Err("a genuine report did not verify".into());
        }

        let started = Instant::now();
        let mut chunk = vec![0; 256 << 10];
        let mut file = File::open(&tar_path)?;
        while file.read(&mut chunk)? > 0 {}
        read_best = read_best.min(started.elapsed().as_secs_f64());
    }
    let rate = |seconds: f64| EVIDENCE_BYTES as f64 / 1e6 / seconds;
    let ratio = ring_best / ours_best;
    println!(
        "256 MiB in {items} items, best of {ROUNDS}: verify {:.0} MB/s, ring alone {:.0} MB/s (each byte hashed twice, \
         one thread, in memory), ratio {ratio:.2}; reading alone {:.0} MB/s; verify adds {} KiB to the RSS",
        rate(ours_best),
        rate(ring_best),
        rate(read_best),
        grown_kib
    );
    Ok(ratio >= 0.70)
}

fn item(id: &str, content: Content) -> Item {
    Item { id: id.to_owned(), media_type: "application/octet-stream".to_owned(), content }
}

fn agree(statement: &Statement, _: &EvidenceItems<'_>) -> Result<Rederived, Failure> {
    Ok(repeat(statement))
}

/// What a re-evaluation gives that agrees.
fn repeat(statement: &Statement) -> Rederived {
    Rederived {
        checks: statement.predicate.checks.clone(),
        verdict: statement.predicate.verdict.clone(),
        identity: None,
        subjects: None,
        same_signatures: true,
        signatures: None,
        burn: None,
        sighting: Default::default(),
        evidence: None,
    }
}

fn tool() -> Tool {
    Tool { version: "0.1.0".to_owned(), binary_sha256: Digest::of(b"tool"), git_commit: None, loaded_libs: Vec::new() }
}

fn sign(
    key: &Key,
    report_id: &str,
    written: evidence_tar::Written,
    device_evidence: Vec<DeviceEvidence>,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let tool = tool();
    let predicate = Predicate {
        report_id: report_id.to_owned(),
        previous: None,
        platform: None,
        challenge: None,
        session: Session {
            s0: session_id(None, &key.public().keyid(), &tool.binary_sha256, STARTED),
            started_at: STARTED.to_owned(),
            ended_at: STARTED.to_owned(),
            boot_id: None,
            chain_head: None,
        },
        tool,
        databases: Vec::new(),
        origin: Origin::Live,
        policy: PolicyRef { name: "default".to_owned(), sha256: Digest::of(b"policy") },
        identity: serde_json::json!({"system": {"serial": report_id}}),
        burnin: None,
        condition: None,
        disclosures: Vec::new(),
        claims: Default::default(),
        device_evidence,
        evidence: Vec::new(),
        checks: (0..40)
            .map(|number| Check { id: format!("cpu.rule-{number}"), part: "cpu:0".to_owned(), outcome: Outcome::Clear })
            .collect(),
        verdict: SignedVerdict { result: policy::Verdict::Accepted, assurance: Assurance::L0, reasons: Vec::new() },
    };
    let mut statement = Statement::new(predicate, Vec::new())?;
    statement.set_evidence(written);
    Ok(Envelope::sign(statement.to_json()?, key).to_json().into_bytes())
}

/// Forgets the peak so far (proc(5), `/proc/pid/clear_refs`) and gives what is in use now.
fn reset_peak_rss_kib() -> io::Result<u64> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    peak_rss_kib()
}

/// `VmHWM` of `/proc/self/status`.
fn peak_rss_kib() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0))
}
