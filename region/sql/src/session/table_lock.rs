//! LOCK TABLE (T20), as far as an optimistic commit allows.
//!
//! Within a region it waits, as PostgreSQL's does: a statement that changes a table holds a lock on the table until its
//! transaction is over, and LOCK TABLE queues behind it. With the other region nobody waits: the commit is certified against
//! other LOCK TABLEs of the table, and against every row of it that was written since the lock was had, and fails with 40001.
//!
//! PostgreSQL's eight modes become row lock strengths on two keys of the table:
//!
//! ```text
//!                           modes   self
//!   ROW SHARE               KeyShare              SELECT ... FOR UPDATE takes it
//!   ROW EXCLUSIVE           Share                 INSERT, UPDATE, DELETE, COPY FROM take it
//!   SHARE UPDATE EXCLUSIVE            NoKeyUpdate
//!   SHARE                   NoKeyUpdate  NoKeyUpdate
//!   SHARE ROW EXCLUSIVE     NoKeyUpdate  NoKeyUpdate
//!   EXCLUSIVE               Update       NoKeyUpdate
//!   ACCESS EXCLUSIVE        Update       NoKeyUpdate
//! ```
//!
//! which is PostgreSQL's matrix but for two places: two SHARE locks exclude each other, and ACCESS EXCLUSIVE does not keep
//! readers out: they read what was there before it. ACCESS SHARE is what a snapshot gives anyway.
use super::connection::SqlSession;
use super::environment::search_path;
use crate::catalog::{Catalog, Found, Privileges, Table, descriptor_key};
use crate::layout::{LOCK_SPACE, table_range};
use crate::parser::tree::QualifiedName;
use crate::plan::{Node, Plan};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use trivet_txn::{LockStrength, LockWait, Transaction};
use trivet_types::{Oid, PgError, PgResult, sqlstate};

const TABLES: u8 = 3;

/// What a mode takes: strengths on the table's two keys.
type Strengths = (Option<LockStrength>, Option<LockStrength>);

/// What a statement that changes the table takes of the first key.
pub(super) const CHANGES: LockStrength = LockStrength::Share;
/// What a statement that locks rows of it takes.
pub(super) const LOCKS_ROWS: LockStrength = LockStrength::KeyShare;

fn key(table: Oid, which: u8) -> Bytes {
    let mut key = BytesMut::with_capacity(7);
    key.put_slice(&[LOCK_SPACE, TABLES]);
    key.put_u32(table.0);
    key.put_u8(which);
    key.freeze()
}

fn strengths(mode: &str) -> Option<Strengths> {
    use LockStrength as S;
    Some(match mode {
        "ACCESS SHARE" => (None, None),
        "ROW SHARE" => (Some(S::KeyShare), None),
        "ROW EXCLUSIVE" => (Some(S::Share), None),
        "SHARE UPDATE EXCLUSIVE" => (None, Some(S::NoKeyUpdate)),
        "SHARE" | "SHARE ROW EXCLUSIVE" => (Some(S::NoKeyUpdate), Some(S::NoKeyUpdate)),
        "EXCLUSIVE" | "ACCESS EXCLUSIVE" => (Some(S::Update), Some(S::NoKeyUpdate)),
        _ => return None,
    })
}

/// Taken by whatever changes or locks rows of a table: keeps LOCK TABLE of this region waiting. Whether it had to wait itself:
/// then what the other did is newer than the statement's snapshot.
pub(super) async fn hold(transaction: &mut dyn Transaction, table: Oid, strength: LockStrength) -> PgResult<bool> {
    let key = key(table, 1);
    if transaction.lock_here(&key, strength, LockWait::SkipLocked).await? {
        return Ok(false);
    }
    transaction.lock_here(&key, strength, LockWait::Wait).await?;
    Ok(true)
}

/// 3F000 or 42P01; a utility's error has no position.
pub(super) async fn no_such_table(catalog: &mut Catalog<'_>, name: &QualifiedName) -> PgResult<Box<PgError>> {
    if let Some(schema) = name.schema() {
        if catalog.schema(schema).await?.is_none() {
            let message = format!("schema \"{schema}\" does not exist");
            return Ok(PgError::new(sqlstate::INVALID_SCHEMA_NAME, message));
        }
    }
    Ok(PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", name.shown())))
}

/// What a plan takes of its tables.
pub(super) fn held_by(plan: &Plan) -> Vec<(Oid, LockStrength)> {
    fn visit(node: &Node, held: &mut Vec<(Oid, LockStrength)>) {
        match node {
            Node::Merge { merge, .. } => held.push((merge.table.oid, CHANGES)),
            Node::Insert { insert, .. } => held.push((insert.table.oid, CHANGES)),
            Node::Update { update, .. } => held.push((update.table.oid, CHANGES)),
            Node::Delete { delete, .. } => held.push((delete.table.oid, CHANGES)),
            Node::Lock { locks, .. } => held.extend(locks.iter().map(|lock| (lock.table.oid, LOCKS_ROWS))),
            _ => {}
        }
        node.inputs().into_iter().for_each(|input| visit(input, held));
    }
    let mut held = Vec::new();
    visit(&plan.root, &mut held);
    plan.commons.iter().for_each(|common| visit(&common.root, &mut held));
    held.sort_unstable();
    held.dedup();
    held
}

impl SqlSession {
    /// Take what a plan takes of its tables. Whether it had to wait: then it has to be planned at a newer snapshot.
    pub(super) async fn hold_tables(&mut self, held: &[(Oid, LockStrength)]) -> PgResult<bool> {
        let rules = self.lock_rules();
        let active = self.open();
        let mut waited = false;
        // Who may not write is told so before long.
        if !active.read_only {
            for (table, strength) in held {
                waited |= rules.within(hold(&mut *active.transaction, *table, *strength)).await?;
            }
        }
        Ok(waited)
    }

    pub(super) async fn lock_tables(&mut self, tables: &[QualifiedName], mode: &str, nowait: bool) -> PgResult<()> {
        for name in tables {
            let table = self.table_to_lock(name).await?;
            let needed = match mode {
                "ACCESS SHARE" => Privileges::SELECT,
                "ROW EXCLUSIVE" => Privileges::INSERT,
                _ => Privileges::UPDATE,
            };
            self.check_table_access(&table, needed).await?;
            self.lock_table(&table, mode, nowait).await?;
        }
        Ok(())
    }

    async fn table_to_lock(&mut self, name: &QualifiedName) -> PgResult<Arc<Table>> {
        let path = search_path(&self.settings, &self.current_user());
        let engine = Arc::clone(&self.engine);
        let active = self.open();
        active.transaction.statement().await?;
        let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
        match catalog.relation(name.schema(), name.last()).await? {
            Some(Found::Table(table)) => Ok(table),
            Some(Found::View(_)) => Err(PgError::unsupported("LOCK TABLE of a view")),
            Some(other) => {
                let what = match other {
                    Found::Sequence(_) => "sequences",
                    Found::Index(..) => "indexes",
                    _ => return Err(PgError::unsupported("LOCK TABLE of a system catalog")),
                };
                let message = format!("cannot lock relation \"{}\"", name.last());
                Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
                    .detail(format!("This operation is not supported for {what}.")))
            }
            None => Err(no_such_table(&mut catalog, name).await?),
        }
    }

    async fn lock_table(&mut self, table: &Table, mode: &str, nowait: bool) -> PgResult<()> {
        let Some((first, second)) = strengths(mode) else {
            return Err(PgError::internal(format!("LOCK TABLE in a mode that is none: {mode}")));
        };
        let keys: Vec<(Bytes, LockStrength)> = [(1, first), (2, second)]
            .into_iter()
            .filter_map(|(which, strength)| strength.map(|strength| (key(table.oid, which), strength)))
            .collect();
        let wait = if nowait { LockWait::NoWait } else { LockWait::Wait };
        let rules = self.lock_rules();
        let cancel = self.startup.cancel.clone();
        let active = self.open();
        let transaction = &mut *active.transaction;
        let had = SqlSession::cancellable(&cancel, async {
            for (key, strength) in &keys {
                rules.within(transaction.lock_here(key, *strength, wait)).await?;
            }
            Ok(())
        });
        had.await.map_err(|error| {
            if !nowait || error.code != sqlstate::LOCK_NOT_AVAILABLE {
                return error;
            }
            let message = format!("could not obtain lock on relation \"{}\"", table.name);
            PgError::new(sqlstate::LOCK_NOT_AVAILABLE, message)
        })?;
        if keys.is_empty() || matches!(mode, "ROW SHARE" | "ROW EXCLUSIVE") {
            return Ok(());
        }
        // What those wrote that had to be waited for is older than this.
        active.transaction.statement().await?;
        for (key, strength) in &keys {
            // Held already: what this adds is the guard of the commit record.
            active.transaction.lock(key, *strength, LockWait::Wait).await?;
        }
        active.transaction.guard_range(table_range(table.storage));
        active.transaction.guard_schema(descriptor_key(table.oid));
        active.used = true;
        Ok(())
    }
}
