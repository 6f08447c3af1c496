//! What becomes of a window: learned from, cut smaller, narrowed to the part that is refused, or given up.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{Answer, TablePull};
use crate::catalog::DateFilter;
use crate::criteo::{FetchError, FetchErrorKind};
use crate::dates::{DateRange, contiguous_ranges};
use crate::pull::density::RowCounts;
use crate::pull::fetch::WindowFailure;
use crate::pull::plan::WindowQueue;
use crate::pull::summary::{Code, Notice, TableSummary};

/// Single days that Criteo may refuse before what else it refuses is no longer narrowed down.
const MAX_REFUSED_DAYS: usize = 2;

/// Whether Criteo is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowOutcome {
    /// An answer or a refusal came.
    Answered,
    /// None came.
    NoAnswer,
    /// The run was told to stop.
    Cancelled,
}

impl TablePull<'_> {
    /// Learns from a window, or puts it back.
    pub(super) async fn settle(
        &self,
        queue: &mut WindowQueue,
        window: DateRange,
        outcome: Result<Answer, WindowFailure>,
    ) -> WindowOutcome {
        match outcome {
            Ok(answer) => {
                self.state().answered += 1;
                self.learn(queue, window, answer).await;
                WindowOutcome::Answered
            }
            Err(WindowFailure::Cancelled) => WindowOutcome::Cancelled,
            Err(failure) => self.settle_failure(queue, window, failure),
        }
    }

    async fn learn(&self, queue: &mut WindowQueue, window: DateRange, answer: Answer) {
        let learn = |queue: &mut WindowQueue, counts: &RowCounts| queue.learn(window, counts);
        match answer {
            Answer::FromNobody => {}
            Answer::Published(counts) => learn(queue, &counts),
            Answer::Unjudged(counts, answered) => {
                learn(queue, &counts);
                self.compare_with_shrunk(window, answered.pulled.rows);
                self.publish_or_hold(answered).await;
            }
        }
        if self.fetch.caps().newly_proven().is_some()
            && let Some(cap) = self.proven_cap()
        {
            queue.lower_cap(cap);
        }
        self.reconsider(queue);
    }

    /// If the days of a window that had shrunk have more rows than it had, it was cut.
    fn compare_with_shrunk(&self, window: DateRange, rows: u64) {
        let mut cut_at = None;
        for (shrunk, had, alone) in &mut self.state().shrunk {
            if shrunk.contains(window.from()) && shrunk.contains(window.to()) {
                *alone += rows;
                cut_at = cut_at.max((*alone > *had).then_some(*had));
            }
        }
        if let Some(cap) = cut_at {
            self.fetch.caps().prove(cap);
        }
    }

    pub(super) fn proven_cap(&self) -> Option<u64> {
        self.fetch.caps().proven()
    }

    fn settle_failure(&self, queue: &mut WindowQueue, window: DateRange, failure: WindowFailure) -> WindowOutcome {
        match failure {
            WindowFailure::TooManyRows(rows) => {
                tracing::info!(
                    table = self.table.name,
                    days = window.to_string(),
                    rows,
                    "rows are missing; requesting fewer days"
                );
                self.count(TableSummary { calls: 1, capped_calls: 1, ..TableSummary::default() });
                queue.put_back(window, Some(rows));
                if let Some(cap) = self.proven_cap() {
                    queue.lower_cap(cap);
                }
            }
            WindowFailure::Shrunk(rows) => {
                tracing::warn!(
                    table = self.table.name,
                    days = window.to_string(),
                    rows,
                    "much fewer rows than before; requesting each day"
                );
                self.count(TableSummary { calls: 1, ..TableSummary::default() });
                self.state().shrunk.push((window, rows, 0));
                queue.put_back_days(window);
            }
            WindowFailure::CannotSplit(message) => {
                let notice = Notice::new(Code::RowCap, message).table(&self.table.name).days(window);
                self.run.journal.fail(notice);
            }
            WindowFailure::Cancelled => return WindowOutcome::Cancelled,
            WindowFailure::Fetch(error) => return self.settle_error(queue, window, &error),
        }
        WindowOutcome::Answered
    }

    fn settle_error(&self, queue: &mut WindowQueue, window: DateRange, error: &FetchError) -> WindowOutcome {
        let is_range = window.len_days() > 1;
        match error.kind() {
            // Which date of a transaction a range filters is not documented. Requested on its own, a day has all its rows.
            FetchErrorKind::OtherDays if is_range && self.is_filtered_by_another_date() => {
                self.by_other_date(queue, window);
            }
            // One day that Criteo cannot answer must not take the others with it.
            FetchErrorKind::Unavailable if is_range => {
                tracing::warn!(table = self.table.name, days = window.to_string(), "no answer; requesting fewer days");
                // First a single day, of which `fetch` finds out whether one advertiser is to blame; then halves.
                let is_first = !std::mem::replace(&mut self.state().had_outage, true);
                if is_first {
                    queue.put_back_newest_first(window);
                } else {
                    queue.put_back(window, None);
                }
                return WindowOutcome::NoAnswer;
            }
            // A refusal may concern a part: a day that is too old, a range that is too long.
            kind if may_concern_days(kind) && is_range && self.state().refused_days < MAX_REFUSED_DAYS => {
                tracing::warn!(table = self.table.name, days = window.to_string(), "refused; requesting fewer days");
                self.count(TableSummary { calls: 1, ..TableSummary::default() });
                queue.put_back(window, None);
            }
            kind => {
                self.run.journal.fail_fetch(self.table, Some(window), error);
                if may_concern_days(kind) {
                    let mut state = self.state();
                    state.refused_days += 1;
                    let is_everything = state.answered == 0 && state.refused_days >= MAX_REFUSED_DAYS;
                    drop(state);
                    if is_everything {
                        self.give_up(queue);
                    }
                } else if concerns_every_window(kind) {
                    self.give_up(queue);
                }
                if kind == FetchErrorKind::Unavailable {
                    return WindowOutcome::NoAnswer;
                }
            }
        }
        WindowOutcome::Answered
    }

    fn is_filtered_by_another_date(&self) -> bool {
        self.table.report().is_some_and(|report| report.date_filter == DateFilter::Undocumented)
    }

    fn by_other_date(&self, queue: &mut WindowQueue, window: DateRange) {
        let message = "a response has transactions of days outside the requested range, so Criteo's range filters another date \
                       than the transaction's; each day is fetched on its own, and its transactions are kept under that day";
        self.run.journal.warn(Notice::new(Code::TransactionsOfOtherDays, message).table(&self.table.name).days(window));
        self.count(TableSummary { calls: 1, ..TableSummary::default() });
        queue.put_back_days(window);
    }

    /// What would fail for every other window the same way is not requested.
    fn give_up(&self, queue: &mut WindowQueue) {
        let left = queue.take_remaining();
        let message = format!("not fetched, because an earlier request for `{}` failed for good", self.table.name);
        self.not_refreshed(&left, Code::NotRefreshed, &message);
    }

    /// Everybody was refused, or had no answer; who and why has been said.
    pub(super) fn nobody_left(&self, days: &BTreeSet<NaiveDate>) {
        // The history of whoever is refused stays to be fetched.
        if self.fetch.is_scoped() {
            return;
        }
        self.not_refreshed(
            days,
            Code::NotRefreshed,
            "not refreshed, because no advertiser is left to request data for",
        );
    }

    /// Days that were not fetched when the table ended.
    pub(super) fn report_left_over(&self, left: &BTreeSet<NaiveDate>) {
        let cap = self.fetch.caps().cap().filter(|_| self.is_repair_given_up());
        let (code, reason) = if let Some((code, reason)) = self.run.stopped_because() {
            (code, reason.to_owned())
        } else if let Some(cap) = cap {
            let reason = format!(
                "Criteo cuts responses at {cap} rows, and splitting at it takes more calls than one run may use"
            );
            (Code::ShortResponse, reason)
        } else {
            (Code::ApiUnavailable, "Criteo did not answer the requests before".to_owned())
        };
        self.not_refreshed(left, code, &format!("not fetched, because {reason}"));
    }

    fn not_refreshed(&self, days: &BTreeSet<NaiveDate>, code: Code, message: &str) {
        for range in contiguous_ranges(days) {
            self.run.journal.fail(Notice::new(code, message).table(&self.table.name).days(range));
        }
    }
}

/// Whether fewer days may be answered where these were refused.
fn may_concern_days(kind: FetchErrorKind) -> bool {
    kind == FetchErrorKind::Rejected
}

fn concerns_every_window(kind: FetchErrorKind) -> bool {
    match kind {
        // Whether a 403 concerns some advertisers only, `fetch` has found out.
        FetchErrorKind::Credentials
        | FetchErrorKind::VersionRemoved
        | FetchErrorKind::DeadlinePassed
        | FetchErrorKind::Proxy
        | FetchErrorKind::ScopeRefused => true,
        FetchErrorKind::Rejected
        | FetchErrorKind::AdvertiserRefused
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Unavailable
        | FetchErrorKind::OtherDays
        | FetchErrorKind::Unreadable => false,
    }
}
