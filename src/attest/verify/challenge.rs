//! Whether the report is the answer that was asked for, and fresh.

use jiff::{SignedDuration, Timestamp};

use super::{Expectations, Failure, FailureClass, Report, time};
use crate::attest::Digest;
use crate::attest::challenge::{CLOCK_SKEW, TrustedChallenge};
use crate::attest::statement::{ChallengeSource, Predicate, Session, Statement, session_id};

/// Holds the report's challenge and times against what the verifier issued, remembers and allows.
pub(super) fn check(statement: &Statement, expectations: &Expectations, report: &mut Report) {
    let session = &statement.predicate.session;
    if let Some(expected) = &expectations.challenge {
        compare(statement, expected, report);
        if report.is_valid() {
            in_time(session, expected, report);
        }
    }
    let Ok(ended) = session.ended_at.parse::<Timestamp>() else { return };
    let max_age = expectations.policy.as_ref().and_then(|policy| policy.minimum.max_age);
    if let Some(max_age) = max_age
        && expectations.now.duration_since(ended) > max_age
    {
        let earliest = expectations.now.checked_sub(max_age).unwrap_or(Timestamp::MIN);
        report.fail(
            FailureClass::Stale,
            "age of the report",
            &format!("ended at {earliest} or later"),
            &session.ended_at,
        );
    }
    // A server that waits on a shelf may have lost its clock: no reason to call its report forged.
    time::hold_against_now("session.endedAt", ended, expectations.now, report);
}

/// Whether whoever made the report knew the challenge before, by what is known: its issuer did, or the report says so itself.
/// Then it bounds nothing. An issuer who signs beside the maker knew of no report.
pub(super) fn is_own(statement: &Statement, challenge: &TrustedChallenge, report: &Report) -> bool {
    let Predicate { challenge: answered, tool, session, .. } = &statement.predicate;
    let made =
        |keyid: &Digest| session_id(answered.as_ref(), keyid, &tool.binary_sha256, &session.started_at) == session.s0;
    // Key ids of signatures that were not checked are anybody's.
    let signed = report.signers.iter().any(|signer| signer.keyid == challenge.issuer);
    answered.as_ref().is_some_and(|it| it.source == ChallengeSource::Own)
        || made(&challenge.issuer)
        || signed && !report.signers.iter().any(|signer| made(&signer.keyid))
}

/// By how much the clock of the reporting machine lies before that of the issuer, where a session cannot have begun.
pub(super) fn clock_behind(session: &Session, challenge: &TrustedChallenge) -> Option<SignedDuration> {
    let started = session.started_at.parse::<Timestamp>().ok()?;
    Some(challenge.issued.issued_at.duration_since(started)).filter(|behind| behind.is_positive())
}

/// The failure of a report that is not the first answer to a challenge.
pub(super) fn answered_before(first: &Digest, this: &Digest) -> Failure {
    let expected = format!("the statement {first}, which answered it first");
    Failure::new(FailureClass::Replay, "answers to the challenge", &expected, &format!("the statement {this}"))
}

fn compare(statement: &Statement, expected: &TrustedChallenge, report: &mut Report) {
    let value = Digest::from_bytes(expected.issued.value).to_string();
    let Some(challenge) = &statement.predicate.challenge else {
        report.fail(FailureClass::Replay, "challenge", &value, "the report answers no challenge");
        return;
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let time = |value: &Option<String>| match value.as_ref().map(|value| value.parse::<Timestamp>()) {
        Some(Ok(time)) => time.to_string(),
        _ => text(value),
    };
    let issued = &expected.issued;
    for (what, expected, observed) in [
        ("challenge.value", value, Digest::from_bytes(challenge.value).to_string()),
        ("challenge.issuer", expected.issuer.to_string(), text(&challenge.issuer.map(|issuer| issuer.to_string()))),
        ("challenge.purpose", issued.purpose.clone(), text(&challenge.purpose)),
        ("challenge.issuedAt", issued.issued_at.to_string(), time(&challenge.issued_at)),
        ("challenge.expiresAt", issued.expires_at.to_string(), time(&challenge.expires_at)),
    ] {
        if expected != observed {
            report.fail(FailureClass::Replay, what, &expected, &observed);
        }
    }
    if let (Some(first), Some(this)) = (expected.answered_by, report.statement_sha256)
        && first != this
    {
        report.failures.push(answered_before(&first, &this));
    }
}

/// A session begins while its challenge is open.
fn in_time(session: &Session, expected: &TrustedChallenge, report: &mut Report) {
    let Ok(started) = session.started_at.parse::<Timestamp>() else { return };
    let (issued, expires) = (expected.issued.issued_at, expected.issued.expires_at);
    if issued.duration_since(started) > CLOCK_SKEW || started.duration_since(expires) > CLOCK_SKEW {
        let minutes = CLOCK_SKEW.as_mins();
        let expected = format!("from {issued} to {expires}, give or take {minutes} minutes");
        report.fail(FailureClass::Stale, "session.startedAt", &expected, &session.started_at);
    }
}
