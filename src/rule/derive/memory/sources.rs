//! One module as its SPD, SMBIOS and the management controller tell it, once their habits of writing are taken out.

use super::maker::{Maker, Makers};
use super::part_number::{Decoded, is_generation};
use super::{Facts, Module, integer, plain, text};
use crate::evidence::Reading;

/// Longer part numbers are cut by firmware at 18 or 20 characters; shorter ones than this are no part numbers.
const SHORTEST_PART_NUMBER: usize = 6;

/// One source's view of the module.
struct View<'a> {
    name: &'static str,
    serial: Option<&'a str>,
    number: Option<&'a str>,
    decoded: &'a Option<Decoded>,
    size_mib: Option<i64>,
    dram_type: Option<String>,
    maker: Option<&'a Maker>,
    /// Year and week of manufacture as digits: `2331`.
    date: Option<String>,
    /// Why the view is empty.
    missing: Reading<()>,
}

/// Adds what SPD, SMBIOS and management controller say against each other.
pub(super) fn compare(module: &Module<'_>, facts: &mut Facts) {
    let spd = spd_view(module);
    let smbios = View {
        name: "SMBIOS",
        serial: module.smbios_serial.known().map(String::as_str),
        number: module.smbios_number.known().map(String::as_str),
        decoded: &module.smbios_decoded,
        size_mib: integer(module.part, "dimm.smbios.size_bytes").into_known().map(|bytes| bytes >> 20),
        dram_type: text(module.part, "dimm.smbios.type").into_known(),
        maker: module.smbios_maker.known(),
        date: text(module.part, "dimm.smbios.asset_tag").into_known().and_then(|tag| date_in_tag(&tag)),
        missing: integer(module.part, "dimm.smbios.size_bytes").map(|_| ()),
    };
    let bmc = View {
        name: "controller",
        serial: module.bmc_serial.known().map(String::as_str),
        number: module.bmc_number.known().map(String::as_str),
        decoded: &module.bmc_decoded,
        size_mib: integer(module.part, "dimm.bmc.size_mib").into_known(),
        dram_type: text(module.part, "dimm.bmc.type").into_known(),
        maker: module.bmc_maker.known(),
        date: None,
        missing: integer(module.part, "dimm.bmc.size_mib").map(|_| ()),
    };
    let id = Identity::of(module);
    for (path, left, right, id, inputs) in [
        ("dimm.spd_smbios_differ", &spd, &smbios, id.as_ref(), ["dimm.spd.serial", "dimm.smbios.serial"]),
        ("dimm.spd_bmc_differ", &spd, &bmc, id.as_ref(), ["dimm.spd.serial", "dimm.bmc.serial"]),
        ("dimm.smbios_bmc_differ", &smbios, &bmc, None, ["dimm.smbios.serial", "dimm.bmc.serial"]),
    ] {
        facts.add(path, differences(left, right, id, &module.dram_maker).value(), module.part, &inputs);
    }
    let long = long_serial_differs(module);
    facts.add("dimm.long_serial_differs", long.value(), module.part, &["dimm.spd.long_serial", "dimm.smbios.serial"]);
}

fn spd_view<'a>(module: &'a Module<'_>) -> View<'a> {
    View {
        name: "SPD",
        serial: module.spd_serial.known().map(String::as_str),
        number: module.spd_number.known().map(String::as_str),
        decoded: &module.spd_decoded,
        size_mib: module.spd_integer("dimm.spd.capacity_mib").into_known(),
        dram_type: module.spd_text("dimm.spd.dram_type").into_known(),
        maker: module.spd_maker.known(),
        date: module.spd_text("dimm.spd.date").into_known().and_then(|date| digits_of_week(&date)),
        missing: module.spd_integer("dimm.spd.capacity_mib").map(|_| ()),
    }
}

fn differences(
    left: &View<'_>,
    right: &View<'_>,
    id: Option<&Identity>,
    dram_maker: &Reading<Maker>,
) -> Reading<Vec<String>> {
    let (mut compared, mut found) = (0, Vec::new());
    let mut field = |name: &str, same: Option<bool>, says: (&dyn std::fmt::Display, &dyn std::fmt::Display)| {
        compared += usize::from(same.is_some());
        if same == Some(false) {
            found.push(format!("{name}: {} {}, {} {}", left.name, says.0, right.name, says.1));
        }
    };
    if let (Some(a), Some(b)) = (left.serial, right.serial) {
        let same = id.map_or_else(|| printed_serials_agree(a, b), |id| id.agrees(b));
        field("serial", same, (&a, &b));
    }
    if let (Some(a), Some(b)) = (left.number, right.number) {
        field("part", numbers_agree((a, left.decoded), (b, right.decoded)), (&a, &b));
    }
    if let (Some(a), Some(b)) = (left.size_mib, right.size_mib) {
        field("size_mib", Some(a == b), (&a, &b));
    }
    if let (Some(a), Some(b)) = (&left.dram_type, &right.dram_type) {
        field("type", (is_generation(a) && is_generation(b)).then_some(a == b), (a, b));
    }
    if let (Some(a), Some(b)) = (left.maker, right.maker) {
        // Some firmware prints who made the DRAM.
        let of_dram = dram_maker.known().is_some_and(|dram| dram.family == b.family);
        field("maker", Some(a.family == b.family || of_dram), (&a.name, &b.name));
    }
    if let (Some(a), Some(b)) = (&left.date, &right.date) {
        field("date", Some(a == b), (a, b));
    }
    if compared > 0 {
        return Reading::Known(found);
    }
    let nothing = || Reading::Failed(format!("{} and {} tell no field alike", left.name, right.name));
    left.missing.as_ref().and_then(|_| right.missing.as_ref()).and_then(|_| nothing())
}

/// The SPD's own serial, in every form that firmware prints it in.
struct Identity {
    serial: [u8; 4],
    module_id: Option<String>,
    long: Option<String>,
    /// Whether a maker of servers put a number of its own on the module.
    oem: bool,
}

impl Identity {
    fn of(module: &Module<'_>) -> Option<Self> {
        let serial = hex::decode(module.spd_serial.known()?).ok()?.try_into().ok()?;
        Some(Self {
            serial,
            module_id: module.module_id().into_known(),
            long: module.spd_text("dimm.spd.long_serial").into_known(),
            oem: module.spd_text("dimm.spd.oem_mark").into_known().is_some(),
        })
    }

    /// Whether a printed serial is this one; `None` where it has a form that says nothing of the SPD's.
    fn agrees(&self, printed: &str) -> Option<bool> {
        let printed = plain(printed.trim().trim_start_matches("0x"));
        let forward = u32::from_be_bytes(self.serial);
        let numbers = [forward, forward.swap_bytes()];
        let is = |text: &Option<String>| text.as_ref().is_some_and(|text| plain(text) == printed);
        let parsed = u32::from_str_radix(&printed, 16).ok().filter(|_| printed.len() <= 8);
        let decimal: Option<u32> = printed.parse().ok();
        let inside = |number: &u32| printed.contains(&format!("{number:08X}"));
        if is(&self.module_id)
            || is(&self.long)
            || numbers.iter().any(|number| parsed == Some(*number) || decimal == Some(*number) || inside(number))
        {
            return Some(true);
        }
        let hexadecimal = printed.bytes().all(|byte| byte.is_ascii_hexdigit());
        match printed.len() {
            // Four bytes, or the nine of the module.
            8 | 18 if hexadecimal && !self.oem => Some(false),
            18 if is_long_serial(&printed) => Some(false),
            _ => None,
        }
    }
}

/// Two printed serials, neither of which is known to be the SPD's own.
fn printed_serials_agree(a: &str, b: &str) -> Option<bool> {
    let [a, b] = [a, b].map(|text| plain(text.trim().trim_start_matches("0x")));
    let bytes = |text: &str| <[u8; 4]>::try_from(hex::decode(text).ok()?).ok();
    let (long, short) = if a.len() >= b.len() { (&a, &b) } else { (&b, &a) };
    if long.contains(short.as_str()) {
        return Some(true);
    }
    let reversed = |bytes: [u8; 4]| [bytes[3], bytes[2], bytes[1], bytes[0]];
    match (bytes(&a), bytes(&b)) {
        (Some(a), Some(b)) => Some(a == b || a == reversed(b)),
        _ => None,
    }
}

/// Whether two part numbers are one: firmware cuts them, and appends codes of its own.
fn numbers_agree((a, a_says): (&str, &Option<Decoded>), (b, b_says): (&str, &Option<Decoded>)) -> Option<bool> {
    // Micron's SPD leaves out the first letters.
    let bare = |text: &str| {
        let text = plain(text);
        let rest = text.strip_prefix("MTA").or(text.strip_prefix("MT")).unwrap_or(&text);
        if rest.starts_with(|first: char| first.is_ascii_digit()) { rest.to_owned() } else { text }
    };
    let (plain_a, plain_b) = (bare(a), bare(b));
    if plain_a.len().min(plain_b.len()) < SHORTEST_PART_NUMBER {
        return None;
    }
    if plain_a.starts_with(&plain_b) || plain_b.starts_with(&plain_a) {
        return Some(true);
    }
    match (a_says, b_says) {
        // A number that tells nothing of the module may be a server maker's own name for it.
        (_, Some(b)) if !b.shape_only => Some(false),
        (Some(a), Some(b)) if a.maker != b.maker && !(a.maker == "Micron" && b.maker == "Crucial") => Some(false),
        _ => None,
    }
}

/// Samsung's long serial as some firmware prints it: seven letters and digits, year digit, week, serial.
fn is_long_serial(plain: &str) -> bool {
    let Some((head, serial)) = plain.len().checked_sub(8).and_then(|at| plain.split_at_checked(at)) else {
        return false;
    };
    head.len() == 10
        && head.as_bytes()[0].is_ascii_uppercase()
        && head[7..].bytes().all(|byte| byte.is_ascii_digit())
        && serial.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Empty where firmware prints no long serial.
fn long_serial_differs(module: &Module<'_>) -> Reading<Vec<String>> {
    module.spd_text("dimm.spd.long_serial").map(|long| {
        let long = plain(&long);
        let printed = module.smbios_serial.known().map(|printed| plain(printed));
        let differs = |printed: &String| is_long_serial(printed) && *printed != long && !printed.ends_with(&long);
        printed.filter(differs).map(|printed| format!("SMBIOS {printed}, SPD {long}")).into_iter().collect()
    })
}

/// Year and week in an asset tag: `P1-DIMMA1_AssetTag (date:23/31)`, `DIMMA2_AssetTag(16/36)`.
fn date_in_tag(tag: &str) -> Option<String> {
    let inside = tag.rsplit_once('(')?.1.split_once(')')?.0;
    let date = inside.rsplit(':').next()?.trim();
    let (year, week) = date.split_once('/')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    // Firmware prints zeros where it read none.
    (two_digits(year) && two_digits(week) && week != "00").then(|| format!("{year}{week}"))
}

/// `2023-W31` as `2331`.
fn digits_of_week(date: &str) -> Option<String> {
    let (year, week) = date.split_once("-W")?;
    Some(format!("{}{week}", year.get(2..)?))
}

/// Holds a server maker's mark in the SPD against the server that the module is in.
pub(super) fn oem_mark(module: &Module<'_>, system: Reading<String>, makers: &Makers<'_>, facts: &mut Facts) {
    let foreign = module.spd_text("dimm.spd.oem_mark").and_then(|mark| {
        system.and_then(|system| {
            let Some(owner) = makers.system(&mark) else {
                return Reading::Failed(format!("{mark} is no known maker of servers"));
            };
            let home = makers.system(&system);
            if home.is_none() && plain(&system).len() < 3 || is_filler(&system) {
                return Reading::Failed(format!("{system} is no maker of servers"));
            }
            let part = module.spd_text("dimm.spd.oem_part").into_known().unwrap_or_default();
            let differs = || vec![format!("mark of {mark} {part}, server of {system}")];
            Reading::Known(if home == Some(owner) { Vec::new() } else { differs() })
        })
    });
    facts.add("dimm.oem_mark_foreign", foreign.value(), module.part, &["dimm.spd.oem_mark"]);
}

fn is_filler(system: &str) -> bool {
    let system = system.to_ascii_lowercase();
    ["to be filled", "default string", "o.e.m", "oem", "system manufacturer", "unknown", "not specified"]
        .iter()
        .any(|filler| system.starts_with(filler))
}
