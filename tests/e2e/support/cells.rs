//! Values in one canonical form, so that what was written and what should have been written can be compared whole.
//!
//! A cell is a JSON value: decimals and instants as text with all nine or six decimals, floats as the shortest text
//! that reads back as the same double. Nothing here is shared with the program's own conversions.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

/// A row by column name.
pub(crate) type Row = std::collections::BTreeMap<String, Value>;

/// A decimal of `billionths`.
pub(crate) fn decimal(billionths: i128) -> Value {
    let sign = if billionths < 0 { "-" } else { "" };
    let (whole, fraction) = (billionths.unsigned_abs() / 1_000_000_000, billionths.unsigned_abs() % 1_000_000_000);
    json!(format!("{sign}{whole}.{fraction:09}"))
}

/// A double.
pub(crate) fn float(value: f64) -> Value {
    json!(format!("{value:?}"))
}

/// An instant in microseconds since 1970.
pub(crate) fn instant(micros: i64) -> Value {
    let instant = DateTime::from_timestamp_micros(micros).expect("an instant of this era");
    json!(instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A date in days since 1970.
pub(crate) fn date(days: i32) -> Value {
    json!((NaiveDate::default() + chrono::TimeDelta::days(days.into())).to_string())
}

/// Billionths of a decimal text, rounded half to even: written for clarity, digit by digit.
pub(crate) fn billionths(text: &str) -> i128 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().expect("an exponent");
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    // The position of the decimal point, and nine digits further: what comes after is rounded away.
    let cut = i32::try_from(whole.len()).expect("short") + exponent + 9;
    let padded = if cut < 0 {
        format!("{}{digits}", "0".repeat(cut.unsigned_abs() as usize))
    } else {
        format!("{digits}{}", "0".repeat((cut.unsigned_abs() as usize).saturating_sub(digits.len())))
    };
    let (kept, dropped) = padded.split_at(usize::try_from(cut.max(0)).expect("not negative"));
    let kept: i128 = if kept.is_empty() { 0 } else { kept.parse().expect("digits") };
    let half = format!("5{}", "0".repeat(dropped.len().saturating_sub(1)));
    let rounded = match dropped.cmp(half.as_str()) {
        _ if dropped.is_empty() => kept,
        std::cmp::Ordering::Less => kept,
        std::cmp::Ordering::Equal => kept + kept % 2,
        std::cmp::Ordering::Greater => kept + 1,
    };
    if negative { -rounded } else { rounded }
}

/// What a wire text becomes in a column of type `kind`.
pub(crate) fn from_wire(kind: &str, text: &str, zone: Tz) -> Value {
    match kind {
        "STRING" => json!(text),
        "JSON" => serde_json::from_str(text).expect("JSON"),
        "INTEGER" => {
            let value = billionths(text);
            assert_eq!(value % 1_000_000_000, 0, "`{text}` is no count");
            json!(i64::try_from(value / 1_000_000_000).expect("64 bits"))
        }
        "NUMERIC" => decimal(billionths(text)),
        "FLOAT" => float(text.parse().expect("a float")),
        "BOOLEAN" => json!(matches!(text, "True" | "Yes" | "true")),
        "DATE" => json!(text.get(..10).expect("a date").parse::<NaiveDate>().expect("a date").to_string()),
        "TIMESTAMP" => instant(moment(text, zone).timestamp_micros()),
        other => panic!("no wire text becomes {other}"),
    }
}

/// `MM/DD/YYYY HH:MM:SS` in `zone`, or an RFC 3339 instant.
pub(crate) fn moment(text: &str, zone: Tz) -> DateTime<Utc> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return instant.to_utc();
    }
    let local = NaiveDateTime::parse_from_str(text, "%m/%d/%Y %H:%M:%S").expect("a time");
    zone.from_local_datetime(&local).earliest().expect("not in a gap").to_utc()
}

#[test]
fn the_yardstick_rounds_half_to_even() {
    for (text, expected) in [
        ("0", 0),
        ("12.40", 12_400_000_000),
        (".5", 500_000_000),
        ("-.5", -500_000_000),
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("0.00000000250000", 2),
        ("0.00000000250001", 3),
        ("-0.0000000015", -2),
        ("1.5E-9", 2),
        ("5E-10", 0),
        ("6E-10", 1),
        ("9E-12", 0),
        ("1.234E+1", 12_340_000_000),
        ("12E2", 1_200_000_000_000),
    ] {
        assert_eq!(billionths(text), expected, "{text}");
    }
}
