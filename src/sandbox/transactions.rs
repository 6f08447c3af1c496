//! `POST /transactions/report` (API.md 3.3 and 4.4).
//!
//! The sales behind the statistics, by the day of the sale. The range filters `transactionDate`. A sale may come twice,
//! once for its click and once for a display, with one transaction id.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use serde_json::Value as Json;

use super::Ask;
use super::aggregate::{local_date, noon_of};
use super::dice::mix;
use super::facts::{self, Sale, Touch};
use super::faults::{Envelope, KeyCase};
use super::problem::Problem;
use super::request::{Request, consented};
use super::table::{Column, Table};
use super::wire;
use super::world::AdSet;

const PROPERTIES: [&str; 7] = ["advertiserIds", "currency", "endDate", "eventType", "format", "startDate", "timezone"];

/// The fields, as the newer page spells them; on the wire they are in camelCase.
const FIELDS: [&str; 11] = [
    "AdvertiserId",
    "TransactionId",
    "TransactionDate",
    "AdsetName",
    "AdvertiserName",
    "EventType",
    "EventDate",
    "AttributedTransaction",
    "Currency",
    "Amount",
    "CrossDeviceTransaction",
];

/// A question for transactions.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) advertisers: BTreeSet<usize>,
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    pub(super) zone: Tz,
    pub(super) currency: String,
    pub(super) rate: i64,
    /// `None` for both.
    pub(super) touch: Option<Touch>,
}

/// Answers a request; more rows than the cap are dropped without a word.
pub(super) fn report(ask: &Ask<'_>, body: &Json) -> Result<Table, Problem> {
    let request = Request::wrapped(body, &PROPERTIES)?;
    let ids = request.advertiser_ids()?;
    let (from, to) = request.range(ask.today, 24)?;
    let (currency, rate) = request.currency()?;
    request.json_only()?;
    let touch = match request.text("eventType")? {
        None => None,
        Some(kind) if kind.eq_ignore_ascii_case("click") => Some(Touch::Click),
        Some(kind) if kind.eq_ignore_ascii_case("display") => Some(Touch::Display),
        Some(other) => return Err(Problem::invalid(format!("\"{other}\" is not a valid value for eventType."))),
    };
    let zone = request.zone()?;
    let advertisers = consented(ask.world, ask.lost, &ids)?;
    let query = Query { advertisers, from, to, zone, currency, rate, touch };
    Ok(table(ask, &query, ask.options.transactions_cap))
}

/// The answer as a table of at most `cap` rows.
pub(super) fn table(ask: &Ask<'_>, query: &Query, cap: usize) -> Table {
    let mut rows = rows(ask, query);
    rows.truncate(cap);
    let column = |name: &str| Column { name: name.to_owned(), numeric: name == "Amount" };
    Table {
        columns: FIELDS.map(column).into(),
        rows: rows.len(),
        cell: Box::new(move |row, column| rows[row][column].clone()),
        total: Vec::new(),
        kind: "TransactionsReport",
        envelope: Envelope::DataAttributes,
        keys: KeyCase::Camel,
    }
}

type Fields = [String; FIELDS.len()];

fn rows(ask: &Ask<'_>, query: &Query) -> Vec<Fields> {
    let noon = noon_of(ask.today);
    let mut rows: Vec<(u64, Fields)> = Vec::new();
    // A sale follows its click by 29 days at most; a local day reaches into the UTC days beside it.
    let first = query.from - TimeDelta::days(31);
    let last = (query.to + TimeDelta::days(1)).min(ask.today);
    for ad in &ask.world.ads {
        let ad_set = &ask.world.ad_sets[ad.ad_set];
        if !query.advertisers.contains(&ad_set.advertiser) {
            continue;
        }
        for day in first.iter_days().take_while(|day| *day <= last) {
            for sale in facts::sales(ask.world, ad, day) {
                let online = !sale.in_shop && !sale.after_install;
                let sold_on = local_date(sale.sold_at, query.zone);
                if online && sale.sold_at <= noon && (query.from..=query.to).contains(&sold_on) {
                    let key = mix(&[ad.seed, sale.order]);
                    rows.extend(events(&sale, query).map(|event| (key, fields(ask, query, ad_set, &sale, event))));
                }
            }
        }
    }
    rows.sort_by_key(|(key, _)| *key);
    rows.into_iter().map(|(_, fields)| fields).collect()
}

/// A click or display before a sale: what, when, and whether it gets the sale.
type Event = (Touch, i64, bool);

fn events(sale: &Sale, query: &Query) -> impl Iterator<Item = Event> {
    let main = (sale.touch, sale.touched_at, sale.touch == Touch::Click || sale.last_click);
    let seen = sale.also_displayed.then_some((Touch::Display, sale.touched_at - 1_234, false));
    let wanted = query.touch;
    [Some(main), seen].into_iter().flatten().filter(move |(touch, ..)| wanted.is_none_or(|wanted| wanted == *touch))
}

fn fields(ask: &Ask<'_>, query: &Query, ad_set: &AdSet, sale: &Sale, (touch, at, attributed): Event) -> Fields {
    let advertiser = &ask.world.advertisers[ad_set.advertiser];
    let nanos = i128::from(sale.amount) * 10 * i128::from(query.rate);
    [
        advertiser.id.clone(),
        format!("{}{:010}", local_date(sale.sold_at, Tz::UTC).format("%Y%m%d"), sale.order),
        wire::moment(sale.sold_at, query.zone),
        ad_set.name.clone(),
        advertiser.name.clone(),
        if touch == Touch::Click { "click" } else { "display" }.to_owned(),
        wire::moment(at, query.zone),
        if attributed { "True" } else { "False" }.to_owned(),
        query.currency.clone(),
        wire::text(wire::Value::Nano(nanos), sale.order),
        if sale.cross_device { "Yes" } else { "No" }.to_owned(),
    ]
}
