//! The modules' EEPROMs without a kernel driver, through `/dev/i2c-*`: what can be read without a write to the bus.
//!
//! An EEPROM of DDR3 or older shows all of its 256 bytes. One of DDR4 shows the page of 256 bytes that is selected (JEDEC
//! 21-C 4.1.6), a DDR5 hub that of 128 (JESD300-5, MR11). Selecting a page is a write to a bus that the memory controller and
//! the management controller use, and is not done: the rest is a reading with its reason. A page other than the first is not
//! made use of, since nothing in it says whose it is.
//!
//! Only controllers that memory is known to be on are asked, only at the addresses of modules, and only where no driver has
//! the address. Everything is read twice, and the page is asked for before and after.

use std::collections::BTreeSet;

use crate::collect::{read_text, reason};
use crate::evidence::{Reading, Value};
use crate::host::{Host, Query};
use crate::parse::spd::{self, DramType};

use super::spd::DEVICES;

/// How the names of controllers begin that memory is on. Graphics cards, displays and network cards have buses too, with
/// other things at these addresses.
const CONTROLLERS: [&str; 3] = ["SMBus I801 adapter", "SMBus PIIX4 adapter", "SMBus stub driver"];
/// Controllers of one machine that are asked. AMD's have up to five ports.
const MAX_BUSES: usize = 16;
/// Addresses that fail before a bus is given up: each may wait for its deadline.
const MAX_FAILURES: usize = 2;
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x50..=0x57;

/// MR11: the page in bits 2-0, addresses of two bytes in bit 3; the rest is zero.
const HUB_MODE: u8 = 11;
/// Command of the first byte of a hub's page.
const HUB_PAGE: u8 = 0x80;
const HUB_PAGE_BYTES: u16 = 128;
const EEPROM_BYTES: u16 = 256;

/// Why the rest of an image is not there.
const REST_OF_DDR4: &str =
    "only the selected page can be read without a write to the bus; the ee1004 driver, loaded, reads the others";
const REST_OF_DDR5: &str =
    "only the selected page can be read without a write to the bus; the spd5118 driver, loaded, reads the others";

/// A module that answered.
pub(super) struct Module {
    /// Name as the kernel would give it: `0-0050`.
    pub device: String,
    /// Bus, address, and how much was read.
    pub source: String,
    /// What it gave.
    pub content: Content,
}

/// What a module gave.
pub(super) enum Content {
    /// Bytes.
    Image {
        /// The first reading.
        first: Vec<u8>,
        /// The second one.
        again: Reading<Vec<u8>>,
        /// Why the rest is not there; `None` where the image is whole.
        rest: Option<&'static str>,
    },
    /// It is one, and cannot be read.
    Unread(Reading<Value>),
}

/// What all buses gave.
#[derive(Default)]
pub(super) struct Survey {
    pub modules: Vec<Module>,
    /// Why there is nothing where something may be, for a person.
    pub notes: Vec<String>,
    /// Whether the device files are for root only.
    pub denied: bool,
    /// Whether something answered that could not be read.
    pub failed: bool,
}

/// Asks every controller, but for the devices in `taken`.
pub(super) fn survey(host: &dyn Host, devices: &[String], taken: &BTreeSet<&str>) -> Survey {
    let mut survey = Survey::default();
    let buses = devices.iter().filter_map(|name| name.strip_prefix("i2c-")?.parse::<u32>().ok());
    let controllers = buses.filter_map(|bus| {
        let name = read_text(host, &format!("{DEVICES}/i2c-{bus}/name")).into_known()?;
        CONTROLLERS.iter().any(|controller| name.starts_with(controller)).then_some((bus, name))
    });
    for (bus, name) in controllers.take(MAX_BUSES) {
        survey.bus(host, bus, &name, taken);
    }
    survey
}

impl Survey {
    fn bus(&mut self, host: &dyn Host, bus: u32, name: &str, taken: &BTreeSet<&str>) {
        let (mut failures, mut free, mut answered) = (0, 0, 0);
        for address in ADDRESSES {
            let device = format!("{bus}-{address:04x}");
            let driver = host.link(&format!("{DEVICES}/{device}/driver")).into_known();
            if taken.contains(device.as_str()) || driver.is_some() {
                continue;
            }
            free += 1;
            let answer = Address { host, bus, address }.read();
            answered += usize::from(!matches!(answer, Answer::Nobody));
            match answer {
                Answer::Nobody => {}
                Answer::Module(content) => {
                    let part = match &content {
                        Content::Image { rest: Some(_), .. } => ", first page only",
                        _ => "",
                    };
                    let source = format!("/dev/i2c-{bus} at {address:#04x} ({name}, no driver{part})");
                    self.modules.push(Module { device, source, content });
                }
                Answer::Stranger(why) => self.notes.push(format!("{device}: {why}")),
                Answer::Unclear(why) => {
                    self.failed = true;
                    self.notes.push(format!("{device}: {why}"));
                }
                Answer::Refused(Reading::Failed(why)) => {
                    self.failed = true;
                    failures += 1;
                    self.notes.push(format!("{device}: {why}"));
                    if failures == MAX_FAILURES {
                        self.notes.push(format!("/dev/i2c-{bus} was given up"));
                        return;
                    }
                }
                Answer::Refused(Reading::Denied) => {
                    self.denied = true;
                    return self.notes.push(format!("/dev/i2c-{bus} is for root only"));
                }
                Answer::Refused(_) => {
                    return self
                        .notes
                        .push(format!("there is no /dev/i2c-{bus} that reads single bytes (modprobe i2c-dev)"));
                }
            }
        }
        if free > 0 && answered == 0 {
            self.notes.push(format!("nothing answers at 50h to 57h of /dev/i2c-{bus} ({name})"));
        }
    }
}

enum Answer {
    Nobody,
    /// The bus cannot be asked, or not now.
    Refused(Reading<Value>),
    Module(Content),
    /// No module.
    Stranger(&'static str),
    /// Perhaps a module.
    Unclear(String),
}

/// One address of a bus.
struct Address<'a> {
    host: &'a dyn Host,
    bus: u32,
    address: u8,
}

impl Address<'_> {
    fn read(&self) -> Answer {
        match self.bytes(0, 3, 0) {
            Reading::Absent => Answer::Nobody,
            Reading::Known(head) => match head[..] {
                [0x51, 0x18, _] => Answer::Module(self.hub()),
                [_, _, kind] => self.eeprom(DramType::of(kind)),
                _ => Answer::Nobody,
            },
            other => Answer::Refused(reason(&other)),
        }
    }

    /// The selected page of a DDR5 hub. Its registers below 80h are the same on every page.
    fn hub(&self) -> Content {
        let failed = |why: String| Content::Unread(Reading::Failed(why));
        let mode = |turn| self.bytes(HUB_MODE, 1, turn);
        let before = mode(0);
        match before.as_ref().map(|mode| mode[..].to_vec()) {
            Reading::Known(mode) => match mode[..] {
                [0] => {}
                [page @ 1..=7] => {
                    return failed(format!("page {page} of the hub is selected, and selecting the first is a write"));
                }
                _ => return failed("the hub's register MR11 is not set for addresses of one byte".to_owned()),
            },
            other => return Content::Unread(reason(&other)),
        }
        let (first, again) = self.twice(HUB_PAGE, HUB_PAGE_BYTES);
        if mode(1) != before {
            return failed("somebody turned the page during the reading".to_owned());
        }
        match first {
            Reading::Known(first) => Content::Image { first, again, rest: Some(REST_OF_DDR5) },
            other => Content::Unread(reason(&other)),
        }
    }

    /// An EEPROM whose byte 2 says that. It may be another page's byte, or another device's.
    fn eeprom(&self, kind: Option<DramType>) -> Answer {
        let rest = match kind {
            Some(DramType::Ddr | DramType::Ddr2 | DramType::Ddr3) => None,
            _ => {
                match self.page(0) {
                    Reading::Known(_) => {}
                    Reading::Absent => {
                        return Answer::Unclear(
                            "another page than the first is selected, and selecting that is a write to the bus; or it is \
                             no module's EEPROM"
                                .to_owned(),
                        );
                    }
                    other => {
                        return Answer::Unclear(format!("which page is selected cannot be told: {}", said(&other)));
                    }
                }
                match kind {
                    Some(DramType::Ddr4 | DramType::Lpddr3 | DramType::Lpddr4 | DramType::Lpddr4X) => {
                        Some(REST_OF_DDR4)
                    }
                    _ => return Answer::Stranger("what answers is no SPD image: a blank one, or another device"),
                }
            }
        };
        let (first, again) = self.twice(0, EEPROM_BYTES);
        if rest.is_some() && !matches!(self.page(1), Reading::Known(_)) {
            return Answer::Unclear("somebody turned the page during the reading".to_owned());
        }
        match first {
            Reading::Known(first) => {
                let is_image = |bytes: &Vec<u8>| spd::recognise(bytes);
                if is_image(&first) || again.known().is_some_and(is_image) {
                    Answer::Module(Content::Image { first, again, rest })
                } else {
                    Answer::Unclear("what answers is no SPD image: another page of one, or another device".to_owned())
                }
            }
            other => Answer::Unclear(said(&other)),
        }
    }

    fn bytes(&self, first: u8, count: u16, turn: u8) -> Reading<Vec<u8>> {
        let read = self.host.ask(&Query::SmbusBytes { bus: self.bus, address: self.address, first, count, turn });
        read.and_then(|bytes| match bytes.len() {
            length if length == usize::from(count) => Reading::Known(bytes),
            length => Reading::Failed(format!("{length} bytes instead of {count}")),
        })
    }

    /// The same bytes twice; what failed once is not waited for again.
    fn twice(&self, first: u8, count: u16) -> (Reading<Vec<u8>>, Reading<Vec<u8>>) {
        let read = self.bytes(first, count, 0);
        let again = read.as_ref().and_then(|_| self.bytes(first, count, 1));
        (read, again)
    }

    /// Whether page 0 is selected. All EEPROMs of a bus turn together; each module asks anew.
    fn page(&self, turn: u8) -> Reading<Vec<u8>> {
        self.host.ask(&Query::SmbusPage { bus: self.bus, turn: (self.address - ADDRESSES.start()) * 2 + turn })
    }
}

/// A reading without a value, for a person.
fn said<T>(reading: &Reading<T>) -> String {
    match reading {
        Reading::Failed(why) => why.clone(),
        other => other.state().to_owned(),
    }
}
