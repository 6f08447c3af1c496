//! The one function that turns flags, environment and file into [`Settings`], and the only code that knows their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::catalog::{CustomReport, TableOverrides};
use crate::dates;

use crate::notice::Code;

use super::api_url::ApiUrl;
use super::credentials::{CredentialsGiven, CredentialsSource};
use super::environment::{
    ADVERTISER_IDS, API_URL, CONSENT_URL, CURRENCY, Environment, OUTPUT, TEST_ROW_CAPS, TEST_SKIP_WAITS,
    TEST_TIMEOUT_MILLIS, TIMEZONE,
};
use super::file::{ConfigurationFile, RawConfiguration};
use super::load::{LoadOverrides, LoadSettings};
use super::output::OutputLocation;
use super::problem::{Invalid, Located, Problem, Problems, Warning};
use super::report;
use super::{proxy, timezone};

const DEFAULT_OUTPUT: &str = "./data";
const DEFAULT_CURRENCY: &str = "USD";
const DEFAULT_START_DAYS_AGO: u64 = 30;
/// The longest attribution window (30 days) and the day after it: only then is nothing restated any more.
const DEFAULT_LOOKBACK_DAYS: u32 = 31;
const DEFAULT_KEEP_DAYS: u32 = 0;
const DEFAULT_MAX_RUN_MINUTES: u32 = 120;

/// What was typed and overrides everything else. A secret is never a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--output`
    pub output: Option<String>,
    /// `--as-of`
    pub as_of: Option<NaiveDate>,
    /// `--tables`; empty when not given.
    pub tables: Vec<String>,
    /// `--advertisers`; empty when not given.
    pub advertisers: Vec<String>,
    /// Flags of `load`.
    pub load: LoadOverrides,
}

/// Everything a run is told to do, valid by construction. Its `Debug` and `Display` show no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where partitions are written.
    pub output: OutputLocation,
    /// Currency of amounts: three upper-case letters.
    pub currency: String,
    /// Zone in which days and hours are cut.
    pub timezone: Tz,
    /// Today, in the report time zone: the clock's, or `--as-of`, but never after the clock's. The last complete day is the one
    /// before.
    pub as_of: NaiveDate,
    /// `--as-of` as given; the clock's today without it.
    pub requested_as_of: NaiveDate,
    /// Today by the clock, in the report time zone. Snapshots are of this day only.
    pub today: NaiveDate,
    /// First day to pull, inclusive; not yet clamped to what Criteo keeps.
    pub start_date: NaiveDate,
    /// What `start_date` is by default, where none is configured: the output may begin earlier.
    pub default_start: Option<NaiveDate>,
    /// Advertiser ids in the order given, without repeats; empty: every one that consented.
    pub advertisers: Vec<String>,
    /// Days every pull reads again, ending the day before `as_of`.
    pub lookback_days: u32,
    /// Days of partitions to keep; 0: all.
    pub keep_days: u32,
    /// Minutes until a run stops asking; 0: no deadline.
    pub max_run_minutes: u32,
    /// `--tables`: exactly these, enabled or not; empty: the enabled ones.
    pub selected_tables: Vec<String>,
    /// What the file says about tables, by name.
    pub tables: BTreeMap<String, TableOverrides>,
    /// Custom statistics reports.
    pub reports: Vec<CustomReport>,
    /// Where to load.
    pub load: LoadSettings,
    /// Base URL of the API, where it is not the connector's own.
    pub api_url: Option<ApiUrl>,
    /// Address of the consent page, where it is not the connector's own.
    pub consent_url: Option<ApiUrl>,
    /// Where `login` keeps refresh tokens; `None` where the system names no folder for it.
    pub state_folder: Option<PathBuf>,
    /// Tests only: waits are counted, not slept.
    pub skip_waits: bool,
    /// Tests only: rows at which a report counts as cut, by the report's name.
    pub row_caps: BTreeMap<String, u64>,
    /// Tests only: how long a server may be silent.
    pub timeout: Option<Duration>,
    credentials: CredentialsGiven,
    proxy_problem: Option<Problem>,
}

impl Settings {
    /// The first day that `keep_days` keeps; `None` if everything is kept.
    pub fn oldest_kept(&self) -> Option<NaiveDate> {
        let days = (self.keep_days > 0).then(|| Days::new(self.keep_days.into()))?;
        self.as_of.checked_sub_days(days)
    }

    /// Settings from flags, environment, file and defaults, in this order of precedence.
    ///
    /// `known_tables` are the names of the built-in tables, and `now` is what `as_of` and `start_date` default from.
    /// Missing credentials are no problem here; see [`Settings::credentials`].
    ///
    /// # Errors
    ///
    /// Every problem that was found, not only the first.
    pub fn resolve(
        flags: &Overrides,
        environment: &Environment,
        file: Option<&ConfigurationFile>,
        known_tables: &[&str],
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Warning>), Problems> {
        let mut problems = Vec::new();
        let raw = file.map(|file| RawConfiguration::parse(file, &mut problems)).unwrap_or_default();
        let settings = Resolver { flags, environment, raw: &raw, problems: &mut problems }.settings(known_tables, now);
        if problems.is_empty() {
            let mut warnings = environment.not_read();
            warnings.extend(settings.warnings(now));
            Ok((settings, warnings))
        } else {
            Err(Problems(problems))
        }
    }

    /// Where the credentials are.
    ///
    /// # Errors
    ///
    /// What to set, when they are missing or when two variables contradict each other.
    pub fn credentials(&self) -> Result<CredentialsSource, Problems> {
        self.credentials.resolve()
    }

    /// The client id, where one is configured beside its secret; needs no secret.
    pub fn client_id(&self) -> Option<&str> {
        self.credentials.known_client_id()
    }

    /// The credentials file, where it is what brings the client ids.
    pub fn credentials_file(&self) -> Option<&Path> {
        self.credentials.file()
    }

    /// Refuses a proxy that cannot work, for commands that call an address that is not of this machine.
    ///
    /// # Errors
    ///
    /// The variable, and what is wrong with it.
    pub fn check_proxy(&self) -> Result<(), Problems> {
        self.proxy_problem.clone().map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// What is allowed but probably not meant.
    fn warnings(&self, now: DateTime<Utc>) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self.credentials.unused().into_iter().collect();
        let mut warn = |code, message| warnings.push(Warning { code, message });
        let today = dates::today(now, self.timezone);
        if self.requested_as_of > today {
            let message = format!(
                "`--as-of` {} is after today ({today} in {}), which is taken instead",
                self.requested_as_of, self.timezone
            );
            warn(Code::AsOfInFuture, message);
        }
        if self.start_date >= self.as_of {
            let message = format!("`start_date` {} is not before {}: no day is due", self.start_date, self.as_of);
            warn(Code::NothingDue, message);
        }
        if self.keep_days > 0 && self.keep_days < self.lookback_days {
            let message = format!(
                "`keep_days` ({}) is less than `lookback_days` ({}): days are deleted while Criteo still restates them",
                self.keep_days, self.lookback_days
            );
            warn(Code::KeepBelowLookback, message);
        }
        warnings
    }
}

impl fmt::Display for Settings {
    /// The values in force, one a line, for logs and `check`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String], none: &str| if names.is_empty() { none.to_owned() } else { names.join(", ") };
        writeln!(f, "output: {}", self.output)?;
        writeln!(f, "currency: {}", self.currency)?;
        writeln!(f, "timezone: {}", self.timezone)?;
        writeln!(f, "as of: {}", self.as_of)?;
        writeln!(f, "start date: {}", self.start_date)?;
        writeln!(f, "advertisers: {}", list(&self.advertisers, "all that consented"))?;
        writeln!(f, "look-back: {} days", self.lookback_days)?;
        writeln!(f, "keep: {}", count_or(self.keep_days, "days", "everything"))?;
        writeln!(f, "deadline: {}", count_or(self.max_run_minutes, "minutes", "none"))?;
        write!(f, "tables: {}", list(&self.selected_tables, "the enabled ones"))
    }
}

fn count_or(count: u32, unit: &str, zero: &str) -> String {
    if count == 0 { zero.to_owned() } else { format!("{count} {unit}") }
}

/// Flag, environment, file: the first that was given. This is the precedence; nothing else decides it.
fn first_given<T>(
    flag: Option<Located<T>>,
    environment: Option<Located<T>>,
    file: Option<Located<T>>,
) -> Option<Located<T>> {
    flag.or(environment).or(file)
}

struct Resolver<'a> {
    flags: &'a Overrides,
    environment: &'a Environment,
    raw: &'a RawConfiguration,
    problems: &'a mut Vec<Problem>,
}

impl Resolver<'_> {
    fn settings(mut self, known_tables: &[&str], now: DateTime<Utc>) -> Settings {
        let timezone = self.timezone();
        let today = dates::today(now, timezone);
        let requested_as_of = self.flags.as_of.unwrap_or(today);
        let as_of = requested_as_of.min(today);
        let default_start = as_of.checked_sub_days(Days::new(DEFAULT_START_DAYS_AGO)).unwrap_or(as_of);
        let start_date = self.start_date();
        let reports = report::resolve_reports(self.raw, known_tables, self.problems);
        Settings {
            output: self.output(),
            currency: self.currency(),
            timezone,
            as_of,
            requested_as_of,
            today,
            start_date: start_date.unwrap_or(default_start),
            default_start: start_date.is_none().then_some(default_start),
            advertisers: self.advertisers(),
            lookback_days: self.lookback_days(),
            keep_days: self.raw.keep_days.as_ref().map_or(DEFAULT_KEEP_DAYS, |days| days.value),
            max_run_minutes: self.raw.max_run_minutes.as_ref().map_or(DEFAULT_MAX_RUN_MINUTES, |limit| limit.value),
            selected_tables: self.selected_tables(known_tables, &reports),
            tables: report::resolve_tables(self.raw, known_tables, &reports, self.problems),
            reports,
            load: LoadSettings::resolve(&self.flags.load, self.environment, self.raw, self.problems),
            api_url: self.url(API_URL),
            consent_url: self.url(CONSENT_URL),
            state_folder: self.environment.state_folder(),
            skip_waits: self.skip_waits(),
            row_caps: self.row_caps(),
            timeout: self.timeout(),
            credentials: CredentialsGiven::gather(self.environment, self.raw, self.problems),
            proxy_problem: proxy::problem(self.environment),
        }
    }

    fn output(&mut self) -> OutputLocation {
        let flag = self.flags.output.clone().map(|output| Located::flag("--output", output));
        let given = first_given(flag, self.variable(OUTPUT), self.raw.output.clone());
        self.valid(given, OutputLocation::parse).unwrap_or_else(|| OutputLocation::Local(DEFAULT_OUTPUT.into()))
    }

    fn currency(&mut self) -> String {
        let given = first_given(None, self.variable(CURRENCY), self.raw.currency.clone());
        self.valid(given, parse_currency).unwrap_or_else(|| DEFAULT_CURRENCY.to_owned())
    }

    fn timezone(&mut self) -> Tz {
        let given = first_given(None, self.variable(TIMEZONE), self.raw.timezone.clone());
        self.valid(given, timezone::parse).unwrap_or(Tz::UTC)
    }

    fn start_date(&mut self) -> Option<NaiveDate> {
        let given = first_given(None, None, self.raw.start_date.clone());
        self.valid(given, |text| {
            dates::parse_date(text).map_err(|error| Invalid::new(error.to_string(), "such as \"2026-01-31\""))
        })
    }

    fn advertisers(&mut self) -> Vec<String> {
        let flag = (!self.flags.advertisers.is_empty())
            .then(|| Located::flag("--advertisers", self.flags.advertisers.clone()));
        let variable = self.variable(ADVERTISER_IDS).map(|ids| ids.map(|text| split_list(&text)));
        let Some(given) = first_given(flag, variable, self.raw.advertisers.clone()) else { return Vec::new() };
        for id in &given.value {
            if id.is_empty() || !id.chars().all(|c| c.is_ascii_digit()) {
                let invalid = Invalid::new(format!("`{id}` is not an advertiser id"), "use digits only, such as 12345");
                self.problems.push(invalid.at(given.origin.clone()));
            }
        }
        without_repeats(given.value)
    }

    fn lookback_days(&mut self) -> u32 {
        let Some(days) = &self.raw.lookback_days else { return DEFAULT_LOOKBACK_DAYS };
        report::check_lookback(days, self.problems);
        days.value
    }

    fn selected_tables(&mut self, known_tables: &[&str], reports: &[CustomReport]) -> Vec<String> {
        let report_names = reports.iter().map(|report| report.name.as_str());
        let all_names: Vec<&str> = known_tables.iter().copied().chain(report_names).collect();
        for name in self.flags.tables.iter().filter(|name| !all_names.contains(&name.as_str())) {
            self.problems.push(report::unknown_table(&Located::flag("--tables", name.clone()), &all_names));
        }
        without_repeats(self.flags.tables.clone())
    }

    fn url(&mut self, variable: &'static str) -> Option<ApiUrl> {
        let given = self.variable(variable);
        self.valid(given, ApiUrl::parse)
    }

    fn skip_waits(&mut self) -> bool {
        let given = self.variable(TEST_SKIP_WAITS);
        let parse = |text: &str| match text {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(Invalid::new("not a yes or no", "set it to `1`, or unset it")),
        };
        self.valid(given, parse).unwrap_or(false)
    }

    fn row_caps(&mut self) -> BTreeMap<String, u64> {
        let given = self.variable(TEST_ROW_CAPS);
        let parse = |text: &str| {
            let pair = |part: &str| {
                let (report, rows) = part.split_once('=')?;
                Some((report.trim().to_owned(), rows.trim().parse().ok()?))
            };
            let pairs: Option<BTreeMap<String, u64>> = text.split(',').map(pair).collect();
            pairs.ok_or_else(|| Invalid::new("not a list of caps", "write `statistics=50,placements=50`, or unset it"))
        };
        self.valid(given, parse).unwrap_or_default()
    }

    fn timeout(&mut self) -> Option<Duration> {
        let given = self.variable(TEST_TIMEOUT_MILLIS);
        let parse = |text: &str| match text.parse() {
            Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
            _ => Err(Invalid::new("not a number of milliseconds", "set it to `500`, or unset it")),
        };
        self.valid(given, parse)
    }

    fn variable(&mut self, name: &'static str) -> Option<Located<String>> {
        self.environment.text(name, self.problems)
    }

    /// The parsed value; a text that does not parse is a problem at its origin.
    fn valid<T>(
        &mut self,
        given: Option<Located<String>>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let Located { value, origin } = given?;
        parse(&value).map_err(|invalid| self.problems.push(invalid.at(origin))).ok()
    }
}

/// Membership is Criteo's business: its list moves, and it has spellings of its own.
fn parse_currency(text: &str) -> Result<String, Invalid> {
    let upper = text.to_ascii_uppercase();
    if upper.len() != 3 || !upper.chars().all(|c| c.is_ascii_uppercase()) {
        return Err(Invalid::new(
            format!("`{text}` is not a currency code"),
            "use three upper-case letters, such as `EUR`",
        ));
    }
    if upper != text {
        return Err(Invalid::new(
            format!("`{text}` is not a currency code"),
            format!("use upper-case letters: `{upper}`"),
        ));
    }
    Ok(upper)
}

fn split_list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn without_repeats(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
