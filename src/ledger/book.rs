//! The ledger as runs use it: read whole, changed a partition or a run at a time. Rebuilding and verifying are beside it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use serde::Serialize;

use super::error::LedgerError;
use super::files::DataFiles;
use super::records::{
    Difference, FORMAT_VERSION, LOST_RUNS, PARTITIONS_FOLDER, PENDING_FILE, PartitionRecord, PartitionStatus,
    PartitionsFile, PendingFile, RUNS_FOLDER, RunOutcome, RunRecord, VERSION_FILE, VersionFile, partition_path,
};
use super::sealed::{newer_version, seal, unseal};
use crate::store::{Staged, Store};

/// The ledger of one output, read whole; a two-year output has a few thousand records.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    partitions: BTreeMap<String, BTreeMap<NaiveDate, PartitionRecord>>,
    runs: BTreeMap<String, RunRecord>,
    version: VersionFile,
    /// Runs whose record cannot be read.
    unreadable_runs: BTreeSet<String>,
    /// A publication of this run broke off, for instance because the disk is full, and its records are still pending.
    is_unsettled: bool,
}

impl Ledger {
    /// Reads the ledger of `store`; an output without one has an empty ledger.
    ///
    /// The record of a run that cannot be read is skipped with a warning: see [`Ledger::unfinished_runs`].
    pub fn read(store: &Store) -> Result<Self, LedgerError> {
        let mut ledger = Self::of_records(store, BTreeMap::new(), BTreeMap::new());
        for (table, file) in month_files(store)? {
            if let Some(content) = read_json::<PartitionsFile>(store, &file)? {
                ledger.partitions.entry(table).or_default().extend(content.partitions);
            }
        }
        for (run_id, file) in run_files(store)? {
            match read_json::<RunRecord>(store, &file) {
                Ok(Some(run)) => drop(ledger.runs.insert(run.run_id.clone(), run)),
                Ok(None) => {}
                Err(LedgerError::Damaged { file, source }) => {
                    tracing::warn!(file, %source, "the record of a run is damaged and left out; `status --rebuild` moves it aside");
                    ledger.unreadable_runs.insert(run_id);
                }
                Err(error) => return Err(error),
            }
        }
        ledger.version = match read_json(store, VERSION_FILE) {
            Ok(version) => version.unwrap_or_default(),
            // Reported by `damaged_files`; whoever writes has refused it before.
            Err(LedgerError::Damaged { .. }) => VersionFile::default(),
            Err(error) => return Err(error),
        };
        Ok(ledger)
    }

    /// A ledger of these records, not yet written.
    pub(super) fn of_records(
        store: &Store,
        partitions: BTreeMap<String, BTreeMap<NaiveDate, PartitionRecord>>,
        runs: BTreeMap<String, RunRecord>,
    ) -> Self {
        let (version, unreadable_runs) = (VersionFile::default(), BTreeSet::new());
        Self { store: store.clone(), partitions, runs, version, unreadable_runs, is_unsettled: false }
    }

    /// Reads the ledger for writing: checks its version, writes the version file if there is none, and settles what a
    /// killed run left pending. Only the holder of the run lock may call this.
    pub fn open(store: &Store) -> Result<Self, LedgerError> {
        if !is_begun(store)? {
            write_json(store, VERSION_FILE, &VersionFile::new())?;
        }
        let mut ledger = Self::read(store)?;
        if ledger.version.output_id.is_empty() {
            // Written before outputs had an identity.
            let VersionFile { format_version, output_id, .. } = VersionFile::new();
            ledger.write_version(VersionFile { format_version, output_id, ..ledger.version.clone() })?;
        }
        ledger.settle_pending()?;
        Ok(ledger)
    }

    /// Reads the ledger for foretelling a run: what [`Self::open`] would refuse is refused, and nothing is written.
    pub fn foresee(store: &Store) -> Result<Self, LedgerError> {
        is_begun(store)?;
        Self::read(store)
    }

    fn settle_pending(&mut self) -> Result<(), LedgerError> {
        let Some(pending) = read_json::<PendingFile>(&self.store, PENDING_FILE)? else { return Ok(()) };
        let mut live = Vec::new();
        for record in pending.partitions {
            if self.store.checksum(&record.path())?.as_ref() == Some(&record.sha256) {
                live.push(record);
            }
        }
        tracing::info!(partitions = live.len(), "recorded partitions that an interrupted run had published");
        self.write_records(live)?;
        Ok(self.store.remove(PENDING_FILE)?)
    }

    /// Publishes staged files with their records: afterwards, and after a crash at any moment, each file is the old or
    /// the new one and the ledger knows which.
    pub fn publish(&mut self, files: Vec<(Staged, PartitionRecord)>) -> Result<(), LedgerError> {
        if self.is_unsettled {
            // Writing other records over them would leave live files that the ledger does not know.
            self.settle_pending()?;
            self.is_unsettled = false;
        }
        let files: Vec<_> = files.into_iter().map(|(staged, record)| (staged, self.with_history(record))).collect();
        let records: Vec<PartitionRecord> = files.iter().map(|(_, record)| record.clone()).collect();
        self.record_conventions(&records)?;
        let pending = PendingFile { format_version: FORMAT_VERSION, partitions: records };
        write_json(&self.store, PENDING_FILE, &pending)?;
        self.is_unsettled = true;
        for (staged, record) in files {
            self.store.publish(staged, &record.path())?;
        }
        self.write_records(pending.partitions)?;
        self.store.remove(PENDING_FILE)?;
        self.is_unsettled = false;
        Ok(())
    }

    /// Carries over the history of the partition being replaced, and adds to it if the numbers changed.
    fn with_history(&self, record: PartitionRecord) -> PartitionRecord {
        match self.partition(&record.table, record.date) {
            Some(before) => record.after(before),
            None => record,
        }
    }

    fn write_records(&mut self, records: Vec<PartitionRecord>) -> Result<(), LedgerError> {
        let mut months: BTreeMap<String, (String, NaiveDate)> = BTreeMap::new();
        for record in records {
            months.insert(record.month_file(), (record.table.clone(), record.date));
            self.partitions.entry(record.table.clone()).or_default().insert(record.date, record);
        }
        for (file, (table, date)) in months {
            self.write_month(&file, &table, date)?;
        }
        Ok(())
    }

    fn write_month(&self, file: &str, table: &str, date: NaiveDate) -> Result<(), LedgerError> {
        let in_month = |day: &NaiveDate| (day.year(), day.month()) == (date.year(), date.month());
        let records = self.partitions.get(table).into_iter().flatten().filter(|(day, _)| in_month(day));
        let partitions = records.map(|(day, record)| (*day, record.clone())).collect();
        write_json(&self.store, file, &PartitionsFile { format_version: FORMAT_VERSION, partitions })
    }

    /// Writes every month, and returns the files written.
    pub(super) fn write_all(&self) -> Result<BTreeSet<String>, LedgerError> {
        let records = self.partitions.values().flat_map(BTreeMap::values);
        let months: BTreeMap<String, &PartitionRecord> = records.map(|record| (record.month_file(), record)).collect();
        for (file, record) in &months {
            self.write_month(file, &record.table, record.date)?;
        }
        Ok(months.into_keys().collect())
    }

    /// Notes that the sums of already published partitions, taken together, are not Criteo's totals.
    pub fn mark_mismatch(
        &mut self,
        table: &str,
        dates: &[NaiveDate],
        differences: &[Difference],
    ) -> Result<(), LedgerError> {
        let known = dates.iter().filter_map(|date| self.partition(table, *date)).cloned();
        let marked = known.map(|record| PartitionRecord {
            status: PartitionStatus::Mismatch,
            differences: differences.to_vec(),
            ..record
        });
        let marked: Vec<PartitionRecord> = marked.collect();
        self.write_records(marked)
    }

    /// The identity of the output, which is also in every footer.
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

    /// Currency and time zone of the first partition are those of the output.
    fn record_conventions(&mut self, records: &[PartitionRecord]) -> Result<(), LedgerError> {
        let known = (self.currency().map(str::to_owned), self.timezone().map(str::to_owned));
        let first = records.first();
        let mut version = self.version.clone();
        version.currency = known.0.or_else(|| first?.currency.clone());
        version.timezone = known.1.or_else(|| first?.timezone.clone());
        self.write_version(version)
    }

    /// Rows at which Criteo was proven to cut this table's answers, by an earlier run or this one.
    pub fn row_cap(&self, table: &str) -> Option<u64> {
        self.version.row_caps.get(table).copied()
    }

    /// Every proven row cap, by table.
    pub fn row_caps(&self) -> &BTreeMap<String, u64> {
        &self.version.row_caps
    }

    /// Remembers a row cap that was proven, for the next runs; `None` forgets it.
    pub fn set_row_cap(&mut self, table: &str, cap: Option<u64>) -> Result<(), LedgerError> {
        let mut version = self.version.clone();
        match cap {
            Some(cap) => drop(version.row_caps.insert(table.to_owned(), cap)),
            None => drop(version.row_caps.remove(table)),
        }
        self.write_version(version)
    }

    pub(super) fn write_version(&mut self, version: VersionFile) -> Result<(), LedgerError> {
        if version != self.version {
            write_json(&self.store, VERSION_FILE, &version)?;
            self.version = version;
        }
        Ok(())
    }

    /// Removes a partition's file and its record.
    pub fn prune(&mut self, table: &str, date: NaiveDate) -> Result<(), LedgerError> {
        self.store.remove(&partition_path(table, date))?;
        let removed = self.partitions.get_mut(table).and_then(|days| days.remove(&date));
        match removed {
            Some(record) => self.write_month(&record.month_file(), table, date),
            None => Ok(()),
        }
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

    /// Whether the partition's file is where its record says, with the size it says.
    pub fn is_live(&self, record: &PartitionRecord) -> Result<bool, LedgerError> {
        Ok(self.store.size(&record.path())? == Some(record.bytes))
    }

    /// Writes the record of a run, at its start and at its end.
    pub fn record_run(&mut self, run: RunRecord) -> Result<(), LedgerError> {
        write_json(&self.store, &format!("{RUNS_FOLDER}/{}.json", run.run_id), &run)?;
        self.runs.insert(run.run_id.clone(), run);
        Ok(())
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

    /// Records of a publication under way, or of one that was interrupted; none if the file is damaged.
    pub(super) fn pending(&self) -> Result<Vec<PartitionRecord>, LedgerError> {
        let Some(content) = self.store.get(PENDING_FILE)? else { return Ok(Vec::new()) };
        Ok(unseal::<PendingFile>(&content).unwrap_or_default().partitions)
    }

    /// Files of the ledger beside the records that cannot be read or are lost, so that the next run would stop at them.
    pub fn damaged_files(&self) -> Result<Vec<String>, LedgerError> {
        let version = read_json::<VersionFile>(&self.store, VERSION_FILE).map(drop);
        let pending = read_json::<PendingFile>(&self.store, PENDING_FILE).map(drop);
        let mut damaged = Vec::new();
        if self.store.size(VERSION_FILE)?.is_none() && !DataFiles::list(&self.store)?.partitions.is_empty() {
            damaged.push(VERSION_FILE.to_owned());
        }
        for read in [version, pending] {
            match read {
                Ok(()) => {}
                Err(LedgerError::Damaged { file, .. }) => damaged.push(file),
                Err(error) => return Err(error),
            }
        }
        damaged.extend(self.unreadable_runs.iter().map(|run_id| format!("{RUNS_FOLDER}/{run_id}.json")));
        Ok(damaged)
    }
}

/// Every partitions file, with its table. What other programs leave in folders (`.DS_Store`) is not ours.
pub(super) fn month_files(store: &Store) -> Result<Vec<(String, String)>, LedgerError> {
    let mut files = Vec::new();
    for table in store.list(PARTITIONS_FOLDER)?.into_iter().filter(|name| !name.contains('.')) {
        let months = store.list(&format!("{PARTITIONS_FOLDER}/{table}"))?;
        let ours = months.into_iter().filter(|name| is_ledger_file(name));
        files.extend(ours.map(|month| (table.clone(), format!("{PARTITIONS_FOLDER}/{table}/{month}"))));
    }
    Ok(files)
}

/// Every run's file, with its identifier.
pub(super) fn run_files(store: &Store) -> Result<Vec<(String, String)>, LedgerError> {
    let names = store.list(RUNS_FOLDER)?.into_iter().filter(|name| is_ledger_file(name));
    let files = names.map(|name| (name.trim_end_matches(".json").to_owned(), format!("{RUNS_FOLDER}/{name}")));
    Ok(files.collect())
}

fn is_ledger_file(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|stem| !stem.starts_with('.'))
}

fn read_json<T: serde::de::DeserializeOwned>(store: &Store, file: &str) -> Result<Option<T>, LedgerError> {
    let Some(content) = store.get(file)? else { return Ok(None) };
    unseal(&content).map(Some).map_err(|damage| LedgerError::damaged(file, damage))
}

/// Whether there is a ledger that this program may write. One that is lost is refused: its version file is written before
/// anything else, so without it there was never a run, or it was lost with the rest.
fn is_begun(store: &Store) -> Result<bool, LedgerError> {
    refuse_newer(store)?;
    if read_json::<VersionFile>(store, VERSION_FILE)?.is_some() {
        return Ok(true);
    }
    match DataFiles::list(store)?.partitions.len() {
        0 => Ok(false),
        partitions => Err(LedgerError::Lost { folder: store.root().display().to_string(), partitions }),
    }
}

/// Refuses a ledger of which any file says that a newer program wrote it.
fn refuse_newer(store: &Store) -> Result<(), LedgerError> {
    let months = month_files(store)?.into_iter().map(|(_, file)| file);
    for file in [VERSION_FILE, PENDING_FILE].map(str::to_owned).into_iter().chain(months) {
        if let Some(found) = store.get(&file)?.as_deref().and_then(newer_version) {
            return Err(LedgerError::Newer { found });
        }
    }
    Ok(())
}

pub(super) fn write_json<T: Serialize>(store: &Store, file: &str, value: &T) -> Result<(), LedgerError> {
    let content = seal(value).map_err(|error| LedgerError::damaged(file, error))?;
    Ok(store.put(file, &content)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use std::io::Write;

    fn record(date: &str, run_id: &str, sha256: &str, clicks: &str) -> PartitionRecord {
        PartitionRecord {
            table: "t".to_owned(),
            date: date.parse().expect("a date"),
            rows: 1,
            bytes: 1,
            sha256: sha256.to_owned(),
            sums: [("clicks".to_owned(), clicks.to_owned())].into(),
            run_id: run_id.to_owned(),
            pulled_at: DateTime::UNIX_EPOCH,
            calls: 1,
            status: PartitionStatus::Provisional,
            advertisers: None,
            retained_advertisers: Vec::new(),
            schema_version: None,
            currency: None,
            timezone: None,
            confirmed_at: None,
            without_advertisers: Vec::new(),
            reconciliation: None,
            differences: Vec::new(),
            history: Vec::new(),
        }
    }

    fn run(run_id: &str, outcome: RunOutcome) -> RunRecord {
        RunRecord {
            format_version: FORMAT_VERSION,
            run_id: run_id.to_owned(),
            command: "backfill".to_owned(),
            parameters: BTreeMap::new(),
            resume_key: "k".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: None,
            outcome,
            calls: BTreeMap::new(),
            retries: 0,
            waited_secs: 0.0,
            partitions: 0,
            errors: Vec::new(),
        }
    }

    fn staged(store: &Store, content: &str) -> Staged {
        let mut staged = store.stage().expect("staged");
        staged.write_all(content.as_bytes()).expect("written");
        staged
    }

    fn output() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(folder.path()).expect("an output folder");
        (folder, store)
    }

    #[test]
    fn an_output_has_an_identity_from_the_start_and_the_currency_and_time_zone_of_its_first_partition() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        let id = ledger.output_id().to_owned();
        assert!(!id.is_empty());
        assert_eq!((ledger.currency(), ledger.timezone()), (None, None));
        for (date, currency, zone) in [("2026-11-01", "EUR", "Europe/Paris"), ("2026-11-02", "USD", "UTC")] {
            let (currency, timezone) = (Some(currency.to_owned()), Some(zone.to_owned()));
            let record = PartitionRecord { currency, timezone, ..record(date, "r1", "x", "1") };
            ledger.publish(vec![(staged(&store, "x"), record)]).expect("published");
        }
        ledger.set_row_cap("t", Some(3777)).expect("written");
        let again = Ledger::open(&store).expect("readable");
        assert_eq!((again.output_id(), again.currency(), again.timezone()), (&*id, Some("EUR"), Some("Europe/Paris")));
        assert_eq!(again.row_cap("t"), Some(3777));
    }

    #[test]
    fn a_ledger_of_an_older_program_gets_an_identity_and_its_runs_say_its_currency() {
        let (_folder, store) = output();
        let parameters = [("currency", "EUR"), ("timezone", "UTC")];
        let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        write_json(&store, VERSION_FILE, &serde_json::json!({"format_version": 1})).expect("written");
        let mut ledger = Ledger::open(&store).expect("readable");
        let id = ledger.output_id().to_owned();
        assert!(!id.is_empty());
        ledger.record_run(RunRecord { parameters, ..run("r1", RunOutcome::Ok) }).expect("written");
        ledger.publish(vec![(staged(&store, "x"), record("2026-11-01", "r1", "x", "1"))]).expect("published");
        let again = Ledger::open(&store).expect("readable");
        assert_eq!((again.output_id(), again.currency(), again.timezone()), (&*id, Some("EUR"), Some("UTC")));
    }

    #[test]
    fn a_changed_sum_is_kept_as_history_and_an_unchanged_one_is_not() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        for (run, clicks) in [("r1", "10"), ("r2", "10"), ("r3", "12")] {
            ledger.publish(vec![(staged(&store, clicks), record("2026-11-01", run, "x", clicks))]).expect("published");
        }
        let reread = Ledger::read(&store).expect("readable");
        let history = &reread.partition("t", "2026-11-01".parse().expect("a date")).expect("recorded").history;
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].run_id, "r2");
        assert_eq!(history[0].sums["clicks"], "10");
    }

    #[test]
    fn after_a_crash_between_rename_and_record_the_next_run_records_what_is_live() {
        let (_folder, store) = output();
        drop(Ledger::open(&store).expect("an empty ledger"));
        let live = staged(&store, "new");
        let records =
            [record("2026-11-01", "r1", &live.checksum(), "1"), record("2026-11-02", "r1", "never renamed", "1")];
        let pending = PendingFile { format_version: FORMAT_VERSION, partitions: records.to_vec() };
        write_json(&store, PENDING_FILE, &pending).expect("written");
        store.publish(live, &records[0].path()).expect("published");
        let ledger = Ledger::open(&store).expect("readable");
        assert_eq!(ledger.partitions("t").map(|record| record.date).collect::<Vec<_>>(), [records[0].date]);
        assert_eq!(store.get(PENDING_FILE).expect("readable"), None);
    }

    #[test]
    fn a_publication_that_broke_off_is_settled_before_the_next_one_of_the_same_run() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        let file = |day: &str, content: &str| {
            let staged = staged(&store, content);
            let record = record(day, "r1", &staged.checksum(), "1");
            (staged, record)
        };
        // The second file of the first publication cannot be put in place; the first one already is.
        std::fs::create_dir_all(store.path("t/dt=2026-11-02/data.parquet/in the way")).expect("a folder");
        ledger.publish(vec![file("2026-11-01", "a"), file("2026-11-02", "b")]).expect_err("in the way");
        ledger.publish(vec![file("2026-11-03", "c")]).expect("published");
        let dates = |ledger: &Ledger| ledger.partitions("t").map(|record| record.date.to_string()).collect::<Vec<_>>();
        assert_eq!(dates(&ledger), ["2026-11-01", "2026-11-03"]);
        assert_eq!(dates(&Ledger::read(&store).expect("readable")), ["2026-11-01", "2026-11-03"]);
        assert_eq!(store.get(PENDING_FILE).expect("readable"), None);
    }

    #[test]
    fn a_newer_ledger_is_read_but_not_written() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        ledger.publish(vec![(staged(&store, "x"), record("2026-11-01", "r1", "x", "1"))]).expect("published");
        let month = "_ledger/partitions/t/2026-11.json";
        for file in [VERSION_FILE, month, PENDING_FILE] {
            let old = store.get(file).expect("readable");
            let content = old.clone().unwrap_or_else(|| b"{\"format_version\": 1, \"partitions\": []}".to_vec());
            let mut newer: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
            newer["format_version"] = 99.into();
            newer["new_field"] = true.into();
            newer.as_object_mut().expect("an object").remove("checksum");
            for content in [seal(&newer).expect("sealed"), serde_json::to_vec(&newer).expect("JSON")] {
                store.put(file, &content).expect("written");
                let read = Ledger::read(&store).expect("readable");
                assert_eq!(read.partitions("t").count(), 1, "{file}");
                let error = Ledger::open(&store).expect_err("newer");
                assert!(matches!(error, LedgerError::Newer { found: 99 }), "{file}: {error}");
                assert!(error.code().remedy().contains("use the newer"), "{error}");
                assert_eq!(store.get(file).expect("readable"), Some(content), "{file}");
            }
            match old {
                Some(old) => store.put(file, &old).expect("written"),
                None => store.remove(file).expect("removed"),
            }
        }
        Ledger::open(&store).expect("as it was");
    }

    #[test]
    fn a_ledger_file_cut_anywhere_or_with_any_bit_flipped_is_not_written_over_as_if_it_were_sound() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        ledger.publish(vec![(staged(&store, "x"), record("2026-11-01", "r1", "x", "1"))]).expect("published");
        let pending = PendingFile { format_version: FORMAT_VERSION, partitions: Vec::new() };
        write_json(&store, PENDING_FILE, &pending).expect("written");
        for file in [VERSION_FILE, PENDING_FILE, "_ledger/partitions/t/2026-11.json"] {
            let sound = store.get(file).expect("readable").expect("a file");
            let mut broken: Vec<Vec<u8>> = (0..sound.len()).map(|end| sound[..end].to_vec()).collect();
            for at in 0..sound.len() {
                for bit in 0..8 {
                    let mut flipped = sound.clone();
                    flipped[at] ^= 1 << bit;
                    broken.push(flipped);
                }
            }
            for content in broken {
                std::fs::write(store.path(file), &content).expect("written");
                let error = Ledger::open(&store).map(drop).expect_err(file);
                let said = crate::notice::error_chain(&error);
                // A version that became a higher number is a newer program's, to all appearance.
                let is_newer = matches!(error, LedgerError::Newer { .. });
                assert!(is_newer || (says_how_to_rebuild(&error) && said.contains(file)), "{said}");
            }
            store.put(file, &sound).expect("written");
        }
        assert_eq!(Ledger::open(&store).expect("as it was").partitions("t").count(), 1);
    }

    fn says_how_to_rebuild(error: &LedgerError) -> bool {
        error.code().remedy().contains("status --rebuild")
    }

    #[test]
    fn data_without_a_ledger_is_not_taken_for_a_first_run() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        ledger.publish(vec![(staged(&store, "x"), record("2026-11-01", "r1", "x", "1"))]).expect("published");
        store.remove(VERSION_FILE).expect("removed");
        let error = Ledger::open(&store).expect_err("lost");
        assert!(error.to_string().contains("1 partitions") && says_how_to_rebuild(&error), "{error}");
        assert_eq!(Ledger::read(&store).expect("readable").damaged_files().expect("readable"), [VERSION_FILE]);
    }

    #[test]
    fn a_damaged_ledger_says_how_to_rebuild_it() {
        let (_folder, store) = output();
        store.put("_ledger/partitions/t/2026-11.json", b"{\"format").expect("written");
        let error = Ledger::open(&store).expect_err("damaged");
        assert!(says_how_to_rebuild(&error), "{error}");
    }

    #[test]
    fn a_backfill_continues_from_runs_since_the_last_that_ended_well() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        let outcomes = [RunOutcome::Running, RunOutcome::Ok, RunOutcome::Partial, RunOutcome::Running];
        for (number, outcome) in outcomes.into_iter().enumerate() {
            ledger.record_run(run(&format!("r{number}"), outcome)).expect("written");
        }
        assert_eq!(ledger.unfinished_runs("k"), ["r3", "r2"]);
        assert_eq!(ledger.unfinished_runs("other"), Vec::<String>::new());
    }

    #[test]
    fn a_damaged_run_record_stops_no_run_but_nothing_older_is_continued() {
        let (_folder, store) = output();
        let mut ledger = Ledger::open(&store).expect("an empty ledger");
        for run_id in ["r1", "r2", "r3"] {
            ledger.record_run(run(run_id, RunOutcome::Partial)).expect("written");
        }
        assert_eq!(ledger.unfinished_runs("k"), ["r3", "r2", "r1"]);
        store.put("_ledger/runs/r2.json", b"{").expect("written");
        store.put("_ledger/runs/.DS_Store", b"x").expect("written");
        store.put("_ledger/partitions/.DS_Store", b"x").expect("written");
        let ledger = Ledger::open(&store).expect("usable");
        assert_eq!(ledger.unfinished_runs("k"), ["r3"]);
        assert_eq!(ledger.damaged_files().expect("readable"), ["_ledger/runs/r2.json"]);
    }

    #[test]
    fn every_damage_that_stops_a_run_says_how_to_rebuild() {
        for file in [VERSION_FILE, PENDING_FILE, "_ledger/partitions/t/2026-11.json"] {
            for content in [&b"{\"format"[..], b"", b"\x00\x00\x00", b"{\"format_version\":\"x\"}"] {
                let (_folder, store) = output();
                store.put(file, content).expect("written");
                let error = Ledger::open(&store).expect_err("damaged");
                assert!(says_how_to_rebuild(&error), "{file}: {error}");
            }
        }
    }
}
