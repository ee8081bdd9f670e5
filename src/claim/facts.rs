//! Facts of an order, and of how each part compares with what it was sold as. `gpu.claim.*` is declared with the other facts
//! of GPUs, and so is `dimm.claim.*` with those of modules.

use crate::evidence::FactDef;
use crate::evidence::Kind::{Bool, Integer, List, Text};

/// Facts that a claim makes.
pub const FACTS: &[FactDef] = &[
    FactDef::new("order.kind", Text, "kind of part that the item is about: dimm, cpu, drive"),
    FactDef::new("order.text", Text, "the item in the seller's words"),
    FactDef::new("order.count", Integer, "parts that were sold"),
    FactDef::new("order.found", Integer, "parts that were found for the item"),
    FactDef::new("dimm.claim.kit", Bool, "whether the modules were sold as one kit"),
    FactDef::new("dimm.claimed.spd_differs", List, "what the module's SPD says otherwise than the claim"),
    FactDef::new("dimm.claimed.differs", List, "what firmware or management controller say otherwise than the claim"),
    FactDef::new(
        "dimm.claimed.speed_below",
        Bool,
        "whether firmware gives a lower speed than was sold: of the module, or of a platform that can't do more",
    ),
    FactDef::new("cpu.claim.text", Text, "the claim in the seller's words"),
    FactDef::new("cpu.claim.model", Text, "model: 8480+, e5-2690 v4"),
    FactDef::new("cpu.claim.condition", Text, "new, used, refurbished"),
    FactDef::new("cpu.claim.count", Integer, "processors"),
    FactDef::new("cpu.claimed.is_model", Bool, "whether the processor's own brand text names the claimed model"),
    FactDef::new("cpu.claimed.smbios_differs", Bool, "whether firmware names another model than was claimed"),
    FactDef::new("drive.claim.text", Text, "the claim in the seller's words"),
    FactDef::new("drive.claim.count", Integer, "drives"),
    FactDef::new("drive.claim.size_bytes", Integer, "capacity of one drive in bytes, decimal as drives are sold"),
    FactDef::new("drive.claim.model", Text, "product or model number"),
    FactDef::new("drive.claim.condition", Text, "new, used, refurbished"),
    FactDef::new("drive.claim.interface", Text, "nvme, sata, sas"),
    FactDef::new("drive.claim.medium", Text, "ssd, hdd"),
    FactDef::new("drive.claimed.differs", List, "what the drive says otherwise than the claim"),
];
