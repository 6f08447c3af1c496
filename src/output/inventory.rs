//! What lies in the folders of tables: partitions by path, and everything that is none. Nothing is opened, and a table is listed
//! in one go.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::store::{Entry, Store, StoreError};

const DATA_FILE: &str = "data.parquet";

/// Everything found in the folders of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Sizes of the partitions' files, by table and day.
    pub partitions: BTreeMap<String, BTreeMap<NaiveDate, u64>>,
    /// Files in a table's folder that are no partition, but that a loader would read as one.
    pub unexpected: Vec<UnexpectedFile>,
}

/// A file that this program did not write, where loaders look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnexpectedFile {
    /// The table whose folder it is in.
    pub table: String,
    /// Where, below the output.
    pub path: String,
}

impl Inventory {
    /// Lists every table's folder. A folder without any `dt=…` is somebody else's; names that start with `_` or `.` are hidden
    /// from loaders, so they do not matter.
    pub async fn of_all(store: &Store) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for table in store.folders().await?.into_iter().filter(|name| !is_hidden(name)) {
            let entries = store.list(&table).await?;
            let is_ours =
                |entry: &Entry| entry.key.as_str().strip_prefix(&table).is_some_and(|rest| rest.starts_with("/dt="));
            if entries.iter().any(is_ours) {
                found.add(&table, &entries);
            }
        }
        Ok(found)
    }

    /// Lists the folders of these tables.
    pub async fn of_tables<'t>(store: &Store, tables: impl IntoIterator<Item = &'t str>) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for table in tables {
            found.add(table, &store.list(table).await?);
        }
        Ok(found)
    }

    fn add(&mut self, table: &str, entries: &[Entry]) {
        let partitions = self.partitions.entry(table.to_owned()).or_default();
        for Entry { key, size } in entries {
            let path = key.as_str();
            let Some(below) = path.strip_prefix(table).and_then(|path| path.strip_prefix('/')) else { continue };
            if below.split('/').any(is_hidden) {
                continue;
            }
            match date_of(below) {
                Some(date) => drop(partitions.insert(date, *size)),
                None => self.unexpected.push(UnexpectedFile { table: table.to_owned(), path: path.to_owned() }),
            }
        }
    }

    /// How many partitions there are.
    pub fn count(&self) -> usize {
        self.partitions.values().map(BTreeMap::len).sum()
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// The day of a partition's file.
fn date_of(below_table: &str) -> Option<NaiveDate> {
    let (folder, file) = below_table.split_once('/')?;
    let date = folder.strip_prefix("dt=").and_then(|date| crate::dates::parse_date(date).ok())?;
    (file == DATA_FILE).then_some(date)
}
