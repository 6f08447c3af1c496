//! `check`: everything a scheduled run needs, proven before the first one; all problems at once, each with its remedy.
//!
//! It asks Criteo as little as proves something: who we are, one page of campaigns and of creatives, one day of each
//! wanted report. It publishes nothing; of the output it makes the folder, and a file that goes away again. It repairs
//! nothing, and repeats no check of the configuration that reading it already made.

mod api;
mod document;
mod finding;
mod place;
mod reach;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::api::ApiChecks;
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
    let document = examine(session, run_id).await;
    match global.format {
        Format::Json => print_document(&document)?,
        _ => print_text(&render(&document))?,
    }
    Ok(Ended { exit_code: document.exit_code() })
}

/// Checks everything.
async fn examine(mut session: Session, run_id: &str) -> CheckDocument {
    let mut findings = Vec::new();
    let tables = configuration(&mut session, &mut findings);
    let Session { settings, clock, .. } = session;
    findings.push(api_version(&clock));
    findings.extend(place::check(&settings, &clock, run_id).await);
    let deadline = Deadline::after(&clock, Duration::from_secs(MAX_MINUTES * 60));
    let connection = match Connection::open_with(&settings, &clock, deadline, Patience::Interactive) {
        Ok(connection) => {
            findings.extend(ApiChecks::new(&connection.client, &settings, &tables).run().await);
            Some(connection)
        }
        Err(error) => {
            findings.extend(Finding::of_error(finding::CREDENTIALS, &error));
            findings.extend(api::skipped(&findings, &tables, "there are no credentials to ask with"));
            None
        }
    };
    document::of(run_id, &settings, &clock, connection.as_ref(), findings)
}

/// The wanted tables, none if they cannot be resolved; what the configuration says, and what is odd about it.
fn configuration(session: &mut Session, findings: &mut Vec<Finding>) -> Vec<Table> {
    let name = finding::CONFIGURATION;
    let tables = match session.wanted_tables() {
        Ok(tables) => {
            findings.push(Finding::ok(name, in_force(&session.settings, &tables)));
            tables
        }
        Err(error) => {
            findings.extend(Finding::of_error(name, &error));
            Vec::new()
        }
    };
    findings.extend(session.warnings.iter().map(|warning| Finding::warning(name, warning.clone())));
    tables
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
