//! A page that checks a signature in a browser (WebCrypto, Ed25519), without this tool and without a network.
//!
//! The key that counts is typed in: one that came with the page would prove nothing.

use super::envelope::Envelope;

const PAGE: &str = include_str!("page.html");
const PLACE: &str = "@ENVELOPE@";

/// The page of an envelope. Nothing about it is verified.
pub fn page(envelope: &Envelope) -> String {
    // An envelope is base64 and digests; but nothing in it may end the element that holds it.
    PAGE.replacen(PLACE, &envelope.to_json().replace('<', "\\u003c"), 1)
}
