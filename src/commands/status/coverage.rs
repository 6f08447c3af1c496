//! What is there of each table, day by day, and what the next `pull` would fetch. Nothing is printed here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::is_selected;
use crate::catalog::{Connector, Table};
use crate::dates::{DateRange, months_before};
use crate::ledger::{Ledger, PartitionRecord, PartitionStatus};
use crate::notice::Notice;
use crate::pull::{Planner, Removal, Scope};
use crate::settings::Settings;

/// Every table that is pulled, or that was.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// By name.
    pub(super) tables: BTreeMap<String, TableCoverage>,
    /// What the next pull would leave out, and why.
    pub(super) notices: Vec<Notice>,
}

/// One table.
#[derive(Debug, Default)]
pub(super) struct TableCoverage {
    /// Whether it is a snapshot of resources; otherwise days of a report.
    pub(super) is_snapshot: bool,
    /// Whether `pull` takes it.
    pub(super) is_pulled: bool,
    /// State of each day; for reports also of those that are missing.
    pub(super) days: BTreeMap<NaiveDate, DayState>,
    /// Records whose file is there.
    pub(super) records: Vec<PartitionRecord>,
    /// What the next pull fetches.
    pub(super) due: BTreeSet<NaiveDate>,
    /// Days whose file has other columns than the table has now.
    pub(super) outdated: BTreeSet<NaiveDate>,
}

/// State of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayState {
    /// Older than the look-back when it was pulled, or a snapshot.
    Final,
    /// Criteo still restated it when it was pulled.
    Provisional,
    /// Its sums are not Criteo's totals.
    Mismatch,
    /// There is no file.
    Missing,
}

impl From<PartitionStatus> for DayState {
    fn from(status: PartitionStatus) -> Self {
        match status {
            PartitionStatus::Final => Self::Final,
            PartitionStatus::Provisional => Self::Provisional,
            PartitionStatus::Mismatch => Self::Mismatch,
        }
    }
}

impl TableCoverage {
    /// Days in this state.
    pub(super) fn count(&self, state: DayState) -> usize {
        self.days.values().filter(|day| **day == state).count()
    }

    /// Days without a file.
    pub(super) fn missing(&self) -> BTreeSet<NaiveDate> {
        self.days.iter().filter(|(_, state)| **state == DayState::Missing).map(|(day, _)| *day).collect()
    }

    /// First day with a file.
    pub(super) fn first(&self) -> Option<NaiveDate> {
        self.records.first().map(|record| record.date)
    }

    /// Last day with a file.
    pub(super) fn last(&self) -> Option<NaiveDate> {
        self.records.last().map(|record| record.date)
    }

    /// Rows in all files.
    pub(super) fn rows(&self) -> u64 {
        self.records.iter().map(|record| record.rows).sum()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.bytes).sum()
    }
}

impl Coverage {
    /// What the ledger has of the tables selected, or of those that are enabled or were pulled.
    pub(super) fn of(settings: &Settings, tables: &[Table], ledger: &Ledger, today: NaiveDate) -> Self {
        let is_pulled = |table: &&Table| {
            is_selected(settings, &table.name) && (table.enabled || !settings.selected_tables.is_empty())
        };
        let pulled: Vec<Table> = tables.iter().filter(is_pulled).cloned().collect();
        let mut coverage = Self::default();
        let names = pulled.iter().map(|table| table.name.as_str()).chain(ledger.tables());
        let names: BTreeSet<&str> = names.filter(|name| is_selected(settings, name)).collect();
        for name in names {
            let table = tables.iter().find(|table| table.name == name);
            let is_pulled = pulled.iter().any(|table| table.name == name);
            let covered = cover(settings, name, table, is_pulled, ledger);
            coverage.tables.insert(name.to_owned(), covered);
        }
        coverage.add_due(settings, pulled, ledger, today);
        coverage
    }

    /// What the next pull fetches. Which advertisers consent is not known here: days that lack one are not counted.
    fn add_due(&mut self, settings: &Settings, pulled: Vec<Table>, ledger: &Ledger, today: NaiveDate) {
        let advertisers = settings.advertisers.iter().map(String::as_str).collect();
        let removal = Removal::Recoverable;
        let scope = Scope::Pull;
        let planner = Planner {
            settings,
            scope,
            ledger,
            advertisers,
            unavailable: BTreeSet::new(),
            earlier_runs: &[],
            today,
            removal,
        };
        let plan = planner.plan(pulled);
        let reports = plan.reports.into_iter().map(|planned| (planned.table.name.clone(), planned.days));
        let snapshots = plan.snapshots.iter().map(|table| (table.name.clone(), [settings.as_of].into()));
        for (name, days) in reports.chain(snapshots) {
            self.tables.entry(name).or_default().due.extend(days);
        }
        for (name, days) in plan.outdated {
            self.tables.entry(name).or_default().outdated = days;
        }
        self.notices = plan.notices;
    }
}

fn cover(settings: &Settings, name: &str, table: Option<&Table>, is_pulled: bool, ledger: &Ledger) -> TableCoverage {
    let is_snapshot = table.is_some_and(|table| !table.is_report());
    let live = ledger.partitions(name).filter(|record| ledger.is_live(record));
    let records: Vec<PartitionRecord> = live.cloned().collect();
    let mut days = BTreeMap::new();
    if !is_snapshot {
        let wanted = table.filter(|_| is_pulled).and_then(|table| wanted_days(settings, table));
        let recorded = ledger.partitions(name).map(|record| record.date).collect();
        days.extend(expected(wanted, recorded, settings).map(|day| (day, DayState::Missing)));
    }
    days.extend(records.iter().map(|record| (record.date, DayState::from(record.status))));
    TableCoverage { is_snapshot, is_pulled, days, records, due: BTreeSet::new(), outdated: BTreeSet::new() }
}

/// The days from the start, or from as far back as Criteo keeps them, to yesterday.
fn wanted_days(settings: &Settings, table: &Table) -> Option<DateRange> {
    let months = Connector::get().endpoint(table.endpoint).history_months;
    let kept_since = months.map_or(NaiveDate::MIN, |months| months_before(settings.as_of, months));
    DateRange::new(settings.start_date.max(kept_since), settings.as_of.pred_opt()?)
}

/// The days that should be there: those wanted, and whatever lies between them and what was ever pulled; without those
/// that are pruned.
fn expected(
    wanted: Option<DateRange>,
    recorded: Vec<NaiveDate>,
    settings: &Settings,
) -> impl Iterator<Item = NaiveDate> + use<> {
    let ends = wanted.iter().flat_map(|days| [days.from(), days.to()]).chain(recorded);
    let ends: BTreeSet<NaiveDate> = ends.collect();
    let range = ends.first().zip(ends.last()).and_then(|(first, last)| DateRange::new(*first, *last));
    let oldest = settings.oldest_kept().unwrap_or(NaiveDate::MIN);
    range.and_then(|range| range.clamp_start(oldest)).into_iter().flat_map(|range| range.days())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::document::tests::record;
    use crate::ledger::Ledger;
    use crate::settings::{Environment, Overrides};

    const REPORT: &str = "ad_statistics_daily";

    /// A ledger in which these days of the report are, pulled while they were final.
    fn ledger_of(days: &[&str]) -> Ledger {
        let records: Vec<PartitionRecord> = days.iter().map(|day| record(REPORT, day, |_| {})).collect();
        let files = records.iter().map(|record| (record.date, record.bytes)).collect();
        let mut ledger = Ledger::of_records(records, BTreeMap::new());
        ledger.observe(REPORT, files);
        ledger
    }

    /// Of the report, for a start on 2026-10-18 and a look-back of 30 days that ends on 2026-11-21.
    fn covered(ledger: &Ledger) -> TableCoverage {
        let flags = Overrides {
            as_of: Some("2026-11-22".parse().expect("a date")),
            tables: vec![REPORT.to_owned()],
            ..Overrides::default()
        };
        let mut session =
            super::super::Session::resolve(&flags, &Environment::from_pairs([("", "")]), None, chrono::Utc::now())
                .expect("valid");
        session.settings.start_date = "2026-10-18".parse().expect("a date");
        let tables = session.all_tables().expect("resolved");
        let mut coverage = Coverage::of(&session.settings, &tables, ledger, session.settings.as_of);
        assert_eq!(coverage.tables.len(), 1);
        coverage.tables.remove(REPORT).expect("the table selected")
    }

    fn in_words(days: &BTreeSet<NaiveDate>) -> Vec<String> {
        crate::dates::contiguous_ranges(days).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn missing_are_the_days_without_a_file_from_the_start_or_the_first_record_to_yesterday() {
        let ledger = ledger_of(&[]);
        assert_eq!(in_words(&covered(&ledger).missing()), ["2026-10-18 to 2026-11-21"]);
        let mut ledger = ledger_of(&["2026-10-10", "2026-10-20", "2026-11-21"]);
        let gaps = ["2026-10-11 to 2026-10-19", "2026-10-21 to 2026-11-20"];
        assert_eq!(in_words(&covered(&ledger).missing()), gaps);
        let files = ["2026-10-10", "2026-11-21"].map(|day| (day.parse().expect("a date"), 1));
        ledger.observe(REPORT, files.into());
        let covered = covered(&ledger);
        assert_eq!(in_words(&covered.missing()), ["2026-10-11 to 2026-11-20"]);
        assert_eq!((covered.count(DayState::Final), covered.rows()), (2, 2));
    }

    #[test]
    fn due_is_what_a_pull_fetches() {
        let ledger = ledger_of(&["2026-10-10", "2026-10-20"]);
        assert_eq!(in_words(&covered(&ledger).due), ["2026-10-18 to 2026-10-19", "2026-10-21 to 2026-11-21"]);
    }
}
