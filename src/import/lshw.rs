//! What `lshw -json` says of a machine.

use super::machine::Machine;
use super::take_over;
use crate::collect;
use crate::evidence::Reading;
use crate::parse::lshw;

/// `*.smbios.*` where it comes from SMBIOS, `cpu.procfs.*`, `drive.*`.
pub(super) fn read(text: &str, machine: &mut Machine) {
    const SOURCE: &str = "lshw";
    let printed = lshw::parse(text);
    take_over(machine, |out| collect::add_smbios(&printed.inventory, out));
    for (index, cpu) in printed.cpus.into_iter().enumerate() {
        let id = format!("cpu:{index}");
        machine.part("cpu", &id, "cpu.procfs.brand", cpu.brand, SOURCE);
        if let Some([family, model, stepping]) = cpu.signature {
            machine.part("cpu", &id, "cpu.procfs.family", family, SOURCE);
            machine.part("cpu", &id, "cpu.procfs.model", model, SOURCE);
            machine.part("cpu", &id, "cpu.procfs.stepping", stepping, SOURCE);
            machine.part("cpu", &id, "cpu.procfs.signature", format!("{family}-{model}-{stepping}"), SOURCE);
        }
        let microcode = cpu.microcode.map(|revision| format!("{revision:#x}"));
        if microcode.is_some() {
            machine.part("cpu", &id, "cpu.procfs.microcode", microcode, SOURCE);
        }
    }
    take_over(machine, |out| {
        for drive in printed.drives {
            let text = |text: Option<String>| text.map_or(Reading::Unsupported, Reading::Known);
            out.part("drive", &format!("drive:{}", drive.name))
                .fact("drive.model", text(drive.model), SOURCE)
                .fact("drive.serial", text(drive.serial), SOURCE)
                .fact("drive.firmware", text(drive.firmware), SOURCE)
                .fact("drive.size_bytes", drive.size_bytes.map_or(Reading::Unsupported, Reading::Known), SOURCE);
        }
    });
}
