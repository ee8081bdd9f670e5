//! Copies between the GPUs of a machine: every ordered pair, one after the other, before their own tests begin.
//!
//! One process opens all of them, and ends before the workers start: a context in each GPU's memory for every other one
//! would be missing from what is tested.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::card::say;
use super::cuda::{self, Device, Failure};
use super::fleet::Teller;
use super::measure::Distribution;
use super::worker::take_assignment;
use crate::burn::records::Record;

/// Memory of each GPU, and copies of it in a row.
const BYTES: u64 = 64 << 20;
const COPIES: u32 = 4;
const RUNS: usize = 3;
/// GPUs whose pairs fit a moment, and a record.
const MAX_GPUS: usize = 16;
/// Silence that is borne: a context takes a second on a slow machine.
const SILENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Which GPUs to copy between.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeersAssignment {
    gpus: Vec<String>,
    supervisor: u32,
}

/// Copies from one GPU to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerCopies {
    /// PCI address of the one that has the data.
    pub from: String,
    /// PCI address of the one that gets them.
    pub to: String,
    /// Whether one can touch the other's memory; if not, copies go through the host.
    pub direct: bool,
    /// 10^6 bytes a second.
    pub mb_per_second: Distribution,
}

/// A line of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub(super) enum PeerMessage {
    /// A GPU was opened.
    Opened,
    /// A pair.
    Copies(PeerCopies),
    /// Why there are no more.
    Failed {
        /// What CUDA said.
        reason: String,
    },
    /// All pairs.
    Finished,
}

/// Measures all pairs in a process of its own. Gives what is to be written down; nothing for a single GPU.
pub(in crate::burn) fn measure(program: &Path, gpus: &[String], cancelled: &dyn Fn() -> bool) -> Vec<Record> {
    if gpus.len() < 2 {
        return Vec::new();
    }
    if gpus.len() > MAX_GPUS {
        let failure = Some(format!("pairs of more than {MAX_GPUS} GPUs would take too long"));
        return vec![Record::GpuPeers { copies: Vec::new(), failure }];
    }
    let assignment = PeersAssignment { gpus: gpus.to_vec(), supervisor: std::process::id() };
    let mut copies = Vec::new();
    let failure = match Teller::start(program, "gpu-peers", &assignment) {
        Ok(mut process) => follow(&mut process, &mut copies, cancelled).err(),
        Err(error) => Some(format!("cannot start {}: {error}", program.display())),
    };
    vec![Record::GpuPeers { copies, failure }]
}

fn follow(
    process: &mut Teller<PeerMessage>,
    copies: &mut Vec<PeerCopies>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), String> {
    let mut heard = Instant::now();
    loop {
        match process.next() {
            Some(Ok(PeerMessage::Opened)) => heard = Instant::now(),
            Some(Ok(PeerMessage::Copies(pair))) => {
                heard = Instant::now();
                copies.push(pair);
            }
            Some(Ok(PeerMessage::Failed { reason })) => return Err(reason),
            Some(Ok(PeerMessage::Finished)) => return Ok(()),
            Some(Err(())) => return Err("the process that copies between GPUs died".to_owned()),
            None if cancelled() => return Err("it was interrupted".to_owned()),
            None if heard.elapsed() > SILENCE => {
                return Err(format!("copies between GPUs hung: nothing for {} s", SILENCE.as_secs()));
            }
            None => std::thread::sleep(POLL),
        }
    }
}

/// The body of the hidden `gpu-peers` command.
pub fn run_gpu_peers() -> io::Result<()> {
    let assignment: PeersAssignment = take_assignment(|it: &PeersAssignment| it.supervisor)?;
    say(&match all(&assignment.gpus) {
        Ok(()) => PeerMessage::Finished,
        Err(reason) => PeerMessage::Failed { reason },
    });
    // What is left of the driver's work could hang, and the end of the process frees all.
    std::process::exit(0);
}

fn all(gpus: &[String]) -> Result<(), String> {
    cuda::preflight(cuda::PEER_CALLS)?;
    let said = |failure: Failure| failure.to_string();
    cuda::init().map_err(said)?;
    let mut opened = Vec::new();
    for gpu in gpus {
        let open = || {
            let (device, identity) = Device::find(gpu)?;
            let device = Device::open(device, identity)?;
            let bytes = BYTES.min(device.memory()?.0 / 4) / 4096 * 4096;
            let memory = device.allocate(bytes)?;
            Ok((device, memory, bytes))
        };
        opened.push(open().map_err(|failure: Failure| format!("{gpu}: {failure}"))?);
        say(&PeerMessage::Opened);
    }
    for (from, source) in opened.iter().enumerate() {
        for (to, target) in opened.iter().enumerate().filter(|(to, _)| *to != from) {
            let pair = |failure: Failure| format!("{} to {}: {failure}", gpus[from], gpus[to]);
            say(&PeerMessage::Copies(copies(source, target).map_err(pair)?));
        }
    }
    Ok(())
}

fn copies(source: &(Device, u64, u64), target: &(Device, u64, u64)) -> Result<PeerCopies, Failure> {
    let (from, to) = (&source.0, &target.0);
    let bytes = source.2.min(target.2);
    let direct = from.reaches(to)?;
    let scale = u64::from(from.identity.simulated.unwrap_or(1));
    let mut values = Vec::new();
    // The first run pays for mappings.
    for run in 0..=RUNS {
        from.mark(0, 0)?;
        for _ in 0..COPIES {
            from.send(source.1, to, target.1, bytes as usize)?;
        }
        from.mark(1, 0)?;
        from.wait()?;
        let seconds = from.seconds(0, 1)?;
        let moved = (u64::from(COPIES) * bytes * scale) as f64;
        values.extend((run > 0).then_some((moved / seconds.max(1e-9) / 1e6) as u64));
    }
    let none = Distribution { samples: 0, min: 0, median: 0, max: 0 };
    Ok(PeerCopies {
        from: from.identity.address.clone(),
        to: to.identity.address.clone(),
        direct,
        mb_per_second: Distribution::of(values).unwrap_or(none),
    })
}
