//! Calendar dates: inclusive ranges and the report time zone. Pure functions; no clock is read here.
//!
//! A date range is inclusive at both ends everywhere in this program; this is the one place that says so. What a range
//! means to Criteo (caps, history) is not known here.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A range of days, inclusive at both ends, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateRange {
    from: NaiveDate,
    to: NaiveDate,
}

impl DateRange {
    /// The range, or `None` when it would be empty.
    pub fn new(from: NaiveDate, to: NaiveDate) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// The range of exactly one day.
    pub fn single(day: NaiveDate) -> Self {
        Self { from: day, to: day }
    }

    /// First day.
    pub fn from(&self) -> NaiveDate {
        self.from
    }

    /// Last day, included.
    pub fn to(&self) -> NaiveDate {
        self.to
    }

    /// Number of days, at least one.
    pub fn len_days(&self) -> u64 {
        u64::try_from((self.to - self.from).num_days()).unwrap_or(0) + 1
    }

    /// Whether `day` lies inside.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from <= day && day <= self.to
    }

    /// Consecutive ranges of at most `max_days` days (zero counts as one) that tile this one without gap or overlap,
    /// oldest first; only the last may be shorter.
    pub fn windows(&self, max_days: u64) -> Vec<Self> {
        let mut windows = Vec::new();
        let mut rest = Some(*self);
        while let Some(range) = rest {
            let end =
                range.from.checked_add_days(Days::new(max_days.max(1) - 1)).map_or(range.to, |end| end.min(range.to));
            windows.push(Self { from: range.from, to: end });
            rest = end.succ_opt().and_then(|next| Self::new(next, range.to));
        }
        windows
    }

    /// Two ranges that tile this one, the first longer by a day where they cannot be equal; `None` for a single day.
    pub fn split_in_half(&self) -> Option<(Self, Self)> {
        let second_from = self.from.checked_add_days(Days::new(self.len_days().div_ceil(2)))?;
        let second = Self::new(second_from, self.to)?;
        Some((Self { from: self.from, to: second_from.pred_opt()? }, second))
    }

    /// The days that lie in both.
    pub fn intersect(&self, other: Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }

    /// The days that are not before `earliest`.
    pub fn clamp_start(&self, earliest: NaiveDate) -> Option<Self> {
        Self::new(self.from.max(earliest), self.to)
    }

    /// Every day, oldest first.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = NaiveDate> + use<> {
        let from = self.from;
        (0..self.len_days()).filter_map(move |n| from.checked_add_days(Days::new(n)))
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{} to {}", self.from, self.to) }
    }
}

/// The calendar day in `timezone` at the instant `now`.
pub fn today(now: DateTime<Utc>, timezone: Tz) -> NaiveDate {
    now.with_timezone(&timezone).date_naive()
}

/// A text that is not a date of the form `YYYY-MM-DD`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date: write YYYY-MM-DD")]
pub struct NotADate(String);

/// Reads `YYYY-MM-DD`, and nothing that merely resembles it.
///
/// # Errors
///
/// When the text has another form, or names a day that does not exist.
pub fn parse_date(text: &str) -> Result<NaiveDate, NotADate> {
    let has_form = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    let date = has_form.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
    date.ok_or_else(|| NotADate(text.to_owned()))
}

/// A day as people type it: `2026-01-31`, `today`, `yesterday`, or `90d` for 90 days before today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedDay {
    /// A date.
    Date(NaiveDate),
    /// So many days before today.
    DaysAgo(u16),
}

impl TypedDay {
    /// The day it means where today is `today`.
    pub fn on(self, today: NaiveDate) -> NaiveDate {
        match self {
            Self::Date(date) => date,
            Self::DaysAgo(days) => today.checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN),
        }
    }
}

impl FromStr for TypedDay {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        match text {
            "today" => Ok(Self::DaysAgo(0)),
            "yesterday" => Ok(Self::DaysAgo(1)),
            _ => match parse_days(text) {
                Some(days) => Ok(Self::DaysAgo(days)),
                None => parse_date(text).map(Self::Date),
            },
        }
    }
}

/// A number of days, as in `90d`.
pub fn parse_days(text: &str) -> Option<u16> {
    let digits = text.strip_suffix('d')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The same day `months` months earlier, or the last day of that month where it is shorter.
pub fn months_before(date: NaiveDate, months: u32) -> NaiveDate {
    date.checked_sub_months(Months::new(months)).unwrap_or(NaiveDate::MIN)
}

/// The fewest ranges that contain exactly these days, oldest first.
pub fn contiguous_ranges(days: &BTreeSet<NaiveDate>) -> Vec<DateRange> {
    let mut ranges: Vec<DateRange> = Vec::new();
    for &day in days {
        match ranges.last_mut() {
            Some(last) if last.to.succ_opt() == Some(day) => last.to = day,
            _ => ranges.push(DateRange::single(day)),
        }
    }
    ranges
}

/// The instant that a wall clock in `timezone` shows as `local`, for every `local`.
///
/// The rule, where daylight saving makes it ambiguous or impossible: an hour that is **repeated** is taken as its first
/// occurrence; a time that is **skipped** is moved forward by the length of the gap, which is what a clock that was not
/// put forward would mean (02:30 in a gap from 02:00 to 03:00 is the instant shown as 03:30). Where a zone skipped a
/// whole day, that day's times are those of the next.
pub fn local_to_utc(local: NaiveDateTime, timezone: Tz) -> DateTime<Utc> {
    let offset_seconds = match timezone.offset_from_local_datetime(&local) {
        chrono::MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
        // The first of two instants is the one whose clock is further ahead.
        chrono::MappedLocalTime::Ambiguous(one, other) => {
            one.fix().local_minus_utc().max(other.fix().local_minus_utc())
        }
        chrono::MappedLocalTime::None => offset_before_gap(local, timezone),
    };
    let utc = local.checked_sub_signed(TimeDelta::seconds(offset_seconds.into())).unwrap_or(local);
    utc.and_utc()
}

/// Seconds ahead of UTC in force just before the gap that `local` lies in.
fn offset_before_gap(local: NaiveDateTime, timezone: Tz) -> i32 {
    // Gaps are a day long at most, and no two of them lie closer together than this step.
    const STEP_MINUTES: i64 = 15;
    const STEPS: i64 = 2 * 24 * 60 / STEP_MINUTES;
    (1..=STEPS)
        .filter_map(|step| local.checked_sub_signed(TimeDelta::minutes(step * STEP_MINUTES)))
        .find_map(|earlier| timezone.offset_from_local_datetime(&earlier).latest())
        .map_or(0, |offset| offset.fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        parse_date(text).unwrap()
    }

    fn range(from: &str, to: &str) -> DateRange {
        DateRange::new(day(from), day(to)).unwrap()
    }

    prop_compose! {
        fn any_day()(offset in 0_u64..40_000) -> NaiveDate {
            NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + Days::new(offset)
        }
    }

    prop_compose! {
        fn any_range()(from in any_day(), length in 0_u64..1_000) -> DateRange {
            DateRange::new(from, from + Days::new(length)).unwrap()
        }
    }

    fn days_of(ranges: &[DateRange]) -> Vec<NaiveDate> {
        ranges.iter().flat_map(DateRange::days).collect()
    }

    #[test]
    fn a_day_may_be_typed_relative_to_today() {
        let today: NaiveDate = "2026-03-01".parse().unwrap();
        for (text, expected) in [
            ("2026-01-31", "2026-01-31"),
            ("today", "2026-03-01"),
            ("yesterday", "2026-02-28"),
            ("0d", "2026-03-01"),
            ("90d", "2025-12-01"),
        ] {
            let day: TypedDay = text.parse().unwrap();
            assert_eq!(day.on(today).to_string(), expected, "{text}");
        }
        for text in ["", "d", "-1d", "1.5d", "99999d", "tomorrow", "Yesterday", "2026-1-1"] {
            assert!(text.parse::<TypedDay>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn windows_tile_the_range_without_gap_or_overlap(range in any_range(), max_days in 0_u64..400) {
            let windows = range.windows(max_days);
            prop_assert_eq!(days_of(&windows), days_of(&[range]));
            let (last, full) = windows.split_last().unwrap();
            prop_assert!(full.iter().all(|window| window.len_days() == max_days.max(1)));
            prop_assert!(last.len_days() <= max_days.max(1));
        }

        #[test]
        fn halves_tile_the_range_and_differ_by_a_day_at_most(range in any_range()) {
            match range.split_in_half() {
                None => prop_assert_eq!(range.len_days(), 1),
                Some((first, second)) => {
                    prop_assert_eq!(days_of(&[first, second]), days_of(&[range]));
                    prop_assert!(first.len_days() - second.len_days() <= 1);
                }
            }
        }

        #[test]
        fn an_intersection_holds_exactly_the_common_days(one in any_range(), other in any_range()) {
            let common: Vec<_> = one.days().filter(|day| other.contains(*day)).collect();
            prop_assert_eq!(one.intersect(other).map_or(Vec::new(), |range| range.days().collect()), common);
            prop_assert_eq!(one.intersect(other), other.intersect(one));
        }

        #[test]
        fn clamping_the_start_drops_exactly_the_earlier_days(range in any_range(), earliest in any_day()) {
            let kept: Vec<_> = range.days().filter(|day| *day >= earliest).collect();
            prop_assert_eq!(range.clamp_start(earliest).map_or(Vec::new(), |range| range.days().collect()), kept);
        }

        #[test]
        fn contiguous_ranges_hold_exactly_the_days_and_do_not_touch(
            days in proptest::collection::btree_set(any_day(), 0..60),
        ) {
            let ranges = contiguous_ranges(&days);
            prop_assert_eq!(days_of(&ranges), days.into_iter().collect::<Vec<_>>());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].to().succ_opt().unwrap() < pair[1].from()));
        }

        #[test]
        fn retention_goes_back_whole_months(date in any_day(), months in 0_u32..36) {
            let before = months_before(date, months);
            prop_assert!(before <= date);
            prop_assert!(before.checked_add_months(Months::new(months)).unwrap() <= date);
        }

        #[test]
        fn a_local_time_that_exists_is_shown_again_by_its_instant(
            seconds in 0_i64..4_000_000_000, zone in 0..chrono_tz::TZ_VARIANTS.len(),
        ) {
            let timezone = chrono_tz::TZ_VARIANTS[zone];
            let local = DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let shown = local_to_utc(local, timezone).with_timezone(&timezone).naive_local();
            let exists = timezone.from_local_datetime(&local).earliest().is_some();
            if exists { prop_assert_eq!(shown, local) } else { prop_assert!(shown > local) }
        }
    }

    fn instant(local: &str, timezone: Tz) -> String {
        let local = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
        local_to_utc(local, timezone).format("%Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn a_repeated_hour_is_its_first_occurrence() {
        for (zone, local, utc) in [
            (Tz::Europe__Paris, "2026-10-25 02:30", "2026-10-25 00:30"),
            (Tz::America__New_York, "2026-11-01 01:30", "2026-11-01 05:30"),
            (Tz::Australia__Lord_Howe, "2026-04-05 01:45", "2026-04-04 14:45"),
        ] {
            assert_eq!(instant(local, zone), utc, "{zone}");
        }
    }

    #[test]
    fn a_skipped_time_is_moved_forward_by_the_gap() {
        for (zone, local, utc) in [
            (Tz::Europe__Paris, "2026-03-29 02:30", "2026-03-29 01:30"),
            (Tz::America__New_York, "2026-03-08 02:00", "2026-03-08 07:00"),
            (Tz::Australia__Lord_Howe, "2026-10-04 02:15", "2026-10-03 15:45"),
        ] {
            assert_eq!(instant(local, zone), utc, "{zone}");
        }
    }

    #[test]
    fn a_skipped_day_becomes_the_next() {
        assert_eq!(instant("2011-12-30 05:00", Tz::Pacific__Apia), "2011-12-30 15:00");
        assert_eq!(instant("2011-12-31 05:00", Tz::Pacific__Apia), "2011-12-30 15:00");
    }

    #[test]
    fn no_time_is_too_far_away_to_convert() {
        for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
            for timezone in [Tz::Europe__Paris, Tz::Pacific__Apia, Tz::UTC] {
                local_to_utc(local, timezone);
            }
        }
    }

    #[test]
    fn retention_of_a_longer_month_ends_on_the_last_day_of_the_shorter() {
        assert_eq!(months_before(day("2026-05-31"), 3), day("2026-02-28"));
        assert_eq!(months_before(day("2024-02-29"), 24), day("2022-02-28"));
        assert_eq!(months_before(day("2026-05-31"), u32::MAX), NaiveDate::MIN);
    }

    #[test]
    fn an_odd_range_gives_the_first_half_the_extra_day() {
        let halves = range("2026-01-01", "2026-01-05").split_in_half().unwrap();
        assert_eq!(halves, (range("2026-01-01", "2026-01-03"), range("2026-01-04", "2026-01-05")));
    }

    #[test]
    fn only_the_one_form_of_date_is_read() {
        assert_eq!(parse_date("2026-02-28").unwrap().to_string(), "2026-02-28");
        for text in
            ["2026-02-29", "2026-2-1", "20260201", "+2026-02-1", "2026/02/01", "2026-02-01T00:00", "", "é026-02-0"]
        {
            assert!(parse_date(text).unwrap_err().to_string().contains("YYYY-MM-DD"), "{text}");
        }
    }
}
