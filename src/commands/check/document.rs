//! What was found, for people and as the one JSON document, which has the shape of a run's summary.

use std::fmt::Write;

use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::clock::Clock;
use crate::commands::output;
use crate::criteo::{Connection, Usage};
use crate::document::Document;
use crate::notice::{ErrorKind, Notice, judge};
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
    let kind = deciding(&errors);
    Document { kind, ..document.ended(errors, 0) }
}

/// What decides the exit code. A warehouse concerns loads only: it decides where nothing else is wrong.
fn deciding(errors: &[Notice]) -> Option<ErrorKind> {
    let others: Vec<Notice> =
        errors.iter().filter(|error| error.code.kind() != ErrorKind::Warehouse).cloned().collect();
    judge(if others.is_empty() { errors } else { &others }, 0).1
}

/// What all findings amount to: every problem and warning with its remedy, then a verdict.
pub(super) fn render(document: &CheckDocument) -> String {
    let mut text = String::from("\n");
    output::notices(&mut text, "warning", &document.warnings);
    output::notices(&mut text, "error", &document.errors);
    let calls = document.calls;
    let (problems, warnings) = (document.errors.len(), document.warnings.len());
    let verdict = match (problems, warnings) {
        (0, 0) => "everything is in place: `criteo-source pull` can be scheduled".to_owned(),
        (0, _) => format!("{}: `criteo-source pull` can be scheduled", count(warnings, "warning")),
        (_, 0) => count(problems, "problem"),
        _ => format!("{}, {}", count(problems, "problem"), count(warnings, "warning")),
    };
    let (report, default, token) = (calls.report, calls.default, calls.token);
    writeln!(text, "{verdict} ({report} report calls, {default} other calls, {token} token calls)")
        .expect("a string takes any text");
    text
}

/// How many of something, in words.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Code;

    #[test]
    fn a_warehouse_decides_the_exit_code_only_where_nothing_else_is_wrong() {
        for (codes, exit) in [
            (&[][..], None),
            (&[Code::WarehouseRefused], Some(8)),
            (&[Code::WarehouseRefused, Code::ScopeMissing], Some(3)),
            (&[Code::LoadDriverMissing, Code::SettingRejected], Some(2)),
            (&[Code::WarehouseUnavailable, Code::OutputFailed, Code::ScopeMissing], Some(6)),
        ] {
            let errors: Vec<Notice> = codes.iter().map(|code| Notice::new(*code, "")).collect();
            assert_eq!(deciding(&errors).map(ErrorKind::exit_code), exit, "{codes:?}");
        }
    }
}
