//! Memory modules on an SMBus, through `/dev/i2c-*` (Linux `Documentation/i2c/dev-interface.rst`). Needs root and the kernel's
//! i2c-dev module.
//!
//! Nothing on the bus is written. Two transactions are made and no others: "read byte data" (System Management Bus
//! Specification 3.2, 6.5.5), whose command byte says which byte is meant, and "receive byte" (6.5.3), which sends nothing at
//! all. An address with a kernel driver is left to it.

#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::{Getter, IntegerSetter, Opcode, Updater, ioctl};

use super::files::{Files, reading_of};
use crate::evidence::Reading;

/// Where the EEPROMs and hubs of modules are.
const MODULES: RangeInclusive<u8> = 0x50..=0x57;
/// Where DDR4 EEPROMs acknowledge a read while page 0 is selected (JEDEC 21-C 4.1.6, RPA). **A write to it selects a page**,
/// and so would the command byte of "read byte data".
const PAGE_STATUS: u8 = 0x36;
/// Bytes that a command byte can name.
const COMMANDS: usize = 256;
/// A byte takes half a millisecond on the bus, and two where a driver polls. Less than the deadline of whoever waits.
const LONGEST: Duration = Duration::from_millis(2500);

/// Device number of every I2C bus (Linux `Documentation/admin-guide/devices.txt`).
const I2C_MAJOR: u32 = 89;
/// Numbers of `linux/i2c-dev.h` and `linux/i2c.h`. `I2C_SLAVE` refuses an address that a driver has; `I2C_SLAVE_FORCE`
/// would not, and is not used.
const I2C_SLAVE: Opcode = 0x0703;
const I2C_FUNCS: Opcode = 0x0705;
const I2C_SMBUS: Opcode = 0x0720;
const I2C_SMBUS_READ: u8 = 1;
const I2C_SMBUS_BYTE: u32 = 1;
const I2C_SMBUS_BYTE_DATA: u32 = 2;
const I2C_FUNC_SMBUS_READ_BYTE: c_ulong = 0x0002_0000;
const I2C_FUNC_SMBUS_READ_BYTE_DATA: c_ulong = 0x0008_0000;

/// `count` bytes of a module, from command `first` on. `Absent` where nothing answers at the address.
pub(super) fn bytes(files: &Files, bus: u32, address: u8, first: u8, count: u16) -> Reading<Vec<u8>> {
    if !MODULES.contains(&address) || count == 0 || usize::from(first) + usize::from(count) > COMMANDS {
        return Reading::Unsupported;
    }
    let device = match open(files, bus, address, I2C_FUNC_SMBUS_READ_BYTE_DATA) {
        Ok(device) => device,
        Err(reading) => return reading,
    };
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(count.into());
    let broken = |read: usize, why: &dyn Display| Reading::Failed(format!("{read} of {count} bytes were read: {why}"));
    for command in (first..=u8::MAX).take(count.into()) {
        if started.elapsed() > LONGEST {
            return broken(bytes.len(), &"the bus is too slow");
        }
        match transfer(&device, I2C_SMBUS_BYTE_DATA, command) {
            Ok(byte) => bytes.push(byte),
            Err(error) if bytes.is_empty() => return unanswered(error),
            Err(error) => return broken(bytes.len(), &error),
        }
    }
    Reading::Known(bytes)
}

/// The byte that DDR4 EEPROMs send where page 0 is selected; it means nothing. `Absent` where none acknowledges.
pub(super) fn page_status(files: &Files, bus: u32) -> Reading<Vec<u8>> {
    let device = match open(files, bus, PAGE_STATUS, I2C_FUNC_SMBUS_READ_BYTE) {
        Ok(device) => device,
        Err(reading) => return reading,
    };
    match transfer(&device, I2C_SMBUS_BYTE, 0) {
        Ok(byte) => Reading::Known(vec![byte]),
        Err(error) => unanswered(error),
    }
}

/// A bus, opened for reading only, that talks to one address and can do what is needed.
fn open(files: &Files, bus: u32, address: u8, needed: c_ulong) -> Result<OwnedFd, Reading<Vec<u8>>> {
    let path = format!("/dev/i2c-{bus}");
    let device = files.open(&path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(|error| match reading_of(&error) {
        // The bus is there, and no way to ask it.
        Reading::Absent => Reading::Unsupported,
        other => other,
    })?;
    let refused = |error: Errno| reading_of(&error.into());
    let status = rustix::fs::fstat(&device).map_err(refused)?;
    // Other devices have other meanings for these numbers; a plain file has device number 0.
    if rustix::fs::major(status.st_rdev) != I2C_MAJOR {
        return Err(Reading::Failed(format!("{path} is no I2C bus")));
    }
    // SAFETY: I2C_FUNCS writes one unsigned long.
    let functions = unsafe { ioctl(&device, Getter::<I2C_FUNCS, c_ulong>::new()) }.map_err(refused)?;
    if functions & needed != needed {
        return Err(Reading::Unsupported);
    }
    // SAFETY: I2C_SLAVE takes an address by value.
    let selected = unsafe { ioctl(&device, IntegerSetter::<I2C_SLAVE>::new_usize(address.into())) };
    match selected {
        Ok(()) => Ok(device),
        Err(Errno::BUSY) => Err(Reading::Failed(format!("a kernel driver has address {address:#04x} of the bus"))),
        Err(error) => Err(refused(error)),
    }
}

/// What the first byte's error means.
fn unanswered(error: Errno) -> Reading<Vec<u8>> {
    match error {
        // No acknowledge, as SMBus controllers, i2c-stub and bit-banged buses say it.
        Errno::NXIO | Errno::NODEV | Errno::REMOTEIO => Reading::Absent,
        Errno::BUSY => Reading::Failed("firmware or another master has the bus".to_owned()),
        error => reading_of(&error.into()),
    }
}

/// `struct i2c_smbus_ioctl_data` of `linux/i2c-dev.h`.
#[repr(C)]
struct Request {
    read_write: u8,
    command: u8,
    size: u32,
    data: *mut Data,
}

/// `union i2c_smbus_data` of `linux/i2c.h`: a block of 32 bytes with its length and room for one more. A single byte is the
/// first.
#[repr(C, align(2))]
struct Data([u8; 34]);

/// One transaction that reads a byte.
fn transfer(device: &OwnedFd, size: u32, command: u8) -> rustix::io::Result<u8> {
    let mut data = Data([0; 34]);
    let mut request = Request { read_write: I2C_SMBUS_READ, command, size, data: &raw mut data };
    // SAFETY: I2C_SMBUS takes `struct i2c_smbus_ioctl_data`, whose `data` outlives the call and has the size of the union that
    // the kernel writes into at most.
    unsafe { ioctl(device, Updater::<I2C_SMBUS, Request>::new(&mut request)) }?;
    Ok(data.0[0])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_modules_on_an_i2c_bus_are_asked() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        let files = Files::below(root.path()).unwrap();
        assert_eq!(bytes(&files, 0, 0x50, 0, 3), Reading::Unsupported);
        assert_eq!(page_status(&files, 0), Reading::Unsupported);
        fs::write(root.path().join("dev/i2c-0"), [0; 256]).unwrap();
        let no_bus = Reading::Failed("/dev/i2c-0 is no I2C bus".to_owned());
        assert_eq!(bytes(&files, 0, 0x50, 0, 256), no_bus);
        assert_eq!(page_status(&files, 0), no_bus);
        // At 36h a command byte would turn the page.
        for (address, first, count) in [(0x36, 0, 1), (0x4f, 0, 1), (0x58, 0, 1), (0x50, 0, 0), (0x50, 0x81, 128)] {
            assert_eq!(bytes(&files, 0, address, first, count), Reading::Unsupported);
        }
    }

    #[test]
    fn errors_of_the_bus_are_readings() {
        assert_eq!(unanswered(Errno::NXIO), Reading::Absent);
        assert_eq!(unanswered(Errno::PERM), Reading::Denied);
        assert_eq!(unanswered(Errno::OPNOTSUPP), Reading::Unsupported);
        assert!(matches!(unanswered(Errno::BUSY), Reading::Failed(why) if why.contains("another master")));
        assert!(matches!(unanswered(Errno::TIMEDOUT), Reading::Failed(_)));
    }
}
