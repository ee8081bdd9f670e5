//! Images of modules: PTX text, or the PTX in a fatbin.

use std::ffi::{CStr, c_char};

use super::failure::{Failure, INVALID_VALUE, NO_BINARY};

/// `__fatBinC_Wrapper_t` of fatbinary_section.h.
const WRAPPER: u32 = 0x4662_43b1;
/// `fatBinaryHeader`.
const FATBIN: u32 = 0xba55_ed50;
/// Kind of an entry that is PTX.
const PTX: u16 = 1;
/// Flag of a compressed entry.
const COMPRESSED: u64 = 0x2000;

/// The text of a module, or why there is none.
///
/// # Safety
///
/// `image` leads to a whole image: text with a null byte, a fatbin, or a cubin.
pub unsafe fn text(image: *const u8) -> Result<String, (Failure, String)> {
    if image.is_null() {
        return Err((INVALID_VALUE, "no image".into()));
    }
    // SAFETY: the caller's; every kind of image has four bytes.
    let magic = unsafe { image.cast::<u32>().read_unaligned() };
    match magic {
        // SAFETY: the wrapper is magic, version, pointer.
        WRAPPER => unsafe { text(image.add(8).cast::<*const u8>().read_unaligned()) },
        FATBIN => unsafe { from_fatbin(image) },
        0x464c_457f => Err((NO_BINARY, "a cubin: the virtual driver takes PTX".into())),
        _ => {
            // SAFETY: text ends with a null byte.
            let text = unsafe { CStr::from_ptr(image.cast::<c_char>()) };
            Ok(text.to_string_lossy().into_owned())
        }
    }
}

/// # Safety
///
/// As [`text`].
unsafe fn from_fatbin(image: *const u8) -> Result<String, (Failure, String)> {
    // SAFETY: the header is 16 bytes and tells the size of the rest.
    let bytes = unsafe {
        let header = usize::from(image.add(6).cast::<u16>().read_unaligned());
        let size = image.add(8).cast::<u64>().read_unaligned() as usize;
        std::slice::from_raw_parts(image, header + size)
    };
    let number = |at: usize, width: usize| -> Option<u64> {
        Some(bytes.get(at..at + width)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let mut at = number(6, 2).unwrap_or(16) as usize;
    let mut best: Option<(u64, String)> = None;
    while let (Some(kind), Some(header), Some(size)) = (number(at, 2), number(at + 4, 4), number(at + 8, 8)) {
        if header == 0 {
            break;
        }
        let arch = number(at + 28, 4).unwrap_or_default();
        let flags = number(at + 40, 8).unwrap_or_default();
        let start = at + header as usize;
        if kind == u64::from(PTX)
            && flags & COMPRESSED == 0
            && let Some(body) = bytes.get(start..start + size as usize)
            && best.as_ref().is_none_or(|(before, _)| arch > *before)
        {
            best = Some((arch, String::from_utf8_lossy(body).into_owned()));
        }
        at = start + size as usize;
    }
    best.map(|(_, text)| text)
        .ok_or_else(|| (NO_BINARY, "no uncompressed PTX in the fatbin: the virtual driver runs nothing else".into()))
}
