//! The square wave of power: every SM works for half of each period and sleeps for the other half, on all GPUs at the same
//! moments.
//!
//! Moments are those of the host's monotonic clock, which all processes share. The timers of GPUs are not set alike, so each
//! worker reads that of its GPU and translates. A launch makes a short part of the wave and is bounded twice, by the card's
//! timer and by a number of bursts: the step ends by the host's clock. A device that is too slow for a wave has none
//! measured, and that is all that is said of it.
//!
//! The kernel's own bursts use `mma.sync`. Chips that draw more with other instructions get launches of a kernel that uses
//! these instead, each of which waits for its edge behind a launch of the pulse kernel.

use std::thread;
use std::time::{Duration, Instant};

use super::card::{Card, MAX_BLOCKS, THREADS};
use super::compute::{self, Block, Work};
use super::cuda::{Failure, Function};
use super::measure::Quantity;
use super::message::{ComputeError, Step};
use crate::burn::process::monotonic_ns;

const KERNEL: &str = "pulse";
/// What reads the card's timer.
const CENSUS: &str = "fingerprint_census";
/// Frequencies, each for an equal part of a turn. The slowest comes last: a turn of a few seconds has one period of it, which
/// whoever begins with it would miss.
const HERTZ: [u64; 4] = [50, 20, 5, 1];
/// A launch makes as many periods as fit into that, but one at least.
const LAUNCH_NS: u64 = 250_000_000;
/// A launch comes so long before its wave, and not longer: blocks that wait look at the timer again and again.
const LEAD_NS: u64 = 10_000_000;
/// What comes sooner than that is left out.
const MARGIN_NS: u64 = 1_000_000;
/// Readings of the timer, of which the quickest counts.
const READINGS: usize = 3;
/// A burst takes microseconds on a card and far longer on a simulator. As many as take that time are the first bound.
const TRIAL: Duration = Duration::from_millis(20);
const MAX_BURSTS: u64 = 1 << 22;
/// Far more than half a second of waves and what a busy host adds to it.
const SILENCE_SECONDS: u64 = 60;
const NAP: Duration = Duration::from_millis(20);

/// The part of the wave that one launch makes. Moments are the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wave {
    start_ns: u64,
    period_ns: u64,
    periods: u64,
}

impl Wave {
    fn high_ns(&self) -> u64 {
        self.period_ns / 2
    }

    /// From the first edge up to the last edge down.
    fn length_ns(&self) -> u64 {
        (self.periods - 1) * self.period_ns + self.high_ns()
    }
}

/// The next part of a turn that does not begin before a moment; `None` when the turn holds no more. All periods of a
/// frequency begin at multiples after one moment of the turn, so GPUs that ask at different times are in phase.
fn next_wave([begin, end]: [u64; 2], earliest_ns: u64) -> Option<Wave> {
    let part = end.saturating_sub(begin) / HERTZ.len() as u64;
    (0..).zip(HERTZ).find_map(|(index, hertz)| {
        let period_ns = 1_000_000_000 / hertz;
        let from = begin + index * part;
        let over = earliest_ns.saturating_sub(from).div_ceil(period_ns);
        let left = (part / period_ns).checked_sub(over).filter(|left| *left > 0)?;
        let periods = left.min(LAUNCH_NS / period_ns).max(1);
        Some(Wave { start_ns: from + over * period_ns, period_ns, periods })
    })
}

/// A reading of the card's timer.
#[derive(Debug, Clone, Copy)]
struct Timer {
    host_ns: u64,
    card_ns: u64,
    /// By how much the two may be apart.
    uncertain_ns: u64,
}

impl Timer {
    /// What was read between two moments of the host.
    fn between(before_ns: u64, card_ns: u64, after_ns: u64) -> Self {
        let uncertain_ns = after_ns.saturating_sub(before_ns) / 2;
        Self { host_ns: before_ns + uncertain_ns, card_ns, uncertain_ns }
    }

    fn read(card: &Card, census: Function) -> Result<Self, Failure> {
        let mut best: Option<Self> = None;
        for _ in 0..READINGS {
            let before = monotonic_ns();
            card.run(census, [1, 32, 0], &[0, 0, card.out.device])?;
            let read = Self::between(before, card.out.get(0), monotonic_ns());
            best = best.filter(|best| best.uncertain_ns <= read.uncertain_ns).or(Some(read));
        }
        Ok(best.unwrap_or(Self { host_ns: 0, card_ns: 0, uncertain_ns: u64::MAX }))
    }

    /// A moment of the host on the card.
    fn on_card(&self, host_ns: u64) -> u64 {
        self.card_ns.wrapping_add(host_ns.wrapping_sub(self.host_ns))
    }
}

/// What makes the load of a wave.
enum Source {
    /// Bursts of the kernel itself.
    Bursts(Function),
    /// Launches of a kernel that draws more, each behind the other one, which opens like a gate at an edge up.
    Launches(Function, Work),
}

/// What a launch of a wave did.
struct Made {
    /// Bursts of each block, or launches that were begun in time.
    bursts: Vec<u64>,
    /// By how much an edge was late by the card's timer.
    late_ns: u64,
    /// How long the host waited.
    elapsed: Duration,
    /// Whether it was cut short by the bound of its work.
    is_cut: bool,
}

/// What the wave remembers between its turns.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// What all blocks gave so far.
    fold: Option<u64>,
    /// The most bursts of a block in a launch, or iterations of all its launches; 0 before the first.
    most: u64,
    /// Nanoseconds of an iteration on the card.
    iteration_ns: f64,
}

impl Pulse {
    /// A launch that the bound cut short though it was over in time could have done more; one that took far longer than its
    /// wave is to do less. Other loads of the host may slow a simulator down at any moment, so steps are small.
    fn adapt(&mut self, elapsed: Duration, wave: Duration) {
        if elapsed <= wave {
            self.most = (self.most * 2).min(MAX_BURSTS);
        } else if elapsed > 2 * wave {
            self.most = (self.most / 2).max(1);
        }
    }
}

/// A turn of the wave, between two moments of the host.
pub(super) fn turn(card: &mut Card, turn: [u64; 2], state: &mut Pulse) -> Result<(), Failure> {
    let (Some(pulse), Some(census)) = (card.valid(KERNEL), card.valid(CENSUS)) else {
        let kernel = if card.valid(KERNEL).is_none() { KERNEL } else { CENSUS };
        not_measured(card, &card.why_not(kernel));
        return Ok(());
    };
    let (source, kernel, what) = match compute::strongest(card) {
        Some(work) => (Source::Launches(pulse, work), work.kernel, "launches at full power"),
        None => (Source::Bursts(pulse), KERNEL, "bursts of a block"),
    };
    card.begin(Step::Pulse, kernel, SILENCE_SECONDS);
    let began = Instant::now();
    if state.most == 0 {
        source.trial(card, state)?;
    }
    let prepared = began.elapsed();
    let (mut bursts, mut phases, mut late, mut cut) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let timer = Timer::read(card, census)?;
        let Some(wave) = next_wave(turn, monotonic_ns() + MARGIN_NS) else { break };
        let end_ns = wave.start_ns + wave.length_ns();
        let in_time = || end_ns <= monotonic_ns() + card.control.remaining().as_nanos() as u64;
        while !card.over() && in_time() {
            let left = wave.start_ns.saturating_sub(LEAD_NS).saturating_sub(monotonic_ns());
            if left == 0 {
                break;
            }
            thread::sleep(Duration::from_nanos(left).min(NAP));
        }
        if card.over() || !in_time() {
            break;
        }
        card.progress(&format!("{} Hz", 1_000_000_000 / wave.period_ns), 0.0, "");
        let made = source.make(card, Wave { start_ns: timer.on_card(wave.start_ns), ..wave }, state)?;
        if made.bursts.iter().all(|&done| done == 0) {
            late += 1;
            continue;
        }
        if made.is_cut {
            cut += 1;
            state.adapt(made.elapsed, Duration::from_nanos(LEAD_NS + wave.length_ns()));
        }
        phases.push((timer.uncertain_ns + made.late_ns) / 1000);
        bursts.extend(made.bursts);
    }
    if bursts.is_empty() {
        not_measured(card, &why(card.over(), late, prepared));
        return Ok(());
    }
    let short = match cut {
        0 => String::new(),
        cut => format!("; {cut} of {} were cut short by the bound of their work", phases.len()),
    };
    let method = format!("{what} in each part of a wave at 50, 20, 5 and 1 Hz{short}");
    card.measured(Quantity::PulseBursts, bursts, &method, Some(kernel));
    let method = "half of the time that it took to read the card's timer, and by how much an edge was late";
    card.measured(Quantity::PulsePhase, phases, method, Some(KERNEL));
    Ok(())
}

fn why(over: bool, late: u64, prepared: Duration) -> String {
    match late {
        0 if over => "the run was over before the first wave".to_owned(),
        0 => format!("its turn was over before the first wave: a few bursts took {:.1} s", prepared.as_secs_f64()),
        late => format!("the card began all of {late} waves too late: it, or the host, is too slow for them"),
    }
}

/// Says that there was no wave. What an earlier turn measured stays.
pub(super) fn not_measured(card: &Card, why: &str) {
    for quantity in [Quantity::PulseBursts, Quantity::PulsePhase] {
        card.missing(quantity, Some(why.to_owned()));
    }
}

impl Source {
    /// Finds the first bound.
    fn trial(&self, card: &mut Card, state: &mut Pulse) -> Result<(), Failure> {
        state.most = 1;
        loop {
            let start = Instant::now();
            match self {
                Self::Bursts(pulse) => {
                    // A wave that is up since long.
                    bursts(card, *pulse, [0, 0, u64::MAX / 2, 1], state)?;
                }
                Self::Launches(_, work) => {
                    let (seconds, blocks) = compute::full(card, work, state.most as u32)?;
                    compute::check(card, work.kernel, &blocks, None, &mut None);
                    state.iteration_ns = (seconds * 1e9 / state.most as f64).max(1.0);
                }
            }
            if start.elapsed() >= TRIAL || state.most >= MAX_BURSTS {
                return Ok(());
            }
            state.most *= 2;
        }
    }

    /// Makes a wave, whose moments are the card's, and says what is wrong with its results.
    fn make(&self, card: &mut Card, wave: Wave, state: &mut Pulse) -> Result<Made, Failure> {
        match self {
            Self::Bursts(pulse) => {
                let edges = [wave.start_ns, wave.period_ns, wave.high_ns(), wave.periods];
                let (bursts, length_ns, elapsed) = bursts(card, *pulse, edges, state)?;
                let is_cut = bursts.iter().any(|&done| done >= state.most);
                Ok(Made { bursts, late_ns: length_ns.saturating_sub(wave.length_ns()), elapsed, is_cut })
            }
            Self::Launches(gate, work) => launches(card, *gate, work, wave, state),
        }
    }
}

/// One launch of the pulse kernel on all SMs. Gives the bursts of each block and the longest time from the first edge to the
/// end of a block, by the card's timer, and how long the host waited.
fn bursts(
    card: &mut Card,
    pulse: Function,
    [start_ns, period_ns, high_ns, periods]: [u64; 4],
    state: &mut Pulse,
) -> Result<(Vec<u64>, u64, Duration), Failure> {
    let blocks = card.device.identity.sm_count.clamp(1, MAX_BLOCKS);
    let parameters = [start_ns, period_ns, high_ns, periods, state.most, card.seed.into(), card.out.device];
    card.out.clear(4 * blocks as usize);
    let start = Instant::now();
    card.run(pulse, [blocks, THREADS, 0], &parameters)?;
    let elapsed = start.elapsed();
    let record = |block: u32, word: usize| card.out.get(4 * block as usize + word);
    let bursts = (0..blocks).map(|block| record(block, 1)).collect();
    let length_ns = (0..blocks).map(|block| record(block, 3)).max().unwrap_or(0);
    let first = |block: u32| record(block, 0);
    let wrong: Vec<u32> = (0..blocks).map(|block| first(block) as u32).collect();
    let folds: Vec<Block> =
        (0..blocks).map(|block| Block { fold: record(block, 2), sm: (first(block) >> 32) as u32, clocks: 0 }).collect();
    compute::check(card, KERNEL, &folds, None, &mut state.fold);
    for (block, wrong) in folds.iter().zip(wrong).filter(|(block, wrong)| *wrong > 0 && state.fold == Some(block.fold))
    {
        compute::accuse_one(
            card,
            ComputeError {
                kernel: KERNEL.to_owned(),
                sm: block.sm,
                expected: format!("{:016x}", block.fold),
                found: format!("{wrong} bursts with other results"),
                known_answer: false,
            },
        );
    }
    Ok((bursts, length_ns, elapsed))
}

/// A gate and a launch for each period, all enqueued at once. A launch lasts for half a period as the trial has it.
fn launches(card: &mut Card, gate: Function, work: &Work, wave: Wave, state: &Pulse) -> Result<Made, Failure> {
    let blocks = card.device.identity.sm_count.clamp(1, MAX_BLOCKS - 1);
    let periods = wave.periods.min(u64::from(MAX_BLOCKS / (blocks + 1)));
    let wanted = (wave.high_ns() as f64 / state.iteration_ns) as u64;
    let iterations = wanted.min(state.most / periods).max(1);
    card.out.clear(card.out.words());
    let start = Instant::now();
    // Each period has a record of its gate, and then those of its blocks.
    let first = |period: u64| period as u32 * (blocks + 1);
    for period in 0..periods {
        let edge = wave.start_ns + period * wave.period_ns;
        let record = card.out.device + 32 * u64::from(first(period));
        card.device.launch(gate, [1, THREADS, 0], &[edge, 1, 0, 1, 1, card.seed.into(), record])?;
        compute::enqueue(card, work, blocks, iterations as u32, first(period) + 1)?;
    }
    card.device.wait()?;
    let elapsed = start.elapsed();
    let (mut in_time, mut late_ns, mut fold) = (0, 0, None);
    for period in 0..periods {
        let said = compute::said(card, first(period) + 1, blocks);
        compute::check(card, work.kernel, &said, None, &mut fold);
        // A gate's last word is the time from its edge to its end.
        let late = card.out.get(4 * first(period) as usize + 3);
        if late < wave.high_ns() {
            in_time += 1;
            late_ns = late_ns.max(late);
        }
    }
    Ok(Made { bursts: vec![in_time; blocks as usize], late_ns, elapsed, is_cut: iterations < wanted })
}

/// Two bursts of two blocks.
pub(super) fn self_test(card: &mut Card) -> Result<(), Failure> {
    let Some(kernel) = card.kernels.get(KERNEL).map(|kernel| kernel.function) else { return Ok(()) };
    card.out.clear(8);
    card.run(kernel, [2, THREADS, 0], &[0, 1000, u64::MAX / 2, 1, 2, card.seed.into(), card.out.device])?;
    let word = |index| card.out.get(index);
    let sane = word(0) as u32 == 0 && word(4) as u32 == 0 && word(1) == 2 && word(2) == word(6);
    card.judge(KERNEL, (!sane).then(|| "two blocks disagree, or did not work".to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TURN: [u64; 2] = [7 * SECOND, 27 * SECOND];

    #[test]
    fn every_frequency_has_its_part_of_a_turn_and_its_periods_have_one_raster() {
        // Someone who asks as soon as the wave before is over.
        let (mut at, mut waves) = (TURN[0], Vec::new());
        while let Some(wave) = next_wave(TURN, at) {
            assert!(wave.start_ns >= at && wave.start_ns + wave.length_ns() < TURN[1] && wave.periods > 0);
            assert!(wave.length_ns() <= SECOND / 2, "a launch is soon over");
            at = wave.start_ns + wave.length_ns();
            waves.push(wave);
        }
        let periods = |hertz: u64| -> u64 {
            waves.iter().filter(|wave| wave.period_ns == SECOND / hertz).map(|wave| wave.periods).sum()
        };
        assert_eq!(HERTZ.map(periods), [250, 100, 25, 5], "five seconds each");
        assert_eq!(next_wave(TURN, TURN[1]), None);
        assert_eq!(next_wave([5, 5], 0), None);
        // Too short for the slowest.
        assert!(next_wave([0, SECOND], 0).is_some_and(|wave| wave.period_ns == SECOND / 50));
    }

    #[test]
    fn the_bound_of_a_launch_grows_where_there_is_time_and_shrinks_where_there_is_none() {
        let wave = Duration::from_millis(240);
        let mut pulse = Pulse { most: 8, ..Pulse::default() };
        let mut after = |milliseconds| {
            pulse.adapt(Duration::from_millis(milliseconds), wave);
            pulse.most
        };
        assert_eq!([30, 240, 300, 30_000, 500, 500, 500].map(&mut after), [16, 32, 32, 16, 8, 4, 2]);
        assert_eq!((after(9000), after(9000)), (1, 1));
        (0..40).for_each(|_| _ = after(1));
        assert_eq!(after(1), MAX_BURSTS);
    }

    #[test]
    fn gpus_that_ask_at_any_time_and_whose_timers_differ_are_in_phase() {
        // Timers by their distance to the host's clock; each was read within 80 microseconds.
        let cards = [0i64, 1_234_567_891, -3_333_333, 1 << 60];
        for asked in [0, 1, 4_999_999_999, 5_100_000_000, 9_876_543_210, 15_000_000_001, 18_400_000_000] {
            let mut edges = Vec::new();
            for (index, ahead) in (0..).zip(cards) {
                // Each is later than the one before by some hundred microseconds, and by longer than a period.
                let now = TURN[0] + asked + index * 21_300_000;
                let wave = next_wave(TURN, now + MARGIN_NS).unwrap();
                let on_card = |host: u64| host.wrapping_add_signed(ahead);
                let timer = Timer::between(now - 90_000, on_card(now - 70_000), now - 10_000);
                // Where the edge is by the host's clock.
                let edge = timer.on_card(wave.start_ns).wrapping_add_signed(-ahead);
                assert!(edge.abs_diff(wave.start_ns) <= timer.uncertain_ns, "{edge} {wave:?}");
                edges.push((edge, wave.period_ns, timer.uncertain_ns));
            }
            for pair in edges.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
                let period = pair[0].1;
                let apart = pair[0].0.abs_diff(pair[1].0) % period;
                assert!(apart.min(period - apart) <= pair[0].2 + pair[1].2, "{asked}: {pair:?}");
            }
        }
    }
}
