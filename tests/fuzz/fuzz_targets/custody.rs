//! Documents about a report, as anybody can send them, and what is done with them.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use yanji::attest::certificate::Salts;
use yanji::attest::document::Document;
use yanji::attest::drift::drift;
use yanji::rule::{Signatures, Tables};

fuzz_target!(|input: &[u8]| {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let tables = TABLES.get_or_init(|| Signatures::embedded().map(|set| set.tables).unwrap_or_default());
    // Two documents, or two values.
    let middle = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (one, two) = (&input[..middle], input.get(middle + 1..).unwrap_or_default());
    if let (Ok(before), Ok(after)) = (serde_json::from_slice(one), serde_json::from_slice(two)) {
        let _ = drift(&before, &after, tables);
    }
    match Document::read(one) {
        Ok(Document::Certificate(certificate)) => {
            let _ = certificate.predicate.hidden();
            if let Ok(salts) = Salts::parse(two) {
                let _ = certificate.predicate.reveal(&salts, &["S1".to_owned()]);
            }
        }
        Ok(Document::Acceptance(receipt)) => {
            let _ = drift(&receipt.predicate.as_received.identity, &serde_json::Value::Null, tables);
        }
        _ => {}
    }
});
