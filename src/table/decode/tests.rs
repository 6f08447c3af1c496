//! Claims about the report decoder: shapes, spellings, chunk boundaries, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalog::{Catalog, TableOverrides};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A small table: day, advertiser, two counts, money and a ratio.
fn layout() -> Arc<ReportLayout> {
    let overrides = TableOverrides {
        dimensions: Some(vec!["AdvertiserId".to_owned()]),
        metrics: Some(["Clicks", "AdvertiserCost", "SalesPc30d", "ClickThroughRate"].map(str::to_owned).into()),
        ..TableOverrides::default()
    };
    let (table, _) = Catalog::get().resolve("ad_statistics_daily", &overrides).unwrap();
    Arc::new(ReportLayout::new(&table, chrono_tz::UTC, "EUR").unwrap())
}

fn decode_in(chunks: &[&[u8]]) -> Result<DecodedReport, DecodeError> {
    let days = DateRange::new(day("2026-09-01"), day("2026-09-03")).unwrap();
    let mut decoder = ReportDecoder::new(layout(), RequestedRows { days, disclosed: None, day_is_given: false });
    for chunk in chunks {
        decoder.feed(chunk)?;
    }
    decoder.finish()
}

fn decode(body: &str) -> Result<DecodedReport, DecodeError> {
    decode_in(&[body.as_bytes()])
}

/// Every value of a report, by day, as text.
fn shown(report: &DecodedReport) -> Vec<String> {
    let mut lines = Vec::new();
    for (day, rows) in report.partitions.iter() {
        for &row in rows.members() {
            lines.push(format!("{day} {:?}", rows.rows().row(row).collect::<Vec<_>>()));
        }
    }
    lines
}

const ROW: &str = r#"{"AdvertiserId":"9007199254740993","Advertiser":"A \"B\"\n😀","Day":"2026-09-01","Currency":"EUR",
    "Clicks":"35","AdvertiserCost":"12.40","SalesPc30d":"1.5","ClickThroughRate":".0138"}"#;

#[test]
fn every_envelope_gives_the_same_rows() {
    let expected = shown(&decode(&format!(r#"{{"Rows":[{ROW}],"Total":{{"Clicks":"35"}}}}"#)).unwrap());
    assert_eq!(expected.len(), 1);
    for body in [
        format!(r#"{{"Total":{{"Clicks":"35"}},"Rows":[{ROW}]}}"#),
        format!(r#"{{"rows":[{ROW}]}}"#),
        format!("[{ROW}]"),
        format!(" \u{feff}[{ROW}]").trim_start().to_owned(),
        format!(r#"{{"data":[{{"type":"x","attributes":{{"rows":[{ROW}]}}}}],"errors":[],"warnings":[]}}"#),
        format!(r#"{{"data":[{{"attributes":{{"total":1,"Rows":[{ROW}],"more":{{}}}},"type":"x"}}]}}"#),
        format!(r#"{{"errors":[],"data":[{{"type":"x","attributes":{ROW}}}]}}"#),
    ] {
        assert_eq!(shown(&decode(&body).unwrap()), expected, "{body}");
    }
}

#[test]
fn spelling_does_not_matter() {
    let expected = shown(&decode(&format!("[{ROW}]")).unwrap());
    for row in [
        ROW.replace("\"AdvertiserId\"", "\"advertiserId\"").replace("\"Clicks\"", "\"CLICKS\""),
        ROW.replace("\"9007199254740993\"", "9007199254740993").replace("\"35\"", "35").replace("\"12.40\"", "12.4"),
        ROW.replace("\"35\"", "\"3.5E1\"").replace("\"12.40\"", "1240e-2").replace("\".0138\"", "0.0138"),
        ROW.replace("2026-09-01", "2026/9/1"),
        ROW.replace("2026-09-01", "2026-09-01T00:00:00"),
        ROW.replace("2026-09-01", "09/01/2026 00:00:00"),
        ROW.replace("\"Currency\":\"EUR\",", ""),
    ] {
        assert_eq!(shown(&decode(&format!("[{row}]")).unwrap()), expected, "{row}");
    }
}

#[test]
fn null_and_empty_text_are_absent_and_nan_is_in_a_quotient_only() {
    let absent = shown(&decode(&format!("[{}]", ROW.replace("\".0138\"", "null"))).unwrap());
    for text in ["\"\"", "\"NaN\"", "\"Infinity\""] {
        assert_eq!(shown(&decode(&format!("[{}]", ROW.replace("\".0138\"", text))).unwrap()), absent, "{text}");
    }
    let error = misfit(&format!("[{}]", ROW.replace("\"12.40\"", "\"NaN\"")));
    assert!(error.to_string().contains("column `advertiser_cost`, row 1"), "{error}");
}

#[test]
fn no_rows_is_an_answer_and_an_unknown_shape_is_not() {
    for body in [r#"{"Rows":[],"Total":{}}"#, "[]", r#"{"data":[]}"#, r#"{"data":[{"attributes":{"rows":[]}}]}"#] {
        assert_eq!(decode(body).unwrap().rows, 0, "{body}");
    }
    for body in [
        "{}",
        r#"{"Total":{}}"#,
        r#"{"Rows":null}"#,
        r#"{"Rows":{}}"#,
        r#"{"columns":["Day"],"data":[["2026-09-01"]]}"#,
        r#"{"data":[{"type":"x"}]}"#,
        r#"{"data":[{"attributes":null}]}"#,
        r#"{"Rows":[],"data":[]}"#,
        "[[1]]",
        "42",
        "\"text\"",
        "null",
    ] {
        let error = decode(body).unwrap_err();
        assert!(matches!(error, DecodeError::UnknownEnvelope { .. }), "{body}: {error}");
        assert!(!error.is_retryable());
    }
}

#[test]
fn what_is_broken_may_be_asked_for_again() {
    let without_comma = format!("[{ROW}{ROW}]");
    let bodies =
        ["", "<html><body>Bad gateway", "[{\"Day\":", r#"{"Rows":[]"#, r#"{"Rows":[]}}"#, &without_comma, "[1e]"];
    for body in bodies {
        let error = decode(body).unwrap_err();
        assert!(error.is_retryable(), "{body}: {error}");
    }
    let error = decode("<!DOCTYPE html>\n<html>").unwrap_err();
    assert!(error.to_string().contains("`<!DOCTYPE html>"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_names_table_column_row_and_text() {
    let error = misfit(&format!("[{ROW},{}]", ROW.replace("\"35\"", "\"35.5\"")));
    let expected =
        "table `ad_statistics_daily`, column `clicks`, row 2 of the response: `35.5` is a count that is not whole";
    assert_eq!(error.to_string(), expected);
    for (from, to) in [("\"12.40\"", "\"12,40\""), ("\"12.40\"", "\"1e30\""), ("\"35\"", "true")] {
        let error = misfit(&format!("[{}]", ROW.replace(from, to)));
        assert!(matches!(error, DecodeError::Value { row: 1, .. }), "{to}: {error}");
    }
    let error = decode(&format!("[{}]", ROW.replace("2026-09-01", "soon"))).unwrap_err();
    assert!(matches!(error, DecodeError::Value { row: 1, .. }), "a row without a day belongs to no day: {error}");
}

/// Why the only unusable day of a body is unusable.
fn misfit(body: &str) -> DecodeError {
    let mut report = decode(body).unwrap();
    assert_eq!(report.unusable_days.len(), 1, "{body}");
    report.unusable_days.pop_first().unwrap().1.error
}

#[test]
fn a_value_that_does_not_fit_costs_its_day_and_no_other() {
    let other = |day: &str| ROW.replace("2026-09-01", day);
    let bad = |day: &str, value: &str| other(day).replace("\"1.5\"", value);
    for value in ["\"N/A\"", "\"1,234.50\"", "\"NaN\"", "true", &format!("\"{}\"", "9".repeat(70_000))] {
        let rows = [other("2026-09-01"), bad("2026-09-02", value), other("2026-09-02"), bad("2026-09-02", value)];
        let report = decode(&format!("[{},{}]", rows.join(","), other("2026-09-03"))).unwrap();
        assert_eq!(report.rows, 5, "rows are counted, since the cap counts them");
        let days: Vec<_> = report.partitions.iter().map(|(date, rows)| (date, rows.len())).collect();
        assert_eq!(days, [(day("2026-09-01"), 1), (day("2026-09-03"), 1)], "{value}");
        let unusable: Vec<_> = report.unusable_days.iter().map(|(date, day)| (*date, day.misfit_rows)).collect();
        assert_eq!(unusable, [(day("2026-09-02"), 2)], "{value}");
        let error = report.unusable_days[&day("2026-09-02")].error.to_string();
        assert!(error.contains("column `sales_pc30d`, row 2 of the response"), "{error}");
    }
}

#[test]
fn a_row_of_another_day_or_without_its_keys_is_refused() {
    let error = decode(&format!("[{}]", ROW.replace("2026-09-01", "2026-09-04"))).unwrap_err();
    assert!(matches!(error, DecodeError::DayOutside { .. }), "{error}");
    let error = misfit(&format!("[{}]", ROW.replace("AdvertiserId", "Other")));
    assert!(matches!(error, DecodeError::MissingField { .. }), "{error}");
    let error = decode(&format!("[{}]", ROW.replace("\"Day\"", "\"Other\""))).unwrap_err();
    assert!(matches!(error, DecodeError::MissingField { .. }), "{error}");
}

fn decoder() -> ReportDecoder {
    let days = DateRange::single(day("2026-09-01"));
    ReportDecoder::new(layout(), RequestedRows { days, disclosed: None, day_is_given: false })
}

#[test]
fn what_is_json_but_unusable_is_refused_at_once() {
    for body in [
        format!("[{}]", ROW.replace("\"Clicks\":\"35\"", "\"Clicks\":\"35\",\"clicks\":\"36\"")),
        format!(r#"{{"data":[{{"attributes":{ROW},"attributes":{ROW}}}]}}"#),
    ] {
        let error = decode(&body).unwrap_err();
        assert!(matches!(error, DecodeError::Unusable { .. }) && !error.is_retryable(), "{body}: {error}");
    }
    for twice in [r#"{"Rows":[],"Rows":[]}"#, r#"{"Rows":[],"rows":[]}"#, r#"{"Rows":[],"R\u006fws":[]}"#] {
        let error = decode(twice).unwrap_err();
        assert!(error.to_string().contains("beside another list of rows") && !error.is_retryable(), "{error}");
    }
}

#[test]
fn text_that_is_not_unicode_is_kept_and_noted_with_its_column() {
    let half = format!("[{}]", ROW.replace("A \\\"B", "A \\udc00"));
    let stray = ROW.replace("A \\\"B", "A ?").into_bytes();
    let stray: Vec<u8> = stray.into_iter().map(|byte| if byte == b'?' { 0xFF } else { byte }).collect();
    for body in [half.into_bytes(), [b"[".as_slice(), &stray, b"]"].concat()] {
        for size in [1, 7, body.len()] {
            let mut decoder = decoder();
            body.chunks(size).for_each(|chunk| decoder.feed(chunk).unwrap());
            let report = decoder.finish().unwrap();
            assert_eq!((report.rows, report.bytes), (1, body.len() as u64));
            let noted: Vec<_> = report.repaired.iter().collect();
            assert!(matches!(noted.as_slice(), [(_, text)] if text.starts_with("A \u{fffd}")), "{noted:?}");
        }
    }
    assert!(decode(&format!("[{}]", ROW.replace("A ", "\u{fffd} "))).unwrap().repaired.is_empty(), "as Criteo has it");
}

#[test]
fn an_unknown_field_may_be_nested_as_deeply_as_a_row_is_long() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let report = decode(&format!("[{}]", ROW.replace("\"Day\"", &format!("\"New\":{deep},\"Day\"")))).unwrap();
    assert_eq!(report.rows, 1);
    let beside = decode(&format!("{{\"Rows\":[{ROW}],\"New\":{deep}}}")).unwrap();
    assert_eq!(beside.rows, 1);
    let error = decode(&format!("[{ROW},{{\"x\":{}", "[".repeat(2 << 20))).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { rows: 1 }), "{error}");
}

#[test]
fn a_piece_beyond_the_limit_is_refused_however_the_body_is_cut() {
    let huge = format!("[{ROW},{{\"x\":\"{}\"}}]", "y".repeat(MAX_PIECE_BYTES));
    let broken = huge.replace("\"}]", "\u{1}");
    for body in [huge, broken] {
        for size in [1000, 70_000, body.len()] {
            let chunks: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            let error = decode_in(&chunks).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { rows: 1 }), "{size}: {error}");
        }
    }
}

#[test]
fn a_text_or_a_number_longer_than_a_cell_is_refused_with_its_column() {
    let fits = ROW.replace("A \\\"B", &"a".repeat(MAX_TEXT_BYTES - 20));
    assert_eq!(decode(&format!("[{fits}]")).unwrap().rows, 1);
    let long = "7".repeat(MAX_TEXT_BYTES + 1);
    for (row, column) in [
        (ROW.replace("A \\\"B", &long), "advertiser_name"),
        (ROW.replace("\"9007199254740993\"", &long), "advertiser_id"),
        (ROW.replace("\"35\"", &long), "clicks"),
        (ROW.replace("\".0138\"", &format!("0.{long}")), "click_through_rate"),
    ] {
        let error = misfit(&format!("[{row}]")).to_string();
        let expected = format!("table `ad_statistics_daily`, column `{column}`, row 1");
        assert!(error.contains(&expected) && error.contains("longer than") && error.len() < 400, "{error}");
    }
}

#[test]
fn rows_beyond_the_memory_they_may_take_are_refused_as_too_many() {
    let mut decoder = decoder();
    decoder.max_held = 1 << 20;
    let error = (0..1_000).find_map(|number| {
        let row = ROW.replace("A \\\"B", &format!("{number}-{}", "a".repeat(4000)));
        decoder.feed(format!("{}{row}", if number == 0 { "[" } else { "," }).as_bytes()).err()
    });
    assert!(matches!(error, Some(DecodeError::TooMuch { rows: 200..600 })), "{error:?}");
}

#[test]
fn what_is_not_text_is_refused() {
    assert!(decode_in(&[b"[{\"Advertiser\":\"\xff\xfe\""]).is_err());
    assert!(decode("[{\"Advertiser\":\"a\u{0}b\"}]").is_err());
}

#[test]
fn a_body_that_drips_is_not_read_again_for_each_byte() {
    // A quadratic reader would look at half a terabyte.
    let body = format!("[{}]", ROW.replace("\"Day\"", &format!("\"New\":\"{}\",\"Day\"", "y".repeat(1_000_000))));
    let chunks: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(decode_in(&chunks).unwrap().rows, 1);
}

#[test]
fn long_keys_are_not_remembered_for_the_next_row() {
    let mut decoder = decoder();
    decoder.feed(b"[").unwrap();
    for row in 0..8 {
        let key = "k".repeat(500_000);
        let keys: String = (0..row).map(|number| format!("\"x{number}\":0,")).collect();
        let comma = if row == 0 { "" } else { "," };
        decoder.feed(ROW.replacen('{', &format!("{comma}{{{keys}\"{key}\":0,"), 1).as_bytes()).unwrap();
    }
    let remembered: usize = decoder.keys.expected.iter().map(|key| key.literal.len()).sum();
    assert!(remembered < 10_000, "{remembered}");
    let unknown: usize = decoder.keys.unknown.iter().map(String::len).sum();
    assert!(unknown < 10_000, "{unknown}");
}

#[test]
fn white_space_costs_no_memory_and_ends_somewhere() {
    let blank = vec![b' '; 1 << 20];
    for (before, after) in [("", "[]"), ("{", "\"Rows\":[]}"), ("{\"Rows\": [", "]}"), ("[]", "")] {
        let mut patient = decoder();
        patient.feed(before.as_bytes()).unwrap();
        (0..63).for_each(|_| patient.feed(&blank).unwrap());
        assert!(patient.buffer.len() < 16 && patient.buffer.capacity() <= 4 << 20, "{before}");
        patient.feed(after.as_bytes()).unwrap();
        assert_eq!(patient.finish().unwrap().rows, 0, "{before}");
        let mut endless = decoder();
        endless.feed(before.as_bytes()).unwrap();
        let refused = (0..100).find_map(|fed| Some((fed, endless.feed(&blank).err()?)));
        assert!(matches!(refused, Some((64, DecodeError::Blank { rows: 0 }))), "{before}: {refused:?}");
    }
}

#[test]
fn errors_and_warnings_beside_the_rows_are_handed_on() {
    let report = decode(r#"{"errors":[{"code":"x"}],"warnings":[ ],"Rows":[]}"#).unwrap();
    assert_eq!(report.errors.as_deref(), Some(br#"[{"code":"x"}]"#.as_slice()));
    assert_eq!(report.warnings, None);
}

#[test]
fn a_field_that_came_unasked_is_remembered_once() {
    let row = ROW.replace("\"Day\"", "\"New\":{\"a\":[1]},\"Day\"");
    let report = decode(&format!("[{row},{row}]")).unwrap();
    assert_eq!(report.unknown_fields, ["New".to_owned()].into());
    assert_eq!(report.rows, 2);
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_matter(cuts in prop::collection::vec(0_usize..700, 0..12)) {
        let other = ROW.replace("2026-09-01", "2026-09-03").replace("\"Clicks\":\"35\",", "");
        let body = format!(r#"{{"Total":{{"a":[1,{{}}]}},"data":[{{"attributes":{{"rows":[{ROW},{other} , {ROW}]}}}}]}}"#);
        let whole = shown(&decode(&body).unwrap());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(shown(&decode_in(&chunks).unwrap()), whole);
    }

    #[test]
    fn any_text_and_number_comes_back_as_it_went_in(
        name in any::<String>(), cost in -10_i128.pow(37)..10_i128.pow(37), clicks in any::<i64>(), as_text in any::<bool>(),
    ) {
        let cost_text = numeric::format_numeric(cost);
        let mut row = json!({
            "AdvertiserId": "1", "Advertiser": name, "Day": "2026-09-02", "Clicks": clicks, "AdvertiserCost": cost_text,
            "SalesPc30d": null, "ClickThroughRate": "",
        });
        if as_text {
            row["Clicks"] = json!(clicks.to_string());
        }
        let report = decode(&json!({"Rows": [row]}).to_string()).unwrap();
        let columns = report.partitions.rows().columns();
        let layout = layout();
        let position = |name: &str| layout.columns().position(|column| column.name == name).unwrap();
        let expected_name = if name.is_empty() { Value::Null } else { Value::Text(&name) };
        prop_assert_eq!(columns[position("advertiser_name")].get(0), expected_name);
        prop_assert_eq!(columns[position("advertiser_cost")].get(0), Value::Numeric(cost));
        prop_assert_eq!(columns[position("clicks")].get(0), Value::Integer(clicks));
        prop_assert_eq!(columns[position("sales_pc30d")].get(0), Value::Null);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_in(&[&body]);
    }

    #[test]
    fn arbitrary_json_is_refused_or_read_without_a_panic(body in r#"[\[\]{}",:0-9 a-zA-Z\\]{0,120}"#) {
        let _ = decode(&body);
    }
}
