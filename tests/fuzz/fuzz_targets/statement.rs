//! What is inside of an envelope: statements, as anybody who has a key can sign them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::document::Document;
use yanji::attest::statement::Statement;
use yanji::attest::strict_json;

fuzz_target!(|input: &[u8]| {
    if let Ok(statement) = strict_json::from_slice::<Statement>(input, 1 << 20) {
        let _ = statement.contradictions(&[]);
    }
    if let Ok(document) = Document::read(input) {
        let _ = (document.kind().scopes(), document.made_at().len(), document.verdict());
    }
});
