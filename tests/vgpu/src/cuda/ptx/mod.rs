//! PTX: text to tokens, tokens to statements, statements to a program that the executor runs.
//!
//! An instruction or a modifier that is not known is an error when the module is loaded, with the line and the text.

mod accesses;
mod arithmetic;
mod collectives;
mod decode;
mod frame;
mod lex;
mod link;
mod parse;
mod tensor;
mod ty;

use std::fmt;

pub use link::{Module, load};
pub use ty::{Kind, Ty};

/// What is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    line: u32,
    what: String,
}

impl Bad {
    fn at(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "ptx line {}: {}", self.line, self.what)
    }
}
