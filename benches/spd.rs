//! Images a second that one core decodes, and how long the check of a server with 32 modules takes:
//! `cargo bench --bench spd [FILE…]`. Without files, images made here are used.
//!
//! Time is that of the thread on a core (proc(5), `schedstat`), so that other work on the machine does not count.

use std::hint::black_box;
use std::time::Duration;

use support::spd::SpdImage;
use support::{Dimm, RecordedMachine};
use yanji::collect::collect;
use yanji::inspection;
use yanji::parse::spd;
use yanji::rule::Signatures;

#[path = "../tests/it"]
#[allow(dead_code, clippy::unwrap_used, reason = "the builders of the tests")]
mod it {
    pub mod support;
}
use it::support;

const RUN: Duration = Duration::from_secs(2);

fn main() {
    let files: Vec<Vec<u8>> = std::env::args().skip(1).filter_map(|path| std::fs::read(path).ok()).collect();
    for (name, kind, bytes) in [("DDR4", 0x0c, 512), ("DDR5", 0x12, 1024)] {
        let mut images: Vec<Vec<u8>> =
            files.iter().filter(|image| image.len() == bytes && image.get(2) == Some(&kind)).cloned().collect();
        if images.is_empty() {
            // What is decoded does not depend on whether the sums fit.
            images = (0..64u32).map(|seed| made(kind, bytes, seed)).collect();
        }
        let decode = rate(&images, |image| {
            black_box(
                spd::parse(image).map(|spd| (spd.geometry, spd.timing, spd.module_id(), spd.checksums().count())).ok(),
            );
        });
        let texts = rate(&images, |image| {
            let Ok(spd) = spd::parse(image) else { return };
            black_box((spd.part_number(), spd.lot(), spd.oem_mark(), spd.profiles(), spd.error_log_entries()));
            black_box((spd.samsung_long_serial(), spd.parity_bad(), spd.unknown_makers(), spd.date()));
        });
        println!("{name}: {decode:.0} images a second, {texts:.0} with every text ({} different ones)", images.len());
    }
    server();
}

/// A server with 32 modules, read into memory before: collectors, derived facts, rules and verdict.
fn server() {
    const ROUNDS: u32 = 20;
    let machine = RecordedMachine::server().with(|machine| {
        machine.dimms = (0..32).map(Dimm::ddr5).collect();
        machine.meminfo_bytes = None;
    });
    // Firmware prints the nine bytes that name the module.
    let images = machine.dimms.iter().map(|dimm| {
        let id = hex::decode(&dimm.serial).expect("nine bytes");
        let serial = [id[5], id[6], id[7], id[8]];
        SpdImage { location: id[2], date: [id[3], id[4]], serial, ..SpdImage::ddr5_rdimm() }.build()
    });
    let host = machine.clone().images(&images.collect::<Vec<_>>()).host();
    let started = on_core();
    let signatures = Signatures::embedded().expect("the embedded set loads");
    let loaded = on_core() - started;
    let (mut collecting, mut judging) = (Duration::ZERO, Duration::ZERO);
    let mut counts = None;
    for _ in 0..ROUNDS {
        let started = on_core();
        let evidence = black_box(collect(&host));
        let collected = on_core();
        counts = Some(black_box(inspection::assess(evidence, &signatures)).judgement.counts);
        collecting += collected - started;
        judging += on_core() - collected;
    }
    let [loaded, collecting, judging] =
        [loaded, collecting / ROUNDS, judging / ROUNDS].map(|time| time.as_secs_f64() * 1e3);
    println!(
        "32 modules: {:.1} ms (wanted: under 20), {collecting:.1} to collect and {judging:.1} to judge; {counts:?}; \
         the rules are loaded in {loaded:.1} ms before",
        collecting + judging
    );
}

fn rate(images: &[Vec<u8>], mut work: impl FnMut(&[u8])) -> f64 {
    const ROUNDS: usize = 1000;
    let (started, mut done) = (on_core(), 0u64);
    loop {
        for image in images.iter().cycle().take(ROUNDS) {
            work(black_box(image));
        }
        done += ROUNDS as u64;
        let used = on_core().saturating_sub(started);
        if used > RUN {
            return done as f64 / used.as_secs_f64();
        }
    }
}

/// Time that this thread has had on a core.
fn on_core() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the kernel counts the time of threads"))
}

/// An image of that kind whose other bytes come from a small generator.
fn made(kind: u8, bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut image: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect();
    image[2..4].copy_from_slice(&[kind, 1]);
    image
}
