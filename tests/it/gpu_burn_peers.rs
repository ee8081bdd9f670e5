//! Copies between GPUs that cannot be made, never end, or arrive wrong: the built binary on the virtual driver.

use std::fs;

use rustix::process::{Signal, kill_process};
use serde_json::Value as Json;
use yanji::burn::Summary;
use yanji::burn::gpu::Outcome;
use yanji::evidence::{Part, Reading, Value};

use crate::gpu_burn::{Bench, FIRST, Running, SECOND, SMALL, assess, card, gpu, part, said};

const THIRD: &str = "0000:21:00.0";
const COPIES: &str = "gpu.burn.peer.copies";
const SLOWEST: &str = "gpu.burn.peer.slowest_mb_per_second";
const WRONG: &str = "gpu.burn.peer.wrong_copies";

fn rig(head: &str, count: u32, faults: &str) -> String {
    format!("{head}{}{faults}", card(&format!("count = {count}\n{SMALL}")))
}

/// What was written down of the pairs once every GPU's own test is under way, and the summary of the burn, which is then
/// interrupted.
fn goes_on(bench: &Bench, mut burn: Running, gpus: &[&str]) -> (Json, Summary) {
    let record = bench.wait_for(|line| (line["kind"] == "gpu-peers").then(|| line.clone()));
    for gpu in gpus {
        let begun = |line: &Json| line["kind"] == "gpu-step" && line["gpu"] == *gpu && line["step"] == "allocate";
        bench.wait_for(|line| begun(line).then_some(()));
    }
    assert_eq!(bench.interrupt(&mut burn), Some(3), "nothing speaks against the GPUs: {record}");
    (record, bench.summary())
}

fn pairs(list: &Json) -> Vec<(&str, &str)> {
    let pairs = list.as_array().unwrap().iter();
    pairs.map(|pair| (pair["from"].as_str().unwrap(), pair["to"].as_str().unwrap())).collect()
}

/// The words of a list.
fn words(part: &Part, path: &str) -> Vec<String> {
    let Some(Reading::Known(Value::List(list))) = part.reading(path) else {
        panic!("{path}: {:?}", part.reading(path))
    };
    list.iter().map(|word| word.as_text().unwrap().to_owned()).collect()
}

fn reason<'a>(part: &'a Part, path: &str) -> &'a str {
    match part.reading(path) {
        Some(Reading::Failed(why)) => why,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn pairs_of_a_gpu_without_memory_are_not_measured_and_the_others_are() {
    for (effect, call) in [("out-of-memory", "cuMemAlloc_v2"), ("out-of-host-memory", "cuMemHostAlloc")] {
        let fault = format!(
            "[[cuda_fault]]\ngpu = 1\nprocess = \"gpu-peers\"\neffect = {{ {effect} = {{ allocation = 1 }} }}\n"
        );
        let bench = Bench::brief(&rig("", 3, &fault), 60);
        let (record, summary) = goes_on(&bench, bench.start(), &[FIRST, SECOND, THIRD]);
        assert_eq!(pairs(&record["copies"]), [(FIRST, THIRD), (THIRD, FIRST)], "{record}");
        assert!(record["copies"].as_array().unwrap().iter().all(|pair| pair["wrong_bytes"] == 0), "{record}");
        assert_eq!(pairs(&record["missing"]), [(FIRST, SECOND), (SECOND, FIRST), (SECOND, THIRD), (THIRD, SECOND)]);
        assert!(record["failure"].is_null(), "{record}");

        let why = format!("{SECOND}: {call} gives CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
        let first = part(&summary, FIRST);
        let copies = words(&first, COPIES);
        assert_eq!(copies[0], format!("{SECOND}: not measured: {why}"));
        assert!(copies[1].starts_with(&format!("{THIRD}: ")) && copies[1].contains(" MB/s "), "{copies:?}");
        assert!(words(&first, "gpu.burn.not_measured").contains(&format!("copies to {SECOND}: {why}")));
        assert!(reason(&part(&summary, SECOND), COPIES).contains(&why));
        let inspection = assess(&summary);
        for address in [FIRST, SECOND, THIRD] {
            // Neither is any of them said to be fine.
            for path in [SLOWEST, WRONG] {
                assert!(reason(&part(&summary, address), path).contains(&why), "{address} {path}");
            }
            assert_eq!(said(&inspection, "gpu.burn-peer-errors", address), "inconclusive");
        }
        let reasons = inspection.judgement.reasons.join(" ");
        assert!(reasons.contains("gpu.burn-peer-errors could not be assessed"), "{reasons}");
    }
}

#[test]
fn a_driver_without_copies_between_gpus_is_said_and_the_gpus_are_tested() {
    let bench = Bench::brief(&rig("[driver]\nmissing = [\"cuMemcpyPeerAsync\"]\n", 2, ""), 60);
    let (record, summary) = goes_on(&bench, bench.start(), &[FIRST, SECOND]);
    assert!(record["failure"].as_str().unwrap().contains("the CUDA driver has no cuMemcpyPeerAsync"), "{record}");
    for path in [COPIES, SLOWEST, WRONG] {
        assert!(reason(&part(&summary, SECOND), path).contains("has no cuMemcpyPeerAsync"), "{path}");
    }
}

#[test]
fn a_copy_that_arrives_wrong_is_found_and_both_gpus_are_named() {
    let fault = "[[cuda_fault]]\ngpu = 1\neffect = { wrong-peer-copies = { byte = 100 } }\n";
    let bench = Bench::brief(&rig("", 2, fault), 60);
    let output = bench.burn().output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("PEER COPY ERROR from {SECOND} to {FIRST}: 1 wrong bytes")), "{told}");
    let summary = bench.summary();
    assert_eq!([FIRST, SECOND].map(|it| gpu(&summary, it).has_errors()), [false, true]);
    assert_eq!([FIRST, SECOND].map(|it| gpu(&summary, it).outcome.clone()), [const { Some(Outcome::Finished) }; 2]);
    assert_eq!(words(&part(&summary, FIRST), WRONG), Vec::<String>::new());
    assert_eq!(words(&part(&summary, SECOND), WRONG), [format!("{FIRST}: 1 bytes")]);
    let inspection = assess(&summary);
    assert_eq!([FIRST, SECOND].map(|it| said(&inspection, "gpu.burn-peer-errors", it)), ["clear", "fires"]);
}

const HANGING: &str = "[[cuda_fault]]\ngpu = 1\neffect = \"hanging-peer-copies\"\n";

#[test]
fn a_copy_that_never_ends_is_named_and_the_gpus_are_tested() {
    let bench = Bench::brief(&rig("", 2, HANGING), 60);
    let (record, summary) = goes_on(&bench, bench.start(), &[FIRST, SECOND]);
    assert_eq!(pairs(&record["copies"]), [(FIRST, SECOND)]);
    let failure = record["failure"].as_str().unwrap();
    assert_eq!(failure, format!("CUDA did not answer for 20 s in copies from {SECOND} to {FIRST}"));
    assert_eq!(words(&part(&summary, FIRST), COPIES).len(), 1);
    for path in [COPIES, SLOWEST, WRONG] {
        assert!(reason(&part(&summary, SECOND), path).contains(failure), "{path}");
    }
    assert!(bench.child("gpu-peers").is_none(), "it was killed");
}

#[test]
fn the_process_that_copies_may_be_killed_or_interrupted() {
    let bench = Bench::brief(&rig("", 2, HANGING), 60);
    let burn = bench.start();
    let pid = bench.wait_for_child("gpu-peers");
    kill_process(pid, Signal::KILL).unwrap();
    let (record, summary) = goes_on(&bench, burn, &[FIRST, SECOND]);
    assert!(record["failure"].as_str().unwrap().contains("the process that copies between GPUs died"), "{record}");
    assert!(reason(&part(&summary, SECOND), WRONG).contains("died"));
    drop(bench);

    let bench = Bench::brief(&rig("", 2, HANGING), 60);
    let mut burn = bench.start();
    bench.wait_for_child("gpu-peers");
    assert_eq!(bench.interrupt(&mut burn), Some(3));
    assert!(reason(&part(&bench.summary(), SECOND), WRONG).contains("interrupted"));
    // What is left over is measured by the burn that goes on.
    let records = fs::read_to_string(bench.records_file()).unwrap();
    assert_eq!(records.matches("\"gpu-peers\"").count(), 1);
    let mut burn = bench.resume();
    bench.wait_for_child("gpu-peers");
    assert_eq!(bench.interrupt(&mut burn), Some(3));
}
