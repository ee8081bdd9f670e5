//! What a GPU was sold as: the seller's words, understood by the product names of `parts/gpu/products`.
//!
//! ```
//! # use yanji::{claim::GpuClaim, rule::Signatures};
//! let signatures = Signatures::embedded().unwrap();
//! let claim = GpuClaim::parse("RTX 4090 24GB, fan", &signatures.tables).unwrap();
//! assert_eq!(claim.product, "RTX 4090");
//! assert_eq!(claim.memory_mib, Some(24 << 10));
//! ```

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimError, Condition, MAX_CLAIM_BYTES, MAX_COUNT, SOURCE, count_in, once, once_word};
use crate::evidence::{EvidenceBuilder, Reading};
use crate::rule::{Record, Tables, is_nvidia};

const PRODUCTS: &str = "gpu/products";
/// The most memory that one GPU may be claimed to have.
const MAX_GIGABYTES: u32 = 4096;
/// Products that an error lists.
const MAX_LISTED: usize = 8;
/// Words that say nothing about which product it is.
const NOISE: &[&str] = &[
    "nvidia",
    "geforce",
    "tesla",
    "quadro",
    "rtx",
    "gtx",
    "gt",
    "gpu",
    "gpus",
    "graphics",
    "video",
    "card",
    "cards",
    "edition",
    "generation",
    "with",
    "and",
    "a",
    "the",
    "of",
    "cooler",
    "cooled",
    "memory",
    "vram",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "gddr5",
    "gddr5x",
    "gddr6",
    "gddr6x",
    "gddr7",
    "module",
    "modules",
];

/// What every NVIDIA GPU of a machine was sold as. What a claim leaves open is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpuClaim {
    /// The seller's words.
    pub text: String,
    /// Product, as `parts/gpu/products` names it.
    pub product: String,
    /// Memory of one GPU, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// How it is cooled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooler: Option<Cooler>,
    /// Card or module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_factor: Option<FormFactor>,
    /// New or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether the seller says that it was modified.
    #[serde(default)]
    pub modified: bool,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

property! {
    /// How a GPU is cooled.
    Cooler {
        /// Fans that blow at the card.
        Fan = "fan",
        /// One fan that blows through it.
        Blower = "blower",
        /// No fan: the server's air.
        Passive = "passive",
        /// Water.
        Liquid = "liquid",
    }
}

property! {
    /// The form of a GPU.
    FormFactor {
        /// A card for a PCI Express slot.
        Pcie = "pcie",
        /// A module for a baseboard.
        Sxm = "sxm",
    }
}

/// The form of a claim in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GpuFile {
    product: String,
    memory_gb: Option<u32>,
    cooler: Option<Cooler>,
    form_factor: Option<FormFactor>,
    condition: Option<Condition>,
    #[serde(default)]
    modified: bool,
    count: Option<u32>,
}

impl GpuClaim {
    /// Reads a claim in words: `RTX 4090 24GB, fan`, `H100 SXM 80GB x8`, `CMP 170HX 8GB used`. Every word must be
    /// understood.
    pub fn parse(text: &str, tables: &Tables) -> Result<Self, ClaimError> {
        if text.len() > MAX_CLAIM_BYTES {
            return Err(ClaimError::TooLong);
        }
        let mut claim = Self::empty(text);
        let mut gigabytes = None;
        let mut names: Vec<String> = Vec::new();
        let split = split(text);
        let mut words = split.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let number = word.parse::<u32>().ok();
            if let Some(size) = gigabytes_in(word) {
                once("memory", &mut gigabytes, size)?;
            } else if let Some(size) = number.filter(|size| {
                (1..=MAX_GIGABYTES).contains(size) && words.peek().is_some_and(|it| ["gb", "gib", "g"].contains(it))
            }) {
                words.next();
                once("memory", &mut gigabytes, size)?;
            } else if let Some(count) = count_in(word) {
                once("count", &mut claim.count, count)?;
            } else if let Some(count) =
                number.filter(|count| (1..=MAX_COUNT).contains(count) && words.peek() == Some(&"x"))
            {
                words.next();
                once("count", &mut claim.count, count)?;
            } else if word == "x"
                && let Some(count) =
                    words.peek().and_then(|next| next.parse().ok()).filter(|count| (1..=MAX_COUNT).contains(count))
            {
                words.next();
                once("count", &mut claim.count, count)?;
            } else if !claim.property(word, words.peek().copied())? {
                names.push(word.to_owned());
            } else if word == "open" || word == "second" {
                words.next();
            }
        }
        claim.memory_mib = gigabytes.map(|size| size << 10);
        let record = product(&names, text, &claim, tables)?;
        claim.product = record.text("name").unwrap_or_default().to_owned();
        claim.set_memory(gigabytes, record);
        Ok(claim)
    }

    /// Reads a claim of a file: `product`, `memory_gb`, `cooler`, `form_factor`, `condition`, `modified`, `count`.
    pub(super) fn from_file(file: GpuFile, tables: &Tables) -> Result<Self, ClaimError> {
        for (what, number, most) in [("memory_gb", file.memory_gb, MAX_GIGABYTES), ("count", file.count, MAX_COUNT)] {
            if number.is_some_and(|number| !(1..=most).contains(&number)) {
                return Err(ClaimError::Syntax(format!("{what} is 1 to {most}")));
            }
        }
        let mut claim = Self::parse(&file.product, tables)?;
        let record = tables.records(PRODUCTS).find(|(_, it)| it.text("name") == Some(&claim.product));
        if let Some(size) = file.memory_gb {
            claim.set_memory(Some(size), record.map(|(_, record)| record).unwrap_or(&Record::default()));
        }
        claim.cooler = file.cooler.or(claim.cooler);
        claim.form_factor = file.form_factor.or(claim.form_factor);
        claim.condition = file.condition.or(claim.condition);
        claim.count = file.count.or(claim.count);
        claim.modified |= file.modified;
        claim.text = claim.understood();
        Ok(claim)
    }

    /// Adds the claim to every NVIDIA GPU, before facts are derived. Where there is none, one part stands for what was sold.
    pub fn add(&self, evidence: &mut EvidenceBuilder) {
        let gpus = evidence.so_far().scope("gpu").filter(|part| is_nvidia(part));
        let mut ids: Vec<String> = gpus.map(|part| part.id.clone()).collect();
        if ids.is_empty() {
            ids.push("gpu:claimed".to_owned());
        }
        for id in ids {
            let mut part = evidence.part("gpu", &id);
            let word = |word: Option<&str>| Reading::or_absent(word.map(str::to_owned));
            part.fact("gpu.claim.text", self.text.as_str(), SOURCE)
                .fact("gpu.claim.product", self.product.as_str(), SOURCE)
                .fact("gpu.claim.memory_mib", Reading::or_absent(self.memory_mib), SOURCE)
                .fact("gpu.claim.cooler", word(self.cooler.map(Cooler::as_str)), SOURCE)
                .fact("gpu.claim.form_factor", word(self.form_factor.map(FormFactor::as_str)), SOURCE)
                .fact("gpu.claim.condition", word(self.condition.map(Condition::as_str)), SOURCE)
                .fact("gpu.claim.modified", Reading::Known(self.modified), SOURCE)
                .fact("gpu.claim.count", self.count.unwrap_or(1), SOURCE);
        }
    }

    /// What the claim says, in words.
    pub fn understood(&self) -> String {
        let mut words = Vec::new();
        words.extend((!self.product.is_empty()).then(|| self.product.clone()));
        words.extend(self.memory_mib.map(|mib| format!("{} GB", mib >> 10)));
        words.extend(self.form_factor.map(|it| it.as_str().to_owned()));
        words.extend(self.cooler.map(|it| it.as_str().to_owned()));
        words.extend(self.condition.map(|it| it.as_str().to_owned()));
        words.extend(self.modified.then(|| "modified".to_owned()));
        words.extend(self.count.map(|count| format!("x{count}")));
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    fn empty(text: &str) -> Self {
        Self {
            text: text.trim().to_owned(),
            product: String::new(),
            memory_mib: None,
            cooler: None,
            form_factor: None,
            condition: None,
            modified: false,
            count: None,
        }
    }

    /// A superchip's name counts the memory of its processor, which says nothing about the GPU's.
    fn set_memory(&mut self, gigabytes: Option<u32>, record: &Record) {
        let in_name = |size: u32| record.integers("host_memory_gb").any(|known| known == i64::from(size));
        self.memory_mib = gigabytes.filter(|size| !in_name(*size)).map(|size| size << 10);
    }

    /// Whether the word is a property; `next` is the word behind it.
    fn property(&mut self, word: &str, next: Option<&str>) -> Result<bool, ClaimError> {
        let (mut cooler, mut form, mut condition) = (None, None, None);
        match word {
            "fan" | "fans" | "openair" => cooler = Some(Cooler::Fan),
            "open" if next == Some("air") => cooler = Some(Cooler::Fan),
            "blower" | "turbo" => cooler = Some(Cooler::Blower),
            "passive" | "fanless" => cooler = Some(Cooler::Passive),
            "liquid" | "water" | "watercooled" | "aio" => cooler = Some(Cooler::Liquid),
            "pcie" | "pci" => form = Some(FormFactor::Pcie),
            "sxm" | "sxm2" | "sxm3" | "sxm4" | "sxm5" | "sxm6" => form = Some(FormFactor::Sxm),
            "new" | "unused" => condition = Some(Condition::New),
            "used" => condition = Some(Condition::Used),
            "second" if next == Some("hand") => condition = Some(Condition::Used),
            "refurbished" | "refurb" => condition = Some(Condition::Refurbished),
            "modified" | "modded" | "mod" | "unlocked" | "upgraded" => self.modified = true,
            _ => return Ok(false),
        }
        if let Some(cooler) = cooler {
            once_word("cooler", &mut self.cooler, cooler, Cooler::as_str)?;
        }
        if let Some(form) = form {
            once_word("form", &mut self.form_factor, form, FormFactor::as_str)?;
        }
        if let Some(condition) = condition {
            once_word("condition", &mut self.condition, condition, Condition::as_str)?;
        }
        Ok(true)
    }
}

/// Lower-case words; `4080s` and `3060ti` as sellers write them are two.
fn split(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('×', "x");
    let found = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    found
        .flat_map(|word| {
            let (number, rest) = word.split_at(word.bytes().take_while(u8::is_ascii_digit).count());
            let rest = match rest {
                "s" | "super" => "super",
                "ti" => "ti",
                "d" => "d",
                _ => return vec![word.to_owned()],
            };
            if number.len() == 4 { vec![number.to_owned(), rest.to_owned()] } else { vec![word.to_owned()] }
        })
        .collect()
}

/// `24gb`, `80g`.
fn gigabytes_in(word: &str) -> Option<u32> {
    let number = word.strip_suffix("gib").or(word.strip_suffix("gb")).or(word.strip_suffix('g'))?;
    number.parse().ok().filter(|size| (1..=MAX_GIGABYTES).contains(size))
}

/// The product with exactly these words, else the only one that has them all.
fn product<'a>(names: &[String], text: &str, claim: &GpuClaim, tables: &'a Tables) -> Result<&'a Record, ClaimError> {
    let understood = claim.understood();
    let words: BTreeSet<&str> = names.iter().map(String::as_str).filter(|word| !NOISE.contains(word)).collect();
    if words.is_empty() {
        // "TITAN RTX" has a word of its own; "RTX" alone has none.
        return Err(ClaimError::NoProduct { text: text.to_owned(), understood });
    }
    let of = |record: &'a Record| record.texts("tokens").collect::<BTreeSet<&str>>();
    let products = || tables.records(PRODUCTS).map(|(_, record)| record);
    if let Some(record) = products().find(|record| of(record) == words) {
        return Ok(record);
    }
    let containing: Vec<&Record> = products().filter(|record| of(record).is_superset(&words)).collect();
    let words = words.into_iter().collect::<Vec<_>>().join(" ");
    match containing.as_slice() {
        [record] => Ok(record),
        [] => Err(ClaimError::Unknown { words, what: "product that the tables know", understood }),
        several => {
            let name = |record: &&Record| record.text("name").unwrap_or_default().to_owned();
            let products = several.iter().map(name).take(MAX_LISTED).collect();
            Err(ClaimError::Ambiguous { words, products, understood })
        }
    }
}
