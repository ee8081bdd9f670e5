//! A VBIOS for a person.

use super::style::{Style, Tone};
use super::{Table, binary_bytes, for_terminal};
use crate::parse::vbios::{ChainEnd, CodeType, Image, Vbios};

/// What the image says of itself, its parts, and what there is to be wary of.
pub fn vbios_plain(vbios: &Vbios, style: Style) -> String {
    let info = &vbios.info;
    let unknown = || "-".to_owned();
    let text = |text: &Option<String>| text.as_deref().map_or_else(unknown, |text| for_terminal(text, style));
    let mut table = Table::new(&["field", "value"]);
    let mut row = |field: &str, value: String| table.row([field.to_owned(), value]);
    row("version", text(&info.version));
    row(
        "PCI device",
        vbios.pci_ids().map_or_else(unknown, |(vendor, device)| format!("{vendor:04x}:{device:04x} (first image)")),
    );
    if let Some(device) = info.device_id {
        row("", format!("{device:04x} (information table)"));
    }
    row(
        "subsystem",
        match &vbios.ifr {
            None => "- (no NVGI header in the file)".to_owned(),
            Some(header) => {
                let ids = header.subsystem.map_or_else(unknown, |(vendor, id)| format!("{vendor:04x}:{id:04x}"));
                format!("{ids} (NVGI header version {} at {:#x})", header.version, header.offset)
            }
        },
    );
    row("project", text(&info.project));
    row("chip SKU", text(&info.chip_sku));
    row("board", info.board_id.map_or_else(unknown, |id| format!("{id:#06x}")));
    row("product", text(&info.product_name));
    row("sign-on", text(&info.sign_on));
    row("build date", text(&info.build_date));
    row("build number", info.build_number.map_or_else(unknown, |number| number.to_string()));
    row("build GUID", text(&info.build_guid));
    row("InfoROM", text(&vbios.inforom_version));
    row("size", format!("{} ({} bytes)", binary_bytes(vbios.size_bytes as i64), vbios.size_bytes));
    row("SHA-256", vbios.sha256.clone());
    row("SHA-256, signed images", text(&vbios.signed_sha256));
    let mut shown = table.render();

    shown += &format!("\n{}\n", style.paint(Tone::Heading, "Images"));
    let mut table = Table::new(&["type", "offset", "bytes", "PCI device", "checksum", ""]);
    for image in &vbios.images {
        table.row([
            format!("{} {}", image.code_type, image.code_type.name()),
            format!("{:#x}", image.offset),
            image.length_bytes.to_string(),
            format!("{:04x}:{:04x}", image.vendor_id, image.device_id),
            checksum(image),
            if image.inforom { "InfoROM" } else { "" }.to_owned(),
        ]);
    }
    shown += &if table.is_empty() { "  none\n".to_owned() } else { table.render() };
    for warning in warnings(vbios) {
        shown += &format!("\n{} {warning}\n", style.paint(Tone::Warning, "note:"));
    }
    shown
}

fn checksum(image: &Image) -> String {
    match image.checksum {
        Some(0) => "ok".to_owned(),
        Some(sum) => format!("{sum:#04x}"),
        None => "- (cut)".to_owned(),
    }
}

/// What a reader could take for more, or for less, than it is.
fn warnings(vbios: &Vbios) -> Vec<&'static str> {
    let mut found = Vec::new();
    if vbios.images.iter().any(|image| !image.inforom && image.checksum.is_some_and(|sum| sum != 0)) {
        found.push("an image does not sum to 0: it was edited, or read while the card was running; read it again");
    }
    match vbios.end {
        ChainEnd::Last => {}
        ChainEnd::Stripped if vbios.has(CodeType::FWSEC) => {}
        ChainEnd::Stripped => {
            found.push("the file ends before the card's own images, as the kernel's rom file does; they were not seen");
        }
        ChainEnd::Truncated => found.push("the file is cut: images go on behind its end, and were not checked"),
        ChainEnd::Broken => found.push("the chain of images is broken: what follows the last one was not seen"),
    }
    found
}
