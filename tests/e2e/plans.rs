//! A plan says what the run would do, and does nothing.

use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::{files, program};

fn calls(document: &Value, table: &str) -> Value {
    document["tables"][table]["calls"].clone()
}

#[test]
fn planning_calls_nothing_but_the_list_of_advertisers_and_writes_nothing() {
    for line in [
        "plan",
        "plan --from 2026-11-01 --to 2026-11-03",
        "pull --dry-run",
        "backfill --from 2026-11-01 --to 2026-11-03 --dry-run",
    ] {
        let account = Account::open(small());
        let document = account.run(line).expect(0);
        assert!(document["calls"]["report"].as_u64() > Some(0), "{line}");
        for member in ["retries", "waited_secs"] {
            assert!(document[member].is_number(), "{line}: {member}");
        }
        for (name, table) in document["tables"].as_object().expect("tables") {
            let published = ["partitions", "rows", "bytes"].map(|member| table[member].as_u64());
            assert_eq!(published, [Some(0); 3], "{line}: {name}");
        }
        let mut paths: Vec<String> = account.sandbox.calls().into_iter().map(|call| call.path).collect();
        paths.sort();
        assert_eq!(paths, ["/2026-07/advertisers/me", "/oauth2/token"], "{line}");
        assert!(!account.output().exists(), "{line}: nothing is written");
    }
}

#[test]
fn once_the_sizes_are_known_a_plan_names_exactly_the_calls_of_the_run() {
    let account = Account::open(small());
    account.configure("start_date = '2026-10-20'\n");
    account.run("pull").expect(0);
    let plan = account.run("plan").expect(0);
    let before = account.calls("report").len();
    let run = account.run("pull").expect(0);
    for table in ["ad_statistics_daily", "placements_daily", "placement_categories_daily", "transactions"] {
        assert_eq!(calls(&plan, table), calls(&run, table), "{table}");
    }
    assert_eq!(plan["calls"]["report"], json!(account.calls("report").len() - before));
}

#[test]
fn a_plan_knows_the_retention_and_who_did_not_consent() {
    let account = Account::open(small());
    let known = account.advertisers()[0].clone();
    account.configure(&format!("start_date = '2026-07-01'\nadvertisers = ['{known}', '999']\n"));
    // As the run itself would end: somebody who is configured is missing.
    let document = account.run("plan").expect(4);
    assert_eq!(document["tables"]["placements_daily"]["from"], json!("2026-08-10"));
    assert!(program::codes(&document, "warnings").contains(&"beyond_retention".to_owned()));
    assert_eq!(program::codes(&document, "errors"), ["advertiser_without_consent"]);
}

#[test]
fn the_dry_run_of_a_backfill_that_would_go_on_plans_only_what_is_missing() {
    let account = Account::open(small());
    let line = "backfill --from 2026-11-01 --to 2026-11-06 --tables placements_daily";
    account.set_faults(["http-500@placements/report+5"]);
    account.run(line).expect(4);
    account.heal();
    let published = files::dates(&account.output(), "placements_daily").len();
    let plan = account.run(&format!("{line} --dry-run")).expect(0);
    assert_eq!(plan["resumed_partitions"], json!(published));
    assert_eq!(plan["tables"]["placements_daily"]["days"], json!(6 - published));
}
