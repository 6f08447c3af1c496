//! Sums of what was pulled, against Criteo's own totals by day and advertiser.
//!
//! The totals come from a small query of the same report with fewer dimensions. What may differ without anything
//! missing: Criteo rounds each row, so that amounts of many rows drift by up to half a cent a row, and restates recent
//! days between two queries. Counts of displays and clicks do not round: a missing row shows there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

use crate::catalog::{Catalog, Column, ColumnType, CustomReport, Extract, Grain, Table, TableOverrides, TotalsBy};
use crate::dates::DateRange;
use crate::ledger::{AdvertiserCounts, Difference};
use crate::settings::Settings;
use crate::table::decode::{ADVERTISER_ID, ReportLayout};
use crate::table::numeric::format_numeric;
use crate::table::partitions::{Partition, Partitions};

/// Billionths that one row may be off by rounding: half a cent.
const ROUNDING_PER_ROW: i128 = 5_000_000;
/// Differences kept per partition.
const MAX_DIFFERENCES: usize = 20;

/// Sums by advertiser: of each column compared, in the query's order, in billionths, and how many rows went in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<String, AdvertiserSums>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct AdvertiserSums {
    rows: u64,
    columns: Box<[i128]>,
}

impl AdvertiserSums {
    fn column(&self, position: usize) -> i128 {
        self.columns.get(position).copied().unwrap_or_default()
    }
}

impl Sums {
    /// The sums of one partition's rows, over the columns named.
    pub fn of_rows(layout: &ReportLayout, rows: Partition<'_>, columns: &[String]) -> Self {
        let position = |name: &str| layout.columns().position(|column| column.name == name);
        let mut sums = Self::default();
        let Some(advertiser) = position(ADVERTISER_ID) else { return sums };
        let positions: Vec<Option<usize>> = columns.iter().map(|name| position(name)).collect();
        let known: Vec<usize> = positions.iter().copied().flatten().collect();
        for (id, rows, values) in rows.sums_by_text(advertiser, &known) {
            let mut values = values.into_iter();
            let columns = positions.iter().map(|position| position.and_then(|_| values.next()).unwrap_or_default());
            sums.0.insert(id.to_owned(), AdvertiserSums { rows, columns: columns.collect() });
        }
        sums
    }

    /// The sums of these advertisers only.
    #[must_use]
    pub fn only(&self, advertisers: &[String]) -> Self {
        let wanted = self.0.iter().filter(|(id, _)| advertisers.contains(id));
        Self(wanted.map(|(id, sums)| (id.clone(), sums.clone())).collect())
    }

    /// Rows and sums of these advertisers, as records keep them; who has no rows is absent.
    pub fn counts(&self, columns: &[String]) -> BTreeMap<String, AdvertiserCounts> {
        let counts = |sums: &AdvertiserSums| {
            let named = columns.iter().enumerate();
            let sums_of = named.map(|(at, name)| (name.clone(), format_numeric(sums.column(at)))).collect();
            AdvertiserCounts { rows: sums.rows, sums: sums_of }
        };
        self.0.iter().map(|(id, sums)| (id.clone(), counts(sums))).collect()
    }

    /// Adds other sums to these.
    pub fn add(&mut self, other: &Self) {
        for (id, more) in &other.0 {
            let entry = self.0.entry(id.clone()).or_default();
            entry.rows += more.rows;
            let length = entry.columns.len().max(more.columns.len());
            entry.columns = (0..length).map(|at| entry.column(at).saturating_add(more.column(at))).collect();
        }
    }

    /// Where these sums of pulled rows are not `totals`, beyond what rounding explains. `columns` are the names of what was
    /// summed.
    pub fn differences(&self, totals: &Self, columns: &[String], exact: impl Fn(&str) -> bool) -> Vec<Difference> {
        let nothing = AdvertiserSums::default();
        let ids: BTreeSet<&String> = self.0.keys().chain(totals.0.keys()).collect();
        let mut differences = Vec::new();
        for id in ids {
            let (pulled, total) = (self.0.get(id).unwrap_or(&nothing), totals.0.get(id).unwrap_or(&nothing));
            for (at, name) in columns.iter().enumerate() {
                let allowed = if exact(name) { 0 } else { ROUNDING_PER_ROW * i128::from(pulled.rows.max(1)) };
                let (pulled, total) = (pulled.column(at), total.column(at));
                if pulled.abs_diff(total) > allowed.unsigned_abs() && differences.len() < MAX_DIFFERENCES {
                    differences.push(Difference {
                        advertiser_id: id.clone(),
                        column: name.clone(),
                        pulled: format_numeric(pulled),
                        total: format_numeric(total),
                    });
                }
            }
        }
        differences
    }
}

/// How a table's totals are requested.
#[derive(Clone, Debug)]
pub struct TotalsQuery {
    /// The table with no dimensions but day and advertiser.
    pub table: Arc<Table>,
    /// Its layout.
    pub layout: Arc<ReportLayout>,
    /// The columns compared.
    pub columns: Vec<String>,
}

impl TotalsQuery {
    /// The query for `table`; `None` where there is nothing to add up, or Criteo has no totals (transactions).
    pub fn new(table: &Table, settings: &Settings) -> Option<Self> {
        let metrics = additive_metrics(table)?;
        let totals = match table.report()?.totals {
            TotalsBy::None => return None,
            TotalsBy::PerRange => {
                let dimensions = Some(vec!["AdvertiserId".to_owned()]);
                let overrides = TableOverrides { metrics: Some(metrics), dimensions, ..TableOverrides::default() };
                Catalog::get().resolve(&table.name, &overrides).ok()?.0
            }
            TotalsBy::PerDay => {
                let (name, dimensions) = ("totals".to_owned(), vec!["AdvertiserId".to_owned()]);
                let report = CustomReport { name, grain: Grain::Day, dimensions, metrics };
                Catalog::get().custom_report(&report).ok()?.0
            }
        };
        let layout = ReportLayout::new(&totals, settings.timezone, &settings.currency)?;
        let columns = additive_columns(table).map(|column| column.name.clone()).collect();
        Some(Self { table: Arc::new(totals), layout: Arc::new(layout), columns })
    }

    /// Whether a column counts whole things, so that its sums must agree exactly.
    pub fn is_exact(&self, column: &str) -> bool {
        self.table.columns.iter().any(|known| known.name == column && known.column_type == ColumnType::Integer)
    }

    /// Totals from rows of this query.
    pub fn sums(&self, rows: Partition<'_>) -> Sums {
        Sums::of_rows(&self.layout, rows, &self.columns)
    }

    /// The advertisers that rows of this query name.
    fn advertisers(&self, rows: Partition<'_>) -> Vec<String> {
        self.layout.advertisers(rows).map(|(id, _)| id.to_owned()).collect()
    }
}

/// Criteo's totals by day and advertiser, in the answers they came in: two years of twenty advertisers are half a million
/// numbers that are needed until the run ends, a few at a time.
#[derive(Debug, Default)]
pub struct Totals {
    answers: Vec<Partitions>,
    /// Which answer has a day's; a day without rows is known to have none.
    newest: BTreeMap<NaiveDate, usize>,
}

impl Totals {
    /// Takes the totals of these days, instead of what was known of them.
    pub fn learn(&mut self, days: DateRange, answer: Partitions) {
        self.newest.extend(days.days().map(|day| (day, self.answers.len())));
        self.answers.push(answer);
    }

    /// What was read of a day cannot be used.
    pub fn forget(&mut self, day: NaiveDate) {
        self.newest.remove(&day);
    }

    /// A day's totals; `None` if they have not been read.
    pub fn of(&self, query: &TotalsQuery, day: NaiveDate) -> Option<Sums> {
        let answer = self.newest.get(&day)?;
        Some(query.sums(self.answers[*answer].day(day)))
    }

    /// The advertisers that have rows, for each day whose totals were read.
    pub fn activity(&self, query: &TotalsQuery) -> BTreeMap<NaiveDate, Vec<String>> {
        let advertisers =
            |(day, answer): (&NaiveDate, &usize)| (*day, query.advertisers(self.answers[*answer].day(*day)));
        self.newest.iter().map(advertisers).collect()
    }
}

/// What each advertiser has in rows: how many, and the sums of what counts whole things.
pub fn advertiser_counts(layout: &ReportLayout, rows: Partition<'_>) -> BTreeMap<String, AdvertiserCounts> {
    let is_count = |column: &&Column| column.is_summed() && column.column_type == ColumnType::Integer;
    let columns: Vec<String> = layout.columns().filter(is_count).map(|column| column.name.clone()).collect();
    Sums::of_rows(layout, rows, &columns).counts(&columns)
}

fn additive_columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.is_summed())
}

/// Criteo's names of the metrics that may be added up; `None` when there are none.
fn additive_metrics(table: &Table) -> Option<Vec<String>> {
    let Extract::Report { metrics, .. } = &table.extract else { return None };
    let additive: Vec<&str> = additive_columns(table).filter_map(Column::source).collect();
    let metrics: Vec<String> = metrics.iter().filter(|metric| additive.contains(&metric.as_str())).cloned().collect();
    (!metrics.is_empty()).then_some(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(rows: u64, clicks: i128, cost: i128) -> Sums {
        let columns = Box::new([clicks * 1_000_000_000, cost]);
        Sums([("1".to_owned(), AdvertiserSums { rows, columns })].into())
    }

    fn differing(pulled: &Sums, totals: &Sums) -> Vec<String> {
        let columns = ["clicks", "cost"].map(str::to_owned);
        let differences = pulled.differences(totals, &columns, |name| name == "clicks");
        differences.into_iter().map(|difference| difference.column).collect()
    }

    #[test]
    fn a_missing_row_shows_in_the_counts() {
        assert_eq!(differing(&sums(9, 9, 0), &sums(1, 10, 0)), ["clicks"]);
    }

    #[test]
    fn half_a_cent_a_row_is_rounding_and_more_is_not() {
        assert_eq!(differing(&sums(10, 1, 1_000_000_000), &sums(1, 1, 1_050_000_000)), Vec::<String>::new());
        assert_eq!(differing(&sums(10, 1, 1_000_000_000), &sums(1, 1, 1_050_000_001)), ["cost"]);
    }

    #[test]
    fn an_advertiser_that_only_one_side_has_differs() {
        assert_eq!(differing(&Sums::default(), &sums(1, 1, 0)), ["clicks"]);
        assert_eq!(differing(&sums(1, 0, 0), &Sums::default()), Vec::<String>::new());
    }
}
