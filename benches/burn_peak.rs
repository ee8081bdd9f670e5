//! Speed of the burn-in against stressapptest and against plain loops that check nothing. See `burn.sh`.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use yanji::burn::{self, CpuProfile, FMA_BLOCK_FLOPS, MemoryProfile, Profile, Request, Start, Summary, Width};
use yanji::host::LiveHost;

/// Rounds in which everything is measured once: other load on the machine comes and goes.
const ROUNDS: usize = 3;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let bytes = numbers.next().unwrap_or(4096) << 20;
    let seconds = numbers.next().unwrap_or(8);
    let time = Duration::from_secs(seconds);
    let cpus = thread::available_parallelism().unwrap().get();
    println!("{cpus} CPUs, {} MiB, {ROUNDS} rounds of {seconds} s each, width {:?}", bytes >> 20, Width::detect());
    println!("plain: read and as much written, GB/s; wide loads, exclusive or, wide stores, no check");
    println!("burn: verified, GB/s, half as much written, first touch excluded");
    println!("stressapptest: as reported, GB/s; it counts every copied byte twice, as read and as written");
    println!("FMA: GFLOP/s of doubles a core; burn: thread time of its FMA blocks, set-up and check included");
    let (mut to_plain, mut to_sat, mut to_peak) = (vec![], vec![], vec![]);
    let mut errors = 0;
    for round in 1..=ROUNDS {
        let plain = plain_read_write(bytes as usize, cpus, time);
        let memory =
            MemoryProfile { share_percent: 95, max_bytes: Some(bytes), phase_seconds: seconds, retention_seconds: 0 };
        let memory = burn(Some(memory), None, seconds).memory;
        let verified = memory.timed_verified_bytes as f64 / (memory.timed_milliseconds as f64 / 1e3);
        let sat = stressapptest(bytes, cpus, seconds);
        let peak = plain_fma(cpus, time / 2);
        let cpu = burn(None, Some(CpuProfile { phase_seconds: seconds }), seconds).cpu;
        let checked = (cpu.fma_blocks * FMA_BLOCK_FLOPS) as f64 / (cpu.fma_milliseconds as f64 / 1e3);
        let sat_text = sat.map_or("none".to_owned(), |sat| format!("{:.2}", sat / 1e9));
        println!(
            "round {round}: plain {:.2}, burn {:.2}, stressapptest {sat_text}; FMA plain {:.2}, burn {:.2}",
            plain / 1e9,
            verified / 1e9,
            peak / 1e9,
            checked / 1e9
        );
        to_plain.push(verified / plain);
        to_sat.extend(sat.map(|sat| verified / sat));
        to_peak.push(checked / peak);
        errors += memory.errors + cpu.errors;
    }
    println!("median ratios:");
    print("burn verified / plain read and written, to be at least 0.80", to_plain);
    print("burn verified / stressapptest as reported, to be at least 1.50", to_sat);
    print("burn FMA / plain FMA, to be at least 0.85", to_peak);
    println!("errors: {errors}");
}

fn print(what: &str, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    match ratios.get(ratios.len() / 2) {
        Some(median) => println!("  {median:.2}  {what}"),
        None => println!("  none  {what}: stressapptest is not installed, or printed no figure"),
    }
}

/// Runs the burn as the command does, workers and records included.
fn burn(memory: Option<MemoryProfile>, cpu: Option<CpuProfile>, seconds: u64) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let profile = Profile {
        name: "bench".to_owned(),
        duration_seconds: seconds,
        telemetry_interval_seconds: 10,
        watchdog_seconds: 60,
        memory,
        cpu,
        gpu: None,
    };
    let request = Request {
        folder: folder.path().join("burn"),
        worker: Some(env!("CARGO_BIN_EXE_yanji").into()),
        start: Start::New { profile, genesis: [0; 32], seed: 1 },
    };
    burn::run(&LiveHost::new(), &request, &mut |_| {}, &AtomicBool::new(false)).unwrap()
}

/// What stressapptest reports as "Memory Copy", in bytes a second; its M are 2^20 bytes, and it counts every copied
/// byte twice, as read and as written.
fn stressapptest(bytes: u64, cpus: usize, seconds: u64) -> Option<f64> {
    let output = Command::new("stressapptest")
        .args(["-M", &(bytes >> 20).to_string(), "-m", &cpus.to_string(), "-s", &seconds.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("Memory Copy:"))?;
    let rate = line.rsplit(' ').next()?.strip_suffix("MB/s")?;
    Some(rate.parse::<f64>().ok()? * 1_048_576.0)
}

fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).unwrap();
}

#[derive(Clone, Copy)]
struct Start64(*mut u8);
// SAFETY: each thread gets a part of its own.
unsafe impl Send for Start64 {}

/// Bytes a second that a plain loop reads (and writes back changed).
fn plain_read_write(bytes: usize, cpus: usize, time: Duration) -> f64 {
    let part = bytes / cpus / 4096 * 4096;
    let map = bytes + (2 << 20);
    // SAFETY: a new anonymous mapping.
    let mapping = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            map,
            rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
            rustix::mm::MapFlags::PRIVATE,
        )
        .unwrap()
    };
    let start = mapping.cast::<u8>();
    let start = start.wrapping_add(start.align_offset(2 << 20));
    // SAFETY: inside of the mapping.
    unsafe { rustix::mm::madvise(start.cast(), bytes, rustix::mm::Advice::LinuxHugepage).unwrap() };
    let (total, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for cpu in 0..cpus {
            let start = Start64(start.wrapping_add(cpu * part));
            let (total, longest) = (&total, &longest);
            scope.spawn(move || {
                let start = start;
                pin(cpu);
                // SAFETY: this thread's part of the mapping.
                unsafe { start.0.write_bytes(1, part) };
                let begin = Instant::now();
                while begin.elapsed() < time {
                    // SAFETY: as above, and the width was detected.
                    unsafe { read_write(start.0, part) };
                    total.fetch_add(part as u64, Ordering::Relaxed);
                }
                longest.fetch_max(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
            });
        }
    });
    // SAFETY: nothing uses the mapping any more.
    unsafe { rustix::mm::munmap(mapping, map).unwrap() };
    total.into_inner() as f64 / (longest.into_inner() as f64 / 1e9)
}

unsafe fn read_write(start: *mut u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the contract of this function; the instructions were detected.
    unsafe {
        match Width::detect() {
            Width::Avx512 => return x86::read_write_512(start, bytes),
            Width::Avx2 => return x86::read_write_256(start, bytes),
            Width::Portable => {}
        }
    }
    for word in 0..bytes / 8 {
        let at = start.wrapping_add(8 * word).cast::<u64>();
        // SAFETY: the contract of this function.
        unsafe { at.write_volatile(at.read_volatile() ^ 1) };
    }
}

/// Floating-point operations a second and core: the best of independent chains of fused multiply-adds.
fn plain_fma(cpus: usize, time: Duration) -> f64 {
    const STEPS: u64 = 1 << 20;
    let rates: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cpus)
            .map(|cpu| {
                scope.spawn(move || {
                    pin(cpu);
                    let (begin, mut flops) = (Instant::now(), 0);
                    while begin.elapsed() < time {
                        flops += fma(STEPS);
                    }
                    flops as f64 / begin.elapsed().as_secs_f64()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    rates.iter().sum::<f64>() / rates.len() as f64
}

fn fma(steps: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions were detected.
    unsafe {
        match Width::detect() {
            Width::Avx512 => return x86::fma_512(steps),
            Width::Avx2 => return x86::fma_256(steps),
            Width::Portable => {}
        }
    }
    let mut values = [0.5f64; 8];
    for _ in 0..steps {
        values.iter_mut().for_each(|value| *value = value.mul_add(0.999, 0.001));
    }
    black_box(values);
    steps * 2 * 8
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    #[target_feature(enable = "avx512f")]
    pub unsafe fn read_write_512(start: *mut u8, bytes: usize) {
        let one = _mm512_set1_epi64(1);
        for offset in (0..bytes).step_by(256) {
            for lane in 0..4 {
                let at = start.wrapping_add(offset + 64 * lane).cast();
                // SAFETY: inside of the caller's part.
                unsafe { _mm512_store_si512(at, _mm512_xor_si512(one, _mm512_load_si512(at))) };
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub unsafe fn read_write_256(start: *mut u8, bytes: usize) {
        let one = _mm256_set1_epi64x(1);
        for offset in (0..bytes).step_by(256) {
            for lane in 0..8 {
                let at = start.wrapping_add(offset + 32 * lane).cast();
                // SAFETY: inside of the caller's part.
                unsafe { _mm256_store_si256(at, _mm256_xor_si256(one, _mm256_load_si256(at))) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub fn fma_512(steps: u64) -> u64 {
        let (factor, addend) = (_mm512_set1_pd(0.999), _mm512_set1_pd(0.001));
        let mut values = [_mm512_set1_pd(0.5); 16];
        for _ in 0..steps {
            for value in &mut values {
                *value = _mm512_fmadd_pd(*value, factor, addend);
            }
        }
        black_box(values);
        steps * 2 * 8 * 16
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn fma_256(steps: u64) -> u64 {
        let (factor, addend) = (_mm256_set1_pd(0.999), _mm256_set1_pd(0.001));
        let mut values = [_mm256_set1_pd(0.5); 12];
        for _ in 0..steps {
            for value in &mut values {
                *value = _mm256_fmadd_pd(*value, factor, addend);
            }
        }
        black_box(values);
        steps * 2 * 4 * 12
    }
}
