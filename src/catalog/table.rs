//! Tables and columns as the rest of the program sees them: resolved, typed, in file order. Plain data: nothing here
//! reads a file or knows a warehouse's dialect.

use serde::Deserialize;

use super::{Connector, Endpoint, EndpointId, Job, ReportFacts, RereadAges, TableOverrides};

/// A column's type, in BigQuery's vocabulary.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
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

/// BigQuery's word as a type; a `RECORD` gets its fields from whoever reads it.
impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let all = [
            Self::String,
            Self::Integer,
            Self::Numeric,
            Self::Float,
            Self::Boolean,
            Self::Date,
            Self::Timestamp,
            Self::Json,
            Self::Record(Vec::new()),
        ];
        let words = all.iter().map(Self::name).collect::<Vec<_>>().join(", ");
        let known = all.into_iter().find(|known| known.name() == word);
        known.ok_or_else(|| format!("`{word}` is not a column type; those are {words}"))
    }
}

/// Where the day of a report's rows comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaySource {
    /// A field that is a date.
    Field(String),
    /// The day, in the report time zone, of a field that is an instant.
    Instant(String),
    /// The request: rows have no date, so exactly one day is requested.
    Requested,
}

/// What the path of a list's request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// The advertiser.
    Advertiser,
    /// The ad set.
    AdSet,
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A field of the report, as Criteo spells it.
    Field(String),
    /// A JSON pointer into the resource object (inside a record: into the element).
    Pointer(String),
    /// The report's field of hours; the column has the instant at which the hour starts.
    Hour(String),
    /// The report's currency field, or the requested currency where Criteo sends none.
    Currency(String),
    /// The row's day, which is the partition date.
    Day(DaySource),
    /// The day of the snapshot, which is the partition date.
    SnapshotDate,
    /// Whether disclosed rows were requested.
    Disclosed,
    /// The advertiser or ad set whose list the resource is in.
    Parent(Parent),
    /// Attributes that no other column has, as JSON text.
    Extra,
    /// When the rows were pulled.
    PulledAt,
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
    /// Where its values come from.
    pub origin: Origin,
    /// One sentence with unit and, where it matters, time zone.
    pub description: String,
    /// Whether sums over rows mean something (reconciliation, ledger sums).
    pub additive: bool,
}

impl Column {
    /// For report tables the field's name at Criteo; for entities a JSON pointer into the resource object; `None` for columns
    /// that the connector adds.
    pub fn source(&self) -> Option<&str> {
        match &self.origin {
            Origin::Field(name) | Origin::Hour(name) | Origin::Currency(name) | Origin::Day(DaySource::Field(name)) => {
                Some(name)
            }
            Origin::Pointer(pointer) => Some(pointer),
            Origin::Day(DaySource::Instant(_) | DaySource::Requested)
            | Origin::SnapshotDate
            | Origin::Disclosed
            | Origin::Parent(_)
            | Origin::Extra
            | Origin::PulledAt => None,
        }
    }

    /// Whether it is the date that partitions are made by.
    pub fn is_partition_date(&self) -> bool {
        matches!(self.origin, Origin::Day(_) | Origin::SnapshotDate)
    }

    /// Whether its sums are exact numbers that mean something.
    pub fn is_summed(&self) -> bool {
        self.additive && matches!(self.column_type, ColumnType::Integer | ColumnType::Numeric)
    }
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
    /// What to request.
    pub extract: Extract,
    /// Whether `pull` and `backfill` take it without being told to.
    pub enabled: bool,
    /// Ages at which its days are read again, where they are not the configuration's `lookback_days`.
    pub reread_ages: Option<RereadAges>,
}

impl Table {
    /// The columns that are added up.
    pub fn summed_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_summed())
    }

    /// Whether this is a report table (days) rather than an entity snapshot.
    pub fn is_report(&self) -> bool {
        matches!(self.extract, Extract::Report { .. })
    }

    /// The endpoint it comes from.
    pub fn endpoint(&self) -> &'static Endpoint {
        Connector::get().endpoint(self.endpoint)
    }

    /// What is known of the report it comes from; `None` for entity tables.
    pub fn report(&self) -> Option<&'static ReportFacts> {
        self.endpoint().report()
    }

    /// The ages at which its days are read again; `lookback_days` is the configuration's.
    pub fn reread_ages(&self, lookback_days: u32) -> RereadAges {
        self.reread_ages.clone().unwrap_or_else(|| RereadAges::up_to(lookback_days))
    }

    /// Whether it has a column from this origin.
    pub fn has_origin(&self, origin: &Origin) -> bool {
        self.columns.iter().any(|column| column.origin == *origin)
    }

    /// Takes over what the configuration says about any table.
    pub fn apply(&mut self, overrides: &TableOverrides) {
        self.enabled = overrides.enabled.unwrap_or(self.enabled);
        if let Some(days) = overrides.lookback_days {
            self.reread_ages = Some(RereadAges::up_to(days));
        }
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
