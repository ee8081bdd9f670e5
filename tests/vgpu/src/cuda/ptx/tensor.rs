//! Matrix instructions.

use super::decode::{Decoded, Words};
use super::frame::Resolver;
use super::parse::Arg;
use super::{Bad, Ty};
use crate::cuda::exec::mma::Shape;
use crate::cuda::exec::program::{Class, Code, LoadMatrix, Mma};

/// `mma` and `ldmatrix`. Matrix instructions of warp groups and of tensor memory are refused.
pub fn decode(resolver: &mut Resolver<'_>, words: &mut Words<'_>, _: u32) -> Decoded {
    match words.name {
        "mma" => mma(resolver, words).map(Some),
        "ldmatrix" => {
            words.take("sync");
            words.take("aligned");
            words.take_of(&["shared::cta", "shared"]);
            let transposed = words.take("trans");
            let count = match (words.take("m8n8"), words.take_of(&["x1", "x2", "x4"])) {
                (true, Some("x1")) => 1,
                (true, Some("x2")) => 2,
                (true, Some("x4")) => 4,
                _ => return Ok(None),
            };
            words.ty()?;
            let d = registers(resolver, words.arg(0)?, count, true, 4)?;
            let (address, _) = resolver.address(words.arg(1)?)?;
            let code = Code::LoadMatrix(Box::new(LoadMatrix { d, address, transposed }));
            Ok(Some((Class::Memory, code, 2)))
        }
        "wgmma" | "tcgen05" | "setmaxnreg" | "wmma" => resolver.bad("warp groups and tensor memory are not simulated"),
        _ => Ok(None),
    }
}

fn mma(resolver: &mut Resolver<'_>, words: &mut Words<'_>) -> Result<(Class, Code, usize), Bad> {
    words.take("sync");
    words.take("aligned");
    let saturates = words.take("satfinite");
    // FP8 of the newest chips is the same operation by another name.
    words.take("kind::f8f6f4");
    if !words.take("row") || !words.take("col") {
        return resolver.bad("only row by column");
    }
    let (m, n, k) = words.first().and_then(shape).ok_or_else(|| Bad::at(0, "no such shape"))?;
    let (d, a, b, c) = (words.ty()?, words.ty()?, words.ty()?, words.ty()?);
    let shape = Shape { m, n, k, a, b, d, saturates };
    if d != c || !shape.is_known() {
        return resolver.bad("no such combination of shape and types");
    }
    let (count_a, count_b, count_d) = shape.registers();
    let width = |ty: Ty| if ty.bits == 64 { 8 } else { 4 };
    let mma = Mma {
        shape,
        d: registers(resolver, words.arg(0)?, count_d, true, width(d))?,
        a: registers(resolver, words.arg(1)?, count_a, false, width(a))?,
        b: registers(resolver, words.arg(2)?, count_b, false, width(b))?,
        c: registers(resolver, words.arg(3)?, count_d, false, width(d))?,
    };
    Ok((Class::Tensor, Code::Mma(Box::new(mma)), 4))
}

/// `m16n8k32`.
fn shape(word: &str) -> Option<(usize, usize, usize)> {
    let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
    let (n, k) = rest.split_once('k')?;
    Some((m.parse().ok()?, n.parse().ok()?, k.parse().ok()?))
}

fn registers(resolver: &mut Resolver<'_>, arg: &Arg, count: usize, written: bool, bytes: u32) -> Result<Vec<u32>, Bad> {
    let one = [arg.clone()];
    let list: &[Arg] = match arg {
        Arg::Vector(list) => list,
        _ => &one,
    };
    if list.len() != count {
        return resolver.bad(format!("{} registers where there are {count}", list.len()));
    }
    list.iter().map(|it| if written { resolver.result(it, bytes) } else { resolver.source(it, bytes) }).collect()
}
