//! Taking a signed document back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Digest;
use super::statement::{Contradiction, Statement, subject};

/// Type of the predicate.
pub const VOID_TYPE: &str = "https://yanji.example/hw-void/v1";
/// Name of the subject that is the envelope which does not count any more.
pub const VOIDED_SUBJECT: &str = "voided";

/// Says that another envelope does not count any more. That holds where one of those signed it who signed the other;
/// anybody else only disputes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Void {
    /// RFC 3339, by the clock of the machine that signed.
    pub voided_at: String,
    /// Digest of the envelope.
    pub voids: Digest,
    /// Digest of what is signed in it: nobody signs the envelope itself, in which signatures can be added, left out and
    /// put in another order. Absent in older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
    /// Why.
    pub reason: String,
}

impl Void {
    /// The digests by which it names what it takes back.
    pub fn targets(&self) -> impl Iterator<Item = Digest> {
        std::iter::once(self.voids).chain(self.statement)
    }
}

impl Statement<Void> {
    /// A statement that voids an envelope.
    pub fn void(predicate: Void) -> Self {
        Self::about(vec![subject(VOIDED_SUBJECT, predicate.voids)], VOID_TYPE, predicate)
    }

    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let Void { voided_at, voids, .. } = &self.predicate;
        let named = self.subject_sha256(VOIDED_SUBJECT).map_or_else(|| "none".to_owned(), |it| it.to_string());
        let found =
            [Contradiction::of_time("voidedAt", voided_at), Contradiction::between("subject voided", voids, named)];
        found.into_iter().flatten().collect()
    }
}
