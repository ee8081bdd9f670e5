//! What a burn says, as facts.

use super::gpu;
use super::summary::Summary;
use crate::evidence::{EvidenceBuilder, FactDef, Kind, Reading, Value};

/// Every fact of a burn.
pub const FACTS: &[FactDef] = &[
    FactDef::new("burn.profile", Kind::Text, "name of the profile that was run"),
    FactDef::new("burn.planned_seconds", Kind::Integer, "active time that the profile asks for, in seconds"),
    FactDef::new("burn.active_seconds", Kind::Integer, "active time that was run, in whole seconds"),
    FactDef::new("burn.completed", Kind::Bool, "whether every workload ran until the time was used"),
    FactDef::new("burn.interrupted", Kind::Bool, "whether the run was stopped early and did not go on"),
    FactDef::new("burn.resumes", Kind::Integer, "how often the run went on after it had stopped"),
    FactDef::new(
        "burn.clock_jump_seconds",
        Kind::Integer,
        "how far the wall clock jumped against the monotonic one, all jumps added without their signs, in seconds",
    ),
    FactDef::new("burn.memory.tested_bytes", Kind::Integer, "bytes written and verified in the largest phase"),
    FactDef::new("burn.memory.locked", Kind::Bool, "whether all memory under test was locked against swapping"),
    FactDef::new("burn.memory.coverage_percent", Kind::Integer, "tested bytes in percent of MemTotal, rounded down"),
    FactDef::new("burn.memory.verified_bytes", Kind::Integer, "bytes verified by all passes"),
    FactDef::new("burn.memory.errors", Kind::Integer, "64-bit words that did not hold what was written"),
    FactDef::new("burn.memory.suspect_dimms", Kind::List, "labels of DIMMs whose EDAC error counters grew"),
    FactDef::new("burn.cpu.checked_blocks", Kind::Integer, "blocks of arithmetic compared with the known answer"),
    FactDef::new("burn.cpu.errors", Kind::Integer, "blocks with a wrong result"),
    FactDef::new("burn.cpu.bad_cpus", Kind::List, "logical CPUs with a wrong result, as cpu0, cpu1 and so on"),
    FactDef::new("burn.workers.crashed", Kind::Integer, "worker processes that died"),
    FactDef::new("burn.workers.hung", Kind::Integer, "worker processes that made no progress and were killed"),
    FactDef::new("burn.edac.corrected_delta", Kind::Integer, "corrected memory errors counted by EDAC during the run"),
    FactDef::new("burn.edac.uncorrected_delta", Kind::Integer, "uncorrected memory errors counted by EDAC"),
    FactDef::new("burn.machine_checks_delta", Kind::Integer, "machine-check exceptions, MCE of /proc/interrupts"),
    FactDef::new("burn.throttle_events_delta", Kind::Integer, "thermal throttle events of cores and packages"),
    FactDef::new(
        "burn.temperature.max_celsius",
        Kind::Integer,
        "hottest sensor over the run, rounded, in degrees Celsius",
    ),
];

/// Adds the part `burn` with every fact of [`FACTS`], and those of [`gpu::FACTS`](super::GPU_FACTS) to the part of each GPU. A test that has looked at nothing gives `Failed` with the reason,
/// and never a number of errors.
pub fn add_evidence(summary: &Summary, out: &mut EvidenceBuilder) {
    let memory = |value: Value| assessed(summary.memory_assessed(), value);
    let cpu = |value: Value| assessed(summary.cpu_assessed(), value);
    let tested = summary.memory.tested_bytes;
    let coverage = summary.memory_total_bytes.clone().and_then(|total| match total {
        0 => Reading::Failed("MemTotal is 0".to_owned()),
        total => Reading::Known((u128::from(tested) * 100 / u128::from(total)) as u64),
    });
    let coverage = match summary.memory_assessed() {
        Ok(()) => coverage.value(),
        Err(reason) => Reading::Failed(reason),
    };
    let locked: Reading<Value> = match summary.memory_locked {
        Some(locked) => locked.into(),
        None => Reading::Failed("no memory worker was set up".to_owned()),
    };
    let suspect_dimms = match summary.memory_assessed() {
        Ok(()) => summary.suspect_dimms().value(),
        Err(reason) => Reading::Failed(reason),
    };
    let bad_cpus: Vec<String> = summary.bad_cpus.iter().map(|cpu| format!("cpu{cpu}")).collect();
    let hottest = summary.hottest_millicelsius.clone().map(|millidegrees| (millidegrees + 500).div_euclid(1000));
    let facts: [(&str, Reading); 23] = [
        ("burn.profile", summary.profile.name.as_str().into()),
        ("burn.planned_seconds", summary.profile.duration_seconds.into()),
        ("burn.active_seconds", (summary.active_ms / 1000).into()),
        ("burn.completed", summary.completed.into()),
        ("burn.interrupted", (!summary.finished).into()),
        ("burn.resumes", summary.resumes.into()),
        ("burn.clock_jump_seconds", summary.clock_jump_seconds.into()),
        ("burn.memory.tested_bytes", memory(tested.into())),
        ("burn.memory.locked", locked),
        ("burn.memory.coverage_percent", coverage),
        ("burn.memory.verified_bytes", memory(summary.memory.verified_bytes.into())),
        ("burn.memory.errors", memory(summary.memory.errors.into())),
        ("burn.memory.suspect_dimms", suspect_dimms),
        ("burn.cpu.checked_blocks", cpu(summary.cpu.checked_blocks.into())),
        ("burn.cpu.errors", cpu(summary.cpu.errors.into())),
        ("burn.cpu.bad_cpus", cpu(bad_cpus.into())),
        ("burn.workers.crashed", summary.workers_crashed.into()),
        ("burn.workers.hung", summary.workers_hung.into()),
        ("burn.edac.corrected_delta", summary.corrected.total().value()),
        ("burn.edac.uncorrected_delta", summary.uncorrected.total().value()),
        ("burn.machine_checks_delta", summary.machine_checks.total().value()),
        ("burn.throttle_events_delta", summary.throttle.total().value()),
        ("burn.temperature.max_celsius", hottest.value()),
    ];
    let mut part = out.part("burn", "burn");
    for (path, reading) in facts {
        part.fact(path, reading, "burn records");
    }
    gpu::add_evidence(summary, out);
}

fn assessed(assessed: Result<(), String>, value: Value) -> Reading {
    match assessed {
        Ok(()) => Reading::Known(value),
        Err(reason) => Reading::Failed(reason),
    }
}
