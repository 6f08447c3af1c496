//! Rebuilding and verifying, against files written the way a run writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};

use super::*;
use bytes::Bytes;

use crate::catalog::{Catalog, Table, TableOverrides};
use crate::ledger::{
    FORMAT_VERSION, LedgerError, PartitionRecord, PartitionStatus, RunOutcome, RunRecord, example, seal,
};
use crate::output::{NewFile, Output, OutputError, read};
use crate::store::{Key, Store, checksum};
use crate::table::columns::{Rows, Value};
use crate::table::decode::ReportLayout;
use crate::table::footer;
use crate::table::parquet::{Provenance, rows_checksum, table_schema_version, write_batches, write_rows};
use crate::table::partitions::Partitions;
use crate::table::schema::arrow_schema;

const REPORT: &str = "ad_statistics_daily";
const ENTITY: &str = "campaigns";
const AS_OF: &str = "2026-11-22";
const OUTPUT_ID: &str = "the-output";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn table(name: &str) -> Table {
    Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table").0
}

/// An output that a run has written to.
struct Pulled {
    store: Store,
    tables: [Table; 2],
}

fn key(path: &str) -> Key {
    Key::new(path).expect("a key")
}

impl Pulled {
    /// Two days of a report, one of them final, and a snapshot; the advertiser 9 was refused.
    async fn new() -> Self {
        let pulled = Self { store: Store::in_memory(), tables: [table(REPORT), table(ENTITY)] };
        let output = pulled.open().await;
        output.begin().await.expect("begun");
        pulled.publish(&output, "run-1", "2026-09-01", 3).await;
        pulled.publish(&output, "run-1", "2026-11-20", 5).await;
        pulled.publish_snapshot(&output).await;
        output.record_run(run("run-1")).await.expect("recorded");
        output.close().await;
        pulled
    }

    async fn open(&self) -> Output {
        Output::open(&self.store, &[]).await.expect("usable")
    }

    fn provenance(run_id: &str) -> Provenance {
        let parameters = [
            (footer::AS_OF, AS_OF),
            (footer::CALLS, "7"),
            (footer::WITHOUT_ADVERTISERS, "9"),
            (footer::ADVERTISERS, "1,2"),
            (footer::RETAINED_ADVERTISERS, "9"),
            (footer::CURRENCY, "USD"),
            (footer::TIMEZONE, "UTC"),
            (footer::OUTPUT_ID, OUTPUT_ID),
        ];
        Provenance {
            api_version: "2026-07".to_owned(),
            run_id: run_id.to_owned(),
            pulled_at: DateTime::from_timestamp(1_800_000_000, 123_456_000).expect("an instant"),
            parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    fn record(table: &str, date: &str, run_id: &str) -> PartitionRecord {
        PartitionRecord {
            table: table.to_owned(),
            date: day(date),
            rows: 0,
            bytes: 0,
            run_id: run_id.to_owned(),
            pulled_at: Self::provenance(run_id).pulled_at,
            calls: 7,
            advertisers: Some(vec!["1".to_owned(), "2".to_owned()]),
            retained_advertisers: vec!["9".to_owned()],
            schema_version: Some(table_schema_version(&self::table(table))),
            currency: Some("USD".to_owned()),
            timezone: Some("UTC".to_owned()),
            without_advertisers: vec!["9".to_owned()],
            ..example(serde_json::json!({}))
        }
    }

    /// A day of the report with `rows` rows, each of one click at a cost of a third, more or less.
    async fn publish(&self, output: &Output, run_id: &str, date: &str, rows: u32) {
        let table = &self.tables[0];
        let layout = ReportLayout::new(table, chrono_tz::UTC, "USD").expect("a report");
        let columns = report_columns(&layout, day(date), rows);
        let order: Vec<u32> = (0..rows).collect();
        let content = write_rows(table, &columns, &order, &[], &Self::provenance(run_id), Vec::new()).expect("written");
        let mut record = Self::record(REPORT, date, run_id);
        record.rows = rows.into();
        record.status = if date < "2026-10-01" { PartitionStatus::Final } else { PartitionStatus::Provisional };
        let partitions = Partitions::of_one_day(columns, day(date));
        let additive = layout.columns().enumerate().filter(|(_, column)| column.additive);
        record.sums = additive
            .filter_map(|(position, column)| {
                let sum = partitions.day(day(date)).sum_billionths(position)?;
                Some((column.name.clone(), crate::table::numeric::format_numeric(sum)))
            })
            .collect();
        assert_eq!(record.sums["clicks"], rows.to_string());
        Self::put_in_place(output, record, content).await;
    }

    async fn put_in_place(output: &Output, mut record: PartitionRecord, content: Vec<u8>) {
        let content = Bytes::from(content);
        (record.bytes, record.sha256) = (content.len() as u64, checksum(&content));
        record.rows_sha256 = rows_checksum(&content);
        let staged = output.stage(content).expect("staged");
        output.publish(vec![NewFile { staged, record }]).await.expect("published");
    }

    async fn publish_snapshot(&self, output: &Output) {
        let table = &self.tables[1];
        let schema = Arc::new(arrow_schema(table));
        let batch = empty(&schema);
        let batches = std::iter::once(Ok(batch));
        let content = write_batches(table, &schema, batches, &Self::provenance("run-1"), Vec::new()).expect("written");
        Self::put_in_place(output, Self::record(ENTITY, AS_OF, "run-1"), content).await;
    }

    async fn rebuild(&self) -> Result<Rebuilt, OutputError> {
        let rebuild = Rebuild {
            store: &self.store,
            run_id: "run-9",
            now: DateTime::UNIX_EPOCH,
            tables: &self.tables,
            as_of: day(AS_OF),
            timezone: chrono_tz::UTC,
            lookback_days: 30,
        };
        rebuild.run().await.map(|(_, rebuilt)| rebuilt)
    }

    async fn verify(&self) -> Vec<(Problem, String)> {
        let tables = Tables { wanted: &|_| true, is_snapshot: &|name| name == ENTITY };
        let verification = verify(&self.store, tables).await.expect("verified");
        verification.findings.into_iter().map(|finding| (finding.problem, finding.path)).collect()
    }

    async fn records(&self) -> Vec<PartitionRecord> {
        let (ledger, ..) = read(&self.store).await.expect("readable");
        ledger.tables().flat_map(|table| ledger.partitions(table)).cloned().collect()
    }

    async fn damaged(&self) -> Vec<String> {
        let (_, files, _) = read(&self.store).await.expect("readable");
        files.damaged(true)
    }

    async fn remove_ledger(&self) {
        for entry in self.store.list("_ledger").await.expect("listed") {
            self.store.remove(&entry.key).await.expect("removed");
        }
    }

    async fn put(&self, file: &str, content: &[u8]) {
        self.store.put(&key(file), Bytes::copy_from_slice(content)).await.expect("written");
    }

    async fn get(&self, file: &str) -> Option<Bytes> {
        self.store.get(&key(file)).await.expect("read")
    }
}

fn run(run_id: &str) -> RunRecord {
    RunRecord {
        format_version: FORMAT_VERSION,
        run_id: run_id.to_owned(),
        command: "pull".to_owned(),
        parameters: BTreeMap::new(),
        resume_key: "k".to_owned(),
        started_at: DateTime::<Utc>::UNIX_EPOCH,
        finished_at: None,
        outcome: RunOutcome::Partial,
        calls: BTreeMap::new(),
        retries: 0,
        waited_secs: 0.0,
        partitions: 3,
        errors: Vec::new(),
    }
}

fn report_columns(layout: &ReportLayout, date: NaiveDate, rows: u32) -> Rows {
    let mut columns = layout.empty_rows();
    for row in 0..rows {
        let id = row.to_string();
        let values = layout.columns().map(|column| match column.name.as_str() {
            "day" => Value::Date(date.to_epoch_days()),
            "clicks" => Value::Integer(1),
            "advertiser_cost" => Value::Numeric(333_333_333 + i128::from(row)),
            name if name.ends_with("_id") => Value::Text(&id),
            "currency" => Value::Text("USD"),
            _ => Value::Null,
        });
        assert_eq!(columns.push(values), Ok(()), "values fit");
    }
    columns
}

fn empty(schema: &Arc<Schema>) -> RecordBatch {
    let columns: Vec<ArrayRef> =
        schema.fields().iter().map(|field| new_null_array(&DataType::clone(field.data_type()), 0)).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).expect("a batch without rows")
}

const MONTH: &str = "_ledger/partitions/ad_statistics_daily/2026-11.json";
const FILE: &str = "ad_statistics_daily/dt=2026-11-20/data.parquet";

#[tokio::test]
async fn a_rebuild_of_a_lost_ledger_equals_the_original_for_reports_and_entities() {
    let output = Pulled::new().await;
    let original = output.records().await;
    assert_eq!(original.len(), 3);
    output.remove_ledger().await;
    let rebuilt = output.rebuild().await.expect("rebuilt");
    assert_eq!(rebuilt.reconstructed, [(REPORT.to_owned(), 2), (ENTITY.to_owned(), 1)].into());
    assert_eq!((rebuilt.kept, rebuilt.dropped), (0, Vec::new()));
    assert_eq!(output.records().await, original);
    assert_eq!(output.verify().await, []);
    let opened = output.open().await;
    let ledger = opened.ledger();
    let conventions = (ledger.output_id(), ledger.currency(), ledger.timezone());
    assert_eq!(conventions, (OUTPUT_ID, Some("USD"), Some("UTC")));
}

#[tokio::test]
async fn a_rebuild_keeps_what_can_be_read_history_included() {
    let output = Pulled::new().await;
    let writer = output.open().await;
    output.publish(&writer, "run-2", "2026-11-20", 6).await;
    writer.close().await;
    output.put("_ledger/partitions/ad_statistics_daily/2026-09.json", b"{\"format_version\": 1, \"part").await;
    let rebuilt = output.rebuild().await.expect("rebuilt");
    assert_eq!((rebuilt.kept, rebuilt.runs), (2, 1));
    assert_eq!(rebuilt.reconstructed, [(REPORT.to_owned(), 1)].into());
    let records = output.records().await;
    assert_eq!(records.iter().map(|record| record.history.len()).collect::<Vec<_>>(), [0, 1, 0]);
}

#[tokio::test]
async fn one_damaged_record_does_not_cost_the_others_of_its_month() {
    let output = Pulled::new().await;
    let content = output.get(MONTH).await.expect("a month");
    let text = String::from_utf8(content.to_vec()).expect("text");
    let mut torn: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    torn["partitions"]["2026-11-19"] = serde_json::json!({"table": 1});
    torn.as_object_mut().expect("an object").remove("checksum");
    output.put(MONTH, &seal(&torn).expect("sealed")).await;
    let rebuilt = output.rebuild().await.expect("rebuilt");
    assert_eq!((rebuilt.kept, rebuilt.moved_aside.len()), (3, 1));
}

#[tokio::test]
async fn nothing_of_a_file_that_does_not_match_its_checksum_survives_a_rebuild() {
    let output = Pulled::new().await;
    let original = output.records().await;
    let content = output.get(MONTH).await.expect("a month");
    let text = String::from_utf8(content.to_vec()).expect("text");
    // Still JSON, still a record of a file with this checksum: only the number of rows is another.
    let rotten = text.replace("\"rows\": 5", "\"rows\": 4");
    assert_ne!(rotten, text);
    output.put(MONTH, rotten.as_bytes()).await;
    assert!(Output::open(&output.store, &[]).await.is_err());
    let rebuilt = output.rebuild().await.expect("rebuilt");
    assert_eq!((rebuilt.kept, rebuilt.moved_aside.len()), (2, 1));
    assert_eq!(output.records().await, original);
}

#[tokio::test]
async fn damaged_files_are_moved_aside_and_replaced_and_the_next_run_can_start() {
    let damaged = ["_ledger/ledger.json", MONTH, "_ledger/pending.json", "_ledger/runs/run-1.json"];
    for file in damaged {
        let output = Pulled::new().await;
        let original = output.records().await;
        output.put(file, b"\0\0\0").await;
        let rebuilt = output.rebuild().await.expect("rebuilt");
        let copy = file.replace("_ledger/", "_ledger/damaged/run-9/");
        assert_eq!(rebuilt.moved_aside, [copy.as_str()]);
        assert_eq!(output.get(&copy).await, Some(Bytes::from_static(b"\0\0\0")));
        output.open().await;
        assert_eq!(output.damaged().await, Vec::<String>::new());
        assert_eq!(output.records().await, original, "{file}");
    }
}

#[tokio::test]
async fn nothing_older_than_a_lost_run_is_continued_after_a_rebuild() {
    let output = Pulled::new().await;
    output.put("_ledger/runs/run-2.json", b"").await;
    output.rebuild().await.expect("rebuilt");
    let opened = output.open().await;
    assert_eq!(opened.ledger().unfinished_runs("k"), Vec::<String>::new());
    opened.record_run(run("run-10-later")).await.expect("recorded");
    assert_eq!(opened.ledger().runs().count(), 3);
}

#[tokio::test]
async fn a_rebuild_can_be_repeated() {
    let output = Pulled::new().await;
    output.remove_ledger().await;
    output.rebuild().await.expect("rebuilt");
    let once = output.records().await;
    let again = output.rebuild().await.expect("rebuilt again");
    assert_eq!((again.kept, output.records().await), (3, once));
}

#[tokio::test]
async fn a_record_that_is_pending_for_a_live_file_is_kept() {
    let output = Pulled::new().await;
    let original = output.records().await;
    let month = output.get(MONTH).await.expect("a month");
    let november: Vec<&PartitionRecord> = original.iter().filter(|record| record.date == day("2026-11-20")).collect();
    let pending = serde_json::json!({"format_version": FORMAT_VERSION, "partitions": november});
    output.put("_ledger/pending.json", &seal(&pending).expect("sealed")).await;
    output.store.remove(&key(MONTH)).await.expect("removed");
    assert_eq!(output.verify().await, [], "a pending record is as good as a recorded one");
    assert_eq!(output.rebuild().await.expect("rebuilt").kept, 3);
    assert_eq!(output.get("_ledger/pending.json").await, None);
    assert_eq!(output.get(MONTH).await, Some(month));
}

#[tokio::test]
async fn a_newer_ledger_is_not_rebuilt() {
    for file in ["_ledger/ledger.json", MONTH, "_ledger/runs/run-1.json"] {
        let output = Pulled::new().await;
        output.put(file, b"{\"format_version\": 99}").await;
        assert!(
            matches!(output.rebuild().await, Err(OutputError::Ledger(error)) if matches!(*error, LedgerError::Newer { found: 99 })),
            "{file}"
        );
        assert_eq!(output.get(file).await, Some(Bytes::from_static(b"{\"format_version\": 99}")));
    }
}

#[tokio::test]
async fn files_of_others_and_unreadable_files_get_no_record() {
    let output = Pulled::new().await;
    output.remove_ledger().await;
    output.put("ad_statistics_daily/dt=2026-11-18/data.parquet", b"no parquet").await;
    let sound = output.get(FILE).await.expect("a file");
    output.put("device_statistics_daily/dt=2026-11-20/data.parquet", &sound).await;
    output.put("ad_statistics_daily/dt=2026-11-20/part-0.parquet", b"x").await;
    output.put("exports/mine.csv", b"x").await;
    output.put("ad_statistics_daily/_SUCCESS", b"").await;
    let rebuilt = output.rebuild().await.expect("rebuilt");
    let dropped: Vec<_> = rebuilt.dropped.iter().map(|dropped| (dropped.path.as_str(), dropped.is_loss)).collect();
    assert_eq!(
        dropped,
        [
            ("ad_statistics_daily/dt=2026-11-18/data.parquet", true),
            ("device_statistics_daily/dt=2026-11-20/data.parquet", false),
            ("ad_statistics_daily/dt=2026-11-20/part-0.parquet", false),
        ]
    );
    assert_eq!(output.records().await.len(), 3);
}

#[tokio::test]
async fn bit_rot_is_not_recorded_as_if_it_were_sound() {
    let output = Pulled::new().await;
    let mut content = output.get(FILE).await.expect("a file").to_vec();
    // Somewhere in the footer's text: the file still opens.
    let place = content.windows(7).position(|bytes| bytes == b"2026-07").expect("the API version");
    content[place] = b'3';
    output.put(FILE, &content).await;
    let rebuilt = output.rebuild().await.expect("rebuilt");
    assert_eq!(rebuilt.dropped.iter().map(|dropped| dropped.path.as_str()).collect::<Vec<_>>(), [FILE]);
    assert!(rebuilt.dropped[0].message.contains("--force"), "{:?}", rebuilt.dropped);
    assert_eq!(output.records().await.len(), 2);
}

#[tokio::test]
async fn verify_finds_bit_rot_missing_and_extra_files_and_changes_nothing() {
    let output = Pulled::new().await;
    assert_eq!(output.verify().await, []);
    let sound = output.get(FILE).await.expect("a file");
    let mut rotten = sound.to_vec();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    output.put(FILE, &rotten).await;
    assert_eq!(output.verify().await, [(Problem::WrongChecksum, FILE.to_owned())]);
    output.put(FILE, &sound[..middle]).await;
    assert_eq!(output.verify().await, [(Problem::WrongSize, FILE.to_owned())]);
    output.store.remove(&key(FILE)).await.expect("removed");
    assert_eq!(output.verify().await, [(Problem::Missing, FILE.to_owned())]);
    output.put(FILE, &sound).await;
    let extra = "ad_statistics_daily/dt=2026-11-19/data.parquet";
    output.put(extra, &sound).await;
    output.put("campaigns/dt=tomorrow/data.parquet", &sound).await;
    let found = [
        (Problem::NoRecord, extra.to_owned()),
        (Problem::UnexpectedFile, "campaigns/dt=tomorrow/data.parquet".to_owned()),
    ];
    assert_eq!(output.verify().await, found);
    assert_eq!(output.get(extra).await, Some(sound));
}
