//! Configuration space, registers and option ROMs of PCI functions, through their files in sysfs. The last two need root.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::MAX_FILE_BYTES;
use super::files::{Files, reading_of};
use crate::evidence::Reading;

const DEVICES: &str = "/sys/bus/pci/devices/";
const PAGE_BYTES: u64 = 4096;

fn folder(address: &str) -> Option<String> {
    let sound = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
    (sound && !address.contains("..")).then(|| format!("{DEVICES}{address}"))
}

/// Whether it is the path of a configuration space.
pub(super) fn is_config(path: &str) -> bool {
    path.strip_prefix(DEVICES)
        .and_then(|rest| rest.strip_suffix("/config"))
        .is_some_and(|address| !address.contains('/'))
}

/// The configuration space, which ends where a function without extended capabilities says so: in its dword 100h (PCI Express
/// Base Specification 6.0, 7.6.3). The registers behind, 4 bytes each that a bus or a hypervisor has to fetch, are not there.
pub(super) fn config(files: &Files, path: &str) -> Reading<Vec<u8>> {
    const LEGACY_BYTES: usize = 256;
    files.read_while(path, LEGACY_BYTES + 4, |read| {
        !matches!(read.get(LEGACY_BYTES..), Some([0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff]))
    })
}

/// Four little-endian bytes of a BAR, read once through a read-only map of one page.
///
/// A function that does not decode memory accesses, or sleeps, is not read: the bus would answer for it.
pub(super) fn register(files: &Files, address: &str, bar: u8, offset: u32) -> Reading<Vec<u8>> {
    let Some(folder) = folder(address) else { return Reading::Unsupported };
    let file = match files.open(&format!("{folder}/resource{bar}"), OFlags::RDONLY) {
        Ok(file) => File::from(file),
        Err(error) => return reading_of(&error),
    };
    let offset = u64::from(offset);
    let page = offset / PAGE_BYTES * PAGE_BYTES;
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => return Reading::Failed("not a regular file".to_owned()),
        // A map behind the end of a file is a trap.
        Ok(metadata) if metadata.len() < page + PAGE_BYTES || offset % 4 != 0 => return Reading::Unsupported,
        Ok(_) => {}
        Err(error) => return reading_of(&error),
    }
    match files.read(&format!("{folder}/config")) {
        Reading::Known(config) if config.get(4).is_some_and(|command| command & 0b10 == 0) => {
            return Reading::Failed("the function's memory is switched off; no driver is bound".to_owned());
        }
        _ => {}
    }
    match files.read(&format!("{folder}/power_state")).text() {
        Reading::Known(state) if state != "D0" && state != "unknown" => {
            return Reading::Failed(format!("the function sleeps ({state:.20})"));
        }
        _ => {}
    }
    // SAFETY: a fresh map at an address that the kernel chooses. `file` reaches behind the page, as was checked.
    let map = unsafe {
        rustix::mm::mmap(std::ptr::null_mut(), PAGE_BYTES as usize, ProtFlags::READ, MapFlags::SHARED, &file, page)
    };
    let map = match map {
        Ok(map) => map,
        Err(error) => return reading_of(&error.into()),
    };
    // SAFETY: the offset in the page is a multiple of 4 below 4,096; device memory has to be read as volatile.
    let value = unsafe { map.byte_add((offset - page) as usize).cast::<u32>().read_volatile() };
    // SAFETY: the map is the one from above, and nothing refers to it any more.
    let _ = unsafe { rustix::mm::munmap(map, PAGE_BYTES as usize) };
    Reading::Known(value.to_le_bytes().to_vec())
}

/// The whole option ROM. It is switched on for the time of the reading.
pub(super) fn option_rom(files: &Files, address: &str) -> Reading<Vec<u8>> {
    let Some(folder) = folder(address) else { return Reading::Unsupported };
    // In a folder that stands for the machine there is nothing to switch.
    let switched = files.are_the_machines();
    let flags = if switched { OFlags::RDWR } else { OFlags::RDONLY };
    let file = match files.open(&format!("{folder}/rom"), flags) {
        Ok(file) => File::from(file),
        Err(error) => return reading_of(&error),
    };
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => return Reading::Failed("not a regular file".to_owned()),
        Ok(_) if !switched => return read_rom(&file),
        Ok(_) => {}
        Err(error) => return reading_of(&error),
    }
    let switch = match Switch::on(&file) {
        Ok(switch) => switch,
        Err(error) => return reading_of(&error),
    };
    let image = read_rom(&file);
    drop(switch);
    image
}

fn read_rom(mut file: &File) -> Reading<Vec<u8>> {
    let mut image = Vec::new();
    match (&mut file).take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut image) {
        Ok(length) if length > MAX_FILE_BYTES => Reading::Failed(format!("larger than {MAX_FILE_BYTES} bytes")),
        Ok(0) => Reading::Failed("the ROM is empty".to_owned()),
        Ok(_) => Reading::Known(image),
        Err(error) => reading_of(&error),
    }
}

/// A ROM that is switched on (`rom` in Linux `Documentation/ABI/testing/sysfs-bus-pci`). Dropped, it is off again.
struct Switch<'a>(&'a File);

impl<'a> Switch<'a> {
    fn on(mut file: &'a File) -> std::io::Result<Self> {
        file.write_all(b"1")?;
        // The write has moved the position of the reading.
        std::io::Seek::rewind(&mut file)?;
        Ok(Self(file))
    }
}

impl Drop for Switch<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.write_all_at(b"0", 0) {
            tracing::warn!("cannot switch the option ROM off again: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ADDRESS: &str = "0000:17:00.0";

    fn machine() -> (tempfile::TempDir, std::path::PathBuf, Files) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/bus/pci/devices").join(ADDRESS);
        fs::create_dir_all(&folder).unwrap();
        let files = Files::below(root.path()).unwrap();
        (root, folder, files)
    }

    #[test]
    fn configuration_space_ends_where_nothing_follows() {
        let (_root, folder, files) = machine();
        let path = format!("{DEVICES}{ADDRESS}/config");
        assert!(is_config(&path));
        assert!(!is_config(&format!("{DEVICES}{ADDRESS}/vendor")));
        assert_eq!(config(&files, &path), Reading::Absent);
        for (bytes, word, read) in
            [(64, 0u32, 64), (256, 0, 256), (4096, 0, 260), (4096, u32::MAX, 260), (4096, 0x1481_0001, 4096)]
        {
            let mut space = vec![0x5a; bytes];
            space.iter_mut().skip(256).zip(word.to_le_bytes()).for_each(|(byte, it)| *byte = it);
            fs::write(folder.join("config"), &space).unwrap();
            assert_eq!(config(&files, &path), Reading::Known(space[..read].to_vec()));
        }
    }

    #[test]
    fn register_of_a_bar() {
        let (_root, folder, files) = machine();
        assert_eq!(register(&files, ADDRESS, 0, 0), Reading::Absent);
        let mut bar = vec![0; 8192];
        bar[..4].copy_from_slice(&0x1920_00a1u32.to_le_bytes());
        bar[4100..4104].copy_from_slice(&7u32.to_le_bytes());
        fs::write(folder.join("resource0"), &bar).unwrap();
        assert_eq!(register(&files, ADDRESS, 0, 0), Reading::Known(0x1920_00a1u32.to_le_bytes().to_vec()));
        assert_eq!(register(&files, ADDRESS, 0, 4100), Reading::Known(7u32.to_le_bytes().to_vec()));
        assert_eq!(register(&files, ADDRESS, 0, 8192), Reading::Unsupported);
        assert_eq!(register(&files, ADDRESS, 0, 2), Reading::Unsupported);
        assert_eq!(register(&files, "../../../etc", 0, 0), Reading::Unsupported);
        fs::write(folder.join("power_state"), "D3cold\n").unwrap();
        assert!(matches!(register(&files, ADDRESS, 0, 0), Reading::Failed(why) if why.contains("D3cold")));
        fs::write(folder.join("config"), [0xde, 0x10, 0x84, 0x26, 0x00, 0x00]).unwrap();
        assert!(matches!(register(&files, ADDRESS, 0, 0), Reading::Failed(why) if why.contains("switched off")));
    }

    #[test]
    fn option_rom_is_read_whole_and_switched_off_again() {
        let (_root, folder, files) = machine();
        assert_eq!(option_rom(&files, ADDRESS), Reading::Absent);
        fs::write(folder.join("rom"), b"\x55\xaa image").unwrap();
        assert_eq!(option_rom(&files, ADDRESS), Reading::Known(b"\x55\xaa image".to_vec()));
        // On a plain file the switch writes into it, and shows its two positions.
        let path = folder.join("rom");
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let switch = Switch::on(&file).unwrap();
        assert_eq!(fs::read(&path).unwrap()[0], b'1');
        drop(switch);
        assert_eq!(fs::read(&path).unwrap()[0], b'0');
        fs::write(&path, b"").unwrap();
        assert!(matches!(option_rom(&files, ADDRESS), Reading::Failed(why) if why.contains("empty")));
    }
}
