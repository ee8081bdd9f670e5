//! Records of a burn-in, as anybody can send them, and with a chain around them that fits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use yanji::attest::Digest;
use yanji::burn;
use yanji::evidence::{EvidenceBuilder, Origin};

fuzz_target!(|input: &[u8]| {
    for records in [input.to_vec(), chained(input)] {
        if let Ok(summary) = burn::replay(&records) {
            burn::add_evidence(&summary, &mut EvidenceBuilder::new(Origin::Live));
        }
    }
});

/// Hardly any change keeps a chain whole, and whoever forges records forges their chain.
fn chained(input: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut prev = "00".repeat(32);
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Json>(line).ok());
    for (seq, mut line) in lines.filter(Json::is_object).enumerate() {
        line["seq"] = seq.into();
        line["prev"] = prev.into();
        let line = line.to_string();
        prev = Digest::of(line.as_bytes()).to_string();
        records.extend_from_slice(line.as_bytes());
        records.push(b'\n');
    }
    records
}
