//! Every size that a stranger chooses has a limit: what has exactly that many bytes is read, and one more is refused.

use std::io::{Read, repeat};

use yanji::attest::MAX_DOCUMENT_BYTES;
use yanji::attest::challenge::SignedChallenge;
use yanji::attest::device::{self, Chain, MAX_CHAIN_BYTES, MAX_FILE_BYTES};
use yanji::attest::envelope::{self, Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, MAX_SIGNATURES};
use yanji::attest::evidence_tar::{self, MAX_ITEMS};
use yanji::attest::policy::{MAX_POLICY_BYTES, TrustPolicy};
use yanji::attest::strict_json::{self, MAX_DEPTH};
use yanji::attest::timestamp::{MAX_RESPONSE_BYTES, MAX_SIDECAR_BYTES, MAX_TIMESTAMPS, Sidecar, Token};
use yanji::attest::tpm::event_log::{EventLog, MAX_LOG_BYTES};

use crate::fuzz_seeds::{challenges, device, policies, timestamp};
use crate::support::tpm::TestLog;

/// The seed with that byte behind it until it has `bytes`.
fn filled(seed: &[u8], byte: u8, bytes: usize) -> Vec<u8> {
    let mut filled = seed.to_vec();
    filled.resize(bytes, byte);
    filled
}

#[test]
fn each_reader_stops_at_its_limit() {
    let (chain, report) = device();
    let hex = serde_json::json!([{ "evidence": hex::encode(report), "certificate": hex::encode(&chain) }]).to_string();
    let [_, response] = timestamp();
    let sidecar = Sidecar { responses: vec![response.clone()] }.to_json();
    type Reads = fn(&[u8]) -> bool;
    let readers: [(&str, usize, &[u8], u8, Reads); 6] = [
        ("policy", MAX_POLICY_BYTES, &policies()[0], b'\n', |it| TrustPolicy::parse(it).is_ok()),
        ("challenge", MAX_DOCUMENT_BYTES, &challenges()[0], b' ', |it| SignedChallenge::parse(it).is_ok()),
        ("certificate chain", MAX_CHAIN_BYTES, &chain, b'\n', |it| Chain::parse(it).is_ok()),
        ("file of device evidence", MAX_FILE_BYTES, hex.as_bytes(), b' ', |it| device::read(it).is_ok()),
        ("timestamps", MAX_SIDECAR_BYTES, sidecar.as_bytes(), b' ', |it| Sidecar::parse(it).is_ok()),
        ("envelope", MAX_ENVELOPE_BYTES, &crate::attest::report().0, b' ', |it| Envelope::parse(it).is_ok()),
    ];
    for (name, limit, seed, filler, reads) in readers {
        assert!(reads(&filled(seed, filler, limit)), "{name} at its limit");
        assert!(!reads(&filled(seed, filler, limit + 1)), "{name} beyond it");
    }
    // What has no room for fillers: an event fills the log, and a response is cut off.
    let log = |bytes: usize| {
        let empty = TestLog::new().event(4, 0x8000_0003, [7; 32], b"").0.len();
        TestLog::new().event(4, 0x8000_0003, [7; 32], &vec![0; bytes - empty]).0
    };
    assert!(EventLog::replay(&log(MAX_LOG_BYTES)).is_ok());
    assert!(EventLog::replay(&log(MAX_LOG_BYTES + 1)).is_err());
    assert!(response.len() < MAX_RESPONSE_BYTES && Token::from_response(&response).is_ok());
    let long = filled(&response, 0, MAX_RESPONSE_BYTES + 1);
    assert!(Token::from_response(&long).unwrap_err().to_string().contains("bytes"));
}

#[test]
fn counts_have_limits_too() {
    let genuine = Envelope::parse(&crate::attest::report().0).unwrap();
    let with = |count: usize| {
        let signatures = vec![genuine.signatures[0].clone(); count];
        Envelope { signatures, ..genuine.clone() }.to_json()
    };
    assert!(Envelope::parse(with(MAX_SIGNATURES).as_bytes()).is_ok());
    assert!(Envelope::parse(with(MAX_SIGNATURES + 1).as_bytes()).is_err());
    let [_, response] = timestamp();
    let sidecar = |count: usize| Sidecar { responses: vec![response.clone(); count] }.to_json();
    assert!(Sidecar::parse(sidecar(MAX_TIMESTAMPS).as_bytes()).is_ok());
    assert!(Sidecar::parse(sidecar(MAX_TIMESTAMPS + 1).as_bytes()).is_err());
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(strict_json::check(nested(MAX_DEPTH).as_bytes(), 1 << 20).is_ok());
    assert!(strict_json::check(nested(MAX_DEPTH + 1).as_bytes(), 1 << 20).is_err());
    let items = |count: usize| {
        let item = |index: usize| evidence_tar::Item {
            id: format!("{index}"),
            media_type: "text/plain".to_owned(),
            content: evidence_tar::Content::Bytes(Vec::new()),
        };
        evidence_tar::write((0..count).map(item).collect(), &mut Vec::new()).is_ok()
    };
    assert!(items(MAX_ITEMS) && !items(MAX_ITEMS + 1));
}

/// A stream without an end takes no memory beyond the limit.
#[test]
fn an_endless_stream_is_given_up() {
    assert!(matches!(envelope::read(repeat(b' ')), Err(EnvelopeError::TooLarge)));
    // A container is read as far as it says that it goes, and no further than was signed.
    let error = evidence_tar::read(repeat(0).take(1 << 30), 4096, |_, _| true).unwrap_err();
    assert!(!error.to_string().is_empty());
}
