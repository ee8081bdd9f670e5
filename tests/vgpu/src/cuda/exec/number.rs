//! Numbers that Rust has no type for: FP16, BF16, FP8, and sums rounded in a chosen direction.

/// Direction in which a result is rounded (PTX ISA 8.8, section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Round {
    /// To the nearest, ties to even.
    Nearest,
    /// To the nearest, ties away from zero.
    NearestAway,
    /// Towards zero.
    Zero,
    /// Down.
    Down,
    /// Up.
    Up,
}

/// A format of few bits: sign, exponent, fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Small {
    pub exponent_bits: u32,
    pub fraction_bits: u32,
    /// Whether the highest exponent stands for infinity and NaN. E4M3 has no infinity, and NaN only as all ones.
    pub ieee: bool,
}

/// FP16.
pub const F16: Small = Small { exponent_bits: 5, fraction_bits: 10, ieee: true };
/// BF16.
pub const BF16: Small = Small { exponent_bits: 8, fraction_bits: 7, ieee: true };
/// TF32, in 19 bits.
pub const TF32: Small = Small { exponent_bits: 8, fraction_bits: 10, ieee: true };
/// FP8 with four exponent bits.
pub const E4M3: Small = Small { exponent_bits: 4, fraction_bits: 3, ieee: false };
/// FP8 with five exponent bits.
pub const E5M2: Small = Small { exponent_bits: 5, fraction_bits: 2, ieee: true };

impl Small {
    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// The value of these bits, exactly.
    #[inline(never)]
    pub fn decode(self, bits: u32) -> f64 {
        let top = (1 << self.exponent_bits) - 1;
        let exponent = bits >> self.fraction_bits & top;
        let fraction = bits & ((1 << self.fraction_bits) - 1);
        let negative = bits >> (self.exponent_bits + self.fraction_bits) & 1 == 1;
        let all_ones = fraction == (1 << self.fraction_bits) - 1;
        let scale = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
        let step = scale(-(self.fraction_bits as i32));
        let value = if exponent == top && (self.ieee && fraction != 0 || !self.ieee && all_ones) {
            f64::NAN
        } else if exponent == top && self.ieee {
            f64::INFINITY
        } else if exponent == 0 {
            f64::from(fraction) * step * scale(1 - self.bias())
        } else {
            (1.0 + f64::from(fraction) * step) * scale(exponent as i32 - self.bias())
        };
        if negative { -value } else { value }
    }

    /// The bits of the nearest value in that direction. `finite` puts the largest number for infinity.
    #[inline(never)]
    pub fn encode(self, value: f64, round: Round, finite: bool) -> u32 {
        let sign = u32::from(value.is_sign_negative()) << (self.exponent_bits + self.fraction_bits);
        let top = (1 << self.exponent_bits) - 1;
        let largest = if self.ieee {
            (top << self.fraction_bits) - 1
        } else {
            (1 << (self.exponent_bits + self.fraction_bits)) - 2
        };
        if value.is_nan() {
            // The NaN of the hardware has no sign.
            return if self.ieee { (top << self.fraction_bits) | ((1 << self.fraction_bits) - 1) } else { largest + 1 };
        }
        let magnitude = value.abs();
        if magnitude == 0.0 {
            return sign;
        }
        let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(1 - self.bias());
        // In units of the last place; exact, since it is a scaling by a power of two.
        let units = magnitude * power_of_two(self.fraction_bits as i32 - exponent);
        let below = units.floor();
        let rest = units - below;
        let up = match round {
            Round::Nearest => rest > 0.5 || rest == 0.5 && below % 2.0 == 1.0,
            Round::NearestAway => rest >= 0.5,
            Round::Zero => false,
            Round::Down => rest > 0.0 && sign != 0,
            Round::Up => rest > 0.0 && sign == 0,
        };
        if !units.is_finite() || exponent > self.bias() + 1 {
            return sign | self.overflow(largest, sign, round, finite);
        }
        let units = below as u64 + u64::from(up);
        let first = (exponent - (1 - self.bias())) as u64;
        // The leading one of a normal number adds one to the exponent field, a carry another one.
        let bits = (first << self.fraction_bits) + units;
        if bits > u64::from(largest) { sign | self.overflow(largest, sign, round, finite) } else { sign | bits as u32 }
    }

    fn overflow(self, largest: u32, sign: u32, round: Round, finite: bool) -> u32 {
        let towards_zero = match round {
            Round::Zero => true,
            Round::Down => sign == 0,
            Round::Up => sign != 0,
            _ => false,
        };
        // One above the largest is infinity, or the NaN of a format without.
        if finite || towards_zero { largest } else { largest + 1 }
    }
}

fn power_of_two(exponent: i32) -> f64 {
    if (-1022..=1023).contains(&exponent) {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        2f64.powi(exponent)
    }
}

/// FP16 to single precision, without branches, for vector loops.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // A multiplication puts the exponent right, for subnormal numbers too.
    let scaled = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let value = if bits & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { scaled.to_bits() };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

/// BF16 to single precision.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A sum in double precision and what it lost: `a + b` is exactly the sum of both.
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `value + error` rounded to odd: rounded again to fewer bits, in any direction, it gives what the exact sum gives.
#[inline(always)]
pub fn round_to_odd(value: f64, error: f64) -> f64 {
    if error == 0.0 || error.is_nan() || !value.is_finite() || value.to_bits() & 1 == 1 {
        value
    } else if (error > 0.0) == (value > 0.0) {
        f64::from_bits(value.to_bits() + 1)
    } else {
        f64::from_bits(value.to_bits() - 1)
    }
}

/// Rounds to single precision in that direction.
#[inline(always)]
pub fn round_to_f32(value: f64, round: Round) -> f32 {
    let nearest = value as f32;
    let over = f64::from(nearest) > value;
    let under = f64::from(nearest) < value;
    match round {
        Round::Down if over => nearest.next_down(),
        Round::Up if under => nearest.next_up(),
        Round::Zero if over && value > 0.0 => nearest.next_down(),
        Round::Zero if under && value < 0.0 => nearest.next_up(),
        _ => nearest,
    }
}

/// Rounds `value + error` to double precision in that direction.
pub fn round_to_f64(value: f64, error: f64, round: Round) -> f64 {
    if !value.is_finite() || error == 0.0 {
        return value;
    }
    match round {
        Round::Down if error < 0.0 => value.next_down(),
        Round::Up if error > 0.0 => value.next_up(),
        Round::Zero if value > 0.0 && error < 0.0 => value.next_down(),
        Round::Zero if value < 0.0 && error > 0.0 => value.next_up(),
        _ => value,
    }
}

/// Rounds to a whole number in that direction.
pub fn round_to_integer(value: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => value.round_ties_even(),
        Round::NearestAway => value.round(),
        Round::Zero => value.trunc(),
        Round::Down => value.floor(),
        Round::Up => value.ceil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_number_comes_back_and_the_fast_way_gives_the_same() {
        for format in [F16, BF16, E4M3, E5M2] {
            for bits in 0..1u32 << (format.exponent_bits + format.fraction_bits + 1) {
                let value = format.decode(bits);
                if !value.is_nan() {
                    assert_eq!(format.encode(value, Round::Nearest, false), bits, "{format:?} {bits:#x}");
                }
                if format == F16 {
                    let fast = f64::from(f16_to_f32(bits as u16));
                    assert!(
                        fast == value && fast.is_sign_negative() == value.is_sign_negative()
                            || value.is_nan() && fast.is_nan()
                    );
                }
            }
        }
        assert_eq!(E4M3.decode(0x7e), 448.0);
        assert_eq!(E4M3.encode(1e9, Round::Nearest, true), 0x7e);
        assert_eq!(E5M2.encode(1e9, Round::Nearest, false), 0x7c);
        assert_eq!(F16.encode(65520.0, Round::Nearest, false), 0x7c00);
        assert_eq!(F16.encode(65519.9, Round::Nearest, false), 0x7bff);
        assert_eq!(F16.encode(1e-30, Round::Up, false), 1);
        assert_eq!(TF32.encode(1.0 + 2f64.powi(-11), Round::NearestAway, false), 0x1fc01);
    }

    #[test]
    fn directed_rounding_sees_what_the_sum_lost() {
        let sum = |a: f64, b: f64| {
            let (sum, lost) = two_sum(a, b);
            round_to_odd(sum, lost)
        };
        assert_eq!(round_to_f32(sum(1.0, 1e-30), Round::Up), 1f32.next_up());
        assert_eq!(round_to_f32(sum(1.0, 1e-30), Round::Down), 1.0);
        assert_eq!(round_to_f32(sum(1.0, -1e-30), Round::Zero), 1f32.next_down());
        let (value, lost) = two_sum(1.0, -1e-30);
        assert_eq!(round_to_f64(value, lost, Round::Down), 1f64.next_down());
        // Half of the last place, and a little more or less.
        assert_eq!(round_to_f32(sum(1.0 + 2f64.powi(-24), 1e-30), Round::Nearest), 1f32.next_up());
        assert_eq!(round_to_f32(sum(1.0 + 2f64.powi(-24), -1e-30), Round::Nearest), 1.0);
    }
}
