//! Index entries, and the builder that makes them of rows while an index is filled.
use super::key::{encode_column, prefix_end};
use super::row::{Damaged, RowDecoder};
use super::{CATALOG_SPACE, INDEX_SPACE, RowId, StorageId, row_id_of};
use bytes::{BufMut, Bytes, BytesMut};
use trivet_storage::{KeyRange, Row};
use trivet_txn::IndexBuilder;
use trivet_types::{Datum, Oid};

/// Which keys may not be in an index twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Unique {
    No,
    /// Those without a NULL.
    Values,
    /// All: NULLS NOT DISTINCT.
    All,
}

/// What is needed to make an index's entries of a table's rows; travels in the log with `FillIndex`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IndexSpec {
    pub storage: StorageId,
    pub unique: Unique,
    /// Types of the table's stored columns, in order, as far as the index reads.
    pub stored_types: Vec<Oid>,
    /// (stored column, descending)
    pub columns: Vec<(usize, bool)>,
    /// Rows written before a column was added lack it: its value then, as an encoded row of one.
    pub missing: Vec<(usize, Vec<u8>)>,
}

/// An entry: its key, and its value (the row id, if that is not in the key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    pub key: Bytes,
    /// The key holds no row id: two rows with it collide, which is the point.
    pub exclusive: bool,
}

pub fn index_prefix(storage: StorageId, capacity: usize) -> BytesMut {
    let mut key = BytesMut::with_capacity(9 + capacity);
    key.put_u8(INDEX_SPACE);
    key.put_u64(storage.0);
    key
}

/// All entries of an index.
pub fn index_range(storage: StorageId) -> KeyRange {
    let start = index_prefix(storage, 0).freeze();
    KeyRange { end: prefix_end(&start), start }
}

/// The entry of a row. A unique index's entry with a NULL does not collide.
pub fn entry_key<'a>(
    storage: StorageId,
    unique: Unique,
    columns: impl Iterator<Item = (Oid, &'a Datum, bool)>,
    row: RowId,
) -> EntryKey {
    let mut key = index_prefix(storage, 32);
    let mut has_null = false;
    for (type_oid, value, descending) in columns {
        has_null |= value.is_null();
        encode_column(type_oid, value, descending, &mut key);
    }
    let exclusive = match unique {
        Unique::No => false,
        Unique::Values => !has_null,
        Unique::All => true,
    };
    if !exclusive {
        key.put_u64(row.0);
    }
    EntryKey { key: key.freeze(), exclusive }
}

/// Reads rows by an `IndexSpec`. Pure.
#[derive(Debug, Default)]
pub struct RowIndexBuilder;

impl IndexBuilder for RowIndexBuilder {
    fn watched(&self) -> Option<KeyRange> {
        Some(KeyRange::prefix(vec![CATALOG_SPACE]))
    }

    fn entries(&self, spec: &[u8], row: &Row, out: &mut Vec<(Bytes, Bytes)>) -> Result<(), String> {
        let spec: IndexSpec = postcard::from_bytes(spec).map_err(|error| format!("index spec: {error}"))?;
        let entry = spec.entry(row).map_err(|error| error.to_string())?;
        out.push(entry);
        Ok(())
    }
}

impl IndexSpec {
    pub fn encoded(&self) -> Bytes {
        Bytes::from(postcard::to_allocvec(self).expect("an index spec has no unserializable part"))
    }

    /// The entry (key, value) of a stored row.
    pub fn entry(&self, row: &Row) -> Result<(Bytes, Bytes), Damaged> {
        let row_id = row_id_of(&row.key).ok_or(Damaged("its key is no row's"))?;
        let mut decoder = RowDecoder::new(&row.value)?;
        let stored = decoder.count();
        let mut values = Vec::with_capacity(self.stored_types.len());
        for (at, type_oid) in self.stored_types.iter().enumerate() {
            if self.columns.iter().any(|(column, _)| *column == at) {
                values.push(decoder.column(*type_oid)?);
            } else {
                decoder.skip(*type_oid)?;
                values.push(Datum::Null);
            }
        }
        for (column, encoded) in &self.missing {
            if *column >= stored {
                let encoded = Bytes::copy_from_slice(encoded);
                let type_oid = *self.stored_types.get(*column).ok_or(Damaged("a default's column"))?;
                values[*column] = RowDecoder::new(&encoded)?.column(type_oid)?;
            }
        }
        let columns = self.columns.iter().map(|(column, descending)| {
            let type_oid = self.stored_types.get(*column).copied().unwrap_or_default();
            (type_oid, values.get(*column).unwrap_or(&Datum::Null), *descending)
        });
        let entry = entry_key(self.storage, self.unique, columns, row_id);
        Ok((entry.key, entry_value(entry.exclusive, row_id)))
    }
}

fn entry_value(exclusive: bool, row: RowId) -> Bytes {
    if exclusive { Bytes::copy_from_slice(&row.0.to_be_bytes()) } else { Bytes::new() }
}
