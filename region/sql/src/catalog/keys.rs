//! Keys of catalog rows.
//!
//! ```text
//!   01 01  table oid (4)               -> descriptor
//!   01 02  schema oid (4)  name        -> (kind, table oid, own oid)
//!   01 03  name                        -> schema
//! ```
use crate::layout::{CATALOG_SPACE, prefix_end};
use bytes::{BufMut, Bytes, BytesMut};
use trivet_storage::KeyRange;
use trivet_types::Oid;

const DESCRIPTOR: u8 = 1;
const NAME: u8 = 2;
const SCHEMA: u8 = 3;

fn key(kind: u8, rest: &[&[u8]]) -> Bytes {
    let mut key = BytesMut::with_capacity(2 + rest.iter().map(|part| part.len()).sum::<usize>());
    key.put_u8(CATALOG_SPACE);
    key.put_u8(kind);
    rest.iter().for_each(|part| key.put_slice(part));
    key.freeze()
}

fn range(kind: u8) -> KeyRange {
    let start = key(kind, &[]);
    KeyRange { end: prefix_end(&start), start }
}

pub fn descriptor_key(table: Oid) -> Bytes {
    key(DESCRIPTOR, &[&table.0.to_be_bytes()])
}
pub fn descriptor_range() -> KeyRange {
    range(DESCRIPTOR)
}
pub fn name_key(schema: Oid, name: &str) -> Bytes {
    key(NAME, &[&schema.0.to_be_bytes(), name.as_bytes()])
}
pub fn schema_key(name: &str) -> Bytes {
    key(SCHEMA, &[name.as_bytes()])
}
pub fn schema_range() -> KeyRange {
    range(SCHEMA)
}
