//! `mma.sync`: products of small matrices by a whole warp (PTX ISA 8.8, section 9.7.14).
//!
//! Integers are exact. Floating-point products are summed in double precision and rounded once: with whole numbers whose
//! sums fit the result's type that is exact too, and equal to what every real chip gives. Other sums round differently on
//! silicon.

use std::array::from_fn;

use super::lanes::{ALL, LANES, read, write};
use super::number::{E4M3, E5M2, F16, Round, Small, bf16_to_f32, f16_to_f32};
use super::program::Mma;
use crate::cuda::ptx::{Kind, Ty};

/// Rows of A, columns of B, and what is summed over, with the types of both and of the result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Ty,
    pub b: Ty,
    pub d: Ty,
    /// `.satfinite` of integers: sums stay at the ends of the range.
    pub saturates: bool,
}

/// Highest `k`.
const MAX_K: usize = 64;

impl Shape {
    /// Multiplications.
    pub fn products(&self) -> u64 {
        // Volta multiplies four pairs of matrices at once.
        let pairs = if self.m == 8 && self.k == 4 && self.a.bits == 16 { 4 } else { 1 };
        pairs * (self.m * self.n * self.k) as u64
    }

    /// Registers of A, B, and of C and D.
    pub fn registers(&self) -> (usize, usize, usize) {
        if self.m == 8 && self.k == 4 && self.a.bits == 16 {
            return (2, 2, if self.d.bits == 16 { 4 } else { 8 });
        }
        let width = |bits: u32| bits.max(32) as usize;
        let of = |elements: usize, bits: u32| elements * bits as usize / LANES / width(bits);
        (of(self.m * self.k, self.a.bits), of(self.k * self.n, self.b.bits), of(self.m * self.n, self.d.bits))
    }

    /// Whether the executor knows it.
    pub fn is_known(&self) -> bool {
        let kinds = |kind: Kind, bits: u32| self.a.kind == kind && self.b.kind == kind && self.a.bits == bits;
        let (single, same) = (self.d.kind == Kind::Float && self.d.bits == 32, (self.m, self.n));
        let half = self.d.kind == Kind::Float && self.d.bits == 16;
        let bytes = |ty: Ty| matches!(ty.kind, Kind::E4m3 | Kind::E5m2);
        let small = |ty: Ty| ty.is_integer() && ty.bits == 8;
        match same {
            (16, 8) if kinds(Kind::Float, 16) => (single || half) && matches!(self.k, 8 | 16),
            (16, 8) if kinds(Kind::BFloat, 16) => single && matches!(self.k, 8 | 16),
            (16, 8) if kinds(Kind::Tf32, 32) => single && matches!(self.k, 4 | 8),
            (16, 8) if bytes(self.a) && bytes(self.b) => (single || half) && matches!(self.k, 16 | 32),
            (16, 8) if small(self.a) && small(self.b) => self.d.is_integer() && matches!(self.k, 16 | 32),
            (16, 8) if kinds(Kind::Float, 64) => self.d.bits == 64 && matches!(self.k, 4 | 8 | 16),
            (8, 8) if kinds(Kind::Float, 64) => self.d.bits == 64 && self.k == 4,
            (8, 8) if small(self.a) && small(self.b) => self.d.is_integer() && self.k == 16,
            (8, 8) if kinds(Kind::Float, 16) => (single || half) && self.k == 4,
            _ => false,
        }
    }

    /// Row and column of the first element of a lane's register of A.
    ///
    /// All shapes but the old m8n8k4 follow one plan: a lane belongs to row `lane / 4` and holds, in each of its registers,
    /// the `each` elements that start at column `lane % 4` times their number. Further registers go down 8 rows first, then
    /// along.
    #[inline(always)]
    fn place_a(&self, lane: usize, register: usize, each: usize) -> (usize, usize) {
        let (down, along) = if self.m == 16 { (register % 2, register / 2) } else { (0, register) };
        (lane / 4 + 8 * down, lane % 4 * each + 4 * each * along)
    }

    /// The same of B, whose elements follow each other down a column.
    #[inline(always)]
    fn place_b(lane: usize, register: usize, each: usize) -> (usize, usize) {
        (lane % 4 * each + 4 * each * register, lane / 4)
    }

    #[inline(always)]
    fn place_d(lane: usize, element: usize) -> (usize, usize) {
        (lane / 4 + 8 * (element / 2), lane % 4 * 2 + element % 2)
    }
}

/// Runs it.
///
/// # Safety
///
/// The file holds registers of the shape's types at the instruction's places.
pub unsafe fn run(file: *mut u8, mma: &Mma) {
    // SAFETY: the caller's; the processor has what the wide version needs.
    unsafe {
        if mma.shape.m == 8 && mma.shape.k == 4 && mma.shape.a.bits == 16 {
            return quad_pairs(file, mma);
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return run_wide(file, mma);
        }
        multiply(file, mma);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_wide(file: *mut u8, mma: &Mma) {
    // SAFETY: the caller's.
    unsafe { multiply(file, mma) }
}

#[inline(always)]
unsafe fn multiply(file: *mut u8, mma: &Mma) {
    let shape = &mma.shape;
    if shape.a.is_integer() {
        // SAFETY: the caller's.
        return unsafe { integers(file, mma) };
    }
    let mut a = [[0f64; MAX_K]; 16];
    let mut b = [[0f64; 8]; MAX_K];
    // SAFETY: the caller's, in all of them.
    unsafe {
        for (register, &slot) in mma.a.iter().enumerate() {
            let (each, values) = elements(file, slot, shape.a);
            for lane in 0..LANES {
                let (row, column) = shape.place_a(lane, register, each);
                for within in 0..each {
                    a[row][column + within] = values[within][lane];
                }
            }
        }
        for (register, &slot) in mma.b.iter().enumerate() {
            let (each, values) = elements(file, slot, shape.b);
            for lane in 0..LANES {
                let (row, column) = Shape::place_b(lane, register, each);
                for within in 0..each {
                    b[row + within][column] = values[within][lane];
                }
            }
        }
        let mut sums = accumulators(file, mma);
        for row in 0..shape.m {
            let mut sum = sums[row];
            for k in 0..shape.k {
                for column in 0..8 {
                    sum[column] = a[row][k].mul_add(b[k][column], sum[column]);
                }
            }
            sums[row] = sum;
        }
        store(file, mma, &sums);
    }
}

/// The elements of a register: how many a lane has, and each of them for all lanes.
#[inline(always)]
unsafe fn elements(file: *const u8, slot: u32, ty: Ty) -> (usize, [[f64; LANES]; 4]) {
    let mut values = [[0f64; LANES]; 4];
    if ty.bits == 64 {
        // SAFETY: the caller's.
        values[0] = unsafe { read(file, slot) };
        return (1, values);
    }
    // SAFETY: the caller's.
    let words: [u32; LANES] = unsafe { read(file, slot) };
    match (ty.kind, ty.bits) {
        (Kind::Float, 16) => {
            for lane in 0..LANES {
                values[0][lane] = f16_to_f32(words[lane] as u16).into();
                values[1][lane] = f16_to_f32((words[lane] >> 16) as u16).into();
            }
            (2, values)
        }
        (Kind::BFloat, _) => {
            for lane in 0..LANES {
                values[0][lane] = bf16_to_f32(words[lane] as u16).into();
                values[1][lane] = bf16_to_f32((words[lane] >> 16) as u16).into();
            }
            (2, values)
        }
        (Kind::Tf32, _) => {
            for lane in 0..LANES {
                // The lower bits of a TF32 are not looked at.
                values[0][lane] = f32::from_bits(words[lane] & !0x1fff).into();
            }
            (1, values)
        }
        (kind, _) => {
            let table = small_table(if kind == Kind::E4m3 { E4M3 } else { E5M2 });
            for lane in 0..LANES {
                for (within, byte) in words[lane].to_le_bytes().into_iter().enumerate() {
                    values[within][lane] = table[usize::from(byte)];
                }
            }
            (4, values)
        }
    }
}

fn small_table(format: Small) -> &'static [f64; 256] {
    use std::sync::LazyLock;
    static FOUR: LazyLock<[f64; 256]> = LazyLock::new(|| from_fn(|bits| E4M3.decode(bits as u32)));
    static FIVE: LazyLock<[f64; 256]> = LazyLock::new(|| from_fn(|bits| E5M2.decode(bits as u32)));
    if format == E4M3 { &FOUR } else { &FIVE }
}

#[inline(always)]
unsafe fn accumulators(file: *const u8, mma: &Mma) -> [[f64; 8]; 16] {
    let mut sums = [[0.0; 8]; 16];
    for (register, &slot) in mma.c.iter().enumerate() {
        for lane in 0..LANES {
            // SAFETY: the caller's; one lane of the register.
            unsafe {
                let place = file.add(slot as usize);
                match mma.shape.d.bits {
                    64 => {
                        let (row, column) = Shape::place_d(lane, register);
                        sums[row][column] = place.cast::<f64>().add(lane).read_unaligned();
                    }
                    32 => {
                        let (row, column) = Shape::place_d(lane, register);
                        sums[row][column] = place.cast::<f32>().add(lane).read_unaligned().into();
                    }
                    _ => {
                        let word = place.cast::<u32>().add(lane).read_unaligned();
                        for within in 0..2 {
                            let (row, column) = Shape::place_d(lane, register * 2 + within);
                            sums[row][column] = f16_to_f32((word >> (16 * within)) as u16).into();
                        }
                    }
                }
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn store(file: *mut u8, mma: &Mma, sums: &[[f64; 8]; 16]) {
    for (register, &slot) in mma.d.iter().enumerate() {
        let at = |lane: usize, element: usize| {
            let (row, column) = Shape::place_d(lane, element);
            sums[row][column]
        };
        // SAFETY: the caller's.
        unsafe {
            match mma.shape.d.bits {
                64 => write::<f64>(file, slot, &from_fn(|lane| at(lane, register)), ALL),
                32 => write::<u32>(file, slot, &from_fn(|lane| single(at(lane, register))), ALL),
                _ => write::<u32>(
                    file,
                    slot,
                    &from_fn(|lane| {
                        let half = |within| F16.encode(at(lane, register * 2 + within), Round::Nearest, false);
                        half(0) | half(1) << 16
                    }),
                    ALL,
                ),
            }
        }
    }
}

/// NaN as the hardware has it.
fn single(value: f64) -> u32 {
    super::number::one_nan(value as f32).to_bits()
}

#[inline(always)]
unsafe fn integers(file: *mut u8, mma: &Mma) {
    let shape = &mma.shape;
    let element = |ty: Ty, byte: u8| if ty.is_signed() { i32::from(byte as i8) } else { i32::from(byte) };
    let mut a = [[0i32; MAX_K]; 16];
    let mut b = [[0i32; 8]; MAX_K];
    for (register, &slot) in mma.a.iter().enumerate() {
        // SAFETY: the caller's.
        let words: [u32; LANES] = unsafe { read(file, slot) };
        for (lane, word) in words.iter().enumerate() {
            for (within, byte) in word.to_le_bytes().into_iter().enumerate() {
                let (row, column) = shape.place_a(lane, register, 4);
                a[row][column + within] = element(shape.a, byte);
            }
        }
    }
    for (register, &slot) in mma.b.iter().enumerate() {
        // SAFETY: the caller's.
        let words: [u32; LANES] = unsafe { read(file, slot) };
        for (lane, word) in words.iter().enumerate() {
            for (within, byte) in word.to_le_bytes().into_iter().enumerate() {
                let (row, column) = Shape::place_b(lane, register, 4);
                b[row + within][column] = element(shape.b, byte);
            }
        }
    }
    let mut sums = [[0i32; 8]; 16];
    for row in 0..shape.m {
        for k in 0..shape.k {
            for column in 0..8 {
                // At most 64 products of bytes: they fit.
                sums[row][column] += a[row][k] * b[k][column];
            }
        }
    }
    for (register, &slot) in mma.d.iter().enumerate() {
        // SAFETY: the caller's.
        let start: [i32; LANES] = unsafe { read(file, mma.c[register]) };
        let results: [i32; LANES] = from_fn(|lane| {
            let (row, column) = Shape::place_d(lane, register);
            let (from, sum) = (start[lane], sums[row][column]);
            if shape.saturates { from.saturating_add(sum) } else { from.wrapping_add(sum) }
        });
        // SAFETY: the caller's.
        unsafe { write(file, slot, &results, ALL) };
    }
}

/// m8n8k4 of FP16: four products at once, each by eight lanes: four and the four that are 16 further on. Row by column.
unsafe fn quad_pairs(file: *mut u8, mma: &Mma) {
    let single_results = mma.shape.d.bits == 32;
    // SAFETY: the caller's.
    let words = |slot: u32| -> [u32; LANES] { unsafe { read(file, slot) } };
    // The four halves that each lane holds: a row of A, a column of B.
    let halves = |regs: &[u32]| -> [[f64; 4]; LANES] {
        let (low, high) = (words(regs[0]), words(regs[1]));
        from_fn(|lane| {
            let of = |bits: u32| f64::from(f16_to_f32(bits as u16));
            [of(low[lane]), of(low[lane] >> 16), of(high[lane]), of(high[lane] >> 16)]
        })
    };
    let (a, b) = (halves(&mma.a), halves(&mma.b));
    let mut results = [[0u32; LANES]; 8];
    for (result, &slot) in results.iter_mut().zip(&mma.c) {
        *result = words(slot);
    }
    for lane in 0..LANES {
        let (group, upper) = (lane % 16 / 4, lane / 16);
        // The lane of a row of A, or of a column of B.
        let holder = |index: usize| group * 4 + index % 4 + 16 * (index / 4);
        for element in 0..8 {
            let (row, column) = if single_results {
                ((lane & 1) + (element & 2) + 4 * upper, (element & 4) + (lane & 2) + (element & 1))
            } else {
                (lane % 4 + 4 * upper, element)
            };
            let (row, column) = (&a[holder(row)], &b[holder(column)]);
            let product: f64 = (0..4).map(|k| row[k] * column[k]).sum();
            if single_results {
                let word = &mut results[element][lane];
                *word = single(f64::from(f32::from_bits(*word)) + product);
            } else {
                let word = &mut results[element / 2][lane];
                let at = 16 * (element % 2);
                let sum = f64::from(f16_to_f32((*word >> at) as u16)) + product;
                *word = *word & !(0xffff << at) | F16.encode(sum, Round::Nearest, false) << at;
            }
        }
    }
    for (slot, result) in mma.d.iter().zip(&results) {
        // SAFETY: the caller's.
        unsafe { write(file, *slot, result, ALL) };
    }
}
