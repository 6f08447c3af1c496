//! What a person reads at the end of a run, and how warnings and errors are listed wherever they are.

use std::fmt::Write;

use crate::ledger::Reconciliation;
use crate::notice::{Notice, Outcome};
use crate::pull::summary::Summary;

/// The summary as text: what was written, at what cost, what was wrong.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = String::new();
    let width = summary.tables.keys().map(String::len).max().unwrap_or(0).max("table".len());
    if !summary.tables.is_empty() {
        line(
            &mut text,
            &format!("{:width$}  {:>10}  {:>12}  {:>12}  {:>6}", "table", "partitions", "rows", "bytes", "calls"),
        );
    }
    for (name, table) in &summary.tables {
        let (partitions, rows, bytes, calls) = (table.partitions, table.rows, table.bytes, table.calls);
        line(&mut text, &format!("{name:width$}  {partitions:>10}  {rows:>12}  {bytes:>12}  {calls:>6}"));
    }
    if let Some(words) = reconciliation(summary) {
        line(&mut text, &words);
    }
    let resumed = summary.members.resumed_partitions;
    if resumed > 0 {
        line(&mut text, &format!("{resumed} partitions of an earlier, interrupted run were not fetched again"));
    }
    let calls = summary.calls;
    let planned = summary
        .members
        .planned_calls
        .map(|planned| format!(" (planned: {} report calls, {} other calls)", planned.report, planned.default));
    line(
        &mut text,
        &format!(
            "{} report calls, {} other calls, {} token calls{}; {} retries; waited {:.1} s; took {:.1} s",
            calls.report,
            calls.default,
            calls.token,
            planned.unwrap_or_default(),
            summary.retries,
            summary.waited_secs,
            summary.elapsed_secs
        ),
    );
    notices(&mut text, "warning", &summary.warnings);
    notices(&mut text, "error", &summary.errors);
    let ending = match summary.outcome {
        Outcome::Ok => "done",
        Outcome::Partial => "partly done: what is listed above as an error is missing, the rest is published",
        Outcome::Failed => "failed: nothing was published",
    };
    let output = summary.output.as_ref().map(|output| format!(" in {output}")).unwrap_or_default();
    line(&mut text, &format!("{ending}{output} (run {})", summary.run_id));
    text
}

/// How the sums of what was read compare with Criteo's own totals; `None` where no report was read.
fn reconciliation(summary: &Summary) -> Option<String> {
    let count = |result: Reconciliation| -> u64 {
        summary.tables.values().filter_map(|table| table.reconciliation.get(result.name())).sum()
    };
    let [equal, differ, unreadable, without] =
        [Reconciliation::Equal, Reconciliation::Differs, Reconciliation::Unreadable, Reconciliation::None].map(count);
    let compared = equal + differ + unreadable;
    let mut clauses = Vec::new();
    if compared > 0 {
        clauses.push(format!("sums equal Criteo's totals on {equal} of {compared} partitions"));
    }
    if differ > 0 {
        clauses.push(format!("they differ on {differ}"));
    }
    if unreadable > 0 {
        clauses.push(format!("the totals could not be read on {unreadable}"));
    }
    if without > 0 {
        clauses.push(format!("{without} without totals at Criteo"));
    }
    (!clauses.is_empty()).then(|| clauses.join("; "))
}

/// Warnings or errors, each with its place; a remedy that several in a row share is shown once, after the last of them.
pub(super) fn notices(text: &mut String, label: &str, notices: &[Notice]) {
    for (index, notice) in notices.iter().enumerate() {
        line(text, &format!("{label}[{}]: {}{}", notice.code, notice.message, place(notice)));
        let is_shared = notices.get(index + 1).is_some_and(|next| next.remedy == notice.remedy);
        if let Some(remedy) = notice.remedy.as_ref().filter(|_| !is_shared) {
            line(text, &format!("  remedy: {remedy}"));
        }
    }
}

/// Table, days and advertiser, as far as the message does not name them.
fn place(notice: &Notice) -> String {
    let mut place: Vec<String> = notice.table.iter().cloned().collect();
    place.extend(match (notice.date, notice.to_date) {
        (Some(from), Some(to)) => Some(format!("{from} to {to}")),
        (Some(day), None) => Some(day.to_string()),
        (None, _) => None,
    });
    let advertiser = notice.advertiser_id.as_ref().filter(|id| !notice.message.contains(id.as_str()));
    place.extend(advertiser.map(|id| format!("advertiser {id}")));
    if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Code;
    use crate::pull::summary::{RunMembers, TableSummary};

    #[test]
    fn the_comparison_with_criteos_totals_is_one_line_that_says_what_was_not_compared() {
        let words = |tables: &[&[(&'static str, u64)]]| {
            let mut summary = Summary::new("r", "pull", RunMembers::default());
            for (at, counts) in tables.iter().enumerate() {
                let reconciliation = counts.iter().copied().collect();
                let table = TableSummary { reconciliation, ..TableSummary::default() };
                summary.tables.insert(at.to_string(), table);
            }
            reconciliation(&summary)
        };
        let equal = words(&[&[("equal", 54)], &[("equal", 30)], &[("none", 30)], &[]]);
        let expected = "sums equal Criteo's totals on 84 of 84 partitions; 30 without totals at Criteo";
        assert_eq!(equal.as_deref(), Some(expected));
        let not = words(&[&[("equal", 1), ("differs", 2), ("unreadable", 3)]]);
        let expected =
            "sums equal Criteo's totals on 1 of 6 partitions; they differ on 2; the totals could not be read on 3";
        assert_eq!(not.as_deref(), Some(expected));
        assert_eq!(words(&[&[]]), None, "snapshots have no sums");
    }

    #[test]
    fn a_remedy_that_several_share_is_shown_once() {
        let mut text = String::new();
        let one = Notice::new(Code::RowCap, "too many rows").remedy("drop a dimension").table("ads");
        let other = Notice::new(Code::ScopeMissing, "no").remedy("ask for it").advertiser("7");
        notices(&mut text, "error", &[one.clone(), one, other]);
        assert_eq!(
            text,
            "error[row_cap]: too many rows (ads)\nerror[row_cap]: too many rows (ads)\n  remedy: drop a dimension\n\
             error[scope_missing]: no (advertiser 7)\n  remedy: ask for it\n"
        );
    }
}
