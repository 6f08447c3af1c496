//! The statements of a load into Snowflake. Nothing is executed here.
//!
//! `COPY` always names its files: a path under which nothing lies is a success to Snowflake. JSON arrives as text and
//! becomes JSON in the `INSERT`, since `COPY` would store it as a string inside a VARIANT.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::place::Place;
use crate::catalog::sql::Definition;
use crate::catalog::sql::snowflake::{add_columns, column_type, create, literal, quote};
use crate::catalog::sql::views::View;
use crate::catalog::{Column, ColumnType};
use crate::load::state::{self, STATE_TABLE};
use crate::load::target::TableLoad;

/// Files that one COPY may name.
const MAX_FILES: usize = 1000;
const FORMAT: &str = "FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE USE_LOGICAL_TYPE = TRUE NULL_IF = ())\n  \
     MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\n  ON_ERROR = ABORT_STATEMENT";

/// What every session begins with: no default of user or account may change what is loaded.
pub(super) const SESSION: &str = "ALTER SESSION SET TIMEZONE = 'UTC' QUERY_TAG = 'criteo-source load' \
     ABORT_DETACHED_QUERY = FALSE AUTOCOMMIT = TRUE;\n";
pub(super) const BEGIN: &str = "BEGIN;\n";
pub(super) const COMMIT: &str = "COMMIT;\n";
pub(super) const ROLLBACK: &str = "ROLLBACK;\n";

/// The type of a column as [`columns`] tells it. Lists, records and JSON are all semi-structured, and each kind of column
/// takes the values of the others.
pub(super) fn described_type(column: &Column) -> String {
    match column_type(column) {
        "ARRAY" | "OBJECT" | "VARIANT" => "VARIANT",
        other => other,
    }
    .replace(' ', "")
}

/// Schema, tables and views that are there, with their descriptions.
pub(super) fn relations(place: &Place) -> String {
    format!(
        "SELECT s.SCHEMA_NAME AS \"schema_name\", t.TABLE_NAME AS \"table_name\", t.TABLE_TYPE AS \"kind\", t.COMMENT AS \
         \"description\", t.ROW_COUNT AS \"row_count\" FROM {0}.INFORMATION_SCHEMA.SCHEMATA AS s LEFT JOIN \
         {0}.INFORMATION_SCHEMA.TABLES AS t ON t.TABLE_SCHEMA = s.SCHEMA_NAME WHERE s.SCHEMA_NAME = {1};\n",
        quote(place.database()),
        literal(&place.schema().to_uppercase()),
    )
}

/// The columns of every table and view of the schema.
pub(super) fn columns(place: &Place) -> String {
    format!(
        "SELECT TABLE_NAME AS \"table_name\", COLUMN_NAME AS \"column_name\", CASE \
         WHEN DATA_TYPE = 'NUMBER' THEN 'NUMBER(' || NUMERIC_PRECISION || ',' || NUMERIC_SCALE || ')' \
         WHEN DATA_TYPE = 'TEXT' THEN 'VARCHAR' \
         WHEN DATA_TYPE LIKE 'TIMESTAMP%' THEN DATA_TYPE || '(' || DATETIME_PRECISION || ')' \
         WHEN DATA_TYPE IN ('ARRAY', 'OBJECT') THEN 'VARIANT' ELSE DATA_TYPE END AS \"data_type\" \
         FROM {}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME, ORDINAL_POSITION;\n",
        quote(place.database()),
        literal(&place.schema().to_uppercase()),
    )
}

/// What is loaded.
pub(super) fn select_state(place: &Place) -> String {
    format!(
        "SELECT {} AS \"output_id\", {} AS \"table_name\", {} AS \"partition_date\", {} AS \"sha256\", {} AS \"row_count\" FROM {};\n",
        quote("output_id"),
        quote("table_name"),
        quote("partition_date"),
        quote("sha256"),
        quote("row_count"),
        place.relation(STATE_TABLE),
    )
}

pub(super) fn create_schema(place: &Place) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {}.{};\n", quote(place.database()), quote(place.schema()))
}

pub(super) fn create_state(place: &Place) -> String {
    let columns = state::columns();
    create(&state::definition(&columns), &place.parts(STATE_TABLE))
}

/// Creates or extends the table. Each of these commits whatever is open, so they come before the transaction.
pub(super) fn prepare(place: &Place, load: &TableLoad<'_>) -> Vec<String> {
    if load.existing.is_none() {
        return vec![create(&Definition::of(load.table), &place.parts(load.name))];
    }
    if load.added.is_empty() { Vec::new() } else { vec![add_columns(&load.added, &place.parts(load.name))] }
}

/// The table that rows arrive in: ours for this session only, without history of loads.
pub(super) fn create_staging(place: &Place, load: &TableLoad<'_>) -> String {
    let columns: Vec<String> = load
        .table
        .columns
        .iter()
        .map(|column| {
            let staged = if column.column_type == ColumnType::Json { "VARCHAR" } else { column_type(column) };
            format!("  {} {staged}", quote(&column.name))
        })
        .collect();
    format!("CREATE OR REPLACE TEMPORARY TABLE {} (\n{}\n);\n", staging(place, load), columns.join(",\n"))
}

pub(super) fn staging(place: &Place, load: &TableLoad<'_>) -> String {
    place.relation(&format!("{}_criteo_source_staging_{}", load.name, load.version))
}

/// Uploads a file, or several by a pattern, to a path of a stage.
pub(super) fn put(source: &str, stage: &str) -> String {
    let source = format!("file://{source}");
    format!("PUT {} {stage} AUTO_COMPRESS = FALSE OVERWRITE = TRUE;\n", literal(&source))
}

/// Reads files of a stage, in as few statements as Snowflake allows.
pub(super) fn copy(place: &Place, load: &TableLoad<'_>, stage: &str, files: &[String], purge: bool) -> Vec<String> {
    let purge = if purge { "\n  PURGE = TRUE" } else { "" };
    let one = |files: &[String]| {
        let names: Vec<String> = files.iter().map(|file| literal(file)).collect();
        format!(
            "COPY INTO {} FROM {stage}\n  FILES = ({})\n  {FORMAT}{purge};\n",
            staging(place, load),
            names.join(", "),
        )
    };
    files.chunks(MAX_FILES).map(one).collect()
}

/// For a script, which cannot compare what COPY says: fails unless as many rows arrived as are recorded.
pub(super) fn check_rows(place: &Place, load: &TableLoad<'_>) -> String {
    let rows = load.rows();
    format!(
        "SELECT TO_NUMBER(IFF(COUNT(*) = {rows}, '{rows}', 'not the {rows} rows that are recorded: stop here')) FROM {};\n",
        staging(place, load)
    )
}

/// Empties the days.
pub(super) fn delete(place: &Place, load: &TableLoad<'_>) -> String {
    let column = quote(&load.table.partition_by);
    format!("DELETE FROM {} WHERE {column} IN ({});\n", place.relation(load.name), date_list(&load.dates()))
}

/// Fills them from staging.
pub(super) fn insert(place: &Place, load: &TableLoad<'_>) -> String {
    let columns = &load.table.columns;
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let value = |column: &Column| {
        let name = quote(&column.name);
        if column.column_type == ColumnType::Json { format!("PARSE_JSON({name})") } else { name }
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    format!(
        "INSERT INTO {} ({})\nSELECT {}\nFROM {};\n",
        place.relation(load.name),
        names.join(", "),
        values.join(", "),
        staging(place, load),
    )
}

/// Writes what is loaded now.
pub(super) fn replace_state(place: &Place, load: &TableLoad<'_>) -> Vec<String> {
    let names: Vec<String> = state::columns().iter().map(|column| quote(&column.name)).collect();
    let [output_id, table_name, partition_date] = ["output_id", "table_name", "partition_date"].map(quote);
    let (output, table) = (literal(load.output_id), literal(load.name));
    let delete = format!(
        "DELETE FROM {} WHERE {output_id} = {output} AND {table_name} = {table} AND {partition_date} IN ({});\n",
        place.relation(STATE_TABLE),
        date_list(&load.dates()),
    );
    if load.replace.is_empty() {
        return vec![delete];
    }
    let loaded_at = instant(load.loaded_at);
    let rows = load.replace.iter().map(|partition| {
        let (sha256, run_id) = (literal(&partition.sha256), literal(&partition.run_id));
        let (date, rows, pulled_at) = (partition.date, partition.rows, instant(partition.pulled_at));
        format!("  ({output}, {table}, '{date}'::DATE, {sha256}, {rows}, {run_id}, {pulled_at}, {loaded_at})")
    });
    let insert = format!(
        "INSERT INTO {} ({}) VALUES\n{};\n",
        place.relation(STATE_TABLE),
        names.join(", "),
        rows.collect::<Vec<_>>().join(",\n"),
    );
    vec![delete, insert]
}

/// Removes what was uploaded.
pub(super) fn remove(stage: &str) -> String {
    format!("REMOVE {stage};\n")
}

/// Creates a view, or replaces it; its readers keep their grants.
pub(super) fn create_view(place: &Place, view: &View) -> String {
    format!(
        "CREATE OR REPLACE VIEW {} COPY GRANTS COMMENT = {} AS\n{};\n",
        place.relation(&view.name),
        literal(&view.description),
        view.query,
    )
}

fn date_list(dates: &[NaiveDate]) -> String {
    dates.iter().map(|date| format!("'{date}'::DATE")).collect::<Vec<_>>().join(", ")
}

fn instant(time: DateTime<Utc>) -> String {
    format!("'{}'::TIMESTAMP_TZ", time.to_rfc3339_opts(SecondsFormat::Micros, false))
}
