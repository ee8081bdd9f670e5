//! What kernels have to give: `kernels/pattern.h` and `kernels/operands.h` once more, and plain matrix products that know
//! nothing of how a tensor core spreads them over threads.

/// Kinds of pattern (`PatternKind`).
pub(super) const ADDRESS: u32 = 0;
pub(super) const RANDOM: u32 = 1;
pub(super) const WALKING: u32 = 2;
pub(super) const CHECKER: u32 = 3;
pub(super) const CONSTANT: u32 = 4;
/// Added to a kind: every bit inverted.
pub(super) const INVERT: u32 = 8;

const KIND_MASK: u32 = 7;

/// A word in which every bit depends on every bit of `x`.
fn mix32(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// The vector of 16 bytes at an index of the card.
pub(super) fn pattern(index: u64, mode: u32, seed: u32) -> [u32; 4] {
    let kind = mode & KIND_MASK;
    let salt0 = if kind <= RANDOM { mix32(seed ^ 0x9e37_79b9) } else { seed };
    let salt1 = mix32(salt0.wrapping_add(0x85eb_ca6b));
    let (low, high) = (index as u32, (index >> 32) as u32);
    let words = match kind {
        ADDRESS => {
            let (x, y) = (low ^ salt0, high ^ salt1);
            [x, y, !x, !y]
        }
        RANDOM => {
            let a = mix32(low ^ salt0);
            let b = a
                .rotate_left(16)
                .wrapping_mul(0x9e37_79b1)
                .wrapping_add(high.wrapping_mul(0xc2b2_ae35).wrapping_add(salt1));
            [a, b, a ^ b.rotate_left(13), b.wrapping_add(a.rotate_left(7))]
        }
        WALKING => {
            let bit = low.wrapping_add(salt0) & 31;
            let (x, y) = (1u32 << bit, 1u32 << ((bit + 8) & 31));
            [x, y, !x, !y]
        }
        CHECKER => {
            let word = if (low ^ salt0) & 1 == 1 { 0xaaaa_aaaa } else { 0x5555_5555u32 };
            [word, !word, word, !word]
        }
        _ => [salt0; 4],
    };
    let invert = if mode & INVERT == 0 { 0 } else { u32::MAX };
    words.map(|word| word ^ invert)
}

/// The index that a vector of the address pattern names, if it is one of this mode and seed.
pub(super) fn named_index(words: [u32; 4], mode: u32, seed: u32) -> Option<u64> {
    let invert = if mode & INVERT == 0 { 0 } else { u32::MAX };
    let salt0 = mix32(seed ^ 0x9e37_79b9);
    let salt1 = mix32(salt0.wrapping_add(0x85eb_ca6b));
    let (low, high) = (words[0] ^ salt0 ^ invert, words[1] ^ salt1 ^ invert);
    let is_one = mode & KIND_MASK == ADDRESS && words[2] == !words[0] && words[3] == !words[1] && high < 4096;
    is_one.then_some(u64::from(high) << 32 | u64::from(low))
}

/// Integer operands, whose sums are exact.
pub(super) const EXACT: u32 = 0;
/// Operands with all bits of the mantissa in use.
pub(super) const FULL: u32 = 1;

/// A number format (`Format`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format {
    /// Floating point whose exact mode draws from -limit to limit; the sums are kept in FP32, or FP64.
    Float { limit: u32, double: bool },
    /// 8-bit integers over their whole range, with 32-bit sums that wrap.
    Int8,
}

/// Shape of a tensor kernel: a tile of A is `m` x `k`, of B `k` x `n`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) m: u32,
    pub(super) n: u32,
    pub(super) k: u32,
    pub(super) format: Format,
}

fn element_hash(seed: u32, matrix: u32, row: u32, column: u32) -> u32 {
    mix32(mix32(seed ^ matrix << 20).wrapping_add(row << 10 | column))
}

fn small_integer(hash: u32, limit: u32) -> i64 {
    i64::from((hash >> 16) * (2 * limit + 1) >> 16) - i64::from(limit)
}

/// An element of A in exact mode (`a_element`).
fn a_element(format: Format, seed: u32, tile: u32, fragment: u32, row: u32, column: u32) -> i64 {
    match format {
        Format::Int8 => i64::from(element_hash(seed, tile * 16 + fragment, row, column) as u8 as i8),
        Format::Float { limit, .. } => {
            let value = small_integer(element_hash(seed, tile * 16 + (fragment & 1), row, column), limit);
            let value = if fragment >= 2 { -value } else { value };
            value + i64::from(fragment == 2 && column == 0)
        }
    }
}

fn b_element(format: Format, seed: u32, tile: u32, fragment: u32, row: u32, column: u32) -> i64 {
    let hash = element_hash(seed, tile * 16 + 8 + fragment, row, column);
    match format {
        Format::Int8 => i64::from(hash as u8 as i8),
        Format::Float { limit, .. } => small_integer(hash, limit),
    }
}

fn fold_part(bits: u64, position: u32) -> u64 {
    let mut x = bits
        .wrapping_add(u64::from(position).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 32;
    x = x.wrapping_mul(0x9fb2_1c65_1e98_df25);
    x ^ x >> 29
}

fn bits(format: Format, sum: i64) -> u64 {
    match format {
        Format::Int8 => u64::from(sum as u32),
        Format::Float { double: false, .. } => u64::from((sum as f32).to_bits()),
        Format::Float { double: true, .. } => (sum as f64).to_bits(),
    }
}

/// The fold of a block of a tensor kernel of `compute.cu` in exact mode: eight warps of 2 x 4 sums, each with two rounds of
/// all four fragments of A in an iteration, one round more, and its start value.
pub(super) fn tensor_fold(shape: Shape, seed: u32, iterations: u32) -> u64 {
    let Shape { m, n, k, format } = shape;
    let rounds = 2 * i64::from(iterations);
    let mut fold = 0u64;
    for warp in 0..8 {
        for (tile, fragment_a, fragment_b) in (0..8).map(|tile| (tile, tile / 4, tile % 4)) {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let mut sum = 0i64;
                for inner in 0..k {
                    let all: i64 = (0..4).map(|it| a_element(format, seed, warp, it, row, inner)).sum();
                    let last = a_element(format, seed, warp, fragment_a, row, inner);
                    sum += (rounds * all + last) * b_element(format, seed, warp, fragment_b, inner, column);
                }
                let position = (warp * 8 + tile) << 10 | row << 4 | column;
                sum += small_integer(mix32(seed.wrapping_add(0x51ed_270b).wrapping_add(position)), 31);
                fold = fold.wrapping_add(fold_part(bits(format, sum), position));
            }
        }
    }
    fold
}

/// The fold of a block of a kernel of `wgmma.cu` (one sum) or `tcgen05.cu` (one or two) in exact mode: eight slots of A with
/// the B that belongs to each, and one slot more.
pub(super) fn slots_fold(format: Format, k: u32, sums: u32, seed: u32, iterations: u32) -> u64 {
    let slot_b = |slot: u32| (slot >> 1 & 2) | (slot & 1);
    let mut fold = 0u64;
    for row in 0..128 {
        // One row of A times every tile of B: the rows of A are few, and those of B are met 128 times.
        let a: Vec<Vec<i64>> = (0..8)
            .map(|slot| (0..k).map(|inner| a_element(format, seed, slot >> 2, slot & 3, row, inner)).collect())
            .collect();
        for column in 0..256 {
            let mut totals = [0i64; 2];
            for inner in 0..k {
                let b = [0, 1, 2, 3].map(|tile| b_element(format, seed, 0, tile, inner, column));
                let product = |slot: u32| a[slot as usize][inner as usize] * b[slot_b(slot) as usize];
                let all: i64 = (0..8).map(product).sum();
                for (total, last) in totals.iter_mut().zip([0, 4]) {
                    *total += i64::from(iterations) * all + product(last);
                }
            }
            for (sum, total) in (0..sums).zip(totals) {
                let position = sum * (128 * 256) + row * 256 + column;
                fold = fold.wrapping_add(fold_part(bits(format, total), position));
            }
        }
    }
    fold
}

fn rotation_step(seed: u32, which: u32, mode: u32) -> f64 {
    if mode == EXACT {
        return 1.0;
    }
    0.25 + f64::from(mix32(seed.wrapping_mul(2).wrapping_add(which)) >> 8) / 16_777_216.0
}

fn rotation_start(seed: u32, position: u32, mode: u32) -> f64 {
    let hash = mix32(mix32(seed).wrapping_add(position));
    if mode == EXACT {
        return small_integer(hash, 1000) as f64;
    }
    0.5 + f64::from(hash >> 8) / 16_777_216.0
}

/// The fold of a block of `compute_f32`, `compute_f64` or `fingerprint_f32_split`.
pub(super) fn rotation_fold(arithmetic: Rotation, seed: u32, iterations: u32, mode: u32) -> u64 {
    let mut fold = 0u64;
    for pair in 0..256 * 8u32 {
        let (first, second) = (rotation_start(seed, pair * 2, mode), rotation_start(seed, pair * 2 + 1, mode));
        let step = rotation_step(seed, pair & 1, mode);
        let (a, b) = arithmetic.turn(first, second, step, iterations);
        fold = fold.wrapping_add(fold_part(a, pair * 2)).wrapping_add(fold_part(b, pair * 2 + 1));
    }
    fold
}

/// Which arithmetic a rotation uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rotation {
    /// FP32, fused.
    Single,
    /// FP64, fused.
    Double,
    /// FP32, multiplication and addition apart.
    Split,
}

impl Rotation {
    fn turn(self, first: f64, second: f64, step: f64, iterations: u32) -> (u64, u64) {
        let (mut a, mut b, s) = (first as f32, second as f32, step as f32);
        match self {
            Self::Single => {
                for _ in 0..iterations * 8 {
                    a = b.mul_add(s, a);
                    b = (-a).mul_add(s, b);
                }
            }
            Self::Split => {
                for _ in 0..iterations * 8 {
                    a += b * s;
                    b += -a * s;
                }
            }
            Self::Double => {
                let (mut a, mut b) = (first, second);
                for _ in 0..iterations * 8 {
                    a = b.mul_add(step, a);
                    b = (-a).mul_add(step, b);
                }
                return (a.to_bits(), b.to_bits());
            }
        }
        (a.to_bits().into(), b.to_bits().into())
    }
}

/// The sums of `bandwidth_read` over vectors, as two words of the host's.
pub(super) fn read_sums(vectors: impl Iterator<Item = [u32; 4]>) -> [u64; 2] {
    let all = vectors.fold([0u32; 4], |sum, v| std::array::from_fn(|word| sum[word].wrapping_add(v[word])));
    [u64::from(all[1]) << 32 | u64::from(all[0]), u64::from(all[3]) << 32 | u64::from(all[2])]
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    /// The answers that the kernels' own source gave on a processor, and those of the plain reference.
    #[test]
    fn answers_are_those_of_the_kernels_sources() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/shim/known_answers.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let mut compared = Vec::new();
        for line in text.lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            let number = |name: &str| line[name].as_u64().unwrap_or(0) as u32;
            let (seed, iterations, mode) = (number("seed"), number("iterations"), number("mode"));
            let (Some(kernel), Some(fold)) = (line["kernel"].as_str(), line["fold"].as_str()) else { continue };
            let half = Format::Float { limit: 7, double: false };
            let computed = match (kernel, line["variant"].as_str().unwrap_or_default()) {
                ("compute_f32", _) => rotation_fold(Rotation::Single, seed, iterations, mode),
                ("compute_f64", _) => rotation_fold(Rotation::Double, seed, iterations, mode),
                ("fingerprint_f32_split", _) => rotation_fold(Rotation::Split, seed, iterations, mode),
                ("wgmma_f16", _) => slots_fold(half, 16, 1, seed, iterations),
                ("wgmma_tf32", _) => slots_fold(half, 8, 1, seed, iterations),
                ("wgmma_s8", _) => slots_fold(Format::Int8, 32, 1, seed, iterations),
                ("tcgen05_f16", _) => slots_fold(half, 16, 2, seed, iterations),
                ("tcgen05_s8", _) => slots_fold(Format::Int8, 32, 2, seed, iterations),
                ("tcgen05_e2m1", _) => {
                    slots_fold(Format::Float { limit: 2, double: false }, 64, 1, seed, iterations)
                }
                (kernel, variant) if kernel.starts_with("compute_") && mode == EXACT => {
                    let mut sizes = variant.trim_start_matches('m').split(['n', 'k']);
                    let mut next = || sizes.next().and_then(|size| size.parse().ok());
                    let (Some(m), Some(n), Some(k)) = (next(), next(), next()) else { continue };
                    let format = match kernel {
                        "compute_s8" => Format::Int8,
                        "compute_e4m3" | "compute_e2m1" => Format::Float { limit: 2, double: false },
                        "compute_f64_tensor" => Format::Float { limit: 7, double: true },
                        _ => half,
                    };
                    // Volta multiplies four 8x4 by 4x8 matrices at once.
                    let m = if variant == "m8n8k4" && kernel == "compute_f16" { 32 } else { m };
                    tensor_fold(Shape { m, n, k, format }, seed, iterations)
                }
                _ => continue,
            };
            assert_eq!(format!("{computed:016x}"), fold, "{line}");
            compared.push(kernel.to_owned());
        }
        compared.dedup();
        assert!(compared.len() >= 9, "{compared:?}");
    }

    #[test]
    fn an_address_is_read_back_and_nothing_else_is_one() {
        for index in [0, 1, 0x1_2345_6789, (1 << 36) - 1] {
            assert_eq!(named_index(pattern(index, ADDRESS, 7), ADDRESS, 7), Some(index));
            assert_eq!(named_index(pattern(index, ADDRESS | INVERT, 7), ADDRESS | INVERT, 7), Some(index));
            assert_eq!(named_index(pattern(index, RANDOM, 7), ADDRESS, 7), None);
        }
    }
}
