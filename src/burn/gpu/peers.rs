//! Copies between the GPUs of a machine: every ordered pair, one after the other, before their own tests begin.
//!
//! One process opens all of them, and ends before the workers start: a context in each GPU's memory for every other one
//! would be missing from what is tested. What arrives is compared with what was sent.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::answers::{self, ADDRESS};
use super::card::say;
use super::cuda::{self, Device, Failure, Pinned};
use super::fleet::Teller;
use super::measure::Distribution;
use super::worker::take_assignment;
use crate::burn::records::Record;

/// What each GPU sends, and copies of it in a row.
const BYTES: u64 = 64 << 20;
const COPIES: u32 = 4;
const RUNS: usize = 3;
const VECTOR_BYTES: u64 = 16;
/// Host memory that data go through before and after.
const STAGING_WORDS: usize = 512 << 10;
/// GPUs whose pairs fit a moment, and a record.
const MAX_GPUS: usize = 16;
/// Silence that is borne while the driver starts: without a persistent one it sets up every GPU of the machine first.
const START: Duration = Duration::from_secs(60);
/// Silence that is borne later.
const SILENCE: Duration = Duration::from_secs(20);
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
    /// Bytes that arrived as others than were sent; `None` where nobody looked.
    #[serde(default)]
    pub wrong_bytes: Option<u64>,
}

/// Copies that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingCopies {
    /// PCI address of the one that has the data.
    pub from: String,
    /// PCI address of the one that should get them.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// A line of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub(super) enum PeerMessage {
    /// A GPU was opened, or cannot be.
    Opened,
    /// A pair.
    Copies(PeerCopies),
    /// A pair that has none.
    Missing(MissingCopies),
    /// Why there are none at all.
    Failed {
        /// What CUDA said.
        reason: String,
    },
    /// All pairs.
    Finished,
}

/// What is known of the pairs so far.
#[derive(Debug, Default)]
struct Heard {
    opened: usize,
    copies: Vec<PeerCopies>,
    missing: Vec<MissingCopies>,
}

impl Heard {
    /// What the process was at when it was last heard of.
    fn at(&self, gpus: &[String]) -> String {
        if let Some(gpu) = gpus.get(self.opened) {
            return format!("while it opened {gpu}");
        }
        match pairs(gpus.len()).nth(self.copies.len() + self.missing.len()) {
            Some((from, to)) => format!("in copies from {} to {}", gpus[from], gpus[to]),
            None => "at its end".to_owned(),
        }
    }
}

/// Measures all pairs in a process of its own. Gives what is to be written down; nothing for a single GPU.
pub(in crate::burn) fn measure(program: &Path, gpus: &[String], cancelled: &dyn Fn() -> bool) -> Vec<Record> {
    if gpus.len() < 2 {
        return Vec::new();
    }
    let mut heard = Heard::default();
    let failure = if gpus.len() > MAX_GPUS {
        Some(format!("pairs of more than {MAX_GPUS} GPUs would take too long"))
    } else {
        let assignment = PeersAssignment { gpus: gpus.to_vec(), supervisor: std::process::id() };
        match Teller::start(program, "gpu-peers", &assignment) {
            Ok(mut process) => follow(&mut process, &mut heard, gpus, cancelled).err(),
            Err(error) => Some(format!("cannot start {}: {error}", program.display())),
        }
    };
    vec![Record::GpuPeers { copies: heard.copies, missing: heard.missing, failure }]
}

fn follow(
    process: &mut Teller<PeerMessage>,
    heard: &mut Heard,
    gpus: &[String],
    cancelled: &dyn Fn() -> bool,
) -> Result<(), String> {
    let mut since = Instant::now();
    loop {
        let patience = if heard.opened == 0 { START } else { SILENCE };
        match process.next() {
            Some(Ok(message)) => {
                since = Instant::now();
                match message {
                    PeerMessage::Opened => heard.opened += 1,
                    PeerMessage::Copies(pair) => heard.copies.push(pair),
                    PeerMessage::Missing(pair) => heard.missing.push(pair),
                    PeerMessage::Failed { reason } => return Err(reason),
                    PeerMessage::Finished => return Ok(()),
                }
            }
            Some(Err(())) => return Err(format!("the process that copies between GPUs died {}", heard.at(gpus))),
            None if cancelled() => return Err("it was interrupted".to_owned()),
            None if since.elapsed() > patience => {
                return Err(format!("CUDA did not answer for {} s {}", patience.as_secs(), heard.at(gpus)));
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

/// Positions of all ordered pairs, in the order in which they are measured.
fn pairs(gpus: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..gpus).flat_map(move |from| (0..gpus).filter(move |to| *to != from).map(move |to| (from, to)))
}

fn all(gpus: &[String]) -> Result<(), String> {
    cuda::preflight(cuda::PEER_CALLS)?;
    cuda::init().map_err(|failure| failure.to_string())?;
    let mut peers = Vec::new();
    for (number, gpu) in (0..).zip(gpus) {
        peers.push(Peer::open(gpu, number).map_err(|failure| format!("{gpu}: {failure}")));
        say(&PeerMessage::Opened);
    }
    for (from, to) in pairs(gpus.len()) {
        let copied = match (&peers[from], &peers[to]) {
            (Ok(source), Ok(target)) => copies(source, target).map_err(|failure| failure.to_string()),
            (Err(why), _) | (_, Err(why)) => Err(why.clone()),
        };
        say(&match copied {
            Ok(copies) => PeerMessage::Copies(copies),
            Err(reason) => {
                PeerMessage::Missing(MissingCopies { from: gpus[from].clone(), to: gpus[to].clone(), reason })
            }
        });
    }
    Ok(())
}

/// A GPU that takes part.
struct Peer {
    device: Device,
    /// Marks its data.
    number: u64,
    bytes: u64,
    /// What it sends.
    outgoing: u64,
    /// Where others' data arrive.
    incoming: u64,
    staging: Pinned,
}

impl Peer {
    fn open(gpu: &str, number: u64) -> Result<Self, Failure> {
        let (device, identity) = Device::find(gpu)?;
        let device = Device::open(device, identity)?;
        let bytes = (BYTES.min(device.memory()?.0 / 8) / 4096 * 4096).max(4096);
        let outgoing = device.allocate(2 * bytes)?;
        let staging = device.pinned(STAGING_WORDS)?;
        let peer = Self { device, number, bytes, outgoing, incoming: outgoing + bytes, staging };
        for (at, vectors) in peer.pieces(bytes) {
            for vector in 0..vectors {
                peer.words(at + vector)
                    .into_iter()
                    .zip(2 * vector as usize..)
                    .for_each(|(it, to)| peer.staging.set(to, it));
            }
            let to = peer.outgoing + at * VECTOR_BYTES;
            peer.device.upload(to, &peer.staging, (vectors * VECTOR_BYTES) as usize, 0)?;
            peer.device.wait()?;
        }
        Ok(peer)
    }

    /// First vectors and sizes of what the staging memory takes at once.
    fn pieces(&self, bytes: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (all, most) = (bytes / VECTOR_BYTES, STAGING_WORDS as u64 * 8 / VECTOR_BYTES);
        (0..all.div_ceil(most)).map(move |piece| (piece * most, most.min(all - piece * most)))
    }

    /// The vector at that place of what it sends: every one names its place and its GPU.
    fn words(&self, at: u64) -> [u64; 2] {
        let [a, b, c, d] = answers::pattern(self.number << 32 | at, ADDRESS, 0).map(u64::from);
        [b << 32 | a, d << 32 | c]
    }

    /// How many of the bytes that have arrived here are not those of the sender.
    fn wrong_bytes(&self, sender: &Self, bytes: u64) -> Result<u64, Failure> {
        self.device.enter()?;
        let mut wrong = 0;
        for (at, vectors) in self.pieces(bytes) {
            let from = self.incoming + at * VECTOR_BYTES;
            self.device.download(&self.staging, from, (vectors * VECTOR_BYTES) as usize, 0)?;
            self.device.wait()?;
            for vector in 0..vectors {
                for (expected, word) in sender.words(at + vector).into_iter().zip(2 * vector as usize..) {
                    let difference = expected ^ self.staging.get(word);
                    if difference != 0 {
                        wrong += difference.to_ne_bytes().into_iter().filter(|byte| *byte != 0).count() as u64;
                    }
                }
            }
        }
        Ok(wrong)
    }
}

fn copies(source: &Peer, target: &Peer) -> Result<PeerCopies, Failure> {
    let (from, to) = (&source.device, &target.device);
    let bytes = source.bytes.min(target.bytes);
    let direct = from.reaches(to)?;
    let scale = u64::from(from.identity.simulated.unwrap_or(1));
    let mut values = Vec::new();
    // The first run pays for mappings.
    for run in 0..=RUNS {
        from.mark(0, 0)?;
        for _ in 0..COPIES {
            from.send(source.outgoing, to, target.incoming, bytes as usize)?;
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
        wrong_bytes: Some(target.wrong_bytes(source, bytes)?),
    })
}
