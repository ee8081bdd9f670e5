//! NVML through the real reader and supervisor: a library of a few C functions that does what a healthy one never does.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use yanji::attest::device::DeviceNonce;
use yanji::collect::collect;
use yanji::evidence::{Evidence, Origin, Reading};
use yanji::host::{Capture, Host, LiveHost, Query, RecordedHost};
use yanji::parse::nvml_attestation::pci_address;

use crate::support::{NvidiaDriver, NvidiaGpu, RecordedMachine};

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");
const LIBRARY: &str = "libnvidia-ml.so.1";

/// A folder with a library, and an empty one that stands for the machine's files.
struct Driver {
    folder: TempDir,
    fake: String,
}

impl Driver {
    /// Compiles the library. Tests that need a C compiler must not pass without one.
    fn new(fake: &str, defines: &[&str]) -> Self {
        let driver = Self::without_library(fake);
        let status = Command::new("gcc")
            .args(["-shared", "-fPIC", "-O1", "-Wl,--build-id=0xfeedbeef", "-o"])
            .arg(driver.folder.path().join(LIBRARY))
            .args(defines)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fake_nvml.c"))
            .status()
            .expect("gcc is needed to build the fake NVML library");
        assert!(status.success(), "gcc failed");
        driver
    }

    fn without_library(fake: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self { folder, fake: fake.to_owned() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(YANJI);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("LD_LIBRARY_PATH", self.folder.path())
            .env("XDG_DATA_HOME", self.folder.path().join("data"))
            .env("FAKE_NVML", &self.fake)
            .env("YANJI_ROOT", self.root());
        command
    }

    fn inspect(&self) -> Evidence {
        evidence(&mut self.command(&["inspect", "--format", "json"]))
    }
}

fn evidence(command: &mut Command) -> Evidence {
    let output = command.output().unwrap();
    let json: Json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    serde_json::from_value(json["evidence"].clone()).unwrap()
}

#[track_caller]
fn reading<'a>(evidence: &'a Evidence, part: &str, path: &str) -> &'a Reading {
    let part = evidence.part(part).unwrap_or_else(|| panic!("no part {part}: {:?}", ids(evidence)));
    part.reading(path).unwrap_or_else(|| panic!("no fact {path}"))
}

#[track_caller]
fn shown(evidence: &Evidence, part: &str, path: &str) -> String {
    match reading(evidence, part, path) {
        Reading::Known(value) => value.to_string(),
        Reading::Failed(why) => format!("failed: {why}"),
        other => other.state().to_owned(),
    }
}

fn ids(evidence: &Evidence) -> Vec<&str> {
    evidence.scope("gpu").chain(evidence.scope("driver")).map(|part| part.id.as_str()).collect()
}

#[test]
fn an_old_library_gives_what_it_has() {
    let driver = Driver::new("", &[]);
    let evidence = driver.inspect();
    assert_eq!(ids(&evidence), ["gpu:0000:10:00.0", "gpu:0000:11:00.0", "driver:nvidia"]);
    let gpu = "gpu:0000:11:00.0";
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.name"), "NVIDIA Fake 1");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.serial"), "1001");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.pci.device_id"), "0x2331");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.pci.subsystem_device_id"), "0x1626");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.power.draw_milliwatts"), "46120");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.lost"), "false");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.unstable"), "");
    // A missing function says nothing about the board.
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.board_part_number"), "unsupported");
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.cores"), "unsupported");
    let driver_part = "driver:nvidia";
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.device_count"), "2");
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.driver_version"), "unsupported");
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.simulated"), "false");
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.gave_up"), "");
    let library = driver.folder.path().canonicalize().unwrap().join(LIBRARY);
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.library_path"), library.to_str().unwrap());
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.library_build_id"), "feedbeef");
    let sha256 = yanji::attest::Digest::of(&fs::read(library).unwrap()).to_string();
    assert_eq!(shown(&evidence, driver_part, "driver.nvml.library_sha256"), sha256);
    assert_eq!(shown(&evidence, driver_part, "driver.cuda.library_path"), "absent");
}

#[test]
fn a_call_that_hangs_costs_one_gpu() {
    let driver = Driver::new("hang:nvmlDeviceGetSerial:0", &[]);
    let begun = Instant::now();
    let evidence = driver.inspect();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(shown(&evidence, "driver:nvidia", "driver.nvml.gave_up"), "nvmlDeviceGetSerial on GPU 0");
    // What it had said before it hung stays; without an address it has a number.
    let wedged = "gpu:0";
    assert_eq!(shown(&evidence, wedged, "gpu.nvml.name"), "NVIDIA Fake 0");
    assert_eq!(shown(&evidence, wedged, "gpu.nvml.serial"), "failed: gave up: no answer within 10 s");
    assert!(shown(&evidence, wedged, "gpu.nvml.power.draw_milliwatts").starts_with("failed: not asked"));
    assert!(shown(&evidence, wedged, "gpu.nvml.unstable").starts_with("failed: "));
    assert_eq!(shown(&evidence, "gpu:0000:11:00.0", "gpu.nvml.serial"), "1001");
    assert_eq!(shown(&evidence, "gpu:0000:11:00.0", "gpu.nvml.unstable"), "");
}

#[test]
fn an_initialisation_that_hangs_ends_it() {
    let driver = Driver::new("hang:nvmlInit_v2:-1", &[]);
    let begun = Instant::now();
    let evidence = driver.inspect();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(ids(&evidence), ["driver:nvidia"]);
    assert_eq!(shown(&evidence, "driver:nvidia", "driver.nvml.gave_up"), "nvmlInit_v2");
    assert_eq!(
        shown(&evidence, "driver:nvidia", "driver.nvml.driver_version"),
        "failed: gave up: no answer within 10 s"
    );
}

#[test]
fn a_library_that_crashes_costs_one_gpu_a_crash() {
    let fake = "count:4 crash:nvmlDeviceGetUUID:0 crash:nvmlDeviceGetPowerUsage:2";
    let evidence = Driver::new(fake, &[]).inspect();
    let given_up = "nvmlDeviceGetUUID on GPU 0, nvmlDeviceGetPowerUsage on GPU 2";
    assert_eq!(shown(&evidence, "driver:nvidia", "driver.nvml.gave_up"), given_up);
    assert_eq!(shown(&evidence, "gpu:0", "gpu.nvml.uuid"), "failed: gave up: the reader died of signal 11");
    // The address was read before the crash.
    assert!(shown(&evidence, "gpu:0000:12:00.0", "gpu.nvml.power.draw_milliwatts").contains("signal 11"));
    for gpu in ["gpu:0000:11:00.0", "gpu:0000:13:00.0"] {
        assert_eq!(shown(&evidence, gpu, "gpu.nvml.power.draw_milliwatts"), "46120");
        assert_eq!(shown(&evidence, gpu, "gpu.nvml.unstable"), "");
    }
    // Five GPUs of one reader that each crash it are more than it is tried for.
    let fake = "count:10 crash:nvmlDeviceGetName:0 crash:nvmlDeviceGetUUID:2 crash:nvmlDeviceGetSerial:4 \
                crash:nvmlDeviceGetPciInfo_v3:6 crash:nvmlDeviceGetPowerUsage:8";
    let evidence = Driver::new(fake, &[]).inspect();
    let given_up = shown(&evidence, "driver:nvidia", "driver.nvml.gave_up");
    assert_eq!(given_up.split(", ").count(), 4, "{given_up}");
}

#[test]
fn libraries_that_cannot_be_used() {
    // An error of the initialisation.
    let evidence = Driver::new("error:nvmlInit_v2:9", &[]).inspect();
    let version = "driver.nvml.driver_version";
    assert_eq!(shown(&evidence, "driver:nvidia", version), "failed: NVML_ERROR_DRIVER_NOT_LOADED");
    assert_eq!(shown(&evidence, "driver:nvidia", "driver.nvml.library_build_id"), "feedbeef");
    let evidence = Driver::new("", &["-DNO_INIT"]).inspect();
    assert_eq!(shown(&evidence, "driver:nvidia", version), "unsupported");
    assert_eq!(ids(&evidence), ["driver:nvidia"]);
    // For another processor: the loader says that there is none.
    let driver = Driver::without_library("");
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16..20].copy_from_slice(&[3, 0, 183, 0]);
    fs::write(driver.folder.path().join(LIBRARY), header).unwrap();
    let why = shown(&driver.inspect(), "driver:nvidia", version);
    assert!(why.starts_with("failed: ") && why.contains("is a 64-bit library for AArch64"), "{why}");
    fs::write(driver.folder.path().join(LIBRARY), "no library").unwrap();
    let why = shown(&driver.inspect(), "driver:nvidia", version);
    assert!(why.contains("no ELF library"), "{why}");
}

#[test]
fn a_machine_without_a_driver_has_no_driver_part() {
    let driver = Driver::without_library("");
    if Path::new("/usr/lib/x86_64-linux-gnu").join(LIBRARY).exists() {
        println!("skipped: this machine has NVML");
        return;
    }
    let begun = Instant::now();
    let evidence = driver.inspect();
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(ids(&evidence), [""; 0]);
}

#[test]
fn hostile_texts_and_counts() {
    let name = |fake: &str| shown(&Driver::new(fake, &[]).inspect(), "gpu:0000:10:00.0", "gpu.nvml.name");
    assert_eq!(name("text:unterminated"), "failed: text of 8192 bytes is longer than any field");
    assert_eq!(name("text:4096"), "B".repeat(4096));
    assert_eq!(name("text:invalid"), "NVIDIA \\xff\\xfe \\ \u{1b}[31m");
    // What a library prints is no answer.
    assert_eq!(name("print"), "NVIDIA Fake 0");
    let none = Driver::new("count:0", &[]).inspect();
    assert_eq!(ids(&none), ["driver:nvidia"]);
    assert_eq!(shown(&none, "driver:nvidia", "driver.nvml.device_count"), "0");
    let many = Driver::new("count:70", &[]).inspect();
    assert_eq!(many.scope("gpu").count(), 70);
    assert_eq!(shown(&many, "gpu:0000:55:00.0", "gpu.nvml.name"), "NVIDIA Fake 69");
    assert_eq!(shown(&many, "gpu:0000:55:00.0", "gpu.nvml.p2p"), "failed: not asked of more than 32 GPUs");
    let endless = Driver::new("count:4000000000", &[]).inspect();
    assert_eq!(shown(&endless, "driver:nvidia", "driver.nvml.device_count"), "4000000000");
    assert!(endless.scope("gpu").count() <= 256);
}

#[test]
fn answers_that_change_and_gpus_that_are_lost_show() {
    let evidence = Driver::new("change", &[]).inspect();
    assert_eq!(shown(&evidence, "gpu:0000:10:00.0", "gpu.nvml.unstable"), "gpu.nvml.uuid");
    let evidence = Driver::new("error:nvmlDeviceGetPowerUsage:15", &[]).inspect();
    assert_eq!(shown(&evidence, "gpu:0000:10:00.0", "gpu.nvml.lost"), "true");
    let evidence = Driver::new("error:nvmlDeviceGetHandleByIndex_v2:15", &[]).inspect();
    assert_eq!(shown(&evidence, "gpu:1", "gpu.nvml.lost"), "true");
    assert_eq!(shown(&evidence, "gpu:1", "gpu.nvml.name"), "failed: NVML_ERROR_GPU_IS_LOST");
}

#[test]
fn a_virtual_driver_makes_everything_simulated() {
    let driver = Driver::new("", &["-DVIRTUAL"]);
    let mut inspect = driver.command(&["inspect", "--format", "json"]);
    let seen = evidence(inspect.env_remove("YANJI_ROOT"));
    assert_eq!(seen.origin, Origin::Simulated);
    assert_eq!(shown(&seen, "driver:nvidia", "driver.nvml.simulated"), "true");
    let status = driver.command(&["capture", "-o", "host.tar.zst"]).env_remove("YANJI_ROOT").status().unwrap();
    assert!(status.success());
    let replayed =
        evidence(driver.command(&["inspect", "--format", "json", "--host", "host.tar.zst"]).env_remove("YANJI_ROOT"));
    assert_eq!(replayed.origin, Origin::Simulated);
}

#[test]
fn a_root_folder_takes_the_place_of_the_machine_and_is_never_live() {
    let driver = Driver::new("", &[]);
    let server = RecordedMachine::gpu_server();
    let tree = driver.root();
    server.write(&tree);
    // In a real tree the functions are folders.
    let gpu = tree.join("sys/bus/pci/devices/0000:16:00.0");
    let mut bar = vec![0; 4096];
    bar[..4].copy_from_slice(&0x1800_00a1u32.to_le_bytes());
    fs::write(gpu.join("resource0"), bar).unwrap();
    fs::write(gpu.join("rom"), server.functions[1].rom.as_ref().unwrap()).unwrap();
    let evidence = driver.inspect();
    assert_eq!(evidence.origin, Origin::Simulated);
    let gpu = "gpu:0000:16:00.0";
    assert_eq!(shown(&evidence, gpu, "gpu.pci.device_id"), "0x2331");
    assert_eq!(shown(&evidence, gpu, "gpu.procfs.model"), "NVIDIA H100 PCIe");
    assert_eq!(shown(&evidence, gpu, "gpu.boot0.chip"), "GH100");
    assert_eq!(shown(&evidence, gpu, "gpu.vbios.version"), "96.00.5E.00.01");
    // NVML stays that of the machine, and it lists two others.
    assert_eq!(shown(&evidence, gpu, "gpu.nvml.name"), "absent");
    assert_eq!(shown(&evidence, "platform", "platform.smbios.system_serial"), "S483921X3A01234");
    let without_rom = {
        let output = driver.command(&["inspect", "--no-rom", "--format", "json"]).output().unwrap();
        let json: Json = serde_json::from_slice(&output.stdout).unwrap();
        serde_json::from_value::<Evidence>(json["evidence"].clone()).unwrap()
    };
    assert_eq!(shown(&without_rom, gpu, "gpu.vbios.sha256"), "failed: left out at your request");
    let output = driver.command(&["inspect"]).env("YANJI_ROOT", "no-such-folder").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("YANJI_ROOT"));
}

/// Runs the reader by itself.
fn read(driver: &Driver, assignment: &Json) -> (bool, Vec<Json>) {
    let mut command = driver.command(&["nvml-reader"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // A reader that refuses its assignment may be gone before it has all of it.
    let _ = child.stdin.take().unwrap().write_all(format!("{assignment}\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    let lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    (output.status.success(), lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

#[test]
fn the_reader_follows_its_assignment() {
    const REPORT: &str = "nvmlDeviceGetConfComputeGpuAttestationReport";
    let driver = Driver::new("report:long count:3", &[]);
    let supervisor = std::process::id();
    let share = json!({"number": 0, "of": 1});
    let nonce = json!({"s0": "07".repeat(32), "phase": "start", "chain_head": null});
    let (done, lines) = read(
        &driver,
        &json!({"supervisor": supervisor, "finished": [0], "given_up": [2], "share": share, "nonce": nonce}),
    );
    assert!(done);
    assert_eq!(lines.last().unwrap()["call"], "end");
    let calls = |device: u32, reading: Option<u32>| {
        let of = |line: &&Json| line["device"] == device && line["reading"] == json!(reading);
        lines.iter().filter(of).map(|line| line["call"].as_str().unwrap()).collect::<Vec<_>>()
    };
    // Of the one that is finished, only what identifies it is read again; the one that was given up is left alone.
    assert_eq!(calls(0, None), ["nvmlDeviceGetHandleByIndex_v2"]);
    assert!(calls(0, Some(2)).contains(&"nvmlDeviceGetUUID"));
    assert_eq!((calls(2, None), calls(2, Some(2))), (Vec::new(), Vec::new()));
    assert!(calls(1, None).contains(&REPORT) && !calls(1, Some(2)).contains(&REPORT));
    let report = lines.iter().find(|line| line["call"] == REPORT).unwrap();
    let address = lines.iter().find(|line| line["device"] == 1 && line["call"] == "nvmlDeviceGetPciInfo_v3").unwrap();
    let address = pci_address(&address["value"]).into_known().unwrap();
    let seed: DeviceNonce = serde_json::from_value(nonce).unwrap();
    let nonce = seed.of(&address);
    assert_eq!(report["value"]["nonce"], hex::encode(nonce));
    let bytes = BASE64_STANDARD.decode(report["value"]["attestationReport"].as_str().unwrap()).unwrap();
    assert_eq!((bytes.len(), &bytes[..33]), (8192, &[&nonce[..], &[0]].concat()[..]));

    let (done, lines) = read(
        &driver,
        &json!({"supervisor": supervisor, "finished": [], "given_up": [], "share": share, "nonce": null}),
    );
    assert!(done && lines.iter().all(|line| line["call"] != REPORT));
    // Of two that share the GPUs each has its own, and what is not about one GPU is asked for once.
    for number in [0, 1] {
        let share = json!({"number": number, "of": 2});
        let (done, lines) = read(
            &driver,
            &json!({"supervisor": supervisor, "finished": [], "given_up": [], "share": share, "nonce": null}),
        );
        assert!(done);
        for device in 0..3 {
            let asked = lines.iter().any(|line| line["device"] == device && line["call"] == "nvmlDeviceGetUUID");
            assert_eq!(asked, device % 2 == number, "{device} of {number}");
        }
        assert_eq!(lines.iter().any(|line| line["call"] == "nvmlSystemGetDriverVersion"), number == 0);
    }
    for wrong in [
        json!({"supervisor": 1, "finished": [], "given_up": [], "share": share, "nonce": null}),
        json!({"supervisor": supervisor}),
        json!([]),
    ] {
        assert_eq!(read(&driver, &wrong), (false, Vec::new()), "{wrong}");
    }
}

#[test]
fn the_library_alone_starts_no_process() {
    assert_eq!(LiveHost::new().ask(&Query::Nvml), Reading::Unsupported);
    let missing = LiveHost::new().with_nvml_reader(PathBuf::from("/no/such/yanji"));
    assert!(matches!(missing.ask(&Query::Nvml), Reading::Failed(why) if why.contains("cannot start")));
    // A program that is something else tells nothing.
    let other = LiveHost::new().with_nvml_reader(PathBuf::from("/bin/echo"));
    let Reading::Known(lines) = other.ask(&Query::Nvml) else { panic!("no answer") };
    let mut capture = Capture::default();
    capture.insert(Query::Nvml.path(), lines);
    let evidence = collect(&RecordedHost::from(capture));
    assert!(shown(&evidence, "driver:nvidia", "driver.nvml.driver_version").starts_with("failed: "));
}

#[test]
fn every_source_of_a_recorded_gpu() {
    let evidence = collect(&RecordedMachine::gpu_server().host());
    let gpu = "gpu:0000:16:00.0";
    for (path, expected) in [
        ("gpu.nvml.index", "0"),
        ("gpu.nvml.name", "NVIDIA H100 PCIe"),
        ("gpu.nvml.brand", "NVIDIA"),
        ("gpu.nvml.uuid", "GPU-5e8f1a2b-3c4d-5e6f-7081-92a3b4c5d6e7"),
        ("gpu.nvml.serial", "1654922004412"),
        ("gpu.nvml.pdi", "unsupported"),
        ("gpu.nvml.board_part_number", "900-21010-0000-000"),
        ("gpu.nvml.gpu_part_number", "unsupported"),
        ("gpu.nvml.board_id", "0x1600"),
        ("gpu.nvml.vbios_version", "96.00.5E.00.01"),
        ("gpu.nvml.architecture", "Hopper"),
        ("gpu.nvml.compute_capability", "9.0"),
        ("gpu.nvml.pci.address", "0000:16:00.0"),
        ("gpu.nvml.pci.vendor_id", "0x10de"),
        ("gpu.nvml.pci.device_id", "0x2331"),
        ("gpu.nvml.pci.subsystem_vendor_id", "0x10de"),
        ("gpu.nvml.inforom.valid", "true"),
        ("gpu.nvml.inforom.checksum", "0x12345678"),
        ("gpu.nvml.memory.total_mib", "81559"),
        ("gpu.nvml.memory.reserved_mib", "551"),
        ("gpu.nvml.memory.used_mib", "1"),
        ("gpu.nvml.bar1_total_mib", "131072"),
        ("gpu.nvml.clock.max_memory_mhz", "1593"),
        ("gpu.nvml.clock.throttle_reasons", "idle"),
        ("gpu.nvml.performance_state", "P8"),
        ("gpu.nvml.power.max_limit_milliwatts", "350000"),
        ("gpu.nvml.temperature.gpu_max_celsius", "87"),
        ("gpu.nvml.fan.count", "unsupported"),
        ("gpu.nvml.fan.min_percent", "unsupported"),
        ("gpu.nvml.ecc.enabled", "true"),
        ("gpu.nvml.ecc.by_location", ""),
        ("gpu.nvml.remapped_rows.failed", "false"),
        ("gpu.nvml.remap_histogram.max", "2560"),
        ("gpu.nvml.nvlink.links", "18"),
        ("gpu.nvml.nvlink.active", "0"),
        ("gpu.nvml.nvlink.remotes", ""),
        ("gpu.nvml.p2p", ""),
        ("gpu.nvml.fabric.state", "not-supported"),
        ("gpu.nvml.fabric.cluster_uuid", "absent"),
        ("gpu.nvml.mig.devices", "0"),
        ("gpu.nvml.virtualization", "none"),
        ("gpu.procfs.model", "NVIDIA H100 PCIe"),
        ("gpu.procfs.vbios_version", "96.00.5E.00.01"),
        ("gpu.procfs.minor", "0"),
        ("gpu.procfs.excluded", "false"),
        ("gpu.boot0.raw", "0x180000a1"),
        ("gpu.boot0.chip", "GH100"),
        ("gpu.vbios.version", "96.00.5E.00.01"),
        ("gpu.vbios.ifr.subsystem_device_id", "0x1626"),
    ] {
        assert_eq!(shown(&evidence, gpu, path), expected, "{path}");
    }
    for (path, expected) in [
        ("driver.nvml.driver_version", "550.54.15"),
        ("driver.nvml.cuda_version", "12.4"),
        ("driver.nvml.confidential_compute", "off"),
        ("driver.nvml.library_build_id", "c0ffee"),
        ("driver.cuda.library_path", "absent"),
        ("driver.kernel.version", "550.54.15"),
        ("driver.kernel.flavour", "open"),
        ("driver.kernel.module_version", "550.54.15"),
        ("driver.kernel.srcversion", "1F4A6E28B53C1D0E9A7B6C5"),
    ] {
        assert_eq!(shown(&evidence, "driver:nvidia", path), expected, "{path}");
    }
    assert_eq!(evidence.origin, Origin::Recorded);

    let unprivileged = collect(&RecordedMachine::gpu_server().unprivileged().host());
    assert_eq!(shown(&unprivileged, gpu, "gpu.boot0.chip"), "denied");
    assert_eq!(shown(&unprivileged, gpu, "gpu.vbios.sha256"), "denied");
    assert_eq!(shown(&unprivileged, gpu, "gpu.nvml.name"), "NVIDIA H100 PCIe");
}

#[test]
fn nvml_answers_in_their_details() {
    let first = NvidiaGpu {
        fans: vec![30, 31],
        ecc_aggregate: (7, 3),
        nvlinks: vec![true, false],
        ..NvidiaGpu::h100("0000:16:00.0")
    };
    let first = first
        .answer("nvmlDeviceValidateInforom", &[], "\"error\":14")
        .answer("nvmlDeviceGetPdi", &[], "\"value\":4660")
        .answer("nvmlDeviceGetLastBBXFlushTime", &[], r#""value":{"timestamp":1731700000123456,"duration":9}"#)
        .answer("nvmlDeviceGetPowerUsage", &[], "\"value\":4294967295")
        .answer("nvmlDeviceGetTotalEnergyConsumption", &[], "\"error\":4")
        .answer("nvmlDeviceGetSramEccErrorStatus", &[], r#""value":{"aggregateUncParity":2,"aggregateUncSecDed":3}"#)
        .answer("nvmlDeviceGetCurrentClocksEventReasons", &[], "\"value\":2148")
        .answer("nvmlDeviceGetMigMode", &[], r#""value":{"current":1,"pending":1}"#)
        .answer("nvmlDeviceGetMigDeviceHandleByIndex", &[0], "\"value\":true")
        .answer("nvmlDeviceGetMigDeviceHandleByIndex", &[1], "\"error\":6")
        .answer(
            "nvmlDeviceGetGpuFabricInfoV",
            &[],
            r#""value":{"clusterUuid":"00112233445566778899aabbccddeeff","status":0,"cliqueId":5,"state":3}"#,
        )
        .answer(
            "nvmlDeviceGetConfComputeGpuCertificate",
            &[],
            r#""value":{"certChain":"","attestationCertChain":"YWJj"}"#,
        )
        .answer_later("nvmlDeviceGetSerial", "\"value\":\"1654922004413\"");
    let second = NvidiaGpu::rtx_4090("0000:17:00.0")
        .answer("nvmlDeviceGetUUID", &[], "\"value\":\"N/A\"")
        .answer("nvmlDeviceGetSerial", &[], "\"value\":\"N/A\"")
        .answer("nvmlDeviceGetInforomVersion", &[0], "\"error\":26");
    let mut machine = RecordedMachine::gpu_server();
    machine.nvidia = Some(NvidiaDriver::new(vec![first, second]));
    let evidence = collect(&machine.host());
    let gpu = "gpu:0000:16:00.0";
    for (path, expected) in [
        ("gpu.nvml.inforom.valid", "false"),
        ("gpu.nvml.pdi", "0x0000000000001234"),
        ("gpu.nvml.bbx_flush_time", "2024-11-15T19:46:40Z"),
        ("gpu.nvml.power.draw_milliwatts", "unsupported"),
        ("gpu.nvml.energy_millijoules", "denied"),
        ("gpu.nvml.sram.aggregate_uncorrected", "5"),
        ("gpu.nvml.clock.throttle_reasons", "sw-power-cap, sw-thermal-slowdown, hw-thermal-slowdown, 0x800"),
        ("gpu.nvml.fan.count", "2"),
        ("gpu.nvml.fan.speed_percent", "30, 31"),
        ("gpu.nvml.fan.speed_rpm", "900, 930"),
        ("gpu.nvml.ecc.by_location", "aggregate corrected device-memory 7, aggregate uncorrected device-memory 3"),
        ("gpu.nvml.mig.devices", "1"),
        ("gpu.nvml.nvlink.active", "1"),
        ("gpu.nvml.nvlink.inactive", "1"),
        ("gpu.nvml.nvlink.versions", "4.0, 4.0"),
        ("gpu.nvml.nvlink.remotes", "0000:c0:00.0"),
        ("gpu.nvml.nvlink.errors", "0"),
        ("gpu.nvml.p2p", "0000:17:00.0 ok"),
        ("gpu.nvml.fabric.state", "completed"),
        ("gpu.nvml.fabric.cluster_uuid", "00112233-4455-6677-8899-aabbccddeeff"),
        ("gpu.nvml.fabric.clique_id", "5"),
        (
            "gpu.nvml.confidential_compute.certificate_sha256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("gpu.nvml.confidential_compute.report_sha256", "unsupported"),
        ("gpu.nvml.unstable", "gpu.nvml.serial"),
    ] {
        assert_eq!(shown(&evidence, gpu, path), expected, "{path}");
    }
    // PCI does not have it, and its board has neither serial number nor part number.
    let geforce = "gpu:0000:17:00.0";
    assert!(evidence.part(geforce).unwrap().reading("gpu.pci.device_id").is_none());
    for (path, expected) in [
        ("gpu.nvml.serial", "absent"),
        ("gpu.nvml.board_part_number", "absent"),
        ("gpu.nvml.uuid", "unsupported"),
        ("gpu.nvml.inforom.oem", "unsupported"),
        ("gpu.nvml.brand", "GeForce"),
        ("gpu.nvml.memory.total_mib", "24564"),
        ("gpu.nvml.ecc.enabled", "false"),
        ("gpu.nvml.ecc.by_location", "unsupported"),
        ("gpu.nvml.nvlink.links", "0"),
        ("gpu.nvml.nvlink.active", "0"),
        ("gpu.nvml.fan.min_percent", "30"),
    ] {
        assert_eq!(shown(&evidence, geforce, path), expected, "{path}");
    }
}

#[test]
fn a_gpu_that_only_pci_has() {
    let name = |nvidia: NvidiaDriver| {
        let mut machine = RecordedMachine::gpu_server();
        machine.nvidia = Some(nvidia);
        let evidence = collect(&machine.host());
        shown(&evidence, "gpu:0000:16:00.0", "gpu.nvml.name")
    };
    // NVML works and lists none, or another one.
    assert_eq!(name(NvidiaDriver::new(Vec::new())), "absent");
    assert_eq!(name(NvidiaDriver::new(vec![NvidiaGpu::h100("0000:99:00.0")])), "absent");
    // One of those that it lists could be this one.
    let nameless = NvidiaGpu::h100("0000:99:00.0").answer("nvmlDeviceGetPciInfo_v3", &[], "\"error\":999");
    assert!(name(NvidiaDriver::new(vec![nameless])).starts_with("failed: NVML lists GPUs"));
    // Nobody asked.
    let mut machine = RecordedMachine::server();
    machine.nvidia = None;
    let evidence = collect(&machine.host());
    assert_eq!(shown(&evidence, "gpu:0000:16:00.0", "gpu.nvml.name"), "unsupported");
    // Another vendor's GPU is none of NVML's business.
    let mut machine = RecordedMachine::gpu_server();
    machine.functions[1].vendor_id = 0x1002;
    machine.nvidia = None;
    let evidence = collect(&machine.host());
    let gpu = evidence.part("gpu:0000:16:00.0").unwrap();
    assert!(gpu.facts.keys().all(|path| path.as_str().starts_with("gpu.pci.")));
    assert!(evidence.part("driver:nvidia").is_none());
}

#[test]
fn any_answer_may_be_missing_or_garbled() {
    let driver = NvidiaDriver::new(vec![NvidiaGpu::h100("0000:16:00.0"), NvidiaGpu::rtx_4090("0000:17:00.0")]);
    let text = driver.nvml();
    let lines: Vec<&str> = text.lines().collect();
    let known = |evidence: &Evidence| {
        let parts = evidence.scope("gpu").chain(evidence.scope("driver"));
        let facts =
            parts.flat_map(|part| part.facts.iter().map(move |(path, fact)| ((part.id.clone(), path.clone()), fact)));
        facts
            .filter(|(_, fact)| matches!(fact.reading, Reading::Known(_)))
            .map(|(key, fact)| (key, fact.reading.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let with = |lines: &[&str]| {
        let mut capture = Capture::default();
        capture.insert(Query::Nvml.path(), lines.join("\n"));
        known(&collect(&RecordedHost::from(capture)))
    };
    let whole = with(&lines);
    for index in 0..lines.len() {
        let half = &lines[index][..lines[index].len() / 2];
        for instead in ["", half, r#"{"device":0,"call":"nvmlDeviceGetName","value":{}}"#] {
            let mut changed = lines.clone();
            changed[index] = instead;
            // Nothing that is still known has become something else, apart from parts without an address.
            for (key, reading) in with(&changed) {
                let about_others = ["gpu.nvml.p2p", "gpu.nvml.unstable", "gpu.nvml.lost", "gpu.nvml.nvlink"];
                if about_others.iter().any(|path| key.1.as_str().starts_with(path)) || key.0.len() < 10 {
                    continue;
                }
                assert_eq!(whole.get(&key), Some(&reading), "{key:?} without {}", lines[index]);
            }
        }
    }
}

#[test]
fn registers_that_are_no_chip() {
    let chip = |boot0: u32| {
        let mut machine = RecordedMachine::gpu_server();
        machine.functions[1].boot0 = Some(boot0);
        let evidence = collect(&machine.host());
        (shown(&evidence, "gpu:0000:16:00.0", "gpu.boot0.raw"), shown(&evidence, "gpu:0000:16:00.0", "gpu.boot0.chip"))
    };
    assert_eq!(chip(0x1920_00a1), ("0x192000a1".to_owned(), "AD102".to_owned()));
    assert!(chip(u32::MAX).0.starts_with("failed: the chip does not answer"));
    assert!(chip(u32::MAX).1.starts_with("failed: the chip does not answer"));
    assert_eq!(chip(0x1990_00a1).0, "0x199000a1");
    assert!(chip(0x1990_00a1).1.starts_with("failed: AD10?"));
    let register = Query::PciRegister { address: "0000:16:00.0".to_owned(), bar: 0, offset: 4 };
    let machine = RecordedMachine::gpu_server().file(&register.path(), 0x0002_0000u32.to_le_bytes());
    let evidence = collect(&machine.host());
    assert!(shown(&evidence, "gpu:0000:16:00.0", "gpu.boot0.chip").contains("virtual function"));
}

#[test]
fn the_chip_tells_its_own_identifier() {
    let gpu = "gpu:0000:16:00.0";
    let pdi = |boot0: u32, low: u32, high: u32| {
        let mut machine = RecordedMachine::gpu_server();
        machine.functions[1].boot0 = Some(boot0);
        for (offset, value) in [(0x0082_0344, low), (0x0082_0348, high)] {
            let register = Query::PciRegister { address: "0000:16:00.0".to_owned(), bar: 0, offset };
            machine = machine.file(&register.path(), value.to_le_bytes());
        }
        shown(&collect(&machine.host()), gpu, "gpu.bar0.pdi")
    };
    assert_eq!(pdi(0x1700_00a1, 0xbae9_74c7, 0x4917_e5a9), "0x4917e5a9bae974c7");
    assert_eq!(pdi(0x1700_00a1, 0, 0), "absent");
    // A register that the chip keeps to its own firmware.
    assert!(pdi(0x1700_00a1, 0xbadf_5040, 0xbadf_5040).starts_with("failed: the chip answers with an error"));
    // Where they are on other chips is not published.
    assert_eq!(pdi(0x1800_00a1, 0xbae9_74c7, 0x4917_e5a9), "unsupported");
    assert!(pdi(u32::MAX, 0xbae9_74c7, 0x4917_e5a9).starts_with("failed: the chip does not answer"));
}
