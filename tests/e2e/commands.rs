//! The smaller verbs, as they are typed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::program::Program;
use crate::support::truth::{contract, contracts, tables};
use crate::support::{day, files};

#[test]
fn the_contract_of_every_table_agrees_with_the_file_that_is_written() {
    let account = Account::open(small());
    account.run(&format!("backfill --from 2026-11-09 --to 2026-11-10 --tables {}", tables().join(","))).expect(0);
    let listing = files::listing(&account.output());
    assert_eq!(listing.keys().cloned().collect::<Vec<_>>(), tables(), "every table has a file");
    for (table, dates) in listing {
        let partition = files::read(&account.output(), &table, dates[0]);
        let written: Vec<Value> = partition
            .schema
            .fields()
            .iter()
            .map(|field| {
                let (kind, repeated) = files::type_name(field.data_type());
                json!([field.name(), kind, repeated])
            })
            .collect();
        let declared = contract(&table).columns.iter().map(|column| {
            // JSON is text in a file.
            let kind = if column["type"] == "JSON" { json!("STRING") } else { column["type"].clone() };
            json!([column["name"], kind, column["mode"] == "REPEATED"])
        });
        assert_eq!(written, declared.collect::<Vec<_>>(), "{table}");
    }
}

#[test]
fn the_contract_of_one_table_is_one_of_all() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for table in tables() {
        let one = Program::at(folder.path()).words(&format!("schema {table} --format json")).run();
        assert_eq!(one.code, 0);
        let document = one.document();
        assert_eq!(document["columns"], json!(contract(&table).columns), "{table}");
        assert_eq!(
            document["columns"].as_array().and_then(|columns| columns.last()).map(|last| &last["name"]),
            Some(&json!("_pulled_at")),
            "{table}"
        );
    }
    let ended = Program::at(folder.path()).words("schema ad_statistics_dayly --format json").run();
    let document = ended.expect(2);
    assert!(document.to_string().contains("ad_statistics_daily"), "{document}");
}

#[test]
fn a_configuration_changes_the_contract_and_the_file_alike() {
    let account = Account::open(small());
    account.configure("[tables.ad_statistics_daily]\nmetrics = ['Clicks', 'Displays']\ndimensions = ['CampaignId']\n");
    account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily").expect(0);
    let contract = &contracts(&account.program("schema --format json"))["ad_statistics_daily"];
    let declared: Vec<&str> = contract.columns.iter().filter_map(|column| column["name"].as_str()).collect();
    let partition = files::read(&account.output(), "ad_statistics_daily", day("2026-11-01"));
    let written: Vec<&str> = partition.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(written, declared);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_exit_6_with_words_and_a_reader_that_left_is_no_error() {
    let account = Account::open(small());
    let line = "backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily";
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    for format in ["--format json", ""] {
        for line in [line, "plan", "check", "status", "schema", "schema ads", "completions bash", "--help", "--version"]
        {
            let ended = account.program(&format!("{line} {format}")).run_into(full());
            assert_eq!(ended.code, 6, "{line} {format}: {}", ended.stderr);
            assert!(ended.stderr.contains("failed to write the result to stdout"), "{line}: {}", ended.stderr);
            assert!(ended.stderr.contains("No space left"), "{line}: {}", ended.stderr);
        }
        assert!(!files::dates(&account.output(), "ad_statistics_daily").is_empty(), "what was pulled is published");
    }
    // The other end of the pipe is closed before anything is written.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = account.program("schema").run_into(std::os::fd::OwnedFd::from(writer).into());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn init_writes_a_file_once_that_the_other_commands_accept() {
    let account = Account::open(small());
    let path = account.folder.path().join("criteo-source.toml");
    let first = account.program("init --format json").run();
    assert_eq!((first.code, first.document()["outcome"].as_str()), (0, Some("ok")));
    let text = std::fs::read_to_string(&path).expect("the file");
    account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily").expect(0);
    let second = account.program("init --format json").run();
    second.expect(2);
    assert!(second.stderr.contains("never overwrites"), "{}", second.stderr);
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
}

#[test]
fn the_demo_needs_nothing_and_prints_one_document() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    // No variable at all: not even the one that skips waits.
    let bare = Program::at(folder.path()).without("CRITEO_SOURCE_TEST_SKIP_WAITS");
    let ended = bare.words("demo --format json --as-of 2026-11-10 --output here/it/goes").run();
    let document = ended.expect(0);
    assert_eq!((document["command"].as_str(), document["outcome"].as_str()), (Some("demo"), Some("ok")));
    let written: BTreeMap<String, u64> = files::listing(&folder.path().join("here/it/goes"))
        .into_iter()
        .map(|(table, dates)| (table, dates.len() as u64))
        .collect();
    let said: BTreeMap<String, u64> = document["tables"]
        .as_object()
        .expect("by table")
        .iter()
        .map(|(table, summary)| (table.clone(), summary["partitions"].as_u64().unwrap_or_default()))
        .collect();
    assert_eq!(written, said);
    assert_eq!(files::names(folder.path()), ["here"], "nothing else is written");
}

#[test]
fn the_sandbox_serves_whoever_is_pointed_at_it() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut serving = Program::at(folder.path()).words("sandbox --port 0 --today 2026-11-10 --format json").start();
    let said: Value = serde_json::from_str(&serving.first_line()).expect("one JSON document");
    let text = |name: &str| said[name].as_str().expect("a text").to_owned();
    let ended = Program::at(folder.path())
        .variable("CRITEO_API_URL", text("url"))
        .variable("CRITEO_CLIENT_ID", text("client_id"))
        .variable("CRITEO_CLIENT_SECRET", text("client_secret"))
        .words("backfill --from 2026-11-01 --to 2026-11-01 --tables transactions --as-of 2026-11-10 --format json")
        .run();
    assert!(ended.expect(0)["tables"]["transactions"]["rows"].as_u64() > Some(0));
    assert_eq!(files::dates(&folder.path().join("data"), "transactions"), [day("2026-11-01")]);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = Program::at(folder.path()).words(&format!("completions {shell}")).run();
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.contains("criteo-source") && ended.stdout.contains("backfill"), "{shell}");
    }
}

#[test]
fn the_help_names_every_exit_code_and_every_variable() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let ended = Program::at(folder.path()).words("--help").run();
    assert_eq!(ended.code, 0);
    for (code, meaning) in criteo_source::error::ExitCodes::ALL {
        assert!(ended.stdout.contains(&format!("{code:>3}  {meaning}")), "{code}");
    }
    for variable in ["CRITEO_CLIENT_ID", "CRITEO_CLIENT_SECRET", "CRITEO_REFRESH_TOKEN", "CRITEO_API_URL"] {
        assert!(ended.stdout.contains(variable), "{variable}");
    }
    assert!(!ended.stdout.contains("CRITEO_SOURCE_TEST"), "variables for tests are nobody's business");
    let version = Program::at(folder.path()).words("--version").run();
    assert_eq!(version.stdout.trim(), concat!("criteo-source ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_typed_wrongly_is_exit_2_and_one_document() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for line in [
        "pul --format json",
        "pull --format json --nonsense",
        "backfill --from 2026-11-01 --format json",
        "backfill --from 2026-11-02 --to 2026-11-01 --format json",
        "backfill --from 2026-02-30 --to 2026-03-01 --format=json",
        "--format json",
    ] {
        let document = Program::at(folder.path()).words(line).run().expect(2);
        assert_eq!(document["outcome"], json!("failed"), "{line}");
        assert!(document["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
    }
    assert_eq!(files::names(folder.path()), Vec::<String>::new(), "nothing was written");
}

#[test]
fn the_document_of_a_run_has_every_documented_member() {
    let account = Account::open(small());
    let document = account.run("backfill --from 2026-11-01 --to 2026-11-01 --tables ad_statistics_daily").expect(0);
    for member in ["run_id", "command", "outcome", "tables", "calls", "retries", "waited_secs", "warnings", "errors"] {
        assert!(!document[member].is_null(), "{member}");
    }
    let table = &document["tables"]["ad_statistics_daily"];
    for member in ["partitions", "rows", "bytes", "calls"] {
        assert!(table[member].as_u64() > Some(0), "{member}");
    }
    let path = files::path(&account.output(), "ad_statistics_daily", day("2026-11-01"));
    assert_eq!(table["bytes"].as_u64(), path.metadata().ok().map(|metadata| metadata.len()));
    let reports = account.calls("report").len() as u64;
    assert_eq!(document["calls"]["report"].as_u64(), Some(reports));
    assert_eq!(table["calls"].as_u64(), Some(reports), "all of them for the one table");
    assert_eq!(document["calls"]["token"].as_u64(), Some(account.calls("oauth2/token").len() as u64));
}
