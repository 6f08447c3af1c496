//! Whole runs against the sandbox: what really leaves the program is declared, known to Criteo, and valid.
//!
//! The claims about requests cover what can be built; this one covers what builds them, down to the queries that only
//! happen when a day is over the cap.

use std::collections::BTreeSet;
use std::path::Path;

use criteo_source::catalog::{Catalog, Connector, Endpoint, EndpointId, Method, Pagination, Table, TableOverrides};
use criteo_source::clock::Clock;
use criteo_source::dates::DateRange;
use criteo_source::progress::Progress;
use criteo_source::pull::{Launch, Scope};
use criteo_source::sandbox::{Call, Sandbox, SandboxOptions};
use criteo_source::settings::{Environment, Overrides, Settings, environment};
use serde_json::Value;

use super::sandbox::{now, options};
use super::specification;

/// Rows at which reports are cut: more than an advertiser of the small world has ad sets, fewer than it has ads.
const CAP: usize = 20;

/// Rows at which transactions are cut: the least that is suspected, since Criteo documents no cap for them.
const ROUND_CAP: usize = 50;

/// A world small enough to be pulled whole in parts.
fn small_world() -> SandboxOptions {
    SandboxOptions {
        campaigns_per_advertiser: 2,
        ad_sets_per_campaign: 2,
        ads_per_ad_set: 18,
        statistics_cap: CAP,
        placements_cap: CAP,
        transactions_cap: ROUND_CAP,
        ..options()
    }
}

fn settings(sandbox: &Sandbox, options: &SandboxOptions, output: &Path) -> Settings {
    let environment = Environment::from_pairs([
        (environment::API_URL, sandbox.url()),
        (environment::CLIENT_ID, options.client_id.clone()),
        (environment::CLIENT_SECRET, options.client_secret.clone()),
        (environment::TEST_ROW_CAPS, format!("statistics={CAP},placements={CAP}")),
    ]);
    let output = output.to_str().expect("a path in UTF-8").to_owned();
    let flags = Overrides { output: Some(output), as_of: Some(options.today), ..Overrides::default() };
    let known: Vec<&str> = Catalog::get().tables().collect();
    Settings::resolve(&flags, &environment, None, &known, now()).expect("settings").0
}

/// Pulls one day of every report table and a snapshot of every entity table, and returns all calls but those for tokens.
async fn calls_of_a_run(output: &Path) -> Vec<Call> {
    let options = small_world();
    let sandbox = Sandbox::start(options.clone(), Clock::skipping(now())).await.expect("a port");
    let resolve = |name| Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table").0;
    let (reports, entities): (Vec<Table>, _) = Catalog::get().tables().map(resolve).partition(Table::is_report);
    let days = DateRange::single("2026-11-10".parse().expect("a date"));
    for (tables, scope) in [(reports, Scope::Backfill { days, force: false }), (entities, Scope::Pull)] {
        let settings = settings(&sandbox, &options, output);
        let clock = Clock::skipping(now());
        let launch = Launch {
            command: "test",
            settings,
            tables,
            scope,
            strict: false,
            drop_others: false,
            prune: false,
            progress: Progress::new(false),
            clock,
            warnings: Vec::new(),
        };
        // Some days cannot be cut small enough, which is not what this is about.
        launch.run("run", std::future::pending()).await.expect("a run");
    }
    let is_token = |call: &Call| call.method == "POST" && call.path == Connector::get().token_path;
    let calls = sandbox.calls().into_iter().filter(|call| !is_token(call)).collect();
    sandbox.stop().await;
    calls
}

/// The endpoint that a path without version and query belongs to.
fn endpoint_at(method: &str, path: &str) -> Option<&'static Endpoint> {
    Connector::get().endpoints.iter().find(|endpoint| {
        let declared = match endpoint.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let is_id = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (theirs, ours): (Vec<_>, Vec<_>) = (path.split('/').collect(), endpoint.path.split('/').collect());
        let matches = |(their, our): (&&str, &&str)| if our.starts_with('{') { is_id(their) } else { their == our };
        declared == method && theirs.len() == ours.len() && theirs.iter().zip(&ours).all(matches)
    })
}

/// The declared endpoint of a call, and its query parameters.
fn placed(call: &Call) -> (&'static Endpoint, Vec<&str>) {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let below = path.strip_prefix("/2026-07/").unwrap_or_else(|| panic!("{path} is not under the version"));
    let endpoint = endpoint_at(&call.method, below).unwrap_or_else(|| panic!("{} {path} is not declared", call.method));
    let names = query.split('&').filter(|pair| !pair.is_empty());
    (endpoint, names.map(|pair| pair.split_once('=').expect("name=value").0).collect())
}

#[tokio::test]
async fn every_call_of_a_run_is_declared_known_to_criteo_and_valid() {
    let Some(specification) = specification() else { return };
    let output = tempfile::tempdir().expect("a folder");
    let calls = calls_of_a_run(output.path()).await;
    let mut reached = BTreeSet::new();
    for call in &calls {
        assert_eq!(call.status, 200, "{call:?}");
        let (endpoint, parameters) = placed(call);
        let expected: &[&str] = match endpoint.pagination {
            Pagination::Offset { .. } => &["limit", "offset"],
            Pagination::None => &[],
        };
        assert_eq!(parameters, expected, "{}", call.path);
        match endpoint.method {
            Method::Get => assert_eq!(call.body, Value::Null, "{}", call.path),
            Method::Post => {
                let complaints = specification.complaints_about_request(endpoint.id, call.body.to_string().as_bytes());
                assert_eq!(complaints, [""; 0], "{call:?}");
            }
        }
        reached.insert(endpoint.id);
    }
    let all = Connector::get().endpoints.iter().map(|endpoint| endpoint.id);
    // Only `check` asks who the app is.
    assert_eq!(reached, all.filter(|id| *id != EndpointId::ApplicationMe).collect());
    every_filter_was_used(&calls);
}

fn every_filter_was_used(calls: &[Call]) {
    let used = |pointer: &str| calls.iter().any(|call| call.body.pointer(pointer).is_some());
    for pointer in ["/adSetIds", "/data/0/attributes/adsetIds", "/data/0/attributes/environment"] {
        assert!(used(pointer), "no call had {pointer}");
    }
    assert!(used("/data/0/attributes/eventType"), "transactions were not split");
}
