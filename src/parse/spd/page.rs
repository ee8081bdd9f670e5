//! Pages that were not switched.
//!
//! DDR4 EEPROMs show 256 bytes at a time, DDR5 hubs 128. Where the switch is refused (Intel's "SPD write disable"), reading
//! goes on in the page before, and the image repeats itself. That is a fault of the reading, not of the module.

use super::DramType;

/// Bytes that are compared.
const PAGE_BYTES: usize = 128;

/// Bytes of the first page, which are read without a switch.
pub(super) fn first_bytes(dram: DramType) -> usize {
    match dram {
        DramType::Ddr5 | DramType::Lpddr5 | DramType::Lpddr5X => 128,
        _ => 256,
    }
}

/// Whether a page of 128 bytes comes twice, or bytes 512 to 575 are bytes 0 to 63. Blank pages may repeat.
pub(super) fn repeats(bytes: &[u8]) -> bool {
    let blank = |page: &[u8]| page.iter().all(|byte| *byte == page[0]);
    if let (Some(low), Some(high)) = (bytes.get(..64), bytes.get(512..576))
        && low == high
    {
        return true;
    }
    let pages = bytes.as_chunks::<PAGE_BYTES>().0;
    let pages = &pages[..pages.len().min(8)];
    pages.iter().enumerate().any(|(index, page)| pages[..index].contains(page) && !blank(page))
}
