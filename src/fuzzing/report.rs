//! Report bodies: how they are cut makes no difference, and what was accepted can be said again.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, TimeDelta};

use crate::catalog::{Catalog, Column, TableOverrides};
use crate::dates::DateRange;
use crate::table::columns::Value;
use crate::table::decode::{DecodeError, DecodedReport, ReportDecoder, ReportLayout, RequestedRows};
use crate::table::numeric::format_numeric;
use crate::table::order::KeyOrder;

/// Tables whose rows differ in where their day comes from and in the envelope that Criteo gives them.
const TABLES: [&str; 4] = ["ad_statistics_daily", "ad_set_statistics_hourly", "placements_daily", "transactions"];

static LAYOUTS: LazyLock<Vec<Arc<ReportLayout>>> = LazyLock::new(|| {
    let layout = |name: &str| {
        let (table, _) = Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table");
        Arc::new(ReportLayout::new(&table, chrono_tz::Europe::Paris, "EUR").expect("a report"))
    };
    TABLES.map(layout).into()
});

/// The first byte chooses the table, the second how the body, which is the rest, is cut to pieces.
pub fn report(bytes: &[u8]) {
    let [table, cut, body @ ..] = bytes else { return };
    let layout = &LAYOUTS[usize::from(*table) % LAYOUTS.len()];
    let whole = decode(layout, body, body.len().max(1));
    for size in [1, 1 + usize::from(*cut)] {
        let pieces = decode(layout, body, size);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(shown(whole), shown(pieces), "in pieces of {size}"),
            // What a body that is no JSON starts with is as much of it as had come.
            (Err(DecodeError::NotJson { .. }), Err(DecodeError::NotJson { .. })) => {}
            (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string(), "in pieces of {size}"),
            (whole, pieces) => panic!("{whole:?} as a whole, {pieces:?} in pieces of {size}"),
        }
    }
    match whole {
        Ok(whole) => check_accepted(layout, body, &whole),
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 2000 && !said.contains('\u{1b}'), "{said}");
        }
    }
}

#[test]
fn the_corpus_has_rows_of_every_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/report");
    for (file, expected) in
        [("statistics-rows", 2), ("statistics-array", 2), ("hourly", 2), ("placements", 2), ("transactions", 2)]
    {
        let bytes = std::fs::read(folder.join(file)).expect("a file");
        let layout = &LAYOUTS[usize::from(bytes[0])];
        let report = decode(layout, &bytes[2..], 100).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(report.rows, expected, "{file}");
        assert!(encode(layout, &report).is_some(), "{file}");
    }
}

fn asked() -> RequestedRows {
    let day = |text: &str| text.parse().expect("a date");
    let days = DateRange::new(day("2026-09-01"), day("2026-09-03")).expect("a range");
    RequestedRows { days, disclosed: Some(true), day_is_given: false }
}

fn decode(layout: &Arc<ReportLayout>, body: &[u8], size: usize) -> Result<DecodedReport, DecodeError> {
    let mut decoder = ReportDecoder::new(Arc::clone(layout), asked());
    body.chunks(size).try_for_each(|chunk| decoder.feed(chunk))?;
    decoder.finish()
}

/// Everything that a body brought.
fn shown(report: &DecodedReport) -> Vec<String> {
    let mut lines = vec![format!("{:?} {:?} {:?}", report.errors, report.warnings, report.unknown_fields)];
    lines.extend(report.unusable_days.iter().map(|(day, unusable)| format!("{day} {unusable:?}")));
    lines.extend(report.repaired.keys().cloned());
    lines.extend(shown_rows(report));
    lines
}

fn shown_rows(report: &DecodedReport) -> Vec<String> {
    let mut lines = Vec::new();
    for (day, rows) in report.partitions.iter() {
        for &row in rows.members() {
            lines.push(format!("{day} {:?}", rows.rows().row(row).collect::<Vec<_>>()));
        }
    }
    lines
}

fn check_accepted(layout: &Arc<ReportLayout>, body: &[u8], report: &DecodedReport) {
    assert_eq!(report.bytes, body.len() as u64);
    let rows = report.partitions.rows();
    assert_eq!(report.rows, rows.len() as u64);
    assert!(rows.columns().iter().all(|column| column.len() == rows.len()));
    // A row has at least `{}`, and takes a few words for each column; a byte that is no text becomes three.
    let most = rows.len() * (40 * rows.columns().len()) + 4 * body.len();
    assert!(rows.held_bytes() <= most, "{} of {most}", rows.held_bytes());
    let order = KeyOrder::new(rows, layout.keys());
    let mut all = Vec::new();
    for (day, partition) in report.partitions.iter() {
        assert!(asked().days.contains(day), "{day}");
        let mut members = partition.members().to_vec();
        order.sort(&mut members);
        all.extend(members);
    }
    all.sort_unstable();
    if !report.unusable_days.is_empty() {
        assert!(all.is_sorted_by(|left, right| left < right) && all.len() < rows.len(), "unusable days have no rows");
        return check_unusable(report);
    }
    assert!(all.iter().map(|&row| row as usize).eq(0..rows.len()), "every row is in one partition once");
    if let Some(said_again) = encode(layout, report) {
        let again = decode(layout, said_again.as_bytes(), said_again.len());
        let again = again.unwrap_or_else(|error| panic!("{error}\n{said_again}"));
        assert_eq!(shown_rows(&again), shown_rows(report), "{said_again}");
    }
}

fn check_unusable(report: &DecodedReport) {
    for (day, unusable) in &report.unusable_days {
        let error = unusable.error.to_string();
        assert!(asked().days.contains(*day) && report.partitions.day(*day).is_empty(), "{day}");
        assert!(unusable.misfit_rows > 0 && error.contains(" row ") || error.starts_with("row "), "{error}");
        assert!(error.len() < 2000 && !error.contains('\u{1b}'), "{error}");
    }
}

/// The rows as a body of our own; `None` if a time has no spelling, because its year has not four digits.
fn encode(layout: &ReportLayout, report: &DecodedReport) -> Option<String> {
    let mut body = String::from("{\"Rows\":[");
    for row in
        report.partitions.iter().flat_map(|(_, rows)| rows.members().iter().map(move |&row| rows.rows().row(row)))
    {
        body.push_str(if body.ends_with('[') { "{" } else { ",{" });
        for (column, value) in layout.columns().zip(row) {
            if let Some(source) = column.source() {
                let comma = if body.ends_with('{') { "" } else { "," };
                write!(body, "{comma}\"{source}\":{}", spelt(column, value)?).expect("text takes text");
            }
        }
        body.push('}');
    }
    Some(body + "]}")
}

fn spelt(column: &Column, value: Value<'_>) -> Option<String> {
    let is_time = |text: &str| (text.len() >= 10 && !text.starts_with(['+', '-'])).then(|| format!("\"{text}\""));
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => serde_json::to_string(text).expect("text serializes"),
        Value::Integer(value) => value.to_string(),
        Value::Numeric(value) => format!("\"{}\"", format_numeric(value)),
        Value::Float(value) => format!("{value:e}"),
        Value::Boolean(value) => value.to_string(),
        Value::Date(days) => is_time(&(NaiveDate::default() + TimeDelta::days(days.into())).to_string())?,
        Value::Timestamp(micros) => {
            let time = DateTime::from_timestamp_micros(micros).unwrap_or_else(|| panic!("{micros} in {}", column.name));
            (1..=9999).contains(&time.year()).then_some(())?;
            is_time(&time.to_rfc3339_opts(SecondsFormat::Micros, true))?
        }
    })
}
