//! One operation on the 32 lanes of a warp.
//!
//! Registers are kept by lane: a register of 32 bits is 32 numbers side by side, so that an operation is a loop that the
//! compiler turns into vector instructions. Each operation is compiled twice, with and without AVX2 and FMA, and the one
//! that this processor can run is chosen when a module is loaded.

use std::sync::LazyLock;

/// Lanes of a warp.
pub const LANES: usize = 32;
/// All lanes.
pub const ALL: u32 = !0;

/// Places in a register file, in bytes: one that is written and up to three that are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slots {
    pub d: u32,
    pub s: [u32; 3],
}

/// An operation: on a register file, at these places, for the lanes of a mask.
///
/// # Safety
///
/// The file has to hold values of the operation's types at these places.
pub type Run = unsafe fn(*mut u8, &Slots, u32);

static WIDE: LazyLock<bool> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("bmi2");
    #[cfg(not(target_arch = "x86_64"))]
    false
});

/// The values of a register.
///
/// # Safety
///
/// The file holds 32 values of that type there.
#[inline(always)]
pub unsafe fn read<T: Copy>(file: *const u8, slot: u32) -> [T; LANES] {
    // SAFETY: the caller's.
    unsafe { file.add(slot as usize).cast::<[T; LANES]>().read_unaligned() }
}

/// Sets a register in some lanes.
///
/// # Safety
///
/// As [`read`].
#[inline(always)]
pub unsafe fn write<T: Copy>(file: *mut u8, slot: u32, values: &[T; LANES], mask: u32) {
    // SAFETY: the caller's.
    unsafe {
        let to = file.add(slot as usize).cast::<[T; LANES]>();
        if mask == ALL {
            to.write_unaligned(*values);
        } else {
            let mut merged = to.read_unaligned();
            for lane in 0..LANES {
                merged[lane] = if mask >> lane & 1 == 1 { values[lane] } else { merged[lane] };
            }
            to.write_unaligned(merged);
        }
    }
}

/// A predicate: a bit for each lane.
///
/// # Safety
///
/// The file holds a predicate there.
#[inline(always)]
pub unsafe fn read_mask(file: *const u8, slot: u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { file.add(slot as usize).cast::<u32>().read_unaligned() }
}

/// Sets a predicate in some lanes.
///
/// # Safety
///
/// As [`read_mask`].
#[inline(always)]
pub unsafe fn write_mask(file: *mut u8, slot: u32, value: u32, mask: u32) {
    // SAFETY: the caller's.
    unsafe {
        let to = file.add(slot as usize).cast::<u32>();
        to.write_unaligned(to.read_unaligned() & !mask | value & mask);
    }
}

/// A closure that captures nothing, out of nothing. The caller has been given one.
#[inline(always)]
pub fn conjure<F>() -> F {
    const { assert!(size_of::<F>() == 0, "the operation captures something") };
    // SAFETY: a type of no bytes has only one value, and one was given to the function that took its type.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

/// Makes the two versions of an operation and the function that chooses.
macro_rules! operation {
    ($name:ident $rare:ident<$($arg:ident: $type:ident = $index:tt),+> $body:ident $wide:ident $base:ident) => {
        /// An operation on the values of each lane.
        pub fn $name<$($type: Copy,)+ R: Copy + Default, F: Fn($($type),+) -> R + Copy>(_: F) -> Run {
            if *WIDE { $wide::<$($type,)+ R, F> } else { $base::<$($type,)+ R, F> }
        }

        /// The same for an operation that is too rare to be compiled twice.
        pub fn $rare<$($type: Copy,)+ R: Copy + Default, F: Fn($($type),+) -> R + Copy>(_: F) -> Run {
            $base::<$($type,)+ R, F>
        }

        #[inline(always)]
        unsafe fn $body<$($type: Copy,)+ R: Copy + Default, F: Fn($($type),+) -> R>(file: *mut u8, at: &Slots, mask: u32) {
            let operation = conjure::<F>();
            // SAFETY: the caller's.
            unsafe {
                $(let $arg: [$type; LANES] = read(file, at.s[$index]);)+
                let mut results = [R::default(); LANES];
                for lane in 0..LANES {
                    results[lane] = operation($($arg[lane]),+);
                }
                write(file, at.d, &results, mask);
            }
        }

        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt"))]
        unsafe fn $wide<$($type: Copy,)+ R: Copy + Default, F: Fn($($type),+) -> R>(file: *mut u8, at: &Slots, mask: u32) {
            // SAFETY: the caller's.
            unsafe { $body::<$($type,)+ R, F>(file, at, mask) }
        }

        unsafe fn $base<$($type: Copy,)+ R: Copy + Default, F: Fn($($type),+) -> R>(file: *mut u8, at: &Slots, mask: u32) {
            // SAFETY: the caller's.
            unsafe { $body::<$($type,)+ R, F>(file, at, mask) }
        }
    };
}

operation!(map1 rare1<a: A = 0> body1 wide1 base1);
operation!(map2 rare2<a: A = 0, b: B = 1> body2 wide2 base2);
operation!(map3 rare3<a: A = 0, b: B = 1, c: C = 2> body3 wide3 base3);

#[inline(always)]
unsafe fn test_body<T: Copy, F: Fn(T, T) -> bool>(file: *mut u8, at: &Slots, mask: u32) {
    let test = conjure::<F>();
    // SAFETY: the caller's.
    unsafe {
        let (a, b): ([T; LANES], [T; LANES]) = (read(file, at.s[0]), read(file, at.s[1]));
        let mut result = 0;
        for lane in 0..LANES {
            result |= u32::from(test(a[lane], b[lane])) << lane;
        }
        write_mask(file, at.d, result, mask);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt"))]
unsafe fn test_wide<T: Copy, F: Fn(T, T) -> bool>(file: *mut u8, at: &Slots, mask: u32) {
    // SAFETY: the caller's.
    unsafe { test_body::<T, F>(file, at, mask) }
}

unsafe fn test_base<T: Copy, F: Fn(T, T) -> bool>(file: *mut u8, at: &Slots, mask: u32) {
    // SAFETY: the caller's.
    unsafe { test_body::<T, F>(file, at, mask) }
}

/// A comparison, into a predicate.
pub fn test<T: Copy, F: Fn(T, T) -> bool + Copy>(_: F) -> Run {
    if *WIDE { test_wide::<T, F> } else { test_base::<T, F> }
}

/// A comparison that is too rare to be compiled twice.
pub fn rare_test<T: Copy, F: Fn(T, T) -> bool + Copy>(_: F) -> Run {
    test_base::<T, F>
}

/// `selp`: the first or the second by a predicate.
pub fn select<T: Copy>() -> Run {
    unsafe fn run<T: Copy>(file: *mut u8, at: &Slots, mask: u32) {
        // SAFETY: the caller's.
        unsafe {
            let (a, b): ([T; LANES], [T; LANES]) = (read(file, at.s[0]), read(file, at.s[1]));
            let chosen = read_mask(file, at.s[2]);
            let mut results = b;
            for lane in 0..LANES {
                results[lane] = if chosen >> lane & 1 == 1 { a[lane] } else { b[lane] };
            }
            write(file, at.d, &results, mask);
        }
    }
    run::<T>
}
