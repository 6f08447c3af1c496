//! What a target must be able to do, and what it is given. The algorithm is in [`super::run`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};

use super::error::{LoadError, LoadErrorKind};
use super::files::{LoadFile, Partition};
use super::state::HeldPartition;
use crate::catalog::sql::views::{Dialect, Present, View};
use crate::catalog::{Column, Table};
use crate::settings::load::TargetKind;

/// Whether statements are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Execute,
    /// They are collected, and nothing is changed.
    Print,
}

/// A table or view that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Whether this program created it: its description says so, or it is an empty table.
    pub is_ours: bool,
    /// Whether it is a view.
    pub is_view: bool,
    /// Its description.
    pub description: String,
    /// Names and types of columns, in the target's words.
    pub columns: Vec<(String, String)>,
    /// What else is not as it should be, such as the partitioning.
    pub differences: Vec<String>,
}

/// What to load into one table.
#[derive(Debug)]
pub struct TableLoad<'l> {
    /// Name in the target, prefix included.
    pub name: &'l str,
    /// The contract, with the columns of [`super::columns::of_files`].
    pub table: &'l Table,
    /// The table as it is; `None` if it is to be created.
    pub existing: Option<&'l Existing>,
    /// Columns to add to it.
    pub added: Vec<&'l Column>,
    /// Files with rows, inspected.
    pub files: &'l [LoadFile],
    /// Partitions to replace, those without rows included.
    pub replace: &'l [Partition],
    /// Days to delete.
    pub prune: &'l [NaiveDate],
    /// The output.
    pub output_id: &'l str,
    /// Now.
    pub loaded_at: DateTime<Utc>,
    /// Fingerprint of what is loaded, equal when the same is tried again.
    pub version: String,
}

impl TableLoad<'_> {
    /// Every day that is deleted, sorted.
    pub fn dates(&self) -> Vec<NaiveDate> {
        let mut dates: Vec<NaiveDate> =
            self.replace.iter().map(|partition| partition.date).chain(self.prune.iter().copied()).collect();
        dates.sort_unstable();
        dates
    }

    /// Rows that must arrive.
    pub fn rows(&self) -> u64 {
        self.replace.iter().map(|partition| partition.rows).sum()
    }

    /// Files that may be read together, because they have the same columns.
    pub fn groups(&self) -> Vec<Vec<&LoadFile>> {
        let mut groups: BTreeMap<&str, Vec<&LoadFile>> = BTreeMap::new();
        for file in self.files {
            groups.entry(&file.fingerprint).or_default().push(file);
        }
        groups.into_values().collect()
    }

    /// Fails if a file is no longer the one that was inspected. A target asks this after it has read and before it commits.
    pub async fn check_unchanged(&self) -> Result<(), LoadError> {
        for file in self.files {
            if !file.is_unchanged().await {
                let message = format!("{} was replaced while it was being loaded", file.partition.date);
                return Err(LoadError::new(LoadErrorKind::Changed, message));
            }
        }
        Ok(())
    }
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Rows inserted.
    pub rows_inserted: u64,
    /// Rows deleted.
    pub rows_deleted: u64,
}

/// What a target did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetStatistics {
    /// Jobs or statements executed.
    pub jobs: u64,
    /// Bytes billed, where the target says so.
    pub bytes_billed: Option<u64>,
}

/// A warehouse that partitions can be loaded into.
#[expect(async_fn_in_trait, reason = "never boxed: each target is loaded by a function of its own type")]
pub trait Target {
    /// Which one.
    fn kind(&self) -> TargetKind;

    /// Where exactly, as a person would name it; no secret.
    fn place(&self) -> String;

    /// Put before the names of tables and views.
    fn table_prefix(&self) -> &str;

    /// How views are written.
    fn dialect(&self) -> Dialect;

    /// The quoted path of a table or view.
    fn path(&self, name: &str) -> String;

    /// The type of a column, in the words in which [`Target::describe`] tells it.
    fn type_name(&self, column: &Column) -> String;

    /// Every partition that the target holds, of all outputs and tables. A target where nothing was ever loaded holds none.
    async fn held(&mut self) -> Result<Vec<HeldPartition>, LoadError>;

    /// The table or view of this name, if there is one.
    async fn describe(&mut self, name: &str, table: Option<&Table>) -> Result<Option<Existing>, LoadError>;

    /// Creates or extends the table, and replaces its days in one transaction.
    async fn load_table(&mut self, load: &TableLoad<'_>) -> Result<Loaded, LoadError>;

    /// Creates these views, or replaces them.
    async fn create_views(&mut self, views: &[View]) -> Result<(), LoadError>;

    /// Whether a load could begin, as far as reading tells: what is there, in words. It changes nothing.
    async fn probe(&mut self) -> Result<String, LoadError> {
        let held = self.held().await?;
        Ok(format!("{}: {}", self.place(), held_in_words(&held)))
    }

    /// What was executed so far.
    fn statistics(&self) -> TargetStatistics;

    /// The statements that [`Mode::Print`] collected, in order.
    fn statements(&self) -> Vec<String>;
}

/// What a target holds, for a person.
pub(super) fn held_in_words(held: &[HeldPartition]) -> String {
    let tables: BTreeSet<&str> = held.iter().map(|partition| partition.table.as_str()).collect();
    match (tables.len(), held.len()) {
        (0, _) => "nothing is loaded yet".to_owned(),
        (tables, partitions) => format!("{partitions} partitions of {tables} tables are loaded"),
    }
}

/// A table of the target as the views need it.
pub fn present(table: &Table, columns: &[(String, String)]) -> Present {
    Present {
        name: table.name.clone(),
        columns: columns.iter().map(|(name, _)| name.to_lowercase()).collect(),
        is_snapshot: !table.is_report(),
    }
}
