//! A signature set: rules, tables and the policy, embedded in the binary or read from a folder.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fmt, fs};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Group;
use super::tables::{Stored, Table, Tables};
use super::{Confidence, Severity};
use crate::evidence::{Fact, FactPath, Reading, Value};
use crate::packed::{Pieces, unpack_named};
use crate::policy::Policy;

/// The set as `packaging/build.rs` prepares it: parsing some hundred TOML files at every start would take longer than most
/// inspections.
static EMBEDDED: Pieces = &include!(concat!(env!("OUT_DIR"), "/signatures.rs"));

/// The examples of the built-in rules, by rule.
static EMBEDDED_EXAMPLES: LazyLock<BTreeMap<String, Vec<Example>>> = LazyLock::new(|| {
    let examples = unpack_named(EMBEDDED, "examples").and_then(|json| serde_json::from_slice(&json).ok());
    examples.unwrap_or_default()
});

/// The scope of a rule that is applied to parts of every kind.
pub const ANY_SCOPE: &str = "part";
/// One file of a signature set.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Files of a signature set.
const MAX_FILES: usize = 10_000;

/// One check: what it is about, when it fires, and what that means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `scope.problem`; equals the path of its file, `scope/problem.toml`.
    pub id: String,
    /// The problem in one line.
    pub title: String,
    /// Kind of part; `part` for every kind.
    pub scope: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why the facts mean what the title says.
    pub why: String,
    /// Causes that are no fault of anybody.
    pub innocent: Vec<String>,
    /// What the rule can't tell, where that is easily expected of it.
    #[serde(default)]
    pub limits: Vec<String>,
    /// What to do when it fires.
    pub next: String,
    /// Specifications and sources.
    pub references: Vec<String>,
    /// Version of the signature set that first had it.
    pub since: String,
    /// The parts that it is about; all of its scope when left out.
    #[serde(default)]
    pub applies: Group,
    /// When it fires.
    pub fires: Group,
    /// Facts and what the rule says of them.
    #[serde(rename = "example")]
    pub examples: Examples,
}

/// The examples of a rule, in the order of its file. Those of built-in rules, which an inspection does not need, are
/// unpacked when somebody looks at them.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<Example>")]
pub struct Examples(WhereExamples);

#[derive(Clone)]
enum WhereExamples {
    Here(Vec<Example>),
    /// Below that id.
    Embedded(String),
}

impl From<Vec<Example>> for Examples {
    fn from(examples: Vec<Example>) -> Self {
        Self(WhereExamples::Here(examples))
    }
}

impl Deref for Examples {
    type Target = [Example];

    fn deref(&self) -> &[Example] {
        match &self.0 {
            WhereExamples::Here(examples) => examples,
            WhereExamples::Embedded(id) => EMBEDDED_EXAMPLES.get(id).map_or(&[], Vec::as_slice),
        }
    }
}

impl fmt::Debug for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

/// A small part with facts, and what the rule must say of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The facts: a value, or `{ reading = "denied" }`. A fact that is not listed was never made.
    pub facts: BTreeMap<FactPath, ExampleFact>,
    /// What the rule must say.
    pub expect: Expectation,
}

/// A fact of an example.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ExampleFact {
    /// A reading without a value.
    Reading {
        /// Which.
        reading: ExampleReading,
    },
    /// A known value.
    Known(Value),
}

/// A reading without a value, as examples write it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExampleReading {
    /// [`Reading::Absent`].
    Absent,
    /// [`Reading::Denied`].
    Denied,
    /// [`Reading::Unsupported`].
    Unsupported,
    /// [`Reading::Failed`].
    Failed,
}

/// What a rule must say of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// It stays clear.
    Clear,
    /// It fires.
    Fires,
    /// It can't say.
    Inconclusive,
    /// It is about something else.
    NotApplicable,
}

impl ExampleFact {
    pub(super) fn to_fact(&self) -> Fact {
        let reading = match self {
            Self::Known(value) => Reading::Known(value.clone()),
            Self::Reading { reading } => match reading {
                ExampleReading::Absent => Reading::Absent,
                ExampleReading::Denied => Reading::Denied,
                ExampleReading::Unsupported => Reading::Unsupported,
                ExampleReading::Failed => Reading::Failed("example".to_owned()),
            },
        };
        Fact { reading, source: "example".to_owned() }
    }
}

/// `set.toml`: the version of the whole set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFile {
    version: String,
}

/// Which signature set: named in every output, so that somebody else can evaluate with the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetId {
    /// Version of the set: `year.month.serial`.
    pub version: String,
    /// SHA-256 over all files (path, length and content, sorted by path), lower-case hex.
    pub sha256: String,
}

/// The form of `set` in [`EMBEDDED`].
#[derive(Deserialize)]
struct Prepared {
    sha256: String,
    set: SetFile,
    policy: Policy,
    policy_sha256: String,
    rules: Vec<PreparedRule>,
}

#[derive(Deserialize)]
struct PreparedRule {
    path: String,
    rule: Rule,
}

/// Rules, tables and policy, with the id that names them.
#[derive(Debug, Clone)]
pub struct Signatures {
    /// Version and digest.
    pub id: SetId,
    /// Rules, sorted by id.
    pub rules: Vec<Rule>,
    /// Tables by name.
    pub tables: Tables,
    /// What makes a verdict.
    pub policy: Policy,
    /// SHA-256 of `policy.toml`, lower-case hex.
    pub policy_sha256: String,
}

/// Why a signature set can't be used. Messages give line and column.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be; the message of the parser shows line and column.
    #[error("signatures/{path}: {message}")]
    Syntax {
        /// Path inside of the set.
        path: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A rule whose id is not its path.
    #[error("signatures/{path}: the id {id:?} must equal the path")]
    IdIsNotPath {
        /// Path inside of the set.
        path: String,
        /// The id in the file.
        id: String,
    },
    /// `set.toml` or `policy.toml` is missing.
    #[error("signatures/{0} is missing")]
    Missing(&'static str),
    /// More or larger files than any set has.
    #[error("{} is no signature set: too many or too large files", .0.display())]
    TooLarge(PathBuf),
}

impl Signatures {
    /// The set that is built into the binary.
    pub fn embedded() -> Result<Self, SignatureError> {
        let set = unpack_named(EMBEDDED, "set").ok_or(SignatureError::Missing("set.toml"))?;
        let prepared: Prepared = serde_json::from_slice(&set)
            .map_err(|error| SignatureError::Syntax { path: "(built in)".to_owned(), message: error.to_string() })?;
        let mut rules = Vec::with_capacity(prepared.rules.len());
        for PreparedRule { path, rule } in prepared.rules {
            let mut rule = checked(&path, rule)?;
            rule.examples = Examples(WhereExamples::Embedded(rule.id.clone()));
            rules.push(rule);
        }
        let tables = EMBEDDED.iter().filter_map(|(name, piece)| Some((name.strip_prefix("parts/")?, *piece)));
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            id: SetId { version: prepared.set.version, sha256: prepared.sha256 },
            rules,
            tables: Tables(tables.map(|(name, piece)| (name.to_owned(), Stored::packed(piece))).collect()),
            policy: prepared.policy,
            policy_sha256: prepared.policy_sha256,
        })
    }

    /// The set in a folder.
    pub fn from_folder(folder: &Path) -> Result<Self, SignatureError> {
        let mut files = BTreeMap::new();
        read_folder(folder, "", &mut files)?;
        Self::from_files(files)
    }

    /// The rule with that id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, SignatureError> {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let (mut set, mut policy) = (None, None);
        let mut rules = Vec::new();
        let mut tables = BTreeMap::new();
        for (path, content) in &files {
            digest.update(path.as_bytes());
            digest.update(&[0]);
            digest.update(&(content.len() as u64).to_le_bytes());
            digest.update(content);
            let text = std::str::from_utf8(content)
                .map_err(|error| SignatureError::Syntax { path: path.clone(), message: error.to_string() })?;
            match path.as_str() {
                "set.toml" => set = Some(parse::<SetFile>(path, text)?),
                "policy.toml" => {
                    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, content));
                    policy = Some((parse::<Policy>(path, text)?, sha256));
                }
                _ => match path.strip_prefix("parts/") {
                    Some(name) => {
                        let table = parse::<Table>(path, text)?;
                        tables.insert(name.trim_end_matches(".toml").to_owned(), table.into());
                    }
                    None => rules.push(checked(path, parse(path, text)?)?),
                },
            }
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let set = set.ok_or(SignatureError::Missing("set.toml"))?;
        let (policy, policy_sha256) = policy.ok_or(SignatureError::Missing("policy.toml"))?;
        Ok(Self {
            id: SetId { version: set.version, sha256: hex::encode(digest.finish()) },
            rules,
            tables: Tables(tables),
            policy,
            policy_sha256,
        })
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, SignatureError> {
    toml::from_str(text).map_err(|error| {
        let message = error.to_string();
        SignatureError::Syntax { path: path.to_owned(), message: message.trim_end().to_owned() }
    })
}

/// The rule, if it is where its id says.
fn checked(path: &str, rule: Rule) -> Result<Rule, SignatureError> {
    if path.trim_end_matches(".toml").replace('/', ".") == rule.id {
        Ok(rule)
    } else {
        Err(SignatureError::IdIsNotPath { path: path.to_owned(), id: rule.id })
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), SignatureError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| SignatureError::Io { path, source }
    };
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let entry = entry.map_err(io_error(folder))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(io_error(&path))?;
        if metadata.is_dir() {
            read_folder(&path, &format!("{name}/"), files)?;
        } else if metadata.is_file() && name.ends_with(".toml") {
            if metadata.len() > MAX_FILE_BYTES || files.len() >= MAX_FILES {
                return Err(SignatureError::TooLarge(path));
            }
            files.insert(name, fs::read(&path).map_err(io_error(&path))?);
        }
    }
    Ok(())
}
