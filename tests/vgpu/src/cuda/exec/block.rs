//! A block: its warps take turns, and meet at barriers.
//!
//! What all blocks of a launch do alike is done once: a block runs until each of its warps would look outside (at the number
//! of its block or multiprocessor, or at memory of the GPU), and the others go on from there. A block on a multiprocessor
//! that computes wrongly starts from the beginning.

use std::sync::atomic::Ordering;

use super::lanes::LANES;
use super::launch::{Launch, Outcome, Stop, Trap};
use super::memory::Located;
use super::mma::Shape;
use super::program::{BarrierOp, BarrierReduce, Class, Special};
use super::warp::Warp;
use crate::cuda::ptx::Kind;

/// Instructions that a warp may run before the next one has its turn.
const TURN: u32 = 1 << 16;

/// What the warps of a block share.
pub struct Block<'a> {
    pub launch: &'a Launch<'a>,
    pub shared: Vec<u64>,
    pub shared_bytes: u64,
    pub multiprocessor: u32,
    /// Whether this multiprocessor computes wrongly.
    pub is_bad: bool,
    /// Cycles of an instruction, by class.
    pub costs: [f64; 8],
    /// Warps that compete for the multiprocessor.
    pub warps: f64,
    /// Global memory that was used last.
    pub located: Located,
    /// The launch is one warp for a multiprocessor at most, and its loads take as long as the caches say.
    pub measures_latency: bool,
    pub outcome: &'a mut Outcome,
    /// Threads that only arrived, by barrier.
    pub arrived: [u32; 16],
    /// What runs is what all blocks do alike.
    pub is_common: bool,
}

/// Where all blocks of a launch are when their ways part.
pub struct Start {
    /// Those with threads that have not ended.
    warps: Vec<Warp>,
    shared: Vec<u64>,
    arrived: [u32; 16],
    /// What the warps did that have ended.
    cycles: f64,
    instructions: u64,
    matrices: u64,
}

/// Runs what all blocks of a launch do alike.
pub fn common(launch: &Launch<'_>) -> Result<Start, Stop> {
    let mut outcome = Outcome::default();
    let mut block = Block::new(launch, 0, &mut outcome);
    (block.is_common, block.is_bad) = (true, false);
    let mut warps = begin(&block, 0);
    // Warps that wait for each other for ever do so in the blocks as well, where it is said.
    _ = turns(&mut block, &mut warps)?;
    let (shared, arrived) = (std::mem::take(&mut block.shared), block.arrived);
    let ended = || warps.iter().filter(|warp| warp.alive == 0);
    let cycles = ended().map(|warp| warp.cycles).fold(0.0, f64::max);
    let instructions = ended().map(|warp| warp.instructions).sum();
    warps.retain(|warp| warp.alive != 0);
    warps.iter_mut().for_each(|warp| warp.looks_out = 0);
    Ok(Start { warps, shared, arrived, cycles, instructions, matrices: outcome.matrices })
}

/// Runs block number `index` of a launch.
pub fn run(launch: &Launch<'_>, start: &Start, index: u64, outcome: &mut Outcome) -> Result<(), Stop> {
    let mut block = Block::new(launch, index, outcome);
    let (mut cycles, mut instructions) = (0.0, 0);
    let mut warps = if block.is_bad {
        begin(&block, index)
    } else {
        block.shared.clone_from(&start.shared);
        block.arrived = start.arrived;
        block.outcome.matrices += start.matrices;
        (cycles, instructions) = (start.cycles, start.instructions);
        let mut warps = start.warps.clone();
        warps.iter_mut().for_each(|warp| specials(warp, &block, index));
        warps
    };
    if !turns(&mut block, &mut warps)? {
        let what = format!("{}: threads wait for threads that never come", launch.program.name);
        return Err(Stop { trap: Trap::Deadlock, what });
    }
    let cycles = warps.iter().map(|warp| warp.cycles).fold(cycles, f64::max);
    block.outcome.cycles[block.multiprocessor as usize] += cycles / launch.resident();
    block.outcome.instructions += instructions + warps.iter().map(|warp| warp.instructions).sum::<u64>();
    Ok(())
}

fn begin(block: &Block<'_>, index: u64) -> Vec<Warp> {
    let count = block.launch.threads() as usize;
    let made = (0..count.div_ceil(LANES)).map(|warp| {
        let lanes = (count - warp * LANES).min(LANES) as u32;
        let mut made = Warp::new(block.launch.program, warp as u32, lanes);
        specials(&mut made, block, index);
        made
    });
    made.collect()
}

/// Lets the warps run as far as they can. Gives whether all have ended.
fn turns(block: &mut Block<'_>, warps: &mut [Warp]) -> Result<bool, Stop> {
    loop {
        let mut moved = false;
        for warp in warps.iter_mut() {
            if warp.can_run() {
                warp.turn(block, TURN)?;
                moved = true;
            }
        }
        if warps.iter().all(|warp| warp.alive == 0) {
            return Ok(true);
        }
        if block.launch.stop.load(Ordering::Relaxed) {
            return Err(Stop { trap: Trap::Stopped, what: String::new() });
        }
        moved |= release(warps, block);
        if !moved {
            return Ok(false);
        }
    }
}

/// Sets the registers that a thread starts with.
fn specials(warp: &mut Warp, block: &Block<'_>, index: u64) {
    let launch = block.launch;
    let [x, y, _] = launch.grid.map(u64::from);
    let place = [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32];
    let count = launch.threads() as usize;
    let [width, height, _] = launch.block;
    for &(special, slot) in &launch.program.specials {
        let values: [u32; LANES] = std::array::from_fn(|lane| {
            let thread = warp.index * LANES as u32 + lane as u32;
            let bit = 1u32 << lane;
            match special {
                Special::ThreadX => thread % width,
                Special::ThreadY => thread / width % height,
                Special::ThreadZ => thread / width / height,
                Special::ThreadsX => launch.block[0],
                Special::ThreadsY => launch.block[1],
                Special::ThreadsZ => launch.block[2],
                Special::BlockX => place[0],
                Special::BlockY => place[1],
                Special::BlockZ => place[2],
                Special::BlocksX => launch.grid[0],
                Special::BlocksY => launch.grid[1],
                Special::BlocksZ => launch.grid[2],
                Special::Lane => lane as u32,
                Special::Warp => warp.index,
                Special::Warps => count.div_ceil(LANES) as u32,
                Special::Multiprocessor => block.multiprocessor,
                Special::Multiprocessors => launch.chip.multiprocessors,
                Special::LaneMaskEq => bit,
                Special::LaneMaskLt => bit - 1,
                Special::LaneMaskLe => bit | (bit - 1),
                Special::LaneMaskGt => !(bit | (bit - 1)),
                Special::LaneMaskGe => !(bit - 1),
                Special::DynamicShared => launch.dynamic_shared,
                Special::TotalShared => block.shared_bytes as u32,
                Special::WarpSize => LANES as u32,
                Special::Grid => launch.id,
                Special::Zero => 0,
                Special::One => 1,
            }
        });
        warp.set(slot, &values);
    }
}

/// Threads that wait at a barrier.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub lanes: u32,
    pub id: u32,
    /// Threads that the barrier is for; all of the block without it.
    pub count: Option<u32>,
    pub reduce: Option<BarrierReduce>,
    /// What they bring to the reduction.
    pub votes: u32,
}

/// Lets the threads go on whose barrier is complete.
fn release(warps: &mut [Warp], block: &mut Block<'_>) -> bool {
    let mut moved = false;
    for id in 0..16u32 {
        let Some(count) = warps.iter().flat_map(|it| &it.waiting).find(|it| it.id == id).map(|it| it.count) else {
            continue;
        };
        let complete = match count {
            Some(count) => {
                let threads: u32 = warps
                    .iter()
                    .map(|warp| {
                        let lanes = warp.waiting.iter().filter(|it| it.id == id).fold(0, |sum, it| sum | it.lanes);
                        // A warp whose other lanes have ended counts in full.
                        if lanes != 0 && lanes == warp.alive { LANES as u32 } else { lanes.count_ones() }
                    })
                    .sum();
                threads + block.arrived[id as usize] >= count
            }
            None => warps.iter().all(|warp| {
                warp.waiting.iter().filter(|it| it.id == id).fold(0, |sum, it| sum | it.lanes) == warp.alive
            }),
        };
        if !complete {
            continue;
        }
        moved = true;
        block.arrived[id as usize] = 0;
        let all = || warps.iter().flat_map(|it| &it.waiting).filter(|it| it.id == id);
        let yes: u32 = all().map(|it| (it.votes & it.lanes).count_ones()).sum();
        let threads: u32 = all().map(|it| it.lanes.count_ones()).sum();
        let latest =
            warps.iter().filter(|it| it.waiting.iter().any(|it| it.id == id)).map(|it| it.cycles).fold(0.0, f64::max);
        for warp in warps.iter_mut() {
            let (released, waiting) =
                std::mem::take(&mut warp.waiting).into_iter().partition(|it: &Waiting| it.id == id);
            warp.waiting = waiting;
            let released: Vec<Waiting> = released;
            for group in released {
                warp.cycles = warp.cycles.max(latest);
                if let Some(reduce) = group.reduce {
                    match reduce.op {
                        BarrierOp::Count => warp.set_lanes(reduce.d, &[yes; LANES], group.lanes),
                        BarrierOp::And => warp.set_mask(reduce.d, if yes == threads { !0 } else { 0 }, group.lanes),
                        BarrierOp::Or => warp.set_mask(reduce.d, if yes > 0 { !0 } else { 0 }, group.lanes),
                    }
                }
            }
        }
    }
    moved
}

impl<'a> Block<'a> {
    fn new(launch: &'a Launch<'a>, index: u64, outcome: &'a mut Outcome) -> Self {
        let chip = launch.chip;
        let count = launch.threads() as usize;
        let multiprocessor = (index % u64::from(chip.multiprocessors.max(1))) as u32;
        let shared_bytes = u64::from(launch.program.shared_bytes.next_multiple_of(16) + launch.dynamic_shared);
        let warps = count.div_ceil(LANES) as f64 * launch.resident();
        Self {
            launch,
            shared: vec![0; (shared_bytes as usize).div_ceil(8)],
            shared_bytes,
            multiprocessor,
            is_bad: launch.bad_multiprocessor.is_some_and(|(bad, ..)| bad.is_none_or(|bad| bad == multiprocessor)),
            // With few warps an instruction takes a cycle, with many they share the units.
            costs: chip.lanes.map(|lanes| (warps * LANES as f64 / lanes).max(1.0)),
            warps,
            located: Located::default(),
            measures_latency: launch.blocks() <= u64::from(chip.multiprocessors) && count <= LANES,
            outcome,
            arrived: [0; 16],
            is_common: false,
        }
    }

    /// Cycles of an instruction of that class.
    #[inline(always)]
    pub fn cost(&self, class: Class) -> f64 {
        match class {
            Class::Integer => self.costs[0],
            Class::Single => self.costs[1],
            Class::Double => self.costs[2],
            Class::Half => self.costs[3],
            Class::Special => self.costs[4],
            Class::Memory => self.costs[5],
            Class::Control => self.costs[6],
            Class::Fused => self.costs[7],
            // Counted with its shape.
            Class::Tensor => 0.0,
            Class::Folded => 0.0,
        }
    }

    /// Cycles of a matrix instruction.
    pub fn tensor_cost(&self, shape: &Shape) -> f64 {
        let chip = self.launch.chip;
        let rate = match (shape.a.kind, shape.a.bits) {
            (Kind::Float, 64) => chip.tensor_double,
            (Kind::Float | Kind::BFloat, _) => chip.tensor,
            (Kind::Tf32, _) => chip.tensor / 2.0,
            (Kind::E4m3 | Kind::E5m2, _) => chip.tensor * 2.0,
            _ => chip.tensor_integer,
        };
        (shape.products() as f64 * self.warps / rate).max(1.0)
    }
}
