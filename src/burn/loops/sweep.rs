//! One pass over a span of memory: verify, write, or both at once.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::BLOCK_BYTES;
use super::pattern::{Lanes, Pattern, Source};
#[cfg(target_arch = "x86_64")]
use crate::vector::Pair;
use crate::vector::{LANE_BYTES, Vector, Width, Words};

const LANES: usize = BLOCK_BYTES / LANE_BYTES;

/// What a pass does. Verifying and writing in one sweep halves the traffic of doing one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// What is there, to be verified.
    pub old: Option<Pattern>,
    /// What to leave there.
    pub new: Option<Pattern>,
    /// Whether the blocks are visited from the last to the first.
    pub downwards: bool,
}

/// A block whose content was not the old pattern, seen before anything was written to it.
#[derive(Debug, Clone, Copy)]
pub struct Mismatch {
    /// Address of the block.
    pub block: usize,
    /// All differing bits of the block's lanes, or-ed together.
    pub xor: [u64; 8],
}

impl Sweep {
    /// Runs over `blocks` blocks from `start`.
    ///
    /// # Safety
    ///
    /// `start` is aligned to [`BLOCK_BYTES`], and `blocks` blocks from there are readable and writable and used by
    /// nobody else. The processor has instructions of this width.
    pub unsafe fn run(&self, width: Width, start: *mut u8, blocks: usize, report: &mut dyn FnMut(Mismatch)) {
        // SAFETY: the contract of this function.
        unsafe {
            match width {
                #[cfg(target_arch = "x86_64")]
                Width::Avx512 => run_avx512(self, start, blocks, report),
                #[cfg(target_arch = "x86_64")]
                Width::Avx2 => run_avx2(self, start, blocks, report),
                _ => dispatch::<Words>(self, start, blocks, report),
            }
        }
        fence();
    }
}

/// Non-temporal stores are weakly ordered: whatever follows must see them done.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        _mm_sfence();
    }
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

// SAFETY of both: that of `Sweep::run`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn run_avx512(sweep: &Sweep, start: *mut u8, blocks: usize, report: &mut dyn FnMut(Mismatch)) {
    unsafe { dispatch::<__m512i>(sweep, start, blocks, report) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2(sweep: &Sweep, start: *mut u8, blocks: usize, report: &mut dyn FnMut(Mismatch)) {
    unsafe { dispatch::<Pair>(sweep, start, blocks, report) }
}

// SAFETY of all below: that of `Sweep::run`, inlined into a function that enables the instructions of `V`.
#[inline(always)]
unsafe fn dispatch<V: Vector>(sweep: &Sweep, start: *mut u8, blocks: usize, report: &mut dyn FnMut(Mismatch)) {
    let walk = Walk { start, blocks, downwards: sweep.downwards };
    unsafe {
        match sweep.old.map(|pattern| pattern.source::<V>()) {
            None => with_old::<V, Nothing>(walk, None, sweep.new, report),
            Some(Source::Fixed(old)) => with_old(walk, Some(old), sweep.new, report),
            Some(Source::Address(old)) => with_old(walk, Some(old), sweep.new, report),
            Some(Source::Random(old)) => with_old(walk, Some(old), sweep.new, report),
        }
    }
}

#[inline(always)]
unsafe fn with_old<V: Vector, O: Lanes<V>>(
    walk: Walk,
    old: Option<O>,
    new: Option<Pattern>,
    report: &mut dyn FnMut(Mismatch),
) {
    unsafe {
        match new.map(|pattern| pattern.source::<V>()) {
            None => blocks::<V, O, Nothing>(walk, old, None, report),
            Some(Source::Fixed(new)) => blocks(walk, old, Some(new), report),
            Some(Source::Address(new)) => blocks(walk, old, Some(new), report),
            Some(Source::Random(new)) => blocks(walk, old, Some(new), report),
        }
    }
}

/// Stands for the pattern of a pass that does not verify or does not write.
struct Nothing;

impl<V: Vector> Lanes<V> for Nothing {
    #[inline(always)]
    unsafe fn enter(&mut self, _block: usize) {}
    #[inline(always)]
    unsafe fn next(&mut self) -> V {
        unsafe { V::splat64(0) }
    }
}

#[derive(Clone, Copy)]
struct Walk {
    start: *mut u8,
    blocks: usize,
    downwards: bool,
}

#[inline(always)]
unsafe fn blocks<V: Vector, O: Lanes<V>, N: Lanes<V>>(
    walk: Walk,
    mut old: Option<O>,
    mut new: Option<N>,
    report: &mut dyn FnMut(Mismatch),
) {
    let mut block =
        if walk.downwards { walk.start.wrapping_add(walk.blocks.saturating_sub(1) * BLOCK_BYTES) } else { walk.start };
    let step = if walk.downwards { -(BLOCK_BYTES as isize) } else { BLOCK_BYTES as isize };
    for _ in 0..walk.blocks {
        // A prefetch of an address past the end does nothing.
        let next = block.wrapping_offset(step);
        if let Some(old) = &mut old {
            let xor = unsafe { verify::<V, O>(block, next, old, new.is_some()) };
            if unsafe { !xor.is_zero() } {
                report(Mismatch { block: block as usize, xor: unsafe { xor.to_words() } });
            }
        }
        if let Some(new) = &mut new {
            unsafe { write::<V, N>(block, next, new, old.is_some()) };
        }
        block = next;
    }
}

/// Four accumulators and four loads in flight: no load waits for the comparison of the one before. Meanwhile the next
/// block is on its way; where this one is written afterwards, half of it, and the write asks for the other half.
#[inline(always)]
unsafe fn verify<V: Vector, O: Lanes<V>>(block: *mut u8, next: *const u8, old: &mut O, writes: bool) -> V {
    unsafe {
        let mut xor = [V::splat64(0); 4];
        old.enter(block as usize);
        for group in 0..LANES / 4 {
            let found: [V; 4] = std::array::from_fn(|lane| V::load(block.add((4 * group + lane) * LANE_BYTES)));
            let prefetched = if writes { 2 } else { 4 };
            for lane in 0..prefetched {
                prefetch(next.wrapping_add((prefetched * group + lane) * LANE_BYTES));
            }
            for (xor, found) in xor.iter_mut().zip(found) {
                *xor = xor.or(found.xor(old.next()));
            }
        }
        xor[0].or(xor[1]).or(xor[2].or(xor[3]))
    }
}

/// A block that was just verified is in this core's cache already, and a store past the cache would first have to push
/// it out.
#[inline(always)]
unsafe fn write<V: Vector, N: Lanes<V>>(block: *mut u8, next: *const u8, new: &mut N, verified: bool) {
    unsafe {
        new.enter(block as usize);
        for group in 0..LANES / 4 {
            if verified {
                for lane in 0..2 {
                    prefetch(next.wrapping_add((LANES / 2 + 2 * group + lane) * LANE_BYTES));
                }
            }
            for lane in 0..4 {
                let to = block.add((4 * group + lane) * LANE_BYTES);
                if verified {
                    new.next().store(to);
                } else {
                    new.next().stream(to);
                }
            }
        }
    }
}

/// Into the second-level cache: a core has three times as many misses under way there as from its first level.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_writes_the_same_and_finds_a_flipped_bit() {
        const BLOCKS: usize = 3;
        let patterns = [
            Pattern::OwnAddress { invert: false },
            Pattern::OwnAddress { invert: true },
            Pattern::Random { key: 7, invert: false },
            Pattern::Random { key: 7, invert: true },
            Pattern::Constant { byte: 0x5a },
            Pattern::WalkingBit { step: 63, invert: true },
        ];
        let mut memory = vec![0u64; (BLOCKS + 1) * BLOCK_BYTES / 8];
        let start = memory.as_mut_ptr().cast::<u8>();
        let start = start.wrapping_add(start.align_offset(BLOCK_BYTES));
        let run = |width, old, new, downwards| {
            let mut found = Vec::new();
            // SAFETY: three aligned blocks inside of `memory`, on this thread only; the width is an available one.
            unsafe { Sweep { old, new, downwards }.run(width, start, BLOCKS, &mut |mismatch| found.push(mismatch)) };
            found
        };
        for (index, pattern) in patterns.into_iter().enumerate() {
            let other = Some(patterns[(index + 1) % patterns.len()]);
            for writer in Width::available() {
                for reader in Width::available() {
                    let downwards = index % 2 == 0;
                    run(writer, None, Some(pattern), downwards);
                    assert!(
                        run(reader, Some(pattern), None, downwards).is_empty(),
                        "{writer:?} {reader:?} {pattern:?}"
                    );
                    let address = start.wrapping_add(BLOCK_BYTES + 5 * LANE_BYTES + 3 * 8).cast::<u64>();
                    // SAFETY: inside of the second block.
                    let good = unsafe { address.read() };
                    assert_eq!(good, pattern.lane(address as usize)[3]);
                    // SAFETY: as above.
                    unsafe { address.write(good ^ 1 << 40) };
                    let found = run(reader, Some(pattern), other, downwards);
                    assert_eq!(found.len(), 1, "{writer:?} {reader:?} {pattern:?}");
                    assert_eq!(found[0].block, start as usize + BLOCK_BYTES);
                    assert_eq!(found[0].xor, [0, 0, 0, 1 << 40, 0, 0, 0, 0]);
                    assert!(run(writer, other, None, !downwards).is_empty());
                }
            }
        }
    }
}
