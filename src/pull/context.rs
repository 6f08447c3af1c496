//! What everything in a run shares: where to ask, where to write, what has gone wrong so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, RwLock, Semaphore};

use super::portfolio::Portfolio;
use super::summary::{Failure, Notice, TableSummary};
use crate::catalog::{EndpointId, Table};
use crate::clock::Clock;
use crate::criteo::{CriteoClient, FetchError, FetchErrorKind};
use crate::dates::DateRange;
use crate::error::ErrorKind;
use crate::ledger::Ledger;
use crate::logging::NOTICES;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

/// Report requests under way at once: enough to keep a quota of 40 calls a minute busy when each takes most of a minute
/// (Criteo docs: reports can take tens of seconds before the first byte).
const CONCURRENT_REPORTS: usize = 32;

/// One run of `pull`, `backfill` or `demo`.
pub(super) struct Run {
    /// Identifier.
    pub id: String,
    /// Settings.
    pub settings: Settings,
    /// API version, for file footers.
    pub api_version: String,
    /// Criteo.
    pub client: CriteoClient,
    /// Output.
    pub store: Store,
    /// Memory of the output.
    pub ledger: Arc<Mutex<Ledger>>,
    /// Time.
    pub clock: Clock,
    /// Advertisers that consented.
    pub portfolio: Portfolio,
    /// Whether sums that differ from Criteo's totals are an error.
    pub strict: bool,
    /// For people who watch.
    pub progress: Progress,
    /// Limits report requests under way, over all tables.
    pub report_permits: Semaphore,
    /// Held for reading by everything that publishes; the end of the run waits for all of it.
    pub publishing: Arc<RwLock<()>>,
    state: Mutex<State>,
    stop: Notify,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, TableSummary>,
    failures: Vec<Failure>,
    warnings: Vec<Notice>,
    refused: BTreeSet<String>,
    /// Advertisers for which a report has no answer, while it has for others.
    unanswered: BTreeSet<(EndpointId, String)>,
    resumed: u64,
    stopping: bool,
}

/// What a run is made of, besides what it accumulates.
pub(super) struct RunParts {
    /// See [`Run::id`].
    pub id: String,
    /// See [`Run::settings`].
    pub settings: Settings,
    /// See [`Run::api_version`].
    pub api_version: String,
    /// See [`Run::client`].
    pub client: CriteoClient,
    /// See [`Run::store`].
    pub store: Store,
    /// See [`Run::ledger`].
    pub ledger: Ledger,
    /// See [`Run::clock`].
    pub clock: Clock,
    /// See [`Run::portfolio`].
    pub portfolio: Portfolio,
    /// See [`Run::strict`].
    pub strict: bool,
    /// See [`Run::progress`].
    pub progress: Progress,
}

impl Run {
    /// A run that has done nothing yet.
    pub(super) fn new(parts: RunParts) -> Self {
        let RunParts { id, settings, api_version, client, store, ledger, clock, portfolio, strict, progress } = parts;
        Self {
            id,
            settings,
            api_version,
            client,
            store,
            ledger: Arc::new(Mutex::new(ledger)),
            clock,
            portfolio,
            strict,
            progress,
            report_permits: Semaphore::new(CONCURRENT_REPORTS),
            publishing: Arc::default(),
            state: Mutex::default(),
            stop: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advertisers to ask for: those that consented, without those that were refused during this run.
    pub(super) fn advertisers(&self) -> Vec<String> {
        let state = self.state();
        self.portfolio.ids().filter(|id| !state.refused.contains(*id)).map(str::to_owned).collect()
    }

    /// Advertisers to ask a report for: [`Run::advertisers`], without those for which it had no answer.
    pub(super) fn advertisers_of(&self, endpoint: EndpointId) -> Vec<String> {
        let left_out = self.left_out(endpoint);
        self.portfolio.ids().filter(|id| !left_out.contains(*id)).map(str::to_owned).collect()
    }

    /// Advertisers that were refused during this run, or for which this report had no answer.
    pub(super) fn left_out(&self, endpoint: EndpointId) -> BTreeSet<String> {
        let state = self.state();
        let unanswered = state.unanswered.iter().filter(|(of, _)| *of == endpoint).map(|(_, id)| id.clone());
        state.refused.iter().cloned().chain(unanswered).collect()
    }

    /// A report has no answer for an advertiser: it is left out of that report from now on, and reported once.
    pub(super) fn leave_out(&self, endpoint: EndpointId, advertiser: &str, table: &str, error: &FetchError) {
        if self.state().unanswered.insert((endpoint, advertiser.to_owned())) {
            let message = format!("{}; the report is answered for other advertisers, which go on", error.message());
            let notice = Notice::new("advertiser_unavailable", message).table(table).advertiser(advertiser);
            self.fail(ErrorKind::Partial, notice.trace(error.trace_id()));
        }
    }

    /// An advertiser was refused: it is left out from now on, and reported once.
    pub(super) fn refuse(&self, advertiser: &str, error: &FetchError) {
        if self.state().refused.insert(advertiser.to_owned()) {
            let message = match error.kind() {
                FetchErrorKind::AdvertiserRefused => error.message(),
                // The refusal did not say what it is about.
                _ => format!(
                    "{}; other advertisers are answered, so this one has not consented to the app, or withdrew: send its \
                     admin the app's consent link",
                    error.reason()
                ),
            };
            let notice = Notice::new("advertiser_refused", message).advertiser(advertiser).trace(error.trace_id());
            self.fail(ErrorKind::Consent, notice);
        }
    }

    /// Something is missing from what was to be published.
    pub(super) fn fail(&self, kind: ErrorKind, notice: Notice) {
        let Notice { code, table, advertiser_id, trace_id, .. } = &notice;
        tracing::error!(target: NOTICES, %code, table, advertiser_id, trace_id, "{}", notice.message);
        self.state().failures.push(Failure { kind, notice });
    }

    /// A call for `table` failed for good; `days` were not refreshed.
    pub(super) fn fail_fetch(&self, table: &Table, days: Option<DateRange>, error: &FetchError) {
        let (kind, code) = judge_fetch(error.kind());
        let mut notice = Notice::new(code, error.message()).table(&table.name).trace(error.trace_id());
        if let Some(days) = days {
            notice = notice.days(days);
        }
        self.fail(kind, notice);
    }

    /// Something a person should know.
    pub(super) fn warn(&self, notice: Notice) {
        tracing::warn!(target: NOTICES, code = %notice.code, table = notice.table, "{}", notice.message);
        let mut state = self.state();
        if !state.warnings.contains(&notice) {
            state.warnings.push(notice);
        }
    }

    /// Adds to what was done for a table.
    pub(super) fn count(&self, table: &str, done: TableSummary) {
        self.progress.published(table, done.partitions);
        let mut state = self.state();
        let summary = state.tables.entry(table.to_owned()).or_default();
        summary.partitions += done.partitions;
        summary.rows += done.rows;
        summary.bytes += done.bytes;
        summary.calls += done.calls;
        summary.capped_calls += done.capped_calls;
    }

    /// Partitions that an earlier run of the same backfill had published.
    pub(super) fn count_resumed(&self, partitions: u64) {
        self.state().resumed += partitions;
    }

    /// No new work from now on.
    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.stop.notify_waiters();
    }

    /// Whether [`Run::stop`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// Returns once [`Run::stop`] is called.
    pub(super) async fn stopped(&self) {
        loop {
            let notified = self.stop.notified();
            if self.is_stopping() {
                return;
            }
            notified.await;
        }
    }

    /// What was done, what failed, what to warn of, and how many partitions were not fetched again.
    pub(super) fn results(&self) -> (BTreeMap<String, TableSummary>, Vec<Failure>, Vec<Notice>, u64) {
        let state = self.state();
        (state.tables.clone(), state.failures.clone(), state.warnings.clone(), state.resumed)
    }

    /// The ledger; never held across an await.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call that failed for good means for the exit code, and the stable identifier of such errors.
pub(crate) fn judge_fetch(kind: FetchErrorKind) -> (ErrorKind, &'static str) {
    match kind {
        FetchErrorKind::Credentials => (ErrorKind::Credentials, "credentials_refused"),
        FetchErrorKind::AdvertiserRefused => (ErrorKind::Consent, "advertiser_refused"),
        FetchErrorKind::ScopeRefused => (ErrorKind::Scope, "scope_missing"),
        FetchErrorKind::TooLarge | FetchErrorKind::Rejected => (ErrorKind::Partial, "request_rejected"),
        FetchErrorKind::Unavailable => (ErrorKind::Unavailable, "api_unavailable"),
        FetchErrorKind::DeadlinePassed => (ErrorKind::Throttled, "deadline_passed"),
        FetchErrorKind::OtherDays | FetchErrorKind::Unreadable => (ErrorKind::Partial, "unreadable_response"),
    }
}
