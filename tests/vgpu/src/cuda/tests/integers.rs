//! Integers and logic.

use super::{check, integer_rows, lanes, rows};

/// Instructions of all integer types that are one Rust function.
macro_rules! all_types {
    ($body:literal, |$a:ident, $b:ident, $c:ident| $expected:expr) => {
        all_types!($body, [u16 "u16" 16, u32 "u32" 32, u64 "u64" 64, i16 "s16" 16, i32 "s32" 32, i64 "s64" 64], |$a, $b, $c| $expected)
    };
    ($body:literal, [$($type:ident $name:literal $bits:literal),+], |$a:ident, $b:ident, $c:ident| $expected:expr) => {
        $(check(&$body.replace("TYPE", $name), [$bits; 3], $bits, &integer_rows(), |[a, b, c]| {
            let ($a, $b, $c) = (a as $type, b as $type, c as $type);
            #[allow(unused_variables, reason = "not all instructions take three")]
            let _ = ($a, $b, $c);
            ($expected) as u64
        });)+
    };
}

#[test]
fn arithmetic() {
    all_types!("add.TYPE %d, %a, %b;", |a, b, _c| a.wrapping_add(b));
    all_types!("sub.TYPE %d, %a, %b;", |a, b, _c| a.wrapping_sub(b));
    all_types!("mul.lo.TYPE %d, %a, %b;", |a, b, _c| a.wrapping_mul(b));
    all_types!("mad.lo.TYPE %d, %a, %b, %c;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    all_types!("min.TYPE %d, %a, %b;", |a, b, _c| a.min(b));
    all_types!("max.TYPE %d, %a, %b;", |a, b, _c| a.max(b));
    all_types!("div.TYPE %d, %a, %b;", |a, b, _c| if b == 0 { !0 } else { a.wrapping_div(b) });
    all_types!("rem.TYPE %d, %a, %b;", |a, b, _c| if b == 0 { a } else { a.wrapping_rem(b) });
    all_types!("sad.TYPE %d, %a, %b, %c;", |a, b, c| c.wrapping_add(if a < b {
        b.wrapping_sub(a)
    } else {
        a.wrapping_sub(b)
    }));
    all_types!("abs.TYPE %d, %a;", [i16 "s16" 16, i32 "s32" 32, i64 "s64" 64], |a, _b, _c| a.wrapping_abs());
    all_types!("neg.TYPE %d, %a;", [i16 "s16" 16, i32 "s32" 32, i64 "s64" 64], |a, _b, _c| a.wrapping_neg());
    all_types!("add.sat.TYPE %d, %a, %b;", [i32 "s32" 32], |a, b, _c| a.saturating_add(b));
    all_types!("sub.sat.TYPE %d, %a, %b;", [i32 "s32" 32], |a, b, _c| a.saturating_sub(b));
    all_types!("mul.hi.TYPE %d, %a, %b;", [u16 "u16" 16, u32 "u32" 32, u64 "u64" 64], |a, b, _c| {
        let product = u128::from(a) * u128::from(b);
        (product >> (8 * size_of_val(&a))) as u64
    });
    all_types!("mul.hi.TYPE %d, %a, %b;", [i16 "s16" 16, i32 "s32" 32, i64 "s64" 64], |a, b, _c| {
        let product = i128::from(a) * i128::from(b);
        (product >> (8 * size_of_val(&a))) as u64
    });
    all_types!("mad.hi.TYPE %d, %a, %b, %c;", [u32 "u32" 32, u64 "u64" 64], |a, b, c| {
        ((u128::from(a) * u128::from(b)) >> (8 * size_of_val(&a))).wrapping_add(c.into())
    });
    check("mul24.lo.s32 %d, %a, %b;", [32; 3], 32, &integer_rows(), |[a, b, _]| {
        let low = |it: u64| (it as i32) << 8 >> 8;
        low(a).wrapping_mul(low(b)) as u64
    });
}

#[test]
fn wide_products() {
    let rows = integer_rows();
    check("mul.wide.u16 %d, %a, %b;", [16, 16, 0], 32, &rows, |[a, b, _]| a * b);
    check("mul.wide.s16 %d, %a, %b;", [16, 16, 0], 32, &rows, |[a, b, _]| {
        (i64::from(a as i16) * i64::from(b as i16)) as u64
    });
    check("mul.wide.u32 %d, %a, %b;", [32, 32, 0], 64, &rows, |[a, b, _]| a * b);
    check("mul.wide.s32 %d, %a, %b;", [32, 32, 0], 64, &rows, |[a, b, _]| {
        (i64::from(a as i32) * i64::from(b as i32)) as u64
    });
    check("mad.wide.u32 %d, %a, %b, %c;", [32, 32, 64], 64, &rows, |[a, b, c]| (a * b).wrapping_add(c));
    check("mad.wide.s32 %d, %a, %b, %c;", [32, 32, 64], 64, &rows, |[a, b, c]| {
        (i64::from(a as i32) * i64::from(b as i32)).wrapping_add(c as i64) as u64
    });
}

#[test]
fn carries() {
    let rows = integer_rows();
    check("add.cc.u32 %e, %a, %b; addc.u32 %d, %c, 7;", [32; 3], 32, &rows, |[a, b, c]| c + 7 + ((a + b) >> 32));
    check("add.cc.u64 %e, %a, %b; addc.cc.u64 %d, %c, 0;", [64; 3], 64, &rows, |[a, b, c]| {
        c.wrapping_add(u64::from(a.checked_add(b).is_none()))
    });
    check("sub.cc.u32 %e, %a, %b; subc.u32 %d, %c, 1;", [32; 3], 32, &rows, |[a, b, c]| {
        c.wrapping_sub(1).wrapping_sub(u64::from(a < b))
    });
    check("mad.lo.cc.u32 %e, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0;", [32; 3], 32, &rows, |[a, b, c]| {
        (a * b + c) >> 32
    });
}

#[test]
fn logic_and_shifts() {
    for (bits, name) in [(16, "b16"), (32, "b32"), (64, "b64")] {
        let rows = integer_rows();
        let all = [bits; 3];
        check(&format!("and.{name} %d, %a, %b;"), all, bits, &rows, |[a, b, _]| a & b);
        check(&format!("or.{name} %d, %a, %b;"), all, bits, &rows, |[a, b, _]| a | b);
        check(&format!("xor.{name} %d, %a, %b;"), all, bits, &rows, |[a, b, _]| a ^ b);
        check(&format!("not.{name} %d, %a;"), all, bits, &rows, |[a, ..]| !a);
        check(&format!("cnot.{name} %d, %a;"), all, bits, &rows, |[a, ..]| u64::from(a == 0));
        let unsigned = name.replace('b', "u");
        let signed = name.replace('b', "s");
        let shift = [bits, 32, 0];
        check(
            &format!("shl.{name} %d, %a, %b;"),
            shift,
            bits,
            &rows,
            |[a, b, _]| if b >= bits.into() { 0 } else { a << b },
        );
        check(
            &format!("shr.{unsigned} %d, %a, %b;"),
            shift,
            bits,
            &rows,
            |[a, b, _]| if b >= bits.into() { 0 } else { a >> b },
        );
        check(&format!("shr.{signed} %d, %a, %b;"), shift, bits, &rows, |[a, b, _]| {
            let signed = (a << (64 - bits)) as i64 >> (64 - bits);
            (signed >> b.min(63)) as u64
        });
        check(&format!("mov.{name} %d, %a;"), all, bits, &rows, |[a, ..]| a);
        check(&format!("mov.{name} %d, -3;"), all, bits, &rows, |_| -3i64 as u64);
    }
    for bits in [32u32, 64] {
        let rows = integer_rows();
        let from = [bits, 32, 32];
        check(&format!("popc.b{bits} %d, %a;"), from, 32, &rows, |[a, ..]| a.count_ones().into());
        check(&format!("clz.b{bits} %d, %a;"), from, 32, &rows, |[a, ..]| {
            u64::from(a.leading_zeros()) - (64 - u64::from(bits))
        });
        check(&format!("brev.b{bits} %d, %a;"), from, bits, &rows, |[a, ..]| a.reverse_bits() >> (64 - bits));
        check(
            &format!("bfind.u{bits} %d, %a;"),
            from,
            32,
            &rows,
            |[a, ..]| if a == 0 { !0 } else { u64::from(a.ilog2()) },
        );
        check(&format!("bfind.shiftamt.u{bits} %d, %a;"), from, 32, &rows, |[a, ..]| {
            if a == 0 { !0 } else { u64::from(bits - 1 - a.ilog2()) }
        });
        check(&format!("bfind.s{bits} %d, %a;"), from, 32, &rows, |[a, ..]| {
            let signed = (a << (64 - bits)) as i64 >> (64 - bits);
            let seen = if signed < 0 { !signed } else { signed } as u64;
            if seen == 0 { !0 } else { u64::from(seen.ilog2()) }
        });
    }
    check("lop3.b32 %d, %a, %b, %c, 0x96;", [32; 3], 32, &integer_rows(), |[a, b, c]| a ^ b ^ c);
    check("lop3.b32 %d, %a, %b, %c, 0xE8;", [32; 3], 32, &integer_rows(), |[a, b, c]| a & b | a & c | b & c);
    check("lop3.b32 %d, %a, %b, %c, 0xCA;", [32; 3], 32, &integer_rows(), |[a, b, c]| a & b | !a & c);
}

/// `bfe` as the ISA writes it down, a bit at a time.
fn bfe(a: u64, at: u64, length: u64, bits: u32, signed: bool) -> u64 {
    let (at, length, msb) = (at & 255, length & 255, u64::from(bits) - 1);
    let sign = if !signed || length == 0 { 0 } else { a >> msb.min(at + length - 1) & 1 };
    (0..=msb).fold(0, |sum, bit| {
        let value = if bit < length && at + bit <= msb { a >> (at + bit) & 1 } else { sign };
        sum | value << bit
    })
}

#[test]
fn fields() {
    let rows = rows(&[0, 1, 4, 8, 31, 32, 33, 63, 64, 200, 0x8000_0000, 0xdead_beef_0123_4567, !0]);
    for bits in [32, 64] {
        for (sign, signed) in [("u", false), ("s", true)] {
            let body = format!("bfe.{sign}{bits} %d, %a, %b, %c;");
            check(&body, [bits, 32, 32], bits, &rows, |[a, b, c]| bfe(a, b, c, bits, signed));
        }
        let body = format!("bfi.b{bits} %d, %a, 0x123456789abcdef, %b, %c;");
        check(&body, [bits, 32, 32], bits, &rows, |[a, at, length]| {
            let (at, length) = (at & 255, length & 255);
            (0..u64::from(bits)).fold(0, |sum, bit| {
                let inside = bit >= at && bit < at + length;
                let value = if inside { a >> (bit - at) & 1 } else { 0x0123_4567_89ab_cdef >> bit & 1 };
                sum | value << bit
            })
        });
    }
    for (mode, clamp) in [("wrap", false), ("clamp", true)] {
        let by = move |c: u64| if clamp { c.min(32) } else { c & 31 };
        check(&format!("shf.l.{mode}.b32 %d, %a, %b, %c;"), [32; 3], 32, &rows, |[a, b, c]| {
            ((b << 32 | a) << by(c)) >> 32
        });
        check(&format!("shf.r.{mode}.b32 %d, %a, %b, %c;"), [32; 3], 32, &rows, |[a, b, c]| (b << 32 | a) >> by(c));
    }
    check("prmt.b32 %d, %a, %b, %c;", [32; 3], 32, &rows, |[a, b, c]| {
        let bytes: Vec<u8> = a.to_le_bytes()[..4].iter().chain(&b.to_le_bytes()[..4]).copied().collect();
        (0..4).fold(0, |sum, at| {
            let choice = c >> (4 * at) & 15;
            let byte = bytes[(choice & 7) as usize];
            let byte = if choice & 8 == 0 {
                byte
            } else if byte & 0x80 == 0 {
                0
            } else {
                0xff
            };
            sum | u64::from(byte) << (8 * at)
        })
    });
    check("dp4a.s32.u32 %d, %a, %b, %c;", [32; 3], 32, &rows, |[a, b, c]| {
        let products = (0..4).map(|at| i64::from((a >> (8 * at)) as i8) * i64::from((b >> (8 * at)) as u8));
        (c as i64 + products.sum::<i64>()) as u64
    });
}

#[test]
fn comparisons_and_selections() {
    let rows = integer_rows();
    let signed = |it: u64| it as i32;
    for (name, test) in [
        ("eq", (|a, b| a == b) as fn(i64, i64) -> bool),
        ("ne", |a, b| a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
    ] {
        let body = |ty: &str| format!("setp.{name}.{ty} %p, %a, %b; selp.b32 %d, 5, 9, %p;");
        check(
            &body("s32"),
            [32; 3],
            32,
            &rows,
            |[a, b, _]| if test(signed(a).into(), signed(b).into()) { 5 } else { 9 },
        );
        check(&body("u32"), [32; 3], 32, &rows, |[a, b, _]| if test(a as i64, b as i64) { 5 } else { 9 });
        check(
            &body("s16"),
            [16, 16, 0],
            32,
            &rows,
            |[a, b, _]| if test((a as i16).into(), (b as i16).into()) { 5 } else { 9 },
        );
        check(&body("s64"), [64, 64, 0], 32, &rows, |[a, b, _]| if test(a as i64, b as i64) { 5 } else { 9 });
        check(&format!("set.{name}.u32.s32 %d, %a, %b;"), [32; 3], 32, &rows, |[a, b, _]| {
            if test(signed(a).into(), signed(b).into()) { 0xffff_ffff } else { 0 }
        });
    }
    check("setp.hi.u64 %p, %a, %b; selp.b32 %d, 1, 0, %p;", [64, 64, 0], 32, &rows, |[a, b, _]| u64::from(a > b));
    let both = "setp.eq.u32 %r, %c, %c; setp.lt.and.u32 %p|%q, %a, %b, !%r; selp.u32 %d, 1, 0, %p; selp.u32 %e, 2, 0, %q; or.b32 %d, %d, %e;";
    check(both, [32; 3], 32, &rows, |_| 0);
    let both = "setp.lt.u32 %r, %c, %a; setp.lt.xor.u32 %p|%q, %a, %b, %r; selp.u32 %d, 1, 0, %p; selp.u32 %e, 2, 0, %q; or.b32 %d, %d, %e;";
    check(both, [32; 3], 32, &rows, |[a, b, c]| u64::from((a < b) ^ (c < a)) | 2 * u64::from((a >= b) ^ (c < a)));
    let logic = "setp.lt.u32 %p, %a, %b; setp.lt.u32 %q, %b, %c; and.pred %r, %p, %q; not.pred %q, %q; or.pred %r, %r, %q; xor.pred %r, %r, %p; selp.u32 %d, 1, 0, %r;";
    check(logic, [32; 3], 32, &rows, |[a, b, c]| {
        let (p, q) = (a < b, b < c);
        u64::from((p & q | !q) ^ p)
    });
    check("setp.lt.u32 %p, %a, %b; @%p mov.u32 %d, 1; @!%p mov.u32 %d, 2;", [32; 3], 32, &rows, |[a, b, _]| {
        1 + u64::from(a >= b)
    });
}

#[test]
fn packing() {
    let rows = integer_rows();
    check("mov.b64 %d, {%a, %b};", [32, 32, 0], 64, &rows, |[a, b, _]| b << 32 | a);
    check("mov.b32 %d, {%a, %b};", [16, 16, 0], 32, &rows, |[a, b, _]| b << 16 | a);
    check("mov.b64 {_, %d}, %a;", [64, 0, 0], 32, &rows, |[a, ..]| a >> 32);
    check(
        "{ .reg .b16 %lo, %hi; mov.b32 {%lo, %hi}, %a; mov.b32 %d, {%hi, %lo}; }",
        [32, 0, 0],
        32,
        &rows,
        |[a, ..]| a << 16 | a >> 16,
    );
}

#[test]
fn what_is_not_known_is_an_error() {
    for body in [
        "add.u32.strange %d, %a, %b;",
        "frobnicate.u32 %d, %a, %b;",
        "add.u64 %d, %a, %b;",
        "add.u32 %d, %a;",
        "mov.u32 %d, %nothing;",
        "bra NOWHERE;",
        "wgmma.fence.sync.aligned;",
        "cvt.f32.s32 %d, %a;",
        "mma.sync.aligned.m16n8k7.row.col.f32.f16.f16.f32 {%d}, {%a}, {%b}, {%c};",
    ] {
        let source = format!("{}.entry t() {{ .reg .b32 %a, %b, %c, %d; {body} }}", super::HEADER);
        let bad = super::load(&source).expect_err(body);
        assert!(bad.to_string().starts_with("ptx line"), "{bad}");
    }
    // The same in a good instruction, so that the frame is not what fails.
    assert_eq!(lanes("add.u32 %d, %a, %b;", [32; 3], 32, &[[2, 3, 0]]), [5]);
}
