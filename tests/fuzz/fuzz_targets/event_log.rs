//! Event logs of the firmware, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::tpm::event_log::EventLog;

fuzz_target!(|input: &[u8]| {
    if let Ok(log) = EventLog::replay(input) {
        // No event is shorter than its register, kind, count of digests and length.
        assert!(log.events.values().sum::<usize>() <= input.len() / 16);
    }
});
