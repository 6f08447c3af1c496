//! What a target holds: the columns of `_criteo_source_partitions`, which lies beside the data and changes with it.

use chrono::NaiveDate;

use crate::catalog::sql::Definition;
use crate::catalog::{Column, ColumnType, Mode, Origin};

/// Name of the table, in every target and whatever the prefix.
pub const STATE_TABLE: &str = "_criteo_source_partitions";
const DESCRIPTION: &str = "Which version of which partition is loaded, by output and table.";

/// A partition that the target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPartition {
    /// The output it came from.
    pub output_id: String,
    /// The table in the target, prefix included.
    pub table: String,
    /// Its date.
    pub date: NaiveDate,
    /// Checksum of the file it came from.
    pub sha256: String,
    /// Its rows.
    pub rows: u64,
}

/// The columns of the table.
pub fn columns() -> Vec<Column> {
    let column = |name: &str, column_type, description: &str| Column {
        name: name.to_owned(),
        column_type,
        mode: Mode::Nullable,
        // Like that instant, these are this program's own.
        origin: Origin::PulledAt,
        description: description.to_owned(),
        additive: false,
    };
    vec![
        column("output_id", ColumnType::String, "The output that the partition came from."),
        column("table_name", ColumnType::String, "The table here, prefix included."),
        column("partition_date", ColumnType::Date, "The day or snapshot date."),
        column("sha256", ColumnType::String, "Checksum of the file that was loaded."),
        column("row_count", ColumnType::Integer, "Rows of the partition; zero is a day that has none."),
        column("run_id", ColumnType::String, "The run that pulled it."),
        column("pulled_at", ColumnType::Timestamp, "When it was pulled."),
        column("loaded_at", ColumnType::Timestamp, "When it was loaded."),
    ]
}

/// What the statement that creates it says.
pub fn definition(columns: &[Column]) -> Definition<'_> {
    Definition { description: DESCRIPTION, columns, primary_key: &[], partition_by: None }
}
