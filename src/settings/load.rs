//! Where `load` loads to: flags, variables and `[load.*]` of the file. It opens nothing; a password has no place here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::environment::{self, Environment};
use super::file::RawConfiguration;
use super::problem::{Invalid, Located, Problem};
use crate::secret::SecretString;

const DEFAULT_DATASET: &str = "criteo";
const DEFAULT_LOCATION: &str = "EU";
const DEFAULT_DATABASE: &str = "./criteo.duckdb";
const DEFAULT_SCHEMA: &str = "main";
const DEFAULT_SNOWFLAKE_SCHEMA: &str = "CRITEO";

/// A warehouse that `load` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum TargetKind {
    /// Google BigQuery.
    #[value(name = "bigquery")]
    BigQuery,
    /// Snowflake.
    Snowflake,
    /// DuckDB, and what it can ATTACH.
    #[value(name = "duckdb")]
    DuckDb,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BigQuery, Self::Snowflake, Self::DuckDb];

    /// Its name on the command line, in the file and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::BigQuery => "bigquery",
            Self::Snowflake => "snowflake",
            Self::DuckDb => "duckdb",
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Flags of `load`; none has a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOverrides {
    /// `--project`
    pub project: Option<String>,
    /// `--dataset`
    pub dataset: Option<String>,
    /// `--location`
    pub location: Option<String>,
    /// `--database`
    pub database: Option<String>,
    /// `--schema`
    pub schema: Option<String>,
}

/// Every target, and which of them the configuration file has a section for.
#[derive(Clone, Debug, Default)]
pub struct LoadSettings {
    /// Targets with a section in the file, in the order of [`TargetKind::ALL`].
    pub configured: Vec<TargetKind>,
    /// BigQuery.
    pub bigquery: BigQuerySettings,
    /// Snowflake.
    pub snowflake: SnowflakeSettings,
    /// DuckDB.
    pub duckdb: DuckDbSettings,
}

/// `[load.bigquery]`
#[derive(Clone, Debug, Default)]
pub struct BigQuerySettings {
    /// Project; the one of the credentials if not given.
    pub project: Option<String>,
    /// Dataset.
    pub dataset: String,
    /// Where the dataset is created.
    pub location: String,
    /// Put before every table's name.
    pub table_prefix: String,
    /// Host and port of an emulator.
    pub emulator_host: Option<String>,
    /// File with Google credentials.
    pub credentials_file: Option<PathBuf>,
}

/// `[load.snowflake]`
#[derive(Clone, Debug, Default)]
pub struct SnowflakeSettings {
    /// Account identifier.
    pub account: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Role.
    pub role: Option<String>,
    /// Warehouse.
    pub warehouse: Option<String>,
    /// Database.
    pub database: Option<String>,
    /// Schema.
    pub schema: String,
    /// External stage over the output; the user's stage if not given.
    pub stage: Option<String>,
    /// Private key in PEM.
    pub private_key_file: Option<PathBuf>,
    /// Password of the private key.
    pub private_key_password: Option<SecretString>,
    /// Path of the ADBC driver.
    pub driver: Option<PathBuf>,
    /// Host, for private links and tests.
    pub host: Option<String>,
    /// Port, for private links and tests.
    pub port: Option<u16>,
    /// `https` or, for tests, `http`.
    pub protocol: Option<String>,
    /// Put before every table's name.
    pub table_prefix: String,
}

/// `[load.duckdb]`
#[derive(Clone, Debug, Default)]
pub struct DuckDbSettings {
    /// A file, or what DuckDB can ATTACH.
    pub database: String,
    /// Schema.
    pub schema: String,
    /// Put before every table's name.
    pub table_prefix: String,
    /// The `duckdb` program, where it is not on `PATH`.
    pub program: Option<PathBuf>,
}

impl LoadSettings {
    pub(super) fn resolve(
        flags: &LoadOverrides,
        environment: &Environment,
        raw: &RawConfiguration,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let section = |kind: TargetKind| raw.load.iter().find(|section| section.target == kind.name());
        let reader = |kind| {
            let values = section(kind).map(|section| section.values.clone()).unwrap_or_default();
            Section { values, environment }
        };
        Self {
            configured: TargetKind::ALL.into_iter().filter(|kind| section(*kind).is_some()).collect(),
            bigquery: bigquery(flags, &reader(TargetKind::BigQuery), problems),
            snowflake: snowflake(flags, &reader(TargetKind::Snowflake), problems),
            duckdb: duckdb(flags, &reader(TargetKind::DuckDb), problems),
        }
    }
}

/// One section of the file and the environment.
struct Section<'e> {
    values: BTreeMap<&'static str, Located<String>>,
    environment: &'e Environment,
}

type Flag<'f> = Option<(&'static str, &'f Option<String>)>;

impl Section<'_> {
    /// Flag, variable, file: the first that is given and not empty, if `check` accepts it.
    fn text(
        &self,
        flag: Flag<'_>,
        variable: Option<&'static str>,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), Invalid>,
        problems: &mut Vec<Problem>,
    ) -> Option<String> {
        let typed = flag.and_then(|(name, value)| value.clone().map(|value| Located::flag(name, value)));
        let variable = variable.and_then(|name| self.environment.text(name, problems));
        let written = self.values.get(key).cloned().filter(|value| !value.value.is_empty());
        let Located { value, origin } = typed.or(variable).or(written)?;
        if let Err(invalid) = check(&value) {
            problems.push(invalid.at(origin));
            return None;
        }
        Some(value)
    }

    fn table_prefix(&self, problems: &mut Vec<Problem>) -> String {
        self.text(None, None, "table_prefix", is_prefix, problems).unwrap_or_default()
    }
}

fn bigquery(flags: &LoadOverrides, section: &Section<'_>, problems: &mut Vec<Problem>) -> BigQuerySettings {
    let (project, dataset) = (Some(("--project", &flags.project)), Some(("--dataset", &flags.dataset)));
    let location = Some(("--location", &flags.location));
    let variable = Some(environment::GOOGLE_CLOUD_PROJECT);
    let mut environment = |name| section.environment.text(name, problems).map(|value| value.value);
    let emulator_host = environment(environment::BIGQUERY_EMULATOR_HOST);
    let credentials_file = environment(environment::GOOGLE_APPLICATION_CREDENTIALS).map(PathBuf::from);
    BigQuerySettings {
        project: section.text(project, variable, "project", is_project, problems),
        dataset: section.text(dataset, None, "dataset", is_dataset, problems).unwrap_or_else(|| DEFAULT_DATASET.into()),
        location: section
            .text(location, None, "location", is_name, problems)
            .unwrap_or_else(|| DEFAULT_LOCATION.into()),
        table_prefix: section.table_prefix(problems),
        emulator_host,
        credentials_file,
    }
}

fn snowflake(flags: &LoadOverrides, section: &Section<'_>, problems: &mut Vec<Problem>) -> SnowflakeSettings {
    let (database, schema) = (Some(("--database", &flags.database)), Some(("--schema", &flags.schema)));
    let password = section.environment.text(environment::SNOWFLAKE_PRIVATE_KEY_FILE_PWD, problems);
    let port = section.text(None, None, "port", is_port, problems).and_then(|port| port.parse().ok());
    let mut text = |flag, variable, key, check: fn(&str) -> Result<(), Invalid>| {
        section.text(flag, variable, key, check, problems)
    };
    SnowflakeSettings {
        account: text(None, Some(environment::SNOWFLAKE_ACCOUNT), "account", is_account),
        user: text(None, Some(environment::SNOWFLAKE_USER), "user", is_printable),
        role: text(None, Some(environment::SNOWFLAKE_ROLE), "role", is_printable),
        warehouse: text(None, Some(environment::SNOWFLAKE_WAREHOUSE), "warehouse", is_printable),
        database: text(database, Some(environment::SNOWFLAKE_DATABASE), "database", is_printable),
        schema: text(schema, Some(environment::SNOWFLAKE_SCHEMA), "schema", is_printable)
            .unwrap_or_else(|| DEFAULT_SNOWFLAKE_SCHEMA.into()),
        stage: text(None, None, "stage", is_printable),
        private_key_file: text(None, Some(environment::SNOWFLAKE_PRIVATE_KEY_FILE), "private_key_file", is_printable)
            .map(PathBuf::from),
        private_key_password: password.map(|password| password.value.into()),
        driver: text(None, None, "driver", is_printable).map(PathBuf::from),
        host: text(None, None, "host", is_account),
        port,
        protocol: text(None, None, "protocol", is_protocol),
        table_prefix: section.table_prefix(problems),
    }
}

fn duckdb(flags: &LoadOverrides, section: &Section<'_>, problems: &mut Vec<Problem>) -> DuckDbSettings {
    let (database, schema) = (Some(("--database", &flags.database)), Some(("--schema", &flags.schema)));
    DuckDbSettings {
        database: section
            .text(database, None, "database", has_no_secret, problems)
            .unwrap_or_else(|| DEFAULT_DATABASE.into()),
        schema: section.text(schema, None, "schema", is_printable, problems).unwrap_or_else(|| DEFAULT_SCHEMA.into()),
        table_prefix: section.table_prefix(problems),
        program: section.environment.text(environment::DUCKDB, problems).map(|path| path.value.into()),
    }
}

fn is_printable(text: &str) -> Result<(), Invalid> {
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("the text has a line break or another sign that cannot be seen", "remove it"));
    }
    Ok(())
}

/// What may stand in a name that becomes part of an address.
fn check(text: &str, also: &str, what: &str, remedy: &str) -> Result<(), Invalid> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if text.is_empty() || !text.chars().all(is_fine) {
        return Err(Invalid::new(format!("`{text}` is not {what}"), remedy));
    }
    Ok(())
}

fn is_project(text: &str) -> Result<(), Invalid> {
    check(text, "-.:", "a project id", "write the id, such as `my-project`, not the name or the number with spaces")
}

fn is_dataset(text: &str) -> Result<(), Invalid> {
    check(text, "_", "a dataset name", "use letters, digits and underscores")
}

fn is_name(text: &str) -> Result<(), Invalid> {
    check(text, "-", "a location", "write `EU`, `US` or a region such as `europe-west1`")
}

fn is_account(text: &str) -> Result<(), Invalid> {
    check(text, "-._", "an account identifier or host name", "write it as in `myorg-account1`, without `https://`")
}

fn is_protocol(text: &str) -> Result<(), Invalid> {
    if matches!(text, "http" | "https") { Ok(()) } else { Err(Invalid::new("not a protocol", "write `https`")) }
}

fn is_port(text: &str) -> Result<(), Invalid> {
    let port: Result<u16, _> = text.parse();
    port.map(drop).map_err(|_| Invalid::new(format!("`{text}` is not a port"), "write a number up to 65535"))
}

fn is_prefix(text: &str) -> Result<(), Invalid> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.len() > 32 || !text.chars().all(is_fine) || text.starts_with(|c: char| c.is_ascii_digit()) {
        let remedy = "use up to 32 lower-case letters, digits and underscores, not a digit first, such as `criteo_`";
        return Err(Invalid::new(format!("`{text}` cannot begin the name of a table"), remedy));
    }
    Ok(())
}

/// A connection string with a password in it would end up in messages and in the list of processes.
fn has_no_secret(text: &str) -> Result<(), Invalid> {
    let lower = text.to_ascii_lowercase();
    let has_key =
        ["password=", "password =", "_token=", "secret=", "sslpassword"].iter().any(|key| lower.contains(key));
    let has_user_part = lower.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    if has_key || has_user_part {
        let remedy = "remove it; PostgreSQL takes `PGPASSWORD` or `~/.pgpass`, MotherDuck `motherduck_token`, both from the environment";
        return Err(Invalid::new("the database's address carries a password or token", remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ConfigurationFile;

    fn resolve(flags: &LoadOverrides, variables: &[(&str, &str)], text: &str) -> (LoadSettings, Vec<String>) {
        let mut problems = Vec::new();
        let file = ConfigurationFile { path: "c.toml".into(), text: text.to_owned() };
        let raw = RawConfiguration::parse(&file, &mut problems);
        let environment = Environment::from_pairs(variables.iter().copied());
        let settings = LoadSettings::resolve(flags, &environment, &raw, &mut problems);
        (settings, problems.iter().map(|problem| format!("{problem}; {}", problem.remedy)).collect())
    }

    #[test]
    fn every_target_has_defaults_and_only_sections_count_as_configured() {
        let (settings, problems) = resolve(&LoadOverrides::default(), &[], "[load.duckdb]\nschema = 'x'\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.configured, [TargetKind::DuckDb]);
        assert_eq!((settings.duckdb.database.as_str(), settings.duckdb.schema.as_str()), ("./criteo.duckdb", "x"));
        assert_eq!((settings.bigquery.dataset.as_str(), settings.bigquery.location.as_str()), ("criteo", "EU"));
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file() {
        let flags = LoadOverrides { project: Some("flag".into()), ..LoadOverrides::default() };
        let file = "[load.bigquery]\nproject = 'file'\n[load.snowflake]\nuser = 'file'\nport = 443\n";
        let variables = [("GOOGLE_CLOUD_PROJECT", "variable"), ("SNOWFLAKE_USER", "variable")];
        let (settings, problems) = resolve(&flags, &variables, file);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.bigquery.project.as_deref(), Some("flag"));
        assert_eq!((settings.snowflake.user.as_deref(), settings.snowflake.port), (Some("variable"), Some(443)));
        let (settings, _) = resolve(&LoadOverrides::default(), &variables, file);
        assert_eq!(settings.bigquery.project.as_deref(), Some("variable"));
    }

    #[test]
    fn unknown_keys_targets_and_impossible_values_are_named_with_their_line() {
        let file =
            "[load.bigqery]\n[load.duckdb]\nschemas = 'x'\n[load.bigquery]\ndataset = 'a.b'\ntable_prefix = 'A-'\n";
        let (_, problems) = resolve(&LoadOverrides::default(), &[], file);
        let text = problems.join("\n");
        for expected in [
            "`load.bigqery`: unknown key; did you mean `bigquery`?",
            "`load.duckdb.schemas`: unknown key; did you mean `schema`?",
            "c.toml:5 `load.bigquery.dataset`: `a.b` is not a dataset name",
            "c.toml:6 `load.bigquery.table_prefix`",
        ] {
            assert!(text.contains(expected), "{expected}\nnot in\n{text}");
        }
    }

    #[test]
    fn a_password_in_the_database_is_refused_and_not_repeated() {
        for database in [
            "postgres:dbname=x password=hunter2",
            "postgresql://me:hunter2@db.example.com/x",
            "md:x?motherduck_token=hunter2",
        ] {
            let flags = LoadOverrides { database: Some(database.into()), ..LoadOverrides::default() };
            let (_, problems) = resolve(&flags, &[], "");
            assert!(problems[0].contains("`--database`: the database's address carries"), "{problems:?}");
            assert!(!problems.concat().contains("hunter2"));
        }
        let (_, problems) = resolve(&LoadOverrides::default(), &[], "[load.snowflake]\npassword = 'hunter2'\n");
        assert!(problems[0].contains("a secret does not belong") && !problems[0].contains("hunter2"), "{problems:?}");
    }
}
