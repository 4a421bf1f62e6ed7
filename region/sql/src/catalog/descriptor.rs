//! Catalog rows: what is stored of schemas, tables and names.
//!
//! ```text
//!   01   stamp (8, little endian)   body (postcard)
//! ```
use super::RelationKind;
use crate::layout::{IndexSpec, RowDecoder, StorageId};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use trivet_types::{Datum, Oid};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 9;

#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    #[error("a catalog row is cut or of an unknown format")]
    Format,
    #[error("a catalog row does not decode: {0}")]
    Body(#[from] postcard::Error),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub oid: Oid,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
    pub not_null: bool,
    /// SQL text of the default, as the typed tree prints it.
    pub default: Option<String>,
    /// Dropped columns keep their place in stored rows.
    pub dropped: bool,
    /// What rows that were written before this column was added have in it: an encoded row of one value.
    pub missing: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexKey {
    /// Position among the table's columns, dropped ones included.
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub oid: Oid,
    pub name: String,
    pub storage: StorageId,
    pub unique: bool,
    pub primary: bool,
    pub keys: Vec<IndexKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    PrimaryKey,
    Unique,
}

/// A constraint that an index enforces; it bears the index's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
    pub index: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub oid: Oid,
    pub name: String,
    pub expression: String,
}

/// A table with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Changes with every change of the table, and never repeats.
    pub stamp: u64,
    pub oid: Oid,
    pub schema: Oid,
    pub schema_name: String,
    pub name: String,
    /// The row type's OID.
    pub row_type: Oid,
    pub storage: StorageId,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub constraints: Vec<Constraint>,
    pub checks: Vec<Check>,
    /// `WITH (...)`, as given.
    pub options: Vec<(String, String)>,
    /// Rows as of the last ANALYZE; negative: never.
    pub row_estimate: f32,
    pub comment: Option<String>,
}

impl Table {
    /// Live columns with their positions.
    pub fn live_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.dropped)
    }
    pub fn column_named(&self, name: &str) -> Option<(usize, &Column)> {
        self.live_columns().find(|(_, column)| column.name == name)
    }
    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.primary)
    }
    pub fn index(&self, oid: Oid) -> Option<&Index> {
        self.indexes.iter().find(|index| index.oid == oid)
    }
    pub fn constraint_of(&self, index: Oid) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.index == index)
    }
    pub fn is_in_unique_index(&self, column: usize) -> bool {
        self.indexes.iter().any(|index| index.unique && index.keys.iter().any(|key| key.column == column))
    }
    /// The value that rows lack which were written before this column was added.
    pub fn missing_value(&self, column: usize) -> Datum {
        let Some(column) = self.columns.get(column) else { return Datum::Null };
        let Some(encoded) = &column.missing else { return Datum::Null };
        let encoded = Bytes::copy_from_slice(encoded);
        let decoded = RowDecoder::new(&encoded).and_then(|mut decoder| decoder.column(column.type_oid));
        decoded.unwrap_or_default()
    }
    pub fn index_spec(&self, index: &Index) -> IndexSpec {
        let last = index.keys.iter().map(|key| key.column).max().unwrap_or(0);
        let stored = &self.columns[..self.columns.len().min(last + 1)];
        let missing = stored.iter().enumerate().filter_map(|(at, column)| Some((at, column.missing.clone()?)));
        IndexSpec {
            storage: index.storage,
            unique: index.unique,
            stored_types: stored.iter().map(|column| column.type_oid).collect(),
            columns: index.keys.iter().map(|key| (key.column, key.descending)).collect(),
            missing: missing.collect(),
        }
    }
}

fn encode(stamp: u64, body: &impl Serialize) -> Bytes {
    let body = postcard::to_allocvec(body).expect("catalog rows have no unserializable part");
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_u8(FORMAT);
    out.put_u64_le(stamp);
    out.put_slice(&body);
    out.freeze()
}

fn body(bytes: &[u8]) -> Result<&[u8], DescriptorError> {
    match bytes {
        [FORMAT, rest @ ..] if rest.len() >= 8 => Ok(&rest[8..]),
        _ => Err(DescriptorError::Format),
    }
}

/// The stamp of any catalog row.
pub fn stamp_of(bytes: &[u8]) -> Option<u64> {
    let stamp = bytes.get(1..HEADER_BYTES)?;
    Some(u64::from_le_bytes(stamp.try_into().expect("eight bytes")))
}

pub fn encode_table(table: &Table) -> Bytes {
    encode(table.stamp, table)
}
pub fn decode_table(bytes: &[u8]) -> Result<Table, DescriptorError> {
    Ok(postcard::from_bytes(body(bytes)?)?)
}
pub fn encode_schema(stamp: u64, schema: &Schema) -> Bytes {
    encode(stamp, schema)
}
pub fn decode_schema(bytes: &[u8]) -> Result<Schema, DescriptorError> {
    Ok(postcard::from_bytes(body(bytes)?)?)
}
/// A name's row: what it stands for, the table it belongs to, its own OID.
pub fn encode_name(stamp: u64, kind: RelationKind, table: Oid, own: Oid) -> Bytes {
    encode(stamp, &(kind, table, own))
}
pub fn decode_name(bytes: &[u8]) -> Result<(RelationKind, Oid, Oid), DescriptorError> {
    Ok(postcard::from_bytes(body(bytes)?)?)
}
