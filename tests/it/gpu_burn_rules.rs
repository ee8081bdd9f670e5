//! What the rules say of whole machines whose GPUs were burned in: honest cards of several classes, and others.

use std::collections::{BTreeMap, BTreeSet};

use yanji::claim::GpuClaim;
use yanji::evidence::{EvidenceBuilder, Origin, Reading, Value};
use yanji::inspection::{self, Inspection};
use yanji::policy::Verdict;
use yanji::rule::{Outcome, Severity, Signatures};

/// A burned card: facts that are there to be changed.
#[derive(Clone)]
struct Card {
    device: &'static str,
    name: &'static str,
    vbios: &'static str,
    facts: BTreeMap<String, Reading>,
}

/// What a chip does: compute capability, multiply-adds of an SM in a clock for FP32, FP64, FP16, and the tensor cores'
/// other formats.
struct Chip {
    level: &'static str,
    fp32: i64,
    fp64: i64,
    tensor: &'static [(&'static str, i64)],
}

const VOLTA: Chip = Chip { level: "7.0", fp32: 64, fp64: 32, tensor: &[("fp16", 512)] };
const GA100: Chip = Chip {
    level: "8.0",
    fp32: 64,
    fp64: 32,
    tensor: &[("fp64_tensor", 64), ("fp16", 1024), ("bf16", 1024), ("tf32", 512), ("int8", 2048)],
};
const AD102: Chip = Chip {
    level: "8.9",
    fp32: 128,
    fp64: 2,
    tensor: &[("fp64_tensor", 2), ("fp16", 256), ("bf16", 256), ("tf32", 128), ("int8", 1024), ("fp8", 512)],
};
const AD102_FULL: Chip = Chip {
    level: "8.9",
    fp32: 128,
    fp64: 2,
    tensor: &[("fp64_tensor", 2), ("fp16", 512), ("bf16", 512), ("tf32", 256), ("int8", 1024), ("fp8", 1024)],
};
const GH100: Chip = Chip {
    level: "9.0",
    fp32: 128,
    fp64: 64,
    tensor: &[("fp64_tensor", 128), ("fp16", 2048), ("bf16", 2048), ("tf32", 1024), ("int8", 4096), ("fp8", 4096)],
};

const UNSUPPORTED: Reading = Reading::Unsupported;
const ABSENT: Reading = Reading::Absent;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The unit of a rate in the name of its fact.
fn unit(format: &str) -> &'static str {
    if format == "int8" { "gops" } else { "gflops" }
}

impl Card {
    /// A sound card: SMs, SM clock under load, memory in MiB, memory clock, width of the bus, PCIe generation.
    fn new(device: &'static str, name: &'static str, vbios: &'static str, chip: &Chip, figures: [i64; 6]) -> Self {
        let [sms, mhz, memory_mib, memory_mhz, bus_bits, generation] = figures;
        let mut card = Self { device, name, vbios, facts: BTreeMap::new() };
        let absent: &[&str] =
            &["lost_reason", "hung_step", "crashed_step", "first_aliased_address", "first_wrong_address"];
        for path in absent.iter().chain(&["last_wrong_address", "wrong_bits"]) {
            card.set(path, ABSENT);
        }
        for path in ["aliased_vectors", "memory_errors", "compute_errors", "throttle.thermal_permille"] {
            card.set(path, 0i64);
        }
        for path in [
            "throttle.power_brake_permille",
            "ecc.volatile_corrected_growth",
            "ecc.volatile_uncorrected_growth",
            "remap.growth",
            "link.replays_growth",
        ] {
            card.set(path, 0i64);
        }
        for path in ["not_measured", "kernels_not_validated", "bad_sms", "peer.wrong_copies"] {
            card.set(path, Vec::<String>::new());
        }
        card.set("kernel_files", words(&["compute.fatbin fatbin 12ab", "wgmma.fatbin fatbin 34cd"]));
        card.set("completed", true);
        card.set("lost", false);
        card.set("total_bytes", memory_mib << 20);
        card.set("coverage_permille", 985i64);
        card.set("thermal.steady", true);
        card.set("sm_count", sms);
        card.set("cuda.sm_count", sms);
        card.set("cuda.name", name);
        card.set("cuda.compute_capability", chip.level);
        card.set("cuda.bus_width_bits", bus_bits);
        card.set("clock.sm_median_mhz", mhz);
        card.set("clock.memory_median_mhz", memory_mhz);
        // Nine tenths of what the memory can, and of what the arithmetic can.
        let bandwidth = memory_mhz * bus_bits / 4 * 9 / 10;
        for kind in ["read", "write", "copy", "triad"] {
            card.set(&format!("bandwidth.{kind}_mb_per_second"), bandwidth);
        }
        card.set("bandwidth.slowest_region_permille", 975i64);
        let link: i64 = [250, 500, 985, 1969, 3938][generation as usize - 1] * 16 * 8 / 10;
        card.set("bandwidth.host_to_device_mb_per_second", link);
        card.set("bandwidth.device_to_host_mb_per_second", link);
        card.set("link.generation_under_load", generation);
        card.set("link.width_under_load", 16i64);
        for format in ["fp64_tensor", "fp16", "bf16", "tf32", "int8", "fp8", "fp4"] {
            card.set(&format!("rate.{format}_{}", unit(format)), UNSUPPORTED);
            card.set(&format!("ops_per_1000_clocks_per_sm.{format}"), UNSUPPORTED);
        }
        card.ops("fp32", chip.fp32);
        card.set("ops_per_1000_clocks_per_sm.fp32_split", chip.fp32 * 480);
        card.ops("fp64", chip.fp64);
        for (format, each) in chip.tensor {
            card.ops(format, *each);
        }
        card
    }

    /// Multiply-adds in a clock, of which nine tenths are reached, and the rate that follows.
    fn ops(&mut self, format: &str, each: i64) {
        let figure = |card: &Self, path: &str| match &card.facts[&format!("gpu.burn.{path}")] {
            Reading::Known(value) => value.as_integer().unwrap(),
            _ => panic!(),
        };
        let (sms, mhz) = (figure(self, "sm_count"), figure(self, "clock.sm_median_mhz"));
        self.set(&format!("ops_per_1000_clocks_per_sm.{format}"), each * 900);
        self.set(&format!("rate.{format}_{}", unit(format)), 2 * each * sms * mhz * 9 / 10_000);
    }

    fn set(&mut self, path: &str, reading: impl Into<Reading>) {
        self.facts.insert(format!("gpu.burn.{path}"), reading.into());
    }

    fn with(mut self, path: &str, reading: impl Into<Reading>) -> Self {
        self.set(path, reading);
        self
    }

    fn failed(self, path: &str) -> Self {
        let failed: Reading = Reading::Failed("test".to_owned());
        self.with(path, failed)
    }

    fn v100() -> Self {
        Self::new("1db5", "Tesla V100-SXM2-32GB", "88.00.4F.00.09", &VOLTA, [80, 1450, 32_480, 877, 4096, 3])
    }

    fn a100() -> Self {
        Self::new("20b2", "NVIDIA A100-SXM4-80GB", "92.00.45.00.03", &GA100, [108, 1300, 81_150, 1593, 5120, 4])
    }

    fn h100() -> Self {
        Self::new("2330", "NVIDIA H100 80GB HBM3", "96.00.74.00.01", &GH100, [132, 1500, 81_079, 2619, 5120, 5])
    }

    fn l40s() -> Self {
        Self::new("26b9", "NVIDIA L40S", "95.02.66.00.02", &AD102_FULL, [142, 1800, 45_500, 9001, 384, 4])
    }

    fn rtx4090() -> Self {
        let card =
            Self::new("2684", "NVIDIA GeForce RTX 4090", "95.02.3C.00.EB", &AD102, [128, 2600, 24_100, 10_501, 384, 4]);
        // No ECC counters.
        let paths = ["ecc.volatile_corrected_growth", "ecc.volatile_uncorrected_growth", "remap.growth"];
        paths.into_iter().fold(card, |card, path| card.with(path, UNSUPPORTED))
    }

    fn part(&self, index: usize, burned: bool, builder: &mut EvidenceBuilder) {
        let mut part = builder.part("gpu", &format!("gpu:0000:{:02x}:00.0", 0x17 + index));
        part.fact("gpu.pci.vendor_id", "0x10de", "test").fact(
            "gpu.pci.device_id",
            format!("0x{}", self.device),
            "test",
        );
        part.fact("gpu.nvml.name", self.name, "test").fact("gpu.nvml.vbios_version", self.vbios, "test");
        part.fact("gpu.nvml.virtualization", "none", "test").fact("gpu.nvml.mig.enabled", false, "test");
        for path in ["gpu.pci.link.max_width", "gpu.pci.port.max_width"] {
            part.fact(path, 16i64, "test");
        }
        let generation = self.facts["gpu.burn.link.generation_under_load"].clone();
        part.fact("gpu.nvml.pcie.max_generation", generation, "test");
        for (path, reading) in self.facts.iter().filter(|_| burned) {
            part.fact(path, reading.clone(), "burn records");
        }
    }
}

/// A burned machine under a policy that asks for what it asks after a burn-in of GPUs, and for nothing else.
fn assess_with(cards: &[Card], claim: Option<&str>, burned: bool, burn_part: bool) -> Inspection {
    let mut signatures = Signatures::embedded().unwrap();
    let policy = &mut signatures.policy;
    policy.required.clear();
    policy.required_after_burn.clear();
    policy.required_where_present.retain(|rule| rule.starts_with("gpu.burn-"));
    let mut builder = EvidenceBuilder::new(Origin::Live);
    if burn_part {
        builder.part("burn", "burn").fact("burn.completed", true, "burn records");
    }
    for (index, card) in cards.iter().enumerate() {
        card.part(index, burned, &mut builder);
    }
    if let Some(claim) = claim {
        GpuClaim::parse(claim, &signatures.tables).unwrap().add(&mut builder);
    }
    inspection::assess(builder.finish(), &signatures)
}

fn assess(cards: &[Card]) -> Inspection {
    assess_with(cards, None, true, true)
}

/// Burn rules of severity medium or above that fire, on any GPU.
fn firing(inspection: &Inspection) -> BTreeSet<&str> {
    let fires = inspection
        .checks
        .iter()
        .filter(|check| check.id.starts_with("gpu.burn-"))
        .filter(|check| matches!(&check.outcome, Outcome::Fires(finding) if finding.severity >= Severity::Medium));
    fires.map(|check| check.id.as_str()).collect()
}

#[track_caller]
fn expect(cards: &[Card], rules: &[&str], verdict: Verdict) -> Inspection {
    let inspection = assess(cards);
    assert_eq!(firing(&inspection), rules.iter().copied().collect::<BTreeSet<_>>(), "{:#?}", inspection.judgement);
    assert_eq!(inspection.judgement.verdict, verdict, "{:#?}", inspection.judgement);
    inspection
}

fn like(inspection: &Inspection) -> &str {
    inspection.evidence.scope("gpu").next().unwrap().text("gpu.burned.behaves_like").unwrap()
}

fn shown(inspection: &Inspection, rule: &str) -> String {
    let check = inspection.checks.iter().find(|check| check.id == rule).unwrap();
    let Outcome::Fires(finding) = &check.outcome else { panic!("{check:?}") };
    finding
        .witnesses
        .iter()
        .map(|it| format!("{}={} ", it.fact, it.found.known().unwrap_or(&Value::from("-"))))
        .collect()
}

#[test]
fn sound_cards_of_every_class_are_clear_and_behave_like_themselves() {
    for (card, count, product) in [
        (Card::v100(), 8, "V100"),
        (Card::a100(), 8, "A100"),
        (Card::h100(), 8, "H100 80GB HBM3"),
        (Card::l40s(), 4, "L40S"),
        (Card::rtx4090(), 2, "RTX 4090"),
    ] {
        let cards = vec![card; count];
        let inspection = expect(&cards, &[], Verdict::Accepted);
        assert!(like(&inspection).contains(product), "{product}: {}", like(&inspection));
    }
}

#[test]
fn honest_cards_at_low_clocks_and_half_efficient_copies_are_not_accused() {
    // 350 W hold an H100 PCIe to two thirds of its rate; the clock that NVML gives is that of the whole run.
    let mut card = Card::h100();
    card.set("clock.sm_median_mhz", 1980i64);
    for path in ["bandwidth.host_to_device_mb_per_second", "bandwidth.device_to_host_mb_per_second"] {
        card.set(path, 32_000i64);
    }
    expect(&[card], &[], Verdict::Accepted);
    // Tensor cores through the slower kernel say nothing, where they are slow; where they are fast enough, they do.
    let slow = |card: &mut Card| {
        card.set("kernel_files", words(&["compute_80.ptx ptx 12ab"]));
        for format in ["fp16", "bf16"] {
            card.ops(format, 1200);
        }
    };
    let mut card = Card::h100();
    slow(&mut card);
    let inspection = expect(&[card], &[], Verdict::Undecided);
    assert!(inspection.judgement.reasons[0].contains("gpu.burn-tensor-rate-low"), "{:?}", inspection.judgement);
    expect(&[Card::h100().with("kernel_files", words(&["compute_80.ptx ptx 12ab"]))], &[], Verdict::Accepted);
}

#[test]
fn memory_that_is_not_there_rejects_and_its_first_address_is_named() {
    let card = Card::rtx4090()
        .with("total_bytes", 48_500i64 << 20)
        .with("aliased_vectors", 1_500_000_000i64)
        .with("memory_errors", 1_500_000_000i64)
        .with("first_aliased_address", "0x5e8000000")
        .with("first_wrong_address", "0x5e8000000")
        .with("last_wrong_address", "0xbd0000000");
    let inspection = expect(&[card], &["gpu.burn-capacity", "gpu.burn-memory-errors"], Verdict::Rejected);
    assert!(shown(&inspection, "gpu.burn-capacity").contains("0x5e8000000"));
    assert!(like(&inspection).contains("RTX 4090") && like(&inspection).contains("48500 MiB"), "{}", like(&inspection));
}

#[test]
fn the_claimed_product_is_held_against_what_ran() {
    let h20 =
        [("fp64", 4), ("fp64_tensor", 4), ("fp16", 512), ("bf16", 512), ("tf32", 256), ("int8", 1024), ("fp8", 1024)];
    let base = Card::new("2329", "NVIDIA H20", "96.00.74.00.01", &GH100, [78, 1900, 97_000, 2619, 6144, 5]);
    let cut = |mut card: Card| {
        h20.iter().for_each(|(format, each)| card.ops(format, *each));
        card
    };
    let honest = cut(base);
    expect(std::slice::from_ref(&honest), &[], Verdict::Accepted);
    let sold = assess_with(std::slice::from_ref(&honest), Some("H100 80GB SXM"), true, true);
    assert!(firing(&sold).contains("gpu.burn-not-as-claimed"), "{:?}", firing(&sold));
    assert_eq!(sold.judgement.verdict, Verdict::Rejected);
    assert!(like(&sold).contains("H20") && !like(&sold).contains("H100"), "{}", like(&sold));
    // The same chip under the device id and name of an H100, and a driver that was made to say 132 SMs.
    let forged = Card { device: "2330", name: "NVIDIA H100 80GB HBM3", ..honest };
    let inspection = assess(std::slice::from_ref(&forged));
    for rule in ["gpu.burn-sm-count-differs", "gpu.burn-ratio-differs", "gpu.burn-tensor-rate-low"] {
        assert!(firing(&inspection).contains(rule), "{rule}: {:?}", firing(&inspection));
    }
    assert_eq!(inspection.judgement.verdict, Verdict::Rejected);
    let inspection = assess(&[forged.with("cuda.sm_count", 132i64)]);
    assert!(firing(&inspection).contains("gpu.burn-sms-missing"));
    assert_eq!(inspection.judgement.verdict, Verdict::Rejected);
    assert!(like(&inspection).contains("H20"), "{}", like(&inspection));
}

#[test]
fn cut_chips_are_told_by_units_and_ratios() {
    let d = Card::new("2684", "NVIDIA GeForce RTX 4090", "95.02.3C.00.EB", &AD102, [114, 2600, 24_100, 10_501, 384, 4]);
    let inspection = expect(&[d], &["gpu.burn-sm-count-differs"], Verdict::Rejected);
    assert!(like(&inspection).contains("RTX 4090 D"), "{}", like(&inspection));
    let mut h800 = Card::h100();
    h800.ops("fp64", 2);
    let inspection = expect(&[h800], &["gpu.burn-rate-low", "gpu.burn-ratio-differs"], Verdict::Rejected);
    assert!(like(&inspection).contains("H800"), "{}", like(&inspection));
}

#[test]
fn a_mining_card_is_told_by_its_multiply_adds_whatever_it_says_it_is() {
    let cmp = |device, name, memory_mib| {
        let mut card = Card::new(device, name, "92.00.66.00.02", &GA100, [70, 1400, memory_mib, 1458, 4096, 1]);
        card.set("ops_per_1000_clocks_per_sm.fp32", 2000i64);
        card.set("ops_per_1000_clocks_per_sm.fp32_split", 31_000i64);
        card.set("rate.fp32_gflops", 390i64);
        card
    };
    let unlocked = assess(&[cmp("20c2", "NVIDIA Graphics Device", 65_000)]);
    assert!(firing(&unlocked).contains("gpu.burn-fma-throttled"));
    assert_eq!(unlocked.judgement.verdict, Verdict::Rejected);
    assert!(like(&unlocked).contains("CMP 170HX") && like(&unlocked).contains("65000 MiB"), "{}", like(&unlocked));
    let forged = assess(&[cmp("20b2", "NVIDIA A100-SXM4-80GB", 65_000)]);
    assert!(firing(&forged).is_superset(&BTreeSet::from([
        "gpu.burn-fma-throttled",
        "gpu.burn-sm-count-differs",
        "gpu.burn-rate-low"
    ])));
    assert_eq!(forged.judgement.verdict, Verdict::Rejected);
    // Sold by its name it is no fraud, but the tables cannot say what it should do.
    let honest = assess_with(&[cmp("20c2", "NVIDIA CMP 170HX", 8_000)], Some("CMP 170HX 8GB"), true, true);
    assert_ne!(honest.judgement.verdict, Verdict::Rejected, "{:?}", honest.judgement);
}

#[test]
fn a_wrong_sm_rejects_and_is_named() {
    let card = Card::h100().with("compute_errors", 3i64).with("bad_sms", words(&["sm17"]));
    let inspection = expect(&[Card::h100(), card], &["gpu.burn-compute-errors"], Verdict::Rejected);
    let check = inspection
        .checks
        .iter()
        .find(|it| it.id == "gpu.burn-compute-errors" && matches!(it.outcome, Outcome::Fires(_)));
    assert!(format!("{:?}", check.unwrap()).contains("sm17"));
}

#[test]
fn one_weak_card_lags_and_eight_weak_ones_are_below_the_floor() {
    let slowed = |percent: i64| {
        let mut card = Card::h100();
        for path in ["rate.fp16_gflops", "rate.fp32_gflops"] {
            let Some(Reading::Known(value)) = card.facts.get(&format!("gpu.burn.{path}")).cloned() else { panic!() };
            card.set(path, value.as_integer().unwrap() * percent / 100);
        }
        card
    };
    let lag = |inspection: &Inspection| {
        let of_rule = inspection.checks.iter().filter(|it| it.id == "gpu.burn-lagging");
        let fires = of_rule.filter(|it| matches!(it.outcome, Outcome::Fires(_)));
        fires.map(|it| it.part.clone()).collect::<Vec<_>>()
    };
    let mut cards = vec![Card::h100(); 8];
    cards[3] = slowed(80);
    // What cards of one kind differ by anyway.
    cards[5] = slowed(96);
    let inspection = expect(&cards, &["gpu.burn-lagging"], Verdict::Accepted);
    assert_eq!(lag(&inspection), ["gpu:0000:1a:00.0"]);
    // The median does not follow the weak ones, not even half of them, nor one that is far too good.
    let mut cards = [vec![slowed(80); 4], vec![Card::h100(); 4]].concat();
    assert_eq!(lag(&expect(&cards, &["gpu.burn-lagging"], Verdict::Accepted)).len(), 4);
    cards = vec![Card::h100(); 8];
    cards[0] = slowed(400);
    expect(&cards, &[], Verdict::Accepted);
    // Without its rate nobody knows whether a card lags.
    cards[0] = Card::h100().failed("rate.fp16_gflops");
    let inspection = assess(&cards);
    let first = inspection.checks.iter().find(|it| it.id == "gpu.burn-lagging" && it.part == "gpu:0000:17:00.0");
    assert!(matches!(first.unwrap().outcome, Outcome::Inconclusive { .. }), "{first:?}");
    // Equally weak: at a third of the clock, and with memory at half of its clock.
    let figures = [132, 500, 81_079, 1309, 5120, 5];
    let crippled = Card::new("2330", "NVIDIA H100 80GB HBM3", "96.00.74.00.01", &GH100, figures);
    let rules = ["gpu.burn-bandwidth-low", "gpu.burn-rate-low", "gpu.burn-tensor-rate-low"];
    let inspection = expect(&vec![crippled; 8], &rules, Verdict::Undecided);
    let on_all = inspection
        .checks
        .iter()
        .filter(|it| it.id == "gpu.burn-bandwidth-low" && matches!(it.outcome, Outcome::Fires(_)));
    assert_eq!(on_all.count(), 8);
}

#[test]
fn what_happens_under_load_is_told() {
    for (card, rule) in [
        (Card::a100().with("throttle.thermal_permille", 300i64), "gpu.burn-throttled-heat"),
        (Card::a100().with("throttle.power_brake_permille", 50i64), "gpu.burn-power-brake"),
        (Card::a100().with("remap.growth", 1i64), "gpu.burn-memory-repairs"),
        (Card::a100().with("bandwidth.slowest_region_permille", 400i64), "gpu.burn-region-slow"),
        (Card::a100().with("completed", false), "gpu.burn-unfinished"),
        (Card::a100().with("lost", true), "gpu.burn-lost"),
        (Card::a100().with("hung_step", "compute"), "gpu.burn-hung"),
    ] {
        let inspection = expect(&[card], &[rule], Verdict::Undecided);
        assert!(inspection.judgement.reasons.iter().any(|reason| reason.contains(rule)));
    }
    for (card, rule) in [
        (
            Card::a100().with("link.width_under_load", 4i64).with("bandwidth.host_to_device_mb_per_second", 6_000i64),
            "gpu.burn-link-degraded",
        ),
        (Card::a100().with("thermal.steady", false), "gpu.burn-not-steady"),
    ] {
        expect(&[card], &[rule], Verdict::Accepted);
    }
    // Kernels that fail are no fault of the card, and what they measure is missing.
    let card = Card::a100().with("kernels_not_validated", words(&["compute_f64: wrong"])).failed("rate.fp64_gflops");
    let inspection = expect(&[card.failed("ops_per_1000_clocks_per_sm.fp64")], &[], Verdict::Undecided);
    assert!(
        inspection
            .checks
            .iter()
            .any(|it| it.id == "gpu.burn-kernels-not-validated" && matches!(it.outcome, Outcome::Fires(_)))
    );
}

#[test]
fn links_are_held_against_what_they_carry_and_against_their_errors() {
    let linked = |copies: &[&str]| {
        let mut card = Card::h100().with("peer.copies", words(copies));
        let switches = vec!["0000:c4:00.0".to_owned(); 18];
        for (path, value) in [("active", Reading::from(18i64)), ("versions", words(&["4.0"; 18]).into())] {
            card.facts.insert(format!("gpu.nvml.nvlink.{path}"), value);
        }
        card.facts.insert("gpu.nvml.nvlink.remotes".to_owned(), switches.into());
        card
    };
    // 18 links of 25 GB/s, of which two fifths are the least.
    let [fast, slow] = ["0000:3b:00.0: 181000 MB/s direct", "0000:5d:00.0: 179000 MB/s direct"];
    let unread = "0000:5d:00.0: not measured: cuMemAlloc_v2 gives CUDA_ERROR_OUT_OF_MEMORY (out of memory)";
    expect(&[linked(&[fast])], &[], Verdict::Accepted);
    expect(&[linked(&[fast, slow])], &["gpu.burn-nvlink-slow"], Verdict::Accepted);
    expect(&[linked(&[slow, unread])], &["gpu.burn-nvlink-slow"], Verdict::Accepted);
    let blind = expect(&[linked(&[fast, unread])], &[], Verdict::Undecided);
    assert!(blind.judgement.reasons.join(" ").contains("gpu.burn-nvlink-slow could not be assessed"));

    let wrong = Card::h100().with("peer.wrong_copies", words(&["0000:3b:00.0: 1 bytes"]));
    expect(&[wrong], &["gpu.burn-peer-errors"], Verdict::Undecided);
    let blind = expect(&[Card::h100().failed("peer.wrong_copies")], &[], Verdict::Undecided);
    assert!(blind.judgement.reasons.join(" ").contains("gpu.burn-peer-errors could not be assessed"));

    // Eight replays in a minute are the most; a shorter load counts as a minute.
    for (replays, seconds, rules) in [
        (8i64, 20i64, &[][..]),
        (9, 20, &["gpu.burn-pcie-replays"]),
        (89, 600, &[]),
        (90, 600, &["gpu.burn-pcie-replays"]),
    ] {
        let card = Card::h100().with("link.replays_growth", replays).with("telemetry_seconds", seconds);
        expect(&[card], rules, Verdict::Accepted);
    }
}

#[test]
fn what_was_not_measured_is_inconclusive_and_never_accepted() {
    let blind = |card: Card| {
        let inspection = expect(&[card], &[], Verdict::Undecided);
        assert!(
            inspection.judgement.reasons.iter().all(|it| it.contains("could not be assessed")),
            "{:?}",
            inspection.judgement
        );
        inspection.judgement.reasons.join(" ")
    };
    expect(&[Card::h100().with("coverage_permille", 970i64)], &[], Verdict::Accepted);
    let reasons = blind(Card::h100().with("coverage_permille", 969i64));
    assert!(reasons.contains("gpu.burn-capacity") && reasons.contains("gpu.burn-memory-errors"), "{reasons}");
    for (path, rule) in [
        ("coverage_permille", "gpu.burn-capacity"),
        ("aliased_vectors", "gpu.burn-capacity"),
        ("compute_errors", "gpu.burn-compute-errors"),
        ("sm_count", "gpu.burn-sm-count-differs"),
        ("ops_per_1000_clocks_per_sm.fp16", "gpu.burn-tensor-rate-low"),
        ("ops_per_1000_clocks_per_sm.fp64", "gpu.burn-ratio-differs"),
        ("ops_per_1000_clocks_per_sm.fp32_split", "gpu.burn-fma-throttled"),
        ("bandwidth.slowest_region_permille", "gpu.burn-region-slow"),
        ("throttle.thermal_permille", "gpu.burn-throttled-heat"),
        ("remap.growth", "gpu.burn-memory-repairs"),
        ("link.width_under_load", "gpu.burn-link-degraded"),
        ("bandwidth.host_to_device_mb_per_second", "gpu.burn-link-degraded"),
    ] {
        assert!(blind(Card::h100().failed(path)).contains(rule), "{path}");
    }
    // Bandwidth has other passes, and is blind without all of them.
    expect(&[Card::h100().failed("bandwidth.read_mb_per_second")], &[], Verdict::Accepted);
    let none = ["read", "copy", "triad"]
        .iter()
        .fold(Card::h100(), |card, kind| card.failed(&format!("bandwidth.{kind}_mb_per_second")));
    assert!(blind(none).contains("gpu.burn-bandwidth-low"));
}

#[test]
fn a_burn_in_that_left_a_gpu_out_is_not_accepted_and_a_machine_without_one_is() {
    let left_out = assess_with(&[Card::h100()], None, false, true);
    assert_eq!(left_out.judgement.verdict, Verdict::Undecided);
    assert!(left_out.judgement.reasons.iter().any(|it| it.contains("gpu.burn-capacity could not be assessed")));
    for (cards, burn) in [(vec![], true), (vec![Card::h100()], false)] {
        let inspection = assess_with(&cards, None, false, burn);
        assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:?}", inspection.judgement);
    }
}
