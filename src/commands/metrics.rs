//! `--metrics-file`: what a command did, in numbers for Prometheus. Which numbers there are is decided here; how they are
//! written, in [`crate::metrics`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::error::Error;
use crate::load::LoadReport;
use crate::metrics::{Metric, Metrics};
use crate::notice::{Notice, Outcome};
use crate::pull::summary::{Calls, Summary};

const RUN_SUCCESS: Metric = Metric {
    name: "criteo_source_run_success",
    help: "1 if the last run of the command ended with exit code 0, otherwise 0.",
};
const RUN_EXIT_CODE: Metric =
    Metric { name: "criteo_source_run_exit_code", help: "Exit code of the last run of the command." };
const RUN_END: Metric = Metric {
    name: "criteo_source_run_end_timestamp_seconds",
    help: "When the last run of the command ended, in seconds since 1970.",
};
const RUN_DURATION: Metric =
    Metric { name: "criteo_source_run_duration_seconds", help: "How long the last run of the command took." };
const RUN_WAIT: Metric = Metric {
    name: "criteo_source_run_wait_seconds",
    help: "Time waited for quotas and between retries, added over concurrent requests.",
};
const RUN_RETRIES: Metric = Metric { name: "criteo_source_run_retries", help: "Requests that were repeated." };
const RUN_CALLS: Metric = Metric { name: "criteo_source_run_calls", help: "Calls to Criteo by quota class." };
const RUN_WARNINGS: Metric = Metric { name: "criteo_source_run_warnings", help: "Warnings of the last run by code." };
const RUN_ERRORS: Metric = Metric { name: "criteo_source_run_errors", help: "Errors of the last run by code." };
const BUILD: Metric = Metric { name: "criteo_source_build_info", help: "Always 1; the version is a label." };
const TABLE_PARTITIONS: Metric =
    Metric { name: "criteo_source_table_partitions", help: "Partitions that the last run read, changed or not." };
const TABLE_CHANGED: Metric = Metric {
    name: "criteo_source_table_changed_partitions",
    help: "Partitions whose file the last run replaced or created.",
};
const TABLE_ROWS: Metric =
    Metric { name: "criteo_source_table_rows", help: "Rows in the partitions that the last run read." };
const TABLE_SIZE: Metric =
    Metric { name: "criteo_source_table_size_bytes", help: "Size of the partitions that the last run read." };
const TABLE_CALLS: Metric = Metric { name: "criteo_source_table_calls", help: "Calls made for the table." };
const TABLE_RECONCILED: Metric = Metric {
    name: "criteo_source_table_reconciled_partitions",
    help: "Partitions by how their sums compare with Criteo's totals.",
};
const LOAD_SUCCESS: Metric = Metric {
    name: "criteo_source_load_success",
    help: "1 if the last load into the target had no error, otherwise 0.",
};
const LOAD_DURATION: Metric =
    Metric { name: "criteo_source_load_duration_seconds", help: "How long the last load into the target took." };
const LOAD_PARTITIONS: Metric =
    Metric { name: "criteo_source_load_partitions", help: "Partitions that the last load replaced in the target." };
const LOAD_INSERTED: Metric =
    Metric { name: "criteo_source_load_inserted_rows", help: "Rows that the last load inserted into the target." };
const LOAD_DELETED: Metric =
    Metric { name: "criteo_source_load_deleted_rows", help: "Rows that the last load deleted from the target." };

/// Where the metrics of a command go, and what they have in common.
pub(super) struct MetricsFile<'f> {
    path: &'f Path,
    metrics: Metrics,
}

impl<'f> MetricsFile<'f> {
    /// For one command and output; `None` unless a file was named.
    pub(super) fn of(path: Option<&'f PathBuf>, command: &str, output: &str) -> Option<Self> {
        let mut metrics = Metrics::new(&[("command", command), ("output", output)]);
        metrics.count(BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        path.map(|path| Self { path, metrics })
    }

    /// How a command ended.
    pub(super) fn ended(&mut self, exit_code: u8, now: DateTime<Utc>, warnings: &[Notice], errors: &[Notice]) {
        self.metrics.count(RUN_SUCCESS, &[], u64::from(exit_code == 0));
        self.metrics.count(RUN_EXIT_CODE, &[], exit_code.into());
        self.metrics.count(RUN_END, &[], u64::try_from(now.timestamp()).unwrap_or_default());
        for (metric, notices) in [(RUN_WARNINGS, warnings), (RUN_ERRORS, errors)] {
            for (code, count) in by_code(notices) {
                self.metrics.count(metric, &[("code", code)], count);
            }
        }
    }

    /// What a run did.
    pub(super) fn run(&mut self, summary: &Summary) {
        let metrics = &mut self.metrics;
        metrics.add(RUN_DURATION, &[], summary.elapsed_secs);
        metrics.add(RUN_WAIT, &[], summary.waited_secs);
        metrics.count(RUN_RETRIES, &[], summary.retries);
        let Calls { report, default, token } = summary.calls;
        for (class, calls) in [("report", report), ("default", default), ("token", token)] {
            metrics.count(RUN_CALLS, &[("class", class)], calls);
        }
        for (name, table) in &summary.tables {
            let label = [("table", name.as_str())];
            for (metric, count) in [
                (TABLE_PARTITIONS, table.partitions),
                (TABLE_CHANGED, table.changed()),
                (TABLE_ROWS, table.rows),
                (TABLE_SIZE, table.bytes),
                (TABLE_CALLS, table.calls),
            ] {
                metrics.count(metric, &label, count);
            }
            for (result, count) in &table.reconciliation {
                metrics.count(TABLE_RECONCILED, &[label[0], ("result", result)], *count);
            }
        }
    }

    /// What was loaded.
    pub(super) fn loads(&mut self, reports: &[LoadReport]) {
        let metrics = &mut self.metrics;
        for report in reports {
            let target = ("target", report.target.as_str());
            metrics.count(LOAD_SUCCESS, &[target], u64::from(report.outcome == Outcome::Ok));
            metrics.add(LOAD_DURATION, &[target], report.seconds);
            for (name, table) in &report.tables {
                let labels = [target, ("table", name.as_str())];
                metrics.count(LOAD_PARTITIONS, &labels, table.partitions);
                metrics.count(LOAD_INSERTED, &labels, table.rows_inserted);
                metrics.count(LOAD_DELETED, &labels, table.rows_deleted);
            }
        }
    }

    /// More samples, of whoever knows them.
    pub(super) fn metrics(&mut self) -> &mut Metrics {
        &mut self.metrics
    }

    /// Writes the file. Monitoring that goes by an old one would say that all is well.
    pub(super) fn write(self) -> Result<(), Error> {
        let message = || format!("failed to write the metrics to `{}`", self.path.display());
        let remedy = "let `--metrics-file` name a file in a folder that the user of this program may write to";
        self.metrics.write(self.path).map_err(|error| Error::output(message(), error).with_remedy(remedy))
    }
}

/// The metrics of a command that ended before it could say anything itself.
pub(super) fn of_error(path: Option<&PathBuf>, command: &str, error: &Error) -> Result<(), Error> {
    let Some(mut file) = MetricsFile::of(path, command, "") else { return Ok(()) };
    file.ended(error.exit_code(), Utc::now(), &[], &error.notices());
    file.write()
}

fn by_code(notices: &[Notice]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for notice in notices {
        *counts.entry(notice.code.name()).or_insert(0) += 1;
    }
    counts
}
