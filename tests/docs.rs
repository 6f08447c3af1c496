//! The documentation against the program: generated reference pages are up to date, links lead somewhere, commands
//! parse, variables exist. `UPDATE_DOCS=1 cargo test --test docs` rewrites the generated pages.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use criteo_source::catalog::{Connector, Method};
use criteo_source::cli;
use criteo_source::criteo::CONSENT_URL;
use criteo_source::ledger::Reconciliation;
use criteo_source::notice::{Code, ExitCodes};
use criteo_source::settings::DEFAULT_CONFIGURATION;
use criteo_source::settings::environment::VARIABLES;

const GENERATED: &str = "<!-- Generated from the program; `UPDATE_DOCS=1 cargo test --test docs` rewrites it. -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated page with the one in the repository, or writes it there.
fn check_page(name: &str, generated: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, generated).expect("docs/reference can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "docs/reference/{name}: run `UPDATE_DOCS=1 cargo test --test docs`");
}

/// Every Markdown file that people read, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().join("docs"), root().join("connectors")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    paths.sort();
    let read = |path: PathBuf| std::fs::read_to_string(&path).map(|text| (path, text));
    paths.into_iter().map(|path| read(path).expect("a readable page")).collect()
}

/// The page without its fenced blocks.
fn prose(text: &str) -> String {
    lines_with_fence(text).filter(|(_, fence)| fence.is_none()).map(|(line, _)| format!("{line}\n")).collect()
}

/// Lines of the page's shell blocks, those that end in a backslash joined with the next.
fn shell_lines(text: &str) -> Vec<String> {
    let shell = lines_with_fence(text).filter(|(_, fence)| *fence == Some("sh"));
    let code: String = shell.map(|(line, _)| format!("{line}\n")).collect();
    code.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// Each line, without the fences themselves, and the language of the block it stands in.
fn lines_with_fence(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut fence = None;
    text.lines().filter_map(move |line| match (line.trim_start().strip_prefix("```"), fence) {
        (Some(language), None) => {
            fence = Some(language);
            None
        }
        (Some(_), Some(_)) => {
            fence = None;
            None
        }
        (None, fence) => Some((line, fence)),
    })
}

/// The arguments of `criteo-source` in a line of shell, program name first.
fn invocation(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next().unwrap_or(line).replace(';', " ; ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_program = |word: &str| word == "criteo-source" || word.ends_with("/criteo-source");
    let runs_cargo = words.starts_with(&["cargo", "run"]);
    let at = words.iter().position(|word| is_program(word) || (runs_cargo && *word == "--"))?;
    let ends_command = |word: &&&str| !["|", ">", ">>", "2>", "2>>", "&&", "||", ";", "&"].contains(*word);
    let arguments = words[at + 1..].iter().take_while(ends_command).map(|word| word.trim_matches('\'').to_owned());
    Some(std::iter::once("criteo-source".to_owned()).chain(arguments).collect())
}

#[test]
fn the_page_of_environment_variables_is_that_of_the_program() {
    let mut page = format!(
        "# Environment variables\n\n{GENERATED}\n\
         An empty variable is an unset one. A variable beats the configuration file and is beaten by a flag; only the\n\
         value that wins is judged. A variable that looks like a misspelling of one of these is pointed out.\n\n\
         Files that hold secrets are refused when other users of the machine can read them (`chmod 600`; Kubernetes:\n\
         `defaultMode: 0400`, Docker: `mode: 0400`). Of `CRITEO_CLIENT_SECRET`, `CRITEO_CLIENT_SECRET_FILE` and\n\
         `CRITEO_CREDENTIALS_FILE` set at most one.\n\n| variable | meaning | secret |\n|---|---|---|\n"
    );
    for variable in VARIABLES.iter().filter(|variable| !variable.for_tests) {
        let secret = if variable.secret { "yes" } else { "no" };
        writeln!(page, "| `{}` | {} | {secret} |", variable.name, variable.description).expect("a string");
    }
    page.push_str("\n`NO_COLOR`, set to anything, switches colour off. Proxy variables of the system are honoured by the HTTP client.\n");
    check_page("environment.md", &page);
}

#[test]
fn the_page_of_exit_codes_is_that_of_the_program() {
    let mut page = format!(
        "# Exit codes\n\n{GENERATED}\nWhat to do about each: [README](../../README.md#your-own-account) and \
         [Scheduling](../guides/schedule.md#exit-codes).\n\n| code | meaning |\n|---|---|\n"
    );
    for (code, meaning) in ExitCodes::ALL {
        writeln!(page, "| {code} | {meaning} |").expect("a string");
    }
    page.push_str(
        "\nWhere several things went wrong: output that cannot be written (6), a signal, and a passed deadline (5) decide,\n\
         because they concern everything that was still to come; then the warehouse (8). Otherwise the run is partial (4) if\n\
         anything was published; if nothing was, a refusal (3) says most, then a setting (2), then an outage (5).\n\n\
         A run that a signal stopped, and that was complete by then, exits with 0. A second signal ends the process at once.\n\
         [Codes](codes.md) says which code of an error implies which exit code.\n",
    );
    page.push_str(SCHEDULERS);
    check_page("exit-codes.md", &page);
}

/// What schedulers can be told about exit codes. A test checks that the numbers in it are exit codes.
const SCHEDULERS: &str = r#"
## What a scheduler should do

| code | run it again by itself? | who has to act |
|---|---|---|
| 0 | no | nobody |
| 1 | once | us: report it with what `-vv` prints |
| 2 | no | whoever changes the configuration |
| 3 | no | the app's owner in Criteo's partner portal, or an advertiser's admin |
| 4 | yes, at the next scheduled time | nobody, unless the same error comes back; then its `code` says who |
| 5 | yes, in half an hour | nobody, unless it lasts |
| 6 | no | whoever runs the machine or the bucket |
| 7 | no: the other run does the work | nobody, unless that run hangs |
| 8 | yes: `load` again, nothing has to be pulled | whoever runs the warehouse, if it was a refusal |
| 130, 143 | at the next scheduled time | nobody |

A run is safe to repeat at any time: what is published stays, and what is missing is fetched.

### Kubernetes

A Job repeats every failure `backoffLimit` times unless told otherwise. This policy fails at once where repeating cannot help,
and does not count an eviction or a drained node as a failure:

```yaml
apiVersion: batch/v1
kind: Job
metadata:
  name: criteo-source
spec:
  backoffLimit: 3
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
      - action: FailJob
        onExitCodes:
          containerName: criteo-source
          operator: In
          values: [2, 3, 6, 7]
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: criteo-source
          image: criteo-source
          args: [pull, --format, json]
```

### Airflow

`BashOperator` skips a task that exits with one of `skip_on_exit_code` and fails it for every other code but 0; a failed task
is repeated `retries` times. Another run that holds the lock (7) is nothing to be woken for:

```python
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator

pull = BashOperator(
    task_id="criteo_pull",
    bash_command="criteo-source pull --format json --as-of {{ data_interval_end | ds }}",
    skip_on_exit_code=[7],
    retries=2,
    retry_delay=timedelta(minutes=30),
)
```

To fail without repeating for 2, 3 and 6, run it in a `PythonOperator` and raise `AirflowFailException` for these codes.

### systemd

`Restart=on-failure` repeats a service; `RestartPreventExitStatus` names the codes for which it does not:

```ini
[Service]
Type=oneshot
ExecStart=/usr/local/bin/criteo-source pull
Restart=on-failure
RestartSec=30min
RestartPreventExitStatus=2 3 6 7
SuccessExitStatus=130 143
```

### GitHub Actions

A step fails for every code but 0. To go on after a partial run (4) and keep the summary:

```yaml
      - name: Pull
        run: |
          code=0
          criteo-source pull --format json > summary.json || code=$?
          jq -r '.errors[] | "::error title=\(.code)::\(.message) -> \(.remedy // "")"' summary.json
          if [ "$code" -ne 0 ] && [ "$code" -ne 4 ]; then exit "$code"; fi
```
"#;

#[test]
fn what_schedulers_are_told_concerns_exit_codes_that_exist() {
    let known: BTreeSet<u8> = ExitCodes::ALL.iter().map(|(code, _)| *code).collect();
    let first_cell = |line: &str| line.strip_prefix("| ").and_then(|rest| rest.split(" |").next()).map(str::to_owned);
    let listed: BTreeSet<u8> = SCHEDULERS
        .lines()
        .filter_map(first_cell)
        .flat_map(|cell| cell.split(", ").filter_map(|code| code.parse().ok()).collect::<Vec<u8>>())
        .collect();
    assert_eq!(listed, known, "the table lists every exit code");
}

/// The JSON Schema of the one document of `--format json`; the end-to-end tests validate every document against it.
fn document_schema() -> serde_json::Value {
    use serde_json::json;
    let text = || json!({"type": "string"});
    let date = || json!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"});
    let count = || json!({"type": "integer", "minimum": 0});
    let seconds = || json!({"type": "number", "minimum": 0});
    let results = [Reconciliation::Equal, Reconciliation::Differs, Reconciliation::Unreadable, Reconciliation::None];
    let results = results.map(Reconciliation::name);
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The document of criteo-source --format json",
        "description": "What every command prints on stdout with --format json, also when it fails; commands add members of \
                        their own. `schema` and `sandbox` print documents of another shape.",
        "type": "object",
        "required": ["run_id", "command", "outcome", "tables", "calls", "retries", "waited_secs", "elapsed_secs", "warnings",
            "errors"],
        "properties": {
            "run_id": text(),
            "command": {"type": "string", "description": "The verb that was typed; empty where none could be made out."},
            "outcome": {"enum": ["ok", "partial", "failed"]},
            "output": text(),
            "tables": {"type": "object", "additionalProperties": {"$ref": "#/$defs/table"}},
            "calls": {"$ref": "#/$defs/calls"},
            "planned_calls": {"$ref": "#/$defs/calls"},
            "retries": count(),
            "waited_secs": seconds(),
            "elapsed_secs": seconds(),
            "resumed_partitions": count(),
            "warnings": {"type": "array", "items": {"$ref": "#/$defs/notice"}},
            "errors": {"type": "array", "items": {"$ref": "#/$defs/notice"}},
        },
        "if": {"properties": {"outcome": {"const": "ok"}}},
        "then": {"properties": {"errors": {"maxItems": 0}}},
        "else": {"properties": {"errors": {"minItems": 1}}},
        "$defs": {
            "calls": {
                "type": "object",
                "required": ["report", "default", "token"],
                "additionalProperties": false,
                "properties": {"report": count(), "default": count(), "token": count()},
            },
            "table": {
                "type": "object",
                "required": ["partitions"],
                "oneOf": [
                    {"title": "What was pulled", "required": ["rows", "bytes", "calls"]},
                    {"title": "What was loaded", "required": ["rows_inserted", "rows_deleted", "columns_added"]},
                ],
                "properties": {
                    "partitions": count(), "rows": count(), "bytes": count(), "calls": count(), "capped_calls": count(),
                    "rows_inserted": count(), "rows_deleted": count(), "columns_added": {"type": "array", "items": text()},
                    "reconciliation": {
                        "type": "object",
                        "description": "Partitions by how their sums compare with Criteo's totals.",
                        "propertyNames": {"enum": results.iter().copied().chain(["unknown"]).collect::<Vec<_>>()},
                        "additionalProperties": count(),
                    },
                    "files": {"type": "array", "items": {"$ref": "#/$defs/file"}},
                },
            },
            "file": {
                "type": "object",
                "required": ["date", "path", "rows", "sha256", "changed"],
                "properties": {
                    "date": date(), "path": text(), "rows": count(), "changed": {"type": "boolean"},
                    "reconciliation": {"enum": results, "description": "Of a report's partition: how its sums compare with Criteo's totals."},
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                },
            },
            "notice": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": false,
                "properties": {
                    "code": {"enum": codes},
                    "message": {"type": "string", "minLength": 1},
                    "remedy": {"type": "string", "minLength": 1},
                    "table": text(), "date": date(), "to_date": date(), "advertiser_id": text(), "trace_id": text(),
                },
                "dependentRequired": {"to_date": ["date"]},
            },
        },
    })
}

#[test]
fn the_json_schema_of_the_document_is_a_valid_one_that_knows_every_code() {
    let schema = document_schema();
    jsonschema::meta::validate(&schema).expect("a valid JSON Schema");
    check_page("document.schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON")));
}

#[test]
fn the_page_of_codes_lists_every_code_of_the_program() {
    let mut page = format!(
        "# Codes of warnings and errors\n\n{GENERATED}\n\
         Every warning and error has a `code`, in the text as `error[code]` and in the JSON document of `--format json` as\n\
         `{{\"code\", \"message\", \"remedy\"?, \"table\"?, \"date\"?, \"to_date\"?, \"advertiser_id\"?, \"trace_id\"?}}`. The list is closed:\n\
         alerts can match on it. Messages may change their wording between versions, codes do not.\n\n\
         The exit code is that of a command in which nothing else failed and nothing was done; where something was published all\n\
         the same, it is 4 for most ([exit codes](exit-codes.md)). A code whose exit code is 0 is only ever a warning.\n"
    );
    let verbs: BTreeSet<String> = cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for code in Code::ALL {
        let commands = match code.seen_in() {
            [] => "any command".to_owned(),
            some => some.iter().map(|verb| format!("`{verb}`")).collect::<Vec<_>>().join(", "),
        };
        let unknown = code.seen_in().iter().find(|verb| !verbs.contains(**verb));
        assert_eq!(unknown, None, "`{code}` names a command that does not exist");
        let exit_code = code.exit_code();
        let remedy = if code.remedy().is_empty() { "nothing needs to be done" } else { code.remedy() };
        write!(
            page,
            "\n## {code}\n\n{}\n\n- What to do: {remedy}.\n- Seen in: {commands}.\n- Exit code: {exit_code}.\n",
            code.cause()
        )
        .expect("a string");
    }
    check_page("codes.md", &page);
}

#[test]
fn the_page_of_settings_is_that_of_the_program() {
    let page = format!(
        "# Settings\n\n{GENERATED}\n\
         The configuration file is TOML: `./criteo-source.toml` in the working directory, or the file of `--config`. It need\n\
         not exist. `criteo-source init` writes the one below, in which every key stands with its default.\n\n\
         For each setting the first that is given holds: flag, [environment variable](environment.md), file, default. A list\n\
         is replaced, never merged. Unknown keys, wrong types and impossible values are errors with line and remedy, all\n\
         reported at once, and nothing is called (exit 2). Secrets in the file are refused.\n\n\
         Dates are `YYYY-MM-DD` in `timezone`; ranges include both ends. Days are counted back from today in `timezone`, or\n\
         from `--as-of`.\n\n\
         | key | takes |\n|---|---|\n\
         | `output` | a path, `file:///path`, `gs://…`, `s3://…` or `az://…` |\n\
         | `currency` | three upper-case letters; whether Criteo knows the code is seen at the first request |\n\
         | `timezone` | `UTC` or Area/Location of the tz database; offsets, abbreviations and `Etc/` zones are refused |\n\
         | `start_date` | the first day that `pull` fetches, included |\n\
         | `advertisers` | ids, as text or whole numbers |\n\
         | `lookback_days` | 0 to 731 |\n\
         | `keep_days` | 0 or more; partitions older than that many days before today are deleted at the end of a run, of every table, but for what Criteo could not provide again |\n\
         | `max_run_minutes` | 0 or more |\n\
         | `client_id`, `credentials_file` | as the variables; a path counts from the working directory |\n\
         | `tables.NAME` | `enabled`, `lookback_days`; report tables also `metrics` and `dimensions`, which replace the declared ones |\n\
         | `reports` | any number, each with `name` (up to 63 lower-case letters, digits and underscores, a letter first), `grain` (`day` or `hour`), `dimensions` and `metrics`; no time dimension, which `grain` decides |\n\n\
         `placements_daily` and `placement_categories_daily` are read again at ages of their own (1 to 5, 10, 20, 31 days): `lookback_days` at the\n\
         top does not change them, the key in their own section does. Names of metrics and dimensions: [tables](tables.md).\n\n\
         ## The file that `init` writes\n\n```toml\n{DEFAULT_CONFIGURATION}```\n\n\
         What the comments mention and is not built yet: [Status](../../README.md#status).\n"
    );
    check_page("settings.md", &page);
}

#[test]
fn the_page_of_the_command_line_is_that_of_the_program() {
    let mut command = cli::command();
    command.build();
    let mut page = format!("# Command line\n\n{GENERATED}\n");
    paragraph(&mut page, command.get_long_about().or(command.get_about()));
    page.push_str("With `--format json` stdout is exactly one JSON document, also when\nthe command fails. [Exit codes](exit-codes.md), [environment variables](environment.md), [settings](settings.md).\n\n## Global options\n\nBefore or after the command.\n\n");
    let is_own = |argument: &&Arg| !["help", "version"].contains(&argument.get_id().as_str());
    arguments(&mut page, command.get_arguments().filter(is_own));
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        writeln!(page, "\n## {}\n", verb.get_name()).expect("a string");
        paragraph(&mut page, verb.get_long_about().or(verb.get_about()));
        let own: Vec<&Arg> = verb.get_arguments().filter(is_own).filter(|argument| !argument.is_global_set()).collect();
        if !own.is_empty() {
            arguments(&mut page, own.into_iter());
        }
        if let Some(after) = verb.get_after_help() {
            let example = after.to_string();
            let code = example.trim_start_matches("Example:\n").lines().map(str::trim).collect::<Vec<_>>().join("\n");
            write!(page, "\n```sh\n{code}\n```\n").expect("a string");
        }
    }
    check_page("command-line.md", &page.replace("\n\n\n", "\n\n"));
}

fn paragraph(page: &mut String, text: Option<&clap::builder::StyledStr>) {
    if let Some(text) = text {
        write!(page, "{}\n\n", text.to_string().trim()).expect("a string");
    }
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    page.push_str("| option | meaning | default |\n|---|---|---|\n");
    for argument in arguments {
        let mut name = String::new();
        if let Some(short) = argument.get_short() {
            write!(name, "`-{short}`, ").expect("a string");
        }
        let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
        let value = argument.get_value_names().and_then(|names| names.first()).filter(|_| takes_value);
        match (argument.get_long(), value) {
            (Some(long), Some(value)) => write!(name, "`--{long} {value}`"),
            (Some(long), None) => write!(name, "`--{long}`"),
            (None, Some(value)) => write!(name, "`{value}`"),
            (None, None) => Ok(()),
        }
        .expect("a string");
        if argument.is_required_set() {
            name.push_str(" (required)");
        }
        let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if takes_value && !values.is_empty() && !argument.is_hide_possible_values_set() {
            write!(help, ": {}", values.join(", ")).expect("a string");
        }
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default =
            if takes_value && !defaults.is_empty() { format!("`{}`", defaults.join(",")) } else { String::new() };
        writeln!(page, "| {name} | {} | {default} |", help.replace('|', "\\|").replace('\n', " ")).expect("a string");
    }
}

#[test]
fn every_command_in_the_documentation_parses() {
    let mut checked = 0;
    for (path, text) in pages() {
        for arguments in shell_lines(&text).iter().filter_map(|line| invocation(line)) {
            checked += 1;
            let Err(error) = cli::parse(&arguments) else { continue };
            assert!(!error.use_stderr(), "{}: `{}`: {error}", path.display(), arguments.join(" "));
        }
    }
    assert!(checked > 10, "only {checked} commands were found");
}

#[test]
fn every_verb_in_running_text_exists() {
    let command: Command = cli::command();
    for (path, text) in pages() {
        for rest in prose(&text).split("`criteo-source ").skip(1) {
            let verb = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            let exists = verb.is_empty() || command.find_subcommand(verb).is_some();
            assert!(exists, "{}: there is no command `{verb}`", path.display());
        }
    }
}

#[test]
fn every_variable_in_the_documentation_exists() {
    // The contract tests read the first; the second is a user of Snowflake.
    let known: BTreeSet<&str> = VARIABLES
        .iter()
        .map(|variable| variable.name)
        .chain(["CRITEO_OPENAPI", "CRITEO_LOADER", "CRITEO_SOURCE_TEST_", "CRITEO_SOURCE"])
        .collect();
    for (path, text) in pages() {
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for name in words.filter(|word| word.starts_with("CRITEO_") && word.len() > "CRITEO_".len()) {
            assert!(known.contains(name), "{}: there is no variable `{name}`", path.display());
        }
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // The generated pages are just being written by the other tests.
        return;
    }
    let pages = pages();
    for (path, text) in &pages {
        for target in prose(text).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = path.parent().expect("a file is in a folder");
            let found = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(found.exists(), "{}: `{target}` leads nowhere", path.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&found).expect("a page");
                assert!(anchors(&text).contains(anchor), "{}: `{target}` has no such heading", path.display());
            }
        }
    }
}

/// Anchors of a page's headings, as GitHub and most renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(slug).collect()
}

#[test]
fn the_security_page_lists_every_call_permission_and_secret_and_no_others() {
    let connector = Connector::get();
    let page = std::fs::read_to_string(root().join("docs/security.md")).expect("a readable page");
    let mut calls = vec![format!("| `POST` | `{}` | none |", connector.token_path)];
    for endpoint in &connector.endpoints {
        let method = match endpoint.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let scope = endpoint.scope.as_ref().map_or("none".to_owned(), |scope| format!("`{scope}`"));
        calls.push(format!("| `{method}` | `/{}/{}` | {scope} |", connector.api_version, endpoint.path));
    }
    let listed: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| `GET`") || line.starts_with("| `POST`")).collect();
    assert_eq!(listed, calls);
    for scope in &connector.scopes {
        let line = format!("| {} | `{}` | {} |", scope.permission, scope.name, scope.job.name());
        assert!(page.contains(&line), "{line}");
    }
    let named = |url: &str| url.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
    for host in [named(&connector.base_url), named(CONSENT_URL)] {
        assert!(page.contains(&format!("| `{host}`")), "{host}");
    }
    for variable in
        VARIABLES.iter().filter(|variable| variable.secret || variable.name.starts_with("CRITEO_CLIENT_SECRET"))
    {
        assert!(page.contains(&format!("`{}`", variable.name)), "{}", variable.name);
    }
}
