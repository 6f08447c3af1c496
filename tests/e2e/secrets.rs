//! Secrets that somebody else says back, asks to be sent elsewhere, or can read: they stay where they are.

use std::path::Path;

use serde_json::json;

use crate::support::program::{self, Ended};
use crate::support::raw::{Answer, Raw, Received, SECRET};
use crate::support::scripted::{ADVERTISER, Reply, Scripted, TOKEN};

const LINE: &str = "backfill --from 2026-11-01 --to 2026-11-01 --tables transactions";
const REFRESH_TOKEN: &str = "first-refresh-token-31";
const ROTATED_TOKEN: &str = "rotated-refresh-token-77";
/// Parts of the secrets in every spelling that a server may use: as they are, in a form, in JSON, in base64 alone and
/// behind the client id (both encoded by another program).
const TRACES: [&str; 11] = [
    "raw s3c",
    "s3cret",
    "raw+s3cret",
    "raw%20s3cret",
    "slash=and",
    "slash%3Dand",
    "cmF3IHMzY3JldCt3",
    "czNjcmV0K3dpdGgvc2xhc2",
    TOKEN,
    REFRESH_TOKEN,
    ROTATED_TOKEN,
];
const BASE64: [&str; 2] = [
    "cmF3IHMzY3JldCt3aXRoL3NsYXNoPWFuZCJxdW90ZSU=",
    "dGhlLWNsaWVudC1pZDpyYXcgczNjcmV0K3dpdGgvc2xhc2g9YW5kInF1b3RlJQ==",
];

/// All the ways a secret that was sent to the token endpoint may be said back.
fn sent() -> String {
    let form = "raw+s3cret%2Bwith%2Fslash%3Dand%22quote%25";
    let address = "raw%20s3cret%2bwith%2fslash%3dand%22quote%25";
    format!("{SECRET} {form} {address} {} {} {REFRESH_TOKEN}", BASE64[0], BASE64[1])
}

/// The same, and what the token endpoint answered.
fn said_back() -> String {
    format!("{} {TOKEN} {ROTATED_TOKEN}", sent())
}

fn assert_no_trace(ended: &Ended, folder: &Path) {
    let mut places = vec![("what was printed".to_owned(), ended.everything().into_bytes())];
    collect(folder, &mut places);
    for (place, bytes) in places {
        for trace in TRACES {
            let found = bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
            assert!(!found, "`{trace}` is in {place}:\n{}", String::from_utf8_lossy(&bytes));
        }
    }
}

fn collect(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push((path.display().to_string(), std::fs::read(&path).expect("a file can be read")));
        }
    }
}

/// The token that a run with a refresh token gets.
fn token(received: &Received) -> Option<Answer> {
    let token =
        json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900, "refresh_token": ROTATED_TOKEN});
    received.is("/oauth2/token").then(|| Answer::body(token.to_string()))
}

/// Runs at the most verbose level, in both formats of the log, against a server that answers with `script`.
fn assert_shown_nowhere(name: &str, code: i32, said: &str, script: fn(&Received) -> Option<Answer>) {
    for log in ["-vvv", "-vvv --log-format json", "-q"] {
        let raw = Raw::start(move |received: &Received| script(received).or_else(|| token(received)));
        let ended = raw.job(&format!("{LINE} {log}")).variable("CRITEO_REFRESH_TOKEN", REFRESH_TOKEN).run();
        assert_no_trace(&ended, raw.folder.path());
        let document = ended.expect(code);
        let shown = [program::messages(&document, "errors"), program::messages(&document, "warnings")].concat();
        assert!(shown.contains(said), "{name}: `{said}` is not in\n{shown}");
        let sent = raw.received("/oauth2/token");
        assert!(sent[0].body.contains("raw+s3cret%2Bwith"), "the secret was there to be said back: {}", sent[0].body);
    }
}

fn problem(status: u16) -> Answer {
    let entry = json!({"traceId": TOKEN, "code": format!("code {TOKEN}"), "type": SECRET,
        "title": format!("You sent {}", said_back()), "detail": said_back()});
    Answer::body(json!({"errors": [entry]}).to_string()).status(status)
}

#[test]
fn a_token_endpoint_that_says_the_secret_back_is_quoted_without_it() {
    const REDACTED: &str = "no such client: [redacted] [redacted]";
    fn refusal() -> String {
        json!({"error": "invalid_client", "error_description": format!("no such client: {}", sent())}).to_string()
    }
    assert_shown_nowhere("401", 3, REDACTED, |received| {
        received.is("/oauth2/token").then(|| Answer::body(refusal()).status(401))
    });
    assert_shown_nowhere("200", 3, REDACTED, |received| received.is("/oauth2/token").then(|| Answer::body(refusal())));
    assert_shown_nowhere("a page", 5, "no token", |received| {
        let page = format!("<html>{}", sent());
        received.is("/oauth2/token").then(|| Answer::body(page).status(502).header("content-type", "text/html"))
    });
}

#[test]
fn an_api_that_says_the_token_back_is_quoted_without_it() {
    fn report(received: &Received, answer: Answer) -> Option<Answer> {
        received.is("/transactions/report").then_some(answer)
    }
    assert_shown_nowhere("400", 4, "You sent [redacted]", |received| report(received, problem(400)));
    assert_shown_nowhere("401", 3, "You sent [redacted]", |received| report(received, problem(401)));
    assert_shown_nowhere("500", 5, "You sent [redacted]", |received| report(received, problem(500)));
    assert_shown_nowhere("a page with status 200", 4, "is not JSON; it starts with `[redacted]", |received| {
        report(received, Answer::body(format!("{TOKEN}<html>{}", said_back())))
    });
    assert_shown_nowhere("a text that a message cuts off", 4, "is not JSON", |received| {
        report(received, Answer::body(format!("<{}{SECRET}", "x".repeat(65))))
    });
    assert_shown_nowhere("errors with status 200", 5, "You sent [redacted]", |received| {
        let entry = json!({"title": format!("You sent {}", said_back())});
        report(received, Answer::body(json!({"data": [], "errors": [entry]}).to_string()))
    });
    assert_shown_nowhere("a value", 4, "`[redacted]` is not a number", |received| {
        let row = json!({"transactionDate": "2026-11-01", "advertiserId": "10", "transactionId": "1", "eventType": "click",
            "eventDate": "2026-11-01", "amount": TOKEN});
        report(received, Answer::body(json!([row]).to_string()))
    });
    assert_shown_nowhere("names of fields, warnings and headers", 0, "header `deprecation: [redacted]`", |received| {
        let body = json!({"Rows": [], "warnings": [{"code": TOKEN, "title": said_back()}], TOKEN: said_back()});
        report(received, Answer::body(body.to_string()).header("deprecation", TOKEN))
    });
}

#[test]
fn a_good_run_at_the_most_verbose_level_shows_no_secret_of_anybody() {
    assert_shown_nowhere("a good run", 0, "", |_| None);
}

#[test]
fn a_redirect_is_not_followed_and_no_secret_reaches_where_it_points() {
    for status in [301, 302, 303, 307, 308] {
        for (path, code) in [("/oauth2/token", 3), ("/advertisers/me", 1), ("/transactions/report", 4)] {
            let elsewhere = Raw::start(|_: &Received| None);
            let target = format!("{}{path}", elsewhere.url());
            let raw = Raw::start(move |received: &Received| {
                received.is(path).then(|| Answer::body("").status(status).header("location", &target))
            });
            let ended = raw.job(&format!("{LINE} -vvv")).run();
            let message = program::messages(&ended.expect(code), "errors");
            assert!(message.contains("points to 127.0.0.1") && message.contains("check the address"), "{message}");
            assert_eq!(raw.received(path).len(), 1, "{status} of {path} is final");
            let arrived: Vec<String> = elsewhere.received("").into_iter().map(|call| call.head).collect();
            assert_eq!(arrived, Vec::<String>::new(), "{status} of {path}");
            assert_no_trace(&ended, raw.folder.path());
        }
    }
}

#[test]
fn a_token_goes_to_no_address_that_only_looks_like_this_machine() {
    let raw = Raw::start(|_: &Received| None);
    let port = raw.url().rsplit(':').next().expect("a port").to_owned();
    for (url, said) in [
        ("http://example.com".to_owned(), "unencrypted"),
        ("http://localhost.evil.example".to_owned(), "unencrypted"),
        ("http://127.0.0.1.evil.example".to_owned(), "unencrypted"),
        ("http://[::1].evil.example".to_owned(), "not a URL"),
        ("http://[::ffff:7f00:1]".to_owned(), "unencrypted"),
        ("http://0.0.0.0".to_owned(), "unencrypted"),
        ("http://localhost@evil.example".to_owned(), "user name or password"),
        (format!("http://hunter2hunter2@127.0.0.1:{port}"), "user name or password"),
        ("https://me:hunter2hunter2@api.criteo.com".to_owned(), "user name or password"),
        ("https://api.criteo.com?key=hunter2hunter2".to_owned(), "query or fragment"),
        ("ftp://localhost/?key=hunter2hunter2".to_owned(), "query or fragment"),
        ("//localhost".to_owned(), "not a URL"),
    ] {
        let ended = raw.job(LINE).variable("CRITEO_API_URL", &url).run();
        let message = program::messages(&ended.expect(2), "errors");
        assert!(message.contains("CRITEO_API_URL") && message.contains(said), "{url}: {message}");
        assert!(!ended.everything().contains("hunter2"), "{url}: {message}");
    }
    assert_eq!(raw.received("").len(), 0);
    raw.job(LINE).variable("CRITEO_API_URL", format!("http://127.1:{port}/")).run().expect(0);
}

#[test]
fn a_secret_is_no_flag_and_one_that_is_typed_as_such_is_not_repeated() {
    let raw = Raw::start(|_: &Received| None);
    for flag in ["--client-secret", "--refresh-token", "--token", "--password"] {
        for words in [format!("{LINE} {flag} hunter2hunter2"), format!("{LINE} {flag}=hunter2hunter2")] {
            let ended = raw.job(&words).run();
            ended.expect(2);
            assert!(!ended.everything().contains("hunter2"), "{}", ended.everything());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_refused_with_what_to_do_on_a_machine_and_in_a_container() {
    use std::os::unix::fs::PermissionsExt as _;

    let raw = Raw::start(|_: &Received| None);
    let path = raw.folder.path().join("secret");
    for (variable, content) in [
        ("CRITEO_CLIENT_SECRET_FILE", SECRET.to_owned()),
        ("CRITEO_CREDENTIALS_FILE", format!("client_id: the-client-id\nclient_secret: {SECRET}\n")),
    ] {
        let program = raw.job(LINE).without("CRITEO_CLIENT_SECRET").variable(variable, &path);
        std::fs::write(&path, content).expect("a writable folder");
        for (mode, code) in [(0o644, 2), (0o604, 2), (0o444, 2), (0o600, 0), (0o400, 0)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our own file");
            let ended = program.run();
            assert!(!ended.everything().contains("s3cret"), "{}", ended.everything());
            let document = ended.expect(code);
            if code == 2 {
                let message = program::messages(&document, "errors");
                for part in ["every user", "chmod 600", "defaultMode: 0400", "mode: 0400"] {
                    assert!(message.contains(part), "`{part}` is not in {message}");
                }
            }
        }
        std::fs::remove_file(&path).expect("our own file");
    }
}

#[test]
fn an_identifier_that_a_server_sent_never_makes_an_address_another_one() {
    for id in ["../../../oauth2/token?x=", "1%2f..#", "..", "7/../../x", ""] {
        let scripted = Scripted::start(move |asked| {
            let ad_set = json!({"id": id, "type": "AdSet", "attributes": {"advertiserId": ADVERTISER}});
            Reply::ok(&json!({"data": if asked.path.contains("ad-sets/search") { json!([ad_set]) } else { json!([]) }}))
        });
        let document = scripted.job("pull --tables ad_set_category_bids").run().expect(4);
        assert!(program::messages(&document, "errors").contains("another address"), "{id}: {document}");
        let paths: Vec<String> = scripted.asked().into_iter().map(|asked| asked.path).collect();
        let known = |path: &String| {
            ["/oauth2/token", "/advertisers/me"].contains(&path.as_str()) || path.contains("ad-sets/search")
        };
        assert!(paths.iter().all(known), "{id}: {paths:?}");
    }
}
