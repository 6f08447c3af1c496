//! `demo`: the whole job against the built-in sandbox, without account, network or configuration; then a load into a DuckDB
//! file, where DuckDB is found.

use std::path::Path;

use chrono::NaiveTime;

use crate::cli::{Format, GlobalOptions};
use crate::clock::Clock;
use crate::error::Error;
use crate::load::{LoadReport, Options, duckdb};
use crate::notice::Outcome;
use crate::pull::Scope;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::settings::load::{DuckDbSettings, TargetKind};
use crate::settings::{Environment, environment};

use super::pull::Job;
use super::session::Session;
use super::signals::Signals;
use super::{Ended, load, print_text, pull};

/// Where the demo writes unless told otherwise.
const OUTPUT: &str = "./criteo-demo";
/// What it is loaded into, beside the output.
const DATABASE: &str = "criteo-demo.duckdb";
/// The demo's sandbox allows more calls a minute than Criteo, so that nobody has to wait for a look.
const CALLS_PER_MINUTE: u32 = 6000;
/// Time of day of a simulated today.
const NOON: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).expect("noon exists");

/// Starts a sandbox, pulls from it, prints what to try next.
pub async fn run(global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let mut options = SandboxOptions {
        report_calls_per_minute: CALLS_PER_MINUTE,
        default_calls_per_minute: CALLS_PER_MINUTE,
        ..SandboxOptions::default()
    };
    let mut now = Environment::of_process().now()?;
    if let Some(as_of) = global.as_of {
        // The simulated account has no other clock than ours.
        now = as_of.and_time(NOON).and_utc();
    }
    options.today = now.date_naive();
    let (client_id, client_secret) = (options.client_id.clone(), options.client_secret.clone());
    let sandbox = Sandbox::start(options, Clock::starting_at(now)).await.map_err(Error::unexpected)?;
    let mut flags = global.overrides();
    let output = flags.output.get_or_insert_with(|| OUTPUT.to_owned()).clone();
    let environment = Environment::from_pairs([
        (environment::API_URL, sandbox.url()),
        (environment::CLIENT_ID, client_id),
        (environment::CLIENT_SECRET, client_secret),
    ]);
    let session = Session::resolve(&flags, &environment, None, now)?;
    let loading = session.clone();
    let job = Job {
        command: "demo",
        scope: Scope::Pull,
        strict: false,
        drop_others: false,
        prune: false,
        load: Vec::new(),
        metrics_file: None,
    };
    let ended = Box::pin(pull::launch(job, session, global, run_id)).await;
    sandbox.stop().await;
    if !matches!(ended, Ok(Ended { exit_code: 0 })) {
        return ended;
    }
    let database = Path::new(&output).with_file_name(DATABASE).display().to_string();
    let report = load_into_duckdb(loading, &database).await?;
    if global.format != Format::Json && global.quiet == 0 {
        let loaded = report.as_ref().map(load::render).unwrap_or_default();
        let is_loaded = report.is_some_and(|report| report.outcome == Outcome::Ok);
        print_text(&format!("{loaded}{}", next_steps(&output, is_loaded.then_some(&*database))))?;
    }
    ended
}

/// Loads the output into a DuckDB file beside it; `None` where there is no DuckDB, which a demo does not need.
async fn load_into_duckdb(mut session: Session, database: &str) -> Result<Option<LoadReport>, Error> {
    let named = Environment::of_process().duckdb_program();
    let Ok(program) = duckdb::find_program(named.as_deref()) else { return Ok(None) };
    let tables = session.all_tables()?;
    let duckdb = session.settings.load.duckdb;
    session.settings.load.duckdb = DuckDbSettings { database: database.to_owned(), program: Some(program), ..duckdb };
    let (targets, options) = ([TargetKind::DuckDb], Options::default());
    let signals = Signals::default();
    let reports = load::into_all(&targets, &session.settings, &tables, &options, &session.clock, &signals).await?;
    Ok(reports.into_iter().next())
}

fn next_steps(output: &str, database: Option<&str>) -> String {
    let (named, source) = match database {
        Some(database) => (format!("{database} "), "ad_statistics_daily".to_owned()),
        None => (String::new(), format!("read_parquet('{output}/ad_statistics_daily/*/*.parquet')")),
    };
    format!(
        "\nThe files are in {output}/<table>/dt=<day>/data.parquet. Look at them, for instance with DuckDB:\n\n  \
         duckdb {named}-c \"select day, campaign_name, sum(clicks) AS clicks, sum(advertiser_cost) AS cost, \
         any_value(currency) AS currency from {source} group by all order by day desc, cost desc limit 10\"\n\n\
         This was a simulation: numbers and names are invented. For your own account:\n\n  \
         criteo-source init      # writes a commented criteo-source.toml\n  \
         criteo-source --help    # which variables hold the credentials\n"
    )
}
