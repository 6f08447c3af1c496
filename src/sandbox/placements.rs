//! `POST /placements/report` (API.md 3.2 and 4.3).
//!
//! No date among the dimensions: a row is a total over the range. Ids and names are dimensions of their own and come
//! only when requested. `disclosed` splits the placements in two sets without overlap.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Ask;
use super::aggregate::{self, Axis, Places, Query};
use super::faults::{Envelope, KeyCase};
use super::metrics;
use super::problem::Problem;
use super::request::{Request, consented};
use super::statistics::{distinct, metric_text};
use super::table::{Column, Table};
use super::world::World;

/// The dimensions, their axis, and whether they show its id.
const DIMENSIONS: [(&str, Axis, bool); 12] = [
    ("AdsetId", Axis::AdSet, true),
    ("AdvertiserId", Axis::Advertiser, true),
    ("Placement", Axis::Place, false),
    ("Environment", Axis::Environment, false),
    ("AdsetName", Axis::AdSet, false),
    ("AdvertiserName", Axis::Advertiser, false),
    ("CampaignId", Axis::Campaign, true),
    ("CampaignName", Axis::Campaign, false),
    ("AdChannel", Axis::AdChannel, false),
    ("SocialPlatform", Axis::SocialPlatform, false),
    ("CategoryId", Axis::Category, true),
    ("CategoryName", Axis::Category, false),
];

const PROPERTIES: [&str; 13] = [
    "adsetIds",
    "advertiserIds",
    "campaignIds",
    "currency",
    "dimensions",
    "disclosed",
    "endDate",
    "environment",
    "format",
    "metrics",
    "placement",
    "startDate",
    "timezone",
];

/// A dimension that was requested.
pub(super) type Dimension = (&'static str, Axis, bool);

/// The dimension of this name, in any case.
pub(super) fn dimension_named(name: &str) -> Option<Dimension> {
    DIMENSIONS.into_iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
}

/// Answers a request; more rows than the cap are dropped without a word.
pub(super) fn report(ask: &Ask<'_>, body: &Json) -> Result<Table, Problem> {
    let request = Request::wrapped(body, &PROPERTIES)?;
    let ids = request.advertiser_ids()?;
    let (from, to) = request.range(ask.today, 3)?;
    let (_, rate) = request.currency()?;
    request.json_only()?;
    let dimensions = request.chosen("dimensions", dimension_named)?;
    let metrics = request.chosen("metrics", metrics::of_placements)?;
    if dimensions.is_empty() || metrics.is_empty() {
        return Err(Problem::required("At least one dimension and one metric must be provided."));
    }
    let environment = request.text("environment")?;
    if environment.is_some_and(|environment| !["Web", "Android", "Ios"].contains(&environment)) {
        return Err(Problem::invalid("The environment is not valid."));
    }
    let places = Places {
        disclosed: request.flag("disclosed")?.unwrap_or(true),
        environment: environment.map(str::to_owned),
        name: request.text("placement")?.map(str::to_owned),
    };
    let query = Query {
        ad_sets: ad_sets(ask.world, &request)?,
        zone: request.zone()?,
        advertisers: consented(ask.world, ask.lost, &ids)?,
        from,
        to,
        axes: distinct(dimensions.iter().map(|(_, axis, _)| *axis).collect()),
        metrics,
        rate,
        places: Some(places),
    };
    Ok(table(ask, &query, &dimensions, ask.options.placements_cap))
}

fn ad_sets(world: &World, request: &Request<'_>) -> Result<Option<BTreeSet<usize>>, Problem> {
    let (ids, campaigns) = (request.list("adsetIds")?, request.list("campaignIds")?);
    if ids.is_none() && campaigns.is_none() {
        return Ok(None);
    }
    let among = |list: &Option<Vec<&str>>, id: &str| list.as_ref().is_none_or(|list| list.contains(&id));
    let kept = world
        .ad_sets
        .iter()
        .enumerate()
        .filter(|(_, ad_set)| among(&ids, &ad_set.id) && among(&campaigns, &world.campaigns[ad_set.campaign].id));
    Ok(Some(kept.map(|(at, _)| at).collect()))
}

/// The answer as a table of at most `cap` rows: exactly the dimensions and metrics requested.
pub(super) fn table(ask: &Ask<'_>, query: &Query, dimensions: &[Dimension], cap: usize) -> Table {
    let mut answer = aggregate::run(ask.world, ask.today, query);
    answer.rows.truncate(cap);
    let named = |name: &str, numeric| Column { name: name.to_owned(), numeric };
    let columns: Vec<Column> = dimensions
        .iter()
        .map(|(name, ..)| named(name, false))
        .chain(query.metrics.iter().map(|metric| named(metric.name, true)))
        .collect();
    let rows = answer.rows.len();
    let (world, asked, metrics, rate) = (Arc::clone(ask.world), query.axes.clone(), query.metrics.clone(), query.rate);
    let dimensions = dimensions.to_vec();
    let cell = move |row: usize, column: usize| {
        let row = &answer.rows[row];
        let Some((_, axis, shows_id)) = dimensions.get(column) else {
            return metric_text(&answer, row, &metrics[column - dimensions.len()], rate);
        };
        let at = asked.iter().position(|other| other == axis).expect("every dimension has its axis in the query");
        let (id, name) = axis.texts(&world, row.key[at]);
        if *shows_id { id } else { name }
    };
    Table {
        columns,
        rows,
        cell: Box::new(cell),
        total: Vec::new(),
        kind: "PlacementsReport",
        envelope: Envelope::DataAttributesRows,
        keys: KeyCase::Camel,
    }
}
