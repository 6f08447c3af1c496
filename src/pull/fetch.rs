//! All rows of a window, cutting requests as often as it takes.
//!
//! A single day at the row cap is asked for in halves of its advertisers, and a single advertiser in halves of its ad
//! sets, taken from a query of that very day, because the ad-set search misses deleted ones. Placements of one ad set
//! are asked for by environment, transactions by kind of event. What cannot be cut further is an error that says what
//! to drop.
//!
//! One advertiser without consent makes Criteo refuse the whole request. The same halving finds out who; the rest goes
//! on.
//!
//! Criteo documents no row cap for transactions. There, a suspiciously round number of rows, or one that comes again as
//! the largest, is taken for a cap and cut; if the parts have more rows than the whole, the cap is proven.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use futures_util::future::BoxFuture;

use super::caps::CapDetector;
use super::context::Run;
use super::split::{Part, Values, value_table};
use crate::catalog::{EndpointId, Extract, Table};
use crate::criteo::{FetchError, FetchErrorKind, ReportAnswer, ReportRequest};
use crate::dates::DateRange;
use crate::table::columns::Rows;
use crate::table::decode::ReportLayout;

/// Why a window has no rows.
#[derive(Debug, thiserror::Error)]
pub enum WindowFailure {
    /// At the cap; it can be cut into fewer days.
    #[error("{0} rows or more, at which Criteo cuts the answer")]
    TooManyRows(u64),
    /// At the cap, and nothing is left to cut.
    #[error("{0}")]
    CannotSplit(String),
    /// No answer, or a refusal.
    #[error("{}", .0.message())]
    Fetch(#[from] FetchError),
}

/// Rows by day, and the calls they took.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Rows by day; days without rows are absent.
    pub partitions: BTreeMap<NaiveDate, Rows>,
    /// Rows in all.
    pub rows: u64,
    /// Calls.
    pub calls: u64,
    /// Rows of the largest single answer that no smaller ones have confirmed.
    pub largest_answer: u64,
}

impl Pulled {
    /// Adds what another part of the same window brought.
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.calls += other.calls;
        self.largest_answer = self.largest_answer.max(other.largest_answer);
        for (day, rows) in other.partitions {
            match self.partitions.entry(day) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(rows);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().append(&rows).expect("parts of one table have the same columns");
                }
            }
        }
    }
}

/// Fetches windows of one report table.
pub struct ReportFetch<'r> {
    run: &'r Run,
    table: Arc<Table>,
    layout: Arc<ReportLayout>,
    caps: Option<Mutex<CapDetector>>,
}

impl<'r> ReportFetch<'r> {
    /// For one of the configured tables; `None` for tables that are not reports.
    pub fn new(run: &'r Run, table: &Arc<Table>) -> Option<Self> {
        let layout = ReportLayout::new(table, run.settings.timezone, &run.settings.currency)?;
        Some(Self::of(run, table, &Arc::new(layout)))
    }

    /// For a table whose layout is known.
    pub fn of(run: &'r Run, table: &Arc<Table>, layout: &Arc<ReportLayout>) -> Self {
        let caps = run.client.row_cap(table.endpoint).is_none().then(Mutex::default);
        Self { run, table: Arc::clone(table), layout: Arc::clone(layout), caps }
    }

    /// How its rows are read.
    pub fn layout(&self) -> &Arc<ReportLayout> {
        &self.layout
    }

    /// Whether its rows carry their day.
    pub fn has_day(&self) -> bool {
        self.layout.has_day()
    }

    /// The cap that has shown itself, where Criteo documents none.
    pub fn proven_cap(&self) -> Option<u64> {
        self.caps.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).proven()
    }

    /// All rows of a window. Where rows do not carry their day, all are taken as of its first: a table is then asked for
    /// one day at a time, and totals of a range come as one sum.
    pub async fn window(&self, days: DateRange) -> Result<Pulled, WindowFailure> {
        self.gather(days, |part| self.part(part)).await
    }

    /// All rows of one day, asked for in parts although the whole was answered.
    pub async fn in_parts(&self, day: DateRange, rows: u64) -> Result<Pulled, WindowFailure> {
        self.gather(day, |part| Box::pin(self.cut(part, rows))).await
    }

    async fn gather<'s>(
        &'s self,
        days: DateRange,
        fetch: impl Fn(Part) -> BoxFuture<'s, Result<Pulled, WindowFailure>>,
    ) -> Result<Pulled, WindowFailure> {
        let mut pulled = Pulled::default();
        for disclosed in self.disclosures() {
            let advertisers = self.run.advertisers();
            if !advertisers.is_empty() {
                pulled.add(fetch(Part::new(days, advertisers, disclosed)).await?);
            }
        }
        Ok(pulled)
    }

    /// Whether to ask for disclosed and undisclosed placements: both, where the table tells them apart.
    fn disclosures(&self) -> Vec<Option<bool>> {
        let tells_apart = self.layout.columns().any(|column| column.name == "disclosed");
        match (self.table.endpoint, tells_apart) {
            (EndpointId::PlacementsReport, true) => vec![Some(true), Some(false)],
            // Criteo's default; whether undisclosed placements have categories is not documented.
            (EndpointId::PlacementsReport, false) => vec![Some(true)],
            _ => vec![None],
        }
    }

    /// All rows of a part, cutting it as often as it takes.
    fn part(&self, part: Part) -> BoxFuture<'_, Result<Pulled, WindowFailure>> {
        Box::pin(async move {
            match self.ask(&part).await {
                Ok(ReportAnswer::Whole(report)) if !self.is_suspect(report.rows) => Ok(Pulled {
                    partitions: report.partitions,
                    rows: report.rows,
                    calls: 1,
                    largest_answer: report.rows,
                }),
                Ok(ReportAnswer::Whole(report)) if part.days.len_days() > 1 => {
                    Err(WindowFailure::TooManyRows(report.rows))
                }
                Ok(ReportAnswer::Whole(report)) => self.doubt(part, report.partitions, report.rows).await,
                Ok(ReportAnswer::Capped { rows }) if part.days.len_days() > 1 => Err(WindowFailure::TooManyRows(rows)),
                Ok(ReportAnswer::Capped { rows }) => self.cut(part, rows).await,
                Err(error) if error.kind() == FetchErrorKind::AdvertiserRefused => {
                    self.without_refused(part, error).await
                }
                Err(error) if error.kind() == FetchErrorKind::TooLarge && part.days.len_days() > 1 => {
                    Err(WindowFailure::TooManyRows(0))
                }
                Err(error) if error.kind() == FetchErrorKind::TooLarge && part.halves().is_some() => {
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
        self.run.client.report(&request, &self.layout, what).await
    }

    fn request(&self, part: &Part) -> ReportRequest {
        let (dimensions, metrics) = match &self.table.extract {
            Extract::Report { dimensions, metrics, .. } => (dimensions.clone(), metrics.clone()),
            Extract::Entity { .. } => (Vec::new(), Vec::new()),
        };
        ReportRequest {
            endpoint: self.table.endpoint,
            days: part.days,
            advertisers: part.advertisers.clone(),
            ad_sets: part.ad_sets.clone(),
            environment: part.environment.clone(),
            disclosed: part.disclosed,
            event_type: part.event_type.clone(),
            dimensions,
            metrics,
            currency: self.run.settings.currency.clone(),
            timezone: self.run.settings.timezone.name().to_owned(),
        }
    }

    /// Whether an answer of so many rows may have been cut at a cap that nobody documents.
    fn is_suspect(&self, rows: u64) -> bool {
        let Some(caps) = &self.caps else { return false };
        caps.lock().unwrap_or_else(PoisonError::into_inner).is_suspect(rows)
    }

    /// A single day whose number of rows looks like a cap: its parts tell.
    async fn doubt(
        &self,
        part: Part,
        partitions: BTreeMap<NaiveDate, Rows>,
        rows: u64,
    ) -> Result<Pulled, WindowFailure> {
        let whole = Pulled { partitions, rows, calls: 1, largest_answer: rows };
        if part.halves().is_none() && part.by_event_type().is_none() {
            return if self.is_certain(rows) { Err(self.cannot_split(&part, rows)) } else { Ok(whole) };
        }
        let parts = self.cut(part.clone(), rows).await?;
        if parts.rows <= rows {
            return Ok(Pulled { calls: parts.calls, largest_answer: parts.largest_answer, ..whole });
        }
        if let Some(caps) = &self.caps {
            caps.lock().unwrap_or_else(PoisonError::into_inner).prove(rows);
        }
        if parts.largest_answer >= rows {
            return Err(self.cannot_split(&part, rows));
        }
        Ok(parts)
    }

    fn is_certain(&self, rows: u64) -> bool {
        let Some(caps) = &self.caps else { return false };
        caps.lock().unwrap_or_else(PoisonError::into_inner).is_certain(rows)
    }

    /// A single day at the cap: its parts, each asked for on its own.
    async fn cut(&self, part: Part, rows: u64) -> Result<Pulled, WindowFailure> {
        tracing::info!(table = %self.table.name, %part, rows, "asking for it in parts");
        let mut pulled = Pulled { calls: 1, ..Pulled::default() };
        let parts = if let Some(halves) = part.halves() {
            halves
        } else {
            pulled.calls += 1;
            self.finest_parts(&part, rows).await?
        };
        for part in parts {
            pulled.add(self.part(part).await?);
        }
        Ok(pulled)
    }

    /// Parts of one advertiser's day, or of one ad set's.
    async fn finest_parts(&self, part: &Part, rows: u64) -> Result<Vec<Part>, WindowFailure> {
        match self.table.endpoint {
            EndpointId::TransactionsReport => part.by_event_type().ok_or_else(|| self.cannot_split(part, rows)),
            _ if part.ad_sets.is_none() => match self.values(part, "AdsetId").await? {
                Values::Known(ids) if !ids.is_empty() => Ok(part.by_ad_sets(ids)),
                Values::Known(_) => Err(self.cannot_split(part, rows)),
                Values::Unnamed => Err(self.unnamed(part, rows, "ad set")),
            },
            EndpointId::PlacementsReport if part.environment.is_none() => {
                match self.values(part, "Environment").await? {
                    Values::Known(environments) if environments.len() > 1 => {
                        part.by_environment(&environments).ok_or_else(|| self.unnamed(part, rows, "known environment"))
                    }
                    Values::Known(_) => Err(self.cannot_split(part, rows)),
                    Values::Unnamed => Err(self.unnamed(part, rows, "environment")),
                }
            }
            _ => Err(self.cannot_split(part, rows)),
        }
    }

    fn cannot_split(&self, part: &Part, rows: u64) -> WindowFailure {
        let dimension = match &self.table.extract {
            Extract::Report { dimensions, .. } => dimensions.last().map(String::as_str).unwrap_or_default(),
            Extract::Entity { .. } => "",
        };
        let advice = match self.table.endpoint {
            EndpointId::TransactionsReport => "Criteo offers no finer filter for transactions".to_owned(),
            _ => format!("drop a dimension of the table, for instance `{dimension}`, so that fewer rows come back"),
        };
        WindowFailure::CannotSplit(format!(
            "`{}` {part} has {rows} rows or more, at which Criteo cuts the answer, and cannot be asked for in smaller \
             parts: {advice}",
            self.table.name
        ))
    }

    fn unnamed(&self, part: &Part, rows: u64, what: &str) -> WindowFailure {
        WindowFailure::CannotSplit(format!(
            "`{}` {part} has {rows} rows or more, and some of them belong to no {what}, so that they cannot be asked for \
             in parts; drop a dimension of the table",
            self.table.name
        ))
    }

    /// The values a dimension has in a part, from a query of that very day.
    async fn values(&self, part: &Part, dimension: &str) -> Result<Values, WindowFailure> {
        let (table, layout) = value_table(self.table.endpoint, dimension, &self.run.settings);
        let fetch = ReportFetch::of(self.run, &table, &layout);
        match fetch.ask(part).await? {
            ReportAnswer::Whole(report) => Ok(Values::from_rows(report.partitions.values())),
            ReportAnswer::Capped { rows } => Err(fetch.cannot_split(part, rows)),
        }
    }

    /// At least one advertiser of a part was refused: the halves tell who.
    async fn without_refused(&self, part: Part, error: FetchError) -> Result<Pulled, WindowFailure> {
        let mut pulled = Pulled { calls: 1, ..Pulled::default() };
        let Some(halves) = part.advertiser_halves() else {
            if let [advertiser] = part.advertisers.as_slice() {
                self.run.refuse(advertiser, &error);
            }
            return Ok(pulled);
        };
        for half in halves {
            pulled.add(self.part(half).await?);
        }
        Ok(pulled)
    }
}
