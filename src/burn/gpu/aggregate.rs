//! Telemetry of a GPU: ten samples a second, kept as one record for each interval.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::measure::Distribution;
use crate::host::nvml::GpuSample;
use crate::parse::nvml::THROTTLE_REASONS;

/// A sample stands for the time since the one before, but not for a gap.
const MAX_SAMPLE_MS: u64 = 1000;
/// Samples of one interval; an interval is an hour at most.
const MAX_SAMPLES: usize = 40_000;

/// Reasons why clocks are held down, and for how many milliseconds of a window each held.
pub type Throttle = BTreeMap<String, u64>;

/// Key of [`Throttle`] for any reason that is about heat: the driver's own slowdown or the hardware's.
pub(super) const THERMAL: &str = "thermal";
const THERMAL_BITS: u64 = 0x20 | 0x40;

/// What NVML said of a GPU over an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// Samples.
    pub samples: u64,
    /// Time that they stand for.
    pub milliseconds: u64,
    /// Power drawn, milliwatts.
    pub power_milliwatts: Option<Distribution>,
    /// Power limit in force, milliwatts.
    pub power_limit_milliwatts: Option<u64>,
    /// Temperature of the GPU, degrees Celsius.
    pub gpu_celsius: Option<Distribution>,
    /// Temperature of the memory, degrees Celsius.
    pub memory_celsius: Option<Distribution>,
    /// Temperature from which clocks are held down, degrees Celsius.
    pub slowdown_celsius: Option<u64>,
    /// Median distance to the temperature at which clocks are held down, degrees Celsius.
    pub margin_celsius: Option<i64>,
    /// SM clock, MHz.
    pub sm_mhz: Option<Distribution>,
    /// Memory clock, MHz.
    pub memory_mhz: Option<Distribution>,
    /// Fan, percent of its highest speed.
    pub fan_percent: Option<Distribution>,
    /// Time with a kernel running, percent.
    pub utilisation_percent: Option<Distribution>,
    /// Why clocks were held down; `None` where the driver does not tell.
    pub throttle: Option<Throttle>,
    /// PCIe generation.
    pub link_generation: Option<Distribution>,
    /// PCIe lanes.
    pub link_width: Option<Distribution>,
    /// Counters as they stood at the end, by name.
    pub counters: BTreeMap<String, u64>,
    /// XIDs that the driver told.
    pub xids: Vec<u64>,
    /// Whether the driver said that the GPU is lost.
    pub lost: bool,
}

impl Window {
    /// Whether its numbers can belong together.
    pub(super) fn is_sound(&self) -> bool {
        let all = [
            &self.power_milliwatts,
            &self.gpu_celsius,
            &self.memory_celsius,
            &self.sm_mhz,
            &self.memory_mhz,
            &self.fan_percent,
            &self.utilisation_percent,
            &self.link_generation,
            &self.link_width,
        ];
        let throttled = self.throttle.iter().flatten().all(|(_, &milliseconds)| milliseconds <= self.milliseconds);
        all.into_iter().flatten().all(Distribution::is_sound) && throttled && self.milliseconds < 1 << 40
    }
}

/// Collects the samples of one interval.
#[derive(Debug)]
pub(super) struct Collector {
    begin: Instant,
    last: Option<Instant>,
    samples: Vec<(GpuSample, u64)>,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), last: None, samples: Vec::new() }
    }

    pub(super) fn add(&mut self, sample: GpuSample) {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.last.replace(now).unwrap_or(self.begin));
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push((sample, (since.as_millis() as u64).min(MAX_SAMPLE_MS)));
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The window of everything so far; `None` without a sample. A new one begins.
    pub(super) fn close(&mut self) -> Option<Window> {
        let samples = std::mem::take(&mut self.samples);
        self.begin = Instant::now();
        window(&samples)
    }
}

fn window(samples: &[(GpuSample, u64)]) -> Option<Window> {
    let (last, _) = samples.last()?;
    let of = |get: fn(&GpuSample) -> Option<u64>| {
        Distribution::of(samples.iter().filter_map(|(sample, _)| get(sample)).collect())
    };
    let latest = |get: fn(&GpuSample) -> Option<u64>| samples.iter().rev().find_map(|(sample, _)| get(sample));
    let milliseconds = samples.iter().map(|(_, milliseconds)| milliseconds).sum();
    let mut throttle = None;
    for (sample, milliseconds) in samples {
        let Some(bits) = sample.throttle_reasons else { continue };
        let times: &mut Throttle = throttle.get_or_insert_default();
        let reasons = THROTTLE_REASONS.iter().enumerate().map(|(bit, name)| (1 << bit, *name));
        for (mask, name) in reasons.chain([(THERMAL_BITS, THERMAL)]) {
            let held = if bits & mask == 0 { 0 } else { *milliseconds };
            *times.entry(name.to_owned()).or_default() += held;
        }
    }
    let mut counters = BTreeMap::new();
    for (sample, _) in samples {
        for (name, count) in &sample.counters {
            counters.insert(name.clone(), *count);
        }
    }
    Some(Window {
        samples: samples.len() as u64,
        milliseconds,
        power_milliwatts: of(|sample| sample.power_milliwatts),
        power_limit_milliwatts: latest(|sample| sample.power_limit_milliwatts),
        gpu_celsius: of(|sample| sample.gpu_celsius),
        memory_celsius: of(|sample| sample.memory_celsius),
        slowdown_celsius: latest(|sample| sample.slowdown_celsius),
        margin_celsius: median(samples.iter().filter_map(|(sample, _)| sample.margin_celsius).collect()),
        sm_mhz: of(|sample| sample.sm_mhz),
        memory_mhz: of(|sample| sample.memory_mhz),
        fan_percent: of(|sample| sample.fan_percent),
        utilisation_percent: of(|sample| sample.utilisation_percent),
        throttle,
        link_generation: of(|sample| sample.link_generation),
        link_width: of(|sample| sample.link_width),
        counters,
        xids: samples.iter().flat_map(|(sample, _)| sample.xids.iter().copied()).take(64).collect(),
        lost: last.lost,
    })
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(power: u64, bits: u64) -> GpuSample {
        let margin_celsius = Some(if power > 500_000 { -170 } else { 25 });
        GpuSample {
            power_milliwatts: Some(power),
            throttle_reasons: Some(bits),
            margin_celsius,
            ..GpuSample::default()
        }
    }

    #[test]
    fn each_reason_has_its_own_time_and_heat_is_counted_once() {
        let samples = [(sample(300_000, 0x60), 100), (sample(310_000, 0x84), 100), (sample(900_000, 0), 100)];
        let window = window(&samples).unwrap();
        let throttle = window.throttle.as_ref().unwrap();
        let times = [THERMAL, "sw-thermal-slowdown", "hw-power-brake-slowdown", "sw-power-cap", "idle"]
            .map(|name| throttle[name]);
        assert_eq!(times, [100, 100, 100, 100, 0]);
        assert_eq!(window.power_milliwatts.unwrap().median, 310_000);
        assert_eq!(window.margin_celsius, Some(25), "one sample that cannot be moves nothing");
        assert_eq!(window.gpu_celsius, None, "what no sample had is not there");
        assert!(window.is_sound());
    }
}
