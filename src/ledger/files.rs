//! What lies in the output beside the ledger: partitions by path, and everything that is none. Nothing is opened.

use chrono::NaiveDate;

use super::error::LedgerError;
use crate::store::Store;

const DATA_FILE: &str = "data.parquet";

/// Everything found in the folders of tables.
#[derive(Debug, Default)]
pub(super) struct DataFiles {
    /// Partitions, by the path of their file.
    pub(super) partitions: Vec<(String, NaiveDate)>,
    /// Paths in a table's folder that are no partition, but that a loader may take for one.
    pub(super) strangers: Vec<Stranger>,
}

/// A path that is not ours.
#[derive(Debug)]
pub(super) struct Stranger {
    /// The folder it is in.
    pub(super) table: String,
    /// Where, below the output.
    pub(super) path: String,
}

impl DataFiles {
    /// Lists the tables' folders. A folder without any `dt=…` is somebody else's and not looked into; names that start
    /// with `_` or `.` are hidden from loaders, so they do not matter.
    pub(super) fn list(store: &Store) -> Result<Self, LedgerError> {
        let mut found = Self::default();
        for table in visible(store, "")? {
            if !store.path(&table).is_dir() {
                continue;
            }
            let entries = visible(store, &table)?;
            if entries.iter().any(|entry| entry.starts_with("dt=")) {
                found.add_table(store, &table, entries)?;
            }
        }
        Ok(found)
    }

    fn add_table(&mut self, store: &Store, table: &str, entries: Vec<String>) -> Result<(), LedgerError> {
        for entry in entries {
            let path = format!("{table}/{entry}");
            let date = entry.strip_prefix("dt=").and_then(|date| crate::dates::parse_date(date).ok());
            let Some(date) = date.filter(|_| store.path(&path).is_dir()) else {
                self.strangers.push(Stranger { table: table.to_owned(), path });
                continue;
            };
            for name in visible(store, &path)? {
                if name == DATA_FILE {
                    self.partitions.push((table.to_owned(), date));
                } else {
                    self.strangers.push(Stranger { table: table.to_owned(), path: format!("{path}/{name}") });
                }
            }
        }
        Ok(())
    }
}

fn visible(store: &Store, folder: &str) -> Result<Vec<String>, LedgerError> {
    let names = store.list(folder)?.into_iter();
    Ok(names.filter(|name| !name.starts_with(['_', '.'])).collect())
}
