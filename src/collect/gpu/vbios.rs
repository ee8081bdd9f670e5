//! Facts of a VBIOS: from the image itself, as the kernel, a tool or the seller gave it, and from what nvflash lists.

use super::facts;
use crate::collect::fill;
use crate::evidence::{PartBuilder, Reading};
use crate::parse::nvflash::{Adapter, PciIds};
use crate::parse::vbios::{self, ChainEnd, CodeType, Vbios};

/// Every fact of an image, below `gpu.vbios.`. Bytes that are no VBIOS make each of them `Failed`.
pub(crate) fn add(part: &mut PartBuilder<'_>, image: &[u8], source: &str) {
    match vbios::parse(image) {
        Ok(vbios) => add_image(part, &vbios, source),
        Err(error) => fill(part, facts::GPU, "gpu.vbios.", &Reading::Failed(error.to_string()), source),
    }
}

fn add_image(part: &mut PartBuilder<'_>, vbios: &Vbios, source: &str) {
    let info = &vbios.info;
    let (vendor, device) = vbios.pci_ids().unzip();
    part.fact("gpu.vbios.size_bytes", vbios.size_bytes, source)
        .fact("gpu.vbios.sha256", vbios.sha256.clone(), source)
        .fact("gpu.vbios.signed_sha256", there(vbios, vbios.signed_sha256.clone()), source)
        .fact("gpu.vbios.version", there(vbios, info.version.clone()), source)
        .fact("gpu.vbios.build_date", there(vbios, info.build_date.clone()), source)
        .fact("gpu.vbios.build_number", there(vbios, info.build_number), source)
        .fact("gpu.vbios.build_guid", there(vbios, info.build_guid.clone().filter(|guid| !zeros(guid))), source)
        .fact("gpu.vbios.pci.vendor_id", there(vbios, vendor.map(id)), source)
        .fact("gpu.vbios.pci.device_id", there(vbios, device.filter(|&it| it != 0).map(id)), source)
        .fact("gpu.vbios.bit.device_id", there(vbios, info.device_id.map(id)), source)
        .fact("gpu.vbios.chip_sku", there(vbios, info.chip_sku.clone()), source)
        .fact("gpu.vbios.project", there(vbios, info.project.clone()), source)
        .fact("gpu.vbios.board", there(vbios, info.board_id.map(id)), source)
        .fact("gpu.vbios.sign_on", there(vbios, info.sign_on.clone()), source);

    // A file that starts with its first image has lost its header, or is of a time before there was one.
    let header = vbios.ifr.as_ref().map_or(Reading::Unsupported, Reading::Known);
    let subsystem = header.as_ref().and_then(|header| header.subsystem.map_or(Reading::Unsupported, Reading::Known));
    let subsystem = subsystem.and_then(|ids| if ids == (0, 0) { Reading::Absent } else { Reading::Known(ids) });
    part.fact("gpu.vbios.ifr.version", header.map(|header| u32::from(header.version)), source)
        .fact("gpu.vbios.ifr.subsystem_vendor_id", subsystem.as_ref().map(|ids| id(ids.0)), source)
        .fact("gpu.vbios.ifr.subsystem_device_id", subsystem.map(|ids| id(ids.1)), source);

    let images = vbios.images.iter();
    let listed: Vec<String> =
        images.clone().map(|it| format!("{} {:#x} {}", it.code_type, it.offset, it.length_bytes)).collect();
    let bad: Vec<String> = images
        .filter(|image| !image.inforom)
        .filter_map(|image| Some((image, image.checksum.filter(|&sum| sum != 0)?)))
        .map(|(image, sum)| format!("{} {:#x} {sum:#04x}", image.code_type, image.offset))
        .collect();
    let whole = matches!(vbios.end, ChainEnd::Last | ChainEnd::Stripped);
    let bad = if bad.is_empty() && !whole { there(vbios, None) } else { Reading::Known(bad) };
    let has = |code_type, absent: Reading<bool>| if vbios.has(code_type) { Reading::Known(true) } else { absent };
    let seen = if whole { Reading::Known(false) } else { there(vbios, None) };
    let fwsec = match vbios.end {
        // The card's own images are not in such a file.
        ChainEnd::Stripped => Reading::Unsupported,
        _ => seen.clone(),
    };
    part.fact("gpu.vbios.images", listed, source)
        .fact("gpu.vbios.bad_checksums", bad, source)
        .fact("gpu.vbios.efi", has(CodeType::EFI, seen), source)
        .fact("gpu.vbios.fwsec", has(CodeType::FWSEC, fwsec), source)
        .fact("gpu.vbios.chain_end", vbios.end.as_str(), source)
        .fact("gpu.vbios.truncated", vbios.truncated(), source);
}

/// What nvflash said of one card: its image below `gpu.vbios.`, and what it shows on the bus below `gpu.pci.` where the
/// text names the card. What was not printed makes no fact, so that another source can tell it.
pub(crate) fn add_nvflash(part: &mut PartBuilder<'_>, adapter: &Adapter, source: &str) {
    let Adapter { image, replacement, pci, .. } = adapter;
    let mut fact = |path: &str, value: Option<String>| {
        if let Some(value) = value {
            part.fact(path, value, source);
        }
    };
    // After a flash the card has the new image, which is for the subsystem that it will show then.
    let written = replacement.as_ref();
    fact("gpu.vbios.version", written.map(|it| it.version.clone()).or(image.version.clone()));
    let ifr = written.map(|it| (it.ids.subsystem_vendor, it.ids.subsystem_device)).or(image.ifr_subsystem);
    let (ifr_vendor, ifr_device) = ifr.filter(|&ids| ids != (0, 0)).unzip();
    fact("gpu.vbios.ifr.subsystem_vendor_id", ifr_vendor.map(id));
    fact("gpu.vbios.ifr.subsystem_device_id", ifr_device.map(id));
    fact("gpu.vbios.pci.vendor_id", written.map(|it| it.ids.vendor).or(image.vendor_id).map(id));
    fact("gpu.vbios.pci.device_id", written.map(|it| it.ids.device).or(image.device_id).map(id));
    // The listing is that of the image before it was replaced.
    if written.is_none() {
        fact("gpu.vbios.build_date", image.build_date.clone());
        fact("gpu.vbios.build_guid", image.build_guid.clone().filter(|guid| !zeros(guid)));
        fact("gpu.vbios.chip_sku", image.chip_sku.clone());
        fact("gpu.vbios.project", image.project.clone());
        fact("gpu.vbios.board", image.board_id.map(id));
        fact("gpu.vbios.sign_on", image.sign_on.clone());
    }
    fact("gpu.vbios.inforom_image", image.inforom_version.clone());
    if let Some(PciIds { vendor, device, subsystem_vendor, subsystem_device }) = *pci {
        let subsystem =
            ((subsystem_vendor, subsystem_device) != (0, 0)).then_some((subsystem_vendor, subsystem_device));
        part.fact("gpu.pci.vendor_id", id(vendor), source)
            .fact("gpu.pci.device_id", id(device), source)
            .fact("gpu.pci.subsystem_vendor_id", subsystem.map(|ids| id(ids.0)), source)
            .fact("gpu.pci.subsystem_device_id", subsystem.map(|ids| id(ids.1)), source);
    }
    if let Some(number) = image.build_number.filter(|_| written.is_none()) {
        part.fact("gpu.vbios.build_number", number, source);
    }
    if written.is_some() || !adapter.mismatches.is_empty() {
        part.fact("gpu.vbios.flash_mismatches", adapter.mismatches.clone(), source);
    }
}

/// A field of the image. Where it is missing from a file that is cut or damaged, nobody knows whether there is one.
fn there<T>(vbios: &Vbios, value: Option<T>) -> Reading<T> {
    match (value, vbios.end) {
        (Some(value), _) => Reading::Known(value),
        (None, ChainEnd::Last | ChainEnd::Stripped) => Reading::Absent,
        (None, ChainEnd::Truncated) => Reading::Failed("the image is cut".to_owned()),
        (None, ChainEnd::Broken) => Reading::Failed("the chain of images is broken".to_owned()),
    }
}

fn id(id: u16) -> String {
    format!("{id:#06x}")
}

/// An id that the builder left out.
fn zeros(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}
