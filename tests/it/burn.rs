//! Tests of `burn`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use yanji::burn::{self, Ending, FACTS, FILE_NAME, MAX_LINE_BYTES, Outcome, Record, Summary, replay};
use yanji::evidence::{EvidenceBuilder, Origin, Part, Reading};
use yanji::inspection;
use yanji::rule::Signatures;

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");

/// A folder with a profile, and where its burn goes.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(profile: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("profile.toml"), profile).unwrap();
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("burn")
    }

    fn burn(&self) -> Command {
        let mut command = Command::new(YANJI);
        command.args(["burn", "--profile"]).arg(self.folder.path().join("profile.toml")).arg("--out").arg(self.out());
        command
    }

    fn resume(&self) -> Output {
        Command::new(YANJI).args(["burn", "--resume"]).arg(self.out()).output().unwrap()
    }

    fn records(&self) -> Vec<u8> {
        fs::read(self.out().join(FILE_NAME)).unwrap_or_default()
    }

    fn summary(&self) -> Summary {
        replay(&self.records()).unwrap()
    }

    /// Waits for the worker of a phase and gives its process id.
    fn worker(&self, phase: u32) -> Pid {
        wait_for(|| {
            let records = self.records();
            let pid = lines(&records).find(|line| line["kind"] == "worker-started" && line["phase"] == phase)?["pid"]
                .as_i64()?;
            Pid::from_raw(pid as i32)
        })
    }
}

fn lines(records: &[u8]) -> impl Iterator<Item = Json> {
    records.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn part(summary: &Summary) -> Part {
    let mut builder = EvidenceBuilder::new(Origin::Live);
    burn::add_evidence(summary, &mut builder);
    builder.finish().parts.remove(0)
}

fn profile(duration: u64, memory: Option<u64>, cpu: Option<u64>, watchdog: u64) -> String {
    let mut text = format!(
        "name = \"test\"\nduration_seconds = {duration}\ntelemetry_interval_seconds = 1\nwatchdog_seconds = {watchdog}\n"
    );
    if let Some(seconds) = memory {
        text += &format!("[memory]\nphase_seconds = {seconds}\nretention_seconds = 1\nmax_bytes = 2097152\n");
    }
    if let Some(seconds) = cpu {
        text += &format!("[cpu]\nphase_seconds = {seconds}\n");
    }
    text
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_burn_that_finds_nothing_ends_clean_and_its_facts_come_from_the_records() {
    let bench = Bench::new(&profile(12, Some(6), Some(5), 60));
    let output = bench.burn().args(["--events", "-"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events: Vec<Json> = BufReader::new(&output.stdout[..])
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).expect("one JSON object a line"))
        .collect();
    assert!(events.iter().any(|event| event["kind"] == "progress"));
    let summary = bench.summary();
    assert_eq!(events.iter().filter(|event| event["seq"].is_u64()).count() as u64, summary.records);
    assert_eq!(summary.ending(), Ending::Clean);
    assert_eq!(summary.memory.tested_bytes, 2_097_152);
    let part = part(&summary);
    assert_eq!(part.facts.len(), FACTS.len());
    for fact in FACTS {
        assert!(part.reading(fact.path).is_some(), "{} is declared and not made", fact.path);
    }
    assert_eq!(part.integer("burn.memory.errors"), Some(0));
    assert_eq!(part.integer("burn.cpu.errors"), Some(0));
    assert!(part.integer("burn.cpu.checked_blocks") > Some(0));
    if !Path::new("/sys/devices/system/edac/mc/mc0").exists() {
        assert_eq!(part.reading("burn.memory.suspect_dimms"), Some(&Reading::Absent));
        assert_eq!(part.reading("burn.edac.corrected_delta"), Some(&Reading::Absent));
    }
    assert_eq!(bench.resume().status.code(), Some(2), "there is nothing to go on with");
    assert_eq!(bench.burn().output().unwrap().status.code(), Some(2), "no second burn in the same folder");
}

#[test]
fn a_bit_that_flips_in_the_worker_is_reported_with_address_and_bit() {
    const OFFSET: u64 = 0x1_2340 + 8 * 3;
    let bench = Bench::new(&profile(20, Some(20), None, 60).replace("retention_seconds = 1", "retention_seconds = 4"));
    let mut child = bench.burn().args(["--events", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    let holds = events.find(|line| line.as_ref().is_ok_and(|line| line.contains(r#""stage":"retention""#)));
    assert!(holds.is_some(), "it never held");
    let worker = bench.worker(0).as_raw_nonzero();
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
    let start = maps
        .lines()
        .filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
            // Anonymous, writable, and as long as the buffer: nothing else in a worker starts at a huge page.
            let aligned = start.next_multiple_of(2 << 20);
            (rest.starts_with("rw-p") && rest.contains(" 00:00 0") && aligned + (2 << 20) <= end).then_some(aligned)
        })
        .collect::<Vec<_>>();
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{worker}/mem"));
    let Ok(memory) = memory else {
        println!("skipped: /proc/PID/mem is not writable");
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    };
    // Thread stacks and heaps may be as large; only the buffer holds pseudo-random words all over.
    let start = start
        .into_iter()
        .find(|start| {
            let mut page = [0; 4096];
            memory.read_exact_at(&mut page, start + OFFSET / 4096 * 4096).is_ok()
                && page.iter().filter(|byte| **byte == 0).count() < 256
        })
        .expect("the buffer");
    let mut byte = [0];
    memory.read_exact_at(&mut byte, start + OFFSET + 2).unwrap();
    memory.write_all_at(&[byte[0] ^ 0x10], start + OFFSET + 2).unwrap();
    let error = events
        .map(|line| serde_json::from_str::<Json>(&line.unwrap()).unwrap())
        .find(|event| event["kind"] == "memory-error")
        .expect("the flipped bit is reported");
    assert_eq!(error["virtual_address"], format!("{:#018x}", start + OFFSET));
    assert_eq!(error["xor"], format!("{:#018x}", 0x10u64 << 16));
    assert_eq!(error["pattern"]["name"], "random");
    assert_eq!(error["persistence"], "soft");
    if rustix::process::geteuid().is_root() {
        assert!(error["physical_address"]["known"].is_string(), "{error}");
    }
    kill_process(pid(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "errors weigh more than the interruption");
    let summary = bench.summary();
    assert_eq!(summary.memory.errors, 1);
    assert_eq!(part(&summary).integer("burn.memory.errors"), Some(1));
}

#[test]
fn a_killed_burn_leaves_no_worker_and_goes_on_without_losing_a_record() {
    let bench = Bench::new(&profile(12, Some(8), Some(3), 60));
    let mut child = bench.burn().stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let worker = bench.worker(0);
    wait_for(|| lines(&bench.records()).find(|line| line["kind"] == "checkpoint"));
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    wait_for(|| (!Path::new(&format!("/proc/{}/mem", worker.as_raw_nonzero())).exists()).then_some(()));
    let before = bench.records();
    // What a power loss leaves of a record.
    let torn = br#"{"seq":99,"prev":"ab"#;
    OpenOptions::new().append(true).open(bench.out().join(FILE_NAME)).unwrap().write_all(torn).unwrap();
    let output = bench.resume();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let after = bench.records();
    assert!(after.starts_with(&before), "what was on disk stays as it was");
    let summary = replay(&after).unwrap();
    assert_eq!((summary.resumes, summary.completed, summary.torn_bytes), (1, true, 0));
    assert!(summary.active_ms >= 11_000, "the rest of the time is used: {}", summary.active_ms);
    let resume = lines(&after).find(|line| line["kind"] == "resume").unwrap();
    assert_eq!(resume["dropped_bytes"], torn.len());
    assert!(lines(&after).map(|line| line["seq"].as_u64().unwrap()).eq(0..summary.records));

    // A changed byte in the middle is refused, with its line.
    let damaged = String::from_utf8(before).unwrap().replacen("\"phase\":0", "\"phase\":1", 1);
    fs::write(bench.out().join(FILE_NAME), &damaged).unwrap();
    let output = bench.resume();
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("caused by: line "), "{}", stderr(&output));
    assert_eq!(bench.records(), damaged.as_bytes(), "and nothing is written to it");
}

#[test]
fn ctrl_c_stops_in_order_and_leaves_the_run_undecided() {
    let bench = Bench::new(&profile(600, Some(600), None, 60));
    let child = bench.burn().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.worker(0);
    wait_for(|| lines(&bench.records()).find(|line| line["kind"] == "checkpoint"));
    kill_process(pid(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let summary = bench.summary();
    assert!(summary.interrupted && !summary.finished && !summary.completed);
    assert_eq!(summary.ending(), Ending::Undecided);
    let records = bench.records();
    assert_eq!(lines(&records).last().unwrap()["kind"], "interrupted");
    assert!(lines(&records).any(|line| line["kind"] == "phase-end" && line["outcome"] == "stopped"));
}

#[test]
fn workers_that_crash_or_hang_are_findings_and_the_run_goes_on() {
    let bench = Bench::new(&profile(20, Some(5), Some(5), 10));
    let child = bench.burn().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    kill_process(bench.worker(0), Signal::KILL).unwrap();
    kill_process(bench.worker(1), Signal::STOP).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let summary = bench.summary();
    assert_eq!((summary.workers_crashed, summary.workers_hung), (1, 1), "{}", stderr(&output));
    let outcomes: Vec<&Outcome> = summary
        .findings
        .iter()
        .filter_map(|found| match &found.record {
            Record::PhaseEnd { outcome, .. } => Some(outcome),
            _ => None,
        })
        .collect();
    assert!(matches!(outcomes[0], Outcome::WorkerCrashed { signal: Some(9), .. }), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::WorkerHung { .. }), "{outcomes:?}");
    assert!(summary.completed);
    assert!(summary.memory_phases.finished > 0, "a later phase runs in time");
}

#[test]
fn memory_that_can_not_be_locked_is_tested_unlocked_and_said_to_be() {
    let bench = Bench::new(&profile(5, Some(5), None, 60));
    let burn = bench.burn();
    let mut command = Command::new("prlimit");
    command.arg("--memlock=65536:65536");
    if rustix::process::geteuid().is_root() {
        command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]);
    }
    let output = match command.arg(burn.get_program()).args(burn.get_args()).output() {
        Ok(output) if !stderr(&output).contains("setpriv") => output,
        _ => {
            println!("skipped: neither prlimit nor setpriv");
            return;
        }
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("could not be locked"), "{}", stderr(&output));
    let part = part(&bench.summary());
    assert_eq!(part.reading("burn.memory.locked"), Some(&Reading::Known(false.into())));
    assert_eq!(part.integer("burn.memory.tested_bytes"), Some(2_097_152));
}

#[test]
fn a_test_that_could_not_run_is_undecided_and_counts_no_errors() {
    let bench = Bench::new(&profile(2, Some(2), None, 60).replace("2097152", "1000"));
    let output = bench.burn().output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let part = part(&bench.summary());
    for path in ["burn.memory.errors", "burn.memory.tested_bytes", "burn.cpu.errors", "burn.memory.suspect_dimms"] {
        assert_eq!(part.reading(path).unwrap().state(), "failed", "{path}");
    }
}

#[test]
fn a_folder_that_can_not_be_written_ends_before_the_burn_starts() {
    let bench = Bench::new(&profile(600, Some(600), None, 60));
    let output =
        Command::new(YANJI).args(["burn", "--profile", "quick", "--out", "/proc/yanji-burn"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot use /proc/yanji-burn for the records"), "{}", stderr(&output));

    fs::create_dir(bench.out()).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(bench.out()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: can't mount a small file system");
        return;
    }
    let output = bench.burn().output().unwrap();
    assert!(Command::new("umount").arg(bench.out()).status().unwrap().success());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bytes free, and the records need"), "{}", stderr(&output));
}

#[test]
fn a_disk_that_fills_up_ends_the_burn_and_it_goes_on_once_there_is_room() {
    let bench = Bench::new(&profile(12, Some(12), None, 60));
    fs::create_dir(bench.out()).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=20m", "none"]).arg(bench.out()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: can't mount a small file system");
        return;
    }
    let child = bench.burn().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.worker(0);
    let filler = bench.out().join("filler");
    let full = fs::write(&filler, vec![1; 32 << 20]);
    let output = child.wait_with_output().unwrap();
    fs::remove_file(filler).unwrap();
    let resumed = bench.resume();
    let summary = bench.summary();
    assert!(Command::new("umount").arg(bench.out()).status().unwrap().success());
    assert!(full.is_err());
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("error: cannot write to"), "{}", stderr(&output));
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    assert!(summary.completed);
}

#[test]
fn a_profile_with_a_typo_is_a_usage_error_with_line_and_column() {
    let bench = Bench::new("name = \"x\"\nduration_seconds = 5\n[cpu]\n phase_secs = 5\n");
    let output = bench.burn().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 4, column 2"), "{}", stderr(&output));
    assert!(!bench.out().exists());
    let output = Command::new(YANJI).args(["burn", "--profile", "quik"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("quick, 24h, 72h, 168h"), "{}", stderr(&output));
}

/// A chain over the given records, each a JSON object without the chain's own fields.
fn chain(records: &[Json]) -> Vec<u8> {
    let mut prev = "ab".repeat(32);
    let mut bytes = Vec::new();
    for (seq, record) in records.iter().enumerate() {
        let mut line = json!({"seq": seq, "prev": prev, "at": "2026-01-02T03:04:05Z", "elapsed_ms": 1000 * seq});
        line.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
        let line = serde_json::to_vec(&line).unwrap();
        prev = hex::encode(ring::digest::digest(&ring::digest::SHA256, &line));
        bytes.extend(line);
        bytes.push(b'\n');
    }
    bytes
}

fn start() -> Json {
    json!({
        "kind": "start", "format": 1, "tool_version": "0", "seed": 1, "cpus": 2,
        "profile": {"name": "x", "duration_seconds": 9, "memory": {"phase_seconds": 5}, "cpu": {"phase_seconds": 5}},
        "memory_total_bytes": {"known": 1000}, "boot_id": "absent",
    })
}

fn memory(tested: u64, errors: u64) -> Json {
    json!({
        "of": "memory", "tested_bytes": tested, "written_bytes": 10, "verified_bytes": tested,
        "timed_verified_bytes": 0, "timed_milliseconds": 0, "passes": 1, "errors": errors,
    })
}

/// The records of a run that was interrupted and found something.
pub fn records() -> Vec<u8> {
    chain(&[
        start(),
        json!({"kind": "phase-start", "phase": 0, "load": "memory", "seconds": 5}),
        json!({"kind": "checkpoint", "phase": 0, "counters": memory(100, 1)}),
        json!({"kind": "resume", "boot_id": "absent", "dropped_bytes": 3}),
        json!({"kind": "phase-start", "phase": 1, "load": "memory", "seconds": 5}),
        json!({"kind": "phase-end", "phase": 1, "outcome": "finished", "counters": memory(250, 0)}),
    ])
}

#[test]
fn totals_add_up_over_phases_and_sessions() {
    let summary = replay(&chain(&[
        start(),
        json!({"kind": "phase-start", "phase": 0, "load": "memory", "seconds": 5}),
        json!({"kind": "checkpoint", "phase": 0, "counters": memory(100, 1)}),
        json!({"kind": "checkpoint", "phase": 0, "counters": memory(500, 2)}),
        // Power loss here.
        json!({"kind": "resume", "boot_id": "absent", "dropped_bytes": 3}),
        json!({"kind": "phase-start", "phase": 1, "load": "memory", "seconds": 5}),
        json!({"kind": "phase-end", "phase": 1, "outcome": "finished", "counters": memory(250, 0)}),
    ]))
    .unwrap();
    assert_eq!((summary.memory.errors, summary.memory.tested_bytes), (2, 500));
    assert_eq!((summary.memory.verified_bytes, summary.resumes, summary.phases_ended), (750, 1, 1));
    let part = part(&summary);
    assert_eq!(part.integer("burn.memory.coverage_percent"), Some(50));
    assert_eq!(part.reading("burn.cpu.errors").unwrap().state(), "failed");
}

#[test]
fn a_worker_that_dies_before_it_verified_anything_leaves_no_number_of_errors() {
    let summary = replay(&chain(&[
        start(),
        json!({"kind": "phase-start", "phase": 0, "load": "memory", "seconds": 5}),
        json!({"kind": "phase-end", "phase": 0, "outcome": "worker-crashed", "signal": 9, "stderr": ""}),
        json!({"kind": "finish", "completed": true}),
    ]))
    .unwrap();
    let part = part(&summary);
    assert_eq!(
        part.reading("burn.memory.errors"),
        Some(&Reading::Failed("the memory test checked nothing: its worker died of signal 9".to_owned()))
    );
    assert_eq!(part.integer("burn.workers.crashed"), Some(1));
}

#[test]
fn a_run_is_complete_only_when_its_time_was_used_and_its_loads_ran() {
    let phase = |phase: u32, load: &str, outcome: &str| {
        [
            json!({"kind": "phase-start", "phase": phase, "load": load, "seconds": 1}),
            json!({"kind": "phase-end", "phase": phase, "outcome": outcome, "reason": "test"}),
        ]
    };
    let completed = |seconds: u64, second_load: &str, second_outcome: &str| {
        let mut first = start();
        first["profile"]["duration_seconds"] = seconds.into();
        let mut records = vec![first];
        records.extend(phase(0, "memory", "finished"));
        records.extend(phase(1, second_load, second_outcome));
        records.push(json!({"kind": "finish", "completed": true}));
        replay(&chain(&records)).unwrap().completed
    };
    assert!(completed(6, "cpu", "finished"));
    assert!(!completed(168 * 3600, "cpu", "finished"), "five seconds are no week");
    assert!(!completed(6, "memory", "finished"), "no processor was loaded");
    assert!(!completed(6, "cpu", "failed"), "the processors could not be loaded");

    let mut renamed = start();
    renamed["profile"]["name"] = "168h".into();
    assert!(replay(&chain(&[renamed])).unwrap_err().to_string().contains("profile is not valid"));
}

#[test]
fn every_changed_byte_breaks_the_chain_or_its_head() {
    let good = chain(&[
        start(),
        json!({"kind": "sensors", "temperatures": ["a\u{1b}[2J"]}),
        json!({"kind": "phase-start", "phase": 0, "load": "memory", "seconds": 5}),
        json!({"kind": "phase-end", "phase": 0, "outcome": "finished", "counters": memory(250, 0)}),
        json!({"kind": "finish", "completed": true}),
    ]);
    let head = replay(&good).unwrap();
    for index in 0..good.len() {
        for bit in [0x01, 0x20] {
            let mut bad = good.clone();
            bad[index] ^= bit;
            if let Ok(summary) = replay(&bad) {
                let same = (summary.head, summary.records, summary.genesis)
                    == (head.head.clone(), head.records, head.genesis.clone());
                assert!(!same, "byte {index}");
            }
        }
    }
    for cut in 0..good.len() {
        let Ok(summary) = replay(&good[..cut]) else { continue };
        assert!(summary.records < head.records);
    }
}

#[test]
fn records_that_make_no_sense_are_refused_with_their_line() {
    let refused = |records: &[Json]| replay(&chain(records)).unwrap_err().to_string();
    assert!(replay(b"").is_err());
    assert!(replay(&vec![b'x'; MAX_LINE_BYTES + 2]).unwrap_err().to_string().contains("line 1 is longer"));
    assert!(refused(&[json!({"kind": "interrupted"})]).contains("line 1 makes no sense"));
    assert!(refused(&[start(), start()]).contains("a second start"));
    let checkpoint = json!({"kind": "checkpoint", "phase": 0, "counters": memory(1, 0)});
    assert!(refused(&[start(), checkpoint.clone()]).contains("line 2"));
    let finish = json!({"kind": "finish", "completed": true});
    assert!(refused(&[start(), finish.clone(), finish]).contains("the run had ended"));
    let cpu = json!({"kind": "phase-start", "phase": 0, "load": "cpu", "seconds": 5});
    assert!(refused(&[start(), cpu, checkpoint]).contains("counters of another load"));
}

/// A record about a GPU, or one between which it may stand, with numbers that no worker sends.
fn gpu_record(kind: usize, n: [u64; 4], word: &str) -> Json {
    let gpu = if n[0].is_multiple_of(3) { "0000:02:00.0" } else { "0000:01:00.0" };
    let small = [n[1] as u32, n[2] as u32];
    let steps = ["setup", "self-test", "address", "compute", "load", "pulse"];
    let step = steps[(n[3] % 6) as usize];
    let distribution = json!({"samples": n[0], "min": n[1], "median": n[2], "max": n[3]});
    let counters = json!({
        "total_bytes": n[0], "free_bytes": n[1], "allocated_bytes": n[2], "tested_bytes": n[3], "written_bytes": n[0],
        "verified_bytes": n[1], "memory_errors": n[2], "aliased": n[3], "first_wrong": n[0], "last_wrong": n[1],
        "first_aliased": n[2], "wrong_bits": word, "bits_lost": n[0], "bits_gained": n[1], "checked_blocks": n[2],
        "compute_errors": n[3], "bad_sms": small,
    });
    match kind {
        0 => json!({"kind": "gpus", "addresses": ["0000:01:00.0", "0000:02:00.0"]}),
        1 => json!({"kind": "gpu-start", "gpu": gpu, "pid": small[0]}),
        2 => json!({"kind": "gpu-identity", "gpu": gpu, "identity": {
            "name": word, "uuid": word, "address": gpu, "compute_capability": small, "sm_count": small[0],
            "memory_bytes": n[0], "l2_bytes": n[1], "clock_khz": n[2], "memory_clock_khz": n[3], "bus_width_bits": n[0],
            "compute_mode": word, "ecc": true, "driver_version": small[1], "simulated": small[0],
        }}),
        3 => json!({"kind": "gpu-kernel", "gpu": gpu, "test": {
            "kernel": word, "file": word, "sha256": word, "form": "ptx", "failure": if n[0].is_multiple_of(2) { Json::Null } else { word.into() },
        }}),
        4 => json!({"kind": "gpu-measurement", "gpu": gpu, "measurement": {
            "quantity": "read", "unit": "MB/s", "distribution": distribution, "method": word, "kernel": null, "seed": small[0],
        }}),
        5 => json!({"kind": "gpu-missing", "gpu": gpu, "missing": {"quantity": "sm-count", "reason": word}}),
        6 => json!({"kind": "gpu-step", "gpu": gpu, "step": step, "counters": counters}),
        7 => json!({"kind": "gpu-memory-error", "gpu": gpu, "error": {
            "offset": word, "expected": word, "found": word, "fault": word, "content_of": word, "pattern": word, "sm": small[0],
        }}),
        8 => json!({"kind": "gpu-compute-error", "gpu": gpu, "error": {
            "kernel": word, "sm": small[0], "expected": word, "found": word, "known_answer": false,
        }}),
        9 => json!({"kind": "gpu-sample", "gpu": gpu, "step": step, "counters": counters, "telemetry": {"known": {
            "samples": n[0], "milliseconds": n[1], "power_milliwatts": distribution, "gpu_celsius": distribution,
            "slowdown_celsius": n[2], "margin_celsius": n[3] as i64, "throttle": {"thermal": n[0], word: n[1]},
            "counters": {"ecc.corrected": n[2], word: n[3]}, "xids": n, "lost": true,
        }}}),
        10 => json!({"kind": "gpu-end", "gpu": gpu, "outcome": "worker-hung", "step": step, "seconds": n[0],
            "last_step": step, "counters": counters}),
        11 => json!({"kind": "gpu-end", "gpu": gpu, "outcome": "finished", "last_step": step, "counters": null}),
        12 => json!({"kind": "resume", "boot_id": "absent", "dropped_bytes": n[0]}),
        _ => json!({"kind": "finish", "completed": true}),
    }
}

fn number() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1, 2, 999, u32::MAX.into(), (1 << 50) - 1, 1 << 50, (1 << 53) - 1, u64::MAX - 1, u64::MAX];
    prop_oneof![proptest::sample::select(edges), 0u64..5000, any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each record is one that the chain takes where it is: what is refused is left out, so that the rest is reached.
    #[test]
    fn records_of_gpus_never_panic(
        picks in proptest::collection::vec((0usize..14, [number(), number(), number(), number()], "[a-z0-9.\\PC]{0,40}"), 0..40),
    ) {
        let mut first = start();
        first["profile"]["gpu"] = json!({});
        let mut records = vec![first, gpu_record(0, [0; 4], "")];
        for (kind, numbers, word) in picks {
            records.push(gpu_record(kind, numbers, &word));
            if replay(&chain(&records)).is_err() {
                records.pop();
            }
        }
        let summary = replay(&chain(&records)).unwrap();
        let mut builder = EvidenceBuilder::new(Origin::Live);
        burn::add_evidence(&summary, &mut builder);
        let evidence = builder.finish();
        let simulated = summary.gpus.values().any(|gpu| gpu.identity.as_ref().is_some_and(|it| it.simulated.is_some()));
        prop_assert_eq!(evidence.origin == Origin::Simulated, simulated);
        serde_json::to_vec(&summary).unwrap();
        inspection::assess(evidence, &Signatures::embedded().unwrap());
    }

    #[test]
    fn replay_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = replay(&bytes);
    }
}
