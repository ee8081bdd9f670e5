//! Copies to other GPUs against the NVLinks that the driver says lead there. Where none does, nothing is expected: PCIe
//! topologies differ too much.

use super::super::{Gpu, integer};
use super::Shortfalls;
use crate::evidence::{Part, Reading, Value};

/// Copies below this share of the links' rate are more than protocol and a busy switch cost.
const PERMILLE: i64 = 400;
/// 10^6 bytes a second of a link and direction, by the version that NVML tells (NVIDIA's architecture papers).
const LINK: [(&str, i64); 7] = [
    ("1.0", 20_000),
    ("2.0", 25_000),
    ("2.2", 25_000),
    ("3.0", 25_000),
    ("3.1", 25_000),
    ("4.0", 25_000),
    ("5.0", 50_000),
];

pub(super) fn compare(part: &Part, all: &[Gpu<'_>]) -> Reading {
    let active = integer(part, "gpu.nvml.nvlink.active");
    if !matches!(active, Reading::Known(1..)) {
        return Reading::Absent;
    }
    let texts = |path: &str| match part.reading(path) {
        Some(Reading::Known(Value::List(items))) => {
            items.iter().filter_map(Value::as_text).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let (remotes, versions): (Vec<String>, Vec<String>) =
        (texts("gpu.nvml.nvlink.remotes"), texts("gpu.nvml.nvlink.versions"));
    let address = |gpu: &Gpu<'_>| gpu.part.id.trim_start_matches("gpu:").to_owned();
    let to_gpus = remotes.iter().any(|remote| all.iter().any(|gpu| address(gpu) == *remote));
    let each = LINK.iter().find(|(version, _)| versions.first().is_some_and(|it| it == version)).map(|(_, rate)| *rate);
    let (Some(each), false) = (each, remotes.is_empty()) else { return Reading::Absent };

    let copies = match part.reading("gpu.burn.peer.copies") {
        Some(Reading::Known(_)) => texts("gpu.burn.peer.copies"),
        Some(unread) => return unread.clone(),
        None => return Reading::Absent,
    };
    let mut low = Shortfalls::default();
    for pair in &copies {
        let Some((to, rest)) = pair.split_once(": ") else { continue };
        // Links lead to the GPU itself, or all of them to switches.
        let links = if to_gpus { remotes.iter().filter(|remote| *remote == to).count() } else { remotes.len() } as i64;
        if links == 0 {
            continue;
        }
        match rest.split(' ').next().and_then(|rate| rate.parse::<i64>().ok()) {
            Some(rate) if rate < links * each * PERMILLE / 1000 => {
                low.found(format!("{rate} MB/s to {to}, over {links} NVLinks of {each}"));
            }
            Some(_) => low.looked(),
            None => low.missing(Reading::Failed(format!("{to}: {rest}"))),
        }
    }
    low.reading()
}
