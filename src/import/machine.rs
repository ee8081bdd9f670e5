//! What several printouts say of one machine, brought together GPU by GPU.

use std::collections::BTreeMap;

use crate::collect::memory::pairing::{self, Key};
use crate::evidence::{Evidence, Fact, FactPath, Origin, Part, Reading, Value};

/// GPUs that are kept of one machine.
pub const MAX_GPUS: usize = 256;
/// Other parts that are kept of one machine. The largest machines have some hundred modules and drives.
pub const MAX_PARTS: usize = 4096;

/// Facts of which one board has one value for good. When they differ between two readings, something is wrong.
const LASTING: &[&str] = &[
    "gpu.nvml.name",
    "gpu.nvml.uuid",
    "gpu.nvml.serial",
    "gpu.nvml.pdi",
    "gpu.nvml.board_part_number",
    "gpu.nvml.gpu_part_number",
    "gpu.nvml.vbios_version",
    "gpu.nvml.pci.device_id",
    "gpu.nvml.pci.subsystem_device_id",
];
const UNSTABLE: &str = "gpu.nvml.unstable";
const LOST: &str = "gpu.nvml.lost";
/// How nvidia-smi's tables end a name that does not fit.
const CUT: &str = "...";

pub(super) type Facts = BTreeMap<FactPath, Fact>;

/// One GPU as one printout shows it, or as several do.
#[derive(Debug, Clone, Default)]
pub(super) struct Gpu {
    /// `domain:bus:device.function`.
    pub address: Option<String>,
    /// UUID, unless it is a placeholder.
    pub uuid: Option<String>,
    /// Position in the driver's list.
    pub index: Option<u64>,
    facts: Facts,
    differing: Vec<String>,
    compared: bool,
}

impl Gpu {
    /// Records one fact. The first known value stays; before one is known, the first reason for having none.
    pub fn fact(&mut self, path: &str, reading: impl Into<Reading>, source: impl Into<String>) {
        keep(&mut self.facts, path, Fact { reading: reading.into(), source: source.into() });
    }

    /// A GPU at an address, or at none that is known.
    pub fn at(address: Option<String>) -> Self {
        Self { address, ..Self::default() }
    }

    /// Sets the UUID by which printouts are matched. Masked ones name no GPU.
    pub fn matched_by_uuid(&mut self, uuid: Option<&str>) {
        let digits = |uuid: &str| uuid.bytes().filter(u8::is_ascii_hexdigit).count() >= 32;
        let blank = |uuid: &str| uuid.trim_start_matches("GPU-").bytes().all(|byte| matches!(byte, b'0' | b'-'));
        self.uuid = uuid.filter(|uuid| digits(uuid) && !blank(uuid)).map(str::to_ascii_lowercase);
    }

    fn known(&self, path: &str) -> Option<&Value> {
        self.facts.get(path).and_then(|fact| fact.reading.known())
    }

    /// Takes over what another printout says of the same GPU. The first known value stays.
    fn absorb(&mut self, other: Self) {
        self.address = self.address.take().or(other.address);
        self.uuid = self.uuid.take().or(other.uuid);
        self.index = self.index.or(other.index);
        for path in other.differing {
            self.differs(path);
        }
        self.compared |= other.compared;
        for (path, fact) in other.facts {
            let lasting = LASTING.contains(&path.as_str());
            let Some(own) = self.facts.get_mut(&path) else {
                self.facts.insert(path, fact);
                continue;
            };
            match (own.reading.known(), fact.reading.known()) {
                (None, Some(_)) => *own = fact,
                (Some(Value::Bool(false)), Some(Value::Bool(true))) if path.as_str() == LOST => *own = fact,
                (Some(Value::Text(first)), Some(Value::Text(second))) if lasting => {
                    self.compared = true;
                    if is_cut(first, second) {
                        *own = fact;
                    } else if first != second && !is_cut(second, first) {
                        self.differs(path.as_str().to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn differs(&mut self, path: String) {
        if !self.differing.contains(&path) {
            self.differing.push(path);
        }
    }
}

/// The first known value stays; before one is known, the first reason for having none.
fn keep(facts: &mut Facts, path: &str, fact: Fact) {
    let path = FactPath::new(path);
    match facts.get(&path) {
        Some(own) if own.reading.known().is_some() || fact.reading.known().is_none() => {}
        _ => _ = facts.insert(path, fact),
    }
}

/// Whether the first name is the beginning of the second, cut for want of space.
fn is_cut(first: &str, second: &str) -> bool {
    first.strip_suffix(CUT).is_some_and(|start| !start.is_empty() && second.starts_with(start.trim_end()))
}

/// Everything that was read of one machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    gpus: Vec<Gpu>,
    driver: Facts,
    parts: BTreeMap<(&'static str, String), Facts>,
    /// Memory modules by their EEPROM, each one image. They name no slot.
    modules: Vec<Facts>,
    /// What a person should know about the reading itself.
    pub notes: Vec<String>,
}

impl Machine {
    /// Records one fact of the driver.
    pub fn driver(&mut self, path: &str, reading: impl Into<Reading>, source: impl Into<String>) {
        let fact = Fact { reading: reading.into(), source: source.into() };
        self.driver.entry(FactPath::new(path)).or_insert(fact);
    }

    /// Records one fact of a part that is no GPU. The first known value stays; before one is known, the first reason for
    /// having none.
    pub fn part(
        &mut self,
        scope: &'static str,
        id: &str,
        path: &str,
        reading: impl Into<Reading>,
        source: impl Into<String>,
    ) {
        let key = (scope, id.to_owned());
        if self.parts.len() >= MAX_PARTS && !self.parts.contains_key(&key) {
            return self.note(format!("more than {MAX_PARTS} parts: the rest is left out"));
        }
        keep(self.parts.entry(key).or_default(), path, Fact { reading: reading.into(), source: source.into() });
    }

    /// Adds a memory module that is known by its EEPROM only, `dimm.spd.*`. Two images are two modules, also when they say the
    /// same. In the end each becomes part of the slot that it belongs to, if another printout lists the slots.
    pub fn module(&mut self, facts: Facts) {
        if self.modules.len() >= MAX_PARTS {
            return self.note(format!("more than {MAX_PARTS} memory modules: the rest is left out"));
        }
        self.modules.push(facts);
    }

    /// Adds a note once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds the GPUs of one printout to those that are known from others. `repeats`: it may list a GPU several times.
    ///
    /// The same GPU is the one at the same PCI address; where one side has none, the one with the same UUID, then the one
    /// with the same number in the driver's list; and where each side has one GPU only, that one.
    pub fn section(&mut self, gpus: Vec<Gpu>, repeats: bool) {
        let before = self.gpus.len();
        let single = before == 1 && gpus.len() == 1;
        let mut taken: Vec<usize> = Vec::new();
        for gpu in gpus {
            let place = self.find(&gpu, |index| index < before && !taken.contains(&index), single, repeats);
            match place {
                Some(index) => {
                    taken.push(index);
                    self.gpus[index].absorb(gpu);
                }
                None if self.gpus.len() < MAX_GPUS => self.gpus.push(gpu),
                None => self.note(format!("more than {MAX_GPUS} GPUs: the rest is left out")),
            }
        }
    }

    fn find(&self, gpu: &Gpu, free: impl Fn(usize) -> bool, single: bool, repeats: bool) -> Option<usize> {
        if let Some(address) = &gpu.address
            && let Some(index) = self.gpus.iter().position(|other| other.address.as_ref() == Some(address))
        {
            return Some(index);
        }
        fn agree<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        let candidates = |same: &dyn Fn(&Gpu) -> bool, again: bool| {
            let mut found = (0..self.gpus.len()).filter(|index| {
                let other = &self.gpus[*index];
                (again || free(*index)) && agree(&other.address, &gpu.address) && same(other)
            });
            found.next().filter(|_| found.next().is_none())
        };
        let uuid = candidates(&|other| gpu.uuid.is_some() && other.uuid == gpu.uuid, repeats);
        let index = || {
            let same = |other: &Gpu| gpu.index.is_some() && other.index == gpu.index && agree(&other.uuid, &gpu.uuid);
            candidates(&same, repeats)
        };
        let only = || if single { candidates(&|other| agree(&other.uuid, &gpu.uuid), false) } else { None };
        uuid.or_else(index).or_else(only)
    }

    /// The module that is known already and that another program calls by another name: lshw does not print the banks that
    /// tell slots of one name apart. The handle of its SMBIOS structure and the slot's name are the same.
    fn same_slot(&self, scope: &'static str, facts: &Facts) -> Option<String> {
        const LOCATOR: &str = "dimm.smbios.locator";
        fn slot(facts: &Facts) -> Option<(&str, &Value)> {
            let fact = facts.get(LOCATOR)?;
            Some((fact.source.split_once(" type 17 handle ")?.1, fact.reading.known()?))
        }
        let wanted = slot(facts).filter(|_| scope == "dimm")?;
        let mut modules = self.parts.iter().filter(|((scope, _), _)| *scope == "dimm");
        modules.find(|(_, facts)| slot(facts) == Some(wanted)).map(|((_, id), _)| id.clone())
    }

    /// Adds another capture of the same machine.
    pub fn merge(&mut self, other: Self) {
        self.section(other.gpus, false);
        for (path, fact) in other.driver {
            self.driver.entry(path).or_insert(fact);
        }
        for ((scope, id), facts) in other.parts {
            let id = self.same_slot(scope, &facts).unwrap_or(id);
            for (path, fact) in facts {
                self.part(scope, &id, path.as_str(), fact.reading, fact.source);
            }
        }
        for module in other.modules {
            self.module(module);
        }
        for note in other.notes {
            self.note(note);
        }
    }

    /// Gives each module its slot, or a number.
    fn place_modules(&mut self) {
        const SCOPE: &str = "dimm";
        let modules = std::mem::take(&mut self.modules);
        let has = |facts: &Facts, prefix: &str| facts.keys().any(|path| path.as_str().starts_with(prefix));
        let slots: Vec<String> = self
            .parts
            .iter()
            .filter(|((scope, _), facts)| *scope == SCOPE && has(facts, "dimm.smbios.") && !has(facts, "dimm.spd."))
            .map(|((_, id), _)| id.clone())
            .collect();
        let slot_keys: Vec<Key> =
            slots.iter().filter_map(|id| self.parts.get(&(SCOPE, id.clone()))).map(Key::of_slot).collect();
        let keys: Vec<Key> = modules.iter().map(Key::of_image).collect();
        let mut number = 0;
        for (mut facts, pair) in modules.into_iter().zip(pairing::pair(&keys, &slot_keys)) {
            let paired_by = Reading::or_absent(pair.map(|(_, reason)| reason.as_str())).value();
            let source = "compared with the slots".to_owned();
            facts.insert(FactPath::new("dimm.spd.paired_by"), Fact { reading: paired_by, source });
            let id = pair.and_then(|(slot, _)| slots.get(slot).cloned()).unwrap_or_else(|| {
                while self.parts.contains_key(&(SCOPE, format!("dimm:{number}"))) {
                    number += 1;
                }
                format!("dimm:{number}")
            });
            self.parts.entry((SCOPE, id)).or_default().append(&mut facts);
        }
    }

    /// The evidence: one part for each GPU, one for the driver, one for each other part.
    pub fn finish(mut self) -> Evidence {
        self.place_modules();
        let mut parts = Vec::new();
        for (position, mut gpu) in self.gpus.into_iter().enumerate() {
            let id = match &gpu.address {
                Some(address) => format!("gpu:{address}"),
                None => format!("gpu:{position}"),
            };
            if gpu.compared {
                let differing = std::mem::take(&mut gpu.differing);
                gpu.fact(UNSTABLE, differing, "compared between two printouts");
            }
            if gpu.known("gpu.nvml.memory.total_mib").is_some() {
                gpu.fact(LOST, false, "the driver answered for the GPU");
            }
            parts.push(Part { scope: "gpu".to_owned(), id, facts: gpu.facts });
        }
        if !self.driver.is_empty() {
            parts.push(Part { scope: "driver".to_owned(), id: "driver:nvidia".to_owned(), facts: self.driver });
        }
        parts.extend(self.parts.into_iter().map(|((scope, id), facts)| Part { scope: scope.to_owned(), id, facts }));
        Evidence { origin: Origin::Imported, parts }
    }
}
