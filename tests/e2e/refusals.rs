//! Runs that cannot do what they were asked: the exit code, the one document, the remedy, and no secret anywhere.

use std::collections::BTreeSet;
use std::net::TcpListener;

use criteo_source::sandbox::{ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ, SandboxOptions};
use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::scripted::{Reply, Scripted, TOKEN};
use crate::support::truth::{Asked, contract};
use crate::support::{day, days, files, program};

const REPORTS: &str = "backfill --from 2026-11-01 --to 2026-11-02 --tables ad_statistics_daily,transactions";

/// Each part is said somewhere in the errors.
fn assert_says(document: &Value, parts: &[&str]) {
    let said = program::messages(document, "errors");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn a_wrong_secret_is_exit_3_and_is_shown_nowhere_at_any_verbosity() {
    let wrong = "wr0ng+secret/that is%nobodys&business";
    for verbosity in ["", "-v", "-vv", "-vvv", "-q", "--log-format json -vvv"] {
        let account = Account::open(small());
        let program = account.job(&format!("{REPORTS} {verbosity}")).variable("CRITEO_CLIENT_SECRET", wrong);
        let ended = account.run_program(&program);
        account.assert_no_secret(&ended, &[wrong, "wr0ng", "nobodys"]);
        let document = ended.expect(3);
        assert_eq!(program::codes(&document, "errors"), ["credentials_refused"]);
        assert_says(&document, &["client authentication failed", "CRITEO_CLIENT_SECRET"]);
        assert!(!account.output().exists(), "no folder is left behind");
    }
}

#[test]
fn a_good_run_shows_each_request_but_no_secret_and_leaves_none_on_disk() {
    for log in ["-vv", "-vvv --log-format json"] {
        let account = Account::with_faults(["token-expired+2*1", "http-500@statistics*1"]);
        // Every run of an account is searched for its secret and for tokens.
        let ended = account.run(&format!("backfill --from 2026-11-09 --to 2026-11-10 {log}"));
        ended.expect(0);
        let shown = ended.stderr.lines().filter(|line| line.contains("DEBUG") && line.contains("answered")).count();
        assert_eq!(shown, account.sandbox.calls().len(), "{log}\n{}", ended.stderr);
    }
}

#[test]
fn a_refresh_token_is_shown_nowhere_either() {
    let account = Account::open(small());
    let token = account.sandbox.issue_refresh_token();
    let program = account.job(&format!("{REPORTS} -vvv")).variable("CRITEO_REFRESH_TOKEN", &token);
    let ended = account.run_program(&program);
    account.assert_no_secret(&ended, &[&token]);
    ended.expect(0);
    let revoked =
        account.job(&format!("{REPORTS} -vvv --force")).variable("CRITEO_REFRESH_TOKEN", "refresh.of-old-times");
    let ended = account.run_program(&revoked);
    account.assert_no_secret(&ended, &["refresh.of-old-times"]);
    assert_eq!(program::codes(&ended.expect(3), "errors"), ["credentials_refused"]);
}

#[test]
fn missing_credentials_are_named_before_anything_is_called() {
    let account = Account::open(small());
    let program = account.job(REPORTS).without("CRITEO_CLIENT_ID").without("CRITEO_CLIENT_SECRET");
    let document = account.run_program(&program).expect(2);
    assert_says(&document, &["CRITEO_CLIENT_ID", "CRITEO_CLIENT_SECRET"]);
    assert_eq!(account.sandbox.calls(), []);
}

fn without_scope(scope: &str) -> Account {
    let scopes = [ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ].map(str::to_owned);
    let scopes: BTreeSet<String> = scopes.into_iter().filter(|known| known != scope).collect();
    Account::open(SandboxOptions { scopes, ..small() })
}

#[test]
fn a_missing_scope_fails_its_own_job_and_the_others_publish() {
    for (scope, lost, kept) in [
        (ANALYTICS_READ, &["ad_statistics_daily", "placements_daily", "transactions"][..], "campaigns"),
        (CAMPAIGN_READ, &["campaigns", "ad_sets"], "creatives"),
        (CREATIVE_READ, &["creatives", "ads", "coupons"], "campaigns"),
    ] {
        let account = without_scope(scope);
        let document = account.run("backfill --from 2026-11-09 --to 2026-11-10").expect(4);
        let listing = files::listing(&account.output());
        assert!(listing.contains_key(kept), "{scope}: {kept} is published");
        for table in lost {
            assert!(!listing.contains_key(*table), "{scope}: {table} is not");
        }
        assert!(program::codes(&document, "errors").contains(&"scope_missing".to_owned()), "{scope}");
        assert_says(&document, &["partner portal", scope, "Read"]);
        let alone = account.run(&format!("pull --tables {}", lost.join(",")));
        assert_eq!(alone.expect(3)["outcome"], json!("failed"), "{scope}");
    }
}

#[test]
fn no_consent_at_all_is_exit_3_with_the_consent_link_as_the_remedy() {
    let ids: BTreeSet<String> = Account::open(small()).advertisers().into_iter().collect();
    let account = Account::open(SandboxOptions { unconsented_advertisers: ids, ..small() });
    let document = account.run(REPORTS).expect(3);
    assert_eq!(program::codes(&document, "errors"), ["consent_missing"]);
    assert_says(&document, &["no advertiser has consented", "consent link"]);
    assert_eq!(account.calls("report"), [], "no report was asked for");
    assert!(!account.output().exists(), "no folder is left behind");
}

#[test]
fn an_advertiser_that_withdrew_after_the_listing_is_named_and_the_rows_of_the_others_are_published() {
    let ids = Account::open(small()).advertisers();
    for lost in &ids {
        let account = Account::with_faults([format!("consent-lost({lost})")]);
        let document = account.run("backfill --from 2026-11-09 --to 2026-11-10").expect(4);
        let named: BTreeSet<&str> = document["errors"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|error| error["advertiser_id"].as_str())
            .collect();
        assert_eq!(named, [lost.as_str()].into(), "{document}");
        assert_says(&document, &["consent"]);
        let others: Vec<String> = ids.iter().filter(|id| *id != lost).cloned().collect();
        for table in ["ad_statistics_daily", "placements_daily", "placement_categories_daily", "transactions"] {
            let truth = contract(table).rows(&account.sandbox, Asked::of(&others, day("2026-11-09")));
            assert_eq!(
                files::read(&account.output(), table, day("2026-11-09")).content(),
                truth,
                "{table} without {lost}"
            );
        }
        for table in ["campaigns", "creatives", "ads"] {
            let rows = files::read(&account.output(), table, day("2026-11-10")).rows;
            assert!(!rows.is_empty(), "{table}");
            assert!(rows.iter().all(|row| row.get("advertiser_id") != Some(&json!(lost))), "{table} without {lost}");
        }
    }
}

#[test]
fn a_configured_advertiser_that_criteo_does_not_list_is_named_and_the_others_are_pulled() {
    let account = Account::open(small());
    let known = account.advertisers()[0].clone();
    account.configure(&format!("advertisers = ['{known}', '999']\n"));
    let document = account.run(REPORTS).expect(4);
    assert_eq!(program::codes(&document, "errors"), ["advertiser_without_consent"]);
    assert_eq!(document["errors"][0]["advertiser_id"], json!("999"));
    assert_says(&document, &["999", "typing error", "consent link"]);
    let truth = contract("ad_statistics_daily").rows(&account.sandbox, Asked::of(&[known], day("2026-11-01")));
    assert_eq!(files::read(&account.output(), "ad_statistics_daily", day("2026-11-01")).content(), truth);
    let nobody = account.run(&format!("{REPORTS} --advertisers 998,999")).expect(3);
    assert_says(&nobody, &["998", "999"]);
}

#[test]
fn everything_wrong_with_a_configuration_is_said_in_one_go() {
    let account = Account::open(small());
    account.configure(
        "outputt = './x'\ncurrency = 'euro'\ntimezone = 'PST'\nstart_date = '2026-02-30'\nlookback_days = 'many'\n\
         [tables.ad_statistics_dayly]\nenabled = true\n[tables.ads]\nenable = true\n",
    );
    let program = account.program("pull --format json --tables creativs --advertisers 12x --output ftp://host/x");
    let ended = account.run_program(&program);
    let document = ended.expect(2);
    assert_eq!(document["errors"].as_array().map(Vec::len), Some(10), "{document}");
    let said = program::messages(&document, "errors");
    for [place, remedy] in [
        ["`outputt`", "did you mean `output`?"],
        ["`currency`", "use three upper-case letters"],
        ["`timezone`", "`PST` is an abbreviation"],
        ["`start_date`", "2026-02-30"],
        ["`lookback_days`", "whole number"],
        ["`tables.ad_statistics_dayly`", "did you mean `ad_statistics_daily`?"],
        ["`tables.ads.enable`", "did you mean `enabled`?"],
        ["`--tables`", "did you mean `creatives`?"],
        ["`--advertisers`", "use digits only"],
        ["`--output`", "gs://"],
    ] {
        let found = said.lines().any(|line| line.contains(place) && line.contains(remedy));
        assert!(found, "`{remedy}` for {place} is not in\n{said}");
    }
    assert_eq!(account.sandbox.calls(), [], "nothing is called");
}

#[test]
fn a_secret_in_the_configuration_file_is_refused_without_being_repeated() {
    let account = Account::open(small());
    let folder = account.folder.path().join("elsewhere");
    std::fs::create_dir(&folder).expect("a writable folder");
    account.configure("client_secret = 'h4nd-me-over'\n");
    let ended = account.job("pull").run();
    let document = ended.expect(2);
    assert!(!ended.everything().contains("h4nd-me-over"));
    assert_says(&document, &["client_secret", "CRITEO_CLIENT_SECRET"]);
}

#[test]
fn an_output_that_cannot_be_written_is_exit_6_and_nothing_is_called() {
    let account = Account::open(small());
    let file = account.folder.path().join("a-file");
    std::fs::write(&file, "in the way").expect("a writable folder");
    let program = account.program(&format!("{REPORTS} --format json --output")).word(file.join("data"));
    let document = account.run_program(&program).expect(6);
    assert_eq!(program::codes(&document, "errors"), ["output_failed"]);
    assert_says(&document, &["a-file"]);
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "in the way");
    assert_eq!(account.calls("report"), []);
}

#[test]
fn a_partition_that_cannot_be_replaced_is_exit_6_and_the_others_are_published() {
    let account = Account::open(small());
    let in_the_way = account.output().join("transactions");
    std::fs::create_dir_all(account.output()).expect("a writable folder");
    std::fs::write(&in_the_way, "in the way").expect("a writable folder");
    let document = account.run(REPORTS).expect(6);
    assert_eq!(program::codes(&document, "errors"), ["output_failed"]);
    assert_eq!(files::dates(&account.output(), "ad_statistics_daily"), days("2026-11-01", "2026-11-02"));
    std::fs::remove_file(in_the_way).expect("it is there");
    let document = account.run(REPORTS).expect(0);
    assert_eq!(document["resumed_partitions"], json!(2), "what was published is not fetched again");
    assert_eq!(files::dates(&account.output(), "transactions"), days("2026-11-01", "2026-11-02"));
    files::assert_tidy(&account.output());
}

#[test]
fn an_unreachable_host_is_exit_5() {
    let account = Account::open(small());
    // A port that was free a moment ago, and that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let program = account.job(REPORTS).variable("CRITEO_API_URL", format!("http://{address}"));
    let document = account.run_program(&program).expect(5);
    assert_eq!(program::codes(&document, "errors"), ["api_unavailable"]);
    assert_says(&document, &["next run"]);
    assert!(!account.output().exists(), "no folder is left behind");
}

#[test]
fn a_host_without_encryption_is_refused_before_any_secret_is_sent() {
    let account = Account::open(small());
    let program = account.job(REPORTS).variable("CRITEO_API_URL", "http://api.criteo.example");
    let document = account.run_program(&program).expect(2);
    assert_says(&document, &["CRITEO_API_URL", "unencrypted"]);
}

#[test]
fn an_object_store_that_cannot_be_reached_is_named_with_the_reason_before_criteo_is_called() {
    let account = Account::open(small());
    for (url, variables) in [
        ("gs://bucket/x", &[("STORAGE_EMULATOR_HOST", "127.0.0.1:9")][..]),
        (
            "s3://bucket/x",
            &[
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
                ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "the-secret-of-s3"),
                ("AWS_REGION", "us-east-1"),
            ],
        ),
        (
            "az://container/x",
            &[
                ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
                ("AZURE_STORAGE_ACCOUNT_KEY", "dGhlLXNlY3JldC1vZi1henVyZQ=="),
                ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9"),
            ],
        ),
    ] {
        let mut program = account.program(&format!("{REPORTS} --format json --output {url}"));
        for (name, value) in variables {
            program = program.variable(name, *value);
        }
        let ended = account.run_program(&program);
        let document = ended.expect(6);
        assert_says(&document, &[url, "127.0.0.1:9"]);
        for (_, value) in variables.iter().filter(|(name, _)| name.contains("KEY") && !name.ends_with("_ID")) {
            assert!(!ended.everything().contains(value), "{url}");
        }
    }
    assert_eq!(account.sandbox.calls(), []);
}

#[test]
fn a_refused_request_shows_criteos_own_words_and_trace_identifier() {
    let scripted = Scripted::start(|_| {
        let entry = json!({"traceId": "905125ba2e35bd81e02ea712e4a05e2d", "type": "validation", "code": "invalid",
            "instance": "/report", "title": "The metric is not available.", "detail": "Choose another one."});
        Reply::status(400, &json!({"warnings": [], "errors": [entry]}))
    });
    let ended = scripted.job("backfill --from 2026-11-01 --to 2026-11-01 --tables transactions -vvv").run();
    let document = ended.expect(4);
    assert_says(&document, &["The metric is not available", "Choose another one"]);
    assert_eq!(document["errors"][0]["trace_id"], json!("905125ba2e35bd81e02ea712e4a05e2d"));
    assert_eq!(document["errors"][0]["table"], json!("transactions"));
    assert!(!ended.everything().contains(TOKEN) && !ended.everything().contains("scripted-secret"));
    let reports = scripted.asked().iter().filter(|asked| asked.path.contains("transactions")).count();
    assert_eq!(reports, 1, "a 400 is final");
}

#[test]
fn a_removed_version_or_a_missing_path_is_final_and_names_the_version_its_dates_and_the_remedy() {
    let status = 410;
    let scripted = Scripted::start(move |_| Reply::status(status, &""));
    let document = scripted.job("backfill --from 2026-11-01 --to 2026-11-01 --tables transactions").run().expect(2);
    assert_says(
        &document,
        &[&status.to_string(), "version 2026-07", "2027-04-01", "2027-07-01", "newer criteo-source"],
    );
    assert!(program::codes(&document, "errors").contains(&"api_version_removed".to_owned()), "{document}");
    let reports = scripted.asked().iter().filter(|asked| asked.path.contains("transactions")).count();
    assert_eq!(reports, 1, "{status}");
}

#[test]
fn every_command_says_the_same_of_a_removed_version_an_outage_and_a_refusal_of_the_list_of_advertisers() {
    let entry = json!({"traceId": "905125ba2e35bd81e02ea712e4a05e2d", "code": "not-so", "title": "Not so."});
    for (status, code, exit) in [
        (410, "api_version_removed", 2),
        (404, "api_version_removed", 2),
        (503, "api_unavailable", 5),
        (403, "scope_missing", 3),
    ] {
        let body = json!({"errors": [entry]});
        let scripted = Scripted::start_all(move |asked| match asked.path.as_str() {
            "/advertisers/me" => Reply::status(status, &body),
            _ => Reply::ok(&json!({"data": {"id": "1", "type": "x", "attributes": {"name": "App"}}})),
        });
        for line in ["pull", "plan", "pull --dry-run", "check"] {
            let document = scripted.job(line).run().expect(exit);
            assert_eq!(program::codes(&document, "errors"), [code], "{status} {line}: {document}");
            let error = &document["errors"][0];
            assert_eq!(error["trace_id"], json!("905125ba2e35bd81e02ea712e4a05e2d"), "{status} {line}: {document}");
            assert!(error["remedy"].is_string(), "{status} {line}");
            assert_eq!(document["command"], json!(line.split(' ').next()), "{line}");
        }
    }
}

#[test]
fn check_and_plan_give_up_a_network_that_is_not_there_after_two_attempts_and_a_run_does_not() {
    let account = Account::open(small());
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    for (line, attempts) in [("check", 2), ("plan", 2), ("pull --dry-run", 2), ("pull", 8)] {
        let program =
            account.program(&format!("{line} --format json")).variable("CRITEO_API_URL", format!("http://{address}"));
        let document = account.run_program(&program).expect(5);
        assert_says(&document, &[&format!("gave up after {attempts} attempts"), "check the network"]);
    }
}

#[test]
fn an_output_with_a_placeholder_that_nobody_replaces_is_refused_and_the_variable_or_key_is_named() {
    let account = Account::open(small());
    for text in ["$HOME/data", "${DATA}/criteo", "%h/data"] {
        let program = account.program("pull --format json").variable("CRITEO_OUTPUT", text);
        assert_says(&account.run_program(&program).expect(2), &["CRITEO_OUTPUT", "write the full path"]);
        account.configure(&format!("output = '{text}'\n"));
        assert_says(&account.program("pull --format json").run().expect(2), &["`output`", "write the full path"]);
        account.configure("");
    }
    let names: Vec<_> =
        std::fs::read_dir(account.folder.path()).expect("the folder").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["criteo-source.toml"], "no folder is made");
}
