//! What memory is filled with.
#![allow(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::BLOCK_BYTES;
use crate::vector::{LANE_BYTES, Vector, Words};

/// The content of a whole buffer in one pass. Depends on the virtual address only, so that any CPU can verify what
/// another one wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pattern {
    /// Every 64-bit word holds its own virtual address: finds address lines that are stuck or shorted.
    OwnAddress {
        /// Whether every bit is inverted.
        invert: bool,
    },
    /// Counter-based pseudo-random words.
    Random {
        /// Chooses the sequence.
        key: u32,
        /// Whether every bit is inverted.
        invert: bool,
    },
    /// The same byte everywhere; with its complement in the next pass these are moving inversions.
    Constant {
        /// The byte.
        byte: u8,
    },
    /// One bit set in every 64-bit word, at a place that moves with step and word.
    WalkingBit {
        /// 0 to 63.
        step: u8,
        /// Whether every bit is inverted: a walking zero.
        invert: bool,
    },
}

impl Pattern {
    /// The eight words that belong at `address`, which is rounded down to a multiple of 64.
    pub fn lane(self, address: usize) -> [u64; 8] {
        let block = address / BLOCK_BYTES * BLOCK_BYTES;
        let lane = (address - block) / LANE_BYTES;
        // SAFETY: `Words` needs no instruction that a processor could lack, and nothing is loaded or stored.
        unsafe {
            match self.source::<Words>() {
                Source::Fixed(source) => nth(source, block, lane),
                Source::Address(source) => nth(source, block, lane),
                Source::Random(source) => nth(source, block, lane),
            }
        }
    }

    /// The generator of this pattern in registers of one width.
    ///
    /// # Safety
    ///
    /// That of [`Vector`].
    #[inline(always)]
    pub(super) unsafe fn source<V: Vector>(self) -> Source<V> {
        let mask = |invert: bool| if invert { u64::MAX } else { 0 };
        // SAFETY: the contract of this function.
        unsafe {
            match self {
                Self::OwnAddress { invert } => Source::Address(AddressSource {
                    address: V::splat64(0),
                    offsets: V::from_words(std::array::from_fn(|word| 8 * word as u64)),
                    invert: V::splat64(mask(invert)),
                }),
                Self::Random { key, invert } => Source::Random(RandomSource {
                    key,
                    lanes: V::from_words(std::array::from_fn(|word| mix64(word as u64 + 1))),
                    counter: V::splat64(0),
                    invert: V::splat64(mask(invert)),
                }),
                Self::Constant { byte } => Source::Fixed(FixedSource(V::splat64(u64::from_ne_bytes([byte; 8])))),
                Self::WalkingBit { step, invert } => {
                    Source::Fixed(FixedSource(V::from_words(std::array::from_fn(|word| {
                        1u64.rotate_left(u32::from(step) + 9 * word as u32) ^ mask(invert)
                    }))))
                }
            }
        }
    }
}

/// A pattern's generator.
pub(super) enum Source<V> {
    Fixed(FixedSource<V>),
    Address(AddressSource<V>),
    Random(RandomSource<V>),
}

/// Yields the lanes of one block after another, in the order of their addresses.
///
/// # Safety
///
/// That of [`Vector`].
pub(super) trait Lanes<V: Vector> {
    /// Moves to the first lane of the block that starts at this address.
    unsafe fn enter(&mut self, block: usize);
    /// The lane there, and moves on.
    unsafe fn next(&mut self) -> V;
}

/// One lane of a block.
unsafe fn nth(mut source: impl Lanes<Words>, block: usize, lane: usize) -> [u64; 8] {
    // SAFETY: `Words` needs no instruction that a processor could lack, and nothing is loaded or stored.
    unsafe {
        source.enter(block);
        for _ in 0..lane {
            source.next();
        }
        source.next().to_words()
    }
}

// SAFETY of all bodies below: the contract of the trait.
pub(super) struct FixedSource<V>(V);

impl<V: Vector> Lanes<V> for FixedSource<V> {
    #[inline(always)]
    unsafe fn enter(&mut self, _block: usize) {}
    #[inline(always)]
    unsafe fn next(&mut self) -> V {
        self.0
    }
}

pub(super) struct AddressSource<V> {
    address: V,
    offsets: V,
    invert: V,
}

impl<V: Vector> Lanes<V> for AddressSource<V> {
    #[inline(always)]
    unsafe fn enter(&mut self, block: usize) {
        self.address = unsafe { V::splat64(block as u64).add64(self.offsets) };
    }
    #[inline(always)]
    unsafe fn next(&mut self) -> V {
        let address = self.address;
        unsafe {
            self.address = address.add64(V::splat64(LANE_BYTES as u64));
            address.xor(self.invert)
        }
    }
}

/// A strong mix once a block, a light one (add, shift, multiply) a lane: cheap enough to hide behind memory bandwidth.
pub(super) struct RandomSource<V> {
    key: u32,
    lanes: V,
    counter: V,
    invert: V,
}

impl<V: Vector> Lanes<V> for RandomSource<V> {
    #[inline(always)]
    unsafe fn enter(&mut self, block: usize) {
        let seed = mix64((block / BLOCK_BYTES) as u64 ^ u64::from(self.key) << 32);
        self.counter = unsafe { self.lanes.xor(V::splat32((seed >> 32) as u32)).add32(V::splat32(seed as u32)) };
    }
    #[inline(always)]
    unsafe fn next(&mut self) -> V {
        unsafe {
            let counter = self.counter.add32(V::splat32(0x9e37_79b9));
            self.counter = counter;
            counter.xor(counter.shr32::<15>()).mul32(V::splat32(0x2c1b_3c6d)).xor(self.invert)
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[inline(always)]
fn mix64(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
