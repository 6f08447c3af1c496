//! From settings to a client: credentials, token cache, the two rate limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::client::{ClientParts, CriteoClient};
use crate::auth::{
    ClientCredentials, MemoryRefreshTokenStore, RefreshTokenStore, TokenCache, TokenEndpoint, read_credentials_file,
};
use crate::catalog::{Connector, EndpointId};
use crate::clock::{Clock, Deadline};
use crate::error::{Error, ErrorKind};
use crate::http::{BearerSource, HttpClient, HttpOptions, Quota};
use crate::secret;
use crate::settings::{ClientSource, Settings};

/// Reporting endpoints (Criteo docs, Rate limits page).
const REPORT_CALLS_PER_MINUTE: u32 = 40;
/// Everything else (Criteo docs, Rate limits page).
const DEFAULT_CALLS_PER_MINUTE: u32 = 250;
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

/// Calls by quota class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Reporting endpoints.
    pub report: u64,
    /// Everything else.
    pub default: u64,
    /// Token endpoint.
    pub token: u64,
}

/// Effort beyond the calls themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Requests repeated.
    pub retries: u64,
    /// Time waited for quotas and between retries, added over concurrent requests.
    pub waited: Duration,
}

impl Connection {
    /// Reads the credentials and makes a client; nothing is called yet.
    pub fn open(settings: &Settings, clock: &Clock, deadline: Deadline) -> Result<Self, Error> {
        let connector = Connector::get();
        let base = settings.api_url.as_ref().map_or(connector.base_url.as_str(), |url| url.as_str());
        let base_url = Url::parse(base).map_err(Error::unexpected)?;
        let allow_plain_http = settings.api_url.as_ref().is_some_and(crate::settings::ApiUrl::is_loopback);
        let mut options = HttpOptions { allow_plain_http, ..HttpOptions::default() };
        if let Some(timeout) = settings.timeout {
            (options.connect_timeout, options.read_timeout) = (timeout / 2, timeout);
        }
        let http = HttpClient::new(options, clock.clone()).map_err(Error::unexpected)?;
        let report_quota = Quota::new("report", REPORT_CALLS_PER_MINUTE, clock.clone());
        let default_quota = Quota::new("default", DEFAULT_CALLS_PER_MINUTE, clock.clone());
        let token_quota = Quota::new("token", TOKEN_CALLS_PER_MINUTE, clock.clone());
        let token_url = format!("{}{}", base.trim_end_matches('/'), connector.token_path);
        let token_url = Url::parse(&token_url).map_err(Error::unexpected)?;
        let bearer = token_cache(settings, &http, token_url, &token_quota)?;
        let client = CriteoClient::new(ClientParts {
            http: http.clone(),
            connector,
            base_url,
            report_quota: Arc::clone(&report_quota),
            default_quota: Arc::clone(&default_quota),
            bearer,
            deadline,
            row_caps: row_caps(settings),
        });
        let api_version = connector.api_version.clone();
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

fn token_cache(
    settings: &Settings,
    http: &HttpClient,
    token_url: Url,
    quota: &Arc<Quota>,
) -> Result<Arc<dyn BearerSource>, Error> {
    let configuration = |error: &(dyn std::error::Error + 'static)| {
        Error::new(ErrorKind::Configuration, crate::error::error_chain(error))
    };
    let source = settings.credentials()?;
    let credentials = match source.client {
        ClientSource::Given { client_id, client_secret } => ClientCredentials { client_id, client_secret },
        ClientSource::SecretFile { client_id, path } => {
            let client_secret = secret::read_file(&path).map_err(|error| configuration(&error))?;
            ClientCredentials { client_id, client_secret }
        }
        ClientSource::CredentialsFile { path } => {
            read_credentials_file(&path).map_err(|error| configuration(&error))?
        }
    };
    let endpoint = TokenEndpoint::new(http.clone(), token_url, credentials, Arc::clone(quota));
    Ok(match source.refresh_token {
        None => TokenCache::client_credentials(endpoint),
        Some(token) => {
            let store: Arc<dyn RefreshTokenStore> = Arc::new(MemoryRefreshTokenStore::new(token));
            TokenCache::refresh_token(endpoint, store)
        }
    })
}
