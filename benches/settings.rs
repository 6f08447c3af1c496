//! What Parquet settings cost and save: one partition written in many ways, once each per round, medians printed as a
//! table (see docs/decisions/parquet-settings.md).
//!
//! ```sh
//! cargo bench --bench settings                  # rows made up here
//! cargo bench --bench settings -- report.json   # the report of `benches/compare/compare.py`, from its scratch folder
//! ```

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use criteo_source::table::order::KeyOrder;
use criteo_source::table::parquet::pulled_at;
use criteo_source::table::schema::arrow_schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

const ROUNDS: usize = 5;
const BATCH_ROWS: usize = 8192;

/// Which columns get a dictionary.
#[derive(Clone, Copy)]
enum Dictionaries {
    None,
    TextAndDates,
    AllButDecimals,
    Everything,
}

impl Dictionaries {
    fn holds(self, data_type: &DataType) -> bool {
        match self {
            Self::None => false,
            Self::TextAndDates => !matches!(data_type, DataType::Int64 | DataType::Decimal128(..)),
            Self::AllButDecimals => !matches!(data_type, DataType::Decimal128(..)),
            Self::Everything => true,
        }
    }
}

/// One way to write the file.
struct Way {
    name: &'static str,
    dictionaries: Dictionaries,
    level: i32,
    embed_schema: bool,
    set: fn(WriterPropertiesBuilder, &Schema) -> WriterPropertiesBuilder,
}

fn keep(builder: WriterPropertiesBuilder, _: &Schema) -> WriterPropertiesBuilder {
    builder
}

/// An encoding for all columns of a type.
fn encode(
    mut builder: WriterPropertiesBuilder,
    schema: &Schema,
    encoding: Encoding,
    is_meant: impl Fn(&DataType) -> bool,
) -> WriterPropertiesBuilder {
    for field in schema.fields().iter().filter(|field| is_meant(field.data_type())) {
        builder = builder.set_column_encoding(ColumnPath::from(field.name().as_str()), encoding);
    }
    builder
}

fn ways() -> Vec<Way> {
    use Dictionaries::{AllButDecimals, Everything, None, TextAndDates};
    let way = |name, dictionaries, level, set| Way { name, dictionaries, level, embed_schema: false, set };
    vec![
        way("dictionaries for text and dates; zstd 1", TextAndDates, 1, keep),
        way("no dictionaries; zstd 1", None, 1, keep),
        way("dictionaries for all but decimals; zstd 1", AllButDecimals, 1, keep),
        way("dictionaries everywhere; zstd 1", Everything, 1, keep),
        way("text and dates; zstd 3", TextAndDates, 3, keep),
        way("all but decimals; zstd 3", AllButDecimals, 3, keep),
        way("everywhere; zstd 3", Everything, 3, keep),
        way("text and dates; zstd 6", TextAndDates, 6, keep),
        way("everywhere; zstd 6", Everything, 6, keep),
        way("text and dates; zstd 1; row groups of 16,384", TextAndDates, 1, |builder, _| {
            builder.set_max_row_group_row_count(Some(16_384))
        }),
        way("text and dates; zstd 1; page index", TextAndDates, 1, |builder, _| {
            builder.set_statistics_enabled(EnabledStatistics::Page).set_offset_index_disabled(false)
        }),
        way("text and dates; zstd 1; no statistics", TextAndDates, 1, |builder, _| {
            builder.set_statistics_enabled(EnabledStatistics::None)
        }),
        Way {
            name: "text and dates; zstd 1; Arrow schema embedded",
            dictionaries: TextAndDates,
            level: 1,
            embed_schema: true,
            set: keep,
        },
        way("text and dates; zstd 1; data pages of version 2", TextAndDates, 1, |builder, _| {
            builder.set_writer_version(WriterVersion::PARQUET_2_0)
        }),
        way("text and dates; zstd 1; counts as DELTA_BINARY_PACKED", TextAndDates, 1, |builder, schema| {
            encode(builder, schema, Encoding::DELTA_BINARY_PACKED, |kind| matches!(kind, DataType::Int64))
        }),
        way("text and dates; zstd 1; decimals as BYTE_STREAM_SPLIT", TextAndDates, 1, |builder, schema| {
            encode(builder, schema, Encoding::BYTE_STREAM_SPLIT, |kind| matches!(kind, DataType::Decimal128(..)))
        }),
    ]
}

fn write(way: &Way, schema: &Arc<Schema>, batches: &[RecordBatch]) -> Vec<u8> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(way.level).expect("a level that zstd has")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        builder = builder.set_column_dictionary_enabled(path, way.dictionaries.holds(field.data_type()));
    }
    let properties = (way.set)(builder, schema).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(!way.embed_schema);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options).expect("a schema");
    for batch in batches {
        writer.write(batch).expect("memory is writable");
    }
    writer.into_inner().expect("memory is writable")
}

fn main() {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let body = path.map_or_else(|| report::body(99_999), |path| std::fs::read(path).expect("a readable file"));
    let (table, layout) = (report::table(), report::layout());
    let decoded = report::decode(&layout, &body);
    drop(body);
    let rows = decoded.partitions.rows();
    let mut order = decoded.partitions.day(report::day()).members().to_vec();
    KeyOrder::new(rows, layout.keys()).sort(&mut order);
    let schema = Arc::new(arrow_schema(&table));
    let batches: Vec<RecordBatch> = order
        .chunks(BATCH_ROWS)
        .map(|slice| {
            let mut arrays: Vec<ArrayRef> = rows.columns().iter().map(|column| column.gather(slice)).collect();
            arrays.push(pulled_at(DateTime::UNIX_EPOCH, slice.len()));
            RecordBatch::try_new(Arc::clone(&schema), arrays).expect("arrays of the schema")
        })
        .collect();
    let ways = ways();
    let mut taken: Vec<(Vec<Duration>, usize)> = ways.iter().map(|_| (Vec::new(), 0)).collect();
    for _ in 0..ROUNDS {
        for (way, (times, size)) in ways.iter().zip(&mut taken) {
            let started = Instant::now();
            *size = write(way, &schema, &batches).len();
            times.push(started.elapsed());
        }
    }
    println!("{} rows, {} columns\n\n| settings | time | size |\n|---|---|---|", rows.len(), schema.fields().len());
    for (way, (times, size)) in ways.iter().zip(&mut taken) {
        times.sort();
        println!("| {} | {} ms | {} kB |", way.name, times[ROUNDS / 2].as_millis(), *size / 1000);
    }
}
