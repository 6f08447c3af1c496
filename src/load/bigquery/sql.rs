//! The scripts of a load into BigQuery. Nothing is executed here.

#![expect(clippy::format_push_string, reason = "scripts are short, and read like what they print")]

use chrono::NaiveDate;
use serde_json::Value;

use super::instant;
use crate::catalog::sql::Definition;
use crate::catalog::sql::bigquery::{add_columns, create, literal, quote, relation};
use crate::catalog::sql::views::View;
use crate::catalog::{Column, ColumnType};
use crate::load::error::{LoadError, LoadErrorKind};
use crate::load::files::LoadFile;
use crate::load::state::{self, HeldPartition, STATE_TABLE};
use crate::load::target::TableLoad;

/// A row of the table of what is loaded, as the API writes it.
pub(super) fn held_partition(row: &Value) -> Result<HeldPartition, LoadError> {
    let cell = |index: usize| row["f"][index]["v"].as_str();
    let partition = || {
        Some(HeldPartition {
            output_id: cell(0)?.to_owned(),
            table: cell(1)?.to_owned(),
            date: cell(2)?.parse().ok()?,
            sha256: cell(3)?.to_owned(),
            rows: cell(4)?.parse().ok()?,
        })
    };
    partition().ok_or_else(|| LoadError::new(LoadErrorKind::Failed, format!("`{STATE_TABLE}` cannot be read: {row}")))
}

/// The columns of the table that the files have.
pub(super) fn columns_in<'l>(load: &TableLoad<'l>, files: &[&LoadFile]) -> Vec<&'l Column> {
    let schema = files.first().map(|file| &file.schema);
    let is_in_files = |column: &&Column| schema.is_some_and(|schema| schema.field_with_name(&column.name).is_ok());
    load.table.columns.iter().filter(is_in_files).collect()
}

/// Creates what is missing; empty if nothing is.
pub(super) fn prepare(project: &str, dataset: &str, load: &TableLoad<'_>, is_state_there: bool) -> String {
    let mut script = String::new();
    if !is_state_there {
        let columns = state::columns();
        script.push_str(&create(&state::definition(&columns), &[project, dataset, STATE_TABLE]));
    }
    let path = [project, dataset, load.name];
    if load.existing.is_none() {
        script.push_str(&create(&Definition::of(load.table), &path));
    } else if !load.added.is_empty() {
        script.push_str(&add_columns(&load.added, &path));
    }
    script
}

fn date_list(dates: &[NaiveDate]) -> String {
    dates.iter().map(|date| format!("DATE '{date}'")).collect::<Vec<_>>().join(", ")
}

/// Checks what is staged, then replaces the days in one transaction.
pub(super) fn replace(
    project: &str,
    dataset: &str,
    load: &TableLoad<'_>,
    groups: &[Vec<&LoadFile>],
    staged: &[String],
) -> String {
    let path = |name: &str| relation(&[project, dataset, name]);
    let mut script = String::new();
    for (files, staging) in groups.iter().zip(staged) {
        let rows: u64 = files.iter().map(|file| file.partition.rows).sum();
        let message = literal(&format!("staged rows of {} are not the {rows} that are recorded", load.name));
        script.push_str(&format!("ASSERT (SELECT COUNT(*) FROM {}) = {rows} AS {message};\n", path(staging)));
    }
    // Whole days by literals only: deleting them costs no bytes.
    let days = format!("{} IN ({})", quote(&load.table.partition_by), date_list(&load.dates()));
    script.push_str(&format!("BEGIN TRANSACTION;\nDELETE FROM {} WHERE {days};\n", path(load.name)));
    for (files, staging) in groups.iter().zip(staged) {
        let columns = columns_in(load, files);
        let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
        let values: Vec<_> = columns.iter().map(|column| value(column)).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        script.push_str(&format!(
            "INSERT INTO {} ({names})\nSELECT {values}\nFROM {};\n",
            path(load.name),
            path(staging)
        ));
    }
    script.push_str(&replace_state(&path(STATE_TABLE), load));
    script.push_str("COMMIT TRANSACTION;\n");
    script
}

/// What is inserted for a column: text becomes JSON here, and a text that is not JSON is an error.
fn value(column: &Column) -> String {
    let name = quote(&column.name);
    match column.column_type {
        ColumnType::Json => format!("PARSE_JSON({name}, wide_number_mode=>'round')"),
        _ => name,
    }
}

fn replace_state(state: &str, load: &TableLoad<'_>) -> String {
    let (table, output) = (literal(load.name), literal(load.output_id));
    let mut script = format!(
        "DELETE FROM {state} WHERE output_id = {output} AND table_name = {table} AND partition_date IN ({});\n",
        date_list(&load.dates())
    );
    if load.replace.is_empty() {
        return script;
    }
    let loaded_at = instant(load.loaded_at);
    let rows = load.replace.iter().map(|partition| {
        let (sha256, run_id) = (literal(&partition.sha256), literal(&partition.run_id));
        let (date, rows, pulled_at) = (partition.date, partition.rows, instant(partition.pulled_at));
        format!("  ({output}, {table}, DATE '{date}', {sha256}, {rows}, {run_id}, {pulled_at}, {loaded_at})")
    });
    script.push_str(&format!(
        "INSERT INTO {state} (output_id, table_name, partition_date, sha256, row_count, run_id, pulled_at, loaded_at) \
         VALUES\n{};\n",
        rows.collect::<Vec<_>>().join(",\n")
    ));
    script
}

/// Creates or replaces views.
pub(super) fn create_views(project: &str, dataset: &str, views: &[View]) -> String {
    let create = |view: &View| {
        let (path, description) = (relation(&[project, dataset, &view.name]), literal(&view.description));
        format!("CREATE OR REPLACE VIEW {path}\nOPTIONS (description = {description}) AS\n{};\n", view.query)
    };
    views.iter().map(create).collect()
}
