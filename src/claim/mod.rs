//! What was sold: the seller's words, and what they say of GPUs, memory modules, processors and drives.
//!
//! An [`Order`] has items, each of one kind of part. Every word of an item must be understood; the error names those that
//! are not. What the words say becomes facts (`gpu.claim.*`, `dimm.claim.*`, …) of the parts that the item is about, and
//! rules hold the parts against them.
//!
//! ```
//! # use yanji::{claim::Order, rule::Signatures};
//! let tables = Signatures::embedded().unwrap().tables;
//! let order = Order::parse("H100 SXM 80GB x8; 32x 64GB DDR5-5600 RDIMM new; 2x Xeon Platinum 8480+", &tables).unwrap();
//! assert_eq!(order.dimms[0].count, Some(32));
//! assert_eq!(order.dimms[0].speed_mts, Some(5600));
//! ```

/// A property that has a few words.
macro_rules! property {
    ($(#[$about:meta])* $name:ident { $($(#[$variant_about:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$variant_about])* $variant),*
        }

        impl $name {
            /// The word in facts and files.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }
        }
    };
}

mod cpu;
mod dimm;
mod drive;
mod facts;
mod gpu;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{EvidenceBuilder, Part, Reading, Value};
use crate::rule::Tables;

pub use cpu::CpuClaim;
pub use dimm::{DimmClaim, ModuleType};
pub use drive::{DriveClaim, Interface, Medium};
pub use facts::FACTS;
pub use gpu::{Cooler, FormFactor, GpuClaim};

/// Longest text that is read; an offer is a page.
pub const MAX_CLAIM_BYTES: usize = 4096;
/// Items of one order.
const MAX_ITEMS: usize = 64;
/// The most parts of one kind that one machine may be claimed to have.
const MAX_COUNT: u32 = 1024;
const SOURCE: &str = "claim";

property! {
    /// The condition that a part is sold in.
    Condition {
        /// Never used.
        New = "new",
        /// Used.
        Used = "used",
        /// Used, then repaired, cleaned or tested for sale.
        Refurbished = "refurbished",
    }
}

impl Condition {
    /// The condition that a word means; `next` is the word behind it.
    fn of(word: &str, next: Option<&str>) -> Option<Self> {
        match word {
            "new" | "unused" => Some(Self::New),
            "used" => Some(Self::Used),
            "second" if next == Some("hand") => Some(Self::Used),
            "second-hand" => Some(Self::Used),
            "refurbished" | "refurb" | "recertified" => Some(Self::Refurbished),
            _ => None,
        }
    }
}

/// Why a claim can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// No product is named.
    #[error("the claim {text:?} names no product; understood so far: {understood}")]
    NoProduct {
        /// The claim.
        text: String,
        /// What was understood.
        understood: String,
    },
    /// Words that mean nothing here.
    #[error("{words:?} in the claim is no {what}; understood beside it: {understood}")]
    Unknown {
        /// What is left when everything that was understood is taken away.
        words: String,
        /// What it would have to be.
        what: &'static str,
        /// What was understood.
        understood: String,
    },
    /// Several products have such a name.
    #[error("{words:?} in the claim can be {}; understood beside it: {understood}", .products.join(", "))]
    Ambiguous {
        /// The words.
        words: String,
        /// The products.
        products: Vec<String>,
        /// What was understood.
        understood: String,
    },
    /// Two words contradict each other.
    #[error("the claim gives the {what} twice: {first} and {second}")]
    Twice {
        /// Which property.
        what: &'static str,
        /// First value.
        first: String,
        /// Second value.
        second: String,
    },
    /// An order of GPUs of two kinds: each GPU is held against the one that was sold.
    #[error("the claim has several items about GPUs, and one machine is sold with one kind")]
    SeveralGpus,
    /// The file is not a claim; the message shows line and column.
    #[error("not a claim: {0}")]
    Syntax(String),
    /// More text than an offer has.
    #[error("a claim has at most {MAX_CLAIM_BYTES} bytes and {MAX_ITEMS} items")]
    TooLong,
}

/// What was sold: items by kind of part. What an item leaves open is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// What all GPUs were sold as; one at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuClaim>,
    /// Memory modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimms: Vec<DimmClaim>,
    /// Processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<CpuClaim>,
    /// Drives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drives: Vec<DriveClaim>,
}

/// The form of an order in a file: a table for each item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderFile {
    #[serde(default)]
    gpu: Vec<gpu::GpuFile>,
    #[serde(default)]
    dimm: Vec<dimm::DimmFile>,
    #[serde(default)]
    cpu: Vec<cpu::CpuFile>,
    #[serde(default)]
    drive: Vec<drive::DriveFile>,
}

impl Order {
    /// Reads an order in words, items separated by `;`.
    pub fn parse(text: &str, tables: &Tables) -> Result<Self, ClaimError> {
        if text.len() > MAX_CLAIM_BYTES {
            return Err(ClaimError::TooLong);
        }
        let mut order = Self::default();
        let mut items = text.split(';').map(str::trim).filter(|item| !item.is_empty()).peekable();
        if items.peek().is_none() {
            return Err(ClaimError::NoProduct { text: text.to_owned(), understood: "nothing".to_owned() });
        }
        for item in items {
            let words = words(item);
            if dimm::recognise(&words) {
                order.dimms.push(DimmClaim::parse(item)?);
            } else if cpu::recognise(&words) {
                order.cpus.push(CpuClaim::parse(item)?);
            } else if drive::recognise(&words) {
                order.drives.push(DriveClaim::parse(item, tables)?);
            } else {
                order.gpus.push(GpuClaim::parse(item, tables)?);
            }
        }
        order.checked()
    }

    /// Reads an order in TOML: tables `[[gpu]]`, `[[dimm]]`, `[[cpu]]`, `[[drive]]`; or one GPU without a table.
    pub fn from_toml(text: &str, tables: &Tables) -> Result<Self, ClaimError> {
        if text.len() > MAX_CLAIM_BYTES {
            return Err(ClaimError::TooLong);
        }
        let syntax = |error: toml::de::Error| ClaimError::Syntax(error.to_string());
        let flat = toml::from_str::<toml::Table>(text).map_err(syntax)?.contains_key("product");
        let mut order = Self::default();
        if flat {
            order.gpus.push(GpuClaim::from_file(toml::from_str(text).map_err(syntax)?, tables)?);
            return Ok(order);
        }
        let file: OrderFile = toml::from_str(text).map_err(syntax)?;
        for gpu in file.gpu {
            order.gpus.push(GpuClaim::from_file(gpu, tables)?);
        }
        for dimm in file.dimm {
            order.dimms.push(DimmClaim::from_file(dimm)?);
        }
        for cpu in file.cpu {
            order.cpus.push(CpuClaim::from_file(cpu)?);
        }
        for drive in file.drive {
            order.drives.push(DriveClaim::from_file(drive, tables)?);
        }
        if order.is_empty() {
            return Err(ClaimError::Syntax("no table [[gpu]], [[dimm]], [[cpu]] or [[drive]]".to_owned()));
        }
        order.checked()
    }

    /// Adds the items of another order.
    pub fn append(mut self, mut other: Self) -> Result<Self, ClaimError> {
        self.gpus.append(&mut other.gpus);
        self.dimms.append(&mut other.dimms);
        self.cpus.append(&mut other.cpus);
        self.drives.append(&mut other.drives);
        self.checked()
    }

    /// Whether nothing was sold.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the facts of the order and of how each part compares with its item, before facts are derived. Each item is a
    /// part of scope `order` that says how many were sold and found.
    pub fn add(&self, tables: &Tables, evidence: &mut EvidenceBuilder) {
        for gpu in &self.gpus {
            gpu.add(evidence);
        }
        dimm::add(&self.dimms, evidence);
        cpu::add(&self.cpus, evidence);
        drive::add(&self.drives, tables, evidence);
    }

    /// What the order says, in words.
    pub fn understood(&self) -> String {
        let gpus = self.gpus.iter().map(GpuClaim::understood);
        let dimms = self.dimms.iter().map(DimmClaim::understood);
        let cpus = self.cpus.iter().map(CpuClaim::understood);
        let drives = self.drives.iter().map(DriveClaim::understood);
        gpus.chain(dimms).chain(cpus).chain(drives).collect::<Vec<_>>().join("; ")
    }

    fn checked(self) -> Result<Self, ClaimError> {
        if self.gpus.len() > 1 {
            return Err(ClaimError::SeveralGpus);
        }
        let items = self.gpus.len() + self.dimms.len() + self.cpus.len() + self.drives.len();
        if items > MAX_ITEMS { Err(ClaimError::TooLong) } else { Ok(self) }
    }
}

/// One item that is about several parts: what a part of it looks like, and which parts are there.
fn add_item(
    evidence: &mut EvidenceBuilder,
    kind: &'static str,
    index: usize,
    text: &str,
    count: Option<u32>,
    found: Reading<u64>,
) {
    evidence
        .part("order", &format!("order:{kind}-{}", index + 1))
        .fact("order.kind", kind, SOURCE)
        .fact("order.text", text, SOURCE)
        .fact("order.count", Reading::or_absent(count), SOURCE)
        .fact("order.found", found, "parts of the machine");
}

/// How many parts of an item there are. A part that stands for those that could not be counted counts for none, and
/// `counted` is the fact that says whether all of them were seen.
fn found(evidence: &EvidenceBuilder, scope: &str, counted: (&str, &str), assigned: usize) -> Reading<u64> {
    let listing = evidence.so_far().part(counted.0).and_then(|part| part.reading(counted.1));
    match listing {
        Some(Reading::Known(_)) => Reading::Known(assigned as u64),
        Some(Reading::Absent) | None => {
            let any = evidence.so_far().scope(scope).any(|part| !part.is_stand_in());
            if any { Reading::Known(assigned as u64) } else { Reading::Failed("no source lists them".to_owned()) }
        }
        Some(other) => other.as_ref().and_then(|_| Reading::Absent),
    }
}

/// The item that each part belongs to: the one from which it differs least, the first of several.
fn nearest<C>(items: &[C], differences: impl Fn(&C) -> usize) -> Option<usize> {
    items.iter().enumerate().min_by_key(|(_, item)| differences(item)).map(|(index, _)| index)
}

/// The reason why a fact has no value, for one that needs it.
fn missing(part: &Part, path: &str) -> Reading<Value> {
    match part.reading(path) {
        Some(Reading::Known(_)) | None => Reading::Failed(format!("{path} has no usable value")),
        Some(reason) => reason.clone(),
    }
}

/// A list of differences, unless there is none and something that was sold could not be compared.
fn compared(differences: Vec<String>, unread: &[&str]) -> Reading<Value> {
    if differences.is_empty() && !unread.is_empty() {
        return Reading::Failed(format!("not told by any source: {}", unread.join(", ")));
    }
    Reading::Known(differences.into())
}

/// Lower-case words, split at white space, commas and brackets; `8x32gb` is two.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('×', "x");
    let split = lower.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '(' | ')' | '"'));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let apart = |word: &str| match word.split_once('x') {
        Some((count, size))
            if number(count) && ["gb", "g", "tb"].iter().any(|it| size.strip_suffix(it).is_some_and(number)) =>
        {
            vec![format!("{count}x"), size.to_owned()]
        }
        _ => vec![word.to_owned()],
    };
    split.filter(|word| !word.is_empty()).flat_map(apart).collect()
}

/// The words of an item while it is read: what every kind of part has, first.
struct Item {
    words: Vec<String>,
    at: usize,
    count: Option<u32>,
    condition: Option<Condition>,
    unknown: Vec<String>,
}

impl Item {
    fn new(text: &str) -> Result<Self, ClaimError> {
        if text.len() > MAX_CLAIM_BYTES {
            return Err(ClaimError::TooLong);
        }
        Ok(Self { words: words(text), at: 0, count: None, condition: None, unknown: Vec::new() })
    }

    /// The next word that says neither how many nor in which condition.
    fn next(&mut self) -> Result<Option<String>, ClaimError> {
        while let Some(word) = self.words.get(self.at).cloned() {
            self.at += 1;
            let next = self.words.get(self.at).cloned();
            let number = |text: &str| text.parse::<u32>().ok().filter(|count| (1..=MAX_COUNT).contains(count));
            let unit = |word: &str| matches!(word, "x" | "pcs" | "pieces" | "units");
            if let Some(count) = count_in(&word) {
                once("count", &mut self.count, count)?;
            } else if let (Some(count), true) = (number(&word), next.as_deref().is_some_and(unit)) {
                self.at += 1;
                once("count", &mut self.count, count)?;
            } else if let (true, Some(count)) = (word == "x", next.as_deref().and_then(number)) {
                self.at += 1;
                once("count", &mut self.count, count)?;
            } else if let Some(condition) = Condition::of(&word, next.as_deref()) {
                self.at += usize::from(word == "second");
                once_word("condition", &mut self.condition, condition, Condition::as_str)?;
            } else {
                return Ok(Some(word));
            }
        }
        Ok(None)
    }

    /// The word behind the one that [`Item::next`] gave, when it is one of those; it is taken then.
    fn take(&mut self, words: &[&str]) -> bool {
        let taken = self.words.get(self.at).is_some_and(|word| words.contains(&word.as_str()));
        self.at += usize::from(taken);
        taken
    }

    /// Refuses words that nobody understood.
    fn finish(&self, what: &'static str, understood: String) -> Result<(), ClaimError> {
        if self.unknown.is_empty() {
            return Ok(());
        }
        Err(ClaimError::Unknown { words: self.unknown.join(" "), what, understood })
    }
}

/// `x8`, `8x`.
fn count_in(word: &str) -> Option<u32> {
    let number = word.strip_prefix('x').or(word.strip_suffix('x'))?;
    number.parse().ok().filter(|count| (1..=MAX_COUNT).contains(count))
}

fn once<T: Copy + PartialEq + ToString>(what: &'static str, slot: &mut Option<T>, value: T) -> Result<(), ClaimError> {
    match slot {
        Some(first) if *first != value => {
            Err(ClaimError::Twice { what, first: first.to_string(), second: value.to_string() })
        }
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn once_word<T: Copy + PartialEq>(
    what: &'static str,
    slot: &mut Option<T>,
    value: T,
    word: fn(T) -> &'static str,
) -> Result<(), ClaimError> {
    match slot {
        Some(first) if *first != value => {
            Err(ClaimError::Twice { what, first: word(*first).to_owned(), second: word(value).to_owned() })
        }
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}
