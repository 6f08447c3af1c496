//! Every row, every digit, every name: what is in the files is what Criteo has.

use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::scripted::{ADVERTISER, Reply, Scripted};
use crate::support::truth::{Asked, contract};
use crate::support::{cells, day, days, files, program};

const REPORT_TABLES: [&str; 6] = [
    "ad_statistics_daily",
    "ad_set_statistics_hourly",
    "device_statistics_daily",
    "placements_daily",
    "placement_categories_daily",
    "transactions",
];

/// A world with every awkward name and identifier.
fn awkward() -> SandboxOptions {
    SandboxOptions { ad_sets_per_campaign: 4, ..small() }
}

#[test]
fn a_backfill_writes_exactly_the_rows_that_criteo_has() {
    let account = Account::open(awkward());
    let ended =
        account.run(&format!("backfill --from 2026-11-01 --to 2026-11-03 --tables {}", REPORT_TABLES.join(",")));
    let document = ended.expect(0);
    for table in REPORT_TABLES {
        assert_eq!(files::dates(&account.output(), table), days("2026-11-01", "2026-11-03"), "{table}");
        let mut rows = 0;
        for date in days("2026-11-01", "2026-11-03") {
            let written = files::read(&account.output(), table, date).content();
            let expected = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert!(!expected.is_empty(), "{table} {date}: nothing to compare");
            assert_eq!(written.len(), expected.len(), "{table} {date}");
            for (position, (written, expected)) in written.iter().zip(&expected).enumerate() {
                assert_eq!(written, expected, "{table} {date} row {position}");
            }
            rows += written.len();
        }
        assert_eq!(document["tables"][table]["rows"], json!(rows), "{table}");
        assert_eq!(document["tables"][table]["partitions"], json!(3), "{table}");
    }
    files::assert_tidy(&account.output());
}

#[test]
fn names_with_quotes_line_breaks_emoji_right_to_left_text_and_four_thousand_characters_arrive_whole() {
    let account = Account::open(awkward());
    account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily").expect(0);
    let rows = files::read(&account.output(), "ad_statistics_daily", day("2026-11-01")).rows;
    let values = |column: &str| -> Vec<&str> { rows.iter().filter_map(|row| row[column].as_str()).collect() };
    for (column, name) in [
        ("campaign_name", "Spring \"Sale\" – 50 % off;\nonline only"),
        ("ad_set_name", "EU mobile 🔥🛍️"),
        ("ad_set_name", "מבצע חורף"),
        ("ad_set_name", "Dynamic\tcatalogue | best sellers"),
        ("advertiser_name", "Maison Lumière"),
    ] {
        assert!(values(column).contains(&name), "{column} `{name}`");
    }
    assert!(values("ad_set_name").iter().any(|name| name.chars().count() == 4_000), "the long name");
    for column in ["campaign_id", "ad_set_id", "ad_id"] {
        let beyond = |id: &&str| id.parse::<u64>().is_ok_and(|id| id > 1 << 53);
        assert!(values(column).iter().any(beyond), "an identifier beyond 2^53 in {column}");
    }
}

#[test]
fn amounts_are_in_the_currency_and_days_in_the_time_zone_that_were_asked_for() {
    let account = Account::open(small());
    account.configure("currency = 'JPY'\ntimezone = 'Asia/Kolkata'\n");
    let tables = "ad_statistics_daily,ad_set_statistics_hourly,placements_daily,transactions";
    account.run(&format!("backfill --from 2026-10-25 --to 2026-10-26 --tables {tables}")).expect(0);
    let advertisers = account.advertisers();
    for table in tables.split(',') {
        for date in days("2026-10-25", "2026-10-26") {
            let asked = Asked { currency: "JPY", zone: chrono_tz::Asia::Kolkata, ..Asked::of(&advertisers, date) };
            let expected = contract(table).rows(&account.sandbox, asked);
            assert_eq!(files::read(&account.output(), table, date).content(), expected, "{table} {date}");
        }
    }
}

#[test]
fn a_day_without_rows_is_a_file_without_rows() {
    let account = Account::open(small());
    let silent = account.advertisers().pop().expect("three advertisers");
    let ended = account.run(&format!(
        "backfill --from 2026-11-01 --to 2026-11-02 --advertisers {silent} --tables ad_statistics_daily,placements_daily"
    ));
    let document = ended.expect(0);
    for table in ["ad_statistics_daily", "placements_daily"] {
        assert_eq!(document["tables"][table]["rows"], json!(0));
        for date in days("2026-11-01", "2026-11-02") {
            let partition = files::read(&account.output(), table, date);
            assert_eq!(partition.rows, Vec::new());
            assert_eq!(partition.schema.fields().len(), contract(table).columns.len());
        }
    }
}

#[test]
fn columns_have_the_types_and_the_order_of_the_contract() {
    let account = Account::open(small());
    let tables = REPORT_TABLES.join(",");
    account.run(&format!("backfill --from 2026-11-01 --to 2026-11-01 --tables {tables}")).expect(0);
    for table in REPORT_TABLES {
        let partition = files::read(&account.output(), table, day("2026-11-01"));
        let written: Vec<Value> = partition
            .schema
            .fields()
            .iter()
            .map(|field| json!([field.name(), files::type_name(field.data_type()).0, field.is_nullable()]))
            .collect();
        let declared: Vec<Value> = contract(table)
            .columns
            .iter()
            .map(|column| json!([column["name"], column["type"], column["mode"] != "REQUIRED"]))
            .collect();
        assert_eq!(written, declared, "{table}");
    }
}

#[test]
fn the_footer_says_which_table_schema_api_and_run_the_file_is_from() {
    let account = Account::open(small());
    let ended = account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily");
    let document = ended.expect(0);
    let partition = files::read(&account.output(), "ad_statistics_daily", day("2026-11-01"));
    let said = |key: &str| partition.footer.get(&format!("criteo_source.{key}")).map(String::as_str);
    assert_eq!(said("table"), Some("ad_statistics_daily"));
    assert_eq!(said("api_version"), Some("2026-07"));
    assert_eq!(said("run_id"), document["run_id"].as_str());
    assert_eq!(said("currency"), Some("USD"));
    assert_eq!(said("timezone"), Some("UTC"));
    assert!(said("schema_version").is_some_and(|version| !version.is_empty()));
    assert!(said("pulled_at").is_some_and(|instant| chrono::DateTime::parse_from_rfc3339(instant).is_ok()));
}

/// A statistics report of one custom table, with these clicks and costs.
fn statistics(rows: &[(&str, &str)]) -> Scripted {
    let rows: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(position, (clicks, cost))| {
            format!(
                r#"{{"Day":"2026-11-01","AdvertiserId":"{ADVERTISER}","Advertiser":"Ten","AdId":"{position:03}","Ad":"a","Currency":"EUR","Clicks":{clicks},"AdvertiserCost":{cost}}}"#
            )
        })
        .collect();
    let body = format!(r#"{{"Total":{{}},"Rows":[{}]}}"#, rows.join(","));
    let scripted = Scripted::start(move |asked| {
        let groups_by_ad = asked.body["dimensions"].as_array().is_some_and(|names| names.contains(&json!("AdId")));
        // Anything else is a check of the sums, which is not what this is about.
        if groups_by_ad { Reply::ok(&body) } else { Reply::ok(&r#"{"Total":{},"Rows":[]}"#) }
    });
    let report =
        "[[reports]]\nname = 'digits'\ngrain = 'day'\ndimensions = ['AdId']\nmetrics = ['Clicks', 'AdvertiserCost']\n";
    std::fs::write(scripted.folder.path().join("criteo-source.toml"), report).expect("a writable folder");
    scripted
}

const ONE_DAY: &str = "backfill --from 2026-11-01 --to 2026-11-01 --tables digits";

#[test]
fn decimals_are_kept_to_nine_places_and_rounded_half_to_even() {
    let costs = [
        "0.0000000005",
        "0.0000000015",
        "-0.0000000025",
        "0.00000000250000000000000000000001",
        "12345678901234567890123456789.123456789",
        "-99999999999999999999999999999.999999999",
        ".5",
        "1E-9",
        "4.9E-10",
        "12.340000000000001",
        "1e3",
        "-0",
    ];
    let quoted: Vec<String> = costs.iter().map(|cost| format!("\"{cost}\"")).collect();
    let cells: Vec<(&str, &str)> = quoted.iter().map(|cost| ("\"0\"", cost.as_str())).collect();
    let scripted = statistics(&cells);
    scripted.job(ONE_DAY).run().expect(0);
    let written = files::read(&scripted.output(), "digits", day("2026-11-01")).rows;
    let written: Vec<&Value> = written.iter().map(|row| &row["advertiser_cost"]).collect();
    let expected: Vec<Value> = costs.iter().map(|cost| cells::decimal(cells::billionths(cost))).collect();
    assert_eq!(written, expected.iter().collect::<Vec<_>>());
}

#[test]
fn json_numbers_are_read_from_their_digits_and_absent_ones_are_null() {
    let scripted = statistics(&[
        ("9007199254740993", "0.1234567894999999999"),
        ("12.0", "\"\""),
        ("1.2E1", "null"),
        ("\"9223372036854775807\"", "12345678901234567.000000001"),
        ("null", "0"),
    ]);
    scripted.job(ONE_DAY).run().expect(0);
    let written = files::read(&scripted.output(), "digits", day("2026-11-01")).rows;
    let written: Vec<Value> = written.iter().map(|row| json!([row["clicks"], row["advertiser_cost"]])).collect();
    let expected = [
        json!([9_007_199_254_740_993_i64, "0.123456789"]),
        json!([12, null]),
        json!([12, null]),
        json!([i64::MAX, "12345678901234567.000000001"]),
        json!([null, "0.000000000"]),
    ];
    assert_eq!(written, expected);
}

#[test]
fn what_is_not_a_number_or_does_not_fit_is_an_error_that_names_table_column_and_row() {
    for (clicks, cost, column) in [
        ("\"12.5\"", "\"0\"", "clicks"),
        ("\"9223372036854775808\"", "\"0\"", "clicks"),
        ("\"1\"", "\"12,40\"", "advertiser_cost"),
        ("\"1\"", "\"1 000\"", "advertiser_cost"),
        ("\"1\"", "\"NaN\"", "advertiser_cost"),
        ("\"1\"", "\"0x10\"", "advertiser_cost"),
        ("\"1\"", "\"123456789012345678901234567890\"", "advertiser_cost"),
        ("\"1\"", "true", "advertiser_cost"),
        ("\"1\"", "{\"value\":1}", ""),
    ] {
        let scripted = statistics(&[("\"1\"", "\"1\""), (clicks, cost)]);
        let document = scripted.job(ONE_DAY).run().expect(4);
        let said = program::messages(&document, "errors");
        if !column.is_empty() {
            for part in ["`digits`", &format!("`{column}`"), "row 2"] {
                assert!(said.contains(part), "{clicks} {cost}: `{part}` is not in {said}");
            }
        }
        assert_eq!(files::listing(&scripted.output()), [].into(), "{clicks} {cost}: something was published");
    }
}
