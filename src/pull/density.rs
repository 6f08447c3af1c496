//! How many rows a day will have: what sizes windows before Criteo was requested them.
//!
//! The best source is the ledger, which knows the rows of days that were pulled before. For other days, the activity (the
//! advertisers that Criteo's totals name for a day) is multiplied with the rows that each of them had on a day of the last
//! windows; windows are handed out newest first, so what was learned is what lies nearest. Pure arithmetic: nothing is
//! asked of Criteo or the disk here.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::dates::DateRange;
use crate::ledger::Ledger;

/// Rows of an advertiser's day where nothing is known yet. An account of twenty advertisers thus begins with a window of
/// six weeks; if that is too long, the second one is a single day.
const UNKNOWN_ROWS: u64 = 100;
/// Newest partitions whose rows stand for days that the ledger does not know.
const RECENT_PARTITIONS: usize = 7;
/// Days whose rows are known, until what they show can be relied on.
const ENOUGH_DAYS: usize = 28;
/// Rates are in thousandths of a row, because an advertiser may well have less than one row a day.
const THOUSANDTHS: u64 = 1000;

/// Rows by day and advertiser.
pub type RowCounts = BTreeMap<NaiveDate, BTreeMap<String, u64>>;

/// Where estimates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// Nowhere: the next answer will tell.
    None,
    /// Earlier runs, or answers of this one.
    Rates,
}

/// What is known of a table's rows.
#[derive(Clone, Debug)]
pub struct Density {
    advertisers: Vec<String>,
    /// Active advertisers by day, where that is known.
    activity: BTreeMap<NaiveDate, Vec<String>>,
    /// Rows that the ledger has for a day.
    recorded: BTreeMap<NaiveDate, u64>,
    /// Rows of the fullest of the ledger's newest days, until this run learned something itself.
    recent_rows: Option<u64>,
    /// Thousandths of rows that an advertiser has on a day on which it is active.
    rates: BTreeMap<String, u64>,
    /// The same of an advertiser of which nothing is known.
    usual_rate: u64,
    knowledge: Knowledge,
}

impl Density {
    /// Nothing is known but who will be requested.
    pub fn unknown(advertisers: &[impl AsRef<str>]) -> Self {
        Self {
            advertisers: advertisers.iter().map(|id| id.as_ref().to_owned()).collect(),
            activity: BTreeMap::new(),
            recorded: BTreeMap::new(),
            recent_rows: None,
            rates: BTreeMap::new(),
            usual_rate: UNKNOWN_ROWS * THOUSANDTHS,
            knowledge: Knowledge::None,
        }
    }

    /// Every advertiser has exactly `rows` rows a day, or fewer.
    pub fn at_most(rows: u64, advertisers: &[impl AsRef<str>]) -> Self {
        let usual_rate = rows * THOUSANDTHS;
        Self { usual_rate, knowledge: Knowledge::Rates, ..Self::unknown(advertisers) }
    }

    /// What earlier runs recorded of a table.
    pub fn recorded(ledger: &Ledger, table: &str, advertisers: &[impl AsRef<str>]) -> Self {
        let mut density = Self::unknown(advertisers);
        density.recorded = ledger.partitions(table).map(|record| (record.date, record.rows)).collect();
        density.recent_rows = density.recorded.values().rev().take(RECENT_PARTITIONS).copied().max();
        if let Some(rows) = density.recent_rows {
            density.knowledge = Knowledge::Rates;
            density.spread(rows, density.advertisers.len());
        }
        density
    }

    /// Only some of the advertisers that were recorded will be requested: days have fewer rows than the ledger says, while
    /// an advertiser has about as many as others.
    pub fn forget_days(&mut self) {
        self.recorded.clear();
    }

    /// `rows` are what this many advertisers have on a day.
    fn spread(&mut self, rows: u64, advertisers: usize) {
        let advertisers = u64::try_from(advertisers).unwrap_or(u64::MAX).max(1);
        self.usual_rate = (rows * THOUSANDTHS).div_ceil(advertisers).max(1);
    }

    /// Criteo's totals of these days name these advertisers.
    pub fn learn_activity(&mut self, activity: BTreeMap<NaiveDate, Vec<String>>) {
        self.activity.extend(activity);
        let most = self.activity.values().map(Vec::len).max();
        if let (Some(rows), Some(most)) = (self.recent_rows, most) {
            self.spread(rows, most);
        }
    }

    /// Whether there is nothing to go by yet.
    pub fn is_unknown(&self) -> bool {
        self.knowledge == Knowledge::None
    }

    /// Whether only a few days have shown what to expect.
    pub fn is_thin(&self) -> bool {
        self.recorded.len() < ENOUGH_DAYS
    }

    /// Rows that this day is expected to have.
    pub fn rows(&self, day: NaiveDate) -> u64 {
        self.recorded
            .get(&day)
            .copied()
            .unwrap_or_else(|| self.rates_on(day).map(|(_, rate)| rate).sum::<u64>().div_ceil(THOUSANDTHS))
    }

    /// Rows that these days are expected to have.
    pub fn rows_of(&self, days: DateRange) -> u64 {
        days.days().map(|day| self.rows(day)).sum()
    }

    fn rates_on(&self, day: NaiveDate) -> impl Iterator<Item = (&str, u64)> {
        let rate = |id: &String| self.rates.get(id).copied().unwrap_or(self.usual_rate);
        self.active(day).iter().map(move |id| (id.as_str(), rate(id)))
    }

    fn active(&self, day: NaiveDate) -> &[String] {
        self.activity.get(&day).unwrap_or(&self.advertisers)
    }

    /// A window was answered whole.
    pub fn learn(&mut self, window: DateRange, counts: &RowCounts) {
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, count) in counts.values().flatten() {
            *rows.entry(id).or_default() += count;
        }
        let mut active_days: BTreeMap<String, u64> = BTreeMap::new();
        for id in window.days().flat_map(|day| self.active(day)) {
            *active_days.entry(id.clone()).or_default() += 1;
        }
        let (mut all_rows, mut all_days) = (0, 0);
        for (id, days) in active_days {
            let rows = rows.get(id.as_str()).copied().unwrap_or_default();
            all_rows += rows;
            all_days += days;
            self.rates.insert(id, (rows * THOUSANDTHS).div_ceil(days));
        }
        if all_days > 0 {
            self.usual_rate = (all_rows * THOUSANDTHS).div_ceil(all_days).max(1);
            self.knowledge = Knowledge::Rates;
        }
        self.recent_rows = None;
        for day in window.days() {
            self.recorded.insert(day, counts.get(&day).map(|rows| rows.values().sum()).unwrap_or_default());
        }
    }

    /// A window had this many rows at least: if less was expected, all expectations are raised in proportion.
    pub fn learn_at_least(&mut self, window: DateRange, rows: u64) {
        let expected = self.rows_of(window).max(1);
        for day in window.days() {
            self.recorded.remove(&day);
        }
        if expected < rows && self.knowledge == Knowledge::Rates {
            let raise = |rate: u64| (u128::from(rate) * u128::from(rows)).div_ceil(u128::from(expected));
            let raise = |rate: u64| u64::try_from(raise(rate)).unwrap_or(u64::MAX / THOUSANDTHS);
            self.rates.values_mut().for_each(|rate| *rate = raise(*rate));
            self.usual_rate = raise(self.usual_rate);
        }
    }

    /// The advertisers of a day in groups that are expected to have at most `target_rows`, in their order. An advertiser that
    /// exceeds it alone is a group.
    pub fn groups(&self, day: NaiveDate, target_rows: u64) -> Vec<Vec<String>> {
        let total: u64 = self.rates_on(day).map(|(_, rate)| rate).sum::<u64>().div_ceil(THOUSANDTHS);
        let expected = self.rows(day);
        if self.is_unknown() || expected <= target_rows || total == 0 {
            return vec![self.advertisers.clone()];
        }
        let rates: BTreeMap<&str, u64> = self.rates_on(day).collect();
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut filled = 0;
        for id in &self.advertisers {
            // The ledger may know the day's rows better than the rates; they still tell how the rows are shared.
            let rate = u128::from(rates.get(id.as_str()).copied().unwrap_or_default());
            let share = rate * u128::from(expected) / (u128::from(total) * u128::from(THOUSANDTHS));
            let share = u64::try_from(share).unwrap_or(u64::MAX);
            filled += share;
            if let Some(group) = groups.last_mut().filter(|_| filled <= target_rows) {
                group.push(id.clone());
            } else {
                groups.push(vec![id.clone()]);
                filled = share;
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn range(from: &str, to: &str) -> DateRange {
        DateRange::new(day(from), day(to)).expect("a range")
    }

    fn counts(days: DateRange, rows: &[(&str, u64)]) -> RowCounts {
        let rows: BTreeMap<String, u64> = rows.iter().map(|(id, rows)| ((*id).to_owned(), *rows)).collect();
        days.days().map(|day| (day, rows.clone())).collect()
    }

    #[test]
    fn a_day_is_expected_to_have_the_rows_of_its_active_advertisers() {
        let mut density = Density::unknown(&["1", "2", "3"]);
        let activity = [
            ("2026-10-01", &["1"][..]),
            ("2026-10-02", &["1", "2", "3"]),
            ("2026-10-03", &[]),
            ("2026-11-01", &["1", "2"]),
        ];
        let activity = activity.map(|(date, ids)| (day(date), ids.iter().map(|&id| id.to_owned()).collect()));
        density.learn_activity(activity.into());
        assert!(density.is_unknown());
        density.learn(
            range("2026-11-01", "2026-11-01"),
            &counts(range("2026-11-01", "2026-11-01"), &[("1", 30), ("2", 10)]),
        );
        assert!(!density.is_unknown());
        assert_eq!(density.rows(day("2026-10-01")), 30);
        assert_eq!(density.rows(day("2026-10-02")), 60, "an advertiser never seen counts as the average of the others");
        assert_eq!(density.rows(day("2026-10-03")), 0, "nobody was active");
        assert_eq!(density.rows(day("2026-09-30")), 60, "who was active is not known");
    }

    #[test]
    fn a_window_with_more_rows_than_expected_raises_what_is_expected_of_others() {
        let mut density = Density::at_most(10, &["1", "2"]);
        let window = range("2026-11-01", "2026-11-10");
        assert_eq!(density.rows_of(window), 200);
        density.learn_at_least(window, 1000);
        assert_eq!(density.rows_of(window), 1000);
        density.learn_at_least(window, 500);
        assert_eq!(density.rows_of(window), 1000, "at least 500 is no news");
    }

    #[test]
    fn a_day_over_the_target_is_shared_out_by_advertiser() {
        let mut density = Density::unknown(&["1", "2", "3", "4"]);
        let learned = range("2026-11-02", "2026-11-02");
        density.learn(learned, &counts(learned, &[("1", 60), ("2", 50), ("3", 200), ("4", 10)]));
        let groups = density.groups(day("2026-11-01"), 100);
        assert_eq!(groups, [vec!["1"], vec!["2"], vec!["3"], vec!["4"]]);
        assert_eq!(density.groups(day("2026-11-01"), 120), [vec!["1", "2"], vec!["3"], vec!["4"]]);
        assert_eq!(density.groups(day("2026-11-01"), 320), [vec!["1", "2", "3", "4"]]);
    }

    proptest! {
        #[test]
        fn groups_hold_every_advertiser_exactly_once(
            rows in prop::collection::vec(0_u64..300, 1..20),
            target in 1_u64..500,
        ) {
            let ids: Vec<String> = (0..rows.len()).map(|id| id.to_string()).collect();
            let mut density = Density::unknown(&ids);
            let learned = range("2026-11-02", "2026-11-02");
            let pairs: Vec<(&str, u64)> = ids.iter().map(String::as_str).zip(rows.iter().copied()).collect();
            density.learn(learned, &counts(learned, &pairs));
            let groups = density.groups(day("2026-11-01"), target);
            prop_assert_eq!(groups.concat(), ids);
            for group in groups.iter().filter(|group| group.len() > 1) {
                let expected: u64 = group.iter().map(|id| rows[id.parse::<usize>().expect("a number")]).sum();
                prop_assert!(expected <= target, "{expected} rows in {group:?}");
            }
        }
    }
}
