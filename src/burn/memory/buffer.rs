//! The memory under test.
#![allow(unsafe_code)]

use std::io;
use std::ptr;

use rustix::mm::{Advice, MapFlags, MlockFlags, ProtFlags};

use yanji_loops::BLOCK_BYTES;

/// Start of the usable part: a huge page's, so that huge pages fit.
const ALIGNMENT: usize = 2 << 20;

/// An anonymous mapping, not touched yet, returned to the system when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    mapping: *mut u8,
    mapped: usize,
    start: *mut u8,
    bytes: usize,
}

impl Buffer {
    /// Maps that many bytes, rounded down to whole blocks, in huge pages where the kernel has them.
    pub(super) fn map(bytes: usize) -> io::Result<Self> {
        let bytes = bytes / BLOCK_BYTES * BLOCK_BYTES;
        let mapped = bytes.checked_add(ALIGNMENT).ok_or(io::ErrorKind::OutOfMemory)?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let mapping = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), mapped, protection, flags)? }.cast::<u8>();
        let start = mapping.wrapping_add(mapping.align_offset(ALIGNMENT));
        for advice in [Advice::LinuxHugepage, Advice::LinuxDontDump] {
            // SAFETY: the range lies in the mapping; neither advice changes its content. A kernel without huge pages
            // refuses, and the test runs on small ones.
            let _ = unsafe { rustix::mm::madvise(start.cast(), bytes, advice) };
        }
        Ok(Self { mapping, mapped, start, bytes })
    }

    /// Keeps every page in memory from the moment when it is first touched: locking now would touch all of them on
    /// this thread's node.
    pub(super) fn lock(&self) -> io::Result<()> {
        // SAFETY: the range lies in the mapping.
        unsafe { rustix::mm::mlock_with(self.start.cast(), self.bytes, MlockFlags::ONFAULT) }?;
        Ok(())
    }

    /// The first byte; aligned to a huge page.
    pub(super) fn start(&self) -> *mut u8 {
        self.start
    }

    /// Usable length; a multiple of [`BLOCK_BYTES`].
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nothing outlives it.
        let _ = unsafe { rustix::mm::munmap(self.mapping.cast(), self.mapped) };
    }
}
