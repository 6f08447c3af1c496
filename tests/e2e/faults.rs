//! What a network and a gateway do on a bad day: the data that arrives in the end is the truth all the same. Each fault at
//! each endpoint is in the matrix; here are the ones that come in a row, or that need more than one run.

use serde_json::json;

use crate::support::account::{Account, small, tiny};
use crate::support::truth::{Asked, contract, entity_kind};
use crate::support::{TODAY, day, days, files, program};

/// Everything the job publishes is what the account has.
pub(crate) fn assert_truth(account: &Account, from: &str, what: &str) {
    for table in ["ad_statistics_daily", "placements_daily", "placement_categories_daily", "transactions"] {
        for date in days(from, "2026-11-09") {
            let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(files::read(&account.output(), table, date).content(), truth, "{what}: {table} {date}");
        }
    }
    for table in ["advertisers", "campaigns", "ad_sets", "creatives", "ads", "coupons"] {
        let resources = account.sandbox.truth_entities(entity_kind(table));
        let truth = contract(table).snapshot(&resources, day(TODAY), |_, _| json!(null));
        let written = files::read(&account.output(), table, day(TODAY)).content();
        // Columns that the request fixes are checked with the entities.
        let same = |row: &crate::support::cells::Row| {
            let mut row = row.clone();
            row.remove("advertiser_id");
            row
        };
        let (written, truth): (Vec<_>, Vec<_>) = (written.iter().map(same).collect(), truth.iter().map(same).collect());
        assert_eq!(written, truth, "{what}: {table}");
    }
}

#[test]
fn the_token_endpoint_may_be_down_for_a_moment() {
    for fault in [
        "token-endpoint-down*2",
        "http-500@oauth2/token*1",
        "http-502-html@oauth2/token*1",
        "reset-before-response@oauth2/token*1",
        "truncated-body@oauth2/token*1",
        "too-many-requests(5)@oauth2/token*1",
    ] {
        let account = Account::open(tiny());
        account.configure("start_date = '2026-11-09'\n");
        account.set_faults([fault]);
        account.run("pull").expect(0);
        assert_truth(&account, "2026-11-09", fault);
    }
}

#[test]
fn a_token_that_is_refused_in_the_middle_of_a_run_is_renewed_once_for_all() {
    let account = Account::with_faults(["token-expired+3*1"]);
    account.configure("start_date = '2026-11-08'\n");
    let document = account.run("pull").expect(0);
    assert_truth(&account, "2026-11-08", "token-expired");
    let tokens = document["calls"]["token"].as_u64().unwrap_or_default();
    assert_eq!(tokens, 2, "one token at the start, one after the 401");
}

#[test]
fn two_tokens_that_end_one_after_the_other_are_no_refusal_of_the_credentials() {
    // Many requests are under way when the first token ends, and the second one ends while some of them are repeated: they
    // are told twice in a row that their token is no good.
    for gap in 2..=9 {
        let account = Account::with_faults([format!("token-expired+{gap}*1"), format!("token-expired+{}*1", 2 * gap)]);
        account.configure("start_date = '2026-11-08'\n");
        let document = account.run("pull").expect(0);
        assert_truth(&account, "2026-11-08", &format!("the second one {gap} calls after the first"));
        let tokens = document["calls"]["token"].as_u64().unwrap_or_default();
        let refused = account.sandbox.calls().iter().filter(|call| call.status == 401).count();
        assert!(refused >= 2 && (2..=3).contains(&tokens), "{refused} refusals, {tokens} tokens");
    }
}

#[test]
fn several_faults_in_a_row_are_outlasted() {
    let account = Account::with_faults([
        "http-500@report*2",
        "reset-mid-body@report*1",
        "truncated-body@report*1",
        "too-many-requests(60)@report*2",
    ]);
    account.configure("start_date = '2026-11-09'\n");
    account.run("pull").expect(0);
    assert_truth(&account, "2026-11-09", "several");
}

#[test]
fn an_outage_that_lasts_is_reported_and_nothing_half_done_is_published() {
    for fault in ["http-500", "http-503", "reset-before-response", "reset-mid-body", "truncated-body", "ok-with-errors"]
    {
        let account = Account::with_faults([format!("{fault}@statistics/report")]);
        let line = "backfill --from 2026-11-01 --to 2026-11-02 --tables ad_statistics_daily,transactions";
        let document = account.run(line).expect(4);
        let listing = files::listing(&account.output());
        assert_eq!(listing.keys().collect::<Vec<_>>(), ["transactions"], "{fault}");
        assert!(program::messages(&document, "errors").contains("ad_statistics_daily"), "{fault}: {document}");
        files::assert_tidy(&account.output());
        let alone = account.run("backfill --from 2026-11-01 --to 2026-11-02 --tables ad_statistics_daily");
        assert!([4, 5].contains(&alone.code), "{fault}: {}", alone.code);
        assert_eq!(alone.document()["outcome"], json!("failed"), "{fault}");
    }
}

#[test]
fn a_partition_survives_a_failed_attempt_to_replace_it() {
    let account = Account::open(small());
    let line = "backfill --from 2026-11-05 --to 2026-11-06 --tables ad_statistics_daily";
    account.run(line).expect(0);
    let before = files::everything(&account.output());
    for fault in ["truncated-body@report", "html-with-200@report", "bad-number(x)@report", "envelope(columns)@report"] {
        account.set_faults([fault]);
        let ended = account.run(line);
        assert_ne!(ended.code, 0, "{fault}");
        assert_eq!(files::everything(&account.output()), before, "{fault}");
    }
}
