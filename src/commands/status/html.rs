//! `status` as one web page that needs nothing else: no script, no font, no picture from anywhere. It shows what the text
//! shows, and the restatement of each report as a chart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{Datelike, Days, NaiveDate};

use super::Status;
use super::coverage::{DayState, TableCoverage};
use super::health::{clock_time, duration, reconciliation};
use super::history::{Change, overall, percent};
use crate::error::Error;
use crate::ledger::{Reconciliation, RunOutcome};

/// Weeks of a calendar.
const WEEKS: u64 = 26;
/// Runs listed.
const MAX_RUNS: usize = 20;
/// Days of a restatement chart.
const CHART_DAYS: usize = 60;
/// Charts of one table.
const MAX_CHARTS: usize = 2;
/// Side of a calendar's square with the gap after it.
const CELL: u32 = 13;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1f2328; --faint: #656d76; --page: #ffffff; --card: #f6f8fa; --line: #d0d7de;
  --final: #2da44e; --provisional: #54aeff; --mismatch: #cf222e; --missing: #bf8700; --none: #eaeef2; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --faint: #9198a1; --page: #0d1117; --card: #161b22;
  --line: #30363d; --final: #3fb950; --provisional: #58a6ff; --mismatch: #f85149; --missing: #d29922; --none: #21262d; } }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .2rem 0; } .faint { color: var(--faint); font-size: .87rem; }
.job { background: var(--card); border: 1px solid var(--line); border-left: .35rem solid var(--final); border-radius: .4rem;
  padding: .6rem .9rem; margin: .6rem 0; } .job.bad, .fault { border-left-color: var(--mismatch); }
.fault { background: var(--card); border: 1px solid var(--mismatch); border-left-width: .35rem; border-radius: .4rem; padding: .6rem .9rem; margin: .6rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 500; } .number { text-align: right; }
.legend span { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin: 0 .3rem 0 1rem; vertical-align: -.05rem; }
svg { display: block; max-width: 100%; height: auto; } svg text { fill: var(--faint); font: 10px system-ui, sans-serif; }
.final { fill: var(--final); background: var(--final); } .provisional { fill: var(--provisional); background: var(--provisional); }
.mismatch { fill: var(--mismatch); background: var(--mismatch); } .missing { fill: var(--missing); background: var(--missing); }
.none { fill: var(--none); } .axis { stroke: var(--line); }
";

/// Writes the page to a file.
pub(super) fn write(status: &Status, path: &Path) -> Result<(), Error> {
    let page = page(status);
    std::fs::write(path, page).map_err(|error| Error::output(format!("could not write `{}`", path.display()), error))
}

/// The page.
fn page(status: &Status) -> String {
    let mut page = Page(String::new());
    let settings = &status.settings;
    let title = format!("criteo-source: {}", settings.output);
    page.add(&format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
        escape(&title),
        escape(&settings.output.to_string())
    ));
    page.add(&format!(
        "<p class=\"faint\">as of {} ({}), written {}</p>\n",
        settings.as_of,
        escape(settings.timezone.name()),
        clock_time(status.now, NaiveDate::MIN, settings.timezone),
    ));
    for fault in &status.faults {
        page.add(&format!("<p class=\"fault\">{}</p>\n", escape(fault)));
    }
    page.jobs(status);
    page.calendars(status);
    page.freshness(status);
    page.restatement(status);
    page.runs(status);
    page.add("</body>\n</html>\n");
    page.0
}

struct Page(String);

impl Page {
    fn add(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn jobs(&mut self, status: &Status) {
        for job in &status.health.jobs {
            let class = if job.is_complete { "job" } else { "job bad" };
            let (name, sentence) = (job.job.name(), escape(&job.sentence));
            self.add(&format!("<div class=\"{class}\"><strong>{name}</strong> &mdash; {sentence}</div>\n"));
        }
        if !status.health.problems.is_empty() {
            self.add("<ul>\n");
            for problem in &status.health.problems {
                self.add(&format!("<li>{}</li>\n", escape(problem)));
            }
            self.add("</ul>\n");
        }
    }

    fn calendars(&mut self, status: &Status) {
        self.add(
            "<h2>Days</h2>\n<p class=\"faint legend\">Monday on top<span class=\"final\"></span>final\
             <span class=\"provisional\"></span>provisional: Criteo still restates it\
             <span class=\"mismatch\"></span>differs from Criteo's totals<span class=\"missing\"></span>missing</p>\n",
        );
        let last = status.settings.as_of.pred_opt().unwrap_or(status.settings.as_of);
        for (name, table) in tables(status, false) {
            self.add(&format!(
                "<h3>{}</h3>\n<div class=\"scroll\">{}</div>\n",
                escape(name),
                calendar(last, &table.days)
            ));
        }
    }

    fn freshness(&mut self, status: &Status) {
        self.add(
            "<h2>Freshness and reconciliation</h2>\n<div class=\"scroll\"><table>\n<tr><th>table</th><th>newest</th>\
             <th>pulled</th><th class=\"number\">partitions</th><th class=\"number\">missing</th>\
             <th class=\"number\">rows</th><th>sums and Criteo's totals</th></tr>\n",
        );
        for (name, table) in tables(status, false).chain(tables(status, true)) {
            let seen = table.records.iter().map(|record| record.confirmed_at.unwrap_or(record.pulled_at)).max();
            let seen = seen.map_or_else(
                || "never".to_owned(),
                |at| format!("{} ago", duration(status.now.signed_duration_since(at))),
            );
            let newest = table.last().map_or_else(|| "-".to_owned(), |day| day.to_string());
            let compared = if table.is_snapshot { String::new() } else { reconciled(status, name, table) };
            self.add(&format!(
                "<tr><td>{}</td><td>{newest}</td><td>{seen}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td>{compared}</td></tr>\n",
                escape(name),
                table.records.len(),
                table.count(DayState::Missing),
                table.rows(),
            ));
        }
        self.add("</table></div>\n");
    }

    fn restatement(&mut self, status: &Status) {
        let mut is_first = true;
        for (name, table) in tables(status, false) {
            let changed: Vec<Change> = table.records.iter().filter_map(overall).collect();
            let changed = &changed[changed.len().saturating_sub(CHART_DAYS)..];
            for column in most_restated(changed) {
                if std::mem::take(&mut is_first) {
                    self.add(
                        "<h2>Restatement</h2>\n<p class=\"faint\">How far the sum of each day is now from what its \
                         first read said.</p>\n",
                    );
                }
                let chart = chart(changed, &column);
                self.add(&format!(
                    "<h3>{} &middot; {}</h3>\n<div class=\"scroll\">{chart}</div>\n",
                    escape(name),
                    escape(&column)
                ));
            }
        }
    }

    fn runs(&mut self, status: &Status) {
        self.add(
            "<h2>Runs</h2>\n<div class=\"scroll\"><table>\n<tr><th>started</th><th>command</th><th>outcome</th>\
             <th class=\"number\">seconds</th><th class=\"number\">partitions</th><th class=\"number\">calls</th>\
             <th>errors</th></tr>\n",
        );
        for run in status.ledger.runs().rev().take(MAX_RUNS) {
            let outcome = match run.outcome {
                RunOutcome::Running => "running, or killed",
                RunOutcome::Ok => "ok",
                RunOutcome::Partial => "partial",
                RunOutcome::Failed => "failed",
            };
            let seconds =
                run.finished_at.map(|end| end.signed_duration_since(run.started_at).num_seconds().to_string());
            let (calls, error) = (run.calls.values().sum::<u64>(), run.errors.first().map(String::as_str));
            self.add(&format!(
                "<tr><td>{}</td><td>{}</td><td>{outcome}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{calls}</td><td style=\"white-space: normal\">{}</td></tr>\n",
                clock_time(run.started_at, NaiveDate::MIN, status.settings.timezone),
                escape(&run.command),
                seconds.unwrap_or_default(),
                run.partitions,
                escape(error.unwrap_or_default()),
            ));
        }
        self.add("</table></div>\n");
    }
}

fn tables(status: &Status, snapshots: bool) -> impl Iterator<Item = (&str, &TableCoverage)> {
    let all = status.coverage.tables.iter().map(|(name, table)| (name.as_str(), table));
    all.filter(move |(_, table)| table.is_snapshot == snapshots)
}

/// "28 equal, 1 differs"
fn reconciled(status: &Status, name: &str, covered: &TableCoverage) -> String {
    let table = status.tables.iter().find(|table| table.name == name);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &covered.records {
        let word = match reconciliation(table, record) {
            Some(Reconciliation::Equal) => "equal",
            Some(Reconciliation::Differs) => "different",
            Some(Reconciliation::Unreadable) => "totals not readable",
            Some(Reconciliation::None) => "without totals at Criteo",
            None => "not known",
        };
        *counts.entry(word).or_default() += 1;
    }
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// A column a week, a square a day.
fn calendar(last: NaiveDate, days: &BTreeMap<NaiveDate, DayState>) -> String {
    let this = last.checked_sub_days(Days::new(last.weekday().num_days_from_monday().into())).unwrap_or(last);
    let mut svg = String::new();
    let mut month = None;
    for week in 0..WEEKS {
        let Some(monday) = this.checked_sub_days(Days::new(7 * (WEEKS - 1 - week))) else { continue };
        let x = u64::from(CELL) * week;
        if month.replace(monday.month()) != Some(monday.month()) {
            write!(svg, "<text x=\"{x}\" y=\"9\">{}</text>", monday.format("%b")).expect("a string takes any text");
        }
        for (row, day) in (0_u32..).zip(monday.iter_days().take(7)).filter(|(_, day)| *day <= last) {
            let (class, word) = match days.get(&day) {
                Some(DayState::Final) => ("final", "final"),
                Some(DayState::Provisional) => ("provisional", "provisional"),
                Some(DayState::Mismatch) => ("mismatch", "differs from Criteo's totals"),
                Some(DayState::Missing) => ("missing", "missing"),
                None => ("none", "not requested"),
            };
            let (y, side) = (14 + CELL * row, CELL - 2);
            write!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" rx=\"2\">\
                 <title>{day}: {word}</title></rect>"
            )
            .expect("a string takes any text");
        }
    }
    let (width, height) = (u64::from(CELL) * WEEKS, 14 + 7 * CELL);
    format!("<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">{svg}</svg>")
}

/// The columns whose sums changed most, by the mean of what is known of each.
fn most_restated(changed: &[Change]) -> Vec<String> {
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for (name, values) in changed.iter().flat_map(|change| &change.columns) {
        if let Some(per_mille) = values.per_mille() {
            let (sum, count) = sums.entry(name).or_default();
            (*sum, *count) = (sum.saturating_add(per_mille.abs().min(1_000_000)), *count + 1);
        }
    }
    let mut columns: Vec<_> = sums.into_iter().collect();
    columns.sort_by_key(|(name, (sum, count))| (std::cmp::Reverse(sum / count.max(&1)), *name));
    columns.into_iter().take(MAX_CHARTS).map(|(name, _)| name.to_owned()).collect()
}

/// A bar a day, up for more and down for less.
fn chart(changed: &[Change], column: &str) -> String {
    let bars: Vec<(NaiveDate, i128)> =
        changed.iter().filter_map(|change| Some((change.date, change.columns.get(column)?.per_mille()?))).collect();
    let largest = bars.iter().map(|(_, per_mille)| per_mille.abs()).max().unwrap_or(0).max(1);
    let has = |sign: i128| bars.iter().any(|(_, per_mille)| per_mille.signum() == sign);
    let (above, below) = (if has(1) { 90 } else { 12 }, if has(-1) { 90 } else { 12 });
    let (step, left) = (13, 56);
    let width = left + step * i128::try_from(bars.len()).unwrap_or(0).max(10);
    let height = above + below + 16;
    let mut svg = format!("<line class=\"axis\" x1=\"{left}\" x2=\"{width}\" y1=\"{above}\" y2=\"{above}\"/>");
    let mut label = |y: i128, text: &str| {
        write!(svg, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{text}</text>", left - 6)
            .expect("a string takes any text");
    };
    label(above + 3, "0 %");
    if has(1) {
        label(10, &percent(largest));
    }
    if has(-1) {
        label(above + below - 2, &percent(-largest));
    }
    for (x, (day, per_mille)) in (0..).map(|bar| left + bar * step).zip(&bars) {
        let length = (per_mille.abs() * 80 / largest).max(1);
        let (y, class) = if *per_mille < 0 { (above, "missing") } else { (above - length, "provisional") };
        write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{length}\">\
             <title>{day}: {}</title></rect>",
            step - 2,
            percent(*per_mille)
        )
        .expect("a string takes any text");
    }
    if let (Some((first, _)), Some((last, _))) = (bars.first(), bars.last()) {
        let y = height - 3;
        write!(svg, "<text x=\"{left}\" y=\"{y}\">{first} to {last}</text>").expect("a string takes any text");
    }
    format!("<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">{svg}</svg>")
}

/// Text as HTML, without any secret that somebody else said.
fn escape(text: &str) -> String {
    let text = crate::redaction::redact(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::document::tests::record;
    use crate::ledger::Restatement;

    fn changed(days: &[(&str, &str, &str)]) -> Vec<Change> {
        let change = |(date, before, after): &(&str, &str, &str)| {
            let sums = |sum: &str| [("sales".to_owned(), sum.to_owned())].into();
            let record = record("t", date, |record| {
                record.sums = sums(after);
                let pulled_at = chrono::DateTime::UNIX_EPOCH;
                record.history = vec![Restatement { run_id: "r".to_owned(), pulled_at, rows: 1, sums: sums(before) }];
            });
            overall(&record).expect("it changed")
        };
        days.iter().map(change).collect()
    }

    #[test]
    fn a_chart_has_a_bar_for_each_day_that_changed_and_says_how_much() {
        let changed = changed(&[("2026-11-01", "100", "150"), ("2026-11-02", "100", "90")]);
        assert_eq!(most_restated(&changed), ["sales"]);
        let svg = chart(&changed, "sales");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(
            svg.contains("<title>2026-11-01: +50.0 %</title>") && svg.contains("<title>2026-11-02: -10.0 %</title>")
        );
        assert!(svg.contains(">+50.0 %</text>"), "{svg}");
    }

    #[test]
    fn a_calendar_has_a_square_for_every_day_of_half_a_year() {
        let last: NaiveDate = "2026-11-21".parse().unwrap();
        let svg = calendar(last, &[(last, DayState::Missing)].into());
        assert_eq!(svg.matches("<rect").count(), 26 * 7 - 1, "Sunday is not over");
        assert_eq!(svg.matches("class=\"missing\"").count(), 1);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
