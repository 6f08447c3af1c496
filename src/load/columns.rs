//! Which columns a table has in the target: those of the contract, and those that only older files still have.
//!
//! A type that no column of ours has is an error, never text.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::error::{LoadError, LoadErrorKind};
use super::files::LoadFile;
use super::target::Existing;
use crate::catalog::{Column, ColumnType, Mode, Origin, Table};
use crate::table::schema::{NUMERIC_PRECISION, NUMERIC_SCALE};

/// The columns of `table` and, before its last one, those of `files` that it has no longer.
///
/// # Errors
///
/// When a file has a column in another type than the table.
pub fn of_files(table: &Table, files: &[LoadFile]) -> Result<Vec<Column>, LoadError> {
    let mut columns = table.columns.clone();
    for file in files {
        for field in file.schema.fields() {
            let column = of_field(field).ok_or_else(|| {
                let message = format!(
                    "column `{}` of {} has the type {}, which no column of ours has",
                    field.name(),
                    file.partition.date,
                    field.data_type()
                );
                LoadError::new(LoadErrorKind::Differs, message)
            })?;
            match columns.iter().find(|known| known.name == column.name) {
                Some(known) if is_same_type(known, &column) => {}
                Some(known) => {
                    let message = format!(
                        "column `{}` of {} is {} in the file and {} in the table",
                        column.name,
                        file.partition.date,
                        column.column_type.name(),
                        known.column_type.name()
                    );
                    let remedy = format!(
                        "fetch that day again: `criteo-source backfill --from {0} --to {0} --tables {1} --force`",
                        file.partition.date, table.name
                    );
                    return Err(LoadError::new(LoadErrorKind::Differs, message).with_remedy(remedy));
                }
                None => columns.insert(columns.len().saturating_sub(1), column),
            }
        }
    }
    Ok(columns)
}

/// A column as a file declares it; nullable, since other files do not have it. `None` for a type that is not one of ours.
fn of_field(field: &Field) -> Option<Column> {
    let (column_type, mode) = match field.data_type() {
        DataType::List(item) => (column_type(item)?, Mode::Repeated),
        _ => (column_type(field)?, Mode::Nullable),
    };
    let description = field.metadata().get("description").cloned().unwrap_or_default();
    let origin = Origin::Field(field.name().clone());
    Some(Column { name: field.name().clone(), column_type, mode, origin, description, additive: false })
}

fn column_type(field: &Field) -> Option<ColumnType> {
    Some(match field.data_type() {
        DataType::Utf8 if field.name() == "_extra" => ColumnType::Json,
        DataType::Utf8 => ColumnType::String,
        DataType::Int64 => ColumnType::Integer,
        DataType::Decimal128(NUMERIC_PRECISION, NUMERIC_SCALE) => ColumnType::Numeric,
        DataType::Float64 => ColumnType::Float,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::Timestamp,
        DataType::Struct(fields) => {
            ColumnType::Record(fields.iter().map(|field| of_field(field)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Whether two columns hold the same values; JSON is text in a file.
fn is_same_type(one: &Column, other: &Column) -> bool {
    let is_text = |column_type: &ColumnType| matches!(column_type, ColumnType::String | ColumnType::Json);
    let is_same = match (&one.column_type, &other.column_type) {
        (ColumnType::Record(ours), ColumnType::Record(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(our, their)| our.name == their.name && is_same_type(our, their))
        }
        (our, their) => our == their || (is_text(our) && is_text(their)),
    };
    is_same && (one.mode == Mode::Repeated) == (other.mode == Mode::Repeated)
}

/// How a target's own words for types are compared: `DECIMAL(38, 9)` is `decimal(38,9)`, and quotes do not count.
pub fn normalized(type_text: &str) -> String {
    let kept = type_text.chars().filter(|c| !c.is_whitespace() && !"\"`".contains(*c));
    kept.flat_map(char::to_uppercase).collect()
}

/// What differs between the table that is there and the one that is wanted; columns that are missing are to be added.
///
/// # Errors
///
/// A table that is somebody else's, or a difference that adding columns cannot mend.
pub fn to_add<'c>(
    name: &str,
    existing: &Existing,
    columns: &'c [Column],
    type_name: impl Fn(&Column) -> String,
) -> Result<Vec<&'c Column>, LoadError> {
    if !existing.is_ours {
        let message = format!("there is a table `{name}` already, with rows, that criteo-source did not create");
        return Err(LoadError::new(LoadErrorKind::NotOurs, message));
    }
    let mut differences: Vec<String> = existing.differences.clone();
    let mut missing = Vec::new();
    for column in columns {
        match existing.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) {
            None => missing.push(column),
            Some((_, found)) if normalized(found) == normalized(&type_name(column)) => {}
            Some((_, found)) => {
                differences.push(format!("column `{}` is {found} and should be {}", column.name, type_name(column)));
            }
        }
    }
    if differences.is_empty() {
        return Ok(missing);
    }
    let message = format!("the table `{name}` is not as this output's: {}", differences.join("; "));
    let remedy = "rename or drop the table, or set `table_prefix`; types of a table that is there are never changed";
    Err(LoadError::new(LoadErrorKind::Differs, message).with_remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sql::duckdb;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::table::schema::arrow_schema;

    #[test]
    fn every_column_of_every_table_comes_back_from_its_file_with_its_type() {
        for name in Catalog::get().tables() {
            let (table, _) = Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table");
            for (column, field) in table.columns.iter().zip(arrow_schema(&table).fields()) {
                let found = of_field(field).expect("a type of ours");
                assert!(is_same_type(column, &found), "{name}.{}: {found:?}", column.name);
            }
        }
    }

    #[test]
    fn a_type_that_differs_is_named_and_a_missing_column_is_added() {
        let (table, _) = Catalog::get().resolve("campaigns", &TableOverrides::default()).expect("a built-in table");
        let mut existing = Existing { is_ours: true, ..Existing::default() };
        for column in table.columns.iter().filter(|column| column.name != "goal") {
            existing.columns.push((column.name.to_uppercase(), duckdb::column_type(column).replace(' ', "")));
        }
        let missing = to_add("campaigns", &existing, &table.columns, duckdb::column_type).expect("fits");
        assert_eq!(missing.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["goal"]);
        existing.columns[1].1 = "BIGINT".to_owned();
        let refused = to_add("campaigns", &existing, &table.columns, duckdb::column_type).expect_err("differs");
        assert_eq!(refused.kind, LoadErrorKind::Differs);
        assert!(refused.message.contains("column `campaign_id` is BIGINT and should be VARCHAR"), "{refused}");
        existing.is_ours = false;
        let refused = to_add("campaigns", &existing, &table.columns, duckdb::column_type).expect_err("not ours");
        assert_eq!(refused.kind, LoadErrorKind::NotOurs);
    }
}
