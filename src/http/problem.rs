//! The server's own account of what went wrong, parsed once and shown everywhere.
//!
//! Criteo answers errors with `{"errors": [{traceId, type, code, instance, title, detail}]}`, where any field may be
//! missing, empty or null and older entries say `traceIdentifier` (Criteo docs, page API error types); the token
//! endpoint answers with OAuth's `{"error", "error_description"}` (RFC 6749, section 5.2); a gateway in between
//! answers with HTML or nothing. Google's APIs wrap theirs in `{"error": {…}}` ([`Problem::of_google`]). All of them
//! become a [`Problem`]; a request says which reader its server needs. What to do about it is decided elsewhere.

use std::borrow::Cow;
use std::fmt;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use crate::redaction::redact;

/// Longest quotation of a body that is no error document, in characters.
const MAX_EXCERPT_CHARS: usize = 200;
/// Most errors of a list that are kept.
const MAX_ENTRIES: usize = 10;
/// Longest field that is kept, in characters: a server's prose is an error message, not a document.
const MAX_FIELD_CHARS: usize = 500;

/// How the body of an answer with an error status becomes a [`Problem`].
pub type ProblemReader = fn(StatusCode, &HeaderMap, &[u8]) -> Problem;

/// What an answer with an error status said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    entries: Vec<ProblemEntry>,
    oauth: Option<(String, String)>,
    excerpt: Option<String>,
}

/// One error of Criteo's list; an absent, null or empty field is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemEntry {
    /// The kind of error, such as `validation` or `access-control`; spellings vary.
    pub kind: Option<String>,
    /// The error, such as `required-field`.
    pub code: Option<String>,
    /// One sentence.
    pub title: Option<String>,
    /// More sentences.
    pub detail: Option<String>,
    /// The endpoint as Criteo names it.
    pub instance: Option<String>,
    /// What Criteo's support asks for.
    pub trace_id: Option<String>,
}

impl Problem {
    /// Reads an error body, whatever it is. `status` and `headers` help where the body says nothing.
    pub fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut problem = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(document)) => Self::from_document(&document),
            _ => Self::default(),
        };
        if problem.entries.is_empty() && problem.oauth.is_none() {
            problem.excerpt = Some(excerpt(status, headers, body));
        }
        problem
    }

    /// Reads an error body of Google's APIs (Google Cloud docs, page Errors of the APIs):
    /// `{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": …, "errors": [{"reason", "message"}]}}`, where
    /// the first reason is the most exact code. Anything else is read as by [`Problem::parse`], which knows OAuth's form.
    pub fn of_google(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let document = serde_json::from_slice::<Value>(body).unwrap_or_default();
        // A streamed or batched answer is a list of one.
        let document = document.get(0).unwrap_or(&document);
        let error = document.get("error").and_then(Value::as_object);
        let entry = error.and_then(|error| {
            let reason = error.get("errors").and_then(|errors| errors.get(0)).and_then(|first| first.get("reason"));
            let status = text(error.get("status"));
            let code = text(reason).or_else(|| status.clone());
            let entry =
                ProblemEntry { kind: status, code, title: text(error.get("message")), ..ProblemEntry::default() };
            Some(entry).filter(ProblemEntry::says_something)
        });
        match entry {
            Some(entry) => Self { entries: vec![entry], ..Self::default() },
            None => Self::parse(status, headers, body),
        }
    }

    /// A problem as a reader of another server's bodies found it.
    pub fn of_entries(entries: impl IntoIterator<Item = ProblemEntry>) -> Self {
        Self { entries: entries.into_iter().take(MAX_ENTRIES).collect(), ..Self::default() }
    }

    fn from_document(document: &serde_json::Map<String, Value>) -> Self {
        let list = |name: &str| -> Vec<ProblemEntry> {
            let entries = document.get(name).and_then(Value::as_array);
            entries.into_iter().flatten().filter_map(ProblemEntry::parse).take(MAX_ENTRIES).collect()
        };
        let mut entries = list("errors");
        if entries.is_empty() {
            entries = list("warnings");
        }
        let oauth = text(document.get("error")).map(|error| {
            let description = text(document.get("error_description")).unwrap_or_default();
            (error, description)
        });
        if entries.is_empty() && oauth.is_none() {
            // A gateway, or RFC 9457: the entry without the list.
            entries.extend(ProblemEntry::from_map(document));
        }
        Self { entries, oauth, excerpt: None }
    }

    /// Criteo's errors, in its order; empty for OAuth errors and for bodies that are none.
    pub fn entries(&self) -> &[ProblemEntry] {
        &self.entries
    }

    /// The code of the first error that has one (`required-field`, or OAuth's `invalid_client`).
    pub fn code(&self) -> Option<&str> {
        let codes = self.entries.iter().find_map(|entry| entry.code.as_deref());
        codes.or_else(|| self.oauth_error().map(|(error, _)| error))
    }

    /// The first trace identifier, for Criteo's support.
    pub fn trace_id(&self) -> Option<&str> {
        self.entries.iter().find_map(|entry| entry.trace_id.as_deref())
    }

    /// OAuth's `error` and `error_description` (which may be empty).
    pub fn oauth_error(&self) -> Option<(&str, &str)> {
        self.oauth.as_ref().map(|(error, description)| (error.as_str(), description.as_str()))
    }

    /// The same without the quotation of a body that was no error document: it may hold anything.
    pub(super) fn without_excerpt(self) -> Self {
        Self { excerpt: None, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            entry.fmt(formatter)?;
        }
        if let (true, Some((error, description))) = (self.entries.is_empty(), self.oauth_error()) {
            formatter.write_str(error)?;
            if !description.is_empty() {
                write!(formatter, ": {description}")?;
            }
        }
        match &self.excerpt {
            Some(excerpt) => formatter.write_str(excerpt),
            None if self.entries.is_empty() && self.oauth.is_none() => formatter.write_str("no explanation"),
            None => Ok(()),
        }
    }
}

impl ProblemEntry {
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Object(map) => Self::from_map(map),
            Value::String(_) => Some(Self { title: text(Some(value)), ..Self::default() }).filter(Self::says_something),
            _ => None,
        }
    }

    fn from_map(map: &serde_json::Map<String, Value>) -> Option<Self> {
        let field = |name: &str| text(map.get(name));
        let entry = Self {
            kind: field("type"),
            code: field("code"),
            title: field("title").or_else(|| field("message")),
            detail: field("detail"),
            instance: field("instance"),
            trace_id: field("traceId").or_else(|| field("traceIdentifier")),
        };
        Some(entry).filter(Self::says_something)
    }

    fn says_something(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for ProblemEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.title.as_deref().map(|title| title.trim_end_matches('.'));
        let said: Vec<&str> = [title, self.detail.as_deref()].into_iter().flatten().collect();
        formatter.write_str(if said.is_empty() { "no explanation" } else { "" })?;
        formatter.write_str(&said.join(": "))?;
        let named = [("code", &self.code), ("type", &self.kind), ("trace id", &self.trace_id)];
        let named: Vec<String> =
            named.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} `{value}`"))).collect();
        if named.is_empty() { Ok(()) } else { write!(formatter, " ({})", named.join(", ")) }
    }
}

/// A field as printable text; numbers are accepted, since codes may be numeric.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => Cow::from(text),
        Value::Number(number) => Cow::from(number.to_string()),
        _ => return None,
    };
    let printable = printable(&text, MAX_FIELD_CHARS);
    (!printable.is_empty()).then_some(printable)
}

fn excerpt(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let quoted = printable(&String::from_utf8_lossy(body), MAX_EXCERPT_CHARS);
    if quoted.is_empty() {
        return format!("an empty answer with status {status}");
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no media type");
    format!("an answer of {} that is no error document: `{quoted}`", printable(media_type, MAX_EXCERPT_CHARS))
}

/// One line without a secret, which has to go before a part of it is cut off, and without anything that a terminal
/// would obey: white space becomes a blank, controls become escapes.
fn printable(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    let text = redact(text);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (index, character) in words.chars().enumerate() {
        if index == max_chars {
            line.push('\u{2026}');
            break;
        }
        let reorders = matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || reorders {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, body: &str) -> Problem {
        Problem::parse(StatusCode::from_u16(status).expect("a status"), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn criteos_list_of_errors_is_shown_with_code_and_trace_id() {
        // Criteo's own example, specification 2024-07.
        let problem = parse(
            400,
            r#"{"warnings":[],"errors":[{"traceId":"905125ba2e35bd81e02ea712e4a05e2d","type":"validation",
            "code":"required-field","instance":"/report","title":"Start date and end date are required.","detail":""}]}"#,
        );
        assert_eq!(problem.code(), Some("required-field"));
        assert_eq!(problem.trace_id(), Some("905125ba2e35bd81e02ea712e4a05e2d"));
        assert_eq!(
            problem.to_string(),
            "Start date and end date are required (code `required-field`, type `validation`, trace id \
             `905125ba2e35bd81e02ea712e4a05e2d`)"
        );
    }

    #[test]
    fn the_older_trace_identifier_is_read_and_null_fields_are_absent() {
        let problem = parse(
            401,
            r#"{"errors":[{"traceIdentifier":"80a1","traceId":null,"type":"authorization",
            "code":"authorization-token-expired","detail":null,"title":"The authorization token has expired"}]}"#,
        );
        assert_eq!(problem.trace_id(), Some("80a1"));
        assert_eq!(problem.entries()[0].detail, None);
    }

    #[test]
    fn an_oauth_error_is_recognized() {
        let problem = parse(401, r#"{"error":"invalid_client","error_description":"no such client"}"#);
        assert_eq!(problem.oauth_error(), Some(("invalid_client", "no such client")));
        assert_eq!(problem.code(), Some("invalid_client"));
        assert_eq!(problem.to_string(), "invalid_client: no such client");
    }

    #[test]
    fn googles_error_is_read_with_its_reason_and_anything_else_as_usual() {
        let google = |body: &str| Problem::of_google(StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes());
        // BigQuery's answer to a job in a project that the account may not use, shortened.
        let refusal = r#"{"error":{"code":403,"message":"Access Denied: Project p","status":"PERMISSION_DENIED",
            "errors":[{"message":"Access Denied: Project p","domain":"global","reason":"accessDenied"}]}}"#;
        for body in [refusal.to_owned(), format!("[{refusal}]")] {
            let problem = google(&body);
            assert_eq!(problem.code(), Some("accessDenied"));
            let shown = "Access Denied: Project p (code `accessDenied`, type `PERMISSION_DENIED`)";
            assert_eq!(problem.to_string(), shown);
        }
        let newer = google(r#"{"error":{"code":404,"message":"Not found.","status":"NOT_FOUND","details":[]}}"#);
        assert_eq!(newer.code(), Some("NOT_FOUND"));
        let oauth = google(r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#);
        assert_eq!(oauth.oauth_error(), Some(("invalid_grant", "Invalid JWT Signature.")));
        assert!(google("<html>").to_string().contains("no error document"));
        assert!(google(r#"{"error":{}}"#).to_string().contains("no error document"));
    }

    #[test]
    fn a_gateway_page_is_quoted_short_on_one_line_and_without_control_characters() {
        let page = format!("<html>\r\n\t<h1>Bad \u{1b}[31mGateway</h1>{}", "x".repeat(10_000));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "text/html".parse().expect("a header"));
        let shown = Problem::parse(StatusCode::BAD_GATEWAY, &headers, page.as_bytes()).to_string();
        assert!(shown.starts_with("an answer of text/html that is no error document: `<html> <h1>Bad \\u{1b}[31m"));
        assert!(shown.chars().count() < 300 && !shown.contains(['\u{1b}', '\n']), "{shown}");
    }

    #[test]
    fn bodies_that_say_nothing_still_make_a_message() {
        assert_eq!(parse(503, " ").to_string(), "an empty answer with status 503 Service Unavailable");
        for body in ["{}", r#"{"errors":[]}"#, r#"{"errors":[{}]}"#, "[1]", "null", r#"{"errors":{"a":1}}"#, "{\"err"] {
            let problem = parse(400, body);
            assert!(problem.entries().is_empty() && problem.to_string().contains("no error document"), "{body}");
        }
        assert_eq!(parse(404, r#"{"title":"no such path","traceId":"t"}"#).trace_id(), Some("t"));
        assert_eq!(parse(400, r#"{"errors":["plain text"]}"#).to_string(), "plain text");
    }

    #[test]
    fn a_list_of_a_thousand_errors_makes_no_message_of_a_thousand() {
        let list = vec!["\"x\""; 1000].join(",");
        assert_eq!(parse(400, &format!("{{\"errors\":[{list}]}}")).entries().len(), MAX_ENTRIES);
    }

    #[test]
    fn a_secret_that_the_server_says_back_is_removed_before_a_part_of_it_is_cut_off() {
        crate::redaction::remember(&"pr0blem+s3cret/".into());
        for body in [
            r#"{"error":"invalid_client","error_description":"bad pr0blem+s3cret/"}"#,
            r#"{"error":"x","error_description":"bad pr0blem\u002bs3cret\/"}"#,
            r#"{"errors":[{"title":"pr0blem%2Bs3cret%2F","detail":"pr0blem+s3cret/"}]}"#,
            &format!("<html>{}pr0blem+s3cret/", "x".repeat(MAX_EXCERPT_CHARS - 10)),
        ] {
            let problem = parse(401, body);
            assert!(!format!("{problem} {problem:?}").contains("pr0bl"), "{problem:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_at_all_is_turned_into_one_printable_line(body: Vec<u8>) {
            let shown = Problem::parse(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body).to_string();
            proptest::prop_assert!(!shown.is_empty() && !shown.chars().any(char::is_control));
        }
    }
}
