//! Signed envelopes, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::envelope::Envelope;
use yanji::attest::statement::Statement;
use yanji::attest::strict_json;

fuzz_target!(|input: &[u8]| {
    if let Ok(envelope) = Envelope::parse(input) {
        let _ = strict_json::from_slice::<Statement>(&envelope.payload, 1 << 20);
    }
    if let Ok(statement) = strict_json::from_slice::<Statement>(input, 1 << 20) {
        let _ = statement.contradictions(&[]);
    }
});
