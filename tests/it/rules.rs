//! Tests of the signature sets: every rule by its own examples, and what no rule may ever do.

use std::fs;
use std::path::Path;

use yanji::evidence::{Evidence, Fact, FactPath, Origin, Part, Reading};
use yanji::inspection::{self, fact_catalogue};
use yanji::policy::Verdict;
use yanji::rule::{self, ExampleFact, Outcome, SignatureError, Signatures, Tables};

fn embedded() -> Signatures {
    Signatures::embedded().unwrap()
}

#[test]
fn every_rule_passes_the_linter_with_its_own_examples() {
    let signatures = embedded();
    assert!(signatures.rules.len() > 30);
    let complaints = rule::lint(&signatures, fact_catalogue());
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn no_rule_is_clear_about_facts_that_it_could_not_see() {
    let signatures = embedded();
    for unseen in [Reading::Denied, Reading::Unsupported, Reading::Failed("test".to_owned())] {
        for rule in &signatures.rules {
            let facts = rule
                .examples
                .iter()
                .flat_map(|example| example.facts.keys())
                .map(|path| (path.clone(), Fact { reading: unseen.clone(), source: "test".to_owned() }));
            let part = Part { scope: rule.scope.clone(), id: "test".to_owned(), facts: facts.collect() };
            let outcome = rule.evaluate(&part, &signatures.tables);
            assert!(matches!(outcome, Outcome::Inconclusive { .. }), "{}: {outcome:?}", rule.id);
        }
    }
}

#[test]
fn a_finding_names_every_fact_with_what_was_expected_and_who_said_so() {
    let signatures = embedded();
    for rule in &signatures.rules {
        for example in rule.examples.iter().filter(|example| example.expect == rule::Expectation::Fires) {
            let facts = example.facts.iter().map(|(path, fact)| {
                let reading = match fact {
                    ExampleFact::Known(value) => Reading::Known(value.clone()),
                    ExampleFact::Reading { .. } => Reading::Absent,
                };
                (path.clone(), Fact { reading, source: format!("source of {path}") })
            });
            let part = Part { scope: rule.scope.clone(), id: "test".to_owned(), facts: facts.collect() };
            let Outcome::Fires(finding) = rule.evaluate(&part, &signatures.tables) else { panic!("{}", rule.id) };
            assert!(!finding.witnesses.is_empty(), "{}", rule.id);
            assert!(finding.witnesses.iter().any(|witness| !witness.expected.is_empty()), "{}", rule.id);
            for witness in &finding.witnesses {
                assert_eq!(witness.source, format!("source of {}", witness.fact));
                assert_eq!(part.reading(witness.fact.as_str()), Some(&witness.found));
            }
        }
    }
}

#[test]
fn without_a_single_part_nothing_is_accepted() {
    let inspection = inspection::assess(Evidence { origin: Origin::Live, parts: Vec::new() }, &embedded());
    assert_eq!(inspection.judgement.verdict, Verdict::Undecided);
}

/// Copies the embedded set into a folder, changes one file, and loads it.
fn with_changed(file: &str, change: impl Fn(String) -> String) -> Result<Signatures, SignatureError> {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/signatures")), folder.path());
    let path = folder.path().join(file);
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    Signatures::from_folder(folder.path())
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_folder_and_the_binary_give_the_same_set() {
    let folder = Signatures::from_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/signatures"))).unwrap();
    assert_eq!(folder.id, embedded().id);
    assert_eq!(format!("{folder:?}"), format!("{:?}", embedded()));
    let changed = with_changed("set.toml", |text| text.replace("\"20", "\"30")).unwrap();
    assert_ne!(changed.id.sha256, embedded().id.sha256);
    assert!(changed.id.version.starts_with("30"));
}

#[test]
fn a_typo_in_a_signature_file_is_shown_with_line_and_column() {
    let cases: [(&str, &str, &str); 5] = [
        ("severity = ", "severty = ", "unknown field `severty`"),
        ("severity = \"high\"", "severity = \"hgih\"", "unknown variant `hgih`"),
        ("eq = true", "equals = true", "unknown field `equals`"),
        ("eq = true", "eq = true, ne = false", "exactly one"),
        ("[fires]", "[fires", "unclosed table"),
    ];
    for (from, to, expected) in cases {
        let error = with_changed("platform/virtual-machine.toml", |text| {
            assert!(text.contains(from));
            text.replacen(from, to, 1)
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("signatures/platform/virtual-machine.toml"), "{error}");
        assert!(error.contains("line ") && error.contains("column "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let bad_regex =
        with_changed("cpu/engineering-sample.toml", |text| text.replacen("matches = \"^(", "matches = \"^((", 1));
    assert!(bad_regex.unwrap_err().to_string().contains("line "));
}

#[test]
fn the_linter_refuses_what_could_not_work() {
    let complaint = |file: &str, from: &str, to: &str| {
        let signatures = with_changed(file, |text| {
            assert!(text.contains(from), "{file} has no {from}");
            text.replace(from, to)
        });
        let complaints = rule::lint(&signatures.unwrap(), fact_catalogue());
        complaints.into_iter().map(|found| found.message).collect::<Vec<_>>().join("\n")
    };
    let rule = "platform/virtual-machine.toml";
    assert!(
        complaint(rule, "platform.hypervisor.present", "platform.hypervisor.presnt").contains("no collector makes")
    );
    assert!(complaint(rule, "platform.hypervisor.present", "cpu.cpuid.hypervisor").contains("do not have"));
    assert!(complaint(rule, "eq = true", "eq = \"yes\"").contains("compares"));
    assert!(complaint(rule, "expect = \"fires\"", "expect = \"clear\"").contains("the rule says Fires"));
    assert!(
        complaint(rule, "expect = \"inconclusive\"", "expect = \"clear\"")
            .contains("no example that expects Inconclusive")
    );
    assert!(
        complaint("platform/identity-blank.toml", "in_part = \"blank-identities\"", "in_part = \"blanks\"")
            .contains("does not exist")
    );
    assert!(complaint("policy.toml", "\"cpu.engineering-sample\"", "\"cpu.gone\"").contains("requires rule cpu.gone"));
}

#[test]
fn an_absent_table_row_is_unknown_and_not_clear() {
    let signatures = embedded();
    let rule = signatures.rule("cpu.brand-signature").unwrap();
    let example = rule.examples.iter().find(|example| example.expect == rule::Expectation::Fires).unwrap();
    let facts = example.facts.iter().map(|(path, fact)| {
        let ExampleFact::Known(value) = fact else { panic!() };
        (path.clone(), Fact { reading: Reading::Known(value.clone()), source: "test".to_owned() })
    });
    let part = Part { scope: "cpu".to_owned(), id: "cpu:0".to_owned(), facts: facts.collect() };
    let outcome = rule.evaluate(&part, &Tables::default());
    assert_eq!(outcome, Outcome::Inconclusive { missing: vec![FactPath::new("parts/cpu-brand-models")] });
}
