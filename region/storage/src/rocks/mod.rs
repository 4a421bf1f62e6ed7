//! The real engine: one RocksDB, two column families, no log of its own.
//!
//! ```text
//!   data    encoded key | 8 bytes of inverted version  ->  0 (tombstone)  or  1 | value
//!   local   0 | name                                   ->  the engine's own: applied, horizon, format
//!           1 | key                                    ->  the region's bookkeeping, unversioned
//! ```
//! The bytes are drawn in `docs/formats/storage.md`.
//!
//! * **S1** A batch and the applied index in it are one RocksDB batch, and both families are flushed together
//!   (`atomic_flush`), so what a crash leaves is the state after some batch, and `applied` in it says after which.
//! * **S2** There is no write-ahead log: the journal is one. `flushed` reads the applied index from the files alone,
//!   past everything in memory, so it is what a crash would leave and never a guess; RocksDB flushes by itself when
//!   its buffer is full, and that counts too.
//! * **S3** Keys are encoded such that none is a prefix of another, so that all versions of a key lie together, newest
//!   first, and byte order is key order.
//! * **S4** *Collection needs no compaction filter* (T11). A value at or below the horizon hides everything older from
//!   every snapshot that may still be read, so the older ones can be deleted one by one, in any order. A tombstone
//!   there hides them too, but must not go before them: it is deleted in one batch with the last of them. Deletes are
//!   ordinary writes, ordered by RocksDB against all files, so there is no question of which file is compacted first,
//!   which is what makes a filter that drops tombstones bring rows back. The horizon goes into the same batch:
//!   whoever sees the deletes after a restart refuses the snapshots that would miss what was deleted.
//! * **S5** A read below the horizon is refused after the fact: it looks at the horizon when it has its rows. A
//!   collector that could have disturbed it raised the horizon before it began.
mod collect;
mod cursor;
mod encoding;
mod open;
mod recent;
mod store;

pub use open::RocksOptions;
pub use store::RocksStore;

use crate::StoreError;

/// RocksDB's errors are texts.
pub(crate) fn engine(error: rocksdb::Error) -> StoreError {
    let kind = error.kind();
    let text = error.into_string();
    if text.contains("No space left on device") || text.contains("Space limit reached") {
        return StoreError::DiskFull(text);
    }
    match kind {
        rocksdb::ErrorKind::Corruption => StoreError::Damaged(text),
        _ => StoreError::Engine(text),
    }
}
