//! `pull` and `backfill`: launch a run, print how it ended.

use super::session::Session;
use super::signals::{Signals, outlive_file_size_limits};
use super::{Ended, load, output, print_document, print_text};
use crate::cli::{Format, GlobalOptions, LoadTarget};
use crate::error::Error;
use crate::load::Options;
use crate::notice::{Notice, judge};
use crate::progress::Progress;
use crate::pull::{Launch, Scope};

/// What a job is asked to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The verb.
    pub command: &'static str,
    /// Days.
    pub scope: Scope,
    /// Whether sums that differ from Criteo's totals are an error.
    pub strict: bool,
    /// Whether rows of advertisers that are not requested are removed.
    pub drop_others: bool,
    /// Whether `keep_days` removes what Criteo could not give again.
    pub prune: bool,
    /// Where what is published is loaded afterwards.
    pub load: Vec<LoadTarget>,
}

/// Runs one job from a session.
pub async fn launch(job: Job, mut session: Session, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let targets = load::targets(&job.load, &session.settings)?;
    // A load is of every table of the output, and says nothing about the configuration that the run does not say.
    let known = session.warnings.clone();
    let all_tables = session.all_tables()?;
    session.warnings = known;
    let tables = session.wanted_tables()?;
    let Session { settings, warnings, clock } = session;
    let (load_settings, load_clock) = (settings.clone(), clock.clone());
    let Job { command, scope, strict, drop_others, prune, load: _ } = job;
    let progress = Progress::new(!global.no_progress && global.quiet == 0);
    let signals = Signals::default();
    outlive_file_size_limits();
    let launch = Launch { command, settings, tables, scope, strict, drop_others, prune, progress, clock, warnings };
    let first = signals.clone().first();
    let stop = async {
        first.await;
        tracing::warn!("stopping: cancelling in-flight requests; nothing partial will be published");
    };
    let mut finished = launch.run(run_id, stop).await.map_err(|error| match signals.exit_code() {
        Some(code) => error.with_exit_code(code),
        None => error,
    })?;
    let mut reports = Vec::new();
    if signals.exit_code().is_none() && !targets.is_empty() {
        let options = Options::default();
        reports = load::into_all(&targets, &load_settings, &all_tables, &options, &load_clock, &signals).await?;
        // That a load failed is what decides, also where the pull was partial; see `judge`.
        let done = finished.summary.tables.values().map(|table| table.partitions).sum();
        let loads = reports.iter().flat_map(|report| report.errors.iter());
        let errors: Vec<Notice> = finished.summary.errors.iter().chain(loads).cloned().collect();
        (finished.summary.outcome, finished.summary.kind) = judge(&errors, done);
        finished.summary.members.loads = reports.iter().map(|report| serde_json::json!(report)).collect();
    }
    if global.format == Format::Json {
        print_document(&finished.summary)?;
    } else {
        let loads: String = reports.iter().map(load::render).collect();
        print_text(&format!("{}{loads}", output::render(&finished.summary)))?;
    }
    let code = finished.summary.exit_code();
    Ok(Ended { exit_code: signals.exit_code().filter(|_| code != 0).unwrap_or(code) })
}
