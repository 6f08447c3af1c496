//! From what is wanted and what is there to the days each report table asks for.
//!
//! Days that Criteo does not keep, or does not have yet, are left out, loudly. Days that an interrupted run of the same
//! backfill published are left out, unless it was forced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

use super::density::{Density, RowCounts};
use super::plan::{WindowLimits, WindowQueue};
use super::reconcile::TotalsQuery;
use super::settled::{read_for, read_on};
use super::summary::{Code, Notice};
use crate::catalog::{Catalog, Connector, EndpointId, ListScope, ReportFacts, Table, TableOverrides};
use crate::criteo::Calls;
use crate::dates::{DateRange, contiguous_ranges, months_before};
use crate::ledger::{Ledger, PartitionRecord, PartitionStatus, Reconciliation};
use crate::settings::Settings;
use crate::table::parquet::table_schema_version;

/// Days whose totals could not be read that one pull reads again: totals that can never be read must not cost a history a day.
const MAX_UNREAD_DAYS: usize = 31;

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

/// A report table and the days to request. A table comes more than once where some days lack some advertisers only; no day
/// comes twice.
#[derive(Clone, Debug)]
pub struct PlannedTable {
    /// The table.
    pub table: Arc<Table>,
    /// The days.
    pub days: BTreeSet<NaiveDate>,
    /// Only these advertisers; `None` for all of the run.
    pub advertisers: Option<Arc<BTreeSet<String>>>,
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
    /// Days whose file has other columns than the table has now, and that are not fetched again, by table.
    pub outdated: BTreeMap<String, BTreeSet<NaiveDate>>,
    /// Partitions that `keep_days` removes when the run ends, by table.
    pub removals: BTreeMap<String, BTreeSet<NaiveDate>>,
    /// What was left out, and why.
    pub notices: Vec<Notice>,
}

impl Plan {
    /// Partitions that it writes or confirms.
    pub fn partitions(&self) -> u64 {
        let days: usize = self.reports.iter().map(|planned| planned.days.len()).sum();
        (days + self.snapshots.len()) as u64
    }
}

/// What a table is expected to cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Forecast {
    /// Days that will be requested.
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

impl Forecast {
    /// Adds what other days of the same table cost.
    fn add(&mut self, other: &Self) {
        self.days += other.days;
        self.from = self.from.into_iter().chain(other.from).min();
        self.to = self.to.max(other.to);
        self.windows += other.windows;
        self.calls += other.calls;
        self.is_guess |= other.is_guess;
    }
}

/// The days of one table, of all advertisers, and of some.
#[derive(Debug, Default)]
struct PlannedDays {
    of_all: BTreeSet<NaiveDate>,
    of_some: BTreeMap<BTreeSet<String>, BTreeSet<NaiveDate>>,
}

impl PlannedDays {
    fn planned(self, table: &Arc<Table>) -> Vec<PlannedTable> {
        let of_all = PlannedTable { table: Arc::clone(table), days: self.of_all, advertisers: None };
        let of_some = self.of_some.into_iter().filter(|(_, days)| !days.is_empty()).map(|(ids, days)| PlannedTable {
            table: Arc::clone(table),
            days,
            advertisers: Some(Arc::new(ids)),
        });
        std::iter::once(of_all).chain(of_some).collect()
    }
}

/// The days from `start` to the one before `end`.
fn since(start: NaiveDate, end: NaiveDate) -> BTreeSet<NaiveDate> {
    end.pred_opt().and_then(|last| DateRange::new(start, last)).into_iter().flat_map(|range| range.days()).collect()
}

/// The first day of a table that Criteo could give again; `None` for snapshots, which it cannot.
fn recoverable_from(table: &str, as_of: NaiveDate) -> Option<NaiveDate> {
    let endpoint = match Catalog::get().resolve(table, &TableOverrides::default()) {
        Ok((table, _)) if table.is_report() => table.endpoint,
        Ok(_) => return None,
        // What the catalogue does not know is a custom statistics report.
        Err(_) => EndpointId::StatisticsReport,
    };
    let months = Connector::get().endpoint(endpoint).history_months;
    Some(months.map_or(NaiveDate::MIN, |months| months_before(as_of, months)))
}

/// Everything a plan depends on.
pub struct Planner<'p> {
    /// Settings.
    pub settings: &'p Settings,
    /// Days wanted.
    pub scope: Scope,
    /// What is there.
    pub ledger: &'p Ledger,
    /// Advertisers to request.
    pub advertisers: Vec<&'p str>,
    /// Advertisers that an endpoint, named by its path, has no answer for.
    pub unavailable: BTreeSet<(String, String)>,
    /// Unfinished runs of the same backfill.
    pub earlier_runs: &'p [String],
    /// Today by the clock, in the report time zone: no day from it on is requested, whatever `--as-of` says.
    pub today: NaiveDate,
    /// What `keep_days` removes.
    pub removal: Removal,
}

/// Which partitions `keep_days` removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// None: the clock cannot be trusted.
    Nothing,
    /// What Criteo could give again.
    Recoverable,
    /// Everything that is old enough.
    Everything,
}

impl Planner<'_> {
    /// Plans these tables.
    pub fn plan(&self, tables: Vec<Table>) -> Plan {
        let mut plan = Plan::default();
        let (reports, entities): (Vec<_>, Vec<_>) =
            tables.into_iter().map(Arc::new).partition(|table| table.is_report());
        self.announce_start(&reports, &mut plan);
        for table in reports {
            let days = self.days(&table, &mut plan);
            plan.reports.extend(days.planned(&table));
        }
        plan.snapshots = self.wanted_snapshots(entities, &mut plan.notices);
        self.announce_removals(&mut plan);
        plan
    }

    fn days(&self, table: &Table, plan: &mut Plan) -> PlannedDays {
        let settings = self.settings;
        let mut wanted: BTreeSet<NaiveDate> = match self.scope {
            Scope::Pull => since(settings.start_date, settings.as_of),
            Scope::Backfill { days, .. } => days.days().collect(),
        };
        if let (Scope::Pull, Some(oldest)) = (self.scope, settings.oldest_kept()) {
            // They would be deleted at the end of the run.
            wanted = wanted.split_off(&oldest);
        }
        match self.scope {
            Scope::Pull => {
                let mut days = self.unsettled(table, &wanted, plan);
                self.clamp(table, &mut days.of_all, &mut plan.notices);
                let mut ignored = Vec::new();
                days.of_some.values_mut().for_each(|days| self.clamp(table, days, &mut ignored));
                Self::announce_histories(table, &days, plan);
                days
            }
            Scope::Backfill { force, .. } => {
                self.clamp(table, &mut wanted, &mut plan.notices);
                if !force {
                    let before = wanted.len();
                    wanted.retain(|&day| !self.was_published(&table.name, day));
                    plan.resumed_partitions += (before - wanted.len()) as u64;
                }
                PlannedDays { of_all: wanted, of_some: BTreeMap::new() }
            }
        }
    }

    /// The days that a pull requests, and of whom: missing ones, those of an age to be read again, those that were last read
    /// while they were young, those whose sums differ, and those that lack an advertiser, for it alone.
    fn unsettled(&self, table: &Table, wanted: &BTreeSet<NaiveDate>, plan: &mut Plan) -> PlannedDays {
        let settings = self.settings;
        let ages = table.reread_ages(settings.lookback_days);
        let schema_version = table_schema_version(table);
        let unread_totals = self.with_unread_totals(table, wanted);
        let mut days = PlannedDays::default();
        let mut outdated = BTreeSet::new();
        let is_available = |id: &&&str| !self.unavailable.contains(&(table.endpoint().path.clone(), (**id).to_owned()));
        let advertisers: Vec<&str> = self.advertisers.iter().filter(is_available).copied().collect();
        for &day in wanted {
            let record = self.ledger.partition(&table.name, day);
            let Some(record) = record.filter(|record| self.ledger.is_live(record)) else {
                days.of_all.insert(day);
                continue;
            };
            let read_on = read_on(self.ledger, record, settings.timezone);
            let is_due = unread_totals.contains(&day)
                || match record.status {
                    PartitionStatus::Final => false,
                    PartitionStatus::Mismatch => self.may_resolve(record),
                    PartitionStatus::Provisional => ages.is_due(day, read_on, settings.as_of),
                };
            if is_due || ages.is_reread_on(day, settings.as_of) {
                days.of_all.insert(day);
                continue;
            }
            let is_outdated = record.schema_version.as_ref().is_some_and(|version| *version != schema_version);
            let settled = read_for(self.ledger, record);
            let missing: BTreeSet<String> =
                advertisers.iter().filter(|id| !settled.includes(id)).map(|&id| id.to_owned()).collect();
            match missing.len() {
                0 if is_outdated => drop(outdated.insert(day)),
                0 => {}
                // Rows cannot be added to a file of other columns.
                _ if is_outdated || missing.len() == advertisers.len() => drop(days.of_all.insert(day)),
                _ => drop(days.of_some.entry(missing).or_default().insert(day)),
            }
        }
        // What Criteo could not give again stays as it is.
        self.clamp(table, &mut outdated, &mut Vec::new());
        if let (Some(first), Some(last)) = (outdated.first(), outdated.last()) {
            let message = format!(
                "{count} days of `{name}` were fetched with other columns than it has now",
                count = outdated.len(),
                name = table.name,
            );
            let remedy = format!(
                "`criteo-source backfill --from {first} --to {last} --tables {name}` fetches them",
                name = table.name
            );
            let notice = left_out(Code::Outdated, message, table, &outdated);
            plan.notices.extend(notice.map(|notice| notice.remedy(remedy)));
            plan.outdated.insert(table.name.clone(), outdated);
        }
        days
    }

    /// Whether reading a day again may end the doubts about it: not if they are all about advertisers that cannot be requested.
    fn may_resolve(&self, record: &PartitionRecord) -> bool {
        let doubted = record.differences.iter().map(|difference| &difference.advertiser_id);
        let mut doubted = doubted.chain(&record.retained_advertisers).peekable();
        doubted.peek().is_none() || doubted.any(|id| self.advertisers.contains(&id.as_str()))
    }

    /// The newest days whose totals could not be read when they were published, so that nothing confirms them.
    fn with_unread_totals(&self, table: &Table, wanted: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
        let is_unread = |day: &&NaiveDate| {
            let record = self.ledger.partition(&table.name, **day);
            record.is_some_and(|record| {
                record.reconciliation == Some(Reconciliation::Unreadable) && self.may_resolve(record)
            })
        };
        wanted.iter().rev().filter(is_unread).take(MAX_UNREAD_DAYS).copied().collect()
    }

    /// Days before the default start are fetched because the output begins earlier: that may be many.
    fn announce_start(&self, reports: &[Arc<Table>], plan: &mut Plan) {
        let settings = self.settings;
        let Some(default) = settings.default_start.filter(|default| settings.start_date < *default) else { return };
        let is_missing =
            |day: &NaiveDate| reports.iter().any(|table| self.ledger.partition(&table.name, *day).is_none());
        let missing = since(settings.start_date, default).into_iter().filter(is_missing).count();
        if self.scope == Scope::Pull && missing > 0 {
            let message = format!(
                "`start_date` is not set, so it is {}, the first day of this output; {missing} days since then are missing in \
                 a table and are fetched as far as Criteo keeps them",
                settings.start_date
            );
            plan.notices.push(Notice::new(Code::CatchingUp, message));
        }
    }

    fn announce_histories(table: &Table, planned: &PlannedDays, plan: &mut Plan) {
        let advertisers: BTreeSet<&String> = planned.of_some.keys().flatten().collect();
        for advertiser in advertisers {
            let with = planned.of_some.iter().filter(|(ids, _)| ids.contains(advertiser));
            let days: BTreeSet<NaiveDate> = with.flat_map(|(_, days)| days).copied().collect();
            let message = format!(
                "{} days of `{}` were pulled without advertiser {advertiser}: its history is fetched",
                days.len(),
                table.name
            );
            let notice = left_out(Code::HistoryOfAdvertiser, message, table, &days);
            plan.notices.extend(notice.map(|notice| notice.advertiser(advertiser)));
        }
    }

    /// What `keep_days` removes when the run ends, and what it would but for `--prune`.
    fn announce_removals(&self, plan: &mut Plan) {
        let Some(oldest) = self.settings.oldest_kept() else { return };
        let planned: BTreeSet<(&str, NaiveDate)> = plan
            .reports
            .iter()
            .flat_map(|planned| planned.days.iter().map(|day| (planned.table.name.as_str(), *day)))
            .collect();
        let (mut removals, mut notices) = (BTreeMap::new(), Vec::new());
        for table in self.ledger.tables() {
            let old = self.ledger.partitions(table).map(|record| record.date).take_while(|date| *date < oldest);
            let old: BTreeSet<NaiveDate> = old.filter(|date| !planned.contains(&(table, *date))).collect();
            let recoverable_from = recoverable_from(table, self.settings.as_of);
            let is_recoverable = |date: &NaiveDate| recoverable_from.is_some_and(|earliest| *date >= earliest);
            let (removed, spared): (BTreeSet<_>, BTreeSet<_>) = match self.removal {
                Removal::Nothing => (BTreeSet::new(), old),
                Removal::Recoverable => old.into_iter().partition(is_recoverable),
                Removal::Everything => (old, BTreeSet::new()),
            };
            let keep_days = self.settings.keep_days;
            for (code, days, what) in [
                (Code::PartitionsRemoved, &removed, "are removed when the run ends"),
                (
                    Code::PartitionsSpared,
                    &spared,
                    match self.removal {
                        Removal::Nothing => "stay, because the clock cannot be trusted",
                        _ => "stay, because Criteo could not provide them again",
                    },
                ),
            ] {
                if let (Some(first), Some(last)) = (days.first(), days.last()) {
                    let message = format!(
                        "`keep_days = {keep_days}`: {} partitions of `{table}`, {first} to {last}, {what}",
                        days.len()
                    );
                    notices.push(Notice::new(code, message).table(table));
                }
            }
            if !removed.is_empty() {
                removals.insert(table.to_owned(), removed);
            }
        }
        plan.removals = removals;
        plan.notices.extend(notices);
    }

    fn was_published(&self, table: &str, day: NaiveDate) -> bool {
        let record = self.ledger.partition(table, day);
        record.is_some_and(|record| {
            let settled = read_for(self.ledger, record);
            record.status != PartitionStatus::Mismatch
                && self.advertisers.iter().all(|id| settled.includes(id))
                && self.ledger.is_live(record)
                && self.earlier_runs.iter().any(|run| run == record.last_seen_by())
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
        // A day that is not over has not all its rows.
        let end = as_of.min(self.today);
        let early = days.split_off(&end);
        let message = format!("`{}` is not complete for these days yet: they are left out", table.name);
        notices.extend(left_out(Code::NotYetAvailable, message, table, &early));
    }

    /// A snapshot can only be of today; a backfill takes it if its range holds today.
    fn wanted_snapshots(&self, tables: Vec<Arc<Table>>, notices: &mut Vec<Notice>) -> Vec<Arc<Table>> {
        let (as_of, today) = (self.settings.requested_as_of, self.settings.today);
        let is_due = self.scope.days().is_none_or(|days| days.contains(as_of));
        if is_due && as_of == today {
            return tables;
        }
        if is_due {
            notices.extend(tables.iter().map(|table| {
                let message = format!(
                    "`{}` is a snapshot of today, {today}: it is not taken for {as_of}, the date of `--as-of`",
                    table.name
                );
                Notice::new(Code::SnapshotNotTaken, message).table(&table.name)
            }));
            return Vec::new();
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
        let mut forecasts: BTreeMap<String, Forecast> = BTreeMap::new();
        for planned in &plan.reports {
            forecasts.entry(planned.table.name.clone()).or_default().add(&self.report_forecast(planned));
        }
        let snapshots = plan.snapshots.iter().map(|table| (table.name.clone(), self.snapshot_forecast(table)));
        forecasts.extend(snapshots);
        forecasts
    }

    fn report_forecast(&self, planned: &PlannedTable) -> Forecast {
        let PlannedTable { table, days, advertisers } = planned;
        let mut density = match advertisers {
            Some(some) => Density::recorded(self.ledger, &table.name, &some.iter().collect::<Vec<_>>()),
            None => Density::recorded(self.ledger, &table.name, &self.advertisers),
        };
        if advertisers.is_some() {
            density.forget_days();
        }
        let is_guess = density.is_unknown();
        let documented = table.endpoint().row_cap;
        let row_cap = documented.into_iter().chain(self.ledger.row_cap(&table.name)).min();
        let limits = WindowLimits::of(table, row_cap);
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
            self.compared_ranges(table, days) * requests
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

    /// Ranges of days whose totals are requested. A single day without a day of its own in its rows is not compared again
    /// where its file was.
    fn compared_ranges(&self, table: &Table, days: &BTreeSet<NaiveDate>) -> u64 {
        let has_day = table.report().is_none_or(ReportFacts::has_day);
        let was_compared = |range: &DateRange| {
            let record = self.ledger.partition(&table.name, range.from());
            !has_day && range.len_days() == 1 && record.is_some_and(|record| !record.is_unconfirmed())
        };
        contiguous_ranges(days).iter().filter(|range| !was_compared(range)).count() as u64
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
    let tables: BTreeSet<&str> = plan.reports.iter().map(|planned| planned.table.name.as_str()).collect();
    let report = tables.into_iter().map(calls).sum();
    let listed = plan.snapshots.iter().filter(|table| table.endpoint != Connector::PORTFOLIO);
    let default = 1 + listed.map(|table| calls(&table.name)).sum::<u64>();
    Calls { report, default, token: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::settings::{Environment, Overrides};

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
        Settings::resolve(&flags, &environment, None, &known, "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().0
    }

    fn plan(tables: &[&str], from: &str, to: &str) -> (Plan, BTreeMap<String, Forecast>) {
        let ledger = Ledger::default();
        let settings = settings(tables);
        let scope = Scope::Backfill { days: DateRange::new(day(from), day(to)).unwrap(), force: false };
        let planner = Planner {
            settings: &settings,
            scope,
            ledger: &ledger,
            advertisers: vec!["1", "2"],
            unavailable: BTreeSet::new(),
            earlier_runs: &[],
            today: day("2026-11-22"),
            removal: Removal::Recoverable,
        };
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
    fn today_and_the_future_are_not_requested() {
        let (plan, _) = plan(&["ad_statistics_daily", "placements_daily"], "2026-11-21", "2026-11-23");
        assert_eq!(plan.reports[0].days, [day("2026-11-21")].into());
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
