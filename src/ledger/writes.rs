//! From a change to the writes it needs, in the order that makes them safe: a run that is killed between any two of them leaves
//! every partition old or new, and a ledger that the next run can settle.
//!
//! Publishing writes `pending.json` first, then replaces the files, then the records, and removes `pending.json`. The writes of
//! one step may happen in any order or at once; a step begins when the one before it is done.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::NaiveDate;
use serde::Serialize;

use super::book::Ledger;
use super::records::{
    FORMAT_VERSION, PENDING_FILE, PartitionRecord, PartitionsFile, PendingFile, RUNS_FOLDER, RunRecord, VERSION_FILE,
    VersionFile, month_file, partition_path,
};
use super::sealed::seal;

/// Something that changes an output.
#[derive(Clone, Debug)]
pub enum Change {
    /// A run begins: from now on the output has an identity.
    Begin,
    /// New files with their records.
    Publish(Vec<PartitionRecord>),
    /// Other records of files that stay as they are.
    Amend(Vec<PartitionRecord>),
    /// A file goes, with its record.
    Remove {
        /// Table.
        table: String,
        /// Day.
        date: NaiveDate,
    },
    /// A run's record, at its start or its end.
    Run(RunRecord),
    /// Rows at which Criteo was proven to cut a table's answers; `None` forgets it.
    RowCap {
        /// Table.
        table: String,
        /// Rows.
        cap: Option<u64>,
    },
    /// The records of a publication that broke off whose files are live.
    Settle(Vec<PartitionRecord>),
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A file of the ledger with this content.
    Put(String, Bytes),
    /// The file that was staged for the record at this place of [`Change::Publish`].
    Publish(String, usize),
    /// A file that goes.
    Remove(String),
}

/// What a change needs, and what it makes of the ledger.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The writes: each step when the one before it is done.
    pub steps: Vec<Vec<Write>>,
    effects: Vec<Effect>,
}

#[derive(Clone, Debug)]
enum Effect {
    Partition(Box<PartitionRecord>, IsNew),
    Removed(String, NaiveDate),
    Run(RunRecord),
    Version(VersionFile),
}

type IsNew = bool;
type Changes = BTreeMap<(String, NaiveDate), Option<PartitionRecord>>;

fn put<T: Serialize>(name: &str, value: &T) -> Write {
    Write::Put(name.to_owned(), Bytes::from(seal(value).expect("a ledger file serializes")))
}

/// The step that ends a publication; where requests cost, the next publication may write over `pending.json` instead.
pub fn tidy() -> Vec<Write> {
    vec![Write::Remove(PENDING_FILE.to_owned())]
}

impl Ledger {
    /// What a change needs and does; nothing has changed yet.
    pub fn prepare(&self, change: Change) -> Prepared {
        match change {
            Change::Begin => self.version_change(self.version_with(None)),
            Change::Publish(records) => self.publication(records),
            Change::Amend(records) => self.amendment(records),
            Change::Remove { table, date } => {
                let changes = Changes::from([((table.clone(), date), None)]);
                let file = vec![Write::Remove(partition_path(&table, date))];
                let steps = vec![file, self.months(&changes)];
                Prepared { steps, effects: vec![Effect::Removed(table, date)] }
            }
            Change::Run(run) => {
                let steps = vec![vec![put(&format!("{RUNS_FOLDER}/{}.json", run.run_id), &run)]];
                Prepared { steps, effects: vec![Effect::Run(run)] }
            }
            Change::RowCap { table, cap } => {
                let mut version = self.version_with(None);
                match cap {
                    Some(cap) => drop(version.row_caps.insert(table, cap)),
                    None => drop(version.row_caps.remove(&table)),
                }
                self.version_change(version)
            }
            Change::Settle(records) => {
                let mut prepared = self.amendment(records);
                prepared.steps.push(tidy());
                prepared
            }
        }
    }

    /// What a change that was written has made of the ledger.
    pub fn apply(&mut self, prepared: Prepared) {
        for effect in prepared.effects {
            match effect {
                Effect::Partition(record, is_new) => {
                    if is_new {
                        self.observe_one(&record.table, record.date, Some(record.bytes));
                    }
                    self.insert(*record);
                }
                Effect::Removed(table, date) => {
                    self.observe_one(&table, date, None);
                    if let Some(days) = self.partitions.get_mut(&table) {
                        days.remove(&date);
                    }
                }
                Effect::Run(run) => drop(self.runs.insert(run.run_id.clone(), run)),
                Effect::Version(version) => self.version = version,
            }
        }
    }

    fn version_change(&self, version: VersionFile) -> Prepared {
        if version == self.version {
            return Prepared { steps: Vec::new(), effects: Vec::new() };
        }
        Prepared { steps: vec![vec![put(VERSION_FILE, &version)]], effects: vec![Effect::Version(version)] }
    }

    fn publication(&self, records: Vec<PartitionRecord>) -> Prepared {
        let Prepared { mut steps, mut effects } = self.version_change(self.version_with(records.first()));
        let records: Vec<PartitionRecord> = records.into_iter().map(|record| self.with_history(record)).collect();
        steps.push(vec![put(
            PENDING_FILE,
            &PendingFile { format_version: FORMAT_VERSION, partitions: records.clone() },
        )]);
        let files = records.iter().enumerate().map(|(position, record)| Write::Publish(record.path(), position));
        steps.push(files.collect());
        steps.push(self.months(&changes(&records)));
        effects.extend(records.into_iter().map(|record| Effect::Partition(Box::new(record), true)));
        Prepared { steps, effects }
    }

    fn amendment(&self, records: Vec<PartitionRecord>) -> Prepared {
        let steps = vec![self.months(&changes(&records))];
        Prepared {
            steps,
            effects: records.into_iter().map(|record| Effect::Partition(Box::new(record), false)).collect(),
        }
    }

    /// Carries over the history of the partition being replaced, and adds to it if the numbers changed.
    fn with_history(&self, record: PartitionRecord) -> PartitionRecord {
        match self.partition(&record.table, record.date) {
            Some(before) => record.after(before),
            None => record,
        }
    }

    /// Every partitions file that changes touch.
    fn months(&self, changes: &Changes) -> Vec<Write> {
        let touched: BTreeMap<String, &(String, NaiveDate)> =
            changes.keys().map(|partition| (month_file(&partition.0, partition.1), partition)).collect();
        let each = touched.into_iter().map(|(file, (table, date))| {
            let records = self.month(table, *date, changes).into_iter();
            let partitions = records.map(|(day, record)| (day, record.clone())).collect();
            put(&file, &PartitionsFile { format_version: FORMAT_VERSION, partitions })
        });
        each.collect()
    }

    /// The records of `pending` that are not recorded yet: their files may be live, or may never have been put in place.
    pub fn unsettled<'p>(&self, pending: &'p [PartitionRecord]) -> Vec<&'p PartitionRecord> {
        let is_recorded = |record: &PartitionRecord| {
            self.partition(&record.table, record.date).is_some_and(|known| known.sha256 == record.sha256)
        };
        pending.iter().filter(|record| !is_recorded(record)).collect()
    }

    /// The writes of a ledger that replaces another: every file of it, and the removal of what the old one had besides.
    pub fn replacement(&self, old: &[String], version: VersionFile) -> Prepared {
        let records = self.partitions.values().flat_map(BTreeMap::values);
        let months: BTreeSet<(String, NaiveDate)> = records.map(|record| (record.table.clone(), record.date)).collect();
        let none = months.into_iter().map(|partition| {
            let record = self.partition(&partition.0, partition.1).cloned();
            (partition, record)
        });
        let written = self.months(&none.collect());
        let is_written =
            |name: &String| written.iter().any(|write| matches!(write, Write::Put(file, _) if file == name));
        let removed = old.iter().filter(|name| !is_written(name)).cloned().map(Write::Remove).collect();
        let steps = vec![written, removed, tidy(), vec![put(VERSION_FILE, &version)]];
        Prepared { steps, effects: vec![Effect::Version(version)] }
    }
}

fn changes(records: &[PartitionRecord]) -> Changes {
    records.iter().map(|record| ((record.table.clone(), record.date), Some(record.clone()))).collect()
}
