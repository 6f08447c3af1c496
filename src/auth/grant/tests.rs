//! What the token endpoint is asked, and what its answers mean, against a scripted server.

use chrono::DateTime;

use super::*;
use crate::auth::{Key, MemoryRefreshTokenStore, RefreshTokenStore, TokenCache, TokenError as _, token_cache};
use crate::clock::Clock;
use crate::http::script::{Act, Script};
use crate::http::{HttpOptions, RetryPolicy};
use crate::secret::ExposeSecret;

const SECRET: &str = "a+b/c%d e\u{e9};f&g=h";
const ISSUED: &str = r#"{"access_token":"t0ken","token_type":"BEARER","expires_in":900,"refresh_token":null}"#;

async fn endpoint(acts: Vec<Act>) -> (Script, TokenEndpoint) {
    let script = Script::start(acts).await;
    let clock = Clock::skipping(DateTime::UNIX_EPOCH);
    let retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let options = HttpOptions { allow_plain_http: true, retry, ..HttpOptions::default() };
    let client = HttpClient::new(options, clock.clone()).expect("a client");
    let credentials = ClientCredentials { client_id: "an-id".to_owned(), client_secret: SECRET.into() };
    let quota = Quota::new("token", 250, clock);
    let endpoint = TokenEndpoint::new(client, script.url("/oauth2/token"), credentials, quota);
    (script, endpoint)
}

type Reported = Arc<std::sync::Mutex<Vec<crate::notice::Code>>>;

fn cache(keys: Vec<Key>) -> (Arc<TokenCache>, Reported) {
    let (reported, clock) = (Reported::default(), keys[0].endpoint.client().clock().clone());
    let to = Arc::clone(&reported);
    let tell = Arc::new(move |code, _| to.lock().expect("whole").push(code));
    (token_cache(clock, keys, tell), reported)
}

async fn ask(act: Act) -> Result<TokenAnswer, AuthError> {
    let (_, endpoint) = endpoint(vec![act]).await;
    endpoint.request(&Grant::ClientCredentials, Deadline::never()).await
}

#[tokio::test]
async fn client_credentials_are_sent_as_an_encoded_form_and_counted() {
    let (script, endpoint) = endpoint(vec![Act::answer(200, &[], ISSUED)]).await;
    let answer = endpoint.request(&Grant::ClientCredentials, Deadline::never()).await.expect("a token");
    assert_eq!(answer.access_token.expose_secret(), "t0ken");
    assert!(answer.lifetime == Duration::from_mins(15) && answer.refresh_token.is_none());
    let request = &script.requests()[0];
    assert!(request.starts_with("post /oauth2/token") && request.contains("application/x-www-form-urlencoded"));
    let body = "grant_type=client_credentials&client_id=an-id&client_secret=a%2Bb%2Fc%25d+e%C3%A9%3Bf%26g%3Dh";
    assert!(request.ends_with(body), "{request}");
    assert_eq!(endpoint.quota.calls(), 1);
    assert!(!format!("{endpoint:?} {answer:?}").contains("a+b") && !format!("{answer:?}").contains("t0ken"));
}

#[tokio::test]
async fn a_rotated_refresh_token_replaces_the_old_one() {
    let rotated = Act::answer(200, &[], r#"{"access_token":"t1","expires_in":"900","refresh_token":"r2"}"#);
    let (script, endpoint) = endpoint(vec![rotated, Act::answer(200, &[], ISSUED)]).await;
    let store = Arc::new(MemoryRefreshTokenStore::new("r1".into()));
    let consent = Some(Arc::clone(&store) as Arc<dyn RefreshTokenStore>);
    let (cache, reported) = cache(vec![Key { endpoint, consent }]);
    let first = cache.get(Deadline::never()).await.expect("a token");
    assert_eq!(store.load().expect("loads").expect("is there").token.expose_secret(), "r2");
    crate::http::BearerSource::reject(&*cache, &first);
    cache.get(Deadline::never()).await.expect("another token");
    let requests = script.requests();
    assert!(requests[0].contains("grant_type=refresh_token&refresh_token=r1&"));
    assert!(requests[1].contains("refresh_token=r2&"));
    assert_eq!(
        reported.lock().expect("whole").as_slice(),
        [crate::notice::Code::RefreshTokenNotStored],
        "a variable cannot be rewritten"
    );
    // The second answer brought none, so the last one stays.
    assert_eq!(store.load().expect("loads").expect("is there").token.expose_secret(), "r2");
}

#[tokio::test]
async fn a_code_is_exchanged_with_its_verifier() {
    let (script, endpoint) = endpoint(vec![Act::answer(200, &[], ISSUED)]).await;
    let redirect_uri = "http://localhost:3000/criteo-auth/callback".to_owned();
    let grant = Grant::AuthorizationCode { code: "c0de".into(), redirect_uri, code_verifier: Some("v3rifier".into()) };
    endpoint.request(&grant, Deadline::never()).await.expect("a token");
    let expected = "grant_type=authorization_code&code=c0de&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcriteo-auth\
                    %2Fcallback&code_verifier=v3rifier&";
    assert!(script.requests()[0].contains(expected), "{:?}", script.requests());
    assert!(!format!("{grant:?}").contains("c0de"));
}

#[tokio::test]
async fn a_refusal_shows_the_servers_words_and_says_what_to_do_whatever_the_status() {
    let wrong = "the provided client_id doesn't exist or the client_secret is invalid";
    let body = format!(r#"{{"error":"invalid_client","error_description":"{wrong}"}}"#);
    for status in [400, 401, 200] {
        let error = ask(Act::answer(status, &[], &body)).await.expect_err("refused");
        let reported = format!("{error}; {}", error.remedy().expect("a remedy"));
        assert!(
            error.is_permanent() && reported.contains(wrong) && reported.contains("CRITEO_CLIENT_SECRET"),
            "{reported}"
        );
        assert!(reported.contains("pasted whole") && !reported.contains(SECRET), "{reported}");
    }
    let error = ask(Act::answer(400, &[], r#"{"error":"invalid_grant"}"#)).await.expect_err("refused");
    assert!(error.to_string().ends_with("`invalid_grant`"), "{error}");
    assert!(error.remedy().expect("a remedy").starts_with("check"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_asked_again_and_then_said_to_be_down() {
    let (script, endpoint) = endpoint(vec![Act::answer(503, &[], "<html>")]).await;
    let error = endpoint.request(&Grant::ClientCredentials, Deadline::never()).await.expect_err("down");
    assert!(matches!(&error, AuthError::Unavailable { .. }) && !error.is_permanent(), "{error:?}");
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn answers_may_vary_but_must_hold_a_token() {
    let parse = |text: &str| TokenAnswer::parse(text.as_bytes());
    for (text, secs) in [
        (r#"{"access_token":"t","token_type":"bearer","expires_in":"60"}"#, 60),
        (r#"{"access_token":"t","expires_in":899.0}"#, 899),
        (r#"{"access_token":"t","expires_in":-5}"#, 0),
        (r#"{"access_token":"t"}"#, 900),
        (r#"{"access_token":"t","expires_in":1e300}"#, 30 * 24 * 3600),
    ] {
        assert_eq!(parse(text).expect(text).lifetime.as_secs(), secs, "{text}");
    }
    for text in [
        "",
        "null",
        "<html>t0ken</html>",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":null,"expires_in":900}"#,
        r#"{"access_token":"t0ken","token_type":"mac"}"#,
        r#"{"access_token":"t0ken","expires_in":"soon"}"#,
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.is_permanent() && !error.to_string().contains("t0ken"), "{error}");
    }
}

#[tokio::test]
async fn key_pairs_are_tried_in_order_until_one_is_known_and_the_dead_ones_are_named_once() {
    let refused = |status| Act::answer(status, &[], r#"{"error":"invalid_client"}"#);
    let acts = vec![refused(401), refused(400), Act::answer(200, &[], ISSUED)];
    let (script, endpoint) = endpoint(acts).await;
    let key = |id: &str| {
        let credentials = ClientCredentials { client_id: id.to_owned(), ..endpoint.credentials.clone() };
        Key { endpoint: TokenEndpoint { credentials, ..endpoint.clone() }, consent: None }
    };
    let (cache, reported) = cache(["one", "two", "three", "four"].map(key).into());
    let first = cache.get(Deadline::never()).await.expect("the third pair's token");
    crate::http::BearerSource::reject(&*cache, &first);
    cache.get(Deadline::never()).await.expect("again");
    let ids = ["one", "two", "three", "three"];
    for (request, id) in script.requests().iter().zip(ids) {
        assert!(request.contains(&format!("client_id={id}&")), "{request}");
    }
    assert_eq!((script.requests().len(), reported.lock().expect("whole").len()), (4, 2));
}

#[tokio::test]
async fn key_pairs_that_are_all_dead_are_all_named_and_another_refusal_ends_the_search() {
    let (_, endpoint) = endpoint(vec![Act::answer(401, &[], r#"{"error":"invalid_client"}"#)]).await;
    let key = || Key { endpoint: endpoint.clone(), consent: None };
    let error = cache(vec![key(), key()]).0.get(Deadline::never()).await.expect_err("dead").to_string();
    assert!(error.contains("all 2 key pairs: `an-id`, `an-id`"), "{error}");
    let (script, endpoint) = self::endpoint(vec![Act::answer(400, &[], r#"{"error":"unauthorized_client"}"#)]).await;
    let key = || Key { endpoint: endpoint.clone(), consent: None };
    assert!(cache(vec![key(), key()]).0.get(Deadline::never()).await.is_err());
    assert_eq!(script.requests().len(), 1);
}

/// A store in memory whose token another process replaces while it is being exchanged.
struct Contended(MemoryRefreshTokenStore, std::sync::atomic::AtomicUsize);

impl RefreshTokenStore for Contended {
    fn try_lock(&self) -> std::io::Result<Option<crate::auth::StoreLock>> {
        self.0.try_lock()
    }

    fn load(&self) -> Result<Option<crate::auth::StoredToken>, crate::secret::SecretFileError> {
        let loads = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if loads == 1 {
            self.0.save(&"r2".into(), DateTime::UNIX_EPOCH)?;
        }
        self.0.load()
    }

    fn save(&self, _: &SecretString, _: DateTime<chrono::Utc>) -> Result<(), crate::secret::SecretFileError> {
        let source = std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        Err(crate::secret::SecretFileError::Write { path: "/run/secrets/token".into(), source })
    }

    fn place(&self) -> String {
        "the test".to_owned()
    }

    fn remedy(&self) -> &'static str {
        "run `criteo-source login`"
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_token_that_another_run_replaced_is_read_again_and_one_that_cannot_be_stored_serves_this_run() {
    let issued = |token: &str| format!(r#"{{"access_token":"t","expires_in":900,"refresh_token":"{token}"}}"#);
    let refused = Act::answer(400, &[], r#"{"error":"invalid_grant","error_description":"gone"}"#);
    let acts = vec![
        refused.clone(),
        Act::answer(200, &[], issued("r3")),
        Act::answer(200, &[], issued("r4")),
        Act::answer(200, &[], issued("r5")),
        refused,
    ];
    let (script, endpoint) = endpoint(acts).await;
    let store = Contended(MemoryRefreshTokenStore::new("r1".into()), std::sync::atomic::AtomicUsize::new(0));
    let (cache, reported) = cache(vec![Key { endpoint, consent: Some(Arc::new(store)) }]);
    for _ in 0..3 {
        let bearer = cache.get(Deadline::never()).await.expect("a token");
        crate::http::BearerSource::reject(&*cache, &bearer);
    }
    let error = cache.get(Deadline::never()).await.expect_err("the consent has ended");
    assert!(matches!(&error, AuthError::ConsentEnded { .. }), "{error:?}");
    let said = format!("{error}; {}", error.remedy().expect("a remedy"));
    assert!(
        said.contains("of the test: `invalid_grant`: gone") && said.contains("run `criteo-source login`"),
        "{said}"
    );
    for (request, token) in script.requests().iter().zip(["r1", "r2", "r3", "r4", "r5"]) {
        assert!(request.contains(&format!("refresh_token={token}&")), "{token}: {request}");
    }
    assert_eq!(reported.lock().expect("whole").as_slice(), [crate::notice::Code::RefreshTokenNotStored; 3]);
}
