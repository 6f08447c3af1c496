//! What should be in the files: the sandbox's facts, put into the contract that `schema --format json` prints.
//!
//! Which API field fills a column is the contract's `source`; how its text becomes a value is in `cells`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::NaiveDate;
use chrono_tz::Tz;
use criteo_source::sandbox::{EntityKind, Sandbox, Truth};
use serde_json::{Value, json};

use super::cells::{Row, from_wire};
use super::program::Program;

/// The dimensions of the statistics report (Criteo OpenAPI 2026-07); its other fields are metrics.
const STATISTICS_DIMENSIONS: [&str; 26] = [
    "AdsetId",
    "Adset",
    "AdvertiserId",
    "Advertiser",
    "CategoryId",
    "Category",
    "Hour",
    "Day",
    "Week",
    "Month",
    "Year",
    "Os",
    "Device",
    "CampaignId",
    "Campaign",
    "AdId",
    "Ad",
    "CouponId",
    "Coupon",
    "MarketingObjectiveId",
    "MarketingObjective",
    "ChannelId",
    "Channel",
    "Goal",
    "AdChannel",
    "SocialPlatform",
];
/// The dimensions of the placements report (Criteo OpenAPI 2026-07).
const PLACEMENTS_DIMENSIONS: [&str; 12] = [
    "AdsetId",
    "AdvertiserId",
    "Placement",
    "Environment",
    "AdsetName",
    "AdvertiserName",
    "CampaignId",
    "CampaignName",
    "AdChannel",
    "SocialPlatform",
    "CategoryId",
    "CategoryName",
];

/// All contracts, as the program prints them without a configuration.
static CONTRACTS: LazyLock<BTreeMap<String, Contract>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a scratch folder");
    contracts(&Program::at(folder.path()).words("schema --format json"))
});

/// The contract of one table.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    pub(crate) table: String,
    pub(crate) primary_key: Vec<String>,
    pub(crate) columns: Vec<Value>,
}

/// The contracts that a `schema` command prints.
pub(crate) fn contracts(program: &Program) -> BTreeMap<String, Contract> {
    let document = program.run().document();
    let tables = document.as_array().expect("a list of tables").iter();
    let each = tables.map(|table| {
        let strings = table["primary_key"].as_array().expect("a list").iter();
        let contract = Contract {
            table: table["table"].as_str().expect("a name").to_owned(),
            primary_key: strings.map(|name| name.as_str().expect("a name").to_owned()).collect(),
            columns: table["columns"].as_array().expect("a list").clone(),
        };
        (contract.table.clone(), contract)
    });
    each.collect()
}

/// The contract of a built-in table.
pub(crate) fn contract(table: &str) -> &'static Contract {
    &CONTRACTS[table]
}

/// The names of all built-in tables.
pub(crate) fn tables() -> Vec<String> {
    CONTRACTS.keys().cloned().collect()
}

/// What a report was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) advertisers: &'a [String],
    pub(crate) date: NaiveDate,
    pub(crate) currency: &'a str,
    pub(crate) zone: Tz,
}

impl<'a> Asked<'a> {
    /// In dollars and UTC, the defaults.
    pub(crate) fn of(advertisers: &'a [String], date: NaiveDate) -> Self {
        Self { advertisers, date, currency: "USD", zone: Tz::UTC }
    }
}

impl Contract {
    fn text<'c>(column: &'c Value, member: &str) -> &'c str {
        column[member].as_str().unwrap_or_default()
    }

    /// The API fields of the columns, split by `dimensions`.
    fn fields(&self, dimensions: &[&str]) -> (Vec<&str>, Vec<&str>) {
        let sources = self.columns.iter().map(|column| Self::text(column, "source"));
        let fields = sources.filter(|source| !source.is_empty() && !source.eq_ignore_ascii_case("currency"));
        fields.partition(|field| dimensions.contains(field))
    }

    /// The rows of a report partition, in the order of the primary key.
    pub(crate) fn rows(&self, sandbox: &Sandbox, asked: Asked<'_>) -> Vec<Row> {
        let ids: Vec<&str> = asked.advertisers.iter().map(String::as_str).collect();
        let is_placements = self.table.starts_with("placement");
        let (dimensions, metrics) =
            self.fields(if is_placements { &PLACEMENTS_DIMENSIONS } else { &STATISTICS_DIMENSIONS });
        let truth = Truth {
            advertiser_ids: &ids,
            from: asked.date,
            to: asked.date,
            dimensions: &dimensions,
            metrics: &metrics,
            currency: asked.currency,
            timezone: asked.zone.name(),
        };
        let mut rows = if self.table == "transactions" {
            self.convert(&sandbox.truth_transactions(truth), asked, None)
        } else if is_placements {
            let tells_apart = self.columns.iter().any(|column| column["name"] == "disclosed");
            let disclosures = if tells_apart { &[true, false][..] } else { &[true] };
            let rows = disclosures.iter().map(|&disclosed| (sandbox.truth_placements(truth, disclosed), disclosed));
            rows.flat_map(|(rows, disclosed)| self.convert(&rows, asked, Some(disclosed))).collect()
        } else {
            self.convert(&sandbox.truth_statistics(truth), asked, None)
        };
        self.sort(&mut rows);
        rows
    }

    /// Sorts rows by the primary key, then by all columns.
    pub(crate) fn sort(&self, rows: &mut [Row]) {
        let all: Vec<&str> = self.columns.iter().map(|column| Self::text(column, "name")).collect();
        let keys: Vec<&str> = self.primary_key.iter().map(String::as_str).chain(all).collect();
        // Nulls come first.
        let sortable = |value: &Value| match value {
            Value::Null => (false, String::new()),
            Value::String(text) => (true, text.clone()),
            other => (true, other.to_string()),
        };
        rows.sort_by_cached_key(|row| keys.iter().map(|key| row.get(*key).map(sortable)).collect::<Vec<_>>());
    }

    fn convert(&self, truth: &[BTreeMap<String, String>], asked: Asked<'_>, disclosed: Option<bool>) -> Vec<Row> {
        let find = |row: &BTreeMap<String, String>, source: &str| {
            row.iter().find(|(name, _)| name.eq_ignore_ascii_case(source)).map(|(_, text)| text.clone())
        };
        let value = |row: &BTreeMap<String, String>, column: &Value| {
            let (name, kind) = (Self::text(column, "name"), Self::text(column, "type"));
            match find(row, Self::text(column, "source")) {
                Some(text) if text.is_empty() => Value::Null,
                Some(text) => from_wire(kind, &text, asked.zone),
                None if name == "day" => json!(asked.date.to_string()),
                None if name == "disclosed" => json!(disclosed),
                None if name == "currency" => json!(asked.currency),
                None => panic!("the sandbox has nothing for `{name}` of `{}`", self.table),
            }
        };
        let columns = || self.columns.iter().filter(|column| column["name"] != "_pulled_at");
        let row = |row: &BTreeMap<String, String>| {
            columns().map(|column| (Self::text(column, "name").to_owned(), value(row, column))).collect()
        };
        truth.iter().map(row).collect()
    }

    /// The rows of a snapshot, in the order of the primary key; `context` fills columns that no resource has.
    pub(crate) fn snapshot(
        &self,
        resources: &[Value],
        date: NaiveDate,
        context: impl Fn(&Value, &str) -> Value,
    ) -> Vec<Row> {
        let value = |resource: &Value, column: &Value| match column["source"].as_str() {
            Some(pointer) => from_json(column, resource.pointer(pointer)),
            None if column["name"] == "snapshot_date" => json!(date.to_string()),
            None if column["name"] == "_extra" => Value::Null,
            None => context(resource, Self::text(column, "name")),
        };
        let columns = || self.columns.iter().filter(|column| column["name"] != "_pulled_at");
        let row = |resource: &Value| {
            columns().map(|column| (Self::text(column, "name").to_owned(), value(resource, column))).collect()
        };
        let mut rows: Vec<Row> = resources.iter().map(row).collect();
        self.sort(&mut rows);
        rows
    }
}

/// What a JSON value becomes in a column.
fn from_json(column: &Value, value: Option<&Value>) -> Value {
    let value = value.filter(|value| !value.is_null());
    if column["mode"] == "REPEATED" {
        let elements = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        return elements.iter().map(|element| scalar(column, element)).collect();
    }
    value.map_or(Value::Null, |value| scalar(column, value))
}

fn scalar(column: &Value, value: &Value) -> Value {
    let kind = column["type"].as_str().unwrap_or_default();
    if kind == "RECORD" {
        let fields = column["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        let member = |field: &Value| {
            let pointer = field["source"].as_str().unwrap_or_default();
            (field["name"].as_str().unwrap_or_default().to_owned(), from_json(field, value.pointer(pointer)))
        };
        return fields.iter().map(member).collect();
    }
    match value {
        Value::Null => Value::Null,
        Value::Bool(flag) => json!(flag),
        Value::String(text) => from_wire(kind, text, Tz::UTC),
        other => from_wire(kind, &other.to_string(), Tz::UTC),
    }
}

/// The entities that a table holds.
pub(crate) fn entity_kind(table: &str) -> EntityKind {
    match table {
        "advertisers" => EntityKind::Advertisers,
        "campaigns" => EntityKind::Campaigns,
        "ad_sets" => EntityKind::AdSets,
        "ad_set_category_bids" => EntityKind::CategoryBids,
        "ad_set_display_multipliers" => EntityKind::DisplayMultipliers,
        "ads" => EntityKind::Ads,
        "creatives" => EntityKind::Creatives,
        "coupons" => EntityKind::Coupons,
        other => panic!("`{other}` is no entity table"),
    }
}
