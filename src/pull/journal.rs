//! What happened in a run: what failed, what to warn of, and what was done for each table.
//!
//! Entries are logged as they are made and kept for the summary. It does not judge what they mean for the exit code; see
//! [`crate::notice::judge`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::summary::{Notice, TableSummary};
use crate::catalog::Table;
use crate::clock::Clock;
use crate::criteo::FetchError;
use crate::dates::DateRange;
use crate::logging::NOTICES;
use crate::progress::{self, Progress};

/// The journal of one run.
#[derive(Debug)]
pub(super) struct Journal {
    progress: Progress,
    entries: Mutex<Entries>,
}

/// Everything in a journal so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// What was done, by table.
    pub tables: BTreeMap<String, TableSummary>,
    /// What is missing from what was to be published.
    pub errors: Vec<Notice>,
    /// What a person should know.
    pub warnings: Vec<Notice>,
    /// Partitions that an earlier run of the same backfill had published.
    pub resumed_partitions: u64,
}

impl Journal {
    /// Nothing happened yet.
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress, entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub(super) fn entries(&self) -> Entries {
        self.lock().clone()
    }

    /// Something is missing from what was to be published.
    pub(super) fn fail(&self, notice: Notice) {
        let Notice { code, table, advertiser_id, trace_id, message, .. } = &notice;
        let days = notice.range().map(|days| days.to_string());
        tracing::error!(target: NOTICES, %code, table, days, advertiser_id, trace_id, "{message}");
        self.lock().errors.push(notice);
    }

    /// A call for `table` failed for good; `days` were not refreshed.
    pub(super) fn fail_fetch(&self, table: &Table, days: Option<DateRange>, error: &FetchError) {
        let mut notice = error.notice().table(&table.name);
        if let Some(days) = days {
            notice = notice.days(days);
        }
        self.fail(notice);
    }

    /// Something a person should know; the same notice is kept once.
    pub(super) fn warn(&self, notice: Notice) {
        let mut entries = self.lock();
        if entries.warnings.contains(&notice) {
            return;
        }
        let Notice { code, table, advertiser_id, trace_id, message, .. } = &notice;
        let days = notice.range().map(|days| days.to_string());
        tracing::warn!(target: NOTICES, %code, table, days, advertiser_id, trace_id, "{message}");
        entries.warnings.push(notice);
    }

    /// So many partitions are planned; `calls` tells the calls, made and planned, whenever asked.
    pub(super) fn begin(
        &self,
        clock: &Clock,
        partitions: u64,
        calls: impl Fn() -> Vec<progress::Calls> + Send + Sync + 'static,
    ) {
        self.progress.begin(clock, partitions, calls);
    }

    /// Adds to what was done for a table.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes it for this call")]
    pub(super) fn count(&self, table: &str, done: TableSummary) {
        let mut entries = self.lock();
        let summary = entries.tables.entry(table.to_owned()).or_default();
        summary.partitions += done.partitions;
        summary.rows += done.rows;
        summary.bytes += done.bytes;
        summary.calls += done.calls;
        summary.capped_calls += done.capped_calls;
    }

    /// So many partitions are done, for whoever watches; what is counted is what the output has published.
    pub(super) fn show_published(&self, partitions: u64, rows: u64) {
        self.progress.published(partitions, rows);
    }

    /// Partitions that an earlier run of the same backfill had published.
    pub(super) fn count_resumed(&self, partitions: u64) {
        self.lock().resumed_partitions += partitions;
    }

    /// Nothing more is going to happen; the progress bar goes away.
    pub(super) fn finish(&self) {
        self.progress.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Code;

    #[test]
    fn the_same_warning_is_kept_once_and_counts_add_up() {
        let journal = Journal::new(Progress::new(false));
        journal.warn(Notice::new(Code::RowsKept, "x").table("campaigns"));
        journal.warn(Notice::new(Code::RowsKept, "x").table("campaigns"));
        journal.warn(Notice::new(Code::RowsKept, "x").table("ad_sets"));
        journal.count("ads", TableSummary { rows: 2, calls: 1, ..TableSummary::default() });
        journal.count("ads", TableSummary { rows: 3, partitions: 1, ..TableSummary::default() });
        let entries = journal.entries();
        assert_eq!(entries.warnings.len(), 2);
        let expected = TableSummary { rows: 5, calls: 1, partitions: 1, ..TableSummary::default() };
        assert_eq!(entries.tables["ads"], expected);
    }
}
