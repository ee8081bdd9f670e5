//! Instructions of several threads: shuffles, votes, barriers.

use super::decode::{Decoded, Words};
use super::frame::Resolver;
use super::parse::Arg;
use crate::cuda::exec::program::{
    Barrier, BarrierOp, BarrierReduce, Class, Code, MatchLanes, PredRef, ReduceOp, Reg, Shuffle, ShuffleKind, Vote,
    VoteKind,
};

/// Everything that lanes do together.
pub fn decode(resolver: &mut Resolver<'_>, words: &mut Words<'_>, _: u32) -> Decoded {
    let (class, code, args) = match words.name {
        "shfl" => {
            words.take("sync");
            words.take("b32");
            let kind = match words.take_of(&["up", "down", "bfly", "idx"]) {
                Some("up") => ShuffleKind::Up,
                Some("down") => ShuffleKind::Down,
                Some("bfly") => ShuffleKind::Butterfly,
                Some(_) => ShuffleKind::Index,
                None => return Ok(None),
            };
            let (d, p) = result_and_predicate(resolver, words.arg(0)?, 4)?;
            let mut source = |index: usize| resolver.source(words.arg(index)?, 4);
            let (a, b, c, members) = (source(1)?, source(2)?, source(3)?, source(4)?);
            (Class::Integer, Code::Shuffle(Box::new(Shuffle { kind, d, p, a, b, c, members })), 5)
        }
        "vote" => {
            words.take("sync");
            let kind = match words.take_of(&["all", "any", "uni", "ballot"]) {
                Some("all") => VoteKind::All,
                Some("any") => VoteKind::Any,
                Some("uni") => VoteKind::Uniform,
                Some(_) => VoteKind::Ballot,
                None => return Ok(None),
            };
            words.take_of(&["pred", "b32"]);
            let d = match (kind, words.arg(0)?) {
                (VoteKind::Ballot, arg) => resolver.result(arg, 4)?,
                (_, Arg::Name(name)) => resolver.predicate(name)?,
                _ => return resolver.bad("no predicate"),
            };
            let a = resolver.condition(words.arg(1)?)?;
            let members = resolver.source(words.arg(2)?, 4)?;
            (Class::Integer, Code::Vote(Box::new(Vote { kind, d, a, members })), 3)
        }
        "match" => {
            words.take("sync");
            let all = words.take_of(&["all", "any"]) == Some("all");
            let bytes = words.ty()?.bytes();
            let (d, p) = result_and_predicate(resolver, words.arg(0)?, 4)?;
            let a = Reg { slot: resolver.source(words.arg(1)?, bytes)?, bytes };
            let members = resolver.source(words.arg(2)?, 4)?;
            (Class::Integer, Code::Match(Box::new(MatchLanes { all, d, p, a, members })), 3)
        }
        "redux" => {
            words.take("sync");
            let signed = words.ty()?.is_signed();
            let op = match (words.take_of(&["add", "min", "max", "and", "or", "xor"]), signed) {
                (Some("add"), _) => ReduceOp::Add,
                (Some("min"), true) => ReduceOp::MinSigned,
                (Some("min"), false) => ReduceOp::MinUnsigned,
                (Some("max"), true) => ReduceOp::MaxSigned,
                (Some("max"), false) => ReduceOp::MaxUnsigned,
                (Some("and"), _) => ReduceOp::And,
                (Some("or"), _) => ReduceOp::Or,
                (Some("xor"), _) => ReduceOp::Xor,
                _ => return Ok(None),
            };
            let d = resolver.result(words.arg(0)?, 4)?;
            let a = resolver.source(words.arg(1)?, 4)?;
            let members = resolver.source(words.arg(2)?, 4)?;
            (Class::Integer, Code::Redux { d, a, members, op }, 3)
        }
        "elect" => {
            words.take("sync");
            let Arg::Pair(d, p) = words.arg(0)? else { return resolver.bad("no predicate") };
            let d = if d == "_" { None } else { Some(resolver.result(&Arg::Name(d.clone()), 4)?) };
            let p = resolver.predicate(p)?;
            let members = resolver.source(words.arg(1)?, 4)?;
            (Class::Integer, Code::Elect { d, p, members }, 2)
        }
        "activemask" => {
            words.ty()?;
            (Class::Integer, Code::ActiveMask { d: resolver.result(words.arg(0)?, 4)? }, 1)
        }
        "bar" | "barrier" => return barrier(resolver, words),
        _ => return Ok(None),
    };
    Ok(Some((class, code, args)))
}

fn result_and_predicate(resolver: &mut Resolver<'_>, arg: &Arg, bytes: u32) -> Result<(u32, Option<u32>), super::Bad> {
    match arg {
        Arg::Pair(d, p) => {
            let d = resolver.result(&Arg::Name(d.clone()), bytes)?;
            Ok((d, Some(resolver.predicate(p)?)))
        }
        other => Ok((resolver.result(other, bytes)?, None)),
    }
}

fn barrier(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Decoded {
    if words.take("warp") {
        words.take("sync");
        let members = resolver.source(words.arg(0)?, 4)?;
        return Ok(Some((Class::Control, Code::WarpBarrier { members }, 1)));
    }
    words.take("cta");
    words.take("aligned");
    let Some(kind) = words.take_of(&["sync", "arrive", "red"]) else { return Ok(None) };
    let mut args = words.args.len();
    let mut reduce = None;
    let mut at = 0;
    if kind == "red" {
        let op = match words.take_of(&["popc", "and", "or"]) {
            Some("popc") => BarrierOp::Count,
            Some("and") => BarrierOp::And,
            Some(_) => BarrierOp::Or,
            None => return Ok(None),
        };
        words.take_of(&["u32", "pred"]);
        let d = match (op, words.arg(0)?) {
            (BarrierOp::Count, arg) => resolver.result(arg, 4)?,
            (_, Arg::Name(name)) => resolver.predicate(name)?,
            _ => return resolver.bad("no predicate"),
        };
        let a: PredRef = resolver.condition(words.arg(words.args.len() - 1)?)?;
        reduce = Some(BarrierReduce { op, d, a });
        at = 1;
        args -= 1;
    }
    let id = resolver.source(words.arg(at)?, 4)?;
    let count = if args > at + 1 { Some(resolver.source(words.arg(at + 1)?, 4)?) } else { None };
    let barrier = Barrier { id, count, arrives_only: kind == "arrive", reduce };
    Ok(Some((Class::Control, Code::Barrier(Box::new(barrier)), words.args.len())))
}
