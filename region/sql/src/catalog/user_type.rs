//! Types that users made: one row a type, and one whose stamp changes with every change of any (what plans rely on that have to do
//! with such a type). A name of a type stands among the names of relations, since a table's row type has the table's name.
use super::{
    AclItem, Catalog, CatalogSnapshot, Found, Table, composite_range, damaged, decode_row, domain_range, encode_row,
    stamp_of, type_key, type_range, types_stamp_key,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trivet_types::user::{claim_of, is_row, is_row_array, is_user_type, marked_types};
use trivet_types::{EnumType, Oid, PgResult, UserTypes};

/// What is stored of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredType {
    pub definition: EnumType,
    pub owner: Oid,
    pub acl: Option<Vec<AclItem>>,
    pub comment: Option<String>,
}

impl StoredType {
    pub fn key(&self) -> Bytes {
        type_key(claim_of(self.definition.oid))
    }
    pub fn encode(&self, stamp: u64) -> Bytes {
        encode_row(stamp, self)
    }
    pub fn decode(bytes: &[u8]) -> PgResult<StoredType> {
        decode_row(bytes).map_err(|error| damaged(&error))
    }
}

impl Table {
    /// Does a column or an expression of the table have to do with a type that a user made?
    pub fn uses_user_types(&self) -> bool {
        !self.domains.is_empty()
            || self.columns.iter().any(|column| {
                !column.dropped
                    && (is_user_type(column.type_oid) || is_row(column.type_oid) || is_row_array(column.type_oid))
            })
            || self.texts().any(|text| !marked_types(text).is_empty())
    }

    /// Everything that is kept as SQL text: defaults, generated columns, checks, keys and conditions of indexes.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let columns = self.columns.iter().flat_map(|column| [column.default.as_deref(), column.generated.as_deref()]);
        let checks = self.checks.iter().map(|check| Some(check.expression.as_str()));
        let indexes = self.indexes.iter().flat_map(|index| {
            let keys = index.keys.iter().map(|key| key.expression.as_ref().map(|expression| expression.text.as_str()));
            keys.chain([index.filter.as_deref()])
        });
        columns.chain(checks).chain(indexes).flatten()
    }
}

impl Found {
    pub fn uses_user_types(&self) -> bool {
        match self {
            Found::Table(table) | Found::Index(table, _) | Found::Sequence(table) => table.uses_user_types(),
            // A view's text may name a type that none of its relations has.
            Found::View(view) => {
                let own = view.table.view().is_some_and(|definition| definition.query.contains("::"));
                own || view.table.uses_user_types() || view.relations.values().any(Found::uses_user_types)
            }
            Found::Virtual(_) => false,
        }
    }
}

impl Catalog<'_> {
    /// All types that users made. What relies on one relies on all.
    pub async fn user_types(&mut self) -> PgResult<Arc<UserTypes>> {
        let key = types_stamp_key();
        let stamp = self.transaction.get(&key).await?.as_deref().and_then(stamp_of);
        self.depend(key, stamp);
        let Some(stamp) = stamp else { return Ok(Arc::default()) };
        if let Some(types) = self.cache.user_types(stamp) {
            return Ok(types);
        }
        let stored = super::snapshot::scan_all(self.transaction, type_range()).await?;
        let mut types = UserTypes::default();
        for bytes in stored {
            types.enums.push(Arc::new(StoredType::decode(&bytes)?.definition));
        }
        for bytes in super::snapshot::scan_all(self.transaction, domain_range()).await? {
            types.domains.push(Arc::new(super::StoredDomain::decode(&bytes)?.definition));
        }
        for bytes in super::snapshot::scan_all(self.transaction, composite_range()).await? {
            types.composites.push(super::StoredComposite::decode(&bytes)?.seen());
        }
        let types = Arc::new(types);
        self.cache.keep_user_types(stamp, &types);
        Ok(types)
    }
}

impl CatalogSnapshot {
    pub fn user_type(&self, oid: Oid) -> Option<&StoredType> {
        if !is_user_type(oid) {
            return None;
        }
        self.types.iter().find(|found| claim_of(found.definition.oid) == claim_of(oid))
    }
}
