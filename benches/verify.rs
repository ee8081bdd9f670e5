//! How fast reports are verified, beside ring doing nothing but the same hashing and signature checks; how that grows with
//! the threads; and what memory a hundred thousand reports take.
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
use yanji::attest::Digest;
use yanji::attest::envelope::{self, Envelope};
use yanji::attest::evidence_tar::{self, Content, Item};
use yanji::attest::key::Key;
use yanji::attest::statement::{Assurance, PolicyRef, Predicate, Session, SignedVerdict, Statement, Tool, session_id};
use yanji::attest::trust::TrustedKeys;
use yanji::attest::verify::{Batch, EvidenceItems, Expectations, Rederived, Verified, verify};
use yanji::evidence::{EvidenceBuilder, Origin};
use yanji::ledger::Sighting;
use yanji::policy;
use yanji::rule::{Check, Outcome};

const EVIDENCE_BYTES: u64 = 256 << 20;
const SMALL_REPORTS: usize = 10_000;
const MANY_REPORTS: usize = 100_000;
const ROUNDS: usize = 5;
const STARTED: &str = "2026-03-01T10:00:00Z";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("slower than 0.70 of ring alone, or more than 200 MiB");
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
            let content = format!("host {number}").repeat(100).into_bytes();
            let mut tar = Vec::new();
            let written = evidence_tar::write(vec![item("host.tar.zst", Content::Bytes(content))], &mut tar)?;
            Ok(Small { envelope: sign(&key, &format!("report-{number}"), written)?, tar })
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    all_fast &= small(&reports, &key, &expectations)?;
    scaling(&reports, &expectations);
    drop(reports);

    for items in [1, 4, 64] {
        all_fast &= large(folder.path(), &key, &expectations, items)?;
    }
    Ok(all_fast)
}

/// A report whose evidence is a few hundred bytes.
struct Small {
    envelope: Vec<u8>,
    tar: Vec<u8>,
}

impl Small {
    fn verify(&self, expectations: &Expectations) -> Verified {
        Verified::new(&self.envelope, Some(&self.tar[..]), expectations, &mut agree)
    }
}

/// Many small reports on one thread.
fn small(reports: &[Small], key: &Key, expectations: &Expectations) -> Result<bool, Box<dyn std::error::Error>> {
    let parsed: Vec<(Vec<u8>, Vec<u8>, [u8; 64])> = reports
        .iter()
        .map(|report| {
            let envelope = Envelope::parse(&report.envelope)?;
            Ok((envelope::pae(&envelope.payload), envelope.payload, envelope.signatures[0].bytes))
        })
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let (mut ring_best, mut ours_best) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (mut ring_time, mut ours_time) = (Duration::ZERO, Duration::ZERO);
        let mut batch = Batch::default();
        // In turns, so that a machine that is slower for a while is so for both.
        for (reports, parsed) in reports.chunks(100).zip(parsed.chunks(100)) {
            let started = Instant::now();
            for (report, (message, payload, signature)) in reports.iter().zip(parsed) {
                // Envelope, statement, container, the item in it; then the signature.
                for bytes in [&report.envelope, payload, &report.tar] {
                    std::hint::black_box(ring::digest::digest(&SHA256, bytes));
                }
                std::hint::black_box(ring::digest::digest(&SHA256, &report.tar[512..report.tar.len() - 1024]));
                if !key.public().verify(message, signature) {
                    return Err("a genuine report did not verify".into());
                }
            }
            ring_time += started.elapsed();

            let rederived = parsed.iter().map(|(_, payload, _)| Ok(repeat(&serde_json::from_slice(payload)?)));
            let rederived = rederived.collect::<Result<Vec<_>, serde_json::Error>>()?;
            let started = Instant::now();
            for (report, rederived) in reports.iter().zip(rederived) {
                let mut rederived = Some(rederived);
                let mut rederive = |_: &Statement, _: &EvidenceItems<'_>| rederived.take().ok_or_else(String::new);
                let verified = Verified::new(&report.envelope, Some(&report.tar[..]), expectations, &mut rederive);
                if !batch.add("report", verified).is_valid() {
                    return Err("a genuine report did not verify".into());
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
        "{} reports of {} + {} bytes on one thread, best of {ROUNDS}: verify {:.0} reports/s, ring alone {:.0} reports/s, \
         ratio {ratio:.2}",
        reports.len(),
        reports[0].envelope.len(),
        reports[0].tar.len(),
        rate(ours_best),
        rate(ring_best)
    );
    Ok(ratio >= 0.70)
}

/// The same on more threads. Says nothing on a machine that is busy with something else.
fn scaling(reports: &[Small], expectations: &Expectations) {
    let on = |threads: usize| {
        let times = (0..ROUNDS).map(|_| {
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
        });
        times.fold(f64::MAX, f64::min)
    };
    let alone = on(1);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    for threads in [2, 4, 8, 16].into_iter().filter(|threads| *threads <= cores) {
        println!("{threads} threads: {:.2} times as fast as one", alone / on(threads));
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
        let envelope = sign(key, &format!("report-{number}"), written)?;
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
    let envelope = sign(key, "large", written)?;
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

fn agree(statement: &Statement, _: &EvidenceItems<'_>) -> Result<Rederived, String> {
    Ok(repeat(statement))
}

/// What a re-evaluation gives that agrees.
fn repeat(statement: &Statement) -> Rederived {
    Rederived {
        checks: statement.predicate.checks.clone(),
        verdict: statement.predicate.verdict.clone(),
        identity: None,
        same_signatures: true,
        signatures: None,
        burn: None,
        sighting: Default::default(),
        evidence: None,
    }
}

fn sign(key: &Key, report_id: &str, written: evidence_tar::Written) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let tool = Tool {
        version: "0.1.0".to_owned(),
        binary_sha256: Digest::of(b"tool"),
        git_commit: None,
        loaded_libs: Vec::new(),
    };
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
        device_evidence: Vec::new(),
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
