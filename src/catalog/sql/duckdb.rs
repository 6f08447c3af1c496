//! DuckDB's dialect. No primary key is declared: DuckDB would refuse the nulls that Criteo may send in ids.

use super::Definition;
use super::views::Dialect;
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
    create(&Definition::of(table), path)
}

/// The statements that create what is defined, and describe it.
pub fn create(definition: &Definition<'_>, path: &[&str]) -> String {
    format!("{}{}", create_only(definition, path), comments(definition, path))
}

/// The statement that creates what is defined.
pub fn create_only(definition: &Definition<'_>, path: &[&str]) -> String {
    let columns: Vec<_> = definition.columns.iter().map(column_definition).collect();
    format!("CREATE TABLE IF NOT EXISTS {} (\n{}\n);\n", relation(path), columns.join(",\n"))
}

/// The statements that describe a table and its columns.
pub fn comments(definition: &Definition<'_>, path: &[&str]) -> String {
    let relation = relation(path);
    let comment = |column: &Column| {
        format!("COMMENT ON COLUMN {relation}.{} IS {};\n", quote(&column.name), literal(&column.description))
    };
    let table = format!("COMMENT ON TABLE {relation} IS {};\n", literal(&definition.marked_description()));
    std::iter::once(table).chain(definition.columns.iter().map(comment)).collect()
}

/// The statements that add columns to a table; they may be null, as rows that are there have none.
pub fn add_columns(columns: &[&Column], path: &[&str]) -> String {
    let add = |column: &&Column| {
        let (name, column_type) = (quote(&column.name), column_type(column));
        format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {name} {column_type};\n", relation(path))
    };
    columns.iter().map(add).collect()
}

fn column_definition(column: &Column) -> String {
    let not_null = if column.mode == Mode::Required { " NOT NULL" } else { "" };
    format!("  {} {}{not_null}", quote(&column.name), column_type(column))
}

/// How views are written; `PostgreSQL`, which DuckDB may have attached, understands them too.
pub const VIEWS: Dialect =
    Dialect { quote, literal, float: "DOUBLE PRECISION", numeric: "DECIMAL(38, 9)", text: "VARCHAR" };
