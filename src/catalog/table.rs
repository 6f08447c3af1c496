//! Tables and columns as the rest of the program sees them: resolved, typed, in file order. Plain data: nothing here
//! reads a file or knows a warehouse's dialect.

use serde::Deserialize;

use super::{EndpointId, Job};

/// A column's type, in BigQuery's vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer: pure counts.
    Integer,
    /// decimal128(38, 9): money, budgets, bids, and sales counts, which may be fractional.
    Numeric,
    /// 64-bit float: ratios.
    Float,
    /// True or false.
    Boolean,
    /// Calendar date.
    Date,
    /// Instant with microseconds, UTC.
    Timestamp,
    /// JSON text.
    Json,
    /// Struct of columns.
    Record(Vec<Column>),
}

impl ColumnType {
    /// BigQuery's word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Integer => "INTEGER",
            Self::Numeric => "NUMERIC",
            Self::Float => "FLOAT",
            Self::Boolean => "BOOLEAN",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::Json => "JSON",
            Self::Record(_) => "RECORD",
        }
    }
}

/// Whether a column may be null, or is a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// May be null.
    #[default]
    Nullable,
    /// Never null.
    Required,
    /// A list (never null itself: an absent list is empty).
    Repeated,
}

impl Mode {
    /// BigQuery's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nullable => "NULLABLE",
            Self::Required => "REQUIRED",
            Self::Repeated => "REPEATED",
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in files and warehouses.
    pub name: String,
    /// Type.
    pub column_type: ColumnType,
    /// Nullability or list.
    pub mode: Mode,
    /// For report tables the field's name at Criteo; for entities a JSON pointer into the resource object (inside a
    /// record: into the element); `None` for columns we add.
    pub source: Option<String>,
    /// One sentence with unit and, where it matters, time zone.
    pub description: String,
    /// Whether sums over rows mean something (reconciliation, ledger sums).
    pub additive: bool,
}

/// Day or hour: how fine a report table cuts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    /// One row per day.
    Day,
    /// One row per hour; `hour` is a TIMESTAMP in UTC.
    Hour,
}

/// What is asked of Criteo for a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Extract {
    /// A report request.
    Report {
        /// Day or hour.
        grain: Grain,
        /// Dimensions to request, exactly as Criteo spells them (both halves of each id/name pair); empty for
        /// `transactions`, whose report takes none.
        dimensions: Vec<String>,
        /// Metrics to request; empty for `transactions`, whose report takes none.
        metrics: Vec<String>,
    },
    /// A list of resources.
    Entity {
        /// Pointers of attributes that are understood but deliberately not stored (duplicates of stored ones); they
        /// do not go to `_extra`.
        not_stored: Vec<String>,
    },
}

/// One table, resolved for the current configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Name: table, folder and schema file.
    pub name: String,
    /// Job it belongs to.
    pub job: Job,
    /// Where it comes from.
    pub endpoint: EndpointId,
    /// One sentence for people.
    pub description: String,
    /// Columns whose values identify a row.
    pub primary_key: Vec<String>,
    /// `day` or `snapshot_date`.
    pub partition_by: String,
    /// All columns in file order, `_pulled_at` last.
    pub columns: Vec<Column>,
    /// What to ask for.
    pub extract: Extract,
    /// Whether `pull` and `backfill` take it without being told to.
    pub enabled: bool,
    /// Days re-read by every `pull`, where the table differs from the configuration's `lookback_days`.
    pub lookback_days: Option<u32>,
}

impl Table {
    /// Whether this is a report table (days) rather than an entity snapshot.
    pub fn is_report(&self) -> bool {
        matches!(self.extract, Extract::Report { .. })
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
