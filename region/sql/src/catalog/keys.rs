//! Keys of catalog rows.
//!
//! ```text
//!   01 01  table oid (4)               -> descriptor
//!   01 02  schema oid (4)  name        -> (kind, table oid, own oid)
//!   01 03  name                        -> schema
//!   01 04  oid (4)                     -> nothing: the row claims the OID
//!   01 05  name                        -> role
//!   01 06  sequence oid (4)            -> the sequence's epoch
//!   01 07  sequence oid (4)            -> epoch and the last value that was handed out as part of a block
//!   01 08                              -> nothing: its stamp changes with every change of a type
//!   01 08  oid (4), as it was claimed  -> a type that a user made
//!   01 09                              -> the database
//!   01 0a  oid (4), as it was claimed  -> a domain
//!   01 0b  oid (4), as it was claimed  -> a composite type
//! ```
use crate::layout::{CATALOG_SPACE, prefix_end};
use bytes::{BufMut, Bytes, BytesMut};
use trivet_storage::KeyRange;
use trivet_types::Oid;

const DESCRIPTOR: u8 = 1;
const NAME: u8 = 2;
const SCHEMA: u8 = 3;
const CLAIM: u8 = 4;
const ROLE: u8 = 5;
const SEQUENCE_EPOCH: u8 = 6;
const SEQUENCE_STATE: u8 = 7;
const TYPE: u8 = 8;
const DATABASE: u8 = 9;
const DOMAIN: u8 = 10;
const COMPOSITE: u8 = 11;

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
pub fn claim_key(oid: Oid) -> Bytes {
    key(CLAIM, &[&oid.0.to_be_bytes()])
}
pub fn claim_range() -> KeyRange {
    range(CLAIM)
}
pub fn role_key(name: &str) -> Bytes {
    key(ROLE, &[name.as_bytes()])
}
/// A row whose stamp changes with every change of a role: what plans of those who are no superusers rely on.
pub fn roles_stamp_key() -> Bytes {
    key(ROLE, &[])
}
/// All roles, without the stamp's row.
pub fn role_range() -> KeyRange {
    KeyRange { start: crate::layout::after(&roles_stamp_key()), ..range(ROLE) }
}
pub fn sequence_epoch_key(sequence: Oid) -> Bytes {
    key(SEQUENCE_EPOCH, &[&sequence.0.to_be_bytes()])
}
pub fn sequence_state_key(sequence: Oid) -> Bytes {
    key(SEQUENCE_STATE, &[&sequence.0.to_be_bytes()])
}
pub fn database_key() -> Bytes {
    key(DATABASE, &[])
}
pub fn type_key(claimed: Oid) -> Bytes {
    key(TYPE, &[&claimed.0.to_be_bytes()])
}
/// A row whose stamp changes with every change of a type.
pub fn types_stamp_key() -> Bytes {
    key(TYPE, &[])
}
/// All types, without the stamp's row.
pub fn type_range() -> KeyRange {
    KeyRange { start: crate::layout::after(&types_stamp_key()), ..range(TYPE) }
}
pub fn domain_key(claimed: Oid) -> Bytes {
    key(DOMAIN, &[&claimed.0.to_be_bytes()])
}
pub fn domain_range() -> KeyRange {
    range(DOMAIN)
}
pub fn composite_key(claimed: Oid) -> Bytes {
    key(COMPOSITE, &[&claimed.0.to_be_bytes()])
}
pub fn composite_range() -> KeyRange {
    range(COMPOSITE)
}
pub fn sequence_state_range() -> KeyRange {
    range(SEQUENCE_STATE)
}
