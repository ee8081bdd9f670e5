//! Certificate chains of devices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::device::{Chain, Roots, SerialNumber};

fuzz_target!(|data: &[u8]| {
    let Ok(chain) = Chain::parse(data) else { return };
    _ = (chain.device(), chain.chip(), chain.names_firmware(&[0; 48]));
    _ = chain.check_validity(None, Default::default());
    _ = chain.check_revocation(None, SerialNumber::parse("41").as_slice());
    _ = chain.check_signatures(&Roots::default());
});
