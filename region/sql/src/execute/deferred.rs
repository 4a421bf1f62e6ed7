//! Foreign keys that are checked at the transaction's end: DEFERRABLE, and deferred.
//!
//! Only the two checks wait: that a row refers to something, and that nobody refers to a row that went (NO ACTION). A row
//! that refers to what is there locks it at once, as ever, and nothing is left to be checked: whoever took it away later would
//! be this transaction, which leaves a check of its own. Actions and RESTRICT never wait.
//!
//! A check names its row by id and looks at what the row is when the time comes: a row that went, or refers elsewhere by then,
//! is nobody's concern.
use super::foreign::{Reference, is_satisfied, key_is_back, referring};
use super::{Context, ForeignWork, Row, stored_row};
use crate::catalog::{Catalog, DescriptorCache, ForeignKey};
use crate::layout::{RowId, row_key};
use crate::plan::{RelatedTable, TableRules};
use crate::sequence::SessionSequences;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_txn::{Database, Transaction};
use trivet_types::{Environment, Oid, PgResult};

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
        key.deferrable && self.named.get(&key.oid).copied().or(self.all).unwrap_or(key.deferred)
    }
}

/// A check that waits.
#[derive(Clone, Debug)]
pub enum DeferredCheck {
    /// This row of the table referred to nothing.
    Refers { table: Oid, key: Oid, row: RowId },
    /// A row of the table that is referred to went, or its key changed.
    Gone { child: Oid, key: Oid, old: Row },
}

impl DeferredCheck {
    pub fn key(&self) -> Oid {
        match self {
            DeferredCheck::Refers { key, .. } | DeferredCheck::Gone { key, .. } => *key,
        }
    }
    /// The table that refers.
    pub fn table(&self) -> Oid {
        match self {
            DeferredCheck::Refers { table, .. } => *table,
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
        }
    }
}
