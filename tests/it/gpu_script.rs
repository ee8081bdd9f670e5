//! What runs on a real card (tests/gpu), as far as can be shown without one: the whole script on the virtual driver, the comparison on
//! figures whose answer is known, and the cuBLAS multiplication with a library that multiplies on the processor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use vgpu::launch::Machine;

use crate::gpu_burn::{FIRST, SECOND, SMALL, alone, card};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BRIEF: &str = "name = \"brief\"\nduration_seconds = 300\ntelemetry_interval_seconds = 1\nwatchdog_seconds = 5\n\
                     [gpu]\npatterns_seconds = 0\nload_seconds = 0\npulse_seconds = 0\nmeasure_seconds = 1\n";

fn machine(rig: &str) -> Machine {
    Machine::of(&format!("title = \"x\"\nabout = \"x\"\nexpect.failure = true\n{rig}")).unwrap()
}

/// A cuBLAS that multiplies on the processor, and a machine's driver beside it.
fn with_cublas(machine: &Machine, program: &str, folder: &Path) -> Command {
    let status = Command::new("gcc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(folder.join("libcublas.so.12"))
        .arg(Path::new(ROOT).join("tests/it/stub_cublas.c"))
        .args(["-lm", "-ldl"])
        .status()
        .expect("gcc is needed to build the stub of cuBLAS");
    assert!(status.success(), "gcc failed");
    let mut command = machine.command(Path::new(program));
    let driver = machine.library().parent().unwrap().display().to_string();
    command.env("LD_LIBRARY_PATH", format!("{}:{driver}", folder.display()));
    command.env("STUB_CUBLAS_LOG", folder.join("calls")).current_dir(ROOT).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_cublas_multiplication_is_called_as_it_should_be_and_its_product_is_checked() {
    let machine = machine(&card(SMALL));
    // 72 columns are more than the operands' block of 64, and no multiple of it.
    for size in [64, 72] {
        let folder = TempDir::new().unwrap();
        let output = with_cublas(&machine, "python3", folder.path())
            .arg("tests/gpu/gemm.py")
            .arg(size.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let expected = format!(
            "op 0 0 mnk {size} {size} {size} types 2 2 2 ld {size} {size} {size} compute 68 algorithm 99 beta 0"
        );
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().collect::<Vec<_>>(), vec![expected.as_str(); 201]);
        // The stub takes as long as a fill: two microseconds and its bytes.
        let rate: f64 = text(&output.stdout).trim().parse().unwrap();
        let most = 2.0 * f64::from(size).powi(3) / 2e-6 / 1e12;
        assert!(rate > 0.9 * most && rate <= most, "{rate} of {most}");
    }
    for (mode, complaint) in [
        ("rows", "of the product is"),
        ("swapped", "of the product is"),
        ("refuses", "cublasGemmEx: error 13"),
        ("idle", "took 0.0 ms"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut command = with_cublas(&machine, "python3", folder.path());
        let output = command.args(["tests/gpu/gemm.py", "64"]).env("STUB_CUBLAS", mode).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{mode}: {said}");
        assert!(said.contains(complaint), "{mode}: {said}");
    }
    // Without the library it says so, by its exit status too.
    let output = machine.command(Path::new("python3")).arg(format!("{ROOT}/tests/gpu/gemm.py")).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

/// What `yanji burn --format json` says of an RTX 4090 at nine tenths of what it can do: 10501 MHz x 2 x 384 bits, and 256
/// multiply-adds of an SM in a clock.
fn burned() -> Json {
    let median = |value: f64| json!({"distribution": {"samples": 9, "min": 1, "median": value, "max": 10_000_000}});
    json!({"gpus": {FIRST: {
        "identity": {"name": "NVIDIA GeForce RTX 4090", "bus_width_bits": 384},
        "telemetry": {"memory_mhz": {"median": 10_501}, "sm_mhz": {"median": 2520}},
        "measurements": {
            "read": median(950_000.0), "copy": median(900_000.0), "triad": median(880_000.0), "rate-fp16": median(148_000.0),
            "ops-fp16": median(230_400.0), "sm-count": median(128.0),
        },
        "totals": {"memory_errors": 0, "compute_errors": 0, "bad_sms": []},
        "kernels": {"compute_f16": {"failure": null}},
        "missing": {"rate-fp4": null},
        "outcome": {"outcome": "finished"},
    }}})
}

/// Files of a run, with what is different in this one.
struct Files {
    burn: String,
    gemm: &'static str,
    gpu_burn: &'static str,
    known: &'static str,
    status: &'static str,
    dry: bool,
}

impl Files {
    fn of(burn: Json) -> Self {
        Self { burn: burn.to_string(), gemm: "140.0\n", gpu_burn: "", known: "0", status: "0", dry: false }
    }

    fn compare(&self) -> (Option<i32>, Json) {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("burn.json", &self.burn);
        file("gemm", self.gemm);
        file("gpu-burn", self.gpu_burn);
        file("answers", "same memory_fill\nDIFFERS compute_f16 exact\n1 of 9 groups failed\n");
        file("skipped", "gpu-burn: not in PATH\n");
        let mut command = Command::new("python3");
        command.arg(Path::new(ROOT).join("tests/gpu/compare.py")).arg(folder.path()).args([self.known, self.status]);
        let output = command.args(self.dry.then_some("dry")).output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (output.status.code(), report)
    }

    /// It passes nothing, says why in those words, and has a report.
    #[track_caller]
    fn misses(&self, why: &str) -> Json {
        let (code, report) = self.compare();
        assert_eq!(code, Some(1), "{report}");
        let missed = report["missed"].as_array().unwrap();
        assert!(missed.iter().any(|it| it.as_str().unwrap().contains(why)), "{why}: {missed:?}");
        report
    }
}

/// The burn with another value at a place.
fn with(place: &str, value: Json) -> Json {
    let mut burn = burned();
    *burn["gpus"][FIRST].pointer_mut(place).unwrap() = value;
    burn
}

#[test]
fn the_comparison_knows_fractions_and_passes_nothing_that_was_not_measured() {
    let (code, report) = Files::of(burned()).compare();
    assert_eq!((code, &report["missed"]), (Some(0), &json!([])), "{report}");
    let gpu = &report["gpus"][FIRST];
    // 950000 / 1008096, and 230400 / 256000.
    assert_eq!((&gpu["memory_fraction"], &gpu["fp16_fraction"]), (&json!(0.942), &json!(0.9)), "{gpu}");
    assert_eq!((&gpu["fp16_tflops"], &report["cublas_fp16_tflops"]), (&json!(148.0), &json!(140.0)));
    assert_eq!(report["skipped"], json!(["gpu-burn: not in PATH"]));
    assert_eq!(report["known_answers"]["wrong"], json!(["DIFFERS compute_f16 exact"]));

    let read = "/measurements/read/distribution/median";
    let fp16 = "/measurements/ops-fp16/distribution/median";
    // The best of reading, copying and a triad counts.
    Files::of(with(read, json!(920_000))).misses("memory_fraction is 0.913, and 0.92 is the aim");
    Files::of(with(read, json!(10))).misses("memory_fraction is 0.893, and 0.92 is the aim");
    Files::of(with(fp16, json!(217_000))).misses("fp16_fraction is 0.848, and 0.85 is the aim");
    Files::of(with(read, json!(1_100_000))).misses("memory_fraction is 1.091, which cannot be");
    for nothing in [json!(null), json!(0), json!(-5), json!("230400"), json!(true)] {
        Files::of(with(fp16, nothing)).misses("fp16_fraction could not be computed");
    }
    for number in ["NaN", "Infinity", "-Infinity"] {
        let burn = with(fp16, json!("here")).to_string().replace("\"here\"", number);
        Files { burn, ..Files::of(json!(null)) }.misses("fp16_fraction could not be computed");
    }
    for place in ["/measurements/ops-fp16", "/measurements", "/identity/name", "/identity"] {
        let empty = if place == "/measurements" { json!({}) } else { json!(null) };
        let empty = if place == "/identity/name" { json!("Some other card") } else { empty };
        Files::of(with(place, empty)).misses("fp16_fraction could not be computed");
    }
    for place in ["/telemetry/memory_mhz", "/identity/bus_width_bits", "/identity"] {
        Files::of(with(place, json!(null))).misses("memory_fraction could not be computed");
    }
    for (outcome, words) in
        [(json!({"outcome": "lost", "reason": "x"}), "its burn-in lost"), (json!(null), "was cut off")]
    {
        Files::of(with("/outcome", outcome)).misses(words);
    }
    Files::of(with("/totals/memory_errors", json!(3))).misses("3 memory errors");
    let report = Files::of(with("/totals", json!({"memory_errors": 0, "compute_errors": 7, "bad_sms": [17]})));
    assert_eq!(report.misses("7 compute errors")["gpus"][FIRST]["bad_sms"], json!([17]));

    // A second one that was not measured is not passed by the first.
    let mut two = burned();
    two["gpus"][SECOND] = two["gpus"][FIRST].clone();
    two["gpus"][SECOND]["measurements"] = json!({});
    let report = Files::of(two).misses(&format!("{SECOND}: memory_fraction could not be computed"));
    assert_eq!(report["missed"].as_array().unwrap().len(), 2, "{report}");

    Files { gemm: "150.5\n", ..Files::of(burned()) }.misses("cublas_fp16_tflops is 150.5, and yanji reaches 148.0");
    let gpu_burn = "50.0%  proc'd: 90 (149000 Gflop/s)   errors: 0   temps: 60 C\n12.0% (3 Gflop/s)\n";
    Files { gpu_burn, ..Files::of(burned()) }.misses("gpu_burn_tflops is 149.0");
    // What another tool did not measure is no figure.
    for gemm in ["", "nan\n", "inf\n", "0\n", "-3\n", "no CUDA driver\n"] {
        let (code, report) = Files { gemm, ..Files::of(burned()) }.compare();
        assert_eq!((code, &report["cublas_fp16_tflops"]), (Some(0), &json!(null)), "{gemm:?}");
    }
    Files { known: "1", ..Files::of(burned()) }.misses("known answer");
    Files { status: "3", ..Files::of(burned()) }.misses("yanji burn ended with 3");
    Files::of(json!({"gpus": {}})).misses("found no GPU");
    let half = burned().to_string();
    for burn in ["", "null", "[]", "{\"gpus\": 7}", &half[..half.len() / 2]] {
        let files = Files { burn: burn.to_owned(), status: "137", ..Files::of(json!(null)) };
        let report = files.misses("the burn-in gave no result (exit status 137)");
        assert_eq!((&report["ran"], &report["gpus"]), (&json!(false), &json!({})));
        assert_eq!(Files { dry: true, ..files }.compare().0, Some(1));
    }
    // Times of a virtual driver are none, errors are.
    assert_eq!(Files { dry: true, ..Files::of(with(read, json!(1))) }.compare().0, Some(0));
    assert_eq!(Files { dry: true, status: "1", ..Files::of(burned()) }.compare().0, Some(1));
}

/// A dry run on a machine. Gives what it ended with and the JSON that it left.
fn dry(rig: &str, yanji: &Path) -> (Output, Json) {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let machine = machine(rig);
    let profile = folder.path().join("profile.toml");
    fs::write(&profile, BRIEF).unwrap();
    let out = folder.path().join("out.json");
    // What an earlier run has left is not taken for this one's.
    fs::write(&out, "{\"ran\": true, \"older\": true}").unwrap();
    let script = Path::new(ROOT).join("tests/gpu/run.sh");
    let mut command = with_cublas(&machine, script.to_str().unwrap(), folder.path());
    command.arg("--dry").arg(&out).env("YANJI", yanji).env("PROFILE", profile).env("VGPU_CUDA_MIB", "24");
    let output = command.output().unwrap();
    let left = fs::read(&out).unwrap();
    (output, serde_json::from_slice(&left).unwrap_or_else(|error| panic!("{error}: {}", text(&left))))
}

fn yanji() -> PathBuf {
    env!("CARGO_BIN_EXE_yanji").into()
}

/// Fewer multiprocessors than the card has, of which most are like each other.
const GPU: &str = "cuda = { multiprocessors = 4 }";

#[test]
fn a_dry_run_leaves_everything_that_it_measured() {
    let (output, report) = dry(&card(GPU), &yanji());
    assert_eq!(output.status.code(), Some(0), "{report}\n{}", text(&output.stderr));
    assert_eq!((&report["ran"], &report["simulated"], &report["older"]), (&json!(true), &json!(true), &json!(null)));
    let gpu = &report["gpus"][FIRST];
    assert_eq!((&gpu["outcome"]["outcome"], &gpu["product"]), (&json!("finished"), &json!("RTX 4090")), "{report}");
    for figure in ["memory_fraction", "fp16_fraction", "memory_gb_per_second", "fp16_tflops"] {
        assert!(gpu[figure].as_f64() > Some(0.0), "{figure}: {gpu}");
    }
    assert_eq!(report["known_answers"]["passed"], json!(true));
    assert!(report["known_answers"]["same"].as_u64() > Some(20), "{report}");
    assert!(report["cublas_fp16_tflops"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["skipped"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_dry_run_that_fails_leaves_what_failed() {
    let fault = |effect: &str| {
        card(GPU) + &format!("[[cuda_fault]]\nprocess = \"gpu-worker\"\nafter_launches = 120\neffect = {effect}\n")
    };
    for (effect, outcome) in [("\"lost\"", "lost"), ("\"hang\"", "worker-hung")] {
        let (output, report) = dry(&fault(effect), &yanji());
        assert_eq!(output.status.code(), Some(1), "{report}\n{}", text(&output.stderr));
        assert_eq!((&report["ran"], &report["known_answers"]["passed"]), (&json!(true), &json!(true)), "{report}");
        assert_eq!(report["gpus"][FIRST]["outcome"]["outcome"], outcome, "{report}");
        let missed = report["missed"].to_string();
        assert!(missed.contains("yanji burn ended with 1") && missed.contains("could not be computed"), "{missed}");
    }
    let wrong = "[[cuda_fault]]\neffect = { bad-multiprocessor = { multiprocessor = 3, one_in = 1 } }\n";
    let (output, report) = dry(&(card(GPU) + wrong), &yanji());
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["gpus"][FIRST]["bad_sms"], json!([3]), "{report}");
    assert!(report["gpus"][FIRST]["compute_errors"].as_u64() > Some(0));
    assert!(report["missed"].to_string().contains(" compute errors"), "{report}");

    // A binary that dies says nothing, and the JSON says that.
    let (output, report) = dry(&card(GPU), Path::new("/bin/false"));
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(
        (&report["ran"], &report["reason"]),
        (&json!(false), &json!("the burn-in gave no result (exit status 1)"))
    );
    assert_eq!(report["known_answers"]["passed"], json!(true), "{report}");
}

#[test]
fn without_a_gpu_or_a_launcher_the_script_still_leaves_a_json() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out.json");
    let script = Path::new(ROOT).join("tests/gpu/run.sh");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&script);
        command.args(arguments).arg(&out).env_remove("VGPU_RIG").env("RIG", folder.path().join("no such rig"));
        let output = command.current_dir(folder.path()).output().unwrap();
        let left: Json = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        (output.status.code(), left)
    };
    // A machine with a GPU would run for minutes.
    if Command::new("nvidia-smi").arg("-L").output().is_err() {
        let (code, left) = run(&[]);
        assert_eq!((code, &left["ran"], &left["reason"]), (Some(3), &json!(false), &json!("no NVIDIA GPU or driver")));
    }
    let (code, left) = run(&["--dry"]);
    assert_ne!(code, Some(0), "{left}");
    assert!(left["ran"] == false && left["reason"].as_str().unwrap().contains("before it had a result"), "{left}");
}
