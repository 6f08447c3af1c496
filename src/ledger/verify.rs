//! Whether the files are what the ledger says: present, of the size and checksum recorded, readable, complete.
//!
//! It reads and never writes, and takes no lock: what changed while it was looking is looked at again.

use std::collections::BTreeSet;
use std::fs::File;

use chrono::NaiveDate;
use serde::Serialize;

use super::book::Ledger;
use super::error::LedgerError;
use super::files::DataFiles;
use super::records::{PartitionRecord, partition_path};
use crate::error::error_chain;
use crate::store::Store;
use crate::table::footer::Footer;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// A record without a file.
    Missing,
    /// The size is not the recorded one.
    WrongSize,
    /// The content is not what was written.
    WrongChecksum,
    /// It is what was written, yet no Parquet.
    Unreadable,
    /// It is what was written, yet has other rows than recorded.
    WrongRows,
    /// A partition without a record.
    NoRecord,
    /// A file in a table's folder that is no partition.
    NotOurs,
    /// A file of the ledger that cannot be read.
    LedgerDamaged,
}

/// Something wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub problem: Problem,
    /// The table, where it is about one.
    pub table: Option<String>,
    /// The partition, where it is about one.
    pub date: Option<NaiveDate>,
    /// Where, below the output.
    pub path: String,
    /// In words.
    pub message: String,
}

/// The result of looking at everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Data files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong, by path.
    pub findings: Vec<Finding>,
}

/// Which tables to look at, and which of them are snapshots, whose past cannot be fetched again.
#[derive(Clone, Copy)]
pub struct Tables<'t> {
    /// Whether to look at the table of this name.
    pub wanted: &'t dyn Fn(&str) -> bool,
    /// Whether the table of this name is a snapshot of resources.
    pub is_snapshot: &'t dyn Fn(&str) -> bool,
}

/// Reads every data file of the tables wanted.
pub fn verify(store: &Store, ledger: &Ledger, tables: Tables<'_>) -> Result<Verification, LedgerError> {
    let (verification, suspects) = look(store, ledger, tables, |_, _| true)?;
    if suspects.is_empty() {
        return Ok(verification);
    }
    // A run may have published while this was reading: what it touched is judged by what it recorded.
    let newer = Ledger::read(store)?;
    let is_suspect = |table: &str, date: NaiveDate| suspects.contains(&(table.to_owned(), date));
    let (again, _) = look(store, &newer, tables, is_suspect)?;
    Ok(Verification { files: verification.files, bytes: verification.bytes, findings: again.findings })
}

type Suspects = BTreeSet<(String, NaiveDate)>;

fn look(
    store: &Store,
    ledger: &Ledger,
    tables: Tables<'_>,
    is_due: impl Fn(&str, NaiveDate) -> bool,
) -> Result<(Verification, Suspects), LedgerError> {
    let mut done = Verification::default();
    let mut suspects = Suspects::new();
    let pending = ledger.pending()?;
    let files = DataFiles::list(store)?;
    let recorded = ledger.tables().flat_map(|table| ledger.partitions(table));
    let mut partitions: Suspects = recorded.map(|record| (record.table.clone(), record.date)).collect();
    partitions.extend(files.partitions);
    for (table, date) in partitions.into_iter().filter(|(table, date)| (tables.wanted)(table) && is_due(table, *date)) {
        let pending = pending.iter().find(|record| record.table == table && record.date == date);
        let record = ledger.partition(&table, date);
        if let Some((problem, what)) = check(store, record, pending, &partition_path(&table, date), &mut done)? {
            let message = format!("{what}: {}", remedy(problem, &table, date, (tables.is_snapshot)(&table)));
            let path = partition_path(&table, date);
            done.findings.push(Finding { problem, table: Some(table.clone()), date: Some(date), path, message });
            suspects.insert((table, date));
        }
    }
    let strangers = files.strangers.into_iter().filter(|stranger| (tables.wanted)(&stranger.table));
    done.findings.extend(strangers.map(|stranger| Finding {
        problem: Problem::NotOurs,
        table: Some(stranger.table),
        date: None,
        path: stranger.path,
        message: "no partition of this program; a loader that reads the folder reads it too: move it away".to_owned(),
    }));
    done.findings.extend(ledger.damaged_files()?.into_iter().map(|path| Finding {
        problem: Problem::LedgerDamaged,
        table: None,
        date: None,
        path,
        message: "a damaged file of the ledger: run `criteo-source status --rebuild`".to_owned(),
    }));
    Ok((done, suspects))
}

/// What is wrong with one partition, in words.
fn check(
    store: &Store,
    record: Option<&PartitionRecord>,
    pending: Option<&PartitionRecord>,
    path: &str,
    done: &mut Verification,
) -> Result<Option<(Problem, String)>, LedgerError> {
    let Some(size) = store.size(path)? else {
        return Ok(record.map(|_| (Problem::Missing, "recorded, but there is no file".to_owned())));
    };
    let checksum = store.checksum(path)?.unwrap_or_default();
    done.files += 1;
    done.bytes += size;
    let is_written = |record: &&PartitionRecord| record.sha256 == checksum;
    // A file that was renamed but not yet recorded is whole: its record is pending, and the next run takes it over.
    let Some(record) = pending.filter(is_written).or(record) else {
        return Ok(Some((Problem::NoRecord, "a file without a record".to_owned())));
    };
    if size != record.bytes {
        return Ok(Some((Problem::WrongSize, format!("{size} bytes, but {} were written", record.bytes))));
    }
    if record.sha256 != checksum {
        return Ok(Some((Problem::WrongChecksum, "the content is not what was written".to_owned())));
    }
    let file = File::open(store.path(path)).map_err(|error| error.to_string());
    Ok(match file.and_then(|file| Footer::read(file).map_err(|error| error_chain(&error))) {
        Err(error) => Some((Problem::Unreadable, error)),
        Ok(footer) if footer.rows != record.rows => {
            Some((Problem::WrongRows, format!("{} rows, but {} are recorded", footer.rows, record.rows)))
        }
        Ok(_) => None,
    })
}

/// What to do about a partition.
fn remedy(problem: Problem, table: &str, date: NaiveDate, is_snapshot: bool) -> String {
    let fetch = format!("criteo-source backfill --from {date} --to {date} --tables {table}");
    match problem {
        Problem::NoRecord => {
            "run `criteo-source status --rebuild`; where that gives it no record, it says what to do".to_owned()
        }
        _ if is_snapshot => format!(
            "the past cannot be asked for; restore the file from a copy, or remove it and run \
             `criteo-source status --rebuild`; `criteo-source pull --tables {table}` takes today's snapshot"
        ),
        // A size that differs counts as missing for a pull, too.
        Problem::Missing | Problem::WrongSize => {
            format!("`criteo-source pull` fetches it if it is since `start_date`; otherwise run `{fetch}`")
        }
        _ => format!("run `{fetch} --force`"),
    }
}
