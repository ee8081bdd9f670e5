//! `yanji trust`: the policy that says whose signatures count for what.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use yanji::attest::envelope::Envelope;
use yanji::attest::key::{Key, Locations, PublicKey};
use yanji::attest::policy::{
    self, MAX_POLICY_BYTES, NewKey, Objection, OpenedPolicy, Owner, PolicyKey, Revocation, Role, Scope, TrustPolicy,
    parse_duration,
};
use yanji::attest::{Digest, MAX_DOCUMENT_BYTES, trust};
use yanji::report::for_terminal;
use yanji::whole_file;

use super::args::{Format, Global};
use super::error::CliError;
use super::input::small_file;
use super::state::State;
use super::{key, output};

/// Arguments of `yanji trust`.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
    /// The policy; its signature lies beside it (FILE.dsse.json)
    #[arg(long, global = true, value_name = "FILE", default_value = "trust.toml")]
    file: PathBuf,
    /// Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine's own]
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum TrustCommand {
    /// Make a policy that this key owns
    Init {
        /// Name of the policy: versions are counted by it
        #[arg(long)]
        name: String,
        /// How long it is used: 365d
        #[arg(long, value_name = "TIME", default_value = "365d", value_parser = parse_duration)]
        expires: SignedDuration,
    },
    /// Add a key, raise the version, sign
    Add(AddArgs),
    /// Revoke a key, raise the version, sign
    Revoke {
        /// Name or id of the key
        key_name: String,
        /// From when on somebody else could sign with it (RFC 3339). Without it nothing that it signed counts
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Show the policy, and whether its signature holds
    Show,
    /// Sign the policy as it is: after editing it, or as one more owner
    Sign,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// Name of the key in reports
    #[arg(required_unless_present = "ssh")]
    name: Option<String>,
    /// The public key: a file, or 64 hexadecimal digits
    #[arg(long, value_name = "PUB", required_unless_present = "ssh")]
    public: Option<String>,
    /// Take all Ed25519 keys of an OpenSSH allowed_signers file instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "public"])]
    ssh: Option<PathBuf>,
    /// What its holder is: owner, seller, buyer, auditor, witness. May be given several times
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<Role>,
    /// What it may sign: certify, challenge, acceptance, policy [default: what follows from the roles]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// Nothing that it signed before counts (RFC 3339)
    #[arg(long, value_name = "TIME")]
    valid_from: Option<Timestamp>,
    /// Nothing that it signed after counts (RFC 3339)
    #[arg(long, value_name = "TIME")]
    valid_until: Option<Timestamp>,
}

/// Runs `yanji trust`.
pub fn run(args: &TrustArgs, global: &Global) -> anyhow::Result<()> {
    let signer = || key::signing_key(args.key.as_deref());
    match &args.command {
        TrustCommand::Init { name, expires } => init(&args.file, name, *expires, &signer()?),
        TrustCommand::Add(add) => {
            let keys = add.keys()?;
            let mut added = String::new();
            edit(&args.file, &signer()?, |policy, text| {
                keys.into_iter().try_fold(text.to_owned(), |text, key| {
                    refuse_known(policy, &key, &args.file)?;
                    let name = for_terminal(&key.name, output::style());
                    added += &format!("added {name}: key {}\n", key.public.keyid());
                    Ok(policy::add_key(&text, key)?)
                })
            })?;
            // An id has as many digits as a key, and only here does it show that one was taken for the other.
            output::print(&added)
        }
        TrustCommand::Revoke { key_name, at, reason } => edit(&args.file, &signer()?, |policy, text| {
            Ok(policy::add_revocation(text, find_key(policy, key_name)?, *at, reason)?)
        }),
        TrustCommand::Show => show(&args.file, args.key.as_deref(), global),
        TrustCommand::Sign => sign(&args.file, &signer()?),
    }
}

/// A policy that holds, for whoever verifies with it. `keys` are public keys that may have signed it, beside this machine's
/// own. What was accepted is remembered, so that no older version is accepted after it.
pub fn load(file: &Path, keys: &[PublicKey]) -> anyhow::Result<OpenedPolicy> {
    let text = small_file(file, MAX_POLICY_BYTES)?;
    let mut anchors = anchors()?;
    anchors.extend(keys);
    let state = State::open()?;
    let opened = open(file, &text, &anchors, &state)?;
    state.remember_policy(&opened.policy.name, &opened.seen())?;
    Ok(opened)
}

fn open(file: &Path, text: &[u8], anchors: &[PublicKey], state: &State) -> anyhow::Result<OpenedPolicy> {
    let seen = match policy::claimed_name(text) {
        Some(name) => state.policy(&name)?,
        None => None,
    };
    let envelope = read_signature(file)?;
    policy::open(text, envelope.as_deref(), anchors, seen.as_ref(), Timestamp::now()).map_err(|failure| {
        let hint = "ask its owner for the version that is in force, and give the owner's public key with --key when this \
                    machine has not seen the policy before; what you edited yourself: yanji trust sign";
        CliError::attestation(failure).hint(hint).into()
    })
}

/// This machine's own key, when there is one.
pub fn anchors() -> anyhow::Result<Vec<PublicKey>> {
    Ok(trust::own_key(&Locations::from_env()?)?.into_iter().collect())
}

fn signature_path(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".dsse.json");
    PathBuf::from(name)
}

fn read_signature(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let path = signature_path(file);
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => small_file(&path, MAX_DOCUMENT_BYTES).map(Some),
    }
}

fn init(file: &Path, name: &str, expires: SignedDuration, key: &Key) -> anyhow::Result<()> {
    let state = State::open()?;
    if state.policy(name)?.is_some() {
        bail!(
            CliError::usage(format!("a policy {name:?} was accepted on this machine already"))
                .hint("edit that one, or choose another --name: versions are counted by it")
        );
    }
    let now = Timestamp::now();
    let ends = now.checked_add(expires).and_then(|ends| Timestamp::from_second(ends.as_second()));
    let ends = ends.map_err(|_| CliError::usage("the policy would end after the year 9999"))?;
    let text = policy::template(name, ends, *key.public())?;
    for path in [file.to_owned(), signature_path(file)] {
        if path.symlink_metadata().is_ok() {
            bail!(
                CliError::usage(format!("{} exists already, and a policy is never overwritten", path.display()))
                    .hint("choose another --file FILE")
            );
        }
    }
    let envelope = policy::sign(text.as_bytes(), None, key)?;
    write(file, &text, &envelope)?;
    in_force(file, text.as_bytes(), key, &state)
}

/// Changes a policy whose signature holds, raises its version and signs it again.
fn edit(
    file: &Path,
    key: &Key,
    change: impl FnOnce(&TrustPolicy, &str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let state = State::open()?;
    let bytes = small_file(file, MAX_POLICY_BYTES)?;
    let mut anchors = anchors()?;
    anchors.push(*key.public());
    let opened = open(file, &bytes, &anchors, &state)?;
    state.remember_policy(&opened.policy.name, &opened.seen())?;
    must_own(&opened.policy.owners(), key)?;
    let text = std::str::from_utf8(&bytes).context("the policy is not UTF-8")?;
    let text = policy::bump_version(&change(&opened.policy, text)?)?;
    let envelope = policy::sign(text.as_bytes(), None, key)?;
    write(file, &text, &envelope)?;
    in_force(file, text.as_bytes(), key, &state)
}

fn sign(file: &Path, key: &Key) -> anyhow::Result<()> {
    let state = State::open()?;
    let text = small_file(file, MAX_POLICY_BYTES)?;
    let policy = TrustPolicy::parse(&text)?;
    let sha256 = Digest::of(&text);
    match state.policy(&policy.name)? {
        None => must_own(&policy.owners(), key)?,
        // Who signed it once may have been an owner of the version before.
        Some(seen) if seen.sha256 == sha256 && seen.signers.contains(key.public()) => {}
        Some(seen) if seen.sha256 == sha256 => must_own(&seen.owners, key)?,
        Some(seen) => {
            must_own(&seen.owners, key)?;
            if policy.version <= seen.version {
                bail!(
                    CliError::usage(format!(
                        "{} has version {}, and version {} was signed before",
                        file.display(),
                        policy.version,
                        seen.version
                    ))
                    .hint(format!(
                        "write version = {} into it: whoever saw the other one refuses this",
                        seen.version + 1
                    ))
                );
            }
        }
    }
    // Whoever sees this policy first goes by what it says itself.
    in_time(&policy.owners(), key)?;
    let envelope = policy::sign(&text, read_signature(file)?.as_deref(), key)?;
    write_signature(file, &envelope)?;
    in_force(file, &text, key, &state)
}

fn must_own(owners: &[Owner], key: &Key) -> anyhow::Result<()> {
    if owners.iter().any(|owner| owner.public == *key.public()) {
        return in_time(owners, key);
    }
    let ids: Vec<String> = owners.iter().map(|owner| format!("key {}", owner.public.keyid())).collect();
    bail!(
        CliError::usage(format!(
            "key {} does not own the policy; its owners: {}",
            key.public().keyid(),
            ids.join(", ")
        ))
        .hint("sign with the private key of an owner: --key FILE")
    )
}

/// Refuses a key whose time is over or has not come.
fn in_time(owners: &[Owner], key: &Key) -> anyhow::Result<()> {
    let own = owners.iter().find(|owner| owner.public == *key.public());
    match own.and_then(|own| own.untimely(Timestamp::now())) {
        None => Ok(()),
        Some(Objection { expected, observed, .. }) => bail!(
            CliError::usage(format!("the policy limits the key: expected {expected}; observed {observed}"))
                .hint("sign with the private key of another owner: --key FILE")
        ),
    }
}

fn write(file: &Path, text: &str, envelope: &Envelope) -> anyhow::Result<()> {
    let unusable = || CliError::usage(format!("cannot write {}", file.display())).hint("choose another --file FILE");
    whole_file::write(file, |out| out.write_all(text.as_bytes())).with_context(unusable)?;
    write_signature(file, envelope)
}

fn write_signature(file: &Path, envelope: &Envelope) -> anyhow::Result<()> {
    let path = signature_path(file);
    let json = envelope.to_json() + "\n";
    whole_file::write(&path, |out| out.write_all(json.as_bytes()))
        .with_context(|| CliError::usage(format!("cannot write {}", path.display())))
}

/// Says what was signed, and remembers it when it holds: with a threshold it takes more owners.
fn in_force(file: &Path, text: &[u8], key: &Key, state: &State) -> anyhow::Result<()> {
    let policy = TrustPolicy::parse(text)?;
    let (version, keyid) = (policy.version, key.public().keyid());
    let style = output::style();
    let name = for_terminal(&policy.name, style);
    output::print(&format!("{}: policy {name}, version {version}, signed by key {keyid}\n", file.display()))?;
    let mut anchors = anchors()?;
    anchors.push(*key.public());
    let seen = state.policy(&policy.name)?;
    let envelope = read_signature(file)?;
    match policy::open(text, envelope.as_deref(), &anchors, seen.as_ref(), Timestamp::now()) {
        Ok(opened) => {
            notice_early_end(&opened);
            state.remember_policy(&opened.policy.name, &opened.seen())
        }
        Err(failure) => {
            eprintln!(
                "notice: not in force yet: {} expected {}, observed {}",
                failure.what, failure.expected, failure.observed
            );
            if failure.what == policy::SIGNED_BY_OWNERS {
                eprintln!(
                    "hint: every owner runs: yanji trust sign; one whose key is not known here counts with --key PUB"
                );
            }
            Ok(())
        }
    }
}

/// Whoever sees a version for the first time needs owners whose time is not over.
fn notice_early_end(opened: &OpenedPolicy) {
    let policy = &opened.policy;
    let signed = policy.owners().into_iter().filter(|owner| opened.signers.contains(&owner.public));
    let mut ends: Vec<Timestamp> =
        signed.map(|owner| owner.valid_until.unwrap_or(policy.expires).min(policy.expires)).collect();
    ends.sort_unstable_by(|one, other| other.cmp(one));
    let Some(end) = ends.get(policy.owner_threshold().saturating_sub(1)).filter(|end| **end < policy.expires) else {
        return;
    };
    eprintln!(
        "notice: from {end} on only those accept this version who have seen it before: too few owners who signed it are valid then"
    );
    eprintln!("hint: let owners sign who are valid until {}, or let the policy end earlier", policy.expires);
}

/// A key is in a policy once, with all of its roles.
fn refuse_known(policy: &TrustPolicy, key: &NewKey, file: &Path) -> anyhow::Result<()> {
    let Some(known) = policy.keys.iter().find(|known| known.public == key.public) else { return Ok(()) };
    bail!(CliError::usage(format!("key {:?}: is the key of {:?}", key.name, known.name)).hint(format!(
        "a key is listed once: add the role to its roles in {}, raise the version there, then: yanji trust sign",
        file.display()
    )))
}

fn find_key(policy: &TrustPolicy, name: &str) -> anyhow::Result<Digest> {
    if let Some(id) = Digest::parse(name) {
        // A key has as many digits as its id, and is taken for it.
        let is_it = |key: &&PolicyKey| key.public.keyid() == id || key.public.as_bytes() == id.as_bytes();
        let listed = policy.keys.iter().find(is_it).map(|key| key.public.keyid());
        if listed.is_none() {
            eprintln!("notice: the policy names no key with the id {id}; yanji key show tells the id of a key");
        }
        return Ok(listed.unwrap_or(id));
    }
    let mut found = policy.keys.iter().filter(|key| key.name == name);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.public.keyid()),
        (None, _) => bail!(
            CliError::usage(format!("the policy has no key {name:?}")).hint("yanji trust show lists names and ids")
        ),
        _ => bail!(CliError::usage(format!("the policy has several keys {name:?}")).hint("give the id of one of them")),
    }
}

impl AddArgs {
    fn keys(&self) -> anyhow::Result<Vec<NewKey>> {
        let scopes = (!self.scopes.is_empty()).then(|| self.scopes.clone());
        let key = |name: String, public, valid_from, valid_until| NewKey {
            name,
            public,
            roles: self.roles.clone(),
            scopes: scopes.clone(),
            valid_from,
            valid_until,
        };
        if let Some(path) = &self.ssh {
            let bytes = small_file(path, MAX_POLICY_BYTES)?;
            let text = std::str::from_utf8(&bytes)
                .with_context(|| CliError::usage(format!("{} is not text", path.display())))?;
            let (signers, skipped) = policy::parse_allowed_signers(text);
            for line in skipped {
                eprintln!("notice: {}, line {}: {}", path.display(), line.line, line.why);
            }
            if signers.is_empty() {
                bail!(CliError::usage(format!("{} has no key that can sign reports", path.display())));
            }
            let mut keys: Vec<NewKey> = Vec::with_capacity(signers.len());
            for signer in signers {
                if let Some(first) = keys.iter().find(|first| first.public == signer.public) {
                    eprintln!(
                        "notice: {}: the key of {:?} is that of {:?} too, and is taken once, as of the latter",
                        path.display(),
                        signer.name,
                        first.name
                    );
                    continue;
                }
                // What the command says narrows what the file says.
                let from = signer.valid_from.into_iter().chain(self.valid_from).max();
                let until = signer.valid_until.into_iter().chain(self.valid_until).min();
                keys.push(key(signer.name, signer.public, from, until));
            }
            return Ok(keys);
        }
        let (Some(name), Some(public)) = (&self.name, &self.public) else {
            bail!(CliError::usage("a key has a name and --public PUB"));
        };
        let is_hex = public.len() == 64 && public.bytes().all(|byte| byte.is_ascii_hexdigit());
        let public = match is_hex {
            true => PublicKey::parse(public).map_err(|why| CliError::usage(format!("{public} is no key: {why}")))?,
            false => PublicKey::load(Path::new(public))?,
        };
        Ok(vec![key(name.clone(), public, self.valid_from, self.valid_until)])
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|role| role.as_str() == text)
        .ok_or_else(|| format!("a role is one of {}", Role::ALL.map(Role::as_str).join(", ")))
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::ALL
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| format!("a scope is one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

fn show(file: &Path, key: Option<&Path>, global: &Global) -> anyhow::Result<()> {
    let key = key.map(PublicKey::load).transpose()?;
    let opened = load(file, key.as_slice())?;
    match global.format {
        Format::Json => output::print_json(&as_json(&opened)),
        Format::Plain | Format::Csv => output::print(&as_text(&opened)),
    }
}

fn as_json(opened: &OpenedPolicy) -> Json {
    let policy = &opened.policy;
    let time = |time: &Option<Timestamp>| time.map(|time| time.to_string());
    let minimum = &policy.minimum;
    json!({
        "name": policy.name,
        "version": policy.version.to_string(),
        "sha256": opened.sha256,
        "expires": policy.expires.to_string(),
        "signers": opened.signers.iter().map(PublicKey::keyid).collect::<Vec<_>>(),
        "keys": policy.keys.iter().map(|key| json!({
            "name": key.name,
            "keyid": key.public.keyid(),
            "public": key.public.to_hex(),
            "roles": key.roles,
            "scopes": key.scopes,
            "validFrom": time(&key.valid_from),
            "validUntil": time(&key.valid_until),
        })).collect::<Vec<_>>(),
        "thresholds": policy.thresholds,
        "roots": policy.roots.iter().map(|root| json!({
            "kind": root.kind,
            "sha256": Digest::of(&root.certificate_der),
        })).collect::<Vec<_>>(),
        "minimum": {
            "assurance": minimum.assurance,
            "tool": minimum.tool.as_ref().map(ToString::to_string),
            "signatureSet": minimum.signature_set.as_ref().map(ToString::to_string),
            "maxAgeSeconds": minimum.max_age.map(|age| age.as_secs()),
        },
        "images": policy.images,
        "revoked": policy.revoked.iter().map(|it| json!({
            "keyid": it.keyid,
            "compromisedAt": time(&it.compromised_at),
            "reason": it.reason,
        })).collect::<Vec<_>>(),
        "revokedDevices": policy.revoked_devices.iter().map(|it| json!({
            "device": it.id.to_string(),
            "revokedAt": time(&it.revoked_at),
            "reason": it.reason,
        })).collect::<Vec<_>>(),
    })
}

fn as_text(opened: &OpenedPolicy) -> String {
    let policy = &opened.policy;
    let style = output::style();
    let safe = |text: &str| for_terminal(text, style);
    let signers: Vec<String> = opened.signers.iter().map(|key| format!("key {}", key.keyid())).collect();
    let mut text = format!(
        "policy {}, version {}, until {}\n  signature holds: {}\n",
        safe(&policy.name),
        policy.version,
        policy.expires,
        signers.join(", ")
    );
    for key in &policy.keys {
        text += &key_lines(policy, key, &safe);
    }
    for it in policy.revoked.iter().filter(|it| policy.key(&it.keyid).is_none()) {
        text += &format!("  key {}, which the policy does not name: {}\n", it.keyid, revocation_line(it, &safe));
    }
    for (role, count) in &policy.thresholds {
        text += &format!("  threshold: {count} of role {role}\n");
    }
    let minimum = &policy.minimum;
    let parts = [
        ("assurance", minimum.assurance.map(|it| it.to_string())),
        ("tool", minimum.tool.as_ref().map(ToString::to_string)),
        ("signature set", minimum.signature_set.as_ref().map(ToString::to_string)),
        ("at most this old", minimum.max_age.map(|it| format!("{it:#}"))),
    ];
    for (what, value) in parts {
        text += &value.map_or_else(String::new, |value| format!("  minimum: {what} {value}\n"));
    }
    for root in &policy.roots {
        let kind = serde_json::to_value(root.kind).ok();
        let kind = kind.as_ref().and_then(Json::as_str).unwrap_or_default();
        text += &format!("  root: {kind}, certificate {}\n", Digest::of(&root.certificate_der));
    }
    for image in &policy.images {
        text += &format!("  image: {} {}, register 11 {}\n", safe(&image.name), safe(&image.version), image.pcr11);
    }
    for it in &policy.revoked_devices {
        let since = it.revoked_at.map_or_else(|| "for all time".to_owned(), |at| format!("from {at}"));
        text += &format!("  device {}: REVOKED, {since}: {}\n", it.id, safe(&it.reason));
    }
    text
}

fn key_lines(policy: &TrustPolicy, key: &PolicyKey, safe: &dyn Fn(&str) -> String) -> String {
    let keyid = key.public.keyid();
    let roles = key.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let scopes = key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    let mut text = format!("  key {}: {roles}; may sign: {scopes}\n    id {keyid}\n", safe(&key.name));
    for (what, time) in [("from", key.valid_from), ("until", key.valid_until)] {
        text += &time.map_or_else(String::new, |time| format!("    valid {what} {time}\n"));
    }
    for it in policy.revoked.iter().filter(|it| it.keyid == keyid) {
        text += &format!("    {}\n", revocation_line(it, safe));
    }
    text
}

fn revocation_line(it: &Revocation, safe: &dyn Fn(&str) -> String) -> String {
    let since = it.compromised_at.map_or_else(|| "for all time".to_owned(), |at| format!("compromised at {at}"));
    format!("REVOKED, {since}: {}", safe(&it.reason))
}
