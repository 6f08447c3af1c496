//! One table, one day or one advertiser that fails takes nothing else with it, and nothing that was there before.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::support::account::{Account, asked_days, small, tiny};
use crate::support::cells::Row;
use crate::support::scripted::{ADVERTISER, Reply, Scripted};
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files, program};

const LINE: &str =
    "backfill --from 2026-11-08 --to 2026-11-09 --tables ad_statistics_daily,placements_daily,transactions";
const TABLES: [&str; 3] = ["ad_statistics_daily", "placements_daily", "transactions"];
/// By then Criteo has restated the days above.
const LATER: &str = "2026-11-16";

fn partitions(tables: &[&str], from: &str, to: &str) -> BTreeSet<(String, NaiveDate)> {
    tables.iter().flat_map(|table| days(from, to).into_iter().map(|date| ((*table).to_owned(), date))).collect()
}

/// The rows of one advertiser, or of all others.
fn rows_of(rows: Vec<Row>, advertiser: &str, is_it: bool) -> Vec<Row> {
    rows.into_iter().filter(|row| (row["advertiser_id"] == json!(advertiser)) == is_it).collect()
}

/// The advertiser's rows are those of `old`, with the time they were pulled at; everybody else's are what they are now.
fn assert_kept(account: &Account, old: &dyn Fn(&str, NaiveDate) -> Vec<Row>, lost: &str) {
    let others: Vec<String> = account.advertisers().into_iter().filter(|id| id != lost).collect();
    for (table, date) in partitions(&TABLES, "2026-11-08", "2026-11-09") {
        let now = files::read(&account.output(), &table, date);
        let truth = contract(&table).rows(&account.sandbox, Asked::of(&others, date));
        assert_eq!(rows_of(now.content(), lost, false), truth, "{table} {date} of the others");
        assert_eq!(rows_of(now.rows, lost, true), rows_of(old(&table, date), lost, true), "{table} {date} of {lost}");
        assert_eq!(now.footer["criteo_source.without_advertisers"], lost, "{table} {date}");
    }
    let status = account.program("status --verify --format json --output").word(account.output()).run();
    assert_eq!(status.document()["verification"]["findings"], json!([]));
    files::assert_tidy(&account.output());
}

/// An account whose days were pulled, and have been restated since.
fn restated() -> (Account, impl Fn(&str, NaiveDate) -> Vec<Row>) {
    let account = Account::open(small());
    account.run(LINE).expect(0);
    let read = partitions(&TABLES, "2026-11-08", "2026-11-09").into_iter();
    let old: Vec<_> = read.map(|key| (files::read(&account.output(), &key.0, key.1).rows, key)).collect();
    account.sandbox.set_today(day(LATER));
    let find = move |table: &str, date: NaiveDate| {
        old.iter()
            .find(|(_, key)| key.0 == table && key.1 == date)
            .map(|(rows, _)| rows.clone())
            .expect("it was pulled")
    };
    (account, find)
}

#[test]
fn an_advertiser_that_withdraws_its_consent_keeps_the_rows_it_has() {
    let (account, old) = restated();
    let lost = account.advertisers()[0].clone();
    assert!(!rows_of(old("ad_statistics_daily", day("2026-11-08")), &lost, true).is_empty(), "it has rows to lose");
    account.set_faults([format!("consent-lost({lost})")]);
    // Twice: what was kept once is kept again.
    for _ in 0..2 {
        let document = account.run(&format!("{LINE} --force")).expect(4);
        assert_eq!(program::codes(&document, "warnings"), ["rows_kept"], "{document}");
        assert_eq!(program::codes(&document, "errors"), ["advertiser_refused"], "{document}");
        assert!(program::messages(&document, "warnings").contains(&lost), "{document}");
        assert_kept(&account, &old, &lost);
    }
    account.heal();
    let document = account.run(&format!("{LINE} --force")).expect(0);
    assert_eq!(document["warnings"], json!([]));
    for (table, date) in partitions(&TABLES, "2026-11-08", "2026-11-09") {
        let truth = contract(&table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        let now = files::read(&account.output(), &table, date);
        assert_eq!(now.content(), truth, "{table} {date}");
        assert_eq!(now.footer.get("criteo_source.without_advertisers"), None, "{table} {date}");
    }
}

#[test]
fn an_advertiser_that_criteo_no_longer_lists_keeps_its_rows_too() {
    let (account, old) = restated();
    let lost = account.advertisers()[1].clone();
    let unconsented_advertisers = BTreeSet::from([lost.clone()]);
    let without = Account::open(SandboxOptions { unconsented_advertisers, today: day(LATER), ..small() });
    let line = format!("{LINE} --force --as-of {TODAY} --format json --output");
    let document = without.run_program(&without.program(&line).word(account.output())).expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["rows_kept"], "{document}");
    assert_kept(&account, &old, &lost);
}

#[test]
fn a_snapshot_keeps_todays_rows_of_advertisers_that_were_not_requested_or_could_not_be() {
    let line = "pull --tables advertisers,ads,campaigns";
    let account = Account::open(small());
    account.run(line).expect(0);
    let tables = ["advertisers", "ads", "campaigns"];
    let contents = || tables.map(|table| files::read(&account.output(), table, day(TODAY)).content());
    let old = contents();
    let lost = account.advertisers()[0].clone();
    account.set_faults([format!("consent-lost({lost})")]);
    let document = account.run(line).expect(4);
    assert_eq!(contents(), old, "rows of today that cannot be fetched again");
    assert_eq!(program::codes(&document, "errors"), ["advertiser_refused"]);
    assert_eq!(program::codes(&document, "warnings"), ["rows_kept"], "{document}");
    assert!(program::messages(&document, "errors").contains(&lost), "{document}");
    account.heal();
    let document = account.run(&format!("{line} --advertisers {lost}")).expect(0);
    assert_eq!(contents(), old, "{document}");
    assert_eq!(program::codes(&document, "warnings"), ["rows_kept"], "{document}");
}

#[test]
fn a_refusal_says_the_same_of_every_snapshot_whichever_table_finds_it() {
    let account = Account::open(small());
    let lost = account.advertisers()[0].clone();
    account.set_faults([format!("consent-lost({lost})")]);
    // Searches leave the advertiser out without a word; only the list of creatives is refused.
    account.run("pull --tables campaigns,ad_sets,creatives").expect(4);
    for table in ["campaigns", "ad_sets", "creatives"] {
        let footer = files::read(&account.output(), table, day(TODAY)).footer;
        assert_eq!(footer["criteo_source.without_advertisers"], lost, "{table}");
    }
}

#[test]
fn a_list_that_fails_for_one_advertiser_costs_that_part_of_the_snapshot() {
    for (fault, code) in [
        ("http-500", "advertiser_unavailable"),
        ("http-403", "advertiser_refused"),
        ("http-404", "request_rejected"),
        ("http-413", "request_rejected"),
    ] {
        let account = Account::open(small());
        let line = "pull --tables creatives,coupons";
        let bad = account.advertisers()[1].clone();
        account.set_faults([format!("{fault}@/creatives#{bad}")]);
        let document = account.run(line).expect(4);
        assert_eq!(program::codes(&document, "errors"), [code], "{fault}: {document}");
        assert_eq!(document["errors"][0]["advertiser_id"], json!(bad), "{fault}");
        assert!(!document.to_string().contains("next run fetches"), "{fault}: {document}");
        let owner = |row: &Row| row["advertiser_id"].as_str().unwrap_or_default().to_owned();
        let owners = |table: &str| -> BTreeSet<String> {
            files::read(&account.output(), table, day(TODAY)).rows.iter().map(owner).collect()
        };
        let others: BTreeSet<String> = account.advertisers().into_iter().filter(|id| *id != bad).collect();
        assert_eq!(owners("creatives"), others, "{fault}");
        account.heal();
        account.run(line).expect(0);
        let whole = files::read(&account.output(), "creatives", day(TODAY)).content();
        assert!(owners("creatives").contains(&bad), "{fault}");
        account.set_faults([format!("{fault}@/creatives#{bad}")]);
        account.run(line).expect(4);
        assert_eq!(
            files::read(&account.output(), "creatives", day(TODAY)).content(),
            whole,
            "{fault}: rows of today stay"
        );
    }
}

#[test]
fn a_list_that_fails_for_one_ad_set_costs_that_ad_set() {
    let account = Account::open(small());
    let line = "pull --tables ad_set_category_bids";
    account.run(line).expect(0);
    let whole = files::read(&account.output(), "ad_set_category_bids", day(TODAY)).content();
    let ad_set = whole[0]["ad_set_id"].as_str().expect("an id").to_owned();
    account.set_faults([format!("http-404@/ad-sets/{ad_set}/")]);
    let document = account.run(line).expect(4);
    assert!(program::messages(&document, "errors").contains(&ad_set), "{document}");
    assert_eq!(files::read(&account.output(), "ad_set_category_bids", day(TODAY)).content(), whole);
}

#[test]
fn a_search_that_is_too_large_is_made_in_halves() {
    let account = Account::open(small());
    let bad = account.advertisers()[1].clone();
    account.set_faults([format!("http-413@campaigns/search#{bad}")]);
    let document = account.run("pull --tables campaigns").expect(4);
    assert_eq!(document["errors"][0]["advertiser_id"], json!(bad), "{document}");
    let rows = files::read(&account.output(), "campaigns", day(TODAY)).rows;
    assert!(!rows.is_empty() && rows.iter().all(|row| row["advertiser_id"] != json!(bad)));
}

#[test]
fn an_advertiser_that_always_fails_costs_the_second_table_a_probe_only() {
    let account = Account::open(small());
    let bad = account.advertisers()[1].clone();
    account.set_faults([format!("http-500@/creatives#{bad}"), format!("http-500@/coupons#{bad}")]);
    account.run("pull --tables creatives,coupons").expect(4);
    let calls = |list: &str| account.calls(&format!("/{bad}/{list}")).len();
    assert_eq!(calls("coupons").min(calls("creatives")), 3, "{} and {}", calls("coupons"), calls("creatives"));
}

#[test]
fn where_every_advertiser_is_refused_no_snapshot_says_that_there_is_nothing() {
    let account = Account::open(small());
    account.set_faults(account.advertisers().iter().map(|id| format!("consent-lost({id})")));
    let document = account.run("pull --tables ads,creatives").expect(3);
    assert_eq!(document["tables"], json!({}), "{document}");
    assert!(files::everything(&account.output()).is_empty());
}

#[test]
fn where_every_advertiser_is_refused_no_file_says_that_a_day_has_no_rows() {
    let account = Account::open(small());
    account.set_faults(account.advertisers().iter().map(|id| format!("consent-lost({id})")));
    let document = account.run(LINE).expect(3);
    assert!(files::everything(&account.output()).is_empty(), "{document}");
    account.heal();
    account.run(LINE).expect(0);
    let old = files::everything(&account.output());
    account.set_faults(account.advertisers().iter().map(|id| format!("consent-lost({id})")));
    let document = account.run(&format!("{LINE} --force")).expect(3);
    assert_eq!(document["outcome"], json!("failed"), "{document}");
    assert_eq!(program::partitions(&document, "errors"), partitions(&TABLES, "2026-11-08", "2026-11-09"), "{document}");
    assert_eq!(files::everything(&account.output()), old);
}

#[test]
fn rows_of_an_advertiser_that_is_not_requested_go_only_if_they_are_dropped_on_purpose() {
    let (account, _) = restated();
    let only = account.advertisers()[..1].to_vec();
    let document = account.run(&format!("{LINE} --force --drop-others --advertisers {}", only[0])).expect(0);
    assert_eq!(document["warnings"], json!([]));
    for (table, date) in partitions(&TABLES, "2026-11-08", "2026-11-09") {
        let truth = contract(&table).rows(&account.sandbox, Asked::of(&only, date));
        assert_eq!(files::read(&account.output(), &table, date).content(), truth, "{table} {date}");
    }
}

#[test]
fn where_old_rows_cannot_stand_beside_new_ones_the_old_file_stays_and_the_day_is_reported() {
    let line = "backfill --from 2026-11-08 --to 2026-11-09 --tables";
    let by_os = "[[reports]]
name = 'by_os'
dimensions = ['AdvertiserId', 'Os']
metrics = ['Clicks']
";
    let (table, before, after) = ("by_os", by_os.to_owned(), by_os.replace("'Clicks'", "'Clicks', 'Displays'"));
    let account = Account::open(tiny());
    account.configure(&before);
    account.run(&format!("{line} {table}")).expect(0);
    let old = files::everything(&account.output());
    account.sandbox.set_today(day(LATER));
    account.configure(&after);
    account.set_faults([format!("consent-lost({})", account.advertisers()[0])]);
    // Nothing is published, and that is because of a refusal.
    let document = account.run(&format!("{line} {table} --force")).expect(3);
    assert_eq!(
        program::partitions(&document, "errors"),
        partitions(&[table], "2026-11-08", "2026-11-09"),
        "{document}"
    );
    let said = program::messages(&document, "errors");
    assert!(said.contains("other columns") && said.contains("consent link"), "{table}: {said}");
    assert_eq!(files::everything(&account.output()), old, "{table}");
    account.heal();
    account.run(&format!("{line} {table} --force")).expect(0);
    assert_ne!(files::everything(&account.output()), old, "{table}");
}

/// The single days that reports were asked for since `before` calls; ranges are questions for totals.
fn single_days(account: &Account, part: &str, before: usize) -> BTreeSet<NaiveDate> {
    let asked = asked_days(&account.bodies(part)[before..]);
    asked.into_iter().filter(|(from, to)| from == to).map(|(from, _)| from).collect()
}

#[test]
fn a_table_that_fails_for_good_leaves_the_others_and_the_next_pull_heals_exactly_what_is_missing() {
    for fault in ["http-500@placements/report", "http-500@placements/report+9", "truncated-body@placements/report"] {
        let account = Account::open(tiny());
        account
            .configure("start_date = '2026-11-01'\nlookback_days = 1\n[tables.placements_daily]\nlookback_days = 1\n");
        account.set_faults([fault]);
        let line = "pull --tables ad_statistics_daily,placements_daily,transactions,campaigns";
        let document = account.run(line).expect(4);
        let there: BTreeSet<NaiveDate> = files::dates(&account.output(), "placements_daily").into_iter().collect();
        assert_eq!(!there.is_empty(), fault.contains('+'), "{fault}: {there:?}");
        let wanted: BTreeSet<NaiveDate> = days("2026-11-01", "2026-11-09").into_iter().collect();
        let lost: BTreeSet<NaiveDate> = wanted.difference(&there).copied().collect();
        let named = program::partitions(&document, "errors");
        assert_eq!(named, lost.iter().map(|date| ("placements_daily".to_owned(), *date)).collect(), "{fault}");
        for table in ["ad_statistics_daily", "transactions"] {
            assert_eq!(files::dates(&account.output(), table), days("2026-11-01", "2026-11-09"), "{fault}: {table}");
        }
        assert_eq!(files::dates(&account.output(), "campaigns"), [day(TODAY)], "{fault}");
        account.heal();
        let before = account.calls("placements/report").len();
        account.run(line).expect(0);
        let mut expected = lost;
        // The look-back of one day, and what was published without Criteo's totals.
        expected.insert(day("2026-11-09"));
        let files = document["tables"]["placements_daily"]["files"].as_array().cloned().unwrap_or_default();
        let unread = files.iter().filter(|file| file["reconciliation"] == "unreadable");
        expected.extend(unread.map(|file| day(file["date"].as_str().expect("a date"))));
        assert_eq!(single_days(&account, "placements/report", before), expected, "{fault}");
        for (table, date) in partitions(&["placements_daily", "transactions"], "2026-11-01", "2026-11-09") {
            let truth = contract(&table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(files::read(&account.output(), &table, date).content(), truth, "{fault}: {table} {date}");
        }
    }
}

#[test]
fn a_day_that_criteo_cannot_answer_for_is_named_and_the_others_are_published() {
    let bad = day("2026-11-03");
    let scripted = Scripted::start(move |asked| {
        let attributes = &asked.body["data"][0]["attributes"];
        let date = |name: &str| day(attributes[name].as_str().expect("a date"));
        let (from, to) = (date("startDate"), date("endDate"));
        if (from..=to).contains(&bad) {
            return Reply::status(500, &json!({"errors": []}));
        }
        let rows = from.iter_days().take_while(|date| *date <= to).map(|date| {
            let american = date.format("%m/%d/%Y 08:00:00").to_string();
            json!({"type": "TransactionsReport", "attributes": {"advertiserId": ADVERTISER, "transactionId": date,
                "transactionDate": american, "eventType": "click", "eventDate": american, "amount": "1.5"}})
        });
        Reply::ok(&json!({"data": rows.collect::<Vec<Value>>()}))
    });
    let document = scripted.job("backfill --from 2026-11-01 --to 2026-11-06 --tables transactions").run().expect(4);
    assert_eq!(program::partitions(&document, "errors"), [("transactions".to_owned(), bad)].into(), "{document}");
    let mut expected = days("2026-11-01", "2026-11-06");
    expected.retain(|date| *date != bad);
    assert_eq!(files::dates(&scripted.output(), "transactions"), expected);
    files::assert_tidy(&scripted.output());
}

#[test]
fn an_advertiser_for_which_a_report_has_no_answer_is_found_out_and_the_others_go_on() {
    let (account, old) = restated();
    let lost = account.advertisers()[0].clone();
    account.set_faults([format!("http-500@statistics/report#{lost}")]);
    let document = account.run(&format!("{LINE} --force")).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["advertiser_unavailable"], "{document}");
    assert_eq!(document["errors"][0]["advertiser_id"], json!(lost), "{document}");
    let others: Vec<String> = account.advertisers().into_iter().filter(|id| *id != lost).collect();
    for (table, date) in partitions(&TABLES, "2026-11-08", "2026-11-09") {
        let now = files::read(&account.output(), &table, date);
        if table == "ad_statistics_daily" {
            let truth = contract(&table).rows(&account.sandbox, Asked::of(&others, date));
            assert_eq!(rows_of(now.content(), &lost, false), truth, "{table} {date} of the others");
            let kept = rows_of(old(&table, date), &lost, true);
            assert_eq!(rows_of(now.rows, &lost, true), kept, "{table} {date} of {lost}");
        } else {
            let truth = contract(&table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(now.content(), truth, "{table} {date}: another report has its answer");
        }
    }
    // The next run asks again for exactly the days that lack somebody.
    account.heal();
    let document = account.run(LINE).expect(0);
    assert_eq!(document["resumed_partitions"], json!(4), "{document}");
    for date in days("2026-11-08", "2026-11-09") {
        let truth = contract("ad_statistics_daily").rows(&account.sandbox, Asked::of(&account.advertisers(), date));
        assert_eq!(files::read(&account.output(), "ad_statistics_daily", date).content(), truth, "{date}");
    }
}

#[test]
fn a_refusal_that_does_not_say_why_is_narrowed_to_the_advertiser_if_others_are_answered() {
    let account = Account::open(small());
    let refused = account.advertisers()[1].clone();
    account.set_faults([format!("http-403@report#{refused}")]);
    let document = account.run(LINE).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["advertiser_refused"], "{document}");
    assert_eq!(document["errors"][0]["advertiser_id"], json!(refused), "{document}");
    let others: Vec<String> = account.advertisers().into_iter().filter(|id| *id != refused).collect();
    for (table, date) in partitions(&TABLES, "2026-11-08", "2026-11-09") {
        let truth = contract(&table).rows(&account.sandbox, Asked::of(&others, date));
        assert_eq!(files::read(&account.output(), &table, date).content(), truth, "{table} {date}");
    }
    // Nobody is answered: that is the app's permission, and is not searched for among the advertisers for long. (The run in
    // between ends the memory of who was refused, which would be tried alone.)
    account.heal();
    account.run(&format!("{LINE} --force")).expect(0);
    account.set_faults(["http-403@report"]);
    let before = account.calls("report").len();
    let document = account.run(&format!("{LINE} --force")).expect(3);
    let codes = program::codes(&document, "errors");
    assert!(
        codes.contains(&"scope_missing".to_owned()) && !codes.contains(&"advertiser_refused".to_owned()),
        "{codes:?}"
    );
    assert!(account.calls("report").len() - before <= 20, "{}", account.calls("report").len() - before);
}

#[test]
fn transactions_of_days_that_were_not_asked_for_are_kept_under_the_day_that_brings_them() {
    let scripted = Scripted::start(|asked| {
        let attributes = &asked.body["data"][0]["attributes"];
        let (from, to) = (attributes["startDate"].as_str().unwrap_or(""), attributes["endDate"].as_str().unwrap_or(""));
        // The range filters the event's date; the transaction came days later.
        let transaction = |date: &str| {
            json!({"type": "TransactionsReport", "attributes": {"advertiserId": ADVERTISER, "transactionId": date,
                "transactionDate": "11/08/2026 08:00:00", "eventType": "click",
                "eventDate": day(date).format("%m/%d/%Y 08:00:00").to_string(), "amount": "1.5"}})
        };
        let events = ["2026-11-01", "2026-11-02", "2026-11-03"].into_iter().filter(|date| (from..=to).contains(date));
        Reply::ok(&json!({"data": events.map(transaction).collect::<Vec<_>>()}))
    });
    let document = scripted.job("backfill --from 2026-11-01 --to 2026-11-03 --tables transactions").run().expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["transactions_of_other_days"], "{document}");
    for date in days("2026-11-01", "2026-11-03") {
        let rows = files::read(&scripted.output(), "transactions", date).rows;
        assert_eq!((rows.len(), &rows[0]["transaction_id"]), (1, &json!(date.to_string())), "{date}");
    }
}
