//! What the connector declares that it calls, against what Criteo offers: nothing unknown, nothing that writes, no scope
//! beyond the three that read.

use std::collections::BTreeSet;

use criteo_source::catalog::{Connector, Endpoint, EndpointId, Pagination};

use super::specification;

/// What the names of operations that only read begin with, in Criteo's specification.
const READING: [&str; 3] = ["Get", "List", "Search"];

/// The endpoint after this one. The match has no wildcard: a new endpoint does not compile until it has its place here.
fn successor(id: EndpointId) -> Option<EndpointId> {
    match id {
        EndpointId::StatisticsReport => Some(EndpointId::PlacementsReport),
        EndpointId::PlacementsReport => Some(EndpointId::TransactionsReport),
        EndpointId::TransactionsReport => Some(EndpointId::AdvertisersMe),
        EndpointId::AdvertisersMe => Some(EndpointId::ApplicationMe),
        EndpointId::ApplicationMe => Some(EndpointId::CampaignsSearch),
        EndpointId::CampaignsSearch => Some(EndpointId::AdSetsSearch),
        EndpointId::AdSetsSearch => Some(EndpointId::AdSetCategoryBids),
        EndpointId::AdSetCategoryBids => Some(EndpointId::AdSetDisplayMultipliers),
        EndpointId::AdSetDisplayMultipliers => Some(EndpointId::Ads),
        EndpointId::Ads => Some(EndpointId::Creatives),
        EndpointId::Creatives => Some(EndpointId::Coupons),
        EndpointId::Coupons => None,
    }
}

/// `{advertiser-id}` and the like, without braces.
fn placeholders(endpoint: &Endpoint) -> BTreeSet<&str> {
    endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

#[test]
fn the_endpoints_that_code_can_name_are_those_declared_each_once() {
    let mut named: Vec<_> = std::iter::successors(Some(EndpointId::StatisticsReport), |id| successor(*id)).collect();
    let mut declared: Vec<_> = Connector::get().endpoints.iter().map(|endpoint| endpoint.id).collect();
    named.sort_unstable();
    declared.sort_unstable();
    assert_eq!(named, declared);
}

#[test]
fn every_endpoint_exists_under_the_version_with_the_declared_method() {
    let Some(specification) = specification() else { return };
    assert_eq!(Connector::get().api_version, "2026-07");
    for endpoint in &Connector::get().endpoints {
        specification.operation(endpoint);
    }
}

#[test]
fn the_host_and_the_token_endpoint_are_those_of_the_specification() {
    let Some(specification) = specification() else { return };
    let connector = Connector::get();
    assert_eq!(specification.document["servers"], serde_json::json!([{"url": connector.base_url}]));
    let flows = specification.document["components"]["securitySchemes"]["oauth"]["flows"].as_object().expect("flows");
    for (flow, details) in flows {
        assert_eq!(details["tokenUrl"], format!("{}{}", connector.base_url, connector.token_path), "{flow}");
    }
}

#[test]
fn every_parameter_that_must_be_sent_is_in_the_path_and_every_one_in_the_path_is_known() {
    let Some(specification) = specification() else { return };
    for endpoint in &Connector::get().endpoints {
        let operation = specification.operation(endpoint);
        assert_eq!(operation.parameters("path"), placeholders(endpoint), "{}", endpoint.path);
        assert_eq!(operation.required_parameters(), placeholders(endpoint), "{}", endpoint.path);
    }
}

#[test]
fn an_endpoint_pages_exactly_if_criteo_offers_limit_and_offset() {
    let Some(specification) = specification() else { return };
    for endpoint in &Connector::get().endpoints {
        let sent: &[&str] = match endpoint.pagination {
            Pagination::Offset { .. } => &["limit", "offset"],
            Pagination::None => &[],
        };
        let offered = specification.operation(endpoint).parameters("query");
        assert_eq!(offered, sent.iter().copied().collect(), "{}", endpoint.path);
    }
}

#[test]
fn every_endpoint_needs_exactly_the_declared_scope_or_none() {
    let Some(specification) = specification() else { return };
    for endpoint in &Connector::get().endpoints {
        let declared: Vec<&str> = endpoint.scope.as_deref().into_iter().collect();
        assert_eq!(specification.operation(endpoint).scopes(), declared, "{}", endpoint.path);
    }
}

#[test]
fn all_endpoints_together_need_the_three_read_scopes_and_nothing_else() {
    let Some(specification) = specification() else { return };
    let endpoints = &Connector::get().endpoints;
    let needed: BTreeSet<&str> =
        endpoints.iter().flat_map(|endpoint| specification.operation(endpoint).scopes()).collect();
    let expected =
        ["MarketingSolutions_Analytics_Read", "MarketingSolutions_Campaign_Read", "MarketingSolutions_Creative_Read"];
    assert_eq!(needed.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn no_endpoint_is_a_write_operation() {
    let Some(specification) = specification() else { return };
    for endpoint in &Connector::get().endpoints {
        let operation = specification.operation(endpoint);
        let id = operation.id();
        assert!(READING.iter().any(|verb| id.starts_with(verb)), "{id} at {}", endpoint.path);
        assert!(operation.scopes().iter().all(|scope| scope.ends_with("_Read")), "{id} at {}", endpoint.path);
    }
}
