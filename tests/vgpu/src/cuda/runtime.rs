//! What there is in this process: GPUs, and the handles that were given out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::card::{Card, lock};
use super::exec::program::Program;
use super::failure::{Failure, INVALID_CONTEXT, INVALID_DEVICE, INVALID_HANDLE, NO_DEVICE, NOT_INITIALIZED};
use super::stream::{Event, Stream};
use crate::rig::{Rig, Source};

/// The process's CUDA.
pub struct Runtime {
    pub rig: Rig,
    /// Bytes of a GPU's memory that each byte here stands for.
    pub scale: u64,
    /// GPUs in the order of CUDA.
    pub cards: Vec<Arc<Card>>,
    /// Default stream of each of them.
    defaults: Vec<Arc<Stream>>,
    pub streams: Handles<Stream>,
    pub events: Handles<Event>,
    pub modules: Handles<LoadedModule>,
    pub functions: Handles<Function>,
    /// Memory of the host that GPUs may touch: start and end, and whether it was allocated here.
    hosts: Mutex<BTreeMap<u64, HostMemory>>,
}

/// Page-locked memory.
#[derive(Debug, Clone, Copy)]
pub struct HostMemory {
    pub end: u64,
    /// Allocated here, with that layout's size; else it is the program's own.
    pub allocated: bool,
}

/// A module in a context.
pub struct LoadedModule {
    pub card: Arc<Card>,
    pub programs: Vec<Arc<Program>>,
    pub version: (u32, u32),
    /// Name, address and bytes of its variables.
    pub globals: Vec<(String, u64, u64)>,
    /// Handles of its functions.
    pub functions: Mutex<HashMap<String, usize>>,
}

/// A kernel of a module.
pub struct Function {
    pub card: Arc<Card>,
    pub program: Arc<Program>,
    pub version: (u32, u32),
    /// Highest dynamic shared memory that was asked for.
    pub max_dynamic_shared: AtomicUsize,
}

/// Things behind handles. A handle is a number that is never used again.
pub struct Handles<T> {
    next: AtomicUsize,
    things: Mutex<HashMap<usize, Arc<T>>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { next: AtomicUsize::new(0x1000), things: Mutex::default() }
    }
}

impl<T> Handles<T> {
    pub fn add(&self, thing: T) -> usize {
        let handle = self.next.fetch_add(16, Ordering::Relaxed);
        lock(&self.things).insert(handle, Arc::new(thing));
        handle
    }

    pub fn get(&self, handle: usize) -> Result<Arc<T>, Failure> {
        lock(&self.things).get(&handle).cloned().ok_or(INVALID_HANDLE)
    }

    pub fn remove(&self, handle: usize) -> Result<Arc<T>, Failure> {
        lock(&self.things).remove(&handle).ok_or(INVALID_HANDLE)
    }

    pub fn all(&self) -> Vec<Arc<T>> {
        lock(&self.things).values().cloned().collect()
    }
}

static RUNTIME: OnceLock<Result<Runtime, Failure>> = OnceLock::new();

thread_local! {
    /// Contexts of this thread: positions of GPUs, the current one last. `None` where none was set.
    static CONTEXTS: RefCell<Vec<Option<usize>>> = const { RefCell::new(Vec::new()) };
}

/// Reads the rig that `VGPU_RIG` names.
pub fn start() -> Result<&'static Runtime, Failure> {
    RUNTIME.get_or_init(load).as_ref().map_err(|failure| *failure)
}

/// What each byte of memory stands for here. Reads the rig if nobody has yet.
pub fn memory_scale() -> u32 {
    start().map_or(1, |it| u32::try_from(it.scale).unwrap_or(u32::MAX))
}

/// After `cuInit`.
pub fn runtime() -> Result<&'static Runtime, Failure> {
    match RUNTIME.get() {
        None => Err(NOT_INITIALIZED),
        Some(result) => result.as_ref().map_err(|failure| *failure),
    }
}

fn load() -> Result<Runtime, Failure> {
    let path = std::env::var_os("VGPU_RIG").map(PathBuf::from).ok_or(NO_DEVICE)?;
    let rig = Rig::load(&path).map_err(|error| {
        eprintln!("vgpu: {error:#}");
        NO_DEVICE
    })?;
    if !rig.driver.loaded || rig.driver.init_error.is_some() {
        return Err(NO_DEVICE);
    }
    let chosen = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let mut cards = Vec::new();
    let visible = rig.gpus.iter().enumerate().filter(|(_, it)| {
        // A GPU in partitions without any shows nothing to CUDA.
        let partitions = it.gpu.mig.as_ref().is_none_or(|mig| !mig.enabled || mig.devices > 0);
        it.gpu.seen_by.contains(&Source::Nvml) && partitions
    });
    for (ordinal, gpu) in visible {
        if crate::load::record(ordinal).lost.load(Ordering::Relaxed) != 0 {
            continue;
        }
        cards.push((ordinal, &gpu.gpu));
    }
    if let Some(chosen) = chosen {
        let all = std::mem::take(&mut cards);
        for word in chosen.split(',') {
            let word = word.trim();
            let by_uuid = |gpu: &crate::rig::Gpu| {
                gpu.uuid.as_ref().and_then(|it| it.plain()).is_some_and(|it| it.starts_with(word))
            };
            let found = match word.parse::<usize>() {
                Ok(index) => all.get(index),
                Err(_) => all.iter().find(|(_, gpu)| !word.is_empty() && by_uuid(gpu)),
            };
            // As the driver has it: what follows an unknown one is not seen either.
            let Some(found) = found else { break };
            cards.push(*found);
        }
    }
    if cards.is_empty() {
        return Err(NO_DEVICE);
    }
    let scale = scale(&rig);
    let cards = cards
        .into_iter()
        .map(|(ordinal, gpu)| Card::new(&rig, ordinal, gpu, scale).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Runtime {
        defaults: cards.iter().map(|card| Arc::new(Stream::new(card, true))).collect(),
        cards,
        rig,
        scale,
        streams: Handles::default(),
        events: Handles::default(),
        modules: Handles::default(),
        functions: Handles::default(),
        hosts: Mutex::default(),
    })
}

/// What each byte stands for, so that the memory of the largest GPU has the size that `VGPU_CUDA_MIB` names; 1 without it.
fn scale(rig: &Rig) -> u64 {
    let named = std::env::var("VGPU_CUDA_MIB").ok().and_then(|it| it.parse().ok()).filter(|&it| it > 0);
    let largest = rig.gpus.iter().map(|it| it.gpu.cuda_mib()).max().unwrap_or(1);
    named.map_or(1, |mib: u64| largest.div_ceil(mib)).max(1)
}

impl Runtime {
    /// A GPU by its number in CUDA.
    pub fn card(&self, device: i32) -> Result<&Arc<Card>, Failure> {
        usize::try_from(device).ok().and_then(|it| self.cards.get(it)).ok_or(INVALID_DEVICE)
    }

    /// The GPU of this thread's context, if its context is sound.
    pub fn current(&self) -> Result<&Arc<Card>, Failure> {
        let card = self.context().and_then(|it| self.cards.get(it)).ok_or(INVALID_CONTEXT)?;
        match card.sticky.load(Ordering::Relaxed) {
            0 => Ok(card),
            error => Err(Failure(error)),
        }
    }

    /// Position of the current context's GPU.
    pub fn context(&self) -> Option<usize> {
        CONTEXTS.with_borrow(|contexts| contexts.last().copied().flatten())
    }

    pub fn set_context(&self, context: Option<usize>) {
        CONTEXTS.with_borrow_mut(|contexts| {
            contexts.pop();
            contexts.push(context);
        });
    }

    pub fn push_context(&self, context: usize) {
        CONTEXTS.with_borrow_mut(|contexts| contexts.push(Some(context)));
    }

    pub fn pop_context(&self) -> Option<usize> {
        CONTEXTS.with_borrow_mut(|contexts| contexts.pop().flatten())
    }

    /// Position of a context by its handle.
    pub fn context_of(&self, handle: usize) -> Result<usize, Failure> {
        let index = handle.checked_sub(CONTEXT_HANDLES).ok_or(INVALID_CONTEXT)? / 16;
        if index < self.cards.len() { Ok(index) } else { Err(INVALID_CONTEXT) }
    }

    /// Handle of a GPU's context.
    pub fn context_handle(index: usize) -> usize {
        CONTEXT_HANDLES + 16 * index
    }

    /// A stream: the small handles are the default stream.
    pub fn stream(&self, handle: usize) -> Result<Arc<Stream>, Failure> {
        self.current()?;
        if handle <= 2 {
            let index = self.context().ok_or(INVALID_CONTEXT)?;
            return Ok(Arc::clone(&self.defaults[index]));
        }
        self.streams.get(handle)
    }

    /// All streams of a GPU.
    pub fn streams_of(&self, card: &Card) -> Vec<Arc<Stream>> {
        let own = |it: &Arc<Stream>| it.card.ordinal == card.ordinal;
        self.streams.all().into_iter().filter(own).chain(self.defaults.iter().filter(|it| own(it)).cloned()).collect()
    }

    /// Adds work to a stream. The default stream and the blocking ones wait for each other.
    pub fn submit(&self, stream: &Arc<Stream>, job: super::stream::Job) -> super::stream::Ticket {
        if stream.is_blocking {
            let is_default = self.defaults.iter().any(|it| Arc::ptr_eq(it, stream));
            let others: Vec<_> = self
                .streams_of(&stream.card)
                .into_iter()
                .filter(|it| !Arc::ptr_eq(it, stream) && it.is_blocking)
                .filter(|it| is_default || self.defaults.iter().any(|default| Arc::ptr_eq(default, it)))
                .map(|it| it.tail())
                .filter(|it| !it.is_done())
                .collect();
            if !others.is_empty() {
                stream.submit(Box::new(move |_| others.iter().for_each(super::stream::Ticket::wait)));
            }
        }
        stream.submit(job)
    }

    pub fn add_host(&self, start: u64, memory: HostMemory) {
        lock(&self.hosts).insert(start, memory);
    }

    pub fn remove_host(&self, start: u64) -> Option<HostMemory> {
        lock(&self.hosts).remove(&start)
    }

    /// Page-locked memory that an address is in.
    pub fn host(&self, address: u64) -> Option<(u64, HostMemory)> {
        let hosts = lock(&self.hosts);
        let (&start, &memory) = hosts.range(..=address).next_back()?;
        (address < memory.end).then_some((start, memory))
    }

    pub fn host_ranges(&self) -> Vec<(u64, u64)> {
        lock(&self.hosts).iter().map(|(&start, it)| (start, it.end)).collect()
    }

    /// The GPU that has an address.
    pub fn owner(&self, address: u64) -> Option<&Arc<Card>> {
        self.cards.iter().find(|it| it.owns(address))
    }
}

/// Where the handles of contexts begin.
const CONTEXT_HANDLES: usize = 0x10_0000;
