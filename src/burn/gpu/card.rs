//! A GPU under test: its kernels, its memory, what was found, and the voice towards the supervisor.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::cuda::{Device, Failure, Function, Module, Pinned};
use super::kernels::{FILES, File, TCGEN05, WGMMA};
use super::measure::{Distribution, Measurement, Quantity};
use super::message::{Counters, KernelForm, KernelTest, Message, Missing, Step};

/// Signs of life are sent at least as often, and at most.
const PROGRESS: Duration = Duration::from_millis(250);
/// Silence that the supervisor is told to bear in a step where nothing may take long.
const SILENCE_SECONDS: u64 = 20;
/// Errors that are told one by one; all are counted.
const MAX_TOLD: u64 = 64;
/// Blocks that have room for their records.
pub(super) const MAX_BLOCKS: u32 = 8192;
/// Dynamic shared memory of `wgmma` and `tcgen05` kernels.
pub(super) const TILE_BYTES: u32 = 65_536;
/// All measurements that can be cut short take about so long with the times that their files have.
const USUAL_SECONDS: u64 = 60;
/// Vectors that a block of a memory kernel has in flight at once.
const VECTORS_A_BLOCK: u64 = 4 * THREADS as u64;
/// Threads of a block of most kernels.
pub(super) const THREADS: u32 = 256;

/// A kernel that the driver took.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) function: Function,
    pub(super) form: KernelForm,
    file: String,
    sha256: String,
    /// Whether it gave its known answers.
    pub(super) valid: bool,
}

/// A piece of the memory under test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) address: u64,
    pub(super) vectors: u64,
    /// Index of its first vector in the numbering of the whole card.
    pub(super) first_index: u64,
}

/// Ends and voice of a worker.
pub(super) struct Control {
    deadline: Instant,
    stop: &'static AtomicBool,
    last_progress: Instant,
}

impl Control {
    pub(super) fn new(seconds: u64, stop: &'static AtomicBool) -> Self {
        let now = Instant::now();
        Self { deadline: now + Duration::from_secs(seconds), stop, last_progress: now }
    }

    pub(super) fn over(&self) -> bool {
        self.stopped() || Instant::now() >= self.deadline
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Sends a line. A supervisor that is gone is noticed on standard input.
pub(super) fn send(message: &Message) {
    say(message);
}

/// The same of any process.
pub(super) fn say(message: &impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    let mut output = io::stdout().lock();
    let _ = output.write_all(&line).and_then(|()| output.flush());
}

/// A GPU under test.
pub(super) struct Card {
    pub(super) device: Device,
    pub(super) kernels: BTreeMap<&'static str, Kernel>,
    pub(super) chunks: Vec<Chunk>,
    /// The error log of memory kernels.
    pub(super) log: Pinned,
    /// Records of blocks.
    pub(super) out: Pinned,
    /// What copies go through.
    pub(super) staging: [Pinned; 2],
    /// What holds streams until the host sets its first word, and three words of what each of two gates saw.
    pub(super) gate: Pinned,
    pub(super) counters: Counters,
    pub(super) control: Control,
    pub(super) seed: u32,
    /// Bytes that each byte of the card's memory stands for: 1, but with a virtual driver.
    pub(super) scale: u64,
    /// Thousandths of the usual time that measurements take.
    patience_permille: u32,
    /// The kernel that is tested, where a driver that cannot run it breaks the context.
    pub(super) suspect: Option<&'static str>,
    told: u64,
    /// Files of which the driver took nothing, and why.
    refused: Vec<(&'static File, String)>,
}

impl Card {
    /// `measure_seconds` is about how long the measurements may take that can be cut short.
    pub(super) fn new(device: Device, control: Control, seed: u32, measure_seconds: u64) -> Result<Self, Failure> {
        const STAGING_WORDS: usize = 2 << 20;
        let log = device.pinned(16 + 8 * 256)?;
        let out = device.pinned(4 * MAX_BLOCKS as usize)?;
        let staging = [device.pinned(STAGING_WORDS)?, device.pinned(STAGING_WORDS)?];
        let gate = device.pinned(7)?;
        let (free_bytes, total_bytes) = device.memory()?;
        let scale = u64::from(device.identity.simulated.unwrap_or(1));
        let counters =
            Counters { free_bytes: free_bytes * scale, total_bytes: total_bytes * scale, ..Counters::default() };
        let kernels = BTreeMap::new();
        Ok(Self {
            device,
            kernels,
            chunks: Vec::new(),
            log,
            out,
            staging,
            gate,
            counters,
            control,
            seed,
            scale,
            patience_permille: (measure_seconds.saturating_mul(1000) / USUAL_SECONDS).min(10_000) as u32,
            suspect: None,
            told: 0,
            refused: Vec::new(),
        })
    }

    pub(super) fn over(&self) -> bool {
        self.control.over()
    }

    /// The time for a measurement that usually has that much.
    pub(super) fn time(&self, usual: Duration) -> Duration {
        usual * self.patience_permille / 1000
    }

    /// Tells that something begins that may take so long.
    pub(super) fn begin(&mut self, step: Step, what: &str, seconds: u64) {
        send(&Message::Step { step, what: what.to_owned(), seconds });
    }

    /// The same with the usual patience.
    pub(super) fn enter(&mut self, step: Step, what: &str) {
        self.begin(step, what, SILENCE_SECONDS);
    }

    /// A sign of life, with a rate: `GB/s` or `TFLOPS`.
    pub(super) fn progress(&mut self, what: &str, rate: f64, unit: &str) {
        if self.control.last_progress.elapsed() < PROGRESS {
            return;
        }
        self.control.last_progress = Instant::now();
        send(&Message::Progress {
            counters: self.counters.clone(),
            what: what.to_owned(),
            rate: (rate * 1000.0) as u64,
            unit: unit.to_owned(),
        });
    }

    /// Whether one more error is to be told.
    pub(super) fn tell(&mut self) -> bool {
        self.told += 1;
        self.told <= MAX_TOLD
    }

    /// Takes every kernel file, machine code first.
    pub(super) fn load_kernels(&mut self, avoid: &[String]) {
        let own: Option<&'static File> = match self.device.identity.compute_capability {
            [9, 0] => Some(&WGMMA),
            [10, 0 | 3] => Some(&TCGEN05),
            _ => None,
        };
        for file in FILES.iter().chain(own) {
            self.begin(Step::Setup, &format!("kernels of {}", file.name), 60);
            let shared_bytes = if own.is_some_and(|own| own.name == file.name) { TILE_BYTES } else { 0 };
            if let Err(why) = self.load_file(file, shared_bytes) {
                self.refused.push((file, why));
            }
        }
        self.kernels.retain(|name, _| !avoid.iter().any(|avoided| avoided == name));
    }

    /// The files of which the driver took nothing, and why.
    pub(super) fn refused(&self) -> String {
        let each: Vec<String> = self.refused.iter().map(|(file, why)| format!("{}: {why}", file.name)).collect();
        each.join("; ")
    }

    fn load_file(&mut self, file: &'static File, shared_bytes: u32) -> Result<(), String> {
        let image = file.fatbin().ok_or("its machine code does not unpack")?;
        let not_fatbin = match self.device.load(&image.bytes) {
            Ok(module) => {
                self.take(file, module, (&image.file, &image.sha256, image.form), shared_bytes);
                return Ok(());
            }
            Err(failure) => failure,
        };
        let mut taken = false;
        let mut not_text = None;
        for image in file.ptx(self.device.identity.compute_capability) {
            match self.device.load(&image.bytes) {
                Ok(module) => {
                    self.take(file, module, (&image.file, &image.sha256, image.form), shared_bytes);
                    taken = true;
                }
                Err(failure) => not_text = Some(failure),
            }
        }
        if taken {
            return Ok(());
        }
        if let Some(failure) =
            [Some(&not_fatbin), not_text.as_ref()].into_iter().flatten().find(|it| it.is_out_of_memory())
        {
            return Err(format!("{failure}: end the processes that use the GPU, then burn again"));
        }
        let not_text = not_text.map_or(String::new(), |failure| format!("; as text, {failure}"));
        Err(format!(
            "{not_fatbin}{not_text}; driver R525 takes the machine code of known cards, R575 the text for others"
        ))
    }

    /// Looks for the kernels of a file. Those that are there already come from a newer text, and stay.
    fn take(&mut self, file: &'static File, module: Module, image: (&str, &str, KernelForm), shared_bytes: u32) {
        for &name in file.kernels {
            if self.kernels.contains_key(name) {
                continue;
            }
            if let Ok(function) = self.device.function(module, name, shared_bytes) {
                let (file, sha256, form) = (image.0.to_owned(), image.1.to_owned(), image.2);
                self.kernels.insert(name, Kernel { function, form, file, sha256, valid: false });
            }
        }
    }

    /// Writes down what the self-test of a kernel said.
    pub(super) fn judge(&mut self, name: &'static str, failure: Option<String>) {
        let Some(kernel) = self.kernels.get_mut(name) else { return };
        kernel.valid = failure.is_none();
        send(&Message::Kernel(KernelTest {
            kernel: name.to_owned(),
            file: kernel.file.clone(),
            sha256: kernel.sha256.clone(),
            form: kernel.form,
            failure,
        }));
    }

    /// A kernel whose results count.
    pub(super) fn valid(&self, name: &str) -> Option<Function> {
        self.kernels.get(name).filter(|kernel| kernel.valid).map(|kernel| kernel.function)
    }

    /// The largest piece of the memory under test, for what needs one that hangs together.
    pub(super) fn largest_chunk(&self) -> Option<Chunk> {
        self.chunks.iter().max_by_key(|chunk| chunk.vectors).copied()
    }

    /// Why a kernel's results do not count.
    pub(super) fn why_not(&self, name: &str) -> String {
        match self.kernels.get(name) {
            Some(_) => format!("kernel {name} not validated on this driver"),
            None => {
                let refused = self.refused.iter().find(|(file, _)| file.kernels.contains(&name));
                let why = refused.map_or(String::new(), |(_, why)| format!(": {why}"));
                format!("the driver took no kernel {name}{why}")
            }
        }
    }

    /// Launches, waits, and gives the seconds that it took on the card.
    pub(super) fn run(&self, function: Function, shape: [u32; 3], parameters: &[u64]) -> Result<f64, Failure> {
        self.device.mark(0, 0)?;
        self.device.launch(function, shape, parameters)?;
        self.device.mark(1, 0)?;
        self.device.wait()?;
        self.device.seconds(0, 1)
    }

    /// Writes a result down.
    pub(super) fn measured(&self, quantity: Quantity, values: Vec<u64>, method: &str, kernel: Option<&str>) {
        match Distribution::of(values) {
            Some(distribution) => send(&Message::Measured(Measurement {
                quantity,
                unit: quantity.unit(),
                distribution,
                method: method.to_owned(),
                kernel: kernel.map(str::to_owned),
                seed: kernel.map(|_| self.seed),
            })),
            None => self.missing(quantity, Some("the time was over before a single run ended".to_owned())),
        }
    }

    /// Writes down that there is no result.
    pub(super) fn missing(&self, quantity: Quantity, reason: Option<String>) {
        send(&Message::Missing(Missing { quantity, reason }));
    }

    /// Blocks that keep every SM busy with a memory kernel, where there is so much for them to do.
    pub(super) fn memory_blocks(&self, vectors: u64) -> u32 {
        let most = vectors.div_ceil(VECTORS_A_BLOCK).min(MAX_BLOCKS.into()) as u32;
        (self.device.identity.sm_count * 8).min(most).max(1)
    }
}
