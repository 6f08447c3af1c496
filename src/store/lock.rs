//! One run at a time per output: on a local disk a lock of the kernel, in a bucket a lease.
//!
//! The kernel drops its lock when the holder dies, however it dies, so a stale lock cannot exist; a holder that is only paused
//! keeps it. A lease ends by itself. Either way `_ledger/lock` says who holds it since when, for the message of the run that
//! comes too early.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::lease::{Lease, NoLease, TERM};
use super::local::Local;
use super::{Kind, Store};
use crate::error::{Code, Error};

/// Why the lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run holds the lock of `{output}`: {holder}")]
    Held {
        /// The output.
        output: String,
        /// Who, since when.
        holder: String,
    },
    /// The lock could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::caused_by(Code::Locked, error),
            LockError::Store(error) => error.into(),
        }
    }
}

/// Who holds a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    run_id: String,
    command: String,
    process: u32,
    /// The machine, where it is known: the process number says nothing on another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    since: DateTime<Utc>,
}

impl Holder {
    pub(super) fn new(run_id: &str, command: &str, since: DateTime<Utc>) -> Self {
        let (run_id, command) = (run_id.to_owned(), command.to_owned());
        Self { run_id, command, process: std::process::id(), host: host(), since }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_id, command, process, host, since } = self;
        let host = host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        write!(
            f,
            "`{command}` (run {run_id}, process {process}{host}) since {since}; wait for it to end, or end that process"
        )
    }
}

/// The lock. Dropping it lets go of a kernel's lock at once, and of a lease when that expires: see [`RunLock::release`].
#[derive(Debug)]
pub struct RunLock(Held);

#[derive(Debug)]
enum Held {
    Kernel(KernelLock),
    Lease(Box<Lease>),
}

impl Store {
    /// Takes the lock of the output, or says at once who has it.
    pub async fn lock(&self, run_id: &str, command: &str, now: DateTime<Utc>) -> Result<RunLock, LockError> {
        self.lock_for(run_id, command, now, TERM).await
    }

    /// [`Store::lock`], with a lease of this length.
    pub async fn lock_for(
        &self,
        run_id: &str,
        command: &str,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<RunLock, LockError> {
        let holder = Holder::new(run_id, command, now);
        match &self.0 {
            Kind::Local(local) => {
                let (local, place) = (local.clone(), self.name());
                let taken = tokio::task::spawn_blocking(move || KernelLock::acquire(&local, &holder)).await;
                Ok(RunLock(Held::Kernel(taken.unwrap_or(Err(StoreError::Thread { place }.into()))?)))
            }
            Kind::Bucket(bucket) => match Lease::acquire(bucket, holder, lease).await {
                Ok(lease) => Ok(RunLock(Held::Lease(Box::new(lease)))),
                Err(NoLease::Held(holder)) => Err(LockError::Held { output: self.name(), holder }),
                Err(NoLease::Failed(error)) => Err(error.into()),
            },
        }
    }
}

impl RunLock {
    /// Lets go.
    pub async fn release(self) {
        match self.0 {
            Held::Kernel(lock) => drop(lock),
            Held::Lease(lease) => lease.release().await,
        }
    }
}

#[derive(Debug)]
struct KernelLock(File);

impl KernelLock {
    fn acquire(local: &Local, holder: &Holder) -> Result<Self, LockError> {
        let path = local.lock_path();
        let failed = |source| StoreError::Disk { action: "lock", place: path.display().to_string(), source };
        loop {
            let mut file = open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let output = local.root().display().to_string();
                    return Err(LockError::Held { output, holder: describe(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error).into()),
            }
            // A run that came to nothing may have removed the file between opening and locking it.
            if !is_at(&file, &path) {
                continue;
            }
            let text = serde_json::to_vec(holder).map_err(|error| failed(error.into()))?;
            file.set_len(0).and_then(|()| file.write_all(&text)).map_err(failed)?;
            return Ok(Self(file));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether an open file is the one at a path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(identity), std::fs::metadata(path).map(identity)), (Ok(a), Ok(b)) if a == b)
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

impl Drop for KernelLock {
    fn drop(&mut self) {
        // An empty file tells the next reader that nobody is in; closing it releases the lock.
        let _ = self.0.set_len(0);
    }
}

/// The holder in words; it may just have changed, so anything readable will do.
fn describe(file: &mut File) -> String {
    let mut text = String::new();
    // What cannot be read says nothing, as an empty file does.
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    holder_in_words(&text)
}

/// The holder that a lock file names.
pub(super) fn holder_in_words(text: &str) -> String {
    match serde_json::from_str::<Holder>(text) {
        Ok(holder) => holder.to_string(),
        Err(_) => "it is just starting or ending".to_owned(),
    }
}

/// The name of this machine, where the system says it in a file or a variable.
fn host() -> Option<String> {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = of_kernel.or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::OutputLocation;

    async fn open(folder: &Path) -> Store {
        Store::open(&OutputLocation::Local(folder.to_owned())).await.expect("an output folder")
    }

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_lock_and_a_third_gets_it_after_release() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = open(folder.path()).await;
        let first = store.lock("run-1", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        let refused = store.lock("run-2", "pull", DateTime::UNIX_EPOCH).await.expect_err("held");
        assert!(refused.to_string().contains("run-1"), "{refused}");
        assert!(refused.to_string().contains("since 1970-01-01T00:00:00Z"), "{refused}");
        first.release().await;
        store.lock("run-3", "pull", DateTime::UNIX_EPOCH).await.expect("free again");
    }

    #[tokio::test]
    async fn a_run_that_came_to_nothing_removes_nothing_of_the_run_that_won_the_race_for_the_folder() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let folder = scratch.path().join("new");
        // Both find no folder; one takes the lock, works and ends before the other has given up.
        let both = [Local::open(&folder), {
            std::fs::remove_dir_all(&folder).expect("removed");
            Local::open(&folder)
        }];
        let [loser, _] = both.map(|local| Store(Kind::Local(local.expect("an output folder"))));
        let winner = open(&folder).await;
        let lock = winner.lock("run-1", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        let key = crate::store::Key::new("_ledger/ledger.json").expect("a key");
        winner.put(&key, bytes::Bytes::from_static(b"x")).await.expect("written");
        lock.release().await;
        let lock = loser.lock("run-2", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        loser.abandon();
        lock.release().await;
        assert_eq!(winner.get(&key).await.expect("read"), Some(bytes::Bytes::from_static(b"x")));
    }

    #[tokio::test]
    async fn a_run_that_came_to_nothing_leaves_no_folder_behind_and_the_next_one_can_lock() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let folder = scratch.path().join("new");
        let store = open(&folder).await;
        let waiting = open(&folder).await;
        let lock = store.lock("run-1", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        store.abandon();
        lock.release().await;
        assert!(!folder.exists());
        waiting.lock("run-2", "pull", DateTime::UNIX_EPOCH).await.expect("free");
        assert!(folder.join("_ledger/lock").exists(), "the lock is on the file that others open");
    }
}
