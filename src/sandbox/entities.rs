//! Advertisers, campaigns, ad sets, bids, multipliers, ads, creatives and coupons (API.md section 5, and Criteo's specification 2026-07).
//!
//! Objects are whole and typed, unlike report rows. Searches show what the app may see and stay silent about the rest;
//! paths that name an advertiser without consent are refused.

use serde_json::{Map, Value, json};

use super::Ask;
use super::dice::{Dice, mix, seed_of};
use super::faults::FaultKind;
use super::names;
use super::problem::Problem;
use super::request::consented;
use super::table::deep;
use super::world::{AdSet, Kind, Stage, World};

/// A family of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// `advertisers/me`.
    Advertisers,
    /// `campaigns/search`.
    Campaigns,
    /// `ad-sets/search`.
    AdSets,
    /// `ad-sets/{id}/category-bids`, of all ad sets.
    CategoryBids,
    /// `ad-sets/{id}/display-multipliers`, of all ad sets.
    DisplayMultipliers,
    /// `advertisers/{id}/ads`, of all advertisers.
    Ads,
    /// `advertisers/{id}/creatives`, of all advertisers.
    Creatives,
    /// `advertisers/{id}/coupons`, of all advertisers.
    Coupons,
}

fn resource(kind: &str, id: &str, attributes: Value) -> Value {
    let mut entity = json!({"type": kind, "id": id});
    entity["attributes"] = attributes;
    entity
}

/// All advertisers that consented, also those that are about to have lost it (API.md 5.1).
pub(super) fn advertisers(world: &World) -> Vec<Value> {
    let visible = world.advertisers.iter().filter(|advertiser| advertiser.consented);
    visible.map(|it| resource("advertiser", &it.id, json!({"advertiserName": it.name}))).collect()
}

/// The app (API.md 5.2).
pub(super) fn application(service: &str) -> Value {
    json!({"type": "ApplicationSummaryModel",
           "attributes": {"applicationId": 4_711, "organizationId": 815, "name": "Sandbox app",
                          "description": null, "criteoService": service}})
}

/// A search body: absent and null lists do not filter; what is not a number matches nothing.
fn filter<'a>(body: &'a Value, name: &str) -> Result<Option<Vec<&'a str>>, Problem> {
    let wrong = || Problem::invalid(format!("filters.{name} must be an array of strings."));
    let value = match body.get("filters").and_then(|filters| filters.get(name)) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_array().ok_or_else(wrong)?,
    };
    if value.is_empty() {
        return Ok(None);
    }
    value.iter().map(|id| id.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
}

fn among(list: Option<&Vec<&str>>, id: &str) -> bool {
    list.is_none_or(|list| list.contains(&id))
}

fn visible(ask: &Ask<'_>, advertiser: usize) -> bool {
    let advertiser = &ask.world.advertisers[advertiser];
    advertiser.consented && !ask.lost.contains(&advertiser.id)
}

/// `campaigns/search`: filters with AND (API.md 5.3).
pub(super) fn campaigns(ask: &Ask<'_>, body: &Value) -> Result<Vec<Value>, Problem> {
    let (ids, advertisers) = (filter(body, "campaignIds")?, filter(body, "advertiserIds")?);
    let kept = ask.world.campaigns.iter().enumerate().filter(|(_, campaign)| {
        visible(ask, campaign.advertiser)
            && among(ids.as_ref(), &campaign.id)
            && among(advertisers.as_ref(), &ask.world.advertisers[campaign.advertiser].id)
    });
    Ok(kept.map(|(at, _)| campaign(ask.world, at)).collect())
}

/// One campaign.
pub(super) fn campaign_by_id(ask: &Ask<'_>, id: &str) -> Result<Value, Problem> {
    let found = ask.world.campaigns.iter().position(|it| it.id == id && visible(ask, it.advertiser));
    let missing = || Problem::not_found("campaign-not-found", "The campaign does not exist.");
    found.map(|at| campaign(ask.world, at)).ok_or_else(missing)
}

fn campaign(world: &World, at: usize) -> Value {
    let campaign = &world.campaigns[at];
    let mut dice = Dice::new(&[world.seed, seed_of("campaign"), at as u64]);
    let capped = at % 3 != 2;
    let limit = |dice: &mut Dice| if capped { json!(cents(dice.between(50_000, 9_000_000))) } else { Value::Null };
    let amount = limit(&mut dice);
    let scheduled = if at % 4 == 1 {
        json!([{"id": format!("{}", 90_000 + at), "startDate": "2026-12-01", "spendLimitType": "capped",
                "spendLimitRenewal": "monthly", "spendLimitAmount": {"value": 12_345.67}}])
    } else {
        json!([])
    };
    let attributes = json!({
        "id": campaign.id,
        "name": campaign.name,
        "advertiserId": world.advertisers[campaign.advertiser].id,
        "goal": campaign.goal,
        "spendLimit": {"spendLimitType": if capped { "capped" } else { "uncapped" },
                       "spendLimitRenewal": if capped { "monthly" } else { "undefined" },
                       "spendLimitAmount": {"value": amount}},
        "budgetAutomation": if at.is_multiple_of(2) {
            json!({"enabled": true, "automatedBudgetConfiguration": {"adSetOptimizationObjective": "conversions"}})
        } else {
            json!({"enabled": false, "automatedBudgetConfiguration": null})
        },
        "scheduledSpendLimits": scheduled,
    });
    resource("Campaign", &campaign.id, attributes)
}

fn cents(cents: u64) -> f64 {
    f64::from(u32::try_from(cents).unwrap_or(u32::MAX)) / 100.0
}

/// `ad-sets/search`: filters with AND; unlisted ad sets stay away (API.md 5.4).
pub(super) fn ad_sets(ask: &Ask<'_>, body: &Value) -> Result<Vec<Value>, Problem> {
    let ids = filter(body, "adSetIds")?;
    let (campaigns, advertisers) = (filter(body, "campaignIds")?, filter(body, "advertiserIds")?);
    let fields = projection(body)?;
    let world = ask.world;
    let kept = world.ad_sets.iter().enumerate().filter(|(_, it)| {
        it.listed
            && visible(ask, it.advertiser)
            && among(ids.as_ref(), &it.id)
            && among(campaigns.as_ref(), &world.campaigns[it.campaign].id)
            && among(advertisers.as_ref(), &world.advertisers[it.advertiser].id)
    });
    Ok(kept.map(|(at, _)| project(ad_set(world, at), fields.as_deref())).collect())
}

const PROJECTABLE: [&str; 13] = [
    "Name",
    "AdvertiserId",
    "DatasetId",
    "CampaignId",
    "DestinationEnvironment",
    "Objective",
    "Schedule",
    "Bidding",
    "Targeting",
    "Budget",
    "MediaType",
    "VideoChannel",
    "AttributionConfiguration",
];

fn projection(body: &Value) -> Result<Option<Vec<String>>, Problem> {
    let wrong = || Problem::invalid("meta.fields has a value that is not a field.");
    let Some(fields) = body.get("meta").and_then(|meta| meta.get("fields")).filter(|it| !it.is_null()) else {
        return Ok(None);
    };
    let fields = fields.as_array().ok_or_else(wrong)?.iter();
    let known = fields.map(|field| field.as_str().filter(|field| PROJECTABLE.contains(field)).ok_or_else(wrong));
    known.map(|field| field.map(super::wire::camel)).collect::<Result<_, _>>().map(Some)
}

/// Fields that were not requested are null.
fn project(mut ad_set: Value, fields: Option<&[String]>) -> Value {
    let Some(attributes) = ad_set.get_mut("attributes").and_then(Value::as_object_mut) else { return ad_set };
    for (name, value) in attributes.iter_mut() {
        if fields.is_some_and(|fields| !fields.contains(name)) {
            *value = Value::Null;
        }
    }
    ad_set
}

/// One ad set that the app may see.
fn ad_set_position(ask: &Ask<'_>, id: &str) -> Result<usize, Problem> {
    let found = ask.world.ad_sets.iter().position(|it| it.id == id && it.listed && visible(ask, it.advertiser));
    found.ok_or_else(|| Problem::not_found("ad-set-not-found", "The ad set does not exist."))
}

/// One ad set.
pub(super) fn ad_set_by_id(ask: &Ask<'_>, id: &str) -> Result<Value, Problem> {
    ad_set_position(ask, id).map(|at| ad_set(ask.world, at))
}

fn ad_set(world: &World, at: usize) -> Value {
    let it = &world.ad_sets[at];
    let objective = match it.kind {
        Kind::Video => "videoViews",
        Kind::App => "appPromotion",
        Kind::Web if at.is_multiple_of(2) => "revenue",
        _ => "conversions",
    };
    let (method, lookback) = it.attribution;
    let attributes = json!({
        "name": it.name,
        "advertiserId": world.advertisers[it.advertiser].id,
        "campaignId": world.campaigns[it.campaign].id,
        "datasetId": (60_000 + it.advertiser * 11).to_string(),
        "objective": objective,
        "destinationEnvironment": if it.kind == Kind::App { "app" } else { "web" },
        "mediaType": if it.kind == Kind::Video { "video" } else { "display" },
        "videoChannel": if it.kind == Kind::Video { json!("olv") } else { Value::Null },
        "schedule": schedule(it),
        "bidding": bidding(world, at),
        "budget": budget(world, at),
        "scheduledBudgets": scheduled_budgets(at),
        "targeting": targeting(at),
        "attributionConfiguration": {"attributionMethod": method, "lookbackWindow": lookback},
    });
    resource("ReadAdSet", &it.id, attributes)
}

fn schedule(it: &AdSet) -> Value {
    let (activation, delivery) = match it.stage {
        Stage::Live => ("on", "live"),
        Stage::Paused => ("off", "paused"),
        Stage::Archived => ("off", "archived"),
    };
    let end = it.last_day.map(|day| format!("{day}T23:59:59Z"));
    json!({"startDate": {"value": format!("{}T00:00:00Z", it.first_day)}, "endDate": {"value": end},
           "activationStatus": activation, "deliveryStatus": delivery})
}

fn bidding(world: &World, at: usize) -> Value {
    let mut dice = Dice::new(&[world.seed, seed_of("bid"), at as u64]);
    let controller = dice.pick(&["COS", "maxCPC", "CPM", "CPO", "dailyBudget"]);
    let amount = if controller == "dailyBudget" { Value::Null } else { json!(cents(dice.between(5, 2_500))) };
    json!({"bidAmount": amount, "costController": controller})
}

fn budget(world: &World, at: usize) -> Value {
    let mut dice = Dice::new(&[world.seed, seed_of("budget"), at as u64]);
    if at % 4 == 2 {
        return json!({"budgetStrategy": "uncapped", "budgetRenewal": "undefined", "budgetDeliverySmoothing": null,
                      "budgetDeliveryWeek": "undefined", "budgetAmount": null, "pacingBehavior": "undefined"});
    }
    json!({"budgetStrategy": "capped", "budgetRenewal": dice.pick(&["daily", "weekly", "monthly"]),
           "budgetDeliverySmoothing": "standard", "budgetDeliveryWeek": "mondayToSunday",
           "budgetAmount": cents(dice.between(1_000, 900_000)), "pacingBehavior": "targetAverageDailyBudget"})
}

fn scheduled_budgets(at: usize) -> Value {
    if at % 5 != 3 {
        return json!([]);
    }
    json!([{"id": (70_000 + at).to_string(), "startDate": "2026-12-01", "budgetStrategy": "capped",
            "budgetRenewal": "daily", "budgetDeliverySmoothing": "accelerated", "budgetDeliveryWeek": "undefined",
            "budgetAmount": 250.5, "pacingBehavior": "targetFullBudget"}])
}

fn targeting(at: usize) -> Value {
    // Geography and frequency capping are null in production at times (API.md 5.4).
    let rule = |operand: &str, values: &[&str]| json!({"value": {"operand": operand, "values": values}});
    let geography = match at % 3 {
        0 => {
            json!({"countries": rule("in", &["FR", "BE"]), "subdivisions": null, "zipCodes": null})
        }
        1 => json!({"countries": rule("in", &["DE"]), "subdivisions": rule("notIn", &["DE-BY"]),
                    "zipCodes": rule("in", &["01067", "10115"])}),
        _ => Value::Null,
    };
    let capping = if at.is_multiple_of(2) {
        json!({"value": {"frequency": "daily", "maximumImpressions": 8}})
    } else {
        Value::Null
    };
    json!({"deliveryLimitations": {"devices": ["desktop", "mobile"], "environments": ["web"],
                                   "operatingSystems": if at % 4 == 3 { json!(null) } else { json!(["ios", "unknown"]) }},
           "frequencyCapping": capping, "geoLocation": geography})
}

fn by_category(world: &World, at: usize, kind: &str, value: &str, bounds: (u64, u64)) -> Vec<Value> {
    let advertiser = world.ad_sets[at].advertiser as u64;
    let mut dice = Dice::new(&[world.seed, seed_of(value), at as u64]);
    let named = names::CATEGORIES.into_iter().filter(|(_, name)| *name != "Unknown");
    let each = |(number, name): (u64, &str)| {
        let mut attributes = Map::new();
        attributes.insert("categoryName".to_owned(), json!(name));
        attributes.insert(value.to_owned(), json!(cents(dice.between(bounds.0, bounds.1))));
        resource(kind, &(number + 100 * (advertiser + 1)).to_string(), Value::Object(attributes))
    };
    named.map(each).collect()
}

/// Bids of one ad set (API.md 5.5).
pub(super) fn category_bids(ask: &Ask<'_>, ad_set: &str) -> Result<Vec<Value>, Problem> {
    ad_set_position(ask, ad_set).map(|at| bids_at(ask.world, at))
}

fn bids_at(world: &World, at: usize) -> Vec<Value> {
    by_category(world, at, "AdSetCategoryBid", "bidAmount", (2, 180))
}

/// Multipliers of one ad set (API.md 5.5).
pub(super) fn display_multipliers(ask: &Ask<'_>, ad_set: &str) -> Result<Vec<Value>, Problem> {
    ad_set_position(ask, ad_set).map(|at| multipliers_at(ask.world, at))
}

fn multipliers_at(world: &World, at: usize) -> Vec<Value> {
    by_category(world, at, "AdSetDisplayMultiplier", "displayMultiplier", (50, 300))
}

/// One page of what an advertiser owns (API.md 5.6).
pub(super) fn owned(ask: &Ask<'_>, kind: EntityKind, advertiser: &str, page: Page) -> Result<Vec<Value>, Problem> {
    let known = consented(ask.world, ask.lost, &[advertiser])?;
    let at = known.first().copied().ok_or_else(Problem::no_consent)?;
    let all = owned_by(ask.world, kind, at);
    Ok(all.into_iter().skip(page.offset).take(page.limit.min(ask.options.page_limit)).collect())
}

/// Which part of a list is requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

/// In an order that follows no field.
fn owned_by(world: &World, kind: EntityKind, advertiser: usize) -> Vec<Value> {
    let mut all: Vec<Value> = match kind {
        EntityKind::Ads => {
            let mine = |ad_set: usize| world.ad_sets[ad_set].advertiser == advertiser;
            let listed = world.ads.iter().enumerate().filter(|(_, ad)| ad.listed && mine(ad.ad_set));
            listed.map(|(at, _)| ad(world, at)).collect()
        }
        EntityKind::Creatives => {
            let mine = world.creatives.iter().enumerate().filter(|(_, it)| it.advertiser == advertiser);
            mine.map(|(at, _)| creative(world, at)).collect()
        }
        _ => {
            let mine = world.coupons.iter().enumerate();
            let mine = mine.filter(|(_, coupon)| world.ad_sets[coupon.ad_set].advertiser == advertiser);
            mine.map(|(at, _)| coupon(world, at)).collect()
        }
    };
    all.sort_by_cached_key(|it| mix(&[world.seed, seed_of(it["id"].as_str().unwrap_or_default())]));
    all
}

fn ad(world: &World, at: usize) -> Value {
    let it = &world.ads[at];
    let ad_set = &world.ad_sets[it.ad_set];
    let inventory = if ad_set.kind == Kind::Video { "Video" } else { ["Display", "Native"][at % 2] };
    let attributes = json!({
        "id": it.id,
        "name": it.name,
        "description": if at.is_multiple_of(3) { Value::Null } else { json!("Made in the sandbox") },
        "adSetId": ad_set.id,
        "creativeId": world.creatives[it.creative].id,
        "startDate": format!("{}T00:00:00Z", ad_set.first_day),
        "endDate": ad_set.last_day.map(|day| format!("{day}T23:59:59Z")),
        "inventoryType": inventory,
    });
    resource("Ad", &it.id, attributes)
}

fn creative(world: &World, at: usize) -> Value {
    let it = &world.creatives[at];
    let formats = ["Dynamic", "Image", "HtmlTag", "Adaptive"];
    let specific = |kind: usize| if it.kind == kind && !it.draft { creative_details(kind) } else { Value::Null };
    let attributes = json!({
        "name": it.name,
        "description": if it.draft { Value::Null } else { json!("Spring \"look\"") },
        "author": "sandbox.author",
        "status": if it.draft { "Draft" } else { "Ready" },
        "format": if it.draft { Value::Null } else { json!(formats[it.kind]) },
        "advertiserId": world.advertisers[it.advertiser].id,
        "datasetId": if it.draft { Value::Null } else { json!((60_000 + it.advertiser * 11).to_string()) },
        "dynamicAttributes": specific(0),
        "imageAttributes": specific(1),
        "htmlTagAttributes": specific(2),
        "adaptiveAttributes": specific(3),
    });
    resource("Creative", &it.id, attributes)
}

fn creative_details(kind: usize) -> Value {
    let image = |shape: &str| json!({"shape": shape, "url": format!("https://images.example.com/{shape}.png")});
    match kind {
        0 => json!({"logos": [image("Horizontal")], "creativeBackgroundColor": "FFFFFF", "bodyTextColor": "222222",
                    "pricesColor": "C00000", "primaryFont": "Arial", "callsToAction": ["Shop now", "Découvrir"],
                    "productImageDisplay": "ShowFullImage"}),
        1 => {
            json!({"urls": ["https://images.example.com/banner.png"], "landingPageUrl": "https://shop.example.com/?a=1&b=2"})
        }
        2 => {
            json!({"tags": [{"size": {"width": 300, "height": 250}, "htmlTag": "<a href=\"https://x.example\">\n</a>"},
                             {"size": {"width": 728, "height": 90}, "htmlTag": "<b>&amp;</b>"}]})
        }
        _ => json!({"logos": [image("Square")], "layouts": ["Editorial", "Montage"], "headlineText": "Nouveau",
                    "descriptionText": null, "headlineFont": "Arial", "descriptionFont": "Arial",
                    "landingPageUrl": "https://shop.example.com", "imageDisplay": "ZoomOnImage",
                    "callsToAction": ["Buy"], "videos": [{"shape": "Vertical", "duration": 12.5,
                                                           "url": "https://images.example.com/clip.mp4"}],
                    "imageSets": [{"headlineText": "One", "images": [image("Square"), image("Vertical")]}],
                    "colors": {"backgroundColor": "FFFFFF", "ctaBackgroundColor": "000000", "ctaTextColor": "FFFFFF",
                               "logoAreaAndTitleColor": "EEEEEE", "text1Color": "111111", "text2Color": "333333"}}),
    }
}

fn coupon(world: &World, at: usize) -> Value {
    let it = &world.coupons[at];
    let ad_set = &world.ad_sets[it.ad_set];
    let attributes = json!({
        "id": it.id,
        "name": it.name,
        "description": null,
        "adSetId": ad_set.id,
        "advertiserId": world.advertisers[ad_set.advertiser].id,
        "author": "sandbox.author",
        "format": if at.is_multiple_of(2) { "FullFrame" } else { "LogoZone" },
        "images": [{"width": 300, "height": 250, "slideUrls": ["https://images.example.com/s1.png",
                                                               "https://images.example.com/s2.png"]}],
        "landingPageUrl": "https://shop.example.com/coupon",
        "rotationsNumber": 1 + at % 10,
        "showDuration": 1 + at % 5,
        "showEvery": 1 + at % 10,
        "startDate": "2026-02-01T00:00:00Z",
        "endDate": if at.is_multiple_of(2) { Value::Null } else { json!("2026-12-31T00:00:00Z") },
        "status": "Running",
    });
    resource("Coupon", &it.id, attributes)
}

/// Everything of a kind, whoever consented.
pub(super) fn all(world: &World, kind: EntityKind) -> Vec<Value> {
    let listed = || world.ad_sets.iter().enumerate().filter(|(_, it)| it.listed).map(|(at, _)| at);
    match kind {
        EntityKind::Advertisers => {
            let each =
                |it: &super::world::Advertiser| resource("advertiser", &it.id, json!({"advertiserName": it.name}));
            world.advertisers.iter().map(each).collect()
        }
        EntityKind::Campaigns => (0..world.campaigns.len()).map(|at| campaign(world, at)).collect(),
        EntityKind::AdSets => listed().map(|at| ad_set(world, at)).collect(),
        EntityKind::CategoryBids => listed().flat_map(|at| bids_at(world, at)).collect(),
        EntityKind::DisplayMultipliers => listed().flat_map(|at| multipliers_at(world, at)).collect(),
        EntityKind::Ads | EntityKind::Creatives | EntityKind::Coupons => {
            (0..world.advertisers.len()).flat_map(|at| owned_by(world, kind, at)).collect()
        }
    }
}

/// Stand-ins that are replaced in the finished text, because no JSON value can hold what replaces them.
const NOT_UTF8: &str = "sandbox-not-utf8";
const DIGITS: &str = "\"sandbox-digits\"";
const HALF_SURROGATE: &str = "sandbox-half-surrogate";

/// The body of an entity response, spoiled by the faults.
pub(super) fn body(mut document: Value, faults: &[FaultKind]) -> Vec<u8> {
    for fault in faults {
        spoil(&mut document["data"], fault);
    }
    let mut text = document.to_string();
    for fault in faults {
        let addition = match fault {
            FaultKind::DuplicateKey => "\"name\":\"duplicate\",".to_owned(),
            FaultKind::DeepNesting(depth) => format!("{},", &deep(*depth)[1..]),
            _ => continue,
        };
        text = text.replacen("\"attributes\":{", &format!("\"attributes\":{{{addition}"), 1);
    }
    let text = text.replace(DIGITS, &"9".repeat(400)).replace(HALF_SURROGATE, "Sale \\ud83d");
    match text.split_once(NOT_UTF8) {
        Some((before, after)) => [before.as_bytes(), b"caf\xE9 \xFF", after.as_bytes()].concat(),
        None => text.into_bytes(),
    }
}

fn spoil(data: &mut Value, fault: &FaultKind) {
    let mut many = data.as_array_mut();
    if let (FaultKind::DropOneRow, Some(list)) = (fault, many.as_mut()) {
        list.pop();
    }
    if let (FaultKind::OmitEntry, Some(list)) = (fault, many.as_mut().filter(|list| !list.is_empty())) {
        list.remove(list.len() / 2);
    }
    let list: Vec<&mut Value> = match many {
        Some(list) => list.iter_mut().collect(),
        None => vec![data],
    };
    for (position, entity) in list.into_iter().enumerate() {
        let Some(attributes) = entity.get_mut("attributes").and_then(Value::as_object_mut) else { continue };
        if *fault == FaultKind::ExtraField {
            attributes.insert("sandboxNew".to_owned(), json!({"nested": [1, null, "x"]}));
        } else if position == 0 {
            spoil_first(attributes, fault);
        }
    }
}

fn spoil_first(attributes: &mut Map<String, Value>, fault: &FaultKind) {
    let name = if attributes.contains_key("advertiserName") { "advertiserName" } else { "name" };
    match fault {
        FaultKind::MissingAttribute => {
            attributes.remove(name);
        }
        FaultKind::UnknownEnum => {
            for (parent, child) in [("schedule", "deliveryStatus"), ("", "goal"), ("", "inventoryType"), ("", "format")]
            {
                let within = if parent.is_empty() { Some(&mut *attributes) } else { object(attributes, parent) };
                if let Some(value) = within.and_then(|within| within.get_mut(child)) {
                    *value = json!("hibernating");
                }
            }
        }
        FaultKind::HugeString(bytes) => drop(attributes.insert(name.to_owned(), json!("x".repeat(*bytes)))),
        FaultKind::InvalidUtf8 => drop(attributes.insert(name.to_owned(), json!(NOT_UTF8))),
        FaultKind::HalfSurrogate => drop(attributes.insert(name.to_owned(), json!(HALF_SURROGATE))),
        FaultKind::HugeNumber => replace_number(attributes, &json!(DIGITS.trim_matches('"'))),
        FaultKind::BadNumber(text) => replace_number(attributes, &json!(text)),
        _ => {}
    }
}

fn object<'a>(attributes: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    attributes.get_mut(name).and_then(Value::as_object_mut)
}

/// Replaces all numbers among the attributes, at any depth.
fn replace_number(attributes: &mut Map<String, Value>, by: &Value) {
    for value in attributes.values_mut() {
        match value {
            Value::Number(_) => *value = by.clone(),
            Value::Object(inner) => replace_number(inner, by),
            _ => {}
        }
    }
}
