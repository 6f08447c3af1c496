//! What a run left on disk: which partitions, and what is in their files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::cells::{self, Row};

/// One Parquet file, read.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) rows: Vec<Row>,
    pub(crate) schema: SchemaRef,
    pub(crate) footer: BTreeMap<String, String>,
}

/// The path of a partition.
pub(crate) fn path(output: &Path, table: &str, date: NaiveDate) -> PathBuf {
    output.join(table).join(format!("dt={date}")).join("data.parquet")
}

/// Reads a partition.
pub(crate) fn read(output: &Path, table: &str, date: NaiveDate) -> Partition {
    let path = path(output, table, date);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
    let schema = reader.schema().clone();
    let pairs = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let footer = pairs.into_iter().filter_map(|pair| Some((pair.key, pair.value?))).collect();
    let mut rows = Vec::new();
    for batch in reader.build().expect("a Parquet file") {
        let batch = batch.expect("a Parquet file");
        for row in 0..batch.num_rows() {
            let named = schema.fields().iter().zip(batch.columns());
            rows.push(named.map(|(field, column)| (field.name().clone(), cell(column, row))).collect());
        }
    }
    Partition { rows, schema, footer }
}

impl Partition {
    /// The rows without the one column that differs between pulls.
    pub(crate) fn content(&self) -> Vec<Row> {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            let pulled_at = row.remove("_pulled_at").expect("every table has `_pulled_at`");
            assert!(pulled_at.is_string(), "`_pulled_at` is never null");
        }
        rows
    }
}

/// The partitions of every table, by name; the ledger is not a table.
pub(crate) fn listing(output: &Path) -> BTreeMap<String, Vec<NaiveDate>> {
    let tables = names(output).into_iter().filter(|name| !name.starts_with('_'));
    tables.map(|table| (table.clone(), dates(output, &table))).collect()
}

/// The partitions of a table; each folder holds exactly one file.
pub(crate) fn dates(output: &Path, table: &str) -> Vec<NaiveDate> {
    let folder = output.join(table);
    let each = names(&folder).into_iter().map(|name| {
        assert_eq!(names(&folder.join(&name)), ["data.parquet"], "{table}/{name}");
        name.strip_prefix("dt=").and_then(|date| date.parse().ok()).unwrap_or_else(|| panic!("a stray `{name}`"))
    });
    each.collect()
}

/// Names in a folder, sorted; none if there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("a folder can be listed").file_name().into_string().expect("names are plain")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The content of every partition.
pub(crate) fn everything(output: &Path) -> BTreeMap<(String, NaiveDate), Vec<Row>> {
    let listing = listing(output).into_iter();
    let each = listing.flat_map(|(table, dates)| dates.into_iter().map(move |date| (table.clone(), date)));
    each.map(|key| {
        let content = read(output, &key.0, key.1).content();
        (key, content)
    })
    .collect()
}

/// The content of every partition after a run that may have been killed: the folder of a partition may still be empty,
/// which no reader takes for one.
pub(crate) fn everything_after_a_kill(output: &Path) -> BTreeMap<(String, NaiveDate), Vec<Row>> {
    let mut found = BTreeMap::new();
    for table in names(output).into_iter().filter(|name| !name.starts_with('_')) {
        for name in names(&output.join(&table)) {
            let date = name.strip_prefix("dt=").and_then(|date| date.parse().ok());
            let date: NaiveDate = date.unwrap_or_else(|| panic!("a stray `{table}/{name}`"));
            match names(&output.join(&table).join(&name)).as_slice() {
                [] => {}
                [file] if file == "data.parquet" => {
                    found.insert((table.clone(), date), read(output, &table, date).content());
                }
                strays => panic!("{table}/{name} has {strays:?}"),
            }
        }
    }
    found
}

/// No staged file and no lock was left behind.
pub(crate) fn assert_tidy(output: &Path) {
    assert_eq!(names(&output.join("_ledger/staging")), Vec::<String>::new(), "staged files are left");
    assert!(!output.join("_ledger/pending.json").exists(), "a publication was left half-done");
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => cells::float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Decimal128(38, 9) => cells::decimal(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Date32 => cells::date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            cells::instant(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|position| cell(&list, position)).collect()
        }
        DataType::Struct(fields) => {
            let members = fields.iter().zip(column.as_struct().columns());
            members.map(|(field, member)| (field.name().clone(), cell(member, row))).collect()
        }
        other => panic!("no table has columns of type {other}"),
    }
}

/// The name that `schema` gives to the type of a column read from a file.
pub(crate) fn type_name(data_type: &DataType) -> (&'static str, bool) {
    match data_type {
        DataType::List(element) => (type_name(element.data_type()).0, true),
        DataType::Utf8 => ("STRING", false),
        DataType::Int64 => ("INTEGER", false),
        DataType::Float64 => ("FLOAT", false),
        DataType::Boolean => ("BOOLEAN", false),
        DataType::Decimal128(38, 9) => ("NUMERIC", false),
        DataType::Date32 => ("DATE", false),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => ("TIMESTAMP", false),
        DataType::Struct(_) => ("RECORD", false),
        other => panic!("no table has columns of type {other}"),
    }
}
