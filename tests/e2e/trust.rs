//! Nothing that was there is lost, nothing that should come is missed, and it is said (issue 11).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::support::account::{Account, asked_days, small, tiny};
use crate::support::cells::Row;
use crate::support::program::{self, Ended};
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files};

const STATISTICS: &str = "ad_statistics_daily";

fn assert_truth_of(account: &Account, table: &str, advertisers: &[String], dates: &[NaiveDate]) {
    for &date in dates {
        let truth = contract(table).rows(&account.sandbox, Asked::of(advertisers, date));
        assert_eq!(files::read(&account.output(), table, date).content(), truth, "{table} {date}");
    }
}

fn assert_truth(account: &Account, table: &str, from: &str, to: &str) {
    assert_truth_of(account, table, &account.advertisers(), &days(from, to));
}

fn everything(account: &Account) -> BTreeMap<(String, NaiveDate), Vec<Row>> {
    files::everything(&account.output())
}

fn status(account: &Account, as_of: &str) -> Value {
    let line = format!("status --as-of {as_of} --format json --output");
    account.program(&line).word(account.output()).run().document()
}

fn report_calls(document: &Value) -> u64 {
    document["calls"]["report"].as_u64().expect("a number")
}

fn ledger(account: &Account) -> Value {
    let text = std::fs::read_to_string(account.output().join("_ledger/ledger.json")).expect("a ledger");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_cap_below_the_documented_one_is_split_to_the_end_and_remembered_until_it_is_gone() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-31'\n");
    let line = format!("pull --tables {STATISTICS}");
    account.run(&line).expect(0);
    account.set_faults(["row-cap(12)@statistics/report"]);
    let document = account.run(&line).expect(0);
    assert_truth(&account, STATISTICS, "2026-10-31", "2026-11-09");
    assert_eq!(program::codes(&document, "warnings"), ["row_cap_lowered"]);
    assert_eq!(ledger(&account)["row_caps"][STATISTICS], json!(12));
    assert!(program::codes(&status(&account, TODAY), "warnings").contains(&"row_cap_lowered".to_owned()));
    let again = account.run(&line).expect(0);
    assert_truth(&account, STATISTICS, "2026-10-31", "2026-11-09");
    assert_eq!(ledger(&account)["row_caps"][STATISTICS], json!(12), "{again}");
    account.heal();
    account.run(&line).expect(0);
    assert_eq!(ledger(&account)["row_caps"], Value::Null, "one larger answer refutes it");
    assert!(report_calls(&account.run(&line).expect(0)) <= 3);
}

#[test]
fn rows_that_criteo_withholds_although_its_totals_have_them_leave_the_complete_files_alone() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-31'\n");
    let line = format!("pull --tables {STATISTICS}");
    account.run(&line).expect(0);
    let before = everything(&account);
    let absent = account.advertisers()[1].clone();
    account.set_faults([format!("absent-rows({absent})@statistics/report")]);
    let document = account.run(&line).expect(4);
    assert!(program::codes(&document, "errors").iter().all(|code| code == "short_response"), "{document}");
    assert!(program::messages(&document, "errors").contains(&absent), "{document}");
    let after = everything(&account);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (key, rows) in &before {
        assert!(after[key].len() >= rows.len(), "{key:?}");
    }
    assert!(report_calls(&document) < 60, "what is not to be had is not requested again and again: {document}");
    account.heal();
    account.run(&line).expect(0);
    assert_truth(&account, STATISTICS, "2026-10-31", "2026-11-09");
}

/// How the sums of each day compare with Criteo's totals, as the ledger has it.
fn reconciliations(account: &Account, dates: &[NaiveDate]) -> Vec<String> {
    let months = account.output().join("_ledger/partitions").join(STATISTICS);
    let files = std::fs::read_dir(months).expect("months").map(|file| file.expect("listed").path());
    let texts = files.map(|path| std::fs::read_to_string(path).expect("text"));
    let months: Vec<Value> = texts.map(|text| serde_json::from_str(&text).expect("JSON")).collect();
    let of_day = |day: &NaiveDate| {
        months.iter().find_map(|month| month["partitions"][day.to_string()]["reconciliation"].as_str())
    };
    dates.iter().map(|day| of_day(day).unwrap_or("absent").to_owned()).collect()
}

#[test]
fn without_criteos_totals_a_smaller_response_replaces_no_file_and_the_days_are_read_again() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-31'\nlookback_days = 3\n");
    let line = format!("pull --tables {STATISTICS}");
    let dates = days("2026-10-31", "2026-11-09");
    account.run(&line).expect(0);
    assert_eq!(reconciliations(&account, &dates), vec!["equal"; dates.len()]);
    let before = everything(&account);
    let absent = account.advertisers()[1].clone();
    // Every call for totals comes first, and fails.
    account
        .set_faults(["http-500@statistics/report*40".to_owned(), format!("absent-rows({absent})@statistics/report")]);
    let document = account.run(&line).expect(4);
    assert!(program::codes(&document, "errors").contains(&"short_response".to_owned()), "{document}");
    assert!(program::codes(&document, "warnings").contains(&"not_reconciled".to_owned()), "{document}");
    for (key, rows) in everything(&account) {
        assert!(rows.len() >= before[&key].len(), "{key:?}");
    }
    account.heal();
    account.run(&line).expect(0);
    assert_truth(&account, STATISTICS, "2026-10-31", "2026-11-09");
    assert_eq!(reconciliations(&account, &dates), vec!["equal"; dates.len()]);
}

#[test]
fn days_that_were_published_without_criteos_totals_are_compared_later_even_if_they_are_old() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-31'\nlookback_days = 3\n");
    let line = format!("pull --tables {STATISTICS}");
    let dates = days("2026-10-31", "2026-11-09");
    account.set_faults(["http-500@statistics/report*60"]);
    let document = account.run(&line).expect(0);
    let found = reconciliations(&account, &dates);
    assert!(found.contains(&"unreadable".to_owned()), "{found:?} {document}");
    account.heal();
    account.run(&line).expect(0);
    assert_eq!(reconciliations(&account, &dates), vec!["equal"; dates.len()]);
}

#[test]
fn placements_under_a_lowered_cap_are_split_before_they_are_published() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-05'\n");
    let line = "pull --tables placements_daily,placement_categories_daily";
    account.run(line).expect(0);
    account.set_faults(["row-cap(25)@placements/report"]);
    account.run(line).expect(0);
    for table in ["placements_daily", "placement_categories_daily"] {
        assert_truth(&account, table, "2026-11-05", "2026-11-09");
    }
}

#[test]
fn placements_that_lack_an_advertiser_keep_their_files() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-05'\n");
    account.run("pull --tables placements_daily").expect(0);
    let before = everything(&account);
    let absent = account.advertisers()[0].clone();
    account.set_faults([format!("absent-rows({absent})@placements/report")]);
    let document = account.run("pull --tables placements_daily").expect(4);
    assert!(program::codes(&document, "errors").contains(&"short_response".to_owned()), "{document}");
    for (key, rows) in everything(&account) {
        assert!(rows.len() >= before[&key].len(), "{key:?}");
    }
}

#[test]
fn transactions_cut_at_a_cap_that_nobody_documents_never_shrink_a_day() {
    let account = Account::open(SandboxOptions { ads_per_ad_set: 3, ..small() });
    account.configure("start_date = '2026-10-15'\n");
    account.run("pull --tables transactions").expect(0);
    let before = everything(&account);
    let rows: usize = before.values().map(Vec::len).sum();
    account.set_faults([format!("row-cap({})@transactions/report", rows / 5 + 1)]);
    for _ in 0..2 {
        let ended = account.run("pull --tables transactions");
        assert!([0, 4].contains(&ended.code), "{}", ended.everything());
        for (key, rows) in everything(&account) {
            assert!(rows.len() >= before[&key].len(), "{key:?}: {} of {}", rows.len(), before[&key].len());
        }
    }
    assert_eq!(ledger(&account)["row_caps"]["transactions"], json!(rows / 5 + 1), "the cap is remembered");
}

#[test]
fn a_run_for_one_advertiser_leaves_the_rows_of_the_others_and_nothing_final_for_them() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-01'\nlookback_days = 5\n");
    account.sandbox.set_today(day("2026-11-09"));
    account.run(&format!("pull --as-of 2026-11-09 --tables {STATISTICS}")).expect(0);
    account.sandbox.set_today(day(TODAY));
    let one = account.advertisers()[0].clone();
    let line = format!("backfill --from 2026-10-05 --to 2026-10-06 --tables {STATISTICS} --advertisers {one}");
    let document = account.run(&line).expect(0);
    assert!(program::codes(&document, "warnings").contains(&"rows_kept".to_owned()), "{document}");
    assert_truth(&account, STATISTICS, "2026-10-05", "2026-10-06");
    account.run(&format!("pull --tables {STATISTICS} --advertisers {one}")).expect(0);
    account.sandbox.set_today(day("2026-11-11"));
    let document = account.run(&format!("pull --as-of 2026-11-11 --tables {STATISTICS}")).expect(0);
    assert!(program::codes(&document, "warnings").contains(&"history_of_advertiser".to_owned()), "{document}");
    assert_truth(&account, STATISTICS, "2026-11-06", "2026-11-10");
    let line = format!("{line} --drop-others");
    account.run(&line).expect(0);
    assert_truth_of(&account, STATISTICS, &[one], &days("2026-10-05", "2026-10-06"));
}

#[test]
fn an_advertiser_that_is_added_later_gets_its_history_for_itself_alone() {
    let account = Account::open(small());
    let ids = account.advertisers();
    let configure = |ids: &[String]| {
        let list = ids.join("', '");
        account.configure(&format!("start_date = '2026-10-01'\nlookback_days = 5\nadvertisers = ['{list}']\n"));
    };
    configure(&ids[..2]);
    account.run(&format!("pull --tables {STATISTICS},transactions")).expect(0);
    configure(&ids);
    let before = account.bodies("statistics/report").len();
    let document = account.run(&format!("pull --tables {STATISTICS},transactions")).expect(0);
    assert!(program::codes(&document, "warnings").contains(&"history_of_advertiser".to_owned()), "{document}");
    for table in [STATISTICS, "transactions"] {
        assert_truth(&account, table, "2026-10-01", "2026-11-09");
    }
    let old = account.bodies("statistics/report")[before..].to_vec();
    let old = old.iter().filter(|body| asked_days(&[(*body).clone()])[0].1 <= day("2026-11-04"));
    assert!(old.clone().count() > 0);
    assert!(
        old.clone().all(|body| body["advertiserIds"] == json!(ids[2])),
        "only the new one is requested for old days"
    );
    let settled = account.run(&format!("pull --tables {STATISTICS},transactions")).expect(0);
    assert!(report_calls(&settled) <= 5, "{settled}");
}

#[test]
fn without_a_start_date_a_long_pause_leaves_no_hole() {
    let account = Account::open(tiny());
    account.sandbox.set_today(day("2026-08-20"));
    account.run(&format!("pull --as-of 2026-08-20 --tables {STATISTICS}")).expect(0);
    account.sandbox.set_today(day(TODAY));
    let document = account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["catching_up"]);
    assert_truth(&account, STATISTICS, "2026-07-21", "2026-11-09");
    let table = status(&account, TODAY)["tables"][STATISTICS].clone();
    assert_eq!((table["missing"].clone(), table["provisional"].clone()), (json!([]), json!(30)), "{table}");
}

#[test]
fn an_output_holds_one_currency_and_one_time_zone() {
    let account = Account::open(tiny());
    account.configure("currency = 'EUR'\n");
    account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    let before = everything(&account);
    for (configuration, named) in
        [("currency = 'USD'\n", "USD"), ("currency = 'EUR'\ntimezone = 'Asia/Tokyo'\n", "Asia/Tokyo")]
    {
        account.configure(configuration);
        for line in ["pull", "plan", "backfill --from 2026-11-01 --to 2026-11-02", "pull --dry-run"] {
            let document = account.run(line).expect(2);
            let said = document.to_string();
            assert!(said.contains(named) && (said.contains("EUR") || said.contains("UTC")), "{line}: {said}");
        }
    }
    assert_eq!(everything(&account), before);
}

#[test]
fn days_with_other_columns_are_outdated_until_a_backfill_fetches_them() {
    let account = Account::open(tiny());
    let configure = |metrics: &str| {
        let head = "start_date = '2026-10-20'\nlookback_days = 3\n";
        account.configure(&format!("{head}[tables.{STATISTICS}]\nmetrics = [{metrics}]\n"));
    };
    configure("'Clicks'");
    account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    configure("'Clicks', 'AdvertiserCost'");
    let document = account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["outdated"]);
    let line = format!("status --as-of {TODAY} --format json --output");
    let outdated = account.program(&line).word(account.output()).run().document();
    let outdated = outdated["tables"][STATISTICS]["outdated"].as_array().expect("a list").len();
    assert_eq!(outdated, 18, "all but the look-back");
    account.run(&format!("backfill --from 2026-10-20 --to 2026-11-09 --tables {STATISTICS}")).expect(0);
    let rows = everything(&account);
    assert!(rows.values().flatten().all(|row| row.contains_key("advertiser_cost")));
}

#[test]
fn no_day_that_is_not_over_is_fetched_and_a_wrong_date_removes_nothing() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-10-20'\nkeep_days = 30\n");
    account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    let today = chrono::Utc::now().date_naive();
    // The clock stays where it is, whatever the date that was typed.
    let program = account.job(&format!("pull --as-of 2099-01-01 --tables {STATISTICS}")).on(TODAY);
    let document = account.run_program(&program);
    assert!(program::codes(&document.document(), "warnings").contains(&"as_of_in_future".to_owned()));
    let dates = files::dates(&account.output(), STATISTICS);
    assert!(dates.iter().all(|date| *date < today), "{dates:?}");
    for line in ["backfill --from 2098-01-01 --to 2098-02-01", "backfill --from 1998-01-01 --to 1998-02-01"] {
        let document = account.run(&format!("{line} --tables {STATISTICS}")).expect(2);
        assert!(program::messages(&document, "errors").contains("nothing to do"), "{document}");
    }
}

#[test]
fn removing_is_announced_and_spares_what_criteo_could_not_give_again() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-10-20'\n");
    account.run(&format!("pull --tables {STATISTICS},campaigns --as-of {TODAY}"));
    account.configure("start_date = '2026-10-20'\nkeep_days = 5\nlookback_days = 2\n");
    let announced = |document: &Value| program::codes(document, "warnings").contains(&"partitions_removed".to_owned());
    assert!(announced(&account.run(&format!("plan --tables {STATISTICS}")).expect(0)));
    let document = account.run(&format!("pull --tables {STATISTICS}")).expect(0);
    assert!(announced(&document), "{document}");
    assert_eq!(files::dates(&account.output(), STATISTICS), days("2026-11-05", "2026-11-09"));
    let document = account.run(&format!("backfill --from 2026-10-01 --to 2026-10-03 --tables {STATISTICS}")).expect(0);
    assert!(!announced(&document), "what this run fetched stays: {document}");
    assert_eq!(files::dates(&account.output(), STATISTICS).len(), 8);
}

#[test]
fn one_value_that_cannot_be_stored_costs_its_day_only() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-31'\n");
    // The second call is the first of the table's own; its first row is of one day.
    account.set_faults(["bad-number(\"12,5\")@statistics/report+1"]);
    let document = account.run(&format!("pull --tables {STATISTICS}")).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["unreadable_response"]);
    assert_eq!(files::dates(&account.output(), STATISTICS).len(), 9, "{document}");
}

#[test]
fn a_range_that_is_refused_is_narrowed_to_what_is_refused() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-08-01'\n");
    account.set_faults(["early-range-refused(2026-08-02)@statistics/report"]);
    let document = account.run(&format!("pull --tables {STATISTICS}")).expect(4);
    assert_eq!(files::dates(&account.output(), STATISTICS), days("2026-08-02", "2026-11-09"), "{document}");
    assert_eq!(program::partitions(&document, "errors"), [(STATISTICS.to_owned(), day("2026-08-01"))].into());
    let account = Account::open(tiny());
    account.configure("start_date = '2026-08-01'\n");
    account.set_faults(["long-range-refused(30)@/report"]);
    let document = account.run(&format!("pull --tables {STATISTICS},transactions")).expect(0);
    assert_truth(&account, STATISTICS, "2026-08-01", "2026-11-09");
    assert_truth(&account, "transactions", "2026-08-01", "2026-11-09");
    assert!(report_calls(&document) < 40, "{document}");
}

#[test]
fn a_healthy_daily_pull_takes_at_most_32_report_calls_and_a_refused_advertiser_only_its_probe_and_totals() {
    let account = Account::open(SandboxOptions { today: day("2026-11-08"), ..small() });
    account.configure("start_date = '2026-09-20'\n");
    let pull = |as_of: &str| -> Ended {
        account.sandbox.set_today(day(as_of));
        account.run(&format!("pull --as-of {as_of}"))
    };
    pull("2026-11-08").expect(0);
    let healthy = pull("2026-11-09").expect(0);
    assert!(report_calls(&healthy) <= 32, "{healthy}");
    let refused = account.advertisers()[1].clone();
    account.set_faults([format!("consent-lost({refused})")]);
    pull("2026-11-10").expect(4);
    let with_refused = pull("2026-11-11").expect(4);
    // One call tries the advertiser again.
    assert!(report_calls(&with_refused) <= report_calls(&healthy) + 3, "{with_refused} against {healthy}");
    account.heal();
    pull("2026-11-12").expect(0);
    for table in [STATISTICS, "placements_daily", "transactions"] {
        assert_truth(&account, table, "2026-11-08", "2026-11-11");
    }
}

/// Day by day to the end of restatement: what is final never changes any more, and everything becomes final.
#[test]
fn a_day_is_final_only_when_nothing_changes_any_more() {
    let first = day("2026-09-01");
    let account = Account::open(SandboxOptions { today: first + chrono::Days::new(1), ..tiny() });
    account.configure("start_date = '2026-09-01'\n");
    let tables = [STATISTICS, "placements_daily", "placement_categories_daily", "transactions"];
    for age in 1..=33 {
        let as_of = first + chrono::Days::new(age);
        account.sandbox.set_today(as_of);
        account.run(&format!("pull --as-of {as_of} --tables {}", tables.join(","))).expect(0);
        let state = status(&account, &as_of.to_string());
        for table in tables {
            let expected = age.saturating_sub(30);
            assert_eq!(
                state["tables"][table]["final"],
                json!(expected),
                "{table} at {as_of}: {}",
                state["tables"][table]
            );
        }
    }
    account.sandbox.set_today(first + chrono::Days::new(120));
    for table in tables {
        assert_truth(&account, table, "2026-09-01", "2026-09-03");
    }
}
