//! The functions of `libnvidia-nscq.so.2` that attestation needs, in the C ABI of `nscq_attestation.h`.

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::attest::Signer;
use crate::rig::{MAX_GPUS, Rig, Switch};

type Rc = i8;

const SUCCESS: Rc = 0;
const NOT_IMPLEMENTED: Rc = -1;
const UNEXPECTED_VALUE: Rc = -5;
const DRIVER: Rc = -7;
/// `NSCQ_ARCH_LS10`.
const LS10: i8 = 2;

const REPORT_BYTES: usize = 0x2000;
const CERTIFICATE_BYTES: usize = 0x1400;

#[repr(C)]
struct SessionResult {
    rc: Rc,
    session: *mut c_void,
}

#[repr(C)]
struct Uuid([u8; 16]);

#[repr(C)]
struct Report {
    size: u32,
    bytes: [u8; REPORT_BYTES],
}

#[repr(C)]
struct Certificate {
    bytes: [u8; CERTIFICATE_BYTES],
    size: u32,
}

type Callback = unsafe extern "C" fn();
type Giving<T> = unsafe extern "C" fn(*const Uuid, Rc, T, *mut c_void);

/// The rig's switches, and what they were last given to sign.
struct Session {
    switches: Vec<Switch>,
    input: Mutex<[u8; 32]>,
}

/// The one session of this process.
fn session() -> Option<&'static Session> {
    static SESSION: OnceLock<Option<Session>> = OnceLock::new();
    let open = || {
        let path = PathBuf::from(std::env::var_os("VGPU_RIG")?);
        let mut switches = Rig::load(&path).ok()?.switches;
        for (ordinal, switch) in switches.iter_mut().enumerate() {
            switch.signer = Signer::load(path.parent()?, MAX_GPUS + ordinal).ok();
        }
        Some(Session { switches, input: Mutex::new([0; 32]) })
    };
    SESSION.get_or_init(open).as_ref()
}

#[unsafe(no_mangle)]
extern "C" fn nscq_session_create(_flags: u32) -> SessionResult {
    match session() {
        Some(session) => SessionResult { rc: SUCCESS, session: std::ptr::from_ref(session).cast_mut().cast() },
        None => SessionResult { rc: DRIVER, session: std::ptr::null_mut() },
    }
}

#[unsafe(no_mangle)]
extern "C" fn nscq_session_destroy(_session: *mut c_void) {}

/// # Safety
///
/// `uuid` leads to a UUID and `label` to 64 bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nscq_uuid_to_label(uuid: *const Uuid, label: *mut c_char, _flags: u32) -> Rc {
    // SAFETY: see above.
    let text = Switch::label(&unsafe { &*uuid }.0);
    for (at, byte) in text.bytes().chain([0]).enumerate().take(64) {
        // SAFETY: see above.
        unsafe { label.add(at).write(byte as c_char) };
    }
    SUCCESS
}

/// # Safety
///
/// `input` leads to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nscq_session_set_input(_session: *mut c_void, _flags: u32, input: *const u8, size: u32) -> Rc {
    let (Some(session), 32) = (session(), size) else { return UNEXPECTED_VALUE };
    // SAFETY: see above.
    let input = unsafe { input.cast::<[u8; 32]>().read() };
    *session.input.lock().unwrap_or_else(PoisonError::into_inner) = input;
    SUCCESS
}

/// # Safety
///
/// `path` ends in a NUL, and `callback` has the type that the path asks for.
#[unsafe(no_mangle)]
unsafe extern "C" fn nscq_session_path_observe(
    _session: *mut c_void,
    path: *const c_char,
    callback: Callback,
    data: *mut c_void,
    _flags: u32,
) -> Rc {
    // SAFETY: see above.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    let Some(session) = session() else { return DRIVER };
    if path == "/drv/nvswitch/{device}/uuid" {
        for switch in &session.switches {
            let uuid = Uuid(switch.uuid_bytes().unwrap_or_default());
            // SAFETY: the callback of this path takes a UUID.
            unsafe { give::<*const Uuid>(callback, &raw const uuid, data) };
        }
        return SUCCESS;
    }
    let mut segments = path.trim_start_matches('/').splitn(2, '/');
    let (label, rest) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let is_meant = |switch: &&Switch| switch.uuid_bytes().is_some_and(|uuid| Switch::label(&uuid) == label);
    let Some(switch) = session.switches.iter().find(is_meant) else { return UNEXPECTED_VALUE };
    match rest {
        // SAFETY: the callback of this path takes an integer.
        "id/arch" => unsafe { give(callback, LS10, data) },
        "config/certificate" => {
            let chain = switch.signer.as_ref().map_or("", |signer| &signer.chain);
            let (bytes, size) = padded(chain.as_bytes());
            // SAFETY: the callback of this path takes a chain.
            unsafe { give(callback, Certificate { bytes, size }, data) };
        }
        "config/attestation_report" => {
            if switch.hang {
                loop {
                    thread::sleep(Duration::from_secs(3600));
                }
            }
            let nonce = *session.input.lock().unwrap_or_else(PoisonError::into_inner);
            let (Some(report), None) = (switch.attestation_report(nonce), switch.report_error) else {
                return switch.report_error.unwrap_or(DRIVER);
            };
            let (bytes, size) = padded(&report);
            // SAFETY: the callback of this path takes a report.
            unsafe { give(callback, Report { size, bytes }, data) };
        }
        _ => return NOT_IMPLEMENTED,
    }
    SUCCESS
}

/// # Safety
///
/// The callback takes a `T`.
unsafe fn give<T>(callback: Callback, value: T, data: *mut c_void) {
    // SAFETY: see above.
    unsafe {
        let callback = std::mem::transmute::<Callback, Giving<T>>(callback);
        callback(std::ptr::null(), SUCCESS, value, data);
    }
}

/// The bytes with zeros behind them, and how many they are.
fn padded<const N: usize>(bytes: &[u8]) -> ([u8; N], u32) {
    let mut all = [0; N];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    (all, bytes.len().min(N) as u32)
}
