//! The ledger from the files: for an output whose ledger was lost or damaged. Only the holder of the run lock may.
//!
//! A record that can still be read and whose file has the checksum it says is kept as it is. For every other file the
//! record is made anew from the file: size, checksum, rows, sums of the additive columns, and what its footer says of
//! run, time, date and advertisers left out. What no file knows is lost: the history of restatements and where sums
//! were not Criteo's totals.
//!
//! It never touches a data file, and no file of the ledger goes without a copy in `_ledger/damaged`. A file that is not
//! ours, or cannot be read, is reported and gets no record. A file whose record is known but whose content is not what
//! that very run wrote is damaged: it is not recorded as if it were sound.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::catalog::{RereadAges, Table};
use crate::dates::today;
use crate::ledger::{
    Change, FORMAT_VERSION, LOST_RUNS, Ledger, LedgerError, LedgerFiles, PENDING_FILE, PartitionRecord,
    PartitionStatus, RUNS_FOLDER, RunOutcome, RunRecord, VERSION_FILE, VersionFile, newer_version, partition_path,
    unseal,
};
use crate::notice::error_chain;
use crate::output::{Inventory, OutputError, carry_out, read_files};
use crate::store::{Key, Store, checksum};
use crate::table::footer::{self, Footer};
use crate::table::parquet::rows_checksum;

const DAMAGED_FOLDER: &str = "_ledger/damaged";

/// What a rebuild has to know besides the files.
pub struct Rebuild<'r> {
    /// The output.
    pub store: &'r Store,
    /// Identifier of this rebuild, which is recorded as a run.
    pub run_id: &'r str,
    /// Now.
    pub now: DateTime<Utc>,
    /// Tables of the catalogue and the configuration, for additive columns and look-backs.
    pub tables: &'r [Table],
    /// Today, in the report time zone.
    pub as_of: NaiveDate,
    /// The report time zone.
    pub timezone: Tz,
    /// Look-back of tables that have none of their own.
    pub lookback_days: u32,
}

/// A partition or path that got no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Where, below the output.
    pub path: String,
    /// Why, and what to do.
    pub message: String,
    /// Whether data is missing now; otherwise the path was never ours.
    pub is_loss: bool,
}

/// What a rebuild did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Partitions whose record was kept as it was.
    pub kept: u64,
    /// Partitions whose record was made from the file, by table.
    pub reconstructed: BTreeMap<String, u64>,
    /// Runs whose record was kept.
    pub runs: u64,
    /// Copies of the damaged files that were replaced.
    pub moved_aside: Vec<String>,
    /// What got no record.
    pub dropped: Vec<Dropped>,
}

impl Rebuild<'_> {
    /// Rebuilds the ledger, records that it did, and returns it with what was done.
    pub async fn run(&self) -> Result<(Ledger, Rebuilt), OutputError> {
        let salvage = Salvage::of(&read_files(self.store).await?)?;
        let mut rebuilt = Rebuilt { runs: salvage.runs.len() as u64, ..Rebuilt::default() };
        let files = Inventory::of_all(self.store).await?;
        let (mut records, mut output_id) = (Vec::new(), None);
        for (table, date) in
            files.partitions.iter().flat_map(|(table, days)| days.keys().map(move |date| (table, *date)))
        {
            match self.record(table, date, &salvage, &mut rebuilt, &mut output_id).await? {
                Ok(record) => records.push(record),
                Err(dropped) => rebuilt.dropped.push(dropped),
            }
        }
        let is_there = |(table, date): &(String, NaiveDate)| {
            files.partitions.get(table).is_some_and(|days| days.contains_key(date))
        };
        let lost = salvage.records.keys().filter(|partition| !is_there(partition));
        rebuilt.dropped.extend(lost.map(|(table, date)| Dropped {
            path: partition_path(table, *date),
            message: "was recorded, but there is no file: the next pull fetches it if it is due".to_owned(),
            is_loss: true,
        }));
        rebuilt.dropped.extend(files.unexpected.into_iter().map(|file| Dropped {
            path: file.path,
            message: "not written by this program; a loader that reads the folder reads it too".to_owned(),
            is_loss: false,
        }));
        rebuilt.moved_aside = salvage.move_aside(self.store, self.run_id).await?;
        let mut ledger = Ledger::of_records(records, salvage.runs.clone());
        let version = salvage.version.clone().unwrap_or_default();
        let replaced = ledger.replacement(&salvage.old_files(), version.completed(output_id, &ledger));
        carry_out(self.store, &replaced, Vec::new()).await?;
        ledger.apply(replaced);
        let recorded = ledger.prepare(Change::Run(self.run_record(&salvage, &rebuilt)));
        carry_out(self.store, &recorded, Vec::new()).await?;
        ledger.apply(recorded);
        Ok((ledger, rebuilt))
    }

    /// The record of one file: the one that was kept, or one made from the file.
    async fn record(
        &self,
        table: &str,
        date: NaiveDate,
        salvage: &Salvage,
        rebuilt: &mut Rebuilt,
        output_id: &mut Option<String>,
    ) -> Result<Result<PartitionRecord, Dropped>, OutputError> {
        let path = partition_path(table, date);
        let content = match Key::new(&path) {
            Ok(key) => self.store.get(&key).await?,
            Err(_) => None,
        };
        let content = content.unwrap_or_default();
        let of_file = || Footer::read(content.clone()).ok()?.get(footer::OUTPUT_ID).map(str::to_owned);
        *output_id = output_id.take().or_else(of_file);
        let sha256 = checksum(&content);
        let file = LiveFile { table, date, path, sha256, content };
        let known = salvage.records.get(&(table.to_owned(), date)).map_or(&[][..], Vec::as_slice);
        if let Some(record) = known.iter().rfind(|record| record.sha256 == file.sha256) {
            rebuilt.kept += 1;
            return Ok(Ok(record.clone()));
        }
        let made = self.reconstruct(file, known, salvage);
        if made.is_ok() {
            *rebuilt.reconstructed.entry(table.to_owned()).or_default() += 1;
        }
        Ok(made)
    }

    /// A record made from the file; what was known of the partition before becomes its history.
    fn reconstruct(
        &self,
        file: LiveFile<'_>,
        known: &[PartitionRecord],
        salvage: &Salvage,
    ) -> Result<PartitionRecord, Dropped> {
        let LiveFile { table, date, path, sha256, content } = file;
        let lost = |what: &str| {
            let message = format!("{what}: {}", self.fetch_again(table, date));
            Dropped { path: path.clone(), message, is_loss: true }
        };
        let (footer, sums) =
            Footer::read_all(content.clone(), &self.summed(table)).map_err(|error| lost(&error_chain(&error)))?;
        let provenance = Provenance::of(&footer, table).map_err(|message| Dropped {
            path: path.clone(),
            message,
            is_loss: false,
        })?;
        let written = (provenance.run_id.as_str(), provenance.pulled_at);
        if known.iter().any(|record| (record.run_id.as_str(), record.pulled_at) == written) {
            return Err(lost("the content is not what was written"));
        }
        let record = PartitionRecord {
            table: table.to_owned(),
            date,
            rows: footer.rows,
            bytes: content.len() as u64,
            sha256,
            sums,
            status: self.status(table, date, &provenance, salvage),
            run_id: provenance.run_id,
            pulled_at: provenance.pulled_at,
            calls: provenance.calls,
            advertisers: provenance.advertisers,
            retained_advertisers: provenance.retained_advertisers,
            schema_version: provenance.schema_version,
            currency: provenance.currency,
            timezone: provenance.timezone,
            confirmed_at: None,
            confirmed_by: None,
            advertiser_counts: BTreeMap::new(),
            rows_sha256: rows_checksum(&content),
            without_advertisers: provenance.without_advertisers,
            reconciliation: None,
            differences: Vec::new(),
            history: Vec::new(),
        };
        Ok(match known.last() {
            Some(before) => record.after(before),
            None => record,
        })
    }

    fn fetch_again(&self, table: &str, date: NaiveDate) -> String {
        if self.table(table).is_some_and(|table| !table.is_report()) {
            return "the past cannot be requested; restore it from a copy, or remove it".to_owned();
        }
        format!("run `criteo-source backfill --from {date} --to {date} --tables {table} --force`")
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Names of the columns that are added up: those of a report, as when it is pulled.
    fn summed(&self, table: &str) -> Vec<&str> {
        let table = self.table(table).filter(|table| table.is_report());
        table.into_iter().flat_map(Table::summed_columns).map(|column| column.name.as_str()).collect()
    }

    /// Provisional where the day was still within the look-back when it was pulled. Where neither the file nor a run
    /// says what was today then, the earlier of now and the time of the pull is taken: rather provisional than final.
    fn status(&self, name: &str, date: NaiveDate, provenance: &Provenance, salvage: &Salvage) -> PartitionStatus {
        let table = self.table(name);
        if table.is_some_and(|table| !table.is_report()) {
            return PartitionStatus::Final;
        }
        let run_date = || salvage.runs.get(&provenance.run_id)?.parameters.get("as_of")?.parse().ok();
        let pulled_on = || today(provenance.pulled_at, self.timezone).min(self.as_of);
        let as_of = provenance.as_of.or_else(run_date).unwrap_or_else(pulled_on);
        let reread_ages = match table {
            Some(table) => table.reread_ages(self.lookback_days),
            None => RereadAges::up_to(self.lookback_days),
        };
        let is_provisional = reread_ages.is_provisional(date, as_of);
        if is_provisional { PartitionStatus::Provisional } else { PartitionStatus::Final }
    }

    fn run_record(&self, salvage: &Salvage, rebuilt: &Rebuilt) -> RunRecord {
        let mut parameters = BTreeMap::from([("as_of".to_owned(), self.as_of.to_string())]);
        if !salvage.lost_runs.is_empty() {
            parameters.insert(LOST_RUNS.to_owned(), salvage.lost_runs.join(","));
        }
        let errors: Vec<String> = rebuilt
            .dropped
            .iter()
            .filter(|dropped| dropped.is_loss)
            .map(|dropped| format!("`{}`: {}", dropped.path, dropped.message))
            .collect();
        RunRecord {
            format_version: FORMAT_VERSION,
            run_id: self.run_id.to_owned(),
            command: "status --rebuild".to_owned(),
            parameters,
            resume_key: String::new(),
            started_at: self.now,
            finished_at: Some(self.now),
            outcome: if errors.is_empty() { RunOutcome::Ok } else { RunOutcome::Partial },
            calls: BTreeMap::new(),
            retries: 0,
            waited_secs: 0.0,
            partitions: rebuilt.reconstructed.values().sum(),
            errors,
        }
    }
}

/// A data file.
struct LiveFile<'f> {
    table: &'f str,
    date: NaiveDate,
    path: String,
    sha256: String,
    content: Bytes,
}

/// What a footer says, as far as a record needs it.
struct Provenance {
    run_id: String,
    pulled_at: DateTime<Utc>,
    as_of: Option<NaiveDate>,
    calls: u64,
    advertisers: Option<Vec<String>>,
    retained_advertisers: Vec<String>,
    schema_version: Option<String>,
    currency: Option<String>,
    timezone: Option<String>,
    without_advertisers: Vec<String>,
}

impl Provenance {
    /// Fails, saying why, for a file that this program did not write, or not for this table.
    fn of(footer: &Footer, table: &str) -> Result<Self, String> {
        let written_for = footer.get(footer::TABLE).ok_or("not written by this program: move it away")?;
        if written_for != table {
            return Err(format!("was written for the table `{written_for}`: move it back there"));
        }
        let pulled_at = footer.get(footer::PULLED_AT).and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let (Some(run_id), Some(pulled_at)) = (footer.get(footer::RUN_ID), pulled_at) else {
            return Err("its footer does not say which run wrote it when: move it away".to_owned());
        };
        let text = |key: &str| footer.get(key).map(str::to_owned);
        let list = |key: &str| {
            let ids = footer.get(key)?.split(',').filter(|id| !id.is_empty());
            Some(ids.map(str::to_owned).collect::<Vec<_>>())
        };
        Ok(Self {
            run_id: run_id.to_owned(),
            pulled_at: pulled_at.with_timezone(&Utc),
            as_of: footer.get(footer::AS_OF).and_then(|date| date.parse().ok()),
            calls: footer.get(footer::CALLS).and_then(|calls| calls.parse().ok()).unwrap_or(0),
            advertisers: list(footer::ADVERTISERS),
            retained_advertisers: list(footer::RETAINED_ADVERTISERS).unwrap_or_default(),
            schema_version: text(footer::SCHEMA_VERSION),
            currency: text(footer::CURRENCY),
            timezone: text(footer::TIMEZONE),
            without_advertisers: list(footer::WITHOUT_ADVERTISERS).unwrap_or_default(),
        })
    }
}

/// What of the old ledger can be read.
#[derive(Default)]
struct Salvage {
    /// What is known of each partition: the recorded, then the pending.
    records: BTreeMap<(String, NaiveDate), Vec<PartitionRecord>>,
    runs: BTreeMap<String, RunRecord>,
    version: Option<VersionFile>,
    month_files: Vec<String>,
    lost_runs: Vec<String>,
    /// Path and content of what cannot be read.
    damaged: Vec<(String, Bytes)>,
}

/// A partitions file.
#[derive(Deserialize)]
struct KnownPartitions {
    partitions: BTreeMap<NaiveDate, PartitionRecord>,
}

/// `pending.json`.
#[derive(Deserialize)]
struct PendingPartitions {
    partitions: Vec<PartitionRecord>,
}

/// A partitions file of which some records cannot be read.
#[derive(Deserialize)]
struct TornPartitions {
    partitions: BTreeMap<String, serde_json::Value>,
}

impl Salvage {
    fn of(files: &LedgerFiles) -> Result<Self, LedgerError> {
        let mut salvage = Self::default();
        salvage.version = salvage.parse(files, VERSION_FILE)?;
        for file in files.month_files() {
            match salvage.parse::<KnownPartitions>(files, file)? {
                Some(content) => content.partitions.into_values().for_each(|record| salvage.add(record)),
                None => salvage.add_torn(),
            }
            salvage.month_files.push(file.to_owned());
        }
        if let Some(pending) = salvage.parse::<PendingPartitions>(files, PENDING_FILE)? {
            pending.partitions.into_iter().for_each(|record| salvage.add(record));
        }
        for (run_id, file) in files.run_files() {
            match salvage.parse::<RunRecord>(files, file)? {
                Some(run) => drop(salvage.runs.insert(run.run_id.clone(), run)),
                None => salvage.lost_runs.push(run_id.to_owned()),
            }
        }
        Ok(salvage)
    }

    /// Files of the old ledger that go where the new one has none of this name.
    fn old_files(&self) -> Vec<String> {
        let runs = self.lost_runs.iter().map(|run_id| format!("{RUNS_FOLDER}/{run_id}.json"));
        self.month_files.iter().cloned().chain(runs).collect()
    }

    fn add(&mut self, record: PartitionRecord) {
        self.records.entry((record.table.clone(), record.date)).or_default().push(record);
    }

    /// Takes what can be read of the file that was found damaged last: records that are not what this program knows
    /// do not cost the others. Of a file that is not as it was written, nothing is believed.
    fn add_torn(&mut self) {
        let torn = self.damaged.last().and_then(|(_, content)| unseal::<TornPartitions>(content).ok());
        let values = torn.into_iter().flat_map(|torn| torn.partitions.into_values());
        let records: Vec<PartitionRecord> = values.filter_map(|value| serde_json::from_value(value).ok()).collect();
        for record in records {
            self.add(record);
        }
    }

    /// What a file says, or `None` after noting that it is damaged; what a newer program wrote is refused.
    fn parse<T: serde::de::DeserializeOwned>(
        &mut self,
        files: &LedgerFiles,
        file: &str,
    ) -> Result<Option<T>, LedgerError> {
        let Some(content) = files.get(file) else { return Ok(None) };
        if let Some(found) = newer_version(content) {
            return Err(LedgerError::Newer { found });
        }
        let parsed = unseal(content).ok();
        if parsed.is_none() {
            self.damaged.push((file.to_owned(), content.clone()));
        }
        Ok(parsed)
    }

    /// Copies what is damaged to where nobody stumbles over it; the originals are replaced or removed afterwards.
    async fn move_aside(&self, store: &Store, run_id: &str) -> Result<Vec<String>, OutputError> {
        let mut copies = Vec::new();
        for (file, content) in &self.damaged {
            let copy = format!("{DAMAGED_FOLDER}/{run_id}/{}", file.trim_start_matches("_ledger/"));
            if let Ok(key) = Key::new(&copy) {
                store.put(&key, content.clone()).await?;
                copies.push(copy);
            }
        }
        Ok(copies)
    }
}
