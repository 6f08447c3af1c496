//! Where files live: staged out of sight, published whole, locked by one run at a time.
//!
//! Everything is named by a [`Key`]; only the local store knows paths, and it keeps them to itself. A [`Store`] is a local
//! (or mounted) file system, a bucket, or memory, with the same promises, which one suite proves for all of them
//! (`conformance`). It does not know what is in the files.
//!
//! Buckets have neither renames nor locks of a kernel. A file appears whole because a store shows an object only once all of
//! it came. One run at a time is a lease ([`RunLock`]): an object written conditionally, renewed while the run lives, taken
//! over after it expired. A run that was paused past its lease publishes nothing more: every write first looks at the clock,
//! and then only replaces what this run has seen.

mod bucket;
#[cfg(test)]
mod conformance;
mod error;
mod key;
mod lease;
mod local;
mod lock;
mod open;
mod probe;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use self::bucket::Bucket;
pub use self::error::StoreError;
pub use self::key::{InvalidKey, Key};
use self::local::{Local, StagedFile};
pub use self::lock::{LockError, RunLock};

/// Requests to a bucket under way at once.
const CONCURRENT_REQUESTS: usize = 8;

/// An output, as files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Local(Local),
    Bucket(Bucket),
}

/// A file that a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
}

/// Content that nobody sees yet; it goes away unless it is published.
#[derive(Debug)]
pub struct Staged(StagedKind);

#[derive(Debug)]
enum StagedKind {
    File(StagedFile),
    Memory(Bytes),
}

impl Store {
    /// An empty store in memory, for tests.
    pub fn in_memory() -> Self {
        Self(Kind::Bucket(Bucket::in_memory()))
    }

    /// What a person reads for the whole output: a path or a URL.
    pub fn name(&self) -> String {
        match &self.0 {
            Kind::Local(local) => local.root().display().to_string(),
            Kind::Bucket(bucket) => bucket.name().to_owned(),
        }
    }

    /// What a person reads for one file, and can paste into a command.
    pub fn place(&self, key: &Key) -> String {
        match &self.0 {
            Kind::Local(local) => local.path(key).display().to_string(),
            Kind::Bucket(bucket) => bucket.place(key.as_str()),
        }
    }

    /// Whether requests cost time and money, so that small files are better read together.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Kind::Bucket(_))
    }

    /// Requests made to a bucket so far, by kind; `None` for a local folder.
    pub fn requests(&self) -> Option<BTreeMap<&'static str, u64>> {
        match &self.0 {
            Kind::Local(_) => None,
            Kind::Bucket(bucket) => Some(bucket.requests()),
        }
    }

    /// The content of a file, or `None` if there is none.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match &self.0 {
            Kind::Local(local) => on_thread(local, key, Local::get).await,
            Kind::Bucket(bucket) => bucket.get(key).await,
        }
    }

    /// Where a file of a local disk lies, for programs that open it themselves; `None` in a bucket.
    pub fn local_path(&self, key: &Key) -> Option<PathBuf> {
        match &self.0 {
            Kind::Local(local) => Some(local.path(key)),
            Kind::Bucket(_) => None,
        }
    }

    /// The content of a file on a local disk, if it is there and can be read now; `None` in a bucket. It blocks.
    pub fn read_local(&self, key: &Key) -> Option<Bytes> {
        match &self.0 {
            Kind::Local(local) => local.get(key).ok().flatten(),
            Kind::Bucket(_) => None,
        }
    }

    /// What changes when an object of a bucket is replaced (its `ETag`); `None` if it is not there, and on a local disk.
    pub async fn tag(&self, key: &Key) -> Result<Option<String>, StoreError> {
        match &self.0 {
            Kind::Local(_) => Ok(None),
            Kind::Bucket(bucket) => bucket.tag(key).await,
        }
    }

    /// The contents of many files, those that are there, in the order of the keys.
    pub async fn get_all(&self, keys: Vec<Key>) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let Kind::Local(local) = &self.0 else {
            let each = keys.into_iter().map(|key| async move { Ok((self.get(&key).await?, key)) });
            let read: Vec<_> = stream::iter(each).buffered(CONCURRENT_REQUESTS).try_collect().await?;
            return Ok(read.into_iter().filter_map(|(content, key)| Some((key, content?))).collect());
        };
        // One trip to a thread for all: a ledger is hundreds of small files.
        on_thread(local, &keys, |local, keys| {
            let each = keys.iter().map(|key| Ok(local.get(key)?.map(|content| (key.clone(), content))));
            each.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Replaces a file, durably and in one step.
    pub async fn put(&self, key: &Key, content: Bytes) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Local(local) => {
                on_thread(local, &(key.clone(), content), |local, (key, content)| local.put(key, content)).await
            }
            Kind::Bucket(bucket) => bucket.put(key, content).await,
        }
    }

    /// Takes content where nobody sees it: on a local disk written and flushed. It blocks there: call it on a thread that may.
    pub fn stage(&self, content: Bytes) -> Result<Staged, StoreError> {
        match &self.0 {
            Kind::Local(local) => Ok(Staged(StagedKind::File(local.stage(&content)?))),
            Kind::Bucket(_) => Ok(Staged(StagedKind::Memory(content))),
        }
    }

    /// Puts staged content in place of whatever is there, durably and in one step.
    pub async fn publish(&self, staged: Staged, key: &Key) -> Result<(), StoreError> {
        match (&self.0, staged.0) {
            (Kind::Local(local), StagedKind::File(file)) => {
                let (local, key) = (local.clone(), key.clone());
                let place = self.place(&key);
                let published = tokio::task::spawn_blocking(move || local.publish(file, &key)).await;
                published.unwrap_or_else(|_| Err(StoreError::Thread { place }))
            }
            (_, StagedKind::Memory(content)) => self.put(key, content).await,
            (Kind::Bucket(_), StagedKind::File(_)) => unreachable!("a bucket stages in memory"),
        }
    }

    /// Every file below a folder, sorted by name; none if there is no such folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        match &self.0 {
            Kind::Local(local) => on_thread(local, &folder.to_owned(), |local, folder| local.list(folder)).await,
            Kind::Bucket(bucket) => bucket.list(folder).await,
        }
    }

    /// Names of the folders directly below the root, sorted.
    pub async fn folders(&self) -> Result<Vec<String>, StoreError> {
        match &self.0 {
            Kind::Local(local) => on_thread(local, &(), |local, ()| local.folders()).await,
            Kind::Bucket(bucket) => bucket.folders().await,
        }
    }

    /// Removes a file, and what that leaves empty; one that is not there is removed already.
    pub async fn remove(&self, key: &Key) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Local(local) => on_thread(local, key, Local::remove).await,
            Kind::Bucket(bucket) => bucket.remove(key).await,
        }
    }

    /// Removes what killed runs left out of sight. Only the holder of the run lock may call this.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Local(local) => on_thread(local, &(), |local, ()| local.sweep().map(drop)).await,
            Kind::Bucket(_) => Ok(()),
        }
    }

    /// Nothing came of it: removes the folder if it was made for this run and another run has written nothing into it.
    pub fn abandon(&self) {
        if let Kind::Local(local) = &self.0 {
            local.abandon();
        }
    }

    /// Whether there is anything to read from. A bucket always is; whether it exists is said by the first request.
    pub fn exists(&self) -> bool {
        match &self.0 {
            Kind::Local(local) => local.exists(),
            Kind::Bucket(_) => true,
        }
    }
}

/// Does something that blocks on a thread that may.
async fn on_thread<A, T>(
    local: &Local,
    argument: &A,
    work: impl FnOnce(&Local, &A) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError>
where
    A: Clone + Send + 'static,
    T: Send + 'static,
{
    let (local, argument) = (local.clone(), argument.clone());
    let place = local.root().display().to_string();
    let done = tokio::task::spawn_blocking(move || work(&local, &argument)).await;
    done.unwrap_or_else(|_| Err(StoreError::Thread { place }))
}

/// SHA-256 in lower-case hexadecimal.
pub fn checksum(content: &[u8]) -> String {
    hexadecimal(Sha256::new().chain_update(content))
}

/// The digest as lower-case hexadecimal text.
pub fn hexadecimal(digest: Sha256) -> String {
    use std::fmt::Write;
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
