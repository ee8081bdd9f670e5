//! The child's side of NSCQ, NVIDIA's library for NVSwitches (API 2.0: `nscq_attestation.h` and `nscq_attestation_path.h` of
//! NVIDIA/nvtrust). It has no function for each value: a path is observed, and a callback is given what is there, structures
//! by value.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libloading::os::unix::{Library, Symbol};
use serde_json::{Value as Json, json};

use super::reader::{Answer, Log, Trouble, describe, open};
use crate::attest::device::DeviceNonce;
use crate::parse::nscq::{ARCHITECTURE, CERTIFICATE, LIBRARY, MAX_SWITCHES, OPEN, REPORT, UUIDS, is_uuid};
use crate::parse::spdm::NONCE_BYTES;

/// `NSCQ_SESSION_CREATE_MOUNT_DEVICES`.
const MOUNT_DEVICES: u32 = 1;
const NOT_IMPLEMENTED: Rc = -1;
const UNEXPECTED_VALUE: Rc = -5;
/// Answers to one path that are kept.
const MAX_ANSWERS: usize = MAX_SWITCHES;

/// `nscq_rc_t`: 0, a warning above, an error below.
type Rc = i8;
type Session = *mut c_void;
/// `nscq_fn_t`, which stands for callbacks of every type.
type Callback = unsafe extern "C" fn();
type Create = unsafe extern "C" fn(u32) -> SessionResult;
type SetInput = unsafe extern "C" fn(Session, u32, *mut c_void, u32) -> Rc;
type Observe = unsafe extern "C" fn(Session, *const c_char, Callback, *mut c_void, u32) -> Rc;
type ToLabel = unsafe extern "C" fn(*const Uuid, *mut Label, u32) -> Rc;
/// What a callback really is.
type Seeing<T> = unsafe extern "C" fn(*const Uuid, Rc, T, *mut c_void);

/// `nscq_session_result_t`.
#[repr(C)]
struct SessionResult {
    rc: Rc,
    session: Session,
}

/// `nscq_uuid_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Uuid([u8; 16]);

/// `nscq_label_t`.
#[repr(C)]
struct Label([c_char; 64]);

/// `nscq_attestation_report_t`.
#[repr(C)]
struct Report {
    size: u32,
    bytes: [u8; 0x2000],
}

/// `nscq_attestation_certificate_t`.
#[repr(C)]
struct Certificate {
    bytes: [u8; 0x1400],
    size: u32,
}

/// What the callback of a path is given, and what is kept of it.
trait Given {
    type Kept;
    /// `None` where there is nothing behind a pointer.
    fn keep(self) -> Option<Self::Kept>;
}

impl Given for *const Uuid {
    type Kept = Uuid;
    fn keep(self) -> Option<Uuid> {
        // SAFETY: null, or a UUID for as long as the callback runs.
        unsafe { self.as_ref() }.copied()
    }
}

impl Given for i8 {
    type Kept = Self;
    fn keep(self) -> Option<Self> {
        Some(self)
    }
}

impl Given for Report {
    type Kept = Vec<u8>;
    fn keep(self) -> Option<Vec<u8>> {
        self.bytes.get(..self.size as usize).map(<[u8]>::to_vec)
    }
}

impl Given for Certificate {
    type Kept = Vec<u8>;
    fn keep(self) -> Option<Vec<u8>> {
        self.bytes.get(..self.size as usize).map(<[u8]>::to_vec)
    }
}

/// What the callback was given, in order.
type Seen<T> = Vec<Result<T, Rc>>;

/// # Safety
///
/// `seen` is the one of [`Nscq::observe`] for the same type.
unsafe extern "C" fn see<T: Given>(_device: *const Uuid, rc: Rc, value: T, seen: *mut c_void) {
    // SAFETY: see above; nothing else uses it during the observation.
    let seen = unsafe { &mut *seen.cast::<Seen<T::Kept>>() };
    if seen.len() < MAX_ANSWERS {
        // With an error the value is anything.
        seen.push(if rc < 0 { Err(rc) } else { value.keep().ok_or(UNEXPECTED_VALUE) });
    }
}

/// Asks every switch that NSCQ lists, for a report over the nonce made for it. Gives the library back, since unloading it is
/// not safe.
pub(super) fn read(nonce: Option<DeviceNonce>, log: &mut Log) -> Option<Library> {
    let library = describe(LIBRARY, Some(open(LIBRARY, log)?), log)?;
    let mut nscq = None;
    let opened = log.tell(None, OPEN, &[], 1, || {
        nscq = Some(Nscq::new(&library)?);
        Ok(json!(true))
    });
    if let (Some(nscq), true) = (&nscq, opened.is_ok()) {
        let listed = log.tell(None, UUIDS, &[], 1, || nscq.uuids());
        let listed = listed.ok().and_then(|list| list.as_array().cloned()).unwrap_or_default();
        for (uuid, number) in listed.iter().filter_map(Json::as_str).zip(0..).take(MAX_SWITCHES) {
            let _ = log.tell(None, ARCHITECTURE, &[number], 1, || Ok(json!(nscq.one::<i8>(uuid, ARCHITECTURE)?)));
            let _ = log.tell(None, CERTIFICATE, &[number], 1, || {
                Ok(json!(BASE64_STANDARD.encode(nscq.one::<Certificate>(uuid, CERTIFICATE)?)))
            });
            if let Some(nonce) = nonce {
                let _ = log.tell(None, REPORT, &[number], 1, || nscq.report(uuid, nonce.of(uuid)));
            }
        }
    }
    Some(library)
}

fn check(rc: Rc) -> Result<(), Trouble> {
    if rc < 0 { Err(trouble(rc)) } else { Ok(()) }
}

/// The error of that code.
fn trouble(rc: Rc) -> Trouble {
    let name = match rc {
        NOT_IMPLEMENTED => return Trouble::Missing("NSCQ_RC_ERROR_NOT_IMPLEMENTED".to_owned()),
        -2 => "NSCQ_RC_ERROR_INVALID_UUID",
        -3 => "NSCQ_RC_ERROR_RESOURCE_NOT_MOUNTABLE",
        -4 => "NSCQ_RC_ERROR_OVERFLOW",
        UNEXPECTED_VALUE => "NSCQ_RC_ERROR_UNEXPECTED_VALUE",
        -6 => "NSCQ_RC_ERROR_UNSUPPORTED_DRV",
        -7 => "NSCQ_RC_ERROR_DRV",
        -8 => "NSCQ_RC_ERROR_TIMEOUT",
        -127 => "NSCQ_RC_ERROR_EXT",
        _ => "NSCQ_RC_ERROR_UNSPECIFIED",
    };
    Trouble::Failed(format!("{name} ({rc})"))
}

/// The switches of the machine, opened.
struct Nscq {
    session: Session,
    /// A library of before there were reports has none.
    set_input: Option<Symbol<SetInput>>,
    observe: Symbol<Observe>,
    to_label: Symbol<ToLabel>,
}

impl Nscq {
    fn new(library: &Library) -> Result<Self, Trouble> {
        let missing = |error: libloading::Error| Trouble::Missing(error.to_string());
        // SAFETY: the types are those of NVIDIA's header; a library that has others can only break this process.
        let (create, set_input, observe, to_label) = unsafe {
            (
                library.get::<Create>(b"nscq_session_create\0").map_err(missing)?,
                library.get(b"nscq_session_set_input\0").ok(),
                library.get(b"nscq_session_path_observe\0").map_err(missing)?,
                library.get(b"nscq_uuid_to_label\0").map_err(missing)?,
            )
        };
        // SAFETY: takes a number. The session is never destroyed: this process ends with it.
        let SessionResult { rc, session } = unsafe { create(MOUNT_DEVICES) };
        check(rc)?;
        Ok(Self { session, set_input, observe, to_label })
    }

    /// Everything that a path leads to, and what failed of it. `T` is what the header gives the path's callback.
    fn observe<T: Given>(&self, path: &str) -> Result<Seen<T::Kept>, Trouble> {
        let path = CString::new(path).map_err(|error| Trouble::Failed(error.to_string()))?;
        let mut seen = Seen::<T::Kept>::new();
        // SAFETY: function pointers are of one size, and the library calls this one with the arguments that the path's
        // callback has, before the observation returns.
        let rc = unsafe {
            let callback = std::mem::transmute::<Seeing<T>, Callback>(see::<T>);
            (self.observe)(self.session, path.as_ptr(), callback, (&raw mut seen).cast(), 0)
        };
        check(rc)?;
        Ok(seen)
    }

    /// The one value of a switch.
    fn one<T: Given>(&self, uuid: &str, path: &str) -> Result<T::Kept, Trouble> {
        if !is_uuid(uuid) {
            return Err(Trouble::Failed("the switch has no UUID to ask by".to_owned()));
        }
        let mut seen = self.observe::<T>(&format!("/{uuid}{path}"))?;
        match (seen.len(), seen.pop()) {
            (1, Some(value)) => value.map_err(trouble),
            (count, _) => Err(Trouble::Failed(format!("{count} answers, and one was asked for"))),
        }
    }

    fn uuids(&self) -> Answer {
        // A switch that fails hides no other; how many there are, PCI says too.
        let (uuids, failed): (Vec<_>, Vec<_>) =
            self.observe::<*const Uuid>(UUIDS)?.into_iter().partition(Result::is_ok);
        if let (true, Some(Err(rc))) = (uuids.is_empty(), failed.first()) {
            return Err(trouble(*rc));
        }
        let labels = uuids.iter().flatten().map(|uuid| {
            let mut room = [Label([0; 64]), Label([0; 64])];
            // SAFETY: both are of the header's types.
            check(unsafe { (self.to_label)(std::ptr::from_ref(uuid), room.as_mut_ptr(), 0) })?;
            // SAFETY: the second label ends it, whatever the library wrote into the first.
            let label = unsafe { CStr::from_ptr(room.as_ptr().cast()) };
            Ok(label.to_string_lossy().into_owned())
        });
        Ok(json!(labels.collect::<Result<Vec<String>, Trouble>>()?))
    }

    fn report(&self, uuid: &str, mut nonce: [u8; NONCE_BYTES]) -> Answer {
        let Some(set_input) = &self.set_input else {
            return Err(Trouble::Missing("nscq_session_set_input".to_owned()));
        };
        // SAFETY: reads as many bytes as it is told.
        check(unsafe { set_input(self.session, 0, nonce.as_mut_ptr().cast(), NONCE_BYTES as u32) })?;
        Ok(json!(BASE64_STANDARD.encode(self.one::<Report>(uuid, REPORT)?)))
    }
}
