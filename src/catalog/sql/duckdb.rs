//! DuckDB's dialect. No primary key is declared: DuckDB would refuse the nulls that Criteo may send in ids.

use crate::catalog::{Column, ColumnType, Mode, Table};

/// An identifier, quoted.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A path such as database, schema and table, quoted part by part.
pub fn relation(parts: &[&str]) -> String {
    parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".")
}

/// A string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The type of a column, lists and records included.
pub fn column_type(column: &Column) -> String {
    let value = match &column.column_type {
        ColumnType::String => "VARCHAR".to_owned(),
        ColumnType::Integer => "BIGINT".to_owned(),
        ColumnType::Numeric => "DECIMAL(38, 9)".to_owned(),
        ColumnType::Float => "DOUBLE".to_owned(),
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMPTZ".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
        ColumnType::Record(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|field| format!("{} {}", quote(&field.name), column_type(field))).collect();
            format!("STRUCT({})", fields.join(", "))
        }
    };
    match column.mode {
        Mode::Repeated => format!("{value}[]"),
        Mode::Nullable | Mode::Required => value,
    }
}

/// The statements that create a table and describe it.
pub fn create_table(table: &Table, path: &[&str]) -> String {
    let relation = relation(path);
    let columns: Vec<_> = table.columns.iter().map(column_definition).collect();
    let comment = |column: &Column| {
        format!("COMMENT ON COLUMN {relation}.{} IS {};\n", quote(&column.name), literal(&column.description))
    };
    let comments = table.columns.iter().map(comment).collect::<Vec<_>>().concat();
    format!(
        "CREATE TABLE IF NOT EXISTS {relation} (\n{}\n);\nCOMMENT ON TABLE {relation} IS {};\n{comments}",
        columns.join(",\n"),
        literal(&table.description),
    )
}

fn column_definition(column: &Column) -> String {
    let not_null = if column.mode == Mode::Required { " NOT NULL" } else { "" };
    format!("  {} {}{not_null}", quote(&column.name), column_type(column))
}
