//! `plan`, and `--dry-run` of `pull` and `backfill`: what a run would request, before anything is fetched.
//!
//! It calls nothing but `advertisers/me`, takes no lock and writes nothing.

use std::fmt::Write;

use serde::Serialize;

use super::session::Session;
use super::{Ended, output, print_document, print_text};
use crate::cli::{Format, GlobalOptions};
use crate::clock::Deadline;
use crate::criteo::{Calls, Connection, Patience};
use crate::dates::today;
use crate::document::Document;
use crate::error::Error;
use crate::output::read_to_plan;
use crate::pull::{
    Forecast, Portfolio, Scope, Survey, Surveyed, adopt, is_clock_wrong, portfolio_error, remembered_refusals,
    remembered_unavailable, removal,
};
use crate::store::Store;

/// Calls a minute that Criteo allows (Criteo docs, Rate limits page); the first minute's worth goes at once.
const REPORT_CALLS_PER_MINUTE: u64 = 40;
const DEFAULT_CALLS_PER_MINUTE: u64 = 250;

/// What only this document has.
#[derive(Serialize)]
struct Members {
    scope: &'static str,
    advertisers: Vec<String>,
    minutes: u64,
    resumed_partitions: u64,
}

/// A forecast, with the members that every document has for a table: nothing is published by planning.
#[derive(Serialize)]
struct PlannedTable {
    #[serde(flatten)]
    forecast: Forecast,
    partitions: u64,
    rows: u64,
    bytes: u64,
}

/// Plans a scope and prints it; `command` is the verb that was typed.
pub async fn run(
    command: &str,
    scope: Scope,
    prune: bool,
    mut session: Session,
    global: &GlobalOptions,
    run_id: &str,
) -> Result<Ended, Error> {
    let tables = session.wanted_tables()?;
    let Session { mut settings, mut warnings, clock } = session;
    let store = Store::read_only(&settings.output)?;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let ledger = read_to_plan(&store, &names).await?;
    adopt(&mut settings, &ledger)?;
    let connection = Connection::open_with(&settings, &clock, Deadline::never(), Patience::Interactive)?;
    let portfolio = Portfolio::fetch(&connection.client, &settings.advertisers).await;
    let portfolio = portfolio.map_err(|error| portfolio_error(&error))?;
    portfolio.require_someone()?;
    let verb = if scope == Scope::Pull { "pull" } else { "backfill" };
    let refused = remembered_refusals(&ledger);
    let survey = Survey {
        command: verb,
        scope,
        settings: &settings,
        ledger: &ledger,
        portfolio: portfolio.ids().collect(),
        advertisers: portfolio.ids().filter(|id| !refused.contains(*id)).collect(),
        unavailable: remembered_unavailable(&ledger),
        today: today(clock.now(), settings.timezone),
        removal: removal(prune, is_clock_wrong(&connection.client, &clock)),
    };
    let Surveyed { plan, forecasts, calls, .. } = survey.run(tables)?;
    warnings.extend(plan.notices.iter().cloned());
    let members = Members {
        scope: verb,
        advertisers: portfolio.ids().map(str::to_owned).collect(),
        minutes: minutes(calls),
        resumed_partitions: plan.resumed_partitions,
    };
    let usage = connection.usage();
    let document = Document {
        output: Some(settings.output.to_string()),
        tables: forecasts.into_iter().map(|(name, forecast)| (name, PlannedTable::of(forecast))).collect(),
        calls,
        retries: usage.retries,
        waited_secs: usage.waited.as_secs_f64(),
        elapsed_secs: clock.elapsed().as_secs_f64(),
        warnings,
        ..Document::new(run_id, command, members)
    };
    // The run itself would end like this: partial where a configured advertiser is missing, as the others are pulled.
    let document = document.ended(portfolio.absent().collect(), 1);
    let ended = Ended { exit_code: document.exit_code() };
    match global.format {
        Format::Json => print_document(&document)?,
        _ => print_text(&render(&document))?,
    }
    Ok(ended)
}

impl PlannedTable {
    fn of(forecast: Forecast) -> Self {
        Self { forecast, partitions: 0, rows: 0, bytes: 0 }
    }
}

/// Minutes that the quotas alone make it last; the answers' own time comes on top.
fn minutes(calls: Calls) -> u64 {
    let waits = |calls: u64, per_minute: u64| calls.saturating_sub(1) / per_minute;
    waits(calls.report, REPORT_CALLS_PER_MINUTE).max(waits(calls.default, DEFAULT_CALLS_PER_MINUTE))
}

fn render(plan: &Document<PlannedTable, Members>) -> String {
    let mut text = String::new();
    let width = plan.tables.keys().map(String::len).max().unwrap_or(0).max("table".len());
    line(&mut text, &format!("{:width$}  {:>5}  {:<24}  {:>7}  {:>6}", "table", "days", "", "windows", "calls"));
    for (name, PlannedTable { forecast, .. }) in &plan.tables {
        let days = match (forecast.from, forecast.to) {
            (Some(from), Some(to)) if from != to => format!("{from} to {to}"),
            (Some(day), _) => day.to_string(),
            _ => "nothing to do".to_owned(),
        };
        let least = if forecast.is_guess { " or more" } else { "" };
        let Forecast { days: count, windows, calls, .. } = forecast;
        line(&mut text, &format!("{name:width$}  {count:>5}  {days:<24}  {windows:>7}  {calls:>6}{least}"));
    }
    let Calls { report, default, .. } = plan.calls;
    let duration = match plan.members.minutes {
        0 => "no waiting for the quota".to_owned(),
        minutes => format!("at least {minutes} minutes under the quota"),
    };
    line(&mut text, &format!("{report} report calls and {default} other calls, {duration}"));
    output::notices(&mut text, "warning", &plan.warnings);
    output::notices(&mut text, "error", &plan.errors);
    text
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{}", content.trim_end()).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_minutes_worth_of_calls_costs_no_waiting() {
        let minutes_of = |report| minutes(Calls { report, default: 0, token: 0 });
        assert_eq!([0, 1, 40, 41, 80, 81].map(minutes_of), [0, 0, 0, 1, 1, 2]);
    }
}
