//! `pull` and `backfill`: launch a run, print how it ended.

use std::path::PathBuf;

use super::metrics::MetricsFile;
use super::session::Session;
use super::signals::{Signals, outlive_file_size_limits};
use super::{Ended, is_silent, load, output, print_document, print_text};
use crate::cli::{Format, GlobalOptions, LoadTarget};
use crate::error::Error;
use crate::load::{LoadReport, Options};
use crate::logging::NOTICES;
use crate::notice::{Notice, judge};
use crate::progress::Progress;
use crate::pull::summary::Summary;
use crate::pull::{self, Launch, Scope};

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
    /// Where metrics go.
    pub metrics_file: Option<PathBuf>,
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
    let Job { command, scope, strict, drop_others, prune, load: _, metrics_file } = job;
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
        decide(&mut finished.summary, &reports);
        finished.summary.members.loads = reports.iter().map(|report| serde_json::json!(report)).collect();
    }
    let exit_code = |summary: &Summary| {
        let code = summary.exit_code();
        signals.exit_code().filter(|_| code != 0).unwrap_or(code)
    };
    let output = finished.summary.output.clone().unwrap_or_default();
    if let Some(mut file) = MetricsFile::of(metrics_file.as_ref(), command, &output) {
        let Summary { warnings, errors, .. } = &finished.summary;
        file.ended(exit_code(&finished.summary), load_clock.now(), warnings, errors);
        file.run(&finished.summary);
        file.loads(&reports);
        if let Err(error) = file.write() {
            for notice in error.notices() {
                tracing::error!(target: NOTICES, code = %notice.code, "{}", notice.message);
                finished.summary.errors.push(notice);
            }
            decide(&mut finished.summary, &reports);
        }
    }
    let exit_code = exit_code(&finished.summary);
    pull::finished(&finished.summary, exit_code);
    if global.format == Format::Json {
        // In the text, each load says itself what failed.
        finished.summary.errors.extend(reports.iter().flat_map(|report| report.errors.iter().cloned()));
        print_document(&finished.summary)?;
    } else if !is_silent(global, exit_code) {
        let loads: String = reports.iter().map(load::render).collect();
        print_text(&format!("{}{loads}", output::render(&finished.summary)))?;
    }
    Ok(Ended { exit_code })
}

/// Outcome and exit code of a pull and its loads. That a load failed is what decides, also where the pull was partial; see
/// [`judge`].
fn decide(summary: &mut Summary, reports: &[LoadReport]) {
    let done = summary.tables.values().map(|table| table.partitions).sum();
    let loads = reports.iter().flat_map(|report| report.errors.iter());
    let errors: Vec<Notice> = summary.errors.iter().chain(loads).cloned().collect();
    (summary.outcome, summary.kind) = judge(&errors, done);
}
