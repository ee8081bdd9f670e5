//! Which documents were taken back, and by whom.
//!
//! A withdrawal holds where one of its signers signed the document that it names, and nothing about that signature is open;
//! otherwise it only disputes the document. One that was
//! itself taken back has no effect. All of this takes time in proportion to the withdrawals.

use std::collections::HashMap;

use super::Digest;
use super::document::Document;
use super::verify::{Failure, FailureClass, Report, Signer};

/// A withdrawal that is valid.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// What it is called: its file.
    pub name: String,
    /// Digests of what it takes back: of the envelope, and of what is signed in it.
    targets: Vec<Digest>,
    voided_at: String,
    reason: String,
    /// Whether nothing about its own signatures is open.
    certain: bool,
    keyids: Vec<Digest>,
    digests: Vec<Digest>,
}

/// Withdrawals, and what they have effect on.
#[derive(Debug, Clone, Default)]
pub struct Withdrawals {
    all: Vec<Withdrawal>,
    /// Of each, whether it was not taken back itself.
    effective: Vec<bool>,
    by_target: HashMap<Digest, Vec<usize>>,
}

impl Withdrawal {
    /// What a document takes back, when it is a valid withdrawal. `digests` are those by which others may name it.
    pub fn of(name: &str, report: &Report, digests: &[Digest]) -> Option<Self> {
        let Some(Document::Void(void)) = report.document.as_ref().filter(|_| report.is_valid()) else { return None };
        let predicate = &void.predicate;
        Some(Self {
            name: name.to_owned(),
            targets: predicate.targets().collect(),
            voided_at: predicate.voided_at.clone(),
            reason: predicate.reason.clone(),
            certain: report.indeterminate.is_empty(),
            keyids: report.signers.iter().map(|signer| signer.keyid).collect(),
            digests: digests.to_vec(),
        })
    }

    /// What this makes of a document that it takes back.
    pub fn failure(&self) -> Failure {
        let observed = format!("taken back by its signer on {}, in {}: {}", self.voided_at, self.name, self.reason);
        Failure::new(FailureClass::Revoked, "document", "one that its signers stand by", &observed)
    }

    fn dispute(&self) -> Failure {
        let Self { name, voided_at, reason, .. } = self;
        let by = "by somebody who did not sign it, or whose key may not have been his own any more";
        let observed = format!("disputed on {voided_at}, in {name}, {by}: {reason}");
        Failure::new(FailureClass::Revoked, "document", "one that nobody disputes", &observed)
    }
}

impl Withdrawals {
    /// Finds out which of them have effect.
    pub fn new(all: Vec<Withdrawal>) -> Self {
        let mut by_target: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (index, withdrawal) in all.iter().enumerate() {
            withdrawal.targets.iter().for_each(|target| by_target.entry(*target).or_default().push(index));
        }
        let mut this = Self { effective: vec![false; all.len()], all, by_target };
        // Whatever takes one back has to be looked at before it. Of those that name each other in a circle none has effect.
        let takes_back: Vec<Vec<usize>> = (0..this.all.len())
            .map(|index| {
                let own = &this.all[index];
                this.about(&own.digests, &own.keyids).filter(|(_, own)| *own).map(|(by, _)| by).collect()
            })
            .collect();
        let mut waiting: Vec<usize> = takes_back.iter().map(Vec::len).collect();
        let mut targets: Vec<Vec<usize>> = vec![Vec::new(); this.all.len()];
        for (target, by) in takes_back.iter().enumerate() {
            by.iter().for_each(|by| targets[*by].push(target));
        }
        let mut ready: Vec<usize> = (0..this.all.len()).filter(|index| waiting[*index] == 0).collect();
        while let Some(index) = ready.pop() {
            this.effective[index] = !takes_back[index].iter().any(|by| this.effective[*by]);
            for &target in &targets[index] {
                waiting[target] -= 1;
                if waiting[target] == 0 {
                    ready.push(target);
                }
            }
        }
        this
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The withdrawals that have effect on a document with one of those digests, and whether they are certainly by one of its
    /// signers.
    pub fn against<'a>(
        &'a self,
        digests: &[Digest],
        signers: &[Signer],
    ) -> impl Iterator<Item = (&'a Withdrawal, bool)> {
        let keyids: Vec<Digest> = signers.iter().map(|signer| signer.keyid).collect();
        let found: Vec<_> = self.about(digests, &keyids).filter(|(index, _)| self.effective[*index]).collect();
        found.into_iter().map(|(index, own)| (&self.all[index], own))
    }

    /// Fails a document that was taken back, and leaves open what becomes of one that somebody else disputes.
    pub fn apply(&self, digests: &[Digest], report: &mut Report) {
        if !report.is_valid() {
            return;
        }
        for (withdrawal, own) in self.against(digests, &report.signers) {
            if own {
                report.failures.push(withdrawal.failure());
            } else {
                report.indeterminate.push(withdrawal.dispute());
            }
        }
        if !report.is_valid() {
            report.establish_nothing();
        }
    }

    fn about(&self, digests: &[Digest], keyids: &[Digest]) -> impl Iterator<Item = (usize, bool)> {
        let mut found: Vec<usize> =
            digests.iter().filter_map(|digest| self.by_target.get(digest)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|index| {
            let Withdrawal { certain, keyids: own, .. } = &self.all[index];
            (index, *certain && own.iter().any(|keyid| keyids.contains(keyid)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    /// Withdrawal `index` with that key, of document `voids`.
    fn withdrawal(index: usize, key: usize, voids: usize) -> Withdrawal {
        Withdrawal {
            name: index.to_string(),
            targets: vec![digest(voids)],
            voided_at: String::new(),
            reason: String::new(),
            certain: true,
            keyids: vec![digest(1000 + key)],
            digests: vec![digest(index)],
        }
    }

    fn against(list: Vec<Withdrawal>, document: usize, key: usize) -> Vec<(String, bool)> {
        let signer = Signer { name: String::new(), keyid: digest(1000 + key) };
        let all = Withdrawals::new(list);
        all.against(&[digest(document)], &[signer]).map(|(it, own)| (it.name.clone(), own)).collect()
    }

    #[test]
    fn a_withdrawal_that_was_taken_back_has_no_effect() {
        let (one, two) = (withdrawal(1, 7, 0), withdrawal(2, 7, 1));
        assert_eq!(against(vec![one.clone()], 0, 7), [("1".to_owned(), true)]);
        assert_eq!(against(vec![one.clone()], 0, 8), [("1".to_owned(), false)]);
        assert_eq!(against(vec![two.clone(), one.clone()], 0, 7), []);
        // Taken back by somebody else it holds; and so does one whose taking back was taken back.
        assert_eq!(against(vec![one.clone(), withdrawal(2, 8, 1)], 0, 7).len(), 1);
        assert_eq!(against(vec![one, two, withdrawal(3, 7, 2)], 0, 7).len(), 1);
        // In a circle none counts.
        assert_eq!(against(vec![withdrawal(1, 7, 2), withdrawal(2, 7, 1)], 1, 7), []);
    }

    proptest! {
        #[test]
        fn any_withdrawals_are_put_in_order(links in prop::collection::vec((0usize..3, 0usize..12), 12)) {
            let list = links.iter().enumerate().map(|(index, (key, voids))| withdrawal(index, *key, *voids)).collect();
            let all = Withdrawals::new(list);
            for (index, own) in all.all.iter().enumerate() {
                let taken_back = all.about(&own.digests, &own.keyids).any(|(by, own)| own && all.effective[by]);
                prop_assert!(!(taken_back && all.effective[index]));
            }
        }
    }
}
