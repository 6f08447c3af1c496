//! How a request at the row cap is cut: into parts that together request exactly the same rows, each once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{Column, ColumnType, DaySource, Division, EndpointId, Extract, Grain, Job, Mode, Origin, Table};
use crate::criteo::ReportFilter;
use crate::dates::DateRange;
use crate::settings::Settings;
use crate::table::columns::{Rows, Value};
use crate::table::decode::ReportLayout;

/// What the placements report can filter by.
const ENVIRONMENTS: [&str; 3] = ["Web", "Android", "Ios"];

/// Whether to request disclosed and undisclosed placements: both, where the table tells them apart.
pub(super) fn disclosures(table: &Table) -> Vec<Option<bool>> {
    match table.report() {
        Some(report) if report.has_undisclosed && table.has_origin(&Origin::Disclosed) => vec![Some(true), Some(false)],
        // Criteo's default; whether undisclosed placements have categories is not documented.
        Some(report) if report.has_undisclosed => vec![Some(true)],
        _ => vec![None],
    }
}

/// One request's share of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which rows.
    pub filter: ReportFilter,
    /// Rows that are expected, where something is known of them.
    pub expected_rows: Option<u64>,
    /// Requested to find out which advertisers have no answer.
    pub is_diagnosis: bool,
}

impl Part {
    /// Everything of these days and advertisers.
    pub(super) fn new(days: DateRange, advertisers: Vec<String>, disclosed: Option<bool>) -> Self {
        let filter = ReportFilter::new(days, advertisers, disclosed);
        Self { filter, expected_rows: None, is_diagnosis: false }
    }

    /// The same of these advertisers only.
    pub(super) fn of(&self, advertisers: Vec<String>) -> Self {
        self.with(|filter| filter.advertisers = advertisers)
    }

    fn with(&self, change: impl FnOnce(&mut ReportFilter)) -> Self {
        let mut part = self.clone();
        change(&mut part.filter);
        part
    }

    /// Two parts with half the advertisers, or half the ad sets, each.
    pub(super) fn halves(&self) -> Option<Vec<Self>> {
        self.advertiser_halves().or_else(|| {
            let (first, second) = halve(self.filter.ad_sets.as_ref()?)?;
            Some([first, second].map(|ids| self.with(|filter| filter.ad_sets = Some(ids))).into())
        })
    }

    /// Two parts with half the advertisers each.
    pub(super) fn advertiser_halves(&self) -> Option<Vec<Self>> {
        let (first, second) = halve(&self.filter.advertisers)?;
        Some([first, second].map(|advertisers| self.of(advertisers)).into())
    }

    /// Whether it is divided in this way already.
    pub(super) fn is_divided_by(&self, division: Division) -> bool {
        match division {
            Division::AdSet => self.filter.ad_sets.is_some(),
            Division::Environment => self.filter.environment.is_some(),
            Division::EventType => self.filter.event_type.is_some(),
        }
    }

    /// Two parts with half of `ids` each.
    pub(super) fn by_ad_sets(&self, ids: Vec<String>) -> Vec<Self> {
        let whole = self.with(|filter| filter.ad_sets = Some(ids));
        whole.halves().unwrap_or_else(|| vec![whole])
    }

    /// A part for each environment, if Criteo's filter has them all (Criteo OpenAPI 2026-07: `Web`, `Android`, `Ios`).
    pub fn by_environment(&self, environments: &[String]) -> Option<Vec<Self>> {
        let filter = |name: &String| ENVIRONMENTS.iter().find(|known| known.eq_ignore_ascii_case(name));
        let known: Option<BTreeSet<&str>> = environments.iter().map(|name| filter(name).copied()).collect();
        let part = |name: &str| self.with(|filter| filter.environment = Some(name.to_owned()));
        Some(known?.into_iter().map(part).collect())
    }

    /// Whether nothing tells its rows apart in a request, where a report has no ad sets to filter by.
    pub(super) fn is_indivisible(&self) -> bool {
        self.halves().is_none() && self.by_event_type().is_none()
    }

    /// A part for each kind of event (Criteo OpenAPI 2026-07: `Click`, `Display`), unless it already is one.
    pub(super) fn by_event_type(&self) -> Option<Vec<Self>> {
        if self.filter.event_type.is_some() {
            return None;
        }
        Some(["Click", "Display"].map(|event| self.with(|filter| filter.event_type = Some(event.to_owned()))).into())
    }
}

impl std::fmt::Display for Part {
    /// For messages: "of advertisers 1, 2 for 2026-11-01".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filter = &self.filter;
        match filter.advertisers.as_slice() {
            [one] => write!(f, "of advertiser {one}")?,
            few if few.len() <= 3 => write!(f, "of advertisers {}", few.join(", "))?,
            many => write!(f, "of {} advertisers ({} to {})", many.len(), many[0], many[many.len() - 1])?,
        }
        if let Some(ad_sets) = &filter.ad_sets {
            write!(f, ", {} ad sets", ad_sets.len())?;
        }
        for value in [&filter.environment, &filter.event_type].into_iter().flatten() {
            write!(f, ", {value}")?;
        }
        match filter.disclosed {
            Some(true) => f.write_str(", disclosed")?,
            Some(false) => f.write_str(", undisclosed")?,
            None => {}
        }
        write!(f, " for {}", filter.days)
    }
}

fn halve(ids: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    if ids.len() < 2 {
        return None;
    }
    let (first, second) = ids.split_at(ids.len() / 2);
    Some((first.to_vec(), second.to_vec()))
}

/// The values a dimension has in some rows.
#[derive(Debug, PartialEq, Eq)]
pub enum Values {
    /// All rows have one of these.
    Known(Vec<String>),
    /// Some rows have none, and cannot be requested by it.
    Unnamed,
}

impl Values {
    /// From the rows of [`value_table`].
    pub fn from_rows(rows: &Rows) -> Self {
        let values = (0..rows.len()).map(|row| match rows.columns()[VALUE_COLUMN].get(row) {
            Value::Text(value) => Some(value.to_owned()),
            _ => None,
        });
        match values.collect::<Option<BTreeSet<_>>>() {
            Some(values) => Self::Known(values.into_iter().collect()),
            None => Self::Unnamed,
        }
    }
}

const VALUE_COLUMN: usize = 1;

/// An internal table of nothing but the values of one dimension, for the report that `endpoint` serves.
pub fn value_table(endpoint: EndpointId, dimension: &str, settings: &Settings) -> (Arc<Table>, Arc<ReportLayout>) {
    let column = |name: &str, column_type, origin| Column {
        name: name.to_owned(),
        column_type,
        mode: Mode::Nullable,
        origin,
        description: String::new(),
        additive: false,
    };
    let table = Table {
        name: format!("values of {dimension}"),
        job: Job::Analytics,
        endpoint,
        description: String::new(),
        primary_key: vec!["value".to_owned()],
        partition_by: "day".to_owned(),
        columns: vec![
            column("day", ColumnType::Date, Origin::Day(DaySource::Requested)),
            column("value", ColumnType::String, Origin::Field(dimension.to_owned())),
        ],
        extract: Extract::Report {
            grain: Grain::Day,
            dimensions: vec![dimension.to_owned()],
            metrics: vec!["Displays".to_owned()],
        },
        enabled: false,
        reread_ages: None,
    };
    let layout = ReportLayout::new(&table, settings.timezone, &settings.currency).expect("it is a report table");
    (Arc::new(table), Arc::new(layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(advertisers: usize) -> Part {
        let ids = (0..advertisers).map(|id| id.to_string()).collect();
        Part::new(DateRange::single("2026-11-01".parse().expect("a date")), ids, None)
    }

    /// Cuts as `analytics` does, with `rows` giving the rows of each (advertiser, ad set); returns how often each was requested whole.
    fn asked(part: &Part, world: &[Vec<u64>], cap: u64, covered: &mut Vec<(usize, usize)>) -> Result<(), Box<Part>> {
        let advertisers: Vec<usize> = part.filter.advertisers.iter().map(|id| id.parse().expect("a number")).collect();
        let wanted = |ad_set: usize| part.filter.ad_sets.as_ref().is_none_or(|ids| ids.contains(&ad_set.to_string()));
        let pairs: Vec<(usize, usize)> = advertisers
            .iter()
            .flat_map(|&advertiser| (0..world[advertiser].len()).map(move |ad_set| (advertiser, ad_set)))
            .filter(|&(_, ad_set)| wanted(ad_set))
            .collect();
        let rows: u64 = pairs.iter().map(|&(advertiser, ad_set)| world[advertiser][ad_set]).sum();
        if rows < cap {
            covered.extend(pairs);
            return Ok(());
        }
        let ids = |advertiser: usize| (0..world[advertiser].len()).map(|id| id.to_string()).collect::<Vec<_>>();
        let parts = match part.halves() {
            Some(halves) => halves,
            None if part.filter.ad_sets.is_none() && ids(advertisers[0]).len() > 1 => {
                part.by_ad_sets(ids(advertisers[0]))
            }
            None => return Err(Box::new(part.clone())),
        };
        parts.iter().try_for_each(|part| asked(part, world, cap, covered))
    }

    proptest! {
        #[test]
        fn cutting_covers_each_advertiser_and_ad_set_exactly_once(
            world in prop::collection::vec(prop::collection::vec(0_u64..49, 0..12), 1..9),
        ) {
            let mut covered = Vec::new();
            prop_assert_eq!(asked(&part(world.len()), &world, 50, &mut covered), Ok(()));
            covered.sort_unstable();
            let everything: Vec<_> =
                world.iter().enumerate().flat_map(|(advertiser, sets)| (0..sets.len()).map(move |set| (advertiser, set))).collect();
            prop_assert_eq!(covered, everything);
        }
    }

    #[test]
    fn an_ad_set_over_the_cap_cannot_be_cut() {
        let failed = asked(&part(1), &[vec![10, 70]], 50, &mut Vec::new()).expect_err("over the cap");
        assert_eq!(failed.filter.ad_sets, Some(vec!["1".to_owned()]));
    }
}
