//! `POST /statistics/report` (API.md 3.1 and 4.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Ask;
use super::aggregate::{self, Answer, Axis, Query, Row};
use super::dice::{mix, seed_of};
use super::faults::{Envelope, KeyCase};
use super::metrics::{self, Metric, Unit};
use super::problem::Problem;
use super::request::{Request, consented};
use super::table::{Column, Table};
use super::wire;
use super::world::{AdSet, Stage, World};

/// The dimensions with the axis they belong to: where an axis has two, the id comes first (API.md 3.1).
const DIMENSIONS: [(&str, Axis); 26] = [
    ("AdsetId", Axis::AdSet),
    ("Adset", Axis::AdSet),
    ("AdvertiserId", Axis::Advertiser),
    ("Advertiser", Axis::Advertiser),
    ("CategoryId", Axis::Category),
    ("Category", Axis::Category),
    ("Hour", Axis::Hour),
    ("Day", Axis::Day),
    ("Week", Axis::Week),
    ("Month", Axis::Month),
    ("Year", Axis::Year),
    ("Os", Axis::Os),
    ("Device", Axis::Device),
    ("CampaignId", Axis::Campaign),
    ("Campaign", Axis::Campaign),
    ("AdId", Axis::Ad),
    ("Ad", Axis::Ad),
    ("CouponId", Axis::Coupon),
    ("Coupon", Axis::Coupon),
    ("MarketingObjectiveId", Axis::MarketingObjective),
    ("MarketingObjective", Axis::MarketingObjective),
    ("ChannelId", Axis::Channel),
    ("Channel", Axis::Channel),
    ("Goal", Axis::Goal),
    ("AdChannel", Axis::AdChannel),
    ("SocialPlatform", Axis::SocialPlatform),
];

const PROPERTIES: [&str; 11] = [
    "adSetIds",
    "adSetNames",
    "adSetStatus",
    "advertiserIds",
    "currency",
    "dimensions",
    "endDate",
    "format",
    "metrics",
    "startDate",
    "timezone",
];

/// The axis of a dimension, by its name in any case.
pub(super) fn axis_named(name: &str) -> Option<Axis> {
    DIMENSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, axis)| *axis)
}

/// Answers a request; more rows than the cap are dropped without a word.
pub(super) fn report(ask: &Ask<'_>, body: &Json) -> Result<Table, Problem> {
    let request = Request::flat(body, &PROPERTIES)?;
    let ids = request.advertiser_ids()?;
    let (from, to) = request.range(ask.today, 24)?;
    let (currency, rate) = request.currency()?;
    request.json_only()?;
    let axes = request.chosen("dimensions", axis_named)?;
    if axes.is_empty() {
        return Err(Problem::required("At least one dimension must be provided."));
    }
    let metrics = request.chosen("metrics", metrics::of_statistics)?;
    let query = Query {
        ad_sets: ad_sets(ask.world, &request)?,
        zone: request.zone()?,
        advertisers: consented(ask.world, ask.lost, &ids)?,
        from,
        to,
        axes: distinct(axes),
        metrics,
        rate,
        places: None,
    };
    Ok(table(ask, &query, currency, ask.options.statistics_cap))
}

/// An id and its name are one axis.
pub(super) fn distinct(axes: Vec<Axis>) -> Vec<Axis> {
    axes.into_iter().fold(Vec::new(), |mut kept, axis| {
        if !kept.contains(&axis) {
            kept.push(axis);
        }
        kept
    })
}

/// The ad sets that pass all three filters, if there is one.
fn ad_sets(world: &World, request: &Request<'_>) -> Result<Option<BTreeSet<usize>>, Problem> {
    let ids = request.texts("adSetIds")?;
    let names = request.texts("adSetNames")?;
    let states = request.texts("adSetStatus")?;
    if let Some(other) = states.iter().flatten().find(|state| !["Active", "NotRunning", "Dead"].contains(state)) {
        return Err(Problem::invalid(format!("\"{other}\" is not a valid value for adSetStatus.")));
    }
    if ids.is_none() && names.is_none() && states.is_none() {
        return Ok(None);
    }
    let among = |list: &Option<Vec<&str>>, text: &str| list.as_ref().is_none_or(|list| list.contains(&text));
    let passes =
        |ad_set: &AdSet| among(&ids, &ad_set.id) && among(&names, &ad_set.name) && among(&states, state(ad_set.stage));
    Ok(Some(world.ad_sets.iter().enumerate().filter(|(_, ad_set)| passes(ad_set)).map(|(at, _)| at).collect()))
}

fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Live => "Active",
        Stage::Paused => "NotRunning",
        Stage::Archived => "Dead",
    }
}

/// What a column of the answer shows.
#[derive(Debug, Clone, Copy)]
enum Shows {
    Id(usize),
    Name(usize),
    Currency,
    Metric(usize),
}

/// The answer as a table of at most `cap` rows: dimensions with their partners, the currency, the metrics.
pub(super) fn table(ask: &Ask<'_>, query: &Query, currency: String, cap: usize) -> Table {
    let mut answer = aggregate::run(ask.world, ask.today, query);
    answer.rows.truncate(cap);
    let mut columns = Vec::new();
    let mut shows = Vec::new();
    for (position, axis) in query.axes.iter().enumerate() {
        let names: Vec<&str> = DIMENSIONS.iter().filter(|(_, of)| of == axis).map(|(name, _)| *name).collect();
        let paired = names.len() == 2;
        for (place, name) in names.into_iter().enumerate() {
            columns.push(Column { name: name.to_owned(), numeric: false });
            shows.push(if paired && place == 0 { Shows::Id(position) } else { Shows::Name(position) });
        }
    }
    columns.push(Column { name: "Currency".to_owned(), numeric: false });
    shows.push(Shows::Currency);
    for (position, metric) in query.metrics.iter().enumerate() {
        columns.push(Column { name: metric.name.to_owned(), numeric: metric.unit != Unit::Word });
        shows.push(Shows::Metric(position));
    }
    let total = total(&answer, query, columns.len() - query.metrics.len());
    let rows = answer.rows.len();
    let (world, asked, metrics, rate) = (Arc::clone(ask.world), query.axes.clone(), query.metrics.clone(), query.rate);
    let cell = move |row: usize, column: usize| {
        let row = &answer.rows[row];
        match shows[column] {
            Shows::Id(axis) => asked[axis].texts(&world, row.key[axis]).0,
            Shows::Name(axis) => asked[axis].texts(&world, row.key[axis]).1,
            Shows::Currency => currency.clone(),
            Shows::Metric(metric) => metric_text(&answer, row, &metrics[metric], rate),
        }
    };
    let cell = Box::new(cell);
    Table { columns, rows, cell, total, kind: "StatisticsReport", envelope: Envelope::TotalRows, keys: KeyCase::Pascal }
}

/// `Total` covers the rows that are sent, not those that were dropped (not documented by Criteo).
fn total(answer: &Answer, query: &Query, first: usize) -> Vec<(usize, String)> {
    let row = answer.total();
    let texts = query.metrics.iter().map(|metric| metric_text(answer, &row, metric, query.rate));
    texts.enumerate().map(|(position, text)| (first + position, text)).collect()
}

/// The wire text of a metric; the same amount in different rows may be spelled differently.
pub(super) fn metric_text(answer: &Answer, row: &Row, metric: &Metric, rate: i64) -> String {
    let key = row.key.iter().fold(seed_of(metric.name), |seed, code| mix(&[seed, u64::from(*code)]));
    wire::text(answer.value(row, metric, rate), key)
}
