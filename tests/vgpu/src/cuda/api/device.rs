//! Devices: what they are.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint};

use super::{functions, put};
use crate::cuda::card::Card;
use crate::cuda::failure::{Failure, INVALID_DEVICE, INVALID_VALUE};
use crate::cuda::runtime::runtime;
use crate::rig::P2p;

functions! {
    fn cuDeviceGetCount(count: *mut c_int) { put(count, runtime()?.cards.len() as c_int) }
    fn cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        runtime()?.card(ordinal)?;
        put(device, ordinal)
    }
    fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) {
        let card = runtime()?.card(device)?;
        let mut text = card.gpu.name.bytes().to_vec();
        if card.is_partition {
            text.extend_from_slice(b" MIG 1g");
        }
        put_text(name, length, &text)
    }
    fn cuDeviceGetUuid(uuid: *mut [c_uchar; 16], device: c_int) { put(uuid, uuid_of(runtime()?.card(device)?)) }
    fn cuDeviceGetUuid_v2(uuid: *mut [c_uchar; 16], device: c_int) { put(uuid, uuid_of(runtime()?.card(device)?)) }
    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) { put(bytes, runtime()?.card(device)?.total as usize) }
    fn cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, device: c_int) {
        let card = runtime()?.card(device)?;
        put(major, card.gpu.compute_capability[0])?;
        put(minor, card.gpu.compute_capability[1])
    }
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, device: c_int) {
        put(value, attribute_of(runtime()?.card(device)?, attribute)?)
    }
    fn cuDeviceGetPCIBusId(text: *mut c_char, length: c_int, device: c_int) {
        let address = runtime()?.card(device)?.gpu.pci.address.to_string();
        put_text(text, length, address.as_bytes())
    }
    fn cuDeviceGetByPCIBusId(device: *mut c_int, text: *const c_char) {
        if text.is_null() {
            return Err(INVALID_VALUE);
        }
        let wanted = CStr::from_ptr(text).to_string_lossy().to_lowercase();
        let runtime = runtime()?;
        let is = |card: &Card| {
            let own = card.gpu.pci.address.to_string();
            wanted == own || wanted.strip_prefix("0000") == Some(&own) || own.strip_prefix("0000:") == Some(&wanted)
        };
        let found = runtime.cards.iter().position(|it| is(it)).ok_or(INVALID_DEVICE)?;
        put(device, found as c_int)
    }
    fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) {
        let runtime = runtime()?;
        put(can, peers(runtime.card(device)?, runtime.card(peer)?).into())
    }
    fn cuDeviceGetP2PAttribute(value: *mut c_int, attribute: c_uint, device: c_int, peer: c_int) {
        let runtime = runtime()?;
        let can = peers(runtime.card(device)?, runtime.card(peer)?);
        // Performance rank, access supported, native atomics, arrays.
        put(value, if attribute == 1 { 0 } else { can.into() })
    }
}

/// Whether one can touch the other's memory.
pub(super) fn peers(card: &Card, peer: &Card) -> bool {
    card.ordinal != peer.ordinal && card.gpu.p2p == P2p::Ok && peer.gpu.p2p == P2p::Ok
}

/// As the driver does: cut off where there is no room.
unsafe fn put_text(to: *mut c_char, length: c_int, text: &[u8]) -> Result<(), Failure> {
    let Ok(room @ 1..) = usize::try_from(length) else { return Err(INVALID_VALUE) };
    if to.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null, and then there is room for that many bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), room) };
    let kept = text.len().min(room - 1);
    buffer[..kept].copy_from_slice(&text[..kept]);
    buffer[kept] = 0;
    Ok(())
}

fn uuid_of(card: &Card) -> [u8; 16] {
    let text = card.gpu.uuid.as_ref().and_then(|it| it.plain()).unwrap_or_default().to_owned();
    let digits: Vec<u8> = text.chars().filter_map(|it| it.to_digit(16)).map(|it| it as u8).collect();
    // `GPU-` has no hexadecimal digit.
    let mut uuid: [u8; 16] = std::array::from_fn(|at| {
        let digit = |at: usize| digits.get(at).copied().unwrap_or_default();
        digit(2 * at) << 4 | digit(2 * at + 1)
    });
    if card.is_partition {
        uuid[0] ^= 0xff;
    }
    uuid
}

/// The attributes by their numbers in cuda.h (`CUdevice_attribute`).
fn attribute_of(card: &Card, attribute: c_uint) -> Result<c_int, Failure> {
    let gpu = &card.gpu;
    let chip = gpu.chip(gpu.boost_mhz());
    let [major, minor] = gpu.compute_capability;
    let address = &gpu.pci.address;
    let shared = shared_limit(major, minor);
    Ok(match attribute {
        // Threads of a block, along x and y; along z.
        1..=3 => {
            if attribute == 3 {
                64
            } else {
                1024
            }
        }
        4 => 64,
        // Blocks of a grid.
        5 => c_int::MAX,
        6 | 7 => 65535,
        8 => 48 << 10,
        9 => 64 << 10,
        // Threads of a warp.
        10 => 32,
        11 => c_int::MAX,
        // Registers of a block and of a multiprocessor.
        12 | 82 => 65536,
        13 => (gpu.boost_mhz() * 1000.0) as c_int,
        16 => (chip.multiprocessors / if card.is_partition { 7 } else { 1 }).max(1) as c_int,
        20 => {
            if matches!(gpu.compute_mode, 2 | 3) {
                gpu.compute_mode as c_int
            } else {
                0
            }
        }
        32 => gpu.ecc.as_ref().is_some_and(|it| it.enabled).into(),
        33 => address.bus.into(),
        34 => address.device.into(),
        36 => (gpu.max_clocks.memory_mhz.unwrap_or(5000) * 1000) as c_int,
        37 => gpu.bus_width_bits.unwrap_or(256) as c_int,
        38 => chip.l2_bytes as c_int,
        39 => chip.threads as c_int,
        // Copy engines.
        40 => 2,
        50 => address.domain.into(),
        75 => major,
        76 => minor,
        81 => shared + 1024,
        97 => shared,
        106 => 32,
        111 => 1024,
        139 => (i64::from(gpu.pci.device_id) << 16 | i64::from(gpu.pci.vendor_id)) as c_int,
        // Copies beside kernels, mapped host memory, kernels beside kernels, one address space, stream priorities, caches,
        // host pointers of registered memory, registration, memory pools.
        15 | 19 | 31 | 41 | 78..=80 | 91 | 99 | 115 => 1,
        // What there is no need for: textures, managed memory, cooperative launches, virtual memory management.
        attribute if attribute < 150 => 0,
        _ => return Err(INVALID_VALUE),
    })
}

/// Dynamic shared memory that a block can ask for.
pub(super) fn shared_limit(major: i32, minor: i32) -> i32 {
    match (major, minor) {
        (7, 0) => 96 << 10,
        (7, _) => 64 << 10,
        (8, 0) => 163 << 10,
        (8, _) | (12, _) => 99 << 10,
        _ => 227 << 10,
    }
}
