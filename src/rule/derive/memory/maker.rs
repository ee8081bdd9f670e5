//! Makers of modules, whichever way a source writes them.

use super::super::super::tables::{Record, Tables};
use super::{Module, legible, text};
use crate::evidence::{Part, Reading};

/// A maker. One family are brands of one company.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Maker {
    pub name: String,
    pub family: String,
    /// Whether its modules carry its own DRAM only.
    pub own_dram: bool,
}

/// The tables of makers.
pub(super) struct Makers<'a> {
    tables: &'a Tables,
    by_id: Vec<([u8; 2], &'a Record)>,
    systems: Vec<(&'a str, &'a Record)>,
}

/// Id bytes without their parity bits: firmware strips them, or does not.
fn without_parity(id: [u8; 2]) -> [u8; 2] {
    id.map(|byte| byte & 0x7f)
}

impl<'a> Makers<'a> {
    pub fn of(tables: &'a Tables) -> Self {
        let by_id = tables.records("dimm/makers").filter_map(|(key, record)| {
            let bytes: [u8; 2] = hex::decode(key).ok()?.try_into().ok()?;
            Some((without_parity(bytes), record))
        });
        Self { tables, by_id: by_id.collect(), systems: tables.records("dimm/system-makers").collect() }
    }

    fn maker(record: &Record) -> Option<Maker> {
        let text = |field| record.text(field).map(str::to_owned);
        Some(Maker { name: text("name")?, family: text("family")?, own_dram: record.is("own_dram") })
    }

    fn by_bytes(&self, id: [u8; 2]) -> Option<Maker> {
        let id = without_parity(id);
        self.by_id.iter().find(|(known, _)| *known == id).and_then(|(_, record)| Self::maker(record))
    }

    /// A JEP106 id as firmware prints it: `80CE`, `0x00CE`, `CE00` (bytes swapped), `80CE80B380CE` (module, register
    /// and DRAM: Dell), `7F7F9E` (continuation codes written out).
    fn by_hex(&self, text: &str) -> Option<Maker> {
        let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
        if !matches!(digits.len(), 4..=16) {
            return None;
        }
        let bytes = hex::decode(digits).ok()?;
        let continuation = bytes.iter().take_while(|byte| **byte == 0x7f).count();
        if continuation > 0 {
            return self.by_bytes([u8::try_from(continuation).ok()?, *bytes.get(continuation)?]);
        }
        let [first, second] = *bytes.first_chunk()?;
        self.by_bytes([first, second]).or_else(|| self.by_bytes([second, first]))
    }

    fn by_name(&self, text: &str) -> Option<Maker> {
        let found = self.by_id.iter().find(|(_, record)| begins_with_one(text, record));
        found.and_then(|(_, record)| Self::maker(record))
    }

    /// The maker of servers whose name that is.
    pub fn system(&self, text: &str) -> Option<&'a str> {
        self.systems.iter().find(|(_, record)| begins_with_one(text, record)).map(|(name, _)| *name)
    }

    /// A maker as text: an id or a name. A maker of servers that puts its own name there hides the module's.
    pub fn printed(&self, reading: Reading<String>) -> Reading<Maker> {
        reading.and_then(|text| legible(text.trim().to_owned(), self.tables)).and_then(|text| {
            let found = self.by_hex(&text).or_else(|| self.by_name(&text));
            found.map_or_else(|| Reading::Failed(format!("{text} is no known maker of modules")), Reading::Known)
        })
    }

    /// The maker that SMBIOS tells: its id where there is one.
    pub fn smbios(&self, part: &Part) -> Reading<Maker> {
        match self.printed(text(part, "dimm.smbios.module_maker_id")) {
            Reading::Known(maker) => Reading::Known(maker),
            _ => self.printed(text(part, "dimm.smbios.manufacturer")),
        }
    }

    /// The maker of the module or of its DRAM that the SPD tells. One that no table knows is known by its id.
    pub fn spd(&self, module: &Module<'_>, of: &str) -> Reading<Maker> {
        let name = module.spd_text(&format!("dimm.spd.{of}_maker"));
        match module.spd_text(&format!("dimm.spd.{of}_maker_id")) {
            Reading::Known(id) if matches!(id.as_str(), "0000" | "FFFF") => Reading::Absent,
            Reading::Known(id) => Reading::Known(self.by_hex(&id).unwrap_or_else(|| {
                let known = name.known().map(|name| format!("{name} ({id})"));
                let name = known.unwrap_or_else(|| format!("JEP106 id {id}"));
                Maker { family: name.clone(), name, own_dram: false }
            })),
            reason => match self.printed(name.clone()) {
                Reading::Unsupported => reason.and_then(|_| Reading::Absent),
                other => other,
            },
        }
    }
}

/// Whether the text is one of a record's names, or begins with one and goes on with another word.
fn begins_with_one(text: &str, record: &Record) -> bool {
    let text = text.trim().to_lowercase();
    record.texts("aliases").any(|alias| {
        text.strip_prefix(alias).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    })
}
