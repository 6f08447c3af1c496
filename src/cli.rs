//! What was typed: every command and option, as types. It parses and explains; it decides nothing.
//!
//! Options that also have a variable or a key in the file are only carried here; [`crate::settings`] decides which
//! value holds. Secrets have no option on purpose: command lines are visible to every user of a machine.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use chrono::{NaiveDate, TimeDelta};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::dates::{DateRange, NotADate, TypedDay, parse_date, parse_days};
use crate::error::{Error, ExitCodes};
use crate::logging::{LogFormat, LogOptions};
use crate::pull::Scope;
use crate::settings::environment::VARIABLES;
use crate::settings::load::{LoadOverrides, TargetKind};
use crate::settings::{DEFAULT_PATH, Overrides};

const EXAMPLES: &str = "\
Examples:
  criteo-source demo                                        try it: no account, no network
  criteo-source init                                        write a commented configuration file
  criteo-source check                                       prove that everything is in place
  criteo-source pull                                        the run to schedule every morning
  criteo-source backfill --from 2026-01-01 --to 2026-03-31  a range of days, both included
";

/// Pulls Criteo Marketing Solutions data into Parquet partitions that BigQuery, Snowflake and DuckDB can load.
///
/// Results go to stdout; logs and progress go to stderr. For each setting the first that is given holds: flag,
/// environment variable, configuration file, default. A secret is never a flag and never in the file.
#[derive(Clone, Debug, Parser)]
#[command(name = "criteo-source", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes, before or after its name.
    #[command(flatten)]
    pub global: GlobalOptions,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Configuration file [default: `CRITEO_CONFIG`, `./criteo-source.toml`, `~/.config/criteo-source/criteo-source.toml`]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where partitions are written: a folder, `file://`, `gs://`, `s3://` or `az://` [default: `./data`]
    #[arg(long, global = true, value_name = "URL")]
    pub output: Option<String>,

    /// Take this date, in the report time zone, as today; the last day pulled is the one before
    #[arg(long, global = true, value_name = "YYYY-MM-DD", value_parser = date)]
    pub as_of: Option<NaiveDate>,

    /// Only these tables, separated by commas, whether enabled or not
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',', action = ArgAction::Append)]
    pub tables: Vec<String>,

    /// Only these advertiser ids, separated by commas
    #[arg(long, global = true, value_name = "IDS", value_delimiter = ',', action = ArgAction::Append)]
    pub advertisers: Vec<String>,

    /// How results are printed on stdout: `table` for people, `json` for exactly one JSON document (`schema` has more)
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t, hide_possible_values = true)]
    pub format: Format,

    /// How logs are printed on stderr
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,

    /// Log more: `-v` each step of the run, `-vv` each request, `-vvv` everything; never headers or secrets
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say nothing of a run that goes well: no summary, no progress; `-qq` logs errors only, `-qqq` nothing
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,

    /// No progress bars, also on a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
}

impl GlobalOptions {
    /// The options that override variables and file.
    pub fn overrides(&self) -> Overrides {
        let trimmed = |names: &[String]| names.iter().map(|name| name.trim().to_owned()).collect();
        Overrides {
            output: self.output.clone(),
            as_of: self.as_of,
            tables: trimmed(&self.tables),
            advertisers: trimmed(&self.advertisers),
            load: LoadOverrides::default(),
        }
    }

    /// The options that concern logs.
    pub fn log_options(&self) -> LogOptions {
        // The summary at the end lists them, on the same terminal.
        let without_notices = self.quiet == 0 && self.format != Format::Json && std::io::stdout().is_terminal();
        let is_watched = std::io::stderr().is_terminal();
        LogOptions { format: self.log_format, verbose: self.verbose, quiet: self.quiet, is_watched, without_notices }
    }
}

/// How results are printed. All but the first two are for `schema` alone; [`parse`] refuses them elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// Exactly one JSON document.
    Json,
    /// `schema` only: a BigQuery schema file.
    #[value(name = "bigquery")]
    BigQuery,
    /// `schema` only: Snowflake DDL.
    Snowflake,
    /// `schema` only: DuckDB DDL.
    #[value(name = "duckdb")]
    DuckDb,
    /// `schema` only: the Arrow schema.
    Arrow,
    /// `schema` only: a dbt source file.
    Dbt,
}

impl Format {
    /// Whether every command understands it.
    pub fn is_general(self) -> bool {
        matches!(self, Self::Table | Self::Json)
    }
}

/// One verb per variant.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the whole job against the built-in sandbox: no account, no network, no configuration
    ///
    /// Writes to `./criteo-demo` (or `--output`), prints what it wrote and the query to try next.
    Demo,

    /// Write a commented configuration file with every default; never overwrites
    ///
    /// Writes `--config`, or `./criteo-source.toml`.
    Init,

    /// Prove credentials, permissions, consent, reports, output and load targets before the first run
    ///
    /// Prints each finding as it is known, and every problem with its remedy at the end. Fetches one day of each enabled report of
    /// one advertiser, looks at the output and at every configured load target, and leaves nothing behind. Nothing is wrong: exit
    /// 0; credentials, permissions or consent: 3; configuration: 2; output: 6; only a load target: 8.
    Check,

    /// Sign in with a browser, for an app of the kind Authorization Code; its refresh token is stored for later runs
    ///
    /// Prints the link of the consent page alone on a line of stderr, opens it where a browser is plausible, and waits for the
    /// answer. The redirect URI must be registered for the app.
    #[command(
        after_help = "Examples:\n  criteo-source login\n  criteo-source login --paste --redirect-uri https://example.com/callback\n  criteo-source login --status"
    )]
    Login(LoginArguments),

    /// Forget the refresh token that `login` stored; the consent itself is withdrawn at Criteo
    Logout,

    /// Show what `pull` (or `backfill`) would do: windows, calls, minutes; calls only `advertisers/me`
    Plan(PlanArguments),

    /// The scheduled run: missing days since `start_date`, the look-back window, then entity snapshots
    ///
    /// The last day is yesterday in the report time zone. Running it twice gives the same partitions.
    Pull(PullArguments),

    /// Pull exactly a range of days; resumable
    ///
    /// Days published by an earlier, interrupted run of the same backfill are not fetched again, unless `--force`.
    #[command(
        after_help = "Example:\n  criteo-source backfill --from 2026-01-01 --to 2026-01-31 --tables transactions"
    )]
    Backfill(BackfillArguments),

    /// Load changed partitions into a warehouse: `bigquery`, `snowflake`, `duckdb`, or every configured one
    ///
    /// Compares the output with what the target holds, and replaces exactly the days that differ, per table in one transaction.
    #[command(
        after_help = "Examples:\n  criteo-source load duckdb --database ./criteo.duckdb\n  criteo-source load --dry-run"
    )]
    Load(LoadArguments),

    /// Show what is there: coverage by table and day, what is due next, last runs; needs no credentials, calls nothing
    ///
    /// Days are final, provisional (Criteo still restates them), mismatched (sums are not Criteo's totals) or missing.
    #[command(
        after_help = "Examples:\n  criteo-source status --check --max-age 26h\n  criteo-source status --history \
                      ad_statistics_daily --day 2026-11-03 -v\n  criteo-source status --html status.html"
    )]
    Status(StatusArguments),

    /// Show the contract of each table, or of one, as resolved for the current configuration
    ///
    /// `--format` is one of table, json, bigquery, snowflake, duckdb, arrow, dbt.
    #[command(after_help = "Example:\n  criteo-source schema ad_statistics_daily --format bigquery")]
    Schema(SchemaArguments),

    /// Serve the simulated Criteo API on this machine
    ///
    /// Prints the address, and the variables that point the other commands at it.
    Sandbox(SandboxArguments),

    /// Explain a code of a warning or error: why it happens, and what to do; without one, list all
    #[command(after_help = "Example:\n  criteo-source explain scope_missing")]
    Explain(ExplainArguments),

    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  criteo-source completions bash > ~/.local/share/bash-completion/completions/criteo-source"
    )]
    Completions(CompletionsArguments),
}

impl Command {
    /// The verb, as typed and as in the `command` of the JSON summary.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Init => "init",
            Self::Check => "check",
            Self::Login(_) => "login",
            Self::Logout => "logout",
            Self::Plan(_) => "plan",
            Self::Pull(_) => "pull",
            Self::Backfill(_) => "backfill",
            Self::Load(_) => "load",
            Self::Status(_) => "status",
            Self::Schema(_) => "schema",
            Self::Sandbox(_) => "sandbox",
            Self::Explain(_) => "explain",
            Self::Completions(_) => "completions",
        }
    }

    /// Whether it is scheduled work, whose start and end are logged.
    pub fn is_job(&self) -> bool {
        matches!(self, Self::Demo | Self::Pull(_) | Self::Backfill(_) | Self::Load(_))
    }

    /// Where its metrics go.
    pub fn metrics_file(&self) -> Option<&PathBuf> {
        let file = match self {
            Self::Pull(arguments) => &arguments.run.metrics_file,
            Self::Backfill(arguments) => &arguments.run.metrics_file,
            Self::Load(arguments) => &arguments.metrics_file,
            Self::Status(arguments) => &arguments.metrics_file,
            _ => &None,
        };
        file.as_ref()
    }

    /// The dates that were typed, if both ends of a range are dates; the range may be empty.
    fn typed_range(&self) -> Option<(NaiveDate, NaiveDate)> {
        let range = match self {
            Self::Plan(arguments) => arguments.range,
            Self::Backfill(arguments) => arguments.range,
            Self::Status(arguments) => return arguments.history.from.zip(arguments.history.to),
            _ => return None,
        };
        match (range.from?, range.to?) {
            (TypedDay::Date(from), TypedDay::Date(to)) => Some((from, to)),
            _ => None,
        }
    }
}

/// Arguments of `login`.
#[derive(Clone, Debug, Args)]
pub struct LoginArguments {
    /// Show which app has signed in, since when, until when, and where its refresh token is (exit 3 if none has)
    #[arg(long, conflicts_with_all = ["redirect_uri", "no_pkce", "no_browser", "paste", "timeout"])]
    pub status: bool,

    /// Where the consent page sends the browser, in exactly the spelling that is registered for the app
    #[arg(long, value_name = "URI", default_value = "http://localhost:3000/criteo-auth/callback")]
    pub redirect_uri: String,

    /// Paste the address that the browser is sent to (or the code in it) by hand: for https redirect URIs, and without a
    /// connection back to this machine
    #[arg(long)]
    pub paste: bool,

    /// Do not open a browser; the link is printed in any case
    #[arg(long)]
    pub no_browser: bool,

    /// Send no proof key (PKCE, RFC 7636), for apps that refuse it
    #[arg(long)]
    pub no_pkce: bool,

    /// Minutes to wait for the answer
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub timeout: u32,
}

/// A range of days, both ends included, in the report time zone.
#[derive(Clone, Copy, Debug, Args)]
pub struct RangeArguments {
    /// First day, included, in the report time zone: a date, `today`, `yesterday`, or `90d` for 90 days ago
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = typed_day, requires = "to")]
    pub from: Option<TypedDay>,

    /// Last day, included, in the report time zone: a date, `today`, `yesterday`, or `1d` for a day ago
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = typed_day, requires = "from")]
    pub to: Option<TypedDay>,

    /// The last so many complete days, as in `90d`, instead of `--from` and `--to`
    #[arg(long, value_name = "DAYS", value_parser = last_days, conflicts_with_all = ["from", "to"])]
    pub last: Option<u16>,
}

impl RangeArguments {
    /// The days that are meant where today is `today`; `None` where no range was typed.
    ///
    /// # Errors
    ///
    /// When the range ends before it starts.
    pub fn days(self, today: NaiveDate) -> Result<Option<DateRange>, Error> {
        let (from, to) = match (self.last, self.from, self.to) {
            (Some(days), ..) => (TypedDay::DaysAgo(days).on(today), TypedDay::DaysAgo(1).on(today)),
            (None, Some(from), Some(to)) => (from.on(today), to.on(today)),
            (None, ..) => return Ok(None),
        };
        DateRange::new(from, to)
            .map(Some)
            .ok_or_else(|| Error::usage(empty_range(from, to)).with_remedy("give the earlier day first"))
    }
}

fn empty_range(from: NaiveDate, to: NaiveDate) -> String {
    format!("`--from` {from} is after `--to` {to}; both days are included")
}

/// Arguments of `plan`.
#[derive(Clone, Copy, Debug, Args)]
pub struct PlanArguments {
    /// Plan a backfill of this range instead of a pull.
    #[command(flatten)]
    pub range: RangeArguments,
}

impl PlanArguments {
    /// A backfill of the range, or a pull.
    ///
    /// # Errors
    ///
    /// When the range ends before it starts.
    pub fn scope(&self, today: NaiveDate) -> Result<Scope, Error> {
        let days = self.range.days(today)?;
        Ok(days.map_or(Scope::Pull, |days| Scope::Backfill { days, force: false }))
    }
}

/// What `pull` and `backfill` share.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Print the plan that the run would execute, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Fail (exit 4) when the sums of what was written differ from Criteo's own totals
    #[arg(long)]
    pub strict: bool,

    /// Remove the rows of advertisers that this run does not request from the partitions it replaces
    #[arg(long)]
    pub drop_others: bool,

    /// Let `keep_days` also remove what Criteo could not give again: snapshots, and days older than its history
    #[arg(long)]
    pub prune: bool,

    /// Load what is published afterwards, also when the run is partial; may be given several times
    #[arg(long, value_enum, value_name = "TARGET", action = ArgAction::Append)]
    pub load: Vec<LoadTarget>,

    /// Write what was done, in numbers, to a file for the textfile collector of Prometheus' `node_exporter`
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// A target of `--load`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadTarget {
    /// This one.
    One(TargetKind),
    /// Every one that has a section in the configuration file.
    All,
}

impl ValueEnum for LoadTarget {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::One(TargetKind::BigQuery), Self::One(TargetKind::Snowflake), Self::One(TargetKind::DuckDb), Self::All]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            Self::One(kind) => kind.to_possible_value(),
            Self::All => Some(clap::builder::PossibleValue::new("all").help("every configured target")),
        }
    }
}

/// Arguments of `pull`.
#[derive(Clone, Debug, Args)]
pub struct PullArguments {
    /// How to run.
    #[command(flatten)]
    pub run: RunArguments,
}

/// Arguments of `backfill`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("days").args(["from", "last"]).required(true).multiple(true))]
pub struct BackfillArguments {
    /// Which days.
    #[command(flatten)]
    pub range: RangeArguments,

    /// Fetch every day again, also those that an interrupted run of this backfill published
    #[arg(long)]
    pub force: bool,

    /// How to run.
    #[command(flatten)]
    pub run: RunArguments,
}

impl BackfillArguments {
    /// A backfill of the range.
    ///
    /// # Errors
    ///
    /// When the range ends before it starts.
    pub fn scope(&self, today: NaiveDate) -> Result<Scope, Error> {
        let days = self.range.days(today)?.ok_or_else(|| Error::usage("no range of days was given"))?;
        Ok(Scope::Backfill { days, force: self.force })
    }
}

/// Arguments of `load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArguments {
    /// Where to load to [default: every target with a section in the configuration file]
    #[arg(value_enum, value_name = "TARGET")]
    pub targets: Vec<TargetKind>,

    /// BigQuery: the project [default: that of the credentials]
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,

    /// BigQuery: the dataset
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,

    /// BigQuery: where the dataset is created
    #[arg(long, value_name = "LOCATION")]
    pub location: Option<String>,

    /// DuckDB: a file, or what it can ATTACH; Snowflake: the database
    #[arg(long, value_name = "DATABASE")]
    pub database: Option<String>,

    /// Snowflake, DuckDB: the schema
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,

    /// Load every partition again, also those that the target has
    #[arg(long)]
    pub full: bool,

    /// Delete days from the target that are no longer in the output
    #[arg(long)]
    pub prune: bool,

    /// Print the statements that would be executed, in order, and change nothing
    #[arg(long)]
    pub print: bool,

    /// Print what would be loaded, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Write what was done, in numbers, to a file for the textfile collector of Prometheus' `node_exporter`
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

impl LoadArguments {
    /// The options that override variables and file.
    pub fn overrides(&self) -> LoadOverrides {
        LoadOverrides {
            project: self.project.clone(),
            dataset: self.dataset.clone(),
            location: self.location.clone(),
            database: self.database.clone(),
            schema: self.schema.clone(),
        }
    }
}

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArguments {
    /// Exit with 4 unless yesterday is complete in every report and today's snapshots are taken: for monitors
    #[arg(long)]
    pub check: bool,

    /// With `--check`: accept what was complete that long ago, such as `26h`, `90m` or `2d`
    #[arg(long, value_name = "AGE", value_parser = age, requires = "check")]
    pub max_age: Option<TimeDelta>,

    /// Reconstruct a lost or damaged ledger from the data files; damaged files go to `_ledger/damaged`
    #[arg(long)]
    pub rebuild: bool,

    /// Read every data file and compare it with the ledger (exit 6 when anything is wrong); changes nothing
    #[arg(long)]
    pub verify: bool,

    /// Which changes to show.
    #[command(flatten)]
    pub history: HistoryArguments,

    /// Write everything as one self-contained web page, and print the rest as usual
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write what there is, in numbers, to a file for the textfile collector of Prometheus' `node_exporter`
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// The part of `status` that is about restatement.
#[derive(Clone, Debug, Args)]
pub struct HistoryArguments {
    /// Show what re-pulls changed, newest day first, of one table or of all; with `-v` every step with exact sums
    #[arg(long, value_name = "TABLE", num_args = 0..=1)]
    pub history: Option<Option<String>>,

    /// With `--history`: only this day
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date, requires = "history", conflicts_with_all = ["from", "to"])]
    pub day: Option<NaiveDate>,

    /// With `--history`: from this day, included
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date, requires_all = ["history", "to"])]
    pub from: Option<NaiveDate>,

    /// With `--history`: to this day, included
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date, requires_all = ["history", "from"])]
    pub to: Option<NaiveDate>,
}

/// Reads `26h`, `90m` or `2d`.
fn age(text: &str) -> Result<TimeDelta, String> {
    let invalid = || format!("`{text}` is not an age: write a number and a unit, such as `26h`, `90m` or `2d`");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(invalid)?;
    let number: u32 = number.parse().map_err(|_| invalid())?;
    match unit {
        "m" => Ok(TimeDelta::minutes(number.into())),
        "h" => Ok(TimeDelta::hours(number.into())),
        "d" => Ok(TimeDelta::days(number.into())),
        _ => Err(invalid()),
    }
}

/// Arguments of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArguments {
    /// One table; without it, all of them
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
}

/// Arguments of `sandbox`.
#[derive(Clone, Debug, Args)]
pub struct SandboxArguments {
    /// Port on 127.0.0.1; 0 takes a free one and prints it
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,

    /// A fault to simulate; may be given several times
    #[arg(long, value_name = "FAULT", action = ArgAction::Append)]
    pub fault: Vec<String>,

    /// The day the simulation takes as today, in UTC [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    pub today: Option<NaiveDate>,

    /// Rows at which a statistics response is cut [default: 100000, as at Criteo]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub statistics_cap: Option<u64>,

    /// Rows at which a placements response is cut [default: 20000, as at Criteo]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub placements_cap: Option<u64>,

    /// Rows at which a transactions response is cut; Criteo documents none [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub transactions_cap: Option<u64>,

    /// Calls allowed a minute, for reports and for everything else alike [default: 40 and 250, as at Criteo]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub calls_per_minute: Option<u32>,

    /// Number of advertisers that gave consent [default: a few]
    #[arg(long, value_name = "N")]
    pub advertisers_count: Option<u32>,

    /// Number of ads in each of an advertiser's nine ad sets [default: 3]
    #[arg(long, value_name = "N")]
    pub ads_per_ad_set: Option<u32>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArguments {
    /// The code, such as `row_cap`
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// Arguments of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

fn date(text: &str) -> Result<NaiveDate, NotADate> {
    parse_date(text)
}

fn typed_day(text: &str) -> Result<TypedDay, String> {
    text.parse()
        .map_err(|error: NotADate| format!("{error}; `today`, `yesterday` and `90d` (90 days ago) are understood too"))
}

fn last_days(text: &str) -> Result<u16, String> {
    match parse_days(text) {
        Some(0) | None => Err("write a number of days, such as `90d`".to_owned()),
        Some(days) => Ok(days),
    }
}

/// The command line as clap knows it, with examples, exit codes and environment variables in its long help.
pub fn command() -> clap::Command {
    Cli::command().after_help(EXAMPLES).after_long_help(long_epilogue())
}

fn long_epilogue() -> String {
    let mut text = format!(
        "{EXAMPLES}\nConfiguration file:\n  --config FILE, CRITEO_CONFIG, ./{DEFAULT_PATH}, or $XDG_CONFIG_HOME/criteo-source/{DEFAULT_PATH}: the first that\n  there is. `criteo-source init` writes one with every key explained.\n"
    );
    text.push_str("\nEnvironment (empty is unset):\n");
    for variable in VARIABLES.iter().filter(|variable| !variable.for_tests) {
        let _ = writeln!(text, "  {:<27}{}", variable.name, variable.description);
    }
    text.push_str("\nExit codes:\n");
    for (code, meaning) in ExitCodes::ALL {
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    }
    text
}

/// Parses a command line, program name first, and checks what clap cannot: formats that only `schema` has, and ranges
/// that end before they start.
///
/// # Errors
///
/// A clap error, which is also how `--help` and `--version` arrive.
pub fn parse<I, T>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = command();
    let cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(arguments)?)?;
    let is_schema = matches!(cli.command, Command::Schema(_));
    if !is_schema && !cli.global.format.is_general() {
        let message = "this `--format` is for `schema` only; use `table` or `json`";
        return Err(command.error(ErrorKind::InvalidValue, message));
    }
    match cli.command.typed_range() {
        Some((from, to)) if from > to => Err(command.error(ErrorKind::ValueValidation, empty_range(from, to))),
        _ => Ok(cli),
    }
}

/// Whether stdout must be one JSON document, judged from the words alone because they may not parse.
pub fn asks_for_json(arguments: &[OsString]) -> bool {
    is_json(arguments, "--format")
}

/// How logs are to be printed, judged from the words alone.
pub fn log_format_of(arguments: &[OsString]) -> LogFormat {
    if is_json(arguments, "--log-format") { LogFormat::Json } else { LogFormat::Text }
}

/// Whether the last of these options says `json`.
fn is_json(arguments: &[OsString], option: &str) -> bool {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| *word != "--").collect();
    let value = |word: &str| word.strip_prefix(option)?.strip_prefix('=').map(str::to_owned);
    let spaced = words.windows(2).enumerate().filter(|(_, pair)| pair[0] == option);
    let spaced = spaced.map(|(at, pair)| (at, pair[1].clone().into_owned()));
    let joined = words.iter().enumerate().filter_map(|(at, word)| Some((at, value(word)?)));
    spaced.chain(joined).max_by_key(|(at, _)| *at).is_some_and(|(_, format)| format == "json")
}

/// Whether a command line that asks for the version wants all of it.
pub fn asks_for_more(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "--verbose" || word == "-v")
}

/// The verb in a command line that may not parse: the first word that is one.
pub fn guess_command(arguments: &[OsString]) -> Option<String> {
    let command = Cli::command();
    let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    words.into_iter().find(|word| command.find_subcommand(word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Cli, clap::Error> {
        parse(std::iter::once("criteo-source").chain(line.split_whitespace()))
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_declaration_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn global_options_work_before_and_after_the_verb() {
        for line in ["--output x --format json -vv pull", "pull --output x --format json -vv"] {
            let cli = typed(line).unwrap();
            assert_eq!(
                (cli.global.output.as_deref(), cli.global.format, cli.global.verbose),
                (Some("x"), Format::Json, 2)
            );
        }
        let cli = typed("pull --tables a,b --tables c --advertisers 1,2 --as-of 2026-01-02").unwrap();
        assert_eq!(cli.global.overrides().tables, ["a", "b", "c"]);
        assert_eq!(cli.global.overrides().advertisers, ["1", "2"]);
    }

    #[test]
    fn schema_has_formats_that_others_refuse() {
        assert_eq!(typed("schema ads --format bigquery").unwrap().global.format, Format::BigQuery);
        assert_eq!(typed("--format json schema").unwrap().global.format, Format::Json);
        let error = typed("pull --format bigquery").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("for `schema` only"));
    }

    #[test]
    fn dates_have_one_form_and_ranges_a_direction() {
        let cli = typed("backfill --from 2026-01-01 --to 2026-01-31").unwrap();
        let Command::Backfill(arguments) = cli.command else { panic!("{cli:?}") };
        let today = "2026-03-01".parse().unwrap();
        assert_eq!(arguments.range.days(today).unwrap().unwrap().len_days(), 31);
        let Command::Plan(arguments) = typed("plan --last 90d").unwrap().command else { panic!("not a plan") };
        let days = arguments.range.days(today).unwrap().unwrap();
        assert_eq!((days.len_days(), days.to().to_string().as_str()), (90, "2026-02-28"));
        let Command::Backfill(arguments) = typed("backfill --from 7d --to yesterday").unwrap().command else {
            panic!()
        };
        assert_eq!(arguments.range.days(today).unwrap().unwrap().len_days(), 7);
        let Command::Backfill(arguments) = typed("backfill --from today --to yesterday").unwrap().command else {
            panic!()
        };
        assert_eq!(arguments.range.days(today).unwrap_err().exit_code(), 2);
        for line in
            ["backfill", "backfill --last 0d", "backfill --last 90", "backfill --last 9d --from today --to today"]
        {
            assert!(typed(line).is_err(), "{line}");
        }
        assert!(typed("backfill --from 2026-1-1 --to 2026-01-31").unwrap_err().to_string().contains("YYYY-MM-DD"));
        assert!(typed("backfill --from 2026-02-01 --to 2026-01-31").unwrap_err().to_string().contains("is after"));
        assert!(typed("backfill --from 2026-02-01").is_err());
        assert!(typed("plan --from 2026-02-01").is_err());
        assert!(typed("plan").is_ok());
    }

    #[test]
    fn there_is_no_option_for_a_secret() {
        fn names(command: &clap::Command) -> Vec<String> {
            let own = command.get_arguments().map(|argument| argument.get_id().to_string());
            own.chain(command.get_subcommands().flat_map(names)).collect()
        }
        let offending: Vec<_> = names(&command())
            .into_iter()
            .filter(|name| ["secret", "token", "password"].iter().any(|word| name.contains(word)))
            .collect();
        assert!(offending.is_empty(), "{offending:?}");
    }

    #[test]
    fn help_names_every_variable_and_every_exit_code() {
        let help = command().render_long_help().to_string();
        for variable in VARIABLES {
            assert_eq!(help.contains(variable.name), !variable.for_tests, "{}", variable.name);
        }
        for (_, meaning) in ExitCodes::ALL {
            assert!(help.contains(meaning), "{meaning}");
        }
    }

    #[test]
    fn the_name_of_each_verb_is_the_one_typed() {
        for line in ["demo", "check", "pull", "status --verify", "completions bash", "sandbox --port 0"] {
            assert_eq!(Some(typed(line).unwrap().command.name()), line.split(' ').next());
        }
    }

    #[test]
    fn json_is_recognised_in_a_line_that_does_not_parse() {
        for (line, expected) in [
            ("x pull --format json --nonsense", true),
            ("x --format=json", true),
            ("x --format", false),
            ("x --format table --format json", true),
            ("x --format=json --format table", false),
            ("x -- --format json", false),
        ] {
            assert_eq!(asks_for_json(&words(line)), expected, "{line}");
        }
        assert_eq!(guess_command(&words("x --format json backfil backfill")).as_deref(), Some("backfill"));
    }
}
