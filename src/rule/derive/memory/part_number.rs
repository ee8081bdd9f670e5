//! What a part number says of the module: the grammars are the table `dimm/part-grammars`, the codes in them
//! `dimm/part-codes`.

use regex_lite::Regex;

use super::super::super::tables::{Record, Table, Tables};
use super::{Facts, Module, integer, maker::Maker, text};
use crate::evidence::{Reading, Value};

/// Speeds are named by a rounded number, and sources round differently.
pub(super) const SPEED_TOLERANCE_MTS: i64 = 8;

/// What a part number says. A field that its codes do not tell is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoded {
    pub maker: String,
    pub dram_type: String,
    pub module_type: Option<String>,
    pub capacity_mib: Option<i64>,
    pub ranks: Option<i64>,
    pub device_width_bits: Option<i64>,
    pub speed_mts: Option<i64>,
    pub die: Option<String>,
    /// Whether the number names a maker and none of the module's properties.
    pub shape_only: bool,
}

impl Decoded {
    /// What a part number says, or `None` where no grammar is known for it.
    pub fn of(number: &str, tables: &Tables) -> Option<Self> {
        /// An SPD holds 30 characters at most; firmware appends a few.
        const MAX_BYTES: usize = 64;
        let number = number.trim().to_ascii_uppercase();
        if number.len() > MAX_BYTES {
            return None;
        }
        let patterned = |table| tables.get(table).into_iter().flat_map(Table::patterned);
        let mut grammars = patterned("dimm/part-grammars");
        grammars.find_map(|(name, pattern, grammar)| Self::read(name, pattern, grammar, &number, tables)).or_else(
            || {
                let is_module = |record: &Record| record.text("kind") == Some("module");
                let mut shapes = patterned("dimm/part-shapes");
                let (_, _, record) =
                    shapes.find(|(_, pattern, record)| is_module(record) && pattern.is_match(&number))?;
                Some(Decoded {
                    maker: record.text("maker")?.to_owned(),
                    dram_type: String::new(),
                    module_type: None,
                    capacity_mib: None,
                    ranks: None,
                    device_width_bits: None,
                    speed_mts: None,
                    die: None,
                    shape_only: true,
                })
            },
        )
    }

    fn read(name: &str, pattern: &Regex, grammar: &Record, number: &str, tables: &Tables) -> Option<Self> {
        let found = pattern.captures(number)?;
        let group = |group: &str| found.name(group).map(|text| text.as_str());
        let records: Vec<&Record> = grammar
            .texts("lookups")
            .filter_map(|lookup| {
                let codes: Option<Vec<&str>> = lookup.split('+').map(group).collect();
                tables.record("dimm/part-codes", &format!("{name} {lookup} {}", codes?.join(" ")))
            })
            .collect();
        let integer = |field: &str| records.iter().find_map(|record| record.integer(field));
        let (capacity_mib, device_width_bits) = (integer("capacity_mib"), integer("device_width_bits"));
        // A rank of 64 data bits has 64 / width dies.
        let ranks_by_density = || {
            let ranks_times = capacity_mib? * 8 * device_width_bits? * integer("dies").unwrap_or(1);
            let rank = 64 * integer("die_density_mbit").filter(|density| *density > 0)?;
            (ranks_times % rank == 0).then_some(ranks_times / rank)
        };
        Some(Decoded {
            maker: grammar.text("maker")?.to_owned(),
            dram_type: grammar.text("dram_type")?.to_owned(),
            module_type: records.iter().find_map(|record| record.text("module_type")).map(str::to_owned),
            capacity_mib,
            ranks: integer("ranks").or_else(ranks_by_density),
            device_width_bits,
            speed_mts: integer("speed_mts"),
            die: group("die").map(str::to_owned),
            shape_only: false,
        })
    }

    /// The derived facts, with their values where the number tells them.
    pub fn fields(decoded: Option<&Self>) -> [(&'static str, Option<Value>); 8] {
        let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        let field = |get: fn(&Self) -> Option<i64>| decoded.and_then(get).map(Value::from);
        [
            ("dimm.part.maker", decoded.and_then(|it| text(&it.maker))),
            ("dimm.part.dram_type", decoded.and_then(|it| text(&it.dram_type))),
            ("dimm.part.module_type", decoded.and_then(|it| text(it.module_type.as_deref()?))),
            ("dimm.part.capacity_mib", field(|it| it.capacity_mib)),
            ("dimm.part.ranks", field(|it| it.ranks)),
            ("dimm.part.device_width_bits", field(|it| it.device_width_bits)),
            ("dimm.part.speed_mts", field(|it| it.speed_mts)),
            ("dimm.part.die", decoded.and_then(|it| text(it.die.as_deref()?))),
        ]
    }

    /// The number, unless it tells nothing but a maker.
    pub fn described(decoded: &Option<Self>) -> Option<&Self> {
        decoded.as_ref().filter(|it| !it.shape_only)
    }
}

/// Holds the part numbers of SPD and SMBIOS against what the same source says of the module.
pub(super) fn compare(module: &Module<'_>, facts: &mut Facts) {
    let spd = of(&module.spd_number, &module.spd_decoded).and_then(|number| against_spd(module, number));
    let inputs = ["dimm.spd.part_number"];
    facts.add("dimm.part_differs_from_spd", spd.value(), module.part, &inputs);
    let smbios = of(&module.smbios_number, &module.smbios_decoded).and_then(|number| against_smbios(module, number));
    let smbios_inputs = ["dimm.smbios.part_number"];
    facts.add("dimm.part_differs_from_smbios", smbios.value(), module.part, &smbios_inputs);
    for (path, number, decoded, maker, inputs) in [
        (
            "dimm.maker_of_part_differs",
            &module.spd_number,
            &module.spd_decoded,
            &module.spd_maker,
            ["dimm.spd.part_number", "dimm.spd.module_maker_id"],
        ),
        (
            "dimm.maker_of_part_differs_smbios",
            &module.smbios_number,
            &module.smbios_decoded,
            &module.smbios_maker,
            ["dimm.smbios.part_number", "dimm.smbios.manufacturer"],
        ),
    ] {
        let differs = of(number, decoded).and_then(|number| maker.as_ref().map(|maker| other_maker(number, maker)));
        facts.add(path, differs.value(), module.part, &inputs);
    }
}

/// What the number says. One that no grammar is known for is no sign of anything.
fn of<'a>(number: &Reading<String>, decoded: &'a Option<Decoded>) -> Reading<&'a Decoded> {
    number.as_ref().and_then(|_| Decoded::described(decoded).map_or(Reading::Unsupported, Reading::Known))
}

fn other_maker(number: &Decoded, maker: &Maker) -> Vec<String> {
    if number.maker == maker.family {
        Vec::new()
    } else {
        vec![format!("part number of {}, maker {}", number.maker, maker.name)]
    }
}

/// Differences of one field after the other; a field that one of both does not tell is left out.
#[derive(Default)]
struct Differences {
    compared: usize,
    found: Vec<String>,
}

impl Differences {
    fn field<T: PartialEq + std::fmt::Display>(
        &mut self,
        name: &str,
        number: Option<T>,
        said: Option<T>,
        same: impl Fn(&T, &T) -> bool,
    ) {
        if let (Some(number), Some(said)) = (number, said) {
            self.compared += 1;
            if !same(&number, &said) {
                self.found.push(format!("{name} {said}, part number {number}"));
            }
        }
    }

    fn reading(self, missing: Reading<i64>) -> Reading<Vec<String>> {
        if self.compared > 0 {
            Reading::Known(self.found)
        } else {
            missing.and_then(|_| Reading::Failed("the part number tells none of the fields".to_owned()))
        }
    }
}

fn against_spd(module: &Module<'_>, number: &Decoded) -> Reading<Vec<String>> {
    let mut differences = Differences::default();
    let capacity = module.spd_integer("dimm.spd.capacity_mib");
    let width = module.spd_integer("dimm.spd.device_width_bits").into_known();
    let module_type = module.spd_text("dimm.spd.module_type").into_known();
    // A multiplexed-rank module's speed is inferred from its DRAM's clock: nobody is rejected over that.
    let inferred = module_type.as_deref() == Some("MRDIMM");
    let speed = module.spd_integer("dimm.spd.speed_mts").into_known().filter(|_| !inferred);
    differences.field("capacity_mib", number.capacity_mib, capacity.as_ref().into_known().copied(), i64::eq);
    differences.field("device_width_bits", number.device_width_bits, width, i64::eq);
    differences.field("speed_mts", number.speed_mts, speed, |a, b| (a - b).abs() <= SPEED_TOLERANCE_MTS);
    let dram_type = module.spd_text("dimm.spd.dram_type").into_known();
    differences.field("dram_type", Some(number.dram_type.clone()), dram_type, String::eq);
    let module_type = module_type.filter(|it| MODULE_TYPES.contains(&it.as_str()));
    differences.field("module_type", number.module_type.clone(), module_type, String::eq);
    differences.reading(capacity)
}

/// The module types that a part number can name.
const MODULE_TYPES: [&str; 5] = ["RDIMM", "LRDIMM", "MRDIMM", "UDIMM", "SO-DIMM"];

fn against_smbios(module: &Module<'_>, number: &Decoded) -> Reading<Vec<String>> {
    let mut differences = Differences::default();
    let size = integer(module.part, "dimm.smbios.size_bytes").map(|bytes| bytes >> 20);
    differences.field("capacity_mib", number.capacity_mib, size.as_ref().into_known().copied(), i64::eq);
    let kind = text(module.part, "dimm.smbios.type").into_known().filter(|kind| is_generation(kind));
    differences.field("dram_type", Some(number.dram_type.clone()), kind, String::eq);
    // A board that is slower than the module says its own speed.
    let speed = integer(module.part, "dimm.smbios.speed_mts").into_known();
    differences.field("speed_mts", number.speed_mts, speed, |grade, said| *said <= grade + SPEED_TOLERANCE_MTS);
    differences.reading(size)
}

/// Firmware that does not know a type yet prints another word.
pub(super) fn is_generation(kind: &str) -> bool {
    matches!(kind, "DDR3" | "DDR4" | "DDR5")
}
