//! All rows of a window, cutting requests as often as it takes.
//!
//! A single day at the row cap is requested in halves of its advertisers, and a single advertiser in halves of its ad
//! sets, taken from a query of that very day, because the ad-set search misses deleted ones. Placements of one ad set
//! are requested by environment, transactions by kind of event. What cannot be cut further is an error that says what
//! to drop.
//!
//! One advertiser without consent makes Criteo refuse the whole request. The same halving finds out who; the rest goes
//! on.
//!
//! Criteo documents no row cap for transactions. There, a suspiciously round number of rows, or one that comes again as
//! the largest, is taken for a cap and cut; if the parts have more rows than the whole, the cap is proven.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tracing::{Instrument, error_span};

use super::caps::CapDetector;
use super::context::Run;
use super::density::RowCounts;
use super::plan::WindowLimits;
use super::split::{Part, Values, disclosures, value_table};
use crate::catalog::{Division, Extract, Table};
use crate::criteo::{FetchError, FetchErrorKind, ReportAnswer, ReportRequest, RowMemory};
use crate::dates::DateRange;
use crate::table::decode::{DecodedReport, ReportLayout};
use crate::table::partitions::Partitions;

/// Parts of one window under way at once.
const CONCURRENT_PARTS: usize = 4;

/// Why a window has no rows.
#[derive(Debug, thiserror::Error)]
pub enum WindowFailure {
    /// At the cap; it can be cut into fewer days.
    #[error("{}", too_many(*.0))]
    TooManyRows(u64),
    /// At the cap, and nothing is left to cut.
    #[error("{0}")]
    CannotSplit(String),
    /// Fewer rows than there were: what was known of the days speaks against it.
    #[error("{0} rows, much fewer than there were")]
    Shrunk(u64),
    /// The run was told to stop.
    #[error("the run was told to stop")]
    Cancelled,
    /// No answer, or a refusal.
    #[error("{}", .0.reason())]
    Fetch(#[from] FetchError),
}

/// Zero rows: Criteo did not even begin to answer (413).
fn too_many(rows: u64) -> String {
    match rows {
        0 => "the answer is larger than Criteo sends".to_owned(),
        rows => format!("{rows} rows or more, at which Criteo cuts the answer"),
    }
}

/// What to request as one window.
#[derive(Clone, Debug)]
pub struct RequestedWindow {
    /// Days.
    pub days: DateRange,
    /// Advertisers, in the groups to request together.
    pub groups: Vec<Vec<String>>,
    /// Rows that are expected, where something is known of them.
    pub expected_rows: Option<u64>,
}

/// Rows by day, and the calls they took.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Rows by day.
    pub partitions: Partitions,
    /// Rows in all.
    pub rows: u64,
    /// Calls.
    pub calls: u64,
    /// Those of them whose answers were cut at the row cap and thrown away.
    pub capped_calls: u64,
    /// Days with a row that cannot be stored, and why; their rows are not in `partitions`.
    pub unusable_days: BTreeMap<NaiveDate, String>,
    /// Rows of the largest single answer that no smaller ones have confirmed.
    pub largest_answer: u64,
    /// Keeps other answers from being read while these rows are in memory. Whoever asks for more must give it up first, or
    /// all could wait for each other.
    pub memory: Option<RowMemory>,
}

impl Pulled {
    /// Rows by day and advertiser; days without rows are absent.
    pub fn counts(&self, layout: &ReportLayout) -> RowCounts {
        let counts = |partition| layout.advertisers(partition).map(|(id, count)| (id.to_owned(), count)).collect();
        self.partitions.iter().map(|(day, partition)| (day, counts(partition))).collect()
    }

    /// What one answer brought.
    fn of(report: DecodedReport) -> Self {
        let unusable = report.unusable_days.into_iter().map(|(day, unusable)| (day, unusable.error.to_string()));
        Self {
            partitions: report.partitions,
            rows: report.rows,
            calls: 1,
            unusable_days: unusable.collect(),
            largest_answer: report.rows,
            ..Self::default()
        }
    }

    /// Adds what another part of the same window brought. A day in parts is in memory whole, whatever else is.
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.calls += other.calls;
        self.capped_calls += other.capped_calls;
        self.largest_answer = self.largest_answer.max(other.largest_answer);
        self.unusable_days.extend(other.unusable_days);
        self.partitions.append(other.partitions).expect("parts of one table have the same columns");
    }
}

/// Fetches windows of one report table.
pub struct ReportFetch<'r> {
    run: &'r Run,
    table: Arc<Table>,
    layout: Arc<ReportLayout>,
    /// Only these advertisers; `None` for all that may be requested.
    scope: Option<Arc<BTreeSet<String>>>,
    caps: Arc<Mutex<CapDetector>>,
    /// Criteo documents no cap, so that numbers of rows are suspected for their look.
    is_uncapped: bool,
    /// Held while a day without an answer is diagnosed; whether it turned out that nobody has an answer.
    is_outage: tokio::sync::Mutex<bool>,
}

impl<'r> ReportFetch<'r> {
    /// For one of the configured tables; `None` for tables that are not reports.
    pub fn new(run: &'r Run, table: &Arc<Table>, scope: Option<Arc<BTreeSet<String>>>) -> Option<Self> {
        let layout = ReportLayout::new(table, run.settings.timezone, &run.settings.currency)?;
        let remembered = run.output.ledger().row_cap(&table.name);
        let caps = Arc::new(Mutex::new(CapDetector::remembering(remembered)));
        Some(Self { scope, caps, ..Self::of(run, table, &Arc::new(layout)) })
    }

    /// For another table of the same report: same advertisers, same cap.
    pub fn like(&self, table: &Arc<Table>, layout: &Arc<ReportLayout>) -> Self {
        let (scope, caps) = (self.scope.clone(), Arc::clone(&self.caps));
        Self { scope, caps, ..Self::of(self.run, table, layout) }
    }

    /// For a table whose layout is known.
    fn of(run: &'r Run, table: &Arc<Table>, layout: &Arc<ReportLayout>) -> Self {
        Self {
            run,
            table: Arc::clone(table),
            layout: Arc::clone(layout),
            scope: None,
            caps: Arc::default(),
            is_uncapped: run.client.row_cap(table.endpoint).is_none(),
            is_outage: tokio::sync::Mutex::default(),
        }
    }

    /// How its rows are read.
    pub fn layout(&self) -> &Arc<ReportLayout> {
        &self.layout
    }

    /// Whether its rows carry their day.
    pub fn has_day(&self) -> bool {
        self.layout.has_day()
    }

    /// What the answers have shown of a cap that nobody documents.
    pub fn caps(&self) -> MutexGuard<'_, CapDetector> {
        self.caps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advertisers to request.
    pub fn advertisers(&self) -> Vec<String> {
        let mut advertisers = self.run.roster.advertisers_of(self.table.endpoint);
        if let Some(scope) = &self.scope {
            advertisers.retain(|id| scope.contains(id));
        }
        advertisers
    }

    /// Whether it is for some advertisers of the run only.
    pub fn is_scoped(&self) -> bool {
        self.scope.is_some()
    }

    /// Whether rows of some advertisers only are requested, so that days may have more.
    pub fn is_for_some(&self) -> bool {
        self.scope.is_some() || !self.run.roster.excluded_from(self.table.endpoint).is_empty()
    }

    /// How long its windows may be.
    pub fn limits(&self) -> WindowLimits {
        let documented = self.run.client.row_cap(self.table.endpoint);
        let row_cap = documented.into_iter().chain(self.caps().cap()).min();
        WindowLimits::of(&self.table, row_cap)
    }

    /// Requests a day of one advertiser, and excludes it if it is refused or has no answer. The rows are not used.
    pub async fn try_alone(&self, day: DateRange, advertiser: &str) {
        let disclosed = disclosures(&self.table).first().copied().flatten();
        let Err(error) = self.ask(&Part::new(day, vec![advertiser.to_owned()], disclosed)).await else { return };
        match error.kind() {
            FetchErrorKind::AdvertiserRefused | FetchErrorKind::ScopeRefused => {
                self.run.exclude_refused(advertiser, &error);
            }
            _ if may_be_the_advertiser(&error) => {
                self.run.exclude_unavailable(self.table.endpoint, advertiser, &self.table.name, &error);
            }
            // Whatever it is, it concerns more than this advertiser, and is reported where it does.
            _ => {}
        }
    }

    /// All rows of a window. Where rows do not carry their day, all are taken as of its first: a table is then requested
    /// one day at a time, and totals of a range come as one sum.
    pub async fn window(&self, requested: &RequestedWindow) -> Result<Pulled, WindowFailure> {
        let advertisers = self.advertisers();
        let mut parts = Vec::new();
        for group in &requested.groups {
            let group: Vec<String> = group.iter().filter(|id| advertisers.contains(id)).cloned().collect();
            parts.extend(self.disclosed_parts(requested.days, &group));
        }
        if requested.groups.len() == 1 {
            for part in &mut parts {
                part.expected_rows = requested.expected_rows;
            }
        }
        self.gather(parts, |part| self.part(part)).await
    }

    /// All rows of a window, of all advertisers at once.
    pub async fn whole(&self, days: DateRange, expected_rows: Option<u64>) -> Result<Pulled, WindowFailure> {
        self.window(&RequestedWindow { days, groups: vec![self.advertisers()], expected_rows }).await
    }

    /// All rows of one day, requested in parts although the whole was answered.
    pub async fn in_parts(&self, day: DateRange, rows: u64) -> Result<Pulled, WindowFailure> {
        let parts = self.disclosed_parts(day, &self.advertisers());
        self.gather(parts, |part| Box::pin(self.cut(part, rows))).await
    }

    fn disclosed_parts(&self, days: DateRange, advertisers: &[String]) -> Vec<Part> {
        let disclosures = if advertisers.is_empty() { Vec::new() } else { disclosures(&self.table) };
        disclosures.into_iter().map(|disclosed| Part::new(days, advertisers.to_vec(), disclosed)).collect()
    }

    /// The rows of all parts.
    async fn gather<'s>(
        &'s self,
        parts: Vec<Part>,
        fetch: impl Fn(Part) -> BoxFuture<'s, Result<Pulled, WindowFailure>>,
    ) -> Result<Pulled, WindowFailure> {
        let is_one = parts.len() == 1;
        let mut fetched = stream::iter(parts).map(fetch).buffer_unordered(CONCURRENT_PARTS);
        let mut pulled = Pulled::default();
        while let Some(part) = fetched.next().await {
            if is_one {
                return part;
            }
            pulled.add(part?);
        }
        Ok(pulled)
    }

    /// All rows of a part, cutting it as often as it takes. Of a day that has no answer, the advertisers that have none
    /// are found out, as long as there are others that have.
    fn part(&self, part: Part) -> BoxFuture<'_, Result<Pulled, WindowFailure>> {
        Box::pin(async move {
            match self.rows_of(part.clone()).await {
                Err(WindowFailure::Fetch(error)) if is_worth_a_diagnosis(&part, &error) => {
                    self.diagnose(part, error).await
                }
                outcome => outcome,
            }
        })
    }

    fn rows_of(&self, part: Part) -> BoxFuture<'_, Result<Pulled, WindowFailure>> {
        Box::pin(async move {
            match self.ask(&part).await {
                Ok(ReportAnswer::Whole(report, memory)) if !self.is_suspect(report.rows) => {
                    Ok(Pulled { memory: Some(memory), ..Pulled::of(report) })
                }
                Ok(ReportAnswer::Whole(report, _)) if part.filter.days.len_days() > 1 => {
                    Err(WindowFailure::TooManyRows(report.rows))
                }
                Ok(ReportAnswer::Whole(report, memory)) => {
                    drop(memory);
                    self.doubt(part, report).await
                }
                Ok(ReportAnswer::Capped { rows }) if part.filter.days.len_days() > 1 => {
                    Err(WindowFailure::TooManyRows(rows))
                }
                Ok(ReportAnswer::Capped { rows }) => {
                    let mut pulled = self.cut(part, rows).await?;
                    pulled.capped_calls += 1;
                    Ok(pulled)
                }
                Err(error) if error.kind() == FetchErrorKind::AdvertiserRefused => {
                    self.without_refused(part, error).await
                }
                Err(error) if error.kind() == FetchErrorKind::TooLarge && part.filter.days.len_days() > 1 => {
                    Err(WindowFailure::TooManyRows(0))
                }
                Err(error) if error.kind() == FetchErrorKind::TooLarge && !part.is_indivisible() => {
                    self.cut(part, 0).await
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    async fn ask(&self, part: &Part) -> Result<ReportAnswer, FetchError> {
        let request = self.request(part);
        let what = format!("`{}` {part}", self.table.name);
        let _permit = self.run.report_permits.acquire().await.expect("the semaphore is never closed");
        let advertiser_id = match part.filter.advertisers.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        };
        // Enabled at every level, so that any line logged on the way says what it is about.
        let span = error_span!("report", table = self.table.name, days = part.filter.days.to_string(), advertiser_id);
        self.run.client.report(&request, &self.layout, what, part.expected_rows).instrument(span).await
    }

    fn request(&self, part: &Part) -> ReportRequest {
        let settings = &self.run.settings;
        ReportRequest::new(&self.table, part.filter.clone(), &settings.currency, settings.timezone)
    }

    /// Whether an answer of so many rows may have been cut at a cap that nobody documents.
    fn is_suspect(&self, rows: u64) -> bool {
        let mut caps = self.caps();
        let is_cut = caps.is_cut(rows);
        is_cut || (self.is_uncapped && caps.is_suspect(rows))
    }

    /// A single day whose number of rows looks like a cap: its parts tell. Where Criteo's totals judge the rows in the
    /// end, what has no parts is accepted.
    async fn doubt(&self, part: Part, report: DecodedReport) -> Result<Pulled, WindowFailure> {
        let whole = Pulled::of(report);
        let rows = whole.rows;
        let parts = match self.cut(part.clone(), rows).await {
            Err(WindowFailure::CannotSplit(_)) if !self.is_uncapped => return Ok(whole),
            Err(WindowFailure::CannotSplit(_)) if part.is_indivisible() && !self.caps().is_certain(rows) => {
                return Ok(whole);
            }
            parts => parts?,
        };
        if parts.rows <= rows {
            return Ok(Pulled { calls: parts.calls, largest_answer: parts.largest_answer, ..whole });
        }
        self.caps().prove(rows);
        if parts.largest_answer >= rows && self.is_uncapped {
            return Err(self.cannot_split(&part, rows));
        }
        Ok(parts)
    }

    /// A single day at the cap: its parts, each requested on its own.
    async fn cut(&self, part: Part, rows: u64) -> Result<Pulled, WindowFailure> {
        tracing::info!(table = self.table.name, %part, rows, "asking for it in parts");
        let mut pulled = Pulled { calls: 1, ..Pulled::default() };
        let parts = if let Some(halves) = part.halves() {
            halves
        } else {
            pulled.calls += 1;
            self.finest_parts(&part, rows).await?
        };
        pulled.add(self.gather(parts, |part| self.part(part)).await?);
        Ok(pulled)
    }

    /// Parts of one advertiser's day, or of one ad set's.
    async fn finest_parts(&self, part: &Part, rows: u64) -> Result<Vec<Part>, WindowFailure> {
        let divisions = self.table.report().map(|report| report.divisions.as_slice()).unwrap_or_default();
        let Some(&division) = divisions.iter().find(|&&division| !part.is_divided_by(division)) else {
            return Err(self.cannot_split(part, rows));
        };
        match division {
            Division::EventType => part.by_event_type().ok_or_else(|| self.cannot_split(part, rows)),
            Division::AdSet => match self.values(part, "AdsetId").await? {
                Values::Known(ids) if !ids.is_empty() => Ok(part.by_ad_sets(ids)),
                Values::Known(_) => Err(self.cannot_split(part, rows)),
                Values::Unnamed => Err(self.unnamed(part, rows, "ad set")),
            },
            Division::Environment => match self.values(part, "Environment").await? {
                Values::Known(environments) if environments.len() > 1 => {
                    part.by_environment(&environments).ok_or_else(|| self.unnamed(part, rows, "known environment"))
                }
                Values::Known(_) => Err(self.cannot_split(part, rows)),
                Values::Unnamed => Err(self.unnamed(part, rows, "environment")),
            },
        }
    }

    fn cannot_split(&self, part: &Part, rows: u64) -> WindowFailure {
        let dimension = match &self.table.extract {
            Extract::Report { dimensions, .. } => dimensions.last(),
            Extract::Entity { .. } => None,
        };
        let advice = match dimension {
            None => "Criteo offers no finer filter for this report".to_owned(),
            Some(dimension) => {
                format!("drop a dimension of the table, for instance `{dimension}`, so that fewer rows come back")
            }
        };
        WindowFailure::CannotSplit(format!(
            "`{}` {part} has {rows} rows or more, at which Criteo cuts the answer, and cannot be requested in smaller \
             parts: {advice}",
            self.table.name
        ))
    }

    fn unnamed(&self, part: &Part, rows: u64, what: &str) -> WindowFailure {
        WindowFailure::CannotSplit(format!(
            "`{}` {part} has {rows} rows or more, and some of them belong to no {what}, so that they cannot be requested \
             in parts; drop a dimension of the table",
            self.table.name
        ))
    }

    /// The values a dimension has in a part, from a query of that very day.
    async fn values(&self, part: &Part, dimension: &str) -> Result<Values, WindowFailure> {
        let (table, layout) = value_table(self.table.endpoint, dimension, &self.run.settings);
        let fetch = self.like(&table, &layout);
        match fetch.ask(part).await? {
            ReportAnswer::Whole(report, _) if self.caps().is_cut(report.rows) || !report.unusable_days.is_empty() => {
                Err(fetch.cannot_split(part, report.rows))
            }
            ReportAnswer::Whole(report, _) => Ok(Values::from_rows(report.partitions.rows())),
            ReportAnswer::Capped { rows } => Err(fetch.cannot_split(part, rows)),
        }
    }

    /// A day has no answer: finds out whether that is because of some advertisers. One day is diagnosed at a time; the others
    /// profit from what it showed.
    async fn diagnose(&self, part: Part, error: FetchError) -> Result<Pulled, WindowFailure> {
        let mut is_outage = self.is_outage.lock().await;
        if *is_outage {
            return Err(error.into());
        }
        let known = self.advertisers();
        let advertisers: Vec<String> =
            part.filter.advertisers.iter().filter(|id| known.contains(id)).cloned().collect();
        if advertisers.is_empty() {
            return Ok(Pulled { calls: 1, ..Pulled::default() });
        }
        if advertisers.len() < part.filter.advertisers.len() {
            drop(is_outage);
            return self.part(part.of(advertisers)).await;
        }
        let found = self.without_unanswered(part, error, false).await;
        *is_outage = matches!(&found, Err(WindowFailure::Fetch(error)) if may_be_the_advertiser(error));
        found
    }

    /// A day of several advertisers has no answer. If one half of them has, those to blame are in the other half, and are
    /// left out of this report from now on; if neither has, and nobody else had before (`is_alive`), Criteo has none for
    /// anybody.
    fn without_unanswered(
        &self,
        part: Part,
        error: FetchError,
        is_alive: bool,
    ) -> BoxFuture<'_, Result<Pulled, WindowFailure>> {
        Box::pin(async move {
            let Some(halves) = part.advertiser_halves() else {
                let [advertiser] = part.filter.advertisers.as_slice() else { return Err(error.into()) };
                if !is_alive {
                    return Err(error.into());
                }
                if error.kind() == FetchErrorKind::ScopeRefused {
                    self.run.exclude_refused(advertiser, &error);
                } else {
                    self.run.exclude_unavailable(self.table.endpoint, advertiser, &self.table.name, &error);
                }
                return Ok(Pulled { calls: 1, ..Pulled::default() });
            };
            let mut pulled = Pulled { calls: 1, ..Pulled::default() };
            let halves = halves.into_iter().map(|half| Part { is_diagnosis: true, ..half });
            let asked = stream::iter(halves).map(|half| async move {
                let mut answer = self.rows_of(half.clone()).await;
                if let Ok(pulled) = &mut answer {
                    pulled.memory = None;
                }
                (half, answer)
            });
            let answers: Vec<_> = asked.buffered(CONCURRENT_PARTS).collect().await;
            let is_alive = is_alive || answers.iter().any(|(_, answer)| answer.is_ok());
            for (half, answer) in answers {
                pulled.add(match answer {
                    Err(WindowFailure::Fetch(error)) if is_alive && may_be_the_advertiser(&error) => {
                        self.without_unanswered(half, error, true).await?
                    }
                    answer => answer?,
                });
            }
            Ok(pulled)
        })
    }

    /// At least one advertiser of a part was refused: the halves tell who.
    async fn without_refused(&self, part: Part, error: FetchError) -> Result<Pulled, WindowFailure> {
        let mut pulled = Pulled { calls: 1, ..Pulled::default() };
        let Some(halves) = part.advertiser_halves() else {
            if let [advertiser] = part.filter.advertisers.as_slice() {
                self.run.exclude_refused(advertiser, &error);
            }
            return Ok(pulled);
        };
        pulled.add(self.gather(halves, |half| self.part(half)).await?);
        Ok(pulled)
    }
}

/// Whether a request without some of its advertisers may have an answer. A 403 that does not say what it refuses (its body
/// may be a gateway's) refuses an advertiser, if others are answered.
fn may_be_the_advertiser(error: &FetchError) -> bool {
    let is_failure = error.kind() == FetchErrorKind::Unavailable && error.is_server_error();
    is_failure || matches!(error.kind(), FetchErrorKind::ScopeRefused | FetchErrorKind::Rejected)
}

/// Whether to find out whose fault it is. An outage is looked into for a single day, which costs the fewest attempts.
fn is_worth_a_diagnosis(part: &Part, error: &FetchError) -> bool {
    // A refusal costs one call, an outage many attempts.
    let is_cheap = part.filter.days.len_days() == 1 || error.kind() == FetchErrorKind::ScopeRefused;
    may_be_the_advertiser(error) && is_cheap && part.filter.advertisers.len() > 1 && !part.is_diagnosis
}
