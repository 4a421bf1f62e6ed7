//! Running DDL: every statement is reads and writes of catalog rows within the client's transaction, so it rolls back with it.
//!
//! - A change of a table first locks the table's descriptor row (UPDATE strength, T14) and works on the newest version; every
//!   statement that relied on the old one is guarded by that row and is planned again, or refused, at its commit (T19).
//! - Names are rows, too: two regions that create the same name meet on one key (T1).
//! - OIDs are claimed rows: drawn from an id that never repeats, then checked like any unique key, so no counter is shared (T22).
//! - Rows and entries are never rewritten. TRUNCATE and DROP leave a storage id behind; an index is filled by each region from
//!   its own rows, after this transaction has read all of them and guarded their range (`Action::FillIndex`). A transaction that
//!   may go on writes the entries itself, since its own statements will look for them.
mod alter;
mod columns;
mod create;
mod drop;
mod index;
mod truncate;

use crate::catalog::{
    Catalog, Constraint, ConstraintKind, DescriptorCache, Found, Index, IndexKey, RelationKind, Table, descriptor_key,
    encode_name, encode_table, name_key,
};
use crate::layout::StorageId;
use crate::parser::tree::{Name, QualifiedName, Statement};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use trivet_txn::{Database, LockStrength, LockWait, Locked, Transaction, WriteKind};
use trivet_types::{Environment, Oid, PgError, PgResult, Severity, SqlState, sqlstate};

/// Is this a statement that `run` takes?
pub fn is_definition(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::CreateSchema { .. }
            | Statement::CreateView { .. }
            | Statement::CreateSequence { .. }
            | Statement::AlterTable { .. }
            | Statement::Drop { .. }
            | Statement::Truncate { .. }
            | Statement::Comment { .. }
    )
}

/// What a definition needs of its session.
pub struct Definer<'a> {
    pub transaction: &'a mut dyn Transaction,
    pub database: &'a dyn Database,
    pub cache: &'a DescriptorCache,
    pub search_path: &'a [String],
    pub environment: &'a dyn Environment,
    /// Nothing follows in this transaction: what is built may be built by its commit.
    pub last: bool,
    pub notices: Vec<Box<PgError>>,
}

/// Runs one definition and returns its command tag.
pub async fn run(definer: &mut Definer<'_>, statement: &Statement) -> PgResult<String> {
    let tag = match statement {
        Statement::CreateTable(create) => {
            definer.create_table(create).await?;
            "CREATE TABLE"
        }
        Statement::CreateIndex(create) => {
            definer.create_index(create).await?;
            "CREATE INDEX"
        }
        Statement::CreateSchema { name, if_not_exists } => {
            definer.create_schema(name, *if_not_exists).await?;
            "CREATE SCHEMA"
        }
        Statement::AlterTable { name, if_exists, actions } => {
            definer.alter_table(name, *if_exists, actions).await?;
            "ALTER TABLE"
        }
        Statement::Drop { kind, names, if_exists, cascade } => {
            return definer.drop(*kind, names, *if_exists, *cascade).await;
        }
        Statement::Truncate { tables, restart_identity: _, cascade: _ } => {
            definer.truncate(tables).await?;
            "TRUNCATE TABLE"
        }
        Statement::Comment { kind, name, text } => {
            definer.comment(*kind, name, text.clone()).await?;
            "COMMENT"
        }
        Statement::CreateView { .. } => return Err(PgError::unsupported("CREATE VIEW")),
        Statement::CreateSequence { .. } => return Err(PgError::unsupported("CREATE SEQUENCE")),
        _ => return Err(PgError::internal("not a definition")),
    };
    Ok(tag.to_owned())
}

const FIRST_OID: u32 = 16_384;
const OID_SPAN: u64 = (1 << 31) - FIRST_OID as u64;
const OID_TRIES: usize = 32;

/// The row that claims an OID: `01 04 oid`.
fn oid_key(oid: Oid) -> Bytes {
    let mut key = BytesMut::with_capacity(6);
    key.put_slice(&[crate::layout::CATALOG_SPACE, 4]);
    key.put_u32(oid.0);
    key.freeze()
}

impl Definer<'_> {
    fn notice(&mut self, code: SqlState, message: String) {
        self.notices.push(PgError::new(code, message).severity(Severity::Notice));
    }

    fn stamp(&self) -> u64 {
        self.database.row_ids(1)
    }

    fn new_storage(&self) -> StorageId {
        StorageId(self.database.row_ids(1))
    }

    async fn new_oid(&mut self) -> PgResult<Oid> {
        for _ in 0..OID_TRIES {
            // Fibonacci hashing: ids in a row spread over the whole span.
            let mixed = self.database.row_ids(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let oid = Oid(FIRST_OID + u32::try_from(mixed % OID_SPAN).expect("the span fits"));
            let key = oid_key(oid);
            if self.transaction.lock_for_insert(&key).await?.is_none() {
                self.transaction.put(key, Bytes::new(), WriteKind::Update);
                return Ok(oid);
            }
        }
        Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "no free OID was found"))
    }

    fn catalog(&mut self) -> Catalog<'_> {
        Catalog::new(&mut *self.transaction, self.cache, self.search_path)
    }

    async fn find(&mut self, name: &QualifiedName) -> PgResult<Option<Found>> {
        self.catalog().relation(name.schema(), name.last()).await
    }

    /// Claims a name in a schema; `false` if a relation has it. 42501 for the schemas that are built in.
    async fn claim_name(
        &mut self,
        schema: Oid,
        name: &str,
        kind: RelationKind,
        table: Oid,
        own: Oid,
    ) -> PgResult<bool> {
        let key = name_key(schema, name);
        if self.transaction.lock_for_insert(&key).await?.is_some() {
            return Ok(false);
        }
        let value = encode_name(self.stamp(), kind, table, own);
        self.transaction.put(key, value, WriteKind::Update);
        Ok(true)
    }

    /// As PostgreSQL names what was not given a name: the first free of `base`, `base1`, `base2` ...
    async fn claim_free_name(&mut self, schema: Oid, base: &str, table: Oid, own: Oid) -> PgResult<String> {
        for number in 0..10_000 {
            let name = if number == 0 { base.to_owned() } else { format!("{base}{number}") };
            if self.transaction.get(&name_key(schema, &name)).await?.is_none()
                && self.claim_name(schema, &name, RelationKind::Index, table, own).await?
            {
                return Ok(name);
            }
        }
        Err(PgError::new(sqlstate::DUPLICATE_OBJECT, format!("no free name like \"{base}\" was found")))
    }

    async fn free_name(&mut self, schema: Oid, name: &str) -> PgResult<()> {
        let key = name_key(schema, name);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        self.transaction.delete(key);
        Ok(())
    }

    async fn free_oid(&mut self, oid: Oid) -> PgResult<()> {
        let key = oid_key(oid);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        self.transaction.delete(key);
        Ok(())
    }

    /// The newest version of a table, locked against every other definition; `None` if it is gone.
    async fn locked_table(&mut self, oid: Oid) -> PgResult<Option<Arc<Table>>> {
        let key = descriptor_key(oid);
        let newest = match self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await? {
            Locked::Unchanged(value) | Locked::Newer(value) => value,
            Locked::Skipped => None,
        };
        newest.map(|bytes| self.cache.table(&bytes)).transpose()
    }

    /// The table that a statement names, locked; 42P01 or 42809.
    async fn table_to_change(&mut self, name: &QualifiedName) -> PgResult<Table> {
        let undefined = || {
            let error =
                PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", name.shown()));
            match name.place().known() {
                Some(place) => error.position(place),
                None => error,
            }
        };
        match self.find(name).await? {
            None => Err(undefined()),
            Some(Found::Table(table)) => {
                let table = self.locked_table(table.oid).await?.ok_or_else(undefined)?;
                Ok(Table::clone(&table))
            }
            Some(Found::Index(..)) => Err(wrong_kind(name, "a table")),
            Some(Found::Virtual(_)) => Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", name.last()),
            )),
        }
    }

    /// Stores a table's new version. Its descriptor is locked, or new.
    fn store(&mut self, mut table: Table) {
        table.stamp = self.stamp();
        self.transaction.put(descriptor_key(table.oid), encode_table(&table), WriteKind::Update);
    }

    /// A key constraint or index: the descriptor's parts, with names claimed. The entries are the caller's matter.
    async fn add_index(&mut self, table: &mut Table, new: NewIndex) -> PgResult<Index> {
        let oid = self.new_oid().await?;
        let name = match new.name {
            Some(name) => {
                if !self.claim_name(table.schema, &name.text, RelationKind::Index, table.oid, oid).await? {
                    return Err(already_exists(&name.text));
                }
                name.text
            }
            None => self.claim_free_name(table.schema, &new.default_name, table.oid, oid).await?,
        };
        let primary = new.constraint == Some(ConstraintKind::PrimaryKey);
        if primary {
            for key in &new.keys {
                table.columns[key.column].not_null = true;
            }
        }
        let index = Index { oid, name, storage: self.new_storage(), unique: new.unique, primary, keys: new.keys };
        if let Some(kind) = new.constraint {
            let constraint = Constraint { oid: self.new_oid().await?, name: index.name.clone(), kind, index: oid };
            table.constraints.push(constraint);
        }
        table.indexes.push(index.clone());
        Ok(index)
    }
}

/// An index to be.
struct NewIndex {
    name: Option<Name>,
    default_name: String,
    unique: bool,
    keys: Vec<IndexKey>,
    constraint: Option<ConstraintKind>,
}

fn already_exists(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

fn wrong_kind(name: &QualifiedName, wanted: &str) -> Box<PgError> {
    PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is not {wanted}", name.last()))
}

/// PostgreSQL's pattern for derived names, cut so that the whole fits 63 bytes: `table_column_suffix`.
fn derived_name(table: &str, columns: &[&str], suffix: &str) -> String {
    const BYTES_MAX: usize = 63;
    let middle = columns.join("_");
    let (mut table, mut middle) = (table.to_owned(), middle);
    let separators = 1 + usize::from(!middle.is_empty());
    while table.len() + middle.len() + suffix.len() + separators > BYTES_MAX {
        let longer = if table.len() >= middle.len() { &mut table } else { &mut middle };
        longer.pop();
    }
    if middle.is_empty() { format!("{table}_{suffix}") } else { format!("{table}_{middle}_{suffix}") }
}
