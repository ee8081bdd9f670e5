//! Modules of one machine against each other: ids that two of them share, and serials that somebody counted up.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::tables::Tables;
use super::{BLANK_IDENTITIES, BLANK_SERIALS, Facts, Module, plain, reading, text};
use crate::evidence::{Reading, Value};

/// Fewer equally spaced serials than these are chance.
const SHORTEST_RUN: usize = 4;
/// Modules that a finding lists; a machine has some dozens.
const MOST_LISTED: usize = 64;

/// The facts that need all modules, by the id of the part.
pub(super) fn compare(modules: &[Module<'_>], tables: &Tables) -> BTreeMap<String, Facts> {
    let ids: Vec<Option<String>> = modules.iter().map(|module| module.module_id().into_known()).collect();
    let same_module = groups(modules, |index| ids[index].clone());
    let same_serial = same_serial(modules, &ids);
    let runs = serial_runs(modules);
    let passed_on = modules.iter().filter(|it| it.smbios_serial.known().or(it.bmc_serial.known()).is_some()).count();
    let dimms: BTreeSet<&str> = modules.iter().map(|module| module.part.id.as_str()).collect();
    let mut derived = BTreeMap::new();
    for (index, module) in modules.iter().enumerate() {
        let mut facts = Facts::default();
        let names = |found: Option<&Vec<usize>>| {
            let others = found.into_iter().flatten().filter(|other| **other != index);
            others.take(MOST_LISTED).map(|other| modules[*other].part.id.clone()).collect::<Vec<_>>()
        };
        let same = module.module_id().map(|id| names(same_module.get(&id)));
        facts.add("dimm.same_module_as", same.value(), module.part, &["dimm.spd.module_id"]);

        let serials = [&module.smbios_serial, &module.bmc_serial, &module.spd_serial];
        let same = match serials.iter().find(|serial| serial.known().is_some()) {
            Some(_) => Reading::Known([names(Some(&same_serial[index])), of_other_kinds(module, &dimms)].concat()),
            None => serials[0].as_ref().and_then(|_| Reading::Absent),
        };
        facts.add("dimm.serial_same_as", same.value(), module.part, &["dimm.smbios.serial", "dimm.bmc.serial"]);

        let run = Counted::of(module).map(|_| names(runs.iter().find(|run| run.contains(&index))));
        facts.add("dimm.serial_run", run.value(), module.part, &["dimm.spd.serial", "dimm.smbios.serial"]);

        let (serial, source) = serial(module, passed_on, tables);
        facts.add("dimm.serial", serial.value(), module.part, &[source]);
        derived.insert(module.part.id.clone(), facts);
    }
    derived
}

/// Parts that are no modules and carry the serial number that firmware tells of this one.
fn of_other_kinds(module: &Module<'_>, dimms: &BTreeSet<&str>) -> Vec<String> {
    let Some(Value::List(parts)) = module.part.reading("part.same_unit_id_as").and_then(Reading::known) else {
        return Vec::new();
    };
    let others = parts.iter().filter_map(Value::as_text).filter(|id| !dimms.contains(id));
    others.filter(|_| module.smbios_serial.known().is_some()).take(MOST_LISTED).map(str::to_owned).collect()
}

fn groups(modules: &[Module<'_>], key: impl Fn(usize) -> Option<String>) -> BTreeMap<String, Vec<usize>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for index in 0..modules.len() {
        if let Some(key) = key(index) {
            groups.entry(key).or_default().push(index);
        }
    }
    groups
}

/// For each module, those for which one source says the same serial, maker and part number. Where both SPDs were read
/// and have ids of their own, firmware made the serials up.
fn same_serial(modules: &[Module<'_>], ids: &[Option<String>]) -> Vec<Vec<usize>> {
    let mut same: Vec<Vec<usize>> = vec![Vec::new(); modules.len()];
    for source in 0..3 {
        let groups = groups(modules, |index| {
            let module = &modules[index];
            let (serial, maker, number) = match source {
                0 => (&module.smbios_serial, &module.smbios_maker, &module.smbios_number),
                1 => (&module.bmc_serial, &module.bmc_maker, &module.bmc_number),
                _ => (&module.spd_serial, &module.spd_maker, &module.spd_number),
            };
            let maker = maker.known().map(|maker| maker.family.as_str()).unwrap_or_default();
            let number = number.known().map(|number| plain(number)).unwrap_or_default();
            Some(format!("{} {maker} {number}", plain(serial.known()?)))
        });
        for members in groups.values().filter(|members| members.len() > 1) {
            for index in members {
                let distinct = |other: usize| matches!((&ids[*index], &ids[other]), (Some(a), Some(b)) if a != b);
                let others = members.iter().filter(|other| *other != index && !distinct(**other));
                for other in others.take(MOST_LISTED) {
                    if !same[*index].contains(other) {
                        same[*index].push(*other);
                    }
                }
            }
        }
    }
    same
}

/// The serial that the module shows, and which fact says so. What stands in the SPD counts, programmed or not. Where no
/// module of the machine has a serial for firmware to tell, firmware passes none on, and nothing is known of this one's.
fn serial(module: &Module<'_>, passed_on: usize, tables: &Tables) -> (Reading<String>, &'static str) {
    let paths = ["dimm.smbios.serial", "dimm.bmc.serial"];
    let stored = module.spd_text("dimm.spd.serial");
    if matches!(stored, Reading::Known(_) | Reading::Absent) {
        return (stored, "dimm.spd.serial");
    }
    if let Some((serial, path)) =
        [&module.smbios_serial, &module.bmc_serial].into_iter().zip(paths).find(|(it, _)| it.known().is_some())
    {
        return (serial.clone(), path);
    }
    let said = text(module.part, paths[0]);
    let listed = |name: &str| said.known().is_some_and(|said| tables.get(name).is_some_and(|table| table.has(said)));
    let reading = if listed(BLANK_SERIALS) || (passed_on > 0 && (listed(BLANK_IDENTITIES) || said == Reading::Absent)) {
        said
    } else {
        match said {
            Reading::Known(_) | Reading::Absent if passed_on == 0 => {
                Reading::Failed("firmware tells no serial number of any module".to_owned())
            }
            Reading::Unsupported => module.spd_text("dimm.spd.serial"),
            _ => module.smbios_serial.clone(),
        }
    };
    (reading, paths[0])
}

/// A serial as a number, with what tells when and where it was given.
struct Counted {
    serial: u32,
    kind: String,
    /// Weeks since the year 0.
    week: Option<i64>,
    lot: Option<String>,
}

impl Counted {
    fn of(module: &Module<'_>) -> Reading<Self> {
        let spd = module.spd_serial.as_ref().and_then(|serial| {
            let week = module.spd_text("dimm.spd.date").into_known().and_then(|date| {
                let (year, week) = date.split_once("-W")?;
                Some(i64::from(year.parse::<u16>().ok()?) * 53 + i64::from(week.parse::<u8>().ok()?))
            });
            let number = module.spd_number.known().map(|number| plain(number));
            let maker = module.spd_maker.known().map(|maker| maker.family.as_str()).unwrap_or_default();
            let lot = module.spd_text("dimm.spd.lot").into_known();
            u32::from_str_radix(serial, 16).map_or_else(
                |_| Reading::Failed(format!("{serial:.32} is no number")),
                |serial| {
                    let kind = format!("{maker} {}", number.unwrap_or_default());
                    Reading::Known(Self { serial, kind, week, lot })
                },
            )
        });
        match spd {
            Reading::Known(counted) => Reading::Known(counted),
            reason => match module.smbios_serial.known().and_then(|printed| Self::of_module_id(module, printed)) {
                Some(counted) => Reading::Known(counted),
                None if reading(module.part, "dimm.spd.serial") == Reading::Unsupported => {
                    module.smbios_serial.as_ref().and_then(|_| Reading::Unsupported)
                }
                None => reason,
            },
        }
    }

    /// The nine bytes of the module, as some firmware prints them: maker, place, year and week, serial.
    fn of_module_id(module: &Module<'_>, printed: &str) -> Option<Self> {
        let printed = plain(printed);
        if printed.len() != 18 || !printed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (year, week) = (printed[6..8].parse::<i64>().ok()?, printed[8..10].parse::<i64>().ok()?);
        let number = module.smbios_number.known().map(|number| plain(number)).unwrap_or_default();
        Some(Self {
            serial: u32::from_str_radix(&printed[10..], 16).ok()?,
            kind: format!("{} {number}", &printed[..4]),
            week: Some((2000 + year) * 53 + week),
            lot: None,
        })
    }
}

/// Modules of one kind whose serials are equally spaced although they were made in different weeks or lots.
fn serial_runs(modules: &[Module<'_>]) -> Vec<Vec<usize>> {
    let counted: Vec<Option<Counted>> = modules.iter().map(|module| Counted::of(module).into_known()).collect();
    let kinds = groups(modules, |index| counted[index].as_ref().map(|it| it.kind.clone()));
    let mut runs = Vec::new();
    for members in kinds.into_values().filter(|members| members.len() >= SHORTEST_RUN) {
        let mut sorted: Vec<(u32, usize)> =
            members.iter().filter_map(|index| Some((counted[*index].as_ref()?.serial, *index))).collect();
        sorted.sort_unstable();
        let step = |pair: &[(u32, usize)]| pair[1].0 - pair[0].0;
        let Some(first) = sorted.windows(2).next().map(step) else { continue };
        let spaced = first > 0 && sorted.windows(2).all(|pair| step(pair) == first);
        let weeks = || members.iter().filter_map(|index| counted[*index].as_ref()?.week);
        // A batch runs over the end of a week.
        let over_weeks = weeks().max().zip(weeks().min()).is_some_and(|(last, first)| last - first > 1);
        let lots = || members.iter().filter_map(|index| counted[*index].as_ref()?.lot.as_ref());
        let over_lots = lots().any(|lot| lots().next() != Some(lot));
        if spaced && (over_weeks || over_lots) {
            runs.push(members);
        }
    }
    runs
}
