//! `yanji decode vbios`.

use std::path::Path;

use serde::Serialize;
use yanji::parse::vbios::{self, CodeType, Ifr, Image, Vbios};
use yanji::report;

use crate::cli::args::Format;
use crate::cli::output;

/// Decodes and prints one image.
pub(super) fn run(file: &Path, format: Format) -> anyhow::Result<()> {
    let bytes =
        super::read(file, vbios::MAX_BYTES, "no flash chip of a graphics card holds that much; is it another file?")?;
    let vbios = vbios::parse(&bytes).map_err(|error| {
        super::cannot_decode(
            file,
            error,
            "read it again: as root, echo 1 > rom; cat rom > FILE in the card's folder below /sys/bus/pci/devices",
        )
    })?;
    match format {
        Format::Plain | Format::Csv => output::print(&report::vbios_plain(&vbios, output::style())),
        Format::Json => output::print_json(&Decoded::from(&vbios)),
    }
}

/// The JSON document of a VBIOS. Ids are `0x10de`, offsets and lengths numbers; `null` is a field that the image lacks.
#[derive(Serialize)]
struct Decoded<'a> {
    size_bytes: usize,
    sha256: &'a str,
    signed_sha256: Option<&'a str>,
    vbios_version: Option<&'a str>,
    build_date: Option<&'a str>,
    build_number: Option<u32>,
    build_guid: Option<&'a str>,
    pci_vendor_id: Option<String>,
    pci_device_id: Option<String>,
    bit_device_id: Option<String>,
    /// `1043:864b`.
    ifr_subsystem: Option<String>,
    ifr: Option<DecodedIfr>,
    chip_sku: Option<&'a str>,
    project: Option<&'a str>,
    board: Option<String>,
    product_name: Option<&'a str>,
    sign_on: Option<&'a str>,
    inforom_image: Option<&'a str>,
    images: Vec<DecodedImage>,
    efi: bool,
    fwsec: bool,
    /// `last`, `stripped`, `truncated` or `broken`; what is missing from `images` may be in the card all the same unless
    /// it is `last`.
    chain_end: &'static str,
    truncated: bool,
}

#[derive(Serialize)]
struct DecodedIfr {
    offset: usize,
    version: u8,
    subsystem_vendor_id: Option<String>,
    subsystem_device_id: Option<String>,
    directory_offset: Option<usize>,
    image_offset: Option<usize>,
}

#[derive(Serialize)]
struct DecodedImage {
    code_type: u8,
    kind: &'static str,
    offset: usize,
    length_bytes: usize,
    /// Sum of all bytes modulo 256; `null` where the file ends before the image does.
    checksum: Option<u8>,
    vendor_id: String,
    device_id: String,
    class: String,
    inforom: bool,
    last: bool,
}

fn id(id: u16) -> String {
    format!("{id:#06x}")
}

impl<'a> From<&'a Vbios> for Decoded<'a> {
    fn from(vbios: &'a Vbios) -> Self {
        let info = &vbios.info;
        let (vendor, device) = vbios.pci_ids().unzip();
        let subsystem = vbios.ifr.as_ref().and_then(|header| header.subsystem);
        Self {
            size_bytes: vbios.size_bytes,
            sha256: &vbios.sha256,
            signed_sha256: vbios.signed_sha256.as_deref(),
            vbios_version: info.version.as_deref(),
            build_date: info.build_date.as_deref(),
            build_number: info.build_number,
            build_guid: info.build_guid.as_deref(),
            pci_vendor_id: vendor.map(id),
            pci_device_id: device.map(id),
            bit_device_id: info.device_id.map(id),
            ifr_subsystem: subsystem.map(|(vendor, device)| format!("{vendor:04x}:{device:04x}")),
            ifr: vbios.ifr.as_ref().map(DecodedIfr::from),
            chip_sku: info.chip_sku.as_deref(),
            project: info.project.as_deref(),
            board: info.board_id.map(id),
            product_name: info.product_name.as_deref(),
            sign_on: info.sign_on.as_deref(),
            inforom_image: vbios.inforom_version.as_deref(),
            images: vbios.images.iter().map(DecodedImage::from).collect(),
            efi: vbios.has(CodeType::EFI),
            fwsec: vbios.has(CodeType::FWSEC),
            chain_end: vbios.end.as_str(),
            truncated: vbios.truncated(),
        }
    }
}

impl From<&Ifr> for DecodedIfr {
    fn from(header: &Ifr) -> Self {
        let (vendor, device) = header.subsystem.unzip();
        Self {
            offset: header.offset,
            version: header.version,
            subsystem_vendor_id: vendor.map(id),
            subsystem_device_id: device.map(id),
            directory_offset: header.directory_offset,
            image_offset: header.image_offset,
        }
    }
}

impl From<&Image> for DecodedImage {
    fn from(image: &Image) -> Self {
        Self {
            code_type: image.code_type.0,
            kind: image.code_type.name(),
            offset: image.offset,
            length_bytes: image.length_bytes,
            checksum: image.checksum,
            vendor_id: id(image.vendor_id),
            device_id: id(image.device_id),
            class: format!("{:#08x}", image.class),
            inforom: image.inforom,
            last: image.last,
        }
    }
}
