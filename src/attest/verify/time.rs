//! What trusted clocks say about the signatures.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Expectations, Failure, FailureClass, Report};
use crate::attest::Digest;
use crate::attest::challenge::CLOCK_SKEW;
use crate::attest::timestamp::{Sidecar, Token, TokenError};

/// A signature that was there at a time, as a time-stamping authority saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningTime {
    /// The key that the signature was checked to be by.
    pub keyid: Digest,
    /// The signature had been made by then.
    #[serde(serialize_with = "as_text")]
    pub not_after: Timestamp,
    /// Name in the authority's certificate.
    pub authority: String,
}

/// Reads the timestamps that lie beside the envelope: those of believed authorities go to [`Report::signing_times`]. Gives
/// the failures, which are later ones than those of the signers.
pub(super) fn read(sidecar: &[u8], expectations: &Expectations, report: &mut Report) -> Vec<Failure> {
    let sidecar = match Sidecar::parse(sidecar) {
        Ok(sidecar) => sidecar,
        Err(error) => {
            let expected = "a list of timestamp responses";
            return vec![Failure::new(FailureClass::Time, "timestamps", expected, &error.to_string())];
        }
    };
    // Anybody can write a signature beside the others, with any key id. The signatures by trusted keys have all been checked,
    // and come first: the same bytes may be there under another id too.
    let is_checked = |keyid: &Digest| report.signers.iter().any(|signer| signer.keyid == *keyid);
    let own = report.signatures.iter().map(|it| (Digest::of(&it.bytes), Some(it.keyid).filter(is_checked)));
    let foreign = report.foreign_signatures.iter().map(|it| (Digest::of(&it.bytes), None));
    let mut imprints: Vec<(Digest, Option<Digest>)> = own.chain(foreign).collect();
    imprints.sort_by_key(|(_, keyid)| keyid.is_none());
    let (mut failures, mut not_believed) = (Vec::new(), Vec::new());
    for (index, response) in sidecar.responses.iter().enumerate() {
        let what = format!("timestamp {}", index + 1);
        let failure = |expected: &str, observed: &str| Failure::new(FailureClass::Time, &what, expected, observed);
        let token = match Token::from_response(response) {
            Ok(token) => token,
            Err(error) => {
                failures.push(failure("a response of RFC 3161 with a token", &error.to_string()));
                continue;
            }
        };
        let Some((_, keyid)) = imprints.iter().find(|(imprint, _)| *imprint == token.imprint) else {
            let expected = imprints.iter().map(|(imprint, _)| imprint.to_string()).collect::<Vec<_>>().join(" or ");
            let expected = format!("over the SHA-256 of a signature of this envelope: {expected}");
            failures.push(failure(&expected, &token.imprint.to_string()));
            continue;
        };
        // Without a believed authority a token proves nothing, but a damaged one is damaged all the same.
        let believed = !expectations.authorities.is_empty() && keyid.is_some();
        let verified = if believed { token.verify(&expectations.authorities) } else { token.check_signature() };
        let refused = |error: &TokenError| failure("a token by an authority that is believed", &error.to_string());
        match (verified, *keyid) {
            (Ok(_), None) => report.unchecked_timestamps += 1,
            (Ok(authority), Some(keyid)) if believed => {
                report.signing_times.push(SigningTime { keyid, not_after: token.not_after(), authority });
            }
            (Ok(_), Some(_)) => report.unknown_authorities += 1,
            (Err(error @ TokenError::Chain(_)), Some(keyid)) => not_believed.push((keyid, refused(&error))),
            (Err(error), _) => failures.push(refused(&error)),
        }
    }
    // Whoever stamps at two authorities is believed by those who know one of them.
    for (keyid, failure) in not_believed {
        match earliest(&report.signing_times, &keyid) {
            Some(_) => report.unknown_authorities += 1,
            None => failures.push(failure),
        }
    }
    failures
}

/// Holds what the clocks say against what the signer says. A document is made (a session ends) before it is signed, and so
/// before anybody could see the signature.
pub(super) fn check(made_at: &str, now: Timestamp, report: &mut Report) {
    if report.signing_times.is_empty() {
        return;
    }
    // That it is a time is checked with the other contradictions.
    let made = made_at.parse::<Timestamp>().ok();
    let mut failures = Vec::new();
    for time in &report.signing_times {
        let what = format!("timestamp over the signature by key {}", time.keyid);
        let observed = format!("{} by {:?}", time.not_after, time.authority);
        if made.is_some_and(|made| made.duration_since(time.not_after) > CLOCK_SKEW) {
            let minutes = CLOCK_SKEW.as_mins();
            let expected = format!("not before {made_at}, when it was made, give or take {minutes} minutes");
            failures.push(Failure::new(FailureClass::Time, &what, &expected, &observed));
        }
        if time.not_after.duration_since(now) > CLOCK_SKEW {
            // It is this machine's clock that may be wrong.
            let expected = format!("not after now, {now}");
            report.indeterminate.push(Failure::new(FailureClass::Time, &what, &expected, &observed));
        }
    }
    report.failures.append(&mut failures);
}

/// Leaves a document open that says it was made after now, by more than clocks may be apart. The clock here may be the wrong one.
pub(super) fn hold_against_now(what: &str, made: Timestamp, now: Timestamp, report: &mut Report) {
    if made.duration_since(now) > CLOCK_SKEW {
        let expected = format!("not after now, {now}");
        report.indeterminate.push(Failure::new(FailureClass::Time, what, &expected, &made.to_string()));
    }
}

/// When a key's signature had been made at the latest.
pub(super) fn earliest(times: &[SigningTime], keyid: &Digest) -> Option<Timestamp> {
    times.iter().filter(|time| time.keyid == *keyid).map(|time| time.not_after).min()
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
