//! What runs in a GPU's child process: its steps, from the driver to the last turn.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::answers::{self, ADDRESS, CHECKER, CONSTANT, INVERT, RANDOM, WALKING};
use super::card::{Card, Control, THREADS, send};
use super::cuda::{self, Device, Failure};
use super::message::{Assignment, Counters, Message, Step};
use super::{bandwidth, compute, fingerprint, memory, pulse};
use crate::burn::process::monotonic_ns;

const MAX_ASSIGNMENT_BYTES: u64 = 1 << 16;
/// Vectors that self-tests of memory kernels work on: no multiple of what a block takes at once.
const TEST_VECTORS: u64 = 5003;
/// Memory that self-tests work on.
const SCRATCH_BYTES: u64 = 1 << 20;
/// Index that self-tests begin with: both halves count.
const TEST_INDEX: u64 = (5 << 32) + 77;

/// Why a worker ends before its time.
enum End {
    /// Nothing was measured.
    NotMeasured(String),
    /// CUDA failed in the middle.
    Lost(String),
    /// CUDA failed in a kernel that nothing had validated.
    Avoid(String, String),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        if failure.is_out_of_memory() {
            let help = "end the processes that use the GPU, then burn again";
            return Self::NotMeasured(format!("{failure}, before anything was tested: {help}"));
        }
        Self::Lost(failure.to_string())
    }
}

/// The body of the hidden `gpu-worker` command: reads its assignment from standard input, burns the GPU, and ends when it
/// is done, when it is told to, or with the supervisor.
pub fn run_gpu_worker() -> io::Result<()> {
    let assignment = take_assignment(|it: &Assignment| it.supervisor)?;
    static STOP: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        // A line, the end of input and an error all mean the same.
        let _ = io::stdin().lock().read(&mut [0; 1]);
        STOP.store(true, Ordering::Relaxed);
    });
    let mut counters = Counters::default();
    send(&match burn(&assignment, &STOP, &mut counters) {
        Ok(()) => Message::Finished { counters },
        Err(End::NotMeasured(reason)) => Message::Failed { reason, lost: false, avoid: None, counters },
        Err(End::Lost(reason)) => Message::Failed { reason, lost: true, avoid: None, counters },
        Err(End::Avoid(kernel, reason)) => Message::Failed { reason, lost: false, avoid: Some(kernel), counters },
    });
    // What is left of the driver's work could hang, and the end of the process frees all.
    std::process::exit(0);
}

/// Reads the assignment of a process, which from now on ends with its supervisor.
pub(super) fn take_assignment<T: DeserializeOwned>(supervisor: fn(&T) -> u32) -> io::Result<T> {
    let mut line = String::new();
    io::stdin().lock().by_ref().take(MAX_ASSIGNMENT_BYTES).read_line(&mut line)?;
    let assignment: T = serde_json::from_str(&line).map_err(io::Error::other)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != i32::try_from(supervisor(&assignment)).ok() {
        return Err(io::Error::other("the supervisor is gone"));
    }
    Ok(assignment)
}

fn burn(assignment: &Assignment, stop: &'static AtomicBool, counters: &mut Counters) -> Result<(), End> {
    let control = Control::new(assignment.seconds, stop);
    let mut card = set_up(assignment, control)?;
    let result = steps(&mut card, assignment);
    *counters = card.counters.clone();
    result.map_err(|failure| match card.suspect {
        Some(kernel) => {
            card.judge(kernel, Some(failure.to_string()));
            End::Avoid(kernel.to_owned(), format!("kernel {kernel} not validated on this driver: {failure}"))
        }
        None => End::from(failure),
    })
}

/// Driver, context, kernels. Whatever fails here means that nothing was measured, and says what would help.
fn set_up(assignment: &Assignment, control: Control) -> Result<Card, End> {
    let refused = |help: &'static str| move |failure: Failure| End::NotMeasured(format!("{failure}{help}"));
    send(&Message::Step { step: Step::Setup, what: "driver".to_owned(), seconds: 60 });
    cuda::preflight(&[]).map_err(End::NotMeasured)?;
    cuda::init().map_err(refused(": check NVIDIA's driver with nvidia-smi"))?;
    let (device, identity) =
        Device::find(&assignment.gpu).map_err(refused(": the CUDA driver does not know the GPU"))?;
    send(&Message::Identity(identity.clone()));
    if identity.compute_mode == "prohibited" {
        let why = "the compute mode is prohibited: set it to default (nvidia-smi -c 0), then burn again";
        return Err(End::NotMeasured(why.to_owned()));
    }
    if identity.name.contains(" MIG ") {
        let why = "MIG is on, and a part of a GPU says nothing about all of it: switch it off (nvidia-smi -mig 0), then burn again";
        return Err(End::NotMeasured(why.to_owned()));
    }
    if identity.compute_capability[0] < 7 {
        let [major, minor] = identity.compute_capability;
        let why = format!("compute capability {major}.{minor} is older than the kernels, which start at 7.0");
        return Err(End::NotMeasured(why));
    }
    let help = match identity.compute_mode.as_str() {
        "exclusive-process" => ": the compute mode is exclusive; end the process that uses the GPU, then burn again",
        _ => ": end the processes that use the GPU, and switch MIG off, then burn again",
    };
    let device = Device::open(device, identity).map_err(refused(help))?;
    let pinned =
        ": the host could not lock so much of its memory; free some, or raise the container's limit, then burn again";
    let mut card = Card::new(device, control, assignment.seed, assignment.measure_seconds).map_err(|failure| {
        // Nothing has asked for the card's own memory yet.
        refused(if failure.is_out_of_memory() { pinned } else { help })(failure)
    })?;
    card.load_kernels(&assignment.avoid);
    if card.kernels.is_empty() {
        return Err(End::NotMeasured(format!("the driver takes no kernel: {}", card.refused())));
    }
    done(&card, Step::Setup);
    Ok(card)
}

fn done(card: &Card, step: Step) {
    send(&Message::Done { step, counters: card.counters.clone() });
}

fn steps(card: &mut Card, assignment: &Assignment) -> Result<(), Failure> {
    // Kernels are tested in each session: the driver may be another one.
    card.begin(Step::SelfTest, "known answers", 60);
    self_test(card)?;
    done(card, Step::SelfTest);
    card.begin(Step::Allocate, "memory", 60);
    memory::allocate(card, assignment.memory_percent, assignment.max_bytes)?;
    done(card, Step::Allocate);
    type Run = fn(&mut Card) -> Result<(), Failure>;
    let once: [(Step, Run); 5] = [
        (Step::Address, memory::address),
        (Step::Compute, compute::measure),
        (Step::Bandwidth, bandwidth::memory),
        (Step::Transfer, bandwidth::transfers),
        (Step::Fingerprint, fingerprint::measure),
    ];
    for (step, run) in once {
        if assignment.done.contains(&step) {
            continue;
        }
        run(card)?;
        if card.over() {
            return Ok(());
        }
        done(card, step);
    }
    turns(card, assignment)
}

/// Patterns, load and pulse in turn until the time is used. Turns are counted from a moment that all GPUs share.
fn turns(card: &mut Card, assignment: &Assignment) -> Result<(), Failure> {
    let lengths = [
        (Step::Pulse, assignment.pulse_seconds),
        (Step::Load, assignment.load_seconds),
        (Step::Patterns, assignment.patterns_seconds),
    ];
    let cycle: u64 = lengths.iter().map(|(_, seconds)| seconds * 1000).sum();
    if assignment.pulse_seconds == 0 {
        pulse::not_measured(card, "the profile has no pulse");
    }
    if cycle == 0 {
        return Ok(());
    }
    let retention = Duration::from_secs(assignment.retention_seconds);
    let (mut pattern, mut load, mut pulse) = (0, compute::Load::default(), pulse::Pulse::default());
    while !card.over() {
        let at = monotonic_ns().saturating_sub(assignment.epoch_ns) / 1_000_000;
        let mut begin = at / cycle * cycle;
        let mut turn = None;
        for (step, seconds) in lengths {
            let end = begin + seconds * 1000;
            if at < end {
                turn = Some((step, begin, end));
                break;
            }
            begin = end;
        }
        let Some((step, begin, end)) = turn else { continue };
        let until = Instant::now() + Duration::from_millis(end - at).min(card.control.remaining());
        match step {
            Step::Pulse => {
                let moment = |milliseconds: u64| assignment.epoch_ns + milliseconds * 1_000_000;
                pulse::turn(card, [moment(begin), moment(end)], &mut pulse)?;
            }
            Step::Load => compute::load(card, until, &mut load)?,
            _ => memory::patterns(card, until, retention, &mut pattern)?,
        }
        // What is too short for one more run is waited for.
        while Instant::now() < until && !card.over() {
            thread::sleep(Duration::from_millis(20));
        }
        done(card, step);
    }
    Ok(())
}

/// Known answers of every kernel, before any result of it counts.
fn self_test(card: &mut Card) -> Result<(), Failure> {
    let scratch = card.device.allocate(SCRATCH_BYTES)?;
    memory_self_test(card, scratch)?;
    bandwidth_self_test(card, scratch)?;
    card.begin(Step::SelfTest, "arithmetic", 60);
    compute::self_test(card)?;
    fingerprint::self_test(card, scratch)?;
    pulse::self_test(card)?;
    card.device.free(scratch)
}

/// The vectors that are on the card, as two words each.
fn read_back(card: &Card, from: u64, vectors: u64) -> Result<Vec<[u32; 4]>, Failure> {
    card.device.download(&card.staging[1], from, vectors as usize * 16, 1)?;
    card.device.wait()?;
    let word = |index: u64| card.staging[1].get(index as usize);
    let vector = |index: u64| {
        let (low, high) = (word(2 * index), word(2 * index + 1));
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    };
    Ok((0..vectors).map(vector).collect())
}

fn launch(card: &Card, kernel: &str, parameters: &[u64]) -> Result<(), Failure> {
    launch_of(card, kernel, [3, THREADS, 0], parameters)
}

fn launch_of(card: &Card, kernel: &str, shape: [u32; 3], parameters: &[u64]) -> Result<(), Failure> {
    let Some(kernel) = card.kernels.get(kernel) else { return Ok(()) };
    card.run(kernel.function, shape, parameters).map(|_| ())
}

/// Fill against the processor's pattern; then one planted error, which each of the others has to find.
fn memory_self_test(card: &mut Card, scratch: u64) -> Result<(), Failure> {
    let seed = card.seed;
    let parameters = |mode: u32, log: u64| [scratch, TEST_VECTORS, TEST_INDEX, mode.into(), seed.into(), 1, log];
    let expected = |mode: u32, at: u64| answers::pattern(TEST_INDEX + at, mode, seed);
    let mut wrong = [None; 4];
    let names = ["memory_fill", "memory_verify", "memory_march", "memory_thrash"];
    for kind in [ADDRESS, RANDOM, WALKING, CHECKER, CONSTANT] {
        for mode in [kind, kind | INVERT] {
            memory::prepare(card);
            launch(card, names[0], &parameters(mode, card.log.device))?;
            let found = read_back(card, scratch, TEST_VECTORS)?;
            let right = (0..TEST_VECTORS).zip(&found).all(|(at, vector)| expected(mode, at) == *vector);
            if !right || memory::logged(card)[0] != TEST_VECTORS {
                wrong[0] = Some("it does not write the pattern");
            }
            // One bit of the vector in the middle.
            let middle = TEST_VECTORS / 2;
            let bad = [found[middle as usize][0] ^ 0x400, found[middle as usize][1]];
            card.staging[0].set(0, u64::from(bad[1]) << 32 | u64::from(bad[0]));
            card.device.upload(scratch + middle * 16, &card.staging[0], 8, 0)?;
            card.device.wait()?;
            for (index, name) in [(1, names[1]), (3, names[3]), (2, names[2])] {
                // Rows of a bank are read with random words only.
                if index == 3 && kind != RANDOM {
                    continue;
                }
                memory::prepare(card);
                let rows = [scratch, 41, 122, TEST_INDEX, mode.into(), seed.into(), card.log.device];
                let checked = if index == 3 { 41 * 122 } else { TEST_VECTORS };
                launch(card, name, &if index == 3 { rows } else { parameters(mode, card.log.device) })?;
                let [_, looked, errors] = memory::logged(card);
                let first = card.log.get(5);
                if (looked, errors, first) != (checked, 1, TEST_INDEX + middle) {
                    wrong[index] = Some("it does not find one wrong bit where it is");
                }
            }
            // The march has left the inverse.
            let after = read_back(card, scratch, TEST_VECTORS)?;
            if !(0..TEST_VECTORS).zip(&after).all(|(at, vector)| expected(mode ^ INVERT, at) == *vector) {
                wrong[2] = Some("it does not write the inverse");
            }
        }
    }
    for (name, wrong) in names.into_iter().zip(wrong) {
        card.judge(name, wrong.map(str::to_owned));
    }
    Ok(())
}

/// Every kernel against plain copies and sums.
fn bandwidth_self_test(card: &mut Card, scratch: u64) -> Result<(), Failure> {
    let count = TEST_VECTORS;
    let seed = card.seed;
    let second = scratch + count * 16;
    let third = second + count * 16;
    let pattern = |at: u64| answers::pattern(at, ADDRESS, seed);
    launch(card, "bandwidth_write", &[scratch, count, seed.into()])?;
    let written = read_back(card, scratch, count)?;
    let right = (0..count).zip(&written).all(|(at, vector)| pattern(at) == *vector);
    card.judge("bandwidth_write", (!right).then(|| "it does not write the pattern".to_owned()));

    card.out.clear(4);
    launch(card, "bandwidth_read", &[scratch, count, card.out.device])?;
    let sums = [card.out.get(0), card.out.get(1)];
    let right = sums == answers::read_sums(written.iter().copied());
    card.judge("bandwidth_read", (!right).then(|| "its sums are not those of the data".to_owned()));

    // Two regions, whose sums are those of the data, and whose clocks run.
    const REGIONS: u64 = 2;
    const REGION_VECTORS: u64 = 2048;
    card.out.clear(2);
    card.log.clear(REGIONS as usize);
    launch(card, "bandwidth_region", &[scratch, REGIONS, REGION_VECTORS, card.log.device, card.out.device])?;
    let sums = [card.out.get(0), card.out.get(1)];
    let read = written.iter().take((REGIONS * REGION_VECTORS) as usize).copied();
    let right = sums == answers::read_sums(read) && (0..REGIONS as usize).all(|region| card.log.get(region) > 0);
    card.judge("bandwidth_region", (!right).then(|| "its sums are not those of the data".to_owned()));

    launch(card, "bandwidth_copy", &[second, scratch, count])?;
    let copied = read_back(card, second, count)?;
    card.judge("bandwidth_copy", (copied != written).then(|| "its copy differs".to_owned()));

    launch(card, "bandwidth_triad", &[third, scratch, second, count, 3])?;
    let triad = read_back(card, third, count)?;
    let right =
        written.iter().zip(&triad).all(|(v, sum)| v.map(|word| word.wrapping_add(word.wrapping_mul(3))) == *sum);
    card.judge("bandwidth_triad", (!right).then(|| "its sums are wrong".to_owned()));

    // A gate that is open lets everything through, one that stays shut opens by itself.
    let mut saw = [0; 2];
    for (open, saw) in saw.iter_mut().enumerate() {
        card.gate.clear(card.gate.words());
        card.gate.set(0, open as u64);
        launch_of(card, "bandwidth_gate", [1, 32, 0], &[card.gate.device, 1_000_000, 100, card.gate.device + 8])?;
        *saw = card.gate.get(2);
    }
    card.judge("bandwidth_gate", (saw != [0, 1]).then(|| "it does not see the host's word".to_owned()));
    Ok(())
}
