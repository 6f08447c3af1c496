//! Snowflake's dialect. Identifiers are quoted in upper case, which is the same as unquoted: safe here, and no quoting
//! in anybody's queries. Instants are `TIMESTAMP_TZ`, because COPY turns Parquet's UTC instants into session time for
//! `TIMESTAMP_NTZ`. A primary key is declared only where its columns are never null: Snowflake makes them NOT NULL.

use super::Definition;
use super::views::Dialect;
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
    create(&Definition::of(table), path)
}

/// The statement that creates what is defined.
pub fn create(definition: &Definition<'_>, path: &[&str]) -> String {
    let mut lines: Vec<_> = definition.columns.iter().map(column_definition).collect();
    if let Some(key) = definition.declared_key() {
        let key: Vec<_> = key.iter().map(|name| quote(name)).collect();
        lines.push(format!("  PRIMARY KEY ({}) NOT ENFORCED", key.join(", ")));
    }
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n)\nCOMMENT = {};\n",
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
            format!("  {name} {} COMMENT {description}", column_type(column))
        })
        .collect();
    format!("ALTER TABLE {} ADD COLUMN\n{};\n", relation(path), added.join(",\n"))
}

fn column_definition(column: &Column) -> String {
    let not_null = if column.mode == Mode::Required { " NOT NULL" } else { "" };
    format!("  {} {}{not_null} COMMENT {}", quote(&column.name), column_type(column), literal(&column.description))
}

/// How views are written.
pub const VIEWS: Dialect = Dialect { quote, literal, float: "FLOAT", numeric: "NUMBER(38, 9)", text: "VARCHAR" };
