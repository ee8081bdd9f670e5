//! What each record says about its GPU.

use std::collections::BTreeMap;

use super::message::Outcome;
use super::peers::{MissingCopies, PeerCopies};
use super::summary::GpuSummary;
use crate::burn::records::Record;

/// Takes a record about a GPU. Gives whether it speaks against the GPU; `None` for a record that is about no GPU.
pub(in crate::burn) fn apply(
    gpus: &mut BTreeMap<String, GpuSummary>,
    elapsed_ms: u64,
    record: &Record,
) -> Result<Option<bool>, &'static str> {
    let mut is_finding = false;
    match record {
        Record::GpuPeers { copies, missing, failure } => {
            peers(gpus, copies, missing, failure.as_deref())?;
            is_finding = copies.iter().any(|pair| pair.wrong_bytes > Some(0));
        }
        Record::GpuStart { gpu, .. } => tested(gpus, gpu, true)?.start()?,
        Record::GpuIdentity { gpu, identity } => tested(gpus, gpu, false)?.identity(identity)?,
        Record::GpuKernel { gpu, test } => tested(gpus, gpu, false)?.kernel(test)?,
        Record::GpuMeasurement { gpu, measurement } => tested(gpus, gpu, false)?.measured(measurement)?,
        Record::GpuLatencies { gpu, rows } => tested(gpus, gpu, false)?.latencies(rows)?,
        Record::GpuMissing { gpu, missing } => tested(gpus, gpu, false)?.missing(missing),
        Record::GpuStep { gpu, step, counters } => tested(gpus, gpu, false)?.done(*step, counters)?,
        Record::GpuMemoryError { gpu, .. } => {
            tested(gpus, gpu, false)?.memory_error();
            is_finding = true;
        }
        Record::GpuComputeError { gpu, error } => {
            tested(gpus, gpu, false)?.compute_error(error.sm);
            is_finding = true;
        }
        Record::GpuSample { gpu, step, counters, telemetry } => {
            tested(gpus, gpu, true)?.sample(elapsed_ms, *step, counters.as_ref(), telemetry)?;
        }
        Record::GpuEnd { gpu, outcome, last_step, counters } => {
            // One that could not even be started ends as well.
            tested(gpus, gpu, true)?.end(*last_step, outcome, counters.as_ref())?;
            is_finding = !matches!(outcome, Outcome::Finished | Outcome::Stopped);
        }
        _ => return Ok(None),
    }
    Ok(Some(is_finding))
}

/// Each pair once, and none that is no pair.
fn peers(
    gpus: &mut BTreeMap<String, GpuSummary>,
    copies: &[PeerCopies],
    missing: &[MissingCopies],
    failure: Option<&str>,
) -> Result<(), &'static str> {
    const WRONG: &str = "copies that cannot be";
    for gpu in gpus.values_mut() {
        gpu.no_peers = failure.map(str::to_owned);
        gpu.missing_peers.clear();
    }
    for pair in copies {
        let known = gpus.contains_key(&pair.to) && pair.from != pair.to && pair.mb_per_second.is_sound();
        let gpu = gpus.get_mut(&pair.from).filter(|_| known).ok_or(WRONG)?;
        gpu.peers.retain(|before| before.to != pair.to);
        gpu.peers.push(pair.clone());
    }
    for pair in missing {
        let known = gpus.contains_key(&pair.to) && pair.from != pair.to;
        let gpu = gpus.get_mut(&pair.from).filter(|_| known).ok_or(WRONG)?;
        gpu.missing_peers.insert(pair.to.clone(), pair.reason.clone());
    }
    Ok(())
}

/// The GPU of a record; `starts` where its worker need not run.
fn tested<'a>(
    gpus: &'a mut BTreeMap<String, GpuSummary>,
    gpu: &String,
    starts: bool,
) -> Result<&'a mut GpuSummary, &'static str> {
    match gpus.get_mut(gpu) {
        Some(gpu) if starts || gpu.is_running() => Ok(gpu),
        Some(_) => Err("it belongs to a GPU whose worker does not run"),
        None => Err("it belongs to a GPU that is not tested"),
    }
}
