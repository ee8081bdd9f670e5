//! `yanji rules`.

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use yanji::inspection::fact_catalogue;
use yanji::report;
use yanji::rule::{self, Confidence, Rule, SetId, Severity};

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::{inspect, output};

/// Arguments of `yanji rules`.
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the rules.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// One line a rule
    List,
    /// Everything about one rule: why, innocent causes, what to do
    Explain {
        /// Id of the rule, as `list` shows it
        id: String,
    },
    /// Check the rules: facts that exist, sources, examples that come out as they say
    Lint,
    /// The facts that rules can name
    Facts,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    title: &'a str,
    scope: &'a str,
    severity: Severity,
    confidence: Confidence,
    why: &'a str,
    innocent: &'a [String],
    limits: &'a [String],
    next: &'a str,
    references: &'a [String],
    since: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    signatures: &'a SetId,
    rules: Vec<Listed<'a>>,
}

impl<'a> From<&'a Rule> for Listed<'a> {
    fn from(rule: &'a Rule) -> Self {
        Self {
            id: &rule.id,
            title: &rule.title,
            scope: &rule.scope,
            severity: rule.severity,
            confidence: rule.confidence,
            why: &rule.why,
            innocent: &rule.innocent,
            limits: &rule.limits,
            next: &rule.next,
            references: &rule.references,
            since: &rule.since,
        }
    }
}

/// Runs the action.
pub fn run(args: &RulesArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let style = output::style();
    match (&args.action, global.format) {
        (Action::List, Format::Plain | Format::Csv) => output::print(&report::list_plain(&signatures, style))?,
        (Action::List, Format::Json) => {
            let rules = signatures.rules.iter().map(Listed::from).collect();
            output::print_json(&List { signatures: &signatures.id, rules })?;
        }
        (Action::Explain { id }, format) => {
            let Some(rule) = signatures.rule(id) else {
                bail!(CliError::usage(format!("there is no rule {id:?}")).hint("yanji rules list shows them all"))
            };
            match format {
                Format::Plain | Format::Csv => output::print(&report::explain_plain(rule, style))?,
                Format::Json => output::print_json(&Listed::from(rule))?,
            }
        }
        (Action::Lint, format) => {
            let complaints = rule::lint(&signatures, fact_catalogue());
            match format {
                Format::Json => output::print_json(&complaints)?,
                Format::Plain | Format::Csv => {
                    let lines = complaints.iter().map(|found| format!("{}: {}\n", found.subject, found.message));
                    let counts = format!("{} rules, {} complaints\n", signatures.rules.len(), complaints.len());
                    output::print(&(lines.collect::<String>() + &counts))?;
                }
            }
            return Ok(if complaints.is_empty() { Exit::Success } else { Exit::Usage });
        }
        (Action::Facts, Format::Plain | Format::Csv) => {
            let mut table = report::Table::new(&["fact", "kind", "meaning"]);
            for fact in fact_catalogue() {
                table.row([fact.path.to_owned(), format!("{:?}", fact.kind).to_lowercase(), fact.about.to_owned()]);
            }
            output::print(&table.render())?;
        }
        (Action::Facts, Format::Json) => output::print_json(&fact_catalogue().collect::<Vec<_>>())?,
    }
    Ok(Exit::Success)
}
