//! What the token endpoint is asked, and what its answers mean, against a scripted server.

use chrono::DateTime;

use super::*;
use crate::auth::{MemoryRefreshTokenStore, RefreshTokenStore, TokenCache, TokenError as _};
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
    let cache = TokenCache::refresh_token(endpoint, Arc::clone(&store) as Arc<dyn RefreshTokenStore>);
    let first = cache.get(Deadline::never()).await.expect("a token");
    assert_eq!(store.load().expect("loads").expect("is there").expose_secret(), "r2");
    crate::http::BearerSource::reject(&*cache, &first);
    cache.get(Deadline::never()).await.expect("another token");
    let requests = script.requests();
    assert!(requests[0].contains("grant_type=refresh_token&refresh_token=r1&"));
    assert!(requests[1].contains("refresh_token=r2&"));
    // The second answer brought none, so the last one stays.
    assert_eq!(store.load().expect("loads").expect("is there").expose_secret(), "r2");
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
        let told = error.to_string();
        assert!(error.is_permanent() && told.contains(wrong) && told.contains("CRITEO_CLIENT_SECRET"), "{told}");
        assert!(told.contains("pasted whole") && !told.contains(SECRET), "{told}");
    }
    let error = ask(Act::answer(400, &[], r#"{"error":"invalid_grant"}"#)).await.expect_err("refused");
    assert!(error.to_string().contains("`invalid_grant`; the refresh token or code is expired"), "{error}");
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
