//! What `decode-dimms` of i2c-tools prints: a label, spaces, a value; all of one module below each other, or the modules
//! side by side, where a value that they share is printed once.
//!
//! ```text
//! Decoding EEPROM: /sys/bus/i2c/drivers/ee1004/0-0050      Decoding EEPROM             0-0050      0-0051
//! SPD Revision                1.2                          SPD Revision                1.2
//! Assembly Serial Number      0x1949395D                   Assembly Serial Number      0x1949395D  0x536618E6
//! ```

use super::plain_text;
use crate::evidence::{Reading, Value};

/// Modules that are read. The largest servers have 192 slots.
const MAX_MODULES: usize = 1024;
const MODULE: &str = "Decoding EEPROM";

/// One module.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// The EEPROM's own name, without its folder: `0-0050`.
    pub name: String,
    /// What was decoded.
    pub fields: Fields,
}

/// The fields that are of use. One that is not printed is `Unsupported`, `N/A` is `Absent`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the fact dimm.spd.* of the same name")]
pub struct Fields {
    pub dram_type: Reading<String>,
    pub module_type: Reading<String>,
    pub spd_revision: Reading<String>,
    pub capacity_mib: Reading<u64>,
    pub ranks: Reading<u64>,
    pub device_width_bits: Reading<u64>,
    pub bus_width_bits: Reading<u64>,
    pub ecc_bits: Reading<u64>,
    pub speed_mts: Reading<u64>,
    pub taa_ps: Reading<u64>,
    pub trcd_ps: Reading<u64>,
    pub trp_ps: Reading<u64>,
    pub tras_ps: Reading<u64>,
    pub tfaw_ps: Reading<u64>,
    pub trrd_s_ps: Reading<u64>,
    pub trrd_l_ps: Reading<u64>,
    pub trfc1_ps: Reading<u64>,
    pub crc_bad: Reading<Vec<String>>,
    pub module_maker: Reading<String>,
    pub dram_maker: Reading<String>,
    pub part_number: Reading<String>,
    pub serial: Reading<String>,
    pub date: Reading<String>,
    pub location: Reading<String>,
    pub revision: Reading<String>,
}

/// Whether there is a module with a field that every module has.
pub fn recognise(text: &str) -> bool {
    let starts =
        |with: &str| plain_text::has(text, with) && text.lines().any(|line| line.trim_start().starts_with(with));
    starts(MODULE) && starts("Fundamental Memory type")
}

/// Reads every module.
pub fn parse(text: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for section in sections(text) {
        let rows: Vec<Vec<(&str, &str)>> = section.columns();
        for (name, rows) in section.names.iter().zip(rows) {
            if modules.len() == MAX_MODULES {
                return modules;
            }
            let base = name.rsplit('/').next().unwrap_or(name);
            let taken = modules.iter().filter(|it| it.name.split('#').next() == Some(base)).count();
            let name = if taken == 0 { base.to_owned() } else { format!("{base}#{}", taken + 1) };
            modules.push(Module { name, fields: Row(&rows).fields() });
        }
    }
    modules
}

/// The modules whose values stand in the same lines.
struct Section<'a> {
    names: Vec<&'a str>,
    /// Where the values of the second module begin; none below each other.
    second: Option<usize>,
    lines: Vec<&'a str>,
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.trim_start().strip_prefix(MODULE) {
            let (names, second) = match rest.strip_prefix(':') {
                Some(name) => (vec![name.trim()], None),
                None => {
                    let names = values(rest);
                    let second = names.get(1).and_then(|name| line.rfind(name));
                    (names, second)
                }
            };
            sections.push(Section { names, second, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

/// Text between runs of two and more spaces.
fn values(text: &str) -> Vec<&str> {
    text.split("  ").map(str::trim).filter(|value| !value.is_empty()).take(MAX_MODULES).collect()
}

impl<'a> Section<'a> {
    /// Label and value of each line, by module.
    fn columns(&self) -> Vec<Vec<(&'a str, &'a str)>> {
        let mut columns = vec![Vec::new(); self.names.len()];
        for line in &self.lines {
            let Some((label, rest)) = line.trim_start().split_once("  ") else { continue };
            if self.names.len() == 1 {
                columns[0].push((label, rest.trim()));
                continue;
            }
            let found = values(rest);
            // One value is everybody's, unless the line goes on: then the others have none.
            let shared = found.len() == 1
                && (line.len() <= self.second.unwrap_or(usize::MAX)
                    || line.trim_end().len() > self.second.unwrap_or(0));
            for (index, column) in columns.iter_mut().enumerate() {
                if shared {
                    column.push((label, found[0]));
                } else if found.len() == self.names.len() {
                    column.push((label, found[index]));
                }
            }
        }
        columns
    }
}

/// The lines of one module.
struct Row<'a>(&'a [(&'a str, &'a str)]);

impl Row<'_> {
    fn text(&self, label: &str) -> Reading<String> {
        match self.0.iter().find(|(known, _)| *known == label).map(|(_, value)| *value) {
            None => Reading::Unsupported,
            Some("N/A" | "" | "Undefined" | "Unprogrammed") => Reading::Absent,
            Some(value) => match Value::text_from_bytes(value.as_bytes()) {
                Ok(text) if text.is_empty() => Reading::Absent,
                Ok(text) => Reading::Known(text),
                Err(length) => Reading::Failed(format!("text of {length} bytes")),
            },
        }
    }

    /// A number with its unit.
    fn number(&self, label: &str, unit: &str) -> Reading<u64> {
        self.text(label).and_then(|text| {
            let mut words = text.split_ascii_whitespace();
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            match number.filter(|_| words.next().unwrap_or_default() == unit) {
                Some(number) => Reading::Known(number),
                None => Reading::Failed(format!("not a number with its unit: {text:.40}")),
            }
        })
    }

    /// A time in nanoseconds with up to three decimals, in picoseconds.
    fn picoseconds(&self, labels: &[&str]) -> Reading<u64> {
        let text = labels.iter().map(|label| self.text(label)).find(|text| text.known().is_some());
        text.unwrap_or(Reading::Unsupported).and_then(|text| {
            let nanoseconds = text.strip_suffix(" ns").and_then(|number| number.trim().parse::<f64>().ok());
            match nanoseconds.filter(|number| (0.0..1e6).contains(number)) {
                Some(nanoseconds) => Reading::Known((nanoseconds * 1000.0).round() as u64),
                None => Reading::Failed(format!("not a time: {text:.40}")),
            }
        })
    }

    fn fields(&self) -> Fields {
        let bus_width_bits = self.number("Primary Bus Width", "bits");
        // A module without check bits has no line for them.
        let ecc_bits = match self.number("Bus Width Extension", "bits") {
            Reading::Unsupported | Reading::Absent => bus_width_bits.as_ref().map(|_| 0),
            bits => bits,
        };
        Fields {
            dram_type: self.text("Fundamental Memory type").map(|kind| match kind.strip_suffix(" SDRAM") {
                Some(kind) => kind.to_owned(),
                None => kind,
            }),
            module_type: self.text("Module Type"),
            spd_revision: self.text("SPD Revision"),
            capacity_mib: self.number("Size", "MB"),
            ranks: self.number("Ranks", ""),
            device_width_bits: self.number("SDRAM Device Width", "bits"),
            bus_width_bits,
            ecc_bits,
            speed_mts: self.number_of_either("Maximum module speed", &["MT/s", "MHz"]),
            taa_ps: self.picoseconds(&["Minimum CAS Latency Time (tAA)"]),
            trcd_ps: self.picoseconds(&["Minimum RAS to CAS Delay (tRCD)", "Minimum RAS# to CAS# Delay (tRCD)"]),
            trp_ps: self.picoseconds(&["Minimum Row Precharge Delay (tRP)"]),
            tras_ps: self.picoseconds(&["Minimum Active to Precharge Delay (tRAS)"]),
            tfaw_ps: self.picoseconds(&["Minimum Four Activate Window Delay (tFAW)"]),
            trrd_s_ps: self.picoseconds(&["Minimum Row Active to Row Active Delay (tRRD_S)"]),
            trrd_l_ps: self.picoseconds(&["Minimum Row Active to Row Active Delay (tRRD_L)"]),
            trfc1_ps: self.picoseconds(&["Minimum Recovery Delay (tRFC1)"]),
            crc_bad: self.crc_bad(),
            module_maker: self.text("Module Manufacturer"),
            dram_maker: self.text("DRAM Manufacturer"),
            part_number: self.text("Part Number"),
            serial: self.text("Assembly Serial Number").map(|serial| match serial.strip_prefix("0x") {
                Some(digits) => digits.to_ascii_uppercase(),
                None => serial,
            }),
            date: self.text("Manufacturing Date"),
            location: self.text("Manufacturing Location Code"),
            revision: self.text("Revision Code").map(|revision| revision.trim_start_matches("0x").to_owned()),
        }
    }

    fn number_of_either(&self, label: &str, units: &[&str]) -> Reading<u64> {
        let readings = units.iter().map(|unit| self.number(label, unit));
        readings
            .reduce(|first, next| if first.known().is_some() { first } else { next })
            .unwrap_or(Reading::Unsupported)
    }

    /// The ranges of the checksums that are wrong.
    fn crc_bad(&self) -> Reading<Vec<String>> {
        let sums = self.0.iter().filter_map(|(label, value)| {
            let range = label
                .strip_prefix("EEPROM CRC of bytes ")
                .or_else(|| label.strip_prefix("EEPROM Checksum of bytes "))?;
            Some((range, value))
        });
        let sums: Vec<(&str, &&str)> = sums.collect();
        if sums.is_empty() {
            return Reading::Unsupported;
        }
        Reading::Known(
            sums.iter().filter(|(_, value)| !value.starts_with("OK")).map(|(range, _)| (*range).to_owned()).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn below_each_other_and_side_by_side() {
        let one = |name: &str, serial: &str, crc: &str| {
            format!(
                "Decoding EEPROM: /sys/bus/i2c/drivers/ee1004/{name}\n\n---=== SPD EEPROM Information ===---\n\
                 EEPROM CRC of bytes 0-125                        {crc}\nFundamental Memory type        DDR4 SDRAM\n\
                 Minimum CAS Latency Time (tAA)                   13.750 ns\nPrimary Bus Width              64 bits\n\
                 Assembly Serial Number                           {serial}\nPart Number                    A B   \n\n"
            )
        };
        let below = one("0-0050", "0x1949395D", "OK (0xA3FD)") + &one("0-0051", "0x536618E6", "Bad\n   (found 1)");
        let beside = "Decoding EEPROM              /sys/bus/0-0050  /sys/bus/0-0051\n\
            EEPROM CRC of bytes 0-125    OK (0xA3FD)      Bad\n                             (found 1)\n\
            Fundamental Memory type      DDR4 SDRAM\nMinimum CAS Latency Time (tAA)  13.750 ns\n\
            Primary Bus Width            64 bits\nAssembly Serial Number       0x1949395D       0x536618E6\n\
            Part Number                  A B              A B   \nDRAM Manufacturer            Samsung          N/A\n";
        for text in [below.as_str(), beside] {
            assert!(recognise(text));
            let modules = parse(text);
            assert_eq!(modules.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["0-0050", "0-0051"], "{text}");
            let [first, second] = [&modules[0].fields, &modules[1].fields];
            assert_eq!(
                (&first.serial, &second.serial),
                (&Reading::Known("1949395D".into()), &Reading::Known("536618E6".into()))
            );
            assert_eq!((first.taa_ps.clone(), second.ecc_bits.clone()), (Reading::Known(13750), Reading::Known(0)));
            assert_eq!(second.dram_type, Reading::Known("DDR4".into()));
            assert_eq!(first.part_number, Reading::Known("A B".into()));
            assert_eq!(
                (&first.crc_bad, &second.crc_bad),
                (&Reading::Known(vec![]), &Reading::Known(vec!["0-125".into()]))
            );
        }
        assert_eq!(parse(beside)[1].fields.dram_maker, Reading::Absent);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Decoding EEPROM(:)?|Part Number|Size|  |64 bits|\n|[ -~]|\\PC){0,60}") {
            recognise(&text);
            parse(&text);
        }
    }
}
