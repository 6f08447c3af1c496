//! Answers that lack rows: requested again, in parts, down to the end.
//!
//! Where Criteo's totals prove that rows are missing, the size of the answer is taken for a cap, and splitting goes on as at
//! the documented one. If the parts have no more rows than the whole it is none: some rows are not to be had today, and
//! nothing more is tried. Where there are no totals, what the ledger and this run know of the rows speaks against an answer.

use super::{AnsweredWindow, TablePull};
use crate::dates::DateRange;
use crate::ledger::PartitionRecord;
use crate::pull::fetch::{Pulled, RequestedWindow, WindowFailure};
use crate::pull::judge;
use crate::pull::summary::{Code, Notice};

/// Calls that the search for a lowered cap, and splitting at it, may take in one run beside one for every
/// [`ROWS_PER_REPAIR_CALL`] rows: no server cuts so low that this does not suffice, and totals that never agree must not
/// eat the quota.
const MAX_REPAIR_CALLS: u64 = 100;
const ROWS_PER_REPAIR_CALL: u64 = 20;
/// Lower and lower caps that are tried for one day.
const MAX_ROUNDS: usize = 4;

/// What repairs have cost and shown.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    calls: u64,
    rows: u64,
    /// Rows that are missing are not to be had in parts either.
    is_futile: bool,
}

impl Repairs {
    /// Adds what a repair took and brought.
    fn spend(&mut self, calls: u64, rows: u64) {
        self.calls += calls;
        self.rows += rows;
    }

    fn is_exhausted(&self) -> bool {
        self.calls > MAX_REPAIR_CALLS + self.rows / ROWS_PER_REPAIR_CALL
    }
}

impl TablePull<'_> {
    /// Whether a cap was found that is so low that splitting at it would eat the quota.
    pub(super) fn is_repair_given_up(&self) -> bool {
        self.state().repairs.is_exhausted()
    }

    /// A cap that shows itself in this run makes every further request a repair.
    pub(super) fn count_repair(&self, pulled: &Pulled) {
        if self.totals.is_some() && self.fetch.caps().newly_proven().is_some() {
            self.state().repairs.spend(pulled.calls, pulled.rows);
        }
    }

    /// One window: requested, compared with the totals or the ledger, and requested again if rows are missing.
    pub(super) async fn judged_window(&self, requested: &RequestedWindow) -> Result<AnsweredWindow, WindowFailure> {
        let pulled = self.fetch.window(requested).await?;
        self.count_repair(&pulled);
        if self.totals.is_some() && self.fetch.has_day() {
            return self.compared(requested, pulled).await;
        }
        if self.totals.is_none() {
            return self.compared_with_ledger(requested, pulled).await;
        }
        // Placements are compared in ranges, before they are published.
        Ok(AnsweredWindow::whole(requested.days, pulled))
    }

    /// Compares a window with Criteo's totals by day.
    pub(super) async fn compared(
        &self,
        requested: &RequestedWindow,
        mut pulled: Pulled,
    ) -> Result<AnsweredWindow, WindowFailure> {
        let days = requested.days;
        let answered = |pulled, differences| {
            let uncompared = self.uncompared(days);
            Ok(AnsweredWindow { differences, uncompared, ..AnsweredWindow::whole(days, pulled) })
        };
        let mut differences = self.differences(days, &pulled);
        if differences.is_empty() {
            return answered(pulled, differences);
        }
        // Criteo may have restated the days since the totals were read.
        pulled.memory = None;
        self.learn_totals(&days.days().collect()).await?;
        differences = self.differences(days, &pulled);
        if differences.is_empty() || (self.is_short(&differences) && self.state().repairs.is_futile) {
            return answered(pulled, differences);
        }
        tracing::info!(
            table = self.table.name,
            days = days.to_string(),
            "sums differ from Criteo's totals; requesting the rows again"
        );
        let calls = std::mem::take(&mut pulled).calls;
        pulled = self.fetch.window(requested).await?;
        pulled.calls += calls;
        differences = self.differences(days, &pulled);
        if self.is_short(&differences) && !self.is_repair_given_up() {
            if days.len_days() > 1 {
                self.state().repairs.spend(pulled.calls, 0);
                self.fetch.caps().assume(pulled.largest_answer);
                return Err(WindowFailure::TooManyRows(pulled.rows));
            }
            pulled = self.repaired_day(days, pulled).await?;
            differences = self.differences(days, &pulled);
        }
        answered(pulled, differences)
    }

    /// A single day whose answer is short, requested in parts until nothing is missing or the parts bring nothing more.
    async fn repaired_day(&self, day: DateRange, mut pulled: Pulled) -> Result<Pulled, WindowFailure> {
        for _ in 0..MAX_ROUNDS {
            let Pulled { calls, rows, largest_answer, .. } = std::mem::take(&mut pulled);
            self.fetch.caps().assume(largest_answer);
            pulled = match self.fetch.in_parts(day, rows).await {
                // Nothing is left to cut: the rows that there are, are judged by the totals.
                Err(WindowFailure::CannotSplit(_)) => self.fetch.whole(day, None).await?,
                parts => parts?,
            };
            self.state().repairs.spend(pulled.calls, pulled.rows);
            pulled.calls += calls;
            let is_short = self.is_short(&self.differences(day, &pulled));
            if pulled.rows > rows {
                self.fetch.caps().prove(largest_answer);
            } else if is_short {
                self.fetch.caps().withdraw();
                self.state().repairs.is_futile = true;
            }
            if !is_short || pulled.rows <= rows || self.is_repair_given_up() {
                break;
            }
        }
        Ok(pulled)
    }

    /// Judges a window without totals by what the ledger, or this run, knows of its days: one that shrinks by half or more,
    /// or whose newest days have no rows where they had, is requested again in single days before anything of it is published.
    async fn compared_with_ledger(
        &self,
        requested: &RequestedWindow,
        pulled: Pulled,
    ) -> Result<AnsweredWindow, WindowFailure> {
        let days = requested.days;
        let found: Vec<(Option<u64>, u64)> = {
            let ledger = self.run.output.ledger();
            let known = |day| ledger.partition(&self.table.name, day).map(|record| self.known_rows(record));
            let usable = days.days().filter(|day| !pulled.unusable_days.contains_key(day));
            usable.map(|day| (known(day), pulled.partitions.day(day).len() as u64)).collect()
        };
        let is_single = days.len_days() == 1;
        if judge::shrinks(&found) {
            if !is_single {
                return Err(WindowFailure::Shrunk(pulled.rows));
            }
            return self.confirmed_day(days, pulled).await;
        }
        if !is_single && judge::may_be_cut(&found, pulled.rows, requested.expected_rows) {
            return self.confirmed_by_half(days, pulled).await;
        }
        Ok(AnsweredWindow::whole(days, pulled))
    }

    /// Rows that a record says there should be; none where it has rows of advertisers that are not requested now.
    pub(super) fn known_rows(&self, record: &PartitionRecord) -> u64 {
        let requested = self.advertisers();
        let covers = |ids: &[String]| ids.iter().all(|id| requested.contains(id));
        let is_covered = match &record.advertisers {
            Some(advertisers) => covers(advertisers) && covers(&record.retained_advertisers),
            None => !self.fetch.is_for_some() && self.run.settings.advertisers.is_empty(),
        };
        if is_covered { record.rows } else { 0 }
    }

    /// A day that has shrunk by half or more: its parts must say the same.
    async fn confirmed_day(&self, day: DateRange, mut pulled: Pulled) -> Result<AnsweredWindow, WindowFailure> {
        let Pulled { rows, calls, .. } = pulled;
        pulled.memory = None;
        match self.fetch.in_parts(day, rows).await {
            Err(WindowFailure::CannotSplit(_)) => {}
            Err(failure) => return Err(failure),
            Ok(parts) if parts.rows > rows => {
                self.fetch.caps().prove(rows);
                pulled = Pulled { calls: parts.calls + calls, ..parts };
            }
            Ok(parts) => {
                pulled.calls += parts.calls;
                let message = format!(
                    "Criteo now sends {rows} rows, less than half of what it sent before; the day was requested in parts as \
                     well, with the same result"
                );
                let notice = Notice::new(Code::RowsShrank, message).table(&self.table.name).days(day);
                self.run.journal.warn(notice);
            }
        }
        Ok(AnsweredWindow::whole(day, pulled))
    }

    /// A window that has fewer rows than expected: its newer half, requested alone, tells whether the whole was cut.
    async fn confirmed_by_half(&self, days: DateRange, mut pulled: Pulled) -> Result<AnsweredWindow, WindowFailure> {
        pulled.memory = None;
        let Some((_, newer)) = days.split_in_half() else { return Err(WindowFailure::TooManyRows(pulled.rows)) };
        let half = match self.fetch.whole(newer, None).await {
            Ok(half) => half,
            // The half looks cut itself, which its parts will tell.
            Err(WindowFailure::TooManyRows(_)) => return Err(WindowFailure::TooManyRows(pulled.rows)),
            Err(failure) => return Err(failure),
        };
        let before: usize = newer.days().map(|day| pulled.partitions.day(day).len()).sum();
        if half.rows > before as u64 {
            self.fetch.caps().prove(pulled.largest_answer);
            return Err(WindowFailure::TooManyRows(pulled.rows));
        }
        pulled.calls += half.calls;
        Ok(AnsweredWindow::whole(days, pulled))
    }

    /// A cap that this run has proven is remembered; one that it refuted is forgotten.
    pub(super) async fn remember_cap(&self) {
        let (proven, was_lifted) = {
            let caps = self.fetch.caps();
            (caps.newly_proven(), caps.was_lifted())
        };
        if let Some(rows) = proven {
            let message = format!(
                "Criteo cuts the responses for `{}` at {rows} rows, which is not documented; smaller parts were requested",
                self.table.name
            );
            self.run.journal.warn(Notice::new(Code::RowCapLowered, message).table(&self.table.name));
        }
        if proven.is_none() && !was_lifted {
            return;
        }
        if let Err(error) = self.run.output.set_row_cap(&self.table.name, proven).await {
            self.run.journal.fail(error.notice().table(&self.table.name));
        }
    }
}
