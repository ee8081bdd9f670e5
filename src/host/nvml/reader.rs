//! The child's side: every call that the collectors make use of, announced before it is made.
//!
//! Values leave as NVML gave them: its units, its enumerations' numbers. Nothing here decides what they mean.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};

use libloading::os::unix::Library;
use nvml_wrapper_sys::bindings::*;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Assignment, MAX_DEVICES, library, nscq};

const NVML: &str = "libnvidia-ml.so.1";
const CUDA: &str = "libcuda.so.1";
/// What a virtual driver exports to say that it is one.
const VIRTUAL_DRIVER: &[u8] = b"yanji_virtual_driver\0";
const MAX_ASSIGNMENT_BYTES: u64 = 1 << 16;
/// Length that NVML is told for a text. Its own constants are below 100, and a text that fills it has no end.
pub(super) const TEXT_BYTES: usize = 8192;

pub(super) type Symbol<F> = Result<F, libloading::Error>;
pub(super) type Get<T> = unsafe extern "C" fn(nvmlDevice_t, *mut T) -> nvmlReturn_t;
pub(super) type GetOf<T> = unsafe extern "C" fn(nvmlDevice_t, c_uint, *mut T) -> nvmlReturn_t;
pub(super) type GetPair = unsafe extern "C" fn(nvmlDevice_t, *mut c_uint, *mut c_uint) -> nvmlReturn_t;
pub(super) type GetText = unsafe extern "C" fn(nvmlDevice_t, *mut c_char, c_uint) -> nvmlReturn_t;

/// The body of the hidden `nvml-reader` command: reads its assignment from standard input, makes the calls, and tells
/// each on standard output. Ends with the supervisor.
pub fn run_reader() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_ASSIGNMENT_BYTES).read_line(&mut line)?;
    let assignment: Assignment = serde_json::from_str(&line).map_err(io::Error::other)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != i32::try_from(assignment.supervisor).ok() {
        return Err(io::Error::other("the supervisor is gone"));
    }
    // A library that prints must not do so between the lines.
    let output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    let mut log = Log { output, pending: Vec::new() };
    let nvml = read_nvml(&assignment, &mut log);
    let mut switches = None;
    if assignment.share.is_first() {
        describe(CUDA, None, &mut log);
        // Last, so that a library that hangs or dies keeps nothing else back.
        switches = nscq::read(assignment.nonce, &mut log);
    }
    let _ = log.tell(None, "end", &[], 1, || Ok(json!(true)));
    log.flush();
    // Neither the library's end nor its destructors are of interest, and either could hang.
    std::mem::forget((nvml, switches));
    Ok(())
}

/// Why a call gave nothing.
pub(super) enum Trouble {
    /// NVML's own error.
    Code(nvmlReturn_t),
    /// There is no such symbol or file.
    Missing(String),
    /// Anything else, in words.
    Failed(String),
}

impl From<nvmlReturn_t> for Trouble {
    fn from(code: nvmlReturn_t) -> Self {
        Self::Code(code)
    }
}

pub(super) type Answer = Result<Json, Trouble>;

/// What a line says before the call is made.
#[derive(Serialize)]
struct Begun<'a> {
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    args: &'a [u32],
    call: &'a str,
    device: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<u8>,
}

/// Writes the lines. The end of one goes out together with the beginning of the next, so that a call costs one write.
pub(super) struct Log {
    output: File,
    pending: Vec<u8>,
}

impl Log {
    pub(super) fn tell(
        &mut self,
        device: Option<u32>,
        call: &str,
        args: &[u32],
        reading: u8,
        run: impl FnOnce() -> Answer,
    ) -> Answer {
        let begun = Begun { args, call, device, reading: (reading > 1).then_some(reading) };
        self.json(&begun);
        self.pending.pop();
        self.flush();
        let answer = run();
        match &answer {
            Ok(value) => self.end("value", value),
            Err(Trouble::Code(code)) => self.end("error", code),
            Err(Trouble::Missing(what)) => self.end("missing", what),
            Err(Trouble::Failed(why)) => self.end("failed", why),
        }
        answer
    }

    fn end(&mut self, key: &str, value: &impl Serialize) {
        self.pending.extend_from_slice(b",\"");
        self.pending.extend_from_slice(key.as_bytes());
        self.pending.extend_from_slice(b"\":");
        self.json(value);
        self.pending.extend_from_slice(b"}\n");
    }

    fn json(&mut self, value: &impl Serialize) {
        let whole = self.pending.len();
        if serde_json::to_writer(&mut self.pending, value).is_err() {
            // Texts, numbers and maps with texts as keys always have a form in JSON.
            self.pending.truncate(whole);
            self.pending.extend_from_slice(b"null");
        }
    }

    fn flush(&mut self) {
        if self.output.write_all(&self.pending).is_err() {
            // Nobody listens any more.
            std::process::exit(1);
        }
        self.pending.clear();
    }
}

/// Loads NVML and makes all calls. Gives the library back, since unloading it is not safe.
fn read_nvml(assignment: &Assignment, log: &mut Log) -> Option<NvmlLib> {
    let mut library = open(NVML, log)?;
    if assignment.share.is_first() {
        library = describe(NVML, Some(library), log)?;
    }
    let _ = log.tell(None, "dlsym yanji_virtual_driver", &[], 1, || {
        // SAFETY: the symbol's address is compared with nothing and never used.
        let found = unsafe { library.get::<*const u8>(VIRTUAL_DRIVER) };
        Ok(json!(found.is_ok()))
    });
    // SAFETY: the signatures are those of NVIDIA's header; a library that calls itself NVML and has others can only
    // break this process.
    let lib = unsafe { NvmlLib::from_library(library) }.ok()?;
    let mut system = Caller { log, lib: &lib, device: None, handle: std::ptr::null_mut(), reading: 1 };
    if system.init().is_ok() {
        system.everything(assignment);
    }
    Some(lib)
}

/// Loads a library, and tells whether that worked.
pub(super) fn open(name: &str, log: &mut Log) -> Option<Library> {
    let mut library = None;
    let loaded = log.tell(None, &format!("dlopen {name}"), &[], 1, || {
        library = Some(library::load(name).map_err(|error| not_loaded(name, &error))?);
        Ok(json!(true))
    });
    loaded.ok().and(library)
}

fn not_loaded(name: &str, error: &libloading::Error) -> Trouble {
    match library::on_disk(name) {
        Some(found) => Trouble::Failed(format!("{error}; {found}")),
        None => Trouble::Missing(error.to_string()),
    }
}

/// Tells which file a library is, loading it first where that is still to do.
pub(super) fn describe(name: &str, library: Option<Library>, log: &mut Log) -> Option<Library> {
    let mut described = None;
    let _ = log.tell(None, &format!("library {name}"), &[], 1, || {
        let library = match library {
            Some(library) => library,
            None => library::load(name).map_err(|error| not_loaded(name, &error))?,
        };
        let (library, file) = library::describe(library);
        described = Some(library);
        file.map_err(|error| Trouble::Failed(error.to_string()))
    });
    if name == CUDA {
        // Unloading runs code of the library, and it must not run any.
        std::mem::forget(described.take());
    }
    described
}

/// Zeroed memory for an answer, with room behind it for a library that writes more than it should.
#[repr(C)]
pub(super) struct Room<T> {
    pub(super) value: T,
    _behind: [u64; 512],
}

/// # Safety
///
/// `T` must be a plain C structure, for which all zeros is a value.
pub(super) unsafe fn room<T>() -> Room<T> {
    // SAFETY: see above; the rest is integers.
    unsafe { std::mem::zeroed() }
}

/// `NVML_STRUCT_VERSION` of `nvml.h`.
pub(super) fn version<T>(version: u32) -> c_uint {
    size_of::<T>() as c_uint | version << 24
}

pub(super) fn check(code: nvmlReturn_t) -> Result<(), Trouble> {
    if code == nvmlReturn_enum_NVML_SUCCESS { Ok(()) } else { Err(Trouble::Code(code)) }
}

/// The text up to its NUL, or up to the end of the field: bytes that are no UTF-8, and backslashes, show as `\xNN`.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let mut text = String::new();
    for chunk in bytes[..end].utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\x5c"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Makes calls on one device, or on the system.
pub(super) struct Caller<'a> {
    log: &'a mut Log,
    pub(super) lib: &'a NvmlLib,
    pub(super) device: Option<u32>,
    handle: nvmlDevice_t,
    reading: u8,
}

impl Caller<'_> {
    pub(super) fn call<F>(
        &mut self,
        name: &str,
        args: &[u32],
        symbol: &Symbol<F>,
        run: impl FnOnce(&F, nvmlDevice_t) -> Answer,
    ) -> Answer {
        let handle = self.handle;
        self.log.tell(self.device, name, args, self.reading, || match symbol {
            Ok(function) => run(function, handle),
            Err(_) => Err(Trouble::Missing("symbol".to_owned())),
        })
    }

    fn init(&mut self) -> Answer {
        let lib = self.lib;
        self.call("nvmlInit_v2", &[], &lib.nvmlInit_v2, |init, _| {
            // SAFETY: takes nothing.
            check(unsafe { init() })?;
            Ok(json!(true))
        })
    }

    fn everything(&mut self, assignment: &Assignment) {
        if assignment.share.is_first() {
            self.system();
        }
        let lib = self.lib;
        let count = self.call("nvmlDeviceGetCount_v2", &[], &lib.nvmlDeviceGetCount_v2, |get, _| {
            let mut count = 0;
            // SAFETY: stores one integer.
            check(unsafe { get(&mut count) })?;
            Ok(json!(count))
        });
        let count = count.ok().and_then(|count| count.as_u64()).unwrap_or(0).min(MAX_DEVICES.into()) as u32;
        // Those of other shares too: links between GPUs are asked for by both handles.
        let mut handles = BTreeMap::new();
        for device in (0..count).filter(|device| !assignment.given_up.contains(device)) {
            (self.device, self.handle) = (Some(device), std::ptr::null_mut());
            let mut handle = std::ptr::null_mut();
            let found =
                self.call("nvmlDeviceGetHandleByIndex_v2", &[], &lib.nvmlDeviceGetHandleByIndex_v2, |get, _| {
                    // SAFETY: stores one pointer, which is only handed back to the library.
                    check(unsafe { get(device, &mut handle) })?;
                    Ok(json!(true))
                });
            if found.is_ok() {
                handles.insert(device, handle);
            }
        }
        let own = || handles.iter().filter(|(device, _)| assignment.share.has(**device));
        for (&device, &handle) in own().filter(|(device, _)| !assignment.finished.contains(device)) {
            (self.device, self.handle) = (Some(device), handle);
            let address = self.identity();
            let nonce = assignment.nonce.zip(address).map(|(nonce, address)| nonce.of(&address));
            self.all(&handles, nonce);
            // Tells the supervisor that this one needs no second reader.
            let _ = self.log.tell(self.device, "end", &[], 1, || Ok(json!(true)));
        }
        self.reading = 2;
        for (&device, &handle) in own() {
            (self.device, self.handle) = (Some(device), handle);
            self.identity();
        }
    }

    fn system(&mut self) {
        let lib = self.lib;
        self.system_text("nvmlSystemGetDriverVersion", &lib.nvmlSystemGetDriverVersion);
        self.system_text("nvmlSystemGetNVMLVersion", &lib.nvmlSystemGetNVMLVersion);
        let _ =
            self.call("nvmlSystemGetCudaDriverVersion_v2", &[], &lib.nvmlSystemGetCudaDriverVersion_v2, |get, _| {
                let mut version = 0;
                // SAFETY: stores one integer.
                check(unsafe { get(&mut version) })?;
                Ok(json!(version))
            });
        let _ = self.call("nvmlSystemGetConfComputeState", &[], &lib.nvmlSystemGetConfComputeState, |get, _| {
            // SAFETY: a plain C structure, which the call fills.
            let (code, state) = unsafe {
                let mut state = room::<nvmlConfComputeSystemState_t>();
                (get(&mut state.value), state.value)
            };
            check(code)?;
            Ok(json!({"environment": state.environment, "ccFeature": state.ccFeature, "devToolsMode": state.devToolsMode}))
        });
    }

    fn system_text(&mut self, name: &str, symbol: &Symbol<unsafe extern "C" fn(*mut c_char, c_uint) -> nvmlReturn_t>) {
        let _ = self.call(name, &[], symbol, |get, _| {
            let mut buffer = vec![0u8; 2 * TEXT_BYTES];
            // SAFETY: the buffer has twice the length that the library is told.
            check(unsafe { get(buffer.as_mut_ptr().cast(), TEXT_BYTES as c_uint) })?;
            Ok(json!(text(&buffer)))
        });
    }

    pub(super) fn text(&mut self, name: &str, symbol: &Symbol<GetText>) {
        let _ = self.call(name, &[], symbol, |get, handle| {
            let mut buffer = vec![0u8; 2 * TEXT_BYTES];
            // SAFETY: the handle is the library's own; the buffer has twice the length that the library is told.
            check(unsafe { get(handle, buffer.as_mut_ptr().cast(), TEXT_BYTES as c_uint) })?;
            Ok(json!(text(&buffer)))
        });
    }

    pub(super) fn get<T: Copy + Into<u64>>(&mut self, name: &str, symbol: &Symbol<Get<T>>) -> Answer {
        self.call(name, &[], symbol, |get, handle| {
            // SAFETY: the handle is the library's own; it stores one integer.
            let (code, room) = unsafe {
                let mut room = room::<T>();
                (get(handle, &mut room.value), room)
            };
            check(code)?;
            Ok(json!(room.value.into()))
        })
    }

    pub(super) fn get_of<T: Copy + Into<u64>>(&mut self, name: &str, arg: c_uint, symbol: &Symbol<GetOf<T>>) -> Answer {
        self.call(name, &[arg], symbol, |get, handle| {
            // SAFETY: the handle is the library's own; it stores one integer.
            let (code, room) = unsafe {
                let mut room = room::<T>();
                (get(handle, arg, &mut room.value), room)
            };
            check(code)?;
            Ok(json!(room.value.into()))
        })
    }

    pub(super) fn pair(&mut self, name: &str, [first, second]: [&str; 2], symbol: &Symbol<GetPair>) {
        let _ = self.call(name, &[], symbol, |get, handle| {
            let (mut one, mut two) = (0, 0);
            // SAFETY: the handle is the library's own; it stores two integers.
            check(unsafe { get(handle, &mut one, &mut two) })?;
            Ok(json!({first: one, second: two}))
        });
    }

    /// A structure whose first member says its version.
    pub(super) fn structure<T>(
        &mut self,
        name: &str,
        symbol: &Symbol<Get<T>>,
        prepare: impl FnOnce(&mut T),
        show: impl FnOnce(&T) -> Json,
    ) -> Answer {
        self.call(name, &[], symbol, |get, handle| {
            // SAFETY: every `T` here is a plain C structure of NVML's header.
            let mut room = unsafe { room::<T>() };
            prepare(&mut room.value);
            // SAFETY: the handle is the library's own; the structure is as large as its version says.
            check(unsafe { get(handle, &mut room.value) })?;
            Ok(show(&room.value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_every_byte_up_to_the_nul() {
        assert_eq!(text(b"NVIDIA H100\0junk"), "NVIDIA H100");
        assert_eq!(text(b"no end"), "no end");
        assert_eq!(text(b"a\xff\\\0"), "a\\xff\\x5c");
    }
}
