//! The sandbox's answers, against the schemas of the operations it pretends to be.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use criteo_source::catalog::{Connector, Endpoint, EndpointId, Method, Pagination};
use criteo_source::clock::Clock;
use criteo_source::sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;

use super::specification;
use super::specification::Specification;

/// Quotas that no claim reaches.
const CALLS_PER_MINUTE: u32 = 1_000_000;

/// The simulated account: larger than the default one, so that pages and kinds of everything occur.
pub fn options() -> SandboxOptions {
    SandboxOptions {
        today: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
        campaigns_per_advertiser: 5,
        ad_sets_per_campaign: 4,
        page_limit: 2,
        report_calls_per_minute: CALLS_PER_MINUTE,
        default_calls_per_minute: CALLS_PER_MINUTE,
        ..SandboxOptions::default()
    }
}

pub fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:01Z".parse().expect("an instant")
}

/// A sandbox, and somebody with a token who asks it.
struct Visitor {
    sandbox: Sandbox,
    client: reqwest::Client,
    token: String,
}

impl Visitor {
    async fn new() -> Self {
        // A second installation is refused, which is fine: one is there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = options();
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", options.client_id.clone()),
            ("client_secret", options.client_secret.clone()),
        ];
        let sandbox = Sandbox::start(options, Clock::skipping(now())).await.expect("a port");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("{}{}", sandbox.url(), Connector::get().token_path);
        let body = answer(client.post(url).form(&form)).await;
        let token = body["access_token"].as_str().expect("a token").to_owned();
        Self { sandbox, client, token }
    }

    /// One call, `body` for searches.
    async fn ask(&self, endpoint: &Endpoint, parent: &str, query: &str) -> Value {
        let path = endpoint.path.replace("{advertiser-id}", parent).replace("{ad-set-id}", parent);
        let url = format!("{}/{}/{path}{query}", self.sandbox.url(), Connector::get().api_version);
        let request = match endpoint.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url).header("content-type", "application/json").body("{}"),
        };
        answer(request.bearer_auth(&self.token)).await
    }

    /// All pages of a list.
    async fn pages(&self, endpoint: &Endpoint, parent: &str) -> Vec<Value> {
        let Pagination::Offset { limit } = endpoint.pagination else {
            return vec![self.ask(endpoint, parent, "").await];
        };
        let (mut pages, mut offset) = (Vec::new(), 0);
        loop {
            let page = self.ask(endpoint, parent, &format!("?limit={limit}&offset={offset}")).await;
            let resources = resources(&page).len();
            offset += resources;
            pages.push(page);
            if resources == 0 {
                return pages;
            }
        }
    }

    /// The ids of everything that an endpoint without a parent lists.
    async fn ids(&self, id: EndpointId) -> Vec<String> {
        let body = self.ask(Connector::get().endpoint(id), "", "").await;
        resources(&body).iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.expect("a reply");
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().await.expect("a body");
    assert_eq!(status, 200, "{url}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn resources(body: &Value) -> &[Value] {
    match &body["data"] {
        Value::Array(resources) => resources,
        resource => std::slice::from_ref(resource),
    }
}

/// Everything that the entity endpoints answer, page by page.
async fn all_answers(visitor: &Visitor) -> BTreeMap<EndpointId, Vec<Value>> {
    let advertisers = visitor.ids(EndpointId::AdvertisersMe).await;
    let ad_sets = visitor.ids(EndpointId::AdSetsSearch).await;
    let mut answers: BTreeMap<EndpointId, Vec<Value>> = BTreeMap::new();
    for endpoint in Connector::get().endpoints.iter().filter(|endpoint| endpoint.report().is_none()) {
        let parents = match endpoint.id {
            EndpointId::Ads | EndpointId::Creatives | EndpointId::Coupons => &advertisers[..],
            EndpointId::AdSetCategoryBids | EndpointId::AdSetDisplayMultipliers => &ad_sets[..],
            _ => &[String::new()],
        };
        for parent in parents {
            let pages = visitor.pages(endpoint, parent).await;
            answers.entry(endpoint.id).or_default().extend(pages);
        }
    }
    answers
}

#[tokio::test]
async fn every_entity_that_the_sandbox_serves_is_valid_under_the_specification() {
    let Some(specification) = specification() else { return };
    let visitor = Visitor::new().await;
    let answers = all_answers(&visitor).await;
    assert_eq!(answers.len(), 9, "every endpoint but the reports");
    for (endpoint, bodies) in &answers {
        assert!(bodies.iter().any(|body| !resources(body).is_empty()), "{endpoint:?} is empty");
        for body in bodies {
            assert_eq!(specification.complaints_about_response(*endpoint, body), [""; 0], "{endpoint:?}");
        }
    }
    for paged in [EndpointId::Ads, EndpointId::Creatives, EndpointId::Coupons] {
        assert!(answers[&paged].len() > 2 * visitor.ids(EndpointId::AdvertisersMe).await.len(), "{paged:?} has pages");
    }
    would_notice(specification, &answers);
    visitor.sandbox.stop().await;
}

/// A member that Criteo does not list, and one of another type, are complained about, also inside the attributes.
fn would_notice(specification: &Specification, answers: &BTreeMap<EndpointId, Vec<Value>>) {
    for (endpoint, bodies) in answers {
        for (parent, key) in [("", "nonsense"), ("", "type"), ("", "attributes"), ("/attributes", "nonsense")] {
            let mut body = bodies[0].clone();
            let place = if body["data"].is_array() { format!("/data/0{parent}") } else { format!("/data{parent}") };
            body.pointer_mut(&place).expect("a resource")[key] = Value::from(1);
            assert_ne!(specification.complaints_about_response(*endpoint, &body), [""; 0], "{key} of {endpoint:?}");
        }
    }
}
