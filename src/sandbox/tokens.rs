//! The token endpoint and the tokens it gave out (API.md section 1).
//!
//! The form is decoded strictly, so that a client that does not percent-encode its secret is told that the secret is
//! wrong, as Criteo tells it. Access tokens of any number are valid side by side. Nothing here is a real secret.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::dice::mix;
use super::options::SandboxOptions;
use super::problem::Problem;

/// How a token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    ClientCredentials,
    AuthorizationCode,
}

/// All tokens and codes in circulation.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    access: HashMap<String, (DateTime<Utc>, Grant)>,
    refresh: HashMap<String, DateTime<Utc>>,
    /// Refresh tokens that end when the access token they were exchanged for is used.
    superseded: HashMap<String, String>,
    codes: HashMap<String, Code>,
    given_out: u64,
}

#[derive(Debug)]
struct Code {
    redirect_uri: String,
    /// The challenge and whether it is a hash.
    challenge: Option<(String, bool)>,
    expires_at: DateTime<Utc>,
}

/// A refusal in OAuth's shape.
struct Refusal(u16, &'static str, &'static str);

const INVALID_CLIENT: Refusal = Refusal(
    401,
    "invalid_client",
    "The client authentication failed, the provided client_id doesn't exist or the client_secret is invalid",
);

impl Tokens {
    fn fresh(&mut self, seed: u64, family: &str) -> String {
        self.given_out += 1;
        format!("{family}.{:016x}{:016x}", mix(&[seed, self.given_out, 1]), mix(&[seed, self.given_out, 2]))
    }

    /// A code as the consent page hands it out: for thirty seconds and one use (API.md 1.4).
    pub(super) fn issue_code(
        &mut self,
        seed: u64,
        redirect_uri: &str,
        challenge: Option<(String, bool)>,
        now: DateTime<Utc>,
    ) -> String {
        let code = self.fresh(seed, "code");
        let expires_at = now + TimeDelta::seconds(30);
        self.codes.insert(code.clone(), Code { redirect_uri: redirect_uri.to_owned(), challenge, expires_at });
        code
    }

    /// A refresh token as an earlier consent would have left it: for six months (API.md 1.4).
    pub(super) fn issue_refresh_token(&mut self, options: &SandboxOptions, now: DateTime<Utc>) -> String {
        let token = self.fresh(options.seed, "refresh");
        self.refresh.insert(token.clone(), now + seconds(options.refresh_token_lifetime_secs));
        token
    }

    /// Whether a refresh token would be accepted.
    pub(super) fn accepts(&self, token: &str, now: DateTime<Utc>) -> bool {
        self.refresh.get(token).is_some_and(|expires_at| now < *expires_at)
    }

    /// The consent is withdrawn: no refresh token works any more.
    pub(super) fn withdraw(&mut self) {
        self.refresh.clear();
    }

    /// Answers a token request with a status and a body.
    pub(super) fn exchange(
        &mut self,
        options: &SandboxOptions,
        content_type: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> (u16, Value) {
        match self.exchanged(options, content_type, body, now) {
            Ok(body) => (200, body),
            Err(Refusal(status, error, description)) => {
                (status, json!({"error": error, "error_description": description}))
            }
        }
    }

    fn exchanged(
        &mut self,
        options: &SandboxOptions,
        content_type: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Value, Refusal> {
        let is_form = content_type.split(';').next().unwrap_or("").trim() == "application/x-www-form-urlencoded";
        let form = if is_form { decode_form(body) } else { None }.ok_or(INVALID_CLIENT)?;
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if field("client_id") != options.client_id || field("client_secret") != options.client_secret {
            return Err(INVALID_CLIENT);
        }
        let mut superseded = None;
        let (grant, refresh_token) = match field("grant_type") {
            "client_credentials" => (Grant::ClientCredentials, None),
            "authorization_code" => {
                self.redeem(field("code"), field("redirect_uri"), field("code_verifier"), now)?;
                (Grant::AuthorizationCode, Some(self.issue_refresh_token(options, now)))
            }
            "refresh_token" => {
                self.rotate(field("refresh_token"), options.rotated_refresh_token_secs, now)?;
                superseded = options.rotated_refresh_token_ends_with_use.then(|| field("refresh_token").to_owned());
                (Grant::AuthorizationCode, Some(self.issue_refresh_token(options, now)))
            }
            "" => return Err(Refusal(400, "invalid_request", "The grant_type is missing.")),
            _ => return Err(Refusal(400, "unsupported_grant_type", "The grant_type is not supported.")),
        };
        let access_token = self.fresh(options.seed, "access");
        let lifetime = options.token_lifetime_secs;
        let expires_at = now + seconds(lifetime);
        self.superseded.extend(superseded.map(|old| (access_token.clone(), old)));
        self.access.insert(access_token.clone(), (expires_at, grant));
        Ok(json!({"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime,
                  "refresh_token": refresh_token}))
    }

    fn redeem(&mut self, code: &str, redirect_uri: &str, verifier: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let refused = Refusal(400, "invalid_grant", "The authorization code is invalid or has expired.");
        let Some(code) = self.codes.remove(code) else { return Err(refused) };
        let proven = match &code.challenge {
            None => true,
            Some((challenge, true)) => *challenge == base64url(&Sha256::digest(verifier)),
            Some((challenge, false)) => challenge == verifier,
        };
        if proven && code.redirect_uri == redirect_uri && now < code.expires_at { Ok(()) } else { Err(refused) }
    }

    fn rotate(&mut self, token: &str, grace_secs: u64, now: DateTime<Utc>) -> Result<(), Refusal> {
        let refused = Refusal(400, "invalid_grant", "The refresh token is invalid or has expired.");
        let Some(expires_at) = self.refresh.get_mut(token).filter(|expires_at| now < **expires_at) else {
            return Err(refused);
        };
        *expires_at = (*expires_at).min(now + seconds(grace_secs));
        Ok(())
    }

    /// Whose token this is; the reasons for a 401 are told apart (API.md 8.2).
    pub(super) fn check(&mut self, authorization: Option<&str>, now: DateTime<Utc>) -> Result<Grant, Problem> {
        let token = bearer(authorization).ok_or_else(Problem::token_missing)?;
        if let Some(old) = self.superseded.remove(token) {
            self.refresh.remove(&old);
        }
        match self.access.get(token) {
            None => Err(Problem::token_invalid()),
            Some((expires_at, _)) if now >= *expires_at => Err(Problem::token_expired()),
            Some((_, grant)) => Ok(*grant),
        }
    }

    /// Lets a token expire at once.
    pub(super) fn expire(&mut self, authorization: Option<&str>) {
        if let Some((expires_at, _)) = bearer(authorization).and_then(|token| self.access.get_mut(token)) {
            *expires_at = DateTime::UNIX_EPOCH;
        }
    }

    /// Forgets a token and every refresh token.
    pub(super) fn revoke(&mut self, authorization: Option<&str>) {
        if let Some(token) = bearer(authorization) {
            self.access.remove(token);
        }
        self.refresh.clear();
    }
}

fn seconds(count: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(count).unwrap_or(i64::MAX / 1_000))
}

fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Decodes a form or query: `None` for broken escapes, for bytes that are not UTF-8 and for a name that comes twice.
pub(super) fn decode_form(body: &[u8]) -> Option<HashMap<String, String>> {
    let mut form = HashMap::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (unescape(&pair[..at])?, unescape(pair.get(at + 1..).unwrap_or_default())?);
        if form.insert(name, value).is_some() {
            return None;
        }
    }
    Some(form)
}

fn unescape(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? * 16 + digit(rest.next()?)?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Base64 with the URL alphabet and without padding (RFC 7636).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_usize, |group, byte| group << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(ALPHABET[group >> (18 - 6 * digit) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const SECRET: &str = "client_id=sandbox-client&client_secret=s3cret%2Bwith%2Fslash%20100%25%3Dodd%26end";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("an instant")
    }

    fn ask(tokens: &mut Tokens, rest: &str, seconds: i64) -> (u16, Value) {
        tokens.exchange(&SandboxOptions::default(), FORM, format!("{SECRET}&{rest}").as_bytes(), at(seconds))
    }

    #[test]
    fn the_nasty_secret_works_encoded_and_fails_raw() {
        let mut tokens = Tokens::default();
        let (status, body) = ask(&mut tokens, "grant_type=client_credentials", 0);
        assert_eq!((status, body["expires_in"].as_u64()), (200, Some(900)));
        assert!(body["refresh_token"].is_null());
        let raw = "grant_type=client_credentials&client_id=sandbox-client&client_secret=s3cret+with/slash 100%=odd";
        let (status, body) = tokens.exchange(&SandboxOptions::default(), FORM, raw.as_bytes(), at(0));
        assert_eq!((status, body["error"].as_str()), (401, Some("invalid_client")));
        let encoded = format!("{SECRET}&grant_type=client_credentials");
        let (status, _) = tokens.exchange(&SandboxOptions::default(), "application/json", encoded.as_bytes(), at(0));
        assert_eq!(status, 401);
    }

    #[test]
    fn an_access_token_lives_fifteen_minutes() {
        let mut tokens = Tokens::default();
        let (_, body) = ask(&mut tokens, "grant_type=client_credentials", 0);
        let header = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
        assert!(tokens.check(Some(&header), at(899)).is_ok());
        assert!(tokens.check(Some(&header), at(900)).is_err());
    }

    #[test]
    fn a_code_works_once_within_thirty_seconds_and_with_its_verifier() {
        let mut tokens = Tokens::default();
        // The example of RFC 7636, appendix B.
        let challenge = ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(), true);
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let redeem = |tokens: &mut Tokens, code: &str, verifier: &str, seconds| {
            let rest = format!("grant_type=authorization_code&code={code}&redirect_uri=u&code_verifier={verifier}");
            ask(tokens, &rest, seconds).0
        };
        let code = tokens.issue_code(1, "u", Some(challenge.clone()), at(0));
        assert_eq!(redeem(&mut tokens, &code, verifier, 29), 200);
        assert_eq!(redeem(&mut tokens, &code, verifier, 29), 400);
        let code = tokens.issue_code(1, "u", Some(challenge.clone()), at(0));
        assert_eq!(redeem(&mut tokens, &code, "wrong", 1), 400);
        let code = tokens.issue_code(1, "u", Some(challenge), at(0));
        assert_eq!(redeem(&mut tokens, &code, verifier, 30), 400);
    }

    #[test]
    fn a_refresh_token_is_replaced_when_it_is_used() {
        let mut tokens = Tokens::default();
        let first = tokens.issue_refresh_token(&SandboxOptions::default(), at(0));
        let (status, body) = ask(&mut tokens, &format!("grant_type=refresh_token&refresh_token={first}"), 5);
        assert_eq!(status, 200);
        assert_ne!(body["refresh_token"].as_str(), Some(first.as_str()));
        let (status, body) = ask(&mut tokens, &format!("grant_type=refresh_token&refresh_token={first}"), 6);
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    }

    #[test]
    fn a_refresh_token_ends_after_six_months_or_with_the_use_of_its_successors_access_token() {
        let mut tokens = Tokens::default();
        let rotation = SandboxOptions {
            rotated_refresh_token_secs: 3600,
            rotated_refresh_token_ends_with_use: true,
            ..SandboxOptions::default()
        };
        let first = tokens.issue_refresh_token(&rotation, at(0));
        assert!(tokens.accepts(&first, at(182 * 24 * 3600 - 1)) && !tokens.accepts(&first, at(182 * 24 * 3600)));
        let form = format!("{SECRET}&grant_type=refresh_token&refresh_token={first}");
        let (_, body) = tokens.exchange(&rotation, FORM, form.as_bytes(), at(0));
        assert!(tokens.accepts(&first, at(5)), "nobody has used the new access token yet");
        let header = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
        assert!(tokens.check(Some(&header), at(6)).is_ok() && !tokens.accepts(&first, at(6)));
        assert!(tokens.accepts(body["refresh_token"].as_str().expect("a token"), at(6)));
        tokens.withdraw();
        assert!(!tokens.accepts(body["refresh_token"].as_str().expect("a token"), at(6)));
    }
}
