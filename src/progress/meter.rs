//! The counts of the run under way, and who shows them when.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::view::{Calls, View};
use crate::clock::Clock;
use crate::logging::{RUN, share_with};

/// How often the line on a terminal is written again.
const TICK: Duration = Duration::from_secs(1);
/// How often the log says how far the run is.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// Columns of a terminal that does not tell.
const DEFAULT_WIDTH: usize = 80;

/// How far a run is; cloning it shares the counts.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    surface: Surface,
    counts: Mutex<Counts>,
    source: OnceLock<Source>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

/// Where it is shown.
#[derive(Debug)]
enum Surface {
    Nowhere,
    Terminal(ProgressBar),
    Log,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    partitions: u64,
    rows: u64,
    /// When the log said last how far the run is.
    logged_at: Duration,
}

/// What is planned, and who knows the rest.
struct Source {
    clock: Clock,
    started: Duration,
    planned_partitions: u64,
    calls: Box<dyn Fn() -> Vec<Calls> + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let planned = &self.planned_partitions;
        formatter.debug_struct("Source").field("planned_partitions", planned).finish_non_exhaustive()
    }
}

impl Progress {
    /// Shown on stderr: a line that is written again if it is a terminal, log lines if not; nothing unless wanted.
    pub fn new(is_wanted: bool) -> Self {
        let surface = match (is_wanted, std::io::stderr().is_terminal()) {
            (false, _) => Surface::Nowhere,
            (true, false) => Surface::Log,
            (true, true) => Surface::Terminal(bar()),
        };
        Self(Arc::new(Inner { surface, counts: Mutex::default(), source: OnceLock::new(), ticker: Mutex::default() }))
    }

    /// The run begins with what is planned: so many partitions; `calls` tells the calls, made and planned, whenever asked.
    pub fn begin(
        &self,
        clock: &Clock,
        planned_partitions: u64,
        calls: impl Fn() -> Vec<Calls> + Send + Sync + 'static,
    ) {
        if matches!(self.0.surface, Surface::Nowhere) {
            return;
        }
        let started = clock.elapsed();
        let source = Source { clock: clock.clone(), started, planned_partitions, calls: Box::new(calls) };
        if self.0.source.set(source).is_err() {
            return;
        }
        self.0.counts().logged_at = started;
        self.0.show();
        // Waits that are skipped are over before any timer could look at them.
        let inner = Arc::downgrade(&self.0);
        clock.waits().observe(move || inner.upgrade().iter().for_each(|inner| inner.show()));
        let ticker = tokio::spawn(tick(Arc::downgrade(&self.0)));
        *self.0.ticker() = Some(ticker);
    }

    /// So many partitions with so many rows were published or confirmed.
    pub fn published(&self, partitions: u64, rows: u64) {
        let mut counts = self.0.counts();
        counts.partitions += partitions;
        counts.rows += rows;
        drop(counts);
        self.0.show();
    }

    /// The run is over; the line goes away.
    pub fn finish(&self) {
        if let Some(ticker) = self.0.ticker().take() {
            ticker.abort();
        }
        if let Some(source) = self.0.source.get() {
            source.clock.waits().observe(|| {});
        }
        if let Surface::Terminal(bar) = &self.0.surface {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg}");
    share_with(&bar);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn tick(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.show();
    }
}

impl Inner {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticker(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.ticker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let Some(source) = self.source.get() else { return };
        match &self.surface {
            Surface::Nowhere => {}
            Surface::Terminal(bar) => {
                let width = Term::stderr().size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| columns.into());
                // Some terminals break the line after the last column.
                bar.set_message(self.view(source).line(width.saturating_sub(1)));
            }
            Surface::Log => self.log(source),
        }
    }

    fn log(&self, source: &Source) {
        let now = source.clock.elapsed();
        let mut counts = self.counts();
        if now.saturating_sub(counts.logged_at) < LOG_INTERVAL {
            return;
        }
        counts.logged_at = now;
        drop(counts);
        let view = self.view(source);
        let waiting = view.waiting.as_ref().map(|(what, left)| format!("{what} in {} s", left.as_secs() + 1));
        tracing::info!(
            target: RUN,
            partitions = view.partitions,
            planned_partitions = view.planned_partitions,
            calls = view.calls_done(),
            expected_calls = view.calls_expected(),
            rows = view.rows,
            secs = view.elapsed.as_secs(),
            remaining_secs = view.remaining().map(|left| left.as_secs()),
            waiting,
            "running"
        );
    }

    fn view(&self, source: &Source) -> View {
        let (counts, now) = (*self.counts(), source.clock.elapsed());
        let waiting = source.clock.waits().next_to_end();
        View {
            elapsed: now.saturating_sub(source.started),
            partitions: counts.partitions,
            planned_partitions: source.planned_partitions,
            rows: counts.rows,
            calls: (source.calls)(),
            waiting: waiting.map(|wait| (wait.what, wait.until.saturating_sub(now))),
        }
    }
}
