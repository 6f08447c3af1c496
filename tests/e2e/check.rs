//! `check`: every mistake of a set-up found before the first night, and the same cause and remedy in the `pull` that meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use criteo_source::sandbox::{ANALYTICS_READ, CREATIVE_READ, RETAIL_MEDIA, SandboxOptions};
use serde_json::{Value, json};

use crate::support::account::{Account, small, tiny};
use crate::support::program::{Program, codes, messages};
use crate::support::raw::{Answer, Raw, Received};

/// Every file and folder below a folder, with the content of files.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(snapshot(&path));
            found.insert(path, None);
        } else {
            let content = std::fs::read(&path).expect("a file can be read");
            found.insert(path, Some(content));
        }
    }
    found
}

/// The message of a check, by name.
fn message<'d>(document: &'d Value, name: &str) -> &'d str {
    let checks = document["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["name"] == name);
    found.and_then(|check| check["message"].as_str()).unwrap_or_else(|| panic!("no `{name}` in {document:#}"))
}

/// `check` and `pull` end with these exit codes, and both say `code` and each of the `parts`.
fn assert_both_say(account: &Account, line: &str, exits: [i32; 2], code: &str, parts: &[&str]) {
    for (verb, exit) in ["check", "pull"].into_iter().zip(exits) {
        let document = account.run(&format!("{verb} {line}")).expect(exit);
        let said = messages(&document, "errors");
        assert!(codes(&document, "errors").contains(&code.to_owned()), "{verb}: {said}");
        for part in parts {
            assert!(said.contains(part), "{verb}: `{part}` is not in\n{said}");
        }
    }
}

#[test]
fn an_app_without_one_of_the_permissions_is_told_which_and_that_only_a_new_app_helps() {
    for (lost, table) in [(CREATIVE_READ, "creatives"), (ANALYTICS_READ, "transactions")] {
        let scopes = SandboxOptions::default().scopes.into_iter().filter(|scope| scope != lost);
        let account = Account::open(SandboxOptions { scopes: scopes.collect(), ..tiny() });
        let line = format!("--tables {table}");
        assert_both_say(&account, &line, [3, 3], "scope_missing", &[lost, "create a new app", "partner portal"]);
    }
}

#[test]
fn an_app_for_retail_media_is_called_out_by_name_and_nothing_else_is_blamed() {
    let account = Account::open(SandboxOptions { service: RETAIL_MEDIA.to_owned(), ..tiny() });
    let parts = ["`Sandbox app`", "RetailMedia", "\"C-Growth and marketing solutions\"", "create a new app"];
    assert_both_say(&account, "", [3, 3], "wrong_service", &parts);
    let document = account.run("check").expect(3);
    assert_eq!(codes(&document, "errors"), ["wrong_service"], "{document:#}");
    assert_eq!(message(&document, "consent"), "the app is for another service");
    assert!(!account.output().exists(), "no folder is left behind");
}

#[test]
fn an_app_to_which_nobody_consented_is_told_how_to_get_a_consent_and_who_may_give_it() {
    let ids: BTreeSet<String> = Account::open(tiny()).advertisers().into_iter().collect();
    let account = Account::open(SandboxOptions { unconsented_advertisers: ids, ..tiny() });
    let parts = ["no advertiser has consented", "consent link", "business manager or technical manager"];
    assert_both_say(&account, "", [3, 3], "consent_missing", &parts);
    assert!(!account.output().exists(), "no folder is left behind");
}

#[test]
fn an_advertiser_without_consent_is_named_by_both_and_a_pull_goes_on_with_the_others() {
    let ids = Account::open(tiny()).advertisers();
    let account = Account::open(SandboxOptions { unconsented_advertisers: [ids[1].clone()].into(), ..tiny() });
    let line = format!("--tables campaigns --advertisers {}", ids.join(","));
    assert_both_say(&account, &line, [3, 4], "advertiser_without_consent", &[&ids[1], "consent link"]);
    assert!(account.output().join("campaigns").is_dir(), "the other advertiser is pulled");
}

#[test]
fn a_misspelt_advertiser_is_named_with_the_one_that_was_meant() {
    let account = Account::open(tiny());
    let known = account.advertisers()[0].clone();
    let misspelt = format!("{known}7");
    let line = format!("--tables campaigns --advertisers {misspelt},{}", account.advertisers()[1]);
    let meant = format!("a typing error (it lists {known})");
    assert_both_say(&account, &line, [3, 4], "advertiser_without_consent", &[&misspelt, &meant]);
    let alone = format!("--tables campaigns --advertisers {misspelt}");
    assert_both_say(
        &account,
        &alone,
        [3, 3],
        "consent_missing",
        &[&misspelt, "Criteo lists", &known, "correct `advertisers`"],
    );
}

#[cfg(unix)]
#[test]
fn a_dead_key_with_a_good_one_after_it_is_a_warning_of_both() {
    use std::os::unix::fs::PermissionsExt as _;
    let account = Account::open(tiny());
    let elsewhere = tempfile::tempdir().expect("a scratch folder");
    let path = elsewhere.path().join("keys.txt");
    let text = "Client ID: dead\nClient Secret: gone\n\nClient ID: sandbox-client\n\
                Client Secret: s3cret+with/slash 100%=odd&end\n";
    std::fs::write(&path, text).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    for verb in ["check", "pull"] {
        let job = account.job(&format!("{verb} --tables campaigns")).variable("CRITEO_CREDENTIALS_FILE", &path);
        let job = job.without("CRITEO_CLIENT_ID").without("CRITEO_CLIENT_SECRET");
        let document = account.run_program(&job).expect(0);
        let warned = messages(&document, "warnings");
        assert!(warned.contains("key_rejected: ") && warned.contains("`dead`"), "{verb}: {warned}");
    }
}

#[test]
fn a_revoked_refresh_token_is_said_to_need_a_new_consent_and_by_whom() {
    let account = Account::open(tiny());
    let token = account.sandbox.issue_refresh_token();
    account.sandbox.withdraw_consents();
    for verb in ["check", "pull"] {
        let job = account.job(&format!("{verb} --tables campaigns")).variable("CRITEO_REFRESH_TOKEN", &token);
        let document = account.run_program(&job).expect(3);
        assert_eq!(codes(&document, "errors"), ["credentials_refused"], "{verb}");
        let said = messages(&document, "errors");
        for part in ["invalid_grant", "business manager", "consent again"] {
            assert!(said.contains(part), "{verb}: `{part}` is not in {said}");
        }
    }
}

#[test]
fn a_refused_metric_is_shown_in_criteos_words_with_the_key_to_change() {
    let account = Account::open(tiny());
    account.configure(
        "[tables.ad_statistics_daily]\nmetrics = ['Clicks', 'NoSuchMetric']\n\
         [[reports]]\nname = 'odd'\ngrain = 'day'\ndimensions = ['NoSuchDimension']\nmetrics = ['Clicks']\n",
    );
    let document = account.run("check").expect(2);
    assert_eq!(codes(&document, "errors"), ["setting_rejected"], "{document:#}");
    let said = messages(&document, "errors");
    for part in ["NoSuchMetric", "`[tables.ad_statistics_daily]`", "NoSuchDimension", "`name = \"odd\"`"] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    assert!(document["errors"].as_array().expect("a list").iter().all(|error| error["trace_id"].is_string()));
}

#[test]
fn nothing_is_left_behind_wherever_the_output_is_and_however_the_check_ends() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-08'\n");
    let before = snapshot(account.folder.path());
    account.run("check").expect(0);
    assert_eq!(snapshot(account.folder.path()), before, "an output that is not there yet");
    let wrong = account.job("check").variable("CRITEO_CLIENT_SECRET", "wrong");
    account.run_program(&wrong).expect(3);
    assert_eq!(snapshot(account.folder.path()), before, "without access");
    let deep = account.program("check --format json --output deep/er/data");
    account.run_program(&deep).expect(0);
    assert_eq!(snapshot(account.folder.path()), before, "several folders that are not there");
    account.run("pull").expect(0);
    let before = snapshot(account.folder.path());
    let document = account.run("check").expect(0);
    assert_eq!(snapshot(account.folder.path()), before, "an output that is there");
    let held = message(&document, "output.contents");
    assert!(held.contains("from 2026-11-08 to 2026-11-10, amounts in USD, days cut in UTC"), "{held}");
    assert_eq!(message(&document, "output.lock"), "free");
}

#[test]
fn each_finding_is_a_line_as_soon_as_it_is_known_and_the_problems_come_together_at_the_end() {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let raw = Raw::start(move |received: &Received| {
        if received.is("marketing-solutions/me") {
            // Until the test has read a line.
            let _ = wait.lock().expect("no script panics").recv();
        }
        received.is("advertisers/me").then(|| Answer::body(json!({"data": []}).to_string()))
    });
    let program = Program::at(raw.folder.path())
        .variable("CRITEO_API_URL", raw.url())
        .variable("CRITEO_CLIENT_ID", "the-client-id")
        .variable("CRITEO_CLIENT_SECRET", crate::support::raw::SECRET)
        .words("check");
    let mut running = program.start();
    let first = running.first_line();
    assert!(first.starts_with("ok       configuration"), "{first}");
    answer.send(()).expect("the server waits");
    let ended = running.end();
    assert_eq!(ended.code, 3, "{}", ended.everything());
    let (lines, end) = ended.stdout.split_once("\n\n").expect("an empty line before the end");
    for line in ["ok       output ", "ok       credentials ", "problem  advertisers ", "skipped  scope.analytics, "] {
        assert!(lines.lines().any(|it| it.starts_with(line)), "{line}\n{lines}");
    }
    assert!(!lines.contains("consent link"), "remedies come at the end\n{lines}");
    assert!(
        end.starts_with("error[consent_missing]: ") && end.contains("  remedy: in Criteo's partner portal"),
        "{end}"
    );
    assert!(end.contains("\n1 problem ("), "{end}");
}

#[test]
fn a_wrong_clock_is_told_with_how_wrong_it_is() {
    let account = Account::open(tiny());
    for (now, exit, list, words) in [
        ("2026-11-10T15:30:00Z", 0, "warnings", "3 hours ahead of"),
        ("2026-11-08T11:00:00Z", 2, "errors", "2 days behind"),
    ] {
        let program = account.program("check --tables campaigns --format json");
        let document = account.run_program(&program.variable("CRITEO_SOURCE_TEST_NOW", now)).expect(exit);
        assert_eq!(codes(&document, list), ["clock_skew"], "{document:#}");
        let said = messages(&document, list);
        assert!(said.contains(words) && said.contains("NTP"), "{said}");
    }
}

#[test]
fn a_target_that_cannot_be_loaded_into_is_exit_8_unless_something_worse_is_wrong() {
    let duckdb = "[load.duckdb]\ndatabase = './its.duckdb'\n";
    let account = Account::open(tiny());
    account.configure(duckdb);
    let without = account.job("check").variable("DUCKDB", "/no/such/duckdb");
    let document = account.run_program(&without).expect(8);
    assert_eq!(codes(&document, "errors"), ["load_driver_missing"]);
    assert!(messages(&document, "errors").contains("pip install duckdb-cli"));
    assert_eq!(message(&document, "table.transactions").split(' ').nth(1), Some("rows"), "the rest is checked");
    account.configure(
        "[load.snowflake]\naccount = 'o-a'\nuser = 'U'\nrole = 'R'\nwarehouse = 'W'\ndatabase = 'D'\n\
         private_key_file = '/no/such/key'\ndriver = '/no/such/driver.so'\n",
    );
    let document = account.run("check").expect(8);
    assert_eq!(codes(&document, "errors"), ["load_driver_missing"], "{document:#}");
    let nobody = Account::open(SandboxOptions {
        unconsented_advertisers: account.advertisers().into_iter().collect(),
        ..tiny()
    });
    nobody.configure(duckdb);
    let document = nobody.run_program(&nobody.job("check").variable("DUCKDB", "/no/such/duckdb")).expect(3);
    assert_eq!(codes(&document, "errors"), ["consent_missing", "load_driver_missing"]);
}

#[test]
fn a_dataset_is_only_read_and_a_refusal_is_told_in_bigquerys_words_with_the_grant() {
    let account = Account::open(tiny());
    account.configure("[load.bigquery]\nproject = 'p'\ndataset = 'd'\n");
    let denied = json!({"error": {"code": 403, "message": "Access Denied: Dataset p:d", "status": "PERMISSION_DENIED",
        "errors": [{"reason": "accessDenied", "message": "Access Denied: Dataset p:d"}]}});
    for (status, body, exit, words) in [
        (200, json!({"location": "EU"}), 0, "p.d: nothing is loaded yet"),
        (404, json!({}), 0, "the first load creates it in EU"),
        (403, denied, 8, "Access Denied: Dataset p:d"),
    ] {
        let bigquery = Raw::start(move |received: &Received| {
            let is_table = received.is("/tables/");
            let answer = Answer::body(body.to_string()).status(if is_table { 404 } else { status });
            received.is("/bigquery/v2/projects/p/datasets/d").then_some(answer)
        });
        let program = account.job("check").variable("BIGQUERY_EMULATOR_HOST", bigquery.url());
        let document = account.run_program(&program).expect(exit);
        assert!(message(&document, "load.bigquery").contains(words), "{document:#}");
        if exit == 8 {
            let said = messages(&document, "errors");
            assert!(said.starts_with("warehouse_refused: ") && said.contains("roles/bigquery.dataEditor"), "{said}");
        }
        let received = bigquery.received("");
        assert!(!received.is_empty() && received.iter().all(|call| call.line.starts_with("GET ")), "{received:?}");
    }
    // A port that was free a moment ago, and that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let program = account.job("check").variable("BIGQUERY_EMULATOR_HOST", address.to_string());
    let document = account.run_program(&program).expect(8);
    assert_eq!(codes(&document, "errors"), ["warehouse_unavailable"]);
    assert!(messages(&document, "errors").contains("gave up after 2 attempts"), "{document:#}");
}

#[test]
fn an_output_that_cannot_be_written_is_exit_6_also_without_access_to_criteo() {
    let account = Account::open(small());
    let file = account.folder.path().join("a-file");
    std::fs::write(&file, "in the way").expect("a writable folder");
    let program = account.program("check --format json --output").word(file.join("data"));
    let document = account.run_program(&program).expect(6);
    assert_eq!(codes(&document, "errors"), ["output_failed"]);
    assert_eq!(message(&document, "output.contents"), "the output cannot be used");
    let wrong = program.variable("CRITEO_CLIENT_SECRET", "wrong");
    let document = account.run_program(&wrong).expect(6);
    assert_eq!(codes(&document, "errors"), ["credentials_refused", "output_failed"], "all problems at once");
}

#[test]
fn a_bucket_that_cannot_be_reached_is_exit_6_and_everything_else_is_checked() {
    let account = Account::open(tiny());
    let program = account
        .program("check --format json --output s3://bucket/x")
        .variable("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "the-secret-of-s3")
        .variable("AWS_REGION", "us-east-1");
    let ended = account.run_program(&program);
    assert!(!ended.everything().contains("the-secret-of-s3"));
    let document = ended.expect(6);
    assert_eq!(codes(&document, "errors"), ["output_failed"]);
    let said = messages(&document, "errors");
    assert!(said.contains("127.0.0.1:9") && said.contains("check the network"), "{said}");
    assert!(message(&document, "consent").starts_with("reports are answered for"));
}
