//! `status`: what is there, what is missing, what is due, what changed; and whether files and ledger agree.
//!
//! It needs no credentials and calls nothing. Only `--rebuild` writes, under the run lock, and only to the ledger.

mod calendar;
mod coverage;
mod document;
mod health;
mod history;
mod html;
mod metrics;
mod text;

use chrono::{DateTime, Utc};

use crate::catalog::Table;
use crate::cli::{Format, GlobalOptions, StatusArguments};
use crate::dates::today;
use crate::error::{Code, Error};
use crate::ledger::Ledger;
use crate::notice::Notice;
use crate::output::{Inventory, read};
use crate::pull::adopt_start;
use crate::recover::{Rebuild, Rebuilt, Tables, Verification, verify};
use crate::settings::Settings;
use crate::store::Store;

use super::session::Session;
use super::terminal::Terminal;
use super::{Ended, print_document, print_text};
use coverage::Coverage;
use health::{Circumstances, Health};

/// Everything there is to say, before it is put in words.
struct Status {
    run_id: String,
    settings: Settings,
    coverage: Coverage,
    health: Health,
    /// What makes the rest worth little: no output, no ledger, damaged files. Said first.
    faults: Vec<String>,
    tables: Vec<Table>,
    now: DateTime<Utc>,
    ledger: Ledger,
    rebuilt: Option<Rebuilt>,
    verification: Option<Verification>,
    warnings: Vec<Notice>,
    /// Whether being incomplete is an error.
    is_checked: bool,
}

/// Shows the output's state; rebuilds or verifies it first if asked to.
pub async fn run(arguments: &StatusArguments, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let mut session = Session::load(global)?;
    let tables = session.all_tables()?;
    check_table(arguments, &tables)?;
    let status = look(arguments, session, tables, run_id).await?;
    if let Some(path) = &arguments.html {
        html::write(&status, path)?;
    }
    let document = document::of(&status, arguments);
    let ended = Ended { exit_code: document.exit_code() };
    if let Some(path) = &arguments.metrics_file {
        metrics::write(&status, ended.exit_code, path, &document.warnings, &document.errors)?;
    }
    match global.format {
        Format::Json => print_document(&document)?,
        _ => print_text(&text::render(&status, arguments, global.verbose > 0, Terminal::of_stdout()))?,
    }
    Ok(ended)
}

async fn look(
    arguments: &StatusArguments,
    session: Session,
    tables: Vec<Table>,
    run_id: &str,
) -> Result<Status, Error> {
    let Session { mut settings, mut warnings, clock } = session;
    let store = Store::read_only(&settings.output)?;
    let rebuilt = if arguments.rebuild {
        let rebuild = Rebuild {
            store: &store,
            run_id,
            now: clock.now(),
            tables: &tables,
            as_of: settings.as_of,
            timezone: settings.timezone,
            lookback_days: settings.lookback_days,
        };
        Some(rebuild_locked(&rebuild, &settings).await?)
    } else {
        None
    };
    let (ledger, files, inventory) = read(&store).await?;
    adopt_start(&mut settings, &ledger);
    let is_wanted = |name: &str| is_selected(&settings, name);
    let is_snapshot = |name: &str| tables.iter().any(|table| table.name == name && !table.is_report());
    let verification = if arguments.verify {
        let tables = Tables { wanted: &is_wanted, is_snapshot: &is_snapshot };
        Some(verify(&store, tables).await?)
    } else {
        None
    };
    let mut faults = no_output(&settings, &store);
    let is_begun = files.is_begun().unwrap_or(true);
    let has_data = inventory.count() > 0 || (!is_begun && Inventory::of_all(&store).await?.count() > 0);
    let damaged = files.damaged(has_data).into_iter();
    let damaged = damaged.map(|file| Notice::new(Code::LedgerDamaged, format!("`{file}` is damaged")));
    let damaged: Vec<Notice> = damaged.collect();
    faults.extend(
        damaged.iter().map(|notice| format!("{}: {}", notice.message, notice.remedy.as_deref().unwrap_or_default())),
    );
    warnings.extend(damaged);
    warnings.extend(ledger.row_caps().iter().map(|(table, rows)| {
        let message = format!("Criteo cuts the responses for `{table}` at {rows} rows; requests are sized for that");
        Notice::new(Code::RowCapLowered, message).table(table)
    }));
    let coverage = Coverage::of(&settings, &tables, &ledger, today(clock.now(), settings.timezone));
    warnings.extend(coverage.notices.iter().cloned());
    warnings.retain(|warning| warning.table.as_ref().is_none_or(|table| coverage.tables.contains_key(table)));
    let now = clock.now();
    let circumstances = Circumstances {
        settings: &settings,
        tables: &tables,
        runs: ledger.runs().collect(),
        now,
        max_age: arguments.max_age,
    };
    let mut health = Health::of(&coverage, &circumstances);
    if coverage.tables.values().all(|table| table.records.is_empty()) && !faults.is_empty() {
        // Naming every table would bury what is wrong.
        health.problems.clear();
    }
    health.problems.splice(0..0, faults.iter().cloned());
    let run_id = run_id.to_owned();
    let is_checked = arguments.check;
    Ok(Status {
        run_id,
        settings,
        coverage,
        health,
        faults,
        tables,
        now,
        ledger,
        rebuilt,
        verification,
        warnings,
        is_checked,
    })
}

/// An output that does not exist is most often a mistyped one.
fn no_output(settings: &Settings, store: &Store) -> Vec<String> {
    let is_there = store.exists();
    let message = || {
        format!(
            "there is no output at {}: either nothing was pulled into it yet, or `--output` (or `output` in the \
             configuration) names another place than the pulls do",
            settings.output
        )
    };
    if is_there { Vec::new() } else { vec![message()] }
}

/// A table of `--history` that nobody knows is a typing error.
fn check_table(arguments: &StatusArguments, tables: &[Table]) -> Result<(), Error> {
    let Some(Some(name)) = &arguments.history.history else { return Ok(()) };
    if tables.iter().any(|table| table.name == *name) {
        return Ok(());
    }
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    Err(Error::usage(format!("there is no table `{name}`; those are {}", names.join(", "))))
}

/// Whether `--tables` names the table, or nothing.
fn is_selected(settings: &Settings, name: &str) -> bool {
    settings.selected_tables.is_empty() || settings.selected_tables.iter().any(|selected| selected == name)
}

async fn rebuild_locked(rebuild: &Rebuild<'_>, settings: &Settings) -> Result<Rebuilt, Error> {
    let output = &settings.output;
    if !rebuild.store.exists() {
        return Err(Error::new(Code::NoOutput, format!("there is no output `{output}` to rebuild from")));
    }
    let store = Store::open(output).await?;
    let lock = store.lock(rebuild.run_id, "status --rebuild", rebuild.now).await?;
    let rebuilt = async {
        store.sweep().await?;
        let (_, rebuilt) = Rebuild { store: &store, ..*rebuild }.run().await?;
        Ok(rebuilt)
    };
    let rebuilt = rebuilt.await;
    lock.release().await;
    rebuilt
}
