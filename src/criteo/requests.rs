//! Request bodies, exactly as Criteo's specification names their properties.
//!
//! The three reports agree on little: statistics is a flat object with `adSetIds` as a list; placements and
//! transactions are wrapped in `data[0].attributes`, and placements spells `adsetIds` and wants a comma-separated
//! string (Criteo OpenAPI 2026-07). Dates are sent as plain `YYYY-MM-DD`; both ends are included.

use chrono_tz::Tz;
use serde::Serialize;

use crate::catalog::{Connector, EndpointId, Extract, Report, Table};
use crate::dates::DateRange;

/// Which rows of a report are requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFilter {
    /// Days in the request's time zone, both ends included.
    pub days: DateRange,
    /// Advertisers; never empty, since Criteo refuses a report without (live answer of June 2026).
    pub advertisers: Vec<String>,
    /// Only these ad sets, where given.
    pub ad_sets: Option<Vec<String>>,
    /// Placements: only this environment (`Web`, `Android`, `Ios`).
    pub environment: Option<String>,
    /// Placements: disclosed (named) or undisclosed ones.
    pub disclosed: Option<bool>,
    /// Transactions: only this kind of event (`Click`, `Display`).
    pub event_type: Option<String>,
}

impl ReportFilter {
    /// All rows of these days and advertisers.
    pub fn new(days: DateRange, advertisers: Vec<String>, disclosed: Option<bool>) -> Self {
        Self { days, advertisers, ad_sets: None, environment: None, disclosed, event_type: None }
    }
}

/// One report request, before it is spelled for its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// Which report.
    pub endpoint: EndpointId,
    /// Which of its rows.
    pub filter: ReportFilter,
    /// Dimensions in Criteo's spelling.
    pub dimensions: Vec<String>,
    /// Metrics in Criteo's spelling.
    pub metrics: Vec<String>,
    /// ISO 4217 code.
    pub currency: String,
    /// Name in the tz database.
    pub timezone: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatisticsQuery<'r> {
    advertiser_ids: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ad_set_ids: Option<&'r [String]>,
    start_date: String,
    end_date: String,
    format: &'static str,
    currency: &'r str,
    timezone: &'r str,
    dimensions: &'r [String],
    metrics: &'r [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacementsQuery<'r> {
    advertiser_ids: String,
    #[serde(rename = "adsetIds", skip_serializing_if = "Option::is_none")]
    ad_set_ids: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'r str>,
    dimensions: &'r [String],
    metrics: &'r [String],
    currency: &'r str,
    disclosed: bool,
    format: &'static str,
    timezone: &'r str,
    start_date: String,
    end_date: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionsQuery<'r> {
    advertiser_ids: String,
    start_date: String,
    end_date: String,
    format: &'static str,
    timezone: &'r str,
    currency: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'r str>,
}

#[derive(Serialize)]
struct Wrapped<T> {
    data: [WrappedResource<T>; 1],
}

#[derive(Serialize)]
struct WrappedResource<T> {
    r#type: &'static str,
    attributes: T,
}

impl ReportRequest {
    /// The request for rows of a report table.
    pub fn new(table: &Table, filter: ReportFilter, currency: &str, timezone: Tz) -> Self {
        let (dimensions, metrics) = match &table.extract {
            Extract::Report { dimensions, metrics, .. } => (dimensions.clone(), metrics.clone()),
            Extract::Entity { .. } => (Vec::new(), Vec::new()),
        };
        let (endpoint, timezone) = (table.endpoint, timezone.name().to_owned());
        Self { endpoint, filter, dimensions, metrics, currency: currency.to_owned(), timezone }
    }

    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        let report = Connector::get().endpoint(self.endpoint).report().expect("a report request is of a report");
        let body = match report.report {
            Report::Statistics => serde_json::to_vec(&self.statistics()),
            Report::Placements => serde_json::to_vec(&wrapped(self.placements())),
            Report::Transactions => serde_json::to_vec(&wrapped(self.transactions())),
        };
        body.expect("strings and booleans serialize")
    }

    fn statistics(&self) -> StatisticsQuery<'_> {
        StatisticsQuery {
            advertiser_ids: self.filter.advertisers.join(","),
            ad_set_ids: self.filter.ad_sets.as_deref(),
            start_date: self.filter.days.from().to_string(),
            end_date: self.filter.days.to().to_string(),
            format: "json",
            currency: &self.currency,
            timezone: &self.timezone,
            dimensions: &self.dimensions,
            metrics: &self.metrics,
        }
    }

    fn placements(&self) -> PlacementsQuery<'_> {
        PlacementsQuery {
            advertiser_ids: self.filter.advertisers.join(","),
            ad_set_ids: self.filter.ad_sets.as_ref().map(|ids| ids.join(",")),
            environment: self.filter.environment.as_deref(),
            dimensions: &self.dimensions,
            metrics: &self.metrics,
            currency: &self.currency,
            disclosed: self.filter.disclosed.unwrap_or(true),
            format: "json",
            timezone: &self.timezone,
            start_date: self.filter.days.from().to_string(),
            end_date: self.filter.days.to().to_string(),
        }
    }

    fn transactions(&self) -> TransactionsQuery<'_> {
        TransactionsQuery {
            advertiser_ids: self.filter.advertisers.join(","),
            start_date: self.filter.days.from().to_string(),
            end_date: self.filter.days.to().to_string(),
            format: "json",
            timezone: &self.timezone,
            currency: &self.currency,
            event_type: self.filter.event_type.as_deref(),
        }
    }
}

fn wrapped<T>(attributes: T) -> Wrapped<T> {
    Wrapped { data: [WrappedResource { r#type: "report", attributes }] }
}

/// The body of a campaign or ad-set search for these advertisers; the ids are always sent, as every known client does.
pub fn search_body(advertisers: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Filters<'r> {
        advertiser_ids: &'r [String],
    }
    #[derive(Serialize)]
    struct Search<'r> {
        filters: Filters<'r>,
    }
    serde_json::to_vec(&Search { filters: Filters { advertiser_ids: advertisers } }).expect("strings serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(endpoint: EndpointId) -> ReportRequest {
        let day = |text: &str| text.parse().expect("a date");
        let days = DateRange::new(day("2026-11-01"), day("2026-11-07")).expect("a range");
        ReportRequest {
            endpoint,
            filter: ReportFilter {
                ad_sets: Some(vec!["7".to_owned(), "8".to_owned()]),
                ..ReportFilter::new(days, vec!["1".to_owned(), "2".to_owned()], Some(false))
            },
            dimensions: vec!["AdsetId".to_owned()],
            metrics: vec!["Clicks".to_owned()],
            currency: "EUR".to_owned(),
            timezone: "Europe/Paris".to_owned(),
        }
    }

    fn body(endpoint: EndpointId) -> serde_json::Value {
        serde_json::from_slice(&request(endpoint).body()).expect("JSON")
    }

    #[test]
    fn statistics_is_flat_with_ad_sets_as_a_list() {
        let expected = serde_json::json!({
            "advertiserIds": "1,2", "adSetIds": ["7", "8"], "startDate": "2026-11-01", "endDate": "2026-11-07",
            "format": "json", "currency": "EUR", "timezone": "Europe/Paris", "dimensions": ["AdsetId"], "metrics": ["Clicks"]
        });
        assert_eq!(body(EndpointId::StatisticsReport), expected);
    }

    #[test]
    fn placements_is_wrapped_with_ad_sets_as_comma_separated_text() {
        let expected = serde_json::json!({"data": [{"type": "report", "attributes": {
            "advertiserIds": "1,2", "adsetIds": "7,8", "startDate": "2026-11-01", "endDate": "2026-11-07", "disclosed": false,
            "format": "json", "currency": "EUR", "timezone": "Europe/Paris", "dimensions": ["AdsetId"], "metrics": ["Clicks"]
        }}]});
        assert_eq!(body(EndpointId::PlacementsReport), expected);
    }

    #[test]
    fn transactions_is_wrapped_and_has_neither_dimensions_nor_metrics() {
        let expected = serde_json::json!({"data": [{"type": "report", "attributes": {
            "advertiserIds": "1,2", "startDate": "2026-11-01", "endDate": "2026-11-07",
            "format": "json", "currency": "EUR", "timezone": "Europe/Paris"
        }}]});
        assert_eq!(body(EndpointId::TransactionsReport), expected);
    }
}
