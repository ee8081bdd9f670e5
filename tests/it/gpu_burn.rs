//! The burn of GPUs: the built binary on rigs of the virtual driver.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use vgpu::launch::Machine;
use yanji::attest::Digest;
use yanji::burn::gpu::{Distribution, GpuSummary, Outcome, Quantity, Step, Throttle, Window};
use yanji::burn::{self, Ending, FILE_NAME, FORMAT, GPU_FACTS, Line, Profile, Record, Summary, replay};
use yanji::evidence::{EvidenceBuilder, Origin, Part, Reading};
use yanji::inspection::{self, Inspection};
use yanji::rule::Signatures;

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");
pub(crate) const FIRST: &str = "0000:01:00.0";
pub(crate) const SECOND: &str = "0000:11:00.0";

/// The turns of a profile that does everything once.
const BRIEF: &str = "patterns_seconds = 0\nload_seconds = 0\npulse_seconds = 0\nmeasure_seconds = 2\n";

/// A machine with small GPUs, and where its burn goes.
pub(crate) struct Bench {
    machine: Machine,
    folder: TempDir,
    /// Two interpreters at once would get too little done in their time.
    _alone: MutexGuard<'static, ()>,
}

/// Until it is dropped, no other interpreter of these tests runs.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// Everything once, as fast as it goes: slow machines need longer and do the same.
    pub(crate) fn brief(rig: &str, watchdog: u64) -> Self {
        Self::with(rig, watchdog, BRIEF)
    }

    /// Everything once and then turns of so many seconds, until whoever waits for something interrupts it.
    pub(crate) fn turns(rig: &str, patterns: u64, load: u64, pulse: u64) -> Self {
        let turns = format!("patterns_seconds = {patterns}\nload_seconds = {load}\npulse_seconds = {pulse}\n");
        Self::with(rig, 60, &(turns + "retention_seconds = 1\nmeasure_seconds = 2\n"))
    }

    fn with(rig: &str, watchdog: u64, gpu: &str) -> Self {
        let head = "name = \"gpu\"\nduration_seconds = 600\ntelemetry_interval_seconds = 1";
        Self::of_profile(rig, &format!("{head}\nwatchdog_seconds = {watchdog}\n[gpu]\n{gpu}"))
    }

    /// `rig` follows the head of a rig file.
    pub(crate) fn of_profile(rig: &str, profile: &str) -> Self {
        let text = format!("title = \"x\"\nabout = \"x\"\nexpect.failure = true\n{rig}");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("profile.toml"), profile).unwrap();
        Self { machine: Machine::of(&text).unwrap(), folder, _alone: alone() }
    }

    pub(crate) fn burn(&self) -> Command {
        let mut command = self.machine.command(Path::new(YANJI));
        command.args(["burn", "--profile"]).arg(self.folder.path().join("profile.toml"));
        command.arg("--out").arg(self.folder.path().join("burn"));
        command.env("VGPU_LAUNCHES", self.folder.path().join("launches"));
        command
    }

    pub(crate) fn start(&self) -> Running {
        Self::spawn(self.burn())
    }

    /// Goes on with the burn that was started.
    pub(crate) fn resume(&self) -> Running {
        let mut command = self.machine.command(Path::new(YANJI));
        command.args(["burn", "--resume"]).arg(self.folder.path().join("burn"));
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Running {
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn records_file(&self) -> PathBuf {
        self.folder.path().join("burn").join(FILE_NAME)
    }

    pub(crate) fn records(&self) -> Vec<u8> {
        fs::read(self.records_file()).unwrap_or_default()
    }

    /// Lines of the virtual driver's log of launches.
    pub(crate) fn launches(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("launches")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        replay(&self.records()).unwrap()
    }

    /// Runs to the end.
    pub(crate) fn run(&self) -> (Option<i32>, Summary) {
        let status = self.start().wait().unwrap();
        (status.code(), self.summary())
    }

    /// Ctrl-C. Gives the exit status.
    pub(crate) fn interrupt(&self, child: &mut Child) -> Option<i32> {
        kill_process(Pid::from_child(child), Signal::INT).unwrap();
        child.wait().unwrap().code()
    }

    /// A process of that hidden command on this machine.
    pub(crate) fn child(&self, command: &str) -> Option<Pid> {
        let state = self.machine.state_file();
        let ours = |folder: &Path| {
            let line = fs::read(folder.join("cmdline")).unwrap_or_default();
            let environment = fs::read(folder.join("environ")).unwrap_or_default();
            let state = format!("VGPU_STATE={}", state.display());
            line.split(|&byte| byte == 0).any(|word| word == command.as_bytes())
                && environment.split(|&byte| byte == 0).any(|word| word == state.as_bytes())
        };
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let found =
            processes.filter(|folder| ours(folder)).find_map(|folder| folder.file_name()?.to_str()?.parse().ok());
        found.and_then(Pid::from_raw)
    }

    pub(crate) fn wait_for_child(&self, command: &str) -> Pid {
        self.wait_for_other_child(command, Pid::INIT)
    }

    /// One that is not that one.
    pub(crate) fn wait_for_other_child(&self, command: &str, than: Pid) -> Pid {
        let start = Instant::now();
        loop {
            if let Some(pid) = self.child(command).filter(|pid| *pid != than) {
                return pid;
            }
            assert!(start.elapsed() < Duration::from_secs(200), "waited in vain");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for<T>(&self, look: impl Fn(&Json) -> Option<T>) -> T {
        self.wait_for_after(0, look)
    }

    /// The same behind so many bytes of the records.
    pub(crate) fn wait_for_after<T>(&self, bytes: usize, look: impl Fn(&Json) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let records = self.records();
            let mut lines = records[bytes.min(records.len())..]
                .split(|&byte| byte == b'\n')
                .filter_map(|line| serde_json::from_slice(line).ok());
            if let Some(found) = lines.find_map(|line: Json| look(&line)) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(200), "waited in vain");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A burn that ends with the test: one that goes on takes the time of the tests behind it.
pub(crate) struct Running(Child);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn card(more: &str) -> String {
    format!("[[gpu]]\nlike = \"rtx-4090\"\n{more}\n")
}

pub(crate) const SMALL: &str = "cuda = { memory_mib = 32, multiprocessors = 4, l2_kib = 8192 }";

pub(crate) fn part(summary: &Summary, address: &str) -> Part {
    let mut builder = EvidenceBuilder::new(Origin::Live);
    burn::add_evidence(summary, &mut builder);
    builder.finish().part(&format!("gpu:{address}")).unwrap().clone()
}

/// What the shipped rules make of it.
pub(crate) fn assess(summary: &Summary) -> Inspection {
    let mut builder = EvidenceBuilder::new(Origin::Live);
    burn::add_evidence(summary, &mut builder);
    inspection::assess(builder.finish(), &Signatures::embedded().unwrap())
}

/// What a rule says of a GPU, in a word.
pub(crate) fn said(inspection: &Inspection, rule: &str, address: &str) -> &'static str {
    let part = format!("gpu:{address}");
    let check = inspection.checks.iter().find(|check| check.id == rule && check.part == part);
    check.map_or("nothing", |check| check.outcome.status())
}

pub(crate) fn gpu<'a>(summary: &'a Summary, address: &str) -> &'a GpuSummary {
    &summary.gpus[address]
}

pub(crate) fn not_measured(bench: &Bench) -> String {
    let (code, summary) = bench.run();
    assert_eq!(code, Some(3), "undecided");
    let Some(Outcome::NotMeasured { reason }) = &gpu(&summary, FIRST).outcome else {
        panic!("{:?}", gpu(&summary, FIRST).outcome);
    };
    let part = part(&summary, FIRST);
    for path in ["gpu.burn.memory_errors", "gpu.burn.compute_errors", "gpu.burn.sm_count", "gpu.burn.coverage_permille"]
    {
        assert!(matches!(part.reading(path), Some(Reading::Failed(_))), "{path} is no number");
    }
    reason.clone()
}

#[test]
fn a_good_gpu_is_measured_from_end_to_end_and_its_facts_come_from_the_records() {
    let bench = Bench::brief(&card(SMALL), 60);
    let output = bench.burn().args(["--format", "json"]).output().unwrap();
    let summary = bench.summary();
    let gpu = gpu(&summary, FIRST);
    assert_eq!(output.status.code(), Some(0), "{:?} {:?}", gpu.outcome, gpu.done);
    told_in_the_end(&serde_json::from_slice(&output.stdout).unwrap(), summary.seed);
    assert_eq!((summary.ending(), gpu.has_errors()), (Ending::Clean, false));
    assert_eq!(gpu.not_validated(), Vec::<String>::new());
    let part = part(&summary, FIRST);
    for fact in GPU_FACTS {
        assert!(part.reading(fact.path).is_some(), "{} is declared and not made", fact.path);
    }
    assert!(
        part.integer("gpu.burn.coverage_permille") >= Some(960),
        "{:?}",
        part.reading("gpu.burn.coverage_permille")
    );
    assert_eq!(part.integer("gpu.burn.memory_errors"), Some(0));
    assert_eq!(part.integer("gpu.burn.sm_count"), Some(4));
    assert!(part.integer(Quantity::Read.fact()) > Some(0));
    assert!(part.integer(Quantity::ClocksFp16.fact()).is_some_and(|ops| (200_000..=256_000).contains(&ops)));
    assert_eq!(part.reading(Quantity::RateFp4.fact()), Some(&Reading::Unsupported), "Ada has no FP4");
    assert!(part.integer("gpu.burn.clock.sm_median_mhz") > Some(0));
}

#[test]
fn patterns_load_and_pulse_take_turns_and_are_told_while_they_run() {
    let bench = Bench::turns(&card(SMALL), 4, 4, 2);
    let events = bench.folder.path().join("events");
    let mut command = bench.burn();
    command.arg("--events").arg(&events);
    let mut child = Bench::spawn(command);
    for step in ["patterns", "load", "pulse"] {
        bench.wait_for(|line| (line["kind"] == "gpu-step" && line["step"] == step).then_some(()));
    }
    // Rates of both kinds, with heat and power beside them.
    let start = Instant::now();
    while !told_while_it_ran(&fs::read(&events).unwrap()).is_superset(&["GB/s".into(), "TFLOPS".into()].into()) {
        assert!(start.elapsed() < Duration::from_secs(200), "waited in vain");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(bench.interrupt(&mut child), Some(3));
    let summary = bench.summary();
    let gpu = gpu(&summary, FIRST);
    assert_eq!((&gpu.outcome, gpu.has_errors()), (&Some(Outcome::Stopped), false));
    assert!(gpu.turns >= 3 && Step::ONCE.iter().all(|step| gpu.done.contains(step)), "{:?}", gpu.done);
}

/// Units of the rates that events tell together with phase, heat, power, errors and what is left.
fn told_while_it_ran(events: &[u8]) -> std::collections::BTreeSet<String> {
    let events = events.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Json>(line).ok());
    let told = events.filter(|event| event["gpus"].is_array()).map(|event| event["gpus"][0].clone());
    let mut seen = std::collections::BTreeSet::new();
    for gpu in told {
        assert_eq!((&gpu["gpu"], &gpu["errors"]), (&FIRST.into(), &0.into()));
        let known = gpu["celsius"].as_u64() > Some(0) && gpu["milliwatts"].as_u64() > Some(0);
        let left = gpu["eta_seconds"].as_u64().is_some_and(|left| left <= 600);
        if gpu["rate"].as_u64() > Some(0) && known && left {
            assert!(gpu["step"].as_str().is_some_and(|step| !step.is_empty()), "{gpu}");
            seen.insert(gpu["unit"].as_str().unwrap().to_owned());
        }
    }
    seen
}

/// Each result with all that says how it came about.
fn told_in_the_end(summary: &Json, seed: u32) {
    let gpu = &summary["gpus"][FIRST];
    let sums = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/built/SHA256SUMS")).unwrap();
    for (name, unit, kernel) in [
        ("read", "MB/s", "bandwidth_read"),
        ("rate-fp16", "GFLOP/s", "compute_f16"),
        ("rate-int8", "GOP/s", "compute_s8"),
        ("slow-small-regions", "permille", "bandwidth_region"),
        ("memory-latency", "clocks", "fingerprint_latency"),
    ] {
        let result = &gpu["measurements"][name];
        assert_eq!((&result["unit"], &result["kernel"]), (&unit.into(), &kernel.into()), "{result}");
        assert_eq!(result["seed"], seed, "{result}");
        assert!(result["method"].as_str().is_some_and(|method| method.len() > 10), "{result}");
        let values = &result["distribution"];
        assert!(
            values["min"].as_u64() <= values["median"].as_u64() && values["samples"].as_u64() > Some(0),
            "{result}"
        );
        let test = &gpu["kernels"][kernel];
        let digest = format!("{}  {}\n", test["sha256"].as_str().unwrap(), test["file"].as_str().unwrap());
        assert!(sums.contains(&digest) && test["failure"].is_null(), "{test}");
    }
    let rows = gpu["latencies"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["sm"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(rows.iter().all(|row| row["clocks"].as_array().unwrap().len() == 16));
}

#[test]
fn memory_that_is_not_there_is_found_by_its_first_address() {
    let rig = card("cuda = { memory_mib = 32, real_mib = 16, multiprocessors = 4 }");
    let (code, summary) = Bench::brief(&rig, 60).run();
    assert_eq!(code, Some(1));
    let part = part(&summary, FIRST);
    assert!(part.integer("gpu.burn.aliased_vectors") > Some(0));
    // The context's own memory lies before what is under test.
    let first = part.text("gpu.burn.first_aliased_address").unwrap();
    let first = u64::from_str_radix(first.trim_start_matches("0x"), 16).unwrap();
    assert!((15 << 20..=16 << 20).contains(&first), "{first:#x}");
    assert!(part.integer("gpu.burn.coverage_permille") < Some(600));
}

#[test]
fn an_sm_that_is_wrong_is_named_and_a_stuck_bit_has_its_address() {
    let rig = card(SMALL)
        + "[[cuda_fault]]\neffect = { bad-multiprocessor = { multiprocessor = 3, one_in = 1 } }\n"
        + "[[cuda_fault]]\neffect = { stuck-bit = { address = 0x800005, bit = 3, value = true } }\n"
        + "[[cuda_fault]]\neffect = { slow-region = { from = 0x400000, to = 0x800000, factor = 9.0 } }\n";
    let bench = Bench::brief(&rig, 60);
    let output = bench.burn().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let summary = bench.summary();
    // A person sees the errors as they come, and each result with all that says how it came about.
    let progress = String::from_utf8(output.stderr).unwrap();
    for words in ["GPU MEMORY ERROR on 0000:01:00.0 at 0x", "GPU COMPUTE ERROR on 0000:01:00.0, SM 3", ": read "] {
        assert!(progress.contains(words), "{words}: {progress}");
    }
    let report = String::from_utf8(output.stdout).unwrap();
    let row = report.lines().find(|line| line.trim_start().starts_with("read ")).unwrap();
    assert!(row.contains("MB/s") && row.contains("bandwidth_read") && row.contains("timed by events"), "{row}");
    for words in [
        "Measurements of 0000:01:00.0",
        "(SHA-256 ",
        "gave their known answers",
        "behaves like:",
        "temperature.headroom_celsius ",
        "thermal.slope_millicelsius_per_minute ",
        "fan.max_percent ",
        "link.replays_growth ",
        "xids                                   none",
        "sw-power-cap: 0.0 of ",
        "hw-power-brake-slowdown: 0.0 of ",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    // An eighth of the memory is slow, by large regions and by small ones.
    let slow = part(&summary, FIRST).integer(Quantity::SlowSmallRegions.fact());
    assert!(slow.is_some_and(|permille| (100..=150).contains(&permille)), "{slow:?}");
    assert!(part(&summary, FIRST).integer(Quantity::SlowestRegion.fact()) < Some(500));
    let part = part(&summary, FIRST);
    assert_eq!(part.reading("gpu.burn.bad_sms"), Some(&Reading::Known(vec!["sm3".to_owned()].into())));
    assert_eq!(part.text("gpu.burn.first_wrong_address"), part.text("gpu.burn.last_wrong_address"));
    assert_eq!(part.text("gpu.burn.wrong_bits"), Some("0x00000000000000000000080000000000"));
    assert_eq!(part.integer("gpu.burn.aliased_vectors"), Some(0));
}

#[test]
fn a_gpu_that_is_lost_or_hangs_is_reported_and_the_other_one_goes_on() {
    for effect in ["lost", "hang"] {
        let rig = card(&format!("count = 2\n{SMALL}"))
            + &format!("[[cuda_fault]]\ngpu = 0\nafter_launches = 120\neffect = \"{effect}\"\n");
        let (code, summary) = Bench::brief(&rig, 10).run();
        assert_eq!(code, Some(1), "{effect}");
        let part = part(&summary, FIRST);
        match (effect, &gpu(&summary, FIRST).outcome) {
            ("lost", Some(Outcome::Lost { .. })) => {
                assert_eq!(part.reading("gpu.burn.lost"), Some(&Reading::Known(true.into())))
            }
            ("hang", Some(Outcome::WorkerHung { .. })) => assert!(part.text("gpu.burn.hung_step").is_some()),
            (_, other) => panic!("{effect}: {other:?}"),
        }
        assert_eq!(gpu(&summary, SECOND).outcome, Some(Outcome::Finished), "{effect}");
        assert!(gpu(&summary, SECOND).done.contains(&Step::Address));
    }
}

#[test]
fn what_keeps_a_gpu_from_being_measured_is_said_with_what_to_do() {
    for (rig, expected) in [
        (card(&format!("compute_mode = 2\n{SMALL}")), "prohibited"),
        (card(&format!("compute_mode = 3\nprocesses = [{{ pid = 77, used_mib = 8 }}]\n{SMALL}")), "exclusive"),
        (
            card(&format!("processes = [{{ pid = 77, used_mib = 32 }}]\n{SMALL}")),
            "cuDevicePrimaryCtxRetain gives CUDA_ERROR_OUT_OF_MEMORY (out of memory): end the processes that use the GPU",
        ),
        (card(&format!("mig = {{ enabled = true, devices = 1 }}\n{SMALL}")), "MIG"),
        (format!("[driver]\nmissing = [\"cuLaunchKernel\"]\n{}", card(SMALL)), "has no cuLaunchKernel"),
        (format!("[driver]\ncuda_version = 11080\n{}", card(SMALL)), "takes no kernel"),
        (format!("[driver]\ncuda_version = 11080\n{}", card(SMALL)), "driver R525 takes the machine code"),
        (format!("[driver]\nloaded = false\n{}", card(SMALL)), "cuInit gives CUDA_ERROR_NO_DEVICE"),
    ] {
        let reason = not_measured(&Bench::brief(&rig, 60));
        assert!(reason.contains(expected), "{reason}");
    }
    let none = Bench::brief(&card(SMALL), 60);
    for name in ["libcuda.so", "libcuda.so.1"] {
        fs::remove_file(none.machine.library().with_file_name(name)).unwrap();
    }
    let reason = not_measured(&none);
    assert!(reason.contains("there is no CUDA driver (libcuda.so.1)"), "{reason}");
}

#[test]
fn a_report_for_a_person_has_what_the_burn_says_of_each_gpu() {
    let bench = Bench::brief(&card(&format!("compute_mode = 2\n{SMALL}")), 60);
    let mut command = bench.machine.command(Path::new(YANJI));
    let home = bench.folder.path();
    command.args(["certify", "--out", "report", "--profile"]).arg(home.join("profile.toml"));
    command.current_dir(home).env("XDG_DATA_HOME", home).env("XDG_CONFIG_HOME", home);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "GPU 0000:01:00.0",
        "power.median_milliwatts ",
        "throttle.times ",
        "Measurements of 0000:01:00.0",
        "behaves like: not known (the compute mode is prohibited",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn out_of_memory_at_each_allocation_is_said_and_is_no_fault_of_the_card() {
    // What self-tests work on, and all the rest of the memory; then the kernels, of all files or of all but the first.
    for (effect, allocation) in
        [("out-of-memory", 1), ("out-of-memory", 2), ("out-of-module-memory", 1), ("out-of-module-memory", 2)]
    {
        let refused = format!("[[cuda_fault]]\neffect = {{ {effect} = {{ allocation = {allocation} }} }}\n");
        let (code, summary) = Bench::brief(&(card(SMALL) + &refused), 60).run();
        let (gpu, part) = (gpu(&summary, FIRST), part(&summary, FIRST));
        assert_eq!((code, gpu.has_errors()), (Some(3), false), "{effect} {allocation}: {:?}", gpu.outcome);
        assert_eq!(part.reading("gpu.burn.completed"), Some(&Reading::Known(false.into())));
        let unread = |path: &str| match part.reading(path) {
            Some(Reading::Failed(why)) => why.clone(),
            other => panic!("{effect} {allocation}: {path}: {other:?}"),
        };
        // Nothing may look as if it had been measured.
        let compute = [Quantity::RateFp16.fact(), "gpu.burn.compute_errors", "gpu.burn.bad_sms"];
        assert_eq!(compute.map(unread).len(), 3);
        if (effect, allocation) == ("out-of-module-memory", 2) {
            assert_eq!(gpu.outcome, Some(Outcome::Finished));
            assert_eq!(part.integer("gpu.burn.memory_errors"), Some(0), "the kernels of memory are there");
            let why = unread(Quantity::RateFp16.fact());
            assert!(why.contains("OUT_OF_MEMORY") && why.contains("end the processes that use the GPU"), "{why}");
            assert!(unread("gpu.burn.compute_errors").contains("none of its arithmetic was checked"));
        } else {
            let Some(Outcome::NotMeasured { reason }) = &gpu.outcome else { panic!("{:?}", gpu.outcome) };
            assert!(
                reason.contains("OUT_OF_MEMORY") && reason.contains("end the processes that use the GPU"),
                "{reason}"
            );
            let memory = [Quantity::Read.fact(), Quantity::SlowestRegion.fact(), "gpu.burn.memory_errors"];
            assert_eq!(memory.map(unread).len(), 3);
        }
    }
}

#[test]
fn memory_that_another_process_holds_is_missing_from_the_coverage() {
    let held = card(&format!("processes = [{{ pid = 77, used_mib = 8 }}]\n{SMALL}"));
    let (_, summary) = Bench::brief(&held, 60).run();
    assert!(part(&summary, FIRST).integer("gpu.burn.coverage_permille").is_some_and(|it| (600..800).contains(&it)));
    let inspection = assess(&summary);
    for rule in ["gpu.burn-capacity", "gpu.burn-memory-errors"] {
        assert_eq!(said(&inspection, rule, FIRST), "inconclusive", "{rule}");
    }
    let part = inspection.evidence.part(&format!("gpu:{FIRST}")).unwrap();
    let why = format!("{:?}", part.reading("gpu.burned.memory_errors"));
    assert!(why.contains("% of the memory was tested, and 97 % is the least"), "{why}");
}

#[test]
fn an_interruption_in_the_middle_of_a_launch_ends_in_order_and_goes_on_where_it_was() {
    let bench = Bench::brief(&card(SMALL), 60);
    let mut child = bench.start();
    bench.wait_for(|line| (line["kind"] == "gpu-step" && line["step"] == "address").then_some(()));
    assert_eq!(bench.interrupt(&mut child), Some(3));
    let summary = bench.summary();
    assert_eq!(gpu(&summary, FIRST).outcome, Some(Outcome::Stopped));
    assert!(gpu(&summary, FIRST).done.contains(&Step::Address));
    assert!(matches!(part(&summary, FIRST).reading(Quantity::Triad.fact()), Some(Reading::Failed(_))));
    assert_eq!(bench.resume().wait().unwrap().code(), Some(0));
    let summary = bench.summary();
    assert_eq!((summary.resumes, summary.ending(), gpu(&summary, FIRST).started), (1, Ending::Clean, 2));
    let of_step = |step: &str| {
        let lines = bench.records().split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let is = |line: &Vec<u8>| {
            let line: Json = serde_json::from_slice(line).unwrap_or_default();
            line["kind"] == "gpu-step" && line["step"] == step
        };
        lines.iter().filter(|line| is(line)).count()
    };
    assert_eq!((of_step("self-test"), of_step("address"), of_step("bandwidth")), (2, 1, 1));
    assert!(part(&summary, FIRST).integer(Quantity::Triad.fact()) > Some(0));
}

#[test]
fn a_worker_that_is_killed_from_outside_is_a_crash_with_its_step() {
    let bench = Bench::brief(&card(SMALL), 60);
    let mut child = bench.start();
    let pid = bench.wait_for(|line| (line["kind"] == "gpu-start").then(|| line["pid"].as_i64()).flatten());
    bench.wait_for(|line| (line["kind"] == "gpu-step" && line["step"] == "allocate").then_some(()));
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(1), None));
    let summary = bench.summary();
    let outcome = &gpu(&summary, FIRST).outcome;
    assert!(matches!(outcome, Some(Outcome::WorkerCrashed { signal: Some(9), step: Some(_), .. })), "{outcome:?}");
    assert!(part(&summary, FIRST).text("gpu.burn.crashed_step").is_some());
}

/// A chain of records, each with its active time in seconds.
fn chain(records: impl IntoIterator<Item = (u64, Record)>) -> Vec<u8> {
    let (mut chain, mut prev) = (Vec::new(), "0".repeat(64));
    for (seq, (seconds, record)) in (0..).zip(records) {
        let at = "2026-01-02T03:04:05Z".to_owned();
        let line = serde_json::to_vec(&Line { seq, prev, at, elapsed_ms: seconds * 1000, record }).unwrap();
        prev = Digest::of(&line).to_string();
        chain.extend(line);
        chain.push(b'\n');
    }
    chain
}

/// Ten seconds under load.
fn window(
    celsius: u64,
    [thermal, brake]: [u64; 2],
    [generation, lanes]: [u64; 2],
    counters: [(&str, u64); 5],
) -> Window {
    let always = |value: u64| Distribution::of(vec![value; 100]);
    let reasons =
        [("thermal", thermal), ("hw-power-brake-slowdown", brake), ("hw-slowdown", brake), ("sw-power-cap", 0)];
    Window {
        samples: 100,
        milliseconds: 10_000,
        // One sample that cannot be moves nothing.
        gpu_celsius: Distribution::of([vec![celsius; 99], vec![255]].concat()),
        slowdown_celsius: Some(90),
        power_milliwatts: always(300_000),
        sm_mhz: always(1400),
        throttle: Some(Throttle::from(reasons.map(|(name, time)| (name.to_owned(), time)))),
        link_generation: always(generation),
        link_width: always(lanes),
        counters: counters.map(|(name, count)| (name.to_owned(), count)).into(),
        ..Window::default()
    }
}

#[test]
fn five_minutes_of_records_show_heat_that_still_rises_and_counters_that_grow() {
    let profile = Profile::parse("name = \"x\"\nduration_seconds = 320\n[gpu]\n", "x").unwrap();
    let [sound, failing] = [FIRST, SECOND].map(str::to_owned);
    let start = Record::Start {
        format: FORMAT,
        tool_version: "1".to_owned(),
        profile,
        seed: 1,
        memory_total_bytes: Reading::Known(1 << 34),
        cpus: 1,
        boot_id: Reading::Absent,
    };
    let mut records = vec![(0, start), (0, Record::Gpus { addresses: vec![sound.clone(), failing.clone()] })];
    records.extend([&sound, &failing].map(|gpu| (0, Record::GpuStart { gpu: gpu.clone(), pid: 7 })));
    let names = ["ecc.corrected", "ecc.uncorrected", "remap.rows", "pcie.replays", "nvlink.errors"];
    for tenth in 0..31 {
        let sample = |gpu: &String, window: Window| Record::GpuSample {
            gpu: gpu.clone(),
            step: Some(Step::Load),
            counters: None,
            telemetry: Reading::Known(window),
        };
        // Both begin with counts of their lives. The sound one is warm after a minute; the other gains two degrees a minute.
        let [life, grown] = [0, tenth].map(|grown| names.map(|name| (name, 40 + grown)));
        let warm = window(40 + 5 * tenth.min(6), [0, 0], [4, 16], life);
        let rising = window(50 + tenth / 3, [2000, 500], [1, 4], grown);
        records.extend([(tenth * 10, sample(&sound, warm)), (tenth * 10, sample(&failing, rising))]);
    }
    let summary = replay(&chain(records)).unwrap();
    let inspection = assess(&summary);
    for rule in [
        "gpu.burn-not-steady",
        "gpu.burn-throttled-heat",
        "gpu.burn-power-brake",
        "gpu.burn-corrected-errors",
        "gpu.burn-memory-repairs",
    ] {
        assert_eq!([FIRST, SECOND].map(|it| said(&inspection, rule, it)), ["clear", "fires"], "{rule}");
    }
    let [sound, failing] = [FIRST, SECOND].map(|address| part(&summary, address));
    let times =
        ["sw-power-cap: 0.0 of 310.0 s", "hw-slowdown: 15.5 of 310.0 s", "hw-power-brake-slowdown: 15.5 of 310.0 s"];
    let times = Reading::Known(times.map(str::to_owned).to_vec().into());
    assert_eq!(failing.reading("gpu.burn.throttle.times"), Some(&times));
    assert_eq!(sound.reading("gpu.burn.fan.max_percent"), Some(&Reading::Unsupported), "no sample has it");
    for (path, quiet, loud) in [
        ("thermal.slope_millicelsius_per_minute", 0, 2000),
        ("throttle.thermal_permille", 0, 200),
        ("throttle.power_brake_permille", 0, 50),
        ("link.generation_under_load", 4, 1),
        ("link.width_under_load", 16, 4),
        ("link.replays_growth", 0, 30),
        ("ecc.volatile_corrected_growth", 0, 30),
        ("ecc.volatile_uncorrected_growth", 0, 30),
        ("remap.growth", 0, 30),
        ("nvlink.errors_growth", 0, 30),
        ("temperature.gpu_median_celsius", 70, 55),
        ("temperature.headroom_celsius", 20, 30),
    ] {
        let path = format!("gpu.burn.{path}");
        let near = |part: &Part, wanted: i64| part.integer(&path).is_some_and(|it| (it - wanted).abs() <= wanted / 20);
        assert!(near(&sound, quiet) && near(&failing, loud), "{:?} {:?}", sound.reading(&path), failing.reading(&path));
    }
}
