//! Parquet files of one partition.
//!
//! Settings are chosen in docs/decisions/parquet-settings.md: zstd, statistics per column chunk, dictionaries where
//! values repeat (text, dates, flags and the constant `_pulled_at`) and not on measures, no bloom filters. The Arrow
//! schema is not embedded: every reader derives the same types from Parquet's own logical types.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use sha2::Digest;

use super::columns::{ColumnBuffer, Rows};
use super::footer;
use super::schema::arrow_schema;
use crate::catalog::{Column, ColumnType, Origin, Table};

/// Rows turned into Arrow arrays at a time: small enough to stay in cache, large enough to amortise a call.
const BATCH_ROWS: usize = 8192;
/// Version of the footer's key/value metadata, and of the file layout it describes.
pub const FILE_FORMAT_VERSION: &str = "1";

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Parquet or the disk below it.
    #[error("could not write Parquet")]
    Parquet(#[from] ParquetError),
    /// The arrays do not match the table's schema: a bug.
    #[error("rows do not match the table's schema")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// What every file says about itself in its footer.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Version of Criteo's API.
    pub api_version: String,
    /// The run that wrote it.
    pub run_id: String,
    /// When the rows were pulled; the value of `_pulled_at`.
    pub pulled_at: DateTime<Utc>,
    /// Parameters a loader or a rebuild may want: currency, time zone, status.
    pub parameters: Vec<(String, String)>,
}

/// Writes a report partition, the rows numbered in `order`, and returns the writer. The last of all `rows` may be of earlier
/// pulls: `older` says when each of them was pulled, in microseconds since 1970.
pub fn write_rows<W: Write + Send>(
    table: &Table,
    rows: &Rows,
    order: &[u32],
    older: &[i64],
    provenance: &Provenance,
    out: W,
) -> Result<W, WriteError> {
    let (now, fresh) = (provenance.pulled_at.timestamp_micros(), rows.len().saturating_sub(older.len()));
    let time = |row: &u32| (*row as usize).checked_sub(fresh).map_or(now, |position| older[position]);
    let texts: Vec<Option<ArrayRef>> = rows.columns().iter().map(|column| column.distinct_texts(order.len())).collect();
    let schema = Arc::new(with_indices(&arrow_schema(table), &texts));
    let batches = order.chunks(BATCH_ROWS).map(|slice| {
        let gather = |(column, texts): (&ColumnBuffer, &Option<ArrayRef>)| match texts {
            Some(texts) => column.gather_indices(slice, texts),
            None => Ok(column.gather(slice)),
        };
        let mut arrays = rows.columns().iter().zip(&texts).map(gather).collect::<Result<Vec<_>, _>>()?;
        let times = TimestampMicrosecondArray::from_iter_values(slice.iter().map(time));
        arrays.push(Arc::new(times.with_timezone("UTC")));
        RecordBatch::try_new(Arc::clone(&schema), arrays)
    });
    write_batches(table, &schema, batches, provenance, out)
}

/// The schema of the arrays in memory: columns whose distinct texts are handed over hold indices. In the file both are the
/// same, text with a dictionary.
fn with_indices(schema: &Schema, texts: &[Option<ArrayRef>]) -> Schema {
    let texts = texts.iter().chain(std::iter::repeat(&None));
    let fields = schema.fields().iter().zip(texts).map(|(field, texts)| match texts {
        Some(_) => {
            let indices = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(indices))
        }
        None => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Writes batches of the table's schema.
pub fn write_batches<W: Write + Send>(
    table: &Table,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>,
    provenance: &Provenance,
    out: W,
) -> Result<W, WriteError> {
    let options =
        ArrowWriterOptions::new().with_properties(properties(table, provenance)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(out, Arc::clone(schema), options)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    Ok(writer.into_inner()?)
}

/// A `_pulled_at` column.
pub fn pulled_at(instant: DateTime<Utc>, rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(instant.timestamp_micros(), rows).with_timezone("UTC"))
}

fn properties(table: &Table, provenance: &Provenance) -> WriterProperties {
    let mut metadata = vec![
        ("criteo_source.format_version", FILE_FORMAT_VERSION.to_owned()),
        ("criteo_source.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("criteo_source.table", table.name.clone()),
        (footer::SCHEMA_VERSION, table_schema_version(table)),
        ("criteo_source.api_version", provenance.api_version.clone()),
        ("criteo_source.run_id", provenance.run_id.clone()),
        ("criteo_source.pulled_at", provenance.pulled_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
    ];
    let parameters = provenance.parameters.iter().map(|(key, value)| (key.as_str(), value.clone()));
    metadata.extend(parameters);
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("criteo-source ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(true)
        .set_key_value_metadata(Some(metadata));
    for column in table.columns.iter().filter(|column| !repeats(column)) {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column.name.as_str()), false);
    }
    builder.build()
}

/// Whether a column's values repeat enough for a dictionary to pay.
fn repeats(column: &Column) -> bool {
    match column.column_type {
        ColumnType::Integer | ColumnType::Numeric | ColumnType::Float => false,
        ColumnType::Timestamp => matches!(column.origin, Origin::PulledAt | Origin::Hour(_)),
        ColumnType::String | ColumnType::Boolean | ColumnType::Date | ColumnType::Json | ColumnType::Record(_) => true,
    }
}

/// The fingerprint of a file's rows without the time they were pulled at: two files of the same columns that have the same one
/// hold the same rows. `None` for what is not a readable file.
///
/// It is made of the encoded columns, which are the same for the same rows in the same order, and ours always are. Another
/// version of the writer may encode them otherwise; then the rows count as changed once.
pub fn rows_checksum(file: &Bytes) -> Option<String> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).ok()?;
    let mut hash = sha2::Sha256::new();
    for group in metadata.row_groups() {
        let is_hashed = |column: &&ColumnChunkMetaData| column.column_path().parts() != [super::decode::PULLED_AT];
        for column in group.columns().iter().filter(is_hashed) {
            let (start, length) = column.byte_range();
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            hash.update(length.to_le_bytes());
            hash.update(file.get(start..end)?);
        }
    }
    Some(crate::store::hexadecimal(hash))
}

/// The fingerprint of the columns that files of this table have now.
pub fn table_schema_version(table: &Table) -> String {
    schema_version(&arrow_schema(table))
}

/// A short fingerprint of the columns' names and types: the same schema has the same version wherever it was written.
pub fn schema_version(schema: &Schema) -> String {
    let mut hash = sha2::Sha256::new();
    for field in schema.fields() {
        hash.update(format!("{} {} {}\n", field.name(), field.data_type(), field.is_nullable()));
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use crate::table::decode::PULLED_AT;
    use arrow::array::{Array, AsArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::table::columns::Value;

    /// A column of text, nulls among it, written in reverse and read back.
    fn written(rows: usize, distinct: usize) -> Vec<Option<String>> {
        let overrides = TableOverrides { dimensions: Some(vec!["Advertiser".to_owned()]), ..TableOverrides::default() };
        let (mut table, _) = Catalog::get().resolve("ad_statistics_daily", &overrides).expect("a table");
        table.columns.retain(|column| ["advertiser_name", PULLED_AT].contains(&column.name.as_str()));
        let mut texts = Rows::new([&ColumnType::String]).expect("flat");
        for row in 0..rows {
            let text = format!("n{}", row % distinct);
            texts.push([if row % 7 == 3 { Value::Null } else { Value::Text(&text) }]).expect("text fits");
        }
        let provenance = Provenance {
            api_version: String::new(),
            run_id: String::new(),
            pulled_at: DateTime::UNIX_EPOCH,
            parameters: Vec::new(),
        };
        let order: Vec<u32> = (0..u32::try_from(rows).expect("few")).rev().collect();
        let file = write_rows(&table, &texts, &order, &[], &provenance, Vec::new()).expect("memory is writable");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).expect("Parquet");
        assert_eq!(reader.schema().field(0).data_type(), &DataType::Utf8);
        let batches = reader.build().expect("readable").map(|batch| batch.expect("readable"));
        batches
            .flat_map(|batch| {
                let column = batch.column(0).as_string::<i32>().clone();
                (0..column.len()).map(move |row| column.is_valid(row).then(|| column.value(row).to_owned()))
            })
            .collect()
    }

    #[test]
    fn a_fingerprint_that_files_and_ledgers_carry_never_changes_with_the_libraries() {
        let fingerprint = |name: &str| {
            let (table, _) = Catalog::get().resolve(name, &TableOverrides::default()).expect("a table");
            table_schema_version(&table)
        };
        let of_today = ["placements_daily", "transactions", "campaigns"].map(fingerprint);
        assert_eq!(of_today, ["361c83b955a9", "db65e6496b03", "08a1aacaa4e4"]);
    }

    #[test]
    fn texts_come_back_whether_handed_over_as_indices_or_one_by_one() {
        for (rows, distinct) in [(20_000, 13), (20_000, 9_000), (10, 3), (0, 1)] {
            let expected: Vec<_> =
                (0..rows).rev().map(|row| (row % 7 != 3).then(|| format!("n{}", row % distinct))).collect();
            assert_eq!(written(rows, distinct), expected, "{rows} rows, {distinct} texts");
        }
    }
}
