//! What processors were sold as: `2x Xeon Platinum 8480+`, `2x EPYC 9654 new`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimError, Condition, Item, SOURCE, add_item, found, missing, nearest, words as split_words};
use crate::evidence::{EvidenceBuilder, Part, Reading};

/// Words that name a maker or a family. The model number says which processor it is.
const FAMILIES: &[&str] = &[
    "intel",
    "amd",
    "ampere",
    "xeon",
    "epyc",
    "platinum",
    "gold",
    "silver",
    "bronze",
    "max",
    "scalable",
    "ryzen",
    "threadripper",
    "pro",
    "core",
    "ultra",
    "opteron",
    "altra",
    "pentium",
    "celeron",
    "atom",
    "w",
];
/// Words that say no more than that it is a processor.
const NOISE: &[&str] = &["cpu", "cpus", "processor", "processors", "with", "and", "of", "the"];

/// What processors were sold as. What a claim leaves open is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CpuClaim {
    /// The seller's words.
    pub text: String,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Words of the family: `xeon platinum`.
    pub family: String,
    /// Words of the model: `8480+`, `e5-2690 v4`.
    pub model: String,
    /// New or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// The form of a claim in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CpuFile {
    model: String,
    count: Option<u32>,
    condition: Option<Condition>,
}

/// Whether the words are about processors.
pub(super) fn recognise(words: &[String]) -> bool {
    const SURE: &[&str] =
        &["xeon", "epyc", "threadripper", "ryzen", "opteron", "cpu", "cpus", "processor", "processors"];
    words.iter().any(|word| SURE.contains(&word.as_str()))
}

impl CpuClaim {
    /// Reads a claim in words. Every word must be understood.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let mut item = Item::new(text)?;
        let (mut family, mut model): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        while let Some(word) = item.next()? {
            let word = word.replace("(r)", "").replace("(tm)", "").trim_end_matches(['®', '™']).to_owned();
            if NOISE.contains(&word.as_str()) || word.is_empty() || matches!(word.as_str(), "r" | "tm") {
            } else if FAMILIES.contains(&word.as_str()) {
                family.push(word);
            } else if model.is_empty() && is_model(&word) || model.len() == 1 && is_version(&word) {
                model.push(word);
            } else if word == "+" && model.len() == 1 {
                model[0].push('+');
            } else {
                item.unknown.push(word);
            }
        }
        let claim = Self {
            text: text.trim().to_owned(),
            count: item.count,
            family: family.join(" "),
            model: model.join(" "),
            condition: item.condition,
        };
        item.finish("word for processors", claim.understood())?;
        if claim.model.is_empty() {
            return Err(ClaimError::NoProduct { text: claim.text.clone(), understood: claim.understood() });
        }
        Ok(claim)
    }

    /// Reads a table of a file.
    pub(super) fn from_file(file: CpuFile) -> Result<Self, ClaimError> {
        let mut text = file.model;
        if let Some(count) = file.count {
            text = format!("{count}x {text}");
        }
        if let Some(condition) = file.condition {
            text = format!("{text} {}", condition.as_str());
        }
        Self::parse(&text)
    }

    /// What the claim says, in words.
    pub fn understood(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.count.map(|count| format!("{count}x")));
        words.extend([&self.family, &self.model].into_iter().filter(|it| !it.is_empty()).cloned());
        words.extend(self.condition.map(|it| it.as_str().to_owned()));
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    /// Whether a brand text names the claimed model. Families are compared where the text has one.
    fn is(&self, brand: &str) -> bool {
        let words: Vec<String> = brand_words(brand);
        let has = |word: &str| words.iter().any(|it| it == word);
        let model = self.model.split(' ').all(|word| has(word.trim_end_matches('+')));
        let makers = ["intel", "amd", "ampere"];
        let family = self.family.split(' ').filter(|it| !it.is_empty() && !makers.contains(it) && *it != "scalable");
        model && family.into_iter().all(has)
    }

    fn differences(&self, part: &Part) -> usize {
        let brand = own_brand(part).or_else(|| part.text("cpu.smbios.version"));
        usize::from(brand.is_some_and(|brand| !self.is(brand)))
    }
}

/// Adds the facts of the order and of the comparison to every processor.
pub(super) fn add(claims: &[CpuClaim], evidence: &mut EvidenceBuilder) {
    if claims.is_empty() {
        return;
    }
    let processors: Vec<Part> = evidence.so_far().scope("cpu").cloned().collect();
    let mut assigned = vec![0; claims.len()];
    for processor in &processors {
        let Some(index) = nearest(claims, |claim| claim.differences(processor)) else { continue };
        assigned[index] += usize::from(!processor.is_stand_in());
        let claim = &claims[index];
        let is_model = match own_brand(processor) {
            Some(brand) => Reading::Known(claim.is(brand).into()),
            None => missing(processor, "cpu.cpuid.brand"),
        };
        let smbios_differs = match processor.text("cpu.smbios.version") {
            Some(version) => Reading::Known((!claim.is(version)).into()),
            None => missing(processor, "cpu.smbios.version"),
        };
        evidence
            .part("cpu", &processor.id)
            .fact("cpu.claim.text", claim.text.as_str(), SOURCE)
            .fact("cpu.claim.model", claim.model.as_str(), SOURCE)
            .fact("cpu.claim.condition", Reading::or_absent(claim.condition.map(Condition::as_str)), SOURCE)
            .fact("cpu.claim.count", Reading::or_absent(claim.count), SOURCE)
            .fact("cpu.claimed.is_model", is_model, "claim and brand text")
            .fact("cpu.claimed.smbios_differs", smbios_differs, "claim and SMBIOS");
    }
    for (index, claim) in claims.iter().enumerate() {
        let found = found(evidence, "cpu", ("platform", "platform.cpu.packages"), assigned[index]);
        // An offer without a number is one of one at least.
        add_item(evidence, "cpu", index, &claim.text, claim.count.or(Some(1)), found);
    }
}

/// What the processor says of itself.
fn own_brand(part: &Part) -> Option<&str> {
    part.text("cpu.cpuid.brand").or_else(|| part.text("cpu.procfs.brand"))
}

/// `intel`, `xeon`, `platinum`, `8480` of `Intel(R) Xeon(R) Platinum 8480+`.
fn brand_words(brand: &str) -> Vec<String> {
    let plain = brand.to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    split_words(&plain).into_iter().map(|word| word.trim_end_matches('+').to_owned()).collect()
}

/// `8480+`, `9654p`, `e5-2690`, `w9-3495x`, `7995wx`, `i9-14900k`.
fn is_model(word: &str) -> bool {
    let letters = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+'));
    let number = word.rsplit('-').next().unwrap_or(word).trim_end_matches('+');
    let number = number.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number = number.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    letters && word.len() <= 16 && (3..=5).contains(&number.len()) && number.bytes().any(|byte| byte.is_ascii_digit())
        // 74F3 and 9V74 have a letter among the digits.
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `v4`
fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_their_numbers() {
        for (text, brand, same) in [
            ("2x Xeon Platinum 8480+", "Intel(R) Xeon(R) Platinum 8480+", true),
            ("Intel Xeon Platinum 8480 + new", "Intel(R) Xeon(R) Platinum 8480+", true),
            ("Xeon Platinum 8480+", "Intel(R) Xeon(R) Platinum 8480C", false),
            ("Xeon Gold 8480+", "Intel(R) Xeon(R) Platinum 8480+", false),
            ("2x EPYC 9654 new", "AMD EPYC 9654 96-Core Processor", true),
            ("EPYC 9654", "AMD EPYC 9654P 96-Core Processor", false),
            ("EPYC 9654", "AMD Eng Sample: 100-000000997-01", false),
            ("AMD EPYC 74F3 processor", "AMD EPYC 74F3 24-Core Processor", true),
            ("E5-2690 v4 CPU", "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", true),
            ("E5-2690 v4 CPU", "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz", false),
            ("Threadripper PRO 7995WX", "AMD Ryzen Threadripper PRO 7995WX 96-Cores", true),
            ("Xeon Platinum 8480+", "Genuine Intel(R) CPU 0000%@", false),
        ] {
            assert!(recognise(&split_words(text)), "{text}");
            assert_eq!(CpuClaim::parse(text).unwrap().is(brand), same, "{text}: {brand}");
        }
        for (text, words) in [("EPYC fast 9654", "fast"), ("2x Xeon 8480+ 8490H", "8490h")] {
            assert!(CpuClaim::parse(text).unwrap_err().to_string().contains(words), "{text}");
        }
        assert!(matches!(CpuClaim::parse("2x Xeon Platinum"), Err(ClaimError::NoProduct { .. })));
    }
}
