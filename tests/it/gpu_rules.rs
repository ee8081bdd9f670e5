//! What the GPU rules say of whole machines, genuine and not, and what a claim changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use yanji::claim::{ClaimError, Condition, Cooler, FormFactor, GpuClaim, Order};
use yanji::evidence::{EvidenceBuilder, Origin, Reading, Value};
use yanji::inspection::{self, Inspection};
use yanji::policy::Verdict;
use yanji::rule::{Finding, Outcome, Severity, Signatures, Tables};

/// A GPU as its sources show it. All fields are there to be changed.
#[derive(Debug, Clone)]
struct Card {
    /// PCI device id, four digits.
    device: &'static str,
    subsystem: (&'static str, &'static str),
    name: &'static str,
    vbios: &'static str,
    memory_mib: i64,
    uuid: String,
    serial: Option<String>,
    board_part: Option<&'static str>,
    gpu_part: Option<&'static str>,
    inforom: &'static str,
    inforom_valid: bool,
    rebar_max_mib: Option<i64>,
    fans: Option<i64>,
    sm_count: Option<i64>,
    boot0: Option<&'static str>,
    nvlinks_active: Option<i64>,
    remapped_rows: i64,
    module: Option<i64>,
    /// Facts that are added or replaced: path and value.
    more: Vec<(&'static str, Value)>,
    /// Sources that are refused, by prefix.
    denied: Vec<&'static str>,
}

impl Card {
    fn new(index: usize, device: &'static str, name: &'static str, vbios: &'static str, memory_mib: i64) -> Self {
        Self {
            device,
            subsystem: ("10de", "16c1"),
            name,
            vbios,
            memory_mib,
            uuid: format!("GPU-9e1ad5c{index:x}-77b1-4c0e-a1f4-53b7{index:08x}"),
            serial: None,
            board_part: None,
            gpu_part: None,
            inforom: "G001.0000.03.03",
            inforom_valid: true,
            rebar_max_mib: None,
            fans: None,
            sm_count: None,
            boot0: None,
            nvlinks_active: None,
            remapped_rows: 0,
            module: None,
            more: Vec::new(),
            denied: Vec::new(),
        }
    }

    fn h100(index: usize) -> Self {
        Self {
            serial: Some(format!("16544230015{index:02}")),
            board_part: Some("692-2G520-0200-000"),
            gpu_part: Some("2330-885-A1"),
            inforom: "G520.0200.00.05",
            rebar_max_mib: Some(131_072),
            fans: Some(0),
            sm_count: Some(132),
            boot0: Some("GH100"),
            nvlinks_active: Some(18),
            module: Some(index as i64),
            ..Self::new(index, "2330", "NVIDIA H100 80GB HBM3", "96.00.74.00.01", 81_559)
        }
    }

    fn rtx4090(index: usize) -> Self {
        Self {
            subsystem: ("10b0", "f297"),
            gpu_part: Some("2684-301-A1"),
            inforom: "G002.0000.00.03",
            rebar_max_mib: Some(32_768),
            fans: Some(3),
            sm_count: Some(128),
            boot0: Some("AD102"),
            ..Self::new(index, "2684", "NVIDIA GeForce RTX 4090", "95.02.3C.00.EB", 24_564)
        }
    }

    fn rtx4090_48g(index: usize) -> Self {
        Self { memory_mib: 49_140, ..Self::rtx4090(index) }
    }

    fn a100_40(index: usize) -> Self {
        Self {
            subsystem: ("10de", "134f"),
            serial: Some(format!("13243210024{index:02}")),
            board_part: Some("692-2G506-0200-003"),
            gpu_part: Some("20B0-884-A1"),
            inforom: "G506.0200.00.04",
            rebar_max_mib: Some(65_536),
            sm_count: Some(108),
            boot0: Some("GA100"),
            nvlinks_active: Some(12),
            ..Self::new(index, "20b0", "NVIDIA A100-SXM4-40GB", "92.00.45.00.03", 40_960)
        }
    }

    fn h20(index: usize) -> Self {
        Self {
            subsystem: ("10de", "198b"),
            device: "2329",
            name: "NVIDIA H20",
            memory_mib: 97_871,
            gpu_part: Some("2329-895-A1"),
            sm_count: Some(78),
            ..Self::h100(index)
        }
    }

    fn cmp170hx(memory_mib: i64) -> Self {
        Self {
            subsystem: ("10de", "1585"),
            boot0: Some("GA100"),
            sm_count: Some(70),
            fans: Some(0),
            ..Self::new(0, "20c2", "NVIDIA Graphics Device", "92.00.66.00.02", memory_mib)
        }
    }

    fn part(&self, index: usize, builder: &mut EvidenceBuilder) {
        let mut part = builder.part("gpu", &format!("gpu:0000:{:02x}:00.0", 0x17 + index));
        for (path, value) in &self.more {
            part.fact(path, Reading::Known(value.clone()), "test");
        }
        let denied = |path: &str| self.denied.iter().any(|prefix| path.starts_with(prefix));
        let mut fact = |path: &str, reading: Reading| {
            let reading = if denied(path) { Reading::Denied } else { reading };
            part.fact(path, reading, "test");
        };
        let text = |text: &str| Reading::Known(Value::from(text));
        let optional = |text: Option<&str>| Reading::or_absent(text.map(Value::from));
        for source in ["gpu.pci.", "gpu.nvml.pci."] {
            fact(&format!("{source}vendor_id"), text("0x10de"));
            fact(&format!("{source}device_id"), text(&format!("0x{}", self.device)));
            fact(&format!("{source}subsystem_vendor_id"), text(&format!("0x{}", self.subsystem.0)));
            fact(&format!("{source}subsystem_device_id"), text(&format!("0x{}", self.subsystem.1)));
        }
        fact("gpu.pci.driver", text("nvidia"));
        for path in ["gpu.pci.link.max_width", "gpu.pci.link.current_width", "gpu.pci.port.max_width"] {
            fact(path, Reading::Known(16i64.into()));
        }
        fact("gpu.pci.rebar_max_bytes", Reading::or_absent(self.rebar_max_mib.map(|mib| Value::from(mib << 20))));
        fact("gpu.nvml.index", Reading::Known(index.into()));
        fact("gpu.nvml.name", text(self.name));
        fact("gpu.nvml.uuid", text(&self.uuid));
        fact("gpu.nvml.serial", optional(self.serial.as_deref()));
        fact("gpu.nvml.board_part_number", optional(self.board_part));
        fact("gpu.nvml.gpu_part_number", optional(self.gpu_part));
        fact("gpu.nvml.vbios_version", text(self.vbios));
        fact("gpu.nvml.inforom.image", text(self.inforom));
        fact("gpu.nvml.inforom.valid", Reading::Known(self.inforom_valid.into()));
        fact("gpu.nvml.memory.total_mib", Reading::Known(self.memory_mib.into()));
        fact("gpu.nvml.lost", Reading::Known(false.into()));
        fact("gpu.nvml.unstable", Reading::Known(Value::List(Vec::new())));
        fact("gpu.nvml.virtualization", text("none"));
        fact("gpu.nvml.mig.enabled", Reading::Known(false.into()));
        fact("gpu.nvml.fan.count", self.fans.map_or(Reading::Unsupported, |fans| Reading::Known(fans.into())));
        fact("gpu.nvml.remapped_rows.corrected", Reading::Known(self.remapped_rows.into()));
        fact("gpu.nvml.remapped_rows.uncorrected", Reading::Known(0i64.into()));
        fact("gpu.nvml.remapped_rows.failed", Reading::Known(false.into()));
        fact("gpu.nvml.remapped_rows.pending", Reading::Known(false.into()));
        fact("gpu.nvml.ecc.aggregate.uncorrected", Reading::Known(0i64.into()));
        fact("gpu.nvml.nvlink.active", Reading::or_absent(self.nvlinks_active.map(Value::from)));
        fact("gpu.nvml.module_id", Reading::or_absent(self.module.map(Value::from)));
        fact("gpu.procfs.uuid", text(&self.uuid));
        fact("gpu.procfs.model", text(self.name));
        fact("gpu.procfs.vbios_version", text(self.vbios));
        fact("gpu.cuda.sm_count", self.sm_count.map_or(Reading::Unsupported, |count| Reading::Known(count.into())));
        fact("gpu.boot0.chip", self.boot0.map_or(Reading::Denied, text));
    }
}

fn signatures() -> Signatures {
    Signatures::embedded().unwrap()
}

/// A machine with these GPUs and nothing else, judged by a policy that asks for nothing else.
fn assess(cards: &[Card], claim: Option<&str>) -> Inspection {
    assess_as(Origin::Live, cards, claim)
}

fn assess_as(origin: Origin, cards: &[Card], claim: Option<&str>) -> Inspection {
    let mut signatures = signatures();
    signatures.policy.required.clear();
    let mut builder = EvidenceBuilder::new(origin);
    builder.part("platform", "platform").fact("platform.pci_functions", 40i64, "test");
    builder.part("driver", "driver:nvidia").fact("driver.nvml.device_count", cards.len(), "test").fact(
        "driver.nvml.gave_up",
        Vec::<String>::new(),
        "test",
    );
    for (index, card) in cards.iter().enumerate() {
        card.part(index, &mut builder);
    }
    if let Some(claim) = claim {
        GpuClaim::parse(claim, &signatures.tables).unwrap().add(&mut builder);
    }
    inspection::assess(builder.finish(), &signatures)
}

fn findings(inspection: &Inspection) -> Vec<(&str, &Finding)> {
    let of_gpu =
        inspection.checks.iter().filter(|check| check.id.starts_with("gpu.") || check.id.starts_with("driver."));
    of_gpu
        .filter_map(|check| match &check.outcome {
            Outcome::Fires(finding) => Some((check.id.as_str(), finding)),
            _ => None,
        })
        .collect()
}

/// The GPU rules that fire at severity high or above.
fn serious(inspection: &Inspection) -> BTreeSet<&str> {
    findings(inspection).into_iter().filter(|(_, it)| it.severity >= Severity::High).map(|(id, _)| id).collect()
}

fn firing(inspection: &Inspection) -> BTreeSet<&str> {
    findings(inspection).into_iter().map(|(id, _)| id).collect()
}

#[track_caller]
fn expect(inspection: &Inspection, rules: &[&str], verdict: Verdict) {
    assert_eq!(serious(inspection), rules.iter().copied().collect::<BTreeSet<_>>(), "{:#?}", findings(inspection));
    assert_eq!(inspection.judgement.verdict, verdict, "{:#?}", inspection.judgement);
}

#[test]
fn genuine_gpus_are_accepted_under_their_own_claim_and_without_one() {
    let h100: Vec<Card> = (0..8).map(Card::h100).collect();
    let rtx4090: Vec<Card> = (0..2).map(Card::rtx4090).collect();
    let a100: Vec<Card> = (0..8).map(Card::a100_40).collect();
    let h20: Vec<Card> = (0..8).map(Card::h20).collect();
    for (cards, claim) in [
        (&h100, "H100 SXM 80GB x8, new"),
        (&rtx4090, "RTX 4090 24GB, fan"),
        (&a100, "A100 40GB SXM4 x8 used"),
        (&h20, "H20 96GB x8"),
    ] {
        for claim in [None, Some(claim)] {
            let inspection = assess(cards, claim);
            expect(&inspection, &[], Verdict::Accepted);
            assert!(firing(&inspection).is_empty(), "{:#?}", findings(&inspection));
            assert!(inspection.judgement.reasons.is_empty());
        }
    }
}

#[test]
fn what_odd_genuine_captures_show_is_no_finding_of_weight() {
    let card = |device, name, vbios, memory| Card {
        serial: Some("1322221017584".to_owned()),
        ..Card::new(0, device, name, vbios, memory)
    };
    let captures = [
        // ECC in the memory itself takes a sixteenth.
        Card {
            board_part: Some("900-2G183-0000-000"),
            inforom: "G183.0200.00.02",
            ..card("1eb8", "Tesla T4", "90.04.38.00.03", 15_109)
        },
        Card {
            board_part: Some("900-2G133-0080-000"),
            inforom: "G133.0242.00.03",
            ..card("26b9", "NVIDIA L40S", "95.02.66.00.02", 46_068)
        },
        Card {
            serial: Some("0".to_owned()),
            inforom: "G005.0000.98.01",
            ..card("2b85", "NVIDIA GeForce RTX 5090", "98.02.2E.40.61", 32_607)
        },
        Card { serial: None, ..card("2487", "NVIDIA GeForce RTX 3060", "94.04.71.00.69", 12_288) },
        Card { serial: None, ..card("1b82", "GeForce GTX 1070 Ti", "86.04.85.00.63", 4_096) },
        Card { serial: None, ..card("2184", "Graphics Device", "90.16.25.00.4C", 5_912) },
        Card {
            board_part: Some("692-2G520-0205-000"),
            inforom: "G520.0205.00.02",
            subsystem: ("10de", "17a6"),
            ..card("2324", "NVIDIA H800", "96.00.51.00.0E", 81_559)
        },
        Card {
            board_part: Some("900-2G548-0081-000"),
            inforom: "G548.0301.00.03",
            ..card("31c2", "NVIDIA GB300", "97.10.4A.00.1A", 284_208)
        },
        // A name that the driver did not know, on an id that the tables do not.
        Card { serial: None, inforom: "N/A", ..card("1180", "NVIDIA GeForce GTX 680", "80.04.47.00.11", 2_000) },
    ];
    for card in captures {
        let inspection = assess_as(Origin::Imported, std::slice::from_ref(&card), None);
        assert!(serious(&inspection).is_empty(), "{}: {:#?}", card.name, findings(&inspection));
    }
    // Redacted ids: nothing but the name is left.
    let a10g = Card {
        device: "0000",
        serial: Some("0000000000000".to_owned()),
        board_part: Some("000-00000-0000-000"),
        inforom: "G133.0210.00.04",
        more: ["gpu.pci.vendor_id", "gpu.nvml.pci.vendor_id"].map(|path| (path, "0x00de".into())).to_vec(),
        ..Card::new(0, "0000", "NVIDIA A10G", "94.02.75.00.01", 23_028)
    };
    let a10g = Card { denied: vec!["gpu.pci."], more: vec![("gpu.nvml.pci.vendor_id", "0x00de".into())], ..a10g };
    let inspection = assess_as(Origin::Imported, &[a10g], None);
    assert!(serious(&inspection).is_empty(), "{:#?}", findings(&inspection));
    assert_eq!(inspection.evidence.parts[2].text("gpu.baseline.by"), Some("name"));
}

#[test]
fn a_48_gb_4090_is_rejected_unless_it_was_sold_as_one() {
    let cards: Vec<Card> = (0..8).map(Card::rtx4090_48g).collect();
    let modified = ["gpu.memory-above-nominal", "gpu.rebar-below-memory"];
    for claim in [None, Some("RTX 4090 24GB, fan"), Some("RTX 4090")] {
        expect(&assess(&cards, claim), &modified, Verdict::Rejected);
    }
    for claim in ["RTX 4090 48GB", "4090 48G x8", "RTX 4090 48GB, modified, used"] {
        let inspection = assess(&cards, Some(claim));
        expect(&inspection, &modified, Verdict::Accepted);
        assert!(firing(&inspection).contains("gpu.modified-as-disclosed"));
        let reasons = &inspection.judgement.reasons;
        assert_eq!(reasons.len(), 2);
        assert!(reasons.iter().all(|reason| reason.ends_with("modified as disclosed")), "{reasons:?}");
    }
    // The honest 48 GB card is another product, and the disclosure covers what it names only.
    let inspection = assess(&cards, Some("RTX 6000 Ada 48GB"));
    let with_claim = [&modified[..], &["gpu.claim-product-differs"]].concat();
    expect(&inspection, &with_claim, Verdict::Rejected);
    let forged: Vec<Card> = cards.iter().cloned().map(|card| Card { boot0: Some("GA102"), ..card }).collect();
    let with_chip = [&modified[..], &["gpu.chip-mismatch"]].concat();
    expect(&assess(&forged, Some("RTX 4090 48GB, modified")), &with_chip, Verdict::Rejected);
    // Sold with 48 GB, delivered with 24.
    expect(
        &assess(&[Card::rtx4090(0)], Some("RTX 4090 48GB modified")),
        &["gpu.memory-below-claim"],
        Verdict::Rejected,
    );
}

#[test]
fn a_stricter_policy_sends_disclosed_modifications_to_a_person() {
    let mut signatures = signatures();
    signatures.policy.required.clear();
    signatures.policy.disclosed.counts = yanji::policy::DisclosedCounts::Undecided;
    let mut builder = EvidenceBuilder::new(Origin::Live);
    Card::rtx4090_48g(0).part(0, &mut builder);
    GpuClaim::parse("RTX 4090 48GB", &signatures.tables).unwrap().add(&mut builder);
    let judgement = inspection::assess(builder.finish(), &signatures).judgement;
    assert_eq!(judgement.verdict, Verdict::Undecided);
    assert!(judgement.reasons.iter().any(|reason| reason.contains("modified as disclosed")));
}

/// What an nvidia-smi table or a deviceQuery shows: a name and a size.
fn screenshot(name: &str, memory_mib: i64) -> Inspection {
    let mut builder = EvidenceBuilder::new(Origin::Imported);
    let mut part = builder.part("gpu", "gpu:0");
    part.fact("gpu.nvml.name", name, "nvidia-smi").fact("gpu.nvml.memory.total_mib", memory_mib, "nvidia-smi");
    inspection::assess(builder.finish(), &signatures())
}

#[test]
fn a_printed_name_is_no_proof_but_it_is_what_the_seller_presents() {
    let above = "gpu.memory-above-nominal";
    for (name, memory) in [
        ("NVIDIA GeForce RTX 4090", 49_140),
        ("NVIDIA GeForce RTX 4090 D", 49_140),
        ("NVIDIA GeForce RTX 2080 Ti", 22_528),
        ("NVIDIA GeForce RTX 3080", 20_480),
        ("NVIDIA GeForce RTX 4080 SUPER", 32_760),
        ("NVIDIA A100-SXM4-40GB", 81_920),
    ] {
        let inspection = screenshot(name, memory);
        assert!(serious(&inspection).contains(above), "{name} {:#?}", findings(&inspection));
        assert_eq!(inspection.evidence.parts[0].text("gpu.baseline.by"), Some("name"));
    }
    // Another product behind the same name keeps the tables unsure.
    assert!(serious(&screenshot("NVIDIA GeForce RTX 3070", 16_384)).contains("gpu.memory-above-unsure"));
    for (name, memory) in [
        ("NVIDIA GeForce RTX 4090", 24_564),
        ("NVIDIA GeForce RTX 4060 Ti", 16_380),
        ("NVIDIA GeForce RTX 3080", 12_288),
        ("GeForce GTX 1060 6GB", 6_144),
        ("NVIDIA A100-SXM4-80GB", 81_920),
        ("NVIDIA H100 80GB HBM3", 81_559),
        ("NVIDIA GH200 480GB", 97_871),
        ("NVIDIA RTX 6000 Ada Gene...", 49_140),
        ("NVIDIA GeForce ...", 49_140),
        ("Tesla V100-SXM2-16GB", 16_384),
        ("Tesla P100-PCIE-16GB", 16_384),
        ("NVIDIA A40-48Q", 49_152),
        ("GRID P4-1Q", 1_024),
    ] {
        let inspection = screenshot(name, memory);
        assert!(serious(&inspection).is_empty(), "{name}: {:#?}", findings(&inspection));
        assert_ne!(inspection.judgement.verdict, Verdict::Accepted);
    }
    assert!(serious(&screenshot("Tesla P100-PCIE-16GB", 32_768)).contains(above));
    let ada = screenshot("NVIDIA RTX 6000 Ada Gene...", 98_304);
    assert!(serious(&ada).contains(above), "{:#?}", findings(&ada));
}

#[test]
fn every_known_trick_is_found_by_the_rule_that_is_about_it() {
    let rejected = Verdict::Rejected;
    let person = Verdict::Undecided;
    type Case = (&'static str, Vec<Card>, Option<&'static str>, &'static [&'static str], Verdict);
    let cases: Vec<Case> = vec![
        (
            "A100 40 GB sold as 80 GB",
            (0..8).map(Card::a100_40).collect(),
            Some("A100 80GB SXM x8"),
            &["gpu.a100-40-sold-as-80", "gpu.memory-below-claim"],
            rejected,
        ),
        (
            "H20 sold as H100",
            (0..8).map(Card::h20).collect(),
            Some("H100 SXM x8"),
            &["gpu.claim-product-differs", "gpu.regional-sku"],
            rejected,
        ),
        (
            "H20 with the name of an H100",
            (0..8).map(|index| Card { name: "NVIDIA H100 80GB HBM3", ..Card::h20(index) }).collect(),
            None,
            &["gpu.name-differs"],
            rejected,
        ),
        ("CMP 170HX", vec![Card::cmp170hx(8_192)], None, &["gpu.mining-card"], rejected),
        (
            "CMP 170HX unlocked, sold as A100",
            vec![Card::cmp170hx(65_536)],
            Some("A100 64GB"),
            &["gpu.mining-card", "gpu.cmp-unlocked", "gpu.memory-above-nominal", "gpu.claim-product-differs"],
            rejected,
        ),
        (
            "3080 with 20 GB",
            vec![Card {
                subsystem: ("10de", "146d"),
                ..Card::new(0, "2206", "NVIDIA GeForce RTX 3080", "94.02.26.40.99", 20_480)
            }],
            None,
            &["gpu.3080-20g", "gpu.memory-above-nominal"],
            rejected,
        ),
        (
            "another chip behind the device id",
            vec![Card { boot0: Some("GA102"), vbios: "94.02.26.48.1B", ..Card::rtx4090(0) }],
            None,
            &["gpu.chip-mismatch", "gpu.vbios-chip-mismatch"],
            rejected,
        ),
        (
            "GPU part number of an H20",
            vec![Card { gpu_part: Some("2329-895-A1"), ..Card::h100(0) }],
            None,
            &["gpu.gpu-part-mismatch"],
            rejected,
        ),
        (
            "InfoROM of another board",
            vec![Card { inforom: "G506.0212.00.01", ..Card::h100(0) }],
            None,
            &["gpu.board-project-mismatch"],
            person,
        ),
        (
            "turbo conversion",
            vec![Card { fans: Some(1), ..Card::rtx4090(0) }],
            None,
            &["gpu.blower-on-high-power-geforce", "gpu.open-air-vbios-on-blower"],
            person,
        ),
        (
            "turbo conversion, sold with fans",
            vec![Card { fans: Some(1), ..Card::rtx4090(0) }],
            Some("RTX 4090 24GB, fan"),
            &["gpu.blower-on-high-power-geforce", "gpu.open-air-vbios-on-blower", "gpu.cooler-differs-from-claim"],
            person,
        ),
        (
            "engineering sample",
            vec![Card { board_part: Some("699-2G520-0280-RC3"), inforom: "G520.0280.00.05", ..Card::h100(0) }],
            None,
            &["gpu.engineering-sample"],
            person,
        ),
        (
            "duplicate serial numbers",
            (0..2).map(|index| Card { serial: Card::h100(0).serial, ..Card::h100(index) }).collect(),
            None,
            &["gpu.duplicate-serial"],
            person,
        ),
        (
            "duplicate UUID",
            (0..2).map(|index| Card { uuid: Card::h100(0).uuid, ..Card::h100(index) }).collect(),
            None,
            &["gpu.duplicate-uuid"],
            rejected,
        ),
        ("no serial number", vec![Card { serial: None, ..Card::h100(0) }], None, &["gpu.identity-blank"], person),
        (
            "corrupt InfoROM",
            vec![Card { inforom_valid: false, ..Card::h100(0) }],
            None,
            &["gpu.inforom-corrupt"],
            person,
        ),
        (
            "worn card sold as new",
            vec![Card { remapped_rows: 3, ..Card::h100(0) }],
            Some("H100 SXM 80GB, new"),
            &["gpu.wear-on-new"],
            person,
        ),
        (
            "memory beyond repair",
            vec![Card { remapped_rows: 512, ..Card::h100(0) }],
            None,
            &["gpu.remap-failed"],
            rejected,
        ),
        (
            "SXM module on an adapter, sold as a card",
            vec![Card { nvlinks_active: Some(0), ..Card::h100(0) }],
            Some("H100 PCIe 80GB"),
            &["gpu.sxm-sold-as-pcie", "gpu.sxm-no-nvlink"],
            rejected,
        ),
        (
            "library that shows another card",
            vec![Card {
                more: vec![("gpu.nvml.pci.device_id", "0x2684".into())],
                ..Card::new(0, "2204", "NVIDIA GeForce RTX 3090", "94.02.26.48.1B", 24_576)
            }],
            None,
            &["gpu.sources-disagree"],
            rejected,
        ),
        (
            "library that tells another chip's identifier",
            vec![Card {
                more: vec![
                    ("gpu.nvml.pdi", "0x4917e5a9bae974c7".into()),
                    ("gpu.bar0.pdi", "0x4917e5a9bae974c8".into()),
                ],
                ..Card::a100_40(0)
            }],
            None,
            &["gpu.sources-disagree"],
            rejected,
        ),
        (
            "identifier whose bytes one interface gives in reverse",
            vec![Card {
                more: vec![
                    ("gpu.nvml.pdi", "0x4917e5a9bae974c7".into()),
                    ("gpu.bar0.pdi", "0xc774e9baa9e51749".into()),
                ],
                ..Card::a100_40(0)
            }],
            None,
            &[],
            Verdict::Accepted,
        ),
        (
            "lost",
            vec![Card { more: vec![("gpu.nvml.lost", true.into())], ..Card::h100(0) }],
            None,
            &["gpu.lost"],
            person,
        ),
        ("seven of eight", (0..7).map(Card::h100).collect(), Some("8x H100 SXM"), &["gpu.count-below-claim"], person),
    ];
    for (what, cards, claim, rules, verdict) in cases {
        let inspection = assess(&cards, claim);
        let expected: BTreeSet<&str> = rules.iter().copied().collect();
        assert_eq!(serious(&inspection), expected, "{what}: {:#?}", findings(&inspection));
        assert_eq!(inspection.judgement.verdict, verdict, "{what}: {:#?}", inspection.judgement);
    }
}

#[test]
fn an_honestly_sold_mining_card_is_what_it_was_sold_as() {
    expect(&assess(&[Card::cmp170hx(8_192)], Some("CMP 170HX 8GB used")), &["gpu.mining-card"], Verdict::Accepted);
    let inspection = assess(&[Card::cmp170hx(8_192)], Some("A100 40GB PCIe"));
    let rules = ["gpu.mining-card", "gpu.claim-product-differs", "gpu.memory-below-claim"];
    expect(&inspection, &rules, Verdict::Rejected);
    // The disclosed card with memory that it never had.
    let rules = ["gpu.mining-card", "gpu.cmp-unlocked", "gpu.memory-above-nominal"];
    expect(&assess(&[Card::cmp170hx(65_536)], Some("CMP 170HX 8GB")), &rules, Verdict::Rejected);
}

#[test]
fn siblings_that_differ_and_mixed_vbios_are_remarks_only() {
    let mut cards: Vec<Card> = (0..8).map(Card::h100).collect();
    cards[3].vbios = "96.00.99.00.01";
    cards[5].board_part = Some("965-2G520-A800-000");
    let inspection = assess(&cards, None);
    expect(&inspection, &[], Verdict::Accepted);
    assert_eq!(firing(&inspection), BTreeSet::from(["gpu.mixed-vbios", "gpu.siblings-differ"]));
    let differing: Vec<&str> = inspection
        .checks
        .iter()
        .filter(|check| check.id == "gpu.siblings-differ" && matches!(check.outcome, Outcome::Fires(_)))
        .map(|check| check.part.as_str())
        .collect();
    assert_eq!(differing, ["gpu:0000:1a:00.0", "gpu:0000:1c:00.0"]);
}

#[test]
fn shared_and_scrubbed_identities_are_no_duplicates() {
    let scrubbed = |index| Card {
        uuid: "GPU-00000000-0000-0000-0000-000000000000".to_owned(),
        serial: Some("1650000000001".to_owned()),
        ..Card::h100(index)
    };
    let inspection = assess(&[scrubbed(0), scrubbed(1)], None);
    expect(&inspection, &[], Verdict::Undecided);
    let blind = |id: &str| {
        let mut checks = inspection.checks.iter().filter(|check| check.id == id);
        checks.all(|check| matches!(check.outcome, Outcome::Inconclusive { .. }))
    };
    assert!(blind("gpu.duplicate-uuid") && blind("gpu.duplicate-serial"));
    // One module with two GPUs.
    let gb300 = |index| Card {
        serial: Some("1654523007052".to_owned()),
        board_part: Some("900-2G548-0081-000"),
        inforom: "G548.0301.00.03",
        ..Card::new(index, "31c2", "NVIDIA GB300", "97.10.4A.00.1A", 284_208)
    };
    expect(&assess(&[gb300(0), gb300(1)], None), &[], Verdict::Accepted);
}

#[test]
fn what_could_not_be_looked_at_is_never_accepted() {
    for denied in [
        vec!["gpu."],
        vec!["gpu.nvml.", "gpu.procfs.", "gpu.cuda."],
        vec!["gpu.nvml.memory."],
        vec!["gpu.nvml.uuid", "gpu.procfs.uuid"],
    ] {
        let inspection = assess(&[Card { denied: denied.clone(), ..Card::h100(0) }], None);
        expect(&inspection, &[], Verdict::Undecided);
        if denied == ["gpu."] {
            let wrong: Vec<_> = inspection
                .checks
                .iter()
                .filter(|check| check.id.starts_with("gpu.") && matches!(check.outcome, Outcome::Clear))
                .collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }
    // An id that no table has.
    let unknown = Card { gpu_part: None, ..Card::new(0, "3fff", "NVIDIA RTX 9090", "9A.00.11.00.01", 65_536) };
    let inspection = assess(&[unknown], None);
    expect(&inspection, &[], Verdict::Undecided);
    assert!(firing(&inspection).contains("gpu.no-baseline"));
    // A virtual GPU is no product.
    let vgpu = Card {
        vbios: "00.00.00.00.00",
        more: vec![("gpu.nvml.virtualization", "vgpu".into())],
        ..Card::new(0, "1bb3", "GRID P4-1Q", "", 1_024)
    };
    expect(&assess(&[vgpu], None), &[], Verdict::Undecided);
    // Sold, and not there at all.
    expect(&assess(&[], Some("H100 SXM 80GB x8")), &["gpu.count-below-claim"], Verdict::Undecided);
}

#[test]
fn a_gpu_that_only_a_library_knows_does_not_exist() {
    let mut signatures = signatures();
    signatures.policy.required.clear();
    for (release, verdict) in
        [("6.8.0-45-generic", Verdict::Rejected), ("5.15.153.1-microsoft-standard-WSL2", Verdict::Undecided)]
    {
        let mut builder = EvidenceBuilder::new(Origin::Live);
        builder.part("platform", "platform").fact("platform.pci_functions", 40i64, "test").fact(
            "platform.kernel.release",
            release,
            "test",
        );
        builder.part("gpu", "gpu:0").fact("gpu.nvml.name", "NVIDIA H100 80GB HBM3", "nvml");
        let inspection = inspection::assess(builder.finish(), &signatures);
        let expected: &[&str] = if verdict == Verdict::Rejected { &["gpu.not-on-pci"] } else { &[] };
        expect(&inspection, expected, verdict);
    }
}

#[test]
fn another_makers_card_that_the_driver_claims_contradicts_itself() {
    let mut signatures = signatures();
    signatures.policy.required.clear();
    let mut builder = EvidenceBuilder::new(Origin::Live);
    let mut part = builder.part("gpu", "gpu:0000:03:00.0");
    for (path, text) in [
        ("gpu.pci.vendor_id", "0x1002"),
        ("gpu.pci.device_id", "0x744c"),
        ("gpu.nvml.pci.vendor_id", "0x10de"),
        ("gpu.nvml.pci.device_id", "0x2684"),
        ("gpu.nvml.name", "NVIDIA GeForce RTX 4090"),
    ] {
        part.fact(path, text, "test");
    }
    let inspection = inspection::assess(builder.finish(), &signatures);
    assert!(serious(&inspection).contains("gpu.sources-disagree"), "{:?}", inspection.judgement);
    assert_eq!(inspection.judgement.verdict, Verdict::Rejected);
}

#[test]
fn rules_about_nvidia_do_not_touch_other_gpus() {
    let mut signatures = signatures();
    signatures.policy.required.clear();
    signatures
        .policy
        .required_where_present
        .retain(|rule| rule.starts_with("gpu.") && rule != "gpu.link-width-reduced");
    let mut builder = EvidenceBuilder::new(Origin::Live);
    builder.part("gpu", "gpu:0000:03:00.0").fact("gpu.pci.vendor_id", "0x1002", "config").fact(
        "gpu.pci.device_id",
        "0x740f",
        "config",
    );
    let inspection = inspection::assess(builder.finish(), &signatures);
    assert_eq!(inspection.judgement.verdict, Verdict::Accepted, "{:?}", inspection.judgement);
    let touched = inspection.checks.iter().filter(|check| check.outcome != Outcome::NotApplicable);
    let touched: Vec<&str> = touched.map(|check| check.id.as_str()).collect();
    assert_eq!(touched, ["gpu.link-speed-reduced", "gpu.link-width-reduced"]);
}

#[test]
fn claims_are_read_as_sellers_write_them() {
    let tables = signatures().tables;
    let gigabytes = |size: u32| Some(size << 10);
    let claim = |text: &str| GpuClaim::parse(text, &tables).unwrap_or_else(|error| panic!("{text}: {error}"));
    for (text, product, memory, count) in [
        ("RTX 4090 24GB, fan", "RTX 4090", gigabytes(24), None),
        ("4090", "RTX 4090", None, None),
        ("NVIDIA GeForce RTX 4090 D 24 GB", "RTX 4090 D", gigabytes(24), None),
        ("4090d 48g", "RTX 4090 D", gigabytes(48), None),
        ("RTX 4080s 16GB", "RTX 4080 SUPER", gigabytes(16), None),
        ("3060ti", "RTX 3060 Ti", None, None),
        ("H100 SXM 80GB x8", "H100", gigabytes(80), Some(8)),
        ("8x NVIDIA H100 80GB HBM3 SXM5", "H100", gigabytes(80), Some(8)),
        ("H100 NVL 94GB", "H100 NVL", gigabytes(94), None),
        ("A100 80G PCIe", "A100", gigabytes(80), None),
        ("RTX 4090 48GB turbo modified", "RTX 4090", gigabytes(48), None),
        ("CMP 170HX 8GB used", "CMP 170HX", gigabytes(8), None),
        ("170HX", "CMP 170HX", None, None),
        ("RTX 6000 Ada", "RTX 6000 Ada", None, None),
        ("RTX A6000 48GB × 4", "RTX A6000", gigabytes(48), Some(4)),
        ("L40S", "L40S", None, None),
        ("Tesla T4 16GB", "T4", gigabytes(16), None),
        ("V100 SXM2 32GB", "V100", gigabytes(32), None),
        // The name counts the processor's memory.
        ("GH200 480GB", "GH200", None, None),
        ("TITAN RTX", "TITAN RTX", None, None),
    ] {
        let claim = claim(text);
        assert_eq!((claim.product.as_str(), claim.memory_mib, claim.count), (product, memory, count), "{text}");
    }
    let full = claim("RTX 4090 48GB turbo modified, second hand");
    assert_eq!(full.cooler, Some(Cooler::Blower));
    assert_eq!(full.condition, Some(Condition::Used));
    assert!(full.modified);
    assert_eq!(claim("A100 80G PCIe").form_factor, Some(FormFactor::Pcie));
    assert_eq!(claim("RTX 3090 open-air").cooler, Some(Cooler::Fan));

    let refused = |text: &str| GpuClaim::parse(text, &tables).unwrap_err();
    assert!(matches!(refused("RTX 4091 24GB"), ClaimError::Unknown { .. }));
    assert!(matches!(refused("RTX 4090 24GB for gaming"), ClaimError::Unknown { .. }));
    assert!(matches!(refused("24GB, fan"), ClaimError::NoProduct { .. }));
    assert!(matches!(refused(""), ClaimError::NoProduct { .. }));
    assert!(matches!(refused("4090 24GB 48GB"), ClaimError::Twice { what: "memory", .. }));
    assert!(matches!(refused("4090 new used"), ClaimError::Twice { what: "condition", .. }));
    assert!(matches!(refused(&"4090 ".repeat(1000)), ClaimError::TooLong));
    let ClaimError::Ambiguous { products, .. } = refused("RTX PRO 6000 96GB") else { panic!() };
    assert!(products.iter().any(|product| product.contains("Workstation")), "{products:?}");
    assert!(refused("RTX 4091 24GB").to_string().contains("24 GB"));
}

#[test]
fn claims_in_files_are_strict() {
    let tables = signatures().tables;
    let text = "product = \"H100\"\nmemory_gb = 80\nform_factor = \"sxm\"\ncooler = \"passive\"\ncondition = \"used\"\ncount = 8\n";
    let claim = Order::from_toml(text, &tables).unwrap().gpus.remove(0);
    assert_eq!(claim.understood(), "H100, 80 GB, sxm, passive, used, x8");
    assert_eq!(claim.text, claim.understood());
    for wrong in [
        "memory_gb = 80",
        "product = \"H100\"\nmemory = 80",
        "product = \"H100\"\ncooler = \"ice\"",
        "product = 4090",
        "product = \"H100\"\nmemory_gb = 4000000000",
        "product = \"H100\"\ncount = 0",
    ] {
        assert!(matches!(Order::from_toml(wrong, &tables), Err(ClaimError::Syntax(_))), "{wrong}");
    }
}

#[test]
fn every_table_row_that_is_uncertain_leaves_the_verdict_to_a_person() {
    let signatures = signatures();
    let (mut certain, mut uncertain) = (0, 0);
    for (id, record) in signatures.tables.records("gpu/devices") {
        let letter = record.text("certainty").unwrap();
        let Some(nominal) = record.integers("memory_nominal_mib").max() else { continue };
        let mut builder = EvidenceBuilder::new(Origin::Live);
        let mut part = builder.part("gpu", "gpu:0000:01:00.0");
        part.fact("gpu.pci.vendor_id", "0x10de", "config").fact("gpu.pci.device_id", id, "config");
        part.fact("gpu.nvml.memory.total_mib", nominal * 2, "nvml");
        // The mining class rejects by the id alone, whatever the memory.
        let inspection = inspection::assess(builder.finish(), &signatures);
        let rejected = inspection.judgement.verdict == Verdict::Rejected;
        match letter {
            "A" | "B" | "C" => {
                certain += 1;
                assert!(rejected, "{id}");
            }
            _ => {
                uncertain += 1;
                assert!(!rejected, "{id}: {:?}", inspection.judgement);
                assert!(serious(&inspection).contains("gpu.memory-above-unsure"), "{id}");
            }
        }
    }
    assert!(certain > 150 && uncertain > 3, "{certain} {uncertain}");
}

#[test]
fn the_tables_are_what_the_script_makes_of_the_reference_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = here.join("../shared/reference");
    if !reference.is_dir() {
        println!("skipped: no reference files");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let script = here.join("packaging/tables/gpu_tables.py");
    let status = Command::new("python3").arg(script).arg(&reference).arg(out.path()).status().unwrap();
    assert!(status.success());
    let mut made = 0;
    for entry in fs::read_dir(out.path()).unwrap() {
        let entry = entry.unwrap();
        let kept = here.join("signatures/parts/gpu").join(entry.file_name());
        assert_eq!(fs::read(entry.path()).unwrap(), fs::read(&kept).unwrap(), "{}", kept.display());
        made += 1;
    }
    assert_eq!(made, 9);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_claim_panic(text in "\\PC{0,60}|([0-9]{0,11}(x|gb|g|ti|d|s)?[ ,×]?(4090|A100|gb|x|turbo|sxm|new|ddr5-|xeon|nvme|tb|;)? ?){0,6}") {
        let tables = Tables::default();
        _ = GpuClaim::parse(&text, &tables);
        _ = Order::parse(&text, &tables);
        _ = Order::from_toml(&text, &tables);
    }
}
