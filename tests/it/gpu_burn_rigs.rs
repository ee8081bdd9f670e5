//! Every shipped rig of the virtual driver is burned in and judged: `yanji certify`, and the verdict that the rig expects.
//!
//! The test policy is the shipped one with three differences: it takes simulated machines, it needs nothing of the host
//! (this one may be a container without SMBIOS), and nothing of a burn-in of the host. What it needs of GPUs stays. Two rules
//! are left out, which would say of the simulation what it is: a driver that no package has, and a virtual machine.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use serde_json::Value as Json;
use tempfile::TempDir;
use vgpu::launch::Machine;
use vgpu::rig::Rig;

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");
/// Memory of the largest GPU of a rig.
const CUDA_MIB: &str = "24";
/// Everything once and nothing twice: no turns, and so little time for what can be cut short that a slow machine does not do less.
/// An SM still gets through six million arithmetic instructions, all of them checked: one wrong in a million is no matter of luck.
const BRIEF: &str = "name = \"brief\"\nduration_seconds = 400\ntelemetry_interval_seconds = 1\nwatchdog_seconds = 10\n\
                     [gpu]\npatterns_seconds = 0\nload_seconds = 0\npulse_seconds = 0\nmeasure_seconds = 1\n";

/// What one rig led to.
struct Row {
    name: String,
    seconds: f64,
    expected: String,
    found: String,
    wrong: Vec<String>,
}

#[test]
fn every_rig_is_burned_in_and_judged_as_it_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vgpu/rigs");
    let only = std::env::var("YANJI_TEST_RIGS").unwrap_or_default();
    let mut rigs: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .filter(|(name, _)| only.split(',').any(|wanted| wanted.is_empty() || wanted == name))
        .collect();
    rigs.sort();
    let signatures = signatures();
    let before = processor_seconds();
    // Some wait for deadlines while others compute.
    let queue = Mutex::new(rigs.into_iter());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((name, text)) = next else { break };
                    let row = judge(name, &text, signatures.path());
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    println!("{:28} {:>7}  {:50} found", "rig", "seconds", "expected");
    for row in &rows {
        println!("{:28} {:7.1}  {:50} {}", row.name, row.seconds, row.expected, row.found);
    }
    println!("{} rigs, {:.0} s of processor time", rows.len(), processor_seconds() - before);
    let wrong: Vec<String> =
        rows.iter().flat_map(|row| row.wrong.iter().map(|what| format!("{}: {what}", row.name))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(name: String, text: &str, signatures: &Path) -> Row {
    let machine = Machine::of(&small(text)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let expect = machine.rig().expect.clone();
    let started = Instant::now();
    let output = certify(&machine, expect.claim.as_deref(), signatures);
    let seconds = started.elapsed().as_secs_f64();
    let verdict = expect.burned.clone().unwrap_or(if expect.genuine { "accepted" } else { "not accepted" }.to_owned());
    let rules: Vec<&str> = expect.findings.iter().chain(&expect.burn).map(String::as_str).collect();
    let mut row =
        Row { name, seconds, expected: format!("{verdict} {}", rules.join(" ")), found: String::new(), wrong: vec![] };
    let Ok(certified) = serde_json::from_slice::<Json>(&output.stdout) else {
        row.wrong.push(format!("no report: {}", String::from_utf8_lossy(&output.stderr)));
        return row;
    };
    let inspection = &certified["inspection"];
    let found = inspection["judgement"]["verdict"].as_str().unwrap();
    let checks = inspection["checks"].as_array().unwrap();
    let fires: Vec<&Json> = checks.iter().filter(|check| check["status"] == "fires").collect();
    let fired = |rule: &str| fires.iter().any(|check| check["id"] == rule);
    let mut severe: Vec<&str> = fires
        .iter()
        .filter(|check| check["severity"] == "high" || check["severity"] == "critical")
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    severe.dedup();
    row.found = format!("{found} {}", severe.join(" "));
    if !(verdict == found || verdict == "not accepted" && found != "accepted") {
        row.wrong.push(format!("{found} instead of {verdict}: {}", inspection["judgement"]["reasons"]));
    }
    if inspection["evidence"]["origin"] != "simulated" {
        row.wrong.push(format!("origin {}", inspection["evidence"]["origin"]));
    }
    for rule in rules.iter().filter(|rule| !fired(rule)) {
        let of_rule = checks.iter().find(|check| check["id"] == **rule);
        row.wrong.push(format!("{rule} does not fire: {}", of_rule.map_or("no such rule".to_owned(), Json::to_string)));
    }
    // Of a genuine rig nothing severe may be said but what the rig names.
    if expect.genuine {
        // A burn-in that did not come to its end says so.
        let cut_off =
            |rule: &str| verdict != "accepted" && (rule == "burn.incomplete" || rule == "gpu.burn-unfinished");
        let other = severe.iter().filter(|rule| !rules.contains(rule) && !cut_off(rule));
        row.wrong.extend(other.map(|rule| format!("{rule} fires")));
    }
    row.wrong.extend(witnesses(&row.name, inspection));
    row.wrong.extend(measured(&certified["gpus"]));
    row
}

/// Every GPU that came to its end has its results beside the facts, and the cache that its driver tells.
fn measured(gpus: &Json) -> Vec<String> {
    let ended = gpus.as_object().into_iter().flatten().filter(|(_, gpu)| gpu["outcome"]["outcome"] == "finished");
    let wrong = ended.filter_map(|(address, gpu)| {
        let told = gpu["identity"]["l2_bytes"].as_u64().unwrap_or(0);
        let found = gpu["measurements"]["l2-bytes"]["distribution"]["median"].as_u64().unwrap_or(0);
        // Rings are half an octave apart.
        let near = found * 10 >= told * 6 && found * 10 <= told * 12;
        (!near).then(|| format!("{address} has {told} bytes of cache, and {found} were measured"))
    });
    wrong.collect()
}

/// What some findings have to name.
fn witnesses(rig: &str, inspection: &Json) -> Vec<String> {
    let parts = inspection["evidence"]["parts"].as_array().unwrap();
    let fact = |path: &str| parts.iter().find_map(|part| part["facts"].get(path)?["reading"].get("known"));
    let mut wrong = Vec::new();
    match rig {
        "rtx-4090-48gb-aliased" => {
            let named = fact("gpu.burn.first_aliased_address").and_then(Json::as_str);
            let address = named.and_then(|it| u64::from_str_radix(it.trim_start_matches("0x"), 16).ok());
            // Where the memory ends, less what the driver keeps before the memory under test.
            let end = 24_564u64 << 20;
            if !address.is_some_and(|it| (end - (2 << 30)..=end).contains(&it)) {
                wrong.push(format!("the first aliased address is {named:?}"));
            }
        }
        "fault-bad-sm" => {
            let bad = fact("gpu.burn.bad_sms").map(Json::to_string);
            if bad.as_deref() != Some("[\"sm77\"]") {
                wrong.push(format!("the bad SMs are {bad:?}"));
            }
        }
        "fault-xid-ecc" => {
            let xids = fact("gpu.burn.xids").map(Json::to_string);
            if xids.as_deref() != Some("[\"48\"]") {
                wrong.push(format!("the XIDs are {xids:?}"));
            }
        }
        "fault-under-load" => {
            // Only the fifth counts errors of its links, and the counts of its life are not among them.
            let checks = inspection["checks"].as_array().unwrap();
            for (rule, fact) in [
                ("gpu.burn-pcie-replays", "gpu.burn.link.replays_growth"),
                ("gpu.burn-nvlink-errors", "gpu.burn.nvlink.errors_growth"),
            ] {
                let growth = |part: &Json| part["facts"][fact]["reading"]["known"].as_i64();
                let grown: Vec<(&str, Option<i64>)> = parts
                    .iter()
                    .filter(|part| part["scope"] == "gpu")
                    .map(|part| (part["id"].as_str().unwrap(), growth(part)))
                    .collect();
                let said: Vec<(&str, &str)> = grown
                    .iter()
                    .map(|(id, _)| {
                        let check = checks.iter().find(|check| check["id"] == rule && check["part"] == *id);
                        (*id, check.and_then(|it| it["status"].as_str()).unwrap_or("nothing"))
                    })
                    .collect();
                let quiet = |at: usize| grown[at].1 == Some(0) && said[at].1 == "clear";
                let loud = grown[4].1.is_some_and(|count| (50..4000).contains(&count)) && said[4].1 == "fires";
                if !(0..4).all(quiet) || !loud {
                    wrong.push(format!("{rule}: {grown:?} {said:?}"));
                }
            }
        }
        "fault-lost-under-load" | "fault-hang-under-load" => {
            let done = parts.iter().filter(|part| part["scope"] == "gpu");
            let finished = done.filter(|part| part["facts"]["gpu.burn.completed"]["reading"]["known"] == true).count();
            if finished != 1 {
                wrong.push(format!("{finished} other GPUs finished"));
            }
        }
        _ => {}
    }
    wrong
}

fn certify(machine: &Machine, claim: Option<&str>, signatures: &Path) -> Output {
    let home = TempDir::new().unwrap();
    let profile = home.path().join("brief.toml");
    fs::write(&profile, BRIEF).unwrap();
    let mut command = machine.command(Path::new(YANJI));
    command.args(["certify", "--format", "json", "--out", "report", "--profile"]).arg(&profile);
    command.args(claim.iter().flat_map(|claim| ["--claim", claim]));
    command.arg("--signatures").arg(signatures).env("VGPU_CUDA_MIB", CUDA_MIB);
    command.current_dir(home.path()).env("XDG_DATA_HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    command.stdin(Stdio::null()).output().unwrap()
}

/// The rig with as few GPUs as it needs: one of each table, or as many as its faults count.
fn small(text: &str) -> String {
    let mut rig: toml::Table = text.parse().unwrap();
    let position = |table: &toml::Value| table.get("gpu").and_then(toml::Value::as_integer).unwrap_or(0);
    let faults = ["fault", "change", "cuda_fault"].iter().filter_map(|list| rig.get(*list)?.as_array());
    let most = faults.flatten().map(position).max().unwrap_or(0);
    let whole: Rig = Rig::parse(text).unwrap();
    for gpu in rig.get_mut("gpu").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        let gpu = gpu.as_table_mut().unwrap();
        let count = gpu.get("count").and_then(toml::Value::as_integer).unwrap_or(1);
        // One that comes after the faulty one shows that the others go on.
        let wanted =
            if most > 0 { most + 1 } else { i64::from(whole.cuda_faults.iter().any(|it| it.gpu.is_some())) + 1 };
        gpu.insert("count".to_owned(), count.min(wanted).into());
    }
    toml::to_string(&rig).unwrap()
}

/// The shipped signatures with a policy for simulations.
fn signatures() -> TempDir {
    let folder = TempDir::new().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("signatures"), folder.path());
    for rule in ["driver/library-foreign.toml", "platform/virtual-machine.toml"] {
        fs::remove_file(folder.path().join(rule)).unwrap();
    }
    let path = folder.path().join("policy.toml");
    let mut policy: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    policy.insert("name".to_owned(), "simulation".into());
    policy.insert("origins".to_owned(), vec!["live", "simulated"].into());
    policy.insert("required".to_owned(), toml::Value::Array(Vec::new()));
    policy.insert("required_after_burn".to_owned(), vec!["burn.incomplete", "burn.worker-failed"].into());
    fs::write(path, toml::to_string(&policy).unwrap()).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Processor time of all children that have ended, in seconds.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // cutime and cstime of proc(5), in hundredths of a second.
    fields[13..15].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
