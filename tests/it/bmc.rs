//! A management controller of the test: asked over HTTP and HTTPS, and in every way that it can answer badly.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value as Json, json};
use yanji::collect;
use yanji::evidence::{Evidence, Reading};
use yanji::host::{Bmc, Credentials, LiveHost, RecordedHost, RecordingHost};
use yanji::inspection;
use yanji::rule::{Outcome, Signatures};

use crate::support::RecordedMachine;

/// What the controller answers to a path: status line and headers, then the body.
type Answer = fn(path: &str) -> (String, Vec<u8>);

/// A controller on a port of its own; gone with the test.
struct Controller {
    port: u16,
    /// Heads of all requests.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Controller {
    fn new(answer: Answer, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, tls) = (Arc::clone(&kept), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, answer, &kept),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), answer, &kept);
                    }
                });
            }
        });
        Self { port, requests }
    }
}

/// One request a connection. A client that goes away is no failure of the test.
fn serve(mut stream: impl Read + Write, answer: Answer, requests: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().unwrap().push(head);
    let (status, body) = answer(&path);
    let lines = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    _ = stream.write_all(lines.as_bytes()).and_then(|()| stream.write_all(&body)).and_then(|()| stream.flush());
}

fn ok(json: &Json) -> (String, Vec<u8>) {
    ("200 OK".to_owned(), json.to_string().into_bytes())
}

/// Two modules of the recorded server: one by its serial number, one by its locator; and one that SMBIOS does not have.
fn good(path: &str) -> (String, Vec<u8>) {
    let members =
        |links: &[&str]| json!({"Members": links.iter().map(|link| json!({"@odata.id": link})).collect::<Vec<_>>()});
    let module = |locator: &str, serial: &str| {
        json!({"DeviceLocator": locator, "SerialNumber": serial, "CapacityMiB": 65536, "MemoryDeviceType": "DDR5",
               "OperatingSpeedMhz": 4400, "Manufacturer": "Samsung", "PartNumber": "M321R8GA0BB0-CQKZJ", "RankCount": 2,
               "Status": {"State": "Enabled"}})
    };
    let processor =
        |kind: &str, model: &str| json!({"ProcessorType": kind, "Model": model, "TotalCores": 56, "Socket": "CPU 1"});
    let machine = RecordedMachine::server();
    let serial = &machine.dimms[2].serial;
    match path {
        "/redfish/v1/Systems" => {
            ok(&members(&["/redfish/v1/Systems/1", "https://elsewhere.example/redfish/v1/Systems/2"]))
        }
        // The serial number of a Dell stands in the SKU.
        "/redfish/v1/Systems/1" => {
            ok(&json!({"SerialNumber": "CN1234", "SKU": machine.serial, "Status": {"State": "Enabled"}}))
        }
        "/redfish/v1/Chassis" => ok(&members(&["/redfish/v1/c/1"])),
        "/redfish/v1/c/1" => ok(&json!({"SerialNumber": "C1"})),
        "/redfish/v1/Systems/1/Processors" => ok(&members(&["/redfish/v1/p/1", "/redfish/v1/p/2", "/redfish/v1/p/3"])),
        "/redfish/v1/p/1" => ok(&processor("CPU", &machine.cpus[0].brand)),
        "/redfish/v1/p/2" => ok(&processor("CPU", "Intel(R) Xeon(R) Gold 6430")),
        "/redfish/v1/p/3" => ok(&processor("GPU", "H100")),
        "/redfish/v1/Systems/1/Memory" => {
            let mut page = members(&["/redfish/v1/m/1", "/redfish/v1/m/2"]);
            page["Members@odata.nextLink"] = json!("/redfish/v1/Systems/1/Memory?$skip=2");
            ok(&page)
        }
        "/redfish/v1/Systems/1/Memory?$skip=2" => ok(&members(&["/redfish/v1/m/3", "/redfish/v1/m/4"])),
        "/redfish/v1/m/1" => ok(&module("slot 17", &serial.to_lowercase())),
        "/redfish/v1/m/2" => ok(&module("P1_DIMMA1", "00000000")),
        "/redfish/v1/m/3" => ok(&module("DIMM Z9", "12345678")),
        "/redfish/v1/m/4" => ok(&json!({"DeviceLocator": "DIMM Z8", "Status": {"State": "Absent"}})),
        _ => ("404 Not Found".to_owned(), Vec::new()),
    }
}

/// The recorded server, with a controller that is asked.
struct WithBmc {
    machine: RecordedHost,
    live: LiveHost,
}

impl yanji::host::Host for WithBmc {
    fn origin(&self) -> yanji::evidence::Origin {
        self.machine.origin()
    }
    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        self.machine.read(path)
    }
    fn list(&self, path: &str) -> Reading<Vec<String>> {
        self.machine.list(path)
    }
    fn link(&self, path: &str) -> Reading<String> {
        self.machine.link(path)
    }
    fn ask(&self, query: &yanji::host::Query) -> Reading<Vec<u8>> {
        match query {
            yanji::host::Query::Redfish { .. } => self.live.ask(query),
            _ => self.machine.ask(query),
        }
    }
}

fn with(bmc: Bmc) -> WithBmc {
    WithBmc { machine: RecordedMachine::server().host(), live: LiveHost::new().with_bmc(bmc) }
}

fn modules(evidence: &Evidence) -> Reading {
    evidence.part("memory").unwrap().reading("memory.bmc.modules").cloned().unwrap_or(Reading::Unsupported)
}

#[test]
fn modules_are_matched_with_those_of_firmware_and_recorded() {
    let controller = Controller::new(good, None);
    let credentials = Credentials::parse("admin:secret").unwrap();
    let bmc = Bmc::new(&format!("http://127.0.0.1:{}", controller.port), Some(credentials), None).unwrap();
    let host = with(bmc);
    let recording = RecordingHost::new(&host);
    let evidence = collect::collect(&recording);
    let part = |id: &str| evidence.part(id).unwrap();
    for id in ["dimm:P1-DIMMC1", "dimm:P1-DIMMA1"] {
        assert_eq!(part(id).integer("dimm.bmc.size_mib"), Some(65536), "{id}");
        assert_eq!(part(id).integer("dimm.bmc.speed_mts"), Some(4400), "{id}");
    }
    assert_eq!(part("dimm:P1-DIMMB1").reading("dimm.bmc.serial"), None);
    assert_eq!(evidence.scope("dimm").count(), 16);
    assert_eq!(modules(&evidence), Reading::Known(3u64.into()));
    assert_eq!(
        part("memory").reading("memory.bmc.unmatched"),
        Some(&Reading::Known(vec!["DIMM Z9".to_owned()].into()))
    );
    let list = |id: &str, path: &str| part(id).reading(path).and_then(Reading::known).map(ToString::to_string);
    assert_eq!(
        list("platform", "platform.bmc.serials"),
        Some(format!("CN1234, {}, C1", RecordedMachine::server().serial))
    );
    assert_eq!(part("platform").integer("platform.bmc.processors"), Some(2));
    assert_eq!(part("cpu:1").text("cpu.bmc.model"), Some("Intel(R) Xeon(R) Gold 6430"));
    let inspection = inspection::assess(evidence.clone(), &Signatures::embedded().unwrap());
    let outcome = |rule: &str, part: &str| {
        let check = inspection.checks.iter().find(|check| check.id == rule && check.part == part).unwrap();
        matches!(check.outcome, Outcome::Fires(_)) as u8 * 2 + (check.outcome == Outcome::Clear) as u8
    };
    assert_eq!([outcome("cpu.bmc-differ", "cpu:0"), outcome("cpu.bmc-differ", "cpu:1")], [1, 2]);
    assert_eq!(outcome("platform.bmc-differ", "platform"), 1);
    let requests = controller.requests.lock().unwrap();
    assert!(requests.iter().all(|head| head.to_lowercase().contains("authorization: basic ywrtaw46c2vjcmv0")));
    assert!(requests.iter().all(|head| !head.contains("elsewhere")));
    // What was asked is in the capture, the password is not, and a replay needs no controller.
    let capture = recording.into_capture();
    let mut archive = Vec::new();
    capture.write(&mut archive).unwrap();
    let unpacked = zstd::stream::decode_all(&archive[..]).unwrap();
    for secret in [&b"secret"[..], b"YWRtaW46c2VjcmV0"] {
        assert!(!unpacked.windows(secret.len()).any(|window| window == secret));
    }
    assert_eq!(collect::collect(&RecordedHost::from_archive(&archive[..]).unwrap()), evidence);
}

#[test]
fn a_controller_that_answers_badly_is_a_reading_and_nothing_else() {
    let failed = |reading: &Reading, words: &str| matches!(reading, Reading::Failed(why) if why.contains(words));
    type Expected<'a> = &'a dyn Fn(&Reading) -> bool;
    let cases: [(&str, Answer, Expected<'_>); 9] = [
        ("401", |_| ("401 Unauthorized".to_owned(), Vec::new()), &|it| *it == Reading::Denied),
        ("garbage", |_| ("200 OK".to_owned(), b"<html>".to_vec()), &|it| failed(it, "is no collection")),
        ("huge", |_| ("200 OK".to_owned(), vec![b' '; (4 << 20) + 1]), &|it| failed(it, "more than 4194304 bytes")),
        (
            "redirect",
            |_| ("302 Found\r\nLocation: https://elsewhere.example/redfish/v1/Systems".to_owned(), Vec::new()),
            &|it| failed(it, "sends elsewhere"),
        ),
        ("broken", |_| ("500 Oops".to_owned(), Vec::new()), &|it| failed(it, "500")),
        (
            "many",
            |_| {
                let member = json!({"@odata.id": "/redfish/v1/Systems/1"});
                ok(&json!({"Members": vec![member; 513]}))
            },
            &|it| failed(it, "more than 512 members"),
        ),
        ("pages without end", |path| ok(&json!({"Members": [], "Members@odata.nextLink": path})), &|it| {
            failed(it, "more than 64 pages")
        }),
        (
            "a page elsewhere",
            |_| ok(&json!({"Members": [], "Members@odata.nextLink": "https://elsewhere.example/redfish/v1/Systems"})),
            &|it| failed(it, "not a path below /redfish/"),
        ),
        (
            "a page that is missing",
            |path| match path.contains('?') {
                true => ("404 Not Found".to_owned(), Vec::new()),
                false => ok(&json!({"Members": [], "Members@odata.nextLink": "/redfish/v1/Systems?$skip=1"})),
            },
            &|it| failed(it, "the next page, is not there"),
        ),
    ];
    for (name, answer, expected) in cases {
        let controller = Controller::new(answer, None);
        let bmc = Bmc::new(&format!("http://127.0.0.1:{}", controller.port), None, None).unwrap();
        let reading = modules(&collect::collect(&with(bmc)));
        assert!(expected(&reading), "{name}: {reading:?}");
        assert!(controller.requests.lock().unwrap().iter().all(|head| !head.to_lowercase().contains("authorization")));
    }
    // Nobody listens.
    let bmc = Bmc::new("http://127.0.0.1:1", None, None).unwrap();
    assert!(failed(&modules(&collect::collect(&with(bmc))), "no answer"));
    // One that never answers has its deadline.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let held = thread::spawn(move || silent.incoming().flatten().take(1).collect::<Vec<TcpStream>>());
    let reading = modules(&collect::collect(&with(Bmc::new(&address, None, None).unwrap())));
    assert!(failed(&reading, "no answer"), "{reading:?}");
    drop(held);
}

/// A certificate for 127.0.0.1 that signs itself, written as PEM.
fn certificate(path: &Path) -> Arc<rustls::ServerConfig> {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(path, signed.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

#[test]
fn a_certificate_is_verified_against_the_given_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right.pem"), folder.path().join("wrong.pem"));
    let controller = Controller::new(good, Some(certificate(&right)));
    _ = certificate(&wrong);
    let url = format!("https://127.0.0.1:{}", controller.port);
    let ask = |authority: &Path| modules(&collect::collect(&with(Bmc::new(&url, None, Some(authority)).unwrap())));
    assert_eq!(ask(&right), Reading::Known(3u64.into()));
    let refused = ask(&wrong);
    assert!(matches!(&refused, Reading::Failed(why) if why.contains("certificate")), "{refused:?}");
    fs::write(&wrong, "no certificate").unwrap();
    assert!(Bmc::new(&url, None, Some(&wrong)).is_err());
    assert!(Bmc::new(&url, None, Some(&folder.path().join("missing"))).is_err());
    // A password that others can read is refused.
    let file = folder.path().join("credentials");
    fs::write(&file, "admin:secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Credentials::from_file(&file).unwrap_err().to_string().contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Credentials::from_file(&file).is_ok());
}
