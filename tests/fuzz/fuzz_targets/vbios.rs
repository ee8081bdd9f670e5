//! VBIOS images and nvflash listings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::parse::{nvflash, vbios};

fuzz_target!(|input: &[u8]| {
    let _ = vbios::parse(input);
    let _ = nvflash::parse(&String::from_utf8_lossy(input));
});
