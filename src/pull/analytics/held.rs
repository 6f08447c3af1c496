//! Windows that were answered and cannot be judged yet: they are published when nothing later can speak against them.
//!
//! Where Criteo documents no cap and has no totals (transactions), an answer is at a cap only if no other is larger: the
//! largest ones wait until a larger one comes, or until all have come. Placements have totals of ranges only: their days wait
//! until the range is compared.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{AnsweredWindow, TablePull};
use crate::dates::{DateRange, contiguous_ranges};
use crate::pull::caps::CapDetector;
use crate::pull::fetch::{Pulled, RequestedWindow, WindowFailure};
use crate::pull::plan::WindowQueue;
use crate::pull::reconcile::{Sums, advertiser_counts};
use crate::pull::summary::{Code, Notice};

/// Rows that are held back at most before the ranges they form are compared.
const MAX_HELD_ROWS: u64 = 100_000;

/// A window that waits.
pub(super) struct HeldWindow {
    pub(super) window: AnsweredWindow,
}

impl TablePull<'_> {
    /// Publishes a window, or holds it back.
    pub(super) async fn publish_or_hold(&self, mut window: AnsweredWindow) {
        if self.totals.is_some() && !window.pulled.unusable_days.is_empty() {
            // Nothing of the day can be published, and it has no sums to compare.
            return self.publish(window).await;
        }
        if self.totals.is_some() {
            // Whoever waits gives up the memory that others wait for.
            window.pulled.memory = None;
            let held = self.hold_in_range(window);
            return self.judge_ranges(held).await;
        }
        let largest = window.pulled.largest_answer;
        let mut ready = Vec::new();
        {
            let mut state = self.state();
            if CapDetector::may_be_a_cap(largest) && largest >= state.largest_answer {
                state.largest_answer = largest;
                ready.extend(state.held.extract_if(.., |held| held.window.pulled.largest_answer < largest));
                window.pulled.memory = None;
                state.held.push(HeldWindow { window });
            } else {
                ready.push(HeldWindow { window });
            }
        }
        for held in ready {
            self.publish(held.window).await;
        }
    }

    /// Holds a window back; returns what is held once that is much.
    fn hold_in_range(&self, window: AnsweredWindow) -> Vec<HeldWindow> {
        let mut state = self.state();
        state.held.push(HeldWindow { window });
        let rows: u64 = state.held.iter().map(|held| held.window.pulled.rows).sum();
        if rows < MAX_HELD_ROWS { Vec::new() } else { std::mem::take(&mut state.held) }
    }

    /// Once a cap has shown itself, answers of exactly that many rows come again.
    pub(super) fn reconsider(&self, queue: &mut WindowQueue) -> bool {
        if self.totals.is_some() {
            return false;
        }
        let Some(cap) = self.fetch.caps().proven() else { return false };
        let suspect: Vec<HeldWindow> =
            self.state().held.extract_if(.., |held| held.window.pulled.largest_answer == cap).collect();
        for held in &suspect {
            queue.put_back(held.window.days, Some(held.window.pulled.rows));
        }
        !suspect.is_empty()
    }

    /// All windows have come: publishes what was held back, unless some of it must be requested again (true).
    pub(super) async fn release_held(&self, queue: &mut WindowQueue) -> bool {
        if self.reconsider(queue) {
            return true;
        }
        let held = std::mem::take(&mut self.state().held);
        if self.totals.is_some() {
            self.judge_ranges(held).await;
        } else {
            for held in held {
                self.publish(held.window).await;
            }
        }
        false
    }

    /// Compares days with Criteo's totals of the ranges they form, and publishes them.
    async fn judge_ranges(&self, held: Vec<HeldWindow>) {
        let mut windows: BTreeMap<NaiveDate, AnsweredWindow> =
            held.into_iter().map(|held| (held.window.days.from(), held.window)).collect();
        for range in contiguous_ranges(&windows.keys().copied().collect()) {
            let range_windows: Vec<AnsweredWindow> = range.days().filter_map(|day| windows.remove(&day)).collect();
            for window in self.judged_range(range, range_windows).await {
                self.publish(window).await;
            }
        }
    }

    async fn judged_range(&self, range: DateRange, mut windows: Vec<AnsweredWindow>) -> Vec<AnsweredWindow> {
        let Some(query) = &self.totals else { return windows };
        if let [window] = windows.as_slice()
            && self.is_as_recorded(window)
        {
            return windows;
        }
        let mut sums = Sums::default();
        for window in &windows {
            let rows = window.pulled.partitions.day(window.days.from());
            sums.add(&Sums::of_rows(self.fetch.layout(), rows, &query.columns));
        }
        let differences = tokio::select! {
            biased;
            () = self.run.cancellation.cancelled() => {
                self.report_left_over(&range.days().collect());
                return Vec::new();
            }
            differences = self.range_differences(range, &sums) => differences,
        };
        let Some(differences) = differences else {
            for window in &mut windows {
                window.uncompared.insert(window.days.from());
            }
            return windows;
        };
        if self.is_short(&[(range.from(), differences.clone())].into()) {
            return self.repaired_days(windows).await;
        }
        self.report_differences(range, &differences);
        for window in windows.iter_mut().filter(|_| !differences.is_empty()) {
            window.differences.insert(window.days.from(), differences.clone());
            window.is_reported = true;
        }
        windows
    }

    /// Some days of a range lack rows: each is compared on its own, and requested again where it does.
    async fn repaired_days(&self, windows: Vec<AnsweredWindow>) -> Vec<AnsweredWindow> {
        let mut repaired = Vec::new();
        for AnsweredWindow { days, mut pulled, .. } in windows {
            let requested =
                RequestedWindow { days, groups: vec![self.advertisers()], expected_rows: Some(pulled.rows) };
            pulled.memory = None;
            let window = tokio::select! {
                biased;
                () = self.run.cancellation.cancelled() => Err(WindowFailure::Cancelled),
                window = self.compared_day(&requested, pulled) => window,
            };
            match window {
                Ok(window) => repaired.push(window),
                Err(WindowFailure::Cancelled) => self.report_left_over(&days.days().collect()),
                Err(WindowFailure::Fetch(error)) => self.run.journal.fail_fetch(self.table, Some(days), &error),
                Err(failure) => {
                    let notice = Notice::new(Code::RowCap, failure.to_string()).table(&self.table.name).days(days);
                    self.run.journal.fail(notice);
                }
            }
        }
        repaired
    }

    async fn compared_day(&self, requested: &RequestedWindow, pulled: Pulled) -> Result<AnsweredWindow, WindowFailure> {
        self.learn_totals(&requested.days.days().collect()).await?;
        self.compared(requested, pulled).await
    }

    /// Whether the advertisers that were requested have the rows and counts of a day's file, which was compared when it was
    /// published: what is read again late, when only sales still change, needs no totals.
    fn is_as_recorded(&self, window: &AnsweredWindow) -> bool {
        let ledger = self.run.output.ledger();
        let day = window.days.from();
        let Some(record) = ledger.partition(&self.table.name, day) else { return false };
        let mut counts = advertiser_counts(self.fetch.layout(), window.pulled.partitions.day(day));
        let mut recorded = record.advertiser_counts.clone();
        let requested = self.advertisers();
        for counts in [&mut counts, &mut recorded] {
            counts.retain(|id, _| requested.contains(id));
        }
        !record.is_unconfirmed() && counts == recorded
    }
}
