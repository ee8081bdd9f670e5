//! What the records of a run say about one GPU.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Serialize, Serializer};

use super::aggregate::{Throttle, Window};
use super::cuda::MAX_SCALE;
use super::measure::{Distribution, Measurement, Quantity};
use super::message::{Counters, Identity, KernelTest, Missing, Outcome, SmLatencies, Step};
use super::peers::PeerCopies;
use crate::burn::telemetry::{Counts, Growth};
use crate::evidence::Reading;

/// Temperatures of the last so many milliseconds under load decide whether they still rise.
const STEADY_MS: u64 = 180_000;
/// With less than that nothing is decided.
const MIN_STEADY_MS: u64 = 45_000;
/// Degrees Celsius a minute, in thousandths, from which temperatures count as moving.
const STEADY_SLOPE: i64 = 1000;
/// Measurements, kernels and numbers that one GPU can have: more are not this tool's.
const MAX_KERNELS: usize = 256;
const MAX_SMS: usize = 4096;
const MAX_REGIONS: usize = 64;
const MAX_XIDS: usize = 64;
/// Names of the counters that are followed.
pub(super) const COUNTERS: &[&str] =
    &["ecc.corrected", "ecc.uncorrected", "remap.rows", "pcie.replays", "nvlink.errors"];

/// Values of a whole run: how long each was the median of an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    weights: BTreeMap<u64, u64>,
    range: Option<(u64, u64)>,
}

impl Series {
    fn add(&mut self, window: Option<&Distribution>) {
        let Some(window) = window else { return };
        *self.weights.entry(window.median).or_default() += window.samples;
        let (min, max) = self.range.unwrap_or((window.min, window.max));
        self.range = Some((min.min(window.min), max.max(window.max)));
    }

    /// The highest of the intervals' medians: no single sample moves it.
    pub fn highest_median(&self) -> Option<u64> {
        self.weights.keys().next_back().copied()
    }

    /// Its distribution; the median is that of the intervals' medians by their samples.
    pub fn distribution(&self) -> Option<Distribution> {
        let (min, max) = self.range?;
        let samples: u64 = self.weights.values().sum();
        let mut below = 0;
        let median = self.weights.iter().find_map(|(&value, weight)| {
            below += weight;
            (below * 2 >= samples).then_some(value)
        })?;
        Some(Distribution { samples, min, median, max })
    }
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.distribution().serialize(serializer)
    }
}

/// Telemetry of a GPU over a run, under load only but for counters.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Telemetry {
    /// Milliseconds that samples under load stand for.
    pub load_ms: u64,
    /// Intervals under load without a sample.
    pub gaps: u64,
    /// Why there was none in the last interval without one.
    pub failure: Option<String>,
    /// Power drawn, milliwatts.
    pub power_milliwatts: Series,
    /// Power limit in force at the end, milliwatts.
    pub power_limit_milliwatts: Option<u64>,
    /// Temperature of the GPU, degrees Celsius.
    pub gpu_celsius: Series,
    /// Temperature of the memory, degrees Celsius.
    pub memory_celsius: Series,
    /// Temperature from which clocks are held down.
    pub slowdown_celsius: Option<u64>,
    /// Smallest distance to it that the driver told: of each interval the median.
    pub margin_celsius: Option<i64>,
    /// SM clock, MHz.
    pub sm_mhz: Series,
    /// Memory clock, MHz.
    pub memory_mhz: Series,
    /// Fan, percent.
    pub fan_percent: Series,
    /// Time with a kernel running, percent.
    pub utilisation_percent: Series,
    /// PCIe generation.
    pub link_generation: Series,
    /// PCIe lanes.
    pub link_width: Series,
    /// Milliseconds under load by reason for lower clocks; `None` where the driver never told.
    pub throttle: Option<Throttle>,
    /// Milliseconds under load for which it did.
    pub throttle_ms: u64,
    /// Growth of counters by name.
    pub counters: BTreeMap<String, Growth>,
    /// XIDs that the driver told.
    pub xids: Vec<u64>,
    /// Active time in milliseconds and median temperature of the last intervals under load.
    #[serde(skip)]
    recent: VecDeque<(u64, u64)>,
}

impl Telemetry {
    fn add(&mut self, elapsed_ms: u64, load: bool, window: &Window) {
        for name in COUNTERS {
            let count = window.counters.get(*name);
            let reading = Reading::or_absent(count.map(|&count| Counts::from([((*name).to_owned(), count)])));
            self.counters.entry((*name).to_owned()).or_default().add(&reading);
        }
        self.xids.extend(&window.xids);
        self.xids.truncate(MAX_XIDS);
        if !load {
            return;
        }
        self.load_ms = self.load_ms.saturating_add(window.milliseconds);
        self.power_milliwatts.add(window.power_milliwatts.as_ref());
        self.gpu_celsius.add(window.gpu_celsius.as_ref());
        self.memory_celsius.add(window.memory_celsius.as_ref());
        self.sm_mhz.add(window.sm_mhz.as_ref());
        self.memory_mhz.add(window.memory_mhz.as_ref());
        self.fan_percent.add(window.fan_percent.as_ref());
        self.utilisation_percent.add(window.utilisation_percent.as_ref());
        self.link_generation.add(window.link_generation.as_ref());
        self.link_width.add(window.link_width.as_ref());
        self.power_limit_milliwatts = window.power_limit_milliwatts.or(self.power_limit_milliwatts);
        self.slowdown_celsius = window.slowdown_celsius.or(self.slowdown_celsius);
        self.margin_celsius = [self.margin_celsius, window.margin_celsius].into_iter().flatten().min();
        if let Some(times) = &window.throttle {
            self.throttle_ms = self.throttle_ms.saturating_add(window.milliseconds);
            let all = self.throttle.get_or_insert_default();
            for (name, milliseconds) in times {
                let sum = all.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*milliseconds);
            }
        }
        if let Some(celsius) = &window.gpu_celsius {
            self.recent.push_back((elapsed_ms, celsius.median));
            while self.recent.front().is_some_and(|(at, _)| elapsed_ms - at > STEADY_MS) {
                self.recent.pop_front();
            }
        }
    }

    /// Whether the temperature under load had stopped to rise: its slope over the last minutes, by least squares.
    pub fn steady(&self) -> Reading<bool> {
        self.slope().map(|slope| slope.abs() <= STEADY_SLOPE)
    }

    /// Thousandths of a degree Celsius a minute over the last minutes under load.
    pub fn slope(&self) -> Reading<i64> {
        let (Some((first, _)), Some((last, _))) = (self.recent.front(), self.recent.back()) else {
            return Reading::Failed(self.failure.clone().unwrap_or_else(|| "no temperature under load".to_owned()));
        };
        if last - first < MIN_STEADY_MS {
            return Reading::Failed(format!("only {} s under load", (last - first) / 1000));
        }
        let count = self.recent.len() as f64;
        let minutes = |at: u64| (at - first) as f64 / 60_000.0;
        let mean_x = self.recent.iter().map(|(at, _)| minutes(*at)).sum::<f64>() / count;
        let mean_y = self.recent.iter().map(|(_, celsius)| *celsius as f64).sum::<f64>() / count;
        let (mut above, mut below) = (0.0, 0.0);
        for (at, celsius) in &self.recent {
            let x = minutes(*at) - mean_x;
            above += x * (*celsius as f64 - mean_y);
            below += x * x;
        }
        Reading::Known((above / below * 1000.0) as i64)
    }

    fn open_session(&mut self) {
        self.counters.values_mut().for_each(Growth::open_session);
        self.recent.clear();
    }
}

/// Totals of all sessions.
pub type Totals = Counters;

/// What the records of a run say about one GPU.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GpuSummary {
    /// Sessions that started a worker for it.
    pub started: u32,
    /// What the CUDA driver says of it.
    pub identity: Option<Identity>,
    /// Kernels by name.
    pub kernels: BTreeMap<String, KernelTest>,
    /// Results by what they are of.
    pub measurements: BTreeMap<Quantity, Measurement>,
    /// What has none, and why; `None` where the chip has no such thing.
    pub missing: BTreeMap<Quantity, Option<String>>,
    /// Clocks of a load by SM and region of the memory; experimental, never judged.
    pub latencies: Vec<SmLatencies>,
    /// Steps that have ended.
    pub done: BTreeSet<Step>,
    /// Turns of the steps that are repeated.
    pub turns: u64,
    /// Totals of all sessions.
    pub totals: Totals,
    /// Telemetry.
    pub telemetry: Telemetry,
    /// Copies from it to other GPUs.
    pub peers: Vec<PeerCopies>,
    /// Why copies to a GPU could not be made.
    pub missing_peers: BTreeMap<String, String>,
    /// Why there are no more.
    pub no_peers: Option<String>,
    /// The step that runs, or ran when it ended.
    pub step: Option<Step>,
    /// How the last session ended; `None` while it runs, or when it was cut off.
    pub outcome: Option<Outcome>,
    /// Totals of the sessions that have ended.
    #[serde(skip)]
    before: Totals,
    /// Errors of memory and arithmetic that were told one by one in this session.
    #[serde(skip)]
    told: (u64, u64),
    #[serde(skip)]
    running: bool,
}

impl GpuSummary {
    pub(in crate::burn) fn is_running(&self) -> bool {
        self.running
    }

    /// Whether copies to all others of so many GPUs were measured.
    pub(in crate::burn) fn has_peers(&self, gpus: usize) -> bool {
        self.peers.len() + 1 >= gpus
    }

    /// Why there is nothing of copies to that GPU.
    pub(super) fn why_no_copies(&self, to: &str) -> String {
        let why = self.missing_peers.get(to).or(self.no_peers.as_ref());
        why.cloned().unwrap_or_else(|| "copies were not measured".to_owned())
    }

    pub(in crate::burn) fn start(&mut self) -> Result<(), &'static str> {
        if self.running {
            return Err("a GPU's worker starts twice");
        }
        self.started += 1;
        (self.running, self.outcome, self.step, self.told) = (true, None, None, (0, 0));
        Ok(())
    }

    pub(in crate::burn) fn identity(&mut self, identity: &Identity) -> Result<(), &'static str> {
        let scale = identity.simulated.is_none_or(|scale| (1..=MAX_SCALE).contains(&scale));
        if !scale || identity.sm_count == 0 || identity.sm_count as usize > MAX_SMS || identity.memory_bytes >= 1 << 50
        {
            return Err("a GPU that cannot be");
        }
        self.identity = Some(identity.clone());
        Ok(())
    }

    pub(in crate::burn) fn kernel(&mut self, test: &KernelTest) -> Result<(), &'static str> {
        if self.kernels.len() >= MAX_KERNELS {
            return Err("too many kernels");
        }
        self.kernels.insert(test.kernel.clone(), test.clone());
        Ok(())
    }

    pub(in crate::burn) fn measured(&mut self, result: &Measurement) -> Result<(), &'static str> {
        if result.unit != result.quantity.unit() || !result.distribution.is_sound() {
            return Err("a measurement that cannot be");
        }
        let failed = |kernel: &String| self.kernels.get(kernel).is_none_or(|test| test.failure.is_some());
        if result.kernel.as_ref().is_some_and(failed) {
            return Err("a measurement by a kernel that was not validated");
        }
        self.missing.remove(&result.quantity);
        self.measurements.insert(result.quantity, result.clone());
        Ok(())
    }

    pub(in crate::burn) fn latencies(&mut self, rows: &[SmLatencies]) -> Result<(), &'static str> {
        if rows.len() > MAX_SMS || rows.iter().any(|row| row.clocks.len() > MAX_REGIONS) {
            return Err("latencies that cannot be");
        }
        self.latencies = rows.to_vec();
        Ok(())
    }

    pub(in crate::burn) fn missing(&mut self, missing: &Missing) {
        if !self.measurements.contains_key(&missing.quantity) {
            self.missing.insert(missing.quantity, missing.reason.clone());
        }
    }

    pub(in crate::burn) fn done(&mut self, step: Step, counters: &Counters) -> Result<(), &'static str> {
        if Step::ONCE.contains(&step) {
            self.done.insert(step);
        } else {
            self.turns += 1;
        }
        self.count(counters)
    }

    pub(in crate::burn) fn sample(
        &mut self,
        elapsed_ms: u64,
        step: Option<Step>,
        counters: Option<&Counters>,
        window: &Reading<Window>,
    ) -> Result<(), &'static str> {
        self.step = step.or(self.step);
        match window {
            Reading::Known(window) if !window.is_sound() => return Err("telemetry that cannot be"),
            Reading::Known(window) => self.telemetry.add(elapsed_ms, step.is_some_and(Step::is_load), window),
            other => {
                let why = match other {
                    Reading::Failed(why) => why.clone(),
                    other => format!("telemetry is {}", other.state()),
                };
                self.telemetry.gaps += u64::from(step.is_some_and(Step::is_load));
                self.telemetry.failure = Some(why);
            }
        }
        counters.map_or(Ok(()), |counters| self.count(counters))
    }

    /// An error that was told: a worker may die before it counts it.
    pub(in crate::burn) fn memory_error(&mut self) {
        self.told.0 += 1;
        let least = self.before.memory_errors.saturating_add(self.told.0);
        self.totals.memory_errors = self.totals.memory_errors.max(least);
    }

    pub(in crate::burn) fn compute_error(&mut self, sm: u32) {
        if self.totals.bad_sms.len() < MAX_SMS {
            self.totals.bad_sms.insert(sm);
        }
        self.told.1 += 1;
        let least = self.before.compute_errors.saturating_add(self.told.1);
        self.totals.compute_errors = self.totals.compute_errors.max(least);
    }

    pub(in crate::burn) fn end(
        &mut self,
        step: Option<Step>,
        outcome: &Outcome,
        counters: Option<&Counters>,
    ) -> Result<(), &'static str> {
        if let Some(counters) = counters {
            self.count(counters)?;
        }
        self.step = step.or(self.step);
        self.outcome = Some(outcome.clone());
        self.running = false;
        self.before = self.totals.clone();
        Ok(())
    }

    /// The session is over, with or without the end of the worker.
    pub(in crate::burn) fn close(&mut self) {
        self.running = false;
        self.before = self.totals.clone();
        self.telemetry.open_session();
    }

    fn count(&mut self, now: &Counters) -> Result<(), &'static str> {
        if now.tested_bytes > now.allocated_bytes || now.total_bytes >= 1 << 50 || now.bad_sms.len() > MAX_SMS {
            return Err("counters that cannot be");
        }
        let (before, told) = (&self.before, &self.totals);
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        self.totals = Counters {
            total_bytes: now.total_bytes.max(before.total_bytes),
            free_bytes: now.free_bytes.max(before.free_bytes),
            allocated_bytes: now.allocated_bytes.max(before.allocated_bytes),
            tested_bytes: now.tested_bytes.max(before.tested_bytes),
            written_bytes: now.written_bytes.saturating_add(before.written_bytes),
            verified_bytes: now.verified_bytes.saturating_add(before.verified_bytes),
            memory_errors: now.memory_errors.saturating_add(before.memory_errors).max(told.memory_errors),
            aliased: now.aliased.saturating_add(before.aliased),
            first_wrong: least(now.first_wrong, before.first_wrong),
            last_wrong: now.last_wrong.max(before.last_wrong),
            first_aliased: least(now.first_aliased, before.first_aliased),
            wrong_bits: or_hex(&now.wrong_bits, &before.wrong_bits)?,
            bits_lost: now.bits_lost.saturating_add(before.bits_lost),
            bits_gained: now.bits_gained.saturating_add(before.bits_gained),
            checked_blocks: now.checked_blocks.saturating_add(before.checked_blocks),
            compute_errors: now.compute_errors.saturating_add(before.compute_errors).max(told.compute_errors),
            bad_sms: now.bad_sms.iter().chain(&told.bad_sms).copied().collect(),
        };
        Ok(())
    }

    /// Whether every step of the test has ended and the worker ran until it was done; if not, why.
    pub fn assessed(&self) -> Result<(), String> {
        match &self.outcome {
            None if self.started == 0 => Err("its test never started".to_owned()),
            None => Err("its test was cut off".to_owned()),
            Some(Outcome::Stopped) => Err("its test was interrupted".to_owned()),
            Some(Outcome::NotMeasured { reason }) => Err(reason.clone()),
            Some(Outcome::Lost { step, reason }) => Err(format!("it was lost in step {}: {reason}", step.as_str())),
            Some(Outcome::WorkerCrashed { step, signal, .. }) => Err(format!(
                "its worker died{}{}",
                signal.map_or(String::new(), |signal| format!(" of signal {signal}")),
                in_step(*step)
            )),
            Some(Outcome::WorkerHung { step, seconds }) => {
                Err(format!("its worker said nothing for {seconds} s{}", in_step(*step)))
            }
            Some(Outcome::Finished) => match Step::ONCE.iter().find(|step| !self.done.contains(step)) {
                Some(step) => Err(format!("the time ended before step {} did", step.as_str())),
                // Steps end without their kernels, too.
                None if self.totals.tested_bytes == 0 => Err("none of its memory was tested".to_owned()),
                None if self.totals.checked_blocks == 0 => Err("none of its arithmetic was checked".to_owned()),
                None => Ok(()),
            },
        }
    }

    /// Whether something speaks against the GPU.
    pub fn has_errors(&self) -> bool {
        let bad_end = matches!(
            self.outcome,
            Some(Outcome::Lost { .. } | Outcome::WorkerCrashed { .. } | Outcome::WorkerHung { .. })
        );
        let grown = self.telemetry.counters.get("ecc.uncorrected").map(Growth::total);
        let grown = matches!(grown, Some(Reading::Known(1..)));
        let wrong = self.peers.iter().any(|pair| pair.wrong_bytes > Some(0));
        bad_end || grown || wrong || self.totals.memory_errors > 0 || self.totals.compute_errors > 0
    }

    /// Names of kernels that did not give their known answers.
    pub fn not_validated(&self) -> Vec<String> {
        let failed = self.kernels.values().filter_map(|test| {
            let why = test.failure.as_ref()?;
            Some(format!("{}: {why}", test.kernel))
        });
        failed.collect()
    }
}

fn in_step(step: Option<Step>) -> String {
    step.map_or(String::new(), |step| format!(" in step {}", step.as_str()))
}

/// The bits of both masks, 32 hexadecimal digits each or none.
fn or_hex(one: &str, other: &str) -> Result<String, &'static str> {
    let parse = |text: &str| match text.len() {
        0 => Ok(0),
        32 => u128::from_str_radix(text, 16).map_err(|_| "a mask that is no number"),
        _ => Err("a mask of another length"),
    };
    Ok(match parse(one)? | parse(other)? {
        0 => String::new(),
        mask => format!("{mask:032x}"),
    })
}
