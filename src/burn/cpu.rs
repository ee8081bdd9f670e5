//! The load on processors: arithmetic whose result is known in advance, on every core.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use yanji_loops::{Loop, VARIANTS, Width};

use super::worker::{Control, Counters, CpuCounters, CpuPlace, Message, pin};

/// Wrong results that are described one by one for each CPU; later ones are counted only.
const MAX_DETAILED_ERRORS_PER_CPU: u64 = 8;

/// A core that calculated wrongly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuError {
    /// Logical CPU number.
    pub cpu: u32,
    /// Which loop.
    #[serde(rename = "loop")]
    pub arithmetic: Loop,
    /// Register width.
    pub width: Width,
    /// Which input.
    pub variant: usize,
    /// Known answer, as `0x` text.
    pub expected: String,
    /// What the core calculated.
    pub found: String,
}

/// Compares a fold with the known answer.
fn check(cpu: u32, arithmetic: Loop, width: Width, variant: usize, found: u64) -> Option<CpuError> {
    let expected = arithmetic.known_answers()[variant];
    (found != expected).then(|| CpuError {
        cpu,
        arithmetic,
        width,
        variant,
        expected: format!("{expected:#018x}"),
        found: format!("{found:#018x}"),
    })
}

/// What one pinned thread has done.
#[derive(Default)]
struct Tally {
    fma_blocks: AtomicU64,
    fma_nanoseconds: AtomicU64,
    integer_blocks: AtomicU64,
    errors: AtomicU64,
    pinned: AtomicBool,
}

/// Runs both loops in turn on every CPU, one pinned thread each, until the deadline or a stop.
pub(super) fn run(cpus: &[CpuPlace], control: &Control) -> Counters {
    let width = Width::detect();
    let tallies: Vec<Tally> = cpus.iter().map(|_| Tally::default()).collect();
    control.send(&Message::Started { width, mapped_bytes: None, locked: None, lock_error: None });
    thread::scope(|scope| {
        for (place, tally) in cpus.iter().zip(&tallies) {
            scope.spawn(move || load(place.cpu, width, tally, control));
        }
        let mut seen = vec![(0, Instant::now()); tallies.len()];
        while !control.over() {
            thread::sleep(Duration::from_millis(250));
            let mut stalled = None;
            for ((place, tally), (blocks, since)) in cpus.iter().zip(&tallies).zip(&mut seen) {
                let now = tally.fma_blocks.load(Ordering::Relaxed) + tally.integer_blocks.load(Ordering::Relaxed);
                if now != *blocks || !tally.pinned.load(Ordering::Relaxed) {
                    (*blocks, *since) = (now, Instant::now());
                }
                let seconds = since.elapsed().as_secs();
                if seconds > 0 && stalled.is_none_or(|(_, longest)| longest < seconds) {
                    stalled = Some((place.cpu, seconds));
                }
            }
            control.progress(Counters::Cpu(counters(&tallies)), "arithmetic", stalled);
        }
    });
    Counters::Cpu(counters(&tallies))
}

fn counters(tallies: &[Tally]) -> CpuCounters {
    let sum = |field: fn(&Tally) -> &AtomicU64| tallies.iter().map(|tally| field(tally).load(Ordering::Relaxed)).sum();
    let fma_blocks: u64 = sum(|tally| &tally.fma_blocks);
    let integer_blocks: u64 = sum(|tally| &tally.integer_blocks);
    CpuCounters {
        fma_blocks,
        fma_milliseconds: sum(|tally| &tally.fma_nanoseconds) / 1_000_000,
        checked_blocks: fma_blocks + integer_blocks,
        errors: sum(|tally| &tally.errors),
        cpus: tallies.len() as u64,
        cpus_checked: tallies
            .iter()
            .filter(|tally| {
                tally.fma_blocks.load(Ordering::Relaxed) > 0 && tally.integer_blocks.load(Ordering::Relaxed) > 0
            })
            .count() as u64,
    }
}

/// The load of one core. A thread that can't be pinned checks nothing: its results would speak of another core.
fn load(cpu: u32, width: Width, tally: &Tally, control: &Control) {
    if pin(cpu).is_err() {
        return;
    }
    tally.pinned.store(true, Ordering::Relaxed);
    for variant in (0..VARIANTS).cycle() {
        for arithmetic in [Loop::Fma, Loop::Integer] {
            if control.over() {
                return;
            }
            let start = Instant::now();
            let found = arithmetic.block(width, variant);
            if let Some(error) = check(cpu, arithmetic, width, variant, found)
                && tally.errors.fetch_add(1, Ordering::Relaxed) < MAX_DETAILED_ERRORS_PER_CPU
            {
                control.send(&Message::CpuError(error));
            }
            if arithmetic == Loop::Fma {
                tally.fma_nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                tally.fma_blocks.fetch_add(1, Ordering::Relaxed);
            } else {
                tally.integer_blocks.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_the_known_answer() {
        for arithmetic in [Loop::Fma, Loop::Integer] {
            for variant in 0..VARIANTS {
                for width in Width::available() {
                    let found = arithmetic.block(width, variant);
                    assert_eq!(check(0, arithmetic, width, variant, found), None);
                }
            }
        }
    }

    #[test]
    fn a_wrong_bit_names_the_core() {
        let found = Loop::Integer.known_answers()[1] ^ 1;
        let error = check(3, Loop::Integer, Width::Avx2, 1, found).expect("a wrong answer");
        assert_eq!((error.cpu, error.arithmetic, error.variant), (3, Loop::Integer, 1));
        assert_ne!(error.expected, error.found);
    }
}
