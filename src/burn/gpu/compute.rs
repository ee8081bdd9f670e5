//! Arithmetic: exact answers, identical work on every SM, and rates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::answers::{self, EXACT, FULL, Format, Rotation, Shape};
use super::card::{Card, MAX_BLOCKS, THREADS, TILE_BYTES, send};
use super::cuda::Failure;
use super::measure::{NumberType, Quantity};
use super::message::{ComputeError, KernelForm, Message, Step, number_types};

/// Iterations of the self-test.
const TEST_ITERATIONS: [u32; 2] = [1, 100];
/// Time of a launch that a rate is measured with, on the card, and the most of the host's time that it may take.
const LAUNCH_SECONDS: f64 = 0.05;
const MAX_LAUNCH: Duration = Duration::from_millis(400);
/// A launch takes some time whatever it does: to begin, and to make its operands. One that is not far longer than the
/// shortest one says nothing about a rate.
const TIMES_SHORTEST: f64 = 4.0;
/// Time for one number type.
const BUDGET: Duration = Duration::from_millis(2500);
const RUNS: usize = 12;

/// A kernel of one number type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) kernel: &'static str,
    /// Multiply-adds of a block in an iteration.
    per_iteration: u64,
    threads: u32,
    shared_bytes: u32,
    answer: Answer,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Rotation(Rotation),
    Tensor(Shape),
    /// Format, elements along K, sums.
    Slots(Format, u32, u32),
}

impl Work {
    fn answer(&self, seed: u32, iterations: u32) -> u64 {
        match self.answer {
            Answer::Rotation(rotation) => answers::rotation_fold(rotation, seed, iterations.min(4), FULL),
            Answer::Tensor(shape) => answers::tensor_fold(shape, seed, iterations),
            Answer::Slots(format, k, sums) => answers::slots_fold(format, k, sums, seed, iterations),
        }
    }

    /// Iterations and mode of a launch whose answer is known.
    fn known(&self, iterations: u32) -> (u32, u32) {
        match self.answer {
            // FP32 and FP64 are exact with all bits of the mantissa as well.
            Answer::Rotation(_) => (iterations.min(4), FULL),
            _ => (iterations, EXACT),
        }
    }
}

const HALF: Format = Format::Float { limit: 7, double: false };
const SMALL: Format = Format::Float { limit: 2, double: false };

/// Kernels of a number type, the fastest first.
fn works(number: NumberType, compute_capability: [u32; 2], form: impl Fn(&str) -> Option<KernelForm>) -> Vec<Work> {
    let level = compute_capability[0] * 10 + compute_capability[1];
    let mut works = Vec::new();
    let wgmma = |kernel, format, k: u32| Work {
        kernel,
        per_iteration: u64::from(8 * 128 * 256 * k),
        threads: THREADS,
        shared_bytes: TILE_BYTES,
        answer: Answer::Slots(format, k, 1),
    };
    let tcgen05 = |kernel, format, k: u32, sums: u32| Work {
        kernel,
        per_iteration: u64::from(8 * 128 * 256 * k * sums),
        threads: 128,
        shared_bytes: TILE_BYTES,
        answer: Answer::Slots(format, k, sums),
    };
    let tensor = |kernel, [m, n, k]: [u32; 3], format| Work {
        kernel,
        per_iteration: u64::from(8 * 64 * m * n * k),
        threads: THREADS,
        shared_bytes: 0,
        answer: Answer::Tensor(Shape { m, n, k, format }),
    };
    let rotation = |kernel, rotation| Work {
        kernel,
        per_iteration: 32_768,
        threads: THREADS,
        shared_bytes: 0,
        answer: Answer::Rotation(rotation),
    };
    match number {
        NumberType::Fp32 => works.push(rotation("compute_f32", Rotation::Single)),
        NumberType::Fp64 => works.push(rotation("compute_f64", Rotation::Double)),
        NumberType::Fp64Tensor => {
            let native = level == 90 && form("compute_f64_tensor") == Some(KernelForm::Fatbin);
            let shape = if native { [16, 8, 16] } else { [8, 8, 4] };
            works.push(tensor("compute_f64_tensor", shape, Format::Float { limit: 7, double: true }));
        }
        NumberType::Fp16 => {
            works.extend([tcgen05("tcgen05_f16", HALF, 16, 2), wgmma("wgmma_f16", HALF, 16)]);
            let shape = match level {
                ..75 => [32, 8, 4],
                75..80 => [16, 8, 8],
                _ => [16, 8, 16],
            };
            works.push(tensor("compute_f16", shape, HALF));
        }
        NumberType::Bf16 => works.extend([
            tcgen05("tcgen05_bf16", HALF, 16, 2),
            wgmma("wgmma_bf16", HALF, 16),
            tensor("compute_bf16", [16, 8, 16], HALF),
        ]),
        NumberType::Tf32 => works.extend([
            tcgen05("tcgen05_tf32", HALF, 8, 2),
            wgmma("wgmma_tf32", HALF, 8),
            tensor("compute_tf32", [16, 8, 8], HALF),
        ]),
        NumberType::Int8 => {
            let shape = if level < 80 { [8, 8, 16] } else { [16, 8, 32] };
            works.extend([
                tcgen05("tcgen05_s8", Format::Int8, 32, 2),
                wgmma("wgmma_s8", Format::Int8, 32),
                tensor("compute_s8", shape, Format::Int8),
            ]);
        }
        NumberType::Fp8 => works.extend([
            tcgen05("tcgen05_e4m3", SMALL, 32, 2),
            wgmma("wgmma_e4m3", SMALL, 32),
            tensor("compute_e4m3", [16, 8, 32], SMALL),
        ]),
        NumberType::Fp4 => {
            works.extend([tcgen05("tcgen05_e2m1", SMALL, 64, 1), tensor("compute_e2m1", [16, 8, 64], SMALL)]);
        }
    }
    works.retain(|work| form(work.kernel).is_some());
    works
}

fn all_works(card: &Card) -> Vec<Work> {
    let capability = card.device.identity.compute_capability;
    let form = |kernel: &str| card.kernels.get(kernel).map(|kernel| kernel.form);
    number_types(capability).into_iter().flat_map(|number| works(number, capability, form)).collect()
}

/// Known answers of every kernel, on every SM. One SM that is wrong is a bad SM; all of them wrong are a bad kernel.
pub(super) fn self_test(card: &mut Card) -> Result<(), Failure> {
    for work in all_works(card) {
        let (mut failure, mut answers) = (None, Vec::new());
        card.suspect = (work.shared_bytes > 0).then_some(work.kernel);
        for iterations in TEST_ITERATIONS {
            let (iterations, mode) = work.known(iterations);
            let known = work.answer(card.seed, iterations);
            let blocks = launch(card, &work, 1, iterations, mode)?.1;
            if blocks.iter().all(|block| block.fold != known) {
                failure = Some(format!(
                    "all SMs give {:016x} instead of {known:016x}",
                    blocks.first().map_or(0, |it| it.fold)
                ));
                break;
            }
            answers.push((blocks, known));
        }
        card.suspect = None;
        let valid = failure.is_none();
        card.judge(work.kernel, failure);
        for (blocks, known) in answers.iter().filter(|_| valid) {
            accuse(card, work.kernel, blocks, *known, true);
        }
    }
    Ok(())
}

/// What a block said.
pub(super) struct Block {
    pub(super) fold: u64,
    pub(super) sm: u32,
    pub(super) clocks: u64,
}

/// One launch with `times` blocks for each SM. Gives its seconds and what its blocks said.
fn launch(card: &mut Card, work: &Work, times: u32, iterations: u32, mode: u32) -> Result<(f64, Vec<Block>), Failure> {
    let Some(kernel) = card.kernels.get(work.kernel) else { return Ok((0.0, Vec::new())) };
    // A block with tiles in shared memory has its SM for itself.
    let times = if work.shared_bytes > 0 { 1 } else { times };
    let blocks = (card.device.identity.sm_count * times).clamp(1, MAX_BLOCKS);
    card.out.clear(4 * blocks as usize);
    let parameters = [card.out.device, iterations.into(), card.seed.into(), mode.into()];
    let seconds = card.run(kernel.function, [blocks, work.threads, work.shared_bytes], &parameters)?;
    Ok((seconds, said(card, 0, blocks)))
}

/// What the blocks said whose records begin at that one.
pub(super) fn said(card: &Card, first: u32, blocks: u32) -> Vec<Block> {
    let record = |block: u32, word: usize| card.out.get(4 * block as usize + word);
    let said = (first..first + blocks).map(|block| Block {
        fold: record(block, 0),
        sm: record(block, 1) as u32,
        clocks: record(block, 2),
    });
    said.collect()
}

/// The kernel that draws the most power on chips with matrix instructions that `mma.sync` does not reach, and the plain
/// one there if the driver does not take that. `None` for others, and where none gave its known answers.
pub(super) fn strongest(card: &Card) -> Option<Work> {
    let capability = card.device.identity.compute_capability;
    if !matches!(capability, [9, 0] | [10, _]) {
        return None;
    }
    let form = |kernel: &str| card.kernels.get(kernel).map(|kernel| kernel.form);
    works(NumberType::Fp16, capability, form).into_iter().find(|work| card.valid(work.kernel).is_some())
}

/// One launch at full power with a block for each SM, in all bits of the mantissa. Gives its seconds.
pub(super) fn full(card: &mut Card, work: &Work, iterations: u32) -> Result<(f64, Vec<Block>), Failure> {
    launch(card, work, 1, iterations, FULL)
}

/// Enqueues the same, with records that begin at that one.
pub(super) fn enqueue(card: &Card, work: &Work, blocks: u32, iterations: u32, first: u32) -> Result<(), Failure> {
    let Some(kernel) = card.kernels.get(work.kernel) else { return Ok(()) };
    let out = card.out.device + 32 * u64::from(first);
    let parameters = [out, iterations.into(), card.seed.into(), FULL.into()];
    card.device.launch(kernel.function, [blocks, work.threads, work.shared_bytes], &parameters)
}

/// Compares blocks with the answer, or with each other where it is not known beforehand: an answer that most share.
pub(super) fn check(card: &mut Card, kernel: &str, blocks: &[Block], known: Option<u64>, reference: &mut Option<u64>) {
    let mut votes = BTreeMap::<u64, usize>::new();
    blocks.iter().for_each(|block| *votes.entry(block.fold).or_default() += 1);
    let majority = votes.iter().max_by_key(|(_, count)| **count).map(|(fold, _)| *fold);
    let Some(expected) = known.or(*reference).or(majority) else { return };
    if known.is_none() {
        *reference = Some(expected);
    }
    card.counters.checked_blocks += blocks.len() as u64;
    accuse(card, kernel, blocks, expected, known.is_some());
}

/// Counts and tells the blocks that did not give an answer that others gave.
fn accuse(card: &mut Card, kernel: &str, blocks: &[Block], expected: u64, known_answer: bool) {
    for block in blocks.iter().filter(|block| block.fold != expected) {
        accuse_one(
            card,
            ComputeError {
                kernel: kernel.to_owned(),
                sm: block.sm,
                expected: format!("{expected:016x}"),
                found: format!("{:016x}", block.fold),
                known_answer,
            },
        );
    }
}

/// Counts a block that is wrong, and tells it.
pub(super) fn accuse_one(card: &mut Card, error: ComputeError) {
    card.counters.compute_errors += 1;
    card.counters.bad_sms.insert(error.sm);
    if card.tell() {
        send(&Message::ComputeError(error));
    }
}

/// Iterations with which a launch takes the time that is wanted.
fn calibrate(card: &mut Card, work: &Work) -> Result<u32, Failure> {
    let mut iterations = 1u32;
    let mut shortest = None;
    loop {
        let start = Instant::now();
        let (seconds, blocks) = launch(card, work, 1, iterations, FULL)?;
        check(card, work.kernel, &blocks, None, &mut None);
        card.progress(work.kernel, 0.0, "");
        let shortest = *shortest.get_or_insert(seconds);
        let long = seconds >= TIMES_SHORTEST * shortest && start.elapsed() > card.time(MAX_LAUNCH / 4);
        if seconds >= LAUNCH_SECONDS || long || iterations >= 1 << 22 || card.over() {
            return Ok(iterations);
        }
        iterations *= 2;
    }
}

/// Checks and rates of every number type that the chip has.
pub(super) fn measure(card: &mut Card) -> Result<(), Failure> {
    let capability = card.device.identity.compute_capability;
    let here = number_types(capability);
    for &number in NumberType::ALL {
        let (rate, clocks) = number.quantities();
        if !here.contains(&number) {
            card.missing(rate, None);
            card.missing(clocks, None);
            continue;
        }
        let form = |kernel: &str| card.kernels.get(kernel).map(|kernel| kernel.form);
        let candidates = works(number, capability, form);
        let Some(work) = candidates.iter().find(|work| card.valid(work.kernel).is_some()).copied() else {
            // The plain one comes last.
            let all = works(number, capability, |_| Some(KernelForm::Ptx));
            let why = candidates
                .first()
                .or(all.last())
                .map_or("no kernel for this chip".to_owned(), |work| card.why_not(work.kernel));
            card.missing(rate, Some(why.clone()));
            card.missing(clocks, Some(why));
            continue;
        };
        card.enter(Step::Compute, work.kernel);
        rate_of(card, &work, rate, clocks)?;
        if card.over() {
            return Ok(());
        }
    }
    Ok(())
}

fn rate_of(card: &mut Card, work: &Work, rate: Quantity, clocks: Quantity) -> Result<(), Failure> {
    for iterations in TEST_ITERATIONS {
        let (iterations, mode) = work.known(iterations);
        let known = work.answer(card.seed, iterations);
        let blocks = launch(card, work, 1, iterations, mode)?.1;
        check(card, work.kernel, &blocks, Some(known), &mut None);
    }
    let iterations = calibrate(card, work)?;
    let (mut rates, mut for_clocks, mut reference) = (Vec::new(), Vec::new(), None);
    let (start, budget) = (Instant::now(), card.time(BUDGET));
    while rates.len() < RUNS && !card.over() && (rates.is_empty() || start.elapsed() < budget) {
        let (seconds, blocks) = launch(card, work, 1, iterations, FULL)?;
        check(card, work.kernel, &blocks, None, &mut reference);
        let done = work.per_iteration as f64 * f64::from(iterations);
        let flops = 2.0 * done * blocks.len() as f64 / seconds.max(1e-9);
        rates.push((flops / 1e9) as u64);
        for_clocks.extend(blocks.iter().map(|block| (done * 1000.0 / block.clocks.max(1) as f64) as u64));
        card.progress(work.kernel, flops / 1e12, "TFLOPS");
    }
    let method = format!("{iterations} iterations on every SM, all bits of the mantissa in use, timed by events");
    card.measured(rate, rates, &method, Some(work.kernel));
    card.measured(clocks, for_clocks, "clocks of each block's loop, as its SM counts them", Some(work.kernel));
    Ok(())
}

/// What the load remembers between its turns: iterations and right answers.
#[derive(Debug, Default)]
pub(super) struct Load {
    known: BTreeMap<&'static str, (u32, Option<u64>)>,
    turn: usize,
}

/// Arithmetic at full power: tensor cores every other slice, everything else between them.
pub(super) fn load(card: &mut Card, until: Instant, load: &mut Load) -> Result<(), Failure> {
    const SLICE: Duration = Duration::from_millis(1500);
    let capability = card.device.identity.compute_capability;
    let form = |kernel: &str| card.kernels.get(kernel).map(|kernel| kernel.form);
    let first_valid =
        |number: NumberType| works(number, capability, form).into_iter().find(|work| card.valid(work.kernel).is_some());
    let main = first_valid(NumberType::Fp16);
    let others: Vec<Work> = number_types(capability).into_iter().filter_map(first_valid).collect();
    while Instant::now() < until && !card.over() {
        let other = others.get(load.turn / 2 % others.len().max(1)).copied();
        let Some(work) = (if load.turn.is_multiple_of(2) { main.or(other) } else { other }) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        load.turn += 1;
        card.enter(Step::Load, work.kernel);
        let (iterations, mut reference) = match load.known.get(work.kernel) {
            Some(known) => *known,
            None => (calibrate(card, &work)?, None),
        };
        let end = (Instant::now() + SLICE).min(until);
        while Instant::now() < end && !card.over() {
            let (seconds, blocks) = launch(card, &work, 2, iterations, FULL)?;
            check(card, work.kernel, &blocks, None, &mut reference);
            let done = work.per_iteration as f64 * f64::from(iterations) * blocks.len() as f64;
            card.progress(work.kernel, 2.0 * done / seconds.max(1e-9) / 1e12, "TFLOPS");
        }
        load.known.insert(work.kernel, (iterations, reference));
    }
    Ok(())
}

/// FP32 with multiplication and addition apart: a card whose FMA is throttled is faster here.
pub(super) fn split(card: &mut Card) -> Result<(), Failure> {
    const KERNEL: &str = "fingerprint_f32_split";
    if card.valid(KERNEL).is_none() {
        card.missing(Quantity::ClocksFp32Split, Some(card.why_not(KERNEL)));
        return Ok(());
    }
    let work = split_work();
    card.enter(Step::Fingerprint, KERNEL);
    let iterations = calibrate(card, &work)?;
    let (_, blocks) = launch(card, &work, 1, iterations, FULL)?;
    check(card, work.kernel, &blocks, None, &mut None);
    let done = work.per_iteration as f64 * f64::from(iterations);
    let values = blocks.iter().map(|block| (done * 1000.0 / block.clocks.max(1) as f64) as u64).collect();
    card.measured(
        Quantity::ClocksFp32Split,
        values,
        "clocks of each block's loop, as its SM counts them",
        Some(KERNEL),
    );
    Ok(())
}

fn split_work() -> Work {
    Work {
        kernel: "fingerprint_f32_split",
        per_iteration: 32_768,
        threads: THREADS,
        shared_bytes: 0,
        answer: Answer::Rotation(Rotation::Split),
    }
}

/// Known answer of [`split`]'s kernel.
pub(super) fn split_self_test(card: &mut Card) -> Result<(), Failure> {
    let work = split_work();
    let blocks = launch(card, &work, 1, 2, FULL)?.1;
    let known = work.answer(card.seed, 2);
    let failure = (!blocks.iter().any(|block| block.fold == known)).then(|| "no SM gives the known answer".to_owned());
    card.judge(work.kernel, failure);
    Ok(())
}
