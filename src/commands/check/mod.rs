//! `check`: everything a scheduled run needs, proven before the first one; each finding as it is known, and all problems at the end,
//! each with its remedy.
//!
//! It asks Criteo as little as proves something: who we are, one page of campaigns and of creatives, one day of each
//! wanted report. It leaves nothing behind: what it writes to the output to prove that it can is removed at once, and targets of
//! `load` are only read. It repairs nothing, and repeats no check of the configuration that reading it already made.
//!
//! ```text
//! mod ─┬─ place, targets ──────────┐
//!      └─ api ── reach ── probe    ├─ checklist ── finding, document
//!          └───────────────────────┘
//! ```

mod api;
mod checklist;
mod document;
mod finding;
mod place;
mod probe;
mod reach;
mod targets;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::future::join3;

use self::api::ApiChecks;
use self::checklist::Checklist;
use self::document::{CheckDocument, render};
use self::finding::Finding;
use super::session::Session;
use super::{Ended, print_document, print_text};
use crate::catalog::{Connector, Table};
use crate::cli::{Format, GlobalOptions};
use crate::clock::{Clock, Deadline};
use crate::criteo::{Connection, Patience, VersionAge};
use crate::error::Error;
use crate::notice::{Code, Notice};
use crate::settings::Settings;

/// How long Criteo has to answer: somebody waits for this.
const MAX_MINUTES: u64 = 10;

/// Checks everything and prints what was found.
pub async fn run(global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let session = Session::load(global)?;
    let is_text = global.format != Format::Json;
    let document = examine(session, run_id, is_text).await?;
    if is_text {
        print_text(&render(&document))?;
    } else {
        print_document(&document)?;
    }
    Ok(Ended { exit_code: document.exit_code() })
}

/// Checks everything, and prints each finding at once if `is_shown`.
async fn examine(mut session: Session, run_id: &str, is_shown: bool) -> Result<CheckDocument, Error> {
    let wanted = session.wanted_tables();
    let tables = wanted.as_deref().unwrap_or_default();
    let Session { settings, clock, warnings } = session;
    let list = Checklist::new(names(&settings, tables), is_shown.then_some(print_text));
    list.add_all(configuration(&settings, &wanted, &warnings));
    list.add(api_version(&clock));
    let deadline = Deadline::after(&clock, Duration::from_secs(MAX_MINUTES * 60));
    let connection = Connection::open_with(&settings, &clock, deadline, Patience::Interactive);
    let criteo = criteo(&connection, &settings, tables, &clock, &list);
    join3(criteo, place::check(&settings, tables, &list), targets::check(&settings, &clock, &list)).await;
    let findings = list.into_findings()?;
    Ok(document::of(run_id, &settings, &clock, connection.ok().as_ref(), findings))
}

/// Every check, in the order in which the document has them.
fn names(settings: &Settings, tables: &[Table]) -> Vec<String> {
    let first = [finding::CONFIGURATION, finding::API_VERSION, finding::OUTPUT, finding::LOCK, finding::CONTENTS];
    let first = first.map(str::to_owned).into_iter();
    first.chain(targets::names(settings)).chain(api::names(tables)).collect()
}

async fn criteo(
    connection: &Result<Connection, Error>,
    settings: &Settings,
    tables: &[Table],
    clock: &Clock,
    list: &Checklist,
) {
    match connection {
        Ok(connection) => ApiChecks::new(&connection.client, settings, tables, clock, list).run().await,
        Err(error) => {
            list.add_all(Finding::of_error(finding::CREDENTIALS, error));
            list.skip(&api::names(tables), "there are no credentials to call Criteo with");
        }
    }
}

/// What the configuration says, what is wrong with it, and what is odd about it.
fn configuration(settings: &Settings, tables: &Result<Vec<Table>, Error>, warnings: &[Notice]) -> Vec<Finding> {
    let name = finding::CONFIGURATION;
    let mut findings = match tables {
        Ok(tables) => vec![Finding::ok(name, in_force(settings, tables))],
        Err(error) => Finding::of_error(name, error),
    };
    findings.extend(warnings.iter().map(|warning| Finding::warning(name, warning.clone())));
    findings
}

fn in_force(settings: &Settings, tables: &[Table]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    format!(
        "amounts in {}, days cut in {}, from {} on, the last {} days read again; tables: {}",
        settings.currency,
        settings.timezone,
        settings.start_date,
        settings.lookback_days,
        names.join(", ")
    )
}

/// The age of the API version; the wall clock counts, whatever `--as-of` says.
fn api_version(clock: &Clock) -> Finding {
    let name = finding::API_VERSION;
    let connector = Connector::get();
    let age = VersionAge::of(connector, clock.now().date_naive());
    let Some(message) = age.warning(connector) else {
        let (version, sunset) = (&connector.api_version, connector.api_version_sunset);
        return Finding::ok(name, format!("{version}, which Criteo keeps until {sunset}"));
    };
    let notice = Notice::new(Code::ApiVersionSunset, message);
    match age {
        VersionAge::Removed => Finding::problem(name, notice),
        VersionAge::Supported | VersionAge::Deprecated { .. } => Finding::warning(name, notice),
    }
}
