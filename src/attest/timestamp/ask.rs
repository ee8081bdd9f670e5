//! Asking an authority over HTTP (RFC 3161, section 3.4).

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};

use super::{MAX_RESPONSE_BYTES, Request};
use crate::host::{BmcError, system_authorities};

/// An authority answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why an authority gave no response.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not an address that may be asked.
    #[error("{0:?} is no http:// or https:// address")]
    Address(String),
    /// Nobody could be believed to be at an https:// address.
    #[error(transparent)]
    Roots(#[from] BmcError),
    /// No connection, or one that ended too soon.
    #[error("the authority can't be reached")]
    Http(#[source] Box<ureq::Error>),
    /// Something else than a response.
    #[error("the authority answered with status {0}")]
    Status(u16),
    /// Something else than a response.
    #[error("the authority answered with more than {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
}

/// Sends a request and gives what comes back, of which nothing is checked. Over `http://` as well: a response is signed, and
/// a request tells nothing but a digest. Redirections are not followed.
pub fn ask(url: &str, request: &Request) -> Result<Vec<u8>, AskError> {
    let secure = url.starts_with("https://");
    if !secure && !url.starts_with("http://") {
        return Err(AskError::Address(url.to_owned()));
    }
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .https_only(secure)
        .user_agent(concat!("yanji/", env!("CARGO_PKG_VERSION")));
    if secure {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(system_authorities()?)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        config = config.tls_config(tls.build());
    }
    let agent = ureq::Agent::from(config.build());
    let sent = agent
        .post(url)
        .header("Content-Type", "application/timestamp-query")
        .header("Accept", "application/timestamp-reply")
        .send(request.to_der());
    let mut response = sent.map_err(|error| AskError::Http(Box::new(error)))?;
    if response.status() != 200 {
        return Err(AskError::Status(response.status().as_u16()));
    }
    match response.body_mut().with_config().limit(MAX_RESPONSE_BYTES as u64).read_to_vec() {
        Ok(body) => Ok(body),
        Err(ureq::Error::BodyExceedsLimit(_)) => Err(AskError::TooLarge),
        Err(error) => Err(AskError::Http(Box::new(error))),
    }
}
