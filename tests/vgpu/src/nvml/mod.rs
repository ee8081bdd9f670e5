//! The functions of `libnvidia-ml.so.1`, in the C ABI of nvml.h.
//!
//! Readers answer from the rig. Whatever writes, and what belongs to units and vGPU hosts, is not supported.

#![allow(non_upper_case_globals, reason = "constants of the bindings in patterns")]

mod events;
mod fields;
mod handle;
mod health;
mod identity;
mod links;
mod out;
mod state;
mod system;
mod unsupported;

use std::panic::{AssertUnwindSafe, catch_unwind};

use nvml_wrapper_sys::bindings::{nvmlReturn_enum_NVML_SUCCESS, nvmlReturn_t};

use crate::driver::{Refusal, UNKNOWN};

/// Names of all exported functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    [
        system::NAMES,
        identity::NAMES,
        state::NAMES,
        health::NAMES,
        links::NAMES,
        fields::NAMES,
        events::NAMES,
        unsupported::NAMES,
        &["nvmlInit_v2", "nvmlInitWithFlags", "nvmlShutdown", "nvmlErrorString"],
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Marks the library as a simulation, and tells how many bytes each byte of the CUDA half's memory stands for.
#[unsafe(no_mangle)]
pub extern "C" fn yanji_virtual_driver() -> u32 {
    crate::cuda::memory_scale()
}

/// Runs a call. A panic must not unwind into C.
fn guarded(call: impl FnOnce() -> Result<(), Refusal>) -> nvmlReturn_t {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => nvmlReturn_enum_NVML_SUCCESS,
        Ok(Err(refusal)) => refusal.0,
        Err(_) => UNKNOWN.0,
    }
}

/// Defines exported functions, and holds each against the type that the bindings give it.
///
/// `device fn` takes a handle first and gives the body the GPU as it is now; `system fn` gives it the driver.
macro_rules! functions {
    ($($kind:ident fn $name:ident($($argument:ident: $type:ty),* $(,)?) |$bound:ident| $body:block)*) => {
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(functions!(@one $kind $name [$($argument: $type),*] $bound $body);)*

        /// Compiles only if each function has the type that the bindings give it.
        #[allow(dead_code, reason = "to be compiled is all that it is for")]
        fn have_the_types_of_the_bindings(library: &mut nvml_wrapper_sys::bindings::NvmlLib) {
            $(library.$name = Ok($name);)*
        }
    };
    (@one device $name:ident [$($argument:ident: $type:ty),*] $bound:ident $body:block) => {
        #[unsafe(no_mangle)]
        #[allow(clippy::macro_metavars_in_unsafe, reason = "the body is that of an unsafe function")]
        #[allow(unused_unsafe, reason = "some have nothing to write to")]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t, $($argument: $type),*
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            super::guarded(|| {
                let found = super::handle::gpu(stringify!($name), device)?;
                let $bound = found.says();
                // SAFETY: as for a system function, below.
                unsafe { $body }
            })
        }
    };
    (@one system $name:ident [$($argument:ident: $type:ty),*] $bound:ident $body:block) => {
        #[unsafe(no_mangle)]
        #[allow(clippy::macro_metavars_in_unsafe, reason = "the body is that of an unsafe function")]
        #[allow(unused_unsafe, reason = "some have nothing to write to")]
        unsafe extern "C" fn $name($($argument: $type),*) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            super::guarded(|| {
                let $bound = crate::driver::running()?;
                $bound.call(stringify!($name))?;
                // SAFETY: nvml.h makes the caller answer for its pointers: each leads to what its type says, buffers to as
                // many elements as the length beside them, for the duration of the call. Null is refused by `out`.
                unsafe { $body }
            })
        }
    };
}

use functions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_is_exported_twice_and_panics_stay_inside() {
        let mut names: Vec<_> = function_names().collect();
        assert!(names.len() > 270, "{}", names.len());
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(guarded(|| panic!("as a test")), UNKNOWN.0);
    }
}
