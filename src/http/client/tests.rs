//! What each way of failing does to a request, against a scripted server.

use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use chrono::DateTime;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::http::script::{Act, Script};
use crate::http::{BearerError, BearerSource, Problem, Quota, RandomSource};
use crate::secret::SecretString;

const RATE_LIMITED: &str = r#"{"errors":[{"code":"too-many-requests","title":"slow down","traceId":"t1"}]}"#;

fn client() -> HttpClient {
    let retry = RetryPolicy { attempts: 4, random: RandomSource::fixed(0.5), ..RetryPolicy::default() };
    let read_timeout = Duration::from_millis(500);
    let options = HttpOptions { retry, read_timeout, allow_plain_http: true, ..HttpOptions::default() };
    HttpClient::new(options, Clock::skipping(DateTime::UNIX_EPOCH)).expect("a client")
}

async fn fetch(client: &HttpClient, request: &Request) -> Result<Bytes, SendError> {
    client.send(request, async |response: Response| response.bytes_limited(1024).await).await
}

async fn fetch_from(acts: Vec<Act>) -> (Result<Bytes, SendError>, HttpStatistics, Script) {
    let script = Script::start(acts).await;
    let client = client();
    let result = fetch(&client, &Request::get(script.url("/report"), "the report")).await;
    (result, client.statistics(), script)
}

fn ok() -> Act {
    Act::answer(200, &[], "fine")
}

fn told(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn whatever_breaks_on_the_way_is_tried_again_until_it_works() {
    let whole = Act::answer(200, &[], "fine");
    let gzip = Act::answer(200, &["content-encoding: gzip"], b"\x1f\x8bgarbage");
    let breakdowns = [
        Act::Reset(Vec::new()),
        Act::Raw(Vec::new()),
        Act::Stall(Vec::new()),
        Act::Reset(whole.clone().cut(30)),
        Act::Raw(whole.clone().cut(whole.clone().cut(usize::MAX).len() - 2)),
        Act::Reset(whole.clone().cut(whole.clone().cut(usize::MAX).len() - 2)),
        Act::Stall(whole.clone().cut(whole.clone().cut(usize::MAX).len() - 2)),
        gzip,
        Act::answer(408, &[], ""),
        Act::answer(425, &[], ""),
        Act::answer(429, &[], RATE_LIMITED),
        Act::answer(500, &[], "<html>"),
        Act::answer(502, &[], ""),
        Act::answer(503, &[], ""),
    ];
    for breakdown in breakdowns {
        let (result, statistics, script) = fetch_from(vec![breakdown.clone(), ok()]).await;
        assert_eq!(result.expect("the second attempt"), "fine", "{breakdown:?}");
        assert_eq!((statistics.retries, script.requests().len()), (1, 2), "{breakdown:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_shows_the_servers_words() {
    for status in [400, 401, 403, 404, 410, 413, 415] {
        let body = r#"{"errors":[{"code":"c","title":"No.","detail":"Never.","traceId":"t1"}]}"#;
        let (result, statistics, _) = fetch_from(vec![Act::answer(status, &[], body)]).await;
        let error = result.expect_err("refused");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(error.problem().and_then(Problem::trace_id), Some("t1"));
        let told = told(&error);
        assert!(told.starts_with("the report: the server answered") && told.contains("No: Never. (code `c`, trace"));
        assert_eq!(statistics.retries, 0);
    }
}

#[tokio::test]
async fn attempts_run_out_and_the_last_failure_is_shown() {
    let (result, statistics, script) = fetch_from(vec![Act::answer(503, &[], "")]).await;
    let error = result.expect_err("never works");
    assert!(error.is_unavailable());
    assert_eq!(script.requests().len(), 4);
    assert_eq!(statistics, HttpStatistics { retries: 3, waited: Duration::from_secs(4 + 8 + 16) });
    let told = told(&error);
    assert!(told.contains("gave up after 4 attempts in 2") && told.contains("503"), "{told}");
}

#[tokio::test]
async fn silence_is_put_up_with_three_times_because_each_takes_minutes() {
    let whole = Act::answer(200, &[], "fine");
    let begun = whole.clone().cut(whole.cut(usize::MAX).len() - 2);
    for act in [Act::Stall(Vec::new()), Act::Stall(begun)] {
        let (result, _, script) = fetch_from(vec![act.clone()]).await;
        assert!(matches!(result.expect_err("never ends"), SendError::Exhausted { attempts: 3, .. }), "{act:?}");
        assert_eq!(script.requests().len(), 3, "{act:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_tried_again_and_then_explained() {
    let script = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/?signature=s3cret", script.local_addr().expect("an address"));
    drop(script);
    let error = fetch(&client(), &Request::get(url.parse().expect("valid"), "it")).await.expect_err("refused");
    let told = told(&error);
    assert!(
        told.starts_with("it: gave up after 4 attempts") && told.contains("no connection to `127.0.0.1`: "),
        "{told}"
    );
    assert!(!told.contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_names_a_wait_is_obeyed_up_to_two_minutes() {
    for (header, expected) in [("retry-after: 30", 30), ("retry-after: 9999", 120), ("retry-after: soon", 4)] {
        let (result, statistics, _) = fetch_from(vec![Act::answer(503, &[header], ""), ok()]).await;
        result.expect("works at last");
        assert_eq!(statistics.waited.as_secs(), expected, "{header}");
    }
}

#[tokio::test]
async fn a_deadline_ends_waits_also_when_the_server_names_them() {
    for act in [Act::answer(503, &["retry-after: 100"], ""), Act::answer(429, &["x-ratelimit-reset: 90"], "")] {
        let script = Script::start(vec![act, ok()]).await;
        let client = client();
        let mut request = Request::get(script.url("/"), "it");
        request.deadline = client.deadline_in(Duration::from_mins(1));
        request.quota = Some(Quota::new("q", 10, client.clock().clone()));
        let error = fetch(&client, &request).await.expect_err("too late");
        assert!(matches!(&error, SendError::DeadlinePassed { attempts: 1, last: Some(_), .. }), "{error:?}");
        assert!(error.is_unavailable() && client.clock().elapsed() < Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_deadline_ends_a_request_under_way() {
    let script = Script::start(vec![Act::Stall(Vec::new())]).await;
    let options = HttpOptions { allow_plain_http: true, ..HttpOptions::default() };
    let client = HttpClient::new(options, Clock::system()).expect("a client");
    let mut request = Request::get(script.url("/"), "it");
    request.deadline = client.deadline_in(Duration::from_millis(100));
    let error = fetch(&client, &request).await.expect_err("too late");
    assert_eq!(told(&error), "it: no answer before the deadline (1 attempts in 0 s)");
}

#[tokio::test]
async fn a_refusal_for_too_many_calls_holds_the_whole_quota() {
    let script = Script::start(vec![Act::answer(429, &["x-ratelimit-reset: 50"], RATE_LIMITED), ok()]).await;
    let client = client();
    let mut request = Request::get(script.url("/"), "it");
    let quota = Quota::new("q", 10, client.clock().clone());
    request.quota = Some(Arc::clone(&quota));
    fetch(&client, &request).await.expect("works after the reset");
    assert!(quota.waited() >= Duration::from_secs(50), "{:?}", quota.waited());
    assert_eq!((quota.calls(), client.statistics().retries), (2, 1));
}

#[derive(Debug, Default)]
struct Tokens {
    issued: AtomicUsize,
    rejected: AtomicUsize,
}

impl BearerSource for Tokens {
    fn bearer(&self, _: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
        let number = self.rejected.load(Ordering::SeqCst);
        self.issued.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Bearer::new(SecretString::from(format!("token{number}")))) }.boxed()
    }

    fn reject(&self, _: &Bearer) -> bool {
        self.rejected.fetch_add(1, Ordering::SeqCst);
        true
    }
}

#[tokio::test]
async fn a_401_renews_the_token_once_and_a_second_one_is_final() {
    let expired = || Act::answer(401, &[], r#"{"errors":[{"code":"authorization-token-expired"}]}"#);
    let script = Script::start(vec![expired(), ok(), expired()]).await;
    let client = client();
    let tokens = Arc::new(Tokens::default());
    let mut request = Request::get(script.url("/"), "it");
    request.bearer = Some(Arc::clone(&tokens) as Arc<dyn BearerSource>);
    fetch(&client, &request).await.expect("works with the new token");
    let requests = script.requests();
    assert!(requests[0].contains("authorization: bearer token0"), "{requests:?}");
    assert!(requests[1].contains("authorization: bearer token1"), "{requests:?}");
    let error = fetch(&client, &request).await.expect_err("refused twice");
    assert!(error.is_unauthorized() && tokens.rejected.load(Ordering::SeqCst) == 3, "{error:?}");
    assert_eq!(script.requests().len(), 4);
    assert!(!format!("{error:?} {request:?}").contains("token1"));
}

/// Hands out these tokens in turn; `is_current` is what each refusal is told.
struct Renewed {
    bearers: Vec<Bearer>,
    handed_out: AtomicUsize,
    is_current: fn(usize) -> bool,
}

impl BearerSource for Renewed {
    fn bearer(&self, _: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
        let bearer = self.bearers[self.handed_out.load(Ordering::SeqCst).min(self.bearers.len() - 1)].clone();
        async move { Ok(bearer) }.boxed()
    }

    fn reject(&self, _: &Bearer) -> bool {
        (self.is_current)(self.handed_out.fetch_add(1, Ordering::SeqCst))
    }
}

/// How a request ends whose first `refusals` tokens are refused, and how many calls it made.
async fn refused(refusals: usize, is_current: fn(usize) -> bool, accepted: bool) -> (Result<Bytes, SendError>, usize) {
    let expired = Act::answer(401, &[], r#"{"errors":[{"code":"authorization-token-expired"}]}"#);
    let mut acts = vec![expired; refusals];
    acts.push(ok());
    let script = Script::start(acts).await;
    let bearers: Vec<Bearer> = (0..9).map(|number| Bearer::new(format!("token{number}").into())).collect();
    bearers.iter().filter(|_| accepted).for_each(Bearer::accept);
    let tokens = Renewed { bearers, handed_out: AtomicUsize::new(0), is_current };
    let mut request = Request::get(script.url("/"), "it");
    request.bearer = Some(Arc::new(tokens));
    let result = fetch(&client(), &request).await;
    (result, script.requests().len())
}

#[tokio::test]
async fn a_401_for_a_token_that_another_request_has_renewed_is_not_the_second_refusal() {
    // This request drops the first token; the second one ends while it is on its way, and another request is told first.
    let (result, calls) = refused(2, |number| number != 1, false).await;
    assert_eq!((result.expect("works with the third token"), calls), (Bytes::from("fine"), 3));
    // The other way round: the first refusal was another's business.
    let (result, calls) = refused(2, |number| number != 0, false).await;
    assert_eq!((result.expect("works with the third token"), calls), (Bytes::from("fine"), 3));
}

#[tokio::test]
async fn a_401_for_a_token_that_worked_is_not_the_second_refusal() {
    let (result, calls) = refused(2, |_| true, true).await;
    assert_eq!((result.expect("works with the third token"), calls), (Bytes::from("fine"), 3));
    let (result, calls) = refused(2, |_| true, false).await;
    assert!(result.expect_err("two new tokens are refused").is_unauthorized());
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn tokens_that_end_again_and_again_are_not_renewed_for_ever() {
    for (is_current, accepted) in [((|_| false) as fn(usize) -> bool, false), (|_| true, true)] {
        let (result, calls) = refused(20, is_current, accepted).await;
        assert!(result.expect_err("refused at last").is_unauthorized());
        assert_eq!(calls, 5);
    }
}

#[tokio::test]
async fn a_token_source_that_fails_ends_the_request_with_its_own_error() {
    struct Broken;
    impl BearerSource for Broken {
        fn bearer(&self, _: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
            async { Err(BearerError::from(std::io::Error::other("no secret"))) }.boxed()
        }
        fn reject(&self, _: &Bearer) -> bool {
            true
        }
    }
    let mut request = Request::get("http://127.0.0.1:9/".parse().expect("valid"), "it");
    request.bearer = Some(Arc::new(Broken));
    match fetch(&client(), &request).await {
        Err(SendError::Bearer { source, .. }) => assert!(source.downcast_ref::<std::io::Error>().is_some()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_only_its_host_is_shown() {
    let script = Script::start(vec![Act::answer(302, &["location: https://other.example/?key=s3cret"], "")]).await;
    let error = fetch(&client(), &Request::get(script.url("/"), "it")).await.expect_err("not followed");
    let told = told(&error);
    assert!(told.contains("points to other.example") && !told.contains("s3cret"), "{told}");
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test]
async fn unencrypted_addresses_are_for_this_machine_and_only_when_allowed() {
    let refused = async |client: &HttpClient, url: &str| {
        let request = Request::get(url.parse().expect("valid"), "it");
        matches!(fetch(client, &request).await, Err(SendError::Address { .. }))
    };
    let lenient = client();
    for url in ["http://api.example.com/", "http://127.0.0.1.example.com/", "ftp://localhost/", "http://10.0.0.1/"] {
        assert!(refused(&lenient, url).await, "{url}");
    }
    for url in ["http://localhost:1/", "http://127.8.8.8:1/", "http://[::1]:1/"] {
        assert!(is_loopback(&url.parse().expect("valid")), "{url}");
    }
    let strict = HttpClient::new(HttpOptions::default(), Clock::skipping(DateTime::UNIX_EPOCH));
    // A machine without certificates cannot have a strict client.
    if let Ok(strict) = strict {
        assert!(refused(&strict, "http://127.0.0.1:1/").await);
    }
}

#[tokio::test]
async fn a_reader_decides_whether_its_own_error_is_worth_another_attempt() {
    #[derive(Debug, thiserror::Error)]
    #[error("row {0} is odd")]
    struct Odd(u8);
    let script = Script::start(vec![ok()]).await;
    let client = client();
    let request = Request::get(script.url("/"), "it");
    let fatal: Result<(), _> = client.send(&request, async |_| Err(ReadError::fatal(Odd(3)))).await;
    let error = fatal.expect_err("fatal");
    assert!(matches!(error, SendError::Body { .. }) && error.reader_error::<Odd>().is_some_and(|odd| odd.0 == 3));
    assert_eq!(told(&error), "it: the answer could not be read: row 3 is odd");
    assert_eq!(script.requests().len(), 1);
    let retried: Result<(), _> = client.send(&request, async |_| Err(ReadError::retry(Odd(5)))).await;
    let error = retried.expect_err("exhausted");
    assert!(error.is_unavailable() && error.reader_error::<Odd>().is_some());
    assert_eq!(script.requests().len(), 5);
}

#[tokio::test]
async fn a_sensitive_answer_is_not_quoted() {
    let script = Script::start(vec![Act::answer(400, &[], "echo: s3cret")]).await;
    let mut request = Request::get(script.url("/"), "a token");
    request.sensitive = true;
    let error = fetch(&client(), &request).await.expect_err("refused");
    assert_eq!(told(&error), "a token: the server answered 400 Bad Request: no explanation");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_request_says_which_statuses_besides_success_are_answers() {
    // A resumable upload: 308 without an address, and how much has arrived.
    let script = Script::start(vec![Act::answer(308, &["range: bytes=0-99"], ""), Act::answer(404, &[], "none")]).await;
    let client = client();
    let accepted = &[StatusCode::PERMANENT_REDIRECT, StatusCode::NOT_FOUND];
    let request = Request { accepted, ..Request::get(script.url("/upload"), "the upload") };
    let read = async |response: Response| {
        let range = response.headers().get("range").map(|range| range.to_str().expect("text").to_owned());
        Ok((response.status().as_u16(), range, response.bytes_limited(100).await?))
    };
    let range = Some("bytes=0-99".to_owned());
    assert_eq!(client.send(&request, read).await.expect("an answer"), (308, range, Bytes::new()));
    assert_eq!(client.send(&request, read).await.expect("an answer"), (404, None, Bytes::from("none")));
    let strict = Request::get(script.url("/upload"), "the upload");
    assert!(matches!(client.send(&strict, read).await, Err(SendError::Refused { .. })));
}

#[tokio::test]
async fn a_request_says_how_its_server_explains_errors_and_which_are_transient() {
    let body = r#"{"error":{"code":403,"message":"Too fast.","errors":[{"reason":"rateLimitExceeded"}]}}"#;
    let script = Script::start(vec![Act::answer(403, &[], body), ok()]).await;
    let client = client();
    let mut request = Request::get(script.url("/jobs"), "the job");
    request.problem = Problem::of_google;
    request.transient = |_, problem| problem.code() == Some("rateLimitExceeded");
    assert_eq!(fetch(&client, &request).await.expect("the second attempt"), "fine");
    let script = Script::start(vec![Act::answer(403, &[], body.replace("rateLimit", "quota"))]).await;
    let error = fetch(&client, &Request { url: script.url("/jobs"), ..request }).await.expect_err("final");
    assert!(told(&error).contains("Too fast (code `quotaExceeded`)"), "{}", told(&error));
    assert_eq!(script.requests().len(), 1);
}
