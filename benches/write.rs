//! Writing decoded rows as one Parquet file: the order of the rows, and the file itself.
//!
//! ```sh
//! cargo bench --bench write
//! ```

mod report;

use std::hint::black_box;

use chrono::DateTime;
use criteo_source::table::order::KeyOrder;
use criteo_source::table::parquet::{Provenance, write_rows};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 20_000;

fn write(criterion: &mut Criterion) {
    let (table, layout) = (report::table(), report::layout());
    let decoded = report::decode(&layout, &report::body(ROWS));
    let rows = decoded.partitions.rows();
    let provenance = Provenance {
        api_version: "2026-07".to_owned(),
        run_id: "bench".to_owned(),
        pulled_at: DateTime::UNIX_EPOCH,
        parameters: Vec::new(),
    };
    let mut group = criterion.benchmark_group("write");
    group.sample_size(30).throughput(Throughput::Elements(ROWS as u64));
    let came: Vec<u32> = decoded.partitions.day(report::day()).members().to_vec();
    let sorted = |rows| {
        let mut order = came.clone();
        KeyOrder::new(rows, layout.keys()).sort(&mut order);
        order
    };
    group.bench_function("order of the primary key", |bencher| bencher.iter(|| sorted(black_box(rows))));
    let order = sorted(rows);
    group.bench_function("Parquet", |bencher| {
        bencher.iter(|| {
            write_rows(&table, black_box(rows), &order, &[], &provenance, Vec::new()).expect("memory is writable")
        });
    });
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
