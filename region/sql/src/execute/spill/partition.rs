//! Rows dealt out to files by the hash of their key, so that equal keys meet in one file.
//!
//! What is in a file may again be too much: its user deals it out once more, by other bits of the hash (`depth`).
use super::SpillFile;
use crate::execute::memory::StatementMemory;
use std::sync::Arc;
use trivet_types::{Datum, PgResult};

/// Enough that one round does for 16 times what fits into memory, few enough that their chunks are small change.
pub(crate) const PARTITIONS: usize = 16;
const CHUNK_BYTES: usize = 32 << 10;

/// The file for a hash. Each depth looks at bits of its own, none of which a hash table of `usize` slots leans on alone.
pub(crate) fn partition_of(hash: u64, depth: usize) -> usize {
    let mixed = hash.rotate_left(8 + 11 * depth as u32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 60) as usize
}

pub(crate) struct Partitions {
    files: Vec<SpillFile>,
    pub depth: usize,
}

impl Partitions {
    pub fn new(memory: &Arc<StatementMemory>, depth: usize) -> Partitions {
        let files = (0..PARTITIONS).map(|_| SpillFile::with_chunk(memory, CHUNK_BYTES)).collect();
        Partitions { files, depth }
    }

    pub async fn push(&mut self, hash: u64, row: &[Datum]) -> PgResult<()> {
        self.files[partition_of(hash, self.depth)].push(row).await
    }

    pub fn into_files(self) -> Vec<SpillFile> {
        self.files
    }
}
