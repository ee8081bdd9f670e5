//! Initialisation, versions, errors, addresses of functions.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::{functions, put, tables};
use crate::cuda::failure::{INVALID_VALUE, NOT_FOUND, describe};
use crate::cuda::runtime::{runtime, start};

functions! {
    fn cuInit(flags: c_uint) {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        start().map(|_| ())
    }
    fn cuDriverGetVersion(version: *mut c_int) {
        // It can be asked before cuInit, and on a machine whose GPUs are all lost.
        let told = match start() {
            Ok(runtime) => runtime.rig.driver.cuda_version,
            Err(_) => runtime().map_or(12080, |runtime| runtime.rig.driver.cuda_version),
        };
        put(version, told)
    }
    fn cuGetErrorName(error: c_uint, name: *mut *const c_char) {
        let (found, _) = describe(error).ok_or(INVALID_VALUE)?;
        put(name, found.as_ptr())
    }
    fn cuGetErrorString(error: c_uint, text: *mut *const c_char) {
        let (_, found) = describe(error).ok_or(INVALID_VALUE)?;
        put(text, found.as_ptr())
    }
    fn cuGetProcAddress(name: *const c_char, address: *mut *const c_void, version: c_int, _flags: u64) {
        find(name, address, version).map(|_| ())
    }
    fn cuGetProcAddress_v2(
        name: *const c_char, address: *mut *const c_void, version: c_int, _flags: u64, status: *mut c_uint,
    ) {
        let found = find(name, address, version);
        if !status.is_null() {
            // CU_GET_PROC_ADDRESS_SUCCESS or CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND.
            put(status, u32::from(found.is_err()))?;
        }
        found
    }
    fn cuProfilerStart() { Ok(()) }
    fn cuProfilerStop() { Ok(()) }
}

/// The newest version of a function, as a caller that asks for today's has it.
unsafe fn find(
    name: *const c_char,
    address: *mut *const c_void,
    _version: c_int,
) -> Result<(), crate::cuda::failure::Failure> {
    if name.is_null() || address.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null, and then it is a string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let missing = start().is_ok_and(|it| it.rig.driver.missing.iter().any(|it| *it == name));
    let found = ["_v4", "_v3", "_v2", ""].iter().find_map(|version| {
        let full = format!("{name}{version}");
        tables().into_iter().flatten().find(|(known, _)| *known == full)
    });
    let found = found.filter(|_| !missing).map_or(std::ptr::null(), |(_, address)| address.0.cast());
    // SAFETY: not null.
    unsafe { put(address, found)? };
    if found.is_null() { Err(NOT_FOUND) } else { Ok(()) }
}
