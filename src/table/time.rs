//! Dates and times as Criteo spells them: `2026-09-01`, `2026/9/1`, ISO date-times, `09/01/2026[ 13:00:00]`.
//!
//! The JSON day is ISO, the documented CSV day is `2020/9/10`, hours and transaction times were seen as
//! `MM/DD/YYYY HH:MM:SS` in the report time zone (Criteo docs, Campaign statistics and Transaction IDs pages). Anything
//! else is refused: a date read wrongly would land in the wrong partition.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::dates::local_to_utc;

/// A date, perhaps with a time, perhaps with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireTime {
    date: NaiveDate,
    time: NaiveTime,
    offset: Option<FixedOffset>,
}

impl WireTime {
    /// Reads any of the accepted spellings.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = split_date(text)?;
        let Some(rest) = rest else { return Some(Self { date, time: NaiveTime::MIN, offset: None }) };
        let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (time, zone) = rest.split_at(zone_at);
        let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"));
        let offset = match zone {
            "" => None,
            "Z" | "z" => FixedOffset::east_opt(0),
            zone => Some(zone.parse().ok()?),
        };
        Some(Self { date, time: time.ok()?, offset })
    }

    /// The date as written: for fields that are days, where Criteo means the date component only.
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// The instant: an explicit offset counts, else the time is one of `timezone` (see [`local_to_utc`] for hours that
    /// daylight saving repeats or skips).
    pub fn instant(&self, timezone: Tz) -> DateTime<Utc> {
        let local = NaiveDateTime::new(self.date, self.time);
        match self.offset {
            Some(offset) => (local - offset).and_utc(),
            None => local_to_utc(local, timezone),
        }
    }

    /// The calendar day in `timezone`.
    pub fn day_in(&self, timezone: Tz) -> NaiveDate {
        match self.offset {
            Some(_) => self.instant(timezone).with_timezone(&timezone).date_naive(),
            None => self.date,
        }
    }
}

/// The date at the start of `text`, and what follows its separator.
fn split_date(text: &str) -> Option<(NaiveDate, Option<&str>)> {
    let end = text.find(['T', ' ']);
    let (date, rest) = match end {
        Some(end) => (&text[..end], Some(&text[end + 1..])),
        None => (text, None),
    };
    let separator = if date.contains('/') { '/' } else { '-' };
    let mut parts = date.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = match (first.len(), third.len(), separator) {
        (4, _, _) => (first, second, third),
        (_, 4, '/') => (third, first, second),
        _ => return None,
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(year)?).ok()?, number(month)?, number(day)?)?;
    Some((date, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).expect("a valid date")
    }

    #[test]
    fn every_documented_spelling_is_read() {
        for text in [
            "2026-09-01",
            "2026/9/1",
            "2026-09-01T00:00:00",
            "2026-09-01T00:00:00.0000000+00:00",
            "09/01/2026",
            "9/1/2026",
            "09/01/2026 00:00:00",
        ] {
            assert_eq!(WireTime::parse(text).map(|time| time.date()), Some(day(2026, 9, 1)), "{text}");
        }
    }

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        let paris = chrono_tz::Europe::Paris;
        let instant = |text: &str| WireTime::parse(text).map(|time| time.instant(paris).to_rfc3339());
        assert_eq!(instant("07/15/2024 13:00:00").as_deref(), Some("2024-07-15T11:00:00+00:00"));
        assert_eq!(instant("2024-07-15T13:00:00Z").as_deref(), Some("2024-07-15T13:00:00+00:00"));
        assert_eq!(instant("2024-07-15T13:00:00+05:00").as_deref(), Some("2024-07-15T08:00:00+00:00"));
    }

    #[test]
    fn the_day_of_an_instant_is_that_of_the_report_time_zone() {
        let tokyo = chrono_tz::Asia::Tokyo;
        let time = WireTime::parse("2024-07-15T20:00:00Z").expect("valid");
        assert_eq!(time.day_in(tokyo), day(2024, 7, 16));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "today",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "01-09-2026",
            "2026-09-01 25:00:00",
            "20260901",
            "9/1/26",
            "2026-W36",
            "+026-01-01",
        ] {
            assert_eq!(WireTime::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = WireTime::parse(&text).map(|time| time.instant(chrono_tz::Europe::Paris));
        }
    }
}
