//! The token endpoint: what is sent for each grant, and what its answers mean.
//!
//! `POST oauth2/token` with a form; there is no scope parameter (Criteo docs, page Authentication). One call, one
//! answer: keeping tokens is the cache's business.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::AuthError;
use crate::clock::Deadline;
use crate::http::{Body, HttpClient, Problem, Quota, ReadError, Request};
use crate::redaction::remember;
use crate::secret::SecretString;

/// Tokens are short; anything longer is not a token answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Lifetime when the answer names none (Criteo docs, page Authentication: 900 seconds).
const USUAL_LIFETIME: Duration = Duration::from_mins(15);
/// Longer lifetimes are cut to this, so that no arithmetic overflows.
const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// One key pair of an application.
#[derive(Clone)]
pub struct ClientCredentials {
    /// Public, but of no use in logs.
    pub client_id: String,
    /// The secret that belongs to it.
    pub client_secret: SecretString,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientCredentials([redacted])")
    }
}

/// What a token is requested with, besides the key pair.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The application acts for itself.
    ClientCredentials,
    /// An earlier consent is renewed.
    RefreshToken(SecretString),
    /// A consent that was just given; the code is good for 30 seconds and once (Criteo docs, page Authorization Code
    /// Setup).
    AuthorizationCode {
        /// From the redirect.
        code: SecretString,
        /// The same as in the consent address.
        redirect_uri: String,
        /// The verifier of RFC 7636, if a challenge was sent.
        code_verifier: Option<SecretString>,
    },
}

impl Grant {
    fn fields(&self) -> Vec<(&'static str, SecretString)> {
        match self {
            Self::ClientCredentials => vec![("grant_type", "client_credentials".into())],
            Self::RefreshToken(token) => {
                vec![("grant_type", "refresh_token".into()), ("refresh_token", token.clone())]
            }
            Self::AuthorizationCode { code, redirect_uri, code_verifier } => {
                let mut fields = vec![
                    ("grant_type", "authorization_code".into()),
                    ("code", code.clone()),
                    ("redirect_uri", redirect_uri.as_str().into()),
                ];
                fields.extend(code_verifier.clone().map(|verifier| ("code_verifier", verifier)));
                fields
            }
        }
    }
}

impl Grant {
    /// Whether what is sent may be worthless afterwards, so that the answer must not be missed.
    fn is_used_up(&self) -> bool {
        match self {
            Self::ClientCredentials => false,
            Self::RefreshToken(_) | Self::AuthorizationCode { .. } => true,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let (first, second) = match self {
            Self::ClientCredentials => (None, None),
            Self::RefreshToken(token) => (Some(token), None),
            Self::AuthorizationCode { code, code_verifier, .. } => (Some(code), code_verifier.as_ref()),
        };
        first.into_iter().chain(second)
    }
}

/// A token endpoint and the key pair to ask it with.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    client: HttpClient,
    url: reqwest::Url,
    credentials: ClientCredentials,
    quota: Arc<Quota>,
}

impl TokenEndpoint {
    /// `url` is that of the token endpoint itself; `quota` counts its calls.
    pub fn new(client: HttpClient, url: reqwest::Url, credentials: ClientCredentials, quota: Arc<Quota>) -> Self {
        Self { client, url, credentials, quota }
    }

    /// Asks for a token. Network faults are repeated by the client's policy; a refusal is not.
    pub async fn request(&self, grant: &Grant, deadline: Deadline) -> Result<TokenAnswer, AuthError> {
        remember(&self.credentials.client_secret);
        grant.secrets().for_each(remember);
        let mut fields = grant.fields();
        fields.push(("client_id", self.credentials.client_id.as_str().into()));
        fields.push(("client_secret", self.credentials.client_secret.clone()));
        let mut request = Request::post(self.url.clone(), Body::Form(fields), "an access token");
        request.quota = Some(Arc::clone(&self.quota));
        request.deadline = deadline;
        request.sensitive = true;
        request.runs_to_its_end = grant.is_used_up();
        let body = self.client.send(&request, async |response| {
            let body = response.bytes_limited(MAX_ANSWER_BYTES).await?;
            // A body cut short, or a gateway's page, is no verdict on the credentials. Nothing of it is quoted.
            match serde_json::from_slice::<IgnoredAny>(without_mark(&body)) {
                Ok(_) => Ok(body),
                // A code is used up by now; asking again would only hide what came.
                Err(_) if matches!(grant, Grant::AuthorizationCode { .. }) => Err(ReadError::fatal(NotJson)),
                Err(_) => Err(ReadError::retry(NotJson)),
            }
        });
        TokenAnswer::parse(&body.await.map_err(AuthError::from_send)?)
    }

    /// The id of the key pair that it is asked with.
    pub fn client_id(&self) -> &str {
        &self.credentials.client_id
    }

    /// Calls made so far with this endpoint's quota.
    pub fn calls(&self) -> u64 {
        self.quota.calls()
    }

    /// The client that calls are made with.
    pub(super) fn client(&self) -> &HttpClient {
        &self.client
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is not JSON, so it comes from a proxy or another server in between")]
struct NotJson;

/// A token as issued.
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: SecretString,
    /// How long it lives, from when it was requested.
    pub lifetime: Duration,
    /// The refresh token to use from now on; absent means that the old one stays.
    pub refresh_token: Option<SecretString>,
}

impl TokenAnswer {
    /// Reads a 200 answer. Criteo's vary: `BEARER`, a lifetime in quotes, a null refresh token.
    fn parse(body: &[u8]) -> Result<Self, AuthError> {
        let unusable = |reason: &str| AuthError::Answer { reason: reason.to_owned() };
        let answer: Value = serde_json::from_slice(without_mark(body)).map_err(|_| unusable("it is not JSON"))?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        for secret in ["access_token", "refresh_token"] {
            text(secret).map(SecretString::from).iter().for_each(remember);
        }
        // The same words as in an answer that has the status of an error, cut and cleaned alike.
        if let Some((error, description)) = Problem::parse(StatusCode::OK, &HeaderMap::new(), body).oauth_error() {
            return Err(AuthError::Refused { error: error.to_owned(), description: description.to_owned() });
        }
        let access_token = text("access_token").ok_or_else(|| unusable("it has no `access_token`"))?;
        if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(unusable("its `token_type` is not `Bearer`"));
        }
        let lifetime = lifetime(answer.get("expires_in")).ok_or_else(|| unusable("its `expires_in` is no number"))?;
        let refresh_token = text("refresh_token").map(SecretString::from);
        Ok(Self { access_token: access_token.into(), lifetime, refresh_token })
    }
}

/// Without a byte-order mark: Criteo's bodies have been seen with and without it.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(crate::json::BYTE_ORDER_MARK).unwrap_or(body)
}

/// Seconds as a number or as a numeric string; negative ones are over.
fn lifetime(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value {
        None | Some(Value::Null) => return Some(USUAL_LIFETIME),
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(_) => return None,
    };
    seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(0.0, MAX_LIFETIME.as_secs_f64())))
}

#[cfg(test)]
mod tests;
