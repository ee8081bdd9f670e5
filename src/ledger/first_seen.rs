//! Where each id was seen first, in memory that hardly grows.
//!
//! A hundred thousand servers show ten million ids, which are a third of a gigabyte in a hash table. So the newest ids are
//! in one, and when that is full they go, sorted, into a temporary file without a name: a run. Of a run two bytes an id
//! stay in memory, a Bloom filter, that says of all but some in a thousand new ids that the run has not got them; for the
//! others one block of the run is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

/// 128 bits of the SHA-256 of an id.
pub(super) type Hash = [u8; 16];

/// Ids in the hash table before they become a run. The table takes 26 MB then.
const MAX_FRESH: usize = 900_000;
/// A hash, the document and the part, both little endian.
const ENTRY_BYTES: usize = size_of::<Hash>() + 8;
/// Entries that are read at once.
const BLOCK_ENTRIES: usize = 128;
const FILTER_BITS_PER_ID: usize = 16;

/// A place in a document, both by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub document: u32,
    pub part: u32,
}

/// The first place of each id.
#[derive(Debug)]
pub(super) struct FirstSeen {
    fresh: HashMap<Hash, Seen>,
    max_fresh: usize,
    runs: Vec<Run>,
}

impl Default for FirstSeen {
    fn default() -> Self {
        Self { fresh: HashMap::new(), max_fresh: MAX_FRESH, runs: Vec::new() }
    }
}

impl FirstSeen {
    /// Where the id was seen before; if nowhere, `here` is remembered.
    ///
    /// # Errors
    ///
    /// An earlier run cannot be read: whether the id was seen is not known. The id is remembered nevertheless.
    pub fn see(&mut self, hash: Hash, here: Seen) -> io::Result<Option<Seen>> {
        if let Some(seen) = self.fresh.get(&hash) {
            return Ok(Some(*seen));
        }
        let earlier = self.runs.iter().find_map(|run| run.get(&hash).transpose()).transpose();
        if !matches!(earlier, Ok(Some(_))) {
            if self.fresh.len() >= self.max_fresh {
                self.spill();
            }
            self.fresh.insert(hash, here);
        }
        earlier
    }

    /// Moves what is in the table into a run. A disk that is full costs memory and no id: the table stays, and grows.
    fn spill(&mut self) {
        match Run::write(&self.fresh) {
            Ok(run) => {
                self.runs.push(run);
                self.fresh.clear();
            }
            Err(_) => self.max_fresh *= 2,
        }
    }
}

/// Ids in a file, sorted.
#[derive(Debug)]
struct Run {
    file: File,
    entries: usize,
    /// The first hash of each block.
    blocks: Vec<Hash>,
    filter: Filter,
}

impl Run {
    fn write(ids: &HashMap<Hash, Seen>) -> io::Result<Self> {
        let mut sorted: Vec<(&Hash, &Seen)> = ids.iter().collect();
        sorted.sort_unstable_by_key(|(hash, _)| **hash);
        let mut filter = Filter::new(sorted.len());
        let mut out = BufWriter::with_capacity(64 << 10, tempfile::tempfile()?);
        for (hash, seen) in &sorted {
            filter.insert(hash);
            out.write_all(*hash)?;
            out.write_all(&seen.document.to_le_bytes())?;
            out.write_all(&seen.part.to_le_bytes())?;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let blocks = sorted.chunks(BLOCK_ENTRIES).map(|block| *block[0].0).collect();
        Ok(Self { file, entries: sorted.len(), blocks, filter })
    }

    fn get(&self, hash: &Hash) -> io::Result<Option<Seen>> {
        if !self.filter.may_have(hash) {
            return Ok(None);
        }
        let Some(block) = self.blocks.partition_point(|first| first <= hash).checked_sub(1) else { return Ok(None) };
        let start = block * BLOCK_ENTRIES;
        let mut bytes = [0; BLOCK_ENTRIES * ENTRY_BYTES];
        let bytes = &mut bytes[..(self.entries - start).min(BLOCK_ENTRIES) * ENTRY_BYTES];
        self.file.read_exact_at(bytes, (start * ENTRY_BYTES) as u64)?;
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        let Ok(found) = entries.binary_search_by_key(&hash.as_slice(), |entry| &entry[..hash.len()]) else {
            return Ok(None);
        };
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| entries[found][at + byte]));
        Ok(Some(Seen { document: number(hash.len()), part: number(hash.len() + 4) }))
    }
}

/// A Bloom filter. The hashes are SHA-256 already: each 32 bits of one choose a bit.
#[derive(Debug)]
struct Filter {
    words: Vec<u64>,
}

impl Filter {
    fn new(ids: usize) -> Self {
        Self { words: vec![0; (ids * FILTER_BITS_PER_ID).div_ceil(64).max(1)] }
    }

    fn insert(&mut self, hash: &Hash) {
        for (word, bit) in self.bits(hash) {
            self.words[word] |= bit;
        }
    }

    fn may_have(&self, hash: &Hash) -> bool {
        self.bits(hash).into_iter().all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// Word and bit of each quarter of the hash.
    fn bits(&self, hash: &Hash) -> [(usize, u64); 4] {
        let bits = self.words.len() as u64 * 64;
        [0, 4, 8, 12].map(|at| {
            let quarter = u32::from_le_bytes([0, 1, 2, 3].map(|byte| hash[at + byte]));
            let bit = (u64::from(quarter) * bits) >> 32;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::Digest;

    fn id(number: u32) -> Hash {
        let mut hash = Hash::default();
        hash.copy_from_slice(&Digest::of(&number.to_le_bytes()).as_bytes()[..16]);
        hash
    }

    #[test]
    fn an_id_is_found_where_it_was_seen_first_in_memory_or_in_a_file() {
        let place = |number: u32| Seen { document: number, part: number % 7 };
        for max_fresh in [1, 100, 129, 1000, MAX_FRESH] {
            let mut ids = FirstSeen { max_fresh, ..FirstSeen::default() };
            for number in 0..1500 {
                assert_eq!(ids.see(id(number), place(number)).unwrap(), None);
            }
            assert_eq!(ids.runs.len(), 1499 / max_fresh);
            for number in (0..1500).rev() {
                let found = ids.see(id(number), place(9999)).unwrap();
                assert_eq!(found, Some(place(number)), "{max_fresh} {number}");
            }
        }
    }

    #[test]
    fn a_run_that_cannot_be_read_is_an_error_and_not_an_id_that_is_new() {
        let mut ids = FirstSeen { max_fresh: 10, ..FirstSeen::default() };
        for number in 0..11 {
            ids.see(id(number), Seen { document: number, part: 0 }).unwrap();
        }
        ids.runs[0].file.set_len(5).unwrap();
        assert!(ids.see(id(3), Seen { document: 99, part: 0 }).is_err());
    }

    #[test]
    fn few_blocks_are_read_for_ids_that_are_new() {
        let mut filter = Filter::new(100_000);
        for number in 0..100_000 {
            filter.insert(&id(number));
        }
        assert!((0..100_000).all(|number| filter.may_have(&id(number))));
        let wrong = (100_000..200_000).filter(|number| filter.may_have(&id(*number))).count();
        assert!(wrong < 1000, "{wrong} of 100,000");
    }
}
