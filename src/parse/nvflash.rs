//! What nvflash prints: the listing of `nvflash --version`, the adapters of `--list`, and the lines of a flash.
//!
//! ```text
//! <1> GeForce RTX 3080     (10DE,2206,1043,87B0) S:00,B:0F,D:00,F:00     the card, as PCI shows it
//! Build GUID            : 36762E5D66904B30A099C58D53966BF5               its image, or that of a file
//! IFR Subsystem ID      : 1043-87B0
//! Version               : 94.02.42.40.66
//!
//! Overriding the PCI Subsystem ID mismatch.
//! Current      - Version:86.02.46.00.0A ID:10DE:1B07:0000:0000           the card before the flash
//! Replace with - Version:86.02.46.00.0A ID:10DE:1B07:19DA:3474           the image that goes onto it
//! ```
//!
//! People paste it with prompts, time stamps and progress around it: lines that are none of these are passed over.

/// Lines that are looked at.
const MAX_LINES: usize = 100_000;
/// A server has 16.
const MAX_ADAPTERS: usize = 256;
/// Most bytes of one value.
const MAX_VALUE_BYTES: usize = 256;
/// Mismatches that are kept for one card.
const MAX_MISMATCHES: usize = 16;

/// One card, or one image file. A field that was not printed, or as `N/A`, is `None`. Text is as it was printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Name that nvflash has for the card.
    pub name: Option<String>,
    /// PCI address: `0000:0f:00.0`.
    pub address: Option<String>,
    /// What the card shows on the bus, before any flash that follows in the text.
    pub pci: Option<PciIds>,
    /// What its image says.
    pub image: Image,
    /// The image that replaces it.
    pub replacement: Option<Replacement>,
    /// Mismatches between card and new image that nvflash named: `PCI Subsystem ID`.
    pub mismatches: Vec<String>,
}

/// The ids of a PCI function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PciIds {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id; 0 where the card has none.
    pub subsystem_vendor: u16,
    /// Subsystem id; 0 where the card has none.
    pub subsystem_device: u16,
}

/// An image that nvflash is about to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its version.
    pub version: String,
    /// The ids that it is for.
    pub ids: PciIds,
}

/// The lines of `nvflash --version`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Version, upper case: `94.02.42.40.66`.
    pub version: Option<String>,
    /// Build number.
    pub build_number: Option<u32>,
    /// Build GUID, 32 hexadecimal digits.
    pub build_guid: Option<String>,
    /// Build date: `10/23/20`, month first.
    pub build_date: Option<String>,
    /// Date of the last change by the board's maker.
    pub modification_date: Option<String>,
    /// Vendor id that it is for.
    pub vendor_id: Option<u16>,
    /// Device id that it is for.
    pub device_id: Option<u16>,
    /// Subsystem vendor id.
    pub subsystem_vendor_id: Option<u16>,
    /// Subsystem id.
    pub subsystem_device_id: Option<u16>,
    /// Subsystem vendor id and subsystem id in the init-from-ROM header.
    pub ifr_subsystem: Option<(u16, u16)>,
    /// Chip SKU: `300-0`.
    pub chip_sku: Option<String>,
    /// Project and its SKU: `G150-0031`.
    pub project: Option<String>,
    /// Board id.
    pub board_id: Option<u16>,
    /// Text that the card shows when it starts.
    pub sign_on: Option<String>,
    /// Product name.
    pub product_name: Option<String>,
    /// Hierarchy: `Normal Board`.
    pub hierarchy: Option<String>,
    /// Version of the InfoROM's image: `G001.0000.03.03`.
    pub inforom_version: Option<String>,
    /// Version of the EFI driver.
    pub uefi_version: Option<String>,
    /// Hash that nvflash makes of the image.
    pub image_hash: Option<String>,
}

/// Every card that the text names, in its order; empty when it is not of nvflash. A card that comes again, after a flash
/// or in another list, stays one entry. What was listed first stays, unless a flash came between.
pub fn parse(text: &str) -> Vec<Adapter> {
    let mut reader = Reader::default();
    for line in text.lines().take(MAX_LINES) {
        reader.line(line);
        if reader.adapters.len() > MAX_ADAPTERS {
            break;
        }
    }
    reader.close_block();
    reader.adapters.truncate(MAX_ADAPTERS);
    reader.adapters
}

/// Keys that no other tool prints; other ones alone make no listing.
const OWN_KEYS: &[&str] = &["build guid", "ifr subsystem id", "hierarchy id", "sign-on message", "uefi variant id"];

#[derive(Default)]
struct Reader {
    adapters: Vec<Adapter>,
    /// The card that the next lines belong to.
    current: Option<usize>,
    /// Lines of a listing that are not yet given to a card.
    block: Image,
    seen: Vec<String>,
    pending_mismatches: Vec<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let flashes = line.contains("Version:");
        if let Some((name, ids, address)) = adapter_line(line) {
            self.close_block();
            self.adapter(name, ids, address);
        } else if let Some((ids, version)) = flashes.then(|| flash_line(line, "Current")).flatten() {
            self.close_block();
            let same = |adapter: &Adapter| adapter.pci.is_none_or(|pci| pci == ids);
            let index = match self.current.filter(|&index| same(&self.adapters[index])) {
                Some(index) => index,
                None => self.push(Adapter::default()),
            };
            let adapter = &mut self.adapters[index];
            adapter.pci.get_or_insert(ids);
            adapter.image.version.get_or_insert(version);
            adapter.mismatches.append(&mut self.pending_mismatches);
        } else if let Some((ids, version)) = flashes.then(|| flash_line(line, "Replace with")).flatten() {
            if let Some(index) = self.current {
                self.adapters[index].replacement.get_or_insert(Replacement { version, ids });
            }
        } else if let Some(what) = mismatch(line) {
            // nvflash says so before it names the card.
            if self.pending_mismatches.len() < MAX_MISMATCHES && !self.pending_mismatches.contains(&what) {
                self.pending_mismatches.push(what);
            }
        } else if let Some((key, value)) = field(line) {
            if self.seen.contains(&key) {
                self.close_block();
            }
            set(&mut self.block, &key, value);
            self.seen.push(key);
        }
    }

    /// The card of that line: one that is known already, or a new one.
    fn adapter(&mut self, name: Option<String>, ids: PciIds, address: Option<String>) {
        // Cards of one model without addresses can't be told apart, so none is merged with another.
        let same = |it: &Adapter| it.address == address || it.address.is_none() && it.pci == Some(ids);
        let known = address.is_some().then(|| self.adapters.iter().position(same)).flatten();
        let index = known.unwrap_or_else(|| self.push(Adapter::default()));
        self.current = Some(index);
        let adapter = &mut self.adapters[index];
        adapter.pci.get_or_insert(ids);
        adapter.name = adapter.name.take().or(name);
        adapter.address = adapter.address.take().or(address);
    }

    fn push(&mut self, adapter: Adapter) -> usize {
        self.adapters.push(adapter);
        self.current = Some(self.adapters.len() - 1);
        self.adapters.len() - 1
    }

    /// Gives the collected lines to the card above them, or to one of their own where there is none or it has an image.
    fn close_block(&mut self) {
        let own = self.seen.iter().any(|key| OWN_KEYS.contains(&key.as_str()));
        let block = std::mem::take(&mut self.block);
        self.seen.clear();
        if !own {
            return;
        }
        let of_card = self.current.filter(|&index| belongs(&self.adapters[index], &block));
        let index = of_card.unwrap_or_else(|| self.push(Adapter::default()));
        let Adapter { image, replacement, .. } = &mut self.adapters[index];
        if replacement.as_ref().is_some_and(|new| block.version.as_ref() == Some(&new.version)) {
            // The new image has taken its place.
            *image = block;
            *replacement = None;
        } else if image.build_guid.is_none() && image.ifr_subsystem.is_none() && image.build_number.is_none() {
            // There is no more than the version in the lines of a flash.
            let version = image.version.take();
            *image = block;
            image.version = version.or(image.version.take());
        }
    }
}

/// Whether a listing can be that of the card above it: for another chip, or a second one without a line of its own,
/// it is not.
fn belongs(adapter: &Adapter, block: &Image) -> bool {
    match (adapter.pci, block.device_id) {
        (Some(pci), Some(device)) => pci.device == device,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// `<1> NAME (10DE,2206,1043,87B0) S:00,B:0F,D:00,F:00`, also with `Adapter:` in front, `H:--:NRM` and `PCI` within.
fn adapter_line(line: &str) -> Option<(Option<String>, PciIds, Option<String>)> {
    let (before, rest) = line.rsplit_once('(')?;
    let (ids, behind) = rest.split_once(')')?;
    let mut words = ids.split(',').map(hex_word);
    let ids = PciIds {
        vendor: words.next()??,
        device: words.next()??,
        subsystem_vendor: words.next()??,
        subsystem_device: words.next()??,
    };
    if words.next().is_some() || !plausible(ids) {
        return None;
    }
    let name = before.rsplit_once("Adapter:").map_or(before, |(_, name)| name);
    let name = name.split_once('>').filter(|(index, _)| index.contains('<')).map_or(name, |(_, name)| name);
    let part = |letter: &str| {
        let field = behind.split([',', ' ', '\t']).find_map(|field| field.strip_prefix(letter)?.strip_prefix(':'))?;
        u16::from_str_radix(field, 16).ok()
    };
    let address = part("B").zip(part("D")).map(|(bus, device)| {
        format!("{:04x}:{bus:02x}:{device:02x}.{:x}", part("S").unwrap_or(0), part("F").unwrap_or(0))
    });
    Some((shown(name), ids, address))
}

/// `Current - Version:86.02.46.00.0A ID:10DE:1B07:0000:0000`.
fn flash_line(line: &str, start: &str) -> Option<(PciIds, String)> {
    let rest = line.split_once(start)?.1.trim_start().strip_prefix('-')?;
    let version = rest.split_once("Version:")?.1.split_whitespace().next().and_then(version)?;
    let mut words = rest.split_once("ID:")?.1.split_whitespace().next()?.split(':').map(hex_word);
    let ids = PciIds {
        vendor: words.next()??,
        device: words.next()??,
        subsystem_vendor: words.next()??,
        subsystem_device: words.next()??,
    };
    plausible(ids).then_some((ids, version))
}

/// `Overriding the PCI Subsystem ID mismatch.`, `Firmware image PCI Subsystem ID (1043.87B0) does not match adapter …`
fn mismatch(line: &str) -> Option<String> {
    // Every line of every text comes here: one search for what most of them lack.
    if !line.contains("atch") {
        return None;
    }
    let overridden = line.split_once("Overriding ").and_then(|(_, rest)| rest.split_once(" mismatch"));
    let what = match overridden {
        Some((what, _)) => what.trim_start_matches("the "),
        None => line.split_once("irmware image ")?.1.split_once(" does not match adapter")?.0.split('(').next()?,
    };
    shown(what)
}

/// A key and its value. In front of the key there may be digits and signs, as of a time stamp or a quote.
fn field(line: &str) -> Option<(String, &str)> {
    const KEYS: &[&str] = &[
        "sign-on message",
        "build guid",
        "build number",
        "ifr subsystem id",
        "subsystem vendor id",
        "subsystem id",
        "version",
        "image hash",
        "product name",
        "board id",
        "vendor id",
        "device id",
        "hierarchy id",
        "chip sku",
        "project",
        "build date",
        "modification date",
        "uefi version",
        "uefi variant id",
        "inforom version",
    ];
    // Time stamps have colons as well.
    line.match_indices(':').take(8).find_map(|(at, _)| {
        let key = line[..at].trim_start_matches(|it: char| !it.is_ascii_alphabetic()).trim_end();
        let key = KEYS.iter().find(|known| known.eq_ignore_ascii_case(key))?;
        let value = line[at + 1..].trim().trim_end_matches(['|', '│']).trim_end();
        Some(((*key).to_owned(), value))
    })
}

fn set(image: &mut Image, key: &str, value: &str) {
    if matches!(value.to_ascii_lowercase().as_str(), "" | "n/a" | "none" | "unknown" | "not present") {
        return;
    }
    match key {
        "sign-on message" => image.sign_on = shown(value),
        "build guid" => {
            let digits = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
            image.build_guid = digits.then(|| value.to_ascii_uppercase());
        }
        "build number" => image.build_number = value.parse().ok(),
        "ifr subsystem id" => {
            image.ifr_subsystem = value.split_once('-').and_then(|(vendor, id)| hex_word(vendor).zip(hex_word(id)));
        }
        "subsystem vendor id" => image.subsystem_vendor_id = hex_word(value),
        "subsystem id" => image.subsystem_device_id = hex_word(value),
        "version" => image.version = version(value),
        "image hash" => image.image_hash = shown(value),
        "product name" => image.product_name = shown(value),
        "board id" => image.board_id = hex_word(value),
        "vendor id" => image.vendor_id = hex_word(value),
        "device id" => image.device_id = hex_word(value),
        "hierarchy id" => image.hierarchy = shown(value),
        "chip sku" => image.chip_sku = shown(value),
        "project" => image.project = shown(value),
        "build date" => image.build_date = shown(value),
        "modification date" => image.modification_date = shown(value),
        "uefi version" => image.uefi_version = shown(value),
        "inforom version" => image.inforom_version = shown(value),
        _ => {}
    }
}

/// Four hexadecimal digits at most, with or without `0x`.
fn hex_word(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let fits = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Five pairs of hexadecimal digits.
fn version(text: &str) -> Option<String> {
    let pairs = text.split('.').filter(|it| it.len() == 2 && it.bytes().all(|byte| byte.is_ascii_hexdigit())).count();
    (pairs == 5 && text.len() == 14).then(|| text.to_ascii_uppercase())
}

fn plausible(ids: PciIds) -> bool {
    ids.vendor == 0x10de && ids.device != 0
}

/// Text of a value; `None` where it is empty or longer than any.
fn shown(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_VALUE_BYTES).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_cards_with_noise_around() {
        let text = "$ sudo ./nvflash --list\nNVIDIA Firmware Update Utility (Version 5.670.0)\n\
            <0> GeForce RTX 3090 (10DE,2204,1458,403B) H:--:NRM  S:00,B:01,PCI,D:00,F:00\n\
            <1> GeForce RTX 3090 (10DE,2204,1043,87B3) H:--:NRM  S:01,B:81,PCI,D:00,F:00\n\
            Adapter: GeForce RTX 3090 (10DE,2204,1458,403B) S:00,B:01,D:00,F:00\n\
            12:00:01 Build GUID : 00112233445566778899aabbccddeeff\n\
            > Version               : 94.02.26.48.b3  |\n\
            UEFI Version          : 0x60009 ( x64 )\n\
            IFR Subsystem ID      : N/A\n\
            Adapter: GeForce RTX 3090 (10DE,2204,1043,87B3) S:01,B:81,D:00,F:00\n\
            Build GUID : N/A\nVersion : 94.02.42.00.a9\nChip SKU : 300-0\n";
        let [one, two] = parse(text).try_into().unwrap();
        assert_eq!(one.address.as_deref(), Some("0000:01:00.0"));
        assert_eq!(one.name.as_deref(), Some("GeForce RTX 3090"));
        assert_eq!(one.image.build_guid.as_deref(), Some("00112233445566778899AABBCCDDEEFF"));
        assert_eq!(one.image.version.as_deref(), Some("94.02.26.48.B3"));
        assert_eq!(one.image.ifr_subsystem, None);
        assert_eq!(one.image.uefi_version.as_deref(), Some("0x60009 ( x64 )"));
        assert_eq!(two.address.as_deref(), Some("0001:81:00.0"));
        assert_eq!(two.pci.map(|ids| (ids.subsystem_vendor, ids.subsystem_device)), Some((0x1043, 0x87b3)));
        assert_eq!(
            (two.image.version.as_deref(), two.image.chip_sku.as_deref()),
            (Some("94.02.42.00.A9"), Some("300-0"))
        );
    }

    #[test]
    fn two_image_files_without_a_card() {
        let text = "Build GUID : 00112233445566778899AABBCCDDEEFF\nVersion : 94.02.26.48.B3\nDevice ID : 0x2204\n\
            Build GUID : FF112233445566778899AABBCCDDEEFF\nVersion : 94.02.42.00.A9\nDevice ID : 0x2204\n";
        let found = parse(text);
        let versions: Vec<_> = found.iter().filter_map(|it| it.image.version.as_deref()).collect();
        assert_eq!(versions, ["94.02.26.48.B3", "94.02.42.00.A9"]);
    }

    #[test]
    fn a_refused_image_names_its_mismatch() {
        let text = "WARNING: Firmware image PCI Subsystem ID (1043.87B0)\n\
            WARNING: Firmware image PCI Subsystem ID (1043.87B0) does not match adapter PCI Subsystem ID (10DE.1467).\n\
            Current      - Version:94.02.20.00.07 ID:10DE:2206:10DE:1467\n\
            Replace with - Version:94.02.42.40.66 ID:10DE:2206:1043:87B0\n";
        let [card] = parse(text).try_into().unwrap();
        assert_eq!(card.mismatches, ["PCI Subsystem ID"]);
        assert_eq!(card.replacement.unwrap().ids.subsystem_device, 0x87b0);
    }

    #[test]
    fn after_a_flash_the_card_has_the_new_image() {
        let listing = |version: &str| {
            format!(
                "<0> X (10DE,2206,1043,87B0) S:00,B:0F,D:00,F:00\nBuild Number : {}\nIFR Subsystem ID : 1043-87B0\n\
                 Version : {version}\n",
                if version.ends_with("66") { 2 } else { 1 }
            )
        };
        let flash = "Current      - Version:94.02.20.00.07 ID:10DE:2206:1043:87B0\n\
            Replace with - Version:94.02.42.40.66 ID:10DE:2206:1043:87B0\n";
        let text = listing("94.02.20.00.07") + flash + &listing("94.02.42.40.66");
        let [card] = parse(&text).try_into().unwrap();
        assert_eq!((card.image.version.as_deref(), card.image.build_number), (Some("94.02.42.40.66"), Some(2)));
        assert_eq!((card.replacement, card.mismatches), (None, vec![]));
    }

    #[test]
    fn other_listings_are_none() {
        for text in [
            "",
            "    Product Name : Tesla T4\n    Board ID : 0x1700\n    Vendor ID : 0x10DE\n    Version : 90.04.38.00.03\n",
            "01:00.0 VGA compatible controller [0300]: NVIDIA Corporation GA102 [10de:2204] (rev a1)",
        ] {
            assert_eq!(parse(text), []);
        }
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec("(<1> X |Current - |Replace with - |Version ?: ?|Build GUID: |Overriding the )?[:(),. 0-9A-Fa-fé]{0,40}( mismatch)?", 0..40)) {
            parse(&lines.join("\n"));
        }
    }
}
