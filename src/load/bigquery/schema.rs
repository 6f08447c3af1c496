//! Schemas in the words of BigQuery's API.

use serde_json::{Value, json};

use crate::catalog::sql::MARK;
use crate::catalog::{Column, ColumnType, Mode, Table};
use crate::load::target::Existing;

/// Columns of a staging table: everything may be null, and JSON is still text.
pub(super) fn staging_fields(columns: &[&Column]) -> Vec<Value> {
    columns.iter().map(|column| staging_field(column)).collect()
}

fn staging_field(column: &Column) -> Value {
    let mode = if column.mode == Mode::Repeated { "REPEATED" } else { "NULLABLE" };
    let name = match &column.column_type {
        ColumnType::Json => "STRING",
        other => other.name(),
    };
    let mut field = json!({"name": column.name, "type": name, "mode": mode});
    if let ColumnType::Record(fields) = &column.column_type {
        field["fields"] = fields.iter().map(staging_field).collect();
    }
    field
}

/// What the API says of a table or view.
pub(super) fn existing(found: &Value, table: Option<&Table>, is_held: bool) -> Existing {
    let description = found["description"].as_str().unwrap_or_default().to_owned();
    let is_view = found["type"] == "VIEW";
    let is_empty = !is_view && matches!(super::client::number(&found["numRows"]), Some(0));
    let fields = found["schema"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = fields.iter().map(|field| (text(&field["name"]), type_of(field))).collect();
    let partitioning = &found["timePartitioning"];
    let differences = table.filter(|_| !is_view).map_or_else(Vec::new, |table| {
        let is_same = partitioning["type"] == "DAY" && partitioning["field"] == table.partition_by.as_str();
        let by = partitioning["field"].as_str().map_or("nothing".to_owned(), |field| format!("`{field}`"));
        if is_same {
            Vec::new()
        } else {
            vec![format!("it is partitioned by {by} and should be by day of `{}`", table.partition_by)]
        }
    });
    let is_ours = description.ends_with(MARK) || is_held || is_empty;
    Existing { is_ours, is_view, description, columns, differences }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The type as statements name it.
fn type_of(field: &Value) -> String {
    let name = match field["type"].as_str().unwrap_or_default() {
        "INTEGER" | "INT64" => "INT64".to_owned(),
        "FLOAT" | "FLOAT64" => "FLOAT64".to_owned(),
        "BOOLEAN" | "BOOL" => "BOOL".to_owned(),
        "RECORD" | "STRUCT" => {
            let fields = field["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fields: Vec<_> =
                fields.iter().map(|field| format!("{} {}", text(&field["name"]), type_of(field))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => other.to_owned(),
    };
    if field["mode"] == "REPEATED" { format!("ARRAY<{name}>") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sql::bigquery;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::load::columns::normalized;

    #[test]
    fn the_api_and_the_statements_name_every_type_alike() {
        for name in Catalog::get().tables() {
            let (table, _) = Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table");
            for column in table.columns.iter().filter(|column| column.column_type != ColumnType::Json) {
                let described = type_of(&staging_field(column));
                assert_eq!(
                    normalized(&described),
                    normalized(&bigquery::column_type(column)),
                    "{name}.{}",
                    column.name
                );
            }
        }
    }

    #[test]
    fn another_partitioning_is_a_difference() {
        let (table, _) = Catalog::get().resolve("campaigns", &TableOverrides::default()).expect("a built-in table");
        let found = json!({"type": "TABLE", "numRows": "3", "timePartitioning": {"type": "DAY", "field": "day"}});
        let differing = existing(&found, Some(&table), false);
        assert_eq!(differing.differences, ["it is partitioned by `day` and should be by day of `snapshot_date`"]);
        assert!(!differing.is_ours);
    }
}
