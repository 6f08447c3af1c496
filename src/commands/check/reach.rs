//! Whose reports are answered, and in which currency and time zone: by a minimal report of one day.
//!
//! One advertiser without consent makes Criteo refuse the whole request; halving finds out who, as a pull does.

use chrono_tz::Tz;

use super::probe::Probe;
use crate::catalog::{Catalog, CustomReport, Grain, Table};
use crate::criteo::{FetchError, FetchErrorKind};
use crate::settings::Settings;

/// A currency that Criteo is known to accept.
const KNOWN_CURRENCY: &str = "USD";

/// What all reports of a run have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// ISO 4217 code.
    pub currency: String,
    /// Report time zone.
    pub timezone: Tz,
}

impl Terms {
    /// As configured.
    pub(super) fn of(settings: &Settings) -> Self {
        Self { currency: settings.currency.clone(), timezone: settings.timezone }
    }

    /// What to try when these are refused, so that the answer tells which half it was.
    pub(super) fn alternatives(&self) -> Vec<Self> {
        let currency = Self { currency: KNOWN_CURRENCY.to_owned(), timezone: self.timezone };
        let timezone = Self { currency: self.currency.clone(), timezone: Tz::UTC };
        let both = Self { currency: KNOWN_CURRENCY.to_owned(), timezone: Tz::UTC };
        let mut terms: Vec<Self> = Vec::new();
        for other in [currency, timezone, both] {
            if other != *self && !terms.contains(&other) {
                terms.push(other);
            }
        }
        terms
    }

    /// What differs in terms that were accepted instead of these, and what to do about it.
    pub(super) fn differences(&self, accepted: &Self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.currency != accepted.currency {
            let remedy = "set `currency` (or `CRITEO_CURRENCY`) to a code that Criteo accepts, such as `USD` or `EUR`";
            found.push((format!("the currency `{}`", self.currency), remedy.to_owned()));
        }
        if self.timezone != accepted.timezone {
            let remedy = "set `timezone` (or `CRITEO_TIMEZONE`) to one that Criteo accepts, such as `UTC` or \
                          `Europe/Paris`";
            found.push((format!("the time zone `{}`", self.timezone), remedy.to_owned()));
        }
        found
    }
}

/// Whose reports are answered.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Answered.
    pub accepted: Vec<String>,
    /// Refused, each on its own.
    pub refused: Vec<(String, FetchError)>,
    /// What ended the search early: something that does not concern one advertiser.
    pub failed: Option<FetchError>,
}

impl Reach {
    /// The failure, if Criteo will not answer this request whoever it is for.
    pub(super) fn rejection(&self) -> Option<&FetchError> {
        self.failed.as_ref().filter(|error| error.kind() == FetchErrorKind::Rejected)
    }

    /// Advertisers to try other endpoints with: those that are known to answer, or else those not known to refuse, or
    /// else all.
    pub(super) fn likely(&self, advertisers: &[String]) -> Vec<String> {
        if !self.accepted.is_empty() {
            return self.accepted.clone();
        }
        let is_refused = |id: &String| self.refused.iter().any(|(refused, _)| refused == id);
        let others: Vec<String> = advertisers.iter().filter(|id| !is_refused(id)).cloned().collect();
        if others.is_empty() { advertisers.to_vec() } else { others }
    }
}

/// Asks for a minimal report of all advertisers, and on refusal for halves of them.
pub(super) async fn reach(probe: Probe<'_>, advertisers: &[String], terms: &Terms) -> Reach {
    let table = minimal_report();
    let mut found = Reach::default();
    let mut parts = vec![advertisers.to_vec()];
    while let Some(part) = parts.pop() {
        match probe.report(&table, part.clone(), terms).await {
            Ok(_) => found.accepted.extend(part),
            Err(error) if error.kind() == FetchErrorKind::AdvertiserRefused => match part.as_slice() {
                [advertiser] => found.refused.push((advertiser.clone(), error)),
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    parts.extend([second.to_vec(), first.to_vec()]);
                }
            },
            Err(error) => {
                found.failed = Some(error);
                break;
            }
        }
    }
    found
}

/// A report that no configuration can spoil: one row per advertiser.
fn minimal_report() -> Table {
    let report = CustomReport {
        name: "a_minimal_report".to_owned(),
        grain: Grain::Day,
        dimensions: vec!["AdvertiserId".to_owned()],
        metrics: vec!["Displays".to_owned()],
    };
    let (table, _) = Catalog::get().custom_report(&report).expect("a test resolves this very report");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(currency: &str, timezone: Tz) -> Terms {
        Terms { currency: currency.to_owned(), timezone }
    }

    #[test]
    fn the_minimal_report_is_one_the_catalogue_knows() {
        assert!(minimal_report().is_report());
    }

    #[test]
    fn alternatives_change_one_thing_at_a_time_and_never_repeat_what_was_refused() {
        let wanted = terms("XXX", Tz::Europe__Paris);
        let expected = [terms("USD", Tz::Europe__Paris), terms("XXX", Tz::UTC), terms("USD", Tz::UTC)];
        assert_eq!(wanted.alternatives(), expected);
        assert_eq!(terms("XXX", Tz::UTC).alternatives(), [terms("USD", Tz::UTC)]);
        assert_eq!(terms("USD", Tz::UTC).alternatives(), []);
        assert_eq!(wanted.differences(&terms("USD", Tz::UTC)).len(), 2);
    }
}
