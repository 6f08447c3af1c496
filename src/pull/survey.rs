//! What a run is going to do, found out before anything is fetched: the same for `plan`, `--dry-run`, `pull` and `backfill`, so
//! that they cannot disagree.
//!
//! It refuses what would mix two kinds of numbers in one output, and what would do nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::planner::{Forecast, Plan, Planner, Removal, Scope, planned_calls};
use crate::catalog::{Catalog, Connector, Extract, Grain, Table, TableOverrides};
use crate::criteo::Calls;
use crate::error::{Code, Error};
use crate::ledger::{Ledger, RunOutcome};
use crate::settings::Settings;
use crate::store::hexadecimal;

/// Parameter of a run's record: the advertisers that Criteo refused.
pub(super) const REFUSED_ADVERTISERS: &str = "refused_advertisers";
/// Parameter of a run's record: the advertisers for which a report had no answer, each after the endpoint's path and a colon.
pub(super) const UNAVAILABLE_ADVERTISERS: &str = "unavailable_advertisers";

/// What is surveyed.
pub struct Survey<'s> {
    /// The verb of the run: `pull`, `backfill`, `demo`.
    pub command: &'s str,
    /// Days wanted.
    pub scope: Scope,
    /// Settings, after [`adopt`].
    pub settings: &'s Settings,
    /// What is there.
    pub ledger: &'s Ledger,
    /// Every advertiser that consented and is configured.
    pub portfolio: Vec<&'s str>,
    /// Those of them that will be requested.
    pub advertisers: Vec<&'s str>,
    /// Advertisers that an endpoint, named by its path, has no answer for.
    pub unavailable: BTreeSet<(String, String)>,
    /// Today by the clock, in the report time zone.
    pub today: NaiveDate,
    /// What `keep_days` removes.
    pub removal: Removal,
}

/// What was found.
pub struct Surveyed {
    /// What the run does.
    pub plan: Plan,
    /// What that costs, by table.
    pub forecasts: BTreeMap<String, Forecast>,
    /// What that costs in all.
    pub calls: Calls,
    /// Equal for runs that may continue each other.
    pub resume_key: String,
}

impl Survey<'_> {
    /// Plans these tables.
    ///
    /// # Errors
    ///
    /// When nothing of the range can be had.
    pub fn run(&self, tables: Vec<Table>) -> Result<Surveyed, Error> {
        let resume_key = resume_key(self.command, self.scope, self.settings, &self.portfolio, &tables);
        let earlier_runs = self.ledger.unfinished_runs(&resume_key);
        let planner = Planner {
            settings: self.settings,
            scope: self.scope,
            ledger: self.ledger,
            advertisers: self.advertisers.clone(),
            unavailable: self.unavailable.clone(),
            earlier_runs: &earlier_runs,
            today: self.today,
            removal: self.removal,
        };
        let plan = planner.plan(tables);
        self.refuse_nothing(&plan)?;
        let forecasts = planner.forecasts(&plan);
        let calls = planned_calls(&plan, &forecasts);
        Ok(Surveyed { plan, forecasts, calls, resume_key })
    }

    /// A backfill of which no day can be had is a mistake: a year typed wrong, for instance.
    fn refuse_nothing(&self, plan: &Plan) -> Result<(), Error> {
        let Some(days) = self.scope.days() else { return Ok(()) };
        let is_something = plan.reports.iter().any(|planned| !planned.days.is_empty())
            || !plan.snapshots.is_empty()
            || plan.resumed_partitions > 0;
        if is_something {
            return Ok(());
        }
        let reasons: BTreeSet<&str> = plan.notices.iter().map(|notice| notice.message.as_str()).collect();
        let reasons: Vec<&str> = reasons.into_iter().collect();
        let message = format!("nothing to do for {days}: {}", reasons.join("; "));
        Err(Error::new(Code::NothingToDo, message))
    }
}

/// Takes from the output what the settings leave to it, and refuses settings that contradict it: an output holds one currency
/// and one time zone.
///
/// # Errors
///
/// When the output holds another currency or time zone.
pub fn adopt(settings: &mut Settings, ledger: &Ledger) -> Result<(), Error> {
    refuse_mixture(settings, ledger)?;
    adopt_start(settings, ledger);
    Ok(())
}

/// Without a configured `start_date`, days are due since the first one that the output holds.
pub fn adopt_start(settings: &mut Settings, ledger: &Ledger) {
    if let Some(default) = settings.default_start
        && let Some(first) = first_day(ledger)
    {
        settings.start_date = default.min(first);
    }
}

/// Refuses settings that would mix two kinds of numbers in one output.
///
/// # Errors
///
/// When the output holds another currency or time zone; both are named, and the ways out.
pub fn refuse_mixture(settings: &Settings, ledger: &Ledger) -> Result<(), Error> {
    let zone = settings.timezone.name();
    let mut problems = Vec::new();
    for (key, what, held, wanted) in [
        ("currency", "amounts in", ledger.currency(), settings.currency.as_str()),
        ("timezone", "days cut in", ledger.timezone(), zone),
    ] {
        if let Some(held) = held.filter(|held| *held != wanted) {
            problems.push(format!("it holds {what} {held}, and `{key}` is {wanted}"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!("the output `{}` cannot take these settings: {}", settings.output, problems.join("; "));
    Err(Error::new(Code::OutputMixed, message))
}

/// The first day of any report table in the output.
fn first_day(ledger: &Ledger) -> Option<NaiveDate> {
    let is_report = |name: &&str| match Catalog::get().resolve(name, &TableOverrides::default()) {
        Ok((table, _)) => table.is_report(),
        // What the catalogue does not know is a custom report.
        Err(_) => true,
    };
    ledger.tables().filter(is_report).filter_map(|table| Some(ledger.partitions(table).next()?.date)).min()
}

/// The advertisers that Criteo refused in the last run that requested reports, and that have to be tried before they are
/// requested together with others.
pub fn remembered_refusals(ledger: &Ledger) -> BTreeSet<String> {
    remembered(ledger, REFUSED_ADVERTISERS).map(str::to_owned).collect()
}

/// The advertisers for which an endpoint had no answer in the last run that requested reports, with the endpoint's path.
pub fn remembered_unavailable(ledger: &Ledger) -> BTreeSet<(String, String)> {
    let pairs = remembered(ledger, UNAVAILABLE_ADVERTISERS).filter_map(|entry| entry.rsplit_once(':'));
    pairs.map(|(path, id)| (path.to_owned(), id.to_owned())).collect()
}

fn remembered<'l>(ledger: &'l Ledger, parameter: &str) -> impl Iterator<Item = &'l str> {
    let requested_reports = |run: &&crate::ledger::RunRecord| {
        run.outcome != RunOutcome::Running && run.calls.get("report").copied() > Some(0)
    };
    let last = ledger.runs().rev().find(requested_reports);
    let list = last.and_then(|run| run.parameters.get(parameter)).map(String::as_str).unwrap_or_default();
    list.split(',').filter(|entry| !entry.is_empty())
}

/// What a run is asked to do: equal for runs that may continue each other.
pub fn resume_key(command: &str, scope: Scope, settings: &Settings, advertisers: &[&str], tables: &[Table]) -> String {
    let api_url = settings.api_url.as_ref().map_or_else(|| Connector::get().base_url.clone(), ToString::to_string);
    let days = scope.days().map(|days| [days.from().to_string(), days.to().to_string()]);
    let table = |table: &Table| {
        let (grain, dimensions, metrics) = match &table.extract {
            Extract::Report { grain, dimensions, metrics } => (Some(*grain), dimensions.clone(), metrics.clone()),
            Extract::Entity { .. } => (None, Vec::new(), Vec::new()),
        };
        let grain = grain.map(|grain| match grain {
            Grain::Day => "day",
            Grain::Hour => "hour",
        });
        serde_json::json!({"name": table.name, "grain": grain, "dimensions": dimensions, "metrics": metrics})
    };
    let identity = serde_json::json!({
        "command": command,
        "days": days,
        "api_url": api_url,
        "currency": settings.currency,
        "timezone": settings.timezone.name(),
        "advertisers": advertisers,
        "tables": tables.iter().map(table).collect::<Vec<_>>(),
    });
    hexadecimal(Sha256::new_with_prefix(identity.to_string()))
}
