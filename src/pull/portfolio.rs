//! Which advertisers the app may read: `advertisers/me`, met with what is configured.

use crate::catalog::Connector;
use crate::criteo::{Application, CriteoClient, FetchError, FetchErrorKind, ListPage, ListRequest};
use crate::error::{Error, ErrorKind, ExitCodes};
use crate::json::Json;
use crate::pull::summary::{Code, Notice};
use crate::settings::nearest;

/// Identifiers that a message lists at most.
const MAX_LISTED: usize = 20;

/// Advertisers that consented and are wanted, and the response they came from.
#[derive(Debug)]
pub(crate) struct Portfolio {
    answer: ListPage,
    ids: Vec<String>,
    /// Advertisers that consented, wanted or not.
    listed: Vec<String>,
    /// Configured advertisers that did not consent.
    absent: Vec<String>,
}

impl Portfolio {
    /// Asks Criteo. `configured` empty means every advertiser that consented.
    pub(crate) async fn fetch(client: &CriteoClient, configured: &[String]) -> Result<Self, FetchError> {
        let request = ListRequest {
            endpoint: Connector::PORTFOLIO,
            parent_id: None,
            body: None,
            what: "the list of advertisers".to_owned(),
            attempts: None,
        };
        let answer = client.page(&request).await?;
        let mut consented: Vec<String> = answer.resources().iter().filter_map(id_of).collect();
        consented.sort();
        consented.dedup();
        let absent = configured.iter().filter(|id| !consented.contains(id)).cloned().collect();
        let ids = consented.iter().filter(|id| configured.is_empty() || configured.contains(id)).cloned().collect();
        Ok(Self { answer, ids, listed: consented, absent })
    }

    /// The same for a run, which needs at least one advertiser. Where there is none, one more call tells whether the app can see
    /// any at all.
    pub(crate) async fn fetch_someone(client: &CriteoClient, configured: &[String]) -> Result<Self, Error> {
        let fetched = Self::fetch(client, configured).await.map_err(|error| portfolio_error(&error));
        let error = match fetched.and_then(|portfolio| portfolio.require_someone().map(|()| portfolio)) {
            Ok(portfolio) => return Ok(portfolio),
            Err(error) => error,
        };
        if !matches!(error.kind(), ErrorKind::Consent | ErrorKind::Scope) {
            return Err(error);
        }
        match Application::fetch(client).await.map(|application| application.wrong_service()) {
            Ok(Some(notice)) => Err(Error::from(notice)),
            // The first error is the one to report.
            Ok(None) | Err(_) => Err(error),
        }
    }

    /// Advertisers without a response, for tests.
    #[cfg(test)]
    pub(crate) fn of(ids: &[&str]) -> Self {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        Self { answer: ListPage::default(), listed: ids.clone(), ids, absent: Vec::new() }
    }

    /// Advertisers to request, sorted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// The response, whose resources are rows of the table `advertisers`.
    pub(crate) fn answer(&self) -> &ListPage {
        &self.answer
    }

    /// Nobody to request: how to get consent.
    pub(crate) fn require_someone(&self) -> Result<(), Error> {
        if !self.ids.is_empty() {
            return Ok(());
        }
        if self.listed.is_empty() {
            let message = "no advertiser has consented to this app yet: Criteo lists none";
            return Err(Error::new(Code::ConsentMissing, message));
        }
        let message = format!(
            "none of the configured advertisers has consented to this app: {}; Criteo lists {}",
            self.absent.join(", "),
            first_of(&self.listed)
        );
        let remedy =
            format!("correct `advertisers` (or `CRITEO_ADVERTISER_IDS`); or {}", Code::ConsentMissing.remedy());
        Err(Error::new(Code::ConsentMissing, message).with_remedy(remedy))
    }

    /// One notice for each configured advertiser that Criteo does not list.
    pub(crate) fn absent(&self) -> impl Iterator<Item = Notice> {
        self.absent.iter().map(|id| {
            let meant = nearest(id, self.listed.iter().map(String::as_str));
            let meant = meant.map(|meant| format!(" (it lists {meant})")).unwrap_or_default();
            let message = format!(
                "advertiser {id} is configured, but Criteo does not list it for this app: a typing error{meant}, or its admin \
                 has not accepted the consent link"
            );
            Notice::new(Code::AdvertiserWithoutConsent, message).advertiser(id)
        })
    }
}

/// Without the list of advertisers nothing can be fetched.
pub fn portfolio_error(error: &FetchError) -> Error {
    let mut notice = error.notice();
    match error.kind() {
        FetchErrorKind::AdvertiserRefused => notice.code = Code::ScopeMissing,
        // A page of a gateway or half a list, every time: no shape that this program does not know.
        FetchErrorKind::Unreadable if error.is_exhausted() => notice.code = Code::ApiUnavailable,
        _ => {}
    }
    let is_partial = notice.code.kind() == ErrorKind::Partial;
    let error = Error::from(notice);
    // "Partial" would say that the rest is published, and there is none.
    if is_partial { error.with_exit_code(ExitCodes::UNEXPECTED) } else { error }
}

/// Identifiers for a message.
fn first_of(ids: &[String]) -> String {
    let shown = ids.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A resource's identifier; one client met numbers here, so both are accepted.
pub(crate) fn id_of(resource: &Json<'_>) -> Option<String> {
    match resource.get("id")? {
        Json::Text(id) => Some(id.to_string()),
        Json::Number(digits) => Some((*digits).to_owned()),
        _ => None,
    }
}
