//! A kernel in the form that runs: registers are places in a file, labels are positions, constants are registers too.

use super::convert::Conversion;
use super::lanes::{Run, Slots};
use super::mma::Shape;
use crate::cuda::ptx::Ty;

/// A kernel with the functions that it calls.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub code: Vec<Ins>,
    /// The text of each instruction, for messages.
    pub texts: Vec<String>,
    /// Registers of a warp when it starts: zeros, and the constants.
    pub file: Vec<u64>,
    /// Registers that hold what a thread knows of itself.
    pub specials: Vec<(Special, u32)>,
    /// Offset and size of each parameter.
    pub params: Vec<(u32, u32)>,
    pub param_bytes: u32,
    /// Shared memory that the kernel declares.
    pub shared_bytes: u32,
    /// Local memory of a thread.
    pub local_bytes: u32,
    pub max_threads: u32,
    /// Registers of a thread by their declaration, for `cuFuncGetAttribute`.
    pub registers: u32,
}

/// What an instruction costs and counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Integer,
    Single,
    /// Multiply-adds in single precision, which mining cards hold down.
    Fused,
    Double,
    Half,
    /// Roots, logarithms, divisions.
    Special,
    Memory,
    Control,
    /// `mma`; its cost comes from its shape.
    Tensor,
    /// What machine code has no instruction for: a sign or a magnitude that belongs to an operand.
    Folded,
}

impl Class {
    /// Whether a broken multiprocessor gets it wrong.
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Self::Single | Self::Fused | Self::Double | Self::Half | Self::Tensor)
    }
}

/// A register file place that guards an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredRef {
    pub slot: u32,
    pub negated: bool,
}

/// A decoded instruction.
#[derive(Debug, Clone)]
pub struct Ins {
    pub guard: Option<PredRef>,
    pub class: Class,
    pub code: Code,
    /// It reads the number of the block or of the multiprocessor, or touches memory outside of the multiprocessor.
    pub looks_out: bool,
}

/// A register and its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg {
    pub slot: u32,
    /// 2, 4 or 8.
    pub bytes: u32,
}

/// What it does.
#[derive(Debug, Clone)]
pub enum Code {
    Lanes(Run, Slots),
    /// `setp` with a second result or with a predicate to combine with.
    Compare(Box<Compare>),
    Pred {
        op: BoolOp,
        d: u32,
        a: PredRef,
        b: PredRef,
    },
    /// A predicate by a predicate.
    PredSelect {
        d: u32,
        a: PredRef,
        b: PredRef,
        by: PredRef,
    },
    /// Rare operations of up to four operands, lane by lane.
    Odd(Box<Odd>),
    Pack(Box<(Reg, Vec<Reg>)>),
    /// Parts that go nowhere are `None`.
    Unpack(Box<(Vec<Option<Reg>>, Reg)>),
    Carry(Box<Carry>),
    Access(Box<Access>),
    Atomic(Box<Atomic>),
    /// Local memory to local memory, for the operands of calls.
    CopyLocal {
        to: u32,
        from: u32,
        bytes: u32,
    },
    /// Shared memory copies that are asynchronous on a GPU: done at once here.
    CopyShared(Box<CopyShared>),
    /// Whether a generic address is in a space.
    IsSpace {
        d: u32,
        a: u32,
        space: Space,
    },
    /// `cvta`: adds or takes off where a space begins in the generic space.
    Window {
        a: Reg,
        space: Space,
        to_space: bool,
        out: u32,
    },
    Shuffle(Box<Shuffle>),
    Vote(Box<Vote>),
    Match(Box<MatchLanes>),
    Redux {
        d: u32,
        a: u32,
        members: u32,
        op: ReduceOp,
    },
    Elect {
        d: Option<u32>,
        p: u32,
        members: u32,
    },
    ActiveMask {
        d: u32,
    },
    Mma(Box<Mma>),
    LoadMatrix(Box<LoadMatrix>),
    Clock {
        d: Reg,
        clock: Clock,
    },
    Branch(u32),
    BranchTable {
        index: u32,
        targets: Vec<u32>,
    },
    /// The position to come back to goes into a register.
    Call {
        target: u32,
        back: u32,
    },
    /// To the position in that register.
    Return(u32),
    Exit,
    Barrier(Box<Barrier>),
    WarpBarrier {
        members: u32,
    },
    Trap,
    Sleep(Reg),
    Nop,
}

impl Code {
    /// Whether it touches memory that other blocks can see too.
    pub fn looks_out(&self) -> bool {
        match self {
            Self::Access(it) => matches!(it.space, Space::Generic | Space::Global),
            Self::Atomic(it) => it.space != Space::Shared,
            Self::CopyShared(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Compare {
    pub run: Run,
    pub slots: Slots,
    /// The results: as compared, and the opposite.
    pub p: Option<u32>,
    pub q: Option<u32>,
    pub with: Option<(BoolOp, PredRef)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolOp {
    And,
    Or,
    Xor,
    Not,
    Move,
}

/// An operation that is done lane by lane on the bits of its operands.
#[derive(Debug, Clone)]
pub struct Odd {
    pub op: OddOp,
    pub d: Reg,
    pub s: Vec<Reg>,
}

#[derive(Debug, Clone)]
pub enum OddOp {
    BitInsert {
        bits: u32,
    },
    Logic3 {
        table: u32,
    },
    Convert(Conversion),
    ConvertPair(Conversion),
    TestFloat {
        what: FloatTest,
        bits: u32,
    },
    /// `set`: compares, and gives all ones or 1.0 for yes.
    Set {
        run: Run,
        slots: Slots,
        yes: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatTest {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

/// Additions with the carry flag.
#[derive(Debug, Clone)]
pub struct Carry {
    pub op: CarryOp,
    pub d: Reg,
    pub a: Reg,
    pub b: Reg,
    /// Third operand of `mad`.
    pub c: Option<Reg>,
    pub reads: bool,
    pub writes: bool,
    /// Where the flag is.
    pub flag: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarryOp {
    Add,
    Subtract,
    MadLow,
    MadHigh,
    MadHighSigned,
}

/// A state space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Generic,
    /// And constant memory, which is the same here.
    Global,
    Shared,
    Local,
    /// Parameters of the kernel.
    Param,
}

/// An address.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    pub base: Option<Reg>,
    pub offset: i64,
}

/// `ld` and `st`.
#[derive(Debug, Clone)]
pub struct Access {
    pub space: Space,
    pub is_store: bool,
    /// Bytes of an element.
    pub bytes: u32,
    pub signed: bool,
    pub address: Address,
    /// The elements; `None` is a loaded one that nobody wants.
    pub regs: Vec<Option<Reg>>,
    /// It goes past the first cache.
    pub uncached: bool,
}

/// `atom` and `red`.
#[derive(Debug, Clone)]
pub struct Atomic {
    pub space: Space,
    pub op: AtomicOp,
    pub ty: Ty,
    pub d: Option<u32>,
    pub address: Address,
    pub a: u32,
    /// Second operand of `cas`.
    pub b: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicOp {
    Add,
    And,
    Or,
    Xor,
    Min,
    Max,
    Exchange,
    CompareAndSwap,
    Increment,
    Decrement,
}

#[derive(Debug, Clone)]
pub struct CopyShared {
    pub to: Address,
    pub from: Address,
    pub bytes: u32,
    /// Bytes that are really read, the rest are zeros.
    pub source_bytes: Option<Reg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShuffleKind {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug, Clone)]
pub struct Shuffle {
    pub kind: ShuffleKind,
    pub d: u32,
    pub p: Option<u32>,
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub members: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteKind {
    All,
    Any,
    Uniform,
    Ballot,
}

#[derive(Debug, Clone)]
pub struct Vote {
    pub kind: VoteKind,
    pub d: u32,
    pub a: PredRef,
    pub members: u32,
}

#[derive(Debug, Clone)]
pub struct MatchLanes {
    pub all: bool,
    pub d: u32,
    pub p: Option<u32>,
    pub a: Reg,
    pub members: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOp {
    Add,
    MinUnsigned,
    MaxUnsigned,
    MinSigned,
    MaxSigned,
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone)]
pub struct Mma {
    pub shape: Shape,
    pub d: Vec<u32>,
    pub a: Vec<u32>,
    pub b: Vec<u32>,
    pub c: Vec<u32>,
}

#[derive(Debug, Clone)]
pub struct LoadMatrix {
    pub d: Vec<u32>,
    pub address: Address,
    pub transposed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Cycles,
    CyclesHigh,
    Nanoseconds,
    NanosecondsHigh,
}

/// `bar` and `barrier`.
#[derive(Debug, Clone)]
pub struct Barrier {
    /// A register with the number of the barrier.
    pub id: u32,
    /// A register with the number of threads.
    pub count: Option<u32>,
    /// `bar.arrive`: goes on at once.
    pub arrives_only: bool,
    /// `bar.red`.
    pub reduce: Option<BarrierReduce>,
}

#[derive(Debug, Clone, Copy)]
pub struct BarrierReduce {
    pub op: BarrierOp,
    /// A predicate, or the register of `popc`.
    pub d: u32,
    pub a: PredRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarrierOp {
    Count,
    And,
    Or,
}

/// What a thread knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    ThreadX,
    ThreadY,
    ThreadZ,
    ThreadsX,
    ThreadsY,
    ThreadsZ,
    BlockX,
    BlockY,
    BlockZ,
    BlocksX,
    BlocksY,
    BlocksZ,
    Lane,
    Warp,
    Warps,
    Multiprocessor,
    Multiprocessors,
    LaneMaskEq,
    LaneMaskLe,
    LaneMaskLt,
    LaneMaskGe,
    LaneMaskGt,
    DynamicShared,
    TotalShared,
    WarpSize,
    /// Number of the launch.
    Grid,
    Zero,
    One,
}

impl Special {
    /// The register of that name, all of which have 32 bits here.
    pub fn parse(name: &str) -> Option<Self> {
        use Special::*;
        Some(match name {
            "%tid.x" => ThreadX,
            "%tid.y" => ThreadY,
            "%tid.z" => ThreadZ,
            "%ntid.x" => ThreadsX,
            "%ntid.y" => ThreadsY,
            "%ntid.z" => ThreadsZ,
            "%ctaid.x" => BlockX,
            "%ctaid.y" => BlockY,
            "%ctaid.z" => BlockZ,
            "%nctaid.x" => BlocksX,
            "%nctaid.y" => BlocksY,
            "%nctaid.z" => BlocksZ,
            "%laneid" => Lane,
            "%warpid" => Warp,
            "%nwarpid" => Warps,
            "%smid" => Multiprocessor,
            "%nsmid" => Multiprocessors,
            "%lanemask_eq" => LaneMaskEq,
            "%lanemask_le" => LaneMaskLe,
            "%lanemask_lt" => LaneMaskLt,
            "%lanemask_ge" => LaneMaskGe,
            "%lanemask_gt" => LaneMaskGt,
            "%dynamic_smem_size" => DynamicShared,
            "%total_smem_size" => TotalShared,
            "WARP_SZ" => WarpSize,
            "%gridid" => Grid,
            // Clusters of one block.
            "%cluster_ctarank" | "%cluster_ctaid.x" => Zero,
            "%cluster_nctarank" | "%cluster_nctaid.x" => One,
            _ => return None,
        })
    }
}
