//! Snowflake's dialect. Identifiers are quoted in upper case, which is the same as unquoted: safe here, and no quoting
//! in anybody's queries. Instants are `TIMESTAMP_TZ`, because COPY turns Parquet's UTC instants into session time for
//! `TIMESTAMP_NTZ`. No primary key is declared: Snowflake would make its columns NOT NULL.

use crate::catalog::{Column, ColumnType, Mode, Table};

/// An identifier, quoted and in upper case.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.to_uppercase().replace('"', "\"\""))
}

/// A path such as database, schema and table, quoted part by part.
pub fn relation(parts: &[&str]) -> String {
    parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".")
}

/// A string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The type of a column; lists and records are semi-structured.
pub fn column_type(column: &Column) -> &'static str {
    if column.mode == Mode::Repeated {
        return "ARRAY";
    }
    match &column.column_type {
        ColumnType::String => "VARCHAR",
        ColumnType::Integer => "NUMBER(38, 0)",
        ColumnType::Numeric => "NUMBER(38, 9)",
        ColumnType::Float => "FLOAT",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP_TZ(6)",
        ColumnType::Json => "VARIANT",
        ColumnType::Record(_) => "OBJECT",
    }
}

/// The statement that creates a table.
pub fn create_table(table: &Table, path: &[&str]) -> String {
    let columns: Vec<_> = table.columns.iter().map(column_definition).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n)\nCOMMENT = {};\n",
        relation(path),
        columns.join(",\n"),
        literal(&table.description),
    )
}

fn column_definition(column: &Column) -> String {
    let not_null = if column.mode == Mode::Required { " NOT NULL" } else { "" };
    format!("  {} {}{not_null} COMMENT {}", quote(&column.name), column_type(column), literal(&column.description))
}
