//! A run from end to end: lock, portfolio, plan, jobs, summary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::analytics;
use super::context::{Run, RunParts};
use super::journal::Entries;
use super::operations::{self, TablesUnderWay};
use super::planner::{Plan, Removal, Scope};
use super::portfolio::Portfolio;
use super::snapshots::Snapshots;
use super::summary::{Code, Document, Notice, Outcome, RunMembers, Summary, with_published};
use super::survey::{
    REFUSED_ADVERTISERS, Survey, UNAVAILABLE_ADVERTISERS, adopt, remembered_refusals, remembered_unavailable,
};
use crate::catalog::{Connector, EndpointId, Table};
use crate::clock::{Clock, Deadline};
use crate::criteo::{Calls, Connection, CriteoClient, VersionAge};
use crate::dates::today;
use crate::error::Error;
use crate::ledger::{FORMAT_VERSION, PartitionRecord, RunOutcome, RunRecord};
use crate::notice::judge;
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

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
    /// Whether rows of advertisers that are not requested are removed.
    pub drop_others: bool,
    /// Whether `keep_days` removes what Criteo could not give again.
    pub prune: bool,
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
        let deadline = match self.settings.max_run_minutes {
            0 => Deadline::never(),
            minutes => Deadline::after(&self.clock, Duration::from_secs(u64::from(minutes) * 60)),
        };
        let connection = Connection::open(&self.settings, &self.clock, deadline)?;
        let store = Store::open(&self.settings.output).await?;
        let lock = store.lock(run_id, self.command, self.clock.now()).await?;
        let finished = Box::pin(self.run_locked(run_id, &store, connection, interrupted)).await;
        lock.release().await;
        finished.map(|mut finished| {
            finished.summary.members.store_requests = store.requests();
            finished
        })
    }

    /// Everything that needs the lock.
    async fn run_locked(
        self,
        run_id: &str,
        store: &Store,
        connection: Connection,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Finished, Error> {
        let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        let output = Output::open(store, &names).await?;
        let mut settings = self.settings;
        adopt(&mut settings, &output.ledger())?;
        tokio::pin!(interrupted);
        let portfolio = tokio::select! {
            portfolio = Portfolio::fetch_someone(&connection.client, &settings.advertisers) => portfolio,
            () = &mut interrupted => {
                Err(Error::new(Code::Interrupted, "the run was stopped before Criteo had listed the advertisers"))
            }
        };
        // A typing error in the credentials leaves no folder behind.
        let portfolio = portfolio.inspect_err(|_| store.abandon())?;
        let run = Run::new(RunParts {
            id: run_id.to_owned(),
            api_version: connection.api_version.clone(),
            client: connection.client.clone(),
            settings,
            output,
            clock: self.clock,
            portfolio,
            strict: self.strict,
            drop_others: self.drop_others,
            progress: self.progress,
        });
        let removal = removal(self.prune, is_clock_wrong(&run.client, &run.clock));
        let running = Running {
            command: self.command,
            scope: self.scope,
            removal,
            connection,
            run,
            resume_key: String::new(),
            planned: Calls::default(),
        };
        Box::pin(running.execute(self.tables, self.warnings, interrupted)).await
    }
}

/// A run under way.
struct Running {
    command: &'static str,
    scope: Scope,
    removal: Removal,
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
        for warning in warnings.into_iter().chain(version_warning(&self.run.clock)) {
            self.run.journal.warn(warning);
        }
        for warning in unexpected_files(&self.run.output) {
            self.run.journal.warn(warning);
        }
        for absent in self.run.roster.portfolio.absent() {
            self.run.journal.fail(absent);
        }
        tokio::pin!(interrupted);
        tokio::select! {
            () = self.try_remembered(&tables) => {}
            () = &mut interrupted => self.run.cancellation.cancel(),
        }
        let plan = self.plan(tables).inspect_err(|_| self.run.output.store().abandon())?;
        self.run.output.begin().await?;
        self.record(RunOutcome::Running, &[]).await?;
        operations::started(&self.run, self.command, &plan, self.planned);
        let (limits, planned) = (self.connection.limits(), self.planned);
        self.run.journal.begin(&self.run.clock, plan.partitions(), move || limits.calls(planned));
        if self.run.cancellation.is_cancelled() {
            self.jobs(&plan).await;
        } else {
            let jobs = self.jobs(&plan);
            tokio::pin!(jobs);
            tokio::select! {
                () = &mut jobs => {}
                () = &mut interrupted => {
                    self.run.cancellation.cancel();
                    jobs.await;
                }
            }
        }
        self.run.journal.finish();
        self.remove_old(&plan).await;
        Ok(self.finish().await)
    }

    /// Tries those that the last run found refused or without an answer, each alone and once: together with others they would
    /// cost much more, and those that are answered again get what they lack by this run's plan.
    async fn try_remembered(&self, tables: &[Table]) {
        let (refused, unavailable) = {
            let ledger = self.run.output.ledger();
            (remembered_refusals(&ledger), remembered_unavailable(&ledger))
        };
        let reports: Vec<Arc<Table>> = tables.iter().filter(|table| table.is_report()).cloned().map(Arc::new).collect();
        let listed: BTreeSet<&str> = self.run.roster.portfolio.ids().collect();
        let any = reports.first().into_iter();
        let refused = any.flat_map(|table| refused.iter().map(move |id| (table, id.as_str())));
        let unavailable = unavailable.iter().filter_map(|(path, id)| {
            let of_endpoint = |table: &&Arc<Table>| Connector::get().endpoint(table.endpoint).path == *path;
            Some((reports.iter().find(of_endpoint)?, id.as_str()))
        });
        let tried = refused.chain(unavailable).filter(|(_, id)| listed.contains(id));
        futures_util::future::join_all(tried.map(|(table, id)| analytics::try_advertiser(&self.run, table, id))).await;
    }

    /// Plans, and notes what was left out.
    fn plan(&mut self, tables: Vec<Table>) -> Result<Plan, Error> {
        let advertisers = self.run.roster.advertisers();
        let ledger = self.run.output.ledger();
        let survey = Survey {
            command: self.command,
            scope: self.scope,
            settings: &self.run.settings,
            ledger: &ledger,
            portfolio: self.run.roster.portfolio.ids().collect(),
            advertisers: advertisers.iter().map(String::as_str).collect(),
            unavailable: self.unavailable(),
            today: today(self.run.clock.now(), self.run.settings.timezone),
            removal: self.removal,
        };
        let surveyed = survey.run(tables);
        drop(ledger);
        let surveyed = surveyed?;
        self.planned = surveyed.calls;
        self.resume_key = surveyed.resume_key;
        let plan = surveyed.plan;
        for notice in &plan.notices {
            self.run.journal.warn(notice.clone());
        }
        self.run.journal.count_resumed(plan.resumed_partitions);
        Ok(plan)
    }

    async fn jobs(&self, plan: &Plan) {
        let snapshots = Snapshots::new(&self.run);
        let under_way = &TablesUnderWay::of(plan);
        let reports = plan.reports.iter().map(|planned| async move {
            analytics::pull_table(&self.run, planned).await;
            under_way.ended(&self.run, &planned.table.name);
        });
        let analytics = futures_util::future::join_all(reports);
        let (_, fetched) = futures_util::future::join(analytics, snapshots.fetch(&plan.snapshots)).await;
        snapshots.publish(fetched).await;
        for table in &plan.snapshots {
            under_way.ended(&self.run, &table.name);
        }
    }

    /// Removes the partitions that the plan announced, unless this run wrote or confirmed them.
    async fn remove_old(&self, plan: &Plan) {
        for (table, days) in &plan.removals {
            for &date in days {
                let is_ours = |record: &PartitionRecord| record.last_seen_by() == self.run.id;
                if self.run.output.ledger().partition(table, date).is_none_or(is_ours) {
                    continue;
                }
                tracing::info!(table, %date, "removing a partition older than `keep_days`");
                if let Err(error) = self.run.output.prune(table, date).await {
                    self.run.journal.fail(error.notice().table(table));
                    return;
                }
            }
        }
    }

    async fn record(&self, outcome: RunOutcome, errors: &[Notice]) -> Result<(), OutputError> {
        let settings = &self.run.settings;
        let mut parameters = BTreeMap::from([
            ("as_of".to_owned(), settings.as_of.to_string()),
            ("currency".to_owned(), settings.currency.clone()),
            ("timezone".to_owned(), settings.timezone.name().to_owned()),
            ("advertisers".to_owned(), self.run.roster.portfolio.ids().collect::<Vec<_>>().join(",")),
        ]);
        let (refused, unavailable) = self.excluded();
        for (name, list) in [(REFUSED_ADVERTISERS, refused), (UNAVAILABLE_ADVERTISERS, unavailable)] {
            if !list.is_empty() {
                parameters.insert(name.to_owned(), list.join(","));
            }
        }
        if let Some(days) = self.scope.days() {
            parameters.insert("from".to_owned(), days.from().to_string());
            parameters.insert("to".to_owned(), days.to().to_string());
        }
        let tables = with_published(BTreeMap::new(), self.run.output.published());
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
        self.run.output.record_run(record).await
    }

    /// Advertisers that were refused, and those for which a report had no answer, each after the report's path.
    fn excluded(&self) -> (Vec<String>, Vec<String>) {
        let roster = &self.run.roster;
        let requested = roster.advertisers();
        let refused: Vec<String> =
            roster.portfolio.ids().filter(|id| !requested.iter().any(|known| known == id)).map(str::to_owned).collect();
        let unavailable = self.unavailable().into_iter().filter(|(_, id)| !refused.contains(id));
        let unavailable = unavailable.map(|(path, id)| format!("{path}:{id}")).collect();
        (refused, unavailable)
    }

    /// Advertisers that are excluded from a report, with the report's path.
    fn unavailable(&self) -> BTreeSet<(String, String)> {
        let endpoints = [EndpointId::StatisticsReport, EndpointId::PlacementsReport, EndpointId::TransactionsReport];
        let excluded = endpoints.into_iter().flat_map(|endpoint| {
            let path = &Connector::get().endpoint(endpoint).path;
            self.run.roster.excluded_from(endpoint).into_iter().map(move |id| (path.clone(), id))
        });
        excluded.collect()
    }

    async fn finish(self) -> Finished {
        for notice in self.connection.client.notices() {
            let warning = Notice::new(notice.code, notice.message);
            self.run.journal.warn(match &notice.table {
                Some(table) => warning.table(table),
                None => warning,
            });
        }
        let Entries { tables, mut errors, warnings, resumed_partitions } = self.run.journal.entries();
        // Publishing that has begun is finished and counted, whether its requester still waited or not.
        self.run.output.flush().await;
        let tables = with_published(tables, self.run.output.published());
        let done = tables.values().map(|table| table.partitions).sum::<u64>() + resumed_partitions;
        let recorded = match judge(&errors, done).0 {
            Outcome::Ok => RunOutcome::Ok,
            Outcome::Partial => RunOutcome::Partial,
            Outcome::Failed => RunOutcome::Failed,
        };
        if let Err(error) = self.record(recorded, &errors).await {
            // What was published is published; the next run goes by the files' own records.
            errors.push(error.notice());
        }
        self.run.output.close().await;
        let usage = self.connection.usage();
        let members = RunMembers {
            planned_calls: Some(self.planned),
            resumed_partitions,
            store_requests: None,
            loads: Vec::new(),
        };
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

/// Files that loaders would read although this program did not write them: a warning a table.
fn unexpected_files(output: &Output) -> Vec<Notice> {
    let mut tables: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in output.unexpected() {
        tables.entry(&file.table).or_default().push(&file.path);
    }
    let each = tables.into_iter().map(|(table, paths)| {
        let first: Vec<String> = paths.iter().take(3).map(|path| format!("`{path}`")).collect();
        let more = paths.len().saturating_sub(first.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message =
            format!("not written by this program, but read by loaders of `{table}`: {}{more}", first.join(", "));
        Notice::new(Code::UnexpectedFile, message).table(table)
    });
    each.collect()
}

/// The API version's last three months are announced by every run; the wall clock counts, whatever `--as-of` says.
fn version_warning(clock: &Clock) -> Option<Notice> {
    let connector = Connector::get();
    let message = VersionAge::of(connector, clock.now().date_naive()).warning(connector)?;
    Some(Notice::new(Code::ApiVersionSunset, message))
}

/// How far this machine's clock is ahead of the server's, as its last answer told it; negative if it is behind.
pub fn clock_skew(client: &CriteoClient, clock: &Clock) -> Option<TimeDelta> {
    client.server_time().map(|server| clock.now() - server)
}

/// Whether the clock and the server's differ by more than a day: one of them is wrong.
pub fn is_clock_wrong(client: &CriteoClient, clock: &Clock) -> bool {
    clock_skew(client, clock).is_some_and(|skew| skew.abs() > TimeDelta::days(1))
}

/// What `keep_days` may remove.
pub fn removal(prune: bool, is_clock_wrong: bool) -> Removal {
    match (is_clock_wrong, prune) {
        (true, _) => Removal::Nothing,
        (false, true) => Removal::Everything,
        (false, false) => Removal::Recoverable,
    }
}
