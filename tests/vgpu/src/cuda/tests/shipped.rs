//! The kernels that the project ships: every one has to be known to the decoder.

use std::path::{Path, PathBuf};

use super::{Memory, Run};
use crate::cuda::exec::MemoryFaults;

fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/built")
}

/// The text of a module that is shipped. `None` where none is built.
fn shipped(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(built().join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: no kernels");
    }
    text
}

#[test]
fn every_shipped_kernel_loads() {
    let mut loaded = 0;
    for entry in std::fs::read_dir(built()).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "ptx") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Matrix instructions of warp groups are refused, and are for silicon alone.
        let refused = text.contains("wgmma.") || text.contains("tcgen05.");
        match super::load(&text) {
            Ok(module) => {
                assert!(!refused && !module.programs.is_empty(), "{}", path.display());
                loaded += 1;
            }
            Err(bad) => assert!(refused, "{}: {bad}", path.display()),
        }
    }
    if loaded == 0 {
        eprintln!("skipped: no kernels");
    }
}

/// Words of the error log, as kernels/error_log.h has them.
const CHECKED: usize = 2;
const WRONG: usize = 3;
const FIRST_WRONG: usize = 5;
const BITS_GAINED: usize = 8;

#[test]
fn the_shipped_memory_kernels_find_a_bit_that_is_stuck() {
    let Some(source) = shipped("memory.ptx") else { return };
    const BYTES: usize = 1 << 20;
    const VECTORS: u64 = BYTES as u64 / 16;
    let memory = Memory::zeros(BYTES);
    let run = |kernel: &'static str, mode: u64, stuck: Option<u64>| {
        let mut log = vec![0u64; 16 + 8 * 64];
        (log[0], log[FIRST_WRONG]) = (64, u64::MAX);
        let log = Memory::of(&log);
        let mut launch = Run::new(&source).threads(8, 256).memory(&memory);
        launch.kernel = Some(kernel);
        // base, count, first index, mode, seed, descending, log.
        launch = launch.number(VECTORS).number(1 << 30).number(mode).number(0x1234_5678).number(mode & 1).memory(&log);
        if let Some(at) = stuck {
            launch.faults = MemoryFaults { stuck: vec![(memory.address() + at, 6, true)], ..MemoryFaults::default() };
        }
        let outcome = launch.go().unwrap_or_else(|stop| panic!("{}", stop.what));
        (log.words().to_vec(), outcome)
    };
    for mode in 0..4 {
        run("memory_fill", mode, None);
        let (log, outcome) = run("memory_verify", mode, None);
        assert_eq!((log[CHECKED], log[WRONG]), (VECTORS, 0), "mode {mode}");
        assert!(outcome.device_bytes >= BYTES as u64 && outcome.device_bytes < BYTES as u64 * 2);
        // A bit that is clear as written; the byte decides where that is.
        let bytes: Vec<u8> = memory.words().iter().flat_map(|it| it.to_le_bytes()).collect();
        let at = (0x8000..).find(|&at| bytes[at] & 1 << 6 == 0);
        // Zeros and ones have no such byte in one of the two.
        let Some(at) = at.filter(|&at| at < BYTES) else { continue };
        let (log, _) = run("memory_verify", mode, Some(at as u64));
        assert_eq!((log[WRONG], log[FIRST_WRONG], log[BITS_GAINED]), (1, (1 << 30) + at as u64 / 16, 1), "mode {mode}");
    }
}

#[test]
fn the_shipped_compute_kernels_give_the_same_on_every_multiprocessor() {
    for (module, kernels) in [
        ("compute_70.ptx", &["compute_f32", "compute_f64", "compute_f16"][..]),
        ("compute_75.ptx", &["compute_f16", "compute_s8"]),
        ("compute_80.ptx", &["compute_f16", "compute_bf16", "compute_tf32", "compute_s8", "compute_f64_tensor"]),
        ("compute_89.ptx", &["compute_e4m3"]),
    ] {
        let Some(source) = shipped(module) else { return };
        for kernel in kernels {
            for mode in [0, 1] {
                let out = Memory::zeros(8 * 1024);
                // Results, iterations, seed, mode.
                let mut launch = Run::new(&source).threads(4, 256).memory(&out).number(3).number(42).number(mode);
                launch.kernel = Some(kernel);
                launch.go().unwrap_or_else(|stop| panic!("{}", stop.what));
                // Fold, SM, clocks and nanoseconds of each block.
                let records: Vec<&[u64]> = out.words().chunks(4).take(4).collect();
                for (block, record) in records.iter().enumerate() {
                    assert!(record[0] != 0 && record[0] == records[0][0], "{module} {kernel}: {records:x?}");
                    assert!(
                        record[1] == block as u64 && record[2] > 0 && record[3] > 0,
                        "{module} {kernel}: {records:x?}"
                    );
                }
            }
        }
    }
}
