//! A folder in which every file of a load has a name of its own, so that one PUT uploads them all.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::load::files::{LoadFile, Location};

/// Links to files; removed when dropped.
#[derive(Debug)]
pub(super) struct Links {
    folder: PathBuf,
    names: Vec<String>,
}

impl Links {
    pub(super) fn new(files: &[LoadFile]) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("criteo-source-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        let mut links = Self { folder, names: Vec::new() };
        for file in files {
            if let Location::Local(path) = &file.location {
                let name = format!("{}.parquet", file.partition.date);
                link(&std::path::absolute(path)?, &links.folder.join(&name))?;
                links.names.push(name);
            }
        }
        Ok(links)
    }

    /// What PUT is given.
    pub(super) fn pattern(&self) -> String {
        format!("{}/*.parquet", slashes(&self.folder))
    }

    /// Names of the files, in their order.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // Links in a temporary folder are in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A path as PUT writes it on every system.
pub(super) fn slashes(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

#[cfg(unix)]
fn link(file: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(file, name)
}

#[cfg(not(unix))]
fn link(file: &Path, name: &Path) -> io::Result<()> {
    std::fs::hard_link(file, name).or_else(|_| std::fs::copy(file, name).map(drop))
}
