//! However Criteo wraps, spells and writes a report, the table is the same; what is no report is an error.

use serde_json::{Value, json};

use crate::support::account::{Account, small, tiny};
use crate::support::cells::Row;
use crate::support::scripted::{ADVERTISER, Reply, Scripted};
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files, program};

/// Every envelope that API clients have met.
const ENVELOPES: [&str; 6] =
    ["total-rows", "rows-total", "lower-rows", "bare-array", "data-attributes-rows", "data-attributes"];
const KEYS: [&str; 5] = ["pascal", "camel", "upper", "lower", "mixed"];
/// Ways to write numbers that lose nothing.
const EXACT_VALUES: [&str; 4] = ["strings", "numbers", "exponents", "no-leading-zero"];

const TABLES: [&str; 3] = ["ad_statistics_daily", "placement_categories_daily", "transactions"];
const DAY: &str = "2026-11-01";

fn truth(account: &Account, table: &str, date: &str) -> Vec<Row> {
    contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), day(date)))
}

#[test]
fn every_envelope_with_every_key_case_gives_the_same_table() {
    let account = Account::open(small());
    let expected = TABLES.map(|table| truth(&account, table, DAY));
    let line = format!("backfill --from {DAY} --to {DAY} --tables {}", TABLES.join(","));
    let mut pairs = 0;
    for (at, envelope) in ENVELOPES.iter().enumerate() {
        for (other, keys) in KEYS.iter().enumerate() {
            // Each envelope and each case also meets each way to write numbers.
            let values = EXACT_VALUES[(at + other) % EXACT_VALUES.len()];
            let spelling = format!("{envelope} {keys} {values}");
            account.set_faults([
                format!("envelope({envelope})@report"),
                format!("keys({keys})@report"),
                format!("values({values})@report"),
            ]);
            let document = account.run(&line).expect(0);
            assert_eq!(document["retries"], json!(0), "{spelling}");
            for (table, expected) in TABLES.iter().zip(&expected) {
                assert_eq!(&files::read(&account.output(), table, day(DAY)).content(), expected, "{spelling}: {table}");
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 30);
}

#[test]
fn one_run_may_meet_all_spellings_together() {
    // Each call is spelled in its own way: two a day for placements, and the totals after them.
    let account = Account::open(tiny());
    let mut faults = Vec::new();
    let mut call = 0;
    for envelope in ENVELOPES {
        for keys in KEYS {
            for values in EXACT_VALUES {
                for fault in [format!("envelope({envelope})"), format!("keys({keys})"), format!("values({values})")] {
                    faults.push(format!("{fault}@placements/report+{call}*1"));
                }
                call += 1;
            }
        }
    }
    account.set_faults(faults);
    account.run("backfill --from 2026-09-01 --to 2026-10-30 --tables placements_daily").expect(0);
    assert!(account.calls("placements/report").len() >= call, "all {call} spellings were met");
    account.heal();
    for date in days("2026-09-01", "2026-10-30") {
        let expected = truth(&account, "placements_daily", &date.to_string());
        assert_eq!(files::read(&account.output(), "placements_daily", date).content(), expected, "{date}");
    }
}

/// The expected rows where zero numbers and unknown names come as something absent.
fn without_zeros(table: &str, rows: Vec<Row>) -> Vec<Row> {
    let is_zero = |value: &Value| matches!(value.as_str(), Some("0.000000000" | "0.0")) || *value == json!(0);
    let is_measure = |name: &str| {
        let column = contract(table).columns.iter().find(|column| column["name"] == *name);
        column.is_some_and(|column| ["INTEGER", "NUMERIC", "FLOAT"].contains(&column["type"].as_str().unwrap_or("")))
    };
    let absent = |name: &str, value: &Value| {
        if is_measure(name) { is_zero(value) } else { *value == json!("Unknown") }
    };
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|row| {
            let each = row.into_iter();
            each.map(|(name, value)| if absent(&name, &value) { (name, Value::Null) } else { (name, value) }).collect()
        })
        .collect();
    contract(table).sort(&mut rows);
    rows
}

#[test]
fn null_and_empty_values_are_null_in_the_table() {
    let tables = ["ad_statistics_daily", "device_statistics_daily", "placements_daily", "transactions"];
    for style in ["null", "empty"] {
        let account = Account::with_faults([format!("values({style})@report")]);
        account.run(&format!("backfill --from {DAY} --to {DAY} --tables {}", tables.join(","))).expect(0);
        for table in tables {
            let expected = without_zeros(table, truth(&account, table, DAY));
            assert_eq!(files::read(&account.output(), table, day(DAY)).content(), expected, "{style}: {table}");
        }
    }
}

#[test]
fn an_undefined_ratio_is_null_and_an_undefined_sum_is_an_error() {
    let report = "[[reports]]\nname = 'ratios'\ndimensions = ['AdId']\nmetrics = ['ClickThroughRate', 'ECosPc30d']\n";
    let account = Account::with_faults(["values(nan)@report"]);
    account.configure(report);
    account.run(&format!("backfill --from {DAY} --to {DAY} --tables ratios")).expect(0);
    let rows = files::read(&account.output(), "ratios", day(DAY)).rows;
    assert!(rows.iter().any(|row| row["e_cos_pc30d"].is_null()), "an undefined ratio");
    assert!(rows.iter().any(|row| !row["click_through_rate"].is_null()), "a defined one");

    let document = account.run(&format!("backfill --from {DAY} --to {DAY} --tables ad_statistics_daily")).expect(4);
    let said = program::messages(&document, "errors");
    assert!(said.contains("`ad_statistics_daily`") && said.contains("`NaN`") && said.contains("row "), "{said}");
    assert!(!files::listing(&account.output()).contains_key("ad_statistics_daily"));
}

#[test]
fn a_byte_order_mark_and_megabytes_of_white_space_before_the_body_do_no_harm() {
    for fault in ["bom@report", "whitespace(3000000)@report"] {
        let account = Account::with_faults([fault]);
        account.run(&format!("backfill --from {DAY} --to {DAY} --tables {}", TABLES.join(","))).expect(0);
        for table in TABLES {
            let expected = truth(&account, table, DAY);
            assert_eq!(files::read(&account.output(), table, day(DAY)).content(), expected, "{fault}: {table}");
        }
    }
}

#[test]
fn fields_that_criteo_adds_are_reported_and_harm_nothing() {
    for fault in ["extra-field@report", "deep-nesting(50)@report", "deep-nesting(100000)@report"] {
        let account = Account::with_faults([fault]);
        let document =
            account.run(&format!("backfill --from {DAY} --to {DAY} --tables {}", TABLES.join(","))).expect(0);
        assert_eq!(program::codes(&document, "warnings"), ["unknown_fields"], "{fault}");
        for table in TABLES {
            let expected = truth(&account, table, DAY);
            assert_eq!(files::read(&account.output(), table, day(DAY)).content(), expected, "{fault}: {table}");
        }
    }
}

#[test]
fn text_that_is_not_unicode_is_stored_with_replacement_characters_and_reported() {
    for (fault, text) in [("half-surrogate", "Sale \u{fffd}"), ("invalid-utf8", "caf\u{fffd} \u{fffd}")] {
        let account = Account::with_faults([fault]);
        let line = "pull --tables ad_statistics_daily,transactions,advertisers,campaigns,creatives";
        let document = account.run(line).expect(0);
        let warnings = document["warnings"].as_array().expect("a list");
        assert!(warnings.iter().all(|warning| warning["code"] == json!("text_not_unicode")), "{fault}: {warnings:?}");
        let said = program::messages(&document, "warnings");
        for (table, date, named) in [
            ("ad_statistics_daily", "2026-11-09", "advertiser_name"),
            ("transactions", "2026-11-09", "advertiser_name"),
            (
                "advertisers",
                TODAY,
                if fault == "half-surrogate" { "advertiserName" } else { "the list of advertisers" },
            ),
            ("campaigns", TODAY, if fault == "half-surrogate" { "resource" } else { "`campaigns` of" }),
            ("creatives", TODAY, if fault == "half-surrogate" { "resource" } else { "`creatives` of advertiser" }),
        ] {
            let stored: String = days("2026-10-11", date)
                .iter()
                .filter(|date| files::path(&account.output(), table, **date).exists())
                .map(|date| format!("{:?}", files::read(&account.output(), table, *date).rows))
                .collect();
            assert!(stored.contains(text), "{fault}: `{text}` is not in {table}");
            assert!(said.contains(named), "{fault}: `{named}` is not in {said}");
        }
    }
}

#[test]
fn what_is_no_report_is_an_error_and_no_file() {
    for (fault, reason) in [
        ("envelope(columns)", "unknown shape"),
        ("html-with-200", "not JSON"),
        ("truncated-body", "ends in the middle"),
        ("reset-mid-body", ""),
        ("duplicate-key", "twice"),
        ("bad-number(1,5)", "not a number"),
        ("huge-number", "too large"),
        ("huge-string(3000000)", "larger than"),
        ("ok-with-errors", "The report could not be generated"),
    ] {
        let account = Account::with_faults([format!("{fault}@statistics/report")]);
        let ended = account.run(&format!("backfill --from {DAY} --to {DAY} --tables ad_statistics_daily"));
        assert!([4, 5].contains(&ended.code), "{fault}: exit {}\n{}", ended.code, ended.stderr);
        let document = ended.document();
        assert_eq!(document["outcome"], json!("failed"), "{fault}");
        let said = program::messages(&document, "errors");
        assert!(said.contains(reason), "{fault}: `{reason}` is not in {said}");
        assert_eq!(files::listing(&account.output()), [].into(), "{fault}");
        files::assert_tidy(&account.output());
    }
}

#[test]
fn rows_that_cannot_be_told_apart_or_belong_to_another_day_are_an_error() {
    let other_day = json!([{"Day": "2026-10-30", "AdvertiserId": ADVERTISER, "AdId": "1", "Clicks": "1"}]);
    for (rows, reason) in [
        (other_day, "outside"),
        (json!([{"Day": DAY, "AdvertiserId": ADVERTISER, "Clicks": "1"}]), "lacks the field `AdId`"),
        (json!([{"AdvertiserId": ADVERTISER, "AdId": "1", "Clicks": "1"}]), "lacks the field `Day`"),
        (json!([{"Day": "soon", "AdvertiserId": ADVERTISER, "AdId": "1", "Clicks": "1"}]), "not a date"),
        (json!([[1, 2]]), "where a row was expected"),
        (json!({}), "not a list"),
    ] {
        let scripted = Scripted::start(move |_| Reply::ok(&json!({"Rows": rows})));
        let report = "[[reports]]\nname = 'clicks'\ndimensions = ['AdId']\nmetrics = ['Clicks']\n";
        std::fs::write(scripted.folder.path().join("criteo-source.toml"), report).expect("a writable folder");
        let document = scripted.job(&format!("backfill --from {DAY} --to {DAY} --tables clicks")).run().expect(4);
        let said = program::messages(&document, "errors");
        assert!(said.contains(reason), "`{reason}` is not in {said}");
        assert_eq!(files::listing(&scripted.output()), [].into());
    }
}
