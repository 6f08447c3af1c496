//! From settings to a client: credentials, token cache, rate limits by the kind of application.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::client::{ClientParts, CriteoClient, Notices};
use super::key_pairs::{Keys, keys};
use crate::auth::token_cache;
use crate::catalog::{Connector, EndpointId};
use crate::clock::{Clock, Deadline};
use crate::document::Calls;
use crate::error::{Code, Error};
use crate::http::{HttpClient, HttpOptions, Quota};
use crate::progress;
use crate::settings::Settings;

/// Reporting endpoints (Criteo docs, Rate limits page).
const REPORT_CALLS_PER_MINUTE: u32 = 40;
/// Everything else (Criteo docs, Rate limits page).
const DEFAULT_CALLS_PER_MINUTE: u32 = 250;
/// All calls of an authorization-code app together, for each advertiser that consented (Criteo docs, Rate limits page).
const CALLS_PER_MINUTE_AND_CONSENT: u32 = 10;
/// The token endpoint has no documented limit; a run asks every 14 minutes.
const TOKEN_CALLS_PER_MINUTE: u32 = 30;

/// A client and what it has used so far.
pub struct Connection {
    /// The client.
    pub client: CriteoClient,
    /// Version in every path.
    pub api_version: String,
    http: HttpClient,
    report_quota: Arc<Quota>,
    default_quota: Arc<Quota>,
    token_quota: Arc<Quota>,
}

/// Effort beyond the calls themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Requests repeated.
    pub retries: u64,
    /// Time waited for quotas and between retries, added over concurrent requests.
    pub waited: Duration,
}

/// The limits that the calls of a run are under.
pub struct Limits {
    report: Arc<Quota>,
    default: Arc<Quota>,
}

impl Limits {
    /// The calls so far by limit, with those planned.
    pub fn calls(&self, planned: Calls) -> Vec<progress::Calls> {
        let of = |quota: &Quota, planned| progress::Calls { done: quota.calls(), planned, per_minute: quota.limit() };
        let (report, default) = (of(&self.report, planned.report), of(&self.default, planned.default));
        if !self.report.shares_limit_with(&self.default) {
            return vec![report, default];
        }
        vec![progress::Calls { done: report.done + default.done, planned: report.planned + default.planned, ..report }]
    }
}

/// How long a connection that cannot be made is tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A scheduled run: an outage of minutes is nothing.
    Scheduled,
    /// Somebody waits for the answer: seconds.
    Interactive,
}

impl Patience {
    fn apply(self, options: HttpOptions) -> HttpOptions {
        match self {
            Self::Scheduled => options,
            Self::Interactive => options.interactive(),
        }
    }
}

impl Connection {
    /// Reads the credentials and makes a client for a scheduled run; nothing is called yet.
    pub fn open(settings: &Settings, clock: &Clock, deadline: Deadline) -> Result<Self, Error> {
        Self::open_with(settings, clock, deadline, Patience::Scheduled)
    }

    /// The same, with this patience.
    pub fn open_with(
        settings: &Settings,
        clock: &Clock,
        deadline: Deadline,
        patience: Patience,
    ) -> Result<Self, Error> {
        let connector = Connector::get();
        let gate = TokenGate::open(settings, clock, patience)?;
        let base_url = Url::parse(&gate.base).map_err(Error::unexpected)?;
        let keys = keys(settings, &gate)?;
        let quotas = Quotas::new(&keys, clock);
        let notices = Notices::default();
        let bearer = token_cache(clock.clone(), keys.all, notices.teller());
        let TokenGate { http, quota: token_quota, .. } = gate;
        let client = CriteoClient::new(ClientParts {
            http: http.clone(),
            connector,
            base_url,
            report_quota: Arc::clone(&quotas.report),
            default_quota: Arc::clone(&quotas.default),
            calls_per_consent: quotas.calls_per_consent,
            bearer,
            deadline,
            row_caps: row_caps(settings),
            notices,
        });
        let api_version = connector.api_version.clone();
        let Quotas { report: report_quota, default: default_quota, .. } = quotas;
        Ok(Self { client, api_version, http, report_quota, default_quota, token_quota })
    }

    /// Calls so far, repeats included.
    pub fn calls(&self) -> Calls {
        Calls {
            report: self.report_quota.calls(),
            default: self.default_quota.calls(),
            token: self.token_quota.calls(),
        }
    }

    /// The limits that calls are under, for whoever shows how far a run is.
    pub fn limits(&self) -> Limits {
        Limits { report: Arc::clone(&self.report_quota), default: Arc::clone(&self.default_quota) }
    }

    /// Effort so far.
    pub fn usage(&self) -> Usage {
        let http = self.http.statistics();
        let waited = http.waited + self.report_quota.waited() + self.default_quota.waited();
        Usage { retries: http.retries, waited }
    }
}

/// Caps of a test's small world; Criteo's own are in the connector's declaration.
fn row_caps(settings: &Settings) -> BTreeMap<EndpointId, u64> {
    let endpoints = Connector::get().endpoints.iter();
    let reports = endpoints.filter_map(|endpoint| Some((endpoint.id, endpoint.report()?.report.name())));
    reports.filter_map(|(id, name)| Some((id, *settings.row_caps.get(name)?))).collect()
}

/// The token endpoint, and what it is called with besides a key pair.
pub(super) struct TokenGate {
    pub(super) http: HttpClient,
    /// Where everything is, without a slash at the end.
    pub(super) base: String,
    pub(super) url: Url,
    pub(super) quota: Arc<Quota>,
}

impl TokenGate {
    pub(super) fn open(settings: &Settings, clock: &Clock, patience: Patience) -> Result<Self, Error> {
        let connector = Connector::get();
        let base = settings.api_url.as_ref().map_or(connector.base_url.as_str(), |url| url.as_str());
        let base = base.trim_end_matches('/').to_owned();
        if !settings.api_url.as_ref().is_some_and(crate::settings::ApiUrl::is_loopback) {
            settings.check_proxy()?;
        }
        let allow_plain_http = settings.api_url.as_ref().is_some_and(crate::settings::ApiUrl::is_loopback);
        let mut options = HttpOptions { allow_plain_http, ..HttpOptions::default() };
        if let Some(timeout) = settings.timeout {
            (options.connect_timeout, options.read_timeout) = (timeout / 2, timeout);
        }
        let http = HttpClient::new(patience.apply(options), clock.clone())
            .map_err(|error| Error::new(Code::HttpsUnavailable, error.to_string()).with_source(error))?;
        let url = Url::parse(&format!("{base}{}", connector.token_path)).map_err(Error::unexpected)?;
        let quota = Quota::new("token", TOKEN_CALLS_PER_MINUTE, clock.clone());
        Ok(Self { http, base, url, quota })
    }
}

/// The rate limits of an application: two apart, or one for everything that grows with the consents.
struct Quotas {
    report: Arc<Quota>,
    default: Arc<Quota>,
    calls_per_consent: Option<u32>,
}

impl Quotas {
    fn new(keys: &Keys, clock: &Clock) -> Self {
        if keys.act_by_consent() {
            // There is at least one consent; how many there are, `advertisers/me` says.
            let report = Quota::new("report", CALLS_PER_MINUTE_AND_CONSENT, clock.clone());
            let default = report.beside("default");
            return Self { report, default, calls_per_consent: Some(CALLS_PER_MINUTE_AND_CONSENT) };
        }
        let report = Quota::new("report", REPORT_CALLS_PER_MINUTE, clock.clone());
        let default = Quota::new("default", DEFAULT_CALLS_PER_MINUTE, clock.clone());
        Self { report, default, calls_per_consent: None }
    }
}
