//! What SMBIOS data and `decode-dimms` say of a machine and its memory modules.

use std::collections::BTreeMap;

use super::machine::Machine;
use super::take_over;
use crate::collect;
use crate::evidence::{Fact, FactPath, Reading};
use crate::parse::decode_dimms::{self, Module};
use crate::parse::smbios::Inventory;

/// `platform.smbios.*`, `cpu.smbios.*`, `memory.smbios.*`, `dimm.smbios.*` and what else SMBIOS tells of.
pub(super) fn inventory(inventory: &Inventory, machine: &mut Machine) {
    if let Some(damage) = inventory.damage {
        machine.note(format!("the SMBIOS table is damaged: {damage}"));
    }
    take_over(machine, |out| collect::add_smbios(inventory, out));
}

/// `dimm.spd.*`. The makers' ids are not printed, so that there is no id of the module, and neither is the image.
pub(super) fn decode_dimms(text: &str, machine: &mut Machine) {
    const SOURCE: &str = "decode-dimms";
    for Module { name, fields } in decode_dimms::parse(text) {
        let source = format!("{SOURCE} {name}");
        let mut facts = BTreeMap::new();
        let mut fact = |path: &str, reading: Reading| {
            facts.insert(FactPath::new(path), Fact { reading, source: source.clone() });
        };
        let texts = [
            ("dimm.spd.dram_type", fields.dram_type),
            ("dimm.spd.module_type", fields.module_type),
            ("dimm.spd.spd_revision", fields.spd_revision),
            ("dimm.spd.module_maker", fields.module_maker),
            ("dimm.spd.dram_maker", fields.dram_maker),
            ("dimm.spd.part_number", fields.part_number),
            ("dimm.spd.serial", fields.serial),
            ("dimm.spd.date", fields.date),
            ("dimm.spd.location", fields.location),
            ("dimm.spd.revision", fields.revision),
        ];
        for (path, text) in texts {
            fact(path, text.value());
        }
        let numbers = [
            ("dimm.spd.capacity_mib", fields.capacity_mib),
            ("dimm.spd.ranks", fields.ranks),
            ("dimm.spd.device_width_bits", fields.device_width_bits),
            ("dimm.spd.bus_width_bits", fields.bus_width_bits),
            ("dimm.spd.ecc_bits", fields.ecc_bits),
            ("dimm.spd.speed_mts", fields.speed_mts),
            ("dimm.spd.taa_ps", fields.taa_ps),
            ("dimm.spd.trcd_ps", fields.trcd_ps),
            ("dimm.spd.trp_ps", fields.trp_ps),
            ("dimm.spd.tras_ps", fields.tras_ps),
            ("dimm.spd.tfaw_ps", fields.tfaw_ps),
            ("dimm.spd.trrd_s_ps", fields.trrd_s_ps),
            ("dimm.spd.trrd_l_ps", fields.trrd_l_ps),
            ("dimm.spd.trfc1_ps", fields.trfc1_ps),
        ];
        for (path, number) in numbers {
            fact(path, number.value());
        }
        fact("dimm.spd.crc_bad", fields.crc_bad.value());
        machine.module(facts);
    }
}
