//! Whatever has to be asked for in parts, or comes with rows missing, the rows are all there, each once, or it is said.

use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::program::{self, Ended};
use crate::support::truth::{Asked, contract};
use crate::support::{day, days, files};

/// An account whose reports are cut at these rows, and a program that knows it, as it knows Criteo's caps.
fn capped(statistics: usize, placements: usize) -> Account {
    Account::open(SandboxOptions {
        statistics_cap: statistics,
        placements_cap: placements,
        ads_per_ad_set: 3,
        ..small()
    })
}

fn run(account: &Account, line: &str, caps: &str) -> Ended {
    account.run_program(&account.job(line).variable("CRITEO_SOURCE_TEST_ROW_CAPS", caps))
}

fn assert_truth(account: &Account, table: &str, from: &str, to: &str) {
    for date in days(from, to) {
        let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        assert_eq!(files::read(&account.output(), table, date).content(), truth, "{table} {date}");
    }
}

/// How many values the requests named, at least and at most.
fn spread(bodies: &[Value], count: impl Fn(&Value) -> Option<usize>) -> (usize, usize) {
    let counts: Vec<usize> = bodies.iter().filter_map(count).collect();
    (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
}

fn advertisers_asked(body: &Value) -> Option<usize> {
    let attributes = if body["data"].is_array() { &body["data"][0]["attributes"] } else { body };
    Some(attributes["advertiserIds"].as_str()?.split(',').count())
}

#[test]
fn days_are_split_until_each_answer_is_below_the_cap() {
    let account = capped(100, 20_000);
    run(&account, "backfill --from 2026-10-20 --to 2026-11-08 --tables ad_statistics_daily", "statistics=100")
        .expect(0);
    assert_truth(&account, "ad_statistics_daily", "2026-10-20", "2026-11-08");
}

#[test]
fn a_day_above_the_cap_is_split_by_advertiser() {
    let account = capped(20, 20_000);
    run(&account, "backfill --from 2026-11-01 --to 2026-11-04 --tables ad_statistics_daily", "statistics=20").expect(0);
    assert_truth(&account, "ad_statistics_daily", "2026-11-01", "2026-11-04");
    assert_eq!(spread(&account.bodies("statistics/report"), advertisers_asked), (1, 3));
}

#[test]
fn an_advertiser_above_the_cap_is_split_by_ad_set_also_those_that_the_search_does_not_list() {
    let account = capped(8, 20_000);
    let line = "backfill --from 2026-11-01 --to 2026-11-02 --tables ad_statistics_daily,device_statistics_daily";
    run(&account, line, "statistics=8").expect(0);
    for table in ["ad_statistics_daily", "device_statistics_daily"] {
        assert_truth(&account, table, "2026-11-01", "2026-11-02");
    }
    let bodies = account.bodies("statistics/report");
    let (least, _) = spread(&bodies, |body| Some(body["adSetIds"].as_array()?.len()));
    assert_eq!(least, 1, "down to single ad sets");
}

#[test]
fn placements_and_their_categories_are_split_too() {
    let account = capped(100_000, 60);
    let line = "backfill --from 2026-11-01 --to 2026-11-02 --tables placements_daily,placement_categories_daily";
    run(&account, line, "placements=60").expect(0);
    for table in ["placements_daily", "placement_categories_daily"] {
        assert_truth(&account, table, "2026-11-01", "2026-11-02");
    }
}

#[test]
fn transactions_are_split_at_a_cap_that_is_told_or_that_shows_itself() {
    for caps in ["transactions=50", ""] {
        let account = Account::open(SandboxOptions { transactions_cap: 50, ads_per_ad_set: 3, ..small() });
        let line = "backfill --from 2026-11-01 --to 2026-11-06 --tables transactions";
        let job = account.job(line);
        let job = if caps.is_empty() { job } else { job.variable("CRITEO_SOURCE_TEST_ROW_CAPS", caps) };
        let ended = account.run_program(&job);
        let document = ended.document();
        // What cannot be split below the cap is an error, never a file that lacks rows.
        for date in files::dates(&account.output(), "transactions") {
            let truth = contract("transactions").rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(files::read(&account.output(), "transactions", date).content(), truth, "{caps} {date}");
        }
        let published = files::dates(&account.output(), "transactions").len();
        assert_eq!(published < 6, ended.code == 4, "{caps}: {document}");
    }
}

/// Once the cap has shown itself, earlier answers of exactly that many rows are asked for again, once: a day whose parts
/// happen to add up to the cap must not be asked for for ever.
#[test]
fn a_month_of_transactions_ends_although_days_happen_to_have_as_many_rows_as_the_cap() {
    let account = Account::open(SandboxOptions {
        today: day("2026-11-22"),
        advertisers: 4,
        transactions_cap: 50,
        report_calls_per_minute: 100_000,
        ..SandboxOptions::default()
    });
    let line = "backfill --from 2026-10-23 --to 2026-11-21 --tables transactions --as-of 2026-11-22";
    let document = account.run_program(&account.job(line)).expect(0);
    assert_truth(&account, "transactions", "2026-10-23", "2026-11-21");
    assert!(document["calls"]["report"].as_u64().is_some_and(|calls| calls < 400), "{document}");
}

#[test]
fn what_cannot_be_split_is_an_error_that_says_what_to_drop_and_no_file() {
    let account = capped(2, 20_000);
    let ended =
        run(&account, "backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily", "statistics=2");
    let document = ended.expect(4);
    assert_eq!(document["outcome"], json!("failed"));
    let said = program::messages(&document, "errors");
    assert!(said.contains("drop a dimension"), "{said}");
    assert_eq!(files::listing(&account.output()), [].into());
}

#[test]
fn a_row_limit_warning_is_believed_whatever_the_number_of_rows() {
    let account = Account::with_faults(["row-limit-warning@statistics/report+1*2"]);
    let document = account.run("backfill --from 2026-11-01 --to 2026-11-02 --tables ad_statistics_daily").expect(0);
    assert_truth(&account, "ad_statistics_daily", "2026-11-01", "2026-11-02");
    assert!(program::codes(&document, "warnings").contains(&"criteo_warning".to_owned()), "{document}");
}

#[test]
fn a_cap_lower_than_the_documented_one_is_found_out_by_the_totals() {
    let account = capped(40, 20_000);
    account.run("backfill --from 2026-11-01 --to 2026-11-04 --tables ad_statistics_daily").expect(0);
    assert_truth(&account, "ad_statistics_daily", "2026-11-01", "2026-11-04");
}

#[test]
fn a_row_that_criteo_forgets_once_is_found_out_by_the_totals() {
    let account = Account::with_faults(["drop-one-row@statistics/report+1*1"]);
    account.run("backfill --from 2026-11-01 --to 2026-11-04 --tables ad_statistics_daily").expect(0);
    assert_truth(&account, "ad_statistics_daily", "2026-11-01", "2026-11-04");
}

/// An account whose totals are right, and whose rows never are all there: totals are the first and the third call.
fn always_short() -> Account {
    Account::with_faults(["drop-one-row@statistics/report+1*1", "drop-one-row@statistics/report+3"])
}

#[test]
fn sums_that_keep_differing_from_criteos_totals_are_a_warning_and_with_strict_an_error() {
    let line = "backfill --from 2026-11-05 --to 2026-11-05 --tables ad_statistics_daily";
    let account = always_short();
    let document = account.run(line).expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["totals_differ"]);
    let account = always_short();
    let document = account.run(&format!("{line} --strict")).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["totals_differ"]);
    assert_eq!(document["errors"][0]["date"], json!("2026-11-05"));
    let ledger = std::fs::read_to_string(account.output().join("_ledger/partitions/ad_statistics_daily/2026-11.json"));
    assert!(ledger.is_ok_and(|text| text.contains("\"mismatch\"")), "the ledger knows");
}

#[test]
fn sums_of_a_final_day_that_differ_are_an_error_without_being_asked() {
    let account = always_short();
    let line = "backfill --from 2026-09-05 --to 2026-09-05 --tables ad_statistics_daily";
    let document = account.run(line).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["totals_differ"]);
}
