//! Rows of a file as they were pulled: some of them may have to stay in the next version of it.
//!
//! Only files of exactly the columns at hand are read; it does not guess what a missing column should be.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::columns::{Rows, Value};
use super::decode::{ADVERTISER_ID, PULLED_AT, ReportLayout};
use super::footer::ReadError;
use super::partitions::{Partition, Partitions};
use super::schema::value_type;
use crate::catalog::{Column, ColumnType};

/// Rows of an earlier pull.
#[derive(Debug)]
pub struct OldRows {
    /// The rows.
    pub rows: Rows,
    /// When each was pulled, in microseconds since 1970.
    pub pulled_at: Vec<i64>,
}

impl OldRows {
    /// New rows of a day, and these after them.
    pub fn beside(&self, fresh: Partition<'_>, layout: &ReportLayout, day: NaiveDate) -> Partitions {
        let mut both = layout.empty_rows();
        let fresh = fresh.members().iter().map(|&row| fresh.rows().row(row));
        fresh.for_each(|row| both.push(row).expect("columns of the layout"));
        let old = (0_u32..).zip(&self.pulled_at).map(|(row, _)| self.rows.row(row));
        old.for_each(|row| both.push(row).expect("columns of the layout"));
        Partitions::of_one_day(both, day)
    }
}

/// The advertisers that have rows in a file; none where it has no such column.
pub fn advertisers(file: impl ChunkReader + 'static) -> Result<BTreeSet<String>, ReadError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let only = ProjectionMask::columns(builder.parquet_schema(), [ADVERTISER_ID]);
    let mut found = BTreeSet::new();
    for batch in builder.with_projection(only).build()? {
        found.extend(advertisers_of(&batch?));
    }
    Ok(found)
}

/// The advertisers that have rows in a batch.
pub fn advertisers_of(batch: &RecordBatch) -> BTreeSet<String> {
    let ids = texts(batch, ADVERTISER_ID).into_iter();
    ids.flat_map(|ids| ids.iter().flatten()).map(str::to_owned).collect()
}

/// The rows of these advertisers; `None` if the file has other columns than `layout`.
pub fn rows_of(
    file: impl ChunkReader + 'static,
    layout: &ReportLayout,
    advertisers: &BTreeSet<String>,
) -> Result<Option<OldRows>, ReadError> {
    let mut old = OldRows { rows: layout.empty_rows(), pulled_at: Vec::new() };
    for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
        let batch = batch?;
        let (Some(ids), Some(columns)) = (texts(&batch, ADVERTISER_ID).cloned(), columns_of(&batch, layout)) else {
            return Ok(None);
        };
        let Some(pulled_at) = batch.column_by_name(PULLED_AT) else { return Ok(None) };
        let pulled_at = pulled_at.as_primitive_opt::<TimestampMicrosecondType>();
        let Some(pulled_at) = pulled_at else { return Ok(None) };
        for row in (0..batch.num_rows()).filter(|row| ids.is_valid(*row) && advertisers.contains(ids.value(*row))) {
            let values = layout.columns().zip(&columns).map(|(column, array)| value(column, array, row));
            if old.rows.push(values).is_err() {
                return Ok(None);
            }
            old.pulled_at.push(pulled_at.value(row));
        }
    }
    Ok(Some(old))
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt()
}

/// The columns of the layout, if the file has them, of their types, and no others.
fn columns_of(batch: &RecordBatch, layout: &ReportLayout) -> Option<Vec<ArrayRef>> {
    let column = |column: &Column| {
        let array = batch.column_by_name(&column.name)?;
        (*array.data_type() == value_type(&column.column_type)).then(|| array.clone())
    };
    let columns: Vec<ArrayRef> = layout.columns().map(column).collect::<Option<_>>()?;
    (columns.len() + 1 == batch.num_columns()).then_some(columns)
}

/// One value; the array is of the column's type.
fn value<'a>(column: &Column, array: &'a ArrayRef, row: usize) -> Value<'a> {
    if array.is_null(row) {
        return Value::Null;
    }
    match column.column_type {
        ColumnType::String | ColumnType::Json => Value::Text(array.as_string::<i32>().value(row)),
        ColumnType::Integer => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Numeric => Value::Numeric(array.as_primitive::<Decimal128Type>().value(row)),
        ColumnType::Float => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        ColumnType::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        ColumnType::Timestamp => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        // No report has such a column: its layout could not be made.
        ColumnType::Record(_) => Value::Null,
    }
}
