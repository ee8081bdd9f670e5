//! A warp: the loop that runs instructions.
//!
//! Lanes at the lowest position go first, so that lanes that took different ways meet again where the ways do. Lanes that
//! come to a collective instruction wait for the others that it names. A group that runs for long while others stand
//! behind it lets them go, as GPUs since Volta do.

use super::block::{Block, Waiting};
use super::lanes::{ALL, LANES, read, read_mask, write, write_mask};
use super::launch::{Stop, Trap};
use super::program::{BoolOp, Clock, Code, Ins, PredRef, Program};
use super::{collective, mma, odd};

/// Instructions that a group runs before another group of the warp has its turn.
const PATIENCE: u32 = 4096;
/// Times that a warp sleeps before the processor is given to whoever wants it, the host for one, which it may wait for. On a
/// busy machine each time costs a time slice, so a wait for the timer must not do it at every look.
const SLEEPS: u32 = 4096;

/// A warp.
#[derive(Clone)]
pub struct Warp {
    file: Vec<u64>,
    pub local: Vec<u64>,
    pc: [u32; LANES],
    /// Lanes that have not ended.
    pub alive: u32,
    /// Lanes that wait at a barrier.
    pub waiting: Vec<Waiting>,
    /// Lanes that wait at a collective instruction.
    gathered: u32,
    /// Whom each of them waits for.
    wanted: [u32; LANES],
    /// Lanes that wait for the rest of the launch to have come as far: their next instruction looks outside of the block.
    pub looks_out: u32,
    /// Number in its block.
    pub index: u32,
    pub cycles: f64,
    pub instructions: u64,
    sleeps: u32,
}

/// What becomes of the group after an instruction.
enum Next {
    /// To the following one.
    Follow,
    /// All to another position.
    Jump(u32),
    /// The lanes go different ways; their positions are set.
    Split,
}

impl Warp {
    pub fn new(program: &Program, index: u32, lanes: u32) -> Self {
        Self {
            file: program.file.clone(),
            local: vec![0; program.local_bytes as usize * LANES / 8],
            pc: [0; LANES],
            alive: if lanes == LANES as u32 { ALL } else { (1 << lanes) - 1 },
            waiting: Vec::new(),
            gathered: 0,
            wanted: [0; LANES],
            looks_out: 0,
            index,
            cycles: 0.0,
            instructions: 0,
            sleeps: 0,
        }
    }

    /// The register file.
    pub fn file(&mut self) -> *mut u8 {
        self.file.as_mut_ptr().cast()
    }

    pub fn values<T: Copy>(&self, slot: u32) -> [T; LANES] {
        // SAFETY: places come from the decoder, which made the file large enough for the widest type at each.
        unsafe { read(self.file.as_ptr().cast(), slot) }
    }

    pub fn set(&mut self, slot: u32, values: &[u32; LANES]) {
        self.set_lanes(slot, values, ALL);
    }

    pub fn set_lanes<T: Copy>(&mut self, slot: u32, values: &[T; LANES], mask: u32) {
        // SAFETY: as for values.
        unsafe { write(self.file(), slot, values, mask) }
    }

    pub fn set_mask(&mut self, slot: u32, value: u32, mask: u32) {
        // SAFETY: as for values.
        unsafe { write_mask(self.file(), slot, value, mask) }
    }

    pub fn condition(&self, predicate: PredRef) -> u32 {
        // SAFETY: as for values.
        let value = unsafe { read_mask(self.file.as_ptr().cast(), predicate.slot) };
        if predicate.negated { !value } else { value }
    }

    fn at_barrier(&self) -> u32 {
        self.waiting.iter().fold(0, |sum, it| sum | it.lanes)
    }

    /// Whether a lane can go on.
    pub fn can_run(&self) -> bool {
        let held = self.at_barrier() | self.looks_out;
        self.alive & !held & !self.gathered != 0 || self.gathered & !held != 0 && self.complete_group().is_some()
    }

    fn set_pc(&mut self, mask: u32, pc: u32) {
        for lane in 0..LANES {
            if mask >> lane & 1 == 1 {
                self.pc[lane] = pc;
            }
        }
    }

    /// Position and lanes of the group with the lowest position.
    fn lowest(&self, of: u32) -> (u32, u32) {
        let mut pc = u32::MAX;
        for lane in 0..LANES {
            if of >> lane & 1 == 1 {
                pc = pc.min(self.pc[lane]);
            }
        }
        (pc, self.lanes_at(pc) & of)
    }

    fn lanes_at(&self, pc: u32) -> u32 {
        (0..LANES).fold(0, |mask, lane| mask | u32::from(self.pc[lane] == pc) << lane)
    }

    /// Lanes that have gathered at a collective instruction and whose partners are all there or gone.
    fn complete_group(&self) -> Option<u32> {
        let mut left = self.gathered;
        while left != 0 {
            let (_, group) = self.lowest(left);
            left &= !group;
            // Whoever else is to come is alive and elsewhere.
            if self.wanted[group.trailing_zeros() as usize] & self.alive & !group == 0 {
                return Some(group);
            }
        }
        None
    }

    /// Runs until no lane can go on, or the turn is over.
    pub fn turn(&mut self, block: &mut Block<'_>, mut budget: u32) -> Result<(), Stop> {
        let mut last = 0;
        while budget > 0 {
            if self.gathered != 0
                && let Some(group) = self.complete_group()
            {
                self.gathered &= !group;
            }
            let ready = self.alive & !self.at_barrier() & !self.gathered & !self.looks_out;
            if ready == 0 {
                return Ok(());
            }
            // The group that has just used up its patience stands back.
            let candidates = if ready & !last != 0 { ready & !last } else { ready };
            let (pc, group) = self.lowest(candidates);
            let (ran, impatient) = self.straight(block, pc, group, ready & !group, budget)?;
            last = if impatient { group } else { 0 };
            budget = budget.saturating_sub(ran.max(1));
        }
        Ok(())
    }

    /// Runs a group until it parts, meets others or has had its turn. Gives the number of instructions, and whether it was
    /// stopped for having run too long.
    fn straight(
        &mut self,
        block: &mut Block<'_>,
        mut pc: u32,
        group: u32,
        others: u32,
        budget: u32,
    ) -> Result<(u32, bool), Stop> {
        let program = block.launch.program;
        let meeting = if others == 0 { u32::MAX } else { self.lowest(others).0 };
        // A group that goes out of turn runs for a while although others are behind it.
        let out_of_turn = meeting < pc;
        let limit = if others == 0 { budget } else { budget.min(PATIENCE) };
        let mut ran = 0;
        loop {
            let Some(ins) = program.code.get(pc as usize) else {
                self.alive &= !group;
                return Ok((ran, false));
            };
            if ins.looks_out && block.is_common {
                self.looks_out |= group;
                self.set_pc(group, pc);
                return Ok((ran, false));
            }
            let mask = match ins.guard {
                None => group,
                Some(guard) => group & self.condition(guard),
            };
            ran += 1;
            self.instructions += 1;
            self.cycles += block.cost(ins.class);
            if let Code::Lanes(run, slots) = &ins.code {
                if mask != 0 {
                    // SAFETY: the decoder chose operation and places together.
                    unsafe { run(self.file(), slots, mask) };
                    if block.is_bad && ins.class.is_arithmetic() {
                        self.spoil(block, slots.d, mask);
                    }
                }
                pc += 1;
            } else {
                let next = if mask == 0 { Next::Follow } else { self.step(block, ins, pc, group, mask)? };
                match next {
                    Next::Follow => pc += 1,
                    Next::Jump(target) => pc = target,
                    Next::Split => return Ok((ran, false)),
                }
            }
            if pc == meeting || pc > meeting && !out_of_turn {
                self.set_pc(group, pc);
                return Ok((ran, false));
            }
            if ran >= limit {
                self.set_pc(group, pc);
                return Ok((ran, others != 0));
            }
        }
    }

    /// A multiprocessor that computes wrongly turns a bit over in the result.
    fn spoil(&mut self, block: &Block<'_>, slot: u32, mask: u32) {
        use std::sync::atomic::Ordering;
        let Some((_, one_in, count)) = block.launch.bad_multiprocessor else { return };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count % one_in.max(1) == 0 {
            // Another lane each time.
            let first = (count.wrapping_mul(7) % 32) as u32;
            let lane = ((mask.rotate_right(first).trailing_zeros() + first) % 32) as usize;
            let mut words: [u32; LANES] = self.values(slot);
            // In the fraction of a single, and another bit each time, so that two errors do not make up for each other.
            words[lane] ^= 1 << (8 + count.wrapping_mul(5) % 12);
            self.set_lanes(slot, &words, ALL);
        }
    }

    fn step(&mut self, block: &mut Block<'_>, ins: &Ins, pc: u32, group: u32, mask: u32) -> Result<Next, Stop> {
        match &ins.code {
            Code::Lanes(..) => {}
            Code::Branch(target) => {
                if mask == group {
                    return Ok(Next::Jump(*target));
                }
                self.set_pc(group & !mask, pc + 1);
                self.set_pc(mask, *target);
                return Ok(Next::Split);
            }
            Code::BranchTable { index, targets } => {
                let index: [u32; LANES] = self.values(*index);
                self.set_pc(group & !mask, pc + 1);
                for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
                    let target =
                        targets.get(index[lane] as usize).ok_or_else(|| fault(block, pc, "beyond the table"))?;
                    self.pc[lane] = *target;
                }
                return Ok(Next::Split);
            }
            Code::Call { target, back } => {
                self.set_lanes(*back, &[pc + 1; LANES], mask);
                if mask == group {
                    return Ok(Next::Jump(*target));
                }
                self.set_pc(group & !mask, pc + 1);
                self.set_pc(mask, *target);
                return Ok(Next::Split);
            }
            Code::Return(back) => {
                let back: [u32; LANES] = self.values(*back);
                self.set_pc(group & !mask, pc + 1);
                for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
                    self.pc[lane] = back[lane];
                }
                return Ok(Next::Split);
            }
            Code::Exit => {
                self.alive &= !mask;
                self.set_pc(group & !mask, pc + 1);
                return Ok(Next::Split);
            }
            Code::Trap => return Err(fault(block, pc, "trap")),
            Code::Nop => {}
            Code::Sleep(duration) => {
                let nanoseconds = self.bits(*duration)[mask.trailing_zeros() as usize];
                self.cycles += nanoseconds as f64 * block.launch.chip.clock_mhz / 1e3;
                self.sleeps += 1;
                if self.sleeps.is_multiple_of(SLEEPS) {
                    std::thread::yield_now();
                }
                // Whoever is waited for has its turn.
                self.set_pc(group, pc + 1);
                return Ok(Next::Split);
            }
            Code::Barrier(barrier) => {
                let lane = mask.trailing_zeros() as usize;
                let id = self.values::<u32>(barrier.id)[lane];
                if id > 15 {
                    return Err(fault(block, pc, "there are 16 barriers"));
                }
                let count = barrier.count.map(|slot| self.values::<u32>(slot)[lane]);
                if barrier.arrives_only {
                    let whole = mask == self.alive;
                    block.arrived[id as usize] += if whole { LANES as u32 } else { mask.count_ones() };
                    return Ok(Next::Follow);
                }
                let votes = barrier.reduce.map_or(0, |reduce| self.condition(reduce.a));
                self.waiting.push(Waiting { lanes: mask, id, count, reduce: barrier.reduce, votes });
                self.set_pc(group, pc + 1);
                return Ok(Next::Split);
            }
            Code::Clock { d, clock } => {
                if matches!(clock, Clock::Nanoseconds | Clock::NanosecondsHigh) {
                    // The timer moves in steps of about that; whoever polls it is not to do so a million times.
                    self.cycles += block.launch.chip.clock_mhz;
                }
                let since = (self.cycles * 1e3 / block.launch.chip.clock_mhz) as u64;
                let nanoseconds = block.launch.start_nanoseconds + since;
                let value = match clock {
                    Clock::Cycles => self.cycles as u64,
                    Clock::CyclesHigh => self.cycles as u64 >> 32,
                    Clock::Nanoseconds => nanoseconds,
                    Clock::NanosecondsHigh => nanoseconds >> 32,
                };
                if d.bytes == 8 {
                    self.set_lanes(d.slot, &[value; LANES], mask);
                } else {
                    self.set_lanes(d.slot, &[value as u32; LANES], mask);
                }
            }
            Code::Compare(compare) => {
                // SAFETY: the decoder chose operation and places together.
                let result = unsafe {
                    let old = read_mask(self.file(), compare.slots.d);
                    (compare.run)(self.file(), &compare.slots, ALL);
                    let result = read_mask(self.file(), compare.slots.d);
                    write_mask(self.file(), compare.slots.d, old, ALL);
                    result
                };
                let with = compare.with.map(|(op, predicate)| (op, self.condition(predicate)));
                let combine = |value: u32| match with {
                    None => value,
                    Some((op, other)) => logic(op, value, other),
                };
                let (yes, no) = (combine(result), combine(!result));
                if let Some(p) = compare.p {
                    self.set_mask(p, yes, mask);
                }
                if let Some(q) = compare.q {
                    self.set_mask(q, no, mask);
                }
            }
            Code::Pred { op, d, a, b } => {
                let value = logic(*op, self.condition(*a), self.condition(*b));
                self.set_mask(*d, value, mask);
            }
            Code::PredSelect { d, a, b, by } => {
                let by = self.condition(*by);
                let value = self.condition(*a) & by | self.condition(*b) & !by;
                self.set_mask(*d, value, mask);
            }
            Code::ActiveMask { d } => self.set_lanes(*d, &[mask; LANES], mask),
            Code::Odd(odd) => {
                odd::run(self, odd, mask);
                if block.is_bad && ins.class.is_arithmetic() {
                    self.spoil(block, odd.d.slot, mask);
                }
            }
            Code::Pack(it) => odd::pack(self, it.0, &it.1, mask),
            Code::Unpack(it) => odd::unpack(self, &it.0, it.1, mask),
            Code::Carry(carry) => odd::carry(self, carry, mask),
            Code::Access(access) => self.access(block, access, mask).map_err(|stop| place(stop, block, pc))?,
            Code::Atomic(atomic) => self.atomic(block, atomic, mask).map_err(|stop| place(stop, block, pc))?,
            Code::CopyShared(copy) => self.copy_shared(block, copy, mask).map_err(|stop| place(stop, block, pc))?,
            Code::CopyLocal { to, from, bytes } => self.copy_local(block, *to, *from, *bytes, mask),
            Code::IsSpace { d, a, space } => self.is_space(*d, *a, *space, mask),
            Code::Window { a, space, to_space, out } => self.window(*a, *space, *to_space, *out, mask),
            Code::Shuffle(_)
            | Code::Vote(_)
            | Code::Match(_)
            | Code::Redux { .. }
            | Code::Elect { .. }
            | Code::WarpBarrier { .. }
            | Code::Mma(_)
            | Code::LoadMatrix(_) => return self.together(block, ins, pc, group, mask),
        }
        Ok(Next::Follow)
    }

    /// What lanes do together: when all are here, else they wait.
    fn together(&mut self, block: &mut Block<'_>, ins: &Ins, pc: u32, group: u32, mask: u32) -> Result<Next, Stop> {
        let members = match &ins.code {
            Code::Shuffle(it) => self.values::<u32>(it.members)[mask.trailing_zeros() as usize],
            Code::Vote(it) => self.values::<u32>(it.members)[mask.trailing_zeros() as usize],
            Code::Match(it) => self.values::<u32>(it.members)[mask.trailing_zeros() as usize],
            Code::Redux { members, .. } | Code::Elect { members, .. } | Code::WarpBarrier { members } => {
                self.values::<u32>(*members)[mask.trailing_zeros() as usize]
            }
            _ => ALL,
        };
        if members & self.alive & !mask != 0 {
            self.set_pc(group & !mask, pc + 1);
            self.set_pc(mask, pc);
            self.gathered |= mask;
            for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
                self.wanted[lane] = members;
            }
            return Ok(Next::Split);
        }
        match &ins.code {
            Code::Mma(it) => {
                if mask != ALL {
                    return Err(fault(block, pc, "mma without the whole warp"));
                }
                // SAFETY: the decoder checked the registers against the shape.
                unsafe { mma::run(self.file(), it) };
                block.outcome.matrices += 1;
                self.cycles += block.tensor_cost(&it.shape);
                if block.is_bad
                    && let Some(&slot) = it.d.first()
                {
                    self.spoil(block, slot, mask);
                }
            }
            Code::LoadMatrix(it) => self.load_matrix(block, it).map_err(|stop| place(stop, block, pc))?,
            other => collective::run(self, other, mask, members),
        }
        Ok(Next::Follow)
    }
}

fn logic(op: BoolOp, a: u32, b: u32) -> u32 {
    match op {
        BoolOp::And => a & b,
        BoolOp::Or => a | b,
        BoolOp::Xor => a ^ b,
        BoolOp::Not => !a,
        BoolOp::Move => a,
    }
}

/// A trap of an instruction.
pub fn fault(block: &Block<'_>, pc: u32, what: &str) -> Stop {
    place(Stop { trap: Trap::Trapped, what: what.into() }, block, pc)
}

/// Says where.
fn place(stop: Stop, block: &Block<'_>, pc: u32) -> Stop {
    let program = block.launch.program;
    let text = program.texts.get(pc as usize).map_or("", String::as_str);
    Stop { what: format!("{}: {} in {text}", program.name, stop.what), ..stop }
}
