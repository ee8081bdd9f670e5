//! Floating-point instructions (PTX ISA 8.8, sections 9.7.3 to 9.7.5).
//!
//! Single and double precision are exact in every rounding mode that PTX has, but for double precision `fma`, `div` and
//! `sqrt`, which are to the nearest only. The `.approx` functions are computed exactly and rounded: real ones differ in the
//! last places.

#![allow(clippy::double_comparisons, clippy::neg_cmp_op_on_partial_ord, reason = "NaN is neither less nor more")]

use super::lanes::{Run, conjure, map1, map2, map3, rare_test, rare1, rare2, rare3};
use super::number::{BF16, F16, Round, Small, round_to_f32, round_to_f64, round_to_odd, two_sum};
use crate::cuda::ptx::{Kind, Ty};

/// How a floating-point instruction is modified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub round: Round,
    /// Subnormal numbers are zero.
    pub flush: bool,
    /// Results are held between 0 and 1.
    pub saturate: bool,
    /// `.relu`: negative results are zero.
    pub relu: bool,
}

/// An operation of operands and result of one type. `None` where there is no such operation.
pub fn plain(name: &str, ty: Ty, mode: Mode) -> Option<Run> {
    match (ty.kind, ty.bits, ty.lanes) {
        (Kind::Float, 32, 1) => match (mode.flush, mode.saturate) {
            _ if mode.relu => None,
            (false, false) => single::<false, false>(name, mode.round),
            (true, false) => single::<true, false>(name, mode.round),
            (false, true) => single::<false, true>(name, mode.round),
            (true, true) => single::<true, true>(name, mode.round),
        },
        (Kind::Float, 64, 1) if !mode.flush && !mode.saturate && !mode.relu => double(name, mode.round),
        (Kind::Float | Kind::BFloat, 16, lanes) if mode.round == Round::Nearest && !mode.flush => {
            match (ty.kind == Kind::BFloat, lanes, mode.saturate, mode.relu) {
                (false, 1, false, false) => half::<u16, false, 0>(name),
                (false, 1, true, false) => half::<u16, false, 1>(name),
                (false, 1, false, true) => half::<u16, false, 2>(name),
                (false, _, false, false) => half::<u32, false, 0>(name),
                (false, _, true, false) => half::<u32, false, 1>(name),
                (false, _, false, true) => half::<u32, false, 2>(name),
                (true, 1, false, false) => half::<u16, true, 0>(name),
                (true, 1, false, true) => half::<u16, true, 2>(name),
                (true, _, false, false) => half::<u32, true, 0>(name),
                (true, _, false, true) => half::<u32, true, 2>(name),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A comparison. The names are those of PTX: the ordered ones are false, the ones with `u` true where a number is not one.
pub fn compare(name: &str, ty: Ty, flush: bool) -> Option<Run> {
    match (ty.kind, ty.bits, ty.lanes) {
        (Kind::Float, 32, 1) if flush => ordered(name, |a: f32| input::<true>(a)),
        (Kind::Float, 32, 1) => ordered(name, |a: f32| a),
        (Kind::Float, 64, 1) if !flush => ordered(name, |a: f64| a),
        (Kind::Float, 16, 1) if !flush => ordered(name, |a: u16| super::number::f16_to_f32(a)),
        (Kind::BFloat, 16, 1) if !flush => ordered(name, |a: u16| super::number::bf16_to_f32(a)),
        _ => None,
    }
}

fn ordered<T: Copy, V: PartialOrd, F: Fn(T) -> V + Copy>(name: &str, _: F) -> Option<Run> {
    macro_rules! by {
        (|$a:ident, $b:ident| $body:expr) => {
            rare_test(|a: T, b: T| {
                let value = conjure::<F>();
                let ($a, $b) = (value(a), value(b));
                $body
            })
        };
    }
    Some(match name {
        "eq" => by!(|a, b| a == b),
        "ne" => by!(|a, b| a < b || a > b),
        "lt" => by!(|a, b| a < b),
        "le" => by!(|a, b| a <= b),
        "gt" => by!(|a, b| a > b),
        "ge" => by!(|a, b| a >= b),
        "equ" => by!(|a, b| !(a < b || a > b)),
        "neu" => by!(|a, b| a != b),
        "ltu" => by!(|a, b| !(a >= b)),
        "leu" => by!(|a, b| !(a > b)),
        "gtu" => by!(|a, b| !(a <= b)),
        "geu" => by!(|a, b| !(a < b)),
        "num" => by!(|a, b| a.partial_cmp(&b).is_some()),
        "nan" => by!(|a, b| a.partial_cmp(&b).is_none()),
        _ => return None,
    })
}

#[inline(always)]
fn input<const FLUSH: bool>(a: f32) -> f32 {
    if FLUSH && a.is_subnormal() { 0f32.copysign(a) } else { a }
}

/// The NaN of the hardware, flushed and held between 0 and 1 as asked.
#[inline(always)]
fn output<const FLUSH: bool, const SATURATE: bool>(a: f32) -> f32 {
    if SATURATE {
        // NaN becomes zero.
        return if a > 0.0 { a.min(1.0) } else { 0.0 };
    }
    if a.is_nan() { f32::from_bits(0x7fff_ffff) } else { input::<FLUSH>(a) }
}

fn single<const FLUSH: bool, const SATURATE: bool>(name: &str, round: Round) -> Option<Run> {
    /// Wraps flushing around.
    macro_rules! op {
        ($map:ident |$($arg:ident),+| $body:expr) => {
            $map(|$($arg: f32),+| {
                $(let $arg = input::<FLUSH>($arg);)+
                output::<FLUSH, SATURATE>($body)
            })
        };
    }
    /// An instance for each direction of an exact value in double precision, odd in its last place where it is not.
    macro_rules! directed {
        ($map:ident |$($arg:ident),+| $odd:expr) => {
            match round {
                Round::Zero => op!($map |$($arg),+| round_to_f32($odd, Round::Zero)),
                Round::Down => op!($map |$($arg),+| round_to_f32($odd, Round::Down)),
                Round::Up => op!($map |$($arg),+| round_to_f32($odd, Round::Up)),
                _ => return None,
            }
        };
    }
    let nearest = round == Round::Nearest;
    Some(match name {
        "add" if nearest => op!(map2 | a, b | a + b),
        "sub" if nearest => op!(map2 | a, b | a - b),
        "mul" if nearest => op!(map2 | a, b | a * b),
        "fma" if nearest => op!(map3 | a, b, c | a.mul_add(b, c)),
        "div" if nearest => op!(map2 | a, b | a / b),
        "rcp" if nearest => op!(map1 | a | 1.0 / a),
        "sqrt" if nearest => op!(map1 | a | a.sqrt()),
        "add" => directed!(rare2 | a, b | sum(a.into(), b.into())),
        "sub" => directed!(rare2 | a, b | sum(a.into(), -f64::from(b))),
        "mul" => directed!(rare2 | a, b | f64::from(a) * f64::from(b)),
        "fma" => directed!(rare3 | a, b, c | sum(f64::from(a) * f64::from(b), c.into())),
        "div" => directed!(rare2 | a, b | quotient(a.into(), b.into())),
        "rcp" => directed!(rare1 | a | quotient(1.0, a.into())),
        "sqrt" => directed!(rare1 | a | root(a.into())),
        "min" => op!(
            rare2 | a,
            b | if a.is_nan() {
                b
            } else if b.is_nan() {
                a
            } else {
                lesser(a, b)
            }
        ),
        "max" => op!(
            rare2 | a,
            b | if a.is_nan() {
                b
            } else if b.is_nan() {
                a
            } else {
                -lesser(-a, -b)
            }
        ),
        "min.NaN" => op!(rare2 | a, b | if a.is_nan() || b.is_nan() { f32::NAN } else { lesser(a, b) }),
        "max.NaN" => op!(rare2 | a, b | if a.is_nan() || b.is_nan() { f32::NAN } else { -lesser(-a, -b) }),
        "abs" => map1(|a: f32| input::<FLUSH>(a.abs())),
        "neg" => map1(|a: f32| input::<FLUSH>(-a)),
        // The sign of the first, the rest of the second.
        "copysign" => rare2(|a: f32, b: f32| b.copysign(a)),
        "rsqrt.approx" => op!(rare1 | a | (1.0 / f64::from(a).sqrt()) as f32),
        "sin.approx" => op!(rare1 | a | f64::from(a).sin() as f32),
        "cos.approx" => op!(rare1 | a | f64::from(a).cos() as f32),
        "ex2.approx" => op!(rare1 | a | f64::from(a).exp2() as f32),
        "lg2.approx" => op!(rare1 | a | f64::from(a).log2() as f32),
        "tanh.approx" => op!(rare1 | a | f64::from(a).tanh() as f32),
        _ => return None,
    })
}

/// Minus zero is smaller than zero.
#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b || a == b && a.is_sign_negative() { a } else { b }
}

#[inline(always)]
fn sum(a: f64, b: f64) -> f64 {
    let (sum, lost) = two_sum(a, b);
    round_to_odd(sum, lost)
}

#[inline(always)]
fn quotient(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    // What is left, in the direction of the quotient.
    round_to_odd(quotient, -quotient.mul_add(b, -a) * b.signum())
}

#[inline(always)]
fn root(a: f64) -> f64 {
    let root = a.sqrt();
    round_to_odd(root, -root.mul_add(root, -a))
}

fn double(name: &str, round: Round) -> Option<Run> {
    macro_rules! directed {
        (|$a:ident, $b:ident| $pair:expr) => {
            match round {
                Round::Zero => rare2(|$a: f64, $b: f64| {
                    let (value, lost) = $pair;
                    round_to_f64(value, lost, Round::Zero)
                }),
                Round::Down => rare2(|$a: f64, $b: f64| {
                    let (value, lost) = $pair;
                    round_to_f64(value, lost, Round::Down)
                }),
                Round::Up => rare2(|$a: f64, $b: f64| {
                    let (value, lost) = $pair;
                    round_to_f64(value, lost, Round::Up)
                }),
                _ => return None,
            }
        };
    }
    let nearest = round == Round::Nearest;
    Some(match name {
        "add" if nearest => map2(|a: f64, b: f64| a + b),
        "sub" if nearest => map2(|a: f64, b: f64| a - b),
        "mul" if nearest => map2(|a: f64, b: f64| a * b),
        "fma" if nearest => map3(|a: f64, b: f64, c: f64| a.mul_add(b, c)),
        "div" if nearest => rare2(|a: f64, b: f64| a / b),
        "rcp" if nearest => map1(|a: f64| 1.0 / a),
        "sqrt" if nearest => map1(|a: f64| a.sqrt()),
        "add" => directed!(|a, b| two_sum(a, b)),
        "sub" => directed!(|a, b| two_sum(a, -b)),
        "mul" => directed!(|a, b| (a * b, a.mul_add(b, -(a * b)))),
        "min" => rare2(|a: f64, b: f64| if a.is_nan() || b < a || a == b && b.is_sign_negative() { b } else { a }),
        "max" => rare2(|a: f64, b: f64| if a.is_nan() || b > a || a == b && b.is_sign_positive() { b } else { a }),
        "abs" => map1(|a: f64| a.abs()),
        "neg" => map1(|a: f64| -a),
        "copysign" => rare2(|a: f64, b: f64| b.copysign(a)),
        "rcp.approx" => rare1(|a: f64| 1.0 / a),
        "rsqrt.approx" => rare1(|a: f64| 1.0 / a.sqrt()),
        _ => return None,
    })
}

/// One or two numbers of 16 bits in a register.
trait Packed: Copy + Default + 'static {
    fn each(a: Self, b: Self, c: Self, f: impl Fn(u16, u16, u16) -> u16) -> Self;
}

impl Packed for u16 {
    #[inline(always)]
    fn each(a: Self, b: Self, c: Self, f: impl Fn(u16, u16, u16) -> u16) -> Self {
        f(a, b, c)
    }
}

impl Packed for u32 {
    #[inline(always)]
    fn each(a: Self, b: Self, c: Self, f: impl Fn(u16, u16, u16) -> u16) -> Self {
        let low = f(a as u16, b as u16, c as u16);
        u32::from(f((a >> 16) as u16, (b >> 16) as u16, (c >> 16) as u16)) << 16 | u32::from(low)
    }
}

/// FP16 and BF16. `AFTER`: 0 nothing, 1 `.sat`, 2 `.relu`.
fn half<T: Packed, const BRAIN: bool, const AFTER: u8>(name: &str) -> Option<Run> {
    const fn format<const BRAIN: bool>() -> Small {
        if BRAIN { BF16 } else { F16 }
    }
    macro_rules! op {
        ($map:ident($($word:ident),+) |$a:ident, $b:ident, $c:ident| $body:expr) => {
            $map(|$($word: T),+| {
                let words = op!(@three $($word),+);
                T::each(words.0, words.1, words.2, |a, b, c| {
                    let format = format::<BRAIN>();
                    let ($a, $b, $c) = (format.decode(a.into()), format.decode(b.into()), format.decode(c.into()));
                    let value: f64 = $body;
                    let value = match AFTER {
                        1 => if value > 0.0 { value.min(1.0) } else { 0.0 },
                        2 if value < 0.0 => 0.0,
                        _ => value,
                    };
                    format.encode(value, Round::Nearest, false) as u16
                })
            })
        };
        (@three $a:ident) => { ($a, T::default(), T::default()) };
        (@three $a:ident, $b:ident) => { ($a, $b, T::default()) };
        (@three $a:ident, $b:ident, $c:ident) => { ($a, $b, $c) };
    }
    Some(match name {
        "add" => op!(rare2(x, y) | a, b, _c | sum(a, b)),
        "sub" => op!(rare2(x, y) | a, b, _c | sum(a, -b)),
        "mul" => op!(rare2(x, y) | a, b, _c | a * b),
        "fma" => op!(rare3(x, y, z) | a, b, c | sum(a * b, c)),
        "min" => {
            op!(rare2(x, y) | a, b, _c | if a.is_nan() || b < a || a == b && b.is_sign_negative() { b } else { a })
        }
        "max" => {
            op!(rare2(x, y) | a, b, _c | if a.is_nan() || b > a || a == b && b.is_sign_positive() { b } else { a })
        }
        "neg" => rare1(|x: T| T::each(x, x, x, |a, _, _| a ^ 0x8000)),
        "abs" => rare1(|x: T| T::each(x, x, x, |a, _, _| a & 0x7fff)),
        "tanh.approx" => op!(rare1(x) | a, _b, _c | a.tanh()),
        "ex2.approx" => op!(rare1(x) | a, _b, _c | a.exp2()),
        _ => return None,
    })
}
