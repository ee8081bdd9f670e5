//! Instructions against plain Rust: small kernels as text, run by the interpreter, compared lane by lane.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::precedence, reason = "shifts bind as they do in the instruction's text")]

mod control;
mod conversions;
mod floats;
mod integers;
mod matrices;
mod memory;
mod shipped;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::exec::program::Program;
use super::exec::{Chip, Launch, MemoryFaults, Outcome, Range, Stop, View, run};
use super::ptx;

const HEADER: &str = ".version 8.8\n.target sm_90\n.address_size 64\n";

fn chip() -> Chip {
    Chip {
        multiprocessors: 4,
        threads: 2048,
        clock_mhz: 1000.0,
        lanes: [64.0, 128.0, 64.0, 128.0, 16.0, 32.0, 64.0, 128.0],
        tensor: 1024.0,
        tensor_double: 64.0,
        tensor_integer: 2048.0,
        l1_bytes: 128 << 10,
        l2_bytes: 4 << 20,
    }
}

/// Memory of a test, in 64-bit words.
struct Memory(Vec<u64>);

impl Memory {
    fn zeros(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)])
    }

    fn of(words: &[u64]) -> Self {
        Self(words.to_vec())
    }

    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    fn words(&self) -> &[u64] {
        // SAFETY: all of the vector; the kernel wrote through its address.
        unsafe { std::slice::from_raw_parts(std::hint::black_box(self.0.as_ptr()), self.0.len()) }
    }

    fn u32s(&self) -> Vec<u32> {
        self.words().iter().flat_map(|it| [*it as u32, (*it >> 32) as u32]).collect()
    }
}

/// A launch of the first kernel of a module, or of the one of that name.
struct Run<'a> {
    source: &'a str,
    kernel: Option<&'a str>,
    grid: [u32; 3],
    block: [u32; 3],
    params: Vec<u64>,
    memory: Vec<&'a Memory>,
    shared: u32,
    faults: MemoryFaults,
}

impl<'a> Run<'a> {
    fn new(source: &'a str) -> Self {
        let faults = MemoryFaults::default();
        Self {
            source,
            kernel: None,
            grid: [1; 3],
            block: [32, 1, 1],
            params: vec![],
            memory: vec![],
            shared: 0,
            faults,
        }
    }

    fn threads(mut self, blocks: u32, threads: u32) -> Self {
        self.grid = [blocks, 1, 1];
        self.block = [threads, 1, 1];
        self
    }

    /// Memory, whose address is the next parameter.
    fn memory(mut self, memory: &'a Memory) -> Self {
        self.params.push(memory.address());
        self.memory.push(memory);
        self
    }

    fn number(mut self, number: u64) -> Self {
        self.params.push(number);
        self
    }

    fn go(self) -> Result<Outcome, Stop> {
        let module = load(self.source).unwrap_or_else(|bad| panic!("{bad}\n{}", self.source));
        let named = |it: &&Arc<Program>| self.kernel.is_none_or(|name| it.name == name);
        let program = module.programs.iter().find(named).unwrap();
        let mut params = vec![0; program.param_bytes as usize];
        // A parameter of 16 bytes takes two numbers.
        let places =
            program.params.iter().flat_map(|&(at, size)| (at..at + size).step_by(8).map(move |it| (it, size.min(8))));
        for ((at, size), number) in places.zip(&self.params) {
            params[at as usize..(at + size) as usize].copy_from_slice(&number.to_le_bytes()[..size as usize]);
        }
        let mut ranges: Vec<Range> = self
            .memory
            .iter()
            .map(|it| Range { start: it.address(), end: it.address() + 8 * it.0.len() as u64, remote: false })
            .collect();
        for global in &module.globals {
            // SAFETY: allocated below with as many bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(global.initial.as_ptr(), global.address as *mut u8, global.initial.len())
            };
            ranges.push(Range {
                start: global.address,
                end: global.address + global.initial.len() as u64,
                remote: false,
            });
        }
        ranges.sort_by_key(|it| it.start);
        let view = View { ranges, faults: Arc::new(self.faults) };
        run(&Launch {
            program,
            grid: self.grid,
            block: self.block,
            params: &params,
            dynamic_shared: self.shared,
            view: &view,
            chip: &chip(),
            start_nanoseconds: 1_000_000_000,
            id: 1,
            bad_multiprocessor: None,
            caches: &Mutex::default(),
            stop: &AtomicBool::new(false),
        })
    }
}

fn load(source: &str) -> Result<ptx::Module, ptx::Bad> {
    ptx::load(source, |bytes| Some(vec![0u64; bytes.div_ceil(8) as usize].leak().as_ptr() as u64))
}

/// Runs an instruction on rows of up to three operands: `%a`, `%b` and `%c` with those bits, into `%d`. 0 bits are no operand.
fn lanes(body: &str, from: [u32; 3], to: u32, rows: &[[u64; 3]]) -> Vec<u64> {
    let mut source = format!("{HEADER}.visible .entry test(.param .u64 in, .param .u64 out, .param .u32 count)\n{{\n");
    for (name, bits) in ["a", "b", "c"].iter().zip(from) {
        source += &format!(".reg .b{} %{name};\n", if bits == 0 { 32 } else { bits.max(16) });
    }
    source += &format!(
        ".reg .b{} %d, %e;\n.reg .b64 %in, %out, %at;\n.reg .b32 %i, %n;\n.reg .pred %p, %q, %r;\n",
        to.max(16)
    );
    source += "mov.u32 %i, %ctaid.x; mov.u32 %n, %ntid.x; mad.lo.u32 %i, %i, %n, %tid.x;\n";
    source += "ld.param.u32 %n, [count]; setp.ge.u32 %p, %i, %n; @%p exit;\n";
    source += "ld.param.u64 %in, [in]; mad.wide.u32 %in, %i, 24, %in;\nld.param.u64 %out, [out]; mad.wide.u32 %out, %i, 8, %out;\n";
    for (index, (name, bits)) in ["a", "b", "c"].iter().zip(from).enumerate() {
        if bits != 0 {
            source += &format!("ld.global.b{bits} %{name}, [%in+{}];\n", 8 * index);
        }
    }
    source += &format!("{body}\nst.global.b{to} [%out], %d;\nret;\n}}\n");
    let input: Vec<u64> = rows.iter().flatten().copied().collect();
    let (input, output) = (Memory::of(&input), Memory::zeros(8 * rows.len()));
    // Full warps and a part of one.
    Run::new(&source)
        .threads(rows.len().div_ceil(64) as u32, 64)
        .memory(&input)
        .memory(&output)
        .number(rows.len() as u64)
        .go()
        .unwrap_or_else(|stop| panic!("{body}: {}", stop.what));
    output.words().to_vec()
}

/// Compares an instruction with a function.
#[track_caller]
fn check(body: &str, from: [u32; 3], to: u32, rows: &[[u64; 3]], expected: impl Fn([u64; 3]) -> u64) {
    let results = lanes(body, from, to, rows);
    for (row, result) in rows.iter().zip(results) {
        let cut = |bits: u32, value: u64| if bits == 64 || bits == 0 { value } else { value & ((1 << bits) - 1) };
        let operands = std::array::from_fn(|it| cut(from[it], row[it]));
        let wanted = cut(to, expected(operands));
        assert_eq!(result, wanted, "{body} of {operands:x?}: {result:#x} instead of {wanted:#x}");
    }
}

/// Numbers that look random.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}

/// Rows of the corner values with each other, and of random ones.
fn rows(corners: &[u64]) -> Vec<[u64; 3]> {
    let mut rows = Vec::new();
    for (index, &a) in corners.iter().enumerate() {
        for &b in corners {
            rows.push([a, b, corners[(index + rows.len()) % corners.len()]]);
        }
    }
    let mut numbers = random(corners.len() as u64);
    for _ in 0..100 {
        rows.push(std::array::from_fn(|_| numbers.next().unwrap()));
    }
    rows
}

fn integer_rows() -> Vec<[u64; 3]> {
    rows(&[
        0,
        1,
        2,
        31,
        32,
        33,
        63,
        64,
        0x7f,
        0x80,
        0xffff,
        0x8000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 63,
        !0,
        !0 >> 1,
    ])
}
