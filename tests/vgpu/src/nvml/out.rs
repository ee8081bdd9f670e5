//! Writing through the caller's pointers.

use std::ffi::{c_char, c_uint};

use crate::driver::{INSUFFICIENT_SIZE, INVALID_ARGUMENT, NOT_SUPPORTED, Refusal, VERSION_MISMATCH};
use crate::rig::Text;

/// Writes a value.
///
/// # Safety
///
/// `to` is null or leads to memory for a `T`.
pub unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Refusal> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and then it leads to memory for a T. A caller may have it packed.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// Writes a value that the GPU may not have.
///
/// # Safety
///
/// As [`put`].
pub unsafe fn put_supported<T>(to: *mut T, value: Option<T>) -> Result<(), Refusal> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: as the caller promised.
    unsafe { put(to, value.ok_or(NOT_SUPPORTED)?) }
}

/// Writes a string into a buffer of `length` bytes.
///
/// # Safety
///
/// `to` is null or leads to `length` bytes.
pub unsafe fn put_text(to: *mut c_char, length: c_uint, text: Option<&Text>) -> Result<(), Refusal> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    let text = text.ok_or(NOT_SUPPORTED)?;
    // SAFETY: not null, and then it leads to that many bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), length as usize) };
    fill(buffer, text)
}

/// Puts a string into a field of a structure; what does not fit is cut off.
pub fn fill_field(field: &mut [c_char], text: &[u8]) {
    field.fill(0);
    let room = field.len().saturating_sub(1);
    for (to, &from) in field[..room].iter_mut().zip(text) {
        *to = from as c_char;
    }
}

fn fill(buffer: &mut [u8], text: &Text) -> Result<(), Refusal> {
    let bytes = text.bytes();
    if text.fills_buffer() {
        let room = buffer.len();
        buffer.iter_mut().zip(bytes.iter().cycle()).take(room).for_each(|(to, from)| *to = *from);
        return Ok(());
    }
    let room = buffer.get_mut(..=bytes.len()).ok_or(INSUFFICIENT_SIZE)?;
    room[..bytes.len()].copy_from_slice(&bytes);
    room[bytes.len()] = 0;
    Ok(())
}

/// Writes a list by NVML's rule: too small a buffer, or none, gets the count and an error.
///
/// # Safety
///
/// `count` is null or leads to the number of elements that `to` has room for; `to` is null or leads to them.
pub unsafe fn put_list<T: Copy>(count: *mut c_uint, to: *mut T, list: &[T]) -> Result<(), Refusal> {
    if count.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and then it leads to a number.
    let room = unsafe { count.read_unaligned() } as usize;
    // SAFETY: the same pointer.
    unsafe { put(count, list.len() as c_uint)? };
    if list.is_empty() {
        return Ok(());
    }
    if room < list.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    for (index, &value) in list.iter().enumerate() {
        // SAFETY: there is room for all of the list; null is refused.
        unsafe { put(if to.is_null() { to } else { to.add(index) }, value)? };
    }
    Ok(())
}

/// Fills a structure that carries its version in its first field: `size | version << 24`.
///
/// # Safety
///
/// `to` is null or leads to a structure of the version that its first field states.
pub unsafe fn put_versioned<T>(
    to: *mut T,
    version: u32,
    value: impl FnOnce(u32) -> Result<T, Refusal>,
) -> Result<(), Refusal> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    let own = struct_version::<T>(version);
    // SAFETY: not null, and every versioned structure begins with its version.
    if unsafe { to.cast::<u32>().read_unaligned() } != own {
        return Err(VERSION_MISMATCH);
    }
    // SAFETY: it is of this version, so there is memory for a T.
    unsafe { put(to, value(own)?) }
}

/// `NVML_STRUCT_VERSION` of nvml.h.
pub const fn struct_version<T>(version: u32) -> u32 {
    size_of::<T>() as u32 | version << 24
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_string_needs_room_for_its_nul_and_a_hostile_one_takes_all() {
        let text = Text::from("abc");
        let mut buffer = [0x55; 5];
        assert_eq!(fill(&mut buffer[..3], &text), Err(INSUFFICIENT_SIZE));
        assert_eq!(buffer, [0x55; 5]);
        fill(&mut buffer[..4], &text).unwrap();
        assert_eq!(buffer, *b"abc\0\x55");
        let hostile: toml::Table = toml::from_str("it = { hex = \"ff41\", no_nul = true }").unwrap();
        let hostile: Text = hostile["it"].clone().try_into().unwrap();
        fill(&mut buffer, &hostile).unwrap();
        assert_eq!(buffer, *b"\xffA\xffA\xff");
    }

    #[test]
    fn null_is_refused_and_lists_tell_their_length() {
        // SAFETY: null pointers, and pointers to what is on the stack.
        unsafe {
            assert_eq!(put(std::ptr::null_mut::<u32>(), 1), Err(INVALID_ARGUMENT));
            assert_eq!(put_text(std::ptr::null_mut(), 80, Some(&"x".into())), Err(INVALID_ARGUMENT));
            let mut room: c_uint = 1;
            let mut list = [0u64; 2];
            assert_eq!(put_list(&mut room, list.as_mut_ptr(), &[7, 8]), Err(INSUFFICIENT_SIZE));
            assert_eq!((room, list), (2, [0, 0]));
            put_list(&mut room, list.as_mut_ptr(), &[7, 8]).unwrap();
            assert_eq!(list, [7, 8]);
            assert_eq!(put_list(&mut room, std::ptr::null_mut(), &[7, 8]), Err(INVALID_ARGUMENT));
        }
    }
}
