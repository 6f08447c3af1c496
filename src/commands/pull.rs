//! `pull` and `backfill`: launch a run, print how it ended.

use super::session::Session;
use super::signals::{Signals, outlive_file_size_limits};
use super::{Ended, output, print_document, print_text};
use crate::cli::{Format, GlobalOptions};
use crate::error::Error;
use crate::progress::Progress;
use crate::pull::{Launch, Scope};

/// What a job is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The verb.
    pub command: &'static str,
    /// Days.
    pub scope: Scope,
    /// Whether sums that differ from Criteo's totals are an error.
    pub strict: bool,
}

/// Runs one job from the configuration.
pub async fn run(job: Job, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    launch(job, Session::load(global)?, global, run_id).await
}

/// Runs one job from a session.
pub async fn launch(job: Job, mut session: Session, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let tables = session.wanted_tables()?;
    let Session { settings, warnings, clock } = session;
    let Job { command, scope, strict } = job;
    let progress = Progress::new(!global.no_progress && global.quiet == 0);
    let signals = Signals::default();
    outlive_file_size_limits();
    let launch = Launch { command, settings, tables, scope, strict, progress, clock, warnings };
    let first = signals.clone().first();
    let stop = async {
        first.await;
        tracing::warn!("stopping: cancelling in-flight requests; nothing partial will be published");
    };
    let finished = launch.run(run_id, stop).await.map_err(|error| match signals.exit_code() {
        Some(code) => error.with_exit_code(code),
        None => error,
    })?;
    match global.format {
        Format::Json => print_document(&finished.summary)?,
        _ => print_text(&output::render(&finished.summary))?,
    }
    let code = finished.summary.exit_code();
    Ok(Ended { exit_code: signals.exit_code().filter(|_| code != 0).unwrap_or(code) })
}
