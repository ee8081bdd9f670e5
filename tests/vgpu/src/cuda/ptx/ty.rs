//! Types of PTX (PTX ISA 8.8, section 5.2).

/// What the bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing in particular.
    Bits,
    /// An unsigned integer.
    Unsigned,
    /// A signed integer.
    Signed,
    /// IEEE 754.
    Float,
    /// Brain float.
    BFloat,
    /// TensorFloat-32 in 32 bits.
    Tf32,
    /// FP8 with four exponent bits.
    E4m3,
    /// FP8 with five exponent bits.
    E5m2,
    /// A predicate.
    Pred,
}

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ty {
    /// What an element is.
    pub kind: Kind,
    /// Bits of an element.
    pub bits: u32,
    /// Elements that are packed together: 1 or 2.
    pub lanes: u32,
}

impl Ty {
    /// The type of that name, without its point.
    pub fn parse(word: &str) -> Option<Self> {
        use Kind::*;
        let (kind, bits, lanes) = match word {
            "pred" => (Pred, 1, 1),
            "b8" => (Bits, 8, 1),
            "b16" => (Bits, 16, 1),
            "b32" => (Bits, 32, 1),
            "b64" => (Bits, 64, 1),
            "u8" => (Unsigned, 8, 1),
            "u16" => (Unsigned, 16, 1),
            "u32" => (Unsigned, 32, 1),
            "u64" => (Unsigned, 64, 1),
            "s8" => (Signed, 8, 1),
            "s16" => (Signed, 16, 1),
            "s32" => (Signed, 32, 1),
            "s64" => (Signed, 64, 1),
            "f16" => (Float, 16, 1),
            "f32" => (Float, 32, 1),
            "f64" => (Float, 64, 1),
            "f16x2" => (Float, 16, 2),
            "bf16" => (BFloat, 16, 1),
            "bf16x2" => (BFloat, 16, 2),
            "tf32" => (Tf32, 32, 1),
            "e4m3" => (E4m3, 8, 1),
            "e5m2" => (E5m2, 8, 1),
            "e4m3x2" => (E4m3, 8, 2),
            "e5m2x2" => (E5m2, 8, 2),
            _ => return None,
        };
        Some(Self { kind, bits, lanes })
    }

    /// Bytes in a register or in memory.
    pub fn bytes(self) -> u32 {
        (self.bits * self.lanes).div_ceil(8)
    }

    /// Whether it is an integer, or bits that are taken for one.
    pub fn is_integer(self) -> bool {
        matches!(self.kind, Kind::Bits | Kind::Unsigned | Kind::Signed)
    }

    /// Whether it is a signed integer.
    pub fn is_signed(self) -> bool {
        self.kind == Kind::Signed
    }
}
