//! `status` for people: whether yesterday is complete, then what is there, then what needs a person, then the last runs.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::Status;
use super::calendar;
use super::coverage::{DayState, TableCoverage};
use super::document::mismatched;
use super::history::{Change, Selection, in_percent, overall};
use crate::cli::StatusArguments;
use crate::commands::columns::{Align, aligned};
use crate::commands::terminal::{Terminal, Tone};
use crate::dates::{DateRange, contiguous_ranges};
use crate::ledger::{PartitionRecord, RunOutcome, RunRecord};
use crate::notice::Code;
use crate::recover::{Rebuilt, Verification};

/// Runs shown.
const MAX_RUNS: usize = 5;
/// Ranges of missing days, and errors of a run, that are shown.
const MAX_RANGES: usize = 8;
/// Problems shown before the rest is counted.
const MAX_PROBLEMS: usize = 12;
/// Columns of a job's name in front of its sentence.
const JOB_WIDTH: usize = 11;

/// What was requested; without any option, the coverage.
pub(super) fn render(status: &Status, arguments: &StatusArguments, is_verbose: bool, terminal: Terminal) -> String {
    let mut text = Page { text: String::new(), terminal };
    let selection = Selection::of(&arguments.history);
    for fault in status.faults.iter().filter(|_| !arguments.check) {
        text.line(&terminal.paint(Tone::Bad, &terminal.wrap(fault, 0)));
    }
    if let Some(rebuilt) = &status.rebuilt {
        text.rebuilt(rebuilt);
    }
    if let Some(verification) = &status.verification {
        text.verification(verification);
    }
    if let Some(selection) = &selection {
        text.history(status, selection, is_verbose);
    }
    if arguments.check {
        text.check(status);
    } else if !(arguments.rebuild || arguments.verify || selection.is_some()) {
        text.coverage(status);
    }
    // What was said first is not said again.
    let warnings = status.warnings.iter().filter(|warning| warning.code != Code::LedgerDamaged);
    super::super::output::notices(&mut text.text, "warning", &warnings.cloned().collect::<Vec<_>>());
    text.text
}

struct Page {
    text: String,
    terminal: Terminal,
}

impl Page {
    fn line(&mut self, content: &str) {
        writeln!(self.text, "{}", content.trim_end()).expect("a string takes any text");
    }

    /// A line, or as many as it needs, the second and later ones indented.
    fn wrapped(&mut self, content: &str, indent: usize) {
        let wrapped = self.terminal.wrap(content, indent);
        self.line(&wrapped);
    }

    /// A heading after an empty line, which the first does not need.
    fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        self.wrapped(heading, 0);
    }

    /// Rows of a table, its heading first.
    fn table(&mut self, rows: &[Vec<String>], alignment: &[Align]) {
        self.line("");
        self.text.push_str(&aligned(rows, alignment));
    }

    fn coverage(&mut self, status: &Status) {
        let settings = &status.settings;
        self.wrapped(&format!("{} as of {} ({})", settings.output, settings.as_of, settings.timezone.name()), 2);
        let reports: Vec<(&str, &TableCoverage)> = named(status).filter(|(_, table)| !table.is_snapshot).collect();
        self.health(status);
        if !reports.is_empty() {
            self.reports(&reports);
            self.heading("last weeks, Monday first");
            let last = settings.as_of.pred_opt().unwrap_or(settings.as_of);
            let days = reports.iter().map(|(name, table)| (*name, &table.days));
            self.text.push_str(&calendar::draw(last, self.terminal, days));
            self.line(calendar::LEGEND);
        }
        self.snapshots(status);
        self.missing(&reports);
        self.mismatches(status);
        self.left_out(status);
        self.due(status);
        self.runs(status);
    }

    /// A sentence per job.
    fn health(&mut self, status: &Status) {
        if status.coverage.tables.values().all(|table| table.records.is_empty()) {
            return self.wrapped("nothing was pulled yet: `criteo-source pull` starts", 0);
        }
        self.line("");
        for job in &status.health.jobs {
            let name = format!("{:JOB_WIDTH$}", job.job.name());
            let sentence = self.terminal.wrap(&format!("{name}{}", job.sentence), JOB_WIDTH);
            // The name is painted after its width has been used.
            let rest = sentence.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
            let tone = if job.is_complete { Tone::Good } else { Tone::Bad };
            let painted = self.terminal.paint(tone, job.job.name());
            let blanks = JOB_WIDTH - job.job.name().len();
            self.line(&format!("{painted}{:blanks$}{rest}", ""));
        }
    }

    /// `--check`: the sentences, and what is wrong.
    fn check(&mut self, status: &Status) {
        self.health(status);
        let problems = &status.health.problems;
        if problems.is_empty() {
            self.line("");
            let verdict = self.terminal.paint(Tone::Good, "complete");
            return self.line(&verdict);
        }
        let verdict = self.terminal.paint(Tone::Bad, "not complete:");
        self.line("");
        self.line(&verdict);
        for problem in problems.iter().take(MAX_PROBLEMS) {
            self.wrapped(&format!("  {problem}"), 4);
        }
        if problems.len() > MAX_PROBLEMS {
            self.line(&format!("  and {} more", problems.len() - MAX_PROBLEMS));
        }
    }

    fn reports(&mut self, reports: &[(&str, &TableCoverage)]) {
        let heading = ["report", "newest", "final", "prov.", "diff.", "miss.", "rows"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for (name, table) in reports {
            let counts = [DayState::Final, DayState::Provisional, DayState::Mismatch, DayState::Missing]
                .map(|state| table.count(state).to_string());
            let mut row = vec![(*name).to_owned(), shown(table.last())];
            row.extend(counts);
            row.push(table.rows().to_string());
            rows.push(row);
        }
        let right = Align::Right;
        self.table(&rows, &[Align::Left, Align::Left, right, right, right, right, right]);
    }

    fn snapshots(&mut self, status: &Status) {
        let heading = ["snapshot", "newest", "snapshots", "rows in it"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for (name, table) in named(status).filter(|(_, table)| table.is_snapshot) {
            let in_newest = table.records.last().map_or(0, |record| record.rows);
            let count = table.records.len().to_string();
            rows.push(vec![name.to_owned(), shown(table.last()), count, in_newest.to_string()]);
        }
        if rows.len() > 1 {
            self.table(&rows, &[Align::Left, Align::Left, Align::Right, Align::Right]);
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
            self.wrapped(&format!("  {name}: {}", ranges(&contiguous_ranges(&missing))), 4);
            let elsewhere = missing.difference(&table.due).copied().collect();
            if !contiguous_ranges(&elsewhere).is_empty() {
                let days = ranges(&contiguous_ranges(&elsewhere));
                self.wrapped(
                    &format!("    of these, only `backfill --from D --to D --tables {name}` fetches {days}"),
                    6,
                );
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
                self.wrapped(&format!("    {difference}"), 6);
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
                self.wrapped(line, 4);
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
        for (name, table) in reports {
            let (days, ranges) = (table.due.len(), ranges(&contiguous_ranges(&table.due)));
            let unit = if days == 1 { "day" } else { "days" };
            self.wrapped(&format!("  {name}: {days} {unit}, {ranges}"), 4);
        }
        if !snapshots.is_empty() {
            let names: Vec<&str> = snapshots.into_iter().map(|(name, _)| name).collect();
            self.wrapped(&format!("  snapshots of {}", names.join(", ")), 4);
        }
    }

    fn runs(&mut self, status: &Status) {
        let runs: Vec<&RunRecord> = status.ledger.runs().rev().take(MAX_RUNS).collect();
        if runs.is_empty() {
            return;
        }
        self.heading("last runs");
        for run in runs {
            let (tone, outcome) = match run.outcome {
                RunOutcome::Running => (Tone::Pending, "running, or killed"),
                RunOutcome::Ok => (Tone::Good, "ok"),
                RunOutcome::Partial => (Tone::Bad, "partial"),
                RunOutcome::Failed => (Tone::Bad, "failed"),
            };
            let calls: u64 = run.calls.values().sum();
            let (started, command, partitions) = (instant(run.started_at), &run.command, run.partitions);
            let outcome = self.terminal.paint(tone, outcome);
            self.line(&format!("  {started}  {command:8}  {outcome}: {partitions} partitions, {calls} calls"));
            let run_id = self.terminal.paint(Tone::Faint, &format!("    run {}", run.run_id));
            self.line(&run_id);
            for error in run.errors.iter().take(MAX_RANGES) {
                let line = self.terminal.shorten(error.lines().next().unwrap_or_default(), 4);
                self.line(&format!("    {line}"));
            }
            if let Some(more) = run.errors.len().checked_sub(MAX_RANGES).filter(|more| *more > 0) {
                self.line(&format!("    and {more} more"));
            }
        }
    }

    /// A line a day, or with `-v` each step.
    fn history(&mut self, status: &Status, selection: &Selection, is_verbose: bool) {
        let records = named(status).flat_map(|(_, table)| &table.records);
        let changed = selection.changed(records);
        if changed.is_empty() {
            return self.line("no partition was changed by a re-pull");
        }
        let mut table = "";
        for (record, changes) in &changed {
            if record.table != table {
                table = &record.table;
                self.heading(&format!("{table}: what re-pulls changed, newest day first"));
            }
            let Some(overall) = overall(record) else { continue };
            let times = if changes.len() == 1 { "1 change " } else { "changes" };
            let count = if changes.len() == 1 { String::new() } else { format!("{} ", changes.len()) };
            let line = format!("  {}  {count}{times}: {}", record.date, in_percent(&overall));
            let line = if is_verbose { self.terminal.wrap(&line, 4) } else { self.terminal.shorten(&line, 0) };
            self.line(&line);
            if is_verbose {
                changes.iter().rev().for_each(|change| self.change(change));
            }
        }
        if !is_verbose {
            self.line("");
            self.wrapped("`-v` shows every change with exact sums; `--day D` one day", 0);
        }
    }

    fn change(&mut self, change: &Change) {
        let (before, after) = (instant(change.before_pulled_at), instant(change.pulled_at));
        self.line(&format!("    between {before} and {after}"));
        let run = self.terminal.paint(Tone::Faint, &format!("      run {}", change.run_id));
        self.line(&run);
        if change.rows.before != change.rows.after {
            self.line(&format!("      rows: {} -> {}", change.rows.before, change.rows.after));
        }
        for (column, values) in &change.columns {
            self.wrapped(&format!("      {column}: {}", values.describe()), 8);
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
            self.wrapped(&format!("  no record: {}: {}", dropped.path, dropped.message), 4);
        }
        if reconstructed > 0 {
            self.wrapped(
                "  not in the files, so not known of these: earlier restatements, differences from Criteo's totals",
                4,
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
            self.wrapped(&format!("  {}: {}", finding.path, finding.message), 4);
        }
    }
}

fn named(status: &Status) -> impl Iterator<Item = (&str, &TableCoverage)> {
    status.coverage.tables.iter().map(|(name, table)| (name.as_str(), table))
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
