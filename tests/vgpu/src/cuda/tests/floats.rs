//! Floating-point arithmetic.

use super::{check, rows};
use crate::cuda::exec::number::{BF16, F16, Round, Small};

fn singles() -> Vec<[u64; 3]> {
    let numbers = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        3.4e38,
        -1e-45,
        1e-38,
        6.1e-5,
        16777217.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        0.1,
        1.0000001,
    ];
    rows(&numbers.map(|it: f32| u64::from(it.to_bits())))
}

fn doubles() -> Vec<[u64; 3]> {
    let numbers =
        [0.0, -0.0, 1.0, -1.5, 1.7e308, -5e-324, 1e-308, 0.1, f64::INFINITY, 9_007_199_254_740_993.0, 1.0000000001];
    rows(&numbers.map(|it: f64| it.to_bits()))
}

/// The hardware has one NaN of single precision.
fn single(value: f32) -> u64 {
    u64::from(if value.is_nan() { 0x7fff_ffff } else { value.to_bits() })
}

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn flush(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

#[test]
fn single_precision() {
    let rows = singles();
    let all = [32; 3];
    check("add.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(f(a) + f(b)));
    check("sub.rn.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(f(a) - f(b)));
    check("mul.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(f(a) * f(b)));
    check("fma.rn.f32 %d, %a, %b, %c;", all, 32, &rows, |[a, b, c]| single(f(a).mul_add(f(b), f(c))));
    check("mad.rn.f32 %d, %a, %b, %c;", all, 32, &rows, |[a, b, c]| single(f(a).mul_add(f(b), f(c))));
    check("div.rn.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(f(a) / f(b)));
    check("div.full.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(f(a) / f(b)));
    check("rcp.approx.ftz.f32 %d, %a;", all, 32, &rows, |[a, ..]| single(flush(1.0 / flush(f(a)))));
    check("sqrt.rn.f32 %d, %a;", all, 32, &rows, |[a, ..]| single(f(a).sqrt()));
    check("add.ftz.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| single(flush(flush(f(a)) + flush(f(b)))));
    check("mul.sat.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| {
        let product = f(a) * f(b);
        single(if product > 0.0 { product.min(1.0) } else { 0.0 })
    });
    check("min.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| {
        let (a, b) = (f(a), f(b));
        let zero = a == 0.0 && b == 0.0;
        single(if zero { if a.is_sign_negative() { a } else { b } } else { a.min(b) })
    });
    check("max.NaN.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| {
        let (a, b) = (f(a), f(b));
        let zero = a == 0.0 && b == 0.0;
        single(if a.is_nan() || b.is_nan() {
            f32::NAN
        } else if zero {
            if a.is_sign_negative() { b } else { a }
        } else {
            a.max(b)
        })
    });
    check("neg.f32 %d, %a;", all, 32, &rows, |[a, ..]| a ^ 0x8000_0000);
    check("abs.f32 %d, %a;", all, 32, &rows, |[a, ..]| a & 0x7fff_ffff);
    check("copysign.f32 %d, %a, %b;", all, 32, &rows, |[a, b, _]| a & 0x8000_0000 | b & 0x7fff_ffff);
    check("add.f32 %d, %a, 0f3F800000;", all, 32, &rows, |[a, ..]| single(f(a) + 1.0));
}

/// A value of single precision at or next to an exact one, which `over` and `under` say where it is.
fn check_directed(name: &str, exact: impl Fn(f64, f64, f64) -> (f64, f64)) {
    let numbers: Vec<[u64; 3]> =
        singles().into_iter().filter(|row| row.iter().all(|&it| f(it).is_finite() && f(it).abs() < 1e18)).collect();
    for (mode, round) in [("rz", Round::Zero), ("rm", Round::Down), ("rp", Round::Up)] {
        let body = name.replace("MODE", mode);
        let results = super::lanes(&body, [32; 3], 32, &numbers);
        for (row, result) in numbers.iter().zip(results) {
            let (value, error) = exact(f(row[0]).into(), f(row[1]).into(), f(row[2]).into());
            let result = f64::from(f(result));
            // Exactly value + error is on the right side, and not as far as the next number.
            let (below, above) = (f64::from((result as f32).next_down()), f64::from((result as f32).next_up()));
            let less = |x: f64| x < value || x == value && error > 0.0;
            let more = |x: f64| x > value || x == value && error < 0.0;
            let positive = value > 0.0 || value == 0.0 && error > 0.0;
            let right = match round {
                Round::Down => !more(result) && more(above),
                Round::Up => !less(result) && less(below),
                _ if positive => !more(result) && more(above),
                _ if value == 0.0 && error == 0.0 => result == 0.0,
                _ => !less(result) && less(below),
            };
            assert!(right, "{body} of {row:x?}: {result:e} for {value:e} + {error:e}");
        }
    }
}

#[test]
fn directed_rounding_of_single_precision() {
    let two_sum = |a: f64, b: f64| {
        let sum = a + b;
        let part = sum - a;
        (sum, (a - (sum - part)) + (b - part))
    };
    check_directed("add.MODE.f32 %d, %a, %b;", |a, b, _| two_sum(a, b));
    check_directed("sub.MODE.f32 %d, %a, %b;", |a, b, _| two_sum(a, -b));
    check_directed("mul.MODE.f32 %d, %a, %b;", |a, b, _| (a * b, 0.0));
    check_directed("fma.MODE.f32 %d, %a, %b, %c;", |a, b, c| two_sum(a * b, c));
}

#[test]
fn double_precision() {
    let rows = doubles();
    let all = [64; 3];
    let f = f64::from_bits;
    // A NaN is one by whatever bits.
    let same = |body: &str, expected: &dyn Fn(f64, f64, f64) -> f64| {
        let results = super::lanes(body, all, 64, &rows);
        for (row, result) in rows.iter().zip(results) {
            let wanted = expected(f(row[0]), f(row[1]), f(row[2]));
            assert!(
                result == wanted.to_bits() || f(result).is_nan() && wanted.is_nan(),
                "{body} of {row:x?}: {result:#x}"
            );
        }
    };
    same("add.f64 %d, %a, %b;", &|a, b, _| a + b);
    same("sub.f64 %d, %a, %b;", &|a, b, _| a - b);
    same("mul.rn.f64 %d, %a, %b;", &|a, b, _| a * b);
    same("fma.rn.f64 %d, %a, %b, %c;", &|a, b, c| a.mul_add(b, c));
    same("div.rn.f64 %d, %a, %b;", &|a, b, _| a / b);
    same("sqrt.rn.f64 %d, %a;", &|a, _, _| a.sqrt());
    same("rcp.rn.f64 %d, %a;", &|a, _, _| 1.0 / a);
    same("neg.f64 %d, %a;", &|a, _, _| -a);
    same("abs.f64 %d, %a;", &|a, _, _| a.abs());
    check("add.rz.f64 %d, %a, %b;", all, 64, &[[1f64.to_bits(), (-1e-30f64).to_bits(), 0]], |_| {
        1f64.next_down().to_bits()
    });
    check("mul.rp.f64 %d, %a, %b;", all, 64, &[[0.1f64.to_bits(), 0.1f64.to_bits(), 0]], |_| {
        let product = 0.1f64 * 0.1;
        if 0.1f64.mul_add(0.1, -product) > 0.0 { product.next_up().to_bits() } else { product.to_bits() }
    });
}

#[test]
fn half_precision() {
    let numbers: [u64; 12] = [0, 0x8000, 0x3c00, 0xbc00, 1, 0x8001, 0x3ff, 0x400, 0x7bff, 0x7c00, 0x3c01, 0x5640];
    let rows: Vec<[u64; 3]> = rows(&numbers);
    for (format, name) in [(F16, "f16"), (BF16, "bf16")] {
        let of = move |format: Small, bits: u64| format.decode(bits as u32);
        let back = move |value: f64| u64::from(format.encode(value, Round::Nearest, false));
        let nan = |value: f64| back(value);
        // Sums of two halves are exact in double precision but for extreme exponents, which these numbers do not have.
        let usual: Vec<[u64; 3]> = rows
            .iter()
            .copied()
            .filter(|row| {
                row.iter().all(|&it| {
                    of(format, it & 0xffff).abs() < 1e4
                        && (of(format, it & 0xffff).abs() > 1e-6 || of(format, it & 0xffff) == 0.0)
                })
            })
            .collect();
        check(&format!("add.{name} %d, %a, %b;"), [16; 3], 16, &usual, |[a, b, _]| nan(of(format, a) + of(format, b)));
        check(&format!("sub.{name} %d, %a, %b;"), [16; 3], 16, &usual, |[a, b, _]| nan(of(format, a) - of(format, b)));
        check(&format!("mul.{name} %d, %a, %b;"), [16; 3], 16, &rows, |[a, b, _]| nan(of(format, a) * of(format, b)));
        check(&format!("fma.rn.{name} %d, %a, %b, %c;"), [16; 3], 16, &usual, |[a, b, c]| {
            nan(of(format, a).mul_add(of(format, b), of(format, c)))
        });
        let pairs: Vec<[u64; 3]> = usual
            .windows(2)
            .map(|it| std::array::from_fn(|at| it[0][at] & 0xffff | (it[1][at] & 0xffff) << 16))
            .collect();
        check(&format!("fma.rn.{name}x2 %d, %a, %b, %c;"), [32; 3], 32, &pairs, |[a, b, c]| {
            let half = |at: u32| {
                let of = |bits: u64| of(format, bits >> at & 0xffff);
                nan(of(a).mul_add(of(b), of(c)))
            };
            half(0) | half(16) << 16
        });
        check(&format!("neg.{name}x2 %d, %a;"), [32; 3], 32, &rows, |[a, ..]| a ^ 0x8000_8000);
    }
}

#[test]
fn comparisons() {
    let rows = singles();
    for (name, test) in [
        ("eq", (|a, b| a == b) as fn(f32, f32) -> bool),
        ("ne", |a, b| a != b && !a.is_nan() && !b.is_nan()),
        ("lt", |a, b| a < b),
        ("ge", |a, b| a >= b),
        ("equ", |a, b| a == b || a.is_nan() || b.is_nan()),
        ("neu", |a, b| a != b),
        ("ltu", |a, b| a < b || a.is_nan() || b.is_nan()),
        ("gtu", |a, b| a > b || a.is_nan() || b.is_nan()),
        ("leu", |a, b| a <= b || a.is_nan() || b.is_nan()),
        ("num", |a, b| !a.is_nan() && !b.is_nan()),
        ("nan", |a, b| a.is_nan() || b.is_nan()),
    ] {
        let body = format!("setp.{name}.f32 %p, %a, %b; selp.b32 %d, 1, 0, %p;");
        check(&body, [32; 3], 32, &rows, |[a, b, _]| test(f(a), f(b)).into());
    }
    for (name, test) in [
        ("finite", f32::is_finite as fn(f32) -> bool),
        ("infinite", f32::is_infinite),
        ("notanumber", f32::is_nan),
        ("normal", f32::is_normal),
        ("subnormal", f32::is_subnormal),
    ] {
        let body = format!("testp.{name}.f32 %p, %a; selp.b32 %d, 1, 0, %p;");
        check(&body, [32; 3], 32, &rows, |[a, ..]| test(f(a)).into());
    }
    let doubles = doubles();
    check("setp.gt.f64 %p, %a, %b; selp.b32 %d, 1, 0, %p;", [64, 64, 0], 32, &doubles, |[a, b, _]| {
        (f64::from_bits(a) > f64::from_bits(b)).into()
    });
}

#[test]
fn approximations_are_near() {
    let rows: Vec<[u64; 3]> = (1..100).map(|it| [u64::from((it as f32 * 0.37).to_bits()), 0, 0]).collect();
    for (name, function) in [
        ("sin.approx.f32", f32::sin as fn(f32) -> f32),
        ("cos.approx.f32", f32::cos),
        ("ex2.approx.ftz.f32", f32::exp2),
        ("lg2.approx.f32", f32::log2),
        ("rsqrt.approx.f32", |it| 1.0 / it.sqrt()),
        ("sqrt.approx.f32", f32::sqrt),
        ("tanh.approx.f32", f32::tanh),
    ] {
        for (row, result) in rows.iter().zip(super::lanes(&format!("{name} %d, %a;"), [32; 3], 32, &rows)) {
            let (wanted, result) = (function(f(row[0])), f(result));
            assert!((result - wanted).abs() <= wanted.abs() * 1e-5 + 1e-6, "{name} of {}: {result}", f(row[0]));
        }
    }
}
