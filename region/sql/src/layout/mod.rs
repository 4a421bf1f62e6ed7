//! How tables and indexes lie in the key space: keys, rows, index entries. `docs/formats/rows.md` draws it.
//!
//! ```text
//!   catalog       01 kind ...                          (catalog::keys)
//!   table row     02 storage id (8)  row id (8)        -> row
//!   unique entry  03 storage id (8)  columns           -> row id (8)
//!   other entry   03 storage id (8)  columns  row id   -> nothing
//!   advisory lock 04 kind number                       (advisory)
//! ```
//!
//! Every table is a heap under hidden row ids that never repeat, so a row never moves: an UPDATE of a key column only
//! writes index entries, and a row that waits to be locked can be found again under its old key (T15 does not arise).
//! Storage ids are not OIDs: TRUNCATE and DROP leave a storage id behind and drop its range.
mod index;
mod key;
mod row;

pub use index::{EntryKey, IndexSpec, RowIndexBuilder, Unique, entry_key, index_prefix, index_range};
pub use key::{KeyBound, encode_column, prefix_end};
pub use row::{Damaged, RowDecoder, decode_row, encode_row};
pub(crate) use row::{put_stored, take_stored};

use bytes::{BufMut, Bytes, BytesMut};
use trivet_storage::KeyRange;

/// First byte of a key: which part of the key space it is in.
pub const CATALOG_SPACE: u8 = 1;
pub const TABLE_SPACE: u8 = 2;
pub const INDEX_SPACE: u8 = 3;
pub const LOCK_SPACE: u8 = 4;

/// Where a table's rows or an index's entries are. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct StorageId(pub u64);

/// A row's hidden, permanent identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct RowId(pub u64);

/// Bytes of a row's key.
pub const ROW_KEY_BYTES: usize = 17;

pub fn row_key(table: StorageId, row: RowId) -> Bytes {
    let mut key = BytesMut::with_capacity(ROW_KEY_BYTES);
    key.put_u8(TABLE_SPACE);
    key.put_u64(table.0);
    key.put_u64(row.0);
    key.freeze()
}

/// The row id at the end of a row's key.
pub fn row_id_of(key: &[u8]) -> Option<RowId> {
    if key.len() != ROW_KEY_BYTES || key[0] != TABLE_SPACE {
        return None;
    }
    Some(RowId(u64::from_be_bytes(key[9..].try_into().expect("eight bytes"))))
}

fn storage_prefix(space: u8, id: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(9);
    key.put_u8(space);
    key.put_u64(id);
    key.freeze()
}

/// All rows of a table.
pub fn table_range(table: StorageId) -> KeyRange {
    KeyRange {
        start: storage_prefix(TABLE_SPACE, table.0),
        end: storage_prefix(TABLE_SPACE, table.0.checked_add(1).expect("storage ids end before u64 does")),
    }
}

/// The first key after this one.
pub fn after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
