//! What can be wrong with a table's configuration: errors that stop, and warnings that do not. Each says what to do.

use super::{ColumnType, FieldKind};
use crate::notice::Code;

/// Why a declaration could not be read or a table could not be resolved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A data file of this program is not valid; tests keep released programs free of it.
    #[error("failed to read `{file}`")]
    Declaration {
        /// Path in the repository.
        file: String,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// A table contract contradicts the field catalogue or the connector.
    #[error("`{file}` is inconsistent: {detail}")]
    Inconsistent {
        /// Path in the repository.
        file: String,
        /// What does not fit.
        detail: String,
    },
    /// No table has that name.
    #[error("unknown table `{name}`{}", did_you_mean(nearest.as_deref()))]
    UnknownTable {
        /// What was requested.
        name: String,
        /// The table that may have been meant.
        nearest: Option<String>,
    },
    /// Columns of entity tables and of `transactions` cannot be chosen.
    #[error("table `{table}` has fixed columns: remove `{key}` from its configuration")]
    FixedColumns {
        /// The table.
        table: String,
        /// `metrics` or `dimensions`.
        key: &'static str,
    },
    /// A report needs at least one metric.
    #[error("table `{table}` has no metrics: Criteo needs at least one, e.g. `Clicks`")]
    NoMetrics {
        /// The table.
        table: String,
    },
    /// A dimension among the metrics, or the reverse.
    #[error("`{field}` of table `{table}` is a {kind}, not a {}: move it to `{kind}s`", kind.other())]
    WrongKind {
        /// The table.
        table: String,
        /// The field, as Criteo spells it.
        field: String,
        /// What it is.
        kind: FieldKind,
    },
    /// `Hour` in a table that has one row per day.
    #[error("table `{table}` has one row per day: for hours, add a `[[reports]]` entry with `grain = \"hour\"`")]
    HourInDailyTable {
        /// The table.
        table: String,
    },
    /// A field name that cannot be one of Criteo's.
    #[error(
        "`{field}` of table `{table}` cannot be a Criteo field: names are letters and digits, like `AdvertiserCost`"
    )]
    InvalidField {
        /// The table.
        table: String,
        /// What was written.
        field: String,
    },
    /// Two fields would become the same column.
    #[error("table `{table}` would have the column `{column}` twice: remove one of the fields it comes from")]
    DuplicateColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A field would become a column that the output needs for itself.
    #[error(
        "`{field}` of table `{table}` would become the column `{column}`, which is the partition key of the folders"
    )]
    ReservedColumn {
        /// The table.
        table: String,
        /// The field.
        field: String,
        /// The column.
        column: String,
    },
    /// A custom report whose name is not a table name.
    #[error(
        "`{name}` cannot name a report: use lower-case letters, digits and `_`, a letter first, at most 63 characters"
    )]
    InvalidReportName {
        /// What was written.
        name: String,
    },
    /// A custom report named like a built-in table.
    #[error("a report cannot be called `{name}`: that is a built-in table; choose another name")]
    ReservedReportName {
        /// What was written.
        name: String,
    },
}

impl CatalogError {
    pub(super) fn declaration(file: impl Into<String>, source: toml::de::Error) -> Self {
        Self::Declaration { file: file.into(), source: Box::new(source) }
    }
}

/// Something that works but may not be what was meant.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A field that the catalogue does not list: sent as written, typed by its name.
    UnknownField {
        /// The table.
        table: String,
        /// The field, as written.
        field: String,
        /// Its column.
        column: String,
        /// The type it was given.
        column_type: ColumnType,
        /// The listed field that may have been meant.
        nearest: Option<String>,
    },
    /// Other dimensions than the table's own: what identifies a row changed.
    PrimaryKeyChanged {
        /// The table.
        table: String,
        /// What identifies a row now.
        primary_key: Vec<String>,
    },
}

impl Warning {
    /// Which kind of warning.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownField { .. } => Code::UnknownField,
            Self::PrimaryKeyChanged { .. } => Code::PrimaryKeyChanged,
        }
    }

    /// The table it is about.
    pub fn table(&self) -> &str {
        match self {
            Self::UnknownField { table, .. } | Self::PrimaryKeyChanged { table, .. } => table,
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownField { table, field, column, column_type, nearest } => write!(
                f,
                "`{field}` of table `{table}` is not in the list of known fields{}; it is sent as written and stored \
                 as `{column}` {}",
                did_you_mean(nearest.as_deref()),
                column_type.name()
            ),
            Self::PrimaryKeyChanged { table, primary_key } => write!(
                f,
                "the configured dimensions change what identifies a row of `{table}` to {}",
                primary_key.join(", ")
            ),
        }
    }
}

/// The candidate most like `name`, if one is like it at all.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}
