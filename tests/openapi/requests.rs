//! Every body that the client can build, against the schema of the operation it is sent to.

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use criteo_source::catalog::{Catalog, CustomReport, EndpointId, FieldKind, Grain, Report, Table, TableOverrides};
use criteo_source::criteo::{ReportFilter, ReportRequest, search_body};
use criteo_source::dates::DateRange;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::specification;

/// What the placements report is filtered by when a day is over the cap.
const ENVIRONMENTS: [&str; 3] = ["Web", "Android", "Ios"];
/// What the transactions report is filtered by when a day looks cut.
const EVENT_TYPES: [&str; 2] = ["Click", "Display"];

/// The part of a request that does not come from its table.
#[derive(Clone, Debug)]
struct Part {
    filter: ReportFilter,
    currency: String,
    timezone: Tz,
}

impl Part {
    fn plain() -> Self {
        let day = DateRange::single("2026-11-01".parse().expect("a date"));
        let filter = ReportFilter::new(day, vec!["1".to_owned(), "2".to_owned()], None);
        Self { filter, currency: "EUR".to_owned(), timezone: Tz::Europe__Paris }
    }

    fn of(self, table: &Table) -> ReportRequest {
        ReportRequest::new(table, self.filter, &self.currency, self.timezone)
    }
}

/// A plain part, and one for every combination of filters.
fn parts() -> Vec<Part> {
    let or_none = |values: &[&str]| -> Vec<Option<String>> {
        std::iter::once(None).chain(values.iter().map(|value| Some((*value).to_owned()))).collect()
    };
    let mut parts = vec![Part::plain()];
    parts = with(&parts, &[None, Some(vec!["7".to_owned(), "8".to_owned()])], |part, ids| part.filter.ad_sets = ids);
    parts = with(&parts, &or_none(&ENVIRONMENTS), |part, name| part.filter.environment = name);
    parts = with(&parts, &[None, Some(true), Some(false)], |part, disclosed| part.filter.disclosed = disclosed);
    with(&parts, &or_none(&EVENT_TYPES), |part, kind| part.filter.event_type = kind)
}

fn with<T: Clone>(parts: &[Part], values: &[T], set: impl Fn(&mut Part, T)) -> Vec<Part> {
    let each = |part: &Part, value: &T| {
        let mut part = part.clone();
        set(&mut part, value.clone());
        part
    };
    parts.iter().flat_map(|part| values.iter().map(move |value| each(part, value))).collect()
}

fn report_tables() -> Vec<Table> {
    let resolve = |name| Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table").0;
    Catalog::get().tables().map(resolve).filter(Table::is_report).collect()
}

fn complaints(request: &ReportRequest) -> Vec<String> {
    let specification = specification().expect("the caller looked");
    specification.complaints_about_request(request.endpoint, &request.body())
}

#[test]
fn every_built_in_report_table_asks_what_the_specification_allows_with_every_filter() {
    if specification().is_none() {
        return;
    }
    let tables = report_tables();
    assert_eq!(tables.len(), 6);
    for table in &tables {
        for part in parts() {
            let request = part.of(table);
            assert_eq!(complaints(&request), [""; 0], "{request:?}");
        }
    }
}

#[test]
fn the_environments_and_kinds_of_event_that_requests_are_split_by_are_all_there_are() {
    let Some(specification) = specification() else { return };
    let values = |schema: &str, key: &str| specification.schema(schema)["properties"][key]["enum"].clone();
    assert_eq!(values("PlacementsReportQueryMessage", "environment"), json!(ENVIRONMENTS));
    assert_eq!(values("TransactionsReportQueryMessage", "eventType"), json!(EVENT_TYPES));
}

/// Where a member can be added to the query of a request.
fn query(endpoint: EndpointId, body: &mut Value) -> &mut Value {
    match endpoint {
        EndpointId::StatisticsReport => body,
        _ => &mut body["data"][0]["attributes"],
    }
}

#[test]
fn a_request_with_an_unknown_missing_or_wrong_property_would_be_noticed() {
    let Some(specification) = specification() else { return };
    for table in report_tables() {
        let good: Value = serde_json::from_slice(&Part::plain().of(&table).body()).expect("JSON");
        for (key, value) in [("nonsense", json!(1)), ("advertiserIds", json!(["1"])), ("format", json!("parquet"))] {
            let mut bad = good.clone();
            query(table.endpoint, &mut bad)[key] = value;
            let complaints = specification.complaints_about_request(table.endpoint, bad.to_string().as_bytes());
            assert_eq!(complaints.len(), 1, "{key} of {}: {complaints:?}", table.name);
        }
        let mut bad = good;
        query(table.endpoint, &mut bad).as_object_mut().expect("an object").remove("currency");
        assert_ne!(specification.complaints_about_request(table.endpoint, bad.to_string().as_bytes()), [""; 0]);
    }
    for endpoint in [EndpointId::CampaignsSearch, EndpointId::AdSetsSearch] {
        for bad in [r#"{"filters": {"advertisers": ["1"]}}"#, r#"{"filters": {"advertiserIds": [1]}}"#, r#"{"f": 1}"#] {
            assert_eq!(specification.complaints_about_request(endpoint, bad.as_bytes()).len(), 1, "{bad}");
        }
    }
}

/// Some names of one kind, in any order, as Criteo spells them or all in small letters.
fn names(report: Report, kind: FieldKind, least: usize) -> impl Strategy<Value = Vec<String>> {
    let fields = Catalog::get().fields(report).iter().filter(|field| field.kind == kind);
    let names: Vec<String> = fields.map(|field| field.name.clone()).collect();
    let most = names.len();
    (subsequence(names, least..=most).prop_shuffle(), any::<bool>()).prop_map(|(names, is_small)| {
        if is_small { names.iter().map(|name| name.to_lowercase()).collect() } else { names }
    })
}

fn ids() -> impl Strategy<Value = Vec<String>> {
    vec((1..=u64::MAX).prop_map(|id| id.to_string()), 1..60)
}

fn days() -> impl Strategy<Value = DateRange> {
    (0..40_000_u64, 0..800_u64).prop_map(|(from, more)| {
        let from = NaiveDate::default() + Days::new(from);
        DateRange::new(from, from + Days::new(more)).expect("the end is not before the start")
    })
}

fn any_part() -> impl Strategy<Value = Part> {
    let name = |names: &'static [&'static str]| option::of(select(names).prop_map(str::to_owned));
    let zones = select(chrono_tz::TZ_VARIANTS.as_slice());
    let filters = (option::of(ids()), name(&ENVIRONMENTS), option::of(any::<bool>()), name(&EVENT_TYPES));
    (days(), ids(), filters, "[A-Z]{3}", zones).prop_map(|(days, advertisers, filters, currency, timezone)| {
        let (ad_sets, environment, disclosed, event_type) = filters;
        let filter = ReportFilter { days, advertisers, ad_sets, environment, disclosed, event_type };
        Part { filter, currency, timezone }
    })
}

fn custom_report(grain: Grain, mut dimensions: Vec<String>, metrics: Vec<String>) -> Table {
    // A daily report with hours is refused before anything is asked.
    dimensions.retain(|name| grain == Grain::Hour || !name.eq_ignore_ascii_case("hour"));
    let report = CustomReport { name: "mine".to_owned(), grain, dimensions, metrics };
    Catalog::get().custom_report(&report).expect("known fields make a report").0
}

proptest! {
    #[test]
    fn every_custom_report_asks_what_the_specification_allows(
        grain in select(&[Grain::Day, Grain::Hour][..]),
        dimensions in names(Report::Statistics, FieldKind::Dimension, 0),
        metrics in names(Report::Statistics, FieldKind::Metric, 1),
        part in any_part(),
    ) {
        if specification().is_some() {
            let request = part.of(&custom_report(grain, dimensions, metrics));
            prop_assert_eq!(complaints(&request), [""; 0]);
        }
    }

    #[test]
    fn every_choice_of_fields_for_placements_asks_what_the_specification_allows(
        dimensions in names(Report::Placements, FieldKind::Dimension, 0),
        metrics in names(Report::Placements, FieldKind::Metric, 1),
        part in any_part(),
    ) {
        if specification().is_some() {
            let (metrics, dimensions) = (Some(metrics), Some(dimensions));
            let overrides = TableOverrides { metrics, dimensions, ..TableOverrides::default() };
            let (table, _) = Catalog::get().resolve("placements_daily", &overrides).expect("known fields make a report");
            prop_assert_eq!(complaints(&part.of(&table)), [""; 0]);
        }
    }

    #[test]
    fn every_search_asks_what_the_specification_allows(advertisers in ids()) {
        if let Some(specification) = specification() {
            for endpoint in [EndpointId::CampaignsSearch, EndpointId::AdSetsSearch] {
                let body = search_body(&advertisers);
                prop_assert_eq!(specification.complaints_about_request(endpoint, &body), [""; 0]);
            }
        }
    }
}
