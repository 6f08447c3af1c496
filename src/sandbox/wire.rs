//! How numbers, dates and keys look on the wire.
//!
//! Text only: this file turns exact values into the spellings that Criteo is known or suspected to use, and never
//! decides what a value is.

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;

/// A value of a report cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Count(i64),
    /// Thousandths.
    Milli(i64),
    /// Billionths, exact.
    Nano(i128),
    /// A quotient; `None` when divided by zero.
    Quotient(Option<f64>),
    Word(&'static str),
}

/// The text of a value; `variety` picks among spellings of the same amount.
pub(super) fn text(value: Value, variety: u64) -> String {
    match value {
        Value::Count(count) => count.to_string(),
        Value::Milli(milli) => decimal(i128::from(milli), 3, 0),
        Value::Nano(nano) => money(nano, variety),
        Value::Quotient(None) => "0".to_owned(),
        Value::Quotient(Some(quotient)) => quotient.to_string(),
        Value::Word(word) => word.to_owned(),
    }
}

/// Money: mostly plain with varying decimals, now and then with an exponent or as a double prints it. All spellings
/// are equal when rounded to nine decimals.
fn money(nano: i128, variety: u64) -> String {
    match variety % 64 {
        7 if nano != 0 => exponent(nano),
        23 if nano % 1_000 == 0 && nano != 0 => format!("{}000000001", decimal(nano, 9, 6)),
        choice => decimal(nano, 9, [0, 2, 4][usize::try_from(choice % 3).unwrap_or(0)]),
    }
}

fn exponent(nano: i128) -> String {
    let digits = nano.unsigned_abs().to_string();
    let power = i64::try_from(digits.len()).unwrap_or(0) - 10;
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let sign = if nano < 0 { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{power:+}")
}

/// `units` of 10^-`scale`, with at least `least` decimals and no further trailing zeros.
pub(super) fn decimal(units: i128, scale: usize, least: usize) -> String {
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let kept = fraction.trim_end_matches('0').len().max(least.min(scale));
    let sign = if units < 0 { "-" } else { "" };
    if kept == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..kept]) }
}

/// `MM/DD/YYYY HH:MM:SS` in the zone of the report (API.md 4.1 and 4.4).
pub(super) fn moment(epoch_seconds: i64, zone: Tz) -> String {
    let utc = DateTime::from_timestamp(epoch_seconds, 0).expect("an instant of this era");
    utc.with_timezone(&zone).format("%m/%d/%Y %H:%M:%S").to_string()
}

/// The hour that began `hours` local hours after 1970, as `MM/DD/YYYY HH:MM:SS` (API.md 4.1).
pub(super) fn hour(hours: u32) -> String {
    let local = DateTime::UNIX_EPOCH + TimeDelta::hours(i64::from(hours));
    local.format("%m/%d/%Y %H:%M:%S").to_string()
}

/// The date that many days after 1970, as `YYYY-MM-DD` (API.md 4.1).
pub(super) fn date(days: u32) -> String {
    (NaiveDate::default() + TimeDelta::days(i64::from(days))).to_string()
}

/// The first letter small: how the placements report spells its keys (API.md 4.3).
pub(super) fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_vary_but_the_amount_does_not() {
        assert_eq!(decimal(12_400_000_000, 9, 0), "12.4");
        assert_eq!(decimal(12_400_000_000, 9, 2), "12.40");
        assert_eq!(decimal(-123_000, 9, 0), "-0.000123");
        assert_eq!(decimal(0, 9, 0), "0");
        assert_eq!(money(12_340_000_000, 7), "1.234E+1");
        assert_eq!(money(12_340_000_000, 23), "12.340000000000001");
        assert_eq!(money(90_000, 7), "9E-5");
    }

    #[test]
    fn hours_are_american_and_days_are_not() {
        assert_eq!(hour(24 * 365 + 13), "01/01/1971 13:00:00");
        assert_eq!(date(31), "1970-02-01");
        assert_eq!(camel("AdsetId"), "adsetId");
    }
}
