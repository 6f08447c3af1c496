//! The analytics job: report tables, day by day, complete or not at all.
//!
//! Criteo's totals by day and advertiser are read first: they tell which days have any rows, which shapes the windows, and
//! what the sums must be. Days are handed out in windows sized from what is known of their rows. A response at the row cap is never
//! accepted: a window of several days comes back and is cut smaller; a single day is asked for in parts (see
//! [`super::fetch`]). What was pulled is compared with Criteo's own totals before it is published; rows that are missing
//! are asked for again, and what still differs is published as such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::context::Run;
use super::density::{Density, RowCounts};
use super::fetch::{Asked, Pulled, ReportFetch, WindowFailure};
use super::plan::WindowQueue;
use super::publish::{PulledDays, publish_days};
use super::reconcile::{Sums, Totals, TotalsQuery};
use super::summary::{Code, Notice, TableSummary};
use crate::catalog::{DateFilter, Table};
use crate::criteo::FetchErrorKind;
use crate::dates::{DateRange, contiguous_ranges};
use crate::ledger::Difference;

/// Windows of one table under way at once, before any was answered: what an outage costs in attempts.
const FIRST_WINDOWS: usize = 4;
/// Windows of one table under way at once when all goes well; the quota is shared by all tables, in the order of asking.
const MAX_WINDOWS: usize = 24;
/// Windows of one table in a row that may get no answer before the rest is left to the next run.
const MAX_OUTAGES: usize = 2;
/// Windows of one table that are asked for in smaller pieces because rows are missing, in one run: enough to heal a
/// lowered cap, few enough that totals that never agree do not eat the quota.
const MAX_SUSPECT_WINDOWS: usize = 12;

/// Pulls `days` of one report table; what fails is noted in `run`.
pub async fn pull_table(run: &Run, table: &Arc<Table>, days: BTreeSet<NaiveDate>) {
    if days.is_empty() {
        return;
    }
    let Some(fetch) = ReportFetch::new(run, table) else { return };
    let totals = TotalsQuery::new(table, &run.settings);
    let pull = TablePull { run, table, fetch, totals, state: Mutex::default() };
    pull.run(days).await;
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
    /// Criteo's totals, where the report has days.
    totals: Totals,
    /// What was published in this run, where the report has no days and only ranges can be compared.
    published: BTreeMap<NaiveDate, Sums>,
    /// Windows that were answered, with the rows of their largest answer that parts have not confirmed: a window is asked
    /// for again because of a cap once at most.
    answered: Vec<(DateRange, u64)>,
    suspects: usize,
    /// A window had no answer.
    had_outage: bool,
}

/// Whether Criteo is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Answered,
    NoAnswer,
}

type DifferencesByDay = BTreeMap<NaiveDate, Vec<Difference>>;

impl TablePull<'_> {
    async fn run(&self, days: BTreeSet<NaiveDate>) {
        if self.fetch.has_day() {
            tokio::select! {
                () = self.learn_totals(&days) => {}
                () = self.run.cancellation.cancelled() => {}
            }
        }
        if self.advertisers().is_empty() {
            return self.nobody_left(&days);
        }
        let mut queue = WindowQueue::new(days, self.fetch.limits(), self.density());
        let mut under_way = FuturesUnordered::new();
        let mut unfinished = BTreeSet::new();
        let (mut outages, mut answered) = (0, 0);
        loop {
            let limit = (FIRST_WINDOWS + answered).min(MAX_WINDOWS);
            while under_way.is_empty() || (under_way.len() < limit && !queue.is_probing()) {
                if self.run.cancellation.is_cancelled() || outages > MAX_OUTAGES {
                    break;
                }
                let Some(window) = queue.next_window() else { break };
                unfinished.extend(window.days());
                let asked =
                    Asked { days: window, groups: queue.groups(window), expected_rows: queue.expected_rows(window) };
                under_way.push(async move { (window, self.pull_window(&asked).await) });
            }
            let finished = tokio::select! {
                finished = under_way.next() => finished,
                () = self.run.cancellation.cancelled() => None,
            };
            let Some((window, outcome)) = finished else { break };
            unfinished.retain(|day| !window.contains(*day));
            match self.settle(&mut queue, window, outcome) {
                Settled::NoAnswer => (outages, answered) = (outages + 1, 0),
                Settled::Answered => (outages, answered) = (0, answered + 1),
            }
        }
        // What was under way when the run was told to stop is dropped with its requests.
        unfinished.extend(queue.take_remaining());
        self.report_left_over(&unfinished);
        if !self.fetch.has_day() {
            tokio::select! {
                () = self.compare_ranges() => {}
                () = self.run.cancellation.cancelled() => {}
            }
        }
    }

    /// Advertisers to ask for.
    fn advertisers(&self) -> Vec<String> {
        self.run.roster.advertisers_of(self.table.endpoint)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What earlier runs recorded of this table's rows, and which advertisers Criteo's totals name.
    fn density(&self) -> Density {
        let mut density = Density::recorded(&self.run.output.ledger(), &self.table.name, &self.advertisers());
        if let Some(query) = self.totals.as_ref().filter(|_| self.fetch.has_day()) {
            density.learn_activity(self.state().totals.activity(query));
        }
        density
    }

    /// One window, from request to live files; the rows it had.
    async fn pull_window(&self, asked: &Asked) -> Result<RowCounts, WindowFailure> {
        let (pulled, differences) = self.window(asked).await?;
        if self.advertisers().is_empty() {
            // Nobody has answered, which is not the same as days without rows.
            self.nobody_left(&asked.days.days().collect());
            return Ok(RowCounts::new());
        }
        let counts = pulled.counts(self.fetch.layout());
        self.publish(asked.days, pulled, differences).await;
        Ok(counts)
    }

    /// One window: asked for, compared with the totals, and asked for again if rows are missing.
    async fn window(&self, asked: &Asked) -> Result<(Pulled, DifferencesByDay), WindowFailure> {
        let days = asked.days;
        let mut pulled = self.fetch.window(asked).await?;
        let mut differences = self.differences(days, &pulled);
        if differences.is_empty() {
            return Ok((pulled, differences));
        }
        // Criteo may have restated the days since the totals were read.
        pulled.memory = None;
        self.learn_totals(&days.days().collect()).await;
        differences = self.differences(days, &pulled);
        if differences.is_empty() {
            return Ok((pulled, differences));
        }
        tracing::info!(table = %self.table.name, %days, "sums differ from Criteo's totals; asking again");
        let calls = std::mem::take(&mut pulled).calls;
        pulled = self.fetch.window(asked).await?;
        pulled.calls += calls;
        differences = self.differences(days, &pulled);
        if self.is_short(&differences) && self.may_suspect() {
            if days.len_days() > 1 {
                return Err(WindowFailure::TooManyRows(pulled.rows));
            }
            let Pulled { calls, rows, .. } = std::mem::take(&mut pulled);
            pulled = self.fetch.in_parts(days, rows).await?;
            pulled.calls += calls;
            differences = self.differences(days, &pulled);
        }
        Ok((pulled, differences))
    }

    fn may_suspect(&self) -> bool {
        let mut state = self.state();
        state.suspects += 1;
        state.suspects <= MAX_SUSPECT_WINDOWS
    }

    /// Whether a count is lower than Criteo's: rows are missing, which rounding and restatement do not explain.
    fn is_short(&self, differences: &DifferencesByDay) -> bool {
        let Some(totals) = &self.totals else { return false };
        let number = |text: &str| crate::table::numeric::parse_numeric(text).unwrap_or_default();
        differences.values().flatten().any(|difference| {
            totals.is_exact(&difference.column) && number(&difference.pulled) < number(&difference.total)
        })
    }

    fn differences(&self, days: DateRange, pulled: &Pulled) -> DifferencesByDay {
        let Some(query) = self.totals.as_ref().filter(|_| self.fetch.has_day()) else { return BTreeMap::new() };
        let state = self.state();
        let advertisers = self.advertisers();
        let mut differences = BTreeMap::new();
        for day in days.days() {
            let Some(totals) = state.totals.of(query, day) else { continue };
            let totals = totals.only(&advertisers);
            let sums = Sums::of_rows(self.fetch.layout(), pulled.partitions.day(day), &query.columns);
            let found = sums.only(&advertisers).differences(&totals, &query.columns, |column| query.is_exact(column));
            if !found.is_empty() {
                differences.insert(day, found);
            }
        }
        differences
    }

    /// Reads Criteo's totals of these days. Without totals, nothing is compared, and the run says so.
    async fn learn_totals(&self, days: &BTreeSet<NaiveDate>) {
        let Some(query) = &self.totals else { return };
        let fetch = ReportFetch::of(self.run, &query.table, &query.layout);
        // One row a day and advertiser.
        let mut queue = WindowQueue::new(days.clone(), fetch.limits(), Density::at_most(1, &self.advertisers()));
        let mut calls = 0;
        while let Some(window) = queue.next_window() {
            match fetch.whole(window, queue.expected_rows(window)).await {
                Ok(pulled) => {
                    calls += pulled.calls;
                    self.state().totals.learn(window, pulled.partitions);
                }
                Err(WindowFailure::TooManyRows(rows)) => {
                    calls += 1;
                    queue.put_back(window, Some(rows));
                }
                Err(failure) => {
                    self.not_compared(window, &failure);
                    break;
                }
            }
        }
        self.run.journal.count(&self.table.name, TableSummary { calls, ..TableSummary::default() });
    }

    fn not_compared(&self, days: DateRange, failure: &WindowFailure) {
        // What failed here fails the table's own requests too, and is reported there.
        let message = format!("Criteo's totals could not be read, so that sums are not compared: {failure}");
        self.run.journal.warn(Notice::new(Code::NotReconciled, message).table(&self.table.name).days(days));
    }

    /// Learns from a window, or puts it back.
    fn settle(&self, queue: &mut WindowQueue, window: DateRange, outcome: Result<RowCounts, WindowFailure>) -> Settled {
        match outcome {
            Ok(counts) => {
                queue.learn(window, &counts);
                self.reconsider(queue);
            }
            Err(WindowFailure::TooManyRows(rows)) => {
                tracing::info!(table = %self.table.name, %window, rows, "rows are missing; asking for fewer days");
                let wasted = TableSummary { calls: 1, capped_calls: 1, ..TableSummary::default() };
                self.run.journal.count(&self.table.name, wasted);
                queue.put_back(window, Some(rows));
            }
            Err(WindowFailure::CannotSplit(message)) => {
                self.run.journal.fail(Notice::new(Code::RowCap, message).table(&self.table.name).days(window));
            }
            // Which date of a transaction a range filters is not documented. Asked for on its own, a day has all its rows.
            Err(WindowFailure::Fetch(error))
                if error.kind() == FetchErrorKind::OtherDays
                    && self.table.report().is_some_and(|report| report.date_filter == DateFilter::Undocumented)
                    && window.len_days() > 1 =>
            {
                self.by_other_date(queue, window);
            }
            // One day that Criteo cannot answer must not take the others with it.
            Err(WindowFailure::Fetch(error))
                if error.kind() == FetchErrorKind::Unavailable && window.len_days() > 1 =>
            {
                tracing::warn!(table = %self.table.name, %window, "no answer; asking for fewer days");
                // First a single day, of which `fetch` finds out whether one advertiser is to blame; then halves.
                let is_first = !std::mem::replace(&mut self.state().had_outage, true);
                if is_first {
                    queue.put_back_newest_first(window);
                } else {
                    queue.put_back(window, None);
                }
                return Settled::NoAnswer;
            }
            Err(WindowFailure::Fetch(error)) => {
                self.run.journal.fail_fetch(self.table, Some(window), &error);
                if concerns_every_window(error.kind()) {
                    self.give_up(queue);
                }
                if error.kind() == FetchErrorKind::Unavailable {
                    return Settled::NoAnswer;
                }
            }
        }
        Settled::Answered
    }

    fn by_other_date(&self, queue: &mut WindowQueue, window: DateRange) {
        let message = "a response has transactions of days outside the requested range, so Criteo's range filters another date \
                       than the transaction's; each day is fetched on its own, and its transactions are kept under that day";
        self.run.journal.warn(Notice::new(Code::TransactionsOfOtherDays, message).table(&self.table.name).days(window));
        self.run.journal.count(&self.table.name, TableSummary { calls: 1, ..TableSummary::default() });
        for day in window.days() {
            queue.put_back(DateRange::single(day), None);
        }
    }

    async fn publish(&self, window: DateRange, pulled: Pulled, differences: DifferencesByDay) {
        self.remember(window, &pulled);
        for (day, differences) in &differences {
            self.report_differences(DateRange::single(*day), differences);
        }
        let Pulled { partitions, calls, capped_calls, memory, .. } = pulled;
        self.run.journal.count(&self.table.name, TableSummary { capped_calls, ..TableSummary::default() });
        let pulled_at = self.run.clock.now();
        let pulled = PulledDays { days: window, partitions, calls, pulled_at, differences, memory };
        publish_days(self.run, self.table, self.fetch.layout(), pulled).await;
    }

    /// Keeps what later judgements need: rows of the answer, and sums where only ranges can be compared.
    fn remember(&self, window: DateRange, pulled: &Pulled) {
        let mut state = self.state();
        state.answered.push((window, pulled.largest_answer));
        if let Some(query) = self.totals.as_ref().filter(|_| !self.fetch.has_day()) {
            for day in window.days() {
                let sums = Sums::of_rows(self.fetch.layout(), pulled.partitions.day(day), &query.columns);
                state.published.insert(day, sums);
            }
        }
    }

    /// Once a cap has shown itself (transactions, where Criteo documents none), earlier answers of exactly that many
    /// rows are asked for again.
    fn reconsider(&self, queue: &mut WindowQueue) {
        let Some(cap) = self.fetch.proven_cap() else { return };
        let mut state = self.state();
        let (suspect, fine): (Vec<_>, Vec<_>) = state.answered.drain(..).partition(|(_, rows)| *rows == cap);
        state.answered = fine;
        for (window, rows) in suspect {
            queue.put_back(window, Some(rows));
        }
    }

    /// Differences are a warning, unless `--strict` asked for more, or rows of a final day are clearly missing.
    fn report_differences(&self, days: DateRange, differences: &[Difference]) {
        let Some(first) = differences.first() else { return };
        let more = match differences.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let message = format!("sums differ from Criteo's totals: {first}{more}");
        let notice = Notice::new(Code::TotalsDiffer, message).table(&self.table.name).days(days);
        let settings = &self.run.settings;
        let is_final = !self.table.reread_ages(settings.lookback_days).is_provisional(days.to(), settings.as_of);
        if self.run.strict || (is_final && self.is_far_short(differences)) {
            self.run.journal.fail(notice);
        } else {
            self.run.journal.warn(notice);
        }
    }

    /// Whether a count is lower than Criteo's by more than one in a hundred.
    fn is_far_short(&self, differences: &[Difference]) -> bool {
        let Some(totals) = &self.totals else { return false };
        let number = |text: &str| crate::table::numeric::parse_numeric(text).unwrap_or_default();
        let is_far = |difference: &Difference| {
            let (pulled, total) = (number(&difference.pulled), number(&difference.total));
            totals.is_exact(&difference.column) && pulled < total - total / 100
        };
        differences.iter().any(is_far)
    }

    /// Compares what was published with Criteo's totals of whole ranges, for reports without days.
    async fn compare_ranges(&self) {
        let Some(query) = &self.totals else { return };
        let days: BTreeSet<NaiveDate> = self.state().published.keys().copied().collect();
        for range in contiguous_ranges(&days) {
            let fetch = ReportFetch::of(self.run, &query.table, &query.layout);
            let one_row_each = self.advertisers().len() as u64;
            let pulled = match fetch.whole(range, Some(one_row_each)).await {
                Ok(pulled) => pulled,
                Err(failure) => {
                    self.not_compared(range, &failure);
                    return;
                }
            };
            self.run.journal.count(&self.table.name, TableSummary { calls: pulled.calls, ..TableSummary::default() });
            let mut totals = Sums::default();
            pulled.partitions.iter().for_each(|(_, rows)| totals.add(&query.sums(rows)));
            let mut sums = Sums::default();
            let state = self.state();
            state.published.range(range.from()..=range.to()).for_each(|(_, day)| sums.add(day));
            drop(state);
            let advertisers = self.advertisers();
            let differences =
                sums.only(&advertisers)
                    .differences(&totals.only(&advertisers), &query.columns, |column| query.is_exact(column));
            self.mark(range, &differences);
        }
    }

    fn mark(&self, range: DateRange, differences: &[Difference]) {
        if differences.is_empty() {
            return;
        }
        self.report_differences(range, differences);
        let days: Vec<NaiveDate> = range.days().collect();
        if let Err(error) = self.run.output.ledger().mark_mismatch(&self.table.name, &days, differences) {
            self.run.journal.fail(Notice::of_error(Code::OutputFailed, &error).table(&self.table.name));
        }
    }

    /// What would fail for every other window the same way is not asked for.
    fn give_up(&self, queue: &mut WindowQueue) {
        let left = queue.take_remaining();
        let message = format!("not fetched, because an earlier request for `{}` failed for good", self.table.name);
        self.not_refreshed(&left, Code::NotRefreshed, &message);
    }

    /// Everybody was refused, or had no answer; who and why has been said.
    fn nobody_left(&self, days: &BTreeSet<NaiveDate>) {
        self.not_refreshed(
            days,
            Code::NotRefreshed,
            "not refreshed, because no advertiser is left to request data for",
        );
    }

    fn report_left_over(&self, left: &BTreeSet<NaiveDate>) {
        let (code, reason) = if self.run.cancellation.is_cancelled() {
            (Code::Interrupted, "the run was stopped")
        } else {
            (Code::ApiUnavailable, "Criteo did not answer the requests before")
        };
        self.not_refreshed(left, code, &format!("not fetched, because {reason}"));
    }

    fn not_refreshed(&self, days: &BTreeSet<NaiveDate>, code: Code, message: &str) {
        for range in contiguous_ranges(days) {
            self.run.journal.fail(Notice::new(code, message).table(&self.table.name).days(range));
        }
    }
}

fn concerns_every_window(kind: FetchErrorKind) -> bool {
    match kind {
        FetchErrorKind::Credentials
        | FetchErrorKind::ScopeRefused
        | FetchErrorKind::Rejected
        | FetchErrorKind::DeadlinePassed => true,
        FetchErrorKind::AdvertiserRefused
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Unavailable
        | FetchErrorKind::OtherDays
        | FetchErrorKind::Unreadable => false,
    }
}
