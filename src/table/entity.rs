//! Resources (campaigns, ad sets, creatives, …) to Arrow columns.
//!
//! Each column names a JSON pointer into the resource. Values must be what the column says, or absent; text that is not
//! among Criteo's documented values is kept as it is. Attributes that no column knows go, as JSON text, to `_extra`,
//! so that nothing Criteo adds is lost.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};

use super::excerpt::excerpt;
use super::numeric;
use super::parquet::pulled_at;
use super::schema::arrow_schema;
use super::time::WireTime;
use crate::catalog::{Column, ColumnType, Extract, Mode, Origin, Parent, Table};
use crate::json::Json;

/// One resource and what its request fixed (the advertiser or ad set in the path).
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    /// The resource object: `id`, `type`, `attributes`.
    pub json: Json<'a>,
    /// What the path of the request named, with its id.
    pub context: Vec<(Parent, String)>,
}

/// A value that is not what its column says.
#[derive(Debug, thiserror::Error)]
#[error("table `{table}`, column `{column}`, resource `{resource}`: `{text}` is {reason}")]
pub struct EntityError {
    table: String,
    column: String,
    resource: String,
    text: String,
    reason: String,
}

/// All resources as one batch, in the order given.
pub fn entity_batch(
    table: &Table,
    resources: &[Resource<'_>],
    snapshot_date: NaiveDate,
    instant: DateTime<Utc>,
) -> Result<RecordBatch, EntityError> {
    let schema: Schema = arrow_schema(table);
    let mut arrays = Vec::with_capacity(table.columns.len());
    for (column, field) in table.columns.iter().zip(schema.fields()) {
        let array = match &column.origin {
            Origin::Pointer(pointer) => {
                let values: Vec<_> = resources.iter().map(|resource| resource.json.pointer(pointer)).collect();
                build(column, field, &values).map_err(|misfit| misfit.locate(table, resources))?
            }
            Origin::PulledAt => pulled_at(instant, resources.len()),
            Origin::Extra => {
                Arc::new(resources.iter().map(|resource| extra(table, &resource.json)).collect::<StringArray>())
            }
            Origin::SnapshotDate => Arc::new(Date32Array::from_value(snapshot_date.to_epoch_days(), resources.len())),
            Origin::Parent(parent) => {
                Arc::new(resources.iter().map(|resource| resource.parent(*parent)).collect::<StringArray>())
            }
            Origin::Field(_) | Origin::Hour(_) | Origin::Currency(_) | Origin::Day(_) | Origin::Disclosed => {
                unreachable!("a resource has no fields of a report")
            }
        };
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(schema), arrays).expect("arrays were built from the schema"))
}

impl Resource<'_> {
    /// The value of `column` as text, for sorting and de-duplication.
    pub fn key(&self, column: &Column) -> String {
        match &column.origin {
            Origin::Pointer(pointer) => self.json.pointer(pointer).map(scalar_text).unwrap_or_default(),
            Origin::Parent(parent) => self.parent(*parent).unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    fn parent(&self, parent: Parent) -> Option<&str> {
        self.context.iter().find(|(known, _)| *known == parent).map(|(_, id)| id.as_str())
    }
}

fn scalar_text(value: &Json<'_>) -> String {
    match value {
        Json::Text(text) => text.to_string(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// A misfit whose resource is known by position only.
struct Misfit {
    column: String,
    position: usize,
    text: String,
    reason: String,
}

impl Misfit {
    fn locate(self, table: &Table, resources: &[Resource<'_>]) -> EntityError {
        let id = resources.get(self.position).and_then(|resource| resource.json.get("id"));
        EntityError {
            table: table.name.clone(),
            column: self.column,
            resource: id.map(scalar_text).unwrap_or_default(),
            text: self.text,
            reason: self.reason,
        }
    }
}

type Values<'v, 'a> = [Option<&'v Json<'a>>];

/// The value, if it is there and not null.
fn present<'v, 'a>(value: Option<&'v Json<'a>>) -> Option<&'v Json<'a>> {
    value.filter(|value| **value != Json::Null)
}

fn build(column: &Column, field: &Field, values: &Values<'_, '_>) -> Result<ArrayRef, Misfit> {
    if column.mode == Mode::Repeated {
        return build_list(column, field, values);
    }
    if column.mode == Mode::Required
        && let Some(position) = values.iter().position(|value| present(*value).is_none())
    {
        let (column, reason) = (column.name.clone(), "missing, but required".to_owned());
        return Err(Misfit { column, position, text: "null".to_owned(), reason });
    }
    build_scalars(column, field.data_type(), values)
}

fn build_list(column: &Column, field: &Field, values: &Values<'_, '_>) -> Result<ArrayRef, Misfit> {
    let DataType::List(element) = field.data_type() else { unreachable!("a repeated column is a list") };
    let mut elements = Vec::new();
    let mut owners = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    for (position, value) in values.iter().enumerate() {
        let list = match present(*value) {
            None => &[],
            Some(value) => value.as_array().ok_or_else(|| misfit(column, position, value, "not a list"))?,
        };
        lengths.push(list.len());
        owners.extend(std::iter::repeat_n(position, list.len()));
        elements.extend(list.iter().map(Some));
    }
    let array = build_scalars(column, element.data_type(), &elements)
        .map_err(|misfit| Misfit { position: owners.get(misfit.position).copied().unwrap_or_default(), ..misfit })?;
    Ok(Arc::new(ListArray::new(Arc::clone(element), OffsetBuffer::from_lengths(lengths), array, None)))
}

fn build_scalars(column: &Column, data_type: &DataType, values: &Values<'_, '_>) -> Result<ArrayRef, Misfit> {
    Ok(match &column.column_type {
        ColumnType::String => Arc::new(collect(column, values, text)?.into_iter().collect::<StringArray>()),
        ColumnType::Json => {
            Arc::new(values.iter().map(|value| present(*value).map(Json::to_string)).collect::<StringArray>())
        }
        ColumnType::Integer => Arc::new(
            collect(column, values, |value| {
                digits(value)?
                    .map(|digits| numeric::parse_integer(&digits).map_err(|error| error.to_string()))
                    .transpose()
            })?
            .into_iter()
            .collect::<Int64Array>(),
        ),
        ColumnType::Numeric => {
            let decimals = collect(column, values, |value| {
                digits(value)?
                    .map(|digits| numeric::parse_numeric(&digits).map_err(|error| error.to_string()))
                    .transpose()
            })?;
            Arc::new(decimals.into_iter().collect::<Decimal128Array>().with_data_type(data_type.clone()))
        }
        ColumnType::Float => Arc::new(
            collect(column, values, |value| {
                digits(value)?
                    .map(|digits| numeric::parse_float(&digits).map_err(|error| error.to_string()))
                    .transpose()
            })?
            .into_iter()
            .collect::<Float64Array>(),
        ),
        ColumnType::Boolean => Arc::new(collect(column, values, boolean)?.into_iter().collect::<BooleanArray>()),
        ColumnType::Date => Arc::new(
            collect(column, values, |value| Ok(time(value)?.map(|time| time.date().to_epoch_days())))?
                .into_iter()
                .collect::<Date32Array>(),
        ),
        ColumnType::Timestamp => {
            // Criteo's entity times carry an offset; one without is taken as UTC.
            let instants = collect(column, values, |value| {
                Ok(time(value)?.map(|time| time.instant(chrono_tz::UTC).timestamp_micros()))
            })?;
            Arc::new(instants.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        ColumnType::Record(columns) => build_record(column, columns, data_type, values)?,
    })
}

fn build_record(
    column: &Column,
    columns: &[Column],
    data_type: &DataType,
    values: &Values<'_, '_>,
) -> Result<ArrayRef, Misfit> {
    let DataType::Struct(fields) = data_type else { unreachable!("a record is a struct") };
    for (position, value) in values.iter().enumerate() {
        if let Some(value) = present(*value)
            && !matches!(value, Json::Object(_))
        {
            return Err(misfit(column, position, value, "not an object"));
        }
    }
    let mut arrays = Vec::with_capacity(columns.len());
    for (child, field) in columns.iter().zip(fields) {
        let pointer = child.source().unwrap_or_default();
        let members: Vec<_> = values.iter().map(|value| value.and_then(|value| value.pointer(pointer))).collect();
        let array = build(child, field, &members)
            .map_err(|misfit| Misfit { column: format!("{}.{}", column.name, misfit.column), ..misfit })?;
        arrays.push(array);
    }
    let nulls = values.iter().map(|value| present(*value).is_some()).collect::<NullBuffer>();
    let fields: Fields = fields.clone();
    Ok(Arc::new(StructArray::new(fields, arrays, (nulls.null_count() > 0).then_some(nulls))))
}

fn misfit(column: &Column, position: usize, value: &Json<'_>, reason: &str) -> Misfit {
    Misfit { column: column.name.clone(), position, text: excerpt(&scalar_text(value)), reason: reason.to_owned() }
}

/// Converts every present value; the converter says why one does not fit.
fn collect<T>(
    column: &Column,
    values: &Values<'_, '_>,
    convert: impl Fn(&Json<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, Misfit> {
    let convert_one = |(position, value): (usize, Option<&Json<'_>>)| match present(value) {
        None => Ok(None),
        Some(value) => convert(value).map_err(|reason| misfit(column, position, value, &reason)),
    };
    values.iter().copied().enumerate().map(convert_one).collect()
}

/// Identifiers arrive as text or as numbers; both are text here.
fn text(value: &Json<'_>) -> Result<Option<String>, String> {
    match value {
        Json::Text(text) => Ok(Some(text.to_string())),
        Json::Number(digits) => Ok(Some((*digits).to_owned())),
        Json::Boolean(value) => Ok(Some(value.to_string())),
        Json::Null | Json::Array(_) | Json::Object(_) => Err("not text".to_owned()),
    }
}

/// The digits of a number, written as a number or as text; empty text is absent.
fn digits(value: &Json<'_>) -> Result<Option<String>, String> {
    match value {
        Json::Number(digits) => Ok(Some((*digits).to_owned())),
        Json::Text(text) if text.is_empty() => Ok(None),
        Json::Text(text) => Ok(Some(text.to_string())),
        _ => Err("not a number".to_owned()),
    }
}

fn boolean(value: &Json<'_>) -> Result<Option<bool>, String> {
    match value {
        Json::Boolean(value) => Ok(Some(*value)),
        Json::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Json::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn time(value: &Json<'_>) -> Result<Option<WireTime>, String> {
    match value.as_text() {
        Some("") => Ok(None),
        Some(text) => WireTime::parse(text).map(Some).ok_or_else(|| "not a date".to_owned()),
        None => Err("not a date".to_owned()),
    }
}

/// What no column of `table` knows of this resource, as the text of a JSON object shaped like the resource's
/// attributes; `None` when everything is known.
fn extra(table: &Table, resource: &Json<'_>) -> Option<String> {
    let not_stored = match &table.extract {
        Extract::Entity { not_stored } => not_stored.as_slice(),
        Extract::Report { .. } => &[],
    };
    let known = Known { columns: &table.columns, not_stored };
    let Json::Object(members) = resource else { return None };
    let mut unknown = Vec::new();
    for (name, value) in members {
        match (name.as_ref(), value) {
            ("id" | "type", _) => {}
            ("attributes", Json::Object(_)) => unknown.extend(known.unknown_members("/attributes", value)),
            _ => unknown.extend(known.unknown(&format!("/{name}"), name, value)),
        }
    }
    (!unknown.is_empty()).then(|| object_text(&unknown))
}

fn object_text(members: &[(String, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", Json::Text(name.as_str().into()))).collect();
    format!("{{{}}}", members.join(","))
}

/// What the columns of one object cover.
struct Known<'t> {
    columns: &'t [Column],
    not_stored: &'t [String],
}

impl Known<'_> {
    fn unknown_members(&self, pointer: &str, object: &Json<'_>) -> Vec<(String, String)> {
        let Json::Object(members) = object else { return Vec::new() };
        members.iter().filter_map(|(name, value)| self.unknown(&format!("{pointer}/{name}"), name, value)).collect()
    }

    /// The part of one member that no column covers.
    fn unknown(&self, pointer: &str, name: &str, value: &Json<'_>) -> Option<(String, String)> {
        if self.not_stored.iter().any(|known| known == pointer) {
            return None;
        }
        if let Some(column) = self.columns.iter().find(|column| column.source() == Some(pointer)) {
            return has_unknown(column, value).then(|| (name.to_owned(), value.to_string()));
        }
        let prefix = format!("{pointer}/");
        let sources = self.columns.iter().filter_map(Column::source).chain(self.not_stored.iter().map(String::as_str));
        let is_parent = sources.into_iter().any(|known| known.starts_with(&prefix));
        match value {
            Json::Null if is_parent => None,
            Json::Object(_) if is_parent => {
                let members = self.unknown_members(pointer, value);
                (!members.is_empty()).then(|| (name.to_owned(), object_text(&members)))
            }
            _ => Some((name.to_owned(), value.to_string())),
        }
    }
}

/// Whether a column's value has parts that the column's record does not know.
fn has_unknown(column: &Column, value: &Json<'_>) -> bool {
    let ColumnType::Record(columns) = &column.column_type else { return false };
    let known = Known { columns, not_stored: &[] };
    match value {
        Json::Array(elements) => elements.iter().any(|element| !known.unknown_members("", element).is_empty()),
        value => !known.unknown_members("", value).is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int64Type};

    use super::*;
    use crate::catalog::{Catalog, TableOverrides};

    fn table(name: &str) -> Table {
        Catalog::get().resolve(name, &TableOverrides::default()).unwrap().0
    }

    fn batch(table: &Table, resources: &[&str]) -> Result<RecordBatch, EntityError> {
        let resources: Vec<Resource<'_>> = resources
            .iter()
            .map(|text| Resource { json: Json::parse(text.as_bytes()).unwrap(), context: Vec::new() })
            .collect();
        entity_batch(table, &resources, "2026-11-22".parse().unwrap(), DateTime::UNIX_EPOCH)
    }

    fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> Option<&'b str> {
        let array = batch.column_by_name(column).unwrap().as_string::<i32>();
        array.is_valid(row).then(|| array.value(row))
    }

    #[test]
    fn numbers_keep_their_digits_and_nested_attributes_find_their_columns() {
        let batch = batch(
            &table("ad_sets"),
            &[r#"{"id":"7","type":"x","attributes":{"name":"A","budget":{"budgetAmount":12345678901234567.123456789},
                "schedule":{"startDate":{"value":"2026-01-01T00:00:00+02:00"}},"targeting":{"geoLocation":null}}}"#],
        )
        .unwrap();
        let amount = batch.column_by_name("budget_amount").unwrap().as_primitive::<Decimal128Type>();
        assert_eq!(amount.value(0), 12_345_678_901_234_567_123_456_789);
        let start = batch.column_by_name("schedule_start_at").unwrap();
        let start = start.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(start.value_as_datetime(0).unwrap().to_string(), "2025-12-31 22:00:00");
        assert_eq!(text(&batch, "_extra", 0), None);
    }

    #[test]
    fn unknown_attributes_are_kept_as_json_text_and_unknown_values_as_text() {
        let batch = batch(
            &table("ad_sets"),
            &[r#"{"id":7,"attributes":{"objective":"worldDomination","new":{"a":[1.10]},"budget":{"budgetStrategy":"capped","newer":true}}}"#],
        )
        .unwrap();
        assert_eq!(text(&batch, "ad_set_id", 0), Some("7"));
        assert_eq!(text(&batch, "objective", 0), Some("worldDomination"));
        assert_eq!(text(&batch, "_extra", 0), Some(r#"{"new":{"a":[1.10]},"budget":{"newer":true}}"#));
    }

    #[test]
    fn a_list_of_records_with_something_new_goes_to_extra_as_a_whole() {
        let resource = r#"{"id":"1","attributes":{"htmlTagAttributes":{"tags":[{"htmlTag":"<b>","size":{"width":300,"height":250,"depth":1}}]}}}"#;
        let batch =
            batch(&table("creatives"), &[resource, r#"{"id":"2","attributes":{"htmlTagAttributes":null}}"#]).unwrap();
        let tags = batch.column_by_name("html_tags").unwrap().as_list::<i32>();
        assert_eq!((tags.value_length(0), tags.value_length(1), tags.null_count()), (1, 0, 0));
        let first = tags.value(0);
        let width = first.as_struct().column_by_name("width").unwrap().as_primitive::<Int64Type>();
        assert_eq!(width.value(0), 300);
        assert!(text(&batch, "_extra", 0).unwrap().contains(r#""depth":1"#));
        assert_eq!(text(&batch, "_extra", 1), None);
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_table_column_and_resource() {
        let wrong = r#"{"id":"7","attributes":{"budget":{"budgetAmount":"much"}}}"#;
        let error = batch(&table("ad_sets"), &[r#"{"id":"6"}"#, wrong]).unwrap_err();
        let expected = "table `ad_sets`, column `budget_amount`, resource `7`: `much` is not a number";
        assert_eq!(error.to_string(), expected);
        let error = batch(&table("ad_sets"), &[r#"{"attributes":{}}"#]).unwrap_err();
        assert!(error.to_string().contains("`ad_set_id`"), "{error}");
    }
}
