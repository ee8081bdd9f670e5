//! The functions of `libcuda.so.1`, in the C ABI of cuda.h (12.8).

mod context;
mod copy;
mod device;
mod execution;
mod memory;
mod module;
mod order;
mod system;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::failure::{Failure, INVALID_VALUE, UNKNOWN};

/// Names of all exported functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    tables().into_iter().flatten().map(|(name, _)| *name)
}

/// Names and addresses, for `cuGetProcAddress`.
fn tables() -> [&'static [(&'static str, Address)]; 8] {
    [
        system::FUNCTIONS,
        device::FUNCTIONS,
        context::FUNCTIONS,
        order::FUNCTIONS,
        module::FUNCTIONS,
        execution::FUNCTIONS,
        memory::FUNCTIONS,
        copy::FUNCTIONS,
    ]
}

/// Address of a function.
#[derive(Clone, Copy)]
struct Address(*const ());

// SAFETY: functions are there for all threads.
unsafe impl Sync for Address {}

/// Runs a call. A panic must not unwind into C.
fn guarded(call: impl FnOnce() -> Result<(), Failure>) -> u32 {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => failure.0,
        Err(_) => UNKNOWN.0,
    }
}

/// Writes a value.
///
/// # Safety
///
/// `to` is null or leads to memory for a `T`.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Failure> {
    if to.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null, and then it leads to memory for a T.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// Defines exported functions.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        pub(super) const FUNCTIONS: &[(&str, super::Address)] =
            &[$((stringify!($name), super::Address($name as *const ()))),*];

        $(
            #[allow(non_snake_case, reason = "the names are those of cuda.h")]
            #[allow(clippy::too_many_arguments, reason = "so are the parameters")]
            unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
                super::guarded(|| {
                    // SAFETY: cuda.h makes the caller answer for its pointers: each leads to what its type says, for the
                    // duration of the call. Null is refused by `put`.
                    #[allow(unused_unsafe, reason = "some have nothing to write to")]
                    unsafe { $body }
                })
            }
        )*

        /// What the library exports: the table above must not need the exported names, which a rig can take away.
        mod exported {
            #[allow(unused_imports, reason = "the types of the parameters")]
            use super::*;

            $(
                #[unsafe(no_mangle)]
                #[allow(non_snake_case, reason = "the names are those of cuda.h")]
                #[allow(clippy::too_many_arguments, reason = "so are the parameters")]
                unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
                    // SAFETY: the caller's.
                    unsafe { super::$name($($argument),*) }
                }
            )*
        }
    };
}

use functions;
