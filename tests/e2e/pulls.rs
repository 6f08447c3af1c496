//! The scheduled run: what it reads again, what it catches up on, and that a second run changes nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::account::{Account, small, tiny};
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files, program};

/// Everything under the output but the ledger and the instants of the pull.
fn content(account: &Account) -> BTreeMap<(String, chrono::NaiveDate), Vec<crate::support::cells::Row>> {
    files::everything(&account.output())
}

#[test]
fn running_a_backfill_again_changes_nothing_but_when_it_was_pulled() {
    let account = Account::open(small());
    let line = "backfill --from 2026-11-08 --to 2026-11-10";
    account.run(line).expect(0);
    let first = content(&account);
    assert!(first.len() > 10, "reports and snapshots are there: {}", first.len());
    let ended = account.run(line);
    assert_eq!(ended.expect(0)["resumed_partitions"], json!(0), "a backfill that ended is not resumed but repeated");
    assert_eq!(content(&account), first);
    files::assert_tidy(&account.output());
}

#[test]
fn a_pull_without_a_configuration_takes_the_last_thirty_days_and_a_snapshot_of_today() {
    let account = Account::open(small());
    account.run("pull").expect(0);
    let mut reports = 0;
    for (table, dates) in files::listing(&account.output()) {
        if contract(&table).primary_key[0] == "snapshot_date" {
            assert_eq!(dates, [day(TODAY)], "{table}");
        } else {
            assert_eq!(dates, days("2026-10-11", "2026-11-09"), "{table}");
            reports += 1;
        }
    }
    assert_eq!(reports, 4, "the report tables that are on by default");
}

#[test]
fn a_pull_of_the_next_day_reads_the_look_back_again_and_adds_the_new_day() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-01'\nlookback_days = 3\n[tables.placements_daily]\nlookback_days = 3\n");
    let tables = "--tables ad_statistics_daily,placements_daily";
    account.run(&format!("pull --as-of 2026-11-08 {tables}")).expect(0);
    let first = content(&account);
    account.sandbox.set_today(day("2026-11-09"));
    let before = account.calls("report").len();
    account.run(&format!("pull --as-of 2026-11-09 {tables}")).expect(0);
    let second = content(&account);
    let asked = crate::support::account::asked_days(&account.bodies("report")[before..]);
    assert!(asked.iter().all(|(from, to)| *from >= day("2026-11-06") && *to <= day("2026-11-08")), "{asked:?}");
    for table in ["ad_statistics_daily", "placements_daily"] {
        assert_eq!(files::dates(&account.output(), table), days("2026-11-01", "2026-11-08"), "{table}");
        for date in days("2026-11-01", "2026-11-05") {
            let key = (table.to_owned(), date);
            assert_eq!(second[&key], first[&key], "{table} {date} was not asked for again");
        }
        for date in days("2026-11-06", "2026-11-08") {
            let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(second[&(table.to_owned(), date)], truth, "{table} {date}");
        }
    }
    let restated = |date: &str| {
        let key = ("ad_statistics_daily".to_owned(), day(date));
        first[&key] != second[&key]
    };
    assert!(restated("2026-11-07"), "Criteo restates recent days, and the file follows");
}

#[test]
fn a_restated_day_keeps_what_it_said_before_in_the_ledger() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-05'\n");
    account.run("pull --as-of 2026-11-08 --tables ad_statistics_daily").expect(0);
    account.sandbox.set_today(day("2026-11-09"));
    account.run("pull --as-of 2026-11-09 --tables ad_statistics_daily").expect(0);
    let path = account.output().join("_ledger/partitions/ad_statistics_daily/2026-11.json");
    let text = std::fs::read_to_string(path).expect("the ledger's month file");
    let ledger: Value = serde_json::from_str(&text).expect("JSON");
    assert!(text.contains("\"history\""), "{ledger}");
}

#[test]
fn a_pull_fetches_days_that_are_missing_however_old_they_are() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-20'\nlookback_days = 2\n");
    account.run("pull --tables ad_statistics_daily").expect(0);
    let lost = [day("2026-10-22"), day("2026-10-30")];
    for date in lost {
        std::fs::remove_file(files::path(&account.output(), "ad_statistics_daily", date)).expect("it was there");
    }
    let before = account.calls("report").len();
    account.run("pull --tables ad_statistics_daily").expect(0);
    let mut fetched: Vec<_> = crate::support::account::asked_days(&account.bodies("report")[before..])
        .into_iter()
        .flat_map(|(from, to)| from.iter_days().take_while(move |date| *date <= to))
        .collect();
    fetched.sort();
    fetched.dedup();
    assert_eq!(fetched, [lost[0], lost[1], day("2026-11-08"), day("2026-11-09")]);
    for date in lost {
        let truth = contract("ad_statistics_daily").rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        assert_eq!(files::read(&account.output(), "ad_statistics_daily", date).content(), truth);
    }
}

#[test]
fn days_that_criteo_no_longer_keeps_are_left_out_with_a_warning() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-08-01'\n");
    let document = account.run("pull --tables placements_daily --as-of 2026-11-10").expect(0);
    assert_eq!(files::dates(&account.output(), "placements_daily"), days("2026-08-10", "2026-11-09"));
    assert_eq!(program::codes(&document, "warnings"), ["beyond_retention"]);
    assert!(program::messages(&document, "warnings").contains("2026-08-10"));
}

#[test]
fn partitions_older_than_keep_days_are_pruned() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-01'\nkeep_days = 4\nlookback_days = 2\n");
    account.run("pull --tables ad_statistics_daily").expect(0);
    assert_eq!(files::dates(&account.output(), "ad_statistics_daily"), days("2026-11-06", "2026-11-09"));
}

#[test]
fn a_custom_report_is_a_table_like_any_other() {
    let account = Account::open(small());
    account.configure(
        "[[reports]]\nname = 'by_country_hour'\ngrain = 'hour'\ndimensions = ['CampaignId', 'Device']\n\
         metrics = ['Clicks', 'AdvertiserCost', 'ClickThroughRate']\n",
    );
    account.run("backfill --from 2026-11-01 --to 2026-11-02 --tables by_country_hour").expect(0);
    let contract = &crate::support::truth::contracts(&account.program("schema --format json"))["by_country_hour"];
    for date in days("2026-11-01", "2026-11-02") {
        let truth = contract.rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        assert!(!truth.is_empty());
        assert_eq!(files::read(&account.output(), "by_country_hour", date).content(), truth, "{date}");
    }
}

#[test]
fn deprecation_headers_are_shown_and_harm_nothing() {
    let account = Account::with_faults(["deprecation-headers"]);
    let document = account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily").expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["api_deprecation"]);
    assert!(program::messages(&document, "warnings").contains("sunset"));
}

#[test]
fn a_lost_ledger_stops_every_command_that_would_trust_it_and_a_rebuild_goes_on_without_fetching_again() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-01'\nlookback_days = 3\n");
    account.run("backfill --from 2026-10-01 --to 2026-11-09 --tables ad_statistics_daily").expect(0);
    std::fs::remove_dir_all(account.output().join("_ledger")).expect("it was there");
    let before = account.calls("report").len();
    for line in ["pull", "plan", "pull --dry-run", "backfill --from 2026-11-01 --to 2026-11-01"] {
        let document = account.run(&format!("{line} --tables ad_statistics_daily")).expect(6);
        let said = program::messages(&document, "errors");
        assert!(said.contains("40 partitions") && said.contains("status --rebuild"), "{line}: {said}");
    }
    assert_eq!(account.calls("report").len(), before, "nothing is asked for");
    account.run("status --rebuild").expect(0);
    let rebuilt = account.run("plan --tables ad_statistics_daily").expect(0);
    assert_eq!(rebuilt["tables"]["ad_statistics_daily"]["days"], json!(3), "{rebuilt}");
    account.run("pull --tables ad_statistics_daily").expect(0);
}

#[test]
fn days_that_keep_days_has_deleted_are_not_fetched_again() {
    let account = Account::open(small());
    account.configure("start_date = '2026-09-01'\nkeep_days = 20\nlookback_days = 5\n");
    for expected in [20, 5] {
        let document = account.run("pull --tables ad_statistics_daily").expect(0);
        assert_eq!(document["tables"]["ad_statistics_daily"]["partitions"], json!(expected), "{document}");
        assert_eq!(files::dates(&account.output(), "ad_statistics_daily"), days("2026-10-21", "2026-11-09"));
    }
    let status = account.program(&format!("status --as-of {TODAY} --format json --output")).word(account.output());
    let status = status.run().document();
    assert_eq!(status["tables"]["ad_statistics_daily"]["missing"], json!([]), "{status}");
}
