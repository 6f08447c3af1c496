//! What was found, for people and as the one JSON document, which has the shape of a run's summary.

use std::fmt::Write;

use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::clock::Clock;
use crate::criteo::{Connection, Usage};
use crate::document::Document;
use crate::notice::Notice;
use crate::settings::Settings;

/// What only this document has.
#[derive(Debug, Serialize)]
pub(super) struct CheckMembers {
    /// Every check, also those that found nothing wrong.
    pub checks: Vec<Check>,
}

/// The document.
pub(super) type CheckDocument = Document<(), CheckMembers>;

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

/// The document of what was found.
pub(super) fn of(
    run_id: &str,
    settings: &Settings,
    clock: &Clock,
    connection: Option<&Connection>,
    findings: Vec<Finding>,
) -> CheckDocument {
    let notices = |verdict: Verdict| {
        let matching = findings.iter().filter(move |finding| finding.verdict == verdict);
        matching.map(|finding| finding.notice.clone()).collect::<Vec<Notice>>()
    };
    let (warnings, errors) = (notices(Verdict::Warning), notices(Verdict::Problem));
    let Usage { retries, waited } = connection.map(Connection::usage).unwrap_or_default();
    let check = |finding: Finding| {
        let says_what_to_do = matches!(finding.verdict, Verdict::Warning | Verdict::Problem);
        let Notice { message, remedy, .. } = finding.notice;
        Check { name: finding.name, outcome: finding.verdict, message, remedy: remedy.filter(|_| says_what_to_do) }
    };
    let document = Document {
        output: Some(settings.output.to_string()),
        calls: connection.map(Connection::calls).unwrap_or_default(),
        retries,
        waited_secs: waited.as_secs_f64(),
        elapsed_secs: clock.elapsed().as_secs_f64(),
        warnings,
        ..Document::new(run_id, "check", CheckMembers { checks: findings.into_iter().map(check).collect() })
    };
    document.ended(errors, 0)
}

/// The checklist, then what it amounts to.
pub(super) fn render(document: &CheckDocument) -> String {
    let mut text = String::new();
    let width = document.members.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in document.members.checks.iter().filter(|check| check.outcome != Verdict::Skipped) {
        let label = label(check.outcome);
        line(&mut text, &format!("{label:<8} {:<width$}  {}", check.name, check.message));
        if let Some(remedy) = &check.remedy {
            line(&mut text, &format!("{:<8} {:<width$}  -> {remedy}", "", ""));
        }
    }
    for (reason, names) in skipped(document) {
        line(&mut text, &format!("{:<8} {}: {reason}", label(Verdict::Skipped), names.join(", ")));
    }
    let calls = document.calls;
    let (problems, warnings) = (document.errors.len(), document.warnings.len());
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
    for check in document.members.checks.iter().filter(|check| check.outcome == Verdict::Skipped) {
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
