//! What a job costs in calls, which is what it costs in time: the quota is forty report calls a minute.
//!
//! The worlds are small and the row cap is lowered in proportion, in the sandbox and in the program, so that a debug build
//! gets through two years; `benches/` measures the same with Criteo's own cap.

use criteo_source::sandbox::SandboxOptions;
use serde_json::Value;

use crate::support::account::{Account, small};
use crate::support::{files, program};

const CAP: u64 = 2000;
const TWO_YEARS: &str = "backfill --from 2024-11-11 --to 2026-11-09 --tables ad_statistics_daily";

/// Twenty-four ads, whose two years fill about nine answers.
fn account() -> Account {
    let cap = usize::try_from(CAP).expect("a small number");
    Account::open(SandboxOptions { advertisers: 2, ads_per_ad_set: 2, statistics_cap: cap, ..small() })
}

fn run(account: &Account, line: &str) -> Value {
    let caps = format!("statistics={CAP}");
    account.run_program(&account.job(line).variable("CRITEO_SOURCE_TEST_ROW_CAPS", caps)).expect(0)
}

fn number(document: &Value, pointer: &str) -> u64 {
    document.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {document}"))
}

/// Rows of the two years, and the calls that took.
fn rows_and_calls(document: &Value) -> (u64, u64) {
    assert_eq!(program::messages(document, "warnings"), "");
    let table = "/tables/ad_statistics_daily";
    assert_eq!(number(document, &format!("{table}/capped_calls")), 0, "no answer was thrown away");
    (number(document, &format!("{table}/rows")), number(document, "/calls/report"))
}

#[test]
fn two_years_on_an_empty_ledger_take_half_as_many_calls_again_as_the_cap_allows_at_best_and_three() {
    let account = account();
    let (rows, calls) = rows_and_calls(&run(&account, TWO_YEARS));
    let least = rows.div_ceil(CAP);
    println!("empty ledger: {rows} rows, {calls} calls, at best {least}");
    assert!(rows > 5 * CAP, "{rows} rows prove nothing");
    assert!(2 * calls <= 3 * least + 6, "{calls} calls, at best {least}");
}

#[test]
fn two_years_cost_a_fifth_more_than_the_cap_allows_at_best_and_two_once_the_ledger_knows_the_rows() {
    let account = account();
    run(&account, "backfill --from 2026-10-11 --to 2026-11-09 --tables ad_statistics_daily");
    let a_month_is_known = run(&account, TWO_YEARS);
    let all_is_known = run(&account, &format!("{TWO_YEARS} --force"));
    for (name, document) in [("a month", a_month_is_known), ("everything", all_is_known)] {
        let (rows, calls) = rows_and_calls(&document);
        let least = rows.div_ceil(CAP);
        println!("{name} is known: {rows} rows, {calls} calls, at best {least}");
        assert!(5 * calls <= 6 * least + 10, "{name}: {calls} calls, at best {least}");
    }
}

#[test]
fn a_daily_pull_takes_two_calls_for_a_table_and_one_for_each_day_of_placements() {
    let account = Account::open(SandboxOptions { advertisers: 20, ads_per_ad_set: 1, ..small() });
    account.configure("start_date = '2026-10-01'\n");
    account.run("pull --as-of 2026-11-09").expect(0);
    let document = account.run("pull --as-of 2026-11-10").expect(0);
    let calls = number(&document, "/calls/report");
    let placement_days = 2 * 5;
    println!("daily pull: {calls} report calls, {} others", number(&document, "/calls/default"));
    assert!(calls <= 40 + placement_days, "{calls} report calls");
}

#[test]
fn an_entity_list_costs_its_pages_and_one_call_that_proves_its_end() {
    let account = Account::open(SandboxOptions { advertisers: 20, ..small() });
    account.configure("start_date = '2026-11-09'\n");
    account.run("pull --tables creatives,ads,coupons").expect(0);
    for list in ["/creatives", "/ads", "/coupons"] {
        let calls = account.calls(list);
        let advertisers = account.advertisers().len();
        println!("{list}: {} calls for {advertisers} advertisers", calls.len());
        assert!(calls.len() <= 2 * advertisers, "{list}: {} calls for {advertisers} advertisers", calls.len());
    }
}

#[test]
fn days_that_are_always_above_the_cap_are_not_asked_for_whole_again_and_again() {
    let account = Account::open(SandboxOptions { advertisers: 4, ads_per_ad_set: 3, statistics_cap: 24, ..small() });
    let line = "backfill --from 2026-10-20 --to 2026-11-08 --tables ad_statistics_daily";
    let program = account.job(line).variable("CRITEO_SOURCE_TEST_ROW_CAPS", "statistics=24");
    let document = account.run_program(&program).expect(0);
    let rows = number(&document, "/tables/ad_statistics_daily/rows");
    let (calls, capped) =
        (number(&document, "/calls/report"), number(&document, "/tables/ad_statistics_daily/capped_calls"));
    println!("days above the cap: {rows} rows, {calls} calls, {capped} of them thrown away");
    assert!(rows > 20 * 30, "{rows} rows in 20 days: they must be above the cap");
    assert_eq!(files::dates(&account.output(), "ad_statistics_daily").len(), 20);
    assert!(capped <= 6, "{capped} answers thrown away");
}
