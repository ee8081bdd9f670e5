//! Memory instructions.

use super::decode::{Decoded, Words};
use super::frame::Resolver;
use super::parse::Arg;
use super::{Bad, Kind};
use crate::cuda::exec::program::{Access, Atomic, AtomicOp, Class, Code, CopyShared, Reg, Space};

/// Loads, stores, atomics, copies into shared memory and addresses.
pub fn decode(resolver: &mut Resolver<'_>, words: &mut Words<'_>, _: u32) -> Decoded {
    match words.name {
        "ld" | "ldu" | "st" => access(resolver, words).map(Some),
        "atom" | "red" => atomic(resolver, words).map(Some),
        "cp" => copy(resolver, words),
        "prefetch" | "prefetchu" | "discard" | "applypriority" => {
            // No effect on what is read later.
            while words.first().is_some() {}
            resolver.address(words.arg(0)?)?;
            Ok(Some((Class::Memory, Code::Nop, words.args.len())))
        }
        "cvta" => {
            let to_space = words.take("to");
            let Some(space) = space(words) else { return resolver.bad("no space") };
            let bytes = words.ty()?.bytes();
            let out = resolver.result(words.arg(0)?, bytes)?;
            let a = Reg { slot: resolver.source(words.arg(1)?, bytes)?, bytes };
            Ok(Some((Class::Integer, Code::Window { a, space, to_space, out }, 2)))
        }
        "isspacep" => {
            let Some(space) = space(words) else { return resolver.bad("no space") };
            let Arg::Name(name) = words.arg(0)? else { return resolver.bad("no predicate") };
            let d = resolver.predicate(name)?;
            let a = resolver.source(words.arg(1)?, 8)?;
            Ok(Some((Class::Integer, Code::IsSpace { d, a, space }, 2)))
        }
        _ => Ok(None),
    }
}

fn space(words: &mut Words<'_>) -> Option<Space> {
    // Blocks stand alone: their cluster is themselves.
    let name = [
        "shared::cta",
        "shared::cluster",
        "shared",
        "global",
        "const",
        "local",
        "param::entry",
        "param::func",
        "param",
    ];
    Some(match words.take_of(&name)? {
        "global" | "const" => Space::Global,
        "local" => Space::Local,
        "param::entry" | "param::func" | "param" => Space::Param,
        _ => Space::Shared,
    })
}

/// What says how caches and other threads see an access: everything is visible at once here.
fn drop_hints(words: &mut Words<'_>) {
    words.drop_if(|word| {
        matches!(
            word,
            "cta" | "gpu" | "sys" | "cluster" | "relaxed" | "acquire" | "release" | "acq_rel" | "weak" | "volatile"
        ) || matches!(word, "ca" | "cs" | "lu" | "wb" | "wt" | "nc" | "mmio")
            || word.starts_with("L1::")
            || word.starts_with("L2::")
            || word.starts_with("level::")
    });
}

fn access(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let is_store = words.name == "st";
    let uncached = words.take_of(&["cg", "cv", "volatile", "relaxed", "acquire"]).is_some();
    let named = space(words);
    drop_hints(words);
    let count = match words.take_of(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some(_) => 8,
        None => 1,
    };
    let ty = words.ty()?;
    if ty.lanes != 1 && ty.bytes() != 4 || ty.kind == Kind::Pred {
        return resolver.bad("no such type in memory");
    }
    let bytes = ty.bytes();
    let (address, own) = resolver.address(words.arg(usize::from(!is_store))?)?;
    let one = [words.arg(usize::from(is_store))?.clone()];
    let elements: &[Arg] = match &one[0] {
        Arg::Vector(list) => list,
        _ => &one,
    };
    if elements.len() != count {
        return resolver.bad(format!("{} elements where there are {count}", elements.len()));
    }
    let mut regs = Vec::new();
    for element in elements {
        let reg = if *element == Arg::Name("_".into()) && !is_store {
            None
        } else if is_store {
            Some(resolver.any(element, bytes)?)
        } else {
            Some(resolver.any_result(element)?)
        };
        if reg.is_some_and(|reg| reg.bytes < bytes) {
            return resolver.bad("a register is too narrow");
        }
        regs.push(reg);
    }
    // Parameters of functions, and those of calls, are local memory.
    let space = match (named, own) {
        (Some(Space::Param), Some(own)) => own,
        (Some(space), _) => space,
        (None, Some(own)) => own,
        (None, None) => Space::Generic,
    };
    let access = Access { space, is_store, bytes, signed: ty.is_signed(), address, regs, uncached };
    Ok((Class::Memory, Code::Access(Box::new(access)), 2))
}

fn atomic(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    let returns = words.name == "atom";
    let space = space(words).unwrap_or(Space::Generic);
    drop_hints(words);
    words.take("noftz");
    let names = ["add", "and", "or", "xor", "min", "max", "exch", "cas", "inc", "dec"];
    let op = match words.take_of(&names) {
        Some("add") => AtomicOp::Add,
        Some("and") => AtomicOp::And,
        Some("or") => AtomicOp::Or,
        Some("xor") => AtomicOp::Xor,
        Some("min") => AtomicOp::Min,
        Some("max") => AtomicOp::Max,
        Some("exch") => AtomicOp::Exchange,
        Some("cas") => AtomicOp::CompareAndSwap,
        Some("inc") => AtomicOp::Increment,
        Some("dec") => AtomicOp::Decrement,
        _ => return resolver.bad("no such operation"),
    };
    let ty = words.ty()?;
    let bytes = ty.bytes();
    let known = match op {
        AtomicOp::Add => !(ty.is_integer() && bytes < 4),
        AtomicOp::Exchange | AtomicOp::CompareAndSwap => ty.is_integer(),
        AtomicOp::Increment | AtomicOp::Decrement => ty.bits == 32 && ty.is_integer(),
        _ => ty.is_integer() && bytes >= 4,
    };
    if !known || ty.kind == Kind::Pred {
        return resolver.bad("no such operation of that type");
    }
    let first = usize::from(returns);
    let d = match returns {
        true => Some(resolver.result(words.arg(0)?, bytes)?),
        false => None,
    };
    let (address, own) = resolver.address(words.arg(first)?)?;
    let a = resolver.source(words.arg(first + 1)?, bytes)?;
    let b = match op {
        AtomicOp::CompareAndSwap => Some(resolver.source(words.arg(first + 2)?, bytes)?),
        _ => None,
    };
    let space = if space == Space::Generic { own.unwrap_or(space) } else { space };
    let args = first + 2 + usize::from(b.is_some());
    Ok((Class::Memory, Code::Atomic(Box::new(Atomic { space, op, ty, d, address, a, b })), args))
}

/// `cp.async`: the copy is made at once, so that waiting is nothing.
fn copy(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Decoded {
    if !words.take("async") || words.take("bulk") {
        return Ok(None);
    }
    if words.take("commit_group") || words.take("wait_all") {
        return Ok(Some((Class::Memory, Code::Nop, 0)));
    }
    if words.take("wait_group") {
        return Ok(Some((Class::Memory, Code::Nop, 1)));
    }
    words.take_of(&["cg"]);
    drop_hints(words);
    if space(words) != Some(Space::Shared) || space(words) != Some(Space::Global) {
        return resolver.bad("only copies from global to shared memory");
    }
    let (to, _) = resolver.address(words.arg(0)?)?;
    let (from, _) = resolver.address(words.arg(1)?)?;
    let bytes = match words.arg(2)? {
        Arg::Integer(bytes @ (4 | 8 | 16)) => *bytes as u32,
        other => return resolver.bad(format!("a copy of {other:?}")),
    };
    let source_bytes = match words.args.get(3) {
        Some(arg) => Some(Reg { slot: resolver.source(arg, 4)?, bytes: 4 }),
        None => None,
    };
    let code = Code::CopyShared(Box::new(CopyShared { to, from, bytes, source_bytes }));
    Ok(Some((Class::Memory, code, words.args.len())))
}
