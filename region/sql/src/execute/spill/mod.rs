//! Temporary files of rows, for what is larger than `work_mem`.
//!
//! A file is made without a name (`O_TMPFILE`, or unlinked at once): it goes with its last handle, whether its statement
//! ends, fails, is cancelled, or its process is killed.
//!
//! **IO and threads.** Sessions run on tokio's threads, which must not wait for a disk. Rows are collected into chunks, and
//! each chunk is written or read by one call on tokio's blocking threads. Handing over costs some ten microseconds, a chunk of
//! 256 KiB some hundred, so it hardly shows; in good times the page cache takes the chunk and the disk is never waited for.
//!
//! - `SpillFile` is written row by row and read from any place that `position` named.
//! - `RowStore` is a list of rows that moves into a file when it grows past `work_mem`, with any number of readers.
//! - `Partitions` are files that rows are dealt out to by hash, for tables that do not fit.
//!
//! A disk that is full is 53100, and too much for `temp_file_limit` 53400.
mod codec;
mod partition;
mod store;

#[cfg(test)]
use partition::partition_of;
pub(crate) use partition::{PARTITIONS, Partitions};
pub(crate) use store::{RowReader, RowStore};

use super::Row;
use super::memory::StatementMemory;
use crate::layout::Damaged;
use bytes::{Buf, Bytes, BytesMut};
use codec::Shapes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use trivet_types::{Datum, PgError, PgResult, SqlState, sqlstate};

const IO_ERROR: SqlState = SqlState(*b"58030");
/// Bytes written or read at a time.
const CHUNK_BYTES: usize = 256 << 10;

fn failed(what: &str, error: &io::Error) -> Box<PgError> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            PgError::new(sqlstate::DISK_FULL, format!("could not {what} temporary file: {error}"))
                .hint("Make room on the disk that holds temporary files, or raise work_mem.")
        }
        _ => PgError::new(IO_ERROR, format!("could not {what} temporary file: {error}")),
    }
}

/// One call of the file system, where it may take its time.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> PgResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| failed(what, &error)),
        // The runtime is ending, and the statement with it.
        Err(_) => Err(PgError::new(sqlstate::ADMIN_SHUTDOWN, "terminating connection due to administrator command")),
    }
}

/// A file of rows, of this statement only.
pub(crate) struct SpillFile {
    memory: Arc<StatementMemory>,
    /// Made with the first chunk.
    file: Option<Arc<File>>,
    shapes: Shapes,
    /// Rows that are not in the file yet.
    chunk: BytesMut,
    chunk_bytes: usize,
    written: u64,
    rows: u64,
}

impl SpillFile {
    pub fn new(memory: &Arc<StatementMemory>) -> SpillFile {
        SpillFile::with_chunk(memory, CHUNK_BYTES)
    }

    /// For files of which there are many at a time.
    pub fn with_chunk(memory: &Arc<StatementMemory>, chunk_bytes: usize) -> SpillFile {
        SpillFile {
            memory: Arc::clone(memory),
            file: None,
            shapes: Shapes::default(),
            chunk: BytesMut::new(),
            chunk_bytes,
            written: 0,
            rows: 0,
        }
    }

    pub async fn push(&mut self, row: &[Datum]) -> PgResult<()> {
        codec::encode(row, &self.shapes, &mut self.chunk);
        self.rows += 1;
        if self.chunk.len() >= self.chunk_bytes {
            self.flush().await?;
        }
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Where the next row will be.
    pub fn position(&self) -> u64 {
        self.written + self.chunk.len() as u64
    }

    /// Everything pushed so far can be read once this is done.
    pub async fn flush(&mut self) -> PgResult<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let length = self.chunk.len() as u64;
        self.memory.take_temporary(length)?;
        let chunk = std::mem::take(&mut self.chunk).freeze();
        let at = self.written;
        self.written += length;
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let folder = Arc::clone(&self.memory.folder);
                let file = blocking("create", move || tempfile::tempfile_in(&*folder)).await?;
                let file = Arc::new(file);
                self.file = Some(Arc::clone(&file));
                file
            }
        };
        blocking("write to", move || file.write_all_at(&chunk, at)).await
    }

    /// The rows between two positions. `flush` first.
    pub fn reader(&self, from: u64, to: u64) -> SpillReader {
        self.reader_with(from, to, self.chunk_bytes)
    }

    pub fn reader_with(&self, from: u64, to: u64, chunk_bytes: usize) -> SpillReader {
        debug_assert!(to <= self.written, "what is read was flushed");
        let shapes = Arc::clone(&self.shapes);
        SpillReader { file: self.file.clone(), shapes, at: from, end: to, chunk_bytes, chunk: Bytes::new() }
    }

    /// All rows, by the file's only reader.
    pub async fn into_reader(mut self) -> PgResult<OwnedReader> {
        self.flush().await?;
        let reader = self.reader(0, self.written);
        Ok(OwnedReader { reader, _file: self })
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.memory.give_back_temporary(self.written);
    }
}

/// Reads the rows between two positions of a file, in order.
pub(crate) struct SpillReader {
    file: Option<Arc<File>>,
    shapes: Shapes,
    at: u64,
    end: u64,
    chunk_bytes: usize,
    /// Read and not yet given out.
    chunk: Bytes,
}

impl SpillReader {
    pub async fn next(&mut self) -> PgResult<Option<Row>> {
        if self.chunk.is_empty() && self.at >= self.end {
            return Ok(None);
        }
        self.fill(4).await?;
        let length = (&self.chunk[..4]).get_u32_le() as usize;
        self.fill(4 + length).await?;
        self.chunk.advance(4);
        // A copy, so that one value that somebody keeps does not keep the whole chunk.
        let row = Bytes::copy_from_slice(&self.chunk[..length]);
        self.chunk.advance(length);
        Ok(Some(codec::decode(&row, &self.shapes)?))
    }

    pub async fn batch(&mut self, wanted: usize) -> PgResult<Vec<Row>> {
        let mut rows = Vec::new();
        while rows.len() < wanted {
            match self.next().await? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }

    /// Have at least so many bytes at hand.
    async fn fill(&mut self, wanted: usize) -> PgResult<()> {
        if self.chunk.len() >= wanted {
            return Ok(());
        }
        let left = self.end - self.at;
        let more = ((wanted - self.chunk.len()).max(self.chunk_bytes) as u64).min(left) as usize;
        if self.chunk.len() + more < wanted {
            return Err(Damaged("a temporary file is cut").into());
        }
        let file =
            self.file.clone().ok_or_else(|| PgError::internal("a temporary file was read before it was written"))?;
        let (at, before) = (self.at, std::mem::take(&mut self.chunk));
        self.at += more as u64;
        self.chunk = blocking("read from", move || {
            let mut chunk = BytesMut::zeroed(before.len() + more);
            chunk[..before.len()].copy_from_slice(&before);
            file.read_exact_at(&mut chunk[before.len()..], at)?;
            Ok(chunk.freeze())
        })
        .await?;
        Ok(())
    }
}

/// A reader that the file goes with.
pub(crate) struct OwnedReader {
    reader: SpillReader,
    _file: SpillFile,
}

impl OwnedReader {
    pub async fn batch(&mut self, wanted: usize) -> PgResult<Vec<Row>> {
        self.reader.batch(wanted).await
    }
}

#[cfg(test)]
mod tests;
