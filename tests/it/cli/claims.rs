//! What the seller claims, from the command line to the signed report and its verification.

use std::fs;

use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::{Statement, session_id};

use super::Place;
use crate::support::RecordedMachine;

#[test]
fn a_claim_decides_what_a_gpu_is_held_against() {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    let inspect = |claim: &str| place.run(["inspect", "--host", "host.tar.zst", "--claim", claim]);
    // The machine has an H100 for a PCI Express slot.
    inspect("H100 PCIe 80GB").exits(3);
    let sxm = inspect("H100 SXM 80GB x8").exits(1);
    for rule in ["gpu.pcie-sold-as-sxm", "gpu.count-below-claim"] {
        assert!(sxm.stdout.contains(rule), "{}", sxm.stdout);
    }
    assert!(inspect("H200").exits(1).stdout.contains("gpu.claim-product-differs"));
    fs::write(place.path("claim.toml"), "product = \"A100\"\nmemory_gb = 80\ncondition = \"used\"\n").unwrap();
    assert!(inspect("claim.toml").exits(1).stdout.contains("gpu.claim-product-differs"));
    fs::write(place.path("claim.toml"), "product = \"A100\"\ncolour = \"green\"\n").unwrap();
    for (claim, error, hint) in [
        ("RTX 4091 24GB", "24 GB", "RTX 4090 24GB, fan"),
        ("RTX PRO 6000", "can be", "name one of these products"),
        ("claim.toml", "colour", "a claim file has product"),
        ("missing.toml", "cannot read", ""),
    ] {
        let ran = inspect(claim).exits(2);
        assert!(ran.stderr.contains(error) && ran.stderr.contains(hint), "{claim}: {}", ran.stderr);
    }
}

#[test]
fn a_claim_is_signed_and_the_verifier_judges_by_it() {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    place.run(["key", "gen", "--out", "seller.pem", "--no-passphrase"]).exits(0);
    let arguments =
        ["certify", "--host", "host.tar.zst", "--out", "report", "--key", "seller.pem", "--claim", "H200 141GB"];
    assert!(place.run(arguments).exits(1).stdout.contains("gpu.claim-product-differs"));
    let verify = || place.run(["verify", "report", "--key", "seller.pem.pub"]);
    verify().exits(1);
    let path = place.path("report/report.dsse.json");
    let payload = Envelope::parse(&fs::read(&path).unwrap()).unwrap().payload;
    let mut statement: Statement = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement.predicate.gpu_claim.as_ref().unwrap().product, "H200");
    // The same checks under another claim do not follow from the evidence.
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    statement.predicate.gpu_claim = None;
    let predicate = &mut statement.predicate;
    let tool = predicate.tool.binary_sha256;
    let keyid = key.public().keyid();
    predicate.session.s0 = session_id(predicate.challenge.as_ref(), &keyid, &tool, &predicate.session.started_at);
    fs::write(&path, Envelope::sign(statement.to_json().unwrap(), &key).to_json()).unwrap();
    assert!(verify().exits(4).stdout.contains("E_VERDICT_MISMATCH"));
}
