//! Constraints that are checked at the transaction's end: DEFERRABLE, and deferred.
//!
//! **Keys.** An entry of a deferrable unique index bears its row's id, so that two rows may have one key for a while. Who writes one
//! first writes (and so locks) the key itself, where nothing is ever read: two transactions that give rows one key meet there, within the
//! region and in certification. If there is another entry then, whether both stay is looked at again at the statement's end, or
//! the transaction's. If there is none, whoever comes later looks.
//!
//! **Foreign keys.** Only the two checks wait: that a row refers to something, and that nobody refers to a row that went (NO ACTION). A row
//! that refers to what is there locks it at once, as ever, and nothing is left to be checked: whoever took it away later would
//! be this transaction, which leaves a check of its own. Actions and RESTRICT never wait.
//!
//! A check names its row by id and looks at what the row is when the time comes: a row that went, or refers elsewhere by then,
//! is nobody's concern.
use super::foreign::{Reference, is_satisfied, key_is_back, referring};
use super::{Context, ForeignWork, Row, stored_row};
use crate::catalog::{Catalog, DescriptorCache, ForeignKey};
use crate::layout::{RowId, index_prefix, prefix_end, row_key};
use crate::plan::{RelatedTable, TableRules};
use crate::sequence::SessionSequences;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_storage::KeyRange;
use trivet_txn::{Database, Transaction};
use trivet_types::{Environment, Oid, PgError, PgResult};

/// Which deferrable constraints are deferred: what SET CONSTRAINTS said in this transaction.
#[derive(Clone, Debug, Default)]
pub struct ConstraintModes {
    all: Option<bool>,
    named: HashMap<Oid, bool>,
}

impl ConstraintModes {
    pub fn set_all(&mut self, deferred: bool) {
        self.named.clear();
        self.all = Some(deferred);
    }
    pub fn set(&mut self, constraint: Oid, deferred: bool) {
        self.named.insert(constraint, deferred);
    }
    pub fn defers(&self, key: &ForeignKey) -> bool {
        key.deferrable && self.defers_now(key.oid, key.deferred)
    }
    /// A deferrable constraint that is, or is not, deferred at first.
    pub fn defers_now(&self, constraint: Oid, at_first: bool) -> bool {
        self.named.get(&constraint).copied().or(self.all).unwrap_or(at_first)
    }
}

/// A check that waits.
#[derive(Clone, Debug)]
pub enum DeferredCheck {
    /// This row of the table referred to nothing.
    Refers { table: Oid, key: Oid, row: RowId },
    /// A row of the table that is referred to went, or its key changed.
    Gone { child: Oid, key: Oid, old: Row },
    /// When a row was written, another had its key.
    Twice { table: Oid, key: Oid, twin: Twin },
}

/// An entry of a deferrable unique index that was not the only one of its key.
#[derive(Clone, Debug)]
pub struct Twin {
    pub index: Oid,
    /// What the entries of one key begin with.
    pub prefix: Bytes,
    /// The entry.
    pub own: Bytes,
    /// What to say if it still is not.
    pub error: Box<PgError>,
}

impl Twin {
    pub async fn remains(&self, transaction: &mut dyn Transaction) -> PgResult<bool> {
        has_twin(&self.prefix, &self.own, transaction).await
    }
}

/// Is an entry there, and another one beside it under its key? At the statement's snapshot, this transaction's own writes
/// included.
pub async fn has_twin(prefix: &Bytes, own: &Bytes, transaction: &mut dyn Transaction) -> PgResult<bool> {
    let range = KeyRange { start: prefix.clone(), end: prefix_end(prefix) };
    let entries = transaction.scan(&range, false, 2).await?;
    Ok(entries.len() > 1 && transaction.get(own).await?.is_some())
}

impl DeferredCheck {
    pub fn key(&self) -> Oid {
        match self {
            DeferredCheck::Refers { key, .. } | DeferredCheck::Gone { key, .. } | DeferredCheck::Twice { key, .. } => {
                *key
            }
        }
    }
    /// The table that refers, or has the key twice.
    pub fn table(&self) -> Oid {
        match self {
            DeferredCheck::Refers { table, .. } | DeferredCheck::Twice { table, .. } => *table,
            DeferredCheck::Gone { child, .. } => *child,
        }
    }
}

/// What checking takes of a session.
pub struct Surroundings<'a> {
    pub database: &'a dyn Database,
    pub cache: &'a DescriptorCache,
    pub environment: &'a dyn Environment,
    pub sequences: &'a SessionSequences,
}

/// 23503 if one of the checks fails, at a new snapshot.
pub async fn check_deferred(
    checks: &[DeferredCheck],
    transaction: &mut dyn Transaction,
    around: &Surroundings<'_>,
) -> PgResult<()> {
    if checks.is_empty() {
        return Ok(());
    }
    transaction.statement().await?;
    let mut tables = HashMap::new();
    for check in checks {
        let mut wanted = vec![check.table()];
        while let Some(oid) = wanted.pop() {
            if tables.contains_key(&oid) {
                continue;
            }
            let mut catalog = Catalog::new(&mut *transaction, around.cache, &[]);
            // A table that this transaction dropped has nothing to be checked.
            let Some(table) = catalog.table(oid).await? else { continue };
            wanted.extend(table.foreign_keys.iter().map(|key| key.table));
            let related = RelatedTable { table, rules: TableRules::default(), defaults: vec![] };
            tables.insert(oid, Arc::new(related));
        }
    }
    let mut foreign = ForeignWork::new(Arc::new(tables), ConstraintModes::default());
    let mut context = Context {
        transaction,
        database: around.database,
        environment: around.environment,
        catalog: None,
        parameters: &[],
        outer: &mut Vec::new(),
        affected: &mut 0,
        sequences: around.sequences,
        foreign: &mut foreign,
        commons: &mut super::common::Commons::default(),
        touched: &mut None,
        locks: &crate::advisory::LockRules::default(),
        since_breath: 0,
        memory: super::memory::unbounded(),
        watch: None,
    };
    for check in checks {
        context.check(check).await?;
        context.breathe(1).await;
    }
    Ok(())
}

impl Context<'_> {
    async fn check(&mut self, check: &DeferredCheck) -> PgResult<()> {
        let Some(child) = self.foreign.tables.get(&check.table()).cloned() else { return Ok(()) };
        if let DeferredCheck::Twice { twin, .. } = check {
            // An index that was dropped, or emptied by TRUNCATE, has nothing twice.
            let is_there = child
                .table
                .index(twin.index)
                .is_some_and(|index| twin.prefix.starts_with(&index_prefix(index.storage, 0)));
            let remains = is_there && twin.remains(&mut *self.transaction).await?;
            return if remains { Err(twin.error.clone()) } else { Ok(()) };
        }
        let Some(key) = child.table.foreign_key(check.key()) else { return Ok(()) };
        let Some(parent) = self.foreign.tables.get(&key.table).cloned() else { return Ok(()) };
        let reference = Reference { child: &child.table, key, parent: &parent.table };
        match check {
            DeferredCheck::Refers { row, .. } => {
                let at = row_key(child.table.storage, *row);
                let Some(value) = self.transaction.get(&at).await? else { return Ok(()) };
                let row = stored_row(&child.table, &value)?;
                if is_satisfied(self, &child.table, key, &row).await? {
                    return Ok(());
                }
                Err(reference.missing(&row, self.environment))
            }
            DeferredCheck::Gone { old, .. } => {
                if key_is_back(self, &reference, old).await? {
                    return Ok(());
                }
                if referring(self, &reference, old, true).await?.is_empty() {
                    return Ok(());
                }
                Err(reference.still_referenced(old, self.environment))
            }
            DeferredCheck::Twice { .. } => Ok(()),
        }
    }
}
