//! Reading the catalog within a transaction, remembering what was relied on.
use super::claim_range;
use super::{
    DescriptorError, PG_CATALOG, RelationBody, RelationKind, Role, Roles, Schema, Table, builtin_schema_row,
    decode_name, decode_row, decode_schema, decode_table, descriptor_key, name_key, role_key, role_range, schema_key,
    snapshot, stamp_of,
    system::{self, VirtualTable},
};
use crate::sequence::BlockCache;
use crate::statistics::Statistics;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use trivet_txn::{Database, Transaction, Watch};
use trivet_types::{Oid, PgError, PgResult, UserTypes, sqlstate};

/// A catalog row that a plan relies on, by its stamp; `None`: that there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    pub key: Bytes,
    pub stamp: Option<u64>,
}

/// What a region remembers of the catalog: decoded descriptors by stamp, which never repeats, so an entry is never wrong, at
/// most unused; and its blocks of sequences.
pub struct DescriptorCache {
    tables: Cache<u64, Arc<Table>>,
    pub sequences: BlockCache,
    /// The types that users made, by the stamp of all.
    user_types: Mutex<Option<(u64, Arc<UserTypes>)>>,
    /// The next OID to try; 0 before the first.
    oids: AtomicU32,
    /// Numbers of temporary objects, and of sessions that have some.
    temporary: AtomicU32,
    temporary_schemas: AtomicU32,
    /// What is believed of tables' contents, for `pg_stats` and `pg_class`.
    pub statistics: Arc<Statistics>,
}

impl Default for DescriptorCache {
    fn default() -> DescriptorCache {
        DescriptorCache::new(Arc::default())
    }
}

/// Regions leave each other's OIDs out: they count in steps of this.
const OID_STEP: u32 = 4;
const OID_MAX: u32 = trivet_types::user::CLAIMED_OID_END;

impl DescriptorCache {
    pub fn new(statistics: Arc<Statistics>) -> DescriptorCache {
        DescriptorCache {
            tables: Cache::new(4096),
            sequences: BlockCache::default(),
            user_types: Mutex::default(),
            oids: AtomicU32::new(0),
            temporary: AtomicU32::new(1),
            temporary_schemas: AtomicU32::new(1),
            statistics,
        }
    }

    /// An OID that this region has not tried before. Begins after the greatest that is claimed.
    pub async fn next_oid(&self, transaction: &mut dyn Transaction, database: &dyn Database) -> PgResult<Oid> {
        if self.oids.load(Ordering::Relaxed) == 0 {
            let newest = transaction.scan(&claim_range(), true, 1).await?;
            let newest = newest.first().and_then(|row| row.key.get(2..6)).and_then(|oid| oid.try_into().ok());
            let after = newest.map_or(Oid::FIRST_NORMAL, |oid| u32::from_be_bytes(oid).saturating_add(1));
            // The high bits of an id are its region's number.
            let own = (database.row_ids(1) >> 58) as u32 % OID_STEP;
            let first = after.next_multiple_of(OID_STEP).saturating_add(own);
            // Another session may have been faster; it read the same.
            let _ = self.oids.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
        }
        let oid = self.oids.fetch_add(OID_STEP, Ordering::Relaxed);
        if oid >= OID_MAX {
            self.oids.store(Oid::FIRST_NORMAL, Ordering::Relaxed);
        }
        Ok(Oid(oid))
    }

    /// An OID for a temporary object, of no other session of this region while it runs.
    pub fn next_temporary_oid(&self) -> Oid {
        crate::temporary::object_oid(self.temporary.fetch_add(1, Ordering::Relaxed))
    }
    /// The same for the row type of a temporary relation.
    pub fn next_temporary_row(&self) -> Oid {
        crate::temporary::row_claim(self.temporary.fetch_add(1, Ordering::Relaxed))
    }
    /// A name for a session's schema of temporary tables.
    pub fn next_temporary_schema(&self) -> String {
        crate::temporary::schema_name(self.temporary_schemas.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn user_types(&self, stamp: u64) -> Option<Arc<UserTypes>> {
        self.user_types.lock().as_ref().filter(|(of, _)| *of == stamp).map(|(_, types)| Arc::clone(types))
    }
    pub(super) fn keep_user_types(&self, stamp: u64, types: &Arc<UserTypes>) {
        *self.user_types.lock() = Some((stamp, Arc::clone(types)));
    }

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

pub(crate) fn damaged(error: &DescriptorError) -> Box<PgError> {
    PgError::new(sqlstate::DATA_CORRUPTED, error.to_string())
}

/// What a relation name turned out to be.
#[derive(Clone, Debug)]
pub enum Found {
    Table(Arc<Table>),
    /// An index, with its table.
    Index(Arc<Table>, Oid),
    View(Arc<ResolvedView>),
    Sequence(Arc<Table>),
    Virtual(&'static VirtualTable),
}

/// A view with what its text's names stand for.
#[derive(Debug)]
pub struct ResolvedView {
    pub table: Arc<Table>,
    pub relations: HashMap<(Option<String>, String), Found>,
    /// Its tables as they are now, by OID.
    pub bases: HashMap<Oid, Arc<Table>>,
}

/// Schemas that nobody can name, for REFRESH: a materialized view, by its OID, as a table to be filled, and as the view that
/// its query would be.
pub const MATERIALIZED_ROWS: &str = "\u{1}rows";
pub const MATERIALIZED_QUERY: &str = "\u{1}query";

/// Views within views.
const VIEW_DEPTH_MAX: usize = 64;

impl Found {
    pub fn oid(&self) -> Oid {
        match self {
            Found::Table(table) => table.oid,
            Found::Index(_, index) => *index,
            Found::View(view) => view.table.oid,
            Found::Sequence(table) => table.oid,
            Found::Virtual(table) => table.oid,
        }
    }
    /// The descriptor, if it has one of its own.
    pub fn table(&self) -> Option<&Arc<Table>> {
        match self {
            Found::Table(table) | Found::Sequence(table) => Some(table),
            Found::View(view) => Some(&view.table),
            Found::Index(..) | Found::Virtual(_) => None,
        }
    }
    pub fn kind(&self) -> RelationKind {
        match self {
            Found::Table(table) => table.kind(),
            Found::Index(..) => RelationKind::Index,
            Found::View(_) => RelationKind::View,
            Found::Sequence(_) => RelationKind::Sequence,
            Found::Virtual(table) if table.view => RelationKind::View,
            Found::Virtual(_) => RelationKind::Table,
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

    pub(super) fn depend(&mut self, key: Bytes, stamp: Option<u64>) {
        if !self.dependencies.iter().any(|dependency| dependency.key == key) {
            self.dependencies.push(Dependency { key, stamp });
        }
    }

    pub async fn schema(&mut self, name: &str) -> PgResult<Option<Oid>> {
        let name = match self.search_path.first() {
            Some(own) if name == crate::temporary::ALIAS => own,
            _ => name,
        };
        // What is built in has an OID that nothing changes.
        match super::builtin_schema(name) {
            Some(oid) => Ok(Some(oid)),
            None => Ok(self.schema_row(name).await?.map(|schema| schema.oid)),
        }
    }

    pub async fn schema_row(&mut self, name: &str) -> PgResult<Option<Schema>> {
        let key = schema_key(name);
        let found = self.transaction.get(&key).await?;
        self.depend(key, found.as_deref().and_then(stamp_of));
        match found {
            None => Ok(builtin_schema_row(name)),
            Some(bytes) => Ok(Some(decode_schema(&bytes).map_err(|error| damaged(&error))?)),
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
        if kind == RelationKind::Type {
            self.depend(key, stamp_of(&bytes));
            return Ok(None);
        }
        let table =
            self.table(table).await?.ok_or_else(|| PgError::internal("a relation name without a descriptor"))?;
        if kind == RelationKind::Index {
            return Ok(Some(Found::Index(table, own)));
        }
        self.found(table, 0).await.map(Some)
    }

    /// What a descriptor is, with a view's own relations looked up.
    pub fn found(&mut self, table: Arc<Table>, depth: usize) -> BoxFuture<'_, PgResult<Found>> {
        async move {
            match &table.body {
                RelationBody::Table | RelationBody::Materialized { .. } => return Ok(Found::Table(table)),
                RelationBody::Sequence(_) => return Ok(Found::Sequence(table)),
                RelationBody::View(_) => {}
            }
            self.resolved(table, depth).await.map(Found::View)
        }
        .boxed()
    }

    /// A view's own relations, or those of a materialized view's query.
    fn resolved(&mut self, table: Arc<Table>, depth: usize) -> BoxFuture<'_, PgResult<Arc<ResolvedView>>> {
        async move {
            let view =
                table.view().ok_or_else(|| PgError::internal("a relation without a query was read as a view"))?;
            if depth >= VIEW_DEPTH_MAX {
                return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "views are nested too deeply"));
            }
            let mut relations = HashMap::with_capacity(view.references.len());
            let mut bases = HashMap::new();
            for reference in &view.references {
                let found = match system::virtual_table_by_oid(reference.relation) {
                    Some(table) => Found::Virtual(table),
                    None => {
                        let missing = || PgError::internal("a view reads what is not there");
                        let of = self.table(reference.relation).await?.ok_or_else(missing)?;
                        let seen = Arc::new(as_seen(&of, &reference.columns));
                        bases.insert(of.oid, of);
                        self.found(seen, depth + 1).await?
                    }
                };
                relations.insert((reference.schema.clone(), reference.name.clone()), found);
            }
            Ok(Arc::new(ResolvedView { table, relations, bases }))
        }
        .boxed()
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
        if let Some(part @ (MATERIALIZED_ROWS | MATERIALIZED_QUERY)) = schema {
            let oid = Oid(name.parse().map_err(|_| PgError::internal("a materialized view goes by its OID"))?);
            let Some(table) = self.table(oid).await? else { return Ok(None) };
            return Ok(Some(match part {
                MATERIALIZED_ROWS => {
                    Found::Table(Arc::new(Table { body: RelationBody::Table, ..Table::clone(&table) }))
                }
                _ => Found::View(self.resolved(table, 0).await?),
            }));
        }
        if let Some(schema) = schema {
            return match self.schema(schema).await? {
                Some(oid) => self.relation_in(oid, name).await,
                None => Ok(None),
            };
        }
        let path = crate::temporary::without_own(self.search_path);
        if path.len() < self.search_path.len() {
            if let Some(own) = super::builtin_schema(&self.search_path[0]) {
                if let Some(found) = self.relation_in(own, name).await? {
                    return Ok(Some(found));
                }
            }
        }
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
            let oid = self.schema(name).await?.ok_or_else(missing)?;
            let own = self.search_path.first().filter(|_| name == crate::temporary::ALIAS);
            return Ok((oid, own.map_or(name, String::as_str).to_owned()));
        }
        let path = crate::temporary::without_own(self.search_path);
        for name in path {
            if let Some(oid) = self.schema(name).await? {
                return Ok((oid, name.clone()));
            }
        }
        Err(PgError::new(sqlstate::INVALID_SCHEMA_NAME, "no schema has been selected to create in"))
    }
}

/// A relation with the column names that it had when a view was made of it; what came later is hidden.
pub(super) fn as_seen(table: &Table, names: &[String]) -> Table {
    let mut seen = table.clone();
    for (at, column) in seen.columns.iter_mut().enumerate() {
        match names.get(at) {
            Some(name) if !column.dropped => column.name.clone_from(name),
            Some(_) => {}
            None => column.dropped = true,
        }
    }
    seen
}

/// A role by name.
pub async fn find_role(transaction: &mut dyn Transaction, name: &str) -> PgResult<Option<Role>> {
    match transaction.get(&role_key(name)).await? {
        Some(bytes) => decode_row(&bytes).map(Some).map_err(|error| damaged(&error)),
        None => {
            // One that is always there, unless it was renamed: then it is stored under its new name.
            let roles = load_roles(transaction).await?;
            Ok(roles.named(name).filter(|role| role.oid < Oid(Oid::FIRST_NORMAL)).cloned())
        }
    }
}

pub async fn load_roles(transaction: &mut dyn Transaction) -> PgResult<Roles> {
    let mut all = Vec::new();
    for bytes in snapshot::scan_all(transaction, role_range()).await? {
        all.push(decode_row(&bytes).map_err(|error| damaged(&error))?);
    }
    Ok(Roles::new(all))
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
        let holds =
            pairs.into_iter().all(|(dependency, bytes)| bytes.as_deref().and_then(stamp_of) == dependency.stamp);
        if let (true, Some(watch)) = (holds, transaction.watch()) {
            *self.true_at.lock() = Some(watch);
        }
        Ok(holds)
    }
}
