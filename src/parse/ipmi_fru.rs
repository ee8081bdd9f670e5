//! `ipmitool fru print`: sections of `name : value` lines (IPMI Platform Management FRU Information Storage 1.3), those of
//! memory modules only.

use super::redfish::Module;

/// Sections that are read.
const MAX_MODULES: usize = 512;

/// The modules. A section is one of a module when its description names a DIMM.
pub fn modules(text: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.trim() == "FRU Device Description" {
            let locator = value.split(" (ID ").next().unwrap_or(value);
            inside = locator.to_uppercase().contains("DIMM") && modules.len() < MAX_MODULES;
            if inside {
                modules.push(Module { locator: Some(locator.to_owned()), ..Module::default() });
            }
            continue;
        }
        let (true, Some(module)) = (inside && !value.is_empty() && value.len() <= 256, modules.last_mut()) else {
            continue;
        };
        match name.trim() {
            "Product Manufacturer" => module.manufacturer = Some(value.to_owned()),
            "Product Part Number" => module.part_number = Some(value.to_owned()),
            "Product Serial" => module.serial = Some(value.to_owned()),
            _ => {}
        }
    }
    modules.retain(|module| module.serial.is_some() || module.part_number.is_some());
    modules
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modules_and_nothing_else() {
        let text = "FRU Device Description : Builtin FRU Device (ID 0)\n Product Serial : S1\n\n\
                    FRU Device Description : CPU1_DIMM_A1 (ID 10)\n Product Manufacturer  : Samsung\n \
                    Product Part Number   : M393A8G40AB2-CWE\n Product Serial        : 42B2BF08\n\n\
                    FRU Device Description : CPU1_DIMM_A2 (ID 11)\n Device not present (Requested sensor not found)\n";
        let [module] = modules(text).try_into().unwrap();
        assert_eq!(module.locator.as_deref(), Some("CPU1_DIMM_A1"));
        assert_eq!(module.serial.as_deref(), Some("42B2BF08"));
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            _ = modules(&text);
        }
    }
}
