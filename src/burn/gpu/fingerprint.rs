//! What chip this behaves like.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::card::{Card, MAX_BLOCKS, THREADS, send};
use super::compute;
use super::cuda::Failure;
use super::measure::Quantity;
use super::message::{Message, SmLatencies, Step};

/// How long each block of the census stays, so that all SMs fill.
const SPIN_NS: u64 = 500_000;
const MAX_POLLS: u64 = 20_000;
/// Bytes between the nodes of a ring of pointers: a cache line.
const NODE_WORDS: u64 = 32;
const MULTIPLIER: u64 = 421;
const INCREMENT: u64 = 1009;
const MAX_HOPS: u64 = 4096;
/// A ring that is no longer in the cache is slower by half.
const MISS: f64 = 1.5;
const BUDGET: Duration = Duration::from_secs(6);
/// The rings of one cache take a moment; a machine that is busy with other things gets that much.
const LEAST_BUDGET: Duration = Duration::from_secs(3);
/// Regions of the memory whose distance from each SM is taken, and nodes of the ring in each: few enough to stay in the cache.
const REGIONS: u64 = 16;
const REGION_NODES: u64 = 64;

pub(super) fn measure(card: &mut Card) -> Result<(), Failure> {
    census(card)?;
    compute::split(card)?;
    cache(card)?;
    latencies(card)
}

/// SMs that run blocks, and their clock.
fn census(card: &mut Card) -> Result<(), Failure> {
    const KERNEL: &str = "fingerprint_census";
    card.enter(Step::Fingerprint, KERNEL);
    let Some(function) = card.valid(KERNEL) else {
        card.missing(Quantity::SmCount, Some(card.why_not(KERNEL)));
        card.missing(Quantity::SmClock, Some(card.why_not(KERNEL)));
        return Ok(());
    };
    let blocks = (card.device.identity.sm_count * 4).clamp(1, MAX_BLOCKS);
    let mut sms = BTreeSet::new();
    let mut clocks = Vec::new();
    for _ in 0..2 {
        card.run(function, [blocks, 32, 0], &[SPIN_NS, MAX_POLLS, card.out.device])?;
        for block in 0..blocks as usize {
            let [_, sm, cycles, ns] = [0, 1, 2, 3].map(|word| card.out.get(4 * block + word));
            sms.insert(sm as u32);
            clocks.extend((ns > 0).then(|| (u128::from(cycles) * 1_000_000 / u128::from(ns.max(1))) as u64));
        }
    }
    card.measured(Quantity::SmCount, vec![sms.len() as u64], "numbers of the SMs on which blocks ran", Some(KERNEL));
    card.measured(Quantity::SmClock, clocks, "clocks over nanoseconds of the card's timer", Some(KERNEL));
    Ok(())
}

/// Clocks of one hop in a ring of that many nodes, in thousandths; and whether it ended where it should.
fn hop(card: &Card, ring: u64, nodes: u64) -> Result<Option<(u64, bool)>, Failure> {
    let (Some(make), Some(chase)) = (kernel(card, "fingerprint_ring"), kernel(card, "fingerprint_chase")) else {
        return Ok(None);
    };
    card.run(make, [card.memory_blocks(nodes), THREADS, 0], &[ring, nodes, NODE_WORDS, MULTIPLIER, INCREMENT])?;
    let hops = nodes.min(MAX_HOPS);
    card.run(chase, [1, 32, 0], &[ring, 0, nodes, hops, card.out.device])?;
    // After `nodes` hops the walk is where it began.
    let end = (0..hops).fold(0u64, |at, _| (at * MULTIPLIER + INCREMENT) % nodes) * NODE_WORDS;
    Ok(Some((card.out.get(0) * 1000 / hops.max(1), card.out.get(2) == end)))
}

fn kernel(card: &Card, name: &str) -> Option<super::cuda::Function> {
    card.kernels.get(name).map(|kernel| kernel.function)
}

/// Size and latency of the second-level cache: rings of pointers, each half as large again as the one before, until hops
/// get slow.
fn cache(card: &mut Card) -> Result<(), Failure> {
    const KERNEL: &str = "fingerprint_chase";
    card.enter(Step::Fingerprint, "second-level cache");
    let largest = card.largest_chunk();
    let (Some(chunk), true) = (largest, card.valid(KERNEL).is_some()) else {
        card.missing(Quantity::L2Bytes, Some(card.why_not(KERNEL)));
        card.missing(Quantity::L2Latency, Some(card.why_not(KERNEL)));
        return Ok(());
    };
    let node_bytes = NODE_WORDS * 4 * card.scale;
    let told = card.device.identity.l2_bytes.unwrap_or(128 << 20).max(1 << 20);
    let limit = (chunk.vectors * 16 * card.scale).min(told * 3);
    let (start, budget) = (Instant::now(), card.time(BUDGET).max(LEAST_BUDGET));
    let (mut fastest, mut fits, mut ended) = (u64::MAX, 0, false);
    // 1 MiB, 1.5, 2, 3, 4 …
    let first = ((1 << 20) / node_bytes).max(8).ilog2();
    let sizes = (first..23).flat_map(|power| [1u64 << power, 3u64 << (power - 1)]);
    for nodes in sizes.take_while(|nodes| nodes * node_bytes <= limit) {
        if card.over() || start.elapsed() > budget {
            break;
        }
        let Some((clocks, _)) = hop(card, chunk.address, nodes)? else { break };
        card.progress("second-level cache", 0.0, "");
        fastest = fastest.min(clocks);
        if clocks as f64 > fastest as f64 * MISS {
            ended = true;
            break;
        }
        fits = nodes * node_bytes;
    }
    if fits > 0 {
        card.measured(Quantity::L2Latency, vec![fastest / 1000], "hops of a ring of pointers past L1", Some(KERNEL));
    } else {
        card.missing(Quantity::L2Latency, Some("no ring was small enough".to_owned()));
    }
    if ended && fits > 0 {
        let method = "largest ring of pointers before hops take half as long again; sizes are half an octave apart";
        card.measured(Quantity::L2Bytes, vec![fits], method, Some(KERNEL));
    } else {
        card.missing(Quantity::L2Bytes, Some("no ring was larger than the cache in the time there was".to_owned()));
    }
    Ok(())
}

/// How far each SM is from each region of the memory, through the second-level cache: which partitions it has, and which
/// are near. Experimental: told, never judged.
fn latencies(card: &mut Card) -> Result<(), Failure> {
    const KERNEL: &str = "fingerprint_latency";
    card.enter(Step::Fingerprint, "latencies");
    let largest = card.largest_chunk();
    let (Some(chunk), true) = (largest, card.valid(KERNEL).is_some()) else {
        card.missing(Quantity::MemoryLatency, Some(card.why_not(KERNEL)));
        return Ok(());
    };
    let region_words = chunk.vectors * 4 / REGIONS / NODE_WORDS * NODE_WORDS;
    if region_words < REGION_NODES * NODE_WORDS {
        card.missing(Quantity::MemoryLatency, Some("the memory is too small for its regions".to_owned()));
        return Ok(());
    }
    let Some(rows) = distances(card, chunk.address, region_words)? else { return Ok(()) };
    let clocks = rows.iter().flat_map(|row| row.clocks.iter().copied()).collect();
    let method = format!("rings of pointers that stay in the cache, from every SM to {REGIONS} regions");
    card.measured(Quantity::MemoryLatency, clocks, &method, Some(KERNEL));
    send(&Message::Latencies { rows });
    Ok(())
}

/// A row for each SM that ran a block: mean clocks of a load from each region.
fn distances(card: &Card, address: u64, region_words: u64) -> Result<Option<Vec<SmLatencies>>, Failure> {
    let (Some(make), Some(function)) = (kernel(card, "fingerprint_ring"), kernel(card, "fingerprint_latency")) else {
        return Ok(None);
    };
    for region in 0..REGIONS {
        let ring = address + region * region_words * 4;
        card.run(make, [1, THREADS, 0], &[ring, REGION_NODES, NODE_WORDS, MULTIPLIER, INCREMENT])?;
    }
    let blocks = u64::from(card.device.identity.sm_count).clamp(1, card.out.words() as u64 / (REGIONS + 1));
    card.out.clear(card.out.words());
    let parameters = [address, REGIONS, region_words, REGION_NODES, card.out.device, card.out.device + 8 * blocks];
    card.run(function, [blocks as u32, 32, 0], &parameters)?;
    let clocks = |block: u64| {
        let at = blocks + block * REGIONS;
        (at..at + REGIONS).map(|word| card.out.get(word as usize) / REGION_NODES).collect()
    };
    let mut rows: Vec<SmLatencies> = (0..blocks)
        .map(|block| SmLatencies { sm: card.out.get(block as usize) as u32, clocks: clocks(block) })
        .collect();
    rows.sort_by_key(|row| row.sm);
    rows.dedup_by_key(|row| row.sm);
    Ok(Some(rows))
}

/// Known answers: a ring that is walked ends where it should, and all blocks of the others agree with themselves.
pub(super) fn self_test(card: &mut Card, scratch: u64) -> Result<(), Failure> {
    let walked = hop(card, scratch, 4096)?;
    let failure = match walked {
        Some((_, true)) => None,
        Some((_, false)) => Some("the walk ends elsewhere".to_owned()),
        None => Some("one of two kernels is missing".to_owned()),
    };
    card.judge("fingerprint_ring", failure.clone());
    card.judge("fingerprint_chase", failure);
    // Its answer is a time: what can be known is that every SM has one for every region.
    if let Some(rows) = distances(card, scratch, REGION_NODES * NODE_WORDS)? {
        let sane = rows.iter().all(|row| row.clocks.iter().all(|&clocks| clocks > 0));
        card.judge("fingerprint_latency", (!sane).then(|| "an SM has no latency".to_owned()));
    }
    compute::split_self_test(card)?;
    if let Some(function) = kernel(card, "fingerprint_census") {
        card.out.clear(8);
        card.run(function, [1, 32, 0], &[20_000, 1000, card.out.device])?;
        let [polls, sm, cycles, _] = [0, 1, 2, 3].map(|word| card.out.get(word));
        let sane = polls > 0 && cycles > 0 && (sm as u32) < (sm >> 32) as u32;
        card.judge("fingerprint_census", (!sane).then(|| "its record cannot be".to_owned()));
    }
    Ok(())
}
