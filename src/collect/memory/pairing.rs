//! Which SPD image belongs to which slot of the SMBIOS table.
//!
//! Neither names the other: SMBIOS has slots, SPD bus addresses. The serial number joins them, in whatever notation firmware
//! printed it; where it does not, only what leaves no choice is joined. Two images never become one part, and a clone is two
//! images with one serial.

use std::collections::BTreeMap;

use crate::evidence::{Fact, FactPath, Value};

/// A shorter serial is a filler, or too short to be found in another by anything but chance.
const MIN_SERIAL: usize = 8;
/// A shorter beginning of a part number is no proof.
const MIN_PART: usize = 6;

/// Why an image belongs to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The serial number is the same.
    Serial,
    /// One image and one slot were left over.
    Remainder,
    /// As many images as slots were left over, and in their order all have the same size and part number.
    Order,
    /// As many images as slots were left over, and the images are first pages that all say the same: any order is right. The
    /// slots have their size.
    Alike,
}

impl Reason {
    /// The word in `dimm.spd.paired_by`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Remainder => "remainder",
            Self::Order => "order",
            Self::Alike => "alike",
        }
    }
}

/// What images and slots are matched by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// Letters and digits only; all notations in which an image's serial may be printed, or the one that a slot has.
    serials: Vec<String>,
    part: Option<String>,
    size_mib: Option<i64>,
    /// Everything that an image says which has neither serial nor part number.
    says: Vec<(String, String)>,
}

type Facts = BTreeMap<FactPath, Fact>;

fn known<'a>(facts: &'a Facts, path: &str) -> Option<&'a Value> {
    facts.get(path)?.reading.known()
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

impl Key {
    /// From `dimm.spd.*`.
    pub(crate) fn of_image(facts: &Facts) -> Self {
        let text = |path: &str| known(facts, path).and_then(Value::as_text).map(plain);
        let serial = text("dimm.spd.serial").filter(|serial| serial.len() == 8 && !is_blank(serial));
        let swapped = serial.as_ref().map(|serial| [&serial[6..], &serial[4..6], &serial[2..4], &serial[..2]].concat());
        let serials: Vec<String> = [serial, swapped, text("dimm.spd.long_serial")].into_iter().flatten().collect();
        let part = text("dimm.spd.part_number");
        let says = match (serials.is_empty(), &part) {
            (true, None) => facts.iter().filter_map(|(path, fact)| Some((path, fact.reading.known()?))).collect(),
            _ => Vec::new(),
        };
        Self {
            serials,
            part,
            size_mib: known(facts, "dimm.spd.capacity_mib").and_then(Value::as_integer),
            says: says.into_iter().map(|(path, value)| (path.to_string(), value.to_string())).collect(),
        }
    }

    /// From `dimm.smbios.*`.
    pub(crate) fn of_slot(facts: &Facts) -> Self {
        let text = |path: &str| known(facts, path).and_then(Value::as_text).map(plain);
        let serial = text("dimm.smbios.serial").filter(|serial| serial.len() >= MIN_SERIAL && !is_blank(serial));
        Self {
            serials: serial.into_iter().collect(),
            part: text("dimm.smbios.part_number"),
            size_mib: known(facts, "dimm.smbios.size_bytes").and_then(Value::as_integer).map(|bytes| bytes >> 20),
            says: Vec::new(),
        }
    }

    /// Whether the slot's serial contains one of the image's notations.
    fn same_serial(&self, slot: &Self) -> bool {
        self.serials.iter().any(|own| slot.serials.iter().any(|serial| serial.contains(own.as_str())))
    }

    fn same_kind(&self, slot: &Self) -> bool {
        let part = match (&self.part, &slot.part) {
            (Some(one), Some(other)) => {
                one.len().min(other.len()) >= MIN_PART
                    && (one.starts_with(other.as_str()) || other.starts_with(one.as_str()))
            }
            _ => false,
        };
        part && self.size_mib.is_some() && self.size_mib == slot.size_mib
    }

    /// Whether this image, which has nothing of its own, says what the other one does, and may be in the slot.
    fn same_page(&self, other: &Self, slot: &Self) -> bool {
        let size_fits = self.size_mib.zip(slot.size_mib).is_none_or(|(own, slot)| own == slot);
        !self.says.is_empty() && self.says == other.says && size_fits
    }
}

/// Zeros or Fs all over.
fn is_blank(serial: &str) -> bool {
    serial.bytes().all(|digit| digit == b'0') || serial.bytes().all(|digit| digit == b'F')
}

/// For each image the slot that it is in, and why.
pub(crate) fn pair(images: &[Key], slots: &[Key]) -> Vec<Option<(usize, Reason)>> {
    let mut pairs: Vec<Option<(usize, Reason)>> = vec![None; images.len()];
    let mut taken = vec![false; slots.len()];
    for (index, image) in images.iter().enumerate() {
        if pairs[index].is_some() {
            continue;
        }
        // Clones have one serial: as many images as slots go in order, or none does.
        let alike: Vec<usize> = (0..images.len())
            .filter(|other| pairs[*other].is_none() && images[*other].serials == image.serials)
            .collect();
        let free: Vec<usize> =
            (0..slots.len()).filter(|slot| !taken[*slot] && image.same_serial(&slots[*slot])).collect();
        if alike.len() == free.len() {
            for (image, slot) in alike.into_iter().zip(free) {
                pairs[image] = Some((slot, Reason::Serial));
                taken[slot] = true;
            }
        }
    }
    let rest: Vec<usize> = (0..images.len()).filter(|image| pairs[*image].is_none()).collect();
    let free: Vec<usize> = (0..slots.len()).filter(|slot| !taken[*slot]).collect();
    if rest.len() != free.len() {
        return pairs;
    }
    let reason = match rest.len() {
        1 => Reason::Remainder,
        _ if rest.iter().zip(&free).all(|(image, slot)| images[*image].same_kind(&slots[*slot])) => Reason::Order,
        _ if rest.iter().zip(&free).all(|(image, slot)| images[*image].same_page(&images[rest[0]], &slots[*slot])) => {
            Reason::Alike
        }
        _ => return pairs,
    };
    for (image, slot) in rest.into_iter().zip(free) {
        pairs[image] = Some((slot, reason));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(serial: &str, part: &str) -> Key {
        let swapped = [&serial[6..], &serial[4..6], &serial[2..4], &serial[..2]].concat();
        Key {
            serials: vec![serial.to_owned(), swapped],
            part: Some(part.to_owned()),
            size_mib: Some(65536),
            ..Key::default()
        }
    }

    fn slot(serial: &str, part: &str) -> Key {
        Key { serials: vec![serial.to_owned()], part: Some(part.to_owned()), size_mib: Some(65536), ..Key::default() }
    }

    fn paired(images: &[Key], slots: &[Key]) -> Vec<Option<usize>> {
        pair(images, slots).into_iter().map(|pair| pair.map(|(slot, _)| slot)).collect()
    }

    #[test]
    fn serials_join_in_every_notation() {
        let images = [image("42B2BF08", "M321R8GA0"), image("1949395D", "M321R8GA0"), image("04F96929", "M321R8GA0")];
        let slots = [
            slot("80CE01233104F96929", "X"),
            slot("08BFB242", "X"),
            slot("K12W0003361949395D", "X"),
            slot("AABBCCDD", "X"),
        ];
        assert_eq!(paired(&images, &slots), [Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn clones_stay_two_parts() {
        let clones = [image("42B2BF08", "M321R8GA0"), image("42B2BF08", "M321R8GA0")];
        let both = [slot("42B2BF08", "M321R8GA0"), slot("42B2BF08", "M321R8GA0")];
        assert_eq!(paired(&clones, &both), [Some(0), Some(1)]);
        // One slot for two images, or two slots for one image: nobody can tell.
        assert_eq!(paired(&clones, &both[..1]), [None, None]);
        assert_eq!(paired(&clones[..1], &both), [None]);
    }

    #[test]
    fn what_is_left_over_is_joined_only_without_a_choice() {
        let images = [image("42B2BF08", "M321R8GA0"), image("1949395D", "M393A8G40")];
        let blank = |part: &str| Key { serials: Vec::new(), ..slot("", part) };
        assert_eq!(pair(&images[..1], &[blank("OTHER1")]), [Some((0, Reason::Remainder))]);
        let slots = [blank("M321R8GA0BB0"), blank("M393A8G40")];
        assert_eq!(pair(&images, &slots), [Some((0, Reason::Order)), Some((1, Reason::Order))]);
        assert_eq!(paired(&images, &[slots[1].clone(), slots[0].clone()]), [None, None]);
        let smaller = Key { size_mib: Some(32768), ..slots[0].clone() };
        assert_eq!(paired(&images, &[smaller, slots[1].clone()]), [None, None]);
        assert_eq!(paired(&images, &[slots[0].clone()]), [None, None]);
        assert_eq!(paired(&[], &slots), []);
    }

    #[test]
    fn first_pages_are_joined_in_any_order_where_none_differs() {
        let page = |mts: &str| Key {
            says: vec![("dimm.spd.speed_mts".to_owned(), mts.to_owned())],
            size_mib: Some(65536),
            ..Key::default()
        };
        let slots = [slot("42B2BF08", "M321R8GA0"), slot("1949395D", "M393A8G40")];
        let alike = |index| Some((index, Reason::Alike));
        assert_eq!(pair(&[page("3200"), page("3200")], &slots), [alike(0), alike(1)]);
        assert_eq!(paired(&[page("3200"), page("2933")], &slots), [None, None]);
        assert_eq!(paired(&[page("3200"), page("3200"), page("3200")], &slots), [None, None, None]);
        let smaller = [Key { size_mib: Some(32768), ..slots[0].clone() }, slots[1].clone()];
        assert_eq!(paired(&[page("3200"), page("3200")], &smaller), [None, None]);
        // Nothing is known of these: they may be anything.
        assert_eq!(paired(&[Key::default(), Key::default()], &slots), [None, None]);
    }
}
