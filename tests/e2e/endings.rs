//! Runs that end before their time: told to stop, or killed. Nothing half-done is published, and the next run goes on.
#![cfg(unix)]

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::scripted::{ADVERTISER, Asked, Reply, Scripted};
use crate::support::{day, days, files, program};

const LINE: &str = "backfill --from 2026-11-01 --to 2026-11-02 --tables transactions";

/// The day that a request for a single day is about.
fn single_day(asked: &Asked) -> Option<String> {
    let attributes = &asked.body["data"][0]["attributes"];
    let (from, to) = (attributes["startDate"].as_str()?, attributes["endDate"].as_str()?);
    (from == to).then(|| from.to_owned())
}

/// One transaction of that day.
fn transaction(date: &str) -> Value {
    let american = day(date).format("%m/%d/%Y 08:00:00").to_string();
    json!({"type": "TransactionsReport", "attributes": {"advertiserId": ADVERTISER, "transactionId": date,
        "transactionDate": american, "eventType": "click", "eventDate": american, "amount": "1.5"}})
}

/// A server that answers for the second of November, and holds back the first until the other end is dropped.
fn holding() -> (Scripted, Receiver<()>, Sender<()>) {
    let (arrived, arrives) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Arc::new(Mutex::new(released)));
    let scripted = Scripted::start(move |asked| {
        let Some(date) = single_day(asked) else { return Reply::ok(&json!({"data": []})) };
        if date == "2026-11-01" {
            let _ = arrived.lock().expect("no script panics").send(());
            let _ = released.lock().expect("no script panics").recv();
        }
        Reply::ok(&json!({"data": [transaction(&date)]}))
    });
    (scripted, arrives, release)
}

/// After the interruption, the run is repeated and completes without asking for what is there.
fn assert_goes_on(scripted: &Scripted, release: Sender<()>) {
    assert_eq!(files::dates(&scripted.output(), "transactions"), [day("2026-11-02")]);
    drop(release);
    let before = scripted.asked().len();
    let document = scripted.job(LINE).run().expect(0);
    assert_eq!(document["resumed_partitions"], json!(1));
    let again = scripted.asked()[before..].iter().filter_map(single_day).collect::<Vec<_>>();
    assert_eq!(again, ["2026-11-01"]);
    assert_eq!(files::dates(&scripted.output(), "transactions"), days("2026-11-01", "2026-11-02"));
    files::assert_tidy(&scripted.output());
}

#[test]
fn a_run_that_is_told_to_stop_ends_at_once_says_what_is_missing_and_lets_the_next_go_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (scripted, arrives, release) = holding();
        let running = scripted.job(LINE).start();
        arrives.recv().expect("the held request arrives");
        running.signal(signal);
        let document = running.end().expect(code);
        assert_eq!(document["outcome"], json!("partial"), "{signal}");
        assert_eq!(program::codes(&document, "errors"), ["interrupted"], "{signal}");
        assert_eq!(document["errors"][0]["date"], json!("2026-11-01"), "{signal}");
        files::assert_tidy(&scripted.output());
        assert_goes_on(&scripted, release);
    }
}

#[test]
fn a_snapshot_that_was_interrupted_is_said_to_be_missing_and_the_next_run_takes_it() {
    let (arrived, arrives) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let scripted = Scripted::start(move |_| {
        let _ = arrived.lock().expect("no script panics").send(());
        let _ = released.lock().expect("no script panics").recv();
        Reply::ok(&json!({"data": []}))
    });
    let running = scripted.job("pull --tables advertisers,campaigns").start();
    arrives.recv().expect("the held request arrives");
    running.signal("TERM");
    let document = running.end().expect(143);
    assert_eq!(document["outcome"], json!("partial"), "{document}");
    assert_eq!(program::codes(&document, "errors"), ["interrupted"], "{document}");
    assert_eq!(document["errors"][0]["table"], json!("campaigns"), "{document}");
    assert!(files::dates(&scripted.output(), "campaigns").is_empty());
    drop(release);
    scripted.job("pull --tables advertisers,campaigns").run().expect(0);
    assert_eq!(files::dates(&scripted.output(), "campaigns").len(), 1);
}

#[test]
fn a_run_that_is_told_to_stop_before_it_knows_its_advertisers_still_says_how_it_ended() {
    let account = Account::with_faults(["http-503@advertisers/me*99"]);
    let running = account.job("pull --tables campaigns").without("CRITEO_SOURCE_TEST_SKIP_WAITS").start();
    while account.calls("advertisers/me").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    running.signal("TERM");
    let document = running.end().expect(143);
    assert_eq!(document["outcome"], json!("failed"), "{document}");
    assert_eq!(program::codes(&document, "errors"), ["interrupted"], "{document}");
}

#[test]
fn a_run_that_is_killed_leaves_whole_partitions_no_lock_and_nothing_to_clean_up_by_hand() {
    let (scripted, arrives, release) = holding();
    let running = scripted.job(LINE).start();
    arrives.recv().expect("the held request arrives");
    running.signal("KILL");
    assert_eq!(running.end().code, -1, "it ended by the signal");
    assert_goes_on(&scripted, release);
}

#[test]
fn a_second_run_ends_at_once_without_a_call_and_says_who_holds_the_lock_since_when() {
    let (scripted, arrives, release) = holding();
    let first = scripted.job(LINE).start();
    arrives.recv().expect("the held request arrives");
    let (process, calls) = (first.process(), scripted.asked().len());
    for line in [LINE, "backfill --from 2026-10-01 --to 2026-10-02", "pull"] {
        let document = scripted.job(line).run().expect(7);
        assert_eq!(program::codes(&document, "errors"), ["locked"], "{line}");
        let said = program::messages(&document, "errors");
        for part in [format!("process {process}"), "`backfill` (run 0".to_owned(), " since 20".to_owned()] {
            assert!(said.contains(&part), "`{part}` is not in {said}");
        }
        if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            assert!(said.contains(&format!("on {}", host.trim())), "{said}");
        }
    }
    assert_eq!(scripted.asked().len(), calls, "whoever comes too early asks Criteo for nothing");
    drop(release);
    let document = first.end().expect(0);
    assert_eq!(document["tables"]["transactions"]["partitions"], json!(2));
    assert_eq!(files::dates(&scripted.output(), "transactions"), days("2026-11-01", "2026-11-02"));
    files::assert_tidy(&scripted.output());
}

#[test]
fn the_lock_of_a_killed_run_is_free_at_once_and_that_of_a_paused_one_is_not() {
    let (scripted, arrives, release) = holding();
    let killed = scripted.job(LINE).start();
    arrives.recv().expect("the held request arrives");
    killed.signal("KILL");
    assert_eq!(killed.end().code, -1, "it ended by the signal");
    let paused = scripted.job(LINE).start();
    arrives.recv().expect("the lock was free, so its held request arrives");
    paused.signal("STOP");
    // However long it is paused: the kernel holds the lock for as long as the process lives, there is nothing to expire.
    let document = scripted.job(LINE).run().expect(7);
    assert!(program::messages(&document, "errors").contains(&format!("process {}", paused.process())), "{document}");
    paused.signal("CONT");
    drop(release);
    paused.end().expect(0);
    assert_eq!(files::dates(&scripted.output(), "transactions"), days("2026-11-01", "2026-11-02"));
    files::assert_tidy(&scripted.output());
    scripted.job(LINE).run().expect(0);
}
