//! What a file says about itself, and whether it can be read: the counterpart of what `parquet` writes.
//!
//! It judges no file and compares it with nothing; the ledger does.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, Decimal128Array, Int64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::columns::NUMERIC;
use super::numeric::{SCALE, format_numeric};

/// Footer key: the table.
pub const TABLE: &str = "criteo_source.table";
/// Footer key: the run that wrote the file.
pub const RUN_ID: &str = "criteo_source.run_id";
/// Footer key: when the rows were pulled.
pub const PULLED_AT: &str = "criteo_source.pulled_at";
/// Footer key: the date the run took as today.
pub const AS_OF: &str = "criteo_source.as_of";
/// Footer key: the currency of amounts.
pub const CURRENCY: &str = "criteo_source.currency";
/// Footer key: the zone in which days were cut.
pub const TIMEZONE: &str = "criteo_source.timezone";
/// Footer key: calls of the request the rows came from.
pub const CALLS: &str = "criteo_source.calls";
/// Footer key: the identity of the output.
pub const OUTPUT_ID: &str = "criteo_source.output_id";
/// Footer key: a fingerprint of the columns.
pub const SCHEMA_VERSION: &str = "criteo_source.schema_version";
/// Footer key: advertisers whose rows were requested and answered for, separated by commas.
pub const ADVERTISERS: &str = "criteo_source.advertisers";
/// Footer key: advertisers whose rows are those of an earlier pull, separated by commas; absent when there are none.
pub const RETAINED_ADVERTISERS: &str = "criteo_source.retained_advertisers";
/// Footer key: advertisers that could not be requested, separated by commas; absent when there are none. Their rows are
/// not in the file, or those of an earlier pull.
pub const WITHOUT_ADVERTISERS: &str = "criteo_source.without_advertisers";

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not Parquet, or damaged.
    #[error("not a readable Parquet file")]
    Parquet(#[from] ParquetError),
    /// A page that does not decode.
    #[error("not a readable Parquet file")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// A file's footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Rows in the file.
    pub rows: u64,
    /// What the writer said: see the keys in this module.
    pub metadata: BTreeMap<String, String>,
}

impl Footer {
    /// Reads the footer only.
    pub fn read(file: impl ChunkReader + 'static) -> Result<Self, ReadError> {
        Ok(Self::of(&ParquetRecordBatchReaderBuilder::try_new(file)?))
    }

    /// Reads every value of every column, which proves that it can be, and adds up the columns named that the file has:
    /// exact decimal texts, without those that are neither INTEGER nor NUMERIC or do not fit 128 bits.
    pub fn read_all(
        file: impl ChunkReader + 'static,
        additive: &[&str],
    ) -> Result<(Self, BTreeMap<String, String>), ReadError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let footer = Self::of(&builder);
        let schema = builder.schema();
        let mut sums: BTreeMap<&str, Option<i128>> = additive
            .iter()
            .filter(|name| schema.field_with_name(name).is_ok_and(|field| is_summed(field.data_type())))
            .map(|name| (*name, Some(0)))
            .collect();
        for batch in builder.build()? {
            let batch = batch?;
            for (name, sum) in &mut sums {
                let added = batch.column_by_name(name).and_then(sum_billionths);
                *sum = sum.zip(added).and_then(|(sum, added)| sum.checked_add(added));
            }
        }
        let known = sums.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), format_numeric(sum?))));
        Ok((footer, known.collect()))
    }

    fn of<R: ChunkReader + 'static>(builder: &ParquetRecordBatchReaderBuilder<R>) -> Self {
        let file = builder.metadata().file_metadata();
        let entries = file.key_value_metadata().into_iter().flatten();
        let metadata = entries.filter_map(|entry| Some((entry.key.clone(), entry.value.clone()?))).collect();
        Self { rows: u64::try_from(file.num_rows()).unwrap_or(0), metadata }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

fn is_summed(data_type: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType;
    *data_type == DataType::Int64 || *data_type == NUMERIC
}

/// The sum of a column in billionths, nulls left out; `None` beyond 128 bits.
fn sum_billionths(column: &ArrayRef) -> Option<i128> {
    if let Some(integers) = column.as_any().downcast_ref::<Int64Array>() {
        let sum: i128 = integers.iter().flatten().map(i128::from).sum();
        return sum.checked_mul(10_i128.pow(SCALE));
    }
    let decimals = column.as_any().downcast_ref::<Decimal128Array>()?;
    decimals.iter().flatten().try_fold(0_i128, i128::checked_add)
}
