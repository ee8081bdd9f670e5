//! Faults of GPUs that show only after a while, only under load, or only in numbers: the built binary on the virtual driver.

use serde_json::Value as Json;
use yanji::burn::gpu::{Outcome, Quantity};
use yanji::burn::{self, Summary};
use yanji::evidence::{EvidenceBuilder, Origin};
use yanji::inspection;
use yanji::rule::{self, Signatures};

use crate::gpu_burn::{Bench, FIRST, SECOND, SMALL, card, gpu, not_measured, part};

/// Burns until a record of that kind is there, and gives its error.
fn found(bench: &Bench, kind: &str) -> (Json, Option<i32>) {
    let mut child = bench.start();
    let error = bench.wait_for(|line| (line["kind"] == kind).then(|| line["error"].clone()));
    (error, bench.interrupt(&mut child))
}

fn fault(effect: &str) -> String {
    card(SMALL) + &format!("[[cuda_fault]]\neffect = {{ {effect} }}\n")
}

#[test]
fn a_bit_that_turns_over_in_one_of_seven_reads_is_found_by_the_patterns() {
    // The proof of capacity reads each vector twice. Of the reads of the patterns, which follow each other, one in seven is
    // wrong whatever was read before.
    let bench = Bench::turns(&fault("flipping-bit = { address = 0x900002, bit = 6, one_in = 7 }"), 30, 0, 0);
    let (error, code) = found(&bench, "gpu-memory-error");
    assert_eq!((code, &error["fault"]), (Some(1), &"bit".into()), "{error}");
    assert_ne!(error["pattern"], "own addresses");
    let part = part(&bench.summary(), FIRST);
    assert_eq!(part.text("gpu.burn.wrong_bits"), Some("0x00000000000000000000000000400000"));
    assert_eq!(part.text("gpu.burn.first_wrong_address"), part.text("gpu.burn.last_wrong_address"));
    // The kernels' own variables lie before the memory under test.
    let offset = part.text("gpu.burn.first_wrong_address").unwrap();
    let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).unwrap();
    assert!((0x8f0000..=0x900000).contains(&offset), "{offset:#x}");
    assert_eq!(part.integer("gpu.burn.aliased_vectors"), Some(0));
}

#[test]
fn one_wrong_load_in_a_million_is_found_while_addresses_are_verified() {
    // 32 MiB are two million vectors.
    let bench = Bench::turns(&fault("wrong-loads = { one_in = 1000000 }"), 30, 0, 0);
    let (error, code) = found(&bench, "gpu-memory-error");
    assert_eq!(
        (code, &error["fault"], &error["pattern"]),
        (Some(1), &"bit".into(), &"own addresses".into()),
        "{error}"
    );
    assert_eq!(part(&bench.summary(), FIRST).integer("gpu.burn.aliased_vectors"), Some(0));
}

#[test]
fn an_sm_that_is_wrong_once_in_a_million_is_found_and_named() {
    // The interpreter counts the instructions that the SM gets right: the millionth comes while rates are measured, or on a
    // slow machine, which measures less, under the load.
    let bench = Bench::turns(&fault("bad-multiprocessor = { multiprocessor = 2, one_in = 1000000 }"), 0, 30, 0);
    let (error, code) = found(&bench, "gpu-compute-error");
    assert_eq!((code, &error["sm"]), (Some(1), &2.into()), "{error}");
    let summary = bench.summary();
    assert_eq!(gpu(&summary, FIRST).totals.bad_sms, [2].into());
    // It did most of its work right: nothing is said of the kernels.
    assert_eq!(gpu(&summary, FIRST).not_validated(), Vec::<String>::new());
}

#[test]
fn a_host_that_cannot_lock_memory_is_no_fault_of_the_gpu_and_the_other_one_goes_on() {
    let rig = card(&format!("count = 2\n{SMALL}"))
        + "[[cuda_fault]]\ngpu = 0\neffect = { out-of-host-memory = { allocation = 4 } }\n";
    let bench = Bench::brief(&rig, 60);
    let reason = not_measured(&bench);
    for words in ["cuMemHostAlloc gives CUDA_ERROR_OUT_OF_MEMORY", "the host could not lock"] {
        assert!(reason.contains(words), "{reason}");
    }
    let summary = bench.summary();
    assert!(!gpu(&summary, FIRST).has_errors());
    assert_eq!(gpu(&summary, SECOND).outcome, Some(Outcome::Finished));
}

/// Rules that fire for a GPU.
fn fires(summary: &Summary, rule: &str, address: &str) -> bool {
    let mut builder = EvidenceBuilder::new(Origin::Live);
    burn::add_evidence(summary, &mut builder);
    let inspection = inspection::assess(builder.finish(), &Signatures::embedded().unwrap());
    let of = |check: &&rule::Check| check.id == rule && check.part == format!("gpu:{address}");
    matches!(inspection.checks.iter().find(of).unwrap().outcome, rule::Outcome::Fires(_))
}

#[test]
fn telemetry_is_what_the_driver_says_and_counters_grow_under_load() {
    let gpu = |like: &str, address: &str, cuda: &str, more: &str| {
        format!(
            "[[gpu]]\nlike = \"{like}\"\npci.address = \"{address}\"\nunset = [\"nvlink\"]\n\
             cuda = {{ memory_mib = 32, multiprocessors = 4, l2_kib = 4096, rise_celsius = 0.0, {cuda} }}\n{more}\n"
        )
    };
    // Nothing gets warmer, so that each value has one answer.
    let rig = gpu(
        "a100-sxm-80gb",
        FIRST,
        "demand_milliwatts = 234_000, boost_mhz = 1234.0",
        "fans.percent = [61, 77]\ntemperature = { gpu_celsius = 41, memory_celsius = 52, margin_celsius = 33 }\n",
    ) + &gpu("v100-sxm", SECOND, "link = [1, 4], demand_milliwatts = 600_000, boost_mhz = 1000.0", "")
        + "[[cuda_fault]]\ngpu = 0\neffect = { ecc-errors = { corrected = 1 } }\n\
           [[cuda_fault]]\neffect = { memory-repairs = { corrected = 1 } }\n";
    let (code, summary) = Bench::brief(&rig, 60).run();
    assert_eq!(code, Some(0), "what ECC corrects is judged by rules, not by the burn");
    let [first, second] = [FIRST, SECOND].map(|address| part(&summary, address));
    for (path, value) in [
        ("fan.max_percent", 77),
        ("utilisation.median_percent", 100),
        ("temperature.gpu_median_celsius", 41),
        ("temperature.gpu_max_celsius", 41),
        ("temperature.memory_max_celsius", 52),
        ("temperature.headroom_celsius", 33),
        ("clock.sm_median_mhz", 1234),
        ("clock.memory_median_mhz", 1593),
        ("power.median_milliwatts", 234_000),
        ("power.limit_milliwatts", 400_000),
        ("link.generation_under_load", 4),
        ("link.width_under_load", 16),
        ("link.replays_growth", 0),
        ("ecc.volatile_uncorrected_growth", 0),
    ] {
        let path = format!("gpu.burn.{path}");
        assert_eq!(first.integer(&path), Some(value), "{path}: {:?}", first.reading(&path));
    }
    // Four lanes of generation 1 move a gigabyte a second at most. A load that wants twice the limit gets 0.7 of the clock.
    for (path, value) in [
        ("link.generation_under_load", 1),
        ("link.width_under_load", 4),
        ("clock.sm_median_mhz", 707),
        ("power.median_milliwatts", 300_000),
        ("throttle.thermal_permille", 0),
        ("throttle.power_brake_permille", 0),
    ] {
        assert_eq!(second.integer(&format!("gpu.burn.{path}")), Some(value), "{path}");
    }
    let capped = [&first, &second].map(|part| part.integer("gpu.burn.throttle.power_cap_permille").unwrap());
    assert!(capped[0] == 0 && capped[1] > 500, "{capped:?}");
    for quantity in [Quantity::HostToDevice, Quantity::DeviceToHost] {
        let rate = |part: &yanji::evidence::Part| part.integer(quantity.fact()).unwrap();
        assert!((500..=1000).contains(&rate(&second)) && rate(&first) > 15_000, "{} {}", rate(&first), rate(&second));
    }
    // One remaps rows, the other retires pages; only one has errors besides.
    let growth = |part: &yanji::evidence::Part, path: &str| part.integer(&format!("gpu.burn.{path}")).unwrap();
    assert!(growth(&first, "remap.growth") > 0 && growth(&second, "remap.growth") > 0);
    assert!(growth(&first, "ecc.volatile_corrected_growth") > 0);
    assert_eq!(growth(&second, "ecc.volatile_corrected_growth"), 0);
    let rules = ["gpu.burn-memory-repairs", "gpu.burn-corrected-errors"];
    assert_eq!(rules.map(|rule| fires(&summary, rule, FIRST)), [true, true]);
    assert_eq!(rules.map(|rule| fires(&summary, rule, SECOND)), [true, false]);
}
