//! The local file system: stage beside the target, flush, rename, flush the folder.
//!
//! Staged files lie under `_ledger/staging`, on the same file system as their targets and outside every folder that a
//! loader lists. A rename replaces the old file in one step, so a reader sees the old partition or the new one.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::error::{Code, Error};

/// Folder of everything that is ours and not data, hidden from loaders by its underscore.
pub(super) const LEDGER_FOLDER: &str = "_ledger";
const STAGING_FOLDER: &str = "_ledger/staging";

/// A file operation that failed: what was being done, to which path, and why.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} `{}`: {source}", path.display())]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl StoreError {
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::caused_by(Code::OutputFailed, error)
    }
}

/// An output folder; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<PathBuf>,
    staged: Arc<AtomicU64>,
    /// There was no such folder before.
    is_new: bool,
}

impl Store {
    /// The output folder at `root`, made if it is missing, proved writable by writing.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let is_new = !root.exists();
        let store = Self { root: Arc::new(root.to_owned()), staged: Arc::default(), is_new };
        create_folder(&store.path(STAGING_FOLDER))?;
        drop(store.stage()?);
        Ok(store)
    }

    /// The output folder at `root` as it is, for reading only: nothing is made.
    pub fn read_only(root: &Path) -> Self {
        Self { root: Arc::new(root.to_owned()), staged: Arc::default(), is_new: false }
    }

    /// Nothing came of it: removes the folder if it was made for this run and holds nothing but an empty ledger. Only the
    /// holder of the run lock may call this.
    pub fn abandon(&self) {
        if self.is_new {
            // What cannot be removed is an empty folder, and does no harm.
            let _ = fs::remove_dir_all(self.path(LEDGER_FOLDER));
            let _ = fs::remove_dir(&*self.root);
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The absolute path of `relative`.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A new file that nobody lists; it goes away unless it is published.
    pub fn stage(&self) -> Result<Staged, StoreError> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let path = self.path(STAGING_FOLDER).join(format!("{}-{number}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| StoreError::new("create", &path, error))?;
        Ok(Staged { path, file: Some(BufWriter::new(file)), digest: Sha256::new(), bytes: 0 })
    }

    /// Makes `staged` the live file at `relative`, durably and in one step.
    pub fn publish(&self, mut staged: Staged, relative: &str) -> Result<(), StoreError> {
        staged.close()?;
        let target = self.path(relative);
        let folder = target.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        fs::rename(&staged.path, &target).map_err(|error| StoreError::new("replace", &target, error))?;
        staged.path = PathBuf::new();
        sync_folder(folder)
    }

    /// Replaces the small file at `relative`, durably and in one step.
    pub fn put(&self, relative: &str, content: &[u8]) -> Result<(), StoreError> {
        let mut staged = self.stage()?;
        staged.write_all(content).map_err(|error| StoreError::new("write", &self.path(relative), error))?;
        self.publish(staged, relative)
    }

    /// The content of the file at `relative`, or `None` if there is none.
    pub fn get(&self, relative: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(relative);
        missing_is_none(fs::read(&path)).map_err(|error| StoreError::new("read", &path, error))
    }

    /// The size in bytes of the file at `relative`, or `None` if there is none.
    pub fn size(&self, relative: &str) -> Result<Option<u64>, StoreError> {
        let path = self.path(relative);
        let metadata =
            missing_is_none(fs::metadata(&path)).map_err(|error| StoreError::new("look at", &path, error))?;
        Ok(metadata.map(|metadata| metadata.len()))
    }

    /// SHA-256 of the file at `relative` in hexadecimal, or `None` if there is none.
    pub fn checksum(&self, relative: &str) -> Result<Option<String>, StoreError> {
        let path = self.path(relative);
        let failed = |error| StoreError::new("read", &path, error);
        let Some(mut file) = missing_is_none(File::open(&path)).map_err(failed)? else { return Ok(None) };
        let mut digest = DigestWriter(Sha256::new());
        match io::copy(&mut file, &mut digest) {
            // Somebody's folder stands where the file should be.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(Some(hexadecimal(digest.0))),
        }
    }

    /// Names in the folder `relative`, sorted; none if it does not exist.
    pub fn list(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(relative);
        let failed = |error| StoreError::new("list", &path, error);
        let Some(entries) = missing_is_none(fs::read_dir(&path)).map_err(failed)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Removes the file at `relative` and, if that leaves it empty, its folder.
    pub fn remove(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        missing_is_none(fs::remove_file(&path)).map_err(|error| StoreError::new("remove", &path, error))?;
        let Some(folder) = path.parent() else { return Ok(()) };
        // Not empty is the normal case for ledger files; a partition's folder goes with its only file.
        if fs::remove_dir(folder).is_err() {
            return sync_folder(folder);
        }
        folder.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes what killed runs left in the staging folder. Only the holder of the run lock may call this.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let leftovers = self.list(STAGING_FOLDER)?;
        for name in &leftovers {
            let path = self.path(STAGING_FOLDER).join(name);
            missing_is_none(fs::remove_file(&path)).map_err(|error| StoreError::new("remove", &path, error))?;
        }
        Ok(leftovers.len())
    }
}

/// A file being written; counts and hashes what passes.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    digest: Sha256,
    bytes: u64,
}

impl Staged {
    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of what was written so far, in hexadecimal.
    pub fn checksum(&self) -> String {
        hexadecimal(self.digest.clone())
    }

    /// Flushes to the disk and closes; the file stays staged.
    pub fn close(&mut self) -> Result<(), StoreError> {
        let Some(writer) = self.file.take() else { return Ok(()) };
        let failed = |error| StoreError::new("write", &self.path, error);
        let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the staged file is closed")) };
        // Whoever writes through this knows no path.
        let failed = |error: io::Error| io::Error::new(error.kind(), StoreError::new("write", &self.path, error));
        let written = file.write(bytes).map_err(failed)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Not published: what cannot be removed now is swept by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

struct DigestWriter(Sha256);

impl Write for DigestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digest as lower-case hexadecimal text.
pub fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A file where a folder should be: nothing can be below it.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes `folder` and whatever is missing above it, each made durable in its parent.
fn create_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => parent.map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(StoreError::new("create the folder", folder, error)),
    }
}

/// A rename is durable once the folder that holds the name is.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    match synced {
        // Some mounted file systems cannot flush folders; their renames are as durable as they get.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        Err(error) => Err(StoreError::new("flush the folder", folder, error)),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("deep/output")).expect("an output folder");
        (folder, store)
    }

    #[test]
    fn a_file_is_old_or_new_but_never_in_between() {
        let (_folder, store) = store();
        store.put("t/dt=2026-01-01/data.parquet", b"old").expect("published");
        let mut staged = store.stage().expect("staged");
        staged.write_all(b"new").expect("written");
        assert_eq!(store.get("t/dt=2026-01-01/data.parquet").expect("read"), Some(b"old".to_vec()));
        store.publish(staged, "t/dt=2026-01-01/data.parquet").expect("published");
        assert_eq!(store.get("t/dt=2026-01-01/data.parquet").expect("read"), Some(b"new".to_vec()));
    }

    #[test]
    fn a_staged_file_that_is_not_published_goes_away() {
        let (_folder, store) = store();
        drop(store.stage().expect("staged"));
        assert_eq!(store.list(STAGING_FOLDER).expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn leftovers_of_a_killed_run_are_swept() {
        let (_folder, store) = store();
        std::mem::forget(store.stage().expect("staged"));
        assert_eq!(store.sweep().expect("swept"), 1);
        assert_eq!(store.list(STAGING_FOLDER).expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn the_checksum_while_writing_is_that_of_the_file() {
        let (_folder, store) = store();
        let mut staged = store.stage().expect("staged");
        staged.write_all(b"content").expect("written");
        let (checksum, bytes) = (staged.checksum(), staged.bytes());
        store.publish(staged, "a/b").expect("published");
        assert_eq!(store.checksum("a/b").expect("read"), Some(checksum));
        assert_eq!(store.size("a/b").expect("read"), Some(bytes));
    }

    #[test]
    fn removing_the_only_file_removes_its_folder() {
        let (_folder, store) = store();
        store.put("t/dt=2026-01-01/data.parquet", b"x").expect("published");
        store.remove("t/dt=2026-01-01/data.parquet").expect("removed");
        assert_eq!(store.list("t").expect("listed"), Vec::<String>::new());
    }
}
