//! The one algorithm of every load: compare, inspect, prepare, swap, then views. One table that fails stops no other one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::changes::{Claimed, Scope, TableChanges, changes};
use super::columns;
use super::error::{LoadError, LoadErrorKind};
use super::files::{LoadFile, OutputFiles};
use super::report::{LoadReport, LoadedTable};
use super::state::{HeldPartition, STATE_TABLE};
use super::target::{Existing, TableLoad, Target, present};
use crate::catalog::Table;
use crate::catalog::sql::MARK;
use crate::catalog::sql::views::{Places, Present, View, views};
use crate::clock::Clock;
use crate::dates::DateRange;
use crate::notice::{Code, Notice, judge};
use crate::store::hexadecimal;

/// How often a table is tried while a pull keeps replacing what is being loaded.
const MAX_ATTEMPTS: u32 = 5;

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Beyond what differs.
    pub scope: Scope,
    /// Only these tables; empty: all that the output has.
    pub tables: Vec<String>,
    /// Only say what would be loaded.
    pub dry_run: bool,
    /// Only print the statements.
    pub print: bool,
}

/// Loads what changed of an output into a target. `tables` are the contracts of all tables that are configured.
pub async fn load<T: Target>(
    target: &mut T,
    output: &mut OutputFiles,
    tables: &[Table],
    options: &Options,
    clock: &Clock,
) -> LoadReport {
    let started = clock.elapsed();
    let mut run = Run { target, output, tables, options, clock, done: Done::default() };
    if let Err(error) = run.all().await {
        run.done.error(&error, None);
    }
    let statistics = run.target.statistics();
    let (place, statements) = (run.target.place(), run.target.statements());
    let Done { loaded, warnings, errors } = run.done;
    // A table without changes is done, too.
    let (outcome, kind) = judge(&errors, u64::try_from(loaded.len()).unwrap_or(u64::MAX));
    LoadReport {
        target: run.target.kind().name().to_owned(),
        place,
        outcome,
        tables: loaded,
        jobs: statistics.jobs,
        bytes_billed: statistics.bytes_billed,
        seconds: clock.elapsed().saturating_sub(started).as_secs_f64(),
        dry_run: options.dry_run || options.print,
        statements,
        warnings,
        errors,
        kind,
    }
}

/// What has come of it so far.
#[derive(Default)]
struct Done {
    loaded: BTreeMap<String, LoadedTable>,
    warnings: Vec<Notice>,
    errors: Vec<Notice>,
}

impl Done {
    fn error(&mut self, error: &LoadError, table: Option<&str>) {
        let notice = error.notice();
        self.errors.push(match table {
            Some(table) => notice.table(table),
            None => notice,
        });
    }
}

struct Run<'r, T> {
    target: &'r mut T,
    output: &'r mut OutputFiles,
    tables: &'r [Table],
    options: &'r Options,
    clock: &'r Clock,
    done: Done,
}

impl<T: Target> Run<'_, T> {
    async fn all(&mut self) -> Result<(), LoadError> {
        let held = self.target.held().await?;
        for name in self.output.tables() {
            if !self.options.tables.is_empty() && !self.options.tables.contains(&name) {
                continue;
            }
            let Some(table) = self.tables.iter().find(|table| table.name == name) else {
                let message = format!("`{name}` is in the output but no longer configured, and is not loaded");
                self.done.warnings.push(Notice::new(Code::LoadTableNotConfigured, message).table(&name));
                continue;
            };
            match self.table(table, &held).await {
                Ok(loaded) => {
                    self.done.loaded.insert(name, loaded);
                }
                Err(error) if error.kind.concerns_target() => return Err(error),
                Err(error) => self.done.error(&error, Some(&name)),
            }
        }
        if self.options.dry_run { Ok(()) } else { self.views(&held).await }
    }

    async fn table(&mut self, table: &Table, held: &[HeldPartition]) -> Result<LoadedTable, LoadError> {
        let name = format!("{}{}", self.target.table_prefix(), table.name);
        let (mut attempt, mut held, mut lost) = (1, Cow::Borrowed(held), LoadedTable::default());
        loop {
            let found = self.changes(&table.name, &name, &held)?;
            self.tell_kept(&table.name, &found);
            if found.is_empty() {
                return Ok(lost);
            }
            match self.attempt(table, &name, &found).await {
                // Only where the ledger knows something newer is there anything to try again.
                Err(error) if matches!(error.kind, LoadErrorKind::Changed | LoadErrorKind::Damaged) => {
                    self.output.read_again().await?;
                    let is_same = self.changes(&table.name, &name, &held)?.replace == found.replace;
                    if is_same || attempt == MAX_ATTEMPTS {
                        return Err(error);
                    }
                    attempt += 1;
                }
                // What was committed all the same, the target knows.
                Err(error) if error.kind == LoadErrorKind::Lost && attempt < MAX_ATTEMPTS => {
                    tracing::warn!(table = %name, %error, "comparing with the target again");
                    lost = LoadedTable {
                        partitions: found.partitions(),
                        rows_inserted: found.rows(),
                        ..LoadedTable::default()
                    };
                    held = Cow::Owned(self.target.held().await?);
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn changes(&self, table: &str, name: &str, held: &[HeldPartition]) -> Result<TableChanges, LoadError> {
        let partitions = self.output.partitions(table);
        changes(self.output.output_id(), name, &partitions, held, self.options.scope).map_err(|Claimed { by }| {
            let message = format!("the table `{name}` holds partitions of another output ({by})");
            LoadError::new(LoadErrorKind::Claimed, message)
        })
    }

    /// Days that stay although the output has them no longer.
    fn tell_kept(&mut self, table: &str, found: &TableChanges) {
        let (Some(first), Some(last)) = (found.kept.first(), found.kept.last()) else { return };
        let message = format!("{} days are loaded that the output has no longer", found.kept.len());
        let notice = Notice::new(Code::LoadDaysKept, message).table(table);
        let notice = match DateRange::new(*first, *last) {
            Some(days) => notice.days(days),
            None => notice,
        };
        if !self.done.warnings.contains(&notice) {
            self.done.warnings.push(notice);
        }
    }

    async fn attempt(&mut self, table: &Table, name: &str, found: &TableChanges) -> Result<LoadedTable, LoadError> {
        let partitions = found.partitions();
        if self.options.dry_run {
            return Ok(LoadedTable { partitions, rows_inserted: found.rows(), ..LoadedTable::default() });
        }
        let mut files: Vec<LoadFile> = Vec::new();
        for partition in &found.replace {
            files.push(self.output.inspect(partition).await?);
            tokio::task::yield_now().await;
        }
        let existing = self.target.describe(name, Some(table)).await?;
        let mut table = table.clone();
        table.columns = columns::of_files(&table, &files)?;
        let added = match &existing {
            None => Vec::new(),
            Some(existing) => columns::to_add(name, existing, &table.columns, |column| self.target.type_name(column))?,
        };
        files.retain(|file| file.partition.rows > 0);
        let load = TableLoad {
            name,
            table: &table,
            existing: existing.as_ref(),
            added,
            files: &files,
            replace: &found.replace,
            prune: &found.prune,
            output_id: self.output.output_id(),
            loaded_at: self.clock.now(),
            version: version(self.output.output_id(), name, found),
        };
        let loaded = self.target.load_table(&load).await?;
        Ok(LoadedTable {
            partitions,
            rows_inserted: loaded.rows_inserted,
            rows_deleted: loaded.rows_deleted,
            columns_added: load.added.iter().map(|column| column.name.clone()).collect(),
        })
    }

    /// Creates the views over what is loaded, where they are missing or defined otherwise.
    async fn views(&mut self, held: &[HeldPartition]) -> Result<(), LoadError> {
        let present = self.present(held).await?;
        let prefix = self.target.table_prefix().to_owned();
        let wanted = {
            let path = |name: &str| self.target.path(name);
            let places = Places { prefix: &prefix, path: &path, state_table: STATE_TABLE };
            views(self.target.dialect(), places, &present)
        };
        let mut changed: Vec<View> = Vec::new();
        for view in wanted {
            match self.target.describe(&view.name, None).await? {
                Some(existing) if existing.is_view && existing.description == view.description => {}
                Some(existing) if !is_our_view(&existing) => {
                    let message = format!("there is a table or view `{}` already, which is left as it is", view.name);
                    self.done.warnings.push(Notice::new(Code::LoadViewNotOurs, message));
                }
                Some(_) | None => changed.push(view),
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.target.create_views(&changed).await
    }

    /// The tables that are in the target after this load, with their columns.
    async fn present(&mut self, held: &[HeldPartition]) -> Result<Vec<Present>, LoadError> {
        let mut found = Vec::new();
        for table in self.tables {
            let name = format!("{}{}", self.target.table_prefix(), table.name);
            let is_loaded = self.done.loaded.get(&table.name).is_some_and(|loaded| loaded.partitions > 0);
            let is_held = held.iter().any(|partition| partition.table == name);
            if !is_loaded && !is_held {
                continue;
            }
            match self.target.describe(&name, None).await? {
                Some(existing) if !existing.is_view => found.push(present(table, &existing.columns)),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn is_our_view(existing: &Existing) -> bool {
    existing.is_view && existing.description.ends_with(MARK)
}

/// Fingerprint of a load of one table: the same changes have the same one, whoever tries again.
fn version(output_id: &str, name: &str, found: &TableChanges) -> String {
    let mut digest = Sha256::new_with_prefix(format!("{output_id} {name}\n"));
    for partition in &found.replace {
        digest.update(format!("{} {}\n", partition.date, partition.sha256));
    }
    for date in &found.prune {
        digest.update(format!("{date} -\n"));
    }
    hexadecimal(digest).chars().take(16).collect()
}
