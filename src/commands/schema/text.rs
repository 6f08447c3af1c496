//! The contract for people: the columns of one table, or a list of all tables.

use super::Selection;
use crate::catalog::{Column, ColumnType, Connector, Table};
use crate::commands::columns::aligned;

pub(super) fn render(selection: Selection<'_>) -> String {
    match selection {
        Selection::One(table) => one(table),
        Selection::All(tables) => list(tables),
    }
}

fn one(table: &Table) -> String {
    let mut rows = vec![["column", "type", "mode", "source", "description"].map(str::to_owned)];
    for column in &table.columns {
        push(&mut rows, column, 0);
    }
    format!(
        "{}: {}\njob: {} ({})\nprimary key: {}\npartitioned by: {}\n\n{}",
        table.name,
        table.description,
        table.job.name(),
        Connector::get().scope(table.job).name,
        table.primary_key.join(", "),
        table.partition_by,
        aligned(&rows, &[]),
    )
}

fn push(rows: &mut Vec<[String; 5]>, column: &Column, depth: usize) {
    let indent = "  ".repeat(depth);
    rows.push([
        format!("{indent}{}", column.name),
        column.column_type.name().to_owned(),
        column.mode.name().to_owned(),
        column.source().unwrap_or("-").to_owned(),
        column.description.clone(),
    ]);
    if let ColumnType::Record(fields) = &column.column_type {
        for field in fields {
            push(rows, field, depth + 1);
        }
    }
}

fn list(tables: &[Table]) -> String {
    let mut rows = vec![["table", "job", "pulled", "columns", "description"].map(str::to_owned)];
    for table in tables {
        rows.push([
            table.name.clone(),
            table.job.name().to_owned(),
            if table.enabled { "yes" } else { "no" }.to_owned(),
            table.columns.len().to_string(),
            table.description.clone(),
        ]);
    }
    format!("{}\n`criteo-source schema TABLE` shows the columns of one table.\n", aligned(&rows, &[]))
}
