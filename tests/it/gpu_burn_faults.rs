//! Faults of GPUs that show only after a while, only under load, or only in numbers: the built binary on the virtual driver.

use rustix::process::{Signal, kill_process};
use serde_json::Value as Json;
use yanji::burn::gpu::{Outcome, Quantity, Step};
use yanji::evidence::Reading;

use crate::gpu_burn::{Bench, FIRST, SECOND, SMALL, assess, card, gpu, not_measured, part, said};

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
    // It lies in no pointer of the rings in which latencies are measured: those are at the start of a line of 128 bytes, and
    // a wrong one leads out of the memory.
    let bench = Bench::turns(&fault("flipping-bit = { address = 0x900042, bit = 6, one_in = 7 }"), 30, 0, 0);
    let (error, code) = found(&bench, "gpu-memory-error");
    assert_eq!((code, &error["fault"]), (Some(1), &"bit".into()), "{error}");
    assert_ne!(error["pattern"], "own addresses");
    let part = part(&bench.summary(), FIRST);
    assert_eq!(part.text("gpu.burn.wrong_bits"), Some("0x00000000000000000000000000400000"));
    assert_eq!(part.text("gpu.burn.first_wrong_address"), part.text("gpu.burn.last_wrong_address"));
    // The kernels' own variables lie before the memory under test.
    let offset = part.text("gpu.burn.first_wrong_address").unwrap();
    let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).unwrap();
    assert!((0x8f0040..=0x900040).contains(&offset), "{offset:#x}");
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

#[test]
fn memory_of_the_host_that_is_refused_at_any_allocation_is_no_fault_of_the_gpu() {
    for allocation in 1..=5 {
        let effect = format!("out-of-host-memory = {{ allocation = {allocation} }}");
        let reason = not_measured(&Bench::brief(&fault(&effect), 60));
        assert!(
            reason.contains("OUT_OF_MEMORY") && reason.contains("the host could not lock"),
            "{allocation}: {reason}"
        );
    }
}

#[test]
fn memory_in_small_pieces_is_all_tested_and_what_is_refused_in_the_middle_is_not_covered() {
    // Pieces of 4 MiB, of which the fifth has a stuck bit. The kernels' own variables lie before the first.
    let stuck = "stuck-bit = { address = 0x1200005, bit = 3, value = true }";
    let pieces = fault("fragmented-memory = { largest_mib = 4 }");
    let (code, summary) =
        Bench::brief(&(pieces.clone() + &format!("[[cuda_fault]]\neffect = {{ {stuck} }}\n")), 60).run();
    assert_eq!(code, Some(1));
    let sound = part(&summary, FIRST);
    assert!(
        sound.integer("gpu.burn.coverage_permille") > Some(930),
        "{:?}",
        sound.reading("gpu.burn.coverage_permille")
    );
    let offset = sound.text("gpu.burn.first_wrong_address").unwrap();
    let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).unwrap();
    assert!((0x1100000..=0x1200000).contains(&offset), "{offset:#x}");
    assert_eq!(sound.text("gpu.burn.last_wrong_address"), sound.text("gpu.burn.first_wrong_address"));
    assert_eq!(sound.integer("gpu.burn.aliased_vectors"), Some(0));

    // Once for self-tests, then 32, 16, 8 and 4 MiB: three pieces are to be had, then nothing.
    let refused = pieces + "[[cuda_fault]]\neffect = { out-of-memory = { allocation = 8 } }\n";
    let (_, summary) = Bench::brief(&refused, 60).run();
    let part = part(&summary, FIRST);
    assert!(!gpu(&summary, FIRST).has_errors(), "{:?}", gpu(&summary, FIRST).outcome);
    assert!(
        part.integer("gpu.burn.coverage_permille").is_some_and(|it| (200..500).contains(&it)),
        "{:?}",
        part.reading("gpu.burn.coverage_permille")
    );
    let inspection = assess(&summary);
    for rule in ["gpu.burn-capacity", "gpu.burn-memory-errors"] {
        assert_eq!(said(&inspection, rule, FIRST), "inconclusive", "{rule}");
    }
}

#[test]
fn a_kernel_that_is_wrong_on_every_sm_is_not_used_and_is_no_fault_of_the_gpu() {
    let wrong = card(SMALL) + "[[cuda_fault]]\nkernel = \"compute_f64\"\neffect = \"wrong-kernel\"\n";
    let (code, summary) = Bench::brief(&wrong, 60).run();
    let burned = gpu(&summary, FIRST);
    assert_eq!((code, burned.has_errors()), (Some(0), false), "{:?}", burned.outcome);
    let not_validated = burned.not_validated();
    let named: Vec<&str> = not_validated.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(named, ["compute_f64"], "{not_validated:?}");
    let part = part(&summary, FIRST);
    for quantity in [Quantity::RateFp64, Quantity::ClocksFp64] {
        let reading = part.reading(quantity.fact());
        assert!(
            matches!(reading, Some(Reading::Failed(why)) if why.contains("not validated on this driver")),
            "{reading:?}"
        );
    }
    assert!(part.integer(Quantity::RateFp32.fact()) > Some(0));
    assert_eq!(part.integer("gpu.burn.compute_errors"), Some(0));
    assert_eq!(part.reading("gpu.burn.bad_sms"), Some(&Reading::Known(Vec::<String>::new().into())));
    let inspection = assess(&summary);
    assert_eq!(said(&inspection, "gpu.burn-kernels-not-validated", FIRST), "fires");
    assert_eq!(said(&inspection, "gpu.burn-compute-errors", FIRST), "clear");
}

#[test]
fn an_interruption_of_a_launch_that_never_ends_comes_to_an_end() {
    // The watchdog is far away: only the interruption ends this.
    let rig = card(SMALL) + "[[cuda_fault]]\nafter_launches = 90\neffect = \"hang\"\n";
    let bench = Bench::brief(&rig, 3600);
    let mut child = bench.start();
    let at =
        bench.wait_for(|line| (line["kind"] == "gpu-step" && line["step"] == "allocate").then(|| line["seq"].as_u64()));
    // Seconds in which a launch of a sound GPU would long have ended.
    for sample in 1..=3 {
        bench.wait_for(|line| {
            let late = line["seq"].as_u64() >= at.map(|at| at + sample) && line["step"] == "address";
            (line["kind"] == "gpu-sample" && late).then_some(())
        });
    }
    assert_eq!(bench.interrupt(&mut child), Some(1));
    let summary = bench.summary();
    let outcome = &gpu(&summary, FIRST).outcome;
    assert!(matches!(outcome, Some(Outcome::WorkerHung { step: Some(Step::Address), .. })), "{outcome:?}");
    assert_eq!(said(&assess(&summary), "gpu.burn-hung", FIRST), "fires");
    assert!(bench.child("gpu-worker").is_none(), "it was killed");
}

#[test]
fn telemetry_whose_reader_is_killed_begins_again() {
    let bench = Bench::turns(&card(SMALL), 30, 0, 0);
    let mut child = bench.start();
    let samples =
        |line: &Json| line["kind"] == "gpu-sample" && line["telemetry"]["known"]["samples"].as_u64() > Some(0);
    bench.wait_for(|line| samples(line).then_some(()));
    let first = bench.wait_for_child("gpu-telemetry");
    kill_process(first, Signal::KILL).unwrap();
    let second = bench.wait_for_other_child("gpu-telemetry", first);
    assert_ne!(first, second);
    let before = bench.records().len();
    bench.wait_for_after(before, |line| (samples(line) && line["step"] == "compute").then_some(()));
    bench.interrupt(&mut child);
    assert!(part(&bench.summary(), FIRST).integer("gpu.burn.power.median_milliwatts") > Some(0));
}

#[test]
fn a_profile_with_nonsense_is_refused_before_anything_runs() {
    let gpu = |line: &str| format!("name = \"x\"\nduration_seconds = 10\n[gpu]\n{line}\n");
    for (text, complaint) in [
        (String::new(), "missing field `name`"),
        ("\u{0}\u{7f}\u{feff}".to_owned(), "line 1"),
        ("name = \"x\"\nduration_seconds = nan\n[gpu]\n".to_owned(), "line 2"),
        ("name = \"x\"\nduration_seconds = -1\n[gpu]\n".to_owned(), "line 2"),
        ("name = \"x\"\nduration_seconds = 0\n[gpu]\n".to_owned(), "duration_seconds is 0"),
        ("name = \"x\"\nduration_seconds = 1e300\n[gpu]\n".to_owned(), "line 2"),
        ("name = \"x\"\nduration_seconds = 99999999999999999999\n[gpu]\n".to_owned(), "line 2"),
        (
            "name = \"x\"\nduration_seconds = 9223372036854775807\n[gpu]\n".to_owned(),
            "duration_seconds is 9223372036854775807",
        ),
        ("name = \"x\"\nduration_seconds = 10\n".to_owned(), "nothing to run"),
        (gpu("load_seconds = inf"), "line 4"),
        (gpu("load_seconds = -5"), "line 4"),
        (gpu("patterns_seconds = 9223372036854775807"), "gpu.patterns_seconds is 9223372036854775807"),
        (gpu("measure_seconds = 0"), "gpu.measure_seconds is 0"),
        (gpu("share_percent = 101"), "gpu.share_percent is 101"),
        (gpu("kernels = \"all\""), "unknown field `kernels`"),
        (gpu("load_seconds = 1\nload_seconds = 2"), "line 5"),
    ] {
        let bench = Bench::of_profile(&card(SMALL), &text);
        let output = bench.burn().output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text:?}: {said}");
        assert!(said.contains(complaint) && !said.contains("panicked"), "{text:?}: {said}");
        assert!(!bench.records_file().exists());
    }
}

#[test]
fn telemetry_is_what_the_driver_says_and_counters_grow_under_load() {
    let gpu = |like: &str, address: &str, cuda: &str, more: &str| {
        format!(
            "[[gpu]]\nlike = \"{like}\"\npci.address = \"{address}\"\n\
             cuda = {{ memory_mib = 32, multiprocessors = 4, l2_kib = 4096, rise_celsius = 0.0, {cuda} }}\n{more}\n"
        )
    };
    // Nothing gets warmer, so that each value has one answer.
    let rig = gpu(
        "a100-sxm-80gb",
        FIRST,
        "demand_milliwatts = 234_000, boost_mhz = 1234.0",
        "pcie.replays = 4000\nnvlink = { errors = [9, 9, 9, 9, 9], erring = 11, inactive = [0] }\nfans.percent = [61, 77]\ntemperature = { gpu_celsius = 41, memory_celsius = 52, margin_celsius = 33 }\n",
    ) + &gpu(
        "v100-sxm",
        SECOND,
        "link = [1, 4], demand_milliwatts = 600_000, boost_mhz = 1000.0",
        "unset = [\"nvlink\"]",
    ) + "[[cuda_fault]]\ngpu = 0\neffect = { pcie-replays = { count = 2 } }\n\
           [[cuda_fault]]\ngpu = 0\neffect = { nvlink-errors = { counts = [1, 0, 0, 2, 0] } }\n\
           [[cuda_fault]]\ngpu = 0\neffect = { ecc-errors = { corrected = 1 } }\n\
           [[cuda_fault]]\neffect = { memory-repairs = { corrected = 1 } }\n";
    let bench = Bench::brief(&rig, 60);
    let (code, summary) = bench.run();
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
        ("ecc.volatile_uncorrected_growth", 0),
    ] {
        let path = format!("gpu.burn.{path}");
        assert_eq!(first.integer(&path), Some(value), "{path}: {:?}", first.reading(&path));
    }
    // Four lanes of generation 1 move a gigabyte a second at most. A load that wants twice the limit gets 0.7 of the clock.
    for (path, value) in [
        ("link.generation_under_load", 1),
        ("link.replays_growth", 0),
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
    // What the links counted in their lives is no growth. Three kinds of errors of a link are told, of every launch three.
    for (name, life, fact) in
        [("pcie.replays", 4000, "link.replays_growth"), ("nvlink.errors", 4 * 9, "nvlink.errors_growth")]
    {
        let counts = told(&bench, FIRST, name);
        let (begin, end) = (counts[0], *counts.last().unwrap());
        assert!(begin >= life && counts.is_sorted() && end > begin, "{name}: {counts:?}");
        assert_eq!(growth(&first, fact), (end - begin) as i64, "{name}");
    }
    assert!(told(&bench, SECOND, "nvlink.errors").is_empty());
    assert!(told(&bench, SECOND, "pcie.replays").iter().all(|&count| count == 0));
    let inspection = assess(&summary);
    let rules = ["gpu.burn-memory-repairs", "gpu.burn-corrected-errors", "gpu.burn-pcie-replays"];
    assert_eq!(rules.map(|rule| said(&inspection, rule, FIRST)), ["fires", "fires", "fires"]);
    assert_eq!(rules.map(|rule| said(&inspection, rule, SECOND)), ["fires", "clear", "clear"]);
}

/// A counter of a GPU as its telemetry has it, interval by interval.
fn told(bench: &Bench, address: &str, counter: &str) -> Vec<u64> {
    let records = bench.records();
    let lines = records.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Json>(line).ok());
    let samples = lines.filter(|line| line["kind"] == "gpu-sample" && line["gpu"] == address);
    samples.filter_map(|line| line["telemetry"]["known"]["counters"][counter].as_u64()).collect()
}
