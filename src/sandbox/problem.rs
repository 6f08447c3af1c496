//! Criteo's error envelopes (API.md section 8).
//!
//! Codes and titles are the observed ones where there are any; the rest is marked at its constructor.

use serde_json::{Value, json};

/// A refusal: a status and one entry for `errors`.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: u16,
    kind: &'static str,
    code: &'static str,
    title: String,
    detail: String,
}

impl Problem {
    fn new(status: u16, kind: &'static str, code: &'static str, title: impl Into<String>) -> Self {
        Self { status, kind, code, title: title.into(), detail: String::new() }
    }

    fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A required field is missing (API.md 8.2).
    pub(super) fn required(title: impl Into<String>) -> Self {
        Self::new(400, "validation", "required-field", title)
    }

    /// A value that cannot be used; code from Criteo's documented list.
    pub(super) fn invalid(title: impl Into<String>) -> Self {
        Self::new(400, "validation", "invalid", title)
    }

    /// A date that is not an ISO 8601 date; code from Criteo's documented list.
    pub(super) fn date_format(field: &str) -> Self {
        Self::new(400, "validation", "invalid-date-format", format!("The {field} is not a valid ISO 8601 date."))
    }

    /// Start after end (API.md 8.2).
    pub(super) fn dates_crossed() -> Self {
        Self::new(400, "validation", "start-after-end-date", "The start date can not be after the end date.")
    }

    /// A start before the retention limit; the answer is not documented, the code is from Criteo's list.
    pub(super) fn too_old(limit: &str) -> Self {
        Self::new(400, "validation", "invalid-ranged", format!("The start date can not be more than {limit} ago."))
    }

    /// An advertiser without consent (API.md 8.2).
    pub(super) fn no_consent() -> Self {
        Self::new(
            403,
            "access-control",
            "insufficient-advertisers-permissions",
            "You do not have the rights to report on these advertisers",
        )
    }

    /// An app without the permission; Criteo's body for it is not documented.
    pub(super) fn no_scope(scope: &str) -> Self {
        Self::new(403, "access-control", "insufficient-permissions", "The application lacks a permission.")
            .because(format!("This endpoint requires {scope}."))
    }

    /// No bearer token (API.md 8.2).
    pub(super) fn token_missing() -> Self {
        Self::new(401, "authorization", "authorization-token-missing", "The authorization token is missing")
    }

    /// A token that was never given out, or was revoked (API.md 8.2).
    pub(super) fn token_invalid() -> Self {
        Self::new(401, "authorization", "authorization-token-invalid", "The authorization token is invalid")
    }

    /// A token past its lifetime (API.md 8.2).
    pub(super) fn token_expired() -> Self {
        Self::new(401, "authorization", "authorization-token-expired", "The authorization token has expired")
    }

    /// No such path or entity.
    pub(super) fn not_found(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(404, "validation", code, title)
    }

    /// A path that exists, with another method.
    pub(super) fn wrong_method() -> Self {
        Self::new(405, "validation", "method-not-allowed", "The method is not allowed for this resource.")
    }

    /// Any version but the current one (API.md 9.2).
    pub(super) fn retired(version: &str) -> Self {
        Self::new(410, "deprecation", "endpoint-deprecated", format!("Version {version} is no longer available."))
    }

    /// A request body that is not JSON by its content type (API.md section 2).
    pub(super) fn media_type() -> Self {
        Self::new(415, "validation", "unsupported-media-type", "The content type must be application/json.")
    }

    /// Too many calls in the current minute; Criteo's body is not known.
    pub(super) fn too_many() -> Self {
        Self::new(429, "quota", "quota-exceeded", "The API quota has been exceeded.")
    }

    /// Something broke inside.
    pub(super) fn server(status: u16) -> Self {
        Self::new(status, "availability", "internal-error", "An internal error occurred.")
    }

    /// A 200 that is none: something broke inside after the status was chosen.
    pub(super) fn hidden() -> Self {
        Self::new(200, "availability", "internal-error", "The report could not be generated.")
    }

    /// The warning of a capped response (known from the 2027-01 ad-level report only, API.md 9.4).
    pub(super) fn row_limit() -> Self {
        Self::new(200, "validation", "row-limit-exceeded", "The report was limited to the maximum number of rows.")
    }

    /// The entry as it stands in `errors` or `warnings`.
    pub(super) fn entry(&self, trace: &str, instance: &str) -> Value {
        json!({"traceId": trace, "traceIdentifier": trace, "type": self.kind, "code": self.code, "instance": instance,
               "title": self.title, "detail": self.detail})
    }

    /// The whole body.
    pub(super) fn body(&self, trace: &str, instance: &str) -> Vec<u8> {
        json!({"warnings": [], "errors": [self.entry(trace, instance)]}).to_string().into_bytes()
    }
}
