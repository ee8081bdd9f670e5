//! Arithmetic whose result is known in advance, to the bit, for every core.
//!
//! Two loops, each a block of a few milliseconds: fused multiply-adds over 128 doubles, and 32-bit multiplies with
//! 64-bit adds over 128 words. Both are chaotic, so that one wrong bit anywhere spreads, and both do the same
//! arithmetic whatever the register width: one known answer serves every processor.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use serde::{Deserialize, Serialize};

#[cfg(target_arch = "x86_64")]
use super::vector::Pair;
use super::vector::{Vector, Width, Words};

const FMA_LANES: usize = 128;
const FMA_STEPS: usize = 1 << 20;
/// x ← x² + c is chaotic on [-2, 2] for this c, so that no rounding is ever forgotten.
const FMA_ADDEND: f64 = -1.873_214_562_1;
const INTEGER_LANES: usize = 8;
const INTEGER_STEPS: usize = 1 << 19;

/// Floating-point operations in a block of [`Loop::Fma`]; a fused multiply-add counts two.
pub const FMA_BLOCK_FLOPS: u64 = 2 * (FMA_LANES * FMA_STEPS) as u64;

/// Different inputs a loop, so that data differ from block to block.
pub const VARIANTS: usize = 2;

/// Which arithmetic a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loop {
    /// Fused multiply-adds on doubles.
    Fma,
    /// 32-bit multiplies, 64-bit adds, shifts and exclusive ors.
    Integer,
}

impl Loop {
    /// The fold of a block's result on a processor that calculates correctly, by variant.
    pub const fn known_answers(self) -> [u64; VARIANTS] {
        match self {
            Self::Fma => [0xe28c_f094_e91a_0eff, 0x18d8_3c8a_b9c3_f275],
            Self::Integer => [0x6288_3f23_d251_66b6, 0x28f8_4f26_4603_1eef],
        }
    }

    /// Calculates one block with the instructions of one width and folds all bits of the result into a word.
    ///
    /// # Panics
    ///
    /// Never for a width of [`Width::available`].
    pub fn block(self, width: Width, variant: usize) -> u64 {
        assert!(Width::available().any(|available| available == width));
        // SAFETY: the processor has the instructions.
        unsafe {
            match (self, width) {
                #[cfg(target_arch = "x86_64")]
                (Self::Fma, Width::Avx512) => fma_avx512(variant),
                #[cfg(target_arch = "x86_64")]
                (Self::Fma, Width::Avx2) => fma_avx2(variant),
                (Self::Fma, _) => fma_portable(variant),
                #[cfg(target_arch = "x86_64")]
                (Self::Integer, Width::Avx512) => integer_avx512(variant),
                #[cfg(target_arch = "x86_64")]
                (Self::Integer, Width::Avx2) => integer_avx2(variant),
                (Self::Integer, _) => integer::<Words>(variant),
            }
        }
    }
}

/// Folds words in order; every bit of every word changes the result.
fn fold(words: impl IntoIterator<Item = u64>) -> u64 {
    words
        .into_iter()
        .fold(0x6a09_e667_f3bc_c908, |sum: u64, word| (sum.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Where the lanes start: doubles in [-1, 1), exact in every rounding mode.
fn fma_start(variant: usize) -> [f64; FMA_LANES] {
    std::array::from_fn(|lane| {
        let bits = fold([lane as u64, variant as u64]) >> 12;
        bits as f64 / (1u64 << 51) as f64 - 1.0
    })
}

fn fold_doubles(lanes: &[f64; FMA_LANES]) -> u64 {
    fold(lanes.iter().map(|lane| lane.to_bits()))
}

fn fma_portable(variant: usize) -> u64 {
    let mut lanes = fma_start(variant);
    for lane in &mut lanes {
        let mut value = *lane;
        for _ in 0..FMA_STEPS {
            value = value.mul_add(value, FMA_ADDEND);
        }
        *lane = value;
    }
    fold_doubles(&lanes)
}

/// # Safety
///
/// The processor has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fma_avx512(variant: usize) -> u64 {
    let mut lanes = fma_start(variant);
    let addend = _mm512_set1_pd(FMA_ADDEND);
    // SAFETY: 16 × 8 doubles are the 128 of the array.
    let mut values: [__m512d; 16] =
        std::array::from_fn(|index| unsafe { _mm512_loadu_pd(lanes.as_ptr().add(8 * index)) });
    for _ in 0..FMA_STEPS {
        for value in &mut values {
            *value = _mm512_fmadd_pd(*value, *value, addend);
        }
    }
    for (index, value) in values.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_pd(lanes.as_mut_ptr().add(8 * index), value) };
    }
    fold_doubles(&lanes)
}

/// # Safety
///
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn fma_avx2(variant: usize) -> u64 {
    let mut lanes = fma_start(variant);
    let addend = _mm256_set1_pd(FMA_ADDEND);
    // Eight chains hide the latency of four cycles on two ports, and sixteen registers hold them.
    for group in lanes.chunks_exact_mut(32) {
        // SAFETY: 8 × 4 doubles are the 32 of the group.
        let mut values: [__m256d; 8] =
            std::array::from_fn(|index| unsafe { _mm256_loadu_pd(group.as_ptr().add(4 * index)) });
        for _ in 0..FMA_STEPS {
            for value in &mut values {
                *value = _mm256_fmadd_pd(*value, *value, addend);
            }
        }
        for (index, value) in values.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm256_storeu_pd(group.as_mut_ptr().add(4 * index), value) };
        }
    }
    fold_doubles(&lanes)
}

/// # Safety
///
/// The processor has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn integer_avx512(variant: usize) -> u64 {
    unsafe { integer::<__m512i>(variant) }
}

/// # Safety
///
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn integer_avx2(variant: usize) -> u64 {
    unsafe { integer::<Pair>(variant) }
}

/// # Safety
///
/// That of [`Vector`].
#[inline(always)]
unsafe fn integer<V: Vector>(variant: usize) -> u64 {
    let mut words = [[0u64; 8]; INTEGER_LANES];
    for (lane, words) in words.iter_mut().enumerate() {
        *words = std::array::from_fn(|word| fold([lane as u64, word as u64, variant as u64]));
    }
    // SAFETY: the contract of this function.
    unsafe {
        let factor = V::splat32(0x915f_77f5);
        let addend = V::splat64(0x9e37_79b9_7f4a_7c15);
        for group in words.chunks_exact_mut(4) {
            let mut values: [V; 4] = std::array::from_fn(|index| V::from_words(group[index]));
            for _ in 0..INTEGER_STEPS {
                for value in &mut values {
                    let mixed = value.mul32(factor).add64(addend);
                    *value = mixed.xor(mixed.shr32::<15>());
                }
            }
            for (words, value) in group.iter_mut().zip(values) {
                *words = value.to_words();
            }
        }
    }
    fold(words.into_iter().flatten())
}
