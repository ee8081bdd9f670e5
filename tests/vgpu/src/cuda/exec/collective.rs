//! Shuffles, votes, matches and reductions (PTX ISA 8.8, section 9.7.9 and 9.7.13). All lanes that take part are here.

use super::lanes::LANES;
use super::program::{Code, ReduceOp, ShuffleKind, VoteKind};
use super::warp::Warp;

/// Runs one of them for the lanes of `mask`, which are those of `members` that have not ended.
pub fn run(warp: &mut Warp, code: &Code, mask: u32, members: u32) {
    let active = (0..LANES).filter(|lane| mask >> lane & 1 == 1);
    match code {
        Code::Shuffle(it) => {
            let values: [u32; LANES] = warp.values(it.a);
            let (distances, limits): ([u32; LANES], [u32; LANES]) = (warp.values(it.b), warp.values(it.c));
            let mut results = values;
            let mut found = 0;
            for lane in active {
                let here = lane as i64;
                let (distance, limit) = (i64::from(distances[lane] & 31), i64::from(limits[lane] & 31));
                let segment = i64::from(limits[lane] >> 8 & 31);
                let last = here & segment | limit & !segment;
                let (from, inside) = match it.kind {
                    ShuffleKind::Up => (here - distance, here - distance >= last),
                    ShuffleKind::Down => (here + distance, here + distance <= last),
                    ShuffleKind::Butterfly => (here ^ distance, here ^ distance <= last),
                    ShuffleKind::Index => {
                        let from = here & segment | distance & !segment;
                        (from, from <= last)
                    }
                };
                if inside {
                    results[lane] = values[(from & 31) as usize];
                    found |= 1 << lane;
                }
            }
            warp.set_lanes(it.d, &results, mask);
            if let Some(p) = it.p {
                warp.set_mask(p, found, mask);
            }
        }
        Code::Vote(it) => {
            let yes = warp.condition(it.a) & mask & members;
            let all = mask & members;
            match it.kind {
                VoteKind::Ballot => warp.set_lanes(it.d, &[yes; LANES], mask),
                VoteKind::All => warp.set_mask(it.d, if yes == all { !0 } else { 0 }, mask),
                VoteKind::Any => warp.set_mask(it.d, if yes != 0 { !0 } else { 0 }, mask),
                VoteKind::Uniform => warp.set_mask(it.d, if yes == 0 || yes == all { !0 } else { 0 }, mask),
            }
        }
        Code::Match(it) => {
            let values = warp.bits(it.a);
            let same = |lane: usize| {
                (0..LANES)
                    .filter(|other| mask & members & 1 << other != 0 && values[*other] == values[lane])
                    .fold(0u32, |sum, it| sum | 1 << it)
            };
            let mut results = [0; LANES];
            for lane in active {
                let group = same(lane);
                results[lane] = if !it.all || group == mask & members { group } else { 0 };
            }
            let equal = results.iter().any(|&it| it != 0);
            warp.set_lanes(it.d, &results, mask);
            if let Some(p) = it.p {
                warp.set_mask(p, if equal { !0 } else { 0 }, mask);
            }
        }
        Code::Redux { d, a, op, .. } => {
            let values: [u32; LANES] = warp.values(*a);
            let combine = |x: u32, y: u32| match op {
                ReduceOp::Add => x.wrapping_add(y),
                ReduceOp::MinUnsigned => x.min(y),
                ReduceOp::MaxUnsigned => x.max(y),
                ReduceOp::MinSigned => (x as i32).min(y as i32) as u32,
                ReduceOp::MaxSigned => (x as i32).max(y as i32) as u32,
                ReduceOp::And => x & y,
                ReduceOp::Or => x | y,
                ReduceOp::Xor => x ^ y,
            };
            let result = active.map(|lane| values[lane]).reduce(combine).unwrap_or_default();
            warp.set_lanes(*d, &[result; LANES], mask);
        }
        Code::Elect { d, p, .. } => {
            let leader = (mask & members).trailing_zeros();
            if let Some(d) = d {
                warp.set_lanes(*d, &[leader; LANES], mask);
            }
            warp.set_mask(*p, 1u32.checked_shl(leader).unwrap_or(0), mask);
        }
        // A meeting, and nothing else.
        _ => {}
    }
}
