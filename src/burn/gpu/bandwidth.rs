//! How fast memory and copies are.

use std::time::{Duration, Instant};

use super::card::{Card, Chunk, THREADS};
use super::cuda::Failure;
use super::measure::Quantity;
use super::message::Step;

const VECTOR_BYTES: u64 = 16;
/// Runs of one measurement, as far as the time allows.
const RUNS: usize = 7;
const BUDGET: Duration = Duration::from_secs(3);
/// Regions that are compared with each other.
const REGIONS: u64 = 128;
/// A region that fits a cache says nothing about memory, but the beginning of a launch.
const MIN_REGION_BYTES: u64 = 4 << 20;
const REGION_RUNS: usize = 3;
/// Vectors of a small region, 32 KiB; passes over them; the fewest that say something.
const SMALL_VECTORS: u64 = 2048;
const SMALL_RUNS: usize = 3;
const MIN_SMALL_REGIONS: u64 = 16;
const NO_MEMORY: &str = "the driver gave no memory to test";
/// Copies in a row.
const COPIES: u32 = 8;
/// How long a gate waits for the host before it opens by itself.
const GATE_NS: u64 = 2_000_000_000;
const GATE_POLLS: u64 = 100_000_000;

/// Read, write, copy and triad over the card, then reads region by region.
pub(super) fn memory(card: &mut Card) -> Result<(), Failure> {
    for (quantity, kernel) in [
        (Quantity::Write, "bandwidth_write"),
        (Quantity::Read, "bandwidth_read"),
        (Quantity::Copy, "bandwidth_copy"),
        (Quantity::Triad, "bandwidth_triad"),
    ] {
        card.enter(Step::Bandwidth, quantity.as_str());
        let Some(function) = card.valid(kernel) else {
            card.missing(quantity, Some(card.why_not(kernel)));
            continue;
        };
        if card.chunks.is_empty() {
            card.missing(quantity, Some(NO_MEMORY.to_owned()));
            continue;
        }
        let budget = card.time(BUDGET);
        let mut values = Vec::new();
        let start = Instant::now();
        // The first one fills caches and translations, and does not count where there are others.
        let mut chunks = card.chunks.clone();
        while values.len() <= RUNS && !card.over() && (values.is_empty() || start.elapsed() < budget) {
            let begin = Instant::now();
            card.device.mark(0, 0)?;
            let mut bytes = 0;
            for &chunk in &chunks {
                let (parameters, moved) = transfer(card, quantity, chunk);
                let shape = [card.memory_blocks(moved / VECTOR_BYTES), THREADS, 0];
                card.device.launch(function, shape, &parameters)?;
                bytes += moved * card.scale;
            }
            card.device.mark(1, 0)?;
            card.device.wait()?;
            let seconds = card.device.seconds(0, 1)?;
            values.push((bytes as f64 / seconds.max(1e-9) / 1e6) as u64);
            card.progress(quantity.as_str(), bytes as f64 / seconds.max(1e-9) / 1e9, "GB/s");
            // Where a pass takes long, a part of the memory has to do.
            if begin.elapsed() > Duration::from_secs(1) {
                chunks.truncate(chunks.len().div_ceil(2));
            }
        }
        if values.len() > 1 {
            values.remove(0);
        }
        card.measured(quantity, values, "passes over the memory under test, timed by events on the card", Some(kernel));
    }
    regions(card)?;
    small_regions(card)
}

/// Parameters of a launch over a chunk, and the bytes that it moves.
fn transfer(card: &Card, quantity: Quantity, chunk: Chunk) -> (Vec<u64>, u64) {
    let part = |parts: u64| chunk.vectors / parts / 2048 * 2048;
    let at = |vectors: u64| chunk.address + vectors * VECTOR_BYTES;
    match quantity {
        Quantity::Write => (vec![chunk.address, chunk.vectors, card.seed.into()], chunk.vectors * VECTOR_BYTES),
        Quantity::Copy => (vec![at(part(2)), chunk.address, part(2)], part(2) * 2 * VECTOR_BYTES),
        Quantity::Triad => {
            let third = part(3);
            (vec![chunk.address, at(third), at(2 * third), third, 3], third * 3 * VECTOR_BYTES)
        }
        _ => (vec![chunk.address, chunk.vectors, card.out.device], chunk.vectors * VECTOR_BYTES),
    }
}

/// The slowest region against the median: a channel or a stack that is slow, or cooled badly.
fn regions(card: &mut Card) -> Result<(), Failure> {
    card.enter(Step::Bandwidth, "regions");
    let Some(function) = card.valid("bandwidth_read") else {
        card.missing(Quantity::SlowestRegion, Some(card.why_not("bandwidth_read")));
        return Ok(());
    };
    let total: u64 = card.chunks.iter().map(|chunk| chunk.vectors).sum();
    let region = (total / REGIONS).max(MIN_REGION_BYTES / VECTOR_BYTES / card.scale);
    let region_bytes = region * VECTOR_BYTES * card.scale;
    let shape = [card.memory_blocks(region), THREADS, 0];
    let budget = card.time(BUDGET);
    let mut rates = Vec::new();
    let start = Instant::now();
    for chunk in card.chunks.clone() {
        let mut at = 0;
        while chunk.vectors - at >= region && !card.over() {
            let parameters = [chunk.address + at * VECTOR_BYTES, region, card.out.device];
            let mut best = 0u64;
            for run in 0..REGION_RUNS {
                if run > 0 && start.elapsed() > budget {
                    break;
                }
                let seconds = card.run(function, shape, &parameters)?;
                let rate = region_bytes as f64 / seconds.max(1e-9);
                best = best.max((rate / 1e3) as u64);
                card.progress("regions", rate / 1e9, "GB/s");
            }
            rates.push(best);
            at += region;
        }
    }
    if card.over() {
        card.missing(Quantity::SlowestRegion, Some("the time was over before all regions were read".to_owned()));
        return Ok(());
    }
    rates.sort_unstable();
    let (Some(&slowest), Some(&median)) = (rates.first(), rates.get(rates.len() / 2)) else {
        card.missing(Quantity::SlowestRegion, Some("the memory is smaller than a region".to_owned()));
        return Ok(());
    };
    if rates.len() < 4 {
        let why = format!("{} regions are too few to compare", rates.len());
        card.missing(Quantity::SlowestRegion, Some(why));
        return Ok(());
    }
    let permille = u128::from(slowest) * 1000 / u128::from(median.max(1));
    let method = format!("best of {REGION_RUNS} reads of each of {} regions of {region_bytes} bytes", rates.len());
    card.measured(Quantity::SlowestRegion, vec![permille as u64], &method, Some("bandwidth_read"));
    Ok(())
}

/// Small regions while every SM reads: channels are interleaved, so a slow one shows as a share of them that takes longer.
/// Nobody knows yet how they scatter on a sound card, so this is told and never judged.
fn small_regions(card: &mut Card) -> Result<(), Failure> {
    const KERNEL: &str = "bandwidth_region";
    card.enter(Step::Bandwidth, "small regions");
    let largest = card.largest_chunk();
    let (Some(function), Some(chunk)) = (card.valid(KERNEL), largest) else {
        let why = if largest.is_none() { NO_MEMORY.to_owned() } else { card.why_not(KERNEL) };
        card.missing(Quantity::SlowSmallRegions, Some(why));
        return Ok(());
    };
    // More than the cache holds.
    let cached = card.device.identity.l2_bytes.unwrap_or(128 << 20) / (SMALL_VECTORS * VECTOR_BYTES * card.scale);
    let room = (chunk.vectors / SMALL_VECTORS).min(card.staging[1].words() as u64);
    let count = (4 * cached).max(4 * MIN_SMALL_REGIONS).min(room);
    if count < MIN_SMALL_REGIONS {
        card.missing(Quantity::SlowSmallRegions, Some(format!("{count} regions are too few to compare")));
        return Ok(());
    }
    let shape = [card.memory_blocks(count * SMALL_VECTORS), THREADS, 0];
    let parameters = [chunk.address, count, SMALL_VECTORS, card.staging[1].device, card.out.device];
    let budget = card.time(BUDGET);
    let mut best = vec![u64::MAX; count as usize];
    let start = Instant::now();
    for run in 0..SMALL_RUNS {
        if run > 0 && (card.over() || start.elapsed() > budget) {
            break;
        }
        let seconds = card.run(function, shape, &parameters)?;
        best.iter_mut().enumerate().for_each(|(region, best)| *best = (*best).min(card.staging[1].get(region)));
        let bytes = count * SMALL_VECTORS * VECTOR_BYTES * card.scale;
        card.progress("small regions", bytes as f64 / seconds.max(1e-9) / 1e9, "GB/s");
    }
    best.sort_unstable();
    let median = best[best.len() / 2];
    let slow = best.iter().filter(|&&clocks| clocks > median + median / 2).count() as u64;
    let method = format!("best of up to {SMALL_RUNS} passes over {count} regions, clocks of the block that read each");
    card.measured(Quantity::SlowSmallRegions, vec![slow * 1000 / count], &method, Some(KERNEL));
    Ok(())
}

/// Copies from and to pinned memory of the host. The two directions have streams of their own.
pub(super) fn transfers(card: &mut Card) -> Result<(), Failure> {
    let largest = card.largest_chunk();
    let budget = card.time(BUDGET);
    for (quantity, to, from) in
        [(Quantity::HostToDevice, true, false), (Quantity::DeviceToHost, false, true), (Quantity::BothWays, true, true)]
    {
        card.enter(Step::Transfer, quantity.as_str());
        let Some(chunk) = largest else {
            card.missing(quantity, Some(NO_MEMORY.to_owned()));
            continue;
        };
        let bytes = (card.staging[0].words() as u64 * 8).min(chunk.vectors / 2 * VECTOR_BYTES);
        let gate = card.valid("bandwidth_gate");
        let mut values = Vec::new();
        let start = Instant::now();
        while values.len() <= RUNS && !card.over() && (values.is_empty() || start.elapsed() < budget) {
            card.device.wait()?;
            // Closed gates hold the streams until all is enqueued.
            card.gate.clear(card.gate.words());
            let streams = [to, from].into_iter().enumerate().filter_map(|(stream, used)| used.then_some(stream));
            for stream in streams.clone() {
                if let Some(gate) = gate {
                    let out = card.gate.device + 8 * (1 + 3 * stream as u64);
                    card.device.launch_on(stream, gate, [1, 32, 0], &[card.gate.device, GATE_NS, GATE_POLLS, out])?;
                }
                card.device.mark(stream * 2, stream)?;
            }
            for _ in 0..COPIES {
                if to {
                    card.device.upload(chunk.address, &card.staging[0], bytes as usize, 0)?;
                }
                if from {
                    card.device.download(&card.staging[1], chunk.address + bytes, bytes as usize, 1)?;
                }
            }
            for stream in streams.clone() {
                card.device.mark(stream * 2 + 1, stream)?;
            }
            card.gate.set(0, 1);
            card.device.wait()?;
            let mut seconds = 0f64;
            for stream in streams {
                seconds = seconds.max(card.device.seconds(stream * 2, stream * 2 + 1)?);
            }
            let moved = u64::from(COPIES) * bytes * (u64::from(to) + u64::from(from));
            values.push((moved as f64 / seconds.max(1e-9) / 1e6) as u64);
            card.progress(quantity.as_str(), moved as f64 / seconds.max(1e-9) / 1e9, "GB/s");
        }
        if values.len() > 1 {
            values.remove(0);
        }
        let enqueued =
            if gate.is_some() { "all enqueued before the first begins" } else { "timed as they are enqueued" };
        let method = format!("{COPIES} copies of {bytes} bytes in a row from or to pinned memory, {enqueued}");
        card.measured(quantity, values, &method, gate.map(|_| "bandwidth_gate"));
    }
    Ok(())
}
