//! At which ages the days of a table are read again, because Criteo restates them. Pure rules; no clock is read here.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::Deserialize;

/// Ages in days at which a day is read again: yesterday has age 1. `lookback_days` stands for every age up to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RereadAges(BTreeSet<u32>);

impl RereadAges {
    /// Every age from 1 to `lookback_days`; none for 0.
    pub fn up_to(lookback_days: u32) -> Self {
        Self((1..=lookback_days).collect())
    }

    /// The ages, youngest first.
    pub fn ages(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// The age of the last read, after which a day is final; 0 when days are read only once.
    pub fn last(&self) -> u32 {
        self.0.last().copied().unwrap_or_default()
    }

    /// Whether a pull on `as_of` reads `day` again although it was pulled before.
    pub fn is_reread_on(&self, day: NaiveDate, as_of: NaiveDate) -> bool {
        age(day, as_of).is_some_and(|age| self.0.contains(&age))
    }

    /// Whether `day`, last read on `read_on`, has reached one of the ages since, by `as_of`: also when nothing ran on the
    /// very day of that age.
    pub fn is_due(&self, day: NaiveDate, read_on: NaiveDate, as_of: NaiveDate) -> bool {
        let Some(now) = age(day, as_of) else { return false };
        // A day that was read before it was over has had none of its ages.
        let then = age(day, read_on).unwrap_or_default();
        then < now && self.0.range(then + 1..=now).next().is_some()
    }

    /// Whether a pull on `as_of` leaves `day` to a later one.
    pub fn is_provisional(&self, day: NaiveDate, as_of: NaiveDate) -> bool {
        (as_of - day).num_days() < i64::from(self.last())
    }

    /// The day on which `day` is read for the last time.
    pub fn final_on(&self, day: NaiveDate) -> NaiveDate {
        day.checked_add_days(Days::new(self.last().into())).unwrap_or(NaiveDate::MAX)
    }
}

impl std::fmt::Display for RereadAges {
    /// "1 to 5, 10, 20"
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.ages().peekable();
        let mut comma = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first} to {last}")?;
            }
            comma = ", ";
        }
        Ok(())
    }
}

/// Days from `day` to `on`; `None` when `on` comes first.
fn age(day: NaiveDate, on: NaiveDate) -> Option<u32> {
    u32::try_from((on - day).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ages(ages: &[u32]) -> RereadAges {
        RereadAges(ages.iter().copied().collect())
    }

    fn day(after: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + Days::new(after.into())
    }

    proptest! {
        #[test]
        fn a_day_that_is_read_daily_is_due_exactly_at_its_ages(
            set in proptest::collection::btree_set(1_u32..40, 0..8), on in 1_u32..60,
        ) {
            let ages = RereadAges(set.clone());
            prop_assert_eq!(ages.is_due(day(0), day(on - 1), day(on)), set.contains(&on));
            prop_assert_eq!(ages.is_reread_on(day(0), day(on)), set.contains(&on));
        }

        #[test]
        fn a_day_is_provisional_exactly_while_a_later_read_is_due(
            set in proptest::collection::btree_set(1_u32..40, 0..8), on in 0_u32..60,
        ) {
            let ages = RereadAges(set.clone());
            prop_assert_eq!(ages.is_provisional(day(0), day(on)), set.iter().any(|&age| age > on));
            prop_assert_eq!(ages.is_due(day(0), day(on), day(500)), ages.is_provisional(day(0), day(on)));
        }

        #[test]
        fn a_look_back_is_every_age_up_to_it(lookback_days in 0_u32..100, on in 1_u32..120) {
            let ages = RereadAges::up_to(lookback_days);
            prop_assert_eq!(ages.is_reread_on(day(0), day(on)), on <= lookback_days);
            prop_assert_eq!(ages.is_provisional(day(0), day(on)), on < lookback_days);
        }
    }

    #[test]
    fn weeks_without_a_run_are_made_up_for_once() {
        let ages = ages(&[1, 2, 10, 20]);
        assert!(ages.is_due(day(0), day(2), day(15)), "age 10 was missed");
        assert!(!ages.is_due(day(0), day(15), day(19)));
        assert!(ages.is_due(day(0), day(15), day(400)), "age 20 was missed");
        assert!(!ages.is_due(day(0), day(400), day(401)));
    }

    #[test]
    fn a_day_read_before_it_was_over_is_due_again() {
        assert!(ages(&[1]).is_due(day(5), day(5), day(6)));
        assert!(!ages(&[1]).is_due(day(5), day(4), day(5)));
    }

    #[test]
    fn consecutive_ages_are_shown_as_a_range() {
        assert_eq!(ages(&[1, 2, 3, 4, 5, 10, 20, 31]).to_string(), "1 to 5, 10, 20, 31");
        assert_eq!(RereadAges::up_to(0).to_string(), "");
    }
}
