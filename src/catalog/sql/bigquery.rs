//! BigQuery's dialect. NUMERIC is decimal(38, 9), exactly ours.

use super::Definition;
use super::views::Dialect;
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
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
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
pub fn clustering<'a>(definition: &Definition<'a>) -> Vec<&'a str> {
    let ids = definition.primary_key.iter().map(String::as_str).filter(|name| name.ends_with("_id"));
    ids.take(CLUSTERING_COLUMNS).collect()
}

/// The statement that creates a table, partitioned by its date and clustered by ids.
pub fn create_table(table: &Table, path: &[&str]) -> String {
    create(&Definition::of(table), path)
}

/// The statement that creates what is defined.
pub fn create(definition: &Definition<'_>, path: &[&str]) -> String {
    let mut lines: Vec<_> = definition.columns.iter().map(column_definition).collect();
    if let Some(key) = definition.declared_key() {
        let key: Vec<_> = key.iter().map(|name| quote(name)).collect();
        lines.push(format!("  PRIMARY KEY ({}) NOT ENFORCED", key.join(", ")));
    }
    let clustering: Vec<_> = clustering(definition).into_iter().map(quote).collect();
    let cluster = if clustering.is_empty() { String::new() } else { format!("CLUSTER BY {}\n", clustering.join(", ")) };
    let partition = definition.partition_by.map(|name| format!("PARTITION BY {}\n", quote(name))).unwrap_or_default();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n)\n{partition}{cluster}OPTIONS (description = {});\n",
        relation(path),
        lines.join(",\n"),
        literal(&definition.marked_description()),
    )
}

/// The statement that adds columns to a table; they may be null, as rows that are there have none.
pub fn add_columns(columns: &[&Column], path: &[&str]) -> String {
    let added: Vec<_> = columns
        .iter()
        .map(|column| {
            let (name, description) = (quote(&column.name), literal(&column.description));
            format!("  ADD COLUMN IF NOT EXISTS {name} {} OPTIONS (description = {description})", column_type(column))
        })
        .collect();
    format!("ALTER TABLE {}\n{};\n", relation(path), added.join(",\n"))
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

/// How views are written.
pub const VIEWS: Dialect = Dialect { quote, literal, float: "FLOAT64", numeric: "NUMERIC", text: "STRING" };
