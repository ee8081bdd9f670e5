//! Memory as a warp sees it: address spaces, faults of the memory, caches for the launches that measure latency.
//!
//! Blocks run at once on several threads, and a kernel may race with itself: every access to memory is one relaxed atomic
//! access of the element's size, as it is on a GPU.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::block::Block;
use super::lanes::{ALL, LANES};
use super::launch::{Stop, Trap};
use super::number::{BF16, F16, Round, round_to_odd, two_sum};
use super::program::{Access, Address, Atomic, AtomicOp, Class, CopyShared, LoadMatrix, Reg, Space};
use super::warp::Warp;
use crate::cuda::ptx::{Kind, Ty};

/// Where shared memory begins in the generic space. No allocation lies here.
const SHARED_WINDOW: u64 = 0x0100_0000_0000_0000;
/// Where local memory begins.
const LOCAL_WINDOW: u64 = 0x0200_0000_0000_0000;
/// Size of both.
const WINDOW: u64 = 1 << 32;

/// Memory that a launch may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub end: u64,
    /// Memory of the host, or of another GPU.
    pub remote: bool,
}

/// All memory of a launch, in order, and what is wrong with it.
#[derive(Debug, Default)]
pub struct View {
    pub ranges: Vec<Range>,
    pub faults: Arc<MemoryFaults>,
}

/// What is wrong with a GPU's memory. Addresses are those of the process.
#[derive(Debug, Default)]
pub struct MemoryFaults {
    /// Address of the byte, bit, and the value that it always has.
    pub stuck: Vec<(u64, u8, bool)>,
    /// Address of the byte, bit, one in so many loads turns it over, and how many there were.
    pub flips: Vec<(u64, u8, u64, AtomicU64)>,
    /// One in so many loads gets a bit that is wrong, and how many there were.
    pub rate: Option<(u64, AtomicU64)>,
    /// Region that is slower by a factor.
    pub slow: Option<(u64, u64, f64)>,
}

impl MemoryFaults {
    /// Whether loads have to be looked at.
    fn concern_loads(&self) -> bool {
        !self.stuck.is_empty() || !self.flips.is_empty() || self.rate.is_some()
    }

    /// Makes memory what the faults make of it, before it is read.
    ///
    /// # Safety
    ///
    /// The bytes from `start` on are mapped.
    pub unsafe fn settle(&self, start: u64, bytes: u64) {
        let inside = |address: u64| address.wrapping_sub(start) < bytes;
        // SAFETY: inside of the caller's memory.
        let byte = |address: u64| unsafe { AtomicU8::from_ptr(address as *mut u8) };
        for &(address, bit, value) in &self.stuck {
            if inside(address) {
                if value {
                    byte(address).fetch_or(1 << bit, Ordering::Relaxed);
                } else {
                    byte(address).fetch_and(!(1 << bit), Ordering::Relaxed);
                }
            }
        }
        for (address, bit, one_in, count) in &self.flips {
            if inside(*address) && (count.fetch_add(1, Ordering::Relaxed) + 1) % one_in.max(&1) == 0 {
                byte(*address).fetch_xor(1 << bit, Ordering::Relaxed);
            }
        }
    }
}

/// The range that was found last.
#[derive(Debug, Default, Clone, Copy)]
pub struct Located {
    start: u64,
    end: u64,
    remote: bool,
    polls: u32,
}

/// Tags of direct-mapped caches of 128-byte lines.
#[derive(Debug, Default)]
pub struct Caches {
    l1: Vec<u64>,
    l2: Vec<u64>,
}

impl Caches {
    /// Cycles that a load takes (measured on several chips, rounded; they tell levels apart, nothing else).
    fn latency(&mut self, address: u64, l1_bytes: u64, l2_bytes: u64, uncached: bool) -> f64 {
        let line = address / 128 + 1;
        let hit = |tags: &mut Vec<u64>, bytes: u64| {
            tags.resize((bytes / 128).max(1) as usize, 0);
            let at = (line % tags.len() as u64) as usize;
            std::mem::replace(&mut tags[at], line) == line
        };
        let in_first = !uncached && hit(&mut self.l1, l1_bytes);
        let in_second = hit(&mut self.l2, l2_bytes);
        match (in_first, in_second) {
            (true, _) => 35.0,
            (false, true) => 250.0,
            (false, false) => 600.0,
        }
    }
}

/// Yields to whoever writes what a kernel polls, after so many loads from the host.
const POLLS: u32 = 64;

impl Warp {
    /// The addresses of all lanes, in their space.
    fn addresses(&self, address: &Address) -> [u64; LANES] {
        let offset = address.offset as u64;
        match address.base {
            None => [offset; LANES],
            Some(Reg { slot, bytes: 8 }) => self.values::<u64>(slot).map(|it| it.wrapping_add(offset)),
            Some(Reg { slot, .. }) => self.values::<u32>(slot).map(|it| u64::from(it.wrapping_add(offset as u32))),
        }
    }

    /// Where the bytes of a lane are.
    fn locate(
        &mut self,
        block: &mut Block<'_>,
        space: Space,
        address: u64,
        lane: usize,
        bytes: u64,
    ) -> Result<*mut u8, Stop> {
        if !address.is_multiple_of(bytes) {
            return Err(Stop { trap: Trap::Misaligned, what: format!("address {address:#x} of {bytes} bytes") });
        }
        let illegal = || Stop { trap: Trap::IllegalAddress, what: format!("address {address:#x} of {bytes} bytes") };
        let (space, address) = match space {
            Space::Generic if address.wrapping_sub(SHARED_WINDOW) < WINDOW => (Space::Shared, address - SHARED_WINDOW),
            Space::Generic if address.wrapping_sub(LOCAL_WINDOW) < WINDOW => (Space::Local, address - LOCAL_WINDOW),
            Space::Generic => (Space::Global, address),
            named => (named, address),
        };
        let end = address.checked_add(bytes).ok_or_else(illegal)?;
        match space {
            Space::Shared if end <= block.shared_bytes => {
                Ok(block.shared.as_mut_ptr().cast::<u8>().wrapping_add(address as usize))
            }
            Space::Local if end <= u64::from(block.launch.program.local_bytes) => {
                let at = lane as u64 * u64::from(block.launch.program.local_bytes) + address;
                Ok(self.local.as_mut_ptr().cast::<u8>().wrapping_add(at as usize))
            }
            Space::Global => {
                let last = &mut block.located;
                if address < last.start || end > last.end {
                    let ranges = &block.launch.view.ranges;
                    let at = ranges.partition_point(|range| range.end <= address);
                    let range = ranges.get(at).filter(|it| it.start <= address && end <= it.end).ok_or_else(illegal)?;
                    *last = Located { start: range.start, end: range.end, remote: range.remote, ..*last };
                }
                Ok(address as *mut u8)
            }
            _ => Err(illegal()),
        }
    }

    /// `ld` and `st`.
    pub fn access(&mut self, block: &mut Block<'_>, access: &Access, mask: u32) -> Result<(), Stop> {
        let each = u64::from(access.bytes);
        let total = each * access.regs.len() as u64;
        let addresses = self.addresses(&access.address);
        if access.space == Space::Param {
            return self.load_param(block, access, &addresses, mask);
        }
        let mut places = [std::ptr::null_mut::<u8>(); LANES];
        for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
            places[lane] = self.locate(block, access.space, addresses[lane], lane, total)?;
        }
        let outside = matches!(access.space, Space::Global)
            || access.space == Space::Generic && addresses[mask.trailing_zeros() as usize] < SHARED_WINDOW;
        if outside {
            self.account(block, &addresses, total, mask, access.uncached);
            let faults = &block.launch.view.faults;
            if !access.is_store && faults.concern_loads() {
                for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
                    // SAFETY: the bytes were located.
                    unsafe { faults.settle(addresses[lane], total) };
                }
            }
        }
        for (index, reg) in access.regs.iter().enumerate() {
            let Some(reg) = reg else { continue };
            let offset = index * access.bytes as usize;
            /// Moves one element of each lane between memory of a type and a register of another.
            macro_rules! element {
                ($atomic:ident $memory:ty, $register:ty) => {{
                    let mut values: [$register; LANES] =
                        if access.is_store || mask != ALL { self.values(reg.slot) } else { [0; LANES] };
                    for lane in 0..LANES {
                        if mask >> lane & 1 == 1 {
                            // SAFETY: located, aligned, and of that many bytes.
                            let place = unsafe { $atomic::from_ptr(places[lane].add(offset).cast()) };
                            if access.is_store {
                                place.store(values[lane] as _, Ordering::Relaxed);
                            } else {
                                values[lane] = place.load(Ordering::Relaxed) as $memory as $register;
                            }
                        }
                    }
                    if !access.is_store {
                        self.set_lanes(reg.slot, &values, ALL);
                    }
                }};
            }
            match (access.bytes, access.signed, reg.bytes) {
                (4, _, 4) => element!(AtomicU32 u32, u32),
                (8, _, _) => element!(AtomicU64 u64, u64),
                (4, false, _) => element!(AtomicU32 u32, u64),
                (4, true, _) => element!(AtomicU32 i32, u64),
                (2, _, 2) => element!(AtomicU16 u16, u16),
                (2, false, 4) => element!(AtomicU16 u16, u32),
                (2, true, 4) => element!(AtomicU16 i16, u32),
                (2, false, _) => element!(AtomicU16 u16, u64),
                (2, true, _) => element!(AtomicU16 i16, u64),
                (_, false, 2) => element!(AtomicU8 u8, u16),
                (_, true, 2) => element!(AtomicU8 i8, u16),
                (_, false, 4) => element!(AtomicU8 u8, u32),
                (_, true, 4) => element!(AtomicU8 i8, u32),
                (_, false, _) => element!(AtomicU8 u8, u64),
                (_, true, _) => element!(AtomicU8 i8, u64),
            }
        }
        if outside && !access.is_store {
            self.flip_at_rate(block, access, mask);
        }
        Ok(())
    }

    /// One in so many loads gets a wrong bit.
    fn flip_at_rate(&mut self, block: &Block<'_>, access: &Access, mask: u32) {
        let Some((one_in, count)) = &block.launch.view.faults.rate else { return };
        let lanes = u64::from(mask.count_ones());
        let before = count.fetch_add(lanes, Ordering::Relaxed);
        if (before + lanes) / one_in.max(&1) == before / one_in.max(&1) {
            return;
        }
        if let Some(Some(reg)) = access.regs.first() {
            let lane = mask.trailing_zeros() as usize;
            let bit = before.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
            let bit = bit as u32 % (8 * access.bytes);
            let mut values = self.bits(*reg);
            values[lane] ^= 1 << bit;
            self.set_bits(*reg, &values, 1 << lane);
        }
    }

    /// Counts the bytes of an access to memory outside of the multiprocessor.
    fn account(&mut self, block: &mut Block<'_>, addresses: &[u64; LANES], bytes: u64, mask: u32, uncached: bool) {
        let first = addresses[mask.trailing_zeros() as usize];
        let last = addresses[31 - mask.leading_zeros() as usize];
        // One address for all is one access.
        let lanes = if first == last { 1 } else { u64::from(mask.count_ones()) };
        if block.located.remote {
            block.outcome.host_bytes += lanes * bytes;
            block.located.polls += 1;
            self.cycles += 700.0;
            if block.located.polls.is_multiple_of(POLLS) {
                std::thread::yield_now();
            }
            return;
        }
        block.outcome.device_bytes += lanes * bytes;
        if let Some((start, end, factor)) = block.launch.view.faults.slow
            && (start..end).contains(&first)
        {
            block.outcome.slow_bytes += (lanes * bytes) as f64 * (factor - 1.0);
            self.cycles += block.cost(Class::Memory) * (factor - 1.0);
        }
        if block.measures_latency {
            let chip = block.launch.chip;
            let mut caches = block.launch.caches.lock().unwrap_or_else(PoisonError::into_inner);
            self.cycles += caches.latency(first, chip.l1_bytes, chip.l2_bytes, uncached);
        }
    }

    fn load_param(
        &mut self,
        block: &Block<'_>,
        access: &Access,
        addresses: &[u64; LANES],
        mask: u32,
    ) -> Result<(), Stop> {
        for (index, reg) in access.regs.iter().enumerate() {
            let Some(reg) = reg else { continue };
            let mut values = [0u64; LANES];
            for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
                let at = addresses[lane] as usize + index * access.bytes as usize;
                let bytes = block.launch.params.get(at..at + access.bytes as usize);
                let bytes =
                    bytes.ok_or_else(|| Stop { trap: Trap::IllegalAddress, what: format!("parameter byte {at}") })?;
                let value = bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
                let unused = 64 - 8 * access.bytes;
                values[lane] = if access.signed { ((value << unused) as i64 >> unused) as u64 } else { value };
            }
            self.set_bits(*reg, &values, mask);
        }
        Ok(())
    }

    /// Sets a register of any width from bits.
    pub fn set_bits(&mut self, reg: Reg, values: &[u64; LANES], mask: u32) {
        match reg.bytes {
            8 => self.set_lanes(reg.slot, values, mask),
            4 => self.set_lanes(reg.slot, &values.map(|it| it as u32), mask),
            _ => self.set_lanes(reg.slot, &values.map(|it| it as u16), mask),
        }
    }

    /// The bits of a register of any width.
    pub fn bits(&self, reg: Reg) -> [u64; LANES] {
        match reg.bytes {
            8 => self.values(reg.slot),
            4 => self.values::<u32>(reg.slot).map(u64::from),
            _ => self.values::<u16>(reg.slot).map(u64::from),
        }
    }

    /// `atom` and `red`.
    pub fn atomic(&mut self, block: &mut Block<'_>, atomic: &Atomic, mask: u32) -> Result<(), Stop> {
        let bytes = atomic.ty.bytes();
        let addresses = self.addresses(&atomic.address);
        let a = self.bits(Reg { slot: atomic.a, bytes });
        let b = atomic.b.map(|slot| self.bits(Reg { slot, bytes }));
        let mut before = [0u64; LANES];
        for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
            let place = self.locate(block, atomic.space, addresses[lane], lane, bytes.into())?;
            let compare = a[lane];
            let operand = b.map_or(a[lane], |b| b[lane]);
            let update = |old: u64| updated(atomic.op, atomic.ty, old, compare, operand);
            // SAFETY: located and aligned, of that many bytes.
            before[lane] = unsafe {
                match bytes {
                    8 => AtomicU64::from_ptr(place.cast())
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(update(old))),
                    4 => AtomicU32::from_ptr(place.cast())
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(update(old.into()) as u32))
                        .map(u64::from)
                        .map_err(u64::from),
                    _ => AtomicU16::from_ptr(place.cast())
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(update(old.into()) as u16))
                        .map(u64::from)
                        .map_err(u64::from),
                }
                .unwrap_or_else(|old| old)
            };
        }
        if addresses[mask.trailing_zeros() as usize] < SHARED_WINDOW && atomic.space != Space::Shared {
            block.outcome.device_bytes += u64::from(mask.count_ones() * bytes);
        }
        if let Some(slot) = atomic.d {
            self.set_bits(Reg { slot, bytes: bytes.max(2) }, &before, mask);
        }
        Ok(())
    }

    /// `cp.async`.
    pub fn copy_shared(&mut self, block: &mut Block<'_>, copy: &CopyShared, mask: u32) -> Result<(), Stop> {
        let (to, from) = (self.addresses(&copy.to), self.addresses(&copy.from));
        let sizes = copy.source_bytes.map(|reg| self.bits(reg));
        self.account(block, &from, copy.bytes.into(), mask, true);
        for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
            let there = to[lane] % SHARED_WINDOW;
            let target = self.locate(block, Space::Shared, there, lane, copy.bytes.into())?;
            let source = self.locate(block, Space::Global, from[lane], lane, copy.bytes.into())?;
            let wanted = sizes.map_or(u64::from(copy.bytes), |sizes| sizes[lane]).min(copy.bytes.into());
            for at in 0..copy.bytes as usize {
                // SAFETY: both were located with that many bytes.
                unsafe {
                    let byte = AtomicU8::from_ptr(source.add(at)).load(Ordering::Relaxed);
                    *target.add(at) = if (at as u64) < wanted { byte } else { 0 };
                }
            }
        }
        Ok(())
    }

    /// Operands of calls.
    pub fn copy_local(&mut self, block: &Block<'_>, to: u32, from: u32, bytes: u32, mask: u32) {
        let each = block.launch.program.local_bytes as usize;
        let local = self.local.as_mut_ptr().cast::<u8>();
        for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
            let start = lane * each;
            // SAFETY: the linker gave both places that many bytes of the thread's local memory.
            unsafe { std::ptr::copy(local.add(start + from as usize), local.add(start + to as usize), bytes as usize) };
        }
    }

    /// `isspacep`.
    pub fn is_space(&mut self, d: u32, a: u32, space: Space, mask: u32) {
        let mut result = 0;
        for (lane, address) in self.values::<u64>(a).into_iter().enumerate() {
            let is = match space {
                Space::Shared => address.wrapping_sub(SHARED_WINDOW) < WINDOW,
                Space::Local => address.wrapping_sub(LOCAL_WINDOW) < WINDOW,
                _ => address < SHARED_WINDOW,
            };
            result |= u32::from(is) << lane;
        }
        self.set_mask(d, result, mask);
    }

    /// `cvta`.
    pub fn window(&mut self, a: Reg, space: Space, to_space: bool, out: u32, mask: u32) {
        let start = match space {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            _ => 0,
        };
        let values = self.bits(a).map(|it| if to_space { it.wrapping_sub(start) } else { it.wrapping_add(start) });
        self.set_bits(Reg { slot: out, bytes: a.bytes }, &values, mask);
    }

    /// `ldmatrix`: matrices of 8 by 8 halves, each row of which another lane names.
    pub fn load_matrix(&mut self, block: &mut Block<'_>, load: &LoadMatrix) -> Result<(), Stop> {
        let addresses = self.addresses(&load.address);
        for (matrix, &slot) in load.d.iter().enumerate() {
            let mut halves = [[0u16; 8]; 8];
            for (row, halves) in halves.iter_mut().enumerate() {
                let address = addresses[matrix * 8 + row] % SHARED_WINDOW;
                let place = self.locate(block, Space::Shared, address, 0, 16)?;
                for (column, half) in halves.iter_mut().enumerate() {
                    // SAFETY: 16 bytes were located.
                    *half = unsafe { place.cast::<u16>().add(column).read() };
                }
            }
            let values: [u32; LANES] = std::array::from_fn(|lane| {
                let (row, column) = (lane / 4, lane % 4 * 2);
                let at =
                    |column: usize| u32::from(if load.transposed { halves[column][row] } else { halves[row][column] });
                at(column) | at(column + 1) << 16
            });
            self.set(slot, &values);
        }
        Ok(())
    }
}

/// What an atomic operation leaves in memory.
fn updated(op: AtomicOp, ty: Ty, old: u64, a: u64, b: u64) -> u64 {
    let signed = |bits: u64| if ty.bits == 64 { bits as i64 } else { i64::from(bits as u32 as i32) };
    match op {
        AtomicOp::Add if ty.is_integer() => old.wrapping_add(a),
        AtomicOp::Add => match (ty.kind, ty.bits, ty.lanes) {
            (Kind::Float, 64, _) => (f64::from_bits(old) + f64::from_bits(a)).to_bits(),
            (Kind::Float, 32, _) => (f32::from_bits(old as u32) + f32::from_bits(a as u32)).to_bits().into(),
            _ => {
                let format = if ty.kind == Kind::BFloat { BF16 } else { F16 };
                (0..ty.lanes).fold(0, |sum, lane| {
                    let of = |bits: u64| format.decode((bits >> (16 * lane)) as u32 & 0xffff);
                    let (value, lost) = two_sum(of(old), of(a));
                    sum | u64::from(format.encode(round_to_odd(value, lost), Round::Nearest, false)) << (16 * lane)
                })
            }
        },
        AtomicOp::And => old & a,
        AtomicOp::Or => old | a,
        AtomicOp::Xor => old ^ a,
        AtomicOp::Min if ty.is_signed() => {
            if signed(old) <= signed(a) {
                old
            } else {
                a
            }
        }
        AtomicOp::Max if ty.is_signed() => {
            if signed(old) >= signed(a) {
                old
            } else {
                a
            }
        }
        AtomicOp::Min => old.min(a),
        AtomicOp::Max => old.max(a),
        AtomicOp::Exchange => a,
        AtomicOp::CompareAndSwap => {
            if old == a {
                b
            } else {
                old
            }
        }
        AtomicOp::Increment => {
            if old >= a {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Decrement => {
            if old == 0 || old > a {
                a
            } else {
                old - 1
            }
        }
    }
}
