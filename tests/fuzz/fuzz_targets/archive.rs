//! Recorded machines: an archive, and everything that collectors and rules make of what is in it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use yanji::host::RecordedHost;
use yanji::inspection::inspect;
use yanji::policy::Verdict;
use yanji::rule::Signatures;

static SIGNATURES: OnceLock<Signatures> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    if let Ok(host) = RecordedHost::from_archive(input) {
        let signatures = SIGNATURES.get_or_init(|| Signatures::embedded().expect("the embedded set loads"));
        assert_ne!(inspect(&host, signatures).judgement.verdict, Verdict::Accepted);
    }
});
