//! Conditions over facts, with three truth values.

use regex_lite::Regex;
use serde::Deserialize;

use super::Witness;
use super::tables::Tables;
use crate::evidence::{FactPath, Part, Reading, Value};

/// A group of conditions: all of `all`, at least one of `any` (when there are some), none of `none`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Each must hold.
    #[serde(default)]
    pub all: Vec<Condition>,
    /// At least one must hold; an empty list holds.
    #[serde(default)]
    pub any: Vec<Condition>,
    /// None may hold.
    #[serde(default)]
    pub none: Vec<Condition>,
}

/// One test of one fact.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ConditionFields")]
pub struct Condition {
    /// The fact that is tested.
    pub fact: FactPath,
    /// How.
    pub test: Test,
}

/// How a fact is tested. Only [`Test::Absent`] holds for a fact without a value; every other test is unknown then.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equals the value; text is compared with runs of white space as one space.
    Eq(Value),
    /// Differs from the value.
    Ne(Value),
    /// Less than.
    Lt(i64),
    /// At most.
    Le(i64),
    /// Greater than.
    Gt(i64),
    /// At least.
    Ge(i64),
    /// Equals one of the values.
    In(Vec<Value>),
    /// Equals none of the values.
    NotIn(Vec<Value>),
    /// Text in which the regular expression finds something.
    Matches(Regex),
    /// A list or text that is empty (`true`) or is not (`false`).
    Empty(bool),
    /// The host said that there is no such thing (`true`), or gave a value (`false`).
    Absent(bool),
    /// Equals another fact of the same part.
    EqFact(FactPath),
    /// Differs from another fact of the same part.
    NeFact(FactPath),
    /// Less than another fact of the same part.
    LtFact(FactPath),
    /// In a table of `signatures/parts/`.
    InPart(String),
    /// Not in a table of `signatures/parts/`.
    NotInPart(String),
}

/// The form in the file: a fact and exactly one test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionFields {
    fact: FactPath,
    eq: Option<Value>,
    ne: Option<Value>,
    lt: Option<i64>,
    le: Option<i64>,
    gt: Option<i64>,
    ge: Option<i64>,
    #[serde(rename = "in")]
    in_: Option<Vec<Value>>,
    not_in: Option<Vec<Value>>,
    matches: Option<String>,
    empty: Option<bool>,
    absent: Option<bool>,
    eq_fact: Option<FactPath>,
    ne_fact: Option<FactPath>,
    lt_fact: Option<FactPath>,
    in_part: Option<String>,
    not_in_part: Option<String>,
}

impl TryFrom<ConditionFields> for Condition {
    type Error = String;

    fn try_from(fields: ConditionFields) -> Result<Self, Self::Error> {
        let matches = fields
            .matches
            .map(|pattern| Regex::new(&pattern).map_err(|error| format!("regular expression {pattern:?}: {error}")))
            .transpose()?;
        let tests: Vec<Test> = [
            fields.eq.map(Test::Eq),
            fields.ne.map(Test::Ne),
            fields.lt.map(Test::Lt),
            fields.le.map(Test::Le),
            fields.gt.map(Test::Gt),
            fields.ge.map(Test::Ge),
            fields.in_.map(Test::In),
            fields.not_in.map(Test::NotIn),
            matches.map(Test::Matches),
            fields.empty.map(Test::Empty),
            fields.absent.map(Test::Absent),
            fields.eq_fact.map(Test::EqFact),
            fields.ne_fact.map(Test::NeFact),
            fields.lt_fact.map(Test::LtFact),
            fields.in_part.map(Test::InPart),
            fields.not_in_part.map(Test::NotInPart),
        ]
        .into_iter()
        .flatten()
        .collect();
        match <[Test; 1]>::try_from(tests) {
            Ok([test]) => Ok(Self { fact: fields.fact, test }),
            Err(tests) => Err(format!("condition on {} has {} tests; it needs exactly one", fields.fact, tests.len())),
        }
    }
}

/// A truth value that keeps what made it so.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// It holds; the facts that show it.
    True(Vec<Witness>),
    /// It does not hold.
    False,
    /// These facts would be needed to say.
    Unknown(Vec<FactPath>),
}

impl Group {
    /// Every condition in the group.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.all.iter().chain(&self.any).chain(&self.none)
    }

    /// Whether the group holds for a part (Kleene's strong three-valued logic).
    pub fn evaluate(&self, part: &Part, tables: &Tables) -> Truth {
        let single = self.all.iter().map(|condition| condition.evaluate(part, tables));
        let none = self.none.iter().map(|condition| condition.evaluate(part, tables).negate());
        let one = Some(&self.any).filter(|any| !any.is_empty()).into_iter();
        let one = one.map(|group| any(group.iter().map(|condition| condition.evaluate(part, tables))));
        // Lazily, so that a condition that fails spares what comes behind it: most rules end at the first.
        all(single.chain(none).chain(one))
    }
}

impl Truth {
    fn negate(self) -> Self {
        match self {
            Self::True(_) => Self::False,
            Self::False => Self::True(Vec::new()),
            unknown => unknown,
        }
    }
}

fn all(results: impl Iterator<Item = Truth>) -> Truth {
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Truth::True(witnesses) => shown.extend(witnesses),
            Truth::False => return Truth::False,
            Truth::Unknown(facts) => missing.extend(facts),
        }
    }
    if missing.is_empty() {
        Truth::True(shown)
    } else {
        missing.sort();
        missing.dedup();
        Truth::Unknown(missing)
    }
}

fn any(results: impl Iterator<Item = Truth>) -> Truth {
    let (mut shown, mut missing, mut holds) = (Vec::new(), Vec::new(), false);
    for result in results {
        match result {
            Truth::True(witnesses) => {
                holds = true;
                shown.extend(witnesses);
            }
            Truth::False => {}
            Truth::Unknown(facts) => missing.extend(facts),
        }
    }
    if holds {
        Truth::True(shown)
    } else if missing.is_empty() {
        Truth::False
    } else {
        Truth::Unknown(missing)
    }
}

impl Condition {
    /// Whether the condition holds for a part.
    pub fn evaluate(&self, part: &Part, tables: &Tables) -> Truth {
        let Some(fact) = part.facts.get(&self.fact) else { return self.unknown() };
        let holds = match (&self.test, &fact.reading) {
            (Test::Absent(expected), Reading::Absent) => Some(*expected),
            (Test::Absent(expected), Reading::Known(_)) => Some(!*expected),
            (test, Reading::Known(value)) => match test {
                Test::Eq(other) => equal(value, other),
                Test::Ne(other) => equal(value, other).map(|same| !same),
                Test::Lt(limit) => value.as_integer().map(|number| number < *limit),
                Test::Le(limit) => value.as_integer().map(|number| number <= *limit),
                Test::Gt(limit) => value.as_integer().map(|number| number > *limit),
                Test::Ge(limit) => value.as_integer().map(|number| number >= *limit),
                Test::In(values) => Some(values.iter().any(|other| equal(value, other) == Some(true))),
                Test::NotIn(values) => Some(!values.iter().any(|other| equal(value, other) == Some(true))),
                Test::Matches(regex) => value.as_text().map(|text| regex.is_match(text)),
                Test::Empty(expected) => match value {
                    Value::List(values) => Some(values.is_empty() == *expected),
                    Value::Text(text) => Some(text.is_empty() == *expected),
                    _ => None,
                },
                Test::Absent(_) => None,
                Test::EqFact(other) => return self.compare(part, value, other, |order| order == Some(true)),
                Test::NeFact(other) => return self.compare(part, value, other, |order| order == Some(false)),
                Test::LtFact(other) => return self.less_than(part, value, other),
                Test::InPart(table) => return self.look_up(part, value, table, tables, true),
                Test::NotInPart(table) => return self.look_up(part, value, table, tables, false),
            },
            _ => None,
        };
        self.truth(holds, || vec![self.witness(part, &self.fact, self.test.expectation())])
    }

    fn truth(&self, holds: Option<bool>, witnesses: impl FnOnce() -> Vec<Witness>) -> Truth {
        match holds {
            Some(true) => Truth::True(witnesses()),
            Some(false) => Truth::False,
            None => self.unknown(),
        }
    }

    fn unknown(&self) -> Truth {
        Truth::Unknown(vec![self.fact.clone()])
    }

    fn compare(&self, part: &Part, value: &Value, other: &FactPath, holds: impl Fn(Option<bool>) -> bool) -> Truth {
        let Some(reference) = part.reading(other.as_str()).and_then(Reading::known) else {
            return Truth::Unknown(vec![other.clone()]);
        };
        let same = equal(value, reference);
        if same.is_none() {
            return self.unknown();
        }
        self.truth(Some(holds(same)), || self.pair(part, other, if same == Some(true) { "not" } else { "the same as" }))
    }

    fn less_than(&self, part: &Part, value: &Value, other: &FactPath) -> Truth {
        let Some(reference) = part.integer(other.as_str()) else { return Truth::Unknown(vec![other.clone()]) };
        self.truth(value.as_integer().map(|number| number < reference), || self.pair(part, other, "at least"))
    }

    fn look_up(&self, part: &Part, value: &Value, table: &str, tables: &Tables, wanted: bool) -> Truth {
        match tables.contains(table, part, value) {
            Ok(found) => self.truth(Some(found == wanted), || {
                vec![self.witness(part, &self.fact, tables.expectation(table, part, wanted))]
            }),
            Err(missing) => Truth::Unknown(vec![missing]),
        }
    }

    /// Both facts of a comparison, each with its source.
    fn pair(&self, part: &Part, other: &FactPath, relation: &str) -> Vec<Witness> {
        let reference = part.reading(other.as_str()).and_then(Reading::known);
        let reference = reference.map(Value::to_string).unwrap_or_default();
        vec![
            self.witness(part, &self.fact, format!("{relation} {other} ({reference})")),
            self.witness(part, other, String::new()),
        ]
    }

    fn witness(&self, part: &Part, path: &FactPath, expected: String) -> Witness {
        let fact = &part.facts[path];
        Witness { fact: path.clone(), expected, found: fact.reading.clone(), source: fact.source.clone() }
    }
}

impl Test {
    /// What a part shows for which the test does not hold, in words.
    fn expectation(&self) -> String {
        fn list(values: &[Value]) -> String {
            values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
        }
        match self {
            Self::Eq(value) => format!("not {value}"),
            Self::Ne(value) => value.to_string(),
            Self::Lt(limit) => format!("at least {limit}"),
            Self::Le(limit) => format!("more than {limit}"),
            Self::Gt(limit) => format!("at most {limit}"),
            Self::Ge(limit) => format!("less than {limit}"),
            Self::In(values) => format!("none of {}", list(values)),
            Self::NotIn(values) => format!("one of {}", list(values)),
            Self::Matches(regex) => format!("nothing like {}", regex.as_str()),
            Self::Empty(true) | Self::Absent(true) => "something".to_owned(),
            Self::Empty(false) | Self::Absent(false) => "nothing".to_owned(),
            Self::EqFact(_) | Self::NeFact(_) | Self::LtFact(_) | Self::InPart(_) | Self::NotInPart(_) => String::new(),
        }
    }

    /// The other fact that the test needs.
    pub fn other_fact(&self) -> Option<&FactPath> {
        match self {
            Self::EqFact(other) | Self::NeFact(other) | Self::LtFact(other) => Some(other),
            _ => None,
        }
    }
}

/// `None` where the types can't be compared.
fn equal(left: &Value, right: &Value) -> Option<bool> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.split_whitespace().eq(right.split_whitespace())),
        (Value::Bool(_), Value::Bool(_))
        | (Value::Integer(_), Value::Integer(_))
        | (Value::List(_), Value::List(_)) => Some(left == right),
        _ => None,
    }
}
