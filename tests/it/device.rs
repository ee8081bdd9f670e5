//! What NVIDIA's devices sign of themselves: NVIDIA's own samples, and chains of the same shape under a root of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use vgpu::attest::{Authority, Contents, Identity, Signer, vbios_field};
use yanji::attest::device::{
    self, Chain, Device, DeviceKind, Entry, EvidenceFile, Fleet, NVIDIA_DEVICE_IDENTITY_SHA256, Roots, SerialNumber,
    Terms, Unsigned, Verification, read,
};
use yanji::attest::verify::FailureClass;
use yanji::parse::spdm::{self, OpaqueField};

/// The samples are of 2025.
const NOW: &str = "2026-11-22T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn sample(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/attest").join(name);
    let bytes = fs::read(&path).ok();
    if bytes.is_none() {
        println!("skipped: no corpus ({name})");
    }
    bytes
}

fn entries(name: &str) -> Option<Vec<Entry>> {
    match read(&sample(name)?).unwrap() {
        EvidenceFile::Devices(devices) => Some(devices.into_iter().map(Result::unwrap).collect()),
        other => panic!("{other:?}"),
    }
}

fn devices(name: &str) -> Option<Vec<Device>> {
    Some(entries(name)?.iter().map(|it| Device::decode(&it.report, &it.chain).unwrap()).collect())
}

fn verify(device: &Device, roots: &Roots, nonce: Option<[u8; 32]>) -> Verification {
    device.verify(&Terms { roots, at: now(), revoked: &[], nonce })
}

fn compare(devices: &[&Device]) -> Fleet {
    compare_beside(devices, Unsigned::default())
}

fn compare_beside(devices: &[&Device], unsigned: Unsigned) -> Fleet {
    device::compare(&devices.iter().map(|device| ("a file", *device)).collect::<Vec<_>>(), unsigned)
}

fn classes(failures: &[yanji::attest::verify::Failure]) -> Vec<FailureClass> {
    failures.iter().map(|failure| failure.class).collect()
}

#[test]
fn nvidias_samples_verify() {
    let roots = Roots::default();
    for name in ["hopper_evidence.json", "switch_evidence_ls10.json", "gpu_evidence.json", "switch_evidence.json"] {
        let Some(entries) = entries(name) else { return };
        let devices: Vec<Device> = entries.iter().map(|it| Device::decode(&it.report, &it.chain).unwrap()).collect();
        for (device, entry) in devices.iter().zip(&entries) {
            let verified = verify(device, &roots, entry.nonce);
            assert!(verified.is_proven(), "{name}: {:?}", verified.failures);
            assert_eq!(verified.root.as_ref().map(|root| root.name.as_str()), Some("NVIDIA Device Identity CA"));
            let root = device.chain.certificates.last().unwrap();
            assert_eq!(
                (device.chain.certificates.len(), root.sha256.to_string().as_str()),
                (5, NVIDIA_DEVICE_IDENTITY_SHA256)
            );
            assert_eq!(root.not_after.to_string(), "9999-12-31T23:59:59Z");
            assert_eq!(device.architecture(), entry.architecture.as_deref());
            if let Some(version) = &entry.vbios_version {
                assert_eq!(device.report.vbios_version().as_ref(), Some(version));
            }
            let firmware = (device.identity().unwrap().0 == DeviceKind::Gpu).then_some(true);
            assert_eq!(verified.steps.firmware, firmware, "{name}");
        }
        let fleet = compare(&devices.iter().collect::<Vec<_>>());
        assert_eq!(fleet.failures, [], "{name}");
        assert_eq!(fleet.topology, None, "{name}");
    }
}

#[test]
fn the_root_is_the_one_of_nvidias_verifier() {
    let Some(pem) = sample("nvidia_device_identity_root.pem") else { return };
    let mut roots = Roots::default();
    roots.add("the sample", &pem).unwrap();
    let [built_in, given]: [_; 2] = roots.iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(built_in.certificate, given.certificate);
}

#[test]
fn a_hopper_board_names_itself_in_its_report() {
    let Some(devices) = devices("hopper_evidence.json") else { return };
    let [hopper] = devices.as_slice() else { panic!() };
    let report = &hopper.report;
    assert_eq!(hopper.label(), "gpu 0x2921ce551e4eeda3");
    assert_eq!(report.vbios_version().unwrap(), "96.00.A5.00.01");
    assert_eq!(report.board_id(), Some(0x437));
    let texts = [spdm::CHIP_SKU, spdm::PROJECT, spdm::PROJECT_SKU, spdm::DRIVER_VERSION].map(|kind| report.text(kind));
    assert_eq!(texts, [Some("885"), Some("G520"), Some("0200"), Some("590.12")]);
    assert_eq!(report.measurements.len(), 64);
    assert!(report.measurements.iter().all(|it| it.value.len() == 48));
}

#[test]
fn a_blackwell_report_and_its_chain_are_two_files() {
    let (Some(report), Some(chain)) = (sample("blackwellAttestationReport.txt"), sample("blackwellCertChain.txt"))
    else {
        return;
    };
    let (EvidenceFile::Report(report), EvidenceFile::Chain(chain)) = (read(&report).unwrap(), read(&chain).unwrap())
    else {
        panic!()
    };
    assert_eq!(read(&report).unwrap(), EvidenceFile::Report(report.clone()), "binary");
    let blackwell = Device::decode(&report, &chain).unwrap();
    let verified = verify(&blackwell, &Roots::default(), None);
    assert_eq!((verified.failures.as_slice(), verified.steps.nonce), (&[][..], None));
    assert!(!verified.is_proven(), "nobody knows the nonce");
    assert_eq!((blackwell.architecture(), blackwell.chain.chip()), (Some("BLACKWELL"), Some("GB100")));
    assert_eq!(blackwell.report.vbios_version().unwrap(), "97.00.88.00.0F");
    assert_eq!(blackwell.report.text(spdm::PROJECT), Some("G525"));
}

#[test]
fn a_switch_that_is_there_four_times_is_a_duplicate() {
    let Some(devices) = devices("multi_switch_ls10.json") else { return };
    let fleet = compare(&devices.iter().collect::<Vec<_>>());
    assert_eq!(classes(&fleet.failures), [FailureClass::Duplicate; 3]);
    assert!(fleet.failures[0].what.contains("0x50203eb31ad9ed0008".trim_start_matches("0x50")), "{:?}", fleet.failures);
}

#[test]
fn gpus_and_switches_of_a_board_name_each_other() {
    let (Some(gpus), Some(switches)) = (devices("gpu_evidence.json"), devices("switch_evidence.json")) else { return };
    let all: Vec<&Device> = gpus.iter().chain(&switches).collect();
    let fleet = compare(&all);
    assert_eq!((fleet.failures.as_slice(), fleet.topology), (&[][..], Some(true)));
    assert_eq!(fleet.not_proven, [""; 0]);
    // One GPU of the board is not shown.
    let fleet = compare(&all[1..]);
    assert_eq!((classes(&fleet.uneven), fleet.failures.len()), (vec![FailureClass::IdentityConflict; 4], 0));
    assert_eq!(fleet.topology, Some(false));
    // A switch of another board.
    let Some(foreign) = devices("switch_evidence_ls10.json") else { return };
    let fleet = compare(&all.iter().copied().chain(&foreign).collect::<Vec<_>>());
    assert_eq!((classes(&fleet.failures), fleet.uneven.len()), (vec![FailureClass::IdentityConflict], 8));
}

#[test]
fn no_byte_of_nonce_or_signature_can_change() {
    let Some(entries) = entries("hopper_evidence.json") else { return };
    let entry = &entries[0];
    let roots = Roots::default();
    let length = entry.report.len();
    for at in (4..36).chain(length - 96..length).chain((45..length - 96).step_by(97)) {
        let mut report = entry.report.clone();
        report[at] ^= 1;
        let Ok(device) = Device::decode(&report, &entry.chain) else { continue };
        let verified = verify(&device, &roots, entry.nonce);
        assert_eq!(verified.steps.signature, Some(false), "byte {at}");
        assert_eq!(verified.steps.nonce, Some(!(4..36).contains(&at)), "byte {at}");
        assert!(!verified.is_proven());
    }
}

/// NVIDIA's parser printed a Hopper report that is not among the samples. Its bytes are put together again from what it
/// printed; the length of the opaque data is NVIDIA's.
#[test]
fn the_parser_reads_what_nvidias_parser_prints() {
    let Some(text) = sample("hopper_spdm_parsed_output.txt") else { return };
    let text = String::from_utf8(text).unwrap();
    let printed: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(" = ")).collect();
    let number = |field: &str| -> usize {
        let value = printed[format!("SpdmMeasurementResponseMessage.{field}").as_str()];
        value.strip_prefix("0x").map_or_else(|| value.parse().unwrap(), |hex| usize::from_str_radix(hex, 16).unwrap())
    };
    let bytes = |field: &str| -> Vec<u8> {
        hex::decode(&printed[format!("SpdmMeasurementResponseMessage.{field}").as_str()][2..]).unwrap()
    };
    let mut report = [&[0x11, 0xe0, 1, 0xff][..], &[7; 32], &[0]].concat();
    report.extend(
        ["SPDMVersion", "RequestResponseCode", "Param1", "Param2", "NumberOfBlocks"].map(|it| number(it) as u8),
    );
    report.extend(&number("MeasurementRecordLength").to_le_bytes()[..3]);
    let blocks = number("MeasurementRecord.NumberOfBlocks");
    let block =
        |index: usize, field: &str| format!("MeasurementRecord.MeasurementBlocks[{index}].DMTFSpecMeasurement{field}");
    for index in 1..=blocks {
        let value = bytes(&block(index, "Value"));
        let size = number(&block(index, "ValueSize")) as u16;
        report.extend([index as u8, 1]);
        report.extend((size + 3).to_le_bytes());
        report.push(number(&block(index, "ValueType")) as u8);
        report.extend(size.to_le_bytes());
        report.extend(value);
    }
    report.extend(bytes("Nonce"));
    report.extend((number("OpaqueLength") as u16).to_le_bytes());
    let mut fields: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.split_once("OPAQUE_FIELD_ID_").map(|(_, rest)| rest) else { continue };
        let (name, rest) = rest.split_once("']").unwrap();
        let value = rest.split_once("= ").unwrap().1;
        let field = fields.entry(name.to_owned()).or_default();
        match value.strip_prefix("0x") {
            Some(digits) => field.extend(hex::decode(digits).unwrap()),
            None => field.extend(value.parse::<u32>().unwrap().to_le_bytes()),
        }
    }
    for (name, value) in &fields {
        let kind = (0..256).find(|&kind| OpaqueField { kind, value: Vec::new() }.name() == Some(name)).unwrap();
        report.extend(kind.to_le_bytes());
        report.extend((value.len() as u16).to_le_bytes());
        report.extend(value);
    }
    report.extend(bytes("Signature"));

    let parsed = spdm::parse(&report).unwrap();
    assert_eq!(parsed.measurements.len(), blocks);
    for (measurement, index) in parsed.measurements.iter().zip(1..) {
        assert_eq!(
            (measurement.index as usize, measurement.value_type as usize),
            (index, number(&block(index, "ValueType")))
        );
        assert_eq!(measurement.value, bytes(&block(index, "Value")));
    }
    assert_eq!(parsed.device_nonce.to_vec(), bytes("Nonce"));
    assert_eq!(parsed.signature.to_vec(), bytes("Signature"));
    let read: BTreeMap<String, Vec<u8>> =
        parsed.opaque.iter().map(|field| (field.name().unwrap().to_owned(), field.value.clone())).collect();
    assert_eq!(read, fields);
    assert_eq!(parsed.vbios_version().unwrap(), "96.00.9F.00.01");
    assert_eq!((parsed.text(spdm::PROJECT), parsed.text(spdm::CHIP_SKU)), (Some("1010"), Some("882")));
    assert_eq!(parsed.board_id(), Some(0x3b1));
}

const PDI: &str = "2921ce551e4eeda3";

fn gpu(pdi: &str) -> Identity {
    Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: pdi.to_owned(), until_year: 9999 }
}

fn switch(pdi: &str) -> Identity {
    Identity { chip: "LS_10".to_owned(), kind: 0x50, pdi: pdi.to_owned(), until_year: 9999 }
}

fn contents(fields: &[(u16, Vec<u8>)]) -> Contents {
    let mut all = vec![(spdm::VBIOS_VERSION, vbios_field("96.00.A5.00.01").unwrap())];
    all.extend_from_slice(fields);
    Contents { measurements: 64, fields: all }
}

fn signed(signer: &Signer, nonce: [u8; 32], fields: &[(u16, Vec<u8>)]) -> Device {
    Device::decode(&signer.report(&nonce, &contents(fields)).unwrap(), signer.chain.as_bytes()).unwrap()
}

fn roots(authority: &Authority) -> Roots {
    let mut roots = Roots::default();
    roots.add("the test's", authority.root().as_bytes()).unwrap();
    roots
}

#[test]
fn each_thing_that_can_be_wrong_with_a_device_has_its_class() {
    let (authority, other) = (Authority::new("TEST CA").unwrap(), Authority::new("OTHER CA").unwrap());
    let roots = roots(&authority);
    let signer = authority.device(&gpu(PDI)).unwrap();
    let good = signed(&signer, [7; 32], &[]);
    let verified = verify(&good, &roots, Some([7; 32]));
    assert!(verified.is_proven(), "{:?}", verified.failures);
    assert_eq!(verified.root.as_ref().map(|root| root.name.as_str()), Some("the test's"));
    assert_eq!((good.label(), good.architecture()), (format!("gpu 0x{PDI}"), Some("HOPPER")));

    let fails = |verified: &Verification, class: FailureClass, what: &str| {
        assert_eq!(classes(&verified.failures), [class], "{:?}", verified.failures);
        assert!(verified.failures[0].what.ends_with(what), "{:?}", verified.failures);
        assert!(!verified.is_proven());
    };
    fails(&verify(&good, &roots, Some([8; 32])), FailureClass::Nonce, "nonce");
    fails(&verify(&good, &Roots::default(), Some([7; 32])), FailureClass::DeviceChain, "chain");
    let forged = signed(&other.device(&gpu(PDI)).unwrap(), [7; 32], &[]);
    fails(&verify(&forged, &roots, Some([7; 32])), FailureClass::DeviceChain, "chain");

    let at = |time: &str| Terms { roots: &roots, at: time.parse().unwrap(), revoked: &[], nonce: Some([7; 32]) };
    let old = signed(&authority.device(&Identity { until_year: 2025, ..gpu(PDI) }).unwrap(), [7; 32], &[]);
    assert!(old.verify(&at("2024-06-01T00:00:00Z")).is_proven());
    fails(&old.verify(&at(NOW)), FailureClass::DeviceChain, "validity");
    fails(&good.verify(&at("2020-01-01T00:00:00Z")), FailureClass::DeviceChain, "validity");

    assert_eq!(good.chain.certificates[1].serial, format!("41{PDI}").to_uppercase());
    let revoked = [SerialNumber::parse(&format!("41{PDI}")).unwrap()];
    let terms = Terms { revoked: &revoked, ..at(NOW) };
    fails(&good.verify(&terms), FailureClass::DeviceChain, "revocation");

    // Whoever sends a chain need not send the root at its end, which has to stand all the same.
    let rootless = |signer: &Signer| {
        let (sent, _) = signer.chain.split_at(signer.chain.rfind("-----BEGIN").unwrap());
        Device::decode(&signer.report(&[7; 32], &contents(&[])).unwrap(), sent.as_bytes()).unwrap()
    };
    let root = roots.iter().last().unwrap();
    assert!(verify(&rootless(&signer), &roots, Some([7; 32])).is_proven());
    let revoked = [SerialNumber::parse(&root.certificate.serial).unwrap()];
    let terms = Terms { revoked: &revoked, ..at(NOW) };
    fails(&rootless(&signer).verify(&terms), FailureClass::DeviceChain, "revocation");
    let expired = Authority::until("EXPIRED CA", 2025).unwrap();
    let device = rootless(&expired.device(&gpu(PDI)).unwrap());
    let over = verify(&device, &self::roots(&expired), Some([7; 32]));
    fails(&over, FailureClass::DeviceChain, "validity");
    assert!(over.failures[0].observed.starts_with("CN=EXPIRED CA"), "{:?}", over.failures);

    // The same root, but another device's certificates behind the leaf.
    let second = authority.device(&gpu("0123456789abcdef")).unwrap();
    let (leaf, _) = signer.chain.split_at(signer.chain.find("-----END").unwrap() + 26);
    let (_, above) = second.chain.split_at(second.chain.find("-----END").unwrap() + 26);
    let report = signer.report(&[7; 32], &contents(&[])).unwrap();
    let spliced = Device::decode(&report, [leaf, above].concat().as_bytes()).unwrap();
    fails(&verify(&spliced, &roots, Some([7; 32])), FailureClass::DeviceChain, "chain");
    // Both: the path leads past the certificate in the second place, which names the device.
    let (_, own) = signer.chain.split_at(signer.chain.find("-----END").unwrap() + 26);
    let (named, _) = above.split_at(above.find("-----END").unwrap() + 26);
    let padded = Device::decode(&report, [leaf, named, own].concat().as_bytes()).unwrap();
    assert_eq!(padded.label(), "gpu 0x0123456789abcdef");
    fails(&verify(&padded, &roots, Some([7; 32])), FailureClass::DeviceChain, "chain");
    // A genuine chain under a report that another device signed.
    let relayed = Device::decode(&report, second.chain.as_bytes()).unwrap();
    fails(&verify(&relayed, &roots, Some([7; 32])), FailureClass::DeviceChain, "signature");

    let own = hex::decode(PDI).unwrap();
    let sw = authority.device(&switch(PDI)).unwrap();
    assert!(verify(&signed(&sw, [7; 32], &[(spdm::DEVICE_PDI, own)]), &roots, Some([7; 32])).is_proven());
    let lying = signed(&sw, [7; 32], &[(spdm::DEVICE_PDI, vec![1; 8])]);
    fails(&verify(&lying, &roots, Some([7; 32])), FailureClass::IdentityConflict, "identity");
    let nameless = authority.device(&Identity { kind: 0x42, ..gpu(PDI) }).unwrap();
    fails(&verify(&signed(&nameless, [7; 32], &[]), &roots, Some([7; 32])), FailureClass::IdentityConflict, "identity");
    let mut unsigned = contents(&[]);
    unsigned.fields.insert(0, (spdm::FWID, vec![2; 48]));
    let report = signer.report(&[7; 32], &unsigned).unwrap();
    let patched = Device::decode(&report, signer.chain.as_bytes()).unwrap();
    fails(&verify(&patched, &roots, Some([7; 32])), FailureClass::DeviceChain, "firmware");
}

#[test]
fn lists_of_the_fabric_must_name_exactly_the_devices_that_are_there() {
    let authority = Authority::new("TEST CA").unwrap();
    let (one, two, fabric) = ("11223344556677aa", "11223344556677bb", "99aabbccddeeff00");
    let reversed = |pdi: &str| hex::decode(pdi).unwrap().into_iter().rev().collect::<Vec<u8>>();
    let at_switch = |pdis: &[&str]| {
        let mut list: Vec<u8> = pdis.iter().flat_map(|pdi| hex::decode(pdi).unwrap()).collect();
        list.resize(64, 0xff);
        list.extend([0; 64]);
        vec![(spdm::DEVICE_PDI, hex::decode(fabric).unwrap()), (spdm::SWITCH_GPU_PDIS, list)]
    };
    let device =
        |identity: &Identity, fields: &[(u16, Vec<u8>)]| signed(&authority.device(identity).unwrap(), [7; 32], fields);
    let links = [(spdm::DEVICE_PDI, [reversed(fabric), reversed(fabric)].concat())];
    let (first, second) = (device(&gpu(one), &links), device(&gpu(two), &links));
    let sw = device(&switch(fabric), &at_switch(&[one, two]));
    let fleet = compare(&[&first, &second, &sw]);
    assert_eq!((fleet.failures.as_slice(), fleet.topology), (&[][..], Some(true)));
    let other = device(&switch(fabric), &at_switch(&[one, "00000000000000cc"]));
    let fleet = compare(&[&first, &second, &other]);
    assert_eq!(classes(&fleet.failures), [FailureClass::IdentityConflict]);
    assert_eq!(fleet.failures[0].observed, "0x00000000000000cc 0x11223344556677aa");
    // A GPU that is there and did not sign may be the one of the list.
    let silent = Unsigned { gpus: 1, switches: 0 };
    let fleet = compare_beside(&[&first, &second, &other], silent);
    assert_eq!((fleet.failures.as_slice(), fleet.uneven.len(), fleet.topology), (&[][..], 1, Some(false)));
    let fleet = compare_beside(&[&first, &sw], silent);
    assert_eq!((fleet.failures.as_slice(), fleet.uneven.as_slice(), fleet.topology), (&[][..], &[][..], Some(true)));
    assert_eq!(fleet.not_proven.len(), 1, "{:?}", fleet.not_proven);
    // A GPU that lists nothing is not at fault.
    let silent = device(&gpu(two), &[]);
    let fleet = compare(&[&first, &silent, &sw]);
    assert_eq!((fleet.failures.as_slice(), fleet.topology, fleet.not_proven.len()), (&[][..], Some(true), 1));
    // Without a switch's evidence the lists of the GPUs are held against each other.
    let third = "11223344556677cc";
    let at = |pdi: &str, switches: &[&str]| {
        device(&gpu(pdi), &[(spdm::DEVICE_PDI, switches.iter().flat_map(|it| reversed(it)).collect())])
    };
    let (a, b, c) = ("00000000000000a1", "00000000000000b1", "00000000000000c1");
    let [ab, bc, ca] = [at(one, &[a, b]), at(two, &[b, c]), at(third, &[c, a])];
    assert_eq!(compare(&[&ab, &ca]).apart, []);
    // Two that share none hang together by a third, in whatever order.
    let [only_a, only_c] = [at(one, &[a]), at(third, &[c])];
    assert_eq!(compare(&[&only_a, &at(two, &[a, c]), &only_c]).apart, []);
    assert_eq!(compare(&[&only_a, &only_c, &at(two, &[a, c])]).apart, []);
    let stranger = at(third, &[fabric]);
    for order in [[&ab, &bc, &stranger], [&stranger, &ab, &bc]] {
        let fleet = compare(&order);
        assert_eq!((classes(&fleet.apart), fleet.failures.len()), (vec![FailureClass::IdentityConflict], 0));
        assert!(fleet.apart[0].what.contains(third), "{:?}", fleet.apart);
        assert_eq!(fleet.apart[0].observed, "0x99aabbccddeeff00");
        assert_eq!(
            fleet.apart[0].expected,
            "one that the other GPUs name: 0x00000000000000a1 0x00000000000000b1 0x00000000000000c1"
        );
    }
    // The same chip with another key, as after new firmware.
    let again = device(&gpu(one), &links);
    let fleet = compare(&[&first, &again]);
    assert_eq!(classes(&fleet.failures), [FailureClass::Duplicate]);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0usize..4300, at in 0usize..4300, to: u8) {
        _ = spdm::parse(&bytes);
        _ = Chain::parse(&bytes);
        _ = read(&bytes);
        if let Some(entries) = entries("hopper_evidence.json") {
            let mut report = entries[0].report.clone();
            if let Some(byte) = report.get_mut(at) { *byte = to; }
            report.truncate(cut);
            _ = spdm::parse(&report);
            let mut chain = entries[0].chain.clone();
            if let Some(byte) = chain.get_mut(at) { *byte = to; }
            if let Ok(device) = Device::decode(&entries[0].report, &chain) {
                _ = (device.identity(), device.switches(), device.gpus(), device.label());
            }
        }
    }
}
