//! Where names lead: registers to places in the register file, variables to addresses.

use std::collections::HashMap;

use super::parse::Arg;
use super::{Bad, Kind, Ty};
use crate::cuda::exec::lanes::LANES;
use crate::cuda::exec::program::{Address, PredRef, Reg, Space, Special};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Symbol {
    Reg(Reg),
    Pred(u32),
    /// A variable: its space, and its address there.
    Variable(Space, u64),
}

/// The register file of a program while it is laid out.
#[derive(Debug, Default)]
pub struct Files {
    bytes: u32,
    constants: HashMap<(u64, u32), u32>,
    pub specials: Vec<(Special, u32)>,
    /// Registers that the source declares and uses, in units of 32 bits a thread.
    pub words: u32,
}

impl Files {
    /// A register of that many bytes a lane.
    pub fn register(&mut self, bytes: u32) -> Reg {
        let slot = self.bytes;
        self.bytes += bytes * LANES as u32;
        Reg { slot, bytes }
    }

    /// A predicate.
    pub fn predicate(&mut self) -> u32 {
        let slot = self.bytes;
        self.bytes += 4;
        slot
    }

    /// A register that holds the number in every lane.
    pub fn constant(&mut self, bits: u64, bytes: u32) -> Reg {
        let bits = if bytes == 8 { bits } else { bits & ((1 << (8 * bytes)) - 1) };
        if let Some(&slot) = self.constants.get(&(bits, bytes)) {
            return Reg { slot, bytes };
        }
        let reg = self.register(bytes);
        self.constants.insert((bits, bytes), reg.slot);
        reg
    }

    fn special(&mut self, special: Special) -> Reg {
        if let Some(&(_, slot)) = self.specials.iter().find(|(known, _)| *known == special) {
            return Reg { slot, bytes: 4 };
        }
        let reg = self.register(4);
        self.specials.push((special, reg.slot));
        reg
    }

    /// The file as it is when a warp starts.
    pub fn initial(&self) -> Vec<u64> {
        let mut bytes = vec![0; (self.bytes as usize).next_multiple_of(8)];
        for (&(bits, width), &slot) in &self.constants {
            let value = bits.to_le_bytes();
            for lane in bytes[slot as usize..].chunks_exact_mut(width as usize).take(LANES) {
                lane.copy_from_slice(&value[..width as usize]);
            }
        }
        bytes.chunks_exact(8).map(|word| word.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))).collect()
    }
}

/// Names of a block in braces.
#[derive(Debug, Default)]
pub struct Scope {
    pub parent: Option<usize>,
    pub names: HashMap<String, Symbol>,
    /// Positions in the program.
    pub labels: HashMap<String, u32>,
    pub tables: HashMap<String, Vec<String>>,
}

/// All blocks of a function. The first one is the whole body.
#[derive(Debug)]
pub struct Scopes(pub Vec<Scope>);

impl Scopes {
    /// Looks from the inside outwards.
    pub fn find<T>(&self, scope: usize, get: impl Fn(&Scope) -> Option<T>) -> Option<T> {
        let mut at = Some(scope);
        while let Some(index) = at {
            let scope = &self.0[index];
            if let Some(found) = get(scope) {
                return Some(found);
            }
            at = scope.parent;
        }
        None
    }
}

/// Declares registers.
pub fn declare(
    files: &mut Files,
    scope: &mut Scope,
    ty: Ty,
    name: &str,
    count: Option<u32>,
    line: u32,
) -> Result<(), Bad> {
    if count.is_some_and(|count| count > 1 << 16) {
        return Err(Bad::at(line, format!("too many registers {name}")));
    }
    let mut one = |name: String| {
        let symbol = if ty.kind == Kind::Pred {
            Symbol::Pred(files.predicate())
        } else {
            files.words += ty.bytes().div_ceil(4);
            Symbol::Reg(files.register(ty.bytes().max(2)))
        };
        scope.names.insert(name, symbol);
    };
    match count {
        None => one(name.to_owned()),
        Some(count) => (0..count).for_each(|index| one(format!("{name}{index}"))),
    }
    Ok(())
}

/// Finds what the operands of one instruction stand for.
pub struct Resolver<'a> {
    pub files: &'a mut Files,
    pub scopes: &'a Scopes,
    pub scope: usize,
    pub globals: &'a HashMap<String, Symbol>,
    pub line: u32,
}

impl Resolver<'_> {
    /// An error at this instruction.
    pub fn bad<T>(&self, what: impl Into<String>) -> Result<T, Bad> {
        Err(Bad::at(self.line, what))
    }

    fn symbol(&self, name: &str) -> Option<Symbol> {
        self.scopes.find(self.scope, |scope| scope.names.get(name).copied()).or(self.globals.get(name).copied())
    }

    /// A register that is read, of any width. Numbers and addresses become constants of `bytes`.
    pub fn any(&mut self, arg: &Arg, bytes: u32) -> Result<Reg, Bad> {
        Ok(match arg {
            Arg::Integer(bits) => self.files.constant(*bits, bytes.max(2)),
            Arg::Single(bits) if bytes == 4 => self.files.constant((*bits).into(), 4),
            Arg::Double(bits) if bytes == 8 => self.files.constant(*bits, 8),
            Arg::Double(bits) if bytes == 4 => self.files.constant((f64::from_bits(*bits) as f32).to_bits().into(), 4),
            Arg::Name(name) => match (self.symbol(name), Special::parse(name)) {
                (Some(Symbol::Reg(reg)), _) => reg,
                (Some(Symbol::Variable(_, address)), _) if bytes >= 4 => self.files.constant(address, bytes),
                (None, Some(special)) => self.files.special(special),
                _ => return self.bad(format!("{name} as an operand of {} bits", 8 * bytes)),
            },
            Arg::Memory(Some(name), offset) => match self.symbol(name) {
                Some(Symbol::Variable(_, address)) => self.files.constant(address.wrapping_add(*offset as u64), bytes),
                _ => return self.bad(format!("{name}+{offset} as an operand")),
            },
            other => return self.bad(format!("{other:?} as an operand of {} bits", 8 * bytes)),
        })
    }

    /// A register that is read, of exactly that width.
    pub fn source(&mut self, arg: &Arg, bytes: u32) -> Result<u32, Bad> {
        let reg = self.any(arg, bytes)?;
        if reg.bytes != bytes.max(2) {
            return self.bad(format!("{arg:?} has {} bits instead of {}", 8 * reg.bytes, 8 * bytes));
        }
        Ok(reg.slot)
    }

    /// A register that is written, of any width.
    pub fn any_result(&mut self, arg: &Arg) -> Result<Reg, Bad> {
        match arg {
            Arg::Name(name) => match self.symbol(name) {
                Some(Symbol::Reg(reg)) => Ok(reg),
                _ => self.bad(format!("{name} as a result")),
            },
            other => self.bad(format!("{other:?} as a result")),
        }
    }

    /// A register that is written, of exactly that width.
    pub fn result(&mut self, arg: &Arg, bytes: u32) -> Result<u32, Bad> {
        if *arg == Arg::Name("_".into()) {
            return Ok(self.files.register(bytes.max(2)).slot);
        }
        let reg = self.any_result(arg)?;
        if reg.bytes != bytes.max(2) {
            return self.bad(format!("{arg:?} has {} bits instead of {}", 8 * reg.bytes, 8 * bytes));
        }
        Ok(reg.slot)
    }

    /// A predicate that is written.
    pub fn predicate(&mut self, name: &str) -> Result<u32, Bad> {
        match self.symbol(name) {
            Some(Symbol::Pred(slot)) => Ok(slot),
            _ if name == "_" => Ok(self.files.predicate()),
            _ => self.bad(format!("{name} is no predicate")),
        }
    }

    /// A predicate that is read.
    pub fn condition(&mut self, arg: &Arg) -> Result<PredRef, Bad> {
        match arg {
            Arg::Name(name) => Ok(PredRef { slot: self.predicate(name)?, negated: false }),
            Arg::Not(name) => Ok(PredRef { slot: self.predicate(name)?, negated: true }),
            // A predicate that nobody writes is false.
            Arg::Integer(value) => Ok(PredRef { slot: self.files.predicate(), negated: *value != 0 }),
            other => self.bad(format!("{other:?} as a predicate")),
        }
    }

    /// An address in memory, with the space of its variable if it names one.
    pub fn address(&mut self, arg: &Arg) -> Result<(Address, Option<Space>), Bad> {
        let Arg::Memory(base, offset) = arg else { return self.bad(format!("{arg:?} as an address")) };
        let Some(name) = base else { return Ok((Address { base: None, offset: *offset }, None)) };
        match self.symbol(name) {
            Some(Symbol::Reg(reg)) if reg.bytes >= 4 => Ok((Address { base: Some(reg), offset: *offset }, None)),
            Some(Symbol::Variable(space, address)) => {
                Ok((Address { base: None, offset: (address as i64).wrapping_add(*offset) }, Some(space)))
            }
            _ => self.bad(format!("{name} as an address")),
        }
    }

    /// A position in the program.
    pub fn label(&self, arg: &Arg) -> Result<u32, Bad> {
        let found = match arg {
            Arg::Name(name) => self.scopes.find(self.scope, |scope| scope.labels.get(name).copied()),
            _ => None,
        };
        found.ok_or_else(|| Bad::at(self.line, format!("no label {arg:?}")))
    }
}
