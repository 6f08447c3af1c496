//! What a run did: the members that the documents of `pull`, `backfill` and `demo` have beyond the common ones.

use serde::Serialize;

pub use crate::document::{Calls, Document};
pub use crate::notice::{Code, Notice, Outcome};

/// What was written for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// Partitions published.
    pub partitions: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Calls made for them, repeats included only where a window had to be split.
    pub calls: u64,
    /// Those of them whose answers had as many rows as Criteo sends at most, and were thrown away.
    pub capped_calls: u64,
}

/// What only runs have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunMembers {
    /// What the plan had said; `None` where nothing was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_calls: Option<Calls>,
    /// Partitions that an earlier run of the same backfill had published and that were not fetched again.
    pub resumed_partitions: u64,
    /// What was loaded where afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<serde_json::Value>,
}

/// The document of a run.
pub type Summary = Document<TableSummary, RunMembers>;
