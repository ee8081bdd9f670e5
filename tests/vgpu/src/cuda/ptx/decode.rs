//! Instructions to operations: which family an instruction belongs to, and its modifiers.

use super::frame::Resolver;
use super::parse::{Arg, Instruction};
use super::{Bad, Ty, accesses, arithmetic, collectives, tensor};
use crate::cuda::exec::number::Round;
use crate::cuda::exec::program::{Class, Code};

/// An instruction whose modifiers are taken one by one. What is left over at the end was not understood.
pub struct Words<'a> {
    /// The first word.
    pub name: &'a str,
    rest: Vec<&'a str>,
    pub args: &'a [Arg],
}

impl<'a> Words<'a> {
    fn new(instruction: &'a Instruction) -> Self {
        let mut words = instruction.op.split('.');
        let name = words.next().unwrap_or_default();
        Self { name, rest: words.collect(), args: &instruction.args }
    }

    /// Takes a modifier, wherever it stands.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.rest.iter().position(|it| *it == word);
        if let Some(at) = found {
            self.rest.remove(at);
        }
        found.is_some()
    }

    /// Takes the first one of those that there is.
    pub fn take_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.take(word))
    }

    /// Takes the first type.
    pub fn ty(&mut self) -> Result<Ty, Bad> {
        let found = self.rest.iter().enumerate().find_map(|(at, word)| Some((at, Ty::parse(word)?)));
        let (at, ty) = found.ok_or_else(|| Bad::at(0, "no type"))?;
        self.rest.remove(at);
        Ok(ty)
    }

    /// Takes whatever comes first.
    pub fn first(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() { None } else { Some(self.rest.remove(0)) }
    }

    /// Takes modifiers that a predicate accepts.
    pub fn drop_if(&mut self, is: impl Fn(&str) -> bool) {
        self.rest.retain(|word| !is(word));
    }

    /// Rounding of a float.
    pub fn round(&mut self) -> Option<Round> {
        Some(match self.take_of(&["rn", "rz", "rm", "rp", "rna"])? {
            "rn" => Round::Nearest,
            "rz" => Round::Zero,
            "rm" => Round::Down,
            "rp" => Round::Up,
            _ => Round::NearestAway,
        })
    }

    /// Rounding to a whole number.
    pub fn round_whole(&mut self) -> Option<Round> {
        Some(match self.take_of(&["rni", "rzi", "rmi", "rpi"])? {
            "rni" => Round::Nearest,
            "rzi" => Round::Zero,
            "rmi" => Round::Down,
            _ => Round::Up,
        })
    }

    /// An operand.
    pub fn arg(&self, index: usize) -> Result<&'a Arg, Bad> {
        self.args.get(index).ok_or_else(|| Bad::at(0, format!("no operand {}", index + 1)))
    }

    /// That nothing is left, and that there are so many operands.
    fn finish(&self, args: usize) -> Result<(), Bad> {
        if !self.rest.is_empty() {
            return Err(Bad::at(0, format!("unknown modifier .{}", self.rest.join("."))));
        }
        if self.args.len() != args {
            return Err(Bad::at(0, format!("{} operands where {args} are expected", self.args.len())));
        }
        Ok(())
    }
}

/// What a family makes of an instruction: the operation, and how many operands it took.
pub type Decoded = Result<Option<(Class, Code, usize)>, Bad>;

/// Decodes one instruction.
pub fn decode(resolver: &mut Resolver<'_>, instruction: &Instruction, flag: u32) -> Result<(Class, Code), Bad> {
    type Family = fn(&mut Resolver<'_>, &mut Words<'_>, u32) -> Decoded;
    const FAMILIES: [Family; 6] =
        [arithmetic::decode, arithmetic::decode_moves, accesses::decode, collectives::decode, tensor::decode, control];
    for family in FAMILIES {
        let mut words = Words::new(instruction);
        if let Some((class, code, args)) = family(resolver, &mut words, flag)? {
            words.finish(args)?;
            return Ok((class, code));
        }
    }
    resolver.bad("unknown instruction")
}

/// Control flow, and what has no effect here.
fn control(resolver: &mut Resolver<'_>, words: &mut Words<'_>, _: u32) -> Decoded {
    let (code, args) = match words.name {
        "bra" => {
            words.take("uni");
            (Code::Branch(resolver.label(words.arg(0)?)?), 1)
        }
        "brx" => {
            words.take("idx");
            words.take("uni");
            let index = resolver.source(words.arg(0)?, 4)?;
            let Arg::Name(name) = words.arg(1)? else { return resolver.bad("no table") };
            let scope = resolver.scope;
            let table = resolver.scopes.find(scope, |scope| scope.tables.get(name).cloned());
            let Some(table) = table else { return resolver.bad(format!("no table {name}")) };
            let targets = table.into_iter().map(|label| resolver.label(&Arg::Name(label))).collect::<Result<_, _>>()?;
            (Code::BranchTable { index, targets }, 2)
        }
        "ret" => {
            words.take("uni");
            (Code::Exit, 0)
        }
        "exit" => (Code::Exit, 0),
        "trap" => (Code::Trap, 0),
        "brkpt" => (Code::Trap, 0),
        "nanosleep" => {
            words.take("u32");
            (Code::Sleep(resolver.any(words.arg(0)?, 4)?), 1)
        }
        "membar" | "fence" => {
            // All lanes of a warp, and all memory of a block, are in order here; between blocks accesses are atomic.
            words.drop_if(|word| {
                matches!(word, "cta" | "gl" | "sys" | "gpu" | "cluster" | "sc" | "acq_rel" | "acquire" | "release")
            });
            (Code::Nop, 0)
        }
        "pragma" | "nop" => (Code::Nop, 0),
        "griddepcontrol" => {
            words.take("wait");
            words.take("launch_dependents");
            (Code::Nop, 0)
        }
        _ => return Ok(None),
    };
    Ok(Some((Class::Control, code, args)))
}
