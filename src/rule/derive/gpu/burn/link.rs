//! The PCIe link under load.

use super::super::{Facts, first_reason, integer};
use super::Shortfalls;
use crate::evidence::{Part, Reading};

/// Copies below this share of the link's rate are more than headers, encoding and a remote processor cost.
const COPY_PERMILLE: i64 = 450;
/// 10^6 bytes a second of a lane by generation, encoding taken off (PCI Express Base Specification 6.0, 1.2).
const LANE: [i64; 7] = [0, 250, 500, 985, 1969, 3938, 7563];

pub(super) fn compare(part: &Part, facts: &mut Facts) {
    let mut low = Shortfalls::default();
    let width = integer(part, "gpu.burn.link.width_under_load");
    let generation = integer(part, "gpu.burn.link.generation_under_load");
    // What both the card and its slot can.
    let ends = ["gpu.pci.link.max_width", "gpu.nvml.pcie.max_width", "gpu.pci.port.max_width"];
    let card = ends[..2].iter().find_map(|path| part.integer(path));
    let lanes = card.map(|card| part.integer(ends[2]).map_or(card, |port| card.min(port)));
    judge(&mut low, &width, lanes, part, &ends, "lanes");
    let highest = "gpu.nvml.pcie.max_generation";
    judge(&mut low, &generation, part.integer(highest), part, &[highest], "as PCIe generation");
    if let (Reading::Known(width), Reading::Known(generation)) = (&width, &generation) {
        let lane = LANE.get(usize::try_from(*generation).unwrap_or(0)).copied().unwrap_or(0);
        for (path, words) in [
            ("gpu.burn.bandwidth.host_to_device_mb_per_second", "to the card"),
            ("gpu.burn.bandwidth.device_to_host_mb_per_second", "from the card"),
        ] {
            match integer(part, path) {
                Reading::Known(rate) if rate * 1000 < lane * width * COPY_PERMILLE => {
                    low.found(format!("{rate} MB/s {words}, over a link for {}", lane * width));
                }
                Reading::Known(_) => low.looked(),
                unread => low.missing(unread.value()),
            }
        }
    }
    facts.insert("gpu.burned.link_shortfalls", low.reading());
    let replays = integer(part, "gpu.burn.link.replays_growth").and_then(|replays| {
        // The counter also grows before and after the load, and a few replays in some seconds are no rate.
        integer(part, "gpu.burn.telemetry_seconds").map(|load| replays.saturating_mul(60) / load.max(60))
    });
    facts.insert("gpu.burned.pcie_replays_per_minute", replays.value());
}

fn judge(low: &mut Shortfalls, now: &Reading<i64>, most: Option<i64>, part: &Part, ends: &[&str], words: &str) {
    match (now, most) {
        (Reading::Known(now), Some(most)) if *now < most => low.found(format!("{now} {words}, of {most}")),
        (Reading::Known(_), Some(_)) => low.looked(),
        (Reading::Known(_), None) => low.missing(first_reason(part, ends)),
        (unread, _) => low.missing(unread.clone().value()),
    }
}
