//! `status`: what is there, what is missing, what is due, what changed; and whether files and ledger agree.
//!
//! It needs no credentials and calls nothing. Only `--rebuild` writes, under the run lock, and only to the ledger.

mod calendar;
mod coverage;
mod document;
mod history;
mod text;

use crate::catalog::Table;
use crate::cli::{Format, GlobalOptions, StatusArguments};
use crate::dates::today;
use crate::error::{Code, Error};
use crate::ledger::{Ledger, Rebuild, Rebuilt, Tables, Verification, verify};
use crate::notice::Notice;
use crate::pull::{adopt_start, local_root};
use crate::settings::{OutputLocation, Settings};
use crate::store::{RunLock, Store};

use super::session::Session;
use super::{Ended, print_document, print_text};
use coverage::Coverage;

/// Everything there is to say, before it is put in words.
struct Status {
    run_id: String,
    settings: Settings,
    coverage: Coverage,
    ledger: Ledger,
    rebuilt: Option<Rebuilt>,
    verification: Option<Verification>,
    warnings: Vec<Notice>,
}

/// Shows the output's state; rebuilds or verifies it first if asked to.
pub fn run(arguments: StatusArguments, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let mut session = Session::load(global)?;
    let tables = session.all_tables()?;
    let status = look(arguments, session, &tables, run_id)?;
    let document = document::of(&status, arguments);
    let ended = Ended { exit_code: document.exit_code() };
    match global.format {
        Format::Json => print_document(&document)?,
        _ => print_text(&text::render(&status, arguments))?,
    }
    Ok(ended)
}

fn look(arguments: StatusArguments, session: Session, tables: &[Table], run_id: &str) -> Result<Status, Error> {
    let Session { mut settings, mut warnings, clock } = session;
    let store = Store::read_only(local_root(&settings.output)?);
    let rebuilt = if arguments.rebuild {
        let rebuild = Rebuild {
            store: &store,
            run_id,
            now: clock.now(),
            tables,
            as_of: settings.as_of,
            timezone: settings.timezone,
            lookback_days: settings.lookback_days,
        };
        Some(rebuild_locked(&rebuild, &settings.output)?)
    } else {
        None
    };
    let ledger = Ledger::read(&store)?;
    adopt_start(&mut settings, &ledger);
    let is_wanted = |name: &str| is_selected(&settings, name);
    let is_snapshot = |name: &str| tables.iter().any(|table| table.name == name && !table.is_report());
    let verification = if arguments.verify {
        let tables = Tables { wanted: &is_wanted, is_snapshot: &is_snapshot };
        Some(verify(&store, &ledger, tables)?)
    } else {
        None
    };
    let damaged = ledger.damaged_files()?;
    warnings.extend(damaged.into_iter().map(|file| Notice::new(Code::LedgerDamaged, format!("`{file}` is damaged"))));
    warnings.extend(ledger.row_caps().iter().map(|(table, rows)| {
        let message = format!("Criteo cuts the responses for `{table}` at {rows} rows; requests are sized for that");
        Notice::new(Code::RowCapLowered, message).table(table)
    }));
    let coverage = Coverage::of(&settings, tables, &ledger, today(clock.now(), settings.timezone));
    warnings.extend(coverage.notices.iter().cloned());
    warnings.retain(|warning| warning.table.as_ref().is_none_or(|table| coverage.tables.contains_key(table)));
    Ok(Status { run_id: run_id.to_owned(), settings, coverage, ledger, rebuilt, verification, warnings })
}

/// Whether `--tables` names the table, or nothing.
fn is_selected(settings: &Settings, name: &str) -> bool {
    settings.selected_tables.is_empty() || settings.selected_tables.iter().any(|selected| selected == name)
}

fn rebuild_locked(rebuild: &Rebuild<'_>, output: &OutputLocation) -> Result<Rebuilt, Error> {
    let root = rebuild.store.root();
    if !root.is_dir() {
        return Err(Error::new(Code::NoOutput, format!("there is no output `{output}` to rebuild from")));
    }
    let store = Store::open(root).map_err(|error| Error::output("could not write to the output", error))?;
    let _lock = RunLock::acquire(&store, rebuild.run_id, "status --rebuild", rebuild.now)?;
    store.sweep().map_err(|error| Error::output("could not clear the staging folder", error))?;
    let (_, rebuilt) = rebuild.run()?;
    Ok(rebuilt)
}
