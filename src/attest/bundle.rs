//! A report for verifiers that read [Sigstore bundles](https://github.com/sigstore/protobuf-specs) of version 0.3.
//!
//! A bundle holds exactly one signature, so that a report has one bundle for each of its signatures. The key is only hinted
//! at: whoever verifies has it from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Digest;
use super::envelope::{Envelope, PAYLOAD_TYPE, Signature};
use super::timestamp::{Sidecar, Token};

/// Media type of the bundle.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The bundle of one signature of an envelope, with the timestamps that are over it.
pub fn bundle(envelope: &Envelope, signature: &Signature, timestamps: &Sidecar) -> Value {
    let imprint = Digest::of(&signature.bytes);
    let over_it = timestamps
        .responses
        .iter()
        .filter(|response| Token::from_response(response).is_ok_and(|token| token.imprint == imprint));
    let stamps: Vec<Value> = over_it.map(|response| json!({ "signedTimestamp": STANDARD.encode(response) })).collect();
    let mut material = json!({ "publicKey": { "hint": signature.keyid }, "tlogEntries": [] });
    if !stamps.is_empty() {
        material["timestampVerificationData"] = json!({ "rfc3161Timestamps": stamps });
    }
    json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": STANDARD.encode(&envelope.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature.bytes), "keyid": signature.keyid }],
        },
    })
}
