//! From what is wanted and what is there to the days each report table asks for.
//!
//! Days that Criteo does not keep, or does not have yet, are left out, loudly. Days that an interrupted run of the same
//! backfill published are left out, unless it was forced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use super::density::{Density, RowCounts};
use super::plan::{WindowLimits, WindowQueue, days_to_pull};
use super::reconcile::TotalsQuery;
use super::summary::{Code, Notice};
use crate::catalog::{Connector, ListScope, Table};
use crate::criteo::Calls;
use crate::dates::{DateRange, contiguous_ranges, months_before};
use crate::ledger::{Ledger, PartitionRecord, PartitionStatus};
use crate::settings::Settings;

/// Which days a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Missing days, the look-back, and today's snapshots.
    Pull,
    /// Exactly these days; with `force` also those that an interrupted run of the same backfill published.
    Backfill {
        /// Both ends included.
        days: DateRange,
        /// Fetch everything again.
        force: bool,
    },
}

impl Scope {
    /// The range of a backfill.
    pub fn days(self) -> Option<DateRange> {
        match self {
            Self::Pull => None,
            Self::Backfill { days, .. } => Some(days),
        }
    }
}

/// A report table and the days to ask for.
#[derive(Clone, Debug)]
pub struct PlannedTable {
    /// The table.
    pub table: Arc<Table>,
    /// The days.
    pub days: BTreeSet<NaiveDate>,
}

/// What a run will do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Report tables.
    pub reports: Vec<PlannedTable>,
    /// Entity tables whose snapshot will be taken.
    pub snapshots: Vec<Arc<Table>>,
    /// Partitions that an earlier run of the same backfill had published.
    pub resumed_partitions: u64,
    /// What was left out, and why.
    pub notices: Vec<Notice>,
}

/// What a table is expected to cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Forecast {
    /// Days that will be asked for.
    pub days: u64,
    /// First of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// Last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// Requests those days are cut into.
    pub windows: u64,
    /// Calls, totals included.
    pub calls: u64,
    /// Nothing is known of this table's rows yet: it may be more.
    pub is_guess: bool,
}

/// Everything a plan depends on.
pub struct Planner<'p> {
    /// Settings.
    pub settings: &'p Settings,
    /// Days wanted.
    pub scope: Scope,
    /// What is there.
    pub ledger: &'p Ledger,
    /// Advertisers to ask for.
    pub advertisers: Vec<&'p str>,
    /// Unfinished runs of the same backfill.
    pub earlier_runs: &'p [String],
}

impl Planner<'_> {
    /// Plans these tables.
    pub fn plan(&self, tables: Vec<Table>) -> Plan {
        let mut plan = Plan::default();
        let (reports, entities): (Vec<_>, Vec<_>) =
            tables.into_iter().map(Arc::new).partition(|table| table.is_report());
        for table in reports {
            let days = self.days(&table, &mut plan);
            plan.reports.push(PlannedTable { table, days });
        }
        plan.snapshots = self.wanted_snapshots(entities, &mut plan.notices);
        plan
    }

    fn days(&self, table: &Table, plan: &mut Plan) -> BTreeSet<NaiveDate> {
        let settings = self.settings;
        let reread_ages = table.reread_ages(settings.lookback_days);
        let mut days = match self.scope {
            Scope::Pull => days_to_pull(settings.as_of, settings.start_date, &reread_ages, |day| {
                self.ledger.partition(&table.name, day).is_some_and(|record| self.is_settled(record))
            }),
            Scope::Backfill { days, .. } => days.days().collect(),
        };
        if let (Scope::Pull, Some(oldest)) = (self.scope, settings.oldest_kept()) {
            // They would be deleted at the end of the run.
            days = days.split_off(&oldest);
        }
        self.clamp(table, &mut days, &mut plan.notices);
        if let Scope::Backfill { force: false, .. } = self.scope {
            let before = days.len();
            days.retain(|&day| !self.was_published(&table.name, day));
            plan.resumed_partitions += (before - days.len()) as u64;
        }
        days
    }

    /// Whether a partition outside the look-back can stay as it is: it was read for the last time, its sums agree, its
    /// file is there, and no advertiser that may be asked again is missing from it. After weeks without a run there are
    /// days that were last read while they were young; they are read once more.
    fn is_settled(&self, record: &PartitionRecord) -> bool {
        record.status == PartitionStatus::Final && self.is_whole(record)
    }

    fn is_whole(&self, record: &PartitionRecord) -> bool {
        let is_whole = !record.without_advertisers.iter().any(|id| self.advertisers.contains(&id.as_str()));
        is_whole && self.ledger.is_live(record).unwrap_or(false)
    }

    fn was_published(&self, table: &str, day: NaiveDate) -> bool {
        let record = self.ledger.partition(table, day);
        record.is_some_and(|record| {
            let is_fine = record.status != PartitionStatus::Mismatch && self.is_whole(record);
            is_fine && self.earlier_runs.contains(&record.run_id)
        })
    }

    fn clamp(&self, table: &Table, days: &mut BTreeSet<NaiveDate>, notices: &mut Vec<Notice>) {
        let as_of = self.settings.as_of;
        if let Some(months) = table.endpoint().history_months {
            let earliest = months_before(as_of, months);
            let kept = days.split_off(&earliest);
            let lost = std::mem::replace(days, kept);
            let message =
                format!("Criteo keeps {months} months of `{}`: days before {earliest} are left out", table.name);
            notices.extend(left_out(Code::BeyondRetention, message, table, &lost));
        }
        let newest_age = table.report().map_or(0, |report| report.newest_age);
        let newest = as_of.checked_sub_days(Days::new(newest_age.into()));
        let Some(end) = newest.and_then(|newest| newest.succ_opt()) else { return };
        let early = days.split_off(&end);
        let message = format!("`{}` has no data for these days yet: they are left out", table.name);
        notices.extend(left_out(Code::NotYetAvailable, message, table, &early));
    }

    /// A snapshot can only be of today; a backfill takes it if its range holds today.
    fn wanted_snapshots(&self, tables: Vec<Arc<Table>>, notices: &mut Vec<Notice>) -> Vec<Arc<Table>> {
        let Some(days) = self.scope.days() else { return tables };
        if days.contains(self.settings.as_of) {
            return tables;
        }
        let selected = tables.iter().filter(|table| self.settings.selected_tables.contains(&table.name));
        notices.extend(selected.map(|table| {
            let name = &table.name;
            let message = format!("`{name}` is a snapshot of today; the past cannot be fetched");
            let remedy = format!("`criteo-source pull --tables {name}` takes today's snapshot");
            Notice::new(Code::SnapshotNotBackfillable, message).remedy(remedy).table(name)
        }));
        Vec::new()
    }

    /// What each table of a plan is expected to cost.
    pub fn forecasts(&self, plan: &Plan) -> BTreeMap<String, Forecast> {
        let reports = plan.reports.iter().map(|planned| (planned.table.name.clone(), self.report_forecast(planned)));
        let snapshots = plan.snapshots.iter().map(|table| (table.name.clone(), self.snapshot_forecast(table)));
        reports.chain(snapshots).collect()
    }

    fn report_forecast(&self, planned: &PlannedTable) -> Forecast {
        let PlannedTable { table, days } = planned;
        let density = Density::recorded(self.ledger, &table.name, &self.advertisers);
        let is_guess = density.is_unknown();
        let limits = WindowLimits::of(table, table.endpoint().row_cap);
        let mut queue = WindowQueue::new(days.clone(), limits, density);
        let mut windows = 0;
        while let Some(window) = queue.next_window() {
            windows += queue.groups(window).len() as u64;
            // Where nothing is known, few rows are assumed: this is the least it can be.
            if is_guess {
                queue.learn(window, &RowCounts::new());
            }
        }
        let requests = limits.responses;
        let totals = if TotalsQuery::new(table, self.settings).is_none() || days.is_empty() {
            0
        } else {
            contiguous_ranges(days).len() as u64 * requests
        };
        Forecast {
            days: days.len() as u64,
            from: days.first().copied(),
            to: days.last().copied(),
            windows,
            calls: windows * requests + totals,
            is_guess: is_guess && !days.is_empty(),
        }
    }

    fn snapshot_forecast(&self, table: &Table) -> Forecast {
        let last = self.ledger.partitions(&table.name).next_back();
        let advertisers = self.advertisers.len() as u64;
        let guess = match table.endpoint().list_scope() {
            Some(ListScope::Account) => 1,
            Some(ListScope::Search) => advertisers.div_ceil(50),
            Some(ListScope::AdSet) => {
                self.ledger.partitions("ad_sets").next_back().map_or(advertisers, |record| record.rows)
            }
            Some(ListScope::Advertiser) | None => 2 * advertisers,
        };
        let today = Some(self.settings.as_of);
        let calls = last.map_or(guess, |record| record.calls);
        Forecast { days: 1, from: today, to: today, windows: 1, calls, is_guess: last.is_none() }
    }
}

fn left_out(code: Code, message: String, table: &Table, days: &BTreeSet<NaiveDate>) -> Option<Notice> {
    let range = DateRange::new(*days.first()?, *days.last()?)?;
    Some(Notice::new(code, message).table(&table.name).days(range))
}

/// The calls of all tables, by quota class, `advertisers/me` included.
pub fn planned_calls(plan: &Plan, forecasts: &BTreeMap<String, Forecast>) -> Calls {
    let calls = |name: &str| forecasts.get(name).map_or(0, |forecast| forecast.calls);
    let report = plan.reports.iter().map(|planned| calls(&planned.table.name)).sum();
    let listed = plan.snapshots.iter().filter(|table| table.endpoint != Connector::PORTFOLIO);
    let default = 1 + listed.map(|table| calls(&table.name)).sum::<u64>();
    Calls { report, default, token: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::settings::{Environment, Overrides};
    use crate::store::Store;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn settings(tables: &[&str]) -> Settings {
        let known: Vec<&str> = Catalog::get().tables().collect();
        let flags = Overrides {
            as_of: Some(day("2026-11-22")),
            tables: tables.iter().map(|&name| name.to_owned()).collect(),
            ..Overrides::default()
        };
        let no_variables: [(&str, &str); 0] = [];
        let environment = Environment::from_pairs(no_variables);
        Settings::resolve(&flags, &environment, None, &known, chrono::Utc::now()).unwrap().0
    }

    fn plan(tables: &[&str], from: &str, to: &str) -> (Plan, BTreeMap<String, Forecast>) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::read(&Store::read_only(folder.path())).unwrap();
        let settings = settings(tables);
        let scope = Scope::Backfill { days: DateRange::new(day(from), day(to)).unwrap(), force: false };
        let planner =
            Planner { settings: &settings, scope, ledger: &ledger, advertisers: vec!["1", "2"], earlier_runs: &[] };
        let resolve = |name: &&str| Catalog::get().resolve(name, &TableOverrides::default()).unwrap().0;
        let plan = planner.plan(tables.iter().map(resolve).collect());
        let forecasts = planner.forecasts(&plan);
        (plan, forecasts)
    }

    fn codes(plan: &Plan) -> Vec<&str> {
        plan.notices.iter().map(|notice| notice.code.name()).collect()
    }

    #[test]
    fn days_beyond_retention_are_left_out_and_said() {
        let (plan, _) = plan(&["ad_statistics_daily", "placements_daily"], "2024-11-20", "2024-11-23");
        assert_eq!(plan.reports[0].days, [day("2024-11-22"), day("2024-11-23")].into());
        assert_eq!(plan.reports[1].days, BTreeSet::new());
        assert_eq!(codes(&plan), ["beyond_retention", "beyond_retention"]);
    }

    #[test]
    fn todays_placements_and_the_future_are_not_asked_for() {
        let (plan, _) = plan(&["ad_statistics_daily", "placements_daily"], "2026-11-21", "2026-11-23");
        assert_eq!(plan.reports[0].days, [day("2026-11-21"), day("2026-11-22")].into());
        assert_eq!(plan.reports[1].days, [day("2026-11-21")].into());
        assert_eq!(codes(&plan), ["not_yet_available", "not_yet_available"]);
    }

    #[test]
    fn a_snapshot_belongs_to_a_backfill_that_holds_today() {
        assert_eq!(plan(&["campaigns"], "2026-11-20", "2026-11-22").0.snapshots.len(), 1);
        let (past, _) = plan(&["campaigns"], "2026-11-20", "2026-11-21");
        assert_eq!((past.snapshots.len(), codes(&past)), (0, vec!["snapshot_not_backfillable"]));
    }

    #[test]
    fn placements_cost_two_calls_a_day_and_one_of_each_for_the_totals() {
        let (_, forecasts) = plan(&["placements_daily"], "2026-11-12", "2026-11-21");
        let forecast = &forecasts["placements_daily"];
        assert_eq!((forecast.days, forecast.windows, forecast.calls, forecast.is_guess), (10, 10, 22, true));
    }
}
