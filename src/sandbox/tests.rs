//! Claims about the sandbox as a whole, made to its gateway without a network, and a few over one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike, Utc};
use serde_json::{Value, json};

use super::gateway::{Delivery, Exchange, Gateway, Reply};
use super::{CREATIVE_READ, EntityKind, Fault, Sandbox, SandboxOptions, Truth};
use crate::clock::Clock;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn options() -> SandboxOptions {
    SandboxOptions { today: day("2026-11-20"), ..SandboxOptions::default() }
}

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:01Z".parse().expect("an instant")
}

/// A gateway with a token and the advertisers' ids.
struct Desk {
    gateway: Gateway,
    clock: Clock,
    token: String,
    ids: Vec<String>,
}

impl Desk {
    fn new(options: SandboxOptions) -> Self {
        let clock = Clock::skipping(now());
        let gateway = Gateway::new(options, clock.clone());
        let ids = gateway.world.advertisers.iter().map(|advertiser| advertiser.id.clone()).collect();
        let mut desk = Self { gateway, clock, token: String::new(), ids };
        desk.renew();
        desk
    }

    fn renew(&mut self) {
        let secret = "s3cret%2Bwith%2Fslash+100%25%3Dodd%26end";
        let body = format!("grant_type=client_credentials&client_id=sandbox-client&client_secret={secret}");
        let reply = self.gateway.handle(&Exchange {
            method: "POST".to_owned(),
            path: "/oauth2/token".to_owned(),
            content_type: "application/x-www-form-urlencoded".to_owned(),
            body: body.into_bytes(),
            ..Exchange::default()
        });
        self.token = parsed(&reply)["access_token"].as_str().expect("a token").to_owned();
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.gateway.handle(&Exchange {
            method: method.to_owned(),
            path: format!("/2026-07/{path}"),
            query: query.to_owned(),
            authorization: Some(format!("Bearer {}", self.token)),
            content_type: "application/json".to_owned(),
            body: body.to_string().into_bytes(),
        })
    }

    fn get(&self, path: &str) -> Value {
        parsed(&self.call("GET", path, &Value::Null))
    }

    fn statistics(&self, dimensions: &[&str], metrics: &[&str], more: &Value) -> Vec<Value> {
        let reply = self.call("POST", "statistics/report", &self.statistics_body(dimensions, metrics, more));
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        parsed(&reply)["Rows"].as_array().expect("rows").clone()
    }

    fn statistics_body(&self, dimensions: &[&str], metrics: &[&str], more: &Value) -> Value {
        let mut body = json!({"advertiserIds": self.ids.join(","), "currency": "EUR", "format": "json",
            "timezone": "UTC", "startDate": "2026-09-01", "endDate": "2026-09-07",
            "dimensions": dimensions, "metrics": metrics});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        body
    }

    fn placements(&self, dimensions: &[&str], disclosed: bool) -> Vec<Value> {
        let body = json!({"data": [{"type": "report", "attributes": {"advertiserIds": self.ids.join(","),
            "currency": "EUR", "dimensions": dimensions, "metrics": ["Displays", "Clicks", "Cost"],
            "startDate": "2026-09-02", "endDate": "2026-09-02", "disclosed": disclosed}}]});
        let reply = self.call("POST", "placements/report", &body);
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        parsed(&reply)["data"][0]["attributes"]["rows"].as_array().expect("rows").clone()
    }
}

fn parsed(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).expect("a JSON body")
}

fn code(reply: &Reply) -> (u16, String) {
    (reply.status, parsed(reply)["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
}

/// The number, in billionths.
fn nano(text: &str) -> i128 {
    let (digits, power) = text.split_once('E').unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let power: i32 = power.parse().expect("an exponent");
    let shift = 9 + power - i32::try_from(fraction.len()).expect("a short number");
    let units: i128 = format!("{whole}{fraction}").parse().expect("digits");
    let scale = 10_i128.pow(shift.unsigned_abs());
    if shift < 0 { (units + scale / 2).div_euclid(scale) } else { units * scale }
}

fn sum(rows: &[Value], metric: &str) -> i128 {
    rows.iter().map(|row| nano(row[metric].as_str().expect("text"))).sum()
}

#[test]
fn totals_of_coarse_reports_equal_sums_of_fine_ones() {
    let desk = Desk::new(SandboxOptions { report_calls_per_minute: 1_000, ..options() });
    let metrics = [
        "Displays",
        "Clicks",
        "AdvertiserCost",
        "SalesAllPc30dPv24h",
        "RevenueGeneratedAllPc30dPv24h",
        "SalesClientAttribution",
        "AllInMediaCost",
        "VideoStarted",
        "OmnichannelRevenuePc30d",
    ];
    for zone in ["UTC", "Europe/Paris", "Asia/Kolkata", "PST"] {
        for currency in ["EUR", "USD", "JPY"] {
            let more = json!({"timezone": zone, "currency": currency});
            let coarse = desk.statistics(&["AdvertiserId"], &metrics, &more);
            for fine in [
                vec!["Day", "AdId"],
                vec!["Hour", "AdsetId"],
                vec!["Day", "Device", "Os"],
                vec!["CategoryId", "Day"],
                vec!["Week", "Goal", "Channel", "CouponId"],
            ] {
                let fine = desk.statistics(&fine, &metrics, &more);
                assert!(fine.len() > coarse.len());
                for metric in metrics {
                    assert_eq!(sum(&coarse, metric), sum(&fine, metric), "{metric} {zone} {currency}");
                }
            }
        }
    }
}

#[test]
fn statistics_come_with_pairs_currency_and_formats_of_the_dossier() {
    let desk = Desk::new(options());
    let rows = desk.statistics(&["day", "Hour", "Campaign", "Week"], &["Clicks", "CLICKTHROUGHRATE"], &Value::Null);
    let row = rows[0].as_object().expect("an object");
    let keys: BTreeSet<&str> = row.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        BTreeSet::from(["CampaignId", "Campaign", "ClickThroughRate", "Clicks", "Currency", "Day", "Hour", "Week"])
    );
    assert!(row.values().all(Value::is_string));
    let hour = row["Hour"].as_str().expect("text");
    let hour = NaiveDateTime::parse_from_str(hour, "%m/%d/%Y %H:%M:%S").expect("the format of the dossier");
    assert_eq!(hour.date().to_string(), row["Day"].as_str().expect("text"));
    assert_eq!((hour.minute(), hour.second()), (0, 0));
}

#[test]
fn identity_of_rows_is_unique_except_for_category_names() {
    let desk = Desk::new(options());
    let rows = desk.statistics(&["Day", "CategoryId", "AdvertiserId"], &["Displays"], &Value::Null);
    let key = |row: &Value, names: &[&str]| names.iter().map(|name| row[*name].to_string()).collect::<Vec<_>>();
    let by_name: BTreeSet<_> =
        rows.iter().map(|row| key(row, &["Day", "AdvertiserId", "CategoryId", "Category"])).collect();
    let by_id: BTreeSet<_> = rows.iter().map(|row| key(row, &["Day", "AdvertiserId", "CategoryId"])).collect();
    assert_eq!(by_name.len(), rows.len());
    assert!(by_id.len() < rows.len());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let body = |seed| {
        let desk = Desk::new(SandboxOptions { seed, ..options() });
        desk.statistics(&["Day", "AdId"], &["Clicks", "RevenueGeneratedPc30d", "Cpc"], &Value::Null)
    };
    assert_eq!(body(1), body(1));
    assert_ne!(body(1), body(2));
}

#[test]
fn a_day_grows_for_thirty_days_and_is_final_then() {
    let seen = |today: &str| {
        let desk = Desk::new(SandboxOptions { today: day(today), ..options() });
        let more = json!({"startDate": "2026-09-01", "endDate": "2026-09-01"});
        let rows = desk.statistics(&["Day"], &["SalesAllPc30d", "SalesAllPc1d", "Displays"], &more);
        ["SalesAllPc30d", "SalesAllPc1d", "Displays"].map(|metric| sum(&rows, metric))
    };
    let (first, third, tenth, thirtieth, later) =
        (seen("2026-09-01"), seen("2026-09-03"), seen("2026-09-11"), seen("2026-10-01"), seen("2026-11-30"));
    assert!(first[0] < third[0] && third[0] < tenth[0] && tenth[0] < thirtieth[0]);
    assert!(first[2] < third[2] && third[2] < tenth[2]);
    assert_eq!(tenth[1..], thirtieth[1..]);
    assert_eq!(thirtieth, later);
}

#[test]
fn a_report_at_the_cap_is_cut_without_a_word_and_not_at_the_end_of_any_key() {
    let whole = Desk::new(options()).statistics(&["Day", "AdId"], &["Displays"], &Value::Null);
    let reply = {
        let desk = Desk::new(SandboxOptions { statistics_cap: 100, ..options() });
        desk.call("POST", "statistics/report", &desk.statistics_body(&["Day", "AdId"], &["Displays"], &Value::Null))
    };
    let document = parsed(&reply);
    let rows = document["Rows"].as_array().expect("rows");
    assert_eq!((rows.len(), whole.len() > 100), (100, true));
    assert_eq!(rows[..], whole[..100]);
    assert!(document.get("warnings").is_none() && document.get("errors").is_none());
    let days: Vec<&str> = rows.iter().filter_map(|row| row["Day"].as_str()).collect();
    assert!(!days.is_sorted());
    assert_eq!(days.iter().collect::<BTreeSet<_>>().len(), 7, "every day is hit");
}

#[test]
fn placements_add_up_to_statistics_and_disclosed_ones_are_apart() {
    let desk = Desk::new(options());
    let more = json!({"startDate": "2026-09-02", "endDate": "2026-09-02"});
    let statistics = desk.statistics(&["AdsetId"], &["Displays", "Clicks", "AdvertiserCost"], &more);
    let dimensions = ["AdsetId", "Placement", "Environment", "CategoryId", "CategoryName"];
    let (disclosed, rest) = (desk.placements(&dimensions, true), desk.placements(&dimensions, false));
    for (placement, statistic) in [("displays", "Displays"), ("clicks", "Clicks"), ("cost", "AdvertiserCost")] {
        assert_eq!(sum(&disclosed, placement) + sum(&rest, placement), sum(&statistics, statistic));
    }
    let names = |rows: &[Value]| rows.iter().map(|row| row["placement"].to_string()).collect::<BTreeSet<_>>();
    assert!(names(&disclosed).is_disjoint(&names(&rest)));
    assert!(disclosed.iter().all(|row| row.get("currency").is_none()));
}

#[test]
fn transactions_are_the_sales_of_the_statistics() {
    let desk = Desk::new(options());
    let body = json!({"data": [{"type": "report", "attributes": {"advertiserIds": desk.ids.join(","),
        "currency": "EUR", "startDate": "2026-06-01", "endDate": "2026-09-30"}}]});
    let document = parsed(&desk.call("POST", "transactions/report", &body));
    let rows: Vec<&Value> = document["data"].as_array().expect("data").iter().map(|it| &it["attributes"]).collect();
    assert!(rows.iter().any(|row| row["eventType"] == "display") && rows.iter().any(|row| row["eventType"] == "click"));
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *seen.entry(row["transactionId"].as_str().expect("text")).or_default() += 1;
        assert!(["True", "False"].contains(&row["attributedTransaction"].as_str().expect("text")));
        assert!(["Yes", "No"].contains(&row["crossDeviceTransaction"].as_str().expect("text")));
    }
    assert!(seen.values().any(|times| *times == 2));
    assert!(document["data"].as_array().expect("data").iter().all(|it| it["type"] == "TransactionsReport"));
}

#[test]
fn all_26_dimensions_and_227_metrics_are_served() {
    let desk = Desk::new(options());
    let metrics: Vec<&str> = include_str!("statistics-metrics.txt").lines().collect();
    let dimensions = [
        "AdsetId",
        "AdvertiserId",
        "Category",
        "Hour",
        "Day",
        "Week",
        "Month",
        "Year",
        "Os",
        "Device",
        "CampaignId",
        "AdId",
        "CouponId",
        "MarketingObjectiveId",
        "ChannelId",
        "Goal",
        "AdChannel",
        "SocialPlatform",
    ];
    let more = json!({"startDate": "2026-09-02", "endDate": "2026-09-02"});
    let rows = desk.statistics(&dimensions, &metrics, &more);
    assert!(rows.iter().all(|row| row.as_object().is_some_and(|row| row.len() == 26 + 1 + 227)));
}

#[test]
fn requests_are_refused_as_documented() {
    let desk = Desk::new(options());
    let refused = |more: Value| {
        code(&desk.call("POST", "statistics/report", &desk.statistics_body(&["Day"], &["Clicks"], &more)))
    };
    let bad = |code: &str| (400, code.to_owned());
    assert_eq!(refused(json!({"advertiserIds": ""})), bad("required-field"));
    assert_eq!(refused(json!({"startDate": null})), bad("required-field"));
    assert_eq!(refused(json!({"endDate": "2026-08-01"})), bad("start-after-end-date"));
    assert_eq!(refused(json!({"startDate": "01/09/2026"})), bad("invalid-date-format"));
    assert_eq!(refused(json!({"startDate": "2024-11-19"})), bad("invalid-ranged"));
    for (key, value) in [
        ("metrics", json!(["Klicks"])),
        ("dimensions", json!(["Country"])),
        ("limit", json!(5)),
        ("timezone", json!("Europe/Pariss")),
        ("currency", json!("eur")),
        ("advertiserIds", json!("1, 2")),
        ("adSetIds", json!("1")),
    ] {
        assert_eq!(refused(json!({key: value})), bad("invalid"), "{key}");
    }
    let named = desk.call("POST", "statistics/report", &desk.statistics_body(&["Day"], &["Klicks"], &Value::Null));
    assert!(String::from_utf8_lossy(&named.body).contains("Klicks"));
}

#[test]
fn paths_versions_methods_and_types_are_refused_as_documented() {
    let desk = Desk::new(SandboxOptions { scopes: BTreeSet::new(), ..options() });
    assert_eq!(desk.call("GET", "advertisers/you", &Value::Null).status, 404);
    let mut exchange =
        Exchange { method: "GET".to_owned(), path: "/2025-10/advertisers/me".to_owned(), ..Exchange::default() };
    assert_eq!(desk.gateway.handle(&exchange).status, 410);
    exchange.path = "/2026-07/advertisers/me".to_owned();
    assert_eq!(code(&desk.gateway.handle(&exchange)), (401, "authorization-token-missing".to_owned()));
    exchange.authorization = Some("Bearer nonsense".to_owned());
    assert_eq!(code(&desk.gateway.handle(&exchange)), (401, "authorization-token-invalid".to_owned()));
    assert_eq!(desk.call("POST", "statistics/report", &json!({})).status, 403, "no scope");
    assert_eq!(desk.call("POST", "advertisers/me", &json!({})).status, 405);
    let desk = Desk::new(options());
    exchange.authorization = Some(format!("Bearer {}", desk.token));
    exchange.method = "POST".to_owned();
    exchange.path = "/2026-07/statistics/report".to_owned();
    exchange.content_type = "text/plain".to_owned();
    assert_eq!(desk.gateway.handle(&exchange).status, 415);
}

#[tokio::test]
async fn tokens_expire_and_quotas_count_on_the_clock() {
    let mut desk = Desk::new(SandboxOptions { report_calls_per_minute: 2, ..options() });
    let body = desk.statistics_body(&["Day"], &["Clicks"], &Value::Null);
    let status = |desk: &Desk| desk.call("POST", "statistics/report", &body).status;
    assert_eq!([status(&desk), status(&desk), status(&desk)], [200, 200, 429]);
    let refused = desk.call("POST", "statistics/report", &body);
    let reset = refused.headers.iter().find(|(name, _)| *name == "x-ratelimit-reset").expect("the header");
    let wait = reset.1.parse::<i64>().expect("a number") - desk.clock.now().timestamp();
    desk.clock.sleep(std::time::Duration::from_secs(wait.unsigned_abs())).await;
    assert_eq!(status(&desk), 200);
    desk.clock.sleep(std::time::Duration::from_mins(15)).await;
    assert_eq!(code(&desk.call("POST", "statistics/report", &body)), (401, "authorization-token-expired".to_owned()));
    desk.renew();
    assert_eq!(status(&desk), 200);
}

#[test]
fn one_advertiser_without_consent_fails_the_whole_report() {
    let ids = Desk::new(options()).ids;
    let desk = Desk::new(SandboxOptions { unconsented_advertisers: [ids[1].clone()].into(), ..options() });
    let body = desk.statistics_body(&["Day"], &["Clicks"], &Value::Null);
    let refused = (403, "insufficient-advertisers-permissions".to_owned());
    assert_eq!(code(&desk.call("POST", "statistics/report", &body)), refused);
    assert_eq!(desk.get("advertisers/me")["data"].as_array().map(Vec::len), Some(2));
    let desk = Desk::new(options());
    desk.gateway.set_faults(vec![format!("consent-lost({})", ids[0]).parse().expect("a fault")]);
    assert_eq!(code(&desk.call("POST", "statistics/report", &body)), refused);
    assert_eq!(desk.get("advertisers/me")["data"].as_array().map(Vec::len), Some(3), "lost after listing");
    let ads = format!("marketing-solutions/advertisers/{}/ads", ids[0]);
    assert_eq!(desk.call("GET", &ads, &Value::Null).status, 403);
}

#[test]
fn pages_are_silently_smaller_than_asked_for() {
    let desk = Desk::new(SandboxOptions { ads_per_ad_set: 10, ..options() });
    let ads = format!("marketing-solutions/advertisers/{}/ads", desk.ids[0]);
    let page =
        |offset: usize| desk.get(&format!("{ads}?limit=100&offset={offset}"))["data"].as_array().expect("data").clone();
    assert_eq!(page(0).len(), 50);
    let everything: BTreeSet<String> = (0..4).flat_map(|at| page(at * 50)).map(|ad| ad["id"].to_string()).collect();
    let listed =
        desk.gateway.world.ads.iter().filter(|ad| ad.listed && desk.gateway.world.ad_sets[ad.ad_set].advertiser == 0);
    assert_eq!(everything.len(), listed.count());
    assert_eq!(desk.call("GET", &format!("{ads}?limit=x"), &Value::Null).status, 400);
}

#[test]
fn searches_filter_with_and_and_hide_what_reports_show() {
    let desk = Desk::new(options());
    let search = |path: &str, body: Value| {
        let reply = parsed(&desk.call("POST", &format!("marketing-solutions/{path}/search"), &body));
        reply["data"].as_array().expect("data").clone()
    };
    assert_eq!(search("campaigns", json!({})).len(), 9);
    let first = search("campaigns", json!({"filters": {"advertiserIds": [desk.ids[0]]}}));
    assert_eq!(first.len(), 3);
    let both = json!({"filters": {"advertiserIds": [desk.ids[1]], "campaignIds": [first[0]["id"]]}});
    assert!(search("campaigns", both).is_empty());
    let listed: BTreeSet<String> = search("ad-sets", json!({})).iter().map(|it| it["id"].to_string()).collect();
    let reported = desk.statistics(&["AdsetId"], &["Clicks"], &Value::Null);
    assert!(reported.iter().any(|row| !listed.contains(&row["AdsetId"].to_string())));
    let named = search("ad-sets", json!({"meta": {"fields": ["Name"]}}));
    assert!(named[0]["attributes"]["name"].is_string() && named[0]["attributes"]["budget"].is_null());
}

#[test]
fn faults_answer_or_spoil_as_they_say() {
    let mut desk = Desk::new(options());
    let body = desk.statistics_body(&["Day", "CampaignId"], &["Clicks", "AdvertiserCost"], &Value::Null);
    let with = |desk: &Desk, fault: &str| {
        desk.gateway.set_faults(vec![fault.parse().expect("a fault")]);
        desk.call("POST", "statistics/report", &body)
    };
    for (fault, status) in [
        ("http-500", 500),
        ("http-502-html", 502),
        ("http-403", 403),
        ("http-503", 503),
        ("http-504", 504),
        ("too-many-requests(silent)", 429),
        ("too-many-requests(99999)", 429),
        ("html-with-200", 200),
    ] {
        assert_eq!(with(&desk, fault).status, status, "{fault}");
    }
    let silent = with(&desk, "too-many-requests(silent)");
    assert!(silent.headers.iter().all(|(name, _)| *name == "date"), "{:?}", silent.headers);
    assert_eq!(with(&desk, "reset-before-response").delivery, Delivery::Never);
    for fault in ["truncated-body", "invalid-utf8", "html-with-200", "bom"] {
        assert!(serde_json::from_slice::<Value>(&with(&desk, fault).body).is_err(), "{fault}");
    }
    let rows = |fault: &str| parsed(&with(&desk, fault))["Rows"].as_array().map_or(0, Vec::len);
    assert_eq!(rows("drop-one-row") + 1, rows("deprecation-headers"));
    assert_eq!(rows("ok-with-errors"), 0);
    assert_eq!(parsed(&with(&desk, "ok-with-errors"))["errors"][0]["code"], "internal-error");
    assert_eq!(parsed(&with(&desk, "row-limit-warning"))["warnings"][0]["code"], "row-limit-exceeded");
    assert_eq!(parsed(&with(&desk, "bad-number(1,5)"))["Rows"][0]["Clicks"], "1,5");
    assert_eq!(code(&with(&desk, "token-expired*1")).1, "authorization-token-expired");
    assert_eq!(with(&desk, "bom+1").status, 401, "the token stays dead");
    desk.renew();
    assert_eq!(desk.call("POST", "statistics/report", &body).status, 200);
}

#[test]
fn faults_spoil_entities_too() {
    let desk = Desk::new(options());
    let with = |fault: &str| {
        desk.gateway.set_faults(vec![fault.parse().expect("a fault")]);
        desk.call("POST", "marketing-solutions/ad-sets/search", &json!({}))
    };
    let first = |fault: &str| parsed(&with(fault))["data"][0]["attributes"].clone();
    assert_eq!(first("unknown-enum")["schedule"]["deliveryStatus"], "hibernating");
    assert!(first("missing-attribute").get("name").is_none());
    assert!(first("extra-field")["sandboxNew"].is_object());
    assert!(String::from_utf8_lossy(&with("duplicate-key").body).contains("\"attributes\":{\"name\":\"duplicate\","));
    assert!(with("deep-nesting(500)").body.windows(500).any(|window| window.iter().all(|byte| *byte == b'[')));
    assert!(std::str::from_utf8(&with("invalid-utf8").body).is_err());
    assert!(String::from_utf8_lossy(&with("huge-number").body).contains(&"9".repeat(400)));
}

#[tokio::test]
async fn the_truth_ignores_caps_consent_and_faults() {
    let capped =
        SandboxOptions { statistics_cap: 10, faults: vec!["drop-one-row".parse().expect("a fault")], ..options() };
    let sandbox = Sandbox::start(capped, Clock::skipping(now())).await.expect("a free port");
    let ids = sandbox.advertiser_ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (from, to) = (day("2026-09-01"), day("2026-09-07"));
    let (dimensions, metrics) = (&["Day", "AdId"][..], &["Clicks"][..]);
    let (advertiser_ids, currency, timezone) = (&ids[..], "EUR", "UTC");
    let week = Truth { advertiser_ids, from, to, dimensions, metrics, currency, timezone };
    assert!(sandbox.truth_statistics(week).len() > 100);
    let placed = |day| Truth { from: day, to: day, dimensions: &["Placement"], metrics: &["Cost"], ..week };
    let rows = sandbox.truth_placements(placed(to), true);
    assert!(!rows.is_empty() && rows[0].contains_key("Placement"));
    assert!(sandbox.truth_placements(placed(options().today), true).is_empty());
    assert!(!sandbox.truth_transactions(Truth { currency: "JPY", timezone: "Asia/Tokyo", ..week }).is_empty());
    let advertisers = sandbox.truth_entities(EntityKind::Advertisers);
    assert_eq!(advertisers.len(), ids.len());
    sandbox.stop().await;
}

#[test]
fn an_advertiser_may_have_no_data_and_some_days_have_none_either() {
    let desk = Desk::new(options());
    let quiet = json!({"advertiserIds": desk.ids[2], "startDate": "2026-01-01", "endDate": "2026-11-20"});
    assert!(desk.statistics(&["Day"], &["Displays"], &quiet).is_empty());
    let loud = json!({"advertiserIds": desk.ids[0], "startDate": "2026-01-01", "endDate": "2026-11-20"});
    let days = desk.statistics(&["Day"], &["Displays"], &loud).len();
    let all = (day("2026-11-20") - day("2026-01-01")).num_days() + 1;
    assert!(days > 250 && i64::try_from(days).is_ok_and(|days| days < all));
}

#[test]
fn without_the_permission_creatives_are_refused_and_the_rest_works() {
    let mut options = options();
    options.scopes.remove(CREATIVE_READ);
    let desk = Desk::new(options);
    let ads = format!("marketing-solutions/advertisers/{}/ads", desk.ids[0]);
    assert_eq!(desk.call("GET", &ads, &Value::Null).status, 403);
    assert!(desk.get("marketing-solutions/me")["data"]["attributes"]["applicationId"].is_number());
    assert!(!desk.statistics(&["Day"], &["Clicks"], &Value::Null).is_empty());
}

#[test]
fn calls_are_recorded_without_secrets() {
    let desk = Desk::new(options());
    desk.get("advertisers/me");
    let calls = desk.gateway.calls();
    assert_eq!(calls[0].body, json!({"grant_type": "client_credentials"}));
    assert_eq!(
        (calls[1].method.as_str(), calls[1].path.as_str(), calls[1].status),
        ("GET", "/2026-07/advertisers/me", 200)
    );
    assert!(!serde_json::to_string(&calls).expect("plain data").contains("s3cret"));
}

/// A client as the tests need it, and a sandbox to talk to.
async fn over_the_wire(fault: &str) -> (reqwest::Client, Sandbox, String) {
    // A second installation is refused, which is fine: one is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let faults: Vec<Fault> = vec![fault.parse().expect("a fault")];
    let sandbox = Sandbox::start(SandboxOptions { faults, ..options() }, Clock::skipping(now())).await.expect("a port");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "sandbox-client"),
        ("client_secret", "s3cret+with/slash 100%=odd&end"),
    ];
    let sent = client.post(format!("{}/oauth2/token", sandbox.url())).form(&form).send().await;
    let body: Value = serde_json::from_slice(&sent.expect("a reply").bytes().await.expect("a body")).expect("JSON");
    let token = body["access_token"].as_str().expect("a token").to_owned();
    (client, sandbox, token)
}

async fn portfolio(fault: &str) -> (Result<Vec<u8>, reqwest::Error>, bool) {
    let (client, sandbox, token) = over_the_wire(fault).await;
    let url = format!("{}/2026-07/advertisers/me", sandbox.url());
    let sent = client.get(url).bearer_auth(token).send().await;
    let answered = sent.is_ok();
    let body = match sent {
        Ok(response) => response.bytes().await.map(|bytes| bytes.to_vec()),
        Err(error) => Err(error),
    };
    sandbox.stop().await;
    (body, answered)
}

#[tokio::test]
async fn a_client_on_the_wire_sees_what_faults_promise() {
    let (body, _) = portfolio("deprecation-headers").await;
    assert!(serde_json::from_slice::<Value>(&body.expect("a body")).is_ok());
    assert!(matches!(portfolio("reset-before-response").await, (Err(_), false)));
    assert!(matches!(portfolio("reset-mid-body").await, (Err(_), true)));
    let (padded, _) = portfolio("whitespace(300000)").await;
    let padded = padded.expect("a body");
    assert!(padded.len() > 300_000 && serde_json::from_slice::<Value>(&padded).is_ok());
    let (dripped, _) = portfolio("slow-drip(60000)").await;
    assert!(serde_json::from_slice::<Value>(&dripped.expect("a body")).is_ok());
}

#[tokio::test]
async fn the_control_surface_changes_faults_and_shows_calls() {
    let (client, sandbox, token) = over_the_wire("http-500").await;
    let url = sandbox.url();
    let me = || client.get(format!("{url}/2026-07/advertisers/me")).bearer_auth(&token).send();
    assert_eq!(me().await.expect("a reply").status(), 500);
    let control = client.post(format!("{url}/sandbox/faults"));
    let sent = control.body("[]").send().await;
    assert_eq!(sent.expect("a reply").status(), 200);
    assert_eq!(me().await.expect("a reply").status(), 200);
    let calls = client.get(format!("{url}/sandbox/calls")).send().await.expect("a reply").bytes().await;
    let calls: Value = serde_json::from_slice(&calls.expect("a body")).expect("JSON");
    assert_eq!(calls.as_array().map(Vec::len), Some(3));
    sandbox.stop().await;
}

#[test]
fn consent_hands_out_a_code_and_returns_the_state() {
    let desk = Desk::new(options());
    let exchange = Exchange {
        method: "GET".to_owned(),
        path: "/request".to_owned(),
        query:
            "response_type=code&client_id=sandbox-client&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcb&state=a%26b"
                .to_owned(),
        ..Exchange::default()
    };
    let page = desk.gateway.handle(&exchange);
    let text = String::from_utf8(page.body).expect("text");
    assert!(page.status == 200 && text.contains("Approve") && text.contains("Deny"), "{text}");
    let decide = |query: String, decision: &str| {
        let exchange = Exchange { method: "POST".to_owned(), query, body: decision.into(), ..exchange.clone() };
        let reply = desk.gateway.handle(&exchange);
        assert_eq!(reply.status, 302);
        reply.headers[0].1.clone()
    };
    let location = decide(exchange.query.clone(), "decision=approve");
    assert!(
        location.starts_with("http://localhost:3000/cb?code=code.") && location.ends_with("&state=a%26b"),
        "{location}"
    );
    let location = decide(exchange.query.clone(), "decision=deny");
    assert!(location.contains("?error=access_denied&") && location.ends_with("&state=a%26b"), "{location}");
    let stranger = exchange.query.replace("sandbox-client", "stranger");
    assert!(decide(stranger, "decision=approve").contains("?error=invalid_request&"));
    assert!(Arc::strong_count(&desk.gateway.world) == 1);
}
