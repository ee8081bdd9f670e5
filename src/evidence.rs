//! What was seen: facts, each with its reading and its source, grouped by the part they describe.
//!
//! A [`Fact`] never holds a sentinel. When the host gave no value, its [`Reading`] says why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use yanji_format::{FactPath, Kind, MAX_TEXT_BYTES, Origin, Reading, SourceId, Value};

/// One answer of the host, or why there is none, and who gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The value, or the reason for its absence.
    pub reading: Reading,
    /// Who said so.
    pub source: SourceId,
}

/// What a fact's value says about which physical thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing: two parts may share it.
    Plain,
    /// A serial number or another id that its maker gives to one unit only. Compared across all parts of a machine.
    UnitId,
}

/// The declaration of a fact that a collector makes. Rules may only name declared facts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FactDef {
    /// The dotted name.
    pub path: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Whether it identifies one physical unit.
    pub role: Role,
    /// What it means, with its unit and the specification it comes from.
    pub about: &'static str,
}

impl FactDef {
    /// A fact that two parts may share.
    pub const fn new(path: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { path, kind, role: Role::Plain, about }
    }

    /// Two lists of declarations as one, so that a collector can have its facts in groups. `N` is the sum of their
    /// lengths.
    pub const fn joined<const N: usize>(first: &[Self], second: &[Self]) -> [Self; N] {
        assert!(N == first.len() + second.len());
        let mut all = [first[0]; N];
        let mut index = 1;
        while index < N {
            all[index] = if index < first.len() { first[index] } else { second[index - first.len()] };
            index += 1;
        }
        all
    }

    /// A text fact that identifies one physical unit.
    pub const fn unit_id(path: &'static str, about: &'static str) -> Self {
        Self { path, kind: Kind::Text, role: Role::UnitId, about }
    }
}

/// Id of the part that stands for those of a kind which could not be read or counted: `gpu:unread`. Rules about such parts must
/// not find nothing wrong because they found no part.
pub fn stand_in_id(scope: &str) -> String {
    format!("{scope}:unread")
}

/// One thing that can be bought, replaced or faulty, with everything known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Kind of part; the first segment of its facts' paths. Example: `cpu`, `dimm`, `drive`.
    pub scope: String,
    /// Unique in a machine and stable over runs. Example: `dimm:CPU1_DIMM_A1`, `pci:0000:3b:00.0`.
    pub id: String,
    /// All facts by path.
    pub facts: BTreeMap<FactPath, Fact>,
}

impl Part {
    /// The reading of a fact, or `None` where no collector produced it for this part.
    pub fn reading(&self, path: &str) -> Option<&Reading> {
        self.facts.get(path).map(|fact| &fact.reading)
    }

    /// The text of a fact whose value is known text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.reading(path)?.known()?.as_text()
    }

    /// Whether it stands for parts of its kind that could not be read or counted ([`stand_in_id`]), and is none itself. Firmware
    /// may call a slot so, of which then something is known.
    pub fn is_stand_in(&self) -> bool {
        self.id == stand_in_id(&self.scope) && self.facts.values().all(|fact| fact.reading.known().is_none())
    }

    /// The number of a fact whose value is a known integer.
    pub fn integer(&self, path: &str) -> Option<i64> {
        self.reading(path)?.known()?.as_integer()
    }
}

/// Everything that the collectors saw of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Where it came from.
    pub origin: Origin,
    /// The parts, in the order in which the collectors found them.
    pub parts: Vec<Part>,
}

impl Evidence {
    /// The parts of one kind.
    pub fn scope<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| part.scope == scope)
    }

    /// The part with that id.
    pub fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.id == id)
    }

    /// Facts that were refused for lack of privilege: what running as root would add.
    pub fn denied(&self) -> impl Iterator<Item = (&Part, &FactPath)> {
        self.parts.iter().flat_map(|part| {
            part.facts.iter().filter(|(_, fact)| fact.reading == Reading::Denied).map(move |(path, _)| (part, path))
        })
    }
}

/// Collects parts and facts while the collectors run.
#[derive(Debug)]
pub struct EvidenceBuilder {
    evidence: Evidence,
}

impl From<Evidence> for EvidenceBuilder {
    /// Goes on from evidence that was collected earlier.
    fn from(evidence: Evidence) -> Self {
        Self { evidence }
    }
}

impl EvidenceBuilder {
    /// Starts empty.
    pub fn new(origin: Origin) -> Self {
        Self { evidence: Evidence { origin, parts: Vec::new() } }
    }

    /// The part with that id, made when it does not exist yet, so that several collectors can add to one part.
    pub fn part(&mut self, scope: &str, id: &str) -> PartBuilder<'_> {
        let parts = &mut self.evidence.parts;
        let index = parts.iter().position(|part| part.id == id).unwrap_or_else(|| {
            parts.push(Part { scope: scope.to_owned(), id: id.to_owned(), facts: BTreeMap::new() });
            parts.len() - 1
        });
        PartBuilder { part: &mut parts[index] }
    }

    /// Something in it came from a simulation, and so all of it counts as one.
    pub fn mark_simulated(&mut self) {
        self.evidence.origin = Origin::Simulated;
    }

    /// What has been collected so far, for a collector that compares with an earlier one.
    pub fn so_far(&self) -> &Evidence {
        &self.evidence
    }

    /// The finished evidence.
    pub fn finish(self) -> Evidence {
        self.evidence
    }
}

/// Adds facts to one part.
#[derive(Debug)]
pub struct PartBuilder<'a> {
    part: &'a mut Part,
}

impl PartBuilder<'_> {
    /// Records one fact. A fact that is already there stays: the first source to answer wins, later ones use a path
    /// of their own.
    pub fn fact(&mut self, path: &str, reading: impl Into<Reading>, source: impl Into<SourceId>) -> &mut Self {
        self.part
            .facts
            .entry(FactPath::new(path))
            .or_insert_with(|| Fact { reading: reading.into(), source: source.into() });
        self
    }
}
