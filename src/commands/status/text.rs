//! `status` for people: what is there first, then what needs a person, then the last runs.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::Status;
use super::calendar;
use super::coverage::{DayState, TableCoverage};
use super::document::mismatched;
use super::history::changes;
use crate::cli::StatusArguments;
use crate::dates::{DateRange, contiguous_ranges};
use crate::ledger::{PartitionRecord, Rebuilt, RunOutcome, RunRecord, Verification};

/// Runs shown.
const MAX_RUNS: usize = 5;
/// Characters of an error shown.
const ERROR_WIDTH: usize = 100;
/// Ranges of missing days shown per table, and changes per `--history` of one day's columns.
const MAX_RANGES: usize = 8;

/// What was asked for; without any option, the coverage.
pub(super) fn render(status: &Status, arguments: StatusArguments) -> String {
    let mut text = Page::default();
    if let Some(rebuilt) = &status.rebuilt {
        text.rebuilt(rebuilt);
    }
    if let Some(verification) = &status.verification {
        text.verification(verification);
    }
    if arguments.history {
        text.history(status);
    }
    if !(arguments.rebuild || arguments.verify || arguments.history) {
        text.coverage(status);
    }
    super::super::output::notices(&mut text.0, "warning", &status.warnings);
    text.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, content: &str) {
        writeln!(self.0, "{}", content.trim_end()).expect("a string takes any text");
    }

    /// A heading after an empty line, which the first does not need.
    fn heading(&mut self, heading: &str) {
        if !self.0.is_empty() {
            self.line("");
        }
        self.line(heading);
    }

    fn coverage(&mut self, status: &Status) {
        let settings = &status.settings;
        self.line(&format!("{} as of {} ({})", settings.output, settings.as_of, settings.timezone.name()));
        let tables = &status.coverage.tables;
        let reports: Vec<(&str, &TableCoverage)> = named(status).filter(|(_, table)| !table.is_snapshot).collect();
        if tables.values().all(|table| table.records.is_empty()) {
            self.line("nothing was pulled yet: `criteo-source pull` starts");
        }
        if !reports.is_empty() {
            self.reports(&reports);
            self.heading("last ten weeks, Monday first");
            let last = settings.as_of.pred_opt().unwrap_or(settings.as_of);
            self.0.push_str(&calendar::draw(last, reports.iter().map(|(name, table)| (*name, &table.days))));
            self.line(calendar::LEGEND);
        }
        self.snapshots(status);
        self.missing(&reports);
        self.mismatches(status);
        self.left_out(status);
        self.due(status);
        self.runs(status);
    }

    fn reports(&mut self, reports: &[(&str, &TableCoverage)]) {
        let width = name_width(reports.iter().map(|(name, _)| *name));
        self.heading(&format!(
            "{:width$}  {:10}  {:10}  {:>5}  {:>11}  {:>8}  {:>7}  {:>12}",
            "report", "first", "last", "final", "provisional", "mismatch", "missing", "rows"
        ));
        for (name, table) in reports {
            let counts = [DayState::Final, DayState::Provisional, DayState::Mismatch, DayState::Missing]
                .map(|state| table.count(state));
            let [fixed, provisional, mismatch, missing] = counts;
            let (first, last, rows) = (shown(table.first()), shown(table.last()), table.rows());
            self.line(&format!(
                "{name:width$}  {first:10}  {last:10}  {fixed:>5}  {provisional:>11}  {mismatch:>8}  {missing:>7}  \
                 {rows:>12}"
            ));
        }
    }

    fn snapshots(&mut self, status: &Status) {
        let snapshots: Vec<_> = named(status).filter(|(_, table)| table.is_snapshot).collect();
        if snapshots.is_empty() {
            return;
        }
        let width = name_width(snapshots.iter().map(|(name, _)| *name));
        self.heading(&format!("{:width$}  {:10}  {:>9}  {:>12}", "snapshot", "newest", "snapshots", "rows in it"));
        for (name, table) in snapshots {
            let rows = table.records.last().map_or(0, |record| record.rows);
            let (newest, count) = (shown(table.last()), table.records.len());
            self.line(&format!("{name:width$}  {newest:10}  {count:>9}  {rows:>12}"));
        }
    }

    fn missing(&mut self, reports: &[(&str, &TableCoverage)]) {
        let gaps: Vec<_> = reports.iter().filter(|(_, table)| table.count(DayState::Missing) > 0).collect();
        if gaps.is_empty() {
            return;
        }
        self.heading("missing");
        for (name, table) in gaps {
            let missing = table.missing();
            self.line(&format!("  {name}: {}", ranges(&contiguous_ranges(&missing))));
            let elsewhere = missing.difference(&table.due).copied().collect();
            if !contiguous_ranges(&elsewhere).is_empty() {
                let days = ranges(&contiguous_ranges(&elsewhere));
                self.line(&format!("    of these, only `backfill --from D --to D --tables {name}` fetches {days}"));
            }
        }
    }

    fn mismatches(&mut self, status: &Status) {
        let mut records = named(status).flat_map(|(_, table)| mismatched(&table.records)).peekable();
        if records.peek().is_none() {
            return;
        }
        self.heading("sums that are not Criteo's totals; the next `pull` fetches these days again");
        for record in records {
            self.line(&format!("  {} {}", record.table, record.date));
            for difference in &record.differences {
                self.line(&format!("    {difference}"));
            }
        }
    }

    fn left_out(&mut self, status: &Status) {
        let mut lines = Vec::new();
        for (name, table) in named(status) {
            let is_partial = |record: &&PartitionRecord| !record.without_advertisers.is_empty();
            let partial: Vec<_> = table.records.iter().filter(is_partial).collect();
            for group in partial.chunk_by(|one, next| one.without_advertisers == next.without_advertisers) {
                let days = group.iter().map(|record| record.date).collect();
                let advertisers = group.first().map(|record| record.without_advertisers.join(", "));
                let days = ranges(&contiguous_ranges(&days));
                lines.push(format!("  {name} {days}: {}", advertisers.unwrap_or_default()));
            }
        }
        if !lines.is_empty() {
            self.heading(
                "advertisers left out because they were refused; `pull` fetches the days again once they consent",
            );
            for line in &lines {
                self.line(line);
            }
        }
    }

    fn due(&mut self, status: &Status) {
        let due = named(status).filter(|(_, table)| !table.due.is_empty());
        let (snapshots, reports): (Vec<_>, Vec<_>) = due.partition(|(_, table)| table.is_snapshot);
        if snapshots.is_empty() && reports.is_empty() {
            return;
        }
        self.heading("the next `pull` fetches");
        let width = name_width(reports.iter().map(|(name, _)| *name));
        for (name, table) in reports {
            let (days, ranges) = (table.due.len(), ranges(&contiguous_ranges(&table.due)));
            let unit = if days == 1 { "day" } else { "days" };
            self.line(&format!("  {name:width$}  {days} {unit}: {ranges}"));
        }
        if !snapshots.is_empty() {
            let names: Vec<&str> = snapshots.into_iter().map(|(name, _)| name).collect();
            self.line(&format!("  snapshots of {}", names.join(", ")));
        }
    }

    fn runs(&mut self, status: &Status) {
        let runs: Vec<&RunRecord> = status.ledger.runs().rev().take(MAX_RUNS).collect();
        if runs.is_empty() {
            return;
        }
        self.heading("last runs");
        for run in runs {
            let outcome = match run.outcome {
                RunOutcome::Running => "running, or killed",
                RunOutcome::Ok => "ok",
                RunOutcome::Partial => "partial",
                RunOutcome::Failed => "failed",
            };
            let calls: u64 = run.calls.values().sum();
            let (started, command, partitions) = (instant(run.started_at), &run.command, run.partitions);
            self.line(&format!(
                "  {started}  {command:8}  {outcome}: {partitions} partitions, {calls} calls (run {})",
                run.run_id
            ));
            for error in run.errors.iter().take(MAX_RANGES) {
                self.line(&format!("    {}", first_words(error)));
            }
            if let Some(more) = run.errors.len().checked_sub(MAX_RANGES).filter(|more| *more > 0) {
                self.line(&format!("    and {more} more"));
            }
        }
    }

    fn history(&mut self, status: &Status) {
        let changes: Vec<_> = named(status).flat_map(|(_, table)| &table.records).flat_map(changes).collect();
        if changes.is_empty() {
            self.line("no partition was changed by a re-pull");
        }
        for change in changes {
            let (before, after) = (instant(change.before_pulled_at), instant(change.pulled_at));
            self.heading(&format!(
                "{} {}, between {before} and {after} (run {})",
                change.table, change.date, change.run_id
            ));
            if change.rows.before != change.rows.after {
                self.line(&format!("  rows: {} -> {}", change.rows.before, change.rows.after));
            }
            for (column, values) in &change.columns {
                self.line(&format!("  {column}: {}", values.describe()));
            }
        }
    }

    fn rebuilt(&mut self, rebuilt: &Rebuilt) {
        let reconstructed: u64 = rebuilt.reconstructed.values().sum();
        self.heading(&format!(
            "rebuilt: {} records kept, {reconstructed} made from their files, {} runs kept",
            rebuilt.kept, rebuilt.runs
        ));
        for (table, count) in &rebuilt.reconstructed {
            self.line(&format!("  made from its files: {table}, {count}"));
        }
        for copy in &rebuilt.moved_aside {
            self.line(&format!("  damaged, replaced, kept as {copy}"));
        }
        for dropped in &rebuilt.dropped {
            self.line(&format!("  no record: {}: {}", dropped.path, dropped.message));
        }
        if reconstructed > 0 {
            self.line(
                "  not in the files, so not known of these: earlier restatements, differences from Criteo's totals",
            );
        }
    }

    fn verification(&mut self, verification: &Verification) {
        let Verification { files, bytes, findings } = verification;
        let result = match findings.len() {
            0 => "all as recorded".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        self.heading(&format!("verified {files} files, {bytes} bytes: {result}"));
        for finding in findings {
            self.line(&format!("  {}: {}", finding.path, finding.message));
        }
    }
}

fn named(status: &Status) -> impl Iterator<Item = (&str, &TableCoverage)> {
    status.coverage.tables.iter().map(|(name, table)| (name.as_str(), table))
}

fn name_width<'t>(names: impl Iterator<Item = &'t str>) -> usize {
    names.map(str::len).max().unwrap_or(0).max("snapshot".len())
}

fn shown(date: Option<NaiveDate>) -> String {
    date.map_or_else(|| "-".to_owned(), |date| date.to_string())
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The ranges in words, the newest if there are many.
fn ranges(ranges: &[DateRange]) -> String {
    let hidden = ranges.len().saturating_sub(MAX_RANGES);
    let shown: Vec<String> = ranges.iter().skip(hidden).map(ToString::to_string).collect();
    let before = if hidden > 0 { format!("{hidden} earlier ranges, ") } else { String::new() };
    format!("{before}{}", shown.join(", "))
}

fn first_words(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    if line.chars().count() <= ERROR_WIDTH {
        return line.to_owned();
    }
    format!("{}...", line.chars().take(ERROR_WIDTH).collect::<String>().trim_end())
}
