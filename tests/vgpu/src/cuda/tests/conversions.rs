//! `cvt`.

use super::{check, integer_rows, lanes, rows};
use crate::cuda::exec::number::{BF16, E4M3, E5M2, F16, Round, TF32};

#[test]
fn integers_to_integers() {
    let rows = integer_rows();
    check("cvt.u64.u32 %d, %a;", [32, 0, 0], 64, &rows, |[a, ..]| a);
    check("cvt.s64.s32 %d, %a;", [32, 0, 0], 64, &rows, |[a, ..]| i64::from(a as i32) as u64);
    check("cvt.u32.u64 %d, %a;", [64, 0, 0], 32, &rows, |[a, ..]| a);
    check("cvt.u16.u32 %d, %a;", [32, 0, 0], 16, &rows, |[a, ..]| a);
    check("cvt.s32.s16 %d, %a;", [16, 0, 0], 32, &rows, |[a, ..]| i64::from(a as i16) as u64);
    check("cvt.s32.s8 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| i64::from(a as i8) as u64);
    check("cvt.u32.u8 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| a & 0xff);
    check("cvt.sat.s8.s32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| i64::from((a as i32).clamp(-128, 127)) as u64);
    check("cvt.sat.u16.s32 %d, %a;", [32, 0, 0], 16, &rows, |[a, ..]| (a as i32).clamp(0, 65535) as u64);
    check("cvt.sat.u32.s64 %d, %a;", [64, 0, 0], 32, &rows, |[a, ..]| (a as i64).clamp(0, u32::MAX.into()) as u64);
}

#[test]
fn floats_to_integers() {
    let numbers = [0.0, -0.5, 0.5, 1.5, 2.5, -2.5, 3e9, -3e9, 1e20, -1e20, 0.9999, f32::INFINITY, f32::NEG_INFINITY];
    let rows = rows(&numbers.map(|it: f32| it.to_bits().into()));
    let f = |bits: u64| f32::from_bits(bits as u32);
    // Rust's conversion saturates as that of the hardware does.
    check("cvt.rzi.s32.f32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| f(a) as i32 as u64);
    check("cvt.rzi.u32.f32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| u64::from(f(a) as u32));
    check("cvt.rni.s32.f32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| f(a).round_ties_even() as i32 as u64);
    check("cvt.rmi.s32.f32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| f(a).floor() as i32 as u64);
    check("cvt.rpi.s32.f32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| f(a).ceil() as i32 as u64);
    let numbers: Vec<[u64; 3]> = rows.iter().copied().filter(|row| !f(row[0]).is_nan()).collect();
    check("cvt.rzi.s64.f32 %d, %a;", [32, 0, 0], 64, &numbers, |[a, ..]| f(a) as i64 as u64);
    check("cvt.rni.f32.f32 %d, %a;", [32, 0, 0], 32, &numbers, |[a, ..]| f(a).round_ties_even().to_bits().into());
    check("cvt.sat.f32.f32 %d, %a;", [32, 0, 0], 32, &numbers, |[a, ..]| {
        (if f(a) > 0.0 { f(a).min(1.0) } else { 0.0 }).to_bits().into()
    });
}

#[test]
fn integers_to_floats() {
    let rows = integer_rows();
    check("cvt.rn.f32.u32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| (a as f32).to_bits().into());
    check("cvt.rn.f32.s32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| (a as i32 as f32).to_bits().into());
    check("cvt.rn.f32.s64 %d, %a;", [64, 0, 0], 32, &rows, |[a, ..]| (a as i64 as f32).to_bits().into());
    check("cvt.rn.f64.u64 %d, %a;", [64, 0, 0], 64, &rows, |[a, ..]| (a as f64).to_bits());
    check("cvt.rn.f64.s32 %d, %a;", [32, 0, 0], 64, &rows, |[a, ..]| f64::from(a as i32).to_bits());
    check("cvt.rz.f32.u32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| {
        let nearest = a as f32;
        u64::from(if f64::from(nearest) > a as f64 { nearest.next_down() } else { nearest }.to_bits())
    });
    check("cvt.rp.f32.u32 %d, %a;", [32, 0, 0], 32, &rows, |[a, ..]| {
        let nearest = a as f32;
        u64::from(if f64::from(nearest) < a as f64 { nearest.next_up() } else { nearest }.to_bits())
    });
    check("cvt.rn.f16.s32 %d, %a;", [32, 0, 0], 16, &rows, |[a, ..]| {
        F16.encode((a as i32).into(), Round::Nearest, false).into()
    });
}

#[test]
fn floats_to_floats() {
    let numbers = [0.0, -0.0, 1.0, -1.5, 65504.0, 65520.0, 1e-8, 6e-8, 448.0, 464.0, 465.0, 0.001, 57344.0, 1e30, 2.7];
    let rows = rows(&numbers.map(|it: f32| it.to_bits().into()));
    let f = |bits: u64| f64::from(f32::from_bits(bits as u32));
    let usual: Vec<[u64; 3]> =
        rows.iter().copied().filter(|row| row.iter().all(|&it| !f(it & 0xffff_ffff).is_nan())).collect();
    check("cvt.f64.f32 %d, %a;", [32, 0, 0], 64, &usual, |[a, ..]| f(a).to_bits());
    check("cvt.rn.f16.f32 %d, %a;", [32, 0, 0], 16, &usual, |[a, ..]| F16.encode(f(a), Round::Nearest, false).into());
    check("cvt.rz.f16.f32 %d, %a;", [32, 0, 0], 16, &usual, |[a, ..]| F16.encode(f(a), Round::Zero, false).into());
    check("cvt.rn.bf16.f32 %d, %a;", [32, 0, 0], 16, &usual, |[a, ..]| BF16.encode(f(a), Round::Nearest, false).into());
    check("cvt.rna.tf32.f32 %d, %a;", [32, 0, 0], 32, &usual, |[a, ..]| {
        u64::from(TF32.encode(f(a), Round::NearestAway, false)) << 13
    });
    let pair = |format: crate::cuda::exec::number::Small, bits: u32, finite: bool| {
        move |[a, b, _]: [u64; 3]| {
            let half = |it: u64| u64::from(format.encode(f(it), Round::Nearest, finite));
            half(a) << bits | half(b)
        }
    };
    check("cvt.rn.f16x2.f32 %d, %a, %b;", [32, 32, 0], 32, &usual, pair(F16, 16, false));
    check("cvt.rn.bf16x2.f32 %d, %a, %b;", [32, 32, 0], 32, &usual, pair(BF16, 16, false));
    check("cvt.rn.satfinite.e4m3x2.f32 %d, %a, %b;", [32, 32, 0], 16, &usual, pair(E4M3, 8, true));
    check("cvt.rn.satfinite.e5m2x2.f32 %d, %a, %b;", [32, 32, 0], 16, &usual, pair(E5M2, 8, true));
    let bytes: Vec<[u64; 3]> = (0..256).map(|it| [it << 8 | (255 - it), 0, 0]).collect();
    let results = lanes("cvt.rn.f16x2.e4m3x2 %d, %a;", [16, 0, 0], 32, &bytes);
    for (row, result) in bytes.iter().zip(results) {
        for at in [0, 1] {
            let wanted = E4M3.decode((row[0] >> (8 * at)) as u32 & 0xff);
            let got = F16.decode((result >> (16 * at)) as u32 & 0xffff);
            assert!(got == wanted || got.is_nan() && wanted.is_nan(), "{row:x?}");
        }
    }
    check("cvt.f32.f16 %d, %a;", [16, 0, 0], 32, &[[0x3c00, 0, 0], [0x8001, 0, 0], [0x7bff, 0, 0]], |[a, ..]| {
        (F16.decode(a as u32) as f32).to_bits().into()
    });
    let doubles: Vec<[u64; 3]> = [1.0 + 2f64.powi(-24), 1e300, -1e-300, 0.1].map(|it| [it.to_bits(), 0, 0]).to_vec();
    check("cvt.rn.f32.f64 %d, %a;", [64, 0, 0], 32, &doubles, |[a, ..]| (f64::from_bits(a) as f32).to_bits().into());
    check("cvt.rp.f32.f64 %d, %a;", [64, 0, 0], 32, &doubles, |[a, ..]| {
        let (value, nearest) = (f64::from_bits(a), f64::from_bits(a) as f32);
        u64::from(if f64::from(nearest) < value { nearest.next_up() } else { nearest }.to_bits())
    });
}
