//! The modules' own EEPROMs, `dimm.spd.*`.
//!
//! Reads `/sys/bus/i2c/devices/<bus>-005[0-7]/eeprom` (drivers ee1004, spd5118, at24 and eeprom; root only), twice. Where no
//! driver has an address, `/dev/i2c-*` gives what can be read without a write to the bus; see [`super::smbus`].

use std::collections::BTreeSet;

use super::facts::SPD;
use super::pairing::{self, Key};
use super::smbus::{self, Content, Survey};
use crate::collect::{NOT_OBSERVABLE, fill};
use crate::evidence::{EvidenceBuilder, Origin, Part, PartBuilder, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::jep106::MakerId;
use crate::parse::spd::{self, Date, DramType, Spd};

/// I2C buses, and the devices on them that the kernel knows.
pub(super) const DEVICES: &str = "/sys/bus/i2c/devices";
/// Modules that are read of one machine.
const MAX_IMAGES: usize = 256;
/// Controllers that are named where nothing was found.
const MAX_NAMED: usize = 4;

/// Reads every EEPROM that can be read, and adds what it says to the module that SMBIOS names, or to a part of its own.
pub(super) fn collect(host: &dyn Host, out: &mut EvidenceBuilder) {
    let (images, why) = images(host);
    let slots: Vec<Part> = out.so_far().scope("dimm").filter(|part| !part.is_stand_in()).cloned().collect();
    let keys: Vec<Key> = slots.iter().map(|part| Key::of_slot(&part.facts)).collect();
    let image_keys: Vec<Key> = images.iter().map(|part| Key::of_image(&part.facts)).collect();
    for (image, pair) in images.iter().zip(pairing::pair(&image_keys, &keys)) {
        let id = pair.and_then(|(slot, _)| slots.get(slot)).map_or(&image.id, |slot| &slot.id);
        let mut part = out.part("dimm", id);
        for (path, fact) in &image.facts {
            part.fact(path.as_str(), fact.reading.clone(), &*fact.source);
        }
        part.fact(PAIRED_BY, pair.map(|(_, reason)| reason.as_str()), DEVICES);
    }
    // What cannot be read has the reason in every fact.
    let was_read = |part: &&Part| part.facts.values().any(|fact| matches!(fact.reading, Reading::Known(_)));
    let read = match images.iter().filter(was_read).count() as u64 {
        _ if images.is_empty() => why.reading.clone(),
        count => Reading::Known(count.into()),
    };
    out.part("memory", "memory").fact("memory.spd.images", read, &*why.text);
    let unmatched = match &why.unread {
        None => nothing(Reading::Unsupported, NO_IMAGE),
        Some(unread) => nothing(Reading::Unsupported, &format!("{NO_IMAGE}; {unread}")),
    };
    let why = if images.is_empty() { &why } else { &unmatched };
    let rest: Vec<String> = out.so_far().scope("dimm").map(|part| part.id.clone()).collect();
    for id in rest {
        fill(&mut out.part("dimm", &id), SPD, "dimm.spd.", &why.reading, &why.text);
    }
}

const PAIRED_BY: &str = "dimm.spd.paired_by";
const NO_IMAGE: &str = "no SPD image could be matched with this slot";

/// Where the images are from, or why there is none, for a person.
struct Why {
    reading: Reading<Value>,
    text: String,
    /// What could not be read beside them.
    unread: Option<String>,
}

/// Every image, as a part of its own; where there is none, why.
fn images(host: &dyn Host) -> (Vec<Part>, Why) {
    let devices = match host.list(DEVICES) {
        Reading::Known(names) => names,
        Reading::Absent => {
            return (
                Vec::new(),
                nothing(Reading::Unsupported, "the kernel shows no I2C bus (no SMBus controller driver)"),
            );
        }
        other => return (Vec::new(), nothing(crate::collect::reason(&other), "I2C devices cannot be listed")),
    };
    let mut found = EvidenceBuilder::new(Origin::Live);
    let (mut without, mut denied) = (Vec::new(), false);
    // Devices that the second source has nothing to say of.
    let mut taken = BTreeSet::new();
    for device in devices.iter().filter(|name| is_spd_address(name)).take(MAX_IMAGES) {
        let path = format!("{DEVICES}/{device}/eeprom");
        let driver = host.link(&format!("{DEVICES}/{device}/driver")).into_known();
        let driver = driver.as_deref().map_or("none", crate::collect::base_name);
        let source = format!("{path} (driver {driver})");
        let first = host.read(&path);
        let is_memory = matches!(driver, "ee1004" | "spd5118");
        if first != Reading::Absent {
            taken.insert(device.as_str());
        }
        match first {
            Reading::Known(bytes) => {
                // Other EEPROMs have these addresses too: displays, network modules, boards.
                if !is_memory && spd::parse(&bytes).is_err() {
                    continue;
                }
                let again = host.ask(&Query::FileAgain { path: path.clone() });
                let mut part = found.part("dimm", &format!("dimm:spd-{device}"));
                add_twice(&mut part, &bytes, again, None, &source);
            }
            Reading::Absent => without.push(format!("{device} (driver {driver})")),
            other if is_memory => {
                let why = crate::collect::reason(&other);
                fill(&mut found.part("dimm", &format!("dimm:spd-{device}")), SPD, "dimm.spd.", &why, &source);
            }
            other => {
                denied |= other == Reading::Denied;
                without.push(format!("{device} (driver {driver})"));
            }
        }
    }
    let Survey { modules, mut notes, denied: refused, failed } = smbus::survey(host, &devices, &taken);
    for module in modules {
        let mut part = found.part("dimm", &format!("dimm:spd-{}", module.device));
        match module.content {
            Content::Image { first, again, rest } => add_twice(&mut part, &first, again, rest, &module.source),
            Content::Unread(why) => fill(&mut part, SPD, "dimm.spd.", &why, &module.source),
        }
    }
    notes.truncate(MAX_NAMED);
    let found = found.finish().parts;
    if !found.is_empty() {
        let unread = (!notes.is_empty()).then(|| notes.join("; "));
        let text = read_from(&found);
        return (found, Why { reading: Reading::Unsupported, text, unread });
    }
    let controllers: Vec<String> = devices
        .iter()
        .filter(|name| name.starts_with("i2c-"))
        .filter_map(|name| crate::collect::read_text(host, &format!("{DEVICES}/{name}/name")).into_known())
        .filter(|name| name.to_ascii_lowercase().contains("smbus"))
        .take(MAX_NAMED)
        .collect();
    let text = match (controllers.is_empty(), without.is_empty()) {
        (_, false) => format!("no EEPROM driver (ee1004, spd5118, at24) shows one: {}", listed(&without)),
        (true, true) => {
            "no SMBus controller has a driver (i2c_i801, i2c_piix4); servers keep the SPD behind the memory \
                         controller or the BMC"
                .to_owned()
        }
        (false, true) => format!(
            "no EEPROM driver (ee1004, spd5118, at24) is bound on {}; SPD write disable, or an SPD behind the memory \
             controller or the BMC, hides it",
            listed(&controllers)
        ),
    };
    notes.insert(0, text);
    let reading = match (denied || refused, failed) {
        (true, _) => Reading::Denied,
        (false, true) => Reading::Failed(notes[1..].join("; ")),
        (false, false) => Reading::Unsupported,
    };
    (Vec::new(), nothing(reading, &notes.join("; ")))
}

/// Where images came from.
fn read_from(parts: &[Part]) -> String {
    let sources = parts.iter().flat_map(|part| part.facts.values()).map(|fact| &*fact.source);
    let (drivers, buses): (Vec<&str>, Vec<&str>) = sources.partition(|source| source.starts_with(DEVICES));
    let named = [
        (!drivers.is_empty()).then(|| format!("{DEVICES}/*-005[0-7]/eeprom")),
        (!buses.is_empty()).then(|| "/dev/i2c-*, without a write to the bus".to_owned()),
    ];
    named.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn nothing(reading: Reading<Value>, why: &str) -> Why {
    Why { reading, text: format!("{NOT_OBSERVABLE}{why}"), unread: None }
}

fn listed(names: &[String]) -> String {
    names[..names.len().min(MAX_NAMED)].join(", ")
}

/// `<bus>-0050` to `<bus>-0057`.
fn is_spd_address(name: &str) -> bool {
    name.split_once('-').is_some_and(|(bus, address)| {
        !bus.is_empty()
            && bus.bytes().all(|digit| digit.is_ascii_digit())
            && address.strip_prefix("005").is_some_and(|last| matches!(last.as_bytes(), [b'0'..=b'7']))
    })
}

/// Adds everything that an image says which was read twice.
fn add_twice(
    part: &mut PartBuilder<'_>,
    first: &[u8],
    again: Reading<Vec<u8>>,
    rest: Option<&'static str>,
    source: &str,
) {
    let stable = again.map(|again| again == first);
    if stable == Reading::Known(false) {
        part.fact("dimm.spd.stable", false, source);
        let differ = Reading::Failed("two readings differ".to_owned());
        fill(part, SPD, "dimm.spd.", &differ, source);
    } else {
        part.fact("dimm.spd.stable", stable, source);
        add_image(part, first, rest, source);
    }
}

/// Adds everything that an image says.
pub(crate) fn add(part: &mut PartBuilder<'_>, bytes: &[u8], source: &str) {
    add_image(part, bytes, None, source);
}

/// Adds what an image says, or a first page of it; `rest` is why the others were not read.
fn add_image(part: &mut PartBuilder<'_>, bytes: &[u8], rest: Option<&'static str>, source: &str) {
    part.fact("dimm.spd.image_bytes", bytes.len(), source);
    let decoded = spd::parse(bytes).map_err(|error| error.to_string()).and_then(|spd| match rest {
        // What other pages would say is no matter then.
        Some(_) if spd.page_alias => Err("one half of the page repeats the other".to_owned()),
        _ => Ok(Image { spd, rest }),
    });
    let image = match decoded {
        Ok(image) => image,
        Err(why) => return fill(part, SPD, "dimm.spd.", &Reading::Failed(why), source),
    };
    // Modules of one kind have one first page, and one digest of it.
    let digest = match rest {
        None => Reading::Known(spd::sha256(bytes)),
        Some(why) => Reading::Failed(why.to_owned()),
    };
    part.fact("dimm.spd.sha256", digest, source);
    structure(part, &image, source);
    identity(part, &image, source);
    traces(part, &image, source);
    // What this generation does not have.
    let rest: Vec<&str> = SPD.iter().map(|fact| fact.path).filter(|path| !READ_APART.contains(path)).collect();
    for path in rest {
        part.fact(path, Reading::<Value>::Absent, source);
    }
}

/// Facts that are not of an image alone.
const READ_APART: &[&str] = &["dimm.spd.stable", PAIRED_BY];

/// A decoded image.
struct Image<'a> {
    spd: Spd<'a>,
    /// Why it ends early, where that is known.
    rest: Option<&'static str>,
}

impl Image<'_> {
    /// Bytes of a whole image.
    fn whole_bytes(&self) -> usize {
        match self.spd.dram {
            DramType::Ddr | DramType::Ddr2 => 128,
            DramType::Ddr3 => 256,
            DramType::Ddr4 => 512,
            _ => 1024,
        }
    }

    /// Why a field that this generation has was not read.
    fn missing<T>(&self) -> Reading<T> {
        let spd = &self.spd;
        if spd.page_alias {
            Reading::Failed("upper pages repeat lower ones, so that this was not read".to_owned())
        } else if let Some(why) = self.rest {
            Reading::Failed(why.to_owned())
        } else if spd.ddimm || !spd.dram.is_decoded() {
            Reading::Unsupported
        } else if spd.size_bytes < self.whole_bytes() {
            Reading::Failed(format!("the image ends after {} bytes", spd.size_bytes))
        } else {
            Reading::Failed("the image has a code that no standard has".to_owned())
        }
    }
}

fn structure(part: &mut PartBuilder<'_>, image: &Image<'_>, source: &str) {
    let spd = &image.spd;
    let (geometry, timing) = (&spd.geometry, &spd.timing);
    let old = matches!(spd.dram, DramType::Ddr | DramType::Ddr2);
    let number = |value: Option<u64>| value.map_or_else(|| image.missing(), Reading::Known).value();
    let small = |value: Option<u8>| number(value.map(u64::from));
    let page_alias = if image.rest.is_some() { image.missing() } else { Reading::Known(spd.page_alias) };
    part.fact("dimm.spd.page_alias", page_alias, source)
        .fact("dimm.spd.dram_type", spd.dram.name(), source)
        .fact("dimm.spd.spd_revision", spd.spd_revision_text(), source)
        .fact("dimm.spd.ranks", small(geometry.ranks), source)
        .fact("dimm.spd.logical_ranks", number(geometry.logical_ranks.map(u64::from)), source)
        .fact("dimm.spd.device_width_bits", small(geometry.device_width_bits), source)
        .fact("dimm.spd.bus_width_bits", number(geometry.bus_width_bits.map(u64::from)), source)
        .fact("dimm.spd.ecc_bits", number(geometry.ecc_bits.map(u64::from)), source);
    let module_type = match spd.module_type {
        None if spd.dram == DramType::Ddr => Reading::Absent,
        None => image.missing(),
        Some(name) => Reading::Known(name),
    };
    part.fact("dimm.spd.module_type", module_type, source);
    let capacity = match (geometry.capacity_mib, geometry.logical_ranks) {
        // Ranks of two kinds.
        (None, Some(_)) => Reading::Unsupported,
        (capacity, _) => number(capacity),
    };
    part.fact("dimm.spd.capacity_mib", capacity, source);
    part.fact("dimm.spd.speed_mts", number(spd.speed_mts.map(u64::from)), source);
    if !old {
        part.fact("dimm.spd.die_density_mbit", number(geometry.die_density_mbit.map(u64::from)), source);
        if spd.dram != DramType::Ddr3 {
            let fits = geometry.addressing_fits.map_or_else(|| image.missing(), Reading::Known);
            part.fact("dimm.spd.addressing_fits", fits, source);
        }
        // DDR3 may leave it open.
        if spd.dram != DramType::Ddr3 || geometry.dies.is_some() {
            part.fact("dimm.spd.dies", small(geometry.dies), source);
        }
        for (path, ps) in [
            ("dimm.spd.taa_ps", timing.taa_ps),
            ("dimm.spd.trcd_ps", timing.trcd_ps),
            ("dimm.spd.trp_ps", timing.trp_ps),
            ("dimm.spd.tras_ps", timing.tras_ps),
            ("dimm.spd.trfc1_ps", timing.trfc1_ps),
        ] {
            part.fact(path, number(ps.map(u64::from)), source);
        }
    }
    if matches!(spd.dram, DramType::Ddr3 | DramType::Ddr4) {
        part.fact("dimm.spd.tfaw_ps", number(timing.tfaw_ps.map(u64::from)), source);
    }
    if spd.dram == DramType::Ddr4 {
        part.fact("dimm.spd.trrd_s_ps", number(timing.trrd_s_ps.map(u64::from)), source).fact(
            "dimm.spd.trrd_l_ps",
            number(timing.trrd_l_ps.map(u64::from)),
            source,
        );
    }
    let bad: Vec<String> = spd.checksums().filter(|sum| !sum.fits()).map(|sum| sum.range()).collect();
    let checked = spd.checksums().next().is_some();
    part.fact("dimm.spd.crc_bad", if checked { Reading::Known(bad) } else { image.missing() }, source);
}

fn identity(part: &mut PartBuilder<'_>, image: &Image<'_>, source: &str) {
    let spd = &image.spd;
    let old = matches!(spd.dram, DramType::Ddr | DramType::Ddr2);
    let text = |text: Option<String>| text.map_or_else(|| image.missing(), Reading::Known);
    for (name, id_path, id) in [
        ("dimm.spd.module_maker", "dimm.spd.module_maker_id", spd.module_maker()),
        ("dimm.spd.dram_maker", "dimm.spd.dram_maker_id", spd.dram_maker()),
    ] {
        if old && name == "dimm.spd.dram_maker" {
            continue;
        }
        let id: Reading<MakerId> = id.map_or_else(|| image.missing(), Reading::Known);
        let id = id.and_then(|id| if id.is_programmed() { Reading::Known(id) } else { Reading::Absent });
        let maker = id.clone().and_then(|id| match id.name() {
            Some(name) => Reading::Known(name),
            None => Reading::Failed(format!("JEP106 as it is known here does not list {id}")),
        });
        part.fact(name, maker, source).fact(id_path, id.map(|id| id.to_string()), source);
    }
    let ids = |list: Vec<String>| if spd.module_maker().is_some() { Reading::Known(list) } else { image.missing() };
    part.fact("dimm.spd.parity_bad", ids(spd.parity_bad()), source).fact(
        "dimm.spd.unknown_makers",
        ids(spd.unknown_makers()),
        source,
    );
    let part_number = text(spd.part_number());
    let part_number =
        part_number.and_then(|number| if number.is_empty() { Reading::Absent } else { Reading::Known(number) });
    let date = match spd.date() {
        None => image.missing(),
        Some(Date::NotProgrammed) => Reading::Absent,
        Some(date @ Date::Week(..)) => Reading::Known(date.to_string()),
        Some(date @ Date::Invalid(_)) => Reading::Failed(date.to_string()),
    };
    let written = spd.module_maker().is_some_and(MakerId::is_programmed) && !spd.serial_is_blank();
    let module_id = match spd.module_id() {
        None => image.missing(),
        // What nobody wrote is no id, and many modules share it.
        Some(_) if !written => Reading::Absent,
        Some(id) => Reading::Known(hex::encode_upper(id)),
    };
    part.fact("dimm.spd.part_number", part_number, source)
        .fact("dimm.spd.serial", text(spd.serial().map(hex::encode_upper)), source)
        .fact("dimm.spd.module_id", module_id, source)
        .fact("dimm.spd.date", date, source)
        .fact("dimm.spd.date_bytes", text(spd.date_bytes().map(hex::encode_upper)), source)
        .fact("dimm.spd.location", text(spd.location().map(|place| format!("0x{place:02X}"))), source)
        .fact("dimm.spd.revision", text(spd.revision().map(|bytes| format!("0x{}", hex::encode_upper(bytes)))), source);
}

fn traces(part: &mut PartBuilder<'_>, image: &Image<'_>, source: &str) {
    let spd = &image.spd;
    if spd.page_alias || spd.part_number_bytes().is_none() {
        let why: Reading<Value> = image.missing();
        for path in [
            "dimm.spd.lot",
            "dimm.spd.lot_maker",
            "dimm.spd.long_serial",
            "dimm.spd.oem_mark",
            "dimm.spd.oem_part",
            "dimm.spd.profiles",
            "dimm.spd.error_log_entries",
        ] {
            part.fact(path, why.clone(), source);
        }
    }
    // Up to byte 247.
    if spd.readable_bytes() < 248 && spd.dram == DramType::Ddr5 {
        for path in ["dimm.spd.hub_id", "dimm.spd.pmic_id", "dimm.spd.rcd_id"] {
            part.fact(path, image.missing::<Value>(), source);
        }
    }
    let chip = |chip: Option<spd::Chip>| chip.map(|chip| chip.to_string());
    part.fact("dimm.spd.hub_id", chip(spd.chips.hub), source)
        .fact("dimm.spd.pmic_id", chip(spd.chips.pmics[0]), source)
        .fact("dimm.spd.rcd_id", chip(spd.chips.register), source);
    let (lot, lot_maker) = spd.lot().map_or((None, None), |lot| (Some(lot.code), lot.shape_of));
    let (mark, oem_part) = spd.oem_mark().map_or((None, None), |mark| (Some(mark.oem), mark.part));
    let profiles = spd.profiles().map(|names| names.into_iter().map(str::to_owned).collect::<Vec<String>>());
    part.fact("dimm.spd.lot", lot, source)
        .fact("dimm.spd.lot_maker", lot_maker, source)
        .fact("dimm.spd.long_serial", spd.samsung_long_serial(), source)
        .fact("dimm.spd.oem_mark", mark, source)
        .fact("dimm.spd.oem_part", oem_part, source)
        .fact("dimm.spd.profiles", profiles, source)
        .fact("dimm.spd.error_log_entries", spd.error_log_entries(), source);
}
