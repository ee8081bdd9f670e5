//! A management controller (BMC) that is asked over HTTPS.
//!
//! Only where a user names one. Its certificate is verified against the system's authorities or a given one; no redirect is
//! followed, no proxy asked, and each answer has 10 seconds and 4 MiB.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::config::ConfigBuilder;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use zeroize::Zeroizing;

use super::MAX_FILE_BYTES;
use crate::evidence::Reading;

/// Where distributions keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
/// A controller answers slowly, and one that does not answer must not hold everything up.
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_CREDENTIALS_BYTES: u64 = 4096;
/// A bundle of all public authorities has 250 KB.
const MAX_AUTHORITIES_BYTES: u64 = 4 << 20;

/// Why a management controller can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum BmcError {
    /// Not an address that may be asked.
    #[error("{0:?} is no https:// address of a host; http:// is for 127.0.0.1 and localhost only")]
    Address(String),
    /// A file could not be read.
    #[error("cannot read {path:?}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the password.
    #[error("{path:?} has mode {mode:04o}, and others must not read a password: chmod 600")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not `user:password`.
    #[error("the credentials are not user:password in one line")]
    Credentials,
    /// No certificate in it.
    #[error("{0:?} holds no certificate in PEM")]
    NoCertificate(PathBuf),
    /// Without authorities no certificate can be verified.
    #[error("this system has no list of certificate authorities")]
    NoAuthorities,
}

/// User and password, wiped from memory when dropped and never printed.
pub struct Credentials(Zeroizing<String>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// From `user:password`.
    pub fn parse(text: &str) -> Result<Self, BmcError> {
        let text = text.trim_end_matches(['\r', '\n']);
        let whole = text.split_once(':').is_some_and(|(user, _)| !user.is_empty());
        if !whole || text.chars().any(char::is_control) {
            return Err(BmcError::Credentials);
        }
        let encoded = Zeroizing::new(STANDARD.encode(text));
        Ok(Self(Zeroizing::new(format!("Basic {}", *encoded))))
    }

    /// From a file that nobody else can read.
    pub fn from_file(path: &Path) -> Result<Self, BmcError> {
        let io = |source| BmcError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(BmcError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_CREDENTIALS_BYTES as usize));
        file.by_ref().take(MAX_CREDENTIALS_BYTES).read_to_string(&mut text).map_err(io)?;
        Self::parse(&text)
    }
}

/// A management controller.
#[derive(Debug)]
pub struct Bmc {
    agent: ureq::Agent,
    base: String,
    credentials: Option<Credentials>,
}

impl Bmc {
    /// The controller at `https://host` or `https://host:port`. `authority` is a PEM file of the certificates that may sign
    /// the controller's own, for one that signs itself; else those of the system.
    pub fn new(url: &str, credentials: Option<Credentials>, authority: Option<&Path>) -> Result<Self, BmcError> {
        let base = url.trim_end_matches('/').to_owned();
        let bad = || BmcError::Address(url.to_owned());
        let (scheme, host) = base.split_once("://").ok_or_else(bad)?;
        let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let name = host
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name), |(address, _)| address);
        let local = matches!(name, "127.0.0.1" | "localhost" | "::1");
        let secure = scheme == "https";
        if host.is_empty() || !plain || !(secure || scheme == "http" && local) {
            return Err(bad());
        }
        let authorities = secure.then(|| authorities(authority)).transpose()?;
        let config = http_client(DEADLINE, authorities).proxy(None);
        Ok(Self { agent: config.build().into(), base, credentials })
    }

    /// What is at a path below `/redfish/`.
    pub(super) fn get(&self, path: &str) -> Reading<Vec<u8>> {
        if !crate::parse::redfish::is_path(path) {
            return Reading::Failed("not a path below /redfish/".to_owned());
        }
        let mut request = self.agent.get(format!("{}{path}", self.base)).header("Accept", "application/json");
        if let Some(Credentials(value)) = &self.credentials {
            request = request.header("Authorization", value.as_str());
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return Reading::Failed(format!("no answer: {error}")),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Reading::Denied,
            StatusCode::NOT_FOUND => return Reading::Absent,
            status if status.is_redirection() => {
                return Reading::Failed("sends elsewhere, where nobody is asked".to_owned());
            }
            status => return Reading::Failed(format!("answered {status}")),
        }
        match response.body_mut().with_config().limit(MAX_FILE_BYTES as u64).read_to_vec() {
            Ok(body) => Reading::Known(body),
            Err(ureq::Error::BodyExceedsLimit(_)) => Reading::Failed(format!("more than {MAX_FILE_BYTES} bytes")),
            Err(error) => Reading::Failed(format!("cut off: {error}")),
        }
    }
}

/// The certificate authorities that this system trusts.
pub(crate) fn system_authorities() -> Result<Vec<Certificate<'static>>, BmcError> {
    authorities(None)
}

/// A client that follows no redirection and tells every status. With authorities it speaks HTTPS only, and to those whom
/// they vouch for.
pub(crate) fn http_client(
    deadline: Duration,
    authorities: Option<Vec<Certificate<'static>>>,
) -> ConfigBuilder<AgentScope> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(deadline))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .https_only(authorities.is_some())
        .user_agent(concat!("yanji/", env!("CARGO_PKG_VERSION")));
    let Some(authorities) = authorities else { return config };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    config.tls_config(tls.build())
}

fn authorities(file: Option<&Path>) -> Result<Vec<Certificate<'static>>, BmcError> {
    let path = match file {
        Some(path) => path,
        None => {
            SYSTEM_AUTHORITIES.map(Path::new).into_iter().find(|path| path.is_file()).ok_or(BmcError::NoAuthorities)?
        }
    };
    let io = |source| BmcError::Io { path: path.to_owned(), source };
    if fs::metadata(path).map_err(io)?.len() > MAX_AUTHORITIES_BYTES {
        return Err(BmcError::NoCertificate(path.to_owned()));
    }
    let pem = fs::read(path).map_err(io)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() { Err(BmcError::NoCertificate(path.to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_hosts_and_plain_text_only_at_home() {
        for (url, good) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost/", true),
            ("http://[::1]:8000", true),
            ("http://10.0.0.5", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost@10.0.0.5", false),
            ("ftp://localhost", false),
            ("localhost", false),
            ("http://localhost/redfish", false),
            ("http://", false),
        ] {
            assert_eq!(Bmc::new(url, None, None).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn credentials_are_one_line_and_never_shown() {
        for (text, good) in
            [("a:b", true), ("a:b:c\n", true), ("a:", true), (":b", false), ("ab", false), ("a:b\nc", false)]
        {
            assert_eq!(Credentials::parse(text).is_ok(), good, "{text}");
        }
        assert_eq!(format!("{:?}", Credentials::parse("admin:secret").unwrap()), "Credentials");
    }
}
