//! What a TPM signed, its keys and their certificates, and system images, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::tpm::{certificate, credential};
use yanji::attest::tpm::image::{self, PHASES};
use yanji::attest::tpm::public_key::PublicKey;
use yanji::attest::tpm::quote::Attestation;

fuzz_target!(|input: &[u8]| {
    let _ = Attestation::parse(input);
    let _ = image::measure(input, &PHASES);
    let _ = certificate::trim(input).map(certificate::manufacturer);
    let _ = (certificate::subject_public_key_info(input), certificate::serial(input));
    let _ = credential::make(input, &[7; 34], &[7; 32]);
    // The first byte says where the key ends and what it signed begins.
    if let Some((at, rest)) = input.split_first() {
        let (key, signature) = rest.split_at(rest.len().min(usize::from(*at)));
        if let Ok(key) = PublicKey::parse(key) {
            let _ = (key.subject_public_key_info(), key.name().map(<[u8]>::len));
            let _ = key.verify(b"message", signature);
        }
    }
});
