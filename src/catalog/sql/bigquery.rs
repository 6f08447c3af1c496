//! BigQuery's dialect. NUMERIC is decimal(38, 9), exactly ours.

use crate::catalog::{Column, ColumnType, Mode, Table};

/// BigQuery clusters by at most four columns.
const CLUSTERING_COLUMNS: usize = 4;

/// An identifier, quoted.
pub fn quote(identifier: &str) -> String {
    format!("`{}`", identifier.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A path such as project, dataset and table, quoted part by part.
pub fn relation(parts: &[&str]) -> String {
    parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".")
}

/// A string literal.
pub fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The type of a column, lists and records included.
pub fn column_type(column: &Column) -> String {
    let value = match &column.column_type {
        ColumnType::String => "STRING".to_owned(),
        ColumnType::Integer => "INT64".to_owned(),
        ColumnType::Numeric => "NUMERIC".to_owned(),
        ColumnType::Float => "FLOAT64".to_owned(),
        ColumnType::Boolean => "BOOL".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
        ColumnType::Record(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|field| format!("{} {}", quote(&field.name), column_type(field))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
    };
    match column.mode {
        Mode::Repeated => format!("ARRAY<{value}>"),
        Mode::Nullable | Mode::Required => value,
    }
}

/// The key's id columns, which tables are clustered by.
pub fn clustering(table: &Table) -> Vec<&str> {
    let ids = table.primary_key.iter().map(String::as_str).filter(|name| name.ends_with("_id"));
    ids.take(CLUSTERING_COLUMNS).collect()
}

/// The statement that creates a table, partitioned by its date and clustered by ids.
pub fn create_table(table: &Table, path: &[&str]) -> String {
    let columns: Vec<_> = table.columns.iter().map(column_definition).collect();
    let clustering: Vec<_> = clustering(table).into_iter().map(quote).collect();
    let cluster = if clustering.is_empty() { String::new() } else { format!("CLUSTER BY {}\n", clustering.join(", ")) };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n)\nPARTITION BY {}\n{cluster}OPTIONS (description = {});\n",
        relation(path),
        columns.join(",\n"),
        quote(&table.partition_by),
        literal(&table.description),
    )
}

fn column_definition(column: &Column) -> String {
    let not_null = if column.mode == Mode::Required { " NOT NULL" } else { "" };
    format!(
        "  {} {}{not_null} OPTIONS (description = {})",
        quote(&column.name),
        column_type(column),
        literal(&column.description),
    )
}
