//! Which days to fetch, and how many at a time. Pure functions: nothing is asked of Criteo or the disk here.
//!
//! ```text
//!            start_date                        as_of - look-back      as_of
//!  pull          |  only days without a live file  |  every day        |  (as_of itself is still running: not asked for)
//!  backfill      |<------------------- from .. to, every day ------------------>|
//! ```

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::dates::{DateRange, pull_days};

/// Rows a window is sized for, of every hundred that a response may have.
const FILL_PERCENT: u64 = 70;
/// How much longer than the last one a window may be when the last one had no rows to learn from.
const GROWTH: u64 = 8;
/// Rows a response is sized for where Criteo documents no cap.
const ASSUMED_CAP: u64 = 100_000;

/// The days of a scheduled run: those of the look-back always, older ones since `start` only where `is_live` knows no
/// file; newest is yesterday.
pub fn days_to_pull(
    as_of: NaiveDate,
    start: NaiveDate,
    lookback_days: u32,
    is_live: impl Fn(NaiveDate) -> bool,
) -> BTreeSet<NaiveDate> {
    let Some(pull) = pull_days(as_of, start, lookback_days) else { return BTreeSet::new() };
    let is_read_again = |day| pull.lookback.is_some_and(|lookback| lookback.contains(day));
    pull.due.days().filter(|&day| is_read_again(day) || !is_live(day)).collect()
}

/// Days still to fetch, handed out newest first in windows that should stay under the cap.
#[derive(Clone, Debug)]
pub struct WindowQueue {
    days: BTreeSet<NaiveDate>,
    /// Windows that came back and are handed out again as they are, the last one first.
    pieces: Vec<DateRange>,
    target_rows: u64,
    max_days: Option<u64>,
    rows_per_day: Option<u64>,
    last_days: u64,
}

impl WindowQueue {
    /// All of `days`. `row_cap` is the endpoint's; `max_days` limits a window where the report demands it (placements
    /// have no date, so one day at a time); `rows_per_day` is what is known from earlier runs.
    pub fn new(
        days: BTreeSet<NaiveDate>,
        row_cap: Option<u64>,
        max_days: Option<u64>,
        rows_per_day: Option<u64>,
    ) -> Self {
        let target_rows = (row_cap.unwrap_or(ASSUMED_CAP) * FILL_PERCENT / 100).max(1);
        Self { days, pieces: Vec::new(), target_rows, max_days, rows_per_day, last_days: 0 }
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
        self.pieces.is_empty() && self.rows_per_day.is_none() && self.last_days > 0
    }

    /// The next window: one that came back, or the newest remaining days that follow each other.
    pub fn next_window(&mut self) -> Option<DateRange> {
        if let Some(piece) = self.pieces.pop() {
            return Some(piece);
        }
        let to = *self.days.last()?;
        let mut from = to;
        let wanted = self.window_days();
        let mut taken = 1;
        while taken < wanted
            && let Some(before) = from.pred_opt().filter(|day| self.days.contains(day))
        {
            from = before;
            taken += 1;
        }
        let window = DateRange::new(from, to)?;
        for day in window.days() {
            self.days.remove(&day);
        }
        self.last_days = taken;
        Some(window)
    }

    fn window_days(&self) -> u64 {
        let by_rows = match self.rows_per_day {
            None if self.last_days == 0 => 1,
            None | Some(0) => self.last_days.max(1).saturating_mul(GROWTH),
            Some(rows) => (self.target_rows / rows).max(1),
        };
        by_rows.min(self.max_days.unwrap_or(u64::MAX))
    }

    /// A window was answered whole.
    pub fn learn(&mut self, window: DateRange, rows: u64) {
        self.rows_per_day = Some(rows.div_ceil(window.len_days()));
    }

    /// A window had too many rows, or was never answered: it comes again in halves, a single day as it is. Where it had
    /// too many, `rows` tells how many there were at least, and further windows become shorter too.
    pub fn put_back(&mut self, window: DateRange, rows: Option<u64>) {
        match window.split_in_half() {
            Some((older, newer)) => self.pieces.extend([older, newer]),
            None => self.pieces.push(window),
        }
        if let Some(rows) = rows {
            let at_least = rows.div_ceil(window.len_days()).max(1);
            self.rows_per_day = Some(self.rows_per_day.unwrap_or(0).max(at_least));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::is_provisional;
    use chrono::Days;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn a_pull_takes_missing_days_and_the_look_back_but_not_today() {
        let live: BTreeSet<_> = DateRange::new(day("2026-10-01"), day("2026-11-21")).expect("a range").days().collect();
        let missing = day("2026-10-05");
        let days = days_to_pull(day("2026-11-22"), day("2026-10-01"), 3, |day| day != missing && live.contains(&day));
        assert_eq!(days, [missing, day("2026-11-19"), day("2026-11-20"), day("2026-11-21")].into());
    }

    #[test]
    fn the_look_back_never_passes_the_start_date() {
        let days = days_to_pull(day("2026-11-22"), day("2026-11-20"), 30, |_| true);
        assert_eq!(days, [day("2026-11-20"), day("2026-11-21")].into());
        assert_eq!(days_to_pull(day("2026-11-22"), day("2026-11-22"), 30, |_| false), BTreeSet::new());
    }

    #[test]
    fn the_oldest_day_of_the_look_back_is_final_once_it_is_read() {
        let as_of = day("2026-11-22");
        let lookback = pull_days(as_of, day("2026-01-01"), 30).and_then(|pull| pull.lookback).expect("days are due");
        assert!(!is_provisional(lookback.from(), as_of, 30));
        assert!(lookback.days().skip(1).all(|day| is_provisional(day, as_of, 30)));
    }

    #[test]
    fn the_first_window_is_one_day_and_the_next_fills_seven_tenths_of_the_cap() {
        let days = DateRange::new(day("2026-01-01"), day("2026-12-31")).expect("a range").days().collect();
        let mut queue = WindowQueue::new(days, Some(1000), None, None);
        let first = queue.next_window().expect("days remain");
        assert_eq!(first, DateRange::single(day("2026-12-31")));
        assert!(queue.is_probing());
        queue.learn(first, 100);
        assert_eq!(queue.next_window().map(|window| window.len_days()), Some(7));
    }

    proptest! {
        #[test]
        fn windows_cover_every_day_exactly_once_whatever_is_learned(
            gaps in prop::collection::vec(1_u64..4, 1..120),
            answers in prop::collection::vec((any::<bool>(), 0_u64..2000), 1..400),
            max_days in prop::option::of(1_u64..10),
        ) {
            let mut date = day("2026-01-01");
            let mut days = BTreeSet::new();
            for gap in gaps {
                days.insert(date);
                date = date + Days::new(gap);
            }
            let mut queue = WindowQueue::new(days.clone(), Some(1000), max_days, None);
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
                    queue.learn(window, rows);
                    for day in window.days() {
                        prop_assert!(covered.insert(day), "{day} twice");
                    }
                }
            }
            prop_assert_eq!(covered, days);
        }
    }
}
