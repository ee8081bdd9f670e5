//! What a TPM signed, its key, the firmware's event log, and system images, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::tpm::certificate;
use yanji::attest::tpm::event_log::EventLog;
use yanji::attest::tpm::image::{self, PHASES};
use yanji::attest::tpm::public_key::PublicKey;
use yanji::attest::tpm::quote::Attestation;

fuzz_target!(|input: &[u8]| {
    let _ = Attestation::parse(input);
    let _ = EventLog::replay(input);
    let _ = image::measure(input, &PHASES);
    let _ = certificate::trim(input).map(certificate::manufacturer);
    let _ = certificate::subject_public_key_info(input);
    // The first byte says where the key ends and what it signed begins.
    if let Some((at, rest)) = input.split_first() {
        let (key, signature) = rest.split_at(rest.len().min(usize::from(*at)));
        if let Ok(key) = PublicKey::parse(key) {
            let _ = (key.subject_public_key_info(), key.name().map(<[u8]>::len));
            let _ = key.verify(b"message", signature);
        }
    }
});
