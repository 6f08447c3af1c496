//! What a person reads at the end of a run.

use std::fmt::Write;

use crate::pull::summary::{Notice, Outcome, Summary};

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
    if summary.resumed_partitions > 0 {
        let resumed = summary.resumed_partitions;
        line(&mut text, &format!("{resumed} partitions of an earlier, interrupted run were not fetched again"));
    }
    let calls = summary.calls;
    line(
        &mut text,
        &format!(
            "{} report calls, {} other calls, {} token calls; {} repeated; waited {:.1} s; took {:.1} s",
            calls.report, calls.default, calls.token, summary.retries, summary.waited_secs, summary.elapsed_secs
        ),
    );
    if let Some(planned) = summary.planned_calls {
        line(&mut text, &format!("planned were {} report calls and {} other calls", planned.report, planned.default));
    }
    for warning in &summary.warnings {
        notice(&mut text, "warning", warning);
    }
    for error in &summary.errors {
        notice(&mut text, "error", error);
    }
    let ending = match summary.outcome {
        Outcome::Ok => "done",
        Outcome::Partial => "partly done: what is listed above as an error is missing, the rest is published",
        Outcome::Failed => "failed: nothing was published",
    };
    let output = summary.output.as_ref().map(|output| format!(" in {output}")).unwrap_or_default();
    line(&mut text, &format!("{ending}{output} (run {})", summary.run_id));
    text
}

fn notice(text: &mut String, kind: &str, notice: &Notice) {
    let mut place = Vec::new();
    place.extend(notice.table.clone());
    place.extend(match (notice.date, notice.to_date) {
        (Some(from), Some(to)) => Some(format!("{from} to {to}")),
        (Some(day), None) => Some(day.to_string()),
        (None, _) => None,
    });
    let place = if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) };
    line(text, &format!("{kind}[{}]: {}{place}", notice.code, notice.message));
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes any text");
}
