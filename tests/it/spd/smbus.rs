//! Modules whose EEPROM has no kernel driver: what can be read of them without a write to the bus.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use yanji::claim::Order;
use yanji::collect::{COLLECTORS, collect};
use yanji::evidence::{Evidence, EvidenceBuilder, Origin, Part, Reading, Value};
use yanji::host::{Host, Query, RecordedHost, RecordingHost};
use yanji::inspection;
use yanji::rule::{Outcome, Signatures};

use super::{machine, module};
use crate::collect::assert_declared;
use crate::support::RecordedMachine;
use crate::support::spd::SpdImage;

/// What answers at an address.
enum Chip {
    /// 256 bytes and no pages.
    Plain(Vec<u8>),
    /// Two pages of 256 bytes, which all such EEPROMs of a bus turn together.
    Ddr4(Vec<u8>),
    /// Eight pages of 128 bytes, and MR11.
    Hub(Vec<u8>, u8),
    /// A kernel driver, which this process does not see.
    Driver,
}

/// A machine whose SMBus 0 has these chips. Whatever a read-only inspection may not ask makes it panic.
struct Bus {
    machine: RecordedHost,
    chips: BTreeMap<u8, Chip>,
    ddr4_page: usize,
    /// All second readings have another last byte.
    noisy: bool,
    /// The page turns before that question, as when a driver on the same bus reads.
    turns_at: usize,
    /// What every question gets instead.
    refuses: Option<Reading<Vec<u8>>>,
    asked: AtomicUsize,
    buses: Mutex<Vec<u32>>,
}

impl Bus {
    fn new(chips: impl IntoIterator<Item = (u8, Chip)>) -> Self {
        Self::of(machine(&[]), chips)
    }

    fn of(machine: RecordedMachine, chips: impl IntoIterator<Item = (u8, Chip)>) -> Self {
        Self {
            machine: machine.host(),
            chips: chips.into_iter().collect(),
            ddr4_page: 0,
            noisy: false,
            turns_at: usize::MAX,
            refuses: None,
            asked: AtomicUsize::new(0),
            buses: Mutex::default(),
        }
    }

    fn refusing(reading: Reading<Vec<u8>>) -> Self {
        Self { refuses: Some(reading), ..Self::new([]) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn answer(&self, query: &Query) -> Reading<Vec<u8>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(refusal) = &self.refuses {
            return refusal.clone();
        }
        let turned = usize::from(number >= self.turns_at);
        let Query::SmbusBytes { address, first, count, turn, .. } = query else {
            let answers = self.chips.values().any(|chip| matches!(chip, Chip::Ddr4(_)));
            return if answers && self.ddr4_page + turned == 0 { Reading::Known(vec![0]) } else { Reading::Absent };
        };
        assert!((0x50..=0x57).contains(address), "{address:#04x} is no module");
        let (first, count) = (usize::from(*first), usize::from(*count));
        let mut bytes = match self.chips.get(address) {
            None => return Reading::Absent,
            Some(Chip::Driver) => return Reading::Failed("a kernel driver has address 0x50 of the bus".to_owned()),
            Some(Chip::Plain(image)) => image[first..][..count].to_vec(),
            Some(Chip::Ddr4(image)) => image[(self.ddr4_page + turned) * 256 + first..][..count].to_vec(),
            Some(Chip::Hub(image, mode)) => {
                let mode = mode + turned as u8;
                let byte = |command: usize| match command {
                    0 => 0x51,
                    1 => 0x18,
                    2 => 0x20,
                    11 => mode,
                    0x80.. => image[usize::from(mode & 7) * 128 + command - 0x80],
                    _ => panic!("register {command} of the hub has no business here"),
                };
                (first..first + count).map(byte).collect()
            }
        };
        if self.noisy && *turn == 1 && count > 1 {
            *bytes.last_mut().unwrap() ^= 1;
        }
        Reading::Known(bytes)
    }
}

impl Host for Bus {
    fn origin(&self) -> Origin {
        Origin::Live
    }

    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        self.machine.read(path)
    }

    fn list(&self, path: &str) -> Reading<Vec<String>> {
        self.machine.list(path)
    }

    fn link(&self, path: &str) -> Reading<String> {
        self.machine.link(path)
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        match query {
            Query::SmbusBytes { bus, .. } | Query::SmbusPage { bus, .. } => {
                self.buses.lock().unwrap().push(*bus);
                self.answer(query)
            }
            other => self.machine.ask(other),
        }
    }
}

fn spd<'a>(part: &'a Part, field: &str) -> &'a Reading {
    part.reading(&format!("dimm.spd.{field}")).unwrap_or_else(|| panic!("{field} of {} is not there", part.id))
}

fn why(reading: &Reading) -> &str {
    match reading {
        Reading::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Why the slots of SMBIOS have no image.
fn why_not(bus: &Bus) -> (Reading, String) {
    let evidence = collect(bus);
    assert_declared(&evidence);
    assert!(evidence.scope("dimm").all(|part| part.text("dimm.smbios.locator").is_some()), "a module was made up");
    let fact = &evidence.part("memory").unwrap().facts["memory.spd.images"];
    let slot = &evidence.scope("dimm").next().unwrap().facts["dimm.spd.serial"];
    assert_eq!((&fact.reading, &fact.source), (&slot.reading, &slot.source));
    (fact.reading.clone(), fact.source.clone())
}

/// What the slots that are left over are told of a module that answered.
fn evidence_of(bus: &Bus) -> (Evidence, Part) {
    let evidence = collect(bus);
    assert_declared(&evidence);
    let part = evidence.part("dimm:spd-0-0050").unwrap().clone();
    (evidence, part)
}

/// Every fact of a first page is what the whole image says, or says why it is not there.
fn assert_partial(partial: &Part, whole: &Part, driver: &str) {
    let (mut known, mut lacking) = (0, 0);
    for (path, fact) in whole.facts.iter().filter(|(path, _)| path.as_str().starts_with("dimm.spd.")) {
        let found = partial.reading(path.as_str()).unwrap();
        match (&fact.reading, found) {
            _ if matches!(path.as_str(), "dimm.spd.image_bytes" | "dimm.spd.paired_by") => {}
            (whole, found) if whole == found => known += usize::from(found.known().is_some()),
            (_, Reading::Failed(why)) => {
                assert!(why.contains("without a write") && why.contains(driver), "{path}: {why}");
                lacking += 1;
            }
            (whole, found) => panic!("{path} is {found:?}, and {whole:?} in the whole image"),
        }
    }
    assert!(known >= 14 && lacking >= 15, "{known} known, {lacking} lacking");
    for field in ["sha256", "page_alias", "serial", "module_id", "module_maker", "part_number", "profiles", "lot"] {
        assert!(matches!(spd(partial, field), Reading::Failed(_)), "{field}");
    }
}

/// The rules that fire on modules and memory.
fn firing(host: &dyn Host) -> Vec<String> {
    let inspection = inspection::inspect(host, &Signatures::embedded().unwrap());
    let of_memory = |id: &str| id.starts_with("dimm.") || id.starts_with("memory.");
    let fires = inspection.checks.iter().filter(|it| of_memory(&it.id) && matches!(it.outcome, Outcome::Fires(_)));
    fires.map(|check| format!("{} {}", check.id, check.part)).collect()
}

#[test]
fn ddr3_is_read_whole() {
    let image = SpdImage::ddr3_rdimm().build();
    let (evidence, part) = evidence_of(&Bus::new([(0x50, Chip::Plain(image.clone()))]));
    assert_eq!(part.text("dimm.spd.serial"), Some("1C550A7E"));
    assert_eq!((spd(&part, "stable"), spd(&part, "page_alias")), (&true.into(), &false.into()));
    let source = &part.facts["dimm.spd.serial"].source;
    assert_eq!(source, "/dev/i2c-0 at 0x50 (SMBus I801 adapter at efa0, no driver)");
    assert_eq!(evidence.part("memory").unwrap().integer("memory.spd.images"), Some(1));
    let driven = collect(&machine(&[image]).host());
    for (path, fact) in &driven.part("dimm:spd-0-0050").unwrap().facts {
        assert_eq!(part.reading(path.as_str()), Some(&fact.reading), "{path}");
    }
}

#[test]
fn ddr4_gives_its_first_page() {
    // Modules of one kind, which differ in the second page only.
    let images = [[1, 2, 3, 4], [5, 6, 7, 8]].map(|serial| SpdImage { serial, ..SpdImage::ddr4_rdimm() }.build());
    let chips = |images: &[Vec<u8>]| (0x50..).zip(images.iter().cloned().map(Chip::Ddr4)).collect::<Vec<_>>();
    let with = |images: &[Vec<u8>]| {
        let ddr4 = machine(&[]).with(|machine| {
            machine
                .dimms
                .iter_mut()
                .for_each(|dimm| (dimm.kind, dimm.speed_mts, dimm.configured_mts) = (0x1a, 3200, 3200));
        });
        Bus::of(ddr4, chips(images))
    };
    let bus = with(&images);
    let evidence = collect(&bus);
    assert_declared(&evidence);
    let driven = collect(&machine(&images).host());
    let parts: Vec<&Part> = evidence.scope("dimm").collect();
    assert_eq!(parts.len(), 2, "first pages that say the same belong to the slots in any order");
    for part in parts {
        assert_eq!((part.text("dimm.spd.paired_by"), part.integer("dimm.spd.image_bytes")), (Some("alike"), Some(256)));
        assert_eq!(part.integer("dimm.spd.capacity_mib"), Some(65536));
        assert_eq!(spd(part, "crc_bad"), &Reading::Known(Value::List(Vec::new())));
        assert!(part.facts["dimm.spd.ranks"].source.ends_with(", no driver, first page only)"));
        assert_partial(
            part,
            driven.scope("dimm").find(|part| part.text("dimm.spd.serial").is_some()).unwrap(),
            "ee1004",
        );
    }
    // Two modules with one first page are no clones, and what is in the other page accuses nobody.
    assert_eq!(firing(&bus), firing(&with(&[])));
    // What was read counts: a bad sum is a bad sum.
    let damaged = images.clone().map(|mut image| {
        image[30] ^= 0x55;
        image
    });
    assert_eq!(firing(&with(&damaged)).iter().filter(|it| it.starts_with("dimm.spd-crc ")).count(), 2);
    // Modules of two kinds fit the slots in either order: they stay apart, and are no more modules than were sold.
    let other = SpdImage { ranks: 1, ..SpdImage::ddr4_rdimm() }.build();
    let apart = with(&[images[0].clone(), other]);
    let mut out = EvidenceBuilder::new(Origin::Live);
    COLLECTORS.iter().find(|it| it.id() == "memory").unwrap().collect(&apart, &mut out);
    assert_eq!(out.so_far().scope("dimm").count(), 4);
    let signatures = Signatures::embedded().unwrap();
    Order::parse("2x 64GB DDR4 RDIMM", &signatures.tables).unwrap().add(&signatures.tables, &mut out);
    assert_eq!(out.finish().part("order:dimm-1").unwrap().integer("order.found"), Some(2));
}

#[test]
fn ddr5_gives_the_first_page_of_its_hub() {
    let image = module([0x42, 0xb2, 0xbf, 0x08]).build();
    let hub = |mode| Bus::new([(0x50, Chip::Hub(image.clone(), mode))]);
    let (_, part) = evidence_of(&hub(0));
    let driven = collect(&machine(std::slice::from_ref(&image)).host());
    assert_partial(&part, driven.part("dimm:spd-0-0050").unwrap(), "spd5118");
    assert_eq!((part.integer("dimm.spd.image_bytes"), part.integer("dimm.spd.speed_mts")), (Some(128), Some(4800)));
    for field in ["hub_id", "pmic_id", "rcd_id", "capacity_mib", "crc_bad"] {
        assert!(why(spd(&part, field)).contains("spd5118"), "{field}");
    }
    assert_eq!(firing(&hub(0)), firing(&Bus::new([])));

    for (mode, says) in [(3, "page 3 of the hub is selected"), (8, "MR11"), (0x10, "MR11")] {
        let (evidence, part) = evidence_of(&hub(mode));
        assert!(why(spd(&part, "serial")).contains(says), "{mode}");
        assert!(part.facts.iter().all(|(path, fact)| {
            !path.as_str().starts_with("dimm.spd.")
                || path.as_str().ends_with("paired_by")
                || fact.reading.known().is_none()
        }));
        assert_eq!(evidence.part("memory").unwrap().integer("memory.spd.images"), Some(0));
        assert_eq!(firing(&hub(mode)), firing(&Bus::new([])));
    }
}

#[test]
fn a_page_that_is_not_the_first_is_not_guessed_from() {
    let image = SpdImage::ddr4_rdimm().build();
    let bus = |ddr4_page| Bus { ddr4_page, ..Bus::new([(0x50, Chip::Ddr4(image.clone()))]) };
    let (reading, source) = why_not(&bus(1));
    assert!(why(&reading).contains("0-0050: another page than the first is selected"), "{reading:?}");
    assert!(source.starts_with("not observable here: ") && source.contains("another page"), "{source}");
    assert_eq!(firing(&bus(1)), firing(&Bus::new([])));
    // It is turned between two questions, whenever that is.
    let questions = {
        let bus = bus(0);
        collect(&bus);
        bus.asked() - 7
    };
    assert_eq!(questions, 5);
    for turns_at in 0..questions {
        let (reading, _) = why_not(&Bus { turns_at, ..bus(0) });
        let why = why(&reading);
        assert!(why.contains("page") && !why.contains("differ"), "before question {turns_at}: {why}");
    }
    let hub = |turns_at| Bus { turns_at, ..Bus::new([(0x50, Chip::Hub(SpdImage::ddr5_rdimm().build(), 0))]) };
    for turns_at in 0..5 {
        let (_, part) = evidence_of(&hub(turns_at));
        assert!(why(spd(&part, "serial")).contains("page"), "before question {turns_at}");
        assert!(spd(&part, "dram_type").known().is_none());
    }
    // At such an address may be anything.
    for stranger in [vec![0; 256], (0..=255).collect()] {
        why_not(&Bus::new([(0x57, Chip::Plain(stranger))]));
    }
}

#[test]
fn two_readings_that_differ() {
    for chip in [
        Chip::Plain(SpdImage::ddr3_rdimm().build()),
        Chip::Ddr4(SpdImage::ddr4_rdimm().build()),
        Chip::Hub(SpdImage::ddr5_rdimm().build(), 0),
    ] {
        let (_, part) = evidence_of(&Bus { noisy: true, ..Bus::new([(0x50, chip)]) });
        assert_eq!(spd(&part, "stable"), &false.into());
        assert_eq!(why(spd(&part, "dram_type")), "two readings differ");
    }
}

#[test]
fn buses_that_do_not_answer() {
    let (reading, source) = why_not(&Bus::new([]));
    assert_eq!(reading, Reading::Unsupported);
    assert!(source.contains("nothing answers at 50h to 57h of /dev/i2c-0 (SMBus I801 adapter at efa0)"), "{source}");
    let (reading, source) = why_not(&Bus::refusing(Reading::Unsupported));
    assert_eq!(reading, Reading::Unsupported);
    assert!(source.contains("there is no /dev/i2c-0 that reads single bytes (modprobe i2c-dev)"), "{source}");
    let (reading, source) = why_not(&Bus::refusing(Reading::Denied));
    assert_eq!(reading, Reading::Denied);
    assert!(source.contains("/dev/i2c-0 is for root only"), "{source}");
    let (reading, _) = why_not(&Bus::new([(0x50, Chip::Driver)]));
    assert!(why(&reading).contains("0-0050: a kernel driver has address 0x50"), "{reading:?}");
    // A wedged bus costs two deadlines, not eight.
    let wedged = Bus::refusing(Reading::Failed("no answer within 3 s".to_owned()));
    let (reading, source) = why_not(&wedged);
    assert!(why(&reading).contains("no answer within 3 s") && source.contains("/dev/i2c-0 was given up"), "{source}");
    assert_eq!(wedged.asked(), 2);
    // A module that answers does not hide that another one did not.
    let bus = Bus::new([(0x50, Chip::Plain(SpdImage::ddr3_rdimm().build())), (0x51, Chip::Driver)]);
    let (evidence, _) = evidence_of(&bus);
    let slot = evidence.scope("dimm").find(|part| part.text("dimm.spd.serial").is_none()).unwrap();
    assert!(slot.facts["dimm.spd.serial"].source.contains("0-0051: a kernel driver"));
}

#[test]
fn only_buses_of_memory_without_a_driver_are_asked() {
    const NAME: &str = "/sys/bus/i2c/devices/i2c-0/name";
    let image = || Chip::Plain(SpdImage::ddr3_rdimm().build());
    for name in ["NVIDIA i2c adapter 1 at 3b:00.0", "AMDGPU DM i2c hw bus 0", "i915 gmbus dpb", "igb BB", ""] {
        let bus = Bus::of(machine(&[]).file(NAME, format!("{name}\n")), [(0x50, image())]);
        why_not(&bus);
        assert_eq!(bus.asked(), 0, "{name}");
    }
    for name in ["SMBus PIIX4 adapter port 0 at 0b00", "SMBus stub driver"] {
        let machine = machine(&[]).file(NAME, "none\n").file("/sys/bus/i2c/devices/i2c-7/name", format!("{name}\n"));
        let bus = Bus::of(machine, [(0x50, image())]);
        assert!(collect(&bus).part("dimm:spd-7-0050").is_some(), "{name}");
        assert!(bus.buses.lock().unwrap().iter().all(|bus| *bus == 7));
    }
    // What a driver shows, or would show to root, is left to it.
    let driven = machine(&[SpdImage::ddr3_rdimm().build()]);
    for machine in [driven.clone(), driven.deny("/sys/bus/i2c/devices/0-0050/eeprom")] {
        let bus = Bus::of(machine, [(0x50, image())]);
        collect(&bus);
        assert_eq!(bus.asked(), 7);
    }
}

#[test]
fn a_capture_replays_the_bus() {
    let bus = Bus::new([
        (0x50, Chip::Plain(SpdImage::ddr3_rdimm().build())),
        (0x51, Chip::Hub(SpdImage::ddr5_rdimm().build(), 0)),
        (0x52, Chip::Ddr4(SpdImage::ddr4_rdimm().build())),
        (0x53, Chip::Driver),
    ]);
    let recording = RecordingHost::new(&bus);
    let live = collect(&recording);
    let replayed = collect(&RecordedHost::from(recording.into_capture()));
    assert_eq!(live.parts, replayed.parts);
    assert_eq!(live.part("memory").unwrap().integer("memory.spd.images"), Some(3));
}
