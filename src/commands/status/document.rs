//! The one JSON document of `status`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;

use super::Status;
use super::coverage::{DayState, TableCoverage};
use super::health::reconciliation;
use super::history::{Change, Selection};
use crate::cli::StatusArguments;
use crate::document::Document;
use crate::ledger::{Difference, PartitionRecord, Reconciliation, RunRecord};
use crate::notice::{Code, Notice};
use crate::recover::{Rebuilt, Verification};

/// Runs in the document.
const MAX_RUNS: usize = 50;

/// What only this document has.
#[derive(Serialize)]
pub(super) struct StatusMembers<'s> {
    as_of: NaiveDate,
    runs: Vec<&'s RunRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<&'s Rebuilt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<&'s Verification>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Change>>,
    jobs: BTreeMap<&'static str, JobStatus<'s>>,
    problems: &'s [String],
}

/// Whether a job's newest data is there.
#[derive(Serialize)]
pub(super) struct JobStatus<'s> {
    is_complete: bool,
    summary: &'s str,
}

#[derive(Serialize)]
pub(super) struct TableStatus<'s> {
    kind: &'static str,
    is_pulled: bool,
    first: Option<NaiveDate>,
    last: Option<NaiveDate>,
    partitions: usize,
    rows: u64,
    bytes: u64,
    calls: u64,
    #[serde(rename = "final")]
    final_: usize,
    provisional: usize,
    mismatch: usize,
    missing: BTreeSet<NaiveDate>,
    outdated: BTreeSet<NaiveDate>,
    due: &'s BTreeSet<NaiveDate>,
    /// Days by how their sums compare with Criteo's totals.
    reconciliation: BTreeMap<&'static str, usize>,
    mismatches: Vec<Mismatch<'s>>,
    without_advertisers: Vec<LeftOut<'s>>,
}

#[derive(Serialize)]
struct Mismatch<'s> {
    date: NaiveDate,
    differences: &'s [Difference],
}

#[derive(Serialize)]
struct LeftOut<'s> {
    date: NaiveDate,
    advertisers: &'s [String],
}

impl<'s> TableStatus<'s> {
    fn of(name: &str, covered: &'s TableCoverage, status: &Status) -> Self {
        let records = &covered.records;
        Self {
            kind: if covered.is_snapshot { "snapshot" } else { "report" },
            is_pulled: covered.is_pulled,
            first: covered.first(),
            last: covered.last(),
            partitions: records.len(),
            rows: covered.rows(),
            bytes: covered.bytes(),
            calls: 0,
            final_: covered.count(DayState::Final),
            provisional: covered.count(DayState::Provisional),
            mismatch: covered.count(DayState::Mismatch),
            missing: covered.missing(),
            outdated: covered.outdated.clone(),
            due: &covered.due,
            reconciliation: if covered.is_snapshot { BTreeMap::new() } else { reconciliations(name, covered, status) },
            mismatches: mismatched(records)
                .map(|record| Mismatch { date: record.date, differences: &record.differences })
                .collect(),
            without_advertisers: records
                .iter()
                .filter(|record| !record.without_advertisers.is_empty())
                .map(|record| LeftOut { date: record.date, advertisers: &record.without_advertisers })
                .collect(),
        }
    }
}

fn reconciliations(name: &str, covered: &TableCoverage, status: &Status) -> BTreeMap<&'static str, usize> {
    let table = status.tables.iter().find(|table| table.name == name);
    let mut counts = BTreeMap::new();
    for record in &covered.records {
        let word = reconciliation(table, record).map_or("unknown", Reconciliation::name);
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

/// Records whose sums are not Criteo's totals.
pub(super) fn mismatched(records: &[PartitionRecord]) -> impl Iterator<Item = &PartitionRecord> {
    records.iter().filter(|record| DayState::from(record.status) == DayState::Mismatch)
}

/// Puts everything together.
pub(super) fn of<'s>(status: &'s Status, arguments: &StatusArguments) -> Document<TableStatus<'s>, StatusMembers<'s>> {
    let history = Selection::of(&arguments.history).map(|selection| {
        let records = status.coverage.tables.values().flat_map(|covered| &covered.records);
        selection.changed(records).into_iter().flat_map(|(_, changes)| changes.into_iter().rev()).collect()
    });
    let jobs = status.health.jobs.iter();
    let jobs = jobs.map(|job| (job.job.name(), JobStatus { is_complete: job.is_complete, summary: &job.sentence }));
    let members = StatusMembers {
        as_of: status.settings.as_of,
        runs: status.ledger.runs().rev().take(MAX_RUNS).collect(),
        rebuilt: status.rebuilt.as_ref(),
        verification: status.verification.as_ref(),
        history,
        jobs: jobs.collect(),
        problems: &status.health.problems,
    };
    let tables = status.coverage.tables.iter();
    let document = Document {
        output: Some(status.settings.output.to_string()),
        tables: tables.map(|(name, covered)| (name.clone(), TableStatus::of(name, covered, status))).collect(),
        warnings: status.warnings.clone(),
        ..Document::new(&status.run_id, "status", members)
    };
    let partitions = status.coverage.tables.values().map(|covered| covered.records.len() as u64).sum();
    document.ended(errors(status), partitions)
}

/// What makes the exit code other than 0.
fn errors(status: &Status) -> Vec<Notice> {
    let findings = status.verification.iter().flat_map(|verification| &verification.findings).map(|finding| {
        let notice = Notice::new(Code::VerificationFailed, format!("`{}`: {}", finding.path, finding.message));
        Notice { table: finding.table.clone(), date: finding.date, ..notice }
    });
    let dropped = status.rebuilt.iter().flat_map(|rebuilt| &rebuilt.dropped).filter(|dropped| dropped.is_loss);
    let dropped = dropped
        .map(|dropped| Notice::new(Code::PartitionNotRebuilt, format!("`{}`: {}", dropped.path, dropped.message)));
    let problems = status.is_checked.then_some(&status.health.problems).into_iter().flatten();
    let problems = problems.map(|problem| Notice::new(Code::NotComplete, problem.clone()));
    dropped.chain(findings).chain(problems).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ledger::example;

    pub(in super::super) fn record(
        table: &str,
        date: &str,
        edit: impl FnOnce(&mut PartitionRecord),
    ) -> PartitionRecord {
        let mut record = example(serde_json::json!({"table": table, "date": date}));
        edit(&mut record);
        record
    }
}
