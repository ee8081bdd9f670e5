//! Trust policies, their edits, and OpenSSH's allowed_signers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::key::PublicKey;
use yanji::attest::policy::{self, TrustPolicy};

fuzz_target!(|input: &[u8]| {
    let now = "2026-03-01T00:00:00Z".parse().unwrap_or_default();
    let _ = policy::open(input, Some(input), &[PublicKey::from_bytes([1; 32])], None, now);
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = policy::parse_allowed_signers(text);
    let _ = policy::parse_duration(text);
    if let Ok(policy) = TrustPolicy::parse(input) {
        // An edit changes the version and nothing else.
        if let Ok(bumped) = policy::bump_version(text) {
            let next = TrustPolicy::parse(bumped.as_bytes());
            let expected = TrustPolicy { version: policy.version + 1, ..policy };
            assert_eq!(next.ok(), Some(expected));
        }
    }
});
