//! `mma.sync` against a plain product of matrices. Where an element is kept is written here as the ISA's text has it, by
//! formulas of its own.

use super::{HEADER, Memory, Run, random};
use crate::cuda::exec::number::{BF16, E4M3, E5M2, F16, Round};

/// What is multiplied: how an element is written into bits, and how many bits it has.
#[derive(Clone, Copy)]
struct Element {
    name: &'static str,
    bits: usize,
    encode: fn(i64) -> u64,
    /// Lowest and highest whole number to try.
    range: (i64, i64),
}

const HALF: Element =
    Element { name: "f16", bits: 16, encode: |it| F16.encode(it as f64, Round::Nearest, false).into(), range: (-8, 8) };
const BRAIN: Element = Element {
    name: "bf16",
    bits: 16,
    encode: |it| BF16.encode(it as f64, Round::Nearest, false).into(),
    range: (-8, 8),
};
const TF32: Element = Element { name: "tf32", bits: 32, encode: |it| (it as f32).to_bits().into(), range: (-100, 100) };
const FOUR: Element = Element {
    name: "e4m3",
    bits: 8,
    encode: |it| E4M3.encode(it as f64, Round::Nearest, false).into(),
    range: (-8, 8),
};
const FIVE: Element = Element {
    name: "e5m2",
    bits: 8,
    encode: |it| E5M2.encode(it as f64, Round::Nearest, false).into(),
    range: (-4, 4),
};
const SIGNED: Element = Element { name: "s8", bits: 8, encode: |it| it as u8 as u64, range: (-128, 127) };
const UNSIGNED: Element = Element { name: "u8", bits: 8, encode: |it| it as u8 as u64, range: (0, 255) };
const DOUBLE: Element = Element { name: "f64", bits: 64, encode: |it| (it as f64).to_bits(), range: (-1000, 1000) };
const SINGLE: Element =
    Element { name: "f32", bits: 32, encode: |it| (it as f32).to_bits().into(), range: (-1000, 1000) };
const WORD: Element = Element { name: "s32", bits: 32, encode: |it| it as u32 as u64, range: (-100_000, 100_000) };

/// Row and column of element `i` of A in a lane (ISA, "Matrix fragments for mma.m16n8k…").
fn place_a(shape: [usize; 3], bits: usize, lane: usize, i: usize) -> (usize, usize) {
    let (group, within) = (lane >> 2, lane & 3);
    match (shape, bits) {
        ([16, 8, 16], 16) => {
            let row = if i < 2 || (4..6).contains(&i) { group } else { group + 8 };
            (row, within * 2 + (i & 1) + if i >= 4 { 8 } else { 0 })
        }
        ([16, 8, 8], 16) => (if i < 2 { group } else { group + 8 }, within * 2 + (i & 1)),
        ([16, 8, 4], 32) => (if i == 0 { group } else { group + 8 }, within),
        ([16, 8, 8], 32) => (if i == 0 || i == 2 { group } else { group + 8 }, if i < 2 { within } else { within + 4 }),
        ([16, 8, 16], 8) => (if i < 4 { group } else { group + 8 }, within * 4 + (i & 3)),
        ([16, 8, 32], 8) => {
            let row = if i < 4 || (8..12).contains(&i) { group } else { group + 8 };
            (row, within * 4 + (i & 3) + if i < 8 { 0 } else { 16 })
        }
        ([16, 8, 4], 64) => (if i == 0 { group } else { group + 8 }, within),
        ([16, 8, 8 | 16], 64) => (group + 8 * (i % 2), i / 2 * 4 + within),
        ([8, 8, 4], 64) => (group, within),
        ([8, 8, 16], 8) => (group, within * 4 + i),
        ([8, 8, 4], 16) => (lane % 4 + if lane < 16 { 0 } else { 4 }, i),
        other => panic!("{other:?}"),
    }
}

fn place_b(shape: [usize; 3], bits: usize, lane: usize, i: usize) -> (usize, usize) {
    let (group, within) = (lane >> 2, lane & 3);
    match (shape, bits) {
        ([8, 8, 4], 16) => (i, lane % 4 + if lane < 16 { 0 } else { 4 }),
        (_, 16) => (within * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }, group),
        (_, 8) => (within * 4 + (i & 3) + if i >= 4 { 16 } else { 0 }, group),
        _ => (within + 4 * i, group),
    }
}

/// `quads` is the old shape, `half` an FP16 result.
fn place_d(quads: bool, half: bool, lane: usize, i: usize) -> (usize, usize) {
    let (group, within) = (lane >> 2, lane & 3);
    let lower = if lane < 16 { 0 } else { 4 };
    match (quads, half) {
        (true, true) => (lane % 4 + lower, i),
        (true, false) => ((lane & 1) + (i & 2) + lower, (i & 4) + (lane & 2) + (i & 1)),
        _ => (if i < 2 { group } else { group + 8 }, within * 2 + (i & 1)),
    }
}

fn check(shape: [usize; 3], a: Element, b: Element, d: Element) {
    let [m, n, k] = shape;
    // The old shape is four products, each by a quarter of the lanes.
    let quads = shape == [8, 8, 4] && a.bits == 16;
    let products = if quads { 4 } else { 1 };
    let mut numbers = random((m * n * k + a.bits + d.bits) as u64);
    let mut pick = |element: Element| {
        let (low, high) = element.range;
        low + (numbers.next().unwrap_or(0) % (high - low + 1) as u64) as i64
    };
    let small = if d.bits == 16 { Element { range: (-3, 3), ..d } } else { d };
    let (a, b) = if d.bits == 16 { (Element { range: (-3, 3), ..a }, Element { range: (-3, 3), ..b }) } else { (a, b) };
    let mut matrix = |rows: usize, columns: usize, element: Element| -> Vec<Vec<Vec<i64>>> {
        (0..products).map(|_| (0..rows).map(|_| (0..columns).map(|_| pick(element)).collect()).collect()).collect()
    };
    let (va, vb, vc) = (matrix(m, k, a), matrix(k, n, b), matrix(m, n, small));
    let count = |elements: usize, bits: usize| {
        (products * elements / 32, (products * elements / 32 * bits).div_ceil(bits.max(32)))
    };
    let ((ea, ra), (eb, rb), (ed, rd)) = (count(m * k, a.bits), count(k * n, b.bits), count(m * n, d.bits));
    // Each lane's registers, in 64-bit words.
    let mut input = vec![0u64; 32 * (ra + rb + rd)];
    let quarter = |lane: usize| if quads { lane % 16 / 4 } else { 0 };
    let mut put = |lane: usize, start: usize, element: Element, i: usize, value: i64| {
        let each = (32 / element.bits).max(1);
        input[lane * (ra + rb + rd) + start + i / each] |= (element.encode)(value) << (i % each * element.bits);
    };
    for lane in 0..32 {
        for i in 0..ea {
            let (row, column) = place_a(shape, a.bits, lane, i);
            put(lane, 0, a, i, va[quarter(lane)][row][column]);
        }
        for i in 0..eb {
            let (row, column) = place_b(shape, b.bits, lane, i);
            put(lane, ra, b, i, vb[quarter(lane)][row][column]);
        }
        for i in 0..ed {
            let (row, column) = place_d(quads, d.bits == 16, lane, i);
            put(lane, ra + rb, d, i, vc[quarter(lane)][row][column]);
        }
    }
    let width = |element: Element| if element.bits == 64 { 64 } else { 32 };
    let list = |name: &str, count: usize| (0..count).map(|it| format!("%{name}{it}")).collect::<Vec<_>>().join(", ");
    let mut source = format!(
        "{HEADER}.visible .entry test(.param .u64 in, .param .u64 out) {{ .reg .b64 %in, %out; .reg .b32 %t;
         .reg .b{} %a<{ra}>; .reg .b{} %b<{rb}>; .reg .b{} %c<{rd}>, %d<{rd}>;
         ld.param.u64 %in, [in]; ld.param.u64 %out, [out]; mov.u32 %t, %tid.x;
         mad.wide.u32 %in, %t, {}, %in; mad.wide.u32 %out, %t, {}, %out;\n",
        width(a),
        width(b),
        width(d),
        8 * (ra + rb + rd),
        8 * rd
    );
    for (name, start, count, bits) in [("a", 0, ra, width(a)), ("b", ra, rb, width(b)), ("c", ra + rb, rd, width(d))] {
        for it in 0..count {
            source += &format!("ld.global.b{bits} %{name}{it}, [%in+{}];\n", 8 * (start + it));
        }
    }
    source += &format!(
        "mma.sync.aligned.m{m}n{n}k{k}.row.col.{}.{}.{}.{} {{{}}}, {{{}}}, {{{}}}, {{{}}};\n",
        d.name,
        a.name,
        b.name,
        d.name,
        list("d", rd),
        list("a", ra),
        list("b", rb),
        list("c", rd)
    );
    for it in 0..rd {
        source += &format!("st.global.b{} [%out+{}], %d{it};\n", width(d), 8 * it);
    }
    source += "}\n";
    let (input, output) = (Memory::of(&input), Memory::zeros(8 * 32 * rd));
    Run::new(&source).memory(&input).memory(&output).go().unwrap_or_else(|stop| panic!("{}", stop.what));
    for lane in 0..32 {
        for i in 0..ed {
            let (row, column) = place_d(quads, d.bits == 16, lane, i);
            let q = quarter(lane);
            let sum: i64 = vc[q][row][column] + (0..k).map(|k| va[q][row][k] * vb[q][k][column]).sum::<i64>();
            let each = (32 / d.bits).max(1);
            let word = output.words()[lane * rd + i / each] >> (i % each * d.bits);
            let word = if d.bits == 64 { word } else { word & ((1 << d.bits) - 1) };
            let name = format!("m{m}n{n}k{k} {} {} {}", d.name, a.name, b.name);
            assert_eq!(word, (d.encode)(sum), "{name}: lane {lane} element {i}: {sum}");
        }
    }
}

#[test]
fn products_of_whole_numbers_are_exact() {
    check([16, 8, 16], HALF, HALF, SINGLE);
    check([16, 8, 8], HALF, HALF, SINGLE);
    check([16, 8, 16], HALF, HALF, HALF);
    check([16, 8, 16], BRAIN, BRAIN, SINGLE);
    check([16, 8, 8], BRAIN, BRAIN, SINGLE);
    check([16, 8, 8], TF32, TF32, SINGLE);
    check([16, 8, 4], TF32, TF32, SINGLE);
    check([16, 8, 32], SIGNED, SIGNED, WORD);
    check([16, 8, 16], SIGNED, UNSIGNED, WORD);
    check([16, 8, 32], UNSIGNED, UNSIGNED, WORD);
    check([8, 8, 16], SIGNED, SIGNED, WORD);
    check([16, 8, 32], FOUR, FOUR, SINGLE);
    check([16, 8, 32], FIVE, FOUR, SINGLE);
    check([16, 8, 16], FOUR, FIVE, SINGLE);
    check([8, 8, 4], DOUBLE, DOUBLE, DOUBLE);
    check([16, 8, 4], DOUBLE, DOUBLE, DOUBLE);
    check([16, 8, 8], DOUBLE, DOUBLE, DOUBLE);
    check([16, 8, 16], DOUBLE, DOUBLE, DOUBLE);
    check([8, 8, 4], HALF, HALF, SINGLE);
    check([8, 8, 4], HALF, HALF, HALF);
}
