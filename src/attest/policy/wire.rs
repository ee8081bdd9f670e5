//! `trust.toml` as it is written, and what its values have to be.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::{
    DeviceId, Image, Minimum, PolicyError, PolicyKey, Revocation, RevokedDevice, Role, Root, RootKind, Scope,
    TrustPolicy, Version, parse_duration, parse_public,
};
use crate::attest::Digest;
use crate::attest::device::{Pdi, SerialNumber};
use crate::attest::key::PublicKey;
use crate::attest::statement::Assurance;

/// Longest name of a policy, of a key, of an image.
const MAX_NAME_CHARS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    name: String,
    version: u64,
    expires: String,
    #[serde(default)]
    key: Vec<WireKey>,
    #[serde(default)]
    threshold: BTreeMap<Role, usize>,
    #[serde(default)]
    root: Vec<WireRoot>,
    #[serde(default)]
    minimum: WireMinimum,
    #[serde(default)]
    image: Vec<Image>,
    #[serde(default)]
    revoked: Vec<WireRevoked>,
    #[serde(default)]
    revoked_device: Vec<WireRevokedDevice>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireKey {
    pub(super) name: String,
    pub(super) public: String,
    pub(super) roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) valid_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) valid_until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRoot {
    kind: RootKind,
    pem: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMinimum {
    assurance: Option<Assurance>,
    tool: Option<String>,
    signature_set: Option<String>,
    max_age: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRevoked {
    pub(super) keyid: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compromised_at: Option<String>,
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRevokedDevice {
    certificate: Option<String>,
    pdi: Option<String>,
    revoked_at: Option<String>,
    reason: String,
}

impl Wire {
    pub(super) fn check(self) -> Result<TrustPolicy, PolicyError> {
        check_name("name", &self.name)?;
        let mut seen: HashMap<PublicKey, String> = HashMap::new();
        let mut keys = Vec::with_capacity(self.key.len());
        for key in self.key {
            let key = key.check()?;
            if let Some(other) = seen.insert(key.public, key.name.clone()) {
                // One holder under two names would count twice.
                return Err(wrong(&format!("key {:?}", key.name), format!("is the key of {other:?}")));
            }
            keys.push(key);
        }
        let mut revoked_ids = HashSet::new();
        let revoked = self
            .revoked
            .into_iter()
            .map(|it| {
                let what = format!("revoked {}", it.keyid);
                if !revoked_ids.insert(it.keyid) {
                    return Err(wrong(&what, "is there twice".to_owned()));
                }
                let compromised_at = it.compromised_at.as_deref().map(|text| time(&what, text)).transpose()?;
                Ok(Revocation { keyid: it.keyid, compromised_at, reason: it.reason })
            })
            .collect::<Result<_, PolicyError>>()?;
        for (role, count) in &self.threshold {
            let holders = keys.iter().filter(|key| key.roles.contains(role)).count();
            if *count > holders {
                return Err(wrong(
                    "threshold",
                    format!("asks for {count} keys of role {role}, and there are {holders}"),
                ));
            }
        }
        let roots =
            self.root.into_iter().enumerate().map(|(index, root)| root.check(index)).collect::<Result<_, _>>()?;
        for image in &self.image {
            check_name("image", &image.name)?;
        }
        let policy = TrustPolicy {
            expires: time("expires", &self.expires)?,
            name: self.name,
            version: self.version,
            keys,
            thresholds: self.threshold,
            roots,
            minimum: self.minimum.check()?,
            images: self.image,
            revoked,
            revoked_devices: self.revoked_device.into_iter().map(WireRevokedDevice::check).collect::<Result<_, _>>()?,
        };
        let owners = policy.owners().len();
        if owners == 0 || owners < policy.owner_threshold() {
            let why = format!("{owners} keys may sign the next version, and it takes {}", policy.owner_threshold());
            return Err(wrong("owners", why));
        }
        Ok(policy)
    }
}

impl WireKey {
    fn check(self) -> Result<PolicyKey, PolicyError> {
        check_name("key", &self.name)?;
        let what = format!("key {:?}", self.name);
        let public = parse_public(&self.public).map_err(|why| wrong(&what, why))?;
        let scopes = match self.scopes {
            Some(scopes) => scopes,
            None => {
                let mut scopes: Vec<Scope> = self.roles.iter().flat_map(|role| role.scopes()).copied().collect();
                scopes.sort_unstable();
                scopes.dedup();
                scopes
            }
        };
        let limit = |text: Option<String>| text.as_deref().map(|text| time(&what, text)).transpose();
        let (valid_from, valid_until) = (limit(self.valid_from)?, limit(self.valid_until)?);
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until <= from
        {
            return Err(wrong(&what, "is valid until before it is valid".to_owned()));
        }
        Ok(PolicyKey { name: self.name, public, roles: self.roles, scopes, valid_from, valid_until })
    }
}

impl WireRevokedDevice {
    fn check(self) -> Result<RevokedDevice, PolicyError> {
        let serial =
            |text: &str| SerialNumber::parse(text).map(|serial| DeviceId::Certificate(serial.as_str().to_owned()));
        let id = match (&self.certificate, &self.pdi) {
            (Some(text), None) => serial(text),
            (None, Some(text)) => Pdi::parse(text).map(DeviceId::Pdi),
            _ => None,
        };
        let named = || "names either a certificate or a pdi, in hexadecimal digits".to_owned();
        let id = id.ok_or_else(|| wrong("revoked_device", named()))?;
        let what = format!("revoked_device {id}");
        let revoked_at = self.revoked_at.as_deref().map(|text| time(&what, text)).transpose()?;
        Ok(RevokedDevice { id, revoked_at, reason: self.reason })
    }
}

impl WireRoot {
    fn check(self, index: usize) -> Result<Root, PolicyError> {
        let what = format!("root {index}");
        let (label, document) =
            pkcs8::Document::from_pem(self.pem.trim()).map_err(|error| wrong(&what, error.to_string()))?;
        if label != "CERTIFICATE" {
            return Err(wrong(&what, "is not a certificate in PEM".to_owned()));
        }
        // A root that is dropped later leaves everything believed, or nothing.
        webpki::anchor_from_trusted_cert(&CertificateDer::from(document.as_bytes()))
            .map_err(|error| wrong(&what, format!("is not a certificate that chains can end in: {error}")))?;
        Ok(Root { kind: self.kind, certificate_der: document.as_bytes().to_vec() })
    }
}

impl WireMinimum {
    fn check(self) -> Result<Minimum, PolicyError> {
        let version = |what: &str, text: Option<String>| {
            let parse = |text: String| {
                Version::parse(&text).ok_or_else(|| wrong(what, format!("{text:?} is not numbers between dots")))
            };
            text.map(parse).transpose()
        };
        Ok(Minimum {
            assurance: self.assurance,
            tool: version("minimum.tool", self.tool)?,
            signature_set: version("minimum.signature_set", self.signature_set)?,
            max_age: self
                .max_age
                .map(|text| parse_duration(&text).map_err(|why| wrong("minimum.max_age", why)))
                .transpose()?,
        })
    }
}

fn time(what: &str, text: &str) -> Result<Timestamp, PolicyError> {
    text.parse().map_err(|_| wrong(what, format!("{text:?} is no time such as 2027-03-01T00:00:00Z")))
}

fn check_name(what: &str, name: &str) -> Result<(), PolicyError> {
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(wrong(what, format!("a name has 1 to {MAX_NAME_CHARS} characters, none of them a control character")))
}

pub(super) fn wrong(what: &str, why: String) -> PolicyError {
    PolicyError::Value { what: what.to_owned(), why }
}
