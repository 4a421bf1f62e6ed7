//! Composite types of one's own: one row each, which lies apart from the enums' and shares their stamp. The type of their values is
//! one of rows, as that of a table's (`trivet_types::user`); there is no relation behind it.
use super::{AclItem, composite_key, damaged, decode_row, encode_row};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trivet_types::user::{Composite, RowType, claim_of};
use trivet_types::{Oid, PgResult, RecordShape};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
}

/// What is stored of a composite type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredComposite {
    pub oid: Oid,
    pub schema: Oid,
    pub schema_name: String,
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub owner: Oid,
    pub acl: Option<Vec<AclItem>>,
    pub comment: Option<String>,
}

impl StoredComposite {
    pub fn key(&self) -> Bytes {
        composite_key(claim_of(self.oid))
    }
    pub fn encode(&self, stamp: u64) -> Bytes {
        encode_row(stamp, self)
    }
    pub fn decode(bytes: &[u8]) -> PgResult<StoredComposite> {
        decode_row(bytes).map_err(|error| damaged(&error))
    }
    /// As statements see it.
    pub fn seen(&self) -> Arc<Composite> {
        let shape = RecordShape {
            names: self.attributes.iter().map(|attribute| attribute.name.clone()).collect(),
            types: self.attributes.iter().map(|attribute| attribute.type_oid).collect(),
        };
        Arc::new(Composite {
            schema: self.schema,
            row: RowType {
                oid: self.oid,
                schema_name: self.schema_name.clone(),
                name: self.name.clone(),
                shape: Arc::new(shape),
                modifiers: self.attributes.iter().map(|attribute| attribute.modifier).collect(),
            },
        })
    }
}
