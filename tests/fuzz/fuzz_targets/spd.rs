//! SPD images and hexadecimal dumps of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::parse::spd;
use yanji::report::{Style, spd_plain};

fuzz_target!(|input: &[u8]| {
    let _ = spd::recognise(input);
    if let Ok(spd) = spd::parse(input) {
        let _ = spd_plain(&spd, Style { colour: false, unicode: false });
    }
    let _ = spd::from_text(&String::from_utf8_lossy(input));
});
