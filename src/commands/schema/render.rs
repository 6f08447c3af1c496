//! The choice of format, and the formats that are one statement or schema per table.

use std::fmt::Write as _;

use super::{dbt, json, text};
use crate::catalog::Table;
use crate::catalog::sql::{bigquery, duckdb, snowflake};
use crate::cli::Format;
use crate::table::schema::arrow_schema;

/// What was requested: the table that was named, or all of them.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// `schema TABLE`
    One(&'a Table),
    /// `schema`
    All(&'a [Table]),
}

impl<'a> Selection<'a> {
    fn tables(self) -> &'a [Table] {
        match self {
            Self::One(table) => std::slice::from_ref(table),
            Self::All(tables) => tables,
        }
    }
}

/// The selected tables in a format, ending in a line feed.
pub fn render(selection: Selection<'_>, format: Format) -> String {
    let tables = selection.tables();
    match format {
        Format::Table => text::render(selection),
        Format::Json => json::render(selection),
        Format::BigQuery => statements(tables, |table| bigquery::create_table(table, &[&table.name])),
        Format::Snowflake => statements(tables, |table| snowflake::create_table(table, &[&table.name])),
        Format::DuckDb => statements(tables, |table| duckdb::create_table(table, &[&table.name])),
        Format::Arrow => statements(tables, arrow),
        Format::Dbt => dbt::render(tables),
    }
}

fn statements(tables: &[Table], statement: impl Fn(&Table) -> String) -> String {
    tables.iter().map(statement).collect::<Vec<_>>().join("\n")
}

fn arrow(table: &Table) -> String {
    let mut text = format!("{}\n", table.name);
    for field in arrow_schema(table).fields() {
        let null = if field.is_nullable() { "" } else { " not null" };
        writeln!(text, "  {}: {}{null}", field.name(), field.data_type()).expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::commands::schema::reference;

    fn table(name: &str) -> Table {
        Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table").0
    }

    fn tables() -> Vec<Table> {
        Catalog::get().tables().map(table).collect()
    }

    fn one(name: &str, format: Format) -> String {
        render(Selection::One(&table(name)), format)
    }

    #[test]
    fn json_is_an_object_for_a_table_and_a_list_for_all() {
        let document: Value = serde_json::from_str(&one("campaigns", Format::Json)).expect("JSON");
        assert_eq!(document["table"], "campaigns");
        assert_eq!(document["job"], "campaigns");
        assert_eq!(document["scope"], "MarketingSolutions_Campaign_Read");
        assert_eq!(document["primary_key"], json!(["snapshot_date", "campaign_id"]));
        assert_eq!(document["partition_by"], "snapshot_date");
        let column = |name: &str| {
            let columns = document["columns"].as_array().expect("a list");
            columns.iter().find(|column| column["name"] == name).expect("a column").clone()
        };
        assert_eq!(column("snapshot_date")["source"], Value::Null);
        assert_eq!(column("campaign_id")["source"], "/id");
        assert_eq!(column("spend_limit_amount")["source"], "/attributes/spendLimit/spendLimitAmount/value");
        let scheduled = column("scheduled_spend_limits");
        assert_eq!((&scheduled["type"], &scheduled["mode"]), (&json!("RECORD"), &json!("REPEATED")));
        assert_eq!(scheduled["fields"][4]["source"], "/spendLimitAmount/value");
        assert!(column("goal").get("fields").is_none());

        let all: Value = serde_json::from_str(&render(Selection::All(&tables()), Format::Json)).expect("JSON");
        assert_eq!(all.as_array().expect("a list").len(), tables().len());
    }

    #[test]
    fn bigquery_tables_are_partitioned_by_the_date_and_clustered_by_ids() {
        let sql = one("ad_statistics_daily", Format::BigQuery);
        assert!(sql.starts_with("CREATE TABLE IF NOT EXISTS `ad_statistics_daily` (\n  `day` DATE NOT NULL OPTIONS"));
        assert!(sql.contains("  `advertiser_cost` NUMERIC OPTIONS"));
        assert!(
            sql.contains(")\nPARTITION BY `day`\nCLUSTER BY `advertiser_id`, `campaign_id`, `ad_set_id`, `ad_id`\n")
        );
        let sql = one("creatives", Format::BigQuery);
        assert!(sql.contains(
            "`adaptive_image_sets` ARRAY<STRUCT<`headline_text` STRING, `images` ARRAY<STRUCT<`shape` STRING, `url` STRING>>>>"
        ));
        assert!(sql.contains("`_extra` JSON OPTIONS"));
    }

    #[test]
    fn snowflake_columns_need_no_quoting_in_queries() {
        let sql = one("creatives", Format::Snowflake);
        assert!(
            sql.starts_with("CREATE TABLE IF NOT EXISTS \"CREATIVES\" (\n  \"SNAPSHOT_DATE\" DATE NOT NULL COMMENT '")
        );
        assert!(sql.contains("\"ADAPTIVE_IMAGE_SETS\" ARRAY COMMENT") && sql.contains("\"_EXTRA\" VARIANT COMMENT"));
        assert!(sql.contains("\"_PULLED_AT\" TIMESTAMP_TZ(6) NOT NULL"));
        assert!(one("transactions", Format::Snowflake).contains("\"AMOUNT\" NUMBER(38, 9) COMMENT"));
        assert!(one("campaigns", Format::Snowflake).contains("advertiser''s own currency"));
    }

    #[test]
    fn duckdb_keeps_lists_and_structs() {
        let sql = one("coupons", Format::DuckDb);
        assert!(
            sql.contains("  \"images\" STRUCT(\"width\" BIGINT, \"height\" BIGINT, \"slide_urls\" VARCHAR[])[],\n")
        );
        assert!(sql.contains("COMMENT ON COLUMN \"coupons\".\"coupon_id\" IS '"));
        assert!(one("transactions", Format::DuckDb).contains("  \"amount\" DECIMAL(38, 9),\n"));
    }

    #[test]
    fn arrow_is_the_schema_of_the_files() {
        let text = one("advertisers", Format::Arrow);
        assert_eq!(
            text,
            "advertisers\n  snapshot_date: Date32 not null\n  advertiser_id: Utf8 not null\n  advertiser_name: Utf8\n  \
             meta: Utf8\n  _extra: Utf8\n  _pulled_at: Timestamp(µs, \"UTC\") not null\n"
        );
    }

    #[test]
    fn dbt_tests_the_key_and_what_is_required() {
        let text = one("campaigns", Format::Dbt);
        assert!(text.contains("- dbt_utils.unique_combination_of_columns:"));
        assert!(text.contains("                  - \"campaign_id\"\n"));
        assert_eq!(text.matches("- not_null").count(), 3);
    }

    #[test]
    fn people_see_columns_of_one_table_and_a_list_of_all() {
        let text = one("transactions", Format::Table);
        assert!(text.contains("primary key: day, advertiser_id, transaction_id, event_type, event_at\n"), "{text}");
        assert!(text.contains("\ntransaction_at "), "{text}");
        assert!(one("campaigns", Format::Table).contains("\n  spend_limit_type "));
        let text = render(Selection::All(&tables()), Format::Table);
        assert_eq!(text.lines().filter(|line| line.contains(" yes ") || line.contains(" no ")).count(), 14);
    }

    #[test]
    fn tables_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/tables.md");
        let generated = reference(Catalog::get()).expect("the built-in tables resolve");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &generated).expect("docs/reference can be written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == generated, "run `UPDATE_DOCS=1 cargo test --lib tables_reference`");
    }
}
