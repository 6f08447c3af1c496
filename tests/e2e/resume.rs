//! An interrupted backfill goes on where it stopped.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::json;

use crate::support::account::{Account, asked_days, small};
use crate::support::truth::{Asked, contract};
use crate::support::{days, files};

const LINE: &str = "backfill --from 2026-11-01 --to 2026-11-08 --tables placements_daily,ad_statistics_daily";

/// The single days asked of placements since `before` calls; ranges are questions for totals.
fn placement_days(account: &Account, before: usize) -> BTreeSet<NaiveDate> {
    let asked = asked_days(&account.bodies("placements/report")[before..]);
    asked.into_iter().filter(|(from, to)| from == to).map(|(from, _)| from).collect()
}

/// An account whose backfill broke off: statistics are complete, of placements only some days.
fn interrupted() -> (Account, BTreeSet<NaiveDate>) {
    let account = Account::open(small());
    account.set_faults(["http-500@placements/report+5"]);
    let ended = account.run(LINE);
    let document = ended.expect(4);
    assert_eq!(document["outcome"], json!("partial"));
    let published: BTreeSet<NaiveDate> = files::dates(&account.output(), "placements_daily").into_iter().collect();
    assert!(!published.is_empty() && published.len() < 8, "{published:?}");
    assert_eq!(files::dates(&account.output(), "ad_statistics_daily"), days("2026-11-01", "2026-11-08"));
    files::assert_tidy(&account.output());
    account.heal();
    (account, published)
}

fn assert_complete(account: &Account) {
    for table in ["placements_daily", "ad_statistics_daily"] {
        for date in days("2026-11-01", "2026-11-08") {
            let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(files::read(&account.output(), table, date).content(), truth, "{table} {date}");
        }
    }
}

#[test]
fn days_that_an_interrupted_backfill_published_are_not_fetched_again() {
    let (account, published) = interrupted();
    let before = (account.calls("placements/report").len(), account.calls("statistics/report").len());
    let document = account.run(LINE).expect(0);
    assert_eq!(document["resumed_partitions"], json!(published.len() + 8));
    let missing: BTreeSet<NaiveDate> =
        days("2026-11-01", "2026-11-08").into_iter().filter(|date| !published.contains(date)).collect();
    assert_eq!(placement_days(&account, before.0), missing);
    assert_eq!(account.calls("statistics/report").len(), before.1, "statistics were complete");
    assert_complete(&account);
}

#[test]
fn force_fetches_every_day_again() {
    let (account, _) = interrupted();
    let before = account.calls("placements/report").len();
    let document = account.run(&format!("{LINE} --force")).expect(0);
    assert_eq!(document["resumed_partitions"], json!(0));
    assert_eq!(placement_days(&account, before), days("2026-11-01", "2026-11-08").into_iter().collect());
    assert_complete(&account);
}

#[test]
fn a_backfill_of_something_else_is_no_continuation() {
    let (account, _) = interrupted();
    let before = account.calls("placements/report").len();
    let first = &account.advertisers()[0];
    let document = account.run(&format!("{LINE} --advertisers {first}")).expect(0);
    assert_eq!(document["resumed_partitions"], json!(0));
    assert_eq!(placement_days(&account, before), days("2026-11-01", "2026-11-08").into_iter().collect());
}

#[test]
fn a_published_file_that_has_gone_is_fetched_again() {
    let (account, published) = interrupted();
    let lost = *published.last().expect("something was published");
    std::fs::remove_file(files::path(&account.output(), "placements_daily", lost)).expect("it was there");
    account.run(LINE).expect(0);
    assert_complete(&account);
}
