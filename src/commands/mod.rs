//! The verbs: one file each, holding what the verb does. Here is only which verb runs, and how its end is reported.

pub mod check;
mod columns;
pub mod completions;
pub mod demo;
pub mod explain;
mod failure;
pub mod init;
pub mod load;
pub mod login;
pub mod logout;
mod metrics;
mod output;
mod panics;
pub mod plan;
pub mod pull;
pub mod sandbox;
pub mod schema;
pub(crate) mod session;
mod signals;
pub mod status;
mod terminal;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use serde::Serialize;

use self::session::Session;
use crate::cli::{self, Cli, Command, Format, GlobalOptions, RunArguments};
use crate::document::Document;
use crate::error::{Error, ExitCodes};
use crate::logging::{self, LogFormat, RUN, fatal};
use crate::pull::Scope;
use crate::redaction::redact;
use crate::settings::{DEFAULT_PATH, Environment};

/// How a command ended that could say something about its end itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The process's exit code.
    pub exit_code: u8,
}

impl Ended {
    const DONE: Self = Self { exit_code: ExitCodes::DONE };
}

/// Runs what was typed and reports how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let run_id = new_run_id();
    logging::start(cli.global.log_options(), &run_id);
    let log_format = cli.global.log_format;
    panics::report(log_format);
    let ended = Box::pin(dispatch(&cli, &run_id)).await;
    crate::auth::finish_exchanges().await;
    match ended {
        Ok(ended) => ExitCode::from(ended.exit_code),
        Err(error) => {
            fatal(&error, log_format);
            let exit_code = error.exit_code();
            if cli.command.is_job() {
                tracing::info!(target: RUN, command = cli.command.name(), outcome = "failed", exit_code, "run finished");
            }
            if !error.is_about_stdout()
                && let Err(error) = metrics::of_error(cli.command.metrics_file(), cli.command.name(), &error)
            {
                fatal(&error, log_format);
            }
            if cli.global.format == Format::Json && !error.is_about_stdout() {
                let document = failure::of_error(&run_id, cli.command.name(), &error);
                let _ = print_document(&document).inspect_err(|error| fatal(error, log_format));
            }
            ExitCode::from(exit_code)
        }
    }
}

/// Reports a command line that does not parse; `--help` and `--version` arrive here too.
pub fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let log_format = cli::log_format_of(arguments);
    if !error.use_stderr() {
        // `--help` and `--version`.
        let is_version = error.kind() == clap::error::ErrorKind::DisplayVersion;
        let printed = if is_version && cli::asks_for_more(arguments) {
            print_text(&version::verbose())
        } else {
            error.print().or_else(unless_reader_left).map_err(stdout_failed)
        };
        return match printed {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                fatal(&error, log_format);
                ExitCode::from(error.exit_code())
            }
        };
    }
    let document = failure::of_usage(&new_run_id(), error, arguments);
    match log_format {
        // Nothing sensible is left to do when the terminal is gone.
        LogFormat::Text => drop(error.print()),
        LogFormat::Json => document.errors.iter().for_each(|notice| fatal(&Error::from(notice.clone()), log_format)),
    }
    if cli::asks_for_json(arguments) {
        let _ = print_document(&document).inspect_err(|error| fatal(error, log_format));
    }
    ExitCode::from(ExitCodes::USAGE_OR_CONFIGURATION)
}

async fn dispatch(cli: &Cli, run_id: &str) -> Result<Ended, Error> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo => demo::run(global, run_id).await,
        Command::Check => check::run(global, run_id).await,
        Command::Plan(arguments) => {
            let session = Session::load(global)?;
            let scope = arguments.scope(session.settings.as_of)?;
            plan::run("plan", scope, false, session, global, run_id).await
        }
        Command::Login(arguments) => login::run(arguments, global, run_id).await,
        Command::Logout => logout::run(global, run_id),
        Command::Load(arguments) => load::run(arguments, global, run_id).await,
        Command::Pull(arguments) => {
            job("pull", Scope::Pull, &arguments.run, Session::load(global)?, global, run_id).await
        }
        Command::Backfill(arguments) => {
            let session = Session::load(global)?;
            let scope = arguments.scope(session.settings.as_of)?;
            job("backfill", scope, &arguments.run, session, global, run_id).await
        }
        Command::Explain(arguments) => explain::run(arguments, global.format, run_id).map(|()| Ended::DONE),
        Command::Status(arguments) => status::run(arguments, global, run_id).await,
        Command::Schema(arguments) => schema::run(arguments, global).map(|()| Ended::DONE),
        Command::Sandbox(arguments) => sandbox::run(arguments, global.format).await.map(|()| Ended::DONE),
        Command::Completions(arguments) => completions::run(arguments.shell).map(|()| Ended::DONE),
        Command::Init => {
            let named = Environment::of_process().configuration_file();
            let path = global.config.clone().or(named).unwrap_or_else(|| DEFAULT_PATH.into());
            init::run(&path, global.format, run_id).map(|()| Ended::DONE)
        }
    }
}

/// `pull` or `backfill`, for real or only planned.
async fn job(
    command: &'static str,
    scope: Scope,
    arguments: &RunArguments,
    session: Session,
    global: &GlobalOptions,
    run_id: &str,
) -> Result<Ended, Error> {
    if arguments.dry_run {
        return plan::run(command, scope, arguments.prune, session, global, run_id).await;
    }
    let RunArguments { strict, drop_others, prune, load, metrics_file, .. } = arguments.clone();
    let job = pull::Job { command, scope, strict, drop_others, prune, load, metrics_file };
    pull::launch(job, session, global, run_id).await
}

/// Identifiers of runs sort by time.
fn new_run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Whether the summary of a command that ended like this is not wanted: cron mails whatever is printed.
fn is_silent(global: &GlobalOptions, exit_code: u8) -> bool {
    global.quiet > 0 && exit_code == ExitCodes::DONE
}

/// Prints the one JSON document of a command.
fn print_document<T: Serialize, M: Serialize>(document: &Document<T, M>) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document).map_err(Error::unexpected)?;
    print_text(&format!("{text}\n"))
}

/// Prints a result without any secret that somebody else said. A reader that has gone away (`| head`) is no error; anything
/// else is, since whoever called the program goes by what it printed.
fn print_text(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(redact(text).as_bytes()).and_then(|()| stdout.flush());
    written.or_else(unless_reader_left).map_err(stdout_failed)
}

fn unless_reader_left(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn stdout_failed(error: std::io::Error) -> Error {
    Error::output("failed to write the result to stdout", error)
        .with_remedy(
            "see whether the disk behind stdout is full; what the command did is done, only its report is lost",
        )
        .about_stdout()
}
