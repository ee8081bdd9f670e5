//! What changed of a machine between two looks at it, by the identities that were signed.
//!
//! Parts of one kind are matched by an id that its maker gives to one unit only, and what is left by the part's own id: its
//! slot. So a module that sits in another slot has moved, and another module in the same slot was exchanged. What has no
//! value on one side could not be compared, and is told as that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::{names_unit, scope_of};
use crate::evidence::stand_in_id;
use crate::rule::{BLANK_IDENTITIES, Tables};

/// Kinds whose parts the kernel names in the order in which it finds them: another name is no other slot.
const NAMED_BY_KERNEL: [&str; 2] = ["drives", "nics"];
/// Last words in the names of facts that change with an update, and not with the part.
const REVISIONS: [&str; 3] = ["firmware", "bios_version", "microcode"];
/// The kernel's copies of ids that have kinds of their own, `boards` and `chassis`: where one look has no copy, those tell.
const COPIES: [&str; 2] = ["dmi.board_serial", "dmi.chassis_serial"];
/// Ids of the system itself, whichever source told them.
const SYSTEM_IDS: [&str; 2] = ["system_serial", "system_uuid"];
/// Facts about what runs on the machine.
const ENVIRONMENT: &str = "hypervisor.";
/// How much of a value is repeated.
const MAX_SHOWN_CHARS: usize = 200;

/// What happened to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is not there any more.
    Missing,
    /// Another one is in its place.
    Exchanged,
    /// It was not there before.
    Added,
    /// It sits elsewhere.
    Moved,
    /// It shows another firmware, or something else that an update changes.
    Changed,
    /// A value that one side has could not be read on the other.
    Unread,
}

impl Change {
    /// The word in reports: `missing`, `exchanged` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Exchanged => "exchanged",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Changed => "changed",
            Self::Unread => "not compared",
        }
    }

    /// Whether what was certified is not what is there.
    pub fn is_drift(self) -> bool {
        matches!(self, Self::Missing | Self::Exchanged)
    }
}

/// One difference between two identities. Texts come from the machine and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drift {
    /// Kind of part, as the identity names it: `dimms`.
    pub kind: String,
    /// Id of the part: of the later look, where it is there.
    pub part: String,
    /// What happened to it.
    pub change: Change,
    /// The fact that tells it; `id` for the part's own.
    pub fact: String,
    /// What was there before; none where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One part of an identity.
struct Part<'a> {
    id: String,
    facts: BTreeMap<&'a str, String>,
    /// Facts that could not be read, with the reason.
    unread: BTreeMap<&'a str, String>,
}

/// All differences, by kind and part. Takes any two values, also such as no version of this tool writes.
pub fn drift(before: &Value, after: &Value, tables: &Tables) -> Vec<Drift> {
    let kinds: BTreeSet<&str> =
        [before, after].into_iter().filter_map(Value::as_object).flat_map(|it| it.keys()).map(String::as_str).collect();
    let filler = |text: &str| tables.get(BLANK_IDENTITIES).is_none_or(|table| table.has(text));
    let mut found = Vec::new();
    for kind in kinds {
        compare_kind(kind, &parts(before.get(kind)), &parts(after.get(kind)), &filler, &mut found);
    }
    found
}

/// Whether both looks show one of the ids of the system itself. Without any, nothing but its parts says that it is the same.
pub fn is_system_compared(before: &Value, after: &Value, tables: &Tables) -> bool {
    let filler = |text: &str| tables.get(BLANK_IDENTITIES).is_none_or(|table| table.has(text));
    let shows = |identity: &Value, id: &str| {
        let system = parts(identity.get("system"));
        let mut facts = system.iter().flat_map(|part| &part.facts);
        facts.any(|(name, text)| name.rsplit('.').next() == Some(id) && !filler(text))
    };
    SYSTEM_IDS.iter().any(|id| shows(before, id) && shows(after, id))
}

fn compare_kind(
    kind: &str,
    before: &[Part<'_>],
    after: &[Part<'_>],
    filler: &dyn Fn(&str) -> bool,
    found: &mut Vec<Drift>,
) {
    let matches = match_parts(before, after, filler);
    // Firmware may call a slot so, of which then something is known.
    let stand_in = scope_of(kind).map(stand_in_id);
    let stands_in = |part: &Part<'_>| part.facts.is_empty() && stand_in.as_ref() == Some(&part.id);
    // Whether there may be more parts than a look shows: one stands for others, or of none there could anything be read.
    let is_blind = |part: &Part<'_>| part.facts.is_empty() && !part.unread.is_empty();
    let is_unread = |parts: &[Part<'_>]| parts.iter().any(stands_in) || !parts.is_empty() && parts.iter().all(is_blind);
    let mut tell = |part: &Part<'_>, change, fact: &str, before: Option<&str>, after: Option<&str>| {
        found.push(Drift {
            kind: shorten(kind),
            part: shorten(&part.id),
            change,
            fact: shorten(fact),
            before: before.map(shorten),
            after: after.map(shorten),
        });
    };
    let mut met = vec![false; after.len()];
    for (old, matched) in before.iter().zip(matches) {
        let Some(index) = matched else {
            match (stands_in(old), is_unread(after)) {
                // What stood for parts that could not be read is no part that could be missing.
                (true, _) => {}
                (false, true) => tell(old, Change::Unread, "id", Some(&describe(old)), None),
                (false, false) => tell(old, Change::Missing, "id", Some(&describe(old)), None),
            }
            continue;
        };
        met[index] = true;
        let new = &after[index];
        if old.id != new.id && !NAMED_BY_KERNEL.contains(&kind) {
            tell(new, Change::Moved, "id", Some(&old.id), Some(&new.id));
        }
        let names: BTreeSet<&str> =
            [&old.facts, &new.facts, &old.unread, &new.unread].into_iter().flat_map(|it| it.keys()).copied().collect();
        let is_in_both = |name: &str| old.facts.contains_key(name) && new.facts.contains_key(name);
        for &name in &names {
            let (was, is) = (value(old, name), value(new, name));
            // One exchange is told once: by the source that both looks have.
            if let Some(twin) = twin(name).filter(|twin| names.contains(twin.as_str()))
                && (value(old, &twin), value(new, &twin)) == (was, is)
                && (is_in_both(&twin), twin.as_str()) > (is_in_both(name), name)
            {
                continue;
            }
            let (was_unread, is_unread) = (unread(old, name), unread(new, name));
            let change = match (was, is) {
                (Some(_), None) | (None, Some(_))
                    if COPIES.contains(&name) && was_unread.is_none() && is_unread.is_none() =>
                {
                    continue;
                }
                (Some(was), Some(is)) if same(was, is) => continue,
                (Some(_), Some(_)) if is_revision(name) => Change::Changed,
                // What firmware prints where it knows nothing tells nothing of the part.
                (Some(was), Some(is)) if filler(was) && filler(is) => Change::Changed,
                (Some(was), Some(is)) if filler(was) || filler(is) => Change::Unread,
                (Some(_), Some(_)) => Change::Exchanged,
                // Neither look had it.
                (None, None) => continue,
                (Some(_), None) => Change::Unread,
                (None, Some(_)) if was_unread.is_some() => Change::Unread,
                // The maker's own "there is none", and now there is one.
                (None, Some(_)) => Change::Changed,
            };
            tell(new, change, name, was.or(was_unread), is.or(is_unread));
        }
    }
    for (new, _) in after.iter().zip(met).filter(|(new, met)| !met && !stands_in(new)) {
        let change = if is_unread(before) { Change::Unread } else { Change::Added };
        tell(new, change, "id", None, Some(&describe(new)));
    }
}

/// What a look shows as that fact. SMBIOS and the kernel's copy of it are one source, and a look may have only one of them.
fn value<'a>(part: &'a Part<'_>, name: &str) -> Option<&'a str> {
    let other = || part.facts.get(twin(name)?.as_str());
    part.facts.get(name).or_else(other).map(String::as_str)
}

/// Why a look does not show that fact, by the same two sources.
fn unread<'a>(part: &'a Part<'_>, name: &str) -> Option<&'a str> {
    let other = || part.unread.get(twin(name)?.as_str());
    part.unread.get(name).or_else(other).map(String::as_str)
}

/// The same fact by the other of those two.
fn twin(name: &str) -> Option<String> {
    match name.split_once('.')? {
        ("smbios", rest) => Some(format!("dmi.{rest}")),
        ("dmi", rest) => Some(format!("smbios.{rest}")),
        _ => None,
    }
}

/// For each part of before the one of after: with the same unit id and the same own id, then with the same unit id, then
/// with the same own id.
fn match_parts(before: &[Part<'_>], after: &[Part<'_>], filler: &dyn Fn(&str) -> bool) -> Vec<Option<usize>> {
    let units = |part: &Part<'_>| -> Vec<String> {
        let units = part.facts.iter().filter(|(name, text)| names_unit(name) && !filler(text));
        units.map(|(name, text)| format!("{name}\0{}", text.trim().to_ascii_uppercase())).collect()
    };
    let after_units: Vec<Vec<String>> = after.iter().map(units).collect();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    // An id that two parts show tells neither from the other.
    let mut by_unit: HashMap<&str, Option<usize>> = HashMap::new();
    for (index, part) in after.iter().enumerate() {
        by_id.entry(&part.id).or_insert(index);
        for unit in &after_units[index] {
            by_unit.entry(unit).and_modify(|it| *it = None).or_insert(Some(index));
        }
    }
    let before_units: Vec<Vec<String>> = before.iter().map(units).collect();
    let mut taken = vec![false; after.len()];
    let mut matches = vec![None; before.len()];
    let mut take = |index: usize, found: Option<usize>, matches: &mut Vec<Option<usize>>| {
        if let Some(found) = found.filter(|found| matches[index].is_none() && !taken[*found]) {
            taken[found] = true;
            matches[index] = Some(found);
        }
    };
    for (index, part) in before.iter().enumerate() {
        let same = by_id.get(part.id.as_str()).copied();
        let same = same.filter(|found| before_units[index].iter().any(|unit| after_units[*found].contains(unit)));
        take(index, same, &mut matches);
    }
    for (index, units) in before_units.iter().enumerate() {
        let moved = units.iter().find_map(|unit| by_unit.get(unit.as_str()).copied().flatten());
        take(index, moved, &mut matches);
    }
    for (index, part) in before.iter().enumerate() {
        take(index, by_id.get(part.id.as_str()).copied(), &mut matches);
    }
    matches
}

/// The parts of one kind; what is no list of objects counts as one part a value.
fn parts(kind: Option<&Value>) -> Vec<Part<'_>> {
    let values: &[Value] = match kind {
        None => &[],
        Some(Value::Array(values)) => values,
        Some(other) => std::slice::from_ref(other),
    };
    let mut parts: Vec<Part<'_>> = values
        .iter()
        .map(|value| {
            let mut part = Part { id: String::new(), facts: BTreeMap::new(), unread: BTreeMap::new() };
            let Some(fields) = value.as_object() else {
                part.facts.insert("value", text(value));
                return part;
            };
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("id", value) => part.id = text(value),
                    ("unknown", Value::Object(unknown)) => {
                        part.unread.extend(unknown.iter().map(|(name, state)| (name.as_str(), text(state))));
                    }
                    (name, value) => _ = part.facts.insert(name, text(value)),
                }
            }
            part
        })
        .collect();
    // Without an id of their own parts are told apart by their place.
    let mut seen = BTreeSet::new();
    for (index, part) in parts.iter_mut().enumerate() {
        if part.id.is_empty() || !seen.insert(part.id.clone()) {
            part.id = format!("{}#{index}", part.id);
        }
    }
    parts
}

/// What a part is, in a few words.
fn describe(part: &Part<'_>) -> String {
    let words: Vec<&str> = part.facts.values().map(String::as_str).take(4).collect();
    if words.is_empty() { part.id.clone() } else { format!("{} ({})", part.id, words.join(", ")) }
}

fn is_revision(name: &str) -> bool {
    name.starts_with(ENVIRONMENT) || REVISIONS.iter().any(|word| name.ends_with(word))
}

/// Letters look alike in more than one script: nothing but the case of ASCII and blanks around is ignored.
fn same(was: &str, is: &str) -> bool {
    was.trim().eq_ignore_ascii_case(is.trim())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rule::Signatures;

    fn changes(before: Value, after: Value) -> Vec<(String, Change)> {
        let tables = Signatures::embedded().unwrap().tables;
        drift(&before, &after, &tables).into_iter().map(|it| (it.part, it.change)).collect()
    }

    fn modules(serials: &[(&str, &str)]) -> Value {
        let parts: Vec<Value> = serials
            .iter()
            .map(|(slot, serial)| json!({"id": slot, "smbios.serial": serial, "smbios.part_number": "M321"}))
            .collect();
        json!({ "dimms": parts })
    }

    #[test]
    fn parts_are_matched_by_their_serial_number_and_then_by_their_slot() {
        let before = modules(&[("A", "12AB34CD"), ("B", "12AB34CE"), ("C", "12AB34CF")]);
        assert_eq!(changes(before.clone(), before.clone()), []);
        let told = |after: &[(&str, &str)]| changes(before.clone(), modules(after));
        let part = |id: &str, change| (id.to_owned(), change);
        assert_eq!(
            told(&[("B", "12AB34CD"), ("A", "12AB34CE"), ("C", "12ab34cf")]),
            [part("B", Change::Moved), part("A", Change::Moved)]
        );
        assert_eq!(told(&[("A", "12AB34CD"), ("C", "12AB34CF")]), [part("B", Change::Missing)]);
        assert_eq!(
            told(&[("A", "12AB34CD"), ("B", "FFFF0001"), ("C", "12AB34CF"), ("D", "FFFF0002")]),
            [part("B", Change::Exchanged), part("D", Change::Added)]
        );
        // A letter of another script is another serial number.
        assert_eq!(
            told(&[("A", "12\u{0410}B34CD"), ("B", "12AB34CE"), ("C", "12AB34CF")]),
            [part("A", Change::Exchanged)]
        );
        // A serial number that went away is no proof of another module, and none of the same.
        let blanked = [("A", "Not Specified"), ("B", "12AB34CE"), ("C", "12AB34CF")];
        assert_eq!(told(&blanked), [part("A", Change::Unread)]);
        // Modules without serial numbers stay where they are.
        let blank = modules(&[("A", "Not Specified"), ("B", "Not Specified")]);
        assert_eq!(changes(blank.clone(), blank), []);
    }

    #[test]
    fn firmware_changes_and_what_was_not_read_is_no_exchange() {
        let drive = |firmware: &str, unknown: Value| json!({"drives": [{"id": "drive:nvme0n1", "serial": "S64H", "firmware": firmware, "unknown": unknown}]});
        let told = changes(drive("A1", json!({})), drive("A2", json!({"wwid": "denied"})));
        assert_eq!(told, [("drive:nvme0n1".to_owned(), Change::Changed)]);
        let hidden = json!({"drives": [{"id": "drive:nvme1n1", "firmware": "A1", "unknown": {"serial": "denied"}}]});
        let told = changes(drive("A1", json!({})), hidden.clone());
        assert_eq!(told, [("drive:nvme0n1".to_owned(), Change::Missing), ("drive:nvme1n1".to_owned(), Change::Added)]);
        let same_slot = json!({"drives": [{"id": "drive:nvme0n1", "firmware": "A1", "unknown": {"serial": "denied"}}]});
        let told = changes(drive("A1", json!({})), same_slot.clone());
        assert_eq!(told, [("drive:nvme0n1".to_owned(), Change::Unread)]);
        assert_eq!(changes(same_slot, drive("A1", json!({}))), [("drive:nvme0n1".to_owned(), Change::Unread)]);
    }

    #[test]
    fn a_part_that_one_look_could_not_read_is_neither_missing_nor_new() {
        let look = |ids: &[&str]| {
            let parts: Vec<Value> = ids.iter().map(|id| json!({"id": format!("nvswitch:{id}")})).collect();
            json!({ "nvswitches": parts })
        };
        let (both, one, none) = (look(&["SWX-1", "SWX-2"]), look(&["SWX-1", "unread"]), look(&["unread"]));
        let unread = |id: &str| (format!("nvswitch:SWX-{id}"), Change::Unread);
        assert_eq!(changes(both.clone(), one.clone()), [unread("2")]);
        assert_eq!(changes(one, both.clone()), [unread("2")]);
        assert_eq!(changes(both.clone(), none.clone()), [unread("1"), unread("2")]);
        assert_eq!(changes(none.clone(), both.clone()), [unread("1"), unread("2")]);
        assert_eq!(changes(none.clone(), none), []);
        assert_eq!(changes(both, look(&["SWX-2"])), [("nvswitch:SWX-1".to_owned(), Change::Missing)]);

        // A slot that firmware calls so is one that can be missing.
        let slots = |names: &[&str]| {
            let parts: Vec<Value> = names.iter().map(|id| json!({"id": id, "smbios.serial": *id})).collect();
            json!({ "dimms": parts })
        };
        let named = slots(&["dimm:A", "dimm:unread"]);
        assert_eq!(changes(named.clone(), slots(&["dimm:A"])), [("dimm:unread".to_owned(), Change::Missing)]);
        assert_eq!(changes(named, slots(&["dimm:unread"])), [("dimm:A".to_owned(), Change::Missing)]);

        // Without the table nobody knows of more than one board.
        let boards = json!({"boards": [{"id": "board:0", "serial": "B0"}, {"id": "board:1", "serial": "B1"}]});
        let (first, second) = (json!({"serial": "B0"}), json!({"unknown": {"serial": "denied"}}));
        let one = |mut board: Value| {
            board["id"] = "board:0".into();
            json!({ "boards": [board] })
        };
        let part = |id: &str, change| (id.to_owned(), change);
        let denied = [part("board:0", Change::Unread), part("board:1", Change::Unread)];
        assert_eq!(changes(boards.clone(), one(second.clone())), denied);
        assert_eq!(changes(one(second), boards.clone()), denied);
        assert_eq!(changes(boards, one(first)), [part("board:1", Change::Missing)]);
    }

    #[test]
    fn smbios_and_the_kernels_copy_of_it_are_one_source() {
        let system = |facts: Value| {
            let mut system = json!({"id": "platform"});
            system.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
            json!({ "system": [system] })
        };
        let both = json!({"smbios.system_serial": "S1", "dmi.system_serial": "S1", "dmi.board_serial": "B1"});
        let (table, copy) = (json!({"smbios.system_serial": "S1"}), json!({"dmi.system_serial": "s1"}));
        for (before, after) in [(&both, &table), (&table, &copy), (&copy, &both), (&copy, &table)] {
            assert_eq!(changes(system(before.clone()), system(after.clone())), [], "{before} {after}");
        }
        let exchanged = |before: &Value, after: Value| {
            let changes = changes(system(before.clone()), system(after));
            !changes.is_empty() && changes.iter().all(|(_, change)| *change == Change::Exchanged)
        };
        assert!(exchanged(&copy, json!({"dmi.system_serial": "S2"})));
        assert!(exchanged(&table, json!({"dmi.system_serial": "S2"})));
        assert!(exchanged(&both, json!({"smbios.system_serial": "S1", "dmi.board_serial": "B2"})));
        let other = system(json!({"smbios.system_serial": "S2", "dmi.system_serial": "S2", "dmi.board_serial": "B1"}));
        assert_eq!(changes(system(both.clone()), other), [("platform".to_owned(), Change::Exchanged)]);
        // A copy that could not be read may have shown what the table had no value for.
        let hidden = system(json!({"dmi.board_serial": "B1", "unknown": {"dmi.system_serial": "denied"}}));
        assert_eq!(changes(hidden, system(both.clone())), [("platform".to_owned(), Change::Unread)]);
        let forged = system(json!({"smbios.system_serial": "S1", "dmi.system_serial": "S2", "dmi.board_serial": "B1"}));
        assert_eq!(changes(system(both.clone()), forged), [("platform".to_owned(), Change::Exchanged)]);
        let denied = json!({"unknown": {"dmi.system_serial": "denied", "smbios.system_serial": "denied"}});
        assert!(changes(system(copy.clone()), system(denied.clone())).iter().all(|(_, it)| *it == Change::Unread));

        let tables = Signatures::embedded().unwrap().tables;
        let compared = |before: &Value, after: &Value| {
            is_system_compared(&system(before.clone()), &system(after.clone()), &tables)
        };
        assert!(compared(&table, &copy));
        let blank = json!({"smbios.system_serial": "Not Specified", "smbios.system_uuid": "S1"});
        assert!(
            !compared(&copy, &denied)
                && !compared(&copy, &blank)
                && !is_system_compared(&json!({}), &json!([]), &tables)
        );
    }

    fn any_identity() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), "[A-C ]{0,3}".prop_map(Value::from),];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop_oneof![Just("id"), Just("unknown"), Just("serial"), Just("dimms"), Just("x")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_two_values_can_be_compared(before in any_identity(), after in any_identity()) {
            let tables = Tables::default();
            let _ = drift(&before, &after, &tables);
            prop_assert_eq!(drift(&before, &before, &tables), []);
        }
    }
}
