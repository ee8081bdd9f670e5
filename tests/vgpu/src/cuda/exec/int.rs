//! Integer and logic instructions (PTX ISA 8.8, sections 9.7.1, 9.7.2 and 9.7.8).

use super::lanes::{Run, map1, map2, map3, rare1, rare2, rare3, test};
use crate::cuda::ptx::Ty;

/// What the integer types have in common.
trait Int: Copy + Default + Ord + 'static {
    const BITS: u32;
    const SIGNED: bool;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn high(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn neg(self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn shl(self, by: u32) -> Self;
    fn shr(self, by: u32) -> Self;
    fn bits(self) -> u64;
    fn of(bits: u64) -> Self;
    fn add_sat(self, other: Self) -> Self;
    fn sub_sat(self, other: Self) -> Self;
}

macro_rules! int {
    ($($type:ident $unsigned:ident $double:ident),+) => {$(
        impl Int for $type {
            const BITS: u32 = <$type>::BITS;
            const SIGNED: bool = <$type>::MIN != 0;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn high(self, other: Self) -> Self { (($double::from(self) * $double::from(other)) >> <$type>::BITS) as $type }
            // Division by zero gives all ones, as the hardware's routine does; PTX leaves it open.
            #[inline(always)]
            fn div(self, other: Self) -> Self { if other == 0 { !0 } else { self.wrapping_div(other) } }
            #[inline(always)]
            fn rem(self, other: Self) -> Self { if other == 0 { self } else { self.wrapping_rem(other) } }
            #[inline(always)]
            fn neg(self) -> Self { self.wrapping_neg() }
            #[inline(always)]
            fn and(self, other: Self) -> Self { self & other }
            #[inline(always)]
            fn or(self, other: Self) -> Self { self | other }
            #[inline(always)]
            fn xor(self, other: Self) -> Self { self ^ other }
            #[inline(always)]
            fn not(self) -> Self { !self }
            // Shifts by more than there are bits give zero or the sign.
            #[inline(always)]
            fn shl(self, by: u32) -> Self { if by >= <$type>::BITS { 0 } else { self << by } }
            #[inline(always)]
            fn shr(self, by: u32) -> Self {
                if Self::SIGNED { self >> by.min(<$type>::BITS - 1) } else if by >= <$type>::BITS { 0 } else { self >> by }
            }
            #[inline(always)]
            fn bits(self) -> u64 { u64::from(self as $unsigned) }
            #[inline(always)]
            fn of(bits: u64) -> Self { bits as $type }
            #[inline(always)]
            fn add_sat(self, other: Self) -> Self { self.saturating_add(other) }
            #[inline(always)]
            fn sub_sat(self, other: Self) -> Self { self.saturating_sub(other) }
        }
    )+};
}

int!(u16 u16 u32, u32 u32 u64, u64 u64 u128, i16 u16 i32, i32 u32 i64, i64 u64 i128);

/// Chooses the instance for a type.
macro_rules! for_type {
    ($ty:expr, $function:ident($($arg:expr),*)) => {
        match ($ty.is_signed(), $ty.bits) {
            (false, 16) => $function::<u16>($($arg),*),
            (false, 32) => $function::<u32>($($arg),*),
            (false, 64) => $function::<u64>($($arg),*),
            (true, 16) => $function::<i16>($($arg),*),
            (true, 32) => $function::<i32>($($arg),*),
            (true, 64) => $function::<i64>($($arg),*),
            _ => None,
        }
    };
}

/// Operations of operands and result of one type.
pub fn plain(name: &str, ty: Ty) -> Option<Run> {
    for_type!(ty, plain_of(name))
}

fn plain_of<T: Int>(name: &str) -> Option<Run> {
    Some(match name {
        "add" => map2(|a: T, b: T| a.add(b)),
        "sub" => map2(|a: T, b: T| a.sub(b)),
        "add.sat" => rare2(|a: T, b: T| a.add_sat(b)),
        "sub.sat" => rare2(|a: T, b: T| a.sub_sat(b)),
        "mul.lo" => map2(|a: T, b: T| a.mul(b)),
        "mul.hi" => map2(|a: T, b: T| a.high(b)),
        "mad.lo" => map3(|a: T, b: T, c: T| a.mul(b).add(c)),
        "mad.hi" => rare3(|a: T, b: T, c: T| a.high(b).add(c)),
        "mad.hi.sat" => rare3(|a: T, b: T, c: T| a.high(b).add_sat(c)),
        "mul24.lo" => rare2(|a: T, b: T| T::of((low24::<T>(a) as u64).wrapping_mul(low24::<T>(b) as u64))),
        "mad24.lo" => rare3(|a: T, b: T, c: T| T::of((low24::<T>(a) as u64).wrapping_mul(low24::<T>(b) as u64)).add(c)),
        "div" => rare2(|a: T, b: T| a.div(b)),
        "rem" => rare2(|a: T, b: T| a.rem(b)),
        "min" => map2(|a: T, b: T| a.min(b)),
        "max" => map2(|a: T, b: T| a.max(b)),
        "abs" => map1(|a: T| if a < T::default() { a.neg() } else { a }),
        "neg" => map1(|a: T| a.neg()),
        "and" => map2(|a: T, b: T| a.and(b)),
        "or" => map2(|a: T, b: T| a.or(b)),
        "xor" => map2(|a: T, b: T| a.xor(b)),
        "not" => map1(|a: T| a.not()),
        "cnot" => rare1(|a: T| T::of((a == T::default()).into())),
        "sad" => rare3(|a: T, b: T, c: T| c.add(if a < b { b.sub(a) } else { a.sub(b) })),
        "mov" => map1(|a: T| a),
        "shl" => map2(|a: T, by: u32| a.shl(by)),
        "shr" => map2(|a: T, by: u32| a.shr(by)),
        "popc" => map1(|a: T| a.bits().count_ones()),
        "clz" => rare1(|a: T| a.bits().leading_zeros() - (64 - T::BITS)),
        "brev" => rare1(|a: T| T::of(a.bits().reverse_bits() >> (64 - T::BITS))),
        "bfind" => rare1(|a: T| bfind(a)),
        "bfind.shiftamt" => rare1(|a: T| match bfind(a) {
            u32::MAX => u32::MAX,
            at => T::BITS - 1 - at,
        }),
        "bfe" => rare3(|a: T, at: u32, length: u32| bfe(a, at & 255, length & 255)),
        _ => return None,
    })
}

#[inline(always)]
fn low24<T: Int>(a: T) -> i64 {
    let low = (a.bits() & 0xff_ffff) as i64;
    if T::SIGNED { low << 40 >> 40 } else { low }
}

#[inline(always)]
fn bfind<T: Int>(a: T) -> u32 {
    let bits = if a < T::default() { a.not().bits() } else { a.bits() };
    if bits == 0 { u32::MAX } else { 63 - bits.leading_zeros() }
}

/// Field of `length` bits from bit `at`; the sign is the field's last bit, or the number's where the field is cut off.
#[inline(always)]
fn bfe<T: Int>(a: T, at: u32, length: u32) -> T {
    let msb = T::BITS - 1;
    let sign = if !T::SIGNED || length == 0 { 0 } else { a.bits() >> msb.min(at + length - 1) & 1 };
    let inside = if at > msb { 0 } else { a.bits() >> at };
    let covered = length.min(T::BITS.saturating_sub(at));
    let mask = if covered >= 64 { u64::MAX } else { (1 << covered) - 1 };
    T::of(inside & mask | if sign == 1 { !mask } else { 0 })
}

/// `bfi`: the fields' place and length come last, so it takes four operands of which the last two are packed by the decoder.
pub fn bit_insert(a: u64, into: u64, at: u32, length: u32, bits: u32) -> u64 {
    let (at, length) = (at & 255, length & 255);
    if at >= bits || length == 0 {
        return into;
    }
    let mask = (if length >= 64 { u64::MAX } else { (1 << length) - 1 }) << at;
    into & !mask | a << at & mask
}

/// `mul.wide` and `mad.wide`.
pub fn wide(ty: Ty, adds: bool) -> Option<Run> {
    Some(match (ty.is_signed(), ty.bits, adds) {
        (false, 16, false) => map2(|a: u16, b: u16| u32::from(a) * u32::from(b)),
        (true, 16, false) => map2(|a: i16, b: i16| i32::from(a) * i32::from(b)),
        (false, 32, false) => map2(|a: u32, b: u32| u64::from(a) * u64::from(b)),
        (true, 32, false) => map2(|a: i32, b: i32| i64::from(a) * i64::from(b)),
        (false, 16, true) => map3(|a: u16, b: u16, c: u32| (u32::from(a) * u32::from(b)).wrapping_add(c)),
        (true, 16, true) => map3(|a: i16, b: i16, c: i32| (i32::from(a) * i32::from(b)).wrapping_add(c)),
        (false, 32, true) => map3(|a: u32, b: u32, c: u64| (u64::from(a) * u64::from(b)).wrapping_add(c)),
        (true, 32, true) => map3(|a: i32, b: i32, c: i64| (i64::from(a) * i64::from(b)).wrapping_add(c)),
        _ => return None,
    })
}

/// `shf`: a shift of 64 bits that gives 32 of them. The third operand is the distance.
pub fn funnel(left: bool, wraps: bool) -> Run {
    match (left, wraps) {
        (true, true) => map3(|low: u32, high: u32, by: u32| funnel_left(low, high, by & 31)),
        (true, false) => map3(|low: u32, high: u32, by: u32| funnel_left(low, high, by.min(32))),
        (false, true) => map3(|low: u32, high: u32, by: u32| funnel_right(low, high, by & 31)),
        (false, false) => map3(|low: u32, high: u32, by: u32| funnel_right(low, high, by.min(32))),
    }
}

#[inline(always)]
fn funnel_left(low: u32, high: u32, by: u32) -> u32 {
    (((u64::from(high) << 32 | u64::from(low)) << by) >> 32) as u32
}

#[inline(always)]
fn funnel_right(low: u32, high: u32, by: u32) -> u32 {
    ((u64::from(high) << 32 | u64::from(low)) >> by) as u32
}

/// `prmt` in its plain mode: each result byte is one of eight, or the sign of it. The operands are a, b and the selector.
pub fn permute() -> Run {
    map3(|a: u32, b: u32, selector: u32| {
        let bytes = u64::from(b) << 32 | u64::from(a);
        let mut result = 0;
        for place in 0..4 {
            let choice = selector >> (4 * place) & 15;
            let byte = (bytes >> (8 * (choice & 7))) as u8;
            let byte = if choice & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
            result |= u32::from(byte) << (8 * place);
        }
        result
    })
}

/// `lop3`: any function of three bits, by its truth table.
pub fn logic3(a: u64, b: u64, c: u64, table: u32) -> u64 {
    (0..8).filter(|row| table >> row & 1 == 1).fold(0, |result, row| {
        let pick = |value: u64, bit: u32| if row >> bit & 1 == 1 { value } else { !value };
        result | pick(a, 2) & pick(b, 1) & pick(c, 0)
    })
}

/// `dp4a` and `dp2a`.
pub fn dot(name: &str, a: Ty, b: Ty) -> Option<Run> {
    fn four(a: u32, b: u32, c: u32, a_signed: bool, b_signed: bool) -> u32 {
        (0..4).fold(c, |sum, byte| {
            let of = |word: u32, signed: bool| {
                let byte = (word >> (8 * byte)) as u8;
                if signed { i32::from(byte as i8) } else { i32::from(byte) }
            };
            sum.wrapping_add((of(a, a_signed) * of(b, b_signed)) as u32)
        })
    }
    if name != "dp4a" {
        return None;
    }
    Some(match (a.is_signed(), b.is_signed()) {
        (false, false) => rare3(|a: u32, b: u32, c: u32| four(a, b, c, false, false)),
        (false, true) => rare3(|a: u32, b: u32, c: u32| four(a, b, c, false, true)),
        (true, false) => rare3(|a: u32, b: u32, c: u32| four(a, b, c, true, false)),
        (true, true) => rare3(|a: u32, b: u32, c: u32| four(a, b, c, true, true)),
    })
}

/// A comparison of integers.
pub fn compare(name: &str, ty: Ty) -> Option<Run> {
    for_type!(ty, compare_of(name))
}

fn compare_of<T: Int>(name: &str) -> Option<Run> {
    Some(match name {
        "eq" => test(|a: T, b: T| a == b),
        "ne" => test(|a: T, b: T| a != b),
        "lt" | "lo" => test(|a: T, b: T| a < b),
        "le" | "ls" => test(|a: T, b: T| a <= b),
        "gt" | "hi" => test(|a: T, b: T| a > b),
        "ge" | "hs" => test(|a: T, b: T| a >= b),
        _ => return None,
    })
}
