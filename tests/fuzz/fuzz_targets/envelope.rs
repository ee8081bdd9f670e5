//! Signed envelopes, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::envelope::Envelope;

fuzz_target!(|input: &[u8]| {
    if let Ok(envelope) = Envelope::parse(input) {
        // What is written again is what was read.
        assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).ok(), Some(envelope.clone()));
        assert_eq!(envelope.digests().len(), envelope.signatures.len());
    }
});
