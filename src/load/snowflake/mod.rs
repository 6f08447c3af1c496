//! Snowflake, through its own driver by ADBC: staged files, one COPY, one transaction a table.
//!
//! Files of this machine go to the user's stage under a path of this run; files of a bucket are read through the external
//! stage that the settings name. Statements are made in `sql`, executed in `session`.

mod driver;
mod place;
mod session;
mod sql;
mod upload;

use std::collections::HashMap;

use uuid::Uuid;

use self::place::Place;
use self::session::{Row, Session};
use self::upload::Links;
use super::error::{LoadError, LoadErrorKind};
use super::files::{LoadFile, Location};
use super::state::{HeldPartition, STATE_TABLE};
use super::target::{Existing, Loaded, Mode, TableLoad, Target, TargetStatistics};
use crate::catalog::sql::views::{Dialect, View};
use crate::catalog::sql::{MARK, snowflake};
use crate::catalog::{Column, Table};
use crate::settings::load::{SnowflakeSettings, TargetKind};

/// A schema of a Snowflake account.
#[derive(Debug)]
pub struct Snowflake {
    settings: SnowflakeSettings,
    place: Place,
    mode: Mode,
    session: Option<Session>,
    /// Set in [`Mode::Print`] where no driver is installed: the script is written as for an empty schema.
    is_blind: bool,
    /// What is there, as long as nothing was created since it was read.
    known: Option<Known>,
    statements: Vec<String>,
    executed: u64,
    held_tables: Vec<String>,
    /// Unique to this run: nothing that another run has staged is ever read.
    run: Uuid,
}

/// The schema as it was found.
#[derive(Debug, Default)]
struct Known {
    has_schema: bool,
    /// By name, in upper case.
    relations: HashMap<String, Existing>,
    empty_tables: Vec<String>,
}

impl Snowflake {
    /// A target; nothing is opened before it is needed.
    pub fn new(settings: &SnowflakeSettings, mode: Mode) -> Result<Self, LoadError> {
        Ok(Self {
            place: Place::new(settings)?,
            settings: settings.clone(),
            mode,
            session: None,
            is_blind: false,
            known: None,
            statements: Vec::new(),
            executed: 0,
            held_tables: Vec::new(),
            run: Uuid::now_v7(),
        })
    }

    /// Rows of a query that changes nothing; none where there is no driver to ask.
    async fn query(&mut self, sql: &str) -> Result<Vec<Row>, LoadError> {
        if self.is_blind {
            return Ok(Vec::new());
        }
        if self.session.is_none() {
            match Session::start(&self.settings).await {
                Ok(session) => {
                    session.run(sql::SESSION).await?;
                    self.session = Some(session);
                }
                Err(error) if error.kind == LoadErrorKind::DriverMissing && self.mode == Mode::Print => {
                    self.is_blind = true;
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        let Some(session) = &self.session else { return Ok(Vec::new()) };
        let rows = session.run(sql).await;
        if rows.as_ref().is_err_and(|error| error.kind == LoadErrorKind::Lost) {
            // With it go its transaction and its temporary tables; what is there is read again.
            (self.session, self.known) = (None, None);
        }
        rows
    }

    /// Executes a statement, or collects it.
    async fn execute(&mut self, statement: String) -> Result<Vec<Row>, LoadError> {
        if self.mode == Mode::Print {
            self.statements.push(statement);
            return Ok(Vec::new());
        }
        self.executed += 1;
        self.query(&statement).await
    }

    async fn known(&mut self) -> Result<&Known, LoadError> {
        if self.known.is_none() {
            let relations = self.query(&sql::relations(&self.place)).await?;
            let columns =
                if relations.is_empty() { Vec::new() } else { self.query(&sql::columns(&self.place)).await? };
            self.known = Some(known(&relations, &columns));
        }
        self.known.as_ref().ok_or_else(|| LoadError::new(LoadErrorKind::Failed, "Snowflake's tables were not read"))
    }

    /// Schema, tables and columns; what is created here is there afterwards, whatever fails later.
    async fn prepare(&mut self, load: &TableLoad<'_>) -> Result<(), LoadError> {
        let known = self.known().await?;
        let (has_schema, has_state) = (known.has_schema, known.relations.contains_key(&STATE_TABLE.to_uppercase()));
        let mut statements = Vec::new();
        // Asking for what is there already would need a grant that loading does not.
        if !has_schema {
            statements.push(sql::create_schema(&self.place));
        }
        if !has_state {
            statements.push(sql::create_state(&self.place));
        }
        statements.extend(sql::prepare(&self.place, load));
        for statement in statements {
            self.execute(statement).await?;
            match (&mut self.known, self.mode) {
                // Nothing was created, but the script will have done so before its next table.
                (Some(known), Mode::Print) => {
                    known.has_schema = true;
                    known.relations.entry(STATE_TABLE.to_uppercase()).or_default();
                }
                (known, _) => *known = None,
            }
        }
        Ok(())
    }

    /// Brings the rows of every file into a table of this session.
    async fn stage(&mut self, load: &TableLoad<'_>) -> Result<(), LoadError> {
        self.execute(sql::create_staging(&self.place, load)).await?;
        let own = format!("@~/criteo-source/{}/{}/", self.run, load.name);
        let external = external(self.settings.stage.as_deref(), load.files)?;
        let is_own = external.is_none();
        let (stage, names) = if let Some(found) = external {
            found
        } else {
            let names = self.upload(load, &own).await?;
            (own, names)
        };
        let mut rows = Vec::new();
        for copy in sql::copy(&self.place, load, &stage, &names, is_own) {
            match self.execute(copy).await {
                Ok(copied) => rows.extend(copied),
                Err(error) => {
                    self.remove(is_own.then_some(stage.as_str())).await;
                    return Err(error);
                }
            }
        }
        if self.mode == Mode::Print {
            self.statements.push(sql::check_rows(&self.place, load));
            return Ok(());
        }
        let compared = compare(&rows, names.len(), load.rows());
        if compared.is_err() {
            self.remove(is_own.then_some(stage.as_str())).await;
        }
        compared
    }

    /// Uploads the files and returns their names below `stage`.
    async fn upload(&mut self, load: &TableLoad<'_>, stage: &str) -> Result<Vec<String>, LoadError> {
        if self.mode == Mode::Print {
            // A script has no folder of links: each file by its own path.
            for file in load.files {
                if let Location::Local(path) = &file.location {
                    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                    let stage = format!("{stage}{}/", file.partition.date);
                    self.statements.push(sql::put(&upload::slashes(&path), &stage));
                }
            }
            return Ok(load.files.iter().map(|file| format!("{}/data.parquet", file.partition.date)).collect());
        }
        let links = Links::new(load.files).map_err(|error| {
            LoadError::new(
                LoadErrorKind::Failed,
                format!("could not prepare the upload in the temporary folder: {error}"),
            )
        })?;
        self.execute(sql::put(&links.pattern(), stage)).await?;
        Ok(links.names().to_vec())
    }

    /// Removes what was uploaded; Snowflake's own words about the failure before matter more than those about this.
    async fn remove(&mut self, stage: Option<&str>) {
        if let Some(stage) = stage {
            let _ = self.execute(sql::remove(stage)).await;
        }
    }

    /// Everything between BEGIN and COMMIT; returns the rows deleted.
    async fn swap(&mut self, load: &TableLoad<'_>) -> Result<u64, LoadError> {
        let deleted = self.execute(sql::delete(&self.place, load)).await?;
        if !load.files.is_empty() {
            let inserted = self.execute(sql::insert(&self.place, load)).await?;
            let (inserted, rows) = (number(&inserted, "number of rows inserted"), load.rows());
            if self.mode == Mode::Execute && inserted != Some(rows) {
                return Err(rows_differ(format!("{inserted:?} rows were inserted, and {rows} are recorded")));
            }
        }
        for statement in sql::replace_state(&self.place, load) {
            self.execute(statement).await?;
        }
        load.check_unchanged().await?;
        Ok(number(&deleted, "number of rows deleted").unwrap_or_default())
    }
}

/// Where the files lie in an external stage; `None` if they are on this machine.
fn external(stage: Option<&str>, files: &[LoadFile]) -> Result<Option<(String, Vec<String>)>, LoadError> {
    let mut names = Vec::new();
    for file in files {
        match &file.location {
            Location::Local(_) => return Ok(None),
            Location::Url(_) => names.push(format!("dt={}/data.parquet", file.partition.date)),
        }
    }
    let Some(table) = files.first().map(|file| file.partition.table.as_str()) else { return Ok(None) };
    let Some(stage) = stage else {
        let message = "the output is in a bucket, and Snowflake has no stage that reads it";
        let remedy = "create an external stage over `output` and set its name as `stage` in `[load.snowflake]`";
        return Err(LoadError::new(LoadErrorKind::Unreachable, message).with_remedy(remedy));
    };
    Ok(Some((format!("@{}/{table}/", stage.trim_start_matches('@').trim_end_matches('/')), names)))
}

/// Whether COPY has read every file and every row.
fn compare(copied: &[Row], files: usize, rows: u64) -> Result<(), LoadError> {
    // A COPY that found nothing answers with one row of another shape, and calls it a success.
    let loaded =
        copied.iter().filter(|row| row.contains_key("file") && row.get("status").is_some_and(|s| s == "LOADED"));
    let (count, sum) = loaded.fold((0, 0), |(count, sum), row| {
        let rows = row.get("rows_loaded").and_then(|rows| rows.parse::<u64>().ok()).unwrap_or_default();
        (count + 1, sum + rows)
    });
    if count == files && sum == rows {
        return Ok(());
    }
    let said: Vec<&str> = copied.iter().filter_map(|row| row.get("status").map(String::as_str)).take(1).collect();
    Err(rows_differ(format!(
        "{sum} rows of {count} files arrived in Snowflake, and {rows} rows of {files} files are recorded ({})",
        said.concat()
    )))
}

fn rows_differ(message: String) -> LoadError {
    LoadError::new(LoadErrorKind::RowsDiffer, message)
        .with_remedy("nothing was replaced; run `criteo-source load` again")
}

/// The value of a column in the first row.
fn number(rows: &[Row], column: &str) -> Option<u64> {
    rows.first()?.get(column)?.parse().ok()
}

fn known(relations: &[Row], columns: &[Row]) -> Known {
    let text = |row: &Row, column: &str| row.get(column).cloned().unwrap_or_default();
    let mut known = Known { has_schema: !relations.is_empty(), ..Known::default() };
    for row in relations.iter().filter(|row| row.contains_key("table_name")) {
        let name = text(row, "table_name");
        let description = text(row, "description");
        let is_view = text(row, "kind").ends_with("VIEW");
        if !is_view && text(row, "row_count") == "0" {
            known.empty_tables.push(name.clone());
        }
        let is_ours = description.ends_with(MARK);
        known.relations.insert(name, Existing { is_ours, is_view, description, ..Existing::default() });
    }
    for row in columns {
        if let Some(existing) = known.relations.get_mut(&text(row, "table_name")) {
            existing.columns.push((text(row, "column_name"), text(row, "data_type")));
        }
    }
    known
}

impl Target for Snowflake {
    fn kind(&self) -> TargetKind {
        TargetKind::Snowflake
    }

    fn place(&self) -> String {
        self.place.to_string()
    }

    fn table_prefix(&self) -> &str {
        &self.settings.table_prefix
    }

    fn dialect(&self) -> Dialect {
        snowflake::VIEWS
    }

    fn path(&self, name: &str) -> String {
        self.place.relation(name)
    }

    fn type_name(&self, column: &Column) -> String {
        sql::described_type(column)
    }

    async fn held(&mut self) -> Result<Vec<HeldPartition>, LoadError> {
        if !self.known().await?.relations.contains_key(&STATE_TABLE.to_uppercase()) {
            return Ok(Vec::new());
        }
        let rows = self.query(&sql::select_state(&self.place)).await?;
        let held = rows.iter().map(held_partition).collect::<Option<Vec<_>>>().ok_or_else(|| {
            LoadError::new(LoadErrorKind::Failed, format!("`{STATE_TABLE}` has rows that criteo-source did not write"))
        })?;
        self.held_tables = held.iter().map(|partition| partition.table.to_uppercase()).collect();
        Ok(held)
    }

    async fn describe(&mut self, name: &str, _: Option<&Table>) -> Result<Option<Existing>, LoadError> {
        let name = name.to_uppercase();
        let is_held = self.held_tables.contains(&name);
        let known = self.known().await?;
        let is_empty = known.empty_tables.contains(&name);
        let existing = known.relations.get(&name).cloned();
        Ok(existing.map(|existing| Existing { is_ours: existing.is_ours || is_held || is_empty, ..existing }))
    }

    async fn load_table(&mut self, load: &TableLoad<'_>) -> Result<Loaded, LoadError> {
        self.prepare(load).await?;
        if !load.files.is_empty() {
            self.stage(load).await?;
        }
        self.execute(sql::BEGIN.to_owned()).await?;
        match self.swap(load).await {
            Ok(rows_deleted) => {
                self.execute(sql::COMMIT.to_owned()).await?;
                Ok(Loaded { rows_inserted: load.rows(), rows_deleted })
            }
            Err(error) => {
                // Where even this fails, the end of the session does it.
                if self.session.is_some() && self.execute(sql::ROLLBACK.to_owned()).await.is_err() {
                    self.session = None;
                }
                Err(error)
            }
        }
    }

    async fn create_views(&mut self, views: &[View]) -> Result<(), LoadError> {
        for view in views {
            self.execute(sql::create_view(&self.place, view)).await?;
        }
        self.known = None;
        Ok(())
    }

    fn statistics(&self) -> TargetStatistics {
        TargetStatistics { jobs: self.executed, bytes_billed: None }
    }

    fn statements(&self) -> Vec<String> {
        if self.statements.is_empty() {
            return Vec::new();
        }
        let blind =
            "-- Written without Snowflake's driver, and therefore as for an empty schema: everything is loaded.\n";
        let first = self.is_blind.then(|| blind.to_owned()).into_iter().chain([sql::SESSION.to_owned()]);
        first.chain(self.statements.iter().cloned()).collect()
    }
}

fn held_partition(row: &Row) -> Option<HeldPartition> {
    Some(HeldPartition {
        output_id: row.get("output_id")?.clone(),
        table: row.get("table_name")?.clone(),
        date: row.get("partition_date")?.parse().ok()?,
        sha256: row.get("sha256")?.clone(),
        rows: row.get("row_count")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_copy_that_found_no_file_is_not_taken_for_a_success() {
        let nothing = row(&[("status", "Copy executed with 0 files processed.")]);
        let error = compare(&[nothing], 1, 3).expect_err("nothing arrived");
        assert_eq!(error.kind, LoadErrorKind::RowsDiffer);
        assert!(error.message.contains("0 files processed"), "{error}");
    }

    #[test]
    fn a_file_that_was_skipped_or_came_short_fails_the_load() {
        let loaded = |rows| row(&[("file", "a"), ("status", "LOADED"), ("rows_loaded", rows)]);
        assert!(compare(&[loaded("2"), loaded("1")], 2, 3).is_ok());
        assert!(compare(&[loaded("2")], 2, 2).is_err());
        assert!(compare(&[loaded("2"), loaded("2")], 2, 3).is_err());
        let skipped = row(&[("file", "a"), ("status", "LOAD_SKIPPED"), ("rows_loaded", "0")]);
        assert!(compare(&[loaded("3"), skipped], 2, 3).is_err());
    }

    #[test]
    fn a_schema_without_tables_is_there_and_an_unknown_one_is_not() {
        assert!(!known(&[], &[]).has_schema);
        let empty = known(&[row(&[("schema_name", "CRITEO")])], &[]);
        assert!(empty.has_schema && empty.relations.is_empty());
    }
}
