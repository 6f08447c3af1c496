//! Whether yesterday is complete, job by job: for people at seven in the morning, and for monitors (`--check`). Pure: it
//! reads no file and no clock.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::coverage::{Coverage, DayState, TableCoverage};
use crate::catalog::{Job, ReportFacts, Table};
use crate::dates::{contiguous_ranges, today};
use crate::ledger::{PartitionRecord, Reconciliation, RunOutcome, RunRecord};
use crate::settings::Settings;

/// What is judged, and when.
pub(super) struct Circumstances<'s> {
    /// Settings.
    pub(super) settings: &'s Settings,
    /// Every table of the configuration.
    pub(super) tables: &'s [Table],
    /// The runs, oldest first.
    pub(super) runs: Vec<&'s RunRecord>,
    /// The time.
    pub(super) now: DateTime<Utc>,
    /// How old the newest data may be; without it, yesterday must be there.
    pub(super) max_age: Option<TimeDelta>,
}

/// The state of the output in sentences, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// One for each job that has tables.
    pub(super) jobs: Vec<JobHealth>,
    /// What keeps it from being complete; empty: all is well.
    pub(super) problems: Vec<String>,
}

/// One job.
#[derive(Debug)]
pub(super) struct JobHealth {
    /// Which.
    pub(super) job: Job,
    /// Nothing is wrong with its tables.
    pub(super) is_complete: bool,
    /// The state in one sentence.
    pub(super) sentence: String,
}

impl Health {
    /// Judges what is covered.
    pub(super) fn of(coverage: &Coverage, circumstances: &Circumstances<'_>) -> Self {
        let mut health = Self::default();
        let newest = circumstances.newest();
        for job in [Job::Analytics, Job::Campaigns, Job::Creatives] {
            let tables: Vec<(&Table, &TableCoverage)> = circumstances
                .tables
                .iter()
                .filter(|table| table.job == job)
                .filter_map(|table| Some((table, coverage.tables.get(&table.name)?)))
                .filter(|(_, covered)| covered.is_pulled)
                .collect();
            if !tables.is_empty() {
                health.add(job, &tables, newest, circumstances);
            }
        }
        if let Some(max_age) = circumstances.max_age {
            health.problems.extend(circumstances.too_old(max_age));
        }
        health
    }

    fn add(
        &mut self,
        job: Job,
        tables: &[(&Table, &TableCoverage)],
        newest: Newest,
        circumstances: &Circumstances<'_>,
    ) {
        let mut problems = Vec::new();
        let mut lacking = Vec::new();
        let mut records = Vec::new();
        for (table, covered) in tables {
            let day = if covered.is_snapshot { newest.snapshot } else { newest.day };
            let record = covered.records.iter().rev().find(|record| is_of(record, day, covered.is_snapshot));
            match record {
                Some(record) => records.push((*table, record)),
                None => lacking.push(table.name.as_str()),
            }
            problems.extend(problem_of(&table.name, covered, newest));
        }
        let is_snapshot = tables.iter().all(|(_, covered)| covered.is_snapshot);
        let mut sentence = coverage_words(is_snapshot, tables.len() - lacking.len(), tables.len(), newest);
        if !lacking.is_empty() {
            sentence.push_str(", missing in ");
            sentence.push_str(&lacking.join(", "));
        }
        let clauses = [
            (!is_snapshot).then(|| reconciliation_words(&records)).flatten(),
            (!is_snapshot).then(|| restatement_words(&records, circumstances.settings)).flatten(),
            circumstances.last_pull_words(tables),
        ];
        for clause in clauses.into_iter().flatten() {
            sentence.push_str(", ");
            sentence.push_str(&clause);
        }
        self.jobs.push(JobHealth { job, is_complete: problems.is_empty(), sentence });
        self.problems.extend(problems);
    }
}

/// The newest day and snapshot that must be there.
#[derive(Clone, Copy)]
struct Newest {
    /// Of reports: yesterday.
    day: NaiveDate,
    /// Of snapshots: today.
    snapshot: NaiveDate,
    /// Both are those of the day of the run, not of an earlier one that `--max-age` allows.
    is_now: bool,
}

impl Circumstances<'_> {
    fn newest(&self) -> Newest {
        let as_of = self.settings.as_of;
        let allowed = self.max_age.and_then(|age| self.now.checked_sub_signed(age));
        let reference = allowed.map_or(as_of, |then| today(then, self.settings.timezone).min(as_of));
        let day = reference.pred_opt().unwrap_or(reference);
        Newest { day, snapshot: reference, is_now: reference == as_of }
    }

    /// The last pull or backfill that ended well, if it is older than allowed.
    fn too_old(&self, max_age: TimeDelta) -> Option<String> {
        let ended_well = self.runs.iter().filter(|run| run.outcome == RunOutcome::Ok).filter_map(|run| run.finished_at);
        let Some(last) = ended_well.max() else { return Some("no run has ended without errors yet".to_owned()) };
        let age = self.now.signed_duration_since(last);
        (age > max_age).then(|| {
            format!("the last run without errors ended {} ago, which is more than {}", duration(age), duration(max_age))
        })
    }

    /// "last pull 07:02 ok"
    fn last_pull_words(&self, tables: &[(&Table, &TableCoverage)]) -> Option<String> {
        let pulled = tables.iter().flat_map(|(_, covered)| &covered.records);
        let newest = pulled.max_by_key(|record| record.confirmed_at.unwrap_or(record.pulled_at))?;
        let at = newest.confirmed_at.unwrap_or(newest.pulled_at);
        let run =
            self.runs.iter().rev().find(|run| run.started_at <= at && run.finished_at.is_none_or(|end| at <= end));
        let outcome = run.map_or("", |run| match run.outcome {
            RunOutcome::Running => " still running, or killed",
            RunOutcome::Ok => " ok",
            RunOutcome::Partial => " with errors",
            RunOutcome::Failed => " failed",
        });
        Some(format!("last pull {}{outcome}", clock_time(at, self.settings.as_of, self.settings.timezone)))
    }
}

/// Whether a record is the one that must be there: of that day, or for snapshots of that day or a later one.
fn is_of(record: &PartitionRecord, day: NaiveDate, is_snapshot: bool) -> bool {
    record.date == day || (is_snapshot && record.date > day)
}

fn problem_of(name: &str, covered: &TableCoverage, newest: Newest) -> Vec<String> {
    if covered.is_snapshot {
        let is_there = covered.last().is_some_and(|last| last >= newest.snapshot);
        return if is_there { Vec::new() } else { vec![format!("`{name}` has no snapshot of {}", newest.snapshot)] };
    }
    let in_state = |state: DayState| -> BTreeSet<NaiveDate> {
        let due = covered.days.range(..=newest.day);
        due.filter(|(_, known)| **known == state).map(|(day, _)| *day).collect()
    };
    let words = |days: &BTreeSet<NaiveDate>| {
        let ranges: Vec<_> = contiguous_ranges(days).iter().rev().take(3).map(ToString::to_string).collect();
        let more = contiguous_ranges(days).len().saturating_sub(ranges.len());
        if more > 0 { format!("{} and {more} earlier ranges", ranges.join(", ")) } else { ranges.join(", ") }
    };
    let (missing, mismatched) = (in_state(DayState::Missing), in_state(DayState::Mismatch));
    let mut problems = Vec::new();
    if covered.days.range(..=newest.day).next_back().is_none_or(|(last, _)| *last < newest.day) {
        problems.push(format!("`{name}` has no file of {}", newest.day));
    }
    if !missing.is_empty() {
        problems.push(format!("`{name}` has no file of {}", words(&missing)));
    }
    if !mismatched.is_empty() {
        problems.push(format!("sums of `{name}` differ from Criteo's totals on {}", words(&mismatched)));
    }
    problems
}

fn coverage_words(is_snapshot: bool, complete: usize, wanted: usize, newest: Newest) -> String {
    let when = match (is_snapshot, newest.is_now) {
        (true, true) => format!("today's snapshot ({})", newest.snapshot),
        (true, false) => format!("a snapshot since {}", newest.snapshot),
        (false, true) => format!("yesterday ({})", newest.day),
        (false, false) => newest.day.to_string(),
    };
    match is_snapshot {
        true => format!("{when} taken of {complete} of {wanted} tables"),
        false if complete == wanted => format!("{when} complete in {complete} of {wanted} reports"),
        false => format!("{when} NOT complete: there in {complete} of {wanted} reports"),
    }
}

/// How the sums of these partitions compare with Criteo's own totals.
fn reconciliation_words(records: &[(&Table, &PartitionRecord)]) -> Option<String> {
    let count = |wanted: Reconciliation| {
        records.iter().filter(|(table, record)| reconciliation(Some(table), record) == Some(wanted)).count()
    };
    let (equal, differs) = (count(Reconciliation::Equal), count(Reconciliation::Differs));
    let (unreadable, without) = (count(Reconciliation::Unreadable), count(Reconciliation::None));
    let mut words = Vec::new();
    if differs > 0 {
        words.push(format!("DIFFERENT from Criteo's totals in {differs}"));
    }
    if equal > 0 {
        let of_all = differs + unreadable + without == 0 && equal == records.len();
        words.push(if of_all {
            "equal to Criteo's totals".to_owned()
        } else {
            format!("equal to Criteo's totals in {equal}")
        });
    }
    if unreadable > 0 {
        words.push(format!("totals not readable in {unreadable}"));
    }
    if without > 0 {
        words.push(format!("{without} without totals at Criteo"));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// How the sums of a partition compare with Criteo's own totals; `None` where it is not known.
pub(super) fn reconciliation(table: Option<&Table>, record: &PartitionRecord) -> Option<Reconciliation> {
    if DayState::from(record.status) == DayState::Mismatch {
        return Some(Reconciliation::Differs);
    }
    record.reconciliation.or_else(|| {
        let has_totals = table.and_then(Table::report).is_some_and(ReportFacts::has_totals);
        (!has_totals).then_some(Reconciliation::None)
    })
}

/// "restated until 2026-12-22"
fn restatement_words(records: &[(&Table, &PartitionRecord)], settings: &Settings) -> Option<String> {
    let last = |(table, record): &(&Table, &PartitionRecord)| {
        let is_provisional = DayState::from(record.status) == DayState::Provisional;
        is_provisional.then(|| table.reread_ages(settings.lookback_days).final_on(record.date))
    };
    records.iter().filter_map(last).max().map(|day| format!("restated until {day}"))
}

/// The time of day, with the date where it is not that of `as_of`.
pub(super) fn clock_time(at: DateTime<Utc>, as_of: NaiveDate, timezone: Tz) -> String {
    let local = at.with_timezone(&timezone);
    let form = if local.date_naive() == as_of { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    local.format(form).to_string()
}

/// "26 h", "3 days"
pub(super) fn duration(of: TimeDelta) -> String {
    match of.num_minutes() {
        minutes if minutes < 120 => format!("{minutes} min"),
        minutes if minutes < 48 * 60 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 60 / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::session::Session;
    use crate::commands::status::document::tests::record;
    use crate::ledger::PartitionStatus;
    use crate::settings::{Environment, Overrides};

    const REPORT: &str = "ad_statistics_daily";
    const LIST: &str = "campaigns";

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// Seven in the morning of 2026-11-22: the report has `days` days up to `last`, the newest snapshot is of `snapshot`.
    fn judge(last: &str, days: u64, snapshot: &str, max_age: Option<TimeDelta>, run: RunOutcome) -> Health {
        let flags = Overrides {
            as_of: Some("2026-11-22".parse().unwrap()),
            tables: vec![REPORT.to_owned(), LIST.to_owned()],
            ..Overrides::default()
        };
        let mut session =
            Session::resolve(&flags, &Environment::from_pairs([("", "")]), None, at("2026-11-22T07:00:00Z")).unwrap();
        let tables = session.wanted_tables().unwrap();
        let last: NaiveDate = last.parse().unwrap();
        let pulled_at = at("2026-11-22T05:00:00Z");
        let of_report = |date: NaiveDate| {
            record(REPORT, &date.to_string(), |record| {
                record.pulled_at = pulled_at;
                record.status = PartitionStatus::Provisional;
                record.reconciliation = Some(Reconciliation::Equal);
            })
        };
        let records: Vec<_> = (0..days).rev().map(|ago| of_report(last - chrono::Days::new(ago))).collect();
        let first = records.first().map_or(last, |record| record.date);
        let known = records.iter().map(|record| (record.date, DayState::Provisional)).collect();
        let report = TableCoverage { is_pulled: true, days: known, records, ..TableCoverage::default() };
        let list = TableCoverage {
            is_snapshot: true,
            is_pulled: true,
            records: vec![record(LIST, snapshot, |record| record.pulled_at = pulled_at)],
            ..TableCoverage::default()
        };
        let tables_covered = [(REPORT.to_owned(), report), (LIST.to_owned(), list)].into();
        let coverage = Coverage { tables: tables_covered, ..Coverage::default() };
        assert!(first <= last);
        let run = RunRecord {
            format_version: 1,
            run_id: "r".to_owned(),
            command: "pull".to_owned(),
            parameters: std::collections::BTreeMap::new(),
            resume_key: String::new(),
            started_at: at("2026-11-22T04:55:00Z"),
            finished_at: Some(at("2026-11-22T05:02:00Z")),
            outcome: run,
            calls: std::collections::BTreeMap::new(),
            retries: 0,
            waited_secs: 0.0,
            partitions: 1,
            errors: Vec::new(),
        };
        let circumstances = Circumstances {
            settings: &session.settings,
            tables: &tables,
            runs: vec![&run],
            now: at("2026-11-22T07:00:00Z"),
            max_age,
        };
        Health::of(&coverage, &circumstances)
    }

    #[test]
    fn a_complete_morning_is_one_sentence_a_job_and_no_problem() {
        let health = judge("2026-11-21", 3, "2026-11-22", None, RunOutcome::Ok);
        let sentences: Vec<_> = health.jobs.iter().map(|job| job.sentence.as_str()).collect();
        let expected = [
            "yesterday (2026-11-21) complete in 1 of 1 reports, equal to Criteo's totals, restated until 2026-12-22, last \
             pull 05:00 ok",
            "today's snapshot (2026-11-22) taken of 1 of 1 tables, last pull 05:00 ok",
        ];
        assert_eq!(sentences, expected);
        assert_eq!(health.problems, Vec::<String>::new());
    }

    #[test]
    fn a_day_or_a_snapshot_that_is_not_there_is_a_problem_unless_it_is_young_enough() {
        let health = judge("2026-11-20", 3, "2026-11-21", None, RunOutcome::Ok);
        let expected = ["`ad_statistics_daily` has no file of 2026-11-21", "`campaigns` has no snapshot of 2026-11-22"];
        assert_eq!(health.problems, expected);
        assert!(
            health.jobs[0].sentence.contains("NOT complete: there in 0 of 1 reports, missing in ad_statistics_daily")
        );
        let allowed = judge("2026-11-20", 3, "2026-11-21", Some(TimeDelta::hours(26)), RunOutcome::Ok);
        assert_eq!(allowed.problems, Vec::<String>::new(), "at five yesterday, 2026-11-20 was yesterday");
        let stale = judge("2026-11-19", 3, "2026-11-21", Some(TimeDelta::hours(26)), RunOutcome::Ok);
        assert_eq!(stale.problems, ["`ad_statistics_daily` has no file of 2026-11-20"]);
    }

    #[test]
    fn with_an_age_the_last_run_without_errors_must_be_young_enough() {
        let health = judge("2026-11-21", 3, "2026-11-22", Some(TimeDelta::hours(26)), RunOutcome::Partial);
        assert_eq!(health.problems, ["no run has ended without errors yet"]);
        let health = judge("2026-11-21", 3, "2026-11-22", Some(TimeDelta::minutes(90)), RunOutcome::Ok);
        assert_eq!(health.problems, ["the last run without errors ended 118 min ago, which is more than 90 min"]);
    }
}
