//! The analytics job: report tables, day by day, complete or not at all.
//!
//! Criteo's totals by day and advertiser are read first: they tell which days have any rows, which shapes the windows, and
//! what the sums must be (`totals`). Days are handed out in windows sized from what is known of their rows. A response at the
//! row cap is never accepted: a window of several days comes back and is cut smaller; a single day is requested in parts (see
//! [`super::fetch`]). What was pulled is compared with Criteo's own totals, or with the ledger where there are none, before
//! it is published; rows that are missing are requested again, down to the end (`repair`). What cannot be judged yet is held
//! back (`held`). An answer that is still short never replaces a more complete file.

mod held;
mod repair;
mod settle;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::context::Run;
use super::density::{Density, RowCounts};
use super::fetch::{Pulled, ReportFetch, RequestedWindow, WindowFailure};
use super::judge;
use super::plan::WindowQueue;
use super::planner::PlannedTable;
use super::publish::{PulledDays, publish_days};
use super::reconcile::{Totals, TotalsQuery};
use super::summary::{Code, Notice, TableSummary};
use crate::catalog::Table;
use crate::dates::{DateRange, contiguous_ranges};
use crate::ledger::{Difference, Reconciliation};
use held::HeldWindow;
use repair::Repairs;
use settle::WindowOutcome;

/// Windows of one table under way at once, before any was answered: what an outage costs in attempts.
const FIRST_WINDOWS: usize = 4;
/// Windows of one table under way at once when all goes well; the quota is shared by all tables, in the order of asking.
const MAX_WINDOWS: usize = 24;
/// Windows of one table in a row that may get no answer before the rest is left to the next run.
const MAX_OUTAGES: usize = 2;

/// Pulls days of one report table; what fails is noted in `run`.
pub async fn pull_table(run: &Run, planned: &PlannedTable) {
    let PlannedTable { table, days, advertisers } = planned;
    let days = days.clone();
    if days.is_empty() {
        return;
    }
    let Some(fetch) = ReportFetch::new(run, table, advertisers.clone()) else { return };
    let totals = TotalsQuery::new(table, &run.settings);
    let pull = TablePull { run, table, fetch, totals, state: Mutex::default() };
    pull.run(days).await;
}

/// Requests one day of one advertiser, which the last run could not have; what is still refused is excluded from this run.
pub async fn try_advertiser(run: &Run, table: &Arc<Table>, advertiser: &str) {
    let Some(yesterday) = run.settings.as_of.pred_opt() else { return };
    let query = TotalsQuery::new(table, &run.settings);
    let small = query.as_ref().map_or(table, |query| &query.table);
    if let Some(fetch) = ReportFetch::new(run, small, Some(Arc::new([advertiser.to_owned()].into()))) {
        fetch.try_alone(DateRange::single(yesterday), advertiser).await;
    }
}

struct TablePull<'r> {
    run: &'r Run,
    table: &'r Arc<Table>,
    fetch: ReportFetch<'r>,
    totals: Option<TotalsQuery>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Criteo's totals by day.
    totals: Totals,
    /// Days whose totals counted less when they were read again: one of the two responses was not whole.
    fallen_totals: BTreeSet<NaiveDate>,
    /// Windows that were answered and cannot be judged yet.
    held: Vec<HeldWindow>,
    /// Rows of the largest answer so far.
    largest_answer: u64,
    repairs: Repairs,
    /// Windows that had shrunk, with their rows and those that their days had when requested alone.
    shrunk: Vec<(DateRange, u64, u64)>,
    /// A window had no answer.
    had_outage: bool,
    /// Windows that were answered.
    answered: usize,
    /// Single days that Criteo refused.
    refused_days: usize,
}

type DifferencesByDay = BTreeMap<NaiveDate, Vec<Difference>>;

/// A window that was answered whole, as far as can be told.
struct AnsweredWindow {
    days: DateRange,
    pulled: Pulled,
    differences: DifferencesByDay,
    /// Days that should have been compared with Criteo's totals, and could not be.
    uncompared: BTreeSet<NaiveDate>,
    /// The differences were reported for the range that they were found in.
    is_reported: bool,
}

impl AnsweredWindow {
    /// Without differences.
    fn whole(days: DateRange, pulled: Pulled) -> Self {
        let (differences, uncompared) = (DifferencesByDay::new(), BTreeSet::new());
        Self { days, pulled, differences, uncompared, is_reported: false }
    }
}

/// What became of a window that was answered.
enum Answer {
    /// All advertisers were refused meanwhile.
    FromNobody,
    /// It is live.
    Published(RowCounts),
    /// Later answers decide whether it may be published.
    Unjudged(RowCounts, AnsweredWindow),
}

impl TablePull<'_> {
    async fn run(&self, days: BTreeSet<NaiveDate>) {
        if self.fetch.has_day() {
            // Stopped meanwhile, the run requests no window.
            tokio::select! {
                biased;
                () = self.run.cancellation.cancelled() => {}
                _ = self.learn_totals(&days) => {}
            }
        }
        if self.advertisers().is_empty() {
            return self.nobody_left(&days);
        }
        let mut queue = WindowQueue::new(days, self.fetch.limits(), self.density());
        if self.proven_cap().is_some() {
            queue.try_documented_cap(self.run.client.row_cap(self.table.endpoint));
        }
        let mut under_way = FuturesUnordered::new();
        let mut unfinished = BTreeSet::new();
        let (mut outages, mut answered) = (0, 0);
        loop {
            let limit = self.concurrent_windows(answered);
            while under_way.is_empty() || (under_way.len() < limit && !queue.is_probing()) {
                if self.run.cancellation.is_cancelled() || outages > MAX_OUTAGES || self.is_repair_given_up() {
                    break;
                }
                let Some(window) = queue.next_window() else { break };
                unfinished.extend(window.days());
                let (groups, expected_rows) = (queue.groups(window), queue.expected_rows(window));
                let requested = RequestedWindow { days: window, groups, expected_rows };
                under_way.push(async move { (window, self.pull_window(&requested).await) });
            }
            // What was told to stop ends by itself; what is being published is finished.
            let Some((window, outcome)) = under_way.next().await else {
                if !self.run.cancellation.is_cancelled() && self.release_held(&mut queue).await {
                    continue;
                }
                break;
            };
            unfinished.retain(|day| !window.contains(*day));
            match self.settle(&mut queue, window, outcome).await {
                WindowOutcome::Cancelled => unfinished.extend(window.days()),
                WindowOutcome::NoAnswer => (outages, answered) = (outages + 1, 0),
                WindowOutcome::Answered => (outages, answered) = (0, answered + 1),
            }
        }
        unfinished.extend(queue.take_remaining());
        let held = std::mem::take(&mut self.state().held);
        unfinished.extend(held.iter().flat_map(|held| held.window.days.days()));
        self.report_left_over(&unfinished);
        self.remember_cap().await;
    }

    /// Windows that may be under way at once: while a cap is searched for, its evidence comes first, and what a lowered cap
    /// costs is bounded.
    fn concurrent_windows(&self, answered: usize) -> usize {
        let caps = self.fetch.caps();
        if caps.is_assumed() {
            1
        } else if caps.newly_proven().is_some() {
            FIRST_WINDOWS
        } else {
            (FIRST_WINDOWS + answered).min(MAX_WINDOWS)
        }
    }

    /// Advertisers to request.
    fn advertisers(&self) -> Vec<String> {
        self.fetch.advertisers()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, done: TableSummary) {
        self.run.journal.count(&self.table.name, done);
    }

    /// What earlier runs recorded of this table's rows, and which advertisers Criteo's totals name.
    fn density(&self) -> Density {
        let mut density = Density::recorded(&self.run.output.ledger(), &self.table.name, &self.advertisers());
        if self.fetch.is_for_some() {
            density.forget_days();
        }
        if let Some(query) = self.totals.as_ref().filter(|_| self.fetch.has_day()) {
            density.learn_activity(self.state().totals.activity(query));
        }
        density
    }

    /// One window, from request to live files, or to rows that cannot be judged yet. What is being published is not
    /// cancelled.
    async fn pull_window(&self, requested: &RequestedWindow) -> Result<Answer, WindowFailure> {
        let window = tokio::select! {
            biased;
            () = self.run.cancellation.cancelled() => return Err(WindowFailure::Cancelled),
            window = self.judged_window(requested) => window?,
        };
        if self.advertisers().is_empty() {
            // Nobody has answered, which is not the same as days without rows.
            self.nobody_left(&requested.days.days().collect());
            return Ok(Answer::FromNobody);
        }
        let counts = window.pulled.counts(self.fetch.layout());
        if self.totals.is_some() && self.fetch.has_day() {
            self.publish(window).await;
            return Ok(Answer::Published(counts));
        }
        Ok(Answer::Unjudged(counts, window))
    }

    /// Publishes the days of a window, except those whose file is more complete.
    async fn publish(&self, window: AnsweredWindow) {
        let AnsweredWindow { days, pulled, mut differences, uncompared, is_reported } = window;
        let mut kept = self.more_complete_files(&pulled, &differences);
        self.report_short_answers(&kept, &differences);
        kept.extend(self.larger_files(&pulled, &uncompared));
        for (day, reason) in &pulled.unusable_days {
            let message = format!("{reason}; nothing of this day is published, the other days of the response are");
            let notice = Notice::new(Code::UnreadableResponse, message).table(&self.table.name);
            self.run.journal.fail(notice.days(DateRange::single(*day)));
            kept.insert(*day);
        }
        differences.retain(|day, _| !kept.contains(day));
        for (day, differences) in differences.iter().filter(|_| !is_reported) {
            self.report_differences(DateRange::single(*day), differences);
        }
        let Pulled { partitions, calls, capped_calls, memory, .. } = pulled;
        self.count(TableSummary { capped_calls, ..TableSummary::default() });
        let pulled_at = self.run.clock.now();
        let reconciliations = if self.totals.is_some() {
            uncompared.into_iter().map(|day| (day, Reconciliation::Unreadable)).collect()
        } else {
            days.days().map(|day| (day, Reconciliation::None)).collect()
        };
        let pulled = PulledDays { days, kept, partitions, calls, pulled_at, differences, reconciliations, memory };
        let requested = self.advertisers().into_iter().collect();
        publish_days(self.run, self.table, self.fetch.layout(), requested, pulled).await;
    }

    /// Days whose response Criteo's totals do not confirm, in either direction, and whose file must not be replaced by it.
    fn more_complete_files(&self, pulled: &Pulled, differences: &DifferencesByDay) -> BTreeSet<NaiveDate> {
        let Some(query) = &self.totals else { return BTreeSet::new() };
        let is_exact = |column: &str| query.is_exact(column);
        let ledger = self.run.output.ledger();
        let stays = |(day, differences): &(&NaiveDate, &Vec<Difference>)| {
            let Some(before) = ledger.partition(&self.table.name, **day) else { return false };
            let rows = pulled.partitions.day(**day).len() as u64;
            // Whichever of the two is short: counts that differ say that one of Criteo's answers is not whole.
            let is_unconfirmed = differences.iter().any(|difference| is_exact(&difference.column));
            (is_unconfirmed || rows < self.known_rows(before))
                && ledger.is_live(before)
                && !judge::may_replace_although_short(before, rows, differences, is_exact)
        };
        differences.iter().filter(stays).map(|(day, _)| *day).collect()
    }

    /// Days that could not be compared, and whose file has more rows: nothing says that the response is whole.
    fn larger_files(&self, pulled: &Pulled, uncompared: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
        let mut larger = BTreeSet::new();
        for &day in uncompared.iter().filter(|day| !pulled.unusable_days.contains_key(day)) {
            let ledger = self.run.output.ledger();
            let Some(before) = ledger.partition(&self.table.name, day) else { continue };
            let (rows, known) = (pulled.partitions.day(day).len() as u64, self.known_rows(before));
            if rows >= known || !ledger.is_live(before) {
                continue;
            }
            drop(ledger);
            let message = format!(
                "Criteo sent {rows} rows where the file has {known}, and its totals could not be read to say which is right; \
                 the file stays as it was"
            );
            let notice = Notice::new(Code::ShortResponse, message).table(&self.table.name);
            self.run.journal.fail(notice.days(DateRange::single(day)));
            larger.insert(day);
        }
        larger
    }

    fn report_short_answers(&self, kept: &BTreeSet<NaiveDate>, differences: &DifferencesByDay) {
        for range in contiguous_ranges(kept) {
            let Some(first) = range.days().find_map(|day| differences.get(&day)?.first()) else { continue };
            let message = format!(
                "Criteo's response does not have what Criteo's own totals count: {first}; the files stay as they were"
            );
            let notice = Notice::new(Code::ShortResponse, message).table(&self.table.name).days(range);
            self.run.journal.fail(notice);
        }
    }
}
