//! A request as a value that can be sent again as often as needed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

use super::bearer::BearerSource;
use super::problem::{Problem, ProblemReader};
use super::quota::Quota;
use crate::clock::Deadline;
use crate::secret::{ExposeSecret, SecretString};

/// A body that can be sent more than once.
#[derive(Clone, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// A JSON document.
    Json(Bytes),
    /// Fields of a form, percent-encoded when they are sent; any of them may be a secret.
    Form(Vec<(&'static str, SecretString)>),
    /// Anything else.
    Bytes {
        /// The media type.
        content_type: &'static str,
        /// The content.
        bytes: Bytes,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Json(bytes) => write!(formatter, "Json({} bytes)", bytes.len()),
            Self::Form(fields) => {
                formatter.debug_tuple("Form").field(&fields.iter().map(|(name, _)| name).collect::<Vec<_>>()).finish()
            }
            Self::Bytes { content_type, bytes } => write!(formatter, "Bytes({content_type}, {} bytes)", bytes.len()),
        }
    }
}

/// One call: what to send, under which limits, and what to call it in messages.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address; `https`, or `http` on this machine if the client allows it.
    pub url: Url,
    /// Headers besides those of the body and the token; they must hold no secret unless marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// The rate limit that each attempt counts against.
    pub quota: Option<Arc<Quota>>,
    /// Where the access token comes from; without it, none is sent.
    pub bearer: Option<Arc<dyn BearerSource>>,
    /// When to give up, whatever the retry policy and the server say.
    pub deadline: Deadline,
    /// Attempts at most, where that is fewer than the retry policy's; `None` for as many as it says.
    pub attempts: Option<u32>,
    /// Who is called, in a word; `None` for the name of the host.
    pub server: Option<&'static str>,
    /// What this call is about, for messages: "`ad_statistics_daily` of advertiser 1 for 2026-11-01".
    pub what: String,
    /// The answer may hold secrets: nothing of it is quoted in errors but a well-formed error description.
    pub sensitive: bool,
    /// An attempt that was begun is not cut off by the deadline: its answer must not be missed.
    pub runs_to_its_end: bool,
    /// Statuses besides the 2xx that are answers, to be read like one: 308 of a resumable upload, 404 of a lookup.
    pub accepted: &'static [StatusCode],
    /// How this server explains an error.
    pub problem: ProblemReader,
    /// Errors of this server that are worth repeating although their status does not say so, such as a 403 of Google's
    /// with the reason `rateLimitExceeded`.
    pub transient: fn(StatusCode, &Problem) -> bool,
}

impl Request {
    /// A request without body, token, quota or deadline.
    pub fn new(method: Method, url: Url, what: impl Into<String>) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            quota: None,
            bearer: None,
            deadline: Deadline::never(),
            attempts: None,
            server: None,
            what: what.into(),
            sensitive: false,
            runs_to_its_end: false,
            accepted: &[],
            problem: Problem::parse,
            transient: |_, _| false,
        }
    }

    /// Who is called, for people.
    pub(super) fn server(&self) -> &str {
        self.server.unwrap_or_else(|| self.url.host_str().unwrap_or("the server"))
    }

    /// Whether an answer with this status is for the reader, and not an error.
    pub(super) fn accepts(&self, status: StatusCode) -> bool {
        status.is_success() || self.accepted.contains(&status)
    }

    /// A `GET`.
    pub fn get(url: Url, what: impl Into<String>) -> Self {
        Self::new(Method::GET, url, what)
    }

    /// A `POST` of a body.
    pub fn post(url: Url, body: Body, what: impl Into<String>) -> Self {
        Self { body, ..Self::new(Method::POST, url, what) }
    }

    pub(super) fn build(&self, client: &reqwest::Client) -> reqwest::RequestBuilder {
        let builder = client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        let content_type = reqwest::header::CONTENT_TYPE;
        match &self.body {
            Body::Empty => builder,
            Body::Json(bytes) => builder.header(content_type, "application/json").body(bytes.clone()),
            Body::Form(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name, value.expose_secret())).collect();
                builder.form(&fields)
            }
            Body::Bytes { content_type: media_type, bytes } => {
                builder.header(content_type, *media_type).body(bytes.clone())
            }
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold a signature, headers a key: what the call is about is all a log needs.
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("body", &self.body)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_percent_encoded_so_that_a_secret_with_special_characters_arrives_whole() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = SecretString::from("a+b/c%d e\u{e9};f&g=h");
        let url = Url::parse("http://127.0.0.1/oauth2/token").expect("an address");
        let request = Request::post(url, Body::Form(vec![("client_secret", secret)]), "a token");
        let built = request.build(&reqwest::Client::new()).build().expect("builds");
        let body = built.body().and_then(reqwest::Body::as_bytes).expect("a body in memory");
        assert_eq!(body, b"client_secret=a%2Bb%2Fc%25d+e%C3%A9%3Bf%26g%3Dh");
        assert_eq!(built.headers()[reqwest::header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert!(!format!("{request:?}").contains("a+b"));
    }
}
