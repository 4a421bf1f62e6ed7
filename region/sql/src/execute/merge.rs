//! MERGE. A row of the source with its row of the target, or none, gets the first clause that fits.
//!
//! The clause is chosen by what the statement's snapshot shows; what it changes is locked then, and looked at again if it is newer:
//! it may no longer be the pair's, and counts as missing then. All input is gathered first, since the target is part of it.
use super::lock::{replace_columns, row_id_at};
use super::scan::decode_all;
use super::spill::{RowReader, RowStore};
use super::subplan::Subqueries;
use super::write::{check_row, delete_row, insert_row, update_row};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::layout::{RowId, row_key};
use crate::plan::{MergeClauseNode, MergeNode, MergeWork};
use async_trait::async_trait;
use std::collections::HashSet;
use trivet_txn::{LockStrength, LockWait, Locked};
use trivet_types::{Datum, PgError, PgResult, SqlState};

pub(crate) struct MergeOperator {
    input: Box<dyn Operator>,
    gathered: Option<(RowStore, RowReader)>,
    node: Arc<MergeNode>,
    /// Rows of the target that a clause changed.
    changed: HashSet<RowId>,
}

impl MergeOperator {
    pub fn new(input: Box<dyn Operator>, node: Arc<MergeNode>) -> MergeOperator {
        MergeOperator { input, gathered: None, node, changed: HashSet::new() }
    }

    /// The first clause that fits.
    async fn chosen(&mut self, context: &mut Context<'_>, row: &mut Row, matched: bool) -> PgResult<Option<usize>> {
        let node = Arc::clone(&self.node);
        for (at, clause) in node.clauses.iter().enumerate().filter(|(_, clause)| clause.matched == matched) {
            let Some(condition) = &clause.condition else { return Ok(Some(at)) };
            let width = row.len();
            if !clause.asks.is_empty() {
                Subqueries::new(Arc::clone(&clause.asks)).extend(context, row).await?;
            }
            let holds = condition.test(context.eval(), row)?;
            row.truncate(width);
            if holds {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    async fn merge(&mut self, context: &mut Context<'_>, mut row: Row, fresh: RowId) -> PgResult<()> {
        let node = Arc::clone(&self.node);
        let columns = node.table.columns.len();
        let mut target = row_id_at(&row, node.offset, columns)?;
        // What the row of the target is known to hold, once it is locked.
        let mut held: Option<Row> = None;
        loop {
            let Some(at) = self.chosen(context, &mut row, target.is_some()).await? else { return Ok(()) };
            let clause = &node.clauses[at];
            let strength = match &clause.work {
                MergeWork::Nothing => return Ok(()),
                MergeWork::Insert(_) => return insert(context, &node, clause, row, fresh).await,
                MergeWork::Update { changes_key: false, .. } => LockStrength::NoKeyUpdate,
                MergeWork::Update { .. } | MergeWork::Delete => LockStrength::Update,
            };
            let Some(id) = target else { return Err(PgError::internal("MERGE changes a row that is missing")) };
            if self.changed.contains(&id) {
                let message = "MERGE command cannot affect row a second time";
                return Err(PgError::new(SqlState(*b"21000"), message)
                    .hint("Ensure that not more than one source row matches any one target row."));
            }
            let key = row_key(node.table.storage, id);
            let newer = match context.lock(&key, strength, LockWait::Wait).await? {
                Locked::Unchanged(Some(value)) => {
                    held.get_or_insert(decode_all(&node.table, &value)?);
                    false
                }
                Locked::Newer(Some(value)) => {
                    let current = decode_all(&node.table, &value)?;
                    let changed = held.as_ref() != Some(&current);
                    replace_columns(&mut row, node.offset, &current);
                    held = Some(current);
                    changed
                }
                Locked::Unchanged(None) | Locked::Newer(None) | Locked::Skipped => {
                    forget(&mut row, node.offset, columns);
                    target = None;
                    continue;
                }
            };
            if newer {
                let still = node.recheck.as_ref().map_or(Ok(true), |recheck| recheck.test(context.eval(), &row))?;
                if !still {
                    forget(&mut row, node.offset, columns);
                    target = None;
                }
                continue;
            }
            if context.touched.as_mut().is_some_and(|touched| !touched.insert((node.table.storage, id))) {
                // Another part of the statement has changed it.
                return Ok(());
            }
            self.changed.insert(id);
            let old = held.take().ok_or_else(|| PgError::internal("a locked row is not known"))?;
            return change(context, &node, clause, row, (id, old)).await;
        }
    }
}

/// The target's part of a row that has none.
fn forget(row: &mut Row, offset: usize, columns: usize) {
    row[offset..=offset + columns].fill(Datum::Null);
}

async fn insert(
    context: &mut Context<'_>,
    node: &MergeNode,
    clause: &MergeClauseNode,
    mut row: Row,
    id: RowId,
) -> PgResult<()> {
    let MergeWork::Insert(values) = &clause.work else { return Ok(()) };
    if !clause.computes.is_empty() {
        Subqueries::new(Arc::clone(&clause.computes)).extend(context, &mut row).await?;
    }
    let eval = context.eval();
    let mut new = values.iter().map(|value| value.eval(eval, &row)).collect::<PgResult<Row>>()?;
    node.rules.generate(context.environment, &mut new)?;
    check_row(&node.table, &node.rules.checks, &new, context)?;
    insert_row(context, &node.table, &node.rules, &new, id).await?;
    *context.affected += 1;
    Ok(())
}

async fn change(
    context: &mut Context<'_>,
    node: &MergeNode,
    clause: &MergeClauseNode,
    mut row: Row,
    (id, old): (RowId, Row),
) -> PgResult<()> {
    match &clause.work {
        MergeWork::Update { assignments, changes_key } => {
            if !clause.computes.is_empty() {
                Subqueries::new(Arc::clone(&clause.computes)).extend(context, &mut row).await?;
            }
            // Only columns that the statement reads are in the row.
            replace_columns(&mut row, node.offset, &old);
            let mut new = old.clone();
            for (column, value) in assignments {
                new[*column] = value.eval(context.eval(), &row)?;
            }
            node.rules.generate(context.environment, &mut new)?;
            check_row(&node.table, &node.rules.checks, &new, context)?;
            update_row(context, &node.table, &node.rules, &old, &new, id, *changes_key).await?;
        }
        _ => delete_row(context, &node.table, &node.rules, &old, id).await?,
    }
    *context.affected += 1;
    Ok(())
}

#[async_trait]
impl Operator for MergeOperator {
    async fn next(&mut self, context: &mut Context<'_>, _wanted: usize) -> PgResult<Vec<Row>> {
        if self.gathered.is_none() {
            let rows = RowStore::gather(&mut *self.input, context).await?;
            self.gathered = Some((rows, RowReader::default()));
        }
        loop {
            let (rows, reader) = self.gathered.as_mut().expect("gathered above");
            let rows = reader.next(rows, BATCH_ROWS).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let first = context.database.row_ids(rows.len() as u64);
            for (row, id) in rows.into_iter().zip(first..) {
                self.merge(context, row, RowId(id)).await?;
            }
            context.transaction.spill().await?;
            tokio::task::yield_now().await;
        }
    }
}
