//! GPUs of one kind against the median of them. That all of them may be weak is for the floors of the part to say.

use super::super::{Gpu, integer};
use super::{Shortfalls, was_tested};
use crate::evidence::{Part, Reading};

/// Below this share of the median, a card is slower than cooling and placement explain.
const LAG_PERMILLE: i64 = 900;
/// With two cards there is no majority: one has to be a good deal slower than the other.
const LAG_OF_TWO_PERMILLE: i64 = 800;
const COMPARED: [(&str, &str); 4] = [
    ("memory bandwidth", "gpu.burn.bandwidth.read_mb_per_second"),
    ("FP32 rate", "gpu.burn.rate.fp32_gflops"),
    ("FP16 rate", "gpu.burn.rate.fp16_gflops"),
    ("SM clock under load", "gpu.burn.clock.sm_median_mhz"),
];

pub(super) fn lagging(gpu: &Gpu<'_>, all: &[Gpu<'_>]) -> Reading {
    let kind = kind(gpu);
    let alike: Vec<&Part> = all
        .iter()
        .filter(|other| other.part.id != gpu.part.id && was_tested(other.part))
        .filter(|other| kind.is_some() && self::kind(other) == kind)
        .map(|other| other.part)
        .collect();
    if alike.is_empty() {
        return Reading::Absent;
    }
    let mut low = Shortfalls::default();
    for (words, path) in COMPARED {
        let own = match integer(gpu.part, path) {
            Reading::Known(own) => own,
            unread => {
                low.missing(unread.value());
                continue;
            }
        };
        let mut values: Vec<i64> = alike.iter().filter_map(|part| part.integer(path)).collect();
        if values.is_empty() {
            low.missing(Reading::Failed(format!("no other GPU has a {words}")));
            continue;
        }
        let least = if values.len() == 1 { LAG_OF_TWO_PERMILLE } else { LAG_PERMILLE };
        values.push(own);
        values.sort_unstable();
        // The upper one of two in the middle: half of the cards being weak does not lower it.
        let median = values[values.len() / 2].max(1);
        let share = own.saturating_mul(1000) / median;
        if share < least {
            low.found(format!("{words}: {share} permille of the median of {} GPUs", values.len()));
        } else {
            low.looked();
        }
    }
    low.reading()
}

/// By device id; by the name that CUDA gives where only the burn-in saw the card.
fn kind(gpu: &Gpu<'_>) -> Option<String> {
    let name = || gpu.part.text("gpu.burn.cuda.name").map(str::to_owned);
    gpu.device_id.known().cloned().or_else(name)
}
