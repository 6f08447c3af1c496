//! What was found, for people and as the one JSON document, which has the shape of a run's summary.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::clock::Clock;
use crate::criteo::{Connection, Usage};
use crate::error::ErrorKind;
use crate::pull::summary::{Failure, Outcome, Summary, judge};
use crate::settings::Settings;

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct CheckDocument {
    /// As of every command.
    #[serde(flatten)]
    pub summary: Summary,
    /// Every check, also those that found nothing wrong.
    pub checks: Vec<Check>,
}

/// One line of the checklist.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Which check; several lines may have the same name.
    pub name: String,
    /// How it ended.
    pub outcome: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl CheckDocument {
    /// The document, and the kind that decides the exit code.
    pub(super) fn new(
        run_id: &str,
        settings: &Settings,
        clock: &Clock,
        connection: Option<&Connection>,
        findings: Vec<Finding>,
    ) -> (Self, Option<ErrorKind>) {
        let failures: Vec<Failure> = findings.iter().filter_map(Finding::failure).collect();
        let warnings = findings.iter().filter(|finding| finding.verdict == Verdict::Warning);
        let warnings = warnings.map(Finding::full_notice).collect();
        let usage = connection.map(Connection::usage).unwrap_or_default();
        let Usage { retries, waited } = usage;
        let kind = decisive(&failures);
        let summary = Summary {
            run_id: run_id.to_owned(),
            command: "check".to_owned(),
            outcome: if kind.is_none() { Outcome::Ok } else { Outcome::Failed },
            output: Some(settings.output.to_string()),
            tables: BTreeMap::new(),
            calls: connection.map(Connection::calls).unwrap_or_default(),
            planned_calls: None,
            retries,
            waited_secs: waited.as_secs_f64(),
            elapsed_secs: clock.elapsed().as_secs_f64(),
            resumed_partitions: 0,
            warnings,
            errors: failures.into_iter().map(|failure| failure.notice).collect(),
        };
        let check = |finding: Finding| Check {
            name: finding.name,
            outcome: finding.verdict,
            message: finding.notice.message,
            remedy: finding.remedy,
        };
        (Self { summary, checks: findings.into_iter().map(check).collect() }, kind)
    }
}

/// A configuration that cannot be used stops a run before anything else; the rest is as for a run that published
/// nothing.
fn decisive(failures: &[Failure]) -> Option<ErrorKind> {
    let configuration = failures.iter().map(|failure| failure.kind).find(|kind| *kind == ErrorKind::Configuration);
    configuration.or_else(|| judge(failures, 0).1)
}

/// The checklist, then what it amounts to.
pub(super) fn render(document: &CheckDocument) -> String {
    let mut text = String::new();
    let width = document.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in document.checks.iter().filter(|check| check.outcome != Verdict::Skipped) {
        let label = label(check.outcome);
        line(&mut text, &format!("{label:<8} {:<width$}  {}", check.name, check.message));
        if let Some(remedy) = &check.remedy {
            line(&mut text, &format!("{:<8} {:<width$}  -> {remedy}", "", ""));
        }
    }
    for (reason, names) in skipped(document) {
        line(&mut text, &format!("{:<8} {}: {reason}", label(Verdict::Skipped), names.join(", ")));
    }
    let calls = document.summary.calls;
    let (problems, warnings) = (document.summary.errors.len(), document.summary.warnings.len());
    let verdict = match (problems, warnings) {
        (0, 0) => "everything is in place: `criteo-source pull` can be scheduled".to_owned(),
        (0, _) => format!("{}: `criteo-source pull` can be scheduled", count(warnings, "warning")),
        (_, 0) => count(problems, "problem"),
        _ => format!("{}, {}", count(problems, "problem"), count(warnings, "warning")),
    };
    let (report, default, token) = (calls.report, calls.default, calls.token);
    line(&mut text, &format!("{verdict} ({report} report calls, {default} other calls, {token} token calls)"));
    text
}

fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
        Verdict::Skipped => "skipped",
    }
}

/// Checks that were skipped, by reason, in the order of the list.
fn skipped(document: &CheckDocument) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in document.checks.iter().filter(|check| check.outcome == Verdict::Skipped) {
        match reasons.iter_mut().find(|(reason, _)| *reason == check.message) {
            Some((_, names)) => names.push(&check.name),
            None => reasons.push((&check.message, vec![&check.name])),
        }
    }
    reasons
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes any text");
}
