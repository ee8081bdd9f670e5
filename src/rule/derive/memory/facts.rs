//! The derived facts of memory modules and of the memory as a whole.

use crate::evidence::FactDef;
use crate::evidence::Kind::{Integer, List, Text};

pub(in crate::rule::derive) const FACTS: &[FactDef] = &[
    FactDef::new("dimm.maker", Text, "maker of the module, whichever way a source writes it"),
    FactDef::new("dimm.part.number", Text, "part number that a grammar was found for"),
    FactDef::new("dimm.part.maker", Text, "maker whose part numbers look so"),
    FactDef::new("dimm.part.dram_type", Text, "DRAM type by part number"),
    FactDef::new("dimm.part.module_type", Text, "module type by part number"),
    FactDef::new("dimm.part.capacity_mib", Integer, "capacity by part number, in MiB"),
    FactDef::new("dimm.part.ranks", Integer, "ranks by part number"),
    FactDef::new("dimm.part.device_width_bits", Integer, "width of one DRAM by part number"),
    FactDef::new("dimm.part.speed_mts", Integer, "speed by part number, in MT/s"),
    FactDef::new("dimm.part.die", Text, "revision letter of the die by part number"),
    FactDef::new("dimm.part_differs_from_spd", List, "fields in which the SPD differs from its own part number"),
    FactDef::new("dimm.part_differs_from_smbios", List, "fields in which SMBIOS differs from its own part number"),
    FactDef::new(
        "dimm.maker_of_part_differs",
        List,
        "the SPD's maker, where it differs from the one whose part number it has",
    ),
    FactDef::new(
        "dimm.maker_of_part_differs_smbios",
        List,
        "the maker by SMBIOS, where it differs from the one whose part number SMBIOS has",
    ),
    FactDef::new("dimm.foreign_dram", List, "maker of the DRAM on a module of a maker who uses its own only"),
    FactDef::new("dimm.crc_bad", List, "ranges of the SPD whose CRC is wrong"),
    FactDef::new("dimm.addressing_off", List, "row, column and bank bits that do not give the die density"),
    FactDef::new("dimm.timing_off", List, "activate timings that no genuine server module of that speed and width has"),
    FactDef::new("dimm.density_too_fast", List, "die density and speed that were never sold together"),
    FactDef::new("dimm.parity_bad", List, "JEP106 ids in the SPD with a wrong parity bit"),
    FactDef::new("dimm.unknown_makers", List, "ids in the SPD that JEP106 does not list"),
    FactDef::new("dimm.date_off", List, "what is wrong with the date of manufacture"),
    FactDef::new(
        "dimm.trace_of_other_maker",
        List,
        "lot code of another maker's shape; absent for makers that buy their DRAM",
    ),
    FactDef::new(
        "dimm.long_serial_differs",
        List,
        "long serial that firmware prints, where SPD serial and date give another one",
    ),
    FactDef::new("dimm.oem_mark_foreign", List, "mark of a server maker, in a server of another one"),
    FactDef::new("dimm.spd_smbios_differ", List, "fields in which SPD and SMBIOS differ, habits of firmware aside"),
    FactDef::new("dimm.spd_bmc_differ", List, "fields in which SPD and management controller differ"),
    FactDef::new("dimm.smbios_bmc_differ", List, "fields in which SMBIOS and management controller differ"),
    FactDef::new("dimm.same_module_as", List, "modules with the same maker, place, date and serial in the SPD"),
    FactDef::new("dimm.serial", Text, "serial number: the SPD's, else the one that firmware passes on"),
    FactDef::new(
        "dimm.serial_same_as",
        List,
        "modules for which the same source says the same serial number, maker and part number, and parts of other kinds",
    ),
    FactDef::new(
        "dimm.serial_run",
        List,
        "modules whose serials are equally spaced although their dates or lots differ",
    ),
    FactDef::new(
        "dimm.differs_in",
        List,
        "fields in which the module differs from most others: maker, part, size, speed, die",
    ),
    FactDef::new(
        "memory.kernel_share_percent",
        Integer,
        "memory that the kernel manages, percent of the sum of the modules",
    ),
    FactDef::new("memory.edac_share_percent", Integer, "memory that EDAC sees, percent of the sum of the modules"),
    FactDef::new("memory.sysinfo_share_percent", Integer, "memory that sysinfo counts, percent of /proc/meminfo"),
    FactDef::new(
        "memory.spd_share_percent",
        Integer,
        "capacity by the SPD of all modules, percent of the sum of the modules by SMBIOS",
    ),
];
