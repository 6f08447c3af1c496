//! Judged rows to live files: sorted, written to a staged file, published together with their ledger records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::context::Run;
use super::reconcile::advertiser_counts;
use super::retained::{Before, RetainedRows};
use super::settled::{SettledFor, final_for};
use super::summary::{Code, Notice, TableSummary};
use crate::catalog::{RereadAges, Table};
use crate::criteo::RowMemory;
use crate::dates::DateRange;
use crate::ledger::{Difference, PartitionRecord, PartitionStatus, Reconciliation};
use crate::output::{NewFile, Output, OutputError};
use crate::store::checksum;
use crate::table::decode::ReportLayout;
use crate::table::entity_rows::{EntityRows, RowsError};
use crate::table::footer;
use crate::table::numeric::format_numeric;
use crate::table::order::KeyOrder;
use crate::table::parquet::{Provenance, WriteError, rows_checksum, table_schema_version, write_batches, write_rows};
use crate::table::partitions::{Partition, Partitions};

/// Why a partition could not be published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// The output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Parquet.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Rows that do not fit each other.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The thread that wrote ended early.
    #[error("the thread that wrote the file ended early")]
    Thread(#[source] tokio::task::JoinError),
}

impl PublishError {
    /// Data that does not fit is the table's problem; everything else is the output's.
    fn notice(&self, table: &str, days: DateRange) -> Notice {
        let notice = match self {
            Self::Output(error) => error.notice(),
            Self::Rows(_) => Notice::of_error(Code::UnreadableResponse, self),
            Self::Write(_) => Notice::of_error(Code::OutputFailed, self),
            Self::Thread(_) => Notice::of_error(Code::Unexpected, self),
        };
        notice.table(table).days(days)
    }

    /// Whether the next publication would fail too.
    fn is_lasting(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_lasting())
    }
}

/// The whole answer for a range of days.
pub(super) struct PulledDays {
    /// Days; each becomes a partition, also those without rows.
    pub days: DateRange,
    /// Those of the days whose file stays as it is.
    pub kept: BTreeSet<NaiveDate>,
    /// Rows by day.
    pub partitions: Partitions,
    /// Calls it took.
    pub calls: u64,
    /// When it was pulled.
    pub pulled_at: DateTime<Utc>,
    /// Where sums are not Criteo's totals.
    pub differences: BTreeMap<NaiveDate, Vec<Difference>>,
    /// How the sums compare with Criteo's totals on days without differences, where that is not `Equal`.
    pub reconciliations: BTreeMap<NaiveDate, Reconciliation>,
    /// Given back once the rows are published: then the thread that wrote them, and the memory it has set aside, are free for
    /// the next answer.
    pub memory: Option<RowMemory>,
}

/// What all files of one table and run have in common.
#[derive(Clone)]
struct Publisher {
    table: Arc<Table>,
    run_id: String,
    api_version: String,
    parameters: Vec<(String, String)>,
    advertisers: Vec<String>,
    retained_advertisers: Vec<String>,
    without_advertisers: Vec<String>,
    schema_version: String,
    currency: String,
    timezone: String,
    as_of: NaiveDate,
    reread_ages: RereadAges,
}

impl Publisher {
    fn new(run: &Run, table: &Arc<Table>, requested: &BTreeSet<String>) -> Self {
        let settings = &run.settings;
        let without_advertisers: Vec<String> = run.roster.excluded_from(table.endpoint).into_iter().collect();
        let advertisers = requested.iter().cloned().collect();
        let parameters = vec![
            (footer::OUTPUT_ID, run.output.ledger().output_id().to_owned()),
            (footer::CURRENCY, settings.currency.clone()),
            (footer::TIMEZONE, settings.timezone.name().to_owned()),
            (footer::AS_OF, settings.as_of.to_string()),
        ];
        Self {
            table: Arc::clone(table),
            run_id: run.id.clone(),
            api_version: run.api_version.clone(),
            parameters: parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            advertisers,
            retained_advertisers: Vec::new(),
            without_advertisers,
            schema_version: table_schema_version(table),
            currency: settings.currency.clone(),
            timezone: settings.timezone.name().to_owned(),
            as_of: settings.as_of,
            reread_ages: table.reread_ages(settings.lookback_days),
        }
    }

    /// For a partition that retains what it has of these advertisers from earlier pulls. Those that were final then, are;
    /// others will have to be requested.
    fn retaining(&self, with_rows: &BTreeSet<String>, finals: &BTreeSet<String>) -> Self {
        let is_requested = |id: &String| self.advertisers.contains(id);
        let retained: BTreeSet<String> = with_rows.union(finals).filter(|id| !is_requested(id)).cloned().collect();
        let missing: BTreeSet<String> = self.without_advertisers.iter().chain(with_rows).cloned().collect();
        let missing = missing.into_iter().filter(|id| !finals.contains(id) && !is_requested(id));
        Self {
            without_advertisers: missing.collect(),
            retained_advertisers: retained.into_iter().collect(),
            ..self.clone()
        }
    }

    fn provenance(&self, pulled_at: DateTime<Utc>, calls: u64) -> Provenance {
        let mut parameters = self.parameters.clone();
        parameters.push((footer::ADVERTISERS.to_owned(), self.advertisers.join(",")));
        for (key, advertisers) in [
            (footer::RETAINED_ADVERTISERS, &self.retained_advertisers),
            (footer::WITHOUT_ADVERTISERS, &self.without_advertisers),
        ] {
            if !advertisers.is_empty() {
                parameters.push((key.to_owned(), advertisers.join(",")));
            }
        }
        parameters.push((footer::CALLS.to_owned(), calls.to_string()));
        Provenance { api_version: self.api_version.clone(), run_id: self.run_id.clone(), pulled_at, parameters }
    }

    fn record(
        &self,
        date: NaiveDate,
        rows: u64,
        calls: u64,
        pulled_at: DateTime<Utc>,
        content: &Bytes,
    ) -> PartitionRecord {
        let is_provisional = self.table.is_report() && self.reread_ages.is_provisional(date, self.as_of);
        PartitionRecord {
            table: self.table.name.clone(),
            date,
            rows,
            bytes: content.len() as u64,
            sha256: checksum(content),
            sums: BTreeMap::new(),
            run_id: self.run_id.clone(),
            pulled_at,
            calls,
            status: if is_provisional { PartitionStatus::Provisional } else { PartitionStatus::Final },
            advertisers: Some(self.advertisers.clone()),
            retained_advertisers: self.retained_advertisers.clone(),
            schema_version: Some(self.schema_version.clone()),
            currency: Some(self.currency.clone()),
            timezone: Some(self.timezone.clone()),
            confirmed_at: None,
            confirmed_by: None,
            advertiser_counts: BTreeMap::new(),
            rows_sha256: rows_checksum(content),
            without_advertisers: self.without_advertisers.clone(),
            reconciliation: None,
            differences: Vec::new(),
            history: Vec::new(),
        }
    }
}

/// What to say of days when their files are written.
#[derive(Debug, Default)]
struct PublishNotes {
    /// Rows that share their key with another one.
    repeated: usize,
    /// Advertisers whose rows are those of an earlier pull.
    kept: BTreeSet<String>,
    /// Days whose old file stays, and why.
    left: Vec<(NaiveDate, &'static str)>,
    /// Days whose old file may have rows that have to stay, but could not be read, and why.
    unread: Vec<(NaiveDate, OutputError)>,
}

/// The live file of a partition, as far as it matters for the one that replaces it.
enum OldFile {
    /// There is none, or nothing in it can have to stay.
    Irrelevant,
    /// Its content.
    Content(Bytes),
    /// It could not be read at this moment: it may have rows that have to stay.
    Unread(OutputError),
}

impl OldFile {
    /// The live file of a partition, read only if it may have rows that have to stay.
    async fn of(output: &Output, retained: &RetainedRows, table: &str, date: NaiveDate) -> Self {
        let is_relevant = {
            let ledger = output.ledger();
            ledger.live_size(table, date).is_some() && retained.may_retain(ledger.partition(table, date))
        };
        if is_relevant { Self::read(output, table, date).await } else { Self::Irrelevant }
    }

    /// The live file of a partition.
    async fn read(output: &Output, table: &str, date: NaiveDate) -> Self {
        if output.ledger().live_size(table, date).is_none() {
            return Self::Irrelevant;
        }
        match output.get(table, date).await {
            Ok(content) => content.map_or(Self::Irrelevant, Self::Content),
            Err(error) => Self::Unread(error),
        }
    }
}

/// Publishes every day of a report's answer.
pub(super) async fn publish_days(
    run: &Run,
    table: &Arc<Table>,
    layout: &Arc<ReportLayout>,
    requested: BTreeSet<String>,
    mut pulled: PulledDays,
) -> bool {
    let _memory = pulled.memory.take();
    let (days, calls) = (pulled.days, pulled.calls);
    let retained = RetainedRows::beside(run, table.endpoint, requested.clone());
    let replaced: Vec<NaiveDate> = days.days().filter(|day| !pulled.kept.contains(day)).collect();
    let mut old = BTreeMap::new();
    for &day in &replaced {
        old.insert(day, OldFile::of(&run.output, &retained, &table.name, day).await);
    }
    let writer = DayWriter {
        publisher: Publisher::new(run, table, &requested),
        layout: Arc::clone(layout),
        output: run.output.clone(),
        finals: finals(run, table, days, &retained),
        doubted: doubted(run, table, days),
        retained,
        old,
        // As `_pulled_at` has it, so that column, footer and ledger say the same.
        pulled_at: pulled.pulled_at.trunc_subsecs(6),
        calls,
    };
    let write = move || writer.write(&replaced, pulled.partitions, pulled.differences, &pulled.reconciliations);
    let published = publish(run, table, days, calls, write).await;
    let is_published = published.is_some();
    if let Some(notes) = published {
        report(run, table, days, notes);
    }
    is_published
}

/// For each day with a live file: the advertisers that it is final for, and that are retained.
fn finals(run: &Run, table: &Table, days: DateRange, retained: &RetainedRows) -> BTreeMap<NaiveDate, SettledFor> {
    let ledger = run.output.ledger();
    let finals = |day| {
        let record = ledger.partition(&table.name, day)?;
        let finals = match final_for(&ledger, record) {
            SettledFor::Only(ids) => SettledFor::Only(ids.into_iter().filter(|id| retained.includes(id)).collect()),
            SettledFor::Everyone => SettledFor::Everyone,
        };
        ledger.is_live(record).then_some((day, finals))
    };
    days.days().filter_map(finals).collect()
}

/// The records of days whose rows Criteo's totals do not confirm.
fn doubted(run: &Run, table: &Table, days: DateRange) -> BTreeMap<NaiveDate, PartitionRecord> {
    let ledger = run.output.ledger();
    let record = |day| Some((day, ledger.partition(&table.name, day)?.clone()));
    days.days().filter_map(record).filter(|(_, record)| record.is_unconfirmed()).collect()
}

/// What a thread has made of an answer: files to publish, and records of files that stay as they are.
#[derive(Default)]
struct Written {
    files: Vec<NewFile>,
    confirmed: Vec<PartitionRecord>,
}

impl Written {
    /// Stages a file, unless the live one has the same rows and columns: then that one is confirmed.
    fn add(&mut self, output: &Output, record: PartitionRecord, content: Bytes) -> Result<(), OutputError> {
        let known = output.ledger().partition(&record.table, record.date).cloned();
        let known = known.filter(|known| known.has_rows_of(&record)).filter(|known| output.is_intact(known));
        match known {
            Some(known) => self.confirmed.push(known.confirmed_as(record)),
            None => self.files.push(NewFile { staged: output.stage(content)?, record }),
        }
        Ok(())
    }
}

/// Writes the days of one answer.
struct DayWriter {
    publisher: Publisher,
    layout: Arc<ReportLayout>,
    output: Output,
    retained: RetainedRows,
    old: BTreeMap<NaiveDate, OldFile>,
    finals: BTreeMap<NaiveDate, SettledFor>,
    doubted: BTreeMap<NaiveDate, PartitionRecord>,
    pulled_at: DateTime<Utc>,
    calls: u64,
}

impl DayWriter {
    fn write(
        mut self,
        days: &[NaiveDate],
        mut partitions: Partitions,
        mut differences: BTreeMap<NaiveDate, Vec<Difference>>,
        reconciliations: &BTreeMap<NaiveDate, Reconciliation>,
    ) -> Result<(Written, PublishNotes), PublishError> {
        if partitions.rows().is_empty() {
            // What nobody answered has no columns.
            partitions = self.layout.by_day(self.layout.empty_rows());
        }
        let order = KeyOrder::new(partitions.rows(), self.layout.keys());
        let (mut written, mut notes) = (Written::default(), PublishNotes::default());
        for &day in days {
            let rows = partitions.day(day);
            let before = match self.old.remove(&day) {
                None | Some(OldFile::Irrelevant) => Before::Nothing,
                Some(OldFile::Content(file)) => self.retained.before(&file, &self.layout, rows),
                Some(OldFile::Unread(error)) => {
                    notes.unread.push((day, error));
                    continue;
                }
            };
            let (content, mut record) = match before {
                Before::Nothing => {
                    let publisher = self.publisher.retaining(&BTreeSet::new(), &self.finals_of(day, None));
                    self.encode(&publisher, day, rows, &order, &[], &mut notes)?
                }
                Before::Rows(old, kept) => {
                    let both = old.beside(rows, &self.layout, day);
                    let order = KeyOrder::new(both.rows(), self.layout.keys());
                    let publisher = self.publisher.retaining(&kept, &self.finals_of(day, Some(&kept)));
                    notes.kept.extend(kept);
                    self.encode(&publisher, day, both.day(day), &order, &old.pulled_at, &mut notes)?
                }
                Before::Whole(reason) => {
                    notes.left.push((day, reason));
                    continue;
                }
            };
            record.reconciliation = Some(reconciliations.get(&day).copied().unwrap_or(Reconciliation::Equal));
            record.differences = differences.remove(&day).unwrap_or_default();
            written.add(&self.output, record.judged_after(self.doubted.get(&day)), content)?;
        }
        Ok((written, notes))
    }

    /// The advertisers that the file to be replaced is final for; where that is not known, those it has rows of.
    fn finals_of(&self, day: NaiveDate, with_rows: Option<&BTreeSet<String>>) -> BTreeSet<String> {
        match self.finals.get(&day) {
            Some(SettledFor::Only(ids)) => ids.clone(),
            Some(SettledFor::Everyone) => with_rows.cloned().unwrap_or_default(),
            None => BTreeSet::new(),
        }
    }

    /// One file. The last of all rows may be of earlier pulls, at the times in `older`.
    fn encode(
        &self,
        publisher: &Publisher,
        day: NaiveDate,
        partition: Partition<'_>,
        order: &KeyOrder<'_>,
        older: &[i64],
        notes: &mut PublishNotes,
    ) -> Result<(Bytes, PartitionRecord), PublishError> {
        let mut members = partition.members().to_vec();
        notes.repeated += order.sort(&mut members);
        let provenance = publisher.provenance(self.pulled_at, self.calls);
        let content = write_rows(&publisher.table, partition.rows(), &members, older, &provenance, Vec::new())?;
        let content = Bytes::from(content);
        let rows = partition.len() as u64;
        let mut record = publisher.record(day, rows, self.calls, self.pulled_at, &content);
        record.sums = sums(&self.layout, partition);
        if !self.layout.has_day() {
            record.advertiser_counts = advertiser_counts(&self.layout, partition);
        }
        Ok((content, record))
    }
}

/// What a person should know of days that were published, or were not.
fn report(run: &Run, table: &Table, days: DateRange, notes: PublishNotes) {
    if notes.repeated > 0 {
        let message = format!("{} rows share their primary key with another row; all are kept", notes.repeated);
        run.journal.warn(Notice::new(Code::RepeatedKeys, message).table(&table.name).days(days));
    }
    // Those that the run requests elsewhere are as they should be.
    let requested = run.roster.advertisers_of(table.endpoint);
    for advertiser in notes.kept.into_iter().filter(|id| !requested.contains(id)) {
        let message = format!(
            "the data of advertiser {advertiser} was not requested, or could not be; its rows stay as they were fetched before"
        );
        run.journal.warn(Notice::new(Code::RowsKept, message).table(&table.name).advertiser(&advertiser));
    }
    for (day, error) in notes.unread {
        let notice = error.notice();
        let message = format!(
            "the file stays as it was, because it may have rows that have to be retained, and cannot be read: {}",
            notice.message
        );
        run.journal.fail(Notice { message, ..notice }.table(&table.name).days(DateRange::single(day)));
    }
    for (day, reason) in notes.left {
        let message = format!(
            "the file stays as it was, because it has rows of an advertiser whose data was not requested, and {reason}"
        );
        run.journal.fail(Notice::new(Code::NotRefreshed, message).table(&table.name).days(DateRange::single(day)));
    }
}

/// A snapshot as it was fetched.
pub(super) struct SnapshotRows {
    /// Its rows.
    pub rows: EntityRows,
    /// The advertisers whose rows these are, also of those that have none.
    pub answered: BTreeSet<String>,
    /// Ad sets of these advertisers that could not be read.
    pub failed_ad_sets: BTreeSet<String>,
    /// Calls it took.
    pub calls: u64,
}

/// Publishes a snapshot. Rows of today's earlier one stay where this one has no answer for their advertiser or ad set.
pub(super) async fn publish_snapshot(run: &Run, table: &Arc<Table>, snapshot: SnapshotRows) {
    let SnapshotRows { mut rows, answered, failed_ad_sets, calls } = snapshot;
    let requested: BTreeSet<String> = run.roster.portfolio.ids().map(str::to_owned).collect();
    let mut publisher = Publisher::new(run, table, &requested.intersection(&answered).cloned().collect());
    let drop_others = run.drop_others;
    publisher.without_advertisers = requested.difference(&answered).cloned().collect();
    let (output, date, pulled_at) = (run.output.clone(), run.settings.as_of, rows.pulled_at());
    let old = OldFile::read(&output, &table.name, date).await;
    let write = move || {
        let mut notes = SnapshotNotes::default();
        let stays = |advertiser: &str, ad_set: Option<&str>| {
            let is_missing = !answered.contains(advertiser) || ad_set.is_some_and(|id| failed_ad_sets.contains(id));
            is_missing && (!drop_others || requested.contains(advertiser))
        };
        if let Some(old) = live_batches(old)? {
            let Some(kept) = rows.retain(old, stays)? else {
                notes.is_left = true;
                return Ok((Written::default(), notes));
            };
            notes.kept = kept;
        }
        publisher.retained_advertisers = notes.kept.iter().cloned().collect();
        let rows = rows.sorted()?;
        let provenance = publisher.provenance(pulled_at, calls);
        let content = write_batches(&publisher.table, rows.schema(), rows.batches(), &provenance, Vec::new())?;
        let content = Bytes::from(content);
        let record = publisher.record(date, rows.len() as u64, calls, pulled_at, &content);
        let mut written = Written::default();
        written.add(&output, record, content)?;
        Ok((written, notes))
    };
    if let Some(notes) = publish(run, table, DateRange::single(date), calls, write).await {
        note_snapshot(run, table, date, &notes);
    }
}

/// What a person should know of a snapshot that was published, or was not.
#[derive(Debug, Default)]
struct SnapshotNotes {
    /// Advertisers that have rows of an earlier snapshot of today.
    kept: BTreeSet<String>,
    /// The earlier one stays as it is.
    is_left: bool,
}

fn note_snapshot(run: &Run, table: &Table, date: NaiveDate, notes: &SnapshotNotes) {
    let today = DateRange::single(date);
    if notes.is_left {
        let message = "today's earlier file stays as it is, because it has rows of advertisers that were not requested or could \
                       not be, and other columns";
        run.journal.fail(Notice::new(Code::NotRefreshed, message).table(&table.name).days(today));
    }
    let mut kept = notes.kept.iter();
    let Some(first) = kept.next() else { return };
    let who = match kept.len() {
        0 => format!("advertiser {first}"),
        more => format!("advertiser {first} and {more} more"),
    };
    let message =
        format!("{who} were not requested or could not be: rows of theirs stay as they were fetched earlier today");
    let notice = Notice::new(Code::RowsKept, message).table(&table.name).days(today);
    run.journal.warn(if notes.kept.len() == 1 { notice.advertiser(first) } else { notice });
}

/// The rows of the live file of a partition; `None` where there is none, or what is not Parquet: that heals by being replaced.
fn live_batches(file: OldFile) -> Result<Option<ParquetRecordBatchReader>, OutputError> {
    let content = match file {
        OldFile::Irrelevant => return Ok(None),
        OldFile::Content(content) => content,
        OldFile::Unread(error) => return Err(error),
    };
    match ParquetRecordBatchReaderBuilder::try_new(content).and_then(ParquetRecordBatchReaderBuilder::build) {
        Ok(batches) => Ok(Some(batches)),
        Err(error) => {
            tracing::warn!(%error, "the file to be replaced is not Parquet");
            Ok(None)
        }
    }
}

/// Writes off the async threads, then hands over to the task that publishes, which counts.
async fn publish<T: Send + 'static>(
    run: &Run,
    table: &Arc<Table>,
    days: DateRange,
    calls: u64,
    write: impl FnOnce() -> Result<(Written, T), PublishError> + Send + 'static,
) -> Option<T> {
    run.journal.count(&table.name, TableSummary { calls, ..TableSummary::default() });
    let published = async {
        let written = tokio::task::spawn_blocking(write).await;
        let (Written { files, confirmed }, extra) = written.unwrap_or_else(|error| Err(PublishError::Thread(error)))?;
        let (changed, unchanged) = (files.len() as u64, confirmed.len() as u64);
        let rows = files.iter().map(|file| &file.record).chain(&confirmed).map(|record| record.rows).sum();
        run.output.confirm(confirmed).await?;
        run.output.publish(files).await?;
        tracing::info!(table = table.name, days = days.to_string(), partitions = changed, unchanged, rows, "published");
        run.journal.show_published(changed + unchanged, rows);
        Ok(extra)
    };
    match published.await {
        Ok(extra) => Some(extra),
        Err(error) => {
            let error: PublishError = error;
            run.journal.fail(error.notice(&table.name, days));
            if error.is_lasting() {
                run.stop_for_output();
            }
            None
        }
    }
}

fn sums(layout: &ReportLayout, partition: Partition<'_>) -> BTreeMap<String, String> {
    let summed = layout.columns().enumerate().filter(|(_, column)| column.is_summed());
    summed
        .filter_map(|(position, column)| {
            Some((column.name.clone(), format_numeric(partition.sum_billionths(position)?)))
        })
        .collect()
}
