//! What a run did, for people and for machines: the one JSON document of `--format json`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use crate::criteo::Calls;
use crate::error::ErrorKind;
use crate::redaction::redact;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything planned is published.
    Ok,
    /// Some of it.
    Partial,
    /// None of it.
    Failed,
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Stable identifier, for alerts.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// Table, where it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Day, or first day of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Last day of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_date: Option<NaiveDate>,
    /// Advertiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertiser_id: Option<String>,
    /// Criteo's identifier of the request, for their support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Notice {
    /// A notice about the whole run; it will be printed and recorded, so no secret that a server said stays in it.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: redact(&message.into()).into_owned(),
            table: None,
            date: None,
            to_date: None,
            advertiser_id: None,
            trace_id: None,
        }
    }

    /// About one table.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.table = Some(table.to_owned());
        self
    }

    /// About these days, both included.
    #[must_use]
    pub fn days(mut self, days: crate::dates::DateRange) -> Self {
        self.date = Some(days.from());
        self.to_date = (days.to() != days.from()).then_some(days.to());
        self
    }

    /// About one advertiser.
    #[must_use]
    pub fn advertiser(mut self, advertiser_id: &str) -> Self {
        self.advertiser_id = Some(advertiser_id.to_owned());
        self
    }

    /// With Criteo's trace identifier.
    #[must_use]
    pub fn trace(mut self, trace_id: Option<&str>) -> Self {
        self.trace_id = trace_id.map(str::to_owned);
        self
    }
}

/// An error of a run, with what decides the exit code.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it means for the exit code.
    pub kind: ErrorKind,
    /// What people read.
    pub notice: Notice,
}

/// What was written for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// Partitions published.
    pub partitions: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Calls made for them, repeats included only where a window had to be split.
    pub calls: u64,
    /// Those of them whose answers had as many rows as Criteo sends at most, and were thrown away.
    pub capped_calls: u64,
}

/// The document.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Identifier of the run.
    pub run_id: String,
    /// `demo`, `pull`, `backfill`, …
    pub command: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// By table.
    pub tables: BTreeMap<String, TableSummary>,
    /// By quota class.
    pub calls: Calls,
    /// What the plan had said; `None` where nothing was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_calls: Option<Calls>,
    /// Requests that were repeated.
    pub retries: u64,
    /// Seconds waited for quotas and between retries, added over concurrent requests.
    pub waited_secs: f64,
    /// Seconds from start to end.
    pub elapsed_secs: f64,
    /// Partitions that an earlier run of the same backfill had published and that were not fetched again.
    pub resumed_partitions: u64,
    /// Nothing is wrong yet.
    pub warnings: Vec<Notice>,
    /// Something is missing.
    pub errors: Vec<Notice>,
}

impl Summary {
    /// A run that failed before it could do anything.
    pub fn failed(run_id: &str, command: &str, errors: Vec<Notice>) -> Self {
        Self {
            run_id: run_id.to_owned(),
            command: command.to_owned(),
            outcome: Outcome::Failed,
            output: None,
            tables: BTreeMap::new(),
            calls: Calls::default(),
            planned_calls: None,
            retries: 0,
            waited_secs: 0.0,
            elapsed_secs: 0.0,
            resumed_partitions: 0,
            warnings: Vec::new(),
            errors,
        }
    }
}

/// What the failures of a run amount to: how it ended, and the kind that decides the exit code.
///
/// Output that cannot be written, a passed deadline and a signal concern everything that was still to come, so they
/// decide. Otherwise, where something was published, the rest is "partial"; where nothing was, a refusal says most,
/// then an outage.
pub fn judge(failures: &[Failure], published: u64) -> (Outcome, Option<ErrorKind>) {
    if failures.is_empty() {
        return (Outcome::Ok, None);
    }
    let first_of =
        |kinds: &[ErrorKind]| kinds.iter().copied().find(|kind| failures.iter().any(|failure| failure.kind == *kind));
    let decisive = first_of(&[ErrorKind::Output, ErrorKind::Interrupted, ErrorKind::Throttled]);
    let telling = || first_of(&[ErrorKind::Credentials, ErrorKind::Consent, ErrorKind::Scope, ErrorKind::Unavailable]);
    let outcome = if published > 0 { Outcome::Partial } else { Outcome::Failed };
    let kind = decisive.or_else(|| if published > 0 { None } else { telling() }).unwrap_or(ErrorKind::Partial);
    (outcome, Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(kinds: &[ErrorKind]) -> Vec<Failure> {
        kinds.iter().map(|&kind| Failure { kind, notice: Notice::new(kind.code(), "") }).collect()
    }

    #[test]
    fn the_exit_code_follows_from_what_failed_and_whether_anything_was_published() {
        for (kinds, published, expected) in [
            (&[][..], 0, None),
            (&[ErrorKind::Consent], 5, Some(ErrorKind::Partial)),
            (&[ErrorKind::Consent], 0, Some(ErrorKind::Consent)),
            (&[ErrorKind::Unavailable, ErrorKind::Scope], 0, Some(ErrorKind::Scope)),
            (&[ErrorKind::Unavailable], 0, Some(ErrorKind::Unavailable)),
            (&[ErrorKind::Unavailable], 1, Some(ErrorKind::Partial)),
            (&[ErrorKind::Throttled], 1, Some(ErrorKind::Throttled)),
            (&[ErrorKind::Partial, ErrorKind::Output], 1, Some(ErrorKind::Output)),
        ] {
            assert_eq!(judge(&failures(kinds), published).1, expected, "{kinds:?} {published}");
        }
    }
}
