//! A run from end to end: lock, portfolio, plan, jobs, summary.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::analytics;
use super::context::{Run, RunParts};
use super::journal::Entries;
use super::planner::{Plan, Planner, Scope, planned_calls};
use super::portfolio::Portfolio;
use super::snapshots::Snapshots;
use super::summary::{Code, Document, Notice, Outcome, RunMembers, Summary};
use crate::catalog::{Connector, Table};
use crate::clock::{Clock, Deadline};
use crate::criteo::{Calls, Connection, FetchError, FetchErrorKind, VersionAge};
use crate::error::Error;
use crate::ledger::{FORMAT_VERSION, Ledger, LedgerError, RunOutcome, RunRecord};
use crate::notice::judge;
use crate::progress::Progress;
use crate::settings::{OutputLocation, Settings};
use crate::store::{RunLock, Store, hexadecimal};

/// A run that has not started.
pub struct Launch {
    /// The verb, for records and messages.
    pub command: &'static str,
    /// Settings.
    pub settings: Settings,
    /// Tables wanted, resolved.
    pub tables: Vec<Table>,
    /// Days wanted.
    pub scope: Scope,
    /// Whether sums that differ from Criteo's totals are an error.
    pub strict: bool,
    /// For people who watch.
    pub progress: Progress,
    /// Time.
    pub clock: Clock,
    /// Things to warn of that were found before.
    pub warnings: Vec<Notice>,
}

/// How a run ended.
pub struct Finished {
    /// For people and machines.
    pub summary: Summary,
}

impl Launch {
    /// Runs, until done or until `interrupted` resolves; an error means that nothing was pulled.
    pub async fn run(self, run_id: &str, interrupted: impl Future<Output = ()>) -> Result<Finished, Error> {
        let root = local_root(&self.settings.output)?.to_owned();
        let deadline = match self.settings.max_run_minutes {
            0 => Deadline::never(),
            minutes => Deadline::after(&self.clock, Duration::from_secs(u64::from(minutes) * 60)),
        };
        let connection = Connection::open(&self.settings, &self.clock, deadline)?;
        let store = Store::open(&root)?;
        let _lock = RunLock::acquire(&store, run_id, self.command, self.clock.now())?;
        store.sweep()?;
        let ledger = Ledger::open(&store)?;
        tokio::pin!(interrupted);
        let portfolio = tokio::select! {
            portfolio = Portfolio::fetch(&connection.client, &self.settings.advertisers) => {
                portfolio.map_err(|error| portfolio_error(&error))
            }
            () = &mut interrupted => {
                Err(Error::new(Code::Interrupted, "the run was stopped before Criteo had listed the advertisers"))
            }
        };
        let portfolio = portfolio.and_then(|portfolio| portfolio.require_someone().map(|()| portfolio));
        // A typing error in the credentials leaves no folder behind.
        let portfolio = portfolio.inspect_err(|_| store.abandon())?;
        let run = Run::new(RunParts {
            id: run_id.to_owned(),
            api_version: connection.api_version.clone(),
            client: connection.client.clone(),
            settings: self.settings,
            store,
            ledger,
            clock: self.clock,
            portfolio,
            strict: self.strict,
            progress: self.progress,
        });
        let running = Running {
            command: self.command,
            scope: self.scope,
            connection,
            run,
            resume_key: String::new(),
            planned: Calls::default(),
        };
        running.execute(self.tables, self.warnings, interrupted).await
    }
}

/// A run under way.
struct Running {
    command: &'static str,
    scope: Scope,
    connection: Connection,
    run: Run,
    resume_key: String,
    planned: Calls,
}

impl Running {
    async fn execute(
        mut self,
        tables: Vec<Table>,
        warnings: Vec<Notice>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Finished, Error> {
        let advertisers: Vec<&str> = self.run.roster.portfolio.ids().collect();
        self.resume_key = resume_key(self.command, self.scope, &self.run.settings, &advertisers, &tables);
        for warning in warnings.into_iter().chain(version_warning(&self.run.clock)) {
            self.run.journal.warn(warning);
        }
        for absent in self.run.roster.portfolio.absent() {
            self.run.journal.fail(absent);
        }
        let earlier_runs = self.run.output.ledger().unfinished_runs(&self.resume_key);
        self.record(RunOutcome::Running, &[])?;
        let plan = self.plan(tables, &earlier_runs);
        {
            let jobs = self.jobs(&plan);
            tokio::pin!(jobs, interrupted);
            tokio::select! {
                () = &mut jobs => {}
                () = &mut interrupted => {
                    self.run.cancellation.cancel();
                    jobs.await;
                }
            }
        }
        // Whatever is still being published ends before the lock is released.
        drop(self.run.output.publishing.write().await);
        self.run.journal.finish();
        self.prune();
        Ok(self.finish())
    }

    /// Plans, and notes what was left out.
    fn plan(&mut self, tables: Vec<Table>, earlier_runs: &[String]) -> Plan {
        let ledger = self.run.output.ledger();
        let planner = Planner {
            settings: &self.run.settings,
            scope: self.scope,
            ledger: &ledger,
            advertisers: self.run.roster.portfolio.ids().collect(),
            earlier_runs,
        };
        let plan = planner.plan(tables);
        let planned = planned_calls(&plan, &planner.forecasts(&plan));
        drop(ledger);
        self.planned = planned;
        for notice in &plan.notices {
            self.run.journal.warn(notice.clone());
        }
        self.run.journal.count_resumed(plan.resumed_partitions);
        let days: usize = plan.reports.iter().map(|planned| planned.days.len()).sum();
        self.run.journal.expect((days + plan.snapshots.len()) as u64);
        plan
    }

    async fn jobs(&self, plan: &Plan) {
        let snapshots = Snapshots::new(&self.run);
        let reports = plan.reports.iter();
        let analytics = futures_util::future::join_all(
            reports.map(|planned| analytics::pull_table(&self.run, &planned.table, planned.days.clone())),
        );
        let entities = futures_util::future::join_all(plan.snapshots.iter().map(|table| snapshots.pull_table(table)));
        futures_util::future::join(analytics, entities).await;
    }

    /// Removes partitions older than `keep_days`.
    fn prune(&self) {
        let Some(oldest) = self.run.settings.oldest_kept() else { return };
        let mut ledger = self.run.output.ledger();
        let tables: Vec<String> = ledger.tables().map(str::to_owned).collect();
        for table in tables {
            let old: Vec<NaiveDate> =
                ledger.partitions(&table).map(|record| record.date).take_while(|date| *date < oldest).collect();
            for date in old {
                if let Err(error) = ledger.prune(&table, date) {
                    self.run.journal.fail(Notice::of_error(Code::OutputFailed, &error).table(&table));
                    return;
                }
            }
        }
    }

    fn record(&self, outcome: RunOutcome, errors: &[Notice]) -> Result<(), LedgerError> {
        let settings = &self.run.settings;
        let mut parameters = BTreeMap::from([
            ("as_of".to_owned(), settings.as_of.to_string()),
            ("currency".to_owned(), settings.currency.clone()),
            ("timezone".to_owned(), settings.timezone.name().to_owned()),
            ("advertisers".to_owned(), self.run.roster.portfolio.ids().collect::<Vec<_>>().join(",")),
        ]);
        if let Some(days) = self.scope.days() {
            parameters.insert("from".to_owned(), days.from().to_string());
            parameters.insert("to".to_owned(), days.to().to_string());
        }
        let tables = self.run.journal.entries().tables;
        let calls = self.connection.calls();
        let usage = self.connection.usage();
        let now = self.run.clock.now();
        let started_at = now - chrono::TimeDelta::from_std(self.run.clock.elapsed()).unwrap_or_default();
        let record = RunRecord {
            format_version: FORMAT_VERSION,
            run_id: self.run.id.clone(),
            command: self.command.to_owned(),
            parameters,
            resume_key: self.resume_key.clone(),
            started_at,
            finished_at: (outcome != RunOutcome::Running).then_some(now),
            outcome,
            calls: [("report", calls.report), ("default", calls.default), ("token", calls.token)]
                .map(|(class, calls)| (class.to_owned(), calls))
                .into(),
            retries: usage.retries,
            waited_secs: usage.waited.as_secs_f64(),
            partitions: tables.values().map(|table| table.partitions).sum(),
            errors: errors.iter().map(|error| error.message.chars().take(500).collect()).collect(),
        };
        self.run.output.ledger().record_run(record)
    }

    fn finish(self) -> Finished {
        for notice in self.connection.client.notices() {
            let warning = Notice::new(notice.code, notice.message);
            self.run.journal.warn(match &notice.table {
                Some(table) => warning.table(table),
                None => warning,
            });
        }
        let Entries { tables, mut errors, warnings, resumed_partitions } = self.run.journal.entries();
        let done = tables.values().map(|table| table.partitions).sum::<u64>() + resumed_partitions;
        let recorded = match judge(&errors, done).0 {
            Outcome::Ok => RunOutcome::Ok,
            Outcome::Partial => RunOutcome::Partial,
            Outcome::Failed => RunOutcome::Failed,
        };
        if let Err(error) = self.record(recorded, &errors) {
            // What was published is published; the next run goes by the files' own records.
            errors.push(Notice::of_error(Code::OutputFailed, &error));
        }
        let usage = self.connection.usage();
        let members = RunMembers { planned_calls: Some(self.planned), resumed_partitions, loads: Vec::new() };
        let summary = Summary {
            output: Some(self.run.settings.output.to_string()),
            tables,
            calls: self.connection.calls(),
            retries: usage.retries,
            waited_secs: usage.waited.as_secs_f64(),
            elapsed_secs: self.run.clock.elapsed().as_secs_f64(),
            warnings,
            ..Document::new(&self.run.id, self.command, members)
        };
        Finished { summary: summary.ended(errors, done) }
    }
}

/// The API version's last three months are announced by every run; the wall clock counts, whatever `--as-of` says.
fn version_warning(clock: &Clock) -> Option<Notice> {
    let connector = Connector::get();
    let message = VersionAge::of(connector, clock.now().date_naive()).warning(connector)?;
    Some(Notice::new(Code::ApiVersionSunset, message))
}

/// Without the list of advertisers nothing can be fetched.
pub fn portfolio_error(error: &FetchError) -> Error {
    let mut notice = error.notice();
    match error.kind() {
        FetchErrorKind::AdvertiserRefused => notice.code = Code::ScopeMissing,
        // A page of a gateway or half a list, every time: no shape that this program does not know.
        FetchErrorKind::Unreadable if error.is_exhausted() => notice.code = Code::ApiUnavailable,
        _ => {}
    }
    Error::from(notice)
}

/// What a run is asked to do: equal for runs that may continue each other.
pub fn resume_key(command: &str, scope: Scope, settings: &Settings, advertisers: &[&str], tables: &[Table]) -> String {
    let tables: Vec<String> = tables.iter().map(|table| format!("{} {:?}", table.name, table.extract)).collect();
    let text =
        format!("{command} {:?} {} {} {advertisers:?} {tables:?}", scope.days(), settings.currency, settings.timezone);
    hexadecimal(Sha256::new_with_prefix(text))
}

/// The output folder; object stores are parsed but not written to yet.
pub fn local_root(output: &OutputLocation) -> Result<&Path, Error> {
    match output {
        OutputLocation::Local(path) => Ok(path),
        OutputLocation::Object { .. } => Err(Error::new(
            Code::OutputNotSupported,
            format!("`{output}` is an object store, which this version does not write to"),
        )),
    }
}
