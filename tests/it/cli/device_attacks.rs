//! Attacks on what GPUs sign of themselves: `certify` on rigs of the virtual driver, then a seller who has his key.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value as Json, json};
use vgpu::attest::{Authority, Contents, Identity};
use vgpu::launch::Machine;
use yanji::attest::device::{DeviceEvidence, Phase, Roots, Via};
use yanji::attest::envelope::Envelope;
use yanji::attest::key::Key;
use yanji::attest::statement::{Inline, Statement, part_subject};

use super::certify::TINY_PROFILE;
use super::{Place, Ran};

/// Two GPUs that sign.
const HONEST: &str = "
[[gpu]]
like = \"h100-sxm\"
count = 2
confidential_compute = { attest = true }
";
const FIRST: &str = "gpu:0000:17:00.0";

/// A certified machine: `report` in the place, and the root that vouches for its GPUs.
struct Attested {
    place: Place,
    certified: Json,
}

impl Attested {
    fn new(rig: &str) -> Self {
        let this = Self { place: Place::new(), certified: Json::Null };
        let certified = this.certify(rig, "report", &[]);
        Self { certified, ..this }
    }

    /// Certifies the rig into that folder. `dmi` are files that say which machine it is.
    fn certify(&self, rig: &str, out: &str, dmi: &[(&str, &str)]) -> Json {
        let text =
            format!("title = \"x\"\nabout = \"x\"\nexpect.failure = true\ndriver.confidential_compute = true\n{rig}");
        let machine = Machine::of(&text).unwrap();
        let folder = machine.root().join("sys/class/dmi/id");
        fs::create_dir_all(&folder).unwrap();
        for (file, content) in dmi {
            fs::write(folder.join(file), format!("{content}\n")).unwrap();
        }
        fs::write(self.place.path("tiny.toml"), TINY_PROFILE).unwrap();
        // Only where a GPU signs.
        if machine.device_root().exists() {
            fs::copy(machine.device_root(), self.place.path("root.pem")).unwrap();
        }
        let yanji = self.place.command([""; 0]);
        let mut command = machine.command(Path::new(yanji.get_program()));
        command.args(["certify", "--out", out, "--profile", "tiny.toml", "--format", "json"]);
        command.current_dir(self.place.path(""));
        for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            let value = yanji.get_envs().find(|(name, _)| *name == variable).unwrap().1.unwrap();
            command.env(variable, value);
        }
        let ran = Ran::from(command.output().unwrap());
        assert!(matches!(ran.code, 1 | 3), "{}\n{}", ran.stdout, ran.stderr);
        ran.json()
    }

    fn statement(&self, folder: &str) -> Statement {
        let envelope = fs::read(self.place.path(folder).join("report.dsse.json")).unwrap();
        serde_json::from_slice(&Envelope::parse(&envelope).unwrap().payload).unwrap()
    }

    /// The report with another statement, signed as the seller signs.
    fn forge(&self, statement: &Statement) {
        let key = Key::load(&self.place.path("data/yanji/key.pem"), None).unwrap();
        let envelope = Envelope::sign(statement.to_json().unwrap(), &key).to_json();
        fs::write(self.place.path("report/report.dsse.json"), envelope).unwrap();
    }

    fn verify(&self, reports: &[&str]) -> Ran {
        let options = ["verify", "--format", "json", "--device-root", "root.pem"];
        self.place.run(options.iter().chain(reports))
    }

    /// Changes the evidence of devices; the verifier must refuse it with that class.
    #[track_caller]
    fn refuses(&self, change: impl FnOnce(&mut Vec<DeviceEvidence>), class: &str, what: &str) {
        let mut statement = self.statement("report");
        change(&mut statement.predicate.device_evidence);
        self.forge(&statement);
        refused(&self.verify(&["report"]).exits(4).json(), class, what);
    }
}

#[track_caller]
fn refused(verified: &Json, class: &str, what: &str) {
    let failure = &verified["reports"][0]["failures"][0];
    assert_eq!(failure["class"], class, "{verified}");
    assert!(failure["what"].as_str().unwrap().contains(what), "{failure}");
}

/// An honest report; made once, since a burn-in takes seconds.
fn honest() -> Attested {
    static MADE: OnceLock<Attested> = OnceLock::new();
    let made = MADE.get_or_init(|| Attested::new(HONEST));
    let place = Place::new();
    super::copy(&made.place.path(""), &place.path(""));
    Attested { place, certified: made.certified.clone() }
}

fn outcome<'a>(certified: &'a Json, rule: &str) -> Vec<&'a str> {
    let checks = certified["inspection"]["checks"].as_array().unwrap();
    let of_rule = checks.iter().filter(|check| check["id"] == rule);
    of_rule.map(|check| check["status"].as_str().unwrap()).collect()
}

#[test]
fn gpus_that_sign_this_session_have_a_proven_identity() {
    let attested = honest();
    let statement = attested.statement("report");
    let evidence = &statement.predicate.device_evidence;
    let phases: Vec<(&str, Phase)> = evidence.iter().map(|it| (it.part.as_str(), it.phase)).collect();
    let second = phases[1].0;
    assert_eq!(phases, [(FIRST, Phase::Start), (second, Phase::Start), (FIRST, Phase::End), (second, Phase::End)]);
    for rule in ["gpu.attestation-mismatch", "gpu.attestation-pdi-mismatch", "gpu.attestation-vbios-mismatch"] {
        assert_eq!(outcome(&attested.certified, rule), ["clear", "clear"], "{rule}");
    }
    let verified = attested.verify(&["report"]).exits(3).json();
    let report = &verified["reports"][0];
    let claims = report["claims"].as_array().unwrap().iter().map(|it| (&it["claim"], &it["level"]));
    let claims: Vec<_> = claims.filter(|(claim, _)| claim.to_string().to_lowercase().contains("gpu")).collect();
    assert_eq!(json!(claims), json!([[format!("identity of {FIRST}"), "L2"], [format!("identity of {second}"), "L2"]]));
    let reason = report["claims"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("(start and end); root.pem vouches for it"), "{reason}");
    assert_eq!(report["warnings"][0]["class"], "W_MEASUREMENT_UNKNOWN");
    assert!(report["notProven"].to_string().contains("revocation was not looked up"), "{report}");
}

#[test]
fn attack_a_forged_chain() {
    let attested = honest();
    let verified = attested.place.run(["verify", "report", "--format", "json"]).exits(4).json();
    refused(&verified, "E_DEVICE_CHAIN", "chain");
    // Another root for the same name.
    let other = Authority::new("TEST Device Identity CA").unwrap();
    fs::write(attested.place.path("root.pem"), other.root()).unwrap();
    refused(&attested.verify(&["report"]).exits(4).json(), "E_DEVICE_CHAIN", "chain");
}

#[test]
fn attack_a_relayed_genuine_gpu() {
    let nonce = "ab".repeat(32);
    let rig = HONEST.replace("attest = true", &format!("attest = true, stale_nonce = \"{nonce}\""));
    let attested = Attested::new(&rig);
    let verified = attested.verify(&["report"]).exits(4).json();
    refused(&verified, "E_NONCE", "start");
    assert_eq!(verified["reports"][0]["failures"][0]["observed"], nonce);
}

#[test]
fn attack_evidence_of_another_session_spliced_in() {
    let attested = honest();
    let other = Attested::new(HONEST);
    let theirs = other.statement("report").predicate.device_evidence;
    attested.refuses(|evidence| *evidence = theirs.clone(), "E_NONCE", "nonce of the statement");
    // With the nonces of this session written beside it.
    let attested = honest();
    attested.refuses(
        |evidence| {
            for (own, their) in evidence.iter_mut().zip(&theirs) {
                *own = DeviceEvidence { nonce: own.nonce, ..their.clone() };
            }
        },
        "E_NONCE",
        "nonce",
    );
}

#[test]
fn attack_one_gpu_signs_for_another() {
    let attested = honest();
    attested.refuses(
        |evidence| {
            let (report, chain) = (evidence[0].report.clone(), evidence[0].cert_chain.clone());
            (evidence[1].report, evidence[1].cert_chain) = (report, chain);
        },
        "E_NONCE",
        "nonce",
    );
    let attested = honest();
    attested.refuses(|evidence| evidence[3].part = "gpu:0000:99:00.0".to_owned(), "E_NONCE", "gpu:0000:99:00.0");
}

#[test]
fn attack_the_end_is_signed_by_another_chip() {
    let attested = honest();
    let mut pdi = String::new();
    let sign = |pdi: &str, nonce: &[u8; 32]| {
        let identity = Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: pdi.to_owned(), until_year: 9999 };
        let signer = Authority::of_process().unwrap().device(&identity).unwrap();
        let report = signer.report(nonce, &Contents { measurements: 1, fields: Vec::new() }).unwrap();
        (Inline(report), Inline(signer.chain.into_bytes()))
    };
    let verified = attested.verify(&["report"]).exits(3).json();
    let reason = verified["reports"][0]["claims"][0]["reason"].as_str().unwrap().to_owned();
    pdi.push_str(&reason[reason.find("0x").unwrap() + 2..][..16]);
    attested.refuses(
        |evidence| (evidence[2].report, evidence[2].cert_chain) = sign(&pdi, evidence[2].nonce.as_bytes()),
        "E_IDENTITY_CONFLICT",
        "device at the end",
    );
    let attested = honest();
    attested.refuses(
        |evidence| {
            (evidence[2].report, evidence[2].cert_chain) = sign("00000000000000aa", evidence[2].nonce.as_bytes())
        },
        "E_IDENTITY_CONFLICT",
        "PDI",
    );
}

#[test]
fn attack_evidence_stripped() {
    let attested = honest();
    attested.refuses(Vec::clear, "E_DEVICE_CHAIN", "start: device evidence");
    let attested = honest();
    attested.refuses(|evidence| _ = evidence.remove(0), "E_DEVICE_CHAIN", FIRST);
    // Without its end nobody knows whether the GPU that was looked at is the one that was burned in.
    let attested = honest();
    let mut statement = attested.statement("report");
    statement.predicate.device_evidence.truncate(2);
    attested.forge(&statement);
    let verified = attested.verify(&["report"]).exits(3).json();
    let report = &verified["reports"][0];
    assert_eq!(report["indeterminate"][0]["class"], "E_DEVICE_CHAIN", "{report}");
    assert_eq!(report["claims"][0]["level"], "L0", "{report}");
}

#[test]
fn attack_every_device_byte_counts() {
    let attested = honest();
    let length = attested.statement("report").predicate.device_evidence[0].report.0.len();
    for at in [4, 35, 40, 60, length - 96, length - 1] {
        let attested = honest();
        attested.refuses(|evidence| evidence[2].report.0[at] ^= 1, "E_DEVICE_CHAIN", "signature");
    }
}

#[test]
fn attack_a_gpu_that_is_not_the_one_that_nvml_tells_of() {
    let rig = HONEST
        .replace("count = 2", "")
        .replace("attest = true", "attest = true, pdi = \"00000000000000aa\", vbios_version = \"96.00.A5.00.01\"");
    let attested = Attested::new(&rig);
    refused(&attested.verify(&["report"]).exits(4).json(), "E_IDENTITY_CONFLICT", "PDI");
    for rule in ["gpu.attestation-pdi-mismatch", "gpu.attestation-vbios-mismatch"] {
        assert_eq!(outcome(&attested.certified, rule), ["fires"], "{rule}");
    }
}

#[test]
fn attack_a_chip_whose_registers_name_another_than_nvml_does() {
    let rig = "
[[gpu]]
like = \"a100-sxm-80gb\"
pdi = \"4917e5a9bae974c7\"
";
    let verify = |attested: &Attested| attested.place.run(["verify", "--format", "json", "report"]);
    let same = verify(&Attested::new(rig));
    assert!(!same.stdout.contains("E_IDENTITY_CONFLICT"), "{}", same.stdout);
    let shimmed = Attested::new(&format!("{rig}[gpu.tree]\npdi = \"4917e5a9bae974c8\"\n"));
    assert_eq!(outcome(&shimmed.certified, "gpu.sources-disagree"), ["fires"]);
    let verified = verify(&shimmed).exits(4).json();
    refused(&verified, "E_IDENTITY_CONFLICT", "PDI");
    let failure = &verified["reports"][0]["failures"][0];
    assert_eq!(failure["expected"], "0x4917e5a9bae974c7, as NVML says");
    assert_eq!(failure["observed"], "0x4917e5a9bae974c8 in the chip's registers");
}

#[test]
fn attack_a_gpu_of_another_board_that_signs_through_a_relay() {
    // Its report is fresh and its PDI that which a shim of NVML tells; but it names the switches of its own board.
    let gpu = |address: &str, pdi: &str, switch: &str| {
        format!(
            "[[gpu]]\nlike = \"h100-sxm\"\npdi = \"{pdi}\"\npci = {{ address = \"{address}\" }}\n\
             confidential_compute = {{ attest = true, switches = [\"{switch}\"] }}\n"
        )
    };
    let rig = gpu("0000:17:00.0", "11223344556677aa", "00000000000000a1")
        + &gpu("0000:27:00.0", "11223344556677bb", "00000000000000a1")
        + &gpu("0000:37:00.0", "11223344556677cc", "00000000000000c1");
    let attested = Attested::new(&rig);
    let verified = attested.verify(&["report"]).exits(3).json();
    let open = &verified["reports"][0]["indeterminate"];
    assert_eq!((open.as_array().unwrap().len(), &open[0]["class"]), (1, &json!("E_IDENTITY_CONFLICT")), "{open}");
    assert_eq!(open[0]["observed"], "0x00000000000000c1");
    assert_eq!(open[0]["expected"], "one that the other GPUs name: 0x00000000000000a1");
    assert!(open[0]["what"].as_str().unwrap().contains("0x11223344556677cc"), "{open}");
}

#[test]
fn attack_one_chip_as_two_gpus() {
    let rig = "
[[gpu]]
like = \"h100-sxm\"
pdi = \"00000000000000aa\"
confidential_compute = { attest = true }
[[gpu]]
like = \"h100-sxm\"
pci = { address = \"0000:aa:00.0\" }
pdi = \"00000000000000aa\"
confidential_compute = { attest = true }
";
    let attested = Attested::new(rig);
    let verified = attested.verify(&["report"]).exits(4).json();
    refused(&verified, "E_DUPLICATE", "PDI 0x00000000000000aa of gpu:0000:aa:00.0");
    let failures = verified["reports"][0]["failures"].as_array().unwrap();
    assert_eq!((failures.len(), &failures[0]["observed"]), (1, &json!(format!("{FIRST} has it too"))), "{failures:?}");
}

#[test]
fn attack_one_chip_in_two_machines() {
    let attested = Attested { place: Place::new(), certified: Json::Null };
    for (out, uuid, gpu) in [
        ("one", "11111111-2222-3333-4444-555555555555", "GPU-11111111-0000-0000-0000-000000000001"),
        ("two", "99999999-2222-3333-4444-555555555555", "GPU-22222222-0000-0000-0000-000000000002"),
    ] {
        let rig = format!(
            "[[gpu]]\nlike = \"h100-sxm\"\nuuid = \"{gpu}\"\nserial = \"16500{out}\"\npdi = \"00000000000000aa\"\n\
             confidential_compute = {{ attest = true }}\n"
        );
        attested.certify(&rig, out, &[("product_uuid", uuid), ("product_serial", out)]);
    }
    let verified = attested.verify(&["one", "two"]).exits(4).json();
    assert_eq!(verified["reports"][0]["valid"], true, "{verified}");
    let failures = verified["reports"][1]["failures"].as_array().unwrap();
    assert!(failures.iter().all(|failure| failure["class"] == "E_DUPLICATE"), "{failures:?}");
    assert!(
        failures.iter().any(|failure| failure["what"].as_str().unwrap().contains("pdi 0x00000000000000aa")),
        "{failures:?}"
    );
}

/// A policy of this place, whose own key certifies too, with those lines.
fn policy(place: &Place, lines: &str) {
    for file in ["trust.toml", "trust.toml.dsse.json"] {
        _ = fs::remove_file(place.path(file));
    }
    _ = fs::remove_dir_all(place.path("state"));
    place.run(["trust", "init", "--name", "buyer"]).exits(0);
    super::change(&place.path("trust.toml"), "roles = [\"owner\"]", "roles = [\"owner\", \"seller\"]");
    place.edit_policy(lines);
}

#[test]
fn attack_a_gpu_that_was_revoked() {
    let attested = honest();
    let place = &attested.place;
    let verify = || {
        let options = ["verify", "report", "--trust", "trust.toml", "--device-root", "root.pem", "--format", "json"];
        let ran = place.run(options);
        let code = ran.code;
        (code, ran.json())
    };
    let reason = attested.verify(&["report"]).exits(3).json()["reports"][0]["claims"][0]["reason"].to_string();
    let pdi = &reason[reason.find("0x").unwrap()..][..18];
    let serial = format!("41{}", &pdi[2..]);
    let line = |what: &str, value: &str, at: &str| {
        format!("[[revoked_device]]\n{what} = \"{value}\"\n{at}\nreason = \"stolen from a warehouse\"")
    };
    let reversed: String = pdi.as_bytes()[2..].rchunks(2).map(|byte| str::from_utf8(byte).unwrap()).collect();
    for (what, value) in [("pdi", pdi), ("pdi", reversed.as_str()), ("certificate", serial.as_str())] {
        policy(place, &line(what, value, ""));
        let (code, json) = verify();
        refused(&json, "E_DEVICE_CHAIN", "revocation");
        // Once for each end, and not again for what NVML tells of it.
        let failures = json["reports"][0]["failures"].as_array().unwrap();
        assert!(failures.len() == 2 && !json.to_string().contains("PDI as recorded"), "{failures:?}");
        let observed = json["reports"][0]["failures"][0]["observed"].as_str().unwrap();
        assert!(code == 4 && observed.ends_with("is revoked: stolen from a warehouse"), "{observed}");
    }
    policy(place, &line("pdi", pdi, "revoked_at = \"2026-01-01T00:00:00Z\""));
    assert_eq!(verify().0, 4);
    // Signed before that, as the seller says: a trusted timestamp would show it.
    policy(place, &line("pdi", pdi, "revoked_at = \"2099-01-01T00:00:00Z\""));
    let (code, json) = verify();
    assert_eq!((code, &json["reports"][0]["indeterminate"][0]["class"]), (3, &"E_DEVICE_CHAIN".into()), "{json:#}");
    // The root is revoked, and whoever sends the chain leaves it out.
    let mut statement = attested.statement("report");
    for evidence in &mut statement.predicate.device_evidence {
        let chain = String::from_utf8(evidence.cert_chain.0.clone()).unwrap();
        evidence.cert_chain.0.truncate(chain.rfind("-----BEGIN").unwrap());
    }
    let mut roots = Roots::default();
    roots.add("root.pem", &fs::read(place.path("root.pem")).unwrap()).unwrap();
    let root = roots.iter().last().unwrap().certificate.serial.clone();
    let genuine = fs::read(place.path("report/report.dsse.json")).unwrap();
    attested.forge(&statement);
    policy(place, &line("certificate", &root, ""));
    refused(&verify().1, "E_DEVICE_CHAIN", "revocation");
    fs::write(place.path("report/report.dsse.json"), genuine).unwrap();

    policy(place, &line("pdi", "0x0000000000000001", ""));
    let (code, json) = verify();
    assert_eq!((code, &json["reports"][0]["indeterminate"]), (3, &json!([])), "{json:#}");
    assert!(json["reports"][0]["notProven"].to_string().contains("by anybody but the trust policy"), "{json:#}");
    for wrong in ["pdi = \"0x1\"", "certificate = \"x\"", "certificate = \"41\"\npdi = \"0x0000000000000001\""] {
        let path = place.path("trust.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n[[revoked_device]]\n{wrong}\nreason = \"x\"\n")).unwrap();
        place.run(["trust", "sign"]).exits(2);
        fs::write(&path, text).unwrap();
    }
}

#[test]
fn attack_a_revoked_gpu_that_signs_nothing() {
    let attested = Attested::new("[[gpu]]\nlike = \"a100-sxm-80gb\"\npdi = \"4917e5a9bae974c7\"\n");
    let place = &attested.place;
    let verify = || place.run(["verify", "report", "--trust", "trust.toml", "--format", "json"]);
    let revoked = |pdi: &str| policy(place, &format!("[[revoked_device]]\npdi = \"{pdi}\"\nreason = \"stolen\""));
    // As NVML prints it, and as the certificate of a chip might.
    for pdi in ["0x4917e5a9bae974c7", "c774e9baa9e51749"] {
        revoked(pdi);
        let verified = verify().exits(4).json();
        refused(&verified, "E_DEVICE_CHAIN", "PDI as recorded: revocation");
        assert_eq!(verified["reports"][0]["failures"].as_array().unwrap().len(), 1, "{verified}");
    }
    revoked("0x4917e5a9bae974c8");
    verify().exits(3);
}

const GPU_PDIS: [&str; 2] = ["11223344556677aa", "11223344556677bb"];
const SWITCH_PDIS: [&str; 2] = ["00000000000000a1", "00000000000000a2"];
const SWITCH_PARTS: [&str; 2] =
    ["nvswitch:SWX-00000000-0000-0000-0000-0000000000A1", "nvswitch:SWX-00000000-0000-0000-0000-0000000000A2"];

/// Two GPUs at two NVSwitches that all sign. `gpus` is in the list of the second switch, and those lines are more about it.
fn board(gpus: &[&str], lines: &str) -> String {
    let list = |pdis: &[&str]| format!("{pdis:?}");
    let mut rig = String::new();
    for (pdi, address) in GPU_PDIS.iter().zip(["0000:17:00.0", "0000:27:00.0"]) {
        rig += &format!(
            "[[gpu]]\nlike = \"h100-sxm\"\npdi = \"{pdi}\"\npci = {{ address = \"{address}\" }}\n\
             confidential_compute = {{ attest = true, switches = {} }}\n",
            list(&SWITCH_PDIS)
        );
    }
    for (pdi, gpus, lines) in [(SWITCH_PDIS[0], &GPU_PDIS[..], ""), (SWITCH_PDIS[1], gpus, lines)] {
        rig += &format!("[[nvswitch]]\nuuid = \"{pdi:0>32}\"\npdi = \"{pdi}\"\ngpus = {}\n{lines}\n", list(gpus));
    }
    rig
}

/// The level of each part's identity, where it has a claim of its own.
fn levels(report: &Json) -> Vec<(String, String)> {
    let claims = report["claims"].as_array().unwrap().iter();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let of_parts =
        claims.filter_map(|it| Some((text(&it["claim"]).strip_prefix("identity of ")?.to_owned(), text(&it["level"]))));
    of_parts.filter(|(part, _)| part.contains(':')).collect()
}

#[test]
fn a_board_whose_switches_sign_too_is_proven_as_a_whole() {
    let attested = Attested::new(&board(&GPU_PDIS, ""));
    let statement = attested.statement("report");
    let evidence = &statement.predicate.device_evidence;
    let switches: Vec<_> =
        evidence.iter().filter(|it| it.via == Via::Nscq).map(|it| (it.part.as_str(), it.phase)).collect();
    let [one, two] = SWITCH_PARTS;
    assert_eq!(switches, [(one, Phase::Start), (two, Phase::Start), (one, Phase::End), (two, Phase::End)]);
    for pdi in GPU_PDIS.iter().chain(&SWITCH_PDIS) {
        let subject = part_subject("nvidia-pdi", &format!("0x{pdi}"));
        assert!(statement.subject.contains(&subject), "{pdi}: {:?}", statement.subject);
    }
    assert_eq!(statement.predicate.identity["nvswitches"][1]["attestation.pdi"], "0x00000000000000a2");
    let verified = attested.verify(&["report"]).exits(3).json();
    let report = &verified["reports"][0];
    let parts = ["gpu:0000:17:00.0", "gpu:0000:27:00.0", one, two];
    assert_eq!(levels(report), parts.map(|part| (part.to_owned(), "L2".to_owned())), "{report:#}");
    assert_eq!(report["indeterminate"], json!([]));
    for claim in report["claims"].as_array().unwrap().iter().filter(|it| it["claim"].as_str().unwrap().contains("gpu:"))
    {
        let reason = claim["reason"].as_str().unwrap();
        assert!(reason.ends_with("NVML tells the same PDI; the NVSwitches' signed lists name it"), "{reason}");
    }
    let open = report["notProven"].to_string();
    assert!(!open.contains("no switch's evidence") && open.contains("chips in those slots"), "{open}");

    // The evidence of a switch counts as that of a GPU does.
    let mut without = statement.clone();
    without.predicate.device_evidence.retain(|it| it.part != two || it.phase == Phase::End);
    attested.forge(&without);
    refused(&attested.verify(&["report"]).exits(4).json(), "E_DEVICE_CHAIN", two);
    let mut other = statement.clone();
    let gpu = other.predicate.device_evidence.iter().position(|it| it.via == Via::Nvml).unwrap();
    other.predicate.device_evidence[gpu].part = two.to_owned();
    attested.forge(&other);
    let failures = attested.verify(&["report"]).exits(4).json()["reports"][0]["failures"].to_string();
    assert!(failures.contains("the certificate of a switch"), "{failures}");
}

#[test]
fn attack_a_switch_of_another_board() {
    let stale = format!("stale_nonce = \"{}\"", "ab".repeat(32));
    refused(&Attested::new(&board(&GPU_PDIS, &stale)).verify(&["report"]).exits(4).json(), "E_NONCE", SWITCH_PARTS[1]);
    // It signs afresh, and names GPUs that are not here.
    let elsewhere = Attested::new(&board(&["99999999999999aa", GPU_PDIS[0]], ""));
    let verified = elsewhere.verify(&["report"]).exits(4).json();
    refused(&verified, "E_IDENTITY_CONFLICT", "switch 0x00000000000000a2: GPUs in its signed list");
    // One GPU more than are here: it hides, or has fallen off the bus.
    let hidden = Attested::new(&board(&[GPU_PDIS[0], GPU_PDIS[1], "99999999999999aa"], ""));
    let verified = hidden.verify(&["report"]).exits(3).json();
    let open = &verified["reports"][0]["indeterminate"];
    assert_eq!((open.as_array().unwrap().len(), &open[0]["class"]), (1, &json!("E_IDENTITY_CONFLICT")), "{open}");
    assert_eq!(open[0]["observed"], "0x11223344556677aa 0x11223344556677bb 0x99999999999999aa");
    // One fewer: its links may be down.
    let verified = Attested::new(&board(&GPU_PDIS[..1], "")).verify(&["report"]).exits(3).json();
    assert_eq!(verified["reports"][0]["indeterminate"][0]["observed"], "0x11223344556677aa", "{verified:#}");
}

#[test]
fn a_switch_that_fails_or_hangs_takes_nothing_else_along() {
    for (lines, reading) in
        [("report_error = -7", "NSCQ_RC_ERROR_DRV (-7)"), ("hang = true", "gave up: no answer within 10 s")]
    {
        let attested = Attested::new(&board(&GPU_PDIS, lines));
        let parts = attested.certified["inspection"]["evidence"]["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["id"] == SWITCH_PARTS[1]).unwrap();
        assert_eq!(part["facts"]["nvswitch.attestation.nonce"]["reading"]["failed"], reading, "{part:#}");
        let verified = attested.verify(&["report"]).exits(3).json();
        let report = &verified["reports"][0];
        let levels: Vec<_> = levels(report).into_iter().map(|(part, level)| format!("{part} {level}")).collect();
        assert_eq!(levels.len(), 3, "{levels:?}");
        assert!(levels.iter().all(|level| level.ends_with("L2")), "{levels:?}");
        // Each GPU names two switches.
        assert_eq!(report["indeterminate"], json!([]));
        assert!(report["notProven"].to_string().contains("1 of 2 signed nothing"), "{report:#}");
    }
}
