//! Memory: errors where enough of it was tested, and bandwidth against clock and width of the bus.

use super::super::{Facts, Gpu, integer, known};
use super::Shortfalls;
use super::expected::Expected;
use crate::evidence::{Part, Reading};

/// Less of the memory under test than that proves nothing about its size.
const COVERAGE_PERMILLE: i64 = 970;
/// CUDA gives a program less memory than NVML counts, but not less than this share.
const CUDA_PERMILLE: i64 = 850;
/// Bandwidth that every known card reaches, in thousandths of clock x bus width, where there is no better figure.
const BANDWIDTH_FLOOR_PERMILLE: i64 = 600;

pub(super) fn compare(gpu: &Gpu<'_>, expected: &Reading<Expected<'_>>, facts: &mut Facts) {
    let part = gpu.part;
    let covered = covered(gpu);
    for (path, count) in [
        ("gpu.burned.aliased_vectors", "gpu.burn.aliased_vectors"),
        ("gpu.burned.memory_errors", "gpu.burn.memory_errors"),
    ] {
        let count = integer(part, count).and_then(|count| match count {
            0 => covered.as_ref().map(|_| 0),
            found => Reading::Known(found),
        });
        facts.insert(path, count.value());
    }
    bandwidth(part, expected, facts);
    facts.insert("gpu.burned.memory_repairs", repairs(part));
}

/// Whether enough was tested of the memory that the card is said to have.
fn covered(gpu: &Gpu<'_>) -> Reading<()> {
    let total = integer(gpu.part, "gpu.burn.total_bytes");
    if let (Reading::Known(total), Reading::Known(mib)) = (&total, &gpu.memory_mib)
        && (total >> 20) * 1000 < mib * CUDA_PERMILLE
    {
        return Reading::Failed(format!("CUDA gives {} MiB of {mib} MiB that NVML reports", total >> 20));
    }
    integer(gpu.part, "gpu.burn.coverage_permille").and_then(|share| match share {
        COVERAGE_PERMILLE.. => Reading::Known(()),
        _ => {
            Reading::Failed(format!("{}.{} % of the memory was tested, and 97 % is the least", share / 10, share % 10))
        }
    })
}

fn bandwidth(part: &Part, expected: &Reading<Expected<'_>>, facts: &mut Facts) {
    let kinds =
        ["read", "copy", "triad"].map(|kind| integer(part, &format!("gpu.burn.bandwidth.{kind}_mb_per_second")));
    let unread = || kinds.iter().find(|kind| kind.known().is_none()).cloned().unwrap_or(Reading::Absent);
    let best = kinds.iter().filter_map(Reading::known).max().map_or_else(unread, |best| Reading::Known(*best));
    let of = |field: &str| expected.known().and_then(|it| it.integer(field));

    let bus = match integer(part, "gpu.burn.cuda.bus_width_bits") {
        Reading::Known(bits) => Reading::Known(bits),
        other => integer(part, "gpu.nvml.bus_width_bits").into_known().map_or(other, Reading::Known),
    };
    // Two transfers a clock as NVML counts it, eight bits a byte.
    let own = best.clone().and_then(|best| {
        integer(part, "gpu.burn.clock.memory_median_mhz")
            .and_then(|mhz| bus.map(|bits| best.saturating_mul(4000) / mhz.saturating_mul(bits).max(1)))
    });
    let of_part = best.and_then(|best| match of("bandwidth_mb_per_second") {
        Some(product) => Reading::Known(best.saturating_mul(1000) / product.max(1)),
        None => Reading::Failed("the tables don't say what bandwidth this part has".to_owned()),
    });
    let floor = of("bandwidth_floor_permille").unwrap_or(BANDWIDTH_FLOOR_PERMILLE);
    let mut low = Shortfalls::default();
    for (share, what) in [(&own, "memory clock x bus width of the card"), (&of_part, "the product's bandwidth")] {
        match share {
            Reading::Known(share) if *share < floor => {
                low.found(format!("{share} permille of {what}, where {floor} are the least"));
            }
            Reading::Known(_) => low.looked(),
            _ => {}
        }
    }
    // One of the two is enough.
    if !low.looked {
        low.missing(own.clone().value());
    }
    facts.insert("gpu.burned.bandwidth_shortfalls", low.reading());
    facts.insert("gpu.burned.bandwidth_permille", own.value());
    facts.insert("gpu.burned.bandwidth_of_part_permille", of_part.value());
}

/// What ECC could not correct, and rows that were replaced.
fn repairs(part: &Part) -> Reading {
    let mut found = Shortfalls::default();
    let counts = [
        ("gpu.burn.ecc.volatile_uncorrected_growth", "uncorrected ECC errors"),
        ("gpu.burn.remap.growth", "rows remapped or pages retired"),
    ];
    let readings = counts.map(|(path, words)| (integer(part, path), words));
    // A card without ECC counts neither.
    if readings.iter().all(|(reading, _)| *reading == Reading::Unsupported) {
        return Reading::Absent;
    }
    for (reading, words) in readings {
        match reading {
            Reading::Known(0) => found.looked(),
            Reading::Known(count) => found.found(format!("{count} {words}")),
            // Not every card with ECC repairs.
            Reading::Unsupported => {}
            unread => found.missing(unread.value()),
        }
    }
    match found.reading() {
        Reading::Absent => known(Vec::<String>::new()),
        reading => reading,
    }
}
