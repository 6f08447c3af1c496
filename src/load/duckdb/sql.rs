//! The statements of a load into DuckDB, or into `PostgreSQL` through it. Nothing is executed here.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::place::{Engine, Place};
use crate::catalog::sql::Definition;
use crate::catalog::sql::duckdb::{add_columns, column_type, comments, create_only, literal, quote, relation};
use crate::catalog::sql::views::View;
use crate::catalog::{Column, ColumnType, Mode};
use crate::load::files::{LoadFile, Location};
use crate::load::state::{self, STATE_TABLE};
use crate::load::target::TableLoad;

/// The type of a column as the catalog of DuckDB names it.
pub(super) fn described_type(engine: Engine, column: &Column) -> String {
    column_type(&stored(engine, column)).replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
}

/// The column as the engine stores it: `PostgreSQL` has no type for records without a name, so they are JSON there.
fn stored(engine: Engine, column: &Column) -> Column {
    match (engine, &column.column_type) {
        (Engine::Postgres, ColumnType::Record(_)) => {
            let mode = if column.mode == Mode::Required { Mode::Required } else { Mode::Nullable };
            Column { column_type: ColumnType::Json, mode, ..column.clone() }
        }
        _ => column.clone(),
    }
}

/// Which DuckDB it is.
pub(super) const VERSION: &str = "SELECT version() AS version;\n";

fn in_schema(place: &Place, name_column: &str, name: &str) -> String {
    format!(
        "database_name = {} AND schema_name = {} AND lower({name_column}) = {}",
        literal(place.catalog()),
        literal(place.schema()),
        literal(&name.to_lowercase())
    )
}

/// How many tables have this name: one or none.
pub(super) fn count_tables(place: &Place, name: &str) -> String {
    format!("SELECT count(*) AS count FROM duckdb_tables() WHERE {};\n", in_schema(place, "table_name", name))
}

/// What is loaded.
pub(super) fn select_state(place: &Place) -> String {
    format!(
        "SELECT output_id, table_name, CAST(partition_date AS VARCHAR) AS partition_date, sha256, row_count FROM {};\n",
        place.relation(STATE_TABLE)
    )
}

/// Whether a name is that of a table or view, and its description.
pub(super) fn describe(place: &Place, name: &str) -> String {
    if place.engine() == Engine::Postgres {
        let inner = format!(
            "SELECT CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END AS kind, obj_description(c.oid) AS \
             description FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} \
             AND c.relkind IN ('r', 'p', 'f', 'v', 'm')",
            literal(place.schema()),
            literal(name)
        );
        return format!("SELECT * FROM postgres_query({}, {});\n", literal(place.catalog()), literal(&inner));
    }
    let (table, view) = (in_schema(place, "table_name", name), in_schema(place, "view_name", name));
    format!(
        "SELECT 'table' AS kind, comment AS description FROM duckdb_tables() WHERE {table} UNION ALL \
         SELECT 'view' AS kind, comment AS description FROM duckdb_views() WHERE {view};\n"
    )
}

/// Names and types of columns.
pub(super) fn columns(place: &Place, name: &str) -> String {
    let condition = in_schema(place, "table_name", name);
    format!("SELECT column_name, data_type FROM duckdb_columns() WHERE {condition} ORDER BY column_index;\n")
}

/// Whether a table has rows.
pub(super) fn any_row(place: &Place, name: &str) -> String {
    format!("SELECT count(*) AS count FROM (SELECT 1 FROM {} LIMIT 1);\n", place.relation(name))
}

/// Creates schema, tables and columns; may be executed again.
pub(super) fn prepare(place: &Place, load: &TableLoad<'_>) -> Vec<String> {
    let mut statements =
        vec![format!("CREATE SCHEMA IF NOT EXISTS {};\n", relation(&[place.catalog(), place.schema()]))];
    let state = state::columns();
    let state = state::definition(&state);
    statements.push(create_only(&state, &place.parts(STATE_TABLE)));
    let columns: Vec<Column> = load.table.columns.iter().map(|column| stored(place.engine(), column)).collect();
    let definition = Definition { columns: &columns, ..Definition::of(load.table) };
    let parts = place.parts(load.name);
    if load.existing.is_none() {
        statements.push(create_only(&definition, &parts));
        statements.push(match place.engine() {
            Engine::Postgres => in_postgres(place, &comments(&definition, &[place.schema(), load.name])),
            Engine::DuckDb | Engine::MotherDuck | Engine::DuckLake => comments(&definition, &parts),
        });
    }
    let added: Vec<Column> = load.added.iter().map(|column| stored(place.engine(), column)).collect();
    if !added.is_empty() {
        statements.push(add_columns(&added.iter().collect::<Vec<_>>(), &parts));
    }
    statements
}

/// A statement that `PostgreSQL` executes as it is.
fn in_postgres(place: &Place, statement: &str) -> String {
    format!("CALL postgres_execute({}, {});\n", literal(place.catalog()), literal(statement.trim_end()))
}

fn date_list(dates: &[NaiveDate]) -> String {
    dates.iter().map(|date| format!("DATE '{date}'")).collect::<Vec<_>>().join(", ")
}

/// The condition for the days of a load.
fn days(load: &TableLoad<'_>) -> String {
    format!("{} IN ({})", quote(&load.table.partition_by), date_list(&load.dates()))
}

/// How many rows the days have.
pub(super) fn count_days(place: &Place, load: &TableLoad<'_>) -> String {
    format!("SELECT count(*) AS count FROM {} WHERE {};\n", place.relation(load.name), days(load))
}

/// Everything between BEGIN and COMMIT.
pub(super) fn replace(place: &Place, load: &TableLoad<'_>) -> Vec<String> {
    let mut statements = vec![format!("DELETE FROM {} WHERE {};\n", place.relation(load.name), days(load))];
    statements.extend(load.groups().iter().map(|files| insert(place, load, files)));
    statements.push(check_rows(place, load));
    statements.extend(replace_state(place, load));
    statements
}

/// Inserts the rows of files with the same columns.
fn insert(place: &Place, load: &TableLoad<'_>, files: &[&LoadFile]) -> String {
    let schema = files.first().map(|file| &file.schema);
    let is_in_files = |column: &&Column| schema.is_some_and(|schema| schema.field_with_name(&column.name).is_ok());
    let columns: Vec<&Column> = load.table.columns.iter().filter(is_in_files).collect();
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let values: Vec<String> = columns.iter().map(|column| value(place.engine(), column)).collect();
    let paths: Vec<String> = files.iter().map(|file| literal(&address(&file.location))).collect();
    format!(
        "INSERT INTO {} ({})\nSELECT {}\nFROM read_parquet([\n  {}\n], hive_partitioning = false);\n",
        place.relation(load.name),
        names.join(", "),
        values.join(", "),
        paths.join(",\n  "),
    )
}

/// What is inserted for a column.
fn value(engine: Engine, column: &Column) -> String {
    let name = quote(&column.name);
    match (engine, &column.column_type) {
        (Engine::Postgres, ColumnType::Record(_)) => format!("to_json({name})"),
        (_, ColumnType::Json) => format!("CAST({name} AS JSON)"),
        _ => name,
    }
}

/// What `read_parquet` is given. A path is a pattern to it, so what has a meaning in patterns stands in brackets.
fn address(location: &Location) -> String {
    match location {
        Location::Local(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string();
            path.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]")
        }
        Location::Url(url) => url.clone(),
    }
}

/// Fails where the days do not have the rows that were recorded.
fn check_rows(place: &Place, load: &TableLoad<'_>) -> String {
    let rows = load.rows();
    let message = literal(&format!(" rows of {} arrived, and {rows} are recorded", load.name));
    format!(
        "SELECT CASE WHEN count(*) <> {rows} THEN error(count(*) || {message}) END AS checked FROM {} WHERE {};\n",
        place.relation(load.name),
        days(load),
    )
}

fn replace_state(place: &Place, load: &TableLoad<'_>) -> Vec<String> {
    let (table, output) = (literal(load.name), literal(load.output_id));
    let state = place.relation(STATE_TABLE);
    let mut statements = vec![format!(
        "DELETE FROM {state} WHERE output_id = {output} AND table_name = {table} AND partition_date IN ({});\n",
        date_list(&load.dates())
    )];
    if load.replace.is_empty() {
        return statements;
    }
    let loaded_at = instant(load.loaded_at);
    let rows = load.replace.iter().map(|partition| {
        let (sha256, run_id) = (literal(&partition.sha256), literal(&partition.run_id));
        let (date, rows, pulled_at) = (partition.date, partition.rows, instant(partition.pulled_at));
        format!("  ({output}, {table}, DATE '{date}', {sha256}, {rows}, {run_id}, {pulled_at}, {loaded_at})")
    });
    statements.push(format!(
        "INSERT INTO {state} (output_id, table_name, partition_date, sha256, row_count, run_id, pulled_at, loaded_at) \
         VALUES\n{};\n",
        rows.collect::<Vec<_>>().join(",\n")
    ));
    statements
}

fn instant(time: DateTime<Utc>) -> String {
    format!("CAST('{}' AS TIMESTAMPTZ)", time.to_rfc3339_opts(SecondsFormat::Micros, false))
}

/// Creates or replaces views, and describes them.
pub(super) fn create_views(place: &Place, views: &[View]) -> Vec<String> {
    let mut statements = Vec::new();
    // The views name schema and table only, so that they work under whatever name the database is opened.
    if place.engine() != Engine::Postgres {
        statements.push(format!("USE {};\n", relation(&[place.catalog(), place.schema()])));
    }
    for view in views {
        let path = relation(&[place.schema(), &view.name]);
        let describe = format!("COMMENT ON VIEW {path} IS {};\n", literal(&view.description));
        match place.engine() {
            Engine::Postgres => {
                // A view there cannot lose or reorder columns by being replaced.
                let mut script = format!("DROP VIEW IF EXISTS {path}; CREATE VIEW {path} AS\n{};\n", view.query);
                script.push_str(&describe);
                statements.push(in_postgres(place, &script));
            }
            Engine::DuckDb | Engine::MotherDuck | Engine::DuckLake => {
                let mut script = String::new();
                write!(script, "CREATE OR REPLACE VIEW {path} AS\n{};\n{describe}", view.query).expect("a string");
                statements.push(script);
            }
        }
    }
    if place.engine() != Engine::Postgres {
        statements.push("USE memory;\n".to_owned());
    }
    statements
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_path_with_signs_of_patterns_means_exactly_that_path() {
        let path = Location::Local(PathBuf::from("/a[1]/b*c?'d"));
        assert_eq!(address(&path), "/a[[]1]/b[*]c[?]'d");
    }
}
