//! SELECT ... FOR UPDATE and its kin: lock each row that is about to be returned, on its newest version.
use super::scan::decode_all;
use super::{Arc, Context, Operator, Row};
use crate::layout::{RowId, row_key};
use crate::plan::{Compiled, LockNode};
use async_trait::async_trait;
use std::collections::VecDeque;
use trivet_txn::{LockWait, Locked};
use trivet_types::{Datum, PgError, PgResult, sqlstate};

pub(crate) struct LockOperator {
    pub input: Box<dyn Operator>,
    pub locks: Arc<Vec<LockNode>>,
    pub recheck: Option<Arc<Compiled>>,
    /// Rows that came although they are not wanted yet: locked when they are, so that LIMIT 1 locks one row.
    pub pending: VecDeque<Row>,
}

/// The row id in the slot after a table's columns; none on the empty side of an outer join.
pub(crate) fn row_id_at(row: &[Datum], offset: usize, columns: usize) -> PgResult<Option<RowId>> {
    match row.get(offset + columns) {
        Some(Datum::Int8(id)) => Ok(Some(RowId(*id as u64))),
        Some(Datum::Null) => Ok(None),
        _ => Err(PgError::internal("a row has lost its id")),
    }
}

/// Put a newer version of a table's row into its slots.
pub(crate) fn replace_columns(row: &mut Row, offset: usize, newer: &[Datum]) {
    row[offset..offset + newer.len()].clone_from_slice(newer);
}

/// The words of NOWAIT name the table, which the lock below does not know.
fn name_table(error: Box<PgError>, lock: &LockNode) -> Box<PgError> {
    if lock.wait != LockWait::NoWait || error.code != sqlstate::LOCK_NOT_AVAILABLE {
        return error;
    }
    let message = format!("could not obtain lock on row in relation \"{}\"", lock.table.name);
    PgError::new(sqlstate::LOCK_NOT_AVAILABLE, message)
}

/// Lock a row's tables; whether the row is still wanted.
async fn lock_row(
    locks: &[LockNode],
    recheck: Option<&Compiled>,
    context: &mut Context<'_>,
    row: &mut Row,
) -> PgResult<bool> {
    let mut newer = false;
    for lock in locks {
        let Some(id) = row_id_at(row, lock.offset, lock.table.columns.len())? else { continue };
        let key = row_key(lock.table.storage, id);
        let locked = context.lock(&key, lock.strength, lock.wait).await;
        match locked.map_err(|error| name_table(error, lock))? {
            Locked::Unchanged(Some(_)) => {}
            Locked::Newer(Some(value)) => {
                replace_columns(row, lock.offset, &decode_all(&lock.table, &value)?);
                newer = true;
            }
            Locked::Unchanged(None) | Locked::Newer(None) | Locked::Skipped => return Ok(false),
        }
    }
    match recheck {
        Some(recheck) if newer => recheck.test(context.eval(), row),
        _ => Ok(true),
    }
}

#[async_trait]
impl Operator for LockOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let mut kept = Vec::new();
        while kept.len() < wanted {
            let Some(mut row) = self.pending.pop_front() else {
                if !kept.is_empty() {
                    break;
                }
                self.pending = self.input.next(context, wanted).await?.into();
                if self.pending.is_empty() {
                    break;
                }
                continue;
            };
            if lock_row(&self.locks, self.recheck.as_deref(), context, &mut row).await? {
                kept.push(row);
            }
        }
        Ok(kept)
    }
}
