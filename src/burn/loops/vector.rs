//! 64-byte lanes for AVX-512, AVX2 and any other processor: the same arithmetic, whatever the register width.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use serde::{Deserialize, Serialize};

/// Bytes of a lane; a cache line.
pub const LANE_BYTES: usize = 64;

/// The widest instructions that the processor and the kernel offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Width {
    /// 512-bit registers (AVX-512 F).
    Avx512,
    /// 256-bit registers (AVX2 and FMA).
    Avx2,
    /// What every processor has.
    Portable,
}

impl Width {
    /// Asks the processor. The answer takes into account whether the kernel saves the registers.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Every width that this processor can run, widest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().skip_while(|width| *width != Self::detect())
    }
}

/// A lane held in registers: 16 × u32 or 8 × u64, little end first.
///
/// # Safety
///
/// Every method may only be called on a processor that has the instructions of the implementing type, and should be
/// inlined into a function that enables them. `load`, `stream` and `store` need 64 readable or writable bytes, 64-byte aligned.
pub(super) trait Vector: Copy {
    unsafe fn from_words(words: [u64; 8]) -> Self;
    unsafe fn to_words(self) -> [u64; 8];
    unsafe fn splat32(value: u32) -> Self;
    unsafe fn splat64(value: u64) -> Self;
    /// Reads a lane, past the caches where the memory type allows it.
    unsafe fn load(from: *const u8) -> Self;
    /// Writes a lane past the caches.
    unsafe fn stream(self, to: *mut u8);
    /// Writes a lane through the caches.
    unsafe fn store(self, to: *mut u8);
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn or(self, other: Self) -> Self;
    unsafe fn add32(self, other: Self) -> Self;
    unsafe fn add64(self, other: Self) -> Self;
    unsafe fn mul32(self, other: Self) -> Self;
    unsafe fn shr32<const BITS: u32>(self) -> Self;
    unsafe fn is_zero(self) -> bool;
}

// SAFETY of all bodies below: the contract of the trait.
#[cfg(target_arch = "x86_64")]
impl Vector for __m512i {
    #[inline(always)]
    unsafe fn from_words(words: [u64; 8]) -> Self {
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }
    #[inline(always)]
    unsafe fn to_words(self) -> [u64; 8] {
        let mut words = [0; 8];
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self) };
        words
    }
    #[inline(always)]
    unsafe fn splat32(value: u32) -> Self {
        unsafe { _mm512_set1_epi32(value as i32) }
    }
    #[inline(always)]
    unsafe fn splat64(value: u64) -> Self {
        unsafe { _mm512_set1_epi64(value as i64) }
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        unsafe { _mm512_stream_load_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        unsafe { _mm512_stream_si512(to.cast(), self) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        unsafe { _mm512_store_si512(to.cast(), self) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { _mm512_xor_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        unsafe { _mm512_or_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn add32(self, other: Self) -> Self {
        unsafe { _mm512_add_epi32(self, other) }
    }
    #[inline(always)]
    unsafe fn add64(self, other: Self) -> Self {
        unsafe { _mm512_add_epi64(self, other) }
    }
    #[inline(always)]
    unsafe fn mul32(self, other: Self) -> Self {
        unsafe { _mm512_mullo_epi32(self, other) }
    }
    #[inline(always)]
    unsafe fn shr32<const BITS: u32>(self) -> Self {
        unsafe { _mm512_srli_epi32::<BITS>(self) }
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        unsafe { _mm512_test_epi64_mask(self, self) == 0 }
    }
}

/// A lane in two 256-bit registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Pair(__m256i, __m256i);

#[cfg(target_arch = "x86_64")]
impl Vector for Pair {
    #[inline(always)]
    unsafe fn from_words(words: [u64; 8]) -> Self {
        let from: *const __m256i = words.as_ptr().cast();
        unsafe { Self(_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))) }
    }
    #[inline(always)]
    unsafe fn to_words(self) -> [u64; 8] {
        let mut words = [0; 8];
        let to: *mut __m256i = words.as_mut_ptr().cast();
        unsafe {
            _mm256_storeu_si256(to, self.0);
            _mm256_storeu_si256(to.add(1), self.1);
        }
        words
    }
    #[inline(always)]
    unsafe fn splat32(value: u32) -> Self {
        let half = unsafe { _mm256_set1_epi32(value as i32) };
        Self(half, half)
    }
    #[inline(always)]
    unsafe fn splat64(value: u64) -> Self {
        let half = unsafe { _mm256_set1_epi64x(value as i64) };
        Self(half, half)
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        let from: *const __m256i = from.cast();
        unsafe { Self(_mm256_stream_load_si256(from), _mm256_stream_load_si256(from.add(1))) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        let to: *mut __m256i = to.cast();
        unsafe {
            _mm256_stream_si256(to, self.0);
            _mm256_stream_si256(to.add(1), self.1);
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        let to: *mut __m256i = to.cast();
        unsafe {
            _mm256_store_si256(to, self.0);
            _mm256_store_si256(to.add(1), self.1);
        }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { Self(_mm256_xor_si256(self.0, other.0), _mm256_xor_si256(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        unsafe { Self(_mm256_or_si256(self.0, other.0), _mm256_or_si256(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn add32(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_epi32(self.0, other.0), _mm256_add_epi32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn add64(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_epi64(self.0, other.0), _mm256_add_epi64(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul32(self, other: Self) -> Self {
        unsafe { Self(_mm256_mullo_epi32(self.0, other.0), _mm256_mullo_epi32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn shr32<const BITS: u32>(self) -> Self {
        let count = unsafe { _mm_cvtsi32_si128(BITS as i32) };
        unsafe { Self(_mm256_srl_epi32(self.0, count), _mm256_srl_epi32(self.1, count)) }
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        unsafe {
            let both = _mm256_or_si256(self.0, self.1);
            _mm256_testz_si256(both, both) != 0
        }
    }
}

/// A lane in plain words.
#[derive(Clone, Copy)]
pub(super) struct Words([u64; 8]);

impl Words {
    #[inline(always)]
    fn zip(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|index| combine(self.0[index], other.0[index])))
    }

    /// Applies a 32-bit operation to both halves of every word.
    #[inline(always)]
    fn zip32(self, other: Self, combine: impl Fn(u32, u32) -> u32) -> Self {
        self.zip(other, |left, right| {
            let low = combine(left as u32, right as u32);
            let high = combine((left >> 32) as u32, (right >> 32) as u32);
            u64::from(high) << 32 | u64::from(low)
        })
    }
}

impl Vector for Words {
    #[inline(always)]
    unsafe fn from_words(words: [u64; 8]) -> Self {
        Self(words)
    }
    #[inline(always)]
    unsafe fn to_words(self) -> [u64; 8] {
        self.0
    }
    #[inline(always)]
    unsafe fn splat32(value: u32) -> Self {
        Self([u64::from(value) << 32 | u64::from(value); 8])
    }
    #[inline(always)]
    unsafe fn splat64(value: u64) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        let from: *const u64 = from.cast();
        // Volatile, so that the compiler never assumes what memory holds.
        Self(std::array::from_fn(|index| unsafe { from.add(index).read_volatile() }))
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        let to: *mut u64 = to.cast();
        for (index, word) in self.0.into_iter().enumerate() {
            unsafe { to.add(index).write_volatile(word) };
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        unsafe { self.stream(to) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        self.zip(other, |left, right| left ^ right)
    }
    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        self.zip(other, |left, right| left | right)
    }
    #[inline(always)]
    unsafe fn add32(self, other: Self) -> Self {
        self.zip32(other, u32::wrapping_add)
    }
    #[inline(always)]
    unsafe fn add64(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }
    #[inline(always)]
    unsafe fn mul32(self, other: Self) -> Self {
        self.zip32(other, u32::wrapping_mul)
    }
    #[inline(always)]
    unsafe fn shr32<const BITS: u32>(self) -> Self {
        self.zip32(self, |word, _| word >> BITS)
    }
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        self.0 == [0; 8]
    }
}
