//! Whether a run could write to an output, and who is writing now, found out without leaving anything behind.
//!
//! On a local disk a hidden file is written beside what is there and removed; a folder that is missing is not made: whoever may
//! write a file next to it may make it. In a bucket an object is created, replaced and deleted, each under the conditions of a run's
//! own writes, because a store that ignores them cannot be used. The lock is looked at and never held, so that a run may start
//! meanwhile.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::bucket::Bucket;
use super::error::StoreError;
use super::lease::Lease;
use super::local::{Local, STAGING_FOLDER};
use super::lock::{self, LockError};
use super::{Key, Kind, Store};

/// Enough for a full disk to refuse it.
const CONTENT: &[u8] = b"written by `criteo-source check`, and removed again";

impl Store {
    /// Proves that a run could write here, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// With what could not be done, as a run would fail with.
    pub async fn probe_writing(&self) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Local(local) => super::on_thread(local, &(), |local, ()| write_beside(local)).await,
            Kind::Bucket(bucket) => write_object(bucket).await,
        }
    }

    /// What a run that began now would be refused with, if another one holds the lock.
    ///
    /// # Errors
    ///
    /// When the lock cannot be read.
    pub async fn probe_lock(&self) -> Result<Option<LockError>, StoreError> {
        let holder = match &self.0 {
            Kind::Local(local) => super::on_thread(local, &(), |local, ()| lock_holder(local)).await?,
            Kind::Bucket(bucket) => Lease::holder(bucket).await?,
        };
        Ok(holder.map(|holder| LockError::Held { output: self.name(), holder }))
    }
}

/// Writes and removes a file in the folder of staged files, or in what there is of the folders above it.
fn write_beside(local: &Local) -> Result<(), StoreError> {
    let folder = existing(&local.root().join(STAGING_FOLDER));
    let path = folder.join(format!(".criteo-source-check-{}", std::process::id()));
    let failed = |action| {
        move |source: io::Error, place: &Path| StoreError::Disk { action, place: place.display().to_string(), source }
    };
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|error| failed("write to the folder")(error, &folder))?;
    let written = file.write_all(CONTENT).and_then(|()| file.sync_all());
    drop(file);
    let removed = fs::remove_file(&path);
    written.map_err(|error| failed("write to the folder")(error, &folder))?;
    removed.map_err(|error| failed("remove a file of the folder")(error, &folder))
}

/// The path, or the nearest one above it at which there is something.
fn existing(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.symlink_metadata().is_ok());
    // Of a relative path, the part that is not written is the working directory.
    above.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Who holds the kernel's lock. A holder writes its name into the file and empties it at its end, so that the lock itself has to be
/// tried only where a name is left: of a run that lives, or of one that was killed.
fn lock_holder(local: &Local) -> Result<Option<String>, StoreError> {
    let path = local.lock_path();
    let failed = |source| StoreError::Disk { action: "look at", place: path.display().to_string(), source };
    let mut file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    if text.is_empty() {
        return Ok(None);
    }
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(fs::TryLockError::WouldBlock) => Ok(Some(lock::holder_in_words(&text))),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Creates an object that no reader of an output looks at, replaces it and deletes it.
async fn write_object(bucket: &Bucket) -> Result<(), StoreError> {
    let name = format!("{STAGING_FOLDER}/check-{}", uuid::Uuid::now_v7());
    let key = Key::new(&name).expect("a plain name");
    // It is not there, which the first write then insists on.
    bucket.get(&key).await?;
    bucket.put(&key, Bytes::from_static(b"created")).await?;
    let replaced = bucket.put(&key, Bytes::from_static(CONTENT)).await;
    let removed = bucket.remove(&key).await;
    replaced.and(removed)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::settings::OutputLocation;

    fn store(folder: &Path) -> Store {
        Store::read_only(&OutputLocation::Local(folder.to_owned())).expect("a local store")
    }

    /// Every path below a folder.
    fn paths(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("listed").flatten() {
            found.push(entry.path());
            if entry.path().is_dir() {
                found.extend(paths(&entry.path()));
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_missing_folder_is_writable_and_is_not_made() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let store = store(&scratch.path().join("deep/output"));
        store.probe_writing().await.expect("writable");
        assert!(store.probe_lock().await.expect("looked at").is_none());
        assert_eq!(paths(scratch.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_named() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let file = scratch.path().join("file");
        fs::write(&file, "in the way").expect("written");
        let error = store(&file.join("output")).probe_writing().await.expect_err("a file");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("still there"), "in the way");
    }

    #[tokio::test]
    async fn the_lock_of_a_run_that_lives_is_seen_and_that_of_a_dead_one_is_free() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let location = OutputLocation::Local(scratch.path().to_owned());
        let store = Store::open(&location).await.expect("an output folder");
        let lock = store.lock("run-1", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        let before = paths(scratch.path());
        let held = store.probe_lock().await.expect("looked at").expect("held").to_string();
        assert!(held.contains("run-1") && held.contains("`pull`"), "{held}");
        lock.release().await;
        assert!(store.probe_lock().await.expect("looked at").is_none());
        // What a killed run leaves: its name, and no lock.
        fs::write(scratch.path().join("_ledger/lock"), "{\"run_id\":\"x\"}").expect("written");
        assert!(store.probe_lock().await.expect("looked at").is_none());
        store.probe_writing().await.expect("writable");
        assert_eq!(paths(scratch.path()), before);
    }
}
