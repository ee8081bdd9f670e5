//! Ed25519 keys and the files that hold them.
//!
//! A private key file is PKCS#8 version 1 (RFC 5958) in PEM, plain or encrypted with scrypt and AES-256-CBC (PBES2, RFC
//! 8018 and RFC 7914), which OpenSSL 3.0 and later read. A public key is a SubjectPublicKeyInfo (RFC 8410) in PEM.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pkcs8::pkcs5::{self, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::Digest;

/// PKCS#8 version 1 of an Ed25519 key up to the 32-byte seed (RFC 8410, section 7). OpenSSL 3.0 refuses version 2,
/// which ring would write.
const PKCS8_V1_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// SubjectPublicKeyInfo of an Ed25519 key up to the 32-byte key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PLAIN_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// A key file has about 300 bytes.
const MAX_KEY_FILE_BYTES: u64 = 16 << 10;
/// log2 of scrypt's N: 16 MiB at r = 8, the most that OpenSSL's default limit of 32 MiB leaves room for.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;
/// Memory that a key file may ask for: 128 * N * r * p bytes (RFC 7914, section 2).
const MAX_SCRYPT_BYTES: u64 = 1 << 30;
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// The y coordinates of all points of small order, as RFC 8032, section 5.1.2, encodes them without the sign of x, and those
/// that are encoded as y + p. Under such a key a signature can be made without any private key.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    with_ends(0, 0x01, 0x00),
    with_ends(0xff, 0xec, 0x7f),
    with_ends(0xff, 0xed, 0x7f),
    with_ends(0xff, 0xee, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn with_ends(between: u8, first: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Bytes that are no key, since anybody can sign under them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a point of small order, under which anybody can sign")]
pub struct SmallOrder;

/// Why there is no key. No error shows any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be opened, read or written.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// `read`, `write`, `create`.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, device, FIFO or socket.
    #[error("{0:?} is not a regular file")]
    NotAFile(PathBuf),
    /// Far larger than any key.
    #[error("{path:?} has more than {MAX_KEY_FILE_BYTES} bytes and is no key file")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Others could have read the secret.
    #[error(
        "the private key {path:?} has mode {mode:04o}: others than its owner can reach it; \
         mend with `chmod 600`, and make a new key if anybody else uses this machine"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others could have put a key of theirs there.
    #[error("{path:?} has mode {mode:04o}: others than its owner can change whom it trusts; mend with `chmod go-w`")]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Never overwritten.
    #[error("{0:?} exists already, and a key is never overwritten")]
    Exists(PathBuf),
    /// A public key that is none.
    #[error("{path:?} is no key: {why}")]
    SmallOrder {
        /// The file.
        path: PathBuf,
        /// Why.
        why: SmallOrder,
    },
    /// Not a key of the kind that was asked for.
    #[error("{path:?} is not {expected}: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("the private key {0:?} is encrypted and needs its passphrase")]
    PassphraseNeeded(PathBuf),
    /// The key does not decrypt.
    #[error("the passphrase does not open the private key {0:?}")]
    WrongPassphrase(PathBuf),
    /// The encryption could not be done.
    #[error("cannot encrypt the key: {0}")]
    Encrypt(String),
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
    /// Neither the XDG variable nor `HOME` is an absolute path.
    #[error("no place for keys: neither {0} nor HOME is set to an absolute path")]
    NoHome(&'static str),
}

/// Where keys, trust and memory live by default (XDG Base Directory Specification 0.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// `$XDG_DATA_HOME/yanji`, or `~/.local/share/yanji`.
    pub data: PathBuf,
    /// `$XDG_CONFIG_HOME/yanji`, or `~/.config/yanji`.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/yanji`, or `~/.local/state/yanji`.
    pub state: PathBuf,
}

impl Locations {
    /// The locations of the user who runs the tool.
    pub fn from_env() -> Result<Self, KeyError> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = |name: &'static str, below_home: &str| {
            absolute(name)
                .or_else(|| Some(absolute("HOME")?.join(below_home)))
                .map(|path| path.join("yanji"))
                .ok_or(KeyError::NoHome(name))
        };
        Ok(Self {
            data: folder("XDG_DATA_HOME", ".local/share")?,
            config: folder("XDG_CONFIG_HOME", ".config")?,
            state: folder("XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// This machine's own private key: `key.pem`.
    pub fn own_key(&self) -> PathBuf {
        self.data.join("key.pem")
    }

    /// The public half of [`Self::own_key`], readable without the passphrase: `key.pem.pub`.
    pub fn own_public_key(&self) -> PathBuf {
        public_path(&self.own_key())
    }

    /// Whom the user trusts: `trusted_keys`.
    pub fn trusted_keys(&self) -> PathBuf {
        self.config.join("trusted_keys")
    }

    /// Loads this machine's own key; makes an unencrypted one on first use. Says whether it was made now.
    pub fn load_or_create_own_key(&self, passphrase: Option<&[u8]>) -> Result<(Key, bool), KeyError> {
        let path = self.own_key();
        match Key::load(&path, passphrase) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|key| (key, false)),
        }
        match Key::create(&path, None) {
            // Another process was faster.
            Err(KeyError::Exists(_)) => Key::load(&path, passphrase).map(|key| (key, false)),
            other => other.map(|key| (key, true)),
        }
    }
}

/// Where the public half of a private key file lies: the same name with `.pub` added.
pub fn public_path(private: &Path) -> PathBuf {
    let mut name = OsString::from(private);
    name.push(".pub");
    PathBuf::from(name)
}

/// A private key.
pub struct Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Key {
    /// Makes a new key and writes it to `path` (mode 0600, scrypt-encrypted when there is a passphrase) and its public
    /// half to [`public_path`]. Missing folders are made with mode 0700. Nothing is overwritten, and each file is there
    /// whole or not at all.
    pub fn create(path: &Path, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let public_file = public_path(path);
        for file in [path, &public_file] {
            if file.symlink_metadata().is_ok() {
                return Err(KeyError::Exists(file.to_owned()));
            }
        }
        let mut der = Zeroizing::new([0; PKCS8_V1_PREFIX.len() + 32]);
        der[..PKCS8_V1_PREFIX.len()].copy_from_slice(&PKCS8_V1_PREFIX);
        SystemRandom::new().fill(&mut der[PKCS8_V1_PREFIX.len()..]).map_err(|_| KeyError::Random)?;
        let key = Self::from_pkcs8(&der[..]).ok_or(KeyError::Random)?;
        let pem = match passphrase {
            None => plain_pem(&der[..]),
            Some(passphrase) => encrypted_pem(&der[..], passphrase),
        }?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| KeyError::Io { verb: "create", path: folder.to_owned(), source })?;
        }
        write_new(path, pem.as_bytes(), 0o600)?;
        if let Err(error) = write_new(&public_file, key.public.to_pem().as_bytes(), 0o644) {
            // A key without its public half would be in the way of the next attempt; nobody has seen it yet.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(key)
    }

    /// Reads a private key file. Refuses one that group or others can read or write, one that is not a regular file,
    /// and one of more than 16 KiB.
    pub fn load(path: &Path, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let file = open_regular(path)?;
        let mode = mode_of(&file, path)?;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let pem = Zeroizing::new(read_small(file, path)?);
        let malformed =
            |why: String| KeyError::Malformed { path: path.to_owned(), expected: "a PKCS#8 private key in PEM", why };
        let pem = std::str::from_utf8(&pem).map_err(|_| malformed("not text".to_owned()))?;
        let (label, document) = SecretDocument::from_pem(pem).map_err(|error| malformed(error.to_string()))?;
        let document = match label {
            PLAIN_LABEL => document,
            ENCRYPTED_LABEL => {
                let passphrase = passphrase.ok_or_else(|| KeyError::PassphraseNeeded(path.to_owned()))?;
                let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                    .map_err(|error| malformed(error.to_string()))?;
                check_cost(&encrypted.encryption_algorithm).map_err(malformed)?;
                encrypted.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase(path.to_owned()))?
            }
            _ => return Err(malformed("another kind of PEM".to_owned())),
        };
        Self::from_pkcs8(document.as_bytes()).ok_or_else(|| malformed("not an Ed25519 key".to_owned()))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs those bytes (RFC 8032, pure Ed25519).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl PublicKey {
    /// Wraps the 32 bytes of RFC 8032, section 5.1.2. For those that come from elsewhere there is [`Self::checked`].
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Wraps bytes that somebody says are a key.
    ///
    /// # Errors
    ///
    /// They are a point of small order.
    pub fn checked(bytes: [u8; 32]) -> Result<Self, SmallOrder> {
        let key = Self(bytes);
        if key.is_small_order() { Err(SmallOrder) } else { Ok(key) }
    }

    fn is_small_order(&self) -> bool {
        let mut y = self.0;
        y[31] &= 0x7f;
        SMALL_ORDER.contains(&y)
    }

    /// Reads 64 hexadecimal digits; `None` for anything else, and for a point of small order.
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::checked(bytes_of_hex(text)?).ok()
    }

    /// Reads 64 hexadecimal digits, or PEM.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the end of a sentence that begins with what was read.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::checked(bytes_of(text)?).map_err(|error| error.to_string())
    }

    /// Reads a SubjectPublicKeyInfo in PEM. The error says what is wrong with it.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        Self::checked(bytes_of_pem(text)?).map_err(|error| error.to_string())
    }

    /// Reads a file with either of the two: PEM or hexadecimal digits.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = read_small(open_regular(path)?, path)?;
        let malformed = |why: String| KeyError::Malformed {
            path: path.to_owned(),
            expected: "an Ed25519 public key (PEM or 64 hexadecimal digits)",
            why,
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("not text".to_owned()))?;
        let bytes = bytes_of(text).map_err(malformed)?;
        Self::checked(bytes).map_err(|why| KeyError::SmallOrder { path: path.to_owned(), why })
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        let der = [&SPKI_PREFIX[..], &self.0].concat();
        // 44 bytes of DER always have a PEM form.
        pkcs8::Document::try_from(der)
            .and_then(|document| document.to_pem(PUBLIC_LABEL, LineEnding::LF))
            .unwrap_or_default()
    }

    /// The key's id as securesystemslib computes it: SHA-256 of the canonical JSON of the key's description.
    pub fn keyid(&self) -> Digest {
        let description =
            format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#, self.to_hex());
        Digest::of(description.as_bytes())
    }

    /// Whether that signature over those bytes was made with this key. Under a point of small order none was.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        !self.is_small_order()
            && UnparsedPublicKey::new(&signature::ED25519, &self.0).verify(message, signature).is_ok()
    }
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

fn bytes_of_pem(text: &str) -> Result<[u8; 32], String> {
    let (label, document) = pkcs8::Document::from_pem(text).map_err(|error| error.to_string())?;
    if label != PUBLIC_LABEL {
        return Err("another kind of PEM".to_owned());
    }
    let key = document.as_bytes().strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok());
    key.ok_or_else(|| "not an Ed25519 key".to_owned())
}

/// Of either of the two.
fn bytes_of(text: &str) -> Result<[u8; 32], String> {
    bytes_of_hex(text.trim()).map_or_else(|| bytes_of_pem(text), Ok)
}

fn plain_pem(der: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    SecretDocument::try_from(der)
        .and_then(|document| document.to_pem(PLAIN_LABEL, LineEnding::LF))
        .map_err(|error| KeyError::Encrypt(error.to_string()))
}

fn encrypted_pem(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let failed = |error: &dyn fmt::Display| KeyError::Encrypt(error.to_string());
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let random = SystemRandom::new();
    random.fill(&mut salt).and_then(|()| random.fill(&mut iv)).map_err(|_| KeyError::Random)?;
    let scrypt = pkcs5::scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|error| failed(&error))?;
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(scrypt, &salt, iv).map_err(|error| failed(&error))?;
    PrivateKeyInfoRef::try_from(der)
        .and_then(|key| key.encrypt_with_params(parameters, passphrase))
        .map_err(|error| failed(&error))?
        .to_pem(ENCRYPTED_LABEL, LineEnding::LF)
        .map_err(|error| failed(&error))
}

/// A key file says itself how much work its decryption is; a made-up one must not take the machine down.
fn check_cost(scheme: &pkcs5::EncryptionScheme) -> Result<(), String> {
    let pkcs5::EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err("encrypted with PBES1, which is obsolete".to_owned());
    };
    if let Some(scrypt) = parameters.kdf.scrypt() {
        let factors = [128, scrypt.cost_parameter, scrypt.block_size.into(), scrypt.parallelization.into()];
        let bytes = factors.into_iter().try_fold(1, u64::checked_mul);
        if bytes.is_none_or(|bytes| bytes > MAX_SCRYPT_BYTES) {
            return Err(format!("its scrypt parameters ask for more than {MAX_SCRYPT_BYTES} bytes"));
        }
    }
    match parameters.kdf.pbkdf2() {
        Some(pbkdf2) if pbkdf2.iteration_count > MAX_PBKDF2_ITERATIONS => {
            Err(format!("its PBKDF2 asks for more than {MAX_PBKDF2_ITERATIONS} iterations"))
        }
        _ => Ok(()),
    }
}

/// Opens a file without waiting for a FIFO's writer.
pub(super) fn open_regular(path: &Path) -> Result<File, KeyError> {
    let failed = |source| KeyError::Io { verb: "read", path: path.to_owned(), source };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(KeyError::NotAFile(path.to_owned())) }
}

/// The permission bits of an open file.
pub(super) fn mode_of(file: &File, path: &Path) -> Result<u32, KeyError> {
    let metadata = file.metadata().map_err(|source| KeyError::Io { verb: "read", path: path.to_owned(), source })?;
    Ok(metadata.mode() & 0o7777)
}

fn read_small(file: File, path: &Path) -> Result<Vec<u8>, KeyError> {
    // Large enough from the start: growing would leave copies of a secret behind.
    let mut content = Vec::with_capacity(MAX_KEY_FILE_BYTES as usize + 2);
    file.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut content).map_err(|source| KeyError::Io {
        verb: "read",
        path: path.to_owned(),
        source,
    })?;
    if content.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(KeyError::TooLarge { path: path.to_owned() });
    }
    Ok(content)
}

/// Writes a file that did not exist, whole or not at all.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| KeyError::Io { verb: "write", path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".yanji-key-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed)?;
    temporary.write_all(content).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    temporary.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => failed(error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyid_is_that_of_securesystemslib() {
        // RFC 8032, section 7.1, test 1; the id comes from securesystemslib 1.6.0, `SSlibKey.from_crypto`.
        let key = PublicKey::from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        assert_eq!(key.keyid().to_string(), "74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916");
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
    }

    #[test]
    fn a_point_of_small_order_is_no_key() {
        let message = b"anything";
        // R and A are the neutral element and S is zero, which fulfils the equation for every message.
        let mut nobodys = [0; 64];
        nobodys[0] = 1;
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut bytes = y;
                bytes[31] |= sign;
                let key = PublicKey::from_bytes(bytes);
                assert!(!key.verify(message, &nobodys));
                assert_eq!((PublicKey::checked(bytes), PublicKey::from_hex(&key.to_hex())), (Err(SmallOrder), None));
                for text in [key.to_hex(), key.to_pem()] {
                    assert!(PublicKey::parse(&text).unwrap_err().contains("under which anybody can sign"), "{text}");
                }
            }
        }
        let neutral = UnparsedPublicKey::new(&signature::ED25519, SMALL_ORDER[1]);
        assert!(neutral.verify(message, &nobodys).is_ok(), "the equation alone does not refuse it");
    }

    #[test]
    fn hostile_cost_parameters_are_refused() {
        let scheme = |log_n, r, p| {
            let params = pkcs5::scrypt::Params::new(log_n, r, p).unwrap();
            pkcs5::EncryptionScheme::Pbes2(
                pbes2::Parameters::generate_scrypt_aes256cbc(params, &[0; 16], [0; 16]).unwrap(),
            )
        };
        assert!(check_cost(&scheme(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)).is_ok());
        assert!(check_cost(&scheme(30, 8, 1)).is_err());
    }
}
