//! Runs that are killed at any moment: every file that a reader may see is whole, and is the old one or the new one.
//!
//! A kill is not aimed: its moment is drawn from the whole length of a run, which is learned while the test goes on, so
//! that some hit the start, some the requests, and some the few milliseconds in which files are being replaced. How they
//! were spread is asserted, because kills that all come too early prove nothing.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;

use crate::support::account::{Account, tiny};
use crate::support::cells::Row;
use crate::support::chance::Chance;
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files};

/// Transactions are not among them: Criteo adds to them, but what this small account has does not change in these days.
const TABLES: [&str; 4] =
    ["ad_statistics_daily", "device_statistics_daily", "placements_daily", "placement_categories_daily"];
const FROM: &str = "2026-11-07";
const TO: &str = "2026-11-09";
/// What the account takes as today in the two states of the world; Criteo restates days as they grow older.
const WORLDS: [&str; 2] = [TODAY, "2026-11-16"];
/// After so many kills the output is thrown away, so that first runs are killed as well.
const KILLS_PER_OUTPUT: u32 = 25;
/// After so many kills the program is asked whether the ledger agrees with the files; it agrees after each.
const KILLS_PER_VERIFICATION: u32 = 10;

type Partitions = BTreeMap<(String, NaiveDate), Vec<Row>>;

/// Everything that the account has of the days asked for, as it is today.
fn truth(account: &Account) -> Partitions {
    let advertisers = account.advertisers();
    let each = TABLES.iter().flat_map(|table| days(FROM, TO).into_iter().map(move |date| (*table, date)));
    each.map(|(table, date)| {
        ((table.to_owned(), date), contract(table).rows(&account.sandbox, Asked::of(&advertisers, date)))
    })
    .collect()
}

/// Where kills hit.
#[derive(Debug, Default)]
struct Spread {
    kills: u32,
    /// Nothing was staged or published yet.
    before: u32,
    /// Files were staged that nobody sees, or files were published without their records.
    left_over: u32,
    /// Some partitions were published, and the run had more to do.
    between: u32,
    /// The run ended before its kill came.
    finished: u32,
}

impl Spread {
    fn count(&mut self, output: &Path, before: &Partitions, now: &Partitions) {
        let left_over =
            !files::names(&output.join("_ledger/staging")).is_empty() || output.join("_ledger/pending.json").exists();
        let published = now.iter().filter(|(key, rows)| before.get(*key) != Some(*rows)).count();
        self.kills += 1;
        self.left_over += u32::from(left_over);
        self.between += u32::from(published > 0);
        self.before += u32::from(published == 0 && !left_over);
    }

    fn assert_even(&self) {
        let least = |share: u32| (self.kills / share).max(1);
        assert!(self.before >= least(10), "few kills hit the start: {self:?}");
        assert!(self.between >= least(20), "few kills hit between two tables: {self:?}");
        assert!(self.left_over >= least(20), "few kills hit a publication: {self:?}");
    }
}

/// Each partition is what it was, or what it should be now; none is gone, and there is nothing else.
fn assert_old_or_new(before: &Partitions, now: &Partitions, truth: &Partitions, what: &str) {
    for (key, rows) in now {
        let is_new = truth.get(key).is_some_and(|truth| truth == rows);
        let is_old = before.get(key).is_some_and(|before| before == rows);
        assert!(is_new || is_old, "{what}: {key:?} is neither old nor new");
    }
    for key in before.keys() {
        assert!(now.contains_key(key), "{what}: {key:?} is gone");
    }
}

/// `kills` runs that are killed, then one that is not.
fn survive(kills: u32) {
    let account = Account::open(tiny());
    let worlds = WORLDS.map(|today| {
        account.sandbox.set_today(day(today));
        (day(today), truth(&account))
    });
    for (key, rows) in &worlds[0].1 {
        assert_ne!(rows, &worlds[1].1[key], "{key:?} is restated, so that old and new can be told apart");
    }
    let mut chance = Chance::of_variable("E2E_SEED");
    println!("kills at random: seed {}", chance.seed());
    let line = format!("backfill --from {FROM} --to {TO} --tables {}", TABLES.join(","));
    let mut spread = Spread::default();
    let mut longest = Duration::from_millis(500);
    let mut before = Partitions::new();
    let mut round = 0;
    while spread.kills < kills {
        if round % KILLS_PER_OUTPUT == 0 && account.output().exists() {
            std::fs::remove_dir_all(account.output()).expect("the output can be removed");
            before.clear();
        }
        let (today, truth) = &worlds[round as usize % 2];
        account.sandbox.set_today(*today);
        let force = if chance.below(2) == 0 { " --force" } else { "" };
        let delay = longest.mul_f64(chance.share());
        let ended = account.job(&format!("{line}{force}")).start().kill_after(delay);
        let what = format!("round {round}{force}, killed after {delay:?}");
        let killed = ended.code == -1;
        assert!(killed || ended.code == 0, "{what}: exit code {}\n{}", ended.code, ended.stderr);
        let now = files::everything_after_a_kill(&account.output());
        assert_old_or_new(&before, &now, truth, &what);
        if killed {
            spread.count(&account.output(), &before, &now);
        } else {
            spread.finished += 1;
        }
        if round % KILLS_PER_VERIFICATION == 0 && account.output().join("_ledger/ledger.json").exists() {
            assert_verified(&account, &what);
        }
        // About one run in six shall end by itself: then kills reach to the very end, however busy the machine is.
        longest = longest.mul_f64(if killed { 1.05 } else { 0.8 });
        before = now;
        round += 1;
    }
    println!("{spread:?}, runs take up to {longest:?}");
    spread.assert_even();
    let (today, truth) = &worlds[round as usize % 2];
    account.sandbox.set_today(*today);
    account.run(&format!("{line} --force")).expect(0);
    assert_eq!(&files::everything(&account.output()), truth, "after the last, undisturbed run");
    assert_verified(&account, "after the last run");
    files::assert_tidy(&account.output());
}

/// The ledger agrees with the files.
fn assert_verified(account: &Account, what: &str) {
    let status = account.program("status --verify --format json --output").word(account.output()).run();
    assert_eq!(status.code, 0, "{what}: {}\n{}", status.stdout, status.stderr);
    assert_eq!(status.document()["verification"]["findings"], json!([]), "{what}");
}

/// More of them: `E2E_KILLS=2000 cargo test --locked --test e2e killed -- --nocapture`.
#[test]
fn a_backfill_killed_two_hundred_times_at_random_never_shows_a_partial_or_missing_partition() {
    let kills = std::env::var("E2E_KILLS").map_or(200, |kills| kills.parse().expect("a number of kills"));
    survive(kills);
}
