//! What is inside of an envelope: statements, as anybody who has a key can sign them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::document::Document;
use yanji::attest::envelope::MAX_ENVELOPE_BYTES;
use yanji::attest::statement::{PREDICATE_TYPE, STATEMENT_TYPE, Statement};
use yanji::attest::strict_json;

fuzz_target!(|input: &[u8]| {
    let typed = strict_json::from_slice::<Statement>(input, MAX_ENVELOPE_BYTES);
    let document = Document::read(input);
    if let Ok(document) = &document {
        let _ = (document.kind().scopes(), document.made_at().len(), document.verdict());
    }
    // Reports have a reader of their own, which is to read what the type reads.
    if let Ok(Document::Report(report)) = &document {
        let _ = report.contradictions(&[]);
        assert_eq!(Some(&**report), typed.as_ref().ok());
    } else if let Ok(typed) = typed {
        assert_ne!((typed.statement_type.as_str(), typed.predicate_type.as_str()), (STATEMENT_TYPE, PREDICATE_TYPE));
    }
});
