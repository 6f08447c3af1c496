//! Runs that run out of time: what is complete is published, what is missing is listed, the next run fetches exactly that.
//! Hours of waiting are simulated.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::support::account::{Account, asked_days, tiny};
use crate::support::truth::{Asked, contract};
use crate::support::{days, files, program};

const FROM: &str = "2026-11-01";
const TO: &str = "2026-11-08";
const LINE: &str = "backfill --from 2026-11-01 --to 2026-11-08 --tables placements_daily";

type Partitions = BTreeSet<(String, NaiveDate)>;

fn published(account: &Account) -> Partitions {
    let listing = files::listing(&account.output()).into_iter();
    listing.flat_map(|(table, dates)| dates.into_iter().map(move |date| (table.clone(), date))).collect()
}

fn wanted() -> Partitions {
    days(FROM, TO).into_iter().map(|date| ("placements_daily".to_owned(), date)).collect()
}

fn assert_truth(account: &Account) {
    for (table, date) in wanted() {
        let truth = contract(&table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        assert_eq!(files::read(&account.output(), &table, date).content(), truth, "{table} {date}");
    }
    files::assert_tidy(&account.output());
}

/// Simulated minutes from start to end.
fn minutes(document: &Value) -> f64 {
    document["elapsed_secs"].as_f64().expect("a number") / 60.0
}

#[test]
fn a_deadline_publishes_what_is_complete_lists_the_rest_and_the_next_run_fetches_exactly_that() {
    // What a run meets for good after some placements, and the minutes it may take.
    for (fault, limit) in [
        ("too-many-requests(3000)", 30),
        ("too-many-requests(silent)", 2),
        ("http-503", 2),
        ("http-500", 3),
        ("reset-before-response", 1),
    ] {
        let account = Account::open(tiny());
        account.configure(&format!("max_run_minutes = {limit}\n"));
        account.set_faults([format!("{fault}@placements/report+5")]);
        let document = account.run(LINE).expect(5);
        let there = published(&account);
        assert!(!there.is_empty() && there.len() < 8, "{fault}: {there:?}");
        let missing: Partitions = wanted().difference(&there).cloned().collect();
        assert_eq!(program::partitions(&document, "errors"), missing, "{fault}: {document}");
        assert!(program::messages(&document, "errors").contains("the next run fetches what is missing"), "{document}");
        assert!(minutes(&document) <= f64::from(limit) + 0.1, "{fault}: {} of {limit} minutes", minutes(&document));
        files::assert_tidy(&account.output());
        account.heal();
        let before = account.calls("placements/report").len();
        let document = account.run(LINE).expect(0);
        assert_eq!(document["resumed_partitions"], json!(there.len()), "{fault}");
        let asked = asked_days(&account.bodies("placements/report")[before..]);
        // Ranges are questions for totals.
        let asked: BTreeSet<_> = asked.into_iter().filter(|(from, to)| from == to).map(|(from, _)| from).collect();
        assert_eq!(asked, missing.into_iter().map(|(_, date)| date).collect(), "{fault}");
        assert_truth(&account);
    }
}

#[test]
fn a_deadline_of_a_pull_is_made_up_for_by_the_next_pull() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-01'\nlookback_days = 2\nmax_run_minutes = 5\n");
    account.set_faults(["too-many-requests(600)@placements/report+5"]);
    let line = "pull --tables placements_daily";
    let document = account.run(line).expect(5);
    let missing: BTreeSet<NaiveDate> =
        program::partitions(&document, "errors").into_iter().map(|(_, date)| date).collect();
    let there: BTreeSet<NaiveDate> = files::dates(&account.output(), "placements_daily").into_iter().collect();
    assert!(!there.is_empty() && there.is_disjoint(&missing), "{there:?} and {missing:?}");
    account.heal();
    let before = account.calls("placements/report").len();
    account.run(line).expect(0);
    let asked = asked_days(&account.bodies("placements/report")[before..]);
    let asked: BTreeSet<_> = asked.into_iter().filter(|(from, to)| from == to).map(|(from, _)| from).collect();
    let lookback: BTreeSet<NaiveDate> = days("2026-11-08", "2026-11-09").into_iter().collect();
    assert_eq!(
        asked.difference(&lookback).copied().collect::<BTreeSet<_>>(),
        missing.difference(&lookback).copied().collect()
    );
    assert_truth(&account);
}

#[test]
fn a_total_outage_is_reported_within_three_quarters_of_an_hour() {
    for fault in ["http-500", "http-502-html", "http-503", "http-504", "reset-before-response", "truncated-body"] {
        let account = Account::with_faults([format!("{fault}@report")]);
        let ended = account.run(LINE);
        let document = ended.document();
        assert!([4, 5].contains(&ended.code), "{fault}: {}", ended.code);
        assert_eq!(document["outcome"], json!("failed"), "{fault}");
        assert_eq!(program::partitions(&document, "errors"), wanted(), "{fault}: {document}");
        // Half an hour, as chance has it: each pause is moved by a quarter at most.
        assert!(minutes(&document) < 45.0, "{fault}: {} minutes", minutes(&document));
        assert_eq!(published(&account), Partitions::new());
        files::assert_tidy(&account.output());
    }
}

#[test]
fn an_outage_of_everything_names_the_endpoint_and_the_time_it_took() {
    let account = Account::with_faults(["http-503", "token-endpoint-down"]);
    let document = account.run(LINE).expect(5);
    let said = program::messages(&document, "errors");
    for part in
        ["the list of advertisers", "gave up after 8 attempts in", "503", "the next run fetches what is missing"]
    {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
}
