//! Every environment variable this program reads, declared once; the reference page and `--help` come from this list.
//!
//! [`Environment`] is a snapshot, so that a test needs no process environment and two runs cannot see two values. It
//! does not judge what the variables say.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::notice::Code;

use super::problem::{Invalid, Located, Origin, Problem, Problems, Warning};
use super::suggest::nearest;

/// One documented variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Whether it is for the program's own tests only.
    pub for_tests: bool,
}

/// `CRITEO_CONFIG`
pub const CONFIG: &str = "CRITEO_CONFIG";
/// `CRITEO_CLIENT_ID`
pub const CLIENT_ID: &str = "CRITEO_CLIENT_ID";
/// `CRITEO_CLIENT_SECRET`
pub const CLIENT_SECRET: &str = "CRITEO_CLIENT_SECRET";
/// `CRITEO_CLIENT_SECRET_FILE`
pub const CLIENT_SECRET_FILE: &str = "CRITEO_CLIENT_SECRET_FILE";
/// `CRITEO_CREDENTIALS_FILE`
pub const CREDENTIALS_FILE: &str = "CRITEO_CREDENTIALS_FILE";
/// `CRITEO_REFRESH_TOKEN`
pub const REFRESH_TOKEN: &str = "CRITEO_REFRESH_TOKEN";
/// `CRITEO_REFRESH_TOKEN_FILE`
pub const REFRESH_TOKEN_FILE: &str = "CRITEO_REFRESH_TOKEN_FILE";
/// `CRITEO_CONSENT_URL`
pub const CONSENT_URL: &str = "CRITEO_CONSENT_URL";
/// `CRITEO_ADVERTISER_IDS`
pub const ADVERTISER_IDS: &str = "CRITEO_ADVERTISER_IDS";
/// `CRITEO_CURRENCY`
pub const CURRENCY: &str = "CRITEO_CURRENCY";
/// `CRITEO_TIMEZONE`
pub const TIMEZONE: &str = "CRITEO_TIMEZONE";
/// `CRITEO_OUTPUT`
pub const OUTPUT: &str = "CRITEO_OUTPUT";
/// `CRITEO_API_URL`
pub const API_URL: &str = "CRITEO_API_URL";
/// `DUCKDB`
pub const DUCKDB: &str = "DUCKDB";
/// `GOOGLE_APPLICATION_CREDENTIALS`
pub const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// `GOOGLE_CLOUD_PROJECT`
pub const GOOGLE_CLOUD_PROJECT: &str = "GOOGLE_CLOUD_PROJECT";
/// `BIGQUERY_EMULATOR_HOST`
pub const BIGQUERY_EMULATOR_HOST: &str = "BIGQUERY_EMULATOR_HOST";
/// `SNOWFLAKE_ACCOUNT`
pub const SNOWFLAKE_ACCOUNT: &str = "SNOWFLAKE_ACCOUNT";
/// `SNOWFLAKE_USER`
pub const SNOWFLAKE_USER: &str = "SNOWFLAKE_USER";
/// `SNOWFLAKE_ROLE`
pub const SNOWFLAKE_ROLE: &str = "SNOWFLAKE_ROLE";
/// `SNOWFLAKE_WAREHOUSE`
pub const SNOWFLAKE_WAREHOUSE: &str = "SNOWFLAKE_WAREHOUSE";
/// `SNOWFLAKE_DATABASE`
pub const SNOWFLAKE_DATABASE: &str = "SNOWFLAKE_DATABASE";
/// `SNOWFLAKE_SCHEMA`
pub const SNOWFLAKE_SCHEMA: &str = "SNOWFLAKE_SCHEMA";
/// `SNOWFLAKE_PRIVATE_KEY_FILE`
pub const SNOWFLAKE_PRIVATE_KEY_FILE: &str = "SNOWFLAKE_PRIVATE_KEY_FILE";
/// `SNOWFLAKE_PRIVATE_KEY_FILE_PWD`
pub const SNOWFLAKE_PRIVATE_KEY_FILE_PWD: &str = "SNOWFLAKE_PRIVATE_KEY_FILE_PWD";
/// `CRITEO_SOURCE_TEST_SKIP_WAITS`
pub const TEST_SKIP_WAITS: &str = "CRITEO_SOURCE_TEST_SKIP_WAITS";
/// `CRITEO_SOURCE_TEST_ROW_CAPS`
pub const TEST_ROW_CAPS: &str = "CRITEO_SOURCE_TEST_ROW_CAPS";
/// `CRITEO_SOURCE_TEST_TIMEOUT_MILLIS`
pub const TEST_TIMEOUT_MILLIS: &str = "CRITEO_SOURCE_TEST_TIMEOUT_MILLIS";
/// `CRITEO_SOURCE_TEST_NOW`
pub const TEST_NOW: &str = "CRITEO_SOURCE_TEST_NOW";
/// Whether this build reads the variables for tests. A released program does not: none of them can change what it does.
const READS_TEST_HOOKS: bool = cfg!(any(debug_assertions, feature = "test-hooks"));

/// All of them, in the order of the reference page.
pub const VARIABLES: &[Variable] = &[
    plain(CONFIG, "the configuration file, where `--config` does not name one"),
    plain(CLIENT_ID, "client id of the Criteo app"),
    secret(CLIENT_SECRET, "client secret of the Criteo app"),
    plain(CLIENT_SECRET_FILE, "path of a file that holds only the client secret, instead of `CRITEO_CLIENT_SECRET`"),
    plain(
        CREDENTIALS_FILE,
        "path of the `.txt` that the Criteo partner portal downloads; may hold up to five key pairs, tried in order",
    ),
    secret(REFRESH_TOKEN, "refresh token of an authorization-code app, for a server without a browser"),
    plain(REFRESH_TOKEN_FILE, "path of a file that holds only the refresh token; rewritten when Criteo replaces it"),
    plain(ADVERTISER_IDS, "advertiser ids, separated by commas; as `advertisers` in the file"),
    plain(CURRENCY, "currency of all amounts, three upper-case letters; as `currency` in the file"),
    plain(TIMEZONE, "time zone in which days are cut, `UTC` or Area/Location; as `timezone` in the file"),
    plain(OUTPUT, "where partitions are written; as `output` in the file"),
    plain(API_URL, "base URL of the API, for a proxy or the sandbox; https only, except on loopback"),
    plain(CONSENT_URL, "address of the consent page of `login`, for the sandbox; https only, except on loopback"),
    plain(DUCKDB, "path of the `duckdb` program, where it is not on `PATH`"),
    plain(
        GOOGLE_APPLICATION_CREDENTIALS,
        "path of Google credentials in JSON: a service-account key, or workload identity",
    ),
    plain(GOOGLE_CLOUD_PROJECT, "Google Cloud project; as `load.bigquery.project` in the file"),
    plain(
        BIGQUERY_EMULATOR_HOST,
        "host and port of a BigQuery emulator on this machine, which is called without credentials",
    ),
    plain(SNOWFLAKE_ACCOUNT, "Snowflake account identifier; as `load.snowflake.account` in the file"),
    plain(SNOWFLAKE_USER, "Snowflake user; as `load.snowflake.user` in the file"),
    plain(SNOWFLAKE_ROLE, "Snowflake role; as `load.snowflake.role` in the file"),
    plain(SNOWFLAKE_WAREHOUSE, "Snowflake warehouse; as `load.snowflake.warehouse` in the file"),
    plain(SNOWFLAKE_DATABASE, "Snowflake database; as `load.snowflake.database` in the file"),
    plain(SNOWFLAKE_SCHEMA, "Snowflake schema; as `load.snowflake.schema` in the file"),
    plain(SNOWFLAKE_PRIVATE_KEY_FILE, "path of the private key (PEM, PKCS #8) of the Snowflake user"),
    secret(SNOWFLAKE_PRIVATE_KEY_FILE_PWD, "password of an encrypted private key of the Snowflake user"),
    Variable {
        name: TEST_SKIP_WAITS,
        description: "for tests only: `1` counts waits instead of sleeping",
        secret: false,
        for_tests: true,
    },
    Variable {
        name: TEST_ROW_CAPS,
        description: "for tests only: row caps of a small world, as in `statistics=50,placements=50`",
        secret: false,
        for_tests: true,
    },
    Variable {
        name: TEST_TIMEOUT_MILLIS,
        description: "for tests only: milliseconds after which a silent server counts as gone, instead of minutes",
        secret: false,
        for_tests: true,
    },
    Variable {
        name: TEST_NOW,
        description: "for tests only: what the wall clock says when the program starts, as in `2026-11-10T12:00:00Z`",
        secret: false,
        for_tests: true,
    },
];

const fn plain(name: &'static str, description: &'static str) -> Variable {
    Variable { name, description, secret: false, for_tests: false }
}

const fn secret(name: &'static str, description: &'static str) -> Variable {
    Variable { name, description, secret: true, for_tests: false }
}

/// Variables of the system that are looked at: where state goes, which proxy is used, whether a browser is plausible.
const OF_THE_SYSTEM: &[&str] = &[
    "ALL_PROXY",
    "BROWSER",
    "DISPLAY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KUBERNETES_SERVICE_HOST",
    "LOCALAPPDATA",
    "LOGNAME",
    "NO_PROXY",
    "SSH_CONNECTION",
    "SSH_TTY",
    "USER",
    "WAYLAND_DISPLAY",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "all_proxy",
    "container",
    "https_proxy",
    "no_proxy",
];

/// A snapshot of the variables of [`VARIABLES`], of all others that start with `CRITEO_`, and of a few of the system's.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    reads_test_hooks: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self { variables: BTreeMap::new(), reads_test_hooks: READS_TEST_HOOKS }
    }
}

impl Environment {
    /// The variables of this process, now.
    pub fn of_process() -> Self {
        Self::from_pairs(std::env::vars_os())
    }

    /// A snapshot made of pairs, for tests.
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let ours = pairs.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            let is_known = VARIABLES.iter().any(|variable| variable.name == name);
            let is_wanted = is_known || name.starts_with("CRITEO_") || OF_THE_SYSTEM.contains(&name.as_str());
            is_wanted.then(|| (name, value.into()))
        });
        Self { variables: ours.collect(), ..Self::default() }
    }

    /// What the wall clock says: the system's, or in a test the one that the test names.
    ///
    /// # Errors
    ///
    /// A text that is no instant.
    pub fn now(&self) -> Result<DateTime<Utc>, Problems> {
        let mut problems = Vec::new();
        let Some(given) = self.text(TEST_NOW, &mut problems) else {
            return if problems.is_empty() { Ok(Utc::now()) } else { Err(Problems(problems)) };
        };
        DateTime::parse_from_rfc3339(&given.value).map(|now| now.to_utc()).map_err(|_| {
            let invalid = Invalid::new("not an instant", "write it as in `2026-11-10T12:00:00Z`, or unset it");
            Problems::from(invalid.at(given.origin))
        })
    }

    fn is_ignored(&self, name: &str) -> bool {
        !self.reads_test_hooks && VARIABLES.iter().any(|variable| variable.for_tests && variable.name == name)
    }

    /// The trimmed text of a variable; `None` when unset or empty, and a problem when it is not Unicode.
    pub(super) fn text(&self, name: &'static str, problems: &mut Vec<Problem>) -> Option<Located<String>> {
        let value = self.variables.get(name).filter(|_| !self.is_ignored(name))?;
        let Some(text) = value.to_str() else {
            problems.push(Problem {
                code: Code::InvalidValue,
                origin: Origin::Variable(name),
                message: "the value is not valid UTF-8".to_owned(),
                remedy: "set it to plain text, or unset it".to_owned(),
            });
            return None;
        };
        let text = text.trim();
        (!text.is_empty()).then(|| Located::variable(name, text.to_owned()))
    }

    /// The value of a variable of the system; `None` when unset or empty.
    pub fn of_the_system(&self, name: &str) -> Option<&OsStr> {
        debug_assert!(OF_THE_SYSTEM.contains(&name), "{name} is not in the snapshot");
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.to_string_lossy().trim().is_empty())
    }

    /// The folder for what must outlive a run but is no output: `$XDG_STATE_HOME/criteo-source` or
    /// `~/.local/state/criteo-source` (XDG Base Directory Specification 0.8), on Windows `%LOCALAPPDATA%\\criteo-source`.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| self.of_the_system(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let usual = || {
            if cfg!(windows) { folder("LOCALAPPDATA") } else { folder("HOME").map(|home| home.join(".local/state")) }
        };
        let base = folder("XDG_STATE_HOME").or_else(usual);
        base.map(|base| base.join("criteo-source"))
    }

    /// The program that `DUCKDB` names.
    pub fn duckdb_program(&self) -> Option<PathBuf> {
        self.variables.get(DUCKDB).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The configuration file that `CRITEO_CONFIG` names.
    pub fn configuration_file(&self) -> Option<PathBuf> {
        self.variables.get(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The folder of this user's configuration: `$XDG_CONFIG_HOME/criteo-source` or `~/.config/criteo-source` (XDG Base
    /// Directory Specification 0.8), on Windows `%LOCALAPPDATA%\\criteo-source`.
    pub fn configuration_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| self.of_the_system(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let usual =
            || if cfg!(windows) { folder("LOCALAPPDATA") } else { folder("HOME").map(|home| home.join(".config")) };
        folder("XDG_CONFIG_HOME").or_else(usual).map(|base| base.join("criteo-source"))
    }

    /// Variables that are not read although someone may believe they are: misspelt ones of ours, and those for tests in a
    /// released program.
    pub(super) fn not_read(&self) -> Vec<Warning> {
        let known = || VARIABLES.iter().map(|variable| variable.name).filter(|name| !self.is_ignored(name));
        let message = |name: &String| {
            if self.is_ignored(name) {
                return Some(format!(
                    "variable `{name}` is for tests, and this program is not built for tests: unset it"
                ));
            }
            let meant = nearest(name, known())?;
            Some(format!("variable `{name}` is not read; did you mean `{meant}`?"))
        };
        let unknown = self
            .variables
            .keys()
            .filter(|name| name.starts_with("CRITEO_") && !known().any(|known| known == name.as_str()));
        unknown.filter_map(message).map(|message| Warning { code: Code::UnknownVariable, message }).collect()
    }
}

impl fmt::Debug for Environment {
    /// Names only: some of the values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        let environment = Environment::from_pairs([(CURRENCY, "  "), (OUTPUT, " ./x ")]);
        let mut problems = Vec::new();
        assert_eq!(environment.text(CURRENCY, &mut problems), None);
        assert_eq!(environment.text(OUTPUT, &mut problems), Some(Located::variable(OUTPUT, "./x".to_owned())));
        assert!(problems.is_empty());
    }

    #[test]
    fn a_misspelt_variable_is_pointed_out_and_a_foreign_one_is_not() {
        let environment = Environment::from_pairs([("CRITEO_CURENCY", "EUR"), ("CRITEO_RETAIL_MEDIA_HOME", "x")]);
        let warnings = environment.not_read();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.contains("did you mean `CRITEO_CURRENCY`?"));
    }

    #[test]
    fn state_is_kept_where_the_system_wants_it() {
        let folder = |pairs: &[(&str, &str)]| Environment::from_pairs(pairs.iter().copied()).state_folder();
        let path = |text: &str| Some(PathBuf::from(text));
        if cfg!(unix) {
            assert_eq!(folder(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), path("/s/criteo-source"));
            assert_eq!(
                folder(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
                path("/h/.local/state/criteo-source")
            );
            assert_eq!(folder(&[("XDG_STATE_HOME", ""), ("HOME", "/h")]), path("/h/.local/state/criteo-source"));
        }
        assert_eq!(folder(&[]), None);
    }

    #[test]
    fn a_released_program_reads_no_variable_for_tests_and_says_so() {
        let hooks = VARIABLES.iter().filter(|variable| variable.for_tests).map(|variable| variable.name);
        let mut environment = Environment::from_pairs(hooks.clone().map(|name| (name, "1")));
        environment.reads_test_hooks = false;
        for name in hooks.clone() {
            assert_eq!(environment.text(name, &mut Vec::new()), None, "{name}");
        }
        assert!(environment.now().unwrap() > DateTime::UNIX_EPOCH);
        assert_eq!(environment.not_read().len(), hooks.count());
    }

    #[test]
    fn a_test_says_what_the_wall_clock_says() {
        let now = |text: &str| Environment::from_pairs([(TEST_NOW, text)]).now();
        assert_eq!(now("2026-11-10T14:00:00+02:00").unwrap().to_rfc3339(), "2026-11-10T12:00:00+00:00");
        assert!(now("yesterday").unwrap_err().to_string().contains(TEST_NOW));
    }

    #[test]
    fn the_debug_form_shows_no_value() {
        let environment = Environment::from_pairs([(CLIENT_SECRET, "hunter2")]);
        assert_eq!(format!("{environment:?}"), r#"{"CRITEO_CLIENT_SECRET"}"#);
    }

    #[test]
    fn names_are_unique_and_descriptions_are_given() {
        let names: std::collections::BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        assert!(VARIABLES.iter().all(|variable| !variable.description.is_empty()));
    }
}
