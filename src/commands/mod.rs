//! The verbs: one file each, holding what the verb does. Here is only which verb runs, and how its end is reported.

pub mod check;
pub mod completions;
pub mod demo;
mod failure;
pub mod init;
mod output;
mod panics;
pub mod plan;
pub mod pull;
pub mod sandbox;
pub mod schema;
pub(crate) mod session;
mod signals;
pub mod status;

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::{self, Cli, Command, Format, GlobalOptions, RunArguments};
use crate::error::{Error, ExitCodes};
use crate::logging;
use crate::pull::Scope;
use crate::pull::summary::{Outcome, Summary};
use crate::redaction::redact;
use crate::settings::DEFAULT_PATH;

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
    logging::start(cli.global.log_options());
    panics::tell();
    let run_id = new_run_id();
    let ended = dispatch(&cli, &run_id).await;
    crate::auth::finish_exchanges().await;
    match ended {
        Ok(ended) => ExitCode::from(ended.exit_code),
        Err(error) => {
            eprint!("{}", redact(&error.report().to_string()));
            if cli.global.format == Format::Json {
                print_document(&failure::of_error(&run_id, cli.command.name(), &error));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Reports a command line that does not parse; `--help` and `--version` arrive here too.
pub fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // Nothing sensible is left to do when the terminal is gone.
    let _ = error.print();
    if error.use_stderr() && cli::asks_for_json(arguments) {
        print_document(&failure::of_usage(&new_run_id(), error, arguments));
    }
    if error.use_stderr() { ExitCode::from(ExitCodes::USAGE_OR_CONFIGURATION) } else { ExitCode::SUCCESS }
}

async fn dispatch(cli: &Cli, run_id: &str) -> Result<Ended, Error> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo => demo::run(global, run_id).await,
        Command::Check => check::run(global, run_id).await,
        Command::Plan(arguments) => plan::run(arguments.scope(), global, run_id).await,
        Command::Pull(arguments) => job("pull", Scope::Pull, arguments.run, global, run_id).await,
        Command::Backfill(arguments) => {
            let days = arguments.range().ok_or_else(|| Error::usage("`--from` is after `--to`"))?;
            job("backfill", Scope::Backfill { days, force: arguments.force }, arguments.run, global, run_id).await
        }
        Command::Status(arguments) => status::run(*arguments, global, run_id),
        Command::Schema(arguments) => schema::run(arguments, global).map(|()| Ended::DONE),
        Command::Sandbox(arguments) => sandbox::run(arguments, global.format).await.map(|()| Ended::DONE),
        Command::Completions(arguments) => {
            completions::run(arguments.shell, &mut std::io::stdout().lock()).map(|()| Ended::DONE)
        }
        Command::Init => {
            let path = global.config.as_deref().unwrap_or(DEFAULT_PATH.as_ref());
            init::run(path)?;
            let told = match global.format {
                Format::Json => {
                    let done = Summary { outcome: Outcome::Ok, ..Summary::failed(run_id, "init", Vec::new()) };
                    let mut document = json!(done);
                    document["path"] = json!(path);
                    document.to_string()
                }
                _ => format!("wrote {}; next: set the credentials and run `criteo-source check`", path.display()),
            };
            print_text(&format!("{told}\n"));
            Ok(Ended::DONE)
        }
    }
}

/// `pull` or `backfill`, for real or only planned.
async fn job(
    command: &'static str,
    scope: Scope,
    arguments: RunArguments,
    global: &GlobalOptions,
    run_id: &str,
) -> Result<Ended, Error> {
    if arguments.dry_run {
        return plan::run(scope, global, run_id).await;
    }
    pull::run(pull::Job { command, scope, strict: arguments.strict }, global, run_id).await
}

/// Identifiers of runs sort by time.
fn new_run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Prints the one JSON document of a run.
fn print_document(summary: &Summary) {
    print_text(&format!("{}\n", serde_json::to_string_pretty(summary).expect("a summary serializes")));
}

/// Prints a result without any secret that somebody else said; a reader that has gone away (`| head`) is no error.
fn print_text(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(redact(text).as_bytes());
}
