//! The ledger as state: read whole from its files, changed a partition or a run at a time. It knows what to write, in which
//! order, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};

use super::error::LedgerError;
use super::files::LedgerFiles;
use super::records::{FORMAT_VERSION, LOST_RUNS, PartitionRecord, RunOutcome, RunRecord, VersionFile};

/// The ledger of one output; a two-year output has a few thousand records.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) partitions: BTreeMap<String, BTreeMap<NaiveDate, PartitionRecord>>,
    pub(super) runs: BTreeMap<String, RunRecord>,
    pub(super) version: VersionFile,
    /// Runs whose record cannot be read.
    unreadable_runs: BTreeSet<String>,
    /// Sizes of the files that are there, by table and day; of tables that were listed.
    live: BTreeMap<String, BTreeMap<NaiveDate, u64>>,
}

impl Ledger {
    /// What its files say; an output without any has an empty ledger.
    ///
    /// The record of a run that cannot be read is skipped with a warning: see [`Ledger::unfinished_runs`].
    pub fn of_files(files: &LedgerFiles) -> Result<Self, LedgerError> {
        let mut ledger = Self { partitions: files.partitions()?, ..Self::default() };
        for (run_id, file) in files.run_files() {
            match files.parse::<RunRecord>(file) {
                Ok(Some(run)) => drop(ledger.runs.insert(run.run_id.clone(), run)),
                Ok(None) => {}
                Err(LedgerError::Damaged { file, source }) => {
                    tracing::warn!(file, %source, "the record of a run is damaged and left out; `status --rebuild` moves it aside");
                    ledger.unreadable_runs.insert(run_id.to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        // A damaged one is reported by `LedgerFiles::damaged`; whoever writes has refused it before.
        ledger.version = files.version().ok().flatten().unwrap_or_default();
        Ok(ledger)
    }

    /// A ledger of these records.
    pub fn of_records(records: impl IntoIterator<Item = PartitionRecord>, runs: BTreeMap<String, RunRecord>) -> Self {
        let mut ledger = Self { runs, ..Self::default() };
        records.into_iter().for_each(|record| ledger.insert(record));
        ledger
    }

    pub(super) fn insert(&mut self, record: PartitionRecord) {
        self.partitions.entry(record.table.clone()).or_default().insert(record.date, record);
    }

    /// The records of the month of `date`, as they are with `changes`; `None` stands for a record that goes.
    pub(super) fn month<'l>(
        &'l self,
        table: &'l str,
        date: NaiveDate,
        changes: &'l BTreeMap<(String, NaiveDate), Option<PartitionRecord>>,
    ) -> BTreeMap<NaiveDate, &'l PartitionRecord> {
        let in_month = |day: &NaiveDate| (day.year(), day.month()) == (date.year(), date.month());
        let recorded = self.partitions.get(table).into_iter().flatten().filter(|(day, _)| in_month(day));
        let mut records: BTreeMap<NaiveDate, &PartitionRecord> = recorded.map(|(day, record)| (*day, record)).collect();
        for ((_, day), record) in changes.iter().filter(|((of, day), _)| of == table && in_month(day)) {
            match record {
                Some(record) => drop(records.insert(*day, record)),
                None => drop(records.remove(day)),
            }
        }
        records
    }

    /// Notes which files of a table are there, with their sizes, instead of what was known of it.
    pub fn observe(&mut self, table: &str, files: BTreeMap<NaiveDate, u64>) {
        self.live.insert(table.to_owned(), files);
    }

    pub(super) fn observe_one(&mut self, table: &str, date: NaiveDate, size: Option<u64>) {
        let files = self.live.entry(table.to_owned()).or_default();
        match size {
            Some(size) => drop(files.insert(date, size)),
            None => drop(files.remove(&date)),
        }
    }

    /// Whether the partition's file is where its record says, with the size it says.
    pub fn is_live(&self, record: &PartitionRecord) -> bool {
        self.live_size(&record.table, record.date) == Some(record.bytes)
    }

    /// The size of a partition's file, whether it is recorded or not; `None` if there is none.
    pub fn live_size(&self, table: &str, date: NaiveDate) -> Option<u64> {
        self.live.get(table)?.get(&date).copied()
    }

    /// The identity of the output, which is also in every footer; empty until a run begins.
    pub fn output_id(&self) -> &str {
        &self.version.output_id
    }

    /// The currency of all amounts of this output; `None` while it has no partition.
    pub fn currency(&self) -> Option<&str> {
        let recorded = self.version.currency.as_deref();
        recorded.or_else(|| self.convention(|record| record.currency.as_deref(), "currency"))
    }

    /// The time zone in which all days of this output are cut; `None` while it has no partition.
    pub fn timezone(&self) -> Option<&str> {
        let recorded = self.version.timezone.as_deref();
        recorded.or_else(|| self.convention(|record| record.timezone.as_deref(), "timezone"))
    }

    /// What the newest partition that says something says, or the run that wrote it: outputs of older programs recorded it
    /// there only.
    fn convention<'l>(
        &'l self,
        of_record: impl Fn(&'l PartitionRecord) -> Option<&'l str>,
        parameter: &str,
    ) -> Option<&'l str> {
        let records = self.partitions.values().flat_map(|days| days.values().rev());
        let mut known = records.filter_map(|record| {
            let of_run = || self.runs.get(&record.run_id)?.parameters.get(parameter).map(String::as_str);
            of_record(record).or_else(of_run)
        });
        known.next()
    }

    /// Rows at which Criteo was proven to cut this table's answers, by an earlier run or this one.
    pub fn row_cap(&self, table: &str) -> Option<u64> {
        self.version.row_caps.get(table).copied()
    }

    /// Every proven row cap, by table.
    pub fn row_caps(&self) -> &BTreeMap<String, u64> {
        &self.version.row_caps
    }

    /// The version file of an output that is written from now on: with an identity, and with the currency and the time zone of
    /// its first partition.
    pub(super) fn version_with(&self, first: Option<&PartitionRecord>) -> VersionFile {
        let mut version = self.version.clone();
        version.format_version = FORMAT_VERSION;
        if version.output_id.is_empty() {
            version.output_id = VersionFile::new().output_id;
        }
        version.currency = self.currency().map(str::to_owned).or_else(|| first?.currency.clone());
        version.timezone = self.timezone().map(str::to_owned).or_else(|| first?.timezone.clone());
        version
    }

    /// The record of one partition.
    pub fn partition(&self, table: &str, date: NaiveDate) -> Option<&PartitionRecord> {
        self.partitions.get(table)?.get(&date)
    }

    /// All records of a table, oldest first.
    pub fn partitions(&self, table: &str) -> impl DoubleEndedIterator<Item = &PartitionRecord> {
        self.partitions.get(table).into_iter().flat_map(BTreeMap::values)
    }

    /// Names of tables with records.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.partitions.keys().map(String::as_str)
    }

    /// The record of one run.
    pub fn run(&self, run_id: &str) -> Option<&RunRecord> {
        self.runs.get(run_id)
    }

    /// Runs, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &RunRecord> {
        self.runs.values()
    }

    /// Runs whose record cannot be read.
    pub fn unreadable_runs(&self) -> impl Iterator<Item = &str> {
        self.unreadable_runs.iter().map(String::as_str)
    }

    /// Identifiers of the runs with this key since the last one that ended well: the pieces of one interrupted job.
    ///
    /// A run whose record is lost may have been the one that ended well, so nothing older than it counts: days are then
    /// fetched again, which costs calls but is never wrong.
    pub fn unfinished_runs(&self, resume_key: &str) -> Vec<String> {
        let lost = self.unreadable_runs.last();
        let known = self.runs.values().rev();
        let since_loss = known
            .take_while(|run| lost.is_none_or(|lost| *lost < run.run_id) && !run.parameters.contains_key(LOST_RUNS));
        let alike = since_loss.filter(|run| run.resume_key == resume_key);
        alike.take_while(|run| run.outcome != RunOutcome::Ok).map(|run| run.run_id.clone()).collect()
    }
}
