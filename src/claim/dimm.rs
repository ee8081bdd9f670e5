//! What memory modules were sold as: `32x 64GB DDR5-5600 RDIMM new`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimError, Condition, Item, SOURCE, add_item, compared, found, missing, nearest, once, once_word};
use crate::evidence::{EvidenceBuilder, Part, Reading};

/// The most that one module may be claimed to have.
const MAX_GIGABYTES: u32 = 4096;
/// Shortest part number.
const MIN_PART_NUMBER: usize = 8;
/// Words that say no more than that it is memory.
const NOISE: &[&str] =
    &["memory", "ram", "module", "modules", "dimm", "dimms", "stick", "sticks", "server", "of", "and"];
/// Makers by the beginning of their names, as claims, firmware and JEP106 write them, and by the JEP106 ids that firmware
/// prints instead: bank and code in both orders, with and without parity.
const MAKERS: &[(&str, &[&str], &[&str])] = &[
    ("Samsung", &["samsung"], &["80ce", "00ce", "ce00", "ce80"]),
    ("SK hynix", &["sk hynix", "skhynix", "hynix", "hyundai"], &["80ad", "00ad", "ad00", "ad80"]),
    ("Micron", &["micron", "crucial"], &["802c", "002c", "2c00", "2c80"]),
    ("Kingston", &["kingston"], &["0198", "9801", "0118", "1801"]),
    ("Nanya", &["nanya"], &["830b", "030b", "0b03", "0b83"]),
    ("ADATA", &["adata", "a-data"], &["04cb", "cb04", "044b", "4b04"]),
    ("SMART Modular", &["smart"], &["0194", "9401", "0114"]),
    ("Innodisk", &["innodisk"], &["86f1", "f186"]),
    ("CXMT", &["cxmt", "changxin"], &["8a91", "918a"]),
];

property! {
    /// The type of a module.
    ModuleType {
        /// Registered.
        Rdimm = "rdimm",
        /// Load-reduced.
        Lrdimm = "lrdimm",
        /// Multiplexed ranks.
        Mrdimm = "mrdimm",
        /// Unbuffered.
        Udimm = "udimm",
        /// Unbuffered, for notebooks and small boards.
        Sodimm = "sodimm",
    }
}

/// What memory modules were sold as. What a claim leaves open is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DimmClaim {
    /// The seller's words.
    pub text: String,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Capacity of one module, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<u32>,
    /// Generation: 5 for DDR5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ddr: Option<u32>,
    /// Speed in MT/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mts: Option<u32>,
    /// Type of the module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module_type: Option<ModuleType>,
    /// Ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<u32>,
    /// Width of one DRAM, in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_width_bits: Option<u32>,
    /// Whether there are check bits.
    #[serde(default)]
    pub ecc: bool,
    /// Maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Part number, upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_number: Option<String>,
    /// New or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Whether they were sold as one kit: all alike.
    #[serde(default)]
    pub kit: bool,
}

/// The form of a claim in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DimmFile {
    count: Option<u32>,
    size_gb: Option<u32>,
    r#type: Option<String>,
    speed_mts: Option<u32>,
    module_type: Option<ModuleType>,
    maker: Option<String>,
    part_number: Option<String>,
    condition: Option<Condition>,
    #[serde(default)]
    kit: bool,
}

/// Whether the words are about memory modules.
pub(super) fn recognise(words: &[String]) -> bool {
    words.iter().any(|word| {
        generation(word).is_some()
            || pc_speed(word).is_some()
            || module_type(word).is_some()
            || word.starts_with("dimm")
    })
}

impl DimmClaim {
    /// Reads a claim in words. Every word must be understood.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let mut item = Item::new(text)?;
        let mut claim = Self { text: text.trim().to_owned(), ..Self::default() };
        while let Some(word) = item.next()? {
            claim.word(&word, &mut item)?;
        }
        (claim.count, claim.condition) = (item.count, item.condition);
        item.finish("word for memory modules", claim.understood())?;
        if claim.size_mib.or(claim.ddr).or(claim.speed_mts).is_none() && claim.part_number.is_none() {
            return Err(ClaimError::NoProduct { text: claim.text.clone(), understood: claim.understood() });
        }
        Ok(claim)
    }

    /// Reads a table of a file.
    pub(super) fn from_file(file: DimmFile) -> Result<Self, ClaimError> {
        let mut text: Vec<String> = Vec::new();
        text.extend(file.count.map(|count| format!("{count}x")));
        text.extend(file.size_gb.map(|size| format!("{size}GB")));
        match (file.r#type, file.speed_mts) {
            (Some(kind), speed) => {
                text.push(kind);
                text.extend(speed.map(|speed| format!("{speed}MT/s")));
            }
            (None, speed) => text.extend(speed.map(|speed| format!("{speed}MT/s"))),
        }
        text.extend(file.module_type.map(|it| it.as_str().to_owned()));
        text.extend(file.maker);
        text.extend(file.part_number);
        text.extend(file.condition.map(|it| it.as_str().to_owned()));
        text.extend(file.kit.then(|| "kit".to_owned()));
        Self::parse(&text.join(" "))
    }

    /// What the claim says, in words.
    pub fn understood(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.count.map(|count| format!("{count}x")));
        words.extend(self.size_mib.map(|mib| format!("{} GB", mib >> 10)));
        words.extend(self.ddr.map(|ddr| format!("DDR{ddr}")));
        words.extend(self.speed_mts.map(|speed| format!("{speed} MT/s")));
        words.extend(self.module_type.map(|it| it.as_str().to_owned()));
        words.extend(self.ranks.map(|ranks| format!("{ranks} ranks")));
        words.extend(self.device_width_bits.map(|bits| format!("x{bits}")));
        words.extend(self.ecc.then(|| "ECC".to_owned()));
        words.extend(self.maker.clone());
        words.extend(self.part_number.clone());
        words.extend(self.condition.map(|it| it.as_str().to_owned()));
        words.extend(self.kit.then(|| "kit".to_owned()));
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    fn word(&mut self, word: &str, item: &mut Item) -> Result<(), ClaimError> {
        if let Some((ddr, speed)) = generation(word) {
            once("generation", &mut self.ddr, ddr)?;
            return speed.map_or(Ok(()), |speed| once("speed", &mut self.speed_mts, speed));
        }
        if let Some((ddr, speed)) = pc_speed(word) {
            once("generation", &mut self.ddr, ddr)?;
            return once("speed", &mut self.speed_mts, speed);
        }
        if let Some(size) = gigabytes(word, item) {
            return once("capacity", &mut self.size_mib, size << 10);
        }
        if let Some(speed) = speed(word, item) {
            return once("speed", &mut self.speed_mts, speed);
        }
        if let Some(module_type) = module_type(word) {
            return once_word("type", &mut self.module_type, module_type, ModuleType::as_str);
        }
        if let Some((ranks, width)) = organisation(word) {
            once("ranks", &mut self.ranks, ranks)?;
            return once("width", &mut self.device_width_bits, width);
        }
        if let Some(ranks) = word.strip_suffix('r').and_then(|it| it.parse().ok()).filter(|it| (1..=16).contains(it)) {
            return once("ranks", &mut self.ranks, ranks);
        }
        if word == "sk" && item.take(&["hynix"]) {
            return self.made_by("SK hynix");
        }
        match word {
            "ecc" => self.ecc = true,
            "kit" | "matched" | "identical" => self.kit = true,
            _ if NOISE.contains(&word) => {}
            _ => match maker(word) {
                Some(maker) => return self.made_by(maker),
                None if is_part_number(word) && self.part_number.is_none() => {
                    self.part_number = Some(word.to_ascii_uppercase());
                }
                None => item.unknown.push(word.to_owned()),
            },
        }
        Ok(())
    }

    fn made_by(&mut self, maker: &str) -> Result<(), ClaimError> {
        match &self.maker {
            Some(first) if first != maker => {
                Err(ClaimError::Twice { what: "maker", first: first.clone(), second: maker.to_owned() })
            }
            _ => {
                self.maker = Some(maker.to_owned());
                Ok(())
            }
        }
    }

    /// What the SPD says otherwise, and what was sold that it could not be asked.
    fn spd(&self, part: &Part) -> (Vec<String>, Vec<&'static str>) {
        let mut found = Comparison::default();
        let number = |path| part.integer(path);
        let text = |path| part.text(path);
        found.number("capacity in MiB", self.size_mib, number("dimm.spd.capacity_mib"), |sold, is| sold == is);
        found.text("type", self.ddr.map(|ddr| format!("DDR{ddr}")), text("dimm.spd.dram_type"), same_type);
        found.number("speed in MT/s", self.speed_mts, number("dimm.spd.speed_mts"), fast_enough);
        let module_type = self.module_type.map(|it| it.as_str().to_owned());
        found.text("module type", module_type, text("dimm.spd.module_type"), same_module_type);
        found.number("ranks", self.ranks, number("dimm.spd.ranks"), |sold, is| sold == is);
        found.number("DRAM width", self.device_width_bits, number("dimm.spd.device_width_bits"), |sold, is| sold == is);
        found.number("check bits", self.ecc.then_some(1), number("dimm.spd.ecc_bits"), |_, is| is > 0);
        found.text("maker", self.maker.clone(), text("dimm.spd.module_maker").and_then(maker), same_text);
        found.text("part number", self.part_number.clone(), text("dimm.spd.part_number"), same_part_number);
        (found.differences, found.unread)
    }

    /// The same of firmware, and of the management controller for what firmware does not say. A lower speed may be the
    /// platform's, and is told apart.
    fn firmware(&self, part: &Part) -> (Vec<String>, Vec<&'static str>) {
        let mut found = Comparison::default();
        let number = |paths: [&str; 2]| paths.iter().find_map(|path| part.integer(path));
        let text = |paths: [&str; 2]| paths.iter().find_map(|path| part.text(path));
        let size = part.integer("dimm.smbios.size_bytes").map(|bytes| bytes >> 20);
        let size = size.or_else(|| part.integer("dimm.bmc.size_mib"));
        found.number("capacity in MiB", self.size_mib, size, |sold, is| sold == is);
        let kind = text(["dimm.smbios.type", "dimm.bmc.type"]).filter(|kind| kind.to_lowercase().starts_with("ddr"));
        found.text("type", self.ddr.map(|ddr| format!("DDR{ddr}")), kind, same_type);
        let speed = number(["dimm.smbios.speed_mts", "dimm.spd.speed_mts"]);
        found.number("speed in MT/s", self.speed_mts, speed, |_, _| true);
        // No field of type 17 that firmware fills tells the type.
        let module_type = text(["dimm.spd.module_type", "dimm.smbios.module_type"]);
        found.text("module type", self.module_type.map(|it| it.as_str().to_owned()), module_type, |_, _| true);
        found.number("ranks", self.ranks, number(["dimm.smbios.ranks", "dimm.bmc.ranks"]), |sold, is| sold == is);
        let width = part.integer("dimm.spd.device_width_bits");
        found.number("DRAM width", self.device_width_bits, width, |_, _| true);
        let widths = part.integer("dimm.smbios.total_width_bits").zip(part.integer("dimm.smbios.data_width_bits"));
        let check_bits = widths.map(|(total, data)| total - data);
        found.number("check bits", self.ecc.then_some(1), check_bits, |_, is| is > 0);
        let made_by = text(["dimm.smbios.manufacturer", "dimm.bmc.manufacturer"]).and_then(maker);
        found.text("maker", self.maker.clone(), made_by, same_text);
        let part_number = text(["dimm.smbios.part_number", "dimm.bmc.part_number"]);
        found.text("part number", self.part_number.clone(), part_number, same_part_number);
        (found.differences, found.unread)
    }
}

/// Adds the facts of the order and of the comparison to every module.
pub(super) fn add(claims: &[DimmClaim], evidence: &mut EvidenceBuilder) {
    if claims.is_empty() {
        return;
    }
    let modules: Vec<Part> = evidence.so_far().scope("dimm").cloned().collect();
    let mut assigned = vec![0; claims.len()];
    // Where firmware lists its slots, an image that has none is of one of them, and no module more.
    let listed = evidence.so_far().part("memory").is_some_and(|it| it.integer("memory.smbios.populated").is_some());
    let is_slot = |part: &Part| part.facts.keys().any(|path| path.as_str().starts_with("dimm.smbios."));
    for module in &modules {
        let differences = |claim: &DimmClaim| claim.spd(module).0.len() + claim.firmware(module).0.len();
        let Some(index) = nearest(claims, differences) else { continue };
        let counts = if listed { is_slot(module) } else { !module.is_stand_in() };
        assigned[index] += usize::from(counts);
        let claim = &claims[index];
        let ((spd, spd_unread), (firmware, unread)) = (claim.spd(module), claim.firmware(module));
        let has_spd = ["dimm.spd.capacity_mib", "dimm.spd.dram_type"]
            .iter()
            .any(|path| module.integer(path).is_some() || module.text(path).is_some());
        let spd_differs = match has_spd {
            true => compared(spd, &spd_unread),
            // Most servers hide the SPD; firmware's word is compared by a rule of its own.
            false => Reading::Absent,
        };
        let speed_below = match (claim.speed_mts, module.integer("dimm.smbios.speed_mts")) {
            (None, _) => Reading::Absent,
            (Some(sold), Some(speed)) => Reading::Known((speed < i64::from(sold)).into()),
            // The SPD's own word counts, and is compared above.
            (Some(_), None) if module.integer("dimm.spd.speed_mts").is_some() => Reading::Absent,
            (Some(_), None) => missing(module, "dimm.smbios.speed_mts"),
        };
        let firmware_seen = module.facts.iter().any(|(path, fact)| {
            let path = path.as_str();
            (path.starts_with("dimm.smbios.") || path.starts_with("dimm.bmc.")) && fact.reading.known().is_some()
        });
        let differs = match (firmware_seen, has_spd) {
            (false, true) => Reading::Absent,
            (false, false) => missing(module, "dimm.smbios.size_bytes"),
            (true, _) => compared(firmware, &unread),
        };
        let text = |text: Option<String>| Reading::or_absent(text);
        evidence
            .part("dimm", &module.id)
            .fact("dimm.claim.text", claim.text.as_str(), SOURCE)
            .fact("dimm.claim.count", Reading::or_absent(claim.count), SOURCE)
            .fact("dimm.claim.size_mib", Reading::or_absent(claim.size_mib), SOURCE)
            .fact("dimm.claim.type", text(claim.ddr.map(|ddr| format!("DDR{ddr}"))), SOURCE)
            .fact("dimm.claim.speed_mts", Reading::or_absent(claim.speed_mts), SOURCE)
            .fact("dimm.claim.module_type", text(claim.module_type.map(|it| it.as_str().to_uppercase())), SOURCE)
            .fact("dimm.claim.maker", text(claim.maker.clone()), SOURCE)
            .fact("dimm.claim.part_number", text(claim.part_number.clone()), SOURCE)
            .fact("dimm.claim.condition", text(claim.condition.map(|it| it.as_str().to_owned())), SOURCE)
            .fact("dimm.claim.kit", claim.kit, SOURCE)
            .fact("dimm.claimed.spd_differs", spd_differs, "claim and SPD")
            .fact("dimm.claimed.differs", differs, "claim, SMBIOS and management controller")
            .fact("dimm.claimed.speed_below", speed_below, "claim and SMBIOS");
    }
    for (index, claim) in claims.iter().enumerate() {
        let found = found(evidence, "dimm", ("memory", "memory.smbios.populated"), assigned[index]);
        add_item(evidence, "dimm", index, &claim.text, claim.count, found);
    }
}

/// What differs, and what could not be compared.
#[derive(Default)]
struct Comparison {
    differences: Vec<String>,
    unread: Vec<&'static str>,
}

impl Comparison {
    fn number(&mut self, what: &'static str, sold: Option<u32>, is: Option<i64>, same: fn(i64, i64) -> bool) {
        let Some(sold) = sold.map(i64::from) else { return };
        match is {
            None => self.unread.push(what),
            Some(is) if same(sold, is) => {}
            Some(is) => self.differences.push(format!("{what}: {is}, sold as {sold}")),
        }
    }

    fn text(&mut self, what: &'static str, sold: Option<String>, is: Option<&str>, same: fn(&str, &str) -> bool) {
        let Some(sold) = sold else { return };
        match is {
            None => self.unread.push(what),
            Some(is) if same(&sold, is) => {}
            Some(is) => self.differences.push(format!("{what}: {is}, sold as {sold}")),
        }
    }
}

fn fast_enough(sold: i64, is: i64) -> bool {
    // Old tables round: 2667 for 2666, 2934 for 2933.
    is + 2 >= sold
}

/// `DDR5` in `DDR5 SDRAM`; `LPDDR5` is another.
fn same_type(sold: &str, is: &str) -> bool {
    is.to_uppercase().split_whitespace().next().is_some_and(|kind| kind == sold)
}

/// `SO-RDIMM` is none of them; `ECC UDIMM` and `Registered` are as they say.
fn same_module_type(sold: &str, is: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().replace(['-', ' '], "");
    let is = letters(is);
    is == sold || is == format!("72b{sold}") || is == format!("ecc{sold}") || is == format!("mini{sold}")
}

fn same_text(sold: &str, is: &str) -> bool {
    sold == is
}

/// Firmware cuts and pads part numbers, and an offer leaves the grade out: one must begin with the other.
fn same_part_number(sold: &str, is: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
    };
    let (sold, is) = (letters(sold), letters(is));
    is.len().min(sold.len()) >= MIN_PART_NUMBER && (is.starts_with(&sold) || sold.starts_with(&is))
}

/// The maker whose name or id the text is; firmware of server makers prints theirs, which says nothing.
fn maker(text: &str) -> Option<&'static str> {
    let lower = text.trim().to_lowercase();
    let id = lower.strip_prefix("0x").unwrap_or(&lower);
    let is_id = id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of = |(name, names, ids): &(&'static str, &[&str], &[&str])| {
        let named = names.iter().any(|known| lower.starts_with(known));
        (named || is_id && ids.iter().any(|known| id.starts_with(known))).then_some(*name)
    };
    MAKERS.iter().find_map(of)
}

/// `ddr5`, `ddr5-5600`.
fn generation(word: &str) -> Option<(u32, Option<u32>)> {
    let rest = word.strip_prefix("ddr")?;
    let (generation, rest) = rest.split_at_checked(1)?;
    let generation = generation.parse().ok().filter(|it| (3..=6).contains(it))?;
    match rest {
        "" => Some((generation, None)),
        rest => Some((generation, Some(mega_transfers(rest.strip_prefix('-').unwrap_or(rest))?))),
    }
}

/// `pc4-25600` in MB/s, `pc4-3200aa-r`, `pc5-4800b` in MT/s.
fn pc_speed(word: &str) -> Option<(u32, u32)> {
    let (generation, rest) = word.strip_prefix("pc")?.split_at_checked(1)?;
    let generation = generation.parse().ok().filter(|it| (3..=6).contains(it))?;
    let rest = rest.trim_start_matches(['l', '-']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, grade) = rest.split_at(digits);
    let number: u32 = number.parse().ok()?;
    let grade_fits = grade.len() <= 8 && grade.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let speed = if number >= 8500 { number / 8 } else { number };
    (grade_fits && (800..=12_800).contains(&speed)).then_some((generation, speed))
}

/// `64gb`, `64 gb`.
fn gigabytes(word: &str, item: &mut Item) -> Option<u32> {
    let fits = |text: &str| text.parse::<u32>().ok().filter(|size| (1..=MAX_GIGABYTES).contains(size));
    let joined = ["gib", "gb", "g"].iter().find_map(|unit| fits(word.strip_suffix(unit)?));
    joined.or_else(|| fits(word).filter(|_| item.take(&["gb", "gib", "g"])))
}

/// `5600mt/s`, `5600 mhz`, and a bare number that is no capacity.
fn speed(word: &str, item: &mut Item) -> Option<u32> {
    mega_transfers(word).inspect(|_| _ = item.take(&["mt/s", "mts", "mhz"]))
}

fn mega_transfers(text: &str) -> Option<u32> {
    let number = ["mt/s", "mts", "mhz", "mt"].iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(text);
    number.parse().ok().filter(|speed| (800..=12_800).contains(speed))
}

/// `2rx4`
fn organisation(word: &str) -> Option<(u32, u32)> {
    let (ranks, width) = word.split_once("rx")?;
    let (ranks, width) = (ranks.parse().ok()?, width.parse().ok()?);
    ((1..=16).contains(&ranks) && matches!(width, 4 | 8 | 16)).then_some((ranks, width))
}

fn module_type(word: &str) -> Option<ModuleType> {
    Some(match word.replace('-', "").trim_end_matches('s') {
        "rdimm" | "registered" | "reg" => ModuleType::Rdimm,
        "lrdimm" => ModuleType::Lrdimm,
        "mrdimm" | "mcrdimm" => ModuleType::Mrdimm,
        "udimm" | "unbuffered" => ModuleType::Udimm,
        "sodimm" => ModuleType::Sodimm,
        _ => return None,
    })
}

fn is_part_number(word: &str) -> bool {
    word.len() >= MIN_PART_NUMBER
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/' | b'#'))
        && word.bytes().filter(u8::is_ascii_digit).count() >= 2
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn offers_are_understood_word_by_word() {
        for (text, understood) in [
            ("32x 64GB DDR5-5600 RDIMM new", "32x, 64 GB, DDR5, 5600 MT/s, rdimm, new"),
            ("16 x 32 GB DDR4 3200 MHz ECC registered Samsung", "16x, 32 GB, DDR4, 3200 MT/s, rdimm, ECC, Samsung"),
            ("8x32G 2Rx4 PC4-25600 SK hynix used", "8x, 32 GB, DDR4, 3200 MT/s, 2 ranks, x4, SK hynix, used"),
            ("PC4-2933Y-R x4 HMA84GR7CJR4N-WM kit", "4x, DDR4, 2933 MT/s, HMA84GR7CJR4N-WM, kit"),
            ("M321R8GA0BB0-CQKZJ DIMM, 16 pcs", "16x, M321R8GA0BB0-CQKZJ"),
            ("96GB DDR5 LR-DIMMs 2nd", ""),
            ("64GB DDR5 purple", ""),
            ("64GB DDR5 32GB", ""),
            ("DIMMs", ""),
        ] {
            let words = words(text);
            assert!(recognise(&words), "{text}");
            match DimmClaim::parse(text) {
                Ok(claim) => assert_eq!(claim.understood(), understood, "{text}"),
                Err(error) => assert_eq!(understood, "", "{text}: {error}"),
            }
        }
        let error = DimmClaim::parse("64GB DDR5 purple new").unwrap_err().to_string();
        assert!(error.contains("\"purple\"") && error.contains("64 GB, DDR5, new"), "{error}");
    }

    #[test]
    fn makers_by_name_and_by_id() {
        for (text, expected) in [
            ("Samsung", Some("Samsung")),
            ("80CE000080CE", Some("Samsung")),
            ("0x80CE", Some("Samsung")),
            ("Hynix Semiconductor", Some("SK hynix")),
            ("00AD063200AD", Some("SK hynix")),
            ("Micron Technology", Some("Micron")),
            ("802C0000802C", Some("Micron")),
            ("HP", None),
            ("Not Specified", None),
            ("0000", None),
        ] {
            assert_eq!(maker(text), expected, "{text}");
        }
    }
}
