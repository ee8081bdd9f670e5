//! Parts that were seen in more than one machine.
//!
//! A serial number, a memory module's nine-byte id, a processor's inventory number, a GPU's UUID: each is given to one unit
//! by its maker. Where two machines show one of them, one of the parts is a clone, was relabelled, or travelled between the
//! two inspections. The same machine looked at again shows the same parts, and is told as that.
//!
//! The ledger is pure: it is given a [`Sighting`] a document, in the order in which they come, and says at once what the
//! new one shares with earlier ones. Of a sighting it keeps 128 bits of SHA-256 and the place for each id, most of them in a
//! temporary file; names of parts, which repeat from machine to machine, are kept once.

mod first_seen;

use std::collections::{HashMap, HashSet};
use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use crate::attest::Digest;
use crate::evidence::{Evidence, Origin, Part, Role};
use crate::inspection::fact_catalogue;
use crate::rule::{BLANK_IDENTITIES, Confidence, PLACEHOLDER_IDS, Severity, Tables, normalise_id};

use first_seen::{FirstSeen, Hash, Seen};

/// Ids that are kept of one document. A full rack enclosure has some thousand.
const MAX_IDS: usize = 16_384;
/// How much of an id is repeated in a finding.
const MAX_SHOWN_CHARS: usize = 64;

/// What says which machine a document is about: the words for it, and the facts that tell it, on which part.
const MACHINE: [(&str, &[(&str, &str)]); 4] = [
    ("system UUID", &[("platform", "platform.smbios.system_uuid"), ("platform", "platform.dmi.system_uuid")]),
    (
        "system serial number",
        &[("platform", "platform.smbios.system_serial"), ("platform", "platform.dmi.system_serial")],
    ),
    ("board serial number", &[("board:0", "board.serial"), ("platform", "platform.dmi.board_serial")]),
    ("chassis serial number", &[("chassis:0", "chassis.serial"), ("platform", "platform.dmi.chassis_serial")]),
];
/// Position of the system's UUID in [`MACHINE`].
const UUID: usize = 0;
/// Position of the chassis in [`MACHINE`]: the nodes of one enclosure share it, and their power supplies.
const CHASSIS: usize = 3;
/// What it says of two different machines that one of these is equal. Boards are exchanged and makers give one serial number
/// to all nodes of an enclosure, so that a person has to look.
const MACHINE_STRENGTH: [(usize, (Severity, Confidence)); 3] = [
    (UUID, (Severity::High, Confidence::Medium)),
    (1, (Severity::Medium, Confidence::Low)),
    (2, (Severity::High, Confidence::Medium)),
];
/// Kinds of parts whose ids belong to the machine ([`MACHINE`]), or that machines of one enclosure share.
const NOT_ALONE: [&str; 4] = ["platform", "board", "chassis", "psu"];

/// Ids that no innocent cause can give to two units, beside the facts whose role is [`Role::UnitId`]; and how the facts are
/// compared: those with one name in the second column are one id, whichever source told it.
const STRONG: [(&str, &str); 9] = [
    ("dimm.spd.module_id", "dimm.spd.module_id"),
    ("cpu.sysfs.ppin", "cpu.sysfs.ppin"),
    ("gpu.nvml.uuid", "gpu.uuid"),
    ("gpu.procfs.uuid", "gpu.uuid"),
    ("gpu.nvml.pdi", "gpu.nvml.pdi"),
    ("gpu.attestation.pdi", "gpu.nvml.pdi"),
    ("gpu.bar0.pdi", "gpu.nvml.pdi"),
    ("nvswitch.nscq.uuid", "nvswitch.nscq.uuid"),
    ("nvswitch.attestation.pdi", "gpu.nvml.pdi"),
];
/// Board serial numbers of GPUs. Two GPUs of one board share it on purpose, and lie in one machine.
const GPU_SERIAL: &str = "gpu.nvml.serial";
/// A module's serial number is one of 2^32 and means something beside the part number only: which fact tells that.
const MODULE_SERIALS: [(&str, &str); 3] = [
    ("dimm.smbios.serial", "dimm.smbios.part_number"),
    ("dimm.spd.serial", "dimm.spd.part_number"),
    ("dimm.bmc.serial", "dimm.bmc.part_number"),
];

/// Ids that are no facts of the evidence.
const CHALLENGE: &str = "challenge";
const ENDORSEMENT_KEY: &str = "tpm.endorsement-key";
/// Why two documents are about one unit that does not say which it is.
const LINKED: &str = "the earlier report that it names";

/// What one document shows of ids. Made by [`Sighting::of`]; holds no more than the ledger needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sighting {
    machine: [Option<Hash>; MACHINE.len()],
    ids: Vec<Id>,
    /// The document itself, and the one that it says to go on from.
    link: Option<(Hash, Option<Hash>)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Id {
    hash: Hash,
    part: String,
    fact: &'static str,
    text: String,
    strength: (Severity, Confidence),
}

/// A part in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// The document: a file, or a report.
    pub document: String,
    /// Id of the part in it.
    pub part: String,
}

/// Two machines that show one id. Texts come from the documents and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    /// How bad it is when the two are different machines.
    pub severity: Severity,
    /// How sure that is.
    pub confidence: Confidence,
    /// The fact that holds the id.
    pub fact: String,
    /// The id as the second document prints it.
    pub id: String,
    /// Where it was seen first.
    pub first: Place,
    /// Where it was seen again.
    pub second: Place,
    /// Whether both documents say which machine they are about, and it is not the same one. Otherwise it was only said of
    /// them that they are about two.
    pub machines_differ: bool,
}

impl Duplicate {
    /// Whether it rejects by itself.
    pub fn is_certain(&self) -> bool {
        self.severity == Severity::Critical && self.confidence >= Confidence::High
    }
}

/// An earlier document about the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Again {
    /// The earlier document.
    pub first: String,
    /// The later one.
    pub second: String,
    /// What they have in common: system UUID, serial number of system, board, chassis.
    pub by: Vec<String>,
    /// Ids of parts that both show.
    pub parts: usize,
}

/// What a document shares with those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// Ids that another machine shows too.
    pub duplicates: Vec<Duplicate>,
    /// Earlier documents about the same machine.
    pub again: Vec<Again>,
}

/// Some documents were not compared with all that came before them.
#[derive(Debug, thiserror::Error)]
#[error("not every id could be compared with those seen before it, so that duplicates may be missing")]
pub struct Incomplete(#[source] io::Error);

/// All ids that were seen, by 128 bits of their SHA-256.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: FirstSeen,
    /// The first id of which it could not be found out whether it was seen.
    unread: Option<io::Error>,
    documents: Vec<Document>,
    parts: Vec<String>,
    part_numbers: HashMap<String, u32>,
    chains: Chains,
}

#[derive(Debug)]
struct Document {
    name: Box<str>,
    machine: [Option<Hash>; MACHINE.len()],
    link: Option<Hash>,
    /// Kinds of parts of which it shows ids: a bit each.
    kinds: u64,
}

/// Documents that name each other, directly or through others.
#[derive(Debug, Default)]
struct Chains(HashMap<Hash, Hash>);

impl Chains {
    fn join(&mut self, one: Hash, other: Hash) {
        let (one, other) = (self.end(one), self.end(other));
        if one != other {
            self.0.insert(one, other);
        }
    }

    fn are_joined(&mut self, one: Hash, other: Hash) -> bool {
        one == other || self.end(one) == self.end(other)
    }

    /// Halves the way to the end, so that a long chain is walked once.
    fn end(&mut self, mut at: Hash) -> Hash {
        while let Some(next) = self.0.get(&at).copied() {
            if let Some(after) = self.0.get(&next).copied() {
                self.0.insert(at, after);
            }
            at = next;
        }
        at
    }
}

/// How two documents stand to each other.
enum Machines {
    Same(Vec<String>),
    Different,
    Unknown,
    /// One names the other, and shows parts that the other has not got.
    Linked,
}

impl Id {
    /// Whether it is that of a part, which moves with it, and not of the machine or of the document.
    fn is_of_part(&self) -> bool {
        self.part != "platform" && self.fact != CHALLENGE
    }

    /// A bit for the kind of part. That two kinds may share one costs no more than a look by a person.
    fn kind(&self) -> u64 {
        let scope = self.fact.split('.').next().unwrap_or_default();
        let number = scope.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        if self.is_of_part() { 1 << (number % 64) } else { 0 }
    }
}

impl Sighting {
    /// The ids in evidence. Fillers name nothing and are left out, and so are those that a publisher removed, and network
    /// addresses that somebody assigned: management controllers give the same one to every machine.
    pub fn of(evidence: &Evidence, tables: &Tables) -> Self {
        let usable = |text: &str| {
            let blank = |table| tables.get(table).is_none_or(|table| table.has(text));
            !normalise_id(text).is_empty() && !blank(BLANK_IDENTITIES) && !blank(PLACEHOLDER_IDS)
        };
        let texts = MACHINE.map(|(_, facts)| {
            let text = |(part, path): &(&str, &str)| evidence.part(part)?.text(path).filter(|text| usable(text));
            facts.iter().find_map(text)
        });
        let named = |index: usize, text: &str| hash(&[MACHINE[index].0, &normalise_id(text)]);
        let machine = std::array::from_fn(|index| Some(named(index, texts[index]?)));
        let unit_ids: Vec<&'static str> = fact_catalogue()
            .filter(|fact| fact.role == Role::UnitId)
            .map(|fact| fact.path)
            .chain(STRONG.iter().map(|(path, _)| *path))
            .chain([GPU_SERIAL])
            .chain(MODULE_SERIALS.iter().map(|(path, _)| *path))
            .collect();
        // Who publishes a printout and removes a UUID touches the serial number beside it too. A machine that was looked at has
        // no publisher: an odd UUID there must not hide a serial number.
        let is_scrubbed = |part: &Part| {
            evidence.origin == Origin::Imported && part.text("gpu.nvml.uuid").is_some_and(|uuid| !usable(uuid))
        };
        let (mut ids, mut hashes) = (Vec::new(), HashSet::new());
        for part in evidence.parts.iter().filter(|part| !NOT_ALONE.contains(&part.scope.as_str())) {
            for fact in unit_ids.iter().copied().filter(|path| path.split('.').next() == Some(&part.scope)) {
                let Some(text) = part.text(fact).filter(|text| usable(text)) else { continue };
                if fact == GPU_SERIAL && is_scrubbed(part) || fact == "nic.permanent_mac" && is_assigned(text) {
                    continue;
                }
                for hash in hashes_of(part, fact, text) {
                    if ids.len() < MAX_IDS && hashes.insert(hash) {
                        let text = text.chars().take(MAX_SHOWN_CHARS).collect();
                        ids.push(Id { hash, part: part.id.clone(), fact, text, strength: strength(part, fact) });
                    }
                }
            }
        }
        // A machine that shows the id of another and is not the same one by what else it shows.
        for (index, strength) in MACHINE_STRENGTH {
            let Some(text) = texts[index] else { continue };
            let (hash, fact) = (hash(&["machine", MACHINE[index].0, &normalise_id(text)]), MACHINE[index].0);
            let text = text.chars().take(MAX_SHOWN_CHARS).collect();
            ids.push(Id { hash, part: "platform".to_owned(), fact, text, strength });
        }
        // The strongest id of a part comes first and speaks for it.
        ids.sort_by_key(|id: &Id| std::cmp::Reverse(id.strength));
        Self { machine, ids, link: None }
    }

    /// Says which document it is, and which earlier one about the same unit it names. Two documents of one chain that don't
    /// say which machine they are about, or not both, are about one.
    pub fn of_document(mut self, document: &Digest, previous: Option<&Digest>) -> Self {
        self.link = Some((shorten(document), previous.map(shorten)));
        self
    }

    /// Adds a challenge that the document answers. Two machines with one challenge need a person: whoever issued it for two
    /// knows, and nobody else may reuse it.
    pub fn answers(mut self, challenge: &[u8; 32]) -> Self {
        let text = hex::encode(challenge);
        let hash = hash(&[CHALLENGE, &text]);
        let strength = (Severity::High, Confidence::Medium);
        self.ids.push(Id { hash, part: "report".to_owned(), fact: CHALLENGE, text, strength });
        self
    }

    /// Adds the endorsement key of a TPM, by the digest of its public half: no two TPMs share one.
    pub fn endorsed_by(mut self, key: &Digest) -> Self {
        let text = key.to_string();
        let hash = hash(&[ENDORSEMENT_KEY, &text]);
        let strength = (Severity::Critical, Confidence::VeryHigh);
        self.ids.push(Id { hash, part: "tpm".to_owned(), fact: ENDORSEMENT_KEY, text, strength });
        self
    }
}

impl Ledger {
    /// Adds a document and tells what it shares with earlier ones. Of each part only the strongest id is told.
    pub fn add(&mut self, name: &str, sighting: Sighting) -> Shared {
        let document = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        let link = sighting.link.map(|(own, _)| own);
        if let Some((own, Some(previous))) = sighting.link {
            self.chains.join(own, previous);
        }
        let kinds = sighting.ids.iter().fold(0, |kinds, id| kinds | id.kind());
        self.documents.push(Document { name: name.into(), machine: sighting.machine, link, kinds });
        let mut shared = Shared::default();
        let mut again: HashMap<u32, Again> = HashMap::new();
        let mut told: HashSet<(u32, String)> = HashSet::new();
        // Two documents about one machine may have no part in common that has an id.
        let machine: Vec<Seen> =
            sighting.machine.iter().flatten().filter_map(|hash| self.see(*hash, document, "platform")).collect();
        let (mut ids, mut new) = (Vec::new(), Vec::new());
        let mut known: HashSet<String> = HashSet::new();
        for id in sighting.ids {
            match self.see(id.hash, document, &id.part) {
                Some(earlier) => {
                    if self.are_linked(earlier.document, document) {
                        known.insert(id.part.clone());
                    }
                    ids.push((id, earlier));
                }
                None => new.push(id),
            }
        }
        // Kinds of which it shows a part that no document has with which it is linked.
        let others = ids.iter().map(|(id, _)| id).chain(&new).filter(|id| !known.contains(&id.part));
        let others = others.fold(0, |kinds, id| kinds | id.kind());
        let with_shared_part: HashSet<u32> =
            ids.iter().filter(|(id, _)| id.is_of_part()).map(|(_, earlier)| earlier.document).collect();
        let share_part = |earlier: &Seen| with_shared_part.contains(&earlier.document);
        for earlier in machine {
            if let Machines::Same(by) = self.machines(earlier.document, document, share_part(&earlier), others) {
                again.entry(earlier.document).or_insert_with(|| self.again(earlier.document, name, by));
            }
        }
        for (id, earlier) in ids {
            match self.machines(earlier.document, document, share_part(&earlier), others) {
                Machines::Same(by) => {
                    let entry = again.entry(earlier.document).or_insert_with(|| self.again(earlier.document, name, by));
                    entry.parts += usize::from(id.part != "platform");
                }
                machines => {
                    if !told.insert((earlier.document, id.part.clone())) {
                        continue;
                    }
                    let machines_differ = matches!(machines, Machines::Different);
                    let first = Place {
                        document: self.name(earlier.document),
                        part: self.parts.get(earlier.part as usize).cloned().unwrap_or_default(),
                    };
                    shared.duplicates.push(Duplicate {
                        severity: id.strength.0,
                        confidence: confidence(id.fact, id.strength.1, &machines),
                        fact: id.fact.to_owned(),
                        id: id.text,
                        first,
                        second: Place { document: name.to_owned(), part: id.part },
                        machines_differ,
                    });
                }
            }
        }
        shared.again = again.into_values().collect();
        shared.again.sort_by(|a, b| a.first.cmp(&b.first));
        shared
    }

    /// Ends the comparison.
    ///
    /// # Errors
    ///
    /// Ids that had gone into a temporary file could not be read again.
    pub fn finish(self) -> Result<(), Incomplete> {
        self.unread.map_or(Ok(()), |error| Err(Incomplete(error)))
    }

    /// How many documents were added.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Where an id was seen first, unless that is this very document.
    fn see(&mut self, hash: Hash, document: u32, part: &str) -> Option<Seen> {
        let part = match self.part_numbers.get(part) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
                self.parts.push(part.to_owned());
                self.part_numbers.insert(part.to_owned(), number);
                number
            }
        };
        match self.seen.see(hash, Seen { document, part }) {
            Ok(earlier) => earlier.filter(|seen| seen.document != document),
            Err(error) => {
                self.unread.get_or_insert(error);
                None
            }
        }
    }

    /// The same machine where at least as many of its ids are equal as differ: a board that was exchanged changes UUID and
    /// board serial number, and a copied UUID alone makes no machine. Where the UUID differs, and the two have no part in
    /// common either, equal serial numbers were copied, or given to all nodes of an enclosure.
    ///
    /// Where neither says which machine it is about, one may name the other. Whoever offers two machines can write that, and so
    /// it counts only where the second has no part of a kind in `others` that the first shows too.
    fn machines(&mut self, first: u32, second: u32, share_part: bool, others: u64) -> Machines {
        let linked = self.are_linked(first, second);
        let found = |document: u32| self.documents.get(document as usize);
        let (Some(first), Some(second)) = (found(first), found(second)) else { return Machines::Unknown };
        let (mut equal, mut differ) = (Vec::new(), Vec::new());
        for (index, pair) in first.machine.iter().zip(&second.machine).enumerate() {
            match pair {
                (Some(first), Some(second)) if first == second => equal.push(index),
                (Some(_), Some(_)) => differ.push(index),
                _ => {}
            }
        }
        match (equal.as_slice(), differ.as_slice()) {
            // Of nodes of one enclosure nothing but the enclosure may be known.
            ([] | [CHASSIS], []) => match linked {
                true if first.kinds & others == 0 => Machines::Same(vec![LINKED.to_owned()]),
                true => Machines::Linked,
                false => Machines::Unknown,
            },
            (_, [UUID, ..]) if !share_part => Machines::Different,
            (equal, differ) if equal.len() >= differ.len() && !equal.is_empty() => {
                Machines::Same(equal.iter().map(|index| MACHINE[*index].0.to_owned()).collect())
            }
            _ => Machines::Different,
        }
    }

    /// Whether one of the two names the other, directly or through others.
    fn are_linked(&mut self, first: u32, second: u32) -> bool {
        let link = |document: u32| self.documents.get(document as usize)?.link;
        link(first).zip(link(second)).is_some_and(|(first, second)| self.chains.are_joined(first, second))
    }

    fn name(&self, document: u32) -> String {
        self.documents.get(document as usize).map_or_else(String::new, |document| document.name.to_string())
    }

    fn again(&self, first: u32, second: &str, by: Vec<String>) -> Again {
        Again { first: self.name(first), second: second.to_owned(), by, parts: 0 }
    }
}

/// Of documents that don't say which machine they are about it is only presumed that they are about two. A memory module's
/// own id stays what it is: an image of an SPD never names a machine.
fn confidence(fact: &str, confidence: Confidence, machines: &Machines) -> Confidence {
    match machines {
        Machines::Different => confidence,
        Machines::Unknown if fact == "dimm.spd.module_id" => confidence,
        _ => confidence.min(Confidence::Medium),
    }
}

fn strength(part: &Part, fact: &str) -> (Severity, Confidence) {
    if STRONG.iter().any(|(path, _)| *path == fact) {
        return (Severity::Critical, Confidence::VeryHigh);
    }
    // Two machines may hang on one enclosure or one storage network.
    if part.scope == "drive" && !matches!(part.text("drive.transport"), Some("nvme" | "sata") | None) {
        return (Severity::Medium, Confidence::Low);
    }
    let number = MODULE_SERIALS.iter().find(|(path, _)| *path == fact).map(|(_, number)| number);
    let known = number.is_none_or(|number| part.text(number).is_some());
    (Severity::High, if known { Confidence::Medium } else { Confidence::Low })
}

/// One hash of an id, or two where a person can read it in two ways.
fn hashes_of(part: &Part, fact: &'static str, text: &str) -> Vec<Hash> {
    let number = MODULE_SERIALS.iter().find(|(path, _)| *path == fact);
    let number = number.map(|(_, number)| part.text(number).unwrap_or_default());
    let name = STRONG.iter().find(|(path, _)| *path == fact).map_or(fact, |(_, name)| name);
    let hash = |oh: char| {
        let read = |text: &str| normalise_id(&text.chars().filter_map(|it| in_ascii(it, oh)).collect::<String>());
        match number {
            Some(number) => hash(&["dimm.serial", &read(number), &read(text)]),
            None => hash(&[name, &read(text)]),
        }
    };
    let is_plain = text.is_ascii() && number.is_none_or(str::is_ascii);
    if is_plain { vec![hash('O')] } else { vec![hash('O'), hash('0')] }
}

/// What a person takes a character for; `None` of one that nobody sees. A serial number with a letter of another script is
/// another one to a program and the same one on a label. `oh` is what a round letter is taken for.
fn in_ascii(character: char, oh: char) -> Option<char> {
    Some(match character {
        _ if character.is_ascii() => character,
        // Halfwidth and fullwidth forms, in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0)?,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => return None,
        'О' | 'о' | 'Ο' | 'ο' => oh,
        'А' | 'а' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' | 'с' => 'C',
        'Е' | 'е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'і' | 'Ι' => 'I',
        'Ј' | 'ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'Р' | 'р' | 'Ρ' => 'P',
        'Ѕ' | 'ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'х' | 'Χ' => 'X',
        'У' | 'у' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        'З' => '3',
        _ => character,
    })
}

/// Whether somebody assigned the address (IEEE 802, the second lowest bit of the first byte).
fn is_assigned(address: &str) -> bool {
    address.get(..2).and_then(|byte| u8::from_str_radix(byte, 16).ok()).is_none_or(|byte| byte & 2 != 0)
}

/// 128 bits of the SHA-256 over words that are kept apart by a zero byte.
fn hash(words: &[&str]) -> Hash {
    shorten(&Digest::of(words.join("\0").as_bytes()))
}

/// The first 128 bits of a digest.
fn shorten(digest: &Digest) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(&digest.as_bytes()[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::EvidenceBuilder;
    use crate::rule::Signatures;

    /// A machine with one module and one drive.
    fn machine(uuid: &str, board: &str, module: &str) -> Sighting {
        let mut out = EvidenceBuilder::new(Origin::Recorded);
        out.part("platform", "platform").fact("platform.smbios.system_uuid", uuid, "test");
        out.part("board", "board:0").fact("board.serial", board, "test");
        out.part("dimm", "dimm:A1")
            .fact("dimm.spd.module_id", module, "test")
            .fact("dimm.smbios.serial", "12AB34CD", "test")
            .fact("dimm.smbios.part_number", "M321R8GA0BB0-CQKZJ", "test");
        Sighting::of(&out.finish(), &Signatures::embedded().unwrap().tables)
    }

    #[test]
    fn who_is_the_same_machine_is_a_vote_of_its_ids() {
        const A: &str = "4c4c4544-0042-3510-8056-b7c04f4a3733";
        const B: &str = "4c4c4544-0042-3510-8056-b7c04f4a3734";
        const ID: &str = "80CE01231542B2BF08";
        for (uuid, board, duplicates, again) in [
            (A, "WM23AS001234", 0, 1),
            // The board was exchanged, or the UUID copied: one says so, one not.
            (A, "WM23AS001235", 0, 1),
            (B, "WM23AS001235", 1, 0),
            // Fillers say nothing.
            ("00000000-0000-0000-0000-000000000000", "Default string", 1, 0),
        ] {
            let mut ledger = Ledger::default();
            assert_eq!(ledger.add("first", machine(A, "WM23AS001234", ID)), Shared::default());
            let shared = ledger.add("second", machine(uuid, board, ID));
            assert_eq!((shared.duplicates.len(), shared.again.len()), (duplicates, again), "{uuid} {board}");
            for duplicate in &shared.duplicates {
                // The strongest id speaks for the part.
                assert_eq!(duplicate.fact, "dimm.spd.module_id");
                assert!(duplicate.is_certain());
                assert_eq!(duplicate.first, Place { document: "first".to_owned(), part: "dimm:A1".to_owned() });
                assert_eq!(duplicate.machines_differ, uuid == B);
            }
        }
    }

    #[test]
    fn equal_serial_numbers_alone_make_no_machine_of_two_uuids() {
        const UUIDS: [&str; 2] = ["4c4c4544-0042-3510-8056-b7c04f4a3733", "4c4c4544-0042-3510-8056-b7c04f4a3734"];
        const BLANK: &str = "00000000-0000-0000-0000-000000000000";
        let machine = |uuid: &str, module: &str| {
            let mut out = EvidenceBuilder::new(Origin::Recorded);
            out.part("platform", "platform").fact("platform.smbios.system_uuid", uuid, "test").fact(
                "platform.smbios.system_serial",
                "S373219X3A01234",
                "test",
            );
            out.part("chassis", "chassis:0").fact("chassis.serial", "C819UAM12A01234", "test");
            out.part("dimm", "dimm:A1").fact("dimm.spd.module_id", module, "test");
            Sighting::of(&out.finish(), &Signatures::embedded().unwrap().tables)
        };
        const MODULES: [&str; 2] = ["80CE01231542B2BF08", "80CE01231542B2BF09"];
        for (uuid, module, again, duplicates) in [
            (UUIDS[1], MODULES[1], 0, 1),
            // A board that was exchanged changes the UUID, and the parts stay; or the parts change, and the board stays.
            (UUIDS[1], MODULES[0], 1, 0),
            (UUIDS[0], MODULES[1], 1, 0),
            (BLANK, MODULES[1], 1, 0),
        ] {
            let mut ledger = Ledger::default();
            ledger.add("first", machine(UUIDS[0], MODULES[0]));
            let shared = ledger.add("second", machine(uuid, module));
            assert_eq!((shared.again.len(), shared.duplicates.len()), (again, duplicates), "{uuid} {module}");
            for duplicate in &shared.duplicates {
                assert_eq!(duplicate.fact, "system serial number");
                assert!(duplicate.machines_differ && !duplicate.is_certain());
            }
        }
    }

    #[test]
    fn a_document_that_names_an_earlier_one_is_about_the_same_unit() {
        const ID: &str = "80CE01231542B2BF08";
        const BLANK: &str = "00000000-0000-0000-0000-000000000000";
        const OTHER: &str = "4c4c4544-0042-3510-8056-b7c04f4a3734";
        let [a, b, c] = [b"a", b"b", b"c"].map(|it| Digest::of(it));
        let unnamed = |own: &Digest, previous: Option<&Digest>| machine(BLANK, "", ID).of_document(own, previous);
        for (previous, duplicates) in [(None, 1), (Some(&c), 1), (Some(&a), 0)] {
            let mut ledger = Ledger::default();
            ledger.add("a", unnamed(&a, None));
            let shared = ledger.add("b", unnamed(&b, previous));
            assert_eq!((shared.duplicates.len(), shared.again.len()), (duplicates, 1 - duplicates), "{previous:?}");
        }
        let mut ledger = Ledger::default();
        ledger.add("a", unnamed(&a, None));
        ledger.add("b", unnamed(&b, Some(&a)));
        let shared = ledger.add("c", unnamed(&c, Some(&b)));
        assert_eq!((shared.duplicates, shared.again[0].by.as_slice()), (Vec::new(), [LINKED.to_owned()].as_slice()));
        // Nor does the link make one of two machines with one module in common. What nobody showed before is no other part.
        let with = |serials: &[&str], own: &Digest, previous: Option<&Digest>| {
            let mut out = EvidenceBuilder::new(Origin::Recorded);
            for (index, serial) in serials.iter().enumerate() {
                let path = if serial.starts_with("GPU") { "gpu.nvml.uuid" } else { "dimm.spd.module_id" };
                let scope = path.split('.').next().unwrap();
                out.part(scope, &format!("{scope}:{index}")).fact(path, *serial, "test");
            }
            let sighting = Sighting::of(&out.finish(), &Signatures::embedded().unwrap().tables);
            sighting.of_document(own, previous)
        };
        const GPU: &str = "GPU-5c1d2e3f-9a8b-4c7d-8e6f-0123456789cd";
        for (first, second, duplicates) in [
            (&[ID, GPU][..], &[ID, GPU][..], 0),
            (&[ID, GPU], &[ID], 0),
            (&[ID], &[ID, GPU], 0),
            (&[ID], &[ID, "80CE01231542B2BF09"], 1),
            (&[ID, GPU], &["80CE01231542B2BF09", GPU], 1),
        ] {
            let mut ledger = Ledger::default();
            ledger.add("a", with(first, &a, None));
            let shared = ledger.add("b", with(second, &b, Some(&a)));
            assert_eq!((shared.duplicates.len(), shared.again.len()), (duplicates, 1 - duplicates), "{second:?}");
            assert!(shared.duplicates.iter().all(|duplicate| !duplicate.is_certain()));
            // The part that came new belongs to the chain from then on.
            assert_eq!(ledger.add("c", with(second, &c, Some(&b))).duplicates, [], "{second:?}");
        }
        // Who clones a module can't talk himself out: a machine that says that it is another one is another one.
        let mut ledger = Ledger::default();
        ledger.add("a", machine("4c4c4544-0042-3510-8056-b7c04f4a3733", "WM23AS001234", ID).of_document(&a, None));
        let clone = machine(OTHER, "WM23AS001235", ID).of_document(&b, Some(&a));
        assert!(ledger.add("clone", clone).duplicates[0].is_certain());
    }

    #[test]
    fn a_uuid_that_was_removed_hides_the_serial_number_of_a_printout_only() {
        let gpus = |origin, uuid: &str| {
            let mut out = EvidenceBuilder::new(origin);
            for (id, uuid, serial) in [
                ("gpu:0", uuid, "1654923009876"),
                ("gpu:1", "GPU-5c1d2e3f-9a8b-4c7d-8e6f-0123456789cd", "1654923009877"),
            ] {
                let mut part = out.part("gpu", id);
                part.fact("gpu.nvml.uuid", uuid, "test").fact("gpu.nvml.serial", serial, "test");
            }
            let sighting = Sighting::of(&out.finish(), &Signatures::embedded().unwrap().tables);
            sighting.ids.iter().filter(|id| id.fact == GPU_SERIAL).map(|id| id.part.clone()).collect::<Vec<_>>()
        };
        const ZEROS: &str = "GPU-00000000-0000-0000-0000-000000000000";
        assert_eq!(gpus(Origin::Imported, ZEROS), ["gpu:1"]);
        for origin in [Origin::Live, Origin::Recorded, Origin::Simulated] {
            assert_eq!(gpus(origin, ZEROS), ["gpu:0", "gpu:1"]);
        }
    }

    #[test]
    fn an_id_that_only_looks_like_another_is_found_with_it() {
        const UUID: &str = "4c4c4544-0042-3510-8056-b7c04f4a3733";
        const OTHER: &str = "4c4c4544-0042-3510-8056-b7c04f4a3734";
        const MODULE: &str = "80CE01231542B2BF00";
        // Fullwidth and Cyrillic, Greek, one that nobody sees; and another number.
        for (like, found) in [
            ("80CE01231542B2BF0\u{ff10}", 1),
            ("80\u{421}E01231542B2BF0\u{41e}", 1),
            ("80CE\u{39f}1231542\u{392}2BF00", 1),
            ("80CE01231542B2BF0\u{200b}0", 1),
            ("80CE01231542B2BF0\u{ff11}", 0),
        ] {
            for (first, second) in [(MODULE, like), (like, MODULE)] {
                let mut ledger = Ledger::default();
                ledger.add("first", machine(UUID, "WM23AS001234", first));
                let shared = ledger.add("second", machine(OTHER, "WM23AS001235", second));
                let modules = shared.duplicates.iter().filter(|it| it.fact == "dimm.spd.module_id");
                assert_eq!(modules.count(), found, "{first} {second}");
            }
        }
    }

    #[test]
    fn a_challenge_and_a_tpm_belong_to_one_machine() {
        const MACHINES: [&str; 2] = ["4c4c4544-0042-3510-8056-b7c04f4a3733", "4c4c4544-0042-3510-8056-b7c04f4a3734"];
        const MODULES: [&str; 2] = ["80CE01231542B2BF08", "80CE01231542B2BF09"];
        let tpm = Digest::of(b"key");
        let seen = |number: usize| {
            let board = format!("WM23AS00123{number}");
            let sighting = machine(MACHINES[number], &board, MODULES[number]);
            Sighting { ids: Vec::new(), ..sighting }.answers(&[7; 32]).endorsed_by(&tpm)
        };
        let mut ledger = Ledger::default();
        ledger.add("first", seen(0));
        assert_eq!(ledger.add("again", seen(0)).duplicates, []);
        let found = ledger.add("second", seen(1)).duplicates;
        let certain: Vec<(&str, bool)> = found.iter().map(|it| (it.fact.as_str(), it.is_certain())).collect();
        assert_eq!(certain, [("challenge", false), ("tpm.endorsement-key", true)]);
    }

    #[test]
    fn a_hundred_thousand_machines_are_compared_and_little_is_kept() {
        let mut ledger = Ledger::default();
        let mut found = 0;
        for number in 0..100_000u32 {
            // One in a thousand has the module of another.
            let module = if number % 1000 == 999 { number - 1 } else { number };
            let id = |what: &str, number: u32| hash(&[what, &number.to_string()]);
            let ids = vec![Id {
                hash: id("module", module),
                part: "dimm:A1".to_owned(),
                fact: "dimm.spd.module_id",
                text: String::new(),
                strength: (Severity::Critical, Confidence::VeryHigh),
            }];
            let machine = [Some(id("uuid", number)), None, None, None];
            found += ledger.add("report", Sighting { machine, ids, link: None }).duplicates.len();
        }
        assert_eq!((found, ledger.len(), ledger.parts.len()), (100, 100_000, 2));
    }
}
