//! `cvt`: from one type to another (PTX ISA 8.8, section 9.7.9.21).

use super::lanes::{Run, map1};
use super::number::{BF16, E4M3, E5M2, F16, Round, Small, TF32, round_to_f32, round_to_integer};
use crate::cuda::ptx::{Kind, Ty};

/// A conversion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    pub to: Ty,
    pub from: Ty,
    /// Of a float to a smaller one.
    pub round: Round,
    /// `.rni` and so on: a float to a whole number, or to an integer.
    pub whole: Option<Round>,
    pub flush: bool,
    pub saturate: bool,
    /// `.satfinite`.
    pub finite: bool,
    pub relu: bool,
}

fn small(ty: Ty) -> Option<Small> {
    Some(match (ty.kind, ty.bits) {
        (Kind::Float, 16) => F16,
        (Kind::BFloat, _) => BF16,
        (Kind::Tf32, _) => TF32,
        (Kind::E4m3, _) => E4M3,
        (Kind::E5m2, _) => E5M2,
        _ => return None,
    })
}

impl Conversion {
    /// The commonest ones as an operation on all lanes; operand and result have the registers of their types.
    pub fn fast(&self) -> Option<Run> {
        if self.saturate || self.flush || self.finite || self.relu || self.to.lanes + self.from.lanes > 2 {
            return None;
        }
        let code = |ty: Ty| match ty.kind {
            Kind::Bits | Kind::Unsigned => ty.bits,
            Kind::Signed => 1000 + ty.bits,
            Kind::Float => 2000 + ty.bits,
            _ => 0,
        };
        Some(match (code(self.to), code(self.from)) {
            (64 | 1064, 32) => map1(|a: u32| u64::from(a)),
            (64 | 1064, 1032) => map1(|a: i32| i64::from(a)),
            (32 | 1032, 64 | 1064) => map1(|a: u64| a as u32),
            (32 | 1032, 16) => map1(|a: u16| u32::from(a)),
            (32 | 1032, 1016) => map1(|a: i16| i32::from(a)),
            (64 | 1064, 16) => map1(|a: u16| u64::from(a)),
            (16 | 1016, 32 | 1032) => map1(|a: u32| a as u16),
            (16 | 1016, 64 | 1064) => map1(|a: u64| a as u16),
            (2032, 32) if self.round == Round::Nearest => map1(|a: u32| a as f32),
            (2032, 1032) if self.round == Round::Nearest => map1(|a: i32| a as f32),
            (2064, 32) => map1(|a: u32| f64::from(a)),
            (2064, 1032) => map1(|a: i32| f64::from(a)),
            (2064, 2032) if self.whole.is_none() => map1(|a: f32| f64::from(a)),
            (2032, 2064) if self.whole.is_none() && self.round == Round::Nearest => map1(|a: f64| a as f32),
            _ => return None,
        })
    }

    /// One value, as the bits in its register.
    pub fn lane(&self, bits: u64) -> u64 {
        if self.from.lanes == 2 {
            // FP8 pairs to FP16 pairs.
            let half = Self { to: Ty { lanes: 1, ..self.to }, from: Ty { lanes: 1, ..self.from }, ..*self };
            return half.lane(bits & 0xff) | half.lane(bits >> 8 & 0xff) << 16;
        }
        match (self.from.is_integer(), self.to.is_integer()) {
            (true, true) => self.integer(integer(bits, self.from)),
            (true, false) => self.float(integer(bits, self.from)),
            (false, true) => self.whole(self.value(bits)),
            (false, false) => self.store(self.value(bits)),
        }
    }

    /// Two values into one register: the first is the upper half.
    pub fn pair(&self, upper: u64, lower: u64) -> u64 {
        let half = Self { to: Ty { lanes: 1, ..self.to }, ..*self };
        half.lane(upper) << self.to.bits | half.lane(lower)
    }

    fn integer(&self, value: i128) -> u64 {
        let value = if self.saturate { value.clamp(lowest(self.to), highest(self.to)) } else { value };
        value as u64
    }

    fn value(&self, bits: u64) -> f64 {
        let value = match self.from.bits {
            64 => f64::from_bits(bits),
            32 if self.from.kind == Kind::Float => {
                let value = f32::from_bits(bits as u32);
                f64::from(if self.flush && value.is_subnormal() { 0f32.copysign(value) } else { value })
            }
            _ => small(self.from).map_or(f64::NAN, |format| format.decode(bits as u32)),
        };
        self.whole.map_or(value, |round| if self.to.is_integer() { value } else { round_to_integer(value, round) })
    }

    fn whole(&self, value: f64) -> u64 {
        if value.is_nan() {
            // Zero, but for the types that have the bits for a sign of it.
            return if self.to.bits == 64 { 1 << 63 } else { 0 };
        }
        let whole = round_to_integer(value, self.whole.unwrap_or(Round::Zero));
        (whole as i128).clamp(lowest(self.to), highest(self.to)) as u64
    }

    /// From an integer: through double precision where that is exact, else rounded once.
    fn float(&self, value: i128) -> u64 {
        match self.to.bits {
            64 if self.round == Round::Nearest => (value as f64).to_bits(),
            64 => directed(value, self.round).to_bits(),
            32 if self.round == Round::Nearest => u64::from((value as f32).to_bits()),
            _ => self.store(odd(value)),
        }
    }

    fn store(&self, value: f64) -> u64 {
        let value = if self.relu && value < 0.0 { 0.0 } else { value };
        let value = match self.saturate {
            true if value > 0.0 => value.min(1.0),
            true => 0.0,
            false => value,
        };
        match (self.to.kind, self.to.bits) {
            (Kind::Float, 64) => value.to_bits(),
            (Kind::Float, 32) => {
                let value = round_to_f32(value, self.round);
                let value = if self.flush && value.is_subnormal() { 0f32.copysign(value) } else { value };
                u64::from(if value.is_nan() { 0x7fff_ffff } else { value.to_bits() })
            }
            (Kind::Tf32, _) => u64::from(TF32.encode(value, self.round, self.finite) << 13),
            _ => small(self.to).map_or(0, |format| format.encode(value, self.round, self.finite).into()),
        }
    }
}

fn integer(bits: u64, ty: Ty) -> i128 {
    let unused = 64 - ty.bits;
    if ty.is_signed() { i128::from((bits << unused) as i64 >> unused) } else { i128::from(bits << unused >> unused) }
}

fn lowest(ty: Ty) -> i128 {
    if ty.is_signed() { -(1 << (ty.bits - 1)) } else { 0 }
}

fn highest(ty: Ty) -> i128 {
    if ty.is_signed() { (1 << (ty.bits - 1)) - 1 } else { (1 << ty.bits) - 1 }
}

/// Rounded to odd, so that it can be rounded again.
fn odd(value: i128) -> f64 {
    let nearest = value as f64;
    super::number::round_to_odd(nearest, (value - nearest as i128) as f64)
}

fn directed(value: i128, round: Round) -> f64 {
    let nearest = value as f64;
    super::number::round_to_f64(nearest, (value - nearest as i128) as f64, round)
}
