//! What an operator reads of a run that goes well: its start, a line for each table that ended, its end. Nothing is decided
//! here, and what goes wrong is logged where it does ([`super::journal`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;

use super::context::Run;
use super::planner::Plan;
use super::summary::{Calls, Summary, TableSummary, with_published};
use crate::dates::DateRange;
use crate::logging::RUN;

/// The run has a plan, and begins with it.
pub(super) fn started(run: &Run, command: &str, plan: &Plan, planned: Calls) {
    let reports: BTreeSet<&str> = plan.reports.iter().map(|planned| planned.table.name.as_str()).collect();
    let days = plan.reports.iter().flat_map(|planned| planned.days.iter().copied());
    let days = range(days).map(|days| days.to_string());
    tracing::info!(
        target: RUN,
        version = env!("CARGO_PKG_VERSION"),
        command,
        output = run.settings.output.to_string(),
        as_of = %run.settings.as_of,
        days,
        tables = reports.len() + plan.snapshots.len(),
        advertisers = run.roster.advertisers().len(),
        partitions = plan.partitions(),
        planned_report_calls = planned.report,
        planned_other_calls = planned.default,
        "run started"
    );
}

/// The tables of a plan that have not ended.
pub(super) struct TablesUnderWay(Mutex<BTreeMap<String, usize>>);

impl TablesUnderWay {
    /// All of them.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut parts = BTreeMap::new();
        let reports = plan.reports.iter().map(|planned| &planned.table);
        for table in reports.chain(&plan.snapshots) {
            *parts.entry(table.name.clone()).or_insert(0) += 1;
        }
        Self(Mutex::new(parts))
    }

    /// A part of a table ended: the days of some advertisers, or all there is. The last one ends the table.
    pub(super) fn ended(&self, run: &Run, table: &str) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = parts.get_mut(table) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            parts.remove(table);
            drop(parts);
            table_ended(run, table);
        }
    }
}

fn table_ended(run: &Run, table: &str) {
    let entries = run.journal.entries();
    let mut published = run.output.published();
    published.retain(|file| file.table == table);
    let counted: BTreeMap<String, TableSummary> =
        entries.tables.into_iter().filter(|(name, _)| name == table).collect();
    let summary = with_published(counted, published).remove(table).unwrap_or_default();
    let errors = entries.errors.iter().filter(|notice| notice.table.as_deref() == Some(table)).count();
    let days = range(summary.files.iter().map(|file| file.date)).map(|days| days.to_string());
    let TableSummary { partitions, rows, calls, .. } = summary;
    tracing::info!(target: RUN, table, days, partitions, changed = summary.changed(), rows, calls, errors, "table finished");
}

fn range(days: impl Iterator<Item = NaiveDate>) -> Option<DateRange> {
    let bounds = days.map(|day| (day, day)).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
    bounds.and_then(|(first, last)| DateRange::new(first, last))
}

/// The run has ended with this exit code.
pub fn finished(summary: &Summary, exit_code: u8) {
    let tables = || summary.tables.values();
    tracing::info!(
        target: RUN,
        command = summary.command,
        outcome = summary.outcome.name(),
        exit_code,
        partitions = tables().map(|table| table.partitions).sum::<u64>(),
        changed = tables().map(TableSummary::changed).sum::<u64>(),
        rows = tables().map(|table| table.rows).sum::<u64>(),
        report_calls = summary.calls.report,
        other_calls = summary.calls.default,
        token_calls = summary.calls.token,
        retries = summary.retries,
        warnings = summary.warnings.len(),
        errors = summary.errors.len(),
        waited_secs = rounded(summary.waited_secs),
        secs = rounded(summary.elapsed_secs),
        "run finished"
    );
}

/// To tenths of a second.
fn rounded(secs: f64) -> f64 {
    (secs * 10.0).round() / 10.0
}
