//! Many devices, compared with each other: each is there once, and GPUs and switches name each other.

use std::collections::BTreeSet;

use super::{Device, DeviceKind, Pdi};
use crate::attest::verify::{Failure, FailureClass};

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Devices that are there twice, and lists of other devices than are there.
    pub failures: Vec<Failure>,
    /// Lists that name more devices than are there, or fewer, and no other ones that could be none of [`Unsigned`]: evidence is
    /// missing, or a link is down.
    pub uneven: Vec<Failure>,
    /// GPUs that name no switch that the others name: of two boards, or of two machines. Where there are switches to compare
    /// them with, these decide.
    pub apart: Vec<Failure>,
    /// What could not be compared, a sentence each.
    pub not_proven: Vec<String>,
    /// Whether GPUs and switches name each other; `None` where there are not both.
    pub topology: Option<bool>,
}

/// Devices that are known to be there, and of which there is no evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsigned {
    /// How many GPUs.
    pub gpus: usize,
    /// How many NVSwitches.
    pub switches: usize,
}

/// Compares the devices of one machine. Each comes with the name by which its reader knows it: two devices with one id have
/// one label.
pub fn compare(named: &[(&str, &Device)], unsigned: Unsigned) -> Fleet {
    let mut fleet = Fleet::default();
    duplicates(named, &mut fleet);
    topology(&named.iter().map(|(_, device)| *device).collect::<Vec<_>>(), unsigned, &mut fleet);
    fleet
}

fn duplicates(named: &[(&str, &Device)], fleet: &mut Fleet) {
    for (index, (name, device)) in named.iter().enumerate() {
        let own = device.identity().map(|(_, pdi)| pdi);
        let key = &device.chain.leaf().public_key;
        let earlier = named.iter().take(index).find_map(|(earlier, other)| {
            let pdi = own.filter(|own| other.identity().is_some_and(|(_, pdi)| pdi == *own));
            let same_key = other.chain.leaf().public_key == *key;
            match (pdi, same_key) {
                (Some(pdi), _) => Some((earlier, format!("PDI {pdi}"))),
                (None, true) => Some((earlier, format!("key of certificate {}", device.chain.leaf().serial))),
                (None, false) => None,
            }
        });
        if let Some((earlier, id)) = earlier {
            let what = format!("{id} of {name}");
            let observed = format!("{earlier} has it too");
            fleet.failures.push(Failure::new(
                FailureClass::Duplicate,
                &what,
                "an id that no other device has",
                &observed,
            ));
        }
    }
}

fn topology(devices: &[&Device], unsigned: Unsigned, fleet: &mut Fleet) {
    let of = |kind: DeviceKind| -> BTreeSet<Pdi> {
        let same = devices.iter().filter_map(|device| device.identity()).filter(|(own, _)| *own == kind);
        same.map(|(_, pdi)| pdi).collect()
    };
    let (gpus, switches) = (of(DeviceKind::Gpu), of(DeviceKind::Switch));
    let mut listed = 0;
    for device in devices {
        let (list, there, others, unsigned) = match device.identity() {
            Some((DeviceKind::Gpu, _)) => (device.switches(), &switches, "switches", unsigned.switches),
            Some((DeviceKind::Switch, _)) => (device.gpus(), &gpus, "GPUs", unsigned.gpus),
            None => continue,
        };
        match list {
            Some(_) if there.is_empty() => {}
            Some(list) => {
                listed += 1;
                let absent = list.difference(there).count();
                if list.is_superset(there) && (1..=unsigned).contains(&absent) {
                    fleet.not_proven.push(format!(
                        "that all {others} are here that {} names: {absent} of {} signed nothing",
                        device.label(),
                        list.len()
                    ));
                } else if list != *there {
                    let what = format!("{}: {others} in its signed list", device.label());
                    let (expected, observed) = (shown(there), shown(&list));
                    let is_uneven = list.is_superset(there) || absent <= unsigned;
                    let found = if is_uneven { &mut fleet.uneven } else { &mut fleet.failures };
                    found.push(Failure::new(FailureClass::IdentityConflict, &what, &expected, &observed));
                    fleet.topology = Some(false);
                }
            }
            None if there.is_empty() => {}
            None => {
                fleet
                    .not_proven
                    .push(format!("which {others} are at {}: its report has no list of them", device.label()));
            }
        }
    }
    if listed > 0 {
        fleet.topology = Some(fleet.topology.unwrap_or(true));
    }
    match (gpus.is_empty(), switches.is_empty()) {
        (false, true) if devices.iter().any(|device| device.switches().is_some_and(|list| !list.is_empty())) => {
            apart(devices, fleet);
            fleet.not_proven.push("that the GPUs are at the switches that they name: no switch's evidence".to_owned());
        }
        (true, false) => {
            fleet.not_proven.push("that the switches are at the GPUs that they name: no GPU's evidence".to_owned());
        }
        _ => {}
    }
}

/// The GPUs outside of the largest group whose lists hang together. A link that is down makes a list shorter, so that two GPUs
/// of one board need not name the same switches.
fn apart(devices: &[&Device], fleet: &mut Fleet) {
    let mut groups: Vec<(BTreeSet<Pdi>, Vec<&Device>)> = Vec::new();
    for device in devices {
        let Some(list) = device.switches().filter(|list| !list.is_empty()) else { continue };
        let (near, far): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(named, _)| !named.is_disjoint(&list));
        let (named, members): (Vec<_>, Vec<_>) = near.into_iter().unzip();
        groups = far;
        groups.push((
            named.into_iter().flatten().chain(list).collect(),
            members.into_iter().flatten().chain([*device]).collect(),
        ));
    }
    // Of two groups of one size the one that was seen first.
    let Some(largest) = groups.iter().rev().max_by_key(|(_, members)| members.len()).map(|(named, _)| named.clone())
    else {
        return;
    };
    for (named, members) in groups.iter().filter(|(named, _)| *named != largest) {
        for device in members {
            let what = format!("{}: switches in its signed list", device.label());
            let expected = format!("one that the other GPUs name: {}", shown(&largest));
            fleet.apart.push(Failure::new(FailureClass::IdentityConflict, &what, &expected, &shown(named)));
        }
    }
}

fn shown(pdis: &BTreeSet<Pdi>) -> String {
    pdis.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
