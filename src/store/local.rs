//! The local file system: stage beside the target, flush, rename, flush the folder.
//!
//! Staged files lie under `_ledger/staging`, on the same file system as their targets and outside every folder that a
//! loader lists. A rename replaces the old file in one step, so a reader sees the old partition or the new one. Everything
//! here blocks; `Store` calls it on threads that may.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::error::StoreError;
use super::{Entry, Key};

/// Folder of everything that is ours and not data, hidden from loaders by its underscore.
const LEDGER_FOLDER: &str = "_ledger";
pub(super) const STAGING_FOLDER: &str = "_ledger/staging";
/// Folders below folders that are listed; ours are three deep. Links that lead in circles end here.
const MAX_DEPTH: usize = 8;

/// An output folder; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Local {
    root: Arc<PathBuf>,
    staged: Arc<AtomicU64>,
    /// There was no such folder before.
    is_new: bool,
}

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> StoreError + use<'p> {
    move |source| StoreError::Disk { action, place: path.display().to_string(), source }
}

impl Local {
    /// The folder at `root`, made if it is missing, proved writable by writing.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let is_new = !root.exists();
        let store = Self { root: Arc::new(root.to_owned()), staged: Arc::default(), is_new };
        create_folder(&store.root.join(STAGING_FOLDER))?;
        drop(store.stage(&Bytes::new())?);
        Ok(store)
    }

    /// The folder at `root` as it is, for reading only: nothing is made.
    pub(super) fn read_only(root: &Path) -> Self {
        Self { root: Arc::new(root.to_owned()), staged: Arc::default(), is_new: false }
    }

    /// Whether there is such a folder.
    pub(super) fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Nothing came of it: removes the folders if they were made for this run and nothing is in them but the lock. What
    /// another run has written meanwhile keeps its folder, and so everything above it.
    pub(super) fn abandon(&self) {
        if self.is_new {
            // What cannot be removed is not empty, or does no harm.
            let _ = fs::remove_dir(self.root.join(STAGING_FOLDER));
            let ledger = self.root.join(LEDGER_FOLDER);
            let others =
                fs::read_dir(&ledger).into_iter().flatten().flatten().any(|entry| entry.path() != self.lock_path());
            if !others {
                let _ = fs::remove_file(self.lock_path());
            }
            let _ = fs::remove_dir(ledger);
            let _ = fs::remove_dir(&*self.root);
        }
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file lies.
    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The file that the kernel's lock is on.
    pub(super) fn lock_path(&self) -> PathBuf {
        self.root.join(LEDGER_FOLDER).join("lock")
    }

    /// Writes and flushes a file that nobody lists; it goes away unless it is published.
    pub(super) fn stage(&self, content: &Bytes) -> Result<StagedFile, StoreError> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(STAGING_FOLDER).join(format!("{}-{number}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let mut file = file.map_err(failed("create", &path))?;
        let staged = StagedFile { path };
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed("write", &staged.path))?;
        Ok(staged)
    }

    /// Puts a staged file in place of whatever is there, durably and in one step.
    pub(super) fn publish(&self, mut staged: StagedFile, key: &Key) -> Result<(), StoreError> {
        let target = self.path(key);
        let folder = target.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        fs::rename(&staged.path, &target).map_err(failed("replace", &target))?;
        staged.path = PathBuf::new();
        sync_folder(folder)
    }

    /// Replaces a file, durably and in one step.
    pub(super) fn put(&self, key: &Key, content: &Bytes) -> Result<(), StoreError> {
        let staged = self.stage(content)?;
        self.publish(staged, key)
    }

    /// The content of a file, or `None` if there is none.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(key);
        let read = missing_is_none(fs::read(&path)).map_err(failed("read", &path))?;
        Ok(read.map(Bytes::from))
    }

    /// Every file below a folder, sorted by name; none if there is no such folder.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        self.list_into(&self.root.join(folder), MAX_DEPTH, &mut found)?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn list_into(&self, folder: &Path, depth: usize, found: &mut Vec<Entry>) -> Result<(), StoreError> {
        let Some(entries) = missing_is_none(fs::read_dir(folder)).map_err(failed("list", folder))? else {
            return Ok(());
        };
        for entry in entries {
            let path = entry.map_err(failed("list", folder))?.path();
            // Gone since it was listed, or a link that leads nowhere.
            let Some(metadata) = missing_is_none(fs::metadata(&path)).map_err(failed("look at", &path))? else {
                continue;
            };
            if metadata.is_dir() && depth > 0 {
                self.list_into(&path, depth - 1, found)?;
                continue;
            }
            let relative = path.strip_prefix(&*self.root).ok().and_then(Path::to_str);
            // A name that is not Unicode is nothing that this program wrote.
            let key = relative.and_then(|relative| Key::new(relative.replace(std::path::MAIN_SEPARATOR, "/")).ok());
            found.extend(key.map(|key| Entry { key, size: metadata.len() }));
        }
        Ok(())
    }

    /// Names of the folders directly below the root, sorted.
    pub(super) fn folders(&self) -> Result<Vec<String>, StoreError> {
        let failed = failed("list", &self.root);
        let Some(entries) = missing_is_none(fs::read_dir(&*self.root)).map_err(&failed)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(&failed)?;
            if entry.path().is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a file and, if that leaves it empty, its folder.
    pub(super) fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        missing_is_none(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        let Some(folder) = path.parent() else { return Ok(()) };
        // Not empty is the normal case for ledger files; a partition's folder goes with its only file.
        if fs::remove_dir(folder).is_err() {
            return if folder.is_dir() { sync_folder(folder) } else { Ok(()) };
        }
        folder.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes what killed runs left in the staging folder. Only the holder of the run lock may call this.
    pub(super) fn sweep(&self) -> Result<usize, StoreError> {
        let leftovers = self.list(STAGING_FOLDER)?;
        for Entry { key, .. } in &leftovers {
            let path = self.path(key);
            missing_is_none(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
        Ok(leftovers.len())
    }
}

/// A whole and flushed file that nobody lists.
#[derive(Debug)]
pub(super) struct StagedFile {
    path: PathBuf,
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Not published: what cannot be removed now is swept by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A file where a folder should be, or a folder where a file should be: what was looked for is not there.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
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
        Err(error) => Err(failed("create the folder", folder)(error)),
    }
}

/// A rename is durable once the folder that holds the name is.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    match synced {
        // Some mounted file systems cannot flush folders; their renames are as durable as they get.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        Err(error) => Err(failed("flush the folder", folder)(error)),
        Ok(()) => Ok(()),
    }
}
