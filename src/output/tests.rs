//! The task, the ledger it reads back, and the crash protocol cut anywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate};

use super::*;
use crate::ledger::{
    Change, FORMAT_VERSION, Ledger, LedgerError, LedgerFiles, PENDING_FILE, PartitionRecord, PartitionStatus,
    RunOutcome, RunRecord, VERSION_FILE, Write, example, partition_path, seal, tidy,
};
use crate::notice::error_chain;
use crate::settings::OutputLocation;
use crate::store::{Key, Store, checksum};

const MONTH: &str = "_ledger/partitions/t/2026-11.json";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn key(path: &str) -> Key {
    Key::new(path).expect("a key")
}

/// The record of a file with this content.
fn record(date: &str, run_id: &str, content: &str, clicks: &str) -> PartitionRecord {
    PartitionRecord {
        date: day(date),
        bytes: content.len() as u64,
        sha256: checksum(content.as_bytes()),
        sums: [("clicks".to_owned(), clicks.to_owned())].into(),
        run_id: run_id.to_owned(),
        status: PartitionStatus::Provisional,
        ..example(serde_json::json!({}))
    }
}

fn run(run_id: &str, outcome: RunOutcome) -> RunRecord {
    RunRecord {
        format_version: FORMAT_VERSION,
        run_id: run_id.to_owned(),
        command: "backfill".to_owned(),
        parameters: BTreeMap::new(),
        resume_key: "k".to_owned(),
        started_at: DateTime::UNIX_EPOCH,
        finished_at: None,
        outcome,
        calls: BTreeMap::new(),
        retries: 0,
        waited_secs: 0.0,
        partitions: 0,
        errors: Vec::new(),
    }
}

/// An output at its beginning.
async fn begun(store: &Store) -> Output {
    let output = Output::open(store, &[]).await.expect("an empty output");
    output.begin().await.expect("begun");
    output
}

fn new_file(output: &Output, content: &str, record: PartitionRecord) -> NewFile {
    NewFile { staged: output.stage(Bytes::from(content.to_owned())).expect("staged"), record }
}

async fn publish(output: &Output, date: &str, run_id: &str, content: &str, clicks: &str) {
    let file = new_file(output, content, record(date, run_id, content, clicks));
    output.publish(vec![file]).await.expect("published");
}

/// An output with one partition, closed.
async fn with_one_partition(store: &Store) {
    let output = begun(store).await;
    publish(&output, "2026-11-01", "r1", "x", "1").await;
    output.close().await;
}

async fn refused(store: &Store) -> OutputError {
    match Output::open(store, &[]).await {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

fn says_how_to_rebuild(error: &OutputError) -> bool {
    error.code().remedy().contains("status --rebuild")
}

#[tokio::test]
async fn an_output_has_an_identity_from_the_start_and_the_currency_and_time_zone_of_its_first_partition() {
    let store = Store::in_memory();
    let output = begun(&store).await;
    let id = {
        let ledger = output.ledger();
        assert_eq!((ledger.currency(), ledger.timezone()), (None, None));
        ledger.output_id().to_owned()
    };
    assert!(!id.is_empty());
    for (date, currency, zone) in [("2026-11-01", "EUR", "Europe/Paris"), ("2026-11-02", "USD", "UTC")] {
        let (currency, timezone) = (Some(currency.to_owned()), Some(zone.to_owned()));
        let record = PartitionRecord { currency, timezone, ..record(date, "r1", "x", "1") };
        output.publish(vec![new_file(&output, "x", record)]).await.expect("published");
    }
    output.set_row_cap("t", Some(3777)).await.expect("written");
    let again = Output::open(&store, &[]).await.expect("readable");
    let ledger = again.ledger();
    assert_eq!((ledger.output_id(), ledger.currency(), ledger.timezone()), (&*id, Some("EUR"), Some("Europe/Paris")));
    assert_eq!(ledger.row_cap("t"), Some(3777));
}

#[tokio::test]
async fn a_ledger_of_an_older_program_gets_an_identity_and_its_runs_say_its_currency() {
    let store = Store::in_memory();
    let parameters = [("currency", "EUR"), ("timezone", "UTC")];
    let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let version = seal(&serde_json::json!({"format_version": 1})).expect("sealed");
    store.put(&key(VERSION_FILE), Bytes::from(version)).await.expect("written");
    let output = begun(&store).await;
    let id = output.ledger().output_id().to_owned();
    assert!(!id.is_empty());
    output.record_run(RunRecord { parameters, ..run("r1", RunOutcome::Ok) }).await.expect("written");
    publish(&output, "2026-11-01", "r1", "x", "1").await;
    let (ledger, ..) = read(&store).await.expect("readable");
    assert_eq!((ledger.output_id(), ledger.currency(), ledger.timezone()), (&*id, Some("EUR"), Some("UTC")));
}

#[tokio::test]
async fn a_changed_sum_is_kept_as_history_and_an_unchanged_one_is_not() {
    let store = Store::in_memory();
    let output = begun(&store).await;
    for (run, clicks) in [("r1", "10"), ("r2", "10"), ("r3", "12")] {
        publish(&output, "2026-11-01", run, clicks, clicks).await;
    }
    let (ledger, ..) = read(&store).await.expect("readable");
    let history = &ledger.partition("t", day("2026-11-01")).expect("recorded").history;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].run_id, "r2");
    assert_eq!(history[0].sums["clicks"], "10");
}

#[tokio::test]
async fn a_publication_that_broke_off_is_settled_before_the_next_one_of_the_same_run() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&OutputLocation::Local(folder.path().to_owned())).await.expect("an output folder");
    let output = begun(&store).await;
    let file = |day: &str, content: &str| new_file(&output, content, record(day, "r1", content, "1"));
    // The second file of the first publication cannot be put in place; the first one already is.
    let in_the_way = folder.path().join("t/dt=2026-11-02/data.parquet/in the way");
    std::fs::create_dir_all(in_the_way).expect("a folder");
    output.publish(vec![file("2026-11-01", "a"), file("2026-11-02", "b")]).await.expect_err("in the way");
    output.publish(vec![file("2026-11-03", "c")]).await.expect("published");
    let dates = |ledger: &Ledger| ledger.partitions("t").map(|record| record.date.to_string()).collect::<Vec<_>>();
    assert_eq!(dates(&output.ledger()), ["2026-11-01", "2026-11-03"]);
    assert_eq!(dates(&read(&store).await.expect("readable").0), ["2026-11-01", "2026-11-03"]);
    assert_eq!(store.get(&key(PENDING_FILE)).await.expect("readable"), None);
    let published = output.published();
    assert_eq!(published.iter().map(|file| file.date).collect::<Vec<_>>(), [day("2026-11-03")]);
}

#[tokio::test]
async fn what_was_sent_is_published_and_counted_even_if_nobody_waits_for_it() {
    let store = Store::in_memory();
    let output = begun(&store).await;
    let file = new_file(&output, "x", record("2026-11-01", "r1", "x", "1"));
    {
        let publishing = output.publish(vec![file]);
        futures_util::pin_mut!(publishing);
        assert!(futures_util::poll!(publishing).is_pending());
    }
    output.close().await;
    assert_eq!(output.published().len(), 1);
    assert_eq!(read(&store).await.expect("readable").0.partitions("t").count(), 1);
    let late = new_file(&output, "y", record("2026-11-02", "r1", "y", "1"));
    assert!(matches!(output.publish(vec![late]).await, Err(OutputError::Closed)));
}

#[tokio::test]
async fn a_newer_ledger_is_read_but_not_written() {
    let store = Store::in_memory();
    with_one_partition(&store).await;
    for file in [VERSION_FILE, MONTH, PENDING_FILE] {
        let old = store.get(&key(file)).await.expect("readable");
        let content = old.clone().unwrap_or_else(|| Bytes::from_static(b"{\"format_version\": 1, \"partitions\": []}"));
        let mut newer: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
        newer["format_version"] = 99.into();
        newer["new_field"] = true.into();
        newer.as_object_mut().expect("an object").remove("checksum");
        for content in [seal(&newer).expect("sealed"), serde_json::to_vec(&newer).expect("JSON")] {
            let content = Bytes::from(content);
            store.put(&key(file), content.clone()).await.expect("written");
            assert_eq!(read(&store).await.expect("readable").0.partitions("t").count(), 1, "{file}");
            for error in [refused(&store).await, read_to_plan(&store, &[]).await.expect_err("newer")] {
                let OutputError::Ledger(ledger) = &error else { panic!("{error}") };
                assert!(matches!(**ledger, LedgerError::Newer { found: 99 }), "{file}: {error}");
                assert!(error.code().remedy().contains("use the newer"), "{error}");
            }
            assert_eq!(store.get(&key(file)).await.expect("readable"), Some(content), "{file}");
        }
        match old {
            Some(old) => store.put(&key(file), old).await.expect("written"),
            None => store.remove(&key(file)).await.expect("removed"),
        }
    }
    Output::open(&store, &[]).await.expect("as it was");
}

#[tokio::test]
async fn a_ledger_file_cut_anywhere_or_with_any_bit_flipped_is_not_written_over_as_if_it_were_sound() {
    let store = Store::in_memory();
    with_one_partition(&store).await;
    let pending = serde_json::json!({"format_version": FORMAT_VERSION, "partitions": []});
    store.put(&key(PENDING_FILE), Bytes::from(seal(&pending).expect("sealed"))).await.expect("written");
    for file in [VERSION_FILE, PENDING_FILE, MONTH] {
        let sound = store.get(&key(file)).await.expect("readable").expect("a file");
        let mut broken: Vec<Vec<u8>> = (0..sound.len()).map(|end| sound[..end].to_vec()).collect();
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut flipped = sound.to_vec();
                flipped[at] ^= 1 << bit;
                broken.push(flipped);
            }
        }
        for content in broken {
            store.put(&key(file), Bytes::from(content)).await.expect("written");
            let error = refused(&store).await;
            let message = error_chain(&error);
            // A version that became a higher number is a newer program's, to all appearance.
            let is_newer = matches!(&error, OutputError::Ledger(error) if matches!(**error, LedgerError::Newer { .. }));
            assert!(is_newer || (says_how_to_rebuild(&error) && message.contains(file)), "{message}");
        }
        store.put(&key(file), sound).await.expect("written");
    }
    let output = Output::open(&store, &[]).await.expect("as it was");
    assert_eq!(output.ledger().partitions("t").count(), 1);
}

#[tokio::test]
async fn data_without_a_ledger_is_not_taken_for_a_first_run() {
    let store = Store::in_memory();
    with_one_partition(&store).await;
    store.remove(&key(VERSION_FILE)).await.expect("removed");
    let error = refused(&store).await;
    assert!(error.to_string().contains("1 partitions") && says_how_to_rebuild(&error), "{error}");
    assert_eq!(read(&store).await.expect("readable").1.damaged(true), [VERSION_FILE]);
}

#[tokio::test]
async fn every_damage_that_stops_a_run_says_how_to_rebuild() {
    for file in [VERSION_FILE, PENDING_FILE, MONTH] {
        for content in [&b"{\"format"[..], b"", b"\x00\x00\x00", b"{\"format_version\":\"x\"}"] {
            let store = Store::in_memory();
            store.put(&key(file), Bytes::from_static(content)).await.expect("written");
            let error = refused(&store).await;
            assert!(says_how_to_rebuild(&error), "{file}: {error}");
        }
    }
}

#[tokio::test]
async fn a_backfill_continues_from_runs_since_the_last_that_ended_well() {
    let store = Store::in_memory();
    let output = begun(&store).await;
    let outcomes = [RunOutcome::Running, RunOutcome::Ok, RunOutcome::Partial, RunOutcome::Running];
    for (number, outcome) in outcomes.into_iter().enumerate() {
        output.record_run(run(&format!("r{number}"), outcome)).await.expect("written");
    }
    assert_eq!(output.ledger().unfinished_runs("k"), ["r3", "r2"]);
    assert_eq!(output.ledger().unfinished_runs("other"), Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_run_record_stops_no_run_but_nothing_older_is_continued() {
    let store = Store::in_memory();
    let output = begun(&store).await;
    for run_id in ["r1", "r2", "r3"] {
        output.record_run(run(run_id, RunOutcome::Partial)).await.expect("written");
    }
    assert_eq!(output.ledger().unfinished_runs("k"), ["r3", "r2", "r1"]);
    store.put(&key("_ledger/runs/r2.json"), Bytes::from_static(b"{")).await.expect("written");
    for other in ["_ledger/runs/.DS_Store", "_ledger/partitions/.DS_Store"] {
        store.put(&key(other), Bytes::from_static(b"x")).await.expect("written");
    }
    let (ledger, files, _) = read(&store).await.expect("usable");
    assert_eq!(ledger.unfinished_runs("k"), ["r3"]);
    assert_eq!(files.damaged(false), ["_ledger/runs/r2.json"]);
}

#[tokio::test]
async fn files_that_a_loader_would_read_by_mistake_are_noticed() {
    let store = Store::in_memory();
    with_one_partition(&store).await;
    for name in ["t/dt=2026-11-01/part-0.parquet", "t/_SUCCESS", "t/old.parquet", "t/dt=x/data.parquet", "mine/x.csv"] {
        store.put(&key(name), Bytes::from_static(b"x")).await.expect("written");
    }
    let output = Output::open(&store, &[]).await.expect("readable");
    let unexpected: Vec<&str> = output.unexpected().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(unexpected, ["t/dt=2026-11-01/part-0.parquet", "t/dt=x/data.parquet", "t/old.parquet"]);
    assert_eq!(Inventory::of_all(&store).await.expect("listed").count(), 1);
}

/// What lies in a store, as the cut test sees it.
type World = BTreeMap<String, Bytes>;

fn write(world: &mut World, write: &Write, staged: &[String]) {
    match write {
        Write::Put(name, content) => drop(world.insert(name.clone(), content.clone())),
        Write::Publish(name, position) => drop(world.insert(name.clone(), Bytes::from(staged[*position].clone()))),
        Write::Remove(name) => drop(world.remove(name)),
    }
}

/// Every world that writes can leave when they are cut: some steps are done, and any part of the next one.
fn cut_worlds(world: &World, steps: &[Vec<Write>], staged: &[String]) -> Vec<World> {
    let mut worlds = vec![world.clone()];
    let mut done = world.clone();
    for step in steps {
        for part in 1..1_u32 << step.len() {
            let mut cut = done.clone();
            for (_, one) in step.iter().enumerate().filter(|(position, _)| part & (1 << position) != 0) {
                write(&mut cut, one, staged);
            }
            worlds.push(cut);
        }
        for one in step {
            write(&mut done, one, staged);
        }
    }
    worlds
}

/// What the next run makes of a world: its ledger, and the writes that settle what was pending.
fn reopened(world: &World) -> (Ledger, Vec<Vec<Write>>) {
    let files = LedgerFiles::new(world.clone());
    let has_data = world.keys().any(|name| name.ends_with(".parquet"));
    assert!(files.is_begun().expect("sound") || !has_data, "the ledger would count as lost");
    let mut ledger = Ledger::of_files(&files).expect("sound");
    let pending = files.pending().expect("sound");
    let is_live =
        |record: &&PartitionRecord| world.get(&record.path()).is_some_and(|file| checksum(file) == record.sha256);
    let live = ledger.unsettled(&pending).into_iter().filter(is_live).cloned().collect();
    let settled = ledger.prepare(Change::Settle(live));
    let steps = if files.get(PENDING_FILE).is_some() { settled.steps.clone() } else { Vec::new() };
    ledger.apply(settled);
    (ledger, steps)
}

/// The ledger says of every file what it is, and of no other; but for one whose removal may have been cut.
fn assert_agrees(ledger: &Ledger, world: &World, removed: Option<&str>, what: &str) {
    for (name, content) in world.iter().filter(|(name, _)| name.ends_with(".parquet")) {
        let date = day(name.strip_prefix("t/dt=").and_then(|name| name.split('/').next()).expect("a partition"));
        let record = ledger.partition("t", date).unwrap_or_else(|| panic!("{what}: {name} has no record"));
        assert_eq!(record.sha256, checksum(content), "{what}: {name}");
    }
    for record in ledger.partitions("t").filter(|record| Some(record.path().as_str()) != removed) {
        assert!(world.contains_key(&record.path()), "{what}: {} is recorded only", record.path());
    }
}

/// The changes of a few runs, each with the contents it stages.
fn changes() -> Vec<(Change, Vec<String>)> {
    let publish = |files: &[(&str, &str)]| {
        let records = files.iter().map(|(date, content)| record(date, "r1", content, content)).collect();
        (Change::Publish(records), files.iter().map(|(_, content)| (*content).to_owned()).collect())
    };
    let amended = PartitionRecord { status: PartitionStatus::Mismatch, ..record("2026-11-02", "r1", "2b", "2b") };
    vec![
        (Change::Begin, Vec::new()),
        (Change::Run(run("r1", RunOutcome::Running)), Vec::new()),
        publish(&[("2026-10-31", "0a"), ("2026-11-01", "1a"), ("2026-11-02", "2a")]),
        publish(&[("2026-11-02", "2b"), ("2026-11-03", "3a")]),
        (Change::Amend(vec![amended]), Vec::new()),
        (Change::RowCap { table: "t".to_owned(), cap: Some(9) }, Vec::new()),
        publish(&[("2026-10-31", "0b"), ("2026-11-01", "1b"), ("2026-11-03", "3b")]),
        (Change::Remove { table: "t".to_owned(), date: day("2026-10-31") }, Vec::new()),
        (Change::Run(run("r1", RunOutcome::Ok)), Vec::new()),
    ]
}

#[test]
fn wherever_its_writes_are_cut_every_partition_is_old_or_new_and_the_ledger_agrees_after_the_next_run_has_settled() {
    // In a bucket `pending.json` stays until the next publication writes over it.
    for leaves_pending in [false, true] {
        let (mut world, mut ledger, mut cuts) = (World::new(), Ledger::default(), 0);
        for (change, staged) in changes() {
            let removed = match &change {
                Change::Remove { table, date } => Some(partition_path(table, *date)),
                _ => None,
            };
            let prepared = ledger.prepare(change.clone());
            let mut steps = prepared.steps.clone();
            if matches!(change, Change::Publish(_)) && !leaves_pending {
                steps.push(tidy());
            }
            ledger.apply(prepared);
            let after = cut_worlds(&world, &steps, &staged).pop().expect("the whole");
            for cut in cut_worlds(&world, &steps, &staged) {
                let what = format!("{change:?} cut at {:?}", cut.keys().collect::<Vec<_>>());
                for (name, content) in cut.iter().filter(|(name, _)| name.ends_with(".parquet")) {
                    let is_known = [world.get(name), after.get(name)].contains(&Some(content));
                    assert!(is_known, "{what}: {name} is neither old nor new");
                }
                for name in world.keys().filter(|name| name.ends_with(".parquet") && Some(*name) != removed.as_ref()) {
                    assert!(cut.contains_key(name), "{what}: {name} is gone");
                }
                let (settled, settling) = reopened(&cut);
                assert_agrees(&settled, &cut, removed.as_deref(), &what);
                // The run that settles is killed, too.
                for again in cut_worlds(&cut, &settling, &[]) {
                    let (ledger, rest) = reopened(&again);
                    assert_agrees(&ledger, &again, removed.as_deref(), &what);
                    let done = cut_worlds(&again, &rest, &[]).pop().expect("the whole");
                    assert_agrees(
                        &Ledger::of_files(&LedgerFiles::new(done.clone())).expect("sound"),
                        &done,
                        removed.as_deref(),
                        &what,
                    );
                    cuts += 1;
                }
                // It does what the other one was about to do, and ends in the same state.
                let repeated = settled.prepare(change.clone());
                let end = cut_worlds(&cut, &repeated.steps, &staged).pop().expect("the whole");
                let partitions = |world: &World| -> Vec<(String, Bytes)> {
                    let files = world.iter().filter(|(name, _)| name.ends_with(".parquet"));
                    files.map(|(name, content)| (name.clone(), content.clone())).collect()
                };
                assert_eq!(partitions(&end), partitions(&after), "{what}");
            }
            world = after;
            assert_agrees(&ledger, &world, None, "undisturbed");
        }
        let (read, _) = reopened(&world);
        let records = |ledger: &Ledger| ledger.partitions("t").cloned().collect::<Vec<_>>();
        assert_eq!(records(&read), records(&ledger));
        assert_eq!(read.partition("t", day("2026-11-02")).expect("recorded").status, PartitionStatus::Mismatch);
        println!("{cuts} cuts");
        assert!(cuts > 100, "{cuts}");
    }
}
