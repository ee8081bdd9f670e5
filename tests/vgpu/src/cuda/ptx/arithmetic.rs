//! Arithmetic, logic, comparisons, moves and conversions.

use super::decode::{Decoded, Words};
use super::frame::Resolver;
use super::parse::Arg;
use super::{Bad, Kind, Ty};
use crate::cuda::exec::convert::Conversion;
use crate::cuda::exec::float::{self, Mode};
use crate::cuda::exec::int;
use crate::cuda::exec::lanes::{Run, Slots, select};
use crate::cuda::exec::number::Round;
use crate::cuda::exec::program::{BoolOp, Carry, CarryOp, Class, Clock, Code, Compare, FloatTest, Odd, OddOp, Reg};

/// The operation with its operands: widths of the operands and of the result.
fn lanes(resolver: &mut Resolver<'_>, words: &Words<'_>, run: Run, result: u32, sources: &[u32]) -> Result<Code, Bad> {
    let mut slots = Slots { d: resolver.result(words.arg(0)?, result)?, s: [0; 3] };
    for (index, &bytes) in sources.iter().enumerate() {
        slots.s[index] = resolver.source(words.arg(index + 1)?, bytes)?;
    }
    Ok(Code::Lanes(run, slots))
}

fn class(ty: Ty) -> Class {
    match (ty.kind, ty.bits) {
        (Kind::Float, 64) => Class::Double,
        (Kind::Float, 32) => Class::Single,
        (Kind::Float | Kind::BFloat, _) => Class::Half,
        _ => Class::Integer,
    }
}

/// Arithmetic, logic and comparisons.
pub fn decode(resolver: &mut Resolver<'_>, words: &mut Words<'_>, flag: u32) -> Decoded {
    match words.name {
        "add" | "sub" | "addc" | "subc" | "madc" | "mad" | "mul" | "fma" | "div" | "rem" | "min" | "max" | "abs"
        | "neg" | "and" | "or" | "xor" | "not" | "cnot" | "sad" | "shl" | "shr" | "popc" | "clz" | "brev" | "bfind"
        | "bfe" | "mul24" | "mad24" | "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "ex2" | "lg2" | "tanh"
        | "copysign" => operation(resolver, words, flag).map(Some),
        "setp" | "set" => comparison(resolver, words).map(Some),
        "bfi" => {
            let ty = words.ty()?;
            let bytes = ty.bytes();
            let s = [(1, bytes), (2, bytes), (3, 4), (4, 4)];
            odd(resolver, words, OddOp::BitInsert { bits: ty.bits }, bytes, &s)
                .map(|code| Some((Class::Integer, code, 5)))
        }
        "lop3" => {
            words.ty()?;
            let Arg::Integer(table) = words.arg(4)? else { return resolver.bad("the table is no number") };
            let op = OddOp::Logic3 { table: *table as u32 };
            odd(resolver, words, op, 4, &[(1, 4), (2, 4), (3, 4)]).map(|code| Some((Class::Integer, code, 5)))
        }
        "shf" => {
            let left = words.take_of(&["l", "r"]) == Some("l");
            let wraps = words.take_of(&["wrap", "clamp"]) == Some("wrap");
            words.ty()?;
            lanes(resolver, words, int::funnel(left, wraps), 4, &[4, 4, 4]).map(|code| Some((Class::Integer, code, 4)))
        }
        "prmt" => {
            words.ty()?;
            lanes(resolver, words, int::permute(), 4, &[4, 4, 4]).map(|code| Some((Class::Integer, code, 4)))
        }
        "dp4a" => {
            let (a, b) = (words.ty()?, words.ty()?);
            let Some(run) = int::dot(words.name, a, b) else { return Ok(None) };
            lanes(resolver, words, run, 4, &[4, 4, 4]).map(|code| Some((Class::Integer, code, 4)))
        }
        "testp" => {
            let what = match words.take_of(&["finite", "infinite", "number", "notanumber", "normal", "subnormal"]) {
                Some("finite") => FloatTest::Finite,
                Some("infinite") => FloatTest::Infinite,
                Some("number") => FloatTest::Number,
                Some("notanumber") => FloatTest::NotANumber,
                Some("normal") => FloatTest::Normal,
                Some("subnormal") => FloatTest::Subnormal,
                _ => return Ok(None),
            };
            let ty = words.ty()?;
            let Arg::Name(name) = words.arg(0)? else { return Ok(None) };
            let d = Reg { slot: resolver.predicate(name)?, bytes: 0 };
            let s = vec![Reg { slot: resolver.source(words.arg(1)?, ty.bytes())?, bytes: ty.bytes() }];
            let code = Code::Odd(Box::new(Odd { op: OddOp::TestFloat { what, bits: ty.bits }, d, s }));
            Ok(Some((Class::Integer, code, 2)))
        }
        _ => Ok(None),
    }
}

fn odd(
    resolver: &mut Resolver<'_>,
    words: &Words<'_>,
    op: OddOp,
    result: u32,
    sources: &[(usize, u32)],
) -> Result<Code, Bad> {
    let d = Reg { slot: resolver.result(words.arg(0)?, result)?, bytes: result.max(2) };
    let mut s = Vec::new();
    for &(index, bytes) in sources {
        s.push(Reg { slot: resolver.source(words.arg(index)?, bytes)?, bytes: bytes.max(2) });
    }
    Ok(Code::Odd(Box::new(Odd { op, d, s })))
}

fn operation(resolver: &mut Resolver<'_>, words: &mut Words<'_>, flag: u32) -> Result<(Class, Code, usize), Bad> {
    let name = words.name;
    let ty = words.ty()?;
    if ty.kind == Kind::Pred {
        return predicate_logic(resolver, words);
    }
    let writes = words.take("cc");
    if writes || name == "addc" || name == "subc" || name == "madc" {
        return carry(resolver, words, ty, writes, flag);
    }
    let bytes = ty.bytes();
    if !ty.is_integer() {
        return floating(resolver, words, ty);
    }
    let part = words.take_of(&["lo", "hi", "wide"]);
    if part == Some("wide") {
        let adds = name == "mad";
        let run = int::wide(ty, adds).ok_or_else(|| Bad::at(0, "no such type"))?;
        let code = lanes(resolver, words, run, 2 * bytes, &[bytes, bytes, 2 * bytes][..if adds { 3 } else { 2 }])?;
        return Ok((Class::Integer, code, if adds { 4 } else { 3 }));
    }
    let mut full = name.to_owned();
    for more in [part, words.take_of(&["sat"]), words.take_of(&["shiftamt"])].into_iter().flatten() {
        full = format!("{full}.{more}");
    }
    let run = int::plain(&full, ty).ok_or_else(|| Bad::at(0, format!("no {full} of such a type")))?;
    let (result, sources): (u32, Vec<u32>) = match name {
        "shl" | "shr" => (bytes, vec![bytes, 4]),
        "popc" | "clz" | "bfind" => (4, vec![bytes]),
        "bfe" => (bytes, vec![bytes, 4, 4]),
        "abs" | "neg" | "not" | "cnot" | "brev" => (bytes, vec![bytes]),
        "mad" | "mad24" | "sad" => (bytes, vec![bytes; 3]),
        _ => (bytes, vec![bytes; 2]),
    };
    let code = lanes(resolver, words, run, result, &sources)?;
    Ok((Class::Integer, code, sources.len() + 1))
}

fn floating(resolver: &mut Resolver<'_>, words: &mut Words<'_>, ty: Ty) -> Result<(Class, Code, usize), Bad> {
    // `mad` of floats is `fma`.
    let mut full = if words.name == "mad" { "fma".to_owned() } else { words.name.to_owned() };
    let approximate = words.take_of(&["approx", "full"]).is_some();
    let round = words.round().unwrap_or(Round::Nearest);
    let mode = Mode { round, flush: words.take("ftz"), saturate: words.take("sat"), relu: words.take("relu") };
    match full.as_str() {
        // These are exact in single precision too: the nearest is within what the approximation promises.
        "div" | "sqrt" => {}
        "rcp" if ty.bits == 32 => {}
        _ if approximate => full += ".approx",
        _ => {}
    }
    if words.take("NaN") {
        full += ".NaN";
    }
    if words.take("xorsign") {
        return resolver.bad("unknown modifier .xorsign");
    }
    let run = float::plain(&full, ty, mode).ok_or_else(|| Bad::at(0, format!("no {full} of such a type and mode")))?;
    let bytes = ty.bytes();
    let sources = match words.name {
        "fma" | "mad" => 3,
        "add" | "sub" | "mul" | "div" | "min" | "max" | "copysign" => 2,
        _ => 1,
    };
    let class = match words.name {
        "div" | "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "ex2" | "lg2" | "tanh" => Class::Special,
        "neg" | "abs" => Class::Folded,
        "fma" | "mad" if ty.bits == 32 => Class::Fused,
        _ => class(ty),
    };
    let code = lanes(resolver, words, run, bytes, &vec![bytes; sources])?;
    Ok((class, code, sources + 1))
}

fn predicate_logic(resolver: &mut Resolver<'_>, words: &Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let op = match words.name {
        "and" => BoolOp::And,
        "or" => BoolOp::Or,
        "xor" => BoolOp::Xor,
        "not" => BoolOp::Not,
        "mov" => BoolOp::Move,
        other => return resolver.bad(format!("no {other} of predicates")),
    };
    let Arg::Name(name) = words.arg(0)? else { return resolver.bad("no predicate") };
    let d = resolver.predicate(name)?;
    let a = resolver.condition(words.arg(1)?)?;
    let one = matches!(op, BoolOp::Not | BoolOp::Move);
    let b = if one { a } else { resolver.condition(words.arg(2)?)? };
    Ok((Class::Integer, Code::Pred { op, d, a, b }, if one { 2 } else { 3 }))
}

fn carry(
    resolver: &mut Resolver<'_>,
    words: &mut Words<'_>,
    ty: Ty,
    writes: bool,
    flag: u32,
) -> Result<(Class, Code, usize), Bad> {
    let bytes = ty.bytes();
    let part = words.take_of(&["lo", "hi"]);
    let op = match (words.name, part) {
        ("add" | "addc", None) => CarryOp::Add,
        ("sub" | "subc", None) => CarryOp::Subtract,
        ("mad" | "madc", Some("lo")) => CarryOp::MadLow,
        ("mad" | "madc", Some("hi")) if ty.is_signed() => CarryOp::MadHighSigned,
        ("mad" | "madc", Some("hi")) => CarryOp::MadHigh,
        _ => return resolver.bad("no such operation with carry"),
    };
    if bytes != 4 && bytes != 8 {
        return resolver.bad("no such type with carry");
    }
    let mad = part.is_some();
    let mut source =
        |index: usize| -> Result<Reg, Bad> { Ok(Reg { slot: resolver.source(words.arg(index)?, bytes)?, bytes }) };
    let (a, b) = (source(1)?, source(2)?);
    let c = if mad { Some(source(3)?) } else { None };
    let d = Reg { slot: resolver.result(words.arg(0)?, bytes)?, bytes };
    let reads = words.name.ends_with('c');
    let code = Code::Carry(Box::new(Carry { op, d, a, b, c, reads, writes, flag }));
    Ok((Class::Integer, code, if mad { 4 } else { 3 }))
}

const INTEGER_COMPARISONS: [&str; 10] = ["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"];
const FLOAT_COMPARISONS: [&str; 14] =
    ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"];

/// `setp` and `set`.
fn comparison(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let is_set = words.name == "set";
    let result = if is_set { Some(words.ty()?) } else { None };
    let ty = words.ty()?;
    let op = match words.take_of(&["and", "or", "xor"]) {
        Some("and") => Some(BoolOp::And),
        Some("or") => Some(BoolOp::Or),
        Some(_) => Some(BoolOp::Xor),
        None => None,
    };
    let flush = words.take("ftz");
    let run = if ty.is_integer() {
        words.take_of(&INTEGER_COMPARISONS).and_then(|name| int::compare(name, ty))
    } else {
        words.take_of(&FLOAT_COMPARISONS).and_then(|name| float::compare(name, ty, flush))
    };
    let run = run.ok_or_else(|| Bad::at(0, "no such comparison"))?;
    let bytes = ty.bytes();
    let (a, b) = (resolver.source(words.arg(1)?, bytes)?, resolver.source(words.arg(2)?, bytes)?);
    let with = match op {
        Some(op) => Some((op, resolver.condition(words.arg(3)?)?)),
        None => None,
    };
    let (p, q) = match words.arg(0)? {
        _ if is_set => (Some(resolver.files.predicate()), None),
        Arg::Name(name) => (Some(resolver.predicate(name)?), None),
        Arg::Pair(p, q) => (Some(resolver.predicate(p)?), Some(resolver.predicate(q)?)),
        other => return resolver.bad(format!("{other:?} as a predicate")),
    };
    let slots = Slots { d: p.unwrap_or_default(), s: [a, b, 0] };
    let args = 3 + usize::from(op.is_some());
    if let Some(result) = result {
        if op.is_some() || result.bytes() != 4 {
            return resolver.bad("this form of set");
        }
        let yes = if result.is_integer() { 0xffff_ffff } else { u64::from(1f32.to_bits()) };
        let compare = Reg { slot: slots.d, bytes: 0 };
        let d = Reg { slot: resolver.result(words.arg(0)?, 4)?, bytes: 4 };
        // The comparison is carried along: it writes a predicate of its own first.
        let op = OddOp::Set { run, slots, yes };
        return Ok((class(ty), Code::Odd(Box::new(Odd { op, d, s: vec![compare] })), args));
    }
    if with.is_none() && q.is_none() {
        return Ok((class(ty), Code::Lanes(run, slots), args));
    }
    Ok((class(ty), Code::Compare(Box::new(Compare { run, slots, p, q, with })), args))
}

/// Moves, selections, conversions.
pub fn decode_moves(resolver: &mut Resolver<'_>, words: &mut Words<'_>, _: u32) -> Decoded {
    match words.name {
        "mov" => mov(resolver, words).map(Some),
        "selp" => {
            let ty = words.ty()?;
            let by = resolver.condition(words.arg(3)?)?;
            if ty.kind == Kind::Pred {
                let Arg::Name(name) = words.arg(0)? else { return resolver.bad("no predicate") };
                let d = resolver.predicate(name)?;
                let (a, b) = (resolver.condition(words.arg(1)?)?, resolver.condition(words.arg(2)?)?);
                return Ok(Some((Class::Integer, Code::PredSelect { d, a, b, by }, 4)));
            }
            let bytes = ty.bytes();
            let d = resolver.result(words.arg(0)?, bytes)?;
            let (a, b) = (resolver.source(words.arg(1)?, bytes)?, resolver.source(words.arg(2)?, bytes)?);
            let run = match bytes {
                8 => select::<u64>(),
                4 => select::<u32>(),
                _ => select::<u16>(),
            };
            let (a, b) = if by.negated { (b, a) } else { (a, b) };
            Ok(Some((Class::Integer, Code::Lanes(run, Slots { d, s: [a, b, by.slot] }), 4)))
        }
        "cvt" => conversion(resolver, words).map(Some),
        _ => Ok(None),
    }
}

fn mov(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let ty = words.ty()?;
    if ty.kind == Kind::Pred {
        return predicate_logic(resolver, words);
    }
    let bytes = ty.bytes();
    let code = match (words.arg(0)?, words.arg(1)?) {
        (Arg::Vector(parts), from) => {
            let each = bytes / parts.len().max(1) as u32;
            let mut regs = Vec::new();
            for part in parts {
                let discarded = *part == Arg::Name("_".into());
                regs.push(if discarded { None } else { Some(Reg { slot: resolver.result(part, each)?, bytes: each }) });
            }
            let slot = resolver.source(from, bytes)?;
            Code::Unpack(Box::new((regs, Reg { slot, bytes })))
        }
        (to, Arg::Vector(parts)) => {
            let each = bytes / parts.len().max(1) as u32;
            let mut regs = Vec::new();
            for part in parts {
                regs.push(Reg { slot: resolver.source(part, each)?, bytes: each });
            }
            let slot = resolver.result(to, bytes)?;
            Code::Pack(Box::new((Reg { slot, bytes }, regs)))
        }
        (to, Arg::Name(name)) if name.starts_with("%clock") || name.starts_with("%globaltimer") => {
            let clock = match (name.as_str(), bytes) {
                ("%clock", 4) | ("%clock64", 8) => Clock::Cycles,
                ("%clock_hi", 4) => Clock::CyclesHigh,
                ("%globaltimer", 8) | ("%globaltimer_lo", 4) => Clock::Nanoseconds,
                ("%globaltimer_hi", 4) => Clock::NanosecondsHigh,
                _ => return resolver.bad(format!("{name} with {} bits", 8 * bytes)),
            };
            Code::Clock { d: Reg { slot: resolver.result(to, bytes)?, bytes }, clock }
        }
        _ => {
            let ty = Ty { kind: Kind::Bits, bits: 8 * bytes, lanes: 1 };
            let run = int::plain("mov", ty).ok_or_else(|| Bad::at(0, "no such type"))?;
            lanes(resolver, words, run, bytes, &[bytes])?
        }
    };
    Ok((Class::Integer, code, 2))
}

fn conversion(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let (to, from) = (words.ty()?, words.ty()?);
    let round = words.round();
    let whole = words.round_whole();
    let conversion = Conversion {
        to,
        from,
        round: round.unwrap_or(Round::Nearest),
        whole,
        flush: words.take("ftz"),
        finite: words.take("satfinite"),
        saturate: words.take("sat"),
        relu: words.take("relu"),
    };
    let narrows = !to.is_integer() && (from.is_integer() || to.bits < from.bits);
    if narrows && round.is_none() {
        return resolver.bad("no rounding");
    }
    let class = if to.is_integer() && from.is_integer() { Class::Integer } else { Class::Special };
    if to.lanes == 2 && from.lanes == 1 {
        let d = Reg { slot: resolver.result(words.arg(0)?, to.bytes())?, bytes: to.bytes() };
        let mut s = Vec::new();
        for index in [1, 2] {
            s.push(Reg { slot: resolver.source(words.arg(index)?, from.bytes())?, bytes: from.bytes() });
        }
        return Ok((class, Code::Odd(Box::new(Odd { op: OddOp::ConvertPair(conversion), d, s })), 3));
    }
    // The registers may be wider than the types.
    let d = resolver.any_result(words.arg(0)?)?;
    let a = resolver.any(words.arg(1)?, from.bytes())?;
    if d.bytes < to.bytes() || a.bytes < from.bytes() {
        return resolver.bad("a register is too narrow");
    }
    let code = match conversion.fast() {
        Some(run) if d.bytes == to.bytes() && a.bytes == from.bytes() => {
            Code::Lanes(run, Slots { d: d.slot, s: [a.slot, 0, 0] })
        }
        _ => Code::Odd(Box::new(Odd { op: OddOp::Convert(conversion), d, s: vec![a] })),
    };
    Ok((class, code, 2))
}
