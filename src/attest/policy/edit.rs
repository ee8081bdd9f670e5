//! Changes to a policy's text that leave the rest of it, comments included, as its author wrote it.

use jiff::Timestamp;
use serde::Serialize;

use super::wire::{WireKey, WireRevoked, wrong};
use super::{PolicyError, Revocation, Role, Scope, TrustPolicy};
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

/// Adds a revocation at the end. In the place of one that is there already only an earlier time comes.
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
    let mut policy = TrustPolicy::parse(text.as_bytes())?;
    let what = format!("revoked {keyid}");
    let known = policy.revoked.iter().position(|it| it.keyid == keyid).map(|index| policy.revoked.remove(index));
    let text = match known {
        None => text.to_owned(),
        Some(Revocation { compromised_at: Some(before), .. }) if compromised_at.is_none_or(|at| at < before) => {
            let left = without_revocation(text, keyid);
            // Arrays of tables may be written in more ways than one.
            if TrustPolicy::parse(left.as_bytes()).ok() != Some(policy) {
                return Err(wrong(
                    &what,
                    "is written in a way that cannot be changed here: change it by hand".to_owned(),
                ));
            }
            left
        }
        Some(Revocation { compromised_at: before, .. }) => {
            let shown = |at: Option<Timestamp>| at.map_or("all time".to_owned(), |at| format!("{at} on"));
            let (before, at) = (shown(before), shown(compromised_at));
            return Err(wrong(
                &what,
                format!("is for {before} already, and only an earlier time replaces that, not {at}"),
            ));
        }
    };
    let compromised_at = compromised_at.map(|time| time.to_string());
    append(&text, &Revocations { revoked: [WireRevoked { keyid, compromised_at, reason: reason.to_owned() }] })
}

/// The text without the table that revokes that key; comments stay.
fn without_revocation(text: &str, keyid: Digest) -> String {
    let id = keyid.to_string();
    let mut tables: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            tables.push(Vec::new());
        }
        tables.last_mut().into_iter().for_each(|table| table.push(line));
    }
    let is_it = |table: &[&str]| {
        table.first().is_some_and(|head| head.trim_start().starts_with("[[revoked]]"))
            && table.iter().any(|line| line.trim_start().starts_with("keyid") && line.contains(&id))
    };
    let stays = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let kept = tables.iter().map(|table| match is_it(table) {
        true => table.iter().filter(stays).copied().collect::<String>(),
        false => table.concat(),
    });
    kept.collect()
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

        let at = |text: &str| Some(text.parse().unwrap());
        let (early, late) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        let revoked = add_revocation(&format!("{added}\n# why\n"), keyid, late, "stolen").unwrap() + "# in April\n";
        let wrong = |changed: Result<String, PolicyError>| changed.unwrap_err().to_string();
        for (when, shown) in [(late, "2026-03-01T00:00:00Z"), (at("2026-04-01T00:00:00Z"), "2026-04-01T00:00:00Z")] {
            let why = wrong(add_revocation(&revoked, keyid, when, "x"));
            assert!(
                why.contains("for 2026-03-01T00:00:00Z on already") && why.ends_with(&format!("{shown} on")),
                "{why}"
            );
        }
        for when in [early, None] {
            let moved = add_revocation(&revoked, keyid, when, "sooner").unwrap();
            assert!(
                moved.starts_with(&added) && moved.contains("# why\n") && moved.contains("# in April\n"),
                "{moved}"
            );
            let revoked = TrustPolicy::parse(moved.as_bytes()).unwrap().revoked;
            assert_eq!((revoked.len(), revoked[0].compromised_at, revoked[0].reason.as_str()), (1, when, "sooner"));
        }
        let inline = format!(
            "revoked = [{{ keyid = \"{keyid}\", compromised_at = \"2026-03-01T00:00:00Z\", reason = \"\" }}]\n{added}"
        );
        assert!(wrong(add_revocation(&inline, keyid, early, "sooner")).contains("change it by hand"));
    }
}
