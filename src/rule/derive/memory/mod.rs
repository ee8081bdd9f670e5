//! Memory modules: what their part numbers say, what their SPD says against itself, against SMBIOS and the management
//! controller, and against the other modules of the machine.
//!
//! A reading of an SPD whose upper pages repeat the lower ones, or that came out otherwise the second time, is void: every
//! fact that would be made of it is `Failed` and says so. It is a fault of the reading and no fault of the module.

mod facts;
mod maker;
mod part_number;
mod siblings;
mod sources;
mod spd;
mod totals;

use std::collections::BTreeMap;

use super::super::tables::Tables;
use super::{BLANK_IDENTITIES, SOURCE};
use crate::evidence::{Evidence, Fact, FactPath, Part, Reading, Value};

pub(super) use facts::FACTS;

use maker::{Maker, Makers};
use part_number::Decoded;

/// The table of serial numbers that stand in an SPD where none was programmed.
const BLANK_SERIALS: &str = "dimm/blank-serials";

/// Adds the derived facts to every module and to the memory.
pub(super) fn derive(evidence: &mut Evidence, tables: &Tables) {
    if evidence.scope("dimm").next().is_some() {
        let makers = Makers::of(tables);
        let modules = modules(evidence, &makers, tables);
        let mut derived: BTreeMap<FactPath, BTreeMap<&'static str, Fact>> = BTreeMap::new();
        let mut siblings = siblings::compare(&modules, tables);
        let system_maker = system_maker(evidence);
        for module in &modules {
            let mut facts = siblings.remove(module.part.id.as_str()).unwrap_or_default();
            module.identity(&mut facts);
            part_number::compare(module, &mut facts);
            spd::check(module, tables, &mut facts);
            sources::compare(module, &mut facts);
            sources::oem_mark(module, system_maker.clone(), &makers, &mut facts);
            derived.insert(FactPath::new(module.part.id.clone()), facts.0);
        }
        for part in evidence.parts.iter_mut().filter(|part| part.scope == "dimm") {
            let facts = derived.remove(&FactPath::new(part.id.clone())).unwrap_or_default();
            part.facts.extend(facts.into_iter().map(|(path, fact)| (FactPath::new(path), fact)));
        }
    }
    totals::mixed_dimms(evidence);
    totals::memory_shares(evidence);
}

fn modules<'a>(evidence: &'a Evidence, makers: &Makers<'_>, tables: &'a Tables) -> Vec<Module<'a>> {
    evidence.scope("dimm").map(|part| Module::of(part, makers, tables)).collect()
}

fn system_maker(evidence: &Evidence) -> Reading<String> {
    let platform = evidence.scope("platform").next();
    let paths = ["platform.smbios.system_manufacturer", "platform.dmi.system_manufacturer"];
    let found = platform.and_then(|part| paths.iter().find_map(|path| part.text(path)));
    found.map_or(Reading::Unsupported, |text| Reading::Known(text.to_owned()))
}

/// A module with what the other steps need of it.
struct Module<'a> {
    part: &'a Part,
    /// Why nothing that the SPD says can be used.
    void: Option<&'static str>,
    spd_maker: Reading<Maker>,
    dram_maker: Reading<Maker>,
    smbios_maker: Reading<Maker>,
    bmc_maker: Reading<Maker>,
    spd_number: Reading<String>,
    smbios_number: Reading<String>,
    bmc_number: Reading<String>,
    spd_decoded: Option<Decoded>,
    smbios_decoded: Option<Decoded>,
    bmc_decoded: Option<Decoded>,
    /// The serial of each source, unless it stands where there is none.
    spd_serial: Reading<String>,
    smbios_serial: Reading<String>,
    bmc_serial: Reading<String>,
}

impl<'a> Module<'a> {
    fn of(part: &'a Part, makers: &Makers<'_>, tables: &Tables) -> Self {
        let number = |reading: Reading<String>| reading.and_then(|text| legible(text.trim().to_owned(), tables));
        let serial = |reading: Reading<String>| {
            reading.and_then(|text| {
                let digits = text.chars().filter(char::is_ascii_alphanumeric).count();
                let blank = tables.get(BLANK_SERIALS).is_none_or(|table| table.has(&text));
                if blank || digits < SHORTEST_SERIAL {
                    return Reading::Failed(format!("{text} is no serial number"));
                }
                legible(text, tables)
            })
        };
        let decode = |number: &Reading<String>| number.known().and_then(|number| Decoded::of(number, tables));
        let mut module = Self {
            part,
            void: void(part),
            spd_maker: Reading::Unsupported,
            dram_maker: Reading::Unsupported,
            smbios_maker: makers.smbios(part),
            bmc_maker: makers.printed(text(part, "dimm.bmc.manufacturer")),
            spd_number: Reading::Unsupported,
            smbios_number: number(text(part, "dimm.smbios.part_number")),
            bmc_number: number(text(part, "dimm.bmc.part_number")),
            spd_decoded: None,
            smbios_decoded: None,
            bmc_decoded: None,
            spd_serial: Reading::Unsupported,
            smbios_serial: serial(text(part, "dimm.smbios.serial")),
            bmc_serial: serial(text(part, "dimm.bmc.serial")),
        };
        module.spd_maker = makers.spd(&module, "module");
        module.dram_maker = makers.spd(&module, "dram");
        module.spd_number = number(module.spd_text("dimm.spd.part_number"));
        module.spd_serial = serial(module.spd_text("dimm.spd.serial"));
        module.spd_decoded = decode(&module.spd_number);
        module.smbios_decoded = decode(&module.smbios_number);
        module.bmc_decoded = decode(&module.bmc_number);
        module
    }

    fn spd<T>(&self, value: Reading<T>) -> Reading<T> {
        self.void.map_or(value, |why| Reading::Failed(why.to_owned()))
    }

    fn spd_text(&self, path: &str) -> Reading<String> {
        self.spd(text(self.part, path))
    }

    fn spd_integer(&self, path: &str) -> Reading<i64> {
        self.spd(integer(self.part, path))
    }

    fn spd_list(&self, path: &str) -> Reading<Vec<String>> {
        self.spd(reading(self.part, path).and_then(|value| match value {
            Value::List(items) => Reading::Known(items.iter().map(Value::to_string).collect()),
            _ => Reading::Failed(format!("{path} is no list")),
        }))
    }

    /// Nine bytes that no two modules share, with a serial that was programmed.
    fn module_id(&self) -> Reading<String> {
        self.spd_serial.as_ref().and_then(|serial| match self.spd_text("dimm.spd.module_id") {
            Reading::Known(id) => Reading::Known(id.to_ascii_uppercase()),
            // A printout of the SPD gives the fields and not the bytes.
            _ => {
                let [maker, date, place] =
                    ["dimm.spd.module_maker", "dimm.spd.date", "dimm.spd.location"].map(|path| self.spd_text(path));
                maker.and_then(|maker| {
                    date.map(|date| format!("{maker} {} {date} {serial}", place.into_known().unwrap_or_default()))
                })
            }
        })
    }

    /// The maker, and the part number with its meaning, from the first source that tells.
    fn identity(&self, facts: &mut Facts) {
        let makers = [
            (&self.spd_maker, "dimm.spd.module_maker_id"),
            (&self.smbios_maker, "dimm.smbios.manufacturer"),
            (&self.bmc_maker, "dimm.bmc.manufacturer"),
        ];
        let (maker, source) = makers.into_iter().find(|(maker, _)| maker.known().is_some()).unwrap_or(makers[1]);
        facts.add("dimm.maker", maker.as_ref().map(|maker| maker.name.clone()).value(), self.part, &[source]);

        let numbers = [
            (&self.spd_number, &self.spd_decoded, "dimm.spd.part_number"),
            (&self.smbios_number, &self.smbios_decoded, "dimm.smbios.part_number"),
            (&self.bmc_number, &self.bmc_decoded, "dimm.bmc.part_number"),
        ];
        let (number, decoded, source) = numbers
            .into_iter()
            .find(|(_, decoded, _)| decoded.is_some())
            .unwrap_or_else(|| numbers.into_iter().find(|(number, ..)| number.known().is_some()).unwrap_or(numbers[1]));
        let number = number.clone();
        for (path, value) in Decoded::fields(decoded.as_ref()) {
            let value = value.map_or(Reading::Unsupported, Reading::Known);
            facts.add(path, number.as_ref().and_then(|_| value), self.part, &[source]);
        }
        facts.add("dimm.part.number", number.value(), self.part, &[source]);
    }
}

/// A module's serial is four bytes; makers that print it in decimal drop leading zeros.
const SHORTEST_SERIAL: usize = 6;

/// Derived facts of one part, each with the sources of what it was made from.
#[derive(Default)]
struct Facts(BTreeMap<&'static str, Fact>);

impl Facts {
    fn add(&mut self, path: &'static str, reading: Reading, part: &Part, inputs: &[&str]) {
        let mut sources: Vec<&str> = Vec::new();
        for input in inputs {
            let source = part.facts.get(*input).map(|fact| fact.source.as_str());
            sources.extend(source.filter(|source| !sources.contains(source)));
        }
        let source = if sources.is_empty() { SOURCE.to_owned() } else { sources.join(", ") };
        self.0.insert(path, Fact { reading, source });
    }
}

/// Why nothing that the SPD says can be used.
fn void(part: &Part) -> Option<&'static str> {
    let is = |path: &str| part.reading(path).and_then(Reading::known).and_then(Value::as_bool);
    if is("dimm.spd.page_alias") == Some(true) {
        Some("page alias: the upper pages repeat the lower ones")
    } else if is("dimm.spd.stable") == Some(false) {
        Some("two readings gave different bytes")
    } else {
        None
    }
}

/// The reading of a fact. A source that nobody asked has no way to answer.
fn reading(part: &Part, path: &str) -> Reading {
    part.reading(path).cloned().unwrap_or(Reading::Unsupported)
}

fn text(part: &Part, path: &str) -> Reading<String> {
    reading(part, path).and_then(|value| match value {
        Value::Text(text) => Reading::Known(text),
        _ => Reading::Failed(format!("{path} is no text")),
    })
}

fn integer(part: &Part, path: &str) -> Reading<i64> {
    reading(part, path).and_then(|value| match value {
        Value::Integer(number) => Reading::Known(number),
        _ => Reading::Failed(format!("{path} is no number")),
    })
}

/// A text that stands where there is none says nothing.
fn legible(text: String, tables: &Tables) -> Reading<String> {
    if tables.get(BLANK_IDENTITIES).is_none_or(|table| table.has(&text)) {
        Reading::Failed(format!("{text} stands where there is none"))
    } else {
        Reading::Known(text)
    }
}

/// Letters and digits only, in capitals.
fn plain(text: &str) -> String {
    super::normalise_id(text)
}
