//! What a person reads at the end of a run, and how warnings and errors are listed wherever they are.

use std::fmt::Write;

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
