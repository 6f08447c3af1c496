//! Criteo's own totals: read, compared with what was pulled, and differences reported.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::{DifferencesByDay, TablePull};
use crate::criteo::FetchErrorKind;
use crate::dates::DateRange;
use crate::ledger::Difference;
use crate::pull::density::Density;
use crate::pull::fetch::{Pulled, WindowFailure};
use crate::pull::judge;
use crate::pull::plan::WindowQueue;
use crate::pull::reconcile::Sums;
use crate::pull::summary::{Code, Notice, TableSummary};
use crate::table::numeric::parse_numeric;

/// Windows of totals that may fail before the rest is left uncompared.
const MAX_FAILED_WINDOWS: usize = 3;

impl TablePull<'_> {
    /// Reads Criteo's totals of these days. A window that cannot be read is halved; days without totals are not compared with
    /// them, and the run says which. A run that is stopped meanwhile must not go on as if there were none.
    pub(super) async fn learn_totals(&self, days: &BTreeSet<NaiveDate>) -> Result<(), WindowFailure> {
        let Some(query) = &self.totals else { return Ok(()) };
        let fetch = self.fetch.like(&query.table, &query.layout);
        // One row a day and advertiser.
        let mut queue = WindowQueue::new(days.clone(), fetch.limits(), Density::at_most(1, &self.advertisers()));
        let (mut calls, mut failed) = (0, Vec::new());
        while let Some(window) = queue.next_window() {
            if self.run.cancellation.is_cancelled() {
                return Err(WindowFailure::Cancelled);
            }
            if failed.len() >= MAX_FAILED_WINDOWS {
                failed.push((window, None));
                continue;
            }
            match fetch.whole(window, queue.expected_rows(window)).await {
                Ok(pulled) => {
                    calls += pulled.calls;
                    let Pulled { partitions, unusable_days, .. } = pulled;
                    let before = self.totals_of(window);
                    self.state().totals.learn(window, partitions);
                    let fallen = self.fallen_since(&before);
                    self.state().fallen_totals.extend(fallen);
                    for (day, reason) in unusable_days {
                        self.state().totals.forget(day);
                        self.not_compared(DateRange::single(day), &reason);
                    }
                }
                Err(WindowFailure::TooManyRows(rows)) => {
                    calls += 1;
                    queue.put_back(window, Some(rows));
                }
                Err(failure) if is_worth_halving(&failure) && window.len_days() > 1 && failed.is_empty() => {
                    calls += 1;
                    queue.put_back(window, None);
                }
                Err(failure) => failed.push((window, Some(failure))),
            }
        }
        self.count(TableSummary { calls, ..TableSummary::default() });
        let mut reason = String::new();
        for (window, failure) in failed {
            reason = failure.map_or(reason, |failure| failure.to_string());
            self.not_compared(window, &reason);
        }
        Ok(())
    }

    fn not_compared(&self, days: DateRange, reason: &str) {
        // What failed here fails the table's own requests too, and is reported there.
        let message = format!("Criteo's totals could not be read, so that sums are not compared: {reason}");
        self.run.journal.warn(Notice::new(Code::NotReconciled, message).table(&self.table.name).days(days));
    }

    /// Whether a count is lower than Criteo's: rows are missing, which rounding and restatement do not explain.
    pub(super) fn is_short(&self, differences: &DifferencesByDay) -> bool {
        let Some(query) = &self.totals else { return false };
        let is_exact = |column: &str| query.is_exact(column);
        differences.values().any(|differences| judge::missing_rows(differences, is_exact).next().is_some())
    }

    /// Criteo's totals of days, as far as they were read.
    fn totals_of(&self, days: DateRange) -> BTreeMap<NaiveDate, Sums> {
        let Some(query) = &self.totals else { return BTreeMap::new() };
        let state = self.state();
        days.days().filter_map(|day| Some((day, state.totals.of(query, day)?))).collect()
    }

    /// Days whose totals count less than they did when they were read before.
    fn fallen_since(&self, before: &BTreeMap<NaiveDate, Sums>) -> Vec<NaiveDate> {
        let Some(query) = &self.totals else { return Vec::new() };
        let is_exact = |column: &str| query.is_exact(column);
        let state = self.state();
        let has_fallen = |(day, before): &(&NaiveDate, &Sums)| {
            let now = state.totals.of(query, **day).unwrap_or_default();
            judge::missing_rows(&now.differences(before, &query.columns, is_exact), is_exact).next().is_some()
        };
        before.iter().filter(has_fallen).map(|(day, _)| *day).collect()
    }

    /// The days of a window whose totals confirm nothing: they could not be read, or fell within the run.
    pub(super) fn uncompared(&self, days: DateRange) -> BTreeSet<NaiveDate> {
        let Some(query) = &self.totals else { return BTreeSet::new() };
        let state = self.state();
        let is_unknown = |day: &NaiveDate| state.totals.of(query, *day).is_none() || state.fallen_totals.contains(day);
        days.days().filter(is_unknown).collect()
    }

    /// Where the sums of the days are not Criteo's totals, as far as these were read.
    pub(super) fn differences(&self, days: DateRange, pulled: &Pulled) -> DifferencesByDay {
        let Some(query) = &self.totals else { return BTreeMap::new() };
        let state = self.state();
        let advertisers = self.advertisers();
        let mut differences = BTreeMap::new();
        for day in days.days().filter(|day| !pulled.unusable_days.contains_key(day)) {
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

    /// Where the sums of a whole range are not Criteo's totals of it, for reports without days; `None` if these could not
    /// be read.
    pub(super) async fn range_differences(&self, range: DateRange, sums: &Sums) -> Option<Vec<Difference>> {
        let query = self.totals.as_ref()?;
        let fetch = self.fetch.like(&query.table, &query.layout);
        let pulled = match fetch.whole(range, Some(self.advertisers().len() as u64)).await {
            Ok(pulled) => pulled,
            Err(failure) => {
                self.not_compared(range, &failure.to_string());
                return None;
            }
        };
        self.count(TableSummary { calls: pulled.calls, ..TableSummary::default() });
        let mut totals = Sums::default();
        pulled.partitions.iter().for_each(|(_, rows)| totals.add(&query.sums(rows)));
        let advertisers = self.advertisers();
        let totals = totals.only(&advertisers);
        Some(sums.only(&advertisers).differences(&totals, &query.columns, |column| query.is_exact(column)))
    }

    /// Differences are a warning, unless `--strict` demands more, or rows of a final day are clearly missing.
    pub(super) fn report_differences(&self, days: DateRange, differences: &[Difference]) {
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
        let Some(query) = &self.totals else { return false };
        let number = |text: &str| parse_numeric(text).unwrap_or_default();
        let is_far = |difference: &Difference| {
            let (pulled, total) = (number(&difference.pulled), number(&difference.total));
            pulled < total - total / 100
        };
        judge::missing_rows(differences, |column| query.is_exact(column)).any(is_far)
    }
}

/// Whether fewer days may have an answer.
fn is_worth_halving(failure: &WindowFailure) -> bool {
    let WindowFailure::Fetch(error) = failure else { return false };
    matches!(error.kind(), FetchErrorKind::Unavailable | FetchErrorKind::Rejected | FetchErrorKind::Unreadable)
}
