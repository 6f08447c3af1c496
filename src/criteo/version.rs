//! How old the API version is that this program speaks, so that nobody learns of its end from a failed run.
//!
//! Criteo supports a version for twelve months and calls the last three of them deprecation (Criteo docs, Versioning
//! policy). The two dates are data in the connector's declaration; here is only what follows from them on a given day.
//! Nothing is asked of Criteo.

use chrono::NaiveDate;

use crate::catalog::Connector;

/// Where an API version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionAge {
    /// Nothing to do.
    Supported,
    /// In its last three months.
    Deprecated {
        /// Days until the first one on which it may be gone; at least one.
        days_left: i64,
    },
    /// Criteo may have removed it.
    Removed,
}

impl VersionAge {
    /// The age on `today` of a version that is deprecated from `deprecated` on and may be gone from `sunset` on.
    pub fn on(today: NaiveDate, deprecated: NaiveDate, sunset: NaiveDate) -> Self {
        if today >= sunset {
            Self::Removed
        } else if today >= deprecated {
            Self::Deprecated { days_left: (sunset - today).num_days() }
        } else {
            Self::Supported
        }
    }

    /// The age on `today` of the version in `connector`.
    pub fn of(connector: &Connector, today: NaiveDate) -> Self {
        Self::on(today, connector.api_version_deprecated, connector.api_version_sunset)
    }

    /// What a person should know of it; `None` while there is nothing to do.
    pub fn warning(self, connector: &Connector) -> Option<String> {
        let (version, sunset) = (&connector.api_version, connector.api_version_sunset);
        match self {
            Self::Supported => None,
            Self::Deprecated { days_left } => Some(format!(
                "this program speaks version {version} of Criteo's API, which Criteo removes on {sunset}, in \
                 {days_left} {}",
                if days_left == 1 { "day" } else { "days" }
            )),
            Self::Removed => Some(format!(
                "this program speaks version {version} of Criteo's API, which Criteo removed on {sunset}: requests may \
                 be refused, or answered by a later version with other meanings"
            )),
        }
    }
}

/// The version that this program uses, and how long Criteo keeps it, for messages.
pub(super) fn lifetime(connector: &Connector) -> String {
    let (version, sunset) = (&connector.api_version, connector.api_version_sunset);
    let deprecated = connector.api_version_deprecated;
    format!(
        "this program uses version {version} of Criteo's API, which is deprecated from {deprecated} on and removed on {sunset}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn the_last_three_months_are_deprecation_and_the_day_of_the_sunset_is_removal() {
        let age = |today| VersionAge::on(day(today), day("2027-04-01"), day("2027-07-01"));
        assert_eq!(age("2026-11-22"), VersionAge::Supported);
        assert_eq!(age("2027-03-31"), VersionAge::Supported);
        assert_eq!(age("2027-04-01"), VersionAge::Deprecated { days_left: 91 });
        assert_eq!(age("2027-06-30"), VersionAge::Deprecated { days_left: 1 });
        assert_eq!(age("2027-07-01"), VersionAge::Removed);
        assert_eq!(age("2030-01-01"), VersionAge::Removed);
    }

    #[test]
    fn the_declared_deprecation_is_three_months_before_the_sunset() {
        let connector = Connector::get();
        let deprecated = crate::dates::months_before(connector.api_version_sunset, 3);
        assert_eq!(connector.api_version_deprecated, deprecated);
    }

    #[test]
    fn a_warning_names_version_date_and_days() {
        let connector = Connector::get();
        let warning = |today| VersionAge::of(connector, day(today)).warning(connector);
        assert_eq!(warning("2026-11-22"), None);
        let text = warning("2027-06-30").expect("a warning");
        assert!(text.contains("2026-07") && text.contains("2027-07-01, in 1 day"), "{text}");
        assert!(warning("2027-07-01").expect("a warning").contains("removed on 2027-07-01"));
    }
}
