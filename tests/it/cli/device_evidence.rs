//! `decode nvidia-evidence` on NVIDIA's samples and on devices of the tests.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use vgpu::attest::{Authority, Contents, Identity};

use super::{Place, Ran};

/// The samples in the place, or nothing where there are none.
fn samples() -> Option<Place> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/attest");
    if !folder.exists() {
        println!("skipped: no corpus");
        return None;
    }
    let place = Place::new();
    super::copy(&folder, &place.path(""));
    Some(place)
}

fn decode(place: &Place, args: &[&str]) -> Ran {
    place.run(["decode", "nvidia-evidence", "--format", "json"].iter().chain(args))
}

fn classes(document: &Json) -> Vec<&str> {
    document["failures"].as_array().unwrap().iter().map(|failure| failure["class"].as_str().unwrap()).collect()
}

#[test]
fn nvidias_samples_are_decoded_and_verified() {
    let Some(place) = samples() else { return };
    let nonce = "4760e30534a0621357d458b1a7936551b5dc4cd1e69718adf7ed9fb0252a537e";
    let board = decode(&place, &["gpu_evidence.json", "switch_evidence.json", "--nonce", nonce]).exits(0).json();
    assert_eq!((board["valid"].as_bool(), board["topology"].as_bool()), (Some(true), Some(true)));
    assert_eq!((board["devices"].as_array().unwrap().len(), board["warnings"].as_array().unwrap().len()), (12, 12));
    let gpu = &board["devices"][0];
    for (field, value) in [
        ("type", "gpu"),
        ("architecture", "HOPPER"),
        ("pdi", "0x2921ce551e4eeda3"),
        ("vbiosVersion", "96.00.A5.00.01"),
        ("boardId", "0x0437"),
        ("chipSku", "885"),
        ("project", "G520"),
        ("projectSku", "0200"),
        ("nonce", nonce),
        ("root", "NVIDIA Device Identity CA"),
    ] {
        assert_eq!(gpu[field], value, "{field}");
    }
    assert!(gpu["fwid"].as_str().unwrap().starts_with("956ecf09"));
    let steps = json!({"chain": true, "validity": true, "revocation": null, "signature": true, "nonce": true,
        "firmware": true, "identity": true});
    assert_eq!(gpu["steps"], steps);
    assert_eq!(gpu["certificates"][1]["serial"], "412921CE551E4EEDA3");
    assert_eq!(gpu["certificates"][4]["notAfter"], "9999-12-31T23:59:59Z");
    assert_eq!((gpu["measurements"].as_array().unwrap().len(), gpu["switches"].as_array().unwrap().len()), (64, 4));
    assert_eq!(board["devices"][8]["gpus"].as_array().unwrap().len(), 8);
    assert_eq!(board["warnings"][0]["class"], "W_MEASUREMENT_UNKNOWN");

    let other = "00".repeat(32);
    let stale = decode(&place, &["hopper_evidence.json", "--nonce", &other]).exits(4).json();
    assert_eq!(classes(&stale), ["E_NONCE"]);
    assert_eq!(stale["failures"][0]["expected"], other);
    let repeated = decode(&place, &["multi_switch_ls10.json"]).exits(4).json();
    assert_eq!(classes(&repeated), ["E_DUPLICATE"; 3]);
    assert!(repeated["devices"].as_array().unwrap().iter().all(|device| device["valid"] == true));
    let two = ["blackwellAttestationReport.txt", "blackwellCertChain.txt"];
    let blackwell = decode(&place, &two).exits(0).json();
    assert_eq!(
        (&blackwell["devices"][0]["architecture"], &blackwell["devices"][0]["project"]),
        (&json!("BLACKWELL"), &json!("G525"))
    );
    assert!(blackwell["notProven"].to_string().contains("no nonce was given"));
    let revoked = decode(&place, &["hopper_evidence.json", "--revoked", "412921ce551e4eeda3"]).exits(4).json();
    assert_eq!(classes(&revoked), ["E_DEVICE_CHAIN"]);

    let plain = place.run(["decode", "nvidia-evidence", "hopper_evidence.json"]).exits(0).stdout;
    assert!(plain.contains("ok, the file's own") && plain.ends_with("1 device, 0 failures: valid\n"), "{plain}");
    let hopper: Json = serde_json::from_slice(&fs::read(place.path("hopper_evidence.json")).unwrap()).unwrap();
    let asked = hopper[0]["nonce"].as_str().unwrap();
    let plain = place.run(["decode", "nvidia-evidence", "hopper_evidence.json", "--nonce", asked]).exits(0);
    assert!(!plain.stdout.contains("the file's own"), "{}", plain.stdout);
    let plain = place.run(["decode", "nvidia-evidence", "multi_switch_ls10.json"]).exits(4).stdout;
    assert!(plain.ends_with("4 devices, 3 failures: INVALID\n"), "{plain}");
    assert!(
        plain.contains(
            "  E_DUPLICATE PDI 0x203eb31ad9ed0008 of multi_switch_ls10.json#2\n    expected: an id that no other device has\n    \
             observed: multi_switch_ls10.json#1 has it too\n"
        ),
        "{plain}"
    );
}

#[test]
fn a_sample_that_was_changed_fails() {
    let Some(place) = samples() else { return };
    let original: Json = serde_json::from_slice(&fs::read(place.path("hopper_evidence.json")).unwrap()).unwrap();
    let fails = |change: &dyn Fn(&mut Json), class: &str| {
        let mut changed = original.clone();
        change(&mut changed[0]);
        fs::write(place.path("changed.json"), changed.to_string()).unwrap();
        let document = decode(&place, &["changed.json"]).exits(4).json();
        assert_eq!(classes(&document)[0], class, "{}", document["failures"]);
    };
    fails(&|it| it["arch"] = json!("BLACKWELL"), "E_IDENTITY_CONFLICT");
    fails(&|it| it["vbios_version"] = json!("96.00.74.00.01"), "E_IDENTITY_CONFLICT");
    fails(&|it| it["driver_version"] = json!("590.13"), "E_IDENTITY_CONFLICT");
    fails(&|it| it["nonce"] = json!("11".repeat(32)), "E_NONCE");
    fails(&|it| it["evidence"] = json!("EeAB"), "E_DEVICE_CHAIN");
    fails(&|it| it["evidence"] = json!("?"), "E_FORMAT");
    fails(&|it| it["certificate"] = json!(BASE64_STANDARD.encode("no chain")), "E_DEVICE_CHAIN");
    let text = original.to_string();
    fs::write(place.path("cut.json"), &text[..text.len() / 2]).unwrap();
    assert_eq!(classes(&decode(&place, &["cut.json"]).exits(4).json()), ["E_FORMAT"]);
    fs::write(place.path("twice.json"), text.replacen("\"nonce\"", "\"arch\":\"HOPPER\",\"nonce\"", 1)).unwrap();
    assert_eq!(classes(&decode(&place, &["twice.json"]).exits(4).json()), ["E_FORMAT"]);
}

#[test]
fn a_device_under_another_root_needs_that_root() {
    let place = Place::new();
    let authority = Authority::new("TEST CA").unwrap();
    let identity =
        Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: "11223344556677aa".to_owned(), until_year: 9999 };
    let signer = authority.device(&identity).unwrap();
    let report = signer.report(&[7; 32], &Contents { measurements: 2, fields: Vec::new() }).unwrap();
    let evidence =
        json!({"evidences": [{"arch": "HOPPER", "certificate": signer.chain, "evidence": hex::encode(report)}]});
    fs::write(place.path("device.json"), evidence.to_string()).unwrap();
    fs::write(place.path("root.pem"), authority.root()).unwrap();
    let nonce = "07".repeat(32);
    let alone = decode(&place, &["device.json", "--nonce", &nonce]).exits(4).json();
    assert_eq!(classes(&alone), ["E_DEVICE_CHAIN"]);
    let trusted = decode(&place, &["device.json", "--nonce", &nonce, "--device-root", "root.pem"]).exits(0).json();
    assert_eq!((&trusted["devices"][0]["root"], &trusted["valid"]), (&json!("root.pem"), &json!(true)));
    let ran = decode(&place, &["device.json", "--device-root", "device.json"]).exits(2);
    assert!(ran.stderr.contains("hint: give the root certificate in PEM"), "{}", ran.stderr);
    let ran = decode(&place, &["device.json", "--nonce", "07"]).exits(2);
    assert!(ran.stderr.contains("64 hexadecimal digits"), "{}", ran.stderr);
}

/// A GPU under a root of its own: report and chain. The root is in the place.
fn device(place: &Place, authority: &Authority, pdi: &str) -> (Vec<u8>, String) {
    fs::write(place.path("root.pem"), authority.root()).unwrap();
    let identity = Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: pdi.to_owned(), until_year: 9999 };
    let signer = authority.device(&identity).unwrap();
    let report = signer.report(&[7; 32], &Contents { measurements: 2, fields: Vec::new() }).unwrap();
    (report, signer.chain)
}

#[test]
fn evidence_comes_in_many_forms() {
    let place = Place::new();
    let (report, chain) = device(&place, &Authority::new("TEST CA").unwrap(), "11223344556677aa");
    let lines = |text: String, end: &str| -> String {
        text.as_bytes().chunks(64).map(|line| format!("{}{end}", str::from_utf8(line).unwrap())).collect()
    };
    let verifies = |files: &[(&str, &[u8])]| {
        for (name, content) in files {
            fs::write(place.path(name), content).unwrap();
        }
        let names = files.iter().map(|(name, _)| *name);
        let ran = place.run(
            ["decode", "nvidia-evidence", "--format", "json", "--device-root", "root.pem"].into_iter().chain(names),
        );
        let document = ran.exits(0).json();
        assert_eq!(document["devices"][0]["pdi"], "0x11223344556677aa");
    };
    let digits = hex::encode(&report);
    let unpadded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&report);
    for text in [
        digits.clone(),
        digits.to_uppercase(),
        format!("0x{digits}\n"),
        lines(digits, "\r\n"),
        BASE64_STANDARD.encode(&report),
        lines(BASE64_STANDARD.encode(&report), "\n"),
        unpadded,
    ] {
        verifies(&[("report", text.as_bytes()), ("chain", chain.as_bytes())]);
        let entry = json!({"evidence": text, "certificate": chain});
        verifies(&[("one.json", entry.to_string().as_bytes())]);
        verifies(&[("list.json", json!([entry]).to_string().as_bytes())]);
    }
    let windows = format!("subject=CN = GH100\r\n{}", chain.replace('\n', "\r\n"));
    verifies(&[("chain", windows.as_bytes()), ("report", &report)]);
    let marked = format!("\u{feff}{chain}");
    for certificate in [BASE64_STANDARD.encode(&marked), marked] {
        let entry = json!({"evidence": hex::encode(&report), "certificate": certificate});
        verifies(&[("marked.json", entry.to_string().as_bytes())]);
    }
    let wrapped = lines(BASE64_STANDARD.encode(&chain), "\n");
    let entry = json!({"evidence": BASE64_STANDARD.encode(&report), "certificate": wrapped});
    let request = json!({"nonce": "07".repeat(32), "arch": "HOPPER", "evidence_list": [entry]});
    verifies(&[("request.json", format!("\u{feff}{request}").as_bytes())]);
    // A collection as NVIDIA's attestation SDK writes it since 2026, here with something else in it.
    let base64url = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let nonce = json!(["application/octet-stream", base64url(&[7; 32])]);
    let item = json!({
        "__cmwc_t": "tag:nvidia.com,2026:evidence-item/v1",
        "evidence": ["application/vnd.nvidia.spdm-measurement-transcript", base64url(&report)],
        "certificate": ["application/vnd.nvidia.pem-cert-chain", base64url(chain.as_bytes())],
        "nonce": nonce,
    });
    let other = json!({"__cmwc_t": "tag:nvidia.com,2026:reference/v1"});
    let kind = "tag:nvidia.com,2026:verifier-input/profiles/base/pre-1.0.0";
    let collection = json!({"__cmwc_t": kind, "nonce": nonce, "gpu_0": item, "corim_0": other});
    verifies(&[("collection.json", collection.to_string().as_bytes())]);
    verifies(&[("item.json", item.to_string().as_bytes())]);
    let mut stale = collection.clone();
    stale["gpu_0"].as_object_mut().unwrap().remove("nonce");
    stale["nonce"][1] = json!(base64url(&[8; 32]));
    fs::write(place.path("stale.json"), stale.to_string()).unwrap();
    let failed = decode(&place, &["stale.json", "--device-root", "root.pem"]).exits(4).json();
    assert_eq!((classes(&failed)[0], &failed["failures"][0]["expected"]), ("E_NONCE", &json!("08".repeat(32))));
    let nothing = json!({"__cmwc_t": kind, "corim_0": other});
    fs::write(place.path("nothing.json"), nothing.to_string()).unwrap();
    assert_eq!(classes(&decode(&place, &["nothing.json"]).exits(4).json()), ["E_FORMAT"]);
    // Nonce and architecture of the whole request count for each device in it.
    for (member, value, class) in
        [("nonce", "08".repeat(32), "E_NONCE"), ("arch", "BLACKWELL".to_owned(), "E_IDENTITY_CONFLICT")]
    {
        let mut changed = request.clone();
        changed[member] = json!(value);
        fs::write(place.path("request.json"), changed.to_string()).unwrap();
        let failed = decode(&place, &["request.json", "--device-root", "root.pem"]).exits(4).json();
        assert_eq!(classes(&failed)[0], class, "{}", failed["failures"]);
    }
}

#[test]
fn a_device_that_cannot_be_read_hides_no_other() {
    let place = Place::new();
    let authority = Authority::new("TEST CA").unwrap();
    let entry = |pdi: &str| {
        let (report, chain) = device(&place, &authority, pdi);
        json!({"evidence": hex::encode(report), "certificate": chain})
    };
    let (first, last) = (entry("11223344556677aa"), entry("11223344556677bb"));
    for (broken, observed) in [
        (json!(5), "does not have the expected fields"),
        (json!({"arch": "HOPPER"}), "missing field `certificate`"),
        (json!({"evidence": "zz", "certificate": ""}), "its evidence is neither hexadecimal nor base64"),
        (json!({"evidence": "11e", "certificate": ""}), "its evidence has an odd number of hexadecimal digits"),
        (json!({"evidence": "11e0", "certificate": "", "nonce": "07"}), "its nonce is not one of 32 bytes"),
    ] {
        fs::write(place.path("three.json"), json!([first, broken, last]).to_string()).unwrap();
        let document = decode(&place, &["three.json", "--device-root", "root.pem"]).exits(4).json();
        let devices: Vec<_> =
            document["devices"].as_array().unwrap().iter().map(|it| (&it["source"], &it["valid"])).collect();
        assert_eq!(json!(devices), json!([["three.json#1", true], ["three.json#3", true]]));
        let failures = document["failures"].as_array().unwrap();
        assert_eq!(
            (failures.len(), &failures[0]["class"], &failures[0]["what"]),
            (1, &json!("E_FORMAT"), &json!("three.json#2"))
        );
        assert!(failures[0]["observed"].as_str().unwrap().contains(observed), "{failures:?}");
    }
    fs::write(place.path("large.json"), vec![b' '; (8 << 20) + 1]).unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    let mut padded = first.clone();
    padded["certificate"] = json!(padded["certificate"].as_str().unwrap().to_owned() + &"\n".repeat(64 << 10));
    fs::write(place.path("padded.json"), padded.to_string()).unwrap();
    fs::write(place.path("last.json"), last.to_string()).unwrap();
    let files = ["large.json", "folder", "padded.json", "last.json", "--device-root", "root.pem"];
    let document = decode(&place, &files).exits(4).json();
    assert_eq!(classes(&document), ["E_FORMAT"; 3], "{document:#}");
    assert_eq!(document["failures"][0]["observed"], "more than 8388608 bytes");
    assert_eq!((&document["devices"][0]["source"], &document["devices"][1]), (&json!("last.json#1"), &Json::Null));
    decode(&place, &["last.json", "missing.json"]).exits(2);
}

#[test]
fn a_revoked_certificate_is_found_however_its_serial_number_is_written() {
    let place = Place::new();
    let (report, chain) = device(&place, &Authority::new("TEST CA").unwrap(), "11223344556677aa");
    let entry = json!({"evidence": hex::encode(report), "certificate": chain});
    fs::write(place.path("device.json"), entry.to_string()).unwrap();
    let run = |serial: &str| decode(&place, &["device.json", "--device-root", "root.pem", "--revoked", serial]);
    for serial in [
        "4111223344556677AA",
        "41:11:22:33:44:55:66:77:aa",
        "0x4111223344556677aa",
        "004111223344556677AA",
        " 41 11 22 33 44 55 66 77 aa",
        // The PDI as it is printed, and as other interfaces print it.
        "0x11223344556677aa",
        "aa77665544332211",
    ] {
        let document = run(serial).exits(4).json();
        assert_eq!(
            (classes(&document), &document["devices"][0]["steps"]["revocation"]),
            (vec!["E_DEVICE_CHAIN"], &json!(false))
        );
    }
    let other = run("41:11:22:33:44:55:66:77:ab").exits(0).json();
    assert_eq!(other["devices"][0]["steps"]["revocation"], true);
    assert!(other["notProven"].to_string().contains("revoked by anybody but the list that was given"), "{other:#}");
    for wrong in ["", " ", "xyz", "0x", "41-11"] {
        let ran = run(wrong).exits(2);
        assert!(ran.stderr.contains("1 to 64 hexadecimal digits"), "{}", ran.stderr);
    }
}

#[test]
fn a_report_without_its_chain_proves_nothing_and_says_nothing_of_firmware() {
    let place = Place::new();
    let (report, chain) = device(&place, &Authority::new("TEST CA").unwrap(), "11223344556677aa");
    for (name, content) in
        [("report", report.as_slice()), ("chain", chain.as_bytes()), ("null", b"null"), ("no", b"[]")]
    {
        fs::write(place.path(name), content).unwrap();
    }
    for (files, observed) in [
        (&["report"][..], "1 report and no chain"),
        (&["chain"], "no report and 1 chain"),
        (&["report", "chain", "report"], "2 reports and 1 chain"),
        (&["null"], "neither JSON, nor PEM, nor a measurement report"),
        (&["no"], "no device in it"),
    ] {
        let document = decode(&place, files).exits(4).json();
        assert_eq!(classes(&document), ["E_FORMAT"], "{document:#}");
        assert_eq!(document["failures"][0]["observed"], observed);
        assert_eq!((&document["devices"], &document["notProven"]), (&json!([]), &json!([])));
    }
}
