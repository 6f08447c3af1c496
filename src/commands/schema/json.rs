//! The contract as JSON: one object for one table, a list for all.

use serde::Serialize;

use super::Selection;
use crate::catalog::{Column, ColumnType, Connector, Table};

#[derive(Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    job: &'static str,
    /// The scope of the job; `advertisers` alone would need none, but its job does.
    scope: &'a str,
    primary_key: &'a [String],
    partition_by: &'a str,
    columns: Vec<ColumnDocument<'a>>,
}

#[derive(Serialize)]
struct ColumnDocument<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    column_type: &'static str,
    mode: &'static str,
    source: Option<&'a str>,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<ColumnDocument<'a>>>,
}

pub(super) fn render(selection: Selection<'_>) -> String {
    let text = match selection {
        Selection::One(table) => serde_json::to_string_pretty(&TableDocument::new(table)),
        Selection::All(tables) => {
            serde_json::to_string_pretty(&tables.iter().map(TableDocument::new).collect::<Vec<_>>())
        }
    };
    text.expect("text and lists are always JSON") + "\n"
}

impl<'a> TableDocument<'a> {
    fn new(table: &'a Table) -> Self {
        Self {
            table: &table.name,
            job: table.job.name(),
            scope: &Connector::get().scope(table.job).name,
            primary_key: &table.primary_key,
            partition_by: &table.partition_by,
            columns: table.columns.iter().map(ColumnDocument::new).collect(),
        }
    }
}

impl<'a> ColumnDocument<'a> {
    fn new(column: &'a Column) -> Self {
        let fields = match &column.column_type {
            ColumnType::Record(fields) => Some(fields.iter().map(ColumnDocument::new).collect()),
            ColumnType::String
            | ColumnType::Integer
            | ColumnType::Numeric
            | ColumnType::Float
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Json => None,
        };
        Self {
            name: &column.name,
            column_type: column.column_type.name(),
            mode: column.mode.name(),
            source: column.source(),
            description: &column.description,
            fields,
        }
    }
}
