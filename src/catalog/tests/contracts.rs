//! The connector and the schemas are complete, agree with each other, and keep the promises of the table contracts.

use std::collections::BTreeSet;
use std::error::Error as _;

use super::{names, table, tables};
use crate::catalog::contracts::{CommonColumns, Contract};
use crate::catalog::fields::FieldCatalogue;
use crate::catalog::{
    Catalog, CatalogError, Column, ColumnType, Confidence, Connector, EndpointId, Extract, Field, FieldKind, Job, Mode,
    Origin, Pagination, QuotaClass, Report,
};

const ENDPOINTS: [EndpointId; 12] = [
    EndpointId::StatisticsReport,
    EndpointId::PlacementsReport,
    EndpointId::TransactionsReport,
    EndpointId::AdvertisersMe,
    EndpointId::ApplicationMe,
    EndpointId::CampaignsSearch,
    EndpointId::AdSetsSearch,
    EndpointId::AdSetCategoryBids,
    EndpointId::AdSetDisplayMultipliers,
    EndpointId::Ads,
    EndpointId::Creatives,
    EndpointId::Coupons,
];

fn all_columns(columns: &[Column]) -> Vec<&Column> {
    let mut all = Vec::new();
    for column in columns {
        all.push(column);
        if let ColumnType::Record(fields) = &column.column_type {
            all.extend(all_columns(fields));
        }
    }
    all
}

#[test]
fn every_compiled_in_file_parses() {
    Connector::parse(include_str!("../../../connectors/criteo/connector.toml")).expect("the connector parses");
    Catalog::parse().expect("the schemas parse");
}

#[test]
fn every_endpoint_is_declared_once() {
    let connector = Connector::get();
    for id in ENDPOINTS {
        assert_eq!(connector.endpoints.iter().filter(|endpoint| endpoint.id == id).count(), 1, "{id:?}");
    }
    assert_eq!(connector.endpoints.len(), ENDPOINTS.len());
}

#[test]
fn nothing_needs_more_than_the_three_read_scopes() {
    let connector = Connector::get();
    let scopes: BTreeSet<_> = connector.scopes.iter().map(|scope| scope.name.as_str()).collect();
    assert_eq!(
        scopes.into_iter().collect::<Vec<_>>(),
        ["MarketingSolutions_Analytics_Read", "MarketingSolutions_Campaign_Read", "MarketingSolutions_Creative_Read"]
    );
    for endpoint in &connector.endpoints {
        let scopeless = matches!(endpoint.id, EndpointId::AdvertisersMe | EndpointId::ApplicationMe);
        match &endpoint.scope {
            Some(scope) => assert!(connector.scopes.iter().any(|known| known.name == *scope), "{scope}"),
            None => assert!(scopeless, "{:?}", endpoint.id),
        }
    }
    for job in [Job::Analytics, Job::Campaigns, Job::Creatives] {
        assert_eq!(connector.scopes.iter().filter(|scope| scope.job == job).count(), 1);
    }
}

#[test]
fn a_table_is_read_with_the_scope_of_its_job_or_none() {
    for table in tables() {
        if let Some(scope) = &Connector::get().endpoint(table.endpoint).scope {
            assert_eq!(*scope, Connector::get().scope(table.job).name, "{}", table.name);
        }
    }
}

#[test]
fn caps_history_quota_and_paging_are_what_criteo_documents() {
    let connector = Connector::get();
    let limits = |id| (connector.endpoint(id).row_cap, connector.endpoint(id).history_months);
    assert_eq!(limits(EndpointId::StatisticsReport), (Some(100_000), Some(24)));
    assert_eq!(limits(EndpointId::PlacementsReport), (Some(20_000), Some(3)));
    assert_eq!(limits(EndpointId::TransactionsReport), (None, Some(24)));
    for endpoint in &connector.endpoints {
        let report = endpoint.report().is_some();
        assert_eq!(endpoint.quota == QuotaClass::Report, report, "{:?}", endpoint.id);
        let paged = matches!(endpoint.id, EndpointId::Ads | EndpointId::Creatives | EndpointId::Coupons);
        let expected = if paged { Pagination::Offset { limit: 50 } } else { Pagination::None };
        assert_eq!(endpoint.pagination, expected, "{:?}", endpoint.id);
    }
    assert_eq!(connector.api_version_sunset.to_string(), "2027-07-01");
}

#[test]
fn the_built_in_tables_are_those_of_the_contract() {
    let state: Vec<_> = tables().iter().map(|table| (table.name.clone(), table.job, table.enabled)).collect();
    let expected = [
        ("ad_statistics_daily", Job::Analytics, true),
        ("ad_set_statistics_hourly", Job::Analytics, false),
        ("device_statistics_daily", Job::Analytics, false),
        ("placements_daily", Job::Analytics, true),
        ("placement_categories_daily", Job::Analytics, true),
        ("transactions", Job::Analytics, true),
        ("advertisers", Job::Campaigns, true),
        ("campaigns", Job::Campaigns, true),
        ("ad_sets", Job::Campaigns, true),
        ("ad_set_category_bids", Job::Campaigns, false),
        ("ad_set_display_multipliers", Job::Campaigns, false),
        ("creatives", Job::Creatives, true),
        ("ads", Job::Creatives, true),
        ("coupons", Job::Creatives, true),
    ];
    assert_eq!(state, expected.map(|(name, job, enabled)| (name.to_owned(), job, enabled)));
}

#[test]
fn tables_start_with_their_partition_date_and_end_with_pulled_at() {
    for table in tables() {
        let expected = if table.is_report() { "day" } else { "snapshot_date" };
        assert_eq!(table.partition_by, expected, "{}", table.name);
        let first = table.columns.first().expect("a column");
        assert_eq!(
            (first.name.as_str(), &first.column_type, first.mode),
            (expected, &ColumnType::Date, Mode::Required)
        );
        let last = table.columns.last().expect("a column");
        assert_eq!((last.name.as_str(), &last.column_type), ("_pulled_at", &ColumnType::Timestamp));
        assert_eq!(names(&table).contains(&"_extra"), !table.is_report(), "{}", table.name);
        assert_eq!(names(&table).contains(&"currency"), table.is_report(), "{}", table.name);
    }
}

#[test]
fn primary_keys_are_columns() {
    for table in tables() {
        for key in &table.primary_key {
            assert!(table.column(key).is_some(), "{key} of {}", table.name);
        }
    }
}

#[test]
fn column_names_are_unique_snake_case_and_never_the_partition_key() {
    for table in tables() {
        let names = names(&table);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{}", table.name);
        for column in all_columns(&table.columns) {
            let snake =
                column.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(snake && column.name != "dt", "{} of {}", column.name, table.name);
        }
    }
}

#[test]
fn every_column_has_an_origin_that_its_kind_of_table_can_fill() {
    for table in tables() {
        for column in all_columns(&table.columns) {
            assert!(!column.description.is_empty(), "{} of {}", column.name, table.name);
            let of_report = match &column.origin {
                Origin::Field(_) | Origin::Hour(_) | Origin::Currency(_) | Origin::Day(_) | Origin::Disclosed => true,
                Origin::Pointer(_) | Origin::SnapshotDate | Origin::Parent(_) | Origin::Extra => false,
                Origin::PulledAt => table.is_report(),
            };
            assert_eq!(of_report, table.is_report(), "{} of {}", column.name, table.name);
            if let Some(source) = column.source() {
                assert_eq!(source.starts_with('/'), !table.is_report(), "{source} of {}", table.name);
            }
        }
    }
}

#[test]
fn own_ids_come_from_the_resource_and_not_from_its_attributes() {
    for (name, id) in [("campaigns", "campaign_id"), ("ad_sets", "ad_set_id"), ("creatives", "creative_id")] {
        assert_eq!(table(name).column(id).expect("a column").source(), Some("/id"));
    }
}

#[test]
fn only_what_we_fill_and_own_ids_are_required() {
    let allowed = ["day", "hour", "snapshot_date", "_pulled_at", "disclosed"];
    for table in tables() {
        for column in all_columns(&table.columns).into_iter().filter(|column| column.mode == Mode::Required) {
            let key_of_entity = !table.is_report() && table.primary_key.contains(&column.name);
            assert!(allowed.contains(&column.name.as_str()) || key_of_entity, "{} of {}", column.name, table.name);
        }
    }
}

#[test]
fn the_daily_table_has_thirty_metrics_that_all_add_up() {
    let table = table("ad_statistics_daily");
    let Extract::Report { metrics, .. } = &table.extract else { panic!("a report") };
    assert_eq!(metrics.len(), 30);
    for name in metrics {
        assert!(Catalog::get().field(Report::Statistics, name).expect("a known metric").additive, "{name}");
    }
}

#[test]
fn catalogues_are_consistent() {
    for report in [Report::Statistics, Report::Placements, Report::Transactions] {
        let fields = Catalog::get().fields(report);
        let columns: BTreeSet<_> = fields.iter().map(|field| &field.column).collect();
        let names: BTreeSet<_> = fields.iter().map(|field| field.name.to_lowercase()).collect();
        assert_eq!((columns.len(), names.len()), (fields.len(), fields.len()), "{report:?}: unique names and columns");
        for field in fields {
            if let Some(partner) = &field.paired_with {
                let partner = Catalog::get().field(report, partner).expect("the partner exists");
                assert_eq!(partner.paired_with.as_deref(), Some(field.name.as_str()), "pairs are mutual");
            }
            assert_ne!(field.confidence, Confidence::Guessed);
            assert!(!field.additive || field.kind == FieldKind::Metric, "{}", field.name);
        }
    }
}

#[test]
fn columns_are_the_snake_case_of_the_name_and_ids_join_without_renaming() {
    let column = |name| Catalog::get().field(Report::Statistics, name).expect("a known field").column.as_str();
    for (name, expected) in [
        ("AdvertiserCost", "advertiser_cost"),
        ("SalesAllPc30dPv24h", "sales_all_pc30d_pv24h"),
        ("SalesPc30Pv24", "sales_pc30_pv24"),
        ("RoasPc30d", "roas_pc30d"),
        ("VisitsPV1D", "visits_pv1d"),
        ("ECpm", "e_cpm"),
        ("AdsetId", "ad_set_id"),
        ("Adset", "ad_set_name"),
        ("Advertiser", "advertiser_name"),
        ("Campaign", "campaign_name"),
        ("Ad", "ad_name"),
        ("Category", "category_name"),
        ("Coupon", "coupon_name"),
        ("MarketingObjective", "marketing_objective_name"),
        ("Channel", "channel_name"),
    ] {
        assert_eq!(column(name), expected);
    }
    let placements = |name| Catalog::get().field(Report::Placements, name).expect("a known field").column.as_str();
    assert_eq!((placements("AdsetId"), placements("AdsetName")), ("ad_set_id", "ad_set_name"));
}

#[test]
fn sales_and_money_are_decimal_counts_are_integers_ratios_are_floats() {
    for report in [Report::Statistics, Report::Placements] {
        for field in Catalog::get().fields(report).iter().filter(|field| field.kind == FieldKind::Metric) {
            let name = field.name.as_str();
            let sales = name.contains("Sales") && !name.contains("Revenue");
            let money = ["Cost", "Revenue", "AverageCart"].iter().any(|part| name.starts_with(part))
                && !name.starts_with("CostOf");
            if sales || money {
                assert_eq!(field.column_type, ColumnType::Numeric, "{name}");
            }
        }
    }
    let of = |name| Catalog::get().field(Report::Statistics, name).expect("a known field").column_type.clone();
    assert_eq!(of("Clicks"), ColumnType::Integer);
    assert_eq!(of("AppInstalls"), ColumnType::Integer);
    assert_eq!(of("OmnichannelSalesPc30d"), ColumnType::Numeric);
    assert_eq!(of("RoasPc30d"), ColumnType::Float);
    assert_eq!(of("ResultType"), ColumnType::String);
}

#[test]
fn the_rule_for_unknown_metrics_agrees_with_the_known_ones_but_for_two() {
    let mut exceptions = Vec::new();
    for report in [Report::Statistics, Report::Placements] {
        for field in Catalog::get().fields(report) {
            let ratio = field.column_type == ColumnType::Float;
            let guessed = Field::guessed(&field.name, FieldKind::Metric).column_type == ColumnType::Float;
            if field.kind == FieldKind::Metric && ratio != guessed {
                exceptions.push(field.name.as_str());
            }
        }
    }
    assert_eq!(exceptions, ["OverallCompetitionWin", "Frequency"]);
}

/// The error and its source, as a user sees them.
fn shown(error: &CatalogError) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let connector = include_str!("../../../connectors/criteo/connector.toml").replacen("token_path", "token_pth", 1);
    let error = shown(&Connector::parse(&connector).expect_err("an unknown key"));
    assert!(error.contains("connectors/criteo/connector.toml") && error.contains("token_pth"), "{error}");

    let declaration =
        |name: &str| Connector::get().tables.iter().find(|table| table.name == name).expect("a declared table").clone();
    for (name, text, key) in [
        ("campaigns", include_str!("../../../schemas/tables/campaigns.toml"), "not_stored"),
        ("ad_statistics_daily", include_str!("../../../schemas/tables/ad_statistics_daily.toml"), "metrics"),
        ("transactions", include_str!("../../../schemas/tables/transactions.toml"), "fields"),
    ] {
        let text = text.replacen(&format!("\n{key} ="), &format!("\nx{key} ="), 1);
        let error = shown(&Contract::parse(name, &text, &declaration(name)).expect_err("an unknown key"));
        assert!(error.contains(name) && error.contains(&format!("`x{key}`")), "{error}");
    }

    let error = FieldCatalogue::parse("fields", "fields = [{ name = \"A\", kind = \"metric\", colour = \"red\" }]");
    assert!(shown(&error.expect_err("an unknown key")).contains("`colour`"));
    let error = CommonColumns::parse("common", "[month]\ntype = \"DATE\"\n");
    assert!(shown(&error.expect_err("an unknown key")).contains("`month`"));
}

#[test]
fn a_word_outside_the_vocabulary_is_refused() {
    let text = include_str!("../../../schemas/tables/campaigns.toml").replacen("\"STRING\"", "\"TEXT\"", 1);
    let declaration = Connector::get().tables.iter().find(|table| table.name == "campaigns").expect("declared");
    let error = shown(&Contract::parse("campaigns", &text, declaration).expect_err("an unknown type"));
    assert!(error.contains("TEXT") && error.contains("STRING"), "{error}");
}

#[test]
fn records_have_fields_and_nothing_else_has() {
    let head = "description = \"d\"\nprimary_key = []\npartition_by = \"snapshot_date\"\n\n[[columns]]\nname = \"c\"\n";
    let declaration = Connector::get().tables.iter().find(|table| table.name == "campaigns").expect("declared");
    for (rest, detail) in [
        ("type = \"RECORD\"\ndescription = \"d\"\n", "column `c` is a record without fields"),
        (
            "type = \"STRING\"\ndescription = \"d\"\n[[columns.fields]]\nname = \"f\"\ntype = \"STRING\"\nsource = \"/f\"\ndescription = \"d\"\n",
            "column `c` has fields but is not a record",
        ),
        ("type = \"STRING\"\ndescription = \"d\"\n", "column `c` has neither `source` nor `parent`"),
        (
            "type = \"STRING\"\nsource = \"/c\"\nparent = \"advertiser\"\ndescription = \"d\"\n",
            "column `c` has both `source` and `parent`",
        ),
        (
            "type = \"STRING\"\nsource = \"/c\"\npersonal_data = true\ndescription = \"d\"\n",
            "column `c` is personal data and its description does not say so",
        ),
    ] {
        let error = Contract::parse("campaigns", &format!("{head}{rest}"), declaration).expect_err("inconsistent");
        let expected = CatalogError::Inconsistent { file: "campaigns".to_owned(), detail: detail.to_owned() };
        assert_eq!(error, expected);
    }
}
