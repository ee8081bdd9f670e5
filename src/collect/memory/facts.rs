//! Every fact about memory modules, whichever source it came from: `dimm.smbios.*` is what firmware wrote into SMBIOS;
//! `dimm.spd.*` the module's own EEPROM, or a decoder's printout of it; `dimm.bmc.*` the management controller;
//! `dimm.claim.*` the seller. They are kept apart so that rules can hold them against each other.

use crate::evidence::FactDef;
use crate::evidence::Kind::{Bool, Integer, List, Text};

/// Facts that SMBIOS tells of one module.
pub const SMBIOS: &[FactDef] = &[
    FactDef::new("dimm.smbios.locator", Text, "slot as printed on the board (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.bank", Text, "bank as printed on the board (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.size_bytes", Integer, "capacity in bytes (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.type", Text, "memory type: DDR5 (DSP0134, 7.18.2)"),
    FactDef::new("dimm.smbios.form_factor", Text, "form factor: DIMM (DSP0134, 7.18.1)"),
    FactDef::new("dimm.smbios.speed_mts", Integer, "speed that the module is capable of, in MT/s (DSP0134, 7.18.4)"),
    FactDef::new("dimm.smbios.configured_mts", Integer, "speed that is set, in MT/s (DSP0134, 7.18.4)"),
    FactDef::new("dimm.smbios.manufacturer", Text, "maker (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.part_number", Text, "part number (DSP0134, 7.18)"),
    FactDef::unit_id("dimm.smbios.serial", "serial number (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.asset_tag", Text, "asset tag (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.ranks", Integer, "ranks (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.total_width_bits", Integer, "width with check bits (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.data_width_bits", Integer, "width without check bits (DSP0134, 7.18)"),
    FactDef::new(
        "dimm.smbios.module_maker_id",
        Text,
        "JEP106 id of the module's maker, as in dimm.spd.module_maker_id (DSP0134, 7.18.8)",
    ),
    FactDef::new("dimm.smbios.module_product_id", Text, "the maker's own product id (DSP0134, 7.18.9): 0x1234"),
    FactDef::new("dimm.smbios.technology", Text, "memory technology: DRAM (DSP0134, 7.18.6)"),
    FactDef::new("dimm.smbios.operating_modes", List, "operating modes that it can have (DSP0134, 7.18.7)"),
    FactDef::new("dimm.smbios.firmware", Text, "version of the module's firmware (DSP0134, 7.18)"),
    FactDef::new(
        "dimm.smbios.controller_maker_id",
        Text,
        "JEP106 id of the memory subsystem controller's maker (DSP0134, 7.18.10)",
    ),
    FactDef::new(
        "dimm.smbios.controller_product_id",
        Text,
        "product id of the memory subsystem controller: 0x1234 (DSP0134, 7.18.11)",
    ),
    FactDef::new("dimm.smbios.nonvolatile_bytes", Integer, "part that keeps its content without power (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.volatile_bytes", Integer, "part that does not keep its content (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.cache_bytes", Integer, "part that is used as a cache (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.logical_bytes", Integer, "size of a logical device (DSP0134, 7.18)"),
    FactDef::new("dimm.smbios.pmic_id", Text, "JEP106 id of the PMIC's maker, and revision (DSP0134 3.7, 7.18.15)"),
    FactDef::new("dimm.smbios.rcd_id", Text, "JEP106 id of the register's maker, and revision (DSP0134 3.7, 7.18.16)"),
];

/// Facts that a module's serial presence detect (SPD) EEPROM tells. Offsets: JESD21-C 4.1.2.L (DDR4), 4.1.2.11 (DDR3),
/// JESD400-5C (DDR5).
pub const SPD: &[FactDef] = &[
    FactDef::new("dimm.spd.image_bytes", Integer, "length of the image, or of what was read of it"),
    FactDef::new("dimm.spd.sha256", Text, "SHA-256 of the whole image"),
    FactDef::new("dimm.spd.page_alias", Bool, "whether upper pages repeat lower ones: the reading is void then"),
    FactDef::new("dimm.spd.stable", Bool, "whether two readings gave the same bytes"),
    FactDef::new(
        "dimm.spd.paired_by",
        Text,
        "how image and slot of the SMBIOS table were matched: serial; remainder (one of each was left over); order (as \
         many of each, all of the same size and part number); alike (as many of each, and first pages that all say the \
         same); absent where the image has no slot",
    ),
    FactDef::new("dimm.spd.dram_type", Text, "DRAM type: DDR3, DDR4, DDR5, LPDDR4"),
    FactDef::new("dimm.spd.module_type", Text, "module type: RDIMM, UDIMM, SO-DIMM, LRDIMM, MRDIMM"),
    FactDef::new("dimm.spd.capacity_mib", Integer, "capacity without check bits, in MiB"),
    FactDef::new("dimm.spd.ranks", Integer, "package ranks, as labels count them; in DDR5 those of one sub-channel"),
    FactDef::new("dimm.spd.logical_ranks", Integer, "package ranks times the dies of a 3D stack"),
    FactDef::new("dimm.spd.die_density_mbit", Integer, "capacity of one die, in Mbit"),
    FactDef::new("dimm.spd.dies", Integer, "dies in a package"),
    FactDef::new("dimm.spd.device_width_bits", Integer, "width of one DRAM"),
    FactDef::new("dimm.spd.bus_width_bits", Integer, "width without check bits, over all sub-channels"),
    FactDef::new("dimm.spd.ecc_bits", Integer, "check bits, over all sub-channels"),
    FactDef::new("dimm.spd.speed_mts", Integer, "highest standard data rate, in MT/s"),
    FactDef::new("dimm.spd.taa_ps", Integer, "tAA: CAS latency time, in ps"),
    FactDef::new("dimm.spd.trcd_ps", Integer, "tRCD, in ps"),
    FactDef::new("dimm.spd.trp_ps", Integer, "tRP, in ps"),
    FactDef::new("dimm.spd.tras_ps", Integer, "tRAS, in ps"),
    FactDef::new("dimm.spd.tfaw_ps", Integer, "tFAW: four activate window, in ps (DDR3, DDR4)"),
    FactDef::new("dimm.spd.trrd_s_ps", Integer, "tRRD_S, in ps (DDR4)"),
    FactDef::new("dimm.spd.trrd_l_ps", Integer, "tRRD_L, in ps (DDR4)"),
    FactDef::new("dimm.spd.trfc1_ps", Integer, "tRFC1, in ps"),
    FactDef::new(
        "dimm.spd.addressing_fits",
        Bool,
        "whether row, column and bank bits give the die density (DDR4, DDR5)",
    ),
    FactDef::new("dimm.spd.crc_bad", List, "ranges whose CRC is wrong: `0-125`; empty where all are right"),
    FactDef::new("dimm.spd.module_maker", Text, "maker of the module, by JEP106"),
    FactDef::new("dimm.spd.module_maker_id", Text, "the two bytes of its id, as stored: 80CE"),
    FactDef::new("dimm.spd.dram_maker", Text, "maker of the DRAM, by JEP106"),
    FactDef::new("dimm.spd.dram_maker_id", Text, "the two bytes of its id, as stored: 80CE"),
    FactDef::new(
        "dimm.spd.parity_bad",
        List,
        "ids with a wrong parity bit: `module maker 14F7`; empty where all are right",
    ),
    FactDef::new("dimm.spd.unknown_makers", List, "programmed ids that JEP106 does not list"),
    FactDef::new("dimm.spd.part_number", Text, "part number, without padding"),
    FactDef::new("dimm.spd.serial", Text, "serial number, 8 hexadecimal digits in byte order: 42B2BF08"),
    FactDef::unit_id(
        "dimm.spd.module_id",
        "maker, place, date and serial: nine bytes that no two modules share, 18 hexadecimal digits",
    ),
    FactDef::new("dimm.spd.date", Text, "date of manufacture: 2023-W31"),
    FactDef::new("dimm.spd.date_bytes", Text, "year and week as stored, 4 hexadecimal digits"),
    FactDef::new("dimm.spd.location", Text, "place of manufacture, the maker's own code: 0x01"),
    FactDef::new("dimm.spd.revision", Text, "module revision as stored, hexadecimal"),
    FactDef::new("dimm.spd.spd_revision", Text, "revision of the SPD's layout: 1.2"),
    FactDef::new("dimm.spd.hub_id", Text, "SPD hub: JEP106 id, type, revision"),
    FactDef::new("dimm.spd.pmic_id", Text, "PMIC: JEP106 id, type, revision"),
    FactDef::new("dimm.spd.rcd_id", Text, "register (RCD, MRCD, CKD): JEP106 id, type, revision"),
    FactDef::new("dimm.spd.lot", Text, "lot code in the maker's area"),
    FactDef::new(
        "dimm.spd.lot_maker",
        Text,
        "maker whose lot codes have that shape: Samsung, SK hynix, Micron; absent where none has",
    ),
    FactDef::new(
        "dimm.spd.long_serial",
        Text,
        "Samsung's long serial, put together from the maker's area, date and serial",
    ),
    FactDef::new("dimm.spd.oem_mark", Text, "mark of a server maker in the end-user area: HPE, Cisco"),
    FactDef::new("dimm.spd.oem_part", Text, "the server maker's part or serial number beside it"),
    FactDef::new("dimm.spd.profiles", List, "overclocking profiles: XMP, EXPO"),
    FactDef::new("dimm.spd.error_log_entries", Integer, "entries of the error log in the end-user area (DDR5)"),
];

/// Facts that a management controller tells of one module.
pub const BMC: &[FactDef] = &[
    FactDef::new("dimm.bmc.size_mib", Integer, "capacity in MiB (Redfish Memory.CapacityMiB)"),
    FactDef::new("dimm.bmc.type", Text, "memory type: DDR5 (Redfish Memory.MemoryDeviceType)"),
    FactDef::new(
        "dimm.bmc.speed_mts",
        Integer,
        "speed that is set, in MT/s (Redfish Memory.OperatingSpeedMhz, which is MT/s)",
    ),
    FactDef::new("dimm.bmc.manufacturer", Text, "maker (Redfish Memory.Manufacturer, IPMI FRU)"),
    FactDef::new("dimm.bmc.part_number", Text, "part number (Redfish Memory.PartNumber, IPMI FRU)"),
    FactDef::unit_id("dimm.bmc.serial", "serial number (Redfish Memory.SerialNumber, IPMI FRU)"),
    FactDef::new("dimm.bmc.ranks", Integer, "ranks (Redfish Memory.RankCount)"),
];

/// Facts of a claim about memory. Every module has them where something was claimed of the modules.
pub const CLAIM: &[FactDef] = &[
    FactDef::new("dimm.claim.text", Text, "the claim in the seller's words"),
    FactDef::new("dimm.claim.count", Integer, "modules"),
    FactDef::new("dimm.claim.size_mib", Integer, "capacity of one module, in MiB"),
    FactDef::new("dimm.claim.type", Text, "memory type: DDR5"),
    FactDef::new("dimm.claim.speed_mts", Integer, "speed, in MT/s"),
    FactDef::new("dimm.claim.module_type", Text, "RDIMM, UDIMM"),
    FactDef::new("dimm.claim.maker", Text, "maker"),
    FactDef::new("dimm.claim.part_number", Text, "part number"),
    FactDef::new("dimm.claim.condition", Text, "new, used, refurbished"),
];
