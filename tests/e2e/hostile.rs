//! Answers that nobody in their right mind would send: refused in words that say where, in bounded memory and time, with
//! nothing published and everything that was there before as it was.

use std::iter::{once, repeat, repeat_n};

use serde_json::{Value, json};

use crate::support::raw::{Answer, Raw, Received};
use crate::support::{day, files, program};

const MEBIBYTE: usize = 1 << 20;
/// What a run may take. Twenty mebibytes are the program; the rest is a list of resources at its limits.
const MAX_MEMORY: u64 = 200 << 20;
const LINE: &str = "backfill --from 2026-11-01 --to 2026-11-01 --tables transactions --force";
/// Attempts at a request that may succeed the next time.
const ATTEMPTS: usize = 8;

fn row() -> Value {
    json!({"advertiserId": "10", "advertiserName": "Ten", "transactionId": "t1", "transactionDate": "11/01/2026 08:19:07",
        "eventType": "click", "eventDate": "11/01/2026 08:00:00", "adsetName": "a", "attributedTransaction": "True",
        "currency": "USD", "amount": "12.40", "crossDeviceTransaction": "No"})
}

/// A whole body with one row.
fn body_of(row: &str) -> String {
    format!(r#"{{"data":[{{"type":"x","attributes":{row}}}]}}"#)
}

/// The body whose row has `text` instead of the name of the ad set and its quotes.
fn with_name(text: &str) -> String {
    body_of(&row().to_string().replace("\"adsetName\":\"a\"", &format!("\"adsetName\":{text}")))
}

fn endless(before: impl Into<Vec<u8>>, piece: Vec<u8>) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    once(before.into()).chain(repeat(piece))
}

/// A gibibyte of `byte` between two texts.
fn gibibyte(before: &str, byte: u8, after: &str) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
    let middle = repeat_n(vec![byte; MEBIBYTE], 1024);
    once(before.into()).chain(middle).chain(once(after.into()))
}

/// Blanks in gzip, a hundred and fifty times smaller, without an end.
fn gzip_bomb() -> impl Iterator<Item = Vec<u8>> + Send {
    // RFC 1952 and 1951: a block of fixed codes with one literal blank, then copies of the 258 bytes before.
    let header = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    let bit = |position: usize| {
        let text: &[u8] = if position < 11 { b"01001010000" } else { b"1100010100000" };
        let position = if position < 11 { position } else { (position - 11) % 13 };
        text[position] == b'1'
    };
    let byte = move |index: usize| (0..8).fold(0, |byte, at| byte | u8::from(bit(8 * index + at)) << at);
    // From the third byte on, the bits repeat every thirteen bytes.
    let cycle: Vec<u8> = (2..15).map(byte).collect();
    once([header, vec![byte(0), byte(1)]].concat()).chain(repeat(cycle.repeat(5000)))
}

/// What a run is to say of an answer.
struct Claim {
    name: &'static str,
    answer: fn() -> Answer,
    /// Each of these is in the error.
    said: &'static [&'static str],
    calls: usize,
}

/// A good day is pulled, then its answer turns bad: the run fails with the words and calls claimed, the file stays.
fn assert_refused(claim: &Claim) {
    let answer = claim.answer;
    let bad = std::sync::atomic::AtomicBool::new(false);
    let bad = std::sync::Arc::new(bad);
    let is_bad = std::sync::Arc::clone(&bad);
    let raw = Raw::start(move |received: &Received| {
        let is_report = received.is("/transactions/report");
        is_report.then(|| {
            if is_bad.load(std::sync::atomic::Ordering::SeqCst) {
                answer()
            } else {
                Answer::body(body_of(&row().to_string()))
            }
        })
    });
    raw.job(LINE).run().expect(0);
    let path = files::path(&raw.output(), "transactions", day("2026-11-01"));
    let before = std::fs::read(&path).expect("a partition");
    bad.store(true, std::sync::atomic::Ordering::SeqCst);
    let (ended, memory) = raw.job(LINE).run_measured();
    println!("{}: {} MiB", claim.name, memory >> 20);
    let document = ended.expect(4);
    let errors = document["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 1, "{}: {document}", claim.name);
    assert_eq!(errors[0]["table"], json!("transactions"), "{}", claim.name);
    assert_eq!(errors[0]["date"], json!("2026-11-01"), "{}", claim.name);
    let message = errors[0]["message"].as_str().expect("a message");
    for part in claim.said {
        assert!(message.contains(part), "{}: `{part}` is not in\n{message}", claim.name);
    }
    assert!(message.len() < 1000 && ended.stderr.len() < 20_000, "{}: {message}", claim.name);
    assert_eq!(raw.received("/transactions/report").len(), 1 + claim.calls, "{}: {message}", claim.name);
    assert!(memory < MAX_MEMORY, "{}: {} MiB", claim.name, memory >> 20);
    assert_eq!(std::fs::read(&path).expect("still there"), before, "{}", claim.name);
    files::assert_tidy(&raw.output());
}

fn assert_all_refused(claims: &[Claim]) {
    claims.iter().for_each(assert_refused);
}

#[test]
fn nesting_without_an_end_is_refused_at_once() {
    assert_all_refused(&[
        Claim {
            name: "in an unknown field",
            answer: || Answer::pieces(endless(r#"[{"x":"#, vec![b'['; MEBIBYTE])),
            said: &["larger than 1048576 bytes", "after row 0"],
            calls: 1,
        },
        Claim {
            name: "instead of rows",
            answer: || Answer::pieces(endless("", vec![b'['; MEBIBYTE])),
            said: &["larger than 1048576 bytes"],
            calls: 1,
        },
        Claim {
            name: "of objects",
            answer: || Answer::pieces(endless(r#"{"data":[],"x":"#, r#"{"a":"#.repeat(100_000).into_bytes())),
            said: &["larger than 1048576 bytes"],
            calls: 1,
        },
    ]);
}

#[test]
fn an_unknown_field_is_skipped_however_deep_it_is_and_the_row_is_published() {
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    let raw = Raw::start(move |received: &Received| {
        let body = body_of(&row().to_string().replacen('{', &format!("{{\"new\":{deep},"), 1));
        received.is("/transactions/report").then(|| Answer::body(body))
    });
    let (ended, memory) = raw.job(LINE).run_measured();
    assert_eq!(program::codes(&ended.expect(0), "warnings"), ["unknown_fields"]);
    assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
    assert_eq!(files::read(&raw.output(), "transactions", day("2026-11-01")).rows.len(), 1);
}

#[test]
fn numbers_and_texts_beyond_all_measure_are_refused_with_their_column_and_row() {
    const COLUMN: &[&str] = &["table `transactions`, column `ad_set_name`, row 1", "longer than 65536 bytes"];
    assert_all_refused(&[
        Claim {
            name: "an exponent of nine digits",
            answer: || Answer::body(body_of(&row().to_string().replace("\"12.40\"", "1e999999999"))),
            said: &["table `transactions`, column `amount`, row 1", "`1e999999999` is too large"],
            calls: 1,
        },
        Claim {
            name: "a number of 100,000 digits",
            answer: || Answer::body(body_of(&row().to_string().replace("\"12.40\"", &"7".repeat(100_000)))),
            said: &["table `transactions`, column `amount`, row 1", "longer than 65536 bytes"],
            calls: 1,
        },
        Claim {
            name: "a number without an end",
            answer: || Answer::pieces(endless(r#"[{"amount":"#, vec![b'7'; MEBIBYTE])),
            said: &["larger than 1048576 bytes"],
            calls: 1,
        },
        Claim {
            name: "a text of 100 kB",
            answer: || Answer::body(with_name(&format!("\"{}\"", "y".repeat(100_000)))),
            said: COLUMN,
            calls: 1,
        },
        Claim {
            name: "a text of 64 MB",
            answer: || Answer::body(with_name(&format!("\"{}\"", "y".repeat(64_000_000)))),
            said: &["larger than 1048576 bytes", "after row 0"],
            calls: 1,
        },
        Claim {
            name: "a key of 64 MB",
            answer: || Answer::body(body_of(&format!("{{\"{}\":1}}", "y".repeat(64_000_000)))),
            said: &["larger than 1048576 bytes", "after row 0"],
            calls: 1,
        },
    ]);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_at_once() {
    assert_all_refused(&[
        Claim {
            name: "a key twice in a row",
            answer: || Answer::body(body_of(&row().to_string().replacen('{', "{\"AMOUNT\":\"1\",", 1))),
            said: &["a key appears twice in one row", "after row 0"],
            calls: 1,
        },
        Claim {
            name: "two lists of rows",
            answer: || Answer::body(format!(r#"{{"Rows":[{0}],"Rows":[{0}]}}"#, row())),
            said: &["`Rows` beside another list of rows"],
            calls: 1,
        },
        Claim {
            name: "two lists of rows, one of them in escapes",
            answer: || Answer::body(format!(r#"{{"Rows":[{0}],"d\u0061ta":[]}}"#, row())),
            said: &["`data` beside another list of rows"],
            calls: 1,
        },
    ]);
}

#[test]
fn what_is_no_text_is_refused_after_the_attempts_that_a_damaged_answer_deserves() {
    assert_all_refused(&[Claim {
        name: "a NUL",
        answer: || Answer::body(with_name("\"a\u{0}b\"")),
        said: &["a control character in a string at byte"],
        calls: ATTEMPTS,
    }]);
}

#[test]
fn white_space_without_an_end_is_refused_at_once() {
    const SAID: &[&str] = &["nothing but white space for 64 MiB, after row 0"];
    assert_all_refused(&[
        Claim { name: "before", answer: || Answer::pieces(gibibyte("", b' ', "[]")), said: SAID, calls: 1 },
        Claim { name: "inside", answer: || Answer::pieces(gibibyte("{\"Rows\":[", b'\n', "]}")), said: SAID, calls: 1 },
        Claim { name: "after", answer: || Answer::pieces(gibibyte("[]", b'\t', "")), said: SAID, calls: 1 },
        Claim {
            name: "in gzip",
            answer: || Answer::pieces(gzip_bomb()).header("content-encoding", "gzip"),
            said: SAID,
            calls: 1,
        },
    ]);
}

#[test]
fn rows_without_an_end_are_refused_before_they_fill_the_memory() {
    let raw = Raw::start(|received: &Received| {
        let rows = (0..).map(|number| {
            let name = format!("{number}-{}", "y".repeat(60_000));
            let row = row().to_string().replace("\"adsetName\":\"a\"", &format!("\"adsetName\":\"{name}\""));
            format!("{}{row}", if number == 0 { "[" } else { "," }).into_bytes()
        });
        received.is("/transactions/report").then(|| Answer::pieces(rows))
    });
    let (ended, memory) = raw.job(LINE).run_measured();
    println!("rows without an end: {} MiB", memory >> 20);
    let document = ended.expect(4);
    assert!(program::messages(&document, "errors").contains("take more than 256 MiB"), "{document}");
    // What the rows may take, twice where the text of a column grows, and the program.
    assert!(memory < 700 << 20, "{} MiB", memory >> 20);
    assert_eq!(files::listing(&raw.output()), [].into());
}

#[test]
fn a_row_of_a_hundred_thousand_unknown_columns_is_read_and_the_warning_names_a_few() {
    let raw = Raw::start(|received: &Received| {
        let unknown: String = (0..100_000).map(|number| format!("\"{number:x}\":0,")).collect();
        let body = body_of(&row().to_string().replacen('{', &format!("{{{unknown}"), 1));
        received.is("/transactions/report").then(|| Answer::body(body))
    });
    let (ended, memory) = raw.job(LINE).run_measured();
    let document = ended.expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["unknown_fields"]);
    assert!(program::messages(&document, "warnings").len() < 500);
    assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
}

#[test]
fn millions_of_rows_of_other_days_are_refused_at_the_first() {
    let raw = Raw::start(|received: &Received| {
        let row = r#"{"AdvertiserId":"10","CampaignId":"1","AdsetId":"2","AdId":"3","Day":"2025-01-01","Clicks":"1"}"#;
        let rows = format!("{row},").repeat(1000).into_bytes();
        received.is("/statistics/report").then(|| Answer::pieces(endless("{\"Rows\":[", rows)))
    });
    let line = "backfill --from 2026-11-01 --to 2026-11-03 --tables ad_statistics_daily";
    let (ended, memory) = raw.job(line).run_measured();
    let message = program::messages(&ended.expect(4), "errors");
    assert!(message.contains("row 1 of the response for table `ad_statistics_daily` is of 2025-01-01"), "{message}");
    assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
    let mut asked: Vec<String> = raw.received("/statistics/report").into_iter().map(|call| call.body).collect();
    asked.sort();
    assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "nothing is asked twice: {asked:#?}");
    assert_eq!(files::listing(&raw.output()), [].into());
}

#[test]
fn an_error_page_of_a_hundred_megabytes_is_quoted_in_a_line() {
    let page = || gibibyte("<html>", b'x', "").take(100);
    for (status, calls) in [(400, 1), (502, ATTEMPTS)] {
        let raw = Raw::start(move |received: &Received| {
            let answer = || Answer::pieces(page()).status(status).header("content-type", "text/html");
            received.is("/transactions/report").then(answer)
        });
        let (ended, memory) = raw.job(LINE).run_measured();
        let message = program::messages(&ended.document(), "errors");
        assert!(message.contains("text/html") && message.len() < 700, "{message}");
        assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
        assert_eq!((raw.received("/transactions/report").len(), ended.code), (calls, if calls == 1 { 4 } else { 5 }));
    }
}

#[test]
fn headers_without_an_end_are_a_broken_connection() {
    let raw = Raw::start(|received: &Received| {
        let answer = || Answer::body("[]").header("x-long", &"x".repeat(10_000_000));
        received.is("/transactions/report").then(answer)
    });
    let (ended, memory) = raw.job(LINE).run_measured();
    assert!(ended.expect(5)["errors"][0]["message"].as_str().expect("a message").contains("the connection broke"));
    assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
}

/// A run whose token or list of advertisers is `answer`: it ends before any report, in bounded memory.
fn assert_stops_early(path: &'static str, answer: fn() -> Answer, code: i32, said: &[&str]) {
    let raw = Raw::start(move |received: &Received| received.is(path).then(answer));
    let (ended, memory) = raw.job(LINE).run_measured();
    println!("{path}: {} MiB", memory >> 20);
    let message = program::messages(&ended.expect(code), "errors");
    for part in said {
        assert!(message.contains(part), "`{part}` is not in\n{message}");
    }
    assert!(message.len() < 1000, "{message}");
    assert!(memory < MAX_MEMORY, "{} MiB", memory >> 20);
    assert_eq!((raw.received(path).len(), raw.received("report").len()), (1, 0), "{path}");
    assert_eq!(files::listing(&raw.output()), [].into());
}

#[test]
fn a_token_or_a_list_without_an_end_is_refused_at_once() {
    let blanks = || Answer::pieces(gibibyte("{", b' ', "}"));
    assert_stops_early("/oauth2/token", blanks, 3, &["longer than 65536 bytes"]);
    assert_stops_early("/advertisers/me", blanks, 1, &["longer than 67108864 bytes"]);
    assert_stops_early(
        "/advertisers/me",
        || Answer::pieces(gzip_bomb()).header("content-encoding", "gzip"),
        1,
        &["longer than 67108864 bytes"],
    );
}

#[test]
fn a_list_that_would_not_fit_the_memory_as_a_tree_is_refused_at_once() {
    let zeros = || Answer::body(format!("{{\"data\":[{}0]}}", "0,".repeat(30_000_000)));
    assert_stops_early("/advertisers/me", zeros, 1, &["where a resource was expected in `data`"]);
    let tiny = || Answer::body(format!("{{\"data\":[{}{{}}]}}", "{},".repeat(20_000_000)));
    assert_stops_early("/advertisers/me", tiny, 1, &["too many resources in one response"]);
    let deep = || Answer::body(format!("{{\"data\":{}", "[".repeat(1_000_000)));
    assert_stops_early("/advertisers/me", deep, 1, &["where a resource was expected in `data`"]);
    let within = || {
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        Answer::body(format!("{{\"data\":[{{\"id\":\"1\",\"a\":{open}{close}}}]}}"))
    };
    assert_stops_early("/advertisers/me", within, 1, &["nested too deeply"]);
    let twice = || Answer::body(r#"{"data":[],"data":[{"id":"1"}]}"#);
    assert_stops_early("/advertisers/me", twice, 1, &["a key appears twice in one object"]);
}

#[test]
fn a_list_that_repeats_a_full_page_is_an_error_and_one_that_ignores_the_pages_is_whole() {
    for (count, code) in [(50, 4), (49, 0), (51, 0)] {
        let raw = Raw::start(move |received: &Received| {
            let creatives: Vec<Value> =
                (0..count).map(|number| json!({"id": number.to_string(), "attributes": {"name": "c"}})).collect();
            received.is("/creatives").then(|| Answer::body(json!({"data": creatives}).to_string()))
        });
        let ended = raw.job("pull --tables creatives").run();
        let document = ended.expect(code);
        assert_eq!(raw.received("/creatives").len(), 3, "{count}");
        if code == 0 {
            assert_eq!(document["tables"]["creatives"]["rows"], json!(count));
        } else {
            let message = program::messages(&document, "errors");
            assert!(message.contains("`creatives` of advertiser 10") && message.contains("offset 98"), "{message}");
            assert_eq!(files::listing(&raw.output()), [].into());
        }
    }
}
