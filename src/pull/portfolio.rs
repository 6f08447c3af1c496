//! Which advertisers the app may read: `advertisers/me`, met with what is configured.

use crate::catalog::Connector;
use crate::criteo::{CriteoClient, FetchError, ListPage, ListRequest};
use crate::error::Error;
use crate::json::Json;
use crate::pull::summary::{Code, Notice};

/// Advertisers that consented and are wanted, and the response they came from.
#[derive(Debug)]
pub(crate) struct Portfolio {
    answer: ListPage,
    ids: Vec<String>,
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
        consented.retain(|id| configured.is_empty() || configured.contains(id));
        Ok(Self { answer, ids: consented, absent })
    }

    /// Advertisers without a response, for tests.
    #[cfg(test)]
    pub(crate) fn of(ids: &[&str]) -> Self {
        let ids = ids.iter().map(|&id| id.to_owned()).collect();
        Self { answer: ListPage::default(), ids, absent: Vec::new() }
    }

    /// Advertisers to ask for, sorted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// The response, whose resources are rows of the table `advertisers`.
    pub(crate) fn answer(&self) -> &ListPage {
        &self.answer
    }

    /// Nobody to ask for: how to get consent.
    pub(crate) fn require_someone(&self) -> Result<(), Error> {
        if !self.ids.is_empty() {
            return Ok(());
        }
        let message = if self.absent.is_empty() {
            "no advertiser has consented to this app yet: Criteo lists none".to_owned()
        } else {
            format!("none of the configured advertisers has consented to this app: {}", self.absent.join(", "))
        };
        Err(Error::new(Code::ConsentMissing, message))
    }

    /// One notice for each configured advertiser that Criteo does not list.
    pub(crate) fn absent(&self) -> impl Iterator<Item = Notice> {
        self.absent.iter().map(|id| {
            let message = format!(
                "advertiser {id} is configured, but Criteo does not list it for this app: a typing error, or its admin \
                 has not accepted the consent link"
            );
            Notice::new(Code::AdvertiserWithoutConsent, message).advertiser(id)
        })
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
