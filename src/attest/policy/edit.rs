//! Changes to a policy's text that leave the rest of it, comments included, as its author wrote it.

use jiff::Timestamp;
use serde::Serialize;

use super::{PolicyError, Role, Scope, TrustPolicy, WireKey, WireRevoked, wrong};
use crate::attest::Digest;
use crate::attest::key::PublicKey;

/// A key to be added.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Name in reports.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// What its holder is.
    pub roles: Vec<Role>,
    /// What it may sign; `None`: what follows from the roles.
    pub scopes: Option<Vec<Scope>>,
    /// Nothing signed before it counts.
    pub valid_from: Option<Timestamp>,
    /// Nothing signed after it counts.
    pub valid_until: Option<Timestamp>,
}

/// The text of a first version, owned by that key.
pub fn template(name: &str, expires: Timestamp, owner: PublicKey) -> Result<String, PolicyError> {
    #[derive(Serialize)]
    struct Head<'a> {
        name: &'a str,
        version: u64,
        expires: String,
    }
    let head = to_toml(&Head { name, version: 1, expires: expires.to_string() })?;
    let text = format!(
        "# Whose signatures count, and what a report must reach. Edit it, raise the version, then: yanji trust sign\n\
         {head}"
    );
    let owner = NewKey {
        name: "owner".to_owned(),
        public: owner,
        roles: vec![Role::Owner],
        scopes: None,
        valid_from: None,
        valid_until: None,
    };
    add_key(&text, owner)
}

/// Adds a key at the end.
pub fn add_key(text: &str, key: NewKey) -> Result<String, PolicyError> {
    #[derive(Serialize)]
    struct Keys {
        key: [WireKey; 1],
    }
    let key = WireKey {
        name: key.name,
        public: key.public.to_hex(),
        roles: key.roles,
        scopes: key.scopes,
        valid_from: key.valid_from.map(|time| time.to_string()),
        valid_until: key.valid_until.map(|time| time.to_string()),
    };
    append(text, &Keys { key: [key] })
}

/// Adds a revocation at the end.
pub fn add_revocation(
    text: &str,
    keyid: Digest,
    compromised_at: Option<Timestamp>,
    reason: &str,
) -> Result<String, PolicyError> {
    #[derive(Serialize)]
    struct Revocations {
        revoked: [WireRevoked; 1],
    }
    let compromised_at = compromised_at.map(|time| time.to_string());
    append(text, &Revocations { revoked: [WireRevoked { keyid, compromised_at, reason: reason.to_owned() }] })
}

/// Raises the version by one.
pub fn bump_version(text: &str) -> Result<String, PolicyError> {
    let no_line = || wrong("version", "there is no line `version = N` before the first table".to_owned());
    let version = TrustPolicy::parse(text.as_bytes())?.version;
    let next = version.checked_add(1).ok_or_else(|| wrong("version", "cannot grow any more".to_owned()))?;
    let head = text.split_inclusive('\n').take_while(|line| !line.trim_start().starts_with('['));
    let mut at = 0;
    for line in head {
        let is_version =
            line.trim_start().strip_prefix("version").is_some_and(|rest| rest.trim_start().starts_with('='));
        if let Some(equals) = line.find('=').filter(|_| is_version) {
            let rest = &line[equals + 1..];
            let comment =
                rest.find('#').map_or(rest.trim_start_matches(|it: char| it != '\r' && it != '\n'), |at| &rest[at..]);
            let gap = if comment.starts_with('#') { " " } else { "" };
            let changed = format!("{}version = {next}{gap}{comment}{}", &text[..at], &text[at + line.len()..]);
            return if TrustPolicy::parse(changed.as_bytes())?.version == next { Ok(changed) } else { Err(no_line()) };
        }
        at += line.len();
    }
    Err(no_line())
}

fn append(text: &str, addition: &impl Serialize) -> Result<String, PolicyError> {
    let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
    let changed = format!("{text}{gap}{}", to_toml(addition)?);
    TrustPolicy::parse(changed.as_bytes())?;
    Ok(changed)
}

fn to_toml(value: &impl Serialize) -> Result<String, PolicyError> {
    toml::to_string(value).map_err(|error| wrong("policy", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_keeps_every_other_line() {
        let owner = PublicKey::from_bytes([1; 32]);
        let text = template("acme \"north\"", "2027-01-01T00:00:00Z".parse().unwrap(), owner).unwrap();
        let text = text.replace("version = 1", "  version=1 # by hand\n# version = 9");
        let bumped = bump_version(&text).unwrap();
        assert_eq!(bumped, text.replace("  version=1 # by hand", "version = 2 # by hand"));
        let seller = NewKey {
            name: "seller \u{9a8c}\n".to_owned(),
            public: PublicKey::from_bytes([2; 32]),
            roles: vec![Role::Seller],
            scopes: None,
            valid_from: None,
            valid_until: Some("2026-06-01T00:00:00Z".parse().unwrap()),
        };
        assert!(add_key(&bumped, seller.clone()).is_err(), "a name of two lines");
        let added = add_key(&bumped, NewKey { name: "seller \u{9a8c}".to_owned(), ..seller }).unwrap();
        assert!(added.starts_with(&bumped));
        let keyid = PublicKey::from_bytes([2; 32]).keyid();
        let revoked = add_revocation(&added, keyid, None, "sold = \"yes\"").unwrap();
        let policy = TrustPolicy::parse(revoked.as_bytes()).unwrap();
        assert_eq!((policy.version, policy.name.as_str(), policy.keys.len()), (2, "acme \"north\"", 2));
        assert_eq!(policy.revoked[0].reason, "sold = \"yes\"");
        assert_eq!(policy.keys[1].scopes, [Scope::Certify]);
        assert!(add_revocation(&revoked, keyid, None, "again").is_err());
    }
}
