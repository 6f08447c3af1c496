//! What everything in a run shares: settings, Criteo, who may be requested ([`Roster`]), what happened ([`Journal`]), where it
//! goes ([`Output`]) and when to stop.
//!
//! It holds these things together and decides nothing; each has its own module.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::portfolio::Portfolio;
use super::roster::Roster;
use super::summary::{Code, Notice};
use crate::catalog::EndpointId;
use crate::clock::Clock;
use crate::criteo::{CriteoClient, FetchError, FetchErrorKind};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings::Settings;

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
    /// Time.
    pub clock: Clock,
    /// Whether sums that differ from Criteo's totals are an error.
    pub strict: bool,
    /// Whether rows of advertisers that are not requested are removed.
    pub drop_others: bool,
    /// Limits report requests under way, over all tables.
    pub report_permits: Semaphore,
    /// Who may be requested.
    pub roster: Roster,
    /// What happened so far; publications under way count in it whatever becomes of who began them.
    pub journal: Arc<Journal>,
    /// Where it goes.
    pub output: Output,
    /// Cancelled when no new work should begin.
    pub cancellation: CancellationToken,
    /// The output takes nothing more.
    is_output_lost: AtomicBool,
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
    /// Where it publishes.
    pub output: Output,
    /// See [`Run::clock`].
    pub clock: Clock,
    /// Advertisers that consented.
    pub portfolio: Portfolio,
    /// See [`Run::strict`].
    pub strict: bool,
    /// See [`Run::drop_others`].
    pub drop_others: bool,
    /// For people who watch.
    pub progress: Progress,
}

impl Run {
    /// A run that has done nothing yet.
    pub(super) fn new(parts: RunParts) -> Self {
        let RunParts { id, settings, api_version, client, output, clock, portfolio, strict, drop_others, progress } =
            parts;
        Self {
            id,
            settings,
            api_version,
            client,
            clock,
            strict,
            drop_others,
            report_permits: Semaphore::new(CONCURRENT_REPORTS),
            roster: Roster::new(portfolio),
            journal: Arc::new(Journal::new(progress)),
            output,
            cancellation: CancellationToken::new(),
            is_output_lost: AtomicBool::new(false),
        }
    }

    /// The output takes nothing more: fetching goes no further, because the responses would be thrown away at the cost of the
    /// quota.
    pub(super) fn stop_for_output(&self) {
        self.is_output_lost.store(true, Ordering::Relaxed);
        self.cancellation.cancel();
    }

    /// Why nothing more is fetched, for what is left over; `None` while the run goes on.
    pub(super) fn stopped_because(&self) -> Option<(Code, &'static str)> {
        if self.is_output_lost.load(Ordering::Relaxed) {
            return Some((Code::OutputFailed, "the output takes nothing more"));
        }
        self.cancellation.is_cancelled().then_some((Code::Interrupted, "the run was stopped"))
    }

    /// A report has no answer for an advertiser: it is excluded from that report from now on, and reported once.
    pub(super) fn exclude_unavailable(&self, endpoint: EndpointId, advertiser: &str, table: &str, error: &FetchError) {
        if self.roster.exclude_from(endpoint, advertiser) {
            let message = format!("{}; the report is answered for other advertisers", error.reason());
            let notice = Notice::new(Code::AdvertiserUnavailable, message).table(table).advertiser(advertiser);
            self.journal.fail(notice.trace(error.trace_id()));
        }
    }

    /// An advertiser was refused: it is excluded from every request from now on, and reported once.
    pub(super) fn exclude_refused(&self, advertiser: &str, error: &FetchError) {
        if self.roster.exclude(advertiser) {
            let message = match error.kind() {
                FetchErrorKind::AdvertiserRefused => error.reason(),
                // The refusal did not say what it is about.
                _ => format!(
                    "{}; other advertisers are answered, so this one has not consented to the app, or withdrew",
                    error.reason()
                ),
            };
            let notice = Notice::new(Code::AdvertiserRefused, message).advertiser(advertiser);
            self.journal.fail(notice.trace(error.trace_id()));
        }
    }
}
