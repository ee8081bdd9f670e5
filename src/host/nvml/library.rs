//! Which file a loaded library came from.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use object::Object;
use object::read::elf::{ElfFile32, ElfFile64};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde_json::{Value as Json, json};

/// The largest library that is hashed. `libcuda.so.1` has about 100 MB.
const MAX_LIBRARY_BYTES: u64 = 1 << 30;
/// Where the loader looks beside `LD_LIBRARY_PATH`, for telling a missing library from one that cannot be loaded.
const FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
];

/// Loads a library by the name that the loader looks up.
pub(super) fn load(name: &str) -> Result<Library, libloading::Error> {
    // SAFETY: the library's initialisers run in this process, which exists for nothing else and may die of it.
    unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) }
}

/// Path, SHA-256 and GNU build id of a loaded library, which is handed back.
pub(super) fn describe(library: Library) -> (Library, io::Result<Json>) {
    let handle = library.into_raw();
    let found = path_of(handle).and_then(|path| describe_file(&path));
    // SAFETY: the handle is the one that `into_raw` gave away.
    (unsafe { Library::from_raw(handle) }, found)
}

/// The beginning of `struct link_map` (`link.h`).
#[repr(C)]
struct LinkMap {
    address: usize,
    name: *const c_char,
}

unsafe extern "C" {
    fn dlinfo(handle: *mut c_void, request: c_int, info: *mut c_void) -> c_int;
}

/// The file that the loader mapped for a handle. A library that forwards to another one is itself, not the other.
fn path_of(handle: *mut c_void) -> io::Result<PathBuf> {
    const LINK_MAP: c_int = 2;
    let mut map: *const LinkMap = std::ptr::null();
    // SAFETY: the handle is open, and the request RTLD_DI_LINKMAP stores one pointer.
    let failed = unsafe { dlinfo(handle, LINK_MAP, (&raw mut map).cast()) } != 0;
    if failed || map.is_null() {
        return Err(io::Error::other("the loader does not tell"));
    }
    // SAFETY: the loader's list lives as long as the library, and its names end in a NUL.
    let name = unsafe { CStr::from_ptr((*map).name) };
    fs::canonicalize(OsStr::from_bytes(name.to_bytes()))
}

fn describe_file(path: &Path) -> io::Result<Json> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_LIBRARY_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = length as usize;
    // SAFETY: a new mapping, which nothing else knows; it is given back below.
    let start = unsafe {
        mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE | MapFlags::POPULATE, &file, 0)?
    };
    // SAFETY: it has that many bytes, which nobody writes. A file that is cut meanwhile ends this process, as a library that is
    // exchanged may anyhow.
    let content = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) };
    let found = json!({
        "path": path.to_string_lossy(),
        "sha256": hex::encode(ring::digest::digest(&ring::digest::SHA256, content)),
        "build_id": build_id(content).map(hex::encode),
    });
    // SAFETY: nothing of it is used any more.
    unsafe { munmap(start, length)? };
    Ok(found)
}

fn build_id(content: &[u8]) -> Option<&[u8]> {
    let elf64 = || ElfFile64::<object::Endianness>::parse(content).ok()?.build_id().ok()?;
    let elf32 = || ElfFile32::<object::Endianness>::parse(content).ok()?.build_id().ok()?;
    elf64().or_else(elf32)
}

/// The first file of that name in the loader's folders, and what it was built for. The loader passes over a library for
/// another processor as if it were not there.
pub(super) fn on_disk(name: &str) -> Option<String> {
    let own = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = std::env::split_paths(&own).filter(|folder| !folder.as_os_str().is_empty());
    let path =
        folders.chain(FOLDERS.iter().map(PathBuf::from)).map(|folder| folder.join(name)).find(|it| it.exists())?;
    let mut header = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(20).read_to_end(&mut header));
    let kind = match (read, header.as_slice()) {
        (Err(error), _) => error.to_string(),
        (_, [0x7f, b'E', b'L', b'F', class, _, .., machine, machine_high]) if header.len() == 20 => {
            let bits = if *class == 1 { 32 } else { 64 };
            let machine = match u16::from_le_bytes([*machine, *machine_high]) {
                3 => "x86".to_owned(),
                62 => "x86-64".to_owned(),
                183 => "AArch64".to_owned(),
                21 => "PowerPC 64".to_owned(),
                other => format!("machine {other}"),
            };
            format!("a {bits}-bit library for {machine}")
        }
        _ => "no ELF library".to_owned(),
    };
    Some(format!("{} is {kind}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_found_hashed_and_has_a_build_id() {
        let (_library, found) = describe(load("libc.so.6").unwrap());
        let found = found.unwrap();
        let path = found["path"].as_str().unwrap();
        assert!(path.contains("libc"), "{path}");
        let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(path).unwrap());
        assert_eq!(found["sha256"], hex::encode(digest));
        assert!(found["build_id"].as_str().is_some_and(|id| id.len() >= 32));
        assert!(load("libnot-there.so.1").is_err());
        assert_eq!(on_disk("libnot-there.so.1"), None);
    }
}
