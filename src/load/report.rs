//! What a load did to one target, as documents have it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::LoadError;
use crate::notice::{ErrorKind, Notice, Outcome};
use crate::settings::load::TargetKind;

/// What was loaded of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadedTable {
    /// Partitions replaced, emptied or pruned.
    pub partitions: u64,
    /// Rows inserted.
    pub rows_inserted: u64,
    /// Rows deleted.
    pub rows_deleted: u64,
    /// Columns that the table got.
    pub columns_added: Vec<String>,
}

/// One load into one target.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// `bigquery`, `snowflake` or `duckdb`.
    pub target: String,
    /// Where exactly.
    pub place: String,
    /// How it ended.
    pub outcome: Outcome,
    /// By table of the output.
    pub tables: BTreeMap<String, LoadedTable>,
    /// Jobs or statements that the target executed.
    pub jobs: u64,
    /// Bytes billed, where the target says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_billed: Option<u64>,
    /// From start to end.
    pub seconds: f64,
    /// Nothing was executed: `--dry-run` or `--print`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The statements of `--print`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// Worth knowing.
    pub warnings: Vec<Notice>,
    /// What was not loaded, and why.
    pub errors: Vec<Notice>,
    /// What decides the exit code.
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
}

impl LoadReport {
    /// A load that ended before anything could be loaded.
    pub fn failed(target: TargetKind, place: &str, error: &LoadError) -> Self {
        Self {
            target: target.name().to_owned(),
            place: place.to_owned(),
            outcome: Outcome::Failed,
            tables: BTreeMap::new(),
            jobs: 0,
            bytes_billed: None,
            seconds: 0.0,
            dry_run: false,
            statements: Vec::new(),
            warnings: Vec::new(),
            errors: vec![error.notice()],
            kind: Some(error.kind.code().kind()),
        }
    }
}
