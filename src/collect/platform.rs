//! The system as a whole, its boards, chassis and power supplies.
//!
//! Reads the SMBIOS table (`/sys/firmware/dmi/tables/`, root only; types 0, 1, 2, 3 and 39), the kernel's own decoding
//! of it (`/sys/class/dmi/id/`, serial numbers for root only), and what the running kernel says of itself.

use super::{Collector, SMBIOS_TABLE, fill, read_text, reason, smbios_source, smbios_table, smbios_whole, stand_in};
use crate::evidence::Kind::{Bool, Integer, Text};
use crate::evidence::{EvidenceBuilder, FactDef, Reading};
use crate::host::{Host, Query};
use crate::parse::smbios::Inventory;

const FACTS: &[FactDef] = &[
    FactDef::new("platform.smbios.version", Text, "version of the SMBIOS table (DSP0134, 5.2)"),
    FactDef::new("platform.smbios.structures", Integer, "structures in the SMBIOS table"),
    FactDef::new(
        "platform.smbios.damaged",
        Bool,
        "whether the SMBIOS table is cut off or cannot be decoded to its end",
    ),
    FactDef::new("platform.smbios.bios_vendor", Text, "BIOS vendor (DSP0134, 7.1)"),
    FactDef::new("platform.smbios.bios_version", Text, "BIOS version (DSP0134, 7.1)"),
    FactDef::new("platform.smbios.bios_date", Text, "BIOS release date as printed (DSP0134, 7.1)"),
    FactDef::new("platform.smbios.system_manufacturer", Text, "maker of the system (DSP0134, 7.2)"),
    FactDef::new("platform.smbios.system_product", Text, "product name of the system (DSP0134, 7.2)"),
    FactDef::new("platform.smbios.system_version", Text, "version of the system (DSP0134, 7.2)"),
    FactDef::unit_id("platform.smbios.system_serial", "serial number of the system (DSP0134, 7.2)"),
    FactDef::unit_id("platform.smbios.system_uuid", "UUID of the system, lower case (DSP0134, 7.2.1)"),
    FactDef::new("platform.smbios.system_sku", Text, "SKU of the system (DSP0134, 7.2)"),
    FactDef::new("platform.dmi.system_manufacturer", Text, "maker of the system as the kernel decoded it at boot"),
    FactDef::new("platform.dmi.system_product", Text, "product name of the system as the kernel decoded it at boot"),
    FactDef::new("platform.dmi.system_serial", Text, "serial number of the system as the kernel decoded it at boot"),
    FactDef::new("platform.dmi.system_uuid", Text, "UUID of the system as the kernel decoded it at boot"),
    FactDef::new("platform.dmi.bios_version", Text, "BIOS version as the kernel decoded it at boot"),
    FactDef::new(
        "platform.dmi.board_serial",
        Text,
        "serial number of the first board as the kernel decoded it at boot",
    ),
    FactDef::new(
        "platform.dmi.board_product",
        Text,
        "product name of the first board as the kernel decoded it at boot",
    ),
    FactDef::new("platform.dmi.chassis_serial", Text, "serial number of the chassis as the kernel decoded it at boot"),
    FactDef::new("platform.kernel.release", Text, "release of the running kernel"),
    FactDef::new("platform.boot_id", Text, "random id of this boot"),
    FactDef::new("platform.effective_user", Integer, "effective user id of the tool; 0 is root"),
    FactDef::new("board.manufacturer", Text, "maker of the board (DSP0134, 7.3)"),
    FactDef::new("board.product", Text, "product name of the board (DSP0134, 7.3)"),
    FactDef::new("board.version", Text, "version of the board (DSP0134, 7.3)"),
    FactDef::unit_id("board.serial", "serial number of the board (DSP0134, 7.3)"),
    FactDef::new("board.asset_tag", Text, "asset tag of the board (DSP0134, 7.3)"),
    FactDef::new("chassis.manufacturer", Text, "maker of the chassis (DSP0134, 7.4)"),
    FactDef::new("chassis.kind", Text, "kind of chassis in words (DSP0134, 7.4.1)"),
    FactDef::unit_id("chassis.serial", "serial number of the chassis (DSP0134, 7.4)"),
    FactDef::new("psu.name", Text, "device name of the power supply (DSP0134, 7.40)"),
    FactDef::new("psu.manufacturer", Text, "maker of the power supply (DSP0134, 7.40)"),
    FactDef::new("psu.model", Text, "model part number of the power supply (DSP0134, 7.40)"),
    FactDef::unit_id("psu.serial", "serial number of the power supply (DSP0134, 7.40)"),
    FactDef::new("psu.max_watts", Integer, "maximum output of the power supply in watts (DSP0134, 7.40)"),
];

/// Facts of the kernel's decoding, and their files.
const DMI_FILES: &[(&str, &str)] = &[
    ("platform.dmi.system_manufacturer", "/sys/class/dmi/id/sys_vendor"),
    ("platform.dmi.system_product", "/sys/class/dmi/id/product_name"),
    ("platform.dmi.system_serial", "/sys/class/dmi/id/product_serial"),
    ("platform.dmi.system_uuid", "/sys/class/dmi/id/product_uuid"),
    ("platform.dmi.bios_version", "/sys/class/dmi/id/bios_version"),
    ("platform.dmi.board_serial", "/sys/class/dmi/id/board_serial"),
    ("platform.dmi.board_product", "/sys/class/dmi/id/board_name"),
    ("platform.dmi.chassis_serial", "/sys/class/dmi/id/chassis_serial"),
];

pub(super) struct Platform;

impl Collector for Platform {
    fn id(&self) -> &'static str {
        "platform"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let mut part = out.part("platform", "platform");
        for (fact, file) in DMI_FILES {
            part.fact(fact, read_text(host, file), *file);
        }
        for (fact, file) in [
            ("platform.kernel.release", "/proc/sys/kernel/osrelease"),
            ("platform.boot_id", "/proc/sys/kernel/random/boot_id"),
        ] {
            part.fact(fact, read_text(host, file), file);
        }
        part.fact("platform.effective_user", host.ask(&Query::EffectiveUser).number(), "geteuid");

        match smbios_table(host) {
            Reading::Known(inventory) => from_inventory(&inventory, out),
            other => {
                let why = reason(&other);
                let damaged = match other {
                    Reading::Failed(_) => Reading::Known(true.into()),
                    _ => why.clone(),
                };
                out.part("platform", "platform").fact("platform.smbios.damaged", damaged, SMBIOS_TABLE);
                for (scope, id, prefix) in [
                    ("platform", "platform", "platform.smbios."),
                    ("board", "board:0", "board."),
                    ("chassis", "chassis:0", "chassis."),
                ] {
                    fill(&mut out.part(scope, id), FACTS, prefix, &why, SMBIOS_TABLE);
                }
                stand_in(out, "psu", FACTS, &why, SMBIOS_TABLE);
            }
        }
    }
}

/// What SMBIOS types 0, 1, 2, 3 and 39 say.
pub(super) fn from_inventory(inventory: &Inventory, out: &mut EvidenceBuilder) {
    let whole = smbios_whole(inventory);
    let source = |kind, handle| smbios_source(inventory, kind, handle);
    let mut part = out.part("platform", "platform");
    let version = inventory.version.map(|version| version.to_string());
    // A part of a printout does not show whether the rest is sound.
    let complete = inventory.printed_by.is_none() || inventory.version.is_some();
    let damaged = if complete { Reading::Known(inventory.damage.is_some()) } else { Reading::Unsupported };
    part.fact("platform.smbios.version", version, super::SMBIOS_ENTRY_POINT)
        .fact("platform.smbios.structures", inventory.structures.len(), whole)
        .fact("platform.smbios.damaged", damaged, whole);
    if let Some(bios) = &inventory.bios {
        let source = source(0, bios.handle);
        part.fact("platform.smbios.bios_vendor", bios.vendor.clone(), &*source)
            .fact("platform.smbios.bios_version", bios.version.clone(), &*source)
            .fact("platform.smbios.bios_date", bios.release_date.clone(), &*source);
    }
    if let Some(system) = &inventory.system {
        let source = source(1, system.handle);
        part.fact("platform.smbios.system_manufacturer", system.manufacturer.clone(), &*source)
            .fact("platform.smbios.system_product", system.product.clone(), &*source)
            .fact("platform.smbios.system_version", system.version.clone(), &*source)
            .fact("platform.smbios.system_serial", system.serial.clone(), &*source)
            .fact("platform.smbios.system_uuid", system.uuid.clone(), &*source)
            .fact("platform.smbios.system_sku", system.sku.clone(), &*source);
    }
    // No such structure, or lost with the damaged end of the table.
    let missing = inventory.missing();
    fill(&mut part, FACTS, "platform.smbios.", &missing, whole);

    for (index, board) in inventory.boards.iter().enumerate() {
        let source = source(2, board.handle);
        out.part("board", &format!("board:{index}"))
            .fact("board.manufacturer", board.manufacturer.clone(), &*source)
            .fact("board.product", board.product.clone(), &*source)
            .fact("board.version", board.version.clone(), &*source)
            .fact("board.serial", board.serial.clone(), &*source)
            .fact("board.asset_tag", board.asset_tag.clone(), &*source);
    }
    fill(&mut out.part("board", "board:0"), FACTS, "board.", &missing, whole);
    for (index, chassis) in inventory.chassis.iter().enumerate() {
        let source = source(3, chassis.handle);
        out.part("chassis", &format!("chassis:{index}"))
            .fact("chassis.manufacturer", chassis.manufacturer.clone(), &*source)
            .fact("chassis.kind", chassis.kind.clone(), &*source)
            .fact("chassis.serial", chassis.serial.clone(), &*source);
    }
    fill(&mut out.part("chassis", "chassis:0"), FACTS, "chassis.", &missing, whole);
    for (index, psu) in inventory.power_supplies.iter().enumerate().filter(|(_, psu)| psu.present) {
        let source = source(39, psu.handle);
        out.part("psu", &format!("psu:{index}"))
            .fact("psu.name", psu.name.clone(), &*source)
            .fact("psu.manufacturer", psu.manufacturer.clone(), &*source)
            .fact("psu.model", psu.model.clone(), &*source)
            .fact("psu.serial", psu.serial.clone(), &*source)
            .fact("psu.max_watts", psu.max_watts.clone(), &*source);
    }
    if inventory.damage.is_some() {
        // More of them may be lost with the end of the table.
        for scope in ["board", "chassis", "psu"] {
            stand_in(out, scope, FACTS, &missing, whole);
        }
    }
}
