//! What the machine says of itself under load: temperatures, clock rates and counters.
//!
//! Reads `/sys/class/hwmon`, `/sys/class/thermal`, `cpufreq`, `thermal_throttle`, EDAC
//! (Documentation/admin-guide/ras.rst) and `/proc/interrupts`. Needs no privilege. Units: millidegrees Celsius and
//! kilohertz, as the kernel gives them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::Reading;
use crate::host::Host;

/// Temperature sensors that are followed. A large server has about 300.
const MAX_SENSORS: usize = 512;
/// DIMMs and controllers that are followed.
const MAX_EDAC: usize = 1024;
const CPU: &str = "/sys/devices/system/cpu";
const EDAC: &str = "/sys/devices/system/edac/mc";

/// The temperature sensors of the machine, found once a session.
#[derive(Debug, Clone)]
pub struct Sensors {
    temperatures: Vec<(String, String)>,
    found: Reading<()>,
}

/// Clock rates of all CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frequencies {
    /// Slowest CPU.
    pub min_khz: u64,
    /// Arithmetic mean.
    pub mean_khz: u64,
    /// Fastest CPU.
    pub max_khz: u64,
}

/// Error counters of memory by source: `mc0`, or the label of a DIMM.
pub type Counts = BTreeMap<String, u64>;

/// One look at everything. Counters are absolute, as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Millidegrees Celsius, in the order of the session's sensor list; `None` where one did not answer.
    pub temperatures: Reading<Vec<Option<i64>>>,
    /// Clock rates.
    pub frequencies: Reading<Frequencies>,
    /// Thermal throttle events: `core` (sum over CPUs) and `package` (sum over packages).
    pub throttle: Reading<Counts>,
    /// Corrected errors by memory controller.
    pub corrected: Reading<Counts>,
    /// Uncorrected errors by memory controller.
    pub uncorrected: Reading<Counts>,
    /// Corrected and uncorrected errors by DIMM.
    pub dimms: Reading<Counts>,
    /// Machine-check exceptions, summed over CPUs (`MCE`; the periodic polls, `MCP`, are no errors).
    pub machine_checks: Reading<u64>,
}

impl Sensors {
    /// Looks for sensors.
    pub fn find(host: &dyn Host) -> Self {
        let mut temperatures = Vec::new();
        let hwmon = host.list("/sys/class/hwmon");
        for chip in hwmon.as_ref().into_known().into_iter().flatten() {
            let folder = format!("/sys/class/hwmon/{chip}");
            let name = label(host, &format!("{folder}/name")).unwrap_or_else(|| chip.clone());
            for file in host.list(&folder).into_known().unwrap_or_default() {
                let Some(sensor) = file.strip_suffix("_input").filter(|sensor| sensor.starts_with("temp")) else {
                    continue;
                };
                let label = label(host, &format!("{folder}/{sensor}_label")).unwrap_or_else(|| sensor.to_owned());
                temperatures.push((format!("{name}/{label}"), format!("{folder}/{file}")));
            }
        }
        let zones = host.list("/sys/class/thermal");
        for zone in zones.as_ref().into_known().into_iter().flatten() {
            if zone.starts_with("thermal_zone") {
                let folder = format!("/sys/class/thermal/{zone}");
                let kind = label(host, &format!("{folder}/type")).unwrap_or_default();
                temperatures.push((format!("{zone}/{kind}"), format!("{folder}/temp")));
            }
        }
        temperatures.truncate(MAX_SENSORS);
        let found = match (hwmon, zones) {
            _ if !temperatures.is_empty() => Reading::Known(()),
            (Reading::Known(_) | Reading::Absent, Reading::Known(_) | Reading::Absent) => Reading::Absent,
            (Reading::Known(_) | Reading::Absent, other) | (other, _) => other.map(|_| ()),
        };
        Self { temperatures, found }
    }

    /// Names, as the chips give them: hostile until escaped.
    pub fn names(&self) -> Vec<String> {
        self.temperatures.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Reads everything once.
    pub fn sample(&self, host: &dyn Host) -> Sample {
        let cpus = cpu_folders(host);
        let edac = Edac::read(host);
        Sample {
            temperatures: self.found.clone().map(|()| {
                let read = |path: &String| {
                    let text = host.read(path).text().into_known()?;
                    // 1,000 °C and absolute zero: beyond them a register holds no temperature.
                    text.parse::<i64>().ok().filter(|value| (-273_150..1_000_000).contains(value))
                };
                self.temperatures.iter().map(|(_, path)| read(path)).collect()
            }),
            frequencies: frequencies(host, &cpus),
            throttle: throttle(host, &cpus),
            corrected: edac.corrected,
            uncorrected: edac.uncorrected,
            dimms: edac.dimms,
            machine_checks: machine_checks(host),
        }
    }
}

impl Sample {
    /// The hottest sensor, in millidegrees.
    pub fn hottest(&self) -> Option<i64> {
        self.temperatures.known()?.iter().flatten().copied().max()
    }
}

/// Short device text.
fn label(host: &dyn Host, path: &str) -> Option<String> {
    let text = host.read(path).text().into_known()?;
    Some(text.chars().take(64).collect())
}

fn cpu_folders(host: &dyn Host) -> Reading<Vec<String>> {
    host.list(CPU).map(|names| {
        let is_cpu = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
        names.into_iter().filter(is_cpu).map(|name| format!("{CPU}/{name}")).collect()
    })
}

/// `cpufreq/scaling_cur_freq`, or `cpu MHz` of `/proc/cpuinfo` where there is no driver.
fn frequencies(host: &dyn Host, cpus: &Reading<Vec<String>>) -> Reading<Frequencies> {
    let driver = cpus.known().into_iter().flatten().map(|cpu| host.read(&format!("{cpu}/cpufreq/scaling_cur_freq")));
    let mut rates: Vec<u64> = driver.map_while(|reading| reading.number().into_known()).collect();
    if rates.is_empty() {
        let text = host.read("/proc/cpuinfo").map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = match text {
            Reading::Known(text) => text,
            other => return other.and_then(|_| Reading::Absent),
        };
        let megahertz = text.lines().filter_map(|line| {
            line.strip_prefix("cpu MHz")?.trim_start().strip_prefix(':')?.trim().parse::<f64>().ok()
        });
        rates = megahertz.map(|rate| (rate.clamp(0.0, 1e6) * 1000.0) as u64).collect();
    }
    let (Some(&min_khz), Some(&max_khz)) = (rates.iter().min(), rates.iter().max()) else { return Reading::Absent };
    let mean_khz = rates.iter().sum::<u64>() / rates.len() as u64;
    Reading::Known(Frequencies { min_khz, mean_khz, max_khz })
}

/// `thermal_throttle/{core,package}_throttle_count`: per core, and once for each package.
fn throttle(host: &dyn Host, cpus: &Reading<Vec<String>>) -> Reading<Counts> {
    cpus.as_ref().and_then(|cpus| {
        let mut core = 0u64;
        let mut packages = BTreeMap::new();
        for cpu in cpus {
            match host.read(&format!("{cpu}/thermal_throttle/core_throttle_count")).number() {
                Reading::Known(count) => core = core.saturating_add(count),
                other => return other.and_then(|_| Reading::Absent),
            }
            let package = host.read(&format!("{cpu}/topology/physical_package_id")).text().into_known();
            let count = host.read(&format!("{cpu}/thermal_throttle/package_throttle_count")).number().into_known();
            packages.extend(count.map(|count| (package, count)));
        }
        if cpus.is_empty() {
            return Reading::Absent;
        }
        let mut counts = BTreeMap::from([("core".to_owned(), core)]);
        if !packages.is_empty() {
            let package = packages.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
            counts.insert("package".to_owned(), package);
        }
        Reading::Known(counts)
    })
}

struct Edac {
    corrected: Reading<Counts>,
    uncorrected: Reading<Counts>,
    dimms: Reading<Counts>,
}

impl Edac {
    fn read(host: &dyn Host) -> Self {
        let controllers = host.list(EDAC).map(|names| {
            let is_controller =
                |name: &String| name.strip_prefix("mc").is_some_and(|number| number.parse::<u32>().is_ok());
            names.into_iter().filter(is_controller).take(MAX_EDAC).collect::<Vec<_>>()
        });
        // An EDAC core without a driver for this memory controller counts nothing.
        let controllers = controllers.and_then(|names| match names.is_empty() {
            true => Reading::Absent,
            false => Reading::Known(names),
        });
        let by_controller = |file: &str| {
            controllers.as_ref().and_then(|names| {
                let mut counts = Counts::new();
                for name in names {
                    match host.read(&format!("{EDAC}/{name}/{file}")).number() {
                        Reading::Known(count) => counts.insert(name.clone(), count),
                        other => return other.map(|_| Counts::new()),
                    };
                }
                Reading::Known(counts)
            })
        };
        let dimms = controllers.as_ref().map(|names| {
            let mut counts = Counts::new();
            for name in names {
                for dimm in host.list(&format!("{EDAC}/{name}")).into_known().unwrap_or_default() {
                    if !(dimm.starts_with("dimm") || dimm.starts_with("rank")) || counts.len() >= MAX_EDAC {
                        continue;
                    }
                    let folder = format!("{EDAC}/{name}/{dimm}");
                    let label =
                        label(host, &format!("{folder}/dimm_label")).unwrap_or_else(|| format!("{name}/{dimm}"));
                    let read = |file: &str| host.read(&format!("{folder}/{file}")).number().into_known();
                    if let (Some(corrected), Some(uncorrected)) = (read("dimm_ce_count"), read("dimm_ue_count")) {
                        let count = counts.entry(label).or_default();
                        *count = count.saturating_add(corrected).saturating_add(uncorrected);
                    }
                }
            }
            counts
        });
        let dimms = dimms.and_then(|counts| if counts.is_empty() { Reading::Absent } else { Reading::Known(counts) });
        Self { corrected: by_controller("ce_count"), uncorrected: by_controller("ue_count"), dimms }
    }
}

/// The `MCE` line of `/proc/interrupts`: a column for each CPU, then the name.
fn machine_checks(host: &dyn Host) -> Reading<u64> {
    host.read("/proc/interrupts").and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("MCE:"));
        let Some(line) = line else { return Reading::Absent };
        let counts: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        match counts.is_empty() {
            true => Reading::Failed("the MCE line of /proc/interrupts has no number".to_owned()),
            false => Reading::Known(counts.into_iter().fold(0, u64::saturating_add)),
        }
    })
}

/// How much a group of counters has grown over a run. A counter that is missing at either end of a session, or runs
/// backwards in one, has no growth rather than none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Growth {
    counts: Counts,
    /// Last sample of the session.
    last: Option<Reading<Counts>>,
    /// Last one of the session that had numbers.
    good: Option<Counts>,
    /// Why there is no number for the run as a whole.
    broken: Option<Reading<()>>,
}

impl Growth {
    /// A new session: the machine may have been started again, and its counters with it.
    pub(super) fn open_session(&mut self) {
        if let Some(last) = self.last.take() {
            self.need(&last);
        }
        self.good = None;
    }

    /// Takes the next sample of the session.
    pub(super) fn add(&mut self, now: &Reading<Counts>) {
        if self.last.is_none() {
            self.need(now);
        }
        if let Reading::Known(now) = now {
            for (name, before) in self.good.take().into_iter().flatten() {
                match now.get(&name) {
                    Some(&count) if count >= before => {
                        let sum = self.counts.entry(name).or_default();
                        *sum = sum.saturating_add(count - before);
                    }
                    Some(_) => self.need(&Reading::Failed("a counter ran backwards".to_owned())),
                    None => self.need(&Reading::Failed("a counter vanished".to_owned())),
                }
            }
            self.good = Some(now.clone());
        }
        self.last = Some(now.clone());
    }

    /// Keeps the first reason why a number that is needed is missing.
    fn need(&mut self, reading: &Reading<Counts>) {
        if reading.known().is_none() && self.broken.is_none() {
            self.broken = Some(reading.as_ref().map(|_| ()));
        }
    }

    /// Growth by counter, those that did not grow included only if they grew once.
    pub fn counts(&self) -> Reading<Counts> {
        if let Some(reason) = &self.broken {
            return reason.clone().map(|()| Counts::new());
        }
        match &self.last {
            Some(last) => last.as_ref().map(|_| self.counts.clone()),
            None => Reading::Failed("never sampled".to_owned()),
        }
    }

    /// Growth of all counters together.
    pub fn total(&self) -> Reading<u64> {
        self.counts().map(|counts| counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(counts: &[(&str, u64)]) -> Reading<Counts> {
        Reading::Known(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    #[test]
    fn growth_sums_sessions_and_starts_anew_with_each() {
        let mut growth = Growth::default();
        for sample in [known(&[("mc0", 5)]), Reading::Failed("once".to_owned()), known(&[("mc0", 7)])] {
            growth.add(&sample);
        }
        growth.open_session();
        growth.add(&known(&[("mc0", 0)]));
        growth.add(&known(&[("mc0", 1)]));
        assert_eq!(growth.total(), Reading::Known(3));
    }

    #[test]
    fn a_counter_that_is_missing_at_an_end_has_not_grown_by_zero() {
        let ends = [vec![Reading::Absent, known(&[("mc0", 1)])], vec![known(&[("mc0", 1)]), Reading::Absent]];
        for samples in ends {
            let mut growth = Growth::default();
            samples.iter().for_each(|sample| growth.add(sample));
            assert_eq!(growth.total(), Reading::Absent);
            growth.open_session();
            growth.add(&known(&[("mc0", 1)]));
            assert_eq!(growth.total(), Reading::Absent, "the earlier session stays unknown");
        }
        let mut growth = Growth::default();
        growth.add(&known(&[("mc0", 3)]));
        growth.add(&known(&[("mc0", 2)]));
        assert_eq!(growth.total().state(), "failed");
        assert_eq!(Growth::default().total().state(), "failed");
    }
}
