//! The square wave of power: the built binary on the virtual driver.

use std::thread;
use std::time::{Duration, Instant};

use vgpu::TIMER_SKEW_NANOSECONDS;
use yanji::burn::gpu::{Outcome, Quantity};
use yanji::evidence::Reading;

use crate::gpu_burn::{Bench, FIRST, SECOND, SMALL, card, gpu, part};

/// A part of the wave as the virtual driver was asked for it, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Wave {
    gpu: u64,
    /// By the clock that all GPUs of the virtual driver derive their timers from.
    start: u64,
    period: u64,
}

/// All of them; self-tests and trials begin at 0.
fn waves(bench: &Bench) -> Vec<Wave> {
    let wave = |line: &String| {
        let [gpu, _, "pulse", params] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let gpu = gpu.parse().ok()?;
        let word = |index: usize| {
            let text = params.get(16 * index..16 * index + 16)?;
            u64::from_str_radix(text, 16).ok().map(u64::swap_bytes)
        };
        let start = word(0).filter(|start| *start > 0)?;
        Some(Wave { gpu, start: start - (gpu + 1) * TIMER_SKEW_NANOSECONDS, period: word(1)? })
    };
    bench.launches().iter().filter_map(wave).collect()
}

/// Waits for a turn that is said to have had no wave, for that reason.
fn no_wave(bench: &Bench, expected: &str) {
    bench.wait_for(|line| {
        let wanted = line["kind"] == "gpu-missing" && line["missing"]["quantity"] == Quantity::PulseBursts.as_str();
        (wanted && line["missing"]["reason"].as_str()?.contains(expected)).then_some(())
    })
}

#[test]
fn waves_of_two_gpus_are_in_phase_and_an_sm_that_is_wrong_only_there_is_named() {
    // The self-test of the kernel looks at two SMs.
    let rig = card(&format!("count = 2\n{SMALL}"))
        + "[[cuda_fault]]\ngpu = 1\nkernel = \"pulse\"\n\
           effect = { bad-multiprocessor = { multiprocessor = 3, one_in = 100000 } }\n";
    let bench = Bench::turns(&rig, 0, 0, 8);
    let mut child = bench.start();
    let hertz = |hertz: u64| 1_000_000_000 / hertz;
    let of = |waves: &[Wave], gpu: u64, period: u64| -> Vec<u64> {
        waves.iter().filter(|it| (it.gpu, it.period) == (gpu, period)).map(|it| it.start).collect()
    };
    // The first turn has begun when the GPUs come to it. Slow waves are compared: a machine that is busy with other things
    // reads a timer within milliseconds.
    let started = Instant::now();
    let both = loop {
        let waves = waves(&bench);
        let made = |gpu: u64, frequency: u64| !of(&waves, gpu, hertz(frequency)).is_empty();
        if [0, 1].iter().all(|&gpu| made(gpu, 1) && made(gpu, 5)) {
            break waves;
        }
        assert!(started.elapsed() < Duration::from_secs(250), "waited in vain: {waves:?}");
        thread::sleep(Duration::from_millis(100));
    };
    for address in [FIRST, SECOND] {
        bench.wait_for(|line| {
            let measured = line["kind"] == "gpu-measurement" && line["measurement"]["quantity"] == "pulse-phase";
            (measured && line["gpu"] == address).then_some(())
        });
    }
    let error = bench
        .wait_for(|line| (line["kind"] == "gpu-compute-error").then(|| (line["gpu"].clone(), line["error"].clone())));
    assert_eq!((&error.0, &error.1["kernel"], &error.1["sm"]), (&SECOND.into(), &"pulse".into(), &3.into()));
    assert_eq!(bench.interrupt(&mut child), Some(1));

    for period in [hertz(1), hertz(5)] {
        let [first, second] = [0, 1].map(|gpu| of(&both, gpu, period));
        let pairs = first.iter().flat_map(|a| second.iter().map(|b| a.abs_diff(*b) % period));
        let mut apart: Vec<u64> = pairs.map(|apart| apart.min(period - apart)).collect();
        apart.sort_unstable();
        println!("period {period} ns: {} pairs of waves, {} ns apart", apart.len(), apart[apart.len() / 2]);
        assert!(apart[apart.len() / 2] < period / 8, "{apart:?}");
    }
    let summary = bench.summary();
    for address in [FIRST, SECOND] {
        let (gpu, part) = (gpu(&summary, address), part(&summary, address));
        assert!(part.integer(Quantity::PulseBursts.fact()) > Some(0), "{:?}", gpu.measurements);
        assert!(part.integer(Quantity::PulsePhase.fact()) < Some(100_000), "{:?}", gpu.measurements);
        assert_eq!(gpu.kernels["pulse"].failure, None);
        let bad: Vec<u32> = gpu.totals.bad_sms.iter().copied().collect();
        assert_eq!(bad, if address == SECOND { vec![3] } else { vec![] }, "{address}");
    }
}

#[test]
fn where_another_kernel_draws_more_its_launches_wait_for_the_edges() {
    // The virtual driver takes no machine code, and the plain kernel stands for the one of the chip.
    let rig = format!("[[gpu]]\nlike = \"h100-sxm\"\npci.address = \"{FIRST}\"\n{SMALL}\n");
    let bench = Bench::turns(&rig, 0, 0, 4);
    let mut child = bench.start();
    bench.wait_for(|line| {
        let quantity = &line["measurement"]["quantity"];
        (line["kind"] == "gpu-measurement" && quantity == Quantity::PulsePhase.as_str()).then_some(())
    });
    assert_eq!(bench.interrupt(&mut child), Some(3));
    let summary = bench.summary();
    let (gpu, part) = (gpu(&summary, FIRST), part(&summary, FIRST));
    assert_eq!((&gpu.outcome, gpu.has_errors()), (&Some(Outcome::Stopped), false));
    let bursts = &gpu.measurements[&Quantity::PulseBursts];
    assert!(bursts.kernel.as_deref() == Some("compute_f16") && bursts.method.contains("at full power"), "{bursts:?}");
    assert!(bursts.distribution.median > 0 && part.integer(Quantity::PulsePhase.fact()).is_some(), "{bursts:?}");
    // A gate that makes no wave of its own, and the load behind it.
    let gates = waves(&bench).iter().filter(|wave| wave.period == 1).count();
    let log = bench.launches();
    let name = |line: &String| line.split(' ').nth(2).unwrap_or_default().to_owned();
    let pairs =
        log.windows(2).filter(|pair| (name(&pair[0]), name(&pair[1])) == ("pulse".into(), "compute_f16".into()));
    assert!(gates > 0 && pairs.count() >= gates - 1, "{gates} gates");
}

#[test]
fn a_device_that_is_too_slow_for_a_wave_has_none_measured_and_does_not_hang() {
    for (milliseconds, turn, expected) in [(2500, 2, "turn was over before the first wave"), (700, 8, "waves too late")]
    {
        let slow =
            format!("[[cuda_fault]]\nkernel = \"pulse\"\neffect = {{ slow = {{ milliseconds = {milliseconds} }} }}\n");
        let bench = Bench::turns(&(card(SMALL) + &slow), 0, 0, turn);
        let mut child = bench.start();
        // The first turn may have been half over when the GPU came to it.
        no_wave(&bench, expected);
        // The GPU goes on.
        bench.wait_for(|line| (line["kind"] == "gpu-step" && line["step"] == "pulse").then_some(()));
        assert_eq!(bench.interrupt(&mut child), Some(3));
        let summary = bench.summary();
        assert_eq!(
            (&gpu(&summary, FIRST).outcome, gpu(&summary, FIRST).has_errors()),
            (&Some(Outcome::Stopped), false)
        );
        for quantity in [Quantity::PulseBursts, Quantity::PulsePhase] {
            let part = part(&summary, FIRST);
            assert!(matches!(part.reading(quantity.fact()), Some(Reading::Failed(_))), "{quantity:?} is no number");
        }
    }
}
