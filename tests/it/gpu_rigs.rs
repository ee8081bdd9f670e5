//! Every shipped rig of the virtual driver: its files through the collectors, and the whole of it through the built binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;
use vgpu::launch::Machine;
use vgpu::rig::{Gpu, Source};
use yanji::collect::collect;
use yanji::evidence::{Evidence, Reading};
use yanji::host::RecordedHost;

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");
/// A wedged driver costs a few deadlines, never this much.
const LONGEST: Duration = Duration::from_secs(60);

/// Name and machine of every rig.
fn rigs() -> impl Iterator<Item = (String, Machine)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vgpu/rigs");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| {
        let machine = Machine::new(&path).unwrap_or_else(|error| panic!("{error:#}"));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), machine)
    })
}

fn run(machine: &Machine, args: &[&str]) -> Output {
    let home = TempDir::new().unwrap();
    let mut command: Command = machine.command(Path::new(YANJI));
    command.args(args).current_dir(home.path()).env("XDG_DATA_HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    command.output().unwrap()
}

fn json(output: &Output) -> Option<Json> {
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn the_files_of_a_rig_read_as_the_rig_says() {
    for (name, machine) in rigs() {
        let evidence = collect(&RecordedHost::open(&machine.root()).unwrap());
        let on_bus = machine.rig().gpus.iter().filter(|it| it.gpu.seen_by.contains(&Source::Pci));
        assert_eq!(evidence.scope("pci").count(), 2 * on_bus.clone().count(), "{name}: a port for every GPU");
        for it in on_bus {
            compare(&name, &evidence, &it.gpu);
        }
        let version = fs::read_to_string(machine.root().join("proc/driver/nvidia/version"));
        assert_eq!(version.is_ok_and(|it| it.starts_with("NVRM version: NVIDIA UNIX ")), machine.rig().driver.loaded);
    }
}

fn compare(name: &str, evidence: &Evidence, gpu: &Gpu) {
    let part = evidence.part(&format!("pci:{}", gpu.pci.address)).unwrap();
    let hex = |id: Option<u16>, nvml: u16| format!("{:#06x}", id.unwrap_or(nvml));
    let tree = &gpu.tree;
    for (path, expected) in [
        ("pci.vendor_id", hex(tree.vendor_id, gpu.pci.vendor_id)),
        ("pci.device_id", hex(tree.device_id, gpu.pci.device_id)),
        ("pci.subsystem_vendor_id", hex(tree.subsystem_vendor_id, gpu.pci.subsystem_vendor_id)),
        ("pci.subsystem_device_id", hex(tree.subsystem_device_id, gpu.pci.subsystem_device_id)),
        ("pci.class", format!("{:#08x}", gpu.pci.class)),
        ("pci.revision", format!("{:#04x}", gpu.pci.revision)),
        ("pci.driver", tree.driver.clone().unwrap_or_else(|| "nvidia".to_owned())),
    ] {
        assert_eq!(part.text(path), Some(&*expected), "{name}: {path}");
    }
    assert_eq!(part.integer("pci.link.max_width"), Some(gpu.pcie.max_width.into()), "{name}");
    assert_eq!(part.integer("pci.link.current_width"), Some(gpu.pcie.current_width.into()), "{name}");
    let mts = |generation: u8| if generation < 3 { 2_500 * i64::from(generation) } else { 1_000 << generation };
    assert_eq!(part.integer("pci.link.max_speed_mts"), Some(mts(gpu.pcie.max_generation)), "{name}");
    assert_eq!(part.integer("pci.port.max_width"), Some(gpu.pcie.max_width.into()), "{name}");
    let (memory, largest) = (part.integer("pci.rebar_current_bytes"), part.integer("pci.rebar_max_bytes"));
    match tree.rebar_mib {
        Some([_, most]) => {
            assert_eq!(largest, Some((most as i64) << 20), "{name}");
            let bar = tree.bars_mib.map_or(gpu.memory.bar1_mib.unwrap(), |it| it[1]);
            assert_eq!(memory, Some((bar as i64) << 20), "{name}");
        }
        None => assert_eq!(part.reading("pci.rebar_max_bytes"), Some(&Reading::Absent), "{name}"),
    }
    assert!(part.text("pci.slot").is_some(), "{name}");
}

#[test]
fn the_tool_says_of_every_rig_what_the_rig_expects() {
    let mut wrong = Vec::new();
    for (name, machine) in rigs() {
        let expect = &machine.rig().expect;
        let claim = expect.claim.iter().flat_map(|claim| ["--claim", claim]);
        let args: Vec<&str> = ["inspect", "--format", "json"].into_iter().chain(claim).collect();
        let started = Instant::now();
        let output = run(&machine, &args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let Some(inspection) = json(&output) else {
            wrong.push(format!("{name}: no report: {stderr}"));
            continue;
        };
        let mut also = |what: String| wrong.push(format!("{name}: {what}"));
        if started.elapsed() > LONGEST {
            also(format!("took {:?}", started.elapsed()));
        }
        if stderr.contains("panicked") {
            also(stderr);
        }
        if inspection["evidence"]["origin"] != "simulated" {
            also(format!("origin {}", inspection["evidence"]["origin"]));
        }
        // A simulation is never accepted, and the exit code says so.
        if inspection["judgement"]["verdict"] == "accepted" || output.status.success() {
            also("accepted".to_owned());
        }
        let checks = inspection["checks"].as_array().unwrap();
        let fired = |check: &&Json| check["status"] == "fires" && check["id"].as_str().unwrap().starts_with("gpu.");
        if expect.genuine {
            let bad = |check: &&Json| check["severity"] == "high" || check["severity"] == "critical";
            for check in checks.iter().filter(fired).filter(bad) {
                also(format!("{} fires on {}: {}", check["id"], check["part"], check["witnesses"]));
            }
        }
        for rule in &expect.findings {
            if !checks.iter().filter(fired).any(|check| check["id"] == **rule) {
                let of_rule = checks.iter().find(|check| check["id"] == **rule);
                also(format!("{rule} does not fire: {}", of_rule.map_or("no such rule".to_owned(), Json::to_string)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
