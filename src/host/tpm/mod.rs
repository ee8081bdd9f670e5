//! A TPM 2.0, asked for what it signs. Speaks the few commands that are needed itself, to the kernel's device or to a TPM in
//! software (swtpm) over TCP.
//!
//! Nothing in the TPM is changed: keys are made anew from the TPM's own seed each time, so that the same TPM always gives
//! the same key, and are flushed after use. Needs read and write access to the device (root, or the group `tss`).

mod activate;
mod command;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use command::{AnswerError, Command, code};
use transport::Transport;

use crate::attest::challenge::TpmCredential;
use crate::attest::tpm::certificate::{self, MAX_CERTIFICATE_BYTES, MAX_CHAIN};
use crate::attest::tpm::public_key::PublicKey;
use crate::attest::tpm::quote::{self, Attestation, AttestationError, Clock, Said, read_clock, read_selection};
use crate::attest::tpm::wire::{Reader, WireError, Writer};
use crate::attest::tpm::{ECDSA, NO_ALGORITHM, QUOTED_REGISTERS, RSASSA, SHA256};
use crate::evidence::Reading;

/// A command that makes no key.
const DEADLINE: Duration = Duration::from_secs(20);
/// Making an RSA key takes an old TPM a minute.
const KEY_DEADLINE: Duration = Duration::from_secs(180);
/// How often registers are read again when one of them was extended meanwhile.
const QUOTE_ATTEMPTS: usize = 3;
/// Bytes of an NV index that every TPM gives at once.
const NV_PART_BYTES: u16 = 512;
/// Handles of one kind that are looked at.
const MAX_HANDLES: usize = 64;
/// Registers in one answer to PCR_Read.
const MAX_READ_REGISTERS: usize = 8;

const OWNER: u32 = 0x4000_0001;
const ENDORSEMENT: u32 = 0x4000_000b;
const NV_FIRST: u32 = 0x0100_0000;
const PERSISTENT_FIRST: u32 = 0x8100_0000;
/// Where vendors put certificates of endorsement keys (TCG EK Credential Profile 2.5, 2.2.1.4 and 2.2.1.5), the most usual
/// first.
const EK_CERTIFICATES: [u32; 8] =
    [0x01c0_000a, 0x01c0_0002, 0x01c0_0014, 0x01c0_0016, 0x01c0_0012, 0x01c0_0018, 0x01c0_001a, 0x01c0_001c];
/// Where they put the certificates above them.
const EK_CHAIN: std::ops::RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;
/// Where they put certificates of device identity and attestation keys (TCG TPM 2.0 Keys for Device Identity and
/// Attestation 1.0, 7.3).
const IDENTITY_CERTIFICATES: std::ops::RangeInclusive<u32> = 0x01c9_0000..=0x01c9_ffff;

/// Where a TPM is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TpmAddress {
    /// `/dev/tpmrm0`, or `/dev/tpm0` where the kernel has no resource manager.
    #[default]
    Default,
    /// A device file.
    Device(String),
    /// A TPM in software: host and port.
    Tcp(String),
    /// No TPM is asked.
    None,
}

impl FromStr for TpmAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("tcp:")) {
            ("none", _) => Ok(Self::None),
            (_, Some(address)) if is_host_and_port(address) => Ok(Self::Tcp(address.to_owned())),
            (path, None) if path.starts_with('/') && path.trim_end() == path => Ok(Self::Device(path.to_owned())),
            _ => Err("give an absolute path, tcp:HOST:PORT with a port of 1 to 65535, or none"),
        }
    }
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && is_number
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl fmt::Display for TpmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(transport::DEVICES[0]),
            Self::Device(path) => f.write_str(path),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// What a TPM was asked and did not give.
#[derive(Debug, thiserror::Error)]
enum TpmError {
    /// The way to it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It refused the command.
    #[error("the TPM refused command {command:#x} with code {code:#x}{}", explain(*code))]
    Refused { command: u32, code: u32 },
    /// Its answer can't be read.
    #[error("the TPM's answer to command {command:#x} {reason}")]
    Answer { command: u32, reason: String },
    /// It has no such thing.
    #[error("{0}")]
    Missing(&'static str),
}

impl TpmError {
    fn reading<T>(self) -> Reading<T> {
        match &self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => Reading::Absent,
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Reading::Denied,
            _ => Reading::Failed(self.to_string()),
        }
    }
}

/// What the codes mean that an operator can do something about (Part 2, 6.6).
fn explain(code: u32) -> &'static str {
    // A format-one code names a parameter, handle or session in the bits that are left out.
    match if code & 0x80 != 0 { code & 0xbf } else { code } {
        0x08e | 0x0a2 => ": its hierarchy has a password",
        0x100 => ": it was not started",
        0x101 => ": it is in failure mode",
        0x902 => ": it has no room for a key",
        0x921 => {
            ": it is locked after wrong passwords or hard power-offs; wait, or unlock it (tpm2_dictionarylockout \
             --clear-lockout)"
        }
        _ => "",
    }
}

/// What a TPM gave when it was asked for a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// The vendor, as it names itself.
    pub manufacturer: String,
    /// Version of its firmware.
    pub firmware: String,
    /// Certificate of its endorsement key, DER, where it has one.
    pub ek_certificate: Reading<Vec<u8>>,
    /// Certificates above that one, DER.
    pub ek_chain: Vec<Vec<u8>>,
    /// The key that signed: TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
    /// Certificates of that key that the TPM keeps, the key's own first, DER.
    pub ak_chain: Vec<Vec<u8>>,
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The quoted registers of the SHA-256 bank.
    pub registers: BTreeMap<u32, [u8; 32]>,
    /// TPMS_ATTEST of the TPM's time and its TPMT_SIGNATURE, where it gives one.
    pub time: Option<(Vec<u8>, Vec<u8>)>,
}

/// Asks a TPM for its identity and for a quote that contains `nonce`. Takes about a second on a real TPM, minutes where it
/// makes RSA keys only, and gives up at a deadline for each command.
pub fn quote(address: &TpmAddress, nonce: &[u8; 32]) -> Reading<Quoted> {
    let ask = || -> Result<Quoted, TpmError> {
        let Some(transport) = Transport::open(address, DEADLINE)? else {
            return Err(TpmError::Missing("no TPM is asked"));
        };
        Tpm { transport }.quoted(nonce)
    };
    let reading = ask().map_or_else(TpmError::reading, Reading::Known);
    tracing::debug!("asked the TPM at {address} for a quote: {}", reading.state());
    reading
}

/// Has a TPM read the secret of a credential, for the key that [`quote()`] signs with.
pub fn activate(address: &TpmAddress, credential: &TpmCredential) -> Reading<[u8; 32]> {
    let ask = || -> Result<[u8; 32], TpmError> {
        let Some(transport) = Transport::open(address, DEADLINE)? else {
            return Err(TpmError::Missing("no TPM is asked"));
        };
        Tpm { transport }.activate(credential)
    };
    ask().map_or_else(TpmError::reading, Reading::Known)
}

/// The clock of a TPM.
pub fn clock(address: &TpmAddress) -> Reading<Clock> {
    let ask = || -> Result<Clock, TpmError> {
        let Some(transport) = Transport::open(address, DEADLINE)? else {
            return Err(TpmError::Missing("no TPM is asked"));
        };
        Tpm { transport }.clock()
    };
    ask().map_or_else(TpmError::reading, Reading::Known)
}

struct Tpm {
    transport: Transport,
}

/// Quote, its signature, the registers that it is over, and the time with its signature.
type Signed = (Vec<u8>, Vec<u8>, BTreeMap<u32, [u8; 32]>, Option<(Vec<u8>, Vec<u8>)>);

/// A key for the time of its use.
struct Key {
    handle: u32,
    public: Vec<u8>,
    /// Whether it takes up room in the TPM until it is flushed.
    transient: bool,
    chain: Vec<Vec<u8>>,
}

impl Tpm {
    fn quoted(&mut self, nonce: &[u8; 32]) -> Result<Quoted, TpmError> {
        let (manufacturer, firmware) = self.identity()?;
        let indices = self.handles(NV_FIRST)?;
        let ek_certificate = match EK_CERTIFICATES.iter().find(|index| indices.contains(index)) {
            None => Reading::Absent,
            Some(index) => self.certificate(*index).map_or_else(TpmError::reading, Reading::Known),
        };
        let ek_chain: Vec<Vec<u8>> = indices
            .iter()
            .filter(|index| EK_CHAIN.contains(index))
            .take(MAX_CHAIN)
            .filter_map(|index| self.certificate(*index).ok())
            .collect();
        let key = match self.identity_key(&indices) {
            Some(key) => key,
            None => self.attestation_key()?,
        };
        let signed = self.sign(&key, nonce);
        if key.transient {
            self.flush(key.handle);
        }
        let (attest, signature, registers, time) = signed?;
        Ok(Quoted {
            manufacturer,
            firmware,
            ek_certificate,
            ek_chain,
            ak_public: key.public,
            ak_chain: key.chain,
            attest,
            signature,
            registers,
            time,
        })
    }

    /// Gives room back. Another user of the same TPM may need it; what was done with it is none the worse if that fails.
    fn flush(&mut self, handle: u32) {
        _ = self.run(&Command::new(code::FLUSH_CONTEXT, &[], Writer::new().u32(handle)), DEADLINE);
    }

    /// Vendor and firmware (Part 2, 6.13).
    fn identity(&mut self) -> Result<(String, String), TpmError> {
        const MANUFACTURER: u32 = 0x105;
        const FIRMWARE_VERSION_1: u32 = 0x10b;
        const FIRMWARE_VERSION_2: u32 = 0x10c;
        let mut property = |wanted| -> Result<u32, TpmError> {
            const PROPERTIES: u32 = 6;
            let command = Command::new(code::GET_CAPABILITY, &[], Writer::new().u32(PROPERTIES).u32(wanted).u32(1));
            self.ask(&command, |reader| {
                let (_more, _capability, count) = (reader.u8()?, reader.u32()?, reader.u32()?);
                if count == 0 {
                    return Err(WireError::Unsupported { field: "count of properties", value: 0 });
                }
                let (found, value) = (reader.u32()?, reader.u32()?);
                if found != wanted {
                    return Err(WireError::Unsupported { field: "property", value: found });
                }
                Ok(value)
            })
        };
        let manufacturer = certificate::manufacturer_name(property(MANUFACTURER)?);
        let [high, low] = [property(FIRMWARE_VERSION_1)?, property(FIRMWARE_VERSION_2)?];
        Ok((manufacturer, format!("{}.{}.{}.{}", high >> 16, high & 0xffff, low >> 16, low & 0xffff)))
    }

    fn clock(&mut self) -> Result<Clock, TpmError> {
        self.ask(&Command::new(code::READ_CLOCK, &[], Writer::new()), |reader| {
            let _time = reader.u64()?;
            read_clock(reader)
        })
    }

    /// Handles of one kind, from `first` on.
    fn handles(&mut self, first: u32) -> Result<Vec<u32>, TpmError> {
        const HANDLES: u32 = 1;
        let mut found: Vec<u32> = Vec::new();
        let mut next = first;
        loop {
            let parameters = Writer::new().u32(HANDLES).u32(next).u32(MAX_HANDLES as u32);
            let (more, handles) = self.ask(&Command::new(code::GET_CAPABILITY, &[], parameters), |reader| {
                let (more, _capability, count) = (reader.u8()? == 1, reader.u32()?, reader.u32()?);
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_HANDLES);
                let handles: Result<Vec<u32>, WireError> = (0..count).map(|_| reader.u32()).collect();
                Ok((more, handles?))
            })?;
            // The first byte of a handle is its kind.
            let last = handles.last().copied();
            found.extend(handles.into_iter().filter(|handle| handle >> 24 == first >> 24));
            match last.and_then(|last| last.checked_add(1)) {
                Some(after) if more && after > next && after >> 24 == first >> 24 && found.len() < MAX_HANDLES => {
                    next = after;
                }
                _ => return Ok(found),
            }
        }
    }

    /// A certificate in an NV index.
    fn certificate(&mut self, index: u32) -> Result<Vec<u8>, TpmError> {
        let bytes = self.nv(index)?;
        match certificate::trim(&bytes) {
            Some(certificate) => Ok(certificate.to_vec()),
            None => Err(TpmError::Missing("the NV index holds no certificate")),
        }
    }

    /// The content of an NV index.
    fn nv(&mut self, index: u32) -> Result<Vec<u8>, TpmError> {
        let size = self.ask(&Command::new(code::NV_READ_PUBLIC, &[index], Writer::new()), |reader| {
            let mut public = Reader::new(reader.sized()?);
            let (_index, _name_algorithm, _attributes) = (public.u32()?, public.u16()?, public.u32()?);
            public.sized()?;
            public.u16()
        })?;
        if usize::from(size) > MAX_CERTIFICATE_BYTES {
            return Err(TpmError::Missing("the NV index holds more than any certificate"));
        }
        let mut content = Vec::new();
        let mut authority = index;
        while let Some(left) = size.checked_sub(content.len() as u16).filter(|left| *left > 0) {
            let (part, at) = (left.min(NV_PART_BYTES), content.len() as u16);
            let read =
                |authority| Command::authorised(code::NV_READ, &[authority, index], 1, Writer::new().u16(part).u16(at));
            let mut take = |command: &Command| self.ask(command, |reader| Ok(reader.sized()?.to_vec()));
            let bytes = match take(&read(authority)) {
                // Some vendors let only the owner read what anybody may know.
                Err(TpmError::Refused { .. }) if authority == index => {
                    authority = OWNER;
                    take(&read(authority))?
                }
                other => other?,
            };
            if bytes.len() != usize::from(part) {
                let reason = "has another length than it was asked for".to_owned();
                return Err(TpmError::Answer { command: code::NV_READ, reason });
            }
            content.extend(bytes);
        }
        Ok(content)
    }

    /// The machine's own attestation key, where the vendor left one with its certificate.
    fn identity_key(&mut self, indices: &[u32]) -> Option<Key> {
        let indices: Vec<u32> = indices.iter().copied().filter(|index| IDENTITY_CERTIFICATES.contains(index)).collect();
        let mut certificates: Vec<Vec<u8>> =
            indices.iter().take(MAX_CHAIN).filter_map(|index| self.certificate(*index).ok()).collect();
        if certificates.is_empty() {
            return None;
        }
        for handle in self.handles(PERSISTENT_FIRST).ok()? {
            let command = Command::new(code::READ_PUBLIC, &[handle], Writer::new());
            let Ok(public) = self.ask(&command, |reader| Ok(reader.sized()?.to_vec())) else { continue };
            let Ok(key) = PublicKey::parse(&public) else { continue };
            let info = key.subject_public_key_info();
            let own = |certificate: &Vec<u8>| certificate::subject_public_key_info(certificate).as_ref() == Ok(&info);
            if let Some(at) = certificates.iter().position(own).filter(|_| key.is_restricted_signing_key()) {
                certificates.swap(0, at);
                return Some(Key { handle, public, transient: false, chain: certificates });
            }
        }
        None
    }

    /// A restricted signing key that this TPM, and no other, makes again each time.
    fn attestation_key(&mut self) -> Result<Key, TpmError> {
        let mut refused = None;
        for hierarchy in [ENDORSEMENT, OWNER] {
            for template in [ecdsa_template(), rsa_template()] {
                match self.create_primary(hierarchy, &template) {
                    Err(error @ TpmError::Refused { .. }) => _ = refused.get_or_insert(error),
                    other => return other,
                }
            }
        }
        Err(refused.unwrap_or(TpmError::Missing("the TPM makes no attestation key")))
    }

    fn create_primary(&mut self, hierarchy: u32, template: &[u8]) -> Result<Key, TpmError> {
        // No password and no data, no outside information, no registers.
        let no_secret = Writer::new().sized(&[]).sized(&[]).finish();
        let parameters = Writer::new().sized(&no_secret).sized(template).sized(&[]).u32(0);
        let command = Command::authorised(code::CREATE_PRIMARY, &[hierarchy], 1, parameters).with_answered_handle();
        let answer = self.run(&command, KEY_DEADLINE)?;
        let broken = |reason: String| TpmError::Answer { command: code::CREATE_PRIMARY, reason };
        let answer = command.read_answer(&answer).map_err(|error| self::refusal(&command, error))?;
        let handle = answer.handle.ok_or_else(|| broken("has no handle".to_owned()))?;
        let public = Reader::new(answer.parameters).sized().map_err(|error| broken(error.to_string()))?.to_vec();
        Ok(Key { handle, public, transient: true, chain: Vec::new() })
    }

    /// A quote and the registers that it is over, and the time after it.
    fn sign(&mut self, key: &Key, nonce: &[u8; 32]) -> Result<Signed, TpmError> {
        let selection = selection(&QUOTED_REGISTERS);
        let parameters = Writer::new().sized(nonce).u16(NO_ALGORITHM).bytes(&selection);
        let command = Command::authorised(code::QUOTE, &[key.handle], 1, parameters);
        let broken = |error: AttestationError| TpmError::Answer { command: code::QUOTE, reason: error.to_string() };
        for _ in 0..QUOTE_ATTEMPTS {
            let registers = self.registers()?;
            let (attest, signature) = self.attested(&command)?;
            let quoted = Attestation::parse(&attest).map_err(broken)?;
            let expected = quote::pcr_digest(registers.values());
            if matches!(quoted.said, Said::Quote { pcr_digest, .. } if pcr_digest == expected.as_bytes()) {
                let parameters = Writer::new().sized(nonce).u16(NO_ALGORITHM);
                let time = Command::authorised(code::GET_TIME, &[ENDORSEMENT, key.handle], 2, parameters);
                return Ok((attest, signature, registers, self.attested(&time).ok()));
            }
        }
        Err(TpmError::Missing("the registers change all the time"))
    }

    /// A TPMS_ATTEST and its TPMT_SIGNATURE.
    fn attested(&mut self, command: &Command) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
        self.ask(command, |reader| Ok((reader.sized()?.to_vec(), reader.clone().rest().to_vec())))
    }

    /// The values of [`QUOTED_REGISTERS`].
    fn registers(&mut self) -> Result<BTreeMap<u32, [u8; 32]>, TpmError> {
        let mut values = BTreeMap::new();
        for wanted in QUOTED_REGISTERS.chunks(MAX_READ_REGISTERS) {
            let command = Command::new(code::PCR_READ, &[], Writer::new().bytes(&selection(wanted)));
            let found = self.ask(&command, |reader| {
                let _updates = reader.u32()?;
                let selected = read_selection(reader)?;
                let count = reader.u32()?;
                let registers = selected.into_iter().filter(|(hash, _)| *hash == SHA256).flat_map(|(_, all)| all);
                let mut found = Vec::new();
                for register in registers.take(usize::try_from(count).unwrap_or(usize::MAX)) {
                    let digest = reader.sized()?;
                    let unsupported = WireError::Unsupported { field: "size of a digest", value: digest.len() as u32 };
                    found.push((register, <[u8; 32]>::try_from(digest).map_err(|_| unsupported)?));
                }
                Ok(found)
            })?;
            values.extend(found);
        }
        if QUOTED_REGISTERS.iter().any(|register| !values.contains_key(register)) {
            return Err(TpmError::Missing(
                "the TPM has no SHA-256 registers; switch their bank on in the firmware setup",
            ));
        }
        Ok(values)
    }

    /// Runs a command and reads the parameters of its answer.
    fn ask<T>(
        &mut self,
        command: &Command,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, WireError>,
    ) -> Result<T, TpmError> {
        let answer = self.run(command, DEADLINE)?;
        let answer = command.read_answer(&answer).map_err(|error| refusal(command, error))?;
        read(&mut Reader::new(answer.parameters)).map_err(|error| refusal(command, error.into()))
    }

    fn run(&mut self, command: &Command, deadline: Duration) -> Result<Vec<u8>, TpmError> {
        Ok(self.transport.run(&command.to_bytes(), deadline)?)
    }
}

fn refusal(command: &Command, error: AnswerError) -> TpmError {
    let command = command.code();
    match error {
        AnswerError::Code(code) => TpmError::Refused { command, code },
        AnswerError::Size { said, found } => {
            TpmError::Answer { command, reason: format!("says that it has {said} bytes, and has {found}") }
        }
        AnswerError::Wire(error) => TpmError::Answer { command, reason: error.to_string() },
    }
}

/// TPML_PCR_SELECTION of registers of the SHA-256 bank.
fn selection(registers: &[u32]) -> Vec<u8> {
    let bitmap = registers.iter().fold(0u32, |bitmap, register| bitmap | 1 << register).to_le_bytes();
    Writer::new().u32(1).u16(SHA256).u8(3).bytes(&bitmap[..3]).finish()
}

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign. Without noDA a few hard power-offs lock the TPM
/// against its use (Part 1, 19.8): there is no password to be guessed.
const ATTESTATION_KEY: u32 = 0x0005_0472;

/// ECDSA on P-256 with SHA-256.
fn ecdsa_template() -> Vec<u8> {
    const ECC: u16 = 0x0023;
    const P256: u16 = 0x0003;
    let public = Writer::new().u16(ECC).u16(SHA256).u32(ATTESTATION_KEY).sized(&[]);
    let parameters = public.u16(NO_ALGORITHM).u16(ECDSA).u16(SHA256).u16(P256).u16(NO_ALGORITHM);
    parameters.sized(&[]).sized(&[]).finish()
}

/// RSASSA with 2048 bits and SHA-256.
fn rsa_template() -> Vec<u8> {
    const RSA: u16 = 0x0001;
    let public = Writer::new().u16(RSA).u16(SHA256).u32(ATTESTATION_KEY).sized(&[]);
    public.u16(NO_ALGORITHM).u16(RSASSA).u16(SHA256).u16(2048).u32(0).sized(&[]).finish()
}
