//! BigQuery through its REST API: per table a load job into a staging table, and one query job that replaces the days.
//!
//! `client` speaks to the API and waits for jobs, `upload` turns partitions into one upload, `sql` makes the statements,
//! `schema` reads and writes schemas in the API's words, `auth` gets tokens from Google's own library.

mod auth;
mod client;
mod print;
mod schema;
mod sql;
mod upload;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use self::client::Client;
use super::error::{LoadError, LoadErrorKind};
use super::files::{LoadFile, Location};
use super::state::{HeldPartition, STATE_TABLE};
use super::target::{Existing, Loaded, Mode, TableLoad, Target, TargetStatistics, held_in_words};
use crate::catalog::sql::views::{Dialect, View};
use crate::catalog::sql::{MARK, bigquery};
use crate::catalog::{Column, Table};
use crate::clock::Clock;
use crate::settings::load::{BigQuerySettings, TargetKind};

/// A staging table that nobody removed goes away by itself after a day.
const STAGING_LIFE: TimeDelta = TimeDelta::days(1);
/// Files that one load job takes at most.
const MAX_URIS: usize = 10_000;

/// A dataset.
#[derive(Debug)]
pub struct BigQuery {
    settings: BigQuerySettings,
    client: Client,
    mode: Mode,
    /// What keeps staging tables and jobs of this process apart from those of others.
    nonce: String,
    statements: Vec<String>,
    is_dataset_there: bool,
    held: Vec<HeldPartition>,
}

impl BigQuery {
    /// A target; nothing is called before it is needed.
    pub fn new(settings: &BigQuerySettings, mode: Mode, clock: &Clock) -> Result<Self, LoadError> {
        let client = Client::new(settings, mode, clock)?;
        let nonce = uuid::Uuid::now_v7().simple().to_string();
        let settings = settings.clone();
        Ok(Self { settings, client, mode, nonce, statements: Vec::new(), is_dataset_there: false, held: Vec::new() })
    }

    fn table_path(&self, name: &str) -> String {
        format!("datasets/{}/tables/{name}", self.settings.dataset)
    }

    /// Makes sure that there is a dataset, and takes its location for the jobs.
    async fn open_dataset(&mut self) -> Result<bool, LoadError> {
        if self.is_dataset_there {
            return Ok(true);
        }
        let path = format!("datasets/{}", self.settings.dataset);
        let mut found = self.client.get(&path, "the dataset").await?;
        if found.is_none() && self.mode == Mode::Execute {
            let reference = json!({"projectId": self.client.project(), "datasetId": self.settings.dataset});
            let description = format!("Criteo Marketing Solutions. {MARK}");
            let body = json!({
                "datasetReference": reference, "location": self.settings.location, "description": description,
            });
            found = self.client.create("datasets", &body, "the dataset").await?;
        }
        if let Some(location) = found.as_ref().and_then(|dataset| dataset["location"].as_str()) {
            self.client.set_location(location);
        }
        self.is_dataset_there = found.is_some();
        Ok(self.is_dataset_there)
    }

    /// Executes a script as one job, or collects it.
    async fn query(&mut self, script: &str, name: &str) -> Result<(), LoadError> {
        if self.mode == Mode::Print {
            self.statements.push(print::query(&self.settings, self.client.project(), script));
            return Ok(());
        }
        let configuration = json!({"query": {"query": script, "useLegacySql": false}, "labels": labels()});
        self.client.run_job(&format!("criteo-source-{}-{name}", self.nonce), configuration).await.map(drop)
    }

    /// Creates what is missing: the table that says what is loaded, the table, its new columns.
    async fn prepare(&mut self, load: &TableLoad<'_>) -> Result<(), LoadError> {
        let is_state_there = !self.held.is_empty() || self.describe(STATE_TABLE, None).await?.is_some();
        let project = self.client.project().to_owned();
        let script = sql::prepare(&project, &self.settings.dataset, load, is_state_there);
        if script.is_empty() {
            return Ok(());
        }
        self.query(&script, &format!("{}-prepare", load.name)).await
    }

    /// Loads files of the same columns into a staging table of their own, and returns its name.
    async fn stage(&mut self, load: &TableLoad<'_>, files: &[&LoadFile], number: usize) -> Result<String, LoadError> {
        let staging = format!("{STATE_TABLE}_staging_{}_{}_{number}", load.name, self.nonce);
        let columns = sql::columns_in(load, files);
        let configuration = self.load_configuration(&staging, &columns);
        if self.mode == Mode::Print {
            let project = self.client.project().to_owned();
            self.statements.push(print::load(&self.settings, &project, &staging, &columns, files));
            return Ok(staging);
        }
        let expires = (load.loaded_at.max(Utc::now()) + STAGING_LIFE).timestamp_millis();
        let table = json!({
            "tableReference": configuration["load"]["destinationTable"], "expirationTime": expires.to_string(),
            "schema": configuration["load"]["schema"], "labels": labels(),
        });
        let tables = format!("datasets/{}/tables", self.settings.dataset);
        self.client.create(&tables, &table, "a staging table").await?;
        let rows: u64 = files.iter().map(|file| file.partition.rows).sum();
        let id = format!("criteo-source-{}-{}-load-{number}", self.nonce, load.name);
        let uris: Vec<&str> = files.iter().filter_map(|file| url(file)).collect();
        let job = if uris.is_empty() {
            self.client.run_upload(&id, configuration, files).await?
        } else if uris.len() > MAX_URIS {
            let message = format!("{} files are more than one load job takes", uris.len());
            return Err(LoadError::new(LoadErrorKind::Failed, message));
        } else {
            let mut configuration = configuration;
            configuration["load"]["sourceUris"] = json!(uris);
            self.client.run_job(&id, configuration).await?
        };
        let loaded = client::number(&job["statistics"]["load"]["outputRows"]);
        if loaded != Some(rows) {
            let loaded = loaded.map_or_else(|| "an unknown number of".to_owned(), |rows| rows.to_string());
            let message = format!("{loaded} rows of {} arrived in staging, and {rows} are recorded", load.name);
            return Err(LoadError::new(LoadErrorKind::RowsDiffer, message));
        }
        Ok(staging)
    }

    fn load_configuration(&self, staging: &str, columns: &[&Column]) -> Value {
        json!({
            "labels": labels(),
            "load": {
                "destinationTable": {
                    "projectId": self.client.project(), "datasetId": self.settings.dataset, "tableId": staging,
                },
                "schema": {"fields": schema::staging_fields(columns)},
                "sourceFormat": "PARQUET",
                "parquetOptions": {"enableListInference": true},
                "decimalTargetTypes": ["NUMERIC"],
                "writeDisposition": "WRITE_TRUNCATE",
                "createDisposition": "CREATE_IF_NEEDED",
            },
        })
    }

    async fn load_staged(&mut self, load: &TableLoad<'_>, staged: &mut Vec<String>) -> Result<(), LoadError> {
        let groups = load.groups();
        for (number, files) in groups.iter().enumerate() {
            let staging = self.stage(load, files, number).await?;
            staged.push(staging);
        }
        load.check_unchanged().await?;
        let project = self.client.project().to_owned();
        let script = sql::replace(&project, &self.settings.dataset, load, &groups, staged);
        self.query(&script, &format!("{}-replace", load.name)).await
    }
}

/// What the administrator of the project sees on every job.
fn labels() -> Value {
    json!({"application": "criteo-source"})
}

fn url(file: &LoadFile) -> Option<&str> {
    match &file.location {
        Location::Url(url) => Some(url),
        Location::Local(_) => None,
    }
}

impl Target for BigQuery {
    fn kind(&self) -> TargetKind {
        TargetKind::BigQuery
    }

    fn place(&self) -> String {
        format!("{}.{}", self.client.project(), self.settings.dataset)
    }

    fn table_prefix(&self) -> &str {
        &self.settings.table_prefix
    }

    fn dialect(&self) -> Dialect {
        bigquery::VIEWS
    }

    fn path(&self, name: &str) -> String {
        bigquery::relation(&[self.client.project(), &self.settings.dataset, name])
    }

    fn type_name(&self, column: &Column) -> String {
        bigquery::column_type(column)
    }

    async fn held(&mut self) -> Result<Vec<HeldPartition>, LoadError> {
        if !self.open_dataset().await? {
            return Ok(Vec::new());
        }
        let rows = self.client.rows(&self.table_path(STATE_TABLE)).await?;
        self.held = rows.iter().map(sql::held_partition).collect::<Result<_, _>>()?;
        Ok(self.held.clone())
    }

    async fn describe(&mut self, name: &str, table: Option<&Table>) -> Result<Option<Existing>, LoadError> {
        if !self.open_dataset().await? {
            return Ok(None);
        }
        let path = self.table_path(name);
        let Some(found) = self.client.get(&path, &format!("the table `{name}`")).await? else { return Ok(None) };
        let is_held = self.held.iter().any(|partition| partition.table == name);
        Ok(Some(schema::existing(&found, table, is_held)))
    }

    async fn load_table(&mut self, load: &TableLoad<'_>) -> Result<Loaded, LoadError> {
        self.prepare(load).await?;
        let mut staged = Vec::new();
        let loaded = self.load_staged(load, &mut staged).await;
        for staging in &staged {
            let path = self.table_path(staging);
            if self.mode == Mode::Print {
                self.statements.push(print::remove(&self.settings, self.client.project(), staging));
            } else if let Err(error) = self.client.delete(&path).await {
                tracing::debug!(%error, staging, "the staging table stays until it expires");
            }
        }
        loaded?;
        let dates = load.dates();
        let is_replaced = |partition: &&HeldPartition| partition.table == load.name && dates.contains(&partition.date);
        let rows_deleted = self.held.iter().filter(is_replaced).map(|partition| partition.rows).sum();
        Ok(Loaded { rows_inserted: load.rows(), rows_deleted })
    }

    async fn create_views(&mut self, views: &[View]) -> Result<(), LoadError> {
        let script = sql::create_views(self.client.project(), &self.settings.dataset, views);
        self.query(&script, "views").await
    }

    async fn probe(&mut self) -> Result<String, LoadError> {
        let held = self.held().await?;
        let (place, location) = (self.place(), &self.settings.location);
        if !self.is_dataset_there {
            return Ok(format!("{place}: there is no such dataset yet; the first load creates it in {location}"));
        }
        Ok(format!("{place}: {}", held_in_words(&held)))
    }

    fn statistics(&self) -> TargetStatistics {
        TargetStatistics { jobs: self.client.jobs(), bytes_billed: Some(self.client.bytes_billed()) }
    }

    fn statements(&self) -> Vec<String> {
        self.statements.clone()
    }
}

/// An instant as BigQuery reads it.
fn instant(time: DateTime<Utc>) -> String {
    format!("TIMESTAMP '{}'", time.format("%Y-%m-%d %H:%M:%S%.6f+00"))
}
