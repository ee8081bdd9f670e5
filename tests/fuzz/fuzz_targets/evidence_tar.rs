//! Evidence containers, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::evidence_tar;

fuzz_target!(|input: &[u8]| {
    let _ = evidence_tar::read(input, input.len() as u64, |_, bytes| bytes < 1 << 16);
});
