//! Domains: one row each, which lies apart from the enums' and shares their stamp. A column that is of a domain is a column of the
//! domain's base type with a note at its table (`Table::domains`), so that nothing that reads or stores rows knows of domains.
use super::{AclItem, damaged, decode_row, domain_key, encode_row};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trivet_types::user::{DomainType, claim_of};
use trivet_types::{Oid, PgResult};

/// What is stored of a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDomain {
    pub definition: DomainType,
    pub owner: Oid,
    pub acl: Option<Vec<AclItem>>,
    pub comment: Option<String>,
}

impl StoredDomain {
    pub fn key(&self) -> Bytes {
        domain_key(claim_of(self.definition.oid))
    }
    pub fn encode(&self, stamp: u64) -> Bytes {
        encode_row(stamp, self)
    }
    pub fn decode(bytes: &[u8]) -> PgResult<StoredDomain> {
        decode_row(bytes).map_err(|error| damaged(&error))
    }
}
