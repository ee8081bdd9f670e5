//! Timestamp responses, requests, and the file that holds them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::timestamp::{Authorities, Request, Sidecar, Token};

fuzz_target!(|input: &[u8]| {
    let _ = Sidecar::parse(input);
    let _ = Authorities::from_pem(input);
    if let Ok(request) = Request::from_der(input) {
        assert_eq!(Request::from_der(&request.to_der()).ok(), Some(request));
    }
    if let Ok(token) = Token::from_response(input) {
        let _ = token.check_signature();
        assert!(token.verify(&Authorities::default()).is_err());
        assert!(token.not_after() >= token.generated_at);
    }
});
