//! What the seller claims, from the command line to the signed report and its verification.

use std::fs;

use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::{Statement, session_id};

use serde_json::Value as Json;

use super::Place;
use crate::support::{Drive, RecordedMachine};

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

/// Rules that fire about what was sold, by part, each once.
fn fired(json: &Json) -> Vec<(String, String)> {
    let findings = json["findings"].as_array().unwrap().iter();
    let text = |finding: &Json, key: &str| finding[key].as_str().unwrap().to_owned();
    let mut fired: Vec<(String, String)> = findings
        .map(|finding| (text(finding, "rule"), text(finding, "part")))
        .filter(|(rule, _)| rule.contains("claim") || rule.contains("against-order"))
        .collect();
    fired.sort();
    fired
}

#[test]
fn modules_processors_and_drives_are_held_against_the_order() {
    let place = Place::new();
    let pair = |rule: &str, part: &str| (rule.to_owned(), part.to_owned());
    let all = |rule: &str, scope: &[String]| scope.iter().map(|part| pair(rule, part)).collect::<Vec<_>>();
    let dimms: Vec<String> =
        (0..16).map(|index| format!("dimm:P{}-DIMM{}1", index / 8 + 1, (b'A' + index % 8) as char)).collect();
    type Case<'a> = (&'a [&'a str], fn(&mut RecordedMachine), Vec<(String, String)>);
    let cases: Vec<Case<'_>> = vec![
        (&["16x 64GB DDR5-4800 Samsung 2R M321R8GA0BB0 new"], |_| {}, vec![]),
        (&["16x 64GB DDR5-4800 Samsung; 2x Xeon Platinum 8480+", "1x 3.84TB NVMe PM9A3 Samsung"], |_| {}, vec![]),
        (&["32x 64GB DDR5-4800"], |_| {}, vec![pair("dimm.count-differs-from-claim", "order:dimm-1")]),
        (&["8x 64GB DDR5"], |_| {}, vec![pair("dimm.count-differs-from-claim", "order:dimm-1")]),
        (&["64GB DDR5-5600"], |_| {}, all("dimm.speed-below-claim", &dimms)),
        // The speed that is set is the platform's.
        (&["64GB DDR5-4800"], |machine| machine.dimms.iter_mut().for_each(|dimm| dimm.configured_mts = 4400), vec![]),
        (&["64GB DDR5 SK hynix"], |_| {}, all("dimm.differs-from-claim", &dimms)),
        (&["64GB DDR4"], |_| {}, all("dimm.differs-from-claim", &dimms)),
        // Another maker's name on one module; a server maker's own name says nothing.
        (
            &["16x 64GB DDR5 Samsung kit"],
            |machine| machine.dimms[3].manufacturer = "00AD063200AD".to_owned(),
            vec![pair("dimm.differs-from-claim", &dimms[3]), pair("dimm.kit-mixed-against-order", &dimms[3])],
        ),
        (&["64GB DDR5 M321R8GA0BB0-CQK"], |machine| machine.dimms[0].manufacturer = "HP".to_owned(), vec![]),
        // A module of the second item is one of the second item.
        (&["15x 64GB DDR5; 1x 32GB DDR5"], |machine| machine.dimms[15].size_bytes = 32 << 30, vec![]),
        (
            &["16x 64GB DDR5"],
            |machine| machine.dimms[15].size_bytes = 32 << 30,
            vec![pair("dimm.differs-from-claim", &dimms[15])],
        ),
        (&["4x Xeon Platinum 8480+"], |_| {}, vec![pair("cpu.count-below-claim", "order:cpu-1")]),
        (
            &["2x Xeon Platinum 8490H new"],
            |_| {},
            vec![
                pair("cpu.differs-from-claim", "cpu:0"),
                pair("cpu.differs-from-claim", "cpu:1"),
                pair("cpu.smbios-differs-from-claim", "cpu:0"),
                pair("cpu.smbios-differs-from-claim", "cpu:1"),
            ],
        ),
        (&["4x 3.84TB NVMe"], |_| {}, vec![pair("drive.count-below-claim", "order:drive-1")]),
        (&["1x 7.68TB NVMe U.2"], |_| {}, vec![pair("drive.differs-from-claim", "drive:nvme0n1")]),
        (&["1x 3.84TB NVMe Intel P5510"], |_| {}, vec![pair("drive.differs-from-claim", "drive:nvme0n1")]),
        (&["8x 16TB SATA HDD used"], |_| {}, vec![pair("drive.count-below-claim", "order:drive-1")]),
        // A drive to boot from is in no order.
        (&["1x 3.84TB NVMe PM9A3"], |machine| machine.drives.push(Drive::exos("sda", "0000:00:17.0")), vec![]),
    ];
    for (claims, change, expected) in cases {
        place.archive(&RecordedMachine::server().with(change));
        let arguments = ["inspect", "--host", "host.tar.zst", "--format", "json"];
        let claimed = claims.iter().flat_map(|claim| ["--claim", claim]);
        let json = place.run(arguments.into_iter().chain(claimed)).json();
        assert_eq!(fired(&json), expected, "{claims:?}");
    }
}

#[test]
fn what_cannot_be_counted_or_read_is_not_as_sold() {
    let place = Place::new();
    place.archive(&RecordedMachine::server().unprivileged());
    let claim = "16x 64GB DDR5 Samsung; 2x EPYC 9654; 1x 3.84TB NVMe";
    let arguments = ["inspect", "--host", "host.tar.zst", "--format", "json", "--claim", claim];
    let json = place.run(arguments).json();
    let blind: Vec<(&str, &str)> = json["inconclusive"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["rule"].as_str().unwrap(), it["part"].as_str().unwrap()))
        .collect();
    for expected in [("dimm.count-differs-from-claim", "order:dimm-1"), ("dimm.differs-from-claim", "dimm:unread")] {
        assert!(blind.contains(&expected), "{expected:?}: {blind:?}");
    }
    // CPUID needs no privilege.
    assert!(fired(&json).contains(&("cpu.differs-from-claim".to_owned(), "cpu:1".to_owned())), "{json}");
    // A printout of GPUs shows no module: nothing is said of how many there are.
    fs::write(place.path("a.txt"), "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1)\n")
        .unwrap();
    let json = place.run(["screen", "--format", "json", "--claim", "16x 64GB DDR5", "a.txt"]).json();
    assert_eq!(fired(&json), []);
    assert!(json["inconclusive"].to_string().contains("dimm.count-differs-from-claim"));
}

#[test]
fn orders_in_files_and_what_is_not_understood() {
    let place = Place::new();
    place.archive(&RecordedMachine::server());
    let file = "[[gpu]]\nproduct = \"H100 PCIe\"\nmemory_gb = 80\n[[dimm]]\ncount = 32\nsize_gb = 64\ntype = \"DDR5\"\n\
                speed_mts = 4800\nmaker = \"Samsung\"\n[[cpu]]\nmodel = \"Xeon Platinum 8480+\"\ncount = 2\n\
                [[drive]]\nsize_gb = 3840\ninterface = \"nvme\"\nmodel = \"PM9A3\"\ncount = 2\n";
    fs::write(place.path("order.toml"), file).unwrap();
    let run = |claims: &[&str]| {
        let claims = claims.iter().flat_map(|claim| ["--claim", *claim]);
        place.run(["inspect", "--host", "host.tar.zst", "--format", "json"].into_iter().chain(claims))
    };
    let expected = ["dimm.count-differs-from-claim", "drive.count-below-claim"];
    let json = run(&["order.toml"]).json();
    assert_eq!(fired(&json).iter().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>(), expected);
    fs::write(place.path("bad.toml"), "[[dimm]]\nsize = 64\n").unwrap();
    fs::write(place.path("empty.toml"), "").unwrap();
    fs::write(place.path("word.toml"), "[[dimm]]\nsize_gb = 64\nmaker = \"Acme\"\n").unwrap();
    for (claims, error) in [
        (&["16x 64GB DDR5-5600 shiny"][..], "\"shiny\" in the claim is no word for memory modules"),
        (&["64GB DDR5 Samsung Micron"], "the maker twice: Samsung and Micron"),
        (&["2x EPYC"], "names no product"),
        (&["2x 1.92TB NVMe SATA"], "the interface twice"),
        (&["H100; A100"], "several items about GPUs"),
        (&["order.toml", "H100"], "several items about GPUs"),
        (&["bad.toml"], "unknown field `size`"),
        (&["empty.toml"], "no table [[gpu]]"),
        (&["word.toml"], "\"acme\""),
        (&[";"], "names no product"),
        (&["9999x 64GB DDR5"], "\"9999x\""),
    ] {
        let ran = run(claims).exits(2);
        assert!(ran.stderr.contains(error) && ran.stderr.contains("hint: "), "{claims:?}: {}", ran.stderr);
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
    assert_eq!(statement.predicate.claims.gpus[0].product, "H200");
    // The same checks under another claim do not follow from the evidence.
    let key = Key::load(&place.path("seller.pem"), None).unwrap();
    statement.predicate.claims = Default::default();
    let predicate = &mut statement.predicate;
    let tool = predicate.tool.binary_sha256;
    let keyid = key.public().keyid();
    predicate.session.s0 = session_id(predicate.challenge.as_ref(), &keyid, &tool, &predicate.session.started_at);
    fs::write(&path, Envelope::sign(statement.to_json().unwrap(), &key).to_json()).unwrap();
    assert!(verify().exits(4).stdout.contains("E_VERDICT_MISMATCH"));

    // The same for a claim about memory, which is signed beside one about processors.
    let arguments = ["certify", "--host", "host.tar.zst", "--out", "memory", "--key", "seller.pem"];
    let claims = ["--claim", "32x 64GB DDR5", "--claim", "2x Xeon Platinum 8480+"];
    let ran = place.run(arguments.iter().chain(&claims)).exits(3);
    assert!(ran.stdout.contains("dimm.count-differs-from-claim"), "{}", ran.stdout);
    let verify = || place.run(["verify", "memory", "--key", "seller.pem.pub"]);
    assert!(verify().exits(3).stdout.contains("dimm.count-differs-from-claim on order:dimm-1 needs a person"));
    let path = place.path("memory/report.dsse.json");
    let payload = Envelope::parse(&fs::read(&path).unwrap()).unwrap().payload;
    let mut statement: Statement = serde_json::from_slice(&payload).unwrap();
    assert_eq!((statement.predicate.claims.dimms.len(), statement.predicate.claims.cpus.len()), (1, 1));
    statement.predicate.claims.dimms[0].count = Some(16);
    fs::write(&path, Envelope::sign(statement.to_json().unwrap(), &key).to_json()).unwrap();
    assert!(verify().exits(4).stdout.contains("E_VERDICT_MISMATCH"));
}
