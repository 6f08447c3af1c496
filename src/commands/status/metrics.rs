//! `status --metrics-file`: what is there, in numbers for Prometheus.

use std::path::PathBuf;

use chrono::{NaiveDate, NaiveTime};

use super::Status;
use super::coverage::DayState;
use crate::commands::metrics::MetricsFile;
use crate::error::Error;
use crate::ledger::RunOutcome;
use crate::metrics::Metric;
use crate::notice::Notice;

const COMPLETE: Metric = Metric {
    name: "criteo_source_job_complete",
    help: "1 if the newest day, or today's snapshot, of every table of the job is there, otherwise 0.",
};
const PROBLEMS: Metric =
    Metric { name: "criteo_source_problems", help: "What keeps the output from being complete, counted." };
const LAST_RUN: Metric = Metric {
    name: "criteo_source_last_run_end_timestamp_seconds",
    help: "When the last pull or backfill ended, in seconds since 1970.",
};
const LAST_SUCCESS: Metric = Metric {
    name: "criteo_source_last_success_timestamp_seconds",
    help: "When the last pull or backfill without errors ended, in seconds since 1970.",
};
const DAYS: Metric = Metric { name: "criteo_source_stored_days", help: "Days or snapshots of the table by state." };
const NEWEST: Metric = Metric {
    name: "criteo_source_stored_newest_day_timestamp_seconds",
    help: "Midnight UTC of the newest day or snapshot of the table, in seconds since 1970.",
};
const ROWS: Metric = Metric { name: "criteo_source_stored_rows", help: "Rows of the table in the output." };
const SIZE: Metric = Metric { name: "criteo_source_stored_size_bytes", help: "Size of the table in the output." };

/// Writes the file.
pub(super) fn write(
    status: &Status,
    exit_code: u8,
    path: &PathBuf,
    warnings: &[Notice],
    errors: &[Notice],
) -> Result<(), Error> {
    let output = status.settings.output.to_string();
    let Some(mut file) = MetricsFile::of(Some(path), "status", &output) else { return Ok(()) };
    file.ended(exit_code, status.now, warnings, errors);
    let metrics = file.metrics();
    for job in &status.health.jobs {
        metrics.count(COMPLETE, &[("job", job.job.name())], u64::from(job.is_complete));
    }
    metrics.count(PROBLEMS, &[], status.health.problems.len() as u64);
    for (metric, is_success) in [(LAST_RUN, false), (LAST_SUCCESS, true)] {
        let runs = status.ledger.runs().filter(|run| !is_success || run.outcome == RunOutcome::Ok);
        if let Some(end) = runs.filter_map(|run| run.finished_at).max() {
            metrics.count(metric, &[], u64::try_from(end.timestamp()).unwrap_or_default());
        }
    }
    for (name, covered) in &status.coverage.tables {
        let table = ("table", name.as_str());
        for (state, word) in [
            (DayState::Final, "final"),
            (DayState::Provisional, "provisional"),
            (DayState::Mismatch, "mismatch"),
            (DayState::Missing, "missing"),
        ] {
            metrics.count(DAYS, &[table, ("state", word)], covered.count(state) as u64);
        }
        metrics.count(ROWS, &[table], covered.rows());
        metrics.count(SIZE, &[table], covered.bytes());
        if let Some(day) = covered.last() {
            metrics.count(NEWEST, &[table], seconds(day));
        }
    }
    file.write()
}

fn seconds(day: NaiveDate) -> u64 {
    u64::try_from(day.and_time(NaiveTime::MIN).and_utc().timestamp()).unwrap_or_default()
}
