//! How many days to request at a time. Pure functions: nothing is asked of Criteo or the disk here.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::density::{Density, RowCounts};
use super::split::disclosures;
use crate::catalog::{ReportFacts, Table};
use crate::dates::DateRange;

/// Rows a window is sized for, of every hundred that a response may have: the rest is for days that have more than expected.
const FILL_PERCENT: u64 = 88;
/// The same while only a few days have shown what to expect.
const THIN_FILL_PERCENT: u64 = 75;
/// Rows a response is sized for where Criteo documents no cap.
const ASSUMED_CAP: u64 = 100_000;

/// How long windows may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Rows that a response may have; `None` where Criteo documents no cap.
    pub row_cap: Option<u64>,
    /// Responses that a window's rows are shared out to.
    pub responses: u64,
    /// Days, where the report demands it (placements have no date, so one day at a time).
    pub max_days: Option<u64>,
}

impl WindowLimits {
    /// The limits of a report table whose endpoint has this cap.
    pub fn of(table: &Table, row_cap: Option<u64>) -> Self {
        let has_day = table.report().is_none_or(ReportFacts::has_day);
        Self { row_cap, responses: disclosures(table).len() as u64, max_days: (!has_day).then_some(1) }
    }

    /// Rows that a window is sized for.
    fn target_rows(self, is_thin: bool) -> u64 {
        let fill_percent = if is_thin { THIN_FILL_PERCENT } else { FILL_PERCENT };
        (self.row_cap.unwrap_or(ASSUMED_CAP) * self.responses * fill_percent / 100).max(1)
    }
}

/// Days still to fetch, handed out newest first in windows that should stay under the cap.
#[derive(Clone, Debug)]
pub struct WindowQueue {
    days: BTreeSet<NaiveDate>,
    /// Windows that came back and are handed out again as they are, the last one first.
    pieces: Vec<DateRange>,
    limits: WindowLimits,
    density: Density,
    /// The first window was handed out.
    has_begun: bool,
    /// Rows that the first window may have, where it tries whether a cap still holds.
    first_cap: Option<u64>,
    /// The first window had too many rows, so that the next is a single day.
    was_too_long: bool,
}

impl WindowQueue {
    /// All of `days`, with what is known of their rows.
    pub fn new(days: BTreeSet<NaiveDate>, limits: WindowLimits, density: Density) -> Self {
        Self { days, pieces: Vec::new(), limits, density, has_begun: false, first_cap: None, was_too_long: false }
    }

    /// Takes out all days that were not handed out.
    pub fn take_remaining(&mut self) -> BTreeSet<NaiveDate> {
        let pieces = std::mem::take(&mut self.pieces);
        let mut days = std::mem::take(&mut self.days);
        days.extend(pieces.iter().flat_map(DateRange::days));
        days
    }

    /// Whether the next window would be a guess that the answer to the last one will improve: the caller should wait.
    pub fn is_probing(&self) -> bool {
        self.pieces.is_empty() && self.density.is_unknown() && self.has_begun
    }

    /// The next window: one that came back, or the newest remaining days that follow each other.
    pub fn next_window(&mut self) -> Option<DateRange> {
        if let Some(piece) = self.pieces.pop() {
            return Some(piece);
        }
        let to = *self.days.last()?;
        let (max_days, target_rows) = (self.max_days(), self.limits().target_rows(self.density.is_thin()));
        let mut from = to;
        let (mut taken, mut rows) = (1, self.density.rows(to));
        while taken < max_days
            && let Some(before) = from.pred_opt().filter(|day| self.days.contains(day))
        {
            rows += self.density.rows(before);
            if rows > target_rows {
                break;
            }
            from = before;
            taken += 1;
        }
        let window = DateRange::new(from, to)?;
        for day in window.days() {
            self.days.remove(&day);
        }
        self.has_begun = true;
        Some(window)
    }

    /// Where nothing is known and no cap limits what a wrong guess costs, or a guess was wrong, a single day tells.
    fn max_days(&self) -> u64 {
        let is_risky = self.density.is_unknown() && (self.was_too_long || self.limits.row_cap.is_none());
        if is_risky { 1 } else { self.limits.max_days.unwrap_or(u64::MAX) }
    }

    /// The advertisers to request together: all of them, or groups where a single day has more rows than a response may.
    pub fn groups(&self, window: DateRange) -> Vec<Vec<String>> {
        let is_single = window.len_days() == 1;
        let target_rows = if is_single { self.limits.target_rows(self.density.is_thin()) } else { u64::MAX };
        self.density.groups(window.to(), target_rows)
    }

    /// Rows that a window is expected to have, where something is known of them.
    pub fn expected_rows(&self, window: DateRange) -> Option<u64> {
        (!self.density.is_unknown()).then(|| self.density.rows_of(window))
    }

    /// A window was answered whole.
    pub fn learn(&mut self, window: DateRange, counts: &RowCounts) {
        self.density.learn(window, counts);
    }

    /// The first window may have as many rows as Criteo documents, to see whether a lower cap still holds.
    pub fn try_documented_cap(&mut self, documented: Option<u64>) {
        self.first_cap = documented.or(Some(ASSUMED_CAP));
    }

    /// Answers are cut at so many rows: windows that were put back are cut anew, and further ones become shorter.
    pub fn lower_cap(&mut self, rows: u64) {
        // Only once for each cap: pieces that are joined again and again would never become smaller.
        if self.limits.row_cap.is_none_or(|cap| rows < cap) {
            self.limits.row_cap = Some(rows);
            self.days = self.take_remaining();
        }
    }

    fn limits(&self) -> WindowLimits {
        match self.first_cap {
            Some(row_cap) if !self.has_begun => WindowLimits { row_cap: Some(row_cap), ..self.limits },
            _ => self.limits,
        }
    }

    /// Each day of a window comes again on its own, the newest first.
    pub fn put_back_days(&mut self, window: DateRange) {
        self.pieces.extend(window.days().map(DateRange::single));
    }

    /// A window was not answered: its newest day comes first, then the rest of it.
    pub fn put_back_newest_first(&mut self, window: DateRange) {
        let newest = DateRange::single(window.to());
        let rest = window.to().pred_opt().and_then(|to| DateRange::new(window.from(), to));
        self.pieces.extend(rest.into_iter().chain([newest]));
    }

    /// A window had too many rows, or was never answered: it comes again in halves, a single day as it is. Where it had
    /// too many, `rows` tells how many there were at least, and further windows become shorter too.
    pub fn put_back(&mut self, window: DateRange, rows: Option<u64>) {
        if let Some(rows) = rows {
            self.density.learn_at_least(window, rows);
            if self.density.is_unknown() && window.len_days() > 1 {
                self.was_too_long = true;
                self.days.extend(window.days());
                return;
            }
        }
        match window.split_in_half() {
            Some((older, newer)) => self.pieces.extend([older, newer]),
            None => self.pieces.push(window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Days;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn limits(row_cap: Option<u64>, max_days: Option<u64>) -> WindowLimits {
        WindowLimits { row_cap, responses: 1, max_days }
    }

    fn year() -> BTreeSet<NaiveDate> {
        DateRange::new(day("2026-01-01"), day("2026-12-31")).expect("a range").days().collect()
    }

    fn counts(window: DateRange, rows_a_day: u64) -> RowCounts {
        window.days().map(|day| (day, [("1".to_owned(), rows_a_day)].into())).collect()
    }

    #[test]
    fn windows_fill_most_of_the_cap_once_rows_are_known() {
        let mut queue = WindowQueue::new(year(), limits(Some(1000), None), Density::unknown(&["1"]));
        let first = queue.next_window().expect("days remain");
        assert_eq!(first.len_days(), 7, "a hundred rows a day are assumed");
        assert!(queue.is_probing());
        queue.learn(first, &counts(first, 10));
        assert!(!queue.is_probing());
        let second = queue.next_window().expect("days remain");
        assert_eq!(second.len_days(), 75, "a week is not much to go by");
        queue.learn(second, &counts(second, 10));
        assert_eq!(queue.next_window().map(|window| window.len_days()), Some(88));
    }

    #[test]
    fn a_first_window_that_was_too_long_is_followed_by_a_single_day() {
        let mut queue = WindowQueue::new(year(), limits(Some(1000), None), Density::unknown(&["1"]));
        let first = queue.next_window().expect("days remain");
        queue.put_back(first, Some(1000));
        let second = queue.next_window().expect("days remain");
        assert_eq!(second, DateRange::single(day("2026-12-31")));
        queue.learn(second, &counts(second, 220));
        assert_eq!(queue.next_window().map(|window| window.len_days()), Some(3));
    }

    #[test]
    fn without_a_cap_that_ends_a_wrong_guess_the_first_window_is_one_day() {
        let mut queue = WindowQueue::new(year(), limits(None, None), Density::unknown(&["1"]));
        assert_eq!(queue.next_window(), Some(DateRange::single(day("2026-12-31"))));
        assert!(queue.is_probing());
    }

    #[test]
    fn days_without_activity_cost_no_window() {
        let mut density = Density::at_most(100, &["1"]);
        let activity = year().into_iter().map(|date| (date, Vec::new()));
        density.learn_activity(activity.chain([(day("2026-12-31"), vec!["1".to_owned()])]).collect());
        let mut queue = WindowQueue::new(year(), limits(Some(1000), None), density);
        assert_eq!(queue.next_window().map(|window| window.len_days()), Some(365));
    }

    proptest! {
        #[test]
        fn windows_cover_every_day_exactly_once_whatever_is_learned(
            gaps in prop::collection::vec(1_u64..4, 1..120),
            answers in prop::collection::vec((any::<bool>(), 0_u64..2000), 1..400),
            max_days in prop::option::of(1_u64..10),
            row_cap in prop::option::of(Just(1000)),
        ) {
            let mut date = day("2026-01-01");
            let mut days = BTreeSet::new();
            for gap in gaps {
                days.insert(date);
                date = date + Days::new(gap);
            }
            let mut queue = WindowQueue::new(days.clone(), limits(row_cap, max_days), Density::unknown(&["1"]));
            let mut covered = BTreeSet::new();
            let mut answers = answers.into_iter().cycle();
            let mut calls = 0;
            while let Some(window) = queue.next_window() {
                calls += 1;
                prop_assert!(calls < 10_000, "the queue does not end");
                prop_assert!(window.len_days() <= max_days.unwrap_or(u64::MAX));
                let (over, rows) = answers.next().expect("cycled");
                if over && window.len_days() > 1 {
                    queue.put_back(window, Some(1000));
                } else {
                    queue.learn(window, &counts(window, rows));
                    for day in window.days() {
                        prop_assert!(covered.insert(day), "{day} twice");
                    }
                }
            }
            prop_assert_eq!(covered, days);
        }
    }
}
