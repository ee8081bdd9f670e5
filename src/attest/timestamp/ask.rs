//! Asking an authority over HTTP (RFC 3161, section 3.4).

use std::time::Duration;

use super::{MAX_RESPONSE_BYTES, Request};
use crate::host::{BmcError, http_client, system_authorities};

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
    let authorities = secure.then(system_authorities).transpose()?;
    let agent = ureq::Agent::from(http_client(DEADLINE, authorities).build());
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
