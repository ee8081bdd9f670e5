//! The memory of a GPU: all of it that can be had, own addresses over the whole of it, further patterns.

use std::time::{Duration, Instant};

use super::answers::{self, ADDRESS, CHECKER, CONSTANT, INVERT, RANDOM, WALKING};
use super::card::{Card, Chunk, THREADS, send};
use super::cuda::Failure;
use super::message::{MemoryError, Message, Step};

const VECTOR_BYTES: u64 = 16;
/// The driver's granularity.
const PAGE_BYTES: u64 = 2 << 20;
const CHUNK_BYTES: u64 = 1 << 30;
/// Vectors of the first launch; a simulator is a million times slower than a card.
const FIRST_VECTORS: u64 = 1 << 15;
/// Launches shorter than that are made longer, and longer ones shorter.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(600);
/// Bytes between two rows of one DRAM bank, as far as is known: addresses are hashed.
const ROW_BYTES: u64 = 64 << 10;

/// Words of the error log (`kernels/error_log.h`).
const CAPACITY: usize = 0;
const WRITTEN: usize = 1;
const CHECKED: usize = 2;
const WRONG: usize = 3;
const RECORDS: usize = 4;
const FIRST_WRONG: usize = 5;
const LAST_WRONG: usize = 6;
const BITS_LOST: usize = 7;
const BITS_GAINED: usize = 8;
const KIND_ALIAS: usize = 12;
const WRONG_BITS_LOW: usize = 13;
const WRONG_BITS_HIGH: usize = 14;
const HEADER: usize = 16;
const RECORD: usize = 8;

/// What runs over all memory once.
#[derive(Debug, Clone, Copy)]
struct Pass {
    kernel: &'static str,
    mode: u32,
    seed: u32,
    descending: bool,
    step: Step,
    what: &'static str,
}

/// How many vectors a launch has, so that it takes a moment and no more.
#[derive(Debug)]
pub(super) struct Pace {
    vectors: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { vectors: FIRST_VECTORS }
    }

    fn took(&mut self, time: Duration) {
        if time < SHORT {
            self.vectors = (self.vectors * 2).min(CHUNK_BYTES / VECTOR_BYTES);
        } else if time > LONG {
            self.vectors = (self.vectors / 2).max(FIRST_VECTORS);
        }
    }
}

/// Takes all memory that can be had, less what the driver needs to go on. Running out of it is the end, not an error.
pub(super) fn allocate(card: &mut Card, percent: u8, max_bytes: Option<u64>) -> Result<(), Failure> {
    let (free, total) = card.device.memory()?;
    let spare = (64 << 20).min(total / 100);
    let wanted = (free / 100 * u64::from(percent)).max(free.saturating_sub(free % 100) / 100 * u64::from(percent));
    let mut left = wanted.min(free.saturating_sub(spare)).min(max_bytes.unwrap_or(u64::MAX));
    let mut size = CHUNK_BYTES;
    let mut index = 0;
    while left >= PAGE_BYTES / 8 && !card.over() {
        let bytes = size.min(left) / 4096 * 4096;
        match card.device.allocate(bytes) {
            Ok(address) => {
                let vectors = bytes / VECTOR_BYTES;
                card.chunks.push(Chunk { address, vectors, first_index: index });
                index += vectors;
                left -= bytes;
                card.counters.allocated_bytes += bytes * card.scale;
            }
            Err(failure) if failure.is_out_of_memory() => {
                size = bytes / 2;
                if size < PAGE_BYTES / 8 {
                    // Nothing at all is no end of a search.
                    if card.chunks.is_empty() {
                        return Err(failure);
                    }
                    break;
                }
            }
            Err(failure) => return Err(failure),
        }
        card.progress("allocate", 0.0, "");
    }
    Ok(())
}

/// Own addresses over the whole card before any is looked at: memory that is not there holds what belongs elsewhere. Then
/// again inverted and in reverse, so that every cell has held both states and no stuck bit is missed by chance.
pub(super) fn address(card: &mut Card) -> Result<(), Failure> {
    let mut held = u64::MAX;
    for (descending, mode) in [(false, ADDRESS), (true, ADDRESS | INVERT)] {
        let seed = card.seed;
        let pass = Pass { kernel: "memory_fill", mode, seed, descending, step: Step::Address, what: "addresses" };
        run(card, pass)?;
        let (checked, wrong) = run(card, Pass { kernel: "memory_verify", what: "own addresses", ..pass })?;
        held = held.min(checked.saturating_sub(wrong));
        if card.over() {
            return Ok(());
        }
    }
    card.counters.tested_bytes = held * VECTOR_BYTES * card.scale;
    Ok(())
}

/// The patterns in turn, as long as the time lasts; `turn` says where an earlier turn stopped.
pub(super) fn patterns(card: &mut Card, until: Instant, retention: Duration, turn: &mut u32) -> Result<(), Failure> {
    while Instant::now() < until && !card.over() {
        let seed = card.seed.wrapping_add(*turn);
        let pass = Pass {
            kernel: "memory_fill",
            mode: RANDOM,
            seed,
            descending: *turn % 2 == 1,
            step: Step::Patterns,
            what: "random",
        };
        match *turn % 5 {
            0 => {
                // Moving inversions: every cell goes both ways, with its neighbours in either state.
                run(card, pass)?;
                run(card, Pass { kernel: "memory_march", what: "moving inversions", ..pass })?;
                let back = Pass { kernel: "memory_march", mode: RANDOM | INVERT, descending: !pass.descending, ..pass };
                run(card, Pass { what: "moving inversions", ..back })?;
                run(card, Pass { kernel: "memory_verify", ..pass })?;
            }
            1 => {
                let walking = Pass { mode: WALKING, what: "walking bits", ..pass };
                run(card, walking)?;
                run(card, Pass { kernel: "memory_verify", ..walking })?;
            }
            2 => {
                let checker = Pass { mode: CHECKER, what: "checkerboard", ..pass };
                run(card, checker)?;
                run(card, Pass { kernel: "memory_march", ..checker })?;
                run(card, Pass { kernel: "memory_verify", mode: CHECKER | INVERT, ..checker })?;
            }
            3 => {
                run(card, pass)?;
                thrash(card, seed)?;
            }
            _ => {
                let constant = Pass { mode: CONSTANT, seed: 0, what: "retention", ..pass };
                run(card, constant)?;
                hold(card, retention);
                run(card, Pass { kernel: "memory_verify", ..constant })?;
            }
        }
        *turn += 1;
    }
    Ok(())
}

fn hold(card: &mut Card, retention: Duration) {
    let end = Instant::now() + retention;
    while Instant::now() < end && !card.over() {
        std::thread::sleep(Duration::from_millis(50));
        card.progress("retention", 0.0, "");
    }
}

/// One pass over all memory. Gives how many vectors were checked, and how many of them were wrong.
fn run(card: &mut Card, pass: Pass) -> Result<(u64, u64), Failure> {
    let Some(function) = card.valid(pass.kernel) else { return Ok((0, 0)) };
    card.enter(pass.step, pass.what);
    let mut pace = Pace::new();
    let (mut checked, mut wrong) = (0, 0);
    let mut chunks = card.chunks.clone();
    if pass.descending {
        chunks.reverse();
    }
    for chunk in chunks {
        let mut done = 0;
        while done < chunk.vectors && !card.over() {
            let count = pace.vectors.min(chunk.vectors - done);
            let at = if pass.descending { chunk.vectors - done - count } else { done };
            let start = Instant::now();
            prepare(card);
            let parameters = [
                chunk.address + at * VECTOR_BYTES,
                count,
                chunk.first_index + at,
                pass.mode.into(),
                pass.seed.into(),
                pass.descending.into(),
                card.log.device,
            ];
            let shape = [card.memory_blocks(count), THREADS, 0];
            let seconds = card.run(function, shape, &parameters)?;
            pace.took(start.elapsed());
            let (now_checked, now_wrong) = collect(card, pass)?;
            checked += now_checked;
            wrong += now_wrong;
            done += count;
            let moves = if pass.kernel == "memory_march" { 2 } else { 1 };
            card.progress(
                pass.what,
                (count * VECTOR_BYTES * card.scale * moves) as f64 / seconds.max(1e-9) / 1e9,
                "GB/s",
            );
        }
    }
    Ok((checked, wrong))
}

/// Rows of one bank in turn: nearly each access opens another row.
fn thrash(card: &mut Card, seed: u32) -> Result<(), Failure> {
    let Some(function) = card.valid("memory_thrash") else { return Ok(()) };
    card.enter(Step::Patterns, "bank rows");
    let row_vectors = ROW_BYTES / VECTOR_BYTES;
    let pass = Pass {
        kernel: "memory_thrash",
        mode: RANDOM,
        seed,
        descending: false,
        step: Step::Patterns,
        what: "bank rows",
    };
    let mut pace = Pace::new();
    for chunk in card.chunks.clone() {
        let mut done = 0;
        while chunk.vectors - done >= row_vectors && !card.over() {
            let rows = (pace.vectors.min(chunk.vectors - done) / row_vectors).max(1);
            let start = Instant::now();
            prepare(card);
            let parameters = [
                chunk.address + done * VECTOR_BYTES,
                rows,
                row_vectors,
                chunk.first_index + done,
                RANDOM.into(),
                seed.into(),
                card.log.device,
            ];
            let seconds = card.run(function, [card.memory_blocks(rows * row_vectors), THREADS, 0], &parameters)?;
            pace.took(start.elapsed());
            collect(card, pass)?;
            done += rows * row_vectors;
            card.progress(pass.what, (rows * ROW_BYTES * card.scale) as f64 / seconds.max(1e-9) / 1e9, "GB/s");
        }
    }
    Ok(())
}

/// An empty log.
pub(super) fn prepare(card: &Card) {
    card.log.clear(card.log.words());
    card.log.set(CAPACITY, ((card.log.words() - HEADER) / RECORD) as u64);
    card.log.set(FIRST_WRONG, u64::MAX);
}

/// Vectors written, checked and wrong, as the log has them.
pub(super) fn logged(card: &Card) -> [u64; 3] {
    [WRITTEN, CHECKED, WRONG].map(|word| card.log.get(word))
}

/// Takes the log of a launch into the counters, and tells the errors. Gives how many vectors were checked and wrong.
fn collect(card: &mut Card, pass: Pass) -> Result<(u64, u64), Failure> {
    let [written, checked, wrong] = logged(card);
    let vector_bytes = VECTOR_BYTES * card.scale;
    card.counters.written_bytes += written * vector_bytes;
    card.counters.verified_bytes += checked * vector_bytes;
    if wrong == 0 {
        return Ok((checked, 0));
    }
    let log = |word: usize| card.log.get(word);
    let (first, last) = (log(FIRST_WRONG) * vector_bytes, log(LAST_WRONG) * vector_bytes);
    let mask = u128::from(log(WRONG_BITS_HIGH)) << 64 | u128::from(log(WRONG_BITS_LOW));
    let (lost, gained, aliased) = (log(BITS_LOST), log(BITS_GAINED), log(KIND_ALIAS));
    let stored = log(RECORDS).min(log(CAPACITY)) as usize;
    let records: Vec<[u64; RECORD]> =
        (0..stored).map(|record| std::array::from_fn(|word| log(HEADER + record * RECORD + word))).collect();
    let counters = &mut card.counters;
    counters.memory_errors += wrong;
    counters.aliased += aliased;
    counters.bits_lost += lost;
    counters.bits_gained += gained;
    counters.first_wrong = Some(counters.first_wrong.map_or(first, |before| before.min(first)));
    counters.last_wrong = Some(counters.last_wrong.map_or(last, |before| before.max(last)));
    let before = u128::from_str_radix(&counters.wrong_bits, 16).unwrap_or(0);
    counters.wrong_bits = format!("{:032x}", before | mask);
    let mut records = records;
    records.sort_unstable();
    for record in records {
        let words = |at: usize| {
            [record[at] as u32, (record[at] >> 32) as u32, record[at + 1] as u32, (record[at + 1] >> 32) as u32]
        };
        let (index, expected, found) = (record[0], words(2), words(4));
        let named = answers::named_index(found, pass.mode, pass.seed).filter(|named| *named != index);
        if let Some(named) = named {
            // The one of both that lies higher is the one that is not there.
            let beyond = index.max(named) * vector_bytes;
            let first = card.counters.first_aliased.map_or(beyond, |before| before.min(beyond));
            card.counters.first_aliased = Some(first);
        }
        if !card.tell() {
            continue;
        }
        let kinds = ["bit", "word", "words", "alias"];
        send(&Message::MemoryError(MemoryError {
            offset: format!("{:#x}", index * vector_bytes),
            expected: hex(expected),
            found: hex(found),
            fault: kinds[(record[1] >> 32 & 3) as usize].to_owned(),
            content_of: named.map(|named| format!("{:#x}", named * vector_bytes)),
            pattern: pass.what.to_owned(),
            sm: record[1] as u32,
        }));
    }
    Ok((checked, wrong))
}

fn hex(words: [u32; 4]) -> String {
    format!("{:08x}{:08x}{:08x}{:08x}", words[3], words[2], words[1], words[0])
}
