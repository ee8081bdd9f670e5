//! The custody of a unit: reports, receipts and withdrawals, put in order by the digests that they name.
//!
//! A document can only name another one that was there before, so the order does not rest on anybody's clock; times only
//! decide between documents that do not name each other. What is missing is named, a chain that forks is said to fork, and
//! documents that name each other in a circle, which no honest signer can make, are set aside. [`History::new`] is pure and
//! takes time in proportion to the documents.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::Digest;
use super::acceptance::{Acceptance, OpenPoint};
use super::certificate::Certificate;
use super::challenge::CLOCK_SKEW;
use super::document::{Document, Kind};
use super::drift::{Change, Drift, drift};
use super::redact::REPLACED;
use super::statement::{Relation, Statement, UNIT_SUBJECT};
use super::verify::{Failure, FailureClass, Report, Signer};
use super::void::Void;
use super::withdrawal::{Withdrawal, Withdrawals};
use crate::policy::Verdict;
use crate::rule::Tables;

/// A document that was verified.
#[derive(Debug)]
pub struct Entry {
    /// What it is called: its file.
    pub name: String,
    /// What its verification found.
    pub report: Report,
    /// What comes out of a valid report's evidence.
    pub verdict: Option<Verdict>,
    /// Digests by which others may name it: of the file, of the envelope before somebody co-signed, and of what is signed.
    pub digests: Vec<Digest>,
}

/// How a document names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The earlier report shows the unit as it was built.
    AsBuilt,
    /// The earlier report shows the unit as it was delivered.
    AsDelivered,
    /// It takes the place of the earlier report.
    Supersedes,
    /// It is the receipt for that report.
    Receives,
    /// It was made from that report.
    Certifies,
    /// It takes that document back.
    Voids,
}

/// One document in its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Documents that name each other have one number, from 1.
    pub chain: usize,
    /// What it is, when it could be read.
    pub kind: Option<Kind>,
    /// Digest of its envelope.
    pub envelope_sha256: Option<Digest>,
    /// Whether its verification succeeded, and its signer did not take it back.
    pub valid: bool,
    /// Why not.
    pub failures: Vec<Failure>,
    /// What is neither right nor wrong as long as something is missing.
    pub indeterminate: Vec<Failure>,
    /// The trusted keys that signed it.
    pub signers: Vec<Signer>,
    /// Other keys that it names.
    pub unknown_signers: Vec<Digest>,
    /// When it says that it was made.
    pub time: Option<String>,
    /// Digest of the unit's identity.
    pub unit: Option<Digest>,
    /// What it comes to now; `None` of one that is not valid, and of a withdrawal.
    pub verdict: Option<Verdict>,
    /// Its verdict, result or reason.
    pub says: Option<String>,
    /// What it names.
    pub links: Vec<Named>,
    /// What is different on the unit since the report that it names.
    pub changes: Vec<Drift>,
    /// What of the report a receipt took although it was open.
    pub open: Vec<OpenPoint>,
    /// Where it does not agree with what it names.
    pub disagreements: Vec<Failure>,
    /// Documents by which its own signer took it back.
    pub voided_by: Vec<String>,
    /// Documents by which somebody else wants it to be taken back.
    pub disputed_by: Vec<String>,
    /// What a reader should know.
    pub remarks: Vec<String>,
}

/// A document that is named by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How.
    pub link: Link,
    /// By this digest.
    pub sha256: Digest,
    /// Which document it is, when it was given.
    pub name: Option<String>,
}

/// A document that was named and not given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Who names it.
    pub name: String,
    /// How.
    pub link: Link,
    /// Its digest.
    pub sha256: Digest,
}

/// One document with two of a kind after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// The document; its digest, where it was not given.
    pub name: String,
    /// Those that name it.
    pub followed_by: Vec<String>,
}

/// Documents in order.
#[derive(Debug, Serialize)]
pub struct History {
    /// Every document once, chain after chain, each after those that it names.
    pub documents: Vec<Step>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Where two documents go on from one.
    pub forks: Vec<Fork>,
    /// Documents that name each other in a circle. They are among the documents, at their end.
    pub circle: Vec<String>,
    /// Valid documents that say the same as another, and are left out: name, and name of the other.
    pub repeated: Vec<(String, String)>,
}

impl Link {
    /// A few words for `A … B`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsBuilt => "goes on from, as built,",
            Self::AsDelivered => "goes on from, as delivered,",
            Self::Supersedes => "supersedes",
            Self::Receives => "is the receipt for",
            Self::Certifies => "was made from",
            Self::Voids => "voids",
        }
    }

    /// Whether documents of one kind that name one document in that way compete.
    fn competes(self) -> Option<u8> {
        match self {
            Self::AsBuilt | Self::AsDelivered | Self::Supersedes => Some(0),
            Self::Receives => Some(1),
            Self::Certifies | Self::Voids => None,
        }
    }
}

impl From<Relation> for Link {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::AsBuilt => Self::AsBuilt,
            Relation::AsDelivered => Self::AsDelivered,
            Relation::Supersedes => Self::Supersedes,
        }
    }
}

/// What a document names, and how.
struct Target {
    link: Link,
    sha256: Digest,
    /// The digest of what is signed in it, where that is named too.
    statement: Option<Digest>,
}

/// What is needed to put a document in its place.
struct Node {
    time: Option<jiff::Timestamp>,
    /// Positions of the documents that it names.
    names: Vec<usize>,
}

impl History {
    /// Puts documents in order and compares each with those that it names. What a document says counts only where it is
    /// valid.
    pub fn new(entries: Vec<Entry>, tables: &Tables) -> Self {
        let mut repeated = Vec::new();
        let mut first: HashMap<Digest, usize> = HashMap::new();
        let mut kept: Vec<Entry> = Vec::new();
        // Who signed any copy of each.
        let mut signers: Vec<Vec<Signer>> = Vec::new();
        for mut entry in entries {
            // What is wrong with a copy must not hide behind one that is right.
            let content = entry.report.statement_sha256.filter(|_| entry.report.is_valid());
            let position = content.and_then(|content| first.get(&content)).copied();
            match position.and_then(|it| kept.get_mut(it).zip(signers.get_mut(it))) {
                Some((kept, signers)) => {
                    signers.extend(entry.report.signers.iter().cloned());
                    // A timestamp that lies beside one of them is about both.
                    if entry.report.indeterminate.len() < kept.report.indeterminate.len() {
                        std::mem::swap(kept, &mut entry);
                    }
                    // One of the two may have more signatures: links to either lead here.
                    kept.digests.extend(entry.digests);
                    unite_signers(&mut kept.report, entry.report);
                    repeated.push((entry.name, kept.name.clone()));
                }
                None => {
                    first.extend(content.map(|content| (content, kept.len())));
                    signers.push(entry.report.signers.clone());
                    kept.push(entry);
                }
            }
        }
        let mut by_digest: HashMap<Digest, usize> = HashMap::new();
        for valid in [true, false] {
            for (position, entry) in kept.iter().enumerate().filter(|(_, entry)| entry.report.is_valid() == valid) {
                entry.digests.iter().for_each(|digest| _ = by_digest.entry(*digest).or_insert(position));
            }
        }

        let links: Vec<Option<Target>> = kept.iter().map(|entry| link_of(&entry.report)).collect();
        let found = |target: &Target| {
            let statement = || by_digest.get(target.statement.as_ref()?);
            by_digest.get(&target.sha256).or_else(statement).copied()
        };
        let nodes: Vec<Node> = kept
            .iter()
            .zip(&links)
            .map(|(entry, links)| Node {
                time: time_of(&entry.report).and_then(|time| time.parse().ok()),
                names: links.iter().filter_map(found).collect(),
            })
            .collect();
        let (order, circle) = order(&nodes);
        let chains = chains(&nodes, &order);

        let mut steps: Vec<Step> = kept.iter().map(Step::new).collect();
        let mut gaps = Vec::new();
        for (index, links) in links.iter().enumerate() {
            steps[index].chain = chains[index];
            if let Some(target) = links {
                let (link, sha256) = (target.link, target.sha256);
                let target = found(target);
                match target {
                    None => gaps.push(Gap { name: kept[index].name.clone(), link, sha256 }),
                    Some(target) => compare(link, &kept[index].report, &kept[target].report, tables, &mut steps[index]),
                }
                let name = target.map(|target| kept[target].name.clone());
                steps[index].links.push(Named { link, sha256, name });
            }
        }
        apply_withdrawals(&kept, &signers, &mut steps);
        let forks = forks(&links, &order, &found, &steps);

        let mut places: Vec<usize> = order.into_iter().chain(circle.iter().copied()).collect();
        places.sort_by_key(|index| chains[*index]);
        let circle = circle.iter().map(|index| kept[*index].name.clone()).collect();
        let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        let documents = places.into_iter().filter_map(|index| steps[index].take()).collect();
        Self { documents, gaps, forks, circle, repeated }
    }

    /// Whether a document is not valid or was taken back by its signer, or does not agree with one that it names.
    pub fn is_broken(&self) -> bool {
        !self.circle.is_empty() || self.documents.iter().any(|step| !step.valid || !step.disagreements.is_empty())
    }

    /// Whether a document says that its machine is rejected, or its delivery refused.
    pub fn is_rejected(&self) -> bool {
        self.documents.iter().any(|step| step.verdict == Some(Verdict::Rejected))
    }

    /// Whether a person has to look: something is undecided, indeterminate, missing, forks, is disputed, or could not be
    /// compared.
    pub fn is_open(&self) -> bool {
        let open = |step: &Step| {
            let unread = step.changes.iter().any(|it| it.change == Change::Unread);
            let open = !step.indeterminate.is_empty() || !step.disputed_by.is_empty();
            open || unread || step.verdict == Some(Verdict::Undecided)
        };
        !self.gaps.is_empty() || !self.forks.is_empty() || self.documents.iter().any(open)
    }
}

impl Step {
    fn new(entry: &Entry) -> Self {
        let report = &entry.report;
        let unit = match &report.document {
            Some(Document::Acceptance(receipt)) => receipt.subject_sha256(UNIT_SUBJECT),
            Some(_) => None,
            None => report.statement.as_ref().and_then(|statement| statement.subject_sha256(UNIT_SUBJECT)),
        };
        Self {
            name: entry.name.clone(),
            chain: 0,
            kind: report.kind(),
            envelope_sha256: report.envelope_sha256,
            valid: report.is_valid(),
            failures: report.failures.clone(),
            indeterminate: report.indeterminate.clone(),
            signers: report.signers.clone(),
            unknown_signers: report.unknown_signers.clone(),
            time: time_of(report).map(str::to_owned),
            unit,
            verdict: entry.verdict.or_else(|| report.document_verdict()),
            says: says(report),
            links: Vec::new(),
            changes: Vec::new(),
            open: match &report.document {
                Some(Document::Acceptance(receipt)) => receipt.predicate.open.clone(),
                _ => Vec::new(),
            },
            disagreements: Vec::new(),
            voided_by: Vec::new(),
            disputed_by: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

fn time_of(report: &Report) -> Option<&str> {
    match &report.document {
        Some(document) => Some(document.made_at()),
        None => Some(&report.statement.as_ref()?.predicate.session.ended_at),
    }
}

fn says(report: &Report) -> Option<String> {
    Some(match &report.document {
        Some(Document::Acceptance(receipt)) => receipt.predicate.result.as_str().to_owned(),
        Some(Document::Void(void)) => void.predicate.reason.clone(),
        Some(Document::Certificate(certificate)) => certificate.predicate.verdict.result.to_string(),
        Some(Document::Report(_)) | None => report.statement.as_ref()?.predicate.verdict.result.to_string(),
    })
}

/// Adds the signers of another copy, if nothing is open about them that is not about the first.
fn unite_signers(report: &mut Report, copy: Report) {
    if copy.indeterminate.iter().any(|open| !report.indeterminate.contains(open)) {
        return;
    }
    for signer in copy.signers {
        if !report.signers.iter().any(|own| own.keyid == signer.keyid) {
            report.signers.push(signer);
        }
    }
    report.signers.sort_by_key(|signer| signer.keyid);
    report.unknown_signers.extend(copy.unknown_signers);
    report.unknown_signers.sort();
    report.unknown_signers.dedup();
    let signers = &report.signers;
    report.unknown_signers.retain(|keyid| !signers.iter().any(|signer| signer.keyid == *keyid));
}

/// What a valid document names.
fn link_of(report: &Report) -> Option<Target> {
    if !report.is_valid() {
        return None;
    }
    let (link, sha256) = match &report.document {
        Some(Document::Acceptance(receipt)) => (Link::Receives, receipt.predicate.report),
        Some(Document::Void(void)) => {
            let Void { voids, statement, .. } = &void.predicate;
            return Some(Target { link: Link::Voids, sha256: *voids, statement: *statement });
        }
        Some(Document::Certificate(certificate)) => (Link::Certifies, certificate.predicate.report),
        Some(Document::Report(_)) | None => {
            let previous = report.statement.as_ref()?.predicate.previous.as_ref()?;
            (previous.relation.into(), previous.sha256)
        }
    };
    Some(Target { link, sha256, statement: None })
}

/// The digest of the envelope that a valid document names; `None` where it names none.
pub fn named_by(report: &Report) -> Option<Digest> {
    link_of(report).map(|target| target.sha256)
}

/// Positions in an order in which each comes after those that it names, the earliest first where that leaves a choice; and
/// those that can't be ordered, since they name each other.
fn order(nodes: &[Node]) -> (Vec<usize>, Vec<usize>) {
    let mut waiting: Vec<usize> = nodes.iter().map(|node| node.names.len()).collect();
    let mut named_by: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for &named in &node.names {
            named_by[named].push(index);
        }
    }
    // What has no time comes last.
    let key = |index: usize| Reverse((nodes[index].time.unwrap_or(jiff::Timestamp::MAX), index));
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|index| waiting[*index] == 0).map(key).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse((_, index))) = ready.pop() {
        order.push(index);
        for &next in &named_by[index] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(key(next));
            }
        }
    }
    let circle = (0..nodes.len()).filter(|index| waiting[*index] > 0).collect();
    (order, circle)
}

/// The number of each document's chain, counted from 1 in the order given.
fn chains(nodes: &[Node], order: &[usize]) -> Vec<usize> {
    let mut neighbours: Vec<Vec<usize>> = nodes.iter().map(|node| node.names.clone()).collect();
    for (index, node) in nodes.iter().enumerate() {
        for &named in &node.names {
            neighbours[named].push(index);
        }
    }
    let mut chains = vec![0; nodes.len()];
    let mut last = 0;
    for start in order.iter().copied().chain(0..nodes.len()) {
        if chains[start] > 0 {
            continue;
        }
        last += 1;
        let mut reached = vec![start];
        while let Some(index) = reached.pop() {
            if chains[index] == 0 {
                chains[index] = last;
                reached.extend(&neighbours[index]);
            }
        }
    }
    chains
}

/// Marks what was taken back, and what somebody else disputes.
fn apply_withdrawals(kept: &[Entry], signers: &[Vec<Signer>], steps: &mut [Step]) {
    let withdrawals = kept.iter().filter_map(|entry| Withdrawal::of(&entry.name, &entry.report, &entry.digests));
    let withdrawals = Withdrawals::new(withdrawals.collect());
    for ((entry, signers), step) in kept.iter().zip(signers).zip(steps) {
        for (withdrawal, own) in withdrawals.against(&entry.digests, signers) {
            if own {
                step.voided_by.push(withdrawal.name.clone());
                step.failures.push(withdrawal.failure());
                (step.valid, step.verdict) = (false, None);
            } else {
                step.disputed_by.push(withdrawal.name.clone());
                step.verdict = step.verdict.map(|it| if it == Verdict::Accepted { Verdict::Undecided } else { it });
            }
        }
    }
}

fn forks(
    links: &[Option<Target>],
    order: &[usize],
    found: &dyn Fn(&Target) -> Option<usize>,
    steps: &[Step],
) -> Vec<Fork> {
    // A document that was not given has only a digest.
    let mut after: BTreeMap<(Result<usize, Digest>, u8), Vec<String>> = BTreeMap::new();
    for &index in order.iter().filter(|index| steps[**index].voided_by.is_empty()) {
        if let Some(target) = &links[index]
            && let Some(kind) = target.link.competes()
        {
            let named = found(target).ok_or(target.sha256);
            after.entry((named, kind)).or_default().push(steps[index].name.clone());
        }
    }
    let forks = after.into_iter().filter(|(_, followed_by)| followed_by.len() > 1);
    let name =
        |named: Result<usize, Digest>| named.map_or_else(|sha256| sha256.to_string(), |it| steps[it].name.clone());
    forks.map(|((named, _), followed_by)| Fork { name: name(named), followed_by }).collect()
}

/// Holds a document against the one that it names.
fn compare(link: Link, later: &Report, earlier: &Report, tables: &Tables, step: &mut Step) {
    let time = |report: &Report| time_of(report).and_then(|time| time.parse::<jiff::Timestamp>().ok());
    if let (Some(later), Some(earlier)) = (time(later), time(earlier))
        && later < earlier
    {
        let apart = earlier.duration_since(later) > CLOCK_SKEW;
        let class = if apart { "E_TIME: " } else { "" };
        step.remarks.push(format!("{class}it claims {later}, an earlier time than {earlier} of what it names"));
        // One of the two clocks is wrong, or somebody lies, and nothing here says which.
        if apart && step.verdict == Some(Verdict::Accepted) {
            step.verdict = Some(Verdict::Undecided);
        }
    }
    if !earlier.is_valid() {
        step.remarks.push("what it names is not valid".to_owned());
        return;
    }
    let Some(report) = &earlier.statement else {
        if link != Link::Voids {
            step.remarks.push("what it names is not a report".to_owned());
        }
        return;
    };
    match (&later.document, &later.statement) {
        (Some(Document::Acceptance(receipt)), _) => compare_receipt(receipt, report, tables, step),
        (Some(Document::Certificate(certificate)), _) => compare_certificate(&certificate.predicate, report, step),
        (None, Some(statement)) => {
            step.changes = drift(&report.predicate.identity, &statement.predicate.identity, tables);
            if link != Link::Supersedes {
                step.disagreements.extend(drift_failures(&step.changes));
            }
        }
        _ => {}
    }
}

/// A failure for every part that is missing or another one.
pub fn drift_failures(changes: &[Drift]) -> Vec<Failure> {
    let none = || "nothing".to_owned();
    let failure = |it: &Drift| {
        let what = format!("{} {} {}: {}", it.kind, it.part, it.change.as_str(), it.fact);
        let (expected, observed) = (it.before.clone().unwrap_or_else(none), it.after.clone().unwrap_or_else(none));
        Failure::new(FailureClass::Drift, &what, &expected, &observed)
    };
    changes.iter().filter(|it| it.change.is_drift()).map(failure).collect()
}

fn compare_receipt(receipt: &Statement<Acceptance>, report: &Statement, tables: &Tables, step: &mut Step) {
    let predicate = &receipt.predicate;
    step.changes = predicate.difference.clone();
    let (expected, observed) = (report.subject_sha256(UNIT_SUBJECT), receipt.subject_sha256(UNIT_SUBJECT));
    if expected != observed {
        let digest = |it: Option<Digest>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
        let (expected, observed) = (digest(expected), digest(observed));
        step.disagreements.push(Failure::new(FailureClass::Evidence, "subject unit", &expected, &observed));
    }
    let follows = drift(&report.predicate.identity, &predicate.as_received.identity, tables);
    if follows != predicate.difference {
        let lines = |list: &[Drift]| {
            let words = |it: &Drift| format!("{} {} {}", it.part, it.change.as_str(), it.fact);
            if list.is_empty() { "none".to_owned() } else { list.iter().map(words).collect::<Vec<_>>().join("; ") }
        };
        step.disagreements.push(Failure::new(
            FailureClass::VerdictMismatch,
            "differences from the report",
            &lines(&follows),
            &lines(&predicate.difference),
        ));
    }
}

fn compare_certificate(certificate: &Certificate, report: &Statement, step: &mut Step) {
    let reported = &report.predicate;
    let mut differ = |what: &str, expected: String, observed: String| {
        if expected != observed {
            step.disagreements.push(Failure::new(FailureClass::VerdictMismatch, what, &expected, &observed));
        }
    };
    let (signed, verdict) = (&reported.verdict, &certificate.verdict);
    differ("verdict", signed.result.to_string(), verdict.result.to_string());
    differ("assurance", signed.assurance.to_string(), verdict.assurance.to_string());
    differ("origin", reported.origin.to_string(), certificate.origin.to_string());
    differ("startedAt", reported.session.started_at.clone(), certificate.started_at.clone());
    differ("endedAt", reported.session.ended_at.clone(), certificate.ended_at.clone());
    let checks: Vec<(&str, &str)> =
        reported.checks.iter().map(|check| (check.id.as_str(), check.outcome.status())).collect();
    let certified: Vec<(&str, &str)> =
        certificate.checks.iter().map(|check| (check.id.as_str(), check.status.as_str())).collect();
    if checks != certified {
        differ("checks", format!("the {} of the report", checks.len()), format!("{} others", certified.len()));
    }
    if !agrees(&certificate.identity, &reported.identity) {
        differ("identity", "that of the report, but for what is hidden".to_owned(), "another one".to_owned());
    }
}

/// Whether everything that is not hidden is equal.
fn agrees(certified: &Value, reported: &Value) -> bool {
    match (certified, reported) {
        (Value::String(text), Value::String(_)) if text == REPLACED => true,
        (Value::Object(certified), _) if certified.len() == 1 && certified.contains_key("hidden") => true,
        (Value::Object(certified), Value::Object(reported)) => {
            certified.len() == reported.len()
                && certified.iter().all(|(name, value)| reported.get(name).is_some_and(|other| agrees(value, other)))
        }
        (Value::Array(certified), Value::Array(reported)) => {
            certified.len() == reported.len() && certified.iter().zip(reported).all(|(one, other)| agrees(one, other))
        }
        (certified, reported) => certified == reported,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(names: &[&[usize]]) -> Vec<Node> {
        names.iter().map(|names| Node { time: None, names: names.to_vec() }).collect()
    }

    #[test]
    fn each_comes_after_what_it_names_and_circles_are_set_aside() {
        let chain = nodes(&[&[2], &[0], &[]]);
        assert_eq!(order(&chain), (vec![2, 0, 1], vec![]));
        assert_eq!(chains(&chain, &[2, 0, 1]), [1, 1, 1]);
        // 0 and 1 name each other, 2 names one of them, 3 names itself, 4 stands alone.
        let circle = nodes(&[&[1], &[0], &[1], &[3], &[]]);
        assert_eq!(order(&circle), (vec![4], vec![0, 1, 2, 3]));
        assert_eq!(chains(&circle, &[4]), [2, 2, 2, 3, 1]);
    }

    proptest! {
        #[test]
        fn any_links_are_ordered(links in prop::collection::vec(prop::collection::vec(0usize..12, 0..3), 12)) {
            let nodes: Vec<Node> = links.into_iter().map(|names| Node { time: None, names }).collect();
            let (order, circle) = order(&nodes);
            prop_assert_eq!(order.len() + circle.len(), nodes.len());
            for (place, index) in order.iter().enumerate() {
                prop_assert!(nodes[*index].names.iter().all(|named| order[..place].contains(named)));
            }
            prop_assert!(chains(&nodes, &order).iter().all(|chain| *chain > 0));
        }
    }
}
