//! Timestamps over signatures: what they prove, and everything that is wrong with one.

use std::sync::OnceLock;

use yanji::attest::envelope::Signature;
use yanji::attest::timestamp::{Authorities, MAX_RESPONSE_BYTES, MAX_TIMESTAMPS, Request, Sidecar, Token, TokenError};
use yanji::attest::verify::Signed as Input;

use super::*;
use crate::support::tsa::{Authority, Certified, tst_info};

/// A time at which the report of these tests had just been signed.
const AFTER: &str = "20260301110500Z";

impl Signed {
    fn signature(&self) -> [u8; 64] {
        Envelope::parse(&self.envelope).unwrap().signatures[0].bytes
    }

    fn info(&self, time: &str) -> Vec<u8> {
        tst_info(Digest::of(&self.signature()).as_bytes(), time)
    }

    /// Verifies with timestamps beside the envelope; `authority` is the one that is believed.
    fn verify_stamped(&self, responses: &[Vec<u8>], authority: Option<&Authority>) -> Report {
        self.verify_beside(Sidecar { responses: responses.to_vec() }.to_json().as_bytes(), authority)
    }

    fn verify_beside(&self, sidecar: &[u8], authority: Option<&Authority>) -> Report {
        let mut expectations = self.expectations.clone();
        expectations.now = "2026-03-02T00:00:00Z".parse().unwrap();
        if let Some(authority) = authority {
            expectations.authorities = Authorities::from_pem(&authority.root_pem()).unwrap();
        }
        let input = Input { envelope: &self.envelope, timestamps: Some(sidecar) };
        verify(input, Some(&self.tar[..]), &expectations, &mut agree)
    }
}

#[track_caller]
fn assert_untimely(report: &Report, observed: &str) {
    assert_class(report, FailureClass::Time);
    assert!(report.failures[0].observed.contains(observed), "{:#?}", report.failures);
}

#[test]
fn a_timestamp_proves_by_when_a_report_had_been_signed() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    let response = authority.answer_with(&signed.info(AFTER));
    assert!(authority.openssl_accepts(&response, &signed.signature()));
    let report = signed.verify_stamped(std::slice::from_ref(&response), Some(&authority));
    assert!(report.is_valid(), "{:#?}", report.failures);
    let keyid = signed.key.public().keyid();
    assert_eq!(report.signed_before(&keyid).unwrap().to_string(), "2026-03-01T11:05:00Z");
    assert_eq!(report.signed_before(&Digest::of(b"other")), None);
    let proven = format!("key {keyid} had signed it by 2026-03-01T11:05:00Z: \"CN=test authority\" stamped");
    assert!(report.proven.iter().any(|line| line.starts_with(&proven)), "{:#?}", report.proven);
    assert!(report.not_proven.iter().all(|line| !line.contains("no trusted clock")), "{:#?}", report.not_proven);

    // The earliest of several counts.
    let later = authority.answer_with(&signed.info("20260301230000Z"));
    let report = signed.verify_stamped(&[later, response.clone()], Some(&authority));
    assert_eq!(report.signing_times.len(), 2);
    assert_eq!(report.signed_before(&keyid).unwrap().to_string(), "2026-03-01T11:05:00Z");

    // Without anybody to believe it proves nothing, and is no failure.
    let report = signed.verify_stamped(&[response], None);
    assert!(report.is_valid() && report.signing_times.is_empty());
    assert!(report.not_proven.iter().any(|line| line.contains("nobody said to believe")), "{:#?}", report.not_proven);
}

#[test]
fn a_timestamp_of_the_future_leaves_the_report_open() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    let report = signed.verify_stamped(&[authority.answer_with(&signed.info("20260303000000Z"))], Some(&authority));
    assert!(report.is_valid());
    assert_eq!(report.indeterminate[0].class, FailureClass::Time);
}

#[test]
fn a_timestamp_older_than_the_session_is_refused() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    // The session ended at 11:00, and clocks may be ten minutes apart.
    let stamped = |time| signed.verify_stamped(&[authority.answer_with(&signed.info(time))], Some(&authority));
    assert!(stamped("20260301105001Z").is_valid());
    assert_untimely(&stamped("20260301104900Z"), "2026-03-01T10:49:00Z");
}

#[test]
fn a_timestamp_by_anybody_else_or_for_anything_else_is_refused() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    let genuine = authority.answer_with(&signed.info(AFTER));
    assert_untimely(&signed.verify_stamped(&[genuine], Some(&Authority::new())), "leads to no root that is believed");
    for (how, observed) in [
        (Certified::Expired, "had expired when the token was made"),
        (Certified::ForCode, "not for time-stamping alone"),
        (Certified::ForAnything, "not for time-stamping alone"),
    ] {
        let authority = Authority::certified(how);
        let response = authority.answer_with(&signed.info(AFTER));
        assert_untimely(&signed.verify_stamped(&[response], Some(&authority)), observed);
    }
}

#[test]
fn a_timestamp_over_a_signature_that_nobody_checked_tells_no_time() {
    let (mut signed, authority) = (Signed::new(small_items()), Authority::new());
    let genuine = authority.answer_with(&signed.info(AFTER));
    let mut envelope = Envelope::parse(&signed.envelope).unwrap();
    let added = |name: &[u8], bytes| Signature { keyid: Digest::of(name), bytes };
    // Random bytes under an id of nobody's, and a copy of the genuine signature under another one, before it.
    let (random, copy) = (added(b"nobody", [7; 64]), added(b"copy", envelope.signatures[0].bytes));
    let back_dated = authority.answer_with(&tst_info(Digest::of(&random.bytes).as_bytes(), "20260301105500Z"));
    envelope.signatures.splice(0..0, [random, copy]);
    signed.envelope = envelope.to_json().into_bytes();

    let unchecked = |report: &Report| {
        assert!(report.is_valid(), "{:#?}", report.failures);
        let told = "what 1 of the timestamps say: they are over signatures that were not checked";
        assert!(report.not_proven.iter().any(|line| line.starts_with(told)), "{:#?}", report.not_proven);
    };
    for root in [&authority, &Authority::new()] {
        let report = signed.verify_stamped(std::slice::from_ref(&back_dated), Some(root));
        unchecked(&report);
        assert!(report.signing_times.is_empty());
        assert!(report.proven.iter().all(|line| !line.contains("had signed it by")), "{:#?}", report.proven);
    }
    let report = signed.verify_stamped(&[back_dated, genuine], Some(&authority));
    unchecked(&report);
    let times: Vec<_> = report.signing_times.iter().map(|time| (time.keyid, time.not_after.to_string())).collect();
    assert_eq!(times, [(signed.key.public().keyid(), "2026-03-01T11:05:00Z".to_owned())]);
}

#[test]
fn a_second_authority_spoils_nothing() {
    let (signed, known, other) = (Signed::new(small_items()), Authority::new(), Authority::new());
    let responses = [&other, &known].map(|authority| authority.answer_with(&signed.info(AFTER)));
    let report = signed.verify_stamped(&responses, Some(&known));
    assert!(report.is_valid(), "{:#?}", report.failures);
    assert_eq!((report.signing_times.len(), report.unknown_authorities), (1, 1));
    let told = "what 1 of the timestamps say: they are by authorities that nobody said to believe";
    assert!(report.not_proven.iter().any(|line| line == told), "{:#?}", report.not_proven);
    // One that is damaged is damaged, whoever made it.
    let mut damaged = responses.clone();
    *damaged[0].last_mut().unwrap() ^= 1;
    assert_untimely(&signed.verify_stamped(&damaged, Some(&known)), "the signature is not by the key");
}

#[test]
fn a_timestamp_over_another_signature_is_refused() {
    let (signed, other, authority) = (Signed::new(small_items()), Signed::new(small_items()), Authority::new());
    let relayed = authority.answer_with(&other.info(AFTER));
    for authority in [Some(&authority), None] {
        let report = signed.verify_stamped(std::slice::from_ref(&relayed), authority);
        assert_untimely(&report, &Digest::of(&other.signature()).to_string());
    }
    // The payload has the digest that people would stamp by mistake.
    let payload = Envelope::parse(&signed.envelope).unwrap().payload;
    let over_payload = authority.answer_with(&tst_info(Digest::of(&payload).as_bytes(), AFTER));
    assert_untimely(&signed.verify_stamped(&[over_payload], Some(&authority)), &Digest::of(&payload).to_string());
}

#[test]
fn every_flipped_byte_of_what_an_authority_signed_fails() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    let roots = Authorities::from_pem(&authority.root_pem()).unwrap();
    let request = Request::new(&signed.signature()).unwrap();
    let response = authority.answer(&request.to_der());
    let genuine = Token::from_response(&response).unwrap();
    genuine.verify(&roots).unwrap();
    assert_eq!(genuine.nonce, request.nonce.as_deref());
    assert_eq!(genuine.accuracy.as_micros(), 1_500_100);
    let mut survived = Vec::new();
    for at in 0..response.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = response.clone();
            changed[at] ^= mask;
            let Ok(token) = Token::from_response(&changed) else { continue };
            if token.imprint == genuine.imprint && token.verify(&roots).is_ok() {
                survived.push(at);
                let told = |token: &Token<'_>| (token.generated_at, token.accuracy, token.nonce.map(<[u8]>::to_vec));
                assert_eq!(told(&token), told(&genuine), "byte {at}");
            }
        }
    }
    survived.dedup();
    // Versions, the status, the list of digest algorithms, and the parameters of an algorithm that has none: not signed, and
    // nothing is taken from them.
    assert!(survived.len() <= 25, "{survived:?}");
}

#[test]
fn files_that_hold_no_timestamps_are_refused() {
    let (signed, authority) = (Signed::new(small_items()), Authority::new());
    let response = authority.answer_with(&signed.info(AFTER));
    let good = Sidecar { responses: vec![response.clone()] }.to_json();
    assert_eq!(Sidecar::parse(good.as_bytes()).unwrap().to_json(), good);
    for (sidecar, observed) in [
        (String::new(), "not acceptable JSON"),
        (good.replacen('{', "{\"more\":1,", 1), "expected fields"),
        (good.replacen("\"timestamps\"", "\"timestamps\":[],\"timestamps\"", 1), "not acceptable JSON"),
        ("{\"timestamps\":[]}".to_owned(), "0 timestamps"),
        (good.replacen("\"response\":\"", "\"response\":\"!", 1), "not base64"),
        (Sidecar { responses: vec![response.clone(); MAX_TIMESTAMPS + 1] }.to_json(), "129 timestamps"),
        (Sidecar { responses: vec![vec![0; MAX_RESPONSE_BYTES + 1]] }.to_json(), "more than the 32768"),
        (Sidecar { responses: vec![response[..response.len() - 1].to_vec()] }.to_json(), "missing or is not DER"),
        (Sidecar { responses: vec![[&response[..], &[0]].concat()] }.to_json(), "missing or is not DER"),
        // PKIStatus "rejection".
        (Sidecar { responses: vec![vec![0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02]] }.to_json(), "status 2"),
    ] {
        assert_untimely(&signed.verify_beside(sidecar.as_bytes(), Some(&authority)), observed);
    }
    assert!(signed.verify_beside(good.as_bytes(), Some(&authority)).is_valid());
}

/// A genuine response to be broken.
fn genuine() -> &'static [u8] {
    static GENUINE: OnceLock<Vec<u8>> = OnceLock::new();
    GENUINE.get_or_init(|| Authority::new().answer_with(&tst_info(&[7; 32], AFTER)))
}

proptest! {
    #[test]
    fn whatever_is_in_a_response_it_is_read_or_refused(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..12),
        cut in 0_usize..2000,
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = genuine().to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 200));
        for bytes in [bytes, noise] {
            if let Ok(token) = Token::from_response(&bytes) {
                let refused: Result<String, TokenError> = token.verify(&Authorities::default());
                prop_assert!(refused.is_err());
                let _ = token.check_signature();
            }
            let _ = Request::from_der(&bytes);
            let _ = Sidecar::parse(&bytes);
        }
    }
}
