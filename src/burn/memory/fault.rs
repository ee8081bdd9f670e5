//! A closer look at a block that does not hold what was written.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{Ordering, fence};

use serde::{Deserialize, Serialize};

use crate::burn::worker::CpuPlace;
use crate::evidence::Reading;
use yanji_loops::{BLOCK_BYTES, LANE_BYTES, Mismatch, Pattern};

/// What became of a wrong word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// Read again, it was right: the way to memory or the core, rather than the cell.
    Transient,
    /// Wrong when read again, right after it was written again.
    Soft,
    /// Wrong even after it was written again.
    Stuck,
}

/// A word that did not hold what was written. Numbers of 64 bits are `0x` text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryError {
    /// Address in the worker.
    pub virtual_address: String,
    /// Address in the machine; needs root.
    pub physical_address: Reading<String>,
    /// Differing bits.
    pub xor: String,
    /// What was written.
    pub expected: String,
    /// What was read.
    pub found: String,
    /// Number of the pass in its worker; pass 0 only writes.
    pub pass: u64,
    /// The pattern that should have been there.
    pub pattern: Pattern,
    /// The CPU that saw it.
    pub cpu: u32,
    /// Its NUMA node.
    pub node: u32,
    /// What became of it.
    pub persistence: Persistence,
}

/// Looks at every word of a block again. Gives how many are wrong, and the first `details` of them described; those
/// are mended. When none is wrong any more, the mismatch itself is one transient error.
///
/// # Safety
///
/// The block is readable and writable, and no other thread uses it.
pub(super) unsafe fn examine(
    mismatch: Mismatch,
    pattern: Pattern,
    pass: u64,
    place: &CpuPlace,
    details: usize,
) -> (u64, Vec<MemoryError>) {
    let describe = |address: usize, expected: u64, found: u64, persistence| MemoryError {
        virtual_address: format!("{address:#018x}"),
        physical_address: physical_address(address).map(|address| format!("{address:#018x}")),
        xor: format!("{:#018x}", expected ^ found),
        expected: format!("{expected:#018x}"),
        found: format!("{found:#018x}"),
        pass,
        pattern,
        cpu: place.cpu,
        node: place.node,
        persistence,
    };
    let (mut count, mut errors) = (0, Vec::new());
    for lane in (mismatch.block..mismatch.block + BLOCK_BYTES).step_by(LANE_BYTES) {
        for (word, expected) in pattern.lane(lane).into_iter().enumerate() {
            let address = lane + 8 * word;
            let at = address as *mut u64;
            // SAFETY: the word lies in the block.
            let found = unsafe { at.read_volatile() };
            if found == expected {
                continue;
            }
            count += 1;
            if errors.len() >= details {
                continue;
            }
            // SAFETY: as above.
            let persistence = unsafe {
                if read_uncached(at) == expected {
                    Persistence::Transient
                } else {
                    at.write_volatile(expected);
                    if read_uncached(at) == expected { Persistence::Soft } else { Persistence::Stuck }
                }
            };
            errors.push(describe(address, expected, found, persistence));
        }
    }
    if count == 0 {
        count = 1;
        if details > 0 {
            // Which of the block's lanes it was is lost; the word in the lane and the bits are not.
            let word = mismatch.xor.iter().position(|&bits| bits != 0).unwrap_or(0);
            let expected = pattern.lane(mismatch.block)[word];
            let found = expected ^ mismatch.xor[word];
            errors.push(describe(mismatch.block + 8 * word, expected, found, Persistence::Transient));
        }
    }
    (count, errors)
}

/// Reads a word from memory rather than from the cache.
///
/// # Safety
///
/// `at` is readable.
unsafe fn read_uncached(at: *const u64) -> u64 {
    fence(Ordering::SeqCst);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64; flushing a line changes no content.
    unsafe {
        std::arch::x86_64::_mm_clflush(at.cast());
        std::arch::x86_64::_mm_mfence();
    }
    // SAFETY: the contract of this function.
    unsafe { at.read_volatile() }
}

/// Translates an address through `/proc/self/pagemap` (Documentation/admin-guide/mm/pagemap.rst: 64 bits a page,
/// bits 0 to 54 the frame number, bit 63 present). The frame reads as zero without CAP_SYS_ADMIN.
fn physical_address(address: usize) -> Reading<u64> {
    let page = rustix::param::page_size();
    let mut entry = [0; size_of::<u64>()];
    let read = File::open("/proc/self/pagemap")
        .and_then(|pagemap| pagemap.read_exact_at(&mut entry, (address / page * size_of::<u64>()) as u64));
    if let Err(error) = read {
        return match error.kind() {
            std::io::ErrorKind::NotFound => Reading::Absent,
            std::io::ErrorKind::PermissionDenied => Reading::Denied,
            _ => Reading::Failed(error.to_string()),
        };
    }
    let entry = u64::from_ne_bytes(entry);
    let frame = entry & ((1 << 55) - 1);
    match (entry >> 63, frame) {
        (0, _) => Reading::Failed("the page is not present".to_owned()),
        (_, 0) => Reading::Denied,
        _ => Reading::Known(frame * page as u64 + (address % page) as u64),
    }
}
