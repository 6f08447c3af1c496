//! What an operator reads of a run: the log on stderr, the summary, and how the sums compare with Criteo's totals.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::account::{Account, small, tiny};
use crate::support::program::Ended;

/// Every line of stderr, which must be JSON.
fn lines(ended: &Ended) -> Vec<Value> {
    let parsed = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("`{line}` is not JSON: {error}"))
    };
    ended.stderr.lines().map(parsed).collect()
}

fn with_message<'l>(lines: &'l [Value], message: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["message"] == json!(message)).collect()
}

fn number(document: &Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("`{name}` is no number in {document}"))
}

#[test]
fn a_good_run_logs_its_start_a_line_for_each_table_and_its_end_each_with_the_run() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-06'\n");
    let ended = account.run("pull --log-format json");
    let (document, lines) = (ended.expect(0), lines(&ended));
    for line in &lines {
        assert_eq!(line["run_id"], document["run_id"], "{line}");
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    let started = with_message(&lines, "run started")[0];
    assert_eq!(started["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!((started["command"].as_str(), started["as_of"].as_str()), (Some("pull"), Some("2026-11-10")));
    assert_eq!(started["days"], json!("2026-11-06 to 2026-11-09"));
    assert_eq!(started["planned_report_calls"], document["planned_calls"]["report"]);
    assert_eq!(started["planned_other_calls"], document["planned_calls"]["default"]);

    let tables = document["tables"].as_object().expect("tables");
    let logged: BTreeMap<&str, &Value> = with_message(&lines, "table finished")
        .into_iter()
        .map(|line| (line["table"].as_str().expect("a name"), line))
        .collect();
    assert_eq!(logged.keys().copied().collect::<Vec<_>>(), tables.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, table) in tables {
        let line = logged[name.as_str()];
        for count in ["partitions", "rows", "calls"] {
            assert_eq!(line[count], table[count], "{count} of {name}: {line}");
        }
        assert_eq!(line["changed"], line["partitions"], "everything is new: {line}");
        let days = if table["files"][1].is_null() { "2026-11-10" } else { "2026-11-06 to 2026-11-09" };
        assert_eq!(line["days"], json!(days), "{line}");
    }
    let planned: u64 = tables.values().map(|table| number(table, "partitions")).sum();
    assert_eq!(number(started, "partitions"), planned);

    let finished = with_message(&lines, "run finished");
    assert_eq!(finished.len(), 1);
    let sum = |name: &str| tables.values().map(|table| number(table, name)).sum::<u64>();
    for (name, value) in [
        ("outcome", json!("ok")),
        ("exit_code", json!(0)),
        ("partitions", json!(sum("partitions"))),
        ("rows", json!(sum("rows"))),
        ("report_calls", document["calls"]["report"].clone()),
        ("errors", json!(0)),
    ] {
        assert_eq!(finished[0][name], value, "{name} of {}", finished[0]);
    }
    assert!(lines.iter().all(|line| ["INFO", "WARN"].contains(&line["level"].as_str().unwrap_or_default())));
    assert_eq!(lines.len(), 2 + tables.len() + document["warnings"].as_array().map_or(0, Vec::len), "{lines:#?}");

    let again = account.run("pull");
    again.expect(0);
    let last = again.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("run finished") && last.contains("outcome=\"ok\" exit_code=0"), "{last}");
    let run = again.document()["run_id"].as_str().unwrap_or_default().to_owned();
    assert!(again.stderr.lines().all(|line| line.ends_with(&format!(" run_id={run}"))), "{}", again.stderr);
    assert!(last.contains(" changed=0 "), "what is as it was has not changed: {last}");
}

#[test]
fn a_quiet_run_prints_nothing_while_it_goes_well_and_everything_when_it_does_not() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-08'\n");
    let pull = || account.program("pull -q --as-of 2026-11-10 --output").word(account.output());
    let good = account.run_program(&pull());
    assert_eq!((good.code, good.stdout.as_str(), good.stderr.as_str()), (0, "", ""));
    account.set_faults(["http-500@transactions"]);
    let bad = account.run_program(&pull());
    assert_eq!(bad.code, 4, "{}", bad.everything());
    assert!(bad.stderr.lines().all(|line| line.contains("ERROR") || line.contains("WARN")), "{}", bad.stderr);
    assert!(bad.stderr.contains("table=\"transactions\" days=\"2026-11-0"), "{}", bad.stderr);
    assert!(bad.stdout.contains("error[api_unavailable]") && bad.stdout.contains("partly done"), "{}", bad.stdout);
    let document = account.run("pull -q").expect(4);
    assert!(document["tables"]["ads"].is_object(), "the document is asked for, and printed");
}

#[test]
fn every_line_of_a_command_that_fails_is_json_where_json_is_wanted() {
    let account = Account::open(small());
    let told = |line: &str, code: i32, of: &str| {
        let program = account.program(&format!("{line} --log-format json"));
        let ended = program.variable("CRITEO_CLIENT_SECRET", "of-somebody-else").run();
        assert_eq!(ended.code, code, "{line}: {}", ended.everything());
        let lines = lines(&ended);
        let fatal: Vec<&Value> = lines.iter().filter(|line| line["target"] == json!("criteo_source::fatal")).collect();
        assert!(!fatal.is_empty(), "{line}: {}", ended.stderr);
        for line in fatal {
            assert_eq!((line["code"].as_str(), line["level"].as_str()), (Some(of), Some("ERROR")), "{line}");
            assert_eq!(line["exit_code"], json!(code), "{line}");
            assert!(line["message"].is_string() && line["remedy"].is_string(), "{line}");
        }
        lines
    };
    told("pull --no-such-option", 2, "usage");
    told("backfill --from 2026-11-01", 2, "usage");
    told("explain no_such_code", 2, "usage");
    account.configure("currency = 'EURO'\n");
    let lines = told("pull", 2, "invalid_value");
    assert_eq!(with_message(&lines, "run finished").first().map(|line| line["outcome"].clone()), Some(json!("failed")));
    account.configure("");
    let lines = told("pull -qqq", 3, "credentials_refused");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn a_run_that_waits_says_so_once_a_minute_with_what_it_waits_for() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-08'\n");
    // Simulated pauses of 4, 8, 16, 32 and twice 60 seconds, more or less a quarter.
    account.set_faults(["http-503@transactions*6"]);
    let ended = account.run("pull --tables transactions --log-format json");
    let (document, lines) = (ended.expect(0), lines(&ended));
    let running = with_message(&lines, "running");
    let minutes = document["elapsed_secs"].as_f64().expect("a number") / 60.0;
    let count = u32::try_from(running.len()).expect("few");
    assert!(count >= 1 && f64::from(count) <= minutes, "{count} lines in {minutes} minutes: {running:#?}");
    let waiting = running[0]["waiting"].as_str().unwrap_or_default();
    assert!(waiting.starts_with("Criteo answered 503, again in "), "{}", running[0]);
    assert_eq!(running[0]["planned_partitions"], json!(2), "{}", running[0]);

    account.set_faults(["http-500@transactions*1"]);
    let ended = account.run("pull --tables transactions --log-format json -v");
    ended.expect(0);
    let lines = self::lines(&ended);
    let again = with_message(&lines, "trying again")[0];
    assert_eq!(again["table"], json!("transactions"), "{again}");
    assert_eq!(again["days"], json!("2026-11-08 to 2026-11-09"), "{again}");
    assert!(again["trace_id"].as_str().is_some_and(|id| again["reason"].to_string().contains(id)), "{again}");
}

#[test]
fn document_and_summary_say_how_sums_compare_with_criteos_totals() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-06'\n");
    let document = account.run("pull").expect(0);
    for (table, expected) in [
        ("ad_statistics_daily", json!({"equal": 4})),
        ("placements_daily", json!({"equal": 4})),
        ("transactions", json!({"none": 4})),
        ("campaigns", json!({})),
    ] {
        let summary = &document["tables"][table];
        assert_eq!(summary["reconciliation"], expected, "{table}");
        let word = expected.as_object().and_then(|counts| counts.keys().next().cloned());
        for file in summary["files"].as_array().expect("files") {
            assert_eq!(file["reconciliation"].as_str(), word.as_deref(), "{table}: {file}");
        }
    }
    let text = || account.program("pull --as-of 2026-11-10 --output").word(account.output()).run().stdout;
    let line = |text: &str| text.lines().find(|line| line.contains("Criteo's totals on")).map(str::to_owned);
    let expected = "sums equal Criteo's totals on 12 of 12 partitions; 4 without totals at Criteo";
    assert_eq!(line(&text()).as_deref(), Some(expected));

    let other = Account::open(small());
    other.configure("start_date = '2026-11-06'\n");
    let absent = other.advertisers()[1].clone();
    other.set_faults([format!("absent-rows({absent})@statistics/report")]);
    let ended = other.run("pull --tables ad_statistics_daily");
    let document = ended.document();
    let statistics = &document["tables"]["ad_statistics_daily"];
    assert_eq!(statistics["reconciliation"], json!({"differs": 4}), "{document:#}");
    assert_eq!(statistics["files"][0]["reconciliation"], json!("differs"));
}

/// One sample: name, labels and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// The samples of a file, by Prometheus' documentation of its text format: metrics in groups, each with HELP and TYPE before its
/// samples, no sample twice.
fn samples(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'), "the last line must end in a line feed");
    let (mut samples, mut seen, mut current) = (Vec::<Sample>::new(), Vec::new(), String::new());
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
    };
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a name and words");
            assert!(is_name(name) && !words.is_empty() && !seen.contains(&name), "{line}");
            assert_eq!(lines.next(), Some(format!("# TYPE {name} gauge").as_str()), "after {line}");
            seen.push(name);
            name.clone_into(&mut current);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        let (name, labels) = series.strip_suffix('}').and_then(|series| series.split_once('{')).expect("labels");
        assert_eq!(name, current, "the samples of a metric stand under its type: {line}");
        let labels: BTreeMap<String, String> = labels
            .split("\",")
            .map(|label| {
                let (name, value) = label.split_once("=\"").expect("a label and its value in quotes");
                assert!(is_name(name), "{line}");
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            })
            .collect();
        let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        let is_new = !samples.iter().any(|(known, of, _)| known == name && *of == labels);
        assert!(value.is_finite() && is_new, "{line}");
        samples.push((name.to_owned(), labels, value));
    }
    samples
}

/// The value of a metric whose labels include these.
#[track_caller]
fn value(samples: &[Sample], name: &str, wanted: &[(&str, &str)]) -> f64 {
    let fits = |labels: &BTreeMap<String, String>| {
        wanted.iter().all(|(name, value)| labels.get(*name).is_some_and(|known| known == value))
    };
    let found: Vec<f64> =
        samples.iter().filter(|(known, labels, _)| known == name && fits(labels)).map(|(_, _, value)| *value).collect();
    assert_eq!(found.len(), 1, "`{name}` with {wanted:?}: {samples:#?}");
    found[0]
}

#[test]
fn the_metrics_of_a_run_and_of_a_status_are_those_of_their_documents() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-06'\n");
    let path = account.folder.path().join("criteo.prom");
    let read = || samples(&std::fs::read_to_string(&path).expect("a file of metrics"));
    let run = |line: &str| account.run_program(&account.job(line).words("--metrics-file").word(&path));
    let document = run("pull").expect(0);
    let pulled = read();
    let same = |samples: &[Sample], name: &str, labels: &[(&str, &str)], expected: &Value| {
        let expected = expected.as_f64().unwrap_or_else(|| panic!("no number for {name} {labels:?}"));
        assert!((value(samples, name, labels) - expected).abs() < 1e-6, "{name} {labels:?} should be {expected}");
    };
    same(&pulled, "criteo_source_run_success", &[("command", "pull")], &json!(1));
    same(&pulled, "criteo_source_run_calls", &[("class", "report")], &document["calls"]["report"]);
    same(&pulled, "criteo_source_run_duration_seconds", &[], &document["elapsed_secs"]);
    for (table, summary) in document["tables"].as_object().expect("tables") {
        let table = [("table", table.as_str())];
        same(&pulled, "criteo_source_table_partitions", &table, &summary["partitions"]);
        same(&pulled, "criteo_source_table_changed_partitions", &table, &summary["partitions"]);
        same(&pulled, "criteo_source_table_rows", &table, &summary["rows"]);
        same(&pulled, "criteo_source_table_size_bytes", &table, &summary["bytes"]);
    }
    let equal = [("table", "placements_daily"), ("result", "equal")];
    same(&pulled, "criteo_source_table_reconciled_partitions", &equal, &json!(4));
    let output = account.output().display().to_string();
    assert!(pulled.iter().all(|(_, labels, _)| labels["output"] == output), "{pulled:#?}");

    let document = run("status --check").expect(0);
    let stored = read();
    same(&stored, "criteo_source_problems", &[("command", "status")], &json!(0));
    same(&stored, "criteo_source_job_complete", &[("job", "analytics")], &json!(1));
    let provisional = [("table", "ad_statistics_daily"), ("state", "provisional")];
    same(&stored, "criteo_source_stored_days", &provisional, &document["tables"]["ad_statistics_daily"]["provisional"]);
    same(&stored, "criteo_source_stored_rows", &[("table", "ads")], &document["tables"]["ads"]["rows"]);

    account.set_faults(["http-500@transactions"]);
    let document = run("pull").expect(4);
    let failed = read();
    same(&failed, "criteo_source_run_success", &[], &json!(0));
    same(&failed, "criteo_source_run_exit_code", &[], &json!(4));
    let errors = document["errors"].as_array().map_or(0, Vec::len);
    same(&failed, "criteo_source_run_errors", &[("code", "api_unavailable")], &json!(errors));

    account.configure("currency = 'EURO'\n");
    run("pull").expect(2);
    let refused = read();
    same(&refused, "criteo_source_run_exit_code", &[("command", "pull")], &json!(2));
    same(&refused, "criteo_source_run_errors", &[("code", "invalid_value")], &json!(1));
    assert_eq!(
        std::fs::read_dir(account.folder.path())
            .expect("the folder")
            .filter(|entry| { entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".prom")) })
            .count(),
        1,
        "nothing is left beside the file"
    );

    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/monitoring.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for (name, ..) in pulled.iter().chain(&stored).chain(&failed) {
        assert!(page.contains(&format!("`{name}`")), "`{name}` is not in docs/guides/monitoring.md");
    }
}

#[test]
fn metrics_that_cannot_be_written_are_an_error_of_a_run_that_is_published_all_the_same() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-09'\n");
    let document = account.run("pull --metrics-file no/such/folder/criteo.prom").expect(6);
    assert!(document["errors"][0]["message"].to_string().contains("no/such/folder"), "{document}");
    assert_eq!(document["errors"][0]["code"], json!("output_failed"));
    assert_eq!(number(&document["tables"]["ad_statistics_daily"], "partitions"), 1);
    account.run("status --check").expect(0);
}
