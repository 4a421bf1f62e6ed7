//! INSERT, UPDATE, DELETE. An operator works to its end when it is first asked, or batch by batch if it returns rows.
use super::lock::{replace_columns, row_id_at};
use super::scan::decode_all;
use super::spill::{RowReader, RowStore};
use super::subplan::Subqueries;
use super::write::{check_row, delete_row, insert_row, update_row};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::catalog::{Index, Table};
use crate::layout::{RowId, row_key};
use crate::plan::{Compiled, ConflictNode, DeleteNode, InsertNode, TableRules, UpdateNode};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashSet;
use trivet_txn::{LockStrength, LockWait, Locked};
use trivet_types::{Datum, PgError, PgResult, SqlState, sqlstate};

/// Input batch by batch, or all of it before the first change (see the module's head).
struct Input {
    operator: Box<dyn Operator>,
    gathers: bool,
    gathered: Option<(RowStore, RowReader)>,
}

impl Input {
    fn new(operator: Box<dyn Operator>, gathers: bool) -> Input {
        Input { operator, gathers, gathered: None }
    }

    async fn next(&mut self, context: &mut Context<'_>) -> PgResult<Vec<Row>> {
        if !self.gathers {
            return self.operator.next(context, BATCH_ROWS).await;
        }
        if self.gathered.is_none() {
            let rows = RowStore::gather(&mut *self.operator, context).await?;
            self.gathered = Some((rows, RowReader::default()));
        }
        let (rows, reader) = self.gathered.as_mut().expect("gathered above");
        reader.next(rows, BATCH_ROWS).await
    }
}

fn evaluate(exprs: &[Compiled], context: &Context<'_>, row: &[Datum]) -> PgResult<Row> {
    let eval = context.eval();
    exprs.iter().map(|expr| expr.eval(eval, row)).collect()
}

/// A row with its id in the slot after its columns, as expressions over a table see it.
fn with_id(mut row: Row, id: RowId) -> Row {
    row.push(Datum::Int8(id.0 as i64));
    row
}

/// `xmax` as INSERT returns it: which transaction locked the row to update it, here just some, or none.
fn with_xmax(mut row: Row, updated: bool) -> Row {
    row.push(Datum::Oid(u32::from(updated)));
    row
}

pub(crate) struct InsertOperator {
    input: Input,
    node: Arc<InsertNode>,
    /// Rows that ON CONFLICT DO UPDATE changed or that this statement inserted.
    touched: HashSet<RowId>,
}

impl InsertOperator {
    pub fn new(input: Box<dyn Operator>, node: Arc<InsertNode>, gathers: bool) -> InsertOperator {
        InsertOperator { input: Input::new(input, gathers), node, touched: HashSet::new() }
    }

    /// The row as it ended up, unless nothing was done.
    async fn insert(&mut self, context: &mut Context<'_>, mut values: Row, id: RowId) -> PgResult<Option<Row>> {
        let node = Arc::clone(&self.node);
        let table = &node.table;
        node.rules.generate(context.environment, &mut values)?;
        check_row(table, &node.rules.checks, &values, context)?;
        if let Some(conflict) = &node.conflict {
            if let Some(existing) = find_conflict(context, table, &node.rules, conflict, &values, id).await? {
                return self.resolve(context, conflict, existing, values).await;
            }
            self.touched.insert(id);
        }
        insert_row(context, table, &node.rules, &values, id).await?;
        *context.affected += 1;
        Ok(Some(with_xmax(with_id(values, id), false)))
    }

    /// ON CONFLICT: do nothing, or update the row that is there.
    async fn resolve(
        &mut self,
        context: &mut Context<'_>,
        conflict: &ConflictNode,
        existing: RowId,
        proposed: Row,
    ) -> PgResult<Option<Row>> {
        let Some(update) = &conflict.update else { return Ok(None) };
        let node = Arc::clone(&self.node);
        let table = &node.table;
        if self.touched.contains(&existing) {
            let code = SqlState(*b"21000");
            let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
            return Err(PgError::new(code, message).hint(
                "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
            ));
        }
        let generated = node.rules.generated.iter().map(|(column, _)| *column);
        let changes_key = update
            .assignments
            .iter()
            .map(|(column, _)| *column)
            .chain(generated)
            .any(|column| table.is_in_unique_index(column));
        let strength = if changes_key { LockStrength::Update } else { LockStrength::NoKeyUpdate };
        let key = row_key(table.storage, existing);
        let value = match context.lock(&key, strength, LockWait::Wait).await? {
            Locked::Unchanged(Some(value)) | Locked::Newer(Some(value)) => value,
            _ => {
                let message = "could not serialize access due to concurrent update";
                return Err(PgError::new(sqlstate::SERIALIZATION_FAILURE, message));
            }
        };
        let old = decode_all(table, &value)?;
        let mut both = with_id(old.clone(), existing);
        both.extend(proposed);
        both.push(Datum::Null);
        if !update.subplans.is_empty() {
            Subqueries::new(Arc::clone(&update.subplans)).extend(context, &mut both).await?;
        }
        if let Some(filter) = &update.filter {
            if !filter.test(context.eval(), &both)? {
                return Ok(None);
            }
        }
        let mut new = old.clone();
        for (column, expr) in &update.assignments {
            new[*column] = expr.eval(context.eval(), &both)?;
        }
        node.rules.generate(context.environment, &mut new)?;
        check_row(table, &node.rules.checks, &new, context)?;
        update_row(context, table, &node.rules, &old, &new, existing, changes_key).await?;
        self.touched.insert(existing);
        *context.affected += 1;
        Ok(Some(with_xmax(with_id(new, existing), true)))
    }
}

fn deferrable_arbiter(table: &Table, index: &Index) -> Box<PgError> {
    let message = "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters";
    let error = PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    error.schema(table.schema_name.clone()).table(table.name.clone()).constraint(index.name.clone())
}

/// The row that holds one of the arbitrating unique entries.
async fn find_conflict(
    context: &mut Context<'_>,
    table: &Table,
    rules: &TableRules,
    conflict: &ConflictNode,
    values: &Row,
    id: RowId,
) -> PgResult<Option<RowId>> {
    let arbitrates = |index: &Index| conflict.indexes.is_empty() || conflict.indexes.contains(&index.oid);
    let waits = |index: &&Index| arbitrates(index) && table.deferrable(index.oid).is_some();
    if let Some(index) = table.indexes.iter().find(waits) {
        return Err(deferrable_arbiter(table, index));
    }
    for (position, index) in table.indexes.iter().enumerate().filter(|(_, index)| index.unique) {
        if !arbitrates(index) {
            continue;
        }
        let Some(entry) = rules.entry(table, position, context.environment, values, id)? else { continue };
        if !entry.exclusive {
            continue;
        }
        if let Some(holder) = context.lock_for_insert(&entry.key).await? {
            return super::scan::entry_row_id(&entry.key, &holder).map(Some);
        }
    }
    Ok(None)
}

#[async_trait]
impl Operator for InsertOperator {
    async fn next(&mut self, context: &mut Context<'_>, _wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context).await?;
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let node = Arc::clone(&self.node);
            let first = context.database.row_ids(rows.len() as u64);
            let mut out = Vec::new();
            for (row, id) in rows.iter().zip(first..) {
                let values = evaluate(&node.values, context, row)?;
                let inserted = self.insert(context, values, RowId(id)).await?;
                if let (Some(row), Some(returning)) = (inserted, &node.returning) {
                    out.push(evaluate(returning, context, &row)?);
                }
            }
            // A short batch is most often the only one: nothing to ship, nobody to make room for.
            if rows.len() == BATCH_ROWS {
                context.transaction.spill().await?;
                tokio::task::yield_now().await;
            }
            if !out.is_empty() {
                return Ok(out);
            }
        }
    }
}

/// A target row, locked, in its newest version: the joined row with it in place, and its columns.
async fn lock_target(
    context: &mut Context<'_>,
    table: &Table,
    offset: usize,
    strength: LockStrength,
    recheck: Option<&Compiled>,
    row: &mut Row,
) -> PgResult<Option<(RowId, Row)>> {
    let id =
        row_id_at(row, offset, table.columns.len())?.ok_or_else(|| PgError::internal("a changed row has no id"))?;
    if context.touched.as_mut().is_some_and(|touched| !touched.insert((table.storage, id))) {
        // Another part of the statement has changed it.
        return Ok(None);
    }
    let key = row_key(table.storage, id);
    let (value, newer): (Bytes, bool) = match context.lock(&key, strength, LockWait::Wait).await? {
        Locked::Unchanged(Some(value)) => (value, false),
        Locked::Newer(Some(value)) => (value, true),
        // Deleted meanwhile, by others or by this statement.
        Locked::Unchanged(None) | Locked::Newer(None) | Locked::Skipped => return Ok(None),
    };
    let current = decode_all(table, &value)?;
    replace_columns(row, offset, &current);
    if newer {
        if let Some(recheck) = recheck {
            if !recheck.test(context.eval(), row)? {
                return Ok(None);
            }
        }
    }
    Ok(Some((id, current)))
}

pub(crate) struct UpdateOperator {
    input: Input,
    node: Arc<UpdateNode>,
    /// In a join a row may be met twice; the first time counts.
    updated: HashSet<RowId>,
}

impl UpdateOperator {
    pub fn new(input: Box<dyn Operator>, node: Arc<UpdateNode>, gathers: bool) -> UpdateOperator {
        UpdateOperator { input: Input::new(input, gathers), node, updated: HashSet::new() }
    }

    async fn update(&mut self, context: &mut Context<'_>, mut row: Row) -> PgResult<Option<Row>> {
        let node = Arc::clone(&self.node);
        let table = &node.table;
        let strength = if node.changes_key { LockStrength::Update } else { LockStrength::NoKeyUpdate };
        if node.joined {
            match row_id_at(&row, node.offset, table.columns.len())? {
                Some(id) if self.updated.insert(id) => {}
                _ => return Ok(None),
            }
        }
        let locked = lock_target(context, table, node.offset, strength, node.recheck.as_ref(), &mut row).await?;
        let Some((id, old)) = locked else { return Ok(None) };
        let mut new = old.clone();
        for (column, expr) in &node.assignments {
            new[*column] = expr.eval(context.eval(), &row)?;
        }
        node.rules.generate(context.environment, &mut new)?;
        check_row(table, &node.rules.checks, &new, context)?;
        update_row(context, table, &node.rules, &old, &new, id, node.changes_key).await?;
        *context.affected += 1;
        match &node.returning {
            None => Ok(None),
            Some(returning) => {
                replace_columns(&mut row, node.offset, &new);
                evaluate(returning, context, &row).map(Some)
            }
        }
    }
}

#[async_trait]
impl Operator for UpdateOperator {
    async fn next(&mut self, context: &mut Context<'_>, _wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let full = rows.len() >= 64;
            let mut out = Vec::new();
            for row in rows {
                out.extend(self.update(context, row).await?);
            }
            if full {
                context.transaction.spill().await?;
                tokio::task::yield_now().await;
            }
            if !out.is_empty() {
                return Ok(out);
            }
        }
    }
}

pub(crate) struct DeleteOperator {
    input: Input,
    node: Arc<DeleteNode>,
}

impl DeleteOperator {
    pub fn new(input: Box<dyn Operator>, node: Arc<DeleteNode>, gathers: bool) -> DeleteOperator {
        DeleteOperator { input: Input::new(input, gathers), node }
    }

    async fn delete(&mut self, context: &mut Context<'_>, mut row: Row) -> PgResult<Option<Row>> {
        let node = Arc::clone(&self.node);
        let table = &node.table;
        let locked =
            lock_target(context, table, node.offset, LockStrength::Update, node.recheck.as_ref(), &mut row).await?;
        let Some((id, old)) = locked else { return Ok(None) };
        delete_row(context, table, &node.rules, &old, id).await?;
        *context.affected += 1;
        match &node.returning {
            None => Ok(None),
            Some(returning) => evaluate(returning, context, &row).map(Some),
        }
    }
}

#[async_trait]
impl Operator for DeleteOperator {
    async fn next(&mut self, context: &mut Context<'_>, _wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let full = rows.len() >= 64;
            let mut out = Vec::new();
            for row in rows {
                out.extend(self.delete(context, row).await?);
            }
            if full {
                context.transaction.spill().await?;
                tokio::task::yield_now().await;
            }
            if !out.is_empty() {
                return Ok(out);
            }
        }
    }
}
