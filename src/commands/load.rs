//! `load`, and the loads that end a `pull` or `backfill`: one target after the other, then what was done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::metrics::MetricsFile;
use super::session::Session;
use super::signals::Signals;
use super::{Ended, is_silent, output, print_text};
use crate::catalog::Table;
use crate::cli::{Format, GlobalOptions, LoadArguments, LoadTarget};
use crate::clock::Clock;
use crate::document::Plain;
use crate::error::{Code, Error};
use crate::load::bigquery::BigQuery;
use crate::load::changes::Scope;
use crate::load::duckdb::DuckDb;
use crate::load::files::OutputFiles;
use crate::load::snowflake::Snowflake;
use crate::load::{self, LoadError, LoadErrorKind, LoadReport, LoadedTable, Mode, Options, Target};
use crate::logging::{NOTICES, RUN};
use crate::notice::{Notice, Outcome};
use crate::settings::load::TargetKind;
use crate::settings::{ObjectStore, OutputLocation, Settings};

/// Loads into the targets that were named, or into every configured one.
pub async fn run(arguments: &LoadArguments, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let mut flags = global.overrides();
    flags.load = arguments.overrides();
    let mut session = Session::load_with(&flags, global)?;
    let tables = session.all_tables()?;
    let settings = &session.settings;
    let named: Vec<LoadTarget> = arguments.targets.iter().copied().map(LoadTarget::One).collect();
    let targets = targets(&if named.is_empty() { vec![LoadTarget::All] } else { named }, settings)?;
    let options = Options {
        scope: Scope { full: arguments.full, prune: arguments.prune },
        tables: settings.selected_tables.clone(),
        dry_run: arguments.dry_run,
        print: arguments.print,
    };
    let signals = Signals::default();
    let reports = into_all(&targets, settings, &tables, &options, &session.clock, &signals).await?;
    let exit_code = |code| signals.exit_code().unwrap_or(code);
    let mut errors = Vec::new();
    let output = session.settings.output.to_string();
    if let Some(mut file) = MetricsFile::of(arguments.metrics_file.as_ref(), "load", &output) {
        let (_, code) = document(run_id, &session, &reports, &errors);
        let all = |of: fn(&LoadReport) -> &Vec<Notice>| reports.iter().flat_map(of).cloned().collect::<Vec<_>>();
        let (warnings, found) = (all(|report| &report.warnings), all(|report| &report.errors));
        file.ended(exit_code(code), session.clock.now(), &warnings, &found);
        file.loads(&reports);
        errors.extend(file.write().err().iter().flat_map(Error::notices));
    }
    let (document, code) = document(run_id, &session, &reports, &errors);
    let exit_code = exit_code(code);
    tracing::info!(target: RUN, command = "load", outcome = %document["outcome"].as_str().unwrap_or_default(), exit_code,
        targets = reports.len(), "run finished");
    let text = match global.format {
        Format::Json => format!("{document:#}\n"),
        _ if arguments.print => script(&reports),
        _ if is_silent(global, exit_code) => String::new(),
        _ => {
            let mut text: String = reports.iter().map(render).collect();
            output::notices(&mut text, "error", &errors);
            text
        }
    };
    if arguments.print && global.format != Format::Json {
        eprint!("{}", reports.iter().map(problems).collect::<String>());
    }
    print_text(&text)?;
    Ok(Ended { exit_code })
}

/// The targets that were requested, each once.
///
/// # Errors
///
/// When `all` means none.
pub(super) fn targets(wanted: &[LoadTarget], settings: &Settings) -> Result<Vec<TargetKind>, Error> {
    let mut found = Vec::new();
    for target in wanted {
        match target {
            LoadTarget::One(kind) => found.push(*kind),
            LoadTarget::All => found.extend(settings.load.configured.iter().copied()),
        }
    }
    let mut seen = Vec::new();
    found.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    if found.is_empty() && !wanted.is_empty() {
        return Err(Error::new(Code::NoLoadTarget, "no target to load into is configured"));
    }
    Ok(found)
}

/// Loads into one target after the other; what fails in one stops no other one.
pub(super) async fn into_all(
    targets: &[TargetKind],
    settings: &Settings,
    tables: &[Table],
    options: &Options,
    clock: &Clock,
    signals: &Signals,
) -> Result<Vec<LoadReport>, Error> {
    let mut reports = Vec::new();
    for kind in targets {
        let mut output = OutputFiles::open(&settings.output, options.print || reads_bucket(*kind, settings)).await?;
        tokio::select! {
            report = into_one(*kind, settings, &mut output, tables, options, clock) => {
                log(&report);
                reports.push(report);
            }
            () = signals.clone().first() => {
                tracing::warn!(target = kind.name(), "stopping: what the target has not committed is rolled back");
                let message = "stopped by a signal; what was not committed is rolled back";
                reports.push(LoadReport::failed(*kind, "", &LoadError::new(LoadErrorKind::Failed, message)));
                break;
            }
        }
    }
    Ok(reports)
}

/// Whether a target reads the output's bucket itself: BigQuery reads Google's, Snowflake what it has a stage over.
fn reads_bucket(kind: TargetKind, settings: &Settings) -> bool {
    let is_google = matches!(&settings.output, OutputLocation::Object { store: ObjectStore::GoogleCloud, .. });
    match kind {
        TargetKind::BigQuery => is_google && settings.load.bigquery.emulator_host.is_none(),
        TargetKind::Snowflake => settings.load.snowflake.stage.is_some(),
        TargetKind::DuckDb => false,
    }
}

/// What an operator reads of a load into one target.
fn log(report: &LoadReport) {
    let sum = |count: fn(&LoadedTable) -> u64| report.tables.values().map(count).sum::<u64>();
    tracing::info!(
        target: RUN,
        warehouse = report.target,
        place = report.place,
        outcome = report.outcome.name(),
        dry_run = report.dry_run,
        partitions = sum(|table| table.partitions),
        rows_inserted = sum(|table| table.rows_inserted),
        rows_deleted = sum(|table| table.rows_deleted),
        warnings = report.warnings.len(),
        errors = report.errors.len(),
        secs = (report.seconds * 10.0).round() / 10.0,
        "load finished"
    );
    for Notice { code, table, message, .. } in &report.errors {
        tracing::error!(target: NOTICES, %code, warehouse = report.target, table, "{message}");
    }
    for Notice { code, table, message, .. } in &report.warnings {
        tracing::warn!(target: NOTICES, %code, warehouse = report.target, table, "{message}");
    }
}

async fn into_one(
    kind: TargetKind,
    settings: &Settings,
    output: &mut OutputFiles,
    tables: &[Table],
    options: &Options,
    clock: &Clock,
) -> LoadReport {
    let mode = if options.dry_run || options.print { Mode::Print } else { Mode::Execute };
    match kind {
        TargetKind::DuckDb => match DuckDb::new(&settings.load.duckdb, mode) {
            Ok(mut target) => load::load(&mut target, output, tables, options, clock).await,
            Err(error) => LoadReport::failed(kind, &settings.load.duckdb.database, &error),
        },
        TargetKind::BigQuery => match BigQuery::new(&settings.load.bigquery, mode, clock) {
            Ok(mut target) => load::load(&mut target, output, tables, options, clock).await,
            Err(error) => LoadReport::failed(kind, &settings.load.bigquery.dataset, &error),
        },
        TargetKind::Snowflake => match Snowflake::new(&settings.load.snowflake, mode) {
            Ok(mut target) => load::load(&mut target, output, tables, options, clock).await,
            Err(error) => {
                LoadReport::failed(kind, settings.load.snowflake.database.as_deref().unwrap_or_default(), &error)
            }
        },
    }
}

/// Whether a load into a target could begin: what is there, in words. Nothing is changed.
pub(super) async fn probe(kind: TargetKind, settings: &Settings, clock: &Clock) -> Result<String, LoadError> {
    match kind {
        TargetKind::DuckDb => DuckDb::new(&settings.load.duckdb, Mode::Print)?.probe().await,
        TargetKind::BigQuery => BigQuery::new(&settings.load.bigquery, Mode::Print, clock)?.probe().await,
        // It would take a driver that is missing for an empty schema if it were only to print.
        TargetKind::Snowflake => Snowflake::new(&settings.load.snowflake, Mode::Execute)?.probe().await,
    }
}

/// The one JSON document of `load` and its exit code: what every document has, and the members of the one target at the top.
fn document(run_id: &str, session: &Session, reports: &[LoadReport], more: &[Notice]) -> (Value, u8) {
    let errors = reports.iter().flat_map(|report| &report.errors).chain(more).cloned().collect();
    let done = reports.iter().map(|report| report.tables.len()).sum::<usize>();
    let mut common = Plain::new(run_id, "load", ()).ended(errors, u64::try_from(done).unwrap_or(u64::MAX));
    let exit_code = common.exit_code();
    common.output = Some(session.settings.output.to_string());
    let warnings = reports.iter().flat_map(|report| report.warnings.iter());
    common.warnings = session.warnings.iter().chain(warnings).cloned().collect();
    let mut document = json!(common);
    document["loads"] = json!(reports);
    if let ([report], Value::Object(members)) = (reports, &mut document) {
        let Value::Object(own) = json!(report) else { return (document, exit_code) };
        members.extend(own.into_iter().filter(|(name, _)| name != "warnings"));
    }
    (document, exit_code)
}

/// What `--print` prints: every statement in order, as a script.
fn script(reports: &[LoadReport]) -> String {
    let mut text = String::new();
    for report in reports {
        // BigQuery's script is one of the shell.
        let comment = if report.target == TargetKind::BigQuery.name() { "#" } else { "--" };
        writeln!(text, "{comment} {}: {}", report.target, report.place).expect("a string takes any text");
        if report.statements.is_empty() && report.errors.is_empty() {
            writeln!(text, "{comment} nothing has changed").expect("a string takes any text");
        }
        text.push_str(&report.statements.concat());
    }
    text
}

/// What a person reads about one target.
pub(super) fn render(report: &LoadReport) -> String {
    let mut text = format!("\n{}: {}\n", report.target, report.place);
    let changed: BTreeMap<_, _> = report.tables.iter().filter(|(_, table)| table.partitions > 0).collect();
    if !changed.is_empty() {
        let width = changed.keys().map(|name| name.len()).max().unwrap_or(0).max("table".len());
        let heading = ("table", "partitions", "inserted", "deleted");
        writeln!(text, "{:width$}  {:>10}  {:>12}  {:>12}", heading.0, heading.1, heading.2, heading.3)
            .expect("a string takes any text");
        for (name, table) in &changed {
            let (partitions, inserted, deleted) = (table.partitions, table.rows_inserted, table.rows_deleted);
            let added = match table.columns_added.as_slice() {
                [] => String::new(),
                columns => format!("  new columns: {}", columns.join(", ")),
            };
            writeln!(text, "{name:width$}  {partitions:>10}  {inserted:>12}  {deleted:>12}{added}")
                .expect("a string takes any text");
        }
    }
    text.push_str(&problems(report));
    let unchanged = report.tables.len() - changed.len();
    let ending = match (report.outcome, report.dry_run) {
        (Outcome::Ok, true) => "nothing was changed: this is what would be loaded",
        (Outcome::Ok, false) if changed.is_empty() => "nothing to load: everything is there already",
        (Outcome::Ok, false) => "loaded",
        (Outcome::Partial, _) => "partly loaded: what is listed above as an error is as it was before",
        (Outcome::Failed, _) => "failed: nothing was loaded",
    };
    let billed = report.bytes_billed.map(|bytes| format!(", {bytes} bytes billed")).unwrap_or_default();
    let (jobs, seconds) = (report.jobs, report.seconds);
    writeln!(text, "{ending}; {unchanged} tables unchanged; {jobs} statements or jobs{billed} in {seconds:.1} s")
        .expect("a string takes any text");
    text
}

/// Warnings and errors of one target, a line each.
fn problems(report: &LoadReport) -> String {
    let mut text = String::new();
    output::notices(&mut text, "warning", &report.warnings);
    output::notices(&mut text, "error", &report.errors);
    text
}
