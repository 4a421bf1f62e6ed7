//! Reading the catalog within a transaction, remembering what was relied on.
use super::{
    DescriptorError, PG_CATALOG, RelationKind, Table, builtin_schema, decode_name, decode_schema, decode_table,
    descriptor_key, name_key, schema_key, stamp_of,
    system::{self, VirtualTable},
};
use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::sync::Arc;
use trivet_txn::{Transaction, Watch};
use trivet_types::{Oid, PgError, PgResult, sqlstate};

/// A catalog row that a plan relies on, by its stamp; `None`: that there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    pub key: Bytes,
    pub stamp: Option<u64>,
}

/// Decoded descriptors by stamp. A stamp never repeats, so an entry is never wrong, at most unused.
pub struct DescriptorCache {
    tables: Cache<u64, Arc<Table>>,
}

impl Default for DescriptorCache {
    fn default() -> DescriptorCache {
        DescriptorCache { tables: Cache::new(4096) }
    }
}

impl DescriptorCache {
    pub fn table(&self, bytes: &[u8]) -> PgResult<Arc<Table>> {
        let stamp = stamp_of(bytes).ok_or_else(|| damaged(&DescriptorError::Format))?;
        if let Some(table) = self.tables.get(&stamp) {
            return Ok(table);
        }
        let table = Arc::new(decode_table(bytes).map_err(|error| damaged(&error))?);
        self.tables.insert(stamp, Arc::clone(&table));
        Ok(table)
    }
}

pub(super) fn damaged(error: &DescriptorError) -> Box<PgError> {
    PgError::new(sqlstate::DATA_CORRUPTED, error.to_string())
}

/// What a relation name turned out to be.
#[derive(Clone, Debug)]
pub enum Found {
    Table(Arc<Table>),
    /// An index, with its table.
    Index(Arc<Table>, Oid),
    Virtual(&'static VirtualTable),
}

impl Found {
    pub fn oid(&self) -> Oid {
        match self {
            Found::Table(table) => table.oid,
            Found::Index(_, index) => *index,
            Found::Virtual(table) => table.oid,
        }
    }
}

/// The catalog as a transaction sees it.
pub struct Catalog<'a> {
    pub transaction: &'a mut dyn Transaction,
    pub cache: &'a DescriptorCache,
    /// Schema names in order; `$user` is replaced already.
    pub search_path: &'a [String],
    pub dependencies: Vec<Dependency>,
}

impl<'a> Catalog<'a> {
    pub fn new(
        transaction: &'a mut dyn Transaction,
        cache: &'a DescriptorCache,
        search_path: &'a [String],
    ) -> Catalog<'a> {
        Catalog { transaction, cache, search_path, dependencies: Vec::new() }
    }

    fn depend(&mut self, key: Bytes, stamp: Option<u64>) {
        if !self.dependencies.iter().any(|dependency| dependency.key == key) {
            self.dependencies.push(Dependency { key, stamp });
        }
    }

    pub async fn schema(&mut self, name: &str) -> PgResult<Option<Oid>> {
        if let Some(oid) = builtin_schema(name) {
            return Ok(Some(oid));
        }
        let key = schema_key(name);
        let found = self.transaction.get(&key).await?;
        self.depend(key, found.as_deref().and_then(stamp_of));
        match found {
            None => Ok(None),
            Some(bytes) => Ok(Some(decode_schema(&bytes).map_err(|error| damaged(&error))?.oid)),
        }
    }

    /// A relation of one schema.
    async fn relation_in(&mut self, schema: Oid, name: &str) -> PgResult<Option<Found>> {
        if let Some(table) = system::virtual_table(schema, name) {
            return Ok(Some(Found::Virtual(table)));
        }
        if schema == PG_CATALOG {
            return Ok(None);
        }
        let key = name_key(schema, name);
        let Some(bytes) = self.transaction.get(&key).await? else {
            self.depend(key, None);
            return Ok(None);
        };
        let (kind, table, own) = decode_name(&bytes).map_err(|error| damaged(&error))?;
        let table =
            self.table(table).await?.ok_or_else(|| PgError::internal("a relation name without a descriptor"))?;
        Ok(Some(match kind {
            RelationKind::Table => Found::Table(table),
            RelationKind::Index => Found::Index(table, own),
        }))
    }

    /// A table by OID. The dependency on it covers its name, which is part of the descriptor.
    pub async fn table(&mut self, oid: Oid) -> PgResult<Option<Arc<Table>>> {
        let key = descriptor_key(oid);
        let found = self.transaction.get(&key).await?;
        self.depend(key, found.as_deref().and_then(stamp_of));
        found.map(|bytes| self.cache.table(&bytes)).transpose()
    }

    /// A relation by name: of the named schema, or the first of the search path that has one.
    pub async fn relation(&mut self, schema: Option<&str>, name: &str) -> PgResult<Option<Found>> {
        if let Some(schema) = schema {
            return match self.schema(schema).await? {
                Some(oid) => self.relation_in(oid, name).await,
                None => Ok(None),
            };
        }
        let path = self.search_path;
        if !path.iter().any(|schema| schema == "pg_catalog") {
            if let Some(found) = self.relation_in(PG_CATALOG, name).await? {
                return Ok(Some(found));
            }
        }
        for schema in path {
            if let Some(oid) = self.schema(schema).await? {
                if let Some(found) = self.relation_in(oid, name).await? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Where an unqualified new object goes: the first schema of the path that is there.
    pub async fn creation_schema(&mut self, schema: Option<&str>) -> PgResult<(Oid, String)> {
        if let Some(name) = schema {
            let missing = || PgError::new(sqlstate::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"));
            return Ok((self.schema(name).await?.ok_or_else(missing)?, name.to_string()));
        }
        let path = self.search_path;
        for name in path {
            if let Some(oid) = self.schema(name).await? {
                return Ok((oid, name.clone()));
            }
        }
        Err(PgError::new(sqlstate::INVALID_SCHEMA_NAME, "no schema has been selected to create in"))
    }
}

/// What was read of the catalog, with the newest snapshot at which it is known to be true.
#[derive(Debug, Default)]
pub struct Relied {
    dependencies: Vec<Dependency>,
    keys: Vec<Bytes>,
    true_at: Mutex<Option<Watch>>,
}

impl Relied {
    pub fn new(dependencies: Vec<Dependency>) -> Relied {
        let keys = dependencies.iter().map(|dependency| dependency.key.clone()).collect();
        Relied { dependencies, keys, true_at: Mutex::new(None) }
    }

    /// Do the rows still bear the stamps, as this statement's snapshot sees them (T10, T19)? Read again, with one wait for
    /// all of them, only if somebody wrote to the catalog since it was last known.
    pub async fn still_holds(&self, transaction: &mut dyn Transaction) -> PgResult<bool> {
        let true_at = *self.true_at.lock();
        if self.dependencies.is_empty() || true_at.is_some_and(|since| transaction.unchanged(since)) {
            return Ok(true);
        }
        let found = transaction.get_many(&self.keys).await?;
        let pairs = self.dependencies.iter().zip(&found);
        let holds = pairs.into_iter().all(|(dependency, bytes)| bytes.as_deref().and_then(stamp_of) == dependency.stamp);
        if let (true, Some(watch)) = (holds, transaction.watch()) {
            *self.true_at.lock() = Some(watch);
        }
        Ok(holds)
    }
}
