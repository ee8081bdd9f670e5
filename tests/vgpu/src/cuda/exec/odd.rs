//! Rare operations, lane by lane.

use super::int::{bit_insert, logic3};
use super::lanes::{ALL, LANES};
use super::program::{Carry, CarryOp, FloatTest, Odd, OddOp, Reg};
use super::warp::Warp;

/// Runs one.
pub fn run(warp: &mut Warp, odd: &Odd, mask: u32) {
    let operand = |warp: &Warp, index: usize| odd.s.get(index).map_or([0; LANES], |&reg| warp.bits(reg));
    let results: [u64; LANES] = match &odd.op {
        OddOp::BitInsert { bits } => {
            let (a, b, at, length) = (operand(warp, 0), operand(warp, 1), operand(warp, 2), operand(warp, 3));
            std::array::from_fn(|lane| bit_insert(a[lane], b[lane], at[lane] as u32, length[lane] as u32, *bits))
        }
        OddOp::Logic3 { table } => {
            let (a, b, c) = (operand(warp, 0), operand(warp, 1), operand(warp, 2));
            std::array::from_fn(|lane| logic3(a[lane], b[lane], c[lane], *table))
        }
        OddOp::Convert(conversion) => {
            let width = odd.d.bytes * 8;
            let signed = conversion.to.is_signed() && width > conversion.to.bits;
            let unused = 64 - conversion.to.bits;
            let kept = |bits: u64| if conversion.to.is_integer() { bits << unused >> unused } else { bits };
            operand(warp, 0).map(|bits| {
                let result = kept(conversion.lane(bits));
                // Into a wider register with the sign.
                if signed { ((result << unused) as i64 >> unused) as u64 } else { result }
            })
        }
        OddOp::ConvertPair(conversion) => {
            let (upper, lower) = (operand(warp, 0), operand(warp, 1));
            std::array::from_fn(|lane| conversion.pair(upper[lane], lower[lane]))
        }
        OddOp::TestFloat { what, bits } => {
            let mut result = 0;
            for (lane, value) in operand(warp, 0).into_iter().enumerate() {
                let class = if *bits == 64 {
                    f64::from_bits(value).classify()
                } else {
                    f32::from_bits(value as u32).classify()
                };
                use std::num::FpCategory::*;
                let is = match what {
                    FloatTest::Finite => !matches!(class, Nan | Infinite),
                    FloatTest::Infinite => class == Infinite,
                    FloatTest::Number => class != Nan,
                    FloatTest::NotANumber => class == Nan,
                    FloatTest::Normal => class == Normal,
                    FloatTest::Subnormal => class == Subnormal,
                };
                result |= u32::from(is) << lane;
            }
            return warp.set_mask(odd.d.slot, result, mask);
        }
        OddOp::Set { run, slots, yes } => {
            // SAFETY: the decoder chose operation and places together.
            unsafe { run(warp.file(), slots, ALL) };
            let is = warp.condition(super::program::PredRef { slot: slots.d, negated: false });
            std::array::from_fn(|lane| if is >> lane & 1 == 1 { *yes } else { 0 })
        }
    };
    warp.set_bits(odd.d, &results, mask);
}

/// `mov` of several registers into one.
pub fn pack(warp: &mut Warp, d: Reg, parts: &[Reg], mask: u32) {
    let mut results = [0u64; LANES];
    let mut at = 0;
    for part in parts {
        let bits = warp.bits(*part);
        for (result, bits) in results.iter_mut().zip(bits) {
            *result |= bits << at;
        }
        // A register of 16 bits may hold a part of 8, of which the upper half is not looked at.
        at += 8 * d.bytes / parts.len() as u32;
    }
    warp.set_bits(d, &results, mask);
}

/// `mov` of one register into several.
pub fn unpack(warp: &mut Warp, parts: &[Option<Reg>], a: Reg, mask: u32) {
    let bits = warp.bits(a);
    let width = 8 * a.bytes / parts.len() as u32;
    for (index, part) in parts.iter().enumerate() {
        if let Some(reg) = part {
            let kept = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            warp.set_bits(
                Reg { bytes: reg.bytes.max(2), ..*reg },
                &bits.map(|it| it >> (width * index as u32) & kept),
                mask,
            );
        }
    }
}

/// Arithmetic with the carry flag.
pub fn carry(warp: &mut Warp, it: &Carry, mask: u32) {
    let bits = 8 * it.d.bytes;
    let flag = warp.condition(super::program::PredRef { slot: it.flag, negated: false });
    let (a, b) = (warp.bits(it.a), warp.bits(it.b));
    let c = it.c.map_or([0; LANES], |reg| warp.bits(reg));
    let mut results = [0; LANES];
    let mut carries = 0;
    for lane in 0..LANES {
        let carry_in = u128::from(it.reads && flag >> lane & 1 == 1);
        let (a, b, c) = (u128::from(a[lane]), u128::from(b[lane]), u128::from(c[lane]));
        let low = (1u128 << bits) - 1;
        let signed = |value: u128| (value << (128 - bits)) as i128 >> (128 - bits);
        let sum = match it.op {
            CarryOp::Add => a + b + carry_in,
            // The flag is set where nothing was borrowed in the sum with the complement; PTX has it as borrow.
            CarryOp::Subtract => a.wrapping_sub(b).wrapping_sub(carry_in) & (low << 1 | 1),
            CarryOp::MadLow => ((a * b) & low) + c + carry_in,
            CarryOp::MadHigh => ((a * b) >> bits) + c + carry_in,
            CarryOp::MadHighSigned => ((signed(a) * signed(b)) >> bits) as u128 % (low + 1) + c + carry_in,
        };
        results[lane] = (sum & low) as u64;
        carries |= u32::from(sum >> bits & 1 == 1) << lane;
    }
    warp.set_bits(it.d, &results, mask);
    if it.writes {
        warp.set_mask(it.flag, carries, mask);
    }
}
