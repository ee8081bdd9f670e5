//! What a burn says of each GPU, as facts on the part `gpu:<address>`.
//!
//! Offsets count bytes from the beginning of the memory under test, in the order in which it was allocated.

use super::aggregate::THERMAL;
use super::measure::{Distribution, Quantity};
use super::message::{Outcome, Step};
use super::summary::{GpuSummary, Telemetry};
use crate::burn::Summary;
use crate::burn::telemetry::Growth;
use crate::evidence::Kind::{Bool, Integer, List, Text};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading, Value};
use crate::parse::nvml::THROTTLE_REASONS;

const SOURCE: &str = "burn records";

const OWN: &[FactDef] = &[
    FactDef::new(
        "gpu.burn.completed",
        Bool,
        "whether every step of the GPU's test ended and its worker ran until the time was used",
    ),
    FactDef::new(
        "gpu.burn.steps",
        List,
        "steps of the test that ended: setup, self-test, allocate, address, bandwidth and so on",
    ),
    FactDef::new(
        "gpu.burn.not_measured",
        List,
        "what was not measured, with the reason: 'rate-fp16: why'; what the chip does not have is not in it",
    ),
    FactDef::new(
        "gpu.burn.kernels_not_validated",
        List,
        "kernels that did not give their known answers on this driver, with the reason; their results do not count",
    ),
    FactDef::new("gpu.burn.kernel_files", List, "kernel files that ran, with form and SHA-256: 'memory fatbin 12ab'"),
    FactDef::new("gpu.burn.lost", Bool, "whether the driver lost the GPU, or its context, in the middle of the test"),
    FactDef::new("gpu.burn.lost_reason", Text, "what CUDA said then; absent where it was not lost"),
    FactDef::new("gpu.burn.hung_step", Text, "the step in which the GPU never answered again; absent where it did"),
    FactDef::new(
        "gpu.burn.crashed_step",
        Text,
        "the step in which the GPU's worker process died; absent where it did not",
    ),
    FactDef::new("gpu.burn.total_bytes", Integer, "memory that CUDA says the GPU has, in bytes"),
    FactDef::new("gpu.burn.free_bytes", Integer, "memory that was free before the test, in bytes"),
    FactDef::new(
        "gpu.burn.tested_bytes",
        Integer,
        "memory that held its own addresses when all of it was written, in bytes",
    ),
    FactDef::new(
        "gpu.burn.coverage_permille",
        Integer,
        "tested memory in thousandths of what CUDA says the GPU has, rounded down",
    ),
    FactDef::new(
        "gpu.burn.memory_errors",
        Integer,
        "16-byte vectors that did not hold what was written, all passes added",
    ),
    FactDef::new(
        "gpu.burn.aliased_vectors",
        Integer,
        "16-byte vectors that held what was written to another address, all passes added: memory that is not there",
    ),
    FactDef::new(
        "gpu.burn.first_aliased_address",
        Text,
        "smallest offset with another address's content, hexadecimal; absent where there is none",
    ),
    FactDef::new(
        "gpu.burn.first_wrong_address",
        Text,
        "smallest wrong offset, hexadecimal; absent where there is none",
    ),
    FactDef::new("gpu.burn.last_wrong_address", Text, "largest wrong offset, hexadecimal; absent where there is none"),
    FactDef::new(
        "gpu.burn.wrong_bits",
        Text,
        "bits of a 16-byte vector that were ever wrong, hexadecimal; absent where there is none",
    ),
    FactDef::new("gpu.burn.verified_bytes", Integer, "bytes verified by all passes"),
    FactDef::new("gpu.burn.checked_blocks", Integer, "blocks of arithmetic whose result was compared"),
    FactDef::new("gpu.burn.compute_errors", Integer, "blocks of arithmetic with a wrong result"),
    FactDef::new("gpu.burn.bad_sms", List, "SMs with a wrong result, as sm0, sm17 and so on"),
    FactDef::new("gpu.burn.cuda.name", Text, "product name that the CUDA driver gives"),
    FactDef::new("gpu.burn.cuda.uuid", Text, "UUID that the CUDA driver gives"),
    FactDef::new("gpu.burn.cuda.sm_count", Integer, "SMs that the CUDA driver says the GPU has"),
    FactDef::new("gpu.burn.cuda.compute_capability", Text, "compute capability that the CUDA driver gives: 9.0"),
    FactDef::new("gpu.burn.cuda.clock_mhz", Integer, "highest SM clock that the CUDA driver gives"),
    FactDef::new("gpu.burn.cuda.memory_clock_mhz", Integer, "highest memory clock that the CUDA driver gives"),
    FactDef::new("gpu.burn.cuda.bus_width_bits", Integer, "width of the memory bus that the CUDA driver gives"),
    FactDef::new(
        "gpu.burn.cuda.l2_bytes",
        Integer,
        "second-level cache that the CUDA driver says the GPU has, in bytes",
    ),
    FactDef::new("gpu.burn.cuda.compute_mode", Text, "default, exclusive-process or prohibited"),
    FactDef::new(
        "gpu.burn.simulated_scale",
        Integer,
        "bytes that each byte of a virtual driver's memory stands for; absent with a real driver",
    ),
    FactDef::new("gpu.burn.cuda.driver_version", Integer, "what the CUDA driver speaks: 12080 for CUDA 12.8"),
    FactDef::new(
        "gpu.burn.telemetry_seconds",
        Integer,
        "seconds under load that samples of NVML stand for; the facts below are about these",
    ),
    FactDef::new("gpu.burn.clock.sm_median_mhz", Integer, "median SM clock under load"),
    FactDef::new("gpu.burn.clock.sm_min_mhz", Integer, "lowest SM clock under load"),
    FactDef::new("gpu.burn.clock.memory_median_mhz", Integer, "median memory clock under load, as NVML counts it"),
    FactDef::new("gpu.burn.power.median_milliwatts", Integer, "median power under load"),
    FactDef::new("gpu.burn.power.max_milliwatts", Integer, "highest power under load"),
    FactDef::new("gpu.burn.power.limit_milliwatts", Integer, "power limit in force under load"),
    FactDef::new("gpu.burn.temperature.gpu_median_celsius", Integer, "median temperature of the GPU under load"),
    FactDef::new("gpu.burn.temperature.gpu_max_celsius", Integer, "highest temperature of the GPU under load"),
    FactDef::new("gpu.burn.temperature.memory_max_celsius", Integer, "highest temperature of the memory under load"),
    FactDef::new(
        "gpu.burn.temperature.headroom_celsius",
        Integer,
        "distance of the highest temperature under load to the one from which clocks are held down; of an interval's samples the median counts",
    ),
    FactDef::new("gpu.burn.fan.max_percent", Integer, "highest fan speed under load"),
    FactDef::new("gpu.burn.utilisation.median_percent", Integer, "median utilisation under load"),
    FactDef::new(
        "gpu.burn.throttle.thermal_permille",
        Integer,
        "time under load, in thousandths, in which heat held clocks down (sw-thermal-slowdown, hw-thermal-slowdown)",
    ),
    FactDef::new(
        "gpu.burn.throttle.power_brake_permille",
        Integer,
        "time under load, in thousandths, in which the power supply held clocks down (hw-power-brake-slowdown)",
    ),
    FactDef::new(
        "gpu.burn.throttle.hw_slowdown_permille",
        Integer,
        "time under load, in thousandths, in which hardware held clocks down for any reason (hw-slowdown)",
    ),
    FactDef::new(
        "gpu.burn.throttle.power_cap_permille",
        Integer,
        "time under load, in thousandths, in which the power limit held clocks down (sw-power-cap): normal at full load",
    ),
    FactDef::new(
        "gpu.burn.throttle.times",
        List,
        "time under load for which each reason held clocks down: 'sw-power-cap: 12.3 of 540.0 s'",
    ),
    FactDef::new(
        "gpu.burn.thermal.steady",
        Bool,
        "whether the temperature under load changed by no more than 1 degree a minute over the last three minutes",
    ),
    FactDef::new(
        "gpu.burn.thermal.slope_millicelsius_per_minute",
        Integer,
        "how fast the temperature under load still rose over the last three minutes",
    ),
    FactDef::new(
        "gpu.burn.peer.copies",
        List,
        "copies from it to each other GPU, one pair at a time: '0000:3b:00.0: 21300 MB/s direct', 'through the host', or 'not measured' with the reason; absent for a single GPU",
    ),
    FactDef::new("gpu.burn.peer.slowest_mb_per_second", Integer, "the slowest of them, 10^6 bytes a second"),
    FactDef::new(
        "gpu.burn.peer.wrong_copies",
        List,
        "copies from it that arrived as something else than was sent: '0000:3b:00.0: 16 bytes'; absent for a single GPU",
    ),
    FactDef::new("gpu.burn.link.generation_under_load", Integer, "median PCIe generation under load"),
    FactDef::new("gpu.burn.link.width_under_load", Integer, "median number of PCIe lanes under load"),
    FactDef::new("gpu.burn.link.replays_growth", Integer, "PCIe packets that were sent again during the burn"),
    FactDef::new("gpu.burn.ecc.volatile_corrected_growth", Integer, "corrected ECC errors during the burn"),
    FactDef::new("gpu.burn.ecc.volatile_uncorrected_growth", Integer, "uncorrected ECC errors during the burn"),
    FactDef::new(
        "gpu.burn.remap.growth",
        Integer,
        "memory rows remapped during the burn, or pages retired by a chip that has no spare rows",
    ),
    FactDef::new("gpu.burn.nvlink.errors_growth", Integer, "errors of all NVLinks during the burn"),
    FactDef::new("gpu.burn.xids", List, "XIDs that the driver told during the burn, as numbers in text"),
];

const MEASURED: [FactDef; Quantity::ALL.len()] = {
    let mut facts = [FactDef::new("", Integer, ""); Quantity::ALL.len()];
    let mut index = 0;
    while index < facts.len() {
        let quantity = Quantity::ALL[index];
        facts[index] = FactDef::new(quantity.fact(), Integer, quantity.about());
        index += 1;
    }
    facts
};

/// Every fact of a GPU's burn.
pub const FACTS: &[FactDef] = &FactDef::joined::<{ OWN.len() + MEASURED.len() }>(OWN, &MEASURED);

/// Adds every fact of [`FACTS`] to the part of each GPU that was to be tested. What was not measured is a reading that
/// says why, never a number.
pub(in crate::burn) fn add_evidence(summary: &Summary, out: &mut EvidenceBuilder) {
    if summary.gpus.values().filter_map(|gpu| gpu.identity.as_ref()).any(|it| it.simulated.is_some()) {
        out.mark_simulated();
    }
    for (address, gpu) in &summary.gpus {
        let mut part = out.part("gpu", &format!("gpu:{address}"));
        let why = gpu.assessed().err();
        test(gpu, &why, &mut part);
        identity(gpu, &why, &mut part);
        telemetry(&gpu.telemetry, &mut part);
        peers(gpu, summary.gpus.keys().filter(|other| *other != address).collect(), &mut part);
        for &quantity in Quantity::ALL {
            part.fact(quantity.fact(), measured(gpu, quantity, &why), SOURCE);
        }
    }
}

/// The slowest of some pairs would hide others, and that none was wrong counts for all of them only.
fn peers(gpu: &GpuSummary, others: Vec<&String>, part: &mut PartBuilder<'_>) {
    let mut words = Vec::new();
    let mut wrong = Vec::new();
    let mut missing = None;
    for to in &others {
        let Some(pair) = gpu.peers.iter().find(|pair| pair.to == **to) else {
            let why = gpu.why_no_copies(to);
            words.push(format!("{to}: not measured: {why}"));
            missing.get_or_insert(format!("copies to {to} were not measured: {why}"));
            continue;
        };
        let way = if pair.direct { "direct" } else { "through the host" };
        words.push(format!("{to}: {} MB/s {way}", pair.mb_per_second.median));
        match pair.wrong_bytes {
            Some(0) => {}
            Some(bytes) => wrong.push(format!("{to}: {bytes} bytes")),
            None => _ = missing.get_or_insert(format!("nobody looked at what arrived at {to}")),
        }
    }
    let slowest = gpu.peers.iter().map(|pair| pair.mb_per_second.median).min();
    let [copies, slowest, wrong] = match (others.is_empty(), missing, slowest) {
        (true, ..) => [Reading::Absent, Reading::Absent, Reading::Absent],
        (false, None, slowest) => [words.into(), Reading::or_absent(slowest.map(Value::from)), wrong.into()],
        (false, Some(why), slowest) => {
            let why = Reading::Failed(why);
            let copies = if slowest.is_some() { words.into() } else { why.clone() };
            [copies, why.clone(), if wrong.is_empty() { why } else { wrong.into() }]
        }
    };
    part.fact("gpu.burn.peer.copies", copies, SOURCE)
        .fact("gpu.burn.peer.slowest_mb_per_second", slowest, SOURCE)
        .fact("gpu.burn.peer.wrong_copies", wrong, SOURCE);
}

fn failed(why: &Option<String>) -> Reading {
    Reading::Failed(why.clone().unwrap_or_else(|| "it was not measured".to_owned()))
}

fn measured(gpu: &GpuSummary, quantity: Quantity, why: &Option<String>) -> Reading {
    match (gpu.measurements.get(&quantity), gpu.missing.get(&quantity)) {
        (Some(result), _) => result.distribution.median.into(),
        (None, Some(Some(reason))) => Reading::Failed(reason.clone()),
        (None, Some(None)) => Reading::Unsupported,
        (None, None) => failed(why),
    }
}

fn test(gpu: &GpuSummary, why: &Option<String>, part: &mut PartBuilder<'_>) {
    let mut add = |path: &str, reading: Reading| {
        part.fact(path, reading, SOURCE);
    };
    let totals = &gpu.totals;
    let hex = |offset: Option<u64>| Reading::or_absent(offset.map(|offset| Value::Text(format!("{offset:#x}"))));
    // A number of errors counts where something was looked at.
    let addressed = totals.tested_bytes > 0 || totals.memory_errors > 0;
    let computed = totals.checked_blocks > 0 || totals.compute_errors > 0;
    let memory = |reading: Reading| if addressed { reading } else { failed(why) };
    let compute = |reading: Reading| if computed { reading } else { failed(why) };
    let set_up = |reading: Reading| if totals.total_bytes > 0 { reading } else { failed(why) };

    add("gpu.burn.completed", why.is_none().into());
    let steps: Vec<String> = gpu.done.iter().map(|step| step.as_str().to_owned()).collect();
    add("gpu.burn.steps", steps.into());
    let mut not_measured: Vec<String> = why.iter().map(|why| format!("test: {why}")).collect();
    for (quantity, reason) in &gpu.missing {
        not_measured.extend(reason.as_ref().map(|reason| format!("{}: {reason}", quantity.as_str())));
    }
    not_measured.extend(gpu.missing_peers.iter().map(|(to, why)| format!("copies to {to}: {why}")));
    not_measured.extend(gpu.no_peers.as_ref().map(|why| format!("copies to other GPUs: {why}")));
    let telemetry = &gpu.telemetry;
    not_measured.extend(telemetry.failure.as_ref().filter(|_| telemetry.load_ms == 0 || telemetry.gaps > 0).map(
        |why| {
            let gaps = match telemetry.load_ms {
                0 => String::new(),
                _ => format!("{} intervals under load without a sample, ", telemetry.gaps),
            };
            format!("telemetry: {gaps}{why}")
        },
    ));
    add("gpu.burn.not_measured", not_measured.into());
    let tested = gpu.done.contains(&Step::SelfTest);
    let kernels: Reading = gpu.not_validated().into();
    add("gpu.burn.kernels_not_validated", if tested { kernels } else { failed(why) });
    let mut files: Vec<String> = gpu
        .kernels
        .values()
        .map(|test| format!("{} {:?} {}", test.file, test.form, test.sha256).to_lowercase())
        .collect();
    files.sort();
    files.dedup();
    add("gpu.burn.kernel_files", if tested { files.into() } else { failed(why) });

    let (mut lost, mut hung, mut crashed) = (None, Reading::Absent, Reading::Absent);
    let name = |step: &Option<Step>| Value::Text(step.map_or("start", Step::as_str).to_owned());
    match &gpu.outcome {
        Some(Outcome::Lost { reason, .. }) => lost = Some(reason.clone()),
        Some(Outcome::WorkerHung { step, .. }) => hung = Reading::Known(name(step)),
        Some(Outcome::WorkerCrashed { step, .. }) => crashed = Reading::Known(name(step)),
        _ => {}
    }
    let never = gpu.started == 0 || matches!(gpu.outcome, Some(Outcome::NotMeasured { .. }));
    let ran = |reading: Reading| if never { failed(why) } else { reading };
    add("gpu.burn.lost", ran(lost.is_some().into()));
    add("gpu.burn.lost_reason", ran(Reading::or_absent(lost.map(Value::Text))));
    add("gpu.burn.hung_step", ran(hung));
    add("gpu.burn.crashed_step", ran(crashed));

    add("gpu.burn.total_bytes", set_up(totals.total_bytes.into()));
    add("gpu.burn.free_bytes", set_up(totals.free_bytes.into()));
    add("gpu.burn.tested_bytes", memory(totals.tested_bytes.into()));
    let coverage = u128::from(totals.tested_bytes) * 1000 / u128::from(totals.total_bytes.max(1));
    add("gpu.burn.coverage_permille", set_up(memory((coverage as u64).into())));
    add("gpu.burn.memory_errors", memory(totals.memory_errors.into()));
    add("gpu.burn.aliased_vectors", memory(totals.aliased.into()));
    add("gpu.burn.first_aliased_address", memory(hex(totals.first_aliased)));
    add("gpu.burn.first_wrong_address", memory(hex(totals.first_wrong)));
    add("gpu.burn.last_wrong_address", memory(hex(totals.last_wrong)));
    let bits = Some(&totals.wrong_bits).filter(|bits| !bits.is_empty());
    add("gpu.burn.wrong_bits", memory(Reading::or_absent(bits.map(|bits| Value::Text(format!("0x{bits}"))))));
    add("gpu.burn.verified_bytes", memory(totals.verified_bytes.into()));
    add("gpu.burn.checked_blocks", compute(totals.checked_blocks.into()));
    add("gpu.burn.compute_errors", compute(totals.compute_errors.into()));
    let bad: Vec<String> = totals.bad_sms.iter().map(|sm| format!("sm{sm}")).collect();
    add("gpu.burn.bad_sms", compute(bad.into()));
}

fn identity(gpu: &GpuSummary, why: &Option<String>, part: &mut PartBuilder<'_>) {
    let identity = gpu.identity.as_ref();
    let mut add = |path: &str, reading: Option<Reading>| {
        part.fact(path, reading.unwrap_or_else(|| failed(why)), SOURCE);
    };
    add("gpu.burn.cuda.name", identity.map(|it| it.name.clone().into()));
    add("gpu.burn.cuda.uuid", identity.map(|it| it.uuid.clone().into()));
    add("gpu.burn.cuda.sm_count", identity.map(|it| it.sm_count.into()));
    let capability = identity.map(|it| it.compute_capability.map(|number| number.to_string()).join("."));
    add("gpu.burn.cuda.compute_capability", capability.map(Into::into));
    add("gpu.burn.cuda.clock_mhz", identity.map(|it| it.clock_khz.map(|khz| khz / 1000).into()));
    add("gpu.burn.cuda.memory_clock_mhz", identity.map(|it| it.memory_clock_khz.map(|khz| khz / 1000).into()));
    add("gpu.burn.cuda.bus_width_bits", identity.map(|it| it.bus_width_bits.into()));
    add("gpu.burn.cuda.l2_bytes", identity.map(|it| it.l2_bytes.into()));
    add("gpu.burn.cuda.compute_mode", identity.map(|it| it.compute_mode.clone().into()));
    add("gpu.burn.simulated_scale", identity.map(|it| Reading::or_absent(it.simulated.map(Value::from))));
    add("gpu.burn.cuda.driver_version", identity.map(|it| it.driver_version.into()));
}

fn telemetry(all: &Telemetry, part: &mut PartBuilder<'_>) {
    // What samples lack, the driver does not tell; an interval without samples says nothing of it.
    let none = || match &all.failure {
        _ if all.load_ms > 0 => Reading::Unsupported,
        Some(why) => Reading::Failed(why.clone()),
        None => Reading::Failed("no sample under load".to_owned()),
    };
    let mut add = |path: &str, value: Option<u64>| {
        part.fact(path, value.map_or_else(none, Reading::from), SOURCE);
    };
    let median = |distribution: Option<Distribution>| distribution.map(|it| it.median);
    let max = |distribution: Option<Distribution>| distribution.map(|it| it.max);
    let (clock, power) = (all.sm_mhz.distribution(), all.power_milliwatts.distribution());
    let celsius = all.gpu_celsius.distribution();
    add("gpu.burn.telemetry_seconds", (all.load_ms > 0).then_some(all.load_ms / 1000));
    add("gpu.burn.clock.sm_median_mhz", median(clock));
    add("gpu.burn.clock.sm_min_mhz", clock.map(|it| it.min));
    add("gpu.burn.clock.memory_median_mhz", median(all.memory_mhz.distribution()));
    add("gpu.burn.power.median_milliwatts", median(power));
    add("gpu.burn.power.max_milliwatts", max(power));
    add("gpu.burn.power.limit_milliwatts", all.power_limit_milliwatts);
    add("gpu.burn.temperature.gpu_median_celsius", median(celsius));
    add("gpu.burn.temperature.gpu_max_celsius", max(celsius));
    add("gpu.burn.temperature.memory_max_celsius", max(all.memory_celsius.distribution()));
    add("gpu.burn.fan.max_percent", max(all.fan_percent.distribution()));
    add("gpu.burn.utilisation.median_percent", median(all.utilisation_percent.distribution()));
    let share = |reason: &str| {
        let held = *all.throttle.as_ref()?.get(reason)?;
        Some((u128::from(held) * 1000 / u128::from(all.throttle_ms.max(1))) as u64)
    };
    add("gpu.burn.throttle.thermal_permille", share(THERMAL));
    add("gpu.burn.throttle.power_brake_permille", share("hw-power-brake-slowdown"));
    add("gpu.burn.throttle.hw_slowdown_permille", share("hw-slowdown"));
    add("gpu.burn.throttle.power_cap_permille", share("sw-power-cap"));
    add("gpu.burn.link.generation_under_load", median(all.link_generation.distribution()));
    add("gpu.burn.link.width_under_load", median(all.link_width.distribution()));

    let from_limit = all
        .slowdown_celsius
        .zip(all.gpu_celsius.highest_median())
        .map(|(limit, hottest)| limit as i64 - hottest as i64);
    let headroom = all.margin_celsius.or(from_limit);
    part.fact("gpu.burn.temperature.headroom_celsius", headroom.map_or_else(none, Reading::from), SOURCE);
    let times = all.throttle.as_ref().map(|throttle| {
        let seconds = |milliseconds: u64| format!("{:.1}", milliseconds as f64 / 1000.0);
        let reasons = THROTTLE_REASONS.iter().filter_map(|reason| Some((reason, *throttle.get(*reason)?)));
        let words =
            reasons.map(|(reason, held)| format!("{reason}: {} of {} s", seconds(held), seconds(all.throttle_ms)));
        Reading::from(words.collect::<Vec<_>>())
    });
    part.fact("gpu.burn.throttle.times", times.unwrap_or_else(none), SOURCE);
    part.fact("gpu.burn.thermal.steady", all.steady(), SOURCE);
    part.fact("gpu.burn.thermal.slope_millicelsius_per_minute", all.slope(), SOURCE);
    for (path, counter) in [
        ("gpu.burn.link.replays_growth", "pcie.replays"),
        ("gpu.burn.ecc.volatile_corrected_growth", "ecc.corrected"),
        ("gpu.burn.ecc.volatile_uncorrected_growth", "ecc.uncorrected"),
        ("gpu.burn.remap.growth", "remap.rows"),
        ("gpu.burn.nvlink.errors_growth", "nvlink.errors"),
    ] {
        part.fact(path, all.counters.get(counter).map_or_else(none, |growth: &Growth| growth.total().value()), SOURCE);
    }
    let xids: Vec<String> = all.xids.iter().map(u64::to_string).collect();
    let sampled = !all.counters.is_empty();
    part.fact("gpu.burn.xids", if sampled { xids.into() } else { none() }, SOURCE);
}
