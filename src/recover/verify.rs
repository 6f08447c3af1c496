//! Whether the files are what the ledger says: present, of the size and checksum recorded, readable, complete.
//!
//! It reads and never writes, and takes no lock: what changed while it was looking is looked at again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;

use crate::ledger::{Ledger, LedgerFiles, PartitionRecord, partition_path};
use crate::notice::error_chain;
use crate::output::{Inventory, OutputError, read};
use crate::store::{Key, Store, checksum};
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
    /// It is what was written, but not Parquet.
    Unreadable,
    /// It is what was written, yet has other rows than recorded.
    WrongRows,
    /// A partition without a record.
    NoRecord,
    /// A file in a table's folder that this program did not write.
    UnexpectedFile,
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
pub async fn verify(store: &Store, tables: Tables<'_>) -> Result<Verification, OutputError> {
    let (ledger, files, _) = read(store).await?;
    let (verification, suspects) = look(store, &ledger, &files, tables, |_, _| true).await?;
    if suspects.is_empty() {
        return Ok(verification);
    }
    // A run may have published while this was reading: what it touched is judged by what it recorded.
    let (ledger, files, _) = read(store).await?;
    let is_suspect = |table: &str, date: NaiveDate| suspects.contains(&(table.to_owned(), date));
    let (again, _) = look(store, &ledger, &files, tables, is_suspect).await?;
    Ok(Verification { files: verification.files, bytes: verification.bytes, findings: again.findings })
}

type Suspects = BTreeSet<(String, NaiveDate)>;

async fn look(
    store: &Store,
    ledger: &Ledger,
    ledger_files: &LedgerFiles,
    tables: Tables<'_>,
    is_due: impl Fn(&str, NaiveDate) -> bool,
) -> Result<(Verification, Suspects), OutputError> {
    let mut done = Verification::default();
    let mut suspects = Suspects::new();
    let pending = ledger_files.pending().unwrap_or_default();
    let files = Inventory::of_all(store).await?;
    let has_data = files.count() > 0;
    let recorded = ledger.tables().flat_map(|table| ledger.partitions(table));
    let mut partitions: Suspects = recorded.map(|record| (record.table.clone(), record.date)).collect();
    let there = files.partitions.iter();
    partitions.extend(there.flat_map(|(table, days)| days.keys().map(move |date| (table.clone(), *date))));
    for (table, date) in partitions.into_iter().filter(|(table, date)| (tables.wanted)(table) && is_due(table, *date)) {
        let pending: BTreeMap<&str, &PartitionRecord> = pending
            .iter()
            .filter(|record| record.table == table && record.date == date)
            .map(|record| (record.sha256.as_str(), record))
            .collect();
        let record = ledger.partition(&table, date);
        let path = partition_path(&table, date);
        if let Some((problem, what)) = check(store, record, &pending, &path, &mut done).await? {
            let message = format!("{what}: {}", remedy(problem, &table, date, (tables.is_snapshot)(&table)));
            done.findings.push(Finding { problem, table: Some(table.clone()), date: Some(date), path, message });
            suspects.insert((table, date));
        }
    }
    let unexpected = files.unexpected.into_iter().filter(|file| (tables.wanted)(&file.table));
    done.findings.extend(unexpected.map(|file| Finding {
        problem: Problem::UnexpectedFile,
        table: Some(file.table),
        date: None,
        path: file.path,
        message: "not written by this program; a loader that reads the folder reads it too: move it away".to_owned(),
    }));
    done.findings.extend(ledger_files.damaged(has_data).into_iter().map(|path| Finding {
        problem: Problem::LedgerDamaged,
        table: None,
        date: None,
        path,
        message: "a damaged file of the ledger: run `criteo-source status --rebuild`".to_owned(),
    }));
    Ok((done, suspects))
}

/// What is wrong with one partition, in words.
async fn check(
    store: &Store,
    record: Option<&PartitionRecord>,
    pending: &BTreeMap<&str, &PartitionRecord>,
    path: &str,
    done: &mut Verification,
) -> Result<Option<(Problem, String)>, OutputError> {
    let content = match Key::new(path) {
        Ok(key) => store.get(&key).await?,
        Err(_) => None,
    };
    let Some(content) = content else {
        return Ok(record.map(|_| (Problem::Missing, "recorded, but there is no file".to_owned())));
    };
    let (size, sha256) = (content.len() as u64, checksum(&content));
    done.files += 1;
    done.bytes += size;
    // A file that was put in place but not yet recorded is whole: its record is pending, and the next run takes it over.
    let Some(record) = pending.get(sha256.as_str()).copied().or(record) else {
        return Ok(Some((Problem::NoRecord, "a file without a record".to_owned())));
    };
    if size != record.bytes {
        return Ok(Some((Problem::WrongSize, format!("{size} bytes, but {} were written", record.bytes))));
    }
    if record.sha256 != sha256 {
        return Ok(Some((Problem::WrongChecksum, "the content is not what was written".to_owned())));
    }
    Ok(match Footer::read(content).map_err(|error| error_chain(&error)) {
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
            "the past cannot be requested; restore the file from a copy, or remove it and run \
             `criteo-source status --rebuild`; `criteo-source pull --tables {table}` takes today's snapshot"
        ),
        // A size that differs counts as missing for a pull, too.
        Problem::Missing | Problem::WrongSize => {
            format!("`criteo-source pull` fetches it if it is since `start_date`; otherwise run `{fetch}`")
        }
        _ => format!("run `{fetch} --force`"),
    }
}
