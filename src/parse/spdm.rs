//! The signed measurement report of an NVIDIA GPU or NVSwitch: an SPDM 1.1 `GET_MEASUREMENTS` request and the
//! `MEASUREMENTS` response to it, one after the other (DMTF DSP0274 1.1.0, 10.11).
//!
//! ```text
//!   0  1  SPDM version, 11h            request
//!   1  1  code, E0h
//!   2  1  Param1: 01h, a signature is asked for
//!   3  1  Param2: FFh, all measurements
//!   4 32  nonce of whoever asks
//!  36  1  slot of the certificate chain
//!  37  1  SPDM version, 11h            response
//!  38  1  code, 60h
//!  39  2  Param1, Param2
//!  41  1  number of measurement blocks
//!  42  3  length of the measurement record, little endian
//!  45  n  blocks: index (1), specification (1, bit 0 is DMTF), length (2);
//!         in it DMTF value type (1), length (2), value
//!   …  32  nonce of the device
//!   …   2  length of the opaque data
//!   …   m  opaque data: fields of type (2), length (2), value
//!   …  96  ECDSA P-384 over SHA-384 of everything before, r and s of 48 bytes each
//! ```
//!
//! Types of opaque fields: NVIDIA/nvtrust and NVIDIA/attestation-sdk.

/// The largest report that NVML can give (`NVML_CC_GPU_ATTESTATION_REPORT_SIZE`).
pub const MAX_BYTES: usize = 8192;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 32;
/// Bytes of the signature.
pub const SIGNATURE_BYTES: usize = 96;

const VERSION_1_1: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xe0;
const MEASUREMENTS: u8 = 0x60;
const DMTF: u8 = 1;

/// A report. Nothing of it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the device was asked to sign.
    pub nonce: [u8; NONCE_BYTES],
    /// Slot of the certificate chain.
    pub slot: u8,
    /// Parameters of the response.
    pub parameters: [u8; 2],
    /// Measurements in the order of the record.
    pub measurements: Vec<Measurement>,
    /// What the device added.
    pub device_nonce: [u8; NONCE_BYTES],
    /// Fields of the opaque data, in their order.
    pub opaque: Vec<OpaqueField>,
    /// How many bytes are signed, from the first.
    pub signed_bytes: usize,
    /// r and s.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// Its index, from 1.
    pub index: u8,
    /// `DMTFSpecMeasurementValueType`; bit 7 says that the value is no digest.
    pub value_type: u8,
    /// Digest or raw bytes.
    pub value: Vec<u8>,
}

/// One field of the opaque data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueField {
    /// Its type.
    pub kind: u16,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// Version of the driver, text.
pub const DRIVER_VERSION: u16 = 3;
/// Version of the VBIOS: on GPUs five bytes (four of them in reverse order), on switches text.
pub const VBIOS_VERSION: u16 = 6;
/// Board id, little endian.
pub const BOARD_ID: u16 = 14;
/// Chip SKU, text.
pub const CHIP_SKU: u16 = 15;
/// Project of the board, text: `G520`.
pub const PROJECT: u16 = 17;
/// SKU of the project, text: `0200`.
pub const PROJECT_SKU: u16 = 18;
/// Digest of the firmware that made the signing key.
pub const FWID: u16 = 20;
/// On switches their own PDI, on GPUs the PDI of the switch at each link with its bytes reversed.
pub const DEVICE_PDI: u16 = 22;
/// On switches: the PDIs of up to eight GPUs, then for each of the 64 ports which of them is there.
pub const SWITCH_GPU_PDIS: u16 = 26;

impl OpaqueField {
    /// Name of the type, as NVIDIA's tools print it without `OPAQUE_FIELD_ID_`; `None` for one that is not known.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self.kind {
            1 => "CERT_ISSUER_NAME",
            2 => "CERT_AUTHORITY_KEY_IDENTIFIER",
            DRIVER_VERSION => "DRIVER_VERSION",
            4 => "GPU_INFO",
            5 => "SKU",
            VBIOS_VERSION => "VBIOS_VERSION",
            7 => "MANUFACTURER_ID",
            8 => "TAMPER_DETECTION",
            9 => "SMC",
            10 => "VPR",
            11 => "NVDEC0_STATUS",
            12 => "MSRSCNT",
            13 => "CPRINFO",
            BOARD_ID => "BOARD_ID",
            CHIP_SKU => "CHIP_SKU",
            16 => "CHIP_SKU_MOD",
            PROJECT => "PROJECT",
            PROJECT_SKU => "PROJECT_SKU",
            19 => "PROJECT_SKU_MOD",
            FWID => "FWID",
            21 => "PROTECTED_PCIE_STATUS",
            DEVICE_PDI => "DEVICE_PDI",
            23 => "DISABLED_PORTS",
            24 => "SWITCH_POSITION_ID",
            25 => "SWITCH_LOCK_STATUS",
            SWITCH_GPU_PDIS => "SWITCH_GPU_PDIS",
            32 => "GPU_LINK_CONN",
            33 => "SYS_ENABLE_STATUS",
            34 => "OPAQUE_DATA_VERSION",
            35 => "CHIP_INFO",
            36 => "FEATURE_FLAG",
            255 => "INVALID",
            _ => return None,
        })
    }
}

impl Report {
    /// The first field of that type.
    pub fn field(&self, kind: u16) -> Option<&[u8]> {
        self.opaque.iter().find(|field| field.kind == kind).map(|field| field.value.as_slice())
    }

    /// Text of a field up to its first NUL. `None` where it has other bytes than printable ASCII, or none.
    pub fn text(&self, kind: u16) -> Option<&str> {
        let value = self.field(kind)?;
        let text = value.split(|&byte| byte == 0).next()?;
        let printable = !text.is_empty() && text.iter().all(|byte| (0x20..0x7f).contains(byte));
        std::str::from_utf8(text).ok().filter(|_| printable)
    }

    /// Version of the VBIOS as it is printed elsewhere: `96.00.A5.00.01`.
    pub fn vbios_version(&self) -> Option<String> {
        let value = self.field(VBIOS_VERSION)?;
        match value {
            [d, c, b, a, e, 0, 0, 0] => Some(format!("{a:02X}.{b:02X}.{c:02X}.{d:02X}.{e:02X}")),
            _ => self.text(VBIOS_VERSION).map(str::to_owned),
        }
    }

    /// Board id as a number.
    pub fn board_id(&self) -> Option<u32> {
        let value = self.field(BOARD_ID)?;
        Some(u32::from_le_bytes(value.try_into().ok()?))
    }
}

/// Why bytes are no such report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpdmError {
    /// Larger than [`MAX_BYTES`].
    #[error("{0} bytes are more than a measurement report can have")]
    TooLarge(usize),
    /// It ends too early.
    #[error("the report ends inside of its {0}")]
    Truncated(&'static str),
    /// Another version or message.
    #[error("the {part} is version {version:#04x}, code {code:#04x}, and not {expected:#04x} of SPDM 1.1")]
    NotMeasurements {
        /// `request` or `response`.
        part: &'static str,
        /// Its version.
        version: u8,
        /// Its code.
        code: u8,
        /// The code that should be there.
        expected: u8,
    },
    /// A measurement block of another specification, or with a value that is not as long as it says.
    #[error("measurement block {0} is not a DMTF measurement")]
    Measurement(usize),
    /// The record has more or fewer blocks than it says.
    #[error("the measurement record holds {found} blocks, and says {stated}")]
    Blocks {
        /// What the response says.
        stated: usize,
        /// What is there.
        found: usize,
    },
    /// Bytes behind the signature.
    #[error("{0} bytes follow the signature")]
    Trailing(usize),
}

/// Reads a report.
pub fn parse(bytes: &[u8]) -> Result<Report, SpdmError> {
    if bytes.len() > MAX_BYTES {
        return Err(SpdmError::TooLarge(bytes.len()));
    }
    let mut rest = Cursor { rest: bytes, part: "request" };
    header(&mut rest, GET_MEASUREMENTS)?;
    let nonce = rest.array()?;
    let [slot] = rest.array()?;
    rest.part = "response";
    let parameters = header(&mut rest, MEASUREMENTS)?;
    let [stated, low, middle, high] = rest.array()?;
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    rest.part = "measurement record";
    let measurements = measurements(rest.take(length)?)?;
    if measurements.len() != usize::from(stated) {
        return Err(SpdmError::Blocks { stated: stated.into(), found: measurements.len() });
    }
    rest.part = "nonce";
    let device_nonce = rest.array()?;
    rest.part = "opaque data";
    let length = u16::from_le_bytes(rest.array()?);
    let opaque = opaque(rest.take(length.into())?)?;
    let signed_bytes = bytes.len() - rest.rest.len();
    rest.part = "signature";
    let signature = rest.array()?;
    if !rest.rest.is_empty() {
        return Err(SpdmError::Trailing(rest.rest.len()));
    }
    Ok(Report { nonce, slot, parameters, measurements, device_nonce, opaque, signed_bytes, signature })
}

/// Version and code; gives the two parameters.
fn header(rest: &mut Cursor<'_>, expected: u8) -> Result<[u8; 2], SpdmError> {
    let [version, code, first, second] = rest.array()?;
    if (version, code) != (VERSION_1_1, expected) {
        return Err(SpdmError::NotMeasurements { part: rest.part, version, code, expected });
    }
    Ok([first, second])
}

fn measurements(record: &[u8]) -> Result<Vec<Measurement>, SpdmError> {
    let mut rest = Cursor { rest: record, part: "measurement record" };
    let mut measurements = Vec::new();
    while !rest.rest.is_empty() {
        let [index, specification] = rest.array()?;
        let length = u16::from_le_bytes(rest.array()?);
        let block = rest.take(length.into())?;
        let (&[value_type, low, high], value) =
            block.split_first_chunk().ok_or(SpdmError::Measurement(index.into()))?;
        if specification != DMTF || value.len() != usize::from(u16::from_le_bytes([low, high])) {
            return Err(SpdmError::Measurement(index.into()));
        }
        measurements.push(Measurement { index, value_type, value: value.to_vec() });
    }
    Ok(measurements)
}

fn opaque(data: &[u8]) -> Result<Vec<OpaqueField>, SpdmError> {
    let mut rest = Cursor { rest: data, part: "opaque data" };
    let mut fields = Vec::new();
    while !rest.rest.is_empty() {
        let kind = u16::from_le_bytes(rest.array()?);
        let length = u16::from_le_bytes(rest.array()?);
        fields.push(OpaqueField { kind, value: rest.take(length.into())?.to_vec() });
    }
    Ok(fields)
}

/// What is left, and the name of the part that is being read.
struct Cursor<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SpdmError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SpdmError::Truncated(self.part))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SpdmError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SpdmError::Truncated(self.part))?;
        self.rest = rest;
        Ok(*taken)
    }
}
