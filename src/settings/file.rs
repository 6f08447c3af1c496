//! The configuration file as written: every value with its line, every unknown key and wrong type reported at once.
//!
//! [`RawConfiguration`] says what stands in the file and nothing about whether it makes sense together; that is
//! [`super::Settings`]. The text is parsed into a table with spans first and walked second, because a derived reader
//! stops at its first complaint. Secrets are refused here, without being repeated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::notice::Code;

use super::environment::{self, Environment};
use super::problem::{Located, Origin, Problem};
use super::suggest;

/// Where the file is looked for when `--config` is not given: in the working directory.
pub const DEFAULT_PATH: &str = "criteo-source.toml";

/// The commented file that `init` writes: every key with its default, its unit and its meaning.
pub const DEFAULT_CONFIGURATION: &str = include_str!("default.toml");

const KEYS: &[&str] = &[
    "output",
    "currency",
    "timezone",
    "start_date",
    "advertisers",
    "lookback_days",
    "keep_days",
    "max_run_minutes",
    "client_id",
    "credentials_file",
    "tables",
    "reports",
    "load",
];
const TABLE_KEYS: &[&str] = &["enabled", "lookback_days", "metrics", "dimensions"];
const REPORT_KEYS: &[&str] = &["name", "grain", "dimensions", "metrics"];
/// `[load.TARGET]`, with the keys of each; all take a string.
const LOAD_KEYS: &[(&str, &[&str])] = &[
    ("bigquery", &["project", "dataset", "location", "table_prefix"]),
    (
        "snowflake",
        &[
            "account",
            "user",
            "role",
            "warehouse",
            "database",
            "schema",
            "stage",
            "private_key_file",
            "driver",
            "host",
            "port",
            "protocol",
            "table_prefix",
        ],
    ),
    ("duckdb", &["database", "schema", "table_prefix"]),
];

/// Keys that someone may try, with what to do instead.
const SECRET_KEYS: &[(&str, &str)] = &[
    (
        "client_secret",
        "remove it and set `CRITEO_CLIENT_SECRET` or `CRITEO_CLIENT_SECRET_FILE`; if the file was shared, replace the key pair",
    ),
    ("refresh_token", "remove it and set `CRITEO_REFRESH_TOKEN`; if the file was shared, revoke it"),
    ("password", "remove it; the guides of loading say which variable or file each warehouse takes"),
    ("token", "remove it; the guides of loading say which variable or file each warehouse takes"),
    ("private_key", "remove it and let `private_key_file` name a file; if this file was shared, replace the key"),
    ("private_key_file_pwd", "remove it and set `SNOWFLAKE_PRIVATE_KEY_FILE_PWD`"),
];

/// A configuration file that has been read, not yet parsed.
#[derive(Clone, Debug)]
pub struct ConfigurationFile {
    /// The path as it was named, for messages.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl ConfigurationFile {
    /// Reads the file of `--config` or `CRITEO_CONFIG`, which must exist, or else the first that there is of
    /// [`DEFAULT_PATH`] in the working directory and in the user's folder of configurations.
    ///
    /// # Errors
    ///
    /// One problem, when a file cannot be read.
    pub fn read(flag: Option<&Path>, environment: &Environment) -> Result<Option<Self>, Problem> {
        let flag = flag.map(|path| (path.to_owned(), Origin::Flag("--config")));
        let variable = || Some((environment.configuration_file()?, Origin::Variable(environment::CONFIG)));
        if let Some((path, origin)) = flag.or_else(variable) {
            return Self::read_one(&path, origin, true);
        }
        match Self::read_one(Path::new(DEFAULT_PATH), Origin::Default, false)? {
            Some(file) => Ok(Some(file)),
            None => match environment.configuration_folder() {
                Some(folder) => Self::read_one(&folder.join(DEFAULT_PATH), Origin::Default, false),
                None => Ok(None),
            },
        }
    }

    fn read_one(path: &Path, origin: Origin, must_exist: bool) -> Result<Option<Self>, Problem> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self { path: path.to_owned(), text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
            Err(error) => Err(Problem {
                code: Code::UnreadableFile,
                origin,
                message: format!("failed to read `{}`: {error}", path.display()),
                remedy: "name an existing, readable file, or write one with `criteo-source init`".to_owned(),
            }),
        }
    }
}

/// What stands in `[tables.NAME]`.
#[derive(Clone, Debug)]
pub struct RawTable {
    /// `NAME`, located at its header.
    pub name: Located<String>,
    /// `enabled`
    pub enabled: Option<Located<bool>>,
    /// `lookback_days`
    pub lookback_days: Option<Located<u32>>,
    /// `metrics`
    pub metrics: Option<Located<Vec<String>>>,
    /// `dimensions`
    pub dimensions: Option<Located<Vec<String>>>,
}

/// What stands in one `[[reports]]`.
#[derive(Clone, Debug)]
pub struct RawReport {
    /// The entry itself, such as `reports[0]`.
    pub origin: Origin,
    /// `name`
    pub name: Option<Located<String>>,
    /// `grain`
    pub grain: Option<Located<String>>,
    /// `dimensions`
    pub dimensions: Option<Located<Vec<String>>>,
    /// `metrics`
    pub metrics: Option<Located<Vec<String>>>,
}

/// What stands in one `[load.TARGET]`.
#[derive(Clone, Debug)]
pub struct RawLoadTarget {
    /// `bigquery`, `snowflake` or `duckdb`.
    pub target: &'static str,
    /// What is there, by key.
    pub values: BTreeMap<&'static str, Located<String>>,
}

/// What stands in the file; a field is `None` when its key is absent or its value has the wrong type.
#[derive(Clone, Debug, Default)]
pub struct RawConfiguration {
    /// `output`
    pub output: Option<Located<String>>,
    /// `currency`
    pub currency: Option<Located<String>>,
    /// `timezone`
    pub timezone: Option<Located<String>>,
    /// `start_date`, a string or a TOML date.
    pub start_date: Option<Located<String>>,
    /// `advertisers`, strings or integers.
    pub advertisers: Option<Located<Vec<String>>>,
    /// `lookback_days`
    pub lookback_days: Option<Located<u32>>,
    /// `keep_days`
    pub keep_days: Option<Located<u32>>,
    /// `max_run_minutes`
    pub max_run_minutes: Option<Located<u32>>,
    /// `client_id`, which is no secret.
    pub client_id: Option<Located<String>>,
    /// `credentials_file`
    pub credentials_file: Option<Located<String>>,
    /// `[tables.*]`, in the order of the file.
    pub tables: Vec<RawTable>,
    /// `[[reports]]`, in the order of the file.
    pub reports: Vec<RawReport>,
    /// `[load.*]`, in the order of the file.
    pub load: Vec<RawLoadTarget>,
}

impl RawConfiguration {
    /// Parses a file; whatever is wrong is added to `problems`, and the rest is returned.
    pub fn parse(file: &ConfigurationFile, problems: &mut Vec<Problem>) -> Self {
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        let mut walker = Walker { file, problems };
        for error in &errors {
            let origin = walker.at(error.span().map_or(0, |span| span.start), String::new());
            walker.refuse(Code::InvalidToml, origin, error.message(), "correct the TOML syntax of this line");
        }
        walker.configuration(document.get_ref())
    }
}

/// Walks the parsed document and gathers problems.
struct Walker<'a> {
    file: &'a ConfigurationFile,
    problems: &'a mut Vec<Problem>,
}

impl Walker<'_> {
    fn configuration(&mut self, root: &DeTable<'_>) -> RawConfiguration {
        self.refuse_secrets(root);
        self.refuse_unknown(root, "", KEYS);
        RawConfiguration {
            output: self.text(root, "", "output"),
            currency: self.text(root, "", "currency"),
            timezone: self.text(root, "", "timezone"),
            start_date: self.value(root, "", "start_date", "a date such as \"2026-01-01\"", as_date),
            advertisers: self.value(root, "", "advertisers", "a list of ids such as [\"12345\"]", as_ids),
            lookback_days: self.count(root, "", "lookback_days"),
            keep_days: self.count(root, "", "keep_days"),
            max_run_minutes: self.count(root, "", "max_run_minutes"),
            client_id: self.value(root, "", "client_id", "a string", as_id),
            credentials_file: self.text(root, "", "credentials_file"),
            tables: self.tables(root),
            reports: self.reports(root),
            load: self.load(root),
        }
    }

    fn tables(&mut self, root: &DeTable<'_>) -> Vec<RawTable> {
        let Some((_, value)) = entry(root, "tables") else { return Vec::new() };
        let Some(tables) = value.get_ref().as_table() else {
            self.wrong_type(value, "tables".to_owned(), "tables such as `[tables.ads]`");
            return Vec::new();
        };
        let mut found = Vec::with_capacity(tables.len());
        for (name, value) in tables {
            let prefix = format!("tables.{}", name.get_ref());
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(value, prefix, "a table such as `[tables.ads]`");
                continue;
            };
            self.refuse_unknown(table, &prefix, TABLE_KEYS);
            found.push(RawTable {
                name: Located { value: name.get_ref().to_string(), origin: self.at(name.span().start, prefix.clone()) },
                enabled: self.value(table, &prefix, "enabled", "true or false", DeValue::as_bool),
                lookback_days: self.count(table, &prefix, "lookback_days"),
                metrics: self.names(table, &prefix, "metrics"),
                dimensions: self.names(table, &prefix, "dimensions"),
            });
        }
        found
    }

    fn reports(&mut self, root: &DeTable<'_>) -> Vec<RawReport> {
        let Some((_, value)) = entry(root, "reports") else { return Vec::new() };
        let Some(reports) = value.get_ref().as_array() else {
            self.wrong_type(value, "reports".to_owned(), "`[[reports]]` (double brackets), once per report");
            return Vec::new();
        };
        let mut found = Vec::with_capacity(reports.len());
        for (index, value) in reports.iter().enumerate() {
            let prefix = format!("reports[{index}]");
            let Some(report) = value.get_ref().as_table() else {
                self.wrong_type(value, prefix, "`[[reports]]` with `name`, `grain`, `dimensions` and `metrics`");
                continue;
            };
            self.refuse_unknown(report, &prefix, REPORT_KEYS);
            found.push(RawReport {
                origin: self.at(value.span().start, prefix.clone()),
                name: self.text(report, &prefix, "name"),
                grain: self.text(report, &prefix, "grain"),
                dimensions: self.names(report, &prefix, "dimensions"),
                metrics: self.names(report, &prefix, "metrics"),
            });
        }
        found
    }

    fn load(&mut self, root: &DeTable<'_>) -> Vec<RawLoadTarget> {
        const EXPECTED: &str = "tables such as `[load.bigquery]`";
        let Some((_, value)) = entry(root, "load") else { return Vec::new() };
        let Some(targets) = value.get_ref().as_table() else {
            self.wrong_type(value, "load".to_owned(), EXPECTED);
            return Vec::new();
        };
        let names: Vec<&str> = LOAD_KEYS.iter().map(|(name, _)| *name).collect();
        self.refuse_unknown(targets, "load", &names);
        let mut found = Vec::new();
        for (name, value) in targets {
            let Some((target, keys)) = LOAD_KEYS.iter().find(|(known, _)| *known == name.get_ref().as_ref()) else {
                continue;
            };
            let prefix = format!("load.{target}");
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(value, prefix, EXPECTED);
                continue;
            };
            self.refuse_unknown(table, &prefix, keys);
            let value =
                |key: &&'static str| self.value(table, &prefix, key, "a string", as_id).map(|value| (*key, value));
            found.push(RawLoadTarget { target, values: keys.iter().filter_map(value).collect() });
        }
        found
    }

    fn text(&mut self, table: &DeTable<'_>, prefix: &str, key: &str) -> Option<Located<String>> {
        self.value(table, prefix, key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn count(&mut self, table: &DeTable<'_>, prefix: &str, key: &str) -> Option<Located<u32>> {
        self.value(table, prefix, key, "a whole number, zero or more", |value| {
            as_integer(value).and_then(|number| u32::try_from(number).ok())
        })
    }

    fn names(&mut self, table: &DeTable<'_>, prefix: &str, key: &str) -> Option<Located<Vec<String>>> {
        self.value(table, prefix, key, "a list of names such as [\"Clicks\"]", |value| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// The value of `key` if it is there and `convert` takes it; a value that it does not take is a problem.
    fn value<'i, T>(
        &mut self,
        table: &DeTable<'i>,
        prefix: &str,
        key: &str,
        expected: &str,
        convert: impl Fn(&DeValue<'i>) -> Option<T>,
    ) -> Option<Located<T>> {
        let (_, value) = entry(table, key)?;
        let dotted = dotted(prefix, key);
        let Some(converted) = convert(value.get_ref()) else {
            self.wrong_type(value, dotted, expected);
            return None;
        };
        Some(Located { value: converted, origin: self.at(value.span().start, dotted) })
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: String, expected: &str) {
        let origin = self.at(value.span().start, key);
        let found = match value.get_ref() {
            DeValue::Integer(number) => format!("the number {number}"),
            other => format!("this {}", other.type_str()),
        };
        self.refuse(Code::WrongType, origin, format!("{found} is not {expected}"), format!("write {expected}"));
    }

    fn refuse_unknown(&mut self, table: &DeTable<'_>, prefix: &str, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            let is_secret = SECRET_KEYS.iter().any(|(secret, _)| *secret == name);
            if !known.contains(&name) && !is_secret {
                let origin = self.at(key.span().start, dotted(prefix, name));
                self.refuse(Code::UnknownKey, origin, "unknown key", suggest::remedy(name, known));
            }
        }
    }

    /// Secrets are looked for at every depth: `[credentials] client_secret = …` is as readable as any.
    fn refuse_secrets(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Some((_, remedy)) = SECRET_KEYS.iter().find(|(secret, _)| *secret == name) {
                let origin = self.at(key.span().start, name.to_owned());
                self.refuse(Code::SecretInFile, origin, "a secret does not belong in this file", *remedy);
            }
            if let Some(inner) = value.get_ref().as_table() {
                self.refuse_secrets(inner);
            }
            for inner in value.get_ref().as_array().into_iter().flatten() {
                if let Some(inner) = inner.get_ref().as_table() {
                    self.refuse_secrets(inner);
                }
            }
        }
    }

    fn refuse(&mut self, code: Code, origin: Origin, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { code, origin, message: message.into(), remedy: remedy.into() });
    }

    fn at(&self, offset: usize, key: String) -> Origin {
        let before = self.file.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.file.path.clone(), line, key }
    }
}

fn entry<'t, 'i>(
    table: &'t DeTable<'i>,
    key: &str,
) -> Option<(&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    table.iter().find(|(name, _)| name.get_ref().as_ref() == key)
}

fn dotted(prefix: &str, key: &str) -> String {
    // `"" = 1` is TOML, and a message has to name it all the same.
    let key = if key.is_empty() { "\"\"" } else { key };
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn as_integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn as_id(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| as_integer(value).map(|number| number.to_string()))
}

fn as_ids(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| as_id(item.get_ref())).collect()
}

fn as_date(value: &DeValue<'_>) -> Option<String> {
    let date = || value.as_datetime().filter(|moment| moment.time.is_none()).map(ToString::to_string);
    value.as_str().map(str::to_owned).or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (RawConfiguration, Vec<String>) {
        let file = ConfigurationFile { path: "c.toml".into(), text: text.to_owned() };
        let mut problems = Vec::new();
        let raw = RawConfiguration::parse(&file, &mut problems);
        (raw, problems.iter().map(|problem| format!("{problem}; {}", problem.remedy)).collect())
    }

    #[test]
    fn the_file_is_that_of_the_flag_then_of_the_variable_then_of_the_users_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("# {name}")).unwrap();
            path
        };
        let (flag, variable) = (write("flag.toml"), write("variable.toml"));
        write("criteo-source/criteo-source.toml");
        let home = ("XDG_CONFIG_HOME", folder.path().as_os_str().to_owned());
        let named = ("CRITEO_CONFIG", variable.into_os_string());
        let read = |flag, environment: &Environment| ConfigurationFile::read(flag, environment).unwrap().unwrap().text;
        let both = Environment::from_pairs([home.clone(), named]);
        assert_eq!(read(Some(flag.as_path()), &both), "# flag.toml");
        assert_eq!(read(None, &both), "# variable.toml");
        // The working directory of the tests has no such file.
        assert_eq!(read(None, &Environment::from_pairs([home])), "# criteo-source/criteo-source.toml");
        let missing = Environment::from_pairs([("CRITEO_CONFIG", "/no/such/file.toml")]);
        let problem = ConfigurationFile::read(None, &missing).unwrap_err();
        assert_eq!(problem.origin, Origin::Variable("CRITEO_CONFIG"));
        assert!(ConfigurationFile::read(None, &Environment::default()).unwrap().is_none());
    }

    #[test]
    fn a_value_remembers_its_line_and_key() {
        let (raw, problems) = parse("\n# comment\ncurrency = \"EUR\"\n[tables.ads]\nlookback_days = 3\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(raw.currency.unwrap().origin.to_string(), "c.toml:3 `currency`");
        let lookback = raw.tables[0].lookback_days.clone().unwrap();
        assert_eq!((lookback.value, lookback.origin.to_string().as_str()), (3, "c.toml:5 `tables.ads.lookback_days`"));
    }

    #[test]
    fn all_unknown_keys_are_reported_at_once_with_the_nearest() {
        let (_, problems) = parse("curency = 'x'\n[tables.ads]\nenabeld = true\n[[reports]]\ngrian = 'day'\nzzz = 1\n");
        assert_eq!(
            problems,
            [
                "c.toml:1 `curency`: unknown key; did you mean `currency`?",
                "c.toml:3 `tables.ads.enabeld`: unknown key; did you mean `enabled`?",
                "c.toml:5 `reports[0].grian`: unknown key; did you mean `grain`?",
                "c.toml:6 `reports[0].zzz`: unknown key; known here: `name`, `grain`, `dimensions`, `metrics`",
            ]
        );
    }

    #[test]
    fn all_wrong_types_are_reported_at_once_with_their_lines() {
        let (raw, problems) = parse("output = 1\nlookback_days = -1\nadvertisers = 'x'\ntables = 3\nreports = {}\n");
        let lines: Vec<_> = problems.iter().map(|problem| problem.split(' ').next().unwrap()).collect();
        assert_eq!(lines, ["c.toml:1", "c.toml:3", "c.toml:2", "c.toml:4", "c.toml:5"]);
        assert!(problems[2].contains("the number -1 is not a whole number, zero or more"), "{}", problems[2]);
        assert!(problems[4].contains("[[reports]]"));
        assert!(raw.output.is_none());
    }

    #[test]
    fn several_syntax_errors_are_reported_with_their_lines() {
        let (_, problems) = parse("output = \ncurrency = \"EUR\"\ntimezone = = 'UTC'\n");
        assert!(problems.iter().any(|problem| problem.starts_with("c.toml:1:")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.starts_with("c.toml:3:")), "{problems:?}");
    }

    #[test]
    fn ids_may_be_strings_or_integers_and_dates_strings_or_dates() {
        let (raw, problems) = parse("advertisers = ['1', 2_0]\nstart_date = 2026-01-01\nclient_id = 7\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(raw.advertisers.unwrap().value, ["1", "20"]);
        assert_eq!(raw.start_date.unwrap().value, "2026-01-01");
        assert_eq!(raw.client_id.unwrap().value, "7");
    }

    #[test]
    fn a_secret_in_the_file_is_refused_wherever_it_stands_and_not_repeated() {
        let (_, problems) = parse("client_secret = 'hunter2'\n[tables.ads]\nrefresh_token = 'hunter3'\n");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("CRITEO_CLIENT_SECRET_FILE") && problems[1].contains("CRITEO_REFRESH_TOKEN"));
        assert!(problems.iter().all(|problem| !problem.contains("hunter")));
    }

    #[test]
    fn a_missing_file_matters_only_when_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let problem =
            ConfigurationFile::read(Some(&folder.path().join("none.toml")), &Environment::default()).unwrap_err();
        assert_eq!(problem.code, Code::UnreadableFile);
    }
}
