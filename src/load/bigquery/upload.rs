//! Partitions of the same columns as one Parquet file, in pieces for an upload: column chunks are copied as they are, nothing
//! is decoded, and no more than a piece and the largest row group is in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::load::error::{LoadError, LoadErrorKind};
use crate::load::files::LoadFile;

/// Bytes of a piece; a multiple of 256 KiB, as resumable uploads want it.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// The pieces, in order.
pub(super) struct Chunks {
    written: Shared,
    writer: Option<SerializedFileWriter<Shared>>,
    files: VecDeque<File>,
    is_finished: bool,
}

impl Chunks {
    pub(super) fn of(files: &[&LoadFile]) -> Result<Self, LoadError> {
        let mut opened = VecDeque::new();
        for file in files {
            opened.push_back(file.open().map_err(|error| unreadable(&error))?);
        }
        Ok(Self { written: Shared::default(), writer: None, files: opened, is_finished: false })
    }

    /// The next piece, and whether it is the last; `None` after that.
    pub(super) fn next(&mut self) -> Result<Option<(Vec<u8>, bool)>, LoadError> {
        while !self.is_finished && self.written.len() <= PIECE_BYTES {
            match self.files.pop_front() {
                Some(file) => self.append(&file).map_err(|error| unreadable(&error))?,
                None => self.finish().map_err(|error| unreadable(&error))?,
            }
        }
        let piece = self.written.take(PIECE_BYTES);
        let is_last = self.is_finished && self.written.len() == 0;
        Ok((!piece.is_empty()).then_some((piece, is_last)))
    }

    fn append(&mut self, file: &File) -> Result<(), ParquetError> {
        let metadata = ParquetMetaDataReader::new().parse_and_finish(file)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(writer_of(&metadata, self.written.clone())?),
        };
        for group in metadata.row_groups() {
            let rows_written = u64::try_from(group.num_rows()).unwrap_or_default();
            let mut out = writer.next_row_group()?;
            for column in group.columns() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                    rows_written,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                out.append_column(file, close)?;
            }
            out.close()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ParquetError> {
        self.is_finished = true;
        self.writer.take().map_or(Ok(()), |writer| writer.close().map(drop))
    }
}

fn writer_of(metadata: &ParquetMetaData, out: Shared) -> Result<SerializedFileWriter<Shared>, ParquetError> {
    let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
    SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::builder().build()))
}

fn unreadable(error: &dyn std::error::Error) -> LoadError {
    LoadError::new(LoadErrorKind::Changed, format!("a partition could not be read for the upload: {error}"))
}

/// Bytes that the writer has written and the upload has not taken.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = bytes.len().min(most);
        bytes.drain(..end).collect()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
