//! Snapshots: every resource with every attribute, once, and what Criteo adds is not lost.

use std::collections::BTreeMap;

use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::support::account::{Account, small};
use crate::support::cells::Row;
use crate::support::scripted::{ADVERTISER, Reply, Scripted};
use crate::support::truth::{Contract, contract, entity_kind};
use crate::support::{TODAY, day, files, program};

const PLAIN: [&str; 6] = ["advertisers", "campaigns", "ad_sets", "creatives", "ads", "coupons"];
const BY_AD_SET: [&str; 2] = ["ad_set_category_bids", "ad_set_display_multipliers"];

/// The advertiser of an ad, which Criteo gives in the path only.
fn advertiser_of_ad(account: &Account) -> impl Fn(&Value, &str) -> Value + use<> {
    let ad_sets = account.sandbox.truth_entities(entity_kind("ad_sets"));
    let owners: BTreeMap<String, Value> = ad_sets
        .iter()
        .map(|it| (it["id"].as_str().unwrap_or_default().to_owned(), it["attributes"]["advertiserId"].clone()))
        .collect();
    // One ad set of the first advertiser is not listed; its ads are.
    let first = json!(account.advertisers()[0]);
    move |resource, _| {
        let ad_set = resource["attributes"]["adSetId"].as_str().unwrap_or_default();
        owners.get(ad_set).unwrap_or(&first).clone()
    }
}

fn written(account: &Account, table: &str) -> Vec<Row> {
    files::read(&account.output(), table, day(TODAY)).content()
}

#[test]
fn every_attribute_of_every_resource_arrives() {
    let account = Account::open(small());
    account.run(&format!("pull --tables {}", PLAIN.join(","))).expect(0);
    for table in PLAIN {
        let resources = account.sandbox.truth_entities(entity_kind(table));
        let expected = contract(table).snapshot(&resources, day(TODAY), advertiser_of_ad(&account));
        assert!(expected.len() > 2, "{table}");
        let written = written(&account, table);
        assert_eq!(written.len(), expected.len(), "{table}");
        for (written, expected) in written.iter().zip(&expected) {
            assert_eq!(written, expected, "{table}");
        }
    }
}

/// The scalars in a value, as text.
fn leaves(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, into)),
        Value::String(text) => into.push(text.clone()),
        other => into.push(other.to_string()),
    }
}

/// Numbers and instants have one spelling on the wire and another in the file.
fn canonical(text: &str) -> String {
    if let Ok(number) = text.parse::<f64>() {
        return format!("{number:?}");
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| text.to_owned(), |instant| instant.timestamp().to_string())
}

#[test]
fn no_scalar_of_any_resource_is_lost_whatever_the_contract_says() {
    let account = Account::open(small());
    account.run(&format!("pull --tables {}", PLAIN.join(","))).expect(0);
    for table in PLAIN {
        let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let key = contract(table).primary_key.last().cloned().unwrap_or_default();
        for row in written(&account, table) {
            let mut found = Vec::new();
            for value in row.values() {
                leaves(value, &mut found);
            }
            let id = row[&key].as_str().unwrap_or_default().to_owned();
            by_id.insert(id, found.iter().map(|text| canonical(text)).collect());
        }
        for resource in account.sandbox.truth_entities(entity_kind(table)) {
            let mut sent = Vec::new();
            leaves(&resource["attributes"], &mut sent);
            let found = &by_id[resource["id"].as_str().unwrap_or_default()];
            for text in sent {
                assert!(found.contains(&canonical(&text)), "{table}: `{text}` of {resource} is lost");
            }
        }
    }
}

#[test]
fn bids_and_multipliers_of_every_listed_ad_set_arrive() {
    let account = Account::open(small());
    account.run(&format!("pull --tables {}", BY_AD_SET.join(","))).expect(0);
    let ad_sets = account.sandbox.truth_entities(entity_kind("ad_sets"));
    for table in BY_AD_SET {
        let resources = account.sandbox.truth_entities(entity_kind(table));
        let each = resources.len() / ad_sets.len();
        assert_eq!(resources.len(), each * ad_sets.len());
        let contract: &Contract = contract(table);
        let mut expected: Vec<Row> = ad_sets
            .iter()
            .zip(resources.chunks(each))
            .flat_map(|(ad_set, of_one)| {
                let owner = |_: &Value, column: &str| {
                    if column == "ad_set_id" {
                        ad_set["id"].clone()
                    } else {
                        ad_set["attributes"]["advertiserId"].clone()
                    }
                };
                contract.snapshot(of_one, day(TODAY), owner)
            })
            .collect();
        contract.sort(&mut expected);
        assert_eq!(written(&account, table), expected, "{table}");
    }
}

#[test]
fn pages_are_read_to_the_end_even_if_the_limit_is_capped_silently() {
    for page_limit in [1, 7] {
        let account = Account::open(SandboxOptions { page_limit, ..small() });
        account.run("pull --tables creatives,ads,coupons").expect(0);
        for table in ["creatives", "ads", "coupons"] {
            let resources = account.sandbox.truth_entities(entity_kind(table));
            let expected = contract(table).snapshot(&resources, day(TODAY), advertiser_of_ad(&account));
            assert_eq!(written(&account, table), expected, "{table} in pages of {page_limit}");
        }
    }
}

#[test]
fn attributes_that_criteo_adds_are_kept_as_json() {
    let account = Account::with_faults(["extra-field"]);
    account.run(&format!("pull --tables {}", PLAIN.join(","))).expect(0);
    for table in PLAIN {
        let resources = account.sandbox.truth_entities(entity_kind(table));
        let mut expected = contract(table).snapshot(&resources, day(TODAY), advertiser_of_ad(&account));
        for row in &mut expected {
            row.insert("_extra".to_owned(), json!({"sandboxNew": {"nested": [1, null, "x"]}}));
        }
        let mut found = written(&account, table);
        for row in &mut found {
            let text = row["_extra"].as_str().unwrap_or_default().to_owned();
            row.insert("_extra".to_owned(), serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        assert_eq!(found, expected, "{table}");
    }
}

#[test]
fn values_that_no_list_of_criteos_contains_are_kept() {
    let account = Account::with_faults(["unknown-enum"]);
    account.run("pull --tables campaigns,ad_sets,ads,creatives").expect(0);
    for (table, column) in [
        ("campaigns", "goal"),
        ("ad_sets", "schedule_delivery_status"),
        ("ads", "inventory_type"),
        ("creatives", "format"),
    ] {
        let rows = written(&account, table);
        assert!(rows.iter().any(|row| row[column] == json!("hibernating")), "{table}.{column}");
    }
}

#[test]
fn an_attribute_that_is_missing_is_null() {
    let account = Account::with_faults(["missing-attribute"]);
    account.run("pull --tables advertisers,campaigns,ad_sets").expect(0);
    for (table, column) in
        [("advertisers", "advertiser_name"), ("campaigns", "campaign_name"), ("ad_sets", "ad_set_name")]
    {
        let rows = written(&account, table);
        assert_eq!(rows.iter().filter(|row| row[column].is_null()).count(), 1, "{table}.{column}");
        assert_eq!(rows.len(), account.sandbox.truth_entities(entity_kind(table)).len(), "{table}");
    }
}

#[test]
fn a_resource_that_comes_twice_is_one_row() {
    // Behind the first page something is inserted, so that the second repeats more of it.
    let ad = |id: &u32| json!({"type": "Ad", "id": id.to_string(), "attributes": {"id": id.to_string(), "name": "x"}});
    let scripted = Scripted::start(move |asked| {
        let offset = asked.path.split_once("offset=").and_then(|(_, offset)| offset.parse().ok()).unwrap_or(0);
        let first = if offset == 0 { 2 } else { 1 };
        let list: Vec<u32> = (first..=60).collect();
        let page: Vec<Value> = list.iter().skip(offset).take(50).map(ad).collect();
        Reply::ok(&json!({"data": page, "errors": [], "warnings": []}))
    });
    scripted.job("pull --tables ads").run().expect(0);
    let rows = files::read(&scripted.output(), "ads", day(TODAY)).rows;
    let mut ids: Vec<u32> = rows.iter().filter_map(|row| row["ad_id"].as_str()?.parse().ok()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (2..=60).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row["advertiser_id"] == json!(ADVERTISER)));
}

#[test]
fn a_page_that_leaves_out_an_entry_costs_nothing() {
    for page in 0..3 {
        let account = Account::open(SandboxOptions { page_limit: 5, ..small() });
        account.set_faults([format!("omit-entry@/creatives+{page}*1")]);
        account.run("pull --tables creatives").expect(0);
        let resources = account.sandbox.truth_entities(entity_kind("creatives"));
        let expected = contract("creatives").snapshot(&resources, day(TODAY), |_, _| Value::Null);
        assert_eq!(written(&account, "creatives"), expected, "page {page}");
    }
}

#[test]
fn entries_that_appear_or_vanish_between_pages_hide_no_other() {
    let creative = |id: &u32| json!({"type": "Creative", "id": id.to_string(), "attributes": {"name": "c"}});
    let list: std::sync::Mutex<Vec<u32>> = std::sync::Mutex::new((1000..1430).collect());
    let scripted = Scripted::start(move |asked| {
        let offset: usize = asked.path.split_once("offset=").and_then(|(_, at)| at.parse().ok()).unwrap_or(0);
        let mut list = list.lock().expect("no script panics");
        let page: Vec<Value> = list.iter().skip(offset).take(50).map(creative).collect();
        // After each page three entries at the beginning vanish, and one appears in the middle.
        if list.len() > 400 {
            list.drain(..3);
            let new = 5000 + u32::try_from(list.len()).expect("few");
            list.insert(200, new);
        }
        Reply::ok(&json!({"data": page, "errors": [], "warnings": []}))
    });
    scripted.job("pull --tables creatives").run().expect(0);
    let rows = files::read(&scripted.output(), "creatives", day(TODAY)).rows;
    let found: std::collections::BTreeSet<u32> =
        rows.iter().filter_map(|row| row["creative_id"].as_str()?.parse().ok()).collect();
    let missing: Vec<u32> = (1045..1430).filter(|id| !found.contains(id)).collect();
    assert_eq!(missing, Vec::<u32>::new());
    assert!(scripted.asked().len() < 60, "{} calls", scripted.asked().len());
}

#[test]
fn a_snapshot_is_of_the_day_on_which_it_is_taken() {
    let account = Account::open(small());
    account.run("pull --tables campaigns").expect(0);
    let taken = files::everything(&account.output());
    let document =
        account.run_program(&account.job("pull --tables campaigns,ads --as-of 2026-11-09").on(TODAY)).expect(0);
    assert_eq!(program::codes(&document, "warnings"), ["snapshot_not_taken"]);
    // Nothing is left of this one, which is not "done".
    let line = "backfill --from 2026-11-09 --to 2026-11-09 --tables campaigns --as-of 2026-11-09";
    account.run_program(&account.job(line).on(TODAY)).expect(2);
    assert_eq!(files::everything(&account.output()), taken, "the true snapshot is as it was");
}

#[test]
fn a_server_that_ignores_the_offset_does_not_keep_us_for_ever() {
    let scripted = Scripted::start(|_| {
        Reply::ok(
            &json!({"data": [{"type": "Ad", "id": 7, "attributes": {"name": "x"}}], "errors": [], "warnings": []}),
        )
    });
    scripted.job("pull --tables ads").run().expect(0);
    assert_eq!(files::read(&scripted.output(), "ads", day(TODAY)).rows.len(), 1);
    assert!(scripted.asked().len() < 10);
}

#[test]
fn resources_that_make_no_sense_are_an_error_and_no_file() {
    for (body, reason) in [
        (json!({"data": [{"type": "Ad", "attributes": {}}]}), "ad_id"),
        (json!({"data": [{"id": "1", "type": "Ad", "attributes": {"startDate": "soon"}}]}), "start"),
        (json!({"rows": []}), "data"),
        (json!([]), "data"),
        (json!("<html>"), "data"),
    ] {
        let text = body.to_string();
        let scripted = Scripted::start(move |asked| {
            let is_first = !asked.path.contains("offset=") || asked.path.ends_with("offset=0");
            Reply::ok(&if is_first { text.clone() } else { json!({"data": []}).to_string() })
        });
        let document = scripted.job("pull --tables ads").run().expect(4);
        let said = program::messages(&document, "errors");
        assert!(said.contains(reason), "`{reason}` is not in {said} for {body}");
        assert_eq!(files::listing(&scripted.output()), [].into(), "{body}");
    }
}
