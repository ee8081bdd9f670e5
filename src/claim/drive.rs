//! What drives were sold as: `4x 3.84TB NVMe U.2 Samsung PM9A3 new`, `8x 16TB SATA HDD used`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimError, Condition, Item, SOURCE, add_item, compared, found, missing, once, once_word};
use crate::evidence::{EvidenceBuilder, Part, Reading, Value};
use crate::rule::{Record, Tables};

/// Products by the words that sellers use.
const PRODUCTS: &str = "drive-products";
/// The largest drive that may be claimed.
const MAX_BYTES: u64 = 1 << 50;
/// Shortest model number.
const MIN_MODEL: usize = 6;
/// Words that say no more than that it is a drive; form factors, which no drive tells.
const NOISE: &[&str] = &[
    "drive",
    "drives",
    "disk",
    "disks",
    "enterprise",
    "datacenter",
    "server",
    "storage",
    "of",
    "and",
    "u.2",
    "u.3",
    "u2",
    "u3",
    "m.2",
    "m2",
    "e1.s",
    "e1.l",
    "e3.s",
    "e3.l",
    "2.5in",
    "3.5in",
    "2.5inch",
    "3.5inch",
    "2.5''",
    "3.5''",
    "2.5",
    "3.5",
    "inch",
    "in",
    "aic",
    "hhhl",
    "pcie",
    "gen3",
    "gen4",
    "gen5",
    "6gb/s",
    "12gb/s",
    "24gb/s",
    "6g",
    "12g",
    "24g",
    "7.2k",
    "10k",
    "15k",
    "7200rpm",
    "10000rpm",
    "15000rpm",
    "rpm",
];
/// Makers by name, with how their model texts may begin.
const MAKERS: &[(&str, &[&str])] = &[
    ("samsung", &["samsung", "mz"]),
    ("intel", &["intel", "ssd"]),
    ("solidigm", &["solidigm", "intel", "ssd", "sb5"]),
    ("micron", &["micron", "mtfd"]),
    ("kioxia", &["kioxia", "kcd", "kcm", "kpm", "krm", "khk"]),
    ("toshiba", &["toshiba", "mg", "al", "kpm", "khk", "thn"]),
    ("seagate", &["seagate", "st", "xs", "xp", "oos"]),
    ("wd", &["wd", "wdc", "wu", "hu", "hgst", "western", "oos"]),
    ("hgst", &["hgst", "hu", "wd", "oos"]),
    ("sandisk", &["sandisk", "wd", "sd"]),
    ("hynix", &["sk", "hynix", "skhynix", "hfs", "pe8", "pe9"]),
    ("kingston", &["kingston", "sedc"]),
    ("dapustor", &["dapustor", "dp"]),
    ("memblaze", &["memblaze", "p6", "p7"]),
];

property! {
    /// How a drive is connected.
    Interface {
        /// NVM Express.
        Nvme = "nvme",
        /// Serial ATA.
        Sata = "sata",
        /// Serial attached SCSI.
        Sas = "sas",
    }
}

property! {
    /// What a drive stores on.
    Medium {
        /// Flash memory.
        Ssd = "ssd",
        /// Platters.
        Hdd = "hdd",
    }
}

/// What drives were sold as. What a claim leaves open is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriveClaim {
    /// The seller's words.
    pub text: String,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Capacity of one drive in gigabytes of 10^9 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_gigabytes: Option<u32>,
    /// Connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// Flash or platters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// Maker, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Product as `parts/drive-products` names it, or a model number, upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// New or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// The form of a claim in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriveFile {
    count: Option<u32>,
    size_gb: Option<u32>,
    interface: Option<Interface>,
    medium: Option<Medium>,
    maker: Option<String>,
    model: Option<String>,
    condition: Option<Condition>,
}

/// Whether the words are about drives.
pub(super) fn recognise(words: &[String]) -> bool {
    const SURE: &[&str] = &["nvme", "sata", "sas", "hdd", "hdds", "ssd", "ssds", "drive", "drives", "disk", "disks"];
    words.iter().any(|word| SURE.contains(&word.as_str()) || word.ends_with("tb") && bytes(word).is_some())
}

impl DriveClaim {
    /// Reads a claim in words. Every word must be understood.
    pub fn parse(text: &str, tables: &Tables) -> Result<Self, ClaimError> {
        let mut item = Item::new(text)?;
        let mut claim = Self { text: text.trim().to_owned(), ..Self::default() };
        while let Some(word) = item.next()? {
            claim.word(&word, &mut item, tables)?;
        }
        (claim.count, claim.condition) = (item.count, item.condition);
        item.finish("word for drives", claim.understood())?;
        if claim.size_gigabytes.is_none()
            && claim.model.is_none()
            && claim.interface.is_none()
            && claim.medium.is_none()
        {
            return Err(ClaimError::NoProduct { text: claim.text.clone(), understood: claim.understood() });
        }
        Ok(claim)
    }

    /// Reads a table of a file.
    pub(super) fn from_file(file: DriveFile, tables: &Tables) -> Result<Self, ClaimError> {
        let mut text: Vec<String> = Vec::new();
        text.extend(file.count.map(|count| format!("{count}x")));
        text.extend(file.size_gb.map(|size| format!("{size}GB")));
        text.extend(file.interface.map(|it| it.as_str().to_owned()));
        text.extend(file.medium.map(|it| it.as_str().to_owned()));
        text.extend(file.maker);
        text.extend(file.model);
        text.extend(file.condition.map(|it| it.as_str().to_owned()));
        Self::parse(&text.join(" "), tables)
    }

    /// What the claim says, in words.
    pub fn understood(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.count.map(|count| format!("{count}x")));
        words.extend(self.size_gigabytes.map(|size| format!("{size} GB")));
        words.extend(self.interface.map(|it| it.as_str().to_owned()));
        words.extend(self.medium.map(|it| it.as_str().to_owned()));
        words.extend(self.maker.clone());
        words.extend(self.model.clone());
        words.extend(self.condition.map(|it| it.as_str().to_owned()));
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    fn word(&mut self, word: &str, item: &mut Item, tables: &Tables) -> Result<(), ClaimError> {
        let joined = bytes(word);
        let split = || item.words.get(item.at).and_then(|unit| bytes(&format!("{word}{unit}")));
        if let Some(size) = joined.or_else(split) {
            item.at += usize::from(joined.is_none());
            return once("capacity", &mut self.size_gigabytes, u32::try_from(size / 1_000_000_000).unwrap_or(u32::MAX));
        }
        match word.trim_end_matches('s') {
            "nvme" => return once_word("interface", &mut self.interface, Interface::Nvme, Interface::as_str),
            "sata" => return once_word("interface", &mut self.interface, Interface::Sata, Interface::as_str),
            "sa" if word == "sas" => {
                return once_word("interface", &mut self.interface, Interface::Sas, Interface::as_str);
            }
            "ssd" | "flash" => return once_word("medium", &mut self.medium, Medium::Ssd, Medium::as_str),
            "hdd" => return once_word("medium", &mut self.medium, Medium::Hdd, Medium::as_str),
            _ => {}
        }
        let maker = match word {
            "western" if item.take(&["digital"]) => Some("wd"),
            "sk" if item.take(&["hynix"]) => Some("hynix"),
            "ultrastar" | "wdc" => Some("wd"),
            "exos" => Some("seagate"),
            _ => MAKERS.iter().map(|(name, _)| *name).find(|name| *name == word),
        };
        if let Some(maker) = maker {
            if self.maker.as_ref().is_some_and(|first| first != maker) {
                let first = self.maker.clone().unwrap_or_default();
                return Err(ClaimError::Twice { what: "maker", first, second: maker.to_owned() });
            }
            self.maker = Some(maker.to_owned());
        } else if let Some(name) = product(word, tables) {
            self.model = Some(name);
        } else if NOISE.contains(&word) {
        } else if self.model.is_none() && is_model(word) {
            self.model = Some(word.to_ascii_uppercase());
        } else {
            item.unknown.push(word.to_owned());
        }
        Ok(())
    }

    /// What the drive says otherwise, and what was sold that it could not be asked.
    fn compare(&self, part: &Part, tables: &Tables) -> (Vec<String>, Vec<&'static str>) {
        let (mut differences, mut unread) = (Vec::new(), Vec::new());
        let mut differ = |what: &'static str, sold: Option<String>, is: Option<String>, same: bool| match (sold, is) {
            (None, _) => {}
            (Some(_), None) => unread.push(what),
            (Some(_), Some(_)) if same => {}
            (Some(sold), Some(is)) => differences.push(format!("{what}: {is}, sold as {sold}")),
        };
        let size = part.integer("drive.size_bytes").map(|bytes| bytes.unsigned_abs() / 1_000_000_000);
        let sold = self.size_gigabytes.map(u64::from);
        // A "3.84 TB" drive has 3,840.7 GB, a "16 TB" one 16,000.9; over-provisioned ones are sold by what they show.
        let same = sold.zip(size).is_some_and(|(sold, is)| is.abs_diff(sold) * 50 <= sold);
        differ("capacity in GB", sold.map(|it| it.to_string()), size.map(|it| it.to_string()), same);
        let transport = part.text("drive.transport").filter(|it| ["nvme", "sata", "sas"].contains(it));
        let sold = self.interface.map(|it| it.as_str().to_owned());
        let same = sold.as_deref() == transport;
        differ("interface", sold, transport.map(str::to_owned), same);
        let rotational = part.reading("drive.rotational").and_then(Reading::known).and_then(Value::as_bool);
        let medium = rotational.map(|it| if it { "hdd" } else { "ssd" }.to_owned());
        let sold = self.medium.map(|it| it.as_str().to_owned());
        let same = sold == medium;
        differ("medium", sold, medium, same);
        let model = model_of(part);
        let same = self.maker.as_ref().zip(model).is_some_and(|(maker, model)| made_by(maker, model));
        differ("maker by model", self.maker.clone(), model.map(str::to_owned), same);
        let same = self.model.as_ref().zip(model).is_some_and(|(sold, model)| same_model(sold, model, tables));
        differ("model", self.model.clone(), model.map(str::to_owned), same);
        (differences, unread)
    }
}

/// Adds the facts of the order, and to as many drives as were sold the comparison with the item that they fit best. What was
/// not sold by this order, as a drive to boot from, has none.
pub(super) fn add(claims: &[DriveClaim], tables: &Tables, evidence: &mut EvidenceBuilder) {
    let mut drives: Vec<Part> = evidence.so_far().scope("drive").cloned().collect();
    for (index, claim) in claims.iter().enumerate() {
        // Of the drives that an order left over, those that differ least are taken first.
        drives.sort_by_cached_key(|drive| claim.compare(drive, tables).0.len());
        let of_kind = |drive: &Part| {
            let text = |path| drive.text(path).filter(|it| ["nvme", "sata", "sas"].contains(it));
            let interface = claim.interface.zip(text("drive.transport")).is_none_or(|(sold, is)| sold.as_str() == is);
            interface || claim.compare(drive, tables).0.len() < 2
        };
        let most = claim.count.map_or(drives.len(), |count| count as usize);
        // Without a number all that fit are meant, and the nearest where none does.
        let fits = |drive: &Part| claim.compare(drive, tables).0.is_empty();
        let (any, exact) = (claim.count.is_some(), drives.iter().any(fits));
        let wanted = |drive: &Part, taken: usize| match (any, exact) {
            (true, _) => of_kind(drive),
            (false, true) => fits(drive),
            (false, false) => of_kind(drive) && taken == 0,
        };
        let (taken, left): (Vec<Part>, Vec<Part>) = {
            let mut taken = Vec::new();
            let mut left = Vec::new();
            for drive in drives {
                if taken.len() < most && wanted(&drive, taken.len()) { taken.push(drive) } else { left.push(drive) }
            }
            (taken, left)
        };
        drives = left;
        let mut assigned = 0;
        for drive in &taken {
            let unread_part = drive.is_stand_in();
            assigned += usize::from(!unread_part);
            let (differences, unread) = claim.compare(drive, tables);
            let differs = if unread_part { missing(drive, "drive.model") } else { compared(differences, &unread) };
            evidence
                .part("drive", &drive.id)
                .fact("drive.claim.text", claim.text.as_str(), SOURCE)
                .fact("drive.claim.count", Reading::or_absent(claim.count), SOURCE)
                .fact(
                    "drive.claim.size_bytes",
                    Reading::or_absent(claim.size_gigabytes.map(|size| u64::from(size) * 1_000_000_000)),
                    SOURCE,
                )
                .fact("drive.claim.model", Reading::or_absent(claim.model.clone()), SOURCE)
                .fact("drive.claim.condition", Reading::or_absent(claim.condition.map(Condition::as_str)), SOURCE)
                .fact("drive.claim.interface", Reading::or_absent(claim.interface.map(Interface::as_str)), SOURCE)
                .fact("drive.claim.medium", Reading::or_absent(claim.medium.map(Medium::as_str)), SOURCE)
                .fact("drive.claimed.differs", differs, "claim and drive");
        }
        let found = found(evidence, "drive", ("platform", "platform.drives"), assigned);
        // An offer without a number is one of one at least.
        add_item(evidence, "drive", index, &claim.text, claim.count.or(Some(1)), found);
    }
}

/// The model as the drive itself gives it; the kernel cuts that of a SCSI disk.
fn model_of(part: &Part) -> Option<&str> {
    ["drive.smart.model", "drive.nvme.model", "drive.model"].iter().find_map(|path| part.text(path))
}

fn made_by(maker: &str, model: &str) -> bool {
    let model = model.to_lowercase();
    MAKERS
        .iter()
        .find(|(name, _)| *name == maker)
        .is_none_or(|(_, starts)| starts.iter().any(|it| model.starts_with(it)))
}

/// Whether a model text is of the product, or begins as the number does; with the maker's name before it or not.
fn same_model(sold: &str, model: &str, tables: &Tables) -> bool {
    let record = tables.records(PRODUCTS).find(|(_, record)| record.text("name") == Some(sold)).map(|(_, it)| it);
    let starts =
        |start: &str| model.split_whitespace().any(|word| word.to_uppercase().starts_with(&start.to_uppercase()));
    match record {
        Some(record) => record.texts("models").any(starts) || contains(model, sold),
        // The kernel's model is cut to 16 characters.
        None => starts(sold) || model.len() >= 8 && sold.starts_with(&model.to_uppercase()),
    }
}

fn contains(model: &str, word: &str) -> bool {
    model.to_uppercase().split(|it: char| !it.is_alphanumeric()).any(|it| it == word.to_uppercase())
}

fn product(word: &str, tables: &Tables) -> Option<String> {
    let of = |record: &Record| {
        record.texts("words").any(|known| known == word).then(|| record.text("name")).flatten().map(str::to_owned)
    };
    tables.records(PRODUCTS).find_map(|(_, record)| of(record))
}

/// `3.84tb`, `960gb`.
fn bytes(word: &str) -> Option<u64> {
    let (number, unit) = word.split_at(word.find(|it: char| it.is_ascii_alphabetic())?);
    let unit: u64 = match unit {
        "gb" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 3 || whole.len() > 6 || number.is_empty() {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = if part.is_empty() { 0 } else { format!("{part:0<3}").parse().ok()? };
    let size = (whole * 1000 + part).checked_mul(unit / 1000)?;
    (unit / 1000..=MAX_BYTES).contains(&size).then_some(size).filter(|size| *size >= 1_000_000_000)
}

fn is_model(word: &str) -> bool {
    word.len() >= MIN_MODEL
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_'))
        && word.bytes().filter(u8::is_ascii_digit).count() >= 2
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;
    use crate::rule::Signatures;

    #[test]
    fn offers_are_understood_word_by_word() {
        let tables = Signatures::embedded().unwrap().tables;
        for (text, understood) in [
            ("4x 3.84TB NVMe U.2 Samsung PM9A3 new", "4x, 3840 GB, nvme, samsung, PM9A3, new"),
            ("8x 16TB SATA HDD used", "8x, 16000 GB, sata, hdd, used"),
            ("2x 960 GB M.2 SSDs Micron 7450", "2x, 960 GB, ssd, micron, 7450"),
            ("12 x ST16000NM001G HDD Seagate Exos recertified", "12x, hdd, seagate, ST16000NM001G, refurbished"),
            ("1.6TB SAS SSD purple", ""),
            ("NVMe SATA 1TB", ""),
            ("two drives", ""),
        ] {
            assert!(recognise(&words(text)), "{text}");
            match DriveClaim::parse(text, &tables) {
                Ok(claim) => assert_eq!(claim.understood(), understood, "{text}"),
                Err(error) => assert_eq!(understood, "", "{text}: {error}"),
            }
        }
    }

    #[test]
    fn models_and_products() {
        let tables = Signatures::embedded().unwrap().tables;
        for (sold, model, same) in [
            ("PM9A3", "SAMSUNG MZQL23T8HCLS-00A07", true),
            ("PM9A3", "SAMSUNG MZQLB3T8HALS-00007", false),
            ("ST16000NM001G", "ST16000NM001G-2KK103", true),
            ("ST16000NM001G", "ST16000NM001J-2TW113", false),
            ("ST16000NM001G-2KK103", "ST16000NM001G-2K", true),
            ("7450", "Micron_7450_MTFDKCC3T8TFR", true),
        ] {
            assert_eq!(same_model(sold, model, &tables), same, "{sold}: {model}");
        }
        assert!(made_by("samsung", "MZQL23T8HCLS-00A07") && !made_by("samsung", "INTEL SSDPE2KX040T8"));
    }
}
