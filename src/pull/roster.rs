//! Who may be requested: the advertisers that consented, without those that this run found refused or unavailable.
//!
//! What one table finds out holds for all that follow, so that an advertiser that always fails costs its attempts once. It
//! reports nothing; the [`super::journal`] does.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::portfolio::Portfolio;
use crate::catalog::EndpointId;

/// The advertisers of one run.
#[derive(Debug)]
pub(super) struct Roster {
    /// Advertisers that consented.
    pub portfolio: Portfolio,
    excluded: Mutex<Excluded>,
}

#[derive(Debug, Default)]
struct Excluded {
    everywhere: BTreeSet<String>,
    /// From one endpoint, which answers for others.
    by_endpoint: BTreeSet<(EndpointId, String)>,
    /// Not excluded, but a list of theirs has failed.
    suspects: BTreeSet<String>,
}

impl Roster {
    /// Nobody is excluded yet.
    pub(super) fn new(portfolio: Portfolio) -> Self {
        Self { portfolio, excluded: Mutex::default() }
    }

    fn excluded(&self) -> MutexGuard<'_, Excluded> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advertisers to request: those that consented, without the excluded ones.
    pub(super) fn advertisers(&self) -> Vec<String> {
        let excluded = self.excluded();
        self.portfolio.ids().filter(|id| !excluded.everywhere.contains(*id)).map(str::to_owned).collect()
    }

    /// Advertisers to request from one endpoint.
    pub(super) fn advertisers_of(&self, endpoint: EndpointId) -> Vec<String> {
        let excluded = self.excluded_from(endpoint);
        self.portfolio.ids().filter(|id| !excluded.contains(*id)).map(str::to_owned).collect()
    }

    /// Advertisers that are excluded everywhere or from this endpoint.
    pub(super) fn excluded_from(&self, endpoint: EndpointId) -> BTreeSet<String> {
        let excluded = self.excluded();
        let here = excluded.by_endpoint.iter().filter(|(of, _)| *of == endpoint).map(|(_, id)| id.clone());
        excluded.everywhere.iter().cloned().chain(here).collect()
    }

    /// Advertisers that are excluded from every request.
    pub(super) fn excluded_everywhere(&self) -> BTreeSet<String> {
        self.excluded().everywhere.clone()
    }

    /// A list of this advertiser failed: others of it are worth few attempts.
    pub(super) fn suspect(&self, advertiser: &str) {
        self.excluded().suspects.insert(advertiser.to_owned());
    }

    /// Whether a list of this advertiser has failed.
    pub(super) fn is_suspect(&self, advertiser: &str) -> bool {
        self.excluded().suspects.contains(advertiser)
    }

    /// Excludes an advertiser from every request; whether that is new.
    pub(super) fn exclude(&self, advertiser: &str) -> bool {
        self.excluded().everywhere.insert(advertiser.to_owned())
    }

    /// Excludes an advertiser from one endpoint; whether that is new.
    pub(super) fn exclude_from(&self, endpoint: EndpointId, advertiser: &str) -> bool {
        self.excluded().by_endpoint.insert((endpoint, advertiser.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(ids: &[&str]) -> Roster {
        Roster::new(Portfolio::of(ids))
    }

    #[test]
    fn an_advertiser_without_an_answer_from_one_endpoint_stays_in_the_others() {
        let roster = roster(&["1", "2"]);
        assert!(roster.exclude_from(EndpointId::PlacementsReport, "2"));
        assert!(!roster.exclude_from(EndpointId::PlacementsReport, "2"), "it is reported once");
        assert_eq!(roster.advertisers_of(EndpointId::PlacementsReport), ["1"]);
        assert_eq!(roster.advertisers_of(EndpointId::StatisticsReport), ["1", "2"]);
        assert_eq!(roster.advertisers(), ["1", "2"]);
    }

    #[test]
    fn a_refused_advertiser_is_excluded_everywhere() {
        let roster = roster(&["1", "2", "3"]);
        assert!(roster.exclude("2") && !roster.exclude("2"));
        roster.exclude_from(EndpointId::PlacementsReport, "3");
        assert_eq!(roster.advertisers(), ["1", "3"]);
        assert_eq!(roster.advertisers_of(EndpointId::PlacementsReport), ["1"]);
        assert_eq!(roster.excluded_from(EndpointId::PlacementsReport), ["2".to_owned(), "3".to_owned()].into());
        assert_eq!(roster.excluded_from(EndpointId::CampaignsSearch), ["2".to_owned()].into());
    }
}
