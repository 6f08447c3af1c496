//! The partitions of the output, as a load reads them: the only place here that opens one.
//!
//! A file is inspected before it is loaded: its checksum against the ledger's record, its columns and rows from its footer.
//! A pull may replace it at any moment, so a target asks again, before it commits, whether what it read from is still the
//! file that was inspected. From a bucket, what changed is copied to the temporary folder while it is being loaded, unless the
//! target reads the bucket itself.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use super::error::{LoadError, LoadErrorKind};
use crate::error::{Code, Error, error_chain};
use crate::ledger::{Ledger, PartitionRecord, partition_path};
use crate::output::{OutputError, read_files};
use crate::settings::OutputLocation;
use crate::store::{self, Key, Store, StoreError, hexadecimal};
use crate::table::parquet::schema_version;

/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// What a load needs of a partition's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Table of the output.
    pub table: String,
    /// Day or snapshot date.
    pub date: NaiveDate,
    /// Rows; zero is a day that has none.
    pub rows: u64,
    /// Checksum of the file.
    pub sha256: String,
    /// The run that pulled it.
    pub run_id: String,
    /// When it was pulled.
    pub pulled_at: DateTime<Utc>,
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Self {
        Self {
            table: record.table.clone(),
            date: record.date,
            rows: record.rows,
            sha256: record.sha256.clone(),
            run_id: record.run_id.clone(),
            pulled_at: record.pulled_at,
        }
    }
}

/// Where a target finds a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// In a bucket: `gs://bucket/…`.
    Url(String),
}

/// A file that was inspected.
#[derive(Clone, Debug)]
pub struct LoadFile {
    /// Its partition.
    pub partition: Partition,
    /// Where it is.
    pub location: Location,
    /// Its size.
    pub bytes: u64,
    /// Its columns.
    pub schema: SchemaRef,
    /// Fingerprint of its columns: files of the same fingerprint may be read together.
    pub fingerprint: String,
    origin: Origin,
}

/// Where an inspected file comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// The output's own file, and what changes when that is replaced.
    Output { path: PathBuf, identity: Identity },
    /// A copy of this load's own, which goes with its last owner.
    Copy { _copy: Arc<TempPath> },
    /// An object that the target reads itself, and its tag before it was inspected.
    Object { store: Store, key: Key, tag: Option<String> },
}

impl LoadFile {
    /// Whether it is still the file that was inspected.
    pub async fn is_unchanged(&self) -> bool {
        match &self.origin {
            Origin::Output { path, identity } => {
                std::fs::metadata(path).is_ok_and(|metadata| Identity::of(&metadata) == *identity)
            }
            Origin::Copy { .. } => true,
            Origin::Object { store, key, tag } => store.tag(key).await.is_ok_and(|now| now == *tag),
        }
    }

    /// Its bytes, for an upload.
    pub fn open(&self) -> io::Result<File> {
        match &self.location {
            Location::Local(path) => File::open(path),
            Location::Url(url) => Err(io::Error::other(format!("`{url}` is not on this machine"))),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    bytes: u64,
    modified: Option<std::time::SystemTime>,
    number: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let number = 0;
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), number }
    }
}

/// An output, read for loading.
#[derive(Debug)]
pub struct OutputFiles {
    store: Store,
    ledger: Ledger,
    place: String,
    /// Files of a bucket are named as they are there, because statements are only printed, or because the target reads them.
    reads_urls: bool,
}

impl OutputFiles {
    /// Reads the ledger of an output.
    pub async fn open(output: &OutputLocation, reads_urls: bool) -> Result<Self, Error> {
        let store = Store::read_only(output)?;
        let ledger = read(&store).await?;
        if ledger.tables().next().is_none() {
            return Err(Error::new(Code::NothingToLoad, format!("there is nothing to load in `{output}`")));
        }
        if ledger.output_id().is_empty() {
            return Err(Error::new(Code::NothingToLoad, format!("the ledger of `{output}` has no id of its own yet"))
                .with_remedy(
                    "an older version wrote it; the next `criteo-source pull` gives it one, then load again",
                ));
        }
        Ok(Self { store, ledger, place: output.to_string(), reads_urls })
    }

    /// Reads the ledger again: a pull has published meanwhile.
    pub async fn read_again(&mut self) -> Result<(), LoadError> {
        let ledger = read(&self.store).await;
        self.ledger = ledger.map_err(|error| LoadError::new(LoadErrorKind::Damaged, error_chain(&error)))?;
        Ok(())
    }

    /// The identity of the output.
    pub fn output_id(&self) -> &str {
        self.ledger.output_id()
    }

    /// The output as a person knows it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Tables that have partitions.
    pub fn tables(&self) -> Vec<String> {
        self.ledger.tables().filter(|table| self.ledger.partitions(table).next().is_some()).map(str::to_owned).collect()
    }

    /// The partitions of a table, oldest first.
    pub fn partitions(&self, table: &str) -> Vec<Partition> {
        self.ledger.partitions(table).map(Partition::from).collect()
    }

    /// The partition as the ledger has it now.
    pub fn partition(&self, table: &str, date: NaiveDate) -> Option<Partition> {
        self.ledger.partition(table, date).map(Partition::from)
    }

    /// Proves that the file of a partition is what its record says, and reads its columns.
    pub async fn inspect(&self, partition: &Partition) -> Result<LoadFile, LoadError> {
        let path = partition_path(&partition.table, partition.date);
        let refused = |what: String| {
            let message = format!("`{path}` of `{}` {what}; it is not loaded", self.place);
            LoadError::new(LoadErrorKind::Damaged, message)
        };
        let key = Key::new(&path).map_err(|error| refused(format!("cannot be read ({error})")))?;
        if let Some(local) = self.store.local_path(&key) {
            return inspect(local, partition).map_err(refused);
        }
        let unreadable = |error: StoreError| refused(format!("cannot be read ({})", error_chain(&error)));
        let tag = if self.reads_urls { self.store.tag(&key).await.map_err(unreadable)? } else { None };
        let content = self.store.get(&key).await.map_err(unreadable)?;
        let content = content.ok_or_else(|| refused("is not there".to_owned()))?;
        if !self.reads_urls {
            return inspect_copy(content, partition).map_err(refused);
        }
        let location = Location::Url(self.store.place(&key));
        let origin = Origin::Object { store: self.store.clone(), key, tag };
        inspect_content(content, partition, location, origin).map_err(refused)
    }
}

async fn read(store: &Store) -> Result<Ledger, OutputError> {
    Ok(Ledger::of_files(&read_files(store).await?)?)
}

/// Proves that content is what its record says.
fn inspect_content(
    content: Bytes,
    partition: &Partition,
    location: Location,
    origin: Origin,
) -> Result<LoadFile, String> {
    if store::checksum(&content) != partition.sha256 {
        return Err(NOT_PUBLISHED.to_owned());
    }
    let bytes = content.len() as u64;
    let reader = ParquetRecordBatchReaderBuilder::try_new(content);
    let schema = schema_of(&reader.map_err(|error| format!("is not Parquet ({error})"))?, partition)?;
    let fingerprint = schema_version(&schema);
    Ok(LoadFile { partition: partition.clone(), location, bytes, schema, fingerprint, origin })
}

/// Keeps content in a file of its own while it is being loaded.
fn inspect_copy(content: Bytes, partition: &Partition) -> Result<LoadFile, String> {
    let copied = || {
        let mut file = tempfile::Builder::new().prefix("criteo-source-").suffix(".parquet").tempfile()?;
        io::Write::write_all(&mut file, &content)?;
        Ok(file.into_temp_path())
    };
    let copy: TempPath = copied().map_err(|error: io::Error| format!("cannot be copied to this machine ({error})"))?;
    let location = Location::Local(copy.to_path_buf());
    inspect_content(content, partition, location, Origin::Copy { _copy: Arc::new(copy) })
}

const NOT_PUBLISHED: &str = "is not the file that was published: its checksum is another one";

/// The columns of a file that has the rows of its record.
fn schema_of<R>(reader: &ParquetRecordBatchReaderBuilder<R>, partition: &Partition) -> Result<SchemaRef, String>
where
    R: parquet::file::reader::ChunkReader + 'static,
{
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
    if rows != partition.rows {
        return Err(format!("has {rows} rows where {} are recorded", partition.rows));
    }
    Ok(Arc::clone(reader.schema()))
}

/// What is wrong with the file, in words that follow its name.
fn inspect(path: PathBuf, partition: &Partition) -> Result<LoadFile, String> {
    let unreadable = |error: io::Error| format!("cannot be read ({error})");
    let mut file = File::open(&path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let checksum = checksum(&mut file).map_err(unreadable)?;
    if checksum != partition.sha256 {
        return Err(NOT_PUBLISHED.to_owned());
    }
    file.rewind().map_err(unreadable)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| format!("is not Parquet ({error})"))?;
    let schema = schema_of(&reader, partition)?;
    Ok(LoadFile {
        partition: partition.clone(),
        location: Location::Local(path.clone()),
        bytes: metadata.len(),
        fingerprint: schema_version(&schema),
        schema,
        origin: Origin::Output { path, identity: Identity::of(&metadata) },
    })
}

fn checksum(file: &mut File) -> io::Result<String> {
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hexadecimal(digest)),
            bytes => digest.update(&chunk[..bytes]),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A partition of the table `t`.
    pub(in crate::load) fn partition(date: &str, sha256: &str, rows: u64) -> Partition {
        Partition {
            table: "t".to_owned(),
            date: date.parse().expect("a date"),
            rows,
            sha256: sha256.to_owned(),
            run_id: "r".to_owned(),
            pulled_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_file_that_is_missing_or_another_one_is_not_loaded() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("data.parquet");
        let missing = inspect(path.clone(), &partition("2026-11-01", "x", 1)).expect_err("missing");
        assert!(missing.contains("cannot be read"), "{missing}");
        std::fs::write(&path, b"not what was written").expect("written");
        let other = inspect(path.clone(), &partition("2026-11-01", "x", 1)).expect_err("another one");
        assert!(other.contains("checksum"), "{other}");
        let sha256 = hexadecimal(Sha256::new_with_prefix(b"not what was written"));
        let damaged = inspect(path, &partition("2026-11-01", &sha256, 1)).expect_err("no Parquet");
        assert!(damaged.contains("not Parquet"), "{damaged}");
    }

    #[test]
    fn a_file_that_was_replaced_is_not_the_one_that_was_inspected() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (path, next) = (folder.path().join("data.parquet"), folder.path().join("next"));
        std::fs::write(&path, b"same").expect("written");
        let before = Identity::of(&std::fs::metadata(&path).expect("a file"));
        assert_eq!(Identity::of(&std::fs::metadata(&path).expect("a file")), before);
        std::fs::write(&next, b"same").expect("written");
        std::fs::rename(&next, &path).expect("replaced");
        assert_ne!(Identity::of(&std::fs::metadata(&path).expect("a file")), before);
    }
}
