//! One run of `certify`: what is fixed before anything is measured, and the statement at its end.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::derive::{Derived, burn_in};
use super::identity::part_subjects;
use super::statement::{
    Challenge, Database, LoadedLibrary, PolicyRef, Predicate, Previous, Session, Statement, StatementError, Tool,
    session_id,
};
use super::{Digest, Hasher};
use crate::claim::Order;
use crate::inspection::{self, TOOL_VERSION};
use crate::rule::Signatures;

/// Libraries that are listed; the tool itself needs five.
const MAX_LIBRARIES: usize = 64;

/// What is fixed before anything is measured. Its value `s0` is the beginning of the burn-in's record chain, so that the
/// whole log belongs to this signer, this tool and this start. Kept on disk, so that a run that was cut off can go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionStart {
    /// Unique a report.
    pub report_id: String,
    /// RFC 3339, by the machine's own clock.
    pub started_at: String,
    /// The earlier report about the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What the buyer asked to be bound in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// Id of the key that will sign.
    pub keyid: Digest,
    /// The tool.
    pub tool: Tool,
}

/// What whoever offers the machine says about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// `new`, `used` or `refurbished`.
    pub condition: Option<String>,
    /// Repairs, replaced parts, known faults.
    pub disclosures: Vec<String>,
    /// What the parts are offered as.
    pub order: Order,
}

/// Why a session could not start or end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The tool could not read its own executable.
    #[error("cannot read the tool's own executable")]
    OwnBinary(#[source] io::Error),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
    /// The signature set has no usable digest.
    #[error("the signature set has no digest")]
    Signatures,
    /// The statement can't be made.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// SHA-256 of the running executable.
pub fn own_binary_sha256() -> Result<Digest, SessionError> {
    file_sha256("/proc/self/exe").map_err(SessionError::OwnBinary)
}

fn file_sha256(path: &str) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// The libraries in this process, in the order of their paths. Whoever exchanged one can hide it, and so only what is found
/// says something. That the list could not be read is said too: it is not the same as a list without any.
fn loaded_libraries(list: &str) -> Vec<LoadedLibrary> {
    let Ok(maps) = std::fs::read_to_string(list) else {
        return vec![LoadedLibrary { path: LoadedLibrary::LIST.to_owned(), sha256: None }];
    };
    let own = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    // proc_pid_maps(5): address, permissions, offset, device, inode, path.
    let executable =
        maps.lines().filter(|line| line.split_ascii_whitespace().nth(1).is_some_and(|it| it.contains('x')));
    let paths: BTreeSet<&str> = executable.filter_map(|line| line.find('/').map(|at| &line[at..])).collect();
    let library = |path: &str| LoadedLibrary { path: path.to_owned(), sha256: file_sha256(path).ok() };
    paths.into_iter().filter(|path| Path::new(path) != own).take(MAX_LIBRARIES).map(library).collect()
}

fn random_id() -> Result<String, SessionError> {
    let mut id = [0u8; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| SessionError::Random)?;
    Ok(hex::encode(id))
}

impl SessionStart {
    /// Starts a session now.
    pub fn new(keyid: Digest, challenge: Option<Challenge>) -> Result<Self, SessionError> {
        Ok(Self {
            report_id: random_id()?,
            started_at: Timestamp::now().to_string(),
            previous: None,
            challenge,
            keyid,
            tool: Tool {
                version: TOOL_VERSION.to_owned(),
                binary_sha256: own_binary_sha256()?,
                git_commit: option_env!("YANJI_GIT_COMMIT").map(str::to_owned),
                loaded_libs: loaded_libraries(LoadedLibrary::LIST),
            },
        })
    }

    /// The same session with a report id of its own: a run that goes on after an interruption makes another report than
    /// the one that said so.
    pub fn resumed(self) -> Result<Self, SessionError> {
        Ok(Self { report_id: random_id()?, ..self })
    }

    /// The same session about a unit that an earlier report is about too.
    pub fn after(self, previous: Option<Previous>) -> Self {
        Self { previous, ..self }
    }

    /// The session's value; see [`session_id`].
    pub fn s0(&self) -> Digest {
        session_id(self.challenge.as_ref(), &self.keyid, &self.tool.binary_sha256, &self.started_at)
    }

    /// The statement at the end of the session, without its evidence. `records` are the bytes from which the burn-in in
    /// `derived` was read.
    pub fn statement(
        self,
        derived: &Derived,
        records: Option<&[u8]>,
        signatures: &Signatures,
        claims: Claims,
    ) -> Result<Statement, SessionError> {
        let s0 = self.s0();
        let evidence = &derived.inspection.evidence;
        let boot_id = evidence.part("platform").and_then(|part| part.text("platform.boot_id")).map(str::to_owned);
        let digest = |text: &str| Digest::parse(text).ok_or(SessionError::Signatures);
        // A clock that was set back during the run must not make a report that no verifier takes.
        let now = Timestamp::now();
        let ended_at = self.started_at.parse().map_or(now, |started: Timestamp| now.max(started)).to_string();
        let predicate = Predicate {
            report_id: self.report_id,
            previous: self.previous,
            challenge: self.challenge,
            session: Session { s0, started_at: self.started_at, ended_at, boot_id, chain_head: derived.chain_head() },
            tool: self.tool,
            databases: vec![Database {
                name: "signatures".to_owned(),
                version: signatures.id.version.clone(),
                sha256: digest(&signatures.id.sha256)?,
            }],
            origin: evidence.origin,
            policy: PolicyRef { name: signatures.policy.name.clone(), sha256: digest(&signatures.policy_sha256)? },
            identity: derived.identity.clone(),
            platform: None,
            burnin: derived.burn.as_ref().zip(records).map(|(summary, records)| burn_in(summary, records)),
            condition: claims.condition,
            disclosures: claims.disclosures,
            claims: claims.order,
            device_evidence: Vec::new(),
            evidence: Vec::new(),
            checks: derived.inspection.checks.clone(),
            verdict: derived.verdict.clone(),
        };
        let parts = part_subjects(evidence, inspection::fact_catalogue(), &signatures.tables);
        Ok(Statement::new(predicate, parts)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_libraries_that_cannot_be_read_is_not_an_empty_one() {
        let unread = loaded_libraries("/proc/self/no such file");
        assert_eq!(unread, [LoadedLibrary { path: LoadedLibrary::LIST.to_owned(), sha256: None }]);
        assert!(loaded_libraries(LoadedLibrary::LIST).iter().all(|it| it.path != LoadedLibrary::LIST));
        assert_eq!(loaded_libraries("/dev/null"), []);
    }
}
