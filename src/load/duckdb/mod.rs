//! DuckDB, and what it can ATTACH, through the `duckdb` program: statements on its stdin, JSON from its stdout.
//!
//! Why not libduckdb: docs/decisions/duckdb.md. Statements are made in `sql`, executed in `session`.

mod place;
mod program;
mod session;
mod sql;

use chrono::NaiveDate;
use serde::Deserialize;

use self::place::Place;
use self::session::Session;
use super::error::{LoadError, LoadErrorKind};
use super::state::{HeldPartition, STATE_TABLE};
use super::target::{Existing, Loaded, Mode, TableLoad, Target, TargetStatistics, held_in_words};
use crate::catalog::sql::views::{Dialect, View};
use crate::catalog::sql::{MARK, duckdb};
use crate::catalog::{Column, Table};
use crate::settings::load::{DuckDbSettings, TargetKind};

pub use program::find as find_program;

/// A database that DuckDB can open or attach.
#[derive(Debug)]
pub struct DuckDb {
    settings: DuckDbSettings,
    place: Place,
    mode: Mode,
    session: Option<Session>,
    statements: Vec<String>,
    executed: u64,
    /// Tables that were loaded before, by whichever output.
    held_tables: Vec<String>,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

#[derive(Deserialize)]
struct HeldRow {
    output_id: String,
    table_name: String,
    partition_date: NaiveDate,
    sha256: String,
    row_count: u64,
}

#[derive(Deserialize)]
struct DescribedRow {
    kind: String,
    description: Option<String>,
}

#[derive(Deserialize)]
struct ColumnRow {
    column_name: String,
    data_type: String,
}

impl DuckDb {
    /// A target; nothing is opened before it is needed.
    pub fn new(settings: &DuckDbSettings, mode: Mode) -> Result<Self, LoadError> {
        let place = Place::parse(&settings.database, &settings.schema)?;
        Ok(Self {
            settings: settings.clone(),
            place,
            mode,
            session: None,
            statements: Vec::new(),
            executed: 0,
            held_tables: Vec::new(),
        })
    }

    /// The process that executes, with the database attached.
    async fn session(&mut self) -> Result<&mut Session, LoadError> {
        if self.session.is_none() {
            let mut session = Session::start(self.settings.program.as_deref())?;
            let attach = self.place.attach(self.mode == Mode::Print);
            session.run(&attach).await.map_err(|error| self.place.explain_attach(error))?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| LoadError::new(LoadErrorKind::Unreachable, "`duckdb` did not start"))
    }

    /// Rows of a query that changes nothing.
    async fn query<R: serde::de::DeserializeOwned>(&mut self, sql: &str) -> Result<Vec<R>, LoadError> {
        let answer = self.session().await?.run(sql).await;
        // After an error the program has ended, and what it had begun is rolled back; the next statement starts another.
        let rows = answer.inspect_err(|_| self.session = None)?;
        let parse = |row| serde_json::from_value(row).map_err(|error| unreadable(&error));
        rows.into_iter().map(parse).collect()
    }

    /// Executes statements, or collects them.
    async fn execute(&mut self, statements: Vec<String>) -> Result<(), LoadError> {
        if self.mode == Mode::Print {
            self.statements.extend(statements);
            return Ok(());
        }
        self.executed += u64::try_from(statements.len()).unwrap_or_default();
        let _: Vec<serde_json::Value> = self.query(&statements.concat()).await?;
        Ok(())
    }

    /// Whether there is something to read: a file that is not there yet is not created by looking.
    fn is_there(&self) -> bool {
        self.mode == Mode::Execute || self.place.exists()
    }
}

fn unreadable(error: &serde_json::Error) -> LoadError {
    LoadError::new(LoadErrorKind::Failed, format!("the answer of `duckdb` could not be read: {error}"))
}

impl Target for DuckDb {
    fn kind(&self) -> TargetKind {
        TargetKind::DuckDb
    }

    fn place(&self) -> String {
        self.place.to_string()
    }

    fn table_prefix(&self) -> &str {
        &self.settings.table_prefix
    }

    fn dialect(&self) -> Dialect {
        duckdb::VIEWS
    }

    fn path(&self, name: &str) -> String {
        // A view does not know under which name the database will be opened.
        duckdb::relation(&[self.place.schema(), name])
    }

    fn type_name(&self, column: &Column) -> String {
        sql::described_type(self.place.engine(), column)
    }

    async fn held(&mut self) -> Result<Vec<HeldPartition>, LoadError> {
        if !self.is_there() {
            return Ok(Vec::new());
        }
        let found: Vec<Counted> = self.query(&sql::count_tables(&self.place, STATE_TABLE)).await?;
        if found.first().is_none_or(|found| found.count == 0) {
            return Ok(Vec::new());
        }
        let rows: Vec<HeldRow> = self.query(&sql::select_state(&self.place)).await?;
        let held = rows.into_iter().map(|row| HeldPartition {
            output_id: row.output_id,
            table: row.table_name,
            date: row.partition_date,
            sha256: row.sha256,
            rows: row.row_count,
        });
        let held: Vec<HeldPartition> = held.collect();
        self.held_tables = held.iter().map(|partition| partition.table.clone()).collect();
        self.held_tables.sort();
        self.held_tables.dedup();
        Ok(held)
    }

    async fn describe(&mut self, name: &str, _: Option<&Table>) -> Result<Option<Existing>, LoadError> {
        if !self.is_there() {
            return Ok(None);
        }
        let described: Vec<DescribedRow> = self.query(&sql::describe(&self.place, name)).await?;
        let Some(row) = described.into_iter().next() else { return Ok(None) };
        let columns: Vec<ColumnRow> = self.query(&sql::columns(&self.place, name)).await?;
        let columns = columns.into_iter().map(|column| (column.column_name, column.data_type)).collect();
        let (is_view, description) = (row.kind == "view", row.description.unwrap_or_default());
        let mut is_ours = description.ends_with(MARK) || self.held_tables.iter().any(|table| table == name);
        if !is_ours && !is_view {
            let rows: Vec<Counted> = self.query(&sql::any_row(&self.place, name)).await?;
            is_ours = rows.first().is_some_and(|row| row.count == 0);
        }
        Ok(Some(Existing { is_ours, is_view, description, columns, differences: Vec::new() }))
    }

    async fn load_table(&mut self, load: &TableLoad<'_>) -> Result<Loaded, LoadError> {
        self.execute(sql::prepare(&self.place, load)).await?;
        self.execute(vec!["BEGIN TRANSACTION;\n".to_owned()]).await?;
        let mut rows_deleted = 0;
        if self.mode == Mode::Execute {
            let rows: Vec<Counted> = self.query(&sql::count_days(&self.place, load)).await?;
            rows_deleted = rows.first().map_or(0, |row| row.count);
        }
        self.execute(sql::replace(&self.place, load)).await?;
        if let Err(error) = load.check_unchanged().await {
            // Ending the program rolls back.
            self.session = None;
            return Err(error);
        }
        self.execute(vec!["COMMIT;\n".to_owned()]).await?;
        Ok(Loaded { rows_inserted: load.rows(), rows_deleted })
    }

    async fn create_views(&mut self, views: &[View]) -> Result<(), LoadError> {
        let statements = sql::create_views(&self.place, views);
        self.execute(statements).await
    }

    async fn probe(&mut self) -> Result<String, LoadError> {
        // Also where there is no database yet, which `held` would not look for.
        let mut session = Session::start(self.settings.program.as_deref())?;
        let version: Vec<serde_json::Value> = session.run(sql::VERSION).await?;
        let version =
            version.first().and_then(|row| row["version"].as_str()).unwrap_or("of an unknown version").to_owned();
        self.place.check_writable()?;
        let place = self.place();
        if !self.place.exists() {
            return Ok(format!("DuckDB {version}; {place}: the first load creates it"));
        }
        let held = self.held().await?;
        Ok(format!("DuckDB {version}; {place}: {}", held_in_words(&held)))
    }

    fn statistics(&self) -> TargetStatistics {
        TargetStatistics { jobs: self.executed, bytes_billed: None }
    }

    fn statements(&self) -> Vec<String> {
        if self.statements.is_empty() {
            return Vec::new();
        }
        std::iter::once(self.place.attach(false)).chain(self.statements.iter().cloned()).collect()
    }
}
