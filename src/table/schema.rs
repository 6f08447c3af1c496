//! The Arrow schema of a table: the one place where the contract's types become Arrow's. It builds no arrays.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};

use crate::catalog::{Column, ColumnType, Mode, Table};

/// Digits of a NUMERIC: BigQuery's NUMERIC and the widest decimal that every target holds.
pub const NUMERIC_PRECISION: u8 = 38;
/// Digits of a NUMERIC after the point.
pub const NUMERIC_SCALE: i8 = 9;
/// Name of the items of a list, as in Parquet's specification.
pub const LIST_ELEMENT: &str = "element";

/// The Arrow schema of a table, in file order.
pub fn arrow_schema(table: &Table) -> Schema {
    Schema::new(fields(&table.columns))
}

/// The Arrow type of one value of a column: the item's type where the column is a list.
pub fn value_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::String | ColumnType::Json => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Numeric => DataType::Decimal128(NUMERIC_PRECISION, NUMERIC_SCALE),
        ColumnType::Float => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        ColumnType::Record(columns) => DataType::Struct(fields(columns)),
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(field).collect()
}

fn field(column: &Column) -> Field {
    let value = value_type(&column.column_type);
    match column.mode {
        Mode::Nullable => Field::new(&column.name, value, true),
        Mode::Required => Field::new(&column.name, value, false),
        Mode::Repeated => {
            Field::new(&column.name, DataType::List(Arc::new(Field::new(LIST_ELEMENT, value, true))), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, TableOverrides};

    fn schema(table: &str) -> Schema {
        arrow_schema(&Catalog::get().resolve(table, &TableOverrides::default()).expect("a built-in table").0)
    }

    #[test]
    fn reports_have_exact_decimals_and_required_dates() {
        let schema = schema("ad_statistics_daily");
        let field = |name: &str| schema.field_with_name(name).expect("a column").clone();
        assert_eq!(field("day"), Field::new("day", DataType::Date32, false));
        assert_eq!(field("advertiser_cost"), Field::new("advertiser_cost", DataType::Decimal128(38, 9), true));
        assert_eq!(field("sales_pc30d"), Field::new("sales_pc30d", DataType::Decimal128(38, 9), true));
        assert_eq!(field("clicks"), Field::new("clicks", DataType::Int64, true));
        let utc_micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(field("_pulled_at"), Field::new("_pulled_at", utc_micros, false));
    }

    #[test]
    fn a_list_is_never_null_and_its_items_are_called_element() {
        let schema = schema("creatives");
        let field = schema.field_with_name("image_urls").expect("a column");
        assert!(!field.is_nullable());
        assert_eq!(field.data_type(), &DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))));
    }

    #[test]
    fn records_nest() {
        let schema = schema("creatives");
        let DataType::List(item) = schema.field_with_name("adaptive_image_sets").expect("a column").data_type() else {
            panic!("a list");
        };
        let DataType::Struct(fields) = item.data_type() else { panic!("a struct") };
        assert_eq!(fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["headline_text", "images"]);
        assert!(matches!(fields[1].data_type(), DataType::List(images) if images.data_type().is_nested()));
    }
}
