//! The files of a ledger, read: which there are, whether they are sound, what they say.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::NaiveDate;
use serde::de::DeserializeOwned;

use super::error::LedgerError;
use super::records::{
    PARTITIONS_FOLDER, PENDING_FILE, PartitionRecord, PartitionsFile, PendingFile, RUNS_FOLDER, RunRecord,
    VERSION_FILE, VersionFile,
};
use super::sealed::{newer_version, unseal};

/// Contents by name below the output.
#[derive(Clone, Debug, Default)]
pub struct LedgerFiles(BTreeMap<String, Bytes>);

type Partitions = BTreeMap<String, BTreeMap<NaiveDate, PartitionRecord>>;

impl LedgerFiles {
    /// The files among these that are a ledger's. What other programs leave in folders (`.DS_Store`) is not ours.
    pub fn new<N: Into<String>>(files: impl IntoIterator<Item = (N, Bytes)>) -> Self {
        let files = files.into_iter().map(|(name, content)| (name.into(), content));
        Self(files.filter(|(name, _)| Self::wants(name)).collect())
    }

    /// Whether a file below the output is one of the ledger's.
    pub fn wants(name: &str) -> bool {
        name == VERSION_FILE || name == PENDING_FILE || month_of(name).is_some() || run_of(name).is_some()
    }

    /// The content of one file.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.get(name)
    }

    /// Every partitions file.
    pub fn month_files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| month_of(name).is_some())
    }

    /// Every run's file, after its identifier.
    pub fn run_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().filter_map(|name| Some((run_of(name)?, name.as_str())))
    }

    /// What a file says, if it is there; what was not written like this is damaged.
    pub fn parse<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LedgerError> {
        let Some(content) = self.0.get(name) else { return Ok(None) };
        unseal(content).map(Some).map_err(|damage| LedgerError::damaged(name, damage))
    }

    /// What holds for the whole output, as the version file says it.
    pub fn version(&self) -> Result<Option<VersionFile>, LedgerError> {
        self.parse(VERSION_FILE)
    }

    /// Records of files that were being published when a run ended, or that have been since.
    pub fn pending(&self) -> Result<Vec<PartitionRecord>, LedgerError> {
        Ok(self.parse::<PendingFile>(PENDING_FILE)?.unwrap_or_default().partitions)
    }

    pub(super) fn partitions(&self) -> Result<Partitions, LedgerError> {
        let mut partitions = Partitions::new();
        for name in self.month_files() {
            let Some((table, content)) = month_of(name).zip(self.parse::<PartitionsFile>(name)?) else { continue };
            partitions.entry(table.to_owned()).or_default().extend(content.partitions);
        }
        Ok(partitions)
    }

    /// Whether there is a ledger that this program may write: refuses one of which any file says that a newer program wrote
    /// it, and a damaged one.
    ///
    /// The version file is written before anything else, so without it there was never a run, or it was lost with the rest.
    pub fn is_begun(&self) -> Result<bool, LedgerError> {
        let names = [VERSION_FILE, PENDING_FILE].into_iter().chain(self.month_files());
        if let Some(found) = names.filter_map(|name| self.get(name)).find_map(|content| newer_version(content)) {
            return Err(LedgerError::Newer { found });
        }
        Ok(self.version()?.is_some())
    }

    /// Files beside the records of partitions that cannot be read or are lost, so that the next run would stop at them.
    pub fn damaged(&self, has_data: bool) -> Vec<String> {
        let mut damaged = Vec::new();
        if has_data && self.get(VERSION_FILE).is_none() || self.version().is_err() {
            damaged.push(VERSION_FILE.to_owned());
        }
        if self.pending().is_err() {
            damaged.push(PENDING_FILE.to_owned());
        }
        let is_damaged = |name: &str| self.parse::<RunRecord>(name).is_err();
        damaged.extend(self.run_files().filter(|(_, name)| is_damaged(name)).map(|(_, name)| name.to_owned()));
        damaged
    }
}

/// The table of a partitions file.
fn month_of(name: &str) -> Option<&str> {
    let (table, file) = name.strip_prefix(PARTITIONS_FOLDER)?.strip_prefix('/')?.split_once('/')?;
    (!table.contains('.') && is_json(file)).then_some(table)
}

/// The identifier of the run that a file is of.
fn run_of(name: &str) -> Option<&str> {
    let file = name.strip_prefix(RUNS_FOLDER)?.strip_prefix('/')?;
    is_json(file).then(|| file.trim_end_matches(".json"))
}

fn is_json(file: &str) -> bool {
    !file.contains('/') && file.strip_suffix(".json").is_some_and(|stem| !stem.starts_with('.'))
}
