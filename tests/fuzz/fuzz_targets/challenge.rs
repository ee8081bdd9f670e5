//! Challenges, as a seller gets them from anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::challenge::SignedChallenge;
use yanji::attest::envelope::{Envelope, Signature};
use yanji::attest::Digest;

fuzz_target!(|input: &[u8]| {
    let _ = SignedChallenge::parse(input);
    // The fuzzer should not have to find base64 first.
    let signature = Signature { keyid: Digest::from_bytes([0; 32]), bytes: [0; 64] };
    let envelope = Envelope { payload: input.to_vec(), signatures: vec![signature], foreign: Vec::new() };
    if let Ok(challenge) = SignedChallenge::parse(envelope.to_json().as_bytes()) {
        let _ = challenge.answer();
        let _ = challenge.trusted(&[]);
    }
});
