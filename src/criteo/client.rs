//! Calls to Criteo, judged: a whole report, a report at the cap, a list of resources, or a clear error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Method as HttpMethod, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decoding::{Decoded, decode};
use super::requests::ReportRequest;
use super::version;
use crate::catalog::{Catalog, Connector, DateFilter, Endpoint, EndpointId, Method, QuotaClass};
use crate::clock::Deadline;
use crate::http::{BearerSource, Body, Failure, HttpClient, Problem, Quota, ReadError, Request, Response, SendError};
use crate::json::JsonError;
use crate::notice::{Code, Notice, error_chain};
use crate::table::decode::{DecodeError, DecodedReport, ReportDecoder, ReportLayout, RequestedRows};

/// Different warnings remembered; a run that has more has one problem, not hundreds.
const MAX_NOTICES: usize = 100;
/// Report rows in memory at the same time, decoded or expected: one answer of the largest size, or many small ones. This bounds
/// memory, not the number of requests under way; reading and writing such an answer takes less time than the quota has for a
/// call.
const ROWS_IN_MEMORY: u32 = 100_000;
/// Rows that an answer of unknown size is taken to have: the largest cap that Criteo documents.
const UNKNOWN_ROWS: u32 = 100_000;
/// Rows that even the smallest answer is taken to have: its buffers take as much memory.
const MIN_ROWS: u32 = 2_000;

/// What failed, as far as what to do next depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchErrorKind {
    /// Client id, secret or refresh token were refused.
    Credentials,
    /// At least one advertiser of the request has not consented.
    AdvertiserRefused,
    /// The app lacks the scope of the endpoint.
    ScopeRefused,
    /// The request, or its answer, is too large for Criteo: a smaller one may do.
    TooLarge,
    /// Criteo has removed the version of the API that this program uses.
    VersionRemoved,
    /// Criteo will not answer this request, ever: a bad field.
    Rejected,
    /// A proxy on the way wants a user name and a password.
    Proxy,
    /// No answer after all attempts.
    Unavailable,
    /// The run's deadline passed.
    DeadlinePassed,
    /// An answer with rows of days that were not requested.
    OtherDays,
    /// An answer that makes no sense, or a value that does not fit.
    Unreadable,
}

/// A call that failed for good.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{source}")]
pub struct FetchError {
    kind: FetchErrorKind,
    /// Whether the status is one that a removed version of the API is answered with.
    names_version: bool,
    source: Arc<SendError>,
}

impl FetchError {
    /// An answer whose content could not be used.
    pub fn unreadable(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SendError::Body { what: what.to_owned(), source: source.into() }.into()
    }

    /// What failed.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// Whether Criteo failed on the request (5xx): another one may well be answered.
    pub fn is_server_error(&self) -> bool {
        self.source.status().is_some_and(|status| status.is_server_error())
    }

    /// Criteo's identifier of the request, for their support.
    pub fn trace_id(&self) -> Option<&str> {
        self.source.problem().and_then(Problem::trace_id)
    }

    /// The error as people and machines read it.
    pub fn notice(&self) -> Notice {
        let code = if self.names_version { Code::ApiVersionRemoved } else { self.kind.code() };
        Notice::new(code, self.reason()).remedy_or_usual(self.remedy()).trace(self.trace_id())
    }

    /// What was requested and what came back, on one line.
    pub fn reason(&self) -> String {
        let reason = error_chain(&*self.source);
        if self.names_version { format!("{reason}; {}", version::lifetime(Connector::get())) } else { reason }
    }

    /// Whether it was requested as often as makes sense: something on the way is broken, and may be mended by itself.
    pub fn is_exhausted(&self) -> bool {
        matches!(*self.source, SendError::Exhausted { .. })
    }

    /// What to do about it, where more is known than the code says.
    fn remedy(&self) -> Option<String> {
        match self.kind {
            FetchErrorKind::Unavailable if is_no_connection(&self.source) => Some(
                "check the network, the proxy settings and, if it is set, `CRITEO_API_URL`; the next run fetches what is missing"
                    .to_owned(),
            ),
            FetchErrorKind::Unreadable if self.is_exhausted() => Some(
                "something on the way (a proxy, a gateway) spoils the answers; the next run tries again".to_owned(),
            ),
            _ => match &*self.source {
                SendError::Bearer { source, .. } => source.downcast_ref().and_then(crate::auth::AuthError::remedy),
                _ => None,
            },
        }
    }
}

impl FetchErrorKind {
    /// What it is called where people and machines read it.
    pub fn code(self) -> Code {
        match self {
            Self::Credentials => Code::CredentialsRefused,
            Self::AdvertiserRefused => Code::AdvertiserRefused,
            Self::ScopeRefused => Code::ScopeMissing,
            Self::VersionRemoved => Code::ApiVersionRemoved,
            Self::TooLarge | Self::Rejected => Code::RequestRejected,
            Self::Proxy => Code::ProxyRefused,
            Self::Unavailable => Code::ApiUnavailable,
            Self::DeadlinePassed => Code::DeadlinePassed,
            Self::OtherDays | Self::Unreadable => Code::UnreadableResponse,
        }
    }
}

impl FetchError {
    /// The error of a list: where an identifier is in the path, a 404 is about that resource and not about the version.
    pub(super) fn of_list(source: SendError, request: &super::lists::ListRequest) -> Self {
        let is_about_resource = request.parent_id.is_some() && source.status() == Some(StatusCode::NOT_FOUND);
        let mut error = Self::from(source);
        error.names_version &= !is_about_resource;
        error
    }
}

impl From<SendError> for FetchError {
    fn from(source: SendError) -> Self {
        // A removed version answers 410; 404 and 415 may also be about a part of the request, which is narrowed as ever.
        let gone = [StatusCode::GONE, StatusCode::NOT_FOUND, StatusCode::UNSUPPORTED_MEDIA_TYPE];
        let names_version = source.status().is_some_and(|status| gone.contains(&status));
        Self { kind: classify(&source), names_version, source: Arc::new(source) }
    }
}

fn classify(error: &SendError) -> FetchErrorKind {
    match error {
        error if error.is_proxy_refusal() => FetchErrorKind::Proxy,
        SendError::Bearer { source, .. } if is_proxy_refusal_of_token(source) => FetchErrorKind::Proxy,
        SendError::Bearer { source, .. } => match source.downcast_ref::<crate::auth::AuthError>() {
            Some(crate::auth::AuthError::DeadlinePassed) => FetchErrorKind::DeadlinePassed,
            // Nobody said anything about the credentials: the connection is what fails.
            Some(crate::auth::AuthError::Unavailable { source })
                if matches!(**source, SendError::Connect { .. } | SendError::Setup { .. }) =>
            {
                FetchErrorKind::Unavailable
            }
            Some(error) if !crate::auth::TokenError::is_permanent(error) => FetchErrorKind::Unavailable,
            _ => FetchErrorKind::Credentials,
        },
        SendError::DeadlinePassed { .. } => FetchErrorKind::DeadlinePassed,
        SendError::Body { .. } if matches!(error.reader_error(), Some(DecodeError::TooMuch { .. })) => {
            FetchErrorKind::TooLarge
        }
        SendError::Body { .. } if matches!(error.reader_error(), Some(DecodeError::DayOutside { .. })) => {
            FetchErrorKind::OtherDays
        }
        SendError::Body { .. } => FetchErrorKind::Unreadable,
        SendError::Exhausted { .. } if is_unreadable(error) => FetchErrorKind::Unreadable,
        SendError::Exhausted { .. } | SendError::Connect { .. } | SendError::Setup { .. } => {
            FetchErrorKind::Unavailable
        }
        SendError::Refused { status, problem, .. } => match *status {
            StatusCode::UNAUTHORIZED => FetchErrorKind::Credentials,
            StatusCode::FORBIDDEN if concerns_advertiser(problem) => FetchErrorKind::AdvertiserRefused,
            StatusCode::FORBIDDEN => FetchErrorKind::ScopeRefused,
            StatusCode::PAYLOAD_TOO_LARGE => FetchErrorKind::TooLarge,
            StatusCode::GONE => FetchErrorKind::VersionRemoved,
            _ => FetchErrorKind::Rejected,
        },
        SendError::Redirected { .. } | SendError::Address { .. } => FetchErrorKind::Rejected,
    }
}

fn is_proxy_refusal_of_token(error: &crate::http::BearerError) -> bool {
    let auth = error.downcast_ref::<crate::auth::AuthError>();
    matches!(auth, Some(crate::auth::AuthError::Unavailable { source }) if source.is_proxy_refusal())
}

/// Whether the last attempt found nobody to talk to, at the endpoint itself or on the way to a token for it.
fn is_no_connection(error: &SendError) -> bool {
    if let SendError::Bearer { source, .. } = error
        && let Some(crate::auth::AuthError::Unavailable { source }) = source.downcast_ref()
    {
        return is_no_connection(source);
    }
    error.last_failure().is_some_and(Failure::is_no_connection)
}

/// An answer that came every time and was wrong every time is not an outage.
fn is_unreadable(error: &SendError) -> bool {
    error.reader_error::<DecodeError>().is_some() || error.reader_error::<JsonError>().is_some()
}

/// Criteo spells the code in three ways; all begin alike (dossier of the error types page, live answers).
fn concerns_advertiser(problem: &Problem) -> bool {
    problem.code().is_some_and(|code| code.starts_with("insufficient-advertiser"))
}

/// A warning Criteo sent along with a good answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiNotice {
    /// Which kind of warning.
    pub code: Code,
    /// Criteo's words, or ours.
    pub message: String,
    /// Table, where it concerns one.
    pub table: Option<String>,
}

/// What an operator should know of the calls so far, each notice once; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<BTreeSet<ApiNotice>>>);

impl Notices {
    fn add(&self, code: Code, message: String) {
        self.add_of(None, code, message);
    }

    fn add_of(&self, table: Option<&str>, code: Code, message: String) {
        let notice = ApiNotice { code, message, table: table.map(str::to_owned) };
        let mut notices = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if notices.len() < MAX_NOTICES {
            notices.insert(notice);
        }
    }

    /// Something for others to add to these.
    pub(super) fn teller(&self) -> crate::auth::Tell {
        let notices = self.clone();
        Arc::new(move |code, message| {
            tracing::debug!(%code, message, "to be reported");
            notices.add(code, message);
        })
    }
}

/// A share of the memory for rows, for as long as this is kept.
#[derive(Debug)]
pub struct RowMemory(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// What a report request brought.
#[derive(Debug)]
pub enum ReportAnswer {
    /// All rows, and their share of the memory.
    Whole(DecodedReport, RowMemory),
    /// A response at the row cap: some rows are missing, nobody says which.
    Capped {
        /// Rows that were there.
        rows: u64,
    },
}

/// The one way to call Criteo; cheap to clone.
#[derive(Clone)]
pub struct CriteoClient {
    http: HttpClient,
    connector: &'static Connector,
    base_url: Url,
    report_quota: Arc<Quota>,
    default_quota: Arc<Quota>,
    bearer: Arc<dyn BearerSource>,
    deadline: Deadline,
    row_memory: Arc<Semaphore>,
    calls_per_consent: Option<u32>,
    notices: Notices,
    row_caps: BTreeMap<EndpointId, u64>,
    server_time: Arc<Mutex<Option<DateTime<Utc>>>>,
}

/// Everything a client is made of.
pub struct ClientParts {
    /// Sends.
    pub http: HttpClient,
    /// What there is to call.
    pub connector: &'static Connector,
    /// Where; the connector's own host or a proxy or sandbox.
    pub base_url: Url,
    /// Rate limit of reports.
    pub report_quota: Arc<Quota>,
    /// Rate limit of everything else.
    pub default_quota: Arc<Quota>,
    /// Calls a minute that each consented advertiser adds to the rate limit, where the application has such a limit.
    pub calls_per_consent: Option<u32>,
    /// Access tokens.
    pub bearer: Arc<dyn BearerSource>,
    /// When the run must be over.
    pub deadline: Deadline,
    /// Row caps other than the connector's: for tests with small worlds.
    pub row_caps: BTreeMap<EndpointId, u64>,
    /// Where warnings go.
    pub notices: Notices,
}

impl CriteoClient {
    /// A client for one run.
    pub fn new(parts: ClientParts) -> Self {
        let ClientParts { http, connector, base_url, report_quota, default_quota, calls_per_consent, .. } = parts;
        let ClientParts { bearer, deadline, row_caps, notices, .. } = parts;
        let row_memory = Arc::new(Semaphore::new(ROWS_IN_MEMORY as usize));
        Self {
            http,
            connector,
            base_url,
            report_quota,
            default_quota,
            bearer,
            deadline,
            row_memory,
            calls_per_consent,
            notices,
            row_caps,
            server_time: Arc::default(),
        }
    }

    /// What the `Date` header of the last answer said.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        *self.server_time.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The endpoint's declaration.
    pub fn endpoint(&self, id: EndpointId) -> &'static Endpoint {
        self.connector.endpoint(id)
    }

    /// Rows at which a response of this endpoint counts as cut, where that is known.
    pub fn row_cap(&self, id: EndpointId) -> Option<u64> {
        self.row_caps.get(&id).copied().or(self.endpoint(id).row_cap)
    }

    /// What Criteo warned of so far, each once.
    pub fn notices(&self) -> Vec<ApiNotice> {
        self.notices.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn note(&self, code: Code, message: String) {
        self.notices.add(code, message);
    }

    fn note_of(&self, table: Option<&str>, code: Code, message: String) {
        self.notices.add_of(table, code, message);
    }

    pub(super) fn request(&self, endpoint: &Endpoint, parent_id: Option<&str>, body: Body, what: String) -> Request {
        let path = match parent_id {
            Some(id) => endpoint.path.replace("{advertiser-id}", id).replace("{ad-set-id}", id),
            None => endpoint.path.clone(),
        };
        let base = self.base_url.as_str().trim_end_matches('/');
        let url = format!("{base}/{}/{}", self.connector.api_version, path.trim_start_matches('/'));
        let quota = match endpoint.quota {
            QuotaClass::Report => &self.report_quota,
            QuotaClass::Default => &self.default_quota,
        };
        let method = match endpoint.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
        };
        let url = Url::parse(&url).expect("a base URL and a declared path make a URL");
        let mut request = Request::new(method, url, what);
        request.body = body;
        request.server = Some("Criteo");
        request.quota = Some(Arc::clone(quota));
        request.bearer = Some(Arc::clone(&self.bearer));
        request.deadline = self.deadline;
        request
    }

    /// Fetches one report, decoding while it streams in. An answer waits to be read while the rows of others fill the memory;
    /// `expected_rows` tells how much this one needs.
    pub async fn report(
        &self,
        request: &ReportRequest,
        layout: &Arc<ReportLayout>,
        what: String,
        expected_rows: Option<u64>,
    ) -> Result<ReportAnswer, FetchError> {
        let endpoint = self.endpoint(request.endpoint);
        let cap = self.row_cap(request.endpoint);
        let has_other_days = endpoint.report().is_some_and(|report| report.date_filter == DateFilter::Undocumented);
        let asked = RequestedRows {
            days: request.filter.days,
            disclosed: request.filter.disclosed,
            day_is_given: has_other_days && request.filter.days.len_days() == 1,
        };
        let call = self.request(endpoint, None, Body::Json(request.body().into()), what);
        // No answer has more rows than its cap, whatever is expected of it.
        let most = cap.and_then(|cap| u32::try_from(cap).ok()).unwrap_or(UNKNOWN_ROWS).clamp(MIN_ROWS, UNKNOWN_ROWS);
        let rows = expected_rows.and_then(|rows| u32::try_from(rows).ok()).unwrap_or(most).clamp(MIN_ROWS, most);
        let decoder = || ReportDecoder::new(Arc::clone(layout), asked.clone());
        let read = |response| self.read_report(response, decoder(), request.endpoint, cap, rows);
        Ok(self.http.send(&call, read).await?)
    }

    async fn read_report(
        &self,
        response: Response,
        decoder: ReportDecoder,
        report: EndpointId,
        cap: Option<u64>,
        rows: u32,
    ) -> Result<ReportAnswer, ReadError> {
        self.note_headers(response.headers());
        let memory = Arc::clone(&self.row_memory).acquire_many_owned(rows).await.map_err(ReadError::fatal)?;
        let table = decoder.table().to_owned();
        let decoded = decode(response, decoder, cap).await?;
        self.judge(decoded, report, &table, RowMemory(memory))
    }

    /// Looks at what came beside the rows.
    fn judge(
        &self,
        decoded: Decoded,
        endpoint: EndpointId,
        table: &str,
        memory: RowMemory,
    ) -> Result<ReportAnswer, ReadError> {
        let report = match decoded {
            Decoded::Whole(report) => report,
            Decoded::Capped { rows } => return Ok(ReportAnswer::Capped { rows }),
        };
        if let Some(errors) = &report.errors {
            return Err(answered_with_errors(errors));
        }
        let mut is_capped = false;
        if let Some(warnings) = &report.warnings {
            for entry in notice_problem(warnings).entries() {
                is_capped |= entry.code.as_deref() == Some("row-limit-exceeded");
                self.note(Code::CriteoWarning, entry.to_string());
            }
        }
        let fields: Vec<&str> =
            report.unknown_fields.iter().map(String::as_str).filter(|name| !is_expected(endpoint, name)).collect();
        if !fields.is_empty() {
            self.note(
                Code::UnknownFields,
                format!("reports carry fields that no table stores: `{}`", fields.join("`, `")),
            );
        }
        for (column, text) in &report.repaired {
            let message = format!(
                "column `{column}` has text that is not Unicode, first `{text}`; what is no character is stored as U+FFFD"
            );
            self.note_of(Some(table), Code::TextNotUnicode, message);
        }
        Ok(if is_capped { ReportAnswer::Capped { rows: report.rows } } else { ReportAnswer::Whole(report, memory) })
    }

    /// Surfaces deprecation and sunset headers (Criteo docs, Versioning policy; whether they are sent is disputed).
    pub(super) fn note_headers(&self, headers: &HeaderMap) {
        let date = headers.get("date").and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok());
        if let Some(date) = date {
            *self.server_time.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(date.to_utc());
        }
        for name in ["deprecation", "sunset"] {
            if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                self.note(Code::ApiDeprecation, format!("Criteo sent the header `{name}: {value}`"));
            }
        }
    }

    /// The rate limit of an authorization-code app grows with the advertisers that consented.
    pub(super) fn learn_consents(&self, advertisers: usize) {
        if let Some(calls) = self.calls_per_consent {
            let consents = u32::try_from(advertisers).unwrap_or(u32::MAX);
            self.report_quota.expect_limit(calls.saturating_mul(consents));
        }
    }

    pub(super) fn http(&self) -> &HttpClient {
        &self.http
    }
}

/// A 200 whose body says that it is an error.
#[derive(Debug, thiserror::Error)]
#[error("the server answered 200 with errors: {0}")]
struct AnsweredWithErrors(Problem);

pub(super) fn answered_with_errors(errors: &[u8]) -> ReadError {
    ReadError::retry(AnsweredWithErrors(notice_problem(errors)))
}

/// Whether a field that was not requested comes along all the same: the other half of an id and name pair, or the
/// currency (Criteo docs, Campaign statistics page).
fn is_expected(endpoint: EndpointId, field: &str) -> bool {
    let report = Connector::get().endpoint(endpoint).report();
    let known = report.and_then(|facts| Catalog::get().field(facts.report, field));
    known.is_some() || field.eq_ignore_ascii_case("Currency")
}

/// Entries of an `errors` or `warnings` list, both of which have the same shape.
pub(super) fn notice_problem(entries: &[u8]) -> Problem {
    let body = [b"{\"errors\":".as_slice(), entries, b"}"].concat();
    Problem::parse(StatusCode::OK, &HeaderMap::new(), &body)
}
