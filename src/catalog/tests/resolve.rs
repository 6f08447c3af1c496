//! What a configuration makes of a table.

use super::{names, table};
use crate::catalog::{
    Catalog, CatalogError, ColumnType, CustomReport, Extract, FieldKind, Grain, RereadAges, Table, TableOverrides,
    Warning,
};

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn with_dimensions(table: &str, dimensions: &[&str]) -> Result<(Table, Vec<Warning>), CatalogError> {
    let overrides = TableOverrides { dimensions: Some(strings(dimensions)), ..TableOverrides::default() };
    Catalog::get().resolve(table, &overrides)
}

fn with_metrics(table: &str, metrics: &[&str]) -> Result<(Table, Vec<Warning>), CatalogError> {
    let overrides = TableOverrides { metrics: Some(strings(metrics)), ..TableOverrides::default() };
    Catalog::get().resolve(table, &overrides)
}

fn custom(grain: Grain, dimensions: &[&str], metrics: &[&str]) -> Result<(Table, Vec<Warning>), CatalogError> {
    let (dimensions, metrics) = (strings(dimensions), strings(metrics));
    Catalog::get().custom_report(&CustomReport { name: "mine".to_owned(), grain, dimensions, metrics })
}

fn requested(table: &Table) -> (&[String], &[String]) {
    let Extract::Report { dimensions, metrics, .. } = &table.extract else { panic!("a report") };
    (dimensions, metrics)
}

#[test]
fn the_daily_table_requests_both_halves_of_each_pair_and_starts_with_its_key() {
    let table = table("ad_statistics_daily");
    let dimensions = ["Day", "AdvertiserId", "Advertiser", "CampaignId", "Campaign", "AdsetId", "Adset", "AdId", "Ad"];
    assert_eq!(requested(&table).0, dimensions);
    let columns = [
        "day",
        "advertiser_id",
        "advertiser_name",
        "campaign_id",
        "campaign_name",
        "ad_set_id",
        "ad_set_name",
        "ad_id",
        "ad_name",
        "currency",
        "displays",
    ];
    assert_eq!(names(&table)[..columns.len()], columns);
    assert_eq!(table.columns[0].source(), Some("Day"));
    assert_eq!(table.primary_key, ["day", "advertiser_id", "campaign_id", "ad_set_id", "ad_id"]);
}

#[test]
fn the_hourly_table_requests_the_hour_and_adds_the_day() {
    let table = table("ad_set_statistics_hourly");
    assert_eq!(requested(&table).0[0], "Hour");
    assert!(!requested(&table).0.contains(&"Day".to_owned()));
    assert_eq!(names(&table)[..2], ["day", "hour"]);
    assert_eq!(table.columns[0].source(), None);
    assert_eq!((table.columns[1].source(), &table.columns[1].column_type), (Some("Hour"), &ColumnType::Timestamp));
    assert_eq!(table.primary_key, ["hour", "advertiser_id", "campaign_id", "ad_set_id"]);
}

#[test]
fn placements_add_the_day_and_what_was_asked_for() {
    let table = table("placements_daily");
    assert_eq!(table.column("day").expect("a column").source(), None);
    assert_eq!(table.column("disclosed").expect("a column").source(), None);
    assert!(!requested(&table).0.contains(&"Day".to_owned()));
    let ages = table.reread_ages.as_ref().map(ToString::to_string);
    assert_eq!(ages.as_deref(), Some("1 to 5, 10, 20, 31"));
    let key = ["day", "advertiser_id", "campaign_id", "ad_set_id", "environment", "placement", "disclosed"];
    assert_eq!(table.primary_key, key);
}

#[test]
fn categories_are_told_apart_by_id_and_name() {
    assert_eq!(
        table("placement_categories_daily").primary_key,
        ["day", "advertiser_id", "category_id", "category_name"]
    );
    let (table, _) = custom(Grain::Day, &["CategoryId"], &["Clicks"]).expect("a custom report");
    assert_eq!(table.primary_key, ["day", "advertiser_id", "category_id", "category_name"]);
}

#[test]
fn transactions_request_nothing_and_have_fixed_columns() {
    let table = table("transactions");
    assert_eq!(requested(&table), (&[][..], &[][..]));
    let expected = [
        "day",
        "advertiser_id",
        "advertiser_name",
        "transaction_id",
        "transaction_at",
        "event_type",
        "event_at",
        "attributed_transaction",
        "cross_device_transaction",
        "ad_set_name",
        "currency",
        "amount",
        "_pulled_at",
    ];
    assert_eq!(names(&table), expected);
    for (name, key) in [("transactions", "metrics"), ("campaigns", "metrics")] {
        let error = with_metrics(name, &["Clicks"]).expect_err("fixed columns");
        assert_eq!(error, CatalogError::FixedColumns { table: name.to_owned(), key });
    }
}

#[test]
fn the_configuration_wins_over_the_defaults() {
    let overrides = TableOverrides { enabled: Some(false), lookback_days: Some(7), ..TableOverrides::default() };
    let (table, _) = Catalog::get().resolve("placements_daily", &overrides).expect("a table");
    assert_eq!((table.enabled, table.reread_ages), (false, Some(RereadAges::up_to(7))));
}

#[test]
fn metrics_are_found_whatever_their_case_sent_as_criteo_spells_them_and_only_once() {
    let (table, warnings) = with_metrics("ad_statistics_daily", &["clicks", "Clicks", "SALESPC30D"]).expect("a table");
    assert_eq!(requested(&table).1, ["Clicks", "SalesPc30d"]);
    assert_eq!(warnings, []);
    assert_eq!(table.primary_key.len(), 5, "metrics do not change what identifies a row");
}

#[test]
fn fewer_dimensions_change_the_key_and_say_so() {
    let (table, warnings) = with_dimensions("ad_statistics_daily", &["Adset", "Day", "Campaign"]).expect("a table");
    assert_eq!(
        requested(&table).0,
        ["Day", "AdvertiserId", "Advertiser", "AdsetId", "Adset", "CampaignId", "Campaign"]
    );
    let key = strings(&["day", "advertiser_id", "campaign_id", "ad_set_id"]);
    assert_eq!(table.primary_key, key, "in the order of the contract");
    assert_eq!(warnings, [Warning::PrimaryKeyChanged { table: "ad_statistics_daily".to_owned(), primary_key: key }]);
}

#[test]
fn more_dimensions_lengthen_the_key_and_keep_added_columns() {
    let dimensions = ["CampaignId", "AdsetId", "AdChannel", "Environment", "Placement"];
    let (table, _) = with_dimensions("placements_daily", &dimensions).expect("a table");
    let key =
        ["day", "advertiser_id", "campaign_id", "ad_set_id", "environment", "placement", "ad_channel", "disclosed"];
    assert_eq!(table.primary_key, key);
}

#[test]
fn hours_need_an_hourly_report() {
    let error = with_dimensions("ad_statistics_daily", &["Hour"]).expect_err("one row per day");
    assert!(error.to_string().contains("grain = \"hour\""), "{error}");
}

#[test]
fn a_custom_report_has_time_advertiser_and_both_halves_of_pairs() {
    let (table, warnings) =
        custom(Grain::Hour, &["Campaign", "device"], &["Clicks", "AdvertiserCost"]).expect("a report");
    assert_eq!(requested(&table).0, ["Hour", "AdvertiserId", "Advertiser", "CampaignId", "Campaign", "Device"]);
    let expected = [
        "day",
        "hour",
        "advertiser_id",
        "advertiser_name",
        "campaign_id",
        "campaign_name",
        "device",
        "currency",
        "clicks",
        "advertiser_cost",
        "_pulled_at",
    ];
    assert_eq!(names(&table), expected);
    assert_eq!(table.primary_key, ["hour", "advertiser_id", "campaign_id", "device"]);
    assert_eq!((warnings, table.partition_by.as_str()), (vec![], "day"));
}

#[test]
fn calendar_dimensions_do_not_identify_rows_of_a_day() {
    let (table, _) = custom(Grain::Day, &["Week", "Day", "Currency"], &["Clicks"]).expect("a report");
    assert_eq!(table.primary_key, ["day", "advertiser_id"]);
    assert_eq!(names(&table)[..5], ["day", "advertiser_id", "advertiser_name", "week", "currency"]);
}

#[test]
fn an_unknown_field_is_sent_as_written_typed_by_its_name_and_warned_about() {
    let metrics = ["ClickTroughRate", "SalesPc60d", "RoasPc60d", "Cosiness"];
    let (table, warnings) = custom(Grain::Day, &["Country"], &metrics).expect("a report");
    assert_eq!(requested(&table).1, metrics);
    let of = |name: &str| table.column(name).expect("a column").column_type.clone();
    assert_eq!(of("country"), ColumnType::String);
    assert_eq!(of("sales_pc60d"), ColumnType::Numeric);
    assert_eq!(of("roas_pc60d"), ColumnType::Float);
    assert_eq!(table.primary_key, ["day", "advertiser_id", "country"]);
    assert_eq!(warnings.len(), 5);
    assert!(warnings[1].to_string().contains("did you mean `ClickThroughRate`?"), "{}", warnings[1]);
    assert_eq!(warnings[1].code(), crate::notice::Code::UnknownField);
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    let table = || "mine".to_owned();
    assert_eq!(
        custom(Grain::Day, &["Clicks"], &["Displays"]).expect_err("a metric among dimensions"),
        CatalogError::WrongKind { table: table(), field: "Clicks".to_owned(), kind: FieldKind::Metric }
    );
    assert_eq!(custom(Grain::Day, &[], &[]).expect_err("no metrics"), CatalogError::NoMetrics { table: table() });
    assert_eq!(
        custom(Grain::Day, &["Ad Set"], &["Clicks"]).expect_err("not a name"),
        CatalogError::InvalidField { table: table(), field: "Ad Set".to_owned() }
    );
    assert_eq!(
        custom(Grain::Day, &["Dt"], &["Clicks"]).expect_err("the folder key"),
        CatalogError::ReservedColumn { table: table(), field: "Dt".to_owned(), column: "dt".to_owned() }
    );
    assert_eq!(
        custom(Grain::Day, &["Campaign", "CampaignName"], &["Clicks"]).expect_err("one column twice"),
        CatalogError::DuplicateColumn { table: table(), column: "campaign_name".to_owned() }
    );
}

#[test]
fn a_report_is_named_like_a_table_and_not_like_a_built_in_one() {
    let named = |name: &str| {
        let report = CustomReport {
            name: name.to_owned(),
            grain: Grain::Day,
            dimensions: Vec::new(),
            metrics: strings(&["Clicks"]),
        };
        Catalog::get().custom_report(&report).map(|(table, _)| table.name)
    };
    for name in ["", "_x", "1x", "A", "a-b", "../a", "a b", &"a".repeat(64)] {
        assert_eq!(named(name), Err(CatalogError::InvalidReportName { name: name.to_owned() }));
    }
    assert_eq!(named("campaigns"), Err(CatalogError::ReservedReportName { name: "campaigns".to_owned() }));
    assert_eq!(named("campaign_hourly_2"), Ok("campaign_hourly_2".to_owned()));
}

#[test]
fn an_unknown_table_gets_a_suggestion() {
    let error = Catalog::get().resolve("ad_statistic_daily", &TableOverrides::default()).expect_err("unknown");
    assert_eq!(error.to_string(), "unknown table `ad_statistic_daily` (did you mean `ad_statistics_daily`?)");
    let error = Catalog::get().resolve("zzz", &TableOverrides::default()).expect_err("unknown");
    assert_eq!(error.to_string(), "unknown table `zzz`");
}
