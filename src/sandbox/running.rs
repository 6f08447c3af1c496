//! A running sandbox, and what a test may ask of it.
//!
//! The truth methods answer from the same facts as the API, but without caps, quotas, consent or faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;

use super::aggregate::{Places, Query};
use super::entities::{self, EntityKind};
use super::faults::Fault;
use super::gateway::{Gateway, lock};
use super::options::SandboxOptions;
use super::server::Server;
use super::world::World;
use super::{metrics, names, placements, request, statistics, transactions};
use crate::clock::Clock;

/// What endpoints know when they answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) world: &'a Arc<World>,
    pub(super) options: &'a SandboxOptions,
    pub(super) today: NaiveDate,
    /// Advertisers that took their consent back.
    pub(super) lost: &'a BTreeSet<String>,
}

/// What a test wants to know the true rows of.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'q> {
    /// Advertisers.
    pub advertiser_ids: &'q [&'q str],
    /// The first day, in `timezone`.
    pub from: NaiveDate,
    /// The last day, included.
    pub to: NaiveDate,
    /// Dimensions in the API's spelling.
    pub dimensions: &'q [&'q str],
    /// Metrics in the API's spelling.
    pub metrics: &'q [&'q str],
    /// ISO 4217 code.
    pub currency: &'q str,
    /// Name in the tz database.
    pub timezone: &'q str,
}

/// A call that the simulated API received, without secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The request body, if it was JSON; of token requests, the grant type only.
    pub body: Value,
    /// The status that was sent; 0 when the connection was reset instead, or while the call is running.
    pub status: u16,
}

/// A running sandbox; it stops when dropped.
#[derive(Debug)]
pub struct Sandbox {
    gateway: Arc<Gateway>,
    server: Server,
}

const NOBODY: &BTreeSet<String> = &BTreeSet::new();

impl Sandbox {
    /// Starts a sandbox; it answers as soon as this returns.
    pub async fn start(options: SandboxOptions, clock: Clock) -> io::Result<Self> {
        let port = options.port;
        let gateway = Arc::new(Gateway::new(options, clock));
        let server = Server::start(Arc::clone(&gateway), port).await?;
        Ok(Self { gateway, server })
    }

    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Stops it, giving running calls half a second.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.gateway.set_faults(faults);
    }

    /// Moves to another day.
    pub fn set_today(&self, today: NaiveDate) {
        self.gateway.set_today(today);
    }

    /// All calls so far, in the order they came in.
    pub fn calls(&self) -> Vec<Call> {
        self.gateway.calls()
    }

    /// The ids of all advertisers, consented or not.
    pub fn advertiser_ids(&self) -> Vec<String> {
        self.gateway.world.advertisers.iter().map(|advertiser| advertiser.id.clone()).collect()
    }

    /// A refresh token as an earlier consent would have left it.
    pub fn issue_refresh_token(&self) -> String {
        lock(&self.gateway.tokens).issue_refresh_token(&self.gateway.options, self.gateway.clock.now())
    }

    /// Whether a refresh token would be accepted now.
    pub fn accepts_refresh_token(&self, token: &str) -> bool {
        lock(&self.gateway.tokens).accepts(token, self.gateway.clock.now())
    }

    /// Withdraws every consent of an authorization-code app.
    pub fn withdraw_consents(&self) {
        lock(&self.gateway.tokens).withdraw();
    }

    /// An authorization code as the consent page would have sent it to `redirect_uri`; `challenge` is the S256 one.
    pub fn issue_code(&self, redirect_uri: &str, challenge: Option<&str>) -> String {
        let challenge = challenge.map(|challenge| (challenge.to_owned(), true));
        let (seed, now) = (self.gateway.options.seed, self.gateway.clock.now());
        lock(&self.gateway.tokens).issue_code(seed, redirect_uri, challenge, now)
    }

    fn ask(&self) -> Ask<'_> {
        let gateway = &self.gateway;
        Ask { world: &gateway.world, options: &gateway.options, today: gateway.today(), lost: NOBODY }
    }

    /// Every row of a statistics report as wire text.
    ///
    /// # Panics
    ///
    /// When a name is not known to the API: a mistake of the test.
    pub fn truth_statistics(&self, asked: Truth<'_>) -> Vec<BTreeMap<String, String>> {
        let axis = |name: &&str| statistics::axis_named(name).expect("a known dimension");
        let metric = |name: &&str| metrics::of_statistics(name).expect("a known metric");
        let query = Query {
            axes: statistics::distinct(asked.dimensions.iter().map(axis).collect()),
            metrics: asked.metrics.iter().map(metric).collect(),
            ..self.query(asked)
        };
        statistics::table(&self.ask(), &query, asked.currency.to_owned(), usize::MAX).maps()
    }

    /// Every row of a placements report as wire text, with keys in `PascalCase`.
    ///
    /// # Panics
    ///
    /// When a name is not known to the API: a mistake of the test.
    pub fn truth_placements(&self, asked: Truth<'_>, disclosed: bool) -> Vec<BTreeMap<String, String>> {
        let dimension = |name: &&str| placements::dimension_named(name).expect("a known dimension");
        let dimensions: Vec<placements::Dimension> = asked.dimensions.iter().map(dimension).collect();
        let metric = |name: &&str| metrics::of_placements(name).expect("a known metric");
        let query = Query {
            axes: statistics::distinct(dimensions.iter().map(|(_, axis, _)| *axis).collect()),
            metrics: asked.metrics.iter().map(metric).collect(),
            places: Some(Places { disclosed, environment: None, name: None }),
            ..self.query(asked)
        };
        placements::table(&self.ask(), &query, &dimensions, usize::MAX).maps()
    }

    fn query(&self, asked: Truth<'_>) -> Query {
        let advertisers = self.gateway.world.known(asked.advertiser_ids);
        let Truth { from, to, .. } = asked;
        let (axes, metrics, rate, zone) = (Vec::new(), Vec::new(), rate(asked.currency), zone(asked.timezone));
        Query { advertisers, ad_sets: None, from, to, axes, metrics, rate, zone, places: None }
    }

    /// Every transaction as wire text, with keys in `PascalCase`; dimensions and metrics are not looked at.
    ///
    /// # Panics
    ///
    /// When a name is not known to the API: a mistake of the test.
    pub fn truth_transactions(&self, asked: Truth<'_>) -> Vec<BTreeMap<String, String>> {
        let query = transactions::Query {
            advertisers: self.gateway.world.known(asked.advertiser_ids),
            from: asked.from,
            to: asked.to,
            zone: zone(asked.timezone),
            currency: asked.currency.to_owned(),
            rate: rate(asked.currency),
            touch: None,
        };
        transactions::table(&self.ask(), &query, usize::MAX).maps()
    }

    /// Every entity of a kind that the API lists to an app with all consents.
    pub fn truth_entities(&self, kind: EntityKind) -> Vec<Value> {
        entities::all(&self.gateway.world, kind)
    }
}

fn rate(currency: &str) -> i64 {
    names::rate(currency).expect("a known currency")
}

fn zone(timezone: &str) -> Tz {
    request::zone_named(timezone).expect("a known time zone")
}
