//! Runs that end before their time: told to stop, or killed. Nothing half-done is published, and the next run goes on.
#![cfg(unix)]

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

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
        assert_eq!(program::codes(&document, "errors"), ["not_refreshed"], "{signal}");
        assert_eq!(document["errors"][0]["date"], json!("2026-11-01"), "{signal}");
        files::assert_tidy(&scripted.output());
        assert_goes_on(&scripted, release);
    }
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
