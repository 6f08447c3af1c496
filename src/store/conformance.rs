//! What every store promises, proven for each of them: local disk, memory, and the servers that variables name.
//!
//! `TEST_S3_URL=s3://bucket` and `TEST_AZURE_URL=az://container` name places that the variables of their clouds lead to a server
//! (`AWS_ENDPOINT_URL`, `AZURE_STORAGE_USE_EMULATOR`); without them the suite says on stderr that it did not run.

use bytes::Bytes;
use chrono::DateTime;

use super::{Key, Store, StoreError};
use crate::settings::OutputLocation;

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

const DATA: &str = "t/dt=2026-01-01/data.parquet";

/// Everything that is promised, on an empty store.
async fn conforms(store: &Store) {
    nothing_is_there(store).await;
    a_file_is_old_or_new(store).await;
    names_come_back_as_they_are(store).await;
    listings_show_what_is_below_a_folder(store).await;
    removing(store).await;
    many_at_once(store).await;
    one_run_at_a_time(store).await;
    probing_leaves_nothing_behind(store).await;
}

async fn nothing_is_there(store: &Store) {
    assert_eq!(store.get(&key(DATA)).await.expect("read"), None);
    assert_eq!(store.list("t").await.expect("listed"), []);
    store.remove(&key(DATA)).await.expect("what is not there is removed already");
}

async fn a_file_is_old_or_new(store: &Store) {
    store.put(&key(DATA), bytes("old")).await.expect("written");
    let staged = store.stage(bytes("newer")).expect("staged");
    drop(store.stage(bytes("never published")).expect("staged"));
    assert_eq!(store.get(&key(DATA)).await.expect("read"), Some(bytes("old")));
    assert_eq!(store.list("t").await.expect("listed").len(), 1, "staged files are in no listing of a table");
    store.publish(staged, &key(DATA)).await.expect("published");
    assert_eq!(store.get(&key(DATA)).await.expect("read"), Some(bytes("newer")));
    let listed = store.list("t").await.expect("listed");
    assert_eq!(listed.iter().map(|entry| (entry.key.as_str(), entry.size)).collect::<Vec<_>>(), [(DATA, 5)]);
    store.put(&key(DATA), Bytes::new()).await.expect("written");
    assert_eq!(store.get(&key(DATA)).await.expect("read"), Some(Bytes::new()), "a file may be empty");
}

async fn names_come_back_as_they_are(store: &Store) {
    let odd = ["odd/dt=2026-01-01/a b", "odd/100%/x", "odd/a+b", "odd/é"];
    for name in odd {
        store.put(&key(name), bytes(name)).await.expect("written");
        assert_eq!(store.get(&key(name)).await.expect("read"), Some(bytes(name)));
    }
    let listed = store.list("odd").await.expect("listed");
    let mut names: Vec<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    let mut expected = odd.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

async fn listings_show_what_is_below_a_folder(store: &Store) {
    for name in ["a/b/c/d", "a/b/e", "ab/x", "_ledger/runs/r.json"] {
        store.put(&key(name), bytes(name)).await.expect("written");
    }
    let listed = store.list("a").await.expect("listed");
    assert_eq!(listed.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a/b/c/d", "a/b/e"]);
    assert_eq!(store.folders().await.expect("listed"), ["_ledger", "a", "ab", "odd", "t"]);
}

async fn removing(store: &Store) {
    store.remove(&key(DATA)).await.expect("removed");
    assert_eq!(store.get(&key(DATA)).await.expect("read"), None);
    assert_eq!(store.list("t").await.expect("listed"), [], "its folder goes with it");
    store.put(&key(DATA), bytes("again")).await.expect("written");
    assert_eq!(store.get(&key(DATA)).await.expect("read"), Some(bytes("again")));
}

async fn many_at_once(store: &Store) {
    let keys: Vec<Key> = (0..40).map(|number| key(&format!("many/{number:03}"))).collect();
    for name in keys.iter().step_by(2) {
        store.put(name, bytes(name.as_str())).await.expect("written");
    }
    let read = store.get_all(keys.clone()).await.expect("read");
    let names: Vec<&Key> = read.iter().map(|(name, _)| name).collect();
    assert_eq!(names, keys.iter().step_by(2).collect::<Vec<_>>());
    assert!(read.iter().all(|(name, content)| *content == bytes(name.as_str())));
}

async fn one_run_at_a_time(store: &Store) {
    let lock = store.lock("run-1", "pull", DateTime::UNIX_EPOCH).await.expect("free");
    assert!(store.lock("run-2", "pull", DateTime::UNIX_EPOCH).await.is_err());
    store.put(&key(DATA), bytes("by the holder")).await.expect("written");
    lock.release().await;
    store.lock("run-3", "pull", DateTime::UNIX_EPOCH).await.expect("free again").release().await;
}

async fn probing_leaves_nothing_behind(store: &Store) {
    let before = store.list("_ledger").await.expect("listed");
    store.probe_writing().await.expect("writable");
    assert!(store.probe_lock().await.expect("looked at").is_none(), "nobody holds it");
    assert_eq!(store.list("_ledger").await.expect("listed"), before);
    let lock = store.lock("run-4", "pull", DateTime::UNIX_EPOCH).await.expect("probing takes no lock");
    let held = store.probe_lock().await.expect("looked at").expect("held").to_string();
    assert!(held.contains("run-4"), "{held}");
    lock.release().await;
}

#[tokio::test]
async fn the_local_store_conforms() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&OutputLocation::Local(folder.path().join("deep/output"))).await.expect("an output folder");
    conforms(&store).await;
    assert_eq!(std::fs::read_dir(folder.path().join("deep/output/_ledger/staging")).expect("listed").count(), 0);
}

#[tokio::test]
async fn the_store_in_memory_conforms() {
    conforms(&Store::in_memory()).await;
}

/// A location below a bucket that the test script has made, empty and its own.
fn location(url: &str) -> OutputLocation {
    OutputLocation::of(&format!("{url}/{}", uuid::Uuid::now_v7()))
}

#[tokio::test]
async fn an_s3_store_conforms() {
    let Some(url) = std::env::var_os("TEST_S3_URL") else {
        eprintln!("SKIPPED: `TEST_S3_URL` names no bucket (with AWS_ENDPOINT_URL), so that no S3 server is tested");
        return;
    };
    conforms(&Store::read_only(&location(url.to_str().expect("a URL"))).expect("opened")).await;
}

#[tokio::test]
async fn an_azure_store_conforms() {
    let Some(url) = std::env::var_os("TEST_AZURE_URL") else {
        eprintln!("SKIPPED: `TEST_AZURE_URL` names no container (with AZURE_…), so that no Azure server is tested");
        return;
    };
    conforms(&Store::read_only(&location(url.to_str().expect("a URL"))).expect("opened")).await;
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_an_error_and_not_an_empty_one() {
    let Some(url) = std::env::var_os("TEST_S3_URL") else {
        eprintln!("SKIPPED: `TEST_S3_URL` names no bucket (with AWS_ENDPOINT_URL), so that no S3 server is tested");
        return;
    };
    let url = format!("{}-that-is-not-there", url.to_str().expect("a URL"));
    let store = Store::read_only(&OutputLocation::of(&url)).expect("opened");
    let error = store.get(&key(DATA)).await.expect_err("no bucket");
    assert!(matches!(error, StoreError::Bucket { .. }), "{error}");
    assert!(error.remedy().is_some_and(|remedy| remedy.contains("create the bucket")), "{error}");
}
