//! What a run did: the members that the documents of `pull`, `backfill` and `demo` have beyond the common ones.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

pub use crate::document::{Calls, Document};
pub use crate::notice::{Code, Notice, Outcome};
use crate::output::PublishedFile;

/// What was written for one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// Partitions that were read, and published or found as they were.
    pub partitions: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Calls made for them, repeats included only where a window had to be split.
    pub calls: u64,
    /// Those of them whose answers had as many rows as Criteo sends at most, and were thrown away.
    pub capped_calls: u64,
    /// Partitions by how their sums compare with Criteo's totals ([`Reconciliation::name`]); empty for snapshots.
    ///
    /// [`Reconciliation::name`]: crate::ledger::Reconciliation::name
    pub reconciliation: BTreeMap<&'static str, u64>,
    /// Each partition that was read, by day: what a loader needs to know.
    pub files: Vec<PublishedFile>,
}

impl TableSummary {
    /// Partitions whose file is another one than before.
    pub fn changed(&self) -> u64 {
        self.files.iter().map(|file| u64::from(file.changed)).sum()
    }
}

/// What was counted for each table, with the partitions that were read; one that was read twice counts as it is now.
pub fn with_published(
    mut tables: BTreeMap<String, TableSummary>,
    published: Vec<PublishedFile>,
) -> BTreeMap<String, TableSummary> {
    let mut newest: BTreeMap<(String, NaiveDate), PublishedFile> = BTreeMap::new();
    for mut file in published {
        let partition = (file.table.clone(), file.date);
        // Replaced first and confirmed later, it is still another one than before the run.
        file.changed |= newest.get(&partition).is_some_and(|before| before.changed);
        newest.insert(partition, file);
    }
    for ((table, _), file) in newest {
        let summary = tables.entry(table).or_default();
        summary.partitions += 1;
        summary.rows += file.rows;
        summary.bytes += file.bytes;
        if let Some(reconciliation) = file.reconciliation {
            *summary.reconciliation.entry(reconciliation.name()).or_insert(0) += 1;
        }
        summary.files.push(file);
    }
    tables
}

/// What only runs have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunMembers {
    /// What the plan had said; `None` where nothing was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_calls: Option<Calls>,
    /// Partitions that an earlier run of the same backfill had published and that were not fetched again.
    pub resumed_partitions: u64,
    /// Requests to the bucket that is written to, by kind; absent for a local folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_requests: Option<BTreeMap<&'static str, u64>>,
    /// What was loaded where afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<serde_json::Value>,
}

/// The document of a run.
pub type Summary = Document<TableSummary, RunMembers>;
