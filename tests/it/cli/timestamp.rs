//! Timestamps from an authority, over a network and without one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::timestamp::Sidecar;

use super::reports::signed;
use crate::support::RecordedMachine;
use crate::support::tsa::Authority;

/// An authority on a port of its own, which answers each request with what `answer` makes of it; gone with the test.
fn serve(answer: impl Fn(&[u8]) -> (&'static str, Vec<u8>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tsr", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            assert!(head.contains("content-type: application/timestamp-query\r\n"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut request = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut request).unwrap();
            let (status, body) = answer(&request);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[test]
fn an_authority_stamps_every_signature_and_verify_says_what_that_proves() {
    let (place, authority) = (signed().place(), Authority::new());
    fs::write(place.path("root.pem"), authority.root_pem()).unwrap();
    let url = serve(move |request| ("200 OK", authority.answer(request)));
    let ran = place.run(["timestamp", "report", "--tsa", &url, "--tsa-root", "root.pem"]).exits(0);
    assert!(ran.stdout.contains("says CN=test authority\n"), "{}", ran.stdout);
    assert!(place.path("report/report.timestamps.json").exists());

    let ran = place.run(["verify", "report", "--key", "seller.pub", "--tsa-root", "root.pem"]).exits(3);
    assert!(ran.stdout.contains("\"CN=test authority\" stamped the signature then"), "{}", ran.stdout);
    let json =
        place.run(["verify", "report", "--key", "seller.pub", "--tsa-root", "root.pem", "--format", "json"]).exits(3);
    assert_eq!(json.json()["reports"][0]["signingTimes"][0]["authority"], "CN=test authority");
    let ran = place.run(["verify", "report", "--key", "seller.pub"]).exits(3);
    assert!(ran.stdout.contains("by an authority that nobody said to believe"), "{}", ran.stdout);

    let stranger = Authority::new();
    fs::write(place.path("stranger.pem"), stranger.root_pem()).unwrap();
    let ran = place.run(["verify", "report", "--key", "seller.pub", "--tsa-root", "stranger.pem"]).exits(4);
    assert!(ran.stdout.contains("E_TIME timestamp 1"), "{}", ran.stdout);
    let ran = place.run(["timestamp", "report", "--tsa", &url]).exits(2);
    assert!(ran.stderr.contains("every signature of the report has a timestamp"), "{}", ran.stderr);
}

#[test]
fn what_an_authority_stamped_is_kept_when_it_fails_over_the_next_signature() {
    let (place, authority) = (signed().place(), Authority::new());
    place.run(["key", "gen", "--out", "second.pem", "--no-passphrase"]).exits(0);
    place.run(["cosign", "report", "--key", "second.pem", "--key", "seller.pub"]).exits(0);
    let asked = AtomicUsize::new(0);
    let url = serve(move |request| match asked.fetch_add(1, Ordering::Relaxed) {
        1 => ("500 Internal Server Error", Vec::new()),
        _ => ("200 OK", authority.answer(request)),
    });
    let kept = || Sidecar::parse(&fs::read(place.path("report/report.timestamps.json")).unwrap()).unwrap().responses;
    let ran = place.run(["timestamp", "report", "--tsa", &url]).exits(2);
    assert_eq!((ran.stdout.matches("had signed by").count(), kept().len()), (1, 1), "{}", ran.stdout);
    let second = Key::load(&place.path("second.pem"), None).unwrap().public().keyid();
    assert!(ran.stderr.contains(&format!("over the signature by key {second}")), "{}", ran.stderr);
    let first = kept();
    let ran = place.run(["timestamp", "report", "--tsa", &url]).exits(0);
    assert!(ran.stdout.contains(&format!("key {second} had signed by")), "{}", ran.stdout);
    assert!(kept().len() == 2 && kept()[0] == first[0]);
}

#[test]
fn a_request_is_carried_to_an_authority_and_its_response_back() {
    let (place, authority) = (signed().place(), Authority::new());
    fs::write(place.path("root.pem"), authority.root_pem()).unwrap();
    place.run(["timestamp", "report", "--request", "q.tsq"]).exits(0);
    let request = fs::read(place.path("q.tsq")).unwrap();
    fs::write(place.path("a.tsr"), authority.answer(&request)).unwrap();
    let ran = place.run(["timestamp", "report", "--request", "q.tsq"]).exits(2);
    assert!(ran.stderr.contains("q.tsq exists already"), "{}", ran.stderr);
    assert!(fs::read(place.path("q.tsq")).unwrap() == request);
    // A second request has another nonce, and the first response does not answer it.
    place.run(["timestamp", "report", "--request", "other.tsq"]).exits(0);
    let ran = place.run(["timestamp", "report", "--response", "a.tsr", "--request", "other.tsq"]).exits(2);
    assert!(ran.stderr.contains("it answers another request"), "{}", ran.stderr);
    assert!(!place.path("report/report.timestamps.json").exists());
    place.run(["timestamp", "report", "--response", "a.tsr", "--request", "q.tsq", "--tsa-root", "root.pem"]).exits(0);
    let sidecar = fs::read(place.path("report/report.timestamps.json")).unwrap();
    let ran = place.run(["timestamp", "report", "--response", "a.tsr"]).exits(0);
    assert!(ran.stdout.contains("was there already, and was not added again"), "{}", ran.stdout);
    assert!(fs::read(place.path("report/report.timestamps.json")).unwrap() == sidecar);
    place.run(["verify", "report", "--key", "seller.pub", "--tsa-root", "root.pem"]).exits(3);
    assert!(authority.openssl_accepts(
        &fs::read(place.path("a.tsr")).unwrap(),
        &Envelope::parse(&fs::read(place.path("report/report.dsse.json")).unwrap()).unwrap().signatures[0].bytes
    ));
}

#[test]
fn what_is_no_timestamp_of_this_report_is_not_added() {
    let (place, other) = (signed().place(), signed().place());
    let authority = Authority::new();
    fs::write(place.path("root.pem"), authority.root_pem()).unwrap();
    other.run(["certify", "--host", other.archive(&RecordedMachine::server()), "--out", "second"]).exits(3);
    other.run(["timestamp", "second", "--request", "q.tsq"]).exits(0);
    let foreign = authority.answer(&fs::read(other.path("q.tsq")).unwrap());
    fs::write(place.path("foreign.tsr"), &foreign).unwrap();
    let ran = place.run(["timestamp", "report", "--response", "foreign.tsr"]).exits(2);
    assert!(ran.stderr.contains("it is over another signature"), "{}", ran.stderr);

    let own = Authority::new();
    for (url, words) in [
        (serve(|_| ("500 Internal Server Error", Vec::new())), "answered with status 500"),
        (serve(|_| ("302 Found", Vec::new())), "answered with status 302"),
        (serve(|_| ("200 OK", b"hello".to_vec())), "not a timestamp response"),
        (serve(|_| ("200 OK", vec![0x30; 100_000])), "more than 32768 bytes"),
        (serve(move |_| ("200 OK", foreign.clone())), "it is over another signature"),
        (serve(move |request| ("200 OK", own.answer(request))), "leads to no root that is believed"),
        ("ftp://127.0.0.1/".to_owned(), "is no http:// or https:// address"),
        ("http://127.0.0.1:1/".to_owned(), "can't be reached"),
    ] {
        let ran = place.run(["timestamp", "report", "--tsa", &url, "--tsa-root", "root.pem"]).exits(2);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        assert!(!place.path("report/report.timestamps.json").exists(), "{words}");
    }
}
