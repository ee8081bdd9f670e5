//! Records of a burn-in, as anybody can send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::burn;
use yanji::evidence::{EvidenceBuilder, Origin};

fuzz_target!(|input: &[u8]| {
    if let Ok(summary) = burn::replay(input) {
        burn::add_evidence(&summary, &mut EvidenceBuilder::new(Origin::Live));
    }
});
