//! What answers a call: version, token, permission, quota, consent, then the endpoint.
//!
//! All of it is a function from a call to a reply, so that tests need no network. It knows nothing of sockets, and
//! leaves how a reply is delivered (whole, slowly, not at all) to the server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::dice::mix;
use super::entities::{self, EntityKind, Page};
use super::faults::{Fault, FaultKind, RateReset};
use super::options::{ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ, SandboxOptions};
use super::problem::Problem;
use super::quota::{Allowance, Class, Quotas};
use super::table::Table;
use super::tokens::{Grant, Tokens, decode_form};
use super::world::World;
use super::{Ask, Call, placements, statistics, transactions};
use crate::clock::Clock;

/// The version this API speaks (API.md section 0).
const VERSION: &str = "2026-07";

/// A call as it came in.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// How the bytes of a reply reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Never,
    ResetMidway,
    StallMidway,
    Drip { millis: u64 },
    Padded { bytes: usize },
}

/// What goes back.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) delivery: Delivery,
}

impl Reply {
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        let content_type = "application/json; charset=utf-8";
        Self { status, content_type, headers: Vec::new(), body, delivery: Delivery::Whole }
    }

    pub(super) fn html(status: u16) -> Self {
        let page =
            format!("<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        Self { content_type: "text/html", ..Self::json(status, page.into_bytes()) }
    }
}

/// The simulated API.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) options: SandboxOptions,
    pub(super) world: Arc<World>,
    pub(super) clock: Clock,
    today: Mutex<NaiveDate>,
    pub(super) tokens: Mutex<Tokens>,
    quotas: Mutex<Quotas>,
    faults: Mutex<Vec<Fault>>,
    calls: Mutex<Vec<Call>>,
}

/// The state behind a lock, also after a panic elsewhere.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An endpoint and what its path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'a> {
    Statistics,
    Placements,
    Transactions,
    Portfolio,
    Application,
    CampaignSearch,
    Campaign(&'a str),
    AdSetSearch,
    AdSet(&'a str),
    CategoryBids(&'a str),
    DisplayMultipliers(&'a str),
    Owned(EntityKind, &'a str),
}

/// The endpoint at a path without its version (API.md section 2).
fn endpoint<'a>(segments: &[&'a str]) -> Option<Endpoint<'a>> {
    Some(match segments {
        ["statistics", "report"] => Endpoint::Statistics,
        ["placements", "report"] => Endpoint::Placements,
        ["transactions", "report"] => Endpoint::Transactions,
        ["advertisers", "me"] => Endpoint::Portfolio,
        ["marketing-solutions", rest @ ..] => match rest {
            ["me"] => Endpoint::Application,
            ["campaigns", "search"] => Endpoint::CampaignSearch,
            ["campaigns", id] => Endpoint::Campaign(id),
            ["ad-sets", "search"] => Endpoint::AdSetSearch,
            ["ad-sets", id] => Endpoint::AdSet(id),
            ["ad-sets", id, "category-bids"] => Endpoint::CategoryBids(id),
            ["ad-sets", id, "display-multipliers"] => Endpoint::DisplayMultipliers(id),
            ["advertisers", id, "ads"] => Endpoint::Owned(EntityKind::Ads, id),
            ["advertisers", id, "creatives"] => Endpoint::Owned(EntityKind::Creatives, id),
            ["advertisers", id, "coupons"] => Endpoint::Owned(EntityKind::Coupons, id),
            _ => return None,
        },
        _ => return None,
    })
}

impl Endpoint<'_> {
    fn is_report(self) -> bool {
        matches!(self, Self::Statistics | Self::Placements | Self::Transactions)
    }

    fn scope(self) -> Option<&'static str> {
        match self {
            Self::Portfolio | Self::Application => None,
            Self::Owned(..) => Some(CREATIVE_READ),
            report if report.is_report() => Some(ANALYTICS_READ),
            _ => Some(CAMPAIGN_READ),
        }
    }

    fn method(self) -> &'static str {
        if self.is_report() || matches!(self, Self::CampaignSearch | Self::AdSetSearch) { "POST" } else { "GET" }
    }
}

/// An answer before faults touch it.
enum Answer {
    Report(Table),
    Entities(Value),
}

impl Gateway {
    pub(super) fn new(options: SandboxOptions, clock: Clock) -> Self {
        Self {
            world: Arc::new(World::new(&options)),
            today: Mutex::new(options.today),
            tokens: Mutex::default(),
            quotas: Mutex::default(),
            faults: Mutex::new(options.faults.clone()),
            calls: Mutex::default(),
            options,
            clock,
        }
    }

    pub(super) fn today(&self) -> NaiveDate {
        *lock(&self.today)
    }

    pub(super) fn set_today(&self, today: NaiveDate) {
        *lock(&self.today) = today;
    }

    pub(super) fn set_faults(&self, faults: Vec<Fault>) {
        *lock(&self.faults) = faults;
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// Answers a call and records it; the control surface and the consent page are not recorded.
    pub(super) fn handle(&self, exchange: &Exchange) -> Reply {
        if exchange.path.starts_with("/sandbox/") {
            return self.control(exchange);
        }
        if exchange.path == "/request" {
            return self.consent(exchange);
        }
        let number = self.record(exchange);
        let mut reply = self.answer(exchange, number);
        reply.headers.push(("date", self.date()));
        let status = if reply.delivery == Delivery::Never { 0 } else { reply.status };
        lock(&self.calls)[number].status = status;
        reply
    }

    /// The `Date` header: the clock, moved along when the sandbox's today is.
    fn date(&self) -> String {
        let now = self.clock.now() + (self.today() - self.options.today);
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    fn record(&self, exchange: &Exchange) -> usize {
        let body = if exchange.path == "/oauth2/token" {
            // Neither secrets nor tokens are kept.
            let form = decode_form(&exchange.body).unwrap_or_default();
            form.get("grant_type").map_or(Value::Null, |grant| json!({"grant_type": grant}))
        } else {
            serde_json::from_slice(&exchange.body).unwrap_or(Value::Null)
        };
        let mark = if exchange.query.is_empty() { "" } else { "?" };
        let path = format!("{}{mark}{}", exchange.path, exchange.query);
        let mut calls = lock(&self.calls);
        calls.push(Call { method: exchange.method.clone(), path, body, status: 0 });
        calls.len() - 1
    }

    fn answer(&self, exchange: &Exchange, number: usize) -> Reply {
        let trace = format!("{:016x}{:016x}", mix(&[number as u64, 1]), mix(&[number as u64, 2]));
        let faults = self.firing(exchange);
        if let Some(last) = faults.last().filter(|fault| fault.answers()) {
            return self.broken(last, exchange, &trace);
        }
        let reply =
            if exchange.path == "/oauth2/token" { self.token(exchange) } else { self.api(exchange, &faults, &trace) };
        faults.iter().fold(reply, spoil)
    }

    /// The faults that apply, up to and including the first that answers by itself.
    fn firing(&self, exchange: &Exchange) -> Vec<FaultKind> {
        let concerned = concerned(exchange);
        let mut firing = Vec::new();
        for fault in lock(&self.faults).iter_mut() {
            if fault.fires(&exchange.path, &concerned) {
                firing.push(fault.kind.clone());
                if fault.kind.answers() {
                    break;
                }
            }
        }
        firing
    }

    fn token(&self, exchange: &Exchange) -> Reply {
        if exchange.method != "POST" {
            return Reply::json(405, json!({"error": "invalid_request"}).to_string().into_bytes());
        }
        let mut tokens = lock(&self.tokens);
        let now = self.clock.now();
        let (status, body) = tokens.exchange(&self.options, &exchange.content_type, &exchange.body, now);
        Reply::json(status, body.to_string().into_bytes())
    }

    fn api(&self, exchange: &Exchange, faults: &[FaultKind], trace: &str) -> Reply {
        let mut allowance = None;
        let mut reply = match self.answered(exchange, faults, &mut allowance) {
            Ok(Answer::Report(table)) => Reply::json(200, table.body(faults, &trailer(faults, trace))),
            Ok(Answer::Entities(mut document)) => {
                for (name, value) in trailer(faults, trace) {
                    document[name] = value;
                }
                if faults.contains(&FaultKind::OkWithErrors) {
                    document["data"] = json!([]);
                }
                Reply::json(200, entities::body(document, faults))
            }
            Err(problem) => Reply::json(problem.status, problem.body(trace, &exchange.path)),
        };
        if let Some(allowance) = allowance.filter(|_| self.options.quota_headers) {
            reply.headers = quota_headers(allowance);
        }
        reply
    }

    fn answered(
        &self,
        exchange: &Exchange,
        faults: &[FaultKind],
        allowance: &mut Option<Allowance>,
    ) -> Result<Answer, Problem> {
        let segments: Vec<&str> = exchange.path.trim_start_matches('/').split('/').collect();
        let (version, rest) = segments.split_first().ok_or_else(no_path)?;
        let endpoint = match endpoint(rest) {
            Some(endpoint) if *version == VERSION => endpoint,
            _ if *version != VERSION && is_version(version) => return Err(Problem::retired(version)),
            _ => return Err(no_path()),
        };
        let grant = lock(&self.tokens).check(exchange.authorization.as_deref(), self.clock.now())?;
        let counted = self.count(endpoint, grant);
        *allowance = Some(counted);
        if counted.refused {
            return Err(Problem::too_many());
        }
        let is_granted = |scope: &str| self.options.is_marketing() && self.options.scopes.contains(scope);
        if let Some(scope) = endpoint.scope().filter(|scope| !is_granted(scope)) {
            return Err(Problem::no_scope(scope));
        }
        if exchange.method != endpoint.method() {
            return Err(Problem::wrong_method());
        }
        let body = read_body(exchange)?;
        let lost = faults.iter().filter_map(|fault| match fault {
            FaultKind::ConsentLost(advertiser) => Some(advertiser.clone()),
            _ => None,
        });
        let lost: BTreeSet<String> = lost.collect();
        refuse_range(faults, endpoint, &body)?;
        let ask = Ask { world: &self.world, options: &self.options, today: self.today(), lost: &lost };
        let answer = dispatch(&ask, endpoint, &body, &exchange.query)?;
        Ok(match answer {
            Answer::Report(table) => Answer::Report(faults.iter().fold(table, Table::shortened)),
            entities @ Answer::Entities(_) => entities,
        })
    }

    fn count(&self, endpoint: Endpoint<'_>, grant: Grant) -> Allowance {
        let consents = self.world.advertisers.iter().filter(|advertiser| advertiser.consented).count();
        let pool = u32::try_from(consents).unwrap_or(u32::MAX).saturating_mul(self.options.consented_calls_per_minute);
        let (class, limit) = match (grant, endpoint.is_report()) {
            (Grant::AuthorizationCode, _) => (Class::Pooled, pool),
            (_, true) => (Class::Reports, self.options.report_calls_per_minute),
            (_, false) => (Class::Default, self.options.default_calls_per_minute),
        };
        lock(&self.quotas).take(class, limit, self.clock.now())
    }

    /// The reply of a fault that answers by itself.
    fn broken(&self, fault: &FaultKind, exchange: &Exchange, trace: &str) -> Reply {
        let refuse = |problem: Problem| Reply::json(problem.status, problem.body(trace, &exchange.path));
        match fault {
            FaultKind::TooManyRequests(reset) => {
                let mut reply = refuse(Problem::too_many());
                if let RateReset::InSeconds(seconds) = reset {
                    let reset = self.clock.now().timestamp().saturating_add(*seconds);
                    reply.headers = quota_headers(Allowance { limit: 40, remaining: 0, reset, refused: true });
                }
                reply
            }
            FaultKind::Http502Html => Reply::html(502),
            FaultKind::Http403 => Reply::json(403, Vec::new()),
            FaultKind::Http404 => Reply::json(404, Vec::new()),
            FaultKind::Http413 => Reply::json(413, Vec::new()),
            FaultKind::Http503 | FaultKind::TokenEndpointDown => Reply::json(503, Vec::new()),
            FaultKind::Http504 => Reply::json(504, Vec::new()),
            FaultKind::ResetBeforeResponse => Reply { delivery: Delivery::Never, ..Reply::json(200, Vec::new()) },
            FaultKind::TokenExpired => {
                lock(&self.tokens).expire(exchange.authorization.as_deref());
                refuse(Problem::token_expired())
            }
            FaultKind::TokenRevoked => {
                lock(&self.tokens).revoke(exchange.authorization.as_deref());
                refuse(Problem::token_invalid())
            }
            _ => refuse(Problem::server(500)),
        }
    }

    /// The control surface: `POST /sandbox/faults` (an array of fault texts), `POST /sandbox/today` (a date as a JSON
    /// string), `GET /sandbox/calls`.
    fn control(&self, exchange: &Exchange) -> Reply {
        let done = || Reply::json(200, b"{}".to_vec());
        let refused = |error: String| Reply::json(400, json!({"error": error}).to_string().into_bytes());
        match (exchange.method.as_str(), exchange.path.as_str()) {
            ("GET", "/sandbox/calls") => {
                let calls = serde_json::to_vec(&self.calls()).expect("calls are plain data");
                Reply::json(200, calls)
            }
            ("POST", "/sandbox/faults") => match faults_from(&exchange.body) {
                Ok(faults) => {
                    self.set_faults(faults);
                    done()
                }
                Err(error) => refused(error),
            },
            ("POST", "/sandbox/today") => match serde_json::from_slice(&exchange.body) {
                Ok(today) => {
                    self.set_today(today);
                    done()
                }
                Err(error) => refused(error.to_string()),
            },
            _ => Reply::json(404, b"{}".to_vec()),
        }
    }
}

/// Refuses a report because of its days, if a fault says so.
fn refuse_range(faults: &[FaultKind], endpoint: Endpoint<'_>, body: &Value) -> Result<(), Problem> {
    if !endpoint.is_report() {
        return Ok(());
    }
    let attributes = if body["data"].is_array() { &body["data"][0]["attributes"] } else { body };
    let day = |name: &str| attributes[name].as_str()?.get(..10)?.parse::<NaiveDate>().ok();
    let Some((from, to)) = day("startDate").zip(day("endDate")) else { return Ok(()) };
    let is_refused = faults.iter().any(|fault| match fault {
        FaultKind::LongRangeRefused(days) => (to - from).num_days() >= *days,
        FaultKind::EarlyRangeRefused(earliest) => from < *earliest,
        _ => false,
    });
    if is_refused { Err(Problem::invalid("The requested range is not available.")) } else { Ok(()) }
}

fn faults_from(body: &[u8]) -> Result<Vec<Fault>, String> {
    let texts: Vec<String> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    texts.iter().map(|text| text.parse::<Fault>().map_err(|error| error.to_string())).collect()
}

fn no_path() -> Problem {
    Problem::not_found("not-found", "The resource does not exist.")
}

/// A release such as `2025-10`.
fn is_version(segment: &str) -> bool {
    segment.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && month.len() == 2 && [year, month].iter().all(|part| part.parse::<u32>().is_ok())
    })
}

/// The advertisers that a call names, in its path or in its body.
fn concerned(exchange: &Exchange) -> Vec<String> {
    let mut ids: Vec<String> = exchange.path.split('/').map(str::to_owned).collect();
    let body: Value = serde_json::from_slice(&exchange.body).unwrap_or(Value::Null);
    for object in [&body, &body["data"][0]["attributes"], &body["filters"]] {
        match object.get("advertiserIds") {
            Some(Value::String(list)) => ids.extend(list.split(',').map(|id| id.trim().to_owned())),
            Some(Value::Array(list)) => ids.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    ids
}

fn read_body(exchange: &Exchange) -> Result<Value, Problem> {
    if exchange.method != "POST" {
        return Ok(Value::Null);
    }
    if exchange.content_type.split(';').next().unwrap_or("").trim() != "application/json" {
        return Err(Problem::media_type());
    }
    serde_json::from_slice(&exchange.body).map_err(|_| Problem::invalid("The request body is not valid JSON."))
}

fn dispatch(ask: &Ask<'_>, endpoint: Endpoint<'_>, body: &Value, query: &str) -> Result<Answer, Problem> {
    let data = match endpoint {
        Endpoint::Statistics => return statistics::report(ask, body).map(Answer::Report),
        Endpoint::Placements => return placements::report(ask, body).map(Answer::Report),
        Endpoint::Transactions => return transactions::report(ask, body).map(Answer::Report),
        Endpoint::Portfolio if !ask.options.is_marketing() => json!([]),
        Endpoint::Portfolio => Value::Array(entities::advertisers(ask.world)),
        Endpoint::Application => entities::application(&ask.options.service),
        Endpoint::CampaignSearch => Value::Array(entities::campaigns(ask, body)?),
        Endpoint::Campaign(id) => entities::campaign_by_id(ask, id)?,
        Endpoint::AdSetSearch => Value::Array(entities::ad_sets(ask, body)?),
        Endpoint::AdSet(id) => entities::ad_set_by_id(ask, id)?,
        Endpoint::CategoryBids(id) => Value::Array(entities::category_bids(ask, id)?),
        Endpoint::DisplayMultipliers(id) => Value::Array(entities::display_multipliers(ask, id)?),
        Endpoint::Owned(kind, id) => Value::Array(entities::owned(ask, kind, id, page(query)?)?),
    };
    Ok(Answer::Entities(json!({"data": data, "errors": [], "warnings": []})))
}

/// `limit` and `offset`, 50 and 0 unless given (API.md 5.6).
fn page(query: &str) -> Result<Page, Problem> {
    let form = decode_form(query.as_bytes()).ok_or_else(|| Problem::invalid("The query is malformed."))?;
    let number = |name: &str, default: usize| {
        let wrong = |_| Problem::invalid(format!("{name} must be a number."));
        form.get(name).map_or(Ok(default), |text| text.parse().map_err(wrong))
    };
    let page = Page { limit: number("limit", 50)?, offset: number("offset", 0)? };
    if page.limit == 0 { Err(Problem::invalid("limit must be positive.")) } else { Ok(page) }
}

/// Members that a fault adds beside the data.
fn trailer(faults: &[FaultKind], trace: &str) -> Vec<(&'static str, Value)> {
    let entry = |problem: Problem| json!([problem.entry(trace, "/report")]);
    let each = faults.iter().filter_map(|fault| match fault {
        FaultKind::OkWithErrors => Some(("errors", entry(Problem::hidden()))),
        FaultKind::RowLimitWarning => Some(("warnings", entry(Problem::row_limit()))),
        _ => None,
    });
    each.collect()
}

fn quota_headers(allowance: Allowance) -> Vec<(&'static str, String)> {
    vec![
        ("x-ratelimit-limit", allowance.limit.to_string()),
        ("x-ratelimit-remaining", allowance.remaining.to_string()),
        ("x-ratelimit-reset", allowance.reset.to_string()),
    ]
}

/// What a fault does to a finished reply.
fn spoil(mut reply: Reply, fault: &FaultKind) -> Reply {
    match fault {
        FaultKind::HtmlWith200 => return Reply { headers: reply.headers, ..Reply::html(200) },
        FaultKind::TruncatedBody => reply.body.truncate(reply.body.len() * 2 / 3),
        FaultKind::WrongContentType => reply.content_type = "text/plain",
        FaultKind::Bom => drop(reply.body.splice(0..0, *b"\xEF\xBB\xBF")),
        FaultKind::DeprecationHeaders => {
            reply.headers.push(("deprecation", "true".to_owned()));
            reply.headers.push(("sunset", "Thu, 01 Jul 2027 00:00:00 GMT".to_owned()));
        }
        FaultKind::ResetMidBody => reply.delivery = Delivery::ResetMidway,
        FaultKind::StallMidBody => reply.delivery = Delivery::StallMidway,
        FaultKind::SlowDrip(millis) => reply.delivery = Delivery::Drip { millis: *millis },
        FaultKind::Whitespace(bytes) => reply.delivery = Delivery::Padded { bytes: *bytes },
        _ => {}
    }
    reply
}
